//! A full disk is an error for whoever writes, and nothing else: reading and deleting go on, and so does everything when
//! there is room again, without a restart.

use crate::marathon::committed;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::{CreateTopicsRequest, DeleteTopicsRequest, GroupId, OffsetCommitRequest};
use milena_integration_tests::broker::{Broker, skipped};
use milena_integration_tests::raw::Connection;
use milena_integration_tests::records::{Batch, batches};
use milena_integration_tests::requests::{
    CREATE_TOPICS, api_versions, append, create_topic, name, read_all, text,
};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::geteuid;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const KAFKA_STORAGE_ERROR: i16 = 56;
const NOT_COORDINATOR: i16 = 16;

/// A file system of 96 MiB that goes with its owner.
struct SmallDisk {
    kind: &'static str,
    at: TempDir,
    /// What a loop device stands on.
    _image: TempDir,
}

impl SmallDisk {
    fn tmpfs() -> Result<Self, String> {
        let at = tempfile::tempdir().expect("a temporary folder");
        mount(Some("tmpfs"), at.path(), Some("tmpfs"), MsFlags::empty(), Some("size=96m"))
            .map_err(|error| format!("a tmpfs cannot be mounted here: {error}"))?;
        Ok(Self { kind: "tmpfs", at, _image: tempfile::tempdir().expect("a temporary folder") })
    }

    fn ext4() -> Result<Self, String> {
        let (at, image) = (tempfile::tempdir(), tempfile::tempdir());
        let (at, image) = (at.expect("a temporary folder"), image.expect("a temporary folder"));
        let file = image.path().join("image");
        File::create(&file).and_then(|file| file.set_len(96 << 20)).expect("a sparse file");
        let run = |command: &mut Command| match command.output() {
            Ok(done) if done.status.success() => Ok(()),
            Ok(done) => Err(format!("{command:?}: {}", String::from_utf8_lossy(&done.stderr))),
            Err(error) => Err(format!("{command:?}: {error}")),
        };
        run(Command::new("mkfs.ext4").args(["-q", "-m", "0"]).arg(&file))?;
        run(Command::new("mount").args(["-o", "loop"]).arg(&file).arg(at.path()))?;
        Ok(Self { kind: "ext4", at, _image: image })
    }

    /// Takes all the room that is left, to the last block.
    fn fill(&self) -> Filler {
        let path = self.at.path().join("filler");
        let mut file = File::create(&path).expect("a file");
        let mut size = 1 << 20;
        while size > 0 {
            if file.write_all(&vec![1; size]).and_then(|()| file.sync_data()).is_err() {
                size /= 4;
            }
        }
        Filler(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = umount2(self.at.path(), MntFlags::MNT_DETACH);
    }
}

/// What takes the room; it is given back when this goes.
struct Filler(PathBuf);

impl Drop for Filler {
    fn drop(&mut self) {
        fs::remove_file(&self.0).expect("the filler can be removed");
    }
}

/// A partition and what was acknowledged of it.
struct Stream {
    topic: &'static str,
    batch: Vec<u8>,
    acknowledged: i64,
}

impl Stream {
    fn new(broker: &Broker, topic: &'static str, batch: &Batch, configs: &[(&str, &str)]) -> Self {
        create_topic(&mut broker.connect(), topic, 1, configs);
        Self { topic, batch: batch.encode(), acknowledged: 0 }
    }

    /// Appends one batch: its error code.
    fn append(&mut self, connection: &mut Connection) -> i16 {
        let answer = append(connection, self.topic, 0, self.batch.clone());
        if answer.error_code == 0 {
            assert_eq!(answer.base_offset, self.acknowledged, "{}", self.topic);
            self.acknowledged += i64::from(batches(&self.batch)[0].count());
        }
        answer.error_code
    }

    fn append_until_refused(&mut self, connection: &mut Connection) {
        let refusal = (0..2_000).map(|_| self.append(connection)).find(|code| *code != 0);
        assert_eq!(refusal, Some(KAFKA_STORAGE_ERROR), "{}: a code that makes clients try again", self.topic);
    }

    /// What was acknowledged can be read, nothing else, and every batch is sound.
    fn check(&self, broker: &Broker) {
        let stored = read_all(&mut broker.connect(), self.topic, 0);
        let mut next = 0;
        for batch in batches(&stored) {
            assert!(batch.is_sound(), "{} at {next}", self.topic);
            assert_eq!(batch.last_offset() + 1 - i64::from(batch.count()), next, "{}", self.topic);
            next = batch.last_offset() + 1;
        }
        assert_eq!(next, self.acknowledged, "{}", self.topic);
    }
}

fn commit(connection: &mut Connection, offset: i64) -> i16 {
    let partition = OffsetCommitRequestPartition::default()
        .with_committed_offset(offset)
        .with_committed_metadata(Some(text(&"m".repeat(4_000))));
    let topic = OffsetCommitRequestTopic::default().with_name(name("hot")).with_partitions(vec![partition]);
    let request =
        OffsetCommitRequest::default().with_group_id(GroupId(text("full"))).with_topics(vec![topic]);
    connection.call(8, &request).topics[0].partitions[0].error_code
}

fn create(connection: &mut Connection, topic: &str) -> i16 {
    let topic =
        CreatableTopic::default().with_name(name(topic)).with_num_partitions(3).with_replication_factor(1);
    let request = CreateTopicsRequest::default().with_timeout_ms(30_000).with_topics(vec![topic]);
    connection.call(CREATE_TOPICS, &request).topics[0].error_code
}

fn delete(connection: &mut Connection, topic: &str) -> i16 {
    let request = DeleteTopicsRequest::default()
        .with_topics(vec![DeleteTopicState::default().with_name(Some(name(topic)))])
        .with_timeout_ms(30_000);
    connection.call(6, &request).responses[0].error_code
}

/// Names of the directories of partitions.
fn partitions(directory: &Path, topic: &str) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("the data directory");
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|found| found.starts_with(&format!("{topic}-"))).collect()
}

#[test]
fn on_a_full_tmpfs() {
    on_a_full_disk(SmallDisk::tmpfs);
}

#[test]
fn on_a_full_ext4() {
    on_a_full_disk(SmallDisk::ext4);
}

/// Everybody is refused who needs room, and what was acknowledged is read. `full` is a topic that cannot be made.
fn round(broker: &Broker, streams: &mut [Stream], full: &str) {
    let mut connection = broker.connect();
    for stream in &mut *streams {
        stream.append_until_refused(&mut connection);
    }
    let refused = (0..200).map(|n| commit(&mut connection, n)).find(|code| *code != 0);
    assert_eq!(refused, Some(NOT_COORDINATOR), "as Kafka answers when the log cannot be written");
    assert_eq!(create(&mut connection, full), KAFKA_STORAGE_ERROR);
    assert!(partitions(broker.directory(), full).iter().all(|dir| dir.ends_with("-delete")));
    assert_eq!(api_versions(&mut broker.connect()).error_code, 0);
    streams.iter().for_each(|stream| stream.check(broker));
}

/// With room again nobody is refused. `topic` is made.
fn goes_on(broker: &Broker, streams: &mut [Stream], topic: &str) {
    let mut connection = broker.connect();
    for stream in &mut *streams {
        for _ in 0..4 {
            assert_eq!(stream.append(&mut connection), 0, "{} with room again", stream.topic);
        }
        stream.check(broker);
    }
    assert_eq!(commit(&mut connection, 7), 0);
    assert_eq!(create(&mut connection, topic), 0);
}

fn on_a_full_disk(make: fn() -> Result<SmallDisk, String>) {
    if !geteuid().is_root() {
        return skipped("only root can mount a small file system");
    }
    let disk = match make() {
        Ok(disk) => disk,
        Err(reason) => return skipped(&reason),
    };
    let data = tempfile::tempdir_in(disk.at.path()).expect("a folder on it");
    if Broker::milena(&[]).is_none() {
        return;
    }
    let mut broker = Broker::start_in(data, &[("offsets.topic.num.partitions", "1")]);
    let large = Batch::of((0..63).map(|_| [7_u8; 16_384]));
    let small = Batch::of([[7_u8; 100]]);
    let mut streams = [
        // Mapped, and rolling now and then.
        Stream::new(&broker, "hot", &large, &[("segment.bytes", "5000000")]),
        Stream::new(&broker, "cold", &small, &[]),
        Stream::new(&broker, "durable", &small, &[("flush.messages", "1")]),
    ];
    let mut connection = broker.connect();
    create_topic(&mut connection, "gone", 2, &[]);
    for stream in &mut streams {
        assert_eq!(stream.append(&mut connection), 0);
    }
    assert_eq!(commit(&mut connection, 1), 0);

    let filler = disk.fill();
    round(&broker, &mut streams, "first");
    assert_eq!(delete(&mut connection, "gone"), 0, "deleting makes room, so it must not need any");
    drop(filler);
    goes_on(&broker, &mut streams, "first");

    let filler = disk.fill();
    round(&broker, &mut streams, "second");
    let (status, took) = broker.terminate();
    assert!(status.success() && took < Duration::from_secs(20), "{status} after {took:?}");
    drop(filler);
    broker.launch();
    streams.iter().for_each(|stream| stream.check(&broker));
    goes_on(&broker, &mut streams, "second");

    let filler = disk.fill();
    round(&broker, &mut streams, "third");
    broker.kill();
    drop(filler);
    broker.launch();
    streams.iter().for_each(|stream| stream.check(&broker));
    goes_on(&broker, &mut streams, "third");

    // Starts on a disk that has no room for anything, after a death and after a stop.
    for (is_killed, topic) in [(true, "fourth"), (false, "fifth")] {
        let filler = disk.fill();
        round(&broker, &mut streams, topic);
        if is_killed {
            broker.kill();
        } else {
            let (status, took) = broker.terminate();
            assert!(status.success() && took < Duration::from_secs(20), "{status} after {took:?}");
        }
        // What the end has given back is taken as well.
        drop(filler);
        let filler = disk.fill();
        broker.launch();
        streams.iter().for_each(|stream| stream.check(&broker));
        let mut connection = broker.connect();
        for stream in &mut streams {
            stream.append_until_refused(&mut connection);
            stream.check(&broker);
        }
        assert_eq!(committed(&broker, "hot", "full"), 7, "{topic}");
        assert_eq!(delete(&mut connection, if is_killed { "first" } else { "second" }), 0, "{topic}");
        let said = broker.output();
        assert!(!said.iter().any(|line| line.contains(" ERROR ")), "{}: {said:#?}", disk.kind);
        drop(filler);
        goes_on(&broker, &mut streams, topic);
    }
    assert!(
        !broker.output().iter().any(|line| line.contains("offline")),
        "{}: a full disk is not broken",
        disk.kind
    );
    drop(broker);
}
