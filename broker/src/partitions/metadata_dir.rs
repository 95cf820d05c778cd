//! `__cluster_metadata-0`: the metadata log, its snapshots, and the state of the quorum.

mod damaged;

pub(super) use damaged::is_whole;

use crate::config::MetadataConfig;
use crate::controller::{AppendFailure, MetadataLog, StorageFailure};
use crate::partition::append_batches;
use milena_protocol::records::{BatchHeader, Batches, ControlType, HEADER_LEN, Records, SnapshotHeader};
use milena_protocol::stored::quorum_state::QuorumState;
use milena_storage::config::LogConfig;
use milena_storage::error::{Error, Result};
use milena_storage::file::Disk;
use milena_storage::file_name::{self, MetadataSnapshotFile, MetadataSnapshotStage};
use milena_storage::log::{Append, Log, Start};
use milena_storage::log_dir::LogDir;
use milena_storage::producers::Origin;
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::time::Duration;
use uuid::Uuid;

/// Topic and id of the metadata log.
pub(super) const METADATA_TOPIC: &str = "__cluster_metadata";
const METADATA_TOPIC_ID: Uuid = Uuid::from_u128(1);
/// Disk space kept for the metadata log, in bytes: on a full disk topics can be deleted, which is what makes room.
const SET_ASIDE: u32 = 64 << 10;
/// Between two tries to sync while the process has no file descriptor left.
const SHORTAGE_PAUSE: Duration = Duration::from_millis(20);
/// Where a segment of a log that ends before its snapshot is set aside.
const QUARANTINED: &str = ".quarantined";

/// The metadata log and what lies beside it.
#[derive(Debug)]
pub(crate) struct MetadataDir {
    log: Log,
    dir: PathBuf,
    disk: Disk,
    directory_id: Uuid,
    now_ms: i64,
    /// Held by who syncs the log: those who come meanwhile find that the next sync has done it for all of them.
    syncing: Mutex<()>,
}

/// A snapshot file with its name taken apart.
#[derive(Debug)]
pub(crate) struct SnapshotFile {
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
    /// First offset that it does not cover.
    pub(crate) end_offset: i64,
    /// Epoch of the last record that it covers.
    pub(crate) epoch: i32,
}

impl MetadataDir {
    /// Opens `__cluster_metadata-0` in a data directory. It is always scanned, as in Kafka, from the segment on that holds
    /// the end of the newest snapshot: what lies before is not read again.
    pub(crate) fn open(
        dir: &LogDir,
        config: &MetadataConfig,
        now_ms: i64,
    ) -> Result<(Self, Option<SnapshotFile>)> {
        let path = dir.path_of(METADATA_TOPIC, 0);
        let disk = dir.disk().clone();
        disk.create_dir(&path)?;
        if !path.join(file_name::PARTITION_METADATA).exists() {
            dir.write_topic_id(&path, METADATA_TOPIC_ID)?;
        }
        let mut all = snapshots(&disk, &path)?;
        let has_log = !log_files(&disk, &path)?.is_empty();
        let damaged = if has_log { damaged::take_from(&mut all, &disk, &path)? } else { Vec::new() };
        let mut newest = all.pop();
        let config = LogConfig {
            mapped: false,
            segment_bytes: config.segment_bytes,
            segment_ms: config.segment_ms,
            // Only what a snapshot stands for may go.
            delete: false,
            ..LogConfig::default()
        };
        let covered = newest.as_ref().map_or(0, |snapshot| snapshot.end_offset);
        let start = Start {
            clean: false,
            recovery_point: covered,
            log_start: if has_log { 0 } else { covered },
            cleaned: false,
            gapless: true,
            now_ms,
        };
        let set_aside_before = quarantined(&disk, &path)?;
        let mut log = Log::open(&disk, &path, config.clone(), &start)?;
        let is_cut = quarantined(&disk, &path)? > set_aside_before;
        if let Some(lost) = damaged.first() {
            if log.start_offset() <= covered && log.end_offset() >= lost.end_offset {
                damaged::set_aside(&damaged, &disk, &path)?;
            } else {
                // Whoever reads it says why that is not possible.
                newest = Some(lost.clone());
            }
        } else if log.end_offset() < covered {
            drop(log);
            set_aside(&disk, &path, covered)?;
            log = Log::open(&disk, &path, config, &Start { log_start: covered, ..start })?;
        } else if is_cut {
            tracing::error!(
                "{} is damaged: changes of the metadata from offset {} on are lost, and topics that were made by them are \
                 kept as -stray; to have them back, stop the broker, put a backup of this directory in its place, and take \
                 that ending off the names of theirs",
                path.display(),
                log.end_offset()
            );
        }
        if !dir.was_clean() {
            // A change whose answer the death of the process has prevented counts from here on, and what clients build on
            // it may be synced: it must not be lost before that.
            log.flush()?;
        }
        log.set_aside(SET_ASIDE)?;
        let snapshot = match newest {
            Some(found) => Some(SnapshotFile {
                bytes: disk.read(&path.join(found.to_string()))?,
                end_offset: found.end_offset,
                epoch: found.epoch,
            }),
            None => None,
        };
        let directory_id = dir.identity().directory_id;
        let syncing = Mutex::default();
        Ok((Self { log, dir: path, disk, directory_id, now_ms, syncing }, snapshot))
    }

    /// `directory.id` of the directory that it is in.
    pub(crate) fn directory_id(&self) -> Uuid {
        self.directory_id
    }

    /// `leaderEpoch` of `quorum-state`, 0 if it cannot be read.
    pub(crate) fn quorum_epoch(&self) -> i32 {
        let bytes = self
            .disk
            .read_if_there(&self.dir.join(file_name::QUORUM_STATE))
            .ok()
            .flatten()
            .unwrap_or_default();
        QuorumState::parse(&bytes).map_or(0, |state| state.leader_epoch)
    }

    /// Writes `quorum-state` if it says something else.
    pub(crate) fn save_quorum_state(&self, state: &str) -> Result<()> {
        let path = self.dir.join(file_name::QUORUM_STATE);
        if self.disk.read_if_there(&path)?.as_deref() == Some(state.as_bytes()) {
            return Ok(());
        }
        self.disk.write_atomically(&path, state.as_bytes(), true)
    }

    /// Ends the log for a clean stop.
    pub(crate) fn close(&self) -> Result<()> {
        self.log.close()?;
        self.log.sync_closed()
    }

    /// Removes everything before a snapshot, which then is the oldest.
    fn delete_before(&self, snapshot: &MetadataSnapshotFile, now_ms: i64) -> Result<()> {
        self.log.delete_before(snapshot.end_offset)?;
        while self.log.retain(now_ms)?.more {}
        // At once, whatever the clock of such delays says: nobody reads what has left the log.
        self.log.remove_doomed(i64::MAX);
        Ok(())
    }
}

impl MetadataLog for MetadataDir {
    fn append(&self, batches: &[u8]) -> std::result::Result<i64, AppendFailure> {
        let header = BatchHeader::read(batches)?;
        let how = Append {
            leader_epoch: header.partition_leader_epoch,
            origin: Origin::Coordinator,
            now_ms: self.now_ms,
        };
        let base_offset = match append_batches(&self.log, batches, &how) {
            Ok((base_offset, _)) => base_offset,
            Err(error) if matches!(error, Error::Full(_)) || error.is_shortage() => {
                return Err(AppendFailure::Undone(error.into()));
            }
            Err(error) => return Err(error.into()),
        };
        match self.log.set_aside(SET_ASIDE) {
            // The next append asks for the room again.
            Err(error) if error.is_shortage() => {}
            other => other?,
        }
        Ok(base_offset)
    }

    fn sync(&self, upto: i64) -> std::result::Result<(), StorageFailure> {
        // Other connections of this thread go on meanwhile.
        tokio::task::block_in_place(|| {
            let _one_at_a_time = self.syncing.lock();
            let mut waited = false;
            while self.log.recovery_point() < upto {
                match self.log.flush() {
                    // The records are in the log, and nothing of them is in doubt: it is those who have the descriptors
                    // now that decide how long this takes.
                    Err(error) if error.is_shortage() => {
                        if !std::mem::replace(&mut waited, true) {
                            tracing::warn!("{error}; changes of metadata wait for file descriptors");
                        }
                        std::thread::sleep(SHORTAGE_PAUSE);
                    }
                    done => return Ok(done?),
                }
            }
            Ok(())
        })
    }

    fn read(&self, from: i64, max_bytes: usize) -> std::result::Result<Vec<u8>, StorageFailure> {
        Ok(self.log.read_batches(from, max_bytes)?)
    }

    fn end_offset(&self) -> i64 {
        self.log.end_offset()
    }

    fn start_offset(&self) -> i64 {
        self.log.start_offset()
    }

    fn store_snapshot(
        &self,
        end_offset: i64,
        epoch: i32,
        bytes: &[u8],
    ) -> std::result::Result<(), StorageFailure> {
        let name = MetadataSnapshotFile { end_offset, epoch, stage: MetadataSnapshotStage::Live };
        Ok(self.disk.write_atomically(&self.dir.join(name.to_string()), bytes, true)?)
    }

    fn begin_segment(&self, now_ms: i64) -> std::result::Result<(), StorageFailure> {
        self.log.begin_segment(now_ms)?;
        Ok(self.log.set_aside(SET_ASIDE)?)
    }

    fn trim(
        &self,
        max_bytes: Option<u64>,
        max_ms: Option<i64>,
        now_ms: i64,
    ) -> std::result::Result<(), StorageFailure> {
        remove_unfinished(&self.disk, &self.dir)?;
        let mut snapshots = snapshots(&self.disk, &self.dir)?;
        while let [oldest, next, ..] = snapshots.as_slice() {
            let path = self.dir.join(oldest.to_string());
            let mut size = self.log.size();
            for snapshot in &snapshots {
                size += self.disk.length(&self.dir.join(snapshot.to_string()))?;
            }
            let old = |max| now_ms - last_timestamp(&self.disk, &path).unwrap_or(now_ms) > max;
            // One below the log start is of no use: whoever put it there has died before it was removed.
            let useless = next.end_offset <= self.log.start_offset();
            let due = useless || max_bytes.is_some_and(|max| size > max) || max_ms.is_some_and(old);
            if !due {
                break;
            }
            self.delete_before(next, now_ms)?;
            self.disk.remove(&path)?;
            snapshots.remove(0);
        }
        Ok(())
    }
}

/// The complete snapshots, the oldest first.
fn snapshots(disk: &Disk, dir: &Path) -> Result<Vec<MetadataSnapshotFile>> {
    let mut found = snapshot_files(disk, dir)?;
    found.retain(|snapshot| snapshot.stage == MetadataSnapshotStage::Live);
    found.sort_unstable_by_key(|snapshot| (snapshot.end_offset, snapshot.epoch));
    Ok(found)
}

/// Removes what a Kafka that died was writing, or was about to remove.
fn remove_unfinished(disk: &Disk, dir: &Path) -> Result<()> {
    let files = snapshot_files(disk, dir)?;
    let mut unfinished = files.iter().filter(|snapshot| snapshot.stage != MetadataSnapshotStage::Live);
    unfinished.try_for_each(|snapshot| disk.remove(&dir.join(snapshot.to_string())))
}

fn snapshot_files(disk: &Disk, dir: &Path) -> Result<Vec<MetadataSnapshotFile>> {
    Ok(disk.list(dir)?.iter().filter_map(|name| name.to_str()?.parse().ok()).collect())
}

fn log_files(disk: &Disk, dir: &Path) -> Result<Vec<PathBuf>> {
    let names = disk.list(dir)?;
    Ok(names
        .iter()
        .map(|name| dir.join(name))
        .filter(|path| path.extension().is_some_and(|e| e == "log"))
        .collect())
}

/// Number of files that were set aside.
fn quarantined(disk: &Disk, dir: &Path) -> Result<usize> {
    Ok(disk.list(dir)?.iter().filter(|name| name.to_string_lossy().ends_with(QUARANTINED)).count())
}

/// A log that ends before the snapshot was cut where it is damaged, and cannot be continued there; the snapshot has all
/// that it said and more.
fn set_aside(disk: &Disk, dir: &Path, covered: i64) -> Result<()> {
    for from in log_files(disk, dir)? {
        tracing::error!(
            "{} ends before the snapshot at offset {covered} and is set aside as {QUARANTINED}",
            from.display()
        );
        let mut to = from.clone().into_os_string();
        to.push(QUARANTINED);
        disk.rename(&from, Path::new(&to))?;
    }
    disk.remove(&dir.join(file_name::LEADER_EPOCH_CHECKPOINT))
}

/// Append time of the last record that a snapshot stands for, from its header; `None` if it does not say so.
fn last_timestamp(disk: &Disk, path: &Path) -> Option<i64> {
    let bytes = disk.read(path).inspect_err(|error: &Error| tracing::debug!("{error}")).ok()?;
    let (header, batch) = Batches::new(&bytes).next()?.ok()?;
    let record = Records::new(&batch[HEADER_LEN..], header.record_count).next()?.ok()?;
    let is_header = ControlType::from_key(record.key?) == Ok(ControlType::SnapshotHeader);
    is_header.then(|| SnapshotHeader::read(record.value?).ok().map(|h| h.last_contained_log_timestamp))?
}

#[cfg(test)]
mod tests;
