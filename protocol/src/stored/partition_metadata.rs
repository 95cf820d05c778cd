//! `partition.metadata`: the topic id of a partition directory, in 43 bytes without a newline at the end.
//!
//! ```text
//! version: 0
//! topic_id: TopicAlphaTopicAlpha_A
//! ```

use uuid::Uuid;

use super::error::{StoredError, TextFault};
use super::uuid_text::{uuid_from_base64, uuid_to_base64};

const FILE: &str = "partition.metadata";

/// The contents of the file.
#[must_use]
pub fn format(topic_id: Uuid) -> String {
    format!("version: 0\ntopic_id: {}", uuid_to_base64(topic_id))
}

/// Reads the topic id. As in Kafka a later version is taken, and so are lines after the second.
///
/// # Errors
///
/// [`StoredError::MalformedText`] when a line is missing or malformed, the version is negative, or the id is zero,
/// which Kafka refuses as well.
pub fn parse(file: &[u8]) -> Result<Uuid, StoredError> {
    let fault = |line: usize, fault: TextFault| StoredError::MalformedText { file: FILE, line, fault };
    let text = str::from_utf8(file).map_err(|_| fault(1, TextFault::NotUtf8))?;
    let mut lines = text.lines();
    let version = value(lines.next(), "version").map_err(|reason| fault(1, reason))?;
    if version.parse::<i32>().is_ok_and(|version| version >= 0) {
        let topic_id = value(lines.next(), "topic_id").map_err(|reason| fault(2, reason))?;
        let topic_id = uuid_from_base64(topic_id).ok().filter(|id| !id.is_nil());
        return topic_id.ok_or_else(|| fault(2, TextFault::Value("topic_id")));
    }
    Err(fault(1, TextFault::Version(version.chars().take(64).collect())))
}

fn value<'a>(line: Option<&'a str>, key: &'static str) -> Result<&'a str, TextFault> {
    let line = line.ok_or(TextFault::Truncated)?;
    let value = line.strip_prefix(key).and_then(|rest| rest.strip_prefix(':'));
    let value = value.filter(|value| value.starts_with(|first: char| first.is_ascii_whitespace()));
    value.map(str::trim_ascii).ok_or(TextFault::Missing(key))
}
