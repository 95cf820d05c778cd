//! The syntax of a seed file.

use crate::seed::base64;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A seed file, its record files read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Seed {
    /// The topics that are named, in their order.
    pub(crate) topics: Vec<SeedTopic>,
    /// The records, in their order.
    pub(crate) records: Vec<SeedRecord>,
}

/// A topic that shall be there.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct SeedTopic {
    pub(crate) name: String,
    /// `None` for the broker's default.
    pub(crate) partitions: Option<i32>,
    pub(crate) config: BTreeMap<String, String>,
}

/// A record that shall be there.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct SeedRecord {
    pub(crate) topic: String,
    pub(crate) partition: Option<i32>,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    /// Milliseconds since 1970; `None` for the time at which it is written.
    pub(crate) timestamp: Option<i64>,
}

/// Reads a seed file and the record files that it names, which are looked for beside it.
///
/// # Errors
/// One sentence with the name of the file.
pub(crate) fn read(path: &Path) -> Result<Seed, String> {
    let open = |path: &Path| {
        std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
    };
    let beside = path.parent().unwrap_or(Path::new(""));
    parse(&open(path)?, |name| open(&beside.join(name))).map_err(|reason| {
        match reason.starts_with("cannot read") {
            true => reason,
            false => format!("{}: {reason}", path.display()),
        }
    })
}

/// Reads a record that is one JSON object, with the topic of those that name none.
///
/// # Errors
/// One sentence: it is no record.
pub(crate) fn record(line: &str, topic: Option<&str>) -> Result<SeedRecord, String> {
    let written = serde_json::from_str::<WrittenRecord>(line).map_err(|error| error.to_string())?;
    finish(written, topic)
}

fn parse(text: &str, open: impl Fn(&Path) -> Result<String, String>) -> Result<Seed, String> {
    let written: Option<Written> = serde_yaml_ng::from_str(text).map_err(|error| error.to_string())?;
    let Written { defaults, topics, records } = written.unwrap_or_default();
    let topics = topics.into_iter().map(|topic| {
        let name = topic.name;
        match topic.partitions.or(defaults.partitions) {
            Some(..=0) => Err(format!("topic {name}: partitions must be above 0")),
            partitions => {
                let config = topic.config.into_iter().map(|(key, value)| (key, value.text())).collect();
                Ok(SeedTopic { name, partitions, config })
            }
        }
    });
    let mut seed = Seed { topics: topics.collect::<Result<_, _>>()?, records: Vec::new() };
    for (at, record) in (1..).zip(records) {
        let Some(file) = record.file.clone() else {
            seed.records.push(finish(record, None).map_err(|why| format!("record {at}: {why}"))?);
            continue;
        };
        if record.is_filled() {
            return Err(format!("record {at}: beside a file there may only be a topic"));
        }
        let lines = open(&file)?;
        let lines = (1..).zip(lines.lines()).filter(|(_, line)| !line.trim().is_empty());
        for (number, line) in lines {
            let inner = self::record(line, record.topic.as_deref());
            let place = |why| format!("{}, line {number}: {why}", file.display());
            seed.records.push(inner.map_err(place)?);
        }
    }
    Ok(seed)
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    defaults: Defaults,
    #[serde(default)]
    topics: Vec<WrittenTopic>,
    #[serde(default)]
    records: Vec<WrittenRecord>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Defaults {
    partitions: Option<i32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenTopic {
    name: String,
    partitions: Option<i32>,
    #[serde(default)]
    config: BTreeMap<String, Scalar>,
}

/// What YAML may make of an unquoted word.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Integer(i64),
    Other(serde_json::Value),
}

impl Scalar {
    fn text(self) -> String {
        match self {
            Scalar::Text(text) => text,
            Scalar::Integer(number) => number.to_string(),
            Scalar::Other(value) => value.to_string(),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct WrittenRecord {
    topic: Option<String>,
    partition: Option<i32>,
    key: Option<Scalar>,
    key_encoding: Option<Encoding>,
    value: Option<Scalar>,
    value_encoding: Option<Encoding>,
    json: Option<serde_json::Value>,
    headers: Option<Headers>,
    timestamp: Option<i64>,
    file: Option<PathBuf>,
    /// What an export adds, and nobody needs to write.
    #[serde(rename = "offset")]
    _offset: Option<i64>,
    #[serde(rename = "timestampType")]
    _timestamp_type: Option<String>,
}

impl WrittenRecord {
    fn is_filled(&self) -> bool {
        let content = [self.key.is_some(), self.value.is_some(), self.json.is_some(), self.headers.is_some()];
        let rest = [self.partition.is_some(), self.timestamp.is_some()];
        let encodings = [self.key_encoding.is_some(), self.value_encoding.is_some()];
        content.into_iter().chain(rest).chain(encodings).any(|is_there| is_there)
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    Base64,
}

/// A map for those who write, a list for those that come twice.
#[derive(Deserialize)]
#[serde(untagged)]
enum Headers {
    Map(BTreeMap<String, Option<Scalar>>),
    List(Vec<WrittenHeader>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct WrittenHeader {
    key: String,
    key_encoding: Option<Encoding>,
    value: Option<Scalar>,
    value_encoding: Option<Encoding>,
}

fn finish(record: WrittenRecord, topic: Option<&str>) -> Result<SeedRecord, String> {
    let topic = record.topic.or_else(|| topic.map(str::to_owned)).ok_or("it names no topic")?;
    if record.value.is_some() && record.json.is_some() {
        return Err("it has a value and json; keep one of them".to_owned());
    }
    let value = match record.json {
        Some(json) => Some(json.to_string().into_bytes()),
        None => bytes("value", record.value, record.value_encoding)?,
    };
    let headers = match record.headers {
        None => Vec::new(),
        Some(Headers::Map(map)) => {
            let text = |value: Scalar| value.text().into_bytes();
            map.into_iter().map(|(key, value)| (key.into_bytes(), value.map(text))).collect()
        }
        Some(Headers::List(list)) => list
            .into_iter()
            .map(|header| {
                let key = decoded("a header's key", header.key, header.key_encoding)?;
                Ok((key, bytes("a header", header.value, header.value_encoding)?))
            })
            .collect::<Result<_, String>>()?,
    };
    Ok(SeedRecord {
        topic,
        partition: record.partition,
        key: bytes("key", record.key, record.key_encoding)?,
        value,
        headers,
        timestamp: record.timestamp,
    })
}

fn bytes(what: &str, value: Option<Scalar>, encoding: Option<Encoding>) -> Result<Option<Vec<u8>>, String> {
    value.map(|value| decoded(what, value.text(), encoding)).transpose()
}

fn decoded(what: &str, text: String, encoding: Option<Encoding>) -> Result<Vec<u8>, String> {
    match encoding {
        None => Ok(text.into_bytes()),
        Some(Encoding::Base64) => base64::decode(&text).ok_or_else(|| format!("{what} is not Base64")),
    }
}

#[cfg(test)]
mod tests;
