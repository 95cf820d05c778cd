//! One client connection: receives, dispatches on the spot, answers strictly in order.
//!
//! One receive may bring many requests and one send carries many answers. Bytes are received into a buffer that
//! belongs to the thread, not to the connection: an idle connection owns no buffer at all. Only the beginning of a
//! frame whose rest has not arrived is kept by the connection, and it grows with what arrived, not with what the
//! length prefix announced.

use crate::api::{self, ConnectionInfo, Outcome, Pending};
use crate::broker::Broker;
use crate::net::registry::Registered;
use crate::net::sendfile::{Outgoing, Sent};
use milena_protocol::frame::{self, Next};
use milena_protocol::gather::{FileRange, Gather};
use milena_storage::page_cache;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::AsFd;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// Size of a thread's receive buffer: what one receive can bring.
const RECEIVE: usize = 1 << 20;
/// Answers that may wait behind one that is not ready; then reading stops.
const WAITING_MAX: usize = 128;
/// Memory of answers for a client that does not read, or not fast enough; then reading stops until all has left.
const OUTGOING_MAX: usize = 1 << 20;
/// Memory a connection keeps between requests, for each direction.
const KEEP: usize = 16 << 10;
/// From this size on the beginning of a frame stays where it is if the rest comes in small pieces.
const ASIDE: usize = 64 << 10;
/// Receives after which it is the turn of other connections.
const TURN: usize = 8;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// An answer in its place in the order.
enum Slot {
    Waiting(Pending<Result<Gather, String>>),
    Ready(Gather),
}

/// Why a connection ends.
enum End {
    /// The client closed it, or the broker stops.
    Quiet,
    /// The client sent what cannot be served, or was idle too long, or the socket failed.
    Reason(String),
}

pub(crate) struct Connection {
    // Dropped before the socket: fields drop in this order.
    _registered: Registered,
    stream: TcpStream,
    broker: Arc<Broker>,
    info: ConnectionInfo,
    /// Received and not dispatched: the start of a frame, or frames held back by the bounds above.
    held: Vec<u8>,
    /// What the last receive brought.
    received: usize,
    outgoing: Outgoing,
    waiting: VecDeque<Slot>,
    /// Memory of the answers that are ready among those.
    ready_bytes: usize,
    /// Nothing more is read. What came before is still answered, unless the client has hung up: then what is answered is
    /// sent, and what is parked is dropped.
    ending: Option<End>,
    /// Nothing is read and handled until then, because the client has used up a quota, or what is handled next must
    /// wait.
    silence: Option<Pin<Box<Sleep>>>,
    idle: Pin<Box<Sleep>>,
    active: Instant,
    /// The socket has taken a part of what there is to send.
    unsent: bool,
    /// What is to be sent next is being read from the disk.
    reading: Option<Pending<()>>,
}

impl Connection {
    /// Takes over an accepted socket.
    pub(crate) fn new(
        stream: TcpStream,
        registered: Registered,
        info: ConnectionInfo,
        broker: Arc<Broker>,
    ) -> Self {
        let active = Instant::now();
        let idle = Box::pin(tokio::time::sleep_until(active + broker.idle_max()));
        Self {
            _registered: registered,
            stream,
            broker,
            info,
            held: Vec::new(),
            received: 0,
            outgoing: Outgoing::default(),
            waiting: VecDeque::new(),
            ready_bytes: 0,
            ending: None,
            silence: None,
            idle,
            active,
            unsent: false,
            reading: None,
        }
    }

    /// Serves the connection to its end.
    pub(crate) async fn run(mut self) {
        if let End::Reason(reason) = poll_fn(|cx| self.poll(cx)).await {
            tracing::info!("closing connection from {}: {reason}", self.info.peer);
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let mut turns = 0..TURN;
        loop {
            if let Err(end) = self.collect_ready(cx).and_then(|()| self.poll_send(cx)) {
                return Poll::Ready(end);
            }
            if let Some(end) = self.ending.take() {
                if !self.owes_answers(&end) {
                    return Poll::Ready(end);
                }
                self.ending = Some(end);
                break;
            }
            match self.poll_receive(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(end)) => return Poll::Ready(end),
                Poll::Pending => break,
            }
            if turns.next().is_none() {
                give_way(cx);
                break;
            }
        }
        if self.held.is_empty() && self.held.capacity() > KEEP {
            self.held = Vec::new();
        }
        self.poll_idle(cx)
    }

    /// Whether there is something to send, or to wait for, before the connection may end.
    fn owes_answers(&self, end: &End) -> bool {
        let is_there = matches!(end, End::Reason(_)) || self.broker.is_stopping();
        !self.outgoing.is_empty() || is_there && !self.waiting.is_empty()
    }

    /// Moves answers that have become ready into the outgoing bytes, in order.
    fn collect_ready(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        for slot in &mut self.waiting {
            if let Slot::Waiting(pending) = slot
                && let Poll::Ready(answer) = pending.as_mut().poll(cx)
            {
                let answer = answer.map_err(End::Reason)?;
                self.ready_bytes += answer.held_bytes();
                *slot = Slot::Ready(answer);
            }
        }
        while let Some(Slot::Ready(_)) = self.waiting.front() {
            if let Some(Slot::Ready(answer)) = self.waiting.pop_front() {
                self.ready_bytes -= answer.held_bytes();
                self.outgoing.gather().append(answer);
            }
            self.active = Instant::now();
        }
        Ok(())
    }

    /// Sends what the socket takes; the task is woken when it takes more.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        while !self.outgoing.is_empty() {
            if let Some(reading) = &mut self.reading {
                if reading.as_mut().poll(cx).is_pending() {
                    self.unsent = true;
                    return Ok(());
                }
                self.reading = None;
            }
            let Poll::Ready(ready) = self.stream.poll_write_ready(cx) else {
                self.unsent = true;
                return Ok(());
            };
            let before = self.outgoing.sent();
            let sent = ready.and_then(|()| {
                let (stream, outgoing, now) = (&self.stream, &mut self.outgoing, std::time::Instant::now());
                stream.try_io(Interest::WRITABLE, || outgoing.send(stream.as_fd(), KEEP, now, is_cached))
            });
            match sent {
                Ok(Sent::Everything) => {}
                Ok(Sent::Share) => {
                    give_way(cx);
                    (self.unsent, self.active) = (true, Instant::now());
                    return Ok(());
                }
                Ok(Sent::Cold(piece)) => self.reading = Some(Box::pin(bring_in(self.broker.clone(), piece))),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) if gone(&e) => return Err(End::Quiet),
                Err(e) => return Err(End::Reason(format!("cannot send: {e}"))),
            }
            // What leaves at once follows something that has set the time already.
            if self.unsent && self.outgoing.sent() != before {
                self.active = Instant::now();
            }
        }
        self.unsent = false;
        Ok(())
    }

    fn may_dispatch(&self) -> bool {
        self.silence.is_none()
            && self.ending.is_none()
            && self.waiting.len() < WAITING_MAX
            && self.outgoing.held_bytes() + self.ready_bytes < OUTGOING_MAX
    }

    /// Receives once and dispatches what is complete.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        ready!(self.poll_silence(cx));
        if !self.may_dispatch() {
            return Poll::Pending;
        }
        let total = match frame::next(&self.held, self.broker.frame_max()) {
            Ok(Next::Frame { .. }) => {
                let held = std::mem::take(&mut self.held);
                let used = self.dispatch_all(&held);
                self.hold(&held[used..]);
                return Poll::Ready(Ok(()));
            }
            Ok(Next::Needs { total }) => total,
            Err(error) => {
                self.ending = Some(End::Reason(error.to_string()));
                return Poll::Ready(Ok(()));
            }
        };
        BUFFER.with_borrow_mut(|buffer| {
            if buffer.is_empty() {
                *buffer = vec![0; RECEIVE];
            }
            // A frame that fits into the thread's buffer is put together there; a larger one in the connection's
            // own memory, which grows with what has arrived. So is one that comes in pieces which are small beside what
            // is there already: that would be copied for each of them.
            let apart = total > RECEIVE || self.held.len() >= ASIDE.max(2 * self.received);
            let start = if apart { 0 } else { self.held.len() };
            let end = if apart { RECEIVE.min(total - self.held.len()) } else { RECEIVE };
            let n = ready!(self.poll_read(cx, &mut buffer[start..end]))?;
            if n == 0 {
                self.ending = Some(End::Quiet);
                return Poll::Ready(Ok(()));
            }
            (self.active, self.received) = (Instant::now(), n);
            if apart {
                let room = total - self.held.len();
                if self.held.capacity() - self.held.len() < n {
                    self.held.reserve_exact(room.min(n.max(self.held.len())));
                }
                self.held.extend_from_slice(&buffer[..n]);
                return Poll::Ready(Ok(()));
            }
            buffer[..start].copy_from_slice(&self.held);
            self.held.clear();
            let all = &buffer[..start + n];
            let used = self.dispatch_all(all);
            self.hold(&all[used..]);
            Poll::Ready(Ok(()))
        })
    }

    /// Ready when the client may be listened to.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.be_silent();
        while let Some(silence) = &mut self.silence {
            ready!(silence.as_mut().poll(cx));
            self.silence = None;
            self.be_silent();
        }
        Poll::Ready(())
    }

    /// Begins the silence that an answer has announced; it ends no earlier than one that is going on.
    fn be_silent(&mut self) {
        if self.info.silence.load(Ordering::Relaxed) == 0 {
            return;
        }
        let ms = self.info.silence.swap(0, Ordering::Relaxed);
        let until = Instant::now() + Duration::from_millis(u64::from(ms));
        if self.silence.as_ref().is_none_or(|silence| silence.deadline() < until) {
            self.silence = Some(Box::pin(tokio::time::sleep_until(until)));
        }
    }

    /// Receives into `space`; 0 bytes are the end.
    fn poll_read(&mut self, cx: &mut Context<'_>, space: &mut [u8]) -> Poll<Result<usize, End>> {
        let mut space = ReadBuf::new(space);
        match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut space)) {
            Ok(()) => Poll::Ready(Ok(space.filled().len())),
            Err(error) if gone(&error) => Poll::Ready(Err(End::Quiet)),
            Err(error) => Poll::Ready(Err(End::Reason(format!("cannot receive: {error}")))),
        }
    }

    fn hold(&mut self, rest: &[u8]) {
        self.held.clear();
        self.held.extend_from_slice(rest);
    }

    /// Dispatches the complete frames at the start of `bytes` as far as the bounds allow; returns how much it took.
    fn dispatch_all(&mut self, bytes: &[u8]) -> usize {
        let mut used = 0;
        while self.may_dispatch() {
            match frame::next(&bytes[used..], self.broker.frame_max()) {
                Ok(Next::Frame { len }) => {
                    if self.dispatch(&bytes[used + 4..used + 4 + len]) {
                        used += 4 + len;
                    }
                }
                Ok(Next::Needs { .. }) => break,
                Err(error) => self.ending = Some(End::Reason(error.to_string())),
            }
        }
        used
    }

    /// Handles a request; false if that is to be done again.
    fn dispatch(&mut self, frame: &[u8]) -> bool {
        let mut apart = Gather::default();
        let in_turn = self.waiting.is_empty();
        let out = if in_turn { self.outgoing.gather() } else { &mut apart };
        match api::handle(&self.broker, &self.info, frame, out) {
            Outcome::Written if !in_turn => {
                self.ready_bytes += apart.held_bytes();
                self.waiting.push_back(Slot::Ready(apart));
            }
            Outcome::Written | Outcome::Nothing => {}
            Outcome::Later(pending) => self.waiting.push_back(Slot::Waiting(pending)),
            // What came before is answered first, as if nothing had been read behind it.
            Outcome::Close(reason) => self.ending = Some(End::Reason(reason)),
            Outcome::Again(after) => {
                self.silence = Some(Box::pin(tokio::time::sleep(after)));
                return false;
            }
        }
        self.info.first_try.store(0, Ordering::Relaxed);
        self.be_silent();
        true
    }

    /// Ends the connection when nothing came or went for `connections.max.idle.ms`. A parked request is not idle, unless
    /// nothing is read any more: then a client that has gone would not be noticed.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        while self.idle.as_mut().poll(cx).is_ready() {
            let max = self.broker.idle_max();
            let listens = self.ending.is_none() && self.waiting.len() < WAITING_MAX;
            let since = if self.waiting.is_empty() || !listens { self.active } else { Instant::now() };
            if since.elapsed() >= max {
                return Poll::Ready(End::Reason(format!("idle for {} s", max.as_secs())));
            }
            self.idle.as_mut().reset(since + max.max(Duration::from_millis(1)));
        }
        Poll::Pending
    }
}

fn is_cached(range: &FileRange) -> bool {
    page_cache::holds(&range.file, range.position, range.len)
}

/// Reads what is to be sent. What cannot be read is noticed when it is sent.
async fn bring_in(broker: Arc<Broker>, range: FileRange) {
    let read = move || page_cache::bring_in(&range.file, range.position, range.len);
    let _ = broker.read_beside(read).await;
}

/// Lets others who are served by this thread have their turn before this task has its next. Merely woken by itself it would
/// be found ready again and again, and the runtime would look at sockets only once in a while.
fn give_way(cx: &mut Context<'_>) {
    // The first look tells the runtime; nothing waits for the second.
    let _ = pin!(tokio::task::yield_now()).poll(cx);
}

fn gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted
    )
}
