//! The partitions of this broker and the data directories that hold their logs.
//!
//! The map is a `DashMap`: every produce and fetch on every thread looks partitions up in it, while topics come and
//! go rarely and one at a time; its shards keep a lookup from waiting for the creation of an unrelated topic.

mod start;

pub(crate) use start::MetadataDir;

use crate::clock::Clock;
use crate::config::{BrokerConfig, TopicConfig};
use crate::controller::{LogStore, StorageFailure};
use crate::metadata::Topic;
use crate::partition::Partition;
use arc_swap::ArcSwap;
use dashmap::DashMap;
use milena_storage::checkpoint::Offsets;
use milena_storage::config::LogConfig;
use milena_storage::error::{Error, Result};
use milena_storage::log_dir::LogDir;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use uuid::Uuid;

type Members = Arc<Vec<Option<Arc<Partition>>>>;

/// All partitions of this broker.
pub(crate) struct Partitions {
    topics: DashMap<Uuid, Members>,
    dirs: Vec<LogDir>,
    /// Shared with the controller, which replaces it when a setting changes at run time.
    config: Arc<ArcSwap<BrokerConfig>>,
    clock: Arc<Clock>,
    /// Hot tails may be mapped on the file systems of all directories.
    mapped: bool,
    /// Directories of deleted partitions, and when their time is up.
    doomed: Mutex<Vec<(i64, usize, PathBuf)>>,
    /// Data directories with a log that could not be opened: it may still need a recovery.
    unopened: Mutex<HashSet<usize>>,
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
    /// No partition yet, in open data directories (at least one).
    pub(crate) fn new(dirs: Vec<LogDir>, config: Arc<ArcSwap<BrokerConfig>>, clock: Arc<Clock>) -> Self {
        let mapped = dirs.iter().all(|dir| dir.disk().maps_safely());
        Self {
            topics: DashMap::new(),
            mapped,
            dirs,
            config,
            clock,
            doomed: Mutex::default(),
            unopened: Mutex::default(),
        }
    }

    /// A partition, if this broker holds it.
    pub(crate) fn get(&self, topic: Uuid, index: i32) -> Option<Arc<Partition>> {
        let at = usize::try_from(index).ok()?;
        self.topics.get(&topic)?.get(at)?.clone()
    }

    /// Every partition.
    pub(crate) fn all(&self) -> Vec<Arc<Partition>> {
        self.topics.iter().flat_map(|members| members.iter().flatten().cloned().collect::<Vec<_>>()).collect()
    }

    /// The data directories.
    pub(crate) fn dirs(&self) -> &[LogDir] {
        &self.dirs
    }

    fn settings(&self, topic: &Topic) -> (TopicConfig, LogConfig) {
        let broker = self.config.load();
        // What is stored was checked when it came; should a newer Kafka have let something else in, defaults serve.
        let config = TopicConfig::effective(&broker, &topic.configs).unwrap_or_else(|error| {
            tracing::warn!("topic {}: {error}; the broker's defaults are in force", topic.name);
            broker.topic_defaults.clone()
        });
        let log = log_config(&config, &broker, self.mapped);
        (config, log)
    }

    fn dir_for(&self, topic: &Topic, index: usize) -> usize {
        let wanted = topic.partitions[index].directory_on(self.config.load().node_id);
        wanted
            .and_then(|id| self.dirs.iter().position(|d| d.identity().directory_id == id))
            .unwrap_or_else(|| self.least_used())
    }

    fn least_used(&self) -> usize {
        if self.dirs.len() == 1 {
            return 0;
        }
        let mut counts = vec![0usize; self.dirs.len()];
        for partition in self.all() {
            let path = partition.log.dir();
            if let Some(at) = self.dirs.iter().position(|d| path.starts_with(d.disk().root())) {
                counts[at] += 1;
            }
        }
        (0..counts.len())
            .filter(|i| !self.dirs[*i].disk().is_offline())
            .min_by_key(|i| counts[*i])
            .unwrap_or(0)
    }

    fn create_one(&self, topic: &Arc<Topic>, index: usize) -> Result<Arc<Partition>> {
        let (config, log_config) = self.settings(topic);
        let dir = &self.dirs[self.dir_for(topic, index)];
        let number = index as i32;
        let log = dir.create_log(&topic.name, number, topic.id, log_config, self.clock.now_ms())?;
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
        let path = partition.log.dir();
        let Some(at) = self.dirs.iter().position(|d| path.starts_with(d.disk().root())) else { return };
        let to = self.dirs[at].deleted_path_of(&partition.topic, partition.index);
        if let Err(error) = partition.log.retire(&to) {
            tracing::error!("cannot delete {}-{}: {error}", partition.topic, partition.index);
            return;
        }
        let delay = self.config.load().topic_defaults.file_delete_delay_ms;
        self.doomed.lock().push((self.clock.now_ms().saturating_add(delay), at, to));
    }

    /// Removes the directories of deleted partitions whose time is up. What cannot be removed is tried again.
    pub(crate) fn remove_doomed(&self, now_ms: i64) {
        let due: Vec<_> = {
            let mut doomed = self.doomed.lock();
            let (due, kept) = doomed.drain(..).partition(|(at, ..)| *at <= now_ms);
            *doomed = kept;
            due
        };
        for (_, at, path) in due {
            if let Err(error) = self.dirs[at].disk().remove_dir(&path) {
                tracing::warn!("{error}");
                self.doomed.lock().push((now_ms, at, path));
            }
        }
    }

    /// Marks the directories as cleanly stopped, once all logs are closed and synced. A directory stays without the
    /// mark if a log in it is not in the state that the mark promises: whoever starts next must recover it.
    pub(crate) fn mark_clean(&self) -> Result<()> {
        let mut unclean = self.unopened.lock().clone();
        unclean.extend(self.doomed.lock().iter().map(|(_, at, _)| *at));
        let mut clean = self.dirs.iter().enumerate().filter(|(at, _)| !unclean.contains(at));
        clean.try_for_each(|(_, dir)| dir.mark_clean())
    }

    /// Writes the checkpoints of every directory.
    pub(crate) fn save_checkpoints(&self) -> Result<()> {
        let mut offsets: HashMap<usize, (Offsets, Offsets, Offsets)> = HashMap::new();
        for partition in self.all() {
            let path = partition.log.dir();
            let Some(at) = self.dirs.iter().position(|d| path.starts_with(d.disk().root())) else { continue };
            let (recovery, starts, watermarks) = offsets.entry(at).or_default();
            let key = (partition.topic.to_string(), partition.index);
            recovery.insert(key.clone(), partition.log.recovery_checkpoint());
            watermarks.insert(key.clone(), partition.log.end_offset());
            if partition.log.start_offset() > partition.log.first_base_offset() {
                starts.insert(key, partition.log.start_offset());
            }
        }
        for (at, dir) in self.dirs.iter().enumerate() {
            if dir.disk().is_offline() {
                continue;
            }
            let (recovery, starts, watermarks) = offsets.remove(&at).unwrap_or_default();
            dir.save_checkpoints(&recovery, &starts, &watermarks)?;
        }
        Ok(())
    }
}

impl LogStore for Partitions {
    fn begin(&self) -> std::result::Result<(), StorageFailure> {
        Ok(self.dirs.iter().try_for_each(LogDir::begin)?)
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
        if let Some((_, members)) = self.topics.remove(&topic.id) {
            for partition in members.iter().flatten() {
                self.retire(partition);
            }
        }
    }

    fn reconfigure(&self, topic: &Arc<Topic>) {
        let Some(members) = self.topics.get(&topic.id).map(|m| m.clone()) else { return };
        let (config, log) = self.settings(topic);
        for partition in members.iter().flatten() {
            partition.reconfigure(&config, log.clone());
        }
    }

    fn pick_directory(&self) -> Uuid {
        self.dirs[self.least_used()].identity().directory_id
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
