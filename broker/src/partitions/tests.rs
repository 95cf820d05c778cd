//! What a stop leaves in a data directory. Kafka opens every partition directory it finds, deleted and stray ones, too,
//! and trusts all of them where the mark of a clean stop is.

mod dynamic_keys;
mod several_dirs;

use super::Partitions;
use crate::clock::Clock;
use crate::config::{BrokerConfig, DynamicConfigs};
use crate::controller::LogStore;
use crate::controller::testing::config;
use crate::metadata::{Image, PartitionInfo, Topic};
use crate::partition::append_batches;
use arc_swap::ArcSwap;
use milena_protocol::records::BatchBuilder;
use milena_protocol::stored::partition_metadata;
use milena_storage::file::{Disk, Op};
use milena_storage::file_name::CLEAN_SHUTDOWN_FILE;
use milena_storage::log::Append;
use milena_storage::log_dirs::{Survey, Wanted};
use milena_storage::producers::Origin;
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use uuid::Uuid;

const NAME: &str = "00000000000000000000.log";

fn start(dir: &Path) -> Partitions {
    start_with(dir, config(&[]))
}

fn start_with(dir: &Path, config: Arc<BrokerConfig>) -> Partitions {
    start_on(dir, config, Disk::new, Arc::new(Clock::System))
}

fn start_on(
    dir: &Path,
    config: Arc<BrokerConfig>,
    disk: impl Fn(&Path) -> Disk,
    clock: Arc<Clock>,
) -> Partitions {
    let roots = [dir.to_path_buf()];
    let wanted = Wanted { roots: &roots, metadata: dir, node_id: 1, cluster_id: None };
    let dirs = Survey::of(&wanted, disk).unwrap().open(0).unwrap();
    let partitions = Partitions::new(dirs, Arc::new(ArcSwap::new(config)), clock);
    partitions.begin().unwrap();
    partitions
}

fn stop(partitions: &Partitions) {
    partitions.all().iter().for_each(|partition| partition.log().close().unwrap());
    partitions.remove_doomed(i64::MAX);
    partitions.mark_clean().unwrap();
}

fn topic() -> Arc<Topic> {
    let replicas: Box<[i32]> = Box::new([1]);
    let partition =
        PartitionInfo { leader: 1, replicas: replicas.clone(), isr: replicas, ..PartitionInfo::default() };
    Arc::new(Topic {
        name: "a".into(),
        id: Uuid::from_u128(7),
        partitions: vec![partition],
        configs: BTreeMap::new(),
    })
}

/// Creates the topic and appends to it; returns the bytes of the batch.
fn fill(partitions: &Partitions) -> usize {
    partitions.create(&topic(), 0).unwrap();
    let mut batch = BatchBuilder::new();
    batch.append(1, None, Some(b"value"), &[]);
    let batch = batch.build().unwrap();
    let how = Append { leader_epoch: 0, origin: Origin::Client, now_ms: 1 };
    append_batches(&partitions.all()[0].log(), &batch, &how).unwrap();
    batch.len()
}

fn dirs(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
}

#[test]
fn a_stop_does_not_wait_to_remove_deleted_partitions() {
    let temp = tempfile::tempdir().unwrap();
    let partitions = start(temp.path());
    fill(&partitions);
    partitions.delete(&topic());
    partitions.remove_doomed(0);
    assert_eq!(dirs(temp.path()).len(), 1, "its time is not up");
    stop(&partitions);
    assert!(dirs(temp.path()).is_empty());
    assert!(temp.path().join(CLEAN_SHUTDOWN_FILE).exists());
}

/// What others have written to the file system may take any time to get to the device.
#[test]
fn a_stop_waits_for_the_files_of_the_logs_that_were_written_to() {
    let temp = tempfile::tempdir().unwrap();
    let synced: Arc<Mutex<Vec<(Op, PathBuf)>>> = Arc::default();
    let disk = |root: &Path| {
        let synced = synced.clone();
        let note = move |op: Op, path: &Path| {
            if matches!(op, Op::Sync | Op::SyncAll) {
                synced.lock().push((op, path.to_owned()));
            }
            Ok(())
        };
        Disk::with_faults(root, Box::new(note))
    };
    let syncs_of_stop = |partitions: &Partitions| {
        synced.lock().clear();
        partitions.close();
        std::mem::take(&mut *synced.lock())
    };
    let start = || start_on(temp.path(), config(&[]), disk, Arc::new(Clock::System));
    let partitions = start();
    fill(&partitions);
    let stopped = syncs_of_stop(&partitions);
    assert!(stopped.contains(&(Op::Sync, temp.path().join("a-0").join(NAME))), "{stopped:?}");
    assert!(!stopped.iter().any(|(op, _)| *op == Op::SyncAll), "{stopped:?}");
    partitions.mark_clean().unwrap();
    drop(partitions);

    let partitions = start();
    partitions.open_all(&several_dirs::image(&topic()), &HashSet::new(), 1).unwrap();
    assert_eq!(syncs_of_stop(&partitions), [], "nobody has touched it");
}

#[test]
fn a_log_is_recovered_before_it_is_set_aside() {
    let temp = tempfile::tempdir().unwrap();
    let partitions = start(temp.path());
    let length = fill(&partitions);
    drop(partitions);
    let file = fs::File::options().write(true).open(temp.path().join("a-0").join(NAME)).unwrap();
    file.set_len(1 << 16).unwrap();
    let partitions = start(temp.path());
    partitions.open_all(&Image::default(), &HashSet::new(), 1).unwrap();
    stop(&partitions);
    let [stray] = &dirs(temp.path())[..] else { panic!("one directory is expected") };
    assert!(stray.to_str().unwrap().ends_with("-stray"), "{}", stray.display());
    assert_eq!(fs::metadata(stray.join(NAME)).unwrap().len(), length as u64);
    assert!(temp.path().join(CLEAN_SHUTDOWN_FILE).exists());
}

#[test]
fn what_a_death_left_of_a_deletion_or_a_creation_goes() {
    let temp = tempfile::tempdir().unwrap();
    let partitions = start(temp.path());
    fill(&partitions);
    drop(partitions);
    let partitions = start(temp.path());
    partitions.open_all(&Image::default(), &HashSet::from([topic().id]), 1).unwrap();
    stop(&partitions);
    drop(partitions);
    assert!(dirs(temp.path()).is_empty(), "the topic was deleted");

    let partitions = start(temp.path());
    partitions.create(&topic(), 0).unwrap();
    drop(partitions);
    assert_eq!(dirs(temp.path()).len(), 1);
    let partitions = start(temp.path());
    partitions.open_all(&Image::default(), &HashSet::new(), 1).unwrap();
    stop(&partitions);
    assert!(dirs(temp.path()).is_empty(), "the topic was never made");
    assert!(temp.path().join(CLEAN_SHUTDOWN_FILE).exists());
}

#[test]
fn deleted_partitions_wait_by_the_steady_clock() {
    let temp = tempfile::tempdir().unwrap();
    let clock = Arc::new(Clock::Manual(1_000_000.into()));
    let partitions = start_on(temp.path(), config(&[]), Disk::new, clock.clone());
    let delay = partitions.config().topic_defaults.file_delete_delay_ms;
    fill(&partitions);
    partitions.delete(&topic());
    for jump in [delay * 2, -delay * 4] {
        clock.jump(jump);
        partitions.remove_doomed(clock.steady_ms());
        assert_eq!(dirs(temp.path()).len(), 1, "a wall clock that is set, by {jump} ms");
    }
    clock.set(clock.now_ms() + delay);
    partitions.remove_doomed(clock.steady_ms());
    assert!(dirs(temp.path()).is_empty());
}

/// On a full disk not even a name can be changed.
#[test]
fn a_topic_that_is_made_again_gets_nothing_of_one_whose_directory_could_not_be_renamed() {
    let temp = tempfile::tempdir().unwrap();
    let (full, clock) = (Arc::new(AtomicBool::new(false)), Arc::new(Clock::Manual(1000.into())));
    let disk = |root: &Path| {
        let full = full.clone();
        let fault = move |op: Op, path: &Path| {
            let fails = op == Op::Rename && path.is_dir() && full.load(Ordering::Relaxed);
            if fails { Err(io::Error::from_raw_os_error(28)) } else { Ok(()) }
        };
        Disk::with_faults(root, Box::new(fault))
    };
    let partitions = start_on(temp.path(), config(&[]), disk, clock.clone());
    fill(&partitions);
    full.store(true, Ordering::Relaxed);
    partitions.delete(&topic());
    partitions.remove_doomed(clock.steady_ms());
    let again = Arc::new(Topic { id: Uuid::from_u128(8), ..Topic::clone(&topic()) });
    assert!(partitions.create(&again, 0).is_err(), "there is no place for it");
    assert!(partitions.get(again.id, 0).is_none());
    full.store(false, Ordering::Relaxed);
    partitions.create(&again, 0).unwrap();
    let log = Arc::clone(&partitions.get(again.id, 0).unwrap().log());
    assert_eq!((log.start_offset(), log.end_offset()), (0, 0));
    let live = temp.path().join("a-0");
    assert_eq!(log.dir(), live);
    assert_eq!(dirs(temp.path()).len(), 2, "the old one waits for its removal");
    partitions.remove_doomed(i64::MAX);
    assert_eq!(dirs(temp.path()), [live]);
}

/// Nobody knows whose records these are.
#[test]
fn what_has_the_name_of_a_new_topic_is_set_aside() {
    let other = partition_metadata::format(Uuid::from_u128(9));
    for (metadata, aside) in [(Some(other.as_str()), true), (Some("x"), true), (None, false)] {
        let temp = tempfile::tempdir().unwrap();
        let partitions = start(temp.path());
        let dir = temp.path().join("a-0");
        fs::create_dir(&dir).unwrap();
        if let Some(metadata) = metadata {
            fs::write(dir.join("partition.metadata"), metadata).unwrap();
            fs::write(dir.join(NAME), "records").unwrap();
        }
        fill(&partitions);
        assert_eq!(partitions.all()[0].log().end_offset(), 1);
        let strays: Vec<_> = dirs(temp.path()).into_iter().filter(|path| *path != dir).collect();
        assert_eq!(strays.len(), usize::from(aside), "{metadata:?}");
        assert!(strays.iter().all(|stray| fs::read(stray.join(NAME)).unwrap() == b"records"));
    }
}

#[test]
fn a_directory_with_a_log_that_did_not_open_is_not_marked() {
    let temp = tempfile::tempdir().unwrap();
    fs::create_dir_all(temp.path().join("a-0").join(NAME)).unwrap();
    let partitions = start(temp.path());
    partitions.open_all(&Image::default(), &HashSet::new(), 1).unwrap();
    stop(&partitions);
    assert!(!temp.path().join(CLEAN_SHUTDOWN_FILE).exists());
}

#[test]
fn a_topic_keeps_its_settings_whatever_else_changes() {
    let own = [("cleanup.policy", "compact"), ("retention.ms", "-1"), ("max.compaction.lag.ms", "86400000")];
    let in_force = |partitions: &Partitions| {
        let config = partitions.all()[0].log().config();
        (config.compact, config.delete, config.retention_ms, config.max_compaction_lag_ms)
    };
    let expected = (true, false, -1, 86_400_000);
    // The broker's part of a pair that does not fit together, and a key that only another release knows.
    for (key, value) in [("max.message.bytes", "5"), ("x", "1"), ("segment.bytes", "1024")] {
        let temp = tempfile::tempdir().unwrap();
        let partitions = start(temp.path());
        let configs = own.into_iter().chain([(key, value)]);
        let configs = configs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let topic = Arc::new(Topic { configs, ..Topic::clone(&topic()) });
        partitions.create(&topic, 0).unwrap();
        assert_eq!(in_force(&partitions), expected, "{key}");
        let lag = ("log.cleaner.min.compaction.lag.ms".to_owned(), "172800000".to_owned());
        let dynamic = DynamicConfigs { cluster: [lag].into(), ..DynamicConfigs::default() };
        let changed = Arc::new(partitions.config().with_dynamic(dynamic).unwrap());
        partitions.config.store(Arc::clone(&changed));
        partitions.reconfigure(&topic);
        assert_eq!(in_force(&partitions), expected, "{key}");
        stop(&partitions);
        drop(partitions);
        let partitions = start_with(temp.path(), changed);
        partitions.open_all(&several_dirs::image(&topic), &HashSet::new(), 1).unwrap();
        assert_eq!(in_force(&partitions), expected, "{key}");
        stop(&partitions);
    }
}
