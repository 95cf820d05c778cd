//! What the group coordinator needs of the broker: the partitions of `__consumer_offsets`, and which topics exist.

use crate::clock::Clock;
use crate::controller::Controller;
use crate::controller::partition_count;
use crate::coordinator::{CoordinatorError, StateLog, Topics};
use crate::metadata::topic_name;
use crate::partition::Partition;
use crate::partitions::Partitions;
use milena_storage::error::Error;
use std::sync::Arc;

/// `__consumer_offsets` over the partition logs.
pub(super) struct OffsetsLog {
    pub(super) controller: Arc<Controller>,
    pub(super) partitions: Arc<Partitions>,
    pub(super) clock: Arc<Clock>,
}

impl OffsetsLog {
    fn partition(&self, index: i32) -> Result<Arc<Partition>, CoordinatorError> {
        let image = self.controller.image();
        let topic = image.topic(topic_name::CONSUMER_OFFSETS);
        topic.and_then(|topic| self.partitions.get(topic.id, index)).ok_or_else(|| {
            CoordinatorError::Storage { partition: index, source: "the partition is not there".into() }
        })
    }
}

impl StateLog for OffsetsLog {
    fn ensure(&self) -> Result<i32, CoordinatorError> {
        // Creating the topic writes to the disk.
        tokio::task::block_in_place(|| self.controller.ensure_offsets_topic()).map_err(|refusal| {
            CoordinatorError::TopicUnavailable {
                topic: topic_name::CONSUMER_OFFSETS,
                reason: refusal.message.to_string(),
            }
        })
    }

    fn exists(&self) -> Option<i32> {
        self.controller.image().topic(topic_name::CONSUMER_OFFSETS).map(|topic| partition_count(topic))
    }

    fn append(&self, partition: i32, batch: &[u8]) -> Result<i64, CoordinatorError> {
        self.partition(partition)?.append_internal(batch, self.clock.now_ms()).map_err(|error| match error {
            Error::BatchTooLarge { size, .. } => CoordinatorError::TooLarge { partition, len: size },
            source => CoordinatorError::Storage { partition, source: source.into() },
        })
    }

    fn read(&self, partition: i32, from_offset: i64, max_bytes: usize) -> Result<Vec<u8>, CoordinatorError> {
        let read = self.partition(partition)?.on_log(|log| log.read_batches(from_offset, max_bytes));
        read.map_err(|source| CoordinatorError::Storage { partition, source: source.into() })
    }

    fn start_offset(&self, partition: i32) -> Result<i64, CoordinatorError> {
        Ok(self.partition(partition)?.log().start_offset())
    }
}

/// The topics of the image.
pub(super) struct ImageTopics(pub(super) Arc<Controller>);

impl Topics for ImageTopics {
    fn partitions(&self, topic: &str) -> Option<i32> {
        self.0.image().topic(topic).map(|topic| partition_count(topic))
    }
}
