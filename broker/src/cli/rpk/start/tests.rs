use super::{RedpandaStart, Settings};
use std::path::Path;

const SERVED: &str = "of Redpanda's interfaces the Kafka API is served; the schema registry, the HTTP proxy and the admin API are not";

/// The settings of a line, with files by their names.
fn settings(line: &str, files: &[(&str, &str)]) -> Result<Settings, String> {
    let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
    let start = RedpandaStart::read(&words).map_err(|failure| failure.to_string())?;
    let read = |path: &Path| {
        let file = files.iter().find(|(name, _)| Path::new(name) == path);
        Ok(file.map(|(_, text)| (*text).to_owned()))
    };
    let variable = |name: &str| (name == "REDPANDA_KAFKA_ADDRESS").then(|| "a://1.2.3.4:5".to_owned());
    start.settings(read, variable)
}

fn value<'s>(settings: &'s Settings, key: &str) -> Option<&'s str> {
    settings.keys.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
}

#[test]
fn a_line_of_testcontainers_means_this() {
    let line = "--mode dev-container --smp 1 --memory 1G --overprovisioned --check=false \
                --kafka-addr PLAINTEXT://0.0.0.0:29092,OUTSIDE://0.0.0.0:9092 \
                --advertise-kafka-addr PLAINTEXT://127.0.0.1:29092,outside://localhost:32768 --node-id 0";
    let found = settings(line, &[]).unwrap();
    let expected = [
        ("data_directory", "log.dirs", "/var/lib/redpanda/data"),
        ("auto_create_topics_enabled", "auto.create.topics.enable", "true"),
        ("group_initial_rebalance_delay", "group.initial.rebalance.delay.ms", "0"),
        ("--node-id", "node.id", "0"),
        ("--kafka-addr", "listeners", "PLAINTEXT://0.0.0.0:29092,OUTSIDE://0.0.0.0:9092"),
        ("--kafka-addr", "listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,OUTSIDE:PLAINTEXT"),
        ("--kafka-addr", "inter.broker.listener.name", "PLAINTEXT"),
        (
            "--advertise-kafka-addr",
            "advertised.listeners",
            "PLAINTEXT://127.0.0.1:29092,OUTSIDE://localhost:32768",
        ),
    ];
    for (of, key, text) in expected {
        assert_eq!(value(&found, key), Some(text), "{of}");
    }
    assert_eq!(found.keys.len(), expected.len());
    assert_eq!(found.notes, [SERVED]);
}

#[test]
fn later_sources_win() {
    const NODE: &str = "/etc/redpanda/redpanda.yaml";
    const CLUSTER: &str = "/etc/redpanda/.bootstrap.yaml";
    let create = |line: &str, files: &[(&str, &str)]| {
        let found = settings(line, files).unwrap();
        value(&found, "auto.create.topics.enable").map(str::to_owned)
    };
    let on = "auto_create_topics_enabled: true\nsuperusers:\n  []\n";
    let off = "rpk: {}\nredpanda:\n  auto_create_topics_enabled: false\n";
    for (line, files, expected) in [
        ("", &[][..], "false"),
        ("--mode=dev-container", &[], "true"),
        ("", &[(CLUSTER, on)], "true"),
        ("--mode dev-container", &[(CLUSTER, on), (NODE, off)], "false"),
        (
            "--set redpanda.auto_create_topics_enabled=true --set rpk.a=b",
            &[(CLUSTER, on), (NODE, off)],
            "true",
        ),
        (
            "--config /x/y.yaml",
            &[(NODE, off), ("/x/y.yaml", "redpanda:\n"), ("/x/.bootstrap.yaml", on)],
            "true",
        ),
    ] {
        assert_eq!(create(line, files).as_deref(), Some(expected), "{line} {files:?}");
    }
}

#[test]
fn addresses_come_from_flags_variables_files_in_this_order() {
    let file = "redpanda:\n  kafka_api:\n    - {address: 0.0.0.0, name: external, port: 9092, authentication_method: none}\n    \
                - {address: '::', port: 9093}\n  advertised_kafka_api: {address: localhost, name: external, port: 7}\n";
    let file = [("/r.yaml", file)];
    let words: Vec<_> = ["--config", "/r.yaml"].map(str::to_owned).into();
    let start = RedpandaStart::read(&words).unwrap();
    let read = |path: &Path| {
        Ok(file.iter().find(|(name, _)| Path::new(name) == path).map(|(_, text)| (*text).to_owned()))
    };
    let of_file = start.settings(read, |_| None).unwrap();
    assert_eq!(value(&of_file, "listeners"), Some("EXTERNAL://0.0.0.0:9092,PLAINTEXT://[::]:9093"));
    assert_eq!(value(&of_file, "advertised.listeners"), Some("EXTERNAL://localhost:7"));
    for (line, expected) in [
        ("--config /r.yaml", "A://1.2.3.4:5"),
        ("--config /r.yaml --kafka-addr [::1]:4", "PLAINTEXT://[::1]:4"),
        ("--kafka-addr b://host --kafka-addr c://::1", "B://host:9092,C://[::1]:9092"),
    ] {
        assert_eq!(value(&settings(line, &file).unwrap(), "listeners"), Some(expected), "{line}");
    }
    let untold = RedpandaStart::default().settings(|_| Ok(None), |_| None).unwrap();
    assert_eq!(value(&untold, "listeners"), Some("PLAINTEXT://0.0.0.0:9092"));
    assert_eq!(value(&untold, "advertised.listeners"), None);
}

#[test]
fn a_file_is_awaited_beside_the_other_one_alone() {
    for (line, bootstrap, awaited) in [
        ("", true, true),
        ("--mode dev-container", true, true),
        ("", false, false),
        ("--kafka-addr a", true, false),
        ("--advertise-kafka-addr a", true, false),
        ("--config a", true, false),
    ] {
        let words: Vec<_> = line.split_whitespace().map(str::to_owned).collect();
        let is_there = |path: &Path| bootstrap && path == Path::new("/etc/redpanda/.bootstrap.yaml");
        let found = RedpandaStart::read(&words).unwrap().awaited(is_there);
        assert_eq!(found, awaited.then_some(Path::new("/etc/redpanda/redpanda.yaml")), "{line} {bootstrap}");
    }
}

#[test]
fn what_has_no_effect_is_named() {
    let file = [("/r.yaml", "redpanda:\n  admin: {port: 9644}\n  enable_sasl: false\n  kafka_api_tls: []\n")];
    let found = settings("--config /r.yaml", &file).unwrap();
    assert_eq!(
        found.notes,
        [SERVED, "settings of Redpanda without effect: admin, enable_sasl, kafka_api_tls"]
    );
}

#[test]
fn what_belongs_to_the_framework_is_left_to_it() {
    let line = "--abort-on-seastar-bad-alloc --node-id -1 --blocked-reactor-notify-ms 200 --io=a --smp 1 -- --kernel-page-cache 1";
    let found = settings(line, &[]).unwrap();
    assert_eq!(value(&found, "node.id"), Some("-1"));
    let named = "--abort-on-seastar-bad-alloc, --blocked-reactor-notify-ms, --io";
    assert_eq!(found.notes, [SERVED, &format!("settings of Redpanda without effect: {named}")]);
}

#[test]
fn values_that_look_like_flags_are_values() {
    for (line, expected) in [
        ("--node-id -s", "-s"),
        ("--node-id -v --smp 1", "-v"),
        ("--node-id -x", "-x"),
        ("--node-id=-s -s a:1", "-s"),
        ("-s -v --node-id 5 -v", "5"),
    ] {
        let found = settings(line, &[]).expect(line);
        assert_eq!((value(&found, "node.id"), found.notes.len()), (Some(expected), 1), "{line}");
    }
}

#[test]
fn refusals() {
    const GUARD: &str = "of Redpanda is not supported, and nobody would be kept out";
    for (line, yaml, expected) in [
        ("--kafka-addr a://:9092", "", "a://:9092 is no address of the form NAME://HOST:PORT"),
        ("--kafka-addr a://b:c", "", "a://b:c has no port that can be read"),
        ("--kafka-addr a://b:65536", "", "a://b:65536 is no address of the form NAME://HOST:PORT"),
        ("--set redpanda.a", "", "--set redpanda.a is not KEY=VALUE"),
        ("--set redpanda.node_id=[1]", "", "node_id of Redpanda must be one value"),
        ("--config /none", "", "/none of --config does not exist"),
        ("something", "", "rpk redpanda start does not know what something is"),
        ("--nope 1 --node-id", "", "Option node-id requires an argument"),
        ("", "enable_sasl: true", &format!("enable_sasl {GUARD}")),
        ("", "kafka_enable_authorization: true", &format!("kafka_enable_authorization {GUARD}")),
        ("", "kafka_api_tls: [{enabled: false}, {enabled: true}]", &format!("kafka_api_tls {GUARD}")),
        (
            "",
            "kafka_api: [{address: a, authentication_method: sasl}]",
            "authentication_method sasl in kafka_api of Redpanda is not supported",
        ),
        ("", "kafka_api: [{port: 1}]", "kafka_api of Redpanda has an entry without address and port"),
    ] {
        assert_eq!(
            settings(line, &[("/etc/redpanda/.bootstrap.yaml", yaml)]),
            Err(expected.to_owned()),
            "{line} {yaml}"
        );
    }
}
