use super::Bound;
use crate::config::LogConfig;
use crate::file::Disk;
use crate::log::{Append, Log, Start};
use crate::producers::Origin;
use milena_protocol::records::{
    BatchBuilder, BatchHeader, EndTransactionMarker, HEADER_LEN, end_transaction_batch,
};
use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

const HOW: Append = Append { leader_epoch: 0, origin: Origin::Client, now_ms: 1_000 };

thread_local! {
    static BETWEEN_LOOKS: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

/// What the others do while a read of this thread has looked at the end of the log, and not yet at the transactions.
pub(in crate::log) fn between_looks() {
    if let Some(others) = BETWEEN_LOOKS.take() {
        others();
    }
}

fn append(log: &Log, batch: &[u8], origin: Origin) {
    let how = Append { origin, ..HOW };
    log.append(&BatchHeader::read(batch).unwrap(), &batch[HEADER_LEN..], &how).unwrap();
}

fn open(dir: &Path, segment_bytes: u32) -> Arc<Log> {
    let config = LogConfig { segment_bytes, mapped: false, ..LogConfig::default() };
    let start = Start { clean: true, now_ms: HOW.now_ms, ..Start::default() };
    Arc::new(Log::open(&Disk::new(dir), dir, config, &start).unwrap())
}

fn records(transactional: bool) -> Vec<u8> {
    let mut records = BatchBuilder::new();
    if transactional {
        records = records.producer(7, 0, 0).transactional(true);
    }
    records.append(HOW.now_ms, Some(b"key"), Some(&[b'v'; 200]), &[]);
    records.build().unwrap()
}

#[test]
fn a_transaction_that_begins_while_somebody_looks_is_not_stable() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), 1 << 20);
    append(&log, &records(false), Origin::Client);
    let others = Arc::clone(&log);
    BETWEEN_LOOKS.set(Some(Box::new(move || append(&others, &records(true), Origin::Client))));
    let slice = log.read(0, 1 << 20, true, Bound::Stable).unwrap();
    assert_eq!(log.end_offset(), 2);
    assert_eq!((slice.last_stable, slice.len), (1, records(false).len()));
}

#[test]
fn what_is_aborted_behind_a_roll_while_somebody_looks_is_not_taken_for_committed() {
    let dir = tempfile::tempdir().unwrap();
    // Room for the records, and not for the marker behind them.
    let log = open(dir.path(), 300);
    append(&log, &records(true), Origin::Client);
    let others = Arc::clone(&log);
    BETWEEN_LOOKS.set(Some(Box::new(move || {
        let marker = EndTransactionMarker { commit: false, coordinator_epoch: 0 };
        append(&others, &end_transaction_batch(0, 0, HOW.now_ms, 7, 0, marker), Origin::Coordinator);
    })));
    let during = log.read(0, 1 << 20, true, Bound::Stable).unwrap();
    assert_eq!(log.segments().len(), 2);
    assert!(during.len == 0 || during.aborted.len() == 1, "{during:?}");
    let after = log.read(0, 1 << 20, true, Bound::Stable).unwrap();
    assert!(after.len > 0 && after.aborted.len() == 1, "{after:?}");
}

#[test]
fn an_offset_index_that_went_bad_hides_no_aborted_transaction() {
    let config = LogConfig { index_interval_bytes: 1, mapped: false, ..LogConfig::default() };
    let start = Start { clean: true, now_ms: HOW.now_ms, ..Start::default() };
    let whole = tempfile::tempdir().unwrap();
    let log = Log::open(&Disk::new(whole.path()), whole.path(), config.clone(), &start).unwrap();
    (0..4).for_each(|_| append(&log, &records(false), Origin::Client));
    append(&log, &records(true), Origin::Client);
    (0..2).for_each(|_| append(&log, &records(false), Origin::Client));
    let marker = EndTransactionMarker { commit: false, coordinator_epoch: 0 };
    append(&log, &end_transaction_batch(0, 0, HOW.now_ms, 7, 0, marker), Origin::Coordinator);
    append(&log, &records(false), Origin::Client);
    log.close().unwrap();
    let index = std::fs::read(whole.path().join("00000000000000000000.index")).unwrap();
    assert_eq!(index.len(), 8 * 8, "an entry for each batch but the first");
    for bit in 0..8 * index.len() {
        let dir = tempfile::tempdir().unwrap();
        for file in std::fs::read_dir(whole.path()).unwrap().map(|file| file.unwrap()) {
            std::fs::copy(file.path(), dir.path().join(file.file_name())).unwrap();
        }
        let mut bytes = index.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(dir.path().join("00000000000000000000.index"), bytes).unwrap();
        let log = Log::open(&Disk::new(dir.path()), dir.path(), config.clone(), &start).unwrap();
        let hidden = |log: &Log| log.read(4, 1, true, Bound::Stable).unwrap().aborted.is_empty();
        assert!(!hidden(&log), "bit {bit}");
        // The index comes into memory.
        append(&log, &records(false), Origin::Client);
        assert!(!hidden(&log), "bit {bit}, once the log has grown");
    }
}
