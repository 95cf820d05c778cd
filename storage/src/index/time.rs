//! The time index, `%020d.timeindex`: where in the offsets to start looking for a timestamp.
//!
//! ```text
//!  0           8                    12
//!  +-----------+--------------------+
//!  | largest   | last offset of the |   ascending in the timestamp, not descending in the offset;
//!  | timestamp | batch that had it  |   no header, no checksum
//!  | so far    | - base offset      |
//!  |    i64    |        i32         |
//!  +-----------+--------------------+
//! ```
//!
//! A record with a timestamp above that of an entry is behind the entry's offset.

use super::{IndexError, ReadAt, absolute_offset, count_entries, read_entry, relative_offset, search};

/// Bytes of an entry.
pub const ENTRY_SIZE: usize = 12;

/// Timestamp of a record that has none.
pub const NO_TIMESTAMP: i64 = -1;

/// One entry: a timestamp, in milliseconds, and the last offset of the batch that had it first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimestampOffset {
    /// Milliseconds since the epoch; -1: none.
    pub timestamp: i64,
    /// Last offset of the batch; the base offset of the segment where there is no timestamp.
    pub offset: i64,
}

/// The time index of an active segment.
#[derive(Debug, Clone)]
pub struct TimeIndex {
    base_offset: i64,
    /// Timestamp and relative offset, ascending in the timestamp.
    entries: Vec<(i64, u32)>,
}

impl TimeIndex {
    /// An index without entries.
    pub fn new(base_offset: i64) -> Self {
        Self { base_offset, entries: Vec::new() }
    }

    /// The index that a file holds.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`] if the bytes are not whole entries in ascending order.
    pub fn decode(base_offset: i64, bytes: &[u8]) -> Result<Self, IndexError> {
        let count = count_entries(bytes.len() as u64, ENTRY_SIZE)?;
        let mut entries = Vec::with_capacity(count as usize);
        let mut previous = None;
        for entry in bytes.as_chunks().0 {
            let found = parse(base_offset, entry)?;
            check_order(previous, found)?;
            previous = Some(found);
            entries.push((found.timestamp, relative_offset(base_offset, found.offset)?));
        }
        Ok(Self { base_offset, entries })
    }

    /// Number of entries.
    pub fn entries(&self) -> usize {
        self.entries.len()
    }

    /// The last entry; without one, timestamp -1 at the base offset.
    pub fn last(&self) -> TimestampOffset {
        self.entries.last().map_or(nothing(self.base_offset), |entry| self.absolute(*entry))
    }

    /// The entry with the largest timestamp that is not above `timestamp`; without one, timestamp -1 at the base
    /// offset. The first record with `timestamp` or a later one is not before its offset's batch.
    pub fn lookup(&self, timestamp: i64) -> TimestampOffset {
        let after = self.entries.partition_point(|entry| entry.0 <= timestamp);
        after.checked_sub(1).map_or(nothing(self.base_offset), |at| self.absolute(self.entries[at]))
    }

    /// Appends the bytes of the entries from number `first` on, as the file has them.
    pub fn encode(&self, first: usize, out: &mut Vec<u8>) {
        for (timestamp, relative) in self.entries.get(first..).unwrap_or_default() {
            out.extend_from_slice(&timestamp.to_be_bytes());
            out.extend_from_slice(&relative.to_be_bytes());
        }
    }

    /// The caller has checked that the offset is in the segment's range.
    pub(super) fn push_if_later(&mut self, entry: TimestampOffset) {
        if entry.timestamp > self.last().timestamp {
            self.entries.push((entry.timestamp, (entry.offset - self.base_offset) as u32));
        }
    }

    pub(super) fn truncate(&mut self, offset: i64) {
        let kept = self.entries.partition_point(|entry| self.absolute(*entry).offset < offset);
        self.entries.truncate(kept);
    }

    fn absolute(&self, (timestamp, relative): (i64, u32)) -> TimestampOffset {
        TimestampOffset { timestamp, offset: self.base_offset.saturating_add(i64::from(relative)) }
    }
}

/// [`TimeIndex::lookup`] in the file of a closed segment.
///
/// # Errors
/// [`IndexError::Io`], and [`IndexError::Corrupt`] if the entry found is none.
pub fn lookup(
    file: &(impl ReadAt + ?Sized),
    base_offset: i64,
    timestamp: i64,
) -> Result<TimestampOffset, IndexError> {
    let found = search(file, |entry: &[u8; ENTRY_SIZE]| split(entry).0 <= timestamp)?;
    found.before.map_or(Ok(nothing(base_offset)), |entry| parse(base_offset, &entry))
}

/// [`TimeIndex::last`] of the file of a closed segment: the largest timestamp in it.
///
/// # Errors
/// [`IndexError::Io`], and [`IndexError::Corrupt`] if the last bytes are no entry.
pub fn last(file: &(impl ReadAt + ?Sized), base_offset: i64) -> Result<TimestampOffset, IndexError> {
    match count_entries(file.len()?, ENTRY_SIZE)? {
        0 => Ok(nothing(base_offset)),
        entries => parse(base_offset, &read_entry(file, entries - 1)?),
    }
}

/// A cheap check of a file that is about to be trusted: whole entries, the last of them above the one before it and
/// the first. It finds files that were cut short or end in zeros, but not every damage. Returns the number of entries.
///
/// # Errors
/// [`IndexError::Io`] and [`IndexError::Corrupt`].
pub fn check(file: &(impl ReadAt + ?Sized), base_offset: i64) -> Result<u64, IndexError> {
    let entries = count_entries(file.len()?, ENTRY_SIZE)?;
    if entries == 0 {
        return Ok(0);
    }
    let last = parse(base_offset, &read_entry(file, entries - 1)?)?;
    for earlier in [0, entries.saturating_sub(2)] {
        if earlier < entries - 1 {
            check_order(Some(parse(base_offset, &read_entry(file, earlier)?)?), last)?;
        }
    }
    Ok(entries)
}

fn nothing(base_offset: i64) -> TimestampOffset {
    TimestampOffset { timestamp: NO_TIMESTAMP, offset: base_offset }
}

fn check_order(previous: Option<TimestampOffset>, next: TimestampOffset) -> Result<(), IndexError> {
    match previous {
        Some(previous) if next.timestamp <= previous.timestamp || next.offset < previous.offset => {
            Err(IndexError::Corrupt(format!(
                "timestamp {} at offset {} after timestamp {} at offset {}",
                next.timestamp, next.offset, previous.timestamp, previous.offset
            )))
        }
        _ => Ok(()),
    }
}

/// One entry of a file.
pub(crate) fn parse(base_offset: i64, entry: &[u8; ENTRY_SIZE]) -> Result<TimestampOffset, IndexError> {
    let (timestamp, relative) = split(entry);
    Ok(TimestampOffset { timestamp, offset: absolute_offset(base_offset, relative)? })
}

fn split(entry: &[u8; ENTRY_SIZE]) -> (i64, [u8; 4]) {
    let [a, b, c, d, e, f, g, h, relative @ ..] = *entry;
    (i64::from_be_bytes([a, b, c, d, e, f, g, h]), relative)
}
