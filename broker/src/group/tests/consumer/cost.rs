//! What groups cost: appends here, allocations in `integration-tests/tests/cost.rs`, time where somebody measures it.

use super::{Holding, LiveTopics, Script, assigned, beating, joining, wire};
use crate::clock::Clock;
use crate::group::GroupSettings;
use crate::group::tests::{Commit, GROUP, Harness, START, name};
use std::sync::Arc;
use std::time::Instant;

const MEMBERS: usize = 1000;
const GROUPS: usize = 10_000;

/// A client that does at once what it is told.
struct Client {
    id: String,
    epoch: i32,
    held: Holding,
}

/// So many members join.
fn joined(script: &Script, members: usize) -> Vec<Client> {
    script.topics.set("t", 1, 2 * members as i32);
    let join = |number| {
        let id = format!("member-{number}");
        let answer = script.join(&id, &["t"]);
        assert_eq!(answer.error_code, 0);
        Client { id, epoch: answer.member_epoch, held: assigned(&answer).unwrap() }
    };
    (0..members).map(join).collect()
}

/// Members send heartbeats until all have what they are to have; how often all of them had to.
fn settle(script: &Script, clients: &mut [Client]) -> usize {
    let mut rounds = 0;
    while rounds == 0 || script.state() != "Stable" {
        for client in &mut *clients {
            let owned = Some(wire(&client.held));
            let answer = script.send(beating(&client.id, client.epoch).with_topic_partitions(owned));
            assert_eq!(answer.error_code, 0, "{:?}", answer.error_message);
            client.epoch = answer.member_epoch;
            if let Some(told) = assigned(&answer) {
                client.held = told;
            }
        }
        rounds += 1;
        assert!(rounds < 20);
    }
    rounds
}

#[test]
fn a_heartbeat_is_no_append_and_a_commit_of_one_offset_is_one() {
    for members in [1, 10, 60] {
        let script = Script::new();
        let mut clients = joined(&script, members);
        settle(&script, &mut clients);
        let mut appends = script.harness.log.appends();
        for client in &clients {
            let full = script.beat(&client.id, client.epoch, Some(&client.held));
            let short = script.beat(&client.id, client.epoch, None);
            assert_eq!((full.error_code, short.error_code), (0, 0));
        }
        assert_eq!(script.harness.log.appends(), appends, "{members} members");
        for client in &clients {
            let commit =
                Commit { member_id: &client.id, generation: client.epoch, topic: "t", ..Commit::default() };
            assert_eq!(script.harness.commit(commit), 0);
            appends += 1;
            assert_eq!(script.harness.log.appends(), appends, "{members} members");
        }
    }
    let harness = Harness::new();
    let id = harness.stable("client");
    let appends = harness.log.appends();
    assert_eq!(harness.heartbeat(&id, 1), 0);
    assert_eq!(harness.log.appends(), appends);
    assert_eq!(harness.commit(Commit { member_id: &id, generation: 1, ..Commit::default() }), 0);
    assert_eq!(harness.log.appends(), appends + 1);
    assert_eq!(harness.commit_in(7, 5, (&id, 1)), None);
    assert_eq!(harness.log.appends(), appends + 2);
}

#[test]
#[ignore = "a measurement: cargo test --release -- --ignored --nocapture cost"]
fn measure_a_thousand_members() {
    let script = Script::new();
    let begun = Instant::now();
    let mut clients = joined(&script, MEMBERS);
    println!("{MEMBERS} members join: {:?}", begun.elapsed());
    let begun = Instant::now();
    let rounds = settle(&script, &mut clients);
    println!("they have their partitions after {rounds} rounds of heartbeats: {:?}", begun.elapsed());
    assert!(clients.iter().all(|client| client.held[&1].len() == 2));
    let records = script.harness.log.records().len();
    let begun = Instant::now();
    for client in &clients {
        assert_eq!(script.beat(&client.id, client.epoch, None).error_code, 0);
    }
    println!("{MEMBERS} heartbeats without news: {:?}", begun.elapsed());
    assert_eq!(script.harness.log.records().len(), records);
}

#[test]
#[ignore = "a measurement: cargo test --release -- --ignored --nocapture cost"]
fn measure_ten_thousand_groups() {
    let script = Script::new();
    for number in 0..GROUPS {
        let group = format!("{GROUP}{number}");
        let answer = script.send(joining("a", &["t"]).with_group_id(name(&group).into()));
        assert_eq!(answer.error_code, 0);
    }
    let log = Arc::clone(&script.harness.log);
    let topics = Arc::new(LiveTopics::default());
    topics.set("t", 1, 6);
    let begun = Instant::now();
    let clock = Arc::new(Clock::Manual(START.into()));
    let again = Script::over(log, clock, GroupSettings::default(), topics);
    println!("replay of {GROUPS} groups: {:?}", begun.elapsed());
    let groups = again.harness.groups.list(&crate::group::ListFilter::default()).unwrap();
    assert_eq!((groups.len(), &*groups[0].group_state), (GROUPS, "Stable"));
}

/// Heartbeats of members that have what they are to have: in one group, and each in a group of its own.
#[test]
#[ignore = "a measurement: cargo test --release -- --ignored --nocapture cost"]
fn measure_one_large_group_against_many_small_ones() {
    const ROUNDS: usize = 20;
    let run = |group_of: &dyn Fn(usize) -> String| {
        let script = Script::new();
        script.topics.set("t", 1, MEMBERS as i32);
        let groups: Vec<String> = (0..MEMBERS).map(group_of).collect();
        let ids: Vec<String> = (0..MEMBERS).map(|number| format!("member-{number}")).collect();
        let beat = |number: usize, epoch: i32, owned: Option<&Holding>| {
            let request = beating(&ids[number], epoch).with_group_id(name(&groups[number]).into());
            let answer = script.send(request.with_topic_partitions(owned.map(wire)));
            assert_eq!(answer.error_code, 0, "{:?}", answer.error_message);
            answer
        };
        let mut clients: Vec<(i32, Holding)> = (0..MEMBERS)
            .map(|number| {
                let request = joining(&ids[number], &["t"]).with_group_id(name(&groups[number]).into());
                let answer = script.send(request);
                (answer.member_epoch, assigned(&answer).unwrap())
            })
            .collect();
        for _ in 0..4 {
            for (number, (epoch, held)) in clients.iter_mut().enumerate() {
                let answer = beat(number, *epoch, Some(held));
                *epoch = answer.member_epoch;
                *held = assigned(&answer).unwrap_or_else(|| std::mem::take(held));
            }
        }
        let begun = Instant::now();
        for _ in 0..ROUNDS {
            for (number, (epoch, _)) in clients.iter().enumerate() {
                beat(number, *epoch, None);
            }
        }
        begun.elapsed() / ROUNDS as u32
    };
    let one = run(&|_| GROUP.to_owned());
    let many = run(&|number| format!("{GROUP}{number}"));
    println!("{MEMBERS} heartbeats: in one group {one:?}, each in its own {many:?}");
    assert!(one < 2 * many && many < 2 * one, "they are to cost the same");
}
