//! SyncGroup (key 14, versions 0-5): a member fetches its assignment, which the leader brings. From version 5 on the
//! request names the protocol that the member believes in.

use super::{Answer, Context};
use crate::coordinator::runtime::Parked;
use crate::group::GroupCoordinator;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{SyncGroupRequest, SyncGroupResponse};

pub(crate) fn handle(cx: &Context<'_>, request: SyncGroupRequest) -> Answer<SyncGroupResponse> {
    answer(&cx.broker.groups, cx.version, &request)
}

pub(crate) fn answer(
    groups: &GroupCoordinator,
    version: i16,
    request: &SyncGroupRequest,
) -> Answer<SyncGroupResponse> {
    let refused = |error: ResponseError| SyncGroupResponse::default().with_error_code(error.code());
    if version >= 5 && (request.protocol_type.is_none() || request.protocol_name.is_none()) {
        return refused(ResponseError::InconsistentGroupProtocol).into();
    }
    match groups.sync(request) {
        Parked::Ready(response) => response.into(),
        Parked::Waiting(later) => Answer::Later(Box::pin(async move {
            later.await.unwrap_or_else(|| refused(ResponseError::CoordinatorNotAvailable))
        })),
    }
}
