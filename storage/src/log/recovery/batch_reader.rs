//! A segment file as a sequence of batches, and what comes behind the last one.

use crate::log::append::TERMINATOR;
use milena_protocol::records::{BatchHeader, HEADER_LEN};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Reads batches of a file in large pieces.
pub(crate) struct BatchReader<'a> {
    file: &'a File,
    length: u64,
    /// Where the next batch begins.
    position: u64,
    buffer: Vec<u8>,
    /// What of the buffer is filled and not given out yet: the bytes at `position`.
    start: usize,
    end: usize,
}

/// What comes next in the file.
pub(crate) enum Step<'b> {
    /// A whole batch: its header and all of its bytes.
    Batch(BatchHeader, &'b [u8]),
    /// The file ends behind the last batch.
    End,
    /// Not a whole batch: why. It may be the tail that a killed broker leaves ([`is_blank`]).
    Tail(String),
}

impl<'a> BatchReader<'a> {
    /// Small enough to be in the processor's cache when it is looked at.
    const PIECE: usize = 256 << 10;

    /// The batches of the first `length` bytes, from `position` on.
    pub(crate) fn new(file: &'a File, position: u64, length: u64) -> Self {
        Self { file, length, position, buffer: Vec::new(), start: 0, end: 0 }
    }

    /// Where the next batch begins.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Brings `need` bytes behind `start` into the buffer; false if the file ends before.
    fn fill(&mut self, need: usize) -> io::Result<bool> {
        let have = self.end - self.start;
        if have >= need {
            return Ok(true);
        }
        let left = self.length - self.position - have as u64;
        if ((need - have) as u64) > left {
            return Ok(false);
        }
        self.buffer.copy_within(self.start..self.end, 0);
        let wanted = need.max(Self::PIECE);
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted, 0);
        }
        let room = &mut self.buffer[have..];
        let more = room.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        (self.start, self.end) = (0, have);
        self.file.read_exact_at(&mut room[..more], self.position + have as u64)?;
        self.end += more;
        Ok(true)
    }

    pub(crate) fn next(&mut self) -> io::Result<Step<'_>> {
        if self.position == self.length {
            return Ok(Step::End);
        }
        if !self.fill(HEADER_LEN)? {
            return Ok(Step::Tail("a part of a batch header".into()));
        }
        let head = &self.buffer[self.start..self.start + HEADER_LEN];
        let ours = head[..17] == TERMINATOR || head[..17] == [0; 17];
        let header = match BatchHeader::read(head) {
            Ok(header) if !ours => header,
            _ if ours => return Ok(Step::Tail("zeros where a batch is expected".into())),
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

/// Whether the bytes of a file from `from` to `to` are a tail that never held a batch: zeros, or the mark that ends a
/// mapped tail and zeros.
pub(super) fn is_blank(file: &File, from: u64, to: u64) -> io::Result<bool> {
    let (mut piece, mut at) = (vec![0; BatchReader::PIECE], from);
    while at < to {
        let len = piece.len().min(usize::try_from(to - at).unwrap_or(usize::MAX));
        let found = &mut piece[..len];
        file.read_exact_at(found, at)?;
        let marked = if at == from { TERMINATOR.len().min(len) } else { 0 };
        if marked > 0 && found[..marked] == TERMINATOR[..marked] {
            found[..marked].fill(0);
        }
        if found.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        at += len as u64;
    }
    Ok(true)
}
