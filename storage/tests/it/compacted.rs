//! What compaction may leave of a history.

use crate::model::{Batch, Model, Record};
use milena_protocol::records::{BatchHeader, Batches, Codec, HEADER_LEN, Records, crc_matches, decompress};
use milena_storage::log::Log;
use std::collections::{BTreeMap, BTreeSet};

/// A record with all that a reader sees.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Whole {
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
}

/// The records of a batch by their offsets.
fn records(header: &BatchHeader, batch: &[u8]) -> BTreeMap<i64, Whole> {
    let codec = header.attributes.codec().unwrap();
    let body = &batch[HEADER_LEN..];
    let unpacked =
        if codec == Codec::None { body.to_vec() } else { decompress(codec, body, 1 << 24).unwrap() };
    Records::new(&unpacked, header.record_count)
        .map(|record| {
            let record = record.unwrap();
            let whole = Whole {
                timestamp: header.base_timestamp.wrapping_add(record.timestamp_delta),
                key: record.key.map(<[u8]>::to_vec),
                value: record.value.map(<[u8]>::to_vec),
            };
            (header.base_offset + i64::from(record.offset_delta), whole)
        })
        .collect()
}

impl Model {
    /// Compares a log with this history, of which anything below `limit` may have been compacted and batches behind
    /// `whole` may be missing, and returns the history that it holds.
    pub(crate) fn compacted(&self, log: &Log, limit: i64, whole: i64) -> Self {
        let (start, end) = (log.start_offset(), self.end());
        // Producers are remembered even if nothing of them can be read.
        let below = self.batches.iter().take_while(|batch| batch.next_offset() <= start);
        let mut left: Vec<Batch> = below.cloned().collect();
        let mut offset = start;
        while offset < end {
            let bytes = log.read_batches(offset, 1 << 20).unwrap();
            if bytes.is_empty() {
                let nothing_there = self.holding(offset).is_none();
                assert!(offset >= whole || nothing_there, "nothing at {offset}, the log ends at {end}");
                break;
            }
            for batch in Batches::new(&bytes) {
                let (header, bytes) = batch.unwrap();
                assert!(header.last_offset() >= offset, "offsets ascend");
                offset = header.next_offset();
                left.push(self.is_left(&header, bytes, limit));
            }
        }
        for batch in self.batches.iter().filter(|b| b.header.base_offset >= start.max(limit)) {
            let base = batch.header.base_offset;
            let there = left.iter().any(|found| found.header.base_offset == base);
            assert!(there || batch.next_offset() > whole, "the batch at {base} is gone, whole up to {whole}");
        }
        self.check_last_values(&left, start, limit, whole);
        Self { batches: left, forgotten: self.aborted(), gone: end }
    }

    /// A batch of the log is one of the history, less some of its records.
    fn is_left(&self, header: &BatchHeader, bytes: &[u8], limit: i64) -> Batch {
        assert!(crc_matches(bytes), "a wrong CRC at offset {}", header.base_offset);
        let original = self.holding(header.base_offset).expect("a batch that was appended");
        let whole = records(header, bytes);
        if header.base_offset >= limit {
            assert!(
                bytes == original.bytes,
                "another batch than was appended, {limit}: {header:?} instead of {:?}",
                original.header
            );
        }
        let identity = |h: &BatchHeader| {
            (
                h.base_offset,
                h.last_offset(),
                h.producer_id,
                h.producer_epoch,
                h.base_sequence,
                h.partition_leader_epoch,
            )
        };
        assert_eq!(identity(header), identity(&original.header));
        let known = records(&original.header, &original.bytes);
        for (offset, record) in &whole {
            assert_eq!(Some(record), known.get(offset), "the record at {offset}");
        }
        let marker = original.marker.filter(|_| !whole.is_empty());
        let records =
            whole.iter().map(|(offset, r)| Record { timestamp: r.timestamp, offset: *offset }).collect();
        Batch { bytes: bytes.to_vec(), header: *header, marker, records }
    }

    /// Of every key the last record below `limit` and `whole` is there, or a later one, unless one says that the key is
    /// gone.
    fn check_last_values(&self, left: &[Batch], start: i64, limit: i64, whole: i64) {
        let aborted = self.aborted();
        let present: BTreeSet<i64> =
            left.iter().flat_map(|batch| batch.records.iter().map(|record| record.offset)).collect();
        let mut last = BTreeMap::new();
        let mut saved = BTreeSet::new();
        for batch in self.batches.iter().filter(|b| b.header.base_offset < limit && b.marker.is_none()) {
            let (id, base) = (batch.header.producer_id, batch.header.base_offset);
            let is_aborted = |a: &(i64, i64, i64)| a.0 == id && (a.1..a.2).contains(&base);
            if batch.header.attributes.is_transactional() && aborted.iter().any(is_aborted) {
                continue;
            }
            for (offset, record) in records(&batch.header, &batch.bytes) {
                if base < whole {
                    saved.remove(&record.key);
                    last.insert(record.key, (offset, record.value.is_some()));
                } else if record.value.is_none() || present.contains(&offset) {
                    saved.insert(record.key);
                }
            }
        }
        for (key, (offset, has_value)) in last {
            let there = present.contains(&offset) || saved.contains(&key);
            assert!(
                there || !has_value || offset < start,
                "the last record of {key:?}, at {offset}, is gone"
            );
        }
    }
}
