//! Files of partitions and of topics.

use super::{Dirs, Replica, Replicas};
use crate::cli::failure::Failure;
use crate::client::TopicPartition;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Display;

/// A replica that may be in any directory.
const ANY: &str = "any";

/// What a file of partitions asks for.
#[derive(Debug, Default)]
pub(super) struct Targets {
    /// Partitions and their replicas in the order of the file, which may have one twice.
    pub(super) partitions: Vec<(TopicPartition, Vec<i32>)>,
    /// Directories, where the file names them.
    pub(super) dirs: Dirs,
}

impl Targets {
    /// Reads a file.
    ///
    /// # Errors
    /// It is not of that format.
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let mut targets = Self::default();
        for row in rows(text, "partitions")? {
            let topic = string(field(&row, "topic")?)?;
            let tp = TopicPartition::new(&topic, number(field(&row, "partition")?)?);
            let replicas = list(field(&row, "replicas")?, number)?;
            if let Some(dirs) = row.get("log_dirs") {
                let dirs = list(dirs, string)?;
                if dirs.len() != replicas.len() {
                    return Err(Failure::text(format!(
                        "Size of replicas list [{}] is different from size of log dirs list [{}] for partition {tp}",
                        spaced(&replicas),
                        spaced(&dirs)
                    )));
                }
                let named = replicas.iter().zip(dirs).filter(|(_, dir)| dir != ANY);
                targets.dirs.extend(
                    named.map(|(broker, dir)| (Replica { broker: *broker, partition: tp.clone() }, dir)),
                );
            }
            targets.partitions.push((tp, replicas));
        }
        Ok(targets)
    }

    /// The partitions, each once, with as many replicas as can be.
    ///
    /// # Errors
    /// There are none, or one is there twice, or has a replica twice or none.
    pub(super) fn checked(&self) -> Result<Replicas, Failure> {
        if self.partitions.is_empty() {
            return Err(Failure::text("Partition reassignment list cannot be empty"));
        }
        if self.partitions.iter().any(|(_, replicas)| replicas.is_empty()) {
            return Err(Failure::text("Partition replica list cannot be empty"));
        }
        let twice = duplicates(self.partitions.iter().map(|(tp, _)| tp));
        if !twice.is_empty() {
            let list = super::joined(twice);
            let text = format!("Partition reassignment contains duplicate topic partitions: {list}");
            return Err(Failure::text(text));
        }
        let entries: Vec<String> = self
            .partitions
            .iter()
            .map(|(tp, replicas)| (tp, duplicates(replicas)))
            .filter(|(_, twice)| !twice.is_empty())
            .map(|(tp, twice)| format!("{tp} contains multiple entries for {}", super::joined(twice)))
            .collect();
        if !entries.is_empty() {
            let list = entries.join(". ");
            let text = format!("Partition replica lists may not contain duplicate entries: {list}");
            return Err(Failure::text(text));
        }
        Ok(self.partitions.iter().cloned().collect())
    }
}

/// The topics of a file of topics.
///
/// # Errors
/// It is not of that format, or has one twice.
pub(super) fn topics(text: &str) -> Result<Vec<String>, Failure> {
    let names: Vec<String> =
        rows(text, "topics")?.iter().map(|row| string(field(row, "topic")?)).collect::<Result<_, _>>()?;
    let twice = duplicates(&names);
    match twice.is_empty() {
        true => Ok(names),
        false => Err(Failure::text(format!(
            "List of topics to reassign contains duplicate entries: [{}]",
            spaced(twice)
        ))),
    }
}

/// A file of partitions that [`Targets::parse`] reads.
pub(super) fn format(replicas: &Replicas) -> String {
    let one = |(tp, replicas): (&TopicPartition, &Vec<i32>)| {
        let topic = Value::from(tp.topic.as_str());
        let dirs = super::joined(replicas.iter().map(|_| format!("\"{ANY}\"")));
        format!(
            "{{\"topic\":{topic},\"partition\":{},\"replicas\":[{}],\"log_dirs\":[{dirs}]}}",
            tp.partition,
            super::joined(replicas)
        )
    };
    format!("{{\"version\":1,\"partitions\":[{}]}}", super::joined(replicas.iter().map(one)))
}

/// What is there more than once.
pub(super) fn duplicates<T: Ord>(items: impl IntoIterator<Item = T>) -> BTreeSet<T> {
    let (mut seen, mut twice) = (BTreeSet::new(), BTreeSet::new());
    for item in items {
        if let Some(item) = seen.replace(item) {
            twice.insert(item);
        }
    }
    twice
}

/// Items as Java prints lists.
pub(super) fn spaced<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

/// The rows of a file of version 1.
fn rows(text: &str, name: &str) -> Result<Vec<Value>, Failure> {
    let json: Value = serde_json::from_str(text).map_err(|error| Failure::text(error.to_string()))?;
    if !json.is_object() {
        return Err(Failure::text(format!("Expected JSON object, received {json}")));
    }
    match json.get("version").map(number).transpose()? {
        None | Some(1) => {}
        Some(other) => return Err(Failure::text(format!("Not supported version field value {other}"))),
    }
    match json.get(name) {
        None => Ok(Vec::new()),
        Some(Value::Array(rows)) => Ok(rows.clone()),
        Some(other) => Err(Failure::text(format!("Expected JSON array, received {other}"))),
    }
}

fn field<'v>(row: &'v Value, name: &str) -> Result<&'v Value, Failure> {
    row.get(name).ok_or_else(|| Failure::text(format!("No such field exists: `{name}`")))
}

fn string(value: &Value) -> Result<String, Failure> {
    let text = value.as_str().map(str::to_owned);
    text.ok_or_else(|| Failure::text(format!("Expected `String` value, received {value}")))
}

fn number(value: &Value) -> Result<i32, Failure> {
    let number = value.as_i64().and_then(|number| i32::try_from(number).ok());
    number.ok_or_else(|| Failure::text(format!("Expected `Integer` value, received {value}")))
}

fn list<T>(value: &Value, item: impl Fn(&Value) -> Result<T, Failure>) -> Result<Vec<T>, Failure> {
    let items = value.as_array();
    let items = items.ok_or_else(|| Failure::text(format!("Expected JSON array, received {value}")))?;
    items.iter().map(item).collect()
}

#[cfg(test)]
mod tests {
    use super::{Targets, format, topics};

    #[test]
    fn files_of_partitions() {
        let text = r#"{"version":1,"partitions":[
            {"topic":"t","partition":10,"replicas":[2,1],"log_dirs":["/d","any"]},
            {"topic":"t","partition":9,"replicas":[1]}]}"#;
        let targets = Targets::parse(text).expect("a file");
        let dirs: Vec<String> =
            targets.dirs.iter().map(|(replica, dir)| format!("{replica} {dir}")).collect();
        assert_eq!(dirs, ["t-10-2 /d"]);
        let again = format(&targets.checked().expect("good ones"));
        assert_eq!(
            again,
            r#"{"version":1,"partitions":[{"topic":"t","partition":9,"replicas":[1],"log_dirs":["any"]},{"topic":"t","partition":10,"replicas":[2,1],"log_dirs":["any","any"]}]}"#
        );
        assert_eq!(Targets::parse(&again).expect("our own").partitions.len(), 2);
    }

    #[test]
    fn what_a_file_lacks() {
        let row = |row: &str| format!("{{\"partitions\":[{row}]}}");
        let one = r#"{"topic":"t","partition":0,"replicas":[1]}"#;
        for (text, expected) in [
            ("x".to_owned(), "expected value at line 1 column 1"),
            ("[]".to_owned(), "Expected JSON object, received []"),
            (r#"{"version":2}"#.to_owned(), "Not supported version field value 2"),
            (r#"{"version":"a"}"#.to_owned(), "Expected `Integer` value, received \"a\""),
            (r#"{"partitions":1}"#.to_owned(), "Expected JSON array, received 1"),
            ("{}".to_owned(), "Partition reassignment list cannot be empty"),
            (row(r#"{"topic":"t"}"#), "No such field exists: `partition`"),
            (row(r#"{"topic":1,"partition":0,"replicas":[]}"#), "Expected `String` value, received 1"),
            (row(r#"{"topic":"t","partition":0,"replicas":[]}"#), "Partition replica list cannot be empty"),
            (row(&format!("{one},{one}")), "Partition reassignment contains duplicate topic partitions: t-0"),
            (
                row(r#"{"topic":"t","partition":0,"replicas":[1,2,1]}"#),
                "Partition replica lists may not contain duplicate entries: t-0 contains multiple entries for 1",
            ),
            (
                row(r#"{"topic":"t","partition":0,"replicas":[1],"log_dirs":["any","/d"]}"#),
                "Size of replicas list [1] is different from size of log dirs list [any, /d] for partition t-0",
            ),
        ] {
            let error = Targets::parse(&text).and_then(|targets| targets.checked()).expect_err(&text);
            assert_eq!(error.to_string(), expected, "{text}");
        }
        let names = topics(r#"{"topics":[{"topic":"b"},{"topic":"a"}]}"#).expect("names");
        assert_eq!(names, ["b", "a"]);
        let error = topics(r#"{"topics":[{"topic":"b"},{"topic":"b"}]}"#).expect_err("twice").to_string();
        assert_eq!(error, "List of topics to reassign contains duplicate entries: [b]");
    }
}
