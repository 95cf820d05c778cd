//! One partition's log: a chain of segments, of which the last one grows.
//!
//! ```text
//! Log ── writer (one at a time): producers, leader epochs, the mapped tail
//!     └─ segments (immutable list): closed, closed, ..., active ── published end (one atomic word)
//! ```
//! **Invariants.** Bytes below a segment's published end never change. No reader goes beyond a published end that it
//! loaded with acquire ordering. Every segment but the last is exactly its valid length and has complete index files
//! *before* the next one exists. Nothing is synced under the writer's lock, but for
//! the end of a move.

mod append;
mod compaction;
mod flush;
mod moving;
mod peek;
mod read;
pub(crate) mod recovery;
mod removal;
mod retention;
mod transactions;

pub use append::{Append, Appended};
pub use compaction::{Cleanable, Cleaned, CleanerMemory, Watch};
pub(crate) use flush::FlushPlan;
pub use peek::peek;
pub use read::{Bound, Slice};
pub use retention::Retained;

use crate::config::LogConfig;
use crate::error::{Error, Result};
use crate::file::Disk;
use crate::file_name::{self, SegmentFileKind};
use crate::index::ActiveIndexes;
use crate::leader_epochs::LeaderEpochs;
use crate::mapped::MappedTail;
use crate::producers::Producers;
use crate::segment::{Home, Segment};
use parking_lot::{Mutex, RwLock};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

pub use recovery::Start;

/// The indexes of a log that took no append for this long go to their files and out of memory, in milliseconds.
const REST_MS: i64 = 60_000;
/// A mapped tail that took no append for this long goes back to `pwrite`, in milliseconds.
const IDLE_MS: i64 = 3_000;

type Segments = Arc<Vec<Arc<Segment>>>;

/// One partition's log. All methods may be called from any thread; they may block on the disk.
#[derive(Debug)]
pub struct Log {
    disk: Disk,
    /// The same, for reads that must not wait for the device.
    disk_at_once: Disk,
    dir: Arc<Home>,
    /// The directory is on another file system than the data directory.
    elsewhere: bool,
    config: RwLock<Arc<LogConfig>>,
    segments: RwLock<Segments>,
    log_start: AtomicI64,
    /// First offset of the oldest open transaction, `i64::MAX` without one.
    first_unstable: AtomicI64,
    /// Everything below is on the device.
    recovery_point: AtomicI64,
    /// The segments that begin below are on the device as they were when they were closed, their indexes, too. After a
    /// clean stop that holds of the last one until something is appended.
    complete_below: AtomicI64,
    /// Files that left the directory may be there again after a power cut.
    may_return: AtomicBool,
    /// Whether the tail is mapped, for the thread that looks for idle ones.
    mapped: AtomicBool,
    /// When [`Log::flush_overdue`] looked last, and since when there is something that is not on the device, as far as it
    /// has seen; by the steady clock, `i64::MAX` for never.
    looked_ms: AtomicI64,
    unsynced_since_ms: AtomicI64,
    /// Something was read, appended or removed since that thread has found nothing left to do here.
    stirred: AtomicBool,
    /// Files of segments that left the log.
    doomed: Mutex<Vec<removal::Doomed>>,
    /// Segments that left the log and could not be renamed yet. Comes behind `removing`.
    leaving: Mutex<Vec<Arc<Segment>>>,
    /// Held by who takes segments out of the list, until their files have their new names, and by who renames the
    /// directory. Comes before the writer's lock.
    removing: Mutex<()>,
    /// Held by a pass of compaction. Comes before `removing`.
    cleaning: Mutex<()>,
    /// The log closes or goes away: a pass of compaction ends.
    stopping: AtomicBool,
    /// Up to where compaction has cleaned, -1 if that is not known.
    cleaned: AtomicI64,
    /// Batches that compaction could not read, as far as that was said.
    damage_told: AtomicU64,
    /// Held while `leader-epoch-checkpoint` is replaced; comes before the writer's lock.
    epochs_file: Mutex<()>,
    writer: Mutex<Writer>,
}

/// What only the one appending thread touches.
#[derive(Debug)]
struct Writer {
    active: Arc<Segment>,
    tail: Tail,
    next_offset: i64,
    /// Byte position of the end of the active segment.
    end: u32,
    producers: Producers,
    epochs: LeaderEpochs,
    /// The epochs in memory are not those of the file.
    epochs_changed: bool,
    roll: RollClock,
    /// Wall clock.
    last_append_ms: i64,
    /// The log end at the last look for what an idle log need not hold, and since when it is that, by the steady clock.
    seen: (i64, i64),
    /// Nothing was appended since a clean stop: the indexes of the active segment are still in their files, and its
    /// first timestamp in the log.
    resumed: bool,
    /// The log end for which the files were found complete: while nothing is appended, a stop has nothing to write.
    complete_at: Option<i64>,
    closed: bool,
    /// The log was deleted: its files are nobody's business any more.
    retired: bool,
    /// Up to this position of the active segment disk space is kept for it.
    set_aside: u32,
}

/// What decides when the active segment is old enough to roll.
#[derive(Clone, Copy, Debug)]
struct RollClock {
    /// Largest timestamp of the segment's first batch.
    first_timestamp: Option<i64>,
    created_ms: i64,
    jitter_ms: i64,
}

/// How bytes reach the active segment.
#[derive(Debug)]
enum Tail {
    /// By `pwrite`: a partition that takes little. Bytes since the window began.
    Cold { since_ms: i64, bytes: usize },
    /// By stores into the mapping.
    Mapped(MappedTail),
}

impl Tail {
    const COLD: Self = Self::Cold { since_ms: 0, bytes: 0 };
}

impl Log {
    /// Opens the log in `dir`, which must exist, and recovers it if `start` says that it was not stopped cleanly.
    ///
    /// # Errors
    /// [`Error`] if a file cannot be read, or the directory cannot be repaired.
    pub fn open(disk: &Disk, dir: &Path, config: LogConfig, start: &Start) -> Result<Self> {
        let loaded = recovery::load(disk, dir, &config, start)?;
        let first_unstable =
            loaded.writer.producers.first_unstable_offset(loaded.writer.next_offset).unwrap_or(i64::MAX);
        Ok(Self {
            disk: disk.clone(),
            disk_at_once: disk.at_once(),
            dir: loaded.home,
            elsewhere: disk.is_elsewhere(dir),
            config: RwLock::new(Arc::new(config)),
            segments: RwLock::new(Arc::new(loaded.segments)),
            log_start: AtomicI64::new(loaded.log_start),
            first_unstable: AtomicI64::new(first_unstable),
            recovery_point: AtomicI64::new(loaded.recovery_point),
            complete_below: AtomicI64::new(loaded.complete_below),
            may_return: AtomicBool::new(!start.clean),
            mapped: AtomicBool::new(false),
            looked_ms: AtomicI64::new(0),
            unsynced_since_ms: AtomicI64::new(i64::MAX),
            stirred: AtomicBool::new(true),
            doomed: Mutex::default(),
            leaving: Mutex::default(),
            removing: Mutex::default(),
            cleaning: Mutex::default(),
            stopping: AtomicBool::new(false),
            cleaned: AtomicI64::new(-1),
            damage_told: AtomicU64::new(0),
            epochs_file: Mutex::default(),
            writer: Mutex::new(loaded.writer),
        })
    }

    /// The directory of the log's files.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.dir.read().clone()
    }

    /// Whether the log is on another file system than its data directory: a sync of that one as a whole
    /// ([`Disk::sync_all`]) says nothing of it.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        self.elsewhere
    }

    /// The settings in force.
    #[must_use]
    pub fn config(&self) -> Arc<LogConfig> {
        self.config.read().clone()
    }

    /// Puts other settings in force, at once.
    pub fn set_config(&self, config: LogConfig) {
        let limits = append::index_limits(&config);
        let writer = self.writer.lock();
        *self.config.write() = Arc::new(config);
        writer.active.with_active(|indexes| indexes.set_limits(limits));
        self.stir();
    }

    fn segments(&self) -> Segments {
        self.segments.read().clone()
    }

    fn active(&self) -> Arc<Segment> {
        self.segments.read().last().expect("a log has at least one segment").clone()
    }

    /// The first offset that may be read.
    #[must_use]
    pub fn start_offset(&self) -> i64 {
        self.log_start.load(Ordering::Acquire)
    }

    /// The offset that the first segment begins with of which there are files; the log start may have moved beyond it.
    #[must_use]
    pub fn first_base_offset(&self) -> i64 {
        let leaving = self.leaving.lock().iter().map(|segment| segment.base_offset).min();
        leaving.unwrap_or(i64::MAX).min(self.segments.read()[0].base_offset)
    }

    /// What the checkpoint of log starts has to say of this log: its start, unless that is where its first segment begins,
    /// and begins after a power cut, too.
    #[must_use]
    pub fn start_checkpoint(&self) -> Option<i64> {
        let start = self.start_offset();
        let is_told_by_files = start <= self.first_base_offset() && !self.may_return.load(Ordering::Acquire);
        (start > 0 && !is_told_by_files).then_some(start)
    }

    /// The offset that the next record gets.
    #[must_use]
    pub fn end_offset(&self) -> i64 {
        self.active().published().next_offset
    }

    /// The first offset that a read_committed consumer may not read yet: that of the oldest open transaction, else
    /// the end.
    #[must_use]
    pub fn last_stable_offset(&self) -> i64 {
        // The end first: a transaction that begins behind it meanwhile is not below it, and one that has begun before is known.
        let end = self.end_offset();
        #[cfg(test)]
        read::tests::between_looks();
        // A transaction that began below the log start holds back nothing that can still be read.
        self.first_unstable.load(Ordering::Acquire).max(self.start_offset()).min(end)
    }

    /// Everything below is on the device.
    #[must_use]
    pub fn recovery_point(&self) -> i64 {
        self.recovery_point.load(Ordering::Acquire)
    }

    /// The latest leader epoch that wrote a batch, and -1 before the first one.
    #[must_use]
    pub fn latest_epoch(&self) -> i32 {
        self.writer.lock().epochs.latest().map_or(-1, |e| e.epoch)
    }

    /// The epoch that wrote the record at `offset`, and -1 if that is not known.
    #[must_use]
    pub fn epoch_at(&self, offset: i64) -> i32 {
        self.writer.lock().epochs.epoch_at(offset).unwrap_or(-1)
    }

    /// Notes that this node leads with `epoch` from the log end on, as Kafka does before the first append.
    pub fn begin_epoch(&self, epoch: i32) {
        let mut writer = self.writer.lock();
        let end = writer.next_offset;
        let changed = writer.epochs.assign(epoch, end).unwrap_or(false);
        writer.epochs_changed |= changed;
    }

    /// The largest epoch that is not above `epoch`, and where it ends; `None` if there is none (KIP-101).
    #[must_use]
    pub fn end_offset_for_epoch(&self, epoch: i32) -> Option<(i32, i64)> {
        let writer = self.writer.lock();
        writer.epochs.end_offset_for(epoch, writer.next_offset).map(|e| (e.epoch, e.end_offset))
    }

    /// Bytes of all segments.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.segments().iter().map(|s| u64::from(s.published().position)).sum()
    }

    /// Moves the log start up to `offset` (DeleteRecords); the segments below go with the next retention pass.
    /// Returns the log start offset that is in force then.
    ///
    /// # Errors
    /// [`Error::OffsetOutOfRange`] if it is negative or beyond the end, [`Error::Closed`].
    pub fn delete_before(&self, offset: i64) -> Result<i64> {
        let mut writer = self.writer.lock();
        if writer.closed {
            return Err(Error::Closed);
        }
        let (start, end) = (self.start_offset(), writer.next_offset);
        if offset < 0 || offset > end {
            return Err(Error::OffsetOutOfRange { offset, start, end });
        }
        self.log_start.fetch_max(offset, Ordering::AcqRel);
        let changed = writer.epochs.truncate_from_start(offset.max(start));
        writer.epochs_changed |= changed;
        Ok(start.max(offset))
    }

    /// Lets go of what an idle log need not hold: its mapping after three seconds without an append, its indexes after a
    /// minute, files nobody reads. The last chore of a round: a log at rest costs the next rounds nothing. `steady_ms` is a
    /// clock that nobody sets.
    pub fn release_idle(&self, steady_ms: i64) {
        if !self.stirred.swap(false, Ordering::AcqRel) {
            return;
        }
        let mut at_rest = self.rest(steady_ms);
        let segments = self.segments();
        // A mapped tail needs its file with every step.
        let needed = usize::from(self.mapped.load(Ordering::Relaxed));
        for segment in &segments[..segments.len() - needed] {
            at_rest &= !segment.close_idle_file();
        }
        if !at_rest {
            self.stir();
        }
    }

    /// Gives up the mapping and the indexes in memory when their time has come; whether nothing is left to do.
    fn rest(&self, steady_ms: i64) -> bool {
        let mut writer = self.writer.lock();
        if writer.closed {
            return true;
        }
        if writer.seen.0 != writer.next_offset {
            writer.seen = (writer.next_offset, steady_ms);
        }
        let idle_ms = steady_ms - writer.seen.1;
        if self.mapped.load(Ordering::Relaxed) && idle_ms >= IDLE_MS {
            // A failure leaves a zero tail, which recovery and the next append handle.
            let _ = self.unmap(&mut writer);
        }
        let holds_indexes = !writer.resumed && writer.active.with_active(|i| i.entries() > 0) == Some(true);
        if holds_indexes && idle_ms >= REST_MS && !self.disk.is_offline() {
            // A failure leaves them in memory, and files that nobody looks at before they are written again.
            if self.write_indexes(&writer.active).is_ok() {
                writer.active.close_indexes();
                writer.resumed = true;
            }
        }
        let flush_ms = self.config.read().flush_ms;
        let unsynced = if flush_ms == i64::MAX { writer.active.base_offset } else { writer.next_offset };
        !self.mapped.load(Ordering::Relaxed)
            && (writer.resumed || !holds_indexes)
            && unsynced <= self.recovery_point()
            && writer.active.base_offset <= self.complete_below.load(Ordering::Acquire)
            && self.doomed.lock().is_empty()
            && self.leaving.lock().is_empty()
    }

    /// Has the next round of chores look at this log.
    fn stir(&self) {
        self.stirred.store(true, Ordering::Release);
    }

    /// The same for who only opens files; many do so at once.
    fn stir_to_read(&self) {
        if self.is_at_rest() {
            self.stir();
        }
    }

    /// Whether the last round of chores has found nothing left to do here.
    fn is_at_rest(&self) -> bool {
        !self.stirred.load(Ordering::Acquire)
    }

    /// The largest producer id that the producer state knows; `None` without idempotent producers.
    #[must_use]
    pub fn max_producer_id(&self) -> Option<i64> {
        self.writer.lock().producers.max_id()
    }

    /// Drops idempotent producers that were silent for `producer.id.expiration.ms`.
    pub fn expire_producers(&self, now_ms: i64) {
        let expiration = self.config.read().producer_id_expiration_ms;
        self.writer.lock().producers.remove_expired(now_ms, expiration);
    }

    /// Ends the log cleanly: every file has its exact length, indexes and the producer snapshot are complete. What a full
    /// disk has refused is done by the next call.
    /// Nothing is synced: the caller syncs the file system once for all logs.
    ///
    /// # Errors
    /// [`Error`] if a file cannot be written; then the directory must not be marked as cleanly stopped.
    pub fn close(&self) -> Result<()> {
        self.stopping.store(true, Ordering::Release);
        let _cleaning = self.cleaning.lock();
        self.dismiss_rest();
        let _no_other_writes_epochs = self.epochs_file.lock();
        let mut writer = self.writer.lock();
        writer.closed = true;
        if writer.retired || writer.active.is_unborn() {
            return Ok(());
        }
        let complete = writer.complete_at == Some(writer.next_offset);
        if !complete {
            // First of all: on a full disk this gives room to the rest.
            self.unmap(&mut writer)?;
        }
        if writer.epochs_changed {
            self.replace_epochs(&writer.epochs.encode())?;
            writer.epochs_changed = false;
        }
        if complete {
            return Ok(());
        }
        let active = writer.active.clone();
        self.write_indexes(&active)?;
        if writer.next_offset > 0 {
            self.write_snapshot(&writer)?;
        }
        writer.complete_at = Some(writer.next_offset);
        Ok(())
    }

    /// Keeps at least `bytes` of disk space aside for what is appended next by `pwrite`, so that a full disk does not
    /// refuse it. A disk that is full already leaves it as it is.
    ///
    /// # Errors
    /// [`Error::Io`], and the log directory is offline.
    pub fn set_aside(&self, bytes: u32) -> Result<()> {
        let mut writer = self.writer.lock();
        let wanted = writer.end.saturating_add(bytes);
        if writer.closed || writer.set_aside >= wanted {
            return Ok(());
        }
        // Twice as much, so that not every append has to ask.
        let upto = wanted.saturating_add(bytes);
        let file = writer.active.file(&self.disk)?;
        let (path, end) = (writer.active.path(SegmentFileKind::Log), writer.end);
        match self.disk.reserve(&file, &path, end.into(), (upto - end).into()) {
            Ok(()) => writer.set_aside = upto,
            Err(Error::Full(_)) => {}
            Err(other) => return Err(other),
        }
        Ok(())
    }

    /// Marks everything as synced, after the caller has synced the whole file system behind [`Log::close`].
    pub fn synced_by_caller(&self) {
        let end = self.end_offset();
        self.recovery_point.fetch_max(end, Ordering::AcqRel);
        self.complete_below.store(i64::MAX, Ordering::Release);
        self.may_return.store(false, Ordering::Release);
    }

    /// Ends the log for ever: appends fail from now on, and its directory is renamed to `to`. Reads in flight go on.
    ///
    /// # Errors
    /// [`Error::Io`] if the rename fails.
    pub fn retire(&self, to: &Path) -> Result<()> {
        self.stopping.store(true, Ordering::Release);
        let _removing = self.removing.lock();
        let mut writer = self.writer.lock();
        (writer.closed, writer.retired) = (true, true);
        writer.tail = Tail::COLD;
        self.mapped.store(false, Ordering::Relaxed);
        self.dir.rename(&self.disk, to)
    }

    /// Cuts the zeros behind the end and gives up the mapping.
    fn unmap(&self, writer: &mut Writer) -> Result<()> {
        if let Tail::Mapped(_) = writer.tail {
            writer.tail = Tail::COLD;
            self.mapped.store(false, Ordering::Relaxed);
        }
        let path = writer.active.path(SegmentFileKind::Log);
        if self.disk.is_offline() {
            return self.disk.check_online();
        }
        if writer.active.is_unborn() {
            return Ok(());
        }
        let file = writer.active.file(&self.disk)?;
        let len = file.metadata().map_err(|e| Error::io("stat", &path, e))?.len();
        if len != u64::from(writer.end) {
            writer.set_aside = 0;
            self.disk.truncate(&file, &path, u64::from(writer.end))?;
        }
        Ok(())
    }

    /// Writes the index files of the active segment, final time entry included.
    fn write_indexes(&self, active: &Segment) -> Result<()> {
        write_indexes(&self.disk, active)
    }

    /// Writes the producer state at the end of the log.
    fn write_snapshot(&self, writer: &Writer) -> Result<()> {
        let name =
            file_name::SegmentFile::live(writer.next_offset, SegmentFileKind::ProducerSnapshot).to_string();
        let (path, bytes) = (self.dir().join(name), writer.producers.snapshot());
        // Of a log whose segments are gone it may be all there is: it is not put at risk for nothing.
        if matches!(self.disk.read_if_there(&path), Ok(Some(there)) if there == bytes) {
            return Ok(());
        }
        self.disk.write_whole(&path, &bytes)
    }
}

/// Writes what the growing indexes of a segment hold; nothing if they are closed.
fn write_indexes(disk: &Disk, segment: &Segment) -> Result<()> {
    if let Some((offsets, times)) = segment.with_active(ActiveIndexes::encode) {
        disk.write_whole(&segment.path(SegmentFileKind::OffsetIndex), &offsets)?;
        disk.write_whole(&segment.path(SegmentFileKind::TimeIndex), &times)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
