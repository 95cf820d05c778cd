//! What is fuzzed of what clients send: see `targets.rs`. `integration-tests/tests/fuzz.rs` runs it on every `cargo test`.
//!
//! The allocator must be the broker's: the codec crate reserves for announced lengths, and only what is touched counts.

use bytes::BytesMut;
use kafka_protocol::messages as m;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::Request;
use milena_protocol::{frame, header, produce, request};
use std::fmt::Debug;
use std::ops::RangeInclusive;

/// The request of one API: its key, the versions that are served, what decodes it.
pub(super) type Served = (i16, RangeInclusive<i16>, fn(&[u8], i16) -> bool);

macro_rules! served {
    ($($request:ident $versions:expr;)*) => {
        /// Every request that the broker serves; a test holds it against what the broker says.
        pub(super) const SERVED: &[Served] = &[$((m::$request::KEY, $versions, is_read::<m::$request>),)*];
    };
}

served! {
    ProduceRequest 3..=13;
    FetchRequest 4..=18;
    ListOffsetsRequest 1..=10;
    MetadataRequest 0..=13;
    OffsetCommitRequest 2..=9;
    OffsetFetchRequest 1..=9;
    FindCoordinatorRequest 0..=6;
    JoinGroupRequest 0..=9;
    HeartbeatRequest 0..=4;
    LeaveGroupRequest 0..=5;
    SyncGroupRequest 0..=5;
    DescribeGroupsRequest 0..=6;
    ListGroupsRequest 0..=5;
    ApiVersionsRequest 0..=4;
    CreateTopicsRequest 2..=7;
    DeleteTopicsRequest 1..=6;
    DeleteRecordsRequest 0..=2;
    InitProducerIdRequest 0..=5;
    OffsetForLeaderEpochRequest 2..=4;
    AddPartitionsToTxnRequest 0..=5;
    AddOffsetsToTxnRequest 0..=4;
    EndTxnRequest 0..=5;
    WriteTxnMarkersRequest 1..=1;
    TxnOffsetCommitRequest 0..=5;
    DescribeConfigsRequest 1..=4;
    AlterConfigsRequest 0..=2;
    AlterReplicaLogDirsRequest 1..=2;
    DescribeLogDirsRequest 1..=4;
    CreatePartitionsRequest 0..=3;
    DeleteGroupsRequest 0..=2;
    ElectLeadersRequest 0..=2;
    IncrementalAlterConfigsRequest 0..=1;
    AlterPartitionReassignmentsRequest 0..=1;
    ListPartitionReassignmentsRequest 0..=0;
    OffsetDeleteRequest 0..=0;
    DescribeClientQuotasRequest 0..=1;
    AlterClientQuotasRequest 0..=1;
    DescribeQuorumRequest 0..=2;
    UpdateFeaturesRequest 0..=2;
    DescribeClusterRequest 0..=2;
    DescribeProducersRequest 0..=0;
    UnregisterBrokerRequest 0..=0;
    DescribeTransactionsRequest 0..=0;
    ListTransactionsRequest 0..=2;
    ConsumerGroupHeartbeatRequest 0..=1;
    ConsumerGroupDescribeRequest 0..=1;
    ListConfigResourcesRequest 0..=1;
    DescribeTopicPartitionsRequest 0..=0;
    AddRaftVoterRequest 0..=0;
    RemoveRaftVoterRequest 0..=0;
}

/// Bytes from a socket: the length of a frame, its header, and the body of whatever the broker serves. Whether it was one.
pub(super) fn request(data: &[u8]) -> bool {
    let _ = frame::next(data, 1 << 20);
    // A length that is wrong would hide what comes behind it.
    let Some(frame) = data.get(4..) else { return false };
    let Ok((key, version, _)) = header::peek(frame) else { return false };
    let row = SERVED.iter().find(|(served, versions, _)| *served == key && versions.contains(&version));
    let (Some((_, _, is_read)), Ok(api)) = (row, ApiKey::try_from(key)) else { return false };
    let Ok((_, body)) = header::read(frame, api.request_header_version(version) >= 2) else { return false };
    if api == ApiKey::Produce {
        produce_body(body, version);
    }
    is_read(body, version)
}

/// Whether a body is decoded; what is decoded and written again is decoded the same.
fn is_read<Q: Request + Debug>(body: &[u8], version: i16) -> bool {
    let blobs =
        [ApiKey::Produce, ApiKey::JoinGroup, ApiKey::SyncGroup].map(|api| api as i16).contains(&Q::KEY);
    let Ok(found) = request::decode::<Q>(body, version, blobs) else { return false };
    let written = |found: &Q| {
        let mut bytes = BytesMut::new();
        found.encode(&mut bytes, version).expect("what is read can be written");
        bytes
    };
    let bytes = written(&found);
    // By their bytes: a number of a quota may be none, which is like no other.
    let is_same = request::decode::<Q>(&bytes, version, true).is_ok_and(|again| written(&again) == bytes);
    // The codec crate counts tags from 2^31 on and does not write them; but nobody writes a request that was read.
    assert!(is_same || format!("{found:?}").contains("unknown_tagged_fields: {-"), "{found:?}");
    true
}

/// A Produce body by the decoder that is written by hand.
fn produce_body(body: &[u8], version: i16) {
    let Ok(found) = produce::read(body, version) else { return };
    let records = found.topics.iter().flat_map(|topic| &topic.partitions);
    let bytes: usize = records.map(|partition| partition.1.map_or(0, <[u8]>::len)).sum();
    assert!(bytes <= body.len(), "records are borrowed from the body");
    if let Ok(by_codec) = request::decode::<m::ProduceRequest>(body, version, true) {
        let partitions = by_codec.topic_data.iter().flat_map(|topic| &topic.partition_data);
        let theirs: Vec<_> = partitions.map(|p| (p.index, p.records.as_deref())).collect();
        let ours: Vec<_> = found.topics.iter().flat_map(|topic| topic.partitions.iter().copied()).collect();
        assert_eq!(ours, theirs, "what the codec crate finds");
    }
}
