//! Directories that Kafka wrote, opened in every state that a stop or a death of either broker leaves.

mod aborted;
mod aside;
mod gaps;

use crate::config::LogConfig;
use crate::file::Disk;
use crate::log::{Log, Start};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

/// Name, `index.interval.bytes`, end and last stable offset of the partitions in `testdata`.
const PARTITIONS: [(&str, u32, i64, i64); 4] = [
    ("compacted-0", 128, 120, 120),
    ("rolled-0", 128, 30, 30),
    ("txn-0", 128, 50, 50),
    ("txn-open-0", 4096, 12, 0),
];
/// Sizes of the indexes of an active segment while Kafka runs: entries, then zeros.
const LIVE_INDEXES: [(&str, u64); 2] = [("index", 10_485_760), ("timeindex", 10_485_756)];

type Files = BTreeMap<String, Vec<u8>>;

fn files(dir: &Path) -> Files {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.map(|name| (name.clone(), fs::read(dir.join(name)).unwrap())).collect()
}

fn of_kind(dir: &Path, kind: &str) -> Vec<String> {
    files(dir).into_keys().filter(|name| name.ends_with(kind)).collect()
}

fn grow(path: &Path, to: u64) {
    File::options().write(true).open(path).unwrap().set_len(to).unwrap();
}

fn remove(dir: &Path, names: &[String]) {
    names.iter().for_each(|name| fs::remove_file(dir.join(name)).unwrap());
}

/// Zeros behind the last segment, and indexes as they are while it grows.
fn leave_live(dir: &Path) {
    let last = of_kind(dir, ".log").pop().unwrap();
    grow(&dir.join(&last), 1 << 20);
    for (kind, length) in LIVE_INDEXES {
        grow(&dir.join(last.replace("log", kind)), length);
    }
}

fn leave_half_a_batch(dir: &Path) {
    let last = dir.join(of_kind(dir, ".log").pop().unwrap());
    let mut bytes = fs::read(&last).unwrap();
    bytes.extend_from_within(..70.min(bytes.len() - 1));
    bytes.resize(bytes.len() + 5000, 0);
    fs::write(last, bytes).unwrap();
}

fn leave_what_is_half_done(dir: &Path) {
    fs::write(dir.join("00000000000000000000.log.deleted"), "old").unwrap();
    fs::write(dir.join("00000000000000000000.log.cleaned"), "half").unwrap();
    fs::write(dir.join("leader-epoch-checkpoint.tmp"), "0").unwrap();
    fs::write(dir.join("00000000000000000099.index"), "").unwrap();
    fs::write(dir.join("00000000000000000003.snapshot"), [0, 1, 0x48, 0x67, 0x4b, 0xc7, 0, 0, 0, 0]).unwrap();
}

#[test]
fn after_any_end_the_files_of_kafka_are_as_it_closed_them() {
    type Damage = fn(&Path);
    let damages: [(&str, bool, Damage); 11] = [
        ("stopped", true, |_| {}),
        ("killed before anything was written", false, |_| {}),
        ("killed", false, leave_live),
        ("killed within an append", false, leave_half_a_batch),
        ("killed within a deletion and a compaction", false, leave_what_is_half_done),
        ("stopped, and once something was left half done", true, leave_what_is_half_done),
        ("stopped, the first index lost", true, |dir| remove(dir, &of_kind(dir, ".index")[..1])),
        ("stopped, all indexes lost", true, |dir| {
            remove(dir, &[of_kind(dir, ".index"), of_kind(dir, ".timeindex")].concat())
        }),
        ("stopped, indexes with zeros behind", true, |dir| {
            let last = of_kind(dir, ".log").pop().unwrap();
            LIVE_INDEXES
                .iter()
                .for_each(|(kind, length)| grow(&dir.join(last.replace("log", kind)), *length));
        }),
        ("killed, snapshots and aborted transactions lost", false, |dir| {
            remove(dir, &[of_kind(dir, ".snapshot"), of_kind(dir, ".txnindex")].concat());
        }),
        ("killed, leader epochs lost", false, |dir| remove(dir, &["leader-epoch-checkpoint".to_owned()])),
    ];
    for (partition, interval, end, stable) in PARTITIONS {
        let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/kafka-4.1.1").join(partition);
        let wanted = files(&original);
        for (what, clean, damage) in &damages {
            let temp = tempfile::tempdir().unwrap();
            let dir = temp.path();
            wanted.iter().for_each(|(name, bytes)| fs::write(dir.join(name), bytes).unwrap());
            damage(dir);
            let config = LogConfig {
                index_interval_bytes: interval,
                producer_id_expiration_ms: i64::MAX,
                ..LogConfig::default()
            };
            let start = Start { clean: *clean, ..Start::default() };
            let log = Log::open(&Disk::new(dir), dir, config, &start).unwrap();
            assert_eq!(
                (log.start_offset(), log.end_offset(), log.last_stable_offset()),
                (0, end, stable),
                "{partition} {what}"
            );
            assert!(live_indexes_are_sound(dir), "{partition} {what}: while the log is open");
            log.close().unwrap();
            drop(log);
            let mut wanted = wanted.clone();
            if what.contains("snapshots") {
                // Only the one at the end is made again.
                wanted
                    .retain(|name, _| !name.ends_with(".snapshot") || *name == format!("{end:020}.snapshot"));
            }
            if what.contains("epochs") && partition == "compacted-0" {
                // The first batch that compaction has left.
                wanted.insert("leader-epoch-checkpoint".to_owned(), b"0\n1\n0 87\n".to_vec());
            }
            compare(&files(dir), &wanted, partition, what);
        }
    }
}

/// Other programs may look while the log is open: the indexes of its last segment hold entries, or are not there.
fn live_indexes_are_sound(dir: &Path) -> bool {
    let last = of_kind(dir, ".log").pop().unwrap();
    LIVE_INDEXES.iter().all(|(kind, length)| {
        fs::metadata(dir.join(last.replace("log", kind))).map_or(true, |found| found.len() < *length)
    })
}

fn compare(found: &Files, wanted: &Files, partition: &str, what: &str) {
    let names = |files: &Files| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(found), names(wanted), "{partition} {what}");
    for (name, bytes) in wanted {
        assert_eq!(&found[name], bytes, "{partition} {what}: {name}");
    }
}

#[test]
fn leader_epochs_of_later_segments_outlive_a_lost_index() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/kafka-4.1.1/rolled-0");
    for (name, bytes) in files(&original) {
        fs::write(dir.join(name), bytes).unwrap();
    }
    let epochs = "0\n3\n0 0\n2 10\n5 25\n";
    fs::write(dir.join("leader-epoch-checkpoint"), epochs).unwrap();
    remove(dir, &["00000000000000000005.index".to_owned()]);
    let start = Start { clean: true, ..Start::default() };
    let log = Log::open(&Disk::new(dir), dir, LogConfig::default(), &start).unwrap();
    assert_eq!([9, 10, 24, 25].map(|offset| log.epoch_at(offset)), [0, 2, 2, 5]);
    log.close().unwrap();
    assert_eq!(fs::read_to_string(dir.join("leader-epoch-checkpoint")).unwrap(), epochs);
}
