//! Lines as records: what `kafka-console-producer` reads (`LineMessageReader`).

use crate::cli::connect::Properties;
use crate::cli::failure::Failure;
use regex::Regex;

/// Where in a line key and headers are.
#[derive(Clone, Debug)]
pub(super) struct LineReader {
    parse_key: bool,
    key_separator: String,
    parse_headers: bool,
    headers_delimiter: String,
    headers_separator: Regex,
    headers_key_separator: String,
    ignore_error: bool,
    null_marker: Option<String>,
}

/// A line, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// The key.
    pub(super) key: Option<String>,
    /// The value.
    pub(super) value: Option<String>,
    /// The headers.
    pub(super) headers: Vec<(String, Option<String>)>,
}

impl LineReader {
    /// Reads the properties.
    ///
    /// # Errors
    /// Separators that cannot be told apart.
    pub(super) fn new(properties: &Properties) -> Result<Self, Failure> {
        let flag =
            |key: &str| properties.get(key).is_some_and(|value| value.trim().eq_ignore_ascii_case("true"));
        let text = |key: &str, default: &str| properties.get(key).map_or(default, String::as_str).to_owned();
        let key_separator = text("key.separator", "\t");
        let delimiter = text("headers.delimiter", "\t");
        let separator = text("headers.separator", ",");
        let in_header = text("headers.key.separator", ":");
        let null = properties.get("null.marker").cloned();
        let some = |text: &String| Some(text.clone());
        for (one, two, names) in [
            (some(&delimiter), some(&separator), "headers.delimiter and headers.separator"),
            (some(&delimiter), some(&in_header), "headers.delimiter and headers.key.separator"),
            (some(&separator), some(&in_header), "headers.separator and headers.key.separator"),
            (null.clone(), some(&key_separator), "null.marker and key.separator"),
            (null.clone(), some(&separator), "null.marker and headers.separator"),
            (null.clone(), some(&delimiter), "null.marker and headers.delimiter"),
            (null.clone(), some(&in_header), "null.marker and headers.key.separator"),
        ] {
            if one == two {
                return Err(Failure::text(format!("{names} may not be equal")));
            }
        }
        Ok(Self {
            parse_key: flag("parse.key"),
            key_separator,
            parse_headers: flag("parse.headers"),
            headers_delimiter: delimiter,
            headers_separator: Regex::new(&separator).map_err(|_| {
                Failure::text(format!("headers.separator {separator} is no regular expression"))
            })?,
            headers_key_separator: in_header,
            ignore_error: flag("ignore.error"),
            null_marker: null,
        })
    }

    /// Takes a line apart; `number` counts from 1.
    ///
    /// # Errors
    /// A separator is missing, and `ignore.error` does not allow that.
    pub(super) fn read(&self, line: &str, number: u64) -> Result<Line, Failure> {
        let split = |enabled: bool, rest: &str, separator: &str, name: &str| {
            if !enabled {
                return Ok(None);
            }
            match rest.find(separator) {
                Some(at) => Ok(Some((rest[..at].to_owned(), at + separator.len()))),
                None if self.ignore_error => Ok(None),
                None => Err(Failure::text(format!("No {name} found on line number {number}: '{line}'"))),
            }
        };
        let headers = split(self.parse_headers, line, &self.headers_delimiter, "headers delimiter")?;
        let rest = &line[headers.as_ref().map_or(0, |(_, end)| *end)..];
        let key = split(self.parse_key, rest, &self.key_separator, "key separator")?;
        let rest = &rest[key.as_ref().map_or(0, |(_, end)| *end)..];
        let headers = match headers.and_then(|(text, _)| self.or_null(&text)) {
            Some(text) => self.headers(&text, number)?,
            None => Vec::new(),
        };
        Ok(Line { key: key.and_then(|(text, _)| self.or_null(&text)), value: self.or_null(rest), headers })
    }

    fn headers(&self, text: &str, number: u64) -> Result<Vec<(String, Option<String>)>, Failure> {
        // As Java splits: empty pieces at the end are none.
        let mut pieces: Vec<&str> = self.headers_separator.split(text).collect();
        while pieces.len() > 1 && pieces.last().is_some_and(|piece| piece.is_empty()) {
            pieces.pop();
        }
        let mut all = Vec::new();
        for pair in pieces {
            match pair.split_once(self.headers_key_separator.as_str()) {
                Some((key, _)) if self.or_null(key).is_none() => {
                    let null = self.null_marker.as_deref().unwrap_or_default();
                    let text = format!(
                        "Header keys should not be equal to the null marker '{null}' as they can't be null"
                    );
                    return Err(Failure::text(text));
                }
                Some((key, value)) => all.push((key.to_owned(), self.or_null(value))),
                None if self.ignore_error => all.push((pair.to_owned(), None)),
                None => {
                    let text =
                        format!("No header key separator found in pair '{pair}' on line number {number}");
                    return Err(Failure::text(text));
                }
            }
        }
        Ok(all)
    }

    fn or_null(&self, text: &str) -> Option<String> {
        (self.null_marker.as_deref() != Some(text)).then(|| text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::LineReader;
    use crate::cli::connect::{Properties, add_pairs};

    fn read(pairs: &[&str], line: &str) -> Result<String, String> {
        let mut properties = Properties::new();
        add_pairs(&mut properties, pairs.iter().copied());
        let reader = LineReader::new(&properties).map_err(|error| error.to_string())?;
        let line = reader.read(line, 3).map_err(|error| error.to_string())?;
        let text = |value: Option<String>| value.unwrap_or_else(|| "<null>".into());
        let headers: Vec<String> =
            line.headers.into_iter().map(|(key, value)| format!("{key}={}", text(value))).collect();
        Ok(format!("[{}] {} {}", headers.join(" "), text(line.key), text(line.value)))
    }

    #[test]
    fn lines_as_kafka_reads_them() {
        let (key, headers) = ("parse.key=true", "parse.headers=true");
        for (pairs, line, expected) in [
            (&[][..], "a\tb", Ok("[] <null> a\tb")),
            (&[], "", Ok("[] <null> ")),
            (&[key], "a\tb\tc", Ok("[] a b\tc")),
            (&[key, "key.separator=:"], "a:b", Ok("[] a b")),
            (&[key], "ab", Err("No key separator found on line number 3: 'ab'")),
            (&[key, "ignore.error=true"], "ab", Ok("[] <null> ab")),
            (&[headers], "h:1,i:2\tv", Ok("[h=1 i=2] <null> v")),
            (&[headers, key], "h:1\tk\tv", Ok("[h=1] k v")),
            (&[headers], "h\tv", Err("No header key separator found in pair 'h' on line number 3")),
            (&[headers, "ignore.error=true"], "h\tv", Ok("[h=<null>] <null> v")),
            (&[headers, key, "null.marker=NULL"], "NULL\tNULL\tNULL", Ok("[] <null> <null>")),
            (
                &["headers.separator=:"],
                "",
                Err("headers.separator and headers.key.separator may not be equal"),
            ),
        ] {
            assert_eq!(
                read(pairs, line),
                expected.map(str::to_owned).map_err(str::to_owned),
                "{pairs:?} {line}"
            );
        }
    }
}
