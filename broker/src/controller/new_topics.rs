//! CreateTopics: `ReplicationControlManager.createTopics` for a cluster of one broker.

use super::configs::config_records;
use super::partitions::{check_assignment, partition_record, place};
use super::writer::Draft;
use super::{Controller, PARTITIONS_PER_REQUEST_MAX, Refusal};
use crate::metadata::topic_name::{self, CONSUMER_OFFSETS, TRANSACTION_STATE};
use crate::metadata::{TOPIC_RESOURCE, Topic};
use kafka_protocol::ResponseError;
use milena_protocol::stored::metadata::{MetadataRecord, TopicRecord};
use milena_protocol::stored::uuid_to_base64;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use uuid::Uuid;

/// Takes the broker's default for the number of partitions or replicas.
const DEFAULT: i32 = -1;

/// A topic that somebody wants.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct NewTopic {
    /// Its name, not checked yet.
    pub(crate) name: String,
    /// Number of partitions, -1 for the default and with assignments.
    pub(crate) partitions: i32,
    /// Number of replicas, -1 for the default and with assignments.
    pub(crate) replication_factor: i16,
    /// Which brokers hold which partition; empty leaves it to the controller.
    pub(crate) assignments: Vec<Assignment>,
    /// Configuration; a value of `None` is refused.
    pub(crate) configs: Vec<(String, Option<String>)>,
}

/// The brokers of one partition.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Assignment {
    /// Which partition.
    pub(crate) partition: i32,
    /// Node ids, the preferred leader first.
    pub(crate) brokers: Vec<i32>,
}

impl Controller {
    /// Creates topics, and gives what became of each, in their order. With `validate_only` nothing is created, and
    /// the topics given are what would have been.
    ///
    /// All that can be created is stored as one batch.
    pub(crate) fn create_topics(
        &self,
        topics: Vec<NewTopic>,
        validate_only: bool,
    ) -> Result<Vec<Result<Arc<Topic>, Refusal>>, Refusal> {
        self.check_number_of_partitions(&topics)?;
        let mut writer = self.writer.lock();
        let mut draft = self.draft(&writer)?;
        let mut results = Vec::new();
        for topic in topics {
            let created = if let Some(other) = writer.collisions.find(&topic.name)
                && **other != *topic.name
                && topic_name::validate(&topic.name).is_ok()
            {
                let message = format!("Topic '{}' collides with existing topic: {other}", topic.name);
                Err(Refusal::new(ResponseError::InvalidTopicException, message))
            } else {
                self.create_topic(&mut draft, topic, validate_only)
            };
            results.push(created);
        }
        if validate_only {
            return Ok(results);
        }
        // Before others decide.
        results.iter().flatten().for_each(|topic| writer.collisions.insert(&topic.name));
        if let Err(refusal) = self.commit_together(&mut writer, draft) {
            for topic in results.iter().flatten() {
                writer.collisions.remove(&topic.name);
                // Its logs are there, but the topic is not.
                self.store.delete(topic);
            }
            return Err(refusal);
        }
        for topic in results.iter().flatten() {
            tracing::info!(
                "topic {} ({}) created, {} partitions",
                topic.name,
                topic.id,
                topic.partitions.len()
            );
        }
        Ok(results)
    }

    /// A topic as auto-creation makes it: those of the coordinators have settings of their own. One broker has room
    /// for one replica of them, whatever is configured.
    pub(crate) fn default_topic(&self, name: &str) -> NewTopic {
        let config = self.config.load();
        let (offsets, transactions) = (&config.group.offsets, &config.transaction);
        let (partitions, configs) = match name {
            CONSUMER_OFFSETS => (
                offsets.topic_num_partitions,
                vec![
                    ("cleanup.policy", "compact".to_owned()),
                    ("compression.type", "producer".to_owned()),
                    ("segment.bytes", offsets.topic_segment_bytes.to_string()),
                ],
            ),
            TRANSACTION_STATE => (
                transactions.log_num_partitions,
                vec![
                    ("cleanup.policy", "compact".to_owned()),
                    ("compression.type", "uncompressed".to_owned()),
                    ("min.insync.replicas", "1".to_owned()),
                    ("segment.bytes", transactions.log_segment_bytes.to_string()),
                    ("unclean.leader.election.enable", "false".to_owned()),
                ],
            ),
            _ => {
                let (partitions, replication_factor) = (DEFAULT, DEFAULT as i16);
                return NewTopic {
                    name: name.to_owned(),
                    partitions,
                    replication_factor,
                    ..NewTopic::default()
                };
            }
        };
        let configs = configs.into_iter().map(|(name, value)| (name.to_owned(), Some(value))).collect();
        NewTopic {
            name: name.to_owned(),
            partitions,
            replication_factor: 1,
            assignments: Vec::new(),
            configs,
        }
    }

    fn create_topic(
        &self,
        draft: &mut Draft,
        topic: NewTopic,
        validate_only: bool,
    ) -> Result<Arc<Topic>, Refusal> {
        let name = topic.name.as_str();
        topic_name::validate(name)
            .map_err(|reason| Refusal::new(ResponseError::InvalidTopicException, reason))?;
        if draft.image().topic(name).is_some() {
            let message = format!("Topic '{name}' already exists.");
            return Err(Refusal::new(ResponseError::TopicAlreadyExists, message));
        }
        let configs = topic_configs(&topic.configs)?;
        self.check_topic_configs(&configs)?;
        let replicas = self.replicas(&topic)?;

        let topic_id = new_topic_id();
        let record = TopicRecord { name: name.to_owned(), topic_id, ..TopicRecord::default() };
        let mut records: Vec<MetadataRecord> = vec![record.into()];
        records.extend(config_records(TOPIC_RESOURCE, name, &BTreeMap::new(), &configs));
        let directories = self.store.pick_directories(name, 0, replicas.len());
        for (partition, (replicas, directory)) in (0..).zip(replicas.into_iter().zip(directories)) {
            records.push(partition_record(topic_id, partition, replicas, directory));
        }

        let mut created = None;
        draft.add_if(records, |image| {
            let topic = image.topic_by_id(topic_id).map(Arc::clone);
            if let Some(topic) = topic.as_ref().filter(|_| !validate_only) {
                self.store.create(topic, 0).map_err(|error| {
                    tracing::error!("topic {} cannot be created: {error}", topic.name);
                    let message = format!("The logs of topic '{}' could not be created: {error}", topic.name);
                    Refusal::new(ResponseError::KafkaStorageError, message)
                })?;
            }
            created = topic;
            Ok(())
        })?;
        created.ok_or_else(|| Refusal::new(ResponseError::UnknownServerError, "The topic was not created."))
    }

    /// The replicas of each partition, in order.
    fn replicas(&self, topic: &NewTopic) -> Result<Vec<Vec<i32>>, Refusal> {
        if !topic.assignments.is_empty() {
            return self.assigned_replicas(topic);
        }
        if topic.replication_factor < -1 || topic.replication_factor == 0 {
            return Err(Refusal::new(
                ResponseError::InvalidReplicationFactor,
                "Replication factor must be larger than 0, or -1 to use the default value.",
            ));
        }
        if topic.partitions < -1 || topic.partitions == 0 {
            return Err(Refusal::new(
                ResponseError::InvalidPartitions,
                "Number of partitions was set to an invalid non-positive value.",
            ));
        }
        let replication_factor = match topic.replication_factor {
            // Whatever is above one cannot be had here, so the cut changes no answer.
            -1 => i16::try_from(self.config.load().default_replication_factor).unwrap_or(i16::MAX),
            factor => factor,
        };
        let replicas = place(self.node_id, replication_factor).map_err(|refusal| {
            let message = format!(
                "Unable to replicate the partition {replication_factor} time(s): {}",
                refusal.message
            );
            Refusal::new(refusal.error, message)
        })?;
        let partitions =
            if topic.partitions == DEFAULT { self.config.load().num_partitions } else { topic.partitions };
        Ok((0..partitions).map(|_| replicas.clone()).collect())
    }

    fn assigned_replicas(&self, topic: &NewTopic) -> Result<Vec<Vec<i32>>, Refusal> {
        for (given, what) in
            [(i32::from(topic.replication_factor), "replication factor"), (topic.partitions, "numPartitions")]
        {
            if given != DEFAULT {
                let message =
                    format!("A manual partition assignment was specified, but {what} was not set to -1.");
                return Err(Refusal::new(ResponseError::InvalidRequest, message));
            }
        }
        let refuse = |message: String| Refusal::new(ResponseError::InvalidReplicaAssignment, message);
        let mut replicas: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        let mut factor = None;
        for Assignment { partition, brokers } in &topic.assignments {
            if replicas.contains_key(partition) {
                return Err(refuse(format!(
                    "Found multiple manual partition assignments for partition {partition}"
                )));
            }
            check_assignment(self.node_id, brokers, factor)?;
            factor = Some(brokers.len());
            replicas.insert(*partition, brokers.clone());
        }
        if !replicas.keys().copied().eq(0..i32::try_from(replicas.len()).unwrap_or(i32::MAX)) {
            return Err(refuse("partitions should be a consecutive 0-based integer sequence".to_owned()));
        }
        Ok(replicas.into_values().collect())
    }

    fn check_number_of_partitions(&self, topics: &[NewTopic]) -> Result<(), Refusal> {
        let partitions: i64 = topics
            .iter()
            .map(|topic| match (topic.assignments.len(), topic.partitions) {
                (0, DEFAULT) => i64::from(self.config.load().num_partitions),
                (0, partitions) => i64::from(partitions).max(0),
                (assigned, _) => i64::try_from(assigned).unwrap_or(i64::MAX),
            })
            .fold(0, i64::saturating_add);
        if partitions > PARTITIONS_PER_REQUEST_MAX {
            let message = "Excessively large number of partitions per request.";
            return Err(Refusal::new(ResponseError::PolicyViolation, message));
        }
        Ok(())
    }
}

fn topic_configs(configs: &[(String, Option<String>)]) -> Result<BTreeMap<String, String>, Refusal> {
    let nulls: BTreeSet<&str> =
        configs.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| name.as_str()).collect();
    if !nulls.is_empty() {
        let names = nulls.into_iter().collect::<Vec<_>>().join(",");
        let message = format!("Null value not supported for topic configs: {names}");
        return Err(Refusal::new(ResponseError::InvalidConfig, message));
    }
    Ok(configs.iter().filter_map(|(name, value)| Some((name.clone(), value.clone()?))).collect())
}

/// Tools take a leading `-` for an option, so Kafka does not use ids that begin with one.
fn new_topic_id() -> Uuid {
    loop {
        let id = Uuid::new_v4();
        if !uuid_to_base64(id).starts_with('-') {
            return id;
        }
    }
}
