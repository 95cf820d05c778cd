//! Transactions as librdkafka uses them, and in the hands of a client that says exactly what it is told: through
//! aborts, fencing, timeouts and kill -9.

use crate::rd::{POLL, config, consume, member, poll, wait_until};
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use kafka_protocol::messages::{
    AddPartitionsToTxnRequest, DescribeProducersRequest, DescribeTransactionsRequest, EndTxnRequest,
    FindCoordinatorRequest, TransactionalId, WriteTxnMarkersRequest,
};
use milena_integration_tests::broker::{Broker, unique};
use milena_integration_tests::raw::{Connection, PATIENCE};
use milena_integration_tests::records::{Batch, batches};
use milena_integration_tests::requests::{
    FETCH, PRODUCE, create_topic, fetch, name, only_partition, produce, producer_id_with, text,
};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const INVALID_PRODUCER_EPOCH: i16 = 47;
const COMMITTED: (&str, &str) = ("isolation.level", "read_committed");
const UNCOMMITTED: (&str, &str) = ("isolation.level", "read_uncommitted");

/// Its reports are taken by a thread: an end of a transaction waits until they are, that the broker is gone among them.
type Transactional = ThreadedProducer<DefaultProducerContext>;

fn transactional(address: &str, id: &str, settings: &[(&str, &str)]) -> Transactional {
    let mut config = config(address, settings);
    config.set("transactional.id", id);
    let producer: Transactional = config.create().expect("settings that librdkafka knows");
    producer.init_transactions(2 * PATIENCE).expect("the producer is initialised in time");
    producer
}

fn send(producer: &Transactional, topic: &str, values: impl IntoIterator<Item = String>) {
    for value in values {
        let mut record: BaseRecord<'_, str, String> = BaseRecord::to(topic).payload(&value);
        while let Err((error, again)) = producer.send(record) {
            assert!(error.to_string().contains("QueueFull"), "{error}");
            producer.poll(POLL);
            record = again;
        }
    }
}

/// Asks until the answer is no request for patience: Kafka loads its coordinators behind the start, and writes markers
/// behind the answer. milena has no such excuse.
pub(crate) fn patiently(broker: &Broker, mut ask: impl FnMut() -> i16) -> i16 {
    let started = Instant::now();
    loop {
        let error = ask();
        let later = matches!(error, 3 | 6 | 14..=16 | 19 | 51) && started.elapsed() < PATIENCE;
        if broker.is_milena() || !later {
            return error;
        }
    }
}

/// A producer as raw requests make it.
pub(crate) struct Raw {
    pub(crate) id: String,
    pub(crate) producer_id: i64,
    pub(crate) epoch: i16,
    sequence: i32,
}

impl Raw {
    pub(crate) fn init(connection: &mut Connection, id: String) -> Self {
        Self::init_with(connection, id, 60_000)
    }

    /// Its transactions end after so many milliseconds.
    pub(crate) fn init_with(connection: &mut Connection, id: String, timeout_ms: i32) -> Self {
        // Kafka has no coordinator before it is asked for one.
        let request = FindCoordinatorRequest::default().with_key(text(&id)).with_key_type(1);
        wait_until("the coordinator", || connection.call(3, &request).error_code == 0);
        let (producer_id, epoch) = producer_id_with(connection, Some(&id), timeout_ms);
        Self { id, producer_id, epoch, sequence: 0 }
    }

    pub(crate) fn add(&self, connection: &mut Connection, topic: &str) -> i16 {
        let topic = AddPartitionsToTxnTopic::default().with_name(name(topic)).with_partitions(vec![0]);
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(TransactionalId(text(&self.id)))
            .with_v3_and_below_producer_id(self.producer_id.into())
            .with_v3_and_below_producer_epoch(self.epoch)
            .with_v3_and_below_topics(vec![topic]);
        let mut response = connection.call(3, &request);
        response.results_by_topic_v3_and_below.remove(0).results_by_partition[0].partition_error_code
    }

    pub(crate) fn append(&mut self, connection: &mut Connection, topic: &str, value: &str) -> i16 {
        let error = self.append_as(connection, PRODUCE, (topic, 0), value);
        self.sequence += i32::from(error == 0);
        error
    }

    /// With this version of Produce, to this partition, as the first batch there unless [`append`](Self::append) had any.
    pub(crate) fn append_as(
        &self,
        connection: &mut Connection,
        version: i16,
        (topic, partition): (&str, i32),
        value: &str,
    ) -> i16 {
        let batch = Batch {
            producer_id: self.producer_id,
            producer_epoch: self.epoch,
            base_sequence: self.sequence,
            attributes: 0x10,
            ..Batch::of([value])
        };
        let request = produce(topic, partition, -1, batch.encode())
            .with_transactional_id(Some(TransactionalId(text(&self.id))));
        connection.call(version, &request).responses[0].partition_responses[0].error_code
    }

    pub(crate) fn end(&self, connection: &mut Connection, commit: bool) -> i16 {
        connection.call(3, &self.end_request(commit)).error_code
    }

    /// In version 3.
    pub(crate) fn end_request(&self, commit: bool) -> EndTxnRequest {
        EndTxnRequest::default()
            .with_transactional_id(TransactionalId(text(&self.id)))
            .with_producer_id(self.producer_id.into())
            .with_producer_epoch(self.epoch)
            .with_committed(commit)
    }

    /// An administrator aborts it in partition 0, in the name of a coordinator of this epoch.
    fn abort_by_hand(&self, connection: &mut Connection, topic: &str, coordinator_epoch: i32) -> i16 {
        let at = WritableTxnMarkerTopic::default().with_name(name(topic)).with_partition_indexes(vec![0]);
        let marker = WritableTxnMarker::default()
            .with_producer_id(self.producer_id.into())
            .with_producer_epoch(self.epoch)
            .with_coordinator_epoch(coordinator_epoch)
            .with_topics(vec![at]);
        let request = WriteTxnMarkersRequest::default().with_markers(vec![marker]);
        connection.call(1, &request).markers[0].topics[0].partitions[0].error_code
    }

    pub(crate) fn state(&self, connection: &mut Connection) -> String {
        let request = DescribeTransactionsRequest::default()
            .with_transactional_ids(vec![TransactionalId(text(&self.id))]);
        connection.call(0, &request).transaction_states[0].transaction_state.to_string()
    }
}

/// What a consumer of committed records finds in partition 0, and where it must stop. The markers are years younger than
/// the records, so every transaction begins a new segment.
pub(crate) fn committed(connection: &mut Connection, topic: &str) -> (Vec<String>, i64) {
    let (mut offset, mut values) = (0, Vec::new());
    loop {
        let request = fetch(topic, 0, offset, 8 << 20).with_isolation_level(1);
        let answer = only_partition(connection.call(FETCH, &request));
        let aborted = answer.aborted_transactions.unwrap_or_default();
        assert!(aborted.is_sorted_by_key(|one| one.first_offset), "{aborted:?}");
        let (mut aborted, mut open) = (aborted.into_iter().peekable(), BTreeSet::new());
        let records = answer.records.unwrap_or_default();
        for batch in batches(&records) {
            offset = batch.last_offset() + 1;
            let producer = i64::from_be_bytes(*batch.bytes[43..].first_chunk().expect("a whole header"));
            while let Some(begun) = aborted.next_if(|one| one.first_offset < offset) {
                open.insert(begun.producer_id.0);
            }
            if batch.attributes() & 0x20 != 0 {
                open.remove(&producer);
            } else if !open.contains(&producer) {
                let texts =
                    batch.values().into_iter().map(|value| String::from_utf8_lossy(value).into_owned());
                values.extend(texts);
            }
        }
        if offset >= answer.last_stable_offset {
            return (values, answer.last_stable_offset);
        }
    }
}

#[test]
fn committed_records_are_read_and_aborted_ones_are_not() {
    let broker = Broker::any();
    let topic = unique("outcomes");
    // Segments roll in the middle of transactions.
    create_topic(&mut broker.connect(), &topic, 2, &[("segment.bytes", "1048576")]);
    let producer = transactional(broker.address(), &unique("outcomes"), &[]);
    let (mut wanted, mut all) = (BTreeSet::new(), BTreeSet::new());
    for round in 0..12 {
        let values: Vec<String> = (0..40).map(|n| format!("{round}-{n}-{}", "x".repeat(8 << 10))).collect();
        producer.begin_transaction().expect("a transaction can begin");
        send(&producer, &topic, values.iter().cloned());
        all.extend(values.iter().cloned());
        if round % 3 == 0 {
            producer.flush(PATIENCE).expect("records are acknowledged before the abort");
            producer.abort_transaction(PATIENCE).expect("a transaction can be aborted");
        } else {
            producer.commit_transaction(PATIENCE).expect("a transaction can be committed");
            wanted.extend(values);
        }
    }
    for (isolation, expected) in [(COMMITTED, &wanted), (UNCOMMITTED, &all)] {
        let consumer = member(broker.address(), &unique("reader"), &topic, &[isolation]);
        let seen = consume(&consumer, expected.len());
        let values: BTreeSet<String> =
            seen.iter().map(|record| String::from_utf8_lossy(&record.value).into_owned()).collect();
        assert_eq!(values.len(), seen.len(), "nothing comes twice");
        assert!(&values == expected, "{}", isolation.1);
    }
}

#[test]
fn offsets_count_when_their_transaction_is_committed() {
    let broker = Broker::any();
    let (topic, group) = (unique("with-offsets"), unique("with-offsets"));
    create_topic(&mut broker.connect(), &topic, 1, &[]);
    let producer = transactional(broker.address(), &unique("with-offsets"), &[]);
    producer.begin_transaction().expect("a transaction can begin");
    send(&producer, &topic, (0..10).map(|n| n.to_string()));
    producer.commit_transaction(PATIENCE).expect("a transaction can be committed");
    let consumer = member(broker.address(), &group, &topic, &[COMMITTED, ("enable.auto.commit", "false")]);
    consume(&consumer, 10);
    let stored = || {
        let mut asked = TopicPartitionList::new();
        asked.add_partition(&topic, 0);
        let offsets = consumer.committed_offsets(asked, PATIENCE).expect("offsets can be fetched");
        offsets.elements()[0].offset()
    };
    let at = |offset| {
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset(&topic, 0, Offset::Offset(offset)).expect("an offset");
        offsets
    };
    consumer.commit(&at(3), CommitMode::Sync).expect("offsets can be committed");
    let metadata = consumer.group_metadata().expect("a member");
    for (offset, commits, expected) in [(5, false, 3), (7, true, 7), (9, false, 7), (10, true, 10)] {
        producer.begin_transaction().expect("a transaction can begin");
        producer
            .send_offsets_to_transaction(&at(offset), &metadata, PATIENCE)
            .expect("offsets can be part of a transaction");
        let ended = if commits {
            producer.commit_transaction(PATIENCE)
        } else {
            producer.abort_transaction(PATIENCE)
        };
        ended.expect("a transaction can end");
        assert_eq!(stored(), Offset::Offset(expected), "{offset}, {commits}");
    }
}

#[test]
fn a_second_producer_fences_the_first() {
    let broker = Broker::any();
    let (topic, id) = (unique("fencing"), unique("fencing"));
    create_topic(&mut broker.connect(), &topic, 1, &[]);
    let first = transactional(broker.address(), &id, &[]);
    first.begin_transaction().expect("a transaction can begin");
    send(&first, &topic, ["lost".to_owned()]);
    first.flush(PATIENCE).expect("the record is acknowledged");
    let second = transactional(broker.address(), &id, &[]);
    match first.commit_transaction(PATIENCE) {
        Err(KafkaError::Transaction(error)) => {
            assert!(error.is_fatal(), "{error}");
            let fenced = [RDKafkaErrorCode::Fenced, RDKafkaErrorCode::InvalidProducerEpoch];
            assert!(fenced.contains(&error.code()), "{error}");
        }
        other => panic!("the first producer is not fenced: {other:?}"),
    }
    second.begin_transaction().expect("a transaction can begin");
    send(&second, &topic, ["kept".to_owned()]);
    second.commit_transaction(PATIENCE).expect("a transaction can be committed");
    assert_eq!(committed(&mut broker.connect(), &topic).0, ["kept"]);
}

#[test]
fn a_waiting_consumer_of_committed_records_is_woken_by_the_marker() {
    let broker = Broker::any();
    let mut connection = broker.connect();
    let topic = unique("woken");
    create_topic(&mut connection, &topic, 1, &[]);
    let mut producer = Raw::init(&mut connection, unique("woken"));
    assert_eq!(producer.add(&mut connection, &topic), 0);
    let mut waiting = broker.connect();
    let wait_ms = 50_000;
    let request = fetch(&topic, 0, 0, 1 << 20).with_isolation_level(1);
    waiting.send(FETCH, &request.with_max_wait_ms(wait_ms).with_min_bytes(500));
    assert_eq!(producer.append(&mut connection, &topic, &"x".repeat(1000)), 0);
    assert_eq!(committed(&mut connection, &topic), (Vec::new(), 0));
    let asked = Instant::now();
    assert_eq!(producer.end(&mut connection, true), 0);
    let (_, response) = waiting.receive::<kafka_protocol::messages::FetchRequest>(FETCH);
    assert!(asked.elapsed() < Duration::from_millis(wait_ms as u64 / 2), "it waited for its time to be up");
    assert_eq!(only_partition(response).last_stable_offset, 2);
}

#[test]
fn a_transaction_that_is_open_for_too_long_is_aborted() {
    let options = [("transaction.abort.timed.out.transaction.cleanup.interval.ms", "100")];
    let Some(broker) = Broker::own(&options) else { return };
    let mut connection = broker.connect();
    let topic = unique("timeout");
    create_topic(&mut connection, &topic, 1, &[]);
    let producer = transactional(broker.address(), &unique("timeout"), &[("transaction.timeout.ms", "1000")]);
    producer.begin_transaction().expect("a transaction can begin");
    send(&producer, &topic, ["lost".to_owned()]);
    producer.flush(PATIENCE).expect("the record is acknowledged");
    assert_eq!(committed(&mut connection, &topic), (Vec::new(), 0));
    wait_until("the abort", || committed(&mut connection, &topic) == (Vec::new(), 2));
    producer.commit_transaction(PATIENCE).expect_err("the transaction was aborted");
}

/// What `kafka-transactions.sh find-hanging` and `abort` ask: the coordinator knows of no transaction, the partition does.
#[test]
fn a_transaction_that_no_coordinator_knows_can_be_seen_and_ended() {
    let Some(broker) = Broker::own(&[("transaction.partition.verification.enable", "false")]) else { return };
    let mut connection = broker.connect();
    let topic = unique("hanging");
    create_topic(&mut connection, &topic, 1, &[]);
    let mut producer = Raw::init(&mut connection, unique("hanging"));
    let append = || producer.append(&mut connection, &topic, "lost");
    assert_eq!(patiently(&broker, append), 0);
    assert_eq!(producer.state(&mut connection), "Empty");
    let wanted = TopicRequest::default().with_name(name(&topic)).with_partition_indexes(vec![0]);
    let started = |connection: &mut Connection| {
        let request = DescribeProducersRequest::default().with_topics(vec![wanted.clone()]);
        let described = connection.call(0, &request).topics.remove(0).partitions.remove(0);
        let one = described.active_producers[0].clone();
        assert_eq!(
            (one.producer_id.0, one.producer_epoch),
            (producer.producer_id, i32::from(producer.epoch))
        );
        one.current_txn_start_offset
    };
    assert_eq!(started(&mut connection), 0);
    assert_eq!(committed(&mut connection, &topic), (Vec::new(), 0));
    assert_eq!(producer.abort_by_hand(&mut connection, &topic, 0), 0);
    assert_eq!(started(&mut connection), -1);
    assert_eq!(committed(&mut connection, &topic), (Vec::new(), 2));
}

/// An administrator has named an epoch of the coordinator that is too high. Kafka writes no marker there any more.
#[test]
fn an_abort_in_the_name_of_a_later_coordinator_leaves_no_transaction_open() {
    let Some(broker) = Broker::milena(&[]) else { return };
    let mut connection = broker.connect();
    let topic = unique("later");
    create_topic(&mut connection, &topic, 1, &[]);
    let mut producer = Raw::init(&mut connection, unique("later"));
    assert_eq!(producer.add(&mut connection, &topic), 0);
    assert_eq!(producer.append(&mut connection, &topic, "lost"), 0);
    assert_eq!(producer.abort_by_hand(&mut connection, &topic, 1000), 0);
    assert_eq!(producer.end(&mut connection, false), 0);
    assert_eq!(producer.add(&mut connection, &topic), 0);
    assert_eq!(producer.append(&mut connection, &topic, "kept"), 0);
    assert_eq!(producer.end(&mut connection, true), 0);
    assert_eq!(producer.state(&mut connection), "CompleteCommit");
    let (values, stable) = committed(&mut connection, &topic);
    assert_eq!(values, ["kept"]);
    assert_eq!(stable, 5, "a marker of the administrator, and one for each transaction");
}

#[test]
fn a_kill_at_any_point_loses_no_decision() {
    let Some(mut broker) = Broker::own(&[]) else { return };
    let topic = unique("phases");
    create_topic(&mut broker.connect(), &topic, 1, &[]);
    let mut wanted = Vec::new();
    for (phase, commits) in (0..4).flat_map(|phase| [(phase, true), (phase, false)]) {
        let mut connection = broker.connect();
        let mut producer = Raw::init(&mut connection, unique("phases"));
        let restart_at = |at: i32, broker: &mut Broker, connection: &mut Connection| {
            if phase == at {
                broker.kill();
                broker.launch();
                *connection = broker.connect();
            }
        };
        let value = format!("{phase} {commits}");
        restart_at(0, &mut broker, &mut connection);
        let add = || producer.add(&mut connection, &topic);
        assert_eq!(patiently(&broker, add), 0, "{value}");
        restart_at(1, &mut broker, &mut connection);
        let append = || producer.append(&mut connection, &topic, &value);
        assert_eq!(patiently(&broker, append), 0, "{value}");
        restart_at(2, &mut broker, &mut connection);
        let end = || producer.end(&mut connection, commits);
        assert_eq!(patiently(&broker, end), 0, "{value}");
        restart_at(3, &mut broker, &mut connection);
        let state = if commits { "CompleteCommit" } else { "CompleteAbort" };
        wait_until("the end of the transaction", || producer.state(&mut connection) == state);
        assert_eq!(producer.append(&mut connection, &topic, "late"), 48, "{value}");
        assert_eq!(producer.end(&mut connection, commits), 0, "the answer is given again");
        wanted.extend(commits.then_some(value));
        assert_eq!(committed(&mut connection, &topic).0, wanted);
    }
    let mut connection = broker.connect();
    let mut fenced = Raw::init(&mut connection, unique("phases"));
    let again = Raw::init(&mut connection, fenced.id.clone());
    broker.kill();
    broker.launch();
    let mut connection = broker.connect();
    let late = || fenced.append(&mut connection, &topic, "late");
    assert_eq!(patiently(&broker, late), INVALID_PRODUCER_EPOCH);
    assert_eq!(patiently(&broker, || again.add(&mut connection, &topic)), 0);
}

/// Copies records until told to stop; each batch and the offsets it came from are one transaction.
fn copy(address: &str, from: &str, to: &str, group: &str, id: &str, copied: &AtomicUsize, stop: &AtomicBool) {
    'anew: while !stop.load(Ordering::Relaxed) {
        let producer = transactional(address, id, &[("linger.ms", "1")]);
        let settings = [COMMITTED, ("enable.auto.commit", "false"), ("session.timeout.ms", "6000")];
        let consumer: BaseConsumer = member(address, group, from, &settings);
        while !stop.load(Ordering::Relaxed) {
            let values: Vec<String> = std::iter::from_fn(|| poll(&consumer))
                .take(40)
                .map(|record| String::from_utf8_lossy(&record.value).into_owned())
                .collect();
            if values.is_empty() {
                continue;
            }
            let count = values.len();
            let done = producer.begin_transaction().and_then(|()| {
                send(&producer, to, values);
                let metadata = consumer.group_metadata().ok_or(KafkaError::Canceled)?;
                producer.send_offsets_to_transaction(&consumer.position()?, &metadata, PATIENCE)?;
                producer.commit_transaction(PATIENCE)
            });
            if done.is_err() {
                // Who begins anew takes up what is committed, and aborts what is not.
                continue 'anew;
            }
            copied.fetch_add(count, Ordering::Relaxed);
        }
    }
}

#[test]
fn a_copy_through_kills_has_every_record_once() {
    let Some(mut broker) = Broker::own(&[]) else { return };
    let (from, to, group, id) = (unique("from"), unique("to"), unique("copy"), unique("copy"));
    for topic in [&from, &to] {
        create_topic(&mut broker.connect(), topic, 2, &[]);
    }
    let total = 4_000;
    let source = transactional(broker.address(), &unique("source"), &[]);
    source.begin_transaction().expect("a transaction can begin");
    send(&source, &from, (0..total).map(|n| n.to_string()));
    source.commit_transaction(PATIENCE).expect("a transaction can be committed");
    let (copied, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let address = broker.address().to_owned();
    let seen = std::thread::scope(|scope| {
        scope.spawn(|| copy(&address, &from, &to, &group, &id, &copied, &stop));
        for target in [total / 8, total / 3, total / 2] {
            wait_until("copies", || copied.load(Ordering::Relaxed) >= target);
            broker.kill();
            broker.launch();
        }
        let reader = member(&address, &unique("check"), &to, &[COMMITTED]);
        let mut seen = consume(&reader, total);
        stop.store(true, Ordering::Relaxed);
        // Nothing may come behind.
        seen.extend((0..20).filter_map(|_| poll(&reader)));
        seen
    });
    let values: BTreeSet<usize> =
        seen.iter().map(|record| String::from_utf8_lossy(&record.value).parse().expect("a number")).collect();
    assert_eq!((seen.len(), values.len()), (total, total), "copied {}", copied.load(Ordering::Relaxed));
}
