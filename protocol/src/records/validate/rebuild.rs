//! A batch whose records are to be packed by another codec, or whose inner offsets were wrong.
//!
//! Keys, values and headers go from the unpacker to the packer in pieces, so that memory is the packed result, which
//! `max.message.bytes` bounds, and a window.

use std::borrow::Cow;
use std::io::{self, Write};

use super::super::batch::{
    Attributes, BatchHeader, HEADER_LEN, LOG_OVERHEAD, NO_TIMESTAMP, TimestampType, compute_crc,
};
use super::super::compression::{Codec, Decoder, Encoder, Level};
use super::super::record::{varint_len, varlong_len, write_varint, write_varlong};
use super::super::stream::{RecordStream, StreamError};
use super::check::Checked;
use super::{Rejected, RejectedKind, Rules, Target, UNPACKED_LIMIT, Validated, malformed, too_large};

/// Packs the records of `body`, which have passed all checks, anew: offsets 0, 1, 2…, attributes 0, timestamps as
/// they were, and only those header fields that Kafka takes over.
pub(super) fn rebuild(
    received: &BatchHeader,
    body: &[u8],
    source: Codec,
    target: Codec,
    rules: &Rules,
    now_ms: i64,
    checked: &Checked,
) -> Result<Validated<'static>, Rejected> {
    let level = match rules.compression {
        Target::Codec(_, level) => level,
        Target::Producer | Target::Uncompressed => Level::default_of(target),
    };
    let encoder = Encoder::new(target, level, Vec::new()).map_err(StreamError::Write).map_err(malformed)?;
    let (body, base_timestamp, index_of_max) = copy_records(received, body, source, encoder, rules, checked)?;
    let size = HEADER_LEN + body.len();
    if size > rules.max_message_bytes {
        return Err(too_large(size, rules));
    }
    let log_append_time = (rules.timestamp_type == TimestampType::LogAppendTime).then_some(now_ms);
    let mut header = BatchHeader {
        batch_length: i32::try_from(size - LOG_OVERHEAD).map_err(|_| too_large(size, rules))?,
        attributes: Attributes::default()
            .with_codec(target)
            .with_timestamp_type(rules.timestamp_type)
            .with_transactional(received.attributes.is_transactional()),
        base_timestamp,
        max_timestamp: log_append_time.unwrap_or(checked.max_timestamp),
        ..*received
    };
    header.crc = compute_crc(&header, &body);
    let offset_of_max_timestamp = if log_append_time.is_some() { 0 } else { i64::from(index_of_max) };
    Ok(Validated { header, body: Cow::Owned(body), offset_of_max_timestamp, log_append_time })
}

/// What the codec has given out will not shrink: no need to pack the rest of a batch that is too large, nor of a record,
/// which may unpack to two GiB by itself.
struct Bounded<'a> {
    encoder: &'a mut Encoder,
    max: usize,
}

impl Write for Bounded<'_> {
    fn write(&mut self, plain: &[u8]) -> io::Result<usize> {
        if self.encoder.written() > self.max {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.encoder.write(plain)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.encoder.flush()
    }
}

/// Returns the packed records, the first one's timestamp, and the index of the first one with the max timestamp.
fn copy_records(
    received: &BatchHeader,
    body: &[u8],
    source: Codec,
    mut encoder: Encoder,
    rules: &Rules,
    checked: &Checked,
) -> Result<(Vec<u8>, i64, i32), Rejected> {
    let mut stream = RecordStream::new(Decoder::new(source, body), UNPACKED_LIMIT);
    let mut base_timestamp = NO_TIMESTAMP;
    let mut index_of_max = None;
    let mut prefix = Vec::new();
    for index in 0..received.record_count {
        let (record, tail) = stream.open().map_err(malformed)?;
        let timestamp = received
            .log_append_time()
            .unwrap_or_else(|| received.base_timestamp.wrapping_add(record.timestamp_delta));
        if timestamp < NO_TIMESTAMP {
            let message = format!("record {index} has the negative timestamp {timestamp}");
            return Err(Rejected::new(RejectedKind::InvalidTimestamp, message));
        }
        if index == 0 {
            base_timestamp = timestamp;
        }
        if timestamp == checked.max_timestamp {
            index_of_max.get_or_insert(index);
        }
        let delta = timestamp - base_timestamp;
        let length = 1 + varlong_len(delta) + varint_len(index) + tail;
        prefix.clear();
        write_varint(&mut prefix, i32::try_from(length).map_err(|_| too_large(length, rules))?);
        prefix.push(0);
        write_varlong(&mut prefix, delta);
        write_varint(&mut prefix, index);
        encoder.write_all(&prefix).map_err(malformed)?;
        let copied = stream.copy(tail, &mut Bounded { encoder: &mut encoder, max: rules.max_message_bytes });
        if encoder.written() + HEADER_LEN > rules.max_message_bytes {
            return Err(too_large(encoder.written() + HEADER_LEN, rules));
        }
        copied.map_err(malformed)?;
    }
    stream.finish().map_err(malformed)?;
    Ok((encoder.finish().map_err(malformed)?, base_timestamp, index_of_max.unwrap_or(0)))
}
