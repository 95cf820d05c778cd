//! Peak shaving: a burst comes faster than consumers work it off. The producer is not slowed, the broker does not grow,
//! nobody loses anything, and a kill -9 in the middle changes none of it.

use crate::rd::{member, poll, wait_until};
use kafka_protocol::messages::ProduceRequest;
use milena_integration_tests::broker::{Broker, unique};
use milena_integration_tests::raw;
use milena_integration_tests::raw::{Connection, frame};
use milena_integration_tests::records::{Batch, now_ms};
use milena_integration_tests::requests::{PRODUCE, create_topic, produce, producer_id};
use std::collections::VecDeque;
use std::env;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

const PARTITIONS: i32 = 4;
/// Records of a batch and bytes of a value: 64 KiB a batch.
const BATCH: i32 = 63;
const VALUE: usize = 1024;
/// Requests in flight on one connection; five is what an idempotent producer may have.
const DEPTH: usize = 5;
/// The broker's memory at its peak, mapped pages of files included.
const RESIDENT_MAX: u64 = 64 << 20;

/// What a broker answers while it is coming back: not the leader yet, not known yet, loading.
const RETRIABLE: [i16; 6] = [3, 5, 6, 14, 15, 56];

fn burst_mib() -> u64 {
    env::var("MILENA_TEST_BURST_MIB")
        .map_or(64, |mib| mib.parse().expect("MILENA_TEST_BURST_MIB is a number"))
}

/// How far the burst is, for those who follow it.
#[derive(Default)]
struct Progress {
    acknowledged: AtomicU64,
    over: AtomicBool,
    lock: Mutex<()>,
    changed: Condvar,
}

impl Progress {
    fn add(&self, records: u64) {
        self.acknowledged.fetch_add(records, Ordering::Relaxed);
        let _guard = self.lock.lock();
        self.changed.notify_all();
    }

    fn end(&self) {
        self.over.store(true, Ordering::Relaxed);
        let _guard = self.lock.lock();
        self.changed.notify_all();
    }

    /// Waits until an eighth of the burst is ahead of `consumed`: so works a consumer that is eight times too slow.
    fn wait_for_work(&self, consumed: u64) {
        let guard = self.lock.lock().expect("no panic");
        let idle = |(): &mut ()| {
            !self.over.load(Ordering::Relaxed) && self.acknowledged.load(Ordering::Relaxed) / 8 <= consumed
        };
        let _ = self.changed.wait_timeout_while(guard, Duration::from_secs(1), idle).expect("no panic");
    }
}

/// An idempotent producer of one partition that sends again what was not acknowledged when the broker went away.
struct Producer<'a> {
    address: &'a str,
    topic: &'a str,
    partition: i32,
    id: (i64, i16),
    timestamp: i64,
    value: Vec<u8>,
}

impl Producer<'_> {
    /// The batch that starts at record `first`; its values start with their number.
    fn frame(&self, first: i32) -> Vec<u8> {
        let values = (first..first + BATCH).map(|n| {
            let mut value = self.value.clone();
            value[..8].copy_from_slice(&i64::from(n).to_be_bytes());
            value
        });
        let batch = Batch {
            producer_id: self.id.0,
            producer_epoch: self.id.1,
            base_sequence: first,
            base_timestamp: self.timestamp,
            ..Batch::of(values)
        };
        frame(first, PRODUCE, &produce(self.topic, self.partition, -1, batch.encode()))
    }

    /// Sends `batches` batches and returns when all are acknowledged.
    fn run(&self, batches: i32, progress: &Progress) {
        let mut waiting: VecDeque<i32> = VecDeque::new();
        let mut next = 0;
        let mut connection = Connection::open(self.address);
        while next < batches || !waiting.is_empty() {
            if let Err(error) = self.step(&mut connection, &mut waiting, &mut next, batches, progress) {
                assert!(error.kind() != io::ErrorKind::WouldBlock, "no answer to a produce request");
                connection = self.reconnect(&waiting);
            }
        }
    }

    fn step(
        &self,
        connection: &mut Connection,
        waiting: &mut VecDeque<i32>,
        next: &mut i32,
        batches: i32,
        progress: &Progress,
    ) -> io::Result<()> {
        while waiting.len() < DEPTH && *next < batches {
            waiting.push_back(*next * BATCH);
            *next += 1;
            connection.send_bytes(&self.frame((*next - 1) * BATCH))?;
        }
        let (id, response) = raw::decode::<ProduceRequest>(PRODUCE, connection.receive_frame()?);
        let answer = &response.responses[0].partition_responses[0];
        if RETRIABLE.contains(&answer.error_code) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        assert_eq!((answer.error_code, Some(&id)), (0, waiting.front()), "{answer:?}");
        assert_eq!(answer.base_offset, i64::from(id), "a retransmission gets its first offset");
        waiting.pop_front();
        progress.add(BATCH as u64);
        Ok(())
    }

    /// Connects as soon as the broker is back, and sends again what it may not have stored.
    fn reconnect(&self, waiting: &VecDeque<i32>) -> Connection {
        loop {
            if let Ok(mut connection) = Connection::try_open(self.address)
                && waiting.iter().all(|first| connection.send_bytes(&self.frame(*first)).is_ok())
            {
                return connection;
            }
            std::thread::yield_now();
        }
    }
}

/// A member of the group that works behind: every record of its partitions once, in order.
fn consume_slowly(
    broker_address: &str,
    group: &str,
    topic: &str,
    done: &AtomicU64,
    total: u64,
    progress: &Progress,
) {
    let settings = [("queued.max.messages.kbytes", "1024"), ("fetch.message.max.bytes", "262144")];
    let consumer = member(broker_address, group, topic, &settings);
    let mut consumed = 0;
    while done.load(Ordering::Relaxed) < total {
        progress.wait_for_work(consumed * 2);
        if let Some(record) = poll(&consumer) {
            let number = i64::from_be_bytes(*record.value.first_chunk().expect("a number"));
            // The number is the sequence in the partition: a gap or a double would show here.
            assert_eq!(number, record.offset, "partition {}", record.partition);
            consumed += 1;
            done.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What one burst was like.
struct Figures {
    took: Duration,
    resident_max: u64,
}

/// Sends `mib` into a new topic with two slow consumers behind (or none), and waits until they have everything.
fn burst(broker: &mut Broker, mib: u64, consumers: usize, kill: bool) -> Figures {
    let topic = unique("peak");
    let group = unique("peak");
    create_topic(&mut broker.connect(), &topic, PARTITIONS, &[]);
    let batches = i32::try_from((mib << 20) / 65_536 / PARTITIONS as u64).expect("under 100 TiB").max(20);
    let total = (batches * BATCH) as u64 * PARTITIONS as u64;
    let address = broker.address().to_owned();
    let (progress, done) = (Progress::default(), AtomicU64::new(0));
    let (progress, done, address, topic, group) = (&progress, &done, &address, &topic, &group);
    let mut resident_max = 0;
    std::thread::scope(|scope| {
        for _ in 0..consumers {
            scope.spawn(|| consume_slowly(address, group, topic, done, total, progress));
        }
        let started = Instant::now();
        let producers: Vec<_> = (0..PARTITIONS)
            .map(|partition| {
                scope.spawn(move || {
                    let id = producer_id(&mut Connection::open(address), None);
                    let value = vec![b'v'; VALUE];
                    Producer { address, topic, partition, id, timestamp: now_ms(), value }
                        .run(batches, progress);
                })
            })
            .collect();
        let mut killed = !kill;
        while !producers.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            resident_max = resident_max.max(broker.usage().map_or(0, |usage| usage.resident));
            if !killed && progress.acknowledged.load(Ordering::Relaxed) > total / 2 {
                killed = true;
                broker.kill();
                broker.launch();
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
        producers.into_iter().for_each(|producer| producer.join().expect("the burst is stored"));
        let took = started.elapsed();
        progress.end();
        if consumers > 0 {
            // How long it takes is the consumers' affair; that it goes on is the broker's.
            while done.load(Ordering::Relaxed) < total {
                let before = done.load(Ordering::Relaxed);
                wait_until("the next record", || {
                    resident_max = resident_max.max(broker.usage().map_or(0, |usage| usage.resident));
                    std::thread::park_timeout(Duration::from_millis(5));
                    done.load(Ordering::Relaxed) > before
                });
            }
        }
        assert!(killed, "the burst was over before the kill");
        Figures { took, resident_max }
    })
}

fn peak(mib: u64) {
    let Some(mut broker) = Broker::own(&[]) else { return };
    burst(&mut broker, mib / 4, 0, false);
    let alone = burst(&mut broker, mib, 0, false);
    let shaved = burst(&mut broker, mib, 2, false);
    let rate = |figures: &Figures| mib as f64 / figures.took.as_secs_f64();
    eprintln!(
        "burst of {mib} MiB: {:.0} MiB/s alone, {:.0} MiB/s with slow consumers; at most {} MiB resident",
        rate(&alone),
        rate(&shaved),
        shaved.resident_max >> 20
    );
    // The consumers share the machine's two cores with the producer and the broker: that is not back-pressure, which
    // would make the producer eight times slower.
    assert!(
        shaved.took < alone.took * 4 + Duration::from_secs(1),
        "{:?} against {:?}",
        shaved.took,
        alone.took
    );
    if broker.is_milena() {
        let max = alone.resident_max.max(shaved.resident_max);
        assert!(max < RESIDENT_MAX, "{} MiB resident", max >> 20);
    }
}

#[test]
fn a_burst_goes_to_the_disk_and_not_to_memory() {
    peak(burst_mib());
}

#[test]
#[ignore = "2 GiB, three times: cargo test --release -- --ignored peak"]
fn a_burst_of_2_gib_goes_to_the_disk_and_not_to_memory() {
    peak(2048);
}

#[test]
fn a_burst_survives_kill_9() {
    let Some(mut broker) = Broker::own(&[]) else { return };
    let figures = burst(&mut broker, burst_mib(), 2, true);
    eprintln!(
        "with a kill in the middle: {:?}, at most {} MiB resident",
        figures.took,
        figures.resident_max >> 20
    );
    if broker.is_milena() {
        assert!(figures.resident_max < RESIDENT_MAX, "{} MiB resident", figures.resident_max >> 20);
    }
}
