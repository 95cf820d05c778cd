//! What is fuzzed of batches and of the files of a data directory: one function for each way in for bytes from outside. They
//! must not panic, what they accept must hold, and they say whether it was accepted. `fuzz_targets/` runs them under
//! libFuzzer, `storage/tests/it/fuzz.rs` on every `cargo test`. Requests are in `requests.rs`, the broker's
//! configuration is in `properties.rs`.

use milena_protocol::records::{
    BatchBuilder, BatchHeader, Batches, Codec, EndTransactionMarker, HEADER_LEN, KRaftVersion, KRaftVoters,
    LOG_OVERHEAD, LeaderChange, Records, Rules, SnapshotFooter, SnapshotHeader, Target, TimestampType,
    compute_crc, crc_matches, decompress, end_transaction_batch, validate, validate_up_to,
};
use milena_protocol::stored::group::GroupRecord;
use milena_protocol::stored::meta_properties::MetaProperties;
use milena_protocol::stored::metadata::MetadataRecord;
use milena_protocol::stored::quorum_state::QuorumState;
use milena_protocol::stored::transaction::TransactionRecord;
use milena_protocol::stored::{checkpoint, partition_metadata, producer_snapshot};
use milena_storage::config::LogConfig;
use milena_storage::file::Disk;
use milena_storage::file_name::{MetadataSnapshotFile, PartitionDir, SegmentFile};
use milena_storage::log::{Append, Bound, Log, Start};
use milena_storage::producers::Origin;
use std::ffi::OsString;
use std::fs;
use std::sync::OnceLock;
use tempfile::TempDir;

/// Unpacked records beyond this are not looked at again.
const UNPACKED_MAX: usize = 1 << 22;

/// The same bytes with the CRC of each batch made right, which no mutation is.
fn sealed(data: &[u8]) -> Vec<u8> {
    let (mut bytes, mut at) = (data.to_vec(), 0);
    while let Ok(header) = BatchHeader::read(&bytes[at..]) {
        let Some(body) = bytes.get(at + HEADER_LEN..at + header.size()) else { break };
        let crc = compute_crc(&header, body);
        bytes[at..at + HEADER_LEN].copy_from_slice(&BatchHeader { crc, ..header }.to_bytes());
        at += header.size();
    }
    bytes
}

/// The records field of a Produce request: what is accepted is a whole batch with a right CRC and as many records as
/// it says.
pub(super) fn batch(data: &[u8]) -> bool {
    let mut one = data.to_vec();
    if let (Ok(length), Some(prefix)) = (i32::try_from(data.len()), one.first_chunk_mut::<LOG_OVERHEAD>()) {
        // A producer's offset, and a length that fits.
        *prefix = [0; LOG_OVERHEAD];
        prefix[8..].copy_from_slice(&(length - LOG_OVERHEAD as i32).to_be_bytes());
    }
    records(data) | records(&sealed(&one))
}

fn records(data: &[u8]) -> bool {
    let mut accepted = false;
    let rules = |compression| Rules {
        max_message_bytes: 1 << 20,
        compacted: data.len().is_multiple_of(2),
        timestamp_type: TimestampType::CreateTime,
        before_max_ms: i64::MAX,
        after_max_ms: i64::MAX,
        compression,
    };
    for target in [Target::Producer, Target::Uncompressed] {
        let at_once = validate_up_to(data, &rules(target), 0, 12, 1 << 16);
        let Ok(taken) = validate(data, &rules(target), 0, 12) else {
            assert!(
                !matches!(at_once, Ok(Some(_))),
                "what is refused is refused however little of it is looked at"
            );
            continue;
        };
        accepted = true;
        assert!(matches!(at_once, Ok(None)) || at_once.as_ref() == Ok(&Some(taken.clone())));
        let mut bytes = taken.header.to_bytes().to_vec();
        bytes.extend_from_slice(&taken.body);
        assert!(crc_matches(&bytes), "the CRC of what is appended");
        assert_eq!(BatchHeader::read(&bytes).expect("a header").size(), bytes.len());
        let codec = taken.header.attributes.codec().expect("a known codec");
        let unpacked = match codec {
            Codec::None => Ok(taken.body.to_vec()),
            _ => decompress(codec, &taken.body, UNPACKED_MAX),
        };
        if let Ok(unpacked) = unpacked {
            let count = Records::new(&unpacked, taken.header.record_count).filter(Result::is_ok).count();
            assert_eq!(count as i32, taken.header.record_count);
        }
    }
    accepted
}

fn temporary() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder")
}

/// A log file after a death of the process: the log opens, its batches are right, a second start finds the same. Whether there
/// is a batch.
pub(super) fn recovery(data: &[u8]) -> bool {
    let dir = temporary();
    // A wrong CRC ends a log: that is half of the matter.
    let bytes = if data.len().is_multiple_of(2) { data.to_vec() } else { sealed(data) };
    fs::write(dir.path().join("00000000000000000000.log"), bytes).expect("a file");
    let mut ends = Vec::new();
    for clean in [false, true] {
        let config = LogConfig { producer_id_expiration_ms: i64::MAX, ..LogConfig::default() };
        let start = Start { clean, ..Start::default() };
        let log = Log::open(&Disk::new(dir.path()), dir.path(), config, &start).expect("a log that opens");
        ends.push((log.end_offset(), log.last_stable_offset(), log.size()));
        let bytes = log.read_batches(0, usize::MAX >> 1).expect("batches");
        let mut next = 0;
        for batch in Batches::new(&bytes) {
            let (header, batch) = batch.expect("whole batches");
            assert!(crc_matches(batch) && header.base_offset >= next, "a good batch in its place");
            next = header.next_offset();
        }
        assert_eq!(next, log.end_offset());
        let _ = (log.offset_for_timestamp(0), log.offset_of_max_timestamp());
        let _ = log.read(0, 1 << 20, true, Bound::Stable);
        log.close().expect("a clean stop");
    }
    assert_eq!(ends[0], ends[1]);
    ends[0].0 > 0
}

/// A log of a few segments with an aborted transaction: its batches, and the files beside those of its segments.
struct Whole {
    batches: Vec<Vec<u8>>,
    logs: Vec<(OsString, Vec<u8>)>,
    beside: Vec<(OsString, Vec<u8>)>,
}

fn config_of_whole() -> LogConfig {
    let producer_id_expiration_ms = i64::MAX;
    LogConfig {
        segment_bytes: 700,
        index_interval_bytes: 100,
        producer_id_expiration_ms,
        ..LogConfig::default()
    }
}

fn whole() -> Whole {
    let dir = temporary();
    let log =
        Log::open(&Disk::new(dir.path()), dir.path(), config_of_whole(), &Start::default()).expect("a log");
    let mut batches = Vec::new();
    for number in 0..24 {
        let batch = if number % 8 == 7 {
            let marker = EndTransactionMarker { commit: number % 16 == 7, coordinator_epoch: 0 };
            end_transaction_batch(0, 0, number, 7, 0, marker).to_vec()
        } else {
            let mut batch = BatchBuilder::new();
            if number % 2 == 1 {
                batch = batch.producer(7, 0, number as i32 / 2 * 2).transactional(true);
            }
            batch.append(number, None, Some(b"one"), &[]);
            batch.append(number, Some(b"key"), None, &[]);
            batch.build().expect("a batch")
        };
        let header = BatchHeader::read(&batch).expect("its header");
        let how = Append { leader_epoch: number as i32 / 10, origin: Origin::Replication, now_ms: number };
        log.append(&header, &batch[HEADER_LEN..], &how).expect("appended");
    }
    let bytes = read_all(&log);
    batches.extend(Batches::new(&bytes).map(|batch| batch.expect("whole batches").1.to_vec()));
    log.close().expect("a clean stop");
    let mut files: Vec<(OsString, Vec<u8>)> = fs::read_dir(dir.path())
        .expect("its folder")
        .map(|entry| entry.expect("an entry"))
        .map(|entry| (entry.file_name(), fs::read(entry.path()).expect("a file")))
        .collect();
    files.sort();
    let (logs, beside) = files.into_iter().partition(|(name, _)| name.to_string_lossy().ends_with(".log"));
    Whole { batches, logs, beside }
}

fn read_all(log: &Log) -> Vec<u8> {
    let (mut offset, mut all) = (log.start_offset(), Vec::new());
    while offset < log.end_offset() {
        let bytes = log.read_batches(offset, 1 << 20).expect("batches");
        let last = Batches::new(&bytes).last().expect("a batch").expect("a whole one");
        offset = last.0.next_offset();
        all.extend_from_slice(&bytes);
    }
    all
}

/// A file beside the log files: indexes, producer snapshots, leader epochs. Whatever it holds, every batch is served as it was
/// appended. The first byte says which file it is and how the process ended, the second one how much of its end is missing;
/// the others change what it held, and what is more of them goes behind. Whether it is another file than before.
pub(super) fn files(data: &[u8]) -> bool {
    static WHOLE: OnceLock<Whole> = OnceLock::new();
    let Whole { batches, logs, beside } = WHOLE.get_or_init(whole);
    let Some(([how, missing], change)) = data.split_first_chunk::<2>() else { return false };
    let (clean, synced) = (how & 1 == 1, how & 2 == 2);
    let (name, before) = &beside[usize::from(how / 4) % beside.len()];
    let mut after = before.clone();
    after.resize(before.len().max(change.len()), 0);
    after.iter_mut().zip(change).for_each(|(byte, change)| *byte ^= change);
    after.truncate(after.len().saturating_sub((*missing).into()));
    let dir = temporary();
    for (name, bytes) in logs.iter().chain(beside) {
        fs::write(dir.path().join(name), bytes).expect("a file");
    }
    fs::write(dir.path().join(name), &after).expect("a file");
    let header = |batch: &Vec<u8>| BatchHeader::read(batch).expect("a header");
    let end = header(&batches[batches.len() - 1]).next_offset();
    let recovery_point = if synced { end } else { 0 };
    let start = Start { clean, recovery_point, ..Start::default() };
    let log =
        Log::open(&Disk::new(dir.path()), dir.path(), config_of_whole(), &start).expect("a log that opens");
    assert_eq!((log.start_offset(), log.end_offset()), (0, end));
    assert!(read_all(&log) == batches.concat(), "every batch as it was appended");
    for batch in batches {
        let found = log.read_batches(header(batch).last_offset(), 1).expect("a batch");
        assert!(found == *batch, "the batch that holds the offset");
        let _ = log.read(header(batch).base_offset, 1 << 20, true, Bound::Stable);
        let _ = log.offset_for_timestamp(header(batch).max_timestamp);
    }
    let _ = log.offset_of_max_timestamp();
    log.close().expect("a clean stop");
    after != *before
}

/// Notes that a reader has taken what it was given.
macro_rules! note {
    ($accepted:ident, $name:literal, $found:expr) => {
        $found.ok().inspect(|_| $accepted.push($name))
    };
}

/// The small files of a data directory, and records of the metadata log, of the coordinators' topics and of control: what is
/// read and written again is read the same. Who has taken it.
pub(super) fn stored(data: &[u8]) -> Vec<&'static str> {
    let mut accepted = Vec::new();
    if let Some(entries) = note!(accepted, "leader epochs", checkpoint::parse_leader_epochs(data)) {
        let text = checkpoint::format_leader_epochs(&entries);
        assert_eq!(checkpoint::parse_leader_epochs(text.as_bytes()), Ok(entries));
    }
    if let Some(entries) = note!(accepted, "offsets", checkpoint::parse_offsets(data)) {
        let lines = entries.iter().map(|e| (e.topic.as_str(), e.partition, e.offset));
        let text = checkpoint::format_offsets(lines.collect::<Vec<_>>().into_iter());
        assert_eq!(checkpoint::parse_offsets(text.as_bytes()), Ok(entries));
    }
    if let Some(entries) = note!(accepted, "producer snapshot", producer_snapshot::decode(data)) {
        assert_eq!(producer_snapshot::decode(&producer_snapshot::encode(&entries)), Ok(entries));
    }
    if let Some(found) = note!(accepted, "meta.properties", MetaProperties::parse(data)) {
        assert_eq!(MetaProperties::parse(found.format(0).as_bytes()), Ok(found));
    }
    if let Some(found) = note!(accepted, "quorum-state", QuorumState::parse(data)) {
        assert_eq!(QuorumState::parse(found.format().as_bytes()), Ok(found));
    }
    if let Some(id) = note!(accepted, "partition.metadata", partition_metadata::parse(data)) {
        assert_eq!(partition_metadata::parse(partition_metadata::format(id).as_bytes()), Ok(id));
    }
    if let Some(found) = note!(accepted, "metadata record", MetadataRecord::decode(data)) {
        let bytes = found.encode();
        assert_eq!(MetadataRecord::decode(&bytes).map(|again| again.encode()), Ok(bytes));
    }
    if let Ok(name) = std::str::from_utf8(data) {
        names(name, &mut accepted);
    }
    keyed(data, &mut accepted);
    accepted
}

/// Names of what lies in a data directory.
fn names(name: &str, accepted: &mut Vec<&'static str>) {
    if let Some(found) = note!(accepted, "partition's directory", name.parse::<PartitionDir>()) {
        assert_eq!(found.to_string().parse(), Ok(found));
    }
    if let Some(found) = note!(accepted, "segment's file", name.parse::<SegmentFile>()) {
        assert_eq!(found.to_string().parse(), Ok(found));
    }
    if let Some(found) = note!(accepted, "snapshot's file", name.parse::<MetadataSnapshotFile>()) {
        assert_eq!(found.to_string().parse(), Ok(found));
    }
}

/// Records that are read by their keys. The first byte says how long the key is.
fn keyed(data: &[u8], accepted: &mut Vec<&'static str>) {
    let Some((&key_length, rest)) = data.split_first() else { return };
    let (key, value) = rest.split_at(rest.len().min(key_length.into()));
    for value in [None, Some(value)] {
        if let Some(found) = note!(accepted, "group record", GroupRecord::decode(key, value))
            && let Ok((key, value)) = found.encode()
        {
            // By their bytes: a version that is no longer written may have fields that the others have not.
            let again = GroupRecord::decode(&key, value.as_deref()).expect("what is written can be read");
            assert_eq!(again.encode(), Ok((key, value)));
        }
        if let Some(found) = note!(accepted, "transaction record", TransactionRecord::decode(key, value))
            && let Ok((key, value)) = found.encode()
        {
            // By their bytes: a version that is no longer written may have fields that the others have not.
            let again =
                TransactionRecord::decode(&key, value.as_deref()).expect("what is written can be read");
            assert_eq!(again.encode(), Ok((key, value)));
        }
    }
    if let Some(Some(marker)) = note!(accepted, "marker", EndTransactionMarker::read(key, value)) {
        assert_eq!(
            EndTransactionMarker::read(&marker.control_type().key(), &marker.value()),
            Ok(Some(marker))
        );
    }
    if let Some(found) = note!(accepted, "leader change", LeaderChange::read(value)) {
        assert_eq!(LeaderChange::read(&found.value()), Ok(found));
    }
    if let Some(found) = note!(accepted, "voters", KRaftVoters::read(value)) {
        assert_eq!(KRaftVoters::read(&found.value()), Ok(found));
    }
    if let Some(found) = note!(accepted, "KRaft version", KRaftVersion::read(value)) {
        assert_eq!(KRaftVersion::read(&found.value()), Ok(found));
    }
    if let Some(found) = note!(accepted, "snapshot header", SnapshotHeader::read(value)) {
        assert_eq!(SnapshotHeader::read(&found.value()), Ok(found));
    }
    note!(accepted, "snapshot footer", SnapshotFooter::read(value));
}
