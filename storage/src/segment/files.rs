//! Which files of a segment are open.

use super::{Indexes, PinnedIndexes, Segment};
use crate::error::Result;
use crate::file::Disk;
use crate::file_name::SegmentFileKind;
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Segment {
    /// The open log file; it is opened (or made) on first use and stays readable after it was unlinked.
    pub(crate) fn file(&self, disk: &Disk) -> Result<Arc<File>> {
        let mut kept = self.file.lock();
        let file = self.kept_or_opened(&kept, disk)?;
        if kept.is_none() {
            *kept = Some(file.clone());
        }
        Ok(file)
    }

    /// As [`Segment::file`], for a segment that is not about to be read: it is not kept open.
    pub(crate) fn file_for_once(&self, disk: &Disk) -> Result<Arc<File>> {
        let kept = self.file.lock();
        self.kept_or_opened(&kept, disk)
    }

    /// Looks at something that is not looked at again soon: a log file that was not open before is not left open.
    pub(super) fn in_passing<R>(&self, look: impl FnOnce() -> Result<R>) -> Result<R> {
        let was_open = self.file.lock().is_some();
        let seen = look();
        if !was_open {
            self.close_idle_file();
        }
        seen
    }

    fn kept_or_opened(&self, kept: &Option<Arc<File>>, disk: &Disk) -> Result<Arc<File>> {
        if let Some(file) = kept {
            return Ok(file.clone());
        }
        let _named = self.home.read();
        let path = self.path(SegmentFileKind::Log);
        let opened = Arc::new(if self.is_unborn() { disk.create(&path)? } else { disk.open(&path)? });
        self.unborn.store(false, Ordering::Release);
        Ok(opened)
    }

    /// Lets go of the open file if nobody else uses it; the next reader opens it again.
    pub(crate) fn close_idle_file(&self) -> bool {
        let indexes = self.indexes.read();
        let mut file = self.file.lock();
        let pinned = matches!(*indexes, Indexes::Pinned(_));
        let idle = !pinned && file.as_ref().is_some_and(|f| Arc::strong_count(f) == 1);
        if idle {
            *file = None;
        }
        idle
    }

    /// Opens all files of a segment that does not grow, and keeps them open: from now on their names may go, or come to
    /// mean another segment. A reader may have found this one and not yet have opened what it needs.
    pub(crate) fn pin(&self, disk: &Disk) -> Result<()> {
        let mut indexes = self.indexes.write();
        let Indexes::Closed = *indexes else { return Ok(()) };
        let _named = self.home.read();
        let _open = self.file(disk)?;
        let fit = *self.checked.lock() || self.index_files_fit(disk, self.published())?;
        // Without them a reader searches from the start.
        let open = |kind| disk.open_if_there(&self.path(kind)).map(|file| file.map(Arc::new));
        *indexes = Indexes::Pinned(PinnedIndexes {
            offsets: open(SegmentFileKind::OffsetIndex)?.filter(|_| fit),
            times: open(SegmentFileKind::TimeIndex)?.filter(|_| fit),
            transactions: open(SegmentFileKind::TransactionIndex)?,
        });
        Ok(())
    }

    /// Lets go of what [`Segment::pin`] has opened: the files keep their names after all.
    pub(crate) fn unpin(&self) {
        let mut indexes = self.indexes.write();
        if let Indexes::Pinned(_) = *indexes {
            *indexes = Indexes::Closed;
        }
    }
}
