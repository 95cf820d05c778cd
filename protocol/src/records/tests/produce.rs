//! What [`validate`] makes of requests, beside what Kafka made of them.

use std::borrow::Cow;

use super::super::{
    Attributes, BatchHeader, Codec, HEADER_LEN, Level, RecordRejection, Records, RejectedKind, Rules, Target,
    TimestampType, Validated, compute_crc, crc_matches, decompress, validate,
};
use super::{NOW, Random, hex, sample, sealed};
use crate::records::BatchBuilder;

const RULES: Rules = Rules {
    max_message_bytes: 1_048_588,
    compacted: false,
    timestamp_type: TimestampType::CreateTime,
    before_max_ms: i64::MAX,
    after_max_ms: 3_600_000,
    compression: Target::Producer,
};

/// Requests with the answers of Kafka 4.1.1, taken from a running one.
const KAFKA: &str = include_str!("kafka-4.1.1-produce.txt");

/// Where Kafka answers UNKNOWN_SERVER_ERROR and we accept: it cannot rebuild a batch that it has only skimmed.
const REBUILT_HERE: [&str; 3] = ["gzip gap", "gzip desc", "gzip record attr gap"];
/// Kafka takes a compressed record whose length is not that of its fields, and no consumer can read it.
const STRICTER_HERE: [&str; 1] = ["gzip wrong record length"];

struct Case<'a> {
    name: &'a str,
    version: i16,
    code: i16,
    log_append_time: i64,
    named: Vec<i32>,
    request: Vec<u8>,
    stored: Vec<u8>,
    rules: Rules,
}

fn kafka_cases() -> (i64, Vec<Case<'static>>) {
    let clock = KAFKA.lines().next().unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    let cases = KAFKA.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let columns: Vec<_> = line.split('|').collect();
        let [name, topic, version, code, time, named, request, stored] = columns[..] else {
            panic!("{line}")
        };
        Case {
            name,
            version: version.parse().unwrap(),
            code: code.parse().unwrap(),
            log_append_time: time.parse().unwrap(),
            named: named
                .split(',')
                .filter(|index| !index.is_empty())
                .map(|index| index.parse().unwrap())
                .collect(),
            request: hex(request),
            stored: hex(stored),
            rules: rules_of(topic),
        }
    });
    (clock, cases.collect())
}

fn rules_of(topic: &str) -> Rules {
    let gzip = Target::Codec(Codec::Gzip, Level::default_of(Codec::Gzip));
    match topic {
        "plain" => RULES,
        "lat" => Rules { timestamp_type: TimestampType::LogAppendTime, ..RULES },
        "compact" => Rules { compacted: true, ..RULES },
        "gz" => Rules { compression: gzip, ..RULES },
        "gzlat" => Rules { compression: gzip, timestamp_type: TimestampType::LogAppendTime, ..RULES },
        "none" => Rules { compression: Target::Uncompressed, ..RULES },
        "small" => Rules { max_message_bytes: 200, ..RULES },
        "before" => Rules { before_max_ms: 1000, ..RULES },
        other => panic!("{other}"),
    }
}

#[test]
fn answers_are_kafkas() {
    let (clock, cases) = kafka_cases();
    assert!(cases.len() > 100);
    for case in cases {
        let now = if case.log_append_time >= 0 { case.log_append_time } else { clock };
        let ours = validate(&case.request, &case.rules, now, case.version);
        let code = ours.as_ref().err().map_or(0, |rejected| rejected.kind.code());
        let expected = match (case.code, case.name) {
            (-1, name) if REBUILT_HERE.contains(&name) => 0,
            (-1, "to gzip negative") => 32,
            (0, name) if STRICTER_HERE.contains(&name) => 87,
            (-1, _) => 87,
            (code, _) => code,
        };
        assert_eq!(code, expected, "{}: {ours:?}", case.name);
        match ours {
            Ok(validated) if case.code == 0 => assert_stored(&case, &validated),
            Ok(_) => {}
            Err(rejected) => {
                let named: Vec<_> = rejected.record_errors.iter().map(|record| record.batch_index).collect();
                let expected = if case.code > 0 { case.named } else { Vec::new() };
                assert_eq!(named, expected, "{}", case.name);
                assert!(!rejected.message.is_empty());
            }
        }
    }
}

/// The batch in Kafka's log, but for what packs differently.
fn assert_stored(case: &Case<'_>, ours: &Validated<'_>) {
    let theirs = BatchHeader::read(&case.stored).unwrap();
    let their_body = &case.stored[HEADER_LEN..theirs.size()];
    let mut header = ours.header;
    assert_eq!((header.base_offset, header.size()), (0, HEADER_LEN + ours.body.len()), "{}", case.name);
    assert_eq!(header.crc, compute_crc(&header, &ours.body), "{}", case.name);
    assert_eq!(ours.log_append_time.unwrap_or(-1), case.log_append_time, "{}", case.name);
    header.base_offset = theirs.base_offset;
    header.partition_leader_epoch = theirs.partition_leader_epoch;
    if let Cow::Owned(body) = &ours.body {
        let codec = header.attributes.codec().unwrap();
        let plain = decompress(codec, body, 1000).unwrap();
        assert_eq!(plain, decompress(codec, their_body, 1000).unwrap(), "{}", case.name);
        (header.crc, header.batch_length) = (theirs.crc, theirs.batch_length);
    } else {
        assert_eq!(ours.body[..], *their_body, "{}", case.name);
    }
    assert_eq!(header, theirs, "{}", case.name);
}

fn accepted<'a>(batch: &'a [u8], rules: &Rules) -> Validated<'a> {
    validate(batch, rules, NOW, 9).unwrap()
}

fn rejected(batch: &[u8], rules: &Rules) -> (RejectedKind, Vec<RecordRejection>) {
    let error = validate(batch, rules, NOW, 9).unwrap_err();
    (error.kind, error.record_errors)
}

fn whole(validated: &Validated<'_>) -> Vec<u8> {
    [&validated.header.to_bytes()[..], &validated.body].concat()
}

#[test]
fn right_batches_of_all_codecs_stay_as_they_are() {
    for codec in Codec::ALL {
        for (count, value_len) in [(1, 0), (3, 10), (500, 300), (3, 70_000)] {
            let batch = sample(codec, count, value_len);
            let validated = accepted(&batch, &RULES);
            assert!(matches!(validated.body, Cow::Borrowed(_)));
            assert_eq!(whole(&validated), batch, "{codec:?} {count} {value_len}");
            assert_eq!(validated.offset_of_max_timestamp, count as i64 - 1);
        }
    }
}

#[test]
fn every_codec_becomes_every_other() {
    for source in Codec::ALL {
        for target in Codec::ALL {
            for (count, value_len) in [(1, 0), (400, 300), (3, 70_000)] {
                let batch = sample(source, count, value_len);
                let compression = match target {
                    Codec::None => Target::Uncompressed,
                    codec => Target::Codec(codec, Level::default_of(codec)),
                };
                let validated = accepted(&batch, &Rules { compression, ..RULES });
                assert!(crc_matches(&whole(&validated)));
                assert_eq!(validated.header.attributes.codec(), Ok(target));
                assert_eq!(validated.offset_of_max_timestamp, count as i64 - 1);
                let plain = decompress(target, &validated.body, 1 << 20).unwrap();
                let expected = &sample(Codec::None, count, value_len)[HEADER_LEN..];
                assert!(plain == expected, "{source:?} {target:?} {count} {value_len}");
                let borrowed = matches!(validated.body, Cow::Borrowed(_));
                assert_eq!(borrowed, source == target);
            }
        }
    }
}

#[test]
fn log_append_time_patches_the_crc_of_long_and_short_batches() {
    let rules = Rules { timestamp_type: TimestampType::LogAppendTime, ..RULES };
    for codec in Codec::ALL {
        for value_len in [1, 200, 40_000] {
            let batch = sample(codec, 20, value_len);
            let validated = accepted(&batch, &rules);
            assert!(crc_matches(&whole(&validated)), "{codec:?} {value_len}");
            assert_eq!(validated.header.max_timestamp, NOW);
            assert_eq!(validated.header.attributes.timestamp_type(), TimestampType::LogAppendTime);
            assert_eq!(validated.log_append_time, Some(NOW));
            assert_eq!(validated.offset_of_max_timestamp, 0);
        }
    }
}

#[test]
fn the_max_timestamp_is_that_of_the_records() {
    for value_len in [1, 20_000] {
        let mut builder = BatchBuilder::new();
        for timestamp in [NOW, NOW + 9, NOW + 3, NOW + 9] {
            builder.append(timestamp, None, Some(&vec![b'x'; value_len]), &[]);
        }
        let batch = builder.build().unwrap();
        let right = BatchHeader::read(&batch).unwrap();
        assert_eq!(accepted(&batch, &RULES).header, right);
        let lie = sealed(BatchHeader { max_timestamp: NOW + 999, ..right }, &batch[HEADER_LEN..]);
        let validated = accepted(&lie, &RULES);
        assert_eq!(validated.header, right);
        assert_eq!(validated.offset_of_max_timestamp, 1);
    }
}

#[test]
fn size_counts_after_packing_too() {
    let batch = sample(Codec::Gzip, 50, 100);
    let size = batch.len();
    accepted(&batch, &Rules { max_message_bytes: size, ..RULES });
    let too_small = Rules { max_message_bytes: size - 1, ..RULES };
    assert_eq!(rejected(&batch, &too_small).0, RejectedKind::MessageTooLarge);
    let unpacked = Rules { max_message_bytes: size, compression: Target::Uncompressed, ..RULES };
    assert_eq!(rejected(&batch, &unpacked).0, RejectedKind::MessageTooLarge);
}

#[test]
fn many_failing_records_are_counted_but_not_all_named() {
    let mut builder = BatchBuilder::new();
    for _ in 0..5000 {
        builder.append(NOW, None, None, &[]);
    }
    let batch = builder.build().unwrap();
    let error = validate(&batch, &Rules { compacted: true, ..RULES }, NOW, 9).unwrap_err();
    assert_eq!((error.kind, error.record_errors.len()), (RejectedKind::InvalidRecord, 1000));
    assert!(error.message.contains("5000"), "{}", error.message);
}

#[test]
fn transactional_producers_survive_a_rewrite() {
    let mut builder = BatchBuilder::new().producer(7, 3, 42).transactional(true);
    builder.append(NOW, Some(b"k"), None, &[]);
    builder.append(NOW, Some(b"k"), None, &[]);
    let batch = builder.build().unwrap();
    let compression = Target::Codec(Codec::Lz4, Level::default_of(Codec::Lz4));
    let header = accepted(&batch, &Rules { compression, ..RULES }).header;
    assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (7, 3, 42));
    assert_eq!(header.attributes, Attributes(0x13));
    assert_eq!((header.last_offset_delta, header.last_sequence()), (1, 43));
}

/// Any order of inner offsets comes out as 0, 1, 2… with all else untouched.
#[test]
fn rebuilt_batches_hold_the_same_records() {
    let mut random = Random(11);
    for round in 0..200 {
        let codec = Codec::ALL[1 + random.below(4)];
        let count = 1 + random.below(20);
        let mut builder = BatchBuilder::new().compression(codec, Level::default_of(codec));
        let mut expected = Vec::new();
        for _ in 0..count {
            let (key, value) = (random.nullable(40), random.nullable(3000));
            let timestamp = NOW - random.below(100_000) as i64;
            let delta = random.below(100) as i32 - 50;
            builder.append_at(delta, timestamp, key.as_deref(), value.as_deref(), &[]);
            expected.push((timestamp, key, value));
        }
        let batch = builder.last_offset_delta(count as i32 - 1).build().unwrap();
        let validated = accepted(&batch, &RULES);
        let plain = decompress(codec, &validated.body, 1 << 20).unwrap();
        let header = validated.header;
        let records: Vec<_> = Records::new(&plain, header.record_count).map(Result::unwrap).collect();
        let found: Vec<_> = records
            .iter()
            .map(|record| {
                let timestamp = header.base_timestamp + record.timestamp_delta;
                (timestamp, record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec))
            })
            .collect();
        assert_eq!(found, expected, "round {round}");
        let max = expected.iter().map(|record| record.0).max().unwrap();
        assert_eq!(header.max_timestamp, max);
        let first = expected.iter().position(|record| record.0 == max).unwrap();
        if let Cow::Owned(_) = validated.body {
            assert!(records.iter().enumerate().all(|(i, record)| record.offset_delta == i as i32));
            assert_eq!(validated.offset_of_max_timestamp, first as i64);
        }
        assert!(crc_matches(&whole(&validated)));
    }
}
