//! What the coordinators need of the broker: the partitions of their topics, which topics exist, producer ids, and
//! markers in the partitions of a transaction.

use crate::clock::Clock;
use crate::controller::Controller;
use crate::controller::partition_count;
use crate::coordinator::{CoordinatorError, StateLog, Topics, Verification};
use crate::error::response_error;
use crate::group::GroupCoordinator;
use crate::metadata::{GROUP_RESOURCE, topic_name};
use crate::partition::Partition;
use crate::partitions::Partitions;
use crate::transaction::{Completion, Markers, Outcome, Surroundings};
use kafka_protocol::ResponseError;
use milena_protocol::records::EndTransactionMarker;
use milena_storage::error::Error;
use std::sync::Arc;
use uuid::Uuid;

/// The feature that says how transactions are recorded and fenced.
const TRANSACTION_VERSION: &str = "transaction.version";

/// The topic of a coordinator over the partition logs.
pub(super) struct InternalTopic {
    pub(super) name: &'static str,
    pub(super) controller: Arc<Controller>,
    pub(super) partitions: Arc<Partitions>,
    pub(super) clock: Arc<Clock>,
}

impl InternalTopic {
    fn partition(&self, index: i32) -> Result<Arc<Partition>, CoordinatorError> {
        let image = self.controller.image();
        let topic = image.topic(self.name);
        topic.and_then(|topic| self.partitions.get(topic.id, index)).ok_or_else(|| {
            CoordinatorError::Storage { partition: index, source: "the partition is not there".into() }
        })
    }
}

impl StateLog for InternalTopic {
    fn ensure(&self) -> Result<i32, CoordinatorError> {
        // Creating the topic writes to the disk.
        let topic = tokio::task::block_in_place(|| self.controller.ensure_topic(self.name));
        topic.map(|topic| partition_count(&topic)).map_err(|refusal| CoordinatorError::TopicUnavailable {
            topic: self.name,
            reason: refusal.message.to_string(),
        })
    }

    fn exists(&self) -> Option<i32> {
        self.controller.image().topic(self.name).map(|topic| partition_count(topic))
    }

    fn append(
        &self,
        partition: i32,
        batch: &[u8],
        verification: Verification,
    ) -> Result<i64, CoordinatorError> {
        let appended = self.partition(partition)?.append_internal(batch, verification, self.clock.now_ms());
        appended.map_err(|error| match error {
            Error::BatchTooLarge { size, .. } => CoordinatorError::TooLarge { partition, len: size },
            Error::Producer(reason) => CoordinatorError::Producer {
                partition,
                error: response_error(&error),
                reason: reason.to_string(),
            },
            source => CoordinatorError::Storage { partition, source: source.into() },
        })
    }

    fn read(&self, partition: i32, from_offset: i64, max_bytes: usize) -> Result<Vec<u8>, CoordinatorError> {
        let mut from = from_offset;
        let read = self.partition(partition)?.on_log(|log| {
            loop {
                let error = match log.read_batches(from, max_bytes) {
                    Err(error @ Error::Corrupt { .. }) if self.name == topic_name::CONSUMER_OFFSETS => error,
                    read => return read,
                };
                // Offsets that were committed before are better than none for all groups of the partition, and Kafka
                // goes on, too. A transaction's outcome must not be guessed.
                let Ok(Some(next)) = log.offset_behind_batch(from) else { return Err(error) };
                tracing::error!(
                    "{error}; what groups have committed in offsets {from} to {} of {}-{partition} is lost",
                    next - 1,
                    self.name
                );
                from = next;
            }
        });
        read.map_err(|source| CoordinatorError::Storage { partition, source: source.into() })
    }

    fn start_offset(&self, partition: i32) -> Result<i64, CoordinatorError> {
        Ok(self.partition(partition)?.log().start_offset())
    }
}

/// The topics of the image.
pub(super) struct ImageTopics(pub(super) Arc<Controller>);

impl Topics for ImageTopics {
    fn topic(&self, name: &str) -> Option<(Uuid, i32)> {
        self.0.image().topic(name).map(|topic| (topic.id, partition_count(topic)))
    }

    fn topic_by_id(&self, id: Uuid) -> Option<(String, i32)> {
        self.0.image().topic_by_id(id).map(|topic| (topic.name.to_string(), partition_count(topic)))
    }

    fn names(&self) -> Vec<String> {
        self.0.image().topics().map(|topic| topic.name.to_string()).collect()
    }

    fn version(&self) -> i64 {
        self.0.image().offset()
    }

    fn group_config(&self, group: &str, key: &str) -> Option<i64> {
        self.0.image().configs(GROUP_RESOURCE, group)?.get(key)?.trim().parse().ok()
    }
}

/// Producer ids and features of the controller.
pub(super) struct Cluster(pub(super) Arc<Controller>);

impl Surroundings for Cluster {
    fn next_producer_id(&self) -> Result<i64, ResponseError> {
        self.0.next_producer_id().map_err(|refusal| refusal.error)
    }

    fn transaction_version(&self) -> i16 {
        self.0.image().features().0.get(TRANSACTION_VERSION).copied().unwrap_or(0)
    }

    fn verifies_partitions(&self) -> bool {
        self.0.config().transaction.partition_verification_enable
    }
}

/// Writes the ends of transactions into the partitions of this broker.
pub(crate) struct PartitionMarkers {
    pub(super) controller: Arc<Controller>,
    pub(super) partitions: Arc<Partitions>,
    pub(super) groups: Arc<GroupCoordinator>,
    pub(super) clock: Arc<Clock>,
}

impl std::fmt::Debug for PartitionMarkers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PartitionMarkers").finish_non_exhaustive()
    }
}

impl PartitionMarkers {
    /// Ends a producer's transaction in one partition. Group offsets count from then on, or are dropped.
    ///
    /// # Errors
    /// UNKNOWN_TOPIC_OR_PARTITION, INVALID_PRODUCER_EPOCH or TRANSACTION_COORDINATOR_FENCED if there is nothing to end
    /// any more; any other error says that it must be tried again.
    pub(crate) fn end(
        &self,
        (topic, index): (&str, i32),
        producer_id: i64,
        producer_epoch: i16,
        marker: EndTransactionMarker,
    ) -> Result<(), ResponseError> {
        let image = self.controller.image();
        let known = image.topic(topic).filter(|topic| (0..partition_count(topic)).contains(&index));
        let known = known.ok_or(ResponseError::UnknownTopicOrPartition)?;
        if topic == topic_name::CONSUMER_OFFSETS {
            let ended = self.groups.end_transaction(index, producer_id, producer_epoch, marker);
            return ended.map_err(|error| match error {
                CoordinatorError::Producer { error, .. } => error,
                _ => ResponseError::NotLeaderOrFollower,
            });
        }
        let partition = self.partitions.get(known.id, index).ok_or(ResponseError::KafkaStorageError)?;
        let ended = partition.end_transaction(producer_id, producer_epoch, marker, self.clock.now_ms());
        ended.map(|_| ()).map_err(|error| response_error(&error))
    }

    /// As [`end`](Self::end), by the coordinator of the transaction. There is no other on one node, so if a later one was
    /// here it was an administrator who has ended a transaction with an epoch too high (WriteTxnMarkers). The marker has
    /// that epoch then, lest the transaction stays open for ever.
    fn end_own(
        &self,
        place: (&str, i32),
        completion: &Completion,
        marker: EndTransactionMarker,
    ) -> Result<(), ResponseError> {
        let (id, epoch) = (completion.producer_id, completion.producer_epoch);
        match self.end(place, id, epoch, marker) {
            Err(ResponseError::TransactionCoordinatorFenced) => {
                let known = self.known_coordinator_epoch(place, id);
                let coordinator_epoch = known.ok_or(ResponseError::KafkaStorageError)?;
                self.end(place, id, epoch, EndTransactionMarker { coordinator_epoch, ..marker })
            }
            ended => ended,
        }
    }

    fn known_coordinator_epoch(&self, (topic, index): (&str, i32), producer_id: i64) -> Option<i32> {
        let partition = self.partitions.get(self.controller.image().topic(topic)?.id, index)?;
        let producers = partition.log().producers();
        producers.into_iter().find(|(id, _)| *id == producer_id).map(|(_, state)| state.coordinator_epoch())
    }

    fn coordinator_epoch(&self, coordinator: i32) -> i32 {
        let image = self.controller.image();
        let topic = image.topic(topic_name::TRANSACTION_STATE);
        let partition = topic.and_then(|topic| self.partitions.get(topic.id, coordinator));
        partition.map_or(0, |partition| partition.leader_epoch)
    }
}

impl Markers for PartitionMarkers {
    fn write(&self, coordinator: i32, completion: &Completion) -> crate::transaction::Partitions {
        let marker = EndTransactionMarker {
            commit: completion.outcome == Outcome::Commit,
            coordinator_epoch: self.coordinator_epoch(coordinator),
        };
        let mut left = crate::transaction::Partitions::new();
        for (topic, indexes) in &completion.partitions {
            for index in indexes {
                let place = (&**topic, *index);
                match self.end_own(place, completion, marker) {
                    Ok(()) => {}
                    Err(ResponseError::UnknownTopicOrPartition) => {
                        tracing::debug!("{topic}-{index} was deleted in the middle of a transaction");
                    }
                    Err(error @ ResponseError::InvalidProducerEpoch) => {
                        // A later producer has ended it there.
                        tracing::warn!("{topic}-{index} does not take the marker of a transaction: {error}");
                    }
                    Err(_) => {
                        left.entry(Arc::clone(topic)).or_default().insert(*index);
                    }
                }
            }
        }
        left
    }
}
