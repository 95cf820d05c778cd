//! Limits on the copying of partitions, which are set while it goes on (Kafka's `QuotaConfig.brokerQuotaConfigs`).
//!
//! They are no keys of a file in Kafka: described where somebody has set them, as read-only, without a default and without a
//! sentence.

use crate::config::key::{Key, long};

/// More than any device copies.
const UNLIMITED: Option<&str> = Some("9223372036854775807");

#[rustfmt::skip] // a table: one key, then its sentence
pub(super) const KEYS: &[Key] = &[
    long("follower.replication.throttled.rate", UNLIMITED).at_least(0).cluster_wide().internal()
        .doc("Bytes per second that followers take of throttled partitions."),
    long("leader.replication.throttled.rate", UNLIMITED).at_least(0).cluster_wide().internal()
        .doc("Bytes per second that leaders give of throttled partitions."),
    long("replica.alter.log.dirs.io.max.bytes.per.second", UNLIMITED).at_least(0).cluster_wide().internal().honoured()
        .doc("Bytes per second that are copied of partitions on their way to another data directory."),
];
