//! Several data directories: where partitions go, what is made of the directories that a start finds, moves.

use super::{NAME, topic};
use crate::clock::Clock;
use crate::controller::LogStore;
use crate::controller::testing::config;
use crate::metadata::{Image, PartitionInfo, TOPIC_RESOURCE, Topic};
use crate::partition::Partition;
use crate::partitions::{Partitions, Step};
use arc_swap::ArcSwap;
use kafka_protocol::ResponseError;
use milena_protocol::records::BatchBuilder;
use milena_protocol::stored::metadata::{ConfigRecord, MetadataRecord, PartitionRecord, TopicRecord};
use milena_storage::file::{Disk, Op};
use milena_storage::file_name::CLEAN_SHUTDOWN_FILE;
use milena_storage::log_dirs::{Survey, Wanted};
use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;
use uuid::Uuid;

const TOPIC: Uuid = Uuid::from_u128(7);

/// Directories and how their devices behave.
struct Bench {
    temp: TempDir,
    names: Vec<&'static str>,
    /// The device of the last directory fails.
    broken: Arc<AtomicBool>,
}

impl Bench {
    fn new(names: &[&'static str]) -> Self {
        Self { temp: tempfile::tempdir().unwrap(), names: names.to_vec(), broken: Arc::default() }
    }

    fn root(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    fn start(&self) -> Partitions {
        let roots: Vec<PathBuf> = self.names.iter().map(|name| self.root(name)).collect();
        let wanted = Wanted { roots: &roots, metadata: &roots[0], node_id: 1, cluster_id: None };
        let last = roots.last().unwrap().clone();
        let disk = |root: &Path| {
            let broken = self.broken.clone();
            let is_last = root == last;
            let fault = move |_: Op, _: &Path| match is_last && broken.load(Ordering::Relaxed) {
                true => Err(io::Error::from_raw_os_error(5)),
                false => Ok(()),
            };
            Disk::with_faults(root, Box::new(fault))
        };
        let dirs = Survey::of(&wanted, disk).unwrap().open(0).unwrap();
        let list = roots.iter().map(|r| r.display().to_string()).collect::<Vec<_>>().join(",");
        let config = Arc::new(ArcSwap::new(config(&[("log.dirs", &list)])));
        let partitions = Partitions::new(dirs, config, Arc::new(Clock::System));
        partitions.begin().unwrap();
        partitions
    }

    fn path(&self, name: &str) -> String {
        self.root(name).display().to_string()
    }

    /// Names of the partition directories in a data directory, ids left out.
    fn logs(&self, name: &str) -> Vec<String> {
        let mut names: Vec<String> = super::dirs(&self.root(name))
            .iter()
            .map(|path| {
                let name = path.file_name().unwrap().to_str().unwrap();
                let (first, last) = (name.split('.').next().unwrap(), name.rsplit('-').next().unwrap());
                if name.contains('.') { format!("{first}-{last}") } else { name.to_owned() }
            })
            .collect();
        names.sort();
        names
    }
}

/// A topic whose partitions are in these directories.
fn topic_in(directories: &[Uuid]) -> Arc<Topic> {
    let mut topic = Topic::clone(&topic());
    let partition = topic.partitions[0].clone();
    topic.partitions = directories
        .iter()
        .map(|id| PartitionInfo { directories: Box::new([*id]), ..partition.clone() })
        .collect();
    Arc::new(topic)
}

/// An image of that topic alone.
pub(super) fn image(topic: &Topic) -> Image {
    let mut image = Image::default();
    let record = TopicRecord { name: topic.name.to_string(), topic_id: topic.id, ..TopicRecord::default() };
    let mut records: Vec<MetadataRecord> = vec![record.into()];
    for (partition_id, partition) in (0..).zip(&topic.partitions) {
        let record = PartitionRecord {
            partition_id,
            topic_id: topic.id,
            replicas: vec![1],
            isr: vec![1],
            leader: 1,
            directories: partition.directories.to_vec(),
            ..PartitionRecord::default()
        };
        records.push(record.into());
    }
    let of_topic = |(name, value): (&String, &String)| ConfigRecord {
        resource_type: TOPIC_RESOURCE,
        resource_name: topic.name.to_string(),
        name: name.clone(),
        value: Some(value.clone()),
        ..ConfigRecord::default()
    };
    records.extend(topic.configs.iter().map(|setting| of_topic(setting).into()));
    records.iter().zip(0..).for_each(|(record, offset)| image.apply(offset, record).unwrap());
    image
}

fn ids(partitions: &Partitions) -> Vec<Uuid> {
    partitions.dirs.online.iter().map(|dir| dir.identity().directory_id).collect()
}

fn append(partition: &Partition, times: usize) -> Result<i64, milena_storage::error::Error> {
    let mut last = -1;
    for _ in 0..times {
        let mut batch = BatchBuilder::new();
        batch.append(1, None, Some(&[b'v'; 1000]), &[]);
        last = partition.append_internal(
            &batch.build().unwrap(),
            crate::coordinator::Verification::Skipped,
            1,
        )?;
    }
    Ok(last)
}

fn run_move(partitions: &Partitions) -> bool {
    let moved = partitions.moves().remove(0);
    while matches!(partitions.step_move(&moved), Step::Copied(_)) {}
    partitions.flush_move(&moved) == Step::CaughtUp && partitions.finish_move(&moved)
}

fn stop(partitions: &Partitions) {
    partitions.close();
    partitions.save_checkpoints().unwrap();
    partitions.mark_clean().unwrap();
}

#[test]
fn new_partitions_go_where_the_fewest_logs_are() {
    let bench = Bench::new(&["a", "b", "c"]);
    let partitions = bench.start();
    let ids = ids(&partitions);
    let picked = partitions.pick_directories("a", 0, 7);
    assert_eq!(picked, [0, 1, 2, 0, 1, 2, 0].map(|at| ids[at]));
    let topic = topic_in(&[ids[2], ids[2], ids[0]]);
    partitions.create(&topic, 0).unwrap();
    assert_eq!(partitions.pick_directories("b", 0, 4), [1, 0, 1, 0].map(|at| ids[at]));
    partitions.delete(&topic);
    assert_eq!(partitions.pick_directories("b", 0, 2), [ids[0], ids[1]], "deleted ones do not count");
    assert_eq!(
        partitions.begin_move("later", 1, None, &bench.path("c")).unwrap_err(),
        ResponseError::UnknownTopicOrPartition
    );
    assert_eq!(partitions.pick_directories("later", 0, 2), [ids[0], ids[2]], "it was asked for");
    let topic = topic_in(&[ids[0]]);
    partitions.create(&topic, 0).unwrap();
    let before = partitions.pick_directories("b", 0, 1);
    assert_eq!(before, [ids[1]]);
    partitions.begin_move("a", 0, Some(&topic), &bench.path("b")).unwrap();
    assert_eq!(partitions.pick_directories("b", 0, 1), [ids[2]], "copies count");
}

#[test]
fn a_partition_moves_and_its_producers_and_readers_do_not_notice() {
    let bench = Bench::new(&["a", "b"]);
    let partitions = bench.start();
    let ids = ids(&partitions);
    let topic = topic_in(&[ids[0]]);
    partitions.create(&topic, 0).unwrap();
    let partition = partitions.get(TOPIC, 0).unwrap();
    append(&partition, 3000).unwrap();
    partitions.begin_move("a", 0, Some(&topic), &bench.path("b")).unwrap();
    assert_eq!((bench.logs("a"), bench.logs("b")), (vec!["a-0".into()], vec!["a-0-future".to_owned()]));
    let moved = partitions.moves().remove(0);
    assert!(matches!(partitions.step_move(&moved), Step::Copied(1..)));
    assert!((1..3000).contains(&moved.copy.end_offset()), "a piece at a time");
    assert_eq!(append(&partition, 1).unwrap(), 3000);
    let before = partition.on_log(|log| log.read_batches(0, 1 << 30)).unwrap();
    assert!(run_move(&partitions));
    assert!(partitions.moves().is_empty());
    assert!(partition.on_log(|log| log.read_batches(0, 1 << 30)).unwrap() == before);
    assert_eq!(append(&partition, 1).unwrap(), 3001);
    assert_eq!((bench.logs("a"), bench.logs("b")), (vec!["a-0-delete".into()], vec!["a-0".to_owned()]));
    assert_eq!(partitions.directory_of(&partition), Some(ids[1]));
    stop(&partitions);
    assert!(bench.logs("a").is_empty());
    drop((partitions, partition, moved));
    let partitions = bench.start();
    assert_eq!(
        partitions.open_all(&image(&topic), &HashSet::new(), 1).unwrap(),
        [(TOPIC, 0, ids[1])],
        "the record is told"
    );
    assert_eq!(partitions.get(TOPIC, 0).unwrap().log().end_offset(), 3002);
}

#[test]
fn another_wish_ends_a_move_and_a_deletion_does_too() {
    let bench = Bench::new(&["a", "b", "c"]);
    let partitions = bench.start();
    let topic = topic_in(&[ids(&partitions)[0]]);
    partitions.create(&topic, 0).unwrap();
    append(&partitions.get(TOPIC, 0).unwrap(), 10).unwrap();
    let to = |name: &str| partitions.begin_move("a", 0, Some(&topic), &bench.path(name)).unwrap();
    let futures = || ["b", "c"].map(|name| bench.logs(name).iter().filter(|n| n.ends_with("future")).count());
    to("b");
    let first = partitions.moves().remove(0);
    to("b");
    assert!(Arc::ptr_eq(&first, &partitions.moves()[0]), "it goes on");
    to("c");
    assert_eq!((partitions.moves().len(), futures()), (1, [0, 1]));
    assert_eq!(partitions.step_move(&first), Step::Ended);
    assert!(!partitions.finish_move(&first));
    to("a");
    assert_eq!((partitions.moves().len(), futures()), (0, [0, 0]), "back to where it is");
    to("b");
    partitions.delete(&topic);
    assert_eq!((partitions.moves().len(), futures()), (0, [0, 0]));
    partitions.remove_doomed(i64::MAX);
    assert!(["a", "b", "c"].iter().all(|name| bench.logs(name).is_empty()));
}

#[test]
fn wishes_that_cannot_be_fulfilled_are_refused() {
    let bench = Bench::new(&["a", "b"]);
    let partitions = bench.start();
    let topic = topic_in(&[ids(&partitions)[0]]);
    partitions.create(&topic, 0).unwrap();
    let long = "x".repeat(249);
    let ask = |name: &str, index: i32, topic: Option<&Topic>, path: &str| {
        partitions.begin_move(name, index, topic, path)
    };
    let b = bench.path("b");
    assert_eq!(ask(&long, 0, None, &b), Err(ResponseError::InvalidTopicException));
    assert_eq!(ask("a", 0, Some(&topic), "/nowhere"), Err(ResponseError::LogDirNotFound));
    assert_eq!(ask("a", 1, Some(&topic), &b), Err(ResponseError::UnknownTopicOrPartition));
    bench.broken.store(true, Ordering::Relaxed);
    assert_eq!(ask("a", 0, Some(&topic), &b), Err(ResponseError::KafkaStorageError));
    partitions.dirs.online[1].disk().poison(&milena_storage::error::Error::Closed);
    assert_eq!(ask("a", 0, Some(&topic), &b), Err(ResponseError::KafkaStorageError), "a failed directory");
    assert!(partitions.moves().is_empty());
}

#[test]
fn a_failed_directory_serves_nothing_while_the_other_does() {
    let bench = Bench::new(&["a", "b"]);
    let partitions = bench.start();
    let ids = ids(&partitions);
    let topic = topic_in(&[ids[0], ids[1]]);
    partitions.create(&topic, 0).unwrap();
    let (good, bad) = (partitions.get(TOPIC, 0).unwrap(), partitions.get(TOPIC, 1).unwrap());
    append(&good, 1).unwrap();
    append(&bad, 1).unwrap();
    partitions.begin_move("a", 0, Some(&topic), &bench.path("b")).unwrap();
    assert!(!partitions.some_offline() && partitions.check_dirs().is_none());
    bench.broken.store(true, Ordering::Relaxed);
    assert!(append(&bad, 1).is_err());
    assert!(partitions.some_offline() && bad.is_offline());
    assert_eq!(partitions.check_dirs(), None, "the broker goes on");
    assert!(partitions.moves().is_empty(), "a move to it is over");
    assert!(partitions.get(TOPIC, 1).is_none() && partitions.get(TOPIC, 0).is_some());
    append(&good, 1).unwrap();
    assert_eq!(partitions.pick_directories("b", 0, 3), [ids[0]; 3]);
    let described: Vec<bool> = partitions.described().into_iter().map(|(_, dir)| dir.is_some()).collect();
    assert_eq!(described, [true, false]);
    stop(&partitions);
    assert!(bench.root("a").join(CLEAN_SHUTDOWN_FILE).exists());
    assert!(!bench.root("b").join(CLEAN_SHUTDOWN_FILE).exists());
    partitions.dirs.online[0].disk().poison(&milena_storage::error::Error::Closed);
    assert!(partitions.check_dirs().is_some_and(|reason| reason.contains("metadata")));
}

#[test]
fn a_directory_that_is_taken_away_takes_its_partitions_along_until_it_is_back() {
    let mut bench = Bench::new(&["a", "b"]);
    let partitions = bench.start();
    let ids = ids(&partitions);
    let topic = topic_in(&[ids[0], ids[1], Uuid::nil()]);
    partitions.create(&topic_in(&ids), 0).unwrap();
    append(&partitions.get(TOPIC, 1).unwrap(), 5).unwrap();
    stop(&partitions);
    drop(partitions);
    bench.names = vec!["a", "new"];
    let partitions = bench.start();
    let elsewhere = partitions.open_all(&image(&topic), &HashSet::new(), 1).unwrap();
    assert_eq!(elsewhere.len(), 1, "only the partition without a place gets one");
    assert!(partitions.get(TOPIC, 0).is_some() && partitions.get(TOPIC, 1).is_none());
    assert!(partitions.get(TOPIC, 2).is_some() && partitions.some_offline());
    assert!(!bench.logs("a").contains(&"a-1".to_owned()) && !bench.logs("new").contains(&"a-1".to_owned()));
    stop(&partitions);
    drop(partitions);
    bench.names = vec!["b", "new", "a"];
    let partitions = bench.start();
    partitions.open_all(&image(&topic), &HashSet::new(), 1).unwrap();
    assert_eq!(partitions.get(TOPIC, 1).unwrap().log().end_offset(), 5);
    assert!(!partitions.some_offline());
}

/// The others are written into the checkpoints meanwhile.
#[test]
fn what_is_known_of_a_log_that_cannot_be_opened_counts_when_it_can() {
    let bench = Bench::new(&["a"]);
    let partitions = bench.start();
    let topic = topic_in(&[ids(&partitions)[0]; 2]);
    partitions.create(&topic, 0).unwrap();
    (0..2).for_each(|index| _ = append(&partitions.get(TOPIC, index).unwrap(), 10).unwrap());
    let log = Arc::clone(&partitions.get(TOPIC, 0).unwrap().log());
    log.delete_before(5).unwrap();
    log.set_cleaned_up_to(7);
    partitions.save_cleaned().unwrap();
    stop(&partitions);
    drop((partitions, log));
    let epochs = bench.root("a").join("a-0/leader-epoch-checkpoint");
    let bytes = fs::read(&epochs).unwrap();
    fs::remove_file(&epochs).unwrap();
    fs::create_dir(&epochs).unwrap();
    for _ in 0..2 {
        let partitions = bench.start();
        partitions.open_all(&image(&topic), &HashSet::new(), 1).unwrap();
        assert!(partitions.get(TOPIC, 0).is_none() && partitions.get(TOPIC, 1).is_some());
        partitions.save_cleaned().unwrap();
        stop(&partitions);
    }
    fs::remove_dir(&epochs).unwrap();
    fs::write(&epochs, bytes).unwrap();
    let partitions = bench.start();
    partitions.open_all(&image(&topic), &HashSet::new(), 1).unwrap();
    let log = Arc::clone(&partitions.get(TOPIC, 0).unwrap().log());
    assert_eq!((log.start_offset(), log.end_offset()), (5, 10), "what was deleted stays deleted");
    assert_eq!((log.cleaned_up_to(), log.disk().scanned()), (Some(7), 0));
}

#[test]
fn an_interrupted_move_goes_on_after_a_start() {
    for clean in [true, false] {
        let bench = Bench::new(&["a", "b"]);
        let partitions = bench.start();
        let ids = ids(&partitions);
        let topic = topic_in(&[ids[0]]);
        partitions.create(&topic, 0).unwrap();
        append(&partitions.get(TOPIC, 0).unwrap(), 2500).unwrap();
        partitions.begin_move("a", 0, Some(&topic), &bench.path("b")).unwrap();
        partitions.step_move(&partitions.moves()[0]);
        if clean {
            stop(&partitions);
        }
        drop(partitions);
        let partitions = bench.start();
        partitions.open_all(&image(&topic), &HashSet::new(), 1).unwrap();
        assert!(partitions.moves()[0].copy.end_offset() > 0, "clean {clean}: it does not begin anew");
        assert!(run_move(&partitions), "clean {clean}");
        assert_eq!(partitions.get(TOPIC, 0).unwrap().log().end_offset(), 2500);
        assert_eq!(bench.logs("b"), ["a-0"]);
    }
}

/// Which directory holds what, which one the record names (none: nil), and what a start makes of it. A log of `b` has
/// two batches, one of `a` one.
type Row = (&'static [&'static str], &'static [&'static str], Option<usize>, Option<i64>, &'static str);

const ROWS: &[Row] = &[
    (&["a-0"], &[], Some(0), Some(1), "a: a-0; b: "),
    (&["a-0"], &[], Some(1), Some(1), "a: a-0; b: "),
    (&["a-0"], &["a-0"], Some(1), Some(2), "a: a-0-stray; b: a-0"),
    (&["a-0"], &["a-0"], Some(0), Some(1), "a: a-0; b: a-0-stray"),
    (&["a-0"], &["a-0"], None, Some(1), "a: a-0; b: a-0-stray"),
    (&[], &["a-0-future"], Some(1), Some(2), "a: ; b: a-0"),
    (&[], &["a-0-future"], Some(0), Some(0), "a: a-0; b: "),
    (&["a-0-future"], &["a-0"], Some(0), Some(2), "a: a-0-future; b: a-0"),
    (&["a-0", "a-0-future"], &[], Some(0), Some(1), "a: a-0; b: "),
    (&[], &[], Some(1), Some(0), "a: ; b: a-0"),
    (&[], &[], None, Some(0), "a: a-0; b: "),
    (&["b-0"], &[], Some(1), Some(0), "a: b-0-stray; b: a-0"),
    (&["b-0-future"], &["a-0"], Some(1), Some(2), "a: b-0-stray; b: a-0"),
];

#[test]
fn what_a_start_finds_is_decided_by_a_table() {
    for (row, (in_a, in_b, recorded, end, after)) in ROWS.iter().enumerate() {
        let bench = Bench::new(&["a", "b"]);
        let partitions = bench.start();
        let ids = ids(&partitions);
        drop(partitions);
        for (name, dirs, batches) in [("a", in_a, 1), ("b", in_b, 2)] {
            for dir in *dirs {
                let dir = match dir.strip_suffix("-future") {
                    Some(live) => format!("{live}.{}-future", Uuid::from_u128(9).simple()),
                    None => (*dir).to_owned(),
                };
                let dir = bench.root(name).join(dir);
                fs::create_dir(&dir).unwrap();
                let topic = milena_protocol::stored::partition_metadata::format(TOPIC);
                fs::write(dir.join("partition.metadata"), topic).unwrap();
                let batch = |base: i64| {
                    let mut batch = BatchBuilder::new().base_offset(base);
                    batch.append(1, None, Some(b"v"), &[]);
                    batch.build().unwrap()
                };
                fs::write(dir.join(NAME), (0..batches).flat_map(batch).collect::<Vec<u8>>()).unwrap();
            }
        }
        let partitions = bench.start();
        let topic = topic_in(&[recorded.map_or(Uuid::nil(), |at| ids[at])]);
        let elsewhere = partitions.open_all(&image(&topic), &HashSet::new(), 1).unwrap();
        let partition = partitions.get(TOPIC, 0);
        assert_eq!(partition.as_ref().map(|p| p.log().end_offset()), *end, "row {row}");
        let found = format!("a: {}; b: {}", bench.logs("a").join(" "), bench.logs("b").join(" "));
        assert_eq!(found, *after, "row {row}");
        let actual = partition.and_then(|p| partitions.directory_of(&p));
        let told = elsewhere.first().map(|(_, _, id)| *id);
        assert_eq!(told.or(recorded.map(|at| ids[at])), actual, "row {row}: the record is put right");
    }
}
