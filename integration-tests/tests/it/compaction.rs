//! Compacted topics from outside: one record a key is what stays, also through kill -9 in the middle of it.

use crate::marathon::committed;
use crate::rd::{Seen, Sending, config, poll, wait_until};
use crate::transactions::Raw;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::{GroupId, OffsetCommitRequest};
use milena_integration_tests::broker::{Broker, unique};
use milena_integration_tests::raw::Connection;
use milena_integration_tests::requests::{create_topic, look_up, name, text};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Offset, TopicPartitionList};
use std::collections::HashMap;

/// The cleaner looks all the time, and a small part of dirty records is enough.
const EAGER: [(&str, &str); 2] = [("log.cleaner.backoff.ms", "10"), ("log.segment.delete.delay.ms", "0")];
const COMPACTED: [(&str, &str); 4] = [
    ("cleanup.policy", "compact"),
    ("internal.segment.bytes", "16384"),
    ("min.cleanable.dirty.ratio", "0.01"),
    ("delete.retention.ms", "0"),
];
const KEYS: usize = 97;

/// Every record of the partition, in order, as librdkafka reads it; fails if an offset comes twice. Read is up to an end
/// that is the end still when it is reached: a record that is overtaken meanwhile is seen in its newer form. The last
/// record that was produced is the last one of its key, so it is always there.
fn read(broker: &Broker, topic: &str) -> Vec<Seen> {
    let mut connection = broker.connect();
    let mut end = || look_up(&mut connection, topic, 0, -1).offset;
    let mut known_end = end();
    let settings = [("group.id", "none"), ("check.crcs", "true"), ("fetch.wait.max.ms", "10")];
    let consumer: BaseConsumer = config(broker.address(), &settings).create().unwrap();
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&partitions).unwrap();
    let mut records: Vec<Seen> = Vec::new();
    wait_until("the end of the partition", || {
        if let Some(record) = poll(&consumer) {
            assert!(records.last().is_none_or(|last| last.offset < record.offset), "{}", record.offset);
            records.push(record);
        }
        let next = records.last().map_or(0, |last| last.offset + 1);
        if next >= known_end {
            known_end = end();
        }
        next >= known_end
    });
    records
}

/// Base offset of the segment that still grows, and the files that only a compaction in progress has.
fn files(broker: &Broker, topic: &str) -> (i64, usize) {
    let (mut active, mut temporary) = (0, 0);
    for entry in std::fs::read_dir(broker.directory().join(format!("{topic}-0"))).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        temporary += usize::from(name.ends_with(".cleaned") || name.ends_with(".swap"));
        if let Some(base) = name.strip_suffix(".log") {
            active = active.max(base.parse().unwrap());
        }
    }
    (active, temporary)
}

/// Whether of what is not in the active segment each key is there once.
fn is_compact(broker: &Broker, topic: &str) -> bool {
    let (active, temporary) = files(broker, topic);
    let mut seen = HashMap::new();
    let once = read(broker, topic)
        .into_iter()
        .filter(|record| record.offset < active)
        .all(|record| seen.insert(record.key, record.offset).is_none());
    once && temporary == 0
}

fn key(n: usize) -> String {
    format!("key-{}", n % KEYS)
}

#[test]
fn a_compacted_topic_keeps_the_last_record_of_each_key() {
    let Some(broker) = Broker::own(&EAGER) else { return };
    let topic = unique("compacted");
    create_topic(&mut broker.connect(), &topic, 1, &COMPACTED);
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let sending = Sending::new(broker.address(), &[("compression.type", codec), ("batch.size", "4000")]);
        (0..3000)
            .for_each(|n| sending.send(&topic, Some(&key(n)), format!("{n}-{}", "x".repeat(100)).as_bytes()));
        sending.finish();
    }
    wait_until("one record a key", || is_compact(&broker, &topic));
    let end = look_up(&mut broker.connect(), &topic, 0, -1).offset;
    assert_eq!(end, 15_000, "offsets stay");
    let last: HashMap<_, _> = read(&broker, &topic).into_iter().map(|r| (r.key.clone(), r)).collect();
    assert_eq!(last.len(), KEYS);
    for n in 3000 - KEYS..3000 {
        let record = &last[&key(n)];
        assert_eq!(record.offset, 12_000 + n as i64);
        assert!(record.value.starts_with(format!("{n}-").as_bytes()));
    }
    let bytes: u64 = std::fs::read_dir(broker.directory().join(format!("{topic}-0")))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_name().to_string_lossy().ends_with(".log"))
        .map(|entry| entry.metadata().unwrap().len())
        .sum();
    assert!(bytes < 60_000, "{bytes}");
}

#[test]
fn compaction_survives_kill_9() {
    let Some(mut broker) = Broker::own(&EAGER) else { return };
    let topic = unique("compacted-killed");
    create_topic(&mut broker.connect(), &topic, 1, &COMPACTED);
    let settings = [
        ("enable.idempotence", "true"),
        ("linger.ms", "1"),
        ("batch.size", "3000"),
        ("message.timeout.ms", "170000"),
        ("retry.backoff.ms", "20"),
    ];
    let sending = Sending::new(broker.address(), &settings);
    let (rounds, per_round) = if broker.is_milena() { (15, 2000) } else { (2, 2000) };
    for round in 0..rounds {
        let all = (round + 1) * per_round;
        for n in round * per_round..all {
            sending.send(&topic, Some(&key(n)), format!("{n:08}{}", "x".repeat(90)).as_bytes());
        }
        // At another point of the work each time.
        wait_until("acknowledgements", || sending.deliveries.count() >= all - per_round + round * 97);
        broker.kill();
        broker.launch();
        let acknowledged: HashMap<_, _> =
            sending.deliveries.acknowledged().into_iter().map(|r| (key(number(&r.value)), r)).collect();
        let found: HashMap<_, _> = read(&broker, &topic).into_iter().map(|r| (r.key, r.value)).collect();
        for (key, record) in acknowledged {
            let latest = found.get(&key).unwrap_or_else(|| panic!("round {round}: {key} is gone"));
            assert!(number(latest) >= number(&record.value), "round {round}: {key} is old");
        }
    }
    sending.finish();
    wait_until("one record a key", || is_compact(&broker, &topic));
    let last: HashMap<_, _> = read(&broker, &topic).into_iter().map(|r| (r.key, r.value)).collect();
    let total = rounds * per_round;
    assert_eq!(last.len(), KEYS);
    for n in total - KEYS..total {
        assert_eq!(number(&last[&key(n)]), n);
    }
    assert_eq!(look_up(&mut broker.connect(), &topic, 0, -1).offset, total as i64, "nothing is there twice");
    let (status, _) = broker.terminate();
    assert!(status.success());
    let checkpoint = std::fs::read_to_string(broker.directory().join("cleaner-offset-checkpoint")).unwrap();
    assert!(checkpoint.contains(&format!("{topic} 0 ")), "{checkpoint}");
    broker.launch();
    assert!(is_compact(&broker, &topic));
}

fn commit(connection: &mut Connection, group: &str, topic: &str, offset: i64) -> i16 {
    let partition = OffsetCommitRequestPartition::default()
        .with_committed_offset(offset)
        .with_committed_metadata(Some(text(&"m".repeat(4_000))));
    let topic = OffsetCommitRequestTopic::default().with_name(name(topic)).with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default().with_group_id(GroupId(text(group))).with_topics(vec![topic]);
    connection.call(8, &request).topics[0].partitions[0].error_code
}

/// Bytes of the segments that do not grow any more, and where the one that does begins.
fn closed(broker: &Broker, topic: &str) -> (u64, i64) {
    let (active, temporary) = files(broker, topic);
    let folder = broker.directory().join(format!("{topic}-0"));
    let bytes = std::fs::read_dir(folder).unwrap().map(Result::unwrap).filter_map(|entry| {
        let base: i64 = entry.file_name().to_str()?.strip_suffix(".log")?.parse().ok()?;
        (base < active).then(|| entry.metadata().map_or(u64::MAX, |file| file.len()))
    });
    (if temporary > 0 { u64::MAX } else { bytes.sum() }, active)
}

/// What a coordinator reads when it starts is what counts, however much was written before.
#[test]
fn internal_topics_stay_as_small_as_what_counts() {
    const INTERNAL: [&str; 2] = ["__consumer_offsets", "__transaction_state"];
    let small = [
        ("offsets.topic.num.partitions", "1"),
        ("offsets.topic.segment.bytes", "1048576"),
        ("transaction.state.log.num.partitions", "1"),
        ("transaction.state.log.segment.bytes", "1048576"),
        ("log.cleaner.min.cleanable.ratio", "0.01"),
    ];
    let Some(mut broker) = Broker::own(&[EAGER.as_slice(), small.as_slice()].concat()) else { return };
    let mut connection = broker.connect();
    let topic = unique("counted");
    create_topic(&mut connection, &topic, 1, &[]);
    let groups = ["a", "b", "c"].map(unique);
    let mut producer = Raw::init(&mut connection, "t".repeat(10_000));
    let mut transaction = |connection: &mut Connection, is_committed| {
        assert_eq!(producer.add(connection, &topic), 0);
        assert_eq!(producer.append(connection, &topic, "value"), 0);
        wait_until("the end", || producer.end(connection, is_committed) == 0);
    };
    for n in 0..1200 {
        let group = &groups[n % groups.len()];
        wait_until("the coordinator", || commit(&mut connection, group, &topic, n as i64) == 0);
        if n % 12 == 0 {
            transaction(&mut connection, n % 24 == 0);
        }
    }
    for topic in INTERNAL {
        wait_until("no more than what counts", || {
            let (bytes, active) = closed(&broker, topic);
            active > 0 && bytes < 100_000
        });
    }
    for is_killed in [true, false] {
        if is_killed {
            broker.kill();
        } else {
            broker.terminate();
        }
        broker.launch();
        connection = broker.connect();
        for (at, group) in groups.iter().enumerate() {
            wait_until("the offset", || committed(&broker, &topic, group) == 1197 + at as i64);
        }
        transaction(&mut connection, is_killed);
    }
}

fn number(value: &[u8]) -> usize {
    std::str::from_utf8(&value[..8]).unwrap().parse().unwrap()
}
