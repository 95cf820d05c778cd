//! The indexes of a segment: offset to position, timestamp to offset, and aborted transactions.
//!
//! An index exists in two forms. That of the active segment grows in memory ([`ActiveIndexes`]) and reaches the disk
//! when the segment rolls or the log closes. That of a closed segment stays on the disk: a lookup reads the few
//! blocks it needs through [`ReadAt`] and keeps nothing. Both hold exactly the entries that Kafka writes
//! (`LogSegment.append`, `OffsetIndex`, `TimeIndex`):
//!
//! * For each batch, first the largest timestamp so far is brought up to date. Then, if more than
//!   `index.interval.bytes` went in since the last entry, the batch gets one in both indexes. Then its size counts.
//!   So the first batch of a segment never has an entry.
//! * The time index takes an entry only if its timestamp is above that of the last one.
//! * When the segment closes, the time index gets the largest timestamp as its last entry, for which a slot is kept.

pub mod aborted;
pub mod offset;
pub mod time;

use std::io;

use thiserror::Error;

use offset::{OffsetIndex, OffsetPosition};
use time::{TimeIndex, TimestampOffset};

/// Bytes of a closed index that one read brings in. The last so many are looked at first: most lookups are near the
/// end of the log, and the page that holds them stays in the page cache.
const BLOCK_BYTES: usize = 8192;

/// A file, or what stands for one, that is read at positions. `&self`: lookups run side by side.
pub trait ReadAt {
    /// Fills `buf` from the bytes at `pos` on.
    ///
    /// # Errors
    /// What the file system reports; `UnexpectedEof` if the file ends before `buf` is full.
    fn read_exact_at(&self, buf: &mut [u8], pos: u64) -> io::Result<()>;

    /// Length in bytes.
    ///
    /// # Errors
    /// What the file system reports.
    fn len(&self) -> io::Result<u64>;

    /// Whether there are no bytes.
    ///
    /// # Errors
    /// What the file system reports.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

impl ReadAt for [u8] {
    fn read_exact_at(&self, buf: &mut [u8], pos: u64) -> io::Result<()> {
        let rest = usize::try_from(pos).ok().and_then(|pos| self.get(pos..)).unwrap_or_default();
        let bytes = rest.get(..buf.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        buf.copy_from_slice(bytes);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(<[u8]>::len(self) as u64)
    }
}

/// Why an index cannot be used, or an entry not be taken.
#[derive(Debug, Error)]
pub enum IndexError {
    /// The file could not be read.
    #[error("index file cannot be read")]
    Io(#[from] io::Error),
    /// The bytes cannot have been written as an index. The segment's log is the remedy: the index is rebuilt from it.
    #[error("corrupt index: {0}")]
    Corrupt(String),
    /// `segment.index.bytes` are used up: the segment must roll before it takes another entry.
    #[error("the index is full at {entries} entries")]
    Full {
        /// Entries there are.
        entries: usize,
    },
    /// Offsets must grow from entry to entry.
    #[error("offset {offset} is not above {last}, the last one in the index")]
    OffsetNotAbove {
        /// The offset that was refused.
        offset: i64,
        /// The offset of the last entry.
        last: i64,
    },
    /// Entries hold offsets relative to the segment's base offset, in 31 bits.
    #[error("offset {offset} is out of the range of a segment that starts at {base_offset}")]
    OffsetOutOfRange {
        /// The offset that was refused.
        offset: i64,
        /// Base offset of the segment.
        base_offset: i64,
    },
}

/// Limits of the indexes of one segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexLimits {
    /// `index.interval.bytes`: more than so many bytes of log between two entries.
    pub interval_bytes: u32,
    /// `segment.index.bytes`: an index takes at most so many bytes.
    pub max_bytes: u32,
}

impl Default for IndexLimits {
    fn default() -> Self {
        Self { interval_bytes: 4096, max_bytes: 10 * 1024 * 1024 }
    }
}

/// What the indexes need to know of one batch that was appended to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexedBatch {
    /// Offset of the batch's last record.
    pub last_offset: i64,
    /// The batch's largest timestamp, in milliseconds; -1 if it has none.
    pub max_timestamp: i64,
    /// Where the batch starts in the log file.
    pub position: u32,
    /// Its bytes in the log file.
    pub size: u32,
}

/// Offset and time index of the active segment, in memory.
#[derive(Debug, Clone)]
pub struct ActiveIndexes {
    offsets: OffsetIndex,
    times: TimeIndex,
    limits: IndexLimits,
    bytes_since_entry: u64,
    max_timestamp: TimestampOffset,
}

impl ActiveIndexes {
    /// The indexes of an empty segment.
    pub fn new(base_offset: i64, limits: IndexLimits) -> Self {
        Self::with(OffsetIndex::new(base_offset), TimeIndex::new(base_offset), limits)
    }

    /// The indexes of a segment that goes on after a restart, from the content of its files. As in Kafka, the bytes
    /// since the last entry count from zero again, and the last time entry is the largest timestamp so far.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`] if the bytes are not whole, ascending entries.
    pub fn restore(
        base_offset: i64,
        limits: IndexLimits,
        offset_index: &[u8],
        time_index: &[u8],
    ) -> Result<Self, IndexError> {
        let offsets = OffsetIndex::decode(base_offset, offset_index)?;
        let times = TimeIndex::decode(base_offset, time_index)?;
        Ok(Self::with(offsets, times, limits))
    }

    fn with(offsets: OffsetIndex, times: TimeIndex, limits: IndexLimits) -> Self {
        let max_timestamp = times.last();
        Self { offsets, times, limits, bytes_since_entry: 0, max_timestamp }
    }

    /// Takes note of a batch, which must be the next one in the log.
    ///
    /// # Errors
    /// [`IndexError::Full`] if an entry is due and [`ActiveIndexes::is_full`], [`IndexError::OffsetNotAbove`] and
    /// [`IndexError::OffsetOutOfRange`] if the batch cannot be the next one. Nothing has changed then.
    pub fn append(&mut self, batch: &IndexedBatch) -> Result<(), IndexError> {
        let base_offset = self.offsets.base_offset();
        let relative = relative_offset(base_offset, batch.last_offset)?;
        let due = self.bytes_since_entry > u64::from(self.limits.interval_bytes);
        if due {
            self.check_entry(batch.last_offset)?;
        }
        if batch.max_timestamp > self.max_timestamp.timestamp {
            self.max_timestamp =
                TimestampOffset { timestamp: batch.max_timestamp, offset: base_offset + i64::from(relative) };
        }
        if due {
            self.offsets.push(relative, batch.position);
            self.times.push_if_later(self.max_timestamp);
            self.bytes_since_entry = 0;
        }
        self.bytes_since_entry += u64::from(batch.size);
        Ok(())
    }

    /// Adds the last time entry, for a segment that rolls or a log that closes. May be called again.
    pub fn close(&mut self) {
        self.times.push_if_later(self.max_timestamp);
    }

    /// Number of entries in both.
    pub fn entries(&self) -> usize {
        self.offsets.entries() + self.times.entries()
    }

    /// The bytes of both index files, with the last time entry of [`ActiveIndexes::close`].
    pub fn encode(&mut self) -> (Vec<u8>, Vec<u8>) {
        self.close();
        let (mut offsets, mut times) = (Vec::new(), Vec::new());
        self.offsets.encode(0, &mut offsets);
        self.times.encode(0, &mut times);
        (offsets, times)
    }

    /// Whether the segment must roll before its next batch.
    pub fn is_full(&self) -> bool {
        let max_bytes = self.limits.max_bytes as usize;
        // The last slot of the time index is for `close`.
        self.offsets.entries() >= max_bytes / offset::ENTRY_SIZE
            || self.times.entries() + 1 >= max_bytes / time::ENTRY_SIZE
    }

    /// Whether the indexes could hold `offset`. A batch with an offset that they could not begins a new segment.
    pub fn holds(&self, offset: i64) -> bool {
        relative_offset(self.offsets.base_offset(), offset).is_ok()
    }

    /// Forgets every entry with an offset of `offset` or above. `max_timestamp` is the largest timestamp that is left
    /// in the log and the last offset of its batch, or `None` to take the last time entry for it.
    pub fn truncate(&mut self, offset: i64, max_timestamp: Option<TimestampOffset>) {
        self.offsets.truncate(offset);
        self.times.truncate(offset);
        self.bytes_since_entry = 0;
        self.max_timestamp = max_timestamp.unwrap_or_else(|| self.times.last());
    }

    /// Brings new limits into force. They hold for the entries to come.
    pub fn set_limits(&mut self, limits: IndexLimits) {
        self.limits = limits;
    }

    /// The largest timestamp so far and the last offset of the first batch that had it; timestamp -1 if there is none.
    pub fn max_timestamp(&self) -> TimestampOffset {
        self.max_timestamp
    }

    /// The offset index.
    pub fn offsets(&self) -> &OffsetIndex {
        &self.offsets
    }

    /// The time index.
    pub fn times(&self) -> &TimeIndex {
        &self.times
    }

    /// Where to start reading the log for `offset`: see [`OffsetIndex::lookup`].
    pub fn position_of(&self, offset: i64) -> OffsetPosition {
        self.offsets.lookup(offset)
    }

    fn check_entry(&self, last_offset: i64) -> Result<(), IndexError> {
        if self.is_full() {
            return Err(IndexError::Full { entries: self.offsets.entries() });
        }
        match self.offsets.last() {
            Some(last) if last_offset <= last.offset => {
                Err(IndexError::OffsetNotAbove { offset: last_offset, last: last.offset })
            }
            _ => Ok(()),
        }
    }
}

/// An offset as an entry holds it, 31 bits.
fn relative_offset(base_offset: i64, offset: i64) -> Result<u32, IndexError> {
    offset
        .checked_sub(base_offset)
        .and_then(|relative| i32::try_from(relative).ok())
        .and_then(|relative| u32::try_from(relative).ok())
        .ok_or(IndexError::OffsetOutOfRange { offset, base_offset })
}

/// The inverse of [`relative_offset`], for what a file holds.
fn absolute_offset(base_offset: i64, relative: [u8; 4]) -> Result<i64, IndexError> {
    let relative = i32::from_be_bytes(relative);
    match base_offset.checked_add(i64::from(relative)) {
        Some(offset) if relative >= 0 => Ok(offset),
        _ => Err(IndexError::Corrupt(format!(
            "relative offset {relative} in a segment that starts at {base_offset}"
        ))),
    }
}

/// Number of whole entries in a file, which must hold nothing else.
fn count_entries(bytes: u64, entry_size: usize) -> Result<u64, IndexError> {
    let size = entry_size as u64;
    if bytes.is_multiple_of(size) {
        Ok(bytes / size)
    } else {
        Err(IndexError::Corrupt(format!("{bytes} bytes are no multiple of an entry's {size}")))
    }
}

fn read_entry<const SIZE: usize>(file: &(impl ReadAt + ?Sized), entry: u64) -> io::Result<[u8; SIZE]> {
    let mut bytes = [0; SIZE];
    file.read_exact_at(&mut bytes, entry * SIZE as u64)?;
    Ok(bytes)
}

/// What a search in a closed index found: the entries on both sides of the boundary.
struct Boundary<const SIZE: usize> {
    /// The last entry for which the predicate holds.
    before: Option<[u8; SIZE]>,
    /// The first one for which it does not.
    after: Option<[u8; SIZE]>,
}

/// Finds where `holds` turns false; it must hold for a prefix of the entries. A partial entry at the end of the file is
/// left out of account, as Kafka does.
fn search<const SIZE: usize>(
    file: &(impl ReadAt + ?Sized),
    holds: impl Fn(&[u8; SIZE]) -> bool,
) -> io::Result<Boundary<SIZE>> {
    let per_block = (BLOCK_BYTES / SIZE) as u64;
    // It holds for the entry `start` if `start` is not 0. It does not hold from `end` on, where `after` is.
    let mut end = file.len()? / SIZE as u64;
    let mut after = None;
    let mut start = end.saturating_sub(per_block);
    if start > 0 {
        let warm = read_entry(file, start)?;
        if !holds(&warm) {
            (start, end, after) = (0, start, Some(warm));
        }
    }
    while end - start > per_block {
        let middle = start + (end - start) / 2;
        let entry = read_entry(file, middle)?;
        if holds(&entry) {
            start = middle;
        } else {
            (end, after) = (middle, Some(entry));
        }
    }
    let mut buffer = [0; BLOCK_BYTES];
    let bytes = &mut buffer[..(end - start) as usize * SIZE];
    file.read_exact_at(bytes, start * SIZE as u64)?;
    let (block, _) = bytes.as_chunks::<SIZE>();
    let boundary = block.partition_point(holds);
    Ok(Boundary {
        before: boundary.checked_sub(1).map(|at| block[at]),
        after: block.get(boundary).copied().or(after),
    })
}

#[cfg(test)]
mod tests;
