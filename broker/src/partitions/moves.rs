//! Partitions on their way to another data directory (KIP-113, KIP-858).
//!
//! ```text
//! <dir 2>/t-0.<id>-future  copies <dir 1>/t-0 until it has caught up
//!  -> the metadata log says that the partition is in <dir 2>
//!  -> appends wait, the rest is copied, the copy becomes <dir 2>/t-0 and serves
//!  -> <dir 1>/t-0 becomes t-0.<id>-delete
//! ```
//! A death in between leaves either the old log and a copy, which goes on copying after the next start, or both under
//! the live name and complete: then the one counts that the metadata log names.

use super::dirs::Named;
use super::{Partitions, log_config};
use crate::config::TopicConfig;
use crate::metadata::Topic;
use crate::partition::Partition;
use kafka_protocol::ResponseError;
use milena_storage::error::{Error, Result};
use milena_storage::file_name::{MAX_NAME_LENGTH, PartitionDir, PartitionDirRole};
use milena_storage::log::Log;
use parking_lot::Mutex;
use std::path::Path;
use std::sync::Arc;
use uuid::Uuid;

/// Bytes that are copied at once.
const CHUNK: usize = 1 << 20;

/// A partition and the copy that is to take the place of its log.
#[derive(Debug)]
pub(crate) struct Move {
    pub(crate) topic_id: Uuid,
    pub(crate) partition: Arc<Partition>,
    pub(crate) copy: Arc<Log>,
    to: usize,
    /// Whether it is over; held while something is done with the copy.
    ended: Mutex<bool>,
}

/// What a step of a move came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// So many bytes were copied, and more are to be.
    Copied(u64),
    /// The copy has nearly all: [`Partitions::finish_move`] may come, once the metadata log says so.
    CaughtUp,
    /// The move is over.
    Ended,
}

impl Partitions {
    /// The moves that are under way.
    pub(crate) fn moves(&self) -> Vec<Arc<Move>> {
        self.moves.lock().values().cloned().collect()
    }

    /// Lets a partition move to the directory of this path (`ReplicaManager.alterReplicaLogDirs`). One that is not
    /// there yet is made there later.
    ///
    /// # Errors
    /// INVALID_TOPIC_EXCEPTION for a name that is too long, LOG_DIR_NOT_FOUND, KAFKA_STORAGE_ERROR,
    /// UNKNOWN_TOPIC_OR_PARTITION.
    pub(crate) fn begin_move(
        &self,
        name: &str,
        index: i32,
        topic: Option<&Topic>,
        path: &str,
    ) -> std::result::Result<(), ResponseError> {
        let dir = PartitionDir::live(name, index).with_role(PartitionDirRole::Future(Uuid::nil()));
        if dir.to_string().len() > MAX_NAME_LENGTH {
            return Err(ResponseError::InvalidTopicException);
        }
        let to = match self.dirs.named(path) {
            Named::Online(at) => at,
            Named::Offline => return Err(ResponseError::KafkaStorageError),
            Named::Unknown => return Err(ResponseError::LogDirNotFound),
        };
        let known = |topic: &&Topic| usize::try_from(index).is_ok_and(|at| at < topic.partitions.len());
        let Some(topic) = topic.filter(known) else {
            self.dirs.prefer(name, index, to);
            return Err(ResponseError::UnknownTopicOrPartition);
        };
        let partition = self.get(topic.id, index).ok_or(ResponseError::KafkaStorageError)?;
        let key = (topic.id, index);
        let under_way = self.moves.lock().get(&key).cloned();
        if let Some(other) = under_way {
            if other.to == to {
                return Ok(());
            }
            self.end_move(&other);
        }
        if self.dirs.of(&partition.log()) == Some(to) {
            return Ok(());
        }
        // A copy may be in the directory that is offline; a second one would be in its way.
        if self.dirs.some_offline() {
            return Err(ResponseError::KafkaStorageError);
        }
        let copy = self.create_copy(topic, &partition, to).map_err(|error| {
            tracing::warn!("{name}-{index} cannot move to {path}: {error}");
            crate::error::response_error(&error)
        })?;
        self.add_move(topic.id, partition, copy, to);
        Ok(())
    }

    fn create_copy(&self, topic: &Topic, partition: &Partition, to: usize) -> Result<Log> {
        let base_offset = partition.on_log(Log::copy_base)?;
        let (name, config) =
            (PartitionDir::live(&*topic.name, partition.index), (*partition.log().config()).clone());
        let copy =
            self.dirs.online[to].create_copy(&name, topic.id, base_offset, config, self.clock.now_ms())?;
        // What is cleaned from now on is copied as it was, or cleaned.
        if let Some(cleaned) = partition.log().cleaned_up_to() {
            copy.set_cleaned_up_to(cleaned);
        }
        Ok(copy)
    }

    /// Goes on with a copy that was found at the start.
    pub(super) fn resume_move(
        &self,
        topic: &Topic,
        config: &TopicConfig,
        partition: Arc<Partition>,
        (to, path): (usize, &Path),
    ) {
        let name = (&*topic.name, partition.index);
        let config = log_config(config, &self.config.load(), self.mapped);
        match self.dirs.online[to].open_log_at(path, name, config, self.clock.now_ms()) {
            Ok(copy) if copy.end_offset() <= partition.log().end_offset() => {
                tracing::info!("{}-{} goes on moving to {}", name.0, name.1, path.display());
                self.add_move(topic.id, partition, copy, to);
            }
            // It has records that the log has lost.
            Ok(copy) => self.drop_copy(&Arc::new(copy), to, name),
            Err(error) => {
                tracing::warn!("{}: {error}; the move begins anew when it is asked for", path.display());
                self.unopened.lock().insert(to);
            }
        }
    }

    fn add_move(&self, topic_id: Uuid, partition: Arc<Partition>, copy: Log, to: usize) {
        self.dirs.add(to);
        let key = (topic_id, partition.index);
        let moved = Move { topic_id, partition, copy: Arc::new(copy), to, ended: Mutex::new(false) };
        self.moves.lock().insert(key, Arc::new(moved));
    }

    /// The directory id that a move leads to.
    pub(crate) fn destination(&self, moved: &Move) -> Uuid {
        self.dirs.id(moved.to)
    }

    /// The directory id that a partition is in.
    pub(crate) fn directory_of(&self, partition: &Partition) -> Option<Uuid> {
        self.dirs.of(&partition.log()).map(|at| self.dirs.id(at))
    }

    /// Copies a piece. A failure ends the move; the partition stays where it is.
    pub(crate) fn step_move(&self, moved: &Move) -> Step {
        let ended = moved.ended.lock();
        if *ended {
            return Step::Ended;
        }
        let source = moved.partition.log();
        let before = moved.copy.size();
        let copied = moved.copy.copy_from(&source, CHUNK, self.clock.now_ms());
        let behind = source.size().saturating_sub(moved.copy.size());
        drop(ended);
        match copied {
            Ok(0) => Step::CaughtUp,
            Ok(_) if behind <= CHUNK as u64 && source.end_offset() == moved.copy.end_offset() => {
                Step::CaughtUp
            }
            Ok(_) => Step::Copied(moved.copy.size().saturating_sub(before)),
            Err(error) => {
                self.fail_move(moved, &error);
                Step::Ended
            }
        }
    }

    /// Waits until what was copied is on the device, so that little is left to sync when appends wait.
    pub(crate) fn flush_move(&self, moved: &Move) -> Step {
        match moved.copy.flush() {
            Ok(()) => Step::CaughtUp,
            Err(error) => {
                self.fail_move(moved, &error);
                Step::Ended
            }
        }
    }

    /// Lets the copy serve. Whether it does now.
    pub(crate) fn finish_move(&self, moved: &Move) -> bool {
        let mut ended = moved.ended.lock();
        if *ended {
            return false;
        }
        let partition = &moved.partition;
        let old = Arc::clone(&partition.log());
        let (to, from) = (&self.dirs.online[moved.to], self.dirs.of(&old));
        let live = to.path_of(&partition.topic, partition.index);
        let done = old.hand_over(&moved.copy, &live, self.clock.now_ms(), |log| partition.set_log(log));
        if let Err(error) = done {
            drop(ended);
            self.fail_move(moved, &error);
            return false;
        }
        *ended = true;
        self.moves.lock().remove(&(moved.topic_id, partition.index));
        let (start, first) = (partition.log().start_offset(), partition.log().first_base_offset());
        // The old log goes only when the new one is found by a start that knows where it begins.
        let named = to.disk().sync_dir(to.disk().root());
        let named = named.and_then(|()| if start > first { self.save_checkpoints() } else { Ok(()) });
        if let (Ok(()), Some(from)) = (named, from) {
            self.retire_log(&old, from, &partition.topic, partition.index);
            self.dirs.subtract(from);
        }
        // Where it is now nobody knows yet how far it was cleaned.
        if let Err(error) = self.save_cleaned() {
            tracing::warn!(
                "{error}; the cleaner checkpoint does not name {}-{}",
                partition.topic,
                partition.index
            );
        }
        tracing::info!("{}-{} has moved to {}", partition.topic, partition.index, live.display());
        true
    }

    fn fail_move(&self, moved: &Move, error: &Error) {
        let partition = &moved.partition;
        tracing::error!(
            "{}-{} cannot move to {}: {error}; it stays where it is",
            partition.topic,
            partition.index,
            self.dirs.online[moved.to].disk().root().display()
        );
        self.end_move(moved);
    }

    /// Ends a move; its copy goes.
    pub(crate) fn end_move(&self, moved: &Move) {
        let mut ended = moved.ended.lock();
        if std::mem::replace(&mut *ended, true) {
            return;
        }
        let key = (moved.topic_id, moved.partition.index);
        self.moves.lock().remove(&key);
        self.dirs.subtract(moved.to);
        self.drop_copy(&moved.copy, moved.to, (&moved.partition.topic, moved.partition.index));
    }

    pub(super) fn drop_copy(&self, copy: &Arc<Log>, at: usize, (topic, index): (&str, i32)) {
        if !copy.disk().is_offline() {
            self.retire_log(copy, at, topic, index);
        }
    }

    /// Ends the moves from and to a directory that has failed. Its files stay as they are.
    pub(super) fn end_moves_of(&self, at: usize) {
        for moved in self.moves() {
            if moved.to == at || self.dirs.of(&moved.partition.log()) == Some(at) {
                self.end_move(&moved);
            }
        }
    }

    /// Interrupts the moves for a stop: they go on after the next start.
    pub(super) fn close_moves(&self) {
        for moved in self.moves() {
            let mut ended = moved.ended.lock();
            *ended = true;
            if let Err(error) = moved.copy.close() {
                self.left_unclean(moved.to, &error);
            }
        }
    }
}
