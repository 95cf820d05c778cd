use super::{Value, java_double};
use crate::config::{keys, topic_keys};

fn broker(name: &str, text: &str) -> Result<String, String> {
    let value = Value::parse(keys::find(name).unwrap(), text);
    value.map(|value| value.to_string()).map_err(|error| error.to_string())
}

fn topic(name: &str, text: &str) -> Result<String, String> {
    let value = Value::parse(&topic_keys::find(name).unwrap().key, text);
    value.map(|value| value.to_string()).map_err(|error| error.to_string())
}

#[test]
fn values_in_canonical_form() {
    for (name, text, expected) in [
        ("num.partitions", " 7 ", "7"),
        ("num.partitions", "+5", "5"),
        ("default.replication.factor", "-5", "-5"),
        ("auto.create.topics.enable", " TRUE ", "true"),
        ("log.retention.ms", "9223372036854775807", "9223372036854775807"),
        ("log.cleanup.policy", "compact , delete", "compact,delete"),
        ("log.cleanup.policy", "", ""),
        ("ssl.enabled.protocols", "a,,b", "a,,b"),
        ("log.cleaner.min.cleanable.ratio", "0", "0.0"),
        ("log.cleaner.io.max.bytes.per.second", "1e3", "1000.0"),
        ("log.cleaner.io.max.bytes.per.second", "2147483648", "2.147483648E9"),
        ("log.cleaner.io.max.bytes.per.second", "99999999999999999999", "1.0E20"),
        ("log.cleaner.io.max.bytes.per.second", "5f", "5.0"),
        ("log.cleaner.io.max.bytes.per.second", "NaN", "NaN"),
        ("compression.gzip.level", "-1", "-1"),
        ("group.consumer.migration.policy", "upgrade", "upgrade"),
        ("controller.quorum.voters", "1@a:9093,2@[::1]:1", "1@a:9093,2@[::1]:1"),
        ("controller.quorum.bootstrap.servers", "a:9093, [::1]:1", "a:9093,[::1]:1"),
        ("ssl.key.password", "secret", "[hidden]"),
    ] {
        assert_eq!(broker(name, text).as_deref(), Ok(expected), "{name}={text}");
    }
    for text in ["*", "0:1,1:2", ""] {
        assert_eq!(topic("leader.replication.throttled.replicas", text).as_deref(), Ok(text));
    }
}

#[test]
fn refusals_in_the_words_of_kafka() {
    for (name, text, shown, why) in [
        ("num.partitions", "x", "x", "Not a number of type INT"),
        ("num.partitions", "2147483648", "2147483648", "Not a number of type INT"),
        ("num.partitions", "0x10", "0x10", "Not a number of type INT"),
        ("num.partitions", "", "", "Not a number of type INT"),
        ("num.partitions", "-5", "-5", "Value must be at least 1"),
        ("offsets.topic.replication.factor", "40000", "40000", "Not a number of type SHORT"),
        ("log.retention.ms", "1.5", "1.5", "Not a number of type LONG"),
        ("auto.create.topics.enable", " 7 ", " 7 ", "Expected value to be either true or false"),
        ("log.cleaner.min.cleanable.ratio", "x", "x", "Not a number of type DOUBLE"),
        ("log.cleaner.min.cleanable.ratio", "inf", "inf", "Not a number of type DOUBLE"),
        ("log.cleaner.min.cleanable.ratio", "-5", "-5.0", "Value must be at least 0"),
        ("log.cleaner.min.cleanable.ratio", "99999999999999999999", "1.0E20", "Value must be no more than 1"),
        ("compression.lz4.level", "18", "18", "Value must be no more than 17"),
        ("compression.gzip.level", "0", "0", "Value must be between 1 and 9 or equal to -1"),
        (
            "compression.type",
            " 7 ",
            "7",
            "String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer",
        ),
        ("log.cleanup.policy", "a,,b", "a", "String must be one of: compact, delete"),
        ("remote.log.storage.manager.class.name", "", "", "String must be non-empty"),
        (
            "group.consumer.migration.policy",
            "x",
            "x",
            "String must be one of (case insensitive): DISABLED, DOWNGRADE, UPGRADE, BIDIRECTIONAL",
        ),
    ] {
        let expected = format!("Invalid value {shown} for configuration {name}: {why}");
        assert_eq!(broker(name, text), Err(expected), "{name}={text}");
    }
    let form = "Each entry should be in the form `{id}@{host}:{port}`.";
    for text in ["1", "a@b:1", "1@b", "1@b:x"] {
        let expected = format!("Invalid configuration value for controller.quorum.voters. {form}");
        assert_eq!(broker("controller.quorum.voters", text), Err(expected), "{text}");
    }
    let name = "controller.quorum.bootstrap.servers";
    for (text, entry) in [("a", "a"), ("a:1,b", "b"), ("a:1,,b:2", ""), ("a:x", "a:x"), (":1", ":1")] {
        let form = "Each entry should be in the form \"{host}:{port}\"";
        let expected = format!("Failed to parse host name from {entry} for the configuration {name}. {form}");
        assert_eq!(broker(name, text), Err(expected), "{text}");
    }
    let name = "leader.replication.throttled.replicas";
    assert_eq!(
        topic(name, "a, a"),
        Err(format!(
            "Invalid value [a, a] for configuration {name}: {name} must be the literal '*' or a list of replicas in \
             the following format: [partitionId]:[brokerId],[partitionId]:[brokerId],..."
        ))
    );
    assert_eq!(
        topic("segment.bytes", "10"),
        Err("Invalid value 10 for configuration segment.bytes: Value must be at least 1048576".into())
    );
}

#[test]
fn doubles_as_java_writes_them() {
    for (value, expected) in [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (0.5, "0.5"),
        (0.001, "0.001"),
        (0.0001, "1.0E-4"),
        (9_999_999.0, "9999999.0"),
        (1e7, "1.0E7"),
        (-1.25e9, "-1.25E9"),
        (f64::MAX, "1.7976931348623157E308"),
        (f64::INFINITY, "Infinity"),
        (f64::NEG_INFINITY, "-Infinity"),
    ] {
        assert_eq!(java_double(value), expected);
    }
}

#[test]
fn where_a_share_group_begins() {
    let key = crate::config::group_keys::find("share.auto.offset.reset").unwrap();
    for text in ["earliest", "LATEST", "by_duration:P1D", "by_duration:PT1H30M", "by_duration:p2dt0.5s"] {
        assert!(Value::parse(&key.key, text).is_ok(), "{text}");
    }
    for text in [
        "",
        "none",
        "by_duration:",
        "by_duration:P",
        "by_duration:PT",
        "by_duration:PT1M1H",
        "by_duration:PT-1S",
    ] {
        let error = Value::parse(&key.key, text).unwrap_err().to_string();
        assert!(error.ends_with("of the format 'by_duration:<PnDTnHnMn.nS>'."), "{text}: {error}");
    }
}
