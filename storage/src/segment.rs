//! One segment of a log: a file of record batches, its indexes, and how far it is published.

mod files;
pub(crate) mod order;
mod verify;
mod walk;

pub(crate) use walk::Walk;

use crate::error::{Error, Result};
use crate::file::Disk;
use crate::file_name::{FileStage, SegmentFile, SegmentFileKind};
use crate::index::offset::OffsetPosition;
use crate::index::{ActiveIndexes, IndexError, IndexLimits, ReadAt, offset, time};
use crate::verified::Verified;
use milena_protocol::records::{BatchHeader, HEADER_LEN};
use order::Span;
use parking_lot::{Mutex, MutexGuard, RwLock, RwLockReadGuard};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

impl ReadAt for File {
    fn read_exact_at(&self, buf: &mut [u8], pos: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, buf, pos)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

/// An open file, read as its directory is to be read.
pub(crate) struct Reader<'a>(pub(crate) &'a Disk, pub(crate) &'a File);

impl ReadAt for Reader<'_> {
    fn read_exact_at(&self, buf: &mut [u8], pos: u64) -> io::Result<()> {
        self.0.read_exact_at(self.1, buf, pos)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.1.metadata()?.len())
    }
}

/// How far a segment is published: readers stop there. One word, so that a reader sees both or neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Published {
    /// The offset after the last record.
    pub(crate) next_offset: i64,
    /// The byte after the last batch.
    pub(crate) position: u32,
}

/// Where a batch lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) span: Span,
    pub(crate) position: u32,
    pub(crate) size: u32,
}

/// The indexes of a segment.
#[derive(Debug)]
enum Indexes {
    /// In memory, growing.
    Active(ActiveIndexes),
    /// In complete files beside the log file: of a segment that no longer grows, and of the last one until the first
    /// append after a clean stop.
    Closed,
    /// In files that are open because their names are gone, or belong to another segment by now.
    Pinned(PinnedIndexes),
}

/// Index files of a segment that left the log, for the readers that still hold it.
#[derive(Debug, Default)]
struct PinnedIndexes {
    offsets: Option<Arc<File>>,
    times: Option<Arc<File>>,
    transactions: Option<Arc<File>>,
}

/// The directory of a log's files. It gets another name when the log is deleted, and another log its name: who opens a
/// file does so while he holds this.
#[derive(Debug)]
pub(crate) struct Home(RwLock<PathBuf>);

impl Home {
    pub(crate) fn new(dir: &Path) -> Arc<Self> {
        Arc::new(Self(RwLock::new(dir.to_path_buf())))
    }

    /// The directory, which keeps its name as long as this is held. It may be held more than once.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, PathBuf> {
        self.0.read_recursive()
    }

    /// Gives the directory another name.
    pub(crate) fn rename(&self, disk: &Disk, to: &Path) -> Result<()> {
        let mut dir = self.0.write();
        disk.rename(&dir, to)?;
        *dir = to.to_path_buf();
        Ok(())
    }
}

/// A segment. Published bytes never change, so readers need no lock.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) base_offset: i64,
    home: Arc<Home>,
    file: Mutex<Option<Arc<File>>>,
    /// There is no log file yet: the first use makes it.
    unborn: AtomicBool,
    /// There may be an index of aborted transactions.
    transactions: AtomicBool,
    /// `relative next offset << 32 | position`
    published: AtomicU64,
    /// Comes before `checked`, and that before `file`.
    indexes: RwLock<Indexes>,
    /// The index files were found whole, or written by this process.
    checked: Mutex<bool>,
    /// What takes the place of index files that are not whole and cannot be made anew, as long as they are not `checked`.
    made: OnceLock<Box<ActiveIndexes>>,
    /// Largest timestamp of a closed segment, -1 unknown or none.
    largest_timestamp: AtomicI64,
    /// That of the first batch, once somebody has read it.
    first_timestamp: OnceLock<i64>,
    /// Bytes whose CRCs are known to be right.
    verified: Verified,
}

impl Segment {
    /// The active segment: its indexes grow in memory.
    pub(crate) fn active(
        home: &Arc<Home>,
        base_offset: i64,
        file: Option<Arc<File>>,
        end: Published,
        indexes: ActiveIndexes,
    ) -> Self {
        Self::with(home, base_offset, file, end, Indexes::Active(indexes), Verified::behind(0))
    }

    /// The only segment of a log that never took a record: none of its files is there before the first one comes.
    pub(crate) fn unborn(home: &Arc<Home>, base_offset: i64, indexes: ActiveIndexes) -> Self {
        let end = Published { next_offset: base_offset, position: 0 };
        let segment = Self::active(home, base_offset, None, end, indexes);
        segment.unborn.store(true, Ordering::Release);
        segment
    }

    /// Whether the log file is still to be made.
    pub(crate) fn is_unborn(&self) -> bool {
        self.unborn.load(Ordering::Acquire)
    }

    /// A segment with complete files, which are looked at when they are first needed.
    pub(crate) fn closed(home: &Arc<Home>, base_offset: i64, end: Published) -> Self {
        let verified = Verified::behind(end.position);
        Self::with(home, base_offset, None, end, Indexes::Closed, verified)
    }

    /// The same, whose batches this process has written.
    pub(crate) fn written(home: &Arc<Home>, base_offset: i64, end: Published) -> Self {
        Self::with(home, base_offset, None, end, Indexes::Closed, Verified::behind(0))
    }

    fn with(
        home: &Arc<Home>,
        base_offset: i64,
        file: Option<Arc<File>>,
        end: Published,
        indexes: Indexes,
        verified: Verified,
    ) -> Self {
        let segment = Self {
            base_offset,
            home: home.clone(),
            file: Mutex::new(file),
            unborn: AtomicBool::new(false),
            transactions: AtomicBool::new(true),
            published: AtomicU64::new(0),
            indexes: RwLock::new(indexes),
            checked: Mutex::new(false),
            made: OnceLock::new(),
            largest_timestamp: AtomicI64::new(-1),
            first_timestamp: OnceLock::new(),
            verified,
        };
        segment.publish(end);
        segment
    }

    /// The path of one of the segment's files.
    pub(crate) fn path(&self, kind: SegmentFileKind) -> PathBuf {
        self.home.read().join(SegmentFile::live(self.base_offset, kind).to_string())
    }

    /// Makes everything before `end` visible to readers.
    pub(crate) fn publish(&self, end: Published) {
        let relative = (end.next_offset - self.base_offset).clamp(0, i64::from(u32::MAX)) as u64;
        self.published.store(relative << 32 | u64::from(end.position), Ordering::Release);
    }

    /// How far readers may go.
    pub(crate) fn published(&self) -> Published {
        let word = self.published.load(Ordering::Acquire);
        Published { next_offset: self.base_offset + (word >> 32) as i64, position: word as u32 }
    }

    /// Looks something up in the indexes that are in memory, if they are.
    fn in_memory<R>(&self, find: impl FnOnce(&ActiveIndexes) -> R) -> Option<R> {
        match &*self.indexes.read() {
            Indexes::Active(indexes) => Some(find(indexes)),
            Indexes::Closed | Indexes::Pinned(_) => {
                self.made.get().filter(|_| !*self.checked.lock()).map(|indexes| find(indexes))
            }
        }
    }

    /// An index file, if it is there; one that cannot be opened is an error and not the same. It is opened under the lock
    /// that [`Segment::pin`] takes, so that the name still means this segment.
    fn index_file(&self, disk: &Disk, kind: SegmentFileKind) -> Result<Option<Arc<File>>> {
        let indexes = self.indexes.read();
        Ok(match &*indexes {
            Indexes::Pinned(files) => match kind {
                SegmentFileKind::OffsetIndex => files.offsets.clone(),
                SegmentFileKind::TimeIndex => files.times.clone(),
                SegmentFileKind::TransactionIndex => files.transactions.clone(),
                SegmentFileKind::Log | SegmentFileKind::ProducerSnapshot => None,
            },
            _ => {
                let _named = self.home.read();
                if kind != SegmentFileKind::TransactionIndex && !self.check_index_files(disk)? {
                    return Ok(None);
                }
                disk.open_if_there(&self.path(kind))?.map(Arc::new)
            }
        })
    }

    /// Before the first use of index files that an earlier process wrote: makes them anew if they are not whole. `false`:
    /// there is no room for them, or no descriptor, and they are in memory from now on.
    fn check_index_files(&self, disk: &Disk) -> Result<bool> {
        let Some(mut checked) = self.checked(disk) else { return Err(self.would_block()) };
        if *checked || self.made.get().is_some() {
            return Ok(*checked);
        }
        if !disk.may_wait() {
            return Err(self.would_block());
        }
        let end = self.published();
        if end.position > 0 && !self.index_files_fit(disk, end)? {
            tracing::warn!(
                "{} has no usable index; making it anew",
                self.path(SegmentFileKind::Log).display()
            );
            let mut indexes = self.index_anew(disk, IndexLimits::default())?;
            let (offsets, times) = indexes.encode();
            let write = |kind, bytes: &[u8]| disk.write_atomically(&self.path(kind), bytes, false);
            let written = write(SegmentFileKind::OffsetIndex, &offsets)
                .and_then(|()| write(SegmentFileKind::TimeIndex, &times));
            match written {
                Err(error) if matches!(error, Error::Full(_)) || error.is_shortage() => {
                    let _ = self.made.set(Box::new(indexes));
                    return Ok(false);
                }
                other => other?,
            }
        }
        *checked = true;
        Ok(true)
    }

    /// Whoever makes the files anew holds this while he reads the whole segment: it is not waited for by a read that may
    /// not wait for the device.
    fn checked(&self, disk: &Disk) -> Option<MutexGuard<'_, bool>> {
        if disk.may_wait() { Some(self.checked.lock()) } else { self.checked.try_lock() }
    }

    fn would_block(&self) -> Error {
        Error::io("read", &self.path(SegmentFileKind::Log), io::ErrorKind::WouldBlock.into())
    }

    /// A cheap look: it finds files that are missing, cut short or end in zeros, but not every damage.
    fn index_files_fit(&self, disk: &Disk, end: Published) -> Result<bool> {
        let open = |kind| match disk.open_if_there(&self.path(kind)) {
            // There will be descriptors again; anything else is a reason to make them anew.
            Err(error) if !error.is_shortage() => Ok(None),
            opened => opened,
        };
        let (offsets, times) = (open(SegmentFileKind::OffsetIndex)?, open(SegmentFileKind::TimeIndex)?);
        let (Some(offsets), Some(times)) = (offsets, times) else { return Ok(false) };
        let (Ok(offsets), Ok(times)) = (
            offset::check(&offsets, self.base_offset, u64::from(end.position)),
            time::check(&times, self.base_offset),
        ) else {
            return Ok(false);
        };
        Ok(match (offsets, times) {
            // Files of length 0 are what a power cut leaves of one that was never synced.
            (_, 0) => end.position == 0 || self.first_timestamp(disk)? < 0,
            (0, times) => times == 1,
            _ => true,
        })
    }

    /// The indexes that the batches of a segment which does not grow give.
    fn index_anew(&self, disk: &Disk, limits: IndexLimits) -> Result<ActiveIndexes> {
        let file = self.file(disk)?;
        let path = self.path(SegmentFileKind::Log);
        crate::log::recovery::index_anew(&file, &path, self.base_offset, self.published(), limits)
    }

    /// Largest timestamp of the first batch of a segment that is not empty.
    pub(crate) fn first_timestamp(&self, disk: &Disk) -> Result<i64> {
        if let Some(known) = self.first_timestamp.get() {
            return Ok(*known);
        }
        let head = self.in_passing(|| self.read(disk, 0, HEADER_LEN))?;
        let header = BatchHeader::read(&head).map_err(|e| Error::Corrupt {
            path: self.path(SegmentFileKind::Log),
            position: 0,
            reason: e.to_string(),
        })?;
        Ok(*self.first_timestamp.get_or_init(|| header.max_timestamp))
    }

    /// Brings the indexes of the last segment into memory, where they grow. Nothing happens if they are there.
    pub(crate) fn grow_indexes(&self, disk: &Disk, limits: IndexLimits) -> Result<()> {
        let mut indexes = self.indexes.write();
        let Indexes::Closed = *indexes else { return Ok(()) };
        let offsets = disk.read_if_there(&self.path(SegmentFileKind::OffsetIndex))?.unwrap_or_default();
        let times = disk.read_if_there(&self.path(SegmentFileKind::TimeIndex))?.unwrap_or_default();
        let end = self.published();
        let fits = *self.checked.lock() || self.index_files_fit(disk, end)?;
        let restored = ActiveIndexes::restore(self.base_offset, limits, &offsets, &times)
            .ok()
            .filter(|found| fits && found.offsets().last().is_none_or(|last| last.position < end.position));
        *indexes = Indexes::Active(match restored {
            Some(restored) => restored,
            None => self.index_anew(disk, limits)?,
        });
        Ok(())
    }

    /// The index of aborted transactions, if there are any.
    ///
    /// # Errors
    /// [`Error::Io`] if it is there and cannot be opened: then nobody knows what was aborted.
    pub(crate) fn transaction_index(&self, disk: &Disk) -> Result<Option<Arc<File>>> {
        self.index_file(disk, SegmentFileKind::TransactionIndex)
    }

    /// Says that there is an index of aborted transactions from now on. It comes before the marker is published.
    pub(crate) fn note_transactions(&self) {
        self.transactions.store(true, Ordering::Release);
    }

    /// The index of aborted transactions of a segment that grows, for a sync. Once it was not found nobody looks for it
    /// again before [`Segment::note_transactions`].
    pub(crate) fn growing_transaction_index(&self, disk: &Disk) -> Result<Option<File>> {
        if !self.transactions.swap(false, Ordering::AcqRel) {
            return Ok(None);
        }
        match disk.open(&self.path(SegmentFileKind::TransactionIndex)) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => {
                self.note_transactions();
                opened.map(Some)
            }
        }
    }

    /// Takes the segment's files out of the log: `.deleted` from now on. Readers that still hold the segment read on.
    /// `renamed` gets the files to unlink. Producer snapshots stay, they belong to an offset and not to the segment. May be
    /// called again after an error.
    pub(crate) fn set_deleted(&self, disk: &Disk, mut renamed: impl FnMut(PathBuf)) -> Result<()> {
        self.pin(disk)?;
        for kind in SegmentFileKind::ALL {
            let from = self.path(kind);
            if kind == SegmentFileKind::ProducerSnapshot || !from.exists() {
                continue;
            }
            let name = SegmentFile::live(self.base_offset, kind).at(FileStage::Deleted).to_string();
            let to = self.home.read().join(name);
            if disk.rename_or_remove(&from, &to)? {
                renamed(to);
            }
        }
        Ok(())
    }

    /// Changes the growing indexes; nothing happens to those of a closed segment.
    pub(crate) fn with_active<R>(&self, change: impl FnOnce(&mut ActiveIndexes) -> R) -> Option<R> {
        match &mut *self.indexes.write() {
            Indexes::Active(indexes) => Some(change(indexes)),
            Indexes::Closed | Indexes::Pinned(_) => None,
        }
    }

    /// Whether the indexes are in memory and grow.
    pub(crate) fn is_growing(&self) -> bool {
        matches!(&*self.indexes.read(), Indexes::Active(_))
    }

    /// Goes over to the index files, which must be complete.
    pub(crate) fn close_indexes(&self) {
        let mut indexes = self.indexes.write();
        if let Indexes::Active(active) = &*indexes {
            self.largest_timestamp.store(active.max_timestamp().timestamp, Ordering::Relaxed);
            *self.checked.lock() = true;
            *indexes = Indexes::Closed;
        }
    }

    /// A batch at or before the one that holds `offset`, from the offset index.
    fn floor(&self, disk: &Disk, wanted: i64) -> Result<OffsetPosition> {
        if let Some(at) = self.in_memory(|indexes| indexes.position_of(wanted)) {
            return Ok(at);
        }
        let kind = SegmentFileKind::OffsetIndex;
        // Without its index a segment is searched from its start: slower, never wrong.
        let start = OffsetPosition { offset: self.base_offset, position: 0 };
        let Some(file) = self.index_file(disk, kind)? else { return Ok(start) };
        let found = self.unless_it_waits(offset::lookup(&Reader(disk, &file), self.base_offset, wanted))?;
        Ok(found.unwrap_or(start))
    }

    /// What was looked up in an index file; nothing if that cannot be used.
    ///
    /// # Errors
    /// That the device would have had to be waited for says nothing about the file.
    fn unless_it_waits<T>(&self, found: std::result::Result<T, IndexError>) -> Result<Option<T>> {
        match found {
            Err(IndexError::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                Err(self.would_block())
            }
            found => Ok(found.ok()),
        }
    }

    /// What is wrong with one of the index files.
    pub(crate) fn index_error(&self, kind: SegmentFileKind, error: &IndexError) -> Error {
        Error::Corrupt { path: self.path(kind), position: 0, reason: error.to_string() }
    }

    /// The batch that holds `offset`, or the first one after it; `None` at the end of the segment.
    pub(crate) fn find(&self, disk: &Disk, offset: i64, end: Published) -> Result<Option<Place>> {
        let floor = self.floor(disk, offset)?;
        let mut walk = Walk::behind(self, disk, floor, end.position)?;
        let mut place = walk.next();
        let fits = match &place {
            Ok(Some(Place { span, .. })) => {
                let is_there = floor.offset < offset || span.last_offset == offset;
                span.fits && span.base_offset <= offset && is_there
            }
            Ok(None) | Err(Error::Corrupt { .. }) => false,
            // Says nothing about the index.
            Err(_) => true,
        };
        if floor.position > 0 && !fits {
            // The index is wrong: no batch begins there, or one that is already behind. Or the batch is.
            walk = Walk::new(self, disk, 0, end.position)?;
            place = walk.next();
        }
        while let Some(found) = place? {
            let span = found.span;
            if span.fits && span.last_offset < offset {
                place = walk.next();
                continue;
            }
            if span.fits && span.base_offset == offset && span.after == offset {
                return Ok(Some(found));
            }
            // No CRC was looked at, and none covers the offset: where another batch goes on before that, this one does not
            // reach so far, or does not lie there.
            match walk.next() {
                Ok(Some(next)) if next.span.fits && next.span.base_offset <= offset => place = Ok(Some(next)),
                Ok(Some(next)) if span.is_ousted_by(next.span.base_offset) => {
                    return Err(self.misplaced(&found));
                }
                Err(error) if error.would_block() => return Err(error),
                _ if !span.fits => return Err(self.misplaced(&found)),
                _ => return Ok(Some(found)),
            }
        }
        Ok(None)
    }

    /// The first batch at or after position `from` that `wanted` accepts.
    pub(crate) fn walk(
        &self,
        disk: &Disk,
        from: u32,
        end: u32,
        mut wanted: impl FnMut(&Place) -> bool,
    ) -> Result<Option<Place>> {
        let mut walk = Walk::new(self, disk, from, end)?;
        while let Some(place) = walk.next()? {
            if wanted(&place) {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }

    /// The last batch bound at or before `to`, at least the end of `first`.
    pub(crate) fn cut(&self, disk: &Disk, first: Place, to: u32, end: u32) -> Result<u32> {
        let mut cut = first.position + first.size;
        if let Some(Some(at)) = self.in_memory(|indexes| indexes.offsets().floor_position(to))
            && at > cut
        {
            return Ok(at);
        }
        let walked = self.walk(disk, cut, end, |place| {
            let fits = place.position + place.size <= to;
            if fits {
                cut = place.position + place.size;
            }
            !fits
        });
        match walked {
            // What is before the damage can be read.
            Ok(_) | Err(Error::Corrupt { .. }) => Ok(cut),
            Err(other) => Err(other),
        }
    }

    /// The offset of the first index entry at or behind a position: no batch that begins before the position has a
    /// larger last offset. `None` if there is no entry there, or one that its batch belies: the index has no checksum, and
    /// who is not told of an aborted transaction takes it for committed.
    pub(crate) fn offset_behind(&self, disk: &Disk, position: u64) -> Result<Option<i64>> {
        let found = |indexes: &ActiveIndexes| indexes.offsets().first_at_or_behind(position);
        let entry = match self.in_memory(found) {
            Some(entry) => entry,
            None => {
                let Some(file) = self.index_file(disk, SegmentFileKind::OffsetIndex)? else {
                    return Ok(None);
                };
                let found = offset::first_at_or_behind(&Reader(disk, &file), self.base_offset, position);
                self.unless_it_waits(found)?.flatten()
            }
        };
        let end = u64::from(self.published().position);
        let Some(entry) = entry.filter(|entry| u64::from(entry.position) + HEADER_LEN as u64 <= end) else {
            return Ok(None);
        };
        let head = self.read(disk, entry.position, HEADER_LEN)?;
        let is_there = BatchHeader::read(&head).is_ok_and(|header| header.last_offset() == entry.offset);
        Ok(is_there.then_some(entry.offset))
    }

    /// The largest timestamp of the segment, or `None` if it has no record with one.
    pub(crate) fn largest_timestamp(&self, disk: &Disk) -> Result<Option<i64>> {
        let in_memory = || self.in_memory(|indexes| indexes.max_timestamp().timestamp);
        if let Some(largest) = in_memory() {
            return Ok(Some(largest).filter(|t| *t >= 0));
        }
        let known = self.largest_timestamp.load(Ordering::Relaxed);
        if known >= 0 {
            return Ok(Some(known));
        }
        let kind = SegmentFileKind::TimeIndex;
        let Some(file) = self.index_file(disk, kind)? else { return Ok(in_memory().filter(|t| *t >= 0)) };
        let largest = self.in_passing(|| match time::last(&*file, self.base_offset) {
            Ok(last) if last.timestamp < 0 || self.has_timestamp(disk, last)? => Ok(last.timestamp),
            _ => Ok(self.index_anew(disk, IndexLimits::default())?.max_timestamp().timestamp),
        })?;
        self.largest_timestamp.store(largest, Ordering::Relaxed);
        Ok(Some(largest).filter(|t| *t >= 0))
    }

    /// Whether a batch has the timestamp that an entry of the time index gives it: the index has no checksum, retention
    /// would take the segment for as old as it says, and a lookup would pass over records.
    fn has_timestamp(&self, disk: &Disk, entry: time::TimestampOffset) -> Result<bool> {
        let place = match self.find(disk, entry.offset, self.published()) {
            Err(Error::Corrupt { .. }) => None,
            place => place?,
        };
        let Some(place) = place else { return Ok(false) };
        let head = self.read(disk, place.position, HEADER_LEN)?;
        Ok(BatchHeader::read(&head).is_ok_and(|header| header.max_timestamp == entry.timestamp))
    }

    /// A position at or before the first batch whose largest timestamp is `timestamp` or later.
    pub(crate) fn floor_of_time(&self, disk: &Disk, timestamp: i64) -> Result<u32> {
        let kind = SegmentFileKind::TimeIndex;
        let entry = match self.in_memory(|indexes| indexes.times().lookup(timestamp)) {
            Some(entry) => entry,
            None => {
                let Some(file) = self.index_file(disk, kind)? else { return Ok(0) };
                match time::lookup(&*file, self.base_offset, timestamp) {
                    Ok(entry) if entry.timestamp < 0 || self.has_timestamp(disk, entry)? => entry,
                    _ => return Ok(0),
                }
            }
        };
        Ok(self.floor(disk, entry.offset)?.position)
    }

    /// Reads `len` bytes at `position`.
    pub(crate) fn read(&self, disk: &Disk, position: u32, len: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        let file = self.file(disk)?;
        disk.read_exact_at(&file, &mut bytes, u64::from(position))
            .map_err(|e| Error::io("read", &self.path(SegmentFileKind::Log), e))?;
        Ok(bytes)
    }
}

/// Reads one whole batch: its header and its bytes.
pub(crate) fn read_batch(segment: &Segment, disk: &Disk, place: Place) -> Result<(BatchHeader, Vec<u8>)> {
    let bytes = segment.read(disk, place.position, place.size as usize)?;
    let header = BatchHeader::read(&bytes).map_err(|e| Error::Corrupt {
        path: segment.path(SegmentFileKind::Log),
        position: u64::from(place.position),
        reason: e.to_string(),
    })?;
    Ok((header, bytes))
}
