//! What an operator reads while logs are recovered: a line a second, from the second second on.

use super::Partitions;
use super::start::Job;
use parking_lot::{Condvar, Mutex};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A recovery that is done within this time is not spoken of, and then again after it.
const LINE: Duration = Duration::from_secs(1);

/// How many logs are open.
#[derive(Debug)]
pub(super) struct Progress {
    total: usize,
    opened: AtomicUsize,
    finished: Mutex<bool>,
    end: Condvar,
}

impl Progress {
    pub(super) fn new(total: usize) -> Self {
        Self { total, opened: AtomicUsize::new(0), finished: Mutex::new(total == 0), end: Condvar::new() }
    }

    /// Counts a log that is open, or cannot be opened.
    pub(super) fn count(&self) {
        if self.opened.fetch_add(1, Ordering::Relaxed) + 1 == self.total {
            *self.finished.lock() = true;
            self.end.notify_all();
        }
    }

    /// Has a line said every so often until the end comes. `left`: the bytes that are still to be read, asked for only when
    /// there is something to say.
    fn report(&self, every: Duration, mut left: impl FnMut() -> u64, mut say: impl FnMut(String)) {
        let mut finished = self.finished.lock();
        while !*finished {
            if self.end.wait_for(&mut finished, every).timed_out() {
                say(format!(
                    "recovering logs after a stop that was not clean: {} of {} open, {} MiB left to read",
                    self.opened.load(Ordering::Relaxed),
                    self.total,
                    left() >> 20
                ));
            }
        }
    }
}

impl Partitions {
    /// Speaks of the progress until it is at its end.
    pub(super) fn report(&self, progress: &Progress, jobs: &[Job]) {
        // It looks into every directory.
        let mut unscanned = None;
        let left = || {
            let unscanned = *unscanned.get_or_insert_with(|| self.unscanned(jobs));
            let scanned: u64 = self.dirs.online.iter().map(|dir| dir.disk().scanned()).sum();
            unscanned.saturating_sub(scanned)
        };
        progress.report(LINE, left, |line| tracing::info!("{line}"));
    }

    fn unscanned(&self, jobs: &[Job]) -> u64 {
        let found = jobs.iter().filter_map(|job| Some((job, job.found?)));
        found
            .map(|(job, at)| self.dirs.online[at].unscanned(&job.topic.name, job.index as i32).unwrap_or(0))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::Progress;
    use std::sync::mpsc;
    use std::time::Duration;

    #[test]
    fn a_long_recovery_is_spoken_of_until_its_end() {
        let (progress, (said, lines)) = (Progress::new(2), mpsc::channel());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut left = 7 << 20;
                let less = || {
                    left = u64::max(left, 2 << 20) - (1 << 20);
                    left
                };
                progress.report(Duration::from_millis(1), less, |line| said.send(line).unwrap());
            });
            let first = "recovering logs after a stop that was not clean: 0 of 2 open, 6 MiB left to read";
            assert_eq!(lines.recv().unwrap(), first);
            progress.count();
            assert!(lines.iter().take(10_000).any(|line| line.contains(": 1 of 2 open, ")));
            progress.count();
        });
    }
}
