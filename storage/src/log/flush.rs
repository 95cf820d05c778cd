//! What must reach the device, and what is known to be there.

use super::{Log, Writer};
use crate::error::{Error, Result};
use crate::file::Disk;
use crate::file_name::{self, SegmentFile, SegmentFileKind};
use crate::segment::Segment;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;

/// Segments of a plan, with up to five files each: what waits behind them comes with the next one.
const SEGMENTS_AT_ONCE: usize = 50;

/// The open files that make a log durable up to an offset when all of them are synced.
#[derive(Debug)]
pub(crate) struct FlushPlan {
    upto: i64,
    /// More segments wait than it holds.
    is_part: bool,
    /// Segments that begin below are complete then.
    complete_below: i64,
    files: Vec<(Arc<File>, PathBuf)>,
    dirs: Vec<(File, PathBuf)>,
}

impl FlushPlan {
    /// Whether another plan must follow for all that was asked for.
    pub(crate) fn is_part(&self) -> bool {
        self.is_part
    }

    /// Number of files and directories.
    pub(crate) fn len(&self) -> usize {
        self.files.len() + self.dirs.len()
    }

    /// Syncs each of them.
    ///
    /// # Errors
    /// [`Error::Io`] of the first that fails: the log directory is offline then.
    pub(crate) fn sync(&self, disk: &Disk) -> Result<()> {
        self.files.iter().try_for_each(|(file, path)| disk.sync(file, path))?;
        self.dirs.iter().try_for_each(|(dir, path)| disk.sync_open_dir(dir, path))
    }

    /// Syncs one of the files.
    ///
    /// # Errors
    /// As [`FlushPlan::sync`].
    pub(crate) fn sync_one(&self, disk: &Disk) -> Result<()> {
        self.files.first().map_or(Ok(()), |(file, path)| disk.sync(file, path))
    }
}

impl Log {
    /// Waits until everything appended so far is on the device. Appends go on meanwhile.
    ///
    /// # Errors
    /// [`Error::Io`] of the sync: the log directory is offline then, and what was not acknowledged may be lost.
    /// [`Error::Closed`] if the log was deleted.
    pub fn flush(&self) -> Result<()> {
        self.flush_below(self.end_offset())
    }

    /// As [`Log::flush`], of what is below an offset.
    pub(super) fn flush_below(&self, upto: i64) -> Result<()> {
        while let Some(plan) = self.plan_flush(upto)? {
            plan.sync(&self.disk)?;
            self.flushed(&plan);
            if !plan.is_part {
                break;
            }
        }
        Ok(())
    }

    /// Has everything below `upto`, which must have been appended, brought to the device, together with what others on
    /// the same device wait for. `done` is called when it is there, or cannot be there: on another thread, or at once;
    /// it must not block.
    ///
    /// Its error is [`Error::Offline`] when a write or sync has failed, [`Error::Closed`] when the log was deleted, and a
    /// shortage of descriptors as it is: nothing has failed then, and the next try may succeed.
    pub fn flush_later(self: &Arc<Self>, upto: i64, done: impl FnOnce(Result<()>) + Send + 'static) {
        if upto <= self.recovery_point() {
            done(Ok(()));
        } else {
            self.disk.syncer().request(self.clone(), upto, Some(Box::new(done)));
        }
    }

    /// As [`Log::flush_later`], and waits for it.
    ///
    /// # Errors
    /// As there.
    pub fn flush_together(self: &Arc<Self>, upto: i64) -> Result<()> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.flush_later(upto, move |done| drop(sender.send(done)));
        receiver.recv().unwrap_or(Err(Error::Closed))
    }

    /// Has the segments that no longer grow brought to the device some time soon, so that a start after a crash need not
    /// read them. Nobody waits; a failure takes the log directory offline.
    pub fn flush_closed(self: &Arc<Self>) {
        if self.is_at_rest() {
            return;
        }
        let upto = self.active().base_offset;
        let behind = upto > self.recovery_point() || upto > self.complete_below.load(Ordering::Acquire);
        if behind && !self.disk.is_offline() {
            self.disk.syncer().request(self.clone(), upto, None);
        }
    }

    /// Has a log brought to the device some time soon if `flush.ms` has run out for its oldest record that is not there, by
    /// the steady clock. Of records that the last call has not seen, the first may have come right after it.
    pub fn flush_overdue(self: &Arc<Self>, steady_ms: i64) {
        let looked_ms = self.looked_ms.swap(steady_ms, Ordering::Relaxed);
        if self.is_at_rest() {
            return;
        }
        let limit = self.config.read().flush_ms;
        let end = self.end_offset();
        if limit == i64::MAX || end <= self.recovery_point() || self.disk.is_offline() {
            self.unsynced_since_ms.store(i64::MAX, Ordering::Relaxed);
            return;
        }
        let since_ms = self.unsynced_since_ms.fetch_min(looked_ms, Ordering::Relaxed).min(looked_ms);
        if steady_ms - since_ms >= limit {
            self.disk.syncer().request(self.clone(), end, None);
        }
    }

    /// Whether a batch at the end of the log must be on the device before it is acknowledged: `flush.messages` records
    /// are not there yet.
    pub(super) fn flush_due(&self, writer: &Writer, flush_messages: i64) -> bool {
        // Also keeps the plain log, which never syncs, from reading what another thread writes.
        flush_messages < i64::MAX && writer.next_offset - self.recovery_point() >= flush_messages
    }

    /// The log directory's access to its device.
    #[must_use]
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Whether something of a closed log may not be on the device: it was touched since the last clean stop.
    #[must_use]
    pub fn awaits_sync(&self) -> bool {
        self.complete_below.load(Ordering::Acquire) < i64::MAX
    }

    /// Brings each file of a closed log to the device, where nobody does so for the whole file system
    /// ([`Disk::syncs_as_a_whole`], [`Log::is_elsewhere`]).
    ///
    /// # Errors
    /// [`Error::Io`]: the log directory is offline then.
    pub fn sync_closed(&self) -> Result<()> {
        let dir = self.dir();
        for name in self.disk.list(&dir)? {
            let path = dir.join(name);
            self.disk.sync(&self.disk.open_read(&path)?, &path)?;
        }
        self.disk.sync_dir(&dir)?;
        dir.parent().map_or(Ok(()), |root| self.disk.sync_dir(root))
    }

    /// What must be synced so that everything below `upto` is on the device, or of many segments the first; if that reaches
    /// into the active segment, everything that was appended so far. `None`: it is there already.
    ///
    /// # Errors
    /// [`Error::Offline`]; [`Error::Closed`] if the log was deleted; [`Error::Io`] or [`Error::Full`] if a file cannot
    /// be opened or the epochs cannot be written.
    pub(crate) fn plan_flush(&self, upto: i64) -> Result<Option<FlushPlan>> {
        let from = self.recovery_point();
        let complete_below = self.complete_below.load(Ordering::Acquire);
        // Who asks for less than was synced meanwhile has it, however many segments were closed behind that.
        if upto <= from && complete_below >= self.active().base_offset.min(upto) {
            return Ok(None);
        }
        self.disk.check_online()?;
        let (mut files, mut dirs) = (Vec::new(), Vec::new());
        let epochs = self.write_epochs()?;
        let all = self.segments();
        let active = all.last().expect("a log has at least one segment");
        // A segment that was synced while it grew has been cut to its length and got its indexes since.
        let first = all.partition_point(|s| s.base_offset < complete_below.min(from));
        let first = first.min(all.partition_point(|s| s.base_offset <= from).saturating_sub(1));
        let next = all.get(first + SEGMENTS_AT_ONCE).filter(|next| next.base_offset < upto);
        let is_part = next.is_some();
        let upto = match next {
            Some(next) => next.base_offset,
            None if upto > active.base_offset => {
                // What is appended from now on may wait for `flush.ms`; the rest is about to be synced.
                self.unsynced_since_ms.store(i64::MAX, Ordering::Relaxed);
                active.published().next_offset
            }
            None => upto,
        };
        let behind = all.partition_point(|s| s.base_offset < upto);
        // Segments that were removed before they were synced must not come back.
        let mut new_file = all[0].base_offset > from;
        let mut names_changed = epochs.is_some();
        if let Some(path) = epochs {
            files.push((self.open_for_sync(|| self.disk.open(&path).map(Arc::new))?, path));
        }
        for (at, segment) in all[..behind].iter().enumerate().skip(first) {
            let path = segment.path(SegmentFileKind::Log);
            files.push((self.open_for_sync(|| segment.file_for_once(&self.disk))?, path));
            new_file |= segment.base_offset >= from;
            self.add_indexes(segment, Arc::ptr_eq(segment, active), &mut files)?;
            if let Some(next) = all.get(at + 1) {
                files.extend(self.snapshot_at(next.base_offset)?);
                // Its index files may have come since the last flush.
                names_changed = true;
            }
        }
        let dir = self.dir();
        let parent = dir.parent().map(Path::to_path_buf).filter(|_| new_file);
        if new_file {
            let id = dir.join(file_name::PARTITION_METADATA);
            if let Ok(file) = self.disk.open(&id) {
                files.push((Arc::new(file), id));
            }
        }
        // A file that is new since the last flush exists only when its directory says so.
        let dir = Some(dir).filter(|_| new_file || names_changed);
        for path in [dir, parent].into_iter().flatten() {
            dirs.push((self.open_for_sync(|| self.disk.open_read(&path))?, path));
        }
        Ok(Some(FlushPlan { upto, is_part, complete_below: active.base_offset.min(upto), files, dirs }))
    }

    /// A start trusts the index files of segments below the recovery point; those of the active one are written when it
    /// rolls or rests, all but the aborted transactions.
    fn add_indexes(
        &self,
        segment: &Segment,
        is_active: bool,
        files: &mut Vec<(Arc<File>, PathBuf)>,
    ) -> Result<()> {
        if is_active && segment.is_growing() {
            let found = segment.growing_transaction_index(&self.disk)?;
            let path = || segment.path(SegmentFileKind::TransactionIndex);
            files.extend(found.map(|file| (Arc::new(file), path())));
            return Ok(());
        }
        for kind in
            [SegmentFileKind::OffsetIndex, SegmentFileKind::TimeIndex, SegmentFileKind::TransactionIndex]
        {
            let path = segment.path(kind);
            match self.disk.open(&path) {
                Ok(file) => files.push((Arc::new(file), path)),
                Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                Err(other) => return Err(other),
            }
        }
        Ok(())
    }

    /// The producers at the beginning of a segment: when retention takes the segments before, nothing else knows them.
    fn snapshot_at(&self, base_offset: i64) -> Result<Option<(Arc<File>, PathBuf)>> {
        let name = SegmentFile::live(base_offset, SegmentFileKind::ProducerSnapshot).to_string();
        let path = self.dir().join(name);
        match self.disk.open(&path) {
            Ok(file) => Ok(Some((Arc::new(file), path))),
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// Before the segments below `start` go: the producers of what was in them are on the device, unless a flush has seen
    /// to that.
    pub(super) fn keep_producers(&self, start: i64) -> Result<()> {
        let synced = self.recovery_point().min(self.complete_below.load(Ordering::Acquire));
        if synced >= start {
            return Ok(());
        }
        let Some((file, path)) = self.snapshot_at(start)? else { return Ok(()) };
        self.disk.sync(&file, &path)?;
        self.disk.sync_dir(&self.dir())
    }

    /// A file that is not there any more is one of a log that was deleted meanwhile.
    fn open_for_sync<T>(&self, open: impl Fn() -> Result<T>) -> Result<T> {
        match open() {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Err(Error::Closed),
            other => other,
        }
    }

    /// What was planned is on the device.
    pub(crate) fn flushed(&self, plan: &FlushPlan) {
        self.recovery_point.fetch_max(plan.upto, Ordering::AcqRel);
        self.complete_below.fetch_max(plan.complete_below, Ordering::AcqRel);
        self.stir();
    }

    /// What the recovery point checkpoint may say. A start after a crash trusts the segments before the one that holds
    /// it, so it stays inside the first segment that is not yet on the device as it was closed, even if everything in
    /// there is: when that one rolls it is cut to its length and gets its indexes.
    #[must_use]
    pub fn recovery_checkpoint(&self) -> i64 {
        let synced = self.recovery_point();
        let complete_below = self.complete_below.load(Ordering::Acquire);
        let segments = self.segments();
        let at = segments.partition_point(|s| s.base_offset < complete_below);
        let Some(incomplete) = segments.get(at) else { return synced };
        let next = segments.get(at + 1);
        let end = next.map_or_else(|| incomplete.published().next_offset, |next| next.base_offset);
        synced.min(incomplete.base_offset.max(end - 1))
    }

    /// Replaces `leader-epoch-checkpoint` if the epochs have changed, and says where it is. It is not synced.
    pub(super) fn write_epochs(&self) -> Result<Option<PathBuf>> {
        let _one_at_a_time = self.epochs_file.lock();
        let bytes = {
            let mut writer = self.writer.lock();
            if !writer.epochs_changed || writer.closed {
                return Ok(None);
            }
            writer.epochs_changed = false;
            writer.epochs.encode()
        };
        match self.replace_epochs(&bytes) {
            Ok(path) => Ok(Some(path)),
            Err(error) => {
                self.writer.lock().epochs_changed = true;
                // The batches carry their epochs: a full disk need not hold up those that found room.
                if matches!(error, Error::Full(_)) { Ok(None) } else { Err(error) }
            }
        }
    }

    /// An empty log forgets its epoch at a start and begins it anew: what the file says already is not written again,
    /// because ext4 waits for the device when a rename replaces a file.
    pub(super) fn replace_epochs(&self, bytes: &[u8]) -> Result<PathBuf> {
        let dir = self.dir.read();
        let path = dir.join(file_name::LEADER_EPOCH_CHECKPOINT);
        if !matches!(self.disk.read_if_there(&path), Ok(Some(there)) if there == bytes) {
            self.disk.write_atomically(&path, bytes, false)?;
        }
        Ok(path)
    }
}

#[cfg(test)]
mod tests;
