//! Records inside a batch, borrowed from its decompressed bytes.

use thiserror::Error;

/// Why bytes are not the records that a batch announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum RecordError {
    /// The bytes end inside a record, or a batch announces more records than there are.
    #[error("the records end in the middle of one")]
    Truncated,
    /// A varint of more than 5 bytes, or a varlong of more than 10.
    #[error("a variable-length integer is too long")]
    VarintTooLong,
    /// A record whose fields take more or fewer bytes than it says, or a negative length.
    #[error("a record's length {0} is not that of its fields")]
    Length(i32),
    /// A negative number of headers, or more than the record has bytes for.
    #[error("a record cannot have {0} headers")]
    HeaderCount(i32),
    /// A header with a null key.
    #[error("a header's key cannot have the length {0}")]
    HeaderKeyLength(i32),
    /// A negative number of records.
    #[error("a batch cannot have {0} records")]
    RecordCount(i32),
    /// Bytes behind the last record that the batch announces.
    #[error("there are {0} bytes behind the last record")]
    TrailingBytes(usize),
}

/// Bytes that the varint of `value` takes, 1 to 5.
#[inline]
pub fn varint_len(value: i32) -> usize {
    unsigned_len(u64::from(zig_zag_32(value)))
}

/// Bytes that the varlong of `value` takes, 1 to 10.
#[inline]
pub fn varlong_len(value: i64) -> usize {
    unsigned_len(zig_zag_64(value))
}

/// Appends `value` as a zig-zag varint.
#[inline]
pub fn write_varint(out: &mut Vec<u8>, value: i32) {
    write_unsigned(out, u64::from(zig_zag_32(value)));
}

/// Appends `value` as a zig-zag varlong.
#[inline]
pub fn write_varlong(out: &mut Vec<u8>, value: i64) {
    write_unsigned(out, zig_zag_64(value));
}

/// Takes a zig-zag varint off the front of `bytes`. As in Kafka a longer form than needed is read, too, and bits
/// above the 32nd are dropped.
///
/// # Errors
/// The bytes end inside, or a fifth byte goes on.
#[inline]
pub fn read_varint(bytes: &mut &[u8]) -> Result<i32, RecordError> {
    let raw = read_uvarint(bytes)?;
    Ok((raw >> 1) as i32 ^ -((raw & 1) as i32))
}

/// Takes a zig-zag varlong off the front of `bytes`; otherwise like [`read_varint`].
///
/// # Errors
/// The bytes end inside, or a tenth byte goes on.
#[inline]
pub fn read_varlong(bytes: &mut &[u8]) -> Result<i64, RecordError> {
    let raw = match **bytes {
        [a, ref rest @ ..] if a < 0x80 => {
            *bytes = rest;
            u64::from(a)
        }
        [a, b, ref rest @ ..] if b < 0x80 => {
            *bytes = rest;
            u64::from(a & 0x7f) | u64::from(b) << 7
        }
        _ => read_unsigned_slow(bytes, 10)?,
    };
    Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
}

/// Takes an unsigned varint off the front, as compact arrays and strings have it.
#[inline]
pub(super) fn read_uvarint(bytes: &mut &[u8]) -> Result<u32, RecordError> {
    match **bytes {
        [a, ref rest @ ..] if a < 0x80 => {
            *bytes = rest;
            Ok(u32::from(a))
        }
        [a, b, ref rest @ ..] if b < 0x80 => {
            *bytes = rest;
            Ok(u32::from(a & 0x7f) | u32::from(b) << 7)
        }
        _ => read_unsigned_slow(bytes, 5).map(|raw| raw as u32),
    }
}

/// Appends an unsigned varint.
pub(super) fn write_uvarint(out: &mut Vec<u8>, value: u32) {
    write_unsigned(out, u64::from(value));
}

#[cold]
#[inline(never)]
fn read_unsigned_slow(bytes: &mut &[u8], longest: usize) -> Result<u64, RecordError> {
    let mut value = 0u64;
    for i in 0..longest {
        let Some(&byte) = bytes.get(i) else { return Err(RecordError::Truncated) };
        // The tenth byte has room for one bit only; the others are dropped.
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            *bytes = &bytes[i + 1..];
            return Ok(value);
        }
    }
    Err(RecordError::VarintTooLong)
}

#[inline]
fn write_unsigned(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[inline]
fn unsigned_len(value: u64) -> usize {
    (70 - (value | 1).leading_zeros() as usize) / 7
}

#[inline]
fn zig_zag_32(value: i32) -> u32 {
    (value << 1 ^ value >> 31) as u32
}

#[inline]
fn zig_zag_64(value: i64) -> u64 {
    (value << 1 ^ value >> 63) as u64
}

/// One record of a batch. It is borrowed and has been checked to its last header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Unused by every version so far.
    pub attributes: i8,
    /// Milliseconds to add to the batch's base timestamp.
    pub timestamp_delta: i64,
    /// To add to the batch's base offset.
    pub offset_delta: i32,
    /// Null where there is none.
    pub key: Option<&'a [u8]>,
    /// Null in a tombstone.
    pub value: Option<&'a [u8]>,
    headers: Headers<'a>,
}

impl<'a> Record<'a> {
    /// Takes one record off the front of `bytes`.
    ///
    /// # Errors
    /// Whatever is not exactly a record: see [`RecordError`].
    #[inline]
    pub fn read(bytes: &mut &'a [u8]) -> Result<Self, RecordError> {
        let length = read_varint(bytes)?;
        if length < 0 {
            return Err(RecordError::Length(length));
        }
        let Some((mut fields, rest)) = bytes.split_at_checked(length as usize) else {
            return Err(RecordError::Truncated);
        };
        *bytes = rest;
        // Behind this point the bytes of the record are all there: running out of them means a wrong length.
        match Self::read_fields(&mut fields) {
            Ok(record) if fields.is_empty() => Ok(record),
            Ok(_) | Err(RecordError::Truncated) => Err(RecordError::Length(length)),
            Err(error) => Err(error),
        }
    }

    #[inline]
    fn read_fields(fields: &mut &'a [u8]) -> Result<Self, RecordError> {
        let Some((&attributes, rest)) = fields.split_first() else { return Err(RecordError::Truncated) };
        *fields = rest;
        let timestamp_delta = read_varlong(fields)?;
        let offset_delta = read_varint(fields)?;
        let key = read_nullable(fields)?;
        let value = read_nullable(fields)?;
        let headers = Headers::read(fields)?;
        Ok(Self { attributes: attributes as i8, timestamp_delta, offset_delta, key, value, headers })
    }

    /// The headers in their order, duplicates included.
    #[inline]
    pub fn headers(&self) -> Headers<'a> {
        self.headers
    }
}

/// What the checks of an append need to know of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SkimmedRecord {
    /// Unused by every version so far.
    pub attributes: i8,
    /// Milliseconds to add to the batch's base timestamp.
    pub timestamp_delta: i64,
    /// To add to the batch's base offset.
    pub offset_delta: i32,
    /// Whether the key is not null.
    pub has_key: bool,
}

impl SkimmedRecord {
    /// Takes one record off the front of `bytes`, with the checks of [`Record::read`], at half its cost.
    ///
    /// # Errors
    /// Those of [`Record::read`].
    #[inline(always)]
    pub fn read(bytes: &mut &[u8]) -> Result<Self, RecordError> {
        if let Some((record, size)) = Self::read_common(bytes) {
            *bytes = &bytes[size..];
            return Ok(record);
        }
        Self::read_any(bytes)
    }

    /// A record with any integers; or with an error, which the common path leaves to this one to find out.
    #[cold]
    #[inline(never)]
    fn read_any(bytes: &mut &[u8]) -> Result<Self, RecordError> {
        let record = Record::read(bytes)?;
        Ok(Self {
            attributes: record.attributes,
            timestamp_delta: record.timestamp_delta,
            offset_delta: record.offset_delta,
            has_key: record.key.is_some(),
        })
    }

    /// A record that is right, has no headers, and none of whose integers takes more than three bytes; and its size.
    ///
    /// Integers are taken out of words rather than bytes, so that few bounds need checking. Bytes that end too soon
    /// for a whole word, as behind the last small record of a batch, are left to the other path.
    #[inline(always)]
    fn read_common(bytes: &[u8]) -> Option<(Self, usize)> {
        let mut at = 0;
        let length = Word::load(bytes, at)?.varint(&mut at)?;
        let end = at + usize::try_from(length).ok()?;

        let mut word = Word::load(bytes, at)?;
        let start = at;
        let attributes = word.byte(&mut at) as i8;
        let timestamp_delta = i64::from(word.varint(&mut at)?);
        let offset_delta = word.varint(&mut at)?;
        let key = word.varint(&mut at)?;
        if at - start > size_of::<Word>() {
            return None;
        }
        at += key.max(0) as usize;

        let value = Word::load(bytes, at)?.varint(&mut at)?;
        at += value.max(0) as usize;
        let no_headers = *bytes.get(at)? == 0;
        let record = Self { attributes, timestamp_delta, offset_delta, has_key: key >= 0 };
        (no_headers && at + 1 == end).then_some((record, end))
    }
}

/// Bytes of a record, the next one lowest. Behind its eight bytes come zeros, so that who takes more has to notice.
struct Word(u64);

impl Word {
    #[inline(always)]
    fn load(bytes: &[u8], at: usize) -> Option<Self> {
        bytes.get(at..)?.first_chunk().map(|word| Self(u64::from_le_bytes(*word)))
    }

    #[inline(always)]
    fn byte(&mut self, at: &mut usize) -> u8 {
        let byte = self.0 as u8;
        self.0 >>= 8;
        *at += 1;
        byte
    }

    /// A zig-zag varint of up to three bytes.
    #[inline(always)]
    fn varint(&mut self, at: &mut usize) -> Option<i32> {
        let word = self.0 as u32;
        let (raw, len) = if word & 0x80 == 0 {
            (word & 0x7f, 1)
        } else if word & 0x8000 == 0 {
            (word & 0x7f | word >> 1 & 0x3f80, 2)
        } else if word & 0x80_0000 == 0 {
            (word & 0x7f | word >> 1 & 0x3f80 | word >> 2 & 0x1f_c000, 3)
        } else {
            return None;
        };
        self.0 >>= 8 * len;
        *at += len;
        Some((raw >> 1) as i32 ^ -((raw & 1) as i32))
    }
}

/// Length and bytes; any negative length is null, as in Kafka.
#[inline]
fn read_nullable<'a>(fields: &mut &'a [u8]) -> Result<Option<&'a [u8]>, RecordError> {
    let length = read_varint(fields)?;
    if length < 0 {
        return Ok(None);
    }
    match fields.split_at_checked(length as usize) {
        Some((bytes, rest)) => {
            *fields = rest;
            Ok(Some(bytes))
        }
        None => Err(RecordError::Truncated),
    }
}

/// One header of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// UTF-8 by contract; the broker does not look.
    pub key: &'a [u8],
    /// Null where there is none.
    pub value: Option<&'a [u8]>,
}

impl<'a> Header<'a> {
    #[inline]
    fn read(fields: &mut &'a [u8]) -> Result<Self, RecordError> {
        let length = read_varint(fields)?;
        if length < 0 {
            return Err(RecordError::HeaderKeyLength(length));
        }
        let Some((key, rest)) = fields.split_at_checked(length as usize) else {
            return Err(RecordError::Truncated);
        };
        *fields = rest;
        Ok(Self { key, value: read_nullable(fields)? })
    }
}

/// The headers of a record, read while iterated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headers<'a> {
    bytes: &'a [u8],
    left: u32,
}

impl<'a> Headers<'a> {
    /// Takes the count and all headers off the front, checking each.
    #[inline]
    fn read(fields: &mut &'a [u8]) -> Result<Self, RecordError> {
        let count = read_varint(fields)?;
        // A header takes two bytes at least, so a hostile count ends here and not after 2^31 turns.
        if count < 0 || count as usize > fields.len() / 2 {
            return Err(RecordError::HeaderCount(count));
        }
        let start = *fields;
        for _ in 0..count {
            Header::read(fields)?;
        }
        Ok(Self { bytes: &start[..start.len() - fields.len()], left: count as u32 })
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = Header<'a>;

    #[inline]
    fn next(&mut self) -> Option<Header<'a>> {
        self.left = self.left.checked_sub(1)?;
        // Checked when the record was read.
        Header::read(&mut self.bytes).ok()
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left as usize, Some(self.left as usize))
    }
}

impl ExactSizeIterator for Headers<'_> {}

/// Walks the records of a decompressed batch and checks that they are exactly those announced.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    bytes: &'a [u8],
    left: i32,
    done: bool,
}

impl<'a> Records<'a> {
    /// `body` is everything behind the batch header, decompressed; `count` the header's record count.
    #[inline]
    pub fn new(body: &'a [u8], count: i32) -> Self {
        Self { bytes: body, left: count, done: false }
    }

    #[cold]
    fn end(&mut self) -> Option<Result<Record<'a>, RecordError>> {
        if self.done {
            return None;
        }
        self.done = true;
        if self.left < 0 {
            Some(Err(RecordError::RecordCount(self.left)))
        } else if self.bytes.is_empty() {
            None
        } else {
            Some(Err(RecordError::TrailingBytes(self.bytes.len())))
        }
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, RecordError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.done || self.left <= 0 {
            return self.end();
        }
        self.left -= 1;
        let record = Record::read(&mut self.bytes);
        self.done = record.is_err();
        Some(record)
    }
}
