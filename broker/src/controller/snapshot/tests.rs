//! Snapshots over logs in memory: what one brings back, and when it is written.

use super::encode;
use crate::controller::testing::{Bench, MemoryLog, NOW_MS, config, dump_all};
use crate::controller::{NewTopic, Snapshot, Start};
use crate::metadata::{Image, Replay};
use milena_protocol::records::{
    BatchBuilder, BatchHeader, Batches, ControlType, HEADER_LEN, KRaftVersion, KRaftVoters, Records, Voter,
    VoterEndpoint, control_batch,
};
use milena_protocol::stored::metadata::{
    AccessControlEntryRecord, DelegationTokenRecord, FeatureLevelRecord, MetadataRecord,
    RegisterControllerRecord, RemoveAccessControlEntryRecord, RemoveDelegationTokenRecord,
    RemoveUserScramCredentialRecord, UserScramCredentialRecord,
};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use uuid::Uuid;

/// Metadata logs that Kafka 4.1.1 wrote.
const LOGS: [&[u8]; 2] = [
    include_bytes!("../../../tests/fixtures/metadata/clean.log"),
    include_bytes!("../../../tests/fixtures/metadata/killed.log"),
];

fn records(image: &Image) -> Vec<MetadataRecord> {
    let mut all = Vec::new();
    let Ok(()) = image.for_each_record(|record| {
        all.push(record);
        Ok::<_, Infallible>(())
    });
    all
}

fn read_back(image: &Image) -> Image {
    let bytes = encode(image).unwrap();
    Replay::from_snapshot(&bytes, image.offset() + 1, image.epoch()).unwrap().finish().0
}

fn values(base_offset: i64, records: &[MetadataRecord]) -> Vec<u8> {
    let mut builder = BatchBuilder::new().base_offset(base_offset).leader_epoch(3);
    for record in records {
        builder.append(1, None, Some(&record.encode()), &[]);
    }
    builder.build().unwrap()
}

fn feature() -> MetadataRecord {
    let (name, feature_level) = ("metadata.version".to_owned(), 27);
    FeatureLevelRecord { name, feature_level, ..FeatureLevelRecord::default() }.into()
}

fn create(bench: &Bench, name: &str) {
    let topic =
        NewTopic { name: name.to_owned(), partitions: 2, replication_factor: 1, ..NewTopic::default() };
    bench.controller.create_topics(vec![topic], false).unwrap().remove(0).unwrap();
}

fn snapshot_ends(bench: &Bench) -> Vec<i64> {
    bench.log.snapshots.lock().iter().map(|(end_offset, ..)| *end_offset).collect()
}

#[test]
fn a_snapshot_brings_back_what_kafka_wrote() {
    for log in LOGS {
        let bench = Bench::over(Arc::new(MemoryLog::holding(log)), Start::default()).unwrap();
        let image = bench.controller.image();
        let again = read_back(&image);
        assert_eq!(dump_all(&again), dump_all(&image));
        assert_eq!(records(&again), records(&image));
        assert_eq!(again.timestamp_ms(), image.timestamp_ms());
        assert!(again.registration(1).is_some_and(|broker| !broker.end_points.is_empty()));
    }
}

#[test]
fn what_nothing_reads_is_kept() {
    let token = |id: &str| DelegationTokenRecord { token_id: id.to_owned(), ..Default::default() };
    let scram = |name: &str, mechanism| UserScramCredentialRecord {
        name: name.to_owned(),
        mechanism,
        iterations: 4096,
        ..Default::default()
    };
    let entry = |id| AccessControlEntryRecord { id: Uuid::from_u128(id), operation: 3, ..Default::default() };
    let log: [MetadataRecord; 12] = [
        feature(),
        RegisterControllerRecord { controller_id: 1, ..Default::default() }.into(),
        token("a").into(),
        token("b").into(),
        RemoveDelegationTokenRecord { token_id: "a".to_owned(), ..Default::default() }.into(),
        scram("u", 1).into(),
        scram("u", 2).into(),
        RemoveUserScramCredentialRecord { name: "u".to_owned(), mechanism: 1, ..Default::default() }.into(),
        entry(7).into(),
        entry(8).into(),
        RemoveAccessControlEntryRecord { id: Uuid::from_u128(7), ..Default::default() }.into(),
        token("c").into(),
    ];
    let bench = Bench::over(Arc::new(MemoryLog::holding(&values(0, &log))), Start::default()).unwrap();
    let kept: Vec<MetadataRecord> = vec![
        feature(),
        RegisterControllerRecord { controller_id: 1, ..Default::default() }.into(),
        entry(8).into(),
        scram("u", 2).into(),
        token("b").into(),
        token("c").into(),
    ];
    assert_eq!(records(&bench.controller.image()), kept);
    assert_eq!(records(&read_back(&bench.controller.image())), kept);
}

#[test]
fn voters_of_a_dynamic_quorum_are_in_the_first_batch() {
    let endpoint =
        VoterEndpoint { name: "CONTROLLER".to_owned(), host: "127.0.0.1".to_owned(), port: 19_092 };
    let voter = Voter {
        id: 1,
        directory_id: Uuid::from_u128(9),
        endpoints: vec![endpoint],
        min_kraft_version: 0,
        max_kraft_version: 1,
    };
    let voters = KRaftVoters { voters: vec![voter] };
    let (version, value) = (KRaftVersion { kraft_version: 1 }.value(), voters.value());
    let head = [(ControlType::KRaftVersion, version.as_slice()), (ControlType::KRaftVoters, &value)];
    let log = [control_batch(0, 3, 1, head).unwrap(), values(2, &[feature()])].concat();
    let bench = Bench::over(Arc::new(MemoryLog::holding(&log)), Start::default()).unwrap();
    let bytes = encode(&bench.controller.image()).unwrap();
    let all: Vec<(BatchHeader, &[u8])> = Batches::new(&bytes).map(Result::unwrap).collect();
    let kinds = |(header, batch): &(BatchHeader, &[u8])| -> Vec<ControlType> {
        let records = Records::new(&batch[HEADER_LEN..], header.record_count);
        records.map(|record| ControlType::from_key(record.unwrap().key.unwrap()).unwrap()).collect()
    };
    assert_eq!(
        kinds(&all[0]),
        [ControlType::SnapshotHeader, ControlType::KRaftVersion, ControlType::KRaftVoters]
    );
    assert_eq!(kinds(&all[all.len() - 1]), [ControlType::SnapshotFooter]);
    let offsets: Vec<_> = all.iter().map(|(header, _)| (header.base_offset, header.record_count)).collect();
    assert_eq!(offsets, [(0, 3), (3, 1), (4, 1)]);
    let again = read_back(&bench.controller.image());
    assert_eq!((again.kraft_version(), again.voters()), (1, Some(&voters)));
}

#[test]
fn many_records_are_many_batches() {
    let bench = Bench::new();
    for number in 0..1100 {
        create(&bench, &format!("topic-{number}"));
    }
    let image = bench.controller.image();
    let bytes = encode(&image).unwrap();
    let counts: Vec<i32> = Batches::new(&bytes).map(|batch| batch.unwrap().0.record_count).collect();
    assert_eq!(counts[..4], [1, 1024, 1024, 1024]);
    assert_eq!(dump_all(&read_back(&image)), dump_all(&image));
}

#[test]
fn a_snapshot_is_written_when_enough_has_come_or_time_has_passed() {
    let keys = [
        ("metadata.log.max.record.bytes.between.snapshots", "2000"),
        ("metadata.log.max.snapshot.interval.ms", "60000"),
    ];
    let bench = Bench::configured(&config(&keys), Arc::default(), Start::default()).unwrap();
    bench.controller.keep_snapshots();
    assert_eq!(snapshot_ends(&bench), [0; 0], "too little came, and too little time has passed");
    let mut before = 0;
    while snapshot_ends(&bench).is_empty() {
        before = bench.log.bytes().len();
        create(&bench, &format!("t-{before}"));
        bench.controller.keep_snapshots();
    }
    assert!(before < 2000 && bench.log.bytes().len() >= 2000);
    let end = bench.controller.image().offset() + 1;
    assert_eq!(snapshot_ends(&bench), [end]);

    create(&bench, "late");
    bench.controller.keep_snapshots();
    bench.controller.clock.set(NOW_MS + 59_999);
    bench.controller.keep_snapshots();
    assert_eq!(snapshot_ends(&bench), [end]);
    bench.controller.clock.set(NOW_MS + 60_000);
    bench.controller.keep_snapshots();
    assert_eq!(snapshot_ends(&bench), [end, bench.controller.image().offset() + 1]);
    bench.controller.clock.set(NOW_MS + 600_000);
    bench.controller.keep_snapshots();
    assert_eq!(snapshot_ends(&bench).len(), 2, "nothing has changed");

    let (end_offset, epoch, bytes) = bench.log.snapshots.lock().pop().unwrap();
    let start = Start { snapshot: Some(Snapshot { bytes: &bytes, end_offset, epoch }), ..Start::default() };
    let again = Bench::over(Arc::new(MemoryLog::holding(&bench.log.bytes())), start).unwrap();
    assert_eq!(dump_all(&again.controller.image()), dump_all(&bench.controller.image()));
    again.controller.keep_snapshots();
    assert_eq!(snapshot_ends(&again), [0; 0], "all of it is in the snapshot that it started from");
}

#[test]
fn what_was_replayed_at_the_start_counts() {
    let bench = Bench::new();
    create(&bench, "a");
    let keys = [("metadata.log.max.record.bytes.between.snapshots", "100")];
    let log = Arc::new(MemoryLog::holding(&bench.log.bytes()));
    let again = Bench::configured(&config(&keys), log, Start::default()).unwrap();
    again.controller.keep_snapshots();
    assert_eq!(snapshot_ends(&again), [again.controller.image().offset() + 1]);
}

#[test]
fn no_snapshot_of_what_is_not_understood_or_not_written() {
    let keys = [("metadata.log.max.record.bytes.between.snapshots", "1")];
    let other = MetadataRecord::Other { api_key: 999, version: 0, body: b"later"[..].into() };
    let log = Arc::new(MemoryLog::holding(&values(0, &[feature(), other])));
    let bench = Bench::configured(&config(&keys), log, Start::default()).unwrap();
    bench.controller.keep_snapshots();
    assert_eq!(snapshot_ends(&bench), [0; 0], "what a later Kafka wrote would be lost");

    let bench = Bench::configured(&config(&keys), Arc::default(), Start::default()).unwrap();
    bench.log.broken.store(true, Ordering::Relaxed);
    bench.controller.keep_snapshots();
    bench.log.broken.store(false, Ordering::Relaxed);
    bench.controller.keep_snapshots();
    assert_eq!(snapshot_ends(&bench), [0; 0], "not again until something changes");
    create(&bench, "a");
    bench.controller.keep_snapshots();
    assert_eq!(snapshot_ends(&bench), [bench.controller.image().offset() + 1]);
}
