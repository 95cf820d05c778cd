use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Authorizer, BrokerConfig, DynamicConfigs, default_log_dir};
use crate::config::Sources;
use crate::config::describe::describe_broker;

fn load(file: &str) -> Result<BrokerConfig, String> {
    let file = Some(("server.properties".into(), file.as_bytes().to_vec()));
    BrokerConfig::load(&Sources { file, ..Sources::default() }, Path::new("/data"))
        .map_err(|error| error.to_string())
}

fn from_environment(pairs: &[(&str, &str)]) -> Result<BrokerConfig, String> {
    let environment = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let sources = Sources { environment, ..Sources::default() };
    BrokerConfig::load(&sources, Path::new("/data")).map_err(|error| error.to_string())
}

fn listeners(config: &BrokerConfig) -> Vec<String> {
    config.network.listeners.iter().map(|listener| listener.endpoint.to_string()).collect()
}

fn advertised(config: &BrokerConfig) -> Vec<String> {
    config.network.advertised_listeners.iter().map(ToString::to_string).collect()
}

#[test]
fn without_anything() {
    let config = load("").unwrap();
    assert_eq!((config.node_id, config.rack.as_deref(), config.is_controller_only), (1, None, false));
    assert_eq!(listeners(&config), ["PLAINTEXT://localhost:9092"]);
    assert!(config.network.advertised_listeners.is_empty());
    assert_eq!(config.log.dirs, [PathBuf::from("/data")]);
    assert_eq!(config.group.initial_rebalance_delay, Duration::ZERO);
    assert_eq!(config.network.connections_max_idle, Some(Duration::from_secs(600)));
    assert_eq!(config.group.offsets.retention, Duration::from_secs(7 * 24 * 3600));
    assert_eq!((config.num_partitions, config.auto_create_topics, config.delete_topics), (1, true, true));
    assert_eq!(config.authorizer, Authorizer::None);
    assert_eq!(config.warnings, [""; 0]);
}

#[test]
fn the_number_of_the_node() {
    for (file, expected) in [
        ("node.id=0", 0),
        ("broker.id=7", 7),
        ("broker.id=-1", 1),
        ("node.id=2\nbroker.id=2", 2),
        ("node.id=3\nbroker.id=-1", 3),
    ] {
        assert_eq!(load(file).unwrap().node_id, expected, "{file}");
    }
}

#[test]
fn the_files_of_the_official_image_start() {
    let config = load(
        "process.roles=broker,controller\nnode.id=1\ncontroller.quorum.voters=1@localhost:9093\n\
         listeners=PLAINTEXT://:9092,CONTROLLER://:9093\nadvertised.listeners=PLAINTEXT://localhost:9092\n\
         inter.broker.listener.name=PLAINTEXT\ncontroller.listener.names=CONTROLLER\n\
         listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL\n\
         log.dirs=/tmp/kraft-combined-logs\nnum.partitions=1\noffsets.topic.replication.factor=1",
    )
    .unwrap();
    assert_eq!(listeners(&config), ["PLAINTEXT://:9092"]);
    assert_eq!(advertised(&config), ["PLAINTEXT://localhost:9092"]);
    assert_eq!(config.warnings, [""; 0]);
}

#[test]
fn an_advertised_address_asks_for_a_listener() {
    let image = from_environment(&[("KAFKA_ADVERTISED_LISTENERS", "PLAINTEXT://kafka:29092")]).unwrap();
    assert_eq!(listeners(&image), ["PLAINTEXT://0.0.0.0:29092"]);
    let file = load("advertised.listeners=PLAINTEXT://kafka:29092").unwrap();
    assert_eq!(listeners(&file), ["PLAINTEXT://:9092"]);
    assert_eq!(advertised(&file), ["PLAINTEXT://kafka:29092"]);
}

#[test]
fn several_listeners_each_with_its_limit() {
    let config = load(
        "listeners=IN://:29092,OUT://127.0.0.1:0\nlistener.security.protocol.map=IN:PLAINTEXT,OUT:PLAINTEXT\n\
         listener.name.out.max.connections=5\nmax.connections.per.ip.overrides=10.0.0.1:3,[::1]:4",
    )
    .unwrap();
    assert_eq!(listeners(&config), ["IN://:29092", "OUT://127.0.0.1:0"]);
    let limits: Vec<i32> = config.network.listeners.iter().map(|listener| listener.max_connections).collect();
    assert_eq!(limits, [i32::MAX, 5]);
    let overrides: Vec<_> = config.network.max_connections_per_ip_overrides.into_iter().collect();
    assert_eq!(overrides, [("10.0.0.1".to_owned(), 3), ("::1".to_owned(), 4)]);
}

#[test]
fn data_directories() {
    for (file, expected) in [
        ("log.dir=/a", vec!["/a"]),
        ("log.dir=/a\nlog.dirs=/b, /c,", vec!["/b", "/c"]),
        ("log.dirs=", vec!["/data"]),
    ] {
        assert_eq!(
            load(file).unwrap().log.dirs,
            expected.iter().map(PathBuf::from).collect::<Vec<_>>(),
            "{file}"
        );
    }
    let path =
        |xdg: Option<&str>, home: Option<&str>| default_log_dir(xdg.map(OsStr::new), home.map(OsStr::new));
    assert_eq!(path(Some("/x"), Some("/h")), PathBuf::from("/x/milena"));
    assert_eq!(path(Some("x"), Some("/h")), PathBuf::from("/h/.local/share/milena"));
    assert_eq!(path(None, Some("/h")), PathBuf::from("/h/.local/share/milena"));
    assert_eq!(path(None, Some("")), PathBuf::from("/var/lib/milena"));
    assert_eq!(path(None, None), PathBuf::from("/var/lib/milena"));
}

#[test]
fn authorizers() {
    let config = load(
        "authorizer.class.name=kafka.security.authorizer.AclAuthorizer\nsuper.users=User:a;User:CN=b,O=c;\n\
         allow.everyone.if.no.acl.found=true",
    )
    .unwrap();
    let super_users = vec!["User:a".to_owned(), "User:CN=b,O=c".to_owned()];
    assert_eq!(config.authorizer, Authorizer::Acls { super_users, allow_everyone_if_no_acl_found: true });
    assert_eq!(config.warnings, [""; 0]);
}

/// What is written, how the refusal begins, and a part of its advice.
const REFUSALS: &[(&str, &str, &str)] = &[
    ("num.partitions=x", "Invalid value x for configuration num.partitions: Not a number of type INT", ""),
    ("num.io.threads=0", "Invalid value 0 for configuration num.io.threads: Value must be at least 1", ""),
    (
        "listener.name.a.max.connections=x",
        "Invalid value x for configuration listener.name.a.max.connections: Not a number of type INT",
        "",
    ),
    (
        "listeners=x",
        "Invalid value x for configuration listeners: Unable to parse x to a broker endpoint",
        "",
    ),
    ("listeners=A://:1", "No security protocol defined for listener A", "add A:PLAINTEXT to"),
    (
        "listeners=SSL://:1",
        "listener SSL is mapped to SSL, which milena does not serve yet",
        "remove the listener",
    ),
    ("listeners=SASL_SSL://:1", "listener SASL_SSL is mapped to SASL_SSL, which", "remove the listener"),
    ("listeners=CONTROLLER://:1", "no listener is left for clients", "add one for clients"),
    (
        "listeners=PLAINTEXT://:1,PLAINTEXT://:2",
        "Each listener must have a different name",
        "give every listener",
    ),
    ("listeners=PLAINTEXT://:1,SSL://:1", "Each listener must have a different port", "give every listener"),
    (
        "early.start.listeners=plaintext, controller,A",
        "early.start.listeners contains listener A, but this is not contained in listeners or",
        "remove it",
    ),
    (
        "advertised.listeners=A://h:1",
        "advertised.listeners listener names must be equal to or a subset of the ones defined in listeners. Found \
         A. The valid options based on the current configuration are PLAINTEXT",
        "add A to listeners",
    ),
    (
        "advertised.listeners=PLAINTEXT://h:1,PLAINTEXT://i:1",
        "advertised.listeners has two addresses for listener PLAINTEXT",
        "keep one",
    ),
    (
        "listener.security.protocol.map=A:B",
        "Invalid value A:B for configuration listener.security.protocol.map",
        "",
    ),
    (
        "max.connections.per.ip.overrides=a",
        "Invalid value a for configuration max.connections.per.ip.overrides",
        "",
    ),
    ("node.id=1\nbroker.id=2", "broker.id is 2 and node.id is 1", "remove broker.id"),
    (
        "controller.quorum.voters=1@a:1,2@b:1",
        "controller.quorum.voters names other nodes than this one, which is 1: 2@b:1",
        "milena runs as a single node",
    ),
    (
        "controller.quorum.bootstrap.servers=a:1,b:1",
        "controller.quorum.bootstrap.servers names several nodes: a:1,b:1",
        "milena runs as a single node",
    ),
    (
        "authorizer.class.name=com.example.Mine",
        "authorizer.class.name=com.example.Mine is unknown",
        "set it to org",
    ),
    (
        "principal.builder.class=com.example.Mine",
        "principal.builder.class=com.example.Mine names a Java class",
        "milena loads no",
    ),
    (
        "listener.name.a.plain.sasl.server.callback.handler.class=X",
        "listener.name.a.plain.sasl.server",
        "milena loads no",
    ),
    ("security.providers=X", "security.providers=X names a Java class", "milena loads no"),
    ("log.dirs=/a,/a", "log.dirs names /a twice", "name every data directory once"),
    ("log.dirs=,", "At least one log directory must be defined via log.dirs or log.dir.", "set log.dirs"),
    (
        "log.retention.minutes=0",
        "requirement failed: log.retention.ms must be unlimited (-1) or, greater than or equal to 1",
        "log.retention.minutes=0 is not",
    ),
    (
        "log.roll.ms=0",
        "requirement failed: log.roll.ms must be greater than or equal to 1",
        "log.roll.ms=0 is not",
    ),
    ("log.roll.jitter.ms=-1", "requirement failed: log.roll.jitter.ms must be greater", "is not"),
    (
        "log.cleaner.dedupe.buffer.size=1048576",
        "requirement failed: log.cleaner.dedupe.buffer.size must be at least 1MB per cleaner thread.",
        "raise it",
    ),
    (
        "max.connections.per.ip=0",
        "requirement failed: max.connections.per.ip can be set to zero only if max.connections.per.ip.overrides \
         property is set.",
        "admit at least one",
    ),
    (
        "queued.max.request.bytes=104857599",
        "requirement failed: queued.max.request.bytes must be larger or equal to socket.request.max.bytes",
        "change either",
    ),
    (
        "connections.max.idle.ms=100",
        "requirement failed: connection.failed.authentication.delay.ms=100 should always be less than \
         connections.max.idle.ms=100 to prevent failed authentication responses from timing out",
        "change either",
    ),
    (
        "replica.fetch.wait.max.ms=30001\nreplica.lag.time.max.ms=30001",
        "requirement failed: replica.socket.timeout.ms should always be at least replica.fetch.wait.max.ms to \
         prevent unnecessary socket timeouts",
        "change either",
    ),
    (
        "replica.lag.time.max.ms=499",
        "requirement failed: replica.fetch.wait.max.ms should always be less than or equal to \
         replica.lag.time.max.ms to prevent frequent changes in ISR",
        "change either",
    ),
    (
        "group.max.session.timeout.ms=5",
        "group.max.session.timeout.ms must be greater than or equal to group.min.session.timeout.ms",
        "they are 5 and 6000",
    ),
    (
        "group.consumer.session.timeout.ms=5",
        "group.consumer.session.timeout.ms must be greater than or equal to group.consumer.min.session.timeout.ms",
        "they are 5 and 45000",
    ),
    (
        "offsets.topic.compression.codec=9",
        "offsets.topic.compression.codec=9: Unknown compression type id",
        "use 0",
    ),
];

#[test]
fn refusals_say_what_where_and_what_to_do() {
    for (file, what, advice) in REFUSALS {
        let error = load(&format!("\n{file}")).expect_err(file);
        assert!(error.starts_with(what), "{error}");
        assert!(error.contains("(from server.properties:") || error.contains("built-in"), "{error}");
        assert!(error.contains(advice) && !error.contains('\n'), "{error}");
    }
    assert_eq!(
        load("num.partitions=1\nnum.partitions=x").unwrap_err(),
        "Invalid value x for configuration num.partitions: Not a number of type INT (from server.properties:2)"
    );
    assert_eq!(
        from_environment(&[("KAFKA_NUM_PARTITIONS", "x")]).unwrap_err(),
        "Invalid value x for configuration num.partitions: Not a number of type INT (from environment variable \
         KAFKA_NUM_PARTITIONS)"
    );
}

#[test]
fn what_is_accepted_with_a_warning() {
    let listeners = "listeners=PLAINTEXT://:9092\n";
    for (file, expected) in [
        (
            "num.partitons=3",
            "unknown setting num.partitons (from server.properties:2) is ignored; did you mean num.partitions?",
        ),
        ("something.else=3", "unknown setting something.else (from server.properties:2) is ignored"),
        ("num.io.threads=3", "accepted 1 setting that has no effect in milena: num.io.threads"),
        (
            "num.io.threads=3\ninter.broker.protocol.version=2.8\nconfluent.x=1",
            "accepted 3 settings that have no effect in milena: confluent.x, inter.broker.protocol.version, num.io.threads",
        ),
        (
            "advertised.listeners=PLAINTEXT://0.0.0.0:9092",
            "advertised.listeners: nobody can connect to PLAINTEXT://0.0.0.0:9092 (from server.properties:2); clients \
             are told the address they reached",
        ),
        (
            "advertised.listeners=PLAINTEXT://a:1,",
            "advertised.listeners (from server.properties:2) has an empty entry, which is ignored",
        ),
        (
            "offsets.topic.replication.factor=3",
            "offsets.topic.replication.factor=3 (from server.properties:2) is more than this one broker: \
             __consumer_offsets gets 1",
        ),
        (
            "transaction.state.log.min.isr=2",
            "transaction.state.log.min.isr=2 (from server.properties:2) is more than this one broker: \
             __transaction_state gets 1",
        ),
        (
            "inter.broker.listener.name=IN",
            "inter.broker.listener.name=IN (from server.properties:2) is not one of the listeners; a single broker \
             needs none",
        ),
        (
            "controller.quorum.voters=5@a:1\nmilena.allow.standalone=true",
            "controller.quorum.voters names other nodes than this one, which is 1: 5@a:1; starting alone, as \
             milena.allow.standalone=true asks for",
        ),
        (
            "controller.quorum.bootstrap.servers=a:1,b:1\nmilena.allow.standalone=true",
            "controller.quorum.bootstrap.servers names several nodes: a:1,b:1; starting alone, as \
             milena.allow.standalone=true asks for",
        ),
    ] {
        assert_eq!(load(&format!("{listeners}{file}")).unwrap().warnings, [expected], "{file}");
    }
    let warnings =
        load("zookeeper.connect=zk:2181\nreplica.selector.class=com.example.Mine").unwrap().warnings;
    assert_eq!(
        warnings,
        [
            "accepted 2 settings that have no effect in milena: replica.selector.class, zookeeper.connect",
            "zookeeper.connect is ignored: milena keeps its metadata itself, as Kafka 4 does; brokers with the same \
             ZooKeeper are a cluster each",
            "replica.selector.class=com.example.Mine (from server.properties:2): milena loads no Java classes",
        ]
    );
}

#[test]
fn one_controller_may_be_named_twice() {
    for file in [
        "controller.quorum.bootstrap.servers=localhost:9093,LOCALHOST:9093",
        "controller.quorum.voters=1@a:1\ncontroller.quorum.bootstrap.servers=a:1,b:1",
    ] {
        assert!(load(file).unwrap().warnings.is_empty(), "{file}");
    }
}

#[test]
fn a_controller_has_no_listeners_and_may_have_siblings() {
    let config =
        load("process.roles=controller\nlisteners=CONTROLLER://:9093\ncontroller.quorum.voters=1@a:1,2@b:2")
            .unwrap();
    assert!(config.is_controller_only && config.network.listeners.is_empty());
}

#[test]
fn dynamic_settings_win_and_can_be_taken_back() {
    let config = load("message.max.bytes=5\nlog.retention.hours=1").unwrap();
    let set = |pairs: &[(&str, &str)]| {
        let cluster = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        DynamicConfigs { cluster, ..DynamicConfigs::default() }
    };
    let changed = config.with_dynamic(set(&[("message.max.bytes", "6"), ("log.retention.ms", "7")])).unwrap();
    assert_eq!((changed.topic_defaults.max_message_bytes, changed.topic_defaults.retention_ms), (6, 7));
    let back = changed.with_dynamic(DynamicConfigs::default()).unwrap();
    assert_eq!((back.topic_defaults.max_message_bytes, back.topic_defaults.retention_ms), (5, 3_600_000));
    let error = config.with_dynamic(set(&[("message.max.bytes", "x")])).unwrap_err().to_string();
    assert_eq!(
        error,
        "Invalid value x for configuration message.max.bytes: Not a number of type INT (from dynamic configuration)"
    );
}

#[test]
fn secrets_are_not_shown() {
    let config =
        load("ssl.key.password=hunter2\nlistener.name.a.ssl.key.password=hunter2\nunknown=hunter2").unwrap();
    let cluster = [("ssl.keystore.password".to_owned(), "hunter2".to_owned())].into();
    let config = config.with_dynamic(DynamicConfigs { cluster, ..DynamicConfigs::default() }).unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    for entry in describe_broker(&config) {
        assert!(!format!("{entry:?}").contains("hunter2"), "{}", entry.name);
    }
}

#[test]
fn what_goes_together_starts() {
    for file in [
        "queued.max.request.bytes=104857600",
        "queued.max.request.bytes=0",
        "connections.max.idle.ms=101",
        "connections.max.idle.ms=-1",
        "replica.lag.time.max.ms=500\nreplica.socket.timeout.ms=500",
        "max.connections.per.ip=0\nmax.connections.per.ip.overrides=127.0.0.1:1",
    ] {
        assert!(load(file).is_ok(), "{file}");
    }
}

#[test]
fn compaction_is_not_due_before_it_is_allowed_at_the_start_alone() {
    let (min, max) = ("log.cleaner.min.compaction.lag.ms=9", "log.cleaner.max.compaction.lag.ms=3");
    let refused = load(&format!("{min}\n{max}")).unwrap_err();
    let text = "conflict topic config setting min.compaction.lag.ms (9) > max.compaction.lag.ms (3)";
    assert!(refused.contains(text), "{refused}");
    let dynamic = DynamicConfigs {
        cluster: [("log.cleaner.min.compaction.lag.ms".to_owned(), "9".to_owned())].into(),
        ..DynamicConfigs::default()
    };
    let changed = load(max).unwrap().with_dynamic(dynamic).unwrap();
    let lags = (changed.topic_defaults.min_compaction_lag_ms, changed.topic_defaults.max_compaction_lag_ms);
    assert_eq!(lags, (9, 3), "as Kafka does it");
}
