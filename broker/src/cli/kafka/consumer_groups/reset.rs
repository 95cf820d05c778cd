//! `kafka-consumer-groups --reset-offsets` (`GroupOffsetsResetter`).

use super::{error_line, selected};
use crate::cli::failure::Failure;
use crate::cli::flags::Given;
use crate::cli::kafka::{groups, times};
use crate::cli::screen::Screen;
use crate::client::member::{check_commit, commit_request};
use crate::client::offsets::{EARLIEST, LATEST};
use crate::client::{Client, To, TopicPartition, check};
use crate::clock::Clock;
use kafka_protocol::messages::{ApiKey, OffsetCommitRequest};
use std::collections::BTreeMap;

/// The code of a group that is not there.
const GROUP_ID_NOT_FOUND: i16 = 69;

/// New offsets of one group.
type Offsets = BTreeMap<TopicPartition, i64>;

pub(super) async fn run(screen: &mut Screen, given: &Given, client: &mut Client) -> Result<(), Failure> {
    let mut all: BTreeMap<String, Offsets> = BTreeMap::new();
    for id in selected(given, client).await? {
        let state = match groups::describe(client, &id).await {
            Ok(group) => group.state,
            Err(error) if error.code() == Some(GROUP_ID_NOT_FOUND) => "Dead".to_owned(),
            Err(error) => return Err(error.into()),
        };
        if state != "Empty" && state != "Dead" {
            let text = format!(
                "Assignments can only be reset if the group '{id}' is inactive, but the current state is {state}."
            );
            error_line(screen, &text)?;
            all.insert(id, Offsets::new());
            continue;
        }
        let offsets = plan(screen, given, client, &id).await?;
        if given.has("execute") && !offsets.is_empty() {
            commit(client, &id, &offsets).await?;
        }
        all.insert(id, offsets);
    }
    if given.has("export") { export(screen, given, &all) } else { print(screen, &all) }
}

/// Commits offsets for a group without members.
pub(crate) async fn commit(client: &mut Client, id: &str, offsets: &Offsets) -> Result<(), Failure> {
    let request = commit_request(id, -1, "", offsets);
    client.call_checked::<OffsetCommitRequest, _>(To::Group(id), |_| &request, check_commit).await?;
    Ok(())
}

/// The partitions of `topic` or `topic:0,1`.
pub(super) async fn partitions_of(client: &mut Client, text: &str) -> Result<Vec<TopicPartition>, Failure> {
    if let Some((topic, list)) = text.split_once(':') {
        if list.is_empty() || list.contains(':') {
            let text = format!("Invalid topic arg '{text}', expected topic name and partitions");
            return Err(Failure::Usage(text));
        }
        let one = |index: &str| {
            index.parse().map(|index| TopicPartition::new(topic, index)).map_err(|_| {
                Failure::Usage(format!("Invalid partition '{index}' specified in topic arg '{text}''"))
            })
        };
        return list.split(',').map(one).collect();
    }
    let mut all = Vec::new();
    for topic in client.metadata(Some(&[text])).await? {
        check(ApiKey::Metadata as i16, topic.error, None)
            .map_err(|error| Failure::text(error.to_string()))?;
        all.extend(topic.partitions.iter().map(|partition| TopicPartition::new(text, partition.index)));
    }
    Ok(all)
}

async fn plan(screen: &mut Screen, given: &Given, client: &mut Client, id: &str) -> Result<Offsets, Failure> {
    let mut partitions: Vec<TopicPartition> = Vec::new();
    if given.has("all-topics") {
        partitions.extend(client.committed(id, None, false).await?.into_keys());
    } else if given.has("topic") {
        for topic in given.all("topic") {
            partitions.extend(partitions_of(client, topic).await?);
        }
    } else if !given.has("from-file") {
        return Err(Failure::Usage(
            "One of the reset scopes should be defined: --all-topics, --topic.".into(),
        ));
    }
    check_partitions(client, &partitions).await?;
    let at = |offset: i64| partitions.iter().map(|tp| (tp.clone(), offset)).collect::<Offsets>();
    if let Some(offset) = given.number("to-offset")? {
        return in_range(screen, client, at(offset)).await;
    }
    if given.has("to-earliest") {
        return offsets_at(client, &partitions, EARLIEST).await;
    }
    if given.has("to-latest") {
        return offsets_at(client, &partitions, LATEST).await;
    }
    if let Some(shift) = given.number::<i64>("shift-by")? {
        let committed = client.committed(id, None, false).await?;
        let mut shifted = Offsets::new();
        for tp in partitions {
            let known = committed.get(&tp).ok_or_else(|| {
                Failure::Usage(format!(
                    "Cannot shift offset for partition {tp} since there is no current committed offset"
                ))
            })?;
            shifted.insert(tp, known.offset.saturating_add(shift));
        }
        return in_range(screen, client, shifted).await;
    }
    if let Some(text) = given.one("to-datetime")? {
        let time = times::date_time(text).ok_or_else(|| {
            let reason = match text.contains('T') {
                true => format!("Unparseable date: \"{text}\""),
                false => {
                    "Error parsing timestamp. It does not contain a 'T' according to ISO8601 format".into()
                }
            };
            Failure::text(format!("java.text.ParseException: {reason}"))
        })?;
        return by_time(screen, client, &partitions, time).await;
    }
    if let Some(text) = given.one("by-duration")? {
        let ago =
            times::duration(text).ok_or_else(|| Failure::text("Text cannot be parsed to a Duration"))?;
        return by_time(screen, client, &partitions, Clock::System.now_ms().saturating_sub(ago)).await;
    }
    if let Some(path) = given.one("from-file")? {
        return from_file(screen, given, client, id, path).await;
    }
    if given.has("to-current") {
        let committed = client.committed(id, None, false).await?;
        let (with, without): (Vec<_>, Vec<_>) =
            partitions.into_iter().partition(|tp| committed.contains_key(tp));
        let mut offsets = offsets_at(client, &without, LATEST).await?;
        offsets.extend(with.into_iter().filter_map(|tp| {
            let offset = committed.get(&tp)?.offset;
            Some((tp, offset))
        }));
        return Ok(offsets);
    }
    let list = super::SCENARIOS.map(|scenario| format!("[{scenario}]")).join(", ");
    Err(Failure::Usage(format!("Option '[reset-offsets]' requires one of the following scenarios: [{list}]")))
}

async fn check_partitions(client: &mut Client, partitions: &[TopicPartition]) -> Result<(), Failure> {
    let mut topics: Vec<&str> = partitions.iter().map(|tp| tp.topic.as_str()).collect();
    topics.dedup();
    if topics.is_empty() {
        return Ok(());
    }
    let found = client.metadata(Some(&topics)).await?;
    for topic in &found {
        check(ApiKey::Metadata as i16, topic.error, None)?;
    }
    let find = |tp: &TopicPartition| {
        let topic = found.iter().find(|topic| topic.name == tp.topic)?;
        topic.partitions.iter().find(|partition| partition.index == tp.partition)
    };
    let names =
        |list: Vec<&TopicPartition>| list.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    let missing: Vec<_> = partitions.iter().filter(|tp| find(tp).is_none()).collect();
    if !missing.is_empty() {
        return Err(Failure::text(format!("The partitions \"{}\" do not exist", names(missing))));
    }
    let idle: Vec<_> =
        partitions.iter().filter(|tp| find(tp).is_some_and(|partition| partition.leader.is_none())).collect();
    if !idle.is_empty() {
        return Err(Failure::text(format!("The partitions \"{}\" have no leader", names(idle))));
    }
    Ok(())
}

async fn offsets_at(
    client: &mut Client,
    partitions: &[TopicPartition],
    time: i64,
) -> Result<Offsets, Failure> {
    let wanted: Vec<_> = partitions.iter().map(|tp| (tp.clone(), time)).collect();
    let mut offsets = Offsets::new();
    for (tp, found) in client.list_offsets(&wanted, false).await? {
        offsets.insert(tp, found?.offset);
    }
    Ok(offsets)
}

/// Offsets by time; partitions without a record from then on are at their end.
async fn by_time(
    screen: &mut Screen,
    client: &mut Client,
    partitions: &[TopicPartition],
    time: i64,
) -> Result<Offsets, Failure> {
    let mut offsets = offsets_at(client, partitions, time).await?;
    let none: Vec<TopicPartition> =
        offsets.iter().filter(|(_, offset)| **offset < 0).map(|(tp, _)| tp.clone()).collect();
    for tp in &none {
        screen.say(format_args!(
            "\nWarn: Partition {} from topic {} is empty. Falling back to latest known offset.",
            tp.partition, tp.topic
        ))?;
    }
    offsets.extend(offsets_at(client, &none, LATEST).await?);
    Ok(offsets)
}

/// Moves what is beyond the log to its ends.
async fn in_range(screen: &mut Screen, client: &mut Client, wanted: Offsets) -> Result<Offsets, Failure> {
    let partitions: Vec<TopicPartition> = wanted.keys().cloned().collect();
    let starts = offsets_at(client, &partitions, EARLIEST).await?;
    let ends = offsets_at(client, &partitions, LATEST).await?;
    let mut offsets = Offsets::new();
    for (tp, offset) in wanted {
        let (start, end) = (starts.get(&tp).copied().unwrap_or(0), ends.get(&tp).copied().unwrap_or(offset));
        let (moved, word, which) =
            if offset > end { (end, "higher", "latest") } else { (offset.max(start), "lower", "earliest") };
        if moved != offset {
            screen.complain(format_args!("WARN New offset ({offset}) is {word} than {which} offset for topic partition {tp}. Value will be set to {moved}."))?;
        }
        offsets.insert(tp, moved);
    }
    Ok(offsets)
}

async fn from_file(
    screen: &mut Screen,
    given: &Given,
    client: &mut Client,
    id: &str,
    path: &str,
) -> Result<Offsets, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::text(format!("Unable to read file {path}: {error}")))?;
    let is_single = given.all("group").count() == 1;
    let mut plans = read_csv(&text, is_single.then_some(id))
        .ok_or_else(|| Failure::text(format!("{path} is not a list of topic,partition,offset")))?;
    match plans.remove(id) {
        Some(plan) => in_range(screen, client, plan).await,
        None => {
            error_line(screen, &format!("No reset plan for group {id} found."))?;
            Ok(Offsets::new())
        }
    }
}

/// Lines of `topic,partition,offset`, which is for one group, or `group,topic,partition,offset`.
fn read_csv(text: &str, single: Option<&str>) -> Option<BTreeMap<String, Offsets>> {
    let mut plans: BTreeMap<String, Offsets> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let cells: Vec<&str> = line.split(',').map(|cell| cell.trim().trim_matches('"')).collect();
        let (group, topic, partition, offset) = match (cells.as_slice(), single) {
            ([topic, partition, offset], Some(group)) => (group, topic, partition, offset),
            ([group, topic, partition, offset], _) => (*group, topic, partition, offset),
            _ => return None,
        };
        let tp = TopicPartition::new(topic, partition.parse().ok()?);
        plans.entry(group.to_owned()).or_default().insert(tp, offset.parse().ok()?);
    }
    Some(plans)
}

fn export(screen: &mut Screen, given: &Given, all: &BTreeMap<String, Offsets>) -> Result<(), Failure> {
    let is_single = given.all("group").count() == 1;
    for (id, offsets) in all {
        let id = if is_single { String::new() } else { format!("{},", cell(id)) };
        for (tp, offset) in offsets {
            screen.say(format_args!("{id}{},{},{offset}", cell(&tp.topic), tp.partition))?;
        }
    }
    screen.say("")?;
    Ok(())
}

/// In quotes, where CSV needs them or Kafka's writer sets them.
fn cell(text: &str) -> String {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._".contains(&byte));
    if is_plain && text.len() <= 24 { text.to_owned() } else { format!("\"{}\"", text.replace('"', "\"\"")) }
}

fn print(screen: &mut Screen, all: &BTreeMap<String, Offsets>) -> Result<(), Failure> {
    let mut row = |id: &str, topic: &str, partition: &str, offset: &str| {
        screen.put(format!("\n{id:30} {topic:30} {partition:10} {offset:15}").as_bytes())
    };
    if !all.is_empty() {
        row("GROUP", "TOPIC", "PARTITION", "NEW-OFFSET")?;
    }
    for (id, offsets) in all {
        for (tp, offset) in offsets {
            row(id, &tp.topic, &tp.partition.to_string(), &offset.to_string())?;
        }
    }
    screen.say("")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::read_csv;

    #[test]
    fn plans_of_one_group_and_of_many() {
        let one = read_csv("t,0,5\n\"u\",1,6\n", Some("g")).expect("a plan");
        assert_eq!(one["g"].len(), 2);
        let many = read_csv("g,t,0,5\nh,t,0,6\n", None).expect("plans");
        assert_eq!(many.len(), 2);
        for text in ["t,0,5", "t", "g,t,x,5"] {
            assert!(read_csv(text, None).is_none(), "{text}");
        }
    }
}
