//! ListPartitionReassignments (46), version 0 (KIP-455): which partitions are on their way to other brokers.
//!
//! None ever is, except for those that a cluster has left unfinished. What is unknown is left out.

use super::{Answer, Context};
use crate::metadata::{PartitionInfo, Topic};
use kafka_protocol::messages::list_partition_reassignments_response::{
    OngoingPartitionReassignment, OngoingTopicReassignment,
};
use kafka_protocol::messages::{
    BrokerId, ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;

pub(crate) fn handle(
    cx: &Context<'_>,
    request: ListPartitionReassignmentsRequest,
) -> Answer<ListPartitionReassignmentsResponse> {
    let image = cx.broker.controller.image();
    let topics: Vec<OngoingTopicReassignment> = match &request.topics {
        None => image.sorted_topics().into_iter().filter_map(|topic| ongoing(topic, None)).collect(),
        Some(asked) => {
            let asked = asked.iter().filter_map(|asked| Some((image.topic(&asked.name)?, asked)));
            asked.filter_map(|(topic, asked)| ongoing(topic, Some(&asked.partition_indexes))).collect()
        }
    };
    ListPartitionReassignmentsResponse::default().with_error_message(None).with_topics(topics).into()
}

fn ongoing(topic: &Topic, asked: Option<&[i32]>) -> Option<OngoingTopicReassignment> {
    let partitions = (0..).zip(&topic.partitions).filter(|(index, partition)| {
        partition.is_reassigned() && asked.is_none_or(|asked| asked.contains(index))
    });
    let partitions: Vec<_> = partitions.map(|(index, partition)| describe(index, partition)).collect();
    let name = TopicName(StrBytes::from_string(topic.name.to_string()));
    let found = !partitions.is_empty();
    found.then(|| OngoingTopicReassignment::default().with_name(name).with_partitions(partitions))
}

fn describe(index: i32, partition: &PartitionInfo) -> OngoingPartitionReassignment {
    let ids = |ids: &[i32]| ids.iter().map(|id| BrokerId(*id)).collect();
    OngoingPartitionReassignment::default()
        .with_partition_index(index)
        .with_replicas(ids(&partition.replicas))
        .with_adding_replicas(ids(&partition.adding))
        .with_removing_replicas(ids(&partition.removing))
}
