//! Changes of configuration.
//!
//! A request is checked in Kafka's two steps, resource by resource: what concerns the broker's own settings first
//! (`ConfigAdminManager`), then what concerns everybody's (`ConfigurationControlManager`). What passes is stored in one
//! batch and is in force when the request is answered.

use super::writer::Draft;
use super::{Controller, Refusal};
use crate::config::alter::{self, NotAList, Operation};
use crate::config::client_metrics_keys::{self, ClientMetricsError};
use crate::config::{BrokerConfig, DynamicConfigs, Key, TopicConfig, dynamic, group_keys, keys, topic_keys};
use crate::metadata::{
    BROKER_RESOURCE, CLIENT_METRICS_RESOURCE, GROUP_RESOURCE, Image, TOPIC_RESOURCE, topic_name,
};
use kafka_protocol::ResponseError;
use milena_protocol::stored::metadata::{ConfigRecord, MetadataRecord};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Keys and values as they were written.
type Settings = BTreeMap<String, String>;

const MIN_INSYNC_REPLICAS: &str = "min.insync.replicas";

/// What shall become of the settings of one resource.
#[derive(Clone, Debug)]
pub(crate) struct ConfigChange {
    /// 2 topic, 4 broker, 16 client metrics, 32 group.
    pub(crate) resource_type: i8,
    /// Its name; empty for all brokers.
    pub(crate) name: String,
    /// What is asked.
    pub(crate) edit: ConfigEdit,
}

/// One key after the other, or all at once.
#[derive(Clone, Debug)]
pub(crate) enum ConfigEdit {
    /// Only these keys change.
    Keys(Vec<(String, Operation)>),
    /// There shall be these and no others.
    All(Settings),
}

impl Controller {
    /// The broker's configuration with what was set at run time.
    pub(crate) fn config(&self) -> Arc<BrokerConfig> {
        self.config.load_full()
    }

    /// Changes the settings of some resources; gives what became of each, in their order. Those that are refused stay
    /// as they were.
    pub(crate) fn alter_configs(
        &self,
        changes: &[ConfigChange],
        validate_only: bool,
    ) -> Result<Vec<Result<(), Refusal>>, Refusal> {
        let mut writer = self.writer.lock();
        let mut draft = self.draft(&writer)?;
        let results: Vec<_> = changes.iter().map(|change| self.alter(&mut draft, change)).collect();
        if validate_only {
            return Ok(results);
        }
        self.commit(&mut writer, draft)?;
        let done =
            || changes.iter().zip(&results).filter(|(_, result)| result.is_ok()).map(|(change, _)| change);
        let image = self.image();
        if done().any(|change| change.resource_type == BROKER_RESOURCE) {
            self.adopt_configs(&image);
            image.topics().for_each(|topic| self.store.reconfigure(topic));
        } else {
            let names: BTreeSet<&str> = done()
                .filter(|change| change.resource_type == TOPIC_RESOURCE)
                .map(|change| &*change.name)
                .collect();
            names.iter().filter_map(|name| image.topic(name)).for_each(|topic| self.store.reconfigure(topic));
        }
        Ok(results)
    }

    /// Adds one change to the draft.
    fn alter(&self, draft: &mut Draft, change: &ConfigChange) -> Result<(), Refusal> {
        let (resource_type, name) = (change.resource_type, change.name.as_str());
        if resource_type == BROKER_RESOURCE {
            self.check_broker_change(draft.image(), change)?;
        }
        let before = settings(draft.image(), resource_type, name);
        let after = match &change.edit {
            ConfigEdit::All(after) => after.clone(),
            ConfigEdit::Keys(operations) => {
                alter::apply(&before, operations, |key| list_row(resource_type, key)).map_err(|error| {
                    let NotAList { key, operation } = error;
                    let message = format!("Can't {operation} to key {key} because its type is not LIST.");
                    Refusal::new(ResponseError::InvalidConfig, message)
                })?
            }
        };
        check_min_insync(draft.image(), change, &before, &after)?;
        if after.iter().any(|(key, value)| before.get(key) != Some(value) && !alter::fits(value)) {
            let message = "The configuration value cannot be added because it exceeds the maximum value size of 32767 bytes.";
            return Err(Refusal::new(ResponseError::InvalidConfig, message));
        }
        self.check_settings(draft.image(), resource_type, name, &after)?;
        draft.add_if(config_records(resource_type, name, &before, &after), |_| Ok(()))
    }

    /// What the broker asks of a change of its own settings, or of those of all brokers.
    fn check_broker_change(&self, image: &Image, change: &ConfigChange) -> Result<(), Refusal> {
        let name = change.name.as_str();
        let invalid = |message: String| Refusal::new(ResponseError::InvalidRequest, message);
        let per_broker = !name.is_empty();
        if per_broker {
            let id = name.parse::<i32>();
            let id = id.map_err(|_| invalid(format!("Node id must be an integer, but it is: {name}")))?;
            if id != self.node_id {
                let message = format!("Unexpected broker id, expected {}, but received {name}", self.node_id);
                return Err(invalid(message));
            }
        }
        let current = self.config.load();
        let mut configs = current.with_what_fits(self.dynamic_configs(image)).0.dynamic().clone();
        let before = if per_broker { &configs.broker } else { &configs.cluster };
        let after = match &change.edit {
            ConfigEdit::All(after) => after.clone(),
            ConfigEdit::Keys(operations) => alter::apply(before, operations, |key| row(BROKER_RESOURCE, key))
                .map_err(|error| {
                    let NotAList { key, operation } = error;
                    let message = match row(BROKER_RESOURCE, &key) {
                        None => format!("Unknown config name: {key}"),
                        Some(row) if keys::is_throttle(row.name) => format!("Unknown config name: {key}"),
                        Some(_) => {
                            let operation = operation.to_lowercase();
                            format!("Config value {operation} is not allowed for config key: {key}")
                        }
                    };
                    Refusal::new(ResponseError::InvalidConfig, message)
                })?,
        };
        dynamic::check(&after, per_broker).map_err(invalid)?;
        let connections = dynamic::check_connections(&after);
        let is_changed = |name: &&str| before.get(*name) != after.get(*name);
        let changed = after.keys().map(String::as_str).filter(is_changed).collect::<Vec<_>>();
        let reporters = dynamic::check_reporters(&after, &changed);
        *(if per_broker { &mut configs.broker } else { &mut configs.cluster }) = after;
        let changed = current.with_dynamic(configs).map_err(|error| invalid(error.reason()))?;
        // What Kafka makes of an exception in place of a value.
        let of_class = |error| {
            let exception = "org.apache.kafka.common.config.ConfigException";
            invalid(format!(
                "Invalid value {exception}: {error} for configuration Invalid dynamic configuration"
            ))
        };
        let network_threads = current.network.listeners.iter().try_for_each(|listener| {
            let of = |config: &BrokerConfig| {
                config.listener_value(&listener.endpoint.name, dynamic::NETWORK_THREADS)
            };
            dynamic::check_pool(dynamic::NETWORK_THREADS, (of(&current), of(&changed)))
        });
        network_threads
            .and(connections)
            .and(reporters)
            .and_then(|()| {
                dynamic::check_pools(|key| (current.value(key).cloned(), changed.value(key).cloned()))
            })
            .map_err(of_class)
    }

    /// What everybody asks of the settings of a resource.
    fn check_settings(
        &self,
        image: &Image,
        resource_type: i8,
        name: &str,
        after: &Settings,
    ) -> Result<(), Refusal> {
        let invalid = |message: &str| Err(Refusal::new(ResponseError::InvalidRequest, message));
        match resource_type {
            TOPIC_RESOURCE if name.is_empty() => invalid("Default topic resources are not allowed."),
            TOPIC_RESOURCE => {
                topic_name::validate(name)
                    .map_err(|reason| Refusal::new(ResponseError::InvalidTopicException, reason))?;
                self.check_topic_configs(after)?;
                if image.topic(name).is_none() {
                    let message = format!("The topic '{name}' does not exist.");
                    return Err(Refusal::new(ResponseError::UnknownTopicOrPartition, message));
                }
                Ok(())
            }
            CLIENT_METRICS_RESOURCE if name.is_empty() => invalid("Subscription name can't be empty"),
            CLIENT_METRICS_RESOURCE => client_metrics_keys::validate(after).map_err(|error| {
                let code = match &error {
                    ClientMetricsError::Request(_) => ResponseError::InvalidRequest,
                    ClientMetricsError::Config(_) => ResponseError::InvalidConfig,
                };
                Refusal::new(code, error.to_string())
            }),
            GROUP_RESOURCE if name.is_empty() => invalid("Default group resources are not allowed."),
            GROUP_RESOURCE => group_keys::validate(&self.config.load(), after)
                .map_err(|message| Refusal::new(ResponseError::InvalidConfig, message)),
            _ => Ok(()),
        }
    }

    /// Checks what is configured for one topic alone; the refusal carries Kafka's text.
    pub(super) fn check_topic_configs(&self, configs: &Settings) -> Result<(), Refusal> {
        match TopicConfig::effective(&self.config.load(), configs) {
            Ok(_) => Ok(()),
            Err(error) => Err(Refusal::new(ResponseError::InvalidConfig, error.to_string())),
        }
    }

    /// Puts what the image says of this broker and of all brokers into effect. What this build cannot take, from a
    /// directory of somebody else, is left out.
    pub(super) fn adopt_configs(&self, image: &Image) {
        let before = self.config.load();
        let (config, refused) = before.with_what_fits(self.dynamic_configs(image));
        for reason in refused {
            tracing::warn!(
                "configured at run time, but it cannot be in force, remove or correct it: {reason}"
            );
        }
        for warning in config.warnings.iter().filter(|warning| !before.warnings.contains(warning)) {
            tracing::warn!("{warning}");
        }
        self.config.store(Arc::new(config));
    }

    /// What of the stored settings of this broker and of all brokers can be in force.
    fn dynamic_configs(&self, image: &Image) -> DynamicConfigs {
        let of = |name: &str, per_broker| {
            let stored = image.broker_configs(name).cloned().unwrap_or_default();
            let (usable, ignored) = dynamic::usable(&stored, per_broker);
            if !ignored.is_empty() {
                tracing::warn!(
                    "configured at run time, but it cannot be, and is ignored: {}",
                    ignored.join(", ")
                );
            }
            usable
        };
        DynamicConfigs { broker: of(&self.node_id.to_string(), true), cluster: of("", false) }
    }
}

/// What is stored for a resource.
fn settings(image: &Image, resource_type: i8, name: &str) -> Settings {
    match resource_type {
        TOPIC_RESOURCE => image.topic(name).map(|topic| topic.configs.clone()).unwrap_or_default(),
        _ => image.configs(resource_type, name).cloned().unwrap_or_default(),
    }
}

/// The row of a key of a resource.
fn row(resource_type: i8, name: &str) -> Option<&'static Key> {
    match resource_type {
        TOPIC_RESOURCE => topic_keys::find(name).map(|row| &row.key),
        BROKER_RESOURCE => keys::find(name),
        CLIENT_METRICS_RESOURCE => client_metrics_keys::find(name),
        GROUP_RESOURCE => group_keys::find(name).map(|row| &row.key),
        _ => None,
    }
}

/// The row of a key whose items can be added and taken: Kafka's controller knows the types of the keys of topics and of
/// brokers alone.
fn list_row(resource_type: i8, name: &str) -> Option<&'static Key> {
    row(resource_type, name).filter(|_| matches!(resource_type, TOPIC_RESOURCE | BROKER_RESOURCE))
}

/// With eligible leader replicas (KIP-966) the size of the in-sync set is a matter of the cluster.
fn check_min_insync(
    image: &Image,
    change: &ConfigChange,
    before: &Settings,
    after: &Settings,
) -> Result<(), Refusal> {
    let with_eligible_leaders =
        image.features().0.get("eligible.leader.replicas.version").is_some_and(|level| *level > 0);
    if change.resource_type != BROKER_RESOURCE || !with_eligible_leaders {
        return Ok(());
    }
    let named = match &change.edit {
        ConfigEdit::Keys(operations) => operations.iter().any(|(key, _)| key == MIN_INSYNC_REPLICAS),
        ConfigEdit::All(after) => {
            after.contains_key(MIN_INSYNC_REPLICAS) || before.contains_key(MIN_INSYNC_REPLICAS)
        }
    };
    let message = match change.name.as_str() {
        _ if !named => return Ok(()),
        "" if after.contains_key(MIN_INSYNC_REPLICAS) => return Ok(()),
        "" => "Cluster-level min.insync.replicas cannot be removed while ELR is enabled.",
        _ => "Broker-level min.insync.replicas cannot be altered while ELR is enabled.",
    };
    Err(Refusal::new(ResponseError::InvalidConfig, message))
}

/// The records that lead from one set of configurations to another.
pub(super) fn config_records(
    resource_type: i8,
    resource_name: &str,
    before: &Settings,
    after: &Settings,
) -> Vec<MetadataRecord> {
    let record = |name: &String, value: Option<&String>| {
        let (resource_name, name, value) = (resource_name.to_owned(), name.clone(), value.cloned());
        ConfigRecord { resource_type, resource_name, name, value, ..ConfigRecord::default() }.into()
    };
    let removed = before.keys().filter(|name| !after.contains_key(*name)).map(|name| record(name, None));
    let set = after.iter().filter(|(name, value)| before.get(*name) != Some(value));
    removed.chain(set.map(|(name, value)| record(name, Some(value)))).collect()
}
