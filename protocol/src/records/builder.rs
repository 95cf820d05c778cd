//! One batch made of records: by the coordinators, the metadata log, compaction and tests.

use super::batch::{BatchHeader, HEADER_LEN, LOG_OVERHEAD, NO_TIMESTAMP, TimestampType, compute_crc};
use super::compression::{Codec, CompressionError, Level, compress};
use super::record::{Header, varint_len, varlong_len, write_varint, write_varlong};

/// Collects records and makes them a batch.
///
/// ```
/// use milena_protocol::records::{BatchBuilder, BatchHeader, Codec, Level, crc_matches};
///
/// let mut builder = BatchBuilder::new().compression(Codec::Zstd, Level::default_of(Codec::Zstd));
/// builder.append(1_700_000_000_000, Some(b"key"), Some(b"value"), &[]);
/// let batch = builder.build()?;
/// assert!(crc_matches(&batch));
/// assert_eq!(BatchHeader::read(&batch)?.record_count, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct BatchBuilder {
    header: BatchHeader,
    codec: Codec,
    level: Level,
    /// The header's room and the records behind it, not packed.
    bytes: Vec<u8>,
    /// Where it was set rather than derived from the records.
    last_offset_delta: Option<i32>,
    log_append_time: Option<i64>,
    delete_horizon: Option<i64>,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchBuilder {
    /// An empty batch at offset 0 of leader epoch -1, of no producer, not compressed.
    pub fn new() -> Self {
        Self {
            header: BatchHeader::default(),
            codec: Codec::None,
            level: Level::default_of(Codec::None),
            bytes: vec![0; HEADER_LEN],
            last_offset_delta: None,
            log_append_time: None,
            delete_horizon: None,
        }
    }

    /// Offset of the first record.
    #[must_use]
    pub fn base_offset(mut self, base_offset: i64) -> Self {
        self.header.base_offset = base_offset;
        self
    }

    /// Epoch of the leader that appends.
    #[must_use]
    pub fn leader_epoch(mut self, leader_epoch: i32) -> Self {
        self.header.partition_leader_epoch = leader_epoch;
        self
    }

    /// The idempotent producer, and the sequence number of the first record (-1 in control batches).
    #[must_use]
    pub fn producer(mut self, id: i64, epoch: i16, base_sequence: i32) -> Self {
        self.header.producer_id = id;
        self.header.producer_epoch = epoch;
        self.header.base_sequence = base_sequence;
        self
    }

    /// Marks the batch as part of a transaction.
    #[must_use]
    pub fn transactional(mut self, transactional: bool) -> Self {
        self.header.attributes = self.header.attributes.with_transactional(transactional);
        self
    }

    /// Marks the records as control records.
    #[must_use]
    pub fn control(mut self, control: bool) -> Self {
        self.header.attributes = self.header.attributes.with_control(control);
        self
    }

    /// Codec and level to pack the records with.
    #[must_use]
    pub fn compression(mut self, codec: Codec, level: Level) -> Self {
        self.codec = codec;
        self.level = level;
        self
    }

    /// Makes the timestamps LogAppendTime, this one for all records. Milliseconds.
    #[must_use]
    pub fn log_append_time(mut self, now_ms: i64) -> Self {
        self.log_append_time = Some(now_ms);
        self
    }

    /// Time from which on compaction may drop the tombstones and markers in it. Milliseconds. To be set before the
    /// first record: it takes the base timestamp's place, and the deltas count from it.
    #[must_use]
    pub fn delete_horizon(mut self, horizon_ms: i64) -> Self {
        self.delete_horizon = Some(horizon_ms);
        self.header.base_timestamp = horizon_ms;
        self
    }

    /// The delta of the last offset that the batch stands for, where that record is gone.
    #[must_use]
    pub fn last_offset_delta(mut self, delta: i32) -> Self {
        self.last_offset_delta = Some(delta);
        self
    }

    /// Appends a record at the offset behind the last one's.
    pub fn append(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) {
        let offset_delta = self.header.last_offset_delta.wrapping_add(1);
        self.append_at(offset_delta, timestamp, key, value, headers);
    }

    /// Appends a record at this distance from the base offset. Nothing checks that distances ascend.
    pub fn append_at(
        &mut self,
        offset_delta: i32,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[Header<'_>],
    ) {
        let first = self.header.record_count == 0;
        if first && self.delete_horizon.is_none() {
            self.header.base_timestamp = timestamp;
        }
        if first || timestamp > self.header.max_timestamp {
            self.header.max_timestamp = timestamp;
        }
        let timestamp_delta = timestamp.wrapping_sub(self.header.base_timestamp);
        let length = 1
            + varlong_len(timestamp_delta)
            + varint_len(offset_delta)
            + nullable_len(key)
            + nullable_len(value)
            + varint_len(headers.len() as i32)
            + headers
                .iter()
                .map(|header| nullable_len(Some(header.key)) + nullable_len(header.value))
                .sum::<usize>();
        self.bytes.reserve(length + 5);
        write_varint(&mut self.bytes, length as i32);
        self.bytes.push(0);
        write_varlong(&mut self.bytes, timestamp_delta);
        write_varint(&mut self.bytes, offset_delta);
        write_nullable(&mut self.bytes, key);
        write_nullable(&mut self.bytes, value);
        write_varint(&mut self.bytes, headers.len() as i32);
        for header in headers {
            write_nullable(&mut self.bytes, Some(header.key));
            write_nullable(&mut self.bytes, header.value);
        }
        self.header.last_offset_delta = offset_delta;
        self.header.record_count = self.header.record_count.wrapping_add(1);
    }

    /// Records so far.
    pub fn len(&self) -> usize {
        usize::try_from(self.header.record_count).unwrap_or(0)
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.header.record_count == 0
    }

    /// Bytes of the batch by now, before compression.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// The batch with its CRC.
    ///
    /// # Errors
    /// The codec failed. More bytes than a batch can count are one, too: 2 GiB.
    pub fn build(self) -> Result<Vec<u8>, CompressionError> {
        let mut header = self.header;
        let mut bytes = self.bytes;
        if self.codec != Codec::None {
            let packed = compress(self.codec, self.level, &bytes[HEADER_LEN..])?;
            bytes.truncate(HEADER_LEN);
            bytes.extend_from_slice(&packed);
        }
        let limit = i32::MAX as usize;
        header.batch_length = i32::try_from(bytes.len() - LOG_OVERHEAD)
            .map_err(|_| CompressionError::TooLarge { codec: self.codec, limit })?;
        header.attributes =
            header.attributes.with_codec(self.codec).with_delete_horizon(self.delete_horizon.is_some());
        if let Some(delta) = self.last_offset_delta {
            header.last_offset_delta = delta;
        }
        if let Some(now) = self.log_append_time {
            header.attributes = header.attributes.with_timestamp_type(TimestampType::LogAppendTime);
            header.max_timestamp = now;
        }
        if header.record_count == 0 && self.delete_horizon.is_none() {
            header.base_timestamp = NO_TIMESTAMP;
        }
        header.crc = compute_crc(&header, &bytes[HEADER_LEN..]);
        if let Some(room) = bytes.first_chunk_mut() {
            header.write(room);
        }
        Ok(bytes)
    }
}

fn nullable_len(bytes: Option<&[u8]>) -> usize {
    match bytes {
        Some(bytes) => varint_len(bytes.len() as i32) + bytes.len(),
        None => 1,
    }
}

fn write_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => {
            write_varint(out, bytes.len() as i32);
            out.extend_from_slice(bytes);
        }
        None => write_varint(out, -1),
    }
}
