//! The log against a plain model: appends, rolls, reads, clean stops, deaths and damage.

mod opening;

use super::{Append, Bound, Log, Start};
use crate::config::LogConfig;
use crate::error::Error;
use crate::file::{Disk, Op};
use crate::producers::Origin;
use milena_protocol::records::{BatchBuilder, BatchHeader, Batches, HEADER_LEN};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const HOW: Append = Append { leader_epoch: 3, origin: Origin::Client, now_ms: 1_000_000 };

/// xorshift: deterministic, good enough to mix cases.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }
}

fn batch(timestamp: i64, records: usize, size: usize) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    for i in 0..records {
        builder.append(timestamp + i as i64, Some(b"key"), Some(&vec![b'v'; size]), &[]);
    }
    builder.build().unwrap()
}

fn append(log: &Log, batch: &[u8], how: &Append) -> Result<i64, Error> {
    let header = BatchHeader::read(batch).unwrap();
    log.append(&header, &batch[HEADER_LEN..], how).map(|done| done.base_offset)
}

/// What the log must hold: each batch with its final base offset and epoch.
fn stored(batch: &[u8], base_offset: i64, epoch: i32) -> Vec<u8> {
    let mut stored = batch.to_vec();
    stored[..8].copy_from_slice(&base_offset.to_be_bytes());
    stored[12..16].copy_from_slice(&epoch.to_be_bytes());
    stored
}

fn read_all(log: &Log, max_bytes: usize) -> Vec<u8> {
    let (mut all, mut offset) = (Vec::new(), log.start_offset());
    loop {
        let bytes = log.read_batches(offset, max_bytes).unwrap();
        if bytes.is_empty() {
            return all;
        }
        offset = Batches::new(&bytes).map(|b| b.unwrap().0.next_offset()).last().unwrap();
        all.extend_from_slice(&bytes);
    }
}

fn open(dir: &Path, config: &LogConfig, clean: bool) -> Log {
    let start = Start { clean, now_ms: HOW.now_ms, ..Start::default() };
    Log::open(&Disk::new(dir), dir, config.clone(), &start).unwrap()
}

#[test]
fn equals_a_model_through_rolls_stops_and_deaths() {
    for (seed, mapped) in [(1u64, true), (2, true), (3, false)] {
        let dir = tempfile::tempdir().unwrap();
        let config =
            LogConfig { segment_bytes: 200_000, index_interval_bytes: 500, mapped, ..LogConfig::default() };
        let mut random = Random(0x9e37_79b9 + seed);
        let (mut model, mut next) = (Vec::new(), 0);
        let mut log = open(dir.path(), &config, true);
        for round in 0..12 {
            for _ in 0..random.next(60) {
                let (records, size) = (1 + random.next(5), random.next(6000));
                let batch = batch(5000 + next, records, size);
                assert_eq!(append(&log, &batch, &HOW).unwrap(), next, "seed {seed} round {round}");
                model.extend(stored(&batch, next, 3));
                next += records as i64;
            }
            assert_eq!(log.end_offset(), next);
            assert!(read_all(&log, 1 + random.next(30_000)) == model, "seed {seed} round {round}");
            let clean = random.next(2) == 0;
            if clean {
                log.close().unwrap();
                assert!(matches!(append(&log, &batch(0, 1, 1), &HOW), Err(Error::Closed)));
            }
            drop(log);
            log = open(dir.path(), &config, clean);
            assert_eq!(log.end_offset(), next, "seed {seed} round {round} clean {clean}");
        }
        assert!(read_all(&log, usize::MAX >> 1) == model, "seed {seed}");
        assert!(log.segments().len() > 3, "the test must roll");
    }
}

#[test]
fn a_clean_stop_leaves_files_of_exact_length_and_no_tail() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), &LogConfig::default(), true);
    let one = batch(10, 3, 40_000);
    for _ in 0..5 {
        append(&log, &one, &HOW).unwrap();
    }
    let path = dir.path().join("00000000000000000000.log");
    assert!(std::fs::metadata(&path).unwrap().len() > 5 * one.len() as u64, "a hot tail is reserved ahead");
    log.close().unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().len(), 5 * one.len() as u64);
    let names: std::collections::BTreeSet<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    let expected = [
        "00000000000000000000.index",
        "00000000000000000000.log",
        "00000000000000000000.timeindex",
        "00000000000000000015.snapshot",
        "leader-epoch-checkpoint",
    ];
    assert_eq!(names, expected.map(String::from).into());
}

#[test]
fn a_log_that_never_took_a_record_has_no_files() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig::default();
    let count = || std::fs::read_dir(dir.path()).unwrap().count();
    for clean in [true, false, true] {
        let log = open(dir.path(), &config, clean);
        log.begin_epoch(0);
        assert_eq!(log.read(0, 100, true, Bound::End).unwrap().len, 0);
        assert!(log.read_batches(0, 100).unwrap().is_empty());
        assert_eq!(log.offset_of_max_timestamp().unwrap(), None);
        assert_eq!(log.retain(i64::MAX).unwrap().segments(), 0);
        log.release_idle(i64::MAX);
        log.flush().unwrap();
        log.close().unwrap();
        assert_eq!(count(), 0);
    }
    let log = open(dir.path(), &config, true);
    let one = batch(10, 3, 40);
    append(&log, &one, &HOW).unwrap();
    log.close().unwrap();
    assert_eq!(count(), 5, "log, two indexes, snapshot and epochs");
    assert_eq!(read_all(&open(dir.path(), &config, true), 100), stored(&one, 0, 3));
}

#[test]
fn a_disk_that_has_no_room_for_the_first_file_has_some_for_a_read() {
    let dir = tempfile::tempdir().unwrap();
    let full = |op, _: &Path| match op {
        Op::Open => Err(std::io::Error::from_raw_os_error(nix::libc::ENOSPC)),
        _ => Ok(()),
    };
    let disk = Disk::with_faults(dir.path(), Box::new(full));
    let log = Log::open(&disk, dir.path(), LogConfig::default(), &Start::default()).unwrap();
    let one = batch(10, 3, 40);
    assert!(matches!(append(&log, &one, &HOW), Err(Error::Full(_))));
    assert_eq!((log.end_offset(), log.read(0, 100, true, Bound::End).unwrap().len), (0, 0));
    log.close().unwrap();
    assert!(!disk.is_offline());
    assert_eq!(append(&open(dir.path(), &LogConfig::default(), true), &one, &HOW).unwrap(), 0);
}

#[test]
fn a_shortage_of_descriptors_is_no_fault_of_the_disk() {
    for errno in [nix::libc::EMFILE, nix::libc::ENFILE] {
        let dir = tempfile::tempdir().unwrap();
        let short = Arc::new(AtomicBool::new(false));
        let faults = {
            let short = short.clone();
            move |op, _: &Path| match op {
                // A whole small file is opened by the call that writes it.
                Op::Open | Op::Write if short.load(Ordering::Relaxed) => {
                    Err(std::io::Error::from_raw_os_error(errno))
                }
                _ => Ok(()),
            }
        };
        let disk = Disk::with_faults(dir.path(), Box::new(faults));
        let log = Log::open(&disk, dir.path(), LogConfig::default(), &Start::default()).unwrap();
        let one = batch(10, 3, 40);
        short.store(true, Ordering::Relaxed);
        assert!(append(&log, &one, &HOW).unwrap_err().is_shortage());
        assert!(disk.write_atomically(&dir.path().join("a"), b"1", true).unwrap_err().is_shortage());
        assert!(disk.write_whole(&dir.path().join("b"), b"1").unwrap_err().is_shortage());
        assert!(disk.sync_dir(dir.path()).is_ok() && !disk.is_offline());
        short.store(false, Ordering::Relaxed);
        assert_eq!(append(&log, &one, &HOW).unwrap(), 0, "errno {errno}: the next try succeeds");
        log.close().unwrap();
        assert_eq!(read_all(&open(dir.path(), &LogConfig::default(), true), 100), stored(&one, 0, 3));
    }
}

#[test]
fn a_range_that_was_handed_out_never_changes() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig { segment_bytes: 1 << 20, ..LogConfig::default() };
    let log = open(dir.path(), &config, true);
    let one = batch(10, 2, 50_000);
    append(&log, &one, &HOW).unwrap();
    let slice = log.read(1, 10, true, Bound::End).unwrap();
    assert_eq!(
        (slice.position, slice.len, slice.high_watermark),
        (0, one.len(), 2),
        "whole batches, at least one"
    );
    assert_eq!(log.read(1, 10, false, Bound::End).unwrap().len, 0);
    for _ in 0..30 {
        append(&log, &one, &HOW).unwrap();
    }
    log.close().unwrap();
    std::fs::remove_dir_all(dir.path()).unwrap();
    let mut bytes = vec![0; slice.len];
    if let Some(file) = &slice.file {
        file.read_exact_at(&mut bytes, slice.position).unwrap();
    }
    assert!(bytes == stored(&one, 0, 3));
}

#[test]
fn a_larger_segment_size_holds_at_once_on_a_mapped_tail() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig { segment_bytes: 300_000, ..LogConfig::default() };
    let log = open(dir.path(), &config, true);
    let one = batch(10, 1, 90_000);
    append(&log, &one, &HOW).unwrap();
    log.set_config(LogConfig { segment_bytes: 1 << 20, ..config });
    let offsets: Vec<i64> = (0..10).map(|_| append(&log, &one, &HOW).unwrap()).collect();
    assert_eq!(offsets, (1..11).collect::<Vec<_>>());
    assert_eq!(log.segments().len(), 1);
    let expected: Vec<u8> = (0..11).flat_map(|i| stored(&one, i, 3)).collect();
    assert!(read_all(&log, 1 << 20) == expected);
}

/// What a sync of a mapped tail would write is far more than a few records.
#[test]
fn a_tail_that_is_synced_often_is_not_mapped() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), &LogConfig { flush_messages: 1, ..LogConfig::default() }, true);
    let one = batch(10, 1, 90_000);
    let is_mapped = |messages| {
        log.set_config(LogConfig { flush_messages: messages, ..LogConfig::default() });
        (0..3).for_each(|_| _ = append(&log, &one, &HOW).unwrap());
        (log.mapped.load(Ordering::Relaxed), log.active().file(&log.disk).unwrap().metadata().unwrap().len())
    };
    let size = stored(&one, 0, 3).len() as u64;
    assert_eq!(is_mapped(1), (false, 3 * size));
    assert!(is_mapped(10_000).0);
    assert_eq!(is_mapped(10), (false, 9 * size), "and what was kept ready is cut off");
    assert!(is_mapped(i64::MAX).0);
}

#[test]
fn other_settings_hold_for_the_next_append() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), &LogConfig::default(), true);
    let one = batch(10, 1, 100);
    let header = BatchHeader::read(&one).unwrap();
    let flush_due = || log.append(&header, &one[HEADER_LEN..], &HOW).unwrap().flush_due;
    assert!(!flush_due());
    log.set_config(LogConfig { flush_messages: 2, ..LogConfig::default() });
    assert!(flush_due());
    log.set_config(LogConfig { segment_bytes: one.len() as u32, ..LogConfig::default() });
    let segments = log.segments().len();
    assert!(!flush_due());
    assert_eq!(log.segments().len(), segments + 1);
}

#[test]
fn reads_outside_the_log_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), &LogConfig::default(), true);
    for _ in 0..4 {
        append(&log, &batch(10, 5, 10), &HOW).unwrap();
    }
    assert_eq!(log.delete_before(7).unwrap(), 7);
    assert_eq!(log.delete_before(3).unwrap(), 7, "the start never moves back");
    for (offset, good) in [(-1, false), (6, false), (7, true), (19, true), (20, true), (21, false)] {
        assert_eq!(log.read(offset, 100, true, Bound::End).is_ok(), good, "offset {offset}");
    }
    assert!(matches!(log.delete_before(21), Err(Error::OffsetOutOfRange { .. })));
    assert_eq!(log.read(20, 100, true, Bound::End).unwrap().len, 0);
    assert_eq!(log.end_offset_for_epoch(3), Some((3, 20)));
    assert_eq!(log.end_offset_for_epoch(4), None);
}

#[test]
fn lookups_by_time_find_the_first_record() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig { segment_bytes: 3000, index_interval_bytes: 100, ..LogConfig::default() };
    let log = open(dir.path(), &config, true);
    for i in 0..100 {
        append(&log, &batch(1000 + i * 10, 3, 50), &HOW).unwrap();
    }
    let found = |t| log.offset_for_timestamp(t).unwrap().map(|f| (f.timestamp, f.offset));
    for (timestamp, expected) in [
        (0, Some((1000, 0))),
        (1000, Some((1000, 0))),
        (1001, Some((1001, 1))),
        (1003, Some((1010, 3))),
        (1500, Some((1500, 150))),
        (1992, Some((1992, 299))),
        (1993, None),
    ] {
        assert_eq!(found(timestamp), expected, "timestamp {timestamp}");
    }
    assert_eq!(log.offset_of_max_timestamp().unwrap().map(|f| (f.timestamp, f.offset)), Some((1992, 299)));
    log.delete_before(200).unwrap();
    assert_eq!(log.offset_for_timestamp(0).unwrap().unwrap().offset, 200);
}

#[test]
fn the_largest_timestamp_is_that_of_what_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), &LogConfig::default(), true);
    // Offsets 0 to 2 at 5000 to 5002, 3 to 5 at 1000 to 1002, 6 to 8 at 900 to 902.
    for first in [5000, 1000, 900] {
        append(&log, &batch(first, 3, 50), &HOW).unwrap();
    }
    let largest = || log.offset_of_max_timestamp().unwrap().map(|f| (f.timestamp, f.offset));
    for (start, expected) in [
        (0, Some((5002, 2))),
        (2, Some((5002, 2))),
        (3, Some((1002, 5))),
        (5, Some((1002, 5))),
        (6, Some((902, 8))),
        (9, None),
    ] {
        log.delete_before(start).unwrap();
        assert_eq!(largest(), expected, "log start {start}");
    }
}

#[test]
fn a_damaged_or_torn_tail_is_cut_and_nothing_else() {
    type Damage = fn(&mut Vec<u8>, usize);
    let damages: [(&str, Damage, i64); 6] = [
        ("a bit of the last batch", |b, end| b[end - 1] ^= 4, 16),
        ("the last batch cut off", |b, end| b.truncate(end - 5), 16),
        ("a header torn", |b, end| b.truncate(end + 30), 18),
        ("zeros behind", |b, end| b.resize(end + 70_000, 0), 18),
        ("garbage behind", |b, end| b.resize(end + 100, 0xa5), 18),
        ("a bit in the middle", |b, end| b[end / 2] ^= 1, 8),
    ];
    for (what, damage, kept) in damages {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path(), &LogConfig::default(), true);
        let one = batch(10, 2, 1000);
        for _ in 0..9 {
            append(&log, &one, &HOW).unwrap();
        }
        log.close().unwrap();
        let path = dir.path().join("00000000000000000000.log");
        let mut bytes = std::fs::read(&path).unwrap();
        damage(&mut bytes, 9 * one.len());
        std::fs::write(&path, &bytes).unwrap();
        let log = open(dir.path(), &LogConfig::default(), false);
        assert_eq!(log.end_offset(), kept, "{what}");
        assert_eq!(append(&log, &one, &HOW).unwrap(), kept, "{what}");
        let expected: Vec<u8> = (0..=kept / 2).flat_map(|i| stored(&one, i * 2, 3)).collect();
        assert!(read_all(&log, 1 << 20) == expected, "{what}");
    }
}

#[test]
fn segments_behind_a_damaged_one_are_set_aside_not_served_and_not_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig { segment_bytes: 5000, ..LogConfig::default() };
    let log = open(dir.path(), &config, true);
    for _ in 0..20 {
        append(&log, &batch(10, 1, 1000), &HOW).unwrap();
    }
    log.close().unwrap();
    drop(log);
    let path = dir.path().join("00000000000000000004.log");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[1500] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let log = open(dir.path(), &config, false);
    assert_eq!(log.end_offset(), 5);
    assert!(dir.path().join("00000000000000000008.log.quarantined").exists());
    assert_eq!(append(&log, &batch(10, 1, 1000), &HOW).unwrap(), 5);
}

#[test]
fn a_duplicate_keeps_its_offset_through_a_death() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = open(dir.path(), &LogConfig::default(), true);
    let with_sequence = |sequence| {
        let mut builder = BatchBuilder::new().producer(7, 0, sequence);
        builder.append(HOW.now_ms, None, Some(b"value"), &[]);
        builder.append(HOW.now_ms, None, Some(b"value"), &[]);
        builder.build().unwrap()
    };
    for i in 0..6 {
        assert_eq!(append(&log, &with_sequence(i * 2), &HOW).unwrap(), i64::from(i) * 2);
    }
    for restart in [false, true] {
        if restart {
            log = open(dir.path(), &LogConfig::default(), false);
        }
        assert_eq!(append(&log, &with_sequence(8), &HOW).unwrap(), 8);
        assert_eq!(log.end_offset(), 12);
        assert!(matches!(append(&log, &with_sequence(14), &HOW), Err(Error::Producer(_))));
    }
    assert_eq!(append(&log, &with_sequence(12), &HOW).unwrap(), 12);
}

#[test]
fn every_failing_call_leaves_a_log_that_opens_with_what_was_acknowledged() {
    for (errno, first) in
        [(nix::libc::ENOSPC, Op::Write), (nix::libc::EIO, Op::Write), (nix::libc::EIO, Op::Sync)]
    {
        for n in 0..60 {
            let dir = tempfile::tempdir().unwrap();
            let calls = Arc::new(AtomicUsize::new(0));
            let faults = {
                let calls = calls.clone();
                move |op, _: &Path| {
                    if op == first && calls.fetch_add(1, Ordering::Relaxed) == n {
                        return Err(std::io::Error::from_raw_os_error(errno));
                    }
                    Ok(())
                }
            };
            let disk = Disk::with_faults(dir.path(), Box::new(faults));
            let config = LogConfig { segment_bytes: 200_000, ..LogConfig::default() };
            let start = Start { clean: true, ..Start::default() };
            let log = Log::open(&disk, dir.path(), config.clone(), &start).unwrap();
            let mut acknowledged = Vec::new();
            for i in 0..30 {
                let one = batch(10, 1, 20_000 + i);
                if let Ok(offset) = append(&log, &one, &HOW) {
                    assert_eq!(offset, acknowledged.len() as i64, "errno {errno} n {n}");
                    acknowledged.push(stored(&one, offset, 3));
                }
                let _ = if i % 7 == 0 { log.flush() } else { Ok(()) };
            }
            let failed = calls.load(Ordering::Relaxed) > n;
            assert!(errno != nix::libc::EIO || !failed || disk.is_offline(), "an I/O error poisons");
            assert!(
                errno != nix::libc::ENOSPC || acknowledged.len() >= 29,
                "a full disk is over when it is over"
            );
            drop(log);
            let log = open(dir.path(), &config, false);
            assert!(read_all(&log, 1 << 20) == acknowledged.concat(), "errno {errno} n {n}");
        }
    }
}

/// Near the largest size of a segment: nothing is kept ready behind what another reader takes for a file.
#[test]
fn a_file_is_never_longer_than_it_may_be() {
    let dir = tempfile::tempdir().unwrap();
    let largest = i32::MAX as u32;
    let log = open(dir.path(), &LogConfig { segment_bytes: largest, ..LogConfig::default() }, true);
    let one = batch(10, 1, 100_000);
    append(&log, &one, &HOW).unwrap();
    let path = dir.path().join("00000000000000000000.log");
    // A file with a hole in place of all that was appended meanwhile.
    let end = largest - 3 * one.len() as u32;
    std::fs::File::options().write(true).open(&path).unwrap().set_len(end.into()).unwrap();
    {
        let mut writer = log.writer.lock();
        writer.end = end;
        writer.tail = crate::log::Tail::COLD;
    }
    for _ in 0..3 {
        append(&log, &one, &HOW).unwrap();
        assert!(std::fs::metadata(&path).unwrap().len() <= u64::from(largest));
    }
    let size = log.active().published().position;
    assert_eq!(size, end + 3 * one.len() as u32, "all of them are in the one segment");
    append(&log, &one, &HOW).unwrap();
    assert!(log.active().base_offset > 0);
    assert_eq!(std::fs::metadata(&path).unwrap().len(), u64::from(size));
}

#[test]
fn a_read_that_may_not_wait_finds_all_of_it_or_nothing() {
    let dir = tempfile::tempdir().unwrap();
    // Reads at once that may still be done, and whether one was refused.
    let (left, refused) = (Arc::new(AtomicUsize::new(usize::MAX)), Arc::new(AtomicBool::new(false)));
    let faults = {
        let (left, refused) = (left.clone(), refused.clone());
        move |op, _: &Path| {
            let counts = op == Op::ReadAtOnce;
            if counts
                && left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1)).is_err()
            {
                refused.store(true, Ordering::Relaxed);
                return Err(std::io::ErrorKind::WouldBlock.into());
            }
            Ok(())
        }
    };
    let disk = Disk::with_faults(dir.path(), Box::new(faults));
    let config = LogConfig { segment_bytes: 100_000, index_interval_bytes: 500, ..LogConfig::default() };
    let start = Start { clean: true, now_ms: HOW.now_ms, ..Start::default() };
    let log = Log::open(&disk, dir.path(), config.clone(), &start).unwrap();
    (0..300).for_each(|n| assert!(append(&log, &batch(5000 + n, 2, 400), &HOW).is_ok()));
    log.close().unwrap();
    drop(log);
    let log = Log::open(&disk, dir.path(), config, &start).unwrap();
    assert!(log.segments().len() > 2);
    // Files that nobody has looked at since the start may have to be made anew, out of the whole segment.
    assert!(log.read_at_once(3, 5000, true, Bound::End).unwrap().is_none());
    for offset in [0, 3, 251, 400, 599, 600] {
        for bound in [Bound::End, Bound::Stable] {
            let found = log.read(offset, 5000, true, bound).unwrap();
            let told = |slice: &super::read::Slice| {
                (slice.position, slice.len, slice.available, slice.goes_on, slice.high_watermark)
            };
            for reads in 0.. {
                left.store(reads, Ordering::Relaxed);
                refused.store(false, Ordering::Relaxed);
                let at_once = log.read_at_once(offset, 5000, true, bound).unwrap();
                assert_eq!(at_once.is_none(), refused.load(Ordering::Relaxed), "{offset}, {reads} reads");
                if let Some(at_once) = at_once {
                    assert_eq!(told(&at_once), told(&found), "{offset}, {reads} reads");
                    break;
                }
            }
        }
    }
    left.store(usize::MAX, Ordering::Relaxed);
    assert!(log.read_at_once(601, 1, true, Bound::End).is_err(), "what is no offset is none");
}

#[test]
fn a_read_tells_what_it_has_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), &LogConfig { segment_bytes: 4000, ..LogConfig::default() }, true);
    let one = batch(10, 1, 900);
    (0..6).for_each(|_| assert!(append(&log, &one, &HOW).is_ok()));
    let size = one.len();
    assert_eq!(log.segments().len(), 2);
    // (offset, max bytes, at least one; length, available, goes on)
    for (offset, max_bytes, at_least_one, expected) in [
        (0, usize::MAX >> 1, true, (4 * size, 4 * size, true)),
        (1, 2 * size + 1, true, (2 * size, 3 * size, true)),
        (1, 1, true, (size, 3 * size, true)),
        (1, 1, false, (0, 3 * size, true)),
        (4, 1, true, (size, 2 * size, false)),
        (5, 10 * size, true, (size, size, false)),
        (6, 10 * size, true, (0, 0, false)),
    ] {
        let slice = log.read(offset, max_bytes, at_least_one, Bound::End).unwrap();
        assert_eq!((slice.len, slice.available, slice.goes_on), expected, "{offset} {max_bytes}");
    }
}
