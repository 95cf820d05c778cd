//! `%020d.snapshot`: the producers of a partition up to the offset in the file name (exclusive).
//!
//! ```text
//! i16 version = 1 | u32 CRC-32C of what follows | i32 count | count x 46 bytes
//! ```

use super::error::StoredError;
use super::wire::{Reader, WireError, Writer};

const SCHEMA: &str = "ProducerSnapshot";
const VERSION: i16 = 1;
/// Version, CRC and count.
const HEADER: usize = 10;
const ENTRY: usize = 46;
/// The checksum covers what comes after it.
const CRC_END: usize = 6;

/// The last batch of a producer, and its open transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerSnapshotEntry {
    /// Id of the producer.
    pub producer_id: i64,
    /// Its epoch.
    pub producer_epoch: i16,
    /// Sequence number of its last record, -1 for none.
    pub last_sequence: i32,
    /// Offset of its last record, -1 for none.
    pub last_offset: i64,
    /// Last less first sequence number of its last batch.
    pub offset_delta: i32,
    /// Largest timestamp of its last batch, in ms since 1970.
    pub timestamp: i64,
    /// Epoch of the coordinator that wrote its last transaction marker, -1 for none.
    pub coordinator_epoch: i32,
    /// First offset of its open transaction, -1 for none.
    pub current_txn_first_offset: i64,
}

/// The contents of a snapshot file.
#[must_use]
pub fn encode(entries: &[ProducerSnapshotEntry]) -> Vec<u8> {
    let mut body = Writer::default();
    // 2^31 producers would be 92 GiB.
    body.i32(i32::try_from(entries.len()).unwrap_or(i32::MAX));
    for entry in entries {
        body.i64(entry.producer_id);
        body.i16(entry.producer_epoch);
        body.i32(entry.last_sequence);
        body.i64(entry.last_offset);
        body.i32(entry.offset_delta);
        body.i64(entry.timestamp);
        body.i32(entry.coordinator_epoch);
        body.i64(entry.current_txn_first_offset);
    }
    let body = body.into_bytes();
    let mut file = Writer::default();
    file.i16(VERSION);
    file.u32(crc32c::crc32c(&body));
    file.raw(&body);
    file.into_bytes()
}

/// Reads the contents of a snapshot file.
///
/// # Errors
///
/// [`StoredError::UnsupportedVersion`] for a version other than 1, [`StoredError::WrongCrc`] and
/// [`StoredError::WrongLength`] for damaged contents.
pub fn decode(file: &[u8]) -> Result<Vec<ProducerSnapshotEntry>, StoredError> {
    let mut reader = Reader::new(file);
    let unframed = |fault| StoredError::Unframed { schema: SCHEMA, fault };
    let version = reader.i16().map_err(unframed)?;
    if version != VERSION {
        let version = i64::from(version);
        return Err(StoredError::UnsupportedVersion {
            schema: SCHEMA,
            version,
            oldest: VERSION,
            newest: VERSION,
        });
    }
    let malformed = |fault| StoredError::Malformed { schema: SCHEMA, version, fault };
    let stored = reader.u32().map_err(malformed)?;
    let count = reader.i32().map_err(malformed)?;
    let expected = HEADER as i64 + ENTRY as i64 * i64::from(count);
    if i64::try_from(file.len()) != Ok(expected) {
        return Err(StoredError::WrongLength { schema: SCHEMA, length: file.len(), expected });
    }
    let computed = crc32c::crc32c(&file[CRC_END..]);
    if computed != stored {
        return Err(StoredError::WrongCrc { schema: SCHEMA, stored, computed });
    }
    (0..count).map(|_| entry(&mut reader)).collect::<Result<_, _>>().map_err(malformed)
}

fn entry(reader: &mut Reader<'_>) -> Result<ProducerSnapshotEntry, WireError> {
    Ok(ProducerSnapshotEntry {
        producer_id: reader.i64()?,
        producer_epoch: reader.i16()?,
        last_sequence: reader.i32()?,
        last_offset: reader.i64()?,
        offset_delta: reader.i32()?,
        timestamp: reader.i64()?,
        coordinator_epoch: reader.i32()?,
        current_txn_first_offset: reader.i64()?,
    })
}
