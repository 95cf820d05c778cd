//! What becomes of a connection that asks for much at once, or that ends in the middle of something.

use crate::rd::wait_until;
use kafka_protocol::messages::ApiVersionsRequest;
use kafka_protocol::messages::fetch_request::FetchTopic;
use milena_integration_tests::broker::{Broker, unique};
use milena_integration_tests::process::cpu_seconds;
use milena_integration_tests::raw::{Connection, frame};
use milena_integration_tests::records::Batch;
use milena_integration_tests::requests::{
    FETCH, PRODUCE, append, create_topic, fetch, fetch_partition, look_up, name, produce,
};
use std::io::Read;
use std::thread;
use std::time::Duration;

#[test]
fn what_came_before_a_request_that_cannot_be_served_is_answered() {
    let broker = Broker::any();
    let mut connection = broker.connect();
    let topic = unique("before");
    create_topic(&mut connection, &topic, 1, &[]);
    let unknown_api = [0, 0, 0, 10, 3, 0xe7, 0, 0, 0, 0, 0, 9, 0xff, 0xff];
    let refused = frame(9, PRODUCE, &produce(&unique("nowhere"), 0, 0, Batch::of(["v"]).encode()));
    let endings: [(&str, &[u8]); 4] = [
        ("an unknown API", &unknown_api),
        ("a frame that is none", b"\xff\xff\xff\xff"),
        ("a produce with acks=0 that fails", &refused),
        ("a frame without a header", &[0, 0, 0, 1, 0]),
    ];
    for (round, (what, ending)) in (0..).zip(endings) {
        // One that is stored, one that waits for what never comes, and one behind it.
        let mut bytes = frame(1, PRODUCE, &produce(&topic, 0, 1, Batch::of(["v"]).encode()));
        let wait = fetch(&topic, 0, round + 1, 1000).with_max_wait_ms(100);
        bytes.extend(frame(2, FETCH, &wait));
        bytes.extend(frame(3, 0, &ApiVersionsRequest::default()));
        bytes.extend_from_slice(ending);
        let mut connection = broker.connect();
        connection.send_bytes(&bytes).expect("sent");
        for expected in 1..=3_i32 {
            let answer = connection.receive_frame().unwrap_or_else(|error| panic!("before {what}: {error}"));
            assert_eq!(answer[..4], expected.to_be_bytes(), "before {what}");
        }
        assert!(connection.is_closed(), "{what}");
    }
    assert_eq!(look_up(&mut connection, &topic, 0, -1).offset, 4);
}

#[test]
fn a_stop_answers_what_it_has_stored() {
    let Some(mut broker) = Broker::milena(&[]) else { return };
    let topic = unique("stopping");
    create_topic(&mut broker.connect(), &topic, 1, &[("flush.messages", "1")]);
    let mut answered = 0;
    for _ in 0..5 {
        let mut connection = broker.connect();
        let one = |id| frame(id, PRODUCE, &produce(&topic, 0, -1, Batch::of(["v"]).encode()));
        connection.send_bytes(&(0..30).flat_map(one).collect::<Vec<_>>()).expect("sent");
        // All have been appended, and most wait for the device.
        let mut other = broker.connect();
        wait_until("the records", || look_up(&mut other, &topic, 0, -1).offset >= answered + 30);
        broker.terminate();
        let answers = std::iter::from_fn(|| connection.receive_frame().ok()).count();
        answered += 30;
        assert_eq!(answers, 30);
        broker.launch();
        assert_eq!(look_up(&mut broker.connect(), &topic, 0, -1).offset, answered);
    }
}

#[test]
fn answers_that_wait_for_their_turn_have_a_bound() {
    let Some(broker) = Broker::milena(&[]) else { return };
    let mut connection = broker.connect();
    let (topic, quiet) = (unique("turn"), unique("quiet"));
    create_topic(&mut connection, &topic, 10, &[]);
    create_topic(&mut connection, &quiet, 1, &[]);
    let batch = Batch::of([vec![b'x'; 15_000]]).encode();
    (0..10).for_each(|partition| drop(append(&mut connection, &topic, partition, batch.clone())));
    let all = FetchTopic::default()
        .with_topic(name(&topic))
        .with_partitions((0..10).map(|partition| fetch_partition(partition, 0, 1 << 20)).collect());
    let large = fetch(&topic, 0, 0, 1 << 20).with_topics(vec![all]);
    // 150 KB each, as often as the first one leaves room for.
    let wait = fetch(&quiet, 0, 0, 1000).with_max_wait_ms(60_000);
    let bytes = (1..120).fold(frame(0, FETCH, &wait), |mut all, id| {
        all.extend(frame(id, FETCH, &large));
        all
    });
    let before = broker.usage().expect("it runs").anonymous;
    let mut connections: Vec<Connection> = (0..10).map(|_| broker.connect()).collect();
    for connection in &mut connections {
        connection.send_bytes(&bytes).expect("sent");
    }
    let grown = || broker.usage().expect("it runs").anonymous.saturating_sub(before) >> 20;
    wait_until("the first answers", || grown() > 5);
    thread::sleep(Duration::from_secs(3));
    assert!(grown() < 40, "10 connections took {} MiB", grown());
    // All are answered in the end.
    append(&mut connection, &quiet, 0, Batch::of(["v"]).encode());
    for connection in &mut connections {
        for id in 0..120_i32 {
            assert_eq!(connection.receive_frame().expect("an answer")[..4], id.to_be_bytes());
        }
    }
}

#[test]
fn a_large_frame_in_small_pieces_costs_what_its_bytes_cost() {
    let Some(broker) = Broker::milena(&[]) else { return };
    let mut connection = broker.connect();
    let topic = unique("pieces");
    create_topic(&mut connection, &topic, 1, &[]);
    let pid = broker.pid().expect("it runs");
    let mut cost = |size: usize| {
        let request = frame(1, PRODUCE, &produce(&topic, 0, 1, Batch::of([vec![b'x'; size]]).encode()));
        let (most, rest) = request.split_at(request.len() - 5000);
        connection.send_bytes(most).expect("sent");
        let before = cpu_seconds(pid);
        for byte in rest {
            connection.send_bytes(&[*byte]).expect("sent");
            // One piece at a time.
            thread::sleep(Duration::from_micros(200));
        }
        assert_eq!(connection.receive_frame().expect("an answer")[..4], 1_i32.to_be_bytes());
        cpu_seconds(pid) - before
    };
    let (small, large) = (cost(6000), cost(950_000));
    assert!(large < 1.5 * small + 0.1, "{large} s instead of {small} s");
}

#[test]
fn a_client_that_has_gone_is_noticed_however_much_it_waits_for() {
    let Some(broker) = Broker::milena(&[("connections.max.idle.ms", "2000")]) else { return };
    let mut connection = broker.connect();
    let topic = unique("gone");
    create_topic(&mut connection, &topic, 1, &[("max.message.bytes", "2000000")]);
    let batch = Batch::of([vec![b'x'; 1_000_000]]).encode();
    (0..20).for_each(|_| assert_eq!(append(&mut connection, &topic, 0, batch.clone()).error_code, 0));
    let before = broker.usage().expect("it runs").descriptors;
    // Nothing is read behind so many requests.
    let wait = fetch(&topic, 0, 20, 1000).with_max_wait_ms(i32::MAX);
    let bytes: Vec<u8> = (0..128).flat_map(|id| frame(id, FETCH, &wait)).collect();
    let mut waits = broker.connect();
    waits.send_bytes(&bytes).expect("sent");
    // Nor behind the end of what a client has to say, whose answer it does not read.
    let mut deaf = broker.connect();
    deaf.send_bytes(&frame(1, FETCH, &fetch(&topic, 0, 0, 20 << 20).with_max_bytes(20 << 20))).expect("sent");
    deaf.finish();
    assert_eq!(deaf.stream().read(&mut [0; 4]).expect("an answer"), 4);
    drop(waits);
    wait_until("both to be left", || broker.usage().is_some_and(|usage| usage.descriptors <= before));
}
