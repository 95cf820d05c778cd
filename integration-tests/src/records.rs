//! Record batches (magic 2) as a producer writes them, and a walk over what a fetch returns.

/// Length of the batch header, from base offset to record count.
pub const HEADER: usize = 61;
/// Attribute bit of a batch that belongs to a transaction.
pub const TRANSACTIONAL: i16 = 1 << 4;

/// A batch to be written. Offsets, sequences and deltas start at zero unless said otherwise.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Producer id, or -1.
    pub producer_id: i64,
    /// Producer epoch, or -1.
    pub producer_epoch: i16,
    /// Sequence of the first record, or -1.
    pub base_sequence: i32,
    /// Timestamp of the first record in milliseconds; each further record is one later.
    pub base_timestamp: i64,
    /// Attribute bits: codec in the lowest three.
    pub attributes: i16,
    /// Keys and values.
    pub records: Vec<(Option<Vec<u8>>, Vec<u8>)>,
}

impl Default for Batch {
    fn default() -> Self {
        Self {
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            base_timestamp: 1_700_000_000_000,
            attributes: 0,
            records: Vec::new(),
        }
    }
}

impl Batch {
    /// A batch of values without keys.
    pub fn of<V: AsRef<[u8]>>(values: impl IntoIterator<Item = V>) -> Self {
        Self {
            records: values.into_iter().map(|value| (None, value.as_ref().to_vec())).collect(),
            ..Self::default()
        }
    }

    /// The records as they stand after the header when they are not compressed.
    #[must_use]
    pub fn plain_records(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut body = Vec::new();
        for (index, (key, value)) in self.records.iter().enumerate() {
            body.clear();
            body.push(0);
            put_varint(&mut body, index as i64);
            put_varint(&mut body, index as i64);
            match key {
                Some(key) => {
                    put_varint(&mut body, key.len() as i64);
                    body.extend_from_slice(key);
                }
                None => put_varint(&mut body, -1),
            }
            put_varint(&mut body, value.len() as i64);
            body.extend_from_slice(value);
            put_varint(&mut body, 0);
            put_varint(&mut out, body.len() as i64);
            out.extend_from_slice(&body);
        }
        out
    }

    /// The batch, uncompressed.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.encode_with(&self.plain_records())
    }

    /// The batch around `payload`, which is [`Self::plain_records`] in the codec that the attributes name.
    ///
    /// # Panics
    /// If the batch is over 2 GiB.
    #[must_use]
    pub fn encode_with(&self, payload: &[u8]) -> Vec<u8> {
        let count = i32::try_from(self.records.len()).expect("an i32 of records");
        let mut out = Vec::with_capacity(HEADER + payload.len());
        out.extend_from_slice(&0_i64.to_be_bytes());
        out.extend_from_slice(
            &i32::try_from(HEADER - 12 + payload.len()).expect("under 2 GiB").to_be_bytes(),
        );
        out.extend_from_slice(&(-1_i32).to_be_bytes());
        out.push(2);
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.attributes.to_be_bytes());
        out.extend_from_slice(&(count - 1).to_be_bytes());
        out.extend_from_slice(&self.base_timestamp.to_be_bytes());
        out.extend_from_slice(&(self.base_timestamp + i64::from(count - 1)).to_be_bytes());
        out.extend_from_slice(&self.producer_id.to_be_bytes());
        out.extend_from_slice(&self.producer_epoch.to_be_bytes());
        out.extend_from_slice(&self.base_sequence.to_be_bytes());
        out.extend_from_slice(&count.to_be_bytes());
        out.extend_from_slice(payload);
        seal(&mut out);
        out
    }
}

/// The time now, for batches of idempotent producers: whoever loads a log forgets producers whose last record is older
/// than `producer.id.expiration.ms` by its own timestamp.
#[must_use]
pub fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Recomputes the checksum of a whole batch after a change behind byte 21.
///
/// # Panics
/// If `batch` is shorter than a header.
pub fn seal(batch: &mut [u8]) {
    let crc = crc32c::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
}

/// One batch of a fetch response, with the fields that tests look at.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// The whole batch.
    pub bytes: &'a [u8],
}

impl<'a> View<'a> {
    /// Offset of the first record.
    #[must_use]
    pub fn base_offset(&self) -> i64 {
        i64::from_be_bytes(self.array(0))
    }

    /// Offset of the last record.
    #[must_use]
    pub fn last_offset(&self) -> i64 {
        self.base_offset() + i64::from(i32::from_be_bytes(self.array(23)))
    }

    /// Attribute bits.
    #[must_use]
    pub fn attributes(&self) -> i16 {
        i16::from_be_bytes(self.array(21))
    }

    /// Number of records.
    #[must_use]
    pub fn count(&self) -> i32 {
        i32::from_be_bytes(self.array(57))
    }

    /// Whether the checksum is that of the bytes.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        u32::from_be_bytes(self.array(17)) == crc32c::crc32c(&self.bytes[21..])
    }

    /// The values of an uncompressed batch.
    ///
    /// # Panics
    /// If the batch is compressed or malformed.
    #[must_use]
    pub fn values(&self) -> Vec<&'a [u8]> {
        assert_eq!(self.attributes() & 7, 0, "compressed");
        let mut rest = &self.bytes[HEADER..];
        (0..self.count())
            .map(|_| {
                let len = take_varint(&mut rest);
                let (mut record, after) = rest.split_at(usize::try_from(len).expect("a length"));
                rest = after;
                record = &record[1..];
                take_varint(&mut record);
                take_varint(&mut record);
                let key = usize::try_from(take_varint(&mut record)).unwrap_or(0);
                record = &record[key..];
                let value = usize::try_from(take_varint(&mut record)).unwrap_or(0);
                &record[..value]
            })
            .collect()
    }

    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        *self.bytes[at..].first_chunk().expect("a whole header")
    }
}

/// The whole batches at the start of `records`; a cut one at the end is left out, as clients do.
#[must_use]
pub fn batches(mut records: &[u8]) -> Vec<View<'_>> {
    let mut out = Vec::new();
    while let Some(len) = records.get(8..12).and_then(|len| Some(i32::from_be_bytes(*len.first_chunk()?))) {
        let end = 12 + usize::try_from(len).unwrap_or(0);
        if records.len() < end || end < HEADER {
            break;
        }
        let (bytes, rest) = records.split_at(end);
        out.push(View { bytes });
        records = rest;
    }
    out
}

/// Appends a zigzag varint.
pub fn put_varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push((rest as u8 & 0x7f) | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn take_varint(bytes: &mut &[u8]) -> i64 {
    let mut value = 0_u64;
    let mut shift = 0;
    loop {
        let byte = bytes[0];
        *bytes = &bytes[1..];
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
        shift += 7;
    }
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use super::{Batch, batches};

    #[test]
    fn what_is_written_is_read() {
        let mut bytes = Batch::of(["a", "bc", ""]).encode();
        bytes.extend(Batch::of(["d".repeat(300)]).encode());
        let whole = bytes.len();
        bytes.extend(&Batch::of(["cut"]).encode()[..70]);
        let seen = batches(&bytes);
        assert_eq!(seen.len(), 2);
        assert_eq!(seen.iter().map(|batch| batch.bytes.len()).sum::<usize>(), whole);
        assert_eq!(seen[0].values(), [&b"a"[..], b"bc", b""]);
        assert_eq!(seen[1].values(), ["d".repeat(300).as_bytes()]);
        assert!(seen.iter().all(super::View::is_sound));
        assert_eq!((seen[0].base_offset(), seen[0].last_offset()), (0, 2));
    }
}
