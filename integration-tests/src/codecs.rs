//! Records as each codec packs them.

use std::io::Write;

/// The codecs, by the number that stands in a batch's attributes.
pub const CODECS: [(i16, &str); 5] = [(0, "none"), (1, "gzip"), (2, "snappy"), (3, "lz4"), (4, "zstd")];

/// `plain` in the codec with this number; as it is if there is none.
///
/// # Panics
/// If `plain` is 4 GiB or more.
#[must_use]
pub fn compress(codec: i16, plain: &[u8]) -> Vec<u8> {
    match codec {
        1 => {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            gzip.write_all(plain).expect("memory");
            gzip.finish().expect("memory")
        }
        2 => {
            let block = snap::raw::Encoder::new().compress_vec(plain).expect("under 4 GiB");
            // Java's stream format: magic, version, compatible version, then blocks with their length.
            let mut out = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
            out.extend_from_slice(&u32::try_from(block.len()).expect("under 4 GiB").to_be_bytes());
            out.extend_from_slice(&block);
            out
        }
        3 => {
            let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
            lz4.write_all(plain).expect("memory");
            lz4.finish().expect("memory")
        }
        4 => zstd::bulk::compress(plain, 3).expect("memory"),
        _ => plain.to_vec(),
    }
}
