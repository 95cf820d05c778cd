//! ConsumerGroupHeartbeat (key 68, versions 0-1): a member of a consumer group joins (epoch 0), is alive, says what it
//! holds, hears what it is to hold, or leaves (epoch -1; -2 for a static member that will be back).
//!
//! | version | difference |
//! |---|---|
//! | 0 | a member that joins may leave its id to the coordinator |
//! | 1 | the client makes the id; subscriptions by regular expression |

use super::{Answer, Context};
use crate::error::Refusal;
use crate::group::{GroupCoordinator, Sender, java_address};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

pub(crate) fn handle(
    cx: &Context<'_>,
    request: ConsumerGroupHeartbeatRequest,
) -> Answer<ConsumerGroupHeartbeatResponse> {
    if !cx.broker.serves_consumer_groups() {
        let error = ResponseError::UnsupportedVersion;
        return refused(&Refusal::new(error, error.to_string())).into();
    }
    let sender =
        Sender { client_id: cx.client_id.to_owned(), client_host: java_address(cx.connection.peer.ip()) };
    answer(&cx.broker.groups, cx.version, &sender, Uuid::new_v4(), request).into()
}

/// `unique` is for the id of a member that brings none.
pub(crate) fn answer(
    groups: &GroupCoordinator,
    version: i16,
    sender: &Sender,
    unique: Uuid,
    mut request: ConsumerGroupHeartbeatRequest,
) -> ConsumerGroupHeartbeatResponse {
    if let Err(reason) = validate(version, &request) {
        return refused(&Refusal::new(ResponseError::InvalidRequest, reason));
    }
    if request.member_id.is_empty() {
        request.member_id = StrBytes::from_string(milena_protocol::stored::uuid_to_base64(unique));
    }
    groups.consumer_heartbeat(sender, &request).unwrap_or_else(|refusal| refused(&refusal))
}

fn refused(refusal: &Refusal) -> ConsumerGroupHeartbeatResponse {
    ConsumerGroupHeartbeatResponse::default()
        .with_error_code(refusal.error.code())
        .with_error_message(Some(StrBytes::from_string(refusal.message.clone())))
}

fn validate(version: i16, request: &ConsumerGroupHeartbeatRequest) -> Result<(), &'static str> {
    let epoch = request.member_epoch;
    let empty = |text: &Option<StrBytes>| text.as_deref().is_some_and(|text| text.trim().is_empty());
    if (version >= 1 || epoch > 0 || epoch == -1) && request.member_id.trim().is_empty() {
        return Err("MemberId can't be empty.");
    }
    if request.group_id.trim().is_empty() {
        return Err("GroupId can't be empty.");
    }
    if empty(&request.instance_id) {
        return Err("InstanceId can't be empty.");
    }
    if empty(&request.rack_id) {
        return Err("RackId can't be empty.");
    }
    match epoch {
        0 if request.rebalance_timeout_ms == -1 => {
            Err("RebalanceTimeoutMs must be provided in first request.")
        }
        0 if request.topic_partitions.as_ref().is_none_or(|owned| !owned.is_empty()) => {
            Err("TopicPartitions must be empty when (re-)joining.")
        }
        0 if request.subscribed_topic_names.is_none() && request.subscribed_topic_regex.is_none() => {
            Err("Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.")
        }
        -2 if request.instance_id.is_none() => Err("InstanceId can't be null."),
        ..-2 => Err("MemberEpoch is invalid."),
        _ => Ok(()),
    }
}
