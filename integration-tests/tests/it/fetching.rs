//! What a consumer is promised: batches whole, waits that end when they should, sessions that remember.

use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::fetch_request::{FetchTopic, ForgottenTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use milena_integration_tests::broker::{Broker, unique};
use milena_integration_tests::records::{Batch, batches};
use milena_integration_tests::requests::{
    self, FETCH, append, create_topic, fetch, fetch_partition, name, only_partition,
};
use std::sync::mpsc;
use std::time::{Duration, Instant};

const OFFSET_OUT_OF_RANGE: i16 = 1;
const FETCH_SESSION_ID_NOT_FOUND: i16 = 70;
const INVALID_FETCH_SESSION_EPOCH: i16 = 71;

#[test]
fn returns_whole_batches_and_at_least_one() {
    let broker = Broker::any();
    let mut connection = broker.connect();
    let topic = unique("fetching");
    create_topic(&mut connection, &topic, 1, &[]);
    for first in [0, 10, 20] {
        let values = (first..first + 10).map(|n| format!("{n:0100}"));
        append(&mut connection, &topic, 0, Batch::of(values).encode());
    }
    // (offset, max bytes, base offsets of the batches)
    let cases: [(i64, i32, &[i64]); 6] = [
        (0, 1 << 20, &[0, 10, 20]),
        (5, 1 << 20, &[0, 10, 20]),
        (19, 1, &[10]),
        (20, 1, &[20]),
        (0, 1, &[0]),
        (30, 1 << 20, &[]),
    ];
    for (offset, max, expected) in cases {
        let answer = only_partition(connection.call(FETCH, &fetch(&topic, 0, offset, max)));
        assert_eq!((answer.error_code, answer.high_watermark), (0, 30), "at {offset}");
        let records = answer.records.expect("records are empty, never null");
        let seen: Vec<i64> =
            batches(&records).iter().map(milena_integration_tests::records::View::base_offset).collect();
        assert_eq!(seen, expected, "at {offset}, {max} bytes");
    }
    for offset in [31, -1, i64::MAX] {
        let answer = only_partition(connection.call(FETCH, &fetch(&topic, 0, offset, 1000)));
        assert_eq!((answer.error_code, answer.high_watermark), (OFFSET_OUT_OF_RANGE, -1), "at {offset}");
        assert_eq!(answer.records.map(|records| records.len()), Some(0));
    }
}

#[test]
fn a_waiting_fetch_ends_when_records_come() {
    let broker = Broker::any();
    let mut connection = broker.connect();
    let topic = unique("waiting");
    create_topic(&mut connection, &topic, 1, &[]);
    let mut waiting = broker.connect();
    let asked = Instant::now();
    waiting.send(FETCH, &fetch(&topic, 0, 0, 1 << 20).with_max_wait_ms(50_000).with_min_bytes(1));
    append(&mut connection, &topic, 0, Batch::of(["news"]).encode());
    let answer = only_partition(waiting.receive::<FetchRequest>(FETCH).1);
    assert_eq!(batches(&answer.records.expect("records"))[0].values(), [b"news"]);
    assert!(asked.elapsed() < Duration::from_secs(25), "woken by the append, not by the clock");

    // Below min_bytes it goes on waiting, and takes what there is when the time is over.
    let asked = Instant::now();
    waiting.send(FETCH, &fetch(&topic, 0, 1, 1 << 20).with_max_wait_ms(500).with_min_bytes(100_000));
    append(&mut connection, &topic, 0, Batch::of(["more"]).encode());
    let answer = only_partition(waiting.receive::<FetchRequest>(FETCH).1);
    assert!(asked.elapsed() >= Duration::from_millis(490), "answered after {:?}", asked.elapsed());
    assert_eq!(batches(&answer.records.expect("records"))[0].values(), [b"more"]);
}

#[test]
fn who_has_fallen_behind_does_not_wait_for_min_bytes() {
    let broker = Broker::any();
    let mut connection = broker.connect();
    let topic = unique("behind");
    create_topic(&mut connection, &topic, 2, &[("segment.bytes", "1048576")]);
    let large = Batch::of([vec![b'x'; 600_000]]).encode();
    let small = Batch::of([vec![b'x'; 1000]]).encode();
    for batch in [&large, &small, &large, &small, &small, &small] {
        assert_eq!(append(&mut connection, &topic, 0, batch.clone()).error_code, 0);
    }
    assert_eq!(append(&mut connection, &topic, 1, small.clone()).error_code, 0);
    let patient = |offset, max_bytes, min_bytes| {
        fetch(&topic, 0, offset, max_bytes).with_max_wait_ms(60_000).with_min_bytes(min_bytes)
    };
    // (what, request)
    let cases = [
        ("the limit of the partition is within a batch", patient(3, 1500, 1500)),
        ("more is asked for than allowed", patient(3, 1500, 1 << 30)),
        ("the segment ends before", patient(1, 1 << 20, 1 << 20)),
        ("the limit of the request is within a batch", {
            let mut both = patient(3, 1500, 1500);
            let mut first = fetch(&topic, 1, 0, 1500);
            both.topics[0].partitions.insert(0, first.topics[0].partitions.remove(0));
            both
        }),
    ];
    let asked = Instant::now();
    for (what, request) in cases {
        let answer = connection.call(FETCH, &request);
        let records = |p: &PartitionData| p.records.as_ref().map_or(0, |records| records.len());
        assert!(answer.responses[0].partitions.iter().any(|p| records(p) > 0), "{what}");
        assert!(asked.elapsed() < Duration::from_secs(30), "{what}: it waited");
    }
}

#[test]
fn an_empty_fetch_takes_as_long_as_it_says() {
    let broker = Broker::any();
    let mut connection = broker.connect();
    let topic = unique("empty");
    create_topic(&mut connection, &topic, 1, &[]);
    for wait in [0, 300] {
        let asked = Instant::now();
        let answer =
            only_partition(connection.call(FETCH, &fetch(&topic, 0, 0, 1000).with_max_wait_ms(wait)));
        let took = asked.elapsed();
        assert_eq!((answer.error_code, answer.high_watermark), (0, 0));
        let earliest = Duration::from_millis(u64::from(wait.cast_unsigned()).saturating_sub(5));
        assert!(took >= earliest && took < Duration::from_secs(20), "max_wait_ms={wait} took {took:?}");
    }
}

#[test]
fn one_slow_fetch_holds_up_nobody_else() {
    let broker = Broker::any();
    let mut connection = broker.connect();
    let topic = unique("crowd");
    create_topic(&mut connection, &topic, 1, &[]);
    let (done, ended) = mpsc::channel();
    let mut waiting: Vec<_> = (0..200)
        .map(|_| {
            let mut consumer = broker.connect();
            consumer.send(FETCH, &fetch(&topic, 0, 0, 1 << 20).with_max_wait_ms(50_000));
            consumer
        })
        .collect();
    let asked = Instant::now();
    append(&mut connection, &topic, 0, Batch::of(["to all"]).encode());
    std::thread::scope(|scope| {
        for consumer in &mut waiting {
            let done = done.clone();
            scope.spawn(move || {
                let answer = only_partition(consumer.receive::<FetchRequest>(FETCH).1);
                done.send(answer.records.map_or(0, |records| records.len())).expect("the test waits");
            });
        }
    });
    drop(done);
    assert!(ended.iter().all(|bytes| bytes > 0));
    assert!(asked.elapsed() < Duration::from_secs(25));
}

/// A request of an incremental session.
fn in_session(id: i32, epoch: i32, topic: &str, partitions: &[(i32, i64)]) -> FetchRequest {
    let partitions: Vec<_> =
        partitions.iter().map(|(index, offset)| fetch_partition(*index, *offset, 1 << 20)).collect();
    let topics = if partitions.is_empty() {
        Vec::new()
    } else {
        vec![FetchTopic::default().with_topic(name(topic)).with_partitions(partitions)]
    };
    fetch(topic, 0, 0, 1 << 20).with_session_id(id).with_session_epoch(epoch).with_topics(topics)
}

#[test]
fn a_session_returns_only_what_changed() {
    let broker = Broker::any();
    let mut connection = broker.connect();
    let topic = unique("session");
    create_topic(&mut connection, &topic, 3, &[]);
    let full = connection.call(FETCH, &in_session(0, 0, &topic, &[(0, 0), (1, 0), (2, 0)]));
    let id = full.session_id;
    assert_eq!(
        (full.error_code, full.responses[0].partitions.len()),
        (0, 3),
        "a full fetch names every partition"
    );
    assert_ne!(id, 0, "a session was opened");

    let nothing = connection.call(FETCH, &in_session(id, 1, &topic, &[]));
    assert_eq!(
        (nothing.error_code, nothing.session_id, nothing.responses.len()),
        (0, id, 0),
        "nothing changed"
    );

    append(&mut connection, &topic, 1, Batch::of(["x"]).encode());
    let changed = connection.call(FETCH, &in_session(id, 2, &topic, &[]));
    let partitions = &changed.responses[0].partitions;
    assert_eq!((partitions.len(), partitions[0].partition_index, partitions[0].high_watermark), (1, 1, 1));

    // The consumer moved on; nothing is new.
    let moved = connection.call(FETCH, &in_session(id, 3, &topic, &[(1, 1)]));
    assert_eq!((moved.error_code, moved.responses.len()), (0, 0));

    let mut forget = in_session(id, 4, &topic, &[]);
    forget.forgotten_topics_data =
        vec![ForgottenTopic::default().with_topic(name(&topic)).with_partitions(vec![1])];
    assert_eq!(connection.call(FETCH, &forget).error_code, 0);
    append(&mut connection, &topic, 1, Batch::of(["unseen"]).encode());
    let after = connection.call(FETCH, &in_session(id, 5, &topic, &[]));
    assert_eq!((after.error_code, after.responses.len()), (0, 0), "a forgotten partition is not returned");

    assert_eq!(
        connection.call(FETCH, &in_session(id, 9, &topic, &[])).error_code,
        INVALID_FETCH_SESSION_EPOCH
    );
    let unknown = connection.call(FETCH, &in_session(id.wrapping_add(1), 1, &topic, &[]));
    assert_eq!(unknown.error_code, FETCH_SESSION_ID_NOT_FOUND);
    // A final epoch closes it.
    assert_eq!(connection.call(FETCH, &in_session(id, -1, &topic, &[(0, 0)])).error_code, 0);
    assert_eq!(
        connection.call(FETCH, &in_session(id, 6, &topic, &[])).error_code,
        FETCH_SESSION_ID_NOT_FOUND
    );
}

#[test]
fn an_unknown_topic_is_an_error_of_its_partition() {
    let broker = Broker::any();
    let mut connection = broker.connect();
    let answer = only_partition(connection.call(FETCH, &fetch(&unique("nowhere"), 0, 0, 1000)));
    assert_eq!(answer.error_code, 3);
    assert_eq!(requests::describe_topic(&mut connection, &unique("nowhere")).error_code, 3);
}
