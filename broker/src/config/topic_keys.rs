//! One row per topic key of Kafka 4.1, with the broker keys it follows where the topic sets nothing.

use crate::config::key::{Key, Valid, boolean, double, int, list, long, string};

const MINUTES: i64 = 60_000;
const HOURS: i64 = 60 * MINUTES;

/// A topic key and its broker keys, the one that wins first.
#[derive(Debug)]
pub struct TopicKey {
    /// The key itself.
    pub key: Key,
    /// Broker keys that give the default, in falling precedence; the first that has a value counts.
    pub broker: &'static [BrokerSynonym],
}

/// A broker key that gives the default of a topic key.
#[derive(Debug)]
pub struct BrokerSynonym {
    /// Name of the broker key.
    pub name: &'static str,
    /// What its value is multiplied with: 1, or milliseconds per unit.
    pub factor: i64,
}

/// The row of a topic key, or `None` for a name that Kafka does not know either.
pub fn find(name: &str) -> Option<&'static TopicKey> {
    KEYS.binary_search_by(|row| row.key.name.cmp(name)).ok().map(|at| &KEYS[at])
}

/// Keys that Kafka 4.0 removed and older tools still send: taken without effect, and never described.
pub const REMOVED: &[&str] =
    &["message.downconversion.enable", "message.format.version", "message.timestamp.difference.max.ms"];

const fn topic(key: Key, broker: &'static [BrokerSynonym]) -> TopicKey {
    TopicKey { key, broker }
}

const fn same(name: &'static str) -> BrokerSynonym {
    BrokerSynonym { name, factor: 1 }
}

const fn times(name: &'static str, factor: i64) -> BrokerSynonym {
    BrokerSynonym { name, factor }
}

/// All rows, sorted by name.
#[rustfmt::skip] // a table: one key, then its sentence and its broker keys
pub static KEYS: &[TopicKey] = &[
    topic(list("cleanup.policy", Some("delete")).valid(Valid::EachOf(&["compact", "delete"])).honoured()
        .doc("delete, compact or both: what becomes of old segments; empty keeps everything."), &[same("log.cleanup.policy")]),
    topic(int("compression.gzip.level", Some("-1")).valid(Valid::BetweenOr(1, 9, -1)).honoured()
        .doc("Level of gzip where the broker compresses: 1 to 9, or -1 for the usual."), &[same("compression.gzip.level")]),
    topic(int("compression.lz4.level", Some("9")).valid(Valid::Between(1, 17)).honoured()
        .doc("Level of lz4 where the broker compresses: 1 to 17."), &[same("compression.lz4.level")]),
    topic(string("compression.type", Some("producer")).valid(Valid::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"])).honoured()
        .doc("Codec of stored batches; producer keeps what arrives, uncompressed removes it."), &[same("compression.type")]),
    topic(int("compression.zstd.level", Some("3")).valid(Valid::Between(-131_072, 22)).honoured()
        .doc("Level of zstd where the broker compresses: -131072 to 22."), &[same("compression.zstd.level")]),
    topic(long("delete.retention.ms", Some("86400000")).at_least(0).honoured()
        .doc("Milliseconds a tombstone of a compacted topic is kept after it was cleaned."), &[same("log.cleaner.delete.retention.ms")]),
    topic(long("file.delete.delay.ms", Some("60000")).at_least(0).honoured()
        .doc("Milliseconds between the removal of a segment and that of its files."), &[same("log.segment.delete.delay.ms")]),
    topic(long("flush.messages", Some("9223372036854775807")).at_least(1).honoured()
        .doc("Records after which a partition is forced to disk; 1 forces every batch before it is acknowledged."), &[same("log.flush.interval.messages")]),
    topic(long("flush.ms", Some("9223372036854775807")).at_least(0).honoured()
        .doc("Milliseconds after which unforced records are forced to disk."), &[same("log.flush.interval.ms"), same("log.flush.scheduler.interval.ms")]),
    topic(list("follower.replication.throttled.replicas", Some("")).valid(Valid::ThrottledReplicas)
        .doc("partition:broker pairs whose followers are throttled; * means all."), &[]),
    topic(int("index.interval.bytes", Some("4096")).at_least(0).honoured()
        .doc("Bytes of records between two entries of the offset index."), &[same("log.index.interval.bytes")]),
    topic(int("internal.segment.bytes", None).honoured().internal()
        .doc("Size of a segment in bytes without the lower bound of segment.bytes, for tests."), &[]),
    topic(list("leader.replication.throttled.replicas", Some("")).valid(Valid::ThrottledReplicas)
        .doc("partition:broker pairs whose leaders are throttled; * means all."), &[]),
    topic(long("local.retention.bytes", Some("-2")).at_least(-2)
        .doc("Bytes of a partition kept locally under tiered storage; -2 follows retention.bytes."), &[same("log.local.retention.bytes")]),
    topic(long("local.retention.ms", Some("-2")).at_least(-2)
        .doc("Milliseconds records stay on the local disk under tiered storage; -2 follows retention.ms."), &[same("log.local.retention.ms")]),
    topic(long("max.compaction.lag.ms", Some("9223372036854775807")).at_least(1).honoured()
        .doc("Milliseconds after which a record must have been offered to compaction."), &[same("log.cleaner.max.compaction.lag.ms")]),
    topic(int("max.message.bytes", Some("1048588")).at_least(0).honoured()
        .doc("Largest record batch in bytes, after compression."), &[same("message.max.bytes")]),
    topic(long("message.timestamp.after.max.ms", Some("3600000")).at_least(0).honoured()
        .doc("Milliseconds a record's timestamp may lie ahead of the broker's clock."), &[same("log.message.timestamp.after.max.ms")]),
    topic(long("message.timestamp.before.max.ms", Some("9223372036854775807")).at_least(0).honoured()
        .doc("Milliseconds a record's timestamp may lie behind the broker's clock."), &[same("log.message.timestamp.before.max.ms")]),
    topic(string("message.timestamp.type", Some("CreateTime")).valid(Valid::OneOf(&["CreateTime", "LogAppendTime"])).honoured()
        .doc("CreateTime keeps the producer's timestamp, LogAppendTime writes the broker's."), &[same("log.message.timestamp.type")]),
    topic(double("min.cleanable.dirty.ratio", Some("0.5")).valid(Valid::Ratio(0.0, 1.0)).honoured()
        .doc("Share of uncompacted bytes, 0 to 1, from which a log is worth cleaning."), &[same("log.cleaner.min.cleanable.ratio")]),
    topic(long("min.compaction.lag.ms", Some("0")).at_least(0).honoured()
        .doc("Milliseconds a record stays safe from compaction."), &[same("log.cleaner.min.compaction.lag.ms")]),
    topic(int("min.insync.replicas", Some("1")).at_least(1).honoured()
        .doc("Replicas that must be in sync before acks=all is accepted."), &[same("min.insync.replicas")]),
    topic(boolean("preallocate", Some("false"))
        .doc("Whether a new segment file takes its full size at once."), &[same("log.preallocate")]),
    topic(boolean("remote.log.copy.disable", Some("false"))
        .doc("Whether segments are no longer copied to remote storage."), &[]),
    topic(boolean("remote.log.delete.on.disable", Some("false"))
        .doc("Whether remote segments go when tiered storage is switched off."), &[]),
    topic(boolean("remote.storage.enable", Some("false"))
        .doc("Whether tiered storage is on for the topic."), &[]),
    topic(long("retention.bytes", Some("-1")).honoured()
        .doc("Bytes kept of a partition; -1 sets no limit."), &[same("log.retention.bytes")]),
    topic(long("retention.ms", Some("604800000")).at_least(-1).honoured()
        .doc("Milliseconds records are kept; -1 keeps them for ever."), &[same("log.retention.ms"), times("log.retention.minutes", MINUTES), times("log.retention.hours", HOURS)]),
    topic(int("segment.bytes", Some("1073741824")).at_least(1_048_576).honoured()
        .doc("Size of a segment in bytes, at least 1048576."), &[same("log.segment.bytes")]),
    topic(int("segment.index.bytes", Some("10485760")).at_least(4).honoured()
        .doc("Largest index file in bytes, at least 4."), &[same("log.index.size.max.bytes")]),
    topic(long("segment.jitter.ms", Some("0")).at_least(0).honoured()
        .doc("Milliseconds by which a roll may come early at random."), &[same("log.roll.jitter.ms"), times("log.roll.jitter.hours", HOURS)]),
    topic(long("segment.ms", Some("604800000")).at_least(1).honoured()
        .doc("Milliseconds after which a new segment starts."), &[same("log.roll.ms"), times("log.roll.hours", HOURS)]),
    topic(boolean("unclean.leader.election.enable", Some("false"))
        .doc("Whether a replica that lags may become leader, losing records."), &[same("unclean.leader.election.enable")]),
];
