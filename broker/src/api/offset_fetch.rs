//! OffsetFetch (key 9, versions 1-9): where groups continue. An offset that was never committed is -1, without error.
//!
//! | version | difference |
//! |---|---|
//! | 1 | errors of the group are those of its partitions |
//! | 2 | null topics stand for all; errors of the group have a field |
//! | 7 | offsets that an open transaction may change can be refused (UNSTABLE_OFFSET_COMMIT) |
//! | 8 | several groups, in fields of their own |
//! | 9 | member id and epoch, for groups of KIP-848 |

use super::{Answer, Context};
use crate::group::GroupCoordinator;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopics;
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse};

pub(crate) fn handle(cx: &Context<'_>, request: OffsetFetchRequest) -> Answer<OffsetFetchResponse> {
    answer(&cx.broker.groups, cx.version, request).into()
}

pub(crate) fn answer(
    groups: &GroupCoordinator,
    version: i16,
    request: OffsetFetchRequest,
) -> OffsetFetchResponse {
    if version >= 8 {
        let answers = request.groups.iter().map(|group| {
            let response = OffsetFetchResponseGroup::default().with_group_id(group.group_id.clone());
            let member = group.member_id.as_deref().map(|id| (id, group.member_epoch));
            let member = member.or((group.member_epoch >= 0).then_some(("", group.member_epoch)));
            let topics = group.topics.as_deref();
            match groups.fetch_offsets(&group.group_id, member, topics, request.require_stable) {
                Ok(topics) => response.with_topics(topics),
                Err(error) => response.with_error_code(error.code()),
            }
        });
        return OffsetFetchResponse::default().with_groups(answers.collect());
    }
    let topics: Option<Vec<OffsetFetchRequestTopics>> = request.topics.map(|topics| {
        let several = topics.into_iter().map(|topic| {
            OffsetFetchRequestTopics::default()
                .with_name(topic.name)
                .with_partition_indexes(topic.partition_indexes)
        });
        several.collect()
    });
    match groups.fetch_offsets(&request.group_id, None, topics.as_deref(), request.require_stable) {
        Ok(answers) => single_group(answers),
        Err(error) if version >= 2 => OffsetFetchResponse::default().with_error_code(error.code()),
        Err(error) => single_group(refused(topics.unwrap_or_default(), error)),
    }
}

fn refused(topics: Vec<OffsetFetchRequestTopics>, error: ResponseError) -> Vec<OffsetFetchResponseTopics> {
    let of_partition = |index: i32| {
        OffsetFetchResponsePartitions::default()
            .with_partition_index(index)
            .with_committed_offset(-1)
            .with_error_code(error.code())
    };
    let of_topic = |topic: OffsetFetchRequestTopics| {
        OffsetFetchResponseTopics::default()
            .with_name(topic.name)
            .with_partitions(topic.partition_indexes.into_iter().map(of_partition).collect())
    };
    topics.into_iter().map(of_topic).collect()
}

/// The fields of versions before 8.
fn single_group(topics: Vec<OffsetFetchResponseTopics>) -> OffsetFetchResponse {
    let of_partition = |partition: OffsetFetchResponsePartitions| {
        OffsetFetchResponsePartition::default()
            .with_partition_index(partition.partition_index)
            .with_committed_offset(partition.committed_offset)
            .with_committed_leader_epoch(partition.committed_leader_epoch)
            .with_metadata(partition.metadata)
            .with_error_code(partition.error_code)
    };
    let of_topic = |topic: OffsetFetchResponseTopics| {
        OffsetFetchResponseTopic::default()
            .with_name(topic.name)
            .with_partitions(topic.partitions.into_iter().map(of_partition).collect())
    };
    OffsetFetchResponse::default().with_topics(topics.into_iter().map(of_topic).collect())
}
