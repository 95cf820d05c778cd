//! Offsets that are missing between segments, by right and not.

use crate::config::LogConfig;
use crate::file::Disk;
use crate::log::{Append, CleanerMemory, Log, Start};
use crate::producers::Origin;
use milena_protocol::records::{BatchBuilder, BatchHeader, HEADER_LEN};
use std::fs;
use std::path::{Path, PathBuf};

/// Four batches of one record a segment.
fn config(compact: bool) -> LogConfig {
    LogConfig {
        compact,
        delete: !compact,
        segment_bytes: 5000,
        index_interval_bytes: 100,
        min_cleanable_dirty_ratio: 0.0,
        file_delete_delay_ms: 0,
        mapped: false,
        ..LogConfig::default()
    }
}

fn put(log: &Log, key: &str) {
    let mut builder = BatchBuilder::new();
    builder.append(1000 + log.end_offset(), Some(key.as_bytes()), Some(&[b'v'; 1000]), &[]);
    let batch = builder.build().unwrap();
    let how = Append { leader_epoch: 0, origin: Origin::Client, now_ms: 1000 };
    log.append(&BatchHeader::read(&batch).unwrap(), &batch[HEADER_LEN..], &how).unwrap();
}

fn open(dir: &Path, compact: bool, start: &Start) -> Log {
    Log::open(&Disk::new(dir), dir, config(compact), start).unwrap()
}

/// The offsets of the batches that a reader finds.
fn offsets(log: &Log) -> Vec<i64> {
    let (mut found, mut offset) = (Vec::new(), log.start_offset());
    while offset < log.end_offset() {
        let bytes = log.read_batches(offset, 1).unwrap();
        let header = BatchHeader::read(&bytes).unwrap();
        found.push(header.base_offset);
        offset = header.next_offset();
    }
    found
}

fn file(dir: &Path, base: i64, kind: &str) -> PathBuf {
    dir.join(format!("{base:020}.{kind}"))
}

/// A log of segments that begin at 0, 4, 8, 12, which compaction has left with the batches `expected`.
fn compacted(dir: &Path, keys: [&str; 14], expected: &[i64]) {
    let log = open(dir, true, &Start { clean: true, ..Start::default() });
    // Each segment is cleaned into one of its own.
    keys.iter().for_each(|key| put(&log, key));
    log.set_config(LogConfig { segment_bytes: 1100, ..config(true) });
    let work = log.cleanable(1000).unwrap().unwrap();
    let memory = CleanerMemory { map_bytes: 1 << 16, load_factor: 0.9, io_bytes: 1 << 16 };
    log.clean(&work, &memory, 1000, &mut |_| true).unwrap();
    assert_eq!(offsets(&log), expected);
    log.close().unwrap();
    assert!([0, 4, 8, 12].iter().all(|base| file(dir, *base, "log").exists()));
}

#[test]
fn what_compaction_has_removed_is_not_taken_for_lost_when_the_topic_is_not_compacted_any_more() {
    // What is left, and whether it tells by itself that the log was compacted.
    let cases = [
        (
            ["a", "b", "x", "y", "c", "x", "y", "d", "e", "f", "g", "h", "i", "j"],
            &[0, 1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13][..],
            false,
        ),
        (
            ["a", "b", "x", "y", "c", "x", "y", "d", "e", "d", "g", "h", "i", "j"],
            &[0, 1, 4, 5, 6, 8, 9, 10, 11, 12, 13],
            false,
        ),
        (
            ["a", "b", "x", "y", "c", "x", "y", "d", "e", "c", "g", "h", "i", "j"],
            &[0, 1, 5, 6, 7, 8, 9, 10, 11, 12, 13],
            true,
        ),
        (
            ["a", "b", "x", "y", "x", "y", "x", "d", "e", "y", "g", "h", "i", "j"],
            &[0, 1, 6, 7, 8, 9, 10, 11, 12, 13],
            true,
        ),
        (
            ["a", "b", "c", "d", "a", "b", "c", "e", "d", "f", "g", "e", "i", "j"],
            &[4, 5, 6, 8, 9, 10, 11, 12, 13],
            false,
        ),
    ];
    for (keys, expected, tells) in cases {
        for recovery_point in [0, 5, 14] {
            for cleaned in [true, false] {
                let temp = tempfile::tempdir().unwrap();
                compacted(temp.path(), keys, expected);
                let start = Start { recovery_point, cleaned, ..Start::default() };
                let log = open(temp.path(), false, &start);
                if cleaned || tells {
                    assert_eq!(offsets(&log), expected, "{keys:?} from {recovery_point}");
                } else {
                    assert!(expected.starts_with(&offsets(&log)), "{keys:?} from {recovery_point}");
                }
            }
        }
    }
}

/// Twelve records in segments of four; `damage` is what a power cut leaves of the second.
fn cut(compact: bool, cleaned: bool, damage: fn(&Path)) -> Vec<i64> {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let log = open(dir, compact, &Start { clean: true, ..Start::default() });
    for key in 0..12 {
        put(&log, &key.to_string());
    }
    drop(log);
    damage(dir);
    let log = open(dir, compact, &Start { recovery_point: 4, cleaned, ..Start::default() });
    offsets(&log)
}

fn shorten(dir: &Path) {
    let log = file(dir, 4, "log");
    let bytes = fs::read(&log).unwrap();
    fs::write(&log, &bytes[..bytes.len() / 2]).unwrap();
}

fn remove_indexes(dir: &Path) {
    shorten(dir);
    fs::remove_file(file(dir, 4, "index")).unwrap();
    fs::remove_file(file(dir, 4, "timeindex")).unwrap();
}

#[test]
fn the_end_of_a_segment_that_was_not_synced_and_is_gone_takes_the_later_ones_along() {
    let only_times = |dir: &Path| {
        shorten(dir);
        fs::remove_file(file(dir, 4, "index")).unwrap();
    };
    let only_offsets = |dir: &Path| {
        shorten(dir);
        fs::remove_file(file(dir, 4, "timeindex")).unwrap();
    };
    let zeros = |dir: &Path| {
        remove_indexes(dir);
        let log = file(dir, 4, "log");
        let bytes = fs::read(&log).unwrap();
        fs::write(&log, [&bytes[..], &[0; 100]].concat()).unwrap();
    };
    let empty = |dir: &Path| {
        remove_indexes(dir);
        fs::write(file(dir, 4, "log"), "").unwrap();
    };
    for (compact, cleaned) in [(false, false), (false, true), (true, true), (true, false)] {
        for damage in [shorten, only_times, only_offsets, zeros] {
            assert_eq!(cut(compact, cleaned, damage), [0, 1, 2, 3, 4, 5], "{compact} {cleaned}");
        }
    }
    // Nothing but the offsets tells: where compaction may have been, they are not evidence.
    assert_eq!(cut(false, false, remove_indexes), [0, 1, 2, 3, 4, 5]);
    assert_eq!(cut(false, false, empty), [0, 1, 2, 3]);
    assert_eq!(cut(false, true, remove_indexes), [0, 1, 2, 3, 4, 5, 8, 9, 10, 11]);
    assert_eq!(cut(true, false, remove_indexes), [0, 1, 2, 3, 4, 5, 8, 9, 10, 11]);
}
