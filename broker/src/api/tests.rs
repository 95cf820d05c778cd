use super::{ApiKey, Outcome, TABLE, handle};
use crate::config::alter::Operation;
use crate::controller::testing::TestBroker;
use crate::controller::{ConfigChange, ConfigEdit};
use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
    AddRaftVoterRequest, AddRaftVoterResponse, AlterClientQuotasRequest, AlterClientQuotasResponse,
    AlterConfigsRequest, AlterConfigsResponse, AlterPartitionReassignmentsRequest,
    AlterPartitionReassignmentsResponse, AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse,
    ApiVersionsRequest, ApiVersionsResponse, ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse,
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, CreatePartitionsRequest,
    CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse, DeleteGroupsRequest,
    DeleteGroupsResponse, DeleteRecordsRequest, DeleteRecordsResponse, DeleteTopicsRequest,
    DeleteTopicsResponse, DescribeClientQuotasRequest, DescribeClientQuotasResponse, DescribeClusterRequest,
    DescribeClusterResponse, DescribeConfigsRequest, DescribeConfigsResponse, DescribeGroupsRequest,
    DescribeGroupsResponse, DescribeLogDirsRequest, DescribeLogDirsResponse, DescribeProducersRequest,
    DescribeProducersResponse, DescribeQuorumRequest, DescribeQuorumResponse, DescribeTopicPartitionsRequest,
    DescribeTopicPartitionsResponse, DescribeTransactionsRequest, DescribeTransactionsResponse,
    ElectLeadersRequest, ElectLeadersResponse, EndTxnRequest, EndTxnResponse, FetchRequest, FetchResponse,
    FindCoordinatorRequest, FindCoordinatorResponse, HeartbeatRequest, HeartbeatResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, InitProducerIdRequest,
    InitProducerIdResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse,
    ListConfigResourcesRequest, ListConfigResourcesResponse, ListGroupsRequest, ListGroupsResponse,
    ListOffsetsRequest, ListOffsetsResponse, ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsResponse, ListTransactionsRequest, ListTransactionsResponse, MetadataRequest,
    MetadataResponse, OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse,
    OffsetFetchRequest, OffsetFetchResponse, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
    ProduceRequest, ProduceResponse, RemoveRaftVoterRequest, RemoveRaftVoterResponse, RequestHeader,
    ResponseHeader, SyncGroupRequest, SyncGroupResponse, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
    UnregisterBrokerRequest, UnregisterBrokerResponse, UpdateFeaturesRequest, UpdateFeaturesResponse,
    WriteTxnMarkersRequest, WriteTxnMarkersResponse,
};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use milena_protocol::gather::Gather;

const CORRELATION_ID: i32 = 7;

#[test]
fn clients_are_told_the_address_that_was_set_last() {
    let broker = TestBroker::new(&[
        ("listeners", "PLAINTEXT://:9092,CONTROLLER://:9093"),
        ("controller.listener.names", "CONTROLLER"),
        ("advertised.listeners", "PLAINTEXT://kafka.example:9092"),
    ]);
    let controller = &broker.broker.controller;
    let alter = |name: &str, operation| {
        let edit = ConfigEdit::Keys(vec![("advertised.listeners".to_owned(), operation)]);
        let change = ConfigChange { resource_type: 4, name: name.to_owned(), edit };
        controller.alter_configs(&[change], false).unwrap().remove(0)
    };
    let told = || broker.cx(0).endpoint();
    assert_eq!(told(), ("kafka.example".to_owned(), 9092, 1));
    alter("1", Operation::Set("PLAINTEXT://127.0.0.1:32768,".to_owned())).unwrap();
    // The client is not on this machine, and so is told the address that it reached.
    assert_eq!(told(), ("10.0.0.1".to_owned(), 9092, 1));
    alter("1", Operation::Set("PLAINTEXT://docker.example:32768".to_owned())).unwrap();
    assert_eq!(told(), ("docker.example".to_owned(), 32768, 1));
    for (name, address, expected) in [
        ("", "PLAINTEXT://a:1", "broker id must be specified"),
        (
            "1",
            "OTHER://a:1",
            "Found OTHER. The valid options based on the current configuration are PLAINTEXT",
        ),
        ("1", "nonsense", "Unable to parse nonsense to a broker endpoint"),
    ] {
        let refusal = alter(name, Operation::Set(address.to_owned())).unwrap_err();
        assert!(refusal.message.contains(expected), "{address}: {}", refusal.message);
    }
    assert_eq!(told(), ("docker.example".to_owned(), 32768, 1), "what is refused changes nothing");
    alter("1", Operation::Delete).unwrap();
    assert_eq!(told(), ("kafka.example".to_owned(), 9092, 1));
}

#[test]
fn a_listener_of_controllers_answers_what_controllers_do() {
    let mut broker = TestBroker::new(&[]);
    broker.connection.is_controller = true;
    for row in TABLE {
        let mut frame = BytesMut::new();
        let header = RequestHeader::default()
            .with_request_api_key(row.key as i16)
            .with_request_api_version(row.max)
            .with_correlation_id(CORRELATION_ID);
        header.encode(&mut frame, row.key.request_header_version(row.max)).unwrap();
        let outcome = handle(&broker.broker, &broker.connection, &frame, &mut Gather::default());
        let Outcome::Close(reason) = outcome else { panic!("{:?} has no body", row.key) };
        let is_refused = reason.ends_with("is not served on a listener of controllers");
        assert_eq!(is_refused, !row.is_served(true), "{:?}: {reason}", row.key);
        assert!(row.is_served(false));
    }
    // Those of Kafka 4.1's controllers that clients use.
    let keys: Vec<i16> = TABLE.iter().filter(|row| row.is_served(true)).map(|row| row.key as i16).collect();
    assert_eq!(keys, [18, 19, 20, 32, 33, 37, 43, 44, 45, 46, 49, 55, 57, 60, 64, 80, 81]);
}

#[test]
fn clients_are_told_the_address_of_their_listener() {
    let keys = [
        ("listeners", "IN://:9092,OUT://:19092,NAMED://broker.example:9095,LOOP://:9096"),
        ("listener.security.protocol.map", "IN:PLAINTEXT,OUT:PLAINTEXT,NAMED:PLAINTEXT,LOOP:PLAINTEXT"),
        ("inter.broker.listener.name", "IN"),
        ("advertised.listeners", "OUT://kafka.example:443,LOOP://localhost:9096"),
        ("node.id", "0"),
    ];
    #[rustfmt::skip]
    let rows = [
        (0, "10.0.0.5:1", "10.0.0.1:9092",  "10.0.0.1",        9092),
        (0, "127.0.0.1:1", "127.0.0.1:9092", "localhost",      9092),
        (1, "10.0.0.5:1", "10.0.0.1:19092", "kafka.example",   443),
        (2, "10.0.0.5:1", "10.0.0.1:9095",  "broker.example",  9095),
        (3, "10.0.0.5:1", "10.0.0.1:9096",  "10.0.0.1",        9096),
        (3, "127.0.0.1:1", "127.0.0.1:9096", "localhost",      9096),
        (9, "10.0.0.5:1", "10.0.0.1:9999",  "10.0.0.1",        9999),
    ];
    let mut broker = TestBroker::new(&keys);
    for (listener, peer, local, host, port) in rows {
        broker.connection.listener = listener;
        (broker.connection.peer, broker.connection.local) = (peer.parse().unwrap(), local.parse().unwrap());
        assert_eq!(broker.cx(0).endpoint(), (host.to_owned(), port, 0), "listener {listener} from {peer}");
    }
}

/// One row of the table at one version: an empty request must be answered with a whole frame that a client reads to
/// its last byte.
macro_rules! answers_default {
    ($broker:expr, $($api:ident $request:ident $response:ident;)*) => {{
        let mut seen = Vec::new();
        $(
            let row = TABLE.iter().find(|row| row.key == ApiKey::$api).expect("the row is in the table");
            for version in row.min..=row.max {
                let mut body = BytesMut::new();
                $request::default().encode(&mut body, version).unwrap();
                let answer = ask($broker, ApiKey::$api, version, &body).await;
                let mut answer = body_of(&answer, ApiKey::$api, version);
                let what = format!("{:?} v{version}", ApiKey::$api);
                $response::decode(&mut answer, version).unwrap_or_else(|error| panic!("{what}: {error}"));
                assert!(answer.is_empty(), "{what}: {} bytes are left", answer.len());
            }
            seen.push(ApiKey::$api as i16);
        )*
        seen
    }};
}

/// The whole answer to a request, which must not close the connection.
async fn ask(broker: &TestBroker, key: ApiKey, version: i16, body: &[u8]) -> Bytes {
    let header = RequestHeader::default()
        .with_request_api_key(key as i16)
        .with_request_api_version(version)
        .with_correlation_id(CORRELATION_ID)
        .with_client_id(Some(StrBytes::from_static_str("test")));
    let mut frame = BytesMut::new();
    header.encode(&mut frame, key.request_header_version(version)).unwrap();
    frame.extend_from_slice(body);
    let mut out = Gather::default();
    match handle(&broker.broker, &broker.connection, &frame, &mut out) {
        Outcome::Written => {}
        Outcome::Later(pending) => out = pending.await.unwrap(),
        Outcome::Nothing => panic!("{key:?} v{version} is not answered"),
        Outcome::Again(_) => panic!("{key:?} v{version} is to be handled again"),
        Outcome::Close(reason) => panic!("{key:?} v{version} closes the connection: {reason}"),
    }
    Bytes::copy_from_slice(out.bytes())
}

/// Behind the length, which must be right, and the header.
fn body_of(frame: &Bytes, key: ApiKey, version: i16) -> Bytes {
    let mut rest = frame.clone();
    let announced = rest.get_i32();
    assert_eq!(usize::try_from(announced).unwrap(), rest.len(), "{key:?} v{version}: length");
    let header = ResponseHeader::decode(&mut rest, key.response_header_version(version)).unwrap();
    assert_eq!(header.correlation_id, CORRELATION_ID, "{key:?} v{version}");
    rest
}

#[tokio::test(flavor = "multi_thread")]
async fn every_version_of_every_api_is_answered_to_the_last_byte() {
    let broker = TestBroker::new(&[]);
    let seen = answers_default!(&broker,
        ListOffsets ListOffsetsRequest ListOffsetsResponse;
        Fetch FetchRequest FetchResponse;
        Metadata MetadataRequest MetadataResponse;
        OffsetCommit OffsetCommitRequest OffsetCommitResponse;
        OffsetFetch OffsetFetchRequest OffsetFetchResponse;
        FindCoordinator FindCoordinatorRequest FindCoordinatorResponse;
        JoinGroup JoinGroupRequest JoinGroupResponse;
        Heartbeat HeartbeatRequest HeartbeatResponse;
        LeaveGroup LeaveGroupRequest LeaveGroupResponse;
        SyncGroup SyncGroupRequest SyncGroupResponse;
        DescribeGroups DescribeGroupsRequest DescribeGroupsResponse;
        ListGroups ListGroupsRequest ListGroupsResponse;
        ApiVersions ApiVersionsRequest ApiVersionsResponse;
        CreateTopics CreateTopicsRequest CreateTopicsResponse;
        DeleteTopics DeleteTopicsRequest DeleteTopicsResponse;
        DeleteRecords DeleteRecordsRequest DeleteRecordsResponse;
        InitProducerId InitProducerIdRequest InitProducerIdResponse;
        OffsetForLeaderEpoch OffsetForLeaderEpochRequest OffsetForLeaderEpochResponse;
        DescribeConfigs DescribeConfigsRequest DescribeConfigsResponse;
        AlterConfigs AlterConfigsRequest AlterConfigsResponse;
        AlterReplicaLogDirs AlterReplicaLogDirsRequest AlterReplicaLogDirsResponse;
        DescribeLogDirs DescribeLogDirsRequest DescribeLogDirsResponse;
        CreatePartitions CreatePartitionsRequest CreatePartitionsResponse;
        DeleteGroups DeleteGroupsRequest DeleteGroupsResponse;
        IncrementalAlterConfigs IncrementalAlterConfigsRequest IncrementalAlterConfigsResponse;
        OffsetDelete OffsetDeleteRequest OffsetDeleteResponse;
        ConsumerGroupHeartbeat ConsumerGroupHeartbeatRequest ConsumerGroupHeartbeatResponse;
        ConsumerGroupDescribe ConsumerGroupDescribeRequest ConsumerGroupDescribeResponse;
        DescribeCluster DescribeClusterRequest DescribeClusterResponse;
        ListConfigResources ListConfigResourcesRequest ListConfigResourcesResponse;
        DescribeTopicPartitions DescribeTopicPartitionsRequest DescribeTopicPartitionsResponse;
        AddPartitionsToTxn AddPartitionsToTxnRequest AddPartitionsToTxnResponse;
        AddOffsetsToTxn AddOffsetsToTxnRequest AddOffsetsToTxnResponse;
        EndTxn EndTxnRequest EndTxnResponse;
        WriteTxnMarkers WriteTxnMarkersRequest WriteTxnMarkersResponse;
        TxnOffsetCommit TxnOffsetCommitRequest TxnOffsetCommitResponse;
        DescribeProducers DescribeProducersRequest DescribeProducersResponse;
        DescribeTransactions DescribeTransactionsRequest DescribeTransactionsResponse;
        ListTransactions ListTransactionsRequest ListTransactionsResponse;
        ConsumerGroupHeartbeat ConsumerGroupHeartbeatRequest ConsumerGroupHeartbeatResponse;
        ConsumerGroupDescribe ConsumerGroupDescribeRequest ConsumerGroupDescribeResponse;
        DescribeClientQuotas DescribeClientQuotasRequest DescribeClientQuotasResponse;
        AlterClientQuotas AlterClientQuotasRequest AlterClientQuotasResponse;
        ElectLeaders ElectLeadersRequest ElectLeadersResponse;
        AlterPartitionReassignments AlterPartitionReassignmentsRequest AlterPartitionReassignmentsResponse;
        ListPartitionReassignments ListPartitionReassignmentsRequest ListPartitionReassignmentsResponse;
        DescribeQuorum DescribeQuorumRequest DescribeQuorumResponse;
        UpdateFeatures UpdateFeaturesRequest UpdateFeaturesResponse;
        UnregisterBroker UnregisterBrokerRequest UnregisterBrokerResponse;
        AddRaftVoter AddRaftVoterRequest AddRaftVoterResponse;
        RemoveRaftVoter RemoveRaftVoterRequest RemoveRaftVoterResponse;
    );
    // An empty produce request has acks=0 and no answer.
    for version in 3..=13 {
        let mut body = BytesMut::new();
        ProduceRequest::default().with_acks(1).encode(&mut body, version).unwrap();
        let mut answer =
            body_of(&ask(&broker, ApiKey::Produce, version, &body).await, ApiKey::Produce, version);
        ProduceResponse::decode(&mut answer, version).unwrap();
        assert!(answer.is_empty(), "Produce v{version}: {} bytes are left", answer.len());
    }
    let missing: Vec<_> = TABLE
        .iter()
        .map(|row| row.key)
        .filter(|key| *key != ApiKey::Produce && !seen.contains(&(*key as i16)))
        .collect();
    assert!(missing.is_empty(), "not asked: {missing:?}");
}
