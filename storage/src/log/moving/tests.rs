use crate::config::LogConfig;
use crate::error::Error;
use crate::file::{Disk, Op};
use crate::index::aborted::AbortedTransaction;
use crate::log::{Append, Bound, CleanerMemory, Log, Start};
use crate::producers::Origin;
use milena_protocol::records::{
    BatchBuilder, BatchHeader, Batches, EndTransactionMarker, HEADER_LEN, end_transaction_batch,
};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tempfile::TempDir;

const NOW: i64 = 1_000_000;
const ALL: usize = usize::MAX >> 1;

struct Bench {
    _temp: TempDir,
    old: Log,
    copy: Log,
    to: PathBuf,
}

fn config() -> LogConfig {
    LogConfig { segment_bytes: 4000, index_interval_bytes: 100, ..LogConfig::default() }
}

fn log(disk: &Disk, dir: &Path, log_start: i64) -> Log {
    std::fs::create_dir_all(dir).unwrap();
    let start = Start { clean: true, recovery_point: log_start, log_start, now_ms: NOW, ..Start::default() };
    Log::open(disk, dir, config(), &start).unwrap()
}

/// A log with some segments and a copy that has nothing yet.
fn bench(disk: impl Fn(&Path) -> Disk, start: i64) -> Bench {
    let temp = tempfile::tempdir().unwrap();
    let old = log(&Disk::new(temp.path()), &temp.path().join("old"), 0);
    for n in 0..60 {
        append(&old, 7, n * 2, 2);
    }
    old.delete_before(start).unwrap();
    let copy = log(&disk(temp.path()), &temp.path().join("future"), old.copy_base().unwrap());
    let to = temp.path().join("live");
    Bench { _temp: temp, old, copy, to }
}

fn append(log: &Log, producer: i64, sequence: i32, records: i64) -> bool {
    let mut batch = BatchBuilder::new().producer(producer, 0, sequence);
    (0..records).for_each(|n| batch.append(NOW + n, Some(b"key"), Some(&[b'v'; 200]), &[]));
    let batch = batch.build().unwrap();
    let header = BatchHeader::read(&batch).unwrap();
    let how = Append { leader_epoch: 3, origin: Origin::Client, now_ms: NOW };
    log.append(&header, &batch[HEADER_LEN..], &how).unwrap().duplicate
}

fn read_all(log: &Log) -> Vec<u8> {
    let (mut all, mut offset) = (Vec::new(), log.start_offset());
    loop {
        let bytes = log.read_batches(offset, 3000).unwrap();
        let Some(last) = Batches::new(&bytes).map(|b| b.unwrap().0.next_offset()).last() else { return all };
        all.extend_from_slice(&bytes);
        offset = last;
    }
}

fn catch_up(bench: &Bench) {
    while bench.copy.copy_from(&bench.old, 2500, NOW).unwrap() > 0 {}
}

fn hand_over(bench: &Bench) -> Result<Arc<Log>, Error> {
    let mut next = None;
    bench.old.hand_over(&bench.copy, &bench.to, NOW, |log| next = Some(log))?;
    Ok(next.unwrap())
}

#[test]
fn the_copy_is_the_log() {
    // 33 lies within a batch, 120 is the end.
    for start in [0, 33, 120] {
        let bench = bench(Disk::new, start);
        catch_up(&bench);
        append(&bench.old, 7, 120, 3);
        append(&bench.old, 8, 0, 1);
        let before = read_all(&bench.old);
        let moved = hand_over(&bench).unwrap();
        assert_eq!((moved.start_offset(), moved.end_offset()), (start, 124), "from {start}");
        assert!(read_all(&moved) == before, "every byte, from {start}");
        assert_eq!(moved.dir(), bench.to);
        assert!(append(&moved, 7, 120, 3) && append(&moved, 8, 0, 1), "what was sent twice is known");
        assert!(!append(&moved, 8, 1, 1));
        assert_eq!(moved.epoch_at(123), 3);
        let how = bench.old.delete_before(50);
        assert!(matches!(how, Err(Error::Closed)), "{how:?}");
        moved.close().unwrap();
        let again = log(&Disk::new(&bench.to), &bench.to, start);
        assert!(read_all(&again).starts_with(&before), "after a restart, from {start}");
    }
}

/// One transaction of some batches, which ends at once.
fn transaction(log: &Log, producer: i64, batches: i32, commit: bool) {
    for sequence in 0..batches {
        let mut batch = BatchBuilder::new().producer(producer, 0, sequence).transactional(true);
        batch.append(NOW, Some(b"key"), Some(&[b'v'; 200]), &[]);
        let batch = batch.build().unwrap();
        let how = Append { leader_epoch: 3, origin: Origin::Client, now_ms: NOW };
        log.append(&BatchHeader::read(&batch).unwrap(), &batch[HEADER_LEN..], &how).unwrap();
    }
    let marker = EndTransactionMarker { commit, coordinator_epoch: 0 };
    let batch = end_transaction_batch(0, 0, NOW, producer, 0, marker);
    let how = Append { leader_epoch: 3, origin: Origin::Coordinator, now_ms: NOW };
    log.append(&BatchHeader::read(&batch).unwrap(), &batch[HEADER_LEN..], &how).unwrap();
}

/// Producer, first offset and marker of aborted transactions.
type Aborted = BTreeSet<(i64, i64, i64)>;

/// What read_committed consumers are told, wherever they begin: how far they may read, and what of it was aborted.
fn told(log: &Log) -> Vec<(i64, Aborted)> {
    let entry = |one: &AbortedTransaction| (one.producer_id, one.first_offset, one.last_offset);
    let one = |offset| {
        let slice = log.read(offset, 1, true, Bound::Stable).unwrap();
        (slice.last_stable, slice.aborted.iter().map(entry).collect())
    };
    (log.start_offset()..log.end_offset()).map(one).collect()
}

#[test]
fn aborted_transactions_move_along() {
    let bench = bench(Disk::new, 0);
    for n in 0..40 {
        transaction(&bench.old, 100 + n, 1 + n as i32 % 4, n % 3 == 0);
    }
    catch_up(&bench);
    // The marker comes in the last moment.
    transaction(&bench.old, 200, 2, false);
    let before = told(&bench.old);
    assert!(before.iter().filter(|(_, aborted)| !aborted.is_empty()).count() > 60);
    assert!(bench.old.segments().len() > 5, "markers in closed segments and in the active one");
    let moved = hand_over(&bench).unwrap();
    assert_eq!(told(&moved), before);
    moved.close().unwrap();
    drop(moved);
    let again = log(&Disk::new(&bench.to), &bench.to, 0);
    assert_eq!(told(&again), before, "after a restart");
}

#[test]
fn a_marker_that_does_not_get_into_the_copy_leaves_no_trace() {
    let full = Arc::new(AtomicBool::new(false));
    let faults = full.clone();
    let bench = bench(
        move |root| {
            let full = faults.clone();
            let fault = move |op: Op, path: &Path| {
                let is_log = path.extension().is_some_and(|kind| kind == "log");
                match op == Op::Write && is_log && full.load(Ordering::Relaxed) {
                    true => Err(std::io::Error::from_raw_os_error(nix::libc::ENOSPC)),
                    false => Ok(()),
                }
            };
            Disk::with_faults(root, Box::new(fault))
        },
        0,
    );
    bench.copy.set_config(LogConfig { mapped: false, ..config() });
    transaction(&bench.old, 100, 1, false);
    let marker = bench.old.end_offset() - 1;
    while bench.copy.end_offset() < marker {
        bench.copy.copy_from(&bench.old, 1, NOW).unwrap();
    }
    full.store(true, Ordering::Relaxed);
    assert!(matches!(bench.copy.copy_from(&bench.old, 1, NOW), Err(Error::Full(_))));
    full.store(false, Ordering::Relaxed);
    let index = bench.copy.active().path(crate::file_name::SegmentFileKind::TransactionIndex);
    assert_eq!(std::fs::metadata(index).unwrap().len(), 0);
    catch_up(&bench);
    let before = told(&bench.old);
    assert_eq!(told(&hand_over(&bench).unwrap()), before);
}

/// Keeps the last record of each key.
fn compact(log: &Log) {
    let memory = CleanerMemory { map_bytes: 1 << 20, load_factor: 0.9, io_bytes: 64 << 10 };
    for now_ms in [NOW, NOW + 10_000] {
        log.set_cleaned_up_to(0);
        let work = log.cleanable(now_ms).unwrap().unwrap();
        log.clean(&work, &memory, now_ms, &mut |_| true).unwrap();
    }
}

fn keyed(log: &Log, key: &str, value: Option<&[u8]>) {
    let mut batch = BatchBuilder::new();
    batch.append(NOW, Some(key.as_bytes()), value, &[]);
    let batch = batch.build().unwrap();
    let how = Append { leader_epoch: 3, origin: Origin::Client, now_ms: NOW };
    log.append(&BatchHeader::read(&batch).unwrap(), &batch[HEADER_LEN..], &how).unwrap();
}

/// A log of which compaction has taken the first batches, those in the middle, and the end of a segment.
#[test]
fn a_log_with_gaps_moves() {
    // Where the log starts: before everything, in the first gap, in the one before the last batches.
    for start in [0, 3, 45] {
        let temp = tempfile::tempdir().unwrap();
        let disk = Disk::new(temp.path());
        let old = log(&disk, &temp.path().join("old"), 0);
        old.set_config(LogConfig { compact: true, delete: false, delete_retention_ms: 1000, ..config() });
        for n in 0..20 {
            keyed(&old, &format!("first {}", n % 2), Some(&[b'v'; 300]));
        }
        for n in 0..20 {
            keyed(&old, &format!("first {}", n % 2), Some(&[b'v'; 300]));
        }
        keyed(&old, "lasting", Some(&[b'v'; 300]));
        for _ in 0..20 {
            keyed(&old, "going", None);
        }
        old.begin_segment(NOW).unwrap();
        keyed(&old, "the end", Some(b"v"));
        let end = old.end_offset();
        compact(&old);
        old.delete_before(start).unwrap();
        let before = read_all(&old);
        assert!(BatchHeader::read(&before).unwrap().base_offset > start, "nothing is left at {start}");
        let copy = log(&disk, &temp.path().join("future"), old.copy_base().unwrap());
        let bench = Bench { old, copy, to: temp.path().join("live"), _temp: temp };
        catch_up(&bench);
        let moved = hand_over(&bench).unwrap();
        assert_eq!((moved.start_offset(), moved.end_offset()), (start, end));
        assert!(read_all(&moved) == before, "every byte, from {start}");
        keyed(&moved, "next", Some(b"v"));
        moved.close().unwrap();
        let again = log(&Disk::new(&bench.to), &bench.to, start);
        assert_eq!((again.start_offset(), again.end_offset()), (start, end + 1));
        assert!(read_all(&again).starts_with(&before), "after a restart, from {start}");
    }
}

#[test]
fn a_log_that_retention_empties_during_a_move_moves() {
    let bench = bench(Disk::new, 0);
    bench.copy.copy_from(&bench.old, 2500, NOW).unwrap();
    bench.old.set_config(LogConfig { retention_ms: 10, ..config() });
    assert!(bench.old.retain(NOW + 1000).unwrap().segments() > 0);
    assert_eq!((bench.old.start_offset(), bench.old.end_offset()), (120, 120));
    catch_up(&bench);
    let moved = hand_over(&bench).unwrap();
    assert_eq!((moved.start_offset(), moved.end_offset()), (120, 120));
    assert!(append(&moved, 7, 118, 2), "what was sent twice is known");
    assert!(!append(&moved, 7, 120, 2));
}

#[test]
fn a_copy_that_retention_has_overtaken_goes_on_behind_the_gap() {
    let bench = bench(Disk::new, 0);
    bench.copy.copy_from(&bench.old, 2500, NOW).unwrap();
    assert!((1..50).contains(&bench.copy.end_offset()));
    bench.old.delete_before(80).unwrap();
    catch_up(&bench);
    let before = read_all(&bench.old);
    let moved = hand_over(&bench).unwrap();
    assert_eq!((moved.start_offset(), moved.end_offset()), (80, 120));
    assert!(read_all(&moved) == before);
}

#[test]
fn a_damaged_batch_is_not_copied() {
    let bench = bench(Disk::new, 0);
    let path = bench.old.dir().join("00000000000000000000.log");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[HEADER_LEN + 20] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert!(matches!(bench.copy.copy_from(&bench.old, ALL, NOW), Err(Error::Corrupt { .. })));
    assert_eq!(bench.copy.end_offset(), 0);
}

#[test]
fn a_move_that_fails_leaves_the_log_as_it_was() {
    // Each operation of the end of a move fails in turn, until it takes none more.
    let mut fails = 0;
    for nth in 0.. {
        let (armed, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let faults = (armed.clone(), count.clone());
        let disk = move |root: &Path| {
            let (armed, count) = faults.clone();
            let fault = move |_: Op, _: &Path| {
                let hit = armed.load(Ordering::Relaxed) && count.fetch_add(1, Ordering::Relaxed) == nth;
                if hit { Err(std::io::Error::from_raw_os_error(nix::libc::EIO)) } else { Ok(()) }
            };
            Disk::with_faults(root, Box::new(fault))
        };
        let bench = bench(disk, 0);
        catch_up(&bench);
        append(&bench.old, 7, 120, 1);
        bench.old.flush().unwrap();
        let before = read_all(&bench.old);
        armed.store(true, Ordering::Relaxed);
        let result = hand_over(&bench);
        armed.store(false, Ordering::Relaxed);
        if count.load(Ordering::Relaxed) <= nth {
            assert!(read_all(&result.unwrap()) == before);
            break;
        }
        // Some failures are harmless, such as that of a file which is read instead of opened.
        match result {
            Err(_) => {
                fails += 1;
                assert!(!bench.to.exists(), "operation {nth}: no second log is left");
                assert!(read_all(&bench.old) == before, "operation {nth}");
                assert!(!append(&bench.old, 7, 121, 1), "operation {nth}: it goes on");
            }
            Ok(moved) => assert!(read_all(&moved) == before, "operation {nth}"),
        }
    }
    assert!(fails > 5, "{fails}");
}

#[test]
fn a_copy_that_grows_after_a_restart_is_not_complete() {
    let bench = bench(Disk::new, 0);
    bench.copy.copy_from(&bench.old, 2500, NOW).unwrap();
    bench.copy.close().unwrap();
    let end = bench.copy.end_offset();
    let start = Start { clean: true, recovery_point: end, now_ms: NOW, ..Start::default() };
    let copy = Log::open(bench.copy.disk(), &bench.copy.dir(), config(), &start).unwrap();
    assert_eq!(copy.recovery_checkpoint(), end);
    copy.copy_from(&bench.old, 1, NOW).unwrap();
    copy.flush().unwrap();
    assert_eq!(copy.recovery_point(), copy.end_offset());
    assert_eq!(copy.recovery_checkpoint(), copy.end_offset() - 1, "its indexes are in memory alone");
}

#[test]
fn settings_that_change_during_a_move_stay_in_force() {
    let bench = bench(Disk::new, 0);
    catch_up(&bench);
    bench.old.set_config(LogConfig { retention_bytes: 12_345, ..config() });
    let moved = hand_over(&bench).unwrap();
    assert_eq!(moved.config().retention_bytes, 12_345);
}

/// Closing the copy writes indexes and a snapshot that nobody has synced: a start after a power cut must not trust them.
#[test]
fn what_was_moved_is_only_complete_when_it_was_synced() {
    let bench = bench(Disk::new, 0);
    catch_up(&bench);
    bench.old.flush().unwrap();
    let log = hand_over(&bench).unwrap();
    let (active, end) = (log.active().base_offset, log.end_offset());
    assert_eq!(log.recovery_point(), end, "every batch is on the device");
    assert!((active..end).contains(&log.recovery_checkpoint()), "the last segment is read");
    for n in 60..70 {
        append(&log, 7, n * 2, 2);
    }
    log.flush().unwrap();
    assert!(log.active().base_offset > active);
    assert_eq!(log.recovery_checkpoint(), log.end_offset() - 1);
}

#[test]
fn who_reads_a_deleted_log_late_does_not_read_the_one_that_has_got_its_name() {
    let temp = tempfile::tempdir().unwrap();
    let (disk, dir) = (Disk::new(temp.path()), temp.path().join("t-0"));
    let fill = |producer| {
        let log = log(&disk, &dir, 0);
        for n in 0..40 {
            append(&log, producer, n * 2, 2);
        }
        log.close().unwrap();
    };
    fill(7);
    let old = log(&disk, &dir, 0);
    let before = read_all(&old);
    let late = old.segments();
    for segment in late.iter() {
        segment.close_idle_file();
    }
    old.retire(&temp.path().join("t-0.deleted")).unwrap();
    fill(8);
    let mut found = Vec::new();
    for segment in late.iter() {
        let end = segment.published();
        found.extend(segment.read(&disk, 0, end.position as usize).unwrap());
        let place = segment.find(&disk, end.next_offset - 1, end).unwrap().unwrap();
        assert_eq!(place.span.last_offset, end.next_offset - 1);
    }
    assert!(found == before);
}
