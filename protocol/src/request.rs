//! Decodes request bodies, as tolerantly as Kafka does.

use bytes::{Buf, Bytes, TryGetError};
use kafka_protocol::protocol::Decodable;
use kafka_protocol::protocol::buf::ByteBuf;
use std::ops::Range;

/// Decodes a request body; bytes behind it are not looked at.
///
/// Java replaces what is not UTF-8 in a string and takes any negative array length for null; the codec crate refuses
/// both. A body that it refuses is therefore read once more with these two smoothed over, unless it has `blobs`:
/// fields of arbitrary bytes, which cannot be told from strings at this level and must stay as they are.
///
/// # Errors
/// Why the body cannot be read.
pub fn decode<Q: Decodable>(body: &[u8], version: i16, blobs: bool) -> Result<Q, String> {
    let body = Bytes::copy_from_slice(body);
    match Q::decode(&mut body.clone(), version) {
        Ok(request) => Ok(request),
        Err(error) if blobs => Err(error.to_string()),
        Err(error) => Q::decode(&mut Lenient(body), version).map_err(|_| error.to_string()),
    }
}

/// A body in which strings are made UTF-8 and lengths below -1 are taken for -1.
struct Lenient(Bytes);

impl Buf for Lenient {
    fn remaining(&self) -> usize {
        self.0.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.0.chunk()
    }

    fn advance(&mut self, n: usize) {
        self.0.advance(n);
    }

    fn try_get_i32(&mut self) -> Result<i32, TryGetError> {
        // No request has another 32-bit field that may be below -1.
        self.0.try_get_i32().map(|n| n.max(-1))
    }
}

impl ByteBuf for Lenient {
    fn peek_bytes(&mut self, range: Range<usize>) -> Bytes {
        self.0.peek_bytes(range)
    }

    fn get_bytes(&mut self, size: usize) -> Bytes {
        let bytes = self.0.get_bytes(size);
        match std::str::from_utf8(&bytes) {
            Ok(_) => bytes,
            Err(_) => Bytes::from(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::decode;
    use kafka_protocol::messages::{JoinGroupRequest, MetadataRequest};

    #[test]
    fn reads_what_kafka_reads() {
        let topics = |body: &[u8], version| {
            let request: Result<MetadataRequest, _> = decode(body, version, false);
            request.map(|r| {
                r.topics
                    .map(|all| all.iter().map(|t| t.name.as_ref().unwrap().to_string()).collect::<Vec<_>>())
            })
        };
        type Case = (&'static str, &'static [u8], i16, Option<Vec<&'static str>>);
        let cases: &[Case] = &[
            ("as it should be", b"\0\0\0\x01\0\x02ab", 1, Some(vec!["ab"])),
            ("not UTF-8", b"\0\0\0\x01\0\x03a\xffb", 1, Some(vec!["a\u{fffd}b"])),
            ("array length -1", b"\xff\xff\xff\xff", 1, None),
            ("array length -2", b"\xff\xff\xff\xfe", 1, None),
            ("a boolean of 7", b"\0\0\0\x01\0\x02ab\x07", 4, Some(vec!["ab"])),
            ("bytes behind", b"\0\0\0\x01\0\x02abxyz", 1, Some(vec!["ab"])),
        ];
        for (what, body, version, expected) in cases {
            let expected =
                expected.as_ref().map(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>());
            assert_eq!(topics(body, *version), Ok(expected), "{what}");
        }
        assert!(topics(b"\0\0\0\x02\0\x02ab", 1).is_err(), "cut off");
        let blob: Result<JoinGroupRequest, _> = decode(b"\0\x01\xff", 0, true);
        assert!(blob.is_err(), "with arbitrary bytes nothing is replaced");
    }
}
