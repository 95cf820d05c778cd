//! JoinGroup (key 11, versions 0-9): a member enters a classic group, or its next generation. The answer waits until
//! the generation stands.
//!
//! | version | difference |
//! |---|---|
//! | 0 | no rebalance timeout: the session timeout counts |
//! | 4 | a new member gets an id first, and comes back with it (KIP-394); earlier clients join at once |
//! | 5 | static members |
//! | 7 | the protocol type is answered; the protocol name may be null |
//! | 9 | a leader may be told not to assign (KIP-814) |

use super::{Answer, Context};
use crate::coordinator::runtime::Parked;
use crate::group::{GroupCoordinator, Joiner, java_address};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{JoinGroupRequest, JoinGroupResponse};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

pub(crate) fn handle(cx: &Context<'_>, request: JoinGroupRequest) -> Answer<JoinGroupResponse> {
    let joiner = Joiner {
        client_id: cx.client_id.to_owned(),
        client_host: java_address(cx.connection.peer.ip()),
        requires_member_id: cx.version >= 4,
        skips_assignment: cx.version >= 9,
        unique: Uuid::new_v4(),
    };
    answer(&cx.broker.groups, cx.version, &joiner, request)
}

pub(crate) fn answer(
    groups: &GroupCoordinator,
    version: i16,
    joiner: &Joiner,
    mut request: JoinGroupRequest,
) -> Answer<JoinGroupResponse> {
    if version == 0 {
        request.rebalance_timeout_ms = request.session_timeout_ms;
    }
    match groups.join(joiner, &request) {
        Parked::Ready(response) => Answer::Now(for_version(response, version)),
        Parked::Waiting(later) => {
            let member_id = request.member_id;
            Answer::Later(Box::pin(async move {
                let lost = || {
                    let error = ResponseError::CoordinatorNotAvailable.code();
                    JoinGroupResponse::default().with_member_id(member_id).with_error_code(error)
                };
                for_version(later.await.unwrap_or_else(lost), version)
            }))
        }
    }
}

/// No protocol is an empty name up to version 6, and null from 7 on.
fn for_version(mut response: JoinGroupResponse, version: i16) -> JoinGroupResponse {
    if version < 7 {
        response.protocol_name.get_or_insert_default();
    } else if response.protocol_name.as_ref().is_some_and(|name| name.is_empty()) {
        response.protocol_name = None::<StrBytes>;
    }
    // Fields that older versions do not have; the codec refuses them if they are set.
    response.skip_assignment &= version >= 9;
    response
}
