//! A data directory with one partition, driven as the broker drives it, beside its model.

use crate::model::{Batch, Legal, Model, Record, marker_batch, random_batch, send};
use crate::random::Random;
use milena_storage::checkpoint::Offsets;
use milena_storage::config::LogConfig;
use milena_storage::error::Error;
use milena_storage::file::{Disk, Faults};
use milena_storage::log::{Append, CleanerMemory, Log};
use milena_storage::log_dir::LogDir;
use milena_storage::producers::Origin;
use parking_lot::Mutex;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use uuid::Uuid;

pub(crate) const TOPIC: &str = "t";
/// When every run begins.
pub(crate) const BEGIN_MS: i64 = 1_700_000_000_000;
pub(crate) const TOPIC_ID: Uuid = Uuid::from_u128(7);

/// What has been promised so far, for whoever looks at the directory at any moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Promised {
    /// End of what was acknowledged.
    pub(crate) acked: i64,
    /// End of what an append that has not returned may have written.
    pub(crate) begun: i64,
    /// End of what is on the device.
    pub(crate) synced: i64,
    /// The log start, and the one that is on the device.
    pub(crate) start: i64,
    pub(crate) saved_start: i64,
    /// The log start at its highest: a death may have brought it back.
    pub(crate) moved: i64,
    /// Offsets below may be compacted.
    pub(crate) compacted: i64,
    /// Whoever asks is the test: nothing is to fail now.
    pub(crate) checking: bool,
    /// What an append that has not returned writes, and where the log ends before it.
    pub(crate) writes: Option<Arc<Vec<u8>>>,
}

impl Promised {
    /// What a start finds after the death of the process.
    pub(crate) fn after_death(&self) -> Legal {
        Legal {
            end: (self.acked, self.begun.max(self.acked)),
            start: (self.saved_start, self.start),
            moved: self.moved.max(self.start),
            compacted: self.compacted,
            whole: i64::MAX,
        }
    }

    /// What a start finds after a power cut.
    pub(crate) fn after_power_cut(&self) -> Legal {
        Legal { end: (self.synced, self.begun.max(self.acked)), whole: self.synced, ..self.after_death() }
    }
}

/// Makes the faults of a [`Disk`], once for each start.
pub(crate) type MakeFaults = dyn Fn() -> Box<Faults>;

/// What can be done to a log. New operations of the engine go into this list and into [`World::act`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Append,
    Burst,
    Idempotent,
    Transactional,
    EndTransaction,
    Duplicate,
    OutOfSequence,
    Check,
    Flush,
    Chores,
    DeleteBefore,
    Retain,
    Compact,
    Wait,
    NewEpoch,
    Reconfigure,
    Stop,
    /// No start follows.
    StopForGood,
    Kill,
}

/// One action of each weight.
const ACTIONS: [(Action, usize); 18] = [
    (Action::Append, 10),
    (Action::Burst, 2),
    (Action::Idempotent, 8),
    (Action::Transactional, 8),
    (Action::EndTransaction, 6),
    (Action::Duplicate, 2),
    (Action::OutOfSequence, 1),
    (Action::Check, 2),
    (Action::Flush, 2),
    (Action::Chores, 3),
    (Action::DeleteBefore, 1),
    (Action::Retain, 1),
    (Action::Compact, 2),
    (Action::Wait, 4),
    (Action::NewEpoch, 1),
    (Action::Reconfigure, 1),
    (Action::Stop, 1),
    (Action::Kill, 1),
];

pub(crate) struct World {
    pub(crate) root: PathBuf,
    pub(crate) model: Model,
    /// The same as if nothing had ever been compacted.
    pub(crate) history: Model,
    pub(crate) promised: Arc<Mutex<Promised>>,
    pub(crate) random: Random,
    config: LogConfig,
    faults: Option<Box<MakeFaults>>,
    /// Every append is synced.
    syncs: bool,
    epoch: i32,
    pub(crate) now_ms: i64,
    pub(crate) open: Option<(LogDir, Arc<Log>)>,
    /// The last append that failed, which a start may find.
    failed: Option<Batch>,
}

/// A random configuration with which a short run rolls, maps and indexes.
pub(crate) fn random_config(random: &mut Random) -> LogConfig {
    LogConfig {
        segment_bytes: random.pick(&[6_000, 20_000, 60_000, 200_000]),
        segment_ms: random.pick(&[500, 10_000, i64::MAX]),
        index_interval_bytes: random.pick(&[0, 300, 4096]),
        mapped: !random.one_in(4),
        compact: random.one_in(3),
        delete_retention_ms: random.pick(&[0, 10_000]),
        retention_ms: random.pick(&[-1, -1, 3_000, 20_000]),
        retention_bytes: random.pick(&[-1, -1, 15_000, 80_000]),
        producer_id_expiration_ms: i64::MAX,
        ..LogConfig::default()
    }
}

/// Opens the directory and its partition, which is made if it is not there.
pub(crate) fn open(disk: Disk, config: &LogConfig, now_ms: i64) -> Result<(LogDir, Arc<Log>), Error> {
    let dir = LogDir::open(disk, 1, None, now_ms)?;
    let there = !dir.partitions()?.is_empty();
    dir.begin()?;
    let log = if there {
        dir.open_log(TOPIC, 0, config.clone(), now_ms)?
    } else {
        dir.create_log(TOPIC, 0, TOPIC_ID, config.clone(), now_ms)?
    };
    Ok((dir, Arc::new(log)))
}

/// Where the segment begins that grows.
fn active_base(dir: &Path) -> i64 {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| name.strip_suffix(".log")?.parse().ok()).max().unwrap_or(0)
}

/// What the broker writes every five seconds.
pub(crate) fn save_checkpoints(dir: &LogDir, log: &Log) -> Result<(), Error> {
    let since = dir.moment();
    let offsets = |offset| Offsets::from([((TOPIC.to_owned(), 0), offset)]);
    let starts = log.start_checkpoint().map(offsets).unwrap_or_default();
    dir.save_checkpoints(since, offsets(log.recovery_checkpoint()), starts, &offsets(log.end_offset()))
}

/// What the broker does when it stops.
pub(crate) fn stop(dir: &LogDir, log: &Log) -> Result<(), Error> {
    log.close()?;
    dir.disk().sync_all()?;
    log.synced_by_caller();
    save_checkpoints(dir, log)?;
    dir.mark_clean()
}

impl World {
    pub(crate) fn new(root: &Path, seed: u64) -> Self {
        let mut random = Random::new(seed);
        Self {
            root: root.to_path_buf(),
            model: Model::default(),
            history: Model::default(),
            promised: Arc::default(),
            config: random_config(&mut random),
            random,
            faults: None,
            syncs: false,
            epoch: 0,
            now_ms: BEGIN_MS,
            open: None,
            failed: None,
        }
    }

    /// The same on a disk with faults.
    pub(crate) fn with_faults(mut self, faults: Box<MakeFaults>) -> Self {
        self.faults = Some(faults);
        self
    }

    /// The same, but each append is synced.
    pub(crate) fn synced(mut self) -> Self {
        self.syncs = true;
        self
    }

    /// The same, never compacted.
    pub(crate) fn without_compaction(mut self) -> Self {
        self.config.compact = false;
        self
    }

    pub(crate) fn config(&self) -> &LogConfig {
        &self.config
    }

    fn disk(&self) -> Disk {
        match &self.faults {
            Some(make) => Disk::with_faults(&self.root, make()),
            None => Disk::new(&self.root),
        }
    }

    fn log(&self) -> &Log {
        &self.open.as_ref().expect("an open log").1
    }

    /// Takes a random action; what an injected fault lets fail leaves the model as it is.
    pub(crate) fn step(&mut self) -> Result<Action, Error> {
        let mut at = self.random.below(ACTIONS.iter().map(|(_, weight)| weight).sum());
        let action = ACTIONS.iter().find(|(_, weight)| {
            let found = at < *weight;
            at = at.saturating_sub(*weight);
            found
        });
        let action = action.expect("weights add up").0;
        self.act(action)?;
        Ok(action)
    }

    pub(crate) fn act(&mut self, action: Action) -> Result<(), Error> {
        if self.open.is_none() {
            self.start()?;
        }
        self.now_ms += 1;
        match action {
            Action::Append => self.append(None, false),
            Action::Burst => (0..15).try_for_each(|_| self.append(None, false)),
            Action::Idempotent => {
                let id = self.random.within(0..2);
                self.append(Some(id), false)
            }
            Action::Transactional => {
                let id = self.random.within(2..5);
                self.append(Some(id), true)
            }
            Action::EndTransaction => self.end_transaction(),
            Action::Duplicate => self.duplicate(),
            Action::OutOfSequence => self.out_of_sequence(),
            Action::Check => {
                let log = &self.open.as_ref().expect("an open log").1;
                let moved = self.promised.lock().moved;
                self.promised.lock().checking = true;
                self.model.check(log, &mut self.random, moved);
                self.promised.lock().checking = false;
                Ok(())
            }
            Action::Flush => self.flush(),
            Action::Chores => self.chores(),
            Action::DeleteBefore => self.delete_before(),
            Action::Retain => self.retain(),
            Action::Compact => self.compact(),
            Action::Wait => {
                self.now_ms += self.random.pick(&[100, 1_000, 5_000]);
                Ok(())
            }
            Action::NewEpoch => {
                self.epoch += 1;
                self.log().begin_epoch(self.epoch);
                Ok(())
            }
            Action::Reconfigure => {
                let compact = self.config.compact;
                self.config = LogConfig { compact, ..random_config(&mut self.random) };
                self.log().set_config(self.config.clone());
                Ok(())
            }
            Action::Stop => {
                self.stop()?;
                self.start()
            }
            Action::StopForGood => self.stop(),
            Action::Kill => {
                self.kill();
                self.start()
            }
        }
    }

    /// Starts, and checks that what it finds is legal after the death of a process.
    pub(crate) fn start(&mut self) -> Result<(), Error> {
        let (dir, log) = open(self.disk(), &self.config, self.now_ms)?;
        let mut legal = self.promised.lock().after_death();
        let mut known = self.history.clone();
        if let Some(failed) = self.failed.take() {
            legal.end.1 = failed.next_offset();
            known.batches.push(failed);
        }
        self.promised.lock().checking = true;
        self.model = known.check_opened(&log, legal, &mut self.random);
        self.promised.lock().checking = false;
        self.history = known.up_to(self.model.end());
        let end = self.model.end();
        let mut promised = self.promised.lock();
        (promised.acked, promised.begun, promised.start) = (end, end, log.start_offset());
        drop(promised);
        self.open = Some((dir, log));
        Ok(())
    }

    /// The process is gone, the directory stays.
    pub(crate) fn kill(&mut self) {
        self.open = None;
    }

    fn stop(&mut self) -> Result<(), Error> {
        let Some((dir, log)) = self.open.take() else { return Ok(()) };
        let (end, start) = (log.end_offset(), log.start_offset());
        stop(&dir, &log)?;
        let refused =
            send(&log, &random_batch(&mut self.random, 0, None, false).0, &self.how(Origin::Client));
        assert!(matches!(refused, Err(Error::Closed)), "a closed log takes nothing: {refused:?}");
        let mut promised = self.promised.lock();
        (promised.synced, promised.saved_start) = (end, start);
        drop(promised);
        Ok(())
    }

    fn how(&self, origin: Origin) -> Append {
        Append { leader_epoch: self.epoch, origin, now_ms: self.now_ms }
    }

    fn append(&mut self, producer: Option<i64>, transactional: bool) -> Result<(), Error> {
        let sequence = producer.map(|id| (id, self.model.producer(id).next_sequence));
        let (bytes, records) = random_batch(&mut self.random, self.now_ms, sequence, transactional);
        self.take(&bytes, &records, Origin::Client)
    }

    fn end_transaction(&mut self) -> Result<(), Error> {
        let open: Vec<i64> = (2..5).filter(|id| self.model.producer(*id).transaction.is_some()).collect();
        if open.is_empty() {
            return Ok(());
        }
        let (id, commit) = (self.random.pick(&open), self.random.one_in(2));
        let (bytes, records) = marker_batch(self.now_ms, id, commit);
        self.take(&bytes, &records, Origin::Coordinator)
    }

    fn take(&mut self, sent: &[u8], records: &[Record], origin: Origin) -> Result<(), Error> {
        let next = self.model.end();
        let batch = Batch::stored(sent, records, next, self.epoch);
        {
            let mut promised = self.promised.lock();
            promised.begun = batch.next_offset();
            promised.writes = Some(Arc::new(batch.bytes.clone()));
        }
        let sent = send(self.log(), sent, &self.how(origin));
        self.promised.lock().writes = None;
        match sent {
            Ok(done) => {
                assert_eq!(done, (next, false));
                self.promised.lock().acked = batch.next_offset();
                self.history.batches.push(batch.clone());
                self.model.batches.push(batch);
                self.failed = None;
                if self.syncs { self.flush() } else { Ok(()) }
            }
            Err(Error::BatchTooLarge { .. }) => {
                self.promised.lock().begun = next;
                Ok(())
            }
            Err(error) => {
                assert_eq!(self.log().end_offset(), next, "{error}, but the end has moved");
                if matches!(error, Error::Full(_)) {
                    self.promised.lock().begun = next;
                } else {
                    self.failed = Some(batch);
                }
                Err(error)
            }
        }
    }

    fn duplicate(&mut self) -> Result<(), Error> {
        let id = self.random.within(0..5);
        let Some(batch) = self.model.last_of(id) else { return Ok(()) };
        let found = send(self.log(), &batch.bytes, &self.how(Origin::Client))?;
        assert_eq!(found, (batch.header.base_offset, true), "a duplicate of producer {id}");
        Ok(())
    }

    fn out_of_sequence(&mut self) -> Result<(), Error> {
        let id = self.random.within(0..2);
        if self.model.last_of(id).is_none_or(|batch| batch.header.base_offset < self.log().start_offset()) {
            return Ok(());
        }
        let sequence = self.model.producer(id).next_sequence + 1;
        let (bytes, _) = random_batch(&mut self.random, self.now_ms, Some((id, sequence)), false);
        match send(self.log(), &bytes, &self.how(Origin::Client)) {
            Err(Error::Producer(_)) => Ok(()),
            Err(error @ (Error::Offline(_) | Error::Full(_))) => Err(error),
            other => panic!("a gap in the sequence was answered by {other:?}"),
        }
    }

    fn flush(&mut self) -> Result<(), Error> {
        let end = self.model.end();
        self.log().flush()?;
        let mut promised = self.promised.lock();
        promised.synced = promised.synced.max(end);
        Ok(())
    }

    fn chores(&mut self) -> Result<(), Error> {
        let (dir, log) = self.open.as_ref().expect("an open log");
        let start = log.start_offset();
        log.release_idle(self.now_ms);
        // What the broker asks for without waiting.
        log.flush_together(active_base(&log.dir()))?;
        let point = log.recovery_point();
        save_checkpoints(dir, log)?;
        log.remove_doomed(self.now_ms);
        let mut promised = self.promised.lock();
        promised.synced = promised.synced.max(point);
        promised.saved_start = start;
        Ok(())
    }

    fn delete_before(&mut self) -> Result<(), Error> {
        let (start, end) = (self.log().start_offset(), self.model.end());
        let to = self.random.within(start..end + 1).min(start + 20);
        {
            let mut promised = self.promised.lock();
            promised.start = to;
            promised.moved = promised.moved.max(to);
        }
        assert_eq!(self.log().delete_before(to)?, to);
        Ok(())
    }

    /// Whole segments go, and none that the settings keep.
    fn retain(&mut self) -> Result<(), Error> {
        let (before, end) = (self.log().start_offset(), self.model.end());
        let first = self.log().first_base_offset();
        self.promised.lock().start = end;
        let done = self.log().retain(self.now_ms);
        let (start, size) = (self.log().start_offset(), self.log().size());
        {
            let mut promised = self.promised.lock();
            promised.start = start;
            promised.moved = promised.moved.max(start);
        }
        let done = done?;
        assert_eq!(start, before.max(self.log().first_base_offset()));
        assert_eq!(done.segments() == 0, self.log().first_base_offset() == first, "{done:?}");
        let removed =
            self.model.batches.iter().filter(|b| b.next_offset() > before && b.next_offset() <= start);
        let newest = removed.map(|batch| batch.header.max_timestamp).max();
        if done.by_size == 0
            && let Some(newest) = newest
        {
            let retention = self.config.retention_ms;
            assert!(retention >= 0 && newest + retention < self.now_ms, "{done:?} removed {newest}");
        }
        if done.by_size > 0 && done.by_time == 0 {
            assert!(size >= self.config.retention_bytes as u64, "{done:?} left {size} bytes");
        }
        Ok(())
    }

    /// Of every key the last record stays, and what is left is as it was.
    fn compact(&mut self) -> Result<(), Error> {
        let log = self.open.as_ref().expect("an open log").1.clone();
        let Some(work) = log.cleanable(self.now_ms)?.filter(|work| work.cleanable_bytes > 0) else {
            return Ok(());
        };
        {
            let mut promised = self.promised.lock();
            promised.compacted = promised.compacted.max(work.first_uncleanable);
        }
        let memory = CleanerMemory { map_bytes: 1 << 16, load_factor: 0.9, io_bytes: 1 << 16 };
        let done = log.clean(&work, &memory, self.now_ms, &mut |_| true);
        let compacted = self.promised.lock().compacted;
        self.promised.lock().checking = true;
        // A pass that failed has cleaned a part.
        self.model = self.history.compacted(&log, compacted, i64::MAX);
        self.promised.lock().checking = false;
        done.map(drop)
    }
}
