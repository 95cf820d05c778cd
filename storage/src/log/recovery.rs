//! Opening a log: what is trusted, what is scanned, what is repaired.
//!
//! | found in the directory | after a clean stop | after anything else |
//! |---|---|---|
//! | `.deleted`, `.tmp` | removed | removed |
//! | `.cleaned` | removed, and each `.swap` from the lowest of them on | the same |
//! | other `.swap` | wins over the files that it replaces | the same |
//! | closed segment below the recovery point, indexes there | trusted | trusted |
//! | closed segment, an index missing | scanned, indexes rebuilt | the same |
//! | the same for aborted transactions: empty, cut short, no entries of this segment | scanned, made anew | the same |
//! | closed segment, an index cut short or with zeros behind | trusted; rebuilt when it is first needed | the same |
//! | segment at or above the recovery point | trusted | scanned with CRCs, indexes rebuilt |
//! | active segment | its end is read from the last index entry on | scanned, but for the next row |
//! | active segment that ends at the recovery point, a producer snapshot for there | trusted | trusted: see `trust.rs` |
//! | active segment, an index missing, cut short or with zeros behind | scanned | scanned |
//! | the same, an entry in an index for what is not in the log | trusted | scanned |
//! | first bad batch of a scan | segment cut there, later segments set aside as `.quarantined` | the same |
//! | the bytes from there on | kept in `NAME.log.POSITION.quarantined` | the same below the recovery point and of a log without gaps, else gone |
//! | a scanned segment that ends before the next one begins | both are kept | `hole.rs`: kept, or later segments set aside |
//! | index files without a log file | removed | removed |
//! | index files of a scanned active segment | removed unless they hold what was found | the same |
//! | newest producer snapshot at or below the end | loaded, the rest replayed from the log | the same, but none behind the first scanned segment: those are made right |
//! | leader epochs | kept up to the end | the same, newer ones are found while scanning |
//! | a log that ends before its start | begins where its first segment does, unless something was cut off: then as beside | set aside; an empty segment at the log start |
//! | no segment, the log starts behind 0 | an empty one at the log start | the same |
//! | no segment and no leader epochs otherwise | none of its files before the first record comes | the same |
//!
//! A batch is good if its header makes sense, it is complete, its CRC is right, and its offsets lie behind the batch
//! before it, before the next segment, and before the next batch if there is room for it; in a log without gaps, which is
//! that of the metadata, they begin where the batch before it ends.

pub(crate) mod batch_reader;
mod epochs;
mod hole;
mod producers;
mod scan;
mod swap;
mod tidy;
mod trust;

pub(crate) use scan::index_anew;

use super::append::{index_limits, jitter};
use super::{RollClock, Tail, Writer};
use crate::config::LogConfig;
use crate::error::{Error, Result};
use crate::file::Disk;
use crate::file_name::{SegmentFile, SegmentFileKind};
use crate::index::ActiveIndexes;
use crate::leader_epochs::LeaderEpochs;
use crate::segment::{Home, Published, Segment};
use milena_protocol::records::{BatchHeader, EndTransactionMarker, Records};
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
    /// From the checkpoint of compaction: the log is, or was, of a compacted topic, and may have gaps.
    pub cleaned: bool,
    /// No offset is ever missing in it, and it is short: a batch that is further on than it should be is bad, and whatever
    /// is cut off is kept.
    pub gapless: bool,
    /// Wall clock, in milliseconds.
    pub now_ms: i64,
}

pub(super) struct Loaded {
    pub(super) home: Arc<Home>,
    pub(super) segments: Vec<Arc<Segment>>,
    pub(super) writer: Writer,
    pub(super) log_start: i64,
    pub(super) recovery_point: i64,
    /// Segments that begin below are as they were when they were synced.
    pub(super) complete_below: i64,
}

/// A log while it is being opened.
struct Loader<'a> {
    disk: &'a Disk,
    dir: &'a Path,
    home: Arc<Home>,
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
    /// A batch was met from which compaction has taken records, or those before it.
    thinned: bool,
    /// Offsets of the producer snapshots.
    snapshots: BTreeSet<i64>,
    /// The index files there are, by base offset.
    indexes: BTreeSet<(i64, SegmentFileKind)>,
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
        home: Home::new(dir),
        config,
        start,
        epochs: LeaderEpochs::new(),
        epochs_changed: false,
        repaired: false,
        scanned: BTreeSet::new(),
        producers_seen: false,
        thinned: false,
        snapshots: BTreeSet::new(),
        indexes: BTreeSet::new(),
        has_epochs: false,
        first_timestamp: None,
    };
    let mut files = loader.tidy()?;
    if files.is_empty() {
        if start.log_start == 0 && !loader.has_epochs {
            return loader.unborn();
        }
        loader.create(start.log_start)?;
        files.insert(start.log_start, 0);
    }
    loader.read_epochs(files.values().all(|length| *length == 0))?;
    loader.load(files)
}

impl Loader<'_> {
    fn path(&self, base_offset: i64, kind: SegmentFileKind) -> PathBuf {
        self.dir.join(SegmentFile::live(base_offset, kind).to_string())
    }

    fn create(&self, base_offset: i64) -> Result<File> {
        self.disk.create(&self.path(base_offset, SegmentFileKind::Log))
    }

    /// A log that never took a record has no files: they come with the first one.
    fn unborn(self) -> Result<Loaded> {
        let indexes = ActiveIndexes::new(0, index_limits(self.config));
        let segment = Segment::unborn(&self.home, 0, indexes);
        self.finish(vec![Arc::new(segment)], false)
    }

    fn load(mut self, files: BTreeMap<i64, u64>) -> Result<Loaded> {
        let bases: Vec<i64> = files.keys().copied().collect();
        let trusted = self.trusted_up_to(&bases);
        let mut segments: Vec<Arc<Segment>> = Vec::with_capacity(bases.len());
        for (i, (&base, &length)) in files.iter().enumerate() {
            let is_last = i + 1 == bases.len();
            if base < trusted && !is_last && self.has_indexes(base) && self.aborted_fit(base, bases[i + 1])? {
                let end = Published { next_offset: bases[i + 1], position: length as u32 };
                segments.push(Arc::new(Segment::closed(&self.home, base, end)));
                continue;
            }
            if is_last
                && let Some(end) = self.resume(base, length, base < trusted)?
                && self.aborted_fit(base, end.next_offset)?
            {
                segments.push(Arc::new(Segment::closed(&self.home, base, end)));
                return self.finish(segments, true);
            }
            let (end, indexes, cut) = match length {
                0 => self.empty(base)?,
                _ => self.scan(base, length, bases.get(i + 1).copied())?,
            };
            // A tail behind the last record of a segment is all that is lost if the next one goes on from there.
            let cut = cut && bases.get(i + 1).is_none_or(|next| end.next_offset != *next);
            if is_last || cut || self.is_hole(&bases, i, end)? {
                self.quarantine(&bases[i + 1..], "lies behind a damaged segment")?;
                self.remove_stale_indexes(base, &indexes)?;
                segments.push(Arc::new(Segment::active(&self.home, base, None, end, indexes)));
                break;
            }
            let end = Published { next_offset: bases[i + 1], ..end };
            segments.push(Arc::new(Segment::active(&self.home, base, None, end, indexes)));
        }
        self.finish(segments, false)
    }

    /// A segment without records: a power cut may have left an index of what was in it.
    fn empty(&mut self, base: i64) -> Result<(Published, ActiveIndexes, bool)> {
        // What it held may be in a producer snapshot behind it.
        self.scanned.insert(base);
        let indexes = ActiveIndexes::new(base, index_limits(self.config));
        Ok((Published { next_offset: base, position: 0 }, indexes, false))
    }

    /// A power cut has taken the end of a log, and what is left lies below the log start: nobody may read it, and consumers
    /// have been beyond. No offset is used again (`LogLoader.deleteSegmentsIfLogStartGreaterThanLogEnd`).
    fn begin_at_log_start(&mut self, segments: &[Arc<Segment>]) -> Result<Arc<Segment>> {
        let start = self.start.log_start;
        let bases: Vec<i64> = segments.iter().map(|segment| segment.base_offset).collect();
        for offset in std::mem::take(&mut self.snapshots) {
            self.disk.remove(&self.path(offset, SegmentFileKind::ProducerSnapshot))?;
        }
        self.create(start)?;
        self.quarantine(&bases, "lies below the log start, behind which nothing is left,")?;
        (self.epochs, self.epochs_changed, self.repaired) = (LeaderEpochs::new(), true, true);
        let indexes = ActiveIndexes::new(start, index_limits(self.config));
        let end = Published { next_offset: start, position: 0 };
        Ok(Arc::new(Segment::active(&self.home, start, None, end, indexes)))
    }

    /// Writes the indexes of a closed segment that was scanned. Below the recovery point the next start trusts files of
    /// that name: they are there with all that is in them, or not at all.
    fn write_indexes(&self, segment: &Segment) -> Result<()> {
        if segment.base_offset >= self.start.recovery_point {
            return super::write_indexes(self.disk, segment);
        }
        let Some((offsets, times)) = segment.with_active(ActiveIndexes::encode) else { return Ok(()) };
        for (kind, bytes) in [(SegmentFileKind::OffsetIndex, offsets), (SegmentFileKind::TimeIndex, times)] {
            let path = segment.path(kind);
            if self.disk.read_if_there(&path)?.as_ref() != Some(&bytes) {
                self.disk.write_atomically(&path, &bytes, true)?;
            }
        }
        Ok(())
    }

    /// Producer state and epochs at the end, and the writer.
    fn finish(mut self, mut segments: Vec<Arc<Segment>>, mut resumed: bool) -> Result<Loaded> {
        let mut log_start = self.start.log_start;
        let end = segments.last().map_or(0, |last| last.published().next_offset);
        // Whoever moves the start lets the first leader epoch begin there, and a clean stop writes both.
        let epochs_begin = self.epochs.entries().first().map(|first| first.start_offset);
        let is_belied = end < log_start || epochs_begin.is_some_and(|begin| begin < log_start);
        if is_belied && self.start.clean && !self.repaired {
            let begin = epochs_begin.filter(|begin| *begin <= end).unwrap_or(0);
            tracing::warn!(
                "{}: the log start is said to be {log_start}, and the log, which was stopped cleanly, ends at {end} and has \
                 leader epochs from {begin} on: that cannot be, and all that is there from {begin} on counts",
                self.dir.display()
            );
            log_start = begin;
        } else if end < log_start {
            segments = vec![self.begin_at_log_start(&segments)?];
            resumed = false;
        }
        let active = segments.last().ok_or(Error::Closed)?.clone();
        let end = active.published();
        let log_start = log_start.max(segments[0].base_offset);
        let producers = self.producers(&segments, end.next_offset)?;
        for segment in segments[..segments.len() - 1].iter().filter(|s| self.scanned.contains(&s.base_offset))
        {
            self.write_indexes(segment)?;
            segment.close_indexes();
        }
        self.epochs_changed |= self.epochs.truncate_from_end(end.next_offset);
        if self.start.log_start > 0 {
            self.epochs_changed |= self.epochs.truncate_from_start(log_start);
        }
        let first_timestamp =
            self.first_timestamp.filter(|(base, _)| *base == active.base_offset && end.position > 0);
        let recovery_point = if self.repaired {
            self.start.recovery_point.min(active.base_offset)
        } else {
            self.start.recovery_point
        };
        let complete = (end.next_offset == 0 || self.snapshots.contains(&end.next_offset))
            && self.has_indexes(active.base_offset);
        let untouched = (self.start.clean || resumed) && !self.repaired && complete;
        let bases: Vec<i64> = segments.iter().map(|s| s.base_offset).collect();
        let complete_below = match self.scanned.first() {
            // Until the first append.
            _ if untouched => i64::MAX,
            Some(scanned) => self.first_unsynced(&bases).min(*scanned),
            None => self.first_unsynced(&bases),
        };
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
                first_timestamp: first_timestamp.map(|(_, timestamp)| timestamp),
                created_ms: self.start.now_ms,
                jitter_ms: jitter(self.config, active.base_offset),
            },
            last_append_ms: 0,
            seen: (end.next_offset, 0),
            resumed,
            closed: false,
            retired: false,
            set_aside: 0,
        };
        let recovery_point = recovery_point.clamp(0, end.next_offset);
        Ok(Loaded { home: self.home, segments, writer, log_start, recovery_point, complete_below })
    }
}

#[cfg(test)]
mod table;
#[cfg(test)]
mod tests;
