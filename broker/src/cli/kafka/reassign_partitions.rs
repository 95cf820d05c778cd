//! `kafka-reassign-partitions` (`ReassignPartitionsCommand`).

mod cluster;
mod execute;
mod generate;
mod json;
mod throttles;
mod verify;

use crate::cli::connect::{block_on, client_of, load};
use crate::cli::failure::Failure;
use crate::cli::flags::{Flag, Given, switch, value};
use crate::cli::screen::Screen;
use crate::cli::tools::Run;
use crate::client::{TopicPartition, exception_of};
use cluster::Cluster;
use std::collections::BTreeMap;
use std::fmt;

/// The tool.
pub(crate) const RUN: Run = Run::Flags(FLAGS, run);

const FLAGS: &[Flag] = &[
    value("bootstrap-server", "HOST:PORT", "The brokers to connect to."),
    value("bootstrap-controller", "HOST:PORT", "The controllers to connect to, for --cancel and --list."),
    value("command-config", "FILE", "Properties of the client."),
    switch("generate", "Propose where partitions could be; nothing is moved."),
    switch("execute", "Move partitions as --reassignment-json-file has them."),
    switch("verify", "Say how far that is, and take back the throttles when it is done."),
    switch("cancel", "Cancel what is being moved."),
    switch("list", "List what is being moved."),
    value(
        "reassignment-json-file",
        "FILE",
        "{\"version\":1,\"partitions\":[{\"topic\":\"t\",\"partition\":0,\"replicas\":[1],\"log_dirs\":[\"any\"]}]}",
    ),
    value("topics-to-move-json-file", "FILE", "{\"version\":1,\"topics\":[{\"topic\":\"t\"}]}"),
    value("broker-list", "IDS", "Where to move partitions with --generate, as in 0,1,2."),
    switch("disable-rack-aware", "Do not look at racks."),
    value("throttle", "BYTES", "The most bytes in a second between brokers."),
    value("replica-alter-log-dirs-throttle", "BYTES", "The most bytes in a second between directories."),
    value("timeout", "MS", "How long moves between directories may take to begin; 10000."),
    switch("additional", "Although others are under way; also to change their throttle."),
    switch("preserve-throttles", "Leave throttles as they are."),
    switch("disallow-replication-factor-change", "Refuse other numbers of replicas."),
];

const SERVERS: &[&str] = &["bootstrap-server"];
const EITHER: &[&str] = &["bootstrap-server", "bootstrap-controller"];

/// Something that the tool can do.
struct Action {
    name: &'static str,
    /// Options that it needs.
    needed: &'static [&'static str],
    /// Options that it may have.
    allowed: &'static [&'static str],
    /// Whom it may ask.
    whom: &'static [&'static str],
}

const ACTIONS: [Action; 5] = [
    Action {
        name: "generate",
        needed: &["topics-to-move-json-file", "broker-list"],
        allowed: &["disable-rack-aware"],
        whom: SERVERS,
    },
    Action {
        name: "execute",
        needed: &["reassignment-json-file"],
        allowed: &[
            "additional",
            "throttle",
            "replica-alter-log-dirs-throttle",
            "timeout",
            "disallow-replication-factor-change",
        ],
        whom: SERVERS,
    },
    Action {
        name: "verify",
        needed: &["reassignment-json-file"],
        allowed: &["preserve-throttles"],
        whom: SERVERS,
    },
    Action {
        name: "cancel",
        needed: &["reassignment-json-file"],
        allowed: &["preserve-throttles", "timeout"],
        whom: EITHER,
    },
    Action { name: "list", needed: &[], allowed: &[], whom: EITHER },
];

/// Replicas by partition.
type Replicas = BTreeMap<TopicPartition, Vec<i32>>;

/// A replica, in the order in which they are printed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Replica {
    broker: i32,
    partition: TopicPartition,
}

impl fmt::Display for Replica {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.partition, self.broker)
    }
}

/// Directories by replica.
type Dirs = BTreeMap<Replica, String>;

fn run(screen: &mut Screen, given: &Given) -> Result<(), Failure> {
    let action = action(given)?;
    match act(screen, given, action) {
        Err(Failure::Text(text) | Failure::Word(text)) => screen.say(format_args!("Error: {text}"))?,
        Err(Failure::Client(error)) => match error.code() {
            Some(code) => {
                let class = exception_of(code);
                screen.say(format_args!("Error: org.apache.kafka.common.errors.{class}: {error}"))?;
            }
            None => screen.say(format_args!("Error: {error}"))?,
        },
        other => return other,
    }
    Err(Failure::Said)
}

/// The one action that is asked for.
fn action(given: &Given) -> Result<&'static str, Failure> {
    let mut asked = ACTIONS.iter().filter(|action| given.has(action.name));
    let (Some(action), None) = (asked.next(), asked.next()) else {
        let all: Vec<String> = ACTIONS.iter().map(|action| format!("--{}", action.name)).collect();
        return Err(Failure::Usage(format!("Command must include exactly one action: {}", all.join(", "))));
    };
    match EITHER.iter().filter(|name| given.has(name)).count() {
        0 => {
            return Err(Failure::Usage(
                "Please specify either --bootstrap-server or --bootstrap-controller".into(),
            ));
        }
        1 => {}
        _ => {
            let text = "Please don't specify both --bootstrap-server and --bootstrap-controller";
            return Err(Failure::Usage(text.into()));
        }
    }
    for name in action.needed {
        given.required(name)?;
    }
    let fits = |name: &str| {
        name == action.name
            || name == "command-config"
            || [action.needed, action.allowed, action.whom].iter().any(|list| list.contains(&name))
    };
    match given.in_order().find(|(name, _)| !fits(name)) {
        None => Ok(action.name),
        Some((name, _)) => {
            let action = action.name;
            Err(Failure::Usage(format!("Option \"[{name}]\" can't be used with action \"[{action}]\"")))
        }
    }
}

fn act(screen: &mut Screen, given: &Given, action: &str) -> Result<(), Failure> {
    let properties = given.one("command-config")?.map(load).transpose()?.unwrap_or_default();
    let controllers = given.one("bootstrap-controller")?;
    let bootstrap = match controllers {
        Some(address) => address,
        None => given.required("bootstrap-server")?,
    };
    let mut cluster = Cluster::new(client_of(bootstrap, &properties)?, controllers.is_some());
    let cluster = &mut cluster;
    block_on(async {
        match action {
            "generate" => generate::run(screen, given, cluster).await,
            "execute" => execute::run(screen, given, cluster).await,
            "verify" => verify::run(screen, given, cluster).await,
            "cancel" => execute::cancel(screen, given, cluster).await,
            _ => list(screen, cluster).await,
        }
    })
}

async fn list(screen: &mut Screen, cluster: &mut Cluster) -> Result<(), Failure> {
    let current = cluster.reassignments(None).await?;
    if current.is_empty() {
        return Ok(screen.say("No partition reassignments found.")?);
    }
    screen.say("Current partition reassignments:")?;
    for (tp, moving) in &current {
        let part = |name: &str, ids: &[i32]| match ids {
            [] => String::new(),
            ids => format!(" {name}: {}.", joined(ids)),
        };
        let (adding, removing) = (part("adding", &moving.adding), part("removing", &moving.removing));
        screen.say(format_args!("{tp}: replicas: {}.{adding}{removing}", joined(&moving.replicas)))?;
    }
    Ok(())
}

/// Says why, without the word that unexpected errors begin with.
fn terse(screen: &mut Screen, text: impl fmt::Display) -> Failure {
    screen.say(text).map_or_else(Failure::Output, |()| Failure::Said)
}

/// The text of a file that an option names.
fn file(given: &Given, option: &str) -> Result<String, Failure> {
    let path = given.required(option)?;
    std::fs::read_to_string(path).map_err(|_| Failure::text(format!("Unable to read file {path}")))
}

fn joined<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::{FLAGS, action};
    use crate::cli::flags::Given;

    #[test]
    fn one_action_with_what_belongs_to_it() {
        for (line, expected) in [
            ("--list", Err("Please specify either --bootstrap-server or --bootstrap-controller")),
            ("--bootstrap-server a --list", Ok("list")),
            ("--bootstrap-controller a --list", Ok("list")),
            (
                "--bootstrap-server a --bootstrap-controller b --list",
                Err("Please don't specify both --bootstrap-server and --bootstrap-controller"),
            ),
            (
                "--bootstrap-server a",
                Err(
                    "Command must include exactly one action: --generate, --execute, --verify, --cancel, --list",
                ),
            ),
            (
                "--bootstrap-server a --list --verify",
                Err(
                    "Command must include exactly one action: --generate, --execute, --verify, --cancel, --list",
                ),
            ),
            ("--bootstrap-server a --execute", Err("Missing required argument \"[reassignment-json-file]\"")),
            ("--bootstrap-server a --execute --reassignment-json-file f --throttle 5", Ok("execute")),
            (
                "--bootstrap-server a --list --throttle 5",
                Err("Option \"[throttle]\" can't be used with action \"[list]\""),
            ),
            (
                "--bootstrap-controller a --execute --reassignment-json-file f",
                Err("Option \"[bootstrap-controller]\" can't be used with action \"[execute]\""),
            ),
            (
                "--bootstrap-server a --generate --topics-to-move-json-file f",
                Err("Missing required argument \"[broker-list]\""),
            ),
        ] {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let found =
                action(&Given::read(FLAGS, &words).expect(line)).map_err(|failure| failure.to_string());
            assert_eq!(found, expected.map_err(str::to_owned), "{line}");
        }
    }
}
