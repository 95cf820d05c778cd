//! Compaction: of every key the last record stays (Kafka: `LogCleaner`, `LogCleanerManager`, `Cleaner`).
//!
//! ```text
//!  log start        first dirty         first uncleanable          active segment      end
//!  |---- cleaned before ----|---- mapped: keys ----|---- left alone: too young, or ----|
//!  |                        |      and offsets     |     in an open transaction        |
//!  |<------------ read, filtered, written anew --->|
//! ```
//!
//! A pass maps the keys of the dirty part to their last offsets, as many as the memory allows ([`offset_map`]); then
//! reads every segment from the start of the log to the end of what is mapped, in groups that become one segment each
//! ([`mod@group`]), writes what stays of each batch ([`filter`]), and puts the new segments in the place of the old ones
//! ([`swap_in`]). Appends and reads go on all the time, and wait for none of this.
//!
//! **Invariants.** What is mapped is on the device before anything is replaced. Offsets, and the first and last offset of a batch that stays, never change. A pass that is stopped
//! anywhere has cleaned some groups and not others, which is right in itself: the next one begins where this one did.

mod filter;
mod group;
mod offset_map;
mod output;
mod source;
mod swap_in;
mod transactions;

use self::filter::{Filter, LastOfProducer, Mapped, RecordCounts, Written};
use self::offset_map::OffsetMap;
use self::output::{Finished, Output, remove_leftovers, remove_stray};
use self::source::{Piece, Source};
use self::transactions::Transactions;
use super::append::index_limits;
use super::read::collect_aborted;
use super::{Log, Segments};
use crate::config::LogConfig;
use crate::error::{Error, Result};
use crate::index::aborted::Search;
use crate::segment::Segment;
use milena_protocol::records::HEADER_LEN;
use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Smallest piece that files are read and written in.
const PIECE_MIN: usize = 16 << 10;

/// Memory that one pass may use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CleanerMemory {
    /// `log.cleaner.dedupe.buffer.size` of one thread: bytes for the map of keys, at most. 24 a key.
    pub map_bytes: usize,
    /// `log.cleaner.io.buffer.load.factor`: share of the map that may be filled, above 0 and up to 1.
    pub load_factor: f64,
    /// `log.cleaner.io.buffer.size` of one thread: bytes read at once and written at once, together.
    pub io_bytes: usize,
}

/// What there is to clean in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cleanable {
    /// Cleaned up to here before.
    pub first_dirty: i64,
    /// The segment that begins here, and all behind it, are left alone.
    pub first_uncleanable: i64,
    /// Bytes of the segments that were cleaned before.
    pub clean_bytes: u64,
    /// Bytes of the dirty ones that may be cleaned.
    pub cleanable_bytes: u64,
    /// Records have waited longer than `max.compaction.lag.ms`.
    pub is_overdue: bool,
}

impl Cleanable {
    /// Dirty bytes as a share of all that may be cleaned, 0 to 1.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        match self.clean_bytes + self.cleanable_bytes {
            0 => 0.0,
            total => self.cleanable_bytes as f64 / total as f64,
        }
    }
}

/// What a pass has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// First offset of the dirty part before.
    pub from: i64,
    /// First offset of the dirty part now.
    pub upto: i64,
    /// Bytes that were read to map the keys.
    pub mapped_bytes: u64,
    /// Bytes of the map.
    pub map_bytes: u64,
    /// Keys in it.
    pub keys: u64,
    /// Bytes of the segments before.
    pub bytes_before: u64,
    /// Bytes of the segments now.
    pub bytes_after: u64,
    /// Records in them before.
    pub records_before: u64,
    /// Records in them now.
    pub records_after: u64,
    /// Records without a key, which were dropped.
    pub keyless: u64,
    /// Batches that cannot be read, which stay as they are, with their segments where nobody can tell where they end.
    pub damaged: u64,
}

/// Told of every piece of bytes that a pass has read or written, in between which it may wait; `false` ends the pass.
pub type Watch<'a> = dyn FnMut(u64) -> bool + 'a;

/// Counts bytes, and asks now and then whether to go on.
struct Progress<'a, 'b> {
    log: &'a Log,
    watch: &'a mut Watch<'b>,
    piece: u64,
    pending: u64,
}

impl Progress<'_, '_> {
    fn took(&mut self, bytes: u64) -> Result<()> {
        self.pending += bytes;
        if self.pending < self.piece { Ok(()) } else { self.report() }
    }

    fn report(&mut self) -> Result<()> {
        let go_on = (self.watch)(std::mem::take(&mut self.pending));
        if go_on && !self.log.is_stopping() { Ok(()) } else { Err(Error::Closed) }
    }
}

impl Log {
    /// Up to which offset the log is known to be cleaned; `None` if it never was.
    #[must_use]
    pub fn cleaned_up_to(&self) -> Option<i64> {
        Some(self.cleaned.load(Ordering::Acquire)).filter(|offset| *offset >= 0)
    }

    /// Whether the log closes, goes away or is handed over: a pass had better end.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Takes over what the checkpoint says. An offset that cannot be is corrected by [`Log::cleanable`].
    pub fn set_cleaned_up_to(&self, offset: i64) {
        self.cleaned.store(offset, Ordering::Release);
    }

    /// What there is to clean; `None` if the log is not to be compacted, or has nothing but its active segment.
    ///
    /// # Errors
    /// [`Error`] if an index or the head of a segment cannot be read.
    pub fn cleanable(&self, now_ms: i64) -> Result<Option<Cleanable>> {
        let config = self.config();
        let segments = self.segments();
        if !config.compact || segments.len() < 2 {
            return Ok(None);
        }
        let first_dirty = self.first_dirty(&config);
        let (active, closed) = segments.split_last().expect("a log has at least one segment");
        let mut limit = self.last_stable_offset().min(active.base_offset);
        let dirty = between(closed, first_dirty, active.base_offset);
        if config.min_compaction_lag_ms > 0 {
            let until = now_ms.saturating_sub(config.min_compaction_lag_ms);
            for segment in dirty {
                if self.newest_ms(segment, false)? > until {
                    limit = limit.min(segment.base_offset);
                    break;
                }
            }
        }
        // Whole segments: that which holds the limit stays as it is.
        let limit = limit.max(first_dirty);
        let first_uncleanable = segments[floor(&segments, limit)].base_offset;
        let size = |part: &[Arc<Segment>]| part.iter().map(|s| u64::from(s.published().position)).sum();
        let cleanable = Cleanable {
            first_dirty,
            first_uncleanable,
            clean_bytes: size(&closed[..closed.partition_point(|s| s.base_offset < first_dirty)]),
            cleanable_bytes: size(between(closed, first_dirty, first_uncleanable)),
            is_overdue: self.is_overdue(dirty, &config, now_ms)?,
        };
        Ok((cleanable.clean_bytes + cleanable.cleanable_bytes > 0).then_some(cleanable))
    }

    /// The checkpoint, or the log start if that is beyond it or the log ends before it.
    fn first_dirty(&self, config: &LogConfig) -> i64 {
        let (start, end) = (self.start_offset(), self.end_offset());
        let Some(cleaned) = self.cleaned_up_to() else { return start };
        if (start..=end).contains(&cleaned) {
            return cleaned;
        }
        if cleaned > end || !config.delete {
            tracing::warn!(
                "{}: cleaned up to offset {cleaned}, but the log has {start} to {end}: all of it counts as dirty",
                self.dir().display()
            );
        }
        self.set_cleaned_up_to(start);
        start
    }

    /// Whether a dirty segment began more than `max.compaction.lag.ms` ago.
    fn is_overdue(&self, dirty: &[Arc<Segment>], config: &LogConfig, now_ms: i64) -> Result<bool> {
        if config.max_compaction_lag_ms == i64::MAX {
            return Ok(false);
        }
        let until = now_ms.saturating_sub(config.max_compaction_lag_ms.max(0));
        for segment in dirty.iter().filter(|s| s.published().position > 0) {
            let first = match segment.first_timestamp(&self.disk) {
                Err(Error::Corrupt { .. }) => -1,
                first => first?,
            };
            if first > 0 && first < until {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Cleans the log once. `watch` is told of the bytes that are read and written; it may sleep to slow the pass down,
    /// and ends it by answering `false`.
    ///
    /// # Errors
    /// [`Error::Closed`] if the pass was ended, the log was closed or deleted, or retention came first: the next pass
    /// begins where this one did. [`Error::Corrupt`] if a batch has more keys than the map, or if a record or an index of
    /// aborted transactions cannot be read: nobody should try again. [`Error::Full`], [`Error::Io`].
    pub fn clean(
        &self,
        work: &Cleanable,
        memory: &CleanerMemory,
        now_ms: i64,
        watch: &mut Watch<'_>,
    ) -> Result<Cleaned> {
        // One pass at a time, and none when the log has been closed.
        let _pass = self.cleaning.lock();
        let done = self.clean_once(work, memory, now_ms, watch);
        // The next chores close the files that it has opened.
        self.stir();
        done
    }

    fn clean_once(
        &self,
        work: &Cleanable,
        memory: &CleanerMemory,
        now_ms: i64,
        watch: &mut Watch<'_>,
    ) -> Result<Cleaned> {
        self.disk.check_online()?;
        let piece = (memory.io_bytes / 2).max(PIECE_MIN);
        let mut progress = Progress { log: self, watch, piece: piece as u64, pending: 0 };
        progress.report()?;
        let config = self.config();
        let segments = self.segments();
        // An older record goes because a newer one is there: should the power fail, it must still be.
        self.flush_below(work.first_uncleanable)?;
        let mut cleaned = Cleaned { from: work.first_dirty, upto: work.first_dirty, ..Cleaned::default() };
        let mapped = self.map(&segments, work, memory, &mut progress, &mut cleaned)?;
        let behind = segments[..segments.len() - 1].partition_point(|s| s.base_offset < mapped.end);
        let mut transactions = Transactions::default();
        transactions.learn(self.aborted_between(&segments, 0, segments[behind].base_offset)?);
        let (mut records, mut damaged_at) = (RecordCounts::default(), None);
        let dir = self.dir();
        remove_stray(&self.disk, &dir)?;
        let mut groups: VecDeque<_> =
            group::group(&segments[..behind], &config, work.first_uncleanable).into();
        while let Some(mut old) = groups.pop_front() {
            // What retention has taken meanwhile.
            let first = self.segments()[0].base_offset;
            old.retain(|segment| segment.base_offset >= first);
            if old.is_empty() {
                continue;
            }
            let mut filter = Filter::new(
                &mapped,
                now_ms,
                config.delete_retention_ms,
                work.first_uncleanable,
                self.last_of_producers(),
            );
            filter.records = records;
            let mut outputs = Outputs {
                log: self,
                dir: &dir,
                piece,
                config: &config,
                begun: Vec::new(),
                at: 0,
                damaged: 0,
                first_damaged: None,
            };
            let before = transactions.clone();
            let new = outputs.clean(&old, &mut filter, &mut transactions, &mut progress);
            let new = new.inspect_err(|_| outputs.remove_leftovers());
            if let Err(Error::Corrupt { path, position, .. }) = new {
                // Nobody can tell the batches of this segment apart. It stays as it is, and the others go on without it.
                cleaned.damaged += 1;
                damaged_at.get_or_insert_with(|| format!("{} at byte {position}", path.display()));
                transactions = before;
                transactions.miss_some();
                groups.push_front(old.split_off(outputs.at + 1));
                old.truncate(outputs.at);
                groups.push_front(old);
                continue;
            }
            let new = new?;
            records = filter.records;
            cleaned.damaged += outputs.damaged;
            damaged_at = damaged_at.or(outputs.first_damaged);
            let bytes_before: u64 = old.iter().map(|s| u64::from(s.published().position)).sum();
            cleaned.bytes_before += bytes_before;
            cleaned.bytes_after += new.iter().map(|s| u64::from(s.bytes)).sum::<u64>();
            self.swap_in(&dir, &old, &new)?;
        }
        self.tell_damage(cleaned.damaged, damaged_at);
        cleaned.upto = mapped.end;
        (cleaned.records_before, cleaned.records_after) = (records.read, records.kept);
        cleaned.keyless = records.keyless;
        self.set_cleaned_up_to(mapped.end);
        Ok(cleaned)
    }

    /// Says once that there are batches that cannot be read, and again when there are more.
    fn tell_damage(&self, count: u64, first: Option<String>) {
        let Some(first) = first.filter(|_| count > self.damage_told.swap(count, Ordering::Relaxed)) else {
            return;
        };
        tracing::error!(
            "{first}: a batch that is not as it was written, the first of {count} in this log. Compaction leaves them as they \
             are, or their segments, and goes on around them; who reads them gets CORRUPT_MESSAGE"
        );
    }

    /// Maps the keys of the dirty part.
    fn map(
        &self,
        segments: &Segments,
        work: &Cleanable,
        memory: &CleanerMemory,
        progress: &mut Progress<'_, '_>,
        cleaned: &mut Cleaned,
    ) -> Result<Mapped> {
        let (start, end) = (work.first_dirty, work.first_uncleanable);
        // A record takes an offset at least: there cannot be more keys than offsets.
        let keys = u64::try_from(end.saturating_sub(start)).unwrap_or(0);
        let offsets = OffsetMap::new(keys, memory.map_bytes, memory.load_factor);
        let mut mapped = Mapped { offsets, end: start };
        let dirty = between(segments, start, end);
        let mut transactions = Transactions::default();
        // The marker of a transaction may lie behind the dirty part.
        transactions.learn(self.aborted_between(&segments[floor(segments, start)..], start, end)?);
        for (at, segment) in dirty.iter().enumerate() {
            if !self.map_segment(segment, start, &mut mapped, &mut transactions, progress, cleaned)? {
                break;
            }
            // There may be a gap behind the last batch.
            mapped.end = mapped.end.max(dirty.get(at + 1).map_or(end, |next| next.base_offset));
        }
        cleaned.map_bytes = mapped.offsets.bytes() as u64;
        cleaned.keys = mapped.offsets.len() as u64;
        Ok(mapped)
    }

    /// Maps the keys of one segment from `start` on; `false` if the map is full. Where keys are not known, what they had
    /// before stays.
    fn map_segment(
        &self,
        segment: &Segment,
        start: i64,
        mapped: &mut Mapped,
        transactions: &mut Transactions,
        progress: &mut Progress<'_, '_>,
        cleaned: &mut Cleaned,
    ) -> Result<bool> {
        let first = match segment.find(&self.disk, start, segment.published()) {
            Err(Error::Corrupt { .. }) => return Ok(true),
            first => first?,
        };
        let position = first.map_or(segment.published().position, |place| place.position);
        let mut source = Source::new(segment, &self.disk, position, progress.piece as usize)?;
        loop {
            let (header, batch, is_sound) = match source.next() {
                Ok(Some(Piece::Batch(header, batch))) => (header, batch, true),
                Ok(Some(Piece::Damaged(frame, batch))) => (frame, batch, false),
                Ok(None) | Err(Error::Corrupt { .. }) => return Ok(true),
                Err(error) => return Err(error),
            };
            let (body, size) = (&batch[HEADER_LEN..], batch.len() as u64);
            let discardable =
                is_sound && transactions.next(&header, body).is_some_and(|seen| seen.discardable);
            if is_sound
                && !discardable
                && !header.attributes.is_control()
                && let Ok(records) = filter::unpacked(&header, body)
            {
                let offsets = &mut mapped.offsets;
                let insert = |key: &[u8], offset| offset < start || offsets.insert(key, offset).is_ok();
                match filter::for_each_key(&header, &records, insert) {
                    Ok(true) => {}
                    Ok(false) if mapped.end > start => return Ok(false),
                    Ok(false) => {
                        let reason = format!(
                            "its first dirty batch has more than {} keys; log.cleaner.dedupe.buffer.size is too small",
                            mapped.offsets.len()
                        );
                        return Err(source.corrupt(reason));
                    }
                    Err(reason) => {
                        let offset = header.base_offset;
                        return Err(source.corrupt(format!("the batch at offset {offset}: {reason}")));
                    }
                }
            }
            mapped.end = mapped.end.max(header.next_offset());
            cleaned.mapped_bytes += size;
            progress.took(size)?;
        }
    }

    /// The aborted transactions that overlap `start..end`, of which the first segment holds `start`.
    fn aborted_between(
        &self,
        segments: &[Arc<Segment>],
        start: i64,
        end: i64,
    ) -> Result<Vec<crate::index::aborted::AbortedTransaction>> {
        let mut found = Vec::new();
        for segment in segments {
            if collect_aborted(&self.disk, segment, start, end, &mut found)? == Search::Complete {
                break;
            }
        }
        Ok(found)
    }

    fn last_of_producers(&self) -> HashMap<i64, LastOfProducer> {
        let writer = self.writer.lock();
        let last = |(id, state): (i64, &crate::producers::ProducerState)| {
            let last = match state.batches().last() {
                Some(batch) => LastOfProducer::Records(batch.last_offset),
                None => LastOfProducer::Marker(state.epoch()),
            };
            (id, last)
        };
        writer.producers.iter().map(last).collect()
    }
}

/// The segments that one group is cleaned into: one, unless what stays does not fit.
struct Outputs<'a> {
    log: &'a Log,
    dir: &'a Path,
    config: &'a LogConfig,
    piece: usize,
    /// Base offsets of those that were begun.
    begun: Vec<i64>,
    /// Which segment of the group is read.
    at: usize,
    /// Batches that could not be read, and where the first of them was.
    damaged: u64,
    first_damaged: Option<String>,
}

impl Outputs<'_> {
    fn clean(
        &mut self,
        old: &[Arc<Segment>],
        filter: &mut Filter<'_>,
        transactions: &mut Transactions,
        progress: &mut Progress<'_, '_>,
    ) -> Result<Vec<Finished>> {
        let disk = &self.log.disk;
        let mut output = self.create(old[0].base_offset)?;
        let (mut done, mut bytes) = (Vec::new(), Vec::new());
        for (at, segment) in old.iter().enumerate() {
            self.at = at;
            let mut source = Source::new(segment, disk, 0, self.piece)?;
            while let Some(piece) = source.next()? {
                bytes.clear();
                let (header, size, written, is_damaged) = match piece {
                    Piece::Batch(header, batch) => {
                        let written = filter.batch(&header, batch, transactions, &mut bytes);
                        let is_damaged = written.is_err();
                        let written = written.unwrap_or_else(|_| {
                            bytes.clear();
                            bytes.extend_from_slice(batch);
                            Some(Written { header, aborted: None, is_sound: true })
                        });
                        (header, batch.len() as u64, written, is_damaged)
                    }
                    Piece::Damaged(frame, batch) => {
                        bytes.extend_from_slice(batch);
                        let written = Written { header: frame, aborted: None, is_sound: false };
                        (frame, batch.len() as u64, Some(written), true)
                    }
                };
                if is_damaged {
                    self.damaged += 1;
                    self.first_damaged.get_or_insert_with(|| source.place());
                }
                if let Some(written) = written
                    && !output.append(&written, &bytes)?
                {
                    let next = self.create(header.base_offset)?;
                    let full = std::mem::replace(&mut output, next);
                    done.push(self.finish(full, segment)?);
                    output.append(&written, &bytes)?;
                }
                progress.took(size + output.write_some(disk)?)?;
            }
        }
        done.push(self.finish(output, &old[old.len() - 1])?);
        Ok(done)
    }

    fn finish(&self, mut output: Output, last: &Segment) -> Result<Finished> {
        // Whoever deletes the log waits for those who hold its name, so not while a whole segment is synced.
        output.sync_log(&self.log.disk)?;
        let _named = self.home()?;
        output.finish(&self.log.disk, swap_in::modified(last))
    }

    /// Files are made only in the directory of this log, which may have been deleted.
    fn home(&self) -> Result<impl Sized + '_> {
        Some(self.log.dir.read()).filter(|home| **home == *self.dir).ok_or(Error::Closed)
    }

    fn create(&mut self, base_offset: i64) -> Result<Output> {
        self.begun.push(base_offset);
        let _named = self.home()?;
        Output::create(&self.log.disk, self.dir, base_offset, index_limits(self.config), self.piece)
    }

    /// Removes the files of a group that came to nothing.
    fn remove_leftovers(&self) {
        // Under the old name of a deleted log there may be another by now.
        let Ok(_named) = self.home() else { return };
        self.begun.iter().for_each(|base| remove_leftovers(&self.log.disk, self.dir, *base));
    }
}

/// The segment that holds an offset, or the first one.
fn floor(segments: &[Arc<Segment>], offset: i64) -> usize {
    segments.partition_point(|s| s.base_offset <= offset).saturating_sub(1)
}

/// The segments with offsets in `from..to`.
fn between(segments: &[Arc<Segment>], from: i64, to: i64) -> &[Arc<Segment>] {
    match from < to {
        true => &segments[floor(segments, from)..segments.partition_point(|s| s.base_offset < to)],
        false => &[],
    }
}

#[cfg(test)]
mod tests;
