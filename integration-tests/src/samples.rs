//! One valid request of every API that the codec knows, in every version that it can be written in.
//!
//! They are what hostile frames are made from, so those that would change the broker for good only validate, or name
//! things that do not exist.

mod edges;

pub use edges::edges;

use crate::records::Batch;
use crate::requests::{fetch, name, produce, text};
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages as m;
use kafka_protocol::messages::add_partitions_to_txn_request::{
    AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction,
};
use kafka_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use kafka_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::describe_client_quotas_request::ComponentData;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_quorum_request::{
    PartitionData as QuorumPartition, TopicData as QuorumTopic,
};
use kafka_protocol::messages::elect_leaders_request::TopicPartitions as ElectedTopic;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsTopics;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::update_features_request::FeatureUpdateKey;
use kafka_protocol::messages::{ApiKey, BrokerId, GroupId, TransactionalId};
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
    cluster(&mut out, topic);
    quotas(&mut out);
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
        &m::ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![
            ListOffsetsTopic::default()
                .with_name(name(topic))
                .with_partitions(vec![ListOffsetsPartition::default().with_timestamp(-1)]),
        ]),
    );
    add(
        out,
        &m::OffsetForLeaderEpochRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![
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
    let leaving = vec![MemberIdentity::default().with_member_id(text("nobody"))];
    add(out, &m::LeaveGroupRequest::default().with_group_id(group()).with_members(leaving));
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
    let asked = OffsetFetchRequestTopic::default().with_name(name(topic)).with_partition_indexes(vec![0]);
    add(out, &m::OffsetFetchRequest::default().with_group_id(group()).with_topics(Some(vec![asked])));
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
            .with_v3_and_below_topics(vec![partitions.clone()]),
    );
    let transaction = AddPartitionsToTxnTransaction::default()
        .with_transactional_id(id())
        .with_verify_only(true)
        .with_topics(vec![partitions]);
    add(out, &m::AddPartitionsToTxnRequest::default().with_transactions(vec![transaction]));
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

/// The cluster: partitions to places where they are, where they cannot be and where nobody is; what does not exist.
fn cluster(out: &mut Vec<Sample>, topic: &str) {
    for election_type in [0, 1, 9] {
        let elect = m::ElectLeadersRequest::default().with_election_type(election_type);
        let partitions = ElectedTopic::default().with_topic(name(topic)).with_partitions(vec![0, 99]);
        let unknown = ElectedTopic::default().with_topic(name("none")).with_partitions(vec![0]);
        add(out, &elect.clone().with_topic_partitions(Some(vec![partitions, unknown])));
        add(out, &elect.clone().with_topic_partitions(Some(Vec::new())));
        add(out, &elect.with_topic_partitions(None));
    }
    for replicas in [None, Some(vec![]), Some(vec![BrokerId(1)]), Some(vec![BrokerId(2), BrokerId(2)])] {
        let partition = |index| {
            ReassignablePartition::default().with_partition_index(index).with_replicas(replicas.clone())
        };
        let topics = [topic, "none"].map(|topic| {
            let partitions = vec![partition(0), partition(99)];
            ReassignableTopic::default().with_name(name(topic)).with_partitions(partitions)
        });
        add(out, &m::AlterPartitionReassignmentsRequest::default().with_topics(topics.to_vec()));
    }
    let listed =
        ListPartitionReassignmentsTopics::default().with_name(name(topic)).with_partition_indexes(vec![0, 9]);
    for topics in [None, Some(Vec::new()), Some(vec![listed])] {
        add(out, &m::ListPartitionReassignmentsRequest::default().with_topics(topics));
    }
    for (topic, index) in [("__cluster_metadata", 0), ("__cluster_metadata", 1), (topic, 0)] {
        let partition = QuorumPartition::default().with_partition_index(index);
        let topic = QuorumTopic::default().with_topic_name(name(topic)).with_partitions(vec![partition]);
        add(out, &m::DescribeQuorumRequest::default().with_topics(vec![topic]));
    }
    for (feature, level) in [("none", 1), ("transaction.version", 99), ("transaction.version", -1)] {
        let update = FeatureUpdateKey::default().with_feature(text(feature)).with_max_version_level(level);
        add(out, &m::UpdateFeaturesRequest::default().with_feature_updates(vec![update]));
    }
    add(out, &m::UpdateFeaturesRequest::default());
    add(out, &m::UnregisterBrokerRequest::default().with_broker_id(BrokerId(99)));
    add(out, &m::AddRaftVoterRequest::default().with_cluster_id(Some(text("another"))));
    add(out, &m::AddRaftVoterRequest::default().with_cluster_id(None).with_voter_id(2));
    add(out, &m::RemoveRaftVoterRequest::default().with_cluster_id(Some(text("another"))));
    add(out, &m::RemoveRaftVoterRequest::default().with_cluster_id(None).with_voter_id(2));
}

/// Filters of every kind, and quotas that cannot be.
fn quotas(out: &mut Vec<Sample>) {
    for (kind, match_type, named) in
        [("user", 0, Some("u")), ("user", 1, None), ("ip", 2, None), ("x", 3, None)]
    {
        let component = ComponentData::default()
            .with_entity_type(text(kind))
            .with_match_type(match_type)
            .with_match(named.map(text));
        add(out, &m::DescribeClientQuotasRequest::default().with_components(vec![component]));
    }
    for (kind, named, key) in [("user", Some(""), "none"), ("client-id", None, "none"), ("x", Some("x"), "x")]
    {
        let entity = EntityData::default().with_entity_type(text(kind)).with_entity_name(named.map(text));
        let op = OpData::default().with_key(text(key)).with_value(1.0);
        let entry = EntryData::default().with_entity(vec![entity]).with_ops(vec![op]);
        add(out, &m::AlterClientQuotasRequest::default().with_entries(vec![entry.clone()]));
        add(out, &m::AlterClientQuotasRequest::default().with_entries(vec![entry]).with_validate_only(true));
    }
}

/// Every other API that clients may call.
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
        // Between brokers and controllers.
        let expected = [52, 53, 54, 56, 58, 59, 62, 63, 67, 70, 73, 82];
        assert_eq!(missing, expected);
    }
}
