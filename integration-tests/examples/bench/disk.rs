//! A disk that is slower than the broker: what a burst does that the page cache cannot hold, and what those who read from
//! the disk do to the others.

mod cache;

use super::paced::{self, Pace};
use super::produce::{self, Load};
use super::server::{Kind, Server};
use super::under_load::wide;
use super::{Note, Options, consume, percentile};
use cache::{Limit, forget};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

/// Memory of the broker with all that the page cache keeps for it.
const CACHE: u64 = 512 << 20;
/// Partitions of the topic that is read from the disk.
const COLD: i32 = 4;

/// Measures both. Apache Kafka's heap alone is larger than the memory that is left here.
pub(super) fn run(kind: &Kind, options: &Options, note: Note<'_>) {
    if kind.is_kafka() {
        eprintln!("SKIPPED {} with {} MiB of memory", kind.name, CACHE >> 20);
        return;
    }
    sustained(kind, options, note);
    cold(kind, options, note);
}

/// Eight times as much as the page cache may hold.
fn sustained(kind: &Kind, options: &Options, note: Note<'_>) {
    const SCENARIO: &str = "disk, 512 MiB of page cache";
    let bytes = options.bytes(8192.0);
    let server = Server::start(kind);
    let limit = match Limit::on(server.pid(), CACHE) {
        Ok(limit) => limit,
        Err(reason) => {
            eprintln!("SKIPPED {SCENARIO}: {reason}");
            server.stop();
            return;
        }
    };
    note(SCENARIO, "a file alone, MB/s", alone(server.folder(), bytes) / 1e6);
    let (figures, mut waits) = produce::run_timed(&server, &wide("sustained", bytes));
    figures.per_byte(SCENARIO, note);
    waits.sort_unstable();
    for (name, share) in
        [("acknowledged p50 ms", 0.5), ("acknowledged p99 ms", 0.99), ("acknowledged p99.9 ms", 0.999)]
    {
        note(SCENARIO, name, percentile(&waits, share));
    }
    server.stop();
    drop(limit);
}

/// Bytes a second of one file that is written from its begin to its end, until the device has it all.
fn alone(folder: &Path, bytes: u64) -> f64 {
    let path = folder.join("alone");
    let block = vec![b'a'; 1 << 20];
    let started = Instant::now();
    let mut file = File::create(&path).expect("a file beside the logs");
    for _ in 0..bytes >> 20 {
        file.write_all(&block).expect("room on the disk");
    }
    file.sync_data().expect("a disk that keeps what it is given");
    let seconds = started.elapsed().as_secs_f64();
    std::fs::remove_file(path).expect("the file goes again");
    bytes as f64 / seconds
}

/// A producer and a consumer at 1,000 records a second, first alone, then beside one that reads what only the disk has.
fn cold(kind: &Kind, options: &Options, note: Note<'_>) {
    const SCENARIO: &str = "end to end, 1000/s";
    let server = Server::start(kind);
    let load = Load { partitions: COLD, ..wide("cold", options.bytes(4096.0)) };
    produce::run(&server, &Load { configs: &[("segment.bytes", "67108864")], ..load });
    forget(server.folder());
    server.settle();
    let pace = |topic| Pace {
        topic,
        partitions: 1,
        rate: 1000,
        records: options.count(10_000.0),
        consumers: 1,
        silent: 0,
    };
    paced::run(&server, &pace("calm"), || ()).report(&format!("{SCENARIO}, alone"), note);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut bytes, mut seconds) = (0, 0.0);
            while !stop.load(Ordering::Relaxed) {
                forget(server.folder());
                let figures = consume::run(&server, "cold", COLD, 1);
                bytes += figures.bytes;
                seconds += figures.seconds;
            }
            bytes as f64 / seconds
        });
        let paced = paced::run(&server, &pace("beside"), || stop.store(true, Ordering::Relaxed));
        paced.report(&format!("{SCENARIO}, beside a reader of the disk"), note);
        let rate = reader.join().expect("the topic can be read");
        note(&format!("{SCENARIO}, beside a reader of the disk"), "its MB/s", rate / 1e6);
    });
    server.stop();
}
