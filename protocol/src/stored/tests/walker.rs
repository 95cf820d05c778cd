//! A walk over uncompressed record batches, kept apart from the real one so that neither checks itself.

/// A record of a batch that is not a control batch.
pub(super) struct Record {
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
}

const HEADER: usize = 61;
const CONTROL: u16 = 1 << 5;

/// All records of a log file up to its zero tail, if it has one.
pub(super) fn records(log: &[u8]) -> Vec<Record> {
    let mut records = Vec::new();
    let mut rest = log;
    while rest.len() >= HEADER && rest[16] == 2 {
        let length = 12 + u32::from_be_bytes(rest[8..12].try_into().unwrap()) as usize;
        let (batch, after) = rest.split_at(length);
        rest = after;
        let attributes = u16::from_be_bytes(batch[21..23].try_into().unwrap());
        assert_eq!(attributes & 7, 0, "internal topics are not compressed");
        let count = u32::from_be_bytes(batch[57..61].try_into().unwrap());
        let mut body = &batch[HEADER..];
        for _ in 0..count {
            let length = varint(&mut body) as usize;
            let (mut record, after) = body.split_at(length);
            body = after;
            record = &record[1..];
            varint(&mut record);
            varint(&mut record);
            let (key, value) = (bytes(&mut record), bytes(&mut record));
            if attributes & CONTROL == 0 {
                records.push(Record { key, value });
            }
        }
        assert!(body.is_empty());
    }
    assert!(rest.iter().all(|byte| *byte == 0));
    records
}

fn bytes(input: &mut &[u8]) -> Option<Vec<u8>> {
    let length = usize::try_from(varint(input)).ok()?;
    let (bytes, rest) = input.split_at(length);
    *input = rest;
    Some(bytes.to_vec())
}

/// Zig-zag varint of any width.
fn varint(input: &mut &[u8]) -> i64 {
    let mut value = 0u64;
    for shift in (0..).step_by(7) {
        let byte = input[0];
        *input = &input[1..];
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    (value >> 1) as i64 ^ -((value & 1) as i64)
}
