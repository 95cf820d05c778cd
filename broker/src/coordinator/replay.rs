//! Reads a partition of an internal topic into its machine.

use super::runtime::{Machine, Position};
use super::{CoordinatorError, StateLog};
use milena_protocol::records::{
    BatchHeader, Batches, Codec, EndTransactionMarker, HEADER_LEN, NO_PRODUCER_ID, Records, crc_matches,
    decompress,
};

/// Bytes asked for in one read.
const READ_BYTES: usize = 4 << 20;

/// Bytes that one compressed batch may become. Internal topics hold no batch near this size.
const UNPACKED_LIMIT: usize = 256 << 20;

/// Feeds every record from the start of the log to its end to `machine`.
pub(super) fn replay_partition<M: Machine>(
    log: &dyn StateLog,
    partition: i32,
    machine: &mut M,
) -> Result<(), CoordinatorError> {
    let mut from = log.start_offset(partition)?;
    loop {
        let bytes = log.read(partition, from, READ_BYTES)?;
        let mut batches = Batches::new(&bytes);
        let mut next = from;
        for batch in &mut batches {
            let (header, batch) = batch.map_err(|error| corrupt(partition, next, error))?;
            if header.last_offset() >= from {
                replay_batch(partition, &header, batch, from, machine)?;
            }
            next = next.max(header.next_offset());
        }
        if next == from {
            return match batches.rest() {
                [] => Ok(()),
                rest => Err(corrupt(partition, from, format!("{} bytes that are no batch", rest.len()))),
            };
        }
        from = next;
    }
}

fn replay_batch<M: Machine>(
    partition: i32,
    header: &BatchHeader,
    batch: &[u8],
    from: i64,
    machine: &mut M,
) -> Result<(), CoordinatorError> {
    let wrong = |reason: String| corrupt(partition, header.base_offset, reason);
    if !crc_matches(batch) {
        return Err(wrong("the checksum does not match".to_owned()));
    }
    let codec = header.attributes.codec().map_err(|error| wrong(format!("{error:?}")))?;
    let packed = batch.get(HEADER_LEN..).unwrap_or_default();
    let unpacked;
    let body = if codec == Codec::None {
        packed
    } else {
        unpacked = decompress(codec, packed, UNPACKED_LIMIT).map_err(|error| wrong(error.to_string()))?;
        &unpacked
    };
    let transactional = header.attributes.is_transactional();
    for record in Records::new(body, header.record_count) {
        let record = record.map_err(|error| wrong(error.to_string()))?;
        let offset = header.base_offset + i64::from(record.offset_delta);
        if offset < from {
            continue;
        }
        let Some(key) = record.key else {
            return Err(wrong(format!("the record at offset {offset} has no key")));
        };
        if header.attributes.is_control() {
            let marker = EndTransactionMarker::read(key, record.value.unwrap_or_default());
            if let Some(marker) = marker.map_err(|error| wrong(error.to_string()))? {
                machine.end_transaction(header.producer_id, marker.commit);
            }
            continue;
        }
        let producer_id = if transactional { header.producer_id } else { NO_PRODUCER_ID };
        machine.replay(Position { offset, producer_id }, key, record.value).map_err(wrong)?;
    }
    Ok(())
}

fn corrupt(partition: i32, offset: i64, reason: impl ToString) -> CoordinatorError {
    CoordinatorError::Corrupt { partition, offset, reason: reason.to_string() }
}
