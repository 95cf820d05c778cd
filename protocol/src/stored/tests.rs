//! Every schema against bytes that Apache Kafka 4.1.1 wrote: single records with their meaning, and whole
//! files.

mod coordinators;
mod files;
mod metadata;
mod texts;
mod vectors;
mod walker;

use super::StoredError;

/// Bytes from hexadecimal digits; anything else in the text is for the reader's eye.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|character| character.to_digit(16)).collect();
    assert_eq!(digits.len() % 2, 0, "{text}");
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

/// Every proper prefix of the bytes must be refused.
fn assert_no_prefix_decodes<T: std::fmt::Debug, E>(bytes: &[u8], decode: impl Fn(&[u8]) -> Result<T, E>) {
    for end in 0..bytes.len() {
        if let Ok(value) = decode(&bytes[..end]) {
            panic!("{end} of {} bytes decode to {value:?}", bytes.len());
        }
    }
}

fn unsupported(schema: &'static str, version: i64, oldest: i16, newest: i16) -> StoredError {
    StoredError::UnsupportedVersion { schema, version, oldest, newest }
}
