//! Names of environment variables as property names, by the rules of the official container image.

/// Variables that speak to scripts and the Java machine, or to other parts of a stack: never properties.
const IGNORED: &[&str] = &[
    "KAFKA_CREATE_TOPICS",
    "KAFKA_CREATE_TOPICS_SEPARATOR",
    "KAFKA_DATA_DIRS",
    "KAFKA_DEBUG",
    "KAFKA_GC_LOG_OPTS",
    "KAFKA_HEAP_OPTS",
    "KAFKA_HOME",
    "KAFKA_JMX_HOSTNAME",
    "KAFKA_JMX_OPTS",
    "KAFKA_JMX_PORT",
    "KAFKA_JVM_PERFORMANCE_OPTS",
    "KAFKA_LOG4J_LOGGERS",
    "KAFKA_LOG4J_OPTS",
    "KAFKA_LOG4J_ROOT_LOGLEVEL",
    "KAFKA_OPTS",
    "KAFKA_TOOLS_LOG4J_LOGLEVEL",
    "KAFKA_VERSION",
];

const IGNORED_PREFIXES: &[&str] = &["KAFKA_CLUSTERS_", "KAFKA_REST_"];

/// The property that an environment variable sets: `KAFKA_` goes, the rest in lower case with `_` as `.`, `__` as
/// `_` and `___` as `-`. `KAFKA_CFG_` is another spelling of `KAFKA_`. `None` for every other variable.
///
/// ```
/// use milena::config::property_name;
/// assert_eq!(property_name("KAFKA_NUM_PARTITIONS").as_deref(), Some("num.partitions"));
/// assert_eq!(property_name("KAFKA_A__B___C").as_deref(), Some("a_b-c"));
/// ```
pub fn property_name(variable: &str) -> Option<String> {
    let name = variable.strip_prefix("KAFKA_")?;
    let name = name.strip_prefix("CFG_").unwrap_or(name);
    let ignored =
        IGNORED.contains(&variable) || IGNORED_PREFIXES.iter().any(|prefix| variable.starts_with(prefix));
    if ignored || name.is_empty() {
        return None;
    }
    Some(name.to_lowercase().replace('_', ".").replace("...", "-").replace("..", "_"))
}

/// Whether a variable uses the spelling that yields to the plain one.
pub(super) fn is_weak(variable: &str) -> bool {
    variable.starts_with("KAFKA_CFG_")
}

#[cfg(test)]
mod tests {
    use super::property_name;

    #[test]
    fn names_follow_the_image() {
        for (variable, expected) in [
            ("KAFKA_NODE_ID", Some("node.id")),
            ("KAFKA_CFG_NODE_ID", Some("node.id")),
            (
                "KAFKA_LISTENER_NAME_PLAINTEXT_SASL_JAAS_CONFIG",
                Some("listener.name.plaintext.sasl.jaas.config"),
            ),
            ("KAFKA_A__B", Some("a_b")),
            ("KAFKA_A___B", Some("a-b")),
            ("KAFKA_A____B", Some("a-.b")),
            ("KAFKA_X_KAFKA_Y", Some("x.kafka.y")),
            ("KAFKA_", None),
            ("KAFKA_CFG_", None),
            ("KAFKA_HEAP_OPTS", None),
            ("KAFKA_CLUSTERS_0_NAME", None),
            ("kafka_node_id", None),
            ("NODE_ID", None),
        ] {
            assert_eq!(property_name(variable).as_deref(), expected, "{variable}");
        }
    }
}
