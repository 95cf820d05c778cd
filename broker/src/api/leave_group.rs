//! LeaveGroup (key 13, versions 0-5): members leave. Up to version 2 the request names one, and its error is that of the
//! response; from 3 on there is a list, with an error for each.

use super::{Answer, Context};
use crate::group::GroupCoordinator;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};

pub(crate) fn handle(cx: &Context<'_>, request: LeaveGroupRequest) -> Answer<LeaveGroupResponse> {
    answer(&cx.broker.groups, cx.version, &request).into()
}

pub(crate) fn answer(
    groups: &GroupCoordinator,
    version: i16,
    request: &LeaveGroupRequest,
) -> LeaveGroupResponse {
    let single;
    let members: &[MemberIdentity] = if version < 3 {
        single = [MemberIdentity::default().with_member_id(request.member_id.clone())];
        &single
    } else {
        &request.members
    };
    let response = LeaveGroupResponse::default();
    match groups.leave(&request.group_id, members) {
        Err(error) => response.with_error_code(error.code()),
        Ok(members) if version >= 3 => response.with_members(members),
        Ok(members) => response.with_error_code(members.first().map_or(0, |member| member.error_code)),
    }
}
