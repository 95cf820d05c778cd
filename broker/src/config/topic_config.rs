//! The validated configuration of a topic.

use std::collections::BTreeMap;

use crate::config::broker_config::{BrokerConfig, Values};
use crate::config::topic_keys::{self, TopicKey};
use crate::config::value::{InvalidValue, Value};

const TIERED: &str = "remote.storage.enable";
/// What decides which records go.
const REMOVING: &[&str] =
    &["cleanup.policy", "delete.retention.ms", "min.compaction.lag.ms", "retention.bytes", "retention.ms"];

/// What a topic sets itself: keys and values as they were written.
pub type TopicOverrides = BTreeMap<String, String>;

/// Why the settings of a topic are refused. The texts are Kafka's, and go to the client with `INVALID_CONFIG`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicConfigError {
    /// No topic key has this name.
    #[error("Unknown topic config name: {0}")]
    Unknown(String),
    /// A value of the wrong type or range.
    #[error(transparent)]
    Invalid(#[from] InvalidValue),
    /// Compaction would be due before it is allowed.
    #[error("conflict topic config setting min.compaction.lag.ms ({min}) > max.compaction.lag.ms ({max})")]
    CompactionLag {
        /// `min.compaction.lag.ms`
        min: i64,
        /// `max.compaction.lag.ms`
        max: i64,
    },
    /// There is no tiered storage.
    #[error(
        "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log storage."
    )]
    TieredStorage,
}

/// `cleanup.policy`; neither keeps everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanupPolicy {
    /// Old segments are deleted.
    pub delete: bool,
    /// The last record of every key is kept.
    pub compact: bool,
}

/// `compression.type`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompressionType {
    /// Batches stay as they arrive.
    Producer,
    /// Batches are stored uncompressed.
    Uncompressed,
    /// Batches are stored with this codec.
    Gzip,
    /// Batches are stored with this codec.
    Snappy,
    /// Batches are stored with this codec.
    Lz4,
    /// Batches are stored with this codec.
    Zstd,
}

/// Levels used where the broker compresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompressionLevels {
    /// 1 to 9, or -1 for the codec's own.
    pub gzip: i32,
    /// 1 to 17
    pub lz4: i32,
    /// -131072 to 22
    pub zstd: i32,
}

/// `message.timestamp.type`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// Set by the producer.
    CreateTime,
    /// Set by the broker.
    LogAppendTime,
}

/// All settings of a topic: its own, else the broker's. Times are milliseconds, sizes bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicConfig {
    /// `cleanup.policy`
    pub cleanup_policy: CleanupPolicy,
    /// `compression.type`
    pub compression_type: CompressionType,
    /// `compression.{gzip,lz4,zstd}.level`
    pub compression_levels: CompressionLevels,
    /// `retention.ms`; -1 for ever.
    pub retention_ms: i64,
    /// `retention.bytes`; negative without limit.
    pub retention_bytes: i64,
    /// `segment.bytes`, or `internal.segment.bytes` where it is set.
    pub segment_bytes: i32,
    /// `segment.ms`
    pub segment_ms: i64,
    /// `segment.jitter.ms`
    pub segment_jitter_ms: i64,
    /// `segment.index.bytes`
    pub segment_index_bytes: i32,
    /// `index.interval.bytes`
    pub index_interval_bytes: i32,
    /// `max.message.bytes`
    pub max_message_bytes: i32,
    /// `message.timestamp.type`
    pub message_timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`
    pub message_timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`
    pub message_timestamp_after_max_ms: i64,
    /// `flush.messages`
    pub flush_messages: i64,
    /// `flush.ms`
    pub flush_ms: i64,
    /// `min.compaction.lag.ms`
    pub min_compaction_lag_ms: i64,
    /// `max.compaction.lag.ms`
    pub max_compaction_lag_ms: i64,
    /// `delete.retention.ms`
    pub delete_retention_ms: i64,
    /// `file.delete.delay.ms`
    pub file_delete_delay_ms: i64,
    /// `min.cleanable.dirty.ratio`
    pub min_cleanable_dirty_ratio: f64,
    /// `min.insync.replicas`
    pub min_insync_replicas: i32,
    /// `preallocate`
    pub preallocate: bool,
    /// `unclean.leader.election.enable`
    pub unclean_leader_election_enable: bool,
}

impl TopicConfig {
    /// What a topic with these settings gets on this broker.
    pub fn effective(
        broker: &BrokerConfig,
        overrides: &TopicOverrides,
    ) -> Result<TopicConfig, TopicConfigError> {
        validate(overrides)?;
        let config = TopicConfig::new(&Lookup { broker: &broker.values, overrides });
        if config.min_compaction_lag_ms > config.max_compaction_lag_ms {
            let (min, max) = (config.min_compaction_lag_ms, config.max_compaction_lag_ms);
            return Err(TopicConfigError::CompactionLag { min, max });
        }
        Ok(config)
    }

    /// What a topic gets that was configured before, by whomever: its settings as far as they can be read, and the names
    /// of those that have no effect. Nothing is checked against each other (Kafka's `LogConfig.fromProps`): the broker's
    /// part may have changed since. While a rule that decides what is removed cannot be read, nothing is removed.
    pub fn stored(broker: &BrokerConfig, overrides: &TopicOverrides) -> (TopicConfig, Vec<String>) {
        let (readable, unreadable): (TopicOverrides, TopicOverrides) =
            overrides.clone().into_iter().partition(|(name, text)| {
                topic_keys::find(name).is_some_and(|row| Value::parse(&row.key, text).is_ok())
            });
        let mut config = TopicConfig::new(&Lookup { broker: &broker.values, overrides: &readable });
        if unreadable.keys().any(|name| REMOVING.contains(&name.as_str())) {
            config.cleanup_policy = CleanupPolicy { delete: false, compact: false };
        }
        let mut ignored: Vec<String> = unreadable.into_keys().collect();
        ignored.retain(|name| !topic_keys::REMOVED.contains(&name.as_str()));
        let is_tiered = readable.get(TIERED).is_some_and(|text| text.trim().eq_ignore_ascii_case("true"));
        ignored.extend(is_tiered.then(|| TIERED.to_owned()));
        (config, ignored)
    }

    /// What a topic without settings gets.
    pub(super) fn broker_defaults(broker: &Values) -> TopicConfig {
        TopicConfig::new(&Lookup { broker, overrides: &TopicOverrides::new() })
    }

    fn new(lookup: &Lookup<'_>) -> TopicConfig {
        let policies = lookup.list("cleanup.policy");
        let has_policy = |policy: &str| policies.iter().any(|item| item == policy);
        TopicConfig {
            cleanup_policy: CleanupPolicy { delete: has_policy("delete"), compact: has_policy("compact") },
            compression_type: match lookup.string("compression.type").as_str() {
                "gzip" => CompressionType::Gzip,
                "snappy" => CompressionType::Snappy,
                "lz4" => CompressionType::Lz4,
                "zstd" => CompressionType::Zstd,
                "uncompressed" => CompressionType::Uncompressed,
                _ => CompressionType::Producer,
            },
            compression_levels: CompressionLevels {
                gzip: lookup.int("compression.gzip.level"),
                lz4: lookup.int("compression.lz4.level"),
                zstd: lookup.int("compression.zstd.level"),
            },
            retention_ms: lookup.long("retention.ms"),
            retention_bytes: lookup.long("retention.bytes"),
            segment_bytes: lookup.segment_bytes(),
            segment_ms: lookup.long("segment.ms"),
            segment_jitter_ms: lookup.long("segment.jitter.ms"),
            segment_index_bytes: lookup.int("segment.index.bytes"),
            index_interval_bytes: lookup.int("index.interval.bytes"),
            max_message_bytes: lookup.int("max.message.bytes"),
            message_timestamp_type: match lookup.string("message.timestamp.type").as_str() {
                "LogAppendTime" => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
            message_timestamp_before_max_ms: lookup.long("message.timestamp.before.max.ms"),
            message_timestamp_after_max_ms: lookup.long("message.timestamp.after.max.ms"),
            flush_messages: lookup.long("flush.messages"),
            flush_ms: lookup.long("flush.ms"),
            min_compaction_lag_ms: lookup.long("min.compaction.lag.ms"),
            max_compaction_lag_ms: lookup.long("max.compaction.lag.ms"),
            delete_retention_ms: lookup.long("delete.retention.ms"),
            file_delete_delay_ms: lookup.long("file.delete.delay.ms"),
            min_cleanable_dirty_ratio: lookup.double("min.cleanable.dirty.ratio"),
            min_insync_replicas: lookup.int("min.insync.replicas"),
            preallocate: lookup.boolean("preallocate"),
            unclean_leader_election_enable: lookup.boolean("unclean.leader.election.enable"),
        }
    }
}

/// The value of a topic key where the topic sets nothing: the first of its broker keys that has one, in the topic's
/// unit, else its own default.
pub(super) fn broker_value(broker: &Values, topic_key: &TopicKey) -> Option<Value> {
    let from_broker = topic_key.broker.iter().find_map(|synonym| {
        let scale = |number: i64| match synonym.factor {
            1 if synonym.name != "log.retention.ms" => number,
            // Negative hours, minutes and milliseconds of retention mean no limit.
            _ if number < 0 => -1,
            factor => number.saturating_mul(factor),
        };
        match broker.get(synonym.name)? {
            Value::Int(number) if synonym.factor != 1 => Some(Value::Long(scale((*number).into()))),
            Value::Long(number) => Some(Value::Long(scale(*number))),
            other => Some(other.clone()),
        }
    });
    from_broker.or_else(|| Value::parse(&topic_key.key, topic_key.key.default?).ok())
}

fn validate(overrides: &TopicOverrides) -> Result<(), TopicConfigError> {
    // Kafka names an unknown key before it complains of a value.
    for name in overrides.keys() {
        if topic_keys::find(name).is_none() && !topic_keys::REMOVED.contains(&name.as_str()) {
            return Err(TopicConfigError::Unknown(name.clone()));
        }
    }
    for (name, text) in overrides {
        let Some(row) = topic_keys::find(name) else { continue };
        let value = Value::parse(&row.key, text)?;
        if name == TIERED && value == Value::Boolean(true) {
            return Err(TopicConfigError::TieredStorage);
        }
    }
    Ok(())
}

struct Lookup<'a> {
    broker: &'a Values,
    /// Valid.
    overrides: &'a TopicOverrides,
}

macro_rules! getters {
    ($($name:ident $variant:ident $type:ty),*) => {$(
        /// The names are written in this file, so a wrong type is a mistake in it, which every test finds.
        fn $name(&self, name: &str) -> $type {
            match self.get(name) {
                Some(Value::$variant(value)) => value,
                other => panic!("{name} is {other:?} and not of type {}", stringify!($variant)),
            }
        }
    )*};
}

impl Lookup<'_> {
    getters!(boolean Boolean bool, int Int i32, long Long i64, double Double f64, string String String,
             list List Vec<String>);

    fn get(&self, name: &str) -> Option<Value> {
        let row = topic_keys::find(name)?;
        match self.overrides.get(name) {
            Some(text) => Value::parse(&row.key, text).ok(),
            None => broker_value(self.broker, row),
        }
    }

    fn segment_bytes(&self) -> i32 {
        match self.get("internal.segment.bytes") {
            Some(Value::Int(bytes)) => bytes.max(0),
            _ => self.int("segment.bytes"),
        }
    }
}

#[cfg(test)]
mod tests;
