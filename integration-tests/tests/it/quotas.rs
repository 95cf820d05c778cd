//! Client quotas over the wire: the answer comes at once and says for how long to be silent; then nothing is read.

use kafka_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::{
    AlterClientQuotasRequest, ApiVersionsRequest, CreatePartitionsRequest, CreateTopicsRequest,
    CreateTopicsResponse, DeleteTopicsRequest, MetadataRequest,
};
use milena_integration_tests::broker::Broker;
use milena_integration_tests::raw::Connection;
use milena_integration_tests::records::Batch;
use milena_integration_tests::requests::{create_topic, fetch, name, produce, text};
use std::time::{Duration, Instant};

/// Sets a quota for every client id, or with 0 takes it back.
pub(crate) fn set_quota(connection: &mut Connection, key: &str, value: f64) {
    set_quota_of(connection, "client-id", key, value);
}

/// The same for every one of a kind.
fn set_quota_of(connection: &mut Connection, kind: &str, key: &str, value: f64) {
    let entity = EntityData::default().with_entity_type(text(kind)).with_entity_name(None);
    let op = OpData::default().with_key(text(key)).with_value(value).with_remove(value == 0.0);
    let entry = EntryData::default().with_entity(vec![entity]).with_ops(vec![op]);
    let request = AlterClientQuotasRequest::default().with_entries(vec![entry]);
    assert_eq!(connection.call(1, &request).entries[0].error_code, 0);
}

/// A batch with one record of this many bytes.
fn batch(bytes: usize) -> Vec<u8> {
    Batch::of([vec![b'x'; bytes]]).encode()
}

/// The connection is not read from for about this long.
fn is_silent(connection: &mut Connection, throttle_ms: i32) {
    is_silent_since(Instant::now(), connection, throttle_ms);
}

fn is_silent_since(begun: Instant, connection: &mut Connection, throttle_ms: i32) {
    connection.call(0, &MetadataRequest::default().with_topics(Some(Vec::new())));
    let silence = Duration::from_millis(u64::try_from(throttle_ms).unwrap());
    // The timer of the broker began a little before ours.
    assert!(begun.elapsed() + Duration::from_millis(50) >= silence, "{:?} of {silence:?}", begun.elapsed());
}

#[test]
fn producers_and_consumers_are_silenced() {
    let Some(broker) = Broker::milena(&[]) else { return };
    let mut connection = broker.connect();
    create_topic(&mut connection, "t", 1, &[]);
    let free = connection.call(9, &produce("t", 0, 1, batch(100_000)));
    assert_eq!((free.throttle_time_ms, free.responses[0].partition_responses[0].error_code), (0, 0));
    set_quota(&mut connection, "producer_byte_rate", 10_000.0);
    let first = connection.call(9, &produce("t", 0, 1, batch(103_000)));
    let throttle_ms = first.throttle_time_ms;
    assert!((200..=1000).contains(&throttle_ms), "{throttle_ms}");
    assert_eq!(first.responses[0].partition_responses[0].error_code, 0, "what is too much is still taken");
    is_silent(&mut connection, throttle_ms);
    let mut other = broker.connect();
    let begun = Instant::now();
    other.call(0, &MetadataRequest::default().with_topics(Some(Vec::new())));
    assert!(begun.elapsed() < Duration::from_secs(5), "only the connection that produced is silent");
    set_quota(&mut other, "producer_byte_rate", 0.0);

    set_quota(&mut other, "consumer_byte_rate", 20_000.0);
    // 200,000 bytes at once are the most, and a first batch in any case.
    // Half of it is the first; with the third it is more in any case.
    let told = [(); 3].map(|()| other.call(12, &fetch("t", 0, 0, 1 << 20)).throttle_time_ms);
    assert!(told[0] == 0 && told[2] > 0, "{told:?}");
    let mut third = broker.connect();
    let throttled = third.call(12, &fetch("t", 0, 0, 1 << 20));
    assert!(throttled.throttle_time_ms > 0 && throttled.responses.is_empty(), "{throttled:?}");
}

#[test]
fn a_produce_without_an_answer_is_silenced_by_its_bytes_and_not_by_its_time() {
    let Some(broker) = Broker::milena(&[]) else { return };
    let mut connection = broker.connect();
    create_topic(&mut connection, "t", 1, &[]);
    // A user's default is shared by all of its clients.
    set_quota_of(&mut connection, "user", "producer_byte_rate", 100_000.0);
    // Eleven seconds' worth, the first of which begins with the first of them.
    let begun = Instant::now();
    connection.send(9, &produce("t", 0, 0, batch(900_000)));
    connection.send(9, &produce("t", 0, 0, batch(200_000)));
    is_silent_since(begun, &mut connection, 900);
    let mut other = broker.connect();
    let answer = other.call(9, &produce("t", 0, 1, batch(1000)));
    assert!(answer.throttle_time_ms > 0, "the rate is that of all connections");

    let mut other = broker.connect();
    set_quota_of(&mut other, "user", "producer_byte_rate", 0.0);
    // A millionth of a thread's time, which every request takes more than.
    set_quota(&mut other, "request_percentage", 0.0001);
    let (mut quiet, begun) = (broker.connect(), Instant::now());
    for _ in 0..100 {
        quiet.send(9, &produce("t", 0, 0, batch(1000)));
    }
    let answer = broker.connect().call(1, &ApiVersionsRequest::default());
    assert!(answer.throttle_time_ms <= 1000, "no more than a sample: {}", answer.throttle_time_ms);
    let answer = quiet.call(1, &ApiVersionsRequest::default());
    // Each of the hundred would have cost a second.
    assert!(begun.elapsed() < Duration::from_secs(50), "{:?}", begun.elapsed());
    assert!(answer.throttle_time_ms > 0, "time counts where there is an answer");
    assert_eq!(answer.error_code, 0);
}

#[test]
fn deleting_topics_and_adding_partitions_take_from_the_same_quota() {
    let Some(broker) = Broker::milena(&[("controller.quota.window.num", "2")]) else { return };
    let mut connection = broker.connect();
    create_topic(&mut connection, "a", 8, &[]);
    create_topic(&mut connection, "b", 1, &[]);
    set_quota(&mut connection, "controller_mutation_rate", 1.0);
    let grow = |connection: &mut Connection, version, count| {
        let topic = CreatePartitionsTopic::default().with_name(name("b")).with_count(count);
        let topic = topic.with_assignments(None);
        let request = CreatePartitionsRequest::default().with_topics(vec![topic]).with_timeout_ms(1000);
        let answer = connection.call(version, &request);
        (answer.results[0].error_code, answer.throttle_time_ms)
    };
    let delete = |connection: &mut Connection, version| {
        let request = DeleteTopicsRequest::default().with_topic_names(vec![name("a")]).with_timeout_ms(1000);
        let answer = connection.call(version, &request);
        (answer.responses[0].error_code, answer.throttle_time_ms)
    };
    // Two are free, and the last may take more than there is.
    assert_eq!(grow(&mut connection, 3, 9), (0, 0));
    let (code, throttle_ms) = delete(&mut connection, 5);
    assert_eq!(code, 89);
    assert!((3000..=6000).contains(&throttle_ms), "{throttle_ms}");
    let mut other = broker.connect();
    let (code, throttle_ms) = grow(&mut other, 3, 10);
    assert!(code == 89 && throttle_ms > 0);
    let mut third = broker.connect();
    let (code, longer_ms) = delete(&mut third, 4);
    assert!(code == 0 && longer_ms > throttle_ms, "{code}: {longer_ms} after {throttle_ms}");
}

#[test]
fn changes_of_metadata_are_refused_or_silenced() {
    let Some(broker) = Broker::milena(&[("controller.quota.window.num", "2")]) else { return };
    let mut connection = broker.connect();
    set_quota(&mut connection, "controller_mutation_rate", 1.0);
    let create = |connection: &mut Connection, version, topics: &[&str]| -> CreateTopicsResponse {
        let topic = |topic: &&str| {
            CreatableTopic::default().with_name(name(topic)).with_num_partitions(4).with_replication_factor(1)
        };
        let topics = topics.iter().map(topic).collect();
        connection.call(version, &CreateTopicsRequest::default().with_topics(topics).with_timeout_ms(1000))
    };
    let overdrawn = create(&mut connection, 7, &["all"]);
    assert_eq!((overdrawn.topics[0].error_code, overdrawn.throttle_time_ms), (0, 0), "nobody was refused");
    let strict = create(&mut connection, 7, &["a", "b"]);
    let codes: Vec<_> = strict.topics.iter().map(|topic| topic.error_code).collect();
    assert_eq!(codes, [89, 89]);
    assert!((1..=2000).contains(&strict.throttle_time_ms), "{}", strict.throttle_time_ms);
    let mut other = broker.connect();
    let lenient = create(&mut other, 5, &["c"]);
    assert_eq!(lenient.topics[0].error_code, 0);
    assert!(lenient.throttle_time_ms > strict.throttle_time_ms, "{}", lenient.throttle_time_ms);
    is_silent(&mut connection, strict.throttle_time_ms);
}
