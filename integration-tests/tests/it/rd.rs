//! librdkafka as the tests use it: a producer that counts what was acknowledged, and members of groups.

use milena_integration_tests::raw::PATIENCE;
use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use rdkafka::util::Timeout;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long one poll waits: short, since every loop looks at its own condition between two.
pub(crate) const POLL: Duration = Duration::from_millis(20);

/// Where an acknowledged record lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Acknowledged {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) value: Vec<u8>,
}

/// Notes every acknowledgement.
#[derive(Clone, Default)]
pub(crate) struct Deliveries {
    acknowledged: Arc<Mutex<Vec<Acknowledged>>>,
    failed: Arc<Mutex<Vec<String>>>,
}

impl Deliveries {
    /// What was acknowledged so far.
    pub(crate) fn acknowledged(&self) -> Vec<Acknowledged> {
        self.acknowledged.lock().expect("no panic").clone()
    }

    /// How many records were acknowledged so far.
    pub(crate) fn count(&self) -> usize {
        self.acknowledged.lock().expect("no panic").len()
    }
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(message) => self.acknowledged.lock().expect("no panic").push(Acknowledged {
                partition: message.partition(),
                offset: message.offset(),
                value: message.payload().unwrap_or_default().to_vec(),
            }),
            Err((error, _)) => self.failed.lock().expect("no panic").push(error.to_string()),
        }
    }
}

/// A producer and what became of its records.
pub(crate) struct Sending {
    producer: ThreadedProducer<Deliveries>,
    pub(crate) deliveries: Deliveries,
}

impl Sending {
    /// A producer with the given settings beside the address.
    pub(crate) fn new(address: &str, settings: &[(&str, &str)]) -> Self {
        let deliveries = Deliveries::default();
        let producer = config(address, settings)
            .create_with_context(deliveries.clone())
            .expect("settings that librdkafka knows");
        Self { producer, deliveries }
    }

    /// Queues a record; waits while the queue is full.
    pub(crate) fn send(&self, topic: &str, key: Option<&str>, value: &[u8]) {
        let mut record = BaseRecord::to(topic).payload(value);
        if let Some(key) = key {
            record = record.key(key);
        }
        self.queue(record);
    }

    /// Queues a record of a given time.
    pub(crate) fn send_at(&self, topic: &str, timestamp: i64, value: &[u8]) {
        self.queue(BaseRecord::<str, [u8], ()>::to(topic).payload(value).timestamp(timestamp));
    }

    fn queue(&self, mut record: BaseRecord<'_, str, [u8], ()>) {
        while let Err((error, again)) = self.producer.send(record) {
            assert!(error.to_string().contains("QueueFull"), "{error}");
            let _ = self.producer.flush(POLL);
            record = again;
        }
    }

    /// Waits until every record was acknowledged.
    pub(crate) fn finish(&self) {
        self.producer.flush(Timeout::After(3 * PATIENCE)).expect("every record is acknowledged in time");
        let failed = self.deliveries.failed.lock().expect("no panic");
        assert!(failed.is_empty(), "{} records failed, the first with {}", failed.len(), failed[0]);
    }
}

/// Settings for librdkafka.
pub(crate) fn config(address: &str, settings: &[(&str, &str)]) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address);
    // A broker that is killed and comes back in milliseconds is to be found in milliseconds.
    config.set("reconnect.backoff.ms", "10").set("reconnect.backoff.max.ms", "200");
    for (key, value) in settings {
        config.set(*key, *value);
    }
    config
}

/// A consumer in `group`, from the first offset on where nothing is committed.
pub(crate) fn member(address: &str, group: &str, topic: &str, settings: &[(&str, &str)]) -> BaseConsumer {
    let mut config = config(address, settings);
    config.set("group.id", group).set("auto.offset.reset", "earliest");
    let consumer: BaseConsumer = config.create().expect("settings that librdkafka knows");
    consumer.subscribe(&[topic]).expect("a topic can be subscribed to");
    consumer
}

/// One record as a consumer saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) key: String,
    pub(crate) value: Vec<u8>,
}

/// The next record, or `None` if none came in [`POLL`]. Errors of connections are librdkafka's to mend.
pub(crate) fn poll<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> Option<Seen> {
    match consumer.poll(POLL)? {
        Ok(message) => Some(Seen {
            partition: message.partition(),
            offset: message.offset(),
            key: String::from_utf8_lossy(message.key().unwrap_or_default()).into_owned(),
            value: message.payload().unwrap_or_default().to_vec(),
        }),
        Err(_) => None,
    }
}

/// Polls until `count` records were seen, and returns them.
pub(crate) fn consume<C: ConsumerContext>(consumer: &BaseConsumer<C>, count: usize) -> Vec<Seen> {
    let started = Instant::now();
    let mut seen = Vec::new();
    while seen.len() < count {
        seen.extend(poll(consumer));
        assert!(started.elapsed() < 2 * PATIENCE, "{} of {count} records came", seen.len());
    }
    seen
}

/// A condition that some thread waits for.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < 2 * PATIENCE, "{what} did not come about");
        std::thread::yield_now();
    }
}

/// The number of partitions that `consumer` holds at the moment.
pub(crate) fn held<C: ConsumerContext>(consumer: &BaseConsumer<C>) -> usize {
    consumer.assignment().map_or(0, |list| list.count())
}
