//! Transactions through kills: every decision that was acknowledged holds, in its order, and nothing else is committed.

use super::{Persistent, RETRIABLE};
use crate::transactions::{Raw, committed};
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::{AddPartitionsToTxnRequest, EndTxnRequest, TransactionalId};
use milena_integration_tests::broker::Broker;
use milena_integration_tests::records::Batch;
use milena_integration_tests::requests::{PRODUCE, name, produce, text};
use std::sync::atomic::{AtomicBool, Ordering};

/// The decision before is still being written to the partitions.
const CONCURRENT_TRANSACTIONS: i16 = 51;
const BATCHES: usize = 3;

/// What was decided.
#[derive(Default)]
pub(super) struct Decisions {
    /// The values of all transactions whose commit was acknowledged.
    values: Vec<String>,
    /// Those of the one whose commit was not answered when everything stopped: all or none of them are there.
    open: Vec<String>,
    /// Transactions that ended, either way.
    pub(super) ended: usize,
}

/// Whether a request was done; retriable answers are for the next attempt, others end the test.
fn done(what: &str, error: i16) -> bool {
    assert!(error == 0 || error == CONCURRENT_TRANSACTIONS || RETRIABLE.contains(&error), "{what}: {error}");
    error == 0
}

/// Commits two of three transactions and aborts the third, until the others stop.
pub(super) fn decide(address: &str, topic: &str, producer: &Raw, stop: &AtomicBool) -> Decisions {
    let mut broker = Persistent { address, connection: None, stop };
    let mut decisions = Decisions::default();
    let (producer_id, epoch) = (producer.producer_id, producer.epoch);
    let id = || TransactionalId(text(&producer.id));
    let begin = AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(id())
        .with_v3_and_below_producer_id(producer_id.into())
        .with_v3_and_below_producer_epoch(epoch)
        .with_v3_and_below_topics(vec![
            AddPartitionsToTxnTopic::default().with_name(name(topic)).with_partitions(vec![0]),
        ]);
    let mut sequence = 0;
    for number in 0.. {
        let begun = broker.call(3, &begin, |r| {
            done("begin", r.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code)
        });
        if begun.is_none() || stop.load(Ordering::Relaxed) {
            break;
        }
        let values: Vec<String> = (0..BATCHES).map(|n| format!("{number}-{n}-{}", "x".repeat(900))).collect();
        for value in &values {
            let batch = Batch {
                producer_id,
                producer_epoch: epoch,
                base_sequence: sequence,
                attributes: 0x10,
                ..Batch::of([value])
            };
            let request = produce(topic, 0, -1, batch.encode()).with_transactional_id(Some(id()));
            let code = |r: &kafka_protocol::messages::ProduceResponse| {
                r.responses[0].partition_responses[0].error_code
            };
            if broker.call(PRODUCE, &request, |r| done("append", code(r))).is_none() {
                return decisions;
            }
            sequence += 1;
        }
        let commits = number % 3 != 2;
        decisions.open = if commits { values } else { Vec::new() };
        let end = EndTxnRequest::default()
            .with_transactional_id(id())
            .with_producer_id(producer_id.into())
            .with_producer_epoch(epoch)
            .with_committed(commits);
        if broker.call(3, &end, |r| done("end", r.error_code)).is_none() {
            break;
        }
        decisions.values.append(&mut decisions.open);
        decisions.ended += 1;
    }
    decisions
}

/// A consumer of committed records sees what was decided, each value once and in order.
pub(super) fn check(broker: &Broker, topic: &str, decisions: &Decisions) {
    let (mut found, _) = committed(&mut broker.connect(), topic);
    if !decisions.open.is_empty() && found.ends_with(&decisions.open) {
        found.truncate(found.len() - decisions.open.len());
    }
    assert_eq!(found.len(), decisions.values.len(), "{topic}: {} ended", decisions.ended);
    assert!(found == decisions.values, "{topic} holds other values, or in another order");
}
