//! Applying a seed to a broker that has not begun to accept.

use crate::broker::Broker;
use crate::config::SeedConfig;
use crate::config::alter::Operation;
use crate::controller::{ConfigChange, ConfigEdit, NewPartitions, NewTopic, Refusal, partition_count};
use crate::coordinator::Verification;
use crate::metadata::TOPIC_RESOURCE;
use crate::partition::Partition;
use crate::seed::file::{self, Seed, SeedRecord, SeedTopic};
use crate::seed::place::{Bounds, Placed, begun, is_same, place};
use crate::seed::plan::{Held, Present, PresentTopic, Step, by_topic, plan};
use milena_protocol::records::{BatchBuilder, Batches, Codec, HEADER_LEN, Header, Records, decompress};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Version of Produce by whose rules the records are checked.
const PRODUCE_VERSION: i16 = 9;
/// Bytes of keys and values from which a batch is closed.
const BATCH_BYTES: usize = 64 * 1024;
/// Bytes that are read at a time, and those that a batch may unpack to: many times what is written here.
const READ_BYTES: usize = 1 << 20;
const UNPACKED_MAX: usize = 64 << 20;

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
    let records = by_topic(&seed.records);
    topics
        .map(|topic| {
            let partitions = partition_count(topic);
            let logs: Option<BTreeMap<i32, _>> =
                (0..partitions).map(|index| Some((index, broker.partitions.get(topic.id, index)?))).collect();
            let wanted = records.iter().find(|(name, _)| **name == *topic.name);
            let placed = wanted.map(|(name, records)| place(name, records, partitions));
            // A partition that is offline may hold anything.
            let held = logs.map_or(Held::Enough, |logs| held(&logs, placed.and_then(Result::ok).as_ref()));
            (topic.name.to_string(), PresentTopic { partitions, config: topic.configs.clone(), held })
        })
        .collect()
}

/// What a topic holds of the records that it shall hold.
fn held(logs: &BTreeMap<i32, impl AsRef<Partition>>, placed: Option<&Placed<'_>>) -> Held {
    let bounds: Bounds = logs
        .iter()
        .map(|(index, partition)| {
            let log = partition.as_ref().log();
            (*index, (log.start_offset(), log.end_offset()))
        })
        .collect();
    if bounds.values().all(|(_, end)| *end == 0) {
        return Held::Nothing;
    }
    let Some((placed, counts)) = placed.and_then(|placed| Some((placed, begun(placed, &bounds)?))) else {
        return Held::Enough;
    };
    let is_same = counts.iter().filter(|(_, count)| **count > 0).all(|(index, count)| {
        let (log, records) = (logs.get(index), placed.get(index).and_then(|records| records.get(..*count)));
        log.zip(records).is_some_and(|(log, records)| holds(log.as_ref(), records).unwrap_or(false))
    });
    if is_same { Held::Begun(counts) } else { Held::Enough }
}

/// Whether a log begins with these records, one at each offset; `None` where it cannot be read.
fn holds(partition: &Partition, records: &[&SeedRecord]) -> Option<bool> {
    let mut at = 0;
    while at < records.len() {
        let offset = i64::try_from(at).ok()?;
        let bytes = partition.on_log(|log| log.read_batches(offset, READ_BYTES)).ok()?;
        let before = at;
        for batch in Batches::new(&bytes) {
            let (header, batch) = batch.ok()?;
            if header.attributes.is_control() || header.base_offset != i64::try_from(at).ok()? {
                return Some(false);
            }
            let packed = batch.get(HEADER_LEN..)?;
            let body = match header.attributes.codec().ok()? {
                Codec::None => Cow::Borrowed(packed),
                codec => Cow::Owned(decompress(codec, packed, UNPACKED_MAX).ok()?),
            };
            for record in Records::new(&body, header.record_count) {
                let record = record.ok()?;
                let timestamp = header.base_timestamp.wrapping_add(record.timestamp_delta);
                let timestamp = header.log_append_time().unwrap_or(timestamp);
                if !records.get(at).is_some_and(|wanted| is_same(wanted, timestamp, &record)) {
                    return Some(false);
                }
                at += 1;
            }
            if header.next_offset() != i64::try_from(at).ok()? {
                return Some(false);
            }
        }
        if at == before {
            return None;
        }
    }
    Some(true)
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
        Step::Write { topic, records, held } => write(broker, topic, records, held),
    }
}

/// Writes the records, those of a partition in their order, from those on that it holds.
fn write(
    broker: &Broker,
    topic: &str,
    records: &[&SeedRecord],
    held: &BTreeMap<i32, usize>,
) -> Result<(), String> {
    let image = broker.controller.image();
    let count = image.topic(topic).map_or(0, |topic| partition_count(topic));
    for (partition, records) in place(topic, records, count)? {
        let records = records.get(held.get(&partition).copied().unwrap_or(0)..).unwrap_or_default();
        let failed = |why: String| format!("topic {topic}, partition {partition}: {why}");
        let log = broker.partition(topic, partition).map_err(|error| failed(error.to_string()))?;
        for batch in batches(records, broker.clock.now_ms()) {
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
