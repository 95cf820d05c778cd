//! What the configuration says to the controller.

use super::error::Refusal;
use crate::config::{BrokerConfig, TopicConfig};
use kafka_protocol::ResponseError;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Checks what was configured for one topic alone; the refusal carries Kafka's text.
pub(crate) type CheckTopicConfigs =
    Arc<dyn Fn(&BTreeMap<String, String>) -> Result<(), Refusal> + Send + Sync>;

/// Settings of the controller; they do not change while it runs.
#[derive(Clone)]
pub(crate) struct Settings {
    /// `node.id`.
    pub(crate) node_id: i32,
    /// `num.partitions`.
    pub(crate) num_partitions: i32,
    /// `default.replication.factor`.
    pub(crate) default_replication_factor: i16,
    /// `min.insync.replicas`.
    pub(crate) min_insync_replicas: i32,
    /// Topics of the coordinators.
    pub(crate) internal: InternalTopics,
    /// Checks topic configurations.
    pub(crate) check_topic_configs: CheckTopicConfigs,
}

/// How the topics of the coordinators are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InternalTopics {
    /// `offsets.topic.num.partitions`.
    pub(crate) offsets_partitions: i32,
    /// `offsets.topic.segment.bytes`.
    pub(crate) offsets_segment_bytes: i32,
    /// `transaction.state.log.num.partitions`.
    pub(crate) transactions_partitions: i32,
    /// `transaction.state.log.segment.bytes`.
    pub(crate) transactions_segment_bytes: i32,
}

impl Settings {
    /// The settings of a broker.
    pub(crate) fn new(config: &Arc<BrokerConfig>) -> Self {
        let (offsets, transactions) = (&config.group.offsets, &config.transaction);
        let broker = Arc::clone(config);
        Self {
            node_id: config.node_id,
            num_partitions: config.num_partitions,
            // Whatever is above one cannot be had here, so the cut changes no answer.
            default_replication_factor: i16::try_from(config.default_replication_factor).unwrap_or(i16::MAX),
            min_insync_replicas: config.topic_defaults.min_insync_replicas,
            internal: InternalTopics {
                offsets_partitions: offsets.topic_num_partitions,
                offsets_segment_bytes: offsets.topic_segment_bytes,
                transactions_partitions: transactions.log_num_partitions,
                transactions_segment_bytes: transactions.log_segment_bytes,
            },
            check_topic_configs: Arc::new(move |configs| match TopicConfig::effective(&broker, configs) {
                Ok(_) => Ok(()),
                Err(error) => Err(Refusal::new(ResponseError::InvalidConfig, error.to_string())),
            }),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("node_id", &self.node_id)
            .field("num_partitions", &self.num_partitions)
            .field("default_replication_factor", &self.default_replication_factor)
            .field("min_insync_replicas", &self.min_insync_replicas)
            .field("internal", &self.internal)
            .finish_non_exhaustive()
    }
}
