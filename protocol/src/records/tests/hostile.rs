//! Bytes that mean harm, or mean nothing.

use std::time::{Duration, Instant};

use super::super::{
    BatchBuilder, BatchHeader, Batches, Codec, CompressionError, ControlType, Decoder, EndTransactionMarker,
    HEADER_LEN, KRaftVoters, LeaderChange, Level, RecordError, RecordStream, Records, RejectedKind, Rules,
    StreamError, Target, TimestampType, compress, decompress, validate, validate_up_to, write_varint,
};
use super::{NOW, Random, sample, sealed};

const RULES: Rules = Rules {
    max_message_bytes: 1 << 20,
    compacted: true,
    timestamp_type: TimestampType::CreateTime,
    before_max_ms: i64::MAX,
    after_max_ms: 3_600_000,
    compression: Target::Producer,
};

fn header_of(codec: Codec, count: i32) -> BatchHeader {
    let mut header = BatchHeader {
        record_count: count,
        last_offset_delta: count - 1,
        base_timestamp: NOW,
        max_timestamp: NOW,
        ..BatchHeader::default()
    };
    header.attributes = header.attributes.with_codec(codec);
    header
}

fn packed(codec: Codec, count: i32, plain: &[u8]) -> Vec<u8> {
    sealed(header_of(codec, count), &compress(codec, Level::default_of(codec), plain).unwrap())
}

fn kind(batch: &[u8], rules: &Rules) -> Option<RejectedKind> {
    validate(batch, rules, NOW, 9).err().map(|error| error.kind)
}

#[test]
fn cut_at_every_byte_is_refused_and_resealed_too() {
    for codec in Codec::ALL {
        let batch = sample(codec, 5, 30);
        for cut in 0..batch.len() {
            assert_eq!(kind(&batch[..cut], &RULES), Some(RejectedKind::InvalidRecord), "{codec:?} {cut}");
        }
        let header = BatchHeader::read(&batch).unwrap();
        for cut in HEADER_LEN..batch.len() {
            let resealed = sealed(header, &batch[HEADER_LEN..cut]);
            assert_eq!(kind(&resealed, &RULES), Some(RejectedKind::InvalidRecord), "{codec:?} {cut}");
        }
    }
}

/// Whatever is done to bytes under a right CRC: an answer, no panic, and what is accepted is whole.
#[test]
fn changed_bytes_never_panic() {
    let mut random = Random(21);
    let zstd = Target::Codec(Codec::Zstd, Level::default_of(Codec::Zstd));
    for round in 0..6000 {
        let codec = Codec::ALL[random.below(5)];
        let mut batch = sample(codec, 1 + random.below(6), 20);
        for _ in 0..1 + random.below(4) {
            let at = 21 + random.below(batch.len() - 21);
            batch[at] = random.next() as u8;
        }
        let header = BatchHeader::read(&batch).unwrap();
        let batch = sealed(header, &batch[HEADER_LEN..]);
        let compression = [Target::Producer, Target::Uncompressed, zstd][random.below(3)];
        let rules = Rules { compression, compacted: false, after_max_ms: i64::MAX, ..RULES };
        if let Ok(validated) = validate(&batch, &rules, NOW, 9) {
            let codec = validated.header.attributes.codec().unwrap();
            let plain = decompress(codec, &validated.body, 1 << 24).unwrap();
            let mut records = Records::new(&plain, validated.header.record_count);
            assert!(records.all(|record| record.is_ok()), "round {round}");
            let again = [&validated.header.to_bytes()[..], &validated.body].concat();
            assert!(super::super::crc_matches(&again), "round {round}");
        }
    }
}

#[test]
fn random_bytes_never_panic() {
    let mut random = Random(22);
    for _ in 0..3000 {
        let len = random.below(200);
        let bytes: Vec<u8> = (0..len).map(|_| random.next() as u8).collect();
        for codec in Codec::ALL {
            let _ = decompress(codec, &bytes, 1 << 20);
        }
        let _ = validate(&bytes, &RULES, NOW, 9);
        let _ = Batches::new(&bytes).count();
        let _ = Records::new(&bytes, 10).count();
        let _ = ControlType::from_key(&bytes);
        let _ = EndTransactionMarker::read(&bytes, &bytes);
        let _ = LeaderChange::read(&bytes);
        let _ = KRaftVoters::read(&bytes);
    }
}

#[test]
fn counts_of_billions_end_with_the_bytes() {
    for codec in Codec::ALL {
        let body = &sample(Codec::None, 3, 5)[HEADER_LEN..];
        assert_eq!(
            kind(&packed(codec, i32::MAX, body), &RULES),
            Some(RejectedKind::InvalidRecord),
            "{codec:?}"
        );
        let mut headers = vec![0, 0, 0, 2, b'k', 0];
        write_varint(&mut headers, i32::MAX);
        let mut record = Vec::new();
        write_varint(&mut record, headers.len() as i32);
        record.extend_from_slice(&headers);
        assert_eq!(kind(&packed(codec, 1, &record), &RULES), Some(RejectedKind::InvalidRecord), "{codec:?}");
        let mut long = Vec::new();
        write_varint(&mut long, i32::MAX);
        long.extend_from_slice(&[0; 50]);
        assert_eq!(kind(&packed(codec, 1, &long), &RULES), Some(RejectedKind::InvalidRecord), "{codec:?}");
    }
}

#[test]
fn bombs_end_at_the_limit() {
    let zeros = vec![0; 4 << 20];
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let bomb = compress(codec, Level::default_of(codec), &zeros).unwrap();
        assert!(bomb.len() < zeros.len() / 15);
        let error = decompress(codec, &bomb, 1 << 20).unwrap_err();
        assert!(matches!(error, CompressionError::TooLarge { limit: 1_048_576, .. }), "{error}");
        // Zeros are records of length 0, which is wrong at once; one long record passes by in the window.
        let mut stream = RecordStream::new(Decoder::new(codec, &bomb), 1 << 20);
        assert!(matches!(stream.skim(), Err(StreamError::Record(_))));
        let mut record = Vec::new();
        write_varint(&mut record, zeros.len() as i32);
        record.extend_from_slice(&[0, 0, 0, 1]);
        write_varint(&mut record, zeros.len() as i32 - 9);
        record.extend_from_slice(&zeros[..zeros.len() - 9]);
        record.push(0);
        let bomb = compress(codec, Level::default_of(codec), &record).unwrap();
        let mut stream = RecordStream::new(Decoder::new(codec, &bomb), 1 << 20);
        assert!(matches!(stream.skim(), Err(StreamError::TooLarge(1_048_576))), "{codec:?}");
        let mut stream = RecordStream::new(Decoder::new(codec, &bomb), 1 << 30);
        assert!(!stream.skim().unwrap().has_key);
        stream.finish().unwrap();
    }
}

#[test]
fn a_bomb_may_be_put_off() {
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let mut builder = BatchBuilder::new().compression(codec, Level::default_of(codec));
        builder.append(NOW, Some(b"k"), Some(&vec![0; 3 << 20]), &[]);
        builder.append(NOW, Some(b"k"), Some(b"the last one"), &[]);
        let batch = builder.build().unwrap();
        let whole = validate(&batch, &RULES, NOW, 9).unwrap();
        for (unpacked_max, fits) in [(1, false), (1 << 20, false), (3 << 20, false), (4 << 20, true)] {
            let validated = validate_up_to(&batch, &RULES, NOW, 9, unpacked_max).unwrap();
            assert_eq!(validated, fits.then(|| whole.clone()), "{codec:?} {unpacked_max}");
        }
    }
}

#[test]
fn a_bomb_is_not_packed_further_than_a_message_may_be() {
    let mut builder = BatchBuilder::new().compression(Codec::Zstd, Level::default_of(Codec::Zstd));
    builder.append(NOW, Some(b"k"), Some(&vec![0; 3 << 20]), &[]);
    let batch = builder.build().unwrap();
    assert!(batch.len() < 10_000);
    assert_eq!(kind(&batch, &RULES), None);
    let rules = Rules { compression: Target::Uncompressed, ..RULES };
    assert_eq!(kind(&batch, &rules), Some(RejectedKind::MessageTooLarge));
}

#[test]
fn announced_lengths_reserve_nothing() {
    // A bare snappy block that announces 2 GiB, and a zstd frame that announces a window of 2 GiB.
    let snappy = [0xff, 0xff, 0xff, 0xff, 0x07, 0x00, b'a'];
    assert!(decompress(Codec::Snappy, &snappy, usize::MAX).is_err());
    let zstd = [0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00];
    assert!(decompress(Codec::Zstd, &zstd, usize::MAX).is_err());
}

#[test]
fn long_records_are_checked_field_by_field() {
    // A value that ends one byte before the record does, and one that goes on behind it.
    for (off_by, trailing) in [(-1i32, false), (1, false), (0, true), (0, false)] {
        let mut fields = vec![0, 0, 0, 1];
        write_varint(&mut fields, 200_000);
        fields.extend(std::iter::repeat_n(b'v', 200_000));
        fields.extend_from_slice(&[2, 2, b'h', 1]);
        let mut plain = Vec::new();
        write_varint(&mut plain, fields.len() as i32 + off_by);
        plain.extend_from_slice(&fields);
        if trailing {
            plain.push(0);
        }
        let mut stream = RecordStream::new(&plain[..], u64::MAX);
        let result = stream.skim();
        match (off_by, trailing) {
            (0, false) => {
                result.unwrap();
                stream.finish().unwrap();
            }
            (0, true) => {
                result.unwrap();
                let error = stream.finish().unwrap_err();
                assert!(matches!(error, StreamError::Record(RecordError::TrailingBytes(1))));
            }
            _ => assert!(matches!(result, Err(StreamError::Record(_))), "{off_by} {result:?}"),
        }
    }
}

/// The walk through the window sees what the walk over bytes sees, wherever records fall in it.
#[test]
fn both_walks_agree() {
    let mut random = Random(23);
    for _ in 0..30 {
        let mut builder = BatchBuilder::new();
        for _ in 0..40 {
            let longest = [10, 1000, 70_000][random.below(3)];
            let (key, value) = (random.nullable(50), random.nullable(longest));
            builder.append(NOW + random.below(9) as i64, key.as_deref(), value.as_deref(), &[]);
        }
        let batch = builder.build().unwrap();
        let mut stream = RecordStream::new(&batch[HEADER_LEN..], u64::MAX);
        for record in Records::new(&batch[HEADER_LEN..], 40) {
            let (record, skimmed) = (record.unwrap(), stream.skim().unwrap());
            assert_eq!(skimmed.offset_delta, record.offset_delta);
            assert_eq!(skimmed.timestamp_delta, record.timestamp_delta);
            assert_eq!(skimmed.has_key, record.key.is_some());
        }
        stream.finish().unwrap();
    }
}

/// Prints the cost of the uncompressed path; with optimisation a record should cost about 7 ns and the CRC what
/// memory does.
#[test]
#[ignore = "prints timings"]
fn measure() {
    for (codec, count, value_len) in [
        (Codec::None, 10_000, 10),
        (Codec::None, 1000, 100),
        (Codec::None, 100, 10_000),
        (Codec::Lz4, 1000, 100),
        (Codec::Snappy, 1000, 100),
        (Codec::Zstd, 1000, 100),
        (Codec::Gzip, 1000, 100),
    ] {
        let batch = sample(codec, count, value_len);
        for timestamp_type in [TimestampType::CreateTime, TimestampType::LogAppendTime] {
            let rules = Rules { timestamp_type, max_message_bytes: 1 << 24, ..RULES };
            let rounds = 1 + if codec == Codec::None { 500_000 } else { 50_000 } / count;
            let total = fastest(rounds, || {
                std::hint::black_box(validate(std::hint::black_box(&batch), &rules, NOW, 9).unwrap());
            });
            let crc = fastest(rounds, || {
                std::hint::black_box(crc32c::crc32c(std::hint::black_box(&batch)));
            });
            let each = (total.saturating_sub(crc)).as_nanos() as f64 / count as f64;
            println!(
                "{codec:?} {count} x {value_len} {timestamp_type:?}: {total:?}, of it CRC {crc:?}, {each:.1} ns a record"
            );
        }
    }
}

/// The shortest of many runs: the others were interrupted.
fn fastest(rounds: usize, mut run: impl FnMut()) -> Duration {
    let one = |_| {
        let start = Instant::now();
        run();
        start.elapsed()
    };
    (0..rounds).map(one).min().unwrap_or_default()
}
