//! Whose configurations: types and names, in either spelling.

use crate::cli::failure::Failure;
use crate::cli::flags::Given;
use std::net::ToSocketAddrs;

/// Types, in the order in which Kafka lists them.
const TYPES: [&str; 8] =
    ["topics", "clients", "users", "brokers", "ips", "client-metrics", "groups", "broker-loggers"];
/// Flags that are a type and a name.
const NAMED: [(&str, &str); 8] = [
    ("topic", "topics"),
    ("client", "clients"),
    ("user", "users"),
    ("broker", "brokers"),
    ("broker-logger", "broker-loggers"),
    ("ip", "ips"),
    ("client-metrics", "client-metrics"),
    ("group", "groups"),
];
/// Flags that are a type and its default.
const DEFAULTS: [(&str, &str); 4] = [
    ("client-defaults", "clients"),
    ("user-defaults", "users"),
    ("broker-defaults", "brokers"),
    ("ip-defaults", "ips"),
];

/// Types and names, which belong together by their place. An empty name is the default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entities {
    /// The types: one, or users and clients.
    pub(super) types: Vec<String>,
    /// The names: as many, or none.
    pub(super) names: Vec<String>,
}

impl Entities {
    /// Reads and checks the flags.
    ///
    /// # Errors
    /// They make no entity.
    pub(super) fn read(given: &Given) -> Result<Self, Failure> {
        let entities = Self { types: types(given), names: names(given)? };
        entities.check(given)?;
        Ok(entities)
    }

    /// Whether these are quotas rather than configurations.
    pub(super) fn are_quotas(&self) -> bool {
        self.types.iter().any(|kind| ["users", "clients", "ips"].contains(&kind.as_str()))
    }

    fn check(&self, given: &Given) -> Result<(), Failure> {
        let refuse = |text: String| Err(Failure::Text(text));
        let has = |kind: &str| self.types.iter().any(|known| known == kind);
        let list = self.types.join(",");
        let (server, controller) = (given.has("bootstrap-server"), given.has("bootstrap-controller"));
        if !server && !controller {
            return refuse("Either --bootstrap-server or --bootstrap-controller must be specified.".into());
        }
        if let Some(odd) = self.types.iter().find(|kind| !TYPES.contains(&kind.as_str())) {
            let all = TYPES.join(", ");
            return refuse(format!(
                "Invalid entity type {odd}, the entity type must be one of {all} with a --bootstrap-server or --bootstrap-controller argument"
            ));
        }
        if self.types.is_empty() {
            return refuse("At least one entity type must be specified".into());
        }
        if self.types.iter().enumerate().any(|(at, kind)| self.types[..at].contains(kind)) {
            return refuse(format!("Duplicate entity type(s) specified: {}", self.types[0]));
        }
        if self.types.len() > 1 && !(self.types.len() == 2 && has("users") && has("clients")) {
            return refuse("Only 'users' and 'clients' entity types may be specified together".into());
        }
        let is_long = ["entity-name", "entity-type", "entity-default"].iter().any(|flag| given.has(flag));
        if is_long && NAMED.iter().chain(&DEFAULTS).any(|(flag, _)| given.has(flag)) {
            return refuse(
                "--entity-{type,name,default} should not be used in conjunction with specific entity flags"
                    .into(),
            );
        }
        if server && controller {
            return refuse(
                "Only one of --bootstrap-server or --bootstrap-controller can be specified".into(),
            );
        }
        let named = self.names.iter().find(|name| !name.is_empty());
        if let Some(name) = named
            && (has("brokers") || has("broker-loggers"))
            && name.parse::<i32>().is_err()
        {
            let kind = &self.types[0];
            return refuse(format!(
                "The entity name for {kind} must be a valid integer broker id, but it is: {name}"
            ));
        }
        if let Some(name) = named
            && has("ips")
            && (name.as_str(), 0).to_socket_addrs().is_err()
        {
            return refuse(format!(
                "The entity name for ips must be a valid IP or resolvable host, but it is: {name}"
            ));
        }
        if given.has("describe") {
            let may_default = self.are_quotas() || has("brokers");
            if given.has("entity-default") && !may_default {
                return refuse(format!("--entity-default must not be specified with --describe of {list}"));
            }
            if has("broker-loggers") && named.is_none() {
                return refuse(format!("An entity name must be specified with --describe of {list}"));
            }
            return Ok(());
        }
        if self.are_quotas() || has("brokers") {
            if self.names.is_empty() {
                return refuse("An entity-name or default entity must be specified with --alter of users, clients, brokers or ips".into());
            }
        } else if named.is_none() {
            return refuse(format!("An entity name must be specified with --alter of {list}"));
        }
        if given.has("add-config") && given.has("add-config-file") {
            return refuse("Only one of --add-config or --add-config-file must be specified".into());
        }
        if !["add-config", "add-config-file", "delete-config"].iter().any(|flag| given.has(flag)) {
            return refuse("At least one of --add-config, --add-config-file, or --delete-config must be specified with --alter".into());
        }
        Ok(())
    }
}

fn types(given: &Given) -> Vec<String> {
    let long = given.all("entity-type").map(str::to_owned);
    let short =
        NAMED.iter().chain(&DEFAULTS).filter(|(flag, _)| given.has(flag)).map(|(_, kind)| (*kind).to_owned());
    long.chain(short).collect()
}

fn names(given: &Given) -> Result<Vec<String>, Failure> {
    let mut names: Vec<String> = given
        .in_order()
        .filter(|(flag, _)| ["entity-name", "entity-default"].contains(flag))
        .map(|(_, name)| name.unwrap_or_default().to_owned())
        .collect();
    for (flag, _) in NAMED {
        names.extend(given.one(flag)?.map(str::to_owned));
    }
    names.extend(DEFAULTS.iter().filter(|(flag, _)| given.has(flag)).map(|_| String::new()));
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::Entities;
    use crate::cli::flags::Given;
    use crate::cli::kafka::configs::FLAGS;

    fn read(line: &str) -> Result<(String, String), String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let given = Given::read(FLAGS, &words).expect(line);
        let entities = Entities::read(&given).map_err(|error| error.to_string())?;
        Ok((entities.types.join(","), entities.names.join(",")))
    }

    #[test]
    fn either_spelling() {
        let b = "--bootstrap-server a:1 --describe";
        for (line, types, names) in [
            ("--entity-type topics --entity-name t", "topics", "t"),
            ("--topic t", "topics", "t"),
            (
                "--entity-type users --entity-name u --entity-type clients --entity-default",
                "users,clients",
                "u,",
            ),
            ("--user-defaults", "users", ""),
            ("--entity-type brokers --entity-default", "brokers", ""),
            ("--entity-type brokers", "brokers", ""),
        ] {
            assert_eq!(read(&format!("{b} {line}")), Ok((types.into(), names.into())), "{line}");
        }
    }

    #[test]
    fn refusals() {
        for (line, expected) in [
            ("--describe --topic t", "Either --bootstrap-server"),
            ("--bootstrap-server a:1 --describe", "At least one entity type"),
            ("--bootstrap-server a:1 --describe --entity-type things", "Invalid entity type things"),
            ("--bootstrap-server a:1 --describe --topic t --broker 1", "Only 'users' and 'clients'"),
            (
                "--bootstrap-server a:1 --describe --ip 1.2.3.256.1",
                "The entity name for ips must be a valid IP or resolvable host, but it is: 1.2.3.256.1",
            ),
            (
                "--bootstrap-server a:1 --describe --entity-type topics --broker 1",
                "Only 'users' and 'clients'",
            ),
            (
                "--bootstrap-server a:1 --describe --entity-type topics --topic t",
                "Duplicate entity type(s) specified: topics",
            ),
            ("--bootstrap-server a:1 --describe --broker x", "The entity name for brokers must be"),
            ("--bootstrap-server a:1 --alter --topic t", "At least one of --add-config"),
            (
                "--bootstrap-server a:1 --alter --entity-type topics --add-config a=b",
                "An entity name must be",
            ),
            (
                "--bootstrap-server a:1 --alter --entity-type brokers --add-config a=b",
                "An entity-name or default",
            ),
        ] {
            let error = read(line).expect_err(line);
            assert!(error.starts_with(expected), "{line}: {error}");
        }
    }
}
