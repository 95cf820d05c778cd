//! The LZ4 frame format as far as Kafka's Java clients read it, so that nothing gets into a log that they cannot
//! get out: version 1, independent blocks, no dictionary, one frame.
//!
//! ```text
//!  04 22 4d 18 | FLG | BD | [u64 content size] | descriptor check | { u32 size (high bit: stored plain) block
//!  [u32 block check] }… | 00 00 00 00 | [u32 content check]
//! ```
//!
//! All numbers are little-endian. The content check is not verified, in Kafka neither: the batch has a CRC.

use std::io::{self, Read};

use lz4_flex::block::{DecompressError, decompress_into};

use super::super::scratch::Scratch;
use super::{invalid, take, take_slice};

const MAGIC: u32 = 0x184D_2204;
const STORED_PLAIN: u32 = 0x8000_0000;
/// Room for the first block; it grows to the frame's maximum only when a block needs it.
const FIRST_ROOM: usize = 64 * 1024;

const FLG_VERSION_MASK: u8 = 0xc0;
const FLG_VERSION_1: u8 = 0x40;
const FLG_INDEPENDENT: u8 = 0x20;
const FLG_BLOCK_CHECK: u8 = 0x10;
const FLG_CONTENT_SIZE: u8 = 0x08;
const FLG_CONTENT_CHECK: u8 = 0x04;
const FLG_RESERVED: u8 = 0x03;

/// Unpacks block by block.
pub(super) struct Lz4Reader<'a> {
    packed: &'a [u8],
    state: State,
    flags: u8,
    max_block: usize,
    block: Scratch,
    start: usize,
    end: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Descriptor,
    Blocks,
    End,
}

impl<'a> Lz4Reader<'a> {
    pub(super) fn new(packed: &'a [u8]) -> Self {
        let block = Scratch::take();
        Self { packed, state: State::Descriptor, flags: 0, max_block: 0, block, start: 0, end: 0 }
    }

    fn read_descriptor(&mut self) -> io::Result<()> {
        if u32::from_le_bytes(take(&mut self.packed)?) != MAGIC {
            return Err(invalid("not an LZ4 frame"));
        }
        let descriptor = self.packed;
        let [flags, block_descriptor] = take(&mut self.packed)?;
        if flags & FLG_VERSION_MASK != FLG_VERSION_1 || flags & FLG_RESERVED != 0 {
            return Err(invalid("an LZ4 frame of an unknown version or with a dictionary"));
        }
        if flags & FLG_INDEPENDENT == 0 {
            return Err(invalid("LZ4 blocks that depend on each other are not supported"));
        }
        self.max_block = match block_descriptor {
            0x40 => 64 * 1024,
            0x50 => 256 * 1024,
            0x60 => 1024 * 1024,
            0x70 => 4 * 1024 * 1024,
            _ => return Err(invalid("an LZ4 frame of an unknown block size")),
        };
        let mut checked = 2;
        if flags & FLG_CONTENT_SIZE != 0 {
            let _size: [u8; 8] = take(&mut self.packed)?;
            checked += 8;
        }
        let [check] = take(&mut self.packed)?;
        if check != (xxh32(&descriptor[..checked]) >> 8) as u8 {
            return Err(invalid("the LZ4 frame descriptor's check is wrong"));
        }
        self.flags = flags;
        self.state = State::Blocks;
        Ok(())
    }

    /// Unpacks the next block, or finds the end.
    fn next_block(&mut self) -> io::Result<bool> {
        match self.state {
            State::Descriptor => self.read_descriptor()?,
            State::Blocks => {}
            State::End => return Ok(false),
        }
        let word = u32::from_le_bytes(take(&mut self.packed)?);
        let size = (word & !STORED_PLAIN) as usize;
        if size == 0 {
            if self.flags & FLG_CONTENT_CHECK != 0 {
                let _check: [u8; 4] = take(&mut self.packed)?;
            }
            self.state = State::End;
            return Ok(false);
        }
        if size > self.max_block {
            return Err(invalid("an LZ4 block is larger than its frame allows"));
        }
        let block = take_slice(&mut self.packed, size)?;
        if self.flags & FLG_BLOCK_CHECK != 0 && xxh32(block) != u32::from_le_bytes(take(&mut self.packed)?) {
            return Err(invalid("an LZ4 block's check is wrong"));
        }
        self.start = 0;
        if word & STORED_PLAIN != 0 {
            self.block.grow(size);
            self.block[..size].copy_from_slice(block);
            self.end = size;
        } else {
            self.end = self.unpack(block)?;
        }
        Ok(true)
    }

    fn unpack(&mut self, block: &[u8]) -> io::Result<usize> {
        self.block.grow(FIRST_ROOM);
        loop {
            let room = self.block.len().min(self.max_block);
            match decompress_into(block, &mut self.block[..room]) {
                Ok(n) => return Ok(n),
                Err(DecompressError::OutputTooSmall { .. }) if room < self.max_block => {
                    self.block.grow((room * 4).min(self.max_block));
                }
                Err(error) => return Err(invalid(error)),
            }
        }
    }
}

impl Read for Lz4Reader<'_> {
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

const PRIMES: [u32; 5] = [0x9E37_79B1, 0x85EB_CA77, 0xC2B2_AE3D, 0x27D4_EB2F, 0x1656_67B1];

/// xxHash32 with seed 0, the format's checksum.
fn xxh32(bytes: &[u8]) -> u32 {
    let [p1, p2, p3, p4, p5] = PRIMES;
    let (stripes, tail) = bytes.as_chunks::<16>();
    let mut hash = if stripes.is_empty() {
        p5
    } else {
        let mut lanes = [p1.wrapping_add(p2), p2, 0, 0u32.wrapping_sub(p1)];
        for stripe in stripes {
            for (lane, word) in lanes.iter_mut().zip(stripe.as_chunks::<4>().0) {
                let mixed = lane.wrapping_add(u32::from_le_bytes(*word).wrapping_mul(p2));
                *lane = mixed.rotate_left(13).wrapping_mul(p1);
            }
        }
        let turns = [1, 7, 12, 18];
        lanes.iter().zip(turns).fold(0u32, |sum, (lane, turn)| sum.wrapping_add(lane.rotate_left(turn)))
    };
    hash = hash.wrapping_add(bytes.len() as u32);
    let (words, rest) = tail.as_chunks::<4>();
    for word in words {
        hash = hash.wrapping_add(u32::from_le_bytes(*word).wrapping_mul(p3)).rotate_left(17).wrapping_mul(p4);
    }
    for byte in rest {
        hash = hash.wrapping_add(u32::from(*byte).wrapping_mul(p5)).rotate_left(11).wrapping_mul(p1);
    }
    hash = (hash ^ hash >> 15).wrapping_mul(p2);
    hash = (hash ^ hash >> 13).wrapping_mul(p3);
    hash ^ hash >> 16
}

#[cfg(test)]
mod tests {
    use super::xxh32;

    #[test]
    fn xxh32_gives_the_published_values() {
        assert_eq!(xxh32(b""), 0x02CC_5D05);
        assert_eq!(xxh32(b"a"), 0x550D_7456);
        assert_eq!(xxh32(b"abc"), 0x32D1_53FF);
        assert_eq!(xxh32(b"Nobody inspects the spammish repetition"), 0xE229_3B2F);
    }
}
