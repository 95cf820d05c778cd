//! `milena topic copy`.

use super::position::{self, Bounds};
use super::sheet::{Format, Sheet};
use super::topic::{named, settings};
use crate::cli::admin::{self, Resource};
use crate::cli::connect::block_on;
use crate::cli::failure::Failure;
use crate::cli::flags::{Flag, Given, switch, value};
use crate::cli::screen::Screen;
use crate::cli::verbs::client;
use crate::client::fetcher::{FetchSettings, Fetched, Fetcher, Reset};
use crate::client::producer::{NewRecord, Producer, ProducerSettings};
use crate::client::{Client, To, Topic, TopicPartition};
use crate::tree::tree;
use milena_protocol::records::{Codec, Header};
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;
use std::time::Duration;
use tokio::time::Instant;

pub(super) const FLAGS: &[Flag] = &[
    switch("into", "TO is there already: the records are added to what it holds."),
    value("compression", "CODEC", "How batches are packed: none (default), gzip, snappy, lz4 or zstd."),
];
/// Settings that would change times, or refuse them, and what lets all pass. A copy gets its own when all is in it.
const OF_TIMES: [(&str, &str); 3] = [
    ("message.timestamp.type", "CreateTime"),
    ("message.timestamp.before.max.ms", "9223372036854775807"),
    ("message.timestamp.after.max.ms", "9223372036854775807"),
];
const MAX_BYTES: &str = "max.message.bytes";
/// Bytes of a batch, unless the topic takes less.
const BATCH: usize = 64 * 1024;
/// Bytes of a record or batch beside keys, values and headers, at most.
const AROUND: usize = 100;
/// Bytes of an answer, which are held while they are written.
const FETCH: i32 = 8 << 20;
/// How often progress is shown.
const TICK: Duration = Duration::from_millis(200);

/// A record on its way.
struct Copied {
    partition: i32,
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

/// Runs it.
pub(super) fn run(screen: &mut Screen, given: &Given) -> Result<(), Failure> {
    let format = Format::of(given)?;
    let (from, to) = (&given.words[0], &given.words[1]);
    if from == to {
        return Err(Failure::Usage(format!("{from} cannot be copied to itself")));
    }
    let codec = given.one("compression")?.unwrap_or("none");
    let codec =
        Codec::from_name(codec).ok_or_else(|| Failure::Usage(format!("there is no codec {codec}")))?;
    let mut client = client(given)?;
    let counts = block_on(async {
        let client = &mut client;
        let source = named(client, std::slice::from_ref(from)).await?.remove(0);
        let own = prepare(client, &source, to, given.has("into")).await?;
        let counts = copy(client, &source, to, codec).await.map_err(|failure| {
            Failure::text(format!("{failure}; {to} holds a part of the records of {from}"))
        })?;
        if let Some(own) = own {
            let unset = OF_TIMES.iter().map(|(key, _)| (*key).to_owned());
            let unset: Vec<String> = unset.filter(|key| !own.contains_key(key)).collect();
            admin::configure(client, To::Controller, Resource::topic(to), &own, &unset).await?;
        }
        Ok(counts)
    })?;
    let mut sheet = Sheet::new(&["from", "to", "partition", "records"]);
    for (partition, records) in counts {
        sheet.row([json!(from), json!(to), json!(partition), json!(records)]);
    }
    sheet.print(screen, format)
}

/// Makes the topic, or looks whether it can take the records. A new one is to get the settings of times afterwards.
async fn prepare(
    client: &mut Client,
    source: &Topic,
    to: &str,
    into: bool,
) -> Result<Option<BTreeMap<String, String>>, Failure> {
    let count = source.partitions.len();
    // Asking for it by name could create it.
    let there = client.metadata(None).await?.into_iter().find(|topic| topic.name == to);
    match there {
        Some(_) if !into => Err(Failure::text(format!("topic {to} is there already; --into adds to it"))),
        Some(there) if there.partitions.len() < count => Err(Failure::text(format!(
            "{to} has {} partitions and {} has {count}; see milena topic partitions {to} {count}",
            there.partitions.len(),
            source.name
        ))),
        Some(_) => Ok(None),
        None if into => Err(Failure::text(format!("there is no topic {to}"))),
        None => {
            let own = settings(client, &source.name, false).await?;
            let own = own.into_iter().map(|(key, value, _)| (key, value));
            let is_time = |key: &str| OF_TIMES.iter().any(|(of_time, _)| *of_time == key);
            let (later, mut config): (BTreeMap<_, _>, BTreeMap<_, _>) =
                own.partition(|(key, _)| is_time(key));
            config.extend(OF_TIMES.map(|(key, value)| (key.to_owned(), value.to_owned())));
            let replicas = source.partitions.first().map(|partition| partition.replicas.len());
            let replicas = replicas.and_then(|replicas| i16::try_from(replicas).ok());
            let partitions = i32::try_from(count).ok();
            admin::create_topic(client, admin::new_topic(to, partitions, replicas, &config)).await?;
            Ok(Some(later))
        }
    }
}

/// Copies what is there now, and says how many records each partition had.
async fn copy(
    client: &mut Client,
    source: &Topic,
    to: &str,
    codec: Codec,
) -> Result<BTreeMap<i32, u64>, Failure> {
    let partitions: Vec<TopicPartition> = source
        .partitions
        .iter()
        .map(|partition| TopicPartition::new(&source.name, partition.index))
        .collect();
    let bounds = position::bounds(client, &partitions, true).await?;
    let limit = settings(client, to, true).await?.into_iter().find(|(key, ..)| key == MAX_BYTES);
    let limit = limit.and_then(|(_, value, _)| value.parse().ok()).unwrap_or(BATCH);
    let mut writing = Writing {
        to,
        producer: Producer::new(ProducerSettings {
            codec,
            batch_size: BATCH,
            timeout: Duration::from_secs(30),
            ..ProducerSettings::default()
        }),
        limit: limit.min(BATCH),
        open: HashMap::new(),
        counts: tree(bounds.keys().map(|tp| (tp.partition, 0))),
    };
    let mut fetcher = Fetcher::new(FetchSettings {
        committed: true,
        max_bytes: FETCH,
        reset: Reset::Earliest,
        ..FetchSettings::default()
    });
    for (tp, Bounds { start, .. }) in &bounds {
        fetcher.seek(tp.clone(), *start);
    }
    let total: i64 = bounds.values().map(|bounds| bounds.end - bounds.start).sum();
    let mut progress = Progress { is_shown: io::stderr().is_terminal(), next: Instant::now() + TICK };
    let outcome = async {
        loop {
            let ends = |tp: &TopicPartition| bounds.get(tp).map_or(0, |bounds| bounds.end);
            let open: Vec<TopicPartition> = fetcher
                .positions()
                .iter()
                .filter(|(tp, position)| **position < ends(tp))
                .map(|(tp, _)| tp.clone())
                .collect();
            if open.is_empty() {
                return Ok(());
            }
            fetcher.retain(|tp| open.contains(tp));
            let mut came = Vec::new();
            let mut visit = |tp: &TopicPartition, fetched: Fetched<'_>| {
                if fetched.offset < ends(tp) {
                    came.push(copied(tp.partition, &fetched));
                }
                ControlFlow::Continue(())
            };
            fetcher.poll(client, &mut visit).await?;
            for record in &came {
                writing.put(client, record).await?;
            }
            writing.flush(client).await?;
            progress.show(writing.counts.values().sum(), total);
        }
    };
    let outcome: Result<(), Failure> = outcome.await;
    progress.close();
    outcome.map(|()| writing.counts)
}

fn copied(partition: i32, fetched: &Fetched<'_>) -> Copied {
    let record = &fetched.record;
    Copied {
        partition,
        timestamp: fetched.timestamp,
        key: record.key.map(<[u8]>::to_vec),
        value: record.value.map(<[u8]>::to_vec),
        headers: record
            .headers()
            .map(|header| (header.key.to_vec(), header.value.map(<[u8]>::to_vec)))
            .collect(),
    }
}

/// Records on their way to a topic.
struct Writing<'t> {
    to: &'t str,
    producer: Producer,
    /// Bytes that a batch may have.
    limit: usize,
    /// Bytes that wait, by partition.
    open: HashMap<i32, usize>,
    counts: BTreeMap<i32, u64>,
}

impl Writing<'_> {
    async fn put(&mut self, client: &mut Client, record: &Copied) -> Result<(), Failure> {
        let size = size(record);
        // A batch must not outgrow what the topic takes, where each record of it alone does not.
        if self.open.get(&record.partition).is_some_and(|open| open + size > self.limit) {
            self.flush(client).await?;
        }
        *self.open.entry(record.partition).or_insert(AROUND) += size;
        let headers: Vec<Header<'_>> =
            record.headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect();
        let new = NewRecord {
            partition: Some(record.partition),
            timestamp: record.timestamp,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &headers,
        };
        if self.producer.append(client, self.to, new).await? {
            self.flush(client).await?;
        }
        *self.counts.entry(record.partition).or_insert(0) += 1;
        Ok(())
    }

    async fn flush(&mut self, client: &mut Client) -> Result<(), Failure> {
        self.open.clear();
        let (_, refused) = self.producer.flush(client).await?;
        match refused.into_iter().next() {
            None => Ok(()),
            Some(refused) => Err(Failure::text(format!(
                "{} records for {} were refused: {}",
                refused.records, refused.partition, refused.error
            ))),
        }
    }
}

/// What a record takes in a batch, or somewhat more.
fn size(record: &Copied) -> usize {
    let of = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
    let headers: usize = record.headers.iter().map(|(key, value)| key.len() + of(value) + 10).sum();
    of(&record.key) + of(&record.value) + headers + AROUND / 2
}

/// How far it is, at a terminal.
struct Progress {
    is_shown: bool,
    next: Instant,
}

impl Progress {
    fn show(&mut self, records: u64, total: i64) {
        if self.is_shown && Instant::now() >= self.next {
            self.next = Instant::now() + TICK;
            self.write(&format!("\r{records} of {total} records"));
        }
    }

    fn close(&self) {
        if self.is_shown {
            self.write("\r\x1b[K");
        }
    }

    fn write(&self, text: &str) {
        // Nobody may be reading.
        let _ = io::stderr().write_all(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::{Copied, copied, size};
    use crate::client::fetcher::Fetched;
    use milena_protocol::records::{BatchBuilder, HEADER_LEN, Header, Record, TimestampType};

    #[test]
    fn nothing_of_a_record_is_lost_and_its_size_is_not_underrated() {
        let headers = [Header { key: b"a", value: Some(b"1") }, Header { key: b"a", value: None }];
        for (key, value) in
            [(None, None), (Some(&b""[..]), Some(&b""[..])), (Some(&b"key"[..]), Some(&[0xff; 5_000][..]))]
        {
            let mut builder = BatchBuilder::new();
            builder.append(5, key, value, &headers);
            let batch = builder.build().expect("a batch");
            let record = Record::read(&mut &batch[HEADER_LEN..]).expect("a record");
            let timestamp_type = TimestampType::CreateTime;
            let found = copied(3, &Fetched { offset: 7, timestamp: 5, timestamp_type, record });
            let Copied { partition, timestamp, key: k, value: v, headers: h } = &found;
            assert_eq!((*partition, *timestamp, k.as_deref(), v.as_deref()), (3, 5, key, value));
            assert_eq!(h[..], [(b"a".to_vec(), Some(b"1".to_vec())), (b"a".to_vec(), None)]);
            assert!(size(&found) >= batch.len() - HEADER_LEN);
        }
    }
}
