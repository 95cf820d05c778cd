//! milena's own commands, against milena, and against Apache Kafka where the tests run against that.

use crate::rd::{consume, member};
use milena_integration_tests::broker::{Broker, binary, free_port, unique};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Exit code, standard output, standard error.
type Done = (i32, String, String);

fn milena(broker: &Broker, line: &str) -> Done {
    fed(broker, line, b"")
}

/// Runs a command with something to read. The address is in the environment.
fn fed(broker: &Broker, line: &str, input: &[u8]) -> Done {
    let mut child = Command::new(binary())
        .args(line.split_whitespace())
        .env("MILENA_BOOTSTRAP", broker.address())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    // Some do not read what they are given.
    let _ = child.stdin.take().expect("its input").write_all(input);
    let output = child.wait_with_output().expect("the command ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

/// The output of a command that goes well.
fn told(broker: &Broker, line: &str) -> String {
    let (code, out, err) = milena(broker, line);
    assert_eq!(code, 0, "{line}: {err}{out}");
    out
}

fn objects(text: &str) -> Vec<serde_json::Value> {
    text.lines().map(|line| serde_json::from_str(line).expect(line)).collect()
}

/// Records of every kind, as they are printed: partition, offset, time, and the rest of the object.
fn every_kind(topic: &str) -> String {
    let rest = [
        r#""key":null,"value":null,"headers":[]"#,
        r#""key":"","value":"","headers":[]"#,
        r#""key":"k","value":"{\"a\": [1, null]}","headers":[{"key":"a","value":"1"},{"key":"a","value":null},{"key":"","value":""}]"#,
        r#""key":"AP8=","keyEncoding":"base64","value":"gA==","valueEncoding":"base64","headers":[{"key":"b","value":"/w==","valueEncoding":"base64"}]"#,
        r#""key":"line\nend","value":"\u0000\u001b \"\\ ü","headers":[]"#,
    ];
    let line = |(at, rest): (usize, &&str)| {
        format!(
            "{{\"topic\":\"{topic}\",\"partition\":1,\"offset\":{at},\"timestamp\":{},\"timestampType\":\"CreateTime\",{rest}}}\n",
            1_769_860_800_000 + at
        )
    };
    rest.iter().enumerate().map(line).collect()
}

#[test]
fn what_is_consumed_can_be_produced_again() {
    let broker = Broker::any();
    let (first, second) = (unique("original"), unique("again"));
    told(&broker, &format!("topic create {first} {second} -p 2 -c retention.ms=-1"));
    let lines = every_kind(&first);
    for (topic, codec, input) in [(&first, "none", lines.clone()), (&second, "zstd", String::new())] {
        let input =
            if input.is_empty() { told(&broker, &format!("consume {first} -o ndjson")) } else { input };
        let (code, out, err) =
            fed(&broker, &format!("produce {topic} --file - -z {codec}"), input.as_bytes());
        assert_eq!((code, out.as_str(), err.as_str()), (0, "", ""));
        let expected = lines.replace(&format!("\"topic\":\"{first}\""), &format!("\"topic\":\"{topic}\""));
        assert_eq!(told(&broker, &format!("consume {topic} -o ndjson")), expected);
    }
    let (code, _, err) =
        fed(&broker, "produce --file -", lines.replace(":1,\"offset", ":7,\"offset").as_bytes());
    assert_eq!((code, err.contains("has no partition 7, only 2")), (1, true), "{err}");
}

#[test]
fn records_are_found_by_place_and_by_time() {
    let broker = Broker::any();
    let topic = unique("placed");
    told(&broker, &format!("topic create {topic} -p 1 -c retention.ms=-1"));
    let lines: String = (0..10).map(|n| format!("{} k{n} v{n}\n", 1_000 * n)).collect();
    let (code, _, err) = fed(&broker, &format!("produce {topic} -F %T\\x20%k\\x20%v"), lines.as_bytes());
    assert_eq!(code, 0, "{err}");
    for (flags, expected) in [
        ("", "0123456789"),
        ("-n3", "012"),
        ("--from -2", "89"),
        ("--from 0:4 --to 6", "45"),
        ("--from @7", "789"),
        ("--from 0:@1 --to @1970-01-01T00:00:04Z", "123"),
        ("--from @2 --to @4", "23"),
        ("--from -1h", ""),
        ("--key k5", "5"),
        ("--grep v[2-3]|k9", "239"),
        ("--to start", ""),
    ] {
        let out = told(&broker, &format!("consume {topic} -F %v\\c {flags}"));
        let numbers: String = out.split('v').collect();
        assert_eq!(numbers, expected, "{flags}");
    }
    let out = told(&broker, &format!("consume {topic} -n1"));
    assert_eq!(out, format!("{topic} 0:0  1970-01-01T00:00:00.000Z  k0  v0\n"));
    let (code, out, err) = milena(&broker, &format!("consume {topic} --from end --timeout 100ms"));
    assert_eq!((code, out.as_str(), err.as_str()), (1, "", "no record came in time\n"));
    assert_eq!(milena(&broker, &format!("consume {topic} --from soon")).0, 2);
    assert_eq!(milena(&broker, &format!("consume {topic} --from 3:0")).0, 1);
}

#[test]
fn topics_from_birth_to_death() {
    let broker = Broker::any();
    let topic = unique("life");
    let created = told(&broker, &format!("topic create {topic} -p 2 -c retention.ms=777 -o ndjson"));
    assert_eq!(created, format!("{{\"topic\":\"{topic}\",\"status\":\"created\"}}\n"));
    assert_eq!(milena(&broker, &format!("topic create {topic}")).0, 1);
    told(&broker, &format!("topic create {topic} --if-not-exists"));
    told(&broker, &format!("topic partitions {topic} 3"));
    assert!(told(&broker, "topic list -o name").lines().any(|line| line == topic));
    told(&broker, &format!("topic config {topic} cleanup.policy=delete,compact --delete retention.ms"));
    let set = objects(&told(&broker, &format!("topic config {topic} -o ndjson")));
    assert_eq!((set.len(), set[0]["value"].as_str()), (1, Some("delete,compact")), "{set:?}");
    let (code, _, err) = milena(&broker, &format!("topic config {topic} nope=1"));
    assert_eq!((code, err.contains("nope")), (1, true), "{err}");
    let written = fed(&broker, &format!("produce {topic} --partition 1 -o ndjson -k k"), b"a\nb\nc\n");
    assert_eq!((written.0, objects(&written.1)[0]["partition"].as_i64()), (0, Some(1)), "{written:?}");
    let (code, _, err) = milena(&broker, &format!("topic truncate {topic} --before 1:2"));
    assert_eq!((code, err.contains("--yes")), (2, true), "{err}");
    told(&broker, &format!("topic truncate {topic} --before 1:2 --yes"));
    let rows = objects(&told(&broker, &format!("topic describe {topic} -o ndjson")));
    let bounds: Vec<_> = rows.iter().map(|row| (row["start"].as_i64(), row["end"].as_i64())).collect();
    assert_eq!(bounds, [(Some(0), Some(0)), (Some(2), Some(3)), (Some(0), Some(0))]);
    told(&broker, &format!("topic delete {topic} --yes"));
    assert_eq!(milena(&broker, &format!("topic delete {topic} --yes")).0, 1);
    told(&broker, &format!("topic delete {topic} --yes --if-exists"));
    let started = Instant::now();
    for line in ["config", "partitions"] {
        let (code, _, err) =
            milena(&broker, &format!("topic {line} {topic} {}", if line == "config" { "a=b" } else { "9" }));
        assert_eq!(code, 1, "{line}: {err}");
    }
    assert!(started.elapsed() < Duration::from_secs(30), "what is not there is not waited for");
}

#[test]
fn a_group_moves_while_it_works() {
    let broker = Broker::any();
    let topic = unique("moved");
    told(&broker, &format!("topic create {topic} -p 2"));
    let lines: String = (0..20).map(|n| format!("{n}\n")).collect();
    let written = fed(&broker, &format!("produce {topic} -F %v --partition 1"), lines.as_bytes());
    assert_eq!(written.0, 0, "{}", written.2);
    for protocol in ["classic", "consumer"] {
        let group = unique(protocol);
        let mut settings = vec![("group.protocol", protocol)];
        if protocol == "classic" {
            settings.push(("heartbeat.interval.ms", "200"));
        }
        let reader = member(broker.address(), &group, &topic, &settings);
        assert_eq!(consume(&reader, 20).len(), 20);
        told(&broker, &format!("wait --topic {topic} --group {group}"));
        let seek = format!("group seek {group} --to 1:5");
        let (code, _, err) = milena(&broker, &seek);
        assert_eq!((code, err.contains("--live")), (1, true), "{err}");
        let moved = objects(&told(&broker, &format!("{seek} --live --yes -o ndjson")));
        assert_eq!((moved.len(), moved[0]["offset"].as_i64()), (1, Some(5)), "{moved:?}");
        let again = consume(&reader, 15);
        assert_eq!((again[0].offset, again[14].offset), (5, 19), "{protocol}");
        let members = objects(&told(&broker, &format!("group members {group} -o ndjson")));
        assert_eq!(members[0]["partitions"].as_array().map(Vec::len), Some(2), "{members:?}");
        drop(reader);
        told(&broker, &format!("wait --group {group}=Empty"));
        told(&broker, &format!("group seek {group} --to -3 --topic {topic}:1"));
        let lag = objects(&told(&broker, &format!("lag {group} --behind -o ndjson")));
        assert_eq!((lag.len(), lag[0]["partition"].as_i64()), (1, Some(1)), "{lag:?}");
        assert_eq!(milena(&broker, &format!("lag {group} --max 1")).0, 1);
        let copy = unique("copy");
        let offsets = told(&broker, &format!("group describe {group} -o ndjson"));
        assert_eq!(fed(&broker, &format!("group seek {copy} --file -"), offsets.as_bytes()).0, 0);
        let copied = told(&broker, &format!("group describe {copy} -o ndjson"));
        assert_eq!(copied, offsets.replace(&group, &copy));
        told(&broker, &format!("group delete {group} {copy} --yes"));
        assert_eq!(milena(&broker, &format!("group describe {group}")).0, 1);
    }
}

#[test]
fn a_group_reads_and_commits() {
    let broker = Broker::any();
    let (topic, group) = (unique("shared"), unique("group"));
    told(&broker, &format!("topic create {topic} -p 1"));
    assert_eq!(fed(&broker, &format!("produce {topic}"), b"1\n2\n3\n4\n").0, 0);
    assert_eq!(told(&broker, &format!("consume {topic} -g {group} -n 3 -F %v")), "1\n2\n3\n");
    assert_eq!(told(&broker, &format!("consume {topic} -g {group} -n 1 -F %v")), "4\n");
    assert_eq!(milena(&broker, &format!("consume {topic} -g {group} --from 0:1")).0, 2);
}

#[test]
fn a_topic_is_copied_with_all_that_its_records_have() {
    let broker = Broker::any();
    let [first, second, small] = ["copied", "copy", "small"].map(unique);
    told(&broker, &format!("topic create {first} -p 3 -c retention.ms=-1 -c max.message.bytes=2000"));
    assert_eq!(fed(&broker, "produce --file -", every_kind(&first).as_bytes()).0, 0);
    // More than one batch of the topic's size may have, and no two partitions alike.
    let many: String = (0..300).map(|n| format!("{} {n} {}\n", n % 3, "x".repeat(n % 90))).collect();
    let written = fed(&broker, &format!("produce {first} -F %p\\x20%k\\x20%v -z gzip"), many.as_bytes());
    assert_eq!(written.0, 0, "{}", written.2);
    told(&broker, &format!("topic config {first} message.timestamp.type=LogAppendTime"));
    let copied = objects(&told(&broker, &format!("topic copy {first} {second} -o ndjson")));
    let counts: Vec<_> = copied.iter().map(|row| row["records"].as_i64()).collect();
    assert_eq!(counts, [Some(100), Some(105), Some(100)]);
    let sorted = |topic: &str| {
        let out = told(&broker, &format!("consume {topic} -o ndjson"));
        let mut lines: Vec<String> = out
            .lines()
            .map(|line| line.replace(&format!("\"topic\":\"{topic}\""), "\"topic\":\"\""))
            .collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(&second), sorted(&first));
    let own = |topic: &str| told(&broker, &format!("topic config {topic} -o ndjson"));
    assert_eq!(own(&second), own(&first));
    told(&broker, &format!("topic create {small} -p 2"));
    for (line, code, expected) in [
        (format!("topic copy {first} {second}"), 1, "is there already; --into adds to it"),
        (format!("topic copy {first} {first}"), 2, "cannot be copied to itself"),
        (format!("topic copy {first} {small} --into"), 1, "has 2 partitions and"),
        (format!("topic copy {first} {first}-none --into"), 1, "there is no topic"),
        (format!("topic copy {first}-none {second}"), 1, "there is no topic"),
    ] {
        let (found, _, err) = milena(&broker, &line);
        assert!(found == code && err.contains(expected), "{line}: {found} {err}");
    }
    told(&broker, &format!("topic copy {small} {second} --into"));
    told(&broker, &format!("topic copy {second} {first} --into"));
    assert_eq!(told(&broker, &format!("consume {first} -F %o")).lines().count(), 610);
}

#[test]
fn lag_is_a_number_of_records_and_an_age() {
    let broker = Broker::any();
    let (topic, group) = (unique("aged"), unique("group"));
    told(&broker, &format!("topic create {topic} -p 2 -c retention.ms=-1"));
    let lines = b"0 0 a\n0 3600000 b\n0 7200000 c\n1 1000 d\n";
    assert_eq!(fed(&broker, &format!("produce {topic} -F %p\\x20%T\\x20%v"), lines).0, 0);
    told(&broker, &format!("consume {topic} -g {group} -n 4"));
    told(&broker, &format!("group seek {group} --to 0:1"));
    let ages = || {
        let rows = objects(&told(&broker, &format!("lag {group} -o ndjson")));
        rows.iter().map(|row| row["ageMs"].as_i64()).collect::<Vec<_>>()
    };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("later").as_millis();
    let [Some(age), None] = ages()[..] else { panic!("{:?}", ages()) };
    let apart = age.abs_diff(now as i64 - 3_600_000);
    assert!(apart < 3_600_000, "the age of b and of no other: {apart} ms apart");
    assert_eq!(milena(&broker, &format!("lag {group} --max-age 1h")).0, 1);
    assert_eq!(milena(&broker, &format!("lag {group} --max-age 9999w")).0, 0);
    assert!(
        told(&broker, &format!("lag {group}")).lines().next().is_some_and(|head| head.ends_with("  AGE"))
    );
    told(&broker, &format!("group seek {group} --to end"));
    assert_eq!(ages(), [None, None]);
    assert_eq!(milena(&broker, &format!("lag {group} --max-age 1ms")).0, 0);
}

#[test]
fn records_are_repeated_at_a_rate() {
    let broker = Broker::any();
    let topic = unique("rate");
    told(&broker, &format!("topic create {topic} -p 1"));
    let started = Instant::now();
    told(&broker, &format!("produce {topic} -k k -v v --repeat 5 --rate 50/s"));
    // Five records, four pauses.
    assert!(started.elapsed() >= Duration::from_millis(80));
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("records.ndjson");
    std::fs::write(&file, "{\"value\": \"a\"}\n{\"value\": \"b\"}\n").expect("a file");
    told(&broker, &format!("produce {topic} --file {} --repeat 3", file.display()));
    std::fs::write(&file, "").expect("a file");
    told(&broker, &format!("produce {topic} --file {} --repeat forever", file.display()));
    let values = told(&broker, &format!("consume {topic} -F %v\\c"));
    assert_eq!(values, "vvvvvababab");
    for flags in ["--repeat 2", "-v a --repeat often", "-v a --rate soon", "--file - --repeat 2"] {
        assert_eq!(milena(&broker, &format!("produce {topic} {flags}")).0, 2, "{flags}");
    }
}

#[test]
fn a_seed_goes_on_where_one_was_killed() {
    let broker = Broker::any();
    let topic = unique("seeded");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("seed.yaml");
    let record =
        |n: usize| format!("{{topic: {topic}, value: '{n}', headers: {{n: {n}}}, partition: {}}}", n % 2);
    let records: Vec<String> = (0..6).map(record).collect();
    std::fs::write(&file, format!("records: [{}]\n", records.join(", "))).expect("a file");
    let seed = |verb: &str| milena(&broker, &format!("seed {verb} {}", file.display()));
    told(&broker, &format!("topic create {topic} -p 2"));
    for n in [0, 2, 1] {
        told(&broker, &format!("produce {topic} -v {n} -H n={n} --partition {}", n % 2));
    }
    let rest = format!("+ 3 of 6 records in topic {topic}\n");
    assert_eq!(seed("diff"), (1, rest.clone(), String::new()));
    assert_eq!(seed("apply"), (0, rest, String::new()));
    for (partition, expected) in [(0, "024"), (1, "135")] {
        assert_eq!(told(&broker, &format!("consume {topic} --from {partition}:start -F %v\\c")), expected);
    }
    assert_eq!(seed("diff"), (0, String::new(), String::new()));
    // One that is not of the seed, and a seed with more records.
    told(&broker, &format!("produce {topic} -v x --partition 0"));
    std::fs::write(&file, format!("records: [{}, {}]\n", records.join(", "), record(7))).expect("a file");
    assert_eq!(seed("apply"), (0, String::new(), String::new()));
    assert!(told(&broker, "seed export").contains(&format!("name: {topic}\n")));
    let nobody = format!("127.0.0.1:{}", free_port());
    let there = milena(&broker, &format!("seed export -b {nobody} -X default.api.timeout.ms=100"));
    assert_eq!((there.0, there.1.as_str()), (1, ""), "{}", there.2);
}

#[test]
fn the_doctor_says_what_is_wrong() {
    let broker = Broker::any();
    let found = objects(&told(&broker, "doctor -o ndjson"));
    assert!(found.iter().any(|row| row["what"] == "broker" && row["finding"] == "ok"), "{found:?}");
    let nobody = format!("127.0.0.1:{}", free_port());
    let (code, out, _) = milena(&broker, &format!("doctor --wait 300ms -b {nobody}"));
    assert_eq!((code, out.contains("nobody listens there")), (1, true), "{out}");
}

#[test]
fn settings_before_a_start() {
    let broker = Broker::any();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("server.properties");
    std::fs::write(&file, "num.partitions=3\nnum.partitons=4\nssl.keystore.password=secret\n")
        .expect("a file");
    let file = file.display();
    let shown = told(&broker, &format!("config show {file} --override log.retention.ms=5 -o ndjson"));
    let rows = objects(&shown);
    let source = |key: &str| {
        let row = rows.iter().find(|row| row["key"] == key).expect(key);
        (row["value"].clone(), row["source"].as_str().map(str::to_owned))
    };
    assert_eq!(source("num.partitions"), ("3".into(), Some(format!("{file}:1"))));
    assert_eq!(source("log.retention.ms"), ("5".into(), Some("--override".into())));
    assert!(!shown.contains("secret"), "{shown}");
    let checked = told(&broker, &format!("config check {file}"));
    assert!(checked.contains("did you mean num.partitions?"), "{checked}");
    std::fs::write(folder.path().join("server.properties"), "num.partitions=many\n").expect("a file");
    assert_eq!(milena(&broker, &format!("config check {file}")).0, 1);
    assert!(told(&broker, "config explain log.flush.interval.messages").contains("long"));
    assert_eq!(milena(&broker, "config explain nothing.at.all").0, 1);
}

#[test]
fn words_that_make_no_sense() {
    let broker = Broker::any();
    for line in [
        "topic",
        "topic crate",
        "topic list --nope",
        "topic delete",
        "consume",
        "produce",
        "lag -o xml",
        "completions tcsh",
        "seed",
        "seed apply",
        "seed export x",
        "consume t -n many",
        "consume t -n 1 -n 2",
    ] {
        assert_eq!(milena(&broker, line).0, 2, "{line}");
    }
    for line in [
        "topic --help",
        "topic create --help",
        "consume -h",
        "seed --help",
        "man",
        "completions bash",
        "completions zsh",
        "completions fish",
    ] {
        assert!(!told(&broker, line).is_empty(), "{line}");
    }
    let (code, _, err) = milena(&broker, "kafka-topics --everything");
    assert_eq!((code, err.contains("milena topic list|create|")), (1, true), "{err}");
}

/// What a broker tells is no part of the script: a group may have any name.
#[test]
fn completions_run_nothing_that_a_broker_tells() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = folder.path().join("milena.bash");
    let output = Command::new(binary()).args(["completions", "bash"]).output().expect("completions");
    std::fs::write(&script, output.stdout).expect("a file");
    let line = r#"source "$1"
        milena() { [[ $1 == group ]] || return; printf '%s\n' 'g$(echo 1)' 'g`echo 2`' 'g 3' "g'4" g5; }
        for words in 'group describe g' 'group describe g5' 'gro' 'group de' 'topic create --part'; do
            read -ra COMP_WORDS <<< "milena $words"
            COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
            _milena
            printf '<%s>' "${COMPREPLY[@]}"
            echo
        done"#;
    let output = Command::new("bash").args(["-c", line, "-"]).arg(&script).output().expect("bash");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "<g\\$\\(echo\\ 1\\)><g\\`echo\\ 2\\`><g\\ 3><g\\'4><g5>\n<g5>\n<group>\n<describe><delete>\n<--partitions>\n",
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// What was read for a pipe that nobody reads is not done with.
#[test]
fn a_group_gets_again_what_nobody_has_read() {
    let broker = Broker::any();
    let (topic, group) = (unique("piped"), unique("piped"));
    told(&broker, &format!("topic create {topic} -p 1"));
    let lines: String = (0..2_000).map(|n| format!("{n:0100}\n")).collect();
    assert_eq!(fed(&broker, &format!("produce {topic}"), lines.as_bytes()).0, 0);
    let mut child = Command::new(binary())
        .args(["consume", &topic, "-g", &group, "--timeout", "30s", "-b", broker.address()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the command starts");
    drop(child.stdout.take());
    child.wait().expect("the command ends");
    let again = told(&broker, &format!("consume {topic} -g {group} -n 2000 --timeout 20s -F %v"));
    assert_eq!(again.lines().count(), 2_000);
}

/// A record that the topic takes is taken, whatever came before it.
#[test]
fn a_large_record_behind_small_ones() {
    let broker = Broker::any();
    let topic = unique("large");
    told(&broker, &format!("topic create {topic} -p 1"));
    let lines = [b"small\n".repeat(2_000), vec![b'x'; 1_048_000], b"\nlast\n".to_vec()].concat();
    let console = format!("kafka-console-producer --topic {topic} --bootstrap-server {}", broker.address());
    for line in [format!("produce {topic}"), console] {
        let done = fed(&broker, &line, &lines);
        assert_eq!(done, (0, String::new(), String::new()), "{line}");
    }
    assert!(told(&broker, &format!("topic describe {topic} -o ndjson")).contains("\"end\":4004}"));
}

/// A part of a topic as rpk's users ask for it, and a line that is no text.
#[test]
fn rpk_consumes_up_to_an_end_and_in_a_format() {
    let broker = Broker::any();
    let topic = unique("rpk");
    let rpk = |line: &str, input: &[u8]| {
        let (code, out, err) =
            fed(&broker, &format!("rpk --brokers {} topic {line}", broker.address()), input);
        assert_eq!((code, err.as_str()), (0, ""), "{line}");
        out
    };
    rpk(&format!("create {topic} -p 1"), b"");
    rpk(&format!("produce {topic} -k k"), b"0\n1\n\xff\n3\n4");
    for (flags, expected) in [
        ("-o :end -f %o=%v;", "0=0;1=1;2=\u{fffd};3=3;4=4;"),
        ("-o :2 -f %k%v\\n", "k0\nk1\n"),
        ("-o 3:4 -f %v", "3"),
        ("-o -2:end -f %v -p 0", "34"),
        ("-o +1 -n 1 -f %v%%", "1%"),
        ("-o @-1h:end -n 2 -f %p", "00"),
        ("-n 1 -f %v", "0"),
    ] {
        // What is no text is compared as it is shown.
        let mut words: Vec<&str> = vec!["rpk", "--brokers", broker.address(), "topic", "consume", &topic];
        words.extend(flags.split(' '));
        let output = Command::new(binary()).args(words).output().expect("the command ends");
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{flags}");
    }
    assert!(rpk(&format!("consume {topic} -o :1"), b"").contains("\"value\": \"0\""));
    rpk(&format!("produce {topic} -f %k:%v\\n"), b"a:b:c\n:\n");
    assert_eq!(rpk(&format!("consume {topic} -o 5:end -f %k=%v;"), b""), "a=b:c;=;");
    for refused in ["%k:%v", "%q\\n", "%k:%v\\n"] {
        let line = format!("rpk --brokers {} topic produce {topic} -f {refused}", broker.address());
        assert_eq!(fed(&broker, &line, b"no key\n").0, 1, "{refused}");
    }
}
