//! OffsetDelete (key 47, version 0): offsets of topics that a group does not subscribe to are deleted (KIP-496).

use super::offset_commit::in_order;
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
    let topics = in_order(&errors).map(|(at, within)| {
        let topic = &request.topics[at];
        let partitions = within.map(|index| {
            OffsetDeleteResponsePartition::default()
                .with_partition_index(topic.partitions[index].partition_index)
                .with_error_code(errors[at][index].map_or(0, |error| error.code()))
        });
        OffsetDeleteResponseTopic::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    OffsetDeleteResponse::default().with_topics(topics.collect())
}
