//! A thousand records a second from a producer to a waiting consumer: how old a record is when it arrives.

use super::consume::parse;
use super::produce::Answers;
use super::server::Server;
use super::{Figures, Note};
use crate::raw::{Connection, frame};
use crate::records::{Batch, batches, now_ms, seal};
use crate::requests::{FETCH, PRODUCE, create_topic, fetch, produce};
use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

const TOPIC: &str = "paced";
const PER_SECOND: u64 = 1000;
const VALUE: usize = 100;
/// Records before the ones that count.
const WARM: u64 = 1000;

/// Latencies, and what the broker paid.
pub(super) struct Paced {
    figures: Figures,
    latencies: Vec<Duration>,
}

impl Paced {
    /// Notes percentiles and the price of a record.
    pub(super) fn report(&self, scenario: &str, note: Note<'_>) {
        let at = |share: f64| {
            let index = ((self.latencies.len() - 1) as f64 * share).round() as usize;
            self.latencies[index].as_secs_f64() * 1e3
        };
        note(scenario, "p50 ms", at(0.5));
        note(scenario, "p99 ms", at(0.99));
        note(scenario, "CPU-us a record", self.figures.cpu_seconds * 1e6 / self.figures.operations as f64);
    }
}

/// Sends `count` records on time, whether the broker keeps up or not, and notes when each arrives.
pub(super) fn run(server: &Server, count: u64) -> Paced {
    create_topic(&mut Connection::open(&server.address), TOPIC, 1, &[]);
    let total = WARM + count;
    let clock = Instant::now();
    let (cpu, mut latencies) = thread::scope(|scope| {
        let consumer = scope.spawn(move || receive(&server.address, total, clock));
        let cpu = scope.spawn(move || send(server, total, clock)).join().expect("records can be sent");
        let latencies = consumer.join().expect("records arrive");
        (server.cpu_seconds() - cpu, latencies)
    });
    latencies.sort_unstable();
    let seconds = count as f64 / PER_SECOND as f64;
    Paced { figures: Figures { seconds, cpu_seconds: cpu, bytes: 0, operations: count }, latencies }
}

/// The producer; returns the broker's processor seconds at the end of the warm-up.
fn send(server: &Server, total: u64, clock: Instant) -> f64 {
    let mut stream = TcpStream::connect(&server.address).expect("the broker listens");
    stream.set_nodelay(true).expect("a socket");
    let mut reader = stream.try_clone().expect("a second handle");
    let batch = Batch { base_timestamp: now_ms(), ..Batch::of([[0; VALUE]]) }.encode();
    let len = batch.len();
    let mut request = frame(0, PRODUCE, &produce(TOPIC, 0, 1, batch));
    let batch_at = request.len() - 3 - len;
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut answers = Answers::default();
            let mut seen = 0;
            while seen < total {
                seen += answers.read(&mut reader, |_| {}) as u64;
            }
        });
        let mut cpu = 0.0;
        let begin = clock.elapsed();
        for number in 0..total {
            if number == WARM {
                cpu = server.cpu_seconds();
            }
            let due = begin + Duration::from_nanos(number * 1_000_000_000 / PER_SECOND);
            if let Some(early) = due.checked_sub(clock.elapsed()) {
                thread::sleep(early);
            }
            let batch = &mut request[batch_at..batch_at + len];
            let value = len - 1 - VALUE;
            // The age counts from when the record was due: a broker that holds up the producer does not look better.
            batch[value..value + 8].copy_from_slice(&(due.as_nanos() as u64).to_be_bytes());
            seal(batch);
            stream.write_all(&request).expect("the broker reads");
        }
        cpu
    })
}

/// The consumer: the ages of all records after the warm-up.
fn receive(address: &str, total: u64, clock: Instant) -> Vec<Duration> {
    let mut stream = TcpStream::connect(address).expect("the broker listens");
    stream.set_nodelay(true).expect("a socket");
    let mut answers = Answers::default();
    let mut ages = Vec::new();
    let (mut seen, mut offset) = (0, 0);
    while seen < total {
        let request = fetch(TOPIC, 0, offset, 1 << 20).with_max_wait_ms(500).with_min_bytes(1);
        stream.write_all(&frame(0, FETCH, &request)).expect("the broker reads");
        answers.read(&mut stream, |answer| {
            let now = clock.elapsed();
            let Some(fetched) = parse(answer, TOPIC) else { return };
            for batch in batches(fetched.records) {
                let value = batch.bytes.len() - 1 - VALUE;
                let due = batch.bytes[value..].first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
                if seen >= WARM {
                    ages.push(now.saturating_sub(Duration::from_nanos(due)));
                }
                seen += 1;
                offset = batch.last_offset() + 1;
            }
        });
    }
    ages
}
