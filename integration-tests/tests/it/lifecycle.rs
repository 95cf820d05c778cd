//! Starting, stopping, starting again, and what an operator is told when it cannot.

use crate::rd::{Sending, consume, member};
use milena_integration_tests::broker::{Broker, Process, binary, command, free_port, unique};
use milena_integration_tests::requests::{api_versions, create_topic, describe_topic, read_all};
use rdkafka::consumer::{CommitMode, Consumer};
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

#[test]
fn what_was_there_is_there_after_a_restart() {
    let Some(mut broker) = Broker::own(&[]) else { return };
    let topic = unique("kept");
    let group = unique("kept");
    create_topic(&mut broker.connect(), &topic, 3, &[("retention.ms", "123456789")]);
    let before = describe_topic(&mut broker.connect(), &topic);
    let sending = Sending::new(broker.address(), &[]);
    (0..90).for_each(|n: i32| sending.send(&topic, Some(&n.to_string()), n.to_string().as_bytes()));
    sending.finish();
    let consumer = member(broker.address(), &group, &topic, &[("enable.auto.commit", "false")]);
    consume(&consumer, 90);
    consumer.commit_consumer_state(CommitMode::Sync).expect("committed");
    drop(consumer);
    let bytes = |broker: &Broker| -> Vec<Vec<u8>> {
        (0..3).map(|partition| read_all(&mut broker.connect(), &topic, partition)).collect()
    };
    let stored = bytes(&broker);
    for how in ["SIGTERM", "SIGKILL", "SIGTERM"] {
        if how == "SIGKILL" {
            broker.kill();
        } else {
            broker.terminate();
        }
        broker.launch();
        let after = describe_topic(&mut broker.connect(), &topic);
        assert_eq!((after.topic_id, after.partitions.len()), (before.topic_id, 3), "after {how}");
        assert!(bytes(&broker) == stored, "every byte is the same after {how}");
    }
    let sending = Sending::new(broker.address(), &[]);
    sending.send(&topic, None, b"news");
    sending.finish();
    let consumer = member(broker.address(), &group, &topic, &[]);
    assert_eq!(consume(&consumer, 1)[0].value, b"news", "the group goes on where it was");
}

#[test]
fn sigterm_ends_it_in_a_second_even_with_clients() {
    let Some(mut broker) = Broker::milena(&[]) else { return };
    let topic = unique("stopping");
    create_topic(&mut broker.connect(), &topic, 1, &[]);
    let mut waiting = broker.connect();
    let fetch = milena_integration_tests::requests::fetch(&topic, 0, 0, 1000).with_max_wait_ms(60_000);
    waiting.send(milena_integration_tests::requests::FETCH, &fetch);
    let idle = broker.connect();
    assert_eq!(api_versions(&mut broker.connect()).error_code, 0);
    let (status, took) = broker.terminate();
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(1), "it took {took:?}");
    drop((waiting, idle));
}

/// Runs a broker that cannot start: its exit code and what it printed to standard error.
fn refused(command: &mut Command) -> (Option<i32>, Vec<String>) {
    let (status, lines) = Process::spawn(command).wait();
    (status.code(), lines)
}

#[test]
fn a_second_broker_on_the_same_directory_is_refused() {
    let Some(broker) = Broker::milena(&[]) else { return };
    let (code, lines) = refused(&mut command(broker.directory(), free_port(), &[]));
    assert_eq!(code, Some(1), "{lines:#?}");
    let directory = broker.directory().to_string_lossy().into_owned();
    assert_eq!(lines.len(), 1, "one line says it: {lines:#?}");
    assert!(lines[0].contains(&directory), "{lines:#?}");
    assert_eq!(api_versions(&mut broker.connect()).error_code, 0, "the first goes on");
}

#[test]
fn a_port_in_use_is_named() {
    let Some(_) = Broker::milena(&[]) else { return };
    let port = free_port();
    let taken = TcpListener::bind(("127.0.0.1", port)).expect("a free port");
    let directory = tempfile::tempdir().expect("a temporary folder");
    let (code, lines) = refused(&mut command(directory.path(), port, &[]));
    drop(taken);
    assert_eq!(code, Some(1), "{lines:#?}");
    assert_eq!(lines.len(), 1, "one line says it: {lines:#?}");
    assert!(lines[0].contains(&port.to_string()), "{lines:#?}");
}

#[test]
fn bad_settings_and_arguments_are_named() {
    let Some(_) = Broker::milena(&[]) else { return };
    let directory = tempfile::tempdir().expect("a temporary folder");
    let missing = directory.path().join("nowhere.properties");
    let bad_file = directory.path().join("server.properties");
    std::fs::write(&bad_file, "num.partitions=-3\n").expect("a file can be written");
    let arguments: [(Vec<&str>, &[&str]); 5] = [
        (vec!["--override", "num.partitions=abc"], &["num.partitions", "abc"]),
        (vec!["--override", "listeners=nonsense"], &["listeners"]),
        (vec![missing.to_str().expect("UTF-8")], &["nowhere.properties"]),
        (vec![bad_file.to_str().expect("UTF-8")], &["num.partitions", "-3"]),
        (vec!["--frobnicate"], &["--frobnicate"]),
    ];
    for (arguments, words) in arguments {
        let data = directory.path().join("data");
        let mut command = Command::new(binary());
        command.args(&arguments).arg("--override").arg(format!("log.dirs={}", data.display()));
        let (code, lines) = refused(&mut command);
        assert_eq!(code, Some(1), "{arguments:?}: {lines:#?}");
        assert_eq!(lines.len(), 1, "one line says it: {lines:#?}");
        for word in words {
            assert!(lines[0].contains(word), "{arguments:?}: {lines:#?} does not name {word}");
        }
    }
}

#[test]
fn an_idle_broker_is_small() {
    let Some(broker) = Broker::milena(&[]) else { return };
    assert_eq!(api_versions(&mut broker.connect()).error_code, 0);
    let usage = broker.usage().expect("it runs");
    assert!(usage.resident < 64 << 20, "{} MiB resident", usage.resident >> 20);
    assert!(usage.threads < 32, "{} threads", usage.threads);
}
