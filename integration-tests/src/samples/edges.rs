//! Requests with nothing in their lists, and with null where a version allows it.

use super::{Sample, add, add_from};
use crate::requests::{name, text};
use kafka_protocol::messages as m;
use kafka_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::{BrokerId, GroupId};

/// Adds the default of each request: empty lists, empty names.
macro_rules! empty {
    ($out:ident: $($request:ident),* $(,)?) => {$(
        add($out, &m::$request::default());
    )*};
}

/// Empty and null requests of every API that is served, in every version. `topic` is one that exists.
#[must_use]
pub fn edges(topic: &str) -> Vec<Sample> {
    let mut out = Vec::new();
    empties(&mut out);
    nulls(&mut out, topic);
    out
}

fn empties(out: &mut Vec<Sample>) {
    add(out, &m::ProduceRequest::default().with_acks(1));
    add(out, &m::FetchRequest::default().with_replica_id(BrokerId(-1)).with_cluster_id(None));
    add(out, &m::ListOffsetsRequest::default().with_replica_id(BrokerId(-1)));
    add(out, &m::OffsetForLeaderEpochRequest::default().with_replica_id(BrokerId(-1)));
    add(out, &m::MetadataRequest::default().with_topics(Some(Vec::new())));
    empty!(out:
        SaslHandshakeRequest, SaslAuthenticateRequest, CreateAclsRequest, DeleteAclsRequest,
        CreateDelegationTokenRequest, RenewDelegationTokenRequest, ExpireDelegationTokenRequest,
        DescribeDelegationTokenRequest, DescribeUserScramCredentialsRequest, AlterUserScramCredentialsRequest,
        OffsetCommitRequest, OffsetFetchRequest, FindCoordinatorRequest, JoinGroupRequest, HeartbeatRequest,
        LeaveGroupRequest, SyncGroupRequest, DescribeGroupsRequest, ListGroupsRequest, CreateTopicsRequest,
        DeleteTopicsRequest, DeleteRecordsRequest, InitProducerIdRequest, AddPartitionsToTxnRequest,
        AddOffsetsToTxnRequest, EndTxnRequest, WriteTxnMarkersRequest, TxnOffsetCommitRequest,
        DescribeConfigsRequest, AlterConfigsRequest, AlterReplicaLogDirsRequest, DescribeLogDirsRequest,
        CreatePartitionsRequest, DeleteGroupsRequest, ElectLeadersRequest, IncrementalAlterConfigsRequest,
        AlterPartitionReassignmentsRequest, ListPartitionReassignmentsRequest, OffsetDeleteRequest,
        DescribeClientQuotasRequest, AlterClientQuotasRequest, DescribeQuorumRequest, UpdateFeaturesRequest,
        DescribeClusterRequest, DescribeProducersRequest, UnregisterBrokerRequest, DescribeTransactionsRequest,
        ListTransactionsRequest, ConsumerGroupHeartbeatRequest, ConsumerGroupDescribeRequest,
        ListConfigResourcesRequest, DescribeTopicPartitionsRequest, AddRaftVoterRequest, RemoveRaftVoterRequest,
    );
}

fn nulls(out: &mut Vec<Sample>, topic: &str) {
    let group = || GroupId(text("edges"));
    add_from(out, 1, &m::MetadataRequest::default().with_topics(None));
    add_from(out, 2, &m::OffsetFetchRequest::default().with_group_id(group()).with_topics(None));
    let every = OffsetFetchRequestGroup::default().with_group_id(group()).with_topics(None);
    add(out, &m::OffsetFetchRequest::default().with_groups(vec![every]));
    add(out, &m::InitProducerIdRequest::default().with_transactional_id(None));
    add(out, &m::DescribeLogDirsRequest::default().with_topics(None));
    add(out, &m::ElectLeadersRequest::default().with_topic_partitions(None));
    add(out, &m::ListPartitionReassignmentsRequest::default().with_topics(None));
    add(out, &m::ListTransactionsRequest::default().with_transactional_id_pattern(None));
    add(out, &m::DescribeTopicPartitionsRequest::default().with_cursor(None));
    let cancelled = ReassignablePartition::default().with_replicas(None);
    let cancelled = ReassignableTopic::default().with_name(name(topic)).with_partitions(vec![cancelled]);
    add(out, &m::AlterPartitionReassignmentsRequest::default().with_topics(vec![cancelled]));
    for (resource_type, resource) in [(2, topic), (4, "1"), (4, ""), (8, "1"), (16, "edges"), (32, "edges")] {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(resource_type)
            .with_resource_name(text(resource))
            .with_configuration_keys(None);
        add(out, &m::DescribeConfigsRequest::default().with_resources(vec![resource]));
    }
    add(
        out,
        &m::ConsumerGroupHeartbeatRequest::default()
            .with_group_id(group())
            .with_member_id(text("nobody"))
            .with_instance_id(None)
            .with_rack_id(None)
            .with_subscribed_topic_names(None)
            .with_subscribed_topic_regex(None)
            .with_server_assignor(None)
            .with_topic_partitions(None),
    );
}
