//! Whole data directories that Apache Kafka 4.1.1 wrote, stopped cleanly and killed: every log opens, holds what clients
//! saw, is left as it was; and what Kafka appended, appended here, gives Kafka's files.

use crate::model::send;
use milena_protocol::records::{Batches, Codec, HEADER_LEN, Records, decompress};
use milena_storage::config::LogConfig;
use milena_storage::file::Disk;
use milena_storage::file_name::PartitionDir;
use milena_storage::log::{Append, Log, Start};
use milena_storage::log_dir::LogDir;
use milena_storage::producers::Origin;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// See `testdata/README.md`.
const DIRECTORIES: &[u8] = include_bytes!("../../testdata/kafka-4.1.1-directories.tar.gz");
const BLOCK: usize = 512;

type Files = BTreeMap<String, Vec<u8>>;

/// The files of the archive, with the zeros at their ends that it leaves out.
pub(crate) fn unpack() -> Files {
    let tar = decompress(Codec::Gzip, DIRECTORIES, 1 << 24).unwrap();
    let (mut files, mut at) = (Files::new(), 0);
    let text = |field: &[u8]| String::from_utf8(field.split(|b| *b == 0).next().unwrap().to_vec()).unwrap();
    while tar.get(at).is_some_and(|first| *first != 0) {
        let header = &tar[at..at + BLOCK];
        let size = usize::from_str_radix(text(&header[124..136]).trim(), 8).unwrap();
        let (prefix, name) = (text(&header[345..500]), text(&header[..100]));
        let name = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
        files.insert(name, tar[at + BLOCK..at + BLOCK + size].to_vec());
        at += BLOCK + size.next_multiple_of(BLOCK);
    }
    let sizes = String::from_utf8(files.remove("sizes.tsv").unwrap()).unwrap();
    for line in sizes.lines() {
        let (name, size) = line.split_once('\t').unwrap();
        // The 10 MiB of a live index are not needed to see that it is not trusted.
        let most = if name.ends_with("index") { 1 << 16 } else { usize::MAX };
        files.get_mut(name).unwrap().resize(size.parse::<usize>().unwrap().min(most), 0);
    }
    files
}

fn write(files: &Files, kind: &str, root: &Path) {
    for (name, bytes) in files.iter().filter_map(|(name, bytes)| Some((name.strip_prefix(kind)?, bytes))) {
        let path = root.join(name.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

fn config_of(topic: &str) -> LogConfig {
    let index_interval_bytes = match topic {
        _ if topic.starts_with("codec-") => 64,
        "compacted" | "rolled" | "txn" => 128,
        _ => 4096,
    };
    let rolls = ["compacted", "rolled", "trimmed", "txn"].contains(&topic);
    LogConfig {
        index_interval_bytes,
        segment_ms: if rolls { 60_000 } else { LogConfig::default().segment_ms },
        segment_bytes: if topic == "big" { 1 << 20 } else { 1 << 30 },
        compact: topic == "compacted" || topic.starts_with("__"),
        producer_id_expiration_ms: i64::MAX,
        ..LogConfig::default()
    }
}

/// What a client saw of a partition: one line of `seen.tsv`.
struct Seen {
    kind: String,
    partition: String,
    /// Start, end, last stable offset.
    offsets: [i64; 3],
    max_timestamp: String,
    /// Lookups by time, and what they gave.
    lookups: Vec<(i64, String)>,
    count: usize,
    records: Vec<String>,
}

fn seen(files: &Files) -> Vec<Seen> {
    let text = String::from_utf8(files["seen.tsv"].clone()).unwrap();
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    text.lines()
        .map(|line| {
            let field: Vec<&str> = line.split('\t').collect();
            let lookups = words(field[6]).into_iter().map(|lookup| {
                let (after, found) = lookup.split_once('=').unwrap();
                (1_700_000_000_000 + after.parse::<i64>().unwrap(), found.to_owned())
            });
            Seen {
                kind: field[0].to_owned(),
                partition: field[1].to_owned(),
                offsets: [2, 3, 4].map(|at| field[at].parse().unwrap()),
                max_timestamp: field[5].to_owned(),
                lookups: lookups.collect(),
                count: field[7].parse().unwrap(),
                records: words(field[8]),
            }
        })
        .collect()
}

/// The records of a log as a consumer gets them: offset, timestamp, leader epoch.
fn records(log: &Log) -> Vec<String> {
    let (mut offset, mut found) = (log.start_offset(), Vec::new());
    loop {
        let bytes = log.read_batches(offset, 1 << 20).unwrap();
        if bytes.is_empty() {
            return found;
        }
        for batch in Batches::new(&bytes) {
            let (header, bytes) = batch.unwrap();
            offset = header.next_offset();
            if header.attributes.is_control() {
                continue;
            }
            let (codec, body) = (header.attributes.codec().unwrap(), &bytes[HEADER_LEN..]);
            let body =
                if codec == Codec::None { body.to_vec() } else { decompress(codec, body, 1 << 24).unwrap() };
            for record in Records::new(&body, header.record_count).map(Result::unwrap) {
                let at = header.base_offset + i64::from(record.offset_delta);
                let created = header.base_timestamp.wrapping_add(record.timestamp_delta);
                let timestamp = header.log_append_time().unwrap_or(created);
                if at >= log.start_offset() {
                    found.push(format!("{at}/{timestamp}/{}", header.partition_leader_epoch));
                }
            }
        }
    }
}

fn compare(log: &Log, seen: &Seen) {
    let what = format!("{} {}", seen.kind, seen.partition);
    assert_eq!([log.start_offset(), log.end_offset(), log.last_stable_offset()], seen.offsets, "{what}");
    let found = records(log);
    assert_eq!(found.len(), seen.count, "{what}");
    if seen.count == seen.records.len() {
        assert_eq!(found, seen.records, "{what}");
    } else {
        let ends = [found[0].clone(), found[found.len() - 1].clone()];
        assert_eq!(ends[..], seen.records[..], "{what}");
    }
    let text = |found: Option<(i64, i64)>| {
        found.map_or("-1@-1".to_owned(), |(timestamp, offset)| format!("{timestamp}@{offset}"))
    };
    for (timestamp, wanted) in &seen.lookups {
        if wanted == "-1@-1" && log.start_offset() > log.first_base_offset() {
            // Kafka looks into the first segment that reaches the time, and no further if the log starts behind it.
            continue;
        }
        assert_eq!(
            &text(log.offset_for_timestamp(*timestamp).unwrap().map(|at| (at.timestamp, at.offset))),
            wanted,
            "{what} at {timestamp}"
        );
    }
    assert_eq!(
        text(log.offset_of_max_timestamp().unwrap().map(|at| (at.timestamp, at.offset))),
        seen.max_timestamp,
        "{what}"
    );
}

#[test]
fn every_log_that_kafka_left_holds_what_clients_saw_and_stays_as_it_was() {
    let files = unpack();
    let seen = seen(&files);
    let mut compared = 0;
    for kind in ["clean", "killed"] {
        let temp = tempfile::tempdir().unwrap();
        write(&files, kind, temp.path());
        let dir = LogDir::open(Disk::new(temp.path()), 1, Some("GoldenDataOfKafka411-A"), 0).unwrap();
        assert_eq!(dir.was_clean(), kind == "clean");
        for found in dir.partitions().unwrap() {
            let (name, topic) = (found.name.to_string(), found.name.topic.clone());
            assert!(found.topic_id.is_some(), "{kind} {name}");
            let log = dir.open_log(&topic, found.name.partition, config_of(&topic), 0).unwrap();
            if let Some(seen) = seen.iter().find(|seen| seen.kind == kind && seen.partition == name) {
                compare(&log, seen);
                compared += 1;
            }
            log.close().unwrap();
            let changed = files.iter().filter(|(path, bytes)| {
                let inside = path.strip_prefix(&format!("{kind}/{name}/"));
                inside.is_some_and(|file| fs::read(found.path.join(file)).ok().as_ref() != Some(bytes))
            });
            // An epoch without records goes at every start, in Kafka, too, and comes back with the next leader.
            let epochs = |path: &&String| log.size() == 0 && path.ends_with("leader-epoch-checkpoint");
            let changed: Vec<_> = changed.map(|(path, _)| path).filter(|path| !epochs(path)).collect();
            assert!(kind == "killed" || changed.is_empty(), "{changed:?}");
        }
    }
    assert_eq!(compared, seen.len());
}

#[test]
fn what_kafka_appended_gives_kafkas_files() {
    let files = unpack();
    let mut names: Vec<&str> =
        files.keys().filter_map(|name| name.strip_prefix("clean/")?.split_once('/')).map(|n| n.0).collect();
    names.dedup();
    let mut compared = 0;
    for name in names {
        let Ok(PartitionDir { topic, .. }) = name.parse() else { continue };
        // Compaction and deletion have removed what is to be appended; or the metadata are not a client's.
        if name.ends_with("-delete")
            || ["compacted", "trimmed"].contains(&topic.as_str())
            || topic.starts_with("__")
        {
            continue;
        }
        let wanted: BTreeMap<String, &Vec<u8>> = files
            .iter()
            .filter_map(|(path, bytes)| {
                Some((path.strip_prefix(&format!("clean/{name}/"))?.to_owned(), bytes))
            })
            .filter(|(file, _)| file != "partition.metadata")
            .collect();
        let temp = tempfile::tempdir().unwrap();
        let start = Start { clean: true, ..Start::default() };
        let log = Log::open(&Disk::new(temp.path()), temp.path(), config_of(&topic), &start).unwrap();
        log.begin_epoch(0);
        for (_, bytes) in wanted.iter().filter(|(file, _)| file.ends_with(".log")) {
            for batch in Batches::new(bytes) {
                let (header, bytes) = batch.unwrap();
                let origin =
                    if header.attributes.is_control() { Origin::Coordinator } else { Origin::Client };
                let how = Append {
                    leader_epoch: header.partition_leader_epoch,
                    origin,
                    now_ms: header.max_timestamp,
                };
                assert_eq!(send(&log, bytes, &how).unwrap(), (header.base_offset, false), "{name}");
            }
        }
        log.close().unwrap();
        if log.end_offset() == 0 {
            // Files come with the first record.
            assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 0, "{name}");
            continue;
        }
        for (file, bytes) in &wanted {
            let found =
                fs::read(temp.path().join(file)).unwrap_or_else(|error| panic!("{name}/{file}: {error}"));
            assert!(found == **bytes, "{name}/{file}: {} bytes, Kafka has {}", found.len(), bytes.len());
            compared += 1;
        }
        let count = fs::read_dir(temp.path()).unwrap().count();
        assert_eq!(count, wanted.len(), "{name} has files that Kafka did not write");
    }
    assert!(compared > 100, "{compared} files");
}
