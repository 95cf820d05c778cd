//! kill -9 in the middle of the work: nothing acknowledged is missing, nothing is there twice.

use crate::rd::{Sending, consume, member, wait_until};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest, DescribeGroupsRequest, HeartbeatRequest,
    JoinGroupRequest, SyncGroupRequest,
};
use milena_integration_tests::broker::{Broker, unique};
use milena_integration_tests::raw::Connection;
use milena_integration_tests::records::batches;
use milena_integration_tests::requests::{create_topic, name, read_all, text};
use rdkafka::consumer::{CommitMode, Consumer};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) const PARTITIONS: i32 = 6;

/// Every value of a topic of [`PARTITIONS`] with where it lies; fails if one is there twice, damaged, or behind a gap.
pub(crate) fn stored(broker: &Broker, topic: &str) -> HashMap<Vec<u8>, (i32, i64)> {
    let mut all = HashMap::new();
    for partition in 0..PARTITIONS {
        let bytes = read_all(&mut broker.connect(), topic, partition);
        let mut next = 0;
        for batch in batches(&bytes) {
            assert!(batch.is_sound(), "{topic}-{partition} at {}", batch.base_offset());
            assert_eq!(batch.base_offset(), next, "{topic}-{partition} has no gaps");
            next = batch.last_offset() + 1;
            for (offset, value) in (batch.base_offset()..).zip(batch.values()) {
                let known = all.insert(value.to_vec(), (partition, offset));
                assert_eq!(known, None, "{} is doubled", String::from_utf8_lossy(value));
            }
        }
    }
    all
}

#[test]
fn acknowledged_records_survive_kill_9_once() {
    let Some(mut broker) = Broker::own(&[]) else { return };
    let topic = unique("killed");
    create_topic(&mut broker.connect(), &topic, PARTITIONS, &[]);
    let settings = [
        ("enable.idempotence", "true"),
        ("linger.ms", "1"),
        ("message.timeout.ms", "170000"),
        ("retry.backoff.ms", "20"),
    ];
    let senders: Vec<Sending> = (0..3).map(|_| Sending::new(broker.address(), &settings)).collect();
    let stop = AtomicBool::new(false);
    let acknowledged = || senders.iter().map(|sender| sender.deliveries.count()).sum::<usize>();
    std::thread::scope(|scope| {
        for (index, sender) in senders.iter().enumerate() {
            let (topic, stop) = (&topic, &stop);
            scope.spawn(move || {
                for n in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    sender.send(
                        topic,
                        Some(&n.to_string()),
                        format!("{index}-{n}-{}", "x".repeat(200)).as_bytes(),
                    );
                }
            });
        }
        let kills = if broker.is_milena() { 3 } else { 1 };
        for _ in 0..kills {
            let target = acknowledged() + 3_000;
            wait_until("acknowledgements", || acknowledged() >= target);
            broker.kill();
            broker.launch();
        }
        let target = acknowledged() + 1_000;
        wait_until("acknowledgements after the last restart", || acknowledged() >= target);
        stop.store(true, Ordering::Relaxed);
    });
    senders.iter().for_each(Sending::finish);
    let stored = stored(&broker, &topic);
    let mut count = 0;
    for record in senders.iter().flat_map(|sender| sender.deliveries.acknowledged()) {
        count += 1;
        let place = stored.get(&record.value);
        let value = String::from_utf8_lossy(&record.value[..20.min(record.value.len())]).into_owned();
        // librdkafka does not learn the offset of a retransmission that was known already.
        let known =
            place.is_some_and(|place| record.offset < 0 || *place == (record.partition, record.offset));
        assert!(known, "{value}, acknowledged at {}-{}, lies at {place:?}", record.partition, record.offset);
    }
    assert_eq!(stored.len(), count, "what is stored was acknowledged in the end");
}

/// Members of a group that was stable go on without a rebalance: their generation, or their epoch, is what it was.
#[test]
fn a_stable_group_is_stable_after_kill_9() {
    let Some(mut broker) = Broker::own(&[]) else { return };
    let topic = unique("stable-killed");
    create_topic(&mut broker.connect(), &topic, PARTITIONS, &[]);
    let (classic, consumer) = (unique("classic-killed"), unique("consumer-killed"));
    let mut subscription = b"\0\0\0\0\0\x01".to_vec();
    subscription.extend((topic.len() as i16).to_be_bytes());
    subscription.extend(topic.as_bytes());
    subscription.extend((-1_i32).to_be_bytes());
    let protocol =
        JoinGroupRequestProtocol::default().with_name(text("range")).with_metadata(subscription.into());
    let join = JoinGroupRequest::default()
        .with_group_id(text(&classic).into())
        .with_session_timeout_ms(45_000)
        .with_rebalance_timeout_ms(60_000)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol]);
    let mut connection = broker.connect();
    let mut joined = None;
    // Until the coordinator is there; no id is asked for in this version.
    wait_until("the classic member has joined", || {
        joined = Some(connection.call(3, &join)).filter(|joined| joined.error_code == 0);
        joined.is_some()
    });
    let joined = joined.expect("it has joined");
    let id = joined.member_id.clone();
    let given = SyncGroupRequestAssignment::default()
        .with_member_id(id.clone())
        .with_assignment((&b"\0\0\0\0\0\0\xff\xff\xff\xff"[..]).into());
    let sync = SyncGroupRequest::default()
        .with_group_id(text(&classic).into())
        .with_member_id(id.clone())
        .with_generation_id(joined.generation_id)
        .with_assignments(vec![given]);
    assert_eq!(connection.call(2, &sync).error_code, 0);
    let beat = ConsumerGroupHeartbeatRequest::default()
        .with_group_id(text(&consumer).into())
        .with_member_id(text("member"))
        .with_member_epoch(0)
        .with_rebalance_timeout_ms(60_000)
        .with_subscribed_topic_names(Some(vec![name(&topic)]))
        .with_topic_partitions(Some(Vec::new()));
    let assigned = connection.call(1, &beat);
    assert_eq!((assigned.error_code, assigned.member_epoch), (0, 1));

    let beat_classic = HeartbeatRequest::default()
        .with_group_id(text(&classic).into())
        .with_member_id(id)
        .with_generation_id(joined.generation_id);
    let beat_consumer =
        beat.with_member_epoch(1).with_subscribed_topic_names(None).with_topic_partitions(None);
    let describe = DescribeGroupsRequest::default().with_groups(vec![text(&classic).into()]);
    let describe_consumer =
        ConsumerGroupDescribeRequest::default().with_group_ids(vec![text(&consumer).into()]);
    let check = |connection: &mut Connection, when: &str| {
        assert_eq!(connection.call(3, &beat_classic).error_code, 0, "{when}");
        let beaten = connection.call(1, &beat_consumer);
        assert_eq!((beaten.error_code, beaten.member_epoch), (0, 1), "{when}");
        let group = connection.call(5, &describe).groups.remove(0);
        assert_eq!((&*group.group_state, group.members.len()), ("Stable", 1), "{when}");
        let group = connection.call(0, &describe_consumer).groups.remove(0);
        assert_eq!((&*group.group_state, group.group_epoch), ("Stable", 1), "{when}");
    };
    check(&mut connection, "before");
    broker.kill();
    broker.launch();
    let mut connection = broker.connect();
    wait_until("the groups are loaded", || {
        connection.call(5, &describe).groups.first().is_some_and(|group| group.error_code == 0)
    });
    check(&mut connection, "after");
}

#[test]
fn groups_lose_nothing_when_the_broker_is_killed() {
    let Some(mut broker) = Broker::own(&[]) else { return };
    let topic = unique("orders-killed");
    create_topic(&mut broker.connect(), &topic, PARTITIONS, &[]);
    let total = 20_000;
    let groups = ["attribution", "billing", "audit"].map(unique);
    let address = broker.address().to_owned();
    std::thread::scope(|scope| {
        let readers: Vec<_> = groups
            .iter()
            .map(|group| {
                let (address, topic) = (&address, &topic);
                scope.spawn(move || {
                    let settings = [("auto.commit.interval.ms", "50"), ("session.timeout.ms", "6000")];
                    let consumer = member(address, group, topic, &settings);
                    let mut seen = HashSet::new();
                    wait_until("every order", || {
                        seen.extend(crate::rd::poll(&consumer).map(|record| record.value));
                        seen.len() == total
                    });
                    consumer.commit_consumer_state(CommitMode::Sync).expect("what was seen is committed");
                })
            })
            .collect();
        let settings = [("enable.idempotence", "true"), ("message.timeout.ms", "170000")];
        let sending = Sending::new(&address, &settings);
        for n in 0..total {
            sending.send(&topic, Some(&(n % 1000).to_string()), n.to_string().as_bytes());
            if n == total / 2 {
                wait_until("acknowledgements", || sending.deliveries.count() > total / 4);
                broker.kill();
                broker.launch();
            }
        }
        sending.finish();
        readers.into_iter().for_each(|reader| reader.join().expect("the group sees every order"));
    });
    assert_eq!(stored(&broker, &topic).len(), total);
    // What was committed counts after a death, too: a group that comes back sees only what is new.
    broker.kill();
    broker.launch();
    let sending = Sending::new(&address, &[]);
    sending.send(&topic, Some("late"), b"late");
    sending.finish();
    for group in &groups {
        let consumer = member(&address, group, &topic, &[]);
        assert_eq!(consume(&consumer, 1).remove(0).value, b"late", "{group}");
    }
}
