//! Whether batches lie where their base offsets say. No checksum covers these, but the neighbours tell: offsets ascend,
//! and end before the next segment begins, or the log ends. They need not meet: compaction leaves gaps.

/// The offsets of a batch as its header gives them, and what the batches before it leave to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// No batch before it in the segment reaches so far.
    pub(crate) after: i64,
    pub(crate) base_offset: i64,
    pub(crate) last_offset: i64,
    /// It lies behind those before it, and within its segment.
    pub(crate) fits: bool,
}

impl Span {
    /// `limit`: where the segment ends.
    pub(crate) fn new(after: i64, base_offset: i64, last_offset_delta: i32, limit: i64) -> Self {
        let last_offset = base_offset.saturating_add(i64::from(last_offset_delta));
        let fits = base_offset >= after && last_offset < limit;
        Self { after, base_offset, last_offset, fits }
    }

    /// Where it would end if nothing were missing before it.
    fn least_end(&self) -> i64 {
        self.after.saturating_add(self.last_offset.saturating_sub(self.base_offset)).saturating_add(1)
    }

    /// The offset behind it.
    pub(crate) fn end(&self) -> i64 {
        if self.fits { self.last_offset.saturating_add(1) } else { self.least_end() }
    }

    /// Whether it is this batch that is out of place, and not the next one, which begins at `next`: there is room for it
    /// in front of that.
    pub(crate) fn is_ousted_by(&self, next: i64) -> bool {
        (!self.fits || next <= self.last_offset) && next >= self.least_end()
    }

    /// The least offset that the batch behind it may have, which begins at `next`. `is_sound`: its CRC is right.
    pub(crate) fn least_behind<E>(
        &self,
        next: i64,
        is_sound: impl FnOnce() -> Result<bool, E>,
    ) -> Result<i64, E> {
        if self.is_ousted_by(next) {
            return Ok(self.least_end());
        }
        // Either the next one is too low, or this one is not as long as it says.
        let is_long = next >= self.end() || is_sound()?;
        Ok(if is_long { self.end() } else { self.after.saturating_add(1) })
    }
}
