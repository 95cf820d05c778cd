//! The metadata log.

use std::time::Duration;

use crate::config::broker_config::{Values, millis};

/// How the metadata log is kept.
#[derive(Clone, Debug)]
pub struct MetadataConfig {
    /// `metadata.log.max.record.bytes.between.snapshots`
    pub snapshot_bytes: u64,
    /// `metadata.log.max.snapshot.interval.ms`; `None` for never.
    pub snapshot_interval: Option<Duration>,
    /// `metadata.max.retention.bytes`; `None` without limit.
    pub retention_bytes: Option<u64>,
    /// `metadata.max.retention.ms`, milliseconds; `None` for ever.
    pub retention_ms: Option<i64>,
    /// `metadata.log.segment.bytes`
    pub segment_bytes: u32,
    /// `metadata.log.segment.ms`, milliseconds
    pub segment_ms: i64,
    /// The first of `controller.quorum.bootstrap.servers` where `controller.quorum.voters` is not set: with such a
    /// configuration Kafka wants the voters of a new cluster in its metadata log (`kafka-storage format --standalone`,
    /// KIP-853), and would wait for ever for a leader without.
    pub standalone: Option<ControllerAddress>,
}

/// Where a controller listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerAddress {
    /// Name of the listener, the first of `controller.listener.names`.
    pub listener: String,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl MetadataConfig {
    pub(super) fn new(values: &Values) -> MetadataConfig {
        let interval = values.long("metadata.log.max.snapshot.interval.ms");
        let retention_ms = values.long("metadata.max.retention.ms");
        MetadataConfig {
            snapshot_bytes: u64::try_from(values.long("metadata.log.max.record.bytes.between.snapshots"))
                .unwrap_or(u64::MAX),
            snapshot_interval: (interval > 0).then(|| millis(interval)),
            retention_bytes: u64::try_from(values.long("metadata.max.retention.bytes")).ok(),
            retention_ms: (retention_ms >= 0).then_some(retention_ms),
            segment_bytes: u32::try_from(values.int("metadata.log.segment.bytes")).unwrap_or(1 << 30),
            segment_ms: values.long("metadata.log.segment.ms"),
            standalone: standalone(values),
        }
    }
}

fn standalone(values: &Values) -> Option<ControllerAddress> {
    if !values.list("controller.quorum.voters").is_empty() {
        return None;
    }
    let servers = values.list("controller.quorum.bootstrap.servers");
    let (host, port) = servers.first()?.rsplit_once(':')?;
    let names = values.text("controller.listener.names").unwrap_or("CONTROLLER");
    let listener = names.split(',').next().unwrap_or_default().trim().to_uppercase();
    Some(ControllerAddress { listener, host: host.to_owned(), port: port.parse().ok()? })
}
