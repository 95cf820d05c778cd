//! kill -9 in the middle of the work: nothing acknowledged is missing, nothing is there twice.

use crate::rd::{Sending, consume, member, wait_until};
use milena_integration_tests::broker::{Broker, unique};
use milena_integration_tests::records::batches;
use milena_integration_tests::requests::{create_topic, read_all};
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
    // A group that comes back sees only what is new.
    let sending = Sending::new(&address, &[]);
    sending.send(&topic, Some("late"), b"late");
    sending.finish();
    let consumer = member(&address, &groups[0], &topic, &[]);
    let mut last = consume(&consumer, 1).remove(0);
    let mut again = 0;
    while last.value != b"late" {
        last = consume(&consumer, 1).remove(0);
        again += 1;
    }
    assert!(again < total, "the offsets of the group were lost");
}
