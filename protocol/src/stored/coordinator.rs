//! What the two coordinator topics share: which partition holds a name, and `i16 type | fields` keys.

use bytes::Bytes;

use super::error::StoredError;
use super::schema::{Codec, read_whole};
use super::wire::{Format, Reader, WireError, Writer};
use crate::java;

/// Keys and values of a record whose type this build does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownRecord {
    /// The key's first two bytes.
    pub record_type: i16,
    /// The whole key, its type included.
    pub key: Bytes,
    /// The whole value, its version included; null is a tombstone.
    pub value: Option<Bytes>,
}

impl UnknownRecord {
    pub(super) fn to_bytes(&self) -> (Vec<u8>, Option<Vec<u8>>) {
        (self.key.to_vec(), self.value.as_ref().map(|value| value.to_vec()))
    }
}

/// `Utils.abs(name.hashCode()) % partitions`
pub(super) fn partition_for(name: &str, partitions: i32) -> i32 {
    // Utils.abs maps the one number without an absolute value to 0.
    java::hash_code(name).checked_abs().unwrap_or(0).checked_rem(partitions).unwrap_or(0)
}

/// A value schema: which versions are read, and from which on it is flexible.
pub(super) struct ValueSchema {
    pub(super) name: &'static str,
    /// Versions 0 up to this one are read and written.
    pub(super) newest: i16,
    pub(super) flexible_from: i16,
}

impl ValueSchema {
    pub(super) fn decode<T: Codec>(&self, bytes: &[u8]) -> Result<T, StoredError> {
        let mut reader = Reader::new(bytes);
        let version = reader.i16().map_err(|fault| StoredError::Unframed { schema: self.name, fault })?;
        let format = self.format(version)?;
        read_whole(&mut reader, format, self.name)
    }

    pub(super) fn encode<T: Codec>(&self, value: &T, version: i16) -> Result<Vec<u8>, StoredError> {
        let format = self.format(version)?;
        let mut writer = Writer::default();
        writer.i16(version);
        value.write(&mut writer, format);
        writer.finish().map_err(|fault| StoredError::Malformed { schema: self.name, version, fault })
    }

    fn format(&self, version: i16) -> Result<Format, StoredError> {
        if !(0..=self.newest).contains(&version) {
            let (schema, newest) = (self.name, self.newest);
            return Err(StoredError::UnsupportedVersion {
                schema,
                version: i64::from(version),
                oldest: 0,
                newest,
            });
        }
        Ok(Format { version, flexible: version >= self.flexible_from })
    }
}

/// Keys are never flexible and have no version of their own.
pub(super) const KEY_FORMAT: Format = Format { version: 0, flexible: false };

pub(super) fn decode_key<T: Codec>(reader: &mut Reader<'_>, schema: &'static str) -> Result<T, StoredError> {
    read_whole(reader, KEY_FORMAT, schema)
}

pub(super) fn encode_key<T: Codec>(
    record_type: i16,
    key: &T,
    schema: &'static str,
) -> Result<Vec<u8>, StoredError> {
    let mut writer = Writer::default();
    writer.i16(record_type);
    key.write(&mut writer, KEY_FORMAT);
    let malformed = |fault: WireError| StoredError::Malformed { schema, version: KEY_FORMAT.version, fault };
    writer.finish().map_err(malformed)
}
