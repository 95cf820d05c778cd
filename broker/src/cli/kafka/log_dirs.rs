//! `kafka-log-dirs` (`LogDirsCommand`).

use crate::cli::connect::{block_on, client};
use crate::cli::failure::Failure;
use crate::cli::flags::{Flag, Given, switch, value};
use crate::cli::screen::Screen;
use crate::cli::tools::Run;
use crate::client::{To, check, exception_of};
use kafka_protocol::messages::describe_log_dirs_response::{DescribeLogDirsResult, DescribeLogDirsTopic};
use kafka_protocol::messages::{ApiKey, DescribeLogDirsRequest, DescribeLogDirsResponse};
use serde_json::Value;
use std::collections::BTreeSet;

/// The tool.
pub(crate) const RUN: Run = Run::Flags(FLAGS, run);

const FLAGS: &[Flag] = &[
    value("bootstrap-server", "HOST:PORT", "REQUIRED. The brokers to connect to."),
    switch("describe", "REQUIRED. Print the log directories as JSON."),
    value("topic-list", "TOPIC,...", "Only these topics."),
    value("broker-list", "ID,...", "Only these brokers."),
    value("command-config", "FILE", "Properties of the client."),
];

fn run(screen: &mut Screen, given: &Given) -> Result<(), Failure> {
    given.required("bootstrap-server")?;
    if !given.has("describe") {
        return Err(Failure::Usage("Missing required argument \"[describe]\"".to_owned()));
    }
    let topics: BTreeSet<&str> = items(given.one("topic-list")?).collect();
    let number =
        |id: &str| id.parse::<i32>().map_err(|_| Failure::text(format!("For input string: \"{id}\"")));
    let wanted = items(given.one("broker-list")?).map(number).collect::<Result<BTreeSet<i32>, _>>()?;
    let mut client = client(given)?;
    block_on(async {
        client.metadata(Some(&[])).await?;
        let there: BTreeSet<i32> = client.nodes().keys().copied().collect();
        let missing: BTreeSet<i32> = wanted.difference(&there).copied().collect();
        if !missing.is_empty() {
            return Err(Failure::text(format!(
                "ERROR: The given brokers do not exist from --broker-list: {}. Current existent brokers: {}",
                joined(&missing),
                joined(&there)
            )));
        }
        let brokers = if wanted.is_empty() { there } else { wanted };
        screen.say("Querying brokers for log directories information")?;
        let mut described = Vec::new();
        for broker in &brokers {
            let request = DescribeLogDirsRequest::default().with_topics(None);
            let check_one = |answer: &DescribeLogDirsResponse| {
                check(ApiKey::DescribeLogDirs as i16, answer.error_code, None)
            };
            let to = To::Node(*broker);
            let answer =
                client.call_checked::<DescribeLogDirsRequest, _>(to, |_| &request, check_one).await?;
            let dirs: Vec<String> = answer.results.iter().map(|dir| described_dir(dir, &topics)).collect();
            described.push(format!("{{\"broker\":{broker},\"logDirs\":[{}]}}", dirs.join(",")));
        }
        screen.say(format_args!("Received log directory information from brokers {}", joined(&brokers)))?;
        screen.say(format_args!("{{\"brokers\":[{}],\"version\":1}}", described.join(",")))?;
        Ok(())
    })
}

fn items(list: Option<&str>) -> impl Iterator<Item = &str> {
    list.unwrap_or_default().split(',').filter(|item| !item.is_empty())
}

fn joined(ids: &BTreeSet<i32>) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// With its members in the order in which Kafka's tool prints them.
fn described_dir(dir: &DescribeLogDirsResult, topics: &BTreeSet<&str>) -> String {
    let is_wanted = |topic: &&DescribeLogDirsTopic| topics.is_empty() || topics.contains(&**topic.name);
    let mut partitions: Vec<(String, i32, String)> = Vec::new();
    for topic in dir.topics.iter().filter(is_wanted) {
        for partition in &topic.partitions {
            let name = Value::from(format!("{}-{}", topic.name.as_str(), partition.partition_index));
            let text = format!(
                "{{\"partition\":{name},\"size\":{},\"offsetLag\":{},\"isFuture\":{}}}",
                partition.partition_size, partition.offset_lag, partition.is_future_key
            );
            partitions.push((topic.name.to_string(), partition.partition_index, text));
        }
    }
    partitions.sort_unstable();
    let partitions: Vec<String> = partitions.into_iter().map(|(.., text)| text).collect();
    let error = match dir.error_code {
        0 => Value::Null,
        code => Value::from(format!("org.apache.kafka.common.errors.{}", exception_of(code))),
    };
    let path = Value::from(&*dir.log_dir);
    format!("{{\"partitions\":[{}],\"error\":{error},\"logDir\":{path}}}", partitions.join(","))
}

#[cfg(test)]
mod tests {
    use super::{described_dir, items};
    use kafka_protocol::messages::TopicName;
    use kafka_protocol::messages::describe_log_dirs_response::{
        DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
    };
    use kafka_protocol::protocol::StrBytes;
    use std::collections::BTreeSet;

    #[test]
    fn directories_as_json() {
        let partition =
            |index| DescribeLogDirsPartition::default().with_partition_index(index).with_partition_size(7);
        let topic = |name: &'static str| {
            DescribeLogDirsTopic::default()
                .with_name(TopicName(StrBytes::from_static_str(name)))
                .with_partitions(vec![partition(10), partition(9)])
        };
        let dir = DescribeLogDirsResult::default()
            .with_log_dir(StrBytes::from_static_str("/a \"b\""))
            .with_topics(vec![topic("t"), topic("s")]);
        let one = |name: &str| {
            format!("{{\"partition\":\"{name}\",\"size\":7,\"offsetLag\":0,\"isFuture\":false}}")
        };
        let expected = |partitions: &[String]| {
            format!(
                "{{\"partitions\":[{}],\"error\":null,\"logDir\":\"/a \\\"b\\\"\"}}",
                partitions.join(",")
            )
        };
        let all = ["s-9", "s-10", "t-9", "t-10"].map(one);
        assert_eq!(described_dir(&dir, &BTreeSet::new()), expected(&all));
        assert_eq!(described_dir(&dir, &BTreeSet::from(["t"])), expected(&all[2..]));
        let broken = DescribeLogDirsResult::default().with_error_code(56);
        let text = described_dir(&broken, &BTreeSet::new());
        assert!(
            text.contains("\"error\":\"org.apache.kafka.common.errors.KafkaStorageException\""),
            "{text}"
        );
        assert_eq!(items(Some("a,,b,")).collect::<Vec<_>>(), ["a", "b"]);
    }
}
