//! What a heartbeat allocates. The broker runs in this process, and the allocator counts: a binary of its own, because it
//! counts for everybody in it.

use bytes::Bytes;
use kafka_protocol::messages::consumer_group_heartbeat_response::Assignment;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::{
    ConsumerGroupHeartbeatRequest, HeartbeatRequest, JoinGroupRequest, SyncGroupRequest,
};
use milena::Broker;
use milena_integration_tests::raw::{Connection, frame};
use milena_integration_tests::requests::{create_topic, look_up, name, text};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static COUNTING: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const TOPIC: &str = "t";
/// Members of a small group.
const SMALL: usize = 4;
/// Members of a large group.
const LARGE: usize = 100;
const BEATS: usize = 200;
const TRIES: usize = 5;
const LATEST: i64 = -1;

/// What is allocated for a heartbeat, by its client and by the broker.
#[derive(Clone, Copy, Debug)]
struct Cost {
    times: usize,
    bytes: usize,
}

/// What a heartbeat allocates, which must leave `__consumer_offsets` as it is: how often, and how many bytes. The least of a
/// few tries: other threads allocate, too.
fn cost(connection: &mut Connection, mut beat: impl FnMut(&mut Connection)) -> Cost {
    let end = |connection: &mut Connection| look_up(connection, "__consumer_offsets", 0, LATEST).offset;
    let before = end(connection);
    let tries: Vec<Cost> = (0..TRIES)
        .map(|_| {
            let region = Region::new(COUNTING);
            (0..BEATS).for_each(|_| beat(connection));
            let change = region.change();
            let times = change.allocations + change.reallocations;
            Cost { times: times / BEATS, bytes: change.bytes_allocated / BEATS }
        })
        .collect();
    assert_eq!(end(connection), before, "a heartbeat writes nothing");
    let least = |of: fn(&Cost) -> usize| tries.iter().map(of).min().expect("there was one");
    Cost { times: least(|cost| cost.times), bytes: least(|cost| cost.bytes) }
}

fn start() -> Broker {
    let builder = Broker::builder().ephemeral().config("offsets.topic.num.partitions", "1");
    let builder = builder.config("group.initial.rebalance.delay.ms", "1000");
    let broker = builder.start_blocking().expect("started");
    create_topic(&mut Connection::open(broker.bootstrap_servers()), TOPIC, 4, &[]);
    broker
}

fn assert_alike(kind: &str, [small, large]: [Cost; 2]) {
    println!("a heartbeat of a {kind} group: {small:?} among {SMALL}, {large:?} among {LARGE}");
    assert!(small.times > 0 && small.bytes > 0, "somebody counts");
    assert!(
        large.times < small.times + (LARGE - SMALL) / 10,
        "{kind}: {large:?} in the large group, {small:?} in the small one"
    );
    assert!(
        large.bytes < small.bytes + 4 * (LARGE - SMALL),
        "{kind}: {large:?} in the large group, {small:?} in the small one"
    );
}

/// One test: what runs beside it would be counted.
#[test]
fn a_heartbeat_costs_the_same_in_a_small_group_and_in_a_large_one() {
    let broker = start();
    assert_alike("consumer", [SMALL, LARGE].map(|size| of_consumer_group(&broker, size)));
    assert_alike("classic", [SMALL, LARGE].map(|size| of_classic_group(&broker, size)));
}

/// What a heartbeat costs in a group of the consumer protocol with so many members.
fn of_consumer_group(broker: &Broker, size: usize) -> Cost {
    let mut connection = Connection::open(broker.bootstrap_servers());
    let group = format!("consumer-{size}");
    let beat = |member: &str, epoch: i32| {
        ConsumerGroupHeartbeatRequest::default()
            .with_group_id(text(&group).into())
            .with_member_id(text(member))
            .with_member_epoch(epoch)
            .with_rebalance_timeout_ms(-1)
            .with_topic_partitions(None)
    };
    let mut members: Vec<(String, i32)> = (0..size)
        .map(|number| {
            let id = format!("member-{number}");
            let join = beat(&id, 0)
                .with_rebalance_timeout_ms(60_000)
                .with_subscribed_topic_names(Some(vec![name(TOPIC)]))
                .with_topic_partitions(Some(Vec::new()));
            let answer = connection.call(1, &join);
            assert_eq!(answer.error_code, 0);
            (id, answer.member_epoch)
        })
        .collect();
    // Until nobody hears anything new.
    let mut held: Vec<Assignment> = vec![Assignment::default(); size];
    loop {
        let mut news = false;
        for ((id, epoch), held) in members.iter_mut().zip(&mut held) {
            let owned = held.topic_partitions.iter().map(|of_topic| {
                kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions::default()
                    .with_topic_id(of_topic.topic_id)
                    .with_partitions(of_topic.partitions.clone())
            });
            let request = beat(id, *epoch).with_topic_partitions(Some(owned.collect()));
            let answer = connection.call(1, &request);
            assert_eq!(answer.error_code, 0);
            news |= answer.member_epoch != *epoch || answer.assignment.is_some();
            *epoch = answer.member_epoch;
            *held = answer.assignment.unwrap_or_else(|| std::mem::take(held));
        }
        if !news {
            break;
        }
    }
    let (id, epoch) = &members[size / 2];
    let request = beat(id, *epoch);
    cost(&mut connection, |connection| {
        assert_eq!(connection.call(1, &request).error_code, 0);
    })
}

/// The same of a classic group.
fn of_classic_group(broker: &Broker, size: usize) -> Cost {
    const JOIN: i16 = 3;
    const SYNC: i16 = 2;
    let mut connection = Connection::open(broker.bootstrap_servers());
    let group = format!("classic-{size}");
    let protocol = JoinGroupRequestProtocol::default()
        .with_name(text("range"))
        .with_metadata(Bytes::from_static(b"\0\0\0\0\0\x01\0\x01t\0\0\0\0"));
    let join = JoinGroupRequest::default()
        .with_group_id(text(&group).into())
        .with_session_timeout_ms(60_000)
        .with_rebalance_timeout_ms(60_000)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol]);
    // In one piece, so that all are there before the first rebalance is over.
    let joins: Vec<u8> = (1..).take(size).flat_map(|number| frame(number, JOIN, &join)).collect();
    connection.send_bytes(&joins).expect("sent");
    let joined: Vec<_> = (0..size).map(|_| connection.receive::<JoinGroupRequest>(JOIN).1).collect();
    let generation = joined[0].generation_id;
    for answer in &joined {
        assert_eq!((answer.error_code, answer.generation_id), (0, generation));
        let sync = SyncGroupRequest::default()
            .with_group_id(text(&group).into())
            .with_member_id(answer.member_id.clone())
            .with_generation_id(generation);
        connection.send(SYNC, &sync);
    }
    (0..size).for_each(|_| assert_eq!(connection.receive::<SyncGroupRequest>(SYNC).1.error_code, 0));
    let request = HeartbeatRequest::default()
        .with_group_id(text(&group).into())
        .with_member_id(joined[size / 2].member_id.clone())
        .with_generation_id(generation);
    cost(&mut connection, |connection| {
        assert_eq!(connection.call(3, &request).error_code, 0);
    })
}
