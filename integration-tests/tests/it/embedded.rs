//! Brokers inside this process, and brokers that other programs start.

use crate::rd::{Sending, consume, member};
use milena::Broker;
use milena_integration_tests::broker::{binary, unique};
use milena_integration_tests::raw::Connection;
use milena_integration_tests::requests::{api_versions, describe_topic};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, PipeReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

#[test]
fn two_brokers_in_one_process_know_nothing_of_each_other() {
    let topic = unique("twice");
    let start = |partitions| {
        let builder = Broker::builder().ephemeral().topic(&topic, partitions);
        builder.config("group.min.session.timeout.ms", "1000").start_blocking().expect("started")
    };
    let brokers = [start(1), start(2)];
    assert_ne!(brokers[0].cluster_id(), brokers[1].cluster_id());
    for (number, broker) in brokers.iter().enumerate() {
        let described = describe_topic(&mut Connection::open(broker.bootstrap_servers()), &topic);
        assert_eq!(described.partitions.len(), number + 1);
        let sending = Sending::new(broker.bootstrap_servers(), &[("enable.idempotence", "true")]);
        sending.send(&topic, Some("key"), format!("of {number}").as_bytes());
        sending.finish();
    }
    for (number, broker) in brokers.iter().enumerate() {
        let consumer = member(broker.bootstrap_servers(), "group", &topic, &[]);
        assert_eq!(consume(&consumer, 1)[0].value, format!("of {number}").as_bytes());
    }
    let [first, second] = brokers;
    let gone = first.data_dir().to_owned();
    drop(first);
    assert!(!gone.exists());
    assert_eq!(api_versions(&mut Connection::open(second.bootstrap_servers())).error_code, 0);
}

/// What `--ephemeral --port 0` says on its standard output when descriptor 1 is the one to say it to.
fn started(command: &mut Command) -> (Child, BufReader<ChildStdout>, Value) {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("spawned");
    let mut output = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut line = String::new();
    while !line.starts_with('{') {
        line.clear();
        assert!(output.read_line(&mut line).expect("a line") > 0, "it ended before it was ready");
    }
    (child, output, serde_json::from_str(&line).expect("JSON"))
}

/// The other end of what a process has as standard output is closed when the process is gone.
fn wait_for_end(mut output: impl Read) {
    let mut rest = String::new();
    output.read_to_string(&mut rest).expect("read to its end");
}

fn served(ready: &Value) {
    let address = ready["bootstrap"].as_str().expect("an address");
    assert_eq!(address, format!("127.0.0.1:{}", ready["port"]));
    assert_eq!(api_versions(&mut Connection::open(address)).error_code, 0);
}

fn data_dir(ready: &Value) -> &Path {
    Path::new(ready["data_dirs"][0].as_str().expect("a path"))
}

#[test]
fn whoever_starts_a_broker_is_told_when_it_is_ready() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("ready");
    let mut command = Command::new(binary());
    command.args(["serve", "--ephemeral", "--port", "0", "--topic", "orders:3:compact", "--ready-fd", "1"]);
    let (mut child, output, ready) = started(command.arg("--ready-file").arg(&file));
    served(&ready);
    let address = ready["bootstrap"].as_str().expect("an address");
    assert_eq!(describe_topic(&mut Connection::open(address), "orders").partitions.len(), 3);
    assert_eq!(ready["pid"], child.id());
    assert_eq!(ready["ephemeral"], true);
    let stored: Value = serde_json::from_slice(&fs::read(&file).expect("written")).expect("JSON");
    assert_eq!(stored, ready);
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).expect("sent");
    wait_for_end(output);
    assert_eq!(child.wait().expect("ended").code(), Some(0));
    assert!(!data_dir(&ready).exists());
}

#[test]
fn a_start_that_fails_tells_nothing() {
    let cases: [(&[&str], &str); 3] = [
        (&["--topic", "a b"], "topic a b"),
        (&["--ready-fd", "1000"], "cannot write to descriptor 1000"),
        (&["--exit-with-parent=4194305"], "has ended already"),
    ];
    for (options, expected) in cases {
        let mut command = Command::new(binary());
        command.args(["serve", "--ephemeral", "--port", "0"]).args(options);
        let output = command.output().expect("run");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(expected), "{said}");
    }
}

/// The shell between is the parent, or a process that the broker has nothing to do with.
#[test]
fn a_broker_ends_with_its_parent_however_that_ends() {
    for (option, signal) in [
        ("--exit-with-parent", Signal::SIGKILL),
        ("--exit-with-parent", Signal::SIGTERM),
        ("--exit-with-parent=$$", Signal::SIGKILL),
    ] {
        let line = format!("\"$1\" serve --ephemeral --port 0 --ready-fd 1 {option} & wait");
        let mut shell = Command::new("sh");
        let (mut child, output, ready) = started(shell.args(["-c", &line, "sh"]).arg(binary()));
        served(&ready);
        assert_ne!(ready["pid"], child.id());
        kill(Pid::from_raw(child.id().cast_signed()), signal).expect("sent");
        child.wait().expect("ended");
        wait_for_end(output);
        assert!(!data_dir(&ready).exists(), "the directory is left after {option} and {signal}");
    }
}

/// A terminal that is closed says so by SIGHUP, which nohup lets its children ignore.
#[test]
fn a_broker_ends_with_its_terminal_unless_it_was_told_to_go_on() {
    for (trap, survives) in [("", false), ("trap '' HUP;", true)] {
        let line = format!("{trap} exec \"$1\" serve --ephemeral --port 0 --ready-fd 1");
        let mut shell = Command::new("sh");
        let (mut child, output, ready) = started(shell.args(["-c", &line, "sh"]).arg(binary()));
        let pid = Pid::from_raw(child.id().cast_signed());
        kill(pid, Signal::SIGHUP).expect("sent");
        if survives {
            served(&ready);
            kill(pid, Signal::SIGTERM).expect("sent");
        }
        wait_for_end(output);
        assert_eq!(child.wait().expect("ended").code(), Some(0));
        assert!(!data_dir(&ready).exists());
    }
}

/// As from a program that passes a pipe of its own, and reads it to its end.
#[test]
fn the_descriptor_is_closed_behind_the_line() {
    let (mut reader, writer): (PipeReader, _) = std::io::pipe().expect("a pipe");
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$1\" serve --ephemeral --port 0 --ready-fd 3 3>&0 <&-", "sh"]).arg(binary());
    let mut child = shell.stdin(writer).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("spawned");
    drop(shell);
    let mut line = String::new();
    reader.read_to_string(&mut line).expect("closed");
    served(&serde_json::from_str(&line).expect("one line of JSON"));
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).expect("sent");
    assert_eq!(child.wait().expect("ended").code(), Some(0));
}
