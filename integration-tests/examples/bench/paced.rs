//! Records on time, whether the broker keeps up or not: how old they are when they are acknowledged and when they arrive.

use super::answers::{Answers, error_of};
use super::consume::parse;
use super::produce::error_at;
use super::server::Server;
use super::{Figures, Note, percentile};
use milena_integration_tests::raw::{Connection, frame};
use milena_integration_tests::records::{Batch, batches, now_ms, seal};
use milena_integration_tests::requests::{FETCH, PRODUCE, api_versions, create_topic, fetch, produce};
use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

const VALUE: usize = 100;

/// What to send, and who waits for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub(super) topic: &'static str,
    pub(super) partitions: i32,
    /// Records a second, each in a request of its own, to the partitions in turn.
    pub(super) rate: u64,
    /// Records that count; those of one second before them do not.
    pub(super) records: u64,
    /// Consumers that each read all of the only partition.
    pub(super) consumers: usize,
    /// Further connections, which are open and say nothing.
    pub(super) silent: usize,
}

/// Latencies, and what the broker paid.
pub(super) struct Paced {
    figures: Figures,
    acknowledged: Vec<Duration>,
    arrived: Vec<Duration>,
}

impl Paced {
    /// Notes percentiles and the price of a record; those of arrivals if there were consumers.
    pub(super) fn report(&self, scenario: &str, note: Note<'_>) {
        let (what, latencies) =
            if self.arrived.is_empty() { ("acknowledged ", &self.acknowledged) } else { ("", &self.arrived) };
        note(scenario, &format!("{what}p50 ms"), percentile(latencies, 0.5));
        note(scenario, &format!("{what}p99 ms"), percentile(latencies, 0.99));
        note(scenario, "CPU-us a record", self.figures.cpu_seconds * 1e6 / self.figures.operations as f64);
    }
}

/// Sends the records on time; `meanwhile` runs when all have arrived and the connections are still open.
pub(super) fn run(server: &Server, pace: &Pace, meanwhile: impl FnOnce()) -> Paced {
    create_topic(&mut Connection::open(&server.address), pace.topic, pace.partitions, &[]);
    let silent: Vec<Connection> = (0..pace.silent)
        .map(|_| {
            let mut connection = Connection::open(&server.address);
            api_versions(&mut connection);
            connection
        })
        .collect();
    let total = pace.rate + pace.records;
    let clock = Instant::now();
    let (cpu, mut acknowledged, mut arrived) = thread::scope(|scope| {
        let consumers: Vec<_> =
            (0..pace.consumers).map(|_| scope.spawn(|| receive(server, pace, total, clock))).collect();
        let (cpu, acknowledged) =
            scope.spawn(|| send(server, pace, total, clock)).join().expect("records can be sent");
        let arrived: Vec<Duration> =
            consumers.into_iter().flat_map(|consumer| consumer.join().expect("records arrive")).collect();
        (server.cpu_seconds() - cpu, acknowledged, arrived)
    });
    acknowledged.sort_unstable();
    arrived.sort_unstable();
    meanwhile();
    drop(silent);
    let seconds = pace.records as f64 / pace.rate as f64;
    let figures = Figures { seconds, cpu_seconds: cpu, bytes: 0, operations: pace.records };
    Paced { figures, acknowledged, arrived }
}

/// A request that is sent again and again to one partition.
struct Template {
    frame: Vec<u8>,
    batch: std::ops::Range<usize>,
}

impl Template {
    fn new(topic: &str, partition: i32) -> Self {
        let batch = Batch { base_timestamp: now_ms(), ..Batch::of([[0; VALUE]]) }.encode();
        let len = batch.len();
        let frame = frame(0, PRODUCE, &produce(topic, partition, 1, batch));
        // Three empty sets of tags follow the records.
        let end = frame.len() - 3;
        Self { frame, batch: end - len..end }
    }

    /// The age counts from when the record was due: a broker that holds up the producer does not look better.
    fn due(&mut self, due: Duration) -> &[u8] {
        let batch = &mut self.frame[self.batch.clone()];
        let value = batch.len() - 1 - VALUE;
        batch[value..value + 8].copy_from_slice(&(due.as_nanos() as u64).to_be_bytes());
        seal(batch);
        &self.frame
    }
}

/// The producer; returns the broker's processor seconds at the end of the warm-up, and the ages at acknowledgement.
fn send(server: &Server, pace: &Pace, total: u64, clock: Instant) -> (f64, Vec<Duration>) {
    let mut stream = TcpStream::connect(&server.address).expect("the broker listens");
    stream.set_nodelay(true).expect("a socket");
    let mut reader = stream.try_clone().expect("a second handle");
    let mut templates: Vec<Template> =
        (0..pace.partitions).map(|partition| Template::new(pace.topic, partition)).collect();
    let begin = clock.elapsed();
    let due_of = move |number: u64| begin + Duration::from_nanos(number * 1_000_000_000 / pace.rate);
    thread::scope(|scope| {
        let error_at = error_at(pace.topic);
        let acknowledged = scope.spawn(move || {
            let mut answers = Answers::default();
            let mut ages = Vec::new();
            let mut seen = 0;
            while seen < total {
                answers.read(&mut reader, |answer| {
                    assert_eq!(error_of(answer, error_at), 0, "the broker refused a record");
                    if seen >= pace.rate {
                        ages.push(clock.elapsed().saturating_sub(due_of(seen)));
                    }
                    seen += 1;
                });
            }
            ages
        });
        let mut cpu = 0.0;
        for number in 0..total {
            if number == pace.rate {
                cpu = server.cpu_seconds();
            }
            let due = due_of(number);
            if let Some(early) = due.checked_sub(clock.elapsed()) {
                thread::sleep(early);
            }
            let index = usize::try_from(number).unwrap_or(0) % templates.len();
            stream.write_all(templates[index].due(due)).expect("the broker reads");
        }
        (cpu, acknowledged.join().expect("records are acknowledged"))
    })
}

/// A consumer: the ages of all records after the warm-up.
fn receive(server: &Server, pace: &Pace, total: u64, clock: Instant) -> Vec<Duration> {
    let mut stream = TcpStream::connect(&server.address).expect("the broker listens");
    stream.set_nodelay(true).expect("a socket");
    let mut answers = Answers::default();
    let mut ages = Vec::new();
    let (mut seen, mut offset) = (0, 0);
    while seen < total {
        let request = fetch(pace.topic, 0, offset, 1 << 20).with_max_wait_ms(500).with_min_bytes(1);
        stream.write_all(&frame(0, FETCH, &request)).expect("the broker reads");
        answers.read(&mut stream, |answer| {
            let now = clock.elapsed();
            let Some(fetched) = parse(answer, pace.topic) else { return };
            for batch in batches(fetched.records) {
                let value = batch.bytes.len() - 1 - VALUE;
                let due = batch.bytes[value..].first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
                if seen >= pace.rate {
                    ages.push(now.saturating_sub(Duration::from_nanos(due)));
                }
                seen += 1;
                offset = batch.last_offset() + 1;
            }
        });
    }
    ages
}
