//! Why the controller did not do what was asked.

use super::log::StorageFailure;
use crate::metadata::ReplayError;

/// Why the controller cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControllerError {
    /// The log does not make sense.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The snapshot does not.
    #[error("{end_offset:020}-{epoch:010}.checkpoint: {source}")]
    Snapshot {
        /// First number of its name.
        end_offset: i64,
        /// Second number of its name.
        epoch: i32,
        /// What is wrong.
        source: ReplayError,
    },
    /// What `kafka-storage format` has written does not.
    #[error("bootstrap.checkpoint: {0}")]
    Bootstrap(ReplayError),
    /// The log can neither be read nor written.
    #[error("the metadata log cannot be {action}: {source}")]
    Log {
        /// What was tried.
        action: &'static str,
        /// What came of it.
        source: StorageFailure,
    },
    /// Another Kafka has finalized a feature level whose records may mean something that is not known here.
    #[error("{0}")]
    Feature(String),
    /// The data directories cannot be taken into use.
    #[error("the data directories cannot be taken into use: {0}")]
    Store(StorageFailure),
    /// Records from the first one on are gone, and no snapshot stands in for them.
    #[error(
        "the metadata log begins at offset {start}, and no snapshot reaches up to there (the best ends at {end})"
    )]
    Gap {
        /// First offset of the log.
        start: i64,
        /// End of the snapshot, 0 for none.
        end: i64,
    },
}
