//! Whole files of a data directory: each decodes, and encodes to the same bytes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::assert_no_prefix_decodes;
use super::walker::records;
use crate::records::{
    ControlError, ControlType, KRaftVersion, KRaftVoters, LeaderChange, SnapshotFooter, SnapshotHeader,
};
use crate::stored::group::{GroupRecord, group_partition};
use crate::stored::meta_properties::MetaProperties;
use crate::stored::metadata::MetadataRecord;
use crate::stored::quorum_state::QuorumState;
use crate::stored::transaction::TransactionRecord;
use crate::stored::{checkpoint, partition_metadata, producer_snapshot};

/// Names a data directory of Kafka 4.1 with four partitions for each internal topic, to be checked instead of
/// the fixture.
const OTHER_DATA: &str = "MILENA_TEST_KAFKA_DATA";

fn data_directory() -> PathBuf {
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/kafka-4.1.1");
    std::env::var_os(OTHER_DATA).map_or_else(|| fixtures.into(), PathBuf::from)
}

/// The fixture must hold what a test is about; another directory holds what it holds.
fn assert_covers<T: Ord + std::fmt::Debug>(seen: &BTreeSet<T>, expected: impl IntoIterator<Item = T>) {
    let missing: Vec<T> = expected.into_iter().filter(|item| !seen.contains(item)).collect();
    assert!(missing.is_empty() || std::env::var_os(OTHER_DATA).is_some(), "{missing:?} not in {seen:?}");
}

/// All files at any depth whose path below the data directory contains `part` and ends in `suffix`.
fn files(part: &str, suffix: &str) -> Vec<(PathBuf, Vec<u8>)> {
    fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { collect(&path, found) } else { found.push(path) }
        }
    }
    let root = data_directory();
    let mut found = Vec::new();
    collect(&root, &mut found);
    found.retain(|path| {
        let below = path.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
        below.contains(part) && below.ends_with(suffix)
    });
    found.sort();
    assert!(!found.is_empty() || part == "__", "no {part}…{suffix}");
    found.into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect()
}

type KeyValue = (Option<Vec<u8>>, Option<Vec<u8>>);

fn distinct_records(part: &str, suffix: &str, control: bool) -> BTreeSet<KeyValue> {
    let files = files(part, suffix);
    let records = files.iter().flat_map(|(_, log)| records(log)).filter(|record| record.control == control);
    records.map(|record| (record.key, record.value)).collect()
}

/// Damages each byte in turn: nothing panics, and what still decodes survives a round trip.
fn assert_damage_is_harmless<T: std::fmt::Debug>(
    bytes: &[u8],
    decode: impl Fn(&[u8]) -> Option<T>,
    encode: impl Fn(&T) -> Vec<u8>,
) {
    for index in 0..bytes.len() {
        for damage in [0x00, 0x01, 0x7f, 0x80, 0xff] {
            let mut damaged = bytes.to_vec();
            damaged[index] = damage;
            if let Some(value) = decode(&damaged) {
                let again = decode(&encode(&value)).expect("what was encoded decodes");
                assert_eq!(format!("{value:?}"), format!("{again:?}"));
            }
        }
    }
}

#[test]
fn metadata_log() {
    let mut seen = BTreeSet::new();
    let mut values = distinct_records("__cluster_metadata-0", ".log", false);
    values.extend(distinct_records("", ".checkpoint", false));
    for (key, value) in values {
        assert_eq!(key, None);
        let value = value.unwrap();
        let record = MetadataRecord::decode(&value).unwrap();
        assert!(!matches!(record, MetadataRecord::Other { .. }));
        assert_eq!(record.encode(), value, "{record:?}");
        assert_eq!(record.try_encode().unwrap(), value);
        assert_no_prefix_decodes(&value, MetadataRecord::decode);
        assert_damage_is_harmless(&value, |bytes| MetadataRecord::decode(bytes).ok(), MetadataRecord::encode);
        seen.insert((record.api_key(), record.version()));
    }
    let expected = [
        (0, 3),
        (2, 0),
        (3, 2),
        (4, 0),
        (5, 2),
        (9, 0),
        (12, 0),
        (14, 0),
        (15, 0),
        (17, 0),
        (17, 1),
        (20, 0),
        (23, 0),
        (24, 0),
        (27, 0),
        (28, 0),
    ];
    assert_covers(&seen, expected);
}

#[test]
fn metadata_control_records() {
    type ReadAndWrite = fn(&[u8]) -> Result<Vec<u8>, ControlError>;
    let mut seen = BTreeSet::new();
    let mut values = distinct_records("__cluster_metadata-0", ".log", true);
    values.extend(distinct_records("", ".checkpoint", true));
    for (key, value) in values {
        let (key, value) = (key.unwrap(), value.unwrap());
        let control = ControlType::from_key(&key).unwrap();
        assert_eq!(control.key().as_slice(), key);
        let again: ReadAndWrite = match control {
            ControlType::LeaderChange => |value| LeaderChange::read(value).map(|record| record.value()),
            ControlType::SnapshotHeader => |value| SnapshotHeader::read(value).map(|record| record.value()),
            ControlType::SnapshotFooter => |value| SnapshotFooter::read(value).map(|record| record.value()),
            ControlType::KRaftVersion => |value| KRaftVersion::read(value).map(|record| record.value()),
            ControlType::KRaftVoters => |value| KRaftVoters::read(value).map(|record| record.value()),
            other => panic!("{other:?} in the metadata log"),
        };
        assert_eq!(again(&value).as_ref(), Ok(&value), "{control:?}");
        assert_no_prefix_decodes(&key, ControlType::from_key);
        assert_no_prefix_decodes(&value, again);
        seen.insert(control.id());
    }
    assert_covers(&seen, 2..=6);
}

#[test]
fn group_records() {
    let mut seen = BTreeSet::new();
    for (key, value) in distinct_records("__consumer_offsets-", ".log", false) {
        let key = key.unwrap();
        let record = GroupRecord::decode(&key, value.as_deref()).unwrap();
        assert_eq!(record.encode().unwrap(), (key.clone(), value.clone()), "{record:?}");
        assert_no_prefix_decodes(&key, |key| GroupRecord::decode(key, None));
        seen.insert((record.record_type(), value.is_some()));
        let Some(value) = value else { continue };
        assert_no_prefix_decodes(&value, |value| GroupRecord::decode(&key, Some(value)));
        assert_damage_is_harmless(
            &value,
            |bytes| GroupRecord::decode(&key, Some(bytes)).ok(),
            |record| record.encode().unwrap().1.unwrap(),
        );
    }
    let expected =
        [(1, true), (1, false), (2, true), (3, true), (5, true), (6, true), (7, true), (8, true), (8, false)];
    assert_covers(&seen, expected);
}

/// Which partition Kafka chose for each group and transactional id.
#[test]
fn records_are_in_the_partition_of_their_name() {
    // Each internal topic of the fixture has four partitions.
    const PARTITIONS: i32 = 4;
    let mut checked = 0;
    for partition in 0..PARTITIONS {
        let suffix = format!("-{partition}/00000000000000000000.log");
        for (key, _) in distinct_records("__", &suffix, false) {
            let Some(key) = key else { continue };
            // Every key of both topics begins with `i16 type | string name`.
            let length = usize::from(u16::from_be_bytes([key[2], key[3]]));
            let name = str::from_utf8(&key[4..4 + length]).unwrap();
            assert_eq!(group_partition(name, PARTITIONS), partition, "{name}");
            checked += 1;
        }
    }
    assert!(checked > 20, "{checked}");
}

#[test]
fn transaction_records() {
    let mut statuses = BTreeSet::new();
    for (key, value) in distinct_records("__transaction_state-", ".log", false) {
        let (key, value) = (key.unwrap(), value.unwrap());
        let record = TransactionRecord::decode(&key, Some(&value)).unwrap();
        assert_eq!(record.encode().unwrap(), (key.clone(), Some(value.clone())), "{record:?}");
        assert_no_prefix_decodes(&key, |key| TransactionRecord::decode(key, None));
        assert_no_prefix_decodes(&value, |value| TransactionRecord::decode(&key, Some(value)));
        assert_damage_is_harmless(
            &value,
            |bytes| TransactionRecord::decode(&key, Some(bytes)).ok(),
            |record| record.encode().unwrap().1.unwrap(),
        );
        let TransactionRecord::State(_, Some(state)) = record else { panic!("{record:?}") };
        statuses.insert(state.transaction_status);
    }
    assert_covers(&statuses, 0..=5);
}

#[test]
fn producer_snapshots() {
    let mut entries = 0;
    for (path, file) in files("", ".snapshot") {
        let producers = producer_snapshot::decode(&file).unwrap();
        assert_eq!(producer_snapshot::encode(&producers), file, "{path:?}");
        assert_no_prefix_decodes(&file, producer_snapshot::decode);
        for index in 0..file.len() {
            let mut damaged = file.clone();
            damaged[index] ^= 0x10;
            assert!(producer_snapshot::decode(&damaged).is_err(), "{path:?} {index}");
        }
        entries += producers.len();
    }
    assert!(entries >= 5, "{entries}");
}

#[test]
fn offset_checkpoints() {
    for (path, file) in files("", "-offset-checkpoint") {
        let entries = checkpoint::parse_offsets(&file).unwrap();
        assert!(!entries.is_empty());
        let text =
            checkpoint::format_offsets(entries.iter().map(|e| (e.topic.as_str(), e.partition, e.offset)));
        assert_eq!(text.as_bytes(), file, "{path:?}");
        assert_no_prefix_decodes(&file, |bytes| {
            if bytes.is_empty() { Err(None) } else { checkpoint::parse_offsets(bytes).map_err(Some) }
        });
    }
}

#[test]
fn leader_epoch_checkpoints() {
    for (path, file) in files("", "leader-epoch-checkpoint") {
        let entries = checkpoint::parse_leader_epochs(&file).unwrap();
        assert_eq!(checkpoint::format_leader_epochs(&entries).as_bytes(), file, "{path:?}");
        assert_no_prefix_decodes(&file, |bytes| {
            if bytes.is_empty() { Err(None) } else { checkpoint::parse_leader_epochs(bytes).map_err(Some) }
        });
    }
}

#[test]
fn partition_metadata_files() {
    for (path, file) in files("", "partition.metadata") {
        let topic_id = partition_metadata::parse(&file).unwrap();
        assert_eq!(partition_metadata::format(topic_id).as_bytes(), file, "{path:?}");
        assert_no_prefix_decodes(&file, partition_metadata::parse);
    }
}

#[test]
fn quorum_states() {
    for (path, file) in files("__cluster_metadata-0", "quorum-state") {
        let state = QuorumState::parse(&file).unwrap();
        assert_eq!(state.format().as_bytes(), file, "{path:?}");
        assert_no_prefix_decodes(&file, QuorumState::parse);
    }
}

#[test]
fn meta_properties() {
    // Sun Nov 22 17:04:11 UTC 2026
    const WRITTEN: i64 = 1_795_367_051;
    for (_, file) in files("", "meta.properties") {
        let properties = MetaProperties::parse(&file).unwrap();
        assert_eq!(properties.format(WRITTEN).as_bytes(), file);
        // A cut within the last value cannot be seen, but nothing else may look like the whole.
        for end in 0..file.len() - 1 {
            assert_ne!(MetaProperties::parse(&file[..end]).as_ref(), Ok(&properties), "{end}");
        }
    }
}
