//! What is synced, file by file.

use crate::config::LogConfig;
use crate::file::{Disk, Op};
use crate::log::{Append, Log, Start};
use crate::producers::Origin;
use milena_protocol::records::{BatchBuilder, BatchHeader, HEADER_LEN};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

type Synced = Arc<Mutex<BTreeSet<String>>>;

/// A disk that notes the names of what is synced.
fn noting(root: &Path) -> (Disk, Synced) {
    let synced = Synced::default();
    let noted = synced.clone();
    let note = move |op, path: &Path| {
        if op == Op::Sync {
            noted.lock().insert(path.file_name().unwrap_or_default().to_str().unwrap().to_owned());
        }
        Ok(())
    };
    (Disk::with_faults(root, Box::new(note)), synced)
}

fn open(disk: &Disk, dir: &Path, clean: bool) -> Log {
    let config = LogConfig { retention_bytes: 0, mapped: false, ..LogConfig::default() };
    std::fs::create_dir_all(dir).unwrap();
    Log::open(disk, dir, config, &Start { clean, ..Start::default() }).unwrap()
}

fn put(log: &Log, sequence: i32) {
    let mut builder = BatchBuilder::new().producer(7, 0, sequence);
    builder.append(1000, None, Some(b"value"), &[]);
    let batch = builder.build().unwrap();
    let how = Append { leader_epoch: 0, origin: Origin::Client, now_ms: 1000 };
    log.append(&BatchHeader::read(&batch).unwrap(), &batch[HEADER_LEN..], &how).unwrap();
}

fn taken(synced: &Synced) -> Vec<String> {
    std::mem::take(&mut *synced.lock()).into_iter().collect()
}

#[test]
fn a_segment_that_ends_is_synced_with_what_a_start_trusts() {
    let root = tempfile::tempdir().unwrap();
    let (disk, synced) = noting(root.path());
    let log = open(&disk, &root.path().join("t-0"), true);
    put(&log, 0);
    log.flush().unwrap();
    taken(&synced);
    log.begin_segment(1000).unwrap();
    log.plan_flush(1).unwrap().expect("a segment has ended").sync(&disk).unwrap();
    let names = ["000.index", "000.log", "000.timeindex", "001.snapshot", "t-0"];
    let found = taken(&synced);
    for name in names {
        assert!(found.iter().any(|found| found.ends_with(name)), "{name} in {found:?}");
    }
}

#[test]
fn the_producers_of_what_retention_takes_are_synced_first() {
    let root = tempfile::tempdir().unwrap();
    let (disk, synced) = noting(root.path());
    let log = open(&disk, &root.path().join("t-0"), true);
    put(&log, 0);
    log.retain(1000).unwrap();
    assert_eq!((log.start_offset(), log.end_offset()), (1, 1));
    assert!(taken(&synced).iter().any(|name| name.ends_with("001.snapshot")));
    // A flush has done it before.
    put(&log, 1);
    log.begin_segment(1000).unwrap();
    log.flush().unwrap();
    taken(&synced);
    log.retain(1000).unwrap();
    assert_eq!((log.start_offset(), taken(&synced)), (2, Vec::new()));
}

#[test]
fn a_closed_log_is_synced_file_by_file_if_something_has_changed() {
    let root = tempfile::tempdir().unwrap();
    let (disk, synced) = noting(root.path());
    let dir = root.path().join("t-0");
    let log = open(&disk, &dir, true);
    put(&log, 0);
    log.close().unwrap();
    log.sync_closed().unwrap();
    let found = taken(&synced);
    for entry in std::fs::read_dir(&dir).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(found.contains(&name), "{name} in {found:?}");
    }
    assert!(found.contains(&"t-0".to_owned()));
    drop(log);
    let log = open(&disk, &dir, true);
    log.close().unwrap();
    assert!(!log.awaits_sync());
    drop(log);

    let log = open(&disk, &dir, true);
    log.set_config(LogConfig { segment_bytes: 100, retention_bytes: 73, ..(*log.config()).clone() });
    put(&log, 1);
    log.synced_by_caller();
    assert_eq!(log.retain(2000).unwrap().segments(), 1);
    assert!(log.awaits_sync(), "files have other names");
    log.synced_by_caller();
    log.remove_doomed(i64::MAX);
    assert!(log.awaits_sync(), "files are gone");
}
