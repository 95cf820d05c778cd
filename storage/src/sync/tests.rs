use super::{Costs, Done, FILES_AT_ONCE, Request, Syncer, pass};
use crate::config::LogConfig;
use crate::error::{Error, Result};
use crate::file::{Disk, Op, WholeSync};
use crate::log::{Append, Log, Start};
use crate::producers::Origin;
use milena_protocol::records::{BatchBuilder, BatchHeader, HEADER_LEN};
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

const HOW: Append = Append { leader_epoch: 0, origin: Origin::Client, now_ms: 1_000 };

/// A directory whose syncs are written down, and fail when told so.
struct Watched {
    dir: tempfile::TempDir,
    disk: Disk,
    synced: Arc<Mutex<Vec<PathBuf>>>,
    broken: Arc<AtomicBool>,
}

impl Watched {
    fn new() -> Self {
        let (synced, broken) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let dir = tempfile::tempdir().unwrap();
        let hook = {
            let (synced, broken) = (synced.clone(), broken.clone());
            move |op, path: &Path| {
                if matches!(op, Op::Sync | Op::SyncAll) {
                    synced.lock().push(path.to_path_buf());
                    if broken.load(Ordering::Relaxed) {
                        return Err(std::io::Error::from_raw_os_error(nix::libc::EIO));
                    }
                }
                Ok(())
            }
        };
        let disk = Disk::with_faults(dir.path(), Box::new(hook));
        Self { dir, disk, synced, broken }
    }

    fn log(&self, name: &str, flush_messages: i64) -> Arc<Log> {
        let dir = self.dir.path().join(name);
        std::fs::create_dir(&dir).unwrap();
        let config = LogConfig { flush_messages, segment_bytes: 5_000, ..LogConfig::default() };
        Arc::new(Log::open(&self.disk, &dir, config, &Start { clean: true, ..Start::default() }).unwrap())
    }

    /// The names of what was synced since the last call.
    fn synced(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .synced
            .lock()
            .drain(..)
            .map(|path| path.strip_prefix(self.dir.path()).unwrap().display().to_string())
            .collect();
        names.sort_unstable();
        names
    }
}

fn append(log: &Log, size: usize) -> Result<crate::log::Appended> {
    let mut builder = BatchBuilder::new();
    builder.append(1, None, Some(&vec![7; size]), &[]);
    let batch = builder.build().unwrap();
    log.append(&BatchHeader::read(&batch).unwrap(), &batch[HEADER_LEN..], &HOW)
}

/// A request, and where its outcome will be.
fn request(log: &Arc<Log>, upto: i64) -> (Request, mpsc::Receiver<Result<()>>) {
    let (sender, outcome) = mpsc::channel();
    let done: Done = Box::new(move |result| sender.send(result).unwrap());
    (Request { log: log.clone(), upto, done: Some(done) }, outcome)
}

fn known(file: u64, whole: u64) -> Costs {
    let mut costs = Costs::default();
    costs.note(false, 1, Duration::from_micros(file));
    costs.note(true, 9, Duration::from_micros(whole));
    costs
}

#[test]
fn one_pass_serves_everybody() {
    let watched = Watched::new();
    let logs = [watched.log("a-0", 1), watched.log("a-1", 1)];
    let (mut requests, mut outcomes) = (Vec::new(), Vec::new());
    for n in 0..20 {
        let log = &logs[n % 2];
        let appended = append(log, 10).unwrap();
        assert!(appended.flush_due);
        let (request, outcome) = request(log, appended.last_offset + 1);
        requests.push(request);
        outcomes.push(outcome);
    }
    pass(requests, &mut known(100, 100_000));
    assert!(outcomes.iter().all(|outcome| outcome.try_recv().unwrap().is_ok()));
    assert_eq!(logs.each_ref().map(|log| log.recovery_point()), [10, 10]);
    let log = "00000000000000000000.log";
    let expected = ["", "", "a-0", &format!("a-0/{log}"), "a-0/leader-epoch-checkpoint", "a-1"];
    assert_eq!(watched.synced()[..6], expected, "each new file and each directory once");
    let (asked, outcome) = request(&logs[0], 10);
    pass(vec![asked], &mut Costs::default());
    assert!(outcome.try_recv().unwrap().is_ok() && watched.synced().is_empty(), "it is there already");
}

#[test]
fn many_files_take_one_sync_of_the_file_system() {
    let watched = Watched::new();
    if watched.disk.whole_sync() == WholeSync::Never {
        return;
    }
    let logs: Vec<_> = (0..8).map(|n| watched.log(&format!("a-{n}"), 1)).collect();
    let mut outcomes = Vec::new();
    let requests = logs.iter().map(|log| {
        let (request, outcome) = request(log, append(log, 10).unwrap().last_offset + 1);
        outcomes.push(outcome);
        request
    });
    pass(requests.collect(), &mut known(100, 300));
    assert!(outcomes.iter().all(|outcome| outcome.try_recv().unwrap().is_ok()));
    assert_eq!(watched.synced()[..1], [""]);
    assert!(logs.iter().all(|log| log.recovery_point() == 1));
}

#[test]
fn a_failed_sync_acknowledges_nothing_and_is_not_tried_again() {
    for costs in [(100, 100_000), (100_000, 100)] {
        let watched = Watched::new();
        let log = watched.log("a-0", 1);
        append(&log, 10).unwrap();
        log.flush().unwrap();
        append(&log, 10).unwrap();
        watched.broken.store(true, Ordering::Relaxed);
        let (first, failed) = request(&log, 2);
        let (old, there) = request(&log, 1);
        pass(vec![first, old], &mut known(costs.0, costs.1));
        assert!(matches!(failed.try_recv().unwrap(), Err(Error::Offline(_))));
        assert!(there.try_recv().unwrap().is_ok(), "what was synced before stays acknowledged");
        assert!(watched.disk.is_offline());
        watched.broken.store(false, Ordering::Relaxed);
        watched.synced();
        let (again, failed) = request(&log, 2);
        pass(vec![again], &mut Costs::default());
        assert!(matches!(failed.try_recv().unwrap(), Err(Error::Offline(_))));
        assert!(matches!(log.flush(), Err(Error::Offline(_))));
        assert!(watched.synced().is_empty(), "the second sync would succeed without the data being there");
        assert!(matches!(append(&log, 10), Err(Error::Offline(_))));
        assert_eq!(log.recovery_point(), 1);
    }
}

#[test]
fn a_broken_directory_takes_the_other_one_along_only_if_they_were_synced_as_one() {
    for (costs, other_lost) in [((100, 100_000), false), ((100_000, 100), true)] {
        let (broken, good) = (Watched::new(), Watched::new());
        if other_lost && good.disk.whole_sync() == WholeSync::Never {
            continue;
        }
        let logs = [broken.log("a-0", 1), good.log("a-0", 1)];
        broken.broken.store(true, Ordering::Relaxed);
        let (mut requests, mut outcomes) = (Vec::new(), Vec::new());
        for log in &logs {
            append(log, 10).unwrap();
            let (request, outcome) = request(log, 1);
            requests.push(request);
            outcomes.push(outcome);
        }
        pass(requests, &mut known(costs.0, costs.1));
        assert!(matches!(outcomes[0].try_recv().unwrap(), Err(Error::Offline(_))));
        assert_eq!(outcomes[1].try_recv().unwrap().is_err(), other_lost);
        assert_eq!(good.disk.is_offline(), other_lost);
    }
}

#[test]
fn what_a_start_will_trust_is_synced() {
    let watched = Watched::new();
    let log = watched.log("a-0", i64::MAX);
    std::fs::write(watched.dir.path().join("a-0/partition.metadata"), "").unwrap();
    append(&log, 10).unwrap();
    log.flush().unwrap();
    let first =
        ["", "a-0", "a-0/00000000000000000000.log", "a-0/leader-epoch-checkpoint", "a-0/partition.metadata"];
    assert_eq!(watched.synced(), first);
    append(&log, 10).unwrap();
    log.flush().unwrap();
    assert_eq!(watched.synced(), ["a-0/00000000000000000000.log"]);
    append(&log, 3_000).unwrap();
    append(&log, 3_000).unwrap();
    log.flush().unwrap();
    let rolled = [
        "",
        "a-0",
        "a-0/00000000000000000000.index",
        "a-0/00000000000000000000.log",
        "a-0/00000000000000000000.timeindex",
        "a-0/00000000000000000003.log",
        "a-0/00000000000000000003.snapshot",
        "a-0/partition.metadata",
    ];
    assert_eq!(watched.synced(), rolled);
    assert_eq!(log.recovery_point(), 4);
    log.begin_epoch(1);
    append(&log, 10).unwrap();
    log.flush().unwrap();
    let renewed = ["a-0", "a-0/00000000000000000003.log", "a-0/leader-epoch-checkpoint"];
    assert_eq!(watched.synced(), renewed);
}

#[test]
fn a_request_that_others_have_overtaken_finds_nothing_to_do() {
    let watched = Watched::new();
    let log = watched.log("a-0", i64::MAX);
    // A segment each.
    for _ in 0..6 {
        append(&log, 3_000).unwrap();
    }
    log.flush_together(4).unwrap();
    assert_eq!(log.recovery_point(), 4);
    watched.synced();
    for upto in 0..=4 {
        assert!(log.plan_flush(upto).unwrap().is_none(), "{upto}");
        log.flush_together(upto).unwrap();
    }
    assert!(watched.synced().is_empty());
    log.flush_together(5).unwrap();
    assert_eq!(log.recovery_point(), 5);
    assert!(!watched.synced().is_empty(), "as files or as a whole");
}

#[test]
fn every_so_many_records_one_waits() {
    let watched = Watched::new();
    let log = watched.log("a-0", 3);
    let due: Vec<bool> = (0..4).map(|_| append(&log, 10).unwrap().flush_due).collect();
    assert_eq!(due, [false, false, true, true], "until the sync is done, those behind it wait, too");
    log.flush_together(3).unwrap();
    assert_eq!(log.recovery_point(), 4);
    assert!(!append(&log, 10).unwrap().flush_due);
    let never = watched.log("b-0", i64::MAX);
    assert!(!append(&never, 10).unwrap().flush_due);
}

#[test]
fn all_recovery_points_have_moved_when_anybody_is_answered() {
    let watched = Watched::new();
    // Many, because the order of the logs in a pass is that of a hash map.
    let logs: Vec<_> = (0..8).map(|n| watched.log(&format!("a-{n}"), 1)).collect();
    let (sender, seen) = mpsc::channel();
    let requests = logs.iter().map(|log| {
        append(log, 10).unwrap();
        let (logs, sender) = (logs.clone(), sender.clone());
        let done: Done = Box::new(move |result| {
            let points: Vec<i64> = logs.iter().map(|log| log.recovery_point()).collect();
            sender.send((result.is_ok(), points)).unwrap();
        });
        Request { log: log.clone(), upto: 1, done: Some(done) }
    });
    pass(requests.collect(), &mut known(100, 100_000));
    assert_eq!(seen.try_iter().collect::<Vec<_>>(), vec![(true, vec![1; 8]); 8]);
}

#[test]
fn records_wait_for_flush_ms_and_no_longer() {
    let watched = Watched::new();
    let log = watched.log("a-0", i64::MAX);
    log.set_config(LogConfig { flush_ms: 500, ..LogConfig::default() });
    // By a clock of its own. What comes may have come right after the last look.
    log.flush_overdue(70_000);
    append(&log, 10).unwrap();
    log.flush_overdue(70_499);
    // A request behind it: when it is done, the other would be, too.
    let other = watched.log("b-0", 1);
    append(&other, 10).unwrap();
    other.flush_together(1).unwrap();
    assert_eq!(log.recovery_point(), 0);
    log.flush_overdue(70_500);
    append(&other, 10).unwrap();
    other.flush_together(2).unwrap();
    assert_eq!(log.recovery_point(), 1);
}

#[test]
fn a_deleted_log_has_nothing_to_flush() {
    let watched = Watched::new();
    let log = watched.log("a-0", 1);
    append(&log, 10).unwrap();
    log.release_idle(HOW.now_ms);
    log.retire(&watched.dir.path().join("gone")).unwrap();
    std::fs::remove_dir_all(watched.dir.path().join("gone")).unwrap();
    assert!(matches!(log.flush_together(1), Err(Error::Closed)));
    assert!(!watched.disk.is_offline(), "a deletion is no failure of the device");
}

#[test]
fn appends_go_on_while_a_sync_waits_for_the_device() {
    let dir = tempfile::tempdir().unwrap();
    let (entered, inside) = mpsc::channel();
    let (leave, left) = mpsc::channel::<()>();
    let (left, passes) = (Mutex::new(left), Arc::new(AtomicUsize::new(0)));
    let hook = {
        let passes = passes.clone();
        move |op, path: &Path| {
            if op == Op::Sync && path.extension().is_some_and(|extension| extension == "log") {
                passes.fetch_add(1, Ordering::Relaxed);
                let _ = entered.send(());
                let _ = left.lock().recv();
            }
            Ok(())
        }
    };
    let disk = Disk::with_faults(dir.path(), Box::new(hook));
    let start = Start { clean: true, ..Start::default() };
    let config = LogConfig { flush_messages: 1, ..LogConfig::default() };
    let log = Arc::new(Log::open(&disk, dir.path(), config, &start).unwrap());
    // The first flush makes a directory and an epoch durable; from then on the log is the one file of a pass.
    leave.send(()).unwrap();
    append(&log, 10).unwrap();
    log.flush().unwrap();
    inside.recv().unwrap();
    append(&log, 10).unwrap();
    let (sender, outcomes) = mpsc::channel();
    let ask = |upto| {
        let sender = sender.clone();
        log.flush_later(upto, move |result| sender.send((upto, result.is_ok())).unwrap());
    };
    ask(2);
    inside.recv().unwrap();
    for upto in 3..=12 {
        append(&log, 10).unwrap();
        ask(upto);
    }
    assert!(outcomes.try_recv().is_err(), "nothing is acknowledged yet");
    leave.send(()).unwrap();
    assert_eq!(outcomes.recv().unwrap(), (2, true));
    inside.recv().unwrap();
    leave.send(()).unwrap();
    let rest: Vec<_> = (0..10).map(|_| outcomes.recv().unwrap()).collect();
    assert_eq!(rest, (3..=12).map(|upto| (upto, true)).collect::<Vec<_>>());
    assert_eq!(passes.load(Ordering::Relaxed), 3, "ten were served by one sync");
}

#[test]
fn directories_of_one_device_share_a_worker() {
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let disks = dirs.each_ref().map(|dir| Disk::new(dir.path()));
    assert!(Arc::ptr_eq(disks[0].syncer(), disks[1].syncer()));
    assert!(!Arc::ptr_eq(disks[0].syncer(), &Syncer::of_device(Some(u64::MAX))));
}

#[test]
fn the_cheaper_sync_is_taken() {
    let us = Duration::from_micros;
    let mut costs = Costs::default();
    assert!(!costs.prefers_whole(2) && costs.prefers_whole(3), "nothing is known");
    costs.note(false, 1, us(100));
    assert!(!costs.prefers_whole(2) && costs.prefers_whole(3), "half of it is known");
    costs.note(true, 8, us(450));
    for (files, whole) in [(0, false), (1, false), (4, false), (5, true), (64, true)] {
        assert_eq!(costs.prefers_whole(files), whole, "{files} files");
    }
    // Somebody else writes gigabytes.
    costs.note(true, 64, us(400_000));
    assert!(!costs.prefers_whole(64));
    let passes = (1..).find(|_| {
        costs.note(false, 64, us(6_400));
        costs.prefers_whole(64)
    });
    assert!(passes.is_some_and(|n| n < 300), "it is tried again: {passes:?}");
}

#[test]
fn a_panic_in_a_pass_is_the_end_of_its_directory_and_not_of_the_worker() {
    let dir = tempfile::tempdir().unwrap();
    let panics = Arc::new(AtomicBool::new(true));
    let hook = {
        let panics = panics.clone();
        move |op, _: &Path| {
            assert!(!matches!(op, Op::Sync | Op::SyncAll) || !panics.load(Ordering::Relaxed), "a defect");
            Ok(())
        }
    };
    let disk = Disk::with_faults(dir.path(), Box::new(hook));
    let open = |disk: &Disk, name: &str| {
        let dir = dir.path().join(name);
        std::fs::create_dir(&dir).unwrap();
        let start = Start { clean: true, ..Start::default() };
        Arc::new(Log::open(disk, &dir, LogConfig::default(), &start).unwrap())
    };
    let log = open(&disk, "a-0");
    append(&log, 10).unwrap();
    assert!(log.flush_together(1).is_err());
    // Whoever waited learns of it when his request is dropped; the mark comes right behind that, and before the next pass.
    panics.store(false, Ordering::Relaxed);
    assert!(matches!(log.flush_together(1), Err(Error::Offline(_))));
    assert!(disk.is_offline());
    let other = open(&Disk::new(dir.path()), "a-1");
    append(&other, 10).unwrap();
    let (asked, outcome) = request(&other, 1);
    disk.syncer().request(asked.log, asked.upto, asked.done);
    assert!(outcome.recv().unwrap().is_ok(), "the worker serves other directories");
}

/// Descriptors of this process for what lies in a directory.
pub(crate) fn open_below(dir: &Path) -> usize {
    let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    open.filter(|fd| std::fs::read_link(fd.path()).is_ok_and(|file| file.starts_with(dir))).count()
}

/// A directory, and the most files that were opened between two syncs.
fn counting() -> (tempfile::TempDir, Disk, Arc<AtomicUsize>) {
    let dir = tempfile::tempdir().unwrap();
    let most = Arc::new(AtomicUsize::new(0));
    let hook = {
        let (opened, most) = (AtomicUsize::new(0), most.clone());
        move |op, _: &Path| {
            match op {
                Op::Open | Op::OpenRead => drop(opened.fetch_add(1, Ordering::Relaxed)),
                Op::Sync | Op::SyncAll => {
                    most.fetch_max(opened.swap(0, Ordering::Relaxed), Ordering::Relaxed);
                }
                _ => {}
            }
            Ok(())
        }
    };
    let disk = Disk::with_faults(dir.path(), Box::new(hook));
    (dir, disk, most)
}

#[test]
fn a_pass_over_many_logs_has_few_files_open_at_a_time() {
    let (dir, disk, most) = counting();
    let open = |n: i32| {
        let dir = dir.path().join(n.to_string());
        std::fs::create_dir(&dir).unwrap();
        Arc::new(Log::open(&disk, &dir, LogConfig::default(), &Start::default()).unwrap())
    };
    let logs: Vec<_> = (0..300).map(open).collect();
    let (requests, outcomes): (Vec<_>, Vec<_>) = logs
        .iter()
        .map(|log| {
            append(log, 10).unwrap();
            request(log, 1)
        })
        .unzip();
    // What was opened before counts with the first sync, so one comes here.
    disk.sync_dir(dir.path()).unwrap();
    most.store(0, Ordering::Relaxed);
    pass(requests, &mut Costs::default());
    // Some openings find nothing, or are over at once; all logs together have more than a thousand.
    assert!((100..2 * FILES_AT_ONCE).contains(&most.load(Ordering::Relaxed)), "{most:?}");
    assert!(outcomes.iter().all(|outcome| outcome.try_recv().unwrap().is_ok()));
    assert!(logs.iter().all(|log| log.recovery_point() == 1));
}

#[test]
fn a_pass_over_many_segments_has_few_files_open_at_a_time() {
    let (dir, disk, most) = counting();
    let dir = dir.path().join("log");
    std::fs::create_dir(&dir).unwrap();
    let config = LogConfig { segment_bytes: 500, ..LogConfig::default() };
    let log = Arc::new(Log::open(&disk, &dir, config, &Start::default()).unwrap());
    let append_some = |count: i64| {
        let end = log.end_offset() + count;
        while log.end_offset() < end {
            append(&log, 400).unwrap();
        }
        disk.sync_dir(&dir).unwrap();
        most.store(0, Ordering::Relaxed);
    };
    append_some(420);
    let ((all, done), (some, sooner)) = (request(&log, 420), request(&log, 10));
    pass(vec![all, some], &mut Costs::default());
    assert!((100..2 * FILES_AT_ONCE).contains(&most.load(Ordering::Relaxed)), "{most:?}");
    assert!([done, sooner].iter().all(|outcome| outcome.try_recv().unwrap().is_ok()));
    assert_eq!((log.recovery_point(), log.recovery_checkpoint()), (420, 419));
    log.release_idle(0);
    assert!(open_below(&dir) < 5, "{} files are open", open_below(&dir));
    append_some(200);
    log.release_idle(1);
    log.flush().unwrap();
    assert!(open_below(&dir) < 5, "nobody reads, but {} files stay open", open_below(&dir));
    assert_eq!(log.recovery_point(), 620);
    assert!((100..2 * FILES_AT_ONCE).contains(&most.load(Ordering::Relaxed)), "{most:?}");
}

/// A partition directory may be a symbolic link to another file system: `syncfs` of ours does not reach it.
#[test]
fn a_log_on_another_file_system_is_synced_by_its_files_and_not_mapped() {
    let watched = Watched::new();
    let other = tempfile::tempdir_in("/dev/shm").unwrap();
    if !watched.disk.is_elsewhere(other.path()) {
        eprintln!("/dev/shm is no other file system here");
        return;
    }
    let far = watched.dir.path().join("far-0");
    std::os::unix::fs::symlink(other.path(), &far).unwrap();
    let start = Start { clean: true, ..Start::default() };
    let far = Arc::new(Log::open(&watched.disk, &far, LogConfig::default(), &start).unwrap());
    let near: Vec<_> = (0..5).map(|n| watched.log(&format!("near-{n}"), 1)).collect();
    assert!(far.is_elsewhere() && near.iter().all(|log| !log.is_elsewhere()));
    let (mut requests, mut outcomes) = (Vec::new(), Vec::new());
    for log in near.iter().chain([&far]) {
        append(log, 10).unwrap();
        let (request, outcome) = request(log, 1);
        requests.push(request);
        outcomes.push(outcome);
    }
    // Nobody would sync so many files one by one.
    pass(requests, &mut known(1_000_000, 1));
    assert!(outcomes.iter().all(|outcome| outcome.try_recv().unwrap().is_ok()));
    let synced = watched.synced();
    for name in ["far-0/00000000000000000000.log", "near-3/00000000000000000000.log"] {
        assert!(synced.iter().any(|path| path == name), "{name}: {synced:?}");
    }
    for _ in 0..50 {
        append(&far, 10_000).unwrap();
    }
    assert_eq!(std::fs::metadata(far.dir().join("00000000000000000000.log")).unwrap().len(), far.size());
}
