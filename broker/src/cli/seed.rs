//! `milena seed`: a seed file and a running broker, whoever's it is.

use super::admin::{self, Resource};
use super::connect::block_on;
use super::failure::Failure;
use super::flags::Given;
use super::kafka::configs_of;
use super::screen::Screen;
use super::tools::Run;
use super::verbs::{CLUSTER, Verb, client};
use crate::client::fetcher::{FetchSettings, Fetched, Fetcher, Reset};
use crate::client::offsets::{EARLIEST, LATEST};
use crate::client::producer::{NewRecord, Producer, ProducerSettings};
use crate::client::{Client, To, TopicPartition, check};
use crate::clock::Clock;
use crate::metadata::TOPIC_RESOURCE;
use crate::seed::{
    Bounds, Held, Placed, Present, PresentTopic, Seed, SeedRecord, Step, begun, by_topic, is_same, place,
    plan, read,
};
use crate::tree::tree;
use kafka_protocol::messages::ApiKey;
use milena_protocol::records::Header;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::Path;

/// The command.
pub(crate) const RUN: Run = Run::Verbs(&[
    Verb {
        name: "apply",
        words: "FILE",
        help: "Make the topics and records of a seed file that are not there, and say which.",
        flags: &[CLUSTER],
        run: |screen, given| make(screen, given, false),
    },
    Verb {
        name: "diff",
        words: "FILE",
        help: "Say what apply would do; exit code 1 if there is something to do.",
        flags: &[CLUSTER],
        run: |screen, given| make(screen, given, true),
    },
    Verb {
        name: "export",
        words: "",
        help: "Print the topics that are there, with what is set for them, as a seed file.",
        flags: &[CLUSTER],
        run: |screen, given| {
            let mut client = client(given)?;
            block_on(async { export(screen, &mut client).await })
        },
    },
]);

/// Source of a value that was set for the topic itself.
const OF_TOPIC: i8 = 1;
/// The code of a topic without partitions yet.
const LEADER_NOT_AVAILABLE: i16 = 5;

fn make(screen: &mut Screen, given: &Given, is_diff: bool) -> Result<(), Failure> {
    let seed = read(Path::new(&given.words[0])).map_err(Failure::Text)?;
    let mut client = client(given)?;
    block_on(async {
        let there = present(&mut client, &seed).await?;
        let steps = plan(&seed, &there);
        for step in &steps {
            if !is_diff {
                take(&mut client, step).await?;
            }
            screen.say(step)?;
        }
        // As diff does it.
        if is_diff && !steps.is_empty() { Err(Failure::Said) } else { Ok(()) }
    })
}

fn topics_of(seed: &Seed) -> BTreeSet<&str> {
    let named = seed.topics.iter().map(|topic| topic.name.as_str());
    named.chain(seed.records.iter().map(|record| record.topic.as_str())).collect()
}

/// What is there of the topics of a seed.
async fn present(client: &mut Client, seed: &Seed) -> Result<Present, Failure> {
    let names = topics_of(seed);
    // Asking for those by name could create them.
    let topics = client.metadata(None).await?;
    let topics: Vec<_> =
        topics.into_iter().filter(|topic| names.contains(&*topic.name) && topic.error == 0).collect();
    let mut bounds: BTreeMap<String, Bounds> = BTreeMap::new();
    for time in [EARLIEST, LATEST] {
        let wanted = topics.iter().flat_map(|topic| {
            let of = move |index| (TopicPartition::new(&topic.name, index), time);
            topic.partitions.iter().map(move |partition| of(partition.index))
        });
        for (tp, found) in client.list_offsets(&wanted.collect::<Vec<_>>(), false).await? {
            let of = bounds.entry(tp.topic).or_default().entry(tp.partition).or_default();
            *(if time == EARLIEST { &mut of.0 } else { &mut of.1 }) = found?.offset;
        }
    }
    let names: Vec<&str> = topics.iter().map(|topic| &*topic.name).collect();
    let mut configs = configs(client, &names).await?;
    let records = by_topic(&seed.records);
    let mut all = Present::new();
    for topic in &topics {
        let partitions = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
        let wanted = records.iter().find(|(name, _)| *name == topic.name);
        let placed = wanted.and_then(|(name, records)| place(name, records, partitions).ok());
        let held = held(client, &topic.name, bounds.get(&topic.name), placed.as_ref()).await?;
        let config = configs.remove(&topic.name).unwrap_or_default();
        all.insert(topic.name.clone(), PresentTopic { partitions, config, held });
    }
    Ok(all)
}

/// What a topic holds of the records that it shall hold.
async fn held(
    client: &mut Client,
    topic: &str,
    bounds: Option<&Bounds>,
    placed: Option<&Placed<'_>>,
) -> Result<Held, Failure> {
    let Some(bounds) = bounds.filter(|bounds| bounds.values().any(|(_, end)| *end != 0)) else {
        return Ok(Held::Nothing);
    };
    let Some((placed, counts)) = placed.and_then(|placed| Some((placed, begun(placed, bounds)?))) else {
        return Ok(Held::Enough);
    };
    let mut fetcher = Fetcher::new(FetchSettings { reset: Reset::None, ..FetchSettings::default() });
    let mut left = counts.clone();
    let mut is_other = false;
    loop {
        left.retain(|_, count| *count > 0);
        if left.is_empty() || is_other {
            return Ok(if is_other { Held::Enough } else { Held::Begun(counts) });
        }
        let at = |partition: i32| {
            let of = |counts: &BTreeMap<i32, usize>| counts.get(&partition).copied().unwrap_or(0);
            of(&counts) - of(&left)
        };
        for partition in left.keys() {
            let offset = i64::try_from(at(*partition)).unwrap_or(i64::MAX);
            fetcher.seek(TopicPartition::new(topic, *partition), offset);
        }
        let mut seen: BTreeMap<i32, usize> = BTreeMap::new();
        let mut visit = |tp: &TopicPartition, fetched: Fetched<'_>| {
            let count = seen.entry(tp.partition).or_insert(0);
            let index = at(tp.partition) + *count;
            // Records that came since then, and offsets that hold none, tell of somebody else.
            let wanted = placed.get(&tp.partition).and_then(|records| records.get(index));
            is_other |= usize::try_from(fetched.offset) != Ok(index)
                || !wanted.is_some_and(|wanted| is_same(wanted, fetched.timestamp, &fetched.record));
            *count += 1;
            if is_other { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let count = fetcher.poll(client, &mut visit).await?;
        is_other |= count == 0;
        for (partition, count) in seen {
            if let Some(left) = left.get_mut(&partition) {
                *left = left.saturating_sub(count);
            }
        }
        fetcher.retain(|_| false);
    }
}

/// What is set for topics themselves.
async fn configs(
    client: &mut Client,
    names: &[&str],
) -> Result<BTreeMap<String, BTreeMap<String, String>>, Failure> {
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let results = configs_of::describe(client, To::Any, TOPIC_RESOURCE, names, false).await?;
    let own = results.into_iter().map(|result| {
        let set = result.configs.into_iter().filter(|config| config.config_source == OF_TOPIC);
        let pairs = set.filter_map(|config| Some((config.name.to_string(), config.value?.to_string())));
        (result.resource_name.to_string(), tree(pairs))
    });
    Ok(tree(own))
}

async fn take(client: &mut Client, step: &Step<'_>) -> Result<(), Failure> {
    match step {
        Step::Create { topic, partitions, config } => {
            Ok(admin::create_topic(client, admin::new_topic(topic, *partitions, None, config)).await?)
        }
        Step::Grow { topic, partitions } => Ok(admin::grow(client, topic, *partitions).await?),
        Step::Configure { topic, config } => {
            Ok(admin::configure(client, To::Controller, Resource::topic(topic), config, &[]).await?)
        }
        Step::Write { topic, records, held } => write(client, topic, records, held).await,
    }
}

async fn write(
    client: &mut Client,
    topic: &str,
    records: &[&SeedRecord],
    held: &BTreeMap<i32, usize>,
) -> Result<(), Failure> {
    let count = partitions_of(client, topic).await?;
    let mut producer = Producer::new(ProducerSettings::default());
    let now = Clock::System.now_ms();
    for (partition, records) in place(topic, records, count).map_err(Failure::Text)? {
        for record in records.into_iter().skip(held.get(&partition).copied().unwrap_or(0)) {
            let headers: Vec<Header<'_>> = record
                .headers
                .iter()
                .map(|(key, value)| Header { key: key.as_slice(), value: value.as_deref() })
                .collect();
            let new = NewRecord {
                partition: Some(partition),
                timestamp: record.timestamp.unwrap_or(now),
                key: record.key.as_deref(),
                value: record.value.as_deref(),
                headers: &headers,
            };
            if producer.append(client, topic, new).await? {
                flush(client, &mut producer).await?;
            }
        }
    }
    flush(client, &mut producer).await
}

/// The number of partitions, of a topic that was just made, too.
async fn partitions_of(client: &mut Client, topic: &str) -> Result<i32, Failure> {
    let mut pace = client.pace();
    loop {
        let found = client.metadata(Some(&[topic])).await?;
        let error = match found.first() {
            Some(found) if found.error == 0 && !found.partitions.is_empty() => {
                return Ok(i32::try_from(found.partitions.len()).unwrap_or(i32::MAX));
            }
            found => found.map_or(0, |found| found.error),
        };
        let error = if error == 0 { LEADER_NOT_AVAILABLE } else { error };
        if let Err(error) = check(ApiKey::Metadata as i16, error, None) {
            pace.pause_after(error).await?;
        }
    }
}

async fn flush(client: &mut Client, producer: &mut Producer) -> Result<(), Failure> {
    let (_, refused) = producer.flush(client).await?;
    match refused.into_iter().next() {
        None => Ok(()),
        Some(refused) => Err(Failure::text(format!(
            "{} records for {}: {}",
            refused.records, refused.partition, refused.error
        ))),
    }
}

/// The topics that are there, but for Kafka's own, as a seed file.
async fn export(screen: &mut Screen, client: &mut Client) -> Result<(), Failure> {
    let mut topics = client.metadata(None).await?;
    topics.retain(|topic| topic.error == 0 && !topic.is_internal);
    topics.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    let names: Vec<&str> = topics.iter().map(|topic| &*topic.name).collect();
    let mut configs = configs(client, &names).await?;
    let topics = topics.iter().map(|topic| {
        let mut shown = serde_json::json!({"name": topic.name, "partitions": topic.partitions.len()});
        match configs.remove(&topic.name) {
            Some(config) if !config.is_empty() => shown["config"] = serde_json::json!(config),
            _ => {}
        }
        shown
    });
    let seed = serde_json::json!({ "topics": topics.collect::<Vec<_>>() });
    let text = serde_yaml_ng::to_string(&seed).map_err(|error| Failure::text(error.to_string()))?;
    screen.put(text.as_bytes())?;
    Ok(())
}
