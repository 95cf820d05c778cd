//! Slow, silent, greedy and mendacious clients: what they make the broker hold is bounded, and the others go on.
//!
//! The bounds on time are wide, because tests share the machine; the example `attacked` measures.

use kafka_protocol::messages::MetadataRequest;
use milena_integration_tests::attacks::{Attack, Bystander, Latencies, target_batches};
use milena_integration_tests::broker::{Broker, skipped, unique};
use milena_integration_tests::process::forget_peak;
use milena_integration_tests::requests::{METADATA, append, create_topic};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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
fn topics(broker: &Broker, attack: Attack) -> (String, String) {
    let (target, quiet) = (unique("target"), unique("quiet"));
    let mut connection = broker.connect();
    create_topic(&mut connection, &target, 1, attack.topic_settings());
    create_topic(&mut connection, &quiet, 1, &[]);
    for batch in target_batches() {
        assert_eq!(append(&mut connection, &target, 0, batch).error_code, 0);
    }
    (target, quiet)
}

/// Makes rounds while `attack` is under way, and says what they and the broker's memory were like at worst.
fn under(broker: &Broker, attack: Attack, size: usize, attackers: usize, grown_max: u64) {
    let (target, quiet) = topics(broker, attack);
    let mut bystander = Bystander::new(broker.address(), &quiet);
    bystander.rounds(ROUNDS);
    let before = broker.usage().expect("it runs");
    forget_peak(broker.pid().expect("it runs"));
    let (stop, turns) = (AtomicBool::new(false), AtomicUsize::new(0));
    let latencies: Latencies = thread::scope(|scope| {
        let attackers: Vec<_> = (0..attackers)
            .map(|_| scope.spawn(|| attack.run(broker.address(), &target, size, &stop, &turns)))
            .collect();
        let goes_on = || !attackers.iter().any(|attacker| attacker.is_finished());
        while turns.load(Ordering::Relaxed) == 0 && goes_on() {
            bystander.round();
        }
        // Beside everything that the attack does, once at least.
        let end = turns.load(Ordering::Relaxed) + attackers.len() + 1;
        let mut measured = Vec::new();
        while (measured.len() < ROUNDS || turns.load(Ordering::Relaxed) < end) && goes_on() {
            measured.push(bystander.round());
        }
        stop.store(true, Ordering::Relaxed);
        attackers.into_iter().for_each(|attacker| attacker.join().expect("an attack"));
        measured.into_iter().collect()
    });
    let after = broker.usage().expect("it runs");
    let grown = after.peak.saturating_sub(before.resident) >> 20;
    let p99 = latencies.percentile(99.0);
    eprintln!("{attack:?} {size}: p50 {:?}, p99 {p99:?}, {grown} MiB more", latencies.percentile(50.0));
    assert!(p99 < SLOW, "{attack:?}: p99 is {p99:?}");
    assert!(grown < grown_max, "{attack:?}: {grown} MiB more, {before:?} before, {after:?} after");
    // What the attackers held is given back.
    let begin = Instant::now();
    let is_clean = || broker.usage().is_some_and(|now| now.descriptors <= before.descriptors + 8);
    while !is_clean() {
        assert!(begin.elapsed() < Duration::from_secs(30), "{:?} after {before:?}", broker.usage());
        bystander.round();
    }
}

/// The broker as the attack has left it.
fn attacked(attack: Attack, size: usize, attackers: usize) -> Option<Broker> {
    let broker = Broker::milena(&[])?;
    let grown_max = match attack {
        Attack::FetchesUnread | Attack::PipelinesUnread => 16 + UNREAD_MAX_MIB * size as u64,
        // A question of 3 MiB as it is decoded, and an answer of 100,000 topics.
        Attack::AsksForTopics | Attack::CreatesTopics => 128,
        // A block of snappy is unpacked as a whole.
        Attack::Bombs | Attack::BombsToUnpack | Attack::BombsToRepack => {
            GROWN_MAX_MIB + 16 * attackers as u64
        }
        _ => GROWN_MAX_MIB,
    };
    under(&broker, attack, size, attackers, grown_max);
    Some(broker)
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
    attacked(Attack::Bombs, 64, threads);
}

#[test]
fn bombs_are_unpacked_no_further_than_a_message_may_be() {
    attacked(Attack::BombsToUnpack, 128, 1);
}

#[test]
fn bombs_that_are_packed_anew_hold_up_nobody() {
    attacked(Attack::BombsToRepack, 64, 1);
}

#[test]
fn a_hundred_thousand_topics_may_be_asked_for() {
    attacked(Attack::AsksForTopics, 100_000, 1);
}

/// Kafka answers UNKNOWN_TOPIC_OR_PARTITION, and creates none either: they are too many for one request.
#[test]
fn a_hundred_thousand_topics_are_not_created_by_asking_for_them() {
    if let Some(broker) = attacked(Attack::CreatesTopics, 100_000, 1) {
        let all = MetadataRequest::default().with_topics(None);
        assert_eq!(broker.connect().call(METADATA, &all).topics.len(), 2, "those of the test");
    }
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
