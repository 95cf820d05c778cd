//! What a partition knows of its producers: epochs, the last sequence numbers, open transactions, and from these the
//! last stable offset (`ProducerStateManager`, `ProducerAppendInfo`; KIP-98, KIP-890).
//!
//! An append with a producer id goes through [`Producers::check`] before it is written and [`Producers::apply`] after.
//! Replaying a log is `apply` alone, batch after batch. Batches without a producer id cost a comparison.

mod batches;
mod error;
mod hasher;
mod snapshot;
mod state;
mod verification;

use std::collections::{BTreeMap, HashMap};

use milena_protocol::records::{BatchHeader, EndTransactionMarker, NO_PRODUCER_EPOCH, NO_PRODUCER_ID};

pub use batches::{BatchMetadata, RecentBatches};
pub use error::ProducerError;
pub use snapshot::SnapshotError;
pub use state::{NO_COORDINATOR_EPOCH, ProducerState};
pub use verification::VerificationGuard;

use crate::index::aborted::AbortedTransaction;
use hasher::ProducerIdHasher;
use verification::Verifications;

/// Where an append comes from, which decides how much is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A producer's request: epoch, sequence numbers and transaction.
    Client,
    /// A coordinator of this broker, which has no sequence numbers: epoch and transaction.
    Coordinator,
    /// Already accepted, by a leader or by this broker before a restart: stale epochs pass.
    Replication,
}

/// What is to be done with a batch that is in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checked {
    /// Append it.
    Append,
    /// It is in the log already: answer as for the append that wrote it.
    Duplicate {
        /// Offset of its first record.
        base_offset: i64,
        /// Offset of its last record.
        last_offset: i64,
        /// Its largest timestamp, in milliseconds.
        timestamp: i64,
    },
}

/// What a partition knows of all its producers.
///
/// A producer takes a constant amount of memory, and stays until [`Producers::remove_expired`] finds it idle. An ended
/// transaction stays until [`Producers::forget_ended_before`] is told that the high watermark has passed its marker.
#[derive(Debug, Default)]
pub struct Producers {
    states: HashMap<i64, ProducerState, ProducerIdHasher>,
    verifications: Verifications,
    /// Open transactions: first offset to producer id.
    open: BTreeMap<i64, i64>,
    /// Transactions that ended but may not be replicated yet: first offset to the offset of the marker.
    unreplicated: BTreeMap<i64, i64>,
}

impl Producers {
    /// No producers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a batch may be appended. `marker` is what a control batch holds that ends a transaction.
    ///
    /// | state | accepted from a client |
    /// |---|---|
    /// | unknown producer | any sequence |
    /// | same epoch | the last sequence + 1 (behind `i32::MAX` comes 0), or exactly one of the last five batches, as a duplicate |
    /// | higher epoch | sequence 0 |
    /// | lower epoch | nothing |
    ///
    /// # Errors
    /// [`ProducerError`]; from [`Origin::Replication`] only for a batch outside the transaction that is open.
    pub fn check(
        &self,
        header: &BatchHeader,
        marker: Option<&EndTransactionMarker>,
        origin: Origin,
    ) -> Result<Checked, ProducerError> {
        self.check_batch(header, marker, origin, |_| true)
    }

    /// As [`Producers::check`], and a transactional batch that opens its transaction in this partition must come with
    /// the guard that [`Producers::begin_verification`] gave for it.
    ///
    /// # Errors
    /// As [`Producers::check`].
    pub fn check_verified(
        &self,
        header: &BatchHeader,
        marker: Option<&EndTransactionMarker>,
        origin: Origin,
        guard: Option<VerificationGuard>,
    ) -> Result<Checked, ProducerError> {
        self.check_batch(header, marker, origin, |producer_id| {
            self.verifications.is_guarded_by(producer_id, guard)
        })
    }

    fn check_batch(
        &self,
        header: &BatchHeader,
        marker: Option<&EndTransactionMarker>,
        origin: Origin,
        verified: impl FnOnce(i64) -> bool,
    ) -> Result<Checked, ProducerError> {
        let producer_id = header.producer_id;
        if producer_id <= NO_PRODUCER_ID {
            return Ok(Checked::Append);
        }
        let state = self.states.get(&producer_id).unwrap_or(&ProducerState::UNKNOWN);
        if origin == Origin::Client
            && let Some(duplicate) = duplicate_of(state, header)
        {
            return Ok(duplicate);
        }
        if origin != Origin::Replication && header.producer_epoch < state.epoch {
            let (epoch, current) = (header.producer_epoch, state.epoch);
            return Err(ProducerError::InvalidEpoch { producer_id, epoch, current });
        }
        if header.attributes.is_control() {
            return check_marker(state, producer_id, marker, origin);
        }
        let transactional = header.attributes.is_transactional();
        let open = state.transaction_first_offset.is_some();
        // An open transaction of a lower epoch does not vouch for this batch.
        let in_transaction = open && header.producer_epoch == state.epoch;
        if origin != Origin::Replication && transactional && !in_transaction && !verified(producer_id) {
            return Err(ProducerError::InvalidTransactionState { producer_id, open: false });
        }
        if origin == Origin::Client {
            self.verifications.check_sequence(header, state)?;
            check_sequence(state, header)?;
        }
        if open && !transactional {
            return Err(ProducerError::InvalidTransactionState { producer_id, open: true });
        }
        Ok(Checked::Append)
    }

    /// Takes note of a batch that was appended at `base_offset`. Answers what `.txnindex` must be extended by.
    pub fn apply(
        &mut self,
        header: &BatchHeader,
        marker: Option<&EndTransactionMarker>,
        base_offset: i64,
    ) -> Option<AbortedTransaction> {
        if header.producer_id <= NO_PRODUCER_ID {
            return None;
        }
        if header.attributes.is_transactional() {
            self.verifications.forget(header);
        }
        match marker {
            Some(marker) if header.attributes.is_control() => {
                self.end_transaction(header, marker, base_offset)
            }
            // Compaction has removed the marker from the batch, after the whole transaction.
            None if header.attributes.is_control() => None,
            _ => {
                self.apply_data(header, base_offset);
                None
            }
        }
    }

    /// The transaction that [`Producers::apply`] will answer for a marker, which is not appended yet.
    pub fn aborted_by(
        &self,
        header: &BatchHeader,
        marker: &EndTransactionMarker,
        base_offset: i64,
    ) -> Option<AbortedTransaction> {
        let producer_id = header.producer_id;
        let first_offset =
            self.states.get(&producer_id)?.transaction_first_offset.filter(|_| !marker.commit)?;
        let others = self.open.keys().find(|first| **first != first_offset);
        let last_stable_offset = others.copied().unwrap_or(base_offset.saturating_add(1));
        Some(AbortedTransaction { producer_id, first_offset, last_offset: base_offset, last_stable_offset })
    }

    fn apply_data(&mut self, header: &BatchHeader, base_offset: i64) {
        let state = self.states.entry(header.producer_id).or_insert(ProducerState::UNKNOWN);
        state.set_epoch(header.producer_epoch);
        state.last_timestamp = header.max_timestamp;
        state.batches.push(BatchMetadata {
            last_sequence: header.last_sequence(),
            offset_delta: header.last_offset_delta,
            last_offset: base_offset.saturating_add(i64::from(header.last_offset_delta)),
            timestamp: header.max_timestamp,
        });
        if header.attributes.is_transactional() && state.transaction_first_offset.is_none() {
            state.transaction_first_offset = Some(base_offset);
            self.open.insert(base_offset, header.producer_id);
        }
    }

    fn end_transaction(
        &mut self,
        header: &BatchHeader,
        marker: &EndTransactionMarker,
        last_offset: i64,
    ) -> Option<AbortedTransaction> {
        let producer_id = header.producer_id;
        let state = self.states.entry(producer_id).or_insert(ProducerState::UNKNOWN);
        state.set_epoch(header.producer_epoch);
        state.coordinator_epoch = marker.coordinator_epoch;
        state.last_timestamp = header.max_timestamp;
        // Without records of the transaction in this partition there is nothing to hide and nothing to wait for.
        let first_offset = state.transaction_first_offset.take()?;
        self.open.remove(&first_offset);
        self.unreplicated.insert(first_offset, last_offset);
        if marker.commit {
            return None;
        }
        let last_stable_offset = self.first_open_offset().unwrap_or(last_offset.saturating_add(1));
        Some(AbortedTransaction { producer_id, first_offset, last_offset, last_stable_offset })
    }

    /// Offset of the first record whose transaction is open, or ended by a marker at `high_watermark` or behind it.
    pub fn first_unstable_offset(&self, high_watermark: i64) -> Option<i64> {
        let unreplicated = self.unreplicated.iter().find(|(_, marker)| **marker >= high_watermark);
        let unreplicated = unreplicated.map(|(first_offset, _)| *first_offset);
        self.first_open_offset().into_iter().chain(unreplicated).min()
    }

    /// Where a `read_committed` consumer must stop. The caller raises it to the start of the log, which DeleteRecords
    /// may have moved into an open transaction.
    pub fn last_stable_offset(&self, high_watermark: i64) -> i64 {
        self.first_unstable_offset(high_watermark).map_or(high_watermark, |offset| offset.min(high_watermark))
    }

    /// Offset of the first record whose transaction is open.
    pub fn first_open_offset(&self) -> Option<i64> {
        self.open.first_key_value().map(|(first_offset, _)| *first_offset)
    }

    /// Timestamp of the last batch of the producer with the oldest open transaction, to find transactions left hanging.
    pub fn oldest_transaction_timestamp(&self) -> Option<i64> {
        let (_, producer_id) = self.open.first_key_value()?;
        self.states.get(producer_id).map(ProducerState::last_timestamp)
    }

    /// Lets go of the ended transactions whose marker is before `offset`: the high watermark, or the start of the log.
    pub fn forget_ended_before(&mut self, offset: i64) {
        if !self.unreplicated.is_empty() {
            self.unreplicated.retain(|_, marker| *marker >= offset);
        }
    }

    /// Says that the coordinator is about to be asked whether the partition is part of the producer's transaction.
    /// The guard goes with the batch to [`Producers::check_verified`] once the coordinator has said yes. `None`: the
    /// transaction is open in this partition, there is nothing to ask.
    ///
    /// `sequence` is the base sequence of the batch; `epoch_bump`: every transaction has its own epoch (KIP-890).
    ///
    /// # Errors
    /// [`ProducerError::InvalidEpoch`] if a higher epoch was seen.
    pub fn begin_verification(
        &mut self,
        producer_id: i64,
        epoch: i16,
        sequence: i32,
        epoch_bump: bool,
        now: i64,
    ) -> Result<Option<VerificationGuard>, ProducerError> {
        if let Some(state) = self.states.get(&producer_id) {
            if epoch < state.epoch {
                return Err(ProducerError::InvalidEpoch { producer_id, epoch, current: state.epoch });
            }
            if self.has_open_transaction(producer_id, epoch) {
                return Ok(None);
            }
        }
        Ok(Some(self.verifications.begin(producer_id, epoch, sequence, epoch_bump, now)))
    }

    /// Whether the producer has a transaction open in this partition, in exactly that epoch.
    pub fn has_open_transaction(&self, producer_id: i64, epoch: i16) -> bool {
        let state = self.states.get(&producer_id);
        state.is_some_and(|state| state.epoch == epoch && state.transaction_first_offset.is_some())
    }

    /// Forgets producers without an open transaction, and verifications, that have been idle for `expiration_ms`
    /// (`producer.id.expiration.ms`) at the time `now`. What counts is the time in the records.
    pub fn remove_expired(&mut self, now: i64, expiration_ms: i64) {
        self.states.retain(|_, state| !state.is_expired(now, expiration_ms));
        self.verifications.remove_expired(now, expiration_ms);
    }

    /// Forgets everything but pending verifications.
    pub fn clear(&mut self) {
        self.states.clear();
        self.open.clear();
        self.unreplicated.clear();
    }

    /// What is known of one producer.
    pub fn get(&self, producer_id: i64) -> Option<&ProducerState> {
        self.states.get(&producer_id)
    }

    /// All producers, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (i64, &ProducerState)> {
        self.states.iter().map(|(producer_id, state)| (*producer_id, state))
    }

    /// The largest producer id of which anything is known.
    pub fn max_id(&self) -> Option<i64> {
        self.states.keys().copied().max()
    }

    /// Number of producers.
    pub fn len(&self) -> usize {
        self.states.len()
    }

    /// Whether there are no producers.
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }
}

fn duplicate_of(state: &ProducerState, header: &BatchHeader) -> Option<Checked> {
    if state.epoch != header.producer_epoch {
        return None;
    }
    let batch = state.batches.find(header.base_sequence, header.last_sequence())?;
    Some(Checked::Duplicate {
        base_offset: batch.first_offset(),
        last_offset: batch.last_offset,
        timestamp: batch.timestamp,
    })
}

fn check_marker(
    state: &ProducerState,
    producer_id: i64,
    marker: Option<&EndTransactionMarker>,
    origin: Origin,
) -> Result<Checked, ProducerError> {
    match marker {
        Some(marker)
            if origin != Origin::Replication && marker.coordinator_epoch < state.coordinator_epoch =>
        {
            let (coordinator_epoch, current) = (marker.coordinator_epoch, state.coordinator_epoch);
            Err(ProducerError::CoordinatorFenced { producer_id, coordinator_epoch, current })
        }
        _ => Ok(Checked::Append),
    }
}

fn check_sequence(state: &ProducerState, header: &BatchHeader) -> Result<(), ProducerError> {
    // Of an unknown producer every sequence is taken: its records may have been deleted, and its state with them.
    let expected = if header.producer_epoch == state.epoch { state.batches.next_sequence() } else { 0 };
    if state.epoch == NO_PRODUCER_EPOCH || header.base_sequence == expected {
        return Ok(());
    }
    Err(out_of_order(header, expected))
}

fn out_of_order(header: &BatchHeader, expected: i32) -> ProducerError {
    ProducerError::OutOfOrderSequence {
        producer_id: header.producer_id,
        epoch: header.producer_epoch,
        sequence: header.base_sequence,
        expected,
    }
}

#[cfg(test)]
mod tests;
