//! Many clients in one thread, each with a connection of its own and one request in flight.

use crate::answers::Answers;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use std::collections::VecDeque;
use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// How long a client that has nothing to say waits with its heartbeat: more often than clients do by default, so that
/// what is measured is the broker's work and not the time until members hear of it.
const INTERVAL: Duration = Duration::from_millis(250);
/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// A member of a group.
pub(super) trait Client {
    /// The frame that it begins with.
    fn first(&self) -> Vec<u8>;

    /// Takes an answer (without its length prefix); what is to be sent at once, or None if there is time for a heartbeat.
    fn take(&mut self, answer: Vec<u8>) -> Option<Vec<u8>>;

    /// What it says when it has nothing else to say.
    fn heartbeat(&self) -> Vec<u8>;

    /// Whether it has an assignment.
    fn is_settled(&self) -> bool;

    /// Whether all of them together have what they are to have.
    fn are_settled<'a>(all: impl Iterator<Item = &'a Self> + Clone) -> bool
    where
        Self: 'a;
}

struct Line<C> {
    stream: TcpStream,
    answers: Answers,
    client: C,
}

/// The clients.
pub(super) struct Crowd<C> {
    epoll: Epoll,
    lines: Vec<Line<C>>,
    /// Who has nothing in flight, and when it is to send its heartbeat, in that order.
    due: VecDeque<(Instant, usize)>,
    /// Who has not sent its first request.
    new: Vec<usize>,
}

impl<C: Client> Crowd<C> {
    pub(super) fn new() -> Self {
        let epoll = Epoll::new(EpollCreateFlags::empty()).expect("an epoll descriptor");
        Self { epoll, lines: Vec::new(), due: VecDeque::new(), new: Vec::new() }
    }

    /// Connects a client, which is silent until [`run`](Self::run).
    pub(super) fn add(&mut self, address: &str, client: C) {
        let stream = TcpStream::connect(address).expect("the broker listens");
        stream.set_nodelay(true).expect("a socket");
        let event = EpollEvent::new(EpollFlags::EPOLLIN, self.lines.len() as u64);
        self.epoll.add(&stream, event).expect("a descriptor to wait for");
        self.new.push(self.lines.len());
        self.lines.push(Line { stream, answers: Answers::default(), client });
    }

    /// Lets all clients work until they have settled.
    pub(super) fn run(&mut self) {
        let begun = Instant::now();
        for index in std::mem::take(&mut self.new) {
            let line = &mut self.lines[index];
            line.stream.write_all(&line.client.first()).expect("the broker reads");
        }
        let mut events = vec![EpollEvent::empty(); 1024];
        while !C::are_settled(self.lines.iter().map(|line| &line.client)) {
            assert!(begun.elapsed() < PATIENCE, "the group does not settle");
            let count = self.epoll.wait(&mut events, EpollTimeout::from(5_u8)).expect("events");
            for event in &events[..count] {
                self.answered(usize::try_from(event.data()).expect("an index"));
            }
            self.beat();
        }
    }

    fn answered(&mut self, index: usize) {
        let Line { stream, answers, client } = &mut self.lines[index];
        let mut next = None;
        answers.read(stream, |answer| next = client.take(answer.to_vec()));
        match next {
            Some(request) => stream.write_all(&request).expect("the broker reads"),
            None => self.due.push_back((Instant::now() + INTERVAL, index)),
        }
    }

    fn beat(&mut self) {
        while let Some((_, index)) = self.due.pop_front_if(|(at, _)| *at <= Instant::now()) {
            let line = &mut self.lines[index];
            line.stream.write_all(&line.client.heartbeat()).expect("the broker reads");
        }
    }
}
