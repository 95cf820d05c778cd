//! What clients are told when something fails: the only mapping from errors of the storage layer to Kafka error codes, and
//! refusals with their reason.

use kafka_protocol::ResponseError;
use kafka_protocol::protocol::StrBytes;
use milena_storage::error::Error;
use milena_storage::producers::ProducerError;

/// The code a client gets for a storage error.
pub(crate) fn response_error(error: &Error) -> ResponseError {
    match error {
        Error::Io { .. } | Error::Full(_) | Error::Offline(_) | Error::Locked(_) | Error::Identity { .. } => {
            ResponseError::KafkaStorageError
        }
        Error::Corrupt { .. } => ResponseError::CorruptMessage,
        Error::BatchTooLarge { .. } => ResponseError::RecordListTooLarge,
        Error::OffsetOutOfRange { .. } => ResponseError::OffsetOutOfRange,
        Error::Producer(ProducerError::InvalidEpoch { .. }) => ResponseError::InvalidProducerEpoch,
        Error::Producer(ProducerError::OutOfOrderSequence { .. }) => ResponseError::OutOfOrderSequenceNumber,
        Error::Producer(ProducerError::InvalidTransactionState { .. }) => ResponseError::InvalidTxnState,
        Error::Producer(ProducerError::CoordinatorFenced { .. }) => {
            ResponseError::TransactionCoordinatorFenced
        }
        Error::Closed => ResponseError::NotLeaderOrFollower,
    }
}

/// Whether there is no such topic or partition. Kafka finds that out before it asks a log.
pub(crate) fn is_unknown(error: ResponseError) -> bool {
    matches!(
        error,
        ResponseError::InconsistentTopicId
            | ResponseError::UnknownTopicId
            | ResponseError::UnknownTopicOrPartition
    )
}

/// Says in the log what an operator must know: a client sees only the code.
pub(crate) fn report(what: &str, topic: &str, partition: i32, error: &Error) {
    match error {
        Error::Io { .. } | Error::Corrupt { .. } => tracing::error!("{what} {topic}-{partition}: {error}"),
        Error::Full(_) => {
            tracing::warn!("{what} {topic}-{partition}: {error}; free some space, no restart is needed")
        }
        _ => tracing::debug!("{what} {topic}-{partition}: {error}"),
    }
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

impl From<ResponseError> for Refusal {
    fn from(error: ResponseError) -> Self {
        Self::new(error, error.to_string())
    }
}

/// Error code and message of an outcome, as responses carry them. A reason that is empty is none.
pub(crate) fn outcome<T>(result: &Result<T, Refusal>) -> (i16, Option<StrBytes>) {
    match result {
        Ok(_) => (0, None),
        Err(refusal) => (refusal.code(), refusal.text().filter(|text| !text.is_empty())),
    }
}
