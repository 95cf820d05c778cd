//! Partitions of `__consumer_offsets` that Apache Kafka 4.1.1 wrote: four, of which one is empty. Among them are offsets
//! of transactions, committed and aborted, a group of KIP-848, and tombstones.

use super::{Harness, MemoryLog, MemoryPartition};
use crate::clock::Clock;
use crate::group::consumer::hash::group_hash;
use crate::group::records::{encode, group_record, restore_group};
use crate::group::{GroupSettings, ListFilter};
use milena_protocol::stored::group::GroupRecord;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

const PARTITIONS: [&[u8]; 4] = [
    include_bytes!("kafka-4.1.1/offsets-0.log"),
    b"",
    include_bytes!("kafka-4.1.1/offsets-2.log"),
    include_bytes!("kafka-4.1.1/offsets-3.log"),
];

fn log() -> MemoryLog {
    let partitions = PARTITIONS.map(MemoryPartition::of).to_vec();
    MemoryLog { partitions: Mutex::new(partitions), ..MemoryLog::default() }
}

fn harness() -> Harness {
    // Not long after it was written, so that nothing is expired.
    let clock = Clock::Manual(1_796_000_000_000.into());
    Harness::over(Arc::new(log()), Arc::new(clock), GroupSettings::default())
}

#[test]
fn groups_and_offsets_are_those_that_kafka_showed() {
    let harness = harness();
    let listed = harness.groups.list(&ListFilter::default()).unwrap();
    let listed: Vec<String> = listed
        .iter()
        .map(|group| {
            [&group.group_id.0, &group.group_type, &group.group_state, &group.protocol_type]
                .map(|part| part.as_str())
                .join(" ")
        })
        .collect();
    assert_eq!(
        listed,
        [
            "g-classic classic Empty consumer",
            "g-live classic Stable consumer",
            "g-live-next consumer Stable consumer",
            "g-next consumer Empty consumer",
            "g-simple classic Empty ",
            "g-txn classic Empty ",
        ]
    );
    for group in ["g-classic", "g-live", "g-live-next", "g-next"] {
        let offsets = [0, 1, 2, 3].map(|partition| harness.fetch(group, "group-in", partition));
        assert_eq!(offsets, [(10, 0), (7, 0), (3, 0), (1, 0)], "{group}");
    }
    // The later commit to partition 0, of 9, was aborted.
    assert_eq!([0, 1].map(|partition| harness.fetch("g-txn", "group-in", partition)), [(4, 0), (5, 0)]);
    let simple = harness.groups.fetch_offsets("g-simple", None, None, true).unwrap();
    let simple: Vec<_> = simple[0]
        .partitions
        .iter()
        .map(|p| {
            (p.partition_index, p.committed_offset, p.committed_leader_epoch, p.metadata.as_deref().unwrap())
        })
        .collect();
    assert_eq!(simple, [(0, 17, 0, "by hand: \u{17e}lu\u{165}ou\u{10d}k\u{fd}"), (2, 4, -1, "")]);
}

#[test]
fn a_member_that_kafka_knew_goes_on_here() {
    let harness = harness();
    let described = harness.groups.describe("g-live").unwrap();
    let member = &described.members[0];
    assert_eq!(&*described.protocol_data, "cooperative-sticky");
    assert_eq!((member.group_instance_id.as_deref(), &*member.client_id), (Some("static-1"), "c-g-live"));
    assert_eq!(&*member.client_host, "/127.0.0.1");
    assert!(!member.member_assignment.is_empty());
}

#[test]
fn the_hash_over_the_topics_of_a_group_is_the_one_that_kafka_wrote() {
    let (mut hashes, mut topics, mut counts) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
    for (_, record) in log().records() {
        match record {
            GroupRecord::ConsumerGroupMetadata(group, Some(value)) if value.metadata_hash != 0 => {
                hashes.push((group, value.metadata_hash));
            }
            GroupRecord::ConsumerGroupMemberMetadata(key, Some(value)) => {
                topics.insert(key.group_id, value.subscribed_topic_names);
            }
            GroupRecord::ConsumerGroupTargetAssignmentMember(key, Some(value)) => {
                for topic in value.topic_partitions {
                    let count: &mut (Uuid, i32) = counts.entry(key.group_id.clone()).or_default();
                    let highest = topic.partitions.iter().max().map_or(0, |highest| highest + 1);
                    *count = (topic.topic_id, count.1.max(highest));
                }
            }
            _ => {}
        }
    }
    assert!(!hashes.is_empty());
    for (group, hash) in hashes {
        let ((id, partitions), names) = (counts[&group], &topics[&group]);
        assert_eq!(names.len(), 1, "{group}");
        assert_eq!(group_hash([(names[0].as_str(), id, partitions)].into_iter()), hash, "{group}");
    }
}

#[test]
fn records_are_written_byte_for_byte_as_kafka_did() {
    let mut seen = 0;
    let rewritten = log().map_records(|_, key, value| {
        let original = (key.to_vec(), value.map(<[u8]>::to_vec));
        let record = match GroupRecord::decode(key, value).unwrap() {
            GroupRecord::GroupMetadata(id, Some(value)) => {
                group_record(&restore_group(Arc::from(id), value), |member| member.assignment.clone())
            }
            record => record,
        };
        Some((encode(&record).unwrap(), original))
    });
    for (ours, theirs) in rewritten.into_iter().flatten() {
        assert_eq!(ours, theirs);
        seen += 1;
    }
    assert!(seen > 15, "{seen}");
}
