//! Segments that are taken as their files say, without a scan.

use super::Loader;
use crate::error::{Error, Result};
use crate::file_name::SegmentFileKind;
use crate::index::aborted::{self, AbortedTransaction};
use crate::index::offset::OffsetPosition;
use crate::index::{IndexError, ReadAt, offset, time};
use crate::segment::order::Span;
use crate::segment::{Published, Segment, Walk};

impl Loader<'_> {
    /// Segments that begin below this offset are taken as they are.
    pub(super) fn trusted_up_to(&self, bases: &[i64]) -> i64 {
        if self.start.clean && !self.repaired {
            return i64::MAX;
        }
        // The segment that holds the recovery point is scanned as a whole.
        if self.repaired { 0 } else { self.first_unsynced(bases) }
    }

    /// Base offset of the segment that holds the recovery point.
    pub(super) fn first_unsynced(&self, bases: &[i64]) -> i64 {
        bases[bases.partition_point(|b| *b <= self.start.recovery_point).saturating_sub(1)]
    }

    /// Whether the index files of a segment are there. What is in them is looked at when they are first needed.
    pub(super) fn has_indexes(&self, base: i64) -> bool {
        [SegmentFileKind::OffsetIndex, SegmentFileKind::TimeIndex]
            .into_iter()
            .all(|kind| self.indexes.contains(&(base, kind)))
    }

    /// Whether the index of aborted transactions of a segment that is not read may be what was written. What it says is
    /// believed, so this is the only look at it.
    pub(super) fn aborted_fit(&self, base: i64, end: i64) -> Result<bool> {
        let kind = SegmentFileKind::TransactionIndex;
        if !self.indexes.contains(&(base, kind)) {
            return Ok(true);
        }
        let path = self.path(base, kind);
        let file = self.disk.open_read(&path)?;
        let length = file.len().map_err(|e| Error::io("stat", &path, e))?;
        let whole = length > 0 && length.is_multiple_of(aborted::ENTRY_SIZE as u64);
        let checked = match aborted::check(&file, base..end) {
            Err(IndexError::Io(error)) => return Err(Error::io("read", &path, error)),
            Ok(()) if whole => return Ok(true),
            Ok(()) => format!("{length} bytes are no entries"),
            Err(corrupt) => corrupt.to_string(),
        };
        tracing::warn!("{}: {checked}; making it anew", path.display());
        Ok(false)
    }

    /// The end of the last segment, from its last index entry on; `None` if it does not hold together, or is not
    /// trusted, and must be scanned.
    ///
    /// After a crash it is trusted if it is as a clean stop has left it: the recovery point says that everything below it
    /// reached the device; the producer snapshot for that offset is written after the indexes of a log that closes, and
    /// only then; and the segment ends exactly there, so that nothing was appended since. A start in which hundreds of
    /// partitions were idle and one was not reads that one.
    pub(super) fn resume(&self, base: i64, length: u64, trusted: bool) -> Result<Option<Published>> {
        let point = self.start.recovery_point;
        let ended_at_point = !self.repaired && point > base && self.snapshots.contains(&point);
        if !(trusted || ended_at_point) || length == 0 || length > i32::MAX as u64 || !self.has_indexes(base)
        {
            return Ok(None);
        }
        let position = length as u32;
        let path = self.path(base, SegmentFileKind::OffsetIndex);
        let index_length = self.disk.length(&path)?;
        let entry_size = offset::ENTRY_SIZE as u64;
        if !index_length.is_multiple_of(entry_size) {
            return Ok(None);
        }
        let entry = match index_length / entry_size {
            0 => OffsetPosition { offset: base, position: 0 },
            entries => match offset::last_checked(&self.disk.open_read(&path)?, base, entries, length) {
                Ok(last) => last,
                Err(_) => return Ok(None),
            },
        };
        // Where it ends is what is looked for.
        let segment = Segment::closed(&self.home, base, Published { next_offset: i64::MAX, position });
        let (mut next_offset, mut reached) = (base, entry.position);
        let mut walk = Walk::behind(&segment, self.disk, entry, position)?;
        while let Ok(Some(place)) = walk.next() {
            (next_offset, reached) = (self.end_behind(&place.span), place.position + place.size);
        }
        let holds = reached == position
            && (trusted || next_offset == point && self.nothing_is_indexed_from(point, base)?);
        Ok(holds.then_some(Published { next_offset, position }))
    }

    /// Where a log ends behind its last batch. One that does not follow on the batch before it is not believed where a
    /// clean stop has written the end down twice: as the recovery point, and in the name of the newest producer snapshot.
    fn end_behind(&self, last: &Span) -> i64 {
        let point = self.start.recovery_point;
        let is_end = self.start.clean && self.snapshots.last() == Some(&point);
        let jumps = last.fits && last.base_offset > last.after && last.end() > point;
        if is_end && point > last.after && (jumps || !last.fits) { point } else { last.end() }
    }

    /// Whether time index and aborted transactions of a segment end before an offset. An append that came to nothing may
    /// have left more: a marker is in its index before it is in the log, and an index may reach the device before the
    /// log does.
    fn nothing_is_indexed_from(&self, offset: i64, base: i64) -> Result<bool> {
        let times = self.disk.open_read(&self.path(base, SegmentFileKind::TimeIndex))?;
        if !time::last(&times, base).is_ok_and(|last| last.offset < offset) {
            return Ok(false);
        }
        let path = self.path(base, SegmentFileKind::TransactionIndex);
        let bytes = self.disk.read_if_there(&path)?.unwrap_or_default();
        let (entries, rest) = bytes.as_chunks::<{ aborted::ENTRY_SIZE }>();
        let ends_before = |entry| AbortedTransaction::decode(entry).is_ok_and(|one| one.last_offset < offset);
        Ok(rest.is_empty() && entries.last().is_none_or(ends_before))
    }
}
