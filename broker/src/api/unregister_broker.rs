//! UnregisterBroker (64), version 0 (KIP-631): forgets a broker that a cluster has left behind in the metadata.
//!
//! * A broker that is not registered: BROKER_ID_NOT_REGISTERED.
//! * This broker itself, which stays while it runs: INVALID_REQUEST.

use super::{Answer, Context};
use crate::controller::outcome;
use kafka_protocol::messages::{UnregisterBrokerRequest, UnregisterBrokerResponse};

pub(crate) fn handle(cx: &Context<'_>, request: UnregisterBrokerRequest) -> Answer<UnregisterBrokerResponse> {
    let (code, message) = outcome(&cx.broker.controller.unregister_broker(request.broker_id.0));
    UnregisterBrokerResponse::default().with_error_code(code).with_error_message(message).into()
}
