//! kill -9 at random moments, again and again, while everything happens at once: idempotent producers over segments that
//! roll, transactions, topics that come and go, group commits, retention, compaction, metadata snapshots. Nothing
//! acknowledged is missing, moved or there twice, and nothing piles up.

mod decisions;

use crate::crash::{PARTITIONS, stored as stored_once};
use crate::rd::{Sending, wait_until};
use crate::transactions::Raw;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::{
    CreateTopicsRequest, DeleteTopicsRequest, GroupId, OffsetCommitRequest, OffsetFetchRequest,
};
use kafka_protocol::protocol::Request;
use milena_integration_tests::broker::{Broker, unique};
use milena_integration_tests::process;
use milena_integration_tests::random::Random;
use milena_integration_tests::raw::{self, Connection};
use milena_integration_tests::records::{batches, now_ms};
use milena_integration_tests::requests::{
    CREATE_TOPICS, create_topic, describe_topic, look_up, name, read_all, text,
};
use std::collections::{BTreeSet, HashMap};
use std::env;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

const SENDERS: usize = 3;
/// Records that a sender is ahead of its acknowledgements at most.
const AHEAD: usize = 2_000;
const KEYS: usize = 50;
/// Descriptors that the broker, and this process with its clients, may have open at any time: what a process gets where
/// nobody has raised its limit.
const DESCRIPTORS: usize = 1_024;
/// The retriable answers of a broker that is coming back.
const RETRIABLE: [i16; 6] = [3, 5, 6, 14, 15, 16];

/// What the broker is told, so that a minute sees what else takes days.
const SETTINGS: [(&str, &str); 7] = [
    ("log.retention.check.interval.ms", "100"),
    ("log.initial.task.delay.ms", "0"),
    ("log.cleaner.backoff.ms", "100"),
    ("log.segment.delete.delay.ms", "200"),
    ("metadata.log.max.record.bytes.between.snapshots", "5000"),
    ("metadata.max.retention.bytes", "50000"),
    ("offsets.topic.num.partitions", "3"),
];

/// Sends one request until it is answered with an error code that `done` takes.
struct Persistent<'a> {
    address: &'a str,
    connection: Option<Connection>,
    stop: &'a AtomicBool,
}

impl Persistent<'_> {
    /// The response, or `None` once the others have stopped. Everything may have been done twice.
    fn call<R: Request>(
        &mut self,
        version: i16,
        request: &R,
        done: impl Fn(&R::Response) -> bool,
    ) -> Option<R::Response> {
        loop {
            if let Ok(response) = self.attempt(version, request)
                && done(&response)
            {
                return Some(response);
            }
            if self.stop.load(Ordering::Relaxed) {
                return None;
            }
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }

    fn attempt<R: Request>(&mut self, version: i16, request: &R) -> io::Result<R::Response> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::try_open(self.address)?,
        };
        connection.send_bytes(&raw::frame(1, version, request))?;
        let frame = connection.receive_frame()?;
        self.connection = Some(connection);
        Ok(raw::decode::<R>(version, frame).1)
    }
}

/// Topics that one thread creates and deletes; what must be there at the end, and what must not.
#[derive(Default)]
struct Churn {
    kept: BTreeSet<String>,
    gone: BTreeSet<String>,
    /// Not answered when everything stopped: either is right.
    open: Option<String>,
}

fn churn(address: &str, stop: &AtomicBool, rounds: &AtomicUsize) -> Churn {
    let mut broker = Persistent { address, connection: None, stop };
    let mut churn = Churn::default();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let topic = format!("churn-{number}");
        let request = CreateTopicsRequest::default().with_timeout_ms(30_000).with_topics(vec![
            CreatableTopic::default()
                .with_name(name(&topic))
                .with_num_partitions(3)
                .with_replication_factor(1),
        ]);
        // 36: it was made before the broker died, which could not say so.
        churn.open = Some(topic.clone());
        let made = broker.call(CREATE_TOPICS, &request, |r| [0, 36].contains(&r.topics[0].error_code));
        if made.is_none() {
            break;
        }
        // One of ten stays.
        if number % 10 == 0 {
            churn.kept.insert(topic);
        } else {
            let topics = vec![DeleteTopicState::default().with_name(Some(name(&topic)))];
            let request = DeleteTopicsRequest::default().with_timeout_ms(30_000).with_topics(topics);
            if broker.call(6, &request, |r| [0, 3].contains(&r.responses[0].error_code)).is_none() {
                break;
            }
            churn.gone.insert(topic);
        }
        churn.open = None;
        rounds.fetch_add(1, Ordering::Relaxed);
    }
    churn
}

/// Commits growing offsets; the last that was acknowledged, and the last that was tried.
fn commit(address: &str, topic: &str, group: &str, stop: &AtomicBool) -> (i64, i64) {
    let mut broker = Persistent { address, connection: None, stop };
    let mut acknowledged = 0;
    for offset in 1.. {
        if stop.load(Ordering::Relaxed) {
            return (acknowledged, offset);
        }
        let partition =
            OffsetCommitRequestPartition::default().with_partition_index(0).with_committed_offset(offset);
        let request = OffsetCommitRequest::default()
            .with_group_id(GroupId(text(group)))
            .with_generation_id_or_member_epoch(-1)
            .with_topics(vec![
                OffsetCommitRequestTopic::default().with_name(name(topic)).with_partitions(vec![partition]),
            ]);
        let code = |r: &kafka_protocol::messages::OffsetCommitResponse| r.topics[0].partitions[0].error_code;
        if broker.call(8, &request, |r| !RETRIABLE.contains(&code(r))).is_none_or(|r| code(&r) != 0) {
            return (acknowledged, offset);
        }
        acknowledged = offset;
        std::thread::park_timeout(Duration::from_millis(1));
    }
    unreachable!("there are more offsets than time")
}

/// What a group has committed for partition 0.
pub(crate) fn committed(broker: &Broker, topic: &str, group: &str) -> i64 {
    let request = OffsetFetchRequest::default().with_groups(vec![
        OffsetFetchRequestGroup::default().with_group_id(GroupId(text(group))).with_topics(Some(vec![
            OffsetFetchRequestTopics::default().with_name(name(topic)).with_partition_indexes(vec![0]),
        ])),
    ]);
    let response = broker.connect().call(8, &request);
    response.groups[0].topics[0].partitions[0].committed_offset
}

/// Sends to a topic as fast as it is acknowledged, from a number on, until the others stop.
fn send(sender: &Sending, topic: &str, index: usize, stop: &AtomicBool, record: impl Fn(usize) -> Vec<u8>) {
    for n in 0.. {
        wait_until("acknowledgements", || {
            stop.load(Ordering::Relaxed) || n < sender.deliveries.count() + AHEAD
        });
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let key = format!("{index}-{}", n % KEYS);
        sender.send(topic, Some(&key), &record(n));
    }
}

/// Every acknowledged record is at its place, once, and nothing else is there.
fn check_ledger(broker: &Broker, topic: &str, senders: &[Sending]) -> usize {
    let mut stored = HashMap::new();
    for (value, place) in stored_once(broker, topic) {
        let known = stored.insert(value[..24.min(value.len())].to_vec(), place);
        assert_eq!(known, None, "{} is doubled", String::from_utf8_lossy(&value[..24]));
    }
    let mut count = 0;
    for record in senders.iter().flat_map(|sender| sender.deliveries.acknowledged()) {
        count += 1;
        let place = stored.get(&record.value[..24.min(record.value.len())]);
        let right =
            place.is_some_and(|place| record.offset < 0 || *place == (record.partition, record.offset));
        let value = String::from_utf8_lossy(&record.value[..24]).into_owned();
        assert!(right, "{value}, acknowledged at {}-{}, lies at {place:?}", record.partition, record.offset);
    }
    assert_eq!(stored.len(), count, "what is stored was acknowledged in the end");
    count
}

/// The newest value of each key of a compacted topic is the one that was acknowledged last.
fn check_compacted(broker: &Broker, topic: &str, sender: &Sending) {
    let mut newest: HashMap<usize, usize> = HashMap::new();
    for record in sender.deliveries.acknowledged() {
        let n = number(&record.value);
        newest.entry(n % KEYS).and_modify(|last| *last = n.max(*last)).or_insert(n);
    }
    let mut found: HashMap<usize, usize> = HashMap::new();
    let bytes = read_all(&mut broker.connect(), topic, 0);
    for batch in batches(&bytes) {
        assert!(batch.is_sound(), "{topic} at {}", batch.base_offset());
        for value in batch.values() {
            let n = number(value);
            // In the order of the log: the last one counts.
            found.insert(n % KEYS, n);
        }
    }
    assert_eq!(found, newest, "{topic}");
}

/// What is left of a topic with a size limit is its end, without a hole.
fn check_retained(broker: &Broker, topic: &str, sender: &Sending) {
    let bytes = read_all(&mut broker.connect(), topic, 0);
    let mut values = Vec::new();
    for batch in batches(&bytes) {
        assert!(batch.is_sound(), "{topic} at {}", batch.base_offset());
        values.extend(batch.values().into_iter().map(number));
    }
    let last = sender.deliveries.acknowledged().iter().map(|record| number(&record.value)).max();
    assert_eq!(values.last().copied(), last, "{topic}");
    assert!(values.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{topic} has a hole");
}

/// The number that a value begins with.
fn number(value: &[u8]) -> usize {
    let text = String::from_utf8_lossy(value);
    text.split('-').nth(1).and_then(|n| n.parse().ok()).expect("a number")
}

fn folders(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a data directory").flatten();
    let folders = entries.filter(|entry| entry.path().is_dir());
    folders.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn rounds(default: usize) -> usize {
    env::var("MILENA_TEST_KILL_ROUNDS").map_or(default, |rounds| rounds.parse().expect("a number of rounds"))
}

fn value(index: usize, n: usize, len: usize) -> Vec<u8> {
    let mut value = format!("{index}-{n}-").into_bytes();
    value.resize(len, b'x');
    value
}

fn marathon(rounds: usize) {
    let Some(mut broker) = Broker::milena(&SETTINGS) else { return };
    let seed =
        env::var("MILENA_TEST_SEED").map_or_else(|_| now_ms() as u64, |seed| seed.parse().expect("a seed"));
    eprintln!("MILENA_TEST_SEED={seed}");
    let mut random = Random::new(seed);
    let (ledger, compacted, retained) = (unique("ledger"), unique("compacted"), unique("retained"));
    let small = ("segment.bytes", "1048576");
    create_topic(&mut broker.connect(), &ledger, PARTITIONS, &[small]);
    let compact = [small, ("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0.01")];
    create_topic(&mut broker.connect(), &compacted, 1, &compact);
    create_topic(&mut broker.connect(), &retained, 1, &[small, ("retention.bytes", "3145728")]);
    let decided = unique("decided");
    create_topic(&mut broker.connect(), &decided, 1, &[small]);
    let producer = Raw::init(&mut broker.connect(), unique("marathon"));
    let settings = [
        ("enable.idempotence", "true"),
        ("linger.ms", "1"),
        ("message.timeout.ms", "170000"),
        ("retry.backoff.ms", "10"),
    ];
    let senders: Vec<Sending> = (0..SENDERS).map(|_| Sending::new(broker.address(), &settings)).collect();
    let others: Vec<Sending> = (0..2).map(|_| Sending::new(broker.address(), &settings)).collect();
    let (stop, churned, address) = (AtomicBool::new(false), AtomicUsize::new(0), broker.address().to_owned());
    let (stop, churned, address) = (&stop, &churned, address.as_str());
    let mut descriptors = Vec::new();
    let (churn, offsets, decisions) = std::thread::scope(|scope| {
        for (index, sender) in senders.iter().enumerate() {
            let ledger = &ledger;
            scope.spawn(move || {
                // A checksum of 24 bytes tells them apart; 700 more make segments roll.
                send(sender, ledger, index, stop, |n| {
                    format!("{:<24}{}", format!("{index}-{n}-"), "x".repeat(700)).into_bytes()
                });
            });
        }
        scope.spawn(|| send(&others[0], &compacted, 0, stop, |n| value(0, n, 900)));
        scope.spawn(|| send(&others[1], &retained, 0, stop, |n| value(0, n, 900)));
        let churn = scope.spawn(|| churn(address, stop, churned));
        let offsets = scope.spawn(|| commit(address, &ledger, "marathon", stop));
        let decisions = scope.spawn(|| decisions::decide(address, &decided, &producer, stop));
        for _ in 0..rounds {
            let acknowledged = || senders.iter().map(|sender| sender.deliveries.count()).sum::<usize>();
            let target = acknowledged() + 1 + random.below(1_500);
            wait_until("acknowledgements", || acknowledged() >= target);
            std::thread::park_timeout(Duration::from_micros(random.below(20_000) as u64));
            let open = [broker.pid().expect("it runs"), std::process::id()]
                .map(|pid| process::usage(pid).map_or(0, |usage| usage.descriptors));
            assert!(open.iter().all(|open| *open < DESCRIPTORS), "broker and tests have open: {open:?}");
            descriptors.push(open);
            broker.kill();
            broker.launch();
        }
        stop.store(true, Ordering::Relaxed);
        let decisions = decisions.join().expect("transactions end");
        (churn.join().expect("topics come and go"), offsets.join().expect("offsets are committed"), decisions)
    });
    senders.iter().chain(&others).for_each(Sending::finish);
    let count = check_ledger(&broker, &ledger, &senders);
    check_compacted(&broker, &compacted, &others[0]);
    check_retained(&broker, &retained, &others[1]);
    decisions::check(&broker, &decided, &decisions);
    let found = committed(&broker, &ledger, "marathon");
    assert!((offsets.0..=offsets.1).contains(&found), "committed {found}, acknowledged {offsets:?}");
    check_topics(&mut broker, &churn, &[&ledger, &compacted, &retained, &decided]);
    eprintln!(
        "{rounds} kills: {count} records in the ledger, {} and {} in the others, {} transactions, {} topics made, \
         offset {found}; descriptors of the broker and of this process {:?} to {:?}",
        others[0].deliveries.count(),
        others[1].deliveries.count(),
        decisions.ended,
        churned.load(Ordering::Relaxed),
        descriptors.first(),
        descriptors.last()
    );
    dump(&mut broker);
}

/// The topics that were acknowledged are there, those whose deletion was are not, and no folder is left of them.
fn check_topics(broker: &mut Broker, churn: &Churn, others: &[&str]) {
    for topic in &churn.kept {
        assert_eq!(describe_topic(&mut broker.connect(), topic).error_code, 0, "{topic}");
        for partition in 0..3 {
            assert_eq!(look_up(&mut broker.connect(), topic, partition, -1).error_code, 0, "{topic}");
        }
    }
    for topic in &churn.gone {
        assert_eq!(describe_topic(&mut broker.connect(), topic).error_code, 3, "{topic}");
    }
    let (status, _) = broker.terminate();
    assert!(status.success());
    let left: Vec<_> = folders(broker.directory())
        .into_iter()
        .filter(|folder| {
            let topic = folder.rsplit_once('-').map_or("", |(topic, _)| topic);
            !(topic.starts_with("__") || others.contains(&topic) || churn.kept.contains(topic))
                && churn.open.as_deref() != Some(topic)
        })
        .collect();
    assert!(left.is_empty(), "left behind: {left:?}");
    broker.launch();
}

/// Leaves a copy of the directory for `DumpLogSegments` where `MILENA_TEST_KEEP` says, as a kill leaves it.
fn dump(broker: &mut Broker) {
    let Some(to) = env::var_os("MILENA_TEST_KEEP") else { return };
    broker.kill();
    let copied = std::process::Command::new("cp").arg("-a").arg(broker.directory()).arg(to).status();
    assert!(copied.is_ok_and(|status| status.success()), "the directory cannot be copied");
}

#[test]
fn everything_survives_kill_9() {
    marathon(rounds(4));
}

#[test]
#[ignore = "minutes: cargo test --release -p milena-integration-tests -- --ignored marathon"]
fn everything_survives_kill_9_two_hundred_times() {
    marathon(rounds(200));
}
