//! What is known of one producer.

use milena_protocol::records::{NO_PRODUCER_EPOCH, NO_TIMESTAMP};

use super::RecentBatches;

/// Coordinator epoch of a producer that no marker was written for.
pub const NO_COORDINATOR_EPOCH: i32 = -1;

/// What a partition knows of one producer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerState {
    pub(super) epoch: i16,
    pub(super) coordinator_epoch: i32,
    pub(super) last_timestamp: i64,
    pub(super) transaction_first_offset: Option<i64>,
    pub(super) batches: RecentBatches,
}

impl ProducerState {
    pub(super) const UNKNOWN: Self = Self {
        epoch: NO_PRODUCER_EPOCH,
        coordinator_epoch: NO_COORDINATOR_EPOCH,
        last_timestamp: NO_TIMESTAMP,
        transaction_first_offset: None,
        batches: RecentBatches::new(),
    };

    /// The last epoch seen.
    pub fn epoch(&self) -> i16 {
        self.epoch
    }

    /// Epoch of the transaction coordinator that wrote the last marker, -1 if none did.
    pub fn coordinator_epoch(&self) -> i32 {
        self.coordinator_epoch
    }

    /// Largest timestamp of the last batch or marker, in milliseconds.
    pub fn last_timestamp(&self) -> i64 {
        self.last_timestamp
    }

    /// Offset of the first record of the open transaction.
    pub fn transaction_first_offset(&self) -> Option<i64> {
        self.transaction_first_offset
    }

    /// The last batches of the current epoch.
    pub fn batches(&self) -> &RecentBatches {
        &self.batches
    }

    pub(super) fn set_epoch(&mut self, epoch: i16) {
        if self.epoch != epoch {
            self.epoch = epoch;
            self.batches.clear();
        }
    }

    pub(super) fn is_expired(&self, now: i64, expiration_ms: i64) -> bool {
        self.transaction_first_offset.is_none() && now.saturating_sub(self.last_timestamp) >= expiration_ms
    }
}
