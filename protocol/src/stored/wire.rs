//! Kafka's primitive types. Classic encodings have fixed-width lengths (-1 is null); compact ones have
//! `uvarint(length + 1)` (0 is null) and belong to flexible versions, whose structures end in tagged fields.

mod writer;

use bytes::Bytes;
use uuid::Uuid;

pub(crate) use writer::{TagWriter, Writer};

/// The longest string in bytes that Kafka writes or reads, whatever the encoding.
pub const MAX_STRING_LENGTH: usize = i16::MAX as usize;

/// A tagged field that the schema of this build does not know, kept to be written back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaggedField {
    /// Number of the field.
    pub tag: u32,
    /// The bytes of the field, without its length.
    pub data: Bytes,
}

/// What is wrong at a place in the bytes of a schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WireError {
    /// The bytes end within a field.
    #[error("{needed} bytes needed at byte {offset}, {remaining} left")]
    Truncated {
        /// Where the field begins.
        offset: usize,
        /// Its length.
        needed: usize,
        /// Bytes that are there.
        remaining: usize,
    },
    /// Bytes follow the last field.
    #[error("{remaining} unexpected bytes from byte {offset} on")]
    Trailing {
        /// End of the last field.
        offset: usize,
        /// Bytes after it.
        remaining: usize,
    },
    /// A variable-length integer does not fit 32 bits.
    #[error("malformed varint at byte {offset}")]
    Varint {
        /// Where it begins.
        offset: usize,
    },
    /// A length or a count is negative, or more than the bytes that remain can hold.
    #[error("impossible length {length} at byte {offset}")]
    Length {
        /// Where the length begins.
        offset: usize,
        /// The length found.
        length: i64,
    },
    /// Null where the schema has no null.
    #[error("unexpected null at byte {offset}")]
    Null {
        /// Where it was found.
        offset: usize,
    },
    /// A string is not UTF-8.
    #[error("string at byte {offset} is not UTF-8")]
    NotUtf8 {
        /// Where the string begins, after its length.
        offset: usize,
    },
    /// Tagged fields are not in ascending order.
    #[error("tagged field {tag} at byte {offset} is out of order")]
    TagOrder {
        /// Number of the field.
        tag: u32,
        /// Where it begins.
        offset: usize,
    },
    /// A tagged field appears in a version that does not have it.
    #[error("tagged field {tag} does not belong to this version")]
    TagVersion {
        /// Number of the field.
        tag: u32,
    },
    /// A string to be written is longer than its length field can say.
    #[error("a string of {length} bytes is too long, the limit is {MAX_STRING_LENGTH}")]
    StringTooLong {
        /// Bytes of the string.
        length: usize,
    },
    /// An api key or a version beyond the 15 bits that Kafka gives them.
    #[error("{value} is out of range")]
    OutOfRange {
        /// The number found.
        value: u32,
    },
}

/// How one structure is laid out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Format {
    /// Version of the schema.
    pub(crate) version: i16,
    /// Whether that version uses compact lengths and tagged fields.
    pub(crate) flexible: bool,
}

/// Reads primitives off a slice; offsets in errors count from the start of the outermost slice.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, offset: 0 }
    }

    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len()
    }

    /// All bytes that are left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        self.offset += self.bytes.len();
        std::mem::take(&mut self.bytes)
    }

    pub(crate) fn expect_end(&self) -> Result<(), WireError> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        Err(WireError::Trailing { offset: self.offset, remaining: self.bytes.len() })
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let Some((taken, rest)) = self.bytes.split_at_checked(length) else {
            let (offset, remaining) = (self.offset, self.bytes.len());
            return Err(WireError::Truncated { offset, needed: length, remaining });
        };
        self.bytes = rest;
        self.offset += length;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], WireError> {
        let (offset, remaining) = (self.offset, self.bytes.len());
        let Some((taken, rest)) = self.bytes.split_first_chunk::<N>() else {
            return Err(WireError::Truncated { offset, needed: N, remaining });
        };
        self.bytes = rest;
        self.offset += N;
        Ok(*taken)
    }

    pub(crate) fn i8(&mut self) -> Result<i8, WireError> {
        Ok(i8::from_be_bytes(self.array()?))
    }

    pub(crate) fn i16(&mut self) -> Result<i16, WireError> {
        Ok(i16::from_be_bytes(self.array()?))
    }

    pub(crate) fn u16(&mut self) -> Result<u16, WireError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(crate) fn i32(&mut self) -> Result<i32, WireError> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, WireError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    pub(crate) fn i64(&mut self) -> Result<i64, WireError> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    pub(crate) fn f64(&mut self) -> Result<f64, WireError> {
        Ok(f64::from_be_bytes(self.array()?))
    }

    pub(crate) fn uuid(&mut self) -> Result<Uuid, WireError> {
        Ok(Uuid::from_bytes(self.array()?))
    }

    pub(crate) fn uvarint(&mut self) -> Result<u32, WireError> {
        let start = self.offset;
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let [byte] = self.array()?;
            let bits = u32::from(byte & 0x7f);
            if shift == 28 && bits > 0x0f {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(WireError::Varint { offset: start })
    }

    pub(crate) fn string(&mut self, flexible: bool) -> Result<String, WireError> {
        let offset = self.offset;
        self.nullable_string(flexible)?.ok_or(WireError::Null { offset })
    }

    pub(crate) fn nullable_string(&mut self, flexible: bool) -> Result<Option<String>, WireError> {
        let length = if flexible { self.compact_length()? } else { self.classic_string_length()? };
        let Some(length) = length else { return Ok(None) };
        let offset = self.offset;
        let bytes = self.take(length)?;
        let text = str::from_utf8(bytes).map_err(|_| WireError::NotUtf8 { offset })?;
        Ok(Some(text.to_owned()))
    }

    pub(crate) fn bytes(&mut self, flexible: bool) -> Result<Bytes, WireError> {
        let offset = self.offset;
        let length = self.length(flexible)?.ok_or(WireError::Null { offset })?;
        Ok(Bytes::copy_from_slice(self.take(length)?))
    }

    /// The number of elements of an array, at most the bytes that remain: no element of any schema is empty.
    pub(crate) fn nullable_count(&mut self, flexible: bool) -> Result<Option<usize>, WireError> {
        let offset = self.offset;
        let count = self.length(flexible)?;
        match count {
            Some(count) if count > self.remaining() => {
                Err(WireError::Length { offset, length: i64::try_from(count).unwrap_or(i64::MAX) })
            }
            count => Ok(count),
        }
    }

    pub(crate) fn count(&mut self, flexible: bool) -> Result<usize, WireError> {
        let offset = self.offset;
        self.nullable_count(flexible)?.ok_or(WireError::Null { offset })
    }

    /// Reads the tagged fields at the end of a structure. `known` gets each number with a reader over its
    /// bytes, and says whether it knows the field; a known field must be read to its end. Returns the unknown
    /// ones.
    pub(crate) fn tags(
        &mut self,
        mut known: impl FnMut(u32, &mut Reader<'_>) -> Result<bool, WireError>,
    ) -> Result<Vec<TaggedField>, WireError> {
        let count = self.uvarint()?;
        let mut unknown = Vec::new();
        let mut previous = None;
        for _ in 0..count {
            let offset = self.offset;
            let tag = self.uvarint()?;
            if previous.is_some_and(|previous| tag <= previous) {
                return Err(WireError::TagOrder { tag, offset });
            }
            previous = Some(tag);
            let size = usize::try_from(self.uvarint()?).unwrap_or(usize::MAX);
            let offset = self.offset;
            let data = self.take(size)?;
            let mut field = Reader { bytes: data, offset };
            if known(tag, &mut field)? {
                field.expect_end()?;
            } else {
                unknown.push(TaggedField { tag, data: Bytes::copy_from_slice(data) });
            }
        }
        Ok(unknown)
    }

    fn length(&mut self, flexible: bool) -> Result<Option<usize>, WireError> {
        if flexible {
            return self.compact_length();
        }
        let offset = self.offset;
        let length = self.i32()?;
        checked_length(i64::from(length), offset)
    }

    fn classic_string_length(&mut self) -> Result<Option<usize>, WireError> {
        let offset = self.offset;
        let length = self.i16()?;
        checked_length(i64::from(length), offset)
    }

    fn compact_length(&mut self) -> Result<Option<usize>, WireError> {
        let offset = self.offset;
        let length = self.uvarint()?;
        checked_length(i64::from(length) - 1, offset)
    }
}

/// -1 is null, anything below is an error.
fn checked_length(length: i64, offset: usize) -> Result<Option<usize>, WireError> {
    match length {
        -1 => Ok(None),
        length => usize::try_from(length).map(Some).map_err(|_| WireError::Length { offset, length }),
    }
}
