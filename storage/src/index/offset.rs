//! The offset index, `%020d.index`: where in the log file to start looking for an offset.
//!
//! ```text
//!  0                    4          8
//!  +--------------------+----------+
//!  | last offset of a   | where the|   ascending in both; no header, no checksum
//!  | batch - base offset| batch    |
//!  |         i32        | starts   |
//!  +--------------------+----------+
//! ```

use super::{IndexError, ReadAt, absolute_offset, count_entries, read_entry, relative_offset, search};

/// Bytes of an entry.
pub const ENTRY_SIZE: usize = 8;

/// One entry: a batch and where it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OffsetPosition {
    /// Offset of the batch's last record; the base offset of the segment for a place before the first entry.
    pub offset: i64,
    /// Where the batch starts in the log file.
    pub position: u32,
}

/// The offset index of an active segment.
#[derive(Debug, Clone)]
pub struct OffsetIndex {
    base_offset: i64,
    /// Relative offset and position, ascending in both.
    entries: Vec<(u32, u32)>,
}

impl OffsetIndex {
    /// An index without entries.
    pub fn new(base_offset: i64) -> Self {
        Self { base_offset, entries: Vec::new() }
    }

    /// The index that a file holds.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`] if the bytes are not whole entries, ascending in offset and position.
    pub fn decode(base_offset: i64, bytes: &[u8]) -> Result<Self, IndexError> {
        let count = count_entries(bytes.len() as u64, ENTRY_SIZE)?;
        let mut entries = Vec::with_capacity(count as usize);
        let mut previous = None;
        for entry in bytes.as_chunks().0 {
            let found = parse(base_offset, entry)?;
            check_order(previous, found)?;
            previous = Some(found);
            entries.push((relative_offset(base_offset, found.offset)?, found.position));
        }
        Ok(Self { base_offset, entries })
    }

    /// Base offset of the segment.
    pub fn base_offset(&self) -> i64 {
        self.base_offset
    }

    /// Number of entries.
    pub fn entries(&self) -> usize {
        self.entries.len()
    }

    /// The last entry.
    pub fn last(&self) -> Option<OffsetPosition> {
        self.entries.last().map(|entry| self.absolute(*entry))
    }

    /// The entry with the largest offset that is not above `offset`; without one, the start of the segment. Reading
    /// on from there comes across `offset` if the segment has it.
    pub fn lookup(&self, offset: i64) -> OffsetPosition {
        let after = self.entries.partition_point(|entry| self.absolute(*entry).offset <= offset);
        match after.checked_sub(1) {
            Some(at) => self.absolute(self.entries[at]),
            None => OffsetPosition { offset: self.base_offset, position: 0 },
        }
    }

    /// The first entry at `position` or behind it. Its offset is above all offsets that end before `position`, so it
    /// bounds a fetch that ends there. `None`: the end of the segment does.
    pub fn first_at_or_behind(&self, position: u64) -> Option<OffsetPosition> {
        let at = self.entries.partition_point(|entry| u64::from(entry.1) < position);
        self.entries.get(at).map(|entry| self.absolute(*entry))
    }

    /// Appends the bytes of the entries from number `first` on, as the file has them.
    pub fn encode(&self, first: usize, out: &mut Vec<u8>) {
        for (relative, position) in self.entries.get(first..).unwrap_or_default() {
            out.extend_from_slice(&relative.to_be_bytes());
            out.extend_from_slice(&position.to_be_bytes());
        }
    }

    /// The last batch start of the index at or before `position`.
    pub fn floor_position(&self, position: u32) -> Option<u32> {
        let behind = self.entries.partition_point(|entry| entry.1 <= position);
        behind.checked_sub(1).map(|at| self.entries[at].1)
    }

    /// The caller has checked that the offset is above that of the last entry.
    pub(super) fn push(&mut self, relative: u32, position: u32) {
        self.entries.push((relative, position));
    }

    pub(super) fn truncate(&mut self, offset: i64) {
        let kept = self.entries.partition_point(|entry| self.absolute(*entry).offset < offset);
        self.entries.truncate(kept);
    }

    fn absolute(&self, (relative, position): (u32, u32)) -> OffsetPosition {
        OffsetPosition { offset: self.base_offset.saturating_add(i64::from(relative)), position }
    }
}

/// [`OffsetIndex::lookup`] in the file of a closed segment.
///
/// # Errors
/// [`IndexError::Io`], and [`IndexError::Corrupt`] if the entry found is none.
pub fn lookup(
    file: &(impl ReadAt + ?Sized),
    base_offset: i64,
    offset: i64,
) -> Result<OffsetPosition, IndexError> {
    let found = search(file, |entry: &[u8; ENTRY_SIZE]| key(base_offset, entry) <= offset)?;
    match found.before {
        Some(entry) => parse(base_offset, &entry),
        None => Ok(OffsetPosition { offset: base_offset, position: 0 }),
    }
}

/// [`OffsetIndex::first_at_or_behind`] in the file of a closed segment.
///
/// # Errors
/// [`IndexError::Io`], and [`IndexError::Corrupt`] if the entry found is none.
pub fn first_at_or_behind(
    file: &(impl ReadAt + ?Sized),
    base_offset: i64,
    position: u64,
) -> Result<Option<OffsetPosition>, IndexError> {
    let found = search(file, |entry: &[u8; ENTRY_SIZE]| u64::from(split(entry).1) < position)?;
    found.after.map(|entry| parse(base_offset, &entry)).transpose()
}

/// The last entry in the file of a closed segment.
///
/// # Errors
/// [`IndexError::Io`], and [`IndexError::Corrupt`] if the last bytes are no entry.
pub fn last(file: &(impl ReadAt + ?Sized), base_offset: i64) -> Result<Option<OffsetPosition>, IndexError> {
    match count_entries(file.len()?, ENTRY_SIZE)? {
        0 => Ok(None),
        entries => parse(base_offset, &read_entry(file, entries - 1)?).map(Some),
    }
}

/// A cheap check of a file that is about to be trusted: whole entries, the last of them above the one before it and
/// inside a log file of `log_bytes`. It finds files that were cut short or end in zeros, but not every damage. Returns
/// the number of entries.
///
/// # Errors
/// [`IndexError::Io`] and [`IndexError::Corrupt`].
pub fn check(file: &(impl ReadAt + ?Sized), base_offset: i64, log_bytes: u64) -> Result<u64, IndexError> {
    let entries = count_entries(file.len()?, ENTRY_SIZE)?;
    if entries > 0 {
        last_checked(file, base_offset, entries, log_bytes)?;
    }
    Ok(entries)
}

/// The last of `entries` entries, which must be above the one before it and inside a log file of `log_bytes`.
///
/// # Errors
/// [`IndexError::Io`] and [`IndexError::Corrupt`].
pub(crate) fn last_checked(
    file: &(impl ReadAt + ?Sized),
    base_offset: i64,
    entries: u64,
    log_bytes: u64,
) -> Result<OffsetPosition, IndexError> {
    let mut tail = [0; 2 * ENTRY_SIZE];
    let bytes = &mut tail[..ENTRY_SIZE * entries.min(2) as usize];
    file.read_exact_at(bytes, (entries * ENTRY_SIZE as u64) - bytes.len() as u64)?;
    let mut previous = None;
    for entry in bytes.as_chunks().0 {
        let found = parse(base_offset, entry)?;
        check_order(previous, found)?;
        previous = Some(found);
    }
    let Some(last) = previous else { return Err(IndexError::Corrupt("no entry".into())) };
    // A segment's first batch has no entry, so no entry is at 0.
    if last.position == 0 || u64::from(last.position) >= log_bytes {
        let position = last.position;
        return Err(IndexError::Corrupt(format!(
            "the last position {position} is not in a log of {log_bytes} bytes"
        )));
    }
    Ok(last)
}

fn check_order(previous: Option<OffsetPosition>, next: OffsetPosition) -> Result<(), IndexError> {
    match previous {
        Some(previous) if next.offset <= previous.offset || next.position <= previous.position => {
            Err(IndexError::Corrupt(format!(
                "offset {} at {} after offset {} at {}",
                next.offset, next.position, previous.offset, previous.position
            )))
        }
        _ => Ok(()),
    }
}

/// One entry of a file.
pub(crate) fn parse(base_offset: i64, entry: &[u8; ENTRY_SIZE]) -> Result<OffsetPosition, IndexError> {
    let (relative, position) = split(entry);
    if i32::try_from(position).is_err() {
        return Err(IndexError::Corrupt(format!("position {position}")));
    }
    Ok(OffsetPosition { offset: absolute_offset(base_offset, relative)?, position })
}

fn key(base_offset: i64, entry: &[u8; ENTRY_SIZE]) -> i64 {
    base_offset.saturating_add(i64::from(i32::from_be_bytes(split(entry).0)))
}

fn split(entry: &[u8; ENTRY_SIZE]) -> ([u8; 4], u32) {
    let [a, b, c, d, position @ ..] = *entry;
    ([a, b, c, d], u32::from_be_bytes(position))
}
