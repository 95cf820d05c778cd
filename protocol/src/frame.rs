//! Length-prefixed frames and what a length that cannot be Kafka's says about the peer.

/// What the first bytes of a buffer hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A whole frame: its body is `bytes[4..4 + len]`.
    Frame {
        /// Bytes after the length prefix.
        len: usize,
    },
    /// Not all there yet; the frame will need this many bytes in all, prefix included (4 while the prefix is short).
    Needs {
        /// Bytes from the start of the frame to its end.
        total: usize,
    },
}

/// A length prefix that no Kafka client of this listener would send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The peer speaks HTTP.
    #[error("the first bytes are an HTTP request; this port speaks the Kafka protocol")]
    Http,
    /// The peer speaks TLS.
    #[error(
        "the first bytes are a TLS handshake; this listener is plaintext (client: security.protocol=PLAINTEXT)"
    )]
    Tls,
    /// Negative length.
    #[error("frame length {0} is negative; this is not the Kafka protocol")]
    Negative(i32),
    /// Longer than `socket.request.max.bytes`.
    #[error("frame length {len} is over socket.request.max.bytes={max}")]
    TooLarge {
        /// As announced.
        len: usize,
        /// The limit.
        max: usize,
    },
}

/// Looks at the start of `bytes`: a whole frame, or how much of it is to come.
///
/// # Errors
/// [`FrameError`] if the announced length is not acceptable; nothing was reserved for it.
pub fn next(bytes: &[u8], max: usize) -> Result<Next, FrameError> {
    let Some(prefix) = bytes.first_chunk::<4>() else {
        return Ok(Next::Needs { total: 4 });
    };
    let announced = i32::from_be_bytes(*prefix);
    let Ok(len) = usize::try_from(announced) else {
        return Err(likely(prefix).unwrap_or(FrameError::Negative(announced)));
    };
    if len > max {
        return Err(likely(prefix).unwrap_or(FrameError::TooLarge { len, max }));
    }
    if bytes.len() - 4 < len {
        return Ok(Next::Needs { total: 4 + len });
    }
    Ok(Next::Frame { len })
}

/// The protocol that a refused prefix belongs to, if it is a well-known one.
fn likely(prefix: &[u8; 4]) -> Option<FrameError> {
    const METHODS: [&[u8; 4]; 7] = [b"GET ", b"POST", b"PUT ", b"HEAD", b"DELE", b"OPTI", b"PRI "];
    if METHODS.contains(&prefix) {
        return Some(FrameError::Http);
    }
    (prefix[0] == 0x16 && prefix[1] == 3).then_some(FrameError::Tls)
}

#[cfg(test)]
mod tests {
    use super::{FrameError, Next, next};

    #[test]
    fn reads_prefixes() {
        let cases: &[(&[u8], Result<Next, FrameError>)] = &[
            (b"", Ok(Next::Needs { total: 4 })),
            (b"\0\0\0", Ok(Next::Needs { total: 4 })),
            (b"\0\0\0\0", Ok(Next::Frame { len: 0 })),
            (b"\0\0\0\x02a", Ok(Next::Needs { total: 6 })),
            (b"\0\0\0\x02ab", Ok(Next::Frame { len: 2 })),
            (b"\0\0\0\x02abc", Ok(Next::Frame { len: 2 })),
            (b"\0\0\0\x65", Err(FrameError::TooLarge { len: 101, max: 100 })),
            (b"\xff\xff\xff\xff", Err(FrameError::Negative(-1))),
            (b"GET / HTTP/1.1", Err(FrameError::Http)),
            (b"POST / HTTP/1.1", Err(FrameError::Http)),
            (b"\x16\x03\x01\x02\0\x01", Err(FrameError::Tls)),
        ];
        for (bytes, expected) in cases {
            assert_eq!(next(bytes, 100), *expected, "{bytes:?}");
        }
    }
}
