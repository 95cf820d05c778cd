//! The syntax of Java properties files (`java.util.Properties`), with line numbers.

/// One `key=value` of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// The key, unescaped.
    pub key: String,
    /// The value, unescaped. Trailing blanks belong to it, as in Java.
    pub value: String,
    /// Number of the line it begins on, from 1.
    pub line: u32,
}

/// A line that is no property.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct PropertyError {
    /// Number of the line, from 1.
    pub line: u32,
    /// What is wrong with it.
    pub reason: String,
}

/// Reads a whole file in its order; a key that comes twice is in the list twice. The bytes are UTF-8, or
/// ISO-8859-1 where they are not valid UTF-8.
pub(crate) fn parse(bytes: &[u8]) -> Result<Vec<Property>, PropertyError> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    logical_lines(text).iter().map(|(line, content)| property(*line, content)).collect()
}

/// Joins continued lines and drops blank lines and comments.
fn logical_lines(text: &str) -> Vec<(u32, String)> {
    let unified = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut lines = Vec::new();
    let mut open: Option<(u32, String)> = None;
    for (number, natural) in (1..).zip(unified.split('\n')) {
        let content = natural.trim_start_matches(is_blank);
        // A comment is one only where no earlier line continues into it.
        if open.is_none() && (content.is_empty() || content.starts_with(['#', '!'])) {
            continue;
        }
        let continues = content.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1;
        let (_, joined) = open.get_or_insert((number, String::new()));
        joined.push_str(if continues { &content[..content.len() - 1] } else { content });
        if !continues {
            lines.extend(open.take());
        }
        // A lone backslash begins nothing: what follows may be blank or a comment, as in Java.
        open = open.filter(|(_, joined)| !joined.is_empty());
    }
    lines.extend(open);
    lines
}

fn property(line: u32, content: &str) -> Result<Property, PropertyError> {
    let mut escaped = false;
    let end = content
        .find(|c: char| {
            let separates = !escaped && (is_blank(c) || c == '=' || c == ':');
            escaped = !escaped && c == '\\';
            separates
        })
        .unwrap_or(content.len());
    let (key, rest) = content.split_at(end);
    let rest = rest.trim_start_matches(is_blank);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start_matches(is_blank);
    let unescape = |text| unescape(text).map_err(|reason| PropertyError { line, reason });
    Ok(Property { key: unescape(key)?, value: unescape(value)?, line })
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{c}')
}

fn unescape(text: &str) -> Result<String, String> {
    let mut units = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let c = match c {
            '\\' => match chars.next() {
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\u{c}',
                Some('u') => {
                    units.push(unicode_escape(&mut chars)?);
                    continue;
                }
                Some(other) => other,
                None => break,
            },
            plain => plain,
        };
        units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
    }
    // Two escapes may form one character, as surrogates do in Java.
    String::from_utf16(&units).map_err(|_| "half of a \\u surrogate pair".into())
}

fn unicode_escape(chars: &mut std::str::Chars<'_>) -> Result<u16, String> {
    let digits: String = chars.take(4).collect();
    if digits.len() == 4 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return u16::from_str_radix(&digits, 16).map_err(|error| error.to_string());
    }
    Err(format!("\\u{digits} needs four hexadecimal digits"))
}

#[cfg(test)]
mod tests;
