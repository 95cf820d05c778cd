//! Fetch limits, waiting lists and quota windows.

use crate::config::key::{Key, class, int};

#[rustfmt::skip] // a table: one key, then its sentence
pub(super) const KEYS: &[Key] = &[
    int("alter.log.dirs.replication.quota.window.num", Some("11")).at_least(1)
        .doc("Sample windows for throttled moves between data directories."),
    int("alter.log.dirs.replication.quota.window.size.seconds", Some("1")).at_least(1)
        .doc("Seconds of one window for throttled moves between data directories."),
    class("client.quota.callback.class", None)
        .doc("Java class that decides client quotas; not loaded."),
    int("controller.quota.window.num", Some("11")).at_least(1).honoured()
        .doc("Sample windows over which a quota on controller changes is measured."),
    int("controller.quota.window.size.seconds", Some("1")).at_least(1).honoured()
        .doc("Seconds of one window of the quota on controller changes."),
    int("delete.records.purgatory.purge.interval.requests", Some("1"))
        .doc("Finished DeleteRecords requests after which Kafka sweeps its waiting list."),
    int("fetch.max.bytes", Some("57671680")).at_least(1024).honoured()
        .doc("Most record bytes in one fetch answer, at least 1024; a first larger batch is still sent."),
    int("fetch.purgatory.purge.interval.requests", Some("1000"))
        .doc("Finished fetches after which Kafka sweeps its waiting list."),
    int("producer.purgatory.purge.interval.requests", Some("1000"))
        .doc("Finished produce requests after which Kafka sweeps its waiting list."),
    int("quota.window.num", Some("11")).at_least(1).honoured()
        .doc("Sample windows over which a client quota is measured."),
    int("quota.window.size.seconds", Some("1")).at_least(1).honoured()
        .doc("Seconds of one client quota window."),
    int("replication.quota.window.num", Some("11")).at_least(1)
        .doc("Sample windows over which replication throttles are measured."),
    int("replication.quota.window.size.seconds", Some("1")).at_least(1)
        .doc("Seconds of one replication throttle window."),
    int("share.fetch.purgatory.purge.interval.requests", Some("1000"))
        .doc("Finished share fetches after which Kafka sweeps its waiting list."),
];
