//! A walk over the batches of a segment by their headers.

use super::order::Span;
use super::{Place, Segment};
use crate::error::{Error, Result};
use crate::file::Disk;
use crate::file_name::SegmentFileKind;
use crate::index::offset::OffsetPosition;
use milena_protocol::records::{HEADER_LEN, crc_matches};
use std::fs::File;
use std::sync::Arc;

/// One read brings in this much.
const WALK: usize = 4096;
/// The part of a batch header that places it: base offset, length, leader epoch, magic, CRC, attributes, last offset delta.
const PLACE: usize = 27;

/// Walks the batches of a segment by their headers, a block at a time.
pub(crate) struct Walk<'a> {
    segment: &'a Segment,
    disk: &'a Disk,
    file: Arc<File>,
    block: [u8; WALK],
    /// Where the block starts, and how much of it is filled.
    start: u32,
    filled: usize,
    at: u32,
    end: u32,
    /// No batch reaches so far.
    limit: i64,
    /// The last offset of the first batch, as the index has it.
    indexed: Option<i64>,
    last: Option<Place>,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(segment: &'a Segment, disk: &'a Disk, from: u32, end: u32) -> Result<Self> {
        Ok(Self {
            segment,
            disk,
            file: segment.file(disk)?,
            block: [0; WALK],
            start: from,
            filled: 0,
            at: from,
            end,
            limit: segment.limit(),
            indexed: None,
            last: None,
        })
    }

    /// From the batch of an index entry on.
    pub(crate) fn behind(
        segment: &'a Segment,
        disk: &'a Disk,
        entry: OffsetPosition,
        end: u32,
    ) -> Result<Self> {
        let indexed = (entry.position > 0).then_some(entry.offset);
        Ok(Self { indexed, ..Self::new(segment, disk, entry.position, end)? })
    }

    /// The next batch.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if a header makes no sense: it is reported on every read and never skipped.
    pub(crate) fn next(&mut self) -> Result<Option<Place>> {
        if self.at as usize + HEADER_LEN > self.end as usize {
            return Ok(None);
        }
        let mut from = (self.at - self.start) as usize;
        if from + PLACE > self.filled {
            let len = WALK.min((self.end - self.at) as usize);
            self.disk
                .read_exact_at(&self.file, &mut self.block[..len], u64::from(self.at))
                .map_err(|e| Error::io("read", &self.segment.path(SegmentFileKind::Log), e))?;
            (self.start, self.filled, from) = (self.at, len, 0);
        }
        let header = &self.block[from..from + PLACE];
        let base_offset = i64::from_be_bytes(header[0..8].try_into().expect("8 bytes"));
        let length = i32::from_be_bytes(header[8..12].try_into().expect("4 bytes"));
        let delta = i32::from_be_bytes(header[23..27].try_into().expect("4 bytes"));
        let size = u32::try_from(length).ok().map(|n| n + 12).filter(|n| *n as usize >= HEADER_LEN);
        let Some(size) = size.filter(|n| {
            delta >= 0 && header[16] == 2 && u64::from(self.at) + u64::from(*n) <= u64::from(self.end)
        }) else {
            return Err(Error::Corrupt {
                path: self.segment.path(SegmentFileKind::Log),
                position: u64::from(self.at),
                reason: format!(
                    "no batch header there (base offset {base_offset}, length {length}, magic {}, last offset delta {delta})",
                    header[16]
                ),
            });
        };
        let after = match self.last {
            Some(last) => last.span.least_behind(base_offset, || self.is_sound(last))?,
            None => self.segment.base_offset,
        };
        let mut span = Span::new(after, base_offset, delta, self.limit);
        if self.indexed.take().is_some_and(|indexed| span.fits && span.last_offset == indexed) {
            // Two places say so: what is before it does not matter.
            span.after = base_offset;
        }
        let place = Place { span, position: self.at, size };
        self.at += size;
        self.last = Some(place);
        Ok(Some(place))
    }

    fn is_sound(&self, place: Place) -> Result<bool> {
        Ok(crc_matches(&self.segment.read(self.disk, place.position, place.size as usize)?))
    }
}
