//! The metadata log and its quorum.

use crate::config::key::{Key, boolean, int, long, string};

#[rustfmt::skip] // a table: one key, then its sentence
pub(super) const KEYS: &[Key] = &[
    int("add.partitions.to.txn.retry.backoff.max.ms", Some("100")).at_least(0).honoured()
        .doc("Milliseconds for which a produce is tried again while the transaction before is being ended."),
    int("add.partitions.to.txn.retry.backoff.ms", Some("20")).at_least(1).honoured()
        .doc("Milliseconds between two tries of such a produce."),
    long("controller.performance.always.log.threshold.ms", Some("2000")).at_least(0).internal()
        .doc("Milliseconds from which a slow controller event is always logged."),
    long("controller.performance.sample.period.ms", Some("60000")).at_least(100).internal()
        .doc("Milliseconds over which controller events are averaged for the log."),
    int("controller.quorum.append.linger.ms", Some("25")).at_least(0)
        .doc("Milliseconds the metadata leader collects records before it writes."),
    int("controller.quorum.election.backoff.max.ms", Some("1000")).at_least(0)
        .doc("Most milliseconds between elections of the metadata quorum."),
    int("controller.quorum.election.timeout.ms", Some("1000")).at_least(0)
        .doc("Milliseconds without a leader before a voter stands for election."),
    int("controller.quorum.fetch.timeout.ms", Some("2000")).at_least(0)
        .doc("Milliseconds without news from the quorum leader before a voter stands for election."),
    int("controller.quorum.request.timeout.ms", Some("2000")).at_least(0)
        .doc("Milliseconds a voter waits for an answer of another."),
    int("controller.quorum.retry.backoff.ms", Some("20")).at_least(0)
        .doc("Milliseconds before a quorum request is tried again."),
    long("internal.metadata.delete.delay.millis", Some("60000")).internal()
        .doc("Milliseconds between the removal of a metadata segment and that of its files."),
    int("internal.metadata.log.segment.bytes", None).internal()
        .doc("Size of a metadata segment in bytes, for tests."),
    int("internal.metadata.max.batch.size.in.bytes", Some("8388608")).internal()
        .doc("Largest batch of the metadata log in bytes."),
    int("internal.metadata.max.fetch.size.in.bytes", Some("8388608")).internal()
        .doc("Most bytes of one metadata fetch."),
    string("metadata.log.dir", None).honoured()
        .doc("Directory of the metadata log; unset, the first data directory."),
    long("metadata.log.max.record.bytes.between.snapshots", Some("20971520")).at_least(1).honoured()
        .doc("Bytes of metadata after which a snapshot is written."),
    long("metadata.log.max.snapshot.interval.ms", Some("3600000")).at_least(0).honoured()
        .doc("Milliseconds after which a snapshot is written if anything changed; 0 never."),
    int("metadata.log.segment.bytes", Some("1073741824")).at_least(8_388_608).honoured()
        .doc("Size of a metadata segment in bytes, at least 8388608."),
    long("metadata.log.segment.ms", Some("604800000")).honoured()
        .doc("Milliseconds after which a new metadata segment starts."),
    int("metadata.max.idle.interval.ms", Some("500")).at_least(0)
        .doc("Milliseconds between no-op metadata records while nothing happens; 0 writes none."),
    long("metadata.max.retention.bytes", Some("104857600")).honoured()
        .doc("Bytes of metadata log and snapshots kept."),
    long("metadata.max.retention.ms", Some("604800000")).honoured()
        .doc("Milliseconds old metadata log and snapshots are kept."),
    boolean("unstable.api.versions.enable", Some("false")).internal()
        .doc("Whether unfinished API versions are offered."),
    boolean("unstable.feature.versions.enable", Some("false")).internal()
        .doc("Whether unfinished feature levels are offered."),
];
