//! DescribeGroups (key 15, versions 0-6): classic groups and their members. A group that does not exist is Dead; from
//! version 6 on it also has the error GROUP_ID_NOT_FOUND and a message.

use super::{Answer, Context};
use crate::group::{GroupCoordinator, text};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_groups_response::DescribedGroup;
use kafka_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse, GroupId};

/// READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS and ALTER_CONFIGS, as bits: all that can be done to a group.
pub(super) const GROUP_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;

pub(crate) fn handle(cx: &Context<'_>, request: DescribeGroupsRequest) -> Answer<DescribeGroupsResponse> {
    answer(&cx.broker.groups, cx.version, &request).into()
}

pub(crate) fn answer(
    groups: &GroupCoordinator,
    version: i16,
    request: &DescribeGroupsRequest,
) -> DescribeGroupsResponse {
    let described = request.groups.iter().map(|id| match groups.describe(id) {
        Ok(group) => group,
        Err((error, reason)) => missing(id, error, &reason, version),
    });
    // A group that does not exist is no error up to version 5, so it has its operations too.
    let authorized = described.map(|group| match group.error_code {
        0 if request.include_authorized_operations => group.with_authorized_operations(GROUP_OPERATIONS),
        _ => group,
    });
    DescribeGroupsResponse::default().with_groups(authorized.collect())
}

fn missing(id: &GroupId, error: ResponseError, reason: &str, version: i16) -> DescribedGroup {
    let group = DescribedGroup::default().with_group_id(id.clone());
    match error {
        ResponseError::GroupIdNotFound if version < 6 => group.with_group_state(text("Dead")),
        ResponseError::GroupIdNotFound => group
            .with_group_state(text("Dead"))
            .with_error_code(error.code())
            .with_error_message(Some(text(reason))),
        error => group.with_error_code(error.code()),
    }
}
