//! The runtime that the coordinators share: an input yields records and a reply; the records are appended to the
//! coordinator's partition; the state changes by them; the reply leaves when they are stored.
//!
//! ```text
//! request -> Runtime::call -> shard lock -> Machine (pure) -> Effects { steps, replies }
//!                                             ^                  |  records
//!                                  stored / not_stored <- StateLog::append
//! ```

pub(crate) mod replay;
pub(crate) mod runtime;
#[cfg(test)]
pub(crate) mod seeds;
pub(crate) mod timers;

use kafka_protocol::ResponseError;
use milena_storage::producers::VerificationGuard;
use uuid::Uuid;

/// Why a coordinator could not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CoordinatorError {
    /// The internal topic does not exist and could not be created.
    #[error("the topic {topic} is not available: {reason}")]
    TopicUnavailable {
        /// The internal topic.
        topic: &'static str,
        /// What stands in the way.
        reason: String,
    },
    /// The state is not read back yet.
    #[error("partition {partition} is being loaded")]
    Loading {
        /// Partition of the internal topic.
        partition: i32,
    },
    /// The log refused the batch as too large.
    #[error("a batch of {len} bytes for partition {partition} is larger than the topic allows")]
    TooLarge {
        /// Partition of the internal topic.
        partition: i32,
        /// Bytes of the batch.
        len: usize,
    },
    /// The batch does not fit what the log knows of its producer.
    #[error("partition {partition}: {reason}")]
    Producer {
        /// Partition of the internal topic.
        partition: i32,
        /// What clients are told.
        error: ResponseError,
        /// What does not fit.
        reason: String,
    },
    /// The log could not be read or written.
    #[error("partition {partition}: {source}")]
    Storage {
        /// Partition of the internal topic.
        partition: i32,
        /// What the log said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The log holds bytes that are no records.
    #[error("partition {partition}, offset {offset}: {reason}")]
    Corrupt {
        /// Partition of the internal topic.
        partition: i32,
        /// First offset of the batch.
        offset: i64,
        /// What is wrong with it.
        reason: String,
    },
}

impl CoordinatorError {
    /// What clients are told, as Kafka's `CoordinatorOperationExceptionHelper` translates it: a lost log sends them to
    /// look for another coordinator, a missing topic makes them try again.
    pub(crate) fn response(&self) -> ResponseError {
        match self {
            Self::TopicUnavailable { .. } => ResponseError::CoordinatorNotAvailable,
            Self::Loading { .. } => ResponseError::CoordinatorLoadInProgress,
            Self::TooLarge { .. } => ResponseError::UnknownServerError,
            Self::Producer { error, .. } => *error,
            Self::Storage { .. } | Self::Corrupt { .. } => ResponseError::NotCoordinator,
        }
    }
}

/// Whether the transaction coordinator has said that a batch belongs to an open transaction (KIP-890).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verification {
    /// Nobody asks: the batch is part of no transaction, or is a marker, or verification is switched off.
    Skipped,
    /// It was asked for with this guard; without one the transaction must be open in the partition already.
    Done(Option<VerificationGuard>),
}

/// The partitions of a coordinator's internal topic.
pub(crate) trait StateLog: Send + Sync {
    /// The partition count of the topic; creates the topic if there is none, and is done with it before it returns.
    fn ensure(&self) -> Result<i32, CoordinatorError>;

    /// The partition count, if the topic exists.
    fn exists(&self) -> Option<i32>;

    /// Appends one batch and returns the offset of its first record.
    fn append(
        &self,
        partition: i32,
        batch: &[u8],
        verification: Verification,
    ) -> Result<i64, CoordinatorError>;

    /// Whole batches from the one that holds `from_offset` on, about `max_bytes` of them (one at least); empty at the end.
    fn read(&self, partition: i32, from_offset: i64, max_bytes: usize) -> Result<Vec<u8>, CoordinatorError>;

    /// The first offset of the partition.
    fn start_offset(&self, partition: i32) -> Result<i64, CoordinatorError>;
}

/// The topics that clients use, and what is set for groups, as far as a coordinator asks.
pub(crate) trait Topics: Send + Sync {
    /// Id and partition count of a topic, if it exists.
    fn topic(&self, name: &str) -> Option<(Uuid, i32)>;

    /// Name and partition count of a topic, if it exists.
    fn topic_by_id(&self, id: Uuid) -> Option<(String, i32)>;

    /// The names of all topics.
    fn names(&self) -> Vec<String>;

    /// Changes whenever a topic does: the offset of the metadata.
    fn version(&self) -> i64;

    /// What is set for a group itself.
    fn group_config(&self, group: &str, key: &str) -> Option<i64>;

    /// The partition count of a topic, if it exists.
    fn partitions(&self, topic: &str) -> Option<i32> {
        self.topic(topic).map(|(_, partitions)| partitions)
    }
}
