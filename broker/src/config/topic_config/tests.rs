use std::path::Path;

use super::{CleanupPolicy, CompressionType, TimestampType, TopicConfig, TopicOverrides};
use crate::config::{BrokerConfig, Sources};

fn broker(file: &str) -> BrokerConfig {
    let file = Some(("server.properties".into(), file.as_bytes().to_vec()));
    BrokerConfig::load(&Sources { file, ..Sources::default() }, Path::new("/data")).unwrap()
}

fn effective(file: &str, pairs: &[(&str, &str)]) -> Result<TopicConfig, String> {
    let overrides: TopicOverrides =
        pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    TopicConfig::effective(&broker(file), &overrides).map_err(|error| error.to_string())
}

#[test]
fn the_defaults_are_those_of_kafka() {
    let config = effective("", &[]).unwrap();
    assert_eq!(config, broker("").topic_defaults);
    assert_eq!(config.cleanup_policy, CleanupPolicy { delete: true, compact: false });
    assert_eq!(config.compression_type, CompressionType::Producer);
    assert_eq!(config.message_timestamp_type, TimestampType::CreateTime);
    assert_eq!((config.retention_ms, config.retention_bytes), (604_800_000, -1));
    assert_eq!(
        (config.segment_bytes, config.segment_ms, config.segment_jitter_ms),
        (1 << 30, 604_800_000, 0)
    );
    assert_eq!((config.flush_messages, config.flush_ms), (i64::MAX, i64::MAX));
    assert_eq!((config.min_compaction_lag_ms, config.max_compaction_lag_ms), (0, i64::MAX));
    assert_eq!((config.max_message_bytes, config.min_insync_replicas), (1_048_588, 1));
    assert!((config.min_cleanable_dirty_ratio - 0.5).abs() < f64::EPSILON);
}

#[test]
fn broker_keys_count_in_their_order_and_unit() {
    for (file, retention, roll, jitter, flush) in [
        ("log.retention.hours=1", 3_600_000, 604_800_000, 0, i64::MAX),
        ("log.retention.hours=1\nlog.retention.minutes=2", 120_000, 604_800_000, 0, i64::MAX),
        ("log.retention.minutes=2\nlog.retention.ms=3", 3, 604_800_000, 0, i64::MAX),
        ("log.retention.hours=-1", -1, 604_800_000, 0, i64::MAX),
        ("log.retention.minutes=-3", -1, 604_800_000, 0, i64::MAX),
        ("log.retention.ms=-2", -1, 604_800_000, 0, i64::MAX),
        ("log.roll.hours=2\nlog.roll.jitter.hours=1", 604_800_000, 7_200_000, 3_600_000, i64::MAX),
        ("log.roll.hours=2\nlog.roll.ms=5\nlog.roll.jitter.ms=4", 604_800_000, 5, 4, i64::MAX),
        ("log.flush.scheduler.interval.ms=7", 604_800_000, 604_800_000, 0, 7),
        ("log.flush.scheduler.interval.ms=7\nlog.flush.interval.ms=8", 604_800_000, 604_800_000, 0, 8),
    ] {
        let config = effective(file, &[]).unwrap();
        let found = (config.retention_ms, config.segment_ms, config.segment_jitter_ms, config.flush_ms);
        assert_eq!(found, (retention, roll, jitter, flush), "{file}");
    }
}

#[test]
fn the_topic_wins_over_the_broker() {
    let file = "log.cleanup.policy=compact\ncompression.type=zstd\nlog.segment.bytes=2097152";
    let config = effective(file, &[("compression.type", "gzip"), ("retention.ms", "-1")]).unwrap();
    assert_eq!(config.cleanup_policy, CleanupPolicy { delete: false, compact: true });
    assert_eq!(config.compression_type, CompressionType::Gzip);
    assert_eq!((config.retention_ms, config.segment_bytes), (-1, 2_097_152));
    let none = effective("", &[("cleanup.policy", "")]).unwrap().cleanup_policy;
    assert_eq!(none, CleanupPolicy { delete: false, compact: false });
    let both = effective("", &[("cleanup.policy", "compact,delete")]).unwrap().cleanup_policy;
    assert_eq!(both, CleanupPolicy { delete: true, compact: true });
}

#[test]
fn small_segments_for_tests() {
    let own = [("segment.bytes", "1048576"), ("internal.segment.bytes", "100")];
    assert_eq!(effective("", &own).unwrap().segment_bytes, 100);
}

#[test]
fn keys_that_kafka_4_removed_are_passed_over() {
    let own = [("message.format.version", "3.0"), ("message.downconversion.enable", "odd")];
    assert_eq!(effective("", &own), effective("", &[]));
}

#[test]
fn refusals_in_the_words_of_kafka() {
    let tiered = "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with remote log \
                  storage.";
    for (own, expected) in [
        (&[("nosuch", "1"), ("cleanup.policy", "a")][..], "Unknown topic config name: nosuch"),
        (
            &[("segment.bytes", "10")],
            "Invalid value 10 for configuration segment.bytes: Value must be at least 1048576",
        ),
        (
            &[("segment.bytes", "x")],
            "Invalid value x for configuration segment.bytes: Not a number of type INT",
        ),
        (
            &[("retention.ms", "-2")],
            "Invalid value -2 for configuration retention.ms: Value must be at least -1",
        ),
        (
            &[("cleanup.policy", "a,b")],
            "Invalid value a for configuration cleanup.policy: String must be one of: compact, delete",
        ),
        (
            &[("min.compaction.lag.ms", "9"), ("max.compaction.lag.ms", "3")],
            "conflict topic config setting min.compaction.lag.ms (9) > max.compaction.lag.ms (3)",
        ),
        (&[("remote.storage.enable", "true")], tiered),
    ] {
        assert_eq!(effective("", own).unwrap_err(), expected);
    }
}

#[test]
fn what_is_stored_stays_in_force_as_far_as_it_can_be_read() {
    let kept = CleanupPolicy { delete: false, compact: true };
    let neither = CleanupPolicy { delete: false, compact: false };
    let by_default = CleanupPolicy { delete: true, compact: false };
    let own = [("cleanup.policy", "compact"), ("retention.ms", "-1")];
    // One more setting; the policy, the retention and what is ignored with it.
    for (file, key, value, policy, retention, ignored) in [
        ("", "max.message.bytes", "5", kept, -1, &[][..]),
        ("", "x", "1", kept, -1, &["x"]),
        ("", "segment.bytes", "1024", kept, -1, &["segment.bytes"]),
        ("", "remote.storage.enable", "true", kept, -1, &["remote.storage.enable"]),
        ("", "remote.storage.enable", "false", kept, -1, &[]),
        ("", "message.format.version", "3.0", kept, -1, &[]),
        ("log.cleaner.min.compaction.lag.ms=9", "max.compaction.lag.ms", "3", kept, -1, &[]),
        // What is removed by a rule that nobody here can read is not removed by another one.
        ("", "cleanup.policy", "archive", neither, -1, &["cleanup.policy"]),
        ("", "retention.ms", "P3D", neither, 604_800_000, &["retention.ms"]),
        ("", "cleanup.policy", "delete", by_default, -1, &[]),
    ] {
        let mut overrides: TopicOverrides = own.map(|(key, value)| (key.into(), value.into())).into();
        overrides.insert(key.into(), value.into());
        let (config, found) = TopicConfig::stored(&broker(file), &overrides);
        assert_eq!((config.cleanup_policy, config.retention_ms), (policy, retention), "{key}={value}");
        assert_eq!(found, ignored, "{key}={value}");
    }
}
