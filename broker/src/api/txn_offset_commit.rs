//! TxnOffsetCommit (28), versions 0 to 5: offsets of a group that count when a producer's transaction is committed.
//!
//! * Up to 4 the group must have been added to the transaction (AddOffsetsToTxn): INVALID_TXN_STATE, from 4 on
//!   TRANSACTION_ABORTABLE. 5 adds it.
//! * From 3 on the member says who it is; a group that does not exist is ILLEGAL_GENERATION then.
//! * COORDINATOR_LOAD_IN_PROGRESS is COORDINATOR_NOT_AVAILABLE before version 2.

use super::offset_commit::in_order;
use super::{Answer, Context};
use crate::coordinator::Verification;
use crate::coordinator::runtime::InTransaction;
use crate::error::response_error;
use crate::metadata::topic_name;
use crate::transaction::{Operation, Partitions, Producer};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{OffsetCommitRequest, TxnOffsetCommitRequest, TxnOffsetCommitResponse};
use std::sync::Arc;

/// First version whose clients know COORDINATOR_LOAD_IN_PROGRESS.
const LOADING: i16 = 2;
/// Batches of the coordinator are not counted.
const NO_SEQUENCE: i32 = -1;

pub(crate) fn handle(cx: &Context<'_>, request: TxnOffsetCommitRequest) -> Answer<TxnOffsetCommitResponse> {
    let code = |error: Option<ResponseError>| match error {
        None => 0,
        Some(ResponseError::GroupIdNotFound) => ResponseError::IllegalGeneration.code(),
        Some(ResponseError::CoordinatorLoadInProgress) if cx.version < LOADING => {
            ResponseError::CoordinatorNotAvailable.code()
        }
        Some(error) => error.code(),
    };
    let commit = as_commit(&request);
    let errors = cx.broker.groups.commit_offsets_in_transaction(&commit, |index| admit(cx, &request, index));
    let topics = in_order(&errors).map(|(at, within)| {
        let topic = &request.topics[at];
        let partitions = within.map(|index| {
            TxnOffsetCommitResponsePartition::default()
                .with_partition_index(topic.partitions[index].partition_index)
                .with_error_code(code(errors[at][index]))
        });
        TxnOffsetCommitResponseTopic::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    TxnOffsetCommitResponse::default().with_topics(topics.collect()).into()
}

/// Sees to it that a partition of `__consumer_offsets` is part of the transaction.
fn admit(
    cx: &Context<'_>,
    request: &TxnOffsetCommitRequest,
    index: i32,
) -> Result<InTransaction, ResponseError> {
    let operation = Operation::of_offset_commit(cx.version);
    let producer = Producer { id: request.producer_id.0, epoch: request.producer_epoch };
    let transactions = &cx.broker.transactions;
    let mut verification = Verification::Skipped;
    if transactions.verifies(operation) {
        let partition = cx.broker.partition(topic_name::CONSUMER_OFFSETS, index)?;
        let (now, bumps) = (cx.broker.clock.now_ms(), operation.bumps_epoch());
        let begun = partition.log().begin_verification(producer.id, producer.epoch, NO_SEQUENCE, bumps, now);
        let guard = begun.map_err(|error| response_error(&error))?;
        if guard.is_some() {
            let partitions = Partitions::from([(Arc::from(topic_name::CONSUMER_OFFSETS), [index].into())]);
            let refused = transactions.admit(&request.transactional_id, producer, &partitions, operation);
            if let Some((_, error)) = refused.into_iter().next() {
                return Err(error);
            }
        }
        if transactions.verifies_appends() {
            verification = Verification::Done(guard);
        }
    }
    Ok(InTransaction { producer_id: producer.id, producer_epoch: producer.epoch, verification })
}

fn as_commit(request: &TxnOffsetCommitRequest) -> OffsetCommitRequest {
    let of_partition = |partition: &TxnOffsetCommitRequestPartition| {
        OffsetCommitRequestPartition::default()
            .with_partition_index(partition.partition_index)
            .with_committed_offset(partition.committed_offset)
            .with_committed_leader_epoch(partition.committed_leader_epoch)
            .with_committed_metadata(partition.committed_metadata.clone())
    };
    let of_topic = |topic: &TxnOffsetCommitRequestTopic| {
        OffsetCommitRequestTopic::default()
            .with_name(topic.name.clone())
            .with_partitions(topic.partitions.iter().map(of_partition).collect())
    };
    OffsetCommitRequest::default()
        .with_group_id(request.group_id.clone())
        .with_generation_id_or_member_epoch(request.generation_id)
        .with_member_id(request.member_id.clone())
        .with_group_instance_id(request.group_instance_id.clone())
        .with_retention_time_ms(-1)
        .with_topics(request.topics.iter().map(of_topic).collect())
}
