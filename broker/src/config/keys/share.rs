//! Share groups.

use crate::config::key::{Key, Valid, boolean, int, list, short, string};

#[rustfmt::skip] // a table: one key, then its sentence
pub(super) const KEYS: &[Key] = &[
    list("group.share.assignors", Some("simple"))
        .doc("Names of the assignors of share groups."),
    int("group.share.delivery.count.limit", Some("5")).valid(Valid::Between(2, 10))
        .doc("Deliveries after which a share group gives a record up, 2 to 10."),
    boolean("group.share.enable", Some("false")).internal()
        .doc("Whether share groups are offered, in early releases."),
    int("group.share.heartbeat.interval.ms", Some("5000")).at_least(1)
        .doc("Milliseconds between heartbeats of a member of a share group."),
    int("group.share.max.heartbeat.interval.ms", Some("15000")).at_least(1)
        .doc("Most milliseconds a share group may set between heartbeats."),
    int("group.share.max.record.lock.duration.ms", Some("60000")).valid(Valid::Between(30_000, 3_600_000))
        .doc("Longest lock in milliseconds on a delivered record."),
    int("group.share.max.session.timeout.ms", Some("60000")).at_least(1)
        .doc("Longest session timeout in milliseconds of a share group."),
    int("group.share.max.share.sessions", Some("2000")).at_least(1)
        .doc("Share sessions remembered at once."),
    int("group.share.max.size", Some("200")).valid(Valid::Between(1, 1000))
        .doc("Most members of a share group, up to 1000."),
    int("group.share.min.heartbeat.interval.ms", Some("5000")).at_least(1)
        .doc("Fewest milliseconds a share group may set between heartbeats."),
    int("group.share.min.record.lock.duration.ms", Some("15000")).valid(Valid::Between(1000, 30_000))
        .doc("Shortest lock in milliseconds on a delivered record."),
    int("group.share.min.session.timeout.ms", Some("45000")).at_least(1)
        .doc("Shortest session timeout in milliseconds of a share group."),
    int("group.share.partition.max.record.locks", Some("2000")).valid(Valid::Between(100, 10_000))
        .doc("Records of a partition that a share group may hold at once."),
    string("group.share.persister.class.name", Some("org.apache.kafka.server.share.persister.DefaultStatePersister")).internal()
        .doc("Java class that stores the state of share groups; not loaded."),
    int("group.share.record.lock.duration.ms", Some("30000")).valid(Valid::Between(1000, 3_600_000))
        .doc("Milliseconds a delivered record stays locked for its consumer."),
    int("group.share.session.timeout.ms", Some("45000")).at_least(1)
        .doc("Milliseconds without a heartbeat after which a share member is removed."),
    int("share.coordinator.append.linger.ms", Some("5")).at_least(0)
        .doc("Milliseconds the share coordinator collects writes before it appends."),
    int("share.coordinator.cold.partition.snapshot.interval.ms", Some("300000")).at_least(1).internal()
        .doc("Milliseconds after which unused share state gets a snapshot."),
    int("share.coordinator.load.buffer.size", Some("5242880")).at_least(1)
        .doc("Bytes read at a time when share state is loaded."),
    int("share.coordinator.snapshot.update.records.per.snapshot", Some("500")).at_least(0)
        .doc("Share state updates between two snapshots."),
    int("share.coordinator.state.topic.compression.codec", Some("0"))
        .doc("Codec number for the share state topic."),
    short("share.coordinator.state.topic.min.isr", Some("2")).at_least(1)
        .doc("In-sync replicas that the share state topic asks for."),
    int("share.coordinator.state.topic.num.partitions", Some("50")).at_least(1)
        .doc("Partitions of __share_group_state when it is created."),
    int("share.coordinator.state.topic.prune.interval.ms", Some("300000")).at_least(1).internal()
        .doc("Milliseconds between removals of old share state."),
    short("share.coordinator.state.topic.replication.factor", Some("3")).at_least(1)
        .doc("Replicas of __share_group_state."),
    int("share.coordinator.state.topic.segment.bytes", Some("104857600")).at_least(1)
        .doc("Segment size of __share_group_state in bytes."),
    int("share.coordinator.threads", Some("1")).at_least(1)
        .doc("Threads of the share coordinator in Kafka."),
    int("share.coordinator.write.timeout.ms", Some("5000")).at_least(1)
        .doc("Milliseconds a share state write may wait for its replicas."),
];
