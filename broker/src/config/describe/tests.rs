//! Compared row by row with the answers of Apache Kafka 4.1.1 under the same configuration.

use std::collections::BTreeMap;
use std::path::Path;

use super::{ConfigEntry, ConfigSynonym, describe_broker, describe_cluster_default, describe_topic, source};
use crate::config::{BrokerConfig, DynamicConfigs, Sources, TopicOverrides};

/// Tab-separated: resource, key, value (`\N` is null), source, ro/rw, sensitive/plain, type, and the synonyms as
/// `key=value@source` between semicolons. Written by Kafka's own admin client.
const KAFKA: &str = include_str!("kafka-4.1.1.tsv");

/// What Kafka was started with.
const STARTED_WITH: &str = r"
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:9093
listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:19492
advertised.listeners=PLAINTEXT://127.0.0.1:9092
controller.listener.names=CONTROLLER
log.dirs=/data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
log.retention.hours=1
log.roll.ms=50000
log.roll.hours=2
unknown.key=foo
zookeeper.connect=x
ssl.key.password=secret
listener.name.plaintext.max.connections=5
listener.name.plaintext.ssl.keystore.location=/a
delete.topic.enable= TRUE\u0020
log.cleanup.policy=compact, delete
log.flush.scheduler.interval.ms=777
confluent.x.y=1
num.partitions=+3
log.cleaner.io.max.bytes.per.second=1000
log.segment.bytes=2097152
log.message.timestamp.type=LogAppendTime
message.max.bytes=2000000
broker.rack=
advertised.host.name=foo
";

/// Rows of ours that differ on purpose.
const DIFFERENT: &[&str] = &[
    // Other defaults.
    "group.initial.rebalance.delay.ms",
    "listeners",
    "log.dir",
    // Read once, at the start, and so not changeable at run time.
    "listener.security.protocol.map",
    // While log.retention.ms and log.roll.ms are set at run time, Kafka forgets the hours that were written.
    "log.retention.hours",
    "log.roll.hours",
];

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn broker() -> BrokerConfig {
    let file = Some(("server.properties".into(), STARTED_WITH.as_bytes().to_vec()));
    let written = BrokerConfig::load(&Sources { file, ..Sources::default() }, Path::new("/unused")).unwrap();
    let cluster = map(&[
        ("min.insync.replicas", "1"),
        ("log.retention.ms", "99999999"),
        ("message.max.bytes", "3000000"),
        ("log.roll.ms", "7000000"),
    ]);
    let broker = map(&[
        ("listener.name.plaintext.max.connections", "50"),
        ("listener.name.plaintext.ssl.keystore.type", "PEM"),
    ]);
    written.with_dynamic(DynamicConfigs { broker, cluster }).unwrap()
}

fn shown(resource: &str, entry: &ConfigEntry) -> String {
    let null = |value: &Option<String>| value.clone().unwrap_or_else(|| "\\N".into());
    let synonyms: Vec<String> = entry
        .synonyms
        .iter()
        .map(|from| format!("{}={}@{}", from.name, null(&from.value), from.source))
        .collect();
    let read_only = if entry.read_only { "ro" } else { "rw" };
    let sensitive = if entry.sensitive { "sensitive" } else { "plain" };
    let value = null(&entry.value);
    let ConfigEntry { name, source, config_type, .. } = entry;
    let synonyms = synonyms.join(";");
    format!("{resource}\t{name}\t{value}\t{source}\t{read_only}\t{sensitive}\t{config_type}\t{synonyms}")
}

fn assert_as_kafka(resource: &str, entries: &[ConfigEntry]) {
    let name = |row: &str| row.split('\t').nth(1).unwrap().to_owned();
    let prefix = format!("{resource}\t");
    let kafka: BTreeMap<String, &str> =
        KAFKA.lines().filter(|row| row.starts_with(&prefix)).map(|row| (name(row), row)).collect();
    let ours: BTreeMap<String, String> = entries
        .iter()
        .map(|entry| (entry.name.clone(), shown(resource, entry)))
        .filter(|(name, _)| !name.starts_with("milena."))
        .collect();
    assert!(!kafka.is_empty());
    assert_eq!(ours.keys().collect::<Vec<_>>(), kafka.keys().collect::<Vec<_>>());
    for (name, row) in &ours {
        if !DIFFERENT.contains(&name.as_str()) {
            assert_eq!(row, kafka[name]);
        }
    }
}

#[test]
fn a_broker_is_described_as_by_kafka() {
    assert_as_kafka("BROKER:1", &describe_broker(&broker()));
}

#[test]
fn the_cluster_default_is_described_as_by_kafka() {
    assert_as_kafka("BROKER:", &describe_cluster_default(&broker()));
}

#[test]
fn topics_are_described_as_by_kafka() {
    assert_as_kafka("TOPIC:plain", &describe_topic(&broker(), &TopicOverrides::new()));
    let own = map(&[("segment.bytes", "3097152"), ("retention.ms", "5")]);
    assert_as_kafka("TOPIC:over", &describe_topic(&broker(), &own));
}

#[test]
fn internal_keys_are_there_once_they_are_set() {
    let has = |entries: &[ConfigEntry], name: &str| entries.iter().any(|entry| entry.name == name);
    let own = map(&[("internal.segment.bytes", "100")]);
    assert!(has(&describe_topic(&broker(), &own), "internal.segment.bytes"));
    assert!(!has(&describe_topic(&broker(), &TopicOverrides::new()), "internal.segment.bytes"));
    assert!(!has(&describe_broker(&broker()), "log.initial.task.delay.ms"));
}

#[test]
fn every_broker_key_has_a_sentence_and_a_default_has_no_other_source() {
    let config = BrokerConfig::load(&Sources::default(), Path::new("/data/milena")).unwrap();
    for entry in describe_broker(&config) {
        assert!(entry.documentation.is_some_and(|text| text.ends_with('.')), "{}", entry.name);
        assert!(entry.is_default && entry.source == source::DEFAULT, "{}", entry.name);
    }
    let value = |name: &str| {
        describe_broker(&config).into_iter().find(|entry| entry.name == name).and_then(|entry| entry.value)
    };
    assert_eq!(value("node.id").as_deref(), Some("1"));
    assert_eq!(value("log.dir").as_deref(), Some("/data/milena"));
    assert_eq!(value("process.roles").as_deref(), Some("broker,controller"));
}

#[test]
fn this_broker_wins_over_all_brokers_and_keeps_their_value_visible() {
    let dynamic = DynamicConfigs {
        broker: map(&[("log.retention.ms", "7")]),
        cluster: map(&[("log.retention.ms", "8")]),
    };
    let config = broker().with_dynamic(dynamic).unwrap();
    assert_eq!(config.topic_defaults.retention_ms, 7);
    let cluster = describe_cluster_default(&config);
    assert_eq!(cluster.len(), 1);
    assert_eq!(cluster[0].value.as_deref(), Some("8"));
    let topic = describe_topic(&config, &TopicOverrides::new());
    let retention = topic.iter().find(|entry| entry.name == "retention.ms").unwrap();
    let sources: Vec<i8> = retention.synonyms.iter().map(|synonym| synonym.source).collect();
    assert_eq!(sources, [2, 3, 4, 5]);
}

#[test]
fn limits_on_copying_are_described_where_they_are_set() {
    let throttled = "leader.replication.throttled.rate";
    let find = |entries: Vec<ConfigEntry>| entries.into_iter().find(|entry| entry.name == throttled);
    assert_eq!(find(describe_broker(&broker())), None);
    let dynamic =
        DynamicConfigs { broker: map(&[(throttled, "1000")]), cluster: map(&[(throttled, "2000")]) };
    let config = broker().with_dynamic(dynamic).unwrap();
    let entry = find(describe_broker(&config)).unwrap();
    let synonym = |value: &str, source| ConfigSynonym {
        name: throttled.to_owned(),
        value: Some(value.to_owned()),
        source,
    };
    let (own, all) =
        (synonym("1000", source::DYNAMIC_BROKER), synonym("2000", source::DYNAMIC_DEFAULT_BROKER));
    assert_eq!((entry.value.as_deref(), entry.source), (Some("1000"), source::DYNAMIC_BROKER));
    assert_eq!((entry.read_only, entry.sensitive, entry.config_type), (true, false, 5));
    assert_eq!((entry.documentation, entry.synonyms), (None, vec![own, all.clone()]));
    let entry = find(describe_cluster_default(&config)).unwrap();
    assert_eq!((entry.value.as_deref(), entry.synonyms), (Some("2000"), vec![all]));
}
