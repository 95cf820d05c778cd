//! Several data directories: which broker may use them, what is served while one of them has failed, and partitions
//! that move from one to another under load.

use crate::configs::{BROKER, DELETE, SET, alter_one};
use crate::marathon::committed;
use crate::rd::{Sending, consume, member, wait_until};
use crate::transactions::Raw;
use kafka_protocol::messages::alter_replica_log_dirs_request::{AlterReplicaLogDir, AlterReplicaLogDirTopic};
use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::describe_log_dirs_response::{DescribeLogDirsPartition, DescribeLogDirsResult};
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    AlterReplicaLogDirsRequest, DescribeLogDirsRequest, GroupId, OffsetCommitRequest,
};
use milena_integration_tests::broker::{Broker, Process, command, free_port, unique};
use milena_integration_tests::raw::{Connection, PATIENCE};
use milena_integration_tests::records::Batch;
use milena_integration_tests::requests::{
    append, create_topic, describe_topic, look_up, name, read_all, text,
};
use rdkafka::consumer::{CommitMode, Consumer};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// KAFKA_STORAGE_ERROR
const STORAGE_ERROR: i16 = 56;
/// LEADER_NOT_AVAILABLE
const NO_LEADER: i16 = 5;

/// `log.dirs` of these names in a folder.
fn list(folder: &Path, names: &[&str]) -> String {
    let paths: Vec<String> = names.iter().map(|name| folder.join(name).display().to_string()).collect();
    paths.join(",")
}

/// A broker with the data directories `a`, which holds the metadata, and `b`.
fn start(options: &[(&str, &str)]) -> Option<Broker> {
    drop(Broker::milena(&[])?);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dirs = list(folder.path(), &["a", "b"]);
    let all: Vec<_> = [("log.dirs", dirs.as_str())].into_iter().chain(options.iter().copied()).collect();
    Some(Broker::start_in(folder, &all))
}

fn dirs(connection: &mut Connection) -> Vec<DescribeLogDirsResult> {
    connection.call(4, &DescribeLogDirsRequest::default().with_topics(None)).results
}

/// Where the logs of a partition are: the name of the data directory and what is said of the log.
fn places(
    connection: &mut Connection,
    topic: &str,
    partition: i32,
) -> Vec<(String, DescribeLogDirsPartition)> {
    let wanted = DescribableLogDirTopic::default().with_topic(name(topic)).with_partitions(vec![partition]);
    let request = DescribeLogDirsRequest::default().with_topics(Some(vec![wanted]));
    let mut found = Vec::new();
    for dir in connection.call(4, &request).results {
        let place = dir.log_dir.rsplit('/').next().unwrap_or_default().to_owned();
        found.extend(dir.topics.into_iter().flat_map(|t| t.partitions).map(|p| (place.clone(), p)));
    }
    found
}

/// Asks for a partition to move; the error code.
fn alter(connection: &mut Connection, path: &Path, topic: &str, partition: i32) -> i16 {
    let wanted = AlterReplicaLogDirTopic::default().with_name(name(topic)).with_partitions(vec![partition]);
    let dir =
        AlterReplicaLogDir::default().with_path(text(&path.display().to_string())).with_topics(vec![wanted]);
    let request = AlterReplicaLogDirsRequest::default().with_dirs(vec![dir]);
    connection.call(2, &request).results[0].partitions[0].error_code
}

fn wait_until_moved(broker: &Broker, topic: &str, to: &str) {
    let mut connection = broker.connect();
    wait_until("the move", || {
        let found = places(&mut connection, topic, 0);
        found.len() == 1 && found[0].0 == to && !found[0].1.is_future_key
    });
}

#[test]
fn directories_and_the_logs_in_them_are_described() {
    let Some(broker) = start(&[]) else { return };
    let mut connection = broker.connect();
    let topic = unique("described");
    create_topic(&mut connection, &topic, 4, &[]);
    append(&mut connection, &topic, 2, Batch::of(["value"]).encode());
    let all = dirs(&mut connection);
    let paths: Vec<&str> = all.iter().map(|dir| dir.log_dir.as_str()).collect();
    assert_eq!(paths.join(","), list(broker.directory(), &["a", "b"]));
    for dir in &all {
        assert_eq!((dir.error_code, dir.topics.len()), (0, 1), "the metadata log is not told");
        assert_eq!(dir.topics[0].partitions.len(), 2, "half of them in each");
        assert!(dir.total_bytes >= dir.usable_bytes && dir.usable_bytes > 0);
    }
    let sizes = (0..4).map(|partition| places(&mut connection, &topic, partition)[0].1.partition_size);
    let sizes: Vec<i64> = sizes.collect();
    assert!(sizes[2] > 60 && sizes.iter().sum::<i64>() == sizes[2], "{sizes:?}");
    let none = DescribeLogDirsRequest::default().with_topics(Some(Vec::new()));
    for version in 1..=4 {
        let answer = connection.call(version, &none);
        assert!(answer.results.iter().all(|dir| dir.topics.is_empty()), "version {version}");
    }
}

#[test]
fn a_partition_moves_under_load_and_back() {
    let Some(mut broker) = start(&[]) else { return };
    let topic = unique("moving");
    create_topic(&mut broker.connect(), &topic, 1, &[("segment.bytes", "1048576")]);
    let sending = Sending::new(broker.address(), &[("enable.idempotence", "true"), ("linger.ms", "1")]);
    let consumer = member(broker.address(), &unique("moving"), &topic, &[]);
    let value = |n: usize| {
        let mut value = n.to_string().into_bytes();
        value.resize(500, b' ');
        value
    };
    let mut sent = 0;
    let mut send = |count: usize| {
        (sent..sent + count).for_each(|n| sending.send(&topic, None, &value(n)));
        sent += count;
        sent
    };
    send(20_000);
    for _ in 0..4 {
        let mut connection = broker.connect();
        let from = places(&mut connection, &topic, 0)[0].0.clone();
        let to = if from == "a" { "b" } else { "a" };
        assert_eq!(alter(&mut connection, &broker.directory().join(to), &topic, 0), 0);
        send(10_000);
        wait_until_moved(&broker, &topic, to);
        send(1000);
    }
    sending.finish();
    let count = send(0);
    let seen = consume(&consumer, count);
    assert!((0..count).all(|n| seen[n].value == value(n)), "each record once, in order");
    assert_eq!(i64::try_from(count).expect("few"), look_up(&mut broker.connect(), &topic, 0, -1).offset);
    let bytes = read_all(&mut broker.connect(), &topic, 0);
    broker.terminate();
    broker.launch();
    assert!(read_all(&mut broker.connect(), &topic, 0) == bytes);
    let mut connection = broker.connect();
    assert_eq!(
        alter(&mut connection, &broker.directory().join("nowhere"), &topic, 0),
        57,
        "LOG_DIR_NOT_FOUND"
    );
    assert_eq!(alter(&mut connection, &broker.directory().join("b"), "unknown", 0), 3);
    create_topic(&mut connection, "unknown", 1, &[]);
    assert_eq!(places(&mut connection, "unknown", 0)[0].0, "b", "it goes where it was wanted");
}

#[test]
fn a_move_is_as_fast_as_is_allowed() {
    let Some(broker) = start(&[]) else { return };
    let mut connection = broker.connect();
    let topic = unique("slowly");
    create_topic(&mut connection, &topic, 1, &[]);
    (0..8).for_each(|_| drop(append(&mut connection, &topic, 0, Batch::of([vec![b'x'; 500_000]]).encode())));
    let key = "replica.alter.log.dirs.io.max.bytes.per.second";
    assert_eq!(alter_one(&mut connection, BROKER, "1", &[(key, SET, Some("1"))]), (0, None));
    let from = places(&mut connection, &topic, 0)[0].0.clone();
    let to = if from == "a" { "b" } else { "a" };
    assert_eq!(alter(&mut connection, &broker.directory().join(to), &topic, 0), 0);
    wait_until("the first piece", || {
        places(&mut connection, &topic, 0).iter().any(|(_, log)| log.is_future_key && log.partition_size > 0)
    });
    // Far longer than the rest of it takes without a limit.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(500) {
        assert_eq!(places(&mut connection, &topic, 0).len(), 2, "it waits");
    }
    assert_eq!(alter_one(&mut connection, BROKER, "1", &[(key, DELETE, None)]), (0, None));
    wait_until_moved(&broker, &topic, to);
}

#[test]
fn a_move_survives_the_death_of_the_broker() {
    let Some(mut broker) = start(&[]) else { return };
    let topic = unique("dying");
    create_topic(&mut broker.connect(), &topic, 1, &[]);
    let sending = Sending::new(broker.address(), &[]);
    (0..20_000).for_each(|n| sending.send(&topic, None, format!("{n:0>1000}").as_bytes()));
    sending.finish();
    let bytes = read_all(&mut broker.connect(), &topic, 0);
    for round in 0..8 {
        let mut connection = broker.connect();
        let from = places(&mut connection, &topic, 0)[0].0.clone();
        let to = if from == "a" { "b" } else { "a" };
        assert_eq!(alter(&mut connection, &broker.directory().join(to), &topic, 0), 0);
        // Somewhere on the way, later in each round.
        let enough = i64::try_from(bytes.len()).expect("little") * round / 7;
        wait_until("a part of the copy", || {
            let found = places(&mut connection, &topic, 0);
            found.len() == 1 || found.iter().any(|(_, p)| p.is_future_key && p.partition_size >= enough)
        });
        broker.kill();
        broker.launch();
        assert!(read_all(&mut broker.connect(), &topic, 0) == bytes, "round {round}");
        // It goes on by itself, unless it was over.
        wait_until("the end of the move", || places(&mut broker.connect(), &topic, 0).len() == 1);
        assert!(read_all(&mut broker.connect(), &topic, 0) == bytes, "round {round}");
    }
}

/// Commits an offset for a group without members, with so much metadata that segments roll and are compacted; the error code.
fn commit(connection: &mut Connection, group: &str, topic: &str, offset: i64) -> i16 {
    let partition = OffsetCommitRequestPartition::default()
        .with_committed_offset(offset)
        .with_committed_metadata(Some(text(&"m".repeat(2_000))));
    let of_topic =
        OffsetCommitRequestTopic::default().with_name(name(topic)).with_partitions(vec![partition]);
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![of_topic]);
    connection.call(8, &request).topics[0].partitions[0].error_code
}

/// Groups go on while the partition moves that they are stored in, and what they have committed is there after a death.
#[test]
fn the_groups_of_a_partition_move_with_it() {
    const ROUNDS: usize = 4;
    const RECORDS: usize = 300;
    // Commits of the other group while a move goes on and after it, beside those of the consumer.
    const COMMITS: usize = 10;
    let options = [
        ("offsets.topic.num.partitions", "1"),
        ("offsets.topic.segment.bytes", "1048576"),
        ("log.cleaner.backoff.ms", "10"),
        ("log.cleaner.min.cleanable.ratio", "0.1"),
    ];
    let Some(mut broker) = start(&options) else { return };
    let topic = unique("grouped");
    create_topic(&mut broker.connect(), &topic, 1, &[]);
    let (live, raw) = (unique("live"), unique("raw"));
    let consumer = member(broker.address(), &live, &topic, &[("auto.commit.interval.ms", "20")]);
    let sending = Sending::new(broker.address(), &[("linger.ms", "1")]);
    let (mut sent, stop) = (0, AtomicBool::new(false));
    let mut pass_on = |count: usize| {
        (sent..sent + count).for_each(|n| sending.send(&topic, None, n.to_string().as_bytes()));
        for record in consume(&consumer, count) {
            assert_eq!(
                record.value,
                sent.to_string().into_bytes(),
                "each record once, in order: nobody rebalances"
            );
            sent += 1;
        }
        sent
    };
    pass_on(1);
    let (committed_one, commits) = mpsc::channel();
    let (acknowledged, place) = thread::scope(|scope| {
        let (raw, topic, broker, stop) = (&raw, &topic, &broker, &stop);
        let committing = scope.spawn(move || {
            let mut connection = broker.connect();
            let mut last = 0;
            while !stop.load(Ordering::Relaxed) {
                assert_eq!(commit(&mut connection, raw, topic, last + 1), 0, "after {last}");
                last += 1;
                // Nobody listens behind the last round.
                let _ = committed_one.send(());
            }
            last
        });
        let some_commits = || {
            while commits.try_recv().is_ok() {}
            for _ in 0..COMMITS {
                commits.recv_timeout(PATIENCE).expect("commits go on");
            }
        };
        let mut connection = broker.connect();
        let mut place = places(&mut connection, "__consumer_offsets", 0)[0].0.clone();
        for _ in 0..ROUNDS {
            place = if place == "a" { "b".to_owned() } else { "a".to_owned() };
            let to = broker.directory().join(&place);
            assert_eq!(alter(&mut connection, &to, "__consumer_offsets", 0), 0);
            pass_on(RECORDS);
            some_commits();
            wait_until_moved(broker, "__consumer_offsets", &place);
            pass_on(RECORDS);
            some_commits();
        }
        stop.store(true, Ordering::Relaxed);
        (committing.join().expect("every commit is acknowledged"), place)
    });
    let sent = pass_on(1);
    consumer.commit_consumer_state(CommitMode::Sync).expect("the position is committed");
    for round in 0..2 {
        assert_eq!(committed(&broker, &topic, &raw), acknowledged, "round {round}");
        assert_eq!(committed(&broker, &topic, &live), i64::try_from(sent).expect("few"), "round {round}");
        let mut connection = broker.connect();
        assert_eq!(places(&mut connection, "__consumer_offsets", 0)[0].0, place);
        if round == 0 {
            broker.kill();
            broker.launch();
        }
    }
}

#[test]
fn a_directory_that_fails_leaves_the_others_serving() {
    let Some(mut broker) = start(&[]) else { return };
    let topic = unique("failing");
    let mut connection = broker.connect();
    create_topic(&mut connection, &topic, 2, &[]);
    let place = |connection: &mut Connection, partition| places(connection, &topic, partition)[0].0.clone();
    let bad = i32::from(place(&mut connection, 0) == "a");
    let batch = || Batch::of(["value"]).encode();
    assert_eq!(append(&mut connection, &topic, bad, batch()).error_code, 0);
    let lost = broker.directory().join("b");
    fs::remove_dir_all(&lost).expect("a directory can be removed");
    // Nobody has noticed yet: the next log that is to be made there does.
    for n in 0..3 {
        let request = kafka_protocol::messages::CreateTopicsRequest::default().with_topics(vec![
            kafka_protocol::messages::create_topics_request::CreatableTopic::default()
                .with_name(name(&format!("{topic}-{n}")))
                .with_num_partitions(2)
                .with_replication_factor(1),
        ]);
        let answer = connection.call(7, &request);
        assert_eq!(answer.topics[0].error_code, if n == 0 { STORAGE_ERROR } else { 0 }, "topic {n}");
    }
    let check = |connection: &mut Connection| {
        assert_eq!(append(connection, &topic, bad, batch()).error_code, STORAGE_ERROR);
        assert_eq!(append(connection, &topic, 1 - bad, batch()).error_code, 0);
        assert_eq!(look_up(connection, &topic, bad, -1).error_code, STORAGE_ERROR);
        let described = describe_topic(connection, &topic);
        for partition in described.partitions {
            let is_bad = partition.partition_index == bad;
            assert_eq!(partition.error_code, if is_bad { NO_LEADER } else { 0 });
            assert_eq!(partition.leader_id.0, if is_bad { -1 } else { 1 });
            assert_eq!(partition.offline_replicas.len(), usize::from(is_bad));
        }
        let codes: Vec<i16> = dirs(connection).iter().map(|dir| dir.error_code).collect();
        assert_eq!(codes, [0, STORAGE_ERROR]);
    };
    check(&mut connection);
    let said = broker.output();
    let told: Vec<_> = said.iter().filter(|line| line.contains("is offline now")).collect();
    let [told] = told.as_slice() else { panic!("one line says what has happened: {said:?}") };
    let (what, remedy) = (lost.display().to_string(), "then restart the broker");
    assert!(told.contains(&what) && told.contains(remedy), "and what to do: {told}");
    let (status, _) = broker.terminate();
    assert_eq!(status.code(), Some(0));
    assert!(!lost.exists(), "nothing is made in its place");
    // Instead of the directory there is something that cannot be one.
    fs::write(&lost, "").expect("a file can be written");
    broker.launch();
    check(&mut broker.connect());
    broker.terminate();
    fs::remove_file(&lost).expect("a file can be removed");
    broker.launch();
    let mut connection = broker.connect();
    assert_eq!(
        append(&mut connection, &topic, bad, batch()).error_code,
        STORAGE_ERROR,
        "it is another directory"
    );
    let codes: Vec<i16> = dirs(&mut connection).iter().map(|dir| dir.error_code).collect();
    assert_eq!(codes, [0, 0]);
}

/// Kafka waits in the broker for the end of the transaction before (`add.partitions.to.txn.retry.backoff.max.ms`), which
/// here never comes.
#[test]
fn a_transaction_that_cannot_end_holds_up_the_next_one() {
    const WAIT: Duration = Duration::from_millis(300);
    const CONCURRENT_TRANSACTIONS: i16 = 51;
    drop(match Broker::milena(&[]) {
        Some(broker) => broker,
        None => return,
    });
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (all, metadata) = (list(folder.path(), &["a", "b"]), list(folder.path(), &["metadata"]));
    let options = [
        ("log.dirs", all.as_str()),
        ("metadata.log.dir", metadata.as_str()),
        ("transaction.state.log.num.partitions", "1"),
        ("add.partitions.to.txn.retry.backoff.max.ms", "300"),
    ];
    let broker = Broker::start_in(folder, &options);
    let mut connection = broker.connect();
    let topic = unique("stuck");
    create_topic(&mut connection, &topic, 2, &[]);
    let producer = Raw::init(&mut connection, unique("stuck"));
    let place = |connection: &mut Connection, topic: &str, partition| {
        places(connection, topic, partition)[0].0.clone()
    };
    let kept = place(&mut connection, "__transaction_state", 0);
    let good = i32::from(place(&mut connection, &topic, 0) != kept);
    assert_eq!(producer.append_as(&mut connection, 12, (&topic, 1 - good), "first"), 0);
    let lost = broker.directory().join(if kept == "a" { "b" } else { "a" });
    fs::remove_dir_all(&lost).expect("a directory can be removed");
    // The next log that is to be made there finds it gone.
    wait_until("somebody to notice", || {
        let made = kafka_protocol::messages::create_topics_request::CreatableTopic::default()
            .with_name(name(&unique("notice")))
            .with_num_partitions(2)
            .with_replication_factor(1);
        let request = kafka_protocol::messages::CreateTopicsRequest::default().with_topics(vec![made]);
        connection.call(7, &request);
        dirs(&mut connection).iter().any(|dir| dir.error_code == STORAGE_ERROR)
    });
    assert_eq!(producer.end(&mut connection, true), 0, "it is decided");
    assert_eq!(producer.state(&mut connection), "PrepareCommit");
    let begun = Instant::now();
    assert_eq!(producer.append_as(&mut connection, 12, (&topic, good), "next"), CONCURRENT_TRANSACTIONS);
    assert!(begun.elapsed() >= WAIT, "{:?}", begun.elapsed());
    // The connection goes on, and other versions are not told to wait.
    let begun = Instant::now();
    assert_ne!(producer.append_as(&mut connection, 11, (&topic, good), "next"), 0);
    assert!(begun.elapsed() < WAIT, "{:?}", begun.elapsed());
    assert_eq!(append(&mut connection, &topic, good, Batch::of(["value"]).encode()).base_offset, 0);
}

#[test]
fn the_metadata_directory_takes_the_broker_along() {
    let Some(_) = Broker::milena(&[]) else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (port, options) = (free_port(), [("log.dirs".to_owned(), list(folder.path(), &["a", "b"]))]);
    let process = Process::spawn(&mut command(folder.path(), port, &options));
    process.wait_for_line("Kafka Server started");
    let mut connection = Connection::open(&format!("127.0.0.1:{port}"));
    create_topic(&mut connection, "here", 1, &[]);
    fs::remove_dir_all(folder.path().join("a")).expect("a directory can be removed");
    for topic in ["one", "two"] {
        let request = kafka_protocol::messages::CreateTopicsRequest::default().with_topics(vec![
            kafka_protocol::messages::create_topics_request::CreatableTopic::default()
                .with_name(name(topic))
                .with_num_partitions(2)
                .with_replication_factor(1),
        ]);
        connection.send(7, &request);
    }
    let (status, lines) = process.wait();
    assert_eq!(status.code(), Some(1), "{lines:#?}");
    let last = lines.iter().filter(|line| line.starts_with("milena: ")).collect::<Vec<_>>();
    assert!(last.len() == 1 && last[0].contains("metadata directory"), "{lines:#?}");
}

/// Every path below a folder with its bytes; directories have none.
fn tree(root: &Path) -> BTreeMap<PathBuf, Option<Vec<u8>>> {
    let mut all = BTreeMap::new();
    let mut left = vec![root.to_path_buf()];
    while let Some(path) = left.pop() {
        let found = fs::symlink_metadata(&path).expect("it is there");
        if found.is_dir() {
            left.extend(
                fs::read_dir(&path).expect("a directory").map(|entry| entry.expect("an entry").path()),
            );
            all.insert(path, None);
        } else {
            let bytes = fs::read(&path).unwrap_or_default();
            all.insert(path, Some(bytes));
        }
    }
    all
}

fn meta(directory: &Path, cluster: &str, node: i32, id: &str) {
    fs::create_dir_all(directory).expect("a directory can be made");
    let text = format!("version=1\ncluster.id={cluster}\nnode.id={node}\ndirectory.id={id}\n");
    fs::write(directory.join("meta.properties"), text).expect("a file can be written");
}

/// A batch of records that give features their levels.
fn features(levels: &[(&str, i16)]) -> Vec<u8> {
    let values = levels.iter().map(|(name, level)| {
        let mut value = vec![1, 12, 0, u8::try_from(name.len() + 1).expect("a short name")];
        value.extend_from_slice(name.as_bytes());
        value.extend_from_slice(&level.to_be_bytes());
        value.push(0);
        value
    });
    Batch::of(values).encode()
}

const ID_A: &str = "ashqRF3Hsj1DG54NBa89cw";
const ID_B: &str = "bshqRF3Hsj1DG54NBa89cw";
const CLUSTER: &str = "4L6g3nShT-eMCtK--X86sw";

type Prepare = fn(&Path, &Path);

/// What may be wrong with the directories `a` and `b`, and the word that names it.
const REFUSALS: &[(&str, Prepare)] = &[
    ("another-cluster", |a, b| {
        meta(a, CLUSTER, 1, ID_A);
        meta(b, "another-cluster", 1, ID_B);
    }),
    ("node.id=2", |a, _| meta(a, CLUSTER, 2, ID_A)),
    ("directory.id", |a, b| {
        meta(a, CLUSTER, 1, ID_A);
        meta(b, CLUSTER, 1, ID_A);
    }),
    ("ZooKeeper", |a, _| {
        fs::create_dir_all(a).expect("a directory");
        fs::write(a.join("meta.properties"), "version=0\nbroker.id=1\ncluster.id=x\n").expect("a file");
    }),
    ("metadata.version is 28", |a, _| {
        meta(a, CLUSTER, 1, ID_A);
        fs::create_dir_all(a.join("__cluster_metadata-0")).expect("a directory");
        let log = features(&[("metadata.version", 28)]);
        fs::write(a.join("__cluster_metadata-0/00000000000000000000.log"), log).expect("a file");
    }),
    ("tomorrow.version (level 1)", |a, _| {
        meta(a, CLUSTER, 1, ID_A);
        let checkpoint = features(&[("metadata.version", 27), ("tomorrow.version", 1)]);
        fs::write(a.join("bootstrap.checkpoint"), checkpoint).expect("a file");
    }),
    ("transaction.version is 3", |a, _| {
        meta(a, CLUSTER, 1, ID_A);
        let checkpoint = features(&[("metadata.version", 27), ("transaction.version", 3)]);
        fs::write(a.join("bootstrap.checkpoint"), checkpoint).expect("a file");
    }),
    ("nodes 1, 2", |a, _| {
        meta(a, CLUSTER, 1, ID_A);
        fs::create_dir_all(a.join("__cluster_metadata-0")).expect("a directory");
        let state = r#"{"leaderId":2,"leaderEpoch":1,"votedId":-1,"clusterId":"","appliedOffset":0,"currentVoters":[{"voterId":1},{"voterId":2}],"data_version":0}"#;
        fs::write(a.join("__cluster_metadata-0/quorum-state"), state).expect("a file");
    }),
    ("/a", |a, _| fs::write(a, "a file in its place").expect("a file")),
    ("photos", |_, b| fs::create_dir_all(b.join("photos")).expect("a directory")),
    ("metadata.log.dir", |_, b| fs::create_dir_all(b.join("__cluster_metadata-0")).expect("a directory")),
    ("same directory", |a, b| {
        fs::create_dir_all(a).expect("a directory");
        symlink(a, b).expect("a link");
    }),
];

#[test]
fn what_is_refused_is_left_as_it_was() {
    let Some(broker) = Broker::milena(&[]) else { return };
    for (word, prepare) in REFUSALS {
        let folder = tempfile::tempdir().expect("a temporary folder");
        prepare(&folder.path().join("a"), &folder.path().join("b"));
        let options = [("log.dirs".to_owned(), list(folder.path(), &["a", "b"]))];
        refuse(folder.path(), &options, word);
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dirs = format!("{},{}", broker.directory().display(), folder.path().join("a").display());
    let before = fs::read(broker.directory().join("meta.properties")).expect("an identity");
    refuse(folder.path(), &[("log.dirs".to_owned(), dirs)], "in use");
    assert_eq!(fs::read(broker.directory().join("meta.properties")).expect("an identity"), before);
}

/// A start must fail with one line that has `word` in it, and change nothing.
fn refuse(folder: &Path, options: &[(String, String)], word: &str) {
    let before = tree(folder);
    let (status, lines) = Process::spawn(&mut command(folder, free_port(), options)).wait();
    assert_eq!(status.code(), Some(1), "{word}: {lines:#?}");
    assert_eq!(lines.len(), 1, "{word}: one line says it: {lines:#?}");
    assert!(lines[0].contains(word), "{word}: {lines:#?}");
    assert_eq!(tree(folder), before, "{word}");
}
