//! What others feel of an attack: a client that appends a record and reads it, without and with an attack beside it.

use milena_integration_tests::attacks::{Attack, Bystander, Latencies, target_batches};
use milena_integration_tests::broker::Broker;
use milena_integration_tests::process::forget_peak;
use milena_integration_tests::requests::{append, create_topic};
use std::env;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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

fn print(name: &str, latencies: &Latencies, peak: u64) {
    let us = |percent| latencies.percentile(percent).as_micros();
    println!("{name:>28} {:>9} {:>9} {:>9} {:>9} {:>9}", us(50.0), us(99.0), us(99.9), us(100.0), peak >> 20);
}

fn measure(attack: Attack, size: usize, options: &Options) {
    let broker = Broker::milena(&[]).expect("a broker of one's own");
    let mut connection = broker.connect();
    create_topic(&mut connection, "target", 1, attack.topic_settings());
    create_topic(&mut connection, "quiet", 1, &[]);
    for batch in target_batches() {
        append(&mut connection, "target", 0, batch);
    }
    let mut bystander = Bystander::new(broker.address(), "quiet");
    bystander.rounds(options.rounds / 5);
    let peak = || broker.usage().map_or(0, |usage| usage.peak);
    print(&format!("before {attack:?}"), &bystander.rounds(options.rounds), peak());
    forget_peak(broker.pid().expect("it runs"));
    let (stop, turns) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        let attackers: Vec<_> = (0..options.attackers)
            .map(|_| scope.spawn(|| attack.run(broker.address(), "target", size, &stop, &turns)))
            .collect();
        while turns.load(Ordering::Relaxed) == 0 && !attackers.iter().any(|attacker| attacker.is_finished()) {
            bystander.round();
        }
        let latencies = bystander.rounds(options.rounds);
        print(&format!("{attack:?} {size}"), &latencies, peak());
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
