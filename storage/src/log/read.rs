//! Reading: from an offset to a range of an open file. No record byte passes through here.

use super::Log;
use crate::error::{Error, Result};
use crate::file::Disk;
use crate::file_name::SegmentFileKind;
use crate::index::IndexError;
use crate::index::aborted::{self, AbortedTransaction, Search};
use crate::segment::{Place, Published, Reader, Segment, read_batch};
use milena_protocol::records::{BatchHeader, Decoder, HEADER_LEN, RecordStream, TimestampType};
use std::fs::File;
use std::sync::Arc;

/// Unpacked size at which a lookup by time stops looking into a batch: what a client may send.
const UNPACKED_MAX: u64 = i32::MAX as u64;

/// Where a reader must stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// At the end of the log (read_uncommitted).
    End,
    /// At the last stable offset (read_committed).
    Stable,
}

/// Whole batches in a log file, and the state of the log when they were found.
///
/// What an earlier process wrote must be given to [`Slice::verify`] before anybody gets the bytes.
#[derive(Clone, Debug)]
pub struct Slice {
    /// The open file, if there is something to read; the bytes stay readable and unchanged while it is held.
    pub file: Option<Arc<File>>,
    /// First byte.
    pub position: u64,
    /// Number of bytes; 0 when there is nothing to read yet.
    pub len: usize,
    /// Bytes up to where a reader must stop, or up to the end of the segment, however many were asked for.
    pub available: usize,
    /// Whether there is more to be read in a later segment.
    pub goes_on: bool,
    /// Log start offset.
    pub log_start: i64,
    /// End of the log, which is the high watermark of a partition with one replica.
    pub high_watermark: i64,
    /// Last stable offset.
    pub last_stable: i64,
    /// For [`Bound::Stable`]: transactions in the range that were aborted, by first offset.
    pub aborted: Vec<AbortedTransaction>,
    /// Whose CRCs are to be computed first.
    unverified: Option<Arc<Segment>>,
    /// The least offset that the first batch may have.
    after: i64,
}

/// A record's timestamp and offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampedOffset {
    /// Milliseconds since 1970.
    pub timestamp: i64,
    /// Offset of the record.
    pub offset: i64,
}

impl Log {
    /// Finds up to `max_bytes` of whole batches, the first of which holds `offset`. With `at_least_one` the first
    /// batch is given even if it is larger.
    ///
    /// # Errors
    /// [`Error::OffsetOutOfRange`] below the log start or beyond the end; [`Error::Corrupt`] on a damaged log.
    pub fn read(&self, offset: i64, max_bytes: usize, at_least_one: bool, bound: Bound) -> Result<Slice> {
        self.read_from(&self.disk, offset, max_bytes, at_least_one, bound)
    }

    /// As [`Log::read`], for a thread that must not wait for the device: `None` if finding the batches would. Whether the
    /// batches themselves are in memory is another question ([`crate::page_cache::holds`]).
    ///
    /// # Errors
    /// As [`Log::read`].
    pub fn read_at_once(
        &self,
        offset: i64,
        max_bytes: usize,
        at_least_one: bool,
        bound: Bound,
    ) -> Result<Option<Slice>> {
        match self.read_from(&self.disk_at_once, offset, max_bytes, at_least_one, bound) {
            Err(error) if error.would_block() => Ok(None),
            found => found.map(Some),
        }
    }

    fn read_from(
        &self,
        disk: &Disk,
        offset: i64,
        max_bytes: usize,
        at_least_one: bool,
        bound: Bound,
    ) -> Result<Slice> {
        // First of all: the marker that has moved it is then in one of the segments, and what it aborts in their indexes.
        let stable = self.last_stable_offset();
        let segments = self.segments();
        let last = segments.last().expect("a log has at least one segment");
        let (start, end) = (self.start_offset(), last.published());
        let stable = stable.max(start).min(end.next_offset);
        if offset < start || offset > end.next_offset {
            return Err(Error::OffsetOutOfRange { offset, start, end: end.next_offset });
        }
        let stop = if bound == Bound::Stable { stable } else { end.next_offset };
        self.stir_to_read();
        let mut slice = Slice {
            file: None,
            position: 0,
            len: 0,
            available: 0,
            goes_on: false,
            log_start: start,
            high_watermark: end.next_offset,
            last_stable: stable,
            aborted: Vec::new(),
            unverified: None,
            after: start,
        };
        if offset >= stop {
            return Ok(slice);
        }
        let mut index = segments.partition_point(|s| s.base_offset <= offset).saturating_sub(1);
        let (segment, place, segment_end) = loop {
            let Some(segment) = segments.get(index) else { return Ok(slice) };
            let segment_end = if index + 1 == segments.len() { end } else { segment.published() };
            // Compaction may leave a gap at the end of a segment: the next one goes on.
            if let Some(place) = segment.find(disk, offset, segment_end)? {
                break (segment, place, segment_end);
            }
            index += 1;
        };
        if place.span.base_offset >= stop {
            return Ok(slice);
        }
        let limit = match limit(disk, segment, segment_end, stop) {
            // Damage before the last stable offset, which is the beginning of a batch: one by one up to there.
            Err(Error::Corrupt { .. }) => place.position + place.size,
            limit => limit?,
        };
        let upto = upto(disk, segment, place, limit, max_bytes, at_least_one)?;
        slice.file = Some(segment.file(disk)?);
        (slice.position, slice.after) = (u64::from(place.position), place.span.after);
        slice.len = (upto - place.position) as usize;
        slice.unverified = (!segment.is_verified(place.position, upto)).then(|| segment.clone());
        slice.available = (limit - place.position) as usize;
        slice.goes_on = segments.get(index + 1).is_some_and(|next| next.base_offset < stop);
        if bound == Bound::Stable {
            let range_end = slice.position + slice.len as u64;
            slice.aborted = self.aborted(disk, &segments[index..], offset, range_end)?;
        }
        Ok(slice)
    }

    /// Aborted transactions that a read_committed consumer of the range needs to know.
    fn aborted(
        &self,
        disk: &Disk,
        segments: &[Arc<Segment>],
        offset: i64,
        range_end: u64,
    ) -> Result<Vec<AbortedTransaction>> {
        let upper = match segments[0].offset_behind(disk, range_end)? {
            Some(offset) => offset,
            None => segments.get(1).map_or_else(|| self.end_offset(), |next| next.base_offset),
        };
        let mut found = Vec::new();
        for segment in segments {
            if collect_aborted(disk, segment, offset, upper, &mut found)? == Search::Complete {
                break;
            }
        }
        found.sort_unstable_by_key(|t| t.first_offset);
        Ok(found)
    }

    /// Reads whole batches from `offset` on into memory, for replaying internal topics. Empty at the end.
    ///
    /// # Errors
    /// As [`Log::read`].
    pub fn read_batches(&self, offset: i64, max_bytes: usize) -> Result<Vec<u8>> {
        use std::os::unix::fs::FileExt;
        let mut slice = self.read(offset, max_bytes, true, Bound::End)?;
        slice.verify()?;
        let mut bytes = vec![0; slice.len];
        if let Some(file) = &slice.file {
            file.read_exact_at(&mut bytes, slice.position).map_err(|e| Error::io("read", &self.dir(), e))?;
        }
        Ok(bytes)
    }

    /// The offset that goes on behind the batch that holds `offset`, or that comes next: for whoever has rather a gap than
    /// nothing behind a batch that cannot be read. What its header says of its last offset need not be true: where another
    /// batch follows, that counts. Where nobody can tell where it ends, that is a batch that the index knows, or the next
    /// segment. `None` at the end.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn offset_behind_batch(&self, offset: i64) -> Result<Option<i64>> {
        let segments = self.segments();
        let first = segments.partition_point(|s| s.base_offset <= offset).saturating_sub(1);
        for (at, segment) in segments.iter().enumerate().skip(first) {
            let end = segment.published();
            let place = match segment.find(&self.disk, offset, end) {
                Err(Error::Corrupt { position, .. }) => {
                    let goes_on = |p: &Place| p.span.fits && p.span.base_offset > offset;
                    let behind = segment.walk(&self.disk, position as u32, end.position, |place| {
                        u64::from(place.position) > position && goes_on(place)
                    });
                    if let Ok(Some(next)) = behind {
                        return Ok(Some(next.span.base_offset));
                    }
                    let known = segment.offset_behind(&self.disk, position + 1)?;
                    let next = segments.get(at + 1).map_or(end.next_offset, |next| next.base_offset);
                    return Ok(known.filter(|known| *known > offset).or(Some(next)));
                }
                place => place?,
            };
            if let Some(place) = place {
                let behind = segment.walk(&self.disk, place.position + place.size, end.position, |_| true);
                let next = match behind {
                    Ok(Some(next)) if next.span.base_offset > offset => next.span.base_offset,
                    _ => place.span.end().min(end.next_offset),
                };
                return Ok(Some(next));
            }
        }
        Ok(None)
    }

    /// The first record whose timestamp is `timestamp` or later, at or behind the log start.
    ///
    /// # Errors
    /// [`Error::Corrupt`] on a damaged log.
    pub fn offset_for_timestamp(&self, timestamp: i64) -> Result<Option<TimestampedOffset>> {
        self.stir_to_read();
        let segments = self.segments();
        let start = self.start_offset();
        for segment in segments.iter() {
            let end = segment.published();
            if end.next_offset <= start
                || segment.largest_timestamp(&self.disk)?.is_none_or(|t| t < timestamp)
            {
                continue;
            }
            let mut from = segment.floor_of_time(&self.disk, timestamp)?;
            if segment.base_offset < start
                && let Some(first) = segment.find(&self.disk, start, end)?
            {
                from = from.max(first.position);
            }
            while let Some(place) =
                segment.walk(&self.disk, from, end.position, |p| p.span.last_offset >= start)?
            {
                if let Some(found) = self.first_at(segment, place, timestamp, start)? {
                    return Ok(Some(found));
                }
                from = place.position + place.size;
            }
        }
        Ok(None)
    }

    /// The first record with the largest timestamp of the log; `None` if it is empty.
    ///
    /// # Errors
    /// [`Error::Corrupt`] on a damaged log.
    pub fn offset_of_max_timestamp(&self) -> Result<Option<TimestampedOffset>> {
        let start = self.start_offset();
        let segments = self.segments();
        let with_records = || segments.iter().filter(|segment| segment.published().next_offset > start);
        let mut largest = None;
        for segment in with_records() {
            largest = largest.max(segment.largest_timestamp(&self.disk)?);
        }
        let Some(most) = largest else { return Ok(None) };
        if let Some(found) = self.offset_for_timestamp(most)? {
            return Ok(Some(found));
        }
        // The index of the first segment remembers records before the log start.
        largest = None;
        for segment in with_records() {
            let of_segment = match segment.base_offset < start {
                true => self.largest_timestamp_from(segment, start)?,
                false => segment.largest_timestamp(&self.disk)?,
            };
            largest = largest.max(of_segment);
        }
        largest.map_or(Ok(None), |largest| self.offset_for_timestamp(largest))
    }

    /// The largest timestamp of the batches that reach to `start` or beyond. Of the batch that holds `start` only what
    /// is left counts.
    fn largest_timestamp_from(&self, segment: &Segment, start: i64) -> Result<Option<i64>> {
        let end = segment.published();
        let mut largest = None;
        let mut next = segment.find(&self.disk, start, end)?;
        while let Some(place) = next {
            if place.span.base_offset >= start {
                largest = largest.max(Some(self.header_at(segment, place)?.max_timestamp));
            } else {
                self.find_record(segment, place, |record| {
                    if record.offset >= start {
                        largest = largest.max(Some(record.timestamp));
                    }
                    false
                })?;
            }
            next = segment.walk(&self.disk, place.position + place.size, end.position, |_| true)?;
        }
        Ok(largest)
    }

    /// The first record of a batch with that timestamp or a later one.
    fn first_at(
        &self,
        segment: &Segment,
        place: Place,
        timestamp: i64,
        start: i64,
    ) -> Result<Option<TimestampedOffset>> {
        if self.header_at(segment, place)?.max_timestamp < timestamp {
            return Ok(None);
        }
        self.find_record(segment, place, |record| record.timestamp >= timestamp && record.offset >= start)
    }

    fn header_at(&self, segment: &Segment, place: Place) -> Result<BatchHeader> {
        let head = segment.read(&self.disk, place.position, HEADER_LEN)?;
        BatchHeader::read(&head).map_err(|e| corrupt(segment, place, e.to_string()))
    }

    /// The first record of a batch that `wanted` accepts.
    fn find_record(
        &self,
        segment: &Segment,
        place: Place,
        mut wanted: impl FnMut(&TimestampedOffset) -> bool,
    ) -> Result<Option<TimestampedOffset>> {
        let corrupt = |reason: String| corrupt(segment, place, reason);
        let (header, bytes) = read_batch(segment, &self.disk, place)?;
        let codec = header.attributes.codec().map_err(|e| corrupt(e.to_string()))?;
        let mut records = RecordStream::new(Decoder::new(codec, &bytes[HEADER_LEN..]), UNPACKED_MAX);
        let appended = header.attributes.timestamp_type() == TimestampType::LogAppendTime;
        for _ in 0..header.record_count {
            let record = records.skim().map_err(|e| corrupt(e.to_string()))?;
            let at = if appended {
                header.max_timestamp
            } else {
                header.base_timestamp.wrapping_add(record.timestamp_delta)
            };
            let offset = header.base_offset + i64::from(record.offset_delta);
            let record = TimestampedOffset { timestamp: at, offset };
            if wanted(&record) {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }
}

/// Adds the aborted transactions of one segment's index that overlap `from..upper`.
pub(super) fn collect_aborted(
    disk: &Disk,
    segment: &Segment,
    from: i64,
    upper: i64,
    found: &mut Vec<AbortedTransaction>,
) -> Result<Search> {
    let Some(file) = segment.transaction_index(disk)? else { return Ok(Search::GoOn) };
    aborted::collect(&Reader(disk, &file), from, upper, found).map_err(|error| match error {
        IndexError::Io(error) => Error::io("read", &segment.path(SegmentFileKind::TransactionIndex), error),
        error => segment.index_error(SegmentFileKind::TransactionIndex, &error),
    })
}

/// The position in `segment` at which a reader that may not see `stop` ends.
fn limit(disk: &Disk, segment: &Segment, end: Published, stop: i64) -> Result<u32> {
    if stop >= end.next_offset {
        return Ok(end.position);
    }
    Ok(segment.find(disk, stop, end)?.map_or(end.position, |p| p.position))
}

/// The position behind the last batch that a reader gets.
fn upto(
    disk: &Disk,
    segment: &Segment,
    first: Place,
    limit: u32,
    max_bytes: usize,
    at_least_one: bool,
) -> Result<u32> {
    let wanted = u64::from(first.position) + max_bytes as u64;
    if wanted >= u64::from(limit) {
        return Ok(limit);
    }
    if first.size as usize >= max_bytes {
        let whole = at_least_one || first.size as usize == max_bytes;
        return Ok(if whole { first.position + first.size } else { first.position });
    }
    segment.cut(disk, first, wanted as u32, limit)
}

fn corrupt(segment: &Segment, place: Place, reason: String) -> Error {
    Error::Corrupt { path: segment.path(SegmentFileKind::Log), position: u64::from(place.position), reason }
}

impl Slice {
    /// Whether [`Slice::verify`] has nothing to do.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.unverified.is_none()
    }

    /// Computes the CRCs of what an earlier process wrote and nobody has read since the start. The range ends before a
    /// batch that is not as it was written: it is for the next read to report. Reads the whole range; blocks.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if that is the first batch; [`Error::Io`].
    pub fn verify(&mut self) -> Result<()> {
        let (Some(segment), Some(file)) = (self.unverified.take(), &self.file) else { return Ok(()) };
        let from = self.position as u32;
        self.len = (segment.verify(file, from, from + self.len as u32, self.after)? - from) as usize;
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests;
