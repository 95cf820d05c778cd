//! Chores in the background, one task for all of them: flush by time, idle logs, expired producers, retention, deleted
//! files and directories, metadata snapshots, checkpoints.

use super::Broker;
use crate::panics::survive;
use crate::partition::Partition;
use milena_storage::log_dir::Moment;
use std::sync::Arc;
use std::time::Duration;
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
    loop {
        ticks.tick().await;
        let due = calendar.due(Instant::now());
        tokio::task::block_in_place(|| survive("chores", || chores(&broker, &due, &mut saved)));
    }
}

fn chores(broker: &Broker, due: &Due, saved: &mut Saved) {
    let now_ms = broker.clock.now_ms();
    let made = broker.partitions.moments();
    let partitions = broker.partitions.all();
    for partition in &partitions {
        let log = &partition.log();
        if due.flush {
            log.flush_overdue(now_ms);
        }
        log.release_idle(now_ms);
        if due.checkpoint {
            log.flush_closed();
        }
        if due.expire {
            log.expire_producers(now_ms);
        }
        if due.retain {
            retain(partition, now_ms);
        }
        log.remove_doomed(now_ms);
    }
    broker.partitions.remove_doomed(broker.clock.steady_ms());
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
}

fn retain(partition: &Partition, now_ms: i64) {
    let (topic, index, log) = (&partition.topic, partition.index, &partition.log());
    match log.retain(now_ms) {
        Ok(done) if done.segments() == 0 => {}
        Ok(done) => tracing::info!(
            "{topic}-{index}: deleted {} segments of {} bytes ({} by retention.ms, {} by retention.bytes, {} below the \
             log start); it starts at offset {} now",
            done.segments(),
            done.bytes,
            done.by_time,
            done.by_size,
            done.below_start,
            log.start_offset()
        ),
        Err(error) => tracing::warn!("{topic}-{index}: old segments cannot be deleted: {error}"),
    }
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
