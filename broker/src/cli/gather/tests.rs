//! Environments that test libraries, compose files and images set, word for word, and what the broker makes of them.

use super::{data_on_a_volume, of_image};
use crate::config::{BrokerConfig, Endpoint, Sources};
use std::path::Path;

/// What every Testcontainers module sets beside its listeners.
const TESTCONTAINERS: &[(&str, &str)] = &[
    ("CLUSTER_ID", "4L6g3nShT-eMCtK--X86sw"),
    ("KAFKA_INTER_BROKER_LISTENER_NAME", "BROKER"),
    ("KAFKA_PROCESS_ROLES", "broker,controller"),
    ("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER"),
    ("KAFKA_NODE_ID", "1"),
    ("KAFKA_BROKER_ID", "1"),
    ("KAFKA_CONTROLLER_QUORUM_VOTERS", "1@localhost:9094"),
    ("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", "1"),
    ("KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS", "1"),
    ("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", "1"),
    ("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "1"),
    ("KAFKA_LOG_FLUSH_INTERVAL_MESSAGES", "9223372036854775807"),
    ("KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS", "0"),
];

/// What a broker of an image opens and tells.
struct Row {
    name: &'static str,
    /// Whether [`TESTCONTAINERS`] come first.
    of_testcontainers: bool,
    variables: &'static [(&'static str, &'static str)],
    listeners: &'static str,
    controllers: &'static str,
    advertised: &'static str,
    /// Words that one of the warnings has; empty if there may be none but the settings without effect.
    warning: &'static str,
}

const PLAIN_MAP: &str = "BROKER:PLAINTEXT,PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT";

#[rustfmt::skip]
const ROWS: &[Row] = &[
    Row { name: "nothing", of_testcontainers: false, variables: &[],
        listeners: "PLAINTEXT://:9092", controllers: "CONTROLLER://:9093", advertised: "", warning: "" },
    Row { name: "one variable leaves the defaults alone", of_testcontainers: false,
        variables: &[("KAFKA_NUM_PARTITIONS", "3")],
        listeners: "PLAINTEXT://:9092", controllers: "CONTROLLER://:9093", advertised: "", warning: "" },
    Row { name: "an advertised address alone", of_testcontainers: false,
        variables: &[("KAFKA_ADVERTISED_LISTENERS", "PLAINTEXT://kafka:29092")],
        listeners: "PLAINTEXT://0.0.0.0:29092", controllers: "", advertised: "PLAINTEXT://kafka:29092", warning: "" },
    Row { name: "empty is unset", of_testcontainers: false,
        variables: &[("KAFKA_ADVERTISED_LISTENERS", ""), ("KAFKA_LISTENERS", ""), ("KAFKA_PROCESS_ROLES", "")],
        listeners: "PLAINTEXT://:9092", controllers: "CONTROLLER://:9093", advertised: "", warning: "" },
    Row { name: "testcontainers-java KafkaContainer", of_testcontainers: true,
        variables: &[
            ("KAFKA_LISTENERS", "PLAINTEXT://0.0.0.0:9092,BROKER://0.0.0.0:9093,CONTROLLER://0.0.0.0:9094"),
            ("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", PLAIN_MAP),
            ("KAFKA_ADVERTISED_LISTENERS", "PLAINTEXT://localhost:32768,BROKER://3f2a9c:9093,TC-0://kafka:19092"),
            ("KAFKA_LISTENERS", "PLAINTEXT://0.0.0.0:9092,BROKER://0.0.0.0:9093,CONTROLLER://0.0.0.0:9094,TC-0://0.0.0.0:19092"),
            ("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "BROKER:PLAINTEXT,PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,TC-0:PLAINTEXT"),
        ],
        listeners: "PLAINTEXT://0.0.0.0:9092,BROKER://0.0.0.0:9093,TC-0://0.0.0.0:19092",
        controllers: "CONTROLLER://0.0.0.0:9094",
        advertised: "PLAINTEXT://localhost:32768,BROKER://3f2a9c:9093,TC-0://kafka:19092", warning: "" },
    Row { name: "testcontainers-java old KafkaContainer with ZooKeeper", of_testcontainers: false,
        variables: &[
            ("KAFKA_LISTENERS", "PLAINTEXT://0.0.0.0:9093,BROKER://0.0.0.0:9092"),
            ("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "BROKER:PLAINTEXT,PLAINTEXT:PLAINTEXT"),
            ("KAFKA_INTER_BROKER_LISTENER_NAME", "BROKER"), ("KAFKA_BROKER_ID", "1"),
            ("KAFKA_ZOOKEEPER_CONNECT", "localhost:2181"),
            ("KAFKA_ADVERTISED_LISTENERS", "PLAINTEXT://localhost:32769,BROKER://3f2a9c:9092"),
        ],
        listeners: "PLAINTEXT://0.0.0.0:9093,BROKER://0.0.0.0:9092", controllers: "",
        advertised: "PLAINTEXT://localhost:32769,BROKER://3f2a9c:9092", warning: "zookeeper.connect is ignored" },
    Row { name: "testcontainers-dotnet", of_testcontainers: true,
        variables: &[
            ("KAFKA_LISTENERS", "PLAINTEXT://:9092,BROKER://:9093,CONTROLLER://:9094"),
            ("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", PLAIN_MAP),
            ("KAFKA_ADVERTISED_LISTENERS", "PLAINTEXT://127.0.0.1:32770,BROKER://172.17.0.2:9093,"),
        ],
        listeners: "PLAINTEXT://:9092,BROKER://:9093", controllers: "CONTROLLER://:9094",
        advertised: "PLAINTEXT://127.0.0.1:32770,BROKER://172.17.0.2:9093", warning: "empty entry" },
    Row { name: "testcontainers-go", of_testcontainers: true,
        variables: &[
            ("KAFKA_LISTENERS", "PLAINTEXT://0.0.0.0:9093,BROKER://0.0.0.0:9092,CONTROLLER://0.0.0.0:9094"),
            ("KAFKA_REST_BOOTSTRAP_SERVERS", "PLAINTEXT://0.0.0.0:9093,BROKER://0.0.0.0:9092,CONTROLLER://0.0.0.0:9094"),
            ("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", PLAIN_MAP),
            ("KAFKA_ADVERTISED_LISTENERS", "PLAINTEXT://localhost:32771,BROKER://3f2a9c:9092"),
        ],
        listeners: "PLAINTEXT://0.0.0.0:9093,BROKER://0.0.0.0:9092", controllers: "CONTROLLER://0.0.0.0:9094",
        advertised: "PLAINTEXT://localhost:32771,BROKER://3f2a9c:9092", warning: "" },
    Row { name: "testcontainers-rs confluent before it tells the port", of_testcontainers: false,
        variables: &[
            ("KAFKA_ZOOKEEPER_CONNECT", "localhost:2181"),
            ("KAFKA_LISTENERS", "PLAINTEXT://0.0.0.0:9093,BROKER://0.0.0.0:9092"),
            ("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "BROKER:PLAINTEXT,PLAINTEXT:PLAINTEXT"),
            ("KAFKA_INTER_BROKER_LISTENER_NAME", "BROKER"),
            ("KAFKA_ADVERTISED_LISTENERS", "PLAINTEXT://localhost:9093,BROKER://localhost:9092"),
            ("KAFKA_BROKER_ID", "1"), ("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", "1"),
        ],
        listeners: "PLAINTEXT://0.0.0.0:9093,BROKER://0.0.0.0:9092", controllers: "",
        advertised: "PLAINTEXT://localhost:9093,BROKER://localhost:9092", warning: "zookeeper.connect is ignored" },
    Row { name: "Aspire.Hosting.Kafka", of_testcontainers: false,
        variables: &[
            ("KAFKA_LISTENERS", "PLAINTEXT://localhost:29092,CONTROLLER://localhost:29093,PLAINTEXT_HOST://0.0.0.0:9092,PLAINTEXT_INTERNAL://0.0.0.0:9093"),
            ("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PLAINTEXT_HOST:PLAINTEXT,PLAINTEXT_INTERNAL:PLAINTEXT"),
            ("KAFKA_ADVERTISED_LISTENERS", "PLAINTEXT://localhost:29092,PLAINTEXT_HOST://localhost:54321,PLAINTEXT_INTERNAL://kafka:9093"),
        ],
        listeners: "PLAINTEXT://localhost:29092,PLAINTEXT_HOST://0.0.0.0:9092,PLAINTEXT_INTERNAL://0.0.0.0:9093",
        controllers: "CONTROLLER://localhost:29093",
        advertised: "PLAINTEXT://localhost:29092,PLAINTEXT_HOST://localhost:54321,PLAINTEXT_INTERNAL://kafka:9093", warning: "" },
    Row { name: "cp-all-in-one", of_testcontainers: false,
        variables: &[
            ("KAFKA_NODE_ID", "1"),
            ("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PLAINTEXT_HOST:PLAINTEXT"),
            ("KAFKA_ADVERTISED_LISTENERS", "PLAINTEXT://broker:29092,PLAINTEXT_HOST://localhost:9092"),
            ("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", "1"), ("KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS", "0"),
            ("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "1"), ("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", "1"),
            ("KAFKA_JMX_PORT", "9101"), ("KAFKA_JMX_HOSTNAME", "localhost"),
            ("KAFKA_PROCESS_ROLES", "broker,controller"), ("KAFKA_CONTROLLER_QUORUM_VOTERS", "1@broker:29093"),
            ("KAFKA_LISTENERS", "PLAINTEXT://broker:29092,CONTROLLER://broker:29093,PLAINTEXT_HOST://0.0.0.0:9092"),
            ("KAFKA_INTER_BROKER_LISTENER_NAME", "PLAINTEXT"), ("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER"),
            ("KAFKA_LOG_DIRS", "/tmp/kraft-combined-logs"), ("CLUSTER_ID", "MkU3OEVBNTcwNTJENDM2Qk"),
        ],
        listeners: "PLAINTEXT://broker:29092,PLAINTEXT_HOST://0.0.0.0:9092", controllers: "CONTROLLER://broker:29093",
        advertised: "PLAINTEXT://broker:29092,PLAINTEXT_HOST://localhost:9092", warning: "" },
    Row { name: "OpenTelemetry demo", of_testcontainers: false,
        variables: &[
            ("KAFKA_ADVERTISED_LISTENERS", "PLAINTEXT://kafka:9092"),
            ("KAFKA_LISTENERS", "PLAINTEXT://kafka:9092,CONTROLLER://kafka:9093"),
            ("KAFKA_CONTROLLER_QUORUM_VOTERS", "1@kafka:9093"), ("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER"),
            ("KAFKA_PROCESS_ROLES", "controller,broker"), ("KAFKA_NODE_ID", "1"),
            ("KAFKA_HEAP_OPTS", "-Xmx400m -Xms400m"), ("KAFKA_OPTS", "-javaagent:/tmp/opentelemetry-javaagent.jar"),
            ("KAFKA_METADATA_LOG_SEGMENT_MS", "15000"), ("KAFKA_METADATA_MAX_RETENTION_MS", "60000"),
            ("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://otel-collector:4318"),
        ],
        listeners: "PLAINTEXT://kafka:9092", controllers: "CONTROLLER://kafka:9093",
        advertised: "PLAINTEXT://kafka:9092", warning: "" },
    Row { name: "Bitnami", of_testcontainers: false,
        variables: &[
            ("KAFKA_CFG_NODE_ID", "0"), ("KAFKA_CFG_PROCESS_ROLES", "controller,broker"),
            ("KAFKA_CFG_LISTENERS", "PLAINTEXT://:9092,CONTROLLER://:9093,EXTERNAL://:9094"),
            ("KAFKA_CFG_ADVERTISED_LISTENERS", "PLAINTEXT://kafka:9092,EXTERNAL://localhost:9094"),
            ("KAFKA_CFG_LISTENER_SECURITY_PROTOCOL_MAP", "CONTROLLER:PLAINTEXT,EXTERNAL:PLAINTEXT,PLAINTEXT:PLAINTEXT"),
            ("KAFKA_CFG_CONTROLLER_QUORUM_VOTERS", "0@kafka:9093"), ("KAFKA_CFG_CONTROLLER_LISTENER_NAMES", "CONTROLLER"),
            ("ALLOW_PLAINTEXT_LISTENER", "yes"), ("KAFKA_ENABLE_KRAFT", "yes"), ("KAFKA_KRAFT_CLUSTER_ID", "abc"),
        ],
        listeners: "PLAINTEXT://:9092,EXTERNAL://:9094", controllers: "CONTROLLER://:9093",
        advertised: "PLAINTEXT://kafka:9092,EXTERNAL://localhost:9094", warning: "" },
    Row { name: "Debezium", of_testcontainers: false,
        variables: &[
            ("CLUSTER_ID", "oh-sxaDRTcyAr6pFRbXyzA"), ("NODE_ID", "1"), ("NODE_ROLE", "combined"),
            ("KAFKA_CONTROLLER_QUORUM_VOTERS", "1@kafka:9093"),
            ("KAFKA_LISTENERS", "PLAINTEXT://kafka:9092,CONTROLLER://kafka:9093"),
            ("KAFKA_ADVERTISED_LISTENERS", "PLAINTEXT://kafka:9092"),
        ],
        listeners: "PLAINTEXT://kafka:9092", controllers: "CONTROLLER://kafka:9093",
        advertised: "PLAINTEXT://kafka:9092", warning: "" },
    Row { name: "Debezium with ZooKeeper and an advertised host", of_testcontainers: false,
        variables: &[("ADVERTISED_HOST_NAME", "192.168.0.5"), ("BROKER_ID", "1"), ("ZOOKEEPER_CONNECT", "zookeeper:2181")],
        listeners: "PLAINTEXT://:9092", controllers: "CONTROLLER://:9093", advertised: "PLAINTEXT://192.168.0.5:9092", warning: "" },
    Row { name: "wurstmeister", of_testcontainers: false,
        variables: &[
            ("KAFKA_ADVERTISED_HOST_NAME", "192.168.99.100"), ("KAFKA_ADVERTISED_PORT", "19092"),
            ("KAFKA_ZOOKEEPER_CONNECT", "zookeeper:2181"), ("KAFKA_CREATE_TOPICS", "a:1:1,b:3:1:compact"),
        ],
        listeners: "PLAINTEXT://:9092", controllers: "CONTROLLER://:9093", advertised: "PLAINTEXT://192.168.99.100:19092",
        warning: "zookeeper.connect is ignored" },
    Row { name: "wurstmeister with a port", of_testcontainers: false,
        variables: &[("KAFKA_ADVERTISED_HOST_NAME", "h"), ("KAFKA_PORT", "9095"), ("KAFKA_HOST_NAME", "h")],
        listeners: "PLAINTEXT://:9095", controllers: "", advertised: "PLAINTEXT://h:9095", warning: "" },
    Row { name: "a Kubernetes service that is named kafka", of_testcontainers: false,
        variables: &[
            ("KAFKA_PORT", "tcp://10.96.1.2:9092"), ("KAFKA_SERVICE_HOST", "10.96.1.2"), ("KAFKA_SERVICE_PORT", "9092"),
            ("KAFKA_PORT_9092_TCP", "tcp://10.96.1.2:9092"), ("KAFKA_PORT_9092_TCP_ADDR", "10.96.1.2"),
            ("KAFKA_ADVERTISED_LISTENERS", "PLAINTEXT://kafka:9092"),
        ],
        listeners: "PLAINTEXT://0.0.0.0:9092", controllers: "", advertised: "PLAINTEXT://kafka:9092", warning: "" },
    Row { name: "an advertised wildcard", of_testcontainers: false,
        variables: &[("KAFKA_ADVERTISED_LISTENERS", "PLAINTEXT://0.0.0.0:9092")],
        listeners: "PLAINTEXT://0.0.0.0:9092", controllers: "", advertised: "", warning: "nobody can connect to" },
    Row { name: "an encrypted controller", of_testcontainers: false,
        variables: &[
            ("KAFKA_LISTENERS", "PLAINTEXT://:9092,CONTROLLER://:9093"),
            ("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "PLAINTEXT:PLAINTEXT,CONTROLLER:SASL_PLAINTEXT"),
        ],
        listeners: "PLAINTEXT://:9092", controllers: "", advertised: "",
        warning: "the controller listener CONTROLLER://:9093 is not opened" },
];

fn sources(of_testcontainers: bool, variables: &[(&str, &str)]) -> Sources {
    let common = if of_testcontainers { TESTCONTAINERS } else { &[] };
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Sources { environment: common.iter().chain(variables).map(pair).collect(), ..of_image() }
}

fn joined<'a>(endpoints: impl Iterator<Item = &'a Endpoint>) -> String {
    endpoints.map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[test]
fn environments_that_people_have() {
    for row in ROWS {
        let sources = sources(row.of_testcontainers, row.variables);
        let config = BrokerConfig::load(&sources, Path::new("/data"));
        let config = config.unwrap_or_else(|error| panic!("{}: {error}", row.name));
        let network = &config.network;
        assert_eq!(joined(network.listeners.iter().map(|l| &l.endpoint)), row.listeners, "{}", row.name);
        let controllers = joined(network.controller_listeners.iter().map(|l| &l.endpoint));
        assert_eq!(controllers, row.controllers, "{}", row.name);
        assert_eq!(joined(network.advertised_listeners.iter()), row.advertised, "{}", row.name);
        let said: Vec<&String> =
            config.warnings.iter().filter(|warning| !warning.starts_with("accepted ")).collect();
        assert_eq!(said.len(), usize::from(!row.warning.is_empty()), "{}: {said:?}", row.name);
        assert!(said.iter().all(|warning| warning.contains(row.warning)), "{}: {said:?}", row.name);
    }
}

#[test]
fn what_would_be_unsafe_is_refused() {
    for (variables, expected) in [
        (
            &[
                ("KAFKA_LISTENERS", "SASL_PLAINTEXT://:9092"),
                ("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "SASL_PLAINTEXT:SASL_PLAINTEXT"),
                ("KAFKA_OPTS", "-Djava.security.auth.login.config=/etc/kafka/jaas.conf"),
            ][..],
            "listener SASL_PLAINTEXT is mapped to SASL_PLAINTEXT, which milena does not serve yet",
        ),
        (
            &[("KAFKA_ADVERTISED_LISTENERS", "SSL://kafka:9093"), ("KAFKA_SSL_KEYSTORE_FILENAME", "k.jks")],
            "listener SSL is mapped to SSL, which milena does not serve yet",
        ),
        (
            &[("KAFKA_CONTROLLER_QUORUM_VOTERS", "1@kafka-1:9093,2@kafka-2:9093,3@kafka-3:9093")],
            "controller.quorum.voters names other nodes than this one, which is 1: 2@kafka-2:9093,3@kafka-3:9093",
        ),
        (
            &[("KAFKA_PROCESS_ROLES", "broker"), ("KAFKA_NODE_ID", "2")],
            "process.roles=broker needs the controller of another node",
        ),
        (
            &[("KAFKA_AUTHORIZER_CLASS_NAME", "com.example.Own")],
            "authorizer.class.name=com.example.Own is unknown",
        ),
        (&[("KAFKA_CREATE_TOPICS", "a:0:1")], "the number of partitions must be a number above 0"),
        (&[("KAFKA_LISTENERS", "A://:1,A://:2")], "Each listener must have a different name"),
    ] {
        let error = BrokerConfig::load(&sources(false, variables), Path::new("/data")).unwrap_err();
        assert!(error.to_string().contains(expected), "{variables:?}: {error}");
    }
    let alone = [("KAFKA_PROCESS_ROLES", "broker"), ("MILENA_ALLOW_STANDALONE", "1")];
    let config = BrokerConfig::load(&sources(false, &alone), Path::new("/data")).unwrap();
    assert!(
        config.warnings.iter().any(|warning| warning.contains("starting alone")),
        "{:?}",
        config.warnings
    );
}

#[test]
fn data_is_where_a_volume_is_mounted() {
    let mount = |place: &str| {
        format!("1234 1200 254:1 /var/lib/docker/volumes/v/_data {place} rw - ext4 /dev/vda1 rw\n")
    };
    for (places, expected) in [
        (&[][..], "/var/lib/kafka/data"),
        (&["/bitnami"], "/bitnami/kafka/data"),
        (&["/bitnami/kafka"], "/bitnami/kafka/data"),
        (&["/bitnami/kafka/config/server.properties"], "/var/lib/kafka/data"),
        (&["/kafka/data", "/kafka/config"], "/kafka/data"),
        (&["/kafka"], "/kafka/kafka-logs"),
        (&["/tmp/kraft-combined-logs"], "/tmp/kraft-combined-logs"),
        (&["/tmp"], "/var/lib/kafka/data"),
        (&["/bitnami", "/var/lib/kafka/data"], "/var/lib/kafka/data"),
    ] {
        let mounts: String =
            ["/", "/proc", "/etc/hosts"].iter().chain(places).map(|place| mount(place)).collect();
        assert_eq!(data_on_a_volume(&mounts), Path::new(expected), "{places:?}");
    }
}
