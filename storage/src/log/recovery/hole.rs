//! Whether the offsets that are missing between two segments were lost.
//!
//! Offsets of a log only have to ascend. Compaction takes batches from the end of a segment as it does from anywhere
//! else, and the log stays as it is when its topic is no longer compacted; so segments that do not meet are lawful. A
//! power cut makes the same: it may leave a segment at the length of its last sync, which is the end of a batch, and
//! what was appended later in the next one. What tells the two apart:
//!
//! | sign | then |
//! |---|---|
//! | bytes behind the last good batch | lost: what compaction wrote was synced before it got its name |
//! | an index entry for one of the missing offsets | lost: it was there when the index was written |
//! | the topic is compacted, or the cleaner's checkpoint names the log | lawful |
//! | a batch without some of its records, or behind a gap, in the segments that are read | lawful: the log was compacted |
//! | none of them | lost |
//!
//! A log that was compacted can therefore keep a gap that a power cut made, as it would in Kafka. Nothing that was synced
//! lies in it: all that was synced lies before the recovery point, or in a segment that ends where the next one begins.

use super::Loader;
use super::batch_reader::{BatchReader, Step};
use crate::error::{Error, Result};
use crate::file_name::SegmentFileKind;
use crate::index::{offset, time};
use crate::segment::Published;
use milena_protocol::records::{BatchHeader, crc_matches};
use std::ops::Range;

/// Whether compaction has been at a batch that follows on `expected`: records before it or of it are gone.
pub(super) fn is_thinned(header: &BatchHeader, expected: i64) -> bool {
    header.base_offset > expected || i64::from(header.record_count) <= i64::from(header.last_offset_delta)
}

impl Loader<'_> {
    /// Whether a scanned segment lost its end: it was not synced, it ends before the next one begins, and what is
    /// missing was not taken by compaction.
    pub(super) fn is_hole(&self, bases: &[i64], at: usize, end: Published) -> Result<bool> {
        let unsynced = !self.start.clean && bases[at] >= self.first_unsynced(bases);
        let Some(&next) = bases.get(at + 1).filter(|next| unsynced && end.next_offset < **next) else {
            return Ok(false);
        };
        let known_compacted = self.config.compact || self.start.cleaned || self.thinned;
        let hole = self.names_missing(bases[at], end, next)?
            || !(known_compacted || self.thinned_behind(&bases[at + 1..])?);
        if hole {
            tracing::warn!(
                "{}: offsets {} to {} are missing; keeping the records before them",
                self.path(bases[at], SegmentFileKind::Log).display(),
                end.next_offset,
                next - 1
            );
        }
        Ok(hole)
    }

    /// Whether an index file of a segment, as far as it makes sense, has an entry for a missing offset.
    fn names_missing(&self, base: i64, end: Published, next: i64) -> Result<bool> {
        let missing = end.next_offset..next;
        let offsets = self.disk.read_if_there(&self.path(base, SegmentFileKind::OffsetIndex))?;
        let times = self.disk.read_if_there(&self.path(base, SegmentFileKind::TimeIndex))?;
        Ok(offsets.is_some_and(|bytes| names_position(&bytes, base, &missing, end.position))
            || times.is_some_and(|bytes| names_time(&bytes, base, &missing)))
    }

    /// Whether segments that were not read yet show that the log was compacted. What has a wrong CRC shows nothing.
    fn thinned_behind(&self, bases: &[i64]) -> Result<bool> {
        for &base in bases {
            let path = self.path(base, SegmentFileKind::Log);
            let file = self.disk.open_read(&path)?;
            let mut reader = BatchReader::new(&file, 0, self.disk.length(&path)?);
            let mut expected = base;
            while let Step::Batch(header, bytes) = reader.next().map_err(|e| Error::io("read", &path, e))? {
                if header.base_offset < expected || !crc_matches(bytes) {
                    break;
                }
                if is_thinned(&header, expected) {
                    return Ok(true);
                }
                expected = header.next_offset();
            }
        }
        Ok(false)
    }
}

fn names_position(bytes: &[u8], base: i64, missing: &Range<i64>, from: u32) -> bool {
    let entries = bytes.as_chunks().0.iter().map_while(|entry| offset::parse(base, entry).ok());
    ascending(entries.map(|entry| (entry.offset, entry.position)))
        .any(|(offset, position)| missing.contains(&offset) && position >= from)
}

fn names_time(bytes: &[u8], base: i64, missing: &Range<i64>) -> bool {
    let entries = bytes.as_chunks().0.iter().map_while(|entry| time::parse(base, entry).ok());
    ascending(entries.map(|entry| (entry.timestamp, entry.offset)))
        .any(|(_, offset)| missing.contains(&offset))
}

/// The entries up to the first whose key is not above that of the one before it: a killed Kafka leaves zeros there.
fn ascending<T>(entries: impl Iterator<Item = (i64, T)>) -> impl Iterator<Item = (i64, T)> {
    let mut last = None;
    entries.take_while(move |(key, _)| last.replace(*key).is_none_or(|last| last < *key))
}
