//! `milena group seek`: where a group goes on.

use super::group::find;
use super::position::{self, Places};
use super::sheet::{Format, Sheet};
use super::{consume, expel, topic};
use crate::cli::connect::block_on;
use crate::cli::failure::Failure;
use crate::cli::flags::{Flag, Given, switch, value};
use crate::cli::kafka::groups::Group;
use crate::cli::screen::Screen;
use crate::cli::verbs::{client, confirm};
use crate::client::member::{check_commit, commit_request};
use crate::client::{Client, To, TopicPartition};
use crate::clock::Clock;
use crate::tree::tree;
use kafka_protocol::messages::OffsetCommitRequest;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::time::Duration;

pub(super) const FLAGS: &[Flag] = &[
    value(
        "to",
        "WHERE",
        "start, end, an offset, -10m, @2026-01-31T12:00, 0:42,1:7; +5 and -5 from where it is.",
    ),
    value(
        "file",
        "FILE",
        "Lines of JSON with topic, partition and offset, as describe -o ndjson prints them; - for standard input.",
    ),
    value("topic", "TOPIC[:P,P]", "Only this topic, or these partitions; may be repeated."),
    switch("dry-run", "Show what would be done."),
    switch("live", "Move a group that has members: they are expelled, and come back to the new offsets."),
    value("timeout", "TIME", "How long --live may take (default: 30s)."),
];

pub(super) fn run(screen: &mut Screen, given: &Given) -> Result<(), Failure> {
    let format = Format::of(given)?;
    if given.has("to") == given.has("file") {
        return Err(Failure::Usage("say where by --to or by --file".into()));
    }
    given.excludes("file", &["topic"])?;
    let now = Clock::System.now_ms();
    let places = given.one("to")?.map(|text| Places::parse(text, now)).transpose()?;
    let file = given.one("file")?.map(read_file).transpose()?;
    let timeout = given.one("timeout")?.map_or(Ok(Duration::from_secs(30)), consume::time)?;
    let id = given.words[0].as_str();
    let mut client = client(given)?;
    let sheet = block_on(async {
        let group = find(&mut client, id).await?;
        let members = group.as_ref().map_or(0, |group| group.members.len());
        let committed = client.committed(id, None, false).await?;
        let before = |tp: &TopicPartition| committed.get(tp).map(|known| known.offset);
        let offsets = match (&file, &places) {
            (Some(offsets), _) => within_logs(&mut client, offsets).await?,
            (None, Some(places)) => {
                let scope = scope(&mut client, given, group.as_ref(), committed.keys()).await?;
                let place = |tp: &TopicPartition| Some((tp.clone(), places.get(tp.partition)?));
                let wanted: BTreeMap<_, _> = tree(scope.iter().filter_map(place));
                let partitions: Vec<TopicPartition> = wanted.keys().cloned().collect();
                let bounds = position::bounds(&mut client, &partitions, false).await?;
                position::resolve(&mut client, &wanted, &bounds, before).await?
            }
            (None, None) => BTreeMap::new(),
        };
        if offsets.is_empty() {
            return Err(Failure::text(format!("group {id} has no such partitions; name them by --topic")));
        }
        let mut sheet = Sheet::new(&["group", "topic", "partition", "from", "offset"]);
        for (tp, offset) in &offsets {
            sheet.row([json!(id), json!(tp.topic), json!(tp.partition), json!(before(tp)), json!(offset)]);
        }
        if given.has("dry-run") {
            return Ok(sheet);
        }
        if members > 0 && !given.has("live") {
            return Err(Failure::text(format!(
                "group {id} has {members} members, which would not notice; stop them, or move them by --live"
            )));
        }
        if members > 0 {
            confirm(given, &format!("Expel {members} members of {id} and move it"))?;
            expel::seek(&mut client, id, &offsets, timeout).await?;
        } else {
            let request = commit_request(id, -1, "", &offsets);
            client.call_checked::<OffsetCommitRequest, _>(To::Group(id), |_| &request, check_commit).await?;
        }
        Ok(sheet)
    })?;
    sheet.print(screen, format)
}

/// The partitions that the flags name, or those that the group has.
async fn scope<'c>(
    client: &mut Client,
    given: &Given,
    group: Option<&'c Group>,
    committed: impl Iterator<Item = &'c TopicPartition>,
) -> Result<BTreeSet<TopicPartition>, Failure> {
    if !given.has("topic") {
        let assigned = group.into_iter().flat_map(|group| &group.members).flat_map(|member| &member.assigned);
        return Ok(committed.chain(assigned).cloned().collect());
    }
    let mut all = BTreeSet::new();
    for text in given.all("topic") {
        let (name, list) = text.split_once(':').unwrap_or((text, ""));
        let indexes: Vec<i32> = list
            .split(',')
            .filter(|index| !index.is_empty())
            .map(|index| index.parse().map_err(|_| Failure::Usage(format!("{index} is no partition"))))
            .collect::<Result<_, _>>()?;
        for found in client.metadata(Some(&[name])).await? {
            topic::there(&found)?;
            let there: Vec<i32> = found.partitions.iter().map(|partition| partition.index).collect();
            if let Some(index) = indexes.iter().find(|index| !there.contains(index)) {
                return Err(Failure::text(format!("topic {name} has no partition {index}")));
            }
            let wanted = if indexes.is_empty() { &there } else { &indexes };
            all.extend(wanted.iter().map(|index| TopicPartition::new(name, *index)));
        }
    }
    Ok(all)
}

/// Offsets of a file, as far as the logs reach.
async fn within_logs(
    client: &mut Client,
    offsets: &BTreeMap<TopicPartition, i64>,
) -> Result<BTreeMap<TopicPartition, i64>, Failure> {
    let partitions: Vec<TopicPartition> = offsets.keys().cloned().collect();
    let bounds = position::bounds(client, &partitions, false).await?;
    let wanted = tree(offsets.iter().map(|(tp, offset)| (tp.clone(), position::Position::Offset(*offset))));
    position::resolve(client, &wanted, &bounds, |_| None).await
}

fn read_file(path: &str) -> Result<BTreeMap<TopicPartition, i64>, Failure> {
    let mut text = String::new();
    let read = match path {
        "-" => std::io::stdin().lock().read_to_string(&mut text).map(drop),
        path => std::fs::read_to_string(path).map(|read| text = read),
    };
    read.map_err(|error| Failure::text(format!("{path}: {error}")))?;
    parse(&text)
}

fn parse(text: &str) -> Result<BTreeMap<TopicPartition, i64>, Failure> {
    let mut offsets = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let row: Value =
            serde_json::from_str(line).map_err(|error| Failure::text(format!("line {number}: {error}")))?;
        // What was never committed stays so.
        if row.get("offset").is_some_and(Value::is_null) {
            continue;
        }
        let number_of = |name: &str| row.get(name).and_then(Value::as_i64);
        let partition = number_of("partition").and_then(|index| i32::try_from(index).ok());
        let (Some(Value::String(topic)), Some(partition), Some(offset)) =
            (row.get("topic"), partition, number_of("offset"))
        else {
            return Err(Failure::text(format!("line {number} does not have topic, partition and offset")));
        };
        offsets.insert(TopicPartition::new(topic, partition), offset);
    }
    Ok(offsets)
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::client::TopicPartition;

    #[test]
    fn files_of_offsets() {
        let text = "{\"group\":\"g\",\"topic\":\"t\",\"partition\":1,\"offset\":5,\"lag\":null}\n\n{\"topic\":\"t\",\"partition\":2,\"offset\":null}\n";
        let found = parse(text).expect("offsets");
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [(TopicPartition::new("t", 1), 5)]);
        for text in [
            "{",
            "[]",
            "{\"topic\":1,\"partition\":1,\"offset\":5}",
            "{\"topic\":\"t\",\"partition\":1}",
            "{\"topic\":\"t\",\"partition\":9999999999,\"offset\":5}",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
