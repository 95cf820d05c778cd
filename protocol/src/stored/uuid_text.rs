use uuid::Uuid;

use super::error::StoredError;

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Kafka's text form of a UUID: 22 characters of URL-safe base64 without padding.
#[must_use]
pub fn uuid_to_base64(id: Uuid) -> String {
    // 22 digits of six bits hold 132 bits; the last four are zero.
    let (first, last) = (id.as_u128() >> 2, (id.as_u128() << 4) & 0x3f);
    let digit = |bits: u128| char::from(ALPHABET[(bits & 0x3f) as usize]);
    (0..21).rev().map(|place| digit(first >> (6 * place))).chain([digit(last)]).collect()
}

/// Reads [`uuid_to_base64`]'s form; padding with `==` is taken, and unused bits of the last digit are
/// ignored, as in `org.apache.kafka.common.Uuid.fromString`.
///
/// # Errors
///
/// [`StoredError::NotAUuid`] for any other text.
pub fn uuid_from_base64(text: &str) -> Result<Uuid, StoredError> {
    let digits = text.strip_suffix("==").unwrap_or(text);
    decode(digits.as_bytes()).ok_or_else(|| StoredError::NotAUuid(text.chars().take(64).collect()))
}

fn decode(digits: &[u8]) -> Option<Uuid> {
    let (last, first) = digits.split_last().filter(|(_, first)| first.len() == 21)?;
    let mut bits = 0u128;
    for digit in first {
        bits = bits << 6 | value(*digit)?;
    }
    Some(Uuid::from_u128(bits << 2 | value(*last)? >> 4))
}

fn value(digit: u8) -> Option<u128> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'-' => 62,
        b'_' => 63,
        _ => return None,
    };
    Some(u128::from(value))
}

#[cfg(test)]
mod tests {
    use super::{uuid_from_base64, uuid_to_base64};
    use uuid::Uuid;

    #[test]
    fn known_pairs() {
        for (bits, text) in [
            (0, "AAAAAAAAAAAAAAAAAAAAAA"),
            (1, "AAAAAAAAAAAAAAAAAAAAAQ"),
            (u128::MAX, "_____________________w"),
            (0x4e8a_6270_0969_85a4_e8a6_2700_9698_5afc, "TopicAlphaTopicAlpha_A"),
        ] {
            assert_eq!(uuid_to_base64(Uuid::from_u128(bits)), text);
            assert_eq!(uuid_from_base64(text).unwrap(), Uuid::from_u128(bits));
        }
    }

    #[test]
    fn java_tolerance() {
        let id = Uuid::from_u128(1);
        assert_eq!(uuid_from_base64("AAAAAAAAAAAAAAAAAAAAAQ==").unwrap(), id);
        assert_eq!(uuid_from_base64("AAAAAAAAAAAAAAAAAAAAAf").unwrap(), id);
    }

    #[test]
    fn refused() {
        for text in [
            "",
            "A",
            "AAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAA+A",
            "AAAAAAAAAAAAAAAAAAAAAA=",
        ] {
            assert!(uuid_from_base64(text).is_err(), "{text}");
        }
    }
}
