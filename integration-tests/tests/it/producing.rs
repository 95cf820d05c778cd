//! What a producer is promised: bytes stay as they are, duplicates are known, what cannot be stored is refused.

use crate::rd::{Sending, config, wait_until};
use bytes::Bytes;
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use milena_integration_tests::broker::{Broker, unique};
use milena_integration_tests::codecs::compress;
use milena_integration_tests::raw::{Connection, PATIENCE};
use milena_integration_tests::records::{Batch, batches, now_ms, seal};
use milena_integration_tests::requests::{
    self, GROUPS, append, create_topic, find_coordinator, look_up, read_all,
};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

const CORRUPT_MESSAGE: i16 = 2;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const MESSAGE_TOO_LARGE: i16 = 10;
const INVALID_TOPIC_EXCEPTION: i16 = 17;
const OUT_OF_ORDER_SEQUENCE_NUMBER: i16 = 45;
const INVALID_PRODUCER_EPOCH: i16 = 47;
const INVALID_RECORD: i16 = 87;

fn topic(connection: &mut Connection, configs: &[(&str, &str)]) -> String {
    let topic = unique("producing");
    create_topic(connection, &topic, 1, configs);
    topic
}

#[test]
fn batches_are_stored_byte_for_byte_in_every_codec() {
    let broker = Broker::any();
    let mut connection = broker.connect();
    for codec in 0..=4 {
        let topic = topic(&mut connection, &[]);
        let mut offset = 0;
        let mut sent = Vec::new();
        for size in [1, 10, 500] {
            let values = (0..size).map(|n| format!("value {n} of a batch of {size}"));
            let batch = Batch { attributes: codec, ..Batch::of(values) };
            let bytes = batch.encode_with(&compress(codec, &batch.plain_records()));
            let answer = append(&mut connection, &topic, 0, bytes.clone());
            assert_eq!((answer.error_code, answer.base_offset), (0, offset), "codec {codec}");
            offset += size;
            sent.push(bytes);
        }
        let stored = read_all(&mut connection, &topic, 0);
        let mut offset = 0;
        for (batch, mut sent) in batches(&stored).into_iter().zip(sent) {
            assert_eq!(batch.base_offset(), offset);
            // The broker owns two fields, both outside the checksum: base offset and leader epoch.
            sent[..8].copy_from_slice(&offset.to_be_bytes());
            sent[12..16].copy_from_slice(&batch.bytes[12..16]);
            assert_eq!(batch.bytes, sent, "codec {codec}");
            assert!(batch.is_sound());
            offset = batch.last_offset() + 1;
        }
        assert_eq!(offset, 511, "codec {codec}");
    }
}

#[test]
fn refuses_what_it_cannot_store() {
    let broker = Broker::any();
    let mut connection = broker.connect();
    let topic = topic(&mut connection, &[("max.message.bytes", "2000")]);
    let good = Batch::of(["a", "b"]).encode();
    let mut wrong_crc = good.clone();
    wrong_crc[17] ^= 1;
    let mut wrong_count = good.clone();
    wrong_count[60] = 3;
    seal(&mut wrong_count);
    let mut old = good.clone();
    old[16] = 1;
    let mut future = good.clone();
    future[16] = 3;
    let mut two = good.clone();
    two.extend_from_slice(&good);
    let cases: Vec<(&str, Vec<u8>, i16)> = vec![
        ("wrong checksum", wrong_crc, CORRUPT_MESSAGE),
        ("wrong record count", wrong_count, INVALID_RECORD),
        ("magic 1", old, INVALID_RECORD),
        ("magic 3", future, CORRUPT_MESSAGE),
        ("two batches", two, INVALID_RECORD),
        ("over max.message.bytes", Batch::of([[7; 2000]]).encode(), MESSAGE_TOO_LARGE),
        ("cut in the header", good[..40].to_vec(), INVALID_RECORD),
    ];
    for (what, bytes, expected) in cases {
        let answer = append(&mut connection, &topic, 0, bytes);
        assert_eq!((answer.error_code, answer.base_offset), (expected, -1), "{what}");
    }
    assert_eq!(append(&mut connection, &topic, 0, good.clone()).error_code, 0);
    assert_eq!(append(&mut connection, &topic, 5, good.clone()).error_code, UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(append(&mut connection, &unique("nowhere"), 0, good).error_code, UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(look_up(&mut connection, &topic, 0, -1).offset, 2, "nothing refused was stored");
}

/// An idempotent batch of `count` records.
fn sequenced(producer: (i64, i16), sequence: i32, count: i32) -> Bytes {
    // A retransmission may have another timestamp: what is known of a batch are its sequences.
    Batch {
        producer_id: producer.0,
        producer_epoch: producer.1,
        base_sequence: sequence,
        base_timestamp: now_ms(),
        ..Batch::of((sequence..sequence + count).map(|n| n.to_string()))
    }
    .encode()
    .into()
}

#[test]
fn a_retransmitted_batch_gets_its_first_offset_again() {
    let Some(mut broker) = Broker::own(&[]) else { return };
    let mut connection = broker.connect();
    let topic = topic(&mut connection, &[]);
    append(&mut connection, &topic, 0, Batch::of(["before"]).encode());
    let producer = requests::producer_id(&mut connection, None);
    let send = |connection: &mut Connection, sequence, count| -> PartitionProduceResponse {
        append(connection, &topic, 0, sequenced(producer, sequence, count))
    };
    for sequence in (0..30).step_by(3) {
        let answer = send(&mut connection, sequence, 3);
        assert_eq!((answer.error_code, answer.base_offset), (0, i64::from(sequence) + 1));
    }
    // Five batches are remembered.
    for sequence in (15..30).step_by(3) {
        let answer = send(&mut connection, sequence, 3);
        assert_eq!((answer.error_code, answer.base_offset), (0, i64::from(sequence) + 1), "again {sequence}");
    }
    for (what, sequence, count) in
        [("a gap", 33, 1), ("six back", 12, 3), ("a part of an earlier one", 27, 2)]
    {
        let answer = send(&mut connection, sequence, count);
        assert_eq!((answer.error_code, answer.base_offset), (OUT_OF_ORDER_SEQUENCE_NUMBER, -1), "{what}");
    }
    let stale = append(&mut connection, &topic, 0, sequenced((producer.0, producer.1 - 1), 30, 1));
    assert_eq!(stale.error_code, INVALID_PRODUCER_EPOCH);
    // What it knows of producers outlives it, however it ends.
    for kill in [false, true] {
        if kill {
            broker.kill();
        } else {
            assert!(broker.terminate().0.code().is_some());
        }
        broker.launch();
        let mut connection = broker.connect();
        let answer = send(&mut connection, 27, 3);
        assert_eq!((answer.error_code, answer.base_offset), (0, 28), "after a restart, killed: {kill}");
        assert_eq!(look_up(&mut connection, &topic, 0, -1).offset, 31, "killed: {kill}");
    }
    let mut connection = broker.connect();
    assert_eq!(send(&mut connection, 30, 3).base_offset, 31);
}

#[test]
fn offsets_are_found_by_time() {
    let broker = Broker::any();
    let mut connection = broker.connect();
    let topic = topic(&mut connection, &[]);
    let base = 1_700_000_000_000;
    assert_eq!(look_up(&mut connection, &topic, 0, base).offset, -1, "nothing is there yet");
    for batch in 0..20_i64 {
        let records = Batch { base_timestamp: base + batch * 1000, ..Batch::of(["a", "b", "c", "d", "e"]) };
        assert_eq!(append(&mut connection, &topic, 0, records.encode()).error_code, 0);
    }
    // (asked for, offset, timestamp)
    let cases = [
        (0, 0, base),
        (base, 0, base),
        (base + 1, 1, base + 1),
        (base + 4, 4, base + 4),
        (base + 5, 5, base + 1000),
        (base + 7003, 38, base + 7003),
        (base + 19_004, 99, base + 19_004),
        (base + 19_005, -1, -1),
        (-1, 100, -1),
        (-2, 0, -1),
        (-3, 99, base + 19_004),
    ];
    for (asked, offset, timestamp) in cases {
        let found = look_up(&mut connection, &topic, 0, asked);
        assert_eq!(
            (found.error_code, found.offset, found.timestamp),
            (0, offset, timestamp),
            "asked for {asked}"
        );
    }
}

/// What a tool for administrators writes past the coordinator counts when the topic is read again.
#[test]
fn internal_topics_take_records_of_the_administrator_alone() {
    let Some(mut broker) = Broker::own(&[("offsets.topic.num.partitions", "1")]) else { return };
    let mut connection = broker.connect();
    let topic = topic(&mut connection, &[]);
    find_coordinator(&mut connection, GROUPS, "g");
    // An offset as the coordinator stores it: group, topic and partition; 42, no leader epoch, no metadata, a time.
    let name_len = char::from(u8::try_from(topic.len()).expect("a short name"));
    let key = format!("\0\x01\0\x01g\0{name_len}{topic}\0\0\0\0");
    let value = [&[0, 3][..], &42i64.to_be_bytes(), &[255; 4], &[0; 2], &now_ms().to_be_bytes()].concat();
    let records = vec![(Some(key.clone().into_bytes()), value.clone())];
    let batch = Batch { records, ..Batch::default() }.encode();
    let mut refused = || append(&mut connection, "__consumer_offsets", 0, batch.clone()).error_code;
    wait_until("the topic of the offsets", || refused() != UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(refused(), INVALID_TOPIC_EXCEPTION);
    let sending = Sending::new(broker.address(), &[("client.id", "__admin_client")]);
    sending.send("__consumer_offsets", Some(&key), &value);
    sending.finish();
    broker.kill();
    broker.launch();
    let consumer: BaseConsumer =
        config(broker.address(), &[("group.id", "g")]).create().expect("settings that librdkafka knows");
    let mut wanted = TopicPartitionList::new();
    wanted.add_partition(&topic, 0);
    wait_until("the offset", || {
        let committed = consumer.committed_offsets(wanted.clone(), PATIENCE);
        committed.is_ok_and(|committed| committed.elements()[0].offset() == Offset::Offset(42))
    });
}
