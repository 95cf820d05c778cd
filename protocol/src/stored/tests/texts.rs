//! Text files and producer snapshots, by hand.

use uuid::Uuid;

use super::{assert_no_prefix_decodes, hex};
use crate::stored::checkpoint::{self, LeaderEpochEntry};
use crate::stored::meta_properties::{MetaProperties, MetaPropertiesVersion};
use crate::stored::producer_snapshot::{self, ProducerSnapshotEntry};
use crate::stored::quorum_state::{QuorumState, QuorumStateVersion};
use crate::stored::{StoredError, TextFault, partition_metadata, uuid_from_base64};

fn fault<T: std::fmt::Debug>(result: Result<T, StoredError>) -> (usize, TextFault) {
    match result {
        Err(StoredError::MalformedText { line, fault, .. }) => (line, fault),
        other => panic!("{other:?}"),
    }
}

#[test]
fn producer_snapshots() {
    let empty = hex("0001 48674bc7 00000000");
    assert_eq!(producer_snapshot::encode(&[]), empty);
    assert_eq!(producer_snapshot::decode(&empty), Ok(vec![]));

    let open = ProducerSnapshotEntry {
        producer_id: 8,
        producer_epoch: 0,
        last_sequence: 6,
        last_offset: 6,
        offset_delta: 6,
        timestamp: 0x018b_cfe5_6806,
        coordinator_epoch: -1,
        current_txn_first_offset: 0,
    };
    let idle = ProducerSnapshotEntry {
        producer_id: 9,
        last_sequence: 4,
        last_offset: 11,
        offset_delta: 4,
        timestamp: 0x018b_cfe5_6868,
        current_txn_first_offset: -1,
        ..open
    };
    let file = hex("0001 369e8ba4 00000002
        0000000000000008 0000 00000006 0000000000000006 00000006 0000018bcfe56806 ffffffff 0000000000000000
        0000000000000009 0000 00000004 000000000000000b 00000004 0000018bcfe56868 ffffffff ffffffffffffffff");
    assert_eq!(producer_snapshot::decode(&file), Ok(vec![open, idle]));
    assert_eq!(producer_snapshot::encode(&[open, idle]), file);
    assert_no_prefix_decodes(&file, producer_snapshot::decode);
    let longer = [file.as_slice(), &[0]].concat();
    let schema = "ProducerSnapshot";
    assert_eq!(
        producer_snapshot::decode(&longer),
        Err(StoredError::WrongLength { schema, length: 103, expected: 102 })
    );
    assert_eq!(
        producer_snapshot::decode(&hex("0001 48674bc8 00000000")),
        Err(StoredError::WrongCrc { schema, stored: 0x4867_4bc8, computed: 0x4867_4bc7 })
    );
    for count in ["7fffffff", "ffffffff", "80000000"] {
        let result = producer_snapshot::decode(&hex(&format!("0001 48674bc7 {count}")));
        assert!(matches!(result, Err(StoredError::WrongLength { .. })), "{result:?}");
    }
    assert!(matches!(
        producer_snapshot::decode(&hex("0002 48674bc7 00000000")),
        Err(StoredError::UnsupportedVersion { version: 2, .. })
    ));
}

#[test]
fn quorum_state_of_a_static_quorum() {
    let text = concat!(
        r#"{"clusterId":"","leaderId":1,"leaderEpoch":3,"votedId":-1,"appliedOffset":0,"#,
        r#""currentVoters":[{"voterId":1}],"data_version":0}"#
    );
    let version = QuorumStateVersion::V0 {
        cluster_id: String::new(),
        applied_offset: 0,
        current_voters: Some(vec![1]),
    };
    let state = QuorumState { leader_id: 1, leader_epoch: 3, voted_id: -1, version };
    assert_eq!(QuorumState::parse(text.as_bytes()), Ok(state.clone()));
    assert_eq!(state.format(), text);

    let version = QuorumStateVersion::V0 {
        cluster_id: "a\"b\\c\n\u{1}\u{e9}".into(),
        applied_offset: i64::MAX,
        current_voters: None,
    };
    let state = QuorumState { leader_id: -1, leader_epoch: i32::MAX, voted_id: 2, version };
    assert_eq!(QuorumState::parse(state.format().as_bytes()), Ok(state));
}

#[test]
fn quorum_state_of_a_dynamic_quorum() {
    let text = concat!(
        r#"{"leaderId":1,"leaderEpoch":1,"votedId":-1,"#,
        r#""votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}"#
    );
    let version = QuorumStateVersion::V1 { voted_directory_id: Uuid::nil() };
    let state = QuorumState { leader_id: 1, leader_epoch: 1, voted_id: -1, version };
    assert_eq!(QuorumState::parse(text.as_bytes()), Ok(state.clone()));
    assert_eq!(state.format(), text);
    assert_no_prefix_decodes(text.as_bytes(), QuorumState::parse);

    let loose = r#"  { "data_version" : 1 , "other" : [ {}, [1.5e3, true, null], "\u00e9\ud83d\ude00" ],
        "votedId" : -1,"votedDirectoryId" : "AAAAAAAAAAAAAAAAAAAAAA", "leaderEpoch":7,"leaderEpoch":1,"leaderId":1}
        "#;
    let one_line = loose.replace('\n', " ");
    assert_eq!(QuorumState::parse(one_line.as_bytes()), Ok(state));
}

#[test]
fn refused_quorum_states() {
    let deep = "[".repeat(100_000);
    let v1 = |rest: &str| format!(r#"{{"leaderId":1,"leaderEpoch":1,"votedId":-1,{rest}}}"#);
    for (text, expected) in [
        (String::new(), TextFault::Truncated),
        ("\n".into(), TextFault::Truncated),
        ("[]".into(), TextFault::Syntax("not a JSON object")),
        ("{}".into(), TextFault::Missing("data_version")),
        ("{} x".into(), TextFault::Trailing),
        ("{,}".into(), TextFault::Syntax("malformed JSON")),
        (r#"{"a":tru}"#.into(), TextFault::Syntax("not a JSON value")),
        (r#"{"a":"\ud83d"}"#.into(), TextFault::Syntax("unpaired surrogate in a JSON string")),
        (r#"{"a":"\x"}"#.into(), TextFault::Syntax("unknown escape in a JSON string")),
        (deep, TextFault::Syntax("JSON is nested too deep")),
        (r#"{"data_version":2}"#.into(), TextFault::Version("2".into())),
        (r#"{"data_version":"1"}"#.into(), TextFault::Value("data_version")),
        (v1(r#""data_version":1"#), TextFault::Missing("votedDirectoryId")),
        (v1(r#""data_version":1,"votedDirectoryId":"x""#), TextFault::Value("votedDirectoryId")),
        (v1(r#""data_version":0,"clusterId":"","appliedOffset":0"#), TextFault::Missing("currentVoters")),
        (
            v1(r#""data_version":0,"clusterId":"","appliedOffset":0,"currentVoters":[1]"#),
            TextFault::Value("currentVoters"),
        ),
        (
            r#"{"leaderId":2147483648,"data_version":1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA"}"#.into(),
            TextFault::Value("leaderId"),
        ),
    ] {
        assert_eq!(fault(QuorumState::parse(text.as_bytes())), (1, expected), "{text:.200}");
    }
    assert_eq!(fault(QuorumState::parse(b"{\xff}")), (1, TextFault::NotUtf8));
}

#[test]
fn checkpoints() {
    let text = "0\n2\norders 0 1042\norders 1 977\n";
    let entries = checkpoint::parse_offsets(text.as_bytes()).unwrap();
    assert_eq!((entries[1].topic.as_str(), entries[1].partition, entries[1].offset), ("orders", 1, 977));
    let lines = entries.iter().map(|entry| (entry.topic.as_str(), entry.partition, entry.offset));
    assert_eq!(checkpoint::format_offsets(lines), text);
    assert_eq!(checkpoint::format_offsets(std::iter::empty()), "0\n0\n");
    assert_eq!(checkpoint::parse_offsets(b"0\n0\n"), Ok(vec![]));
    assert_eq!(checkpoint::parse_offsets(b""), Ok(vec![]));
    assert_eq!(checkpoint::parse_offsets(b"0\r\n1\r\norders \t0  7 \r\n").unwrap()[0].offset, 7);

    let epochs =
        [LeaderEpochEntry { epoch: 0, start_offset: 0 }, LeaderEpochEntry { epoch: 2, start_offset: 17 }];
    assert_eq!(checkpoint::format_leader_epochs(&epochs), "0\n2\n0 0\n2 17\n");
    assert_eq!(checkpoint::parse_leader_epochs(b"0\n2\n0 0\n2 17\n").unwrap(), epochs);
}

#[test]
fn refused_checkpoints() {
    let number = |text: &str| TextFault::NotANumber(text.into());
    for (text, expected) in [
        (&b"0"[..], (1, TextFault::Truncated)),
        (b"0\n", (2, TextFault::Truncated)),
        (b"0\n1", (2, TextFault::Truncated)),
        (b"0\n1\nt 0 1", (3, TextFault::Truncated)),
        (b"1\n0\n", (1, TextFault::Version("1".into()))),
        (b" 0\n0\n", (1, TextFault::Version(" 0".into()))),
        (b"0\nx\n", (2, number("x"))),
        (b"0\n1\n", (2, TextFault::Entries { announced: 1, found: 0 })),
        (b"0\n-1\n", (2, TextFault::Entries { announced: -1, found: 0 })),
        (b"0\n1\nt 0 1\nt 1 1\n", (2, TextFault::Entries { announced: 1, found: 2 })),
        (b"0\n1\nt 0\n", (3, TextFault::Words { expected: 3, found: 2 })),
        (b"0\n1\nt 0 1 2\n", (3, TextFault::Words { expected: 3, found: 4 })),
        (b"0\n1\n t 0 1\n", (3, TextFault::Words { expected: 3, found: 4 })),
        (b"0\n1\n 0 1\n", (3, TextFault::Words { expected: 3, found: 3 })),
        (b"0\n1\n\n", (3, TextFault::Words { expected: 3, found: 0 })),
        (b"0\n1\nt 2147483648 1\n", (3, number("2147483648"))),
        (b"0\n1\nt 0 9223372036854775808\n", (3, number("9223372036854775808"))),
        (b"0\n1\nt\xff 0 1\n", (3, TextFault::NotUtf8)),
    ] {
        assert_eq!(fault(checkpoint::parse_offsets(text)), expected, "{}", text.escape_ascii());
    }
    assert_eq!(fault(checkpoint::parse_leader_epochs(b"0\n1\n0 x\n")), (3, number("x")));
}

#[test]
fn partition_metadata_of_a_topic() {
    let topic_id = uuid_from_base64("TopicAlphaTopicAlpha_A").unwrap();
    let text = "version: 0\ntopic_id: TopicAlphaTopicAlpha_A";
    assert_eq!(text.len(), 43);
    assert_eq!(partition_metadata::format(topic_id), text);
    for text in [text, "version: 1\r\ntopic_id:  TopicAlphaTopicAlpha_A\r\nlater: x\n"] {
        assert_eq!(partition_metadata::parse(text.as_bytes()), Ok(topic_id));
    }
    for (text, expected) in [
        ("", (1, TextFault::Truncated)),
        ("version 0\n", (1, TextFault::Missing("version"))),
        ("version:0\n", (1, TextFault::Missing("version"))),
        ("version: -1\n", (1, TextFault::Version("-1".into()))),
        ("version: 0\n", (2, TextFault::Truncated)),
        ("version: 0\nid: x", (2, TextFault::Missing("topic_id"))),
        ("version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA", (2, TextFault::Value("topic_id"))),
        ("version: 0\ntopic_id: x", (2, TextFault::Value("topic_id"))),
    ] {
        assert_eq!(fault(partition_metadata::parse(text.as_bytes())), expected, "{text}");
    }
}

#[test]
fn meta_properties_round_trip() {
    let directory_id = uuid_from_base64("ashqRF3Hsj1DG54NBa89cw").unwrap();
    for cluster_id in ["GoldenDataOfKafka411-A", " a=b:c #!\\\t\n\r\u{c} ", "\u{e9}\u{1f600}", ""] {
        let properties = MetaProperties::v1(cluster_id.to_owned(), 1, directory_id);
        let text = properties.format(0);
        assert!(text.is_ascii());
        assert_eq!(MetaProperties::parse(text.as_bytes()), Ok(properties), "{text}");
    }
    let zookeeper = MetaProperties {
        version: MetaPropertiesVersion::V0,
        cluster_id: None,
        node_id: Some(3),
        directory_id: None,
    };
    assert_eq!(zookeeper.format(951_782_399), "#\n#Mon Feb 28 23:59:59 UTC 2000\nbroker.id=3\nversion=0\n");
    assert_eq!(MetaProperties::parse(zookeeper.format(0).as_bytes()), Ok(zookeeper));
}

#[test]
fn dates_as_java_prints_them() {
    for (seconds, date) in [
        (0, "Thu Jan 01 00:00:00 UTC 1970"),
        (-1, "Wed Dec 31 23:59:59 UTC 1969"),
        (951_782_400, "Tue Feb 29 00:00:00 UTC 2000"),
        (951_868_800, "Wed Mar 01 00:00:00 UTC 2000"),
        (1_795_367_051, "Sun Nov 22 17:04:11 UTC 2026"),
        (4_107_542_399, "Sun Feb 28 23:59:59 UTC 2100"),
        (4_107_542_400, "Mon Mar 01 00:00:00 UTC 2100"),
    ] {
        let text = MetaProperties::v1(String::new(), 1, Uuid::nil()).format(seconds);
        assert_eq!(text.lines().nth(1), Some(format!("#{date}").as_str()));
    }
}

#[test]
fn meta_properties_in_any_shape() {
    let text =
        "! comment\r\n\r\n  cluster.id : a\\\n   b\\u00e9 \r node.id\t7\nversion=1\nversion = \\\n 1\nkey\n";
    let expected = MetaProperties {
        version: MetaPropertiesVersion::V1,
        cluster_id: Some("ab\u{e9} ".into()),
        node_id: Some(7),
        directory_id: None,
    };
    assert_eq!(MetaProperties::parse(text.as_bytes()), Ok(expected));
    // The file is not UTF-8.
    let latin = MetaProperties::parse(b"version=1\nnode.id=1\ncluster.id=\xe9\n").unwrap();
    assert_eq!(latin.cluster_id.as_deref(), Some("\u{e9}"));
}

#[test]
fn refused_meta_properties() {
    for (text, expected) in [
        ("version=1\nnode.id=1\n", (2, TextFault::Missing("cluster.id"))),
        ("version=1\ncluster.id=x\n", (2, TextFault::Missing("node.id"))),
        ("version=2\n", (1, TextFault::Version("2".into()))),
        ("#\nversion=x\n", (2, TextFault::Version("x".into()))),
        ("version=1\nnode.id=one\ncluster.id=x", (2, TextFault::NotANumber("one".into()))),
        ("directory.id=x\n", (1, TextFault::Value("directory.id"))),
        ("a=\\u12\n", (1, TextFault::Syntax("malformed \\u escape"))),
        ("a=\\u+123\n", (1, TextFault::Syntax("malformed \\u escape"))),
        ("a=\\ud83d\n", (1, TextFault::Syntax("unpaired surrogate"))),
    ] {
        assert_eq!(fault(MetaProperties::parse(text.as_bytes())), expected, "{text}");
    }
}
