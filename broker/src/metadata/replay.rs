//! How records change an image.

use super::image::{Cluster, Image, Kept, TOPIC_RESOURCE};
use super::topic::{PartitionInfo, Topic};
use milena_protocol::stored::StoredError;
use milena_protocol::stored::metadata::{
    BrokerRegistrationChangeRecord, ClearElrRecord, ClientQuotaRecord, ConfigRecord, FeatureLevelRecord,
    MetadataRecord, PartitionChangeRecord, PartitionRecord, RegisterBrokerRecord, TopicRecord,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// How far ahead of its topic's partitions a partition may be numbered. Kafka writes them in order; only a broken
/// record is further off, and it must not make room for two thousand million partitions.
const PARTITION_GAP_MAX: usize = 10_000;

/// Why the metadata log cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplayError {
    /// The bytes are not record batches.
    #[error("the metadata log is damaged at offset {offset}: {reason}")]
    Batch {
        /// Offset up to which it was read.
        offset: i64,
        /// What is wrong.
        reason: String,
    },
    /// A record does not follow its schema, or is of a newer one.
    #[error("the metadata record at offset {offset} cannot be read: {source}")]
    Record {
        /// Its offset.
        offset: i64,
        /// What is wrong.
        source: StoredError,
    },
    /// A record contradicts those before it.
    #[error("the metadata record at offset {offset} does not fit those before it: {reason}")]
    Contradiction {
        /// Its offset.
        offset: i64,
        /// What is wrong.
        reason: String,
    },
}

impl Image {
    /// Applies one record that stands outside of a transaction.
    ///
    /// Records of types that nothing here needs yet are passed over; they stay in the log.
    pub(crate) fn apply(&mut self, offset: i64, record: &MetadataRecord) -> Result<(), ReplayError> {
        let applied = match record {
            MetadataRecord::Topic(record) => self.apply_topic(record),
            MetadataRecord::Partition(record) => self.apply_partition(record),
            MetadataRecord::PartitionChange(record) => self.apply_partition_change(record),
            MetadataRecord::RemoveTopic(record) => self.apply_remove_topic(record.topic_id),
            MetadataRecord::Config(record) => self.apply_config(record),
            MetadataRecord::ClearElr(record) => self.apply_clear_elr(record),
            other => {
                Arc::make_mut(&mut self.cluster).apply(other);
                Ok(())
            }
        };
        applied.map_err(|reason| ReplayError::Contradiction { offset, reason })?;
        self.offset = offset;
        Ok(())
    }

    fn apply_topic(&mut self, record: &TopicRecord) -> Result<(), String> {
        if let Some(other) = self.ids.get(record.name.as_str()) {
            return Err(format!("topic {} exists already, as {other}", record.name));
        }
        if self.topics.get(&record.topic_id).is_some() {
            return Err(format!("topic id {} exists already", record.topic_id));
        }
        let name: Arc<str> = Arc::from(record.name.as_str());
        let (partitions, configs) = (Vec::new(), BTreeMap::new());
        let topic = Topic { name: Arc::clone(&name), id: record.topic_id, partitions, configs };
        self.ids.insert(name, record.topic_id);
        self.topics.insert(record.topic_id, Arc::new(topic));
        Ok(())
    }

    fn apply_partition(&mut self, record: &PartitionRecord) -> Result<(), String> {
        let topic = topic_mut(&mut self.topics, record.topic_id)?;
        let index = usize::try_from(record.partition_id)
            .map_err(|_| no_partition(&topic.name, record.partition_id))?;
        if index >= topic.partitions.len() {
            if index - topic.partitions.len() > PARTITION_GAP_MAX {
                return Err(no_partition(&topic.name, record.partition_id));
            }
            self.partition_count += index + 1 - topic.partitions.len();
            topic.partitions.resize_with(index + 1, PartitionInfo::default);
        }
        topic.partitions[index] = PartitionInfo {
            leader: record.leader,
            leader_epoch: record.leader_epoch,
            partition_epoch: record.partition_epoch,
            replicas: record.replicas.as_slice().into(),
            directories: record.directories.as_slice().into(),
            isr: record.isr.as_slice().into(),
            eligible_leaders: record.eligible_leader_replicas.as_deref().unwrap_or_default().into(),
            last_known_eligible: record.last_known_elr.as_deref().unwrap_or_default().into(),
            removing: record.removing_replicas.as_slice().into(),
            adding: record.adding_replicas.as_slice().into(),
            leader_recovery_state: record.leader_recovery_state,
        };
        Ok(())
    }

    /// `PartitionRegistration.merge`: the partition epoch rises with each change, the leader epoch with each leader
    /// that is named, even if it is the same one.
    fn apply_partition_change(&mut self, record: &PartitionChangeRecord) -> Result<(), String> {
        let topic = topic_mut(&mut self.topics, record.topic_id)?;
        let Some(partition) =
            usize::try_from(record.partition_id).ok().and_then(|index| topic.partitions.get_mut(index))
        else {
            return Err(no_partition(&topic.name, record.partition_id));
        };
        let set = |to: &mut Box<[i32]>, from: &Option<Vec<i32>>| {
            if let Some(from) = from {
                *to = from.as_slice().into();
            }
        };
        set(&mut partition.isr, &record.isr);
        set(&mut partition.replicas, &record.replicas);
        set(&mut partition.removing, &record.removing_replicas);
        set(&mut partition.adding, &record.adding_replicas);
        set(&mut partition.eligible_leaders, &record.eligible_leader_replicas);
        set(&mut partition.last_known_eligible, &record.last_known_elr);
        if let Some(directories) = &record.directories {
            partition.directories = directories.as_slice().into();
        }
        if let Some(state) = record.leader_recovery_state {
            partition.leader_recovery_state = state;
        }
        if let Some(leader) = record.leader {
            partition.leader = leader;
            partition.leader_epoch = partition.leader_epoch.wrapping_add(1);
        }
        partition.partition_epoch = partition.partition_epoch.wrapping_add(1);
        Ok(())
    }

    fn apply_remove_topic(&mut self, id: Uuid) -> Result<(), String> {
        let topic = self.topics.remove(&id).ok_or_else(|| no_topic(id))?;
        self.ids.remove(&*topic.name);
        self.partition_count -= topic.partitions.len();
        Ok(())
    }

    fn apply_config(&mut self, record: &ConfigRecord) -> Result<(), String> {
        if record.resource_type == TOPIC_RESOURCE
            && let Some(id) = self.ids.get(record.resource_name.as_str()).copied()
        {
            let topic = topic_mut(&mut self.topics, id)?;
            set_config(&mut topic.configs, &record.name, record.value.as_deref());
            return Ok(());
        }
        let configs = &mut Arc::make_mut(&mut self.cluster).configs;
        let key = (record.resource_type, record.resource_name.clone());
        let resource = configs.entry(key.clone()).or_default();
        set_config(resource, &record.name, record.value.as_deref());
        if resource.is_empty() {
            configs.remove(&key);
        }
        Ok(())
    }

    fn apply_clear_elr(&mut self, record: &ClearElrRecord) -> Result<(), String> {
        let ids: Vec<Uuid> = if record.topic_name.is_empty() {
            self.topics().map(|topic| topic.id).collect()
        } else {
            self.ids.get(record.topic_name.as_str()).copied().into_iter().collect()
        };
        for id in ids {
            let has_some = |partition: &PartitionInfo| {
                !partition.eligible_leaders.is_empty() || !partition.last_known_eligible.is_empty()
            };
            if self.topics.get(&id).is_some_and(|topic| topic.partitions.iter().any(has_some)) {
                for partition in &mut topic_mut(&mut self.topics, id)?.partitions {
                    partition.eligible_leaders = Box::default();
                    partition.last_known_eligible = Box::default();
                }
            }
        }
        Ok(())
    }
}

impl Cluster {
    fn apply(&mut self, record: &MetadataRecord) {
        match record {
            MetadataRecord::FeatureLevel(record) => self.apply_feature(record),
            MetadataRecord::ProducerIds(record) => self.next_producer_id = record.next_producer_id,
            MetadataRecord::ClientQuota(record) => self.apply_quota(record),
            MetadataRecord::RegisterBroker(record) => self.apply_registration(record),
            MetadataRecord::BrokerRegistrationChange(record) => self.apply_registration_change(record),
            MetadataRecord::FenceBroker(record) => self.fence(record.id, true),
            MetadataRecord::UnfenceBroker(record) => self.fence(record.id, false),
            MetadataRecord::UnregisterBroker(record) => {
                self.brokers.remove(&record.broker_id);
            }
            MetadataRecord::RegisterController(record) => {
                self.controllers.insert(record.controller_id, record.clone());
            }
            MetadataRecord::Other { .. } => self.incomplete = true,
            record => self.keep(record),
        }
    }

    fn keep(&mut self, record: &MetadataRecord) {
        let scram = |name: &String, mechanism| Kept::Scram(name.clone(), mechanism);
        match record {
            MetadataRecord::AccessControlEntry(r) => {
                self.kept.insert(Kept::AccessControl(r.id), record.clone());
            }
            MetadataRecord::RemoveAccessControlEntry(r) => {
                self.kept.remove(&Kept::AccessControl(r.id));
            }
            MetadataRecord::UserScramCredential(r) => {
                self.kept.insert(scram(&r.name, r.mechanism), record.clone());
            }
            MetadataRecord::RemoveUserScramCredential(r) => {
                self.kept.remove(&scram(&r.name, r.mechanism));
            }
            MetadataRecord::DelegationToken(r) => {
                self.kept.insert(Kept::DelegationToken(r.token_id.clone()), record.clone());
            }
            MetadataRecord::RemoveDelegationToken(r) => {
                self.kept.remove(&Kept::DelegationToken(r.token_id.clone()));
            }
            _ => {}
        }
    }

    fn apply_feature(&mut self, record: &FeatureLevelRecord) {
        if record.feature_level == 0 {
            self.features.remove(&record.name);
        } else {
            self.features.insert(record.name.clone(), record.feature_level);
        }
    }

    fn apply_quota(&mut self, record: &ClientQuotaRecord) {
        let mut entity: Vec<_> =
            record.entity.iter().map(|part| (part.entity_type.clone(), part.entity_name.clone())).collect();
        entity.sort_unstable();
        let quotas = self.quotas.entry(entity.clone()).or_default();
        if record.remove {
            quotas.remove(&record.key);
        } else {
            quotas.insert(record.key.clone(), record.value);
        }
        if quotas.is_empty() {
            self.quotas.remove(&entity);
        }
    }

    fn apply_registration(&mut self, record: &RegisterBrokerRecord) {
        self.brokers.insert(record.broker_id, record.clone());
    }

    fn apply_registration_change(&mut self, record: &BrokerRegistrationChangeRecord) {
        let Some(broker) = self.brokers.get_mut(&record.broker_id) else { return };
        if record.fenced != 0 {
            broker.fenced = record.fenced > 0;
        }
        if record.in_controlled_shutdown != 0 {
            broker.in_controlled_shutdown = record.in_controlled_shutdown > 0;
        }
        if !record.log_dirs.is_empty() {
            broker.log_dirs.clone_from(&record.log_dirs);
        }
        if record.cordoned_log_dirs.is_some() {
            broker.cordoned_log_dirs.clone_from(&record.cordoned_log_dirs);
        }
    }

    fn fence(&mut self, broker: i32, fenced: bool) {
        if let Some(broker) = self.brokers.get_mut(&broker) {
            broker.fenced = fenced;
        }
    }
}

/// The topic of an id, to be changed in this image alone.
fn topic_mut(topics: &mut super::shards::Shards<Uuid, Arc<Topic>>, id: Uuid) -> Result<&mut Topic, String> {
    topics.get_mut(&id).map(Arc::make_mut).ok_or_else(|| no_topic(id))
}

fn set_config(configs: &mut BTreeMap<String, String>, name: &str, value: Option<&str>) {
    match value {
        Some(value) => configs.insert(name.to_owned(), value.to_owned()),
        None => configs.remove(name),
    };
}

fn no_topic(id: Uuid) -> String {
    format!("there is no topic of id {id}")
}

fn no_partition(topic: &str, partition: i32) -> String {
    format!("topic {topic} has no partition {partition}")
}
