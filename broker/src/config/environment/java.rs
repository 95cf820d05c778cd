//! `KAFKA_OPTS`: options of a Java machine, two of which say something about the broker.

const JAAS: &str = "-Djava.security.auth.login.config=";

/// One line for what has no effect here and would be missed: the users of a JAAS file, the port of a metrics agent.
///
/// Nothing has to be refused for it. Users are asked for by listeners with SASL alone, and such a listener stops the start
/// by itself.
pub(super) fn notes(options: &str) -> Vec<String> {
    let words = words(options);
    let mut notes = Vec::new();
    for word in &words {
        if let Some(file) = word.strip_prefix(JAAS) {
            notes.push(format!("KAFKA_OPTS: the users in {file} are not read, since no listener uses SASL"));
        } else if let Some(port) = word.strip_prefix("-javaagent:").and_then(metrics_port) {
            notes.push(format!("KAFKA_OPTS: no Java agent is loaded, nothing serves metrics on port {port}"));
        }
    }
    notes
}

/// The port of Prometheus' JMX exporter: `PATH=[HOST:]PORT:FILE`.
fn metrics_port(agent: &str) -> Option<u16> {
    let (path, options) = agent.split_once('=')?;
    if !path.contains("jmx_prometheus") {
        return None;
    }
    options.split(':').find_map(|part| part.parse().ok())
}

/// Splits words at blanks as a shell does, quotes taken off.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut begun) = (Vec::new(), String::new(), None, false);
    for c in text.chars() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '"' | '\'') => (quote, begun) = (Some(c), true),
            (None, c) if c.is_whitespace() => {
                if begun {
                    words.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            _ => {
                word.push(c);
                begun = true;
            }
        }
    }
    if begun {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::{notes, words};

    #[test]
    fn words_are_those_of_a_shell() {
        for (text, expected) in [
            ("", &[][..]),
            ("  -a   -b ", &["-a", "-b"]),
            ("-a='x y' \"-b c\"", &["-a=x y", "-b c"]),
            ("''", &[""]),
            ("'it\"s' open'", &["it\"s", "open"]),
        ] {
            assert_eq!(words(text), expected, "{text}");
        }
    }

    #[test]
    fn what_would_be_missed_is_said() {
        for (options, expected) in [
            ("-Xmx1g -Dcom.sun.management.jmxremote", None),
            (
                "-Djava.security.auth.login.config=/etc/kafka/jaas.conf",
                Some(
                    "KAFKA_OPTS: the users in /etc/kafka/jaas.conf are not read, since no listener uses SASL",
                ),
            ),
            (
                "-javaagent:/opt/jmx_prometheus_javaagent.jar=7071:/etc/jmx.yml",
                Some("KAFKA_OPTS: no Java agent is loaded, nothing serves metrics on port 7071"),
            ),
            (
                "-javaagent:/opt/jmx_prometheus_javaagent.jar=0.0.0.0:7072:/etc/jmx.yml",
                Some("KAFKA_OPTS: no Java agent is loaded, nothing serves metrics on port 7072"),
            ),
            ("-javaagent:/tmp/opentelemetry-javaagent.jar", None),
        ] {
            assert_eq!(notes(options).first().map(String::as_str), expected, "{options}");
        }
    }
}
