//! Segments that leave the log: out of the list and renamed at once, unlinked after `file.delete.delay.ms`.

use super::Log;
use crate::error::Result;
use crate::segment::Segment;
use std::path::PathBuf;
use std::sync::Arc;

/// A file that waits for its end.
#[derive(Debug)]
pub(super) struct Doomed {
    due_ms: i64,
    path: PathBuf,
}

impl Log {
    /// Lets go of segments that are no longer in the list. A reader that still holds one reads on.
    ///
    /// # Errors
    /// [`crate::error::Error::Io`] if a file cannot be renamed; a start removes what is left of it.
    pub(super) fn doom(&self, segments: &[Arc<Segment>], now_ms: i64) -> Result<()> {
        for segment in segments {
            for path in segment.set_deleted(&self.disk)? {
                self.doom_file(path, now_ms);
            }
        }
        Ok(())
    }

    /// Lets go of one file, which has its new name.
    pub(super) fn doom_file(&self, path: PathBuf, now_ms: i64) {
        let due_ms = now_ms.saturating_add(self.config().file_delete_delay_ms);
        self.doomed.lock().push(Doomed { due_ms, path });
        self.stir();
    }

    /// Unlinks the files whose time is up. What cannot be removed is tried again.
    pub fn remove_doomed(&self, now_ms: i64) {
        if self.is_at_rest() {
            return;
        }
        let due: Vec<_> = self.doomed.lock().extract_if(.., |file| file.due_ms <= now_ms).collect();
        for file in due {
            if let Err(error) = self.disk.remove(&file.path) {
                tracing::warn!("{error}");
                self.doomed.lock().push(file);
            }
        }
    }
}
