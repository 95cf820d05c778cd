//! What is known of one transactional id, and where each step takes it (`TransactionMetadata`).

use milena_protocol::stored::transaction::{TransactionLogValue, TransactionPartitions};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::state::{Outcome, State};

/// Stands for no producer id.
const NO_PRODUCER_ID: i64 = -1;
/// Stands for no epoch.
const NO_EPOCH: i16 = -1;
/// Stands for no time.
const NO_TIME: i64 = -1;

/// Partitions by topic.
pub(crate) type Partitions = BTreeMap<Arc<str>, BTreeSet<i32>>;

/// How the feature `transaction.version` counts: 0 and 1 keep one epoch for all transactions of a producer, 2 gives
/// each its own (KIP-890).
const OWN_EPOCHS: i16 = 2;

/// Whether every transaction has its own epoch.
pub(crate) fn bumps_epoch(transaction_version: i16) -> bool {
    transaction_version >= OWN_EPOCHS
}

/// The last epoch but one is the last that a client gets, so that it can always be fenced.
pub(super) fn is_exhausted(epoch: i16) -> bool {
    epoch >= i16::MAX - 1
}

/// A transactional id.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Transaction {
    pub(super) state: State,
    pub(super) producer_id: i64,
    pub(super) producer_epoch: i16,
    /// The producer id before the last step, or -1.
    pub(super) previous_producer_id: i64,
    /// The producer id that takes over when the transaction is done, or -1.
    pub(super) next_producer_id: i64,
    /// The epoch before the last bump, by which a retry is known; not stored.
    pub(super) last_epoch: i16,
    /// Milliseconds; `i32::MAX` for none.
    pub(super) timeout_ms: i32,
    pub(super) partitions: Partitions,
    /// ms since 1970, or -1.
    pub(super) started: i64,
    /// ms since 1970.
    pub(super) updated: i64,
    /// `transaction.version` of whoever took the last step that says so.
    pub(super) client_version: i16,
}

impl Transaction {
    /// A transactional id that is used for the first time.
    pub(super) fn first(producer_id: i64, timeout_ms: i32, now: i64) -> Self {
        Self {
            state: State::Empty,
            producer_id,
            producer_epoch: 0,
            previous_producer_id: NO_PRODUCER_ID,
            next_producer_id: NO_PRODUCER_ID,
            last_epoch: NO_EPOCH,
            timeout_ms,
            partitions: Partitions::new(),
            started: NO_TIME,
            updated: now,
            client_version: 0,
        }
    }

    /// The epochs of the producer id are used up.
    pub(super) fn is_exhausted(&self) -> bool {
        is_exhausted(self.producer_epoch)
    }

    /// How much longer it may be open, in ms, at `now` of the wall clock; None if it is not open, or may be for ever. A start
    /// in the future, by a clock that was wrong then, counts as one of now.
    pub(super) fn time_left(&self, now: i64) -> Option<i64> {
        // A negative one can only be read, from a log that somebody else wrote.
        let timeout = i64::from(self.timeout_ms.max(0));
        (self.state == State::Ongoing && self.timeout_ms != i32::MAX)
            .then(|| timeout - now.saturating_sub(self.started).clamp(0, timeout))
    }

    /// A producer begins anew: with the next epoch, with `epoch` again if this is a retry, or with a new producer id.
    pub(super) fn initialised(&self, next: NextProducer, timeout_ms: i32, now: i64) -> Self {
        let mut next = match next {
            NextProducer::Bumped { last_epoch } => {
                Self { producer_epoch: self.producer_epoch.saturating_add(1), last_epoch, ..self.step() }
            }
            NextProducer::Same => self.step(),
            NextProducer::Other { producer_id, last_epoch } => {
                Self { producer_id, producer_epoch: 0, last_epoch, ..self.step() }
            }
        };
        next.state = State::Empty;
        (next.timeout_ms, next.started, next.updated) = (timeout_ms, NO_TIME, now);
        next.partitions.clear();
        next
    }

    /// More partitions, in a transaction that may begin with them.
    pub(super) fn extended(&self, partitions: &Partitions, client_version: i16, now: i64) -> Self {
        let started = if self.state == State::Ongoing { self.started } else { now };
        let mut next = Self { state: State::Ongoing, started, updated: now, client_version, ..self.step() };
        for (topic, indexes) in partitions {
            next.partitions.entry(Arc::clone(topic)).or_default().extend(indexes);
        }
        next
    }

    /// The outcome is decided. Where every transaction has its own epoch, the markers have the next one;
    /// `next_producer_id` is for the case that it is the last.
    pub(super) fn prepared(
        &self,
        outcome: Outcome,
        client_version: i16,
        next_producer_id: i64,
        now: i64,
    ) -> Self {
        let mut next = Self {
            state: State::prepared(outcome),
            next_producer_id,
            // An end without a transaction needs a time to have started all the same.
            started: if self.state == State::Ongoing { self.started } else { now },
            updated: now,
            client_version,
            ..self.step()
        };
        if bumps_epoch(client_version) {
            next.last_epoch = self.producer_epoch;
            next.producer_epoch = self.producer_epoch.saturating_add(1);
        }
        next
    }

    /// The producer is fenced and its transaction aborted, by the coordinator.
    pub(super) fn fenced(&self, server_version: i16, next_producer_id: i64, now: i64) -> Self {
        let mut next = self.prepared(Outcome::Abort, server_version, next_producer_id, now);
        if !bumps_epoch(server_version) {
            next.producer_epoch = self.producer_epoch.saturating_add(1);
            next.last_epoch = NO_EPOCH;
        }
        next
    }

    /// Every partition has its marker.
    pub(super) fn completed(&self, outcome: Outcome, now: i64) -> Self {
        let mut next = Self { state: State::completed(outcome), updated: now, ..self.step() };
        if bumps_epoch(self.client_version) && self.next_producer_id != NO_PRODUCER_ID {
            (next.producer_id, next.producer_epoch) = (self.next_producer_id, 0);
        }
        next.next_producer_id = NO_PRODUCER_ID;
        next.partitions.clear();
        next
    }

    /// The same one step later.
    fn step(&self) -> Self {
        Self { previous_producer_id: self.producer_id, ..self.clone() }
    }

    /// What a record says; None if it is of a state that nobody stays in.
    pub(super) fn restored(value: TransactionLogValue) -> Option<Self> {
        let state = State::of_record(value.transaction_status)?;
        let mut partitions = Partitions::new();
        for of_topic in value.transaction_partitions.unwrap_or_default() {
            partitions.entry(Arc::from(of_topic.topic)).or_default().extend(of_topic.partition_ids);
        }
        Some(Self {
            state,
            producer_id: value.producer_id,
            producer_epoch: value.producer_epoch,
            previous_producer_id: value.previous_producer_id,
            next_producer_id: value.next_producer_id,
            last_epoch: NO_EPOCH,
            timeout_ms: value.transaction_timeout_ms,
            partitions,
            started: value.transaction_start_timestamp_ms,
            updated: value.transaction_last_update_timestamp_ms,
            client_version: value.client_transaction_version,
        })
    }

    /// The record's value. Version 0, which is written while `transaction.version` is 0, has no room for the tags.
    pub(super) fn to_value(&self, value_version: i16) -> TransactionLogValue {
        let partitions = self.partitions.iter().map(|(topic, indexes)| TransactionPartitions {
            topic: topic.to_string(),
            partition_ids: indexes.iter().copied().collect(),
            ..TransactionPartitions::default()
        });
        let mut value = TransactionLogValue {
            producer_id: self.producer_id,
            producer_epoch: self.producer_epoch,
            transaction_timeout_ms: self.timeout_ms,
            transaction_status: self.state.rule().id,
            transaction_partitions: (self.state != State::Empty).then(|| partitions.collect()),
            transaction_last_update_timestamp_ms: self.updated,
            transaction_start_timestamp_ms: self.started,
            ..TransactionLogValue::default()
        };
        if value_version >= 1 {
            // Kafka 4.1 reads these two and writes neither: with them a producer id that is due outlives a restart.
            if self.previous_producer_id != self.producer_id {
                value.previous_producer_id = self.previous_producer_id;
            }
            value.next_producer_id = self.next_producer_id;
            value.client_transaction_version = self.client_version;
        }
        value
    }
}

/// What a producer gets that begins anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextProducer {
    /// The next epoch.
    Bumped {
        /// The epoch before, if the producer named it; else -1.
        last_epoch: i16,
    },
    /// What it got before: the answer was lost.
    Same,
    /// A new id.
    Other {
        /// The id.
        producer_id: i64,
        /// The epoch before, if the producer named it; else -1.
        last_epoch: i16,
    },
}
