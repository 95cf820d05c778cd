//! What stands in `__transaction_state`.

use super::{Harness, START, TIMEOUT_MS};
use milena_protocol::stored::transaction::{TransactionLogValue, TransactionPartitions, TransactionRecord};
use std::sync::atomic::Ordering;

fn value(status: i8, epoch: i16, partitions: Option<&[i32]>) -> TransactionLogValue {
    let topic = |ids: &[i32]| {
        let topic = TransactionPartitions {
            topic: "orders".to_owned(),
            partition_ids: ids.to_vec(),
            ..TransactionPartitions::default()
        };
        if ids.is_empty() { Vec::new() } else { vec![topic] }
    };
    TransactionLogValue {
        producer_epoch: epoch,
        transaction_timeout_ms: TIMEOUT_MS,
        transaction_status: status,
        transaction_partitions: partitions.map(topic),
        transaction_last_update_timestamp_ms: START,
        transaction_start_timestamp_ms: if status == 0 { -1 } else { START },
        client_transaction_version: if status == 0 { 0 } else { 2 },
        ..TransactionLogValue::default()
    }
}

#[test]
fn records_are_those_of_kafka() {
    let harness = Harness::new().script(
        "commit",
        "
        init t -> 0 0
        add2 t 0 0 orders-1
        end2 t 0 0 commit -> 0 1",
    );
    let records = harness.log.records();
    for (header, _) in &records {
        let producer = (header.producer_id, header.producer_epoch, header.base_sequence);
        assert_eq!((producer, header.record_count), ((-1, -1, -1), 1));
    }
    let values: Vec<_> = records.into_iter().map(|(_, record)| record).collect();
    let state = |value| TransactionRecord::State("t".to_owned(), Some(value));
    assert_eq!(
        values,
        [
            state(value(0, 0, None)),
            state(value(1, 0, Some(&[1]))),
            state(value(2, 1, Some(&[1]))),
            state(value(4, 1, Some(&[]))),
        ]
    );
}

#[test]
fn the_next_producer_id_is_on_record_while_it_is_pending_and_the_last_one_afterwards() {
    let harness = Harness::new().script("init", "init t -> 0 0");
    for epoch in 0..i16::MAX - 1 {
        harness.play(&format!("end2 t 0 {epoch} abort"));
    }
    let told = harness.log.records().len();
    harness.play("end2 t 0 32766 abort");
    let ids: Vec<_> = harness
        .log
        .records()
        .into_iter()
        .skip(told)
        .map(|(_, record)| match record {
            TransactionRecord::State(_, Some(value)) => {
                (value.producer_id, value.producer_epoch, value.previous_producer_id, value.next_producer_id)
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ids, [(0, i16::MAX, -1, 1), (1, 0, 0, -1)]);
}

#[test]
fn expired_ids_leave_tombstones() {
    let harness = Harness::new().script("expiry", "init t -> 0 0\nat 604800000\nat 608400000");
    let last = harness.log.records().pop();
    assert_eq!(last.map(|(_, record)| record), Some(TransactionRecord::State("t".to_owned(), None)));
}

#[test]
fn many_expired_ids_are_removed_in_batches_of_bounded_size() {
    let ids: Vec<String> = (0..4000).map(|number| format!("id-{number}")).collect();
    let harness = Harness::new();
    for (number, id) in ids.iter().enumerate() {
        assert_eq!(harness.play(&format!("init {id}")), format!("{number} 0"));
    }
    let harness = harness.script("expiry", "at 604800000\nat 608400000");
    let records = harness.log.records();
    let removed = records.iter().filter(|(_, record)| matches!(record, TransactionRecord::State(_, None)));
    assert_eq!(removed.count(), ids.len());
    let largest = records.iter().map(|(header, _)| header.record_count).max();
    assert!(largest.is_some_and(|count| (2..=1000).contains(&count)), "{largest:?}");
}

#[test]
fn a_cluster_of_transaction_version_0_has_records_without_tags() {
    let harness = Harness::new();
    harness.world.version.store(0, Ordering::Relaxed);
    let harness = harness.script(
        "commit",
        "
        init t -> 0 0
        add2 t 0 0 orders-1
        end2 t 0 0 commit -> 0 1",
    );
    let versions = harness.log.records().into_iter().map(|(_, record)| match record {
        TransactionRecord::State(_, Some(value)) => value.client_transaction_version,
        other => panic!("{other:?}"),
    });
    assert_eq!(versions.collect::<Vec<_>>(), [0; 4]);
    let harness = harness.restart();
    assert_eq!(harness.play("state t"), "CompleteCommit 0 1");
    assert_eq!(harness.coordinator.max_producer_id(), Some(0));
}
