use super::*;

const ID: &str = "ce76c2c733374b7580821fa8c3155440";

fn id() -> Uuid {
    Uuid::try_parse(ID).unwrap()
}

#[test]
fn segment_files_round_trip() {
    let cases = [
        ("00000000000000000000.log", 0, SegmentFileKind::Log, FileStage::Live),
        ("00000000000000000042.index", 42, SegmentFileKind::OffsetIndex, FileStage::Live),
        ("00000000000000000042.timeindex", 42, SegmentFileKind::TimeIndex, FileStage::Live),
        ("00000000000000000042.txnindex.swap", 42, SegmentFileKind::TransactionIndex, FileStage::Swap),
        ("00000000000000000042.snapshot.deleted", 42, SegmentFileKind::ProducerSnapshot, FileStage::Deleted),
        ("09223372036854775807.log.cleaned", i64::MAX, SegmentFileKind::Log, FileStage::Cleaned),
    ];
    for (name, base_offset, kind, stage) in cases {
        let file = SegmentFile { base_offset, kind, stage };
        assert_eq!(name.parse(), Ok(file), "{name}");
        assert_eq!(file.to_string(), name);
    }
    for kind in SegmentFileKind::ALL {
        for stage in [FileStage::Live, FileStage::Deleted, FileStage::Cleaned, FileStage::Swap] {
            let file = SegmentFile::live(7, kind).at(stage);
            assert_eq!(file.to_string().parse(), Ok(file));
        }
    }
}

#[test]
fn other_names_are_no_segment_files() {
    let names = [
        "",
        "0.log",
        "0000000000000000000.log",
        "000000000000000000000.log",
        "00000000000000000000",
        "00000000000000000000.",
        "00000000000000000000.logs",
        "00000000000000000000.log.",
        "00000000000000000000.log.tmp",
        "00000000000000000000.log.deleted.deleted",
        "+0000000000000000000.log",
        "-0000000000000000001.log",
        "09223372036854775808.log",
        "0000000000000000000\u{660}.log",
        "00000000000000000000-0000000000.checkpoint",
        "leader-epoch-checkpoint",
    ];
    for name in names {
        assert!(name.parse::<SegmentFile>().is_err(), "{name}");
    }
}

#[test]
fn metadata_snapshots_round_trip() {
    let part = |unique: &str| MetadataSnapshotStage::Part { unique: unique.to_owned() };
    let cases = [
        ("00000000000000000000-0000000000.checkpoint", 0, 0, MetadataSnapshotStage::Live),
        ("00000000000000000042-2147483647.checkpoint", 42, i32::MAX, MetadataSnapshotStage::Live),
        ("00000000000000000042-0000000003.checkpoint.deleted", 42, 3, MetadataSnapshotStage::Deleted),
        ("00000000000000000042-0000000003.checkpoint.part", 42, 3, part("")),
        ("00000000000000000042-0000000003-8123.checkpoint.part", 42, 3, part("8123")),
    ];
    for (name, end_offset, epoch, stage) in cases {
        let file = MetadataSnapshotFile { end_offset, epoch, stage };
        assert_eq!(file.to_string(), name);
        assert_eq!(name.parse(), Ok(file), "{name}");
    }
    let names = [
        "00000000000000000000.checkpoint",
        "00000000000000000000-0000000000",
        "00000000000000000000-2147483648.checkpoint",
        "00000000000000000000-0000000000-.checkpoint.part",
        "00000000000000000000-00000000001.checkpoint",
        "00000000000000000000-0000000000.checkpoint.tmp",
        BOOTSTRAP_CHECKPOINT,
    ];
    for name in names {
        assert!(name.parse::<MetadataSnapshotFile>().is_err(), "{name}");
    }
}

#[test]
fn partition_directories_round_trip() {
    let cases = [
        ("plain-0".to_owned(), "plain", 0, PartitionDirRole::Live),
        ("__cluster_metadata-0".to_owned(), "__cluster_metadata", 0, PartitionDirRole::Live),
        ("a-b.c-2147483647".to_owned(), "a-b.c", i32::MAX, PartitionDirRole::Live),
        ("topic--5".to_owned(), "topic-", 5, PartitionDirRole::Live),
        ("x-delete-3".to_owned(), "x-delete", 3, PartitionDirRole::Live),
        (format!("gone-0.{ID}-delete"), "gone", 0, PartitionDirRole::Deleted(id())),
        (format!("a.b-1-12.{ID}-future"), "a.b-1", 12, PartitionDirRole::Future(id())),
        (format!("a.b-1-12.{ID}-stray"), "a.b-1", 12, PartitionDirRole::Stray(id())),
    ];
    for (name, topic, partition, role) in cases {
        let dir = PartitionDir::live(topic, partition).with_role(role);
        assert_eq!(dir.to_string(), name);
        assert_eq!(name.parse(), Ok(dir), "{name}");
    }
}

#[test]
fn other_names_are_no_partition_directories() {
    let names = [
        "".to_owned(),
        "private".to_owned(),
        "-0".to_owned(),
        "topic-".to_owned(),
        "topic-00".to_owned(),
        "topic-+1".to_owned(),
        "topic-1x".to_owned(),
        "topic-2147483648".to_owned(),
        "to pic-0".to_owned(),
        "..-0".to_owned(),
        "topic-0-delete".to_owned(),
        "topic-0.abc-delete".to_owned(),
        format!("topic.{ID}-delete"),
        format!("topic-0.{}-delete", ID.to_uppercase()),
        format!("topic-0.{ID}-gone"),
        format!("{}-0", "t".repeat(MAX_TOPIC_LENGTH + 1)),
    ];
    for name in names {
        assert!(name.parse::<PartitionDir>().is_err(), "{name}");
    }
}

#[test]
fn a_long_topic_is_cut_when_its_directory_is_set_aside() {
    let topic = "t".repeat(MAX_TOPIC_LENGTH);
    for (role, suffix) in
        [(PartitionDirRole::Deleted(id()), "-delete"), (PartitionDirRole::Stray(id()), "-stray")]
    {
        let name = PartitionDir::live(topic.clone(), 17).with_role(role).to_string();
        assert_eq!(name.len(), MAX_NAME_LENGTH);
        assert!(name.ends_with(&format!("t-17.{ID}{suffix}")));
        assert!(name.parse::<PartitionDir>().is_ok());
    }
    // 255 - len("-17." + 32 + "-delete") = 212 bytes of the topic fit.
    let fits = PartitionDir::live("t".repeat(212), 17).with_role(PartitionDirRole::Deleted(id()));
    assert_eq!(fits.to_string().parse(), Ok(fits));
}
