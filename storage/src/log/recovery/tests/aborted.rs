//! Indexes of aborted transactions that are not as they were written, of segments that nothing else has a start read.

use crate::config::LogConfig;
use crate::file::Disk;
use crate::index::aborted::ENTRY_SIZE;
use crate::log::{Append, Bound, Log, Start};
use crate::producers::Origin;
use milena_protocol::records::{
    BatchBuilder, BatchHeader, EndTransactionMarker, HEADER_LEN, end_transaction_batch,
};
use std::fs;
use std::path::Path;

const NOW: i64 = 1_000_000;

fn open(disk: &Disk, dir: &Path, start: &Start) -> Log {
    let config = LogConfig { segment_bytes: 3000, index_interval_bytes: 100, ..LogConfig::default() };
    Log::open(disk, dir, config, start).unwrap()
}

fn append(log: &Log, batch: &[u8], origin: Origin) {
    let how = Append { leader_epoch: 0, origin, now_ms: NOW };
    log.append(&BatchHeader::read(batch).unwrap(), &batch[HEADER_LEN..], &how).unwrap();
}

/// Transactions of two batches, two of three aborted.
fn fill(log: &Log) {
    for producer in 0..30 {
        for sequence in 0..2 {
            let mut batch = BatchBuilder::new().producer(producer, 0, sequence).transactional(true);
            batch.append(NOW, Some(b"key"), Some(&[b'v'; 200]), &[]);
            append(log, &batch.build().unwrap(), Origin::Client);
        }
        let marker = EndTransactionMarker { commit: producer % 3 == 0, coordinator_epoch: 0 };
        append(log, &end_transaction_batch(0, 0, NOW, producer, 0, marker), Origin::Coordinator);
    }
}

/// What read_committed consumers are told at each offset.
fn told(log: &Log) -> Vec<Vec<(i64, i64, i64)>> {
    let one = |offset| {
        let found = log.read(offset, 1, true, Bound::Stable).unwrap().aborted;
        found.iter().map(|one| (one.producer_id, one.first_offset, one.last_offset)).collect()
    };
    (0..log.end_offset()).map(one).collect()
}

#[test]
fn an_index_of_aborted_transactions_that_cannot_be_right_is_made_anew() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 9] = [
        ("nothing", |_| {}),
        ("another version", |bytes| bytes[1] ^= 1),
        ("a transaction that ends before it begins", |bytes| bytes[10] ^= 0x40),
        ("a marker in another segment", |bytes| bytes[18] ^= 0x20),
        ("a last stable offset behind the marker", |bytes| bytes[26] ^= 0x20),
        ("a part of an entry", |bytes| bytes.truncate(ENTRY_SIZE - 1)),
        ("zeros", |bytes| bytes.fill(0)),
        ("zeros behind", |bytes| bytes.extend([0; 100])),
        ("empty", Vec::clear),
    ];
    let whole = tempfile::tempdir().unwrap();
    let log = open(&Disk::new(whole.path()), whole.path(), &Start { clean: true, ..Start::default() });
    fill(&log);
    let (right, end, active) = (told(&log), log.end_offset(), log.active().base_offset);
    log.close().unwrap();
    drop(log);
    let indexes = super::of_kind(whole.path(), ".txnindex");
    assert!(indexes.len() > 3 && indexes.last().unwrap().starts_with(&format!("{active:020}")));
    for name in &indexes {
        for (what, damage) in damages {
            for clean in [true, false] {
                let temp = tempfile::tempdir().unwrap();
                let dir = temp.path();
                for (name, bytes) in super::files(whole.path()) {
                    fs::write(dir.join(name), bytes).unwrap();
                }
                let mut bytes = fs::read(dir.join(name)).unwrap();
                let before = bytes.clone();
                damage(&mut bytes);
                fs::write(dir.join(name), bytes).unwrap();
                let start = Start { clean, recovery_point: end, now_ms: NOW, ..Start::default() };
                let disk = Disk::new(dir);
                let log = open(&disk, dir, &start);
                let what = format!("{name}: {what}, clean {clean}");
                assert_eq!((told(&log), log.end_offset()), (right.clone(), end), "{what}");
                assert_eq!(fs::read(dir.join(name)).unwrap(), before, "{what}");
                let length = |name: &str| fs::metadata(dir.join(name)).unwrap().len();
                let of_active = format!("{active:020}.log");
                let log_name = name.replace("txnindex", "log");
                let read = match (what.contains("nothing"), clean || log_name == of_active) {
                    (true, _) => 0,
                    (false, true) => length(&log_name),
                    // After a mend nobody trusts what a death has left of the last one.
                    (false, false) => length(&log_name) + length(&of_active),
                };
                assert_eq!(disk.scanned(), read, "{what}");
            }
        }
    }
}
