//! The order flow: one topic of six partitions, orders as JSON keyed by their id, three groups that know nothing of
//! each other, each with several members.

use crate::rd::{Seen, Sending, held, member, poll, wait_until};
use milena_integration_tests::broker::{Broker, Process, unique};
use milena_integration_tests::requests::create_topic;
use rdkafka::consumer::{CommitMode, Consumer};
use serde_json::{Value, json};
use std::collections::{HashMap, HashSet};
use std::env;
use std::io::{Write, stdout};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const PARTITIONS: usize = 6;
const ORDERS: usize = 1_000;
/// What happens to an order, in this sequence.
const EVENTS: [&str; 3] = ["placed", "paid", "delivered"];

/// One member of a group: what it holds and what it saw.
struct Member {
    group: String,
    held: AtomicUsize,
    seen: Mutex<Vec<Seen>>,
}

impl Member {
    fn new(group: &str) -> Self {
        Self { group: group.to_owned(), held: AtomicUsize::new(0), seen: Mutex::new(Vec::new()) }
    }

    /// Consumes until it is told to stop.
    fn run(&self, address: &str, topic: &str, stop: &AtomicBool) {
        let settings = [("session.timeout.ms", "1000"), ("heartbeat.interval.ms", "200")];
        let consumer = member(address, &self.group, topic, &settings);
        while !stop.load(Ordering::Relaxed) {
            let record = poll(&consumer);
            self.seen.lock().expect("no panic").extend(record);
            self.held.store(held(&consumer), Ordering::Relaxed);
        }
    }

    fn count(&self) -> usize {
        self.seen.lock().expect("no panic").len()
    }
}

fn order(id: usize, event: usize) -> Vec<u8> {
    json!({
        "order_id": format!("order-{id}"),
        "event": EVENTS[event],
        "campaign": format!("campaign-{}", id % 7),
        "amount_cents": 100 + id * 17 % 5000,
    })
    .to_string()
    .into_bytes()
}

/// Sends every event of every order; the events of one order are in sequence, the orders interleaved.
fn send_orders(address: &str, topic: &str) {
    let settings = [("enable.idempotence", "true"), ("linger.ms", "2")];
    let sending = Sending::new(address, &settings);
    for wave in (0..ORDERS).collect::<Vec<_>>().chunks(50) {
        for event in 0..EVENTS.len() {
            for id in wave {
                sending.send(topic, Some(&format!("order-{id}")), &order(*id, event));
            }
        }
    }
    sending.finish();
}

/// Each order once, its events in sequence, all of them in one partition.
fn check_group(group: &str, members: &[&Member]) {
    let mut places = HashSet::new();
    let mut events: HashMap<String, (i32, Vec<String>)> = HashMap::new();
    for member in members {
        for record in member.seen.lock().expect("no panic").iter() {
            assert!(places.insert((record.partition, record.offset)), "{group} saw {record:?} twice");
            let value: Value =
                serde_json::from_slice(&record.value).expect("the order is the JSON that was sent");
            assert_eq!(value["order_id"], record.key, "{group}");
            let entry = events.entry(record.key.clone()).or_insert((record.partition, Vec::new()));
            assert_eq!(entry.0, record.partition, "{group}: {} stays in its partition", record.key);
            entry.1.push(value["event"].as_str().expect("an event").to_owned());
        }
    }
    assert_eq!(events.len(), ORDERS, "{group}");
    for (order, (_, events)) in events {
        assert_eq!(events, EVENTS, "{group}: {order}");
    }
}

#[test]
fn each_group_sees_each_order_once_and_in_sequence() {
    let broker = Broker::any();
    let topic = unique("ad-orders");
    create_topic(&mut broker.connect(), &topic, i32::try_from(PARTITIONS).expect("six"), &[]);
    let groups =
        [("attribution", 3), ("billing", 2), ("audit", 2)].map(|(group, size)| (unique(group), size));
    let members: Vec<Member> =
        groups.iter().flat_map(|(group, size)| (0..*size).map(|_| Member::new(group))).collect();
    let of =
        |group: &str| -> Vec<&Member> { members.iter().filter(|member| member.group == group).collect() };
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for member in &members {
            scope.spawn(|| member.run(broker.address(), &topic, &stop));
        }
        let balanced = |(group, size): &(String, usize)| {
            of(group).iter().all(|member| member.held.load(Ordering::Relaxed) == PARTITIONS / size)
        };
        wait_until("an even share for every member", || groups.iter().all(balanced));
        send_orders(broker.address(), &topic);
        let complete = |(group, _): &(String, usize)| {
            of(group).iter().map(|member| member.count()).sum::<usize>() >= ORDERS * EVENTS.len()
        };
        wait_until("every order in every group", || groups.iter().all(complete));
        stop.store(true, Ordering::Relaxed);
    });
    for (group, _) in &groups {
        check_group(group, &of(group));
    }
}

/// Not a test: a member of a group in a process of its own, which [`a_dead_member_hands_over`] kills.
#[test]
#[ignore = "run as a child process by a_dead_member_hands_over"]
fn member_process() {
    let Ok(arguments) = env::var("MILENA_TEST_MEMBER") else { return };
    let [address, group, topic] = arguments.split(' ').collect::<Vec<_>>()[..] else { panic!("{arguments}") };
    let settings =
        [("session.timeout.ms", "1000"), ("heartbeat.interval.ms", "200"), ("enable.auto.commit", "false")];
    let consumer = member(address, group, topic, &settings);
    let mut holds = 0;
    loop {
        if let Some(record) = poll(&consumer) {
            // First it is worked on, then committed: so at most the last one is seen again by somebody else.
            writeln!(stdout(), "SEEN {} {}", record.partition, record.offset).expect("the parent reads");
            let _ = consumer.commit_consumer_state(CommitMode::Sync);
        }
        if holds != held(&consumer) {
            holds = held(&consumer);
            writeln!(stdout(), "HOLDS {holds}").expect("the parent reads");
        }
    }
}

#[test]
fn a_dead_member_hands_over() {
    let Some(broker) = Broker::own(&[]) else { return };
    let topic = unique("handed-over");
    let group = unique("billing");
    create_topic(&mut broker.connect(), &topic, i32::try_from(PARTITIONS).expect("six"), &[]);
    let mut command = Command::new(env::current_exe().expect("this program"));
    command.args(["--exact", "orders::member_process", "--ignored", "--nocapture"]);
    command.env("MILENA_TEST_MEMBER", format!("{} {group} {topic}", broker.address()));
    let child = Process::spawn(&mut command);
    let survivors = [Member::new(&group), Member::new(&group)];
    let stop = AtomicBool::new(false);
    let printed = |word: &str, lines: &[String]| -> Vec<String> {
        lines.iter().filter_map(|line| Some(line.split_once(word)?.1.trim().to_owned())).collect()
    };
    let mut by_the_dead = Vec::new();
    std::thread::scope(|scope| {
        for survivor in &survivors {
            scope.spawn(|| survivor.run(broker.address(), &topic, &stop));
        }
        wait_until("an even share for every member", || {
            survivors.iter().all(|member| member.held.load(Ordering::Relaxed) == 2)
                && printed("HOLDS ", &child.output()).last().is_some_and(|count| count == "2")
        });
        send_orders(broker.address(), &topic);
        wait_until("work for the one that dies", || printed("SEEN ", &child.output()).len() >= 20);
        by_the_dead = child.kill();
        let target = ORDERS * EVENTS.len();
        wait_until("every order, by those who are left", || {
            survivors.iter().map(Member::count).sum::<usize>() + printed("SEEN ", &by_the_dead).len()
                >= target
                && survivors.iter().all(|member| member.held.load(Ordering::Relaxed) == 3)
        });
        stop.store(true, Ordering::Relaxed);
    });
    let dead: HashSet<String> = printed("SEEN ", &by_the_dead).into_iter().collect();
    let alive: HashSet<String> = survivors
        .iter()
        .flat_map(|member| member.seen.lock().expect("no panic").clone())
        .map(|record| format!("{} {}", record.partition, record.offset))
        .collect();
    assert_eq!(dead.union(&alive).count(), ORDERS * EVENTS.len(), "nothing is lost");
    assert!(dead.intersection(&alive).count() <= 1, "what the dead one committed is not done again");
}
