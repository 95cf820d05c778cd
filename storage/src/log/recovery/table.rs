//! Every row of the table at the top of `recovery.rs`, but for what compaction leaves: that is in `compaction/tests`.

use crate::config::LogConfig;
use crate::file::Disk;
use crate::index::aborted::AbortedTransaction;
use crate::log::{Append, Log, Start};
use crate::producers::Origin;
use milena_protocol::records::{BatchBuilder, BatchHeader, HEADER_LEN};
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// The log of each case: segments that begin at these offsets, one record a batch, four batches a segment.
const SEGMENTS: [i64; 5] = [0, 4, 8, 12, 16];
const END: i64 = 20;
/// The record at offset n has this timestamp + n.
const FIRST_MS: i64 = 1000;

fn config() -> LogConfig {
    LogConfig {
        segment_bytes: 5000,
        index_interval_bytes: 100,
        producer_id_expiration_ms: i64::MAX,
        ..LogConfig::default()
    }
}

fn batch(timestamp: i64) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    builder.append(timestamp, Some(b"key"), Some(&[b'v'; 1000]), &[]);
    builder.build().unwrap()
}

fn append(log: &Log) -> i64 {
    let one = batch(FIRST_MS + log.end_offset());
    let how = Append { leader_epoch: 3, origin: Origin::Client, now_ms: FIRST_MS };
    log.append(&BatchHeader::read(&one).unwrap(), &one[HEADER_LEN..], &how).unwrap().base_offset
}

fn stopped_log(dir: &Path) {
    let start = Start { clean: true, ..Start::default() };
    let log = Log::open(&Disk::new(dir), dir, config(), &start).unwrap();
    for offset in 0..END {
        assert_eq!(append(&log), offset);
    }
    log.close().unwrap();
    for base in SEGMENTS {
        assert!(file(dir, base, "log").exists());
    }
}

fn file(dir: &Path, base: i64, kind: &str) -> PathBuf {
    dir.join(format!("{base:020}.{kind}"))
}

fn resize(path: &Path, change: i64) {
    let file = File::options().write(true).open(path).unwrap();
    let length = file.metadata().unwrap().len();
    file.set_len(length.checked_add_signed(change).unwrap()).unwrap();
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

type Damage = (&'static str, fn(&Path));

struct Case {
    what: &'static str,
    found: fn(&Path),
    /// `None` after a clean stop, else the recovery point.
    point: Option<i64>,
    /// The segments that are read.
    scanned: &'static [i64],
    end: i64,
    /// What must be so while the log is open.
    then: fn(&Path) -> bool,
}

fn cases() -> Vec<Case> {
    let nothing: fn(&Path) = |_| {};
    let fine: fn(&Path) -> bool = |_| true;
    let left_over: fn(&Path) = |dir| {
        for name in
            ["00000000000000000004.log.deleted", "leader-epoch-checkpoint.tmp", "00000000000000000099.index"]
        {
            fs::write(dir.join(name), "x").unwrap();
        }
        fs::copy(file(dir, END, "snapshot"), file(dir, 99, "snapshot")).unwrap();
    };
    let tidy: fn(&Path) -> bool = |dir| {
        let odd = |name: &str| name.contains("deleted") || name.ends_with(".tmp") || name.contains("99.");
        !fs::read_dir(dir).unwrap().any(|entry| odd(entry.unwrap().file_name().to_str().unwrap()))
    };
    let case = |what, found, point, scanned, end, then| Case { what, found, point, scanned, end, then };
    vec![
        case("nothing odd", nothing, None, &[], END, fine),
        case("nothing odd, killed", nothing, Some(END), &[], END, fine),
        case("left over files", left_over, None, &[], END, tidy),
        case("left over files, killed", left_over, Some(END), &[], END, tidy),
        case(
            "below the recovery point nothing is read",
            |d| flip(&file(d, 4, "log"), 500),
            Some(16),
            &[16],
            END,
            fine,
        ),
        case("after a clean stop nothing is read", |d| flip(&file(d, 4, "log"), 500), None, &[], END, fine),
        case("from the recovery point on", nothing, Some(9), &[8, 12, 16], END, fine),
        case("no recovery point", nothing, Some(0), &SEGMENTS, END, fine),
        case("one record behind the recovery point", nothing, Some(19), &[16], END, fine),
        case(
            "killed, no snapshot there",
            |d| fs::remove_file(file(d, END, "snapshot")).unwrap(),
            Some(END),
            &[16],
            END,
            fine,
        ),
        case("killed, zeros behind", |d| resize(&file(d, 16, "log"), 5000), Some(END), &[16], END, fine),
        case(
            "killed, a marker in its index that is not in the log",
            |d| {
                let aborted = AbortedTransaction {
                    producer_id: 1,
                    first_offset: 17,
                    last_offset: END,
                    last_stable_offset: END + 1,
                };
                fs::write(file(d, 16, "txnindex"), aborted.encode()).unwrap();
            },
            Some(END),
            &[16],
            END,
            |d| !file(d, 16, "txnindex").exists(),
        ),
        case(
            "killed, a timestamp in its index that is not in the log",
            |d| {
                let path = file(d, 16, "timeindex");
                let mut bytes = fs::read(&path).unwrap();
                bytes.extend((FIRST_MS + 1000).to_be_bytes());
                bytes.extend(((END - 16) as i32).to_be_bytes());
                fs::write(path, bytes).unwrap();
            },
            Some(END),
            &[16],
            END,
            |d| !file(d, 16, "timeindex").exists(),
        ),
        case("killed, half a batch behind", |d| resize(&file(d, 16, "log"), -700), Some(19), &[16], 19, fine),
        case(
            "a bad batch",
            |d| flip(&file(d, 8, "log"), 1500),
            Some(8),
            &[8],
            9,
            |d| {
                [12, 16].iter().all(|base| {
                    file(d, *base, "log.quarantined").exists() && !file(d, *base, "index").exists()
                })
            },
        ),
    ]
}

fn swap_case() -> Case {
    Case {
        what: "killed in the middle of a swap, of whose bad last batch nothing is read",
        found: |d| {
            for kind in ["log", "index", "timeindex"] {
                fs::copy(file(d, 0, kind), file(d, 0, &format!("{kind}.swap"))).unwrap();
            }
            // Its last offset would lie far behind the log.
            let path = file(d, 0, "log.swap");
            flip(&path, fs::metadata(&path).unwrap().len() as usize / 4 * 3 + 23);
        },
        point: Some(END),
        scanned: &[],
        end: END,
        then: |d| SEGMENTS.iter().all(|base| file(d, *base, "log").exists()),
    }
}

fn index_cases() -> Vec<Case> {
    let fine: fn(&Path) -> bool = |_| true;
    let case = |what, found, point, scanned, end, then| Case { what, found, point, scanned, end, then };
    let mut cases = Vec::new();
    let missing: [Damage; 2] = [
        ("the offset index of a closed segment is missing", |d| {
            fs::remove_file(file(d, 4, "index")).unwrap()
        }),
        ("the time index of a closed segment is missing", |d| {
            fs::remove_file(file(d, 4, "timeindex")).unwrap()
        }),
    ];
    for (what, found) in missing {
        let made: fn(&Path) -> bool = |d| file(d, 4, "index").exists() && file(d, 4, "timeindex").exists();
        cases.push(case(what, found, None, &[4], END, made));
        cases.push(case(what, found, Some(END), &[4, 16], END, made));
    }
    let odd: [Damage; 5] = [
        ("the offset index of a closed segment is cut short", |d| resize(&file(d, 4, "index"), -3)),
        ("the offset index of a closed segment ends in zeros", |d| resize(&file(d, 4, "index"), 800)),
        ("the time index of a closed segment is cut short", |d| resize(&file(d, 4, "timeindex"), -3)),
        ("the time index of a closed segment ends in zeros", |d| resize(&file(d, 4, "timeindex"), 1200)),
        ("the indexes of a closed segment are empty", |d| {
            fs::write(file(d, 4, "index"), "").unwrap();
            fs::write(file(d, 4, "timeindex"), "").unwrap();
        }),
    ];
    for (what, found) in odd {
        cases.push(case(what, found, None, &[], END, fine));
        cases.push(case(what, found, Some(END), &[], END, fine));
    }
    let of_active: [Damage; 4] = [
        ("the offset index of the active segment is missing", |d| {
            fs::remove_file(file(d, 16, "index")).unwrap()
        }),
        ("the time index of the active segment is missing", |d| {
            fs::remove_file(file(d, 16, "timeindex")).unwrap()
        }),
        ("the offset index of the active segment is cut short", |d| resize(&file(d, 16, "index"), -3)),
        ("the offset index of the active segment ends in zeros", |d| resize(&file(d, 16, "index"), 800)),
    ];
    for (what, found) in of_active {
        // What holds all that was found stays; the other is in memory until the segment rolls.
        let gone: fn(&Path) -> bool = |d| file(d, 16, "index").exists() != file(d, 16, "timeindex").exists();
        cases.push(case(what, found, None, &[16], END, gone));
        cases.push(case(what, found, Some(END), &[16], END, gone));
    }
    cases
}

#[test]
fn every_row_holds() {
    let whole = tempfile::tempdir().unwrap();
    stopped_log(whole.path());
    for Case { what, found, point, scanned, end, then } in
        cases().into_iter().chain(index_cases()).chain([swap_case()])
    {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path();
        for entry in fs::read_dir(whole.path()).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), dir.join(entry.file_name())).unwrap();
        }
        found(dir);
        let lengths = scanned.iter().map(|base| fs::metadata(file(dir, *base, "log")).unwrap().len());
        let bytes: u64 = lengths.sum();
        let disk = Disk::new(dir);
        let start =
            Start { clean: point.is_none(), recovery_point: point.unwrap_or(END), ..Start::default() };
        let log = Log::open(&disk, dir, config(), &start).unwrap();
        let what = format!("{what}, recovery point {point:?}");
        assert_eq!((disk.scanned(), log.end_offset()), (bytes, end), "{what}");
        assert!(then(dir), "{what}");
        for offset in (0..end).filter(|_| !what.contains("nothing is read")) {
            let found = log.offset_for_timestamp(FIRST_MS + offset).unwrap().unwrap();
            assert_eq!(found.offset, offset, "{what}");
        }
        assert_eq!((log.latest_epoch(), append(&log)), (3, end), "{what}");
        log.close().unwrap();
        drop(log);
        let again = Log::open(&Disk::new(dir), dir, config(), &Start { clean: true, ..start }).unwrap();
        assert_eq!(again.end_offset(), end + 1, "{what}");
    }
}

/// A broker that was killed must find what an idle log was not appended to, however often it was killed.
#[test]
fn the_checkpoint_of_an_idle_log_says_that_nothing_need_be_read() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    stopped_log(dir);
    let disk = Disk::new(dir);
    let mut start = Start { clean: true, recovery_point: END, ..Start::default() };
    for _ in 0..3 {
        let log = Log::open(&disk, dir, config(), &start).unwrap();
        log.release_idle(i64::MAX);
        start = Start { clean: false, recovery_point: log.recovery_checkpoint(), ..start };
        assert_eq!((start.recovery_point, disk.scanned()), (END, 0));
    }
    let log = Log::open(&disk, dir, config(), &start).unwrap();
    append(&log);
    append(&log);
    log.flush().unwrap();
    assert_eq!(log.recovery_checkpoint(), END + 1, "inside the segment that grows");
    drop(log);
    let log = Log::open(&disk, dir, config(), &start).unwrap();
    let of_new_segment = fs::metadata(file(dir, END, "log")).unwrap().len();
    assert_eq!((log.end_offset(), disk.scanned()), (END + 2, of_new_segment));
}

#[test]
fn a_log_without_a_segment_begins_at_its_start() {
    let temp = tempfile::tempdir().unwrap();
    for (clean, at) in [(true, 7), (false, 7)] {
        let dir = temp.path().join(clean.to_string());
        fs::create_dir(&dir).unwrap();
        let start = Start { clean, log_start: at, ..Start::default() };
        let log = Log::open(&Disk::new(&dir), &dir, config(), &start).unwrap();
        assert_eq!((log.start_offset(), log.end_offset()), (at, at));
        assert!(file(&dir, at, "log").exists());
    }
}

#[test]
fn epochs_beyond_the_end_are_forgotten() {
    let temp = tempfile::tempdir().unwrap();
    stopped_log(temp.path());
    fs::write(temp.path().join("leader-epoch-checkpoint"), "0\n2\n3 0\n9 25\n").unwrap();
    let start = Start { clean: true, ..Start::default() };
    let log = Log::open(&Disk::new(temp.path()), temp.path(), config(), &start).unwrap();
    assert_eq!(log.latest_epoch(), 3);
}

#[test]
fn an_idle_log_keeps_its_indexes_in_files_and_takes_them_up_again() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let log = Log::open(&Disk::new(dir), dir, config(), &Start { clean: true, ..Start::default() }).unwrap();
    for _ in 0..3 {
        append(&log);
    }
    assert!(log.active().is_growing());
    // By a clock of its own, from the first look on that finds nothing new.
    log.release_idle(500);
    log.release_idle(60_499);
    assert!(log.active().is_growing() && !file(dir, 0, "index").exists());
    log.release_idle(60_500);
    assert!(!log.active().is_growing() && file(dir, 0, "index").exists());
    log.release_idle(60_501);
    assert!(log.is_at_rest());
    assert_eq!(log.offset_for_timestamp(FIRST_MS + 2).unwrap().unwrap().offset, 2);
    for offset in 3..9 {
        assert_eq!(append(&log), offset);
    }
    assert!(log.active().is_growing() && !log.is_at_rest());
    for offset in 0..9 {
        assert_eq!(log.offset_for_timestamp(FIRST_MS + offset).unwrap().unwrap().offset, offset);
    }
    drop(log);
    // Killed: what the files say of the time before is not trusted.
    let killed = Log::open(&Disk::new(dir), dir, config(), &Start::default()).unwrap();
    assert_eq!(killed.end_offset(), 9);
}
