//! Tiered storage.

use crate::config::key::{Key, Valid, boolean, double, int, long, string};

#[rustfmt::skip] // a table: one key, then its sentence
pub(super) const KEYS: &[Key] = &[
    int("remote.fetch.max.wait.ms", Some("500")).at_least(1).cluster_wide()
        .doc("Milliseconds a fetch may wait for remote storage."),
    long("remote.list.offsets.request.timeout.ms", Some("30000")).at_least(1).cluster_wide()
        .doc("Milliseconds an offset lookup may wait for remote storage."),
    long("remote.log.index.file.cache.total.size.bytes", Some("1073741824")).at_least(1).cluster_wide()
        .doc("Bytes of remote indexes cached on the local disk."),
    int("remote.log.manager.copier.thread.pool.size", Some("10")).at_least(1).cluster_wide()
        .doc("Threads that copy segments to remote storage."),
    long("remote.log.manager.copy.max.bytes.per.second", Some("9223372036854775807")).at_least(1).cluster_wide()
        .doc("Bytes per second copied to remote storage."),
    int("remote.log.manager.copy.quota.window.num", Some("11")).at_least(1)
        .doc("Sample windows of the copy quota."),
    int("remote.log.manager.copy.quota.window.size.seconds", Some("1")).at_least(1)
        .doc("Seconds of one window of the copy quota."),
    int("remote.log.manager.expiration.thread.pool.size", Some("10")).at_least(1).cluster_wide()
        .doc("Threads that delete expired remote segments."),
    long("remote.log.manager.fetch.max.bytes.per.second", Some("9223372036854775807")).at_least(1).cluster_wide()
        .doc("Bytes per second read from remote storage."),
    int("remote.log.manager.fetch.quota.window.num", Some("11")).at_least(1)
        .doc("Sample windows of the remote fetch quota."),
    int("remote.log.manager.fetch.quota.window.size.seconds", Some("1")).at_least(1)
        .doc("Seconds of one window of the remote fetch quota."),
    long("remote.log.manager.task.interval.ms", Some("30000")).at_least(1)
        .doc("Milliseconds between runs of remote storage tasks."),
    long("remote.log.manager.task.retry.backoff.max.ms", Some("30000")).at_least(1).internal()
        .doc("Most milliseconds between tries of a remote storage task."),
    long("remote.log.manager.task.retry.backoff.ms", Some("500")).at_least(1).internal()
        .doc("Milliseconds before the first new try of a remote storage task."),
    double("remote.log.manager.task.retry.jitter", Some("0.2")).valid(Valid::Ratio(0.0, 0.5)).internal()
        .doc("Share of random delay, up to 0.5, between tries of a remote storage task."),
    int("remote.log.manager.thread.pool.size", Some("2")).at_least(1)
        .doc("Threads for remote storage chores of followers."),
    int("remote.log.metadata.custom.metadata.max.bytes", Some("128")).at_least(0)
        .doc("Bytes of own metadata a storage plugin may keep per segment."),
    string("remote.log.metadata.manager.class.name", Some("org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager")).valid(Valid::NonEmpty)
        .doc("Java class that keeps remote segment metadata; not loaded."),
    string("remote.log.metadata.manager.class.path", None)
        .doc("Class path of the remote metadata manager."),
    string("remote.log.metadata.manager.impl.prefix", Some("rlmm.config.")).valid(Valid::NonEmpty)
        .doc("Prefix of settings for the remote metadata manager."),
    string("remote.log.metadata.manager.listener.name", None).valid(Valid::NonEmpty)
        .doc("Listener that the remote metadata manager connects to."),
    int("remote.log.reader.max.pending.tasks", Some("100")).at_least(1)
        .doc("Remote reads that may wait for a thread."),
    int("remote.log.reader.threads", Some("10")).at_least(1).cluster_wide()
        .doc("Threads that read from remote storage."),
    string("remote.log.storage.manager.class.name", None).valid(Valid::NonEmpty)
        .doc("Java class that stores remote segments; not loaded."),
    string("remote.log.storage.manager.class.path", None)
        .doc("Class path of the remote storage manager."),
    string("remote.log.storage.manager.impl.prefix", Some("rsm.config.")).valid(Valid::NonEmpty)
        .doc("Prefix of settings for the remote storage manager."),
    boolean("remote.log.storage.system.enable", Some("false"))
        .doc("Whether tiered storage is on."),
];
