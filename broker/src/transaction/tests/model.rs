//! Random clients, time, failures and deaths of the coordinators against partitions that keep what they are told. The
//! offsets of groups that clients commit, in their transactions and outside, go through a group coordinator, and its
//! partitions are partitions of the transactions like any other.
//!
//! In the end nothing is open; of every transaction all records and offsets are there or none; all if its commit was
//! answered, none if it cannot have been committed; and no record is there twice. A group goes on where the last record
//! that counts says, of all that the log holds for it, and a restart does not change that.

mod groups;

use super::{MemoryLog, PARTITIONS, START};
use crate::clock::Clock;
use crate::coordinator::seeds::{Named, seeds};
use crate::coordinator::{CoordinatorError, StateLog, Verification};
use crate::group::GroupCoordinator;
use crate::metadata::topic_name;
use crate::transaction::{
    Completion, Markers, Operation, Outcome, Partitions, Producer, Surroundings, TransactionCoordinator,
    TransactionSettings,
};
use groups::Place;
use kafka_protocol::ResponseError;
use milena_protocol::records::{BatchBuilder, BatchHeader, EndTransactionMarker, end_transaction_batch};
use milena_storage::producers::{Checked, Origin, Producers, VerificationGuard};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

const TOPIC: &str = "orders";
const DATA_PARTITIONS: usize = 3;
const IDS: [&str; 3] = ["a", "b", "c"];
const TIMEOUT_MS: i32 = 30_000;
const CHECK_MS: i64 = 10_000;

/// xorshift: deterministic, good enough to mix cases.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }

    fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

enum Entry {
    Data(i64, u32),
    End(i64, Outcome),
}

#[derive(Default)]
struct DataPartition {
    producers: Producers,
    entries: Vec<Entry>,
    refuses: bool,
}

impl DataPartition {
    fn end_offset(&self) -> i64 {
        self.entries.len() as i64
    }

    fn append(
        &mut self,
        producer: Producer,
        sequence: i32,
        value: u32,
        guard: Option<VerificationGuard>,
    ) -> bool {
        let mut builder =
            BatchBuilder::new().producer(producer.id, producer.epoch, sequence).transactional(true);
        builder.append(START, None, Some(&value.to_be_bytes()), &[]);
        let header = BatchHeader::read(&builder.build().unwrap()).unwrap();
        match self.producers.check_verified(&header, None, Origin::Client, guard) {
            Ok(Checked::Append) => {
                self.producers.apply(&header, None, self.end_offset());
                self.entries.push(Entry::Data(producer.id, value));
                true
            }
            Ok(Checked::Duplicate { .. }) => true,
            Err(_) => false,
        }
    }

    fn end(&mut self, completion: &Completion) -> bool {
        let marker =
            EndTransactionMarker { commit: completion.outcome == Outcome::Commit, coordinator_epoch: 0 };
        let (id, epoch) = (completion.producer_id, completion.producer_epoch);
        let header = BatchHeader::read(&end_transaction_batch(0, 0, START, id, epoch, marker)).unwrap();
        if self.refuses {
            return false;
        }
        if self.producers.check(&header, Some(&marker), Origin::Coordinator).is_ok() {
            self.producers.apply(&header, Some(&marker), self.end_offset());
            self.entries.push(Entry::End(id, completion.outcome));
            self.producers.forget_ended_before(self.end_offset());
        }
        true
    }

    /// The values that a reader of committed records sees, in the order of the log.
    fn visible(&self) -> Vec<u32> {
        let mut open: HashMap<i64, Vec<usize>> = HashMap::new();
        let mut counts = vec![false; self.entries.len()];
        for (at, entry) in self.entries.iter().enumerate() {
            match entry {
                // Of no transaction.
                Entry::Data(-1, _) => counts[at] = true,
                Entry::Data(id, _) => open.entry(*id).or_default().push(at),
                Entry::End(id, outcome) => {
                    for at in open.remove(id).unwrap_or_default() {
                        counts[at] = *outcome == Outcome::Commit;
                    }
                }
            }
        }
        let values = self.entries.iter().zip(counts).filter(|(_, counts)| *counts);
        values
            .filter_map(|(entry, _)| if let Entry::Data(_, value) = entry { Some(*value) } else { None })
            .collect()
    }
}

/// What outlives the coordinators. Writes fail from the moment on when the process dies.
#[derive(Default)]
struct Model {
    log: MemoryLog,
    partitions: Mutex<Vec<DataPartition>>,
    /// `__consumer_offsets`, and what it knows of its producers.
    group_log: MemoryLog,
    group_partitions: Mutex<Vec<DataPartition>>,
    next_id: AtomicI64,
    /// Writes until the process dies; negative for never.
    fuse: AtomicI64,
    is_dead: AtomicBool,
    /// Whether the last write of the process reaches the log, though nobody hears of it.
    last_write_counts: AtomicBool,
    /// No log can be read.
    is_unreadable: AtomicBool,
}

impl Model {
    fn read(
        &self,
        log: &MemoryLog,
        partition: i32,
        from: i64,
        max: usize,
    ) -> Result<Vec<u8>, CoordinatorError> {
        if self.is_unreadable.load(Ordering::Relaxed) {
            return Err(CoordinatorError::Storage { partition, source: "unreadable".into() });
        }
        log.read(partition, from, max)
    }

    /// Whether the process is dead before this write.
    fn is_dead(&self) -> bool {
        let left = self.fuse.load(Ordering::Relaxed);
        self.fuse.store(if left > 0 { left - 1 } else { left }, Ordering::Relaxed);
        self.is_dead.fetch_or(left == 0, Ordering::Relaxed);
        left == 0
    }

    /// Appends to a log of the process. Of the last append before its death it may be that nobody hears.
    fn append(
        &self,
        partition: i32,
        append: impl FnOnce() -> Result<i64, CoordinatorError>,
    ) -> Result<i64, CoordinatorError> {
        if !self.is_dead() {
            return append();
        }
        if self.last_write_counts.swap(false, Ordering::Relaxed) {
            append()?;
        }
        Err(CoordinatorError::Storage { partition, source: "dead".into() })
    }
}

struct ModelLog(Arc<Model>);

impl StateLog for ModelLog {
    fn ensure(&self) -> Result<i32, CoordinatorError> {
        self.0.log.ensure()
    }

    fn exists(&self) -> Option<i32> {
        Some(PARTITIONS as i32)
    }

    fn append(&self, partition: i32, batch: &[u8], how: Verification) -> Result<i64, CoordinatorError> {
        self.0.append(partition, || self.0.log.append(partition, batch, how))
    }

    fn read(&self, partition: i32, from: i64, max: usize) -> Result<Vec<u8>, CoordinatorError> {
        self.0.read(&self.0.log, partition, from, max)
    }

    fn start_offset(&self, partition: i32) -> Result<i64, CoordinatorError> {
        self.0.log.start_offset(partition)
    }
}

struct ModelWorld(Arc<Model>, Arc<GroupCoordinator>);

impl ModelWorld {
    fn end(&self, topic: &str, index: i32, completion: &Completion) -> bool {
        if topic != topic_name::CONSUMER_OFFSETS {
            return !self.0.is_dead() && self.0.partitions.lock()[index as usize].end(completion);
        }
        let commit = completion.outcome == Outcome::Commit;
        let marker = EndTransactionMarker { commit, coordinator_epoch: 0 };
        let (id, epoch) = (completion.producer_id, completion.producer_epoch);
        // A later producer has ended it: nothing is left to be done.
        matches!(
            self.1.end_transaction(index, id, epoch, marker),
            Ok(()) | Err(CoordinatorError::Producer { .. })
        )
    }
}

impl Surroundings for ModelWorld {
    fn next_producer_id(&self) -> Result<i64, ResponseError> {
        Ok(self.0.next_id.fetch_add(1, Ordering::Relaxed))
    }

    fn transaction_version(&self) -> i16 {
        2
    }

    fn verifies_partitions(&self) -> bool {
        true
    }
}

impl Markers for ModelWorld {
    fn write(&self, _: i32, completion: &Completion) -> Partitions {
        let mut left = completion.partitions.clone();
        for (topic, indexes) in &mut left {
            indexes.retain(|index| !self.end(topic, *index, completion));
        }
        left.retain(|_, indexes| !indexes.is_empty());
        left
    }
}

/// What is known of the outcome of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    All,
    Nothing,
    AllOrNothing,
}

/// A client as it sees itself; a later one of the same id makes it a zombie.
struct Client {
    number: usize,
    id: &'static str,
    version: i16,
    producer: Option<Producer>,
    sequences: [i32; DATA_PARTITIONS],
    /// Values of the open transaction.
    values: Vec<u32>,
    has_partitions: bool,
    /// An end that was not answered.
    ending: Option<Outcome>,
    /// It has asked for the next epoch, as itself, and has not been answered.
    renews: bool,
}

impl Client {
    fn new(number: usize, id: &'static str, version: i16) -> Self {
        let sequences = [0; DATA_PARTITIONS];
        Self {
            number,
            id,
            version,
            producer: None,
            sequences,
            values: Vec::new(),
            has_partitions: false,
            ending: None,
            renews: false,
        }
    }

    fn operation(&self) -> Operation {
        if self.version == 2 { Operation::Add } else { Operation::Verify }
    }
}

struct Run {
    model: Arc<Model>,
    clock: Arc<Clock>,
    groups: Arc<GroupCoordinator>,
    coordinator: TransactionCoordinator,
    random: Random,
    now: i64,
    next_value: u32,
    next_number: usize,
    clients: Vec<Client>,
    fates: Vec<(Vec<u32>, Fate)>,
    /// Group and partition that each offset was committed for.
    offsets: HashMap<u32, Place>,
    /// Who has asked to be the producer of an id last, by its number.
    latest: HashMap<&'static str, usize>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let model = Arc::new(Model::default());
        model.fuse.store(-1, Ordering::Relaxed);
        model.partitions.lock().resize_with(DATA_PARTITIONS, DataPartition::default);
        model.log.ensure().unwrap();
        model.group_partitions.lock().resize_with(PARTITIONS, DataPartition::default);
        model.group_log.ensure().unwrap();
        let clock = Arc::new(Clock::Manual(START.into()));
        let (groups, coordinator) = Self::coordinators(&model, &clock);
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let clients = (0..IDS.len()).map(|at| Client::new(at, IDS[at], 1 + random.below(2) as i16)).collect();
        Self {
            model,
            clock,
            groups,
            coordinator,
            random,
            now: START,
            next_value: 0,
            next_number: IDS.len(),
            clients,
            fates: Vec::new(),
            offsets: HashMap::new(),
            latest: HashMap::new(),
        }
    }

    fn coordinators(
        model: &Arc<Model>,
        clock: &Arc<Clock>,
    ) -> (Arc<GroupCoordinator>, TransactionCoordinator) {
        let groups = groups::coordinator(model, clock);
        let settings = TransactionSettings {
            max_timeout_ms: 900_000,
            id_expiration_ms: i64::MAX,
            timeout_check_interval_ms: CHECK_MS,
            expiry_check_interval_ms: i64::MAX,
        };
        let world = Arc::new(ModelWorld(model.clone(), groups.clone()));
        let log = Arc::new(ModelLog(model.clone()));
        let coordinator = TransactionCoordinator::new(settings, log, world.clone(), world, clock.clone());
        assert_eq!(coordinator.load().is_err(), model.is_unreadable.load(Ordering::Relaxed));
        (groups, coordinator)
    }

    fn restart(&mut self) {
        self.model.fuse.store(-1, Ordering::Relaxed);
        self.model.is_dead.store(false, Ordering::Relaxed);
        (self.groups, self.coordinator) = Self::coordinators(&self.model, &self.clock);
    }

    fn pass(&mut self, ms: i64) {
        self.now += ms;
        self.clock.set(self.now);
        self.groups.tick(self.clock.steady_ms());
        self.coordinator.tick(self.now);
    }

    fn step(&mut self) {
        match self.random.below(100) {
            0..=3 => {
                // Somebody else takes over an id; who had it does not know.
                let (id, version) = (IDS[self.random.below(IDS.len())], 1 + self.random.below(2) as i16);
                self.clients.push(Client::new(self.next_number, id, version));
                self.next_number += 1;
            }
            4..=8 => {
                let ms = self.random.below(20_000) as i64;
                self.pass(ms);
            }
            9..=13 => {
                self.model.fuse.store(self.random.below(5) as i64, Ordering::Relaxed);
                let counts = self.random.once_in(2);
                self.model.last_write_counts.store(counts, Ordering::Relaxed);
            }
            14..=16 => {
                let at = self.random.below(DATA_PARTITIONS + PARTITIONS);
                match at.checked_sub(DATA_PARTITIONS) {
                    None => self.model.partitions.lock()[at].refuses ^= true,
                    Some(at) => self.model.group_partitions.lock()[at].refuses ^= true,
                }
            }
            17..=19 => self.commit_outside(),
            _ => {
                let at = self.random.below(self.clients.len());
                let mut client = self.clients.swap_remove(at);
                self.act(&mut client);
                self.clients.push(client);
            }
        }
        if self.model.is_dead.load(Ordering::Relaxed) {
            // Sometimes what they know can be read only when they are up already.
            self.model.is_unreadable.store(self.random.once_in(4), Ordering::Relaxed);
            self.restart();
            self.model.is_unreadable.store(false, Ordering::Relaxed);
            if self.random.once_in(3) {
                // It was away for longer than transactions may take.
                (0..5).for_each(|_| self.pass(CHECK_MS));
            }
        }
    }

    fn act(&mut self, client: &mut Client) {
        let Some(producer) = client.producer else {
            self.latest.insert(client.id, client.number);
            if let Ok(producer) = self.coordinator.init(client.id, TIMEOUT_MS, None) {
                client.producer = Some(producer);
                client.sequences = [0; DATA_PARTITIONS];
            }
            return;
        };
        if client.renews || (client.ending.is_none() && self.random.once_in(20)) {
            self.renew(client, producer);
        } else if client.ending.is_some() || (client.has_partitions && self.random.once_in(4)) {
            self.end(client, producer);
        } else if client.version == 2 && !client.has_partitions && self.random.once_in(6) {
            // Without a transaction it may abort all the same.
            client.ending = Some(Outcome::Abort);
            self.end(client, producer);
        } else if self.random.once_in(4) {
            self.commit(client, producer);
        } else {
            self.produce(client, producer);
        }
    }

    /// Whatever it has been doing, the client begins anew, as who it is (KIP-360).
    fn renew(&mut self, client: &mut Client, producer: Producer) {
        self.settle(client, Fate::Nothing);
        client.renews = false;
        match self.coordinator.init(client.id, TIMEOUT_MS, Some(producer)) {
            Ok(next) => {
                self.latest.insert(client.id, client.number);
                client.producer = Some(next);
                client.sequences = [0; DATA_PARTITIONS];
            }
            Err(ResponseError::NotCoordinator | ResponseError::ConcurrentTransactions) => {
                client.renews = true;
            }
            Err(_) => client.producer = None,
        }
    }

    fn produce(&mut self, client: &mut Client, producer: Producer) {
        let at = self.random.below(DATA_PARTITIONS);
        let partitions = Partitions::from([(Arc::from(TOPIC), [at as i32].into())]);
        if client.version == 1 {
            match self.coordinator.add(client.id, producer, &partitions, 0) {
                Ok(()) => {}
                Err(ResponseError::ConcurrentTransactions) => return,
                Err(_) => return self.give_up(client),
            }
        }
        let begun = {
            let mut all = self.model.partitions.lock();
            let (sequence, bumps) = (client.sequences[at], client.operation().bumps_epoch());
            all[at].producers.begin_verification(producer.id, producer.epoch, sequence, bumps, self.now)
        };
        let Ok(guard) = begun else { return self.give_up(client) };
        client.has_partitions = true;
        if guard.is_some() {
            let refused = self.coordinator.admit(client.id, producer, &partitions, client.operation());
            match refused.values().next() {
                None => {}
                Some(ResponseError::ConcurrentTransactions) if client.values.is_empty() => {
                    client.has_partitions = false;
                    return;
                }
                Some(_) => return self.give_up(client),
            }
            if self.random.once_in(20) {
                // Time passes between the question and the append.
                self.pass(i64::from(TIMEOUT_MS) + CHECK_MS);
            }
        }
        let value = self.next_value;
        self.next_value += 1;
        if client.version == 1 && self.random.once_in(10) {
            // The client aborts while the batch is on its way.
            let aborted = self.coordinator.end(client.id, producer, Outcome::Abort, 0);
            self.model.partitions.lock()[at].append(producer, client.sequences[at], value, guard);
            client.values.push(value);
            let fate = if aborted.is_ok() { Fate::Nothing } else { Fate::AllOrNothing };
            self.settle(client, fate);
            client.producer = None;
            return;
        }
        let tries = 1 + usize::from(self.random.once_in(5));
        for _ in 0..tries {
            // A producer that did not hear of its success sends again.
            let mut all = self.model.partitions.lock();
            if !all[at].append(producer, client.sequences[at], value, guard) {
                drop(all);
                return self.give_up(client);
            }
        }
        client.sequences[at] += 1;
        client.values.push(value);
    }

    /// The client cannot go on with this transaction, and never asks for its commit.
    fn give_up(&mut self, client: &mut Client) {
        self.settle(client, Fate::Nothing);
        client.producer = None;
    }

    fn settle(&mut self, client: &mut Client, fate: Fate) {
        self.fates.push((std::mem::take(&mut client.values), fate));
        (client.has_partitions, client.ending) = (false, None);
    }

    fn end(&mut self, client: &mut Client, producer: Producer) {
        let is_retry = client.ending.is_some();
        let wanted = if self.random.once_in(3) { Outcome::Abort } else { Outcome::Commit };
        let outcome = *client.ending.get_or_insert(wanted);
        let version = if client.version == 2 { 2 } else { 0 };
        match self.coordinator.end(client.id, producer, outcome, version) {
            Ok(next) => {
                let fate = if outcome == Outcome::Commit { Fate::All } else { Fate::Nothing };
                self.settle(client, fate);
                if client.version == 2 {
                    client.producer = Some(next);
                    client.sequences = [0; DATA_PARTITIONS];
                }
            }
            // Not heard of, or not done yet: asked again.
            Err(ResponseError::NotCoordinator | ResponseError::ConcurrentTransactions) => {}
            Err(error) => {
                // Nothing has been open that could have taken too long.
                let is_fenced = self.latest.get(client.id) != Some(&client.number);
                assert!(client.has_partitions || is_fenced, "nobody else is there, and yet: {error:?}");
                let maybe = is_retry && outcome == Outcome::Commit;
                self.settle(client, if maybe { Fate::AllOrNothing } else { Fate::Nothing });
                client.producer = None;
            }
        }
    }

    /// Everything works again, and all timeouts pass.
    fn finish(&mut self) {
        self.restart();
        for partitions in [&self.model.partitions, &self.model.group_partitions] {
            partitions.lock().iter_mut().for_each(|partition| partition.refuses = false);
        }
        for _ in 0..6 {
            self.pass(CHECK_MS);
        }
        for client in std::mem::take(&mut self.clients) {
            let maybe = client.ending == Some(Outcome::Commit);
            self.fates.push((client.values, if maybe { Fate::AllOrNothing } else { Fate::Nothing }));
        }
    }

    fn check(&self, seed: u64) {
        let mut visible = Vec::new();
        for partitions in [&self.model.partitions, &self.model.group_partitions] {
            for partition in &*partitions.lock() {
                let open = partition.producers.first_open_offset();
                assert_eq!(open, None, "seed {seed}: a transaction is stuck");
                visible.extend(partition.visible());
            }
        }
        let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
        for value in visible {
            *counts.entry(value).or_default() += 1;
        }
        assert!(counts.values().all(|count| *count == 1), "seed {seed}: a record is there twice");
        for (values, fate) in &self.fates {
            let seen = values.iter().filter(|value| counts.contains_key(*value)).count();
            let right = match fate {
                Fate::All => seen == values.len(),
                Fate::Nothing => seen == 0,
                Fate::AllOrNothing => seen == 0 || seen == values.len(),
            };
            assert!(right, "seed {seed}: {seen} of {values:?} are there, expected {fate:?}");
        }
        for id in IDS {
            let state = self.coordinator.describe(id).map_or("none", |described| described.state);
            assert!(
                !matches!(state, "Ongoing" | "PrepareCommit" | "PrepareAbort"),
                "seed {seed}: {id} {state}"
            );
        }
    }
}

#[test]
fn all_or_nothing_whatever_happens() {
    let mut fates = [0usize; 3];
    let drawn = seeds(200);
    for seed in drawn.clone() {
        let _named = Named(seed);
        let mut run = Run::new(seed);
        for _ in 0..300 {
            run.step();
        }
        run.finish();
        run.check(seed);
        run.check_groups(seed);
        run.restart();
        run.check_groups(seed);
        for (_, fate) in run.fates.iter().filter(|(values, _)| !values.is_empty()) {
            fates[*fate as usize] += 1;
        }
    }
    let are_many = drawn.count() > 1;
    assert!(!are_many || fates.iter().all(|count| *count > 10), "every fate is met: {fates:?}");
}
