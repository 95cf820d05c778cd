//! Segments that are taken as their files say, without a scan.

use super::Loader;
use crate::error::Result;
use crate::file_name::SegmentFileKind;
use crate::index::{ActiveIndexes, offset, time};
use crate::log::append::index_limits;
use crate::segment::{Published, Segment, Walk};

impl Loader<'_> {
    /// Segments that begin below this offset are taken as they are.
    pub(super) fn trusted_up_to(&self, bases: &[i64]) -> i64 {
        if self.start.clean && !self.repaired {
            return i64::MAX;
        }
        // The segment that holds the recovery point is scanned as a whole.
        let at = bases.partition_point(|b| *b <= self.start.recovery_point).saturating_sub(1);
        if self.repaired { 0 } else { bases[at] }
    }

    pub(super) fn index_fits(&self, base: i64, length: u64) -> bool {
        let offsets = self.disk.open_read(&self.path(base, SegmentFileKind::OffsetIndex));
        let times = self.disk.open_read(&self.path(base, SegmentFileKind::TimeIndex));
        let (Ok(offsets), Ok(times)) = (offsets, times) else { return false };
        offset::check(&offsets, base, length).is_ok() && time::check(&times, base).is_ok()
    }

    /// The end of an active segment that was stopped cleanly, from its last index entry on; `None` if it does not
    /// hold together and must be scanned.
    pub(super) fn resume(
        &self,
        base: i64,
        length: u64,
        trusted: bool,
    ) -> Result<Option<(Published, ActiveIndexes)>> {
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
}
