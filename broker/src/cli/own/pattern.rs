//! The formats of `-F`: text with letters behind `%`, for records that are printed and for lines that are read.
//!
//! | letter | what |
//! |---|---|
//! | `%t` `%p` `%o` | topic, partition, offset |
//! | `%k` `%v` | key, value |
//! | `%K` `%V` | their lengths in bytes, -1 for null |
//! | `%h` | headers: `a=1,b=2` |
//! | `%T` `%D` | timestamp in ms since 1970, and as a date in UTC |
//! | `%%` | a per cent sign |
//!
//! `\n`, `\t`, `\r`, `\0`, `\\` and `\x1f` stand for bytes. A line ends behind each record, unless the format ends with `\n`
//! or `\0` itself, or with `\c`, which stands for nothing.

use crate::cli::failure::Failure;

/// A part of a format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// These bytes.
    Bytes(Vec<u8>),
    /// What the letter says.
    Letter(char),
}

/// Letters of records that are printed.
pub(super) const PRINTED: &str = "tpokvKVhTD";
/// Letters of lines that are read.
pub(super) const READ: &str = "kvpT";

/// Reads a format.
///
/// # Errors
/// A letter that is none of `letters`, or a backslash before something else.
pub(crate) fn parse(text: &str, letters: &str) -> Result<Vec<Part>, Failure> {
    let wrong = |what: &str| {
        let list: Vec<String> = letters.chars().map(|letter| format!("%{letter}")).collect();
        Failure::Usage(format!(
            "{what} in the format {text} means nothing: there are {}, %% and \\n \\t \\r \\0 \\\\ \\x00 \\c",
            list.join(" ")
        ))
    };
    let mut parts = Vec::new();
    let mut bytes = Vec::new();
    let mut ends_line = true;
    let mut chars = text.chars();
    while let Some(found) = chars.next() {
        match found {
            '%' => match chars.next() {
                Some('%') => bytes.push(b'%'),
                Some(letter) if letters.contains(letter) => {
                    if !bytes.is_empty() {
                        parts.push(Part::Bytes(std::mem::take(&mut bytes)));
                    }
                    parts.push(Part::Letter(letter));
                }
                other => return Err(wrong(&format!("%{}", other.unwrap_or(' ')))),
            },
            '\\' => match chars.next() {
                Some('n') => bytes.push(b'\n'),
                Some('t') => bytes.push(b'\t'),
                Some('r') => bytes.push(b'\r'),
                Some('0') => bytes.push(0),
                Some('\\') => bytes.push(b'\\'),
                Some('c') => ends_line = false,
                Some('x') => {
                    let digits: String = chars.by_ref().take(2).collect();
                    let byte = u8::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 2);
                    bytes.push(byte.ok_or_else(|| wrong(&format!("\\x{digits}")))?);
                }
                other => return Err(wrong(&format!("\\{}", other.unwrap_or(' ')))),
            },
            other => bytes.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    if ends_line && !matches!(bytes.last(), Some(b'\n' | 0)) {
        bytes.push(b'\n');
    }
    if !bytes.is_empty() {
        parts.push(Part::Bytes(bytes));
    }
    Ok(parts)
}

/// Takes a line apart: what stands for each letter. The last letter takes what is left.
///
/// # Errors
/// The bytes between the letters are not there.
pub(crate) fn take_apart<'l>(parts: &[Part], line: &'l [u8]) -> Result<Vec<(char, &'l [u8])>, String> {
    let mut rest = line;
    let mut found = Vec::new();
    let mut parts = parts.iter().peekable();
    while let Some(part) = parts.next() {
        match part {
            Part::Bytes(bytes) => {
                // The end of the line has gone already.
                let bytes =
                    if parts.peek().is_none() { bytes.strip_suffix(b"\n").unwrap_or(bytes) } else { bytes };
                rest = rest.strip_prefix(bytes).ok_or_else(|| missing(bytes))?;
            }
            Part::Letter(letter) => {
                let end = match parts.peek() {
                    Some(Part::Bytes(bytes)) if bytes != b"\n" => {
                        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
                        rest.windows(bytes.len())
                            .position(|window| window == bytes)
                            .ok_or_else(|| missing(bytes))?
                    }
                    _ => rest.len(),
                };
                found.push((*letter, &rest[..end]));
                rest = &rest[end..];
            }
        }
    }
    Ok(found)
}

fn missing(bytes: &[u8]) -> String {
    format!("there is no \"{}\" in it", bytes.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::{PRINTED, Part, READ, parse, take_apart};

    #[test]
    fn formats() {
        let bytes = |bytes: &[u8]| Part::Bytes(bytes.to_vec());
        for (text, expected) in [
            ("%v", Some(vec![Part::Letter('v'), bytes(b"\n")])),
            ("%k\\t%v\\n", Some(vec![Part::Letter('k'), bytes(b"\t"), Part::Letter('v'), bytes(b"\n")])),
            ("%v\\0", Some(vec![Part::Letter('v'), bytes(b"\0")])),
            ("%v\\c", Some(vec![Part::Letter('v')])),
            ("100%% \\x1f\\\\\u{e9}", Some(vec![bytes(b"100% \x1f\\\xc3\xa9\n")])),
            ("", Some(vec![bytes(b"\n")])),
            ("%q", None),
            ("%", None),
            ("\\q", None),
            ("\\x1", None),
            ("\\xzz", None),
            ("\\", None),
        ] {
            assert_eq!(parse(text, PRINTED).ok(), expected, "{text}");
        }
        assert!(parse("%o", READ).is_err());
    }

    #[test]
    fn lines() {
        for (format, line, expected) in [
            ("%v", "a b", Some(vec![('v', "a b")])),
            ("%k:%v", "a:b:c", Some(vec![('k', "a"), ('v', "b:c")])),
            ("%p,%T [%v]", "3,5 [x]", Some(vec![('p', "3"), ('T', "5"), ('v', "x")])),
            ("%k:%v", ":", Some(vec![('k', ""), ('v', "")])),
            ("%k:%v", "ab", None),
            ("<%v", "ab", None),
        ] {
            let parts = parse(format, READ).expect(format);
            let found = take_apart(&parts, line.as_bytes()).ok();
            let expected = expected
                .map(|list| list.into_iter().map(|(c, text)| (c, text.as_bytes())).collect::<Vec<_>>());
            assert_eq!(found, expected, "{format} {line}");
        }
    }
}
