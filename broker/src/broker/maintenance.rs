//! Chores in the background, one task for all of them: flush by time, idle logs, expired producers, deleted
//! directories, checkpoints.

use super::Broker;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};

/// Chores are looked at this often.
const TICK: Duration = Duration::from_secs(1);
/// Recovery points move this often, so that a start after a crash reads little.
const CHECKPOINT: Duration = Duration::from_secs(5);
/// Silent producers are looked for this often (Kafka: `producer.id.expiration.check.interval.ms`).
const EXPIRE: Duration = Duration::from_secs(600);

/// Runs until the task is aborted.
pub(super) async fn run(broker: Arc<Broker>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut checkpoint = Instant::now() + CHECKPOINT;
    let mut expire = Instant::now() + EXPIRE;
    let mut saved = Vec::new();
    loop {
        ticks.tick().await;
        let now = Instant::now();
        let (save, forget) = (now >= checkpoint, now >= expire);
        if save {
            checkpoint = now + CHECKPOINT;
        }
        if forget {
            expire = now + EXPIRE;
        }
        tokio::task::block_in_place(|| chores(&broker, save, forget, &mut saved));
    }
}

fn chores(broker: &Broker, save: bool, forget: bool, saved: &mut Vec<(i64, i64)>) {
    let now_ms = broker.clock.now_ms();
    let partitions = broker.partitions.all();
    for partition in &partitions {
        let log = &partition.log();
        log.flush_overdue(now_ms);
        log.release_idle(now_ms);
        if save {
            log.flush_closed();
        }
        if forget {
            log.expire_producers(now_ms);
        }
    }
    broker.partitions.remove_doomed(now_ms);
    if let Some(reason) = broker.partitions.check_dirs() {
        broker.failure.send_replace(Some(reason));
    }
    if save {
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
