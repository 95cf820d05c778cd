//! `milena topic`.

use super::copy;
use super::position::{self, Places, Position};
use super::sheet::{Format, Sheet};
use crate::cli::admin::{self, Resource};
use crate::cli::connect::block_on;
use crate::cli::failure::Failure;
use crate::cli::flags::{Flag, Given, switch, value};
use crate::cli::kafka::configs_of::{self, DEFAULT_CONFIG};
use crate::cli::kafka::delete_records;
use crate::cli::screen::Screen;
use crate::cli::tools::Run;
use crate::cli::verbs::{CLUSTER, OUTPUT, Verb, YES, client, confirm};
use crate::client::{Client, To, Topic, TopicPartition, check};
use crate::clock::Clock;
use crate::metadata::TOPIC_RESOURCE;
use crate::tree::tree;
use kafka_protocol::messages::ApiKey;
use serde_json::json;
use std::collections::BTreeMap;

/// The code of a topic that is there already.
const TOPIC_ALREADY_EXISTS: i16 = 36;
/// The code of a topic that is not there.
const UNKNOWN_TOPIC: i16 = 3;

const CREATING: &[Flag] = &[
    value("partitions", "N", "How many partitions; the broker's default if not given."),
    value("replicas", "N", "How many replicas of each; the broker's default if not given."),
    value("config", "KEY=VALUE", "A setting; may be repeated."),
    switch("if-not-exists", "Leave topics as they are that are there already."),
];
const CONFIGURING: &[Flag] = &[
    value("delete", "KEY", "Take a setting back to its default; may be repeated."),
    switch("all", "Show defaults, too."),
];

/// The command.
pub(crate) const RUN: Run = Run::Verbs(&[
    Verb {
        name: "list",
        words: "[TOPIC...]",
        help: "The topics: all of them, or those of these names.",
        flags: &[CLUSTER, OUTPUT, &[switch("internal", "Kafka's own topics, too.")]],
        run: list,
    },
    Verb {
        name: "create",
        words: "TOPIC...",
        help: "Make topics.",
        flags: &[CLUSTER, OUTPUT, CREATING],
        run: create,
    },
    Verb {
        name: "describe",
        words: "TOPIC...",
        help: "Partitions with leaders, replicas and offsets, and what is set for the topic.",
        flags: &[CLUSTER, OUTPUT],
        run: describe,
    },
    Verb {
        name: "config",
        words: "TOPIC [KEY=VALUE...]",
        help: "Show what is set for a topic, or set it.",
        flags: &[CLUSTER, OUTPUT, CONFIGURING],
        run: config,
    },
    Verb {
        name: "partitions",
        words: "TOPIC N",
        help: "Give a topic more partitions, N in all.",
        flags: &[CLUSTER, OUTPUT],
        run: partitions,
    },
    Verb {
        name: "delete",
        words: "TOPIC...",
        help: "Delete topics with all their records.",
        flags: &[CLUSTER, YES, &[switch("if-exists", "Pass over topics that are not there.")]],
        run: delete,
    },
    Verb {
        name: "copy",
        words: "FROM TO",
        help: "Copy the records of a topic to another one: keys, values, headers, times, partitions.",
        flags: &[CLUSTER, OUTPUT, copy::FLAGS],
        run: copy::run,
    },
    Verb {
        name: "truncate",
        words: "TOPIC",
        help: "Delete the records of a topic: all, or those before a place.",
        flags: &[
            CLUSTER,
            OUTPUT,
            YES,
            &[value("before", "WHERE", "end (default), an offset, -10, -7d, 0:42,1:7.")],
        ],
        run: truncate,
    },
]);

/// Topics by their names, in this order; all if there are no names.
pub(super) async fn named(client: &mut Client, names: &[String]) -> Result<Vec<Topic>, Failure> {
    let refs: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut found = client.metadata(if refs.is_empty() { None } else { Some(&refs) }).await?;
    found.iter().try_for_each(there)?;
    found.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

/// Whether Metadata has found a topic.
///
/// # Errors
/// It is not there, or cannot be seen.
pub(super) fn there(topic: &Topic) -> Result<(), Failure> {
    check(ApiKey::Metadata as i16, topic.error, None).map_err(|error| match error.code() {
        Some(UNKNOWN_TOPIC) => Failure::text(format!("there is no topic {}", topic.name)),
        _ => Failure::text(format!("topic {}: {error}", topic.name)),
    })
}

fn list(screen: &mut Screen, given: &Given) -> Result<(), Failure> {
    let format = Format::of(given)?;
    let mut client = client(given)?;
    let topics = block_on(async { named(&mut client, &given.words).await })?;
    let mut sheet = Sheet::new(&["topic", "partitions", "replicas", "id"]);
    for topic in topics {
        if topic.is_internal && !given.has("internal") && given.words.is_empty() {
            continue;
        }
        let replicas = topic.partitions.first().map_or(0, |partition| partition.replicas.len());
        let id = milena_protocol::stored::uuid_to_base64(topic.id);
        sheet.row([json!(topic.name), json!(topic.partitions.len()), json!(replicas), json!(id)]);
    }
    sheet.print(screen, format)
}

fn create(screen: &mut Screen, given: &Given) -> Result<(), Failure> {
    let format = Format::of(given)?;
    let config = pairs(given.all("config"))?;
    let (partitions, replicas) = (given.number("partitions")?, given.number("replicas")?);
    let mut client = client(given)?;
    let mut sheet = Sheet::new(&["topic", "status"]);
    let mut has_failed = false;
    block_on(async {
        for topic in &given.words {
            let outcome =
                admin::create_topic(&mut client, admin::new_topic(topic, partitions, replicas, &config))
                    .await;
            let status = match outcome {
                Ok(()) => "created".to_owned(),
                Err(error) if error.code() == Some(TOPIC_ALREADY_EXISTS) && given.has("if-not-exists") => {
                    "there already".to_owned()
                }
                Err(error) if error.code().is_some() => {
                    has_failed = true;
                    error.to_string()
                }
                Err(error) => return Err(error.into()),
            };
            sheet.row([json!(topic), json!(status)]);
        }
        Ok(())
    })?;
    sheet.print(screen, format)?;
    if has_failed { Err(Failure::Said) } else { Ok(()) }
}

/// `key=value` pairs.
fn pairs<'a>(words: impl Iterator<Item = &'a str>) -> Result<BTreeMap<String, String>, Failure> {
    let pair = |word: &str| match word.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.to_owned())),
        _ => Err(Failure::Usage(format!("{word} is not KEY=VALUE"))),
    };
    words.map(pair).collect()
}

fn describe(screen: &mut Screen, given: &Given) -> Result<(), Failure> {
    let format = Format::of(given)?;
    let mut client = client(given)?;
    let mut all = Sheet::new(COLUMNS);
    block_on(async {
        for topic in named(&mut client, &given.words).await? {
            let led = topic.partitions.iter().filter(|partition| partition.leader.is_some());
            let led: Vec<_> =
                led.map(|partition| TopicPartition::new(&topic.name, partition.index)).collect();
            let bounds = position::bounds(&mut client, &led, false).await?;
            let mut sheet = Sheet::new(COLUMNS);
            for partition in &topic.partitions {
                let found = bounds.get(&TopicPartition::new(&topic.name, partition.index));
                let row = [
                    json!(topic.name),
                    json!(partition.index),
                    json!(partition.leader),
                    json!(partition.epoch),
                    json!(partition.replicas),
                    json!(partition.isr),
                    json!(found.map(|bounds| bounds.start)),
                    json!(found.map(|bounds| bounds.end)),
                ];
                if format == Format::Table { sheet.row(row) } else { all.row(row) }
            }
            if format == Format::Table {
                let set = settings(&mut client, &topic.name, false).await?;
                let set: Vec<String> = set.iter().map(|(key, value, _)| format!("  {key}={value}")).collect();
                screen.say(format_args!("{}{}", topic.name, set.concat()))?;
                sheet.print(screen, format)?;
            }
        }
        Ok(())
    })?;
    if format == Format::Table { Ok(()) } else { all.print(screen, format) }
}

const COLUMNS: &[&str] = &["topic", "partition", "leader", "epoch", "replicas", "isr", "start", "end"];

/// What is set for a topic, or all that holds for it: key, value, source.
pub(super) async fn settings(
    client: &mut Client,
    topic: &str,
    all: bool,
) -> Result<Vec<(String, String, &'static str)>, Failure> {
    let found = configs_of::describe(client, To::Any, TOPIC_RESOURCE, &[topic], false).await?;
    let entries = found.into_iter().flat_map(|one| one.configs);
    let wanted = entries.filter(|entry| all || entry.config_source == 1);
    let row = |entry: kafka_protocol::messages::describe_configs_response::DescribeConfigsResourceResult| {
        let source = if entry.config_source == DEFAULT_CONFIG {
            "default"
        } else {
            configs_of::source_name(entry.config_source)
        };
        (entry.name.to_string(), entry.value.map(|value| value.to_string()).unwrap_or_default(), source)
    };
    let mut rows: Vec<_> = wanted.map(row).collect();
    rows.sort_unstable();
    Ok(rows)
}

fn config(screen: &mut Screen, given: &Given) -> Result<(), Failure> {
    let format = Format::of(given)?;
    let topic = &given.words[0];
    let set = pairs(given.words[1..].iter().map(String::as_str))?;
    let unset: Vec<String> = given.all("delete").map(str::to_owned).collect();
    let mut client = client(given)?;
    let rows = block_on(async {
        if !set.is_empty() || !unset.is_empty() {
            admin::configure(&mut client, To::Controller, Resource::topic(topic), &set, &unset).await?;
        }
        settings(&mut client, topic, given.has("all")).await
    })?;
    let mut sheet = Sheet::new(&["key", "value", "source"]);
    for (key, value, source) in rows {
        sheet.row([json!(key), json!(value), json!(source)]);
    }
    sheet.print(screen, format)
}

fn partitions(screen: &mut Screen, given: &Given) -> Result<(), Failure> {
    let format = Format::of(given)?;
    let (topic, count) = (&given.words[0], &given.words[1]);
    let count: i32 =
        count.parse().map_err(|_| Failure::Usage(format!("{count} is no number of partitions")))?;
    let mut client = client(given)?;
    block_on(async { Ok(admin::grow(&mut client, topic, count).await?) })?;
    let mut sheet = Sheet::new(&["topic", "partitions"]);
    sheet.row([json!(topic), json!(count)]);
    sheet.print(screen, format)
}

fn delete(_: &mut Screen, given: &Given) -> Result<(), Failure> {
    let mut client = client(given)?;
    block_on(async {
        let mut names = given.words.clone();
        if given.has("if-exists") {
            let there = client.metadata(None).await?;
            names.retain(|name| there.iter().any(|topic| topic.name == *name));
        } else {
            named(&mut client, &names).await?;
        }
        if names.is_empty() {
            return Ok(());
        }
        confirm(given, &format!("Delete {} with all records", names.join(", ")))?;
        Ok(admin::delete_topics(&mut client, &names).await?)
    })
}

fn truncate(screen: &mut Screen, given: &Given) -> Result<(), Failure> {
    let format = Format::of(given)?;
    let before = given.one("before")?.map(|text| Places::parse(text, Clock::System.now_ms())).transpose()?;
    let before = before.unwrap_or_else(|| Places::everywhere(Position::End));
    let mut client = client(given)?;
    let results = block_on(async {
        let topics = named(&mut client, &given.words).await?;
        let all = topics
            .iter()
            .flat_map(|topic| topic.partitions.iter().map(move |partition| (topic, partition.index)));
        let place = |(topic, index): (&Topic, i32)| {
            Some((TopicPartition::new(&topic.name, index), before.get(index)?))
        };
        let wanted: BTreeMap<TopicPartition, Position> = tree(all.filter_map(place));
        let partitions: Vec<TopicPartition> = wanted.keys().cloned().collect();
        let bounds = position::bounds(&mut client, &partitions, false).await?;
        let offsets = position::resolve(&mut client, &wanted, &bounds, |_| None).await?;
        let records: i64 =
            offsets.iter().map(|(tp, to)| to - bounds.get(tp).map_or(*to, |bounds| bounds.start)).sum();
        confirm(given, &format!("Delete {records} records of {}", given.words[0]))?;
        Ok(delete_records::delete(&mut client, &offsets).await?)
    })?;
    let mut sheet = Sheet::new(&["topic", "partition", "start", "error"]);
    let mut has_failed = false;
    for (tp, result) in results {
        has_failed |= result.is_err();
        let (start, error) = match result {
            Ok(start) => (Some(start), None),
            Err(error) => (None, Some(error.to_string())),
        };
        sheet.row([json!(tp.topic), json!(tp.partition), json!(start), json!(error)]);
    }
    sheet.print(screen, format)?;
    if has_failed { Err(Failure::Said) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::pairs;

    #[test]
    fn settings_are_pairs() {
        let found = pairs(["a=b=c", " d =", "e= f"].into_iter()).expect("pairs");
        let expected = [("a", "b=c"), ("d", ""), ("e", " f")];
        assert!(found.iter().map(|(key, value)| (key.as_str(), value.as_str())).eq(expected), "{found:?}");
        for word in ["a", "=b", ""] {
            assert!(pairs([word].into_iter()).is_err(), "{word}");
        }
    }
}
