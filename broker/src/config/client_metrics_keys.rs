//! One row per key of a client metrics subscription (KIP-714), and Kafka's checks of them (`ClientMetricsConfigs`).

use crate::config::key::{Key, int, list};
use crate::config::value::Value;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// All rows, sorted by name.
#[rustfmt::skip] // a table: one key, then its sentence
pub static KEYS: &[Key] = &[
    int("interval.ms", Some("300000"))
        .doc("Milliseconds between two pushes of a client, 100 to 3600000."),
    list("match", Some(""))
        .doc("parameter=pattern pairs that choose the clients; empty chooses all."),
    list("metrics", Some(""))
        .doc("Prefixes of the names of the metrics that are pushed."),
];

/// What a pattern may be about.
const PARAMETERS: &[&str] = &[
    "client_id",
    "client_instance_id",
    "client_software_name",
    "client_software_version",
    "client_source_address",
    "client_source_port",
];

const INTERVALS: RangeInclusive<i32> = 100..=3_600_000;

/// Why a subscription is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientMetricsError {
    /// Kafka answers `INVALID_REQUEST`.
    #[error("{0}")]
    Request(String),
    /// Kafka answers `INVALID_CONFIG`.
    #[error("{0}")]
    Config(String),
}

/// The row of a key.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.binary_search_by(|key| key.name.cmp(name)).ok().map(|at| &KEYS[at])
}

/// Checks all settings of a subscription. The texts are Kafka's.
///
/// # Errors
/// [`ClientMetricsError`]
pub fn validate(settings: &BTreeMap<String, String>) -> Result<(), ClientMetricsError> {
    use ClientMetricsError::{Config, Request};
    if let Some(name) = settings.keys().find(|name| find(name).is_none()) {
        return Err(Request(format!("Unknown client metrics configuration: {name}")));
    }
    for (name, text) in settings {
        let Some(key) = find(name) else { continue };
        match Value::parse(key, text).map_err(|error| Config(error.to_string()))? {
            Value::Int(interval) if !INTERVALS.contains(&interval) => {
                let limits = "interval must be between 100 and 3600000 (1 hour)";
                return Err(Request(format!("Invalid value {interval} for {name}, {limits}")));
            }
            Value::List(patterns) if name == "match" => {
                if let Some(pattern) = patterns.iter().find(|pattern| !is_pattern(pattern)) {
                    return Err(Config(format!("Illegal client matching pattern: {pattern}")));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether it is `parameter=pattern`; the pattern itself is not compiled.
fn is_pattern(text: &str) -> bool {
    text.split_once('=').is_some_and(|(parameter, pattern)| {
        PARAMETERS.contains(&parameter.trim()) && !pattern.is_empty() && !pattern.contains('=')
    })
}

#[cfg(test)]
mod tests {
    use super::ClientMetricsError::{self, Config, Request};
    use super::{KEYS, validate};
    use std::collections::BTreeMap;

    #[test]
    fn validation() {
        assert!(KEYS.is_sorted_by(|one, next| one.name < next.name));
        let request = |text: &str| Err(Request(text.to_owned()));
        let config = |text: &str| Err(Config(text.to_owned()));
        let cases: [(&str, &str, Result<(), ClientMetricsError>); 10] = [
            ("interval.ms", "100", Ok(())),
            ("interval.ms", "3600000", Ok(())),
            (
                "interval.ms",
                "99",
                request(
                    "Invalid value 99 for interval.ms, interval must be between 100 and 3600000 (1 hour)",
                ),
            ),
            (
                "interval.ms",
                "x",
                config("Invalid value x for configuration interval.ms: Not a number of type INT"),
            ),
            ("metrics", "org.apache.,*", Ok(())),
            ("match", "client_id=a.*, client_source_port=1", Ok(())),
            ("match", "client_id", config("Illegal client matching pattern: client_id")),
            ("match", "who=a", config("Illegal client matching pattern: who=a")),
            ("match", "client_id=a=b", config("Illegal client matching pattern: client_id=a=b")),
            ("colour", "red", request("Unknown client metrics configuration: colour")),
        ];
        for (name, value, expected) in cases {
            let settings = BTreeMap::from([(name.to_owned(), value.to_owned())]);
            assert_eq!(validate(&settings), expected, "{name}={value}");
        }
    }
}
