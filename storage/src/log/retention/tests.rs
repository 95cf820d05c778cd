//! Each rule at its boundaries, and what a removal leaves behind for readers and for the next start.

use super::Retained;
use crate::config::LogConfig;
use crate::error::Error;
use crate::file::{Disk, Op};
use crate::log::{Append, Bound, Log, Start};
use crate::producers::Origin;
use crate::sync::tests::open_below;
use milena_protocol::records::{BatchBuilder, BatchHeader, HEADER_LEN};
use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const NOW: i64 = 1_000_000;
/// No space left on device.
const ENOSPC: i32 = 28;

fn append_at(log: &Log, timestamp: i64, epoch: i32, now_ms: i64) -> i64 {
    let mut builder = BatchBuilder::new();
    builder.append(timestamp, None, Some(&[b'v'; 100]), &[]);
    let batch = builder.build().unwrap();
    let header = BatchHeader::read(&batch).unwrap();
    let how = Append { leader_epoch: epoch, origin: Origin::Client, now_ms };
    log.append(&header, &batch[HEADER_LEN..], &how).unwrap().base_offset
}

/// Bytes of a batch of [`append_at`].
fn batch_size() -> u32 {
    let mut builder = BatchBuilder::new();
    builder.append(0, None, Some(&[b'v'; 100]), &[]);
    builder.build().unwrap().len() as u32
}

/// One batch a segment.
fn config() -> LogConfig {
    LogConfig { segment_bytes: batch_size(), retention_ms: -1, mapped: false, ..LogConfig::default() }
}

fn open_on(disk: &Disk, dir: &Path, config: LogConfig, clean: bool) -> Log {
    Log::open(disk, dir, config, &Start { clean, now_ms: NOW, ..Start::default() }).unwrap()
}

fn open(dir: &Path, config: LogConfig) -> Log {
    open_on(&Disk::new(dir), dir, config, true)
}

/// A log with one segment for each timestamp.
fn filled(dir: &Path, config: LogConfig, timestamps: &[i64]) -> Log {
    let log = open(dir, config);
    for timestamp in timestamps {
        append_at(&log, *timestamp, 0, NOW);
    }
    log
}

fn names(dir: &Path) -> Vec<String> {
    let files =
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = files.collect();
    names.sort();
    names
}

#[test]
fn time() {
    let day = 86_400_000;
    // retention.ms, timestamps of the segments, how many go.
    let cases: &[(i64, &[i64], usize)] = &[
        (-1, &[0, 0, 0], 0),
        (NOW, &[0, 1, 2], 0),
        (NOW - 1, &[0, 1, 2], 1),
        (NOW - 2, &[0, 1, 2], 2),
        // The active one, too.
        (NOW - 3, &[0, 1, 2], 3),
        (0, &[NOW - 1, NOW], 1),
        // The first one that stays keeps those behind it.
        (10, &[0, NOW, 0, 0], 1),
        // A time to come keeps a segment until it has passed.
        (0, &[NOW + day, 0], 0),
        (i64::MAX, &[0, 0], 0),
    ];
    for (retention_ms, timestamps, expected) in cases {
        let dir = tempfile::tempdir().unwrap();
        let log = filled(dir.path(), LogConfig { retention_ms: *retention_ms, ..config() }, timestamps);
        let done = log.retain(NOW).unwrap();
        let bytes = u64::from(batch_size()) * *expected as u64;
        let case = format!("retention.ms={retention_ms} {timestamps:?}");
        assert_eq!(done, Retained { by_time: *expected, bytes, ..Retained::default() }, "{case}");
        assert_eq!(log.start_offset(), *expected as i64, "{case}");
        assert_eq!(log.end_offset(), timestamps.len() as i64, "{case}");
        assert_eq!(log.retain(NOW).unwrap(), Retained::default(), "{case}: once is enough");
    }
}

/// No checksum covers the time index: what it says of the age of a segment has to be in the segment.
#[test]
fn a_time_index_that_went_bad_makes_no_segment_older_or_younger() {
    // Byte and bit of the timestamp: some minutes earlier, some decades later.
    for (byte, bit) in [(5, 0x08), (2, 0x01)] {
        let dir = tempfile::tempdir().unwrap();
        let keep = LogConfig { retention_ms: 1000, ..config() };
        let log = filled(dir.path(), keep.clone(), &[NOW; 3]);
        log.close().unwrap();
        drop(log);
        let path = dir.path().join("00000000000000000000.timeindex");
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[byte] ^= bit;
        std::fs::write(&path, bytes).unwrap();
        let log = open(dir.path(), keep);
        assert_eq!(log.retain(NOW + 500).unwrap().segments(), 0, "byte {byte}");
        assert_eq!(log.retain(NOW + 1001).unwrap().segments(), 3, "byte {byte}");
    }
}

#[test]
fn a_time_index_that_went_bad_hides_no_record_from_a_lookup() {
    let dir = tempfile::tempdir().unwrap();
    let one = LogConfig { segment_bytes: 10 * batch_size(), index_interval_bytes: 1, ..config() };
    let log = filled(dir.path(), one.clone(), &Vec::from_iter((1..=11).map(|n| n * 1000)));
    assert_eq!(log.segments().len(), 2);
    log.close().unwrap();
    drop(log);
    let path = dir.path().join("00000000000000000000.timeindex");
    let (sound, offsets) = (std::fs::read(&path).unwrap(), path.with_extension("index"));
    let sound_offsets = std::fs::read(&offsets).unwrap();
    let mut bits = 0;
    // The lower three bytes of each timestamp and of each offset.
    for byte in (0..sound.len()).filter(|byte| [5, 6, 7, 9, 10, 11].contains(&(byte % 12))) {
        for bit in 0..8 {
            let mut bytes = sound.clone();
            bytes[byte] ^= 1 << bit;
            std::fs::write(&path, bytes).unwrap();
            // One that is found out at once has both made anew.
            std::fs::write(&offsets, &sound_offsets).unwrap();
            let log = open(dir.path(), one.clone());
            for offset in 0..11 {
                let found = log.offset_for_timestamp(offset * 1000 + 500).unwrap().map(|found| found.offset);
                assert_eq!(found, Some(offset), "byte {byte}, bit {bit}");
            }
            bits += 1;
        }
    }
    assert!(bits > 400, "{bits}");
}

#[test]
fn size() {
    let one = i64::from(batch_size());
    // retention.bytes, how many of three go.
    let cases = [
        (-1, 0),
        (i64::MAX, 0),
        (3 * one + 1, 0),
        (3 * one, 0),
        (2 * one + 1, 0),
        (2 * one, 1),
        (one, 2),
        (1, 2),
        (0, 3),
    ];
    for (retention_bytes, expected) in cases {
        let dir = tempfile::tempdir().unwrap();
        let log = filled(dir.path(), LogConfig { retention_bytes, ..config() }, &[0, 0, 0]);
        let done = log.retain(NOW).unwrap();
        assert_eq!(
            (done.by_size, done.segments()),
            (expected, expected),
            "retention.bytes={retention_bytes}"
        );
        assert_eq!(log.size(), (3 - expected as u64) * one as u64, "retention.bytes={retention_bytes}");
    }
}

#[test]
fn below_the_log_start() {
    for (delete, compact) in [(true, false), (false, true), (true, true), (false, false)] {
        for (log_start, expected) in [(0, 0), (1, 1), (2, 2), (3, 2)] {
            let dir = tempfile::tempdir().unwrap();
            let log = filled(dir.path(), LogConfig { delete, compact, ..config() }, &[0, 0, 0]);
            log.delete_before(log_start).unwrap();
            let done = log.retain(NOW).unwrap();
            assert_eq!((done.below_start, done.segments()), (expected, expected), "{log_start}");
            assert_eq!(log.start_offset(), log_start, "the active segment holds it");
        }
    }
}

#[test]
fn compaction_alone_keeps_what_is_old_and_large() {
    let dir = tempfile::tempdir().unwrap();
    let policy = LogConfig { delete: false, compact: true, retention_ms: 1, retention_bytes: 0, ..config() };
    let log = filled(dir.path(), policy.clone(), &[0, 0]);
    assert_eq!(log.retain(NOW).unwrap().segments(), 0);
    log.set_config(LogConfig { delete: true, ..policy });
    assert_eq!(log.retain(NOW).unwrap().segments(), 2, "a changed policy holds at once");
}

#[test]
fn without_timestamps_the_last_append_counts() {
    let dir = tempfile::tempdir().unwrap();
    let retention = LogConfig { retention_ms: 500, ..config() };
    let log = filled(dir.path(), LogConfig { segment_bytes: 1 << 20, ..retention }, &[-1, -1]);
    assert_eq!(log.retain(NOW + 500).unwrap().segments(), 0);
    assert_eq!(log.retain(NOW + 501).unwrap().by_time, 1);

    // Of a segment that no longer grows it is the time of its file.
    let dir = tempfile::tempdir().unwrap();
    let log = filled(dir.path(), LogConfig { retention_ms: 500, ..config() }, &[-1, NOW]);
    let written = std::time::UNIX_EPOCH + std::time::Duration::from_millis(7_000);
    let file = std::fs::File::open(dir.path().join("00000000000000000000.log")).unwrap();
    file.set_modified(written).unwrap();
    assert_eq!(log.retain(7_500).unwrap().segments(), 0);
    assert_eq!(log.retain(7_501).unwrap().by_time, 1);
}

#[test]
fn an_emptied_log_goes_on_where_it_ended() {
    for clean in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let retention = LogConfig { retention_ms: 10, ..config() };
        let log = filled(dir.path(), retention.clone(), &[1, 2]);
        assert_eq!(log.retain(NOW).unwrap().segments(), 2);
        assert_eq!((log.start_offset(), log.end_offset(), log.size()), (2, 2, 0));
        assert!(matches!(log.read(1, 100, true, Bound::End), Err(Error::OffsetOutOfRange { start: 2, .. })));
        assert_eq!(log.read(2, 100, true, Bound::End).unwrap().len, 0);
        assert_eq!(log.offset_of_max_timestamp().unwrap(), None);
        if clean {
            log.close().unwrap();
        }
        drop(log);
        let log = open_on(&Disk::new(dir.path()), dir.path(), retention, clean);
        assert_eq!((log.start_offset(), log.end_offset()), (2, 2), "clean {clean}");
        assert_eq!(append_at(&log, NOW, 0, NOW), 2);
        assert_eq!(log.read_batches(2, 1000).unwrap().len(), batch_size() as usize);
        let indexes = names(dir.path()).iter().filter(|name| name.ends_with(".index")).count();
        assert_eq!(indexes, usize::from(clean), "a clean stop writes the index of an empty segment, too");
    }
}

#[test]
fn files_wait_for_their_end() {
    let dir = tempfile::tempdir().unwrap();
    let retention =
        LogConfig { retention_bytes: i64::from(batch_size()), file_delete_delay_ms: 60, ..config() };
    let log = filled(dir.path(), retention, &[0, 0, 0]);
    log.retain(NOW).unwrap();
    let deleted =
        |dir: &Path| names(dir).into_iter().filter(|name| name.ends_with(".deleted")).collect::<Vec<_>>();
    assert_eq!(
        deleted(dir.path()),
        [
            "00000000000000000000.index.deleted",
            "00000000000000000000.log.deleted",
            "00000000000000000000.timeindex.deleted",
            "00000000000000000001.index.deleted",
            "00000000000000000001.log.deleted",
            "00000000000000000001.snapshot.deleted",
            "00000000000000000001.timeindex.deleted",
        ]
    );
    assert!(
        dir.path().join("00000000000000000002.snapshot").exists(),
        "that of the first segment left stays"
    );
    // By another clock than the one that says what is old.
    log.remove_doomed(5);
    log.remove_doomed(64);
    assert_eq!(deleted(dir.path()).len(), 7);
    log.remove_doomed(65);
    assert_eq!(deleted(dir.path()).len(), 0);
}

#[test]
fn a_fetch_in_flight_is_not_cut() {
    let dir = tempfile::tempdir().unwrap();
    let retention = LogConfig { retention_bytes: 0, file_delete_delay_ms: 0, ..config() };
    let log = filled(dir.path(), retention, &[0, 0, 0]);
    let before = log.read_batches(1, 1000).unwrap();
    let slice = log.read(1, 1000, true, Bound::End).unwrap();
    assert_eq!(log.retain(NOW).unwrap().segments(), 3);
    log.remove_doomed(NOW);
    assert!(!names(dir.path()).iter().any(|name| name.starts_with("00000000000000000001")), "unlinked");
    let mut bytes = vec![0; slice.len];
    if let Some(file) = &slice.file {
        file.read_exact_at(&mut bytes, slice.position).unwrap();
    }
    assert!(bytes == before);
}

#[test]
fn leader_epochs_begin_at_the_log_start() {
    let dir = tempfile::tempdir().unwrap();
    let retention = LogConfig { retention_bytes: i64::from(batch_size()), ..config() };
    let log = open(dir.path(), retention);
    for epoch in [0, 0, 4, 4, 4] {
        append_at(&log, 0, epoch, NOW);
    }
    log.retain(NOW).unwrap();
    assert_eq!(log.end_offset_for_epoch(0), Some((0, 4)));
    let written = std::fs::read_to_string(dir.path().join("leader-epoch-checkpoint")).unwrap();
    assert_eq!(written, "0\n1\n4 4\n");
    log.delete_before(5).unwrap();
    assert_eq!(log.end_offset_for_epoch(4), Some((4, 5)));
}

#[test]
fn a_transaction_that_began_below_the_log_start_holds_nothing_back() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), config());
    let mut builder = BatchBuilder::new().producer(7, 0, 0).transactional(true);
    builder.append(0, None, Some(b"v"), &[]);
    let batch = builder.build().unwrap();
    let header = BatchHeader::read(&batch).unwrap();
    let how = Append { leader_epoch: 0, origin: Origin::Client, now_ms: NOW };
    log.append(&header, &batch[HEADER_LEN..], &how).unwrap();
    append_at(&log, 0, 0, NOW);
    assert_eq!((log.last_stable_offset(), log.end_offset()), (0, 2));
    log.delete_before(1).unwrap();
    assert_eq!(log.last_stable_offset(), 1);
    assert_eq!(log.read(1, 1000, true, Bound::Stable).unwrap().last_stable, 1);
}

#[test]
fn a_closed_or_retired_log_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let retention = LogConfig { retention_bytes: 0, ..config() };
    let partition = dir.path().join("t-0");
    std::fs::create_dir(&partition).unwrap();
    let log = filled(&partition, retention, &[0, 0]);
    log.retire(&dir.path().join("gone")).unwrap();
    assert_eq!(log.retain(NOW).unwrap(), Retained::default());
    assert_eq!(names(&dir.path().join("gone")).iter().filter(|name| name.ends_with(".log")).count(), 2);
}

#[test]
fn a_full_disk_frees_what_needs_no_new_file() {
    let dir = tempfile::tempdir().unwrap();
    let full = Arc::new(AtomicBool::new(false));
    let is_full = full.clone();
    let disk = Disk::with_faults(
        dir.path(),
        Box::new(move |op, _| match op {
            Op::Write if is_full.load(Ordering::Relaxed) => Err(io::Error::from_raw_os_error(ENOSPC)),
            _ => Ok(()),
        }),
    );
    let log = open_on(&disk, dir.path(), LogConfig { retention_bytes: 0, ..config() }, true);
    for _ in 0..3 {
        append_at(&log, 0, 0, NOW);
    }
    full.store(true, Ordering::Relaxed);
    let done = log.retain(NOW).unwrap();
    assert_eq!((done.segments(), done.bytes), (2, 2 * u64::from(batch_size())));
    assert_eq!((log.start_offset(), log.end_offset()), (2, 3));
    full.store(false, Ordering::Relaxed);
    assert_eq!(log.retain(NOW).unwrap().segments(), 1);
    assert_eq!((log.start_offset(), log.end_offset()), (3, 3));
}

/// An index that must be made anew has no place on a full disk: reads go on, and so does what makes room.
#[test]
fn a_full_disk_frees_segments_whose_indexes_are_damaged() {
    for errno in [ENOSPC, nix::libc::EMFILE] {
        let dir = tempfile::tempdir().unwrap();
        let failing = Arc::new(AtomicBool::new(false));
        let fails = failing.clone();
        let fault = move |op: Op, path: &Path| {
            let needs = match op {
                Op::Open => errno != ENOSPC || !path.exists(),
                Op::Write => errno == ENOSPC,
                _ => false,
            };
            if needs && fails.load(Ordering::Relaxed) {
                Err(io::Error::from_raw_os_error(errno))
            } else {
                Ok(())
            }
        };
        let disk = Disk::with_faults(dir.path(), Box::new(fault));
        let config = LogConfig {
            segment_bytes: 10 * batch_size(),
            index_interval_bytes: 1,
            retention_bytes: i64::from(25 * batch_size()),
            retention_ms: 1000,
            ..config()
        };
        let log = open_on(&disk, dir.path(), LogConfig { retention_bytes: -1, ..config.clone() }, true);
        for n in 0..60 {
            append_at(&log, NOW + n, 0, NOW);
        }
        log.close().unwrap();
        drop(log);
        for name in names(dir.path()).iter().filter(|name| name.ends_with("index")) {
            let file = std::fs::File::options().write(true).open(dir.path().join(name)).unwrap();
            file.set_len(10_000).unwrap();
        }
        let log = open_on(&disk, dir.path(), config.clone(), true);
        for segment in log.segments().iter() {
            segment.file(&disk).unwrap();
        }
        failing.store(true, Ordering::Relaxed);
        for _ in 0..2 {
            for offset in 0..60 {
                let bytes = log.read_batches(offset, 1).unwrap();
                assert_eq!(BatchHeader::read(&bytes).unwrap().base_offset, offset, "{errno}");
                let found = log.offset_for_timestamp(NOW + offset).unwrap().unwrap();
                assert_eq!((found.timestamp, found.offset), (NOW + offset, offset), "{errno}");
            }
        }
        assert_eq!(log.offset_of_max_timestamp().unwrap().unwrap().offset, 59);
        if errno != ENOSPC {
            assert!(log.retain(NOW + 1040).unwrap_err().is_shortage());
            assert_eq!(log.start_offset(), 0, "nothing has changed");
            failing.store(false, Ordering::Relaxed);
        }
        // By size three segments, by time one of those that are left: 0 to 39 are old enough.
        let done = log.retain(NOW + 1040).unwrap();
        assert_eq!((done.by_size, done.by_time, log.start_offset()), (3, 1, 40), "{errno}");
        failing.store(false, Ordering::Relaxed);
        // The last segment grows again, with all that its indexes lack.
        assert_eq!(append_at(&log, NOW + 500, 0, NOW), 60);
        log.close().unwrap();
        assert_eq!(log.offset_of_max_timestamp().unwrap().unwrap().offset, 60);
        assert!(!disk.is_offline());
        drop(log);
        let log = open_on(&disk, dir.path(), config, true);
        for offset in 40..61 {
            assert_eq!(BatchHeader::read(&log.read_batches(offset, 1).unwrap()).unwrap().base_offset, offset);
        }
    }
}

/// What is found before the failure goes.
#[test]
fn a_segment_whose_age_cannot_be_told_stays_and_those_before_it_go() {
    let dir = tempfile::tempdir().unwrap();
    let keep = LogConfig { retention_bytes: -1, ..config() };
    let log = filled(dir.path(), keep, &[NOW, NOW, NOW, NOW, NOW]);
    log.close().unwrap();
    drop(log);
    let fault = |op: Op, path: &Path| {
        let of_third = path.to_str().unwrap().contains("00000002.timeindex");
        if op == Op::OpenRead && of_third { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
    };
    let disk = Disk::with_faults(dir.path(), Box::new(fault));
    let log = open_on(&disk, dir.path(), LogConfig { retention_ms: 10, ..config() }, true);
    assert_eq!(log.retain(NOW + 100).unwrap().by_time, 2);
    assert!(log.retain(NOW + 100).is_err(), "and that is said");
    assert_eq!(log.start_offset(), 2);
}

/// A log of so many segments, all of which are to go, but for the last one that is empty.
fn expired(disk: &Disk, segments: i64) -> Log {
    let log = open_on(disk, disk.root(), LogConfig { retention_bytes: 0, ..config() }, true);
    (0..segments).for_each(|_| _ = append_at(&log, 0, 0, NOW));
    log
}

#[test]
fn a_pass_takes_a_bounded_number_and_asks_for_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let log = expired(&Disk::new(dir.path()), 230);
    let passes: Vec<_> = (0..4).map(|_| log.retain(NOW).unwrap()).collect();
    let found: Vec<_> = passes.iter().map(|pass| (pass.segments(), pass.more)).collect();
    assert_eq!(found, [(100, true), (100, true), (30, false), (0, false)]);
    assert_eq!(passes.iter().map(|pass| pass.bytes).sum::<u64>(), 230 * u64::from(batch_size()));
    assert_eq!((log.start_offset(), log.end_offset(), log.size()), (230, 230, 0));

    // The same by time, where each segment is looked at.
    let dir = tempfile::tempdir().unwrap();
    let log = filled(dir.path(), LogConfig { retention_ms: 10, ..config() }, &[0; 120]);
    let found = [(); 2].map(|()| log.retain(NOW).unwrap()).map(|pass| (pass.by_time, pass.more));
    assert_eq!(found, [(100, true), (20, false)]);
}

/// What looks at every segment once has none of them open afterwards, be there thousands.
#[test]
fn segments_that_are_looked_at_do_not_stay_open() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig { compact: true, delete: true, max_compaction_lag_ms: 1_000, ..config() };
    filled(dir.path(), config.clone(), &[NOW; 120]).close().unwrap();
    type Look = (&'static str, fn(&Log));
    let looks: [Look; 4] = [
        ("retention", |log| assert_eq!(log.retain(NOW).unwrap().segments(), 0)),
        ("a lookup by time", |log| assert!(log.offset_for_timestamp(NOW + 1).unwrap().is_none())),
        ("the largest timestamp", |log| {
            assert_eq!(log.offset_of_max_timestamp().unwrap().unwrap().offset, 0)
        }),
        ("the cleaner", |log| assert!(log.cleanable(NOW).unwrap().is_some())),
    ];
    for (who, look) in looks {
        let log = open(dir.path(), LogConfig { retention_ms: 1_000, ..config.clone() });
        look(&log);
        let open = open_below(dir.path());
        assert!(open < 5, "{who} has left {open} files open");
    }
}

/// With few descriptors left a pass takes what it can, and leaves some of them to others.
#[test]
fn a_shortage_of_descriptors_makes_passes_small() {
    let dir = tempfile::tempdir().unwrap();
    let (opened, fails_at) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(usize::MAX)));
    let (count, limit) = (opened.clone(), fails_at.clone());
    let fault = move |op: Op, _: &Path| {
        let is_last = matches!(op, Op::Open | Op::OpenRead)
            && count.fetch_add(1, Ordering::Relaxed) == limit.load(Ordering::Relaxed);
        if is_last { Err(io::Error::from_raw_os_error(nix::libc::EMFILE)) } else { Ok(()) }
    };
    let log = expired(&Disk::with_faults(dir.path(), Box::new(fault)), 60);
    let mut passes = 0;
    while log.size() > 0 {
        // What a pass has opened is closed behind it.
        opened.store(0, Ordering::Relaxed);
        fails_at.store(if log.segments().len() > 10 { 30 } else { usize::MAX }, Ordering::Relaxed);
        let done = log.retain(NOW).unwrap();
        assert!((1..=10).contains(&done.segments()), "{done:?}");
        assert_eq!(done.more, log.size() > 0);
        passes += 1;
    }
    assert!(passes > 8, "{passes}");
    fails_at.store(usize::MAX, Ordering::Relaxed);
    (0..3).for_each(|_| _ = append_at(&log, 0, 0, NOW));
    opened.store(0, Ordering::Relaxed);
    fails_at.store(0, Ordering::Relaxed);
    assert!(log.retain(NOW).unwrap_err().is_shortage());
    assert_eq!(log.start_offset(), 60, "nothing has changed");
}

/// A longer name may need a block that a full disk does not have.
#[test]
fn a_disk_without_room_for_another_name_frees_the_files_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let (full, seen) = (Arc::new(AtomicBool::new(false)), parking_lot::Mutex::new(BTreeSet::new()));
    let is_full = full.clone();
    // The first of two calls for a file is the rename.
    let fault = move |op: Op, path: &Path| {
        let refused = is_full.load(Ordering::Relaxed)
            && (op == Op::Write || op == Op::Rename && seen.lock().insert(path.to_path_buf()));
        if refused { Err(io::Error::from_raw_os_error(ENOSPC)) } else { Ok(()) }
    };
    let disk = Disk::with_faults(dir.path(), Box::new(fault));
    let log = expired(&disk, 5);
    let slice = log.read(1, 1000, true, Bound::End).unwrap();
    full.store(true, Ordering::Relaxed);
    assert_eq!(log.retain(NOW).unwrap().segments(), 4);
    let left = names(dir.path());
    assert!(left.iter().all(|name| !name.ends_with(".deleted")), "{left:?}");
    assert_eq!(left.iter().filter(|name| name.ends_with(".log")).count(), 1);
    assert_eq!(log.first_base_offset(), 4);
    let mut bytes = vec![0; slice.len];
    slice.file.unwrap().read_exact_at(&mut bytes, slice.position).unwrap();
    assert!(!disk.is_offline());
}

/// What keeps its name for now is removed later, and a start that finds it knows where the log begins.
#[test]
fn a_file_that_cannot_be_renamed_is_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let refuses = Arc::new(AtomicBool::new(true));
    let refused = refuses.clone();
    let fault = move |op: Op, path: &Path| {
        let is_second = path.file_name().unwrap().to_str().unwrap().starts_with("00000000000000000001.");
        let is_refused = op == Op::Rename && is_second && refused.load(Ordering::Relaxed);
        if is_refused { Err(io::Error::from_raw_os_error(nix::libc::EACCES)) } else { Ok(()) }
    };
    let log = expired(&Disk::with_faults(dir.path(), Box::new(fault)), 4);
    log.set_config(LogConfig { file_delete_delay_ms: 0, ..(*log.config()).clone() });
    assert!(log.retain(NOW).is_err());
    assert_eq!((log.start_offset(), log.size()), (4, 0));
    assert_eq!(log.first_base_offset(), 1, "the checkpoint of log starts is to name this log");
    log.remove_doomed(0);
    let logs = |dir: &Path| names(dir).into_iter().filter(|name| name.ends_with(".log")).collect::<Vec<_>>();
    assert_eq!(logs(dir.path()), ["00000000000000000001.log", "00000000000000000004.log"]);
    log.release_idle(0);
    assert!(!log.is_at_rest(), "there is something left to do");
    refuses.store(false, Ordering::Relaxed);
    log.remove_doomed(1);
    assert_eq!(logs(dir.path()), ["00000000000000000004.log"]);
    assert_eq!(log.first_base_offset(), 4);
}

/// A directory that was not synced since a file left it has that file again after a power cut.
#[test]
fn the_start_is_in_the_checkpoint_until_nothing_that_was_removed_can_return() {
    let dir = tempfile::tempdir().unwrap();
    let log = expired(&Disk::new(dir.path()), 5);
    assert_eq!(log.retain(NOW).unwrap().segments(), 5);
    assert_eq!((log.start_offset(), log.first_base_offset()), (5, 5));
    assert_eq!(log.start_checkpoint(), Some(5));
    log.close().unwrap();
    log.synced_by_caller();
    assert_eq!(log.start_checkpoint(), None);
    let start = Start { clean: false, log_start: 5, ..Start::default() };
    let log = Log::open(&Disk::new(dir.path()), dir.path(), LogConfig::default(), &start).unwrap();
    assert_eq!(log.start_checkpoint(), Some(5), "who knows what has left before the last process died");
}
