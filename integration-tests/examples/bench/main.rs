//! What the broker does in a second, and what it pays for it.
//!
//! The load comes from raw frames that are built once, so that it costs less than any broker that has to check and store
//! them. Processor seconds are those of the broker's whole process tree and stay comparable on a busy machine; rates,
//! percentiles and starts need a quiet one. Brokers take turns (A B A B), each round on a fresh folder, and what is
//! printed are medians.

mod answers;
mod clients;
mod consume;
mod disk;
mod groups;
mod idle;
mod paced;
mod produce;
mod requests;
mod server;
mod table;
mod transaction;
mod under_load;

use server::{Kind, Server};
use std::env;
use std::process::ExitCode;
use std::time::Duration;
use table::Table;

/// The text of `bench help`.
const HELP: &str = "\
cargo run --release -p milena-integration-tests --example bench -- [rounds=3] [scale=1] [only=WORD]

  rounds=N    rounds of every broker; the figures are medians
  scale=X     multiplies bytes and counts
  only=WORD   only scenarios whose name has WORD in it

KAFKA_SERVER=COMMAND measures Apache Kafka beside milena, if java is there: COMMAND DIR PORT [KEY=VALUE..] runs it in
the foreground.
MILENA_JAVA=FOLDER has Apache's libraries in its folder jars (target/clients/java, where integration-tests/clients/run java puts
them).
MILENA_BINARY=PATH measures that binary. Data lies below TMPDIR: \"durable\" means something on a disk only, not on tmpfs.

Scenarios: produce 64 KiB (plain, idempotent, transactional, in every codec, to 1,000 partitions, 12 in a request), fetch,
produce 16 KiB, produce one record, durable, end to end, consumers, connections, ApiVersions, after the load, start, groups,
real clients (librdkafka, and Apache's ProducerPerformance, ConsumerPerformance and EndToEndLatency if java and the jars are there),
idle partitions (10,000; Apache Kafka takes minutes for them and is measured only with only=\"idle partitions\"); and, with
only=disk, as root, 8 GiB through 512 MiB of page cache, and a consumer that reads from the disk beside others. CPU is user
and system time of the broker alone. MB and GiB of packed batches are those before they were packed.";

/// What was asked for on the command line.
#[derive(Clone, Debug)]
struct Options {
    rounds: usize,
    scale: f64,
    only: String,
}

impl Options {
    fn wants(&self, scenario: &str) -> bool {
        scenario.contains(&self.only)
    }

    fn bytes(&self, mib: f64) -> u64 {
        (mib * self.scale * f64::from(1 << 20)) as u64
    }

    fn count(&self, count: f64) -> u64 {
        (count * self.scale).max(10.0) as u64
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("bench: {reason}");
            ExitCode::FAILURE
        }
    }
}

/// Runs every scenario and prints the table.
fn run(arguments: &[String]) -> Result<(), String> {
    let mut options = Options { rounds: 3, scale: 1.0, only: String::new() };
    for argument in arguments {
        let wrong = || format!("{argument} is not understood; bench help");
        match argument.split_once('=') {
            Some(("rounds", value)) => options.rounds = value.parse().map_err(|_| wrong())?,
            Some(("scale", value)) => options.scale = value.parse().map_err(|_| wrong())?,
            Some(("only", value)) => value.clone_into(&mut options.only),
            _ if argument.trim_start_matches('-') == "help" => {
                println!("{HELP}");
                return Ok(());
            }
            _ => return Err(wrong()),
        }
    }
    let mut kinds = vec![Kind::milena()];
    match env::var("KAFKA_SERVER") {
        Ok(script) if server::has_java() => kinds.push(Kind::kafka(script)),
        Ok(_) => eprintln!("SKIPPED Apache Kafka: there is no java"),
        Err(_) => {}
    }
    if cfg!(debug_assertions) {
        eprintln!("these are figures of a debug build: use cargo run --release");
    }
    let mut table = Table::new(kinds.iter().map(|kind| kind.name.clone()).collect());
    for round in 0..options.rounds {
        for (column, kind) in kinds.iter().enumerate() {
            eprintln!("round {} of {}: {}", round + 1, options.rounds, kind.name);
            if options.only == "disk" {
                disk::run(kind, &options, &mut |scenario, metric, value| {
                    table.add(column, scenario, metric, value)
                });
                continue;
            }
            if options.wants(clients::NAME) {
                let server = Server::start(kind);
                clients::run(&server, &options, &mut |scenario, metric, value| {
                    table.add(column, scenario, metric, value)
                });
                server.stop();
            }
            if !["groups", clients::NAME].contains(&options.only.as_str()) {
                under_load::run(kind, &options, &mut |scenario, metric, value| {
                    table.add(column, scenario, metric, value)
                });
            }
            if options.wants("groups") {
                groups::run(kind, &options, &mut |scenario, metric, value| {
                    table.add(column, scenario, metric, value)
                });
            }
            if options.wants("idle partitions") {
                if kind.is_kafka() && options.only.is_empty() {
                    eprintln!(
                        "SKIPPED {} with 10,000 partitions: only=\"idle partitions\" measures it",
                        kind.name
                    );
                } else {
                    idle::run(kind, &options, &mut |scenario, metric, value| {
                        table.add(column, scenario, metric, value)
                    });
                }
            }
            if options.wants("start") {
                let mut note =
                    |scenario: &str, metric: &str, value| table.add(column, scenario, metric, value);
                starts(kind, &options, &mut note);
                recovery(kind, &options, &mut note);
            }
        }
    }
    println!("{}", table.render());
    Ok(())
}

type Note<'a> = &'a mut dyn FnMut(&str, &str, f64);

/// How long it takes until the first record is acknowledged.
fn starts(kind: &Kind, options: &Options, note: Note<'_>) {
    let (server, took) = Server::start_timed(kind, None);
    note("start, fresh folder", "first ack ms", took.as_secs_f64() * 1e3);
    let topics = options.count(100.0);
    server.fill(topics, 3);
    let folder = server.stop_and_keep(nix::sys::signal::Signal::SIGTERM);
    let (server, took) = Server::start_timed(kind, Some(folder));
    note(&format!("start, {topics} x 3 after SIGTERM"), "first ack ms", took.as_secs_f64() * 1e3);
    let folder = server.stop_and_keep(nix::sys::signal::Signal::SIGKILL);
    let (server, took) = Server::start_timed(kind, Some(folder));
    note(&format!("start, {topics} x 3 after SIGKILL"), "first ack ms", took.as_secs_f64() * 1e3);
    server.stop();
}

/// How long it takes until the first record is acknowledged if one segment must be scanned.
fn recovery(kind: &Kind, options: &Options, note: Note<'_>) {
    let mib = 900.0;
    let server = Server::start(kind);
    let load = produce::Load { partitions: 1, ..under_load::wide("scanned", options.bytes(mib)) };
    produce::run(&server, &load);
    let folder = server.stop_and_keep(nix::sys::signal::Signal::SIGKILL);
    let (server, took) = Server::start_timed(kind, Some(folder));
    let scenario = format!("start, a segment of {:.0} MiB after SIGKILL", mib * options.scale);
    note(&scenario, "first ack ms", took.as_secs_f64() * 1e3);
    server.stop();
}

/// Milliseconds below which that share of sorted latencies lies.
fn percentile(sorted: &[Duration], share: f64) -> f64 {
    let index = ((sorted.len() - 1) as f64 * share).round() as usize;
    sorted[index].as_secs_f64() * 1e3
}

/// What a scenario moved, and what it cost.
#[derive(Clone, Copy, Debug)]
struct Figures {
    seconds: f64,
    cpu_seconds: f64,
    bytes: u64,
    operations: u64,
}

impl Figures {
    fn per_byte(&self, scenario: &str, note: Note<'_>) {
        note(scenario, "MB/s", self.bytes as f64 / self.seconds / 1e6);
        note(scenario, "CPU-s/GiB", self.cpu_seconds / (self.bytes as f64 / f64::from(1 << 30)));
    }

    fn per_operation(&self, scenario: &str, note: Note<'_>) {
        note(scenario, "per s", self.operations as f64 / self.seconds);
        note(scenario, "CPU-us each", self.cpu_seconds * 1e6 / self.operations as f64);
    }
}
