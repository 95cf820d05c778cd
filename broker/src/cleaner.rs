//! Compaction in the background: which log is next, how fast, and what was done (Kafka: `LogCleaner`,
//! `LogCleanerManager`).
//!
//! One task looks, every `log.cleaner.backoff.ms`, for the compacted log with the largest share of dirty bytes. A pass
//! runs on a blocking thread of its own, `log.cleaner.threads` of them at a time, and is followed by the next one at once
//! as long as there is something to do. Between passes there is no thread and no memory, and a look costs a few loads
//! a partition. All settings are read anew at each look, the rate during a pass, too.

use crate::config::CleanerConfig;
use crate::panics::survive;
use crate::partition::{CleaningFailure, Partition};
use crate::partitions::Partitions;
use crate::throttle::Throttle;
use milena_storage::error::Error;
use milena_storage::log::{Cleanable, Cleaned, CleanerMemory};
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Looks are no closer together, however short `log.cleaner.backoff.ms` is.
const BACKOFF_MIN: Duration = Duration::from_millis(10);
/// A log with records that cannot be read is tried again after this long, or when it begins elsewhere, in milliseconds.
const DAMAGED_MS: i64 = 3_600_000;
/// One for which there was no room, or no descriptor; the others get their turn meanwhile.
const SHORT_MS: i64 = 60_000;
/// The most that one map of keys may take, as in Kafka.
const MAP_BYTES_MAX: usize = i32::MAX as usize;

/// Compacts the logs of this broker.
#[derive(Debug)]
pub(crate) struct Cleaner {
    partitions: Arc<Partitions>,
    throttle: Throttle,
    stopping: AtomicBool,
    /// Passes that are running.
    running: Mutex<usize>,
    ended: Condvar,
}

/// A log that is to be cleaned; its partition is marked as being cleaned.
#[derive(Debug)]
struct Work {
    partition: Arc<Partition>,
    cleanable: Cleanable,
}

impl Cleaner {
    /// Compacts these partitions, once [`Cleaner::run`] is polled.
    pub(crate) fn new(partitions: Arc<Partitions>) -> Self {
        Self {
            partitions,
            throttle: Throttle::default(),
            stopping: AtomicBool::new(false),
            running: Mutex::default(),
            ended: Condvar::new(),
        }
    }

    /// Runs until the task is aborted, or [`Cleaner::stop`].
    pub(crate) async fn run(self: Arc<Self>) {
        let mut passes = JoinSet::new();
        while !self.stopping.load(Ordering::Acquire) {
            let settings = self.settings();
            while settings.enable && passes.len() < settings.threads {
                let found = tokio::task::block_in_place(|| survive("the cleaner", || self.filthiest()));
                let Some(work) = found.flatten() else { break };
                let own = self.clone();
                passes.spawn_blocking(move || survive("the cleaner", || own.clean(&work)).unwrap_or(false));
            }
            let backoff = settings.backoff.max(BACKOFF_MIN);
            tokio::select! {
                Some(ended) = passes.join_next() => {
                    if !matches!(ended, Ok(true)) {
                        tokio::time::sleep(backoff).await;
                    }
                }
                () = tokio::time::sleep(backoff) => {}
            }
        }
    }

    /// Ends the passes that are running, and waits for them: what they have replaced stays, the rest comes to nothing.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        let mut running = self.running.lock();
        while *running > 0 {
            self.ended.wait(&mut running);
        }
    }

    fn settings(&self) -> CleanerConfig {
        self.partitions.config().log.cleaner.clone()
    }

    /// The log that is most worth a pass, if there is one.
    fn filthiest(&self) -> Option<Work> {
        let (now_ms, steady_ms) = (self.partitions.now_ms(), self.partitions.steady_ms());
        let mut best: Option<Work> = None;
        let moves = self.partitions.moves();
        // A tombstone or marker that goes before it was copied would leave in the copy what it has ended (Kafka waits, too).
        let moves_away =
            |partition: &Arc<Partition>| moves.iter().any(|moved| Arc::ptr_eq(&moved.partition, partition));
        for partition in self.partitions.all() {
            if !is_ready(&partition, steady_ms)
                || partition.is_deleted()
                || partition.is_offline()
                || moves_away(&partition)
            {
                continue;
            }
            let cleanable = match partition.log().cleanable(now_ms) {
                Ok(Some(cleanable)) => cleanable,
                Ok(None) => continue,
                Err(error) => {
                    self.failed(&partition, &error);
                    continue;
                }
            };
            let due = cleanable.is_overdue && cleanable.cleanable_bytes > 0
                || cleanable.ratio() > partition.log().config().min_cleanable_dirty_ratio;
            if due && best.as_ref().is_none_or(|best| cleanable.ratio() > best.cleanable.ratio()) {
                best = Some(Work { partition, cleanable });
            }
        }
        let work = best?;
        work.partition.cleaning.lock().is_running = true;
        *self.running.lock() += 1;
        Some(work)
    }

    /// One pass; whether the next look need not wait.
    fn clean(&self, work: &Work) -> bool {
        let _end = End(self, &work.partition);
        let settings = self.settings();
        let threads = settings.threads.max(1);
        let memory = CleanerMemory {
            map_bytes: (settings.dedupe_buffer_bytes / threads).min(MAP_BYTES_MAX),
            load_factor: settings.load_factor,
            io_bytes: settings.io_buffer_bytes / threads,
        };
        let begin = Instant::now();
        let log = Arc::clone(&work.partition.log());
        let rate = || self.partitions.config().log.cleaner.io_max_bytes_per_second;
        let mut watch = |bytes| {
            self.throttle.wait(bytes, rate, || self.stopping.load(Ordering::Acquire) || log.is_stopping());
            !self.stopping.load(Ordering::Acquire)
        };
        if log.cleaned_up_to().is_none() {
            // Before the first gap: a start must not take it for lost records, whatever the topic is by then.
            log.set_cleaned_up_to(work.cleanable.first_dirty);
            if let Err(error) = self.partitions.save_cleaned() {
                log.set_cleaned_up_to(-1);
                self.failed(&work.partition, &error);
                return false;
            }
        }
        match log.clean(&work.cleanable, &memory, self.partitions.now_ms(), &mut watch) {
            Ok(cleaned) => {
                work.partition.cleaning.lock().failed = None;
                report(&work.partition, &cleaned, begin.elapsed());
                if let Err(error) = self.partitions.save_cleaned() {
                    tracing::warn!("{error}; after a restart some clean records count as dirty");
                }
                true
            }
            Err(error) => {
                self.failed(&work.partition, &error);
                false
            }
        }
    }

    /// Takes note of a pass that came to nothing. What is the same as last time is not said again.
    fn failed(&self, partition: &Partition, error: &Error) {
        let (topic, index) = (&partition.topic, partition.index);
        let is_short = matches!(error, Error::Full(_)) || error.is_shortage();
        match error {
            // The topic was deleted, the broker stops, or retention came first.
            Error::Closed => return tracing::debug!("{topic}-{index}: compaction was ended"),
            // Its directory was reported when it went offline.
            Error::Offline(_) => return,
            _ if partition.is_deleted() || partition.is_offline() => return,
            _ => {}
        }
        let (reason, delay_ms) = (error.to_string(), if is_short { SHORT_MS } else { DAMAGED_MS });
        let mut cleaning = partition.cleaning.lock();
        let is_known = cleaning.failed.as_ref().is_some_and(|failed| failed.reason == reason);
        match is_short {
            _ if is_known => tracing::debug!("{topic}-{index}: cannot be compacted: {reason}"),
            true => tracing::warn!("{topic}-{index}: cannot be compacted now: {reason}"),
            false => tracing::error!(
                "{topic}-{index} is not compacted any more, and is tried again now and then: {reason}"
            ),
        }
        let again_ms = self.partitions.steady_ms().saturating_add(delay_ms);
        let log_start = partition.log().start_offset();
        cleaning.failed = Some(CleaningFailure { again_ms, log_start, reason });
    }
}

/// Whether a partition may be looked at: nobody is at it, and what made a pass come to nothing may be over.
fn is_ready(partition: &Partition, steady_ms: i64) -> bool {
    let cleaning = partition.cleaning.lock();
    let is_over = |failed: &CleaningFailure| {
        let may_be_gone = failed.again_ms < i64::MAX && partition.log().start_offset() != failed.log_start;
        failed.again_ms <= steady_ms || may_be_gone
    };
    !cleaning.is_running && cleaning.failed.as_ref().is_none_or(is_over)
}

/// Ends a pass, whatever became of it.
struct End<'a>(&'a Cleaner, &'a Partition);

impl Drop for End<'_> {
    fn drop(&mut self) {
        let mut cleaning = self.1.cleaning.lock();
        cleaning.is_running = false;
        if std::thread::panicking() {
            // A panic is a defect, and would come again.
            let reason = "a panic".to_owned();
            cleaning.failed = Some(CleaningFailure { again_ms: i64::MAX, log_start: 0, reason });
            tracing::error!(
                "{}-{} is not compacted any more until the broker is restarted",
                self.1.topic,
                self.1.index
            );
        }
        drop(cleaning);
        *self.0.running.lock() -= 1;
        self.0.ended.notify_all();
    }
}

fn report(partition: &Partition, cleaned: &Cleaned, took: Duration) {
    tracing::info!(
        "{}-{}: compacted offsets {} to {}: {} records of {} stay, {} bytes of {}, {} keys; {:.1} s",
        partition.topic,
        partition.index,
        cleaned.from,
        cleaned.upto,
        cleaned.records_after,
        cleaned.records_before,
        cleaned.bytes_after,
        cleaned.bytes_before,
        cleaned.keys,
        took.as_secs_f64()
    );
    if cleaned.keyless > 0 {
        tracing::warn!(
            "{}-{}: {} records without a key were dropped",
            partition.topic,
            partition.index,
            cleaned.keyless
        );
    }
}

#[cfg(test)]
mod tests;
