//! Names outside the table that configurations still carry.

/// Read by Kafka's authorizer itself.
pub(super) const AUTHORIZER: &[&str] = &["allow.everyone.if.no.acl.found", "super.users"];

/// Addresses before Kafka 3, which `listeners` and `advertised.listeners` follow from where they are not set.
pub(super) const OLD_ADDRESSES: &[&str] = &["advertised.host.name", "advertised.port", "host.name", "port"];

/// Prefixes of keys for plugins, other products and what Kafka 4 no longer has.
pub(super) const PREFIXES: &[&str] = &["confluent.", "rlmm.config.", "rsm.config.", "zookeeper."];

/// Keys of releases before Kafka 4 or after 4.1, sorted.
pub(super) const REMOVED: &[&str] = &[
    "auto.include.jmx.reporter",
    "broker.id.generation.enable",
    "control.plane.listener.name",
    "cordoned.log.dirs",
    "delegation.token.master.key",
    "group.coordinator.new.enable",
    "inter.broker.protocol.version",
    "log.message.downconversion.enable",
    "log.message.format.version",
    "log.message.timestamp.difference.max.ms",
    "offsets.commit.required.acks",
    "password.encoder.cipher.algorithm",
    "password.encoder.iterations",
    "password.encoder.key.length",
    "password.encoder.keyfactory.algorithm",
    "password.encoder.old.secret",
    "password.encoder.secret",
    "reserved.broker.max.id",
];
