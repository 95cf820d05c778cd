//! What becomes of one batch (Kafka: `Cleaner.cleanInto`, `MemoryRecords.filterTo`).
//!
//! | batch | what is written |
//! |---|---|
//! | of an aborted transaction | nothing; its header if it must stay |
//! | marker of a transaction of which nothing is left, delete horizon passed | nothing; its header if it must stay |
//! | the same, horizon to come | as it is |
//! | the same, without a horizon | the marker, with the horizon `now + delete.retention.ms` |
//! | other control batch | as it is |
//! | every record stays, and no tombstone asks for a horizon | as it is, byte by byte |
//! | some records stay | those, packed with the same codec, with a horizon if there is a tombstone among them |
//! | no record stays | nothing; its header if it must stay |
//!
//! A batch must stay if it is the last one of an active producer, which the next start learns the producer's sequence
//! and epoch from, or the last one of the cleaned range. A header without records takes 61 bytes.
//!
//! A record stays if it lies behind the mapped range; or it has a key, no later record of the mapped range has the same
//! one, and it has a value or, as a tombstone, still has to be seen. Base and last offset, sequence, producer and leader
//! epoch of a batch never change.

use super::offset_map::OffsetMap;
use super::transactions::Transactions;
use crate::index::aborted::AbortedTransaction;
use milena_protocol::records::{
    Attributes, BatchHeader, Codec, HEADER_LEN, LOG_OVERHEAD, Level, NO_TIMESTAMP, Record, TimestampType,
    compress, compute_crc, decompress, read_varint, read_varlong, varlong_len, write_varint, write_varlong,
};
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

/// Unpacked size of a batch beyond which it is taken for a trap: far above what a client may send.
const INFLATED_MAX: usize = 1 << 30;

/// The last that is in the log of an active producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LastOfProducer {
    /// A batch of records that ends at this offset.
    Records(i64),
    /// A marker in this epoch.
    Marker(i16),
}

/// The keys of the mapped range, and where that ends.
pub(super) struct Mapped {
    /// Keys to last offsets.
    pub(super) offsets: OffsetMap,
    /// The offset behind the range.
    pub(super) end: i64,
}

/// Decides what of each batch stays.
pub(super) struct Filter<'a> {
    pub(super) mapped: &'a Mapped,
    pub(super) now_ms: i64,
    pub(super) delete_retention_ms: i64,
    /// The offset at which the range that is cleaned ends.
    pub(super) upper: i64,
    pub(super) producers: HashMap<i64, LastOfProducer>,
    /// Records that came, that stayed, and that have no key.
    pub(super) records: RecordCounts,
    scratch: Vec<Range<usize>>,
}

/// Records of a pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RecordCounts {
    pub(super) read: u64,
    pub(super) kept: u64,
    pub(super) keyless: u64,
}

/// What was appended to the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Written {
    /// The header as it is now.
    pub(super) header: BatchHeader,
    /// The transaction whose marker it is, for the segment's index.
    pub(super) aborted: Option<AbortedTransaction>,
    /// Its bytes are as they were written.
    pub(super) is_sound: bool,
}

/// The records of a batch that stay, as ranges of its plain body.
struct Kept {
    count: i32,
    tombstone: bool,
    first_timestamp: i64,
    max_timestamp: i64,
}

impl<'a> Filter<'a> {
    pub(super) fn new(
        mapped: &'a Mapped,
        now_ms: i64,
        delete_retention_ms: i64,
        upper: i64,
        producers: HashMap<i64, LastOfProducer>,
    ) -> Self {
        let (records, scratch) = (RecordCounts::default(), Vec::new());
        Self { mapped, now_ms, delete_retention_ms, upper, producers, records, scratch }
    }

    /// Appends to `out` what stays of a batch. `None`: nothing.
    ///
    /// # Errors
    /// Why the batch cannot be read.
    pub(super) fn batch(
        &mut self,
        header: &BatchHeader,
        batch: &[u8],
        transactions: &mut Transactions,
        out: &mut Vec<u8>,
    ) -> Result<Option<Written>, String> {
        let body = &batch[HEADER_LEN..];
        let seen = transactions.next(header, body).ok_or("its control record cannot be read")?;
        let written = |header| Some(Written { header, aborted: seen.aborted, is_sound: true });
        self.records.read += u64::from(header.record_count.unsigned_abs());
        let must_stay = self.must_stay(header);
        let is_control = header.attributes.is_control();
        let discard = seen.discardable && (!is_control || self.horizon_passed(header));
        if discard || header.record_count == 0 {
            return Ok(must_stay.then(|| append_empty(header, out)).and_then(written));
        }
        let records = unpacked(header, body)?;
        let body = &*records;
        let mut runs = std::mem::take(&mut self.scratch);
        runs.clear();
        let kept = self.records_that_stay(header, body, &mut runs)?;
        self.records.kept += u64::from(kept.count.unsigned_abs());
        let new_horizon =
            (kept.tombstone || seen.discardable && is_control) && !header.attributes.has_delete_horizon();
        let done = if kept.count == 0 {
            must_stay.then(|| append_empty(header, out))
        } else if kept.count == header.record_count && !new_horizon {
            out.extend_from_slice(batch);
            Some(*header)
        } else {
            let horizon = if new_horizon {
                Some(self.now_ms.saturating_add(self.delete_retention_ms))
            } else {
                horizon_of(header)
            };
            Some(append_rebuilt(header, body, &runs, &kept, horizon, out)?)
        };
        self.scratch = runs;
        Ok(done.and_then(written))
    }

    fn must_stay(&self, header: &BatchHeader) -> bool {
        if header.next_offset() == self.upper {
            return true;
        }
        header.producer_id >= 0
            && match self.producers.get(&header.producer_id) {
                Some(LastOfProducer::Records(last)) => header.last_offset() == *last,
                Some(LastOfProducer::Marker(epoch)) => {
                    header.attributes.is_control() && header.producer_epoch == *epoch
                }
                None => false,
            }
    }

    fn horizon_passed(&self, header: &BatchHeader) -> bool {
        horizon_of(header).is_some_and(|horizon| horizon <= self.now_ms)
    }

    /// Walks the records; `runs` gets the ranges of the body that stay, neighbours joined.
    fn records_that_stay(
        &mut self,
        header: &BatchHeader,
        body: &[u8],
        runs: &mut Vec<Range<usize>>,
    ) -> Result<Kept, String> {
        let is_control = header.attributes.is_control();
        let tombstones_stay = !self.horizon_passed(header);
        let mut kept =
            Kept { count: 0, tombstone: false, first_timestamp: NO_TIMESTAMP, max_timestamp: NO_TIMESTAMP };
        let mut rest = body;
        for _ in 0..header.record_count {
            let start = body.len() - rest.len();
            let record = Record::read(&mut rest).map_err(|e| e.to_string())?;
            let end = body.len() - rest.len();
            let stays = is_control || self.stays(header, &record, tombstones_stay);
            if !stays {
                continue;
            }
            let timestamp = header
                .log_append_time()
                .unwrap_or_else(|| header.base_timestamp.wrapping_add(record.timestamp_delta));
            if kept.count == 0 {
                (kept.first_timestamp, kept.max_timestamp) = (timestamp, timestamp);
            }
            kept.max_timestamp = kept.max_timestamp.max(timestamp);
            kept.count += 1;
            kept.tombstone |= record.value.is_none();
            match runs.last_mut() {
                Some(run) if run.end == start => run.end = end,
                _ => runs.push(start..end),
            }
        }
        if !rest.is_empty() {
            return Err(format!("there are {} bytes behind its last record", rest.len()));
        }
        Ok(kept)
    }

    fn stays(&mut self, header: &BatchHeader, record: &Record<'_>, tombstones_stay: bool) -> bool {
        let offset = header.base_offset + i64::from(record.offset_delta);
        if offset >= self.mapped.end {
            return true;
        }
        let Some(key) = record.key else {
            self.records.keyless += 1;
            return false;
        };
        (record.value.is_some() || tombstones_stay) && offset >= self.mapped.offsets.get(key)
    }
}

/// The records of a batch.
pub(super) fn unpacked<'a>(header: &BatchHeader, body: &'a [u8]) -> Result<Cow<'a, [u8]>, String> {
    match header.attributes.codec().map_err(|e| e.to_string())? {
        Codec::None => Ok(Cow::Borrowed(body)),
        codec => decompress(codec, body, INFLATED_MAX).map(Cow::Owned).map_err(|e| e.to_string()),
    }
}

/// Calls `visit` with the offset and key of every record that has one, until it answers `false`.
pub(super) fn for_each_key(
    header: &BatchHeader,
    mut rest: &[u8],
    mut visit: impl FnMut(&[u8], i64) -> bool,
) -> Result<bool, String> {
    for _ in 0..header.record_count {
        let record = Record::read(&mut rest).map_err(|e| e.to_string())?;
        let offset = header.base_offset + i64::from(record.offset_delta);
        if record.key.is_some_and(|key| !visit(key, offset)) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn horizon_of(header: &BatchHeader) -> Option<i64> {
    header.attributes.has_delete_horizon().then_some(header.base_timestamp)
}

/// A header without records, which keeps what the log needs to know of the batch.
fn append_empty(header: &BatchHeader, out: &mut Vec<u8>) -> BatchHeader {
    let attributes = Attributes::default()
        .with_timestamp_type(header.attributes.timestamp_type())
        .with_transactional(header.attributes.is_transactional())
        .with_control(header.attributes.is_control());
    let mut empty = BatchHeader {
        batch_length: (HEADER_LEN - LOG_OVERHEAD) as i32,
        attributes,
        base_timestamp: NO_TIMESTAMP,
        record_count: 0,
        ..*header
    };
    empty.crc = compute_crc(&empty, &[]);
    out.extend_from_slice(&empty.to_bytes());
    empty
}

/// The batch with the records of `runs` alone.
fn append_rebuilt(
    header: &BatchHeader,
    body: &[u8],
    runs: &[Range<usize>],
    kept: &Kept,
    horizon: Option<i64>,
    out: &mut Vec<u8>,
) -> Result<BatchHeader, String> {
    let codec = header.attributes.codec().map_err(|e| e.to_string())?;
    let base_timestamp = horizon.unwrap_or(kept.first_timestamp);
    let appended = header.attributes.timestamp_type() == TimestampType::LogAppendTime;
    let start = out.len();
    out.resize(start + HEADER_LEN, 0);
    if base_timestamp == header.base_timestamp && !appended {
        runs.iter().for_each(|run| out.extend_from_slice(&body[run.clone()]));
    } else {
        for run in runs {
            let mut rest = &body[run.clone()];
            while !rest.is_empty() {
                append_shifted(header, base_timestamp, &mut rest, out).map_err(|e| e.to_string())?;
            }
        }
    }
    if codec != Codec::None {
        let packed = compress(codec, Level::default_of(codec), &out[start + HEADER_LEN..])
            .map_err(|e| e.to_string())?;
        out.truncate(start + HEADER_LEN);
        out.extend_from_slice(&packed);
    }
    let size = out.len() - start;
    let mut rebuilt = BatchHeader {
        batch_length: i32::try_from(size - LOG_OVERHEAD).map_err(|_| "it would be too large")?,
        attributes: header.attributes.with_delete_horizon(horizon.is_some()),
        base_timestamp,
        max_timestamp: kept.max_timestamp,
        record_count: kept.count,
        ..*header
    };
    rebuilt.crc = compute_crc(&rebuilt, &out[start + HEADER_LEN..]);
    out[start..start + HEADER_LEN].copy_from_slice(&rebuilt.to_bytes());
    Ok(rebuilt)
}

/// Copies one record, its timestamp counted from another base.
fn append_shifted(
    header: &BatchHeader,
    base_timestamp: i64,
    rest: &mut &[u8],
    out: &mut Vec<u8>,
) -> Result<(), milena_protocol::records::RecordError> {
    // The records were read to their ends before.
    let length = read_varint(rest)?;
    let (mut fields, behind) = rest.split_at(length as usize);
    *rest = behind;
    let attributes = fields[0];
    fields = &fields[1..];
    let delta = read_varlong(&mut fields)?;
    let timestamp = header.log_append_time().unwrap_or_else(|| header.base_timestamp.wrapping_add(delta));
    let shifted = timestamp.wrapping_sub(base_timestamp);
    write_varint(out, (1 + varlong_len(shifted) + fields.len()) as i32);
    out.push(attributes);
    write_varlong(out, shifted);
    out.extend_from_slice(fields);
    Ok(())
}
