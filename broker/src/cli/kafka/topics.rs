//! `kafka-topics` (`TopicCommand`).

mod describe;

use super::filter::{Include, is_internal};
use crate::cli::admin;
use crate::cli::connect::{block_on, client};
use crate::cli::failure::Failure;
use crate::cli::flags::{Flag, Given, switch, value};
use crate::cli::screen::Screen;
use crate::cli::tools::Run;
use crate::client::{Client, ClientError, string, topic_name};
use kafka_protocol::messages::BrokerId;
use kafka_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};

/// The tool.
pub(crate) const RUN: Run = Run::Flags(FLAGS, run);

/// The code of a topic that is there already.
const TOPIC_ALREADY_EXISTS: i16 = 36;
const ACTIONS: [&str; 5] = ["create", "list", "alter", "describe", "delete"];

const FLAGS: &[Flag] = &[
    value("bootstrap-server", "HOST:PORT", "REQUIRED. The brokers to connect to."),
    value("command-config", "FILE", "Properties of the client."),
    switch("list", "List topics."),
    switch("create", "Create a topic."),
    switch("delete", "Delete topics."),
    switch("alter", "Add partitions to topics."),
    switch("describe", "Show topics with their partitions."),
    value("topic", "NAME", "The topic, or (not with --create) a regular expression of topics."),
    value("topic-id", "ID", "The id of the topic to describe."),
    value("config", "NAME=VALUE", "A configuration of the new topic; may be repeated."),
    value("delete-config", "NAME", "Not supported any more; see kafka-configs."),
    value("partitions", "N", "How many partitions the topic is to have."),
    value("replication-factor", "N", "How many replicas each partition is to have."),
    value("replica-assignment", "LIST", "Brokers of each partition: 1:2,2:3."),
    switch("under-replicated-partitions", "Describe partitions with replicas that are not in sync."),
    switch("unavailable-partitions", "Describe partitions without a live leader."),
    switch("under-min-isr-partitions", "Describe partitions with fewer replicas in sync than configured."),
    switch("at-min-isr-partitions", "Describe partitions with just as many replicas in sync as configured."),
    switch("topics-with-overrides", "Describe topics that have configurations of their own."),
    switch("if-exists", "Do nothing if there is no such topic."),
    switch("if-not-exists", "Do nothing if there is such a topic."),
    switch("exclude-internal", "Leave out Kafka's own topics."),
    value("partition-size-limit-per-response", "N", "The most partitions of one answer."),
];

fn run(screen: &mut Screen, given: &Given) -> Result<(), Failure> {
    check_flags(screen, given)?;
    let mut client = client(given)?;
    match act(screen, given, &mut client) {
        // Of settings that make no client, Kafka's tool tells on standard error.
        Err(Failure::Client(ClientError::Config(text))) => Err(Failure::Text(text)),
        Err(failure @ (Failure::Text(_) | Failure::Word(_) | Failure::Client(_))) => {
            screen.say(format_args!("Error while executing topic command : {failure}"))?;
            Err(Failure::Said)
        }
        outcome => outcome,
    }
}

fn act(screen: &mut Screen, given: &Given, client: &mut Client) -> Result<(), Failure> {
    block_on(async {
        if given.has("create") {
            create(screen, given, client).await
        } else if given.has("alter") {
            alter(given, client).await
        } else if given.has("list") {
            let names = topics(given, client).await?;
            Ok(screen.say(names.join("\n"))?)
        } else if given.has("describe") {
            describe::run(screen, given, client).await
        } else {
            delete(given, client).await
        }
    })
}

fn check_flags(screen: &mut Screen, given: &Given) -> Result<(), Failure> {
    if ACTIONS.iter().filter(|action| given.has(action)).count() != 1 {
        let text =
            "Command must include exactly one action: --list, --describe, --create, --alter or --delete";
        return Err(Failure::Usage(text.into()));
    }
    if given.has("delete-config") {
        screen.complain("delete-config option is no longer supported and deprecated since version 4.0. The config will be fully removed in future releases.")?;
    }
    if !given.has("bootstrap-server") {
        return Err(Failure::text("--bootstrap-server must be specified"));
    }
    if given.has("describe") && given.has("if-exists") && !given.has("topic") && !given.has("topic-id") {
        return Err(Failure::Usage("--topic or --topic-id is required to describe a topic".into()));
    }
    if !given.has("list") && !given.has("describe") {
        given.required("topic")?;
    }
    if given.has("alter") && given.has("config") {
        let text = "Option combination \"[[bootstrap-server], [config]]\" can't be used with option \"[alter]\" (To alter topic configurations, the kafka-configs tool can be used.)";
        return Err(Failure::Usage(text.into()));
    }
    if given.has("alter") {
        given.required("partitions")?;
    }
    let others = |allowed: &[&str]| -> Vec<&str> {
        ACTIONS.iter().copied().filter(|action| !allowed.contains(action)).collect()
    };
    for (flag, allowed) in [
        ("config", &["alter", "create"][..]),
        ("partitions", &["alter", "create"]),
        ("replication-factor", &["create"]),
        ("replica-assignment", &["alter", "create"]),
        ("under-replicated-partitions", &["describe"]),
        ("under-min-isr-partitions", &["describe"]),
        ("at-min-isr-partitions", &["describe"]),
        ("unavailable-partitions", &["describe"]),
        ("topics-with-overrides", &["describe"]),
        ("if-exists", &["alter", "delete", "describe"]),
        ("if-not-exists", &["create"]),
        ("exclude-internal", &["list", "describe"]),
    ] {
        given.excludes(flag, &others(allowed))?;
    }
    if given.has("create") {
        given.excludes("replica-assignment", &["partitions", "replication-factor"])?;
    }
    let reports = describe::REPORTS;
    given.excludes("topics-with-overrides", &reports)?;
    reports.iter().try_for_each(|report| given.excludes(report, &["topics-with-overrides"]))
}

async fn create(screen: &mut Screen, given: &Given, client: &mut Client) -> Result<(), Failure> {
    let name = given.required("topic")?;
    let partitions = given.number::<i32>("partitions")?;
    let factor = given.number::<i32>("replication-factor")?;
    let assignment = assignment_of(given)?;
    let configs: Vec<_> = given.all("config").map(config_of).collect::<Result<_, _>>()?;
    if name.contains(['.', '_']) {
        screen.say("WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') could collide. To avoid issues it is best to use either, but not both.")?;
    }
    let factor = factor.map_or(Some(-1), |factor| i16::try_from(factor).ok().filter(|factor| *factor > 0));
    let factor = factor.ok_or_else(|| {
        Failure::text(format!("The replication factor must be between 1 and {} inclusive", i16::MAX))
    })?;
    if partitions.is_some_and(|partitions| partitions < 1) {
        return Err(Failure::text("The partitions must be greater than 0"));
    }
    let mut topic = CreatableTopic::default()
        .with_name(topic_name(name))
        .with_num_partitions(partitions.unwrap_or(-1))
        .with_replication_factor(factor)
        .with_configs(configs);
    if !assignment.is_empty() {
        let one = |(index, brokers): (i32, Vec<BrokerId>)| {
            CreatableReplicaAssignment::default().with_partition_index(index).with_broker_ids(brokers)
        };
        topic = topic
            .with_num_partitions(-1)
            .with_replication_factor(-1)
            .with_assignments((0..).zip(assignment).map(one).collect());
    }
    match admin::create_topic(client, topic).await {
        Ok(()) => Ok(screen.say(format_args!("Created topic {name}."))?),
        Err(error) if error.code() == Some(TOPIC_ALREADY_EXISTS) && given.has("if-not-exists") => Ok(()),
        Err(error) => Err(error.into()),
    }
}

async fn alter(given: &Given, client: &mut Client) -> Result<(), Failure> {
    let count = given.number::<i32>("partitions")?.unwrap_or(0);
    let assignment = assignment_of(given)?;
    let names = existing(given, client).await?;
    if names.is_empty() {
        return Ok(());
    }
    let refs: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut topics = Vec::new();
    for topic in client.metadata(Some(&refs)).await? {
        let new = assignment.iter().skip(topic.partitions.len()).cloned();
        let new: Vec<_> =
            new.map(|brokers| CreatePartitionsAssignment::default().with_broker_ids(brokers)).collect();
        let asked = CreatePartitionsTopic::default()
            .with_name(topic_name(&topic.name))
            .with_count(count)
            .with_assignments((!assignment.is_empty()).then_some(new));
        topics.push(asked);
    }
    Ok(admin::create_partitions(client, topics).await?)
}

async fn delete(given: &Given, client: &mut Client) -> Result<(), Failure> {
    let names = existing(given, client).await?;
    if names.is_empty() {
        return Ok(());
    }
    Ok(admin::delete_topics(client, &names).await?)
}

/// Names of the topics that `--topic` asks for, sorted.
async fn topics(given: &Given, client: &mut Client) -> Result<Vec<String>, Failure> {
    let include = given.one("topic")?.map(Include::new).transpose()?;
    let without_internal = given.has("exclude-internal");
    let mut names: Vec<String> = client
        .metadata(None)
        .await?
        .into_iter()
        .filter(|topic| !(without_internal && (topic.is_internal || is_internal(&topic.name))))
        .map(|topic| topic.name)
        .filter(|name| include.as_ref().is_none_or(|include| include.allows(name)))
        .collect();
    names.sort_unstable();
    Ok(names)
}

/// Like [`topics`]; that there is none is an error without `--if-exists`.
async fn existing(given: &Given, client: &mut Client) -> Result<Vec<String>, Failure> {
    let names = topics(given, client).await?;
    match given.one("topic")?.filter(|topic| !topic.is_empty()) {
        Some(topic) if names.is_empty() && !given.has("if-exists") => {
            Err(Failure::text(format!("Topic '{topic}' does not exist as expected")))
        }
        _ => Ok(names),
    }
}

fn config_of(pair: &str) -> Result<CreatableTopicConfig, Failure> {
    let invalid = || {
        let text = "requirement failed: Invalid topic config: all configs to be added must be in the format \"key=val\".";
        Failure::text(text)
    };
    let (name, value) = pair.split_once('=').ok_or_else(invalid)?;
    if value.trim().is_empty() || value.contains('=') {
        return Err(invalid());
    }
    Ok(CreatableTopicConfig::default().with_name(string(name.trim())).with_value(Some(string(value.trim()))))
}

fn assignment_of(given: &Given) -> Result<Vec<Vec<BrokerId>>, Failure> {
    let Some(text) = given.one("replica-assignment")?.filter(|text| !text.is_empty()) else {
        return Ok(Vec::new());
    };
    let mut all: Vec<Vec<BrokerId>> = Vec::new();
    for list in text.split(',') {
        let parse = |id: &str| id.trim().parse().map(BrokerId);
        let brokers: Vec<BrokerId> = list
            .split(':')
            .map(parse)
            .collect::<Result<_, _>>()
            .map_err(|_| Failure::text(format!("For input string: \"{list}\"")))?;
        if let Some(twice) = brokers.iter().enumerate().find(|(i, id)| brokers[..*i].contains(id)) {
            let text = format!("Partition replica lists may not contain duplicate entries: {}", twice.1.0);
            return Err(Failure::text(text));
        }
        if all.first().is_some_and(|first| first.len() != brokers.len()) {
            let ids: Vec<String> = brokers.iter().map(|id| id.0.to_string()).collect();
            let (index, list) = (all.len(), ids.join(", "));
            return Err(Failure::text(format!(
                "Partition {index} has different replication factor: [{list}]"
            )));
        }
        all.push(brokers);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::{FLAGS, assignment_of, check_flags, config_of};
    use crate::cli::flags::Given;
    use crate::cli::screen::Screen;

    fn given(line: &str) -> Given {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Given::read(FLAGS, &words).expect(line)
    }

    #[test]
    fn flags_that_contradict_each_other() {
        let mut screen = Screen::new(Box::new(Vec::new()), Box::new(Vec::new()));
        for (line, expected) in [
            ("--list", Err("--bootstrap-server must be specified")),
            (
                "--bootstrap-server a:1",
                Err(
                    "Command must include exactly one action: --list, --describe, --create, --alter or --delete",
                ),
            ),
            ("--bootstrap-server a:1 --create", Err("Missing required argument \"[topic]\"")),
            (
                "--bootstrap-server a:1 --list --partitions 3",
                Err("Option \"[partitions]\" can't be used with option \"[list]\""),
            ),
            ("--bootstrap-server a:1 --alter --topic t", Err("Missing required argument \"[partitions]\"")),
            ("--bootstrap-server a:1 --list", Ok(())),
            ("--bootstrap-server a:1 --describe", Ok(())),
            ("--bootstrap-server a:1 --create --topic t --if-not-exists --partitions 1", Ok(())),
            ("--bootstrap-server a:1 --delete --topic t --if-exists", Ok(())),
        ] {
            let outcome = check_flags(&mut screen, &given(line)).map_err(|error| error.to_string());
            assert_eq!(outcome, expected.map_err(str::to_owned), "{line}");
        }
    }

    #[test]
    fn pairs_and_lists() {
        assert!(config_of("a=b").is_ok());
        for pair in ["a", "a=", "a=b=c"] {
            assert!(config_of(pair).is_err(), "{pair}");
        }
        assert_eq!(assignment_of(&given("--replica-assignment 1:2,2:1")).expect("lists").len(), 2);
        for list in ["1:1", "1,1:2", "x"] {
            assert!(assignment_of(&given(&format!("--replica-assignment {list}"))).is_err(), "{list}");
        }
    }
}
