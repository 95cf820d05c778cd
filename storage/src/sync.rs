//! Group commit: one sync serves everybody who waits for the same device.
//!
//! ```text
//! append -> Log::flush_later -> queue ─┐
//! append -> Log::flush_later -> queue ─┤   worker: takes all that waits, syncs once, moves the recovery points, answers
//! append -> Log::flush_later -> queue ─┘           meanwhile appends go on, and the queue fills for the next round
//! ```
//! **Invariant:** a pass looks at the ends of its logs before it syncs, and whoever waits was appended before he queued;
//! so a pass that began after a request covers it. A pass takes no lock of a log while it syncs.
//!
//! A pass with several files may be cheaper by one `syncfs` than by an `fdatasync` of each, because it commits the
//! journal and empties the cache of the device once; but it also writes what others have written to the file system.
//! [`Costs`] knows what both took lately, and takes the cheaper one.
//!
//! The thread is there while there is something to do, and for [`LINGER`] after that.

use crate::error::{Error, Result};
use crate::file::{Disk, WholeSync};
use crate::log::{FlushPlan, Log};
use parking_lot::{Condvar, Mutex};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// A worker that has nothing to do ends after this long: far more than a new one costs, which is less than one sync.
const LINGER: Duration = Duration::from_secs(1);
/// With this many files `syncfs` is tried before anything is known of its cost. On ext4 with a virtual disk it took
/// less than an `fdatasync` of each from 2 or 3 files on.
const MANY: usize = 3;

/// Files that a pass opens before it syncs them: with fewer than these it takes the plan of another log, which has as many
/// at most.
const FILES_AT_ONCE: usize = 256;

/// What is called when a request is done, on the worker: it must not block.
pub(crate) type Done = Box<dyn FnOnce(Result<()>) + Send>;

/// A log that wants everything below an offset on the device.
struct Request {
    log: Arc<Log>,
    upto: i64,
    done: Option<Done>,
}

/// Syncs one device.
#[derive(Default)]
pub(crate) struct Syncer {
    queue: Mutex<Queue>,
    filled: Condvar,
}

#[derive(Default)]
struct Queue {
    requests: Vec<Request>,
    /// A worker is there, and looks into the queue before it ends.
    has_worker: bool,
    /// What syncs took, from one worker to the next.
    costs: Costs,
}

impl std::fmt::Debug for Syncer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Syncer").field("waiting", &self.queue.lock().requests.len()).finish_non_exhaustive()
    }
}

impl Syncer {
    /// The one of a device (`st_dev`), which all directories of the process share; one of its own for an unknown device.
    pub(crate) fn of_device(device: Option<u64>) -> Arc<Self> {
        static ALL: LazyLock<Mutex<HashMap<u64, Weak<Syncer>>>> = LazyLock::new(Mutex::default);
        let Some(device) = device else { return Arc::default() };
        let mut all = ALL.lock();
        if let Some(known) = all.get(&device).and_then(Weak::upgrade) {
            return known;
        }
        all.retain(|_, syncer| syncer.strong_count() > 0);
        let new = Arc::new(Self::default());
        all.insert(device, Arc::downgrade(&new));
        new
    }

    /// Has everything of `log` below `upto` synced, with what else waits by then.
    pub(crate) fn request(self: &Arc<Self>, log: Arc<Log>, upto: i64, done: Option<Done>) {
        let mut queue = self.queue.lock();
        queue.requests.push(Request { log, upto, done });
        if queue.has_worker {
            drop(queue);
            self.filled.notify_one();
            return;
        }
        queue.has_worker = true;
        drop(queue);
        let own = self.clone();
        let spawned = thread::Builder::new().name("milena-sync".into()).spawn(move || own.work());
        if let Err(error) = spawned {
            tracing::warn!("cannot start a thread for syncs: {error}; syncing where it is asked for");
            let waiting = {
                let mut queue = self.queue.lock();
                queue.has_worker = false;
                std::mem::take(&mut queue.requests)
            };
            survive(waiting, |waiting| pass(waiting, &mut Costs::default()));
        }
    }

    fn work(&self) {
        let mut costs = std::mem::take(&mut self.queue.lock().costs);
        loop {
            let waiting = {
                let mut queue = self.queue.lock();
                if queue.requests.is_empty() {
                    let timed_out = self.filled.wait_for(&mut queue, LINGER).timed_out();
                    if timed_out && queue.requests.is_empty() {
                        (queue.has_worker, queue.costs) = (false, costs);
                        return;
                    }
                }
                std::mem::take(&mut queue.requests)
            };
            survive(waiting, |waiting| pass(waiting, &mut costs));
        }
    }
}

/// Runs a pass that may panic, which is a defect: its directories are offline then, because nobody knows what was synced,
/// and the next requests are answered so. The worker stays.
fn survive(waiting: Vec<Request>, pass: impl FnOnce(Vec<Request>)) {
    let mut disks: Vec<Disk> = Vec::new();
    for request in &waiting {
        if !disks.iter().any(|disk| disk.is(request.log.disk())) {
            disks.push(request.log.disk().clone());
        }
    }
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| pass(waiting)));
    if ended.is_err() {
        for disk in disks {
            let source = std::io::Error::other("the thread that syncs has panicked");
            disk.poison(&Error::Io { op: "sync", path: disk.root().to_path_buf(), source });
        }
    }
}

/// What the requests of a pass want of one log.
struct Group {
    log: Arc<Log>,
    upto: i64,
    waiting: Vec<(i64, Done)>,
}

/// Brings all that is asked for to the device and answers.
fn pass(requests: Vec<Request>, costs: &mut Costs) {
    let mut groups: HashMap<*const Log, Group> = HashMap::new();
    for Request { log, upto, done } in requests {
        let group = groups.entry(Arc::as_ptr(&log)).or_insert_with(|| Group {
            log,
            upto: i64::MIN,
            waiting: Vec::new(),
        });
        group.upto = group.upto.max(upto);
        group.waiting.extend(done.map(|done| (upto, done)));
    }
    let (mut groups, mut done): (Vec<Group>, _) = (groups.into_values().collect(), Vec::new());
    // In portions, because each file is open from its plan to its sync.
    loop {
        let planned = plan_some(&mut groups);
        if planned.is_empty() {
            break;
        }
        let synced = sync(&planned, costs);
        for ((group, plan), synced) in planned.into_iter().zip(synced) {
            if synced {
                group.log.flushed(&plan);
            }
            if synced && plan.is_part() {
                groups.push(group);
            } else {
                done.push(group);
            }
        }
    }
    // All of them before anybody is answered: who was answered finds what was asked for before him done as well.
    for Group { log, waiting, .. } in done {
        let reached = log.recovery_point();
        answer(waiting, |upto| match upto <= reached {
            true => Ok(()),
            false => Err(Error::Offline(log.disk().root().to_path_buf())),
        });
    }
}

/// What is to be synced of the next groups, until it is many files; nothing when no group is left. Groups of which there is
/// nothing to sync are answered.
fn plan_some(groups: &mut Vec<Group>) -> Vec<(Group, FlushPlan)> {
    let (mut planned, mut files) = (Vec::new(), 0);
    while files < FILES_AT_ONCE
        && let Some(group) = groups.pop()
    {
        match group.log.plan_flush(group.upto) {
            Ok(Some(plan)) => {
                files += plan.len();
                planned.push((group, plan));
            }
            Ok(None) => answer(group.waiting, |_| Ok(())),
            Err(Error::Closed) => answer(group.waiting, |_| Err(Error::Closed)),
            Err(error) => {
                tracing::debug!("cannot sync {}: {error}", group.log.dir().display());
                let offline = || Error::Offline(group.log.disk().root().to_path_buf());
                answer(group.waiting, |_| Err(error.shortage().unwrap_or_else(offline)));
            }
        }
    }
    planned
}

fn answer(waiting: Vec<(i64, Done)>, outcome: impl Fn(i64) -> Result<()>) {
    for (upto, done) in waiting {
        done(outcome(upto));
    }
}

/// Syncs what is planned; says of each plan whether it is on the device. A failure has taken its directory offline.
fn sync(planned: &[(Group, FlushPlan)], costs: &mut Costs) -> Vec<bool> {
    let files: usize = planned.iter().map(|(_, plan)| plan.len()).sum();
    let mut disks: Vec<&Disk> = Vec::new();
    for (group, _) in planned {
        if !disks.iter().any(|disk| disk.is(group.log.disk())) {
            disks.push(group.log.disk());
        }
    }
    let whole = disks.first().map_or(WholeSync::Never, |disk| disk.whole_sync());
    let elsewhere = planned.iter().any(|(group, _)| group.log.is_elsewhere());
    let as_whole = whole != WholeSync::Never && !elsewhere && costs.prefers_whole(files);
    let began = Instant::now();
    let synced = if as_whole {
        let done = Disk::sync_together(&disks).and_then(|()| match (whole, planned.first()) {
            (WholeSync::ThenOneFile, Some((group, plan))) => plan.sync_one(group.log.disk()),
            _ => Ok(()),
        });
        vec![done.is_ok(); planned.len()]
    } else {
        let each = planned.iter().map(|(group, plan)| {
            let disk = group.log.disk();
            disk.check_online().and_then(|()| plan.sync(disk)).is_ok()
        });
        each.collect()
    };
    costs.note(as_whole, files, began.elapsed());
    synced
}

/// What syncs took lately, in nanoseconds.
#[derive(Debug, Default)]
struct Costs {
    /// `fdatasync` of one file.
    file: Option<f64>,
    /// `syncfs`.
    whole: Option<f64>,
}

impl Costs {
    fn prefers_whole(&self, files: usize) -> bool {
        match (self.file, self.whole) {
            _ if files < 2 => false,
            (Some(file), Some(whole)) => whole < file * files as f64,
            _ => files >= MANY,
        }
    }

    fn note(&mut self, as_whole: bool, files: usize, took: Duration) {
        let blend = |old: Option<f64>, new: f64| Some(old.map_or(new, |old| old * 0.75 + new * 0.25));
        let took = took.as_nanos() as f64;
        if as_whole {
            self.whole = blend(self.whole, took);
            self.file = self.file.or(Some(took / MANY as f64));
        } else if files > 0 {
            self.file = blend(self.file, took / files as f64);
            // What made the last `syncfs` long may be over: with time it is tried again.
            self.whole = self.whole.map(|whole| whole * 0.98);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
