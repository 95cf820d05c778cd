//! Clients that mean no good, or know no better, and one that only wants to go on with its work.
//!
//! An [`Attack`] goes on until it is told to stop; meanwhile [`Bystander`] says what the others feel of it. The tests run
//! small ones, the example `attacked` measures large ones.

mod bystander;

pub use bystander::{Bystander, Latencies};

use crate::raw::{Connection, frame};
use crate::records::{Batch, put_varint};
use crate::requests::{FETCH, METADATA, PRODUCE, fetch, name, produce};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{ApiVersionsRequest, MetadataRequest};
use std::io::{self, ErrorKind, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A chunk of zeros that a bomb is filled with.
const CHUNK: usize = 1 << 20;
/// Bytes that a client which does not read has sent at most.
const PUSHED_MAX: usize = 64 << 20;

/// Value of the first record of the attacker's topic: so small that answers with it are put together in memory.
const SMALL: usize = 14_000;
/// Bytes of answers that a slow reader reads in a round.
const BEHIND: usize = 64 << 20;

/// What a hostile client does. `size` of [`Attack::run`] is the number in brackets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attack {
    /// (connections) Sends a large frame byte by byte and never ends it.
    SingleBytes,
    /// (connections at a time) Asks, closes its half in the middle of a second question, and reads to the end.
    HalfCloses,
    /// (connections) Fetches a megabyte again and again and reads nothing.
    FetchesUnread,
    /// (connections) Sends thousands of small requests and reads no answer.
    PipelinesUnread,
    /// (connections) Fetches a few KiB again and again and reads less of it than there is.
    ReadsBehind,
    /// (connections) Connects and says nothing.
    Idles,
    /// (connections at a time) Announces frames of 90 MiB, and lists of two billion, and sends a few bytes of them.
    AnnouncesGiants,
    /// (MiB unpacked) Produces a few KiB that unpack to very much.
    Bombs,
    /// (topics) Asks for the metadata of so many topics that do not exist.
    AsksForTopics,
}

impl Attack {
    /// All of them, each with a size that hurts.
    pub const ALL: [(Self, usize); 9] = [
        (Self::SingleBytes, 200),
        (Self::HalfCloses, 50),
        (Self::FetchesUnread, 50),
        (Self::PipelinesUnread, 20),
        (Self::ReadsBehind, 4),
        (Self::Idles, 10_000),
        (Self::AnnouncesGiants, 200),
        (Self::Bombs, 1024),
        (Self::AsksForTopics, 100_000),
    ];

    /// Attacks the broker at `address` until `stop`; `topic` is the attacker's own, has one partition and holds
    /// [`target_batches`].
    /// `under_way` is set when the attack is in full swing. How many rounds were made.
    ///
    /// # Panics
    /// If the broker hangs up where it has no reason to, or answers what it should refuse.
    pub fn run(
        self,
        address: &str,
        topic: &str,
        size: usize,
        stop: &AtomicBool,
        under_way: &AtomicBool,
    ) -> usize {
        let (mut held, mut sent) = (Vec::new(), Vec::new());
        let mut rounds = 0;
        let question = self.question(topic, size);
        while !stop.load(Ordering::Relaxed) {
            match self {
                Self::SingleBytes => single_byte(address, &mut held, size, question[rounds]),
                Self::HalfCloses => half_closes(address, size, &question),
                Self::FetchesUnread | Self::PipelinesUnread => unread(address, &mut held, size, &question),
                Self::ReadsBehind => reads_behind(address, &mut held, size, &question, &mut sent),
                Self::Idles => idles(address, &mut held, size),
                Self::AnnouncesGiants => announces_giants(address, size),
                Self::Bombs | Self::AsksForTopics => asks(address, &mut held, &question),
            }
            rounds += 1;
            under_way.store(true, Ordering::Relaxed);
        }
        rounds
    }

    /// The bytes that it sends, if they are always the same.
    fn question(self, topic: &str, size: usize) -> Vec<u8> {
        match self {
            Self::FetchesUnread => frame(1, FETCH, &fetch(topic, 0, 0, 1 << 20)),
            Self::ReadsBehind => frame(1, FETCH, &fetch(topic, 0, 0, SMALL as i32 + 200)),
            Self::PipelinesUnread | Self::HalfCloses => frame(1, 0, &ApiVersionsRequest::default()),
            Self::SingleBytes => {
                frame(1, PRODUCE, &produce(topic, 0, -1, Batch::of([vec![1; 900_000]]).encode()))
            }
            Self::Bombs => frame(1, PRODUCE, &produce(topic, 0, -1, bomb(size << 20))),
            Self::AsksForTopics => {
                let wanted = |n| {
                    MetadataRequestTopic::default().with_name(Some(name(&format!("there-is-no-topic-{n}"))))
                };
                let request = MetadataRequest::default()
                    .with_topics(Some((0..size).map(wanted).collect()))
                    .with_allow_auto_topic_creation(false);
                frame(1, METADATA, &request)
            }
            Self::Idles | Self::AnnouncesGiants => Vec::new(),
        }
    }
}

/// What the topic of the attacker is to hold: a small batch, and two megabytes.
#[must_use]
pub fn target_batches() -> Vec<Vec<u8>> {
    [SMALL, 500_000, 500_000, 500_000, 500_000].map(|len| Batch::of([vec![7; len]]).encode()).to_vec()
}

/// A batch of one record whose value is `len` zeros, packed by zstd.
///
/// # Panics
/// If the codec fails, which it does not in memory.
#[must_use]
pub fn bomb(len: usize) -> Vec<u8> {
    let mut head = vec![0, 0, 0];
    put_varint(&mut head, -1);
    put_varint(&mut head, i64::try_from(len).expect("a length"));
    let mut record = Vec::new();
    // One byte more for the number of headers.
    put_varint(&mut record, i64::try_from(head.len() + len + 1).expect("a length"));
    record.extend(head);
    let mut packer = zstd::Encoder::new(Vec::new(), 1).expect("an encoder");
    packer.write_all(&record).expect("memory");
    let zeros = vec![0; CHUNK];
    let mut left = len + 1;
    while left > 0 {
        let now = left.min(CHUNK);
        packer.write_all(&zeros[..now]).expect("memory");
        left -= now;
    }
    let packed = packer.finish().expect("memory");
    Batch { attributes: 4, ..Batch::of([""]) }.encode_with(&packed)
}

/// One more byte on each connection.
fn single_byte(address: &str, held: &mut Vec<Connection>, size: usize, byte: u8) {
    fill(address, held, size);
    for connection in held {
        connection.send_bytes(&[byte]).expect("a slow client is listened to");
    }
}

fn half_closes(address: &str, size: usize, question: &[u8]) {
    let connections: Vec<Connection> = (0..size)
        .map(|_| {
            let mut connection = Connection::open(address);
            let whole_and_half = [question, &question[..question.len() / 2]].concat();
            connection.send_bytes(&whole_and_half).expect("two small frames");
            connection.finish();
            connection
        })
        .collect();
    for mut connection in connections {
        connection.receive_frame().expect("what was asked before the half close is answered");
        assert!(connection.is_closed(), "half a question has no answer");
    }
}

/// Sends as much as the broker takes and reads nothing.
fn unread(address: &str, held: &mut Vec<Connection>, size: usize, question: &[u8]) {
    if held.len() == size {
        std::thread::park_timeout(Duration::from_millis(10));
        return;
    }
    let pushed = question.repeat((1 << 16) / question.len() + 1);
    fill(address, held, size);
    held.iter().for_each(|connection| push(connection, &pushed, &mut 0));
}

/// Sends as much as the broker takes, and reads less than there is.
fn reads_behind(
    address: &str,
    held: &mut Vec<Connection>,
    size: usize,
    question: &[u8],
    sent: &mut Vec<usize>,
) {
    fill(address, held, size);
    sent.resize(size, 0);
    let pushed = question.repeat((1 << 16) / question.len() + 1);
    let mut piece = vec![0; CHUNK / 16];
    for (connection, sent) in held.iter().zip(sent) {
        let mut left = BEHIND;
        while left > 0 {
            push(connection, &pushed, sent);
            match connection.stream().read(&mut piece) {
                Ok(0) => panic!("who reads slowly is not hung up on"),
                Ok(read) => left = left.saturating_sub(read),
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(error) => panic!("who reads slowly is not hung up on: {error}"),
            }
        }
    }
}

/// Sends `pushed` again and again, from where the last call ended on, until the broker takes no more: in the middle of a
/// frame, if need be.
fn push(connection: &Connection, pushed: &[u8], sent: &mut usize) {
    connection.stream().set_nonblocking(true).expect("a socket");
    let begin = *sent;
    while *sent < begin + PUSHED_MAX {
        match connection.stream().write(&pushed[*sent % pushed.len()..]) {
            Ok(taken) => *sent += taken,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) => panic!("who does not read is not hung up on: {error}"),
        }
    }
}

fn idles(address: &str, held: &mut Vec<Connection>, size: usize) {
    fill(address, held, size);
    std::thread::park_timeout(Duration::from_millis(10));
}

fn announces_giants(address: &str, size: usize) {
    let huge_list = {
        // The list of topics of Metadata 1: two billion.
        let mut frame = frame(1, 1, &MetadataRequest::default().with_topics(Some(Vec::new())));
        let at = frame.len() - 4;
        frame[at..].copy_from_slice(&i32::MAX.to_be_bytes());
        frame
    };
    let connections: Vec<Connection> = (0..size)
        .map(|n| {
            let mut connection = Connection::open(address);
            let bytes = if n % 2 == 0 {
                [&(90_u32 << 20).to_be_bytes()[..], &[0; 96]].concat()
            } else {
                huge_list.clone()
            };
            connection.send_bytes(&bytes).expect("a few bytes");
            connection
        })
        .collect();
    for mut connection in connections.into_iter().skip(1).step_by(2) {
        assert!(connection.is_closed(), "a list of two billion that is not there");
    }
}

/// Asks on one connection and waits for the answer, whatever it is.
fn asks(address: &str, held: &mut Vec<Connection>, question: &[u8]) {
    fill(address, held, 1);
    held[0].send_bytes(question).expect("a question of a size that is allowed");
    let answer = skip_frame(&mut held[0]);
    answer.expect("every question is answered");
}

/// Reads an answer without keeping it.
fn skip_frame(connection: &mut Connection) -> io::Result<u64> {
    let mut stream = connection.stream();
    let mut prefix = [0; 4];
    stream.read_exact(&mut prefix)?;
    io::copy(&mut stream.take(u64::from(u32::from_be_bytes(prefix))), &mut io::sink())
}

fn fill(address: &str, held: &mut Vec<Connection>, size: usize) {
    while held.len() < size {
        held.push(Connection::open(address));
    }
}
