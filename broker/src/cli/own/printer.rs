//! Records on the screen: for people, as JSON without loss, or in a format of one's own.

use super::pattern::{self, Part};
use crate::cli::failure::Failure;
use crate::cli::flags::Given;
use crate::cli::kafka::consume::Sink;
use crate::cli::screen::Screen;
use crate::client::TopicPartition;
use crate::client::fetcher::Fetched;
use crate::seed::base64;
use milena_protocol::records::TimestampType;
use std::io::{self, Write};
use std::ops::ControlFlow;

/// Output that is gathered before it is written.
const GATHERED: usize = 1 << 16;

/// What is made of a record.
#[derive(Clone, Debug)]
pub(crate) enum Form {
    /// Where and when, key, value and headers in a line, without anything that could harm a terminal.
    Line,
    /// A JSON object, of which `produce --file` makes the same record.
    Object,
    /// Objects in an array.
    Array,
    /// Topic, partition and offset.
    Name,
    /// As `-F` says.
    Format(Vec<Part>),
}

impl Form {
    /// What `-o` or `-F` asks for.
    ///
    /// # Errors
    /// It is no format.
    pub(super) fn of(given: &Given) -> Result<Self, Failure> {
        if let Some(format) = given.one("format")? {
            given.excludes("format", &["output"])?;
            return Ok(Self::Format(pattern::parse(format, pattern::PRINTED)?));
        }
        match given.one("output")?.unwrap_or("table") {
            "table" => Ok(Self::Line),
            "json" => Ok(Self::Array),
            "ndjson" | "jsonl" => Ok(Self::Object),
            "name" => Ok(Self::Name),
            other => {
                Err(Failure::Usage(format!("{other} is no format: there are table, json, ndjson and name")))
            }
        }
    }

    /// What `-f` of rpk asks for: the letters of most records, and no end of a line that is not written.
    ///
    /// # Errors
    /// A letter, or how one is to be written, that is not known here.
    pub(crate) fn of_rpk(format: &str) -> Result<Self, Failure> {
        let refused = |what: &str| {
            let text =
                format!("{what} in the format {format} is not known here: there are %t %p %o %k %v %K %V %d");
            Failure::text(text)
        };
        let mut ours = String::new();
        let mut chars = format.chars().peekable();
        while let Some(found) = chars.next() {
            ours.push(found);
            match found {
                '%' => match chars.next() {
                    // The time in milliseconds.
                    Some('d') => ours.push('T'),
                    Some(letter @ ('t' | 'p' | 'o' | 'k' | 'v' | 'K' | 'V' | '%')) => ours.push(letter),
                    other => return Err(refused(&format!("%{}", other.unwrap_or(' ')))),
                },
                '\\' => ours.extend(chars.next()),
                _ => continue,
            }
            if found == '%' && !ours.ends_with("%%") && chars.peek() == Some(&'{') {
                return Err(refused("what is in braces"));
            }
        }
        Ok(Self::Format(pattern::parse(&(ours + "\\c"), pattern::PRINTED)?))
    }

    /// Writes a record, the first one of all or a later one.
    pub(crate) fn write(
        &self,
        out: &mut Vec<u8>,
        tp: &TopicPartition,
        fetched: &Fetched<'_>,
        is_first: bool,
    ) {
        match self {
            Self::Line => line(out, tp, fetched),
            Self::Object => {
                object(out, tp, fetched);
                out.push(b'\n');
            }
            Self::Array => {
                out.extend_from_slice(if is_first { b"[" } else { b",\n " });
                object(out, tp, fetched);
            }
            Self::Name => {
                let text = format!("{}:{}:{}\n", tp.topic, tp.partition, fetched.offset);
                out.extend_from_slice(text.as_bytes());
            }
            Self::Format(parts) => {
                for part in parts {
                    match part {
                        Part::Bytes(bytes) => out.extend_from_slice(bytes),
                        Part::Letter(letter) => by_letter(out, *letter, tp, fetched),
                    }
                }
            }
        }
    }
}

/// Prints records that pass.
pub(super) struct Printer<'s, F> {
    screen: &'s mut Screen,
    form: Form,
    passes: F,
    out: Vec<u8>,
    /// How many records were printed.
    pub(super) printed: u64,
    /// How many are to be, at most.
    max: Option<u64>,
    /// Nobody reads any more.
    is_broken: bool,
}

impl<'s, F: Fn(&TopicPartition, &Fetched<'_>) -> bool> Printer<'s, F> {
    /// A printer that has printed nothing.
    pub(super) fn new(screen: &'s mut Screen, form: Form, passes: F, max: Option<u64>) -> Self {
        Self { screen, form, passes, out: Vec::with_capacity(GATHERED), printed: 0, max, is_broken: false }
    }

    /// Whether all are printed that were asked for.
    pub(super) fn is_full(&self) -> bool {
        self.max.is_some_and(|max| self.printed >= max)
    }

    /// The end of what is an array.
    pub(super) fn close(&mut self) -> io::Result<()> {
        if matches!(self.form, Form::Array) {
            self.out.extend_from_slice(if self.printed == 0 { b"[]\n" } else { b"]\n" });
        }
        self.send()
    }

    fn send(&mut self) -> io::Result<()> {
        let sent = self.screen.put(&self.out).and_then(|()| self.screen.flush());
        self.out.clear();
        self.is_broken |= sent.is_err();
        sent
    }
}

impl<F: Fn(&TopicPartition, &Fetched<'_>) -> bool> Sink for Printer<'_, F> {
    fn record(&mut self, tp: &TopicPartition, fetched: &Fetched<'_>) -> ControlFlow<()> {
        if self.is_full() {
            return ControlFlow::Break(());
        }
        if !(self.passes)(tp, fetched) {
            return ControlFlow::Continue(());
        }
        self.form.write(&mut self.out, tp, fetched, self.printed == 0);
        self.printed += 1;
        let is_sent = self.out.len() < GATHERED || self.send().is_ok();
        if is_sent && !self.is_full() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    fn pause(&mut self) -> ControlFlow<()> {
        let is_sent = !self.is_broken && (self.out.is_empty() || self.send().is_ok());
        if is_sent && !self.is_full() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    fn is_broken(&self) -> bool {
        self.is_broken
    }
}

/// `orders 0:42  2026-01-31T12:00:00.000Z  key  value  a=1`
fn line(out: &mut Vec<u8>, tp: &TopicPartition, fetched: &Fetched<'_>) {
    let at = format!("{} {}:{}  {}  ", tp.topic, tp.partition, fetched.offset, date(fetched.timestamp));
    out.extend_from_slice(at.as_bytes());
    harmless(out, fetched.record.key);
    out.extend_from_slice(b"  ");
    harmless(out, fetched.record.value);
    let mut between: &[u8] = b"  ";
    for header in fetched.record.headers() {
        out.extend_from_slice(between);
        harmless(out, Some(header.key));
        out.push(b'=');
        harmless(out, header.value);
        between = b",";
    }
    out.push(b'\n');
}

/// Text as it is but for control characters, and bytes that are no text by their numbers.
fn harmless(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    let Some(bytes) = bytes else { return out.extend_from_slice(b"null") };
    for chunk in bytes.utf8_chunks() {
        for found in chunk.valid().chars() {
            if found.is_control() {
                out.extend(found.escape_default().map(|escaped| escaped as u8));
            } else {
                out.extend_from_slice(found.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        out.extend(chunk.invalid().iter().flat_map(|byte| std::ascii::escape_default(*byte)));
    }
}

fn object(out: &mut Vec<u8>, tp: &TopicPartition, fetched: &Fetched<'_>) {
    let kind = match fetched.timestamp_type {
        TimestampType::CreateTime => "CreateTime",
        TimestampType::LogAppendTime => "LogAppendTime",
    };
    out.extend_from_slice(b"{\"topic\":");
    quoted(out, &tp.topic);
    let numbers = format!(
        ",\"partition\":{},\"offset\":{},\"timestamp\":{},\"timestampType\":\"{kind}\"",
        tp.partition, fetched.offset, fetched.timestamp
    );
    out.extend_from_slice(numbers.as_bytes());
    member(out, b",", "key", fetched.record.key);
    member(out, b",", "value", fetched.record.value);
    out.extend_from_slice(b",\"headers\":[");
    for (index, header) in fetched.record.headers().enumerate() {
        member(out, if index == 0 { b"{" } else { b",{" }, "key", Some(header.key));
        member(out, b",", "value", header.value);
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
}

/// `"key":"text"`, or `"key":"Base64","keyEncoding":"base64"`.
fn member(out: &mut Vec<u8>, before: &[u8], name: &str, bytes: Option<&[u8]>) {
    out.extend_from_slice(before);
    quoted(out, name);
    out.push(b':');
    match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => out.extend_from_slice(b"null"),
        Some((_, Ok(text))) => quoted(out, text),
        Some((bytes, Err(_))) => {
            quoted(out, &base64(bytes));
            out.extend_from_slice(format!(",\"{name}Encoding\":\"base64\"").as_bytes());
        }
    }
}

fn quoted(out: &mut Vec<u8>, text: &str) {
    // Writing text to memory does not fail.
    let _ = serde_json::to_writer(out, text);
}

fn by_letter(out: &mut Vec<u8>, letter: char, tp: &TopicPartition, fetched: &Fetched<'_>) {
    let length =
        |bytes: Option<&[u8]>| bytes.map_or(-1, |bytes| i64::try_from(bytes.len()).unwrap_or(i64::MAX));
    let record = &fetched.record;
    // Writing to memory does not fail.
    let _ = match letter {
        't' => write!(out, "{}", tp.topic),
        'p' => write!(out, "{}", tp.partition),
        'o' => write!(out, "{}", fetched.offset),
        'k' => out.write_all(record.key.unwrap_or_default()),
        'v' => out.write_all(record.value.unwrap_or_default()),
        'K' => write!(out, "{}", length(record.key)),
        'V' => write!(out, "{}", length(record.value)),
        'T' => write!(out, "{}", fetched.timestamp),
        'D' => write!(out, "{}", date(fetched.timestamp)),
        _ => {
            for (index, header) in record.headers().enumerate() {
                out.extend_from_slice(if index == 0 { b"" } else { b"," });
                out.extend_from_slice(header.key);
                out.push(b'=');
                out.extend_from_slice(header.value.unwrap_or_default());
            }
            Ok(())
        }
    };
}

/// Milliseconds since 1970 as `2026-01-31T12:00:00.000Z`.
pub(super) fn date(ms: i64) -> String {
    if ms < 0 {
        return "-".to_owned();
    }
    let (days, ms) = (ms / 86_400_000, ms % 86_400_000);
    // Years that begin in March, in periods of 400 of them.
    let (era, day) = ((days + 719_468) / 146_097, (days + 719_468) % 146_097);
    let of_era = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * of_era + of_era / 4 - of_era / 100);
    let (march, day) = ((5 * of_year + 2) / 153, of_year - (153 * ((5 * of_year + 2) / 153) + 2) / 5 + 1);
    let month = if march < 10 { march + 3 } else { march - 9 };
    let year = era * 400 + of_era + i64::from(month <= 2);
    let (hour, minute, second, ms) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60, ms % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

#[cfg(test)]
mod tests;
