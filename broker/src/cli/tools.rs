//! The tools that `milena` is under other names, in one table: dispatch, help and links derive from it.

use super::argparse::{Parsed, Parser, Words};
use super::failure::Failure;
use super::flags::{self, Flag, Given};
use super::screen::Screen;
use super::verbs::{self, Verb};
use super::{compat, kafka, own, ready, rpk, seed, server};
use std::io;
use std::process::ExitCode;

/// The version that tools give as theirs: that of the Kafka that they are like.
const KAFKA_VERSION: &str = "4.1.1";

/// A tool.
pub(crate) struct Tool {
    /// The name that it goes by.
    pub(crate) name: &'static str,
    /// What it does, in one line.
    pub(crate) summary: &'static str,
    /// Whether Kafka has it as a script with `.sh` at the end.
    pub(crate) is_script: bool,
    /// Whether it goes by its name alone, and not only behind `milena`.
    pub(crate) is_linked: bool,
    /// What runs it.
    pub(crate) run: Run,
}

/// How a tool runs.
#[derive(Clone, Copy)]
pub(crate) enum Run {
    /// With flags out of a table.
    Flags(&'static [Flag], fn(&mut Screen, &Given) -> Result<(), Failure>),
    /// With a verb and the flags of that.
    Verbs(&'static [Verb]),
    /// With options, a command and the options of that.
    Commands(&'static Parser, fn(&mut Screen, &Parsed) -> Result<(), Failure>),
    /// With words that it reads itself.
    Words(fn(&mut Screen, &[String]) -> Result<(), Failure>),
    /// It is the broker; with `-daemon` it begins one in the background.
    Serve,
}

/// All tools.
pub(crate) const TOOLS: &[Tool] = &[
    script("kafka-topics", "Create, delete, describe, or change a topic.", kafka::topics::RUN),
    script("kafka-console-producer", "Write lines to a topic.", kafka::console_producer::RUN),
    script("kafka-console-consumer", "Print the records of topics.", kafka::console_consumer::RUN),
    script("kafka-consumer-groups", "List, describe, delete and reset groups.", kafka::consumer_groups::RUN),
    script("kafka-configs", "Show and change configurations and quotas.", kafka::configs::RUN),
    script("kafka-get-offsets", "Print offsets of partitions by time.", kafka::get_offsets::RUN),
    script("kafka-delete-records", "Delete records up to given offsets.", kafka::delete_records::RUN),
    script("kafka-log-dirs", "Print the data directories of brokers.", kafka::log_dirs::RUN),
    script("kafka-leader-election", "Elect leaders of partitions.", kafka::leader_election::RUN),
    script("kafka-metadata-quorum", "Describe the quorum of controllers.", kafka::metadata_quorum::RUN),
    script(
        "kafka-reassign-partitions",
        "This tool helps to move topic partitions between replicas.",
        kafka::reassign_partitions::RUN,
    ),
    script("kafka-features", "Show and change the levels of features.", kafka::features::RUN),
    script("kafka-transactions", "List, describe and abort transactions.", kafka::transactions::RUN),
    script("kafka-broker-api-versions", "Print the APIs that brokers support.", kafka::api_versions::RUN),
    script("kafka-cluster", "Print a cluster's id and its nodes.", kafka::cluster::RUN),
    script("kafka-storage", "Format data directories, make ids.", kafka::storage::RUN),
    script("kafka-server-start", "Run the broker: [-daemon] FILE [--override K=V]", Run::Serve),
    script("kafka-server-stop", "Stop all brokers of this binary.", server::STOP),
    script("zookeeper-server-start", "Wait: there is no ZooKeeper.", server::ZOOKEEPER),
    command("cub", "Wait for brokers: kafka-ready BROKERS SECONDS -b HOST:PORT", ready::UTILITY),
    command("ub", "Wait for brokers: kafka-ready BROKERS SECONDS -b HOST:PORT", ready::UTILITY),
    command(
        rpk::NAME,
        "Redpanda's tool: redpanda start, cluster info|health, topic ..., group ...",
        rpk::RUN,
    ),
    own("topic", "Topics: list, create, describe, config, partitions, delete, truncate", own::topic::RUN),
    own("produce", "Write records: lines, a format, or NDJSON as consume prints it.", own::produce::RUN),
    own("consume", "Print records, from an offset or a time on, or as they come.", own::consume::RUN),
    own("group", "Groups: list, describe, members, seek, delete", own::group::RUN),
    own("lag", "How far groups are behind, once or again and again.", own::lag::RUN),
    own("wait", "Wait for a broker, for topics, for states of groups.", ready::WAIT),
    own("config", "Settings of the broker: show, check, explain", own::config::RUN),
    own("doctor", "Find out why clients do not get what they want.", own::doctor::RUN),
    own("seed", "Make the topics and records of a file: apply FILE, diff FILE, export", seed::RUN),
    own("completions", "Completions of all commands: bash, zsh or fish", own::completions::RUN),
    own("man", "The manual page: milena man | man -l -", own::man::RUN),
    own("compat", "Make links by the names of these tools: install DIR", compat::RUN),
];

/// Kafka's tools and milena's own commands for the same work.
const INSTEAD: &[(&str, &str)] = &[
    ("kafka-topics", "milena topic list|create|describe|config|partitions|delete"),
    ("kafka-console-producer", "milena produce TOPIC"),
    ("kafka-console-consumer", "milena consume TOPIC"),
    ("kafka-consumer-groups", "milena group list|describe|members|seek|delete, milena lag"),
    ("kafka-configs", "milena topic config TOPIC, milena config show"),
    ("kafka-get-offsets", "milena topic describe TOPIC"),
    ("kafka-delete-records", "milena topic truncate TOPIC --before POSITION"),
];

const fn script(name: &'static str, summary: &'static str, run: Run) -> Tool {
    Tool { name, summary, is_script: true, is_linked: true, run }
}

const fn command(name: &'static str, summary: &'static str, run: Run) -> Tool {
    Tool { name, summary, is_script: false, is_linked: true, run }
}

const fn own(name: &'static str, summary: &'static str, run: Run) -> Tool {
    Tool { name, summary, is_script: false, is_linked: false, run }
}

/// The tool of that name, with or without `.sh`.
pub(crate) fn find(name: &str) -> Option<&'static Tool> {
    let plain = name.strip_suffix(".sh").unwrap_or(name);
    TOOLS.iter().find(|tool| tool.name == plain)
}

/// The tools, one line each.
pub(crate) fn list() -> String {
    let width = TOOLS.iter().map(|tool| tool.name.len()).max().unwrap_or(0);
    TOOLS.iter().map(|tool| format!("  {:width$}  {}\n", tool.name, tool.summary)).collect()
}

/// Runs a tool to its end.
pub(crate) fn run(tool: &Tool, words: &[String]) -> ExitCode {
    let mut screen = Screen::standard();
    let outcome = attempt(tool, &mut screen, words);
    let outcome = outcome.and_then(|()| Ok(screen.flush()?));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            explain(tool, &mut screen, &failure);
            match failure {
                Failure::Code(code) => ExitCode::from(code),
                Failure::Usage(_) | Failure::Word(_) if matches!(tool.run, Run::Verbs(_)) => {
                    ExitCode::from(2)
                }
                _ => ExitCode::FAILURE,
            }
        }
    }
}

fn attempt(tool: &Tool, screen: &mut Screen, words: &[String]) -> Result<(), Failure> {
    let (table, run) = match tool.run {
        Run::Flags(table, run) => (table, run),
        Run::Commands(parser, run) => {
            return match parser.read(words)? {
                Words::Run(parsed) => run(screen, &parsed),
                Words::Version => version(screen),
                Words::Help(text) => {
                    screen.put(text.as_bytes())?;
                    Err(Failure::Said)
                }
            };
        }
        Run::Words(run) => return run(screen, words),
        Run::Verbs(all) => return verbs::run(tool.name, all, screen, words),
        Run::Serve => return server::start_daemon(words),
    };
    let given = Given::read(table, words)?;
    if given.is_empty && tool.is_script || given.has("help") {
        return Err(Failure::Usage(tool.summary.to_owned()));
    }
    if given.has("version") {
        return version(screen);
    }
    run(screen, &given)
}

fn version(screen: &mut Screen) -> Result<(), Failure> {
    Ok(screen.say(format_args!("{KAFKA_VERSION} (milena {})", env!("CARGO_PKG_VERSION")))?)
}

/// Says why. Where nobody listens any more, nothing is left to be said.
fn explain(tool: &Tool, screen: &mut Screen, failure: &Failure) {
    let _ = match failure {
        Failure::Said | Failure::Code(_) => screen.flush(),
        Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Failure::Usage(text) => {
            let table = match tool.run {
                Run::Flags(table, _) => flags::help(table),
                Run::Verbs(_) | Run::Commands(..) | Run::Words(_) | Run::Serve => String::new(),
            };
            let ours = INSTEAD.iter().find(|(name, _)| *name == tool.name);
            let table = match ours {
                None => table,
                Some((_, ours)) => format!("{table}\nThe same by milena's own commands: {ours}"),
            };
            screen.complain(format_args!("{text}\n{table}").to_string().trim_end())
        }
        other => screen.complain(other),
    };
}
