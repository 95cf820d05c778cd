//! Chores in the background, one task for all of them: flush by time, idle logs, expired producers, retention, deleted
//! files and directories, metadata snapshots, checkpoints.

use super::Broker;
use crate::partition::Partition;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};

/// Chores are looked at this often.
const TICK: Duration = Duration::from_secs(1);
/// They are looked at no more often than this, however short `log.retention.check.interval.ms` is.
const TICK_MIN: Duration = Duration::from_millis(50);
/// Recovery points move this often, so that a start after a crash reads little.
const CHECKPOINT: Duration = Duration::from_secs(5);

/// When the rarer chores are due.
struct Calendar {
    checkpoint: Instant,
    expire: Instant,
    /// `producer.id.expiration.check.interval.ms`
    expire_every: Duration,
    retain: Instant,
    /// `log.retention.check.interval.ms`
    retain_every: Duration,
}

/// What is due in one round.
struct Due {
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
            checkpoint: pass(&mut self.checkpoint, CHECKPOINT),
            expire: pass(&mut self.expire, self.expire_every),
            retain: pass(&mut self.retain, self.retain_every),
        }
    }
}

/// Runs until the task is aborted.
pub(super) async fn run(broker: Arc<Broker>) {
    let log = &broker.config.log;
    let expire_every = broker.config.transaction.producer_id_expiration_check_interval;
    let start = Instant::now();
    let mut calendar = Calendar {
        checkpoint: start + CHECKPOINT,
        expire: start + expire_every,
        expire_every,
        retain: start + log.initial_task_delay,
        retain_every: log.retention_check_interval,
    };
    let mut ticks = tokio::time::interval(TICK.min(log.retention_check_interval).max(TICK_MIN));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut saved = Vec::new();
    loop {
        ticks.tick().await;
        let due = calendar.due(Instant::now());
        tokio::task::block_in_place(|| chores(&broker, &due, &mut saved));
    }
}

fn chores(broker: &Broker, due: &Due, saved: &mut Vec<(i64, i64)>) {
    let now_ms = broker.clock.now_ms();
    let partitions = broker.partitions.all();
    for partition in &partitions {
        let log = &partition.log();
        log.flush_overdue(now_ms);
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
    broker.partitions.remove_doomed(now_ms);
    broker.controller.keep_snapshots();
    if let Some(reason) = broker.partitions.check_dirs() {
        broker.failure.send_replace(Some(reason));
    }
    if due.checkpoint {
        let points: Vec<_> =
            partitions.iter().map(|p| (p.log().recovery_checkpoint(), p.log().start_offset())).collect();
        if points != *saved {
            match broker.partitions.save_checkpoints() {
                Ok(()) => *saved = points,
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
