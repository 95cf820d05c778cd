//! The topics in a consumer's subscription. They are all that the broker reads of a member's metadata.

/// Topics of a `ConsumerProtocolSubscription`, whose versions all begin with those of version 0; None if the bytes are
/// something else.
///
/// ```text
/// i16 version | [] string topic | ... (owned partitions, generation, rack: not read)
/// ```
pub(super) fn subscribed_topics(metadata: &[u8]) -> Option<Vec<String>> {
    let mut rest = metadata;
    let version = i16::from_be_bytes(take(&mut rest)?);
    if version < 0 {
        return None;
    }
    let count = i32::from_be_bytes(take(&mut rest)?);
    let mut topics = Vec::new();
    for _ in 0..count {
        let len = usize::try_from(i16::from_be_bytes(take(&mut rest)?)).ok()?;
        let (name, after) = rest.split_at_checked(len)?;
        topics.push(std::str::from_utf8(name).ok()?.to_owned());
        rest = after;
    }
    Some(topics)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use super::subscribed_topics;

    #[test]
    fn topics_of_every_version_and_nothing_of_garbage() {
        let one = b"\0\0\0\0\0\x01\0\x01a".as_slice();
        let newer = b"\0\x03\0\0\0\x02\0\x01a\0\x02bc\xff\xff\xff\xff\0\0\0\0".as_slice();
        assert_eq!(subscribed_topics(one), Some(vec!["a".to_owned()]));
        assert_eq!(subscribed_topics(newer), Some(vec!["a".to_owned(), "bc".to_owned()]));
        let garbage: [&[u8]; 6] = [
            b"",
            b"\0",
            b"\0\0\0\0\0\x02\0\x01a",
            b"\0\0\x7f\xff\xff\xff",
            b"\0\0\0\0\0\x01\xff\xff",
            b"\xff\xff\0\0\0\0",
        ];
        for bytes in garbage {
            assert_eq!(subscribed_topics(bytes), None, "{bytes:?}");
        }
    }
}
