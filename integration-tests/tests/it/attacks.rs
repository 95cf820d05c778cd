//! Slow, silent, greedy and mendacious clients: what they make the broker hold is bounded, and the others go on.
//!
//! The bounds on time are wide, because tests share the machine; the example `attacked` measures.

use milena_integration_tests::attacks::{Attack, Bystander, Latencies, target_batches};
use milena_integration_tests::broker::{Broker, skipped, unique};
use milena_integration_tests::process::Usage;
use milena_integration_tests::requests::{append, create_topic};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Of a hundred rounds of the others, 99 take less.
const SLOW: Duration = Duration::from_secs(1);
/// Megabytes that an attack may cost beyond what it has sent.
const GROWN_MAX_MIB: u64 = 48;
/// What a connection may cost whose client does not read: requests that were received and not handled, and answers, in
/// memory that doubles as it grows.
const UNREAD_MAX_MIB: u64 = 4;
const ROUNDS: usize = 200;

/// Topics of the attacker and of the bystander.
fn topics(broker: &Broker) -> (String, String) {
    let (target, quiet) = (unique("target"), unique("quiet"));
    let mut connection = broker.connect();
    create_topic(&mut connection, &target, 1, &[]);
    create_topic(&mut connection, &quiet, 1, &[]);
    for batch in target_batches() {
        assert_eq!(append(&mut connection, &target, 0, batch).error_code, 0);
    }
    (target, quiet)
}

/// Makes rounds while `attack` is under way, and says what they and the broker's memory were like at worst.
fn under(broker: &Broker, attack: Attack, size: usize, attackers: usize, grown_max: u64) {
    let (target, quiet) = topics(broker);
    let mut bystander = Bystander::new(broker.address(), &quiet);
    bystander.rounds(ROUNDS);
    let before = broker.usage().expect("it runs");
    let (stop, under_way) = (AtomicBool::new(false), AtomicBool::new(false));
    let mut peak = Usage::default();
    let latencies: Latencies = thread::scope(|scope| {
        let attackers: Vec<_> = (0..attackers)
            .map(|_| scope.spawn(|| attack.run(broker.address(), &target, size, &stop, &under_way)))
            .collect();
        while !under_way.load(Ordering::Relaxed) && !attackers.iter().any(|attacker| attacker.is_finished()) {
            bystander.round();
        }
        let measured = (0..ROUNDS).map(|_| bystander.round()).inspect(|_| {
            let now = broker.usage().expect("it runs");
            if now.resident > peak.resident {
                peak = now;
            }
        });
        let measured = measured.collect();
        stop.store(true, Ordering::Relaxed);
        let rounds: usize = attackers.into_iter().map(|attacker| attacker.join().expect("an attack")).sum();
        assert!(rounds > 0, "nothing was attacked");
        measured
    });
    let grown = peak.resident.saturating_sub(before.resident) >> 20;
    let p99 = latencies.percentile(99.0);
    eprintln!("{attack:?} {size}: p50 {:?}, p99 {p99:?}, {grown} MiB more", latencies.percentile(50.0));
    assert!(p99 < SLOW, "{attack:?}: p99 is {p99:?}");
    assert!(grown < grown_max, "{attack:?}: {grown} MiB more, {before:?} before, {peak:?} at worst");
    // What the attackers held is given back.
    let begin = Instant::now();
    let is_clean = || broker.usage().is_some_and(|now| now.descriptors <= before.descriptors + 8);
    while !is_clean() {
        assert!(begin.elapsed() < Duration::from_secs(30), "{:?} after {before:?}", broker.usage());
        bystander.round();
    }
}

fn attacked(attack: Attack, size: usize, attackers: usize) {
    if let Some(broker) = Broker::milena(&[]) {
        let grown_max = match attack {
            Attack::FetchesUnread | Attack::PipelinesUnread => 16 + UNREAD_MAX_MIB * size as u64,
            // A question of 3 MiB as it is decoded, and an answer of 100,000 topics.
            Attack::AsksForTopics => 96,
            _ => GROWN_MAX_MIB,
        };
        under(&broker, attack, size, attackers, grown_max);
    }
}

#[test]
fn frames_that_come_in_single_bytes_hold_up_nobody() {
    attacked(Attack::SingleBytes, 100, 1);
}

#[test]
fn half_closed_connections_are_answered_and_closed() {
    attacked(Attack::HalfCloses, 20, 1);
}

#[test]
fn fetches_that_nobody_reads_cost_a_bounded_memory() {
    attacked(Attack::FetchesUnread, 8, 1);
}

#[test]
fn requests_whose_answers_nobody_reads_cost_a_bounded_memory() {
    attacked(Attack::PipelinesUnread, 10, 1);
}

#[test]
fn answers_that_are_read_too_slowly_cost_a_bounded_memory() {
    attacked(Attack::ReadsBehind, 1, 1);
}

#[test]
fn announced_giants_cost_no_memory() {
    attacked(Attack::AnnouncesGiants, 100, 1);
}

#[test]
fn compression_bombs_hold_up_nobody() {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    attacked(Attack::Bombs, 128, threads);
}

#[test]
fn a_hundred_thousand_topics_may_be_asked_for() {
    attacked(Attack::AsksForTopics, 100_000, 1);
}

#[test]
fn ten_thousand_idle_connections_are_held() {
    const CONNECTIONS: usize = 10_000;
    let needed = CONNECTIONS as u64 * 5 / 4;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    if hard < needed {
        return skipped("the limit of open files (ulimit -Hn) is too low for ten thousand connections");
    }
    if soft < needed {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("the soft limit may be raised");
    }
    attacked(Attack::Idles, CONNECTIONS, 1);
}
