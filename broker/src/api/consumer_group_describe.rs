//! ConsumerGroupDescribe (key 69, versions 0-1): groups of the consumer protocol, their members, and what these have and
//! are to have. Version 1 says which protocol a member speaks.

use super::{Answer, Context};
use crate::group::{GroupCoordinator, text};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::consumer_group_describe_response::DescribedGroup;
use kafka_protocol::messages::{ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse};

use super::describe_groups::GROUP_OPERATIONS;

pub(crate) fn handle(
    cx: &Context<'_>,
    request: ConsumerGroupDescribeRequest,
) -> Answer<ConsumerGroupDescribeResponse> {
    if !cx.broker.serves_consumer_groups() {
        let error = ResponseError::UnsupportedVersion.code();
        let refused = request
            .group_ids
            .iter()
            .map(|id| DescribedGroup::default().with_group_id(id.clone()).with_error_code(error));
        return ConsumerGroupDescribeResponse::default().with_groups(refused.collect()).into();
    }
    answer(&cx.broker.groups, cx.version, &request).into()
}

pub(crate) fn answer(
    groups: &GroupCoordinator,
    version: i16,
    request: &ConsumerGroupDescribeRequest,
) -> ConsumerGroupDescribeResponse {
    // Kafka answers first what needs no coordinator.
    let (nameless, named): (Vec<_>, Vec<_>) = request.group_ids.iter().partition(|id| id.is_empty());
    let described = nameless.into_iter().chain(named).map(|id| {
        if id.is_empty() {
            let error = ResponseError::InvalidGroupId.code();
            return DescribedGroup::default().with_group_id(id.clone()).with_error_code(error);
        }
        match groups.describe_consumer(id) {
            Ok(group) => for_version(group, version, request.include_authorized_operations),
            Err(refusal) => DescribedGroup::default()
                .with_group_id(id.clone())
                .with_error_code(refusal.error.code())
                .with_error_message(Some(text(&refusal.message))),
        }
    });
    ConsumerGroupDescribeResponse::default().with_groups(described.collect())
}

fn for_version(mut group: DescribedGroup, version: i16, operations: bool) -> DescribedGroup {
    if version < 1 {
        for member in &mut group.members {
            member.member_type = -1;
        }
    }
    if operations { group.with_authorized_operations(GROUP_OPERATIONS) } else { group }
}
