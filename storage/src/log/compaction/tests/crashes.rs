//! A pass that fails or dies at any operation leaves the log as it was or as it should be.

use super::{MEMORY, NOW, compacted, names_with, open, open_on, plain, put, roll, short};
use crate::config::LogConfig;
use crate::file::{Disk, Op};
use crate::log::Log;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Two groups of three segments each and an active one. Of the first group's last segment nothing stays.
fn fill(log: &Log) {
    for (key, value) in [("a", "1"), ("b", "1"), ("x", "1"), ("a", "2"), ("x", "2"), ("c", "1"), ("x", "3")] {
        put(log, plain(), &[(key, value), (key, &"v".repeat(100))]);
        roll(log);
    }
    put(log, plain(), &[("tail", "1")]);
}

fn config() -> LogConfig {
    LogConfig { segment_bytes: 800, ..compacted() }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

/// A disk whose operations stop to work with the `n`-th one; and how many there were.
fn dying(root: &Path, n: usize) -> (Disk, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    let faults = move |_: Op, _: &Path| match counter.fetch_add(1, Ordering::Relaxed) {
        at if at < n => Ok(()),
        _ => Err(std::io::Error::other("the machine is gone")),
    };
    (Disk::with_faults(root, Box::new(faults)), count)
}

#[test]
fn dies_at_every_operation_and_starts_again() {
    let template = tempfile::tempdir().unwrap();
    let log = open(template.path(), &config());
    fill(&log);
    log.close().unwrap();
    drop(log);
    let expected = |dir: &Path| {
        let log = open(dir, &config());
        let before = short(&log);
        let work = log.cleanable(NOW).unwrap().unwrap();
        log.clean(&work, &MEMORY, NOW, &mut |_| true).unwrap();
        assert!(log.segments().len() > 2, "the test must have several groups");
        (before, short(&log))
    };
    let once = tempfile::tempdir().unwrap();
    copy(template.path(), once.path());
    let (before, after) = expected(once.path());
    assert!(after.len() < before.len());
    let (disk, count) = dying(template.path(), usize::MAX);
    drop(open_on(&disk, template.path(), &config(), true).unwrap());
    let start = count.load(Ordering::Relaxed);
    let mut states = 0;
    for n in 0.. {
        let dir = tempfile::tempdir().unwrap();
        copy(template.path(), dir.path());
        let (disk, _) = dying(dir.path(), start + n);
        let log = open_on(&disk, dir.path(), &config(), true).unwrap();
        let work = log.cleanable(NOW).unwrap().unwrap();
        let ended = log.clean(&work, &MEMORY, NOW, &mut |_| true);
        let end = log.end_offset();
        drop(log);
        let left = names_with(dir.path(), &[".cleaned", ".swap"]).len();
        states += usize::from(left > 0);
        for clean in [true, false] {
            let copied = tempfile::tempdir().unwrap();
            copy(dir.path(), copied.path());
            let log = open_on(&Disk::new(copied.path()), copied.path(), &config(), clean).unwrap();
            let found = short(&log);
            let what = format!("operation {n}, clean {clean}");
            // Between the groups it is neither the one nor the other, but never without what must stay.
            assert!(after.iter().all(|line| found.contains(line)), "{what}: {found:?}");
            assert!(found.iter().all(|line| before.contains(line)), "{what}: {found:?}");
            assert_eq!(log.end_offset(), end, "{what}");
            assert_eq!(names_with(copied.path(), &[".cleaned", ".swap", ".deleted"]), [""; 0], "{what}");
            if n % 4 == 0 && clean {
                let work = log.cleanable(NOW).unwrap().unwrap();
                log.clean(&work, &MEMORY, NOW, &mut |_| true).unwrap();
                assert_eq!(short(&log), after, "{what}: the next pass completes it");
            }
        }
        if ended.is_ok() {
            assert!(n > 20 && states > 10, "{n} operations, {states} states");
            return;
        }
    }
}

/// One cleaned group over the offsets 0 to 3, and the segments it was made from; `name` of each file is its place.
fn pieces() -> (tempfile::TempDir, tempfile::TempDir) {
    let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let log = open(old.path(), &config());
    for value in ["1", "2"] {
        put(&log, plain(), &[("a", value), ("a", value)]);
        roll(&log);
    }
    log.close().unwrap();
    copy(old.path(), new.path());
    let log = open(new.path(), &config());
    let work = log.cleanable(NOW).unwrap().unwrap();
    log.clean(&work, &MEMORY, NOW, &mut |_| true).unwrap();
    (old, new)
}

/// Suffixes of the new log file and of its two indexes, those of the files of both old segments, and whether the new
/// segment wins.
type State = (&'static str, &'static str, &'static str, Option<&'static str>, Option<&'static str>, bool);

#[test]
fn every_state_of_a_swap_is_one_of_two() {
    let (old, new) = pieces();
    let (first, second) = ("00000000000000000000", "00000000000000000002");
    let file = |base: &str, kind: &str, stage: &str| format!("{base}.{kind}{stage}");
    let gone = None;
    let (live, deleted) = (Some(""), Some(".deleted"));
    let cases: [State; 9] = [
        (".cleaned", ".cleaned", ".cleaned", live, live, false),
        (".swap", ".cleaned", ".cleaned", live, live, false),
        (".swap", ".swap", ".cleaned", live, live, false),
        (".swap", ".swap", ".swap", live, live, true),
        (".swap", ".swap", ".swap", deleted, live, true),
        (".swap", ".swap", ".swap", deleted, deleted, true),
        (".swap", ".swap", ".swap", gone, live, true),
        ("", ".swap", ".swap", deleted, deleted, true),
        ("", "", ".swap", gone, gone, true),
    ];
    for (at, (log, index, times, of_first, of_second, is_new)) in cases.into_iter().enumerate() {
        let dir = tempfile::tempdir().unwrap();
        let put = |from: &tempfile::TempDir, base: &str, kind: &str, stage: &str| {
            let to: PathBuf = dir.path().join(file(base, kind, stage));
            std::fs::copy(from.path().join(file(base, kind, "")), to).unwrap();
        };
        for (base, stage) in [(first, of_first), (second, of_second)] {
            if let Some(stage) = stage {
                ["log", "index", "timeindex"].iter().for_each(|kind| put(&old, base, kind, stage));
            }
        }
        for (kind, stage) in [("log", log), ("index", index), ("timeindex", times)] {
            put(&new, first, kind, stage);
        }
        ["log", "index", "timeindex"].iter().for_each(|kind| put(&old, "00000000000000000004", kind, ""));
        for clean in [true, false] {
            let copied = tempfile::tempdir().unwrap();
            copy(dir.path(), copied.path());
            let log = open_on(&Disk::new(copied.path()), copied.path(), &config(), clean).unwrap();
            let expected: &[&str] = if is_new { &["3:a=2"] } else { &["0:a=1", "1:a=1", "2:a=2", "3:a=2"] };
            assert_eq!(short(&log), expected, "case {at} clean {clean}");
            assert_eq!(log.end_offset(), 4, "case {at}");
            assert_eq!(names_with(copied.path(), &[".cleaned", ".swap", ".deleted"]), [""; 0], "case {at}");
        }
    }
}

#[test]
fn a_failure_in_the_middle_of_a_swap_is_seen_by_nobody_who_reads() {
    let dir = tempfile::tempdir().unwrap();
    // The first rename to `.deleted` fails.
    let faults = |op: Op, path: &Path| {
        let exists = path.parent().unwrap().join("00000000000000000000.log.swap").exists();
        let old = path.ends_with("00000000000000000000.log");
        if op == Op::Rename && old && exists { Err(std::io::Error::other("no")) } else { Ok(()) }
    };
    let log = open_on(&Disk::with_faults(dir.path(), Box::new(faults)), dir.path(), &config(), true).unwrap();
    fill(&log);
    let before = short(&log);
    let work = log.cleanable(NOW).unwrap().unwrap();
    assert!(log.clean(&work, &MEMORY, NOW, &mut |_| true).is_err());
    assert_eq!(short(&log), before);
    assert!(log.clean(&work, &MEMORY, NOW, &mut |_| true).is_err(), "the directory is offline");
    drop(log);
    let log = open_on(&Disk::new(dir.path()), dir.path(), &config(), false).unwrap();
    assert!(short(&log).len() < before.len(), "a start completes the swap");
}
