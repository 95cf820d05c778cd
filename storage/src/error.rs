//! What can go wrong below a partition log.

use std::io;
use std::path::{Path, PathBuf};

/// An error of the storage layer. The broker maps it to a Kafka error code in one place.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An operating system call failed.
    #[error("{op} {}: {source}", path.display())]
    Io {
        /// What was tried.
        op: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No space is left; nothing was written, and the next try may succeed.
    #[error("no space left for {}", .0.display())]
    Full(PathBuf),
    /// An earlier write or sync failed: the directory takes no writes until the broker is restarted.
    #[error("log directory {} is offline after an I/O error", .0.display())]
    Offline(PathBuf),
    /// Another process holds the directory.
    #[error("log directory {} is in use by another broker (its .lock is held); stop that one or choose other log.dirs", .0.display())]
    Locked(PathBuf),
    /// The directory belongs to another node or cluster, or its identity cannot be read.
    #[error("{}: {reason}", path.display())]
    Identity {
        /// The file that says so.
        path: PathBuf,
        /// What is wrong and what to do.
        reason: String,
    },
    /// Bytes on disk are not what was written.
    #[error("{} at {position}: {reason}", path.display())]
    Corrupt {
        /// Which file.
        path: PathBuf,
        /// Byte position.
        position: u64,
        /// Expected and found.
        reason: String,
    },
    /// A batch is larger than a segment may be (RECORD_LIST_TOO_LARGE).
    #[error("batch of {size} bytes is over segment.bytes={max}")]
    BatchTooLarge {
        /// Size of the batch.
        size: usize,
        /// The limit.
        max: usize,
    },
    /// The offset is outside the log.
    #[error("offset {offset} is outside {start}..={end}")]
    OffsetOutOfRange {
        /// As asked.
        offset: i64,
        /// Log start offset.
        start: i64,
        /// Log end offset.
        end: i64,
    },
    /// An idempotent or transactional producer is out of step.
    #[error(transparent)]
    Producer(#[from] crate::producers::ProducerError),
    /// The log was deleted or closed.
    #[error("the log is closed")]
    Closed,
}

/// Result of the storage layer.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Names the call and the path that `source` came from.
    pub(crate) fn io(op: &'static str, path: &Path, source: io::Error) -> Self {
        if source.raw_os_error() == Some(nix::libc::ENOSPC)
            || source.raw_os_error() == Some(nix::libc::EDQUOT)
        {
            return Self::Full(path.to_path_buf());
        }
        Self::Io { op, path: path.to_path_buf(), source }
    }

    /// Whether the process or the machine was out of file descriptors. Only opening a file needs one, so nothing that was
    /// written is in doubt, and the next try may succeed.
    #[must_use]
    pub fn is_shortage(&self) -> bool {
        use nix::libc::{EMFILE, ENFILE};
        matches!(self, Self::Io { source, .. }
            if source.raw_os_error().is_some_and(|errno| [EMFILE, ENFILE].contains(&errno)))
    }

    /// A read that was not to wait for the device would have had to.
    pub(crate) fn would_block(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::WouldBlock)
    }

    /// The same once more, for each of those who meet it, if it is such a shortage.
    pub(crate) fn shortage(&self) -> Option<Self> {
        let Self::Io { op, path, source } = self else { return None };
        let source = io::Error::from_raw_os_error(source.raw_os_error()?);
        self.is_shortage().then(|| Self::Io { op, path: path.clone(), source })
    }
}
