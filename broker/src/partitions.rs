//! The partitions of this broker and the data directories that hold their logs.
//!
//! The map is a `DashMap`: every produce and fetch on every thread looks partitions up in it, while topics come and
//! go rarely and one at a time; its shards keep a lookup from waiting for the creation of an unrelated topic.

mod dirs;
mod found;
mod metadata_dir;
mod moves;
mod peek;
mod progress;
mod start;

pub(crate) use metadata_dir::MetadataDir;
pub(crate) use moves::{Move, Step};
pub(crate) use peek::Peek;

use self::dirs::Dirs;
use crate::clock::Clock;
use crate::config::{BrokerConfig, TopicConfig};
use crate::controller::{LogStore, StorageFailure};
use crate::metadata::Topic;
use crate::partition::Partition;
use arc_swap::ArcSwap;
use dashmap::DashMap;
use milena_storage::config::LogConfig;
use milena_storage::error::{Error, Result};
use milena_storage::log::Log;
use milena_storage::log_dirs::LogDirs;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use uuid::Uuid;

type Members = Arc<Vec<Option<Arc<Partition>>>>;

/// All partitions of this broker.
pub(crate) struct Partitions {
    topics: DashMap<Uuid, Members>,
    dirs: Dirs,
    /// Shared with the controller, which replaces it when a setting changes at run time.
    config: Arc<ArcSwap<BrokerConfig>>,
    clock: Arc<Clock>,
    /// Hot tails may be mapped on the file systems of all directories.
    mapped: bool,
    /// Directories of deleted partitions, and when their time is up, by the steady clock.
    doomed: Mutex<Vec<(i64, usize, PathBuf)>>,
    /// Deleted logs whose directories still have their names, and the data directories of those.
    unretired: Mutex<Vec<(Arc<Log>, usize, PathBuf)>>,
    /// Data directories with a log that could not be opened: it may still need a recovery.
    unopened: Mutex<HashSet<usize>>,
    /// A partition was in a directory that was not there at the start.
    some_missing: AtomicBool,
    /// Partitions on their way to another directory, by topic and index.
    moves: Mutex<HashMap<(Uuid, i32), Arc<Move>>>,
}

impl std::fmt::Debug for Partitions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Partitions")
            .field("topics", &self.topics.len())
            .field("dirs", &self.dirs)
            .finish_non_exhaustive()
    }
}

impl Partitions {
    /// No partition yet, in open data directories.
    pub(crate) fn new(dirs: LogDirs, config: Arc<ArcSwap<BrokerConfig>>, clock: Arc<Clock>) -> Self {
        let dirs = Dirs::from(dirs);
        let mapped = dirs.online.iter().all(|dir| dir.disk().maps_safely());
        Self {
            topics: DashMap::new(),
            mapped,
            dirs,
            config,
            clock,
            doomed: Mutex::default(),
            unretired: Mutex::default(),
            unopened: Mutex::default(),
            some_missing: AtomicBool::new(false),
            moves: Mutex::default(),
        }
    }

    /// A partition, if this broker holds it in a directory that serves.
    pub(crate) fn get(&self, topic: Uuid, index: i32) -> Option<Arc<Partition>> {
        let at = usize::try_from(index).ok()?;
        let partition = self.topics.get(&topic)?.get(at)?.clone();
        partition.filter(|partition| !partition.is_offline())
    }

    /// Every partition.
    pub(crate) fn all(&self) -> Vec<Arc<Partition>> {
        self.topics.iter().flat_map(|members| members.iter().flatten().cloned().collect::<Vec<_>>()).collect()
    }

    /// The settings in force.
    pub(crate) fn config(&self) -> Arc<BrokerConfig> {
        self.config.load_full()
    }

    /// Wall clock, in milliseconds.
    pub(crate) fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// The steady clock, in milliseconds.
    pub(crate) fn steady_ms(&self) -> i64 {
        self.clock.steady_ms()
    }

    fn settings(&self, topic: &Topic) -> (TopicConfig, LogConfig) {
        let broker = self.config.load();
        // What is stored was checked when it came. What another Kafka has let in is named when the logs are opened.
        let (config, _) = TopicConfig::stored(&broker, &topic.configs);
        let log = log_config(&config, &broker, self.mapped);
        (config, log)
    }

    /// Makes the log of a partition in the directory that its record names, or where there is room if it names none.
    fn create_one(&self, topic: &Arc<Topic>, index: usize) -> Result<Arc<Partition>> {
        let (config, log_config) = self.settings(topic);
        let number = index as i32;
        let at = match topic.partitions[index].directory_on(self.config.load().node_id) {
            Some(id) => self.dirs.by_id(id).ok_or_else(|| Error::Offline(self.dirs.root_of(id)))?,
            None => self.dirs.place(&topic.name, number, 1)[0],
        };
        let dir = &self.dirs.online[at];
        // One of them may be in the way of the new log.
        self.retire_again();
        let made = dir.create_log(&topic.name, number, topic.id, log_config, self.clock.now_ms());
        let log = made.inspect_err(|error| {
            if matches!(error, Error::Io { .. }) {
                dir.disk().poison(error);
            }
        })?;
        self.dirs.add(at);
        self.dirs.forget_preferred(&topic.name, number);
        Ok(Arc::new(Partition::new(
            topic.name.clone(),
            number,
            topic.partitions[index].leader_epoch,
            log,
            &config,
        )))
    }

    fn retire(&self, partition: &Partition) {
        partition.mark_deleted();
        let log = partition.log();
        let Some(at) = self.dirs.of(&log) else { return };
        self.dirs.subtract(at);
        self.retire_log(&log, at, &partition.topic, partition.index);
    }

    /// Ends a log; its directory waits under another name for its removal.
    fn retire_log(&self, log: &Arc<Log>, at: usize, topic: &str, index: i32) {
        let to = self.dirs.online[at].deleted_path_of(topic, index);
        if let Err(error) = log.retire(&to) {
            tracing::error!("cannot delete {topic}-{index}: {error}");
            self.unretired.lock().push((Arc::clone(log), at, to));
            return;
        }
        self.doom(at, to);
    }

    fn doom(&self, at: usize, path: PathBuf) {
        let delay = self.config.load().topic_defaults.file_delete_delay_ms;
        self.doomed.lock().push((self.clock.steady_ms().saturating_add(delay), at, path));
    }

    /// Tries again what a full disk, for example, has refused.
    fn retire_again(&self) {
        let mut unretired = self.unretired.lock();
        let ended = unretired.extract_if(.., |(log, _, to)| {
            log.retire(to).inspect_err(|error| tracing::debug!("{error}")).is_ok()
        });
        ended.for_each(|(_, at, to)| self.doom(at, to));
    }

    /// Whether [`Partitions::remove_doomed`] has something to do, now or later.
    pub(crate) fn has_doomed(&self) -> bool {
        !self.doomed.lock().is_empty() || !self.unretired.lock().is_empty()
    }

    /// Removes the directories of deleted partitions whose time is up. What cannot be removed is tried again. `now_ms` is
    /// the steady clock.
    pub(crate) fn remove_doomed(&self, now_ms: i64) {
        self.retire_again();
        let due: Vec<_> = {
            let mut doomed = self.doomed.lock();
            let (due, kept) = doomed.drain(..).partition(|(at, ..)| *at <= now_ms);
            *doomed = kept;
            due
        };
        for (_, at, path) in due {
            if let Err(error) = self.dirs.online[at].disk().remove_dir(&path) {
                tracing::warn!("{error}");
                self.doomed.lock().push((now_ms, at, path));
            }
        }
    }
}

impl LogStore for Partitions {
    fn begin(&self) -> std::result::Result<(), StorageFailure> {
        self.dirs.begin()
    }

    fn create(&self, topic: &Arc<Topic>, first_partition: i32) -> std::result::Result<(), StorageFailure> {
        let first = usize::try_from(first_partition)?;
        let mut members: Vec<Option<Arc<Partition>>> =
            self.topics.get(&topic.id).map(|m| m.iter().take(first).cloned().collect()).unwrap_or_default();
        members.resize(first, None);
        for index in first..topic.partitions.len() {
            match self.create_one(topic, index) {
                Ok(partition) => members.push(Some(partition)),
                Err(error) => {
                    for partition in members[first..].iter().flatten() {
                        self.retire(partition);
                    }
                    return Err(error.into());
                }
            }
        }
        self.topics.insert(topic.id, Arc::new(members));
        Ok(())
    }

    fn delete(&self, topic: &Arc<Topic>) {
        for moved in self.moves().iter().filter(|moved| moved.topic_id == topic.id) {
            self.end_move(moved);
        }
        if let Some((_, members)) = self.topics.remove(&topic.id) {
            for partition in members.iter().flatten() {
                self.retire(partition);
            }
            // A new topic of that name must not take over how far this one was cleaned.
            if let Err(error) = self.save_cleaned() {
                tracing::warn!("{error}; the cleaner checkpoint still names {}", topic.name);
            }
        }
    }

    fn reconfigure(&self, topic: &Arc<Topic>) {
        let Some(members) = self.topics.get(&topic.id).map(|m| m.clone()) else { return };
        let (config, log) = self.settings(topic);
        // Copies first: one that is promoted meanwhile is met below.
        for moved in self.moves().iter().filter(|moved| moved.topic_id == topic.id) {
            moved.copy.set_config(log.clone());
        }
        for partition in members.iter().flatten() {
            partition.reconfigure(&config, log.clone());
        }
    }

    fn pick_directories(&self, topic: &str, first_partition: i32, count: usize) -> Vec<Uuid> {
        let picked = self.dirs.place(topic, first_partition, count);
        picked.into_iter().map(|at| self.dirs.id(at)).collect()
    }
}

/// What the log of a topic needs to know.
fn log_config(topic: &TopicConfig, broker: &BrokerConfig, mapped: bool) -> LogConfig {
    let positive = |value: i32| u32::try_from(value).unwrap_or(0);
    LogConfig {
        segment_bytes: positive(topic.segment_bytes),
        segment_ms: topic.segment_ms,
        segment_jitter_ms: topic.segment_jitter_ms,
        segment_index_bytes: positive(topic.segment_index_bytes),
        index_interval_bytes: positive(topic.index_interval_bytes),
        flush_messages: topic.flush_messages,
        flush_ms: topic.flush_ms,
        delete: topic.cleanup_policy.delete,
        compact: topic.cleanup_policy.compact,
        retention_ms: topic.retention_ms,
        retention_bytes: topic.retention_bytes,
        file_delete_delay_ms: topic.file_delete_delay_ms,
        min_cleanable_dirty_ratio: topic.min_cleanable_dirty_ratio,
        min_compaction_lag_ms: topic.min_compaction_lag_ms,
        max_compaction_lag_ms: topic.max_compaction_lag_ms,
        delete_retention_ms: topic.delete_retention_ms,
        max_message_bytes: positive(topic.max_message_bytes),
        producer_id_expiration_ms: i64::try_from(broker.transaction.producer_id_expiration.as_millis())
            .unwrap_or(i64::MAX),
        mapped,
    }
}

/// Where a partition that should be there could not be opened.
pub(crate) fn offline(topic: &str, index: i32, error: &Error) {
    tracing::error!("{topic}-{index} is offline: {error}");
}

#[cfg(test)]
mod tests;
