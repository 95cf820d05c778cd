//! DescribeProducers (61), version 0: what partitions know of their producers, open transactions above all.

use super::{Answer, Context};
use crate::group::text;
use crate::metadata::topic_name;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::describe_producers_response::{
    PartitionResponse, ProducerState, TopicResponse,
};
use kafka_protocol::messages::{DescribeProducersRequest, DescribeProducersResponse, ProducerId};

/// Stands for no sequence number, and for no offset.
const NONE: i32 = -1;
/// What Kafka says of a topic that is not there, and only of that.
const UNKNOWN: &str = "This server does not host this topic-partition.";

pub(crate) fn handle(
    cx: &Context<'_>,
    request: DescribeProducersRequest,
) -> Answer<DescribeProducersResponse> {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partition_indexes.iter().map(|index| describe(cx, topic, *index));
        TopicResponse::default().with_name(topic.name.clone()).with_partitions(partitions.collect())
    });
    DescribeProducersResponse::default().with_topics(topics.collect()).into()
}

fn describe(cx: &Context<'_>, topic: &TopicRequest, index: i32) -> PartitionResponse {
    let response = PartitionResponse::default().with_partition_index(index);
    let refused = |error: ResponseError, message: Option<String>| {
        let message = message.map(|message| text(&message));
        PartitionResponse::default()
            .with_partition_index(index)
            .with_error_code(error.code())
            .with_error_message(message)
    };
    if let Err(reason) = topic_name::validate(&topic.name) {
        return refused(ResponseError::InvalidTopicException, Some(reason.to_string()));
    }
    let partition = match cx.broker.partition(&topic.name, index) {
        Ok(partition) => partition,
        Err(error) => {
            let is_known = cx.broker.controller.image().topic(&topic.name).is_some();
            return refused(error, (!is_known).then(|| UNKNOWN.to_owned()));
        }
    };
    let producers = partition.log().producers().into_iter().map(|(id, state)| {
        ProducerState::default()
            .with_producer_id(ProducerId(id))
            .with_producer_epoch(state.epoch().into())
            .with_last_sequence(state.batches().last().map_or(NONE, |batch| batch.last_sequence))
            .with_last_timestamp(state.last_timestamp())
            .with_coordinator_epoch(state.coordinator_epoch())
            .with_current_txn_start_offset(state.transaction_first_offset().unwrap_or(NONE.into()))
    });
    response.with_active_producers(producers.collect())
}
