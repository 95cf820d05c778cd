//! Consumers that catch up from the first offset to the last, one request in flight on each connection.

use super::Figures;
use super::answers::Answers;
use super::server::Server;
use milena_integration_tests::raw::{Connection, frame};
use milena_integration_tests::records::batches;
use milena_integration_tests::requests::{FETCH, fetch, look_up};
use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

/// Bytes that a fetch asks for at most.
const MAX_BYTES: i32 = 1 << 20;

/// The parts of a one-partition Fetch response, version 12, that a consumer needs.
pub(super) struct Fetched<'a> {
    /// Error of the partition.
    pub(super) error: i16,
    /// Its records.
    pub(super) records: &'a [u8],
}

/// Reads a response frame (without its prefix) for `topic`; `None` if it has no partition.
pub(super) fn parse<'a>(answer: &'a [u8], topic: &str) -> Option<Fetched<'a>> {
    // Correlation id, tags, throttle time, error, session; then the topics.
    let topics = 4 + 1 + 4 + 2 + 4;
    if answer[topics] < 2 {
        return None;
    }
    let partition = topics + 1 + 1 + topic.len() + 1;
    let error = i16::from_be_bytes([answer[partition + 4], answer[partition + 5]]);
    // Index, error, high watermark, last stable offset, log start offset; then the aborted transactions, none here.
    let aborted = partition + 4 + 2 + 8 + 8 + 8;
    assert!(answer[aborted] < 2, "there are no transactions here");
    let mut at = aborted + 1 + 4;
    let (mut len, mut shift) = (0_usize, 0);
    loop {
        len |= usize::from(answer[at] & 0x7f) << shift;
        at += 1;
        if answer[at - 1] < 0x80 {
            break;
        }
        shift += 7;
    }
    Some(Fetched { error, records: &answer[at..at + len.saturating_sub(1)] })
}

/// Reads everything that `topic` has.
pub(super) fn run(server: &Server, topic: &str, partitions: i32, connections: i32) -> Figures {
    let mut connection = Connection::open(&server.address);
    let ends: Vec<i64> =
        (0..partitions).map(|partition| look_up(&mut connection, topic, partition, -1).offset).collect();
    let share = partitions / connections;
    let cpu = server.cpu_seconds();
    let started = Instant::now();
    let (bytes, operations) = thread::scope(|scope| {
        let lanes: Vec<_> = (0..connections)
            .map(|lane| {
                let ends = &ends;
                scope.spawn(move || {
                    let mut stream = TcpStream::connect(&server.address).expect("the broker listens");
                    stream.set_nodelay(true).expect("a socket");
                    let mut totals = (0, 0);
                    for partition in lane * share..(lane + 1) * share {
                        let end = ends[usize::try_from(partition).expect("a partition")];
                        let (bytes, requests) = read_partition(&mut stream, topic, partition, end);
                        totals = (totals.0 + bytes, totals.1 + requests);
                    }
                    totals
                })
            })
            .collect();
        lanes
            .into_iter()
            .map(|lane| lane.join().expect("the topic can be read"))
            .fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1))
    });
    let figures = Figures {
        seconds: started.elapsed().as_secs_f64(),
        cpu_seconds: server.cpu_seconds() - cpu,
        bytes,
        operations,
    };
    assert!(figures.seconds < Duration::from_secs(600).as_secs_f64());
    figures
}

fn read_partition(stream: &mut TcpStream, topic: &str, partition: i32, end: i64) -> (u64, u64) {
    let mut answers = Answers::default();
    let (mut offset, mut bytes, mut requests) = (0, 0, 0);
    while offset < end {
        let request = fetch(topic, partition, offset, MAX_BYTES);
        stream.write_all(&frame(0, FETCH, &request)).expect("the broker reads");
        answers.read(stream, |answer| {
            let fetched = parse(answer, topic).expect("a partition");
            assert_eq!(fetched.error, 0);
            let seen = batches(fetched.records);
            let last = seen.last().expect("a fetch below the end returns a batch");
            // A checksum now and then shows that these are the bytes that were sent.
            assert!(requests % 16 != 0 || last.is_sound(), "a broken batch");
            offset = last.last_offset() + 1;
            bytes += fetched.records.len() as u64;
        });
        requests += 1;
    }
    (bytes, requests)
}
