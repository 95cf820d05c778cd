use crate::config::LogConfig;
use crate::error::Error;
use crate::file::Disk;
use crate::log::{Append, Log, Start};
use crate::producers::{Origin, ProducerError};
use milena_protocol::records::{
    BatchBuilder, BatchHeader, EndTransactionMarker, HEADER_LEN, end_transaction_batch,
};

const HOW: Append = Append { leader_epoch: 0, origin: Origin::Client, now_ms: 1_000 };

fn batch(epoch: i16, sequence: i32) -> Vec<u8> {
    let mut builder = BatchBuilder::new().producer(7, epoch, sequence).transactional(true);
    builder.append(1_000, Some(b"key"), Some(b"value"), &[]);
    builder.build().unwrap()
}

fn open() -> (tempfile::TempDir, Log) {
    let dir = tempfile::tempdir().unwrap();
    let start = Start { clean: true, now_ms: HOW.now_ms, ..Start::default() };
    let log = Log::open(&Disk::new(dir.path()), dir.path(), LogConfig::default(), &start).unwrap();
    (dir, log)
}

fn end(log: &Log, epoch: i16, commit: bool) {
    let marker = EndTransactionMarker { commit, coordinator_epoch: 0 };
    let batch = end_transaction_batch(0, 0, HOW.now_ms, 7, epoch, marker);
    let how = Append { origin: Origin::Coordinator, ..HOW };
    log.append(&BatchHeader::read(&batch).unwrap(), &batch[HEADER_LEN..], &how).unwrap();
}

#[test]
fn a_transaction_is_opened_by_a_verified_batch_alone() {
    let (_dir, log) = open();
    let append = |batch: &[u8], guard| {
        log.append_verified(&BatchHeader::read(batch).unwrap(), &batch[HEADER_LEN..], &HOW, guard)
    };
    let refused = |batch: &[u8], guard| {
        matches!(append(batch, guard), Err(Error::Producer(ProducerError::InvalidTransactionState { .. })))
    };
    assert!(refused(&batch(0, 0), None));
    let stale = log.begin_verification(7, 0, 0, false, 1_000).unwrap();
    end(&log, 0, false);
    assert!(refused(&batch(0, 0), stale), "the transaction that was asked about has ended since");
    let guard = log.begin_verification(7, 0, 0, false, 1_000).unwrap();
    assert!(guard.is_some() && guard != stale);
    append(&batch(0, 0), guard).unwrap();
    assert_eq!(log.begin_verification(7, 0, 1, false, 1_000).unwrap(), None, "it is open");
    append(&batch(0, 1), None).unwrap();
    assert_eq!((log.last_stable_offset(), log.end_offset()), (1, 3));
    let producers = log.producers();
    assert_eq!(producers.len(), 1);
    assert_eq!((producers[0].0, producers[0].1.transaction_first_offset()), (7, Some(1)));
    end(&log, 1, true);
    assert_eq!((log.last_stable_offset(), log.end_offset()), (4, 4));
    let error = log.begin_verification(7, 0, 2, false, 1_000).unwrap_err();
    assert!(matches!(error, Error::Producer(ProducerError::InvalidEpoch { current: 1, .. })), "{error}");
}

#[test]
fn a_question_of_a_lower_epoch_says_nothing_of_the_next() {
    let (_dir, log) = open();
    // A client with an epoch for each transaction asks and is never heard of again; another one takes over.
    let old = log.begin_verification(7, 0, 0, true, 1_000).unwrap();
    let new = log.begin_verification(7, 1, 0, false, 1_000).unwrap();
    assert_ne!(old, new);
    end(&log, 1, false);
    for guard in [old, new] {
        let batch = batch(1, 0);
        let header = BatchHeader::read(&batch).unwrap();
        let appended = log.append_verified(&header, &batch[HEADER_LEN..], &HOW, guard);
        assert!(appended.is_err(), "the transaction has ended");
    }
}
