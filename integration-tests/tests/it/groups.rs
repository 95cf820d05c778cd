//! Groups of the consumer protocol (KIP-848) with librdkafka.

use crate::rd::{Sending, consume, held, member, poll, wait_until};
use milena_integration_tests::broker::{Broker, unique};
use milena_integration_tests::requests::create_topic;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};

const NEXT: (&str, &str) = ("group.protocol", "consumer");

/// Heartbeats often enough for a test.
const QUICK: [(&str, &str); 2] =
    [("group.consumer.min.heartbeat.interval.ms", "50"), ("group.consumer.heartbeat.interval.ms", "50")];

/// Polls all members until each holds as many partitions as it should.
fn wait_for_shares(what: &str, members: &[&BaseConsumer], shares: &[usize]) {
    wait_until(what, || {
        for member in members {
            poll(member);
        }
        let mut held: Vec<usize> = members.iter().map(|member| held(member)).collect();
        held.sort_unstable();
        held == shares
    });
}

#[test]
fn members_of_the_new_protocol_share_and_take_over() {
    let Some(broker) = Broker::own(&QUICK) else { return };
    let (topic, group) = (unique("next"), unique("next"));
    create_topic(&mut broker.connect(), &topic, 6, &[]);
    let sending = Sending::new(broker.address(), &[]);
    (0..60).for_each(|n: i32| sending.send(&topic, None, n.to_string().as_bytes()));
    sending.finish();
    let settings = [NEXT, ("enable.auto.commit", "false")];
    let first = member(broker.address(), &group, &topic, &settings);
    assert_eq!(consume(&first, 60).len(), 60);
    first.commit_consumer_state(CommitMode::Sync).expect("committed with the epoch of the member");
    let second = member(broker.address(), &group, &topic, &settings);
    wait_for_shares("an even split", &[&first, &second], &[3, 3]);
    let third = member(broker.address(), &group, &topic, &[NEXT, ("group.remote.assignor", "range")]);
    wait_for_shares("an even split", &[&first, &second, &third], &[2, 2, 2]);
    drop(second);
    wait_for_shares("what the member left", &[&first, &third], &[3, 3]);
    drop(first);
    wait_for_shares("all of it", &[&third], &[6]);
    // Everything was committed: only what is new comes.
    let sending = Sending::new(broker.address(), &[]);
    sending.send(&topic, None, b"new");
    sending.finish();
    assert_eq!(consume(&third, 1)[0].value, b"new");
}

#[test]
fn a_regular_expression_finds_topics() {
    let Some(broker) = Broker::own(&QUICK) else { return };
    let (prefix, group) = (unique("pattern"), unique("pattern"));
    create_topic(&mut broker.connect(), &format!("{prefix}-a"), 2, &[]);
    create_topic(&mut broker.connect(), &format!("{prefix}-b"), 1, &[]);
    let consumer = member(broker.address(), &group, &format!("^{prefix}-.*"), &[NEXT]);
    wait_for_shares("both topics", &[&consumer], &[3]);
}

#[test]
fn members_of_both_protocols_share_a_group() {
    let Some(broker) = Broker::own(&QUICK) else { return };
    let (topic, group) = (unique("mixed"), unique("mixed"));
    create_topic(&mut broker.connect(), &topic, 4, &[]);
    let classic = [
        ("group.protocol", "classic"),
        ("partition.assignment.strategy", "cooperative-sticky"),
        ("heartbeat.interval.ms", "50"),
    ];
    let old = member(broker.address(), &group, &topic, &classic);
    wait_for_shares("all of it", &[&old], &[4]);
    let new = member(broker.address(), &group, &topic, &[NEXT]);
    wait_for_shares("an even split", &[&old, &new], &[2, 2]);
    drop(old);
    wait_for_shares("what the classic member left", &[&new], &[4]);
    let old = member(broker.address(), &group, &topic, &classic);
    wait_for_shares("an even split", &[&old, &new], &[2, 2]);
    drop(new);
    wait_for_shares("a classic group again", &[&old], &[4]);
}
