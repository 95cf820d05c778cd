//! The resource type BROKER_LOGGER (KIP-412): levels of this process's loggers, described and changed
//! (Kafka's `RuntimeLoggerManager`). They are not stored.

use super::alter_configs::invalid;
use crate::config::describe::{ConfigEntry, source};
use crate::controller::Refusal;
use crate::logging::{self, Level, Loggers, ROOT};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};

/// Levels that a request may set, as its error lists them.
const SETTABLE: [&str; 6] = ["DEBUG", "ERROR", "FATAL", "INFO", "TRACE", "WARN"];

/// The levels of the broker that `name` names. A process whose log is somebody else's has none.
pub(super) fn describe(
    loggers: Option<&Loggers>,
    node_id: i32,
    name: &str,
) -> Result<Vec<ConfigEntry>, Refusal> {
    match name.parse::<i32>() {
        Ok(id) if id == node_id => {}
        Ok(_) => {
            return Err(invalid(format!("Unexpected broker id, expected {node_id} but received {name}")));
        }
        Err(_) if name.is_empty() => return Err(invalid("Broker id must not be empty".to_owned())),
        Err(_) => return Err(invalid(format!("Broker id must be an integer, but it is: {name}"))),
    }
    let entry = |(name, level): (&str, Level)| ConfigEntry {
        name: name.to_owned(),
        value: Some(level.to_string()),
        source: source::DYNAMIC_BROKER_LOGGER,
        read_only: false,
        sensitive: false,
        config_type: 0,
        documentation: Some(String::new()),
        synonyms: Vec::new(),
        is_default: false,
    };
    Ok(loggers.map(Loggers::all).unwrap_or_default().into_iter().map(entry).collect())
}

/// Changes levels, all that is asked or, if anything is wrong or with `validate_only`, none.
pub(super) fn alter(
    loggers: Option<&Loggers>,
    node_id: i32,
    resource: &AlterConfigsResource,
    validate_only: bool,
) -> Result<(), Refusal> {
    let name = resource.resource_name.as_str();
    match name.parse::<i32>() {
        Ok(id) if id == node_id => {}
        Ok(id) => return Err(invalid(format!("Unexpected node id. Expected {node_id}, but received {id}"))),
        Err(_) => return Err(invalid(format!("Node id must be an integer, but it is: {name}"))),
    }
    let changes = resource.configs.iter().map(|config| change(loggers.is_some(), config));
    let changes = changes.collect::<Result<Vec<_>, _>>()?;
    let Some(loggers) = loggers.filter(|_| !validate_only) else { return Ok(()) };
    for (name, level) in changes {
        loggers.set(name, level);
        match level {
            Some(level) => tracing::warn!("Updated the log level of {name} to {level}"),
            None => tracing::warn!("Unset the log level of {name}"),
        }
    }
    Ok(())
}

/// The logger and its new level.
fn change(has_loggers: bool, config: &AlterableConfig) -> Result<(&str, Option<Level>), Refusal> {
    let refused = |message| Err(Refusal::new(ResponseError::InvalidConfig, message));
    let not_allowed =
        |what: String| Err(invalid(format!("{what} is not allowed for the BROKER_LOGGER resource")));
    let name = config.name.as_str();
    let is_known = has_loggers && logging::exists(name);
    match config.config_operation {
        0 | 1 if !is_known => refused(format!("Logger {name} does not exist!")),
        0 => {
            let text = config.value.as_deref().unwrap_or_default();
            match Level::parse(text).filter(|_| SETTABLE.contains(&text)) {
                Some(level) => Ok((name, Some(level))),
                None => refused(format!(
                    "Cannot set the log level of {name} to {text} as it is not a supported log level. Valid log \
                     levels are {}",
                    SETTABLE.join(", ")
                )),
            }
        }
        1 if name == ROOT => {
            Err(invalid(format!("Removing the log level of the {ROOT} logger is not allowed")))
        }
        1 => Ok((name, None)),
        2 => not_allowed("APPEND operation".to_owned()),
        3 => not_allowed("SUBTRACT operation".to_owned()),
        other => not_allowed(format!("Unknown operation type {other}")),
    }
}

#[cfg(test)]
mod tests {
    use super::{alter, describe};
    use crate::logging::tests::loggers;
    use kafka_protocol::messages::incremental_alter_configs_request::{
        AlterConfigsResource, AlterableConfig,
    };
    use kafka_protocol::protocol::StrBytes;

    fn resource(node: &str, edits: &[(&str, i8, Option<&str>)]) -> AlterConfigsResource {
        let text = |text: &str| StrBytes::from_string(text.to_owned());
        let config = |(name, operation, value): &(&str, i8, Option<&str>)| {
            AlterableConfig::default()
                .with_name(text(name))
                .with_config_operation(*operation)
                .with_value(value.map(text))
        };
        AlterConfigsResource::default()
            .with_resource_type(8)
            .with_resource_name(text(node))
            .with_configs(edits.iter().map(config).collect())
    }

    fn level(loggers: &crate::logging::Loggers, name: &str) -> String {
        let entries = describe(Some(loggers), 1, "1").unwrap();
        let entry = entries.into_iter().find(|entry| entry.name == name).unwrap();
        assert_eq!((entry.source, entry.read_only, entry.config_type), (6, false, 0));
        entry.value.unwrap()
    }

    #[test]
    fn refusals_change_nothing() {
        let (loggers, _) = loggers();
        let set = ("kafka.server", 0, Some("DEBUG"));
        #[rustfmt::skip]
        let rows = [
            (resource("x", &[set]), 42, "Node id must be an integer, but it is: x"),
            (resource("", &[set]), 42, "Node id must be an integer, but it is: "),
            (resource("2", &[set]), 42, "Unexpected node id. Expected 1, but received 2"),
            (resource("1", &[set, ("kafka.x", 0, Some("INFO"))]), 40, "Logger kafka.x does not exist!"),
            (resource("1", &[set, ("kafka.x", 1, None)]), 40, "Logger kafka.x does not exist!"),
            (resource("1", &[set, ("root", 0, Some("debug"))]), 40, "Cannot set the log level of root to debug as it is not a supported log level. Valid log levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN"),
            (resource("1", &[set, ("root", 0, Some("OFF"))]), 40, "Cannot set the log level of root to OFF as it is not a supported log level. Valid log levels are DEBUG, ERROR, FATAL, INFO, TRACE, WARN"),
            (resource("1", &[set, ("root", 1, None)]), 42, "Removing the log level of the root logger is not allowed"),
            (resource("1", &[set, ("root", 2, Some("INFO"))]), 42, "APPEND operation is not allowed for the BROKER_LOGGER resource"),
            (resource("1", &[set, ("root", 3, Some("INFO"))]), 42, "SUBTRACT operation is not allowed for the BROKER_LOGGER resource"),
            (resource("1", &[set, ("root", 9, Some("INFO"))]), 42, "Unknown operation type 9 is not allowed for the BROKER_LOGGER resource"),
        ];
        for (resource, code, message) in rows {
            let refusal = alter(Some(&loggers), 1, &resource, false).unwrap_err();
            assert_eq!((refusal.code(), refusal.message.as_str()), (code, message));
            assert_eq!(level(&loggers, "kafka.server"), "INFO", "{message}");
        }
        let refusal = alter(None, 1, &resource("1", &[set]), false).unwrap_err();
        assert_eq!(refusal.message, "Logger kafka.server does not exist!");
        assert_eq!(describe(None, 1, "1").unwrap(), []);
        #[rustfmt::skip]
        let rows = [
            ("", "Broker id must not be empty"),
            ("2", "Unexpected broker id, expected 1 but received 2"),
            ("x", "Broker id must be an integer, but it is: x"),
        ];
        for (name, message) in rows {
            assert_eq!(describe(Some(&loggers), 1, name).unwrap_err().message, message);
        }
    }

    #[test]
    fn levels_are_set_and_unset() {
        let (loggers, filter) = loggers();
        let enabled = || filter.lock().would_enable("milena::api::produce", &tracing::Level::DEBUG);
        let set = resource("1", &[("kafka.server", 0, Some("DEBUG")), ("root", 0, Some("FATAL"))]);
        alter(Some(&loggers), 1, &set, true).unwrap();
        assert_eq!((level(&loggers, "root"), enabled()), ("INFO".to_owned(), false), "only validated");
        alter(Some(&loggers), 1, &set, false).unwrap();
        assert!(enabled());
        assert_eq!(level(&loggers, "org.apache.kafka.server"), "DEBUG");
        assert_eq!(level(&loggers, "kafka.controller"), "FATAL");
        alter(Some(&loggers), 1, &resource("1", &[("kafka.server", 1, None)]), false).unwrap();
        assert_eq!((level(&loggers, "kafka.server"), enabled()), ("FATAL".to_owned(), false));
    }
}
