//! Partition logs: segments, retention, compaction and flushing.

use crate::config::key::{Key, Valid, boolean, double, int, list, long, string};

#[rustfmt::skip] // a table: one key, then its sentence
pub(super) const KEYS: &[Key] = &[
    int("compression.gzip.level", Some("-1")).valid(Valid::BetweenOr(1, 9, -1)).honoured().cluster_wide()
        .doc("Level of gzip where the broker compresses: 1 to 9, or -1 for the usual."),
    int("compression.lz4.level", Some("9")).valid(Valid::Between(1, 17)).honoured().cluster_wide()
        .doc("Level of lz4 where the broker compresses: 1 to 17."),
    string("compression.type", Some("producer")).valid(Valid::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"])).honoured().cluster_wide()
        .doc("Codec of stored batches; producer keeps what arrives, uncompressed removes it."),
    int("compression.zstd.level", Some("3")).valid(Valid::Between(-131_072, 22)).honoured().cluster_wide()
        .doc("Level of zstd where the broker compresses: -131072 to 22."),
    long("log.cleaner.backoff.ms", Some("15000")).at_least(0).honoured().cluster_wide()
        .doc("Milliseconds the cleaner sleeps when nothing is left to clean."),
    long("log.cleaner.dedupe.buffer.size", Some("134217728")).honoured().cluster_wide()
        .doc("Bytes for the key maps of all cleaner threads together."),
    long("log.cleaner.delete.retention.ms", Some("86400000")).at_least(0).honoured().cluster_wide()
        .doc("Milliseconds a tombstone of a compacted topic is kept after it was cleaned."),
    boolean("log.cleaner.enable", Some("true")).honoured()
        .doc("Whether compaction runs; false lets compacted topics grow."),
    double("log.cleaner.io.buffer.load.factor", Some("0.9")).honoured().cluster_wide()
        .doc("Share of the key map that may be filled, between 0 and 1."),
    int("log.cleaner.io.buffer.size", Some("524288")).at_least(0).honoured().cluster_wide()
        .doc("Bytes for the read and write buffers of all cleaner threads."),
    double("log.cleaner.io.max.bytes.per.second", Some("1.7976931348623157E308")).honoured().cluster_wide()
        .doc("Bytes per second the cleaner may read and write together."),
    long("log.cleaner.max.compaction.lag.ms", Some("9223372036854775807")).at_least(1).honoured().cluster_wide()
        .doc("Milliseconds after which a record must have been offered to compaction."),
    double("log.cleaner.min.cleanable.ratio", Some("0.5")).valid(Valid::Ratio(0.0, 1.0)).honoured().cluster_wide()
        .doc("Share of uncompacted bytes, 0 to 1, from which a log is worth cleaning."),
    long("log.cleaner.min.compaction.lag.ms", Some("0")).at_least(0).honoured().cluster_wide()
        .doc("Milliseconds a record stays safe from compaction."),
    int("log.cleaner.threads", Some("1")).at_least(0).honoured().cluster_wide()
        .doc("Threads that compact logs."),
    list("log.cleanup.policy", Some("delete")).valid(Valid::EachOf(&["compact", "delete"])).honoured().cluster_wide()
        .doc("delete, compact or both: what becomes of old segments; empty keeps everything."),
    string("log.dir", None).honoured()
        .doc("Data directory, used when log.dirs is not set."),
    long("log.dir.failure.timeout.ms", Some("30000")).at_least(1)
        .doc("Milliseconds a broker may fail to report a dead data directory before it stops."),
    string("log.dirs", None).honoured()
        .doc("Comma-separated data directories; unset, log.dir is used."),
    long("log.flush.interval.messages", Some("9223372036854775807")).at_least(1).honoured().cluster_wide()
        .doc("Records after which a partition is forced to disk, at least 1."),
    long("log.flush.interval.ms", None).honoured().cluster_wide()
        .doc("Milliseconds after which unforced records are forced to disk; unset, log.flush.scheduler.interval.ms counts."),
    int("log.flush.offset.checkpoint.interval.ms", Some("60000")).at_least(0).honoured()
        .doc("Milliseconds between writes of the recovery point checkpoint."),
    long("log.flush.scheduler.interval.ms", Some("9223372036854775807")).honoured()
        .doc("Milliseconds between looks for logs that are due to be forced to disk."),
    int("log.flush.start.offset.checkpoint.interval.ms", Some("60000")).at_least(0).honoured()
        .doc("Milliseconds between writes of the log start offset checkpoint."),
    int("log.index.interval.bytes", Some("4096")).at_least(0).honoured().cluster_wide()
        .doc("Bytes of records between two entries of the offset index."),
    int("log.index.size.max.bytes", Some("10485760")).at_least(4).honoured().cluster_wide()
        .doc("Largest index file in bytes, at least 4."),
    long("log.initial.task.delay.ms", Some("30000")).at_least(0).honoured().internal()
        .doc("Milliseconds between the start and the first background task on logs."),
    long("log.local.retention.bytes", Some("-2")).at_least(-2).cluster_wide()
        .doc("Bytes of a partition kept locally under tiered storage; -2 follows retention.bytes."),
    long("log.local.retention.ms", Some("-2")).at_least(-2).cluster_wide()
        .doc("Milliseconds records stay on the local disk under tiered storage; -2 follows retention.ms."),
    long("log.message.timestamp.after.max.ms", Some("3600000")).at_least(0).honoured().cluster_wide()
        .doc("Milliseconds a record's timestamp may lie ahead of the broker's clock."),
    long("log.message.timestamp.before.max.ms", Some("9223372036854775807")).at_least(0).honoured().cluster_wide()
        .doc("Milliseconds a record's timestamp may lie behind the broker's clock."),
    string("log.message.timestamp.type", Some("CreateTime")).valid(Valid::OneOf(&["CreateTime", "LogAppendTime"])).honoured().cluster_wide()
        .doc("CreateTime keeps the producer's timestamp, LogAppendTime writes the broker's."),
    boolean("log.preallocate", Some("false")).cluster_wide()
        .doc("Whether a new segment file takes its full size at once."),
    long("log.retention.bytes", Some("-1")).honoured().cluster_wide()
        .doc("Bytes kept of a partition; -1 sets no limit."),
    long("log.retention.check.interval.ms", Some("300000")).at_least(1).honoured()
        .doc("Milliseconds between two looks for segments to delete."),
    int("log.retention.hours", Some("168")).honoured()
        .doc("Hours records are kept, unless minutes or milliseconds are set; -1 keeps them for ever."),
    int("log.retention.minutes", None).honoured()
        .doc("Minutes records are kept, unless milliseconds are set; -1 keeps them for ever."),
    long("log.retention.ms", None).honoured().cluster_wide()
        .doc("Milliseconds records are kept; -1 keeps them for ever."),
    int("log.roll.hours", Some("168")).at_least(1).honoured()
        .doc("Hours after which a new segment starts, unless log.roll.ms is set."),
    int("log.roll.jitter.hours", Some("0")).at_least(0).honoured()
        .doc("Hours by which a roll may come early at random, unless log.roll.jitter.ms is set."),
    long("log.roll.jitter.ms", None).honoured().cluster_wide()
        .doc("Milliseconds by which a roll may come early at random."),
    long("log.roll.ms", None).honoured().cluster_wide()
        .doc("Milliseconds after which a new segment starts."),
    int("log.segment.bytes", Some("1073741824")).at_least(1_048_576).honoured().cluster_wide()
        .doc("Size of a segment in bytes, at least 1048576."),
    long("log.segment.delete.delay.ms", Some("60000")).at_least(0).honoured().cluster_wide()
        .doc("Milliseconds between the removal of a segment and that of its files."),
    int("message.max.bytes", Some("1048588")).at_least(0).honoured().cluster_wide()
        .doc("Largest record batch in bytes, after compression."),
    int("min.insync.replicas", Some("1")).at_least(1).honoured().cluster_wide()
        .doc("Replicas that must be in sync before acks=all is accepted."),
    int("num.recovery.threads.per.data.dir", Some("2")).at_least(1).honoured().cluster_wide()
        .doc("Threads per data directory that load logs at start and flush them at stop."),
    int("producer.id.expiration.check.interval.ms", Some("600000")).at_least(1).honoured().internal()
        .doc("Milliseconds between two looks for forgotten producers."),
    int("producer.id.expiration.ms", Some("86400000")).at_least(1).honoured().cluster_wide()
        .doc("Milliseconds a silent idempotent producer is remembered."),
];
