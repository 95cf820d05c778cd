use super::{Variables, property_name, read};

fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn settings(pairs: &[(&str, &str)], in_image: bool) -> Vec<String> {
    let reading = read(Variables { all: &owned(pairs), in_image });
    let settings = reading.settings.iter().map(|setting| format!("{}={}", setting.property, setting.value));
    settings.chain(reading.notes.iter().map(|note| format!("note: {note}"))).collect()
}

#[test]
fn names_follow_the_images() {
    for (variable, expected) in [
        ("KAFKA_NODE_ID", Some("node.id")),
        ("KAFKA_CFG_NODE_ID", Some("node.id")),
        ("KAFKA_LISTENER_NAME_PLAINTEXT_SASL_JAAS_CONFIG", Some("listener.name.plaintext.sasl.jaas.config")),
        (
            "KAFKA_LISTENER_NAME_SECURE_SCRAM-SHA-512_SASL_JAAS_CONFIG",
            Some("listener.name.secure.scram-sha-512.sasl.jaas.config"),
        ),
        (
            "KAFKA_LISTENER_NAME_SASL__SSL_SCRAM___SHA___256_SASL_JAAS_CONFIG",
            Some("listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config"),
        ),
        (
            "KAFKA_CFG_LISTENER_NAME_SASL_SSL_SCRAM_SHA_256_SASL_JAAS_CONFIG",
            Some("listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config"),
        ),
        ("KAFKA_A__B", Some("a_b")),
        ("KAFKA_A___B", Some("a-b")),
        ("KAFKA_A____B", Some("a-.b")),
        ("KAFKA_X_KAFKA_Y", Some("x.kafka.y")),
        ("KAFKA_MILENA_ADVERTISE_AUTO", Some("milena.advertise.auto")),
        ("MILENA_ADVERTISE_AUTO", Some("milena.advertise.auto")),
        ("MILENA_NUM_PARTITIONS", Some("num.partitions")),
        ("MILENA_NO_SUCH_KEY", Some("milena.no.such.key")),
        ("KAFKA_", None),
        ("KAFKA_CFG_", None),
        ("MILENA_", None),
        ("KAFKA_HEAP_OPTS", None),
        ("KAFKA_CLUSTERS_0_NAME", None),
        ("KAFKA_INIT_MAX_TIMEOUT", None),
        ("MILENA_BOOTSTRAP", None),
        ("kafka_node_id", None),
        ("NODE_ID", None),
    ] {
        assert_eq!(property_name(variable).as_deref(), expected, "{variable}");
    }
}

#[test]
fn ranks_and_values() {
    for (variables, expected) in [
        (&[("KAFKA_NUM_PARTITIONS", "")][..], &[][..]),
        (
            &[("MILENA_NODE_ID", "4"), ("KAFKA_NODE_ID", "3"), ("NODE_ID", "2"), ("KAFKA_CFG_NODE_ID", "1")],
            &["node.id=1", "node.id=2", "node.id=3", "node.id=4"],
        ),
        (&[("MILENA_ALLOW_STANDALONE", "1")], &["milena.allow.standalone=true"]),
        (&[("MILENA_ADVERTISE_AUTO", "off")], &["milena.advertise.auto=false"]),
        (&[("MILENA_NODE_ID", "1")], &["node.id=1"]),
        (&[("KAFKA_CLUSTER_ID", "c")], &["milena.cluster.id=c"]),
        (&[("NODE_ROLE", "combined")], &["process.roles=broker,controller"]),
        (&[("NODE_ROLE", "controller")], &["process.roles=controller"]),
        (&[("CREATE_TOPICS", "a:1:1")], &["milena.create.topics=a:1:1"]),
        (&[("KAFKA_CREATE_TOPICS", "a:1:1,b:1:1:compact")], &["milena.create.topics=a:1:1,b:1:1:compact"]),
        (
            &[("KAFKA_CREATE_TOPICS", "a:1:1\n b:1:1\n"), ("KAFKA_CREATE_TOPICS_SEPARATOR", "$$'\\n'")],
            &["milena.create.topics=a:1:1,b:1:1"],
        ),
        (
            &[("KAFKA_CREATE_TOPICS_SEPARATOR", ";"), ("KAFKA_CREATE_TOPICS", "a:1:1;b:1:1")],
            &["milena.create.topics=a:1:1,b:1:1"],
        ),
        (
            &[("KAFKA_CLIENT_USERS", "u")],
            &["note: KAFKA_CLIENT_USERS has no effect: every listener that milena opens is plain text"],
        ),
        (
            &[("KAFKA_OPTS", "-Djava.security.auth.login.config=/j")],
            &["note: KAFKA_OPTS: the users in /j are not read, since no listener uses SASL"],
        ),
    ] {
        assert_eq!(settings(variables, true), expected, "{variables:?}");
    }
}

#[test]
fn names_without_a_prefix_count_in_an_image_alone() {
    let variables = [("NODE_ID", "7"), ("CLUSTER_ID", "c"), ("HOST_NAME", "laptop"), ("BROKER_ID", "7")];
    assert_eq!(settings(&variables, false), [""; 0]);
    assert_eq!(settings(&variables, true).len(), 4);
}

#[test]
fn what_kubernetes_injects_is_no_setting() {
    for (variable, value) in [
        ("KAFKA_SERVICE_HOST", "10.0.0.1"),
        ("KAFKA_SERVICE_PORT", "9092"),
        ("KAFKA_SERVICE_PORT_TCP_CLIENT", "9092"),
        ("KAFKA_PORT", "tcp://10.0.0.1:9092"),
        ("KAFKA_PORT_9092_TCP", "tcp://10.0.0.1:9092"),
        ("KAFKA_PORT_9092_TCP_PROTO", "tcp"),
        ("KAFKA_PORT_9092_TCP_PORT", "9092"),
        ("KAFKA_PORT_9092_TCP_ADDR", "10.0.0.1"),
        ("KAFKA_BROKER_SERVICE_HOST", "10.0.0.1"),
        ("KAFKA_BROKER_PORT", "udp://10.0.0.1:9092"),
        ("MILENA_SERVICE_HOST", "10.0.0.1"),
        ("MILENA_PORT_9092_TCP_ADDR", "10.0.0.1"),
    ] {
        assert_eq!(settings(&[(variable, value)], true), [""; 0], "{variable}");
    }
    assert_eq!(settings(&[("KAFKA_PORT", "9093")], true), ["port=9093"]);
    assert_eq!(settings(&[("KAFKA_ADVERTISED_PORT", "9093")], true), ["advertised.port=9093"]);
}
