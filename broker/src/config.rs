//! Configuration of the broker and of its topics.
//!
//! * [`keys`] and [`topic_keys`] are the tables: one row per key that Kafka 4.1 or milena knows. [`group_keys`] and
//!   [`client_metrics_keys`] are those of groups and of subscriptions to metrics.
//! * [`dynamic`] knows what may change at run time, [`alter`] what a request makes of what is set.
//! * [`RawConfig`] holds what was written, and where: a properties file, the environment, the command line.
//! * [`BrokerConfig`] and [`TopicConfig`] are the validated values that the rest of the broker reads.
//! * [`describe`] turns both into the rows of a `DescribeConfigs` answer.

pub mod alter;
mod broker_config;
pub mod client_metrics_keys;
pub mod describe;
pub mod dynamic;
mod environment;
mod error;
pub mod group_keys;
mod key;
pub mod keys;
mod listener;
mod properties;
mod providers;
mod raw;
mod suggest;
mod topic_config;
pub mod topic_keys;
mod value;

pub use broker_config::{
    Authorizer, BrokerConfig, CleanerConfig, ConsumerGroupConfig, ControllerAddress, DynamicConfigs,
    GroupConfig, LogConfig, LogFormat, MetadataConfig, NetworkConfig, OffsetsConfig, SeedConfig, TopicSeed,
    TransactionConfig, default_log_dir,
};
pub use environment::{property_name, with_files, with_lost_names};
pub use error::ConfigError;
pub use key::{Dynamic, Effect, Key, Kind, Valid};
pub use listener::{Endpoint, Listener, SecurityProtocol};
pub(crate) use properties::parse as parse_properties;
pub use properties::{Property, PropertyError};
pub use raw::{Origin, RawConfig, RawValue, Sources};
pub(crate) use suggest::nearest;
pub use topic_config::{
    CleanupPolicy, CompressionLevels, CompressionType, TimestampType, TopicConfig, TopicConfigError,
    TopicOverrides,
};
pub use value::{InvalidValue, Value};
