use uuid::Uuid;

use super::{MAX_STRING_LENGTH, TaggedField, WireError};

/// Writes primitives. A string that its length field cannot express is remembered as a fault and not written.
#[derive(Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
    fault: Option<WireError>,
}

impl Writer {
    /// The bytes, or the first fault.
    pub(crate) fn finish(self) -> Result<Vec<u8>, WireError> {
        match self.fault {
            Some(fault) => Err(fault),
            None => Ok(self.bytes),
        }
    }

    /// The bytes whatever the faults; in flexible versions they can be read back in any case.
    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn i8(&mut self, value: i8) {
        self.raw(&value.to_be_bytes());
    }

    pub(crate) fn i16(&mut self, value: i16) {
        self.raw(&value.to_be_bytes());
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.raw(&value.to_be_bytes());
    }

    pub(crate) fn i32(&mut self, value: i32) {
        self.raw(&value.to_be_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.raw(&value.to_be_bytes());
    }

    pub(crate) fn i64(&mut self, value: i64) {
        self.raw(&value.to_be_bytes());
    }

    pub(crate) fn f64(&mut self, value: f64) {
        self.raw(&value.to_be_bytes());
    }

    pub(crate) fn uuid(&mut self, value: Uuid) {
        self.raw(value.as_bytes());
    }

    pub(crate) fn uvarint(&mut self, mut value: u32) {
        while value > 0x7f {
            self.bytes.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }

    pub(crate) fn string(&mut self, flexible: bool, value: &str) {
        self.nullable_string(flexible, Some(value));
    }

    pub(crate) fn nullable_string(&mut self, flexible: bool, value: Option<&str>) {
        if let Some(text) = value
            && text.len() > MAX_STRING_LENGTH
        {
            let fault = WireError::StringTooLong { length: text.len() };
            self.fault.get_or_insert(fault);
        }
        if flexible {
            self.compact_length(value.map(str::len));
        } else {
            self.i16(value.map_or(-1, |text| i16::try_from(text.len()).unwrap_or(i16::MAX)));
        }
        self.raw(value.unwrap_or_default().as_bytes());
    }

    pub(crate) fn bytes(&mut self, flexible: bool, value: &[u8]) {
        self.count(flexible, Some(value.len()));
        self.raw(value);
    }

    /// Length of a byte field or of an array.
    pub(crate) fn count(&mut self, flexible: bool, count: Option<usize>) {
        if flexible {
            self.compact_length(count);
        } else {
            // A value of 2 GiB does not fit any record batch.
            self.i32(count.map_or(-1, |count| i32::try_from(count).unwrap_or(i32::MAX)));
        }
    }

    fn compact_length(&mut self, length: Option<usize>) {
        self.uvarint(length.map_or(0, |length| u32::try_from(length).unwrap_or(u32::MAX).saturating_add(1)));
    }
}

/// Collects the tagged fields of a structure and writes them in ascending order.
pub(crate) struct TagWriter<'a> {
    unknown: &'a [TaggedField],
    known: Vec<(u32, Vec<u8>)>,
    fault: Option<WireError>,
}

impl<'a> TagWriter<'a> {
    pub(crate) fn new(unknown: &'a [TaggedField]) -> Self {
        Self { unknown, known: Vec::new(), fault: None }
    }

    pub(crate) fn with(mut self, tag: u32, write: impl FnOnce(&mut Writer)) -> Self {
        let mut field = Writer::default();
        write(&mut field);
        self.fault = self.fault.or(field.fault);
        self.known.push((tag, field.bytes));
        self
    }

    pub(crate) fn finish(self, writer: &mut Writer) {
        let mut tags: Vec<(u32, &[u8])> = Vec::new();
        tags.extend(self.known.iter().map(|(tag, data)| (*tag, data.as_slice())));
        tags.extend(self.unknown.iter().map(|field| (field.tag, field.data.as_ref())));
        // The sort is stable and the known ones come first, so a field given twice is written once, as the
        // known one.
        tags.sort_by_key(|(tag, _)| *tag);
        tags.dedup_by_key(|(tag, _)| *tag);
        writer.uvarint(u32::try_from(tags.len()).unwrap_or(u32::MAX));
        for (tag, data) in tags {
            writer.uvarint(tag);
            writer.uvarint(u32::try_from(data.len()).unwrap_or(u32::MAX));
            writer.raw(data);
        }
        if let Some(fault) = self.fault {
            writer.fault.get_or_insert(fault);
        }
    }
}
