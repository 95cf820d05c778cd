//! OffsetCommit (key 8, versions 2-9): a group, or a consumer without one, stores how far it has come.
//!
//! A group that does not exist is ILLEGAL_GENERATION up to version 8 and GROUP_ID_NOT_FOUND from 9 on, unless the
//! request claims no generation. Versions 2-4 may ask for a retention of their own.

use super::{Answer, Context};
use crate::group::{ErrorsByPartition, GroupCoordinator};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};

pub(crate) fn handle(cx: &Context<'_>, request: OffsetCommitRequest) -> Answer<OffsetCommitResponse> {
    answer(&cx.broker.groups, cx.version, &request).into()
}

pub(crate) fn answer(
    groups: &GroupCoordinator,
    version: i16,
    request: &OffsetCommitRequest,
) -> OffsetCommitResponse {
    let code = |error: Option<ResponseError>| match error {
        None => 0,
        Some(ResponseError::GroupIdNotFound) if version < 9 => ResponseError::IllegalGeneration.code(),
        Some(error) => error.code(),
    };
    let errors = groups.commit_offsets(request, version >= 9);
    let topics =
        in_order(&errors).filter(|(at, _)| !request.topics[*at].partitions.is_empty()).map(|(at, within)| {
            let topic = &request.topics[at];
            let partitions = within.map(|index| {
                OffsetCommitResponsePartition::default()
                    .with_partition_index(topic.partitions[index].partition_index)
                    .with_error_code(code(errors[at][index]))
            });
            OffsetCommitResponseTopic::default()
                .with_name(topic.name.clone())
                .with_partitions(partitions.collect())
        });
    OffsetCommitResponse::default().with_topics(topics.collect())
}

/// In which order Kafka answers for topics, and for the partitions of each: it refuses what it does not know before it asks
/// the coordinator for the others.
pub(super) fn in_order(
    errors: &ErrorsByPartition,
) -> impl Iterator<Item = (usize, impl Iterator<Item = usize>)> {
    let unknown = Some(ResponseError::UnknownTopicOrPartition);
    first(errors.len(), move |topic| errors[topic].contains(&unknown)).map(move |topic| {
        let errors = &errors[topic];
        (topic, first(errors.len(), move |partition| errors[partition] == unknown))
    })
}

/// All below `count`, those first for which it is so.
fn first(count: usize, is_so: impl Fn(usize) -> bool + Copy) -> impl Iterator<Item = usize> {
    (0..count).filter(move |at| is_so(*at)).chain((0..count).filter(move |at| !is_so(*at)))
}
