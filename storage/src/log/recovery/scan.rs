//! A segment that is read as a whole, with CRCs.

use super::Loader;
use super::batch_reader::{BatchReader, Step, is_blank};
use super::hole::is_thinned;
use crate::error::{Error, Result};
use crate::file_name::SegmentFileKind;
use crate::index::{ActiveIndexes, IndexLimits, IndexedBatch};
use crate::log::append::index_limits;
use crate::segment::Published;
use crate::segment::order::Span;
use milena_protocol::records::{BatchHeader, crc_matches};
use std::fs::File;
use std::path::Path;

/// Progress is noted after so many bytes.
const NOTED: u32 = 1 << 20;

impl Loader<'_> {
    /// Reads a whole segment with CRCs, rebuilds its indexes and notes its epochs. `next`: where the one behind it begins.
    /// Returns its good end, and whether something behind it was cut off.
    pub(super) fn scan(
        &mut self,
        base: i64,
        length: u64,
        next: Option<i64>,
    ) -> Result<(Published, ActiveIndexes, bool)> {
        self.repaired = true;
        self.scanned.insert(base);
        let indexable = base.saturating_add(i64::from(i32::MAX) + 1);
        let limit = next.unwrap_or(indexable).min(indexable);
        let path = self.path(base, SegmentFileKind::Log);
        let file = self.disk.open(&path)?;
        let mut indexes = ActiveIndexes::new(base, index_limits(self.config));
        let mut end = Published { next_offset: base, position: 0 };
        let mut reader = BatchReader::new(&file, 0, length);
        let mut noted = 0;
        // The last batch is kept when it is known that the next one does not take its place.
        let mut held: Option<(Span, BatchHeader)> = None;
        let reason = loop {
            let step = reader.next().map_err(|e| Error::io("read", &path, e))?;
            let mut position = end.position;
            if let Some((span, header)) = held.take() {
                if let Step::Batch(next, bytes) = &step
                    && span.is_ousted_by(next.base_offset)
                    && crc_matches(bytes)
                {
                    let (first, expected) = (span.base_offset, span.after);
                    break Some(format!(
                        "offset {first} where {expected} is expected, before {}",
                        next.base_offset
                    ));
                }
                let batch = indexed(&header, position, header.size());
                if indexes.append(&batch).is_err() {
                    break Some("its offset does not fit into the index".into());
                }
                self.note_epoch(&header);
                self.producers_seen |= header.producer_id >= 0;
                self.thinned |= is_thinned(&header, end.next_offset);
                if position == 0 {
                    self.first_timestamp = Some((base, header.max_timestamp));
                }
                position += batch.size;
                end = Published { next_offset: header.next_offset(), position };
            }
            match step {
                Step::Batch(header, bytes) => {
                    let gap = self.start.gapless && header.base_offset > end.next_offset;
                    if let Some(reason) = bad(&header, bytes, end.next_offset, gap) {
                        break Some(reason);
                    }
                    if position - noted >= NOTED {
                        self.disk.note_scanned(u64::from(position - noted));
                        noted = position;
                    }
                    let span =
                        Span::new(end.next_offset, header.base_offset, header.last_offset_delta, limit);
                    if !span.fits {
                        break Some("its offset does not fit into the segment".into());
                    }
                    held = Some((span, header));
                }
                Step::End => break None,
                Step::Tail(reason) => break Some(reason),
            }
        };
        self.disk.note_scanned(length - u64::from(noted));
        let cut = u64::from(end.position) < length;
        if cut {
            let from = u64::from(end.position);
            let blank = is_blank(&file, from, length).map_err(|e| Error::io("read", &path, e))?;
            // A broker that was killed leaves a blank tail behind what it had stored, and that is nothing to speak of.
            let stored =
                self.start.clean || self.start.gapless || end.next_offset < self.start.recovery_point;
            if stored || !blank {
                tracing::warn!(
                    "{}: {} at byte {from}; keeping the records up to offset {}",
                    path.display(),
                    reason.unwrap_or_default(),
                    end.next_offset
                );
            }
            if stored && !blank {
                self.set_tail_aside(&file, base, end.position, length)?;
            }
            self.disk.truncate(&file, &path, from)?;
            if stored || !blank {
                // A power cut must not bring it back behind what is appended now.
                self.disk.sync(&file, &path)?;
            }
        }
        Ok((end, indexes, cut))
    }
}

/// The indexes of a segment whose end is known, from its batches. Behind bytes that are no batch nothing is found any
/// more; a batch with a wrong CRC is for its reader to report.
///
/// # Errors
/// [`Error::Io`] if the file cannot be read.
pub(crate) fn index_anew(
    file: &File,
    path: &Path,
    base_offset: i64,
    end: Published,
    limits: IndexLimits,
) -> Result<ActiveIndexes> {
    let mut indexes = ActiveIndexes::new(base_offset, limits);
    let (mut next_offset, mut position) = (base_offset, 0);
    let mut reader = BatchReader::new(file, 0, u64::from(end.position));
    let reason = loop {
        match reader.next().map_err(|e| Error::io("read", path, e))? {
            Step::Batch(header, bytes) => {
                if let Some(reason) = misplaced(&header, next_offset) {
                    break reason;
                }
                if let Err(error) = indexes.append(&indexed(&header, position, bytes.len())) {
                    break error.to_string();
                }
                (next_offset, position) = (header.next_offset(), position + bytes.len() as u32);
            }
            Step::End => return Ok(indexes),
            Step::Tail(reason) => break format!("no batch there: {reason}"),
        }
    };
    tracing::error!("{} at byte {position}: {reason}; reads from there on will fail", path.display());
    Ok(indexes)
}

fn indexed(header: &BatchHeader, position: u32, size: usize) -> IndexedBatch {
    IndexedBatch {
        last_offset: header.last_offset(),
        max_timestamp: header.max_timestamp,
        position,
        size: size as u32,
    }
}

/// Why a batch cannot be kept, if so.
fn bad(header: &BatchHeader, bytes: &[u8], expected: i64, gap: bool) -> Option<String> {
    let gap = gap.then(|| format!("a batch with offset {} where {expected} is expected", header.base_offset));
    misplaced(header, expected).or(gap).or_else(|| {
        (!crc_matches(bytes)).then(|| format!("a batch at offset {} with a wrong CRC", header.base_offset))
    })
}

/// Why a batch cannot be at its place, if so.
fn misplaced(header: &BatchHeader, expected: i64) -> Option<String> {
    if header.base_offset < expected {
        return Some(format!(
            "a batch with offset {} where {expected} or more is expected",
            header.base_offset
        ));
    }
    (header.last_offset_delta < 0)
        .then(|| format!("a batch with last offset delta {}", header.last_offset_delta))
}
