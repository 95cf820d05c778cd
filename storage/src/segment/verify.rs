//! Whether bytes that an earlier process wrote are as they were written.

use super::order::Span;
use super::{Place, Segment};
use crate::error::{Error, Result};
use crate::file_name::SegmentFileKind;
use crate::log::recovery::batch_reader::{BatchReader, Step};
use milena_protocol::records::{BatchHeader, HEADER_LEN, crc_matches};
use std::fs::File;
use std::os::unix::fs::FileExt;

impl Segment {
    /// No batch of the segment reaches so far.
    pub(crate) fn limit(&self) -> i64 {
        let indexable = self.base_offset.saturating_add(i64::from(i32::MAX) + 1);
        self.published().next_offset.min(indexable)
    }

    /// The error of a read that meets a batch that does not lie where it says.
    pub(super) fn misplaced(&self, found: &Place) -> Error {
        Error::Corrupt {
            path: self.path(SegmentFileKind::Log),
            position: u64::from(found.position),
            reason: out_of_place(&found.span, self.limit()),
        }
    }

    /// Whether the batches from one position to another need no [`Segment::verify`].
    pub(crate) fn is_verified(&self, from: u32, to: u32) -> bool {
        self.verified.covers(from, to)
    }

    /// Computes the CRCs of the batches from one position to another, which are bounds of batches, and looks whether
    /// their offsets can be. `after`: the least offset that the first may have. Returns where the good ones end. Reads all
    /// of it.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if the first one is bad, [`Error::Io`].
    pub(crate) fn verify(&self, file: &File, from: u32, to: u32, after: i64) -> Result<u32> {
        let path = || self.path(SegmentFileKind::Log);
        let io = |error| Error::io("read", &path(), error);
        let limit = self.limit();
        let mut reader = BatchReader::new(file, u64::from(from), u64::from(to));
        // The last batch is good when it is known that the next one does not take its place.
        let (mut good, mut reached, mut last) = (from, from, None::<Span>);
        let reason = loop {
            let step = reader.next().map_err(io)?;
            let next = match &step {
                Step::Batch(header, _) => Some(header.base_offset),
                Step::End if last.is_some_and(|last| last.base_offset > last.after) => {
                    self.base_offset_at(file, to).map_err(io)?
                }
                _ => None,
            };
            if let Some(last) = last.filter(|last| next.is_some_and(|next| last.is_ousted_by(next))) {
                break out_of_place(&last, next.unwrap_or(limit));
            }
            good = reached;
            match step {
                Step::Batch(header, bytes) => {
                    let after = last.map_or(after, |last| last.end());
                    let span = Span::new(after, header.base_offset, header.last_offset_delta, limit);
                    if !crc_matches(bytes) {
                        break format!("a batch at offset {} with a wrong CRC", header.base_offset);
                    }
                    if !span.fits {
                        break out_of_place(&span, limit);
                    }
                    (reached, last) = (reached + header.size() as u32, Some(span));
                }
                Step::Tail(reason) => break reason,
                Step::End => {
                    self.verified.add(from, good);
                    return Ok(good);
                }
            }
        };
        if good == from {
            return Err(Error::Corrupt { path: path(), position: u64::from(from), reason });
        }
        self.verified.add(from, good);
        Ok(good)
    }

    /// The base offset of the batch at a position, if one is there.
    fn base_offset_at(&self, file: &File, position: u32) -> std::io::Result<Option<i64>> {
        if u64::from(position) + HEADER_LEN as u64 > u64::from(self.published().position) {
            return Ok(None);
        }
        let mut head = [0; HEADER_LEN];
        file.read_exact_at(&mut head, u64::from(position))?;
        Ok(BatchHeader::read(&head).ok().map(|header| header.base_offset))
    }
}

fn out_of_place(span: &Span, limit: i64) -> String {
    format!(
        "a batch with offsets {} to {} where {} to {} are expected",
        span.base_offset,
        span.last_offset,
        span.after,
        limit - 1
    )
}
