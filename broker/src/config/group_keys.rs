//! One row per key that a group may set for itself (`GroupConfig`), and what holds between them.

use crate::config::broker_config::BrokerConfig;
use crate::config::key::{Key, Valid, int, string};
use crate::config::value::Value;
use std::collections::BTreeMap;

/// A key of a group.
#[derive(Debug)]
pub struct GroupKey {
    /// The key itself.
    pub key: Key,
    /// The broker key that gives its default, if one does.
    pub broker: Option<&'static str>,
    /// Broker keys that bound it: the least and the greatest value.
    bounds: (Option<&'static str>, Option<&'static str>),
}

const fn row(
    key: Key,
    broker: Option<&'static str>,
    least: Option<&'static str>,
    greatest: Option<&'static str>,
) -> GroupKey {
    GroupKey { key, broker, bounds: (least, greatest) }
}

/// All rows, sorted by name.
#[rustfmt::skip] // a table: one key, then its sentence and its broker keys
pub static KEYS: &[GroupKey] = &[
    row(int("consumer.heartbeat.interval.ms", Some("5000")).at_least(1)
        .doc("Milliseconds between heartbeats of a member of a consumer group."),
        Some("group.consumer.heartbeat.interval.ms"), Some("group.consumer.min.heartbeat.interval.ms"), Some("group.consumer.max.heartbeat.interval.ms")),
    row(int("consumer.session.timeout.ms", Some("45000")).at_least(1)
        .doc("Milliseconds without a heartbeat after which a consumer is removed."),
        Some("group.consumer.session.timeout.ms"), Some("group.consumer.min.session.timeout.ms"), Some("group.consumer.max.session.timeout.ms")),
    row(string("share.auto.offset.reset", Some("latest")).valid(Valid::OffsetReset)
        .doc("Where a share group begins: earliest, latest, or by_duration:PnDTnHnMn.nS ago."),
        None, None, None),
    row(int("share.heartbeat.interval.ms", Some("5000")).at_least(1)
        .doc("Milliseconds between heartbeats of a member of a share group."),
        Some("group.share.heartbeat.interval.ms"), Some("group.share.min.heartbeat.interval.ms"), Some("group.share.max.heartbeat.interval.ms")),
    row(string("share.isolation.level", Some("read_uncommitted")).valid(Valid::OneOf(&["read_committed", "read_uncommitted"]))
        .doc("Whether a share group sees records of aborted transactions: read_committed or read_uncommitted."),
        None, None, None),
    row(int("share.record.lock.duration.ms", Some("30000")).at_least(1000)
        .doc("Milliseconds a delivered record stays locked for its consumer."),
        Some("group.share.record.lock.duration.ms"), Some("group.share.min.record.lock.duration.ms"), Some("group.share.max.record.lock.duration.ms")),
    row(int("share.session.timeout.ms", Some("45000")).at_least(1)
        .doc("Milliseconds without a heartbeat after which a share member is removed."),
        Some("group.share.session.timeout.ms"), Some("group.share.min.session.timeout.ms"), Some("group.share.max.session.timeout.ms")),
    row(int("streams.heartbeat.interval.ms", Some("5000")).at_least(1)
        .doc("Milliseconds between heartbeats of a member of a streams group."),
        None, Some("group.streams.min.heartbeat.interval.ms"), Some("group.streams.max.heartbeat.interval.ms")),
    row(int("streams.num.standby.replicas", Some("0")).at_least(0)
        .doc("Standby replicas of a streams task."),
        None, None, Some("group.streams.max.standby.replicas")),
    row(int("streams.session.timeout.ms", Some("45000")).at_least(1)
        .doc("Milliseconds without a heartbeat after which a streams member is removed."),
        None, Some("group.streams.min.session.timeout.ms"), Some("group.streams.max.session.timeout.ms")),
];

/// A session must outlive a heartbeat.
const LONGER_THAN: &[(&str, &str)] = &[
    ("consumer.session.timeout.ms", "consumer.heartbeat.interval.ms"),
    ("share.session.timeout.ms", "share.heartbeat.interval.ms"),
    ("streams.session.timeout.ms", "streams.heartbeat.interval.ms"),
];

/// The row of a key.
pub fn find(name: &str) -> Option<&'static GroupKey> {
    KEYS.binary_search_by(|row| row.key.name.cmp(name)).ok().map(|at| &KEYS[at])
}

/// The value of a key for a group with these settings, as it is described.
pub fn value(row: &GroupKey, broker: &BrokerConfig, settings: &BTreeMap<String, String>) -> Option<Value> {
    match settings.get(row.key.name) {
        Some(text) => Value::parse(&row.key, text).ok(),
        None => row
            .broker
            .and_then(|name| broker.value(name).cloned())
            .or_else(|| Value::parse(&row.key, row.key.default?).ok()),
    }
}

/// Checks all settings of a group. The text is Kafka's, and goes to the client with `INVALID_CONFIG`.
///
/// # Errors
/// What is wrong, in one sentence.
pub fn validate(broker: &BrokerConfig, settings: &BTreeMap<String, String>) -> Result<(), String> {
    if let Some(name) = settings.keys().find(|name| find(name).is_none()) {
        return Err(format!("Unknown group config name: {name}"));
    }
    let mut numbers: BTreeMap<&str, i32> = BTreeMap::new();
    for row in KEYS {
        // Kafka compares with its own defaults, whatever the broker's are.
        let Some(text) = settings.get(row.key.name).map(String::as_str).or(row.key.default) else { continue };
        if let Value::Int(number) = Value::parse(&row.key, text).map_err(|error| error.to_string())? {
            numbers.insert(row.key.name, number);
        }
    }
    for row in KEYS {
        let Some(number) = numbers.get(row.key.name) else { continue };
        let bound = |name: Option<&'static str>| match broker.value(name?) {
            Some(Value::Int(bound)) => Some((name?, *bound)),
            _ => None,
        };
        if let Some((name, _)) = bound(row.bounds.0).filter(|(_, least)| number < least) {
            return Err(format!("{} must be greater than or equal to {name}", row.key.name));
        }
        if let Some((name, _)) = bound(row.bounds.1).filter(|(_, greatest)| number > greatest) {
            return Err(format!("{} must be less than or equal to {name}", row.key.name));
        }
    }
    match LONGER_THAN.iter().find(|(longer, shorter)| numbers.get(longer) <= numbers.get(shorter)) {
        Some((longer, shorter)) => Err(format!("{longer} must be greater than {shorter}")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{KEYS, find, validate, value};
    use crate::config::{BrokerConfig, Sources, keys};
    use std::collections::BTreeMap;
    use std::path::Path;

    fn broker() -> BrokerConfig {
        let overrides = vec![("group.consumer.session.timeout.ms".to_owned(), "50000".to_owned())];
        BrokerConfig::load(&Sources { overrides, ..Sources::default() }, Path::new("/data")).unwrap()
    }

    #[test]
    fn rows_are_sorted_and_name_broker_keys_that_exist() {
        assert!(KEYS.is_sorted_by(|one, next| one.key.name < next.key.name));
        for row in KEYS {
            for name in [row.broker, row.bounds.0, row.bounds.1].into_iter().flatten() {
                assert!(keys::find(name).is_some(), "{name}");
            }
        }
    }

    #[test]
    fn validation() {
        for (settings, expected) in [
            (&[("consumer.session.timeout.ms", "45000")][..], Ok(())),
            (&[("no.such", "1")], Err("Unknown group config name: no.such")),
            (
                &[("consumer.session.timeout.ms", "x")],
                Err(
                    "Invalid value x for configuration consumer.session.timeout.ms: Not a number of type INT",
                ),
            ),
            (
                &[("consumer.session.timeout.ms", "0")],
                Err(
                    "Invalid value 0 for configuration consumer.session.timeout.ms: Value must be at least 1",
                ),
            ),
            (
                &[("consumer.session.timeout.ms", "44999")],
                Err(
                    "consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms",
                ),
            ),
            (
                &[("consumer.heartbeat.interval.ms", "15001")],
                Err(
                    "consumer.heartbeat.interval.ms must be less than or equal to group.consumer.max.heartbeat.interval.ms",
                ),
            ),
            (
                &[("streams.num.standby.replicas", "3")],
                Err(
                    "streams.num.standby.replicas must be less than or equal to group.streams.max.standby.replicas",
                ),
            ),
            (&[("share.auto.offset.reset", "by_duration:P1DT2H")], Ok(())),
            (
                &[("share.isolation.level", "dirty")],
                Err(
                    "Invalid value dirty for configuration share.isolation.level: String must be one of: read_committed, read_uncommitted",
                ),
            ),
        ] {
            let settings: BTreeMap<String, String> =
                settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            assert_eq!(validate(&broker(), &settings), expected.map_err(str::to_owned), "{settings:?}");
        }
    }

    #[test]
    fn defaults_follow_the_broker() {
        let row = find("consumer.session.timeout.ms").unwrap();
        let shown = |settings| value(row, &broker(), &settings).unwrap().to_string();
        assert_eq!(shown(BTreeMap::new()), "50000");
        assert_eq!(shown(BTreeMap::from([(row.key.name.to_owned(), "46000".to_owned())])), "46000");
    }
}
