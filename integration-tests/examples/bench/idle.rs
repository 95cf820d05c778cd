//! Many partitions with a record each, to which nobody writes any more.

use super::server::{Kind, Server};
use super::{Note, Options};
use nix::sys::signal::Signal;
use std::thread;
use std::time::{Duration, Instant};

/// Partitions of each topic.
const PARTITIONS: i32 = 10;
/// How long the idle broker is looked at.
const IDLE: Duration = Duration::from_secs(15);

/// Creates 1000 topics, stops the broker, and looks at what a start and an idle second cost then.
pub(super) fn run(kind: &Kind, options: &Options, note: Note<'_>) {
    let topics = options.count(1000.0);
    let scenario = format!("{} idle partitions", topics * PARTITIONS as u64);
    let server = Server::start(kind);
    let started = Instant::now();
    server.fill(topics, PARTITIONS);
    note(&scenario, "create and fill, s", started.elapsed().as_secs_f64());
    let millis = |took: Duration| took.as_secs_f64() * 1e3;
    let (folder, took) = server.stop_timed(Signal::SIGTERM);
    note(&scenario, "SIGTERM after the fill, ms", millis(took));
    let (server, took) = Server::start_timed(kind, Some(folder));
    note(&scenario, "start after SIGTERM, ms", millis(took));
    note(&scenario, "its CPU-ms", server.cpu_seconds() * 1e3);
    server.settle();
    let usage = server.usage();
    note(&scenario, "RSS MiB", usage.resident as f64 / f64::from(1 << 20));
    note(&scenario, "descriptors", usage.descriptors as f64);
    note(&scenario, "mappings", usage.mappings as f64);
    let cpu = server.cpu_seconds();
    thread::sleep(IDLE);
    note(&scenario, "CPU-ms a second", (server.cpu_seconds() - cpu) * 1e3 / IDLE.as_secs_f64());
    let (folder, took) = server.stop_timed(Signal::SIGTERM);
    note(&scenario, "SIGTERM, ms", millis(took));
    let (server, _) = Server::start_timed(kind, Some(folder));
    let folder = server.stop_and_keep(Signal::SIGKILL);
    let (server, took) = Server::start_timed(kind, Some(folder));
    note(&scenario, "start after SIGKILL, ms", millis(took));
    server.stop();
}
