//! What is refused because ignoring it would be unsafe, and what is only said.

use crate::config::broker_config::{BrokerConfig, Values, requirement};
use crate::config::error::ConfigError;
use crate::config::key::Effect;
use crate::config::keys;
use crate::config::providers::PROVIDERS;
use crate::config::raw::RawConfig;
use crate::config::suggest;
use crate::config::topic_config::TopicConfigError;
use crate::config::value::{Value, parse_voter};

const STANDARD_AUTHORIZER: &str = "org.apache.kafka.metadata.authorizer.StandardAuthorizer";
const OLD_AUTHORIZERS: &[&str] =
    &["kafka.security.authorizer.AclAuthorizer", "kafka.security.auth.SimpleAclAuthorizer"];

/// Classes that would decide who may connect: not loading them would let the wrong clients in.
const DECIDING_CLASSES: &[&str] = &[
    "principal.builder.class",
    "sasl.login.class",
    "sasl.server.callback.handler.class",
    "security.providers",
    "ssl.engine.factory.class",
];

/// Classes whose absence is only inconvenient.
const MISSED_CLASSES: &[&str] = &[
    "alter.config.policy.class.name",
    "client.quota.callback.class",
    "create.topic.policy.class.name",
    "replica.selector.class",
];

/// Who may do what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authorizer {
    /// Everyone may do everything.
    None,
    /// Kafka's access control lists.
    Acls {
        /// Principals that may do everything, such as `User:admin`.
        super_users: Vec<String>,
        /// Whether everyone may use what has no list.
        allow_everyone_if_no_acl_found: bool,
    },
}

/// Warns of names that nobody knows, and in one line of those without effect.
pub(super) fn names(effective: &RawConfig, warnings: &mut Vec<String>) {
    let mut idle = Vec::new();
    for (name, written) in effective.iter() {
        match keys::find_or_base(name) {
            Some(key) if key.effect == Effect::AcceptedNoEffect => idle.push(name),
            Some(_) => {}
            None if keys::is_authorizer_key(name) || keys::is_old_address(name) => {}
            None if name.starts_with(PROVIDERS) => {}
            None if keys::is_removed(name) => idle.push(name),
            None => {
                let candidates = keys::all().filter(|key| !key.internal).map(|key| key.name);
                let hint = suggest::nearest(name, candidates)
                    .map_or_else(String::new, |known| format!("; did you mean {known}?"));
                warnings.push(format!("unknown setting {name} (from {}) is ignored{hint}", written.origin));
            }
        }
    }
    if !idle.is_empty() {
        let plural = if idle.len() == 1 { "setting that has" } else { "settings that have" };
        warnings.push(format!("accepted {} {plural} no effect in milena: {}", idle.len(), idle.join(", ")));
    }
    if effective.get("zookeeper.connect").is_some() && effective.get("process.roles").is_none() {
        warnings.push(
            "zookeeper.connect is ignored: milena keeps its metadata itself, as Kafka 4 does; brokers with the same \
             ZooKeeper are a cluster each"
                .into(),
        );
    }
}

/// Names no ids: one of them is this node.
const SERVERS: &str = "controller.quorum.bootstrap.servers";

/// Refuses to be a silent cluster of its own where several nodes were meant.
pub(super) fn standalone(
    effective: &RawConfig,
    values: &Values,
    is_controller_only: bool,
    warnings: &mut Vec<String>,
) -> Result<(), ConfigError> {
    let (node_id, broker_id) = (values.int("node.id"), effective.get("broker.id"));
    // broker.id as written: -1 leaves it unset.
    if let Some(other) = broker_id.and_then(|raw| raw.value.trim().parse::<i32>().ok())
        && other != -1
        && other != node_id
    {
        return Err(ConfigError::Refused {
            reason: format!("broker.id is {other} and node.id is {node_id}"),
            origin: effective.origin("broker.id"),
            advice: "remove broker.id, or give both the same number".into(),
        });
    }
    let (voters, servers) = (values.list("controller.quorum.voters"), values.list(SERVERS));
    let others: Vec<&str> = voters
        .iter()
        .filter(|voter| parse_voter(voter).is_some_and(|(id, ..)| id != node_id))
        .map(String::as_str)
        .collect();
    let (reason, key) = if is_controller_only {
        return Ok(());
    } else if !others.is_empty() {
        let reason = format!(
            "controller.quorum.voters names other nodes than this one, which is {node_id}: {}",
            others.join(",")
        );
        (reason, "controller.quorum.voters")
    } else if voters.is_empty() && servers.iter().any(|server| !server.eq_ignore_ascii_case(&servers[0])) {
        let reason = format!("{SERVERS} names several nodes: {}", servers.join(","));
        (reason, SERVERS)
    } else if values.list("process.roles") == ["broker"] && voters.is_empty() {
        ("process.roles=broker needs the controller of another node".to_owned(), "process.roles")
    } else {
        return Ok(());
    };
    if values.boolean("milena.allow.standalone") {
        warnings.push(format!("{reason}; starting alone, as milena.allow.standalone=true asks for"));
        return Ok(());
    }
    Err(ConfigError::Refused {
        reason,
        origin: effective.origin(key),
        advice: "milena runs as a single node: keep one broker and remove the setting, or set \
                 milena.allow.standalone=true to start every node as a cluster of its own"
            .into(),
    })
}

/// Refuses Java classes that would decide about security and warns of the others.
pub(super) fn java_classes(
    effective: &RawConfig,
    values: &Values,
    warnings: &mut Vec<String>,
) -> Result<(), ConfigError> {
    for (name, written) in effective.iter() {
        let Some(key) = keys::find_or_base(name) else { continue };
        let class = written.value.trim();
        if class.is_empty() || key.default == Some(class) {
            continue;
        }
        if DECIDING_CLASSES.contains(&key.name) {
            return Err(ConfigError::Refused {
                reason: format!("{name}={class} names a Java class that would decide about security"),
                origin: written.origin.clone(),
                advice: "milena loads no Java classes: remove the setting".into(),
            });
        }
        if MISSED_CLASSES.contains(&name) {
            warnings.push(format!("{name}={class} (from {}): milena loads no Java classes", written.origin));
        }
    }
    if values.boolean("remote.log.storage.system.enable") {
        warnings.push("remote.log.storage.system.enable=true: milena has no tiered storage".into());
    }
    Ok(())
}

/// Refuses times and sizes that Kafka requires to go together, whether they have an effect here or not: with them, Kafka
/// does not start on the same file.
pub(super) fn times_and_sizes(effective: &RawConfig, values: &Values) -> Result<(), ConfigError> {
    let long = |name: &str| match values.get(name) {
        Some(Value::Int(value)) => i64::from(*value),
        Some(Value::Long(value)) => *value,
        _ => 0,
    };
    let (wait, timeout, lag) =
        ("replica.fetch.wait.max.ms", "replica.socket.timeout.ms", "replica.lag.time.max.ms");
    let (queued, largest) = ("queued.max.request.bytes", "socket.request.max.bytes");
    let (delay, idle) = ("connection.failed.authentication.delay.ms", "connections.max.idle.ms");
    let failed = if long(wait) > long(timeout) {
        (wait, format!("{timeout} should always be at least {wait} to prevent unnecessary socket timeouts"))
    } else if long(wait) > long(lag) {
        let text =
            format!("{wait} should always be less than or equal to {lag} to prevent frequent changes in ISR");
        (wait, text)
    } else if long(queued) > 0 && long(queued) < long(largest) {
        (queued, format!("{queued} must be larger or equal to {largest}"))
    } else if long(idle) >= 0 && long(delay) >= long(idle) {
        let (is, than) = (long(delay), long(idle));
        let why = "to prevent failed authentication responses from timing out";
        (idle, format!("{delay}={is} should always be less than {idle}={than} {why}"))
    } else {
        return Ok(());
    };
    let (key, text) = failed;
    let (reason, advice) = (requirement(&text), "change either of them".to_owned());
    Err(ConfigError::Refused { reason, origin: effective.origin(key), advice })
}

/// Refuses compaction that is due before it is allowed. At run time Kafka admits it (`DynamicLogConfig`), and so it is
/// checked at the start alone.
pub(super) fn compaction_lag(config: &BrokerConfig) -> Result<(), ConfigError> {
    let (min, max) =
        (config.topic_defaults.min_compaction_lag_ms, config.topic_defaults.max_compaction_lag_ms);
    if min <= max {
        return Ok(());
    }
    Err(ConfigError::Refused {
        reason: TopicConfigError::CompactionLag { min, max }.to_string(),
        origin: config.written.origin("log.cleaner.min.compaction.lag.ms"),
        advice: "lower log.cleaner.min.compaction.lag.ms, or raise log.cleaner.max.compaction.lag.ms".into(),
    })
}

/// The authorizer that is asked for; one that milena does not know is refused.
pub(super) fn authorizer(effective: &RawConfig, values: &Values) -> Result<Authorizer, ConfigError> {
    let Some(class) = values.text("authorizer.class.name") else { return Ok(Authorizer::None) };
    if class != STANDARD_AUTHORIZER && !OLD_AUTHORIZERS.contains(&class) {
        return Err(ConfigError::Refused {
            reason: format!(
                "authorizer.class.name={class} is unknown, and without it everyone would be let in"
            ),
            origin: effective.origin("authorizer.class.name"),
            advice: format!("set it to {STANDARD_AUTHORIZER}, or remove it"),
        });
    }
    let written = |name: &str| effective.get(name).map_or("", |raw| raw.value.trim());
    let super_users = written("super.users").split(';').map(str::trim).filter(|user| !user.is_empty());
    Ok(Authorizer::Acls {
        super_users: super_users.map(str::to_owned).collect(),
        allow_everyone_if_no_acl_found: written("allow.everyone.if.no.acl.found")
            .eq_ignore_ascii_case("true"),
    })
}
