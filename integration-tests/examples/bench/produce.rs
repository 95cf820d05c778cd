//! Producers that keep a fixed number of requests in flight, with frames built once.

use super::Figures;
use super::answers::{Answers, error_of};
use super::server::Server;
use super::transaction::Transaction;
use kafka_protocol::messages::produce_request::PartitionProduceData;
use milena_integration_tests::codecs::compress;
use milena_integration_tests::random::Random;
use milena_integration_tests::raw::{Connection, frame};
use milena_integration_tests::records::{Batch, TRANSACTIONAL, now_ms, seal};
use milena_integration_tests::requests::{self, PRODUCE, create_topic};
use std::collections::VecDeque;
use std::io::Write;
use std::net::TcpStream;
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

/// Error of a topic whose last transaction still waits for its markers.
const CONCURRENT_TRANSACTIONS: i16 = 51;
/// The first version in which a Produce adds its partitions to the transaction (KIP-890).
const PRODUCE_IN_TRANSACTION: i16 = 12;
/// Bytes of a partition in a Produce response without an error: index, error, base offset, append time, log start
/// offset, and three times nothing.
const ANSWER: usize = 4 + 2 + 8 + 8 + 8 + 3;

/// What to send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) topic: &'static str,
    pub(super) connections: i32,
    pub(super) partitions: i32,
    /// Partitions of a request, each with one batch: under 127.
    pub(super) together: i32,
    /// Requests in flight on each connection.
    pub(super) depth: usize,
    /// Records of a batch.
    pub(super) records: usize,
    /// Bytes of a value.
    pub(super) value: usize,
    /// Number of the codec. The values of packed batches are orders in JSON, those of plain ones letters.
    pub(super) codec: i16,
    pub(super) acks: i16,
    pub(super) identity: Identity,
    /// Settings of the topic.
    pub(super) configs: &'static [(&'static str, &'static str)],
    /// Bytes of batches in all, before they are packed.
    pub(super) bytes: u64,
}

/// Whether the broker knows who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Identity {
    /// No producer id.
    Nobody,
    /// A producer id for each partition.
    Idempotent,
    /// A transactional id for each connection, and so many requests in a transaction.
    Transactional(u64),
}

impl Load {
    fn batch(&self) -> Batch {
        let values = (0..self.records).map(|n| self.value_of(n));
        let transactional =
            if matches!(self.identity, Identity::Transactional(_)) { TRANSACTIONAL } else { 0 };
        Batch { base_timestamp: now_ms(), attributes: self.codec | transactional, ..Batch::of(values) }
    }

    fn value_of(&self, number: usize) -> Vec<u8> {
        if self.codec == 0 {
            return vec![b'a' + (number % 23) as u8; self.value];
        }
        let mut random = Random::new(number as u64);
        let mut out = String::new();
        while out.len() < self.value {
            let (order, customer, cents) =
                (random.next_u64(), random.below(100_000), random.below(10_000_000));
            out += &format!(
                r#"{{"order":"{order:016x}","customer":{customer},"cents":{cents},"currency":"EUR"}}"#
            );
        }
        out.truncate(self.value);
        out.into_bytes()
    }

    /// Bytes of the batches of one request, before they are packed.
    fn request_bytes(&self) -> u64 {
        self.batch().encode().len() as u64 * u64::from(self.together.unsigned_abs())
    }
}

/// A request that can be sent again and again.
struct Template {
    frame: Vec<u8>,
    /// Where its batches stand.
    batches: Vec<Range<usize>>,
    records: i32,
    sequence: Option<i32>,
}

impl Template {
    fn new(load: &Load, partitions: &[i32], transactional_id: Option<&str>) -> Self {
        let batch = load.batch();
        let batch = batch.encode_with(&compress(load.codec, &batch.plain_records()));
        let len = batch.len();
        let mut request = requests::produce(load.topic, 0, load.acks, Vec::new());
        request.transactional_id = transactional_id.map(|id| requests::text(id).into());
        request.topic_data[0].partition_data = partitions
            .iter()
            .map(|partition| {
                PartitionProduceData::default()
                    .with_index(*partition)
                    .with_records(Some(batch.clone().into()))
            })
            .collect();
        let version = if transactional_id.is_some() { PRODUCE_IN_TRANSACTION } else { PRODUCE };
        let frame = frame(0, version, &request);
        let mut batches = Vec::new();
        let mut at = 0;
        while batches.len() < partitions.len() {
            if frame[at..].starts_with(&batch) {
                batches.push(at..at + len);
                at += len;
            } else {
                at += 1;
            }
        }
        let records = i32::try_from(load.records).expect("an i32 of records");
        let sequence = (load.identity != Identity::Nobody).then_some(0);
        Self { frame, batches, records, sequence }
    }

    /// Gives the batches a producer, whose sequences begin anew.
    fn identify(&mut self, (producer_id, epoch): (i64, i16)) {
        for batch in &self.batches {
            let batch = &mut self.frame[batch.clone()];
            batch[43..51].copy_from_slice(&producer_id.to_be_bytes());
            batch[51..53].copy_from_slice(&epoch.to_be_bytes());
        }
        self.sequence = Some(0);
    }

    /// Adds the next request to `out`; an idempotent one has the next sequence.
    fn put(&mut self, out: &mut Vec<u8>) {
        if let Some(sequence) = &mut self.sequence {
            for batch in &self.batches {
                let batch = &mut self.frame[batch.clone()];
                batch[53..57].copy_from_slice(&sequence.to_be_bytes());
                seal(batch);
            }
            *sequence += self.records;
        }
        out.extend_from_slice(&self.frame);
    }
}

/// Sends everything and waits until it is acknowledged.
pub(super) fn run(server: &Server, load: &Load) -> Figures {
    run_timed(server, load).0
}

/// As [`run`], with how long each request waited for its answer.
pub(super) fn run_timed(server: &Server, load: &Load) -> (Figures, Vec<Duration>) {
    let mut connection = Connection::open(&server.address);
    create_topic(&mut connection, load.topic, load.partitions, load.configs);
    let request_bytes = load.request_bytes();
    let each = (load.bytes / request_bytes / u64::from(load.connections.unsigned_abs())).max(1);
    let lanes: Vec<Lane<'_>> =
        (0..load.connections).map(|number| Lane::open(server, load, number, &mut connection)).collect();
    let cpu = server.cpu_seconds();
    let started = Instant::now();
    let waits = thread::scope(|scope| {
        let lanes: Vec<_> = lanes
            .into_iter()
            .map(|mut lane| {
                scope.spawn(move || {
                    lane.run(each);
                    lane.waits
                })
            })
            .collect();
        lanes.into_iter().flat_map(|lane| lane.join().expect("everything is sent")).collect()
    });
    let operations = each * u64::from(load.connections.unsigned_abs());
    let figures = Figures {
        seconds: started.elapsed().as_secs_f64(),
        cpu_seconds: server.cpu_seconds() - cpu,
        bytes: operations * request_bytes,
        operations,
    };
    (figures, waits)
}

/// One connection, and the partitions to which it sends in turn.
struct Lane<'a> {
    load: &'a Load,
    stream: TcpStream,
    answers: Answers,
    templates: Vec<Template>,
    next: usize,
    /// Who ends the transactions.
    transaction: Option<Transaction>,
    /// How long each request waited for its answer.
    waits: Vec<Duration>,
}

impl<'a> Lane<'a> {
    fn open(server: &Server, load: &'a Load, number: i32, connection: &mut Connection) -> Self {
        let stream = TcpStream::connect(&server.address).expect("the broker listens");
        stream.set_nodelay(true).expect("a socket");
        // With fewer partitions than connections, several connections write to one.
        let share = (load.partitions / load.connections).max(load.together);
        let partitions: Vec<i32> = (0..share).map(|n| (number * share + n) % load.partitions).collect();
        let transaction = matches!(load.identity, Identity::Transactional(_))
            .then(|| Transaction::open(server, format!("{}-{number}", load.topic)));
        let id = transaction.as_ref().map(|transaction| transaction.id.as_str());
        let together = usize::try_from(load.together).expect("a number of partitions");
        let mut templates: Vec<Template> =
            partitions.chunks(together).map(|partitions| Template::new(load, partitions, id)).collect();
        for template in &mut templates {
            match &transaction {
                Some(transaction) => template.identify(transaction.producer),
                None if load.identity == Identity::Idempotent => {
                    template.identify(requests::producer_id(connection, None));
                }
                None => {}
            }
        }
        Self { load, stream, answers: Answers::default(), templates, next: 0, transaction, waits: Vec::new() }
    }

    fn run(&mut self, requests: u64) {
        let Identity::Transactional(size) = self.load.identity else {
            return self.send(requests);
        };
        let mut left = requests;
        while left > 0 {
            let now = left.min(size);
            self.begin();
            self.send(now - 1);
            let producer = self.transaction.as_mut().expect("a transaction").commit();
            self.templates.iter_mut().for_each(|template| template.identify(producer));
            left -= now;
        }
    }

    /// The first request of a transaction. It is repeated while the last one waits for its markers.
    fn begin(&mut self) {
        let mut out = Vec::new();
        self.put(&mut out);
        loop {
            self.stream.write_all(&out).expect("the broker reads");
            let mut error = 0;
            let at = error_at(self.load.topic);
            self.answers.read(&mut self.stream, |answer| error = error_of(answer, at));
            match error {
                0 => return,
                CONCURRENT_TRANSACTIONS => thread::yield_now(),
                error => panic!("the broker refused a transaction: {error}"),
            }
        }
    }

    /// As many requests go out as responses came in, by one write for all of them.
    fn send(&mut self, requests: u64) {
        let (mut sent, mut answered) = (0, 0);
        let mut out = Vec::new();
        let mut begun = VecDeque::with_capacity(self.load.depth);
        let mut room = self.load.depth;
        let (first, together) = (error_at(self.load.topic), self.load.together.unsigned_abs() as usize);
        while answered < requests {
            out.clear();
            let now = Instant::now();
            for _ in 0..room {
                if sent < requests {
                    self.put(&mut out);
                    begun.push_back(now);
                    sent += 1;
                }
            }
            self.stream.write_all(&out).expect("the broker reads");
            room = self.answers.read(&mut self.stream, |answer| {
                for partition in 0..together {
                    assert_eq!(error_of(answer, first + partition * ANSWER), 0, "the broker refused a batch");
                }
            });
            let now = Instant::now();
            self.waits.extend(begun.drain(..room).map(|begun| now - begun));
            answered += room as u64;
        }
    }

    fn put(&mut self, out: &mut Vec<u8>) {
        self.templates[self.next].put(out);
        self.next = (self.next + 1) % self.templates.len();
    }
}

/// Where the error of the first partition stands in an answer to a Produce for one topic: after correlation id, tags, the number
/// of topics, the name, the number of partitions and the first one's index.
pub(super) fn error_at(topic: &str) -> usize {
    4 + 1 + 1 + 1 + topic.len() + 1 + 4
}
