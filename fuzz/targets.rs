//! What is fuzzed: one function for each way in for bytes from outside. They must not panic, and what they accept must
//! hold. `fuzz_targets/` runs them under libFuzzer, `storage/tests/it/fuzz.rs` on every `cargo test`.

use milena_protocol::records::{
    BatchHeader, Batches, Codec, EndTransactionMarker, HEADER_LEN, KRaftVoters, LeaderChange, Records, Rules,
    Target, TimestampType, crc_matches, decompress, validate, validate_up_to,
};
use milena_protocol::stored::group::GroupRecord;
use milena_protocol::stored::metadata::MetadataRecord;
use milena_protocol::stored::transaction::TransactionRecord;
use milena_protocol::stored::{
    checkpoint, meta_properties, partition_metadata, producer_snapshot, quorum_state,
};
use milena_protocol::{frame, header, produce};
use milena_storage::config::LogConfig;
use milena_storage::file::Disk;
use milena_storage::log::{Bound, Log, Start};
use std::fs;

/// Unpacked records beyond this are not looked at again.
const UNPACKED_MAX: usize = 1 << 22;

/// The records field of a Produce request: what is accepted is a whole batch with a right CRC and as many records as
/// it says.
pub(super) fn batch(data: &[u8]) {
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
}

/// A frame from a socket, as far as it is decoded by hand: length, header, Produce body.
pub(super) fn request(data: &[u8]) {
    let _ = frame::next(data, 1 << 20);
    let _ = header::peek(data);
    for flexible in [false, true] {
        if let Ok((_, body)) = header::read(data, flexible) {
            produce_body(body);
        }
    }
    produce_body(data);
}

fn produce_body(body: &[u8]) {
    for version in 3..=13 {
        if let Ok(request) = produce::read(body, version) {
            let bytes: usize = request
                .topics
                .iter()
                .flat_map(|topic| &topic.partitions)
                .map(|partition| partition.1.map_or(0, <[u8]>::len))
                .sum();
            assert!(bytes <= body.len(), "records are borrowed from the body");
        }
    }
}

/// A log file after a death of the process: the log opens, its batches are right, a second start finds the same.
pub(super) fn recovery(data: &[u8]) {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
    fs::write(dir.path().join("00000000000000000000.log"), data).expect("a file");
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
}

/// A record of the metadata log, of the coordinators' topics, or of control: what is read and written again is written the
/// same. The first byte says how long the key is.
fn record(data: &[u8]) {
    if let Ok(found) = MetadataRecord::decode(data) {
        let bytes = found.encode();
        assert_eq!(MetadataRecord::decode(&bytes).map(|again| again.encode()), Ok(bytes));
    }
    let Some((&key_length, rest)) = data.split_first() else { return };
    let (key, value) = rest.split_at(rest.len().min(key_length.into()));
    for value in [None, Some(value)] {
        if let Ok(found) = GroupRecord::decode(key, value) {
            let _ = found.encode();
        }
        if let Ok(found) = TransactionRecord::decode(key, value) {
            let _ = found.encode();
        }
    }
    let _ = EndTransactionMarker::read(key, value);
    let _ = (LeaderChange::read(value), KRaftVoters::read(value));
}

/// The small files of a data directory: what is read and written again is read the same.
pub(super) fn stored(data: &[u8]) {
    if let Ok(entries) = checkpoint::parse_leader_epochs(data) {
        let text = checkpoint::format_leader_epochs(&entries);
        assert_eq!(checkpoint::parse_leader_epochs(text.as_bytes()).as_ref(), Ok(&entries));
    }
    if let Ok(entries) = checkpoint::parse_offsets(data) {
        let lines = entries.iter().map(|e| (e.topic.as_str(), e.partition, e.offset));
        let text = checkpoint::format_offsets(lines.collect::<Vec<_>>().into_iter());
        assert_eq!(checkpoint::parse_offsets(text.as_bytes()).map(|again| again.len()), Ok(entries.len()));
    }
    if let Ok(entries) = producer_snapshot::decode(data) {
        assert_eq!(producer_snapshot::decode(&producer_snapshot::encode(&entries)), Ok(entries));
    }
    let _ = (meta_properties::MetaProperties::parse(data), quorum_state::QuorumState::parse(data));
    let _ = partition_metadata::parse(data);
    record(data);
    let _ =
        Batches::new(data).map_while(Result::ok).map(|(header, _)| header.size()).max().unwrap_or(HEADER_LEN);
}
