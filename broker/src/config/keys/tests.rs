use std::collections::BTreeSet;

use super::{AREAS, all, find, find_or_base, is_removed, listener_base, synonyms, unlisted};
use crate::config::key::{Dynamic, Effect, Key, Kind};
use crate::config::topic_keys;
use crate::config::value::Value;

#[test]
fn every_area_is_sorted_and_no_name_comes_twice() {
    for area in AREAS {
        assert!(area.is_sorted_by(|one, next| one.name < next.name), "{}", area[0].name);
    }
    let names: BTreeSet<&str> = all().map(|key| key.name).collect();
    assert_eq!(names.len(), all().count());
    assert!(topic_keys::KEYS.is_sorted_by(|one, next| one.key.name < next.key.name));
    assert!(unlisted::REMOVED.is_sorted());
}

#[test]
fn defaults_satisfy_their_own_row() {
    for key in all().chain(topic_keys::KEYS.iter().map(|row| &row.key)) {
        if let Some(default) = key.default {
            let value = Value::parse(key, default).unwrap_or_else(|error| panic!("{error}"));
            if key.kind != Kind::Password {
                assert_eq!(value.to_string(), default, "{} is not in its canonical form", key.name);
            }
        }
    }
}

#[test]
fn every_row_has_one_sentence() {
    for key in all().chain(topic_keys::KEYS.iter().map(|row| &row.key)) {
        assert!(key.doc.len() > 5 && key.doc.ends_with('.') && !key.doc.contains('\n'), "{}", key.name);
    }
}

#[test]
fn the_table_is_as_large_as_that_of_kafka() {
    let kafka = || all().filter(|key| !key.name.starts_with("milena."));
    let count = |wanted: fn(&Key) -> bool| kafka().filter(|key| wanted(key)).count();
    assert_eq!(kafka().count(), 336 + 3, "and the limits on copying");
    assert_eq!(count(|key| key.internal), 20 + 3);
    assert_eq!(
        count(|key| key.dynamic == Dynamic::PerBroker),
        35,
        "Kafka's 36 without the two of listeners, and advertised.listeners"
    );
    assert_eq!(count(|key| key.dynamic == Dynamic::ClusterWide), 54 + 3);
    assert_eq!(topic_keys::KEYS.len(), 34);
}

#[test]
fn topic_keys_follow_broker_keys_that_exist() {
    for row in topic_keys::KEYS {
        for synonym in row.broker {
            let broker = find(synonym.name).unwrap_or_else(|| panic!("{}", synonym.name));
            assert!(broker.kind == row.key.kind || synonym.factor > 1, "{}", row.key.name);
            assert!(broker.effect == row.key.effect, "{} and {}", row.key.name, broker.name);
        }
    }
}

#[test]
fn removed_names_are_not_in_the_table() {
    for name in unlisted::REMOVED.iter().chain(unlisted::AUTHORIZER) {
        assert!(find(name).is_none(), "{name}");
    }
    assert!(
        is_removed("zookeeper.connect")
            && is_removed("confluent.license")
            && is_removed("password.encoder.secret")
    );
    assert!(!is_removed("zookeeper") && !is_removed("num.partitions"));
    assert_eq!(find("num.io.threads").map(|key| key.effect), Some(Effect::AcceptedNoEffect));
}

#[test]
fn keys_of_one_listener() {
    for (name, base) in [
        ("listener.name.client.max.connections", Some("max.connections")),
        ("listener.name.client.plain.sasl.jaas.config", Some("sasl.jaas.config")),
        ("listener.name.client.scram-sha-256.sasl.login.class", Some("sasl.login.class")),
        ("listener.name.client", None),
        ("listener.name..x", None),
        ("max.connections", None),
    ] {
        assert_eq!(listener_base(name), base, "{name}");
    }
    assert!(find_or_base("listener.name.client.ssl.keystore.type").is_some());
    assert!(find_or_base("listener.name.client.nothing").is_none());
}

#[test]
fn names_of_one_setting_in_their_order() {
    let retention = ["log.retention.ms", "log.retention.minutes", "log.retention.hours"];
    for name in retention {
        assert_eq!(synonyms(name), retention);
    }
    assert_eq!(
        synonyms("log.flush.interval.ms"),
        ["log.flush.interval.ms", "log.flush.scheduler.interval.ms"]
    );
    assert_eq!(synonyms("log.flush.scheduler.interval.ms"), ["log.flush.scheduler.interval.ms"]);
    assert_eq!(
        synonyms("listener.name.a.max.connections"),
        ["listener.name.a.max.connections", "max.connections"]
    );
}

/// The code that a broker runs: without tables, descriptions, checks of changes, and tests.
fn code() -> String {
    const NOT_A_READER: [&str; 3] = ["config/keys", "config/describe", "config/dynamic"];
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut folders, mut code) = (vec![root.clone()], String::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(&root).unwrap().display().to_string();
            if name.contains("tests") || NOT_A_READER.iter().any(|other| name.starts_with(other)) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                let text = std::fs::read_to_string(&path).unwrap();
                code.push_str(text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default());
            }
        }
    }
    code
}

/// What is marked as honoured is read somewhere, by its name.
#[test]
fn somebody_reads_every_key_that_is_honoured() {
    let code = code();
    let read = |name: &str| code.contains(&format!("\"{name}\""));
    assert!(!read("metric.reporters"), "what nobody reads is told apart");
    let honoured = all().filter(|key| key.effect == Effect::Honoured);
    let unread: Vec<&str> = honoured.map(|key| key.name).filter(|name| !read(name)).collect();
    assert!(unread.is_empty(), "{unread:?}");
}

/// Keys that setups set and count on, and that one broker without TLS and SASL can serve.
#[test]
fn what_setups_count_on_is_honoured() {
    const WANTED: &str = "process.roles node.id broker.id broker.rack listeners advertised.listeners \
        listener.security.protocol.map inter.broker.listener.name controller.listener.names controller.quorum.voters \
        log.dir log.dirs log.segment.bytes log.roll.ms log.roll.hours log.retention.ms log.retention.minutes \
        log.retention.hours log.retention.bytes log.retention.check.interval.ms log.cleanup.policy log.cleaner.enable \
        log.cleaner.backoff.ms log.cleaner.min.cleanable.ratio log.cleaner.delete.retention.ms \
        log.cleaner.min.compaction.lag.ms log.cleaner.max.compaction.lag.ms log.segment.delete.delay.ms \
        log.flush.interval.messages log.flush.interval.ms log.flush.scheduler.interval.ms log.message.timestamp.type \
        log.message.timestamp.before.max.ms log.message.timestamp.after.max.ms message.max.bytes compression.type \
        compression.gzip.level compression.lz4.level compression.zstd.level min.insync.replicas num.partitions \
        default.replication.factor auto.create.topics.enable delete.topic.enable max.request.partition.size.limit \
        socket.request.max.bytes fetch.max.bytes max.incremental.fetch.session.cache.slots connections.max.idle.ms \
        max.connections max.connections.per.ip max.connections.per.ip.overrides max.connection.creation.rate \
        quota.window.num quota.window.size.seconds offsets.topic.num.partitions offsets.topic.replication.factor \
        offsets.retention.minutes offsets.retention.check.interval.ms offset.metadata.max.bytes \
        group.initial.rebalance.delay.ms group.min.session.timeout.ms group.max.session.timeout.ms group.max.size \
        group.coordinator.rebalance.protocols group.consumer.session.timeout.ms group.consumer.min.session.timeout.ms \
        group.consumer.max.session.timeout.ms group.consumer.heartbeat.interval.ms \
        group.consumer.min.heartbeat.interval.ms group.consumer.max.heartbeat.interval.ms group.consumer.max.size \
        group.consumer.assignors group.consumer.migration.policy group.consumer.regex.refresh.interval.ms \
        transaction.state.log.num.partitions transaction.state.log.replication.factor transaction.state.log.min.isr \
        transaction.max.timeout.ms transactional.id.expiration.ms \
        transaction.abort.timed.out.transaction.cleanup.interval.ms producer.id.expiration.ms authorizer.class.name";
    for name in WANTED.split_whitespace() {
        let key = find(name).unwrap_or_else(|| panic!("{name}"));
        assert_eq!(key.effect, Effect::Honoured, "{name}");
    }
}
