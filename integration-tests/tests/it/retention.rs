//! What a partition no longer keeps, and settings that change while records come in.

use crate::configs::{BROKER, DELETE, SET, TOPIC, alter_one, eventually};
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteTopicsRequest};
use milena_integration_tests::broker::{Broker, unique};
use milena_integration_tests::raw::Connection;
use milena_integration_tests::records::{Batch, HEADER, batches, now_ms};
use milena_integration_tests::requests::{
    self, FETCH, append, create_topic, describe_topic, fetch, look_up, name, only_partition, read_all,
};
use std::path::Path;

const OFFSET_OUT_OF_RANGE: i16 = 1;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const MESSAGE_TOO_LARGE: i16 = 10;
const INVALID_TIMESTAMP: i16 = 32;
const INVALID_RECORD: i16 = 87;

/// Looks often, and does not wait with the unlinking.
const EAGER: [(&str, &str); 3] = [
    ("log.retention.check.interval.ms", "100"),
    ("log.initial.task.delay.ms", "0"),
    ("log.segment.delete.delay.ms", "0"),
];

/// A batch of one record of about a KiB.
fn kib() -> Vec<u8> {
    Batch::of([[b'v'; 1000]]).encode()
}

/// Names of a partition's files with this ending.
fn files(broker: &Broker, topic: &str, ending: &str) -> Vec<String> {
    let directory = broker.directory().join(format!("{topic}-0"));
    let entries = std::fs::read_dir(directory).expect("the partition's directory");
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(ending)).collect();
    names.sort();
    names
}

fn logs(broker: &Broker, topic: &str) -> usize {
    files(broker, topic, ".log").len()
}

fn start_of(connection: &mut Connection, topic: &str) -> i64 {
    look_up(connection, topic, 0, -2).offset
}

/// Fills a topic with segments of two records each.
fn fill(connection: &mut Connection, topic: &str, records: usize, configs: &[(&str, &str)]) {
    let mut all = vec![("internal.segment.bytes", "2200")];
    all.extend_from_slice(configs);
    create_topic(connection, topic, 1, &all);
    for _ in 0..records {
        assert_eq!(append(connection, topic, 0, kib()).error_code, 0);
    }
}

fn delete_records(connection: &mut Connection, topic: &str, offset: i64) -> (i16, i64) {
    let request = DeleteRecordsRequest::default().with_timeout_ms(30_000).with_topics(vec![
        DeleteRecordsTopic::default()
            .with_name(name(topic))
            .with_partitions(vec![DeleteRecordsPartition::default().with_offset(offset)]),
    ]);
    let partition = &connection.call(2, &request).topics[0].partitions[0];
    (partition.error_code, partition.low_watermark)
}

#[test]
fn old_segments_go_by_size_and_by_time_as_soon_as_that_is_set() {
    let Some(mut broker) = Broker::own(&EAGER) else { return };
    let mut connection = broker.connect();
    let topic = unique("retained");
    fill(&mut connection, &topic, 9, &[("retention.ms", "-1")]);
    assert_eq!((start_of(&mut connection, &topic), logs(&broker, &topic)), (0, 5));

    let bytes = (2 * kib().len() + 1).to_string();
    assert_eq!(
        alter_one(&mut connection, TOPIC, &topic, &[("retention.bytes", SET, Some(&bytes))]),
        (0, None)
    );
    eventually(|| start_of(&mut connection, &topic) == 6);
    eventually(|| logs(&broker, &topic) == 2 && files(&broker, &topic, ".deleted").is_empty());
    let below = only_partition(connection.call(FETCH, &fetch(&topic, 0, 5, 1 << 20)));
    assert_eq!(below.error_code, OFFSET_OUT_OF_RANGE);
    assert_eq!(batches(&read_all(&mut connection, &topic, 0)).len(), 3);

    // Records of 2023 are older than an hour. The active segment goes, too, and the offsets go on.
    assert_eq!(
        alter_one(&mut connection, TOPIC, &topic, &[("retention.ms", SET, Some("3600000"))]),
        (0, None)
    );
    eventually(|| start_of(&mut connection, &topic) == 9);
    eventually(|| files(&broker, &topic, ".log") == ["00000000000000000009.log"]);
    assert_eq!(look_up(&mut connection, &topic, 0, -1).offset, 9);
    for end in [true, false] {
        if end {
            broker.terminate();
        } else {
            broker.kill()
        };
        broker.launch();
        connection = broker.connect();
        assert!(read_all(&mut connection, &topic, 0).is_empty());
        assert_eq!(
            (start_of(&mut connection, &topic), look_up(&mut connection, &topic, 0, -1).offset),
            (9, 9)
        );
    }
    assert_eq!(append(&mut connection, &topic, 0, kib()).base_offset, 9);
}

#[test]
fn records_that_were_deleted_make_room_and_are_not_found() {
    let Some(broker) = Broker::own(&EAGER) else { return };
    let mut connection = broker.connect();
    let topic = unique("deleted");
    let policy = [("cleanup.policy", "compact,delete"), ("retention.ms", "-1")];
    let mut all = vec![("internal.segment.bytes", "2200")];
    all.extend_from_slice(&policy);
    create_topic(&mut connection, &topic, 1, &all);
    for n in 0..7 {
        let records = vec![(Some(vec![b'k']), vec![b'v'; 1000])];
        let batch = Batch { records, base_timestamp: 1_700_000_000_000 + n * 10, ..Batch::default() };
        assert_eq!(append(&mut connection, &topic, 0, batch.encode()).base_offset, n);
    }
    let at = |connection: &mut Connection, n: i64| {
        let found = look_up(connection, &topic, 0, 1_700_000_000_000 + n * 10);
        (found.offset, found.timestamp - 1_700_000_000_000)
    };
    assert_eq!(at(&mut connection, 1), (1, 10));
    assert_eq!(delete_records(&mut connection, &topic, 5), (0, 5));
    if broker.is_milena() {
        // Kafka finds nothing until the segment of the deleted record is gone.
        assert_eq!(at(&mut connection, 1), (5, 50), "the first that is left");
    }
    assert_eq!(at(&mut connection, 6), (6, 60));
    eventually(|| logs(&broker, &topic) == 2 && files(&broker, &topic, ".deleted").is_empty());
    assert_eq!((at(&mut connection, 1), at(&mut connection, 7)), ((5, 50), (-1, -1 - 1_700_000_000_000)));
    assert_eq!(delete_records(&mut connection, &topic, -1), (0, 7));
    assert_eq!(at(&mut connection, 1).0, -1);
    assert_eq!(delete_records(&mut connection, &topic, 8), (OFFSET_OUT_OF_RANGE, -1));
    assert_eq!(start_of(&mut connection, &topic), 7);
}

#[test]
fn a_refused_record_is_answered_with_the_log_start() {
    let broker = Broker::any();
    let mut connection = broker.connect();
    let topic = unique("refused");
    create_topic(&mut connection, &topic, 1, &[("message.timestamp.after.max.ms", "1000")]);
    append(&mut connection, &topic, 0, kib());
    assert_eq!(delete_records(&mut connection, &topic, -1), (0, 1));
    let late = Batch { base_timestamp: now_ms() + 3_600_000, ..Batch::of(["v"]) }.encode();
    let mut damaged = kib();
    damaged[HEADER] ^= 1;
    for (batch, code, start) in [(late, INVALID_TIMESTAMP, 1), (damaged, 2, -1)] {
        let answer = append(&mut connection, &topic, 0, batch);
        assert_eq!((answer.error_code, answer.log_start_offset), (code, start));
    }
    assert_eq!(append(&mut connection, &unique("none"), 0, kib()).log_start_offset, -1);
}

/// Directories of deleted partitions of this topic.
fn deleted_directories(root: &Path, topic: &str) -> usize {
    let entries = std::fs::read_dir(root).expect("the data directory");
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(topic) && name.ends_with("-delete")).count()
}

#[test]
fn a_topic_that_is_made_again_is_another_one() {
    let Some(broker) = Broker::own(&[("log.segment.delete.delay.ms", "1500")]) else { return };
    let mut connection = broker.connect();
    let topic = unique("again");
    fill(&mut connection, &topic, 5, &[]);
    let before = describe_topic(&mut connection, &topic).topic_id;
    let mut reading = broker.connect();
    let topics = vec![DeleteTopicState::default().with_name(Some(name(&topic)))];
    let request = DeleteTopicsRequest::default().with_timeout_ms(30_000).with_topics(topics);
    assert_eq!(connection.call(6, &request).responses[0].error_code, 0);
    eventually(|| deleted_directories(broker.directory(), &topic) == 1);
    let gone = only_partition(reading.call(FETCH, &fetch(&topic, 0, 0, 1 << 20)));
    assert_eq!(gone.error_code, UNKNOWN_TOPIC_OR_PARTITION);
    create_topic(&mut connection, &topic, 1, &[]);
    assert_ne!(describe_topic(&mut connection, &topic).topic_id, before);
    assert_eq!(append(&mut connection, &topic, 0, kib()).base_offset, 0);
    eventually(|| deleted_directories(broker.directory(), &topic) == 0);
    assert_eq!(batches(&read_all(&mut connection, &topic, 0)).len(), 1);
}

/// Sets a key for a topic, or for all brokers, and takes it back.
struct Setting<'a> {
    topic: &'a str,
    of_topic: &'a str,
    of_broker: &'a str,
    value: &'a str,
}

impl Setting<'_> {
    /// Whether `probe` says what is expected only while the value is set, whoever sets it.
    fn matters<T: PartialEq + std::fmt::Debug>(
        &self,
        connection: &mut Connection,
        without: T,
        with: T,
        mut probe: impl FnMut(&mut Connection) -> T,
    ) {
        for (resource_type, name, key) in [(TOPIC, self.topic, self.of_topic), (BROKER, "", self.of_broker)] {
            eventually(|| probe(connection) == without);
            assert_eq!(
                alter_one(connection, resource_type, name, &[(key, SET, Some(self.value))]),
                (0, None)
            );
            eventually(|| probe(connection) == with);
            assert_eq!(alter_one(connection, resource_type, name, &[(key, DELETE, None)]), (0, None));
        }
        eventually(|| probe(connection) == without);
    }
}

#[test]
fn what_is_set_counts_for_the_next_record() {
    let Some(broker) = Broker::own(&[]) else { return };
    let mut connection = broker.connect();
    let topic = unique("live");
    create_topic(&mut connection, &topic, 1, &[]);
    let setting = |of_topic, of_broker, value| Setting { topic: &topic, of_topic, of_broker, value };
    let code = |connection: &mut Connection| append(connection, &topic, 0, kib()).error_code;
    setting("max.message.bytes", "message.max.bytes", "500").matters(
        &mut connection,
        0,
        MESSAGE_TOO_LARGE,
        code,
    );
    setting("cleanup.policy", "log.cleanup.policy", "compact").matters(
        &mut connection,
        0,
        INVALID_RECORD,
        code,
    );
    setting("message.timestamp.before.max.ms", "log.message.timestamp.before.max.ms", "1000").matters(
        &mut connection,
        0,
        INVALID_TIMESTAMP,
        code,
    );
    setting("message.timestamp.after.max.ms", "log.message.timestamp.after.max.ms", "1000").matters(
        &mut connection,
        0,
        INVALID_TIMESTAMP,
        |connection| {
            let soon = Batch { base_timestamp: now_ms() + 600_000, ..Batch::of(["v"]) };
            append(connection, &topic, 0, soon.encode()).error_code
        },
    );
    setting("message.timestamp.type", "log.message.timestamp.type", "LogAppendTime").matters(
        &mut connection,
        false,
        true,
        |connection| append(connection, &topic, 0, kib()).log_append_time_ms >= 0,
    );
    setting("compression.type", "compression.type", "gzip").matters(&mut connection, 0, 1, |connection| {
        let at = append(connection, &topic, 0, kib()).base_offset;
        let read = only_partition(connection.call(FETCH, &fetch(&topic, 0, at, 1 << 20)));
        batches(&read.records.unwrap_or_default())[0].attributes() & 7
    });
}

#[test]
fn what_is_set_counts_for_the_next_segment() {
    let Some(broker) = Broker::own(&[]) else { return };
    let mut connection = broker.connect();
    let topic = unique("rolling");
    create_topic(&mut connection, &topic, 1, &[]);
    let setting = |of_topic, of_broker, value| Setting { topic: &topic, of_topic, of_broker, value };
    let rolls = |connection: &mut Connection| {
        let before = logs(&broker, &topic);
        for _ in 0..2 {
            assert_eq!(
                append(connection, &topic, 0, Batch::of([vec![b'v'; 600_000]]).encode()).error_code,
                0
            );
        }
        logs(&broker, &topic) > before
    };
    setting("segment.bytes", "log.segment.bytes", "1048576").matters(&mut connection, false, true, rolls);
    let topic = unique("aging");
    create_topic(&mut connection, &topic, 1, &[("segment.bytes", "1073741824")]);
    let setting = |of_topic, of_broker, value| Setting { topic: &topic, of_topic, of_broker, value };
    let mut hours = 0;
    let ages = |connection: &mut Connection| {
        let before = logs(&broker, &topic);
        hours += 1;
        let batch = Batch { base_timestamp: 1_700_000_000_000 + hours * 3_600_000, ..Batch::of(["v"]) };
        assert_eq!(append(connection, &topic, 0, batch.encode()).error_code, 0);
        logs(&broker, &topic) > before
    };
    setting("segment.ms", "log.roll.ms", "60000").matters(&mut connection, false, true, ages);
}

#[test]
fn index_entries_come_as_often_as_is_set() {
    // Kafka takes it up with the next segment.
    let Some(mut broker) = Broker::milena(&[]) else { return };
    let mut connection = broker.connect();
    let topic = unique("indexed");
    create_topic(&mut connection, &topic, 1, &[("index.interval.bytes", "1000000")]);
    (0..5).for_each(|_| drop(append(&mut connection, &topic, 0, kib())));
    assert_eq!(
        alter_one(&mut connection, TOPIC, &topic, &[("index.interval.bytes", SET, Some("1"))]),
        (0, None)
    );
    (0..3).for_each(|_| drop(append(&mut connection, &topic, 0, kib())));
    broker.terminate();
    let index = broker.directory().join(format!("{topic}-0/00000000000000000000.index"));
    let entries = std::fs::metadata(index).expect("an index").len() / 8;
    assert_eq!(entries, 3);
}

#[test]
fn connections_are_limited_as_soon_as_that_is_set() {
    let Some(broker) = Broker::own(&[]) else { return };
    let mut connection = broker.connect();
    let is_served = || {
        let mut other = broker.connect();
        let sent = other.send_bytes(&milena_integration_tests::raw::frame(
            1,
            0,
            &kafka_protocol::messages::ApiVersionsRequest::default(),
        ));
        sent.is_ok() && other.receive_frame().is_ok()
    };
    assert!(is_served());
    let set = [("max.connections.per.ip", SET, Some("1"))];
    assert_eq!(alter_one(&mut connection, BROKER, "", &set), (0, None));
    eventually(|| !is_served());
    assert_eq!(
        alter_one(&mut connection, BROKER, "", &[("max.connections.per.ip", DELETE, None)]),
        (0, None)
    );
    eventually(is_served);
    let _ = requests::api_versions(&mut connection);
}
