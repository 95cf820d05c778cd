//! Chores in the background, one task for all of them: flush by time, idle logs, expired producers, retention, deleted
//! files and directories, metadata snapshots, checkpoints. What removes runs on a thread of its own while there is something to
//! remove: a device may take its time for that, and `flush.ms` does not wait for it.

use super::Broker;
use crate::panics::survive;
use crate::partition::Partition;
use milena_storage::log::Retained;
use milena_storage::log_dir::Moment;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

/// Chores are looked at this often.
const TICK: Duration = Duration::from_secs(1);
/// They are looked at no more often than this, however short the intervals of the configuration are.
const TICK_MIN: Duration = Duration::from_millis(50);
/// Recovery points move and checkpoints are written this often, so that a start after a crash reads little; more often if
/// `log.flush.offset.checkpoint.interval.ms` or `log.flush.start.offset.checkpoint.interval.ms` say so.
const CHECKPOINT: Duration = Duration::from_secs(5);
/// What is longer than this counts as never.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// When the rarer chores are due.
struct Calendar {
    flush: Instant,
    flush_every: Duration,
    checkpoint: Instant,
    checkpoint_every: Duration,
    expire: Instant,
    /// `producer.id.expiration.check.interval.ms`
    expire_every: Duration,
    retain: Instant,
    /// `log.retention.check.interval.ms`
    retain_every: Duration,
}

/// What is due in one round.
struct Due {
    flush: bool,
    checkpoint: bool,
    expire: bool,
    retain: bool,
}

impl Calendar {
    fn due(&mut self, now: Instant) -> Due {
        let pass = |at: &mut Instant, every: Duration| {
            let due = now >= *at;
            if due {
                *at = now + every;
            }
            due
        };
        Due {
            flush: pass(&mut self.flush, self.flush_every),
            checkpoint: pass(&mut self.checkpoint, self.checkpoint_every),
            expire: pass(&mut self.expire, self.expire_every),
            retain: pass(&mut self.retain, self.retain_every),
        }
    }
}

/// How long logs are not looked at for `flush.ms`: `log.flush.scheduler.interval.ms`. Kafka leaves that at "never", and
/// then `flush.ms` of a topic does nothing; here it is looked at in every round.
fn flush_every(scheduler: Duration) -> Duration {
    if scheduler > DAY { Duration::ZERO } else { scheduler }
}

/// Whether a round looks for what need not be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Retention {
    Due,
    /// The last round had no descriptors for all of it.
    Again,
    Later,
}

/// What the checkpoints were written of: where logs were made, recovery points and log starts.
type Saved = (Vec<Moment>, Vec<(i64, i64)>);

/// Runs until the task is aborted. A chore that panics, which is a defect, is reported and tried again in the next round, as
/// by Kafka's scheduler: what has not been done is done later, and clients are served meanwhile.
pub(super) async fn run(broker: Arc<Broker>) {
    let log = &broker.config.log;
    let expire_every = broker.config.transaction.producer_id_expiration_check_interval;
    let checkpoint_every =
        CHECKPOINT.min(log.recovery_point_checkpoint_interval).min(log.start_offset_checkpoint_interval);
    let start = Instant::now();
    let mut calendar = Calendar {
        flush: start,
        flush_every: flush_every(log.flush_scheduler_interval),
        checkpoint: start + checkpoint_every,
        checkpoint_every,
        expire: start + expire_every,
        expire_every,
        retain: start + log.initial_task_delay,
        retain_every: log.retention_check_interval,
    };
    let shortest = log.retention_check_interval.min(log.flush_scheduler_interval).min(checkpoint_every);
    let mut ticks = tokio::time::interval(TICK.min(shortest).max(TICK_MIN));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut saved = Saved::default();
    let (mut removing, mut retention) = (None::<JoinHandle<bool>>, Retention::Later);
    loop {
        ticks.tick().await;
        let due = calendar.due(Instant::now());
        if removing.as_ref().is_some_and(JoinHandle::is_finished)
            && let Some(ended) = removing.take()
            && ended.await.unwrap_or(false)
            && retention == Retention::Later
        {
            retention = Retention::Again;
        }
        if due.retain {
            retention = Retention::Due;
        }
        let doomed = tokio::task::block_in_place(|| survive("chores", || chores(&broker, &due, &mut saved)));
        if removing.is_none() && (retention != Retention::Later || doomed == Some(true)) {
            let (broker, retention) = (broker.clone(), std::mem::replace(&mut retention, Retention::Later));
            let remove = move || survive("removals", || removals(&broker, retention)).unwrap_or(false);
            removing = Some(tokio::task::spawn_blocking(remove));
        }
    }
}

/// Retention, deleted files and directories; whether something is to be tried again in the next round.
fn removals(broker: &Broker, retention: Retention) -> bool {
    let mut again = false;
    for partition in broker.partitions.all().iter().filter(|partition| !partition.is_offline()) {
        if broker.is_stopping() {
            return false;
        }
        if retention != Retention::Later {
            again |= retain(partition, broker.clock.now_ms(), retention);
        }
        partition.log().remove_doomed(broker.clock.steady_ms());
    }
    broker.partitions.remove_doomed(broker.clock.steady_ms());
    again
}

/// Whether there is something to remove.
fn chores(broker: &Broker, due: &Due, saved: &mut Saved) -> bool {
    let (now_ms, steady_ms) = (broker.clock.now_ms(), broker.clock.steady_ms());
    let mut doomed = broker.partitions.has_doomed();
    let made = broker.partitions.moments();
    let partitions = broker.partitions.all();
    for partition in &partitions {
        let log = &partition.log();
        if due.flush {
            log.flush_overdue(steady_ms);
        }
        log.release_idle(steady_ms);
        if due.checkpoint {
            log.flush_closed();
        }
        if due.expire {
            log.expire_producers(now_ms);
        }
        doomed |= log.has_doomed();
    }
    broker.controller.keep_snapshots();
    if let Some(reason) = broker.partitions.check_dirs() {
        broker.failure.send_replace(Some(reason));
    }
    if due.checkpoint {
        let points: Vec<_> =
            partitions.iter().map(|p| (p.log().recovery_checkpoint(), p.log().start_offset())).collect();
        let now = (made, points);
        if now != *saved {
            match broker.partitions.save_checkpoints() {
                Ok(()) => *saved = now,
                Err(error) => tracing::warn!("{error}; the checkpoints are older than they could be"),
            }
        }
    }
    doomed
}

/// Removes what a partition need not keep, pass by pass; whether the rest waits for descriptors.
fn retain(partition: &Partition, now_ms: i64, retention: Retention) -> bool {
    let (topic, index, log) = (&partition.topic, partition.index, &partition.log());
    let mut all = Retained::default();
    let ended = loop {
        match log.retain(now_ms) {
            Ok(done) => {
                all += done;
                if !done.more {
                    break Ok(());
                }
            }
            Err(error) => break Err(error),
        }
    };
    if all.segments() > 0 {
        tracing::info!(
            "{topic}-{index}: deleted {} segments of {} bytes ({} by retention.ms, {} by retention.bytes, {} below the \
             log start); it starts at offset {} now",
            all.segments(),
            all.bytes,
            all.by_time,
            all.by_size,
            all.below_start,
            log.start_offset()
        );
    }
    let Err(error) = ended else { return false };
    let is_short = error.is_shortage();
    if retention == Retention::Due && !(is_short && all.segments() > 0) {
        tracing::warn!("{topic}-{index}: old segments cannot be deleted: {error}");
    }
    is_short
}

#[cfg(test)]
mod tests {
    use super::flush_every;
    use std::time::Duration;

    #[test]
    fn logs_are_looked_at_as_often_as_the_scheduler_is_told_to() {
        let ms = Duration::from_millis;
        for (set, found) in [(0, 0), (200, 200), (60_000, 60_000), (i64::MAX as u64, 0)] {
            assert_eq!(flush_every(ms(set)), ms(found), "{set} ms");
        }
    }
}
