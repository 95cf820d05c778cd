//! `milena seed`: a seed file and a running broker, whoever's it is.

use super::admin::{self, Resource};
use super::connect::{Properties, block_on, client_of, load};
use super::failure::Failure;
use super::flags::{Flag, Given, value};
use super::kafka::configs_of;
use super::screen::Screen;
use super::tools::Run;
use crate::client::offsets::LATEST;
use crate::client::producer::{NewRecord, Producer, ProducerSettings};
use crate::client::{Client, To, TopicPartition};
use crate::clock::Clock;
use crate::metadata::TOPIC_RESOURCE;
use crate::seed::{Present, PresentTopic, Seed, SeedRecord, Step, plan, read};
use milena_protocol::records::Header;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The tool.
pub(crate) const RUN: Run = Run::Words(run);

const FLAGS: &[Flag] = &[
    value("bootstrap-server", "HOST:PORT", "The brokers to connect to (default: localhost:9092)."),
    value("command-config", "FILE", "Properties of the client."),
];
const USAGE: &str = "usage: milena seed {apply FILE|diff FILE|export} [--bootstrap-server HOST:PORT]";
/// Source of a value that was set for the topic itself.
const OF_TOPIC: i8 = 1;

fn run(screen: &mut Screen, words: &[String]) -> Result<(), Failure> {
    let given = Given::read(FLAGS, words)?;
    let bootstrap = given.one("bootstrap-server")?.unwrap_or("localhost:9092");
    let properties = given.one("command-config")?.map(load).transpose()?.unwrap_or_else(Properties::new);
    let words: Vec<&str> = given.words.iter().map(String::as_str).collect();
    let (file, is_diff) = match words[..] {
        ["apply", file] => (Some(file), false),
        ["diff", file] => (Some(file), true),
        ["export"] => (None, false),
        _ => return Err(Failure::Usage(USAGE.to_owned())),
    };
    let seed = file.map(|file| read(Path::new(file)).map_err(Failure::Text)).transpose()?;
    let mut client = client_of(bootstrap, &properties)?;
    block_on(async {
        let Some(seed) = seed else { return export(screen, &mut client).await };
        let there = present(&mut client, &topics_of(&seed)).await?;
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

/// What is there of these topics.
async fn present(client: &mut Client, names: &BTreeSet<&str>) -> Result<Present, Failure> {
    // Asking for those by name could create them.
    let topics = client.metadata(None).await?;
    let topics: Vec<_> =
        topics.into_iter().filter(|topic| names.contains(&*topic.name) && topic.error == 0).collect();
    let ends: Vec<(TopicPartition, i64)> = topics
        .iter()
        .flat_map(|topic| {
            let of = |index| (TopicPartition::new(&topic.name, index), LATEST);
            topic.partitions.iter().map(move |partition| of(partition.index))
        })
        .collect();
    let mut used: BTreeSet<String> = BTreeSet::new();
    for (tp, end) in client.list_offsets(&ends, false).await? {
        if end?.offset != 0 {
            used.insert(tp.topic);
        }
    }
    let names: Vec<&str> = topics.iter().map(|topic| &*topic.name).collect();
    let mut configs = configs(client, &names).await?;
    let of = |topic: &crate::client::Topic| PresentTopic {
        partitions: i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX),
        config: configs.remove(&topic.name).unwrap_or_default(),
        is_empty: !used.contains(&topic.name),
    };
    let mut of = of;
    Ok(topics.iter().map(|topic| (topic.name.clone(), of(topic))).collect())
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
        (result.resource_name.to_string(), pairs.collect())
    });
    Ok(own.collect())
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
        Step::Write { topic, records } => write(client, topic, records).await,
    }
}

async fn write(client: &mut Client, topic: &str, records: &[&SeedRecord]) -> Result<(), Failure> {
    let mut producer = Producer::new(ProducerSettings::default());
    let now = Clock::System.now_ms();
    for record in records {
        let headers: Vec<Header<'_>> = record
            .headers
            .iter()
            .map(|(key, value)| Header { key: key.as_slice(), value: value.as_deref() })
            .collect();
        let new = NewRecord {
            partition: record.partition,
            timestamp: record.timestamp.unwrap_or(now),
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &headers,
        };
        if producer.append(client, topic, new).await? {
            flush(client, &mut producer).await?;
        }
    }
    flush(client, &mut producer).await
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
    topics.sort_by(|one, other| one.name.cmp(&other.name));
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
