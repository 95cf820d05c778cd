//! `kafka-delete-records` (`DeleteRecordsCommand`).

use crate::cli::connect::{block_on, client};
use crate::cli::failure::Failure;
use crate::cli::flags::{Flag, Given, value};
use crate::cli::screen::Screen;
use crate::cli::tools::Run;
use crate::client::{Client, ClientError, To, TopicPartition, by_topic, check};
use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::{ApiKey, DeleteRecordsRequest, TopicName};
use serde_json::Value;
use std::collections::BTreeMap;

/// The tool.
pub(crate) const RUN: Run = Run::Flags(FLAGS, run);

const FLAGS: &[Flag] = &[
    value("bootstrap-server", "HOST:PORT", "REQUIRED. The brokers to connect to."),
    value(
        "offset-json-file",
        "FILE",
        "REQUIRED. {\"partitions\": [{\"topic\": \"t\", \"partition\": 0, \"offset\": 1}], \"version\": 1}",
    ),
    value("command-config", "FILE", "Properties of the client."),
];

fn run(screen: &mut Screen, given: &Given) -> Result<(), Failure> {
    given.required("bootstrap-server")?;
    let path = given.required("offset-json-file")?;
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::text(format!("Unable to read file {path}: {error}")))?;
    let offsets = offsets_of(&text)?;
    let mut client = client(given)?;
    screen.say("Executing records delete operation")?;
    let results = block_on(async { Ok(delete(&mut client, &offsets).await?) })?;
    screen.say("Records delete operation completed:")?;
    for (tp, result) in results {
        match result {
            Ok(low) => screen.say(format_args!("partition: {tp}\tlow_watermark: {low}"))?,
            Err(error) => {
                let class = error.code().map(crate::client::exception_of).unwrap_or_default();
                screen.say(format_args!(
                    "partition: {tp}\terror: org.apache.kafka.common.errors.{class}: {error}"
                ))?;
            }
        }
    }
    Ok(())
}

/// Deletes the records before the offsets (-1: all), and gives the new starts of the logs.
pub(crate) async fn delete(
    client: &mut Client,
    offsets: &BTreeMap<TopicPartition, i64>,
) -> Result<BTreeMap<TopicPartition, Result<i64, ClientError>>, ClientError> {
    let mut results = BTreeMap::new();
    let mut nodes: BTreeMap<i32, Vec<(&TopicPartition, i64)>> = BTreeMap::new();
    for (tp, offset) in offsets {
        match client.leader(tp).await {
            Ok((leader, _)) => nodes.entry(leader).or_default().push((tp, *offset)),
            Err(error @ ClientError::Code { .. }) => {
                results.insert(tp.clone(), Err(error));
            }
            Err(error) => return Err(error),
        }
    }
    for (node, items) in nodes {
        let topic = |(name, list): (TopicName, Vec<(i32, i64)>)| {
            let one = |(index, offset)| {
                DeleteRecordsPartition::default().with_partition_index(index).with_offset(offset)
            };
            DeleteRecordsTopic::default().with_name(name).with_partitions(list.into_iter().map(one).collect())
        };
        let request = DeleteRecordsRequest::default()
            .with_topics(by_topic(items).into_iter().map(topic).collect())
            .with_timeout_ms(30_000);
        for topic in client.call(To::Node(node), &request).await?.topics {
            for partition in topic.partitions {
                let outcome = check(ApiKey::DeleteRecords as i16, partition.error_code, None);
                let tp = TopicPartition::new(&topic.name, partition.partition_index);
                results.insert(tp, outcome.map(|()| partition.low_watermark));
            }
        }
    }
    Ok(results)
}

fn offsets_of(text: &str) -> Result<BTreeMap<TopicPartition, i64>, Failure> {
    let json: Value =
        serde_json::from_str(text).map_err(|_| Failure::text("The input string is not a valid JSON"))?;
    match json.get("version").map(Value::as_i64) {
        None | Some(Some(1)) => {}
        Some(_) => {
            let version = json.get("version").map(ToString::to_string).unwrap_or_default();
            return Err(Failure::text(format!("Not supported version field value {version}")));
        }
    }
    let rows = json.get("partitions").ok_or_else(|| Failure::text("Missing partitions field"))?;
    let rows =
        rows.as_array().ok_or_else(|| Failure::text("Expected JSON array, received something else"))?;
    let mut offsets = BTreeMap::new();
    for row in rows {
        let field = |name: &str| {
            row.get(name).ok_or_else(|| Failure::text(format!("No such field exists: `{name}` in {row}")))
        };
        let number = |name: &str| {
            let value = field(name)?;
            value.as_i64().ok_or_else(|| Failure::text(format!("Expected a number, received {value}")))
        };
        let topic = field("topic")?;
        let topic =
            topic.as_str().ok_or_else(|| Failure::text(format!("Expected a string, received {topic}")))?;
        let partition = i32::try_from(number("partition")?)
            .map_err(|_| Failure::text(format!("Expected a partition, received {row}")))?;
        let tp = TopicPartition::new(topic, partition);
        if offsets.insert(tp.clone(), number("offset")?).is_some() {
            let text = format!("Offset json file contains duplicate topic partitions: {tp}");
            return Err(Failure::text(text));
        }
    }
    Ok(offsets)
}

#[cfg(test)]
mod tests {
    use super::offsets_of;

    #[test]
    fn files_of_offsets() {
        let one = r#"{"partitions": [{"topic": "t", "partition": 0, "offset": -1}], "version": 1}"#;
        assert_eq!(offsets_of(one).expect("offsets").len(), 1);
        for (text, expected) in [
            ("{", "The input string is not a valid JSON"),
            (r#"{"version": 2}"#, "Not supported version field value 2"),
            ("{}", "Missing partitions field"),
            (r#"{"partitions": [{"partition": 0, "offset": 1}]}"#, "No such field exists: `topic`"),
            (
                r#"{"partitions": [{"topic": "t", "partition": 0, "offset": 1}, {"topic": "t", "partition": 0, "offset": 2}]}"#,
                "Offset json file contains duplicate topic partitions: t-0",
            ),
        ] {
            let error = offsets_of(text).expect_err(text).to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
