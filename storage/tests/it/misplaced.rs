//! A batch whose base offset went bad, which no checksum covers. Its neighbours tell: nothing is served under an offset
//! that is not its own, the batches around it are, and a reader of it gets an error and neither silence nor what follows.

use milena_protocol::records::{BatchBuilder, BatchHeader, Batches, HEADER_LEN};
use milena_storage::config::LogConfig;
use milena_storage::error::Error;
use milena_storage::file::Disk;
use milena_storage::log::{Append, Log, Start};
use milena_storage::producers::Origin;
use std::fs;
use std::path::Path;

const HOW: Append = Append { leader_epoch: 0, origin: Origin::Client, now_ms: 1_000 };
const BATCHES: usize = 12;
/// All bits that may lead to a neighbour, and one of each higher byte.
const BITS: [usize; 21] = [0, 7, 9, 18, 27, 36, 40, 44, 47, 48, 49, 50, 51, 55, 56, 57, 58, 59, 60, 61, 62];

fn config(index_interval_bytes: u32) -> LogConfig {
    LogConfig { index_interval_bytes, mapped: false, ..LogConfig::default() }
}

fn open(dir: &Path, start: &Start, interval: u32) -> Log {
    Log::open(&Disk::new(dir), dir, config(interval), start).unwrap()
}

/// Twelve batches of `records` each, in one segment or two; where each begins, and its file.
fn fill(dir: &Path, records: i64, roll: bool, interval: u32) -> Vec<(i64, usize)> {
    let log = open(dir, &Start { clean: true, ..Start::default() }, interval);
    let (mut places, mut base, mut at) = (Vec::new(), 0, 0);
    for n in 0..BATCHES as i64 {
        if roll && n == 6 {
            log.begin_segment(HOW.now_ms).unwrap();
            (base, at) = (n * records, 0);
        }
        let mut batch = BatchBuilder::new();
        (0..records).for_each(|_| batch.append(HOW.now_ms + n, None, Some(&[n as u8; 30]), &[]));
        let batch = batch.build().unwrap();
        log.append(&BatchHeader::read(&batch).unwrap(), &batch[HEADER_LEN..], &HOW).unwrap();
        places.push((base, at));
        at += batch.len();
    }
    log.close().unwrap();
    places
}

/// Which of the batches a reader at each offset gets, `None`: an error. What follows a batch must follow it.
fn served(log: &Log, whole: &[Vec<u8>], records: i64) -> Vec<Option<usize>> {
    let mut found = Vec::new();
    for offset in 0..log.end_offset() {
        let bytes = match log.read_batches(offset, 1000) {
            Err(Error::Corrupt { .. }) => {
                found.push(None);
                continue;
            }
            read => read.unwrap(),
        };
        let number = (offset / records) as usize;
        found.push((!bytes.is_empty()).then_some(number));
        for (wanted, batch) in whole[number..].iter().zip(Batches::new(&bytes)) {
            assert!(batch.unwrap().1 == wanted, "other bytes at {offset}");
        }
    }
    found
}

fn each_bit(records: i64, roll: bool, interval: u32, clean: bool) {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let places = fill(dir.path(), records, roll, interval);
    let end = records * BATCHES as i64;
    let start = |clean| Start { clean, recovery_point: if clean { end } else { 0 }, ..Start::default() };
    let log = open(dir.path(), &start(true), interval);
    let whole: Vec<Vec<u8>> =
        (0..BATCHES as i64).map(|n| log.read_batches(n * records, 1).unwrap()).collect();
    drop(log);
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    for (number, (base, at)) in places.iter().enumerate() {
        for bit in BITS {
            let damaged = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
            for name in &names {
                fs::copy(dir.path().join(name), damaged.path().join(name)).unwrap();
            }
            let path = damaged.path().join(format!("{base:020}.log"));
            let mut bytes = fs::read(&path).unwrap();
            bytes[at + bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, bytes).unwrap();
            let what =
                format!("{records} records, roll {roll}, index {interval}, bit {bit} of batch {number}");
            let log = open(damaged.path(), &start(clean), interval);
            if clean {
                assert_eq!(log.end_offset(), end, "{what}");
                let wanted: Vec<_> = (0..end).map(|n| (n / records) as usize).collect();
                let wanted: Vec<_> = wanted.iter().map(|n| (*n != number).then_some(*n)).collect();
                let found = served(&log, &whole, records);
                // A reader within a batch that moved by less than its length has met its other end.
                assert_eq!(found, wanted, "{what}");
                // Whoever goes on behind the damage loses nothing else.
                let damaged = number as i64 * records;
                assert_eq!(log.offset_behind_batch(damaged).unwrap(), Some(damaged + records), "{what}");
                // What is appended goes on at the end.
                let batch = BatchHeader::read(&whole[0]).unwrap();
                assert_eq!(log.append(&batch, &whole[0][HEADER_LEN..], &HOW).unwrap().base_offset, end);
                assert!(log.read_batches(damaged, 1).is_err(), "{what}");
            } else if number + 1 < BATCHES {
                // A scan cuts there: behind the last batch nothing tells.
                assert_eq!(log.end_offset(), number as i64 * records, "{what}");
                let found = served(&log, &whole, records);
                assert!(found.iter().all(Option::is_some), "{what}: {found:?}");
            }
        }
    }
}

#[test]
fn a_base_offset_that_went_bad_is_reported_and_nothing_else_suffers() {
    for (records, roll, interval) in [(5, false, 4096), (5, true, 300), (1, true, 300), (5, false, 300)] {
        each_bit(records, roll, interval, true);
    }
}

#[test]
fn a_scan_cuts_before_a_base_offset_that_went_bad() {
    for (records, roll) in [(5, false), (1, true)] {
        each_bit(records, roll, 4096, false);
    }
}
