//! Snapshots of the metadata log: when one is due, and what is in it.
//!
//! ```text
//! control batch: SnapshotHeader, and for a dynamic quorum KRaftVersion and KRaftVoters
//! data batches, the records of the image
//! control batch: SnapshotFooter
//! ```
//! Offsets in it count from 0, every batch has the epoch of the name.

use super::Controller;
use super::writer::RECORD_OVERHEAD;
use crate::metadata::Image;
use milena_protocol::records::{
    BatchBuilder, CompressionError, ControlType, KRaftVersion, SnapshotFooter, SnapshotHeader, control_batch,
};
use milena_protocol::stored::StoredError;
use std::sync::Arc;
use std::time::Duration;

/// Records of one batch at most (`MetadataBatchLoader`, `RaftSnapshotWriter`).
const BATCH_RECORDS: usize = 1024;
/// Bytes after which a batch ends.
const BATCH_BYTES: usize = 1 << 20;
/// Old snapshots are looked for this often (`KafkaRaftClient`, a minute).
const TRIM_MS: i64 = 60_000;

/// What came since the last snapshot.
#[derive(Debug)]
pub(super) struct SinceSnapshot {
    /// End offset of the newest snapshot, 0 without one.
    pub(super) covered: i64,
    /// Bytes of log behind it.
    pub(super) bytes: u64,
    /// When it was written, or when this process started, by the steady clock.
    pub(super) since_ms: i64,
    /// When old ones are to be looked for, by the steady clock.
    pub(super) trim_ms: i64,
}

impl Controller {
    /// Writes a snapshot if one is due (`SnapshotGenerator`), and lets go of those, and of the log, that need not be
    /// kept. Blocks on the disk; changes of the metadata go on meanwhile.
    pub(crate) fn keep_snapshots(&self) {
        let (now_ms, steady_ms) = (self.clock.now_ms(), self.clock.steady_ms());
        let config = self.config.load().metadata.clone();
        let mut trim = false;
        if let Some(image) = self.take_due(config.snapshot_bytes, config.snapshot_interval, steady_ms) {
            trim = true;
            self.store(&image, Some(now_ms));
        }
        {
            let since = &mut self.writer.lock().since_snapshot;
            if trim || steady_ms >= since.trim_ms {
                since.trim_ms = steady_ms + TRIM_MS;
                trim = true;
            }
        }
        if trim {
            self.trim(now_ms);
        }
    }

    /// Writes a snapshot of what has come since the last one, for a stop: from then on all of it is there twice, and what
    /// goes bad in the one place is read from the other. The log keeps its segment, of which a stop is no reason for another.
    pub(crate) fn keep_last_snapshot(&self) {
        if let Some(image) = self.take_due(0, None, self.clock.steady_ms()) {
            self.store(&image, None);
            self.trim(self.clock.now_ms());
        }
    }

    /// Lets go of what is older, or takes more, than the configuration allows.
    fn trim(&self, now_ms: i64) {
        let config = self.config.load().metadata.clone();
        if let Err(error) = self.log.trim(config.retention_bytes, config.retention_ms, now_ms) {
            tracing::warn!("old metadata cannot be removed: {error}");
        }
    }

    /// Stores a snapshot, and begins a segment behind it if it is told the time.
    fn store(&self, image: &Image, rolls_at_ms: Option<i64>) {
        let (end_offset, epoch) = (image.offset() + 1, image.epoch());
        let stored = encode(image)
            .map_err(Into::into)
            .and_then(|bytes| self.log.store_snapshot(end_offset, epoch, &bytes))
            .and_then(|()| rolls_at_ms.map_or(Ok(()), |now_ms| self.log.begin_segment(now_ms)));
        match stored {
            Ok(()) => tracing::info!("metadata snapshot {end_offset}-{epoch} written"),
            // The log still has everything; the next is tried when as much has come again.
            Err(error) => tracing::error!("metadata snapshot {end_offset}-{epoch} not written: {error}"),
        }
    }

    /// The image to write, if it is time; the count begins anew then, whatever becomes of it.
    fn take_due(&self, max_bytes: u64, interval: Option<Duration>, steady_ms: i64) -> Option<Arc<Image>> {
        let mut writer = self.writer.lock();
        let image = self.image.load_full();
        let since = &writer.since_snapshot;
        let waited = u128::try_from(steady_ms - since.since_ms).unwrap_or(0);
        let late = interval.is_some_and(|interval| waited >= interval.as_millis());
        let due = image.offset() >= since.covered && (since.bytes >= max_bytes || late);
        if !due || !image.is_complete() || writer.failed {
            return None;
        }
        let (covered, trim_ms) = (image.offset() + 1, since.trim_ms);
        writer.since_snapshot = SinceSnapshot { covered, bytes: 0, since_ms: steady_ms, trim_ms };
        Some(image)
    }
}

/// Why an image cannot be written down.
#[derive(Debug, thiserror::Error)]
pub(super) enum SnapshotError {
    #[error(transparent)]
    Record(#[from] StoredError),
    #[error(transparent)]
    Batch(#[from] CompressionError),
}

/// The bytes of a snapshot file.
pub(super) fn encode(image: &Image) -> Result<Vec<u8>, SnapshotError> {
    let header = SnapshotHeader { last_contained_log_timestamp: image.timestamp_ms() }.value();
    let version = KRaftVersion { kraft_version: image.kraft_version() }.value();
    let voters = image.voters().map(|voters| voters.value());
    let mut head = vec![(ControlType::SnapshotHeader, header.as_slice())];
    if image.kraft_version() > 0 {
        head.push((ControlType::KRaftVersion, version.as_slice()));
        head.extend(voters.as_deref().map(|voters| (ControlType::KRaftVoters, voters)));
    }
    let mut next_offset = head.len() as i64;
    let mut bytes = control_batch(0, image.epoch(), image.timestamp_ms(), head)?;
    let mut values: Vec<Vec<u8>> = Vec::new();
    let mut size = 0;
    let mut flush = |values: &mut Vec<Vec<u8>>| -> Result<(), SnapshotError> {
        if values.is_empty() {
            return Ok(());
        }
        let mut batch = BatchBuilder::new().base_offset(next_offset).leader_epoch(image.epoch());
        for value in values.iter() {
            batch.append(image.timestamp_ms(), None, Some(value), &[]);
        }
        bytes.extend_from_slice(&batch.build()?);
        next_offset += values.len() as i64;
        values.clear();
        Ok(())
    };
    image.for_each_record(|record| {
        let value = record.try_encode()?;
        size += value.len() + RECORD_OVERHEAD;
        values.push(value);
        if values.len() == BATCH_RECORDS || size >= BATCH_BYTES {
            size = 0;
            flush(&mut values)?;
        }
        Ok::<_, SnapshotError>(())
    })?;
    flush(&mut values)?;
    let footer = SnapshotFooter.value();
    let footer = [(ControlType::SnapshotFooter, footer.as_slice())];
    bytes.extend_from_slice(&control_batch(next_offset, image.epoch(), image.timestamp_ms(), footer)?);
    Ok(bytes)
}

#[cfg(test)]
mod tests;
