//! The records that make an image from nothing, for a snapshot.

use super::image::{Image, TOPIC_RESOURCE};
use super::topic::{PartitionInfo, Topic};
use milena_protocol::stored::metadata::{
    ClientQuotaEntity, ClientQuotaRecord, ConfigRecord, FeatureLevelRecord, MetadataRecord, PartitionRecord,
    ProducerIdsRecord, TopicRecord,
};
use std::collections::BTreeMap;
use uuid::Uuid;

impl Image {
    /// Hands out every record in Kafka's order (`MetadataImage.write`): metadata.version before all others, because they
    /// are read in its light, and a topic before its configuration.
    pub(crate) fn for_each_record<E>(
        &self,
        mut take: impl FnMut(MetadataRecord) -> Result<(), E>,
    ) -> Result<(), E> {
        let cluster = &self.cluster;
        let mut features: Vec<_> = cluster.features.iter().collect();
        features.sort_by_key(|(name, _)| *name != "metadata.version");
        for (name, level) in features {
            let (name, feature_level) = (name.clone(), *level);
            take(FeatureLevelRecord { name, feature_level, ..FeatureLevelRecord::default() }.into())?;
        }
        for broker in cluster.brokers.values() {
            take(broker.clone().into())?;
        }
        for controller in cluster.controllers.values() {
            take(controller.clone().into())?;
        }
        let topics = self.sorted_topics();
        for topic in &topics {
            let (name, topic_id) = (topic.name.to_string(), topic.id);
            take(TopicRecord { name, topic_id, ..TopicRecord::default() }.into())?;
            for (partition_id, partition) in (0..).zip(&topic.partitions) {
                take(described(topic, partition_id, partition).into())?;
            }
        }
        for topic in topics {
            configs(TOPIC_RESOURCE, &topic.name, &topic.configs).try_for_each(&mut take)?;
        }
        for ((resource_type, name), values) in &cluster.configs {
            configs(*resource_type, name, values).try_for_each(&mut take)?;
        }
        for (entity, quotas) in &cluster.quotas {
            for (key, value) in quotas {
                take(quota(entity, key, *value).into())?;
            }
        }
        if cluster.next_producer_id > 0 {
            let (broker_id, next_producer_id) = (-1, cluster.next_producer_id);
            let record = ProducerIdsRecord { broker_id, next_producer_id, ..ProducerIdsRecord::default() };
            take(record.into())?;
        }
        cluster.kept.values().cloned().try_for_each(take)
    }
}

fn described(topic: &Topic, partition_id: i32, partition: &PartitionInfo) -> PartitionRecord {
    let some = |ids: &[i32]| (!ids.is_empty()).then(|| ids.to_vec());
    let mut directories = partition.directories.to_vec();
    // One for each replica, or Kafka refuses the record; nil where nobody has said.
    directories.resize(partition.replicas.len(), Uuid::nil());
    PartitionRecord {
        partition_id,
        topic_id: topic.id,
        replicas: partition.replicas.to_vec(),
        isr: partition.isr.to_vec(),
        removing_replicas: partition.removing.to_vec(),
        adding_replicas: partition.adding.to_vec(),
        leader: partition.leader,
        leader_epoch: partition.leader_epoch,
        partition_epoch: partition.partition_epoch,
        directories,
        leader_recovery_state: partition.leader_recovery_state,
        eligible_leader_replicas: some(&partition.eligible_leaders),
        last_known_elr: some(&partition.last_known_eligible),
        ..PartitionRecord::default()
    }
}

fn configs<'a>(
    resource_type: i8,
    resource_name: &'a str,
    values: &'a BTreeMap<String, String>,
) -> impl Iterator<Item = MetadataRecord> + 'a {
    values.iter().map(move |(name, value)| {
        let record = ConfigRecord {
            resource_type,
            resource_name: resource_name.to_owned(),
            name: name.clone(),
            value: Some(value.clone()),
            ..ConfigRecord::default()
        };
        record.into()
    })
}

fn quota(entity: &[(String, Option<String>)], key: &str, value: f64) -> ClientQuotaRecord {
    let part = |(entity_type, entity_name): &(String, Option<String>)| ClientQuotaEntity {
        entity_type: entity_type.clone(),
        entity_name: entity_name.clone(),
        ..ClientQuotaEntity::default()
    };
    let entity = entity.iter().map(part).collect();
    ClientQuotaRecord { entity, key: key.to_owned(), value, ..ClientQuotaRecord::default() }
}
