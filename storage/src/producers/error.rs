//! Why a batch is refused.

use thiserror::Error;

/// Why a batch is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ProducerError {
    /// A newer incarnation of the producer has written: INVALID_PRODUCER_EPOCH.
    #[error("epoch {epoch} of producer {producer_id} is below {current}, the last one seen")]
    InvalidEpoch {
        /// The producer.
        producer_id: i64,
        /// The batch's epoch.
        epoch: i16,
        /// The last epoch seen.
        current: i16,
    },
    /// A batch before this one is missing, or this one is too old to tell whether it is a duplicate:
    /// OUT_OF_ORDER_SEQUENCE_NUMBER.
    #[error(
        "out of order sequence number {sequence} of producer {producer_id} in epoch {epoch}, expected {expected}"
    )]
    OutOfOrderSequence {
        /// The producer.
        producer_id: i64,
        /// The batch's epoch.
        epoch: i16,
        /// The batch's base sequence.
        sequence: i32,
        /// The base sequence that would have been taken.
        expected: i32,
    },
    /// A batch outside a transaction while one is open, or in a transaction that the coordinator has not confirmed:
    /// INVALID_TXN_STATE.
    #[error("{}", invalid_transaction_state(*.producer_id, *.open))]
    InvalidTransactionState {
        /// The producer.
        producer_id: i64,
        /// Whether a transaction of it is open.
        open: bool,
    },
    /// A marker from a coordinator that was replaced: TRANSACTION_COORDINATOR_FENCED.
    #[error(
        "coordinator epoch {coordinator_epoch} in a marker for producer {producer_id} is below {current}, the last one seen"
    )]
    CoordinatorFenced {
        /// The producer.
        producer_id: i64,
        /// The marker's coordinator epoch.
        coordinator_epoch: i32,
        /// The last coordinator epoch seen.
        current: i32,
    },
}

fn invalid_transaction_state(producer_id: i64, open: bool) -> String {
    if open {
        format!("producer {producer_id} has an open transaction, to which this batch does not belong")
    } else {
        format!("the batch of producer {producer_id} is not part of an ongoing transaction")
    }
}
