//! Java's properties files, as `java.util.Properties` reads and writes them.

use crate::stored::error::TextFault;

/// A key and its value.
pub(super) struct Property {
    pub(super) key: String,
    pub(super) value: String,
    /// Where it begins, from 1.
    pub(super) line: usize,
}

/// Reads all properties. The file is ISO 8859-1; other characters are escaped.
pub(super) fn parse(file: &[u8]) -> Result<Vec<Property>, (usize, TextFault)> {
    let text: String = file.iter().copied().map(char::from).collect();
    let mut properties = Vec::new();
    for (line, number) in logical_lines(&text) {
        let (key, value) = split(&line);
        let unescaped = |text| unescape(text).map_err(|fault| (number, fault));
        properties.push(Property { key: unescaped(key)?, value: unescaped(value)?, line: number });
    }
    Ok(properties)
}

/// Escapes a value so that it reads back as it is.
pub(super) fn escape(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for (index, character) in value.chars().enumerate() {
        match character {
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\u{c}' => out.push_str("\\f"),
            ' ' if index == 0 => out.push_str("\\ "),
            special @ ('\\' | '=' | ':' | '#' | '!') => out.extend(['\\', special]),
            plain @ ' '..='~' => out.push(plain),
            other => {
                let mut units = [0; 2];
                for unit in other.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04X}"));
                }
            }
        }
    }
    out
}

/// `Date.toString` in UTC: `Sun Nov 22 17:04:11 UTC 2026`.
pub(super) fn java_date(unix_seconds: i64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (days, seconds) = (unix_seconds.div_euclid(86_400), unix_seconds.rem_euclid(86_400));
    let (year, month, day) = civil_date(days);
    let weekday = DAYS[days.rem_euclid(7) as usize];
    let month = MONTHS[month];
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{weekday} {month} {day:02} {hour:02}:{minute:02}:{second:02} UTC {year}")
}

/// Year, month from 0, and day from 1, of a day counted from 1970-01-01.
fn civil_date(days: i64) -> (i64, usize, i64) {
    // Counted in years that begin with March, so that the leap day is the last day of a year.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let from_january = (month + 2) % 12;
    let year = 400 * era + year + i64::from(from_january < 2);
    (year, from_january as usize, day)
}

/// Lines without comments and blank ones, continued over a backslash at the end.
fn logical_lines(text: &str) -> Vec<(String, usize)> {
    let mut lines: Vec<(String, usize)> = Vec::new();
    let mut continued = false;
    for (line, number) in text.replace("\r\n", "\n").split(['\n', '\r']).zip(1..) {
        let line = line.trim_start_matches(SPACE);
        if !continued && (line.is_empty() || line.starts_with(['#', '!'])) {
            continue;
        }
        let backslashes = line.chars().rev().take_while(|character| *character == '\\').count();
        let open = backslashes % 2 == 1;
        let line = if open { &line[..line.len() - 1] } else { line };
        match lines.last_mut() {
            Some((text, _)) if continued => text.push_str(line),
            _ => lines.push((line.to_owned(), number)),
        }
        continued = open;
    }
    lines
}

const SPACE: [char; 3] = [' ', '\t', '\u{c}'];

/// Splits a line at the first `=`, `:` or space that is not escaped.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.find(|character: char| {
        if escaped {
            escaped = false;
            return false;
        }
        escaped = character == '\\';
        matches!(character, '=' | ':') || SPACE.contains(&character)
    });
    let (key, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_start_matches(SPACE);
    let rest = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, rest.trim_start_matches(SPACE))
}

fn unescape(text: &str) -> Result<String, TextFault> {
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        let character = match (character, characters.as_str().chars().next()) {
            ('\\', Some('u')) => {
                let rest = &characters.as_str()[1..];
                units.push(code_unit(rest).ok_or(TextFault::Syntax("malformed \\u escape"))?);
                characters = rest[4..].chars();
                continue;
            }
            ('\\', Some(escaped)) => {
                characters.next();
                match escaped {
                    't' => '\t',
                    'n' => '\n',
                    'r' => '\r',
                    'f' => '\u{c}',
                    same => same,
                }
            }
            (plain, _) => plain,
        };
        units.extend_from_slice(character.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16(&units).map_err(|_| TextFault::Syntax("unpaired surrogate"))
}

/// The number that four hexadecimal digits at the start of a text make.
fn code_unit(text: &str) -> Option<u16> {
    let digits = text.get(..4).filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
    u16::from_str_radix(digits, 16).ok()
}
