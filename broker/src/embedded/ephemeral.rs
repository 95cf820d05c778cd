//! A data directory that goes with its broker.

use super::Error;
use std::fs::{DirBuilder, remove_dir_all};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A temporary data directory, removed with all that is in it when this is dropped.
#[derive(Debug)]
pub struct EphemeralDir(PathBuf);

impl EphemeralDir {
    /// Makes one in the folder for temporary files (`TMPDIR`), for this user alone.
    ///
    /// # Errors
    /// [`Error::Directory`].
    pub fn new() -> Result<Self, Error> {
        let path = std::env::temp_dir().join(format!("milena-{}", uuid::Uuid::new_v4().simple()));
        if path.to_str().is_none_or(|path| path.contains(',')) {
            // `log.dirs` is a list.
            let reason = "the folder for temporary files has a comma in its path, or is not valid UTF-8";
            let source = std::io::Error::new(std::io::ErrorKind::InvalidInput, reason);
            return Err(Error::Directory { path, source });
        }
        match DirBuilder::new().recursive(true).mode(0o700).create(&path) {
            Ok(()) => Ok(Self(path)),
            Err(source) => Err(Error::Directory { path, source }),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for EphemeralDir {
    fn drop(&mut self) {
        if let Err(error) = remove_dir_all(&self.0) {
            tracing::warn!("cannot remove {}: {error}", self.0.display());
        }
    }
}
