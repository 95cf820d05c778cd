//! Checkpoints: small text files of numbers, one entry a line.
//!
//! ```text
//! 0                                   version
//! 2                                   number of entries
//! orders 0 1042                       topic, partition, offset; or: leader epoch, start offset
//! orders 1 977
//! ```
//! Each line ends in a newline, the last one too: that is what tells a whole file from a torn one. An empty
//! file has no entries.

use std::fmt::Write as _;
use std::str::FromStr;

use super::error::{StoredError, TextFault};

const VERSION: &str = "0";

/// An entry of `recovery-point-offset-checkpoint`, `replication-offset-checkpoint`,
/// `log-start-offset-checkpoint` or `cleaner-offset-checkpoint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetEntry {
    /// Name of the topic.
    pub topic: String,
    /// Number of the partition.
    pub partition: i32,
    /// The offset that the file is about.
    pub offset: i64,
}

/// An entry of `leader-epoch-checkpoint`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaderEpochEntry {
    /// The leader epoch.
    pub epoch: i32,
    /// Its first offset.
    pub start_offset: i64,
}

/// The contents of an offset checkpoint: topic, partition, offset.
pub fn format_offsets<'a>(entries: impl ExactSizeIterator<Item = (&'a str, i32, i64)>) -> String {
    format_lines(entries, |text, (topic, partition, offset)| writeln!(text, "{topic} {partition} {offset}"))
}

/// Reads an offset checkpoint. Entries come in the order of the file; of two for one partition the later one
/// counts.
///
/// # Errors
///
/// [`StoredError::MalformedText`] for anything but the format of this module.
pub fn parse_offsets(file: &[u8]) -> Result<Vec<OffsetEntry>, StoredError> {
    parse_lines("offset checkpoint", file, |[topic, partition, offset]: [&str; 3]| {
        Ok(OffsetEntry { topic: topic.to_owned(), partition: number(partition)?, offset: number(offset)? })
    })
}

/// The contents of a `leader-epoch-checkpoint`.
#[must_use]
pub fn format_leader_epochs(entries: &[LeaderEpochEntry]) -> String {
    format_lines(entries.iter(), |text, entry| writeln!(text, "{} {}", entry.epoch, entry.start_offset))
}

/// Reads a `leader-epoch-checkpoint`.
///
/// # Errors
///
/// [`StoredError::MalformedText`] for anything but the format of this module.
pub fn parse_leader_epochs(file: &[u8]) -> Result<Vec<LeaderEpochEntry>, StoredError> {
    parse_lines("leader-epoch-checkpoint", file, |[epoch, start_offset]: [&str; 2]| {
        Ok(LeaderEpochEntry { epoch: number(epoch)?, start_offset: number(start_offset)? })
    })
}

fn format_lines<T>(
    entries: impl ExactSizeIterator<Item = T>,
    mut line: impl FnMut(&mut String, T) -> std::fmt::Result,
) -> String {
    let mut text = format!("{VERSION}\n{}\n", entries.len());
    for entry in entries {
        line(&mut text, entry).expect("a String takes all that is written to it");
    }
    text
}

fn parse_lines<T, const WORDS: usize>(
    file: &'static str,
    bytes: &[u8],
    entry: impl Fn([&str; WORDS]) -> Result<T, TextFault>,
) -> Result<Vec<T>, StoredError> {
    let fault = |line: usize, fault: TextFault| StoredError::MalformedText { file, line, fault };
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let text = str::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        fault(line, TextFault::NotUtf8)
    })?;
    let lines = text.lines().count();
    if !text.ends_with('\n') {
        return Err(fault(lines, TextFault::Truncated));
    }
    let mut numbered = text.lines().zip(1..);
    let version = numbered.next().map(|(line, _)| line).unwrap_or_default();
    if version != VERSION {
        return Err(fault(1, TextFault::Version(excerpt(version))));
    }
    let Some((announced, _)) = numbered.next() else { return Err(fault(2, TextFault::Truncated)) };
    let announced: i32 = number(announced).map_err(|reason| fault(2, reason))?;
    let mut entries = Vec::new();
    for (line, number) in numbered {
        let parsed = words(line).and_then(&entry).map_err(|reason| fault(number, reason))?;
        entries.push(parsed);
    }
    if i32::try_from(entries.len()) != Ok(announced) {
        return Err(fault(2, TextFault::Entries { announced, found: entries.len() }));
    }
    Ok(entries)
}

/// Splits as Java's `split("\\s+")` does: space before the first word makes one word more, space at the end
/// none.
fn words<const WORDS: usize>(line: &str) -> Result<[&str; WORDS], TextFault> {
    let mut found = [""; WORDS];
    let mut count = usize::from(line.starts_with(|first: char| first.is_ascii_whitespace()));
    for word in line.split_ascii_whitespace() {
        if let Some(place) = found.get_mut(count) {
            *place = word;
        }
        count += 1;
    }
    if count == WORDS && !found[0].is_empty() {
        return Ok(found);
    }
    Err(TextFault::Words { expected: WORDS, found: count })
}

fn number<N: FromStr>(word: &str) -> Result<N, TextFault> {
    word.parse().map_err(|_| TextFault::NotANumber(excerpt(word)))
}

/// Errors go to logs; a damaged file must not flood them.
fn excerpt(text: &str) -> String {
    text.chars().take(64).collect()
}
