//! Where partitions go, and CreatePartitions (`ReplicationControlManager.createPartitions`).

use super::writer::Draft;
use super::{Controller, PARTITIONS_PER_REQUEST_MAX, Refusal, TOO_LARGE, partition_count};
use crate::metadata::NO_LEADER;
use kafka_protocol::ResponseError;
use milena_protocol::stored::metadata::{MetadataRecord, PartitionChangeRecord, PartitionRecord};
use uuid::Uuid;

/// Partitions whose directories are noted in one batch.
const ASSIGNED_AT_ONCE: usize = 10_000;

/// More partitions for a topic.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct NewPartitions {
    /// Name of the topic.
    pub(crate) topic: String,
    /// How many partitions it shall have in all.
    pub(crate) count: i32,
    /// The brokers of each new partition; `None` leaves it to the controller.
    pub(crate) assignments: Option<Vec<Vec<i32>>>,
}

impl Controller {
    /// Adds partitions to topics, and gives what became of each, in their order. With `validate_only` it is only
    /// checked. All that can be done is stored as one batch.
    pub(crate) fn create_partitions(
        &self,
        topics: &[NewPartitions],
        validate_only: bool,
    ) -> Result<Vec<Result<(), Refusal>>, Refusal> {
        let mut writer = self.writer.lock();
        let mut draft = self.draft(&writer)?;
        let mut left = PARTITIONS_PER_REQUEST_MAX;
        let mut results = Vec::new();
        for topic in topics {
            results.push(self.add_partitions(&mut draft, topic, &mut left, validate_only));
        }
        if !validate_only {
            self.commit(&mut writer, draft)?;
        }
        Ok(results)
    }

    fn add_partitions(
        &self,
        draft: &mut Draft,
        wanted: &NewPartitions,
        left: &mut i64,
        validate_only: bool,
    ) -> Result<(), Refusal> {
        let Some(topic) = draft.image().topic(&wanted.topic) else {
            return Err(Refusal::new(
                ResponseError::UnknownTopicOrPartition,
                "This server does not host this topic-partition.",
            ));
        };
        let (id, first) = (topic.id, partition_count(topic));
        if wanted.count <= first {
            let message = if wanted.count == first {
                format!("Topic already has {first} partition(s).")
            } else {
                format!(
                    "The topic {} currently has {first} partition(s); {} would not be an increase.",
                    wanted.topic, wanted.count
                )
            };
            return Err(Refusal::new(ResponseError::InvalidPartitions, message));
        }
        let additional = i64::from(wanted.count) - i64::from(first);
        let factor = topic.partitions.first().map_or(1, |partition| partition.replicas.len());
        let replicas = match &wanted.assignments {
            Some(assignments) => self.checked_assignments(assignments, additional, factor)?,
            None => {
                if additional > *left {
                    return Err(Refusal::new(ResponseError::PolicyViolation, TOO_LARGE));
                }
                let replicas = place(self.node_id, i16::try_from(factor).unwrap_or(i16::MAX))?;
                (0..additional).map(|_| replicas.clone()).collect()
            }
        };
        if additional > *left {
            return Err(Refusal::new(ResponseError::PolicyViolation, TOO_LARGE));
        }
        let directories = self.store.pick_directories(&wanted.topic, first, replicas.len());
        let records = (first..)
            .zip(replicas.into_iter().zip(directories))
            .map(|(partition, (replicas, directory))| partition_record(id, partition, replicas, directory))
            .collect();
        draft.add_if(records, |image| {
            let Some(topic) = image.topic_by_id(id).filter(|_| !validate_only) else { return Ok(()) };
            self.store.create(topic, first).map_err(|error| {
                tracing::error!("topic {} cannot have more partitions: {error}", topic.name);
                let message = format!("The logs of topic '{}' could not be created: {error}", topic.name);
                Refusal::new(ResponseError::KafkaStorageError, message)
            })
        })?;
        *left -= additional;
        Ok(())
    }

    /// Notes in which log directory partitions are: topic, index and `directory.id` (AssignReplicasToDirs). What is
    /// noted already, and partitions that are gone, are passed over.
    pub(crate) fn assign_directories(&self, partitions: &[(Uuid, i32, Uuid)]) -> Result<(), Refusal> {
        let mut writer = self.writer.lock();
        for partitions in partitions.chunks(ASSIGNED_AT_ONCE) {
            let mut draft = self.draft(&writer)?;
            let records = partitions.iter().filter_map(|(id, index, directory)| {
                let topic = draft.image().topic_by_id(*id)?;
                let partition = topic.partitions.get(usize::try_from(*index).ok()?)?;
                let at = partition.replicas.iter().position(|replica| *replica == self.node_id)?;
                let mut directories = partition.directories.to_vec();
                directories.resize(partition.replicas.len(), Uuid::nil());
                if std::mem::replace(&mut directories[at], *directory) == *directory {
                    return None;
                }
                let record = PartitionChangeRecord {
                    partition_id: *index,
                    topic_id: *id,
                    directories: Some(directories),
                    ..PartitionChangeRecord::default()
                };
                Some(record.into())
            });
            let records: Vec<MetadataRecord> = records.collect();
            draft.add(records)?;
            self.commit(&mut writer, draft)?;
        }
        Ok(())
    }

    fn checked_assignments(
        &self,
        assignments: &[Vec<i32>],
        additional: i64,
        factor: usize,
    ) -> Result<Vec<Vec<i32>>, Refusal> {
        if i64::try_from(assignments.len()) != Ok(additional) {
            let message = format!(
                "Attempted to add {additional} additional partition(s), but only {} assignment(s) were specified.",
                assignments.len()
            );
            return Err(Refusal::new(ResponseError::InvalidReplicaAssignment, message));
        }
        for brokers in assignments {
            check_assignment(self.node_id, brokers, Some(factor))?;
        }
        Ok(assignments.to_vec())
    }
}

/// The replicas of a partition that nobody assigned.
pub(super) fn place(node: i32, replication_factor: i16) -> Result<Vec<i32>, Refusal> {
    if replication_factor > 1 {
        let message = format!(
            "The target replication factor of {replication_factor} cannot be reached because only 1 broker(s) are \
             registered."
        );
        return Err(Refusal::new(ResponseError::InvalidReplicationFactor, message));
    }
    Ok(vec![node])
}

/// Checks replicas that a client assigned. `factor` is how many those before it have.
pub(super) fn check_assignment(node: i32, brokers: &[i32], factor: Option<usize>) -> Result<(), Refusal> {
    let refuse = |message: String| Err(Refusal::new(ResponseError::InvalidReplicaAssignment, message));
    if brokers.is_empty() {
        return refuse("The manual partition assignment includes an empty replica list.".to_owned());
    }
    let mut sorted = brokers.to_vec();
    sorted.sort_unstable();
    let mut previous = None;
    for broker in sorted {
        if broker != node {
            return refuse(format!(
                "The manual partition assignment includes broker {broker}, but no such broker is registered."
            ));
        }
        if previous == Some(broker) {
            return refuse(format!(
                "The manual partition assignment includes the broker {broker} more than once."
            ));
        }
        previous = Some(broker);
    }
    match factor {
        Some(factor) if factor != brokers.len() => refuse(format!(
            "The manual partition assignment includes a partition with {} replica(s), but this is not consistent with \
             previous partitions, which have {factor} replica(s).",
            brokers.len()
        )),
        _ => Ok(()),
    }
}

/// The record of a new partition, led by the first of its replicas. All of them are on this broker.
pub(super) fn partition_record(
    topic_id: Uuid,
    partition_id: i32,
    replicas: Vec<i32>,
    directory: Uuid,
) -> MetadataRecord {
    let record = PartitionRecord {
        partition_id,
        topic_id,
        isr: replicas.clone(),
        leader: replicas.first().copied().unwrap_or(NO_LEADER),
        leader_epoch: 0,
        partition_epoch: 0,
        directories: vec![directory; replicas.len()],
        replicas,
        ..PartitionRecord::default()
    };
    record.into()
}
