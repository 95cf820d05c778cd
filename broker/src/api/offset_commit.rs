//! OffsetCommit (key 8, versions 2-9): a group, or a consumer without one, stores how far it has come.
//!
//! A group that does not exist is ILLEGAL_GENERATION up to version 8 and GROUP_ID_NOT_FOUND from 9 on, unless the
//! request claims no generation. Versions 2-4 may ask for a retention of their own.

use super::{Answer, Context};
use crate::group::GroupCoordinator;
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
    let topics = request.topics.iter().zip(errors).filter(|(topic, _)| !topic.partitions.is_empty()).map(
        |(topic, errors)| {
            let partitions = topic.partitions.iter().zip(errors).map(|(partition, error)| {
                OffsetCommitResponsePartition::default()
                    .with_partition_index(partition.partition_index)
                    .with_error_code(code(error))
            });
            OffsetCommitResponseTopic::default()
                .with_name(topic.name.clone())
                .with_partitions(partitions.collect())
        },
    );
    OffsetCommitResponse::default().with_topics(topics.collect())
}
