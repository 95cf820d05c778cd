//! Segments that leave the log: out of the list and renamed at once, unlinked after `file.delete.delay.ms`.

use super::Log;
use crate::error::Result;
use crate::file_name::{FileStage, SegmentFile, SegmentFileKind};
use crate::segment::Segment;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A file that waits for its end.
#[derive(Debug)]
pub(super) struct Doomed {
    /// By the steady clock; the first look at it says when.
    due_ms: Option<i64>,
    path: PathBuf,
}

impl Log {
    /// Lets go of segments that are no longer in the list, and whose names are to mean others.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be renamed.
    pub(super) fn doom(&self, segments: &[Arc<Segment>]) -> Result<()> {
        self.names_change();
        segments.iter().try_for_each(|segment| segment.set_deleted(&self.disk, |path| self.doom_file(path)))
    }

    /// Lets go of segments that are no longer in the list. What fails is tried again with each round of chores: until then
    /// their files count as the beginning of the log ([`Log::first_base_offset`]), so that a start knows that they are not.
    /// `producers_kept`: [`Log::keep_producers`] was called. Under the lock `removing`.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be renamed, [`Error`] of the sync.
    pub(super) fn dismiss(&self, segments: Vec<Arc<Segment>>, producers_kept: bool) -> Result<()> {
        let mut leaving = self.leaving.lock();
        leaving.extend(segments);
        if leaving.is_empty() {
            return Ok(());
        }
        self.stir();
        self.names_change();
        if !producers_kept {
            self.keep_producers(self.segments()[0].base_offset)?;
        }
        let mut done = Ok(());
        leaving.retain(|segment| {
            let gone = segment
                .set_deleted(&self.disk, |path| self.doom_file(path))
                .and_then(|()| self.doom_snapshot(segment.base_offset));
            let stays = gone.is_err();
            if done.is_ok() {
                done = gone;
            }
            stays
        });
        done
    }

    /// Tries again what [`Log::dismiss`] could not do.
    pub(super) fn dismiss_rest(&self) {
        if self.leaving.lock().is_empty() {
            return;
        }
        let _removing = self.removing.lock();
        if let Err(error) = self.dismiss(Vec::new(), false) {
            tracing::debug!("{error}");
        }
    }

    /// The producer snapshot at the beginning of a removed segment goes with it, as in Kafka.
    pub(super) fn doom_snapshot(&self, base_offset: i64) -> Result<()> {
        let live = SegmentFile::live(base_offset, SegmentFileKind::ProducerSnapshot);
        let from = self.dir().join(live.to_string());
        if !from.exists() {
            return Ok(());
        }
        let to = self.dir().join(live.at(FileStage::Deleted).to_string());
        if self.disk.rename_or_remove(&from, &to)? {
            self.doom_file(to);
        }
        Ok(())
    }

    /// Lets go of one file, which has its new name.
    fn doom_file(&self, path: PathBuf) {
        self.doomed.lock().push(Doomed { due_ms: None, path });
        self.stir();
    }

    /// The directory is not as the last stop has left it any more: the next one syncs it.
    fn names_change(&self) {
        self.may_return.store(true, Ordering::Release);
        self.complete_below.fetch_min(self.active().base_offset, Ordering::AcqRel);
    }

    /// Whether [`Log::remove_doomed`] has something to do, now or later.
    #[must_use]
    pub fn has_doomed(&self) -> bool {
        !self.is_at_rest() && (!self.doomed.lock().is_empty() || !self.leaving.lock().is_empty())
    }

    /// Unlinks the files whose time is up, by the steady clock: their delay begins with the first call that finds them. What
    /// cannot be removed, or could not be renamed, is tried again.
    pub fn remove_doomed(&self, steady_ms: i64) {
        if self.is_at_rest() {
            return;
        }
        self.dismiss_rest();
        let delay_ms = self.config().file_delete_delay_ms;
        let is_due =
            |file: &mut Doomed| *file.due_ms.get_or_insert(steady_ms.saturating_add(delay_ms)) <= steady_ms;
        let due: Vec<_> = self.doomed.lock().extract_if(.., is_due).collect();
        if !due.is_empty() {
            self.names_change();
        }
        for file in due {
            if let Err(error) = self.disk.remove(&file.path) {
                tracing::warn!("{error}");
                self.doomed.lock().push(file);
            }
        }
    }
}
