//! Variables that the rule of the underscores does not explain.

use crate::config::environment::Variables;

/// Variables of Bitnami's image about users and certificates.
const OF_SECURITY: &[&str] = &[
    "KAFKA_CERTIFICATE_PASSWORD",
    "KAFKA_CLIENT_PASSWORDS",
    "KAFKA_CLIENT_USERS",
    "KAFKA_CONTROLLER_PASSWORD",
    "KAFKA_CONTROLLER_USER",
    "KAFKA_INTER_BROKER_PASSWORD",
    "KAFKA_INTER_BROKER_USER",
    "KAFKA_TLS_CLIENT_AUTH",
    "KAFKA_TLS_TYPE",
];

/// Where the images keep what Kafka itself knows under another name or not at all.
const NAMES: &[(&str, &str)] = &[
    ("KAFKA_ADVERTISED_HOST", "advertised.host.name"),
    ("KAFKA_CLUSTER_ID", "milena.cluster.id"),
    ("KAFKA_KRAFT_CLUSTER_ID", "milena.cluster.id"),
];

/// Names without a prefix, which mean something only where the process is alone in its container.
const IMAGE_NAMES: &[(&str, &str)] = &[
    ("ADVERTISED_HOST_NAME", "advertised.host.name"),
    ("ADVERTISED_PORT", "advertised.port"),
    ("BROKER_ID", "broker.id"),
    ("CLUSTER_ID", "milena.cluster.id"),
    ("CREATE_TOPICS", "milena.create.topics"),
    ("HOST_NAME", "host.name"),
    ("NODE_ID", "node.id"),
    ("NODE_ROLE", "process.roles"),
];

/// The property and the value that a variable stands for.
pub(super) fn find(variables: Variables<'_>, variable: &str, value: &str) -> Option<(String, String)> {
    if variable == "KAFKA_CREATE_TOPICS" {
        return Some(("milena.create.topics".to_owned(), entries(variables, value)));
    }
    let row = |names: &[(&str, &'static str)]| {
        names.iter().find(|(name, _)| *name == variable).map(|(_, property)| *property)
    };
    let property = row(NAMES).or_else(|| row(IMAGE_NAMES).filter(|_| variables.in_image))?;
    let value = match (variable, value) {
        ("NODE_ROLE", "combined") => "broker,controller",
        _ => value,
    };
    Some((property.to_owned(), value.to_owned()))
}

/// What is to be said of a variable that has no effect.
pub(super) fn note(variable: &str) -> Option<String> {
    OF_SECURITY
        .contains(&variable)
        .then(|| format!("{variable} has no effect: every listener that milena opens is plain text"))
}

/// The topics of `KAFKA_CREATE_TOPICS`, separated by commas, whatever `KAFKA_CREATE_TOPICS_SEPARATOR` says.
fn entries(variables: Variables<'_>, value: &str) -> String {
    let separator = variables.all.iter().rev().find(|(name, _)| name == "KAFKA_CREATE_TOPICS_SEPARATOR");
    let separator = match separator.map(|(_, separator)| separator.as_str()) {
        None | Some("") => return value.to_owned(),
        // As a shell writes a line feed, and as compose files quote that.
        Some("$'\\n'" | "$$'\\n'" | "\\n") => "\n",
        Some(separator) => separator,
    };
    let topics: Vec<&str> = value.split(separator).map(str::trim).filter(|topic| !topic.is_empty()).collect();
    topics.join(",")
}

/// Names that Bitnami's rule, one dot for each underscore, takes apart.
pub(super) fn repaired(property: &str) -> String {
    const PARTS: &[(&str, &str)] = &[
        ("sasl.plaintext", "sasl_plaintext"),
        ("sasl.ssl", "sasl_ssl"),
        ("scram.sha.256", "scram-sha-256"),
        ("scram.sha.512", "scram-sha-512"),
    ];
    PARTS.iter().fold(property.to_owned(), |name, (apart, whole)| name.replace(apart, whole))
}
