//! The everyday requests, in one version each: topics, producing, fetching, looking up offsets.

use crate::raw::Connection;
use bytes::Bytes;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_offsets_response::ListOffsetsPartitionResponse;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, BrokerId, CreateTopicsRequest, FetchRequest, FetchResponse,
    FindCoordinatorRequest, InitProducerIdRequest, ListOffsetsRequest, MetadataRequest, ProduceRequest,
    TopicName, TransactionalId,
};
use kafka_protocol::protocol::StrBytes;

/// Version of Produce used here: the last that names topics, flexible.
pub const PRODUCE: i16 = 9;
/// Version of Fetch used here: the last that names topics.
pub const FETCH: i16 = 12;
/// Version of ListOffsets used here.
pub const LIST_OFFSETS: i16 = 7;
/// Version of Metadata used here.
pub const METADATA: i16 = 12;
/// Version of CreateTopics used here.
pub const CREATE_TOPICS: i16 = 7;

/// The name of a topic as the protocol wants it.
#[must_use]
pub fn name(topic: &str) -> TopicName {
    TopicName(text(topic))
}

/// Text as the protocol wants it.
#[must_use]
pub fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// Creates a topic and waits until it has leaders.
///
/// # Panics
/// If it cannot be created.
pub fn create_topic(connection: &mut Connection, topic: &str, partitions: i32, configs: &[(&str, &str)]) {
    let configs = configs
        .iter()
        .map(|(key, value)| {
            CreatableTopicConfig::default().with_name(text(key)).with_value(Some(text(value)))
        })
        .collect();
    let request = CreateTopicsRequest::default().with_timeout_ms(30_000).with_topics(vec![
        CreatableTopic::default()
            .with_name(name(topic))
            .with_num_partitions(partitions)
            .with_replication_factor(1)
            .with_configs(configs),
    ]);
    let response = connection.call(CREATE_TOPICS, &request);
    let result = &response.topics[0];
    assert_eq!(result.error_code, 0, "{topic}: {:?}", result.error_message);
    // Kafka answers before the topic can be used; what is tested here is what happens then.
    let usable = |connection: &mut Connection| {
        let seen = describe_topic(connection, topic);
        seen.error_code == 0
            && i32::try_from(seen.partitions.len()) == Ok(partitions)
            && (0..partitions).all(|partition| look_up(connection, topic, partition, -1).error_code == 0)
    };
    while !usable(connection) {
        std::thread::yield_now();
    }
}

/// What Metadata says of a topic, without creating it.
pub fn describe_topic(connection: &mut Connection, topic: &str) -> MetadataResponseTopic {
    let request = MetadataRequest::default()
        .with_allow_auto_topic_creation(false)
        .with_topics(Some(vec![MetadataRequestTopic::default().with_name(Some(name(topic)))]));
    connection.call(METADATA, &request).topics.remove(0)
}

/// A Produce request of one partition.
#[must_use]
pub fn produce(topic: &str, partition: i32, acks: i16, records: impl Into<Bytes>) -> ProduceRequest {
    ProduceRequest::default().with_acks(acks).with_timeout_ms(30_000).with_topic_data(vec![
        TopicProduceData::default().with_name(name(topic)).with_partition_data(vec![
            PartitionProduceData::default().with_index(partition).with_records(Some(records.into())),
        ]),
    ])
}

/// Appends records with acks=all and returns what the partition answered.
pub fn append(
    connection: &mut Connection,
    topic: &str,
    partition: i32,
    records: impl Into<Bytes>,
) -> PartitionProduceResponse {
    let mut response = connection.call(PRODUCE, &produce(topic, partition, -1, records));
    response.responses.remove(0).partition_responses.remove(0)
}

/// A Fetch request of one partition outside any session.
#[must_use]
pub fn fetch(topic: &str, partition: i32, offset: i64, max_bytes: i32) -> FetchRequest {
    FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_wait_ms(0)
        .with_min_bytes(1)
        .with_max_bytes(max_bytes)
        .with_session_epoch(-1)
        .with_topics(vec![
            FetchTopic::default()
                .with_topic(name(topic))
                .with_partitions(vec![fetch_partition(partition, offset, max_bytes)]),
        ])
}

/// One partition of a Fetch request.
#[must_use]
pub fn fetch_partition(partition: i32, offset: i64, max_bytes: i32) -> FetchPartition {
    FetchPartition::default()
        .with_partition(partition)
        .with_current_leader_epoch(-1)
        .with_fetch_offset(offset)
        .with_partition_max_bytes(max_bytes)
}

/// The only partition of a Fetch response, with its records if it has any.
///
/// # Panics
/// If the response is not of one partition.
#[must_use]
pub fn only_partition(mut response: FetchResponse) -> PartitionData {
    assert_eq!(response.error_code, 0);
    assert_eq!(response.responses.len(), 1, "one topic");
    let mut topic = response.responses.remove(0);
    assert_eq!(topic.partitions.len(), 1, "one partition");
    topic.partitions.remove(0)
}

/// Every byte of records of a partition, from its first offset to its high watermark.
///
/// # Panics
/// If it cannot be fetched.
pub fn read_all(connection: &mut Connection, topic: &str, partition: i32) -> Vec<u8> {
    // Kafka says that it has started before its partitions have leaders.
    let mut start = look_up(connection, topic, partition, -2);
    while matches!(start.error_code, 3 | 5 | 6) {
        start = look_up(connection, topic, partition, -2);
    }
    let mut offset = start.offset;
    let mut all = Vec::new();
    loop {
        let response = connection.call(FETCH, &fetch(topic, partition, offset, 8 << 20));
        let answer = only_partition(response);
        assert_eq!(answer.error_code, 0, "{topic}-{partition} at {offset}");
        if offset >= answer.high_watermark {
            return all;
        }
        let records = answer.records.unwrap_or_default();
        let batches = crate::records::batches(&records);
        let last = batches.last().expect("a fetch below the high watermark returns a batch");
        offset = last.last_offset() + 1;
        batches.iter().for_each(|batch| all.extend_from_slice(batch.bytes));
    }
}

/// Looks an offset up by timestamp (-1 end, -2 start, -3 of the largest timestamp).
pub fn look_up(
    connection: &mut Connection,
    topic: &str,
    partition: i32,
    timestamp: i64,
) -> ListOffsetsPartitionResponse {
    let request = ListOffsetsRequest::default().with_replica_id(BrokerId(-1)).with_topics(vec![
        ListOffsetsTopic::default().with_name(name(topic)).with_partitions(vec![
            ListOffsetsPartition::default()
                .with_partition_index(partition)
                .with_current_leader_epoch(-1)
                .with_timestamp(timestamp),
        ]),
    ]);
    connection.call(LIST_OFFSETS, &request).topics.remove(0).partitions.remove(0)
}

/// The key type of FindCoordinator for groups.
pub const GROUPS: i8 = 0;
/// The key type of FindCoordinator for transactional ids.
pub const TRANSACTIONS: i8 = 1;

/// Asks for a coordinator: Kafka makes its internal topic when it is asked for the first time, and not before.
pub fn find_coordinator(connection: &mut Connection, key_type: i8, key: &str) {
    let keys = vec![text(key)];
    let find = FindCoordinatorRequest::default().with_key_type(key_type).with_coordinator_keys(keys);
    connection.call(4, &find);
}

/// A new producer id and its epoch.
///
/// # Panics
/// If there is none within a minute of retriable answers.
pub fn producer_id(connection: &mut Connection, transactional_id: Option<&str>) -> (i64, i16) {
    producer_id_with(connection, transactional_id, 60_000)
}

/// The same, whose transactions end after so many milliseconds.
///
/// # Panics
/// As [`producer_id`].
pub fn producer_id_with(
    connection: &mut Connection,
    transactional_id: Option<&str>,
    timeout_ms: i32,
) -> (i64, i16) {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(transactional_id.map(|id| TransactionalId(text(id))))
        .with_transaction_timeout_ms(timeout_ms)
        .with_producer_id((-1).into())
        .with_producer_epoch(-1);
    if let Some(id) = transactional_id {
        find_coordinator(connection, TRANSACTIONS, id);
    }
    let started = std::time::Instant::now();
    loop {
        let response = connection.call(4, &request);
        // Kafka loads its coordinators after it says that it has started.
        let retriable = matches!(response.error_code, 14..=16);
        if !retriable || started.elapsed() > crate::raw::PATIENCE {
            assert_eq!(response.error_code, 0);
            return (response.producer_id.0, response.producer_epoch);
        }
    }
}

/// The served APIs.
pub fn api_versions(connection: &mut Connection) -> ApiVersionsResponse {
    let request = ApiVersionsRequest::default()
        .with_client_software_name(text("milena-integration-tests"))
        .with_client_software_version(text("1"));
    connection.call(3, &request)
}
