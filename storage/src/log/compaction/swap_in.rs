//! Cleaned segments take the place of those that they were made from, so that a crash at any moment leaves the one or
//! the other (Kafka: `LocalLog.replaceSegments`, whose names and order these are: each of the two starts on what the
//! other has left half done).
//!
//! | step | on the disk | a start that finds this |
//! |---|---|---|
//! | 1 | the new files are complete and synced, `.cleaned` | removes them |
//! | 2 | the new ones become `.swap`, the highest offset first, the log file of each before its indexes | with a `.cleaned` left: removes them and every `.swap` from its offset on |
//! | 3 | the directory is synced | goes on with the next step |
//! | 4 | the old ones become `.deleted`, the lowest offset first | removes the other old ones |
//! | 5 | the new ones lose their suffix, the lowest offset first | goes on |
//! | 6 | the directory is synced, and the list of segments in memory is replaced | is done |
//!
//! **Invariant.** Old segments are pinned before step 4: a reader that has found one reads its files, whatever becomes
//! of their names. The list is replaced as a whole after step 5, when every name means a new segment. So a reader sees
//! the old segments or the new ones, and never a part of both.

use super::output::{Finished, path_of, remove_leftovers};
use crate::error::{Error, Result};
use crate::file_name::{FileStage, SegmentFileKind};
use crate::log::Log;
use crate::segment::{Published, Segment};
use std::path::Path;
use std::sync::Arc;

impl Log {
    /// Replaces `old`, neighbours in the list, by `new`. On an error before step 4 the log is as before.
    ///
    /// # Errors
    /// [`Error::Closed`] if the log was deleted or retention has taken one of the old segments. After step 2 a failure
    /// takes the directory offline: only a start can tell what the names mean.
    pub(super) fn swap_in(&self, dir: &Path, old: &[Arc<Segment>], new: &[Finished]) -> Result<()> {
        let _removing = self.removing.lock();
        let prepared = self.prepare(dir, old, new);
        if let Err(error) = prepared {
            if self.position_of(old).is_some() {
                old.iter().for_each(|segment| segment.unpin());
            }
            // Under the old name of a deleted log there may be another by now.
            if **self.dir.read() == *dir {
                for segment in new {
                    remove_leftovers(&self.disk, dir, segment.base_offset);
                }
            }
            return Err(error);
        }
        self.exchange(dir, old, new).map_err(|error| self.disk.fail(error))
    }

    /// Steps 1 to 2.
    fn prepare(&self, dir: &Path, old: &[Arc<Segment>], new: &[Finished]) -> Result<()> {
        // A deleted log has another directory, in which nothing of this is worth while.
        if **self.dir.read() != *dir || self.position_of(old).is_none() || self.writer.lock().closed {
            return Err(Error::Closed);
        }
        self.disk.check_online()?;
        old.iter().try_for_each(|segment| segment.pin(&self.disk))?;
        new.iter()
            .rev()
            .try_for_each(|segment| self.rename(dir, segment, FileStage::Cleaned, FileStage::Swap))
    }

    /// Steps 3 to 6.
    fn exchange(&self, dir: &Path, old: &[Arc<Segment>], new: &[Finished]) -> Result<()> {
        self.disk.sync_dir(dir)?;
        self.doom(old)?;
        let replaced = |base| new.iter().any(|segment| segment.base_offset == base);
        let mut gone = old.iter().map(|segment| segment.base_offset).filter(|base| !replaced(*base));
        gone.try_for_each(|base| self.doom_snapshot(base))?;
        for segment in new {
            self.rename(dir, segment, FileStage::Swap, FileStage::Live)?;
        }
        self.replace(old, new);
        self.disk.sync_dir(dir)
    }

    fn rename(&self, dir: &Path, segment: &Finished, from: FileStage, to: FileStage) -> Result<()> {
        segment.kinds.iter().try_for_each(|kind| {
            let path = |stage| path_of(dir, segment.base_offset, *kind, stage);
            self.disk.rename(&path(from), &path(to))
        })
    }

    /// Where the segments are in the list, if they all still are.
    fn position_of(&self, segments: &[Arc<Segment>]) -> Option<usize> {
        let list = self.segments();
        let at = list.iter().position(|s| Arc::ptr_eq(s, &segments[0]))?;
        let found = list.get(at..at + segments.len())?;
        found.iter().zip(segments).all(|(a, b)| Arc::ptr_eq(a, b)).then_some(at)
    }

    fn replace(&self, old: &[Arc<Segment>], new: &[Finished]) {
        let behind = old[old.len() - 1].published().next_offset;
        let ends = new[1..].iter().map(|next| next.base_offset).chain([behind]);
        let new = new.iter().zip(ends).map(|(segment, next_offset)| {
            let end = Published { next_offset, position: segment.bytes };
            let make = if segment.is_sound { Segment::written } else { Segment::closed };
            Arc::new(make(&self.dir, segment.base_offset, end))
        });
        let mut list = self.segments.write();
        // Nobody else takes segments out meanwhile, and new ones come behind.
        let kept = |segment: &&Arc<Segment>| !old.iter().any(|other| Arc::ptr_eq(other, segment));
        let mut replaced: Vec<_> = list.iter().filter(kept).cloned().chain(new).collect();
        replaced.sort_unstable_by_key(|segment| segment.base_offset);
        *list = Arc::new(replaced);
    }
}

/// The time of the last change of a segment's log file.
pub(super) fn modified(segment: &Segment) -> Option<std::time::SystemTime> {
    std::fs::metadata(segment.path(SegmentFileKind::Log)).and_then(|file| file.modified()).ok()
}
