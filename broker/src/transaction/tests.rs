//! Scripts of inputs against a coordinator over a log in memory, with a clock that the script turns.
//!
//! ```text
//! init ID [PRODUCER EPOCH]                 InitProducerId
//! add1|add2 ID PRODUCER EPOCH PARTITION..  AddPartitionsToTxn of a client with one epoch, or an epoch a transaction
//! verify ID PRODUCER EPOCH PARTITION..     which of them are in the transaction
//! end1|end2 ID PRODUCER EPOCH commit|abort EndTxn
//! state ID                                 state, producer, epoch, partitions
//! markers                                  what was written since the last look
//! at MS                                    time passes
//! restart | kill                           another coordinator over the same log; kill loses what follows Prepare
//! log|orders|epochs on|off                 the log works, the partitions of orders work, transaction.version is 2
//! ```

mod listing;
mod model;
mod records;
mod scripts;

use super::{
    Completion, Markers, Outcome, Partitions, Producer, Surroundings, TransactionCoordinator,
    TransactionSettings,
};
use crate::clock::Clock;
use crate::coordinator::{CoordinatorError, StateLog, Verification};
use kafka_protocol::ResponseError;
use milena_protocol::records::{BatchHeader, Batches, HEADER_LEN, Records};
use milena_protocol::stored::transaction::TransactionRecord;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI16, AtomicI64, Ordering};

const START: i64 = 1_700_000_000_000;
const TIMEOUT_MS: i32 = 60_000;
const PARTITIONS: usize = 3;

/// Partition logs that outlive the coordinator.
#[derive(Default)]
struct MemoryLog {
    partitions: Mutex<Vec<(Vec<u8>, i64)>>,
    fails: AtomicBool,
}

impl MemoryLog {
    /// Every record, in order, with the header of its batch.
    fn records(&self) -> Vec<(BatchHeader, TransactionRecord)> {
        let mut all = Vec::new();
        for (bytes, _) in self.partitions.lock().iter() {
            for batch in Batches::new(bytes) {
                let (header, batch) = batch.unwrap();
                for record in Records::new(&batch[HEADER_LEN..], header.record_count) {
                    let record = record.unwrap();
                    all.push((header, TransactionRecord::decode(record.key.unwrap(), record.value).unwrap()));
                }
            }
        }
        all
    }
}

impl StateLog for MemoryLog {
    fn ensure(&self) -> Result<i32, CoordinatorError> {
        self.partitions.lock().resize(PARTITIONS, Default::default());
        Ok(PARTITIONS as i32)
    }

    fn exists(&self) -> Option<i32> {
        let count = self.partitions.lock().len();
        (count > 0).then_some(count as i32)
    }

    fn append(&self, partition: i32, batch: &[u8], _: Verification) -> Result<i64, CoordinatorError> {
        if self.fails.load(Ordering::Relaxed) {
            return Err(CoordinatorError::Storage { partition, source: "told so".into() });
        }
        let mut partitions = self.partitions.lock();
        let (bytes, end) = &mut partitions[partition as usize];
        let (base, start) = (*end, bytes.len());
        bytes.extend_from_slice(batch);
        bytes[start..start + 8].copy_from_slice(&base.to_be_bytes());
        *end = BatchHeader::read(&bytes[start..]).unwrap().next_offset();
        Ok(base)
    }

    fn read(&self, partition: i32, from_offset: i64, _: usize) -> Result<Vec<u8>, CoordinatorError> {
        let mut found = Vec::new();
        for batch in Batches::new(&self.partitions.lock()[partition as usize].0) {
            let (header, batch) = batch.unwrap();
            if header.last_offset() >= from_offset {
                found.extend_from_slice(batch);
            }
        }
        Ok(found)
    }

    fn start_offset(&self, _: i32) -> Result<i64, CoordinatorError> {
        Ok(0)
    }
}

/// Producer ids and partitions that outlive the coordinator.
struct World {
    next_id: AtomicI64,
    version: AtomicI16,
    /// Partitions of this topic refuse markers.
    orders_fail: AtomicBool,
    /// The process has died: nothing is written any more.
    dead: AtomicBool,
    written: Mutex<Vec<String>>,
}

impl Default for World {
    fn default() -> Self {
        Self {
            next_id: 0.into(),
            version: 2.into(),
            orders_fail: false.into(),
            dead: false.into(),
            written: Mutex::default(),
        }
    }
}

impl Surroundings for World {
    fn next_producer_id(&self) -> Result<i64, ResponseError> {
        Ok(self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    fn transaction_version(&self) -> i16 {
        self.version.load(Ordering::Relaxed)
    }

    fn verifies_partitions(&self) -> bool {
        true
    }
}

impl Markers for World {
    fn write(&self, _: i32, completion: &Completion) -> Partitions {
        if self.dead.load(Ordering::Relaxed) {
            return completion.partitions.clone();
        }
        let mut left = completion.partitions.clone();
        left.retain(|topic, _| self.orders_fail.load(Ordering::Relaxed) && &**topic == "orders");
        for (topic, indexes) in completion.partitions.iter().filter(|(topic, _)| !left.contains_key(*topic)) {
            let outcome = if completion.outcome == Outcome::Commit { "commit" } else { "abort" };
            let (id, epoch) = (completion.producer_id, completion.producer_epoch);
            let markers = indexes.iter().map(|index| format!("{topic}-{index} {outcome} {id} {epoch}"));
            self.written.lock().extend(markers);
        }
        left
    }
}

struct Harness {
    log: Arc<MemoryLog>,
    world: Arc<World>,
    clock: Arc<Clock>,
    settings: TransactionSettings,
    coordinator: TransactionCoordinator,
}

impl Harness {
    fn new() -> Self {
        let settings = TransactionSettings {
            max_timeout_ms: 900_000,
            id_expiration_ms: 7 * 24 * 3_600_000,
            timeout_check_interval_ms: 10_000,
            expiry_check_interval_ms: 3_600_000,
        };
        Self::over(Arc::default(), Arc::default(), Arc::new(Clock::Manual(START.into())), settings)
    }

    fn over(
        log: Arc<MemoryLog>,
        world: Arc<World>,
        clock: Arc<Clock>,
        settings: TransactionSettings,
    ) -> Self {
        let coordinator = TransactionCoordinator::new(
            settings.clone(),
            Arc::<MemoryLog>::clone(&log),
            Arc::<World>::clone(&world),
            Arc::<World>::clone(&world),
            clock.clone(),
        );
        coordinator.load().unwrap();
        Self { log, world, clock, settings, coordinator }
    }

    /// The coordinator is gone; another one reads the same log.
    fn restart(self) -> Self {
        self.world.dead.store(false, Ordering::Relaxed);
        Self::over(self.log, self.world, self.clock, self.settings)
    }

    /// Turns the clock to `ms` after the start and lets deadlines pass.
    fn at(&self, ms: i64) -> Option<i64> {
        self.clock.set(START + ms);
        self.coordinator.tick(self.clock.steady_ms()).map(|next| next - START)
    }

    /// Lets time pass from where the clocks stand.
    fn pass(&self, ms: i64) {
        self.clock.set(self.clock.now_ms() + ms);
        self.coordinator.tick(self.clock.steady_ms());
    }

    fn markers(&self) -> Vec<String> {
        std::mem::take(&mut *self.world.written.lock())
    }

    /// What a line of a script leads to, in words.
    fn play(&self, line: &str) -> String {
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = match words[..] {
            ["init", id] => self.coordinator.init(id, TIMEOUT_MS, None).map(show),
            ["init", id, producer, epoch] => {
                self.coordinator.init(id, TIMEOUT_MS, Some(named(producer, epoch))).map(show)
            }
            [add @ ("add1" | "add2"), id, producer, epoch, ref at @ ..] => {
                let version = if add == "add2" { 2 } else { 0 };
                let added = self.coordinator.add(id, named(producer, epoch), &partitions(at), version);
                added.map(|()| "ok".to_owned())
            }
            ["verify", id, producer, epoch, ref at @ ..] => {
                self.coordinator.verify(id, named(producer, epoch), &partitions(at)).map(|found| list(&found))
            }
            [end @ ("end1" | "end2"), id, producer, epoch, outcome] => {
                let version = if end == "end2" { 2 } else { 0 };
                let outcome = if outcome == "commit" { Outcome::Commit } else { Outcome::Abort };
                self.coordinator.end(id, named(producer, epoch), outcome, version).map(show)
            }
            ["state", id] => self.coordinator.describe(id).map(|one| {
                let at = one.partitions.iter().flat_map(|(topic, indexes)| {
                    indexes.iter().map(move |index| format!(" {topic}-{index}"))
                });
                format!("{} {} {}{}", one.state, one.producer_id, one.producer_epoch, at.collect::<String>())
            }),
            ["markers"] => Ok(self.markers().join(", ")),
            ["at", ms] => {
                self.at(ms.parse().unwrap());
                Ok("ok".to_owned())
            }
            ["pass", ms] => {
                self.pass(ms.parse().unwrap());
                Ok("ok".to_owned())
            }
            ["jump", ms] => {
                self.clock.jump(ms.parse().unwrap());
                Ok("ok".to_owned())
            }
            [switch, state] => {
                let on = state == "on";
                match switch {
                    "log" => self.log.fails.store(!on, Ordering::Relaxed),
                    "orders" => self.world.orders_fail.store(!on, Ordering::Relaxed),
                    "epochs" => self.world.version.store(if on { 2 } else { 1 }, Ordering::Relaxed),
                    _ => panic!("{line}"),
                }
                Ok("ok".to_owned())
            }
            _ => panic!("{line}"),
        };
        answer.unwrap_or_else(|error| format!("{error:?}"))
    }

    /// Plays lines of `input -> answer`; without an arrow the answer is ok.
    fn script(mut self, name: &str, script: &str) -> Self {
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (input, expected) = line.split_once("->").unwrap_or((line, "ok"));
            let (input, expected) = (input.trim(), expected.trim());
            if input == "restart" {
                self = self.restart();
            } else if input == "kill" {
                self.world.dead.store(true, Ordering::Relaxed);
            } else {
                assert_eq!(self.play(input), expected, "{name}: {input}\n{script}");
            }
        }
        self
    }
}

fn named(producer: &str, epoch: &str) -> Producer {
    Producer { id: producer.parse().unwrap(), epoch: epoch.parse().unwrap() }
}

fn show(producer: Producer) -> String {
    format!("{} {}", producer.id, producer.epoch)
}

fn partitions(words: &[&str]) -> Partitions {
    let mut partitions = Partitions::new();
    for word in words {
        let (topic, index) = word.rsplit_once('-').unwrap();
        partitions.entry(Arc::from(topic)).or_default().insert(index.parse().unwrap());
    }
    partitions
}

fn list(partitions: &Partitions) -> String {
    let each = partitions
        .iter()
        .flat_map(|(topic, indexes)| indexes.iter().map(move |index| format!("{topic}-{index}")));
    each.collect::<Vec<_>>().join(" ")
}
