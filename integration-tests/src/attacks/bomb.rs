//! Batches of a few hundred KiB at most that unpack to very much.

use crate::codecs;
use crate::records::{Batch, put_varint};
use std::io::{Read, copy, repeat};

/// A batch of one record whose value is `len` zeros, in every codec. Where so many would not go into a message of a MiB, as
/// many as do: gzip makes a byte of a thousand at best, snappy of twenty, lz4 of 250.
///
/// # Panics
/// If a codec fails, which it does not in memory.
#[must_use]
pub(super) fn all(len: usize) -> Vec<Vec<u8>> {
    [(1, 512 << 20), (2, 16 << 20), (3, 200 << 20), (4, usize::MAX)]
        .map(|(codec, max)| {
            let packed = pack(codec, len.min(max));
            let bomb = Batch { attributes: codec, ..Batch::of([""]) }.encode_with(&packed);
            assert!(bomb.len() < 1 << 20, "{} bytes in codec {codec}", bomb.len());
            bomb
        })
        .to_vec()
}

fn pack(codec: i16, len: usize) -> Vec<u8> {
    let mut head = vec![0, 0, 0];
    put_varint(&mut head, -1);
    put_varint(&mut head, i64::try_from(len).expect("a length"));
    let mut record = Vec::new();
    // One byte more for the number of headers.
    put_varint(&mut record, i64::try_from(head.len() + len + 1).expect("a length"));
    record.extend(head);
    let mut plain = record.as_slice().chain(repeat(0).take(len as u64 + 1));
    match codec {
        1 => {
            let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            copy(&mut plain, &mut packer).expect("memory");
            packer.finish().expect("memory")
        }
        3 => {
            let mut packer = lz4_flex::frame::FrameEncoder::new(Vec::new());
            copy(&mut plain, &mut packer).expect("memory");
            packer.finish().expect("memory")
        }
        4 => {
            let mut packer = zstd::Encoder::new(Vec::new(), 1).expect("an encoder");
            copy(&mut plain, &mut packer).expect("memory");
            packer.finish().expect("memory")
        }
        // One block of snappy, which has to be unpacked as a whole.
        _ => {
            let mut all = Vec::new();
            plain.read_to_end(&mut all).expect("memory");
            codecs::compress(codec, &all)
        }
    }
}
