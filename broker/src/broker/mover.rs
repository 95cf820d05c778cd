//! The thread that moves partitions to other data directories: there only while there is something to move.

use super::Broker;
use crate::partitions::{Move, Step};
use crate::throttle::Throttle;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Sees to it that the moves that are under way go on.
pub(crate) fn start(broker: &Arc<Broker>) {
    if !broker.partitions.moves().is_empty() && !broker.moving.swap(true, Ordering::AcqRel) {
        let broker = broker.clone();
        tokio::task::spawn_blocking(move || run(&broker));
    }
}

fn run(broker: &Arc<Broker>) {
    let throttle = Throttle::default();
    let rate = || broker.controller.config().log.move_bytes_per_second;
    loop {
        let moves = broker.partitions.moves();
        if moves.is_empty() || broker.is_stopping() {
            broker.moving.store(false, Ordering::Release);
            // One that was begun a moment ago has found this thread still there.
            if broker.is_stopping() || broker.partitions.moves().is_empty() {
                return;
            }
            if broker.moving.swap(true, Ordering::AcqRel) {
                return;
            }
        }
        // One after the other in small pieces: a large partition does not hold up the small ones.
        for moved in moves {
            if broker.is_stopping() {
                break;
            }
            let step = broker.partitions.step_move(&moved);
            if let Step::Copied(bytes) = step {
                throttle.wait(bytes, rate, || broker.is_stopping());
            }
            if step == Step::CaughtUp && broker.partitions.flush_move(&moved) == Step::CaughtUp {
                finish(broker, &moved);
            }
        }
    }
}

/// The metadata log names the new directory before it serves: after a death in between, that is the one that counts.
fn finish(broker: &Broker, moved: &Move) {
    let partition = (moved.topic_id, moved.partition.index);
    let to = broker.partitions.destination(moved);
    let assigned = broker.controller.assign_directories(&[(partition.0, partition.1, to)]);
    if let Err(refusal) = &assigned {
        tracing::error!(
            "the directory of {}-{} cannot be recorded: {}",
            moved.partition.topic,
            moved.partition.index,
            refusal.message
        );
    }
    if assigned.is_ok() && broker.partitions.finish_move(moved) {
        return;
    }
    broker.partitions.end_move(moved);
    if let Some(actual) = broker.partitions.directory_of(&moved.partition) {
        // Where it stays; a topic that was deleted meanwhile has no record any more.
        let _ = broker.controller.assign_directories(&[(partition.0, partition.1, actual)]);
    }
}
