//! What can be wrong with requests of administrators, and the answers of Apache Kafka 4.1.1 to them, byte for byte.
//!
//! The requests and answers are those of `integration-tests/differential/scripts/conditions.py`, where they can be read, as
//! `integration-tests/differential/run --record=FILE` has written them down; `closed` is a connection that is ended.

use milena_integration_tests::broker::Broker;
use milena_integration_tests::raw::{Connection, frame_of};
use milena_integration_tests::samples::api_name;
use std::io;

const TABLE: &str = include_str!("conditions/answers.txt");
/// As the brokers were started when the answers were written down.
const SETTINGS: &[(&str, &str)] = &[("offsets.topic.num.partitions", "1"), ("log.retention.ms", "-1")];

fn bytes(hex: &str) -> Vec<u8> {
    let digits = if hex == "-" { "" } else { hex };
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal digits");
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// What follows the correlation id of the answer.
fn ask(connection: &mut Connection, key: i16, version: i16, body: &[u8]) -> io::Result<Vec<u8>> {
    connection.send_bytes(&frame_of(key, version, 7, body))?;
    Ok(connection.receive_frame()?.split_off(4))
}

#[test]
fn wrong_requests_are_answered_as_kafka_answers_them() {
    let Some(broker) = Broker::milena(SETTINGS) else { return };
    let mut connection = broker.connect();
    let (mut compared, mut wrong) = (0, Vec::new());
    for line in TABLE.lines() {
        let [key, version, request, expected] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("not a line of the table: {line}");
        };
        let (key, version) = (key.parse().expect("a key"), version.parse().expect("a version"));
        let answer = ask(&mut connection, key, version, &bytes(request));
        if answer.is_err() {
            connection = broker.connect();
        }
        if expected == "-" {
            continue;
        }
        compared += 1;
        let expected = (expected != "closed").then(|| bytes(expected));
        if answer.as_ref().ok() != expected.as_ref() {
            let texts = [expected.unwrap_or_default(), answer.unwrap_or_default()]
                .map(|text| text.escape_ascii().to_string());
            wrong.push(format!(
                "{} v{version} {request}\n  Kafka  {}\n  milena {}",
                api_name(key),
                texts[0],
                texts[1]
            ));
        }
    }
    assert!(compared > 300, "{compared} answers are compared");
    assert!(wrong.is_empty(), "{} of {compared}:\n{}", wrong.len(), wrong.join("\n"));
}
