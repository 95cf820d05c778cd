//! Tests of the whole module; what concerns one file alone is tested there.

mod batches;
mod codecs;
mod golden;
mod hostile;
mod produce;

use super::{BatchBuilder, BatchHeader, Codec, HEADER_LEN, Level, compute_crc};

/// A small generator of the same numbers on every run (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// Bytes that pack to about half.
    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| b'a' + (self.next() % 16) as u8).collect()
    }

    /// Null now and then.
    fn nullable(&mut self, longest: usize) -> Option<Vec<u8>> {
        if self.below(5) == 0 {
            return None;
        }
        let len = self.below(longest);
        Some(self.bytes(len))
    }
}

/// The bytes of hexadecimal digits; spaces and bars are for the eye.
fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().filter(u8::is_ascii_hexdigit).collect();
    let nibble = |digit: u8| char::from(digit).to_digit(16).unwrap() as u8;
    assert!(digits.len().is_multiple_of(2));
    digits.chunks(2).map(|pair| nibble(pair[0]) << 4 | nibble(pair[1])).collect()
}

/// A batch of a header and any bytes behind it, with the length and CRC that these need.
fn sealed(mut header: BatchHeader, body: &[u8]) -> Vec<u8> {
    header.batch_length = (HEADER_LEN + body.len() - 12) as i32;
    header.crc = compute_crc(&header, body);
    [&header.to_bytes()[..], body].concat()
}

/// A batch of `count` records with keys and values, packed by `codec`.
fn sample(codec: Codec, count: usize, value_len: usize) -> Vec<u8> {
    let mut random = Random(7);
    let mut builder = BatchBuilder::new().compression(codec, Level::default_of(codec));
    for i in 0..count {
        let value = random.bytes(value_len);
        builder.append(NOW + i as i64, Some(format!("key-{i}").as_bytes()), Some(&value), &[]);
    }
    builder.build().unwrap()
}

/// The clock of the tests.
const NOW: i64 = 1_700_000_000_000;
