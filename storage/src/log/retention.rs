//! What a log no longer keeps: segments below the log start, beyond `retention.bytes`, older than `retention.ms`.
//!
//! Only whole segments go, the oldest first, in Kafka's order (`UnifiedLog.deleteOldSegments`):
//!
//! | rule | holds for | a segment goes when |
//! |---|---|---|
//! | log start | every policy | the next segment begins at or below the log start |
//! | size | `delete` | the log without it still has `retention.bytes` |
//! | time | `delete` | its newest record is more than `retention.ms` old |
//!
//! A segment whose records carry no timestamps is as old as its last append. One with a timestamp in the future stays
//! until that time has come and gone. The active segment goes like any other if it holds records: an empty one
//! begins at the log end before, so that a topic nobody writes to ends up empty.

use super::{Log, Segments, Writer};
use crate::config::LogConfig;
use crate::error::{Error, Result};
use crate::file_name::SegmentFileKind;
use crate::segment::{Published, Segment};
use std::ops::AddAssign;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

/// Segments that a pass removes, at most: until they have their new names each has its four files open.
const SEGMENTS_MAX: usize = 100;

/// What a look for segments to delete has removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retained {
    /// Segments removed because they lay below the log start.
    pub below_start: usize,
    /// Segments removed because of `retention.bytes`.
    pub by_size: usize,
    /// Segments removed because of `retention.ms`.
    pub by_time: usize,
    /// Bytes of all of them.
    pub bytes: u64,
    /// There is more to remove, for the next pass.
    pub more: bool,
}

impl Retained {
    /// Number of segments that were removed.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.below_start + self.by_size + self.by_time
    }
}

impl Log {
    /// Removes segments that need not be kept, a bounded number of them: [`Retained::more`] asks for another pass. The log
    /// start moves first, then they leave the list, then their files are renamed; the unlinking is for
    /// [`Log::remove_doomed`]. Reads that hold a segment go on.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be looked at or renamed, or the active segment cannot be replaced.
    pub fn retain(&self, now_ms: i64) -> Result<Retained> {
        let segments = self.segments();
        let published: Vec<Published> = match segments.as_slice() {
            // The usual case of an idle partition.
            [only] if only.published().position == 0 => return Ok(Retained::default()),
            all => all.iter().map(|segment| segment.published()).collect(),
        };
        let config = self.config();
        let found = self.find_expired(&segments, &published, &config, now_ms)?;
        if found.segments() == 0 {
            return Ok(found);
        }
        self.disk.check_online()?;
        let _removing = self.removing.lock();
        // What needs a descriptor comes first: nothing has changed when there is none.
        let going = &segments[..found.segments()];
        if !starts_with(&self.segments(), going) {
            return Ok(Retained::default());
        }
        let pinned = self.pin_some(going)?;
        let (going, found) = (&going[..pinned], found.first(pinned, &published));
        let kept = match segments.get(pinned) {
            Some(next) => self.keep_producers(next.base_offset),
            None => Ok(()),
        };
        let taken = kept.and_then(|()| self.take_out(&segments, &published, found, &config, now_ms));
        if !matches!(taken, Ok(Some(_))) {
            going.iter().for_each(|segment| segment.unpin());
        }
        let Some((found, removed)) = taken? else {
            return Ok(Retained::default());
        };
        // A full disk must not keep anybody from freeing some. It is written again with the next flush or stop, and a
        // start knows what to make of an older one.
        if let Err(error) = self.write_epochs() {
            tracing::debug!("{error}");
        }
        // Those at the end of the log are known to the segment that was begun there, and not synced before.
        let producers_kept = removed.len() < segments.len();
        self.dismiss(removed, producers_kept)?;
        Ok(found)
    }

    /// Pins segments, as many as there are descriptors for, of which it leaves others half. Returns their number.
    fn pin_some(&self, segments: &[Arc<Segment>]) -> Result<usize> {
        for (at, segment) in segments.iter().enumerate() {
            let Err(error) = segment.pin(&self.disk) else { continue };
            let kept = if error.is_shortage() { at.div_ceil(2) } else { at };
            segments[kept..at].iter().for_each(|segment| segment.unpin());
            return if kept > 0 { Ok(kept) } else { Err(error) };
        }
        Ok(segments.len())
    }

    fn find_expired(
        &self,
        segments: &[Arc<Segment>],
        published: &[Published],
        config: &LogConfig,
        now_ms: i64,
    ) -> Result<Retained> {
        let start = self.start_offset();
        let below_start = segments[1..].iter().take_while(|next| next.base_offset <= start).count();
        let mut found = Retained { below_start, ..Retained::default() };
        if config.delete {
            found.by_size = beyond(&published[below_start..], config.retention_bytes);
            let rest = found.segments();
            if config.retention_ms >= 0 {
                // One more, which says that there is more.
                for (segment, end) in segments.iter().zip(published).take(SEGMENTS_MAX + 1).skip(rest) {
                    let is_active = found.segments() + 1 == segments.len();
                    if is_active && end.position == 0 {
                        break;
                    }
                    let newest_ms = match self.newest_ms(segment, is_active) {
                        // What goes in any case goes, and makes room perhaps.
                        Err(error) if found.segments() > 0 => {
                            tracing::debug!("{error}");
                            break;
                        }
                        newest_ms => newest_ms?,
                    };
                    let age = now_ms.saturating_sub(newest_ms);
                    if age <= config.retention_ms {
                        break;
                    }
                    found.by_time += 1;
                }
            }
        }
        Ok(found.first(SEGMENTS_MAX, published))
    }

    /// When the newest record of a segment was written: by its timestamp, else by the clock of the last append.
    pub(super) fn newest_ms(&self, segment: &Segment, is_active: bool) -> Result<i64> {
        if let Some(timestamp) = segment.largest_timestamp(&self.disk)? {
            return Ok(timestamp);
        }
        if is_active {
            let appended_ms = self.writer.lock().last_append_ms;
            if appended_ms > 0 {
                return Ok(appended_ms);
            }
        }
        let path = segment.path(SegmentFileKind::Log);
        let modified = std::fs::metadata(&path).and_then(|file| file.modified());
        let modified = modified.map_err(|e| Error::io("stat", &path, e))?;
        let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        Ok(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// Takes the segments out of the list; `None` if that is no longer what there is to do. Nothing in here waits
    /// for the device.
    fn take_out(
        &self,
        segments: &Segments,
        published: &[Published],
        mut found: Retained,
        config: &LogConfig,
        now_ms: i64,
    ) -> Result<Option<(Retained, Vec<Arc<Segment>>)>> {
        let mut guard = self.writer.lock();
        let writer = &mut *guard;
        let count = found.segments();
        if writer.closed || !starts_with(&self.segments(), &segments[..count]) {
            return Ok(None);
        }
        if count == segments.len() && !self.make_room(writer, published[count - 1], config, now_ms)? {
            found.spare(published[count - 1]);
        }
        let count = found.segments();
        let (removed, start) = {
            let mut list = self.segments.write();
            let Some(first) = list.get(count).filter(|_| count > 0) else { return Ok(None) };
            let start = first.base_offset;
            // Before the list changes: who sees the shorter list knows that what it lacks is gone.
            self.log_start.fetch_max(start, std::sync::atomic::Ordering::AcqRel);
            let removed = list[..count].to_vec();
            *list = Arc::new(list[count..].to_vec());
            (removed, start)
        };
        writer.epochs_changed |= writer.epochs.truncate_from_start(start);
        Ok(Some((found, removed)))
    }

    /// Begins an empty segment so that the active one can go; `false` if that one has grown meanwhile, or the disk is
    /// too full even for this.
    fn make_room(
        &self,
        writer: &mut Writer,
        seen: Published,
        config: &LogConfig,
        now_ms: i64,
    ) -> Result<bool> {
        if writer.active.published() != seen || seen.position == 0 {
            return Ok(false);
        }
        match self.roll(writer, config, now_ms) {
            Ok(()) => {
                // The log end is where it was, but the new segment has no index files yet.
                writer.complete_at = None;
                Ok(true)
            }
            Err(Error::Full(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl AddAssign for Retained {
    /// What passes one after the other have removed.
    fn add_assign(&mut self, later: Self) {
        self.below_start += later.below_start;
        self.by_size += later.by_size;
        self.by_time += later.by_time;
        self.bytes += later.bytes;
        self.more = later.more;
    }
}

impl Retained {
    /// The first of the segments that were found, so many at most.
    fn first(mut self, most: usize, published: &[Published]) -> Self {
        self.more |= self.segments() > most;
        self.below_start = self.below_start.min(most);
        self.by_size = self.by_size.min(most - self.below_start);
        self.by_time = self.by_time.min(most - self.below_start - self.by_size);
        self.bytes = published[..self.segments()].iter().map(|end| u64::from(end.position)).sum();
        self
    }

    /// The last segment stays after all.
    fn spare(&mut self, last: Published) {
        let by = [&mut self.by_time, &mut self.by_size, &mut self.below_start];
        if let Some(count) = by.into_iter().find(|count| **count > 0) {
            *count -= 1;
            self.bytes -= u64::from(last.position);
        }
    }
}

/// How many of the oldest segments the log has beyond `retention.bytes`.
fn beyond(published: &[Published], retention_bytes: i64) -> usize {
    let Ok(kept) = u64::try_from(retention_bytes) else { return 0 };
    let size: u64 = published.iter().map(|end| u64::from(end.position)).sum();
    let Some(mut excess) = size.checked_sub(kept) else { return 0 };
    let mut count = 0;
    for (at, end) in published.iter().enumerate() {
        let is_empty_active = at + 1 == published.len() && end.position == 0;
        let Some(left) = excess.checked_sub(u64::from(end.position)).filter(|_| !is_empty_active) else {
            break;
        };
        (excess, count) = (left, count + 1);
    }
    count
}

fn starts_with(list: &[Arc<Segment>], with: &[Arc<Segment>]) -> bool {
    list.len() >= with.len() && list.iter().zip(with).all(|(a, b)| Arc::ptr_eq(a, b))
}

#[cfg(test)]
mod tests;
