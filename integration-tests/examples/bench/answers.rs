//! Response frames as they come, several in one read.

use std::io::Read;
use std::net::TcpStream;

/// What was read and is not a whole frame yet.
#[derive(Default)]
pub(super) struct Answers {
    buffer: Vec<u8>,
    filled: usize,
}

impl Answers {
    /// Reads once, or until a frame is whole: how many were.
    pub(super) fn read(&mut self, stream: &mut TcpStream, mut each: impl FnMut(&[u8])) -> usize {
        self.buffer.resize(self.buffer.len().max(64 << 10), 0);
        let mut count = 0;
        while count == 0 {
            let got = stream.read(&mut self.buffer[self.filled..]).expect("the broker answers");
            assert!(got > 0, "the broker closed the connection");
            self.filled += got;
            let mut at = 0;
            while let Some(prefix) = self.buffer[at..self.filled].first_chunk::<4>() {
                let end = at + 4 + u32::from_be_bytes(*prefix) as usize;
                if end > self.filled {
                    self.buffer.resize(self.buffer.len().max(end - at), 0);
                    break;
                }
                each(&self.buffer[at + 4..end]);
                count += 1;
                at = end;
            }
            self.buffer.copy_within(at..self.filled, 0);
            self.filled -= at;
        }
        count
    }
}

/// The error code that stands at a place of an answer.
pub(super) fn error_of(answer: &[u8], at: usize) -> i16 {
    i16::from_be_bytes([answer[at], answer[at + 1]])
}
