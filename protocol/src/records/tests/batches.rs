//! Headers, the walk over batches, records and the builder.

use bytes::BytesMut;
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records as theirs;

use super::super::{
    Attributes, BatchBuilder, BatchError, BatchHeader, Batches, Codec, HEADER_LEN, Header, Record,
    RecordError, Records, TimestampType, UnknownCodec, crc_after_header_change, crc_matches, read_varint,
    read_varlong, varint_len, varlong_len, write_varint, write_varlong,
};
use super::{NOW, Random, sample, sealed};

#[test]
fn sequences_wrap_at_the_end_of_i32() {
    let last = |base_sequence, last_offset_delta| {
        BatchHeader { base_sequence, last_offset_delta, ..BatchHeader::default() }.last_sequence()
    };
    assert_eq!(last(-1, 5), -1);
    assert_eq!(last(0, 0), 0);
    assert_eq!(last(i32::MAX - 1, 1), i32::MAX);
    assert_eq!(last(i32::MAX, 1), 0);
    assert_eq!(last(i32::MAX, i32::MAX), i32::MAX - 1);
}

#[test]
fn attributes_change_one_by_one() {
    let all = Attributes(0)
        .with_codec(Codec::Zstd)
        .with_timestamp_type(TimestampType::LogAppendTime)
        .with_transactional(true)
        .with_control(true)
        .with_delete_horizon(true);
    assert_eq!(all, Attributes(0x7c));
    assert!(all.is_transactional() && all.is_control() && all.has_delete_horizon());
    assert_eq!(all.with_control(false).with_codec(Codec::None), Attributes(0x58));
    for id in 5..8 {
        assert_eq!(Attributes(i16::from(id)).codec(), Err(UnknownCodec(id)));
    }
}

#[test]
fn headers_that_cannot_be() {
    let batch = sample(Codec::None, 1, 1);
    assert_eq!(BatchHeader::read(&batch[..60]), Err(BatchError::Truncated { have: 60 }));
    BatchHeader::read(&batch[..61]).unwrap();
    for magic in [0u8, 1, 3, 255] {
        let mut broken = batch.clone();
        broken[16] = magic;
        assert_eq!(BatchHeader::read(&broken), Err(BatchError::Magic(magic as i8)));
    }
    for length in [48, 0, -1, i32::MIN] {
        let mut broken = batch.clone();
        broken[8..12].copy_from_slice(&length.to_be_bytes());
        assert_eq!(BatchHeader::read(&broken), Err(BatchError::Length(length)));
    }
}

#[test]
fn batches_end_before_a_partial_one_wherever_it_is_cut() {
    let first = sample(Codec::None, 2, 10);
    let second = sample(Codec::Lz4, 3, 10);
    let both = [first.clone(), second.clone()].concat();
    for cut in 0..=both.len() {
        let mut batches = Batches::new(&both[..cut]);
        let found = batches.by_ref().map(|batch| batch.unwrap().1.len()).collect::<Vec<_>>();
        let expected: &[usize] = match cut {
            _ if cut == both.len() => &[first.len(), second.len()],
            _ if cut >= first.len() => &[first.len()],
            _ => &[],
        };
        assert_eq!(found, expected, "{cut}");
        assert_eq!(batches.position(), expected.iter().sum::<usize>());
        assert_eq!(batches.position() + batches.rest().len(), cut);
    }
}

#[test]
fn batches_end_at_a_broken_one() {
    let good = sample(Codec::None, 2, 10);
    let mut wrong_magic = good.clone();
    wrong_magic[16] = 9;
    let ends = [
        (vec![0; 100], BatchError::Magic(0)),
        (vec![0; 12], BatchError::Length(0)),
        (wrong_magic[..20].to_vec(), BatchError::Magic(9)),
        (wrong_magic.clone(), BatchError::Magic(9)),
    ];
    for (end, error) in ends {
        let bytes = [good.clone(), end, good.clone()].concat();
        let cut = bytes.len() - good.len();
        let mut batches = Batches::new(&bytes[..cut]);
        assert_eq!(batches.next().unwrap().unwrap().1, good);
        assert_eq!(batches.next(), Some(Err(error)));
        assert_eq!(batches.next(), None);
        assert_eq!(batches.position(), good.len());
    }
}

#[test]
fn any_flipped_bit_behind_the_magic_breaks_the_crc() {
    let batch = sample(Codec::None, 3, 20);
    assert!(crc_matches(&batch));
    assert!(!crc_matches(&batch[..60]));
    for at in 17..batch.len() {
        let mut broken = batch.clone();
        broken[at] ^= 1 << (at % 8);
        assert!(!crc_matches(&broken), "{at}");
    }
    for at in 0..16 {
        let mut patched = batch.clone();
        patched[at] ^= 1;
        assert!(crc_matches(&patched), "{at}");
    }
}

#[test]
fn a_changed_header_gets_the_crc_that_hashing_gives() {
    for len in [0, 1, 100, 8 * 1024 - 1, 8 * 1024, 100_000] {
        let body = Random(3).bytes(len);
        let before = BatchHeader::read(&sealed(BatchHeader::default(), &body)).unwrap();
        let mut after = BatchHeader { max_timestamp: 12_345, producer_id: 99, ..before };
        after.attributes = Attributes(0x18);
        let crc = crc_after_header_change(&before, &after, &body);
        assert_eq!(crc, super::compute_crc(&after, &body), "{len}");
    }
}

#[test]
fn varints_at_their_edges() {
    let edges = [0, 1, -1, 63, 64, -64, -65, 8191, 8192, 1 << 20, i32::MAX, i32::MIN];
    for value in edges {
        let mut bytes = Vec::new();
        write_varint(&mut bytes, value);
        assert_eq!(bytes.len(), varint_len(value));
        for cut in 0..bytes.len() {
            assert_eq!(read_varint(&mut &bytes[..cut]), Err(RecordError::Truncated));
        }
        let mut rest = &bytes[..];
        assert_eq!((read_varint(&mut rest), rest), (Ok(value), &[][..]));
    }
    for value in edges.map(i64::from).into_iter().chain([i64::MAX, i64::MIN, 1 << 40]) {
        let mut bytes = Vec::new();
        write_varlong(&mut bytes, value);
        assert_eq!(bytes.len(), varlong_len(value));
        bytes.push(7);
        let mut rest = &bytes[..];
        assert_eq!((read_varlong(&mut rest), rest), (Ok(value), &[7][..]));
    }
    assert_eq!(read_varint(&mut &[0x80, 0x80, 0x80, 0x80, 0x80, 0x00][..]), Err(RecordError::VarintTooLong));
    assert_eq!(read_varint(&mut &[0x82, 0x80, 0x00][..]), Ok(1));
    assert_eq!(read_varlong(&mut &[0x80; 11][..]), Err(RecordError::VarintTooLong));
}

#[test]
fn headers_keep_order_and_duplicates() {
    let headers = [
        Header { key: b"h", value: Some(b"1") },
        Header { key: b"h", value: None },
        Header { key: b"", value: Some(b"") },
        Header { key: b"h", value: Some(b"1") },
    ];
    let mut builder = BatchBuilder::new();
    builder.append(NOW, Some(b""), None, &headers);
    assert_eq!((builder.len(), builder.is_empty()), (1, false));
    let size = builder.size();
    let batch = builder.build().unwrap();
    assert_eq!(batch.len(), size);
    let record = Records::new(&batch[HEADER_LEN..], 1).next().unwrap().unwrap();
    assert_eq!(record.headers().len(), 4);
    assert_eq!(record.headers().collect::<Vec<_>>(), headers);
    assert_eq!((record.key, record.value), (Some(&b""[..]), None));
}

#[test]
fn records_that_are_not_those_announced() {
    let batch = sample(Codec::None, 3, 5);
    let body = &batch[HEADER_LEN..];
    let result =
        |body, count| Records::new(body, count).collect::<Result<Vec<Record<'_>>, _>>().map(|all| all.len());
    assert_eq!(result(body, 3), Ok(3));
    assert_eq!(result(body, 4), Err(RecordError::Truncated));
    assert!(matches!(result(body, 2), Err(RecordError::TrailingBytes(_))));
    assert_eq!(result(body, -1), Err(RecordError::RecordCount(-1)));
    assert_eq!(result(body, i32::MAX), Err(RecordError::Truncated));
    assert_eq!(result(&[], 0), Ok(0));
    let mut records = Records::new(body, 4);
    assert_eq!(records.by_ref().filter(Result::is_err).count(), 1);
    assert_eq!(records.next(), None);
}

#[test]
fn an_empty_batch_and_one_with_gaps() {
    let empty = BatchBuilder::new().base_offset(100).last_offset_delta(9).build().unwrap();
    let header = BatchHeader::read(&empty).unwrap();
    assert_eq!((empty.len(), header.base_timestamp, header.next_offset()), (61, -1, 110));
    assert!(crc_matches(&empty));

    let mut builder = BatchBuilder::new().base_offset(100).delete_horizon(NOW + 50).last_offset_delta(9);
    builder.append_at(4, NOW, None, None, &[]);
    let batch = builder.build().unwrap();
    let header = BatchHeader::read(&batch).unwrap();
    assert!(header.attributes.has_delete_horizon());
    assert_eq!((header.base_timestamp, header.max_timestamp), (NOW + 50, NOW));
    let record = Records::new(&batch[HEADER_LEN..], 1).next().unwrap().unwrap();
    assert_eq!((record.offset_delta, record.timestamp_delta), (4, -50));
}

/// Records without duplicate header keys and of CreateTime, where the crate is right.
#[test]
fn the_kafka_protocol_crate_reads_what_we_build_and_the_reverse() {
    let mut random = Random(5);
    for count in [1, 2, 100] {
        let mut builder =
            BatchBuilder::new().base_offset(1000).leader_epoch(4).producer(77, 2, 5).transactional(true);
        let mut all = Vec::new();
        for _ in 0..count {
            let (key, value, header) = (random.nullable(30), random.nullable(400), random.nullable(20));
            let timestamp = NOW + random.below(1000) as i64 - 500;
            let headers = [Header { key: b"name", value: header.as_deref() }];
            builder.append(timestamp, key.as_deref(), value.as_deref(), &headers);
            all.push((timestamp, key, value, header));
        }
        let ours = builder.build().unwrap();
        let decoded = theirs::RecordBatchDecoder::decode(&mut &ours[..]).unwrap().records;
        assert_eq!(decoded.len(), count);
        for (i, (record, expected)) in decoded.iter().zip(&all).enumerate() {
            assert_eq!(record.offset, 1000 + i as i64);
            assert_eq!((record.producer_id, record.producer_epoch, record.transactional), (77, 2, true));
            assert_eq!((record.timestamp, record.partition_leader_epoch), (expected.0, 4));
            assert_eq!(record.key.as_deref(), expected.1.as_deref());
            assert_eq!(record.value.as_deref(), expected.2.as_deref());
            let header = record.headers.get(&StrBytes::from_static_str("name")).unwrap();
            assert_eq!(header.as_deref(), expected.3.as_deref());
        }

        let mut encoded = BytesMut::new();
        let options = theirs::RecordEncodeOptions { version: 2, compression: theirs::Compression::None };
        theirs::RecordBatchEncoder::encode(&mut encoded, &decoded, &options).unwrap();
        let (header, whole) = Batches::new(&encoded).next().unwrap().unwrap();
        assert!(crc_matches(whole));
        let records: Vec<_> =
            Records::new(&whole[HEADER_LEN..], header.record_count).map(Result::unwrap).collect();
        assert_eq!(records.len(), count);
        for (record, expected) in records.iter().zip(&all) {
            assert_eq!(header.base_timestamp + record.timestamp_delta, expected.0);
            assert_eq!((record.key, record.value), (expected.1.as_deref(), expected.2.as_deref()));
            let headers: Vec<_> = record.headers().collect();
            assert_eq!(headers, [Header { key: b"name", value: expected.3.as_deref() }]);
        }
    }
}
