//! Snappy as snappy-java's streams frame it, and as one bare block.
//!
//! ```text
//!  82 53 4e 41 50 50 59 00 | i32 version 1 | i32 compatible from 1 | { i32 length, raw snappy block }…
//! ```

use std::io::{self, Read};

use snap::raw::{Decoder, Encoder, decompress_len, max_compress_len};

use super::super::scratch::Scratch;
use super::{invalid, take, take_slice};

const MAGIC: [u8; 8] = *b"\x82SNAPPY\0";
/// What a block holds where it is written here; snappy-java's default.
const BLOCK: usize = 32 * 1024;
/// The densest element of the format makes 64 bytes of 3.
const EXPANSION: usize = 22;

/// Unpacks block by block.
pub(super) struct SnappyReader<'a> {
    packed: &'a [u8],
    framing: Framing,
    block: Scratch,
    start: usize,
    end: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Framing {
    Unknown,
    Blocks,
    /// The one bare block has been read.
    Bare,
}

impl<'a> SnappyReader<'a> {
    pub(super) fn new(packed: &'a [u8]) -> Self {
        Self { packed, framing: Framing::Unknown, block: Scratch::take(), start: 0, end: 0 }
    }

    /// Unpacks the next block, or finds the end.
    fn next_block(&mut self) -> io::Result<bool> {
        if self.framing == Framing::Unknown {
            if !self.packed.starts_with(&MAGIC) {
                self.framing = Framing::Bare;
                let all = std::mem::take(&mut self.packed);
                self.unpack(all)?;
                return Ok(true);
            }
            self.framing = Framing::Blocks;
        }
        // Streams may follow each other: a header stands where a length could.
        while self.packed.starts_with(&MAGIC) {
            let _magic_and_versions: [u8; 16] = take(&mut self.packed)?;
        }
        // Less than a length at the end is passed over, as in snappy-java.
        if self.packed.len() < 4 {
            return Ok(false);
        }
        let length = i32::from_be_bytes(take(&mut self.packed)?);
        let length = usize::try_from(length).map_err(|_| invalid("a block of negative length"))?;
        let block = take_slice(&mut self.packed, length)?;
        self.unpack(block)?;
        Ok(true)
    }

    fn unpack(&mut self, block: &[u8]) -> io::Result<()> {
        let length = decompress_len(block).map_err(invalid)?;
        if length > block.len().saturating_mul(EXPANSION) {
            return Err(invalid("a block announces more than it can hold"));
        }
        self.block.grow(length);
        self.start = 0;
        self.end = Decoder::new().decompress(block, &mut self.block[..length]).map_err(invalid)?;
        Ok(())
    }
}

impl Read for SnappyReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.start == self.end {
            if out.is_empty() || !self.next_block()? {
                return Ok(0);
            }
        }
        let n = (&self.block[self.start..self.end]).read(out)?;
        self.start += n;
        Ok(n)
    }
}

/// Writes snappy-java's framing.
pub(super) struct SnappyWriter {
    out: Vec<u8>,
    plain: Vec<u8>,
    encoder: Encoder,
}

impl SnappyWriter {
    pub(super) fn new(mut out: Vec<u8>) -> Self {
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&1i32.to_be_bytes());
        out.extend_from_slice(&1i32.to_be_bytes());
        Self { out, plain: Vec::new(), encoder: Encoder::new() }
    }

    pub(super) fn written(&self) -> usize {
        self.out.len()
    }

    pub(super) fn write(&mut self, plain: &[u8]) -> io::Result<usize> {
        let n = plain.len().min(BLOCK - self.plain.len());
        self.plain.extend_from_slice(&plain[..n]);
        if self.plain.len() == BLOCK {
            self.pack()?;
        }
        Ok(n)
    }

    pub(super) fn finish(mut self) -> io::Result<Vec<u8>> {
        if !self.plain.is_empty() {
            self.pack()?;
        }
        Ok(self.out)
    }

    fn pack(&mut self) -> io::Result<()> {
        let at = self.out.len();
        self.out.resize(at + 4 + max_compress_len(self.plain.len()), 0);
        let n = self.encoder.compress(&self.plain, &mut self.out[at + 4..]).map_err(invalid)?;
        self.out.truncate(at + 4 + n);
        self.out[at..at + 4].copy_from_slice(&(n as u32).to_be_bytes());
        self.plain.clear();
        Ok(())
    }
}
