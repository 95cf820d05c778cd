//! A hundred thousand broken frames. The broker may refuse, answer or hang up; it may not fall, grow or forget.

use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::{DeleteTopicsRequest, MetadataRequest};
use milena_integration_tests::broker::{Broker, unique};
use milena_integration_tests::process::Usage;
use milena_integration_tests::random::Random;
use milena_integration_tests::raw::{Connection, frame_of};
use milena_integration_tests::records::{Batch, batches};
use milena_integration_tests::requests::{METADATA, api_versions, append, create_topic, read_all};
use milena_integration_tests::samples::{self, Sample};
use std::env;
use std::time::Duration;

const THREADS: u64 = 8;

fn frames() -> u64 {
    env::var("MILENA_TEST_HOSTILE_FRAMES").map_or(100_000, |count| count.parse().expect("a number of frames"))
}

/// A frame that was valid once.
fn mutate(random: &mut Random, sample: &Sample) -> Vec<u8> {
    let mut frame = frame_of(sample.key, sample.version, random.next_u64() as i32, &sample.body);
    for _ in 0..=random.below(3) {
        // The prefix is put right at the end; up to byte 12 lie API, version and correlation id.
        let at = 4 + random.below(frame.len() - 4);
        match random.below(8) {
            0 => frame[at] ^= 1 << random.below(8),
            1 => frame[at] = random.next_u64() as u8,
            2 => overwrite(&mut frame, at, &i32::MAX.to_be_bytes()),
            3 => overwrite(&mut frame, at, &[0xff; 5]),
            4 => frame.truncate(at),
            5 => frame.extend(random.bytes(at.min(64))),
            6 => {
                let until = at + random.below(frame.len() - at);
                let piece = frame[at..until].to_vec();
                frame.extend(piece);
            }
            _ => overwrite(&mut frame, at, &random.next_u64().to_be_bytes()),
        }
        if frame.len() < 6 {
            break;
        }
    }
    let len = frame.len() - 4;
    // One in a hundred lies about its length.
    let announced = if random.below(100) == 0 { random.below(1 << 20) } else { len };
    frame[..4].copy_from_slice(&u32::try_from(announced).expect("a short frame").to_be_bytes());
    frame
}

fn overwrite(frame: &mut [u8], at: usize, with: &[u8]) {
    for (to, from) in frame[at..].iter_mut().zip(with) {
        *to = *from;
    }
}

/// Sends one frame at a time and looks a short while for what comes of it. How many were sent.
fn attack(address: &str, samples: &[Sample], seed: u64, count: u64) -> u64 {
    let mut random = Random::new(seed);
    let mut connection = connect(address);
    let mut sent = 0;
    while sent < count {
        let sample = &samples[random.below(samples.len())];
        let frame = mutate(&mut random, sample);
        if connection.send_bytes(&frame).is_err() {
            connection = connect(address);
            continue;
        }
        sent += 1;
        // Some get no answer by right (acks=0, a wait, a length that lies): then the next one needs a new connection.
        if connection.receive_frame().is_err() {
            connection = connect(address);
        }
    }
    sent
}

fn connect(address: &str) -> Connection {
    let connection = Connection::open(address);
    connection.patience(Duration::from_millis(5));
    connection
}

/// Deletes every topic but `keep`: some mutants are valid requests that create one.
fn delete_others(broker: &Broker, keep: &[&str]) {
    let mut connection = broker.connect();
    let all = connection.call(METADATA, &MetadataRequest::default().with_topics(None)).topics;
    let others = all.into_iter().filter(|topic| !topic.is_internal).filter_map(|topic| topic.name);
    let states: Vec<_> = others
        .filter(|name| !keep.contains(&name.0.as_str()))
        .map(|name| DeleteTopicState::default().with_name(Some(name)))
        .collect();
    connection.call(6, &DeleteTopicsRequest::default().with_topics(states).with_timeout_ms(10_000));
}

#[test]
fn broken_frames_leave_the_broker_as_it_was() {
    let Some(broker) = Broker::own(&[("auto.create.topics.enable", "false")]) else { return };
    let topic = unique("hostile");
    create_topic(&mut broker.connect(), &topic, 1, &[]);
    // No frame names this one.
    let kept = unique("kept");
    create_topic(&mut broker.connect(), &kept, 1, &[]);
    append(&mut broker.connect(), &kept, 0, Batch::of(["kept"]).encode());
    let served = api_versions(&mut broker.connect());
    let mut all = samples::all(&topic);
    all.retain(|sample| served.api_keys.iter().any(|api| api.api_key == sample.key));
    assert!(all.len() > 100, "{} samples", all.len());
    // What the broker needs once (coordinators, buffers, threads) is not what it is tested for.
    let warm = |seed| attack(broker.address(), &all, seed, frames() / 20);
    (0..THREADS).for_each(|seed| assert!(warm(1000 + seed) > 0));
    delete_others(&broker, &[&topic, &kept]);
    let before: Usage = broker.usage().expect("it runs");
    let sent: u64 = std::thread::scope(|scope| {
        let all = &all;
        let address = broker.address();
        let attackers: Vec<_> = (0..THREADS)
            .map(|seed| scope.spawn(move || attack(address, all, seed, frames() / THREADS)))
            .collect();
        attackers.into_iter().map(|attacker| attacker.join().expect("the broker still accepts")).sum()
    });
    delete_others(&broker, &[&topic, &kept]);
    let mut connection = broker.connect();
    assert_eq!(api_versions(&mut connection).api_keys, served.api_keys);
    let stored = read_all(&mut connection, &kept, 0);
    assert_eq!(batches(&stored)[0].values(), [b"kept"]);
    let after = broker.usage().expect("it runs");
    eprintln!("{sent} frames: {before:?} before, {after:?} after");
    if broker.is_milena() {
        let grown = after.resident.saturating_sub(before.resident) >> 20;
        assert!(grown < 32, "{grown} MiB more: {before:?} before, {after:?} after");
        assert!(after.descriptors <= before.descriptors + 50, "{before:?} before, {after:?} after");
        assert!(after.threads <= before.threads + 8, "{before:?} before, {after:?} after");
    }
}
