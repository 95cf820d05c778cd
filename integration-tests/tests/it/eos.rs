//! Exactly once, shown: orders go through two stages, each of which reads, changes and writes in transactions of which
//! some are aborted on purpose, while the broker is killed again and again.

use crate::rd::{POLL, config, consume, member, poll, wait_until};
use milena_integration_tests::broker::{Broker, unique};
use milena_integration_tests::random::Random;
use milena_integration_tests::raw::PATIENCE;
use milena_integration_tests::requests::create_topic;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::HashMap;
use std::env;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const PARTITIONS: i32 = 4;
/// Who orders; the orders of one customer stay in sequence.
const CUSTOMERS: usize = 97;
/// The largest number of records in a transaction of a stage.
const TRANSACTION: usize = 100;
/// One transaction of so many is aborted on purpose.
const ABORTED: usize = 5;
/// The protocols that the groups of the workers may speak.
const CLASSIC: &str = "classic";
const CONSUMER: &str = "consumer";
/// How many workers share the first and the second stage.
const WORKERS: [usize; 2] = [2, 1];
const COMMITTED: (&str, &str) = ("isolation.level", "read_committed");

/// Its reports are taken by a thread: an end of a transaction waits until they are, that the broker is gone among them.
type Transactional = ThreadedProducer<DefaultProducerContext>;

/// What a member of a group is told about its partitions.
#[derive(Default)]
struct Changes(AtomicUsize);

impl ClientContext for Changes {}

impl ConsumerContext for Changes {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, _: &Rebalance<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

struct Order {
    partition: i32,
    offset: i64,
    customer: String,
    value: String,
}

/// One worker of a stage: what it reads and what it makes of it are one transaction.
struct Worker<'a> {
    address: &'a str,
    from: &'a str,
    to: &'a str,
    id: String,
    consumer: BaseConsumer<Changes>,
    random: Random,
}

impl<'a> Worker<'a> {
    fn new(address: &'a str, [from, to]: [&'a str; 2], group: &str, protocol: &str, seed: usize) -> Self {
        let settings = [COMMITTED, ("enable.auto.commit", "false"), ("group.id", group)];
        let mut config = config(address, &settings);
        config.set("group.protocol", protocol);
        if protocol == CLASSIC {
            config.set("session.timeout.ms", "6000");
        }
        config.set("auto.offset.reset", "earliest");
        let consumer: BaseConsumer<Changes> =
            config.create_with_context(Changes::default()).expect("settings that librdkafka knows");
        consumer.subscribe(&[from]).expect("a topic can be subscribed to");
        let (id, random) = (format!("{group}-{seed}"), Random::new(seed as u64));
        Self { address, from, to, id, consumer, random }
    }

    /// Works until it is told to stop; a producer that came to grief is replaced by the next one of the same id, which
    /// ends what the former has left.
    fn run(mut self, done: &AtomicUsize, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            let Ok(producer) = self.producer() else { continue };
            if self.rewind().is_err() {
                continue;
            }
            while !stop.load(Ordering::Relaxed) {
                let orders = self.take();
                if orders.is_empty() {
                    continue;
                }
                let aborts = self.random.below(ABORTED) == 0;
                let ended = self.transact(&producer, &orders, aborts);
                if ended.is_err() || (aborts && self.rewind().is_err()) {
                    break;
                }
                done.fetch_add(if aborts { 0 } else { orders.len() }, Ordering::Relaxed);
            }
        }
    }

    fn producer(&self) -> KafkaResult<Transactional> {
        let settings = [("transactional.id", self.id.as_str()), ("linger.ms", "1")];
        let producer: Transactional = config(self.address, &settings).create()?;
        producer.init_transactions(PATIENCE)?;
        Ok(producer)
    }

    /// The next orders. What came before the partitions changed hands is not this worker's any more, or comes again.
    fn take(&self) -> Vec<Order> {
        let mut orders = Vec::new();
        while orders.len() < TRANSACTION {
            let before = self.consumer.context().0.load(Ordering::Relaxed);
            let polled = self.consumer.poll(POLL);
            if before != self.consumer.context().0.load(Ordering::Relaxed) {
                orders.clear();
            }
            let Some(Ok(message)) = polled else { break };
            let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
            orders.push(Order {
                partition: message.partition(),
                offset: message.offset(),
                customer: text(message.key()),
                value: text(message.payload()),
            });
        }
        orders
    }

    fn transact(&self, producer: &Transactional, orders: &[Order], aborts: bool) -> KafkaResult<()> {
        producer.begin_transaction()?;
        let mut next = HashMap::new();
        for order in orders {
            let value = format!("{}>", order.value);
            let mut record = BaseRecord::to(self.to).key(&order.customer).payload(&value);
            while let Err((error, again)) = producer.send(record) {
                if !error.to_string().contains("QueueFull") {
                    return Err(error);
                }
                producer.poll(POLL);
                record = again;
            }
            next.insert((self.from.to_owned(), order.partition), Offset::Offset(order.offset + 1));
        }
        let metadata = self.consumer.group_metadata().ok_or(KafkaError::Canceled)?;
        let offsets = TopicPartitionList::from_topic_map(&next)?;
        producer.send_offsets_to_transaction(&offsets, &metadata, PATIENCE)?;
        if aborts { producer.abort_transaction(PATIENCE) } else { producer.commit_transaction(PATIENCE) }
    }

    /// Goes back to where the last transaction that counts has ended.
    fn rewind(&self) -> KafkaResult<()> {
        let assigned = self.consumer.assignment()?;
        if assigned.count() == 0 {
            return Ok(());
        }
        for element in self.consumer.committed_offsets(assigned, PATIENCE)?.elements() {
            let offset = match element.offset() {
                Offset::Invalid => Offset::Beginning,
                offset => offset,
            };
            self.consumer.seek(element.topic(), element.partition(), offset, PATIENCE)?;
        }
        Ok(())
    }
}

/// Writes the orders, some of them again and again in transactions that are aborted.
fn send_orders(address: &str, topic: &str, orders: usize) {
    let producer: Transactional = config(address, &[("transactional.id", &unique("source"))])
        .create()
        .expect("settings that librdkafka knows");
    producer.init_transactions(PATIENCE).expect("the producer is initialised in time");
    let numbers: Vec<usize> = (0..orders).collect();
    for (index, chunk) in numbers.chunks(1_000).enumerate() {
        let outcomes: &[bool] = if index % 3 == 0 { &[false, true] } else { &[true] };
        for commits in outcomes {
            producer.begin_transaction().expect("a transaction can begin");
            for number in chunk {
                let (customer, value) = (format!("customer-{}", number % CUSTOMERS), number.to_string());
                producer
                    .send(BaseRecord::to(topic).key(&customer).payload(&value))
                    .map_err(|(error, _)| error)
                    .expect("the queue holds a transaction");
            }
            let ended = if *commits {
                producer.commit_transaction(PATIENCE)
            } else {
                producer.flush(PATIENCE).and_then(|()| producer.abort_transaction(PATIENCE))
            };
            ended.expect("a transaction can end");
        }
    }
}

/// Sends `orders` through both stages while the broker is killed `kills` times.
fn through_kills(orders: usize, kills: usize, protocol: &str) {
    let Some(mut broker) = Broker::own(&[]) else { return };
    let topics = ["orders", "priced", "shipped"].map(unique);
    for topic in &topics {
        create_topic(&mut broker.connect(), topic, PARTITIONS, &[]);
    }
    let address = broker.address().to_owned();
    send_orders(&address, &topics[0], orders);
    let groups = ["pricing", "shipping"].map(unique);
    let (done, stop) = ([AtomicUsize::new(0), AtomicUsize::new(0)], AtomicBool::new(false));
    let seen = std::thread::scope(|scope| {
        for (stage, workers) in WORKERS.into_iter().enumerate() {
            for worker in 0..workers {
                let route = [topics[stage].as_str(), topics[stage + 1].as_str()];
                let (address, group, done, stop) = (&address, &groups[stage], &done[stage], &stop);
                scope.spawn(move || Worker::new(address, route, group, protocol, worker).run(done, stop));
            }
        }
        for kill in 1..=kills {
            // By turns while the first and while the second stage has come that far.
            wait_until("progress", || done[kill % 2].load(Ordering::Relaxed) >= orders * kill / (kills + 2));
            broker.kill();
            broker.launch();
        }
        let reader = member(&address, &unique("check"), &topics[2], &[COMMITTED]);
        let mut seen = consume(&reader, orders);
        stop.store(true, Ordering::Relaxed);
        // Nothing may come behind.
        seen.extend((0..20).filter_map(|_| poll(&reader)));
        seen
    });
    let mut next: HashMap<String, usize> = HashMap::new();
    for record in &seen {
        let value = String::from_utf8_lossy(&record.value);
        let number: usize = value.strip_suffix(">>").and_then(|text| text.parse().ok()).expect("two stages");
        assert_eq!(record.key, format!("customer-{}", number % CUSTOMERS));
        let expected = next.entry(record.key.clone()).or_insert(number % CUSTOMERS);
        assert_eq!(number, *expected, "{}", record.key);
        *expected += CUSTOMERS;
    }
    assert_eq!(seen.len(), orders);
}

#[test]
fn orders_go_through_two_stages_once_each_and_in_sequence() {
    through_kills(5_000, 4, CLASSIC);
}

#[test]
fn with_groups_of_the_consumer_protocol_they_do_so_too() {
    through_kills(5_000, 4, CONSUMER);
}

/// `MILENA_TEST_ORDERS` says how many (100,000 if it does not).
#[test]
#[ignore = "a minute or more"]
fn very_many_orders_go_through_two_stages_once_each_and_in_sequence() {
    let orders = env::var("MILENA_TEST_ORDERS").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000);
    for protocol in [CLASSIC, CONSUMER] {
        through_kills(orders, 20, protocol);
    }
}
