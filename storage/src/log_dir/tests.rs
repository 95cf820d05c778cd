//! Locks, identities, and what checkpoints say of whom.

use super::LogDir;
use crate::checkpoint::Offsets;
use crate::config::LogConfig;
use crate::error::Error;
use crate::file::{Disk, Op};
use crate::file_name;
use crate::log::{Append, Log};
use crate::producers::Origin;
use milena_protocol::records::{BatchBuilder, BatchHeader, HEADER_LEN};
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;
use uuid::Uuid;

fn offsets(offset: i64) -> Offsets {
    [(("t".to_owned(), 0), offset), (("t".to_owned(), 1), offset), (("u".to_owned(), 0), offset)].into()
}

fn append(log: &Log) {
    let mut batch = BatchBuilder::new();
    batch.append(0, Some(b"key"), Some(b"value"), &[]);
    let batch = batch.build().unwrap();
    let how = Append { leader_epoch: 0, origin: Origin::Client, now_ms: 0 };
    log.append(&BatchHeader::read(&batch).unwrap(), &batch[HEADER_LEN..], &how).unwrap();
}

fn named(root: &Path, file: &str) -> Vec<(String, i32)> {
    let bytes = std::fs::read(root.join(file)).unwrap();
    let entries = milena_protocol::stored::checkpoint::parse_offsets(&bytes).unwrap();
    entries.into_iter().map(|entry| (entry.topic, entry.partition)).collect()
}

const CHECKPOINTS: [&str; 3] = [
    file_name::RECOVERY_POINT_CHECKPOINT,
    file_name::LOG_START_OFFSET_CHECKPOINT,
    file_name::CLEANER_CHECKPOINT,
];

#[test]
fn no_offset_of_a_deleted_log_is_that_of_a_new_one_of_its_name() {
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().to_path_buf();
    let seen = Arc::new(Mutex::new(0));
    let faults = {
        let (root, seen) = (root.clone(), seen.clone());
        Box::new(move |_: Op, path: &Path| {
            if path == root.join("t-0") {
                // The power may fail here: no checkpoint names the log that is about to be made.
                for file in CHECKPOINTS {
                    assert!(!named(&root, file).contains(&("t".to_owned(), 0)), "{file}");
                    assert!(named(&root, file).contains(&("u".to_owned(), 0)), "{file}");
                }
                *seen.lock() += 1;
            }
            Ok(())
        })
    };
    let dir = LogDir::open(Disk::with_faults(&root, faults), 1, None, 0).unwrap();
    let moment = dir.moment();
    dir.save_checkpoints(moment, offsets(1000), offsets(1000), &offsets(1000)).unwrap();
    dir.save_cleaned(moment, offsets(1000)).unwrap();
    // The offsets of the old log are collected, and written when the new one is there.
    let late = dir.moment();
    let log = dir.create_log("t", 0, Uuid::from_u128(7), LogConfig::default(), 0).unwrap();
    assert_eq!(*seen.lock(), 1);
    dir.save_checkpoints(late, offsets(2000), offsets(2000), &offsets(2000)).unwrap();
    dir.save_cleaned(late, offsets(2000)).unwrap();
    for file in CHECKPOINTS {
        assert_eq!(named(&root, file), [("t".to_owned(), 1), ("u".to_owned(), 0)], "{file}");
    }
    append(&log);
    drop((log, dir));
    // Killed before the next checkpoint.
    let dir = LogDir::open(Disk::new(&root), 1, None, 0).unwrap();
    let log = dir.open_log("t", 0, LogConfig::default(), 0).unwrap();
    assert_eq!((log.start_offset(), log.end_offset(), log.cleaned_up_to()), (0, 1, None));
    assert!(dir.disk().scanned() > 0);
    // What is collected from now on is that of the new log.
    for _ in 0..3 {
        let moment = dir.moment();
        dir.save_checkpoints(moment, offsets(1), offsets(1), &offsets(1)).unwrap();
        assert_eq!(named(&root, CHECKPOINTS[0]).len(), 3);
    }
    assert!(dir.saved.lock().made.is_empty());
}

#[test]
fn what_is_appended_where_a_log_was_cut_is_not_taken_for_what_was_there_before() {
    let temp = tempfile::tempdir().unwrap();
    let dir = LogDir::open(Disk::new(temp.path()), 1, None, 0).unwrap();
    append(&dir.create_log("t", 0, Uuid::from_u128(7), LogConfig::default(), 0).unwrap());
    // A log of 1000 records of which one is left.
    dir.save_checkpoints(dir.moment(), offsets(1000), Offsets::new(), &offsets(1000)).unwrap();
    dir.save_cleaned(dir.moment(), offsets(1000)).unwrap();
    drop(dir);
    for end in 1..4 {
        let dir = LogDir::open(Disk::new(temp.path()), 1, None, 0).unwrap();
        let log = dir.open_log("t", 0, LogConfig::default(), 0).unwrap();
        assert_eq!((log.start_offset(), log.end_offset(), log.cleaned_up_to()), (0, end, Some(0)));
        append(&log);
    }
    for file in [CHECKPOINTS[0], CHECKPOINTS[2]] {
        assert_eq!(named(temp.path(), file).len(), 3, "{file}: the others stay");
    }
}

#[test]
fn a_log_that_was_cut_below_its_start_goes_on_at_its_start() {
    let temp = tempfile::tempdir().unwrap();
    let dir = LogDir::open(Disk::new(temp.path()), 1, None, 0).unwrap();
    append(&dir.create_log("t", 0, Uuid::from_u128(7), LogConfig::default(), 0).unwrap());
    // A log of 1000 records of which one is left.
    dir.save_checkpoints(dir.moment(), offsets(1000), offsets(1000), &offsets(1000)).unwrap();
    dir.save_cleaned(dir.moment(), offsets(1000)).unwrap();
    drop(dir);
    let aside = temp.path().join("t-0/00000000000000000000.log.quarantined");
    for end in 1000..1003 {
        let dir = LogDir::open(Disk::new(temp.path()), 1, None, 0).unwrap();
        let log = dir.open_log("t", 0, LogConfig::default(), 0).unwrap();
        assert_eq!((log.start_offset(), log.end_offset(), log.cleaned_up_to()), (1000, end, Some(1000)));
        append(&log);
        assert!(aside.exists(), "what was below is no part of it");
    }
    for file in CHECKPOINTS {
        assert_eq!(named(temp.path(), file).len(), 3, "{file}: the others stay");
    }
}

/// A checkpoint has no checksum: what a clean stop cannot have left is none of it.
#[test]
fn a_log_start_that_cannot_be_is_not_believed() {
    let temp = tempfile::tempdir().unwrap();
    let dir = LogDir::open(Disk::new(temp.path()), 1, None, 0).unwrap();
    let log = dir.create_log("t", 0, Uuid::from_u128(7), LogConfig::default(), 0).unwrap();
    (0..3).for_each(|_| append(&log));
    log.delete_before(1).unwrap();
    log.close().unwrap();
    dir.save_checkpoints(dir.moment(), offsets(3), offsets(1003), &Offsets::new()).unwrap();
    dir.mark_clean().unwrap();
    drop((log, dir));
    for (start, end) in [(1, 3), (0, 4)] {
        let dir = LogDir::open(Disk::new(temp.path()), 1, None, 0).unwrap();
        let log = dir.open_log("t", 0, LogConfig::default(), 0).unwrap();
        assert_eq!((log.start_offset(), log.end_offset()), (start, end));
        assert_eq!(log.epoch_at(2), 0);
        append(&log);
        log.close().unwrap();
        dir.save_checkpoints(dir.moment(), offsets(end + 1), offsets(0), &Offsets::new()).unwrap();
        dir.mark_clean().unwrap();
    }
    assert!(
        std::fs::read_dir(temp.path().join("t-0"))
            .unwrap()
            .flatten()
            .all(|file| { !file.file_name().to_string_lossy().ends_with(".quarantined") })
    );
}

#[test]
fn a_log_start_that_the_leader_epochs_belie_takes_no_record_along() {
    // What the checkpoint says after a clean stop at log start 1, and where the log begins then: a start that went back
    // brings back what a file still has, and takes nothing.
    for (said, begins) in [(0, 0), (1, 1), (2, 1), (3, 1), (4, 1), (1004, 1)] {
        let temp = tempfile::tempdir().unwrap();
        let dir = LogDir::open(Disk::new(temp.path()), 1, None, 0).unwrap();
        let log = dir.create_log("t", 0, Uuid::from_u128(7), LogConfig::default(), 0).unwrap();
        for _ in 0..4 {
            append(&log);
            log.begin_segment(0).unwrap();
        }
        log.delete_before(1).unwrap();
        log.close().unwrap();
        dir.save_checkpoints(dir.moment(), offsets(4), offsets(said), &Offsets::new()).unwrap();
        dir.mark_clean().unwrap();
        drop((log, dir));
        let dir = LogDir::open(Disk::new(temp.path()), 1, None, 0).unwrap();
        let log = dir.open_log("t", 0, LogConfig::default(), 0).unwrap();
        assert_eq!((log.start_offset(), log.end_offset()), (begins, 4), "{said}");
        log.retain(0).unwrap();
        assert!((1..4).all(|offset| !log.read_batches(offset, 1).unwrap().is_empty()), "{said}");
    }
}

#[test]
fn a_topic_that_comes_again_costs_one_write_of_the_recovery_points() {
    let temp = tempfile::tempdir().unwrap();
    let renames = Arc::new(Mutex::new(0));
    let faults = {
        let renames = renames.clone();
        Box::new(move |op: Op, _: &Path| {
            *renames.lock() += i32::from(op == Op::Rename);
            Ok(())
        })
    };
    let dir = LogDir::open(Disk::with_faults(temp.path(), faults), 1, None, 0).unwrap();
    let all = (0..50).map(|partition| (("t".to_owned(), partition), 7)).collect();
    dir.save_checkpoints(dir.moment(), all, Offsets::new(), &Offsets::new()).unwrap();
    *renames.lock() = 0;
    for partition in 0..50 {
        dir.create_log("t", partition, Uuid::from_u128(7), LogConfig::default(), 0).unwrap();
    }
    assert_eq!(*renames.lock(), 1);
}

#[test]
fn a_directory_has_one_owner_and_one_identity() {
    let temp = tempfile::tempdir().unwrap();
    let disk = || Disk::new(temp.path());
    let first = LogDir::open(disk(), 1, None, 0).unwrap();
    assert!(!first.was_clean());
    assert!(matches!(LogDir::open(disk(), 1, None, 0), Err(Error::Locked(_))));
    let identity = first.identity().clone();
    first.mark_clean().unwrap();
    drop(first);
    let error = LogDir::open(disk(), 2, None, 0).unwrap_err().to_string();
    assert!(error.contains("node.id=1"), "{error}");
    assert!(matches!(LogDir::open(disk(), 1, Some("other"), 0), Err(Error::Identity { .. })));
    let again = LogDir::open(disk(), 1, Some(&identity.cluster_id), 0).unwrap();
    assert_eq!(*again.identity(), identity);
    assert!(again.was_clean(), "no refusal has removed the mark");
    drop(again);
    let again = LogDir::open(disk(), 1, None, 0).unwrap();
    assert!(again.was_clean(), "nor has a start that went no further");
    again.begin().unwrap();
    assert!(again.was_clean());
    drop(again);
    assert!(!LogDir::open(disk(), 1, None, 0).unwrap().was_clean(), "the mark is gone while a broker runs");
}

#[test]
fn a_directory_of_something_else_is_left_as_it_is() {
    let temp = tempfile::tempdir().unwrap();
    std::fs::create_dir(temp.path().join("photos")).unwrap();
    std::fs::write(temp.path().join("notes.txt"), "not a directory").unwrap();
    let error = LogDir::open(Disk::new(temp.path()), 1, None, 0).unwrap_err();
    assert!(matches!(&error, Error::Identity { path, .. } if path.ends_with("photos")), "{error}");
    let mut names: Vec<_> = std::fs::read_dir(temp.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort_unstable();
    assert_eq!(names, ["notes.txt", "photos"]);
}

#[test]
fn partitions_are_found_by_name_and_id() {
    let temp = tempfile::tempdir().unwrap();
    let dir = LogDir::open(Disk::new(temp.path()), 1, None, 0).unwrap();
    let id = Uuid::new_v4();
    dir.create_log("a-b", 7, id, LogConfig::default(), 0).unwrap();
    let log = dir.create_log("gone", 0, id, LogConfig::default(), 0).unwrap();
    log.retire(&dir.deleted_path_of("gone", 0)).unwrap();
    std::fs::create_dir(temp.path().join("lost+found")).unwrap();
    let found = dir.partitions().unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].name.topic.as_str(), found[0].name.partition, found[0].topic_id),
        ("a-b", 7, Some(id))
    );
    std::fs::create_dir(temp.path().join("photos")).unwrap();
    assert!(matches!(dir.partitions(), Err(Error::Identity { .. })));
}
