//! Every file of a data directory is damaged in every way. The start refuses in one line that names the file, or serves
//! what was there, and nothing that was not.

use super::Broker;
use super::adapters::InternalTopic;
use crate::clock::Clock;
use crate::config::BrokerConfig;
use crate::controller::NewTopic;
use crate::controller::testing::config;
use crate::coordinator::{StateLog, Verification};
use crate::metadata::topic_name::{CONSUMER_OFFSETS, TRANSACTION_STATE};
use crate::partition::append_batches;
use milena_protocol::records::{BatchBuilder, BatchHeader};
use milena_storage::log::Append;
use milena_storage::producers::Origin;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use uuid::Uuid;

pub(super) const NOW_MS: i64 = 1_700_000_000_000;

pub(super) type Files = BTreeMap<PathBuf, Vec<u8>>;
/// The bytes of each partition.
pub(super) type Served = BTreeMap<(String, Uuid, i32), Vec<u8>>;

pub(super) fn files(root: &Path) -> Files {
    let (mut found, mut below) = (Files::new(), vec![root.to_path_buf()]);
    while let Some(dir) = below.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                below.push(path);
            } else {
                found.insert(path.strip_prefix(root).unwrap().to_path_buf(), fs::read(path).unwrap());
            }
        }
    }
    found
}

pub(super) fn write(root: &Path, files: &Files) {
    for (name, bytes) in files {
        fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
        fs::write(root.join(name), bytes).unwrap();
    }
}

/// What can happen to a file; `None`: it is gone.
fn damages(bytes: &[u8]) -> Vec<(String, Option<Vec<u8>>)> {
    let len = bytes.len();
    let garbage = |len: usize| (0..len).map(|n| (n as u8).wrapping_mul(101) ^ 0xa5).collect::<Vec<u8>>();
    let mut made: Vec<(String, Option<Vec<u8>>)> = vec![
        ("gone".into(), None),
        ("empty".into(), Some(Vec::new())),
        ("zeros".into(), Some(vec![0; len])),
        ("garbage".into(), Some(garbage(len.max(40)))),
        ("zeros behind".into(), Some([bytes, &[0; 3000]].concat())),
        ("garbage behind".into(), Some([bytes, &garbage(100)].concat())),
    ];
    let step = (len / 4).max(1);
    for at in (0..len).step_by(step).chain(len.checked_sub(1)) {
        let mut flipped = bytes.to_vec();
        flipped[at] ^= 1 << (at % 8);
        made.push((format!("a bit of byte {at}"), Some(flipped)));
        made.push((format!("cut at {at}"), Some(bytes[..at].to_vec())));
        let mut zeros = bytes.to_vec();
        zeros[at..(at + 512).min(len)].fill(0);
        made.push((format!("zeros at {at}"), Some(zeros)));
    }
    made
}

fn settings(root: &Path) -> Arc<BrokerConfig> {
    config(&[
        ("log.dirs", root.to_str().unwrap()),
        ("listeners", "PLAINTEXT://127.0.0.1:0"),
        ("metadata.log.max.record.bytes.between.snapshots", "600"),
        ("num.recovery.threads.per.data.dir", "1"),
    ])
}

pub(super) fn open(root: &Path) -> Result<Broker, String> {
    let clock = Arc::new(Clock::Manual(NOW_MS.into()));
    let opened = Broker::open(&settings(root), &clock);
    opened.map(|(broker, _)| broker).map_err(|error| error.to_string())
}

pub(super) fn serves(broker: &Broker) -> Served {
    let image = broker.controller.image();
    let mut served = Served::new();
    for topic in image.topics() {
        for index in 0..topic.partitions.len() as i32 {
            let log = broker.partitions.get(topic.id, index).map(|partition| partition.log().clone());
            let bytes = log.map(|log| {
                let (mut all, mut offset) = (Vec::new(), log.start_offset());
                while let Ok(bytes) = log.read_batches(offset, 1) {
                    let Ok(header) = BatchHeader::read(&bytes) else { break };
                    offset = header.next_offset();
                    all.extend_from_slice(&bytes);
                }
                all
            });
            served.insert((topic.name.to_string(), topic.id, index), bytes.unwrap_or_default());
        }
    }
    served
}

/// A directory with topics, records and metadata snapshots; what it serves.
pub(super) fn fill(root: &Path, stop: bool) -> Served {
    let broker = open(root).unwrap();
    for (name, partitions) in [("a", 2), ("b", 1), ("c", 1), ("d", 1)] {
        let topic = NewTopic { name: name.into(), partitions, replication_factor: 1, ..NewTopic::default() };
        broker.controller.create_topics(vec![topic], false).unwrap().remove(0).unwrap();
        broker.controller.keep_snapshots();
    }
    for (number, partition) in broker.partitions.all().iter().enumerate() {
        for n in 0..3 {
            let mut batch = BatchBuilder::new().producer(number as i64, 0, n);
            batch.append(NOW_MS, Some(b"key"), Some(partition.topic.as_bytes()), &[]);
            let how = Append { leader_epoch: 0, origin: Origin::Client, now_ms: NOW_MS };
            append_batches(&partition.log(), &batch.build().unwrap(), &how).unwrap();
        }
    }
    broker.partitions.save_checkpoints().unwrap();
    let served = serves(&broker);
    if stop {
        broker.close_logs();
    }
    served
}

#[tokio::test(flavor = "multi_thread")]
async fn some_damage_refuses_the_start_or_is_mended_and_never_invents() {
    damage_every(16);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "minutes: cargo test --release -p milena --lib -- --ignored damage_refuses"]
async fn damage_refuses_the_start_or_is_mended_and_never_invents() {
    damage_every(1);
}

/// Starts on a directory with a damaged file, for one in `step` of all damages, which are spread over the files.
fn damage_every(step: usize) {
    let (mut wrong, mut number, mut tried) = (Vec::new(), 0, 0);
    for stop in [true, false] {
        let temp = scratch();
        let served = fill(temp.path(), stop);
        let whole = files(temp.path());
        assert!(whole.keys().any(|name| name.to_str().unwrap().ends_with(".checkpoint")), "a snapshot");
        let other = |name: &Path| ["a-1", "b-0", "c-0", "d-0"].iter().any(|dir| name.starts_with(dir));
        for (name, bytes) in whole.iter().filter(|(name, _)| !other(name)) {
            for (what, damaged) in damages(bytes) {
                number += 1;
                if number % step != 0 {
                    continue;
                }
                tried += 1;
                let mut changed = whole.clone();
                match damaged {
                    Some(damaged) => changed.insert(name.clone(), damaged),
                    None => changed.remove(name),
                };
                let dir = scratch();
                write(dir.path(), &changed);
                let name = name.to_str().unwrap();
                if let Err(reason) = check(dir.path(), name, &served, stop) {
                    wrong.push(format!("stopped {stop}, {name}: {what}: {reason}"));
                }
            }
        }
    }
    eprintln!("{tried} starts");
    assert!(tried * step > 200, "{tried} starts: there must be files to damage");
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

/// What is wrong with a start on a directory in which one file was damaged.
fn check(root: &Path, name: &str, served: &Served, stopped: bool) -> Result<(), String> {
    let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
    let opened = std::panic::catch_unwind(|| open(root)).map_err(|_| "a panic")?;
    let broker = match opened {
        Ok(broker) => broker,
        Err(text) => {
            let named = text.contains(file) || file.ends_with(".log") && text.contains("the metadata log");
            return if named && !text.contains('\n') { Ok(()) } else { Err(text) };
        }
    };
    let found = serves(&broker);
    for (key, bytes) in &found {
        let before = served.get(key).ok_or_else(|| format!("{key:?} was invented"))?;
        if !before.starts_with(bytes) {
            return Err(format!("{key:?} holds other records"));
        }
    }
    // A stop leaves all that the metadata says in the log and in a snapshot.
    if folder == "__cluster_metadata-0" && !stopped {
        return Ok(());
    }
    for (key, before) in served {
        let own = folder == format!("{}-{}", key.0, key.2);
        match found.get(key) {
            None => return Err(format!("{key:?} is gone")),
            Some(bytes) if bytes != before && !own => return Err(format!("{key:?} suffers from it")),
            Some(_) => {}
        }
    }
    Ok(())
}

pub(super) fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Offsets of the batches that a coordinator gets of partition 0 of its topic.
fn replayed(broker: &Broker, name: &'static str) -> Result<Vec<i64>, String> {
    let topic = internal(broker, name);
    let (mut found, mut from) = (Vec::new(), 0);
    loop {
        let bytes = topic.read(0, from, 1).map_err(|error| error.to_string())?;
        let Ok(header) = BatchHeader::read(&bytes) else { return Ok(found) };
        found.push(header.base_offset);
        from = header.next_offset();
    }
}

fn internal(broker: &Broker, name: &'static str) -> InternalTopic {
    let (controller, partitions) = (broker.controller.clone(), broker.partitions.clone());
    InternalTopic { name, controller, partitions, clock: broker.clock.clone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_batch_of_committed_offsets_takes_nothing_else_along() {
    // Byte within the second batch: of its record; of its length, behind which its segment cannot be read; of its base
    // offset, which no checksum covers.
    for (name, byte, found) in [
        (CONSUMER_OFFSETS, 100, Ok(vec![0, 2, 3])),
        (CONSUMER_OFFSETS, 8, Ok(vec![0, 3])),
        (CONSUMER_OFFSETS, 0, Ok(vec![0, 2, 3])),
        (CONSUMER_OFFSETS, 5, Ok(vec![0, 2, 3])),
        (CONSUMER_OFFSETS, 7, Ok(vec![0, 2, 3])),
        (TRANSACTION_STATE, 5, Err(())),
        (TRANSACTION_STATE, 100, Err(())),
    ] {
        let temp = scratch();
        let broker = open(temp.path()).unwrap();
        let topic = internal(&broker, name);
        topic.ensure().unwrap();
        let mut batch = BatchBuilder::new();
        batch.append(NOW_MS, Some(b"key"), Some(&[7; 100]), &[]);
        let batch = batch.build().unwrap();
        let append = || topic.append(0, &batch, Verification::Skipped).unwrap();
        assert_eq!([append(), append(), append()], [0, 1, 2]);
        let id = broker.controller.image().topic(name).unwrap().id;
        broker.partitions.get(id, 0).unwrap().log().begin_segment(NOW_MS).unwrap();
        assert_eq!(append(), 3);
        assert_eq!(replayed(&broker, name).unwrap(), [0, 1, 2, 3]);
        broker.close_logs();
        drop((topic, broker));
        let path = temp.path().join(format!("{name}-0/00000000000000000000.log"));
        let mut bytes = fs::read(&path).unwrap();
        bytes[batch.len() + byte] ^= 1;
        fs::write(&path, bytes).unwrap();
        let broker = open(temp.path()).unwrap();
        assert_eq!(replayed(&broker, name).map_err(drop), found, "{name}, byte {byte}");
    }
}
