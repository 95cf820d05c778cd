use super::Bound;
use crate::config::LogConfig;
use crate::file::Disk;
use crate::log::{Append, Log, Start};
use crate::producers::Origin;
use milena_protocol::records::{
    BatchBuilder, BatchHeader, EndTransactionMarker, HEADER_LEN, end_transaction_batch,
};
use std::cell::RefCell;
use std::sync::Arc;

const HOW: Append = Append { leader_epoch: 0, origin: Origin::Client, now_ms: 1_000 };

thread_local! {
    static BETWEEN_LOOKS: RefCell<Option<Box<dyn FnOnce()>>> = const { RefCell::new(None) };
}

/// What the others do while a read of this thread has looked for the last stable offset, and not yet for the segments.
pub(super) fn between_looks() {
    if let Some(others) = BETWEEN_LOOKS.take() {
        others();
    }
}

fn append(log: &Log, batch: &[u8], origin: Origin) {
    let how = Append { origin, ..HOW };
    log.append(&BatchHeader::read(batch).unwrap(), &batch[HEADER_LEN..], &how).unwrap();
}

#[test]
fn what_is_aborted_behind_a_roll_while_somebody_looks_is_not_taken_for_committed() {
    let dir = tempfile::tempdir().unwrap();
    // Room for the records, and not for the marker behind them.
    let config = LogConfig { segment_bytes: 300, mapped: false, ..LogConfig::default() };
    let start = Start { clean: true, now_ms: HOW.now_ms, ..Start::default() };
    let log = Arc::new(Log::open(&Disk::new(dir.path()), dir.path(), config, &start).unwrap());
    let mut records = BatchBuilder::new().producer(7, 0, 0).transactional(true);
    records.append(HOW.now_ms, Some(b"key"), Some(&[b'v'; 200]), &[]);
    append(&log, &records.build().unwrap(), Origin::Client);
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
