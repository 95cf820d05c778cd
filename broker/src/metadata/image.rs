//! The state of the cluster at one offset of the metadata log.

use super::shards::Shards;
use super::topic::Topic;
use milena_protocol::records::{KRaftVoters, Voter};
use milena_protocol::stored::metadata::{MetadataRecord, RegisterBrokerRecord, RegisterControllerRecord};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// Resource type of a topic's configuration.
pub(crate) const TOPIC_RESOURCE: i8 = 2;
/// Resource type of a broker's configuration; the empty name is for all brokers.
pub(crate) const BROKER_RESOURCE: i8 = 4;
/// Resource type of the level of a logger.
pub(crate) const LOGGER_RESOURCE: i8 = 8;
/// Resource type of a subscription to metrics of clients.
pub(crate) const CLIENT_METRICS_RESOURCE: i8 = 16;
/// Resource type of a group's configuration.
pub(crate) const GROUP_RESOURCE: i8 = 32;

/// Whom a client quota is for: pairs of entity type (`user`, `client-id`, `ip`) and name, `None` for the default.
pub(crate) type QuotaEntity = Vec<(String, Option<String>)>;

/// What the records up to [`offset`](Self::offset) add up to.
///
/// A copy is cheap whatever the number of topics, and shares all that it does not change.
#[derive(Clone, Debug)]
pub(crate) struct Image {
    pub(super) offset: i64,
    pub(super) epoch: i32,
    pub(super) timestamp_ms: i64,
    pub(super) topics: Shards<Uuid, Arc<Topic>>,
    pub(super) ids: Shards<Arc<str>, Uuid>,
    pub(super) partition_count: usize,
    pub(super) cluster: Arc<Cluster>,
}

/// What there is besides topics.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Cluster {
    pub(super) features: BTreeMap<String, i16>,
    pub(super) configs: BTreeMap<(i8, String), BTreeMap<String, String>>,
    pub(super) quotas: BTreeMap<QuotaEntity, BTreeMap<String, f64>>,
    /// As Kafka registers one at each start, with what changed since; milena registers none.
    pub(super) brokers: BTreeMap<i32, RegisterBrokerRecord>,
    pub(super) controllers: BTreeMap<i32, RegisterControllerRecord>,
    pub(super) next_producer_id: i64,
    pub(super) kraft_version: i16,
    pub(super) voters: Option<KRaftVoters>,
    /// What nothing here reads, and Kafka would miss.
    pub(super) kept: BTreeMap<Kept, MetadataRecord>,
    /// A record of a type that Kafka 4.1 does not have went by: nobody knows what it adds up to.
    pub(super) incomplete: bool,
}

/// What a record that is only kept is known by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kept {
    AccessControl(Uuid),
    /// Name of the user and number of the mechanism.
    Scram(String, i8),
    DelegationToken(String),
}

impl Default for Image {
    /// The image of an empty log.
    fn default() -> Self {
        Self {
            offset: -1,
            epoch: 0,
            timestamp_ms: 0,
            topics: Shards::default(),
            ids: Shards::default(),
            partition_count: 0,
            cluster: Arc::default(),
        }
    }
}

impl Image {
    /// The topic of this name.
    pub(crate) fn topic(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topics.get(self.ids.get(name)?)
    }

    /// The topic of this id.
    pub(crate) fn topic_by_id(&self, id: Uuid) -> Option<&Arc<Topic>> {
        self.topics.get(&id)
    }

    /// All topics, in no particular order.
    pub(crate) fn topics(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.topics.values()
    }

    /// All topics in the order of their names.
    pub(crate) fn sorted_topics(&self) -> Vec<&Arc<Topic>> {
        let mut topics: Vec<_> = self.topics().collect();
        topics.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        topics
    }

    /// Number of topics.
    pub(crate) fn topic_count(&self) -> usize {
        self.topics.len()
    }

    /// Number of partitions of all topics.
    pub(crate) fn partition_count(&self) -> usize {
        self.partition_count
    }

    /// Offset of the last record in it, -1 for none.
    pub(crate) fn offset(&self) -> i64 {
        self.offset
    }

    /// Raft epoch of the last batch in it, 0 for none.
    pub(crate) fn epoch(&self) -> i32 {
        self.epoch
    }

    /// When its last batch was appended, in milliseconds since 1970; 0 for none.
    pub(crate) fn timestamp_ms(&self) -> i64 {
        self.timestamp_ms
    }

    /// The same as of a later epoch, by records that were appended now.
    pub(crate) fn appended(mut self, epoch: i32, now_ms: i64) -> Self {
        self.epoch = epoch;
        self.timestamp_ms = now_ms;
        self
    }

    /// Finalized features with their levels, and the epoch of that statement (KIP-584): the offset, as in Kafka.
    pub(crate) fn features(&self) -> (&BTreeMap<String, i16>, i64) {
        (&self.cluster.features, self.offset)
    }

    /// What was configured dynamically for one broker, or with the empty name for all of them.
    pub(crate) fn broker_configs(&self, name: &str) -> Option<&BTreeMap<String, String>> {
        self.configs(BROKER_RESOURCE, name)
    }

    /// What was configured for a resource other than a topic.
    pub(crate) fn configs(&self, resource_type: i8, name: &str) -> Option<&BTreeMap<String, String>> {
        self.cluster.configs.get(&(resource_type, name.to_owned()))
    }

    /// Names of the resources of a type that have settings; topics do not belong to them.
    pub(crate) fn configured(&self, resource_type: i8) -> impl Iterator<Item = &str> {
        let of_type = move |key: &&(i8, String)| key.0 == resource_type;
        self.cluster.configs.keys().filter(of_type).map(|(_, name)| name.as_str())
    }

    /// Client quotas.
    pub(crate) fn quotas(&self) -> &BTreeMap<QuotaEntity, BTreeMap<String, f64>> {
        &self.cluster.quotas
    }

    /// The registration of a broker, if one was written.
    pub(crate) fn registration(&self, broker: i32) -> Option<&RegisterBrokerRecord> {
        self.cluster.brokers.get(&broker)
    }

    /// First producer id that was not handed out in a block.
    pub(crate) fn next_producer_id(&self) -> i64 {
        self.cluster.next_producer_id
    }

    /// The image of an empty log whose only voter is kept in it.
    pub(crate) fn of_quorum(voter: Voter) -> Self {
        let mut image = Self::default();
        let cluster = Arc::make_mut(&mut image.cluster);
        (cluster.kraft_version, cluster.voters) = (1, Some(KRaftVoters { voters: vec![voter] }));
        image
    }

    /// 0 for a static quorum, 1 where the voters are kept in the log (KIP-853).
    pub(crate) fn kraft_version(&self) -> i16 {
        self.cluster.kraft_version
    }

    /// The voters of a dynamic quorum, as Kafka wrote them.
    pub(crate) fn voters(&self) -> Option<&KRaftVoters> {
        self.cluster.voters.as_ref()
    }

    /// Whether [`records`](Self::records) would bring all of it back.
    pub(crate) fn is_complete(&self) -> bool {
        !self.cluster.incomplete
    }
}
