//! Group and transaction records: what their bytes mean, old versions, and what is refused.

use super::{hex, unsupported};
use crate::stored::group::{
    ConsumerGroupMemberMetadataValue, GroupMemberKey, GroupMetadataValue, GroupRecord, OffsetCommitKey,
    OffsetCommitValue, group_partition,
};
use crate::stored::metadata::{BeginTransactionRecord, MetadataRecord};
use crate::stored::transaction::{
    TransactionLogValue, TransactionPartitions, TransactionRecord, transaction_partition,
};
use crate::stored::{MAX_STRING_LENGTH, StoredError, WireError};

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
