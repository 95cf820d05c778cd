//! AddPartitionsToTxn (24), versions 0 to 5: partitions become part of a producer's transaction.
//!
//! * Up to 3 it comes from clients, for one transaction; internal topics are TOPIC_AUTHORIZATION_FAILED.
//! * From 4 on brokers ask each other, for several transactions, also whether partitions are part of one
//!   (`verify_only`).
//! * If one partition does not exist, none is added: the others are OPERATION_NOT_ATTEMPTED.
//! * PRODUCER_FENCED is INVALID_PRODUCER_EPOCH before version 2.

use super::{Answer, Context};
use crate::controller::partition_count;
use crate::metadata::{Image, topic_name};
use crate::transaction::{Partitions, Producer};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::{AddPartitionsToTxnRequest, AddPartitionsToTxnResponse};
use std::sync::Arc;

/// First version of brokers.
const BROKERS: i16 = 4;
/// First version whose clients know PRODUCER_FENCED.
const FENCED: i16 = 2;

pub(crate) fn handle(
    cx: &Context<'_>,
    request: AddPartitionsToTxnRequest,
) -> Answer<AddPartitionsToTxnResponse> {
    let response = AddPartitionsToTxnResponse::default();
    if cx.version < BROKERS {
        let transaction = AddPartitionsToTxnTransaction::default()
            .with_transactional_id(request.v3_and_below_transactional_id)
            .with_producer_id(request.v3_and_below_producer_id)
            .with_producer_epoch(request.v3_and_below_producer_epoch)
            .with_topics(request.v3_and_below_topics);
        return response.with_results_by_topic_v3_and_below(add(cx, &transaction)).into();
    }
    if request.transactions.is_empty() {
        return response.with_error_code(ResponseError::InvalidRequest.code()).into();
    }
    let results = request.transactions.iter().map(|transaction| {
        AddPartitionsToTxnResult::default()
            .with_transactional_id(transaction.transactional_id.clone())
            .with_topic_results(add(cx, transaction))
    });
    response.with_results_by_transaction(results.collect()).into()
}

fn add(cx: &Context<'_>, transaction: &AddPartitionsToTxnTransaction) -> Vec<AddPartitionsToTxnTopicResult> {
    let image = cx.broker.controller.image();
    let judge = |topic: &str, index: i32| judge(&image, cx.version, topic, index);
    if each(&transaction.topics).any(|(topic, index)| judge(topic, index).is_some()) {
        return results(&transaction.topics, |topic, index| {
            Some(judge(topic, index).unwrap_or(ResponseError::OperationNotAttempted))
        });
    }
    let mut partitions = Partitions::new();
    for topic in &transaction.topics {
        partitions.entry(Arc::from(topic.name.as_str())).or_default().extend(&topic.partitions);
    }
    let producer = Producer { id: transaction.producer_id.0, epoch: transaction.producer_epoch };
    let (id, coordinator) = (&transaction.transactional_id, &cx.broker.transactions);
    if transaction.verify_only {
        return match coordinator.verify(id, producer, &partitions) {
            Err(error) => results(&transaction.topics, |_, _| Some(error)),
            Ok(found) => results(&transaction.topics, |topic, index| {
                let is_in = found.get(topic).is_some_and(|indexes| indexes.contains(&index));
                (!is_in).then_some(ResponseError::TransactionAbortable)
            }),
        };
    }
    let client_version = if cx.version < BROKERS { 0 } else { 2 };
    let added = coordinator.add(id, producer, &partitions, client_version);
    let error = added.err().map(|error| super::fenced_as(error, cx.version >= FENCED));
    results(&transaction.topics, |_, _| error)
}

/// Why a partition cannot be added.
fn judge(image: &Image, version: i16, topic: &str, index: i32) -> Option<ResponseError> {
    if version < BROKERS && topic_name::is_internal(topic) {
        return Some(ResponseError::TopicAuthorizationFailed);
    }
    let exists = image.topic(topic).is_some_and(|topic| (0..partition_count(topic)).contains(&index));
    (!exists).then_some(ResponseError::UnknownTopicOrPartition)
}

fn each(topics: &[AddPartitionsToTxnTopic]) -> impl Iterator<Item = (&str, i32)> {
    topics.iter().flat_map(|topic| topic.partitions.iter().map(|index| (topic.name.as_str(), *index)))
}

fn results(
    topics: &[AddPartitionsToTxnTopic],
    error: impl Fn(&str, i32) -> Option<ResponseError>,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let of_topic = |topic: &AddPartitionsToTxnTopic| {
        let of_partition = |index: &i32| {
            AddPartitionsToTxnPartitionResult::default()
                .with_partition_index(*index)
                .with_partition_error_code(error(&topic.name, *index).map_or(0, |error| error.code()))
        };
        AddPartitionsToTxnTopicResult::default()
            .with_name(topic.name.clone())
            .with_results_by_partition(topic.partitions.iter().map(of_partition).collect())
    };
    topics.iter().map(of_topic).collect()
}
