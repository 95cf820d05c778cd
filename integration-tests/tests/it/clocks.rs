//! The wall clock is set while the broker runs: what began in this process takes as long as it would have, and what is a
//! matter of dates follows the clock, as in Kafka. [`WallClock`] moves that of one process.

use crate::configs::eventually;
use crate::quotas::set_quota;
use crate::transactions::{Raw, committed};
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopic;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    ConsumerGroupHeartbeatRequest, CreateTopicsRequest, HeartbeatRequest, JoinGroupRequest,
    OffsetCommitRequest, OffsetFetchRequest, SyncGroupRequest,
};
use milena_integration_tests::broker::{Broker, binary, skipped, unique};
use milena_integration_tests::raw::Connection;
use milena_integration_tests::records::{Batch, batches, now_ms};
use milena_integration_tests::requests::{
    CREATE_TOPICS, GROUPS, append, create_topic, find_coordinator, look_up, name, producer_id, read_all, text,
};
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::process::Command;
use tempfile::TempDir;

const INVALID_TIMESTAMP: i16 = 32;
const HOUR: i64 = 3600;

/// Looks often at what may be too old.
const SETTINGS: [(&str, &str); 8] = [
    ("log.retention.check.interval.ms", "100"),
    ("log.initial.task.delay.ms", "0"),
    ("log.segment.delete.delay.ms", "0"),
    ("offsets.retention.minutes", "60"),
    ("offsets.retention.check.interval.ms", "100"),
    ("producer.id.expiration.check.interval.ms", "100"),
    ("transaction.abort.timed.out.transaction.cleanup.interval.ms", "100"),
    ("controller.quota.window.num", "2"),
];

/// The wall clock of a broker: what takes the time is put before the C library's.
struct WallClock {
    folder: TempDir,
    ahead: File,
}

impl WallClock {
    const SOURCE: &str = include_str!("clocks/wall_clock.c");

    /// Says why not, where there is no compiler or the binary takes no part in dynamic linking.
    fn new() -> Result<Self, String> {
        let mut head = [0; 8192];
        let read = File::open(binary()).and_then(|mut file| file.read(&mut head)).expect("the binary");
        if !head[..read].windows(7).any(|bytes| bytes == b"/ld-lin") {
            return Err("the broker is linked statically, its clock cannot be moved".to_owned());
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let source = folder.path().join("wall_clock.c");
        fs::write(&source, Self::SOURCE).expect("a temporary file");
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O1", "-o"]).arg(folder.path().join("wall_clock.so")).arg(&source);
        match cc.output() {
            Ok(done) => assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr)),
            Err(error) => return Err(format!("there is no C compiler to move a clock with: {error}")),
        }
        let path = folder.path().join("ahead");
        let ahead = OpenOptions::new().write(true).create_new(true).open(path).expect("a temporary file");
        let clock = Self { folder, ahead };
        clock.set(0);
        Ok(clock)
    }

    /// From now on it is so many seconds ahead of the machine's.
    fn set(&self, seconds: i64) {
        self.ahead.write_all_at(&seconds.to_ne_bytes(), 0).expect("a temporary file");
    }

    fn broker(&self) -> Option<Broker> {
        let path = |name| self.folder.path().join(name).display().to_string();
        let (library, ahead) = (path("wall_clock.so"), path("ahead"));
        Broker::milena_with(&[("LD_PRELOAD", &library), ("WALL_CLOCK", &ahead)], &SETTINGS)
    }
}

/// A batch of one record with a timestamp of the machine's clock.
fn now(value: &str) -> Batch {
    Batch { base_timestamp: now_ms(), ..Batch::of([value]) }
}

/// A member of each kind of group, whose sessions are shorter than the jumps.
struct Members {
    classic: HeartbeatRequest,
    consumer: ConsumerGroupHeartbeatRequest,
}

impl Members {
    fn join(connection: &mut Connection, topic: &str) -> Self {
        let (classic, consumer) = (unique("classic"), unique("consumer"));
        find_coordinator(connection, GROUPS, &classic);
        let protocol = JoinGroupRequestProtocol::default().with_name(text("range"));
        let join = JoinGroupRequest::default()
            .with_group_id(text(&classic).into())
            .with_session_timeout_ms(60_000)
            .with_rebalance_timeout_ms(60_000)
            .with_protocol_type(text("consumer"))
            .with_protocols(vec![protocol]);
        let joined = connection.call(3, &join);
        assert_eq!(joined.error_code, 0);
        let assignment = SyncGroupRequestAssignment::default().with_member_id(joined.member_id.clone());
        let sync = SyncGroupRequest::default()
            .with_group_id(text(&classic).into())
            .with_member_id(joined.member_id.clone())
            .with_generation_id(joined.generation_id)
            .with_assignments(vec![assignment]);
        assert_eq!(connection.call(2, &sync).error_code, 0);
        let beat = ConsumerGroupHeartbeatRequest::default()
            .with_group_id(text(&consumer).into())
            .with_member_id(text("member"))
            .with_member_epoch(0)
            .with_rebalance_timeout_ms(60_000)
            .with_subscribed_topic_names(Some(vec![name(topic)]))
            .with_topic_partitions(Some(Vec::new()));
        assert_eq!(connection.call(1, &beat).error_code, 0);
        let classic = HeartbeatRequest::default()
            .with_group_id(text(&classic).into())
            .with_member_id(joined.member_id)
            .with_generation_id(joined.generation_id);
        let consumer =
            beat.with_member_epoch(1).with_subscribed_topic_names(None).with_topic_partitions(None);
        Self { classic, consumer }
    }

    /// They are members as before.
    fn beat(&self, connection: &mut Connection) {
        assert_eq!(connection.call(3, &self.classic).error_code, 0);
        let beaten = connection.call(1, &self.consumer);
        assert_eq!((beaten.error_code, beaten.member_epoch), (0, 1));
    }
}

/// Commits offset 1 of a group without members.
fn commit(connection: &mut Connection, group: &str, topic: &str) {
    let partition = OffsetCommitRequestPartition::default().with_committed_offset(1);
    let topic = OffsetCommitRequestTopic::default().with_name(name(topic)).with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(text(group).into())
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic]);
    assert_eq!(connection.call(8, &request).topics[0].partitions[0].error_code, 0);
}

fn stored_offset(connection: &mut Connection, group: &str, topic: &str) -> i64 {
    let topic = OffsetFetchRequestTopic::default().with_name(name(topic)).with_partition_indexes(vec![0]);
    let request =
        OffsetFetchRequest::default().with_group_id(text(group).into()).with_topics(Some(vec![topic]));
    connection.call(7, &request).topics[0].partitions[0].committed_offset
}

/// Asks for a new topic of so many partitions, in a version that is refused where the quota is used up.
fn create(connection: &mut Connection, partitions: i32) -> i16 {
    let topic = CreatableTopic::default()
        .with_name(name(&unique("created")))
        .with_num_partitions(partitions)
        .with_replication_factor(1);
    let request = CreateTopicsRequest::default().with_timeout_ms(30_000).with_topics(vec![topic]);
    connection.call(CREATE_TOPICS, &request).topics[0].error_code
}

/// Timestamps of a partition's batches.
fn timestamps(connection: &mut Connection, topic: &str) -> Vec<i64> {
    let all = read_all(connection, topic, 0);
    batches(&all)
        .iter()
        .map(|batch| i64::from_be_bytes(*batch.bytes[35..].first_chunk().expect("a header")))
        .collect()
}

fn segments(broker: &Broker, topic: &str) -> usize {
    let entries = fs::read_dir(broker.directory().join(format!("{topic}-0"))).expect("the partition");
    entries.flatten().filter(|entry| entry.path().extension().is_some_and(|end| end == "log")).count()
}

/// What runs on the steady clock is left alone by a jump; what is a matter of dates is not by one that goes ahead.
fn jump(seconds: i64) {
    let clock = match WallClock::new() {
        Ok(clock) => clock,
        Err(reason) => return skipped(&reason),
    };
    let Some(mut broker) = clock.broker() else { return };
    let mut connection = broker.connect();
    let [plain, stamped, short, quick] = ["plain", "stamped", "short", "quick"].map(unique);
    create_topic(&mut connection, &plain, 1, &[]);
    let stamps =
        [("message.timestamp.type", "LogAppendTime"), ("retention.ms", "-1"), ("segment.ms", "600000")];
    create_topic(&mut connection, &stamped, 1, &stamps);
    create_topic(&mut connection, &short, 1, &[("retention.ms", "3600000")]);
    // Of any time.
    let ahead = [("message.timestamp.after.max.ms", "9223372036854775807")];
    create_topic(&mut connection, &quick, 1, &ahead);
    for topic in [&plain, &stamped, &short] {
        assert_eq!(append(&mut connection, topic, 0, now("before").encode()).error_code, 0);
    }
    let members = Members::join(&mut connection, &plain);
    let group = unique("alone");
    commit(&mut connection, &group, &plain);
    let mut transactional = Raw::init(&mut connection, unique("open"));
    assert_eq!(transactional.add(&mut connection, &plain), 0);
    assert_eq!(transactional.append(&mut connection, &plain, "in a transaction"), 0);
    let (id, epoch) = producer_id(&mut connection, None);
    let idempotent = |sequence| {
        let batch = now("in a row");
        Batch { producer_id: id, producer_epoch: epoch, base_sequence: sequence, ..batch }.encode()
    };
    assert_eq!(append(&mut connection, &quick, 0, idempotent(0)).error_code, 0);
    set_quota(&mut connection, "controller_mutation_rate", 50.0);
    assert_eq!(create(&mut connection, 1), 0);

    clock.set(seconds);
    // Records bear the time of the broker where the topic says so, and segments go by it.
    assert_eq!(append(&mut connection, &stamped, 0, now("after").encode()).error_code, 0);
    let seen = timestamps(&mut connection, &stamped);
    let moved = (seen[1] - seen[0]) / 1000;
    assert!((moved - seconds).abs() < HOUR / 2, "{seen:?}: the clock was not moved by {seconds} s");
    assert_eq!(segments(&broker, &stamped), if seconds > 0 { 2 } else { 1 });
    // An hour ahead of the broker is what a record may be.
    let code = append(&mut connection, &plain, 0, now("after").encode()).error_code;
    assert_eq!(code, if seconds < 0 { INVALID_TIMESTAMP } else { 0 });
    // Sessions, transactions and producers go on.
    members.beat(&mut connection);
    assert_eq!(transactional.state(&mut connection), "Ongoing");
    assert_eq!(append(&mut connection, &quick, 0, idempotent(1)).error_code, 0);
    let mut other = broker.connect();
    if seconds > 0 {
        eventually(|| look_up(&mut other, &short, 0, -2).offset == 1);
        eventually(|| stored_offset(&mut other, &group, &plain) == -1);
    } else {
        assert_eq!(look_up(&mut other, &short, 0, -2).offset, 0);
        assert_eq!(stored_offset(&mut other, &group, &plain), 1);
    }
    // By then everything was looked at that may be too old, some hundred milliseconds long.
    members.beat(&mut connection);
    assert_eq!(transactional.end(&mut connection, true), 0);
    assert!(committed(&mut connection, &plain).0.contains(&"in a transaction".to_owned()));
    // Who has changed too much may change something again soon.
    assert_eq!(create(&mut connection, 110), 0);
    eventually(|| create(&mut other, 1) == 0);

    // A start finds the clock where it is, and what was written by another.
    broker.kill();
    clock.set(0);
    broker.launch();
    let mut connection = broker.connect();
    assert_eq!(timestamps(&mut connection, &stamped), seen);
    assert_eq!(look_up(&mut connection, &quick, 0, -1).offset, 2);
    assert_eq!(append(&mut connection, &plain, 0, now("at last").encode()).error_code, 0);
}

#[test]
fn a_wall_clock_that_is_set_ahead_ends_what_is_a_matter_of_dates_and_nothing_else() {
    jump(2 * HOUR);
}

#[test]
fn a_wall_clock_that_is_set_back_ends_nothing_and_keeps_nothing_back() {
    jump(-2 * HOUR);
}
