//! Which broker keys may change while the broker runs (Kafka's `DynamicBrokerConfig`).

use crate::config::key::Dynamic;
use crate::config::keys;
use crate::config::value::Value;
use std::collections::BTreeMap;

/// What concerns a certificate is set for each listener, or in the file.
const PER_LISTENER: &[&str] = &[
    "ssl.key.password",
    "ssl.keystore.certificate.chain",
    "ssl.keystore.key",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.keystore.type",
    "ssl.truststore.certificates",
    "ssl.truststore.location",
    "ssl.truststore.password",
    "ssl.truststore.type",
];
/// Keys of a listener that may be the same for all brokers.
const LISTENER_CLUSTER_WIDE: &[&str] = &["max.connection.creation.rate", "max.connections", NETWORK_THREADS];
/// Sizes of thread pools, which may at most double or halve in one step.
const POOLS: &[&str] = &[
    "background.threads",
    "num.io.threads",
    "num.recovery.threads.per.data.dir",
    "num.replica.fetchers",
    "remote.log.manager.copier.thread.pool.size",
    "remote.log.manager.expiration.thread.pool.size",
    "remote.log.reader.threads",
];
/// The same for each listener.
pub const NETWORK_THREADS: &str = "num.network.threads";

/// Checks what shall be set at run time for one broker, or for all of them. The text is Kafka's.
///
/// # Errors
/// What is wrong, in one sentence.
pub fn check(settings: &BTreeMap<String, String>, per_broker: bool) -> Result<(), String> {
    // As Scala shows a set.
    let named = |wanted: &dyn Fn(&str) -> bool| {
        let names: Vec<&str> = settings.keys().map(String::as_str).filter(|name| wanted(name)).collect();
        (!names.is_empty()).then(|| format!("Set({})", names.join(", ")))
    };
    if let Some(names) = named(&is_read_only) {
        return Err(format!("Cannot update these configs dynamically: {names}"));
    }
    if let Some(names) = named(&|name| PER_LISTENER.contains(&name)) {
        let what =
            "These security configs can be dynamically updated only per-listener using the listener prefix";
        return Err(format!("{what}: Hash{names}"));
    }
    for (name, text) in settings {
        if let Some(key) = keys::find_or_base(name) {
            Value::parse(key, text).map_err(|error| error.to_string())?;
        }
    }
    if !per_broker && let Some(names) = named(&is_of_one_broker) {
        let what = "Cannot update these configs at default cluster level, broker id must be specified";
        return Err(format!("{what}: {names}"));
    }
    Ok(())
}

/// What of the stored settings can be in force; the names of the others.
pub fn usable(
    settings: &BTreeMap<String, String>,
    per_broker: bool,
) -> (BTreeMap<String, String>, Vec<String>) {
    let is_usable = |name: &String, text: &String| {
        check(&BTreeMap::from([(name.clone(), text.clone())]), per_broker).is_ok()
    };
    let (mut usable, mut ignored) = (BTreeMap::new(), Vec::new());
    for (name, text) in settings {
        if is_usable(name, text) {
            usable.insert(name.clone(), text.clone());
        } else {
            ignored.push(name.clone());
        }
    }
    (usable, ignored)
}

/// Checks that thread pools grow and shrink by no more than a factor of two, as Kafka's do. `value` gives a key's value
/// before and after the change.
///
/// # Errors
/// What is wrong, in one sentence.
pub fn check_pools(value: impl Fn(&str) -> (Option<Value>, Option<Value>)) -> Result<(), String> {
    for name in POOLS {
        check_pool(name, value(name))?;
    }
    let (Some(Value::Int(before)), Some(Value::Int(after))) = value("log.cleaner.threads") else {
        return Ok(());
    };
    let limit = match after {
        _ if after == before => return Ok(()),
        ..=0 => return Err("Log cleaner threads should be at least 1".to_owned()),
        _ if after < before / 2 => "reduced to less than half",
        _ if is_doubled(before, after) => "increased to more than double",
        _ => return Ok(()),
    };
    Err(format!("Log cleaner threads cannot be {limit} the current value {before}"))
}

/// The same for one pool, of which there is a value before and after the change.
///
/// # Errors
/// What is wrong, in one sentence.
pub fn check_pool(name: &str, sizes: (Option<Value>, Option<Value>)) -> Result<(), String> {
    let (Some(Value::Int(before)), Some(Value::Int(after))) = sizes else { return Ok(()) };
    let limit = match after {
        _ if after < before / 2 => "be at least half",
        _ if is_doubled(before, after) => "not be greater than double",
        _ => return Ok(()),
    };
    let failed = format!("Dynamic thread count update validation failed for {name}={after}");
    Err(format!("{failed}, value should {limit} the current value {before}"))
}

/// Checks that classes which are to report metrics can be loaded: of those that Kafka knows there is one, which is its
/// default. `changed` are the keys that get another value.
///
/// # Errors
/// What is wrong, in one sentence.
pub fn check_reporters(settings: &BTreeMap<String, String>, changed: &[&str]) -> Result<(), String> {
    const KEY: &str = "metric.reporters";
    const KNOWN: &str = "org.apache.kafka.common.metrics.JmxReporter";
    let classes = settings.get(KEY).map_or("", String::as_str);
    let are_known = classes.split(',').map(str::trim).all(|class| class.is_empty() || class == KNOWN);
    if are_known || !changed.contains(&KEY) {
        return Ok(());
    }
    let (names, class) = (changed.join(", "), "class kafka.server.DynamicMetricsReporters");
    Err(format!("Validation of dynamic config update of Set({names}) failed with class {class}"))
}

/// Checks that some connections stay possible: a limit of 0, which a start takes, would lock out whoever could lift it.
///
/// # Errors
/// What is wrong, in one sentence.
pub fn check_connections(settings: &BTreeMap<String, String>) -> Result<(), String> {
    for (name, text) in settings {
        let base = keys::listener_base(name).unwrap_or(name);
        let is_limit = ["max.connection.creation.rate", "max.connections"].contains(&base);
        if is_limit && text.trim().parse::<i32>().is_ok_and(|value| value <= 0) {
            return Err(format!("Invalid {base} {}", text.trim()));
        }
    }
    Ok(())
}

fn is_doubled(before: i32, after: i32) -> bool {
    i64::from(after) > 2 * i64::from(before)
}

fn is_read_only(name: &str) -> bool {
    keys::find(name).is_some_and(|key| key.dynamic == Dynamic::ReadOnly)
}

fn is_of_one_broker(name: &str) -> bool {
    match keys::listener_base(name) {
        Some(base) => !LISTENER_CLUSTER_WIDE.contains(&base),
        None => keys::find(name).is_some_and(|key| key.dynamic == Dynamic::PerBroker),
    }
}

#[cfg(test)]
mod tests {
    use super::{check, check_connections, check_pools, usable};
    use crate::config::value::Value;
    use std::collections::BTreeMap;

    #[test]
    fn nobody_is_locked_out() {
        for (key, value, refused) in [
            ("max.connections", "0", Some("Invalid max.connections 0")),
            ("listener.name.a.max.connections", " 0", Some("Invalid max.connections 0")),
            (
                "listener.name.a.max.connection.creation.rate",
                "0",
                Some("Invalid max.connection.creation.rate 0"),
            ),
            ("max.connections", "1", None),
        ] {
            let settings = BTreeMap::from([(key.to_owned(), value.to_owned())]);
            assert_eq!(check_connections(&settings).err().as_deref(), refused, "{key}={value}");
        }
    }

    #[test]
    fn what_can_be_set_and_for_whom() {
        let only_one = "Cannot update these configs at default cluster level, broker id must be specified";
        let prefix =
            "These security configs can be dynamically updated only per-listener using the listener prefix";
        // Key, value, what is wrong with it for one broker, and for all.
        for (key, value, one, all) in [
            ("log.retention.ms", "5", None, None),
            ("no.such.key", "5", None, None),
            (
                "listeners",
                "PLAINTEXT://:1",
                Some("Cannot update these configs dynamically: Set(listeners)".to_owned()),
                Some("Cannot update these configs dynamically: Set(listeners)".to_owned()),
            ),
            (
                "sasl.kerberos.service.name",
                "a",
                None,
                Some(format!("{only_one}: Set(sasl.kerberos.service.name)")),
            ),
            (
                "ssl.keystore.type",
                "PEM",
                Some(format!("{prefix}: HashSet(ssl.keystore.type)")),
                Some(format!("{prefix}: HashSet(ssl.keystore.type)")),
            ),
            (
                "listener.name.a.ssl.keystore.type",
                "PEM",
                None,
                Some(format!("{only_one}: Set(listener.name.a.ssl.keystore.type)")),
            ),
            ("listener.name.a.max.connections", "5", None, None),
            (
                "listener.name.a.max.connections",
                "x",
                Some(
                    "Invalid value x for configuration max.connections: Not a number of type INT".to_owned(),
                ),
                Some(
                    "Invalid value x for configuration max.connections: Not a number of type INT".to_owned(),
                ),
            ),
        ] {
            let settings = BTreeMap::from([(key.to_owned(), value.to_owned())]);
            assert_eq!(
                (check(&settings, true).err(), check(&settings, false).err()),
                (one.clone(), all),
                "{key}"
            );
            let (kept, ignored) = usable(&settings, true);
            assert_eq!((kept.len(), ignored.len()), (usize::from(one.is_none()), usize::from(one.is_some())));
        }
    }

    #[test]
    fn pools_double_or_halve() {
        for (before, after, is_admitted) in [
            (8, 8, true),
            (8, 4, true),
            (8, 3, false),
            (8, 16, true),
            (8, 17, false),
            (i32::MAX, i32::MAX, true),
        ] {
            let value = |key: &str| match key {
                "num.io.threads" => (Some(Value::Int(before)), Some(Value::Int(after))),
                _ => (None, None),
            };
            assert_eq!(check_pools(value).is_ok(), is_admitted, "{before} {after}");
        }
    }
}
