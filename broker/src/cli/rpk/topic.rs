//! `rpk topic`.

use crate::cli::admin;
use crate::cli::failure::Failure;
use crate::cli::flags::Given;
use crate::cli::kafka::configs_of;
use crate::cli::kafka::consume::{self as reading, End, Plan, Sink, Wanted};
use crate::cli::lines::Lines;
use crate::cli::own::consume::{Stretch, between};
use crate::cli::own::pattern::{self, take_apart};
use crate::cli::own::printer::Form;
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
    topics.sort_unstable_by(|a, b| a.name.cmp(&b.name));
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
    let format = given.one("format")?.unwrap_or("%v\\n");
    let parts = pattern::parse(format, "kvp")?;
    if !format.ends_with("\\n") {
        return Err(Failure::text(format!(
            "records are lines here: the format {format} has to end with \\n"
        )));
    }
    let mut producer = Producer::new(ProducerSettings { codec, ..ProducerSettings::default() });
    let mut lines = Lines::read(std::io::stdin());
    while let Some(line) = lines.next().await {
        let line = line?;
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        let timestamp = Clock::System.now_ms();
        let mut record = NewRecord { partition, timestamp, key, value: None, headers: &headers };
        for (letter, bytes) in take_apart(&parts, line).map_err(Failure::Text)? {
            match letter {
                'k' => record.key = Some(bytes),
                'p' => record.partition = Some(number(bytes)?),
                _ => record.value = Some(bytes),
            }
        }
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

fn number(bytes: &[u8]) -> Result<i32, Failure> {
    let number = std::str::from_utf8(bytes).ok().and_then(|text| text.trim().parse().ok());
    number.ok_or_else(|| Failure::text(format!("{} is no partition", bytes.escape_ascii())))
}

pub(super) async fn consume(
    screen: &mut Screen,
    given: &Given,
    client: &mut Client,
    names: &[&str],
) -> Result<(), Failure> {
    let topics: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let fetch = FetchSettings {
        reset: Reset::Earliest,
        committed: given.has("read-committed"),
        ..FetchSettings::default()
    };
    let form = match given.one("format")?.filter(|format| *format != "json") {
        Some(format) => Some(Form::of_rpk(format)?),
        None => None,
    };
    let mut sink = Shown { screen, form, out: Vec::new(), left: given.number("num")?.filter(|num| *num > 0) };
    let offset = given.one("offset")?.unwrap_or("start");
    let partition = given.number::<i32>("partitions")?;
    let ended = match (offset, partition, given.one("group")?) {
        ("start" | "end", None, group) => {
            let reset = if offset == "end" { Reset::Latest } else { Reset::Earliest };
            let group = group.map(MemberSettings::new);
            let plan = Plan {
                wanted: Wanted::Topics(topics),
                commit_every: group.is_some().then_some(Duration::from_secs(5)),
                group,
                fetch: FetchSettings { reset, ..fetch },
                max: sink.left,
                timeout: None,
            };
            reading::run(client, plan, &mut sink).await.1
        }
        (_, _, Some(_)) => Err(Failure::text("a group begins where it is, and a new one at start or end")),
        _ => {
            let (from, to) = places(offset);
            let of =
                |place: String| partition.map_or(place.clone(), |partition| format!("{partition}:{place}"));
            let stretch = Stretch::read(&of(from), to.map(of).as_deref())?;
            between(client, &topics, stretch, fetch, None, &mut sink).await
        }
    };
    match ended? {
        End::Signal(number) => Err(Failure::Code(128 + number)),
        _ => Ok(()),
    }
}

/// From where, and up to where, in the words of milena's own commands: `-o 5:10`, `-o :end`, `-o @-2h:-1h`.
fn places(offset: &str) -> (String, Option<String>) {
    let time = |text: &str| if text == "end" { text.to_owned() } else { format!("@{text}") };
    let Some(times) = offset.strip_prefix('@') else {
        return match offset.split_once(':') {
            Some(("", to)) => ("start".to_owned(), Some(to.to_owned())),
            Some((from, to)) => (from.to_owned(), Some(to.to_owned())),
            None => (offset.to_owned(), None),
        };
    };
    // There are colons in a time of day: what is a time as a whole is one.
    let is_time = |text: &str| text == "end" || Stretch::read(&time(text), None).is_ok();
    let mut colons = times.match_indices(':').map(|(at, _)| (&times[..at], &times[at + 1..]));
    match colons.find(|(from, to)| !is_time(times) && is_time(from) && is_time(to)) {
        Some((from, to)) => (time(from), Some(time(to))),
        None => (time(times), None),
    }
}

/// Records as JSON, one field a line, or in a format.
struct Shown<'s> {
    screen: &'s mut Screen,
    form: Option<Form>,
    out: Vec<u8>,
    /// How many are to come.
    left: Option<u64>,
}

impl Sink for Shown<'_> {
    fn record(&mut self, tp: &TopicPartition, fetched: &Fetched<'_>) -> ControlFlow<()> {
        if self.left == Some(0) {
            return ControlFlow::Break(());
        }
        self.left = self.left.map(|left| left - 1);
        self.out.clear();
        let said = match &self.form {
            Some(form) => {
                form.write(&mut self.out, tp, fetched, false);
                self.screen.put(&self.out)
            }
            None => self.screen.say(format_args!("{:#}", json(tp, fetched))),
        };
        if said.is_ok() && self.left != Some(0) { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    fn pause(&mut self) -> ControlFlow<()> {
        match self.screen.flush() {
            Ok(()) if self.left != Some(0) => ControlFlow::Continue(()),
            _ => ControlFlow::Break(()),
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
    use super::{places, screaming};

    #[test]
    fn where_to_begin_and_to_end() {
        for (offset, from, to) in [
            ("47", "47", None),
            ("+2", "+2", None),
            ("-3", "-3", None),
            (":end", "start", Some("end")),
            ("5:10", "5", Some("10")),
            ("-3:end", "-3", Some("end")),
            ("@-1h", "@-1h", None),
            ("@-2h:-1h", "@-2h", Some("@-1h")),
            ("@1769860800:end", "@1769860800", Some("end")),
            ("@2026-01-31T12:00:00Z", "@2026-01-31T12:00:00Z", None),
            (
                "@2026-01-31T12:00:00Z:2026-01-31T13:00:00Z",
                "@2026-01-31T12:00:00Z",
                Some("@2026-01-31T13:00:00Z"),
            ),
        ] {
            assert_eq!(places(offset), (from.to_owned(), to.map(str::to_owned)), "{offset}");
        }
    }

    #[test]
    fn names_of_codes() {
        assert_eq!(screaming("TopicAlreadyExists"), "TOPIC_ALREADY_EXISTS");
    }
}
