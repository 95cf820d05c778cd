//! Packing and unpacking.

use std::io::{Read, Write};

use super::super::{Codec, CompressionError, Decoder, Encoder, InvalidLevel, Level, compress, decompress};
use super::{Random, hex};

const PACKED: [Codec; 4] = [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

#[test]
fn all_sizes_come_back() {
    let mut random = Random(1);
    for codec in Codec::ALL {
        for len in [0, 1, 100, 32_767, 32_768, 32_769, 65_536, 65_537, 300_000] {
            let plain = random.bytes(len);
            let packed = compress(codec, Level::default_of(codec), &plain).unwrap();
            assert!(decompress(codec, &packed, len).unwrap() == plain, "{codec:?} {len}");
            if len > 0 {
                let error = decompress(codec, &packed, len - 1).unwrap_err();
                assert!(
                    matches!(error, CompressionError::TooLarge { limit, .. } if limit == len - 1),
                    "{error}"
                );
            }
        }
    }
}

#[test]
fn bytes_that_do_not_pack_come_back() {
    let mut random = Random(2);
    let plain: Vec<u8> = (0..200_000).map(|_| random.next() as u8).collect();
    for codec in PACKED {
        let packed = compress(codec, Level::default_of(codec), &plain).unwrap();
        assert!(decompress(codec, &packed, plain.len()).unwrap() == plain, "{codec:?}");
    }
}

#[test]
fn written_and_read_in_any_pieces() {
    let mut random = Random(3);
    let plain = random.bytes(150_000);
    for codec in Codec::ALL {
        let mut encoder = Encoder::new(codec, Level::default_of(codec), b"front".to_vec()).unwrap();
        let mut rest = &plain[..];
        while !rest.is_empty() {
            let n = (1 + random.below(5000)).min(rest.len());
            encoder.write_all(&rest[..n]).unwrap();
            rest = &rest[n..];
        }
        let packed = encoder.finish().unwrap();
        let mut decoder = Decoder::new(codec, packed.strip_prefix(b"front").unwrap());
        let mut found = Vec::new();
        let mut piece = [0; 700];
        loop {
            let len = 1 + random.below(piece.len());
            let n = decoder.read(&mut piece[..len]).unwrap();
            found.extend_from_slice(&piece[..n]);
            if n == 0 {
                break;
            }
        }
        assert!(found == plain, "{codec:?}");
    }
}

#[test]
fn framing_is_kafkas() {
    let packed = |codec| compress(codec, Level::default_of(codec), b"some bytes, some bytes").unwrap();
    assert!(packed(Codec::Snappy).starts_with(&hex("82534e41505059 00 00000001 00000001 000000")));
    // Version 1, independent blocks, no checks; blocks of 64 KiB.
    assert!(packed(Codec::Lz4).starts_with(&hex("04224d18 60 40 82")));
    assert!(packed(Codec::Lz4).ends_with(&[0; 4]));
    assert!(packed(Codec::Gzip).starts_with(&hex("1f8b08")));
    assert!(packed(Codec::Zstd).starts_with(&hex("28b52ffd")));
}

#[test]
fn a_bare_snappy_block_is_read() {
    let plain = Random(4).bytes(100_000);
    let packed = snap::raw::Encoder::new().compress_vec(&plain).unwrap();
    assert!(decompress(Codec::Snappy, &packed, plain.len()).unwrap() == plain);
}

#[test]
fn lz4_frames_with_all_checks_are_read() {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
    let plain = Random(4).bytes(700_000);
    for size in [BlockSize::Max64KB, BlockSize::Max256KB, BlockSize::Max1MB, BlockSize::Max4MB] {
        for checks in [false, true] {
            let info = FrameInfo::new()
                .block_size(size)
                .block_checksums(checks)
                .content_checksum(checks)
                .content_size(checks.then_some(plain.len() as u64));
            let mut encoder = FrameEncoder::with_frame_info(info.clone(), Vec::new());
            encoder.write_all(&plain).unwrap();
            let mut packed = encoder.finish().unwrap();
            assert!(decompress(Codec::Lz4, &packed, plain.len()).unwrap() == plain);
            if checks {
                let at = packed.len() / 2;
                packed[at] ^= 1;
                assert!(decompress(Codec::Lz4, &packed, plain.len()).is_err());
            }
            let mut linked = FrameEncoder::with_frame_info(info.block_mode(BlockMode::Linked), Vec::new());
            linked.write_all(&plain).unwrap();
            let packed = linked.finish().unwrap();
            let error = decompress(Codec::Lz4, &packed, plain.len()).unwrap_err();
            assert!(error.to_string().contains("depend"), "{error}");
        }
    }
}

#[test]
fn several_frames_in_a_row() {
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Zstd] {
        let one = |plain: &[u8]| compress(codec, Level::default_of(codec), plain).unwrap();
        let packed = [one(b"one "), one(b""), one(b"two")].concat();
        assert_eq!(decompress(codec, &packed, 100).unwrap(), b"one two", "{codec:?}");
    }
}

#[test]
fn cut_anywhere_is_an_error_or_the_start() {
    let plain = Random(5).bytes(40_000);
    for codec in PACKED {
        let packed = compress(codec, Level::default_of(codec), &plain).unwrap();
        for cut in (0..packed.len()).step_by(1 + packed.len() / 500) {
            if let Ok(found) = decompress(codec, &packed[..cut], plain.len()) {
                // snappy-java's framing has no end mark: a stream may end between blocks.
                assert_eq!(codec, Codec::Snappy, "{cut}");
                assert!(found.len() < plain.len() && plain.starts_with(&found));
            }
        }
    }
}

#[test]
fn levels_are_those_of_kafka() {
    let valid = [
        (Codec::None, 0),
        (Codec::Gzip, -1),
        (Codec::Gzip, 1),
        (Codec::Gzip, 9),
        (Codec::Lz4, 1),
        (Codec::Lz4, 17),
        (Codec::Zstd, -131_072),
        (Codec::Zstd, 22),
    ];
    let plain = b"abcabcabcabcabc";
    for (codec, level) in valid {
        let level = Level::new(codec, level).unwrap();
        let packed = compress(codec, level, plain).unwrap();
        assert_eq!(decompress(codec, &packed, 15).unwrap(), plain);
    }
    let invalid = [(Codec::Gzip, 0), (Codec::Gzip, 10), (Codec::Lz4, 0), (Codec::Lz4, 18), (Codec::Zstd, 23)];
    for (codec, level) in invalid {
        assert_eq!(Level::new(codec, level), Err(InvalidLevel { codec, level }));
    }
    for codec in Codec::ALL {
        let default = Level::default_of(codec);
        assert_eq!(Level::new(codec, default.get()), Ok(default));
        assert_eq!(Codec::from_name(codec.name()), Some(codec));
    }
}

#[test]
fn a_better_level_packs_better() {
    let mut random = Random(6);
    let words: Vec<_> = (0..50).map(|_| random.bytes(7)).collect();
    let plain: Vec<u8> = (0..20_000).flat_map(|_| words[random.below(50)].clone()).collect();
    for (codec, low, high) in [(Codec::Gzip, 1, 9), (Codec::Zstd, 1, 19)] {
        let len = |level| compress(codec, Level::new(codec, level).unwrap(), &plain).unwrap().len();
        assert!(len(high) < len(low), "{codec:?}");
    }
}
