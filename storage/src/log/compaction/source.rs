//! The batches of a closed segment, read in large pieces and checked.

use crate::error::{Error, Result};
use crate::file::Disk;
use crate::file_name::SegmentFileKind;
use crate::segment::Segment;
use milena_protocol::records::{BatchHeader, HEADER_LEN, crc_matches};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

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
    end: u64,
    piece: usize,
}

impl<'a> Source<'a> {
    /// `piece`: bytes that one read brings in.
    pub(super) fn new(segment: &'a Segment, disk: &Disk, from: u32, piece: usize) -> Result<Self> {
        Ok(Self {
            segment,
            file: segment.file(disk)?,
            buffer: Vec::new(),
            at: u64::from(from),
            passed: 0,
            current: u64::from(from),
            end: u64::from(segment.published().position),
            piece: piece.max(HEADER_LEN),
        })
    }

    /// The next batch with all its bytes; its CRC is right.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if there is something else, [`Error::Io`].
    pub(super) fn next(&mut self) -> Result<Option<(BatchHeader, &[u8])>> {
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
        if !crc_matches(&self.buffer[batch.clone()]) {
            return Err(
                self.corrupt(format!("the CRC of the batch at offset {} is wrong", header.base_offset))
            );
        }
        if header.last_offset_delta < 0 || header.record_count < 0 {
            return Err(self.corrupt(format!("the batch at offset {} makes no sense", header.base_offset)));
        }
        self.passed = batch.end;
        Ok(Some((header, &self.buffer[batch])))
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
