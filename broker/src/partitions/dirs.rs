//! The data directories of the partitions: where new logs go, which directories have failed, checkpoints and marks.

use super::Partitions;
use crate::controller::StorageFailure;
use milena_storage::checkpoint::Offsets;
use milena_storage::error::{Error, Result};
use milena_storage::log::Log;
use milena_storage::log_dir::{LogDir, Moment};
use milena_storage::log_dirs::LogDirs;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use uuid::Uuid;

/// Partitions that may be given a directory before they are there (AlterReplicaLogDirs); Kafka has no bound.
const PREFERRED_MAX: usize = 10_000;
/// A stop brings so many logs to the device file by file; with more of them `syncfs` is quicker, though it writes what
/// others have written to the file system, too.
const SYNCED_ALONE_MAX: usize = 64;

/// The data directories. Those that could not be used at the start are known by their paths alone.
#[derive(Debug)]
pub(super) struct Dirs {
    pub(super) online: Vec<LogDir>,
    offline: Vec<PathBuf>,
    metadata_only: Option<LogDir>,
    metadata_root: PathBuf,
    /// Logs in each, copies that are to take the place of another included.
    logs: Vec<AtomicUsize>,
    /// Those whose failure was taken note of.
    failed: Vec<AtomicBool>,
    preferred: Mutex<HashMap<(String, i32), usize>>,
}

/// What a path in a request stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// A directory that serves.
    Online(usize),
    /// One that is configured and has failed.
    Offline,
    /// None of ours.
    Unknown,
}

impl From<LogDirs> for Dirs {
    fn from(dirs: LogDirs) -> Self {
        let LogDirs { online, offline, metadata_only, metadata_root } = dirs;
        Self {
            logs: online.iter().map(|_| AtomicUsize::new(0)).collect(),
            failed: online.iter().map(|_| AtomicBool::new(false)).collect(),
            online,
            offline,
            metadata_only,
            metadata_root,
            preferred: Mutex::default(),
        }
    }
}

impl Dirs {
    /// The directory that a log is in.
    pub(super) fn of(&self, log: &Log) -> Option<usize> {
        self.online.iter().position(|dir| dir.disk().is_same_as(log.disk()))
    }

    /// The directory of this id, if it serves.
    pub(super) fn by_id(&self, id: Uuid) -> Option<usize> {
        self.online.iter().position(|dir| dir.identity().directory_id == id && !dir.disk().is_offline())
    }

    /// Where the directory of this id was at the start; where it should have been, if it was not.
    pub(super) fn root_of(&self, id: Uuid) -> PathBuf {
        let known = self.online.iter().find(|dir| dir.identity().directory_id == id);
        known.map_or_else(|| self.metadata_root.clone(), |dir| dir.disk().root().to_path_buf())
    }

    pub(super) fn id(&self, at: usize) -> Uuid {
        self.online[at].identity().directory_id
    }

    /// Whether any directory does not serve.
    pub(super) fn some_offline(&self) -> bool {
        !self.offline.is_empty() || self.online.iter().any(|dir| dir.disk().is_offline())
    }

    /// Notes that a log is in a directory.
    pub(super) fn add(&self, at: usize) {
        self.logs[at].fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that a log has left a directory.
    pub(super) fn subtract(&self, at: usize) {
        self.logs[at].fetch_sub(1, Ordering::Relaxed);
    }

    /// Directories for so many new partitions of a topic: each goes where the fewest logs are
    /// (`LogManager.nextLogDirs`), or where somebody wants it.
    pub(super) fn place(&self, topic: &str, first: i32, count: usize) -> Vec<usize> {
        let mut open: Vec<(usize, usize)> = (0..self.online.len())
            .filter(|at| !self.online[*at].disk().is_offline())
            .map(|at| (self.logs[at].load(Ordering::Relaxed), at))
            .collect();
        let preferred = self.preferred.lock();
        let mut place = |index: i32| {
            let wanted = match preferred.is_empty() {
                true => None,
                false => preferred.get(&(topic.to_owned(), index)).copied(),
            };
            let wanted = wanted.and_then(|wanted| open.iter().position(|(_, at)| *at == wanted));
            let fewest = || (0..open.len()).min_by_key(|i| open[*i]);
            // Without a directory left the broker is about to end.
            let Some(chosen) = wanted.or_else(fewest) else { return 0 };
            open[chosen].0 += 1;
            open[chosen].1
        };
        (first..).take(count).map(&mut place).collect()
    }

    /// Wants a partition that is not there yet in a directory.
    pub(super) fn prefer(&self, topic: &str, index: i32, at: usize) {
        let mut preferred = self.preferred.lock();
        if preferred.len() < PREFERRED_MAX {
            preferred.insert((topic.to_owned(), index), at);
        }
    }

    /// The wish is fulfilled.
    pub(super) fn forget_preferred(&self, topic: &str, index: i32) {
        let mut preferred = self.preferred.lock();
        if !preferred.is_empty() {
            preferred.remove(&(topic.to_owned(), index));
        }
    }

    /// The directory that a client names by its absolute path.
    pub(super) fn named(&self, path: &str) -> Named {
        let is = |root: &Path| absolute(root).as_os_str() == path;
        match self.online.iter().position(|dir| is(dir.disk().root())) {
            Some(at) if self.online[at].disk().is_offline() => Named::Offline,
            Some(at) => Named::Online(at),
            None if self.offline.iter().any(|root| is(root)) => Named::Offline,
            None => Named::Unknown,
        }
    }

    /// Takes all directories into use; one that cannot be is offline, unless it holds the metadata.
    pub(super) fn begin(&self) -> std::result::Result<(), StorageFailure> {
        for dir in self.all() {
            self.or_fail(dir, dir.begin())?;
        }
        Ok(())
    }

    /// Takes a directory offline in which something failed at the start. The metadata directory must not fail.
    pub(super) fn or_fail<T>(&self, dir: &LogDir, done: Result<T>) -> Result<Option<T>> {
        match done {
            Ok(done) => Ok(Some(done)),
            Err(error @ Error::Io { .. })
                if dir.disk().root() != self.metadata_root && !error.is_shortage() =>
            {
                dir.disk().poison(&error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    fn all(&self) -> impl Iterator<Item = &LogDir> {
        self.online.iter().chain(&self.metadata_only)
    }

    /// The directories that have failed since the last call, and why the broker cannot go on, if it cannot.
    fn newly_failed(&self) -> (Vec<usize>, Option<String>) {
        let failed = |at: &usize| {
            self.online[*at].disk().is_offline() && !self.failed[*at].swap(true, Ordering::Relaxed)
        };
        let new: Vec<usize> = (0..self.online.len()).filter(failed).collect();
        let root = |dir: &LogDir| dir.disk().root() == self.metadata_root && dir.disk().is_offline();
        let fatal = if self.all().any(root) {
            Some(format!("the metadata directory {} has failed", self.metadata_root.display()))
        } else if self.online.iter().all(|dir| dir.disk().is_offline()) {
            Some("all directories in log.dirs have failed".to_owned())
        } else {
            None
        };
        (new, fatal)
    }
}

/// The path as clients know it.
pub(super) fn absolute(root: &Path) -> PathBuf {
    std::path::absolute(root).unwrap_or_else(|_| root.to_path_buf())
}

impl Partitions {
    /// Looks for directories that have failed meanwhile, and lets those who wait for their partitions know. The text
    /// is why the broker cannot go on.
    pub(crate) fn check_dirs(&self) -> Option<String> {
        let (failed, fatal) = self.dirs.newly_failed();
        for at in failed {
            let mut count = 0;
            for partition in self.all().iter().filter(|p| self.dirs.of(&p.log()) == Some(at)) {
                count += 1;
                partition.wake_all();
            }
            self.end_moves_of(at);
            tracing::warn!(
                "{count} partitions are not served any more: log directory {} has failed",
                self.dirs.online[at].disk().root().display()
            );
        }
        fatal
    }

    /// Closes every log and waits until all is on the devices. A directory in which something fails stays without the
    /// mark of a clean stop.
    pub(crate) fn close(&self) {
        // Kafka would open them, and their logs were not closed.
        self.remove_doomed(i64::MAX);
        self.close_moves();
        let unclosed =
            self.all().into_iter().map(|partition| partition.log()).filter(|log| log.close().is_err());
        // On a full disk the first round has made room: a log that was written to gives back what it had reserved.
        for log in unclosed.collect::<Vec<_>>() {
            if let (Err(error), Some(at)) = (log.close(), self.dirs.of(&log)) {
                self.left_unclean(at, &error);
            }
        }
        for (at, dir) in self.dirs.online.iter().enumerate() {
            if let Err(error) = dir.disk().check_online().and_then(|()| self.sync_closed(at)) {
                self.left_unclean(at, &error);
            }
        }
        let unclean = self.unopened.lock().clone();
        for partition in self.all() {
            let log = partition.log();
            if self.dirs.of(&log).is_some_and(|at| !unclean.contains(&at)) {
                log.synced_by_caller();
            }
        }
    }

    fn sync_closed(&self, at: usize) -> Result<()> {
        let disk = self.dirs.online[at].disk();
        let logs = self.all().into_iter().map(|partition| partition.log());
        let touched: Vec<_> = logs.filter(|log| self.dirs.of(log) == Some(at) && log.awaits_sync()).collect();
        let whole = touched.len() > SYNCED_ALONE_MAX && disk.syncs_as_a_whole();
        if whole {
            disk.sync_all()?;
        }
        touched.iter().filter(|log| !whole || log.is_elsewhere()).try_for_each(|log| log.sync_closed())
    }

    pub(super) fn left_unclean(&self, at: usize, error: &Error) {
        if self.unopened.lock().insert(at) {
            tracing::error!(
                "{error}; log directory {} is not stopped cleanly, the next start recovers it",
                self.dirs.online[at].disk().root().display()
            );
        }
    }

    /// Marks the directories as cleanly stopped, once all logs are closed and synced. A directory stays without the
    /// mark if a log in it is not in the state that the mark promises: whoever starts next must recover it.
    pub(crate) fn mark_clean(&self) -> Result<()> {
        let mut unclean: HashSet<usize> = self.unopened.lock().clone();
        unclean.extend(self.doomed.lock().iter().map(|(_, at, _)| *at));
        unclean.extend(self.unretired.lock().iter().map(|(_, at, _)| *at));
        let clean = |(at, dir): &(usize, &LogDir)| !unclean.contains(at) && !dir.disk().is_offline();
        let all = self.dirs.online.iter().enumerate().filter(clean);
        all.map(|(_, dir)| dir.mark_clean()).fold(Ok(()), Result::and)
    }

    /// The moment of each directory that was usable at the start: another one when a log was made in it.
    pub(crate) fn moments(&self) -> Vec<Moment> {
        self.dirs.online.iter().map(LogDir::moment).collect()
    }

    /// Writes the checkpoints of every directory that serves.
    pub(crate) fn save_checkpoints(&self) -> Result<()> {
        let since = self.moments();
        let mut offsets: Vec<(Offsets, Offsets, Offsets)> =
            self.dirs.online.iter().map(|_| Default::default()).collect();
        let mut note = |topic: &str, index: i32, log: &Log| {
            let Some(at) = self.dirs.of(log) else { return };
            let (recovery, starts, watermarks) = &mut offsets[at];
            let key = (topic.to_owned(), index);
            recovery.insert(key.clone(), log.recovery_checkpoint());
            watermarks.insert(key.clone(), log.end_offset());
            starts.extend(log.start_checkpoint().map(|start| (key, start)));
        };
        for partition in self.all() {
            note(&partition.topic, partition.index, &partition.log());
        }
        for moved in self.moves() {
            note(&moved.partition.topic, moved.partition.index, &moved.copy);
        }
        let online = self.dirs.online.iter().zip(since).zip(offsets);
        let online = online.filter(|((dir, _), _)| !dir.disk().is_offline());
        let saved = online.map(|((dir, since), (recovery, starts, watermarks))| {
            dir.save_checkpoints(since, recovery, starts, &watermarks).inspect_err(|error| {
                // A directory that takes no file any more is not there any more.
                if matches!(error, Error::Io { .. }) {
                    dir.disk().poison(error);
                }
            })
        });
        saved.fold(Ok(()), Result::and)
    }

    /// Writes up to where compaction has cleaned each log, where that has changed.
    pub(crate) fn save_cleaned(&self) -> Result<()> {
        let since = self.moments();
        let mut offsets = vec![Offsets::new(); self.dirs.online.len()];
        for partition in self.all() {
            let log = partition.log();
            if let (Some(offset), Some(at)) = (log.cleaned_up_to(), self.dirs.of(&log)) {
                offsets[at].insert((partition.topic.to_string(), partition.index), offset);
            }
        }
        let online = self.dirs.online.iter().zip(since).zip(offsets);
        let online = online.filter(|((dir, _), _)| !dir.disk().is_offline());
        online.map(|((dir, since), offsets)| dir.save_cleaned(since, offsets)).fold(Ok(()), Result::and)
    }

    /// Every configured directory by its absolute path, with `None` for one that does not serve.
    pub(crate) fn described(&self) -> Vec<(PathBuf, Option<&LogDir>)> {
        let online = self.dirs.online.iter();
        let online = online.map(|dir| (dir.disk().root(), Some(dir).filter(|d| !d.disk().is_offline())));
        let offline = self.dirs.offline.iter().map(|root| (root.as_path(), None));
        let mut all: Vec<_> = online.chain(offline).collect();
        let order = &self.config.load().log.dirs;
        all.sort_unstable_by_key(|(root, _)| order.iter().position(|dir| dir == root));
        all.into_iter().map(|(root, dir)| (absolute(root), dir)).collect()
    }

    /// Whether a directory or a log was not usable at some time: only then need anybody ask which partition is.
    pub(crate) fn some_offline(&self) -> bool {
        self.dirs.some_offline()
            || !self.unopened.lock().is_empty()
            || self.some_missing.load(Ordering::Relaxed)
    }
}
