//! Applying a seed to a broker that has not begun to accept.

use crate::broker::Broker;
use crate::client::partition_of;
use crate::config::SeedConfig;
use crate::config::alter::Operation;
use crate::controller::{ConfigChange, ConfigEdit, NewPartitions, NewTopic, Refusal, partition_count};
use crate::coordinator::Verification;
use crate::metadata::TOPIC_RESOURCE;
use crate::seed::file::{self, Seed, SeedRecord, SeedTopic};
use crate::seed::plan::{Present, PresentTopic, Step, plan};
use milena_protocol::records::{BatchBuilder, Header};
use std::collections::BTreeMap;

/// Version of Produce by whose rules the records are checked.
const PRODUCE_VERSION: i16 = 9;
/// Bytes of keys and values from which a batch is closed.
const BATCH_BYTES: usize = 64 * 1024;

/// Makes what the configuration wants to be there: `milena.create.topics` and the file `milena.seed`.
///
/// # Errors
/// One sentence: the file cannot be read, or something in it cannot be made.
pub(crate) fn apply(broker: &Broker, config: &SeedConfig) -> Result<(), String> {
    let mut seed = match &config.file {
        Some(path) => file::read(path)?,
        None => Seed::default(),
    };
    seed.topics.extend(config.topics.iter().map(|topic| {
        let policy = topic.cleanup_policy.iter().map(|policy| ("cleanup.policy".to_owned(), policy.clone()));
        SeedTopic { name: topic.name.clone(), partitions: topic.partitions, config: policy.collect() }
    }));
    let steps = plan(&seed, &present(broker, &seed));
    for step in &steps {
        let taken = take(broker, step);
        if let (Err(_), Step::Write { topic: written, .. }) = (&taken, step)
            && steps.iter().any(|step| matches!(step, Step::Create { topic, .. } if topic == written))
        {
            // Half of its records would pass for all of them at the next start.
            let id = broker.controller.image().topic(written).map(|topic| topic.id);
            if let Some(id) = id {
                broker.controller.delete_topics(&[id]).map_err(|refusal| refusal.message)?;
            }
        }
        taken?;
    }
    Ok(())
}

fn present(broker: &Broker, seed: &Seed) -> Present {
    let image = broker.controller.image();
    let names = seed.topics.iter().map(|topic| &topic.name);
    let topics =
        names.chain(seed.records.iter().map(|record| &record.topic)).filter_map(|name| image.topic(name));
    topics
        .map(|topic| {
            let partitions = partition_count(topic);
            let is_unused =
                |index| broker.partitions.get(topic.id, index).is_some_and(|p| p.log().end_offset() == 0);
            let is_empty = (0..partitions).all(is_unused);
            (topic.name.to_string(), PresentTopic { partitions, config: topic.configs.clone(), is_empty })
        })
        .collect()
}

fn take(broker: &Broker, step: &Step<'_>) -> Result<(), String> {
    let controller = &broker.controller;
    let refused = |topic: &str, refusal: Refusal| format!("topic {topic}: {}", refusal.message);
    match step {
        Step::Create { topic, partitions, config } => {
            let configs = config.iter().map(|(key, value)| (key.clone(), Some(value.clone())));
            let mut new = controller.default_topic(topic);
            new.partitions = partitions.unwrap_or(new.partitions);
            new = NewTopic { configs: new.configs.into_iter().chain(configs).collect(), ..new };
            let created = controller.create_topics(vec![new], false).map(|mut results| results.remove(0));
            created.flatten().map(drop).map_err(|refusal| refused(topic, refusal))
        }
        Step::Grow { topic, partitions } => {
            let more = NewPartitions { topic: topic.clone(), count: *partitions, assignments: None };
            let done = controller.create_partitions(&[more], false).map(|mut results| results.remove(0));
            done.flatten().map_err(|refusal| refused(topic, refusal))
        }
        Step::Configure { topic, config } => {
            let set = config.iter().map(|(key, value)| (key.clone(), Operation::Set(value.clone())));
            let change = ConfigChange {
                resource_type: TOPIC_RESOURCE,
                name: topic.clone(),
                edit: ConfigEdit::Keys(set.collect()),
            };
            let done = controller.alter_configs(&[change], false).map(|mut results| results.remove(0));
            done.flatten().map_err(|refusal| refused(topic, refusal))
        }
        Step::Write { topic, records } => write(broker, topic, records),
    }
}

/// Writes the records, those of a partition in their order.
fn write(broker: &Broker, topic: &str, records: &[&SeedRecord]) -> Result<(), String> {
    let image = broker.controller.image();
    let count = image.topic(topic).map_or(0, |topic| partition_count(topic));
    let mut by_partition: BTreeMap<i32, Vec<&SeedRecord>> = BTreeMap::new();
    let mut next = 0;
    for record in records {
        let partition = match (record.partition, &record.key) {
            (Some(partition), _) => partition,
            (None, Some(key)) => partition_of(key, count),
            (None, None) => {
                next += 1;
                (next - 1) % count.max(1)
            }
        };
        if !(0..count).contains(&partition) {
            return Err(format!(
                "topic {topic}: there is no partition {partition} for a record, only {count}"
            ));
        }
        by_partition.entry(partition).or_default().push(record);
    }
    for (partition, records) in by_partition {
        let failed = |why: String| format!("topic {topic}, partition {partition}: {why}");
        let log = broker.partition(topic, partition).map_err(|error| failed(error.to_string()))?;
        for batch in batches(&records, broker.clock.now_ms()) {
            let batch = batch.build().map_err(|error| failed(error.to_string()))?;
            log.produce(&batch, PRODUCE_VERSION, Verification::Skipped, broker.clock.now_ms())
                .map_err(|failure| failed(failure.message.unwrap_or_else(|| failure.error.to_string())))?;
        }
    }
    Ok(())
}

fn batches(records: &[&SeedRecord], now_ms: i64) -> Vec<BatchBuilder> {
    let mut batches = Vec::new();
    let (mut batch, mut bytes) = (BatchBuilder::new(), 0);
    for record in records {
        let size = record.key.as_ref().map_or(0, Vec::len) + record.value.as_ref().map_or(0, Vec::len);
        if bytes > 0 && bytes + size > BATCH_BYTES {
            batches.push(std::mem::take(&mut batch));
            bytes = 0;
        }
        let headers: Vec<Header<'_>> = record
            .headers
            .iter()
            .map(|(key, value)| Header { key: key.as_slice(), value: value.as_deref() })
            .collect();
        let timestamp = record.timestamp.unwrap_or(now_ms);
        batch.append(timestamp, record.key.as_deref(), record.value.as_deref(), &headers);
        bytes += size.max(1);
    }
    if bytes > 0 {
        batches.push(batch);
    }
    batches
}
