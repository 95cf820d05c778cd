//! The validated configuration of a broker.

mod addresses;
mod checks;
mod group;
mod log;
mod metadata;
mod network;
mod seed;
mod transaction;
mod values;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use self::checks::Authorizer;
pub use self::group::{ConsumerGroupConfig, GroupConfig, OffsetsConfig};
pub use self::log::{CleanerConfig, LogConfig, default_log_dir};
pub use self::metadata::{ControllerAddress, MetadataConfig};
pub use self::network::NetworkConfig;
pub use self::seed::{SeedConfig, TopicSeed};
pub use self::transaction::TransactionConfig;
pub(super) use self::values::Values;
use crate::config::error::ConfigError;
use crate::config::keys;
use crate::config::raw::{Origin, RawConfig, Sources};
use crate::config::topic_config::TopicConfig;
use crate::config::value::Value;

/// Settings that were changed while the cluster was running, as they were written.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct DynamicConfigs {
    /// For this broker; these win.
    pub broker: BTreeMap<String, String>,
    /// For all brokers.
    pub cluster: BTreeMap<String, String>,
}

/// The names alone: a value may be a password.
impl fmt::Debug for DynamicConfigs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |map: &BTreeMap<String, String>| map.keys().cloned().collect::<Vec<_>>().join(", ");
        write!(f, "broker: [{}], cluster: [{}]", names(&self.broker), names(&self.cluster))
    }
}

/// How lines of the log look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people, on standard error.
    Pretty,
    /// As Kafka's images write them, on standard output: `[2026-01-31 12:00:00,000] INFO text (module)`.
    Kafka,
    /// As Redpanda's image writes them, on standard output: `INFO  2026-01-31 12:00:00,000 [shard 0] module - text`.
    Redpanda,
    /// One JSON object a line, on standard error.
    Json,
}

impl LogFormat {
    /// The format of a name of `milena.log.format`, which was checked before.
    fn from_name(name: &str) -> LogFormat {
        match name {
            "kafka" => LogFormat::Kafka,
            "redpanda" => LogFormat::Redpanda,
            "json" => LogFormat::Json,
            _ => LogFormat::Pretty,
        }
    }
}

/// Everything that the broker is configured with, checked. Share it behind an `Arc`.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// `node.id`, or `broker.id`; 1 where neither is set.
    pub node_id: i32,
    /// `milena.cluster.id`: the cluster that new data directories are of.
    pub cluster_id: Option<String>,
    /// `broker.rack`
    pub rack: Option<String>,
    /// Whether `process.roles` is `controller` alone. Such a process has nothing to serve in milena.
    pub is_controller_only: bool,
    /// Whether the data goes with the broker: nobody waits for the disk.
    pub is_ephemeral: bool,
    /// Listeners and limits on connections and requests.
    pub network: NetworkConfig,
    /// Data directories and the chores on them.
    pub log: LogConfig,
    /// The metadata log and its snapshots.
    pub metadata: MetadataConfig,
    /// What a topic gets where it sets nothing itself.
    pub topic_defaults: TopicConfig,
    /// `num.partitions`
    pub num_partitions: i32,
    /// `default.replication.factor`
    pub default_replication_factor: i32,
    /// `auto.create.topics.enable`
    pub auto_create_topics: bool,
    /// `delete.topic.enable`
    pub delete_topics: bool,
    /// Groups and committed offsets.
    pub group: GroupConfig,
    /// Transactions and producer ids.
    pub transaction: TransactionConfig,
    /// `authorizer.class.name` and what belongs to it.
    pub authorizer: Authorizer,
    /// What is there from the start.
    pub seed: SeedConfig,
    /// `milena.log.format`
    pub log_format: LogFormat,
    /// `telemetry.max.bytes`
    pub telemetry_max_bytes: i32,
    /// One line each about settings that were accepted and do not do what one might expect.
    pub warnings: Vec<String>,
    pub(super) written: RawConfig,
    pub(super) dynamic: DynamicConfigs,
    pub(super) values: Values,
    default_log_dir: PathBuf,
}

impl BrokerConfig {
    /// Reads and checks all sources. `default_log_dir` is used where neither `log.dirs` nor `log.dir` is set
    /// ([`default_log_dir()`]).
    pub fn load(sources: &Sources, default_log_dir: &Path) -> Result<BrokerConfig, ConfigError> {
        BrokerConfig::new(RawConfig::from_sources(sources)?, default_log_dir)
    }

    /// Checks settings that were read before.
    pub fn new(mut written: RawConfig, default_log_dir: &Path) -> Result<BrokerConfig, ConfigError> {
        copy_synonyms(&mut written);
        let config =
            BrokerConfig::check(written.clone(), written, DynamicConfigs::default(), default_log_dir)?;
        checks::compaction_lag(&config)?;
        Ok(config)
    }

    /// The same broker with other dynamic settings in place of those it had. They win over what was written.
    pub fn with_dynamic(&self, dynamic: DynamicConfigs) -> Result<BrokerConfig, ConfigError> {
        let mut effective = self.written.clone();
        for (name, value) in dynamic.cluster.iter().chain(&dynamic.broker) {
            effective.set(name, value, Origin::Dynamic);
        }
        let same = BrokerConfig::check(effective, self.written.clone(), dynamic, &self.default_log_dir)?;
        Ok(BrokerConfig { is_ephemeral: self.is_ephemeral, ..same })
    }

    /// The same broker with these dynamic settings, as far as they can be in force together, and what of them cannot be,
    /// with the reason: one that no longer fits, such as the address of a listener that has another name since, does not
    /// take the others along.
    pub fn with_what_fits(&self, dynamic: DynamicConfigs) -> (BrokerConfig, Vec<String>) {
        if let Ok(config) = self.with_dynamic(dynamic.clone()) {
            return (config, Vec::new());
        }
        let of = |settings: BTreeMap<String, String>, per_broker| {
            settings.into_iter().map(move |(name, value)| (per_broker, name, value))
        };
        let mut left: Vec<_> = of(dynamic.cluster, false).chain(of(dynamic.broker, true)).collect();
        let mut config = self.with_dynamic(DynamicConfigs::default()).unwrap_or_else(|_| self.clone());
        // One may need another one that comes later.
        loop {
            let (before, mut refused, mut reasons) = (left.len(), Vec::new(), Vec::new());
            for (per_broker, name, value) in left {
                let mut more = config.dynamic.clone();
                let settings = if per_broker { &mut more.broker } else { &mut more.cluster };
                settings.insert(name.clone(), value.clone());
                match self.with_dynamic(more) {
                    Ok(fitting) => config = fitting,
                    Err(error) => {
                        reasons.push(format!("{name}: {}", error.reason()));
                        refused.push((per_broker, name, value));
                    }
                }
            }
            if refused.is_empty() || refused.len() == before {
                return (config, reasons);
            }
            left = refused;
        }
    }

    /// What was set at run time and is in force.
    pub fn dynamic(&self) -> &DynamicConfigs {
        &self.dynamic
    }

    /// Everything that was written, with its origin.
    pub fn written(&self) -> &RawConfig {
        &self.written
    }

    /// The value of a broker key, set or default; `None` for null and for unknown names.
    pub fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// The value of a broker key for one listener: what is set for it below `listener.name.`, else for all.
    pub fn listener_value(&self, listener: &str, base: &str) -> Option<Value> {
        let name = format!("listener.name.{}.{base}", listener.to_lowercase());
        let at_run_time = self.dynamic.broker.get(&name).or_else(|| self.dynamic.cluster.get(&name));
        let text = at_run_time.or_else(|| self.written.get(&name).map(|raw| &raw.value));
        match (text, keys::find(base)) {
            (Some(text), Some(key)) => Value::parse(key, text).ok(),
            _ => self.value(base).cloned(),
        }
    }

    fn check(
        effective: RawConfig,
        written: RawConfig,
        dynamic: DynamicConfigs,
        default_log_dir: &Path,
    ) -> Result<BrokerConfig, ConfigError> {
        let mut values = Values::parse(&effective)?;
        values.set_if_null("node.id", Value::Int(1));
        values.set_if_null("process.roles", Value::List(vec!["broker".into(), "controller".into()]));
        values.set_if_null("log.dir", Value::String(default_log_dir.display().to_string()));
        let node_id = values.int("node.id");
        values.set("broker.id", Value::Int(node_id));
        let mut warnings = effective.notes().to_vec();
        checks::names(&effective, &mut warnings);
        let roles = values.list("process.roles");
        let is_controller_only = roles == ["controller"];
        checks::standalone(&effective, &values, is_controller_only, &mut warnings)?;
        checks::times_and_sizes(&effective, &values)?;
        checks::java_classes(&effective, &values, &mut warnings)?;
        let authorizer = checks::authorizer(&effective, &values)?;
        let network = NetworkConfig::new(&effective, &values, is_controller_only, &mut warnings)?;
        let log = LogConfig::new(&effective, &values)?;
        let group = GroupConfig::new(&effective, &values, &mut warnings)?;
        let transaction = TransactionConfig::new(&effective, &values, &mut warnings);
        let seed = SeedConfig::new(&effective, &values)?;
        Ok(BrokerConfig {
            node_id,
            cluster_id: values
                .text("milena.cluster.id")
                .map(str::trim)
                .filter(|id| !id.is_empty())
                .map(str::to_owned),
            rack: values.text("broker.rack").map(str::to_owned),
            is_controller_only,
            is_ephemeral: false,
            network,
            log,
            metadata: MetadataConfig::new(&values),
            topic_defaults: TopicConfig::broker_defaults(&values),
            num_partitions: values.int("num.partitions"),
            default_replication_factor: values.int("default.replication.factor"),
            auto_create_topics: values.boolean("auto.create.topics.enable"),
            delete_topics: values.boolean("delete.topic.enable"),
            group,
            transaction,
            authorizer,
            seed,
            log_format: LogFormat::from_name(values.text("milena.log.format").unwrap_or_default()),
            telemetry_max_bytes: values.int("telemetry.max.bytes"),
            warnings,
            written,
            dynamic,
            values,
            default_log_dir: default_log_dir.to_owned(),
        })
    }
}

/// `node.id` and `broker.id` name the same thing, and addresses follow from each other.
fn copy_synonyms(written: &mut RawConfig) {
    for (from, to) in [("node.id", "broker.id"), ("broker.id", "node.id")] {
        match written.get(from).cloned() {
            // -1 says that broker.id is not set.
            Some(raw) if written.get(to).is_none() && raw.value.trim() != "-1" => {
                written.set(to, &raw.value, raw.origin);
            }
            _ => {}
        }
    }
    addresses::complete(written);
}

fn millis(value: i64) -> Duration {
    Duration::from_millis(u64::try_from(value).unwrap_or(0))
}

/// What Kafka says of settings that it requires to be otherwise (`KafkaConfig.validateValues`).
fn requirement(text: &str) -> String {
    format!("requirement failed: {text}")
}

fn at_most_one(effective: &RawConfig, name: &str, value: i64, what: &str, warnings: &mut Vec<String>) {
    if value > 1 && effective.get(name).is_some() {
        let origin = effective.origin(name);
        warnings.push(format!("{name}={value} (from {origin}) is more than this one broker: {what} gets 1"));
    }
}

#[cfg(test)]
mod tests;
