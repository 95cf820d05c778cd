//! What a power cut leaves of a whole data directory: files of different times beside each other. What `flush.messages=1`
//! has acknowledged and what the controller has answered is there after the start, whatever became of the rest.

use super::Broker;
use super::damage::{Files, NOW_MS, Served, files, open, scratch, serves, write};
use crate::controller::NewTopic;
use crate::partition::append_batches;
use milena_protocol::records::BatchBuilder;
use milena_storage::log::Append;
use milena_storage::producers::Origin;
use std::path::Path;

const METADATA: &str = "__cluster_metadata-0";

fn create(broker: &Broker, name: &str) {
    let topic = NewTopic { name: name.into(), partitions: 2, replication_factor: 1, ..NewTopic::default() };
    broker.controller.create_topics(vec![topic], false).unwrap().remove(0).unwrap();
}

/// A batch for each partition, of a producer that begins with it; on the device.
fn produce(broker: &Broker, producer: i64) {
    for partition in broker.partitions.all() {
        let mut batch = BatchBuilder::new().producer(producer, 0, 0);
        batch.append(NOW_MS, Some(b"key"), Some(partition.topic.as_bytes()), &[]);
        let how = Append { leader_epoch: 0, origin: Origin::Client, now_ms: NOW_MS };
        append_batches(&partition.log(), &batch.build().unwrap(), &how).unwrap();
        partition.log().flush().unwrap();
    }
}

/// A directory at an early moment, and later, when two more topics are there, with what it serves each time.
fn two_moments(root: &Path) -> [(Files, Served); 2] {
    let broker = open(root).unwrap();
    create(&broker, "a");
    produce(&broker, 0);
    broker.partitions.save_checkpoints().unwrap();
    let early = (files(root), serves(&broker));
    create(&broker, "b");
    create(&broker, "c");
    produce(&broker, 1);
    for partition in broker.partitions.all() {
        partition.log().begin_segment(NOW_MS).unwrap();
    }
    produce(&broker, 2);
    broker.partitions.save_checkpoints().unwrap();
    [early, (files(root), serves(&broker))]
}

/// Starts on these files.
fn started(files: &Files) -> (tempfile::TempDir, Broker) {
    let dir = scratch();
    write(dir.path(), files);
    let broker = open(dir.path()).unwrap();
    (dir, broker)
}

fn is_log(name: &Path) -> bool {
    name.extension().is_some_and(|kind| kind == "log")
}

#[tokio::test(flavor = "multi_thread")]
async fn files_that_nobody_waits_for_may_be_old_empty_or_gone() {
    let root = scratch();
    let [(early, _), (late, served)] = two_moments(root.path());
    // What the start needs, and which is synced before anything is answered.
    let kept = |name: &Path| is_log(name) || name.starts_with(METADATA);
    type Leaves = fn(&Files, &Path, &[u8]) -> Option<Vec<u8>>;
    let ways: [(&str, Leaves); 5] = [
        ("old", |early, name, _| early.get(name).cloned()),
        ("empty", |_, _, _| Some(Vec::new())),
        ("zeros", |_, _, late| Some(vec![0; late.len()])),
        ("torn", |early, name, late| {
            let old = early.get(name).map_or(&[][..], |old| old);
            let half = late.len() / 2;
            Some([&late[..half], old.get(half..).unwrap_or_default()].concat())
        }),
        ("gone", |_, _, _| None),
    ];
    for (what, leaves) in ways {
        let mut left = Files::new();
        for (name, bytes) in &late {
            let found = if kept(name) { Some(bytes.clone()) } else { leaves(&early, name, bytes) };
            left.extend(found.map(|bytes| (name.clone(), bytes)));
        }
        // Half a line of an identity is none that the broker may guess.
        if what == "torn" {
            left.insert("meta.properties".into(), late[Path::new("meta.properties")].clone());
        }
        let (_dir, broker) = started(&left);
        assert!(serves(&broker) == served, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_behind_what_was_synced_is_no_part_of_it() {
    let root = scratch();
    let [_, (late, served)] = two_moments(root.path());
    let record = |bytes: &[u8]| bytes[..bytes.len().min(70)].to_vec();
    for behind in
        [vec![0; 5000], b"stale".repeat(100), record(&late[Path::new("a-0/00000000000000000000.log")])]
    {
        let mut left = late.clone();
        left.iter_mut().filter(|(name, _)| is_log(name)).for_each(|(_, bytes)| bytes.extend(&behind));
        let (_dir, broker) = started(&left);
        assert!(serves(&broker) == served, "{} bytes", behind.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_whose_creation_is_not_in_the_metadata_log_are_kept_and_not_served() {
    let root = scratch();
    let [(early, served), (late, _)] = two_moments(root.path());
    let mut left = late.clone();
    left.retain(|name, _| !name.starts_with(METADATA));
    left.extend(early.into_iter().filter(|(name, _)| name.starts_with(METADATA)));
    let (dir, broker) = started(&left);
    let names: Vec<_> = serves(&broker).into_keys().collect();
    assert_eq!(names, served.into_keys().collect::<Vec<_>>());
    for name in ["b-0", "b-1", "c-0", "c-1"] {
        let log = &late[&Path::new(name).join("00000000000000000000.log")];
        let kept = files(dir.path());
        let stray = kept.iter().find(|(path, _)| {
            let folder = path.parent().and_then(Path::to_str).unwrap_or_default();
            folder.starts_with(name) && folder.ends_with("-stray") && is_log(path)
        });
        assert!(stray.is_some_and(|(_, bytes)| bytes.starts_with(log) || log.starts_with(bytes)), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partition_directory_that_never_reached_the_device_is_made_again() {
    let root = scratch();
    let [_, (late, served)] = two_moments(root.path());
    let mut left = late.clone();
    left.retain(|name, _| !name.starts_with("b-1"));
    let (_dir, broker) = started(&left);
    for (key, bytes) in serves(&broker) {
        let lost = key.0 == "b" && key.2 == 1;
        assert!(if lost { bytes.is_empty() } else { bytes == served[&key] }, "{key:?}");
    }
    produce(&broker, 3);
}
