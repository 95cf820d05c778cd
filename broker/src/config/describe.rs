//! The rows of a `DescribeConfigs` answer, as Kafka 4.1 gives them.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::broker_config::BrokerConfig;
use crate::config::client_metrics_keys;
use crate::config::group_keys;
use crate::config::key::{Dynamic, Key};
use crate::config::keys;
use crate::config::topic_config::{TopicOverrides, broker_value};
use crate::config::topic_keys;
use crate::config::value::Value;

/// `ConfigSource` numbers of the protocol.
pub mod source {
    /// Set on the topic.
    pub const TOPIC: i8 = 1;
    /// Set for this broker at run time.
    pub const DYNAMIC_BROKER: i8 = 2;
    /// Set for all brokers at run time.
    pub const DYNAMIC_DEFAULT_BROKER: i8 = 3;
    /// Set in the file, the environment or on the command line.
    pub const STATIC_BROKER: i8 = 4;
    /// Built in.
    pub const DEFAULT: i8 = 5;
    /// Level of a logger.
    pub const DYNAMIC_BROKER_LOGGER: i8 = 6;
    /// Set for a subscription to metrics.
    pub const CLIENT_METRICS: i8 = 7;
    /// Set for a group.
    pub const GROUP: i8 = 8;
}

/// `ConfigType` number of a key that is in no table.
const UNKNOWN_TYPE: i8 = 0;

/// One place where a value may come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigSynonym {
    /// The key there.
    pub name: String,
    /// Its value as it was written; `None` if it must not be shown.
    pub value: Option<String>,
    /// One of [`source`].
    pub source: i8,
}

/// One key of a topic or broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    /// The key.
    pub name: String,
    /// Its value in canonical form; `None` for null and for what must not be shown.
    pub value: Option<String>,
    /// One of [`source`].
    pub source: i8,
    /// Whether it can only change by a restart.
    pub read_only: bool,
    /// Whether the value must not be shown.
    pub sensitive: bool,
    /// `ConfigType` of the protocol.
    pub config_type: i8,
    /// One sentence, for clients that ask.
    pub documentation: Option<String>,
    /// Where the value comes from, and what it would be without it, step by step.
    pub synonyms: Vec<ConfigSynonym>,
    /// What version 0 calls the default: the source is [`source::DEFAULT`].
    pub is_default: bool,
}

/// All keys of a topic, sorted by name. Internal keys are there if the topic sets them.
pub fn describe_topic(broker: &BrokerConfig, overrides: &TopicOverrides) -> Vec<ConfigEntry> {
    let mut entries = Vec::new();
    for row in topic_keys::KEYS {
        let key = &row.key;
        let own = overrides.get(key.name);
        if key.internal && own.is_none() {
            continue;
        }
        let value = match own {
            Some(text) => Value::parse(key, text).ok(),
            None => broker_value(&broker.values, row),
        }
        .map(|value| value.to_string());
        let mut synonyms = Vec::new();
        if own.is_some() {
            synonyms.push(ConfigSynonym {
                name: key.name.into(),
                value: value.clone(),
                source: source::TOPIC,
            });
        }
        if let Some(first) = row.broker.first() {
            synonyms.extend(broker_synonyms(broker, first.name, false));
        }
        entries.push(entry(key.name, Some(key), value, false, synonyms));
    }
    entries
}

/// All keys of this broker, sorted by name: those of the table, and whatever else was set. A name that is in no
/// table has an unknown type, and might be a secret.
pub fn describe_broker(broker: &BrokerConfig) -> Vec<ConfigEntry> {
    let mut names: BTreeSet<&str> = keys::all().filter(|key| !key.internal).map(|key| key.name).collect();
    names.extend(broker.written.iter().map(|(name, _)| name));
    names.extend(broker.dynamic.cluster.keys().chain(broker.dynamic.broker.keys()).map(String::as_str));
    names.into_iter().map(|name| broker_entry(broker, name, |_| true)).collect()
}

/// What is set for all brokers at run time, sorted by name: the answer for the broker with an empty name.
pub fn describe_cluster_default(broker: &BrokerConfig) -> Vec<ConfigEntry> {
    let only_cluster = |synonym: &ConfigSynonym| synonym.source == source::DYNAMIC_DEFAULT_BROKER;
    let names = broker.dynamic.cluster.keys();
    names
        .map(|name| {
            let mut entry = broker_entry(broker, name, only_cluster);
            // The value for all brokers, not the one that this broker replaces it with.
            if !entry.sensitive {
                let text = broker.dynamic.cluster.get(name);
                entry.value = text.map(|text| canonical(keys::find_or_base(name), name, text));
            }
            entry
        })
        .collect()
}

/// All keys of a group with these settings, sorted by name.
pub fn describe_group(broker: &BrokerConfig, settings: &BTreeMap<String, String>) -> Vec<ConfigEntry> {
    let entry = |row: &group_keys::GroupKey| {
        let name = row.key.name;
        let value = group_keys::value(row, broker, settings).map(|value| value.to_string());
        let source = if settings.contains_key(name) { source::GROUP } else { source::DEFAULT };
        let own = ConfigSynonym { name: name.to_owned(), value: value.clone(), source };
        entry(name, Some(&row.key), value, false, vec![own])
    };
    group_keys::KEYS.iter().map(entry).collect()
}

/// All keys of a subscription to metrics with these settings, sorted by name.
pub fn describe_client_metrics(settings: &BTreeMap<String, String>) -> Vec<ConfigEntry> {
    let entry = |key: &Key| {
        let own = settings.get(key.name).map(String::as_str);
        let value = own.or(key.default).map(|text| canonical(Some(key), key.name, text));
        let synonym = |_| ConfigSynonym {
            name: key.name.to_owned(),
            value: value.clone(),
            source: source::CLIENT_METRICS,
        };
        let synonyms = own.map(synonym).into_iter().collect();
        entry(key.name, Some(key), value, false, synonyms)
    };
    client_metrics_keys::KEYS.iter().map(entry).collect()
}

fn broker_entry(broker: &BrokerConfig, name: &str, keep: impl Fn(&ConfigSynonym) -> bool) -> ConfigEntry {
    let key = keys::find_or_base(name);
    let sensitive = key.is_none_or(Key::sensitive);
    let mut synonyms = broker_synonyms(broker, name, sensitive);
    let value = match keys::find(name) {
        _ if sensitive => None,
        // Kafka, which has no such key in its table, shows it as it was written.
        Some(key) if keys::is_throttle(key.name) => {
            synonyms.first().and_then(|synonym| synonym.value.clone())
        }
        Some(_) => broker.values.get(name).map(Value::to_string),
        // A key for one listener is shown as it was written.
        None => broker.dynamic.broker.get(name).or(broker.dynamic.cluster.get(name)).cloned(),
    };
    let value = value.or_else(|| {
        let written = broker.written.get(name)?;
        (!sensitive && keys::find(name).is_none()).then(|| written.value.clone())
    });
    synonyms.retain(keep);
    let mut entry = entry(name, key, value, is_described_read_only(name), synonyms);
    // Kafka documents the key itself and not its form for one listener.
    entry.documentation =
        keys::find(name).filter(|key| !keys::is_throttle(key.name)).map(|key| key.doc.to_owned());
    entry
}

/// `advertised.listeners` can be set at run time here and not in Kafka. It is described as Kafka describes it, because the
/// suite of a client compares that; who sets it does not look. What limits copying can be set at run time in Kafka, too,
/// and is described as what cannot.
fn is_described_read_only(name: &str) -> bool {
    name == "advertised.listeners"
        || keys::is_throttle(name)
        || keys::find(name).is_none_or(|key| key.dynamic == Dynamic::ReadOnly)
}

fn entry(
    name: &str,
    key: Option<&Key>,
    value: Option<String>,
    read_only: bool,
    synonyms: Vec<ConfigSynonym>,
) -> ConfigEntry {
    let source = synonyms.first().map_or(source::DEFAULT, |synonym| synonym.source);
    ConfigEntry {
        name: name.to_owned(),
        value,
        source,
        read_only,
        sensitive: key.is_none_or(Key::sensitive),
        config_type: key.map_or(UNKNOWN_TYPE, |key| key.kind as i8),
        documentation: key.map(|key| key.doc.to_owned()),
        synonyms,
        is_default: source == source::DEFAULT,
    }
}

/// Every place where one of the broker keys for the same setting has a value, by falling precedence. What precedes
/// the first entry of the key itself is left out, as in Kafka's `ConfigHelper`: a description of `log.retention.ms`
/// without a value does not name `log.retention.hours`.
fn broker_synonyms(broker: &BrokerConfig, name: &str, sensitive: bool) -> Vec<ConfigSynonym> {
    let names = keys::synonyms(name);
    let mut synonyms = Vec::new();
    let mut add = |name: &str, value: Option<&str>, source| {
        if let Some(value) = value {
            let value = (!sensitive).then(|| value.to_owned());
            synonyms.push(ConfigSynonym { name: name.to_owned(), value, source });
        }
    };
    let dynamic = |map: &BTreeMap<String, String>, name: &str| map.get(name).cloned();
    for name in &names {
        add(name, dynamic(&broker.dynamic.broker, name).as_deref(), source::DYNAMIC_BROKER);
    }
    for name in &names {
        add(name, dynamic(&broker.dynamic.cluster, name).as_deref(), source::DYNAMIC_DEFAULT_BROKER);
    }
    for name in &names {
        add(name, broker.written.get(name).map(|raw| raw.value.as_str()), source::STATIC_BROKER);
    }
    for name in &names {
        let key = keys::find(name).filter(|key| !keys::is_throttle(key.name));
        add(name, key.and_then(|key| key.default), source::DEFAULT);
    }
    synonyms.into_iter().skip_while(|synonym| synonym.name != name).collect()
}

/// A value in the form in which Kafka shows it, or as it was written if it has no type.
fn canonical(key: Option<&Key>, name: &str, text: &str) -> String {
    key.and_then(|key| Value::parse_named(key, name, text).ok())
        .map_or_else(|| text.to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests;
