//! `rpk redpanda start`: what Redpanda's image is started with, as settings of this broker.
//!
//! Of Redpanda there is the Kafka API here, and neither its schema registry nor its HTTP proxy nor its admin API. Sources in
//! rising precedence: the mode, `.bootstrap.yaml`, `redpanda.yaml`, `--set`, the other flags. What would make Redpanda ask
//! clients who they are, or encrypt, is refused, because it would be missed silently.

mod address;

use super::super::failure::Failure;
use super::super::flags::{self, Flag, Given, Takes, maybe, value};
use address::Addresses;
use serde_yaml_ng::{Mapping, Value};
use std::path::{Path, PathBuf};

/// Where Redpanda's image has its file, and beside it the other one.
const FILE: &str = "/etc/redpanda/redpanda.yaml";
const BOOTSTRAP: &str = ".bootstrap.yaml";
/// Where Redpanda keeps its data.
const DATA: &str = "/var/lib/redpanda/data";
/// Modes in which Redpanda is somebody's only broker for an hour.
const DEVELOPMENT: [&str; 2] = ["dev-container", "dev"];
const SHORT: [(&str, &str); 2] = [("-s", "--seeds"), ("-v", "--verbose")];
const FLAGS: &[Flag] = &[
    value("kafka-addr", "NAME://HOST:PORT,...", "Where clients are served."),
    value("advertise-kafka-addr", "NAME://HOST:PORT,...", "What clients are told of it."),
    value("node-id", "N", "The number of this node."),
    value("mode", "MODE", "dev-container creates topics when they are first used."),
    value("set", "redpanda.KEY=VALUE", "A setting; may be repeated."),
    value("config", "FILE", "Redpanda's file of settings."),
    value("pandaproxy-addr", "ADDRESS", "Not served."),
    value("advertise-pandaproxy-addr", "ADDRESS", "Not served."),
    value("schema-registry-addr", "ADDRESS", "Not served."),
    value("rpc-addr", "ADDRESS", "Not served: there is one node."),
    value("advertise-rpc-addr", "ADDRESS", "Not served: there is one node."),
    value("seeds", "ADDRESS,...", "Not used: there is one node."),
    value("smp", "N", "Not used."),
    value("memory", "SIZE", "Not used."),
    value("reserve-memory", "SIZE", "Not used."),
    value("cpuset", "SET", "Not used."),
    value("default-log-level", "LEVEL", "Not used."),
    value("logger-log-level", "LEVELS", "Not used."),
    value("io-properties", "YAML", "Not used."),
    value("io-properties-file", "FILE", "Not used."),
    value("num-io-queues", "N", "Not used."),
    value("max-io-requests", "N", "Not used."),
    value("well-known-io", "NAME", "Not used."),
    value("timeout", "DURATION", "Not used."),
    value("install-dir", "DIRECTORY", "Not used."),
    value("mbind", "N", "Not used."),
    maybe("overprovisioned", "BOOLEAN", "Not used."),
    maybe("lock-memory", "BOOLEAN", "Not used."),
    maybe("hugepages", "BOOLEAN", "Not used."),
    maybe("thread-affinity", "BOOLEAN", "Not used."),
    maybe("unsafe-bypass-fsync", "BOOLEAN", "Not used."),
    maybe("kernel-page-cache", "BOOLEAN", "Not used."),
    maybe("check", "BOOLEAN", "Not used."),
    maybe("verbose", "BOOLEAN", "Not used."),
];
/// Properties of Redpanda that mean what a key of Kafka's does.
const SAME: [(&str, &str); 10] = [
    ("node_id", "node.id"),
    ("data_directory", "log.dirs"),
    ("auto_create_topics_enabled", "auto.create.topics.enable"),
    ("default_topic_partitions", "num.partitions"),
    ("group_initial_rebalance_delay", "group.initial.rebalance.delay.ms"),
    ("kafka_batch_max_bytes", "message.max.bytes"),
    ("log_retention_ms", "log.retention.ms"),
    ("retention_bytes", "log.retention.bytes"),
    ("log_segment_size", "log.segment.bytes"),
    ("log_cleanup_policy", "log.cleanup.policy"),
];
/// Whoever sets one of these to true believes that clients are checked.
const GUARDS: [&str; 2] = ["enable_sasl", "kafka_enable_authorization"];

/// The words behind `rpk redpanda start`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedpandaStart {
    file: Option<PathBuf>,
    mode: String,
    sets: Vec<String>,
    node_id: Option<String>,
    kafka: Vec<String>,
    advertised: Vec<String>,
    foreign: Vec<String>,
}

/// What the words and the files come to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Keys of Kafka and their values.
    pub(crate) keys: Vec<(String, String)>,
    /// What people should know, a sentence each.
    pub(crate) notes: Vec<String>,
}

impl RedpandaStart {
    /// Reads the words behind `rpk redpanda start`.
    ///
    /// # Errors
    /// A flag without its value, or a word that belongs to none.
    pub(crate) fn read(words: &[String]) -> Result<Self, Failure> {
        let (known, foreign) = without_foreign(words);
        let given = Given::read(FLAGS, &known)?;
        if let Some(word) = given.words.first() {
            return Err(Failure::text(format!("rpk redpanda start does not know what {word} is")));
        }
        let all = |name| given.all(name).map(str::to_owned).collect();
        Ok(Self {
            file: given.one("config")?.map(PathBuf::from),
            mode: given.one("mode")?.unwrap_or_default().to_owned(),
            node_id: given.one("node-id")?.map(str::to_owned),
            sets: all("set"),
            kafka: all("kafka-addr"),
            advertised: all("advertise-kafka-addr"),
            foreign,
        })
    }

    /// The file that may be there in a moment, with addresses that the words lack. Testcontainers for Node.js lets Redpanda start
    /// before it puts the file there, and milena may be faster; what it has put there before is `.bootstrap.yaml`.
    pub(crate) fn awaited(&self, is_there: impl Fn(&Path) -> bool) -> Option<&'static Path> {
        let path = Path::new(FILE);
        let is_told = self.file.is_some() || !self.kafka.is_empty() || !self.advertised.is_empty();
        (!is_told && is_there(&path.with_file_name(BOOTSTRAP))).then_some(path)
    }

    /// The settings, with what is in the files and variables of Redpanda. `read` gives a file's text, or `None` if it is not
    /// there.
    ///
    /// # Errors
    /// One sentence: a file or a value cannot be read, or it asks for what there is not.
    pub(crate) fn settings(
        &self,
        read: impl Fn(&Path) -> Result<Option<String>, String>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Settings, String> {
        let properties = self.properties(read)?;
        let flag_or = |given: &[String], name| match given {
            [] => variable(name).into_iter().collect(),
            given => given.to_vec(),
        };
        let mut listeners = Addresses::of_words(&flag_or(&self.kafka, "REDPANDA_KAFKA_ADDRESS"))?;
        let mut advertised =
            Addresses::of_words(&flag_or(&self.advertised, "REDPANDA_ADVERTISE_KAFKA_ADDRESS"))?;
        let mut settings = Settings::default();
        let mut idle = Vec::new();
        for (name, value) in &properties {
            let name = name.as_str().unwrap_or_default();
            if let Some((_, key)) = SAME.iter().find(|(redpanda, _)| *redpanda == name) {
                settings.keys.push(((*key).to_owned(), scalar(name, value)?));
            } else if name == "kafka_api" {
                listeners = listeners.or(Addresses::of_yaml(name, value)?);
            } else if name == "advertised_kafka_api" {
                advertised = advertised.or(Addresses::of_yaml(name, value)?);
            } else if GUARDS.contains(&name) && value.as_bool() != Some(false) || asks_for_tls(name, value) {
                return Err(format!("{name} of Redpanda is not supported, and nobody would be kept out"));
            } else {
                idle.push(name);
            }
        }
        settings.keys.extend(self.node_id.iter().map(|id| ("node.id".to_owned(), id.clone())));
        settings.keys.extend(listeners.or(Addresses::any()).as_listeners());
        settings.keys.extend(advertised.as_advertised());
        settings.notes.push(
            "of Redpanda's interfaces the Kafka API is served; the schema registry, the HTTP proxy and the admin API are not"
                .to_owned(),
        );
        idle.extend(self.foreign.iter().map(String::as_str));
        if !idle.is_empty() {
            settings.notes.push(format!("settings of Redpanda without effect: {}", idle.join(", ")));
        }
        Ok(settings)
    }

    /// Properties of Redpanda by name, of which later sources have replaced those of earlier ones.
    fn properties(&self, read: impl Fn(&Path) -> Result<Option<String>, String>) -> Result<Mapping, String> {
        let path = self.file.as_deref().unwrap_or(Path::new(FILE));
        let text = read(path)?;
        if text.is_none() && self.file.is_some() {
            return Err(format!("{} of --config does not exist", path.display()));
        }
        let bootstrap = path.with_file_name(BOOTSTRAP);
        let is_development = DEVELOPMENT.contains(&self.mode.as_str());
        let mut properties = Mapping::new();
        properties.insert("data_directory".into(), DATA.into());
        properties.insert("auto_create_topics_enabled".into(), is_development.into());
        if is_development {
            properties.insert("group_initial_rebalance_delay".into(), 0.into());
        }
        properties.extend(mapping(&bootstrap, read(&bootstrap)?.as_deref())?);
        let mut file = mapping(path, text.as_deref())?;
        match file.remove("redpanda") {
            None | Some(Value::Null) => {}
            Some(Value::Mapping(inner)) => properties.extend(inner),
            Some(_) => return Err(format!("redpanda in {} is not a mapping", path.display())),
        }
        for pair in &self.sets {
            let (name, value) =
                pair.split_once('=').ok_or_else(|| format!("--set {pair} is not KEY=VALUE"))?;
            // Other sections are about other programs.
            let Some(name) = name.strip_prefix("redpanda.") else { continue };
            let value: Value =
                serde_yaml_ng::from_str(value).map_err(|error| format!("--set {pair}: {error}"))?;
            properties.insert(name.into(), value);
        }
        Ok(properties)
    }
}

/// The words without what rpk leaves to the framework of Redpanda: flags that it does not know, with their values, and all that is
/// behind `--`. Gives the names of those flags, too. As with rpk, what stands behind a flag with a value is its value, even if it
/// looks like a short flag.
fn without_foreign(words: &[String]) -> (Vec<String>, Vec<String>) {
    let (mut known, mut foreign) = (Vec::new(), Vec::new());
    let mut is_foreign = false;
    let mut words = words.iter().take_while(|word| *word != "--").peekable();
    while let Some(word) = words.next() {
        let mut word = flags::long(&SHORT, word);
        if word.starts_with('-') && !flags::is_number(&word) {
            is_foreign = !flags::is_flag(&[FLAGS], &word);
            if is_foreign {
                foreign.push(word.split_once('=').map_or(word.as_str(), |(name, _)| name).to_owned());
            }
            let name = word.trim_start_matches('-');
            if FLAGS.iter().any(|flag| flag.name == name && matches!(flag.takes, Takes::Value(_)))
                && let Some(value) = words.next_if(|word| !flags::is_flag(&[FLAGS], word))
            {
                word = format!("{word}={value}");
            }
        }
        if !is_foreign {
            known.push(word);
        }
    }
    (known, foreign)
}

fn mapping(path: &Path, text: Option<&str>) -> Result<Mapping, String> {
    let parsed: Option<Mapping> = serde_yaml_ng::from_str(text.unwrap_or_default())
        .map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(parsed.unwrap_or_default())
}

fn scalar(name: &str, value: &Value) -> Result<String, String> {
    match value {
        Value::Bool(value) => Ok(value.to_string()),
        Value::Number(value) => Ok(value.to_string()),
        Value::String(value) => Ok(value.clone()),
        _ => Err(format!("{name} of Redpanda must be one value")),
    }
}

/// Whether a property makes listeners of clients encrypt.
fn asks_for_tls(name: &str, value: &Value) -> bool {
    let is_on = |entry: &Value| entry.get("enabled").is_some_and(|on| on.as_bool() != Some(false));
    let entries = value.as_sequence();
    name == "kafka_api_tls" && entries.map_or_else(|| is_on(value), |entries| entries.iter().any(is_on))
}

#[cfg(test)]
mod tests;
