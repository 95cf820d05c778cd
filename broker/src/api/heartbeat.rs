//! Heartbeat (key 12, versions 0-4): a member is alive, and hears whether it has to join again.

use super::{Answer, Context};
use crate::group::GroupCoordinator;
use kafka_protocol::messages::{HeartbeatRequest, HeartbeatResponse};

pub(crate) fn handle(cx: &Context<'_>, request: HeartbeatRequest) -> Answer<HeartbeatResponse> {
    answer(&cx.broker.groups, &request).into()
}

pub(crate) fn answer(groups: &GroupCoordinator, request: &HeartbeatRequest) -> HeartbeatResponse {
    let error = groups.heartbeat(request).err();
    HeartbeatResponse::default().with_error_code(error.map_or(0, |error| error.code()))
}
