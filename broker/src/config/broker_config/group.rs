//! Groups and their committed offsets.

use std::time::Duration;

use crate::config::broker_config::{Values, at_most_one, millis};
use crate::config::error::ConfigError;
use crate::config::raw::RawConfig;

/// What the group coordinator is configured with.
#[derive(Clone, Debug)]
pub struct GroupConfig {
    /// `group.initial.rebalance.delay.ms`; 0 by default, where Kafka has 3000.
    pub initial_rebalance_delay: Duration,
    /// `group.min.session.timeout.ms`, milliseconds
    pub min_session_timeout_ms: i32,
    /// `group.max.session.timeout.ms`, milliseconds
    pub max_session_timeout_ms: i32,
    /// `group.max.size`
    pub max_size: i32,
    /// `group.coordinator.rebalance.protocols`: any of `classic`, `consumer`, `share`, `streams`.
    pub protocols: Vec<String>,
    /// Groups of the consumer protocol (KIP-848).
    pub consumer: ConsumerGroupConfig,
    /// Committed offsets.
    pub offsets: OffsetsConfig,
}

/// Settings of groups that use the consumer protocol; times in milliseconds.
#[derive(Clone, Debug)]
pub struct ConsumerGroupConfig {
    /// `group.consumer.session.timeout.ms`
    pub session_timeout_ms: i32,
    /// `group.consumer.min.session.timeout.ms`
    pub min_session_timeout_ms: i32,
    /// `group.consumer.max.session.timeout.ms`
    pub max_session_timeout_ms: i32,
    /// `group.consumer.heartbeat.interval.ms`
    pub heartbeat_interval_ms: i32,
    /// `group.consumer.min.heartbeat.interval.ms`
    pub min_heartbeat_interval_ms: i32,
    /// `group.consumer.max.heartbeat.interval.ms`
    pub max_heartbeat_interval_ms: i32,
    /// `group.consumer.regex.refresh.interval.ms`
    pub regex_refresh_interval_ms: i32,
    /// `group.consumer.max.size`
    pub max_size: i32,
    /// `group.consumer.assignors`; the first is the usual one.
    pub assignors: Vec<String>,
    /// `group.consumer.migration.policy`: may a classic group become a consumer group.
    pub may_upgrade: bool,
    /// `group.consumer.migration.policy`: may a consumer group become a classic group.
    pub may_downgrade: bool,
}

/// Settings of `__consumer_offsets` and what is in it.
#[derive(Clone, Debug)]
pub struct OffsetsConfig {
    /// `offsets.topic.num.partitions`
    pub topic_num_partitions: i32,
    /// `offsets.topic.replication.factor` as it was set; the topic gets no more than there are brokers.
    pub topic_replication_factor: i16,
    /// `offsets.topic.segment.bytes`
    pub topic_segment_bytes: i32,
    /// `offsets.topic.compression.codec`: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd.
    pub topic_compression_codec: i32,
    /// `offsets.retention.minutes`
    pub retention: Duration,
    /// `offsets.retention.check.interval.ms`
    pub retention_check_interval: Duration,
    /// `offset.metadata.max.bytes`
    pub metadata_max_bytes: i32,
}

impl GroupConfig {
    pub(super) fn new(
        effective: &RawConfig,
        values: &Values,
        warnings: &mut Vec<String>,
    ) -> Result<GroupConfig, ConfigError> {
        let order = |max: &str, min: &str| {
            if values.int(max) >= values.int(min) {
                return Ok(());
            }
            Err(ConfigError::Refused {
                reason: format!("{max} must be greater than or equal to {min}"),
                origin: effective.origin(if effective.get(max).is_some() { max } else { min }),
                advice: format!("they are {} and {}", values.int(max), values.int(min)),
            })
        };
        order("group.max.session.timeout.ms", "group.min.session.timeout.ms")?;
        for what in ["session.timeout.ms", "heartbeat.interval.ms"] {
            let name = |bound: &str| format!("group.consumer.{bound}{what}");
            order(&name("max."), &name("min."))?;
            order(&name(""), &name("min."))?;
            order(&name("max."), &name(""))?;
        }
        Ok(GroupConfig {
            initial_rebalance_delay: millis(values.int("group.initial.rebalance.delay.ms").into()),
            min_session_timeout_ms: values.int("group.min.session.timeout.ms"),
            max_session_timeout_ms: values.int("group.max.session.timeout.ms"),
            max_size: values.int("group.max.size"),
            protocols: values.list("group.coordinator.rebalance.protocols"),
            consumer: ConsumerGroupConfig::new(values),
            offsets: OffsetsConfig::new(effective, values, warnings)?,
        })
    }
}

impl ConsumerGroupConfig {
    fn new(values: &Values) -> ConsumerGroupConfig {
        let migration = values.text("group.consumer.migration.policy").unwrap_or_default().to_uppercase();
        ConsumerGroupConfig {
            session_timeout_ms: values.int("group.consumer.session.timeout.ms"),
            min_session_timeout_ms: values.int("group.consumer.min.session.timeout.ms"),
            max_session_timeout_ms: values.int("group.consumer.max.session.timeout.ms"),
            heartbeat_interval_ms: values.int("group.consumer.heartbeat.interval.ms"),
            min_heartbeat_interval_ms: values.int("group.consumer.min.heartbeat.interval.ms"),
            max_heartbeat_interval_ms: values.int("group.consumer.max.heartbeat.interval.ms"),
            regex_refresh_interval_ms: values.int("group.consumer.regex.refresh.interval.ms"),
            max_size: values.int("group.consumer.max.size"),
            assignors: values.list("group.consumer.assignors"),
            may_upgrade: matches!(migration.as_str(), "UPGRADE" | "BIDIRECTIONAL"),
            may_downgrade: matches!(migration.as_str(), "DOWNGRADE" | "BIDIRECTIONAL"),
        }
    }
}

impl OffsetsConfig {
    fn new(
        effective: &RawConfig,
        values: &Values,
        warnings: &mut Vec<String>,
    ) -> Result<OffsetsConfig, ConfigError> {
        let topic_replication_factor = values.short("offsets.topic.replication.factor");
        at_most_one(
            effective,
            "offsets.topic.replication.factor",
            topic_replication_factor.into(),
            "__consumer_offsets",
            warnings,
        );
        let topic_compression_codec = values.int("offsets.topic.compression.codec");
        if !(0..=4).contains(&topic_compression_codec) {
            return Err(ConfigError::Refused {
                reason: format!(
                    "offsets.topic.compression.codec={topic_compression_codec}: Unknown compression type id"
                ),
                origin: effective.origin("offsets.topic.compression.codec"),
                advice: "use 0 (none), 1 (gzip), 2 (snappy), 3 (lz4) or 4 (zstd)".into(),
            });
        }
        let minutes = u64::try_from(values.int("offsets.retention.minutes")).unwrap_or(0);
        Ok(OffsetsConfig {
            topic_num_partitions: values.int("offsets.topic.num.partitions"),
            topic_replication_factor,
            topic_segment_bytes: values.int("offsets.topic.segment.bytes"),
            topic_compression_codec,
            retention: Duration::from_secs(60 * minutes),
            retention_check_interval: millis(values.long("offsets.retention.check.interval.ms")),
            metadata_max_bytes: values.int("offset.metadata.max.bytes"),
        })
    }
}
