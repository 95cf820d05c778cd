//! Opening a log: what is trusted, what is scanned, what is repaired.
//!
//! | found in the directory | after a clean stop | after anything else |
//! |---|---|---|
//! | `.deleted`, `.cleaned`, `.tmp` | removed | removed |
//! | `.swap` | wins over the files that it replaces | the same |
//! | closed segment below the recovery point, index there | trusted | trusted |
//! | closed segment, index missing or of a wrong size | scanned, index rebuilt | the same |
//! | segment at or above the recovery point | trusted | scanned with CRCs, indexes rebuilt |
//! | active segment | its end is read from the last index entry on | scanned |
//! | first bad batch of a scan | segment cut there, later segments set aside as `.quarantined` | the same |
//! | index files without a log file | removed | removed |
//! | newest producer snapshot at or below the end | loaded, the rest replayed from the log | the same |
//! | leader epochs | kept up to the end | the same, newer ones are found while scanning |
//! | no segment | an empty one at the log start | the same |
//!
//! A batch is good if its header makes sense, it is complete, its CRC is right, and its base offset is not below the
//! end of the batch before it.

mod batch_reader;

use self::batch_reader::{BatchReader, Step};
use super::append::{index_limits, jitter};
use super::{RollClock, Tail, Writer};
use crate::config::LogConfig;
use crate::error::{Error, Result};
use crate::file::Disk;
use crate::file_name::{self, FileStage, SegmentFile, SegmentFileKind};
use crate::index::{ActiveIndexes, IndexedBatch, offset, time};
use crate::leader_epochs::LeaderEpochs;
use crate::producers::Producers;
use crate::segment::{Published, Segment, Walk, read_batch};
use milena_protocol::records::EndTransactionMarker;
use milena_protocol::records::Records;
use milena_protocol::records::{BatchHeader, HEADER_LEN, crc_matches};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is known of a log before its directory is looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Start {
    /// The broker stopped cleanly.
    pub clean: bool,
    /// From the checkpoint: everything below was synced.
    pub recovery_point: i64,
    /// From the checkpoint: the first offset that may be read.
    pub log_start: i64,
    /// Wall clock, in milliseconds.
    pub now_ms: i64,
}

pub(super) struct Loaded {
    pub(super) segments: Vec<Arc<Segment>>,
    pub(super) writer: Writer,
    pub(super) log_start: i64,
    pub(super) recovery_point: i64,
}

/// A log while it is being opened.
struct Loader<'a> {
    disk: &'a Disk,
    dir: &'a Path,
    config: &'a LogConfig,
    start: &'a Start,
    epochs: LeaderEpochs,
    epochs_changed: bool,
    /// Something was cut off or rebuilt: later checks must not trust what was written before.
    repaired: bool,
    /// Base offsets of the segments that were scanned.
    scanned: BTreeSet<i64>,
    /// A batch of a producer was met while scanning.
    producers_seen: bool,
    /// Offsets of the producer snapshots.
    snapshots: BTreeSet<i64>,
    /// Base offsets of the transaction indexes.
    transaction_indexes: BTreeSet<i64>,
    /// There is a leader-epoch-checkpoint.
    has_epochs: bool,
    /// The segment scanned last, and the largest timestamp of its first batch.
    first_timestamp: Option<(i64, i64)>,
}

/// The end-transaction marker of a control batch, if it is one.
pub(super) fn marker_of(header: &BatchHeader, body: &[u8]) -> Option<EndTransactionMarker> {
    if !header.attributes.is_control() {
        return None;
    }
    let record = Records::new(body, header.record_count).next()?.ok()?;
    EndTransactionMarker::read(record.key?, record.value?).ok().flatten()
}

pub(super) fn load(disk: &Disk, dir: &Path, config: &LogConfig, start: &Start) -> Result<Loaded> {
    let mut loader = Loader {
        disk,
        dir,
        config,
        start,
        epochs: LeaderEpochs::new(),
        epochs_changed: false,
        repaired: false,
        scanned: BTreeSet::new(),
        producers_seen: false,
        snapshots: BTreeSet::new(),
        transaction_indexes: BTreeSet::new(),
        has_epochs: false,
        first_timestamp: None,
    };
    let mut files = loader.tidy()?;
    if files.is_empty() {
        loader.create(start.log_start)?;
        files.insert(start.log_start, 0);
    }
    loader.read_epochs()?;
    loader.load(files)
}

impl Loader<'_> {
    fn path(&self, base_offset: i64, kind: SegmentFileKind) -> PathBuf {
        self.dir.join(SegmentFile::live(base_offset, kind).to_string())
    }

    fn create(&self, base_offset: i64) -> Result<File> {
        self.disk.create(&self.path(base_offset, SegmentFileKind::Log))
    }

    /// Removes what a crash left half done; returns base offset and length of every segment.
    fn tidy(&mut self) -> Result<BTreeMap<i64, u64>> {
        let (mut logs, mut others, mut swaps) = (BTreeMap::new(), Vec::new(), Vec::new());
        for name in self.disk.list(self.dir)? {
            let Some(name) = name.to_str() else { continue };
            if name.ends_with(file_name::TEMPORARY_SUFFIX) {
                self.disk.remove(&self.dir.join(name))?;
                continue;
            }
            self.has_epochs |= name == file_name::LEADER_EPOCH_CHECKPOINT;
            let Ok(file) = name.parse::<SegmentFile>() else { continue };
            match file.stage {
                FileStage::Deleted | FileStage::Cleaned => self.disk.remove(&self.dir.join(name))?,
                FileStage::Swap => swaps.push(file),
                FileStage::Live if file.kind == SegmentFileKind::Log => {
                    logs.insert(file.base_offset, self.length(name)?);
                }
                FileStage::Live => others.push(file),
            }
        }
        for swap in swaps.iter().filter(|s| s.kind == SegmentFileKind::Log) {
            self.finish_swap(swap, &swaps, &mut logs)?;
        }
        for file in others {
            if file.kind == SegmentFileKind::ProducerSnapshot {
                self.snapshots.insert(file.base_offset);
            } else if !logs.contains_key(&file.base_offset) {
                self.disk.remove(&self.dir.join(file.to_string()))?;
            } else if file.kind == SegmentFileKind::TransactionIndex {
                self.transaction_indexes.insert(file.base_offset);
            }
        }
        Ok(logs)
    }

    fn length(&self, name: &str) -> Result<u64> {
        let path = self.dir.join(name);
        std::fs::metadata(&path).map(|m| m.len()).map_err(|e| Error::io("stat", &path, e))
    }

    /// A complete output of compaction replaces the segments whose offsets it covers.
    fn finish_swap(
        &mut self,
        swap: &SegmentFile,
        all: &[SegmentFile],
        logs: &mut BTreeMap<i64, u64>,
    ) -> Result<()> {
        let from = self.dir.join(swap.to_string());
        let bytes = self.disk.read(&from)?;
        let next = milena_protocol::records::Batches::new(&bytes)
            .map_while(std::result::Result::ok)
            .last()
            .map_or(swap.base_offset, |(header, _)| header.next_offset());
        let replaced: Vec<i64> = logs.range(swap.base_offset..next).map(|(base, _)| *base).collect();
        for base in replaced {
            for kind in [
                SegmentFileKind::Log,
                SegmentFileKind::OffsetIndex,
                SegmentFileKind::TimeIndex,
                SegmentFileKind::TransactionIndex,
            ] {
                self.disk.remove(&self.path(base, kind))?;
            }
            logs.remove(&base);
        }
        for file in all.iter().filter(|f| f.base_offset == swap.base_offset) {
            let live = SegmentFile::live(file.base_offset, file.kind).to_string();
            self.disk.rename(&self.dir.join(file.to_string()), &self.dir.join(live))?;
            if file.kind == SegmentFileKind::TransactionIndex {
                self.transaction_indexes.insert(file.base_offset);
            }
        }
        logs.insert(swap.base_offset, bytes.len() as u64);
        Ok(())
    }

    fn read_epochs(&mut self) -> Result<()> {
        if !self.has_epochs {
            return Ok(());
        }
        let path = self.dir.join(file_name::LEADER_EPOCH_CHECKPOINT);
        let Some(bytes) = self.disk.read_if_there(&path)? else { return Ok(()) };
        let parsed = milena_protocol::stored::checkpoint::parse_leader_epochs(&bytes)
            .map_err(|e| e.to_string())
            .and_then(|entries| LeaderEpochs::restore(entries).map_err(|e| e.to_string()));
        match parsed {
            Ok(epochs) => self.epochs = epochs,
            Err(reason) => {
                // Not worth a start that fails: the batches carry their epochs.
                tracing::warn!("{}: {reason}; rebuilding it from the log", path.display());
                (self.repaired, self.epochs_changed) = (true, true);
            }
        }
        Ok(())
    }

    fn load(mut self, files: BTreeMap<i64, u64>) -> Result<Loaded> {
        let bases: Vec<i64> = files.keys().copied().collect();
        let trusted = self.trusted_up_to(&bases);
        let mut segments: Vec<Arc<Segment>> = Vec::with_capacity(bases.len());
        let mut last = None;
        for (i, (&base, &length)) in files.iter().enumerate() {
            let is_last = i + 1 == bases.len();
            if base < trusted && !is_last && self.index_fits(base, length) {
                let next_offset = bases[i + 1];
                segments.push(Arc::new(Segment::closed(
                    self.dir,
                    base,
                    Published { next_offset, position: length as u32 },
                )));
                continue;
            }
            let (end, indexes, cut) = match self.resume(base, length, is_last && base < trusted)? {
                Some((end, indexes)) => (end, indexes, false),
                None => self.scan(base, length)?,
            };
            if is_last || cut {
                self.quarantine(&bases[i + 1..])?;
                let active = Arc::new(Segment::active(self.dir, base, None, end, indexes));
                last = Some((active, end));
                break;
            }
            let segment = Segment::active(
                self.dir,
                base,
                None,
                Published { next_offset: bases[i + 1], ..end },
                indexes,
            );
            super::write_indexes(self.disk, &segment)?;
            segment.close_indexes();
            segments.push(Arc::new(segment));
        }
        let (active, end) = last.ok_or(Error::Closed)?;
        segments.push(active.clone());
        self.finish(segments, active, end)
    }

    /// Segments that begin below this offset are taken as they are.
    fn trusted_up_to(&self, bases: &[i64]) -> i64 {
        if self.start.clean && !self.repaired {
            return i64::MAX;
        }
        // The segment that holds the recovery point is scanned as a whole.
        let at = bases.partition_point(|b| *b <= self.start.recovery_point).saturating_sub(1);
        if self.repaired { 0 } else { bases[at] }
    }

    fn index_fits(&self, base: i64, length: u64) -> bool {
        let offsets = self.disk.open_read(&self.path(base, SegmentFileKind::OffsetIndex));
        let times = self.disk.open_read(&self.path(base, SegmentFileKind::TimeIndex));
        let (Ok(offsets), Ok(times)) = (offsets, times) else { return false };
        offset::check(&offsets, base, length).is_ok() && time::check(&times, base).is_ok()
    }

    /// The end of an active segment that was stopped cleanly, from its last index entry on; `None` if it does not
    /// hold together and must be scanned.
    fn resume(&self, base: i64, length: u64, trusted: bool) -> Result<Option<(Published, ActiveIndexes)>> {
        let limits = index_limits(self.config);
        if length == 0 {
            return Ok(Some((
                Published { next_offset: base, position: 0 },
                ActiveIndexes::new(base, limits),
            )));
        }
        if !trusted || length > i32::MAX as u64 {
            return Ok(None);
        }
        let (Some(offsets), Some(times)) = (
            self.disk.read_if_there(&self.path(base, SegmentFileKind::OffsetIndex))?,
            self.disk.read_if_there(&self.path(base, SegmentFileKind::TimeIndex))?,
        ) else {
            return Ok(None);
        };
        let Ok(indexes) = ActiveIndexes::restore(base, limits, &offsets, &times) else { return Ok(None) };
        let position = length as u32;
        let segment =
            Segment::active(self.dir, base, None, Published { next_offset: base, position }, indexes.clone());
        let from = indexes.offsets().last().map_or(0, |e| e.position);
        let (mut next_offset, mut reached) = (base, from);
        let mut walk = Walk::new(&segment, self.disk, from, position)?;
        while let Ok(Some(place)) = walk.next() {
            (next_offset, reached) = (place.last_offset + 1, place.position + place.size);
        }
        Ok((reached == position).then_some((Published { next_offset, position }, indexes)))
    }

    /// Reads a whole segment with CRCs, rebuilds its indexes and notes its epochs. Returns its good end, and whether
    /// something behind it was cut off.
    fn scan(&mut self, base: i64, length: u64) -> Result<(Published, ActiveIndexes, bool)> {
        self.repaired = true;
        self.scanned.insert(base);
        if self.transaction_indexes.contains(&base) {
            self.disk.remove(&self.path(base, SegmentFileKind::TransactionIndex))?;
        }
        let path = self.path(base, SegmentFileKind::Log);
        let file = self.disk.open(&path)?;
        let mut indexes = ActiveIndexes::new(base, index_limits(self.config));
        let mut end = Published { next_offset: base, position: 0 };
        let mut reader = BatchReader::new(&file, length);
        let reason = loop {
            match reader.next().map_err(|e| Error::io("read", &path, e))? {
                Step::Batch(header, bytes) => {
                    if let Some(reason) = bad(&header, bytes, end.next_offset) {
                        break Some(reason);
                    }
                    let size = bytes.len() as u32;
                    let batch = IndexedBatch {
                        last_offset: header.last_offset(),
                        max_timestamp: header.max_timestamp,
                        position: end.position,
                        size,
                    };
                    if indexes.append(&batch).is_err() {
                        break Some("its offset does not fit into the segment".into());
                    }
                    self.note_epoch(&header);
                    self.producers_seen |= header.producer_id >= 0;
                    if end.position == 0 {
                        self.first_timestamp = Some((base, header.max_timestamp));
                    }
                    end = Published { next_offset: header.next_offset(), position: end.position + size };
                }
                Step::End => break None,
                Step::Tail(reason) => break Some(reason),
            }
        };
        let cut = u64::from(end.position) < length;
        if cut {
            let reason = reason.unwrap_or_default();
            if !reason.is_empty() {
                tracing::warn!(
                    "{}: {reason} at byte {}; keeping the records up to offset {}",
                    path.display(),
                    end.position,
                    end.next_offset
                );
            }
            self.disk.truncate(&file, &path, u64::from(end.position))?;
        }
        Ok((end, indexes, cut))
    }

    /// What the checkpoint says stays: compaction may have removed the batch that an epoch began with, and later
    /// segments may not be scanned.
    fn note_epoch(&mut self, header: &BatchHeader) {
        let epoch = header.partition_leader_epoch;
        let newer = self.epochs.latest().is_none_or(|latest| latest.epoch < epoch);
        // Batches that Kafka wrote before KIP-101 carry no epoch.
        if newer && let Ok(changed) = self.epochs.assign(epoch, header.base_offset) {
            self.epochs_changed |= changed;
        }
    }

    /// Sets segments aside that lie behind a cut: their offsets would leave a hole.
    fn quarantine(&self, bases: &[i64]) -> Result<()> {
        for &base in bases {
            let from = self.path(base, SegmentFileKind::Log);
            let mut to = from.clone().into_os_string();
            to.push(".quarantined");
            tracing::error!(
                "{} lies behind a damaged segment and is set aside as .quarantined",
                from.display()
            );
            self.disk.rename(&from, Path::new(&to))?;
            for kind in
                [SegmentFileKind::OffsetIndex, SegmentFileKind::TimeIndex, SegmentFileKind::TransactionIndex]
            {
                self.disk.remove(&self.path(base, kind))?;
            }
        }
        Ok(())
    }

    /// Producer state and epochs at the end, and the writer.
    fn finish(mut self, segments: Vec<Arc<Segment>>, active: Arc<Segment>, end: Published) -> Result<Loaded> {
        let log_start = self.start.log_start.max(segments[0].base_offset).min(end.next_offset);
        let producers = self.producers(&segments, end.next_offset)?;
        self.epochs_changed |= self.epochs.truncate_from_end(end.next_offset);
        if self.start.log_start > 0 {
            self.epochs_changed |= self.epochs.truncate_from_start(log_start);
        }
        let first_timestamp = match self.first_timestamp {
            _ if end.position == 0 => None,
            Some((base, timestamp)) if base == active.base_offset => Some(timestamp),
            _ => BatchHeader::read(&active.read(self.disk, 0, HEADER_LEN)?).ok().map(|h| h.max_timestamp),
        };
        let recovery_point = if self.repaired {
            self.start.recovery_point.min(active.base_offset)
        } else {
            self.start.recovery_point
        };
        let untouched = self.start.clean && !self.repaired && self.snapshots.contains(&end.next_offset);
        let writer = Writer {
            complete_at: untouched.then_some(end.next_offset),
            active: active.clone(),
            tail: Tail::COLD,
            next_offset: end.next_offset,
            end: end.position,
            producers,
            epochs: self.epochs,
            epochs_changed: self.epochs_changed,
            roll: RollClock {
                first_timestamp,
                created_ms: self.start.now_ms,
                jitter_ms: jitter(self.config, active.base_offset),
            },
            unsynced_since_ms: 0,
            last_append_ms: 0,
            scratch: Vec::new(),
            closed: false,
        };
        Ok(Loaded { segments, writer, log_start, recovery_point: recovery_point.clamp(0, end.next_offset) })
    }

    /// The newest usable snapshot, and what the log says after it.
    fn producers(&mut self, segments: &[Arc<Segment>], end: i64) -> Result<Producers> {
        self.remove_old_snapshots(segments, end)?;
        // The aborted transactions of scanned segments are found again by replaying those segments.
        let scanned_from = self.scanned.first().copied().unwrap_or(i64::MAX);
        let mut snapshots: Vec<i64> = self.snapshots.range(..=scanned_from).copied().collect();
        let mut producers = Producers::new();
        let mut from = segments[0].base_offset;
        while let Some(offset) = snapshots.pop() {
            let bytes = self.disk.read(&self.path(offset, SegmentFileKind::ProducerSnapshot))?;
            match producers.restore(&bytes, self.start.now_ms, self.config.producer_id_expiration_ms) {
                Ok(()) => {
                    from = offset;
                    break;
                }
                Err(error) => tracing::warn!(
                    "producer snapshot {offset} in {}: {error}; trying an older one",
                    self.dir.display()
                ),
            }
        }
        let all_scanned = segments
            .iter()
            .all(|s| s.published().next_offset <= from || self.scanned.contains(&s.base_offset));
        if from < end && (self.producers_seen || !all_scanned) {
            self.replay(segments, from, &mut producers)?;
        }
        producers.remove_expired(self.start.now_ms, self.config.producer_id_expiration_ms);
        producers.forget_ended_before(end);
        Ok(producers)
    }

    /// Keeps the snapshots at the beginning of a segment and the newest one behind the last beginning, as Kafka does.
    fn remove_old_snapshots(&mut self, segments: &[Arc<Segment>], end: i64) -> Result<()> {
        let newest = self.snapshots.range(..=end).next_back().copied();
        let starts: BTreeSet<i64> = segments.iter().map(|s| s.base_offset).collect();
        let kept = |offset: &i64| *offset <= end && (Some(*offset) == newest || starts.contains(offset));
        for offset in self.snapshots.iter().filter(|offset| !kept(offset)) {
            self.disk.remove(&self.path(*offset, SegmentFileKind::ProducerSnapshot))?;
        }
        self.snapshots.retain(kept);
        Ok(())
    }

    fn replay(&self, segments: &[Arc<Segment>], from: i64, producers: &mut Producers) -> Result<()> {
        let first = segments.partition_point(|s| s.base_offset <= from).saturating_sub(1);
        for segment in &segments[first..] {
            let end = segment.published();
            let Some(place) = segment.find(self.disk, from, end)? else { continue };
            let path = segment.path(SegmentFileKind::Log);
            let mut walk = Walk::new(segment, self.disk, place.position, end.position)?;
            while let Some(place) = walk.next()? {
                let head = segment.read(self.disk, place.position, HEADER_LEN)?;
                let header = BatchHeader::read(&head).map_err(|e| Error::Corrupt {
                    path: path.clone(),
                    position: place.position.into(),
                    reason: e.to_string(),
                })?;
                if header.producer_id < 0 {
                    continue;
                }
                let marker = if header.attributes.is_control() {
                    let (_, bytes) = read_batch(segment, self.disk, place)?;
                    marker_of(&header, &bytes[HEADER_LEN..])
                } else {
                    None
                };
                // What is in the log was accepted once: its state is taken as it comes.
                let aborted = producers.apply(&header, marker.as_ref(), header.base_offset);
                if let Some(aborted) = aborted.filter(|_| self.scanned.contains(&segment.base_offset)) {
                    super::append::append_aborted(self.disk, segment, &aborted)?;
                }
            }
        }
        Ok(())
    }
}

/// Why a batch cannot be kept, if so.
fn bad(header: &BatchHeader, bytes: &[u8], expected: i64) -> Option<String> {
    if header.base_offset < expected {
        return Some(format!(
            "a batch with offset {} where {expected} or more is expected",
            header.base_offset
        ));
    }
    if header.last_offset_delta < 0 {
        return Some(format!("a batch with last offset delta {}", header.last_offset_delta));
    }
    (!crc_matches(bytes)).then(|| format!("a batch at offset {} with a wrong CRC", header.base_offset))
}

#[cfg(test)]
mod tests;
