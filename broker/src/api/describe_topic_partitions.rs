//! DescribeTopicPartitions (75), version 0 (KIP-966): what Metadata says of topics, page by page.
//!
//! * Topics come in the order of their names, an empty list asks for all.
//! * A page ends after as many partitions as the client wants, `max.request.partition.size.limit` (2000) at most. The
//!   next one begins where its cursor says; topics before the cursor are passed over.
//! * A cursor with a negative partition, or a topic that is not in the list: INVALID_REQUEST.

use super::{Answer, Context, operations};
use crate::metadata::{NO_LEADER, PartitionInfo, Topic, topic_name};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_topic_partitions_response::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use kafka_protocol::messages::{
    BrokerId, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use std::collections::BTreeSet;

pub(crate) fn handle(
    cx: &Context<'_>,
    request: DescribeTopicPartitionsRequest,
) -> Answer<DescribeTopicPartitionsResponse> {
    let image = cx.broker.controller.image();
    let all = request.topics.is_empty();
    let (from, first_partition) = match &request.cursor {
        Some(cursor) => (cursor.topic_name.as_str(), cursor.partition_index),
        None => ("", 0),
    };
    let names: BTreeSet<&str> = if all {
        image.topics().map(|topic| &*topic.name).filter(|name| *name >= from).collect()
    } else {
        request.topics.iter().map(|topic| topic.name.as_str()).filter(|name| *name >= from).collect()
    };
    let is_foreign = !all && request.cursor.is_some() && !names.contains(from);
    let Some(first_partition) = usize::try_from(first_partition).ok().filter(|_| !is_foreign) else {
        let refused = request.topics.iter().map(|topic| {
            // Nothing was looked at.
            refuse(&topic.name, ResponseError::InvalidRequest).with_is_internal(false)
        });
        return DescribeTopicPartitionsResponse::default().with_topics(refused.collect()).into();
    };

    let limit = cx.broker.config.network.max_request_partitions.min(request.response_partition_limit).max(1);
    let mut left = usize::try_from(limit).unwrap_or(1);
    let mut topics = Vec::new();
    let mut next_cursor = None;
    for name in names {
        if left == 0 {
            next_cursor = Some(cursor(name, 0));
            break;
        }
        let Some(topic) = image.topic(name) else {
            let error = match topic_name::validate(name) {
                Ok(()) => ResponseError::UnknownTopicOrPartition,
                Err(_) => ResponseError::InvalidTopicException,
            };
            topics.push(refuse(&to_name(name), error).with_topic_authorized_operations(operations::TOPIC));
            continue;
        };
        let first = if name == from { first_partition } else { 0 };
        let end = topic.partitions.len().min(first.saturating_add(left));
        topics.push(describe(cx, topic, first, end));
        if end < topic.partitions.len() {
            next_cursor = Some(cursor(name, end));
            break;
        }
        left -= end.saturating_sub(first);
    }
    DescribeTopicPartitionsResponse::default().with_topics(topics).with_next_cursor(next_cursor).into()
}

/// The partitions from `first` on and before `end`; none if there are not so many.
fn describe(
    cx: &Context<'_>,
    topic: &Topic,
    first: usize,
    end: usize,
) -> DescribeTopicPartitionsResponseTopic {
    let node = cx.broker.controller.node_id();
    let is_offline = cx.broker.offline_in(topic);
    let partitions = (0..).zip(&topic.partitions).take(end).skip(first);
    let describe = |(index, partition): (i32, &PartitionInfo)| match is_offline(index) {
        false => describe_partition(node, index, partition),
        true => describe_partition(node, index, &partition.without_directory(node))
            .with_offline_replicas(partition.replicas.iter().copied().map(BrokerId).collect()),
    };
    DescribeTopicPartitionsResponseTopic::default()
        .with_name(Some(to_name(&topic.name)))
        .with_topic_id(topic.id)
        .with_is_internal(topic_name::is_internal(&topic.name))
        .with_partitions(partitions.map(describe).collect())
        .with_topic_authorized_operations(operations::TOPIC)
}

fn describe_partition(
    node: i32,
    index: i32,
    partition: &PartitionInfo,
) -> DescribeTopicPartitionsResponsePartition {
    let ids = |brokers: &[i32]| brokers.iter().copied().map(BrokerId).collect::<Vec<_>>();
    DescribeTopicPartitionsResponsePartition::default()
        .with_partition_index(index)
        .with_leader_id(BrokerId(if partition.leader == node { node } else { NO_LEADER }))
        .with_leader_epoch(partition.leader_epoch)
        .with_replica_nodes(ids(&partition.replicas))
        .with_isr_nodes(ids(&partition.isr))
        .with_eligible_leader_replicas(Some(ids(&partition.eligible_leaders)))
        .with_last_known_elr(Some(ids(&partition.last_known_eligible)))
        .with_offline_replicas(partition.offline_replicas(node).map(BrokerId).collect())
}

fn refuse(name: &TopicName, error: ResponseError) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic::default()
        .with_error_code(error.code())
        .with_name(Some(name.clone()))
        .with_is_internal(topic_name::is_internal(name.as_str()))
}

fn cursor(name: &str, partition: usize) -> Cursor {
    Cursor::default()
        .with_topic_name(to_name(name))
        .with_partition_index(i32::try_from(partition).unwrap_or(i32::MAX))
}

fn to_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

#[cfg(test)]
mod tests;
