//! One valid request of every API that the codec knows, in every version that it can be written in.
//!
//! They are what hostile frames are made from, so those that would change the broker for good only validate, or name
//! things that do not exist.

use crate::records::Batch;
use crate::requests::{fetch, name, produce, text};
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages as m;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{ApiKey, GroupId, TransactionalId};
use kafka_protocol::protocol::Request;

/// The body of one request.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Its API.
    pub key: i16,
    /// Its version.
    pub version: i16,
    /// The bytes after the header.
    pub body: Vec<u8>,
    /// Decodes a response frame of this version, and panics if it is none.
    pub decode: fn(i16, Vec<u8>),
}

/// Samples of every API, in every version. `topic` is one that exists.
#[must_use]
pub fn all(topic: &str) -> Vec<Sample> {
    let mut out = Vec::new();
    data(&mut out, topic);
    groups(&mut out, topic);
    topics(&mut out, topic);
    transactions(&mut out, topic);
    bare(&mut out);
    out
}

/// Adds `request` in every version that can express it.
fn add<R: Request>(out: &mut Vec<Sample>, request: &R) {
    add_from(out, R::VERSIONS.min, request);
}

/// Adds `request` in the versions from `min` on: the codec writes a null also where a version knows none.
fn add_from<R: Request>(out: &mut Vec<Sample>, min: i16, request: &R) {
    for version in min..=R::VERSIONS.max {
        let mut body = BytesMut::new();
        if request.encode(&mut body, version).is_ok() {
            out.push(Sample { key: R::KEY, version, body: body.to_vec(), decode: decode::<R> });
        }
    }
}

fn decode<R: Request>(version: i16, frame: Vec<u8>) {
    let (_, _response) = crate::raw::decode::<R>(version, frame);
}

fn data(out: &mut Vec<Sample>, topic: &str) {
    let batch = Batch::of(["one", "two", "three"]).encode();
    add(out, &produce(topic, 0, 1, batch.clone()));
    add(out, &produce(topic, 0, 0, batch));
    add(out, &fetch(topic, 0, 0, 1 << 20).with_cluster_id(None));
    add(
        out,
        &m::ListOffsetsRequest::default().with_replica_id(m::BrokerId(-1)).with_topics(vec![
            ListOffsetsTopic::default()
                .with_name(name(topic))
                .with_partitions(vec![ListOffsetsPartition::default().with_timestamp(-1)]),
        ]),
    );
    add(
        out,
        &m::OffsetForLeaderEpochRequest::default().with_replica_id(m::BrokerId(-1)).with_topics(vec![
            OffsetForLeaderTopic::default()
                .with_topic(name(topic))
                .with_partitions(vec![OffsetForLeaderPartition::default().with_current_leader_epoch(-1)]),
        ]),
    );
}

fn groups(out: &mut Vec<Sample>, topic: &str) {
    let group = || GroupId(text("hostile"));
    add(out, &m::FindCoordinatorRequest::default().with_key(text("hostile")));
    add(
        out,
        &m::FindCoordinatorRequest::default().with_coordinator_keys(vec![text("hostile"), text("other")]),
    );
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(text("range"))
        .with_metadata(Bytes::from_static(b"\0\0\0\0\0\x01\0\x01t\0\0\0\0"));
    add(
        out,
        &m::JoinGroupRequest::default()
            .with_group_id(group())
            .with_session_timeout_ms(1_000)
            .with_protocol_type(text("consumer"))
            .with_protocols(vec![protocol]),
    );
    add(
        out,
        &m::SyncGroupRequest::default()
            .with_group_id(group())
            .with_generation_id(1)
            .with_member_id(text("nobody"))
            .with_assignments(vec![SyncGroupRequestAssignment::default().with_member_id(text("nobody"))]),
    );
    add(out, &m::HeartbeatRequest::default().with_group_id(group()).with_member_id(text("nobody")));
    add(out, &m::LeaveGroupRequest::default().with_group_id(group()).with_member_id(text("nobody")));
    add(
        out,
        &m::OffsetCommitRequest::default().with_group_id(group()).with_topics(vec![
            OffsetCommitRequestTopic::default().with_name(name(topic)).with_partitions(vec![
                OffsetCommitRequestPartition::default()
                    .with_committed_offset(1)
                    .with_committed_metadata(Some(text("m"))),
            ]),
        ]),
    );
    add(
        out,
        &m::OffsetFetchRequest::default().with_groups(vec![
            OffsetFetchRequestGroup::default().with_group_id(group()).with_topics(Some(vec![
                OffsetFetchRequestTopics::default().with_name(name(topic)).with_partition_indexes(vec![0, 1]),
            ])),
        ]),
    );
    add_from(out, 2, &m::OffsetFetchRequest::default().with_group_id(group()).with_topics(None));
    add(out, &m::DescribeGroupsRequest::default().with_groups(vec![group()]));
    add(out, &m::DeleteGroupsRequest::default().with_groups_names(vec![group()]));
    add(
        out,
        &m::ConsumerGroupHeartbeatRequest::default()
            .with_group_id(GroupId(text("hostile-next")))
            .with_member_id(text("nobody"))
            .with_rebalance_timeout_ms(1_000)
            .with_subscribed_topic_names(Some(vec![name(topic)]))
            .with_topic_partitions(Some(vec![TopicPartitions::default().with_partitions(vec![0])])),
    );
}

fn topics(out: &mut Vec<Sample>, topic: &str) {
    let asked = MetadataRequestTopic::default().with_name(Some(name(topic)));
    add(
        out,
        &m::MetadataRequest::default().with_topics(Some(vec![asked])).with_allow_auto_topic_creation(true),
    );
    add_from(out, 1, &m::MetadataRequest::default().with_topics(None).with_allow_auto_topic_creation(true));
    add(
        out,
        &m::CreateTopicsRequest::default().with_validate_only(true).with_timeout_ms(1_000).with_topics(vec![
            CreatableTopic::default()
                .with_name(name("hostile"))
                .with_num_partitions(1)
                .with_replication_factor(1)
                .with_configs(vec![
                    CreatableTopicConfig::default()
                        .with_name(text("retention.ms"))
                        .with_value(Some(text("1000"))),
                ]),
        ]),
    );
    add(out, &m::DeleteTopicsRequest::default().with_topic_names(vec![name("nothing")]));
    add(
        out,
        &m::DeleteTopicsRequest::default()
            .with_topics(vec![DeleteTopicState::default().with_name(Some(name("nothing")))]),
    );
    add(
        out,
        &m::DescribeConfigsRequest::default().with_include_synonyms(true).with_resources(vec![
            DescribeConfigsResource::default().with_resource_type(2).with_resource_name(text(topic)),
            DescribeConfigsResource::default().with_resource_type(4).with_resource_name(text("1")),
        ]),
    );
    add(
        out,
        &m::IncrementalAlterConfigsRequest::default().with_validate_only(true).with_resources(vec![
            AlterConfigsResource::default()
                .with_resource_type(2)
                .with_resource_name(text(topic))
                .with_configs(vec![
                    AlterableConfig::default().with_name(text("retention.ms")).with_value(Some(text("1000"))),
                ]),
        ]),
    );
}

fn transactions(out: &mut Vec<Sample>, topic: &str) {
    let id = || TransactionalId(text("hostile"));
    let partitions = AddPartitionsToTxnTopic::default().with_name(name(topic)).with_partitions(vec![0]);
    add(out, &m::InitProducerIdRequest::default().with_producer_id((-1).into()).with_producer_epoch(-1));
    add(
        out,
        &m::InitProducerIdRequest::default()
            .with_transactional_id(Some(id()))
            .with_transaction_timeout_ms(10_000)
            .with_producer_id((-1).into())
            .with_producer_epoch(-1),
    );
    add(
        out,
        &m::AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(id())
            .with_v3_and_below_topics(vec![partitions]),
    );
    add(
        out,
        &m::AddOffsetsToTxnRequest::default()
            .with_transactional_id(id())
            .with_group_id(GroupId(text("hostile"))),
    );
    add(out, &m::EndTxnRequest::default().with_transactional_id(id()).with_committed(true));
    add(
        out,
        &m::TxnOffsetCommitRequest::default()
            .with_transactional_id(id())
            .with_group_id(GroupId(text("hostile"))),
    );
}

/// Adds requests whose fields all have their defaults.
macro_rules! defaults {
    ($out:ident: $($request:ident),* $(,)?) => { $(add($out, &m::$request::default());)* };
}

/// Every other API that clients may call. UnregisterBroker and UpdateFeatures are left out: they succeed.
fn bare(out: &mut Vec<Sample>) {
    add(
        out,
        &m::DescribeAclsRequest::default()
            .with_resource_type_filter(1)
            .with_pattern_type_filter(3)
            .with_operation(1)
            .with_permission_type(1),
    );
    defaults!(out:
        ApiVersionsRequest, SaslHandshakeRequest, SaslAuthenticateRequest, ListGroupsRequest, DeleteRecordsRequest,
        WriteTxnMarkersRequest, CreateAclsRequest, DeleteAclsRequest, AlterConfigsRequest,
        AlterReplicaLogDirsRequest, DescribeLogDirsRequest, CreatePartitionsRequest, CreateDelegationTokenRequest,
        RenewDelegationTokenRequest, ExpireDelegationTokenRequest, DescribeDelegationTokenRequest,
        ElectLeadersRequest, AlterPartitionReassignmentsRequest, ListPartitionReassignmentsRequest,
        OffsetDeleteRequest, DescribeClientQuotasRequest, AlterClientQuotasRequest,
        DescribeUserScramCredentialsRequest, AlterUserScramCredentialsRequest, DescribeQuorumRequest,
        DescribeClusterRequest, DescribeProducersRequest, DescribeTransactionsRequest, ListTransactionsRequest,
        ConsumerGroupDescribeRequest, GetTelemetrySubscriptionsRequest, PushTelemetryRequest,
        ListConfigResourcesRequest, DescribeTopicPartitionsRequest, ShareGroupHeartbeatRequest,
        ShareGroupDescribeRequest, ShareFetchRequest, ShareAcknowledgeRequest, DescribeShareGroupOffsetsRequest,
        AlterShareGroupOffsetsRequest, DeleteShareGroupOffsetsRequest, InitializeShareGroupStateRequest,
        ReadShareGroupStateRequest, WriteShareGroupStateRequest, DeleteShareGroupStateRequest,
        ReadShareGroupStateSummaryRequest,
    );
}

/// Whether some sample is of `key`, for the test that no served API is forgotten.
#[must_use]
pub fn has(samples: &[Sample], key: i16) -> bool {
    samples.iter().any(|sample| sample.key == key)
}

/// The name of an API, for messages.
#[must_use]
pub fn api_name(key: i16) -> String {
    ApiKey::try_from(key).map_or_else(|()| format!("API {key}"), |key| format!("{key:?}"))
}

#[cfg(test)]
mod tests {
    use super::{all, has};
    use kafka_protocol::messages::ApiKey;

    #[test]
    fn clients_apis_have_samples() {
        let samples = all("t");
        let missing: Vec<_> =
            ApiKey::iter().map(|key| key as i16).filter(|key| !has(&samples, *key)).collect();
        // Between brokers and controllers, and the two that would succeed.
        let expected = [52, 53, 54, 56, 57, 58, 59, 62, 63, 64, 67, 70, 73, 80, 81, 82];
        assert_eq!(missing, expected);
    }
}
