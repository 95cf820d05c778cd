//! Files that are there and cannot be opened: the answer is an error or the right one.

use super::HOW;
use crate::config::LogConfig;
use crate::error::{Error, Result};
use crate::file::{Disk, Op};
use crate::log::{Append, Bound, CleanerMemory, Log, Start};
use crate::producers::Origin;
use crate::sync::tests::open_below;
use milena_protocol::records::{
    BatchBuilder, BatchHeader, EndTransactionMarker, HEADER_LEN, end_transaction_batch,
};
use nix::libc::{EACCES, EIO, EMFILE, ENFILE};
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const NOW: i64 = 1_000_000;
const ERRNOS: [i32; 4] = [EMFILE, ENFILE, EIO, EACCES];

/// Which files cannot be opened for reading at present: how they end, and why.
type Refused = Arc<Mutex<Option<(&'static str, i32)>>>;

fn disk(root: &Path, refused: &Refused) -> Disk {
    let refused = refused.clone();
    let faults = move |op: Op, path: &Path| match *refused.lock() {
        Some((end, errno)) if op == Op::OpenRead && path.to_str().unwrap().ends_with(end) => {
            Err(std::io::Error::from_raw_os_error(errno))
        }
        _ => Ok(()),
    };
    Disk::with_faults(root, Box::new(faults))
}

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 2000,
        index_interval_bytes: 100,
        compact: true,
        delete: false,
        mapped: false,
        ..LogConfig::default()
    }
}

fn open(disk: &Disk, config: &LogConfig) -> Log {
    let start = Start { clean: true, now_ms: NOW, ..Start::default() };
    Log::open(disk, disk.root(), config.clone(), &start).unwrap()
}

fn put(log: &Log, key: &str, producer: Option<(i64, i32)>) {
    let mut batch = BatchBuilder::new();
    if let Some((id, sequence)) = producer {
        batch = batch.producer(id, 0, sequence).transactional(true);
    }
    batch.append(NOW, Some(key.as_bytes()), Some(&[b'v'; 200]), &[]);
    let batch = batch.build().unwrap();
    log.append(&BatchHeader::read(&batch).unwrap(), &batch[HEADER_LEN..], &HOW).unwrap();
}

fn end(log: &Log, producer: i64, commit: bool) {
    let marker = EndTransactionMarker { commit, coordinator_epoch: 0 };
    let batch = end_transaction_batch(0, 0, NOW, producer, 0, marker);
    let how = Append { origin: Origin::Coordinator, ..HOW };
    log.append(&BatchHeader::read(&batch).unwrap(), &batch[HEADER_LEN..], &how).unwrap();
}

/// Committed and aborted transactions in some segments, closed and opened again: no index is in memory.
fn with_transactions(disk: &Disk) -> Log {
    let log = open(disk, &config());
    for n in 0..20 {
        put(&log, &format!("key {}", n % 3), Some((n, 0)));
        put(&log, &format!("key {}", n % 3), Some((n, 1)));
        end(&log, n, n % 2 == 0);
    }
    assert!(log.segments().len() > 5);
    log.close().unwrap();
    drop(log);
    open(disk, &config())
}

fn aborted(log: &Log, offset: i64) -> Result<Vec<(i64, i64)>> {
    let slice = log.read(offset, 1, true, Bound::Stable)?;
    Ok(slice.aborted.iter().map(|one| (one.producer_id, one.first_offset)).collect())
}

#[test]
fn aborted_transactions_that_cannot_be_looked_up_are_not_none() {
    for errno in ERRNOS {
        let (temp, refused) = (tempfile::tempdir().unwrap(), Refused::default());
        let disk = disk(temp.path(), &refused);
        let log = with_transactions(&disk);
        let all: Vec<_> = (0..log.end_offset()).map(|offset| aborted(&log, offset).unwrap()).collect();
        assert!(all.iter().filter(|found| !found.is_empty()).count() > 10);
        for kind in ["txnindex", "index", ".timeindex", ""] {
            *refused.lock() = Some((kind, errno));
            for (offset, right) in all.iter().enumerate() {
                let found = aborted(&log, offset as i64);
                assert!(found.is_err() || found.as_ref().unwrap() == right, "{kind} {errno}: {found:?}");
            }
            *refused.lock() = None;
        }
        for (offset, right) in all.iter().enumerate() {
            assert_eq!(&aborted(&log, offset as i64).unwrap(), right, "{errno}: and it is over");
        }
        assert!(!disk.is_offline());
    }
}

#[test]
fn a_pass_of_compaction_without_aborted_transactions_changes_nothing() {
    let memory = CleanerMemory { map_bytes: 1 << 20, load_factor: 0.9, io_bytes: 64 << 10 };
    let names = |dir: &Path| {
        let mut names: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names
    };
    for errno in ERRNOS {
        let (temp, refused) = (tempfile::tempdir().unwrap(), Refused::default());
        let disk = disk(temp.path(), &refused);
        let log = with_transactions(&disk);
        let before = names(temp.path());
        let work = log.cleanable(NOW).unwrap().unwrap();
        *refused.lock() = Some(("txnindex", errno));
        let done = log.clean(&work, &memory, NOW, &mut |_| true);
        assert!(matches!(done, Err(Error::Io { .. })), "{errno}: {done:?}");
        assert_eq!(names(temp.path()), before, "{errno}");
        *refused.lock() = None;
        log.clean(&work, &memory, NOW, &mut |_| true).unwrap();
        let (mut offset, mut committed) = (0, 0);
        while offset < log.end_offset() {
            let bytes = log.read_batches(offset, 1).unwrap();
            let Ok(header) = BatchHeader::read(&bytes) else { break };
            // The segment that grows is as it was.
            let cleaned = header.base_offset < work.first_uncleanable && header.record_count > 0;
            let is_data = cleaned && !header.attributes.is_control();
            assert!(!is_data || header.producer_id % 2 == 0, "{errno}: an aborted record is left");
            committed += i32::from(is_data);
            offset = header.next_offset();
        }
        assert!(committed > 0);
    }
}

#[test]
fn the_age_of_a_segment_is_not_guessed() {
    for errno in [EMFILE, ENFILE] {
        let (temp, refused) = (tempfile::tempdir().unwrap(), Refused::default());
        let disk = disk(temp.path(), &refused);
        let keep = LogConfig { compact: false, delete: true, retention_ms: 1000, ..config() };
        let log = open(&disk, &keep);
        (0..40).for_each(|n| put(&log, &n.to_string(), None));
        log.close().unwrap();
        drop(log);
        for entry in std::fs::read_dir(temp.path()).unwrap() {
            let file = std::fs::File::options().write(true).open(entry.unwrap().path()).unwrap();
            file.set_modified(std::time::UNIX_EPOCH).unwrap();
        }
        let log = open(&disk, &keep);
        *refused.lock() = Some((".timeindex", errno));
        let _ = log.retain(NOW + 500);
        assert_eq!(log.start_offset(), 0, "{errno}: nothing is old enough");
        *refused.lock() = None;
        assert_eq!(log.retain(NOW + 500).unwrap().segments(), 0);
        assert!(log.retain(NOW + 1001).unwrap().segments() > 5);
    }
}

/// Open files below a directory.
#[test]
fn a_log_that_is_busy_holds_its_last_file_alone() {
    let temp = tempfile::tempdir().unwrap();
    let disk = Disk::new(temp.path());
    let busy = LogConfig { segment_bytes: 100_000, ..LogConfig::default() };
    let log = open(&disk, &busy);
    (0..2000).for_each(|n| put(&log, &n.to_string(), None));
    assert!(log.segments().len() > 4 && log.mapped.load(Ordering::Relaxed));
    log.release_idle(NOW + 1);
    assert_eq!(open_below(temp.path()), 1);
    (0..2000).for_each(|offset| drop(log.read(offset, 1, true, Bound::End).unwrap()));
    assert!(open_below(temp.path()) > 4);
    log.release_idle(NOW + 2);
    assert_eq!(open_below(temp.path()), 1);
}

/// A start after a crash reads segments that nobody has asked for.
#[test]
fn a_start_leaves_no_file_open() {
    let temp = tempfile::tempdir().unwrap();
    let disk = Disk::new(temp.path());
    drop(with_transactions(&disk));
    let start = Start { now_ms: NOW, ..Start::default() };
    let log = Log::open(&disk, disk.root(), config(), &start).unwrap();
    assert!(log.segments().len() > 4);
    assert_eq!(open_below(temp.path()), 0);
}

/// Looks for what is overdue come every few seconds, for ever.
#[test]
fn a_look_for_what_is_overdue_leaves_no_file_open() {
    let temp = tempfile::tempdir().unwrap();
    let log = open(&Disk::new(temp.path()), &LogConfig { max_compaction_lag_ms: 10 * NOW, ..config() });
    (0..40).for_each(|n| put(&log, &n.to_string(), None));
    log.flush().unwrap();
    [0, 100_000, 100_001].into_iter().for_each(|ms| log.release_idle(ms));
    assert!(log.is_at_rest() && log.segments().len() > 5);
    for _ in 0..2 {
        assert!(!log.cleanable(NOW).unwrap().unwrap().is_overdue);
        assert!(log.is_at_rest() && open_below(temp.path()) == 0);
    }
}

/// What a pass has opened to keep it is let go when it comes to nothing.
#[test]
fn a_pass_that_fails_lets_go_of_its_files() {
    let memory = CleanerMemory { map_bytes: 1 << 20, load_factor: 0.9, io_bytes: 64 << 10 };
    let temp = tempfile::tempdir().unwrap();
    let armed = Arc::new(AtomicBool::new(false));
    let fails = armed.clone();
    let fault = move |op: Op, _: &Path| match op == Op::Rename && fails.load(Ordering::Relaxed) {
        true => Err(std::io::Error::from_raw_os_error(EACCES)),
        false => Ok(()),
    };
    let disk = Disk::with_faults(temp.path(), Box::new(fault));
    let log = with_transactions(&disk);
    let work = log.cleanable(NOW).unwrap().unwrap();
    armed.store(true, Ordering::Relaxed);
    assert!(log.clean(&work, &memory, NOW, &mut |_| true).is_err());
    armed.store(false, Ordering::Relaxed);
    log.release_idle(NOW + 100_000);
    assert_eq!(open_below(temp.path()), 0);
    assert!(aborted(&log, 0).is_ok());
}
