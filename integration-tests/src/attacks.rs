//! Clients that mean no good, or know no better, and one that only wants to go on with its work.
//!
//! An [`Attack`] goes on until it is told to stop, and makes sure that it was one: that the broker took what was sent, and
//! answered as it should. Meanwhile [`Bystander`] says what the others feel of it. The tests run small ones, the example
//! `attacked` measures large ones.

mod bomb;
mod bystander;

pub use bystander::{Bystander, Latencies};

use crate::raw::{Connection, decode, frame};
use crate::records::Batch;
use crate::requests::{FETCH, METADATA, PRODUCE, fetch, name, produce};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{ApiVersionsRequest, MetadataRequest, ProduceRequest};
use std::io::{ErrorKind, Read, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Bytes that a client which does not read sends at most: the broker stops listening long before.
const PUSHED_MAX: usize = 64 << 20;

/// Value of the first record of the attacker's topic: so small that answers with it are put together in memory.
const SMALL: usize = 14_000;
/// Bytes of answers that a slow reader reads in a round.
const BEHIND: usize = 64 << 20;

const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const MESSAGE_TOO_LARGE: i16 = 10;
/// What Kafka creates for one request, and milena too.
const CREATED_AT_ONCE: usize = 10_000;

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
    /// (MiB unpacked) Produces a few KiB that unpack to very much, in every codec.
    Bombs,
    /// (MiB unpacked) Bombs into a topic that stores them unpacked, for which they are too large.
    BombsToUnpack,
    /// (MiB unpacked) Bombs into a topic that packs everything anew.
    BombsToRepack,
    /// (topics) Asks for the metadata of so many topics that do not exist.
    AsksForTopics,
    /// (topics) Asks for so many that do not exist, and lets them be created: all, or none if they are too many for one
    /// request.
    CreatesTopics,
}

impl Attack {
    /// All of them, each with a size that hurts.
    pub const ALL: [(Self, usize); 12] = [
        (Self::SingleBytes, 200),
        (Self::HalfCloses, 50),
        (Self::FetchesUnread, 50),
        (Self::PipelinesUnread, 20),
        (Self::ReadsBehind, 4),
        (Self::Idles, 10_000),
        (Self::AnnouncesGiants, 200),
        (Self::Bombs, 1024),
        (Self::BombsToUnpack, 1024),
        (Self::BombsToRepack, 1024),
        (Self::AsksForTopics, 100_000),
        (Self::CreatesTopics, 100_000),
    ];

    /// The settings of the attacker's topic.
    #[must_use]
    pub const fn topic_settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::BombsToUnpack => &[("compression.type", "uncompressed")],
            Self::BombsToRepack => &[("compression.type", "lz4")],
            _ => &[],
        }
    }

    /// Attacks the broker at `address` until `stop`; `topic` is the attacker's own, has one partition and
    /// [`Self::topic_settings`], and holds [`target_batches`].
    /// `turns` counts how often everything was done that it does.
    ///
    /// # Panics
    /// If the broker hangs up where it has no reason to, answers what it should refuse, or was not attacked in the end.
    pub fn run(self, address: &str, topic: &str, size: usize, stop: &AtomicBool, turns: &AtomicUsize) {
        let questions = self.questions(topic, size);
        let mut attacker = Attacker { address, size, held: Vec::new() };
        let mut rounds = 0;
        while !stop.load(Ordering::Relaxed) {
            let question = &questions[rounds % questions.len()];
            match self {
                Self::SingleBytes => attacker.single_byte(question[rounds]),
                Self::HalfCloses => attacker.half_closes(question),
                Self::FetchesUnread | Self::PipelinesUnread => attacker.unread(question),
                Self::ReadsBehind => attacker.reads_behind(question),
                Self::Idles => attacker.idles(question),
                Self::AnnouncesGiants => attacker.announces_giants(question),
                Self::Bombs | Self::BombsToRepack => attacker.bombs(question, 0),
                Self::BombsToUnpack => attacker.bombs(question, MESSAGE_TOO_LARGE),
                Self::AsksForTopics => attacker.asks_for_topics(question, UNKNOWN_TOPIC_OR_PARTITION),
                Self::CreatesTopics if size > CREATED_AT_ONCE => {
                    attacker.asks_for_topics(question, UNKNOWN_TOPIC_OR_PARTITION);
                }
                Self::CreatesTopics => attacker.asks_for_topics(question, 0),
            }
            rounds += 1;
            if rounds % questions.len() == 0 {
                turns.fetch_add(1, Ordering::Relaxed);
            }
        }
        attacker.has_attacked(self, &questions[0], rounds);
    }

    /// The bytes that it sends, in turns.
    fn questions(self, topic: &str, size: usize) -> Vec<Vec<u8>> {
        let question = match self {
            Self::FetchesUnread => frame(1, FETCH, &fetch(topic, 0, 0, 1 << 20)),
            Self::ReadsBehind => frame(1, FETCH, &fetch(topic, 0, 0, SMALL as i32 + 200)),
            Self::PipelinesUnread | Self::HalfCloses | Self::Idles => {
                frame(1, 0, &ApiVersionsRequest::default())
            }
            Self::SingleBytes => {
                frame(1, PRODUCE, &produce(topic, 0, -1, Batch::of([vec![1; 900_000]]).encode()))
            }
            Self::Bombs | Self::BombsToUnpack | Self::BombsToRepack => {
                let bombs = bomb::all(size << 20).into_iter();
                return bombs.map(|bomb| frame(1, PRODUCE, &produce(topic, 0, -1, bomb))).collect();
            }
            Self::AsksForTopics | Self::CreatesTopics => {
                let wanted = |n| {
                    MetadataRequestTopic::default().with_name(Some(name(&format!("there-is-no-topic-{n}"))))
                };
                let request = MetadataRequest::default()
                    .with_topics(Some((0..size).map(wanted).collect()))
                    .with_allow_auto_topic_creation(self == Self::CreatesTopics);
                frame(1, METADATA, &request)
            }
            Self::AnnouncesGiants => {
                // The list of topics of Metadata 1: two billion.
                let mut frame = frame(1, 1, &MetadataRequest::default().with_topics(Some(Vec::new())));
                let at = frame.len() - 4;
                frame[at..].copy_from_slice(&i32::MAX.to_be_bytes());
                frame
            }
        };
        vec![question]
    }
}

/// What the topic of the attacker is to hold: a small batch, and two megabytes.
#[must_use]
pub fn target_batches() -> Vec<Vec<u8>> {
    [SMALL, 500_000, 500_000, 500_000, 500_000].map(|len| Batch::of([vec![7; len]]).encode()).to_vec()
}

/// A connection of the attacker's, and what went over it.
struct Held {
    connection: Connection,
    sent: usize,
    read: usize,
}

struct Attacker<'a> {
    address: &'a str,
    size: usize,
    held: Vec<Held>,
}

impl Attacker<'_> {
    /// Makes sure that what was to be held is held still, and that the broker had what was sent.
    fn has_attacked(mut self, attack: Attack, question: &[u8], rounds: usize) {
        match attack {
            Attack::SingleBytes => {
                assert_eq!(self.held.len(), self.size);
                assert!(self.held.iter().all(|held| held.sent == rounds && is_silent(&held.connection)));
            }
            Attack::FetchesUnread | Attack::PipelinesUnread => {
                assert_eq!(self.held.len(), self.size);
                for held in &self.held {
                    assert!(held.sent < PUSHED_MAX, "the broker goes on listening to who does not read");
                    assert!(has_answers(&held.connection), "nothing was answered");
                }
            }
            Attack::ReadsBehind => {
                let answers = |held: &Held| held.sent / question.len() * SMALL;
                assert!(self.held.iter().all(|held| held.read >= BEHIND && answers(held) > held.read));
            }
            Attack::Idles => {
                assert!(self.held.iter().all(|held| is_silent(&held.connection)), "some were hung up on");
                self.greet(question);
            }
            _ => {}
        }
    }

    /// One more byte on each connection.
    fn single_byte(&mut self, byte: u8) {
        self.fill(self.size);
        for held in &mut self.held {
            held.connection.send_bytes(&[byte]).expect("a slow client is listened to");
            held.sent += 1;
        }
    }

    fn half_closes(&self, question: &[u8]) {
        let connections: Vec<Connection> = (0..self.size)
            .map(|_| {
                let mut connection = Connection::open(self.address);
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
    fn unread(&mut self, question: &[u8]) {
        let pushed = question.repeat((1 << 16) / question.len() + 1);
        self.fill(self.size);
        self.held.iter_mut().for_each(|held| held.push(&pushed, PUSHED_MAX));
        std::thread::park_timeout(Duration::from_millis(10));
    }

    /// Sends as much as the broker takes, and reads less than there is.
    fn reads_behind(&mut self, question: &[u8]) {
        self.fill(self.size);
        let pushed = question.repeat((1 << 16) / question.len() + 1);
        let mut piece = vec![0; 1 << 16];
        for held in &mut self.held {
            let end = held.read + BEHIND;
            while held.read < end {
                held.push(&pushed, held.sent + PUSHED_MAX);
                match held.connection.stream().read(&mut piece) {
                    Ok(0) => panic!("who reads slowly is not hung up on"),
                    Ok(read) => held.read += read,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                    Err(error) => panic!("who reads slowly is not hung up on: {error}"),
                }
            }
        }
    }

    /// Connections that are served, and then say nothing.
    fn idles(&mut self, question: &[u8]) {
        if self.held.is_empty() {
            self.fill(self.size);
            self.greet(question);
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }

    /// Asks on every connection: one that waits to be accepted, or has been refused, looks open too.
    fn greet(&mut self, question: &[u8]) {
        assert_eq!(self.held.len(), self.size);
        for held in &mut self.held {
            held.connection.send_bytes(question).expect("an idle connection is open");
        }
        for held in &mut self.held {
            held.connection.receive_frame().expect("an idle connection is answered");
        }
    }

    /// Large frames, and long lists, of which a few bytes come.
    fn announces_giants(&self, huge_list: &[u8]) {
        let huge_frame = [&(90_u32 << 20).to_be_bytes()[..], &[0; 96]].concat();
        let open = |bytes: &[u8]| {
            let mut connection = Connection::open(self.address);
            connection.send_bytes(bytes).expect("a few bytes");
            connection
        };
        let pairs: Vec<_> = (0..self.size / 2).map(|_| (open(&huge_frame), open(huge_list))).collect();
        for (frame, mut list) in pairs {
            assert!(list.is_closed(), "a list of two billion that is not there");
            assert!(is_silent(&frame), "the rest of the frame is waited for");
            frame.finish();
            assert!({ frame }.is_closed(), "everything that came was read, up to the end");
        }
    }

    fn bombs(&mut self, bomb: &[u8], expected: i16) {
        let response = decode::<ProduceRequest>(PRODUCE, self.ask(bomb)).1;
        assert_eq!(response.responses[0].partition_responses[0].error_code, expected);
    }

    fn asks_for_topics(&mut self, question: &[u8], expected: i16) {
        let response = decode::<MetadataRequest>(METADATA, self.ask(question)).1;
        let told = response.topics.iter().filter(|topic| topic.error_code == expected).count();
        assert_eq!((told, response.topics.len()), (self.size, self.size));
    }

    /// Asks on one connection and waits for the answer.
    fn ask(&mut self, question: &[u8]) -> Vec<u8> {
        self.fill(1);
        let connection = &mut self.held[0].connection;
        connection.send_bytes(question).expect("a question of a size that is allowed");
        connection.receive_frame().expect("every question is answered")
    }

    fn fill(&mut self, size: usize) {
        while self.held.len() < size {
            self.held.push(Held { connection: Connection::open(self.address), sent: 0, read: 0 });
        }
    }
}

impl Held {
    /// Sends `pushed` again and again, from where the last call ended on, until the broker takes no more: in the middle of
    /// a frame, if need be.
    fn push(&mut self, pushed: &[u8], max: usize) {
        self.connection.stream().set_nonblocking(true).expect("a socket");
        while self.sent < max {
            match self.connection.stream().write(&pushed[self.sent % pushed.len()..]) {
                Ok(taken) => self.sent += taken,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("who does not read is not hung up on: {error}"),
            }
        }
    }
}

/// Whether a connection is open and has nothing to be read.
fn is_silent(connection: &Connection) -> bool {
    peek(connection).is_none()
}

/// Whether there are bytes that nobody has read yet.
fn has_answers(connection: &Connection) -> bool {
    peek(connection).is_some_and(|bytes| bytes > 0)
}

/// How much of a byte could be read at once: none where that is the end, `None` where there is nothing yet.
fn peek(connection: &Connection) -> Option<usize> {
    let stream = connection.stream();
    stream.set_nonblocking(true).expect("a socket");
    let peeked = stream.peek(&mut [0]);
    stream.set_nonblocking(false).expect("a socket");
    match peeked {
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        peeked => Some(peeked.unwrap_or(0)),
    }
}
