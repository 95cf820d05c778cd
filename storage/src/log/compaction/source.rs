//! The batches of a closed segment, read in large pieces and checked.

use crate::error::{Error, Result};
use crate::file::Disk;
use crate::file_name::SegmentFileKind;
use crate::segment::Segment;
use milena_protocol::records::{BatchHeader, HEADER_LEN, crc_matches};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

/// What a walk over a segment comes to.
pub(super) enum Piece<'a> {
    /// A batch with all its bytes; its CRC is right.
    Batch(BatchHeader, &'a [u8]),
    /// Bytes that were one, of which only the frame can be believed: where it begins and ends, and its base offset. The
    /// header says no more than that.
    Damaged(BatchHeader, &'a [u8]),
}

/// Walks a segment from a position to its end.
pub(super) struct Source<'a> {
    segment: &'a Segment,
    file: Arc<File>,
    buffer: Vec<u8>,
    /// Where in the file the buffer starts, and how much of it the walk has passed.
    at: u64,
    passed: usize,
    /// Where the batch begins that was asked for last.
    current: u64,
    /// The offset behind the last batch.
    next_offset: i64,
    end: u64,
    piece: usize,
}

impl<'a> Source<'a> {
    /// `piece`: bytes that one read brings in.
    pub(super) fn new(segment: &'a Segment, disk: &Disk, from: u32, piece: usize) -> Result<Self> {
        Ok(Self {
            segment,
            file: segment.file_for_once(disk)?,
            buffer: Vec::new(),
            at: u64::from(from),
            passed: 0,
            current: u64::from(from),
            next_offset: segment.base_offset,
            end: u64::from(segment.published().position),
            piece: piece.max(HEADER_LEN),
        })
    }

    /// The next batch.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if nobody can tell where it ends, [`Error::Io`].
    pub(super) fn next(&mut self) -> Result<Option<Piece<'_>>> {
        self.current = self.at + self.passed as u64;
        if self.current == self.end {
            return Ok(None);
        }
        self.fill(HEADER_LEN)?;
        let header =
            BatchHeader::read(&self.buffer[self.passed..]).map_err(|e| self.corrupt(e.to_string()))?;
        let size = header.size();
        self.fill(size)?;
        let batch = self.passed..self.passed + size;
        if header.base_offset < self.next_offset {
            return Err(self.corrupt(format!("the offset {} comes twice", header.base_offset)));
        }
        // Its keys would pass for newer than those of later segments.
        if header.base_offset >= self.segment.limit() {
            return Err(self.corrupt(format!("the offset {} is beyond the segment", header.base_offset)));
        }
        let bytes = &self.buffer[batch.clone()];
        let is_sound = crc_matches(bytes) && header.last_offset_delta >= 0 && header.record_count >= 0;
        self.passed = batch.end;
        if is_sound {
            self.next_offset = header.next_offset();
            return Ok(Some(Piece::Batch(header, bytes)));
        }
        self.next_offset = header.base_offset + 1;
        let frame = BatchHeader {
            base_offset: header.base_offset,
            batch_length: header.batch_length,
            last_offset_delta: 0,
            ..BatchHeader::default()
        };
        Ok(Some(Piece::Damaged(frame, bytes)))
    }

    /// Where the batch is that was asked for last.
    pub(super) fn place(&self) -> String {
        format!("{} at byte {}", self.segment.path(SegmentFileKind::Log).display(), self.current)
    }

    /// An error about the batch that was asked for last.
    pub(super) fn corrupt(&self, reason: String) -> Error {
        let path = self.segment.path(SegmentFileKind::Log);
        Error::Corrupt { path, position: self.current, reason }
    }

    /// Brings `need` bytes behind what was passed into the buffer.
    fn fill(&mut self, need: usize) -> Result<()> {
        let have = self.buffer.len() - self.passed;
        if have >= need {
            return Ok(());
        }
        let left = self.end - self.at - self.buffer.len() as u64;
        if (need - have) as u64 > left {
            return Err(self.corrupt(format!("a batch of {need} bytes is not all there")));
        }
        self.buffer.drain(..self.passed);
        self.at += self.passed as u64;
        self.passed = 0;
        // A batch that is larger than a piece leaves a large buffer, which goes with the segment.
        let more = (need - have).max(self.piece.saturating_sub(have)).min(left as usize);
        self.buffer.resize(have + more, 0);
        self.file
            .read_exact_at(&mut self.buffer[have..], self.at + have as u64)
            .map_err(|e| Error::io("read", &self.segment.path(SegmentFileKind::Log), e))
    }
}
