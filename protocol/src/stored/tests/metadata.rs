//! Metadata records: what their bytes mean, and what is refused.

use bytes::Bytes;
use uuid::Uuid;

use super::{hex, unsupported};
use crate::stored::metadata::{
    BeginTransactionRecord, BrokerEndpoint, BrokerRegistrationChangeRecord, ConfigRecord,
    EndTransactionRecord, FeatureLevelRecord, MetadataRecord, NoOpRecord, PartitionChangeRecord,
    PartitionRecord, ProducerIdsRecord, RegisterBrokerRecord, TopicRecord,
};
use crate::stored::{StoredError, TaggedField, WireError, uuid_from_base64};

fn topic_alpha() -> Uuid {
    uuid_from_base64("TopicAlphaTopicAlpha_A").unwrap()
}

fn some_string(name: &str) -> Option<String> {
    Some(name.to_owned())
}

#[test]
fn metadata_records() {
    let directory = Uuid::from_bytes(hex("0e2ade72da2bc8e7cc8a57a76bed7ffc").try_into().unwrap());
    let topic_id = topic_alpha();
    let cases: [(&str, MetadataRecord); 5] = [
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
    ];
    assert_both_ways(cases);
}

#[test]
fn metadata_transactions_and_changes() {
    let topic_id = topic_alpha();
    let cases: [(&str, MetadataRecord); 7] = [
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
    assert_both_ways(cases);
}

fn assert_both_ways<const N: usize>(cases: [(&str, MetadataRecord); N]) {
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
