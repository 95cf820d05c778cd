//! A batch that went bad on the disk between two runs, as consumers meet it.

use milena_integration_tests::broker::{Broker, unique};
use milena_integration_tests::raw::Connection;
use milena_integration_tests::records::{Batch, batches};
use milena_integration_tests::requests::{
    FETCH, append, create_topic, fetch, fetch_partition, name, only_partition,
};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const CORRUPT_MESSAGE: i16 = 2;
/// More than any answer here has.
const ALL: i32 = 8 << 20;

/// Changes one bit of the payload of the second batch of a partition.
fn damage(data: &Path, topic: &str) {
    let path = data.join(format!("{topic}-0/00000000000000000000.log"));
    let mut bytes = fs::read(&path).expect("a log");
    let second = batches(&bytes)[0].bytes.len();
    bytes[second + 80] ^= 1;
    fs::write(path, bytes).expect("the log can be changed");
}

/// The error code of a fetch, and the base offsets of the batches that came with it.
fn ask(connection: &mut Connection, topic: &str, offset: i64, max: i32) -> (i16, Vec<i64>) {
    let answer = only_partition(connection.call(FETCH, &fetch(topic, 0, offset, max)));
    let records = answer.records.unwrap_or_default();
    let found = batches(&records);
    assert!(found.iter().all(|batch| batch.is_sound()), "{topic} at {offset}");
    (answer.error_code, found.iter().map(|batch| batch.base_offset()).collect())
}

#[test]
fn a_damaged_batch_is_never_served_and_never_skipped() {
    let Some(mut broker) = Broker::milena(&[]) else { return };
    // What is copied into the answer, and what goes out by sendfile.
    for size in [100, 10_000] {
        let (topic, sound) = (unique("damaged"), unique("sound"));
        let mut connection = broker.connect();
        for topic in [&topic, &sound] {
            create_topic(&mut connection, topic, 1, &[]);
            for first in [0, 10, 20] {
                let values = (first..first + 10).map(|n| format!("{n:0size$}"));
                append(&mut connection, topic, 0, Batch::of(values).encode());
            }
        }
        // A clean stop: the next start trusts what is there and reads none of it.
        let (status, _) = broker.terminate();
        assert!(status.success());
        damage(broker.directory(), &topic);
        broker.launch();
        let mut connection = broker.connect();
        // (offset, max bytes, error code, batches); twice, because what was verified is remembered.
        let cases: [(i64, i32, i16, &[i64]); 7] = [
            (0, ALL, 0, &[0]),
            (9, ALL, 0, &[0]),
            (0, 1, 0, &[0]),
            (10, ALL, CORRUPT_MESSAGE, &[]),
            (19, 1, CORRUPT_MESSAGE, &[]),
            (20, ALL, 0, &[20]),
            (30, ALL, 0, &[]),
        ];
        for (offset, max, error, expected) in cases.into_iter().chain(cases) {
            let found = ask(&mut connection, &topic, offset, max);
            assert_eq!(found, (error, expected.to_vec()), "{size} bytes, at {offset}, {max} bytes");
        }
        assert_eq!(ask(&mut connection, &sound, 0, ALL), (0, vec![0, 10, 20]));

        // New records come behind it, and a consumer that waits at the damage is told at once.
        append(&mut connection, &topic, 0, Batch::of(["new"]).encode());
        assert_eq!(ask(&mut connection, &topic, 30, ALL), (0, vec![30]));
        let asked = Instant::now();
        let patient = fetch(&topic, 0, 10, ALL).with_max_wait_ms(50_000).with_min_bytes(1);
        assert_eq!(only_partition(connection.call(FETCH, &patient)).error_code, CORRUPT_MESSAGE);
        assert!(asked.elapsed() < Duration::from_secs(25), "told by the damage, not by the clock");

        // The other partition of the same request suffers nothing.
        let mut both = fetch(&topic, 0, 10, ALL);
        let mut other = both.topics[0].clone().with_topic(name(&sound));
        other.partitions = vec![fetch_partition(0, 0, ALL)];
        both.topics.push(other);
        let answer = connection.call(FETCH, &both);
        let codes: Vec<i16> = answer.responses.iter().map(|topic| topic.partitions[0].error_code).collect();
        assert_eq!(codes, [CORRUPT_MESSAGE, 0]);
        let records = answer.responses[1].partitions[0].records.as_ref().expect("records");
        assert_eq!(batches(records).len(), 3);
    }
}
