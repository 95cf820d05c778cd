//! `rpk topic`.

use crate::cli::admin;
use crate::cli::failure::Failure;
use crate::cli::flags::Given;
use crate::cli::kafka::configs_of;
use crate::cli::kafka::consume::{self, End, Plan, Sink, Wanted};
use crate::cli::lines::Lines;
use crate::cli::screen::Screen;
use crate::cli::table::Table;
use crate::client::fetcher::{FetchSettings, Fetched, Reset};
use crate::client::member::MemberSettings;
use crate::client::offsets::{EARLIEST, LATEST};
use crate::client::producer::{NewRecord, Producer, ProducerSettings};
use crate::client::{Client, ClientError, To, Topic, TopicPartition, check};
use crate::clock::Clock;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::ApiKey;
use milena_protocol::records::{Codec, Header};
use serde_json::{Map, Value};
use std::ops::ControlFlow;
use std::time::Duration;

/// The topics with how many partitions and replicas they have.
pub(super) fn table(topics: &[Topic]) -> Table {
    let mut table = Table::new(&["NAME", "PARTITIONS", "REPLICAS"]);
    for topic in topics {
        let replicas = topic.partitions.first().map_or(0, |partition| partition.replicas.len());
        table.row(&[&topic.name, &topic.partitions.len().to_string(), &replicas.to_string()]);
    }
    table
}

pub(super) async fn list(screen: &mut Screen, client: &mut Client) -> Result<(), Failure> {
    let mut topics = client.metadata(None).await?;
    topics.retain(|topic| !topic.is_internal);
    topics.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(screen.put(table(&topics).text().as_bytes())?)
}

pub(super) async fn create(
    screen: &mut Screen,
    given: &Given,
    client: &mut Client,
    names: &[&str],
) -> Result<(), Failure> {
    let partitions = given.number("partitions")?;
    let replicas = given.number("replicas")?;
    let config = given.all("topic-config").map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let config = config.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    let mut outcomes = Vec::new();
    for name in names {
        let topic = admin::new_topic(name, partitions, replicas, &config);
        outcomes.push((*name, admin::create_topic(client, topic).await));
    }
    statuses(screen, outcomes)
}

pub(super) async fn delete(screen: &mut Screen, client: &mut Client, names: &[&str]) -> Result<(), Failure> {
    let mut outcomes = Vec::new();
    for name in names {
        outcomes.push((*name, admin::delete_topics(client, &[name]).await));
    }
    statuses(screen, outcomes)
}

fn statuses(screen: &mut Screen, outcomes: Vec<(&str, Result<(), ClientError>)>) -> Result<(), Failure> {
    let mut table = Table::new(&["TOPIC", "STATUS"]);
    let mut failed = false;
    for (name, outcome) in outcomes {
        match outcome {
            Ok(()) => table.row(&[name, "OK"]),
            Err(error) if error.code().is_some() => {
                failed = true;
                let code = error.code().and_then(ResponseError::try_from_code);
                let word = code.map(|code| screaming(&format!("{code:?}"))).unwrap_or_default();
                table.row(&[name, &format!("{word}: {error}")]);
            }
            Err(error) => return Err(error.into()),
        }
    }
    screen.put(table.text().as_bytes())?;
    if failed { Err(Failure::Said) } else { Ok(()) }
}

/// `TopicAlreadyExists` as `TOPIC_ALREADY_EXISTS`.
fn screaming(name: &str) -> String {
    let mut text = String::new();
    for (index, found) in name.char_indices() {
        if index > 0 && found.is_ascii_uppercase() {
            text.push('_');
        }
        text.push(found.to_ascii_uppercase());
    }
    text
}

pub(super) async fn describe(
    screen: &mut Screen,
    given: &Given,
    client: &mut Client,
    name: &str,
) -> Result<(), Failure> {
    let topics = client.metadata(Some(&[name])).await?;
    let topic = topics.first().ok_or_else(|| Failure::text(format!("topic {name} not found")))?;
    check(ApiKey::Metadata as i16, topic.error, None)?;
    if !given.has("partitions") {
        let replicas = topic.partitions.first().map_or(0, |partition| partition.replicas.len());
        let mut summary = Table::plain();
        summary.row(&["NAME", name]);
        summary.row(&["PARTITIONS", &topic.partitions.len().to_string()]);
        summary.row(&["REPLICAS", &replicas.to_string()]);
        screen.say(format_args!("SUMMARY\n=======\n{}", summary.text()))?;
        if given.has("print-summary") {
            return Ok(());
        }
        let found = configs_of::describe(client, To::Any, 2, &[name], false).await?;
        let mut table = Table::new(&["KEY", "VALUE", "SOURCE"]);
        for entry in found.iter().flat_map(|one| &one.configs) {
            table.row(&[
                &entry.name,
                entry.value.as_deref().map_or("", |value| value),
                configs_of::source_name(entry.config_source),
            ]);
        }
        return Ok(screen.put(format!("CONFIGS\n=======\n{}", table.text()).as_bytes())?);
    }
    let all = |time| topic.partitions.iter().map(move |one| (TopicPartition::new(name, one.index), time));
    let starts = client.list_offsets(&all(EARLIEST).collect::<Vec<_>>(), false).await?;
    let ends = client.list_offsets(&all(LATEST).collect::<Vec<_>>(), false).await?;
    let mut table =
        Table::new(&["PARTITION", "LEADER", "EPOCH", "REPLICAS", "LOG-START-OFFSET", "HIGH-WATERMARK"]);
    for partition in &topic.partitions {
        let tp = TopicPartition::new(name, partition.index);
        let at = |offsets: &crate::client::offsets::Answers| match offsets.get(&tp) {
            Some(Ok(found)) => found.offset.to_string(),
            _ => "-".to_owned(),
        };
        let replicas: Vec<String> = partition.replicas.iter().map(ToString::to_string).collect();
        table.row(&[
            &partition.index.to_string(),
            &partition.leader.unwrap_or(-1).to_string(),
            &partition.epoch.to_string(),
            &format!("[{}]", replicas.join(" ")),
            &at(&starts),
            &at(&ends),
        ]);
    }
    Ok(screen.put(table.text().as_bytes())?)
}

/// Sends the lines of standard input, and says of each where it went.
pub(super) async fn produce(
    screen: &mut Screen,
    given: &Given,
    client: &mut Client,
    name: &str,
) -> Result<(), Failure> {
    let codec = given.one("compression")?.unwrap_or("snappy");
    let codec =
        Codec::from_name(codec).ok_or_else(|| Failure::text(format!("invalid compression codec {codec}")))?;
    let partition = given.number::<i32>("partitions")?.filter(|partition| *partition >= 0);
    let key = given.one("key")?.map(str::as_bytes);
    let headers: Vec<Header<'_>> = given
        .all("header")
        .map(|pair| {
            let (key, value) = pair.split_once([':', '=']).unwrap_or((pair, ""));
            Header { key: key.as_bytes(), value: Some(value.as_bytes()) }
        })
        .collect();
    let mut producer = Producer::new(ProducerSettings { codec, ..ProducerSettings::default() });
    let mut lines = Lines::read(std::io::stdin());
    while let Some(line) = lines.next().await {
        let line = line?;
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        let timestamp = Clock::System.now_ms();
        let record = NewRecord { partition, timestamp, key, value: Some(line), headers: &headers };
        producer.append(client, name, record).await?;
        let (placed, refused) = producer.flush(client).await?;
        if let Some(refused) = refused.into_iter().next() {
            return Err(Failure::text(format!("unable to produce record: {}", refused.error)));
        }
        for (tp, offset) in placed {
            screen.say(format_args!(
                "Produced to partition {} at offset {offset} with timestamp {timestamp}.",
                tp.partition
            ))?;
        }
    }
    Ok(())
}

pub(super) async fn consume(
    screen: &mut Screen,
    given: &Given,
    client: &mut Client,
    names: &[&str],
) -> Result<(), Failure> {
    let offset = given.one("offset")?.unwrap_or("start");
    let reset = if offset == "end" { Reset::Latest } else { Reset::Earliest };
    let topics: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let wanted = match (given.number::<i32>("partitions")?, topics.as_slice()) {
        (Some(partition), [topic]) => {
            let at = match offset {
                "start" => EARLIEST,
                "end" => LATEST,
                number => number.parse().map_err(|_| Failure::text(format!("invalid offset {number}")))?,
            };
            Wanted::Partition(TopicPartition::new(topic, partition), at)
        }
        _ if !["start", "end"].contains(&offset) => {
            return Err(Failure::text("an offset needs one topic and --partitions with one number"));
        }
        _ => Wanted::Topics(topics),
    };
    let group = given.one("group")?.map(MemberSettings::new);
    let plan = Plan {
        wanted,
        commit_every: group.is_some().then_some(Duration::from_secs(5)),
        group,
        fetch: FetchSettings { reset, committed: true, ..FetchSettings::default() },
        max: given.number("num")?,
        timeout: None,
    };
    let (_, outcome) = consume::run(client, plan, &mut Json { screen }).await;
    match outcome? {
        End::Signal(number) => Err(Failure::Code(128 + number)),
        _ => Ok(()),
    }
}

/// Records as JSON, one field a line.
struct Json<'s> {
    screen: &'s mut Screen,
}

impl Sink for Json<'_> {
    fn record(&mut self, tp: &TopicPartition, fetched: &Fetched<'_>) -> ControlFlow<()> {
        match self.screen.say(format_args!("{:#}", json(tp, fetched))) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }

    fn pause(&mut self) -> ControlFlow<()> {
        match self.screen.flush() {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

fn json(tp: &TopicPartition, fetched: &Fetched<'_>) -> Value {
    let text = |bytes: &[u8]| Value::from(String::from_utf8_lossy(bytes).into_owned());
    let record = &fetched.record;
    let mut fields = Map::new();
    fields.insert("topic".into(), tp.topic.as_str().into());
    if let Some(key) = record.key {
        fields.insert("key".into(), text(key));
    }
    fields.insert("value".into(), record.value.map_or(Value::Null, text));
    let headers: Vec<Value> = record
        .headers()
        .map(|header| serde_json::json!({"key": text(header.key), "value": header.value.map(text)}))
        .collect();
    if !headers.is_empty() {
        fields.insert("headers".into(), headers.into());
    }
    fields.insert("timestamp".into(), fetched.timestamp.into());
    fields.insert("partition".into(), tp.partition.into());
    fields.insert("offset".into(), fetched.offset.into());
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use super::screaming;

    #[test]
    fn names_of_codes() {
        assert_eq!(screaming("TopicAlreadyExists"), "TOPIC_ALREADY_EXISTS");
    }
}
