//! `kafka-leader-election` (`LeaderElectionCommand`).

use crate::cli::admin;
use crate::cli::connect::{block_on, client_of, load};
use crate::cli::failure::Failure;
use crate::cli::flags::{Flag, Given, switch, value};
use crate::cli::screen::Screen;
use crate::cli::tools::Run;
use crate::client::{To, TopicPartition, by_topic, check, exception_of};
use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
use kafka_protocol::messages::{ApiKey, ElectLeadersRequest, ElectLeadersResponse, TopicName};
use serde_json::Value;
use std::collections::BTreeSet;

/// The tool.
pub(crate) const RUN: Run = Run::Flags(FLAGS, run);

const FLAGS: &[Flag] = &[
    value("bootstrap-server", "HOST:PORT", "REQUIRED. The brokers to connect to."),
    value("election-type", "TYPE", "REQUIRED. preferred or unclean."),
    value("topic", "TOPIC", "The topic of the partition."),
    value("partition", "NUMBER", "The partition."),
    switch("all-topic-partitions", "All partitions that need one."),
    value("path-to-json-file", "FILE", "{\"partitions\": [{\"topic\": \"t\", \"partition\": 0}]}"),
    value("admin.config", "FILE", "Properties of the client."),
    value("command-config", "FILE", "The same."),
];

const ELECTION_NOT_NEEDED: i16 = 84;
const TARGETS: [&str; 3] = ["topic", "all-topic-partitions", "path-to-json-file"];

fn run(screen: &mut Screen, given: &Given) -> Result<(), Failure> {
    let missing: Vec<&str> =
        ["bootstrap-server", "election-type"].into_iter().filter(|name| !given.has(name)).collect();
    if !missing.is_empty() {
        return Err(Failure::text(format!("Missing required option(s): {}", missing.join(", "))));
    }
    if TARGETS.iter().filter(|name| given.has(name)).count() != 1 {
        let text = "One and only one of the following options is required";
        return Err(Failure::text(format!("{text}: {}", TARGETS.join(", "))));
    }
    let (name, election_type) = match given.required("election-type")? {
        kind if kind.eq_ignore_ascii_case("preferred") => ("PREFERRED", 0),
        kind if kind.eq_ignore_ascii_case("unclean") => ("UNCLEAN", 1),
        other => {
            return Err(Failure::text(format!("Cannot parse argument '{other}' of option election-type")));
        }
    };
    let wanted = wanted(given)?;
    let topic = |(name, indexes): (TopicName, Vec<(i32, ())>)| {
        let indexes = indexes.into_iter().map(|(index, ())| index);
        TopicPartitions::default().with_topic(name).with_partitions(indexes.collect())
    };
    let topics = wanted
        .as_ref()
        .map(|wanted| by_topic(wanted.iter().map(|tp| (tp, ()))).into_iter().map(topic).collect());
    let request = ElectLeadersRequest::default()
        .with_election_type(election_type)
        .with_topic_partitions(topics)
        .with_timeout_ms(admin::TIMEOUT_MS);
    let config = given.one("admin.config")?.or(given.one("command-config")?);
    let properties = config.map(load).transpose()?.unwrap_or_default();
    let mut client = client_of(given.required("bootstrap-server")?, &properties)?;
    let check_one =
        |answer: &ElectLeadersResponse| check(ApiKey::ElectLeaders as i16, answer.error_code, None);
    let answer = block_on(async {
        Ok(client.call_checked::<ElectLeadersRequest, _>(To::Controller, |_| &request, check_one).await?)
    })?;
    let (mut elected, mut needless, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for topic in &answer.replica_election_results {
        for result in &topic.partition_result {
            let tp = TopicPartition::new(&topic.topic, result.partition_id).to_string();
            match result.error_code {
                0 => elected.push(tp),
                ELECTION_NOT_NEEDED => needless.push(tp),
                code => failed.push((tp, code, result.error_message.as_deref().unwrap_or_default())),
            }
        }
    }
    if !elected.is_empty() {
        let list = elected.join(", ");
        screen.say(format_args!("Successfully completed leader election ({name}) for partitions {list}"))?;
    }
    if !needless.is_empty() {
        screen.say(format_args!("Valid replica already elected for partitions {}", needless.join(", ")))?;
    }
    for (tp, code, message) in &failed {
        let class = exception_of(*code);
        screen.say(format_args!(
            "Error completing leader election ({name}) for partition: {tp}: \
             org.apache.kafka.common.errors.{class}: {message}"
        ))?;
    }
    match failed.len() {
        0 => Ok(()),
        count => Err(Failure::text(format!("{count} replica(s) could not be elected"))),
    }
}

/// The partitions that are asked for; none stands for all.
fn wanted(given: &Given) -> Result<Option<BTreeSet<TopicPartition>>, Failure> {
    if given.has("all-topic-partitions") {
        return Ok(None);
    }
    if let Some(path) = given.one("path-to-json-file")? {
        let text = std::fs::read_to_string(path)
            .map_err(|_| Failure::text(format!("java.io.IOException: Unable to read file {path}")))?;
        return partitions_of(&text).map(Some);
    }
    let partition = given.number::<i32>("partition")?;
    let partition = partition.ok_or_else(|| Failure::text("Missing required option(s): partition"))?;
    Ok(Some(BTreeSet::from([TopicPartition::new(given.required("topic")?, partition)])))
}

fn partitions_of(text: &str) -> Result<BTreeSet<TopicPartition>, Failure> {
    let json: Value =
        serde_json::from_str(text).map_err(|_| Failure::text("Replica election data is empty"))?;
    let rows = json.get("partitions").and_then(Value::as_array);
    let rows = rows.ok_or_else(|| Failure::text("Replica election data is missing \"partitions\" field"))?;
    let (mut all, mut twice) = (BTreeSet::new(), BTreeSet::new());
    for row in rows {
        let topic = row.get("topic").and_then(Value::as_str);
        let partition = row.get("partition").and_then(Value::as_i64).and_then(|n| i32::try_from(n).ok());
        let (Some(topic), Some(partition)) = (topic, partition) else {
            return Err(Failure::text(format!("Expected topic and partition, received {row}")));
        };
        let tp = TopicPartition::new(topic, partition);
        if !all.insert(tp.clone()) {
            twice.insert(tp.to_string());
        }
    }
    if twice.is_empty() {
        return Ok(all);
    }
    let twice = twice.into_iter().collect::<Vec<_>>().join(", ");
    Err(Failure::text(format!("Replica election data contains duplicate partitions: [{twice}]")))
}

#[cfg(test)]
mod tests {
    use super::partitions_of;

    #[test]
    fn files_of_partitions() {
        let text = r#"{"partitions": [{"topic": "t", "partition": 1}, {"topic": "t", "partition": 0}]}"#;
        let names: Vec<String> =
            partitions_of(text).expect("partitions").iter().map(ToString::to_string).collect();
        assert_eq!(names, ["t-0", "t-1"]);
        for (text, expected) in [
            ("{", "Replica election data is empty"),
            ("{}", "Replica election data is missing \"partitions\" field"),
            (r#"{"partitions": [{"topic": "t"}]}"#, "Expected topic and partition"),
            (
                r#"{"partitions": [{"topic": "t", "partition": 1}, {"topic": "t", "partition": 1}]}"#,
                "Replica election data contains duplicate partitions: [t-1]",
            ),
        ] {
            let error = partitions_of(text).expect_err(text).to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
