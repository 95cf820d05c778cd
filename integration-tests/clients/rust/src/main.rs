//! `clients rskafka SCENARIO BOOTSTRAP TAG`: rskafka has no groups, no transactions and no choice of acks.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, Utc};
use rskafka::client::partition::{Compression, OffsetAt, PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use rskafka::record::Record;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const BASE_MS: i64 = 1_700_000_000_000;
const TIMEOUT_MS: i32 = 10_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [library, scenario, bootstrap, tag] = arguments.as_slice() else {
        return Err("clients rskafka SCENARIO BOOTSTRAP TAG".into());
    };
    if library != "rskafka" {
        return Err(format!("no library {library}").into());
    }
    let client = ClientBuilder::new(vec![bootstrap.clone()]).build().await?;
    let scenario = async {
        match scenario.as_str() {
            "codecs" => codecs(&client, tag).await,
            "seek" => seek(&client, tag).await,
            "compacted" => compacted(&client, tag).await,
            "calls" => calls(&client, tag).await,
            "restart" => restart(&client, tag).await,
            other => Err(format!("no scenario {other}").into()),
        }
    };
    tokio::time::timeout(Duration::from_secs(90), scenario).await?
}

async fn create(client: &Client, topic: &str, partitions: i32) -> Outcome<PartitionClient> {
    client.controller_client()?.create_topic(topic, partitions, 1, TIMEOUT_MS).await?;
    Ok(client.partition_client(topic, 0, UnknownTopicHandling::Error).await?)
}

fn values(from: i64, to: i64) -> Vec<Record> {
    let record = |n: i64| Record {
        key: Some(format!("k{}", n % 10).into_bytes()),
        value: Some(format!("value {n}").into_bytes()),
        headers: [("number".to_owned(), n.to_string().into_bytes())].into(),
        timestamp: DateTime::<Utc>::from_timestamp_millis(BASE_MS + n * 1000).unwrap_or_default(),
    };
    (from..to).map(record).collect()
}

/// Reads `count` records from `offset` on, whose offsets must have no gaps.
async fn read(partition: &PartitionClient, offset: i64, count: usize) -> Outcome<Vec<Record>> {
    let mut seen = Vec::new();
    while seen.len() < count {
        let next = offset + seen.len() as i64;
        for found in partition.fetch_records(next, 1..1_000_000, 500).await?.0 {
            expect(&found.offset, &(offset + seen.len() as i64), "offset")?;
            seen.push(found.record);
        }
    }
    seen.truncate(count);
    Ok(seen)
}

fn expect<T: PartialEq + std::fmt::Debug>(seen: &T, wanted: &T, what: &str) -> Outcome<()> {
    if seen == wanted {
        return Ok(());
    }
    Err(format!("{what}: {seen:.300?} instead of {wanted:.300?}").into())
}

async fn codecs(client: &Client, tag: &str) -> Outcome<()> {
    for (name, codec) in [
        ("none", Compression::NoCompression),
        ("gzip", Compression::Gzip),
        ("snappy", Compression::Snappy),
        ("lz4", Compression::Lz4),
        ("zstd", Compression::Zstd),
    ] {
        let partition = create(client, &format!("{tag}-{name}"), 1).await?;
        let offsets = partition.produce(values(0, 200), codec).await?;
        expect(&offsets, &(0..200).collect(), name)?;
        expect(&read(&partition, 0, 200).await?, &values(0, 200), name)?;
        // From the middle of a batch on.
        expect(&read(&partition, 77, 5).await?, &values(77, 82), name)?;
    }
    Ok(())
}

async fn seek(client: &Client, tag: &str) -> Outcome<()> {
    let partition = create(client, tag, 1).await?;
    partition.produce(values(0, 50), Compression::NoCompression).await?;
    let at = |ms| OffsetAt::Timestamp(DateTime::from_timestamp_millis(ms).unwrap_or_default());
    expect(&partition.get_offset(at(BASE_MS + 20_500)).await?, &21, "by time")?;
    expect(&partition.get_offset(at(BASE_MS + 49_001)).await?, &-1, "by a time that is to come")?;
    expect(&partition.get_offset(OffsetAt::Earliest).await?, &0, "earliest")?;
    expect(&partition.get_offset(OffsetAt::Latest).await?, &50, "latest")?;
    expect(&read(&partition, 21, 1).await?, &values(21, 22), "after the seek")
}

/// Reads until of every key but the last batch's only the newest record is left. This client sets no topic's configuration: the
/// topic is there.
async fn compacted(client: &Client, tag: &str) -> Outcome<()> {
    let partition = client.partition_client(tag, 0, UnknownTopicHandling::Error).await?;
    let now_ms = i64::try_from(SystemTime::UNIX_EPOCH.elapsed()?.as_millis())?;
    let later = |seconds| DateTime::<Utc>::from_timestamp_millis(now_ms + seconds * 1000).unwrap_or_default();
    for round in 0..5 {
        let batch = values(round * 10, round * 10 + 10);
        let batch = batch.into_iter().map(|record| Record { timestamp: later(round), ..record }).collect();
        partition.produce(batch, Compression::Lz4).await?;
    }
    let last = Record { key: Some(b"last".to_vec()), timestamp: later(10), ..values(0, 1).remove(0) };
    partition.produce(vec![last], Compression::NoCompression).await?;
    let wanted: Vec<i64> = (40..51).collect();
    loop {
        let mut seen = Vec::new();
        while seen.last() != Some(&50) {
            let next = seen.last().map_or(0, |offset| offset + 1);
            seen.extend(partition.fetch_records(next, 1..1_000_000, 500).await?.0.iter().map(|found| found.offset));
        }
        if seen == wanted {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn calls(client: &Client, tag: &str) -> Outcome<()> {
    let partition = create(client, tag, 3).await?;
    if create(client, tag, 3).await.is_ok() {
        return Err("the same topic was made twice".into());
    }
    let topics = client.list_topics().await?;
    let of_ours = topics.iter().find(|topic| topic.name == *tag).map(|topic| topic.partitions.clone());
    expect(&of_ours, &Some((0..3).collect()), "partitions")?;
    partition.produce(values(0, 20), Compression::NoCompression).await?;
    partition.delete_records(12, TIMEOUT_MS).await?;
    expect(&partition.get_offset(OffsetAt::Earliest).await?, &12, "after DeleteRecords")?;
    expect(&read(&partition, 12, 8).await?, &values(12, 20), "what is left")?;
    if partition.fetch_records(11, 1..1000, 100).await.is_ok() {
        return Err("a deleted record was there".into());
    }
    client.controller_client()?.delete_topic(tag, TIMEOUT_MS).await?;
    expect(&client.list_topics().await?.iter().any(|topic| topic.name == *tag), &false, "after DeleteTopics")
}

/// Sends and reads for some seconds, while somebody kills the broker once: what was acknowledged is read.
async fn restart(client: &Client, tag: &str) -> Outcome<()> {
    let partition = create(client, tag, 1).await?;
    let mut acknowledged = Vec::new();
    for record in values(0, 300) {
        let offsets = partition.produce(vec![record.clone()], Compression::NoCompression).await?;
        acknowledged.push((offsets[0], record));
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    // A record whose acknowledgement was lost is there twice: this client has no idempotence.
    let end = partition.get_offset(OffsetAt::Latest).await?;
    let seen = read(&partition, 0, usize::try_from(end)?).await?;
    for (offset, record) in acknowledged {
        expect(&seen.get(usize::try_from(offset)?), &Some(&record), "acknowledged")?;
    }
    Ok(())
}
