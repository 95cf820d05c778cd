//! What is cut off although it was stored once is kept beside the log.

use crate::config::LogConfig;
use crate::file::Disk;
use crate::log::append::TERMINATOR;
use crate::log::{Append, Log, Start};
use crate::producers::Origin;
use milena_protocol::records::{BatchBuilder, BatchHeader, HEADER_LEN};
use std::fs;
use std::path::Path;

fn open(dir: &Path, start: &Start) -> Log {
    Log::open(&Disk::new(dir), dir, LogConfig::default(), start).unwrap()
}

fn one() -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder.append(1000, Some(b"key"), Some(&[b'v'; 100]), &[]);
    builder.build().unwrap()
}

fn put(log: &Log) -> i64 {
    let batch = one();
    let how = Append { leader_epoch: 0, origin: Origin::Client, now_ms: 1000 };
    log.append(&BatchHeader::read(&batch).unwrap(), &batch[HEADER_LEN..], &how).unwrap().base_offset
}

#[test]
fn a_log_without_gaps_ends_before_one_and_keeps_what_is_cut_off() {
    let size = one().len();
    // Of the base offset, which no checksum covers: a jump, a step, and one back; of the records; a lost block.
    let jump: fn(&mut [u8]) = |batch| batch[5] ^= 16;
    let step: fn(&mut [u8]) = |batch| batch[7] ^= 4;
    let back: fn(&mut [u8]) = |batch| batch[7] ^= 1;
    let wrong_crc: fn(&mut [u8]) = |batch| batch[70] ^= 1;
    let zeros: fn(&mut [u8]) = |batch| batch[..HEADER_LEN].fill(0);
    for damage in [jump, step, back, wrong_crc, zeros] {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path();
        let start = Start { gapless: true, ..Start::default() };
        let log = open(dir, &start);
        (0..5).for_each(|offset| assert_eq!(put(&log), offset));
        log.close().unwrap();
        drop(log);
        let path = dir.join("00000000000000000000.log");
        let mut bytes = fs::read(&path).unwrap();
        damage(&mut bytes[3 * size..]);
        fs::write(&path, &bytes).unwrap();
        assert_eq!(open(dir, &start).end_offset(), 3);
        let aside = dir.join(format!("00000000000000000000.log.{}.quarantined", 3 * size));
        assert_eq!(fs::read(&aside).unwrap(), &bytes[3 * size..]);
    }
}

#[test]
fn what_was_stored_and_is_cut_off_is_set_aside() {
    let size = one().len();
    // The length of the fourth of five batches, as bit rot may change it; and its CRC, with a scan because an index is gone.
    let too_long: fn(&mut [u8]) = |batch| batch[9] ^= 1;
    let too_short: fn(&mut [u8]) = |batch| batch[11] = 1;
    let wrong_crc: fn(&mut [u8]) = |batch| batch[70] ^= 1;
    // A lost block; the same where it was the end of a tail once.
    let zeros: fn(&mut [u8]) = |batch| batch[..HEADER_LEN].fill(0);
    let end_mark: fn(&mut [u8]) = |batch| batch[..TERMINATOR.len()].copy_from_slice(&TERMINATOR);
    let damages =
        [(too_long, false), (too_short, false), (wrong_crc, true), (zeros, false), (end_mark, false)];
    for (damage, scanned) in damages {
        // None after a clean stop, else the recovery point.
        for (point, kept) in [(None, true), (Some(5), true), (Some(4), true), (Some(3), false)] {
            let temp = tempfile::tempdir().unwrap();
            let dir = temp.path();
            let log = open(dir, &Start { clean: true, ..Start::default() });
            (0..5).for_each(|offset| assert_eq!(put(&log), offset));
            log.close().unwrap();
            drop(log);
            let path = dir.join("00000000000000000000.log");
            let mut bytes = fs::read(&path).unwrap();
            damage(&mut bytes[3 * size..]);
            fs::write(&path, &bytes).unwrap();
            if scanned {
                fs::remove_file(dir.join("00000000000000000000.index")).unwrap();
            }
            let start =
                Start { clean: point.is_none(), recovery_point: point.unwrap_or(5), ..Start::default() };
            let log = open(dir, &start);
            assert_eq!((log.end_offset(), put(&log)), (3, 3));
            let aside = dir.join(format!("00000000000000000000.log.{}.quarantined", 3 * size));
            assert_eq!(fs::read(&aside).ok(), kept.then(|| bytes[3 * size..].to_vec()), "{point:?}");
            log.close().unwrap();
            drop(log);
            // It stays, and nobody takes it for anything else.
            assert_eq!(open(dir, &Start { clean: true, ..start }).end_offset(), 4);
            assert_eq!(aside.exists(), kept);
        }
    }
}

/// Nothing but zeros is nothing to keep, and a part of a header that was stored is.
#[test]
fn a_tail_that_never_held_a_batch_is_cut_off() {
    let size = one().len();
    let cases: [(&str, &[u8], bool); 4] = [
        ("zeros", &[0; 5000], false),
        ("few zeros", &[0; 20], false),
        ("the end of a mapped tail", &[&TERMINATOR[..], &[0; 5000]].concat(), false),
        ("a part of a header", &[0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0], true),
    ];
    for (what, tail, kept) in cases {
        for point in [None, Some(2), Some(1), Some(3)] {
            let temp = tempfile::tempdir().unwrap();
            let dir = temp.path();
            let log = open(dir, &Start { clean: true, ..Start::default() });
            (0..2).for_each(|offset| assert_eq!(put(&log), offset));
            log.close().unwrap();
            drop(log);
            let path = dir.join("00000000000000000000.log");
            let bytes = fs::read(&path).unwrap();
            fs::write(&path, [&bytes, tail].concat()).unwrap();
            let start =
                Start { clean: point.is_none(), recovery_point: point.unwrap_or(2), ..Start::default() };
            let log = open(dir, &start);
            assert_eq!(log.end_offset(), 2, "{what} {point:?}");
            assert_eq!(fs::read(&path).unwrap(), bytes, "{what} {point:?}");
            let aside = dir.join(format!("00000000000000000000.log.{}.quarantined", 2 * size));
            let stored = point.is_none() || point == Some(3);
            assert_eq!(aside.exists(), kept && stored, "{what} {point:?}");
        }
    }
}

#[test]
fn what_is_set_aside_twice_is_there_twice() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let clean = Start { clean: true, ..Start::default() };
    let path = dir.join("00000000000000000000.log");
    let mut lost = Vec::new();
    for _ in 0..3 {
        let log = open(dir, &clean);
        while log.end_offset() < 3 {
            put(&log);
        }
        log.close().unwrap();
        drop(log);
        let mut bytes = fs::read(&path).unwrap();
        let second = one().len();
        // Bytes that tell them apart, and a length that is wrong.
        bytes[second + 80] = lost.len() as u8;
        bytes[second + 9] ^= 1;
        fs::write(&path, &bytes).unwrap();
        lost.push(bytes[second..].to_vec());
        assert_eq!(open(dir, &clean).end_offset(), 1);
    }
    let mut found: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().unwrap().ends_with(".quarantined"))
        .map(|path| fs::read(path).unwrap())
        .collect();
    found.sort();
    lost.sort();
    assert!(found == lost, "{} of {}", found.len(), lost.len());
}
