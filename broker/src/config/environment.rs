//! What environment variables set, by the conventions of the container images that people have.
//!
//! | spelling | whose | rank |
//! |---|---|---|
//! | `KAFKA_CFG_NUM_PARTITIONS` | Bitnami's image | lowest |
//! | `CLUSTER_ID`, `NODE_ID`, `CREATE_TOPICS`, ... | the images of Debezium and others, only in an image (`Sources::in_image`) | |
//! | `KAFKA_NUM_PARTITIONS` | Apache's and Confluent's images | |
//! | `MILENA_NUM_PARTITIONS`, `MILENA_ADVERTISE_AUTO` | milena | highest |
//!
//! In all of them `_` stands for `.`, `__` for `_` and `___` for `-`. An empty value is as good as none, since compose
//! files set `${VARIABLE-}`. What a Kubernetes service of the same name injects is no setting.

mod aliases;
mod java;
mod sources;

use crate::config::{key::Kind, keys};

pub use sources::{with_files, with_lost_names};

/// Variables that speak to scripts and the Java machine, or to other parts of a stack: never properties.
const IGNORED: &[&str] = &[
    "KAFKA_BOOTSTRAP_SERVERS",
    "KAFKA_BROKERS",
    "KAFKA_CREATE_TOPICS_SEPARATOR",
    "KAFKA_DATA_DIRS",
    "KAFKA_DEBUG",
    "KAFKA_ENABLE_KRAFT",
    "KAFKA_GC_LOG_OPTS",
    "KAFKA_HEAP_OPTS",
    "KAFKA_HOME",
    "KAFKA_HOST",
    "KAFKA_INITSCRIPTS_DIR",
    "KAFKA_JMX_HOSTNAME",
    "KAFKA_JMX_OPTS",
    "KAFKA_JMX_PORT",
    "KAFKA_JVM_PERFORMANCE_OPTS",
    "KAFKA_KRAFT_MODE",
    "KAFKA_LOG4J_LOGGERS",
    "KAFKA_LOG4J_OPTS",
    "KAFKA_LOG4J_ROOT_LOGLEVEL",
    "KAFKA_MOUNTED_CONF_DIR",
    "KAFKA_SSL_KEYSTORE_CREDENTIALS",
    "KAFKA_SSL_KEYSTORE_FILENAME",
    "KAFKA_SSL_KEY_CREDENTIALS",
    "KAFKA_SSL_TRUSTSTORE_CREDENTIALS",
    "KAFKA_SSL_TRUSTSTORE_FILENAME",
    "KAFKA_TOOLS_LOG4J_LOGLEVEL",
    "KAFKA_VERSION",
    "MILENA_BINARY",
    "MILENA_BOOTSTRAP",
];

const IGNORED_PREFIXES: &[&str] = &["KAFKA_CLUSTERS_", "KAFKA_INIT_", "KAFKA_REST_", "MILENA_TEST_"];

/// The variables of a process.
#[derive(Clone, Copy)]
pub(super) struct Variables<'a> {
    /// Name and value; where a name comes twice the later one wins.
    pub(super) all: &'a [(String, String)],
    /// Whether names without `KAFKA_` are settings, too.
    pub(super) in_image: bool,
}

/// A property that a variable sets.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) property: String,
    pub(super) value: String,
    pub(super) variable: String,
}

/// What the variables say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Reading {
    /// Later ones win.
    pub(super) settings: Vec<Setting>,
    /// One line each about variables that were understood and have no effect.
    pub(super) notes: Vec<String>,
}

/// The property that an environment variable sets: `KAFKA_` goes, the rest in lower case with `_` as `.`, `__` as
/// `_` and `___` as `-`. `KAFKA_CFG_` is another spelling of `KAFKA_`, and `MILENA_` names a key of milena, or else
/// any other. `None` for every other variable.
///
/// ```
/// use milena::config::property_name;
/// assert_eq!(property_name("KAFKA_NUM_PARTITIONS").as_deref(), Some("num.partitions"));
/// assert_eq!(property_name("KAFKA_A__B___C").as_deref(), Some("a_b-c"));
/// ```
pub fn property_name(variable: &str) -> Option<String> {
    if IGNORED.contains(&variable) || IGNORED_PREFIXES.iter().any(|prefix| variable.starts_with(prefix)) {
        return None;
    }
    let (name, rank) = split(variable)?;
    let name = name.to_lowercase().replace('_', ".").replace("...", "-").replace("..", "_");
    Some(match rank {
        Rank::Cfg => aliases::repaired(&name),
        Rank::Milena => {
            let own = format!("milena.{name}");
            if keys::find(&own).is_none() && keys::find_or_base(&name).is_some() { name } else { own }
        }
        _ => name,
    })
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Cfg,
    Alias,
    Kafka,
    Milena,
}

/// The part of a name that stands for a property.
fn split(variable: &str) -> Option<(&str, Rank)> {
    let (name, rank) = if let Some(name) = variable.strip_prefix("KAFKA_CFG_") {
        (name, Rank::Cfg)
    } else if let Some(name) = variable.strip_prefix("KAFKA_") {
        (name, Rank::Kafka)
    } else {
        (variable.strip_prefix("MILENA_")?, Rank::Milena)
    };
    (!name.is_empty()).then_some((name, rank))
}

/// Reads all variables.
pub(super) fn read(variables: Variables<'_>) -> Reading {
    let mut reading = Reading::default();
    let mut ranked = Vec::new();
    for (variable, value) in variables.all {
        if value.is_empty() || is_service_link(variable, value) {
            continue;
        }
        if variable == "KAFKA_OPTS" {
            reading.notes.extend(java::notes(value));
        } else if let Some(note) = aliases::note(variable) {
            reading.notes.push(note);
        } else if let Some((property, value)) = aliases::find(variables, variable, value) {
            ranked.push((Rank::Alias, setting(&property, value, variable)));
        } else if let Some(property) = property_name(variable) {
            let rank = split(variable).map_or(Rank::Kafka, |(_, rank)| rank);
            let value = if rank == Rank::Milena { boolean(&property, value) } else { value };
            ranked.push((rank, setting(&property, value.to_owned(), variable)));
        }
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    reading.settings = ranked.into_iter().map(|(_, setting)| setting).collect();
    reading
}

fn setting(property: &str, value: String, variable: &str) -> Setting {
    Setting { property: property.to_owned(), value, variable: variable.to_owned() }
}

/// `MILENA_ALLOW_STANDALONE=1` is what people write of a switch.
fn boolean<'a>(property: &str, value: &'a str) -> &'a str {
    match value {
        "1" | "yes" | "on" if keys::find(property).is_some_and(|key| key.kind == Kind::Boolean) => "true",
        "0" | "no" | "off" if keys::find(property).is_some_and(|key| key.kind == Kind::Boolean) => "false",
        _ => value,
    }
}

/// Kubernetes tells every container of the services in its namespace: for one that is named `kafka` by
/// `KAFKA_SERVICE_HOST`, `KAFKA_SERVICE_PORT`, `KAFKA_PORT=tcp://10.0.0.1:9092`, `KAFKA_PORT_9092_TCP_ADDR` and so on.
fn is_service_link(variable: &str, value: &str) -> bool {
    let is_url = || ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    let is_of_port = || {
        variable.split_once("_PORT_").is_some_and(|(_, rest)| {
            let mut parts = rest.splitn(3, '_');
            let number = parts.next().is_some_and(|part| part.parse::<u16>().is_ok());
            number && matches!(parts.next(), Some("TCP" | "UDP" | "SCTP"))
        })
    };
    variable.ends_with("_SERVICE_HOST")
        || variable.ends_with("_SERVICE_PORT")
        || variable.contains("_SERVICE_PORT_")
        || (variable.ends_with("_PORT") && is_url())
        || is_of_port()
}

#[cfg(test)]
mod tests;
