//! The index of aborted transactions, `%020d.txnindex`: which transactions, of those whose marker is in a segment, a
//! `read_committed` consumer must not see. The file exists only if there are any.
//!
//! ```text
//!  0        2            10             18              26                 34
//!  +--------+------------+--------------+---------------+------------------+
//!  | version| producer id| first offset | offset of the | last stable      |   ascending in the offset of the
//!  |    0   |            |              | abort marker  | offset           |   marker; no header, no checksum
//!  |   i16  |     i64    |      i64     |      i64      |        i64       |
//!  +--------+------------+--------------+---------------+------------------+
//! ```

use super::{BLOCK_BYTES, IndexError, ReadAt};
use std::ops::Range;

/// Bytes of an entry.
pub const ENTRY_SIZE: usize = 34;

const VERSION: i16 = 0;

/// An aborted transaction of one producer in one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// The producer.
    pub producer_id: i64,
    /// Offset of the transaction's first record.
    pub first_offset: i64,
    /// Offset of the abort marker.
    pub last_offset: i64,
    /// The last stable offset once the marker was written: where the earliest other open transaction starts, else
    /// the offset behind the marker. No later entry concerns records before it.
    pub last_stable_offset: i64,
}

impl AbortedTransaction {
    /// The entry, as the file has it.
    pub fn encode(&self) -> [u8; ENTRY_SIZE] {
        let mut entry = [0; ENTRY_SIZE];
        entry[..2].copy_from_slice(&VERSION.to_be_bytes());
        let fields = [self.producer_id, self.first_offset, self.last_offset, self.last_stable_offset];
        for (place, field) in entry[2..].chunks_exact_mut(8).zip(fields) {
            place.copy_from_slice(&field.to_be_bytes());
        }
        entry
    }

    /// The transaction that an entry holds.
    ///
    /// # Errors
    /// [`IndexError::Corrupt`] if the version is not 0 or the offsets cannot belong to a transaction.
    pub fn decode(entry: &[u8; ENTRY_SIZE]) -> Result<Self, IndexError> {
        let version = i16::from_be_bytes([entry[0], entry[1]]);
        if version != VERSION {
            return Err(IndexError::Corrupt(format!("version {version} of an aborted transaction")));
        }
        let mut fields = [0; 4];
        for (field, bytes) in fields.iter_mut().zip(entry[2..].as_chunks().0) {
            *field = i64::from_be_bytes(*bytes);
        }
        let [producer_id, first_offset, last_offset, last_stable_offset] = fields;
        if first_offset < 0 || last_offset < first_offset {
            let message = format!("aborted transaction from offset {first_offset} to {last_offset}");
            return Err(IndexError::Corrupt(message));
        }
        Ok(Self { producer_id, first_offset, last_offset, last_stable_offset })
    }
}

/// Whether the index of the next segment must be searched, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Search {
    /// Later entries may concern the range.
    GoOn,
    /// No later entry, in this segment or another, concerns the range.
    Complete,
}

/// Adds to `found` the aborted transactions that overlap the fetched range `fetch_offset..upper_bound`, in the order of
/// their markers. The search starts in the segment of `fetch_offset`: every entry of an earlier one ends before it.
///
/// # Errors
/// [`IndexError::Io`] and [`IndexError::Corrupt`].
pub fn collect(
    file: &(impl ReadAt + ?Sized),
    fetch_offset: i64,
    upper_bound: i64,
    found: &mut Vec<AbortedTransaction>,
) -> Result<Search, IndexError> {
    let mut search = Search::GoOn;
    walk(file, |_, transaction| {
        if transaction.last_offset >= fetch_offset && transaction.first_offset < upper_bound {
            found.push(transaction);
        }
        if transaction.last_stable_offset >= upper_bound {
            search = Search::Complete;
        }
        Ok(search == Search::GoOn)
    })?;
    Ok(search)
}

/// Every aborted transaction of a segment.
///
/// # Errors
/// [`IndexError::Io`] and [`IndexError::Corrupt`].
pub fn all(file: &(impl ReadAt + ?Sized)) -> Result<Vec<AbortedTransaction>, IndexError> {
    let mut found = Vec::new();
    walk(file, |_, transaction| {
        found.push(transaction);
        Ok(true)
    })?;
    Ok(found)
}

/// The length the file must have once the log ends at `offset`: it keeps the entries whose marker is before it.
///
/// # Errors
/// [`IndexError::Io`] and [`IndexError::Corrupt`].
pub fn length_up_to(file: &(impl ReadAt + ?Sized), offset: i64) -> Result<u64, IndexError> {
    let mut length = 0;
    walk(file, |position, transaction| {
        let kept = transaction.last_offset < offset;
        if kept {
            length = position + ENTRY_SIZE as u64;
        }
        Ok(kept)
    })?;
    Ok(length)
}

/// Checks a whole file: entries ascend, and no marker lies outside the segment. A partial entry at the end, left by a
/// crash, is no damage: readers do not see it, and [`length_up_to`] tells where it starts.
///
/// # Errors
/// [`IndexError::Io`] and [`IndexError::Corrupt`].
pub fn check(file: &(impl ReadAt + ?Sized), segment: Range<i64>) -> Result<(), IndexError> {
    let mut next = segment.start;
    walk(file, |_, transaction| {
        let marker = transaction.last_offset;
        if marker >= segment.end {
            return Err(IndexError::Corrupt(format!(
                "abort marker at offset {marker}, and the segment ends at {}",
                segment.end
            )));
        }
        // All that is open then begins before the marker.
        if !(0..=marker + 1).contains(&transaction.last_stable_offset) {
            return Err(IndexError::Corrupt(format!(
                "last stable offset {} at abort marker {marker}",
                transaction.last_stable_offset
            )));
        }
        if marker < next {
            return Err(IndexError::Corrupt(format!(
                "abort marker at offset {marker}, expected {next} or above"
            )));
        }
        next = marker.saturating_add(1);
        Ok(true)
    })
}

/// Calls `visit` with the position and content of each entry until it answers `false`.
fn walk(
    file: &(impl ReadAt + ?Sized),
    mut visit: impl FnMut(u64, AbortedTransaction) -> Result<bool, IndexError>,
) -> Result<(), IndexError> {
    const BLOCK: usize = BLOCK_BYTES / ENTRY_SIZE * ENTRY_SIZE;
    let length = file.len()?;
    let whole = length - length % ENTRY_SIZE as u64;
    let mut buffer = [0; BLOCK];
    let mut position = 0;
    while position < whole {
        let block = &mut buffer[..(whole - position).min(BLOCK as u64) as usize];
        file.read_exact_at(block, position)?;
        for entry in block.as_chunks().0 {
            if !visit(position, AbortedTransaction::decode(entry)?)? {
                return Ok(());
            }
            position += ENTRY_SIZE as u64;
        }
    }
    Ok(())
}
