//! Producers to the bytes of a `%020d.snapshot` file and back.

use milena_protocol::stored::StoredError;
use milena_protocol::stored::producer_snapshot::{self, ProducerSnapshotEntry};
use thiserror::Error;

use super::{BatchMetadata, ProducerState, Producers, RecentBatches};

/// Stands for "none" in a sequence number or an offset.
const NONE: i32 = -1;

/// Why a snapshot was not loaded. The remedy is an older snapshot, and replaying the log from its offset.
#[derive(Debug, Error)]
#[error("corrupt producer snapshot: {0}")]
pub struct SnapshotError(#[from] StoredError);

impl Producers {
    /// The bytes of a snapshot file: of each producer the state and the last batch, in the order of the ids.
    pub fn snapshot(&self) -> Vec<u8> {
        let mut entries: Vec<_> =
            self.iter().map(|(producer_id, state)| to_entry(producer_id, state)).collect();
        entries.sort_unstable_by_key(|entry| entry.producer_id);
        producer_snapshot::encode(&entries)
    }

    /// Replaces everything but pending verifications by what a snapshot file holds. Producers that
    /// [`Producers::remove_expired`] would remove are left out.
    ///
    /// # Errors
    /// [`SnapshotError`] if the bytes are no snapshot; nothing has changed then.
    pub fn restore(&mut self, bytes: &[u8], now: i64, expiration_ms: i64) -> Result<(), SnapshotError> {
        let entries = producer_snapshot::decode(bytes)?;
        self.clear();
        for entry in entries {
            let state = to_state(&entry);
            if state.is_expired(now, expiration_ms) {
                continue;
            }
            if let Some(first_offset) = state.transaction_first_offset {
                self.open.insert(first_offset, entry.producer_id);
            }
            self.states.insert(entry.producer_id, state);
        }
        Ok(())
    }
}

fn to_entry(producer_id: i64, state: &ProducerState) -> ProducerSnapshotEntry {
    let last = state.batches.last();
    ProducerSnapshotEntry {
        producer_id,
        producer_epoch: state.epoch,
        last_sequence: last.map_or(NONE, |batch| batch.last_sequence),
        last_offset: last.map_or(i64::from(NONE), |batch| batch.last_offset),
        offset_delta: last.map_or(0, |batch| batch.offset_delta),
        timestamp: state.last_timestamp,
        coordinator_epoch: state.coordinator_epoch,
        current_txn_first_offset: state.transaction_first_offset.unwrap_or(i64::from(NONE)),
    }
}

fn to_state(entry: &ProducerSnapshotEntry) -> ProducerState {
    let mut batches = RecentBatches::new();
    if entry.last_offset >= 0 {
        batches.push(BatchMetadata {
            last_sequence: entry.last_sequence,
            offset_delta: entry.offset_delta,
            last_offset: entry.last_offset,
            timestamp: entry.timestamp,
        });
    }
    ProducerState {
        epoch: entry.producer_epoch,
        coordinator_epoch: entry.coordinator_epoch,
        last_timestamp: entry.timestamp,
        transaction_first_offset: (entry.current_txn_first_offset >= 0)
            .then_some(entry.current_txn_first_offset),
        batches,
    }
}
