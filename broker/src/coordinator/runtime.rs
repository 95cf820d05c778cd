//! Runs pure state machines over the partitions of an internal topic, one machine a partition.

use super::replay::replay_partition;
use super::{CoordinatorError, StateLog, Verification};
use crate::clock::Clock;
use kafka_protocol::ResponseError;
use milena_protocol::records::{
    BatchBuilder, EndTransactionMarker, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, end_transaction_batch,
};
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

/// A reply that is owed. The machine holds the ticket, the runtime the way back to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Ticket(u64);

/// The reply to an input that may have to wait.
pub(crate) enum Parked<R> {
    /// It is here.
    Ready(R),
    /// It comes later.
    Waiting(Later<R>),
}

impl<R: Send + 'static> Parked<R> {
    /// The reply turned into another type, now or when it comes.
    pub(crate) fn map<T: 'static>(self, f: fn(R) -> T) -> Parked<T> {
        match self {
            Self::Ready(reply) => Parked::Ready(f(reply)),
            Self::Waiting(pending) => Parked::Waiting(Box::pin(async move { pending.await.map(f) })),
        }
    }
}

/// A reply that comes later; None if the coordinator forgot it.
pub(crate) type Later<R> = Pin<Box<dyn Future<Output = Option<R>> + Send>>;

/// The state of one partition. It reads no clock and does no I/O.
pub(crate) trait Machine: Send + Sized + 'static {
    /// What it stores.
    type Record: Send;
    /// What it keeps in mind while records are being stored.
    type Then: Send;
    /// What it owes to holders of tickets.
    type Reply: Send + 'static;

    /// Base sequence of its batches: Kafka's coordinators do not agree on what stands there without a producer.
    const BASE_SEQUENCE: i32 = 0;

    /// Key and value of a record.
    fn encode(record: &Self::Record) -> Result<(Vec<u8>, Option<Vec<u8>>), String>;

    /// Takes over a record of the log.
    fn replay(&mut self, at: Position, key: &[u8], value: Option<&[u8]>) -> Result<(), String>;

    /// Takes over the end of a producer's transaction.
    fn end_transaction(&mut self, producer_id: i64, committed: bool);

    /// All records were replayed: sessions begin.
    fn loaded(&mut self, now: i64, effects: &mut Effects<Self>);

    /// The records of a step are in the log from `base_offset` on.
    fn stored(&mut self, step: Step<Self>, base_offset: i64, now: i64, effects: &mut Effects<Self>);

    /// The records of a step are not in the log.
    fn not_stored(&mut self, step: Step<Self>, error: ResponseError, now: i64, effects: &mut Effects<Self>);

    /// Acts on one deadline that has passed; false if there is none.
    fn fire(&mut self, now: i64, effects: &mut Effects<Self>) -> bool;

    /// How far the wall clock is ahead of the steady one, in ms: said before each input, whose `now` is the wall clock's.
    fn set_skew(&mut self, ms: i64);

    /// A time of the steady clock before which no deadline passes.
    fn next_deadline(&self) -> Option<i64>;
}

/// Where a record was found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Position {
    /// Its offset.
    pub(crate) offset: i64,
    /// The producer whose transaction it is part of, or -1.
    pub(crate) producer_id: i64,
}

/// The transaction that records are part of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InTransaction {
    /// Whose it is.
    pub(crate) producer_id: i64,
    /// In which epoch.
    pub(crate) producer_epoch: i16,
    /// What the transaction coordinator said.
    pub(crate) verification: Verification,
}

/// Records that are stored together, and what follows.
pub(crate) struct Step<M: Machine> {
    /// One batch.
    pub(crate) records: Vec<M::Record>,
    /// The transaction it is part of.
    pub(crate) transaction: Option<InTransaction>,
    /// What follows.
    pub(crate) then: M::Then,
}

/// What an input leads to.
pub(crate) struct Effects<M: Machine> {
    steps: VecDeque<Step<M>>,
    replies: Vec<(Ticket, M::Reply)>,
}

impl<M: Machine> Effects<M> {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        Self { steps: VecDeque::new(), replies: Vec::new() }
    }

    /// Has records stored as one batch.
    pub(crate) fn store(&mut self, records: Vec<M::Record>, then: M::Then) {
        self.store_in(None, records, then);
    }

    /// As [`store`](Self::store), as part of a transaction.
    pub(crate) fn store_in(
        &mut self,
        transaction: Option<InTransaction>,
        records: Vec<M::Record>,
        then: M::Then,
    ) {
        if !records.is_empty() {
            self.steps.push_back(Step { records, transaction, then });
        }
    }

    /// Whether there are records to store.
    pub(crate) fn stores(&self) -> bool {
        !self.steps.is_empty()
    }

    /// Answers the holder of a ticket, after the steps. The last answer counts.
    pub(crate) fn reply(&mut self, ticket: Ticket, reply: M::Reply) {
        self.replies.push((ticket, reply));
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Loading,
    Active,
    /// The log of the partition could not be read; the others work on. It is tried again after so many ms.
    Failed(i64),
}

struct State<M: Machine> {
    phase: Phase,
    machine: M,
    parked: HashMap<Ticket, oneshot::Sender<M::Reply>>,
    next_ticket: u64,
}

struct Shard<M: Machine> {
    partition: i32,
    state: Mutex<State<M>>,
    next_deadline: AtomicI64,
}

/// The machines of a coordinator and what they need.
pub(crate) struct Runtime<M: Machine> {
    log: Arc<dyn StateLog>,
    clock: Arc<Clock>,
    machine: Box<dyn Fn() -> M + Send + Sync>,
    partition_for: fn(&str, i32) -> i32,
    shards: OnceLock<Box<[Shard<M>]>>,
    creating: Mutex<()>,
    started: AtomicBool,
    next_deadline: AtomicI64,
    deadline_changed: Notify,
}

const NEVER: i64 = i64::MAX;

/// How long a partition that could not be read waits for the next try, in ms: at first, and twice as long each time up to
/// this. Kafka reads it again when it is elected anew, and on one node there is no other election.
const RELOAD_MS: (i64, i64) = (1_000, 600_000);

/// The log fills in its own.
const NO_LEADER_EPOCH: i32 = -1;

impl<M: Machine> Runtime<M> {
    /// `machine` makes the empty state of a partition, `partition_for` finds the partition of a name.
    pub(crate) fn new(
        log: Arc<dyn StateLog>,
        clock: Arc<Clock>,
        partition_for: fn(&str, i32) -> i32,
        machine: impl Fn() -> M + Send + Sync + 'static,
    ) -> Self {
        Self {
            log,
            clock,
            machine: Box::new(machine),
            partition_for,
            shards: OnceLock::new(),
            creating: Mutex::new(()),
            started: AtomicBool::new(false),
            next_deadline: AtomicI64::new(NEVER),
            deadline_changed: Notify::new(),
        }
    }

    /// Reads the state back. A partition that cannot be read is out of service until [`tick`](Self::tick) can read it, and
    /// its error among those returned; the others serve.
    pub(crate) fn load(&self) -> Result<(), Vec<CoordinatorError>> {
        let mut errors = Vec::new();
        if let Some(count) = self.log.exists() {
            for shard in self.init_shards(count) {
                if let Err(error) = self.load_shard(shard, &mut shard.state.lock()) {
                    errors.push(error);
                }
            }
        }
        self.started.store(true, Ordering::Release);
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// Sees to it that the internal topic exists.
    pub(crate) fn ensure(&self) -> Result<(), CoordinatorError> {
        if !self.started.load(Ordering::Acquire) {
            return Err(CoordinatorError::Loading { partition: 0 });
        }
        if self.shards.get().is_some() {
            return Ok(());
        }
        let _creating = self.creating.lock();
        if self.shards.get().is_none() {
            let count = self.log.ensure()?;
            // Each of them: nobody comes back for those behind one that cannot be read.
            let load = |shard: &Shard<M>| self.load_shard(shard, &mut shard.state.lock());
            let loaded: Vec<_> = self.init_shards(count).iter().map(load).collect();
            return loaded.into_iter().collect();
        }
        Ok(())
    }

    /// The partition that holds a name; creates the topic if need be.
    pub(crate) fn partition_of(&self, name: &str) -> Result<i32, ResponseError> {
        self.ensure().map_err(|error| report(&error))?;
        Ok((self.partition_for)(name, i32::try_from(self.all().len()).unwrap_or(i32::MAX)))
    }

    /// Hands an input about `name` to its machine, creating the topic if need be, and returns what the machine says once
    /// the records are stored.
    pub(crate) fn write<R>(
        &self,
        name: &str,
        input: impl FnOnce(&mut M, i64, &mut Effects<M>) -> R,
    ) -> Result<R, ResponseError> {
        self.ensure().map_err(|error| report(&error))?;
        self.existing(name, input).unwrap_or(Err(ResponseError::CoordinatorNotAvailable))
    }

    /// As [`write`](Self::write), but nothing is created: without a topic there is no state, and the answer is None.
    pub(crate) fn existing<R>(
        &self,
        name: &str,
        input: impl FnOnce(&mut M, i64, &mut Effects<M>) -> R,
    ) -> Option<Result<R, ResponseError>> {
        match self.shard(name) {
            Ok(shard) => {
                Some(self.enter(shard?, |state, now, effects| input(&mut state.machine, now, effects)))
            }
            Err(error) => Some(Err(error)),
        }
    }

    /// As [`existing`](Self::existing); `after` looks at what the stored records have led to before anybody else does.
    /// If they were not stored it does not.
    pub(crate) fn existing_then<R, T>(
        &self,
        name: &str,
        input: impl FnOnce(&mut M, i64, &mut Effects<M>) -> R,
        after: impl FnOnce(&mut M) -> T,
    ) -> Option<Result<(R, T), ResponseError>> {
        match self.shard(name) {
            Ok(shard) => {
                let mut seen = None;
                let entered = self.enter_then(
                    shard?,
                    |state, now, effects| input(&mut state.machine, now, effects),
                    |machine| seen = Some(after(machine)),
                );
                // A machine that was entered was looked at.
                Some(entered.and_then(|result| Ok((result, seen.ok_or(ResponseError::UnknownServerError)?))))
            }
            Err(error) => Some(Err(error)),
        }
    }

    /// As [`write`](Self::write), for an input whose reply comes by ticket.
    pub(crate) fn park(
        &self,
        name: &str,
        input: impl FnOnce(&mut M, i64, Ticket, &mut Effects<M>),
    ) -> Result<Parked<M::Reply>, ResponseError> {
        self.ensure().map_err(|error| report(&error))?;
        let shard = self.shard(name)?.ok_or(ResponseError::CoordinatorNotAvailable)?;
        let mut receiver = None;
        let outcome = self.enter(shard, |state, now, effects| {
            let ticket = Ticket(state.next_ticket);
            state.next_ticket += 1;
            let (sender, waiting) = oneshot::channel();
            state.parked.insert(ticket, sender);
            receiver = Some(waiting);
            input(&mut state.machine, now, ticket, effects);
        });
        let Some(mut receiver) = receiver else {
            return Err(outcome.err().unwrap_or(ResponseError::CoordinatorNotAvailable));
        };
        // A failure to store is answered by the machine, by ticket.
        Ok(match receiver.try_recv() {
            Ok(reply) => Parked::Ready(reply),
            Err(_) => Parked::Waiting(Box::pin(async move { receiver.await.ok() })),
        })
    }

    /// Ends a producer's transaction in one partition: stores the marker, and hands it to the machine. A machine that is
    /// out of service reads it from the log one day.
    pub(crate) fn end_transaction(
        &self,
        partition: i32,
        producer_id: i64,
        producer_epoch: i16,
        marker: EndTransactionMarker,
    ) -> Result<(), CoordinatorError> {
        let shard = usize::try_from(partition).ok().and_then(|index| self.all().get(index));
        let shard = shard.ok_or(CoordinatorError::Loading { partition })?;
        let mut state = shard.state.lock();
        if state.phase == Phase::Loading {
            return Err(CoordinatorError::Loading { partition });
        }
        let now = self.clock.now_ms();
        let batch = end_transaction_batch(0, NO_LEADER_EPOCH, now, producer_id, producer_epoch, marker);
        self.log.append(partition, &batch, Verification::Skipped)?;
        if state.phase == Phase::Active {
            state.machine.end_transaction(producer_id, marker.commit);
        }
        Ok(())
    }

    /// Visits all partitions that work. What one of them cannot store keeps it from no other; the first error is returned.
    pub(crate) fn each(
        &self,
        mut visit: impl FnMut(&mut M, i64, &mut Effects<M>),
    ) -> Result<(), ResponseError> {
        if !self.started.load(Ordering::Acquire) {
            return Err(ResponseError::CoordinatorLoadInProgress);
        }
        let mut outcome = Ok(());
        for shard in self.all() {
            let mut is_active = false;
            let visited = self.enter(shard, |state, now, effects| {
                is_active = true;
                visit(&mut state.machine, now, effects);
            });
            match visited {
                // Out of service.
                Err(ResponseError::NotCoordinator) if !is_active => {}
                visited => outcome = outcome.and(visited),
            }
        }
        outcome
    }

    /// Acts on the deadlines that have passed at `now`; returns a time before which there is none. Both are the steady
    /// clock's.
    pub(crate) fn tick(&self, now: i64) -> Option<i64> {
        self.next_deadline.store(NEVER, Ordering::SeqCst);
        let skew = self.skew();
        let mut next = NEVER;
        for shard in self.all() {
            if shard.next_deadline.load(Ordering::SeqCst) <= now {
                let mut state = shard.state.lock();
                match state.phase {
                    Phase::Loading => {}
                    Phase::Active => {
                        state.machine.set_skew(skew);
                        self.fire_due(shard, &mut state, now.saturating_add(skew), Effects::new());
                    }
                    // It was logged if it fails again.
                    Phase::Failed(_) => {
                        drop(tokio::task::block_in_place(|| self.load_shard(shard, &mut state)))
                    }
                }
            }
            next = next.min(shard.next_deadline.load(Ordering::SeqCst));
        }
        let published = self.next_deadline.fetch_min(next, Ordering::SeqCst).min(next);
        (published != NEVER).then_some(published)
    }

    /// Waits until there may be a deadline before the one that the last [`tick`](Self::tick) returned.
    pub(crate) async fn wait_deadline_changed(&self) {
        self.deadline_changed.notified().await;
    }

    /// Ends the wait of [`wait_deadline_changed`](Self::wait_deadline_changed): there is something to do.
    pub(crate) fn wake(&self) {
        self.deadline_changed.notify_one();
    }

    /// Keeps all deadlines, for as long as it is polled: one task is enough.
    pub(crate) async fn keep_deadlines(&self) {
        loop {
            let now = self.clock.steady_ms();
            match self.tick(now) {
                None => self.wait_deadline_changed().await,
                Some(next) => {
                    let pause = Duration::from_millis(u64::try_from(next.saturating_sub(now)).unwrap_or(0));
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = self.wait_deadline_changed() => {}
                    }
                }
            }
        }
    }

    fn all(&self) -> &[Shard<M>] {
        self.shards.get().map_or(&[], |shards| &**shards)
    }

    fn shard(&self, name: &str) -> Result<Option<&Shard<M>>, ResponseError> {
        if !self.started.load(Ordering::Acquire) {
            return Err(ResponseError::CoordinatorLoadInProgress);
        }
        let shards = self.all();
        let count = i32::try_from(shards.len()).unwrap_or(i32::MAX);
        if count == 0 {
            return Ok(None);
        }
        Ok(usize::try_from((self.partition_for)(name, count)).ok().and_then(|index| shards.get(index)))
    }

    fn init_shards(&self, count: i32) -> &[Shard<M>] {
        self.shards.get_or_init(|| {
            (0..count)
                .map(|partition| Shard {
                    partition,
                    state: Mutex::new(State {
                        phase: Phase::Loading,
                        machine: (self.machine)(),
                        parked: HashMap::new(),
                        next_ticket: 0,
                    }),
                    next_deadline: AtomicI64::new(NEVER),
                })
                .collect()
        })
    }

    fn load_shard(&self, shard: &Shard<M>, state: &mut State<M>) -> Result<(), CoordinatorError> {
        let wait = match state.phase {
            Phase::Active => return Ok(()),
            Phase::Loading => RELOAD_MS.0,
            Phase::Failed(waited) => {
                // It may have read some of it.
                state.machine = (self.machine)();
                (waited * 2).min(RELOAD_MS.1)
            }
        };
        if let Err(error) = replay_partition(&*self.log, shard.partition, &mut state.machine) {
            tracing::error!("the coordinator of this partition is out of service for {wait} ms: {error}");
            state.phase = Phase::Failed(wait);
            self.expect(shard, self.clock.steady_ms().saturating_add(wait));
            return Err(error);
        }
        state.phase = Phase::Active;
        let now = self.begin(&mut state.machine);
        let mut effects = Effects::new();
        state.machine.loaded(now, &mut effects);
        self.fire_due(shard, state, now, effects);
        Ok(())
    }

    fn enter<R>(
        &self,
        shard: &Shard<M>,
        input: impl FnOnce(&mut State<M>, i64, &mut Effects<M>) -> R,
    ) -> Result<R, ResponseError> {
        self.enter_then(shard, input, |_| ())
    }

    fn enter_then<R>(
        &self,
        shard: &Shard<M>,
        input: impl FnOnce(&mut State<M>, i64, &mut Effects<M>) -> R,
        after: impl FnOnce(&mut M),
    ) -> Result<R, ResponseError> {
        let mut state = shard.state.lock();
        match state.phase {
            Phase::Loading => return Err(ResponseError::CoordinatorLoadInProgress),
            Phase::Failed(_) => return Err(ResponseError::NotCoordinator),
            Phase::Active => {}
        }
        let now = self.begin(&mut state.machine);
        let mut effects = Effects::new();
        let result = input(&mut state, now, &mut effects);
        let outcome = self.settle(shard.partition, &mut state.machine, now, &mut effects);
        self.fire_due(shard, &mut state, now, effects);
        outcome.map(|()| {
            after(&mut state.machine);
            result
        })
    }

    /// The time of an input, ms since 1970.
    fn begin(&self, machine: &mut M) -> i64 {
        let skew = self.skew();
        machine.set_skew(skew);
        self.clock.steady_ms().saturating_add(skew)
    }

    fn skew(&self) -> i64 {
        self.clock.now_ms().saturating_sub(self.clock.steady_ms())
    }

    /// Acts on what is due, answers, and publishes the next deadline.
    fn fire_due(&self, shard: &Shard<M>, state: &mut State<M>, now: i64, mut effects: Effects<M>) {
        // Failures were logged; deadlines have nobody to tell.
        let _ = self.settle(shard.partition, &mut state.machine, now, &mut effects);
        while state.machine.fire(now, &mut effects) {
            let _ = self.settle(shard.partition, &mut state.machine, now, &mut effects);
        }
        for (ticket, reply) in last_of_each(effects.replies) {
            if let Some(sender) = state.parked.remove(&ticket) {
                // Nobody listens if the client hung up.
                let _ = sender.send(reply);
            }
        }
        self.expect(shard, state.machine.next_deadline().unwrap_or(NEVER));
    }

    /// Publishes when there is something to do next, by the steady clock.
    fn expect(&self, shard: &Shard<M>, next: i64) {
        shard.next_deadline.store(next, Ordering::SeqCst);
        if next < self.next_deadline.fetch_min(next, Ordering::SeqCst) {
            self.deadline_changed.notify_one();
        }
    }

    /// Stores the steps one after another; the first failure is returned.
    fn settle(
        &self,
        partition: i32,
        machine: &mut M,
        now: i64,
        effects: &mut Effects<M>,
    ) -> Result<(), ResponseError> {
        let mut outcome = Ok(());
        while let Some(step) = effects.steps.pop_front() {
            match self.append(partition, &step, now) {
                Ok(base_offset) => machine.stored(step, base_offset, now, effects),
                Err(error) => {
                    machine.not_stored(step, error, now, effects);
                    outcome = outcome.and(Err(error));
                }
            }
        }
        outcome
    }

    /// One batch, as Kafka's coordinators write it.
    fn append(&self, partition: i32, step: &Step<M>, now: i64) -> Result<i64, ResponseError> {
        let mut builder = match step.transaction {
            // No sequence numbers: every batch of a transaction begins with 0.
            Some(of) => {
                BatchBuilder::new().producer(of.producer_id, of.producer_epoch, 0).transactional(true)
            }
            None => BatchBuilder::new().producer(NO_PRODUCER_ID, NO_PRODUCER_EPOCH, M::BASE_SEQUENCE),
        };
        for record in &step.records {
            let (key, value) = M::encode(record).map_err(|reason| {
                tracing::error!(partition, "a record cannot be stored: {reason}");
                ResponseError::UnknownServerError
            })?;
            builder.append(now, Some(&key), value.as_deref(), &[]);
        }
        let batch = builder.build().map_err(|error| {
            tracing::error!(partition, "a batch cannot be stored: {error}");
            ResponseError::UnknownServerError
        })?;
        let verification = step.transaction.map_or(Verification::Skipped, |of| of.verification);
        self.log.append(partition, &batch, verification).map_err(|error| report(&error))
    }
}

fn report(error: &CoordinatorError) -> ResponseError {
    match error {
        CoordinatorError::Loading { .. } => {}
        CoordinatorError::Producer { .. } => tracing::debug!("{error}"),
        _ => tracing::error!("{error}"),
    }
    error.response()
}

fn last_of_each<R>(replies: Vec<(Ticket, R)>) -> HashMap<Ticket, R> {
    replies.into_iter().collect()
}
