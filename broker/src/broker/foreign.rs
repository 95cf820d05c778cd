//! Directories of clusters with other nodes: refused in one line and left as they are, unless they are to be taken over.

use super::Broker;
use super::damage::{NOW_MS, files, open, scratch};
use crate::clock::Clock;
use crate::controller::testing::config;
use milena_protocol::records::{
    BatchBuilder, ControlType, KRaftVersion, KRaftVoters, SnapshotFooter, SnapshotHeader, Voter,
    VoterEndpoint,
};
use milena_protocol::stored::metadata::{
    FeatureLevelRecord, MetadataRecord, PartitionChangeRecord, PartitionRecord, RegisterBrokerRecord,
    RemoveTopicRecord, TopicRecord, UnregisterBrokerRecord,
};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use uuid::Uuid;

const TOPIC: Uuid = Uuid::from_u128(77);

/// What was found where.
enum Found {
    /// The voters of a snapshot.
    Snapshot(&'static [i32]),
    /// Voters in the log.
    Voters(&'static [i32]),
    /// The file `quorum-state`.
    State(&'static str),
    /// Records of the log.
    Records(Vec<MetadataRecord>),
}

fn voters(ids: &[i32]) -> [(ControlType, Vec<u8>); 2] {
    let voter = |id: &i32| Voter {
        id: *id,
        directory_id: Uuid::from_u128(1000 + *id as u128),
        endpoints: vec![VoterEndpoint { name: "CONTROLLER".into(), host: "localhost".into(), port: 9093 }],
        min_kraft_version: 0,
        max_kraft_version: 1,
    };
    [
        (ControlType::KRaftVersion, KRaftVersion { kraft_version: 1 }.value()),
        (ControlType::KRaftVoters, KRaftVoters { voters: ids.iter().map(voter).collect() }.value()),
    ]
}

fn control(records: &[(ControlType, Vec<u8>)], offset: i64) -> Vec<u8> {
    let mut batch = BatchBuilder::new().base_offset(offset).leader_epoch(1).control(true);
    for (kind, value) in records {
        batch.append(NOW_MS, Some(&kind.key()), Some(value), &[]);
    }
    batch.build().unwrap()
}

/// What `kafka-storage format` writes for a dynamic quorum.
fn snapshot(ids: &[i32]) -> Vec<u8> {
    let header = SnapshotHeader { last_contained_log_timestamp: NOW_MS }.value();
    let mut all = vec![(ControlType::SnapshotHeader, header)];
    all.extend(voters(ids));
    all.push((ControlType::SnapshotFooter, SnapshotFooter.value()));
    control(&all, 0)
}

fn records(records: &[MetadataRecord], offset: i64) -> Vec<u8> {
    let mut batch = BatchBuilder::new().base_offset(offset).leader_epoch(1);
    for record in records {
        batch.append(NOW_MS, None, Some(&record.encode()), &[]);
    }
    batch.build().unwrap()
}

/// A directory that Kafka made as node 1, with these finds in their order.
fn make(root: &Path, found: &[Found]) {
    let meta =
        "version=1\ncluster.id=4L6g3nShT-eMCtK--X86sw\nnode.id=1\ndirectory.id=ashqRF3Hsj1DG54NBa89cw\n";
    fs::write(root.join("meta.properties"), meta).unwrap();
    let dir = root.join("__cluster_metadata-0");
    fs::create_dir(&dir).unwrap();
    let level = FeatureLevelRecord {
        name: "metadata.version".into(),
        feature_level: 27,
        ..FeatureLevelRecord::default()
    };
    let (mut log, mut offset) = (records(&[level.into()], 0), 1);
    for found in found {
        match found {
            Found::Snapshot(ids) => {
                fs::write(dir.join("00000000000000000000-0000000000.checkpoint"), snapshot(ids)).unwrap();
            }
            Found::Voters(ids) => {
                log.extend(control(&voters(ids), offset));
                offset += 2;
            }
            Found::State(text) => fs::write(dir.join("quorum-state"), text).unwrap(),
            Found::Records(all) => {
                log.extend(records(all, offset));
                offset += all.len() as i64;
            }
        }
    }
    fs::write(dir.join("00000000000000000000.log"), log).unwrap();
}

fn broker(broker_id: i32) -> MetadataRecord {
    RegisterBrokerRecord { broker_id, ..RegisterBrokerRecord::default() }.into()
}

fn topic(replicas: &[i32]) -> Vec<MetadataRecord> {
    let partition = PartitionRecord {
        partition_id: 0,
        topic_id: TOPIC,
        replicas: replicas.to_vec(),
        isr: replicas.to_vec(),
        leader: 1,
        ..PartitionRecord::default()
    };
    let topic = TopicRecord { name: "orders".into(), topic_id: TOPIC, ..TopicRecord::default() };
    vec![topic.into(), partition.into()]
}

fn unregistered(broker_id: i32) -> MetadataRecord {
    UnregisterBrokerRecord { broker_id, ..UnregisterBrokerRecord::default() }.into()
}

fn reassigned(replicas: &[i32]) -> MetadataRecord {
    PartitionChangeRecord {
        partition_id: 0,
        topic_id: TOPIC,
        replicas: Some(replicas.to_vec()),
        ..PartitionChangeRecord::default()
    }
    .into()
}

const STATE_OF_ONE: &str = r#"{"leaderId":1,"leaderEpoch":1,"votedId":-1,"clusterId":"","appliedOffset":0,"currentVoters":[{"voterId":1}],"data_version":0}"#;
const STATE_OF_TWO: &str = r#"{"leaderId":2,"leaderEpoch":1,"votedId":-1,"clusterId":"","appliedOffset":0,"currentVoters":[{"voterId":1},{"voterId":2}],"data_version":0}"#;
const STATE_OF_A_BROKER: &str = r#"{"leaderId":100,"leaderEpoch":1,"votedId":-1,"clusterId":"","appliedOffset":0,"currentVoters":[],"data_version":0}"#;
/// Of a dynamic quorum, the voters of which are in the log: who led last may have left it.
const STATE_DYNAMIC: &str = r#"{"leaderId":2,"leaderEpoch":1,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_with_other_nodes_is_refused_and_left_as_it_was() {
    let gone = RemoveTopicRecord { topic_id: TOPIC, ..RemoveTopicRecord::default() };
    let cases: Vec<(Vec<Found>, Option<&str>)> = vec![
        (vec![Found::Snapshot(&[1, 2])], Some("the voters of its quorum are the nodes 1, 2")),
        (vec![Found::Snapshot(&[2])], Some("the voter of its quorum is node 2")),
        (vec![Found::Snapshot(&[1]), Found::Voters(&[1, 2, 3])], Some("are the nodes 1, 2, 3")),
        (vec![Found::State(STATE_OF_TWO)], Some("are the nodes 1, 2")),
        (vec![Found::State(STATE_OF_A_BROKER)], Some("is node 100")),
        (vec![Found::Records(vec![broker(1), broker(2)])], Some("broker 2 is registered")),
        (vec![Found::Records(topic(&[1, 2]))], Some("topic orders has replicas on broker 2")),
        (vec![Found::Records(topic(&[2]))], Some("topic orders has replicas on broker 2")),
        // A node that was one of several and is alone now.
        (vec![Found::Snapshot(&[1])], None),
        (vec![Found::Snapshot(&[1, 2]), Found::Voters(&[1]), Found::State(STATE_DYNAMIC)], None),
        (vec![Found::State(STATE_OF_ONE)], None),
        (vec![Found::State("nonsense")], None),
        (vec![Found::Records(vec![broker(1), broker(2), unregistered(2)])], None),
        (vec![Found::Records(topic(&[1, 2])), Found::Records(vec![reassigned(&[1])])], None),
        (vec![Found::Records(topic(&[1, 2])), Found::Records(vec![gone.into()])], None),
    ];
    for (number, (found, reason)) in cases.iter().enumerate() {
        let dir = scratch();
        make(dir.path(), found);
        let before = files(dir.path());
        match (open(dir.path()), reason) {
            (Ok(_), None) => {}
            (Err(text), Some(reason)) => {
                assert!(text.contains(reason) && !text.contains('\n'), "{number}: {text}");
                assert!(text.contains("milena.allow.standalone=true"), "{number}: {text}");
                assert_eq!(files(dir.path()), before, "{number}");
                take_over(dir.path());
                // `quorum-state` is written anew, all else still says who may come back.
                assert_eq!(open(dir.path()).is_err(), number != 3 && number != 4, "{number}");
            }
            (Err(text), None) => panic!("{number}: {text}"),
            (Ok(_), Some(reason)) => panic!("{number}: it was taken over although {reason}"),
        }
    }
}

fn take_over(root: &Path) {
    let config = config(&[
        ("log.dirs", root.to_str().unwrap()),
        ("listeners", "PLAINTEXT://127.0.0.1:0"),
        ("milena.allow.standalone", "true"),
    ]);
    let broker = Broker::open(&config, &Arc::new(Clock::Manual(NOW_MS.into()))).unwrap().0;
    broker.close_logs();
}
