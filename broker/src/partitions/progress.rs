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
}

impl Partitions {
    /// Speaks of the progress until it is at its end.
    pub(super) fn report(&self, progress: &Progress, jobs: &[Job]) {
        // Asked for only when it takes long: it looks into every directory.
        let mut bytes = None;
        let mut finished = progress.finished.lock();
        while !*finished {
            if !self.end_within_a_line(progress, &mut finished) {
                let bytes: u64 = *bytes.get_or_insert_with(|| self.unscanned(jobs));
                let scanned: u64 = self.dirs.online.iter().map(|dir| dir.disk().scanned()).sum();
                tracing::info!(
                    "recovering logs after a stop that was not clean: {} of {} open, {} MiB left to read",
                    progress.opened.load(Ordering::Relaxed),
                    progress.total,
                    bytes.saturating_sub(scanned) >> 20
                );
            }
        }
    }

    fn end_within_a_line(
        &self,
        progress: &Progress,
        finished: &mut parking_lot::MutexGuard<'_, bool>,
    ) -> bool {
        !progress.end.wait_for(finished, LINE).timed_out()
    }

    fn unscanned(&self, jobs: &[Job]) -> u64 {
        let found = jobs.iter().filter_map(|job| Some((job, job.found?)));
        found
            .map(|(job, at)| self.dirs.online[at].unscanned(&job.topic.name, job.index as i32).unwrap_or(0))
            .sum()
    }
}
