//! What others feel of an attack: a client that appends a record and reads it, without and with an attack beside it.

use milena_integration_tests::attacks::{Attack, Bystander, Latencies, target_batches};
use milena_integration_tests::broker::Broker;
use milena_integration_tests::requests::{append, create_topic};
use std::env;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const HELP: &str = "\
cargo run --release -p milena-integration-tests --example attacked -- [rounds=5000] [attackers=2] [only=WORD]

  rounds=N     rounds of the client that is measured: one record appended and read
  attackers=N  threads that attack, each with the size that is printed
  only=WORD    only attacks whose name has WORD in it

MILENA_BINARY=PATH measures that binary. Ten thousand idle connections of two attackers need `ulimit -n 32768`.";

struct Options {
    rounds: usize,
    attackers: usize,
    only: String,
}

fn options() -> Result<Options, String> {
    let mut options = Options { rounds: 5000, attackers: 2, only: String::new() };
    for argument in env::args().skip(1) {
        let number = |text: &str| text.parse().map_err(|_| format!("{argument}: no number"));
        match argument.split_once('=') {
            Some(("rounds", text)) => options.rounds = number(text)?,
            Some(("attackers", text)) => options.attackers = number(text)?,
            Some(("only", text)) => text.clone_into(&mut options.only),
            _ => return Err(HELP.to_owned()),
        }
    }
    Ok(options)
}

fn print(name: &str, latencies: &Latencies, resident: u64) {
    let us = |percent| latencies.percentile(percent).as_micros();
    println!(
        "{name:>28} {:>9} {:>9} {:>9} {:>9} {:>9}",
        us(50.0),
        us(99.0),
        us(99.9),
        us(100.0),
        resident >> 20
    );
}

fn measure(attack: Attack, size: usize, options: &Options) {
    let broker = Broker::milena(&[]).expect("a broker of one's own");
    let mut connection = broker.connect();
    create_topic(&mut connection, "target", 1, &[]);
    create_topic(&mut connection, "quiet", 1, &[]);
    for batch in target_batches() {
        append(&mut connection, "target", 0, batch);
    }
    let mut bystander = Bystander::new(broker.address(), "quiet");
    bystander.rounds(options.rounds / 5);
    let resident = || broker.usage().map_or(0, |usage| usage.resident);
    print(&format!("before {attack:?}"), &bystander.rounds(options.rounds), resident());
    let (stop, under_way) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        for _ in 0..options.attackers {
            scope.spawn(|| attack.run(broker.address(), "target", size, &stop, &under_way));
        }
        while !under_way.load(Ordering::Relaxed) {
            bystander.round();
        }
        let latencies = bystander.rounds(options.rounds);
        print(&format!("{attack:?} {size}"), &latencies, resident());
        stop.store(true, Ordering::Relaxed);
    });
}

fn main() -> Result<(), String> {
    let options = options()?;
    println!("{:>28} {:>9} {:>9} {:>9} {:>9} {:>9}", "microseconds", "p50", "p99", "p99.9", "max", "MiB");
    for (attack, size) in Attack::ALL {
        if format!("{attack:?}").contains(&options.only) {
            measure(attack, size, &options);
        }
    }
    Ok(())
}
