//! OffsetDelete (key 47, version 0): offsets of topics that a group does not subscribe to are deleted (KIP-496).

use super::{Answer, Context};
use crate::group::GroupCoordinator;
use kafka_protocol::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use kafka_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse};

pub(crate) fn handle(cx: &Context<'_>, request: OffsetDeleteRequest) -> Answer<OffsetDeleteResponse> {
    answer(&cx.broker.groups, &request).into()
}

pub(crate) fn answer(groups: &GroupCoordinator, request: &OffsetDeleteRequest) -> OffsetDeleteResponse {
    let errors = match groups.delete_offsets(request) {
        Ok(errors) => errors,
        Err(error) => return OffsetDeleteResponse::default().with_error_code(error.code()),
    };
    let topics = request.topics.iter().zip(errors).map(|(topic, errors)| {
        let partitions = topic.partitions.iter().zip(errors).map(|(partition, error)| {
            OffsetDeleteResponsePartition::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(error.map_or(0, |error| error.code()))
        });
        OffsetDeleteResponseTopic::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    OffsetDeleteResponse::default().with_topics(topics.collect())
}
