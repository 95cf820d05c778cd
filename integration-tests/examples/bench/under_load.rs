//! The scenarios that share one broker, in an order in which each finds what it needs.

use super::paced::{self, Pace};
use super::produce::{self, Identity, Load};
use super::server::{Kind, Server};
use super::{Note, Options, consume, requests};
use milena_integration_tests::codecs::CODECS;

/// Requests of a transaction: 4 MiB of batches of 64 KiB.
const IN_TRANSACTION: u64 = 64;

pub(super) fn run(kind: &Kind, options: &Options, note: Note<'_>) {
    let server = Server::start(kind);
    if options.wants("idle") || options.only.is_empty() {
        server.settle();
        note("idle", "RSS MiB", server.usage().resident as f64 / f64::from(1 << 20));
        note("idle", "threads", server.usage().threads as f64);
    }
    let _ = produce::run(&server, &wide("warm", options.bytes(128.0)));
    producers(&server, options, note);
    if options.wants("durable") {
        durable(&server, options, note);
    }
    paced(&server, options, note);
    for (depth, count) in [(1, 20_000.0), (16, 200_000.0)] {
        let scenario = format!("ApiVersions, depth {depth}");
        if options.wants(&scenario) {
            requests::run(&server, depth, options.count(count)).per_operation(&scenario, note);
        }
    }
    if options.wants("after the load") {
        server.settle();
        let usage = server.usage();
        note("after the load", "anonymous MiB", usage.anonymous as f64 / f64::from(1 << 20));
        note("after the load", "RSS MiB", usage.resident as f64 / f64::from(1 << 20));
        note("after the load", "threads", usage.threads as f64);
    }
    let took = server.stop();
    note("after the load", "SIGTERM ms", took.as_secs_f64() * 1e3);
    if let Some(size) = kind.binary_size() {
        note("binary", "MiB", size as f64 / f64::from(1 << 20));
    }
}

/// Batches of 64 KiB of records of 1 KiB, to twelve partitions from four producers.
pub(super) fn wide(topic: &'static str, bytes: u64) -> Load {
    Load {
        topic,
        connections: 4,
        partitions: 12,
        together: 1,
        depth: 5,
        records: 63,
        value: 1024 - 7,
        codec: 0,
        acks: 1,
        identity: Identity::Nobody,
        configs: &[],
        bytes,
    }
}

fn producers(server: &Server, options: &Options, note: Note<'_>) {
    let gib = options.bytes(1024.0);
    if options.wants("produce 64 KiB") || options.wants("fetch") {
        produce::run(server, &wide("wide", gib)).per_byte("produce 64 KiB", note);
    }
    for (name, topic, identity) in [
        ("idempotent", "idempotent", Identity::Idempotent),
        ("transactional", "transactional", Identity::Transactional(IN_TRANSACTION)),
    ] {
        let scenario = format!("produce 64 KiB {name}");
        if options.wants(&scenario) {
            let load = Load { acks: -1, identity, ..wide(topic, gib) };
            produce::run(server, &load).per_byte(&scenario, note);
        }
    }
    if options.wants("fetch") {
        consume::run(server, "wide", 12, 4).per_byte("fetch 64 KiB batches", note);
    }
    for (codec, name) in CODECS {
        let scenario = format!("produce 64 KiB of orders, {name}");
        if codec > 0 && options.wants(&scenario) {
            let topics = ["", "gzip", "snappy", "lz4", "zstd"];
            let load = Load { codec, ..wide(topics[usize::from(codec.unsigned_abs())], gib) };
            produce::run(server, &load).per_byte(&scenario, note);
        }
    }
    let half = options.bytes(512.0);
    for (scenario, load) in [
        ("produce 64 KiB to 1,000 partitions", Load { partitions: 1000, ..wide("thousand", gib) }),
        (
            "produce 64 KiB, 12 batches of it in a request",
            Load { together: 12, records: 5, ..wide("together", half) },
        ),
        ("produce 16 KiB of 100 B", Load { records: 151, value: 100, ..wide("narrow", half) }),
    ] {
        if options.wants(scenario) {
            produce::run(server, &load).per_byte(scenario, note);
        }
    }
    if options.wants("produce one record") {
        let bytes = options.count(100_000.0) * 170;
        let load = Load {
            connections: 1,
            partitions: 1,
            depth: 64,
            records: 1,
            value: 100,
            ..wide("single", bytes)
        };
        produce::run(server, &load).per_operation("produce one record, depth 64", note);
    }
}

/// One record a request, on the disk before it is acknowledged, each producer with one in flight. The first row is the
/// price of one sync for each request; the others divided by it are the gain of group commit, on the same device.
fn durable(server: &Server, options: &Options, note: Note<'_>) {
    // What the loads before have left to be written would be waited for by the first sync of who was fast in them.
    nix::unistd::sync();
    for (topic, connections, partitions, requests) in [
        ("durable-alone", 1, 1, 2_000.0),
        ("durable-one", 64, 1, 64_000.0),
        ("durable-many", 64, 64, 64_000.0),
    ] {
        let load = Load {
            connections,
            partitions,
            depth: 1,
            records: 1,
            value: 100,
            acks: -1,
            configs: &[("flush.messages", "1")],
            ..wide(topic, options.count(requests) * 170)
        };
        let figures = produce::run(server, &load);
        figures.per_operation(&format!("durable, {connections} on {partitions}"), note);
    }
}

fn paced(server: &Server, options: &Options, note: Note<'_>) {
    let one = Pace {
        topic: "paced",
        partitions: 1,
        rate: 1000,
        records: options.count(10_000.0),
        consumers: 1,
        silent: 0,
    };
    let slow = Pace { rate: 250, records: options.count(2_500.0), ..one };
    for (scenario, pace) in [
        ("end to end, 1000/s", one),
        ("8 consumers, 250/s", Pace { topic: "eight", consumers: 8, ..slow }),
        ("32 consumers, 250/s", Pace { topic: "many", consumers: 32, ..slow }),
        (
            "1,000 connections, 1,000 partitions, 1000/s",
            Pace { topic: "crowd", partitions: 1000, consumers: 0, silent: 1000, ..one },
        ),
    ] {
        if options.wants(scenario) {
            let mut resident = 0;
            let paced = paced::run(server, &pace, || resident = server.usage().resident);
            paced.report(scenario, note);
            if pace.silent > 0 {
                note(scenario, "RSS MiB", resident as f64 / f64::from(1 << 20));
            }
        }
    }
}
