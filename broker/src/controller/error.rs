//! Why the controller did not do what was asked.

use super::log::StorageFailure;
use crate::metadata::ReplayError;
use kafka_protocol::ResponseError;
use kafka_protocol::protocol::StrBytes;

/// Why the controller cannot start.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControllerError {
    /// The log or its snapshot does not make sense.
    #[error(transparent)]
    Replay(#[from] ReplayError),
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

/// What a client is told when its request is refused: an error code, and the reason in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The error.
    pub(crate) error: ResponseError,
    /// Why; Kafka's own sentence where it has one.
    pub(crate) message: String,
}

impl Refusal {
    /// A refusal for this reason.
    pub(crate) fn new(error: ResponseError, message: impl Into<String>) -> Self {
        Self { error, message: message.into() }
    }

    /// The error code.
    pub(crate) fn code(&self) -> i16 {
        self.error.code()
    }

    /// The reason as the field of a response.
    pub(crate) fn text(&self) -> Option<StrBytes> {
        Some(StrBytes::from_string(self.message.clone()))
    }
}

/// Error code and message of an outcome, as responses carry them.
pub(crate) fn outcome<T>(result: &Result<T, Refusal>) -> (i16, Option<StrBytes>) {
    match result {
        Ok(_) => (0, None),
        Err(refusal) => (refusal.code(), refusal.text()),
    }
}
