//! `connections.max.idle.ms`: who is silent is left, who waits or reads slowly is not.

use crate::rd::wait_until;
use kafka_protocol::messages::MetadataRequest;
use milena_integration_tests::broker::{Broker, unique};
use milena_integration_tests::raw::frame;
use milena_integration_tests::records::Batch;
use milena_integration_tests::requests::{append, create_topic, fetch, only_partition};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

/// What the tests set.
const IDLE: Duration = Duration::from_secs(2);

fn start() -> Option<Broker> {
    Broker::milena(&[("connections.max.idle.ms", "2000"), ("connection.failed.authentication.delay.ms", "1")])
}

#[test]
fn an_idle_connection_is_closed() {
    let Some(broker) = start() else { return };
    let mut connection = broker.connect();
    let begun = Instant::now();
    wait_until("the end", || connection.is_closed());
    assert!(begun.elapsed() + Duration::from_millis(50) >= IDLE, "{:?}", begun.elapsed());
    wait_until("the reason", || broker.output().iter().any(|line| line.contains("idle for 2 s")));
    // Whoever asks now and then stays.
    let mut connection = broker.connect();
    let begun = Instant::now();
    while begun.elapsed() < 2 * IDLE {
        connection.call(0, &MetadataRequest::default().with_topics(Some(Vec::new())));
        thread::sleep(IDLE / 10);
    }
}

#[test]
fn a_fetch_that_waits_is_not_idle() {
    let Some(broker) = start() else { return };
    let mut connection = broker.connect();
    let topic = unique("waiting");
    create_topic(&mut connection, &topic, 1, &[]);
    let wait_ms = i32::try_from(2 * IDLE.as_millis()).expect("little");
    let begun = Instant::now();
    let answer = connection.call(12, &fetch(&topic, 0, 0, 1000).with_min_bytes(1).with_max_wait_ms(wait_ms));
    assert_eq!(only_partition(answer).error_code, 0);
    assert!(begun.elapsed() >= 2 * IDLE);
    connection.call(0, &MetadataRequest::default().with_topics(Some(Vec::new())));
}

#[test]
fn who_reads_slowly_is_not_idle() {
    let Some(broker) = start() else { return };
    let mut connection = broker.connect();
    let topic = unique("slow");
    create_topic(&mut connection, &topic, 1, &[("max.message.bytes", "2000000")]);
    let batch = Batch::of([vec![b'x'; 1_000_000]]).encode();
    (0..40).for_each(|_| assert_eq!(append(&mut connection, &topic, 0, batch.clone()).error_code, 0));
    let mut socket = TcpStream::connect(broker.address()).expect("a connection");
    let request = frame(1, 12, &fetch(&topic, 0, 0, 40 << 20).with_max_bytes(40 << 20));
    socket.write_all(&request).expect("the request is taken");
    let mut length = [0; 4];
    socket.read_exact(&mut length).expect("an answer");
    let (mut left, mut piece) =
        (usize::try_from(i32::from_be_bytes(length)).expect("a length"), vec![0; 200_000]);
    assert!(left > 39_000_000, "{left}");
    let begun = Instant::now();
    while left > 0 {
        let read = socket.read(&mut piece).expect("it is still there");
        assert!(read > 0, "ended after {:?} with {left} bytes to come", begun.elapsed());
        left = left.saturating_sub(read);
        thread::sleep(Duration::from_millis(20));
    }
    assert!(begun.elapsed() > IDLE + IDLE / 2, "{:?} is too fast to tell", begun.elapsed());
}
