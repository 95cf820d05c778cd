//! The fixed header of a batch and the walk over whole batches.

use thiserror::Error;

use super::compression::Codec;
use super::crc::CRC_START;

/// Bytes of a batch header.
pub const HEADER_LEN: usize = 61;
/// Bytes in front of what `batch_length` counts: base offset and the length itself.
pub const LOG_OVERHEAD: usize = 12;
/// The only format version there is since Kafka 4.0.
pub const MAGIC: i8 = 2;
/// Producer id of a batch of no idempotent producer.
pub const NO_PRODUCER_ID: i64 = -1;
/// Producer epoch of a batch of no idempotent producer.
pub const NO_PRODUCER_EPOCH: i16 = -1;
/// Base sequence of a batch without sequence numbers; control batches have none either.
pub const NO_SEQUENCE: i32 = -1;
/// Timestamp of a record that has none.
pub const NO_TIMESTAMP: i64 = -1;

const LENGTH_AT: usize = 8;
const MAGIC_AT: usize = 16;
const CRC_AT: usize = 17;

/// Why bytes are not a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BatchError {
    /// Fewer bytes than a header.
    #[error("a batch header takes {HEADER_LEN} bytes, only {have} are there")]
    Truncated {
        /// Bytes that are there.
        have: usize,
    },
    /// A format version other than 2.
    #[error("magic {0} is not supported, only 2 is")]
    Magic(i8),
    /// A length that does not even cover the header.
    #[error("batch length {0} is less than the 49 bytes of its own header")]
    Length(i32),
}

/// Codec id 5, 6 or 7: no such codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("unknown compression codec {0}")]
pub struct UnknownCodec(pub u8);

/// What the timestamps of a batch's records mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimestampType {
    /// The producer's clock, one timestamp a record.
    #[default]
    CreateTime,
    /// The broker's clock at the append: the batch's max timestamp holds for every record.
    LogAppendTime,
}

/// The attribute bits of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attributes(pub i16);

impl Attributes {
    const CODEC: i16 = 0x07;
    const LOG_APPEND_TIME: i16 = 0x08;
    const TRANSACTIONAL: i16 = 0x10;
    const CONTROL: i16 = 0x20;
    const DELETE_HORIZON: i16 = 0x40;

    /// The codec of the records.
    ///
    /// # Errors
    /// Ids 5 to 7 name no codec.
    #[inline]
    pub fn codec(self) -> Result<Codec, UnknownCodec> {
        let id = (self.0 & Self::CODEC) as u8;
        Codec::from_id(id).ok_or(UnknownCodec(id))
    }

    /// Bit 3.
    #[inline]
    pub fn timestamp_type(self) -> TimestampType {
        if self.0 & Self::LOG_APPEND_TIME == 0 {
            TimestampType::CreateTime
        } else {
            TimestampType::LogAppendTime
        }
    }

    /// Bit 4: the batch belongs to a transaction.
    #[inline]
    pub fn is_transactional(self) -> bool {
        self.0 & Self::TRANSACTIONAL != 0
    }

    /// Bit 5: the records are control records, which applications do not see.
    #[inline]
    pub fn is_control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }

    /// Bit 6 (KIP-534): the base timestamp is the time from which on tombstones may go.
    #[inline]
    pub fn has_delete_horizon(self) -> bool {
        self.0 & Self::DELETE_HORIZON != 0
    }

    /// The same with another codec.
    #[inline]
    #[must_use]
    pub fn with_codec(self, codec: Codec) -> Self {
        Self(self.0 & !Self::CODEC | i16::from(codec.id()))
    }

    /// The same with another timestamp type.
    #[inline]
    #[must_use]
    pub fn with_timestamp_type(self, timestamp_type: TimestampType) -> Self {
        self.with_bit(Self::LOG_APPEND_TIME, timestamp_type == TimestampType::LogAppendTime)
    }

    /// The same, in or outside a transaction.
    #[inline]
    #[must_use]
    pub fn with_transactional(self, transactional: bool) -> Self {
        self.with_bit(Self::TRANSACTIONAL, transactional)
    }

    /// The same with control or application records.
    #[inline]
    #[must_use]
    pub fn with_control(self, control: bool) -> Self {
        self.with_bit(Self::CONTROL, control)
    }

    /// The same with or without a delete horizon in place of the base timestamp.
    #[inline]
    #[must_use]
    pub fn with_delete_horizon(self, delete_horizon: bool) -> Self {
        self.with_bit(Self::DELETE_HORIZON, delete_horizon)
    }

    #[inline]
    fn with_bit(self, bit: i16, on: bool) -> Self {
        Self(if on { self.0 | bit } else { self.0 & !bit })
    }
}

/// The 13 fields of a batch header, as they are on disk and on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record; 0 from clients.
    pub base_offset: i64,
    /// Bytes behind this field, 49 at least.
    pub batch_length: i32,
    /// Epoch of the leader that appended the batch.
    pub partition_leader_epoch: i32,
    /// Format version, 2.
    pub magic: i8,
    /// CRC-32C of everything from the attributes on.
    pub crc: u32,
    /// Codec and flags.
    pub attributes: Attributes,
    /// Offset of the last record less the base offset; stays when compaction removes that record.
    pub last_offset_delta: i32,
    /// Milliseconds that the records' deltas count from, -1 in an empty batch.
    pub base_timestamp: i64,
    /// Milliseconds.
    pub max_timestamp: i64,
    /// -1: none.
    pub producer_id: i64,
    /// -1: none.
    pub producer_epoch: i16,
    /// Sequence number of the first record, -1: none.
    pub base_sequence: i32,
    /// Records in the batch.
    pub record_count: i32,
}

impl Default for BatchHeader {
    /// An empty batch of nobody at offset 0; its CRC is not filled in.
    fn default() -> Self {
        Self {
            base_offset: 0,
            batch_length: (HEADER_LEN - LOG_OVERHEAD) as i32,
            partition_leader_epoch: -1,
            magic: MAGIC,
            crc: 0,
            attributes: Attributes(0),
            last_offset_delta: -1,
            base_timestamp: NO_TIMESTAMP,
            max_timestamp: NO_TIMESTAMP,
            producer_id: NO_PRODUCER_ID,
            producer_epoch: NO_PRODUCER_EPOCH,
            base_sequence: NO_SEQUENCE,
            record_count: 0,
        }
    }
}

impl BatchHeader {
    /// Reads the header at the start of `bytes`. The rest of the batch need not be there, and the CRC is not looked at.
    ///
    /// # Errors
    /// Fewer than 61 bytes, a magic other than 2, or a length below 49.
    #[inline]
    pub fn read(bytes: &[u8]) -> Result<Self, BatchError> {
        let Some(h) = bytes.first_chunk::<HEADER_LEN>() else {
            return Err(BatchError::Truncated { have: bytes.len() });
        };
        let magic = h[MAGIC_AT] as i8;
        if magic != MAGIC {
            return Err(BatchError::Magic(magic));
        }
        let batch_length = i32::from_be_bytes(part(h, LENGTH_AT));
        if batch_length < (HEADER_LEN - LOG_OVERHEAD) as i32 {
            return Err(BatchError::Length(batch_length));
        }
        Ok(Self {
            base_offset: i64::from_be_bytes(part(h, 0)),
            batch_length,
            partition_leader_epoch: i32::from_be_bytes(part(h, 12)),
            magic,
            crc: u32::from_be_bytes(part(h, CRC_AT)),
            attributes: Attributes(i16::from_be_bytes(part(h, CRC_START))),
            last_offset_delta: i32::from_be_bytes(part(h, 23)),
            base_timestamp: i64::from_be_bytes(part(h, 27)),
            max_timestamp: i64::from_be_bytes(part(h, 35)),
            producer_id: i64::from_be_bytes(part(h, 43)),
            producer_epoch: i16::from_be_bytes(part(h, 51)),
            base_sequence: i32::from_be_bytes(part(h, 53)),
            record_count: i32::from_be_bytes(part(h, 57)),
        })
    }

    /// Writes all fields as they are, the CRC too.
    #[inline]
    pub fn write(&self, out: &mut [u8; HEADER_LEN]) {
        out[0..8].copy_from_slice(&self.base_offset.to_be_bytes());
        out[8..12].copy_from_slice(&self.batch_length.to_be_bytes());
        out[12..16].copy_from_slice(&self.partition_leader_epoch.to_be_bytes());
        out[16] = self.magic as u8;
        out[17..21].copy_from_slice(&self.crc.to_be_bytes());
        out[21..23].copy_from_slice(&self.attributes.0.to_be_bytes());
        out[23..27].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        out[27..35].copy_from_slice(&self.base_timestamp.to_be_bytes());
        out[35..43].copy_from_slice(&self.max_timestamp.to_be_bytes());
        out[43..51].copy_from_slice(&self.producer_id.to_be_bytes());
        out[51..53].copy_from_slice(&self.producer_epoch.to_be_bytes());
        out[53..57].copy_from_slice(&self.base_sequence.to_be_bytes());
        out[57..61].copy_from_slice(&self.record_count.to_be_bytes());
    }

    /// The header as bytes.
    #[inline]
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        self.write(&mut out);
        out
    }

    /// Bytes of the whole batch. A length below zero, which [`BatchHeader::read`] refuses, counts as none.
    #[inline]
    pub fn size(&self) -> usize {
        LOG_OVERHEAD + usize::try_from(self.batch_length).unwrap_or(0)
    }

    /// Offset of the last record.
    #[inline]
    pub fn last_offset(&self) -> i64 {
        self.base_offset.wrapping_add(i64::from(self.last_offset_delta))
    }

    /// Offset of the next batch in an uncompacted log.
    #[inline]
    pub fn next_offset(&self) -> i64 {
        self.last_offset().wrapping_add(1)
    }

    /// Sequence number of the last record; behind `i32::MAX` comes 0. -1 where there are no sequence numbers.
    #[inline]
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence == NO_SEQUENCE {
            return NO_SEQUENCE;
        }
        let last = i64::from(self.base_sequence) + i64::from(self.last_offset_delta);
        let wrapped = if last > i64::from(i32::MAX) { last - i64::from(i32::MAX) - 1 } else { last };
        wrapped as i32
    }

    /// Timestamp that every record has in place of its own, in a batch of [`TimestampType::LogAppendTime`].
    #[inline]
    pub fn log_append_time(&self) -> Option<i64> {
        (self.attributes.timestamp_type() == TimestampType::LogAppendTime).then_some(self.max_timestamp)
    }
}

#[inline]
fn part<const N: usize>(header: &[u8; HEADER_LEN], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&header[at..at + N]);
    out
}

/// Whether the stored CRC is that of the bytes of this one whole batch. Bytes shorter than a header never match.
#[inline]
pub fn crc_matches(batch: &[u8]) -> bool {
    match batch.first_chunk::<HEADER_LEN>() {
        Some(h) => u32::from_be_bytes(part(h, CRC_AT)) == crc32c::crc32c(&batch[CRC_START..]),
        None => false,
    }
}

/// The CRC a batch of this header and these (maybe compressed) records has to have.
#[inline]
pub fn compute_crc(header: &BatchHeader, body: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&header.to_bytes()[CRC_START..]), body)
}

/// Walks the whole batches of `bytes`, each with all its bytes, header included.
///
/// Ends at the end, and before a last batch that is not all there. A batch that cannot be one (magic, length) is
/// the last item, as an error; zeros, as of a preallocated file, are such. [`Batches::position`] tells where the
/// walk stands. CRCs are not looked at.
#[derive(Debug, Clone)]
pub struct Batches<'a> {
    bytes: &'a [u8],
    position: usize,
    failed: bool,
}

impl<'a> Batches<'a> {
    /// Starts at the first byte of `bytes`.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0, failed: false }
    }

    /// Bytes of the batches given out so far.
    #[inline]
    pub fn position(&self) -> usize {
        self.position
    }

    /// The bytes that were not given out: nothing, a partial batch, or what is broken.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        &self.bytes[self.position..]
    }

    fn fail(&mut self, error: BatchError) -> Option<Result<(BatchHeader, &'a [u8]), BatchError>> {
        self.failed = true;
        Some(Err(error))
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<(BatchHeader, &'a [u8]), BatchError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest();
        if self.failed || rest.len() < LOG_OVERHEAD {
            return None;
        }
        if rest.len() < HEADER_LEN {
            return match partial_header_error(rest) {
                Some(error) => self.fail(error),
                None => None,
            };
        }
        match BatchHeader::read(rest) {
            Err(error) => self.fail(error),
            Ok(header) => {
                let whole = rest.get(..header.size())?;
                self.position += whole.len();
                Some(Ok((header, whole)))
            }
        }
    }
}

/// What is already wrong about a header of which at least the length is there.
fn partial_header_error(rest: &[u8]) -> Option<BatchError> {
    let length = rest[LENGTH_AT..].first_chunk().map(|bytes| i32::from_be_bytes(*bytes))?;
    match rest.get(MAGIC_AT) {
        Some(&magic) if magic as i8 != MAGIC => Some(BatchError::Magic(magic as i8)),
        _ if length < (HEADER_LEN - LOG_OVERHEAD) as i32 => Some(BatchError::Length(length)),
        _ => None,
    }
}
