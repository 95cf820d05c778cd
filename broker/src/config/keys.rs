//! One row per broker key that Kafka 4.1 or milena knows, one file per area.
//!
//! Names, types, ranges, defaults and the kind of dynamic update are Kafka's. Defaults that differ on purpose:
//! `group.initial.rebalance.delay.ms` is 0, `listeners` is `PLAINTEXT://localhost:9092`, `node.id` is 1,
//! `process.roles` is `broker,controller`, and `log.dir` is the user's data directory. `listeners` and
//! `listener.security.protocol.map` are read once, at the start, and so are no dynamic keys here.

mod authorization;
mod broker;
mod group;
mod log;
mod metadata;
mod metrics;
mod milena;
mod network;
mod quota;
mod replication;
mod sasl;
mod share;
mod throttle;
mod tiered;
mod tls;
mod transaction;
mod unlisted;

use crate::config::key::Key;

/// The areas, each sorted by name.
static AREAS: &[&[Key]] = &[
    authorization::KEYS,
    broker::KEYS,
    group::KEYS,
    log::KEYS,
    metadata::KEYS,
    metrics::KEYS,
    milena::KEYS,
    network::KEYS,
    quota::KEYS,
    replication::KEYS,
    sasl::KEYS,
    share::KEYS,
    throttle::KEYS,
    tiered::KEYS,
    tls::KEYS,
    transaction::KEYS,
];

/// Keys that mean something below `listener.name.<listener>.<mechanism>.`.
const PER_MECHANISM: &[&str] = &[
    "connections.max.reauth.ms",
    "sasl.jaas.config",
    "sasl.login.callback.handler.class",
    "sasl.login.class",
    "sasl.server.callback.handler.class",
];

/// Every row, area by area.
pub fn all() -> impl Iterator<Item = &'static Key> {
    AREAS.iter().flat_map(|area| area.iter())
}

/// The row of a key.
pub fn find(name: &str) -> Option<&'static Key> {
    AREAS.iter().find_map(|area| area.binary_search_by(|key| key.name.cmp(name)).ok().map(|at| &area[at]))
}

/// Whether a key limits how partitions are copied, and so has no place in a file.
pub fn is_throttle(name: &str) -> bool {
    throttle::KEYS.iter().any(|key| key.name == name)
}

/// The key that `listener.name.<listener>.<key>` or `listener.name.<listener>.<mechanism>.<key>` sets.
pub fn listener_base(name: &str) -> Option<&str> {
    let (listener, base) = name.strip_prefix("listener.name.")?.split_once('.')?;
    if listener.is_empty() || base.is_empty() {
        return None;
    }
    Some(PER_MECHANISM.iter().find(|suffix| base.ends_with(**suffix)).copied().unwrap_or(base))
}

/// The row of a key, or the row that a key below `listener.name.` sets for one listener.
pub fn find_or_base(name: &str) -> Option<&'static Key> {
    find(name).or_else(|| find(listener_base(name)?))
}

/// Broker keys that stand for the same setting, the one that wins first; the name alone where it has no others
/// (Kafka's `DynamicBrokerConfig.brokerConfigSynonyms`).
pub fn synonyms(name: &str) -> Vec<&str> {
    const GROUPS: &[&[&str]] = &[
        &["log.roll.ms", "log.roll.hours"],
        &["log.roll.jitter.ms", "log.roll.jitter.hours"],
        &["log.retention.ms", "log.retention.minutes", "log.retention.hours"],
    ];
    if name == "log.flush.interval.ms" {
        return vec![name, "log.flush.scheduler.interval.ms"];
    }
    if let Some(group) = GROUPS.iter().find(|group| group.contains(&name)) {
        return group.to_vec();
    }
    match listener_base(name) {
        Some(base) => vec![name, base],
        None => vec![name],
    }
}

/// Whether a name belongs to a release before Kafka 4 or to another product: accepted without effect.
pub fn is_removed(name: &str) -> bool {
    unlisted::REMOVED.binary_search(&name).is_ok()
        || unlisted::PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether a name is one that addresses had before Kafka 3.
pub fn is_old_address(name: &str) -> bool {
    unlisted::OLD_ADDRESSES.contains(&name)
}

/// Whether a name is read by Kafka's authorizer, outside the table of broker keys.
pub fn is_authorizer_key(name: &str) -> bool {
    unlisted::AUTHORIZER.contains(&name)
}

#[cfg(test)]
mod tests;
