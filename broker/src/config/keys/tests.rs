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
    assert_eq!(kafka().count(), 336);
    assert_eq!(count(|key| key.internal), 20);
    assert_eq!(
        count(|key| key.dynamic == Dynamic::PerBroker),
        35,
        "Kafka's 36 without the two of listeners, and advertised.listeners"
    );
    assert_eq!(count(|key| key.dynamic == Dynamic::ClusterWide), 54);
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
