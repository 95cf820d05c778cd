//! Groups and their committed offsets.

use crate::config::key::{Key, Valid, int, list, long, short, string};

#[rustfmt::skip] // a table: one key, then its sentence
pub(super) const KEYS: &[Key] = &[
    list("group.consumer.assignors", Some("uniform,range")).honoured()
        .doc("Names of the server-side assignors of consumer groups; the first is the usual one."),
    int("group.consumer.heartbeat.interval.ms", Some("5000")).at_least(1).honoured()
        .doc("Milliseconds between heartbeats of a member of a consumer group."),
    int("group.consumer.max.heartbeat.interval.ms", Some("15000")).at_least(1).honoured()
        .doc("Most milliseconds that a group may set between heartbeats of its consumers."),
    int("group.consumer.max.session.timeout.ms", Some("60000")).at_least(1).honoured()
        .doc("Longest session timeout in milliseconds a consumer group may set."),
    int("group.consumer.max.size", Some("2147483647")).at_least(1).honoured()
        .doc("Most members of a consumer group."),
    string("group.consumer.migration.policy", Some("bidirectional")).valid(Valid::OneOfIgnoreCase(&["DISABLED", "DOWNGRADE", "UPGRADE", "BIDIRECTIONAL"])).honoured()
        .doc("Which way a group may change between the classic and the consumer protocol."),
    int("group.consumer.min.heartbeat.interval.ms", Some("5000")).at_least(1).honoured()
        .doc("Fewest milliseconds that a group may set between heartbeats of its consumers."),
    int("group.consumer.min.session.timeout.ms", Some("45000")).at_least(1).honoured()
        .doc("Shortest session timeout in milliseconds a consumer group may set."),
    int("group.consumer.regex.refresh.interval.ms", Some("600000")).at_least(10_000).internal().honoured()
        .doc("Milliseconds between evaluations of a subscribed pattern, at least 10000."),
    int("group.consumer.session.timeout.ms", Some("45000")).at_least(1).honoured()
        .doc("Milliseconds without a heartbeat after which a consumer is removed."),
    int("group.coordinator.append.linger.ms", Some("5")).at_least(0)
        .doc("Milliseconds the group coordinator collects writes before it appends."),
    list("group.coordinator.rebalance.protocols", Some("classic,consumer,streams")).valid(Valid::EachOf(&["consumer", "classic", "share", "streams"])).honoured()
        .doc("Group protocols that are served: classic, consumer, share, streams."),
    int("group.coordinator.threads", Some("4")).at_least(1)
        .doc("Threads of the group coordinator in Kafka."),
    int("group.initial.rebalance.delay.ms", Some("0")).honoured()
        .doc("Milliseconds an empty classic group waits for more members; milena starts with 0."),
    int("group.max.session.timeout.ms", Some("1800000")).honoured()
        .doc("Longest session timeout in milliseconds of a classic member."),
    int("group.max.size", Some("2147483647")).at_least(1).honoured()
        .doc("Most members of a classic group."),
    int("group.min.session.timeout.ms", Some("6000")).honoured()
        .doc("Shortest session timeout in milliseconds of a classic member."),
    int("group.streams.heartbeat.interval.ms", Some("5000")).at_least(1)
        .doc("Milliseconds between heartbeats of a member of a streams group."),
    int("group.streams.max.heartbeat.interval.ms", Some("15000")).at_least(1)
        .doc("Most milliseconds a streams group may set between heartbeats."),
    int("group.streams.max.session.timeout.ms", Some("60000")).at_least(1)
        .doc("Longest session timeout in milliseconds of a streams group."),
    int("group.streams.max.size", Some("2147483647")).at_least(1)
        .doc("Most members of a streams group."),
    int("group.streams.max.standby.replicas", Some("2")).at_least(0)
        .doc("Most standby replicas a streams group may set."),
    int("group.streams.min.heartbeat.interval.ms", Some("5000")).at_least(1)
        .doc("Fewest milliseconds a streams group may set between heartbeats."),
    int("group.streams.min.session.timeout.ms", Some("45000")).at_least(1)
        .doc("Shortest session timeout in milliseconds of a streams group."),
    int("group.streams.num.standby.replicas", Some("0")).at_least(0)
        .doc("Standby replicas of a streams task."),
    int("group.streams.session.timeout.ms", Some("45000")).at_least(1)
        .doc("Milliseconds without a heartbeat after which a streams member is removed."),
    int("offset.metadata.max.bytes", Some("4096")).honoured()
        .doc("Longest text in bytes that may be stored with a committed offset."),
    int("offsets.commit.timeout.ms", Some("5000")).at_least(1)
        .doc("Milliseconds a commit may wait for its replicas."),
    int("offsets.load.buffer.size", Some("5242880")).at_least(1)
        .doc("Bytes read at a time when committed offsets are loaded."),
    long("offsets.retention.check.interval.ms", Some("600000")).at_least(1).honoured()
        .doc("Milliseconds between two looks for expired offsets."),
    int("offsets.retention.minutes", Some("10080")).at_least(1).honoured()
        .doc("Minutes a committed offset outlives its empty group."),
    int("offsets.topic.compression.codec", Some("0"))
        .doc("Codec number for the offsets topic: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd."),
    int("offsets.topic.num.partitions", Some("50")).at_least(1).honoured()
        .doc("Partitions of __consumer_offsets when it is created."),
    short("offsets.topic.replication.factor", Some("3")).at_least(1).honoured()
        .doc("Replicas of __consumer_offsets; milena takes as many as there are brokers."),
    int("offsets.topic.segment.bytes", Some("104857600")).at_least(1).honoured()
        .doc("Segment size of __consumer_offsets in bytes."),
];
