//! Producers that keep a fixed number of requests in flight, with frames built once.

use super::Figures;
use super::server::Server;
use crate::raw::{Connection, frame};
use crate::records::{Batch, now_ms, seal};
use crate::requests::{self, PRODUCE, create_topic};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Instant;

/// Bytes after the records of a one-partition Produce request: three empty sets of tags.
const AFTER_RECORDS: usize = 3;

/// What to send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    pub(super) topic: &'static str,
    pub(super) connections: i32,
    pub(super) partitions: i32,
    /// Requests in flight on each connection.
    pub(super) depth: usize,
    /// Records of a batch; a request has one batch.
    pub(super) records: usize,
    /// Bytes of a value.
    pub(super) value: usize,
    pub(super) acks: i16,
    pub(super) idempotent: bool,
    /// Settings of the topic.
    pub(super) configs: &'static [(&'static str, &'static str)],
    /// Bytes of batches in all.
    pub(super) bytes: u64,
}

/// A request that can be sent again and again.
struct Template {
    frame: Vec<u8>,
    batch: std::ops::Range<usize>,
    records: i32,
    sequence: Option<i32>,
}

impl Template {
    fn new(load: &Load, partition: i32, producer: Option<(i64, i16)>) -> Self {
        let (producer_id, producer_epoch) = producer.unwrap_or((-1, -1));
        let values = (0..load.records).map(|n| vec![b'a' + (n % 23) as u8; load.value]);
        let batch = Batch {
            producer_id,
            producer_epoch,
            base_sequence: if producer.is_some() { 0 } else { -1 },
            base_timestamp: now_ms(),
            ..Batch::of(values)
        }
        .encode();
        let len = batch.len();
        let frame = frame(0, PRODUCE, &requests::produce(load.topic, partition, load.acks, batch));
        let end = frame.len() - AFTER_RECORDS;
        Self {
            batch: end - len..end,
            frame,
            records: i32::try_from(load.records).expect("an i32 of records"),
            sequence: producer.map(|_| 0),
        }
    }

    /// Adds the next request to `out`; an idempotent one has the next sequence.
    fn put(&mut self, out: &mut Vec<u8>) {
        if let Some(sequence) = &mut self.sequence {
            let batch = &mut self.frame[self.batch.clone()];
            batch[53..57].copy_from_slice(&sequence.to_be_bytes());
            seal(batch);
            *sequence += self.records;
        }
        out.extend_from_slice(&self.frame);
    }
}

/// Sends everything and waits until it is acknowledged.
pub(super) fn run(server: &Server, load: &Load) -> Figures {
    let mut connection = Connection::open(&server.address);
    create_topic(&mut connection, load.topic, load.partitions, load.configs);
    let probe = Template::new(load, 0, None).batch.len() as u64;
    let each = (load.bytes / probe / u64::from(load.connections.unsigned_abs())).max(1);
    // With fewer partitions than connections, several connections write to one.
    let share = (load.partitions / load.connections).max(1);
    let lanes: Vec<Vec<Template>> = (0..load.connections)
        .map(|lane| {
            (lane * share..(lane + 1) * share)
                .map(|partition| {
                    let partition = partition % load.partitions;
                    let producer = load.idempotent.then(|| requests::producer_id(&mut connection, None));
                    Template::new(load, partition, producer)
                })
                .collect()
        })
        .collect();
    let cpu = server.cpu_seconds();
    let started = Instant::now();
    thread::scope(|scope| {
        for mut templates in lanes {
            scope.spawn(move || lane(&server.address, &mut templates, load, each));
        }
    });
    Figures {
        seconds: started.elapsed().as_secs_f64(),
        cpu_seconds: server.cpu_seconds() - cpu,
        bytes: each * u64::from(load.connections.unsigned_abs()) * probe,
        operations: each * u64::from(load.connections.unsigned_abs()),
    }
}

/// One connection: as many requests go out as responses came in, by one write for all of them.
fn lane(address: &str, templates: &mut [Template], load: &Load, requests: u64) {
    let mut stream = TcpStream::connect(address).expect("the broker listens");
    stream.set_nodelay(true).expect("a socket");
    // Correlation id, tags, one topic with its name, one partition with its index: then the error code.
    let error_at = 4 + 1 + 1 + 1 + load.topic.len() + 1 + 4;
    let (mut sent, mut answered) = (0, 0);
    let mut out = Vec::new();
    let mut answers = Answers::default();
    let mut room = load.depth;
    while answered < requests {
        out.clear();
        for _ in 0..room {
            if sent < requests {
                let index = usize::try_from(sent).unwrap_or(0) % templates.len();
                templates[index].put(&mut out);
                sent += 1;
            }
        }
        stream.write_all(&out).expect("the broker reads");
        room = answers.read(&mut stream, |answer| {
            let error = i16::from_be_bytes([answer[error_at], answer[error_at + 1]]);
            assert_eq!(error, 0, "the broker refused a batch");
        });
        answered += room as u64;
    }
}

/// Response frames as they come, several in one read.
#[derive(Default)]
pub(super) struct Answers {
    buffer: Vec<u8>,
    filled: usize,
}

impl Answers {
    /// Reads once, or until a frame is whole: how many were.
    pub(super) fn read(&mut self, stream: &mut TcpStream, mut each: impl FnMut(&[u8])) -> usize {
        self.buffer.resize(self.buffer.len().max(64 << 10), 0);
        let mut count = 0;
        while count == 0 {
            let got = stream.read(&mut self.buffer[self.filled..]).expect("the broker answers");
            assert!(got > 0, "the broker closed the connection");
            self.filled += got;
            let mut at = 0;
            while let Some(prefix) = self.buffer[at..self.filled].first_chunk::<4>() {
                let end = at + 4 + u32::from_be_bytes(*prefix) as usize;
                if end > self.filled {
                    self.buffer.resize(self.buffer.len().max(end - at), 0);
                    break;
                }
                each(&self.buffer[at + 4..end]);
                count += 1;
                at = end;
            }
            self.buffer.copy_within(at..self.filled, 0);
            self.filled -= at;
        }
        count
    }
}
