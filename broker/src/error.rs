//! The only mapping from errors of the storage layer to Kafka error codes.

use kafka_protocol::ResponseError;
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
