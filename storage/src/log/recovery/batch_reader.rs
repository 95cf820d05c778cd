//! A segment file as a sequence of batches, and what comes behind the last one.

use milena_protocol::records::{BatchHeader, HEADER_LEN};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Reads batches of a file in large pieces.
pub(crate) struct BatchReader<'a> {
    file: &'a File,
    length: u64,
    position: u64,
    buffer: Vec<u8>,
    start: usize,
}

/// What comes next in the file.
pub(crate) enum Step<'b> {
    /// A whole batch: its header and all of its bytes.
    Batch(BatchHeader, &'b [u8]),
    /// The file ends behind the last batch.
    End,
    /// Not a whole batch: why, or nothing to say if it is the tail of zeros that a killed broker leaves.
    Tail(String),
}

impl<'a> BatchReader<'a> {
    const PIECE: usize = 1 << 20;

    pub(crate) fn new(file: &'a File, length: u64) -> Self {
        Self { file, length, position: 0, buffer: Vec::new(), start: 0 }
    }

    /// Brings `need` bytes behind `start` into the buffer; false if the file ends before.
    fn fill(&mut self, need: usize) -> io::Result<bool> {
        let have = self.buffer.len() - self.start;
        if have >= need {
            return Ok(true);
        }
        let left = self.length - self.position - have as u64;
        if ((need - have) as u64) > left {
            return Ok(false);
        }
        self.buffer.drain(..self.start);
        self.start = 0;
        let more = (need - have).max(Self::PIECE).min(usize::try_from(left).unwrap_or(usize::MAX));
        self.buffer.resize(have + more, 0);
        self.file.read_exact_at(&mut self.buffer[have..], self.position + have as u64)?;
        Ok(true)
    }

    pub(crate) fn next(&mut self) -> io::Result<Step<'_>> {
        if self.position == self.length {
            return Ok(Step::End);
        }
        if !self.fill(HEADER_LEN)? {
            return Ok(Step::Tail(String::new()));
        }
        let head = &self.buffer[self.start..self.start + HEADER_LEN];
        let ours = head[..17] == crate::log::append::TERMINATOR || head[..17] == [0; 17];
        let header = match BatchHeader::read(head) {
            Ok(header) if !ours => header,
            _ if ours => return Ok(Step::Tail(String::new())),
            Ok(_) => return Ok(Step::End),
            Err(error) => return Ok(Step::Tail(error.to_string())),
        };
        let size = header.size();
        if !self.fill(size)? {
            return Ok(Step::Tail(format!("a batch of {size} bytes that is not all there")));
        }
        let from = self.start;
        self.start += size;
        self.position += size as u64;
        Ok(Step::Batch(header, &self.buffer[from..from + size]))
    }
}
