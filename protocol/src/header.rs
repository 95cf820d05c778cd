//! Request headers of all versions, read without ever panicking; response headers.
//!
//! Header version 1 is `api_key i16, api_version i16, correlation_id i32, client_id nullable i16 string`; version 2
//! adds tagged fields. Which one a request carries depends on its API and version. `client_id` stays a classic
//! string in both.

/// The header of a request, borrowed from its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestHeader<'a> {
    /// Which API.
    pub api_key: i16,
    /// In which version.
    pub api_version: i16,
    /// Echoed in the response.
    pub correlation_id: i32,
    /// What the client calls itself, as bytes: it need not be UTF-8.
    pub client_id: Option<&'a [u8]>,
}

/// Why a header could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The frame ends inside the header.
    #[error("the frame ends inside the request header")]
    Short,
    /// A client id of a negative length other than -1, or a malformed tag section.
    #[error("the request header is malformed")]
    Malformed,
}

/// Reads the part of the header that every version has: key, version, correlation id.
///
/// # Errors
/// [`HeaderError::Short`] if the frame has fewer than 8 bytes.
pub fn peek(frame: &[u8]) -> Result<(i16, i16, i32), HeaderError> {
    let b = frame.first_chunk::<8>().ok_or(HeaderError::Short)?;
    Ok((
        i16::from_be_bytes([b[0], b[1]]),
        i16::from_be_bytes([b[2], b[3]]),
        i32::from_be_bytes([b[4], b[5], b[6], b[7]]),
    ))
}

/// Reads a request header; `flexible` says whether it is version 2. Returns it and the body behind it.
///
/// # Errors
/// [`HeaderError`] if the frame is too short or malformed.
pub fn read(frame: &[u8], flexible: bool) -> Result<(RequestHeader<'_>, &[u8]), HeaderError> {
    let (api_key, api_version, correlation_id) = peek(frame)?;
    let rest = &frame[8..];
    let (len, mut rest) = rest.split_first_chunk::<2>().ok_or(HeaderError::Short)?;
    let client_id = match i16::from_be_bytes(*len) {
        -1 => None,
        n => {
            let n = usize::try_from(n).map_err(|_| HeaderError::Malformed)?;
            let (id, after) = rest.split_at_checked(n).ok_or(HeaderError::Short)?;
            rest = after;
            Some(id)
        }
    };
    if flexible {
        rest = skip_tags(rest)?;
    }
    Ok((RequestHeader { api_key, api_version, correlation_id, client_id }, rest))
}

/// Skips a tag section; repeated and unordered tags are tolerated, as Kafka does.
fn skip_tags(mut bytes: &[u8]) -> Result<&[u8], HeaderError> {
    let count = uvarint(&mut bytes)?;
    for _ in 0..count {
        uvarint(&mut bytes)?;
        let size = uvarint(&mut bytes)? as usize;
        bytes = bytes.get(size..).ok_or(HeaderError::Short)?;
    }
    Ok(bytes)
}

fn uvarint(bytes: &mut &[u8]) -> Result<u32, HeaderError> {
    let mut value = 0u32;
    for shift in (0..35).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or(HeaderError::Short)?;
        *bytes = rest;
        value |= u32::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(HeaderError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::{HeaderError, read};

    #[test]
    fn reads_both_versions() {
        let v1 = b"\0\x03\0\x01\0\0\0\x07\0\x02idBODY";
        let (header, body) = read(v1, false).unwrap();
        assert_eq!((header.api_key, header.api_version, header.correlation_id), (3, 1, 7));
        assert_eq!((header.client_id, body), (Some(&b"id"[..]), &b"BODY"[..]));
        let v2 = b"\0\x03\0\x0c\0\0\0\x07\xff\xff\x02\x05\x01x\x01\x02yzBODY";
        let (header, body) = read(v2, true).unwrap();
        assert_eq!((header.client_id, body), (None, &b"BODY"[..]));
    }

    #[test]
    fn never_panics() {
        let whole = b"\0\x03\0\x0c\0\0\0\x07\0\x02id\x02\x05\x01x\x01\x02yz";
        for n in 0..whole.len() {
            assert_eq!(read(&whole[..n], true), Err(HeaderError::Short), "{n} bytes");
        }
        assert_eq!(read(b"\0\x03\0\x0c\0\0\0\x07\xff\xfe", false), Err(HeaderError::Malformed));
        assert_eq!(
            read(b"\0\x03\0\x0c\0\0\0\x07\xff\xff\xff\xff\xff\xff\xff\x01", true),
            Err(HeaderError::Malformed)
        );
        assert_eq!(
            read(b"\0\x03\0\x0c\0\0\0\x07\xff\xff\xff\xff\xff\xff\x0f", true),
            Err(HeaderError::Short)
        );
    }
}
