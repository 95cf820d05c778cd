//! The outgoing side of a connection: inline bytes with file ranges between them, in order.
//!
//! Record bytes of a fetch answer are never copied into the buffer: they stay a range of an open file that the
//! network layer hands to `sendfile`. Everything else is inline.

use bytes::{BufMut, BytesMut};
use std::fs::File;
use std::sync::Arc;

/// A range of an open file whose bytes never change while the range exists.
#[derive(Clone, Debug)]
pub struct FileRange {
    /// The open file; holding it keeps the bytes readable after the file was unlinked.
    pub file: Arc<File>,
    /// First byte.
    pub position: u64,
    /// Number of bytes, at least 1.
    pub len: usize,
}

/// A file range and the inline position in front of which it is sent.
#[derive(Debug)]
pub struct Cut {
    /// Number of inline bytes that go before the range.
    pub at: usize,
    /// What is sent there.
    pub range: FileRange,
}

/// Inline bytes with file ranges between them.
#[derive(Debug, Default)]
pub struct Gather {
    bytes: BytesMut,
    cuts: Vec<Cut>,
}

/// Where a frame began; returned by [`Gather::begin_frame`] and consumed by [`Gather::end_frame`].
#[derive(Debug)]
#[must_use]
pub struct FrameStart {
    at: usize,
    cuts: usize,
}

impl Gather {
    /// Starts a length-prefixed frame; its length is filled in by [`Gather::end_frame`].
    pub fn begin_frame(&mut self) -> FrameStart {
        let start = FrameStart { at: self.bytes.len(), cuts: self.cuts.len() };
        self.bytes.put_i32(0);
        start
    }

    /// Ends the frame: its length counts inline bytes and file ranges.
    ///
    /// # Errors
    /// The length in bytes, if the frame is larger than the protocol can say (2 GiB - 1); the frame is taken back.
    pub fn end_frame(&mut self, start: FrameStart) -> Result<(), usize> {
        let ranges: usize = self.cuts[start.cuts..].iter().map(|c| c.range.len).sum();
        let len = self.bytes.len() - start.at - 4 + ranges;
        let Ok(prefix) = i32::try_from(len) else {
            self.abandon_frame(start);
            return Err(len);
        };
        self.bytes[start.at..start.at + 4].copy_from_slice(&prefix.to_be_bytes());
        Ok(())
    }

    /// Takes back everything since `start`, as if the frame had never begun.
    pub fn abandon_frame(&mut self, start: FrameStart) {
        self.bytes.truncate(start.at);
        self.cuts.truncate(start.cuts);
    }

    /// The inline bytes; messages are encoded into it.
    pub fn bytes_mut(&mut self) -> &mut BytesMut {
        &mut self.bytes
    }

    /// The inline bytes written so far.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The file ranges, in sending order.
    #[must_use]
    pub fn cuts(&self) -> &[Cut] {
        &self.cuts
    }

    /// Puts a file range behind what is there; an empty range is nothing.
    pub fn put_range(&mut self, range: FileRange) {
        if range.len > 0 {
            self.cuts.push(Cut { at: self.bytes.len(), range });
        }
    }

    /// Puts everything of `other` behind what is there.
    pub fn append(&mut self, other: Self) {
        let base = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes);
        self.cuts.extend(other.cuts.into_iter().map(|c| Cut { at: base + c.at, range: c.range }));
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.cuts.is_empty()
    }

    /// Memory that it takes: the inline bytes, and the places of file ranges.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.bytes.len() + size_of_val(self.cuts.as_slice())
    }

    /// Forgets everything, and gives memory back beyond `keep` bytes.
    pub fn clear(&mut self, keep: usize) {
        self.cuts.clear();
        if self.bytes.capacity() > keep {
            self.bytes = BytesMut::new();
        } else {
            self.bytes.clear();
        }
    }
}
