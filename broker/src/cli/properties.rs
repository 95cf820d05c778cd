//! The settings of a start as a properties file.

use crate::config::{BrokerConfig, Origin};
use std::fmt::Write;

/// What was written, in the syntax of Java's properties, and where the data is. What an image sets by itself is left out,
/// so that a start from the file leaves it open, too.
pub fn as_properties(config: &BrokerConfig) -> String {
    let mut text = String::new();
    let dirs: Vec<String> = config.log.dirs.iter().map(|dir| dir.display().to_string()).collect();
    let own = [("node.id", config.node_id.to_string()), ("log.dirs", dirs.join(","))];
    for (key, value) in &own {
        line(&mut text, key, value);
    }
    for (key, raw) in config.written().iter() {
        if raw.origin != Origin::Image && own.iter().all(|(name, _)| *name != key) {
            line(&mut text, key, &raw.value);
        }
    }
    text
}

fn line(text: &mut String, key: &str, value: &str) {
    let _ = writeln!(text, "{}={}", escaped(key, true), escaped(value, false));
}

/// Blanks at the beginning, and in a key anywhere, are taken for separators.
fn escaped(part: &str, is_key: bool) -> String {
    let mut text = String::new();
    for (at, c) in part.chars().enumerate() {
        match c {
            '\n' => text.push_str("\\n"),
            '\r' => text.push_str("\\r"),
            '\t' => text.push_str("\\t"),
            '\\' => text.push_str("\\\\"),
            ' ' if is_key || at == 0 => text.push_str("\\ "),
            '=' | ':' | '#' | '!' if is_key => {
                text.push('\\');
                text.push(c);
            }
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::as_properties;
    use crate::config::{BrokerConfig, Sources};
    use std::path::Path;

    #[test]
    fn what_is_printed_is_read_back() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let sources = Sources {
            image: vec![pair("listeners", "PLAINTEXT://:9092")],
            environment: vec![
                pair("KAFKA_BROKER_ID", "3"),
                pair("KAFKA_SASL_JAAS_CONFIG", " a\\b required user=\"x\";\n next"),
                pair("KAFKA_ODD KEY:", "#1"),
            ],
            ..Sources::default()
        };
        let config = BrokerConfig::load(&sources, Path::new("/data")).unwrap();
        let text = as_properties(&config);
        assert_eq!(
            text,
            "node.id=3\nlog.dirs=/data\nbroker.id=3\nodd\\ key\\:=#1\n\
             sasl.jaas.config=\\ a\\\\b required user=\"x\";\\n next\n"
        );
        let file = Some(("printed".into(), text.into_bytes()));
        let again = BrokerConfig::load(&Sources { file, ..Sources::default() }, Path::new("/other")).unwrap();
        for key in ["odd key:", "sasl.jaas.config", "node.id"] {
            let value = |config: &BrokerConfig| config.written().get(key).map(|raw| raw.value.clone());
            assert_eq!(value(&again), value(&config), "{key}");
        }
        assert_eq!(again.log.dirs, config.log.dirs);
    }
}
