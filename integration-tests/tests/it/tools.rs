//! Kafka's command line tools, as the binary has them: against milena, and against Apache Kafka where the tests run
//! against that.

use crate::transactions::{Raw, patiently};
use milena_integration_tests::broker::{Broker, binary, free_port, unique};
use milena_integration_tests::requests::PRODUCE;
use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// What a tool did: exit code, standard output, standard error.
type Done = (i32, String, String);

fn tool(broker: &Broker, line: &str) -> Done {
    fed(broker, line, "")
}

/// Runs a tool with the broker's address and something to read.
fn fed(broker: &Broker, line: &str, input: &str) -> Done {
    let mut words = line.split_whitespace();
    let name = words.next().expect("a tool");
    let mut child = Command::new(binary())
        .arg(name)
        .args(["--bootstrap-server", broker.address()])
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the tool starts");
    child.stdin.take().expect("its input").write_all(input.as_bytes()).expect("it reads");
    done(child.wait_with_output().expect("the tool ends"))
}

fn done(output: Output) -> Done {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

#[test]
fn topics_are_made_shown_changed_and_deleted() {
    let broker = Broker::any();
    let topic = unique("tools");
    let create = format!("kafka-topics --create --topic {topic} --partitions 2 --config retention.ms=12345");
    assert_eq!(tool(&broker, &create), (0, format!("Created topic {topic}.\n"), String::new()));
    let (code, out, _) = tool(&broker, &create);
    let exists = format!("Error while executing topic command : Topic '{topic}' already exists.\n");
    assert_eq!((code, out), (1, exists));
    assert_eq!(tool(&broker, &format!("{create} --if-not-exists")).0, 0);
    let (_, list, _) = tool(&broker, "kafka-topics --list");
    assert!(list.lines().any(|line| line == topic), "{list}");
    let (code, out, _) = tool(&broker, &format!("kafka-topics --describe --topic {topic}"));
    assert_eq!(code, 0);
    let head = out.lines().next().expect("a line");
    assert!(head.starts_with(&format!("Topic: {topic}\tTopicId: ")), "{head}");
    assert!(
        head.contains("\tPartitionCount: 2\tReplicationFactor: 1\tConfigs: ")
            && head.contains("retention.ms=12345"),
        "{head}"
    );
    let row = out.lines().nth(2).expect("a partition");
    assert!(
        row.starts_with(&format!("\tTopic: {topic}\tPartition: 1\tLeader: 1\tReplicas: 1\tIsr: 1\t")),
        "{row}"
    );
    assert_eq!(tool(&broker, &format!("kafka-topics --alter --topic {topic} --partitions 5")).0, 0);
    let (_, out, _) = tool(&broker, &format!("kafka-get-offsets --topic {topic}"));
    assert_eq!(out, (0..5).map(|index| format!("{topic}:{index}:0\n")).collect::<String>());
    assert_eq!(
        tool(&broker, &format!("kafka-topics --delete --topic {topic}")),
        (0, String::new(), String::new())
    );
    assert_eq!(tool(&broker, &format!("kafka-topics --describe --topic {topic} --if-exists")).1, "");
}

#[test]
fn lines_go_in_and_come_out_again() {
    let broker = Broker::any();
    let topic = unique("lines");
    tool(&broker, &format!("kafka-topics --create --topic {topic} --partitions 1"));
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let line = format!(
            "kafka-console-producer --topic {topic} --compression-codec {codec} --property parse.key=true --property key.separator=:"
        );
        assert_eq!(fed(&broker, &line, &format!("{codec}:one\n{codec}:two\n")).0, 0, "{codec}");
    }
    let read = format!(
        "kafka-console-consumer --topic {topic} --from-beginning --property print.key=true --property print.offset=true --max-messages 10"
    );
    let (code, out, err) = tool(&broker, &read);
    assert_eq!((code, err.as_str()), (0, "Processed a total of 10 messages\n"));
    assert_eq!(out.lines().next(), Some("Offset:0\tnone\tone"));
    assert_eq!(out.lines().last(), Some("Offset:9\tzstd\ttwo"));
    let (code, _, err) =
        fed(&broker, &format!("kafka-console-producer --topic {topic} --property parse.key=true"), "x\n");
    assert_eq!(code, 1);
    assert!(err.contains("No key separator found on line number 1: 'x'"), "{err}");
    let late = format!("kafka-console-consumer --topic {topic} --timeout-ms 1000");
    for (ago, count) in [("P9D", 10), ("PT0S", 0)] {
        let line = format!("{late} --consumer-property auto.offset.reset=by_duration:{ago}");
        assert_eq!(tool(&broker, &line).1.lines().count(), count, "{ago}");
    }
}

#[test]
fn a_group_reads_once_and_can_be_set_back() {
    let broker = Broker::any();
    let (topic, group) = (unique("read"), unique("group"));
    tool(&broker, &format!("kafka-topics --create --topic {topic} --partitions 1"));
    fed(&broker, &format!("kafka-console-producer --topic {topic}"), "1\n2\n3\n4\n");
    let read = |max: u32| {
        let line = format!(
            "kafka-console-consumer --topic {topic} --group {group} --from-beginning --max-messages {max} --timeout-ms 20000"
        );
        tool(&broker, &line).1
    };
    assert_eq!(read(3), "1\n2\n3\n", "no more than asked for");
    let (_, out, err) = tool(&broker, &format!("kafka-consumer-groups --describe --group {group}"));
    let row: Vec<&str> = out.lines().nth(2).expect("a row").split_whitespace().collect();
    assert_eq!(row, [group.as_str(), topic.as_str(), "0", "3", "4", "1", "-", "-", "-"], "{out}");
    assert_eq!(err, format!("\nConsumer group '{group}' has no active members.\n"));
    assert_eq!(read(1), "4\n", "it goes on where it was");
    let back = format!(
        "kafka-consumer-groups --reset-offsets --group {group} --topic {topic} --shift-by -2 --execute"
    );
    let (code, out, _) = tool(&broker, &back);
    assert_eq!(
        (code, out.lines().nth(2).map(|line| line.split_whitespace().last() == Some("2"))),
        (0, Some(true)),
        "{out}"
    );
    assert_eq!(read(2), "3\n4\n");
    let (_, out, _) = tool(&broker, &format!("kafka-consumer-groups --delete --group {group}"));
    assert_eq!(out, format!("Deletion of requested consumer groups ('{group}') was successful.\n"));
}

#[test]
fn two_members_share_a_topic() {
    let broker = Broker::any();
    let (topic, group) = (unique("shared"), unique("group"));
    tool(&broker, &format!("kafka-topics --create --topic {topic} --partitions 4"));
    let member = |max: u32| {
        Command::new(binary())
            .args(["kafka-console-consumer", "--bootstrap-server", broker.address(), "--topic", &topic])
            .args(["--group", &group, "--from-beginning", "--max-messages", &max.to_string()])
            .args(["--consumer-property", "heartbeat.interval.ms=100"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("a member")
    };
    let members = [member(2), member(2)];
    let shares = || {
        let (_, out, _) =
            tool(&broker, &format!("kafka-consumer-groups --describe --group {group} --members"));
        let mut counts: Vec<String> =
            out.lines().skip(2).filter_map(|line| Some(line.split_whitespace().last()?.to_owned())).collect();
        counts.sort();
        counts
    };
    // Each look takes as long as a tool; the members need some of them to find each other.
    assert!((0..2_000).any(|_| shares() == ["2", "2"]), "{:?}", shares());
    // Keys that lie in all four partitions: each member gets some until it has its two.
    let lines: String = (0..40).map(|n| format!("{n}:{n}\n")).collect();
    fed(
        &broker,
        &format!(
            "kafka-console-producer --topic {topic} --property parse.key=true --property key.separator=:"
        ),
        &lines,
    );
    for member in members {
        let output = done(member.wait_with_output().expect("it ends"));
        assert_eq!((output.0, output.1.lines().count()), (0, 2));
    }
}

#[test]
fn configurations_and_quotas() {
    let broker = Broker::any();
    let topic = unique("configured");
    tool(&broker, &format!("kafka-topics --create --topic {topic}"));
    let alter = format!(
        "kafka-configs --alter --entity-type topics --entity-name {topic} --add-config retention.ms=777,cleanup.policy=[compact,delete]"
    );
    assert_eq!(tool(&broker, &alter).1, format!("Completed updating config for topic {topic}.\n"));
    let (_, out, _) = tool(&broker, &format!("kafka-configs --describe --topic {topic}"));
    assert!(out.starts_with(&format!("Dynamic configs for topic {topic} are:\n  cleanup.policy=compact,delete sensitive=false synonyms={{DYNAMIC_TOPIC_CONFIG:cleanup.policy=compact,delete, ")), "{out}");
    let client = unique("client");
    tool(
        &broker,
        &format!("kafka-configs --alter --client {client} --add-config producer_byte_rate=20000000"),
    );
    let (_, out, _) = tool(&broker, &format!("kafka-configs --describe --client {client}"));
    assert_eq!(out, format!("Quota configs for client-id '{client}' are producer_byte_rate=2.0E7\n"));
    let (code, _, err) = tool(&broker, &format!("kafka-configs --alter --topic {topic} --add-config nope=1"));
    assert_eq!(code, 1);
    assert!(err.contains("InvalidConfigurationException: Unknown topic config name: nope"), "{err}");
    let started = Instant::now();
    let (code, _, err) = tool(&broker, "kafka-configs --alter --topic none-such --add-config retention.ms=1");
    assert_eq!(code, 1);
    assert!(err.contains("UnknownTopicOrPartitionException: "), "{err}");
    assert!(started.elapsed() < Duration::from_secs(30), "it is not waited for");
}

#[test]
fn a_transaction_that_hangs_is_found_and_aborted() {
    let Some(broker) = Broker::own(&[("transaction.partition.verification.enable", "false")]) else { return };
    let (topic, id) = (unique("hangs"), unique("hangs"));
    tool(&broker, &format!("kafka-topics --create --topic {topic} --partitions 1"));
    let mut connection = broker.connect();
    let producer = Raw::init(&mut connection, id.clone());
    // Behind the coordinator's back.
    let append = || producer.append_as(&mut connection, PRODUCE, (&topic, 0), "lost");
    assert_eq!(patiently(&broker, append), 0);
    let rows = |line: &str| {
        let (code, out, err) = tool(&broker, &format!("kafka-transactions {line}"));
        assert_eq!((code, err.as_str()), (0, ""), "{line}");
        let rows = out.lines().skip(1).map(|line| line.split_whitespace().map(str::to_owned).collect());
        rows.collect::<Vec<Vec<String>>>()
    };
    let (number, epoch) = (producer.producer_id.to_string(), producer.epoch.to_string());
    assert_eq!(rows(&format!("list --transactional-id-pattern {id}")), [[&id, "1", &number, "Empty"]]);
    assert_eq!(rows("list --transactional-id-pattern none").len(), 0);
    let described = rows(&format!("describe --transactional-id {id}"));
    assert_eq!(described[0][..5], ["1", &id, &number, &epoch, "Empty"]);
    assert_eq!(described[0][6..], ["None", "None"], "no partitions");
    let partition = format!("--topic {topic} --partition 0");
    let producers = rows(&format!("describe-producers {partition}"));
    assert_eq!(producers[0].last().map(String::as_str), Some("0"), "{producers:?}");
    for scope in [partition.clone(), format!("--topic {topic} --broker-id 1"), "--broker-id 1".to_owned()] {
        let hanging = rows(&format!("find-hanging {scope}"));
        assert_eq!(hanging[0][..6], [&topic, "0", &number, &epoch, "-1", "0"], "{scope}");
    }
    let (code, _, err) = tool(&broker, &format!("kafka-transactions abort {partition} --start-offset 1"));
    let expected =
        format!("Could not find any open transactions starting at offset 1 on partition {topic}-0\n");
    assert_eq!((code, err), (1, expected));
    assert_eq!(rows(&format!("abort {partition} --start-offset 0")).len(), 0);
    assert_eq!(rows(&format!("describe-producers {partition}"))[0].last().map(String::as_str), Some("None"));
    assert_eq!(rows(&format!("find-hanging --topic {topic}")).len(), 0);
    assert_eq!(rows(&format!("forceTerminateTransaction --transactionalId {id}")).len(), 0);
    let next = (producer.epoch + 1).to_string();
    assert_eq!(rows(&format!("describe --transactional-id {id}"))[0][3], next, "its producer is fenced");
}

#[test]
fn features_are_shown_and_moved() {
    let Some(broker) = Broker::own(&[]) else { return };
    let level = || {
        let (code, out, _) = tool(&broker, "kafka-features describe");
        assert_eq!(code, 0);
        let row = out.lines().find(|line| line.starts_with("Feature: transaction.version\t")).expect("a row");
        let (_, level) = row.split_once("FinalizedVersionLevel: ").expect("a level");
        level.split('\t').next().map(str::to_owned)
    };
    assert_eq!(level().as_deref(), Some("2"));
    let (code, out, _) = tool(&broker, "kafka-features downgrade --feature transaction.version=1");
    assert_eq!((code, out.as_str()), (0, "transaction.version was downgraded to 1.\n"));
    assert_eq!(level().as_deref(), Some("1"));
    let (code, out, _) = tool(&broker, "kafka-features upgrade --feature transaction.version=2 --dry-run");
    assert_eq!((code, out.as_str()), (0, "transaction.version can be upgraded to 2.\n"));
    assert_eq!(level().as_deref(), Some("1"));
    let (code, out, err) = tool(&broker, "kafka-features upgrade --feature transaction.version=9");
    assert!(out.starts_with("Could not upgrade transaction.version to 9. "), "{out}");
    assert_eq!((code, err.as_str()), (1, "1 out of 1 operation(s) failed.\n"));
    let (code, out, _) = tool(&broker, "kafka-features version-mapping --release-version 4.0");
    assert_eq!((code, out.lines().next()), (0, Some("metadata.version=25 (4.0)")));
}

#[test]
fn moves_are_proposed_begun_and_verified() {
    let Some(broker) = Broker::own(&[]) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    };
    let reassign = |line: &str| tool(&broker, &format!("kafka-reassign-partitions {line}"));
    tool(&broker, "kafka-topics --create --topic moved --partitions 2");
    let topics = file("topics.json", r#"{"version": 1, "topics": [{"topic": "moved"}]}"#);
    let (code, out, _) = reassign(&format!("--generate --topics-to-move-json-file {topics} --broker-list 1"));
    assert_eq!((code, out.lines().nth(1)), (0, out.lines().last()), "one broker has no choice: {out}");
    let proposed = file("proposed.json", out.lines().last().expect("a proposal"));
    let (code, out, _) = reassign(&format!("--execute --reassignment-json-file {proposed} --throttle 5000"));
    assert_eq!(code, 0, "{out}");
    assert_eq!(out.lines().last(), Some("Successfully started partition reassignments for moved-0,moved-1"));
    let (_, configs, _) = tool(&broker, "kafka-configs --describe --topic moved");
    assert!(configs.contains("leader.replication.throttled.replicas=0:1,1:1 "), "{configs}");
    let (code, out, _) = reassign(&format!("--verify --reassignment-json-file {proposed}"));
    let expected = "Status of partition reassignment:\nReassignment of partition moved-0 is completed.\n\
                    Reassignment of partition moved-1 is completed.\n\nClearing broker-level throttles on broker 1\n\
                    Clearing topic-level throttles on topic moved\n";
    assert_eq!((code, out.as_str()), (0, expected));
    let (_, configs, _) = tool(&broker, "kafka-configs --describe --topic moved");
    assert!(!configs.contains("throttled"), "{configs}");
    assert_eq!(reassign("--list").1, "No partition reassignments found.\n");
    for (row, expected) in [
        (r#"{"topic": "moved", "partition": 0, "replicas": [2]}"#, "Error: Unknown broker id 2\n"),
        (
            r#"{"topic": "none", "partition": 0, "replicas": [1]}"#,
            "Error: org.apache.kafka.common.errors.UnknownTopicOrPartitionException: Topic none not found.\n",
        ),
    ] {
        let wrong = file("wrong.json", &format!("{{\"partitions\": [{row}]}}"));
        let (code, out, _) = reassign(&format!("--execute --reassignment-json-file {wrong}"));
        assert!(code == 1 && out.starts_with(expected.trim_end()), "{out}");
    }
}

#[test]
fn a_broker_that_is_not_there() {
    let nobody = format!("127.0.0.1:{}", free_port());
    let run = |words: &[&str]| done(Command::new(binary()).args(words).output().expect("the tool runs"));
    let (code, _, err) = run(&["wait", "--bootstrap-server", &nobody, "--timeout", "0.2"]);
    assert_eq!(code, 1);
    assert!(err.contains(&nobody), "{err}");
    let (code, _, _) = run(&["cub", "kafka-ready", "-b", &nobody, "1", "0"]);
    assert_eq!(code, 1);
    let (code, out, err) = run(&["kafka-topics", "--bootstrap-server", "no.such.host.invalid:1", "--list"]);
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    assert!(err.contains("No resolvable bootstrap urls given in bootstrap.servers"), "{err}");
}

#[test]
fn links_by_all_names_lead_to_the_tools() {
    let broker = Broker::any();
    let folder = tempfile::tempdir().expect("a folder");
    let install = Command::new(binary()).args(["compat", "install"]).arg(folder.path()).output();
    assert!(install.expect("it runs").status.success());
    for name in ["kafka-topics", "kafka-topics.sh", "kafka-broker-api-versions.sh"] {
        let mut command = Command::new(folder.path().join(name));
        command.args(["--bootstrap-server", broker.address()]);
        if name.starts_with("kafka-topics") {
            command.arg("--list");
        }
        assert_eq!(done(command.output().expect("a link")).0, 0, "{name}");
    }
    let ready = Command::new(folder.path().join("cub"))
        .args(["kafka-ready", "-b", broker.address(), "1", "10"])
        .output();
    assert!(ready.expect("it runs").status.success());
}

#[test]
fn directories_are_formatted_before_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("server.properties");
    std::fs::write(&config, format!("node.id=1\nlog.dirs={}/data\n", folder.path().display()))
        .expect("a file");
    let storage = |words: &[&str]| {
        let run = Command::new(binary()).arg("kafka-storage").args(words).arg("-c").arg(&config).output();
        done(run.expect("it runs"))
    };
    assert_eq!(storage(&["info"]).0, 1, "not formatted yet");
    // Any text is an id; this one is in many compose files.
    let id = "ciWo7IWazngRchmPES6q5A==";
    let (code, out, _) = storage(&["format", "-t", id]);
    assert_eq!(code, 0);
    assert!(out.starts_with("Formatting metadata directory "), "{out}");
    assert_eq!(storage(&["format", "-t", id]).0, 1, "already formatted");
    let (code, out, _) = storage(&["format", "-t", id, "--ignore-formatted"]);
    assert_eq!((code, out.as_str()), (0, "All of the log directories are already formatted.\n"));
    assert!(storage(&["info"]).1.contains(&format!("{{cluster.id={id}, directory.id=")));
    assert_eq!(
        storage(&["format", "-t", "MkU3OEVBNTcwNTJENDM2Qk", "--ignore-formatted"]).0,
        1,
        "another cluster"
    );
    assert_eq!(storage(&["random-uuid", "more"]).0, 1);
    assert_eq!(
        storage(&["feature-dependencies", "-f=group.version=1"]).1,
        "group.version=1 has no dependencies.\n"
    );
    assert!(storage(&["version-mapping", "-r", "3.9"]).1.starts_with("metadata.version=21 (3.9)\n"));
}
