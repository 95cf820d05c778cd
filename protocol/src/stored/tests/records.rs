//! Single records: what their bytes mean, old versions, and what is refused.

use bytes::Bytes;
use uuid::Uuid;

use super::{assert_no_prefix_decodes, hex};
use crate::stored::group::{
    ConsumerGroupMemberMetadataValue, GroupMemberKey, GroupMetadataValue, GroupRecord, OffsetCommitKey,
    OffsetCommitValue, group_partition,
};
use crate::stored::metadata::{
    BeginTransactionRecord, BrokerEndpoint, BrokerRegistrationChangeRecord, ConfigRecord,
    EndTransactionRecord, FeatureLevelRecord, MetadataRecord, NoOpRecord, PartitionChangeRecord,
    PartitionRecord, ProducerIdsRecord, RegisterBrokerRecord, TopicRecord,
};
use crate::stored::transaction::{
    TransactionLogValue, TransactionPartitions, TransactionRecord, transaction_partition,
};
use crate::stored::{MAX_STRING_LENGTH, StoredError, TaggedField, WireError, uuid_from_base64};

/// Bytes that follow from Kafka's schema definitions, one line a record: kind, schema, version, values, key, value.
/// They were made by a program that read those definitions and knows nothing of this crate.
const VECTORS: &str = include_str!("../../../tests/fixtures/schema-vectors.txt");

fn topic_alpha() -> Uuid {
    uuid_from_base64("TopicAlphaTopicAlpha_A").unwrap()
}

fn some_string(name: &str) -> Option<String> {
    Some(name.to_owned())
}

#[test]
fn every_schema_in_every_version() {
    let mut checked = 0;
    for line in VECTORS.lines().filter(|line| !line.starts_with('#')) {
        let [kind, schema, version, _, key, value] =
            <[&str; 6]>::try_from(line.split(' ').collect::<Vec<_>>()).unwrap();
        let (version, key, value) = (version.parse::<i16>().unwrap(), hex(key), hex(value));
        match kind {
            "metadata" => {
                let record = MetadataRecord::decode(&value).unwrap_or_else(|error| panic!("{line}: {error}"));
                assert!(!matches!(record, MetadataRecord::Other { .. }), "{line}");
                assert_eq!(record.write(version).into_bytes(), value, "{line}");
                assert_eq!(MetadataRecord::decode(&record.encode()).unwrap(), record, "{line}");
                assert_no_prefix_decodes(&value, MetadataRecord::decode);
            }
            "group" => {
                let record =
                    GroupRecord::decode(&key, Some(&value)).unwrap_or_else(|error| panic!("{line}: {error}"));
                assert!(!matches!(record, GroupRecord::Other(_)), "{line}");
                assert_eq!(
                    record.encode_as(Some(version)).unwrap(),
                    (key.clone(), Some(value.clone())),
                    "{line}"
                );
                assert_no_prefix_decodes(&key, |key| GroupRecord::decode(key, None));
                assert_no_prefix_decodes(&value, |value| GroupRecord::decode(&key, Some(value)));
            }
            "transaction" => {
                let record = TransactionRecord::decode(&key, Some(&value)).unwrap();
                assert_eq!(record.encode_as(version).unwrap(), (key.clone(), Some(value.clone())), "{line}");
                assert_no_prefix_decodes(&value, |value| TransactionRecord::decode(&key, Some(value)));
            }
            other => panic!("{other} {schema}"),
        }
        checked += 1;
    }
    assert_eq!(checked, EXPECTED_VECTORS);
}

const EXPECTED_VECTORS: usize = 218;

#[test]
fn metadata_records() {
    let directory = Uuid::from_bytes(hex("0e2ade72da2bc8e7cc8a57a76bed7ffc").try_into().unwrap());
    let topic_id = topic_alpha();
    let cases: [(&str, MetadataRecord); 12] = [
        (
            "010c00 11 6d657461646174612e76657273696f6e 001b 00",
            FeatureLevelRecord { name: "metadata.version".into(), feature_level: 27, ..Default::default() }
                .into(),
        ),
        (
            "01020006616c7068614e8a6270096985a4e8a6270096985afc00",
            TopicRecord { name: "alpha".into(), topic_id, ..Default::default() }.into(),
        ),
        (
            "0104000206616c7068610d726574656e74696f6e2e6d73032d3100",
            ConfigRecord {
                resource_type: 2,
                resource_name: "alpha".into(),
                name: "retention.ms".into(),
                value: some_string("-1"),
                ..Default::default()
            }
            .into(),
        ),
        (
            "010302000000004e8a6270096985a4e8a6270096985afc020000000102000000010101000000010000000000000000020e2ade72da2bc8e7cc8a57a76bed7ffc00",
            PartitionRecord {
                partition_id: 0,
                topic_id,
                replicas: vec![1],
                isr: vec![1],
                leader: 1,
                leader_epoch: 0,
                partition_epoch: 0,
                directories: vec![directory],
                ..Default::default()
            }
            .into(),
        ),
        (
            "010f0000000001000000000000000700000000000003e800",
            ProducerIdsRecord { broker_id: 1, broker_epoch: 7, next_producer_id: 1000, ..Default::default() }
                .into(),
        ),
        (
            "011700 01 00 12 12 426f6f747374726170207265636f726473",
            BeginTransactionRecord { name: some_string("Bootstrap records"), ..Default::default() }.into(),
        ),
        ("01180000", EndTransactionRecord::default().into()),
        ("01140000", NoOpRecord::default().into()),
        (
            "011100 00000001 0000000000000007 01 00 01 ff",
            BrokerRegistrationChangeRecord {
                broker_id: 1,
                broker_epoch: 7,
                fenced: -1,
                ..Default::default()
            }
            .into(),
        ),
        (
            "011100 00000001 0000000000000007 01 00 01 01",
            BrokerRegistrationChangeRecord { broker_id: 1, broker_epoch: 7, fenced: 1, ..Default::default() }
                .into(),
        ),
        (
            "011101 00000001 0000000000000007 01 01 01 01",
            BrokerRegistrationChangeRecord {
                broker_id: 1,
                broker_epoch: 7,
                in_controlled_shutdown: 1,
                ..Default::default()
            }
            .into(),
        ),
        (
            "010502 00000000 4e8a6270096985a4e8a6270096985afc 04 000101 0104ffffffff 06050200000001 07050200000001",
            PartitionChangeRecord {
                partition_id: 0,
                topic_id,
                isr: Some(vec![]),
                leader: Some(-1),
                eligible_leader_replicas: Some(vec![1]),
                last_known_elr: Some(vec![1]),
                ..Default::default()
            }
            .into(),
        ),
    ];
    for (bytes, record) in cases {
        let bytes = hex(bytes);
        assert_eq!(MetadataRecord::decode(&bytes).as_ref(), Ok(&record));
        assert_eq!(record.encode(), bytes, "{record:?}");
    }
}

/// Byte by byte, from the layout of the schema.
#[test]
fn broker_registration() {
    let directory = Uuid::from_u128(7);
    let record = RegisterBrokerRecord {
        broker_id: 1,
        incarnation_id: Uuid::from_u128(9),
        broker_epoch: 5,
        end_points: vec![BrokerEndpoint {
            name: "PLAINTEXT".into(),
            host: "127.0.0.1".into(),
            port: 59_092,
            security_protocol: 0,
            ..Default::default()
        }],
        log_dirs: vec![directory],
        ..Default::default()
    };
    let bytes = hex("010003 00000001 00 00000000000000000000000000000009 0000000000000005
        02 0a 504c41494e54455854 0a 3132372e302e302e31 e6d4 0000 00 01 00 01 00
        01 00 11 02 00000000000000000000000000000007");
    assert_eq!(MetadataRecord::from(record.clone()).encode(), bytes);
    assert_eq!(MetadataRecord::decode(&bytes), Ok(record.clone().into()));

    let cordoned = RegisterBrokerRecord { cordoned_log_dirs: Some(vec![directory]), ..record };
    assert_eq!(MetadataRecord::from(cordoned).version(), 4);
}

#[test]
fn explicit_no_change_is_none() {
    let bytes = hex("010502 00000000 00000000000000000000000000000001 02 0104fffffffe 0501ff");
    let MetadataRecord::PartitionChange(change) = MetadataRecord::decode(&bytes).unwrap() else { panic!() };
    assert_eq!((change.leader, change.leader_recovery_state), (None, None));
}

#[test]
fn broker_registration_change_takes_the_oldest_version() {
    let change = BrokerRegistrationChangeRecord::default;
    for (record, version) in [
        (BrokerRegistrationChangeRecord { fenced: 1, ..change() }, 0),
        (BrokerRegistrationChangeRecord { in_controlled_shutdown: 1, ..change() }, 1),
        (BrokerRegistrationChangeRecord { log_dirs: vec![Uuid::from_u128(7)], ..change() }, 2),
        (BrokerRegistrationChangeRecord { cordoned_log_dirs: Some(vec![]), ..change() }, 3),
    ] {
        let record = MetadataRecord::from(record);
        assert_eq!(record.version(), version);
        assert_eq!(MetadataRecord::decode(&record.encode()).unwrap(), record);
    }
}

#[test]
fn unknown_metadata_records_are_kept() {
    for bytes in ["011d00 00000003 00", "01ffff0105", "010600"] {
        let bytes = hex(bytes);
        let record = MetadataRecord::decode(&bytes).unwrap();
        assert!(matches!(record, MetadataRecord::Other { .. }));
        assert_eq!(record.encode(), bytes);
    }
}

#[test]
fn unknown_tags_are_kept_in_order() {
    let bytes = hex("011700 03 00 02 02 41 0501ff 8001 00");
    let record = MetadataRecord::decode(&bytes).unwrap();
    let expected = BeginTransactionRecord {
        name: some_string("A"),
        unknown_tags: vec![
            TaggedField { tag: 5, data: Bytes::from_static(&[0xff]) },
            TaggedField { tag: 128, data: Bytes::new() },
        ],
    };
    assert_eq!(record, expected.into());
    assert_eq!(record.encode(), bytes);
}

#[test]
fn a_tag_given_twice_is_written_once() {
    let unknown_tags = vec![TaggedField { tag: 0, data: Bytes::from_static(b"x") }];
    let record = BeginTransactionRecord { name: some_string("A"), unknown_tags };
    assert_eq!(MetadataRecord::from(record).encode(), hex("011700 01 00 02 02 41"));
}

#[test]
fn refused_metadata() {
    let malformed = |schema, version, fault| StoredError::Malformed { schema, version, fault };
    let cases = [
        (
            "",
            StoredError::Unframed {
                schema: "metadata record frame",
                fault: WireError::Truncated { offset: 0, needed: 1, remaining: 0 },
            },
        ),
        ("001400 00", unsupported("metadata record frame", 0, 1, 1)),
        ("021400 00", unsupported("metadata record frame", 2, 1, 1)),
        (
            "01808002 00 00",
            StoredError::Unframed {
                schema: "metadata record frame",
                fault: WireError::OutOfRange { value: 32_768 },
            },
        ),
        (
            "01ffffffff1f 00",
            StoredError::Unframed { schema: "metadata record frame", fault: WireError::Varint { offset: 1 } },
        ),
        ("011401 00", unsupported("NoOpRecord", 1, 0, 0)),
        ("010303 00", unsupported("PartitionRecord", 3, 0, 2)),
        ("011400 00 00", malformed("NoOpRecord", 0, WireError::Trailing { offset: 4, remaining: 1 })),
        ("010c00 00 0000 00", malformed("FeatureLevelRecord", 0, WireError::Null { offset: 3 })),
        ("010c00 02 ff 0000 00", malformed("FeatureLevelRecord", 0, WireError::NotUtf8 { offset: 4 })),
        // A string and an array of 4 GiB.
        (
            "010c00 ffffffff0f",
            malformed(
                "FeatureLevelRecord",
                0,
                WireError::Truncated { offset: 8, needed: 0xffff_fffe, remaining: 0 },
            ),
        ),
        (
            "010e00 ffffffff0f",
            malformed("ClientQuotaRecord", 0, WireError::Length { offset: 3, length: 0xffff_fffe }),
        ),
        ("011400 02 0100 0100", malformed("NoOpRecord", 0, WireError::TagOrder { tag: 1, offset: 6 })),
        (
            "011700 01 00 03 02 41 00",
            malformed("BeginTransactionRecord", 0, WireError::Trailing { offset: 8, remaining: 1 }),
        ),
        (
            "011100 00000001 0000000000000007 01 010101",
            malformed("BrokerRegistrationChangeRecord", 0, WireError::TagVersion { tag: 1 }),
        ),
    ];
    for (bytes, error) in cases {
        assert_eq!(MetadataRecord::decode(&hex(bytes)), Err(error), "{bytes}");
    }
}

fn unsupported(schema: &'static str, version: i64, oldest: i16, newest: i16) -> StoredError {
    StoredError::UnsupportedVersion { schema, version, oldest, newest }
}

#[test]
fn group_records() {
    let commit_key = || OffsetCommitKey { group: "readers".into(), topic: "alpha".into(), partition: 0 };
    let commit = OffsetCommitValue {
        offset: 3,
        leader_epoch: -1,
        metadata: "so far".into(),
        commit_timestamp: 0x01a2_0425_3a79,
        ..Default::default()
    };
    let empty_group = GroupMetadataValue { current_state_timestamp: 5, ..Default::default() };
    let cases = [
        (
            "0001 0007 72656164657273 0005 616c706861 00000000",
            Some("0004 0000000000000003 ffffffff 07 736f20666172 000001a204253a79 00"),
            GroupRecord::OffsetCommit(commit_key(), Some(commit.clone())),
        ),
        (
            "0000 0007 72656164657273 0005 616c706861 00000000",
            Some("0000 0000000000000003 0006 736f20666172 000001a204253a79"),
            GroupRecord::LegacyOffsetCommit(commit_key(), Some(commit.clone())),
        ),
        (
            "0002 0006 672d6c697665",
            Some("0003 0000 00000000 ffff ffff 0000000000000005 00000000"),
            GroupRecord::GroupMetadata("g-live".into(), Some(empty_group)),
        ),
        ("0002 0006 672d6c697665", None, GroupRecord::GroupMetadata("g-live".into(), None)),
    ];
    for (key, value, record) in cases {
        let (key, value) = (hex(key), value.map(hex));
        assert_eq!(GroupRecord::decode(&key, value.as_deref()).as_ref(), Ok(&record));
        assert_eq!(record.encode(), Ok((key, value)));
    }

    // Older versions of a commit: 3 without tags, 1 with an expiry.
    let key = hex("0001 0007 72656164657273 0005 616c706861 00000000");
    for (value, expected) in [
        ("0003 0000000000000003 ffffffff 0006 736f20666172 000001a204253a79", commit.clone()),
        (
            "0001 0000000000000003 0006 736f20666172 000001a204253a79 0000000000000009",
            OffsetCommitValue { expire_timestamp: 9, ..commit },
        ),
    ] {
        let record = GroupRecord::OffsetCommit(
            OffsetCommitKey { group: "readers".into(), topic: "alpha".into(), partition: 0 },
            Some(expected),
        );
        assert_eq!(GroupRecord::decode(&key, Some(&hex(value))), Ok(record));
    }
}

#[test]
fn a_member_that_is_not_classic_says_so() {
    let key = GroupMemberKey { group_id: "g".into(), member_id: "m".into() };
    let record =
        GroupRecord::ConsumerGroupMemberMetadata(key, Some(ConsumerGroupMemberMetadataValue::default()));
    let (_, value) = record.encode().unwrap();
    assert_eq!(value.unwrap(), hex("0000 00 00 01 01 01 00 ffffffff 00 01 00 01 00"));
}

#[test]
fn unknown_group_records_are_kept() {
    for (key, value) in [("000b 0001 67", Some("0000 01 02")), ("000b 0001 67", None), ("7fff", Some(""))] {
        let (key, value) = (hex(key), value.map(hex));
        let record = GroupRecord::decode(&key, value.as_deref()).unwrap();
        assert!(matches!(record, GroupRecord::Other(_)));
        assert_eq!(record.encode(), Ok((key, value)));
    }
}

#[test]
fn refused_group_records() {
    let key = hex("0002 0001 67");
    for value in [
        "",
        "00",
        "0005",
        "ffff",
        "0003 ffff",
        "0003 0000 00000000 ffff ffff 0000000000000005 ffffffff",
        "0003 0000 00000000 ffff ffff 0000000000000005 7fffffff",
        "0003 0000 00000000 ffff ffff 0000000000000005 00000000 00",
    ] {
        assert!(GroupRecord::decode(&key, Some(&hex(value))).is_err(), "{value}");
    }
    for key in ["", "00", "0002", "0002 ffff", "0002 fffe", "0002 0001 67 00", "0001 0001 67 0001 74 000000"]
    {
        assert!(GroupRecord::decode(&hex(key), None).is_err(), "{key}");
    }
}

#[test]
fn strings_that_kafka_cannot_read() {
    let longest = "x".repeat(MAX_STRING_LENGTH);
    let too_long = "x".repeat(MAX_STRING_LENGTH + 1);

    let record = |name: &str| GroupRecord::GroupMetadata(name.to_owned(), None);
    let (key, _) = record(&longest).encode().unwrap();
    assert_eq!(GroupRecord::decode(&key, None), Ok(record(&longest)));
    let fault = WireError::StringTooLong { length: MAX_STRING_LENGTH + 1 };
    let error = |schema, fault| Err(StoredError::Malformed { schema, version: 0, fault });
    assert_eq!(
        record(&too_long).encode(),
        error("GroupMetadata", fault.clone()).map(|()| Default::default())
    );

    // In a tagged field as well; and what is written all the same can be read here.
    let record = MetadataRecord::from(BeginTransactionRecord { name: Some(too_long), ..Default::default() });
    assert_eq!(record.try_encode(), error("BeginTransactionRecord", fault).map(|()| Default::default()));
    assert_eq!(MetadataRecord::decode(&record.encode()), Ok(record));
}

#[test]
fn transaction_records() {
    let state = TransactionLogValue {
        producer_id: 7,
        producer_epoch: 2,
        transaction_timeout_ms: 60_000,
        transaction_status: 1,
        transaction_partitions: Some(vec![TransactionPartitions {
            topic: "txn".into(),
            partition_ids: vec![0, 1],
            ..Default::default()
        }]),
        transaction_last_update_timestamp_ms: 9,
        transaction_start_timestamp_ms: 8,
        client_transaction_version: 2,
        ..Default::default()
    };
    let key = hex("0000 0004 74782d61");
    let body = "0000000000000007 0002 0000ea60 01";
    let times = "0000000000000009 0000000000000008";
    let record = |state: &TransactionLogValue| TransactionRecord::State("tx-a".into(), Some(state.clone()));

    let value = hex(&format!("0001 {body} 02 04 74786e 03 00000000 00000001 00 {times} 01 02 02 0002"));
    assert_eq!(TransactionRecord::decode(&key, Some(&value)), Ok(record(&state)));
    assert_eq!(record(&state).encode(), Ok((key.clone(), Some(value))));

    // Version 0 has no place for the client's version.
    let field = "ClientTransactionVersion";
    let error = StoredError::FieldNotInVersion { schema: "TransactionLog", version: 0, field };
    assert_eq!(record(&state).encode_as(0), Err(error));
    let state = TransactionLogValue { client_transaction_version: 0, ..state };
    let value = hex(&format!("0000 {body} 00000001 0003 74786e 00000002 00000000 00000001 {times}"));
    assert_eq!(TransactionRecord::decode(&key, Some(&value)), Ok(record(&state)));
    assert_eq!(record(&state).encode_as(0), Ok((key.clone(), Some(value))));
    assert_eq!(record(&state).encode_as(2), Err(unsupported("TransactionLog", 2, 0, 1)));

    for (partitions, bytes) in [(None, "00"), (Some(vec![]), "01")] {
        let state = TransactionLogValue { transaction_partitions: partitions, ..state.clone() };
        let value = hex(&format!("0001 {body} {bytes} {times} 00"));
        assert_eq!(TransactionRecord::decode(&key, Some(&value)), Ok(record(&state)));
        assert_eq!(record(&state).encode(), Ok((key.clone(), Some(value))));
    }

    let other = TransactionRecord::decode(&hex("0001 05"), None).unwrap();
    assert!(matches!(other, TransactionRecord::Other(_)));
    assert_eq!(other.encode(), Ok((hex("0001 05"), None)));
}

#[test]
fn partitions_follow_java_hashes() {
    for (name, partitions, expected) in [
        ("", 50, 0),
        // "abc".hashCode() = 96354.
        ("abc", 50, 4),
        // Integer.MIN_VALUE has no absolute value.
        ("polygenelubricants", 50, 0),
        // Two UTF-16 code units: 0xd83d * 31 + 0xde00 = 1772899.
        ("\u{1f600}", 50, 49),
        // A negative hash, -403968617.
        ("orders-group", 50, 17),
        ("abc", 0, 0),
        ("abc", -1, 0),
    ] {
        assert_eq!(group_partition(name, partitions), expected, "{name}");
        assert_eq!(transaction_partition(name, partitions), expected, "{name}");
    }
}
