//! Whether a batch belongs to a transaction of its producer (KIP-890; `AddPartitionsToTxnManager`).
//!
//! A batch that would open its transaction in a partition is admitted only if the coordinator knows that the partition
//! is part of it. Newer clients need not say so before: the partition is added when the batch comes.

use kafka_protocol::ResponseError;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Partitions, Producer, TransactionCoordinator};

/// `transaction.version` of the clients that rely on the addition.
const ADDING_CLIENT: i16 = 2;

/// What the version of a request says of its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Partitions were added before; the client does not know TRANSACTION_ABORTABLE.
    Verify,
    /// Partitions were added before.
    VerifyAbortable,
    /// Partitions are added with the first batch.
    Add,
}

impl Operation {
    /// Of a Produce.
    pub(crate) fn of_produce(version: i16) -> Self {
        match version {
            ..=10 => Self::Verify,
            11 => Self::VerifyAbortable,
            _ => Self::Add,
        }
    }

    /// Of a TxnOffsetCommit.
    pub(crate) fn of_offset_commit(version: i16) -> Self {
        match version {
            ..=3 => Self::Verify,
            4 => Self::VerifyAbortable,
            _ => Self::Add,
        }
    }

    /// Whether every transaction of the client has its own epoch.
    pub(crate) fn bumps_epoch(self) -> bool {
        self == Self::Add
    }
}

/// The partitions that are not part of the transaction, and why.
pub(crate) type Refusals = BTreeMap<(Arc<str>, i32), ResponseError>;

impl TransactionCoordinator {
    /// Whether batches of older clients are verified (`transaction.partition.verification.enable`).
    pub(crate) fn verifies(&self, operation: Operation) -> bool {
        operation == Operation::Add || self.surroundings.verifies_partitions()
    }

    /// Whether an append must show that its transaction was verified.
    pub(crate) fn verifies_appends(&self) -> bool {
        self.surroundings.verifies_partitions()
    }

    /// Adds partitions to a transaction, or sees whether they are in it.
    pub(crate) fn admit(
        &self,
        id: &str,
        producer: Producer,
        partitions: &Partitions,
        operation: Operation,
    ) -> Refusals {
        let refuse_all = |error: ResponseError| {
            // Producers take PRODUCER_FENCED for an answer of the coordinator alone.
            let fenced = error == ResponseError::ProducerFenced;
            let error = if fenced { ResponseError::InvalidProducerEpoch } else { error };
            each(partitions).map(|partition| (partition, error)).collect()
        };
        if operation == Operation::Add {
            let added = self.add(id, producer, partitions, ADDING_CLIENT);
            return added.map_or_else(refuse_all, |()| Refusals::new());
        }
        let found = match self.verify(id, producer, partitions) {
            Ok(found) => found,
            Err(error) => return refuse_all(error),
        };
        let missing = match operation {
            Operation::Verify => ResponseError::InvalidTxnState,
            _ => ResponseError::TransactionAbortable,
        };
        let found: BTreeSet<(Arc<str>, i32)> = each(&found).collect();
        each(partitions)
            .filter(|partition| !found.contains(partition))
            .map(|partition| (partition, missing))
            .collect()
    }
}

fn each(partitions: &Partitions) -> impl Iterator<Item = (Arc<str>, i32)> {
    partitions.iter().flat_map(|(topic, indexes)| indexes.iter().map(|index| (Arc::clone(topic), *index)))
}
