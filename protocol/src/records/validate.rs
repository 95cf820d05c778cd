//! What a broker checks and changes before it appends a producer's batch (Kafka's `ProduceRequest.validateRecords`,
//! `UnifiedLog.analyzeAndValidateRecords` and `LogValidator`, in that order, for clients).
//!
//! Uncompressed records are walked once, in place. Compressed ones are unpacked through a window of constant size
//! and thrown away; the batch goes on as it came, unless its inner offsets are not 0, 1, 2… or the topic wants
//! another codec: then it is unpacked once more and packed again.
//!
//! What is left to others: topic and producer state, the size of segments, and the base offset and leader epoch of
//! the result, which the CRC does not cover.

mod check;
mod rebuild;

use std::borrow::Cow;
use std::fmt::Display;

use thiserror::Error;

use super::batch::{
    BatchHeader, HEADER_LEN, LOG_OVERHEAD, MAGIC, NO_PRODUCER_ID, TimestampType, crc_matches,
};
use super::compression::{Codec, Decoder, Level};
use super::crc::crc_after_header_change;
use super::record::{RecordError, SkimmedRecord};
use super::stream::{RecordStream, StreamError};
use check::{Checked, Checker};

/// Produce requests below this version cannot carry zstd.
const ZSTD_SINCE: i16 = 7;
/// Bytes of the shortest batch of any version, behind the length field; what is shorter is no batch.
const SHORTEST_LENGTH: i32 = 14;
/// Up to here a batch tells its length and its magic.
const PREFIX: usize = 17;
/// Kafka unpacks without a limit. Here records that unpack to more than their readers could hold are refused.
const UNPACKED_LIMIT: u64 = i32::MAX as u64;

/// The codec that a topic's batches have to have (`compression.type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Target {
    /// Whatever the producer chose.
    #[default]
    Producer,
    /// None.
    Uncompressed,
    /// This one. A batch that has it already is not packed again, whatever its level.
    Codec(Codec, Level),
}

/// The configuration of the topic that a batch is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// `max.message.bytes`: bytes of a whole batch, header included.
    pub max_message_bytes: usize,
    /// Whether `cleanup.policy` has `compact`: records need keys then.
    pub compacted: bool,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`: how far back CreateTime may lie.
    pub before_max_ms: i64,
    /// `message.timestamp.after.max.ms`: how far ahead CreateTime may lie.
    pub after_max_ms: i64,
    /// `compression.type`.
    pub compression: Target,
}

/// A batch that may be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validated<'a> {
    /// Right in all fields and in the CRC. Base offset 0 and the leader epoch as received are to be replaced.
    pub header: BatchHeader,
    /// The records behind the header: those received, or packed anew.
    pub body: Cow<'a, [u8]>,
    /// Distance from the base offset of the first record that has the max timestamp.
    pub offset_of_max_timestamp: i64,
    /// The time of the append, where the topic's timestamps are that.
    pub log_append_time: Option<i64>,
}

/// Why a batch is refused, to be turned into an error code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RejectedKind {
    /// CORRUPT_MESSAGE, 2: the bytes are not what the producer sent. Clients try again.
    CorruptMessage,
    /// MESSAGE_TOO_LARGE, 10. Clients split the batch.
    MessageTooLarge,
    /// INVALID_TIMESTAMP, 32.
    InvalidTimestamp,
    /// UNSUPPORTED_COMPRESSION_TYPE, 76.
    UnsupportedCompression,
    /// INVALID_RECORD, 87.
    InvalidRecord,
}

impl RejectedKind {
    /// Kafka's error code.
    pub fn code(self) -> i16 {
        match self {
            Self::CorruptMessage => 2,
            Self::MessageTooLarge => 10,
            Self::InvalidTimestamp => 32,
            Self::UnsupportedCompression => 76,
            Self::InvalidRecord => 87,
        }
    }
}

/// A record that made its batch be refused; goes into `record_errors` of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordRejection {
    /// Index of the record in its batch.
    pub batch_index: i32,
    /// What is wrong with it.
    pub message: Option<String>,
}

/// A batch that may not be appended. Nothing of it may.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct Rejected {
    /// The error code.
    pub kind: RejectedKind,
    /// For humans.
    pub message: String,
    /// The records at fault, if it is single records; the first 1000 of them.
    pub record_errors: Vec<RecordRejection>,
    /// The request does not hold one batch of version 2: refused before the partition was asked.
    pub of_request: bool,
}

impl Rejected {
    #[cold]
    fn new(kind: RejectedKind, message: impl Display) -> Self {
        Self { kind, message: message.to_string(), record_errors: Vec::new(), of_request: false }
    }
}

/// Checks the records field of one partition in a Produce request, and makes of it what is to be appended.
///
/// `now_ms` is the broker's clock, `produce_version` the request's. Bytes behind the batch that are not a whole
/// batch themselves are left out, as Kafka does.
///
/// # Errors
/// The first check that fails, in Kafka's order.
pub fn validate<'a>(
    records: &'a [u8],
    rules: &Rules,
    now_ms: i64,
    produce_version: i16,
) -> Result<Validated<'a>, Rejected> {
    match validate_up_to(records, rules, now_ms, produce_version, UNPACKED_LIMIT)? {
        Some(validated) => Ok(validated),
        None => Err(malformed(StreamError::TooLarge(UNPACKED_LIMIT))),
    }
}

/// As [`validate`], but gives up, with `None`, where the records unpack to more than `unpacked_max` bytes: a few KiB may
/// unpack to two GiB, which takes a second, and who calls may not have it.
///
/// # Errors
/// As [`validate`].
pub fn validate_up_to<'a>(
    records: &'a [u8],
    rules: &Rules,
    now_ms: i64,
    produce_version: i16,
    unpacked_max: u64,
) -> Result<Option<Validated<'a>>, Rejected> {
    let batch =
        only_batch(records, produce_version).map_err(|rejected| Rejected { of_request: true, ..rejected })?;
    let (header, body) = open_batch(batch, rules)?;
    let source =
        header.attributes.codec().map_err(|error| Rejected::new(RejectedKind::InvalidRecord, error))?;
    check_header(&header)?;

    let target = match rules.compression {
        Target::Producer => source,
        Target::Uncompressed => Codec::None,
        Target::Codec(codec, _) => codec,
    };
    let checker = Checker::new(&header, rules, now_ms);
    let checked = match source {
        Codec::None => check_plain(body, header.record_count, checker)?,
        packed => match check_packed(packed, body, header.record_count, checker, unpacked_max)? {
            Some(checked) => checked,
            None => return Ok(None),
        },
    };
    // Odd offsets inside a batch that was never compressed stay, in Kafka too.
    let in_place = source == target && (source == Codec::None || checked.offsets_in_order);
    if in_place {
        return Ok(Some(keep(header, body, rules, now_ms, &checked)));
    }
    rebuild::rebuild(&header, body, source, target, rules, now_ms, &checked).map(Some)
}

/// Finds the one batch that `records` has to hold.
#[inline]
fn only_batch(records: &[u8], produce_version: i16) -> Result<&[u8], Rejected> {
    let Some(batch) = next_batch(records)? else {
        return Err(Rejected::new(
            RejectedKind::InvalidRecord,
            "there is no whole record batch in the request",
        ));
    };
    let magic = batch[PREFIX - 1] as i8;
    if magic != MAGIC {
        let message = format!("record batches of magic {magic} are no longer supported, only {MAGIC} is");
        return Err(Rejected::new(RejectedKind::InvalidRecord, message));
    }
    // The codec, without the checks that come later: a batch may be too short to have attributes.
    let zstd = batch.get(22).is_some_and(|attributes| attributes & 7 == Codec::Zstd.id());
    if zstd && produce_version < ZSTD_SINCE {
        let message = format!("zstd needs Produce version {ZSTD_SINCE}, the request has {produce_version}");
        return Err(Rejected::new(RejectedKind::UnsupportedCompression, message));
    }
    if next_batch(&records[batch.len()..])?.is_some() {
        let message = "there is more than one record batch for the partition in the request";
        return Err(Rejected::new(RejectedKind::InvalidRecord, message));
    }
    Ok(batch)
}

/// The batch at the front of `bytes`, `None` where not all of it is there.
#[inline]
fn next_batch(bytes: &[u8]) -> Result<Option<&[u8]>, Rejected> {
    let Some(length) = bytes.get(8..LOG_OVERHEAD).and_then(|length| length.first_chunk()) else {
        return Ok(None);
    };
    let length = i32::from_be_bytes(*length);
    if length < SHORTEST_LENGTH {
        let message = format!("a record batch of length {length} is too short for any format");
        return Err(Rejected::new(RejectedKind::CorruptMessage, message));
    }
    let Some(&magic) = bytes.get(PREFIX - 1) else { return Ok(None) };
    if !(0..=MAGIC).contains(&(magic as i8)) {
        let message = format!("a record batch cannot have magic {}", magic as i8);
        return Err(Rejected::new(RejectedKind::CorruptMessage, message));
    }
    // Not negative, and 12 more than an i32 fit 64 bits.
    Ok(usize::try_from(i64::from(length) + LOG_OVERHEAD as i64).ok().and_then(|size| bytes.get(..size)))
}

/// Base offset, size and CRC.
#[inline]
fn open_batch<'a>(batch: &'a [u8], rules: &Rules) -> Result<(BatchHeader, &'a [u8]), Rejected> {
    let base_offset = batch.first_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes));
    if base_offset != 0 {
        let message = format!("the base offset of a batch to be appended has to be 0, it is {base_offset}");
        return Err(Rejected::new(RejectedKind::InvalidRecord, message));
    }
    if batch.len() > rules.max_message_bytes {
        return Err(too_large(batch.len(), rules));
    }
    let header =
        BatchHeader::read(batch).map_err(|error| Rejected::new(RejectedKind::CorruptMessage, error))?;
    if !crc_matches(batch) {
        let message = format!("the batch does not have the CRC {:#010x} that it states", header.crc);
        return Err(Rejected::new(RejectedKind::CorruptMessage, message));
    }
    Ok((header, &batch[HEADER_LEN..]))
}

#[cold]
fn too_large(size: usize, rules: &Rules) -> Rejected {
    let message = format!("a batch of {size} bytes is larger than the {} allowed", rules.max_message_bytes);
    Rejected::new(RejectedKind::MessageTooLarge, message)
}

/// What can be seen wrong without looking at records.
#[inline]
fn check_header(header: &BatchHeader) -> Result<(), Rejected> {
    let invalid = |message: String| Err(Rejected::new(RejectedKind::InvalidRecord, message));
    if header.last_offset_delta < 0 {
        return invalid(format!("the batch ends {} offsets behind its start", header.last_offset_delta));
    }
    if header.record_count <= 0 {
        return invalid(format!("the batch states {} records", header.record_count));
    }
    if i64::from(header.last_offset_delta) + 1 != i64::from(header.record_count) {
        let offsets = i64::from(header.last_offset_delta) + 1;
        return invalid(format!("the batch spans {offsets} offsets with {} records", header.record_count));
    }
    if header.attributes.is_control() {
        return invalid("clients cannot write control records".to_owned());
    }
    // Ids below -1 count as none, as in Kafka.
    if header.producer_id > NO_PRODUCER_ID && header.base_sequence < 0 {
        let (id, sequence) = (header.producer_id, header.base_sequence);
        return invalid(format!("the batch of producer {id} has the sequence number {sequence}"));
    }
    Ok(())
}

/// One pass over records that lie bare.
#[inline]
fn check_plain(mut body: &[u8], count: i32, mut checker: Checker<'_>) -> Result<Checked, Rejected> {
    for index in 0..count {
        let record = SkimmedRecord::read(&mut body).map_err(malformed)?;
        checker.check(index, &record);
    }
    if !body.is_empty() {
        return Err(malformed(RecordError::TrailingBytes(body.len())));
    }
    checker.finish()
}

/// One pass over records as they come out of the decompressor; `None` if those are more than `unpacked_max` bytes.
fn check_packed(
    codec: Codec,
    body: &[u8],
    count: i32,
    mut checker: Checker<'_>,
    unpacked_max: u64,
) -> Result<Option<Checked>, Rejected> {
    let mut stream = RecordStream::new(Decoder::new(codec, body), unpacked_max);
    for index in 0..count {
        match stream.skim() {
            Ok(record) => checker.check(index, &record),
            Err(StreamError::TooLarge(_)) => return Ok(None),
            Err(error) => return Err(malformed(error)),
        }
    }
    match stream.finish() {
        Ok(()) => checker.finish().map(Some),
        Err(StreamError::TooLarge(_)) => Ok(None),
        Err(error) => Err(malformed(error)),
    }
}

/// Kafka answers some of these with CORRUPT_MESSAGE or UNKNOWN_SERVER_ERROR; but the CRC is right, so the producer
/// made them so and sending them again will not help.
#[cold]
fn malformed(error: impl Display) -> Rejected {
    Rejected::new(RejectedKind::InvalidRecord, format!("the records of the batch are malformed: {error}"))
}

/// The batch with its records as they came.
#[inline]
fn keep<'a>(
    received: BatchHeader,
    body: &'a [u8],
    rules: &Rules,
    now_ms: i64,
    checked: &Checked,
) -> Validated<'a> {
    let mut header = received;
    let log_append_time = (rules.timestamp_type == TimestampType::LogAppendTime).then_some(now_ms);
    header.max_timestamp = log_append_time.unwrap_or(checked.max_timestamp);
    header.attributes = header.attributes.with_timestamp_type(rules.timestamp_type);
    if header != received {
        // The bits above the delete horizon mean nothing; Kafka drops them when it writes the attributes anew.
        header.attributes.0 &= 0x7f;
        header.crc = crc_after_header_change(&received, &header, body);
    }
    Validated {
        header,
        body: Cow::Borrowed(body),
        offset_of_max_timestamp: offset_of_max_timestamp(log_append_time, checked),
        log_append_time,
    }
}

/// With the time of the append all records have the same timestamp.
fn offset_of_max_timestamp(log_append_time: Option<i64>, checked: &Checked) -> i64 {
    if log_append_time.is_some() { 0 } else { i64::from(checked.offset_of_max_timestamp) }
}
