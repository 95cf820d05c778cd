//! The metadata log on a disk: snapshots come, and what they stand for goes.

use super::{MetadataDir, SnapshotFile};
use crate::config::MetadataConfig;
use crate::controller::MetadataLog;
use crate::controller::testing::config;
use milena_protocol::records::{BatchBuilder, ControlType, SnapshotHeader, control_batch};
use milena_storage::file::{Disk, Op};
use milena_storage::log_dirs::{Survey, Wanted};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const NOW_MS: i64 = 1_700_000_000_000;

fn settings() -> MetadataConfig {
    config(&[]).metadata.clone()
}

fn open(root: &Path) -> (MetadataDir, Option<SnapshotFile>) {
    open_on(root, Disk::new)
}

fn open_on(root: &Path, disk: impl Fn(&Path) -> Disk) -> (MetadataDir, Option<SnapshotFile>) {
    let roots = [root.to_path_buf()];
    let wanted = Wanted { roots: &roots, metadata: root, node_id: 1, cluster_id: None };
    let dirs = Survey::of(&wanted, disk).unwrap().open(0).unwrap();
    MetadataDir::open(dirs.metadata(), &settings(), NOW_MS).unwrap()
}

/// Appends a batch of `count` records.
fn append(metadata: &MetadataDir, count: usize) {
    let mut batch = BatchBuilder::new().base_offset(metadata.end_offset()).leader_epoch(1);
    for _ in 0..count {
        batch.append(NOW_MS, None, Some(&[0; 100]), &[]);
    }
    metadata.append(&batch.build().unwrap()).unwrap();
}

/// A snapshot that stands for records up to a time.
fn snapshot(timestamp_ms: i64) -> Vec<u8> {
    let header = SnapshotHeader { last_contained_log_timestamp: timestamp_ms }.value();
    let records = [(ControlType::SnapshotHeader, header.as_slice()), (ControlType::SnapshotFooter, &[0, 0])];
    control_batch(0, 1, timestamp_ms, records).unwrap()
}

/// Names of the log files and snapshots.
fn names(root: &Path) -> Vec<String> {
    let dir = fs::read_dir(root.join("__cluster_metadata-0")).unwrap();
    let mut names: Vec<_> = dir.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name.contains(".log") || name.contains(".checkpoint"));
    names.sort();
    names.iter().map(|name| name.trim_start_matches('0').to_owned()).collect()
}

/// Three snapshots, at 10, 20 and 30, the log up to 35.
fn filled(root: &Path) -> MetadataDir {
    let (metadata, _) = open(root);
    for end in [10, 20, 30] {
        append(&metadata, 10);
        metadata.store_snapshot(end, 1, &snapshot(NOW_MS + end)).unwrap();
        metadata.begin_segment(NOW_MS).unwrap();
    }
    append(&metadata, 5);
    metadata
}

#[test]
fn each_snapshot_begins_a_segment_and_the_oldest_go_first() {
    let all = [
        ".log",
        "10-0000000001.checkpoint",
        "10.log",
        "20-0000000001.checkpoint",
        "20.log",
        "30-0000000001.checkpoint",
        "30.log",
    ];
    // Bytes, age and time, and the oldest snapshot that is left.
    let rows = [
        (None, None, 1 << 60, 0),
        (Some(1 << 20), Some(1000), NOW_MS, 0),
        (Some(1), None, NOW_MS, 30),
        (Some(3200), None, NOW_MS, 20),
        (None, Some(0), NOW_MS + 10, 0),
        (None, Some(0), NOW_MS + 11, 20),
        (None, Some(0), NOW_MS + 21, 30),
        (Some(1), Some(0), NOW_MS + 1000, 30),
    ];
    for (max_bytes, max_ms, now_ms, oldest) in rows {
        let temp = tempfile::tempdir().unwrap();
        let metadata = filled(temp.path());
        assert_eq!(names(temp.path()), all);
        metadata.trim(max_bytes, max_ms, now_ms).unwrap();
        let what = format!("{max_bytes:?} {max_ms:?} {}", now_ms - NOW_MS);
        let number = |name: &&str| name.split(['-', '.']).next().unwrap().parse().unwrap_or(0);
        let left: Vec<_> = all.into_iter().filter(|name| number(name) >= oldest).collect();
        assert_eq!(names(temp.path()), left, "{what}");
        assert_eq!(metadata.start_offset(), oldest, "{what}");
        metadata.close().unwrap();
        drop(metadata);
        let (again, newest) = open(temp.path());
        assert_eq!(newest.map(|found| (found.end_offset, found.epoch)), Some((30, 1)), "{what}");
        assert_eq!(again.end_offset(), 35);
        assert!(!again.read(30, 1).unwrap().is_empty());
    }
}

#[test]
fn a_snapshot_while_records_come_keeps_its_segment() {
    let temp = tempfile::tempdir().unwrap();
    let (metadata, _) = open(temp.path());
    append(&metadata, 10);
    append(&metadata, 10);
    // Written down at 10, when 20 were there already.
    metadata.store_snapshot(10, 1, &snapshot(1)).unwrap();
    metadata.begin_segment(NOW_MS).unwrap();
    append(&metadata, 10);
    metadata.store_snapshot(30, 1, &snapshot(2)).unwrap();
    metadata.begin_segment(NOW_MS).unwrap();
    metadata.trim(Some(1), None, NOW_MS).unwrap();
    assert_eq!(names(temp.path()), ["30-0000000001.checkpoint", "30.log"]);
}

#[test]
fn a_death_leaves_nothing_for_good() {
    let temp = tempfile::tempdir().unwrap();
    drop(filled(temp.path()));
    let dir = temp.path().join("__cluster_metadata-0");
    for name in [
        "00000000000000000031-0000000001-77.checkpoint.part",
        "00000000000000000002-0000000001.checkpoint.deleted",
    ] {
        fs::write(dir.join(name), "half").unwrap();
    }
    // The log before the second snapshot went, and then the process.
    fs::remove_file(dir.join("00000000000000000000.log")).unwrap();
    fs::remove_file(dir.join("00000000000000000010.log")).unwrap();
    let (metadata, newest) = open(temp.path());
    assert_eq!((metadata.start_offset(), newest.unwrap().end_offset), (20, 30));
    metadata.trim(None, None, NOW_MS).unwrap();
    assert_eq!(
        names(temp.path()),
        ["20-0000000001.checkpoint", "20.log", "30-0000000001.checkpoint", "30.log"]
    );
}

#[test]
fn a_log_that_is_cut_before_its_snapshot_begins_anew() {
    let temp = tempfile::tempdir().unwrap();
    drop(filled(temp.path()));
    let dir = temp.path().join("__cluster_metadata-0");
    fs::remove_file(dir.join("00000000000000000030.log")).unwrap();
    let last = dir.join("00000000000000000020.log");
    let bytes = fs::read(&last).unwrap();
    fs::write(&last, &bytes[..bytes.len() - 1]).unwrap();
    let (metadata, newest) = open(temp.path());
    assert_eq!((metadata.start_offset(), metadata.end_offset()), (30, 30));
    assert_eq!(newest.unwrap().end_offset, 30);
    append(&metadata, 1);
    assert_eq!(metadata.end_offset(), 31);
}

#[test]
fn a_snapshot_that_is_not_whole_is_passed_over_while_the_log_has_what_it_stood_for() {
    let whole = snapshot(NOW_MS + 30);
    for damage in [Vec::new(), vec![0; whole.len()], whole[..whole.len() - 1].to_vec()] {
        let dir = tempfile::tempdir().unwrap();
        drop(filled(dir.path()));
        let path = dir.path().join("__cluster_metadata-0/00000000000000000030-0000000001.checkpoint");
        fs::write(&path, &damage).unwrap();
        let (metadata, found) = open(dir.path());
        assert_eq!((found.unwrap().end_offset, metadata.end_offset()), (20, 35));
        assert!(!path.exists() && path.with_extension("checkpoint.quarantined").exists());
        drop(metadata);
        // Without the log before it there is nothing to go back to: whoever reads it refuses.
        fs::write(&path, &damage).unwrap();
        for base in [0, 10, 20] {
            fs::remove_file(dir.path().join(format!("__cluster_metadata-0/{base:020}.log"))).unwrap();
        }
        let (_, found) = open(dir.path());
        assert_eq!((found.unwrap().bytes, path.exists()), (damage, true));
    }
}

#[test]
fn what_was_appended_before_a_death_is_on_the_device_before_it_counts() {
    let dir = tempfile::tempdir().unwrap();
    let (metadata, _) = open(dir.path());
    append(&metadata, 10);
    drop(metadata);
    let (metadata, _) = open(dir.path());
    assert_eq!((metadata.log.end_offset(), metadata.log.recovery_point()), (10, 10));
}

#[test]
fn a_sync_waits_while_there_are_no_descriptors() {
    let temp = tempfile::tempdir().unwrap();
    let left = Arc::new(AtomicUsize::new(0));
    let disk = |root: &Path| {
        let left = left.clone();
        let fault = move |op: Op, _: &Path| {
            let opens = matches!(op, Op::Open | Op::OpenRead);
            let take = |left: usize| left.checked_sub(usize::from(opens));
            match left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
                Ok(_) if opens => Err(std::io::Error::from_raw_os_error(24)),
                _ => Ok(()),
            }
        };
        Disk::with_faults(root, Box::new(fault))
    };
    let (metadata, _) = open_on(temp.path(), disk);
    // Each opening of a sync fails once, and more than once.
    for shortage in [1, 2, 5] {
        append(&metadata, 10);
        left.store(shortage, Ordering::Relaxed);
        metadata.sync(metadata.end_offset()).unwrap();
        assert_eq!(left.load(Ordering::Relaxed), 0, "it has met the shortage");
        // A new segment: another sync opens files again.
        let end = metadata.end_offset();
        metadata.store_snapshot(end, 1, &snapshot(NOW_MS)).unwrap();
        metadata.begin_segment(NOW_MS).unwrap();
    }
    assert_eq!(metadata.end_offset(), 30);
}
