//! `milena produce`.

use super::pattern::{self, Part, take_apart};
use super::position::time_of;
use super::rate::Rate;
use super::sheet::{Format, Sheet};
use crate::cli::connect::block_on;
use crate::cli::failure::Failure;
use crate::cli::flags::{Flag, Given, switch, value};
use crate::cli::lines::Lines;
use crate::cli::screen::Screen;
use crate::cli::tools::Run;
use crate::cli::verbs::{CLUSTER, Verb, client};
use crate::client::producer::{NewRecord, Placed, Producer, ProducerSettings};
use crate::client::{Client, check};
use crate::clock::Clock;
use crate::seed::{SeedRecord, record};
use kafka_protocol::messages::ApiKey;
use milena_protocol::records::{Codec, Header};
use serde_json::json;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;
use tokio::time::Instant;

/// The command.
pub(crate) const RUN: Run = Run::Verbs(&[Verb {
    name: "",
    words: "[TOPIC]",
    help: "Write records: the lines of standard input, one that is given here, or those of a file.",
    flags: &[CLUSTER, FLAGS],
    run,
}]);

const FLAGS: &[Flag] = &[
    value("value", "TEXT", "Write one record with this value, and read nothing."),
    value("key", "TEXT", "The key of all records that bring none."),
    value("header", "NAME=VALUE", "A header of all records; may be repeated."),
    switch("tombstone", "Write one record with the key and without a value."),
    value("file", "FILE", "Records as consume -o ndjson prints them; - for standard input."),
    value("format", "FORMAT", "What lines are made of: '%k:%v', '%k\\t%v', %p partition, %T milliseconds."),
    value("null", "TEXT", "Lines, keys and values that are this text are null."),
    value("partition", "N", "The partition of all records."),
    switch("repartition", "Let the keys decide, whatever partitions the file names."),
    value("timestamp", "TIME", "The time of all records that bring none: 2026-01-31T12:00, 1769860800000."),
    value("compression", "CODEC", "none (default), gzip, snappy, lz4 or zstd."),
    value("acks", "N", "0, 1 or all (default)."),
    value("rate", "N/s", "No more records than that: 100/s, 30/m, 1/h."),
    value("repeat", "N", "Write all of it so many times, or forever; needs --value or --file FILE."),
    value("output", "FORMAT", "Print where batches went: table, json, ndjson, or name."),
];
/// Bytes of a batch.
const BATCH: usize = 64 * 1024;
/// How often progress is shown.
const TICK: Duration = Duration::from_millis(200);

fn run(screen: &mut Screen, given: &Given) -> Result<(), Failure> {
    let making = Making::of(given)?;
    let settings = settings(given)?;
    let format = if given.has("output") { Some(Format::of(given)?) } else { None };
    let rate = given.one("rate")?.map(Rate::parse).transpose()?;
    let rounds = rounds(given)?;
    let mut client = client(given)?;
    let mut sheet = Sheet::new(&["topic", "partition", "offset"]);
    let mut sending = Sending {
        client: &mut client,
        producer: Producer::new(settings),
        counts: HashMap::new(),
        placed: Vec::new(),
        keep: format.is_some(),
        progress: Progress::new(given.has("file") || rounds > 1),
        rate,
        start: Instant::now(),
    };
    let sent = block_on(async {
        if given.has("value") || given.has("tombstone") {
            let made = making.finish(making.single())?;
            for _ in 0..rounds {
                sending.put(&made).await?;
            }
            return sending.flush().await;
        }
        let file = given.one("file")?.filter(|file| *file != "-");
        for _ in 0..rounds {
            if all_lines(&mut sending, &making, file).await? == 0 {
                break;
            }
        }
        Ok(())
    });
    sending.progress.close();
    if let Some(format) = format {
        for (tp, offset) in &sending.placed {
            sheet.row([json!(tp.topic), json!(tp.partition), json!(offset)]);
        }
        sheet.print(screen, format)?;
    }
    sent
}

/// How many times all of it is written.
fn rounds(given: &Given) -> Result<u64, Failure> {
    let Some(text) = given.one("repeat")? else { return Ok(1) };
    let is_there_again =
        given.has("value") || given.has("tombstone") || given.one("file")?.is_some_and(|file| file != "-");
    if !is_there_again {
        return Err(Failure::Usage(
            "what comes by standard input comes once: --repeat needs --value or --file".into(),
        ));
    }
    match text {
        "forever" => Ok(u64::MAX),
        _ => text
            .parse()
            .map_err(|_| Failure::Usage(format!("--repeat {text} is neither a number nor forever"))),
    }
}

/// Sends the records of all lines, and says how many lines there were.
async fn all_lines(
    sending: &mut Sending<'_>,
    making: &Making<'_>,
    file: Option<&str>,
) -> Result<u64, Failure> {
    let mut lines = lines_of(file)?;
    let mut number = 0_u64;
    while let Some(first) = lines.next().await {
        // What is there at once goes out together: a person sees each line go, and a pipe fills batches.
        let mut next = Some(first);
        while let Some(line) = next {
            number += 1;
            let mut line = line?;
            line.pop_if(|last| *last == b'\n');
            let made = making.line(&line).and_then(|made| made.map(|made| making.finish(made)).transpose());
            let made = match made {
                Ok(made) => made,
                Err(failure) => {
                    // What came before goes out whatever comes after.
                    sending.flush().await?;
                    return Err(Failure::text(format!("line {number}: {failure}")));
                }
            };
            if let Some(made) = made {
                sending.put(&made).await?;
            }
            next = lines.ready();
        }
        sending.flush().await?;
    }
    Ok(number)
}

fn settings(given: &Given) -> Result<ProducerSettings, Failure> {
    let acks = match given.one("acks")?.unwrap_or("all") {
        "all" | "-1" => -1,
        "1" => 1,
        "0" => 0,
        other => return Err(Failure::Usage(format!("--acks {other} is none of 0, 1 and all"))),
    };
    let codec = given.one("compression")?.unwrap_or("none");
    let codec =
        Codec::from_name(codec).ok_or_else(|| Failure::Usage(format!("there is no codec {codec}")))?;
    let defaults = ProducerSettings::default();
    Ok(ProducerSettings {
        acks,
        codec,
        idempotent: acks == -1,
        batch_size: BATCH,
        timeout: Duration::from_secs(30),
        ..defaults
    })
}

/// How records are made.
struct Making<'g> {
    topic: Option<&'g str>,
    value: Option<&'g str>,
    key: Option<&'g str>,
    headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    null: Option<&'g str>,
    partition: Option<i32>,
    by_key: bool,
    timestamp: Option<i64>,
    is_file: bool,
    parts: Vec<Part>,
}

impl<'g> Making<'g> {
    fn of(given: &'g Given) -> Result<Self, Failure> {
        let topic = given.words.first().map(String::as_str);
        let is_file = given.has("file");
        if topic.is_none() && !is_file {
            return Err(Failure::Usage(
                "usage: milena produce TOPIC, or --file with the topics in it".into(),
            ));
        }
        given.excludes("file", &["value", "tombstone", "format", "null"])?;
        given.excludes("tombstone", &["value", "format", "null"])?;
        given.excludes("value", &["format"])?;
        given.excludes("partition", &["repartition"])?;
        if given.has("tombstone") && !given.has("key") {
            return Err(Failure::Usage("a tombstone needs a --key".into()));
        }
        let header = |pair: &str| match pair.split_once('=') {
            Some((name, value)) => (name.as_bytes().to_vec(), Some(value.as_bytes().to_vec())),
            None => (pair.as_bytes().to_vec(), None),
        };
        let timestamp = given.one("timestamp")?.map(|text| {
            time_of(text.strip_prefix('@').unwrap_or(text), Clock::System.now_ms()).ok_or_else(|| {
                Failure::Usage(format!("{text} is no time: 2026-01-31T12:00, 1769860800000, -5m"))
            })
        });
        Ok(Self {
            topic,
            value: given.one("value")?,
            key: given.one("key")?,
            headers: given.all("header").map(header).collect(),
            null: given.one("null")?,
            partition: given.number("partition")?,
            by_key: given.has("repartition"),
            timestamp: timestamp.transpose()?,
            is_file,
            parts: pattern::parse(given.one("format")?.unwrap_or("%v"), pattern::READ)?,
        })
    }

    /// The record of the flags alone.
    fn single(&self) -> SeedRecord {
        SeedRecord {
            value: self.value.and_then(|value| self.unless_null(value.as_bytes())),
            ..SeedRecord::default()
        }
    }

    /// The record of a line, if there is one in it.
    fn line(&self, line: &[u8]) -> Result<Option<SeedRecord>, Failure> {
        if self.is_file {
            if line.trim_ascii().is_empty() {
                return Ok(None);
            }
            let text = std::str::from_utf8(line).map_err(|error| Failure::text(error.to_string()))?;
            return record(text, Some(self.topic.unwrap_or_default())).map(Some).map_err(Failure::Text);
        }
        let mut made = SeedRecord::default();
        for (letter, bytes) in take_apart(&self.parts, line).map_err(Failure::Text)? {
            let number = || {
                let text = std::str::from_utf8(bytes).ok().and_then(|text| text.trim().parse::<i64>().ok());
                text.ok_or_else(|| Failure::text(format!("%{letter} is no number: {}", bytes.escape_ascii())))
            };
            match letter {
                'k' => made.key = self.unless_null(bytes),
                'p' => made.partition = Some(i32::try_from(number()?).unwrap_or(-1)),
                'T' => made.timestamp = Some(number()?),
                _ => made.value = self.unless_null(bytes),
            }
        }
        Ok(Some(made))
    }

    fn unless_null(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        (self.null.map(str::as_bytes) != Some(bytes)).then(|| bytes.to_vec())
    }

    /// A record with what the flags add.
    fn finish(&self, mut made: SeedRecord) -> Result<SeedRecord, Failure> {
        if let Some(topic) = self.topic {
            topic.clone_into(&mut made.topic);
        }
        if made.topic.is_empty() {
            return Err(Failure::text("it names no topic"));
        }
        made.key = made.key.or_else(|| self.key.map(|key| key.as_bytes().to_vec()));
        made.headers.extend(self.headers.iter().cloned());
        made.timestamp = made.timestamp.or(self.timestamp);
        made.partition = if self.by_key { None } else { self.partition.or(made.partition) };
        Ok(made)
    }
}

/// Records on their way.
struct Sending<'c> {
    client: &'c mut Client,
    producer: Producer,
    counts: HashMap<String, i32>,
    placed: Vec<Placed>,
    keep: bool,
    progress: Progress,
    rate: Option<Rate>,
    start: Instant,
}

impl Sending<'_> {
    /// Adds a record when it is due, and sends what is complete.
    async fn put(&mut self, made: &SeedRecord) -> Result<(), Failure> {
        while let Some(pause) = self.rate.as_ref().and_then(|rate| rate.pause(self.start.elapsed())) {
            self.flush().await?;
            tokio::time::sleep(pause).await;
        }
        if let Some(rate) = &mut self.rate {
            rate.sent(self.start.elapsed());
        }
        if self.append(made).await? {
            self.flush().await?;
        }
        Ok(())
    }

    /// Adds a record. `true` asks for a flush.
    async fn append(&mut self, made: &SeedRecord) -> Result<bool, Failure> {
        let headers: Vec<Header<'_>> =
            made.headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect();
        let new = NewRecord {
            partition: made.partition,
            timestamp: made.timestamp.unwrap_or_else(|| Clock::System.now_ms()),
            key: made.key.as_deref(),
            value: made.value.as_deref(),
            headers: &headers,
        };
        let is_full = self.producer.append(self.client, &made.topic, new).await?;
        if let Some(partition) = made.partition {
            self.check_partition(&made.topic, partition).await?;
        }
        self.progress.add(made);
        Ok(is_full)
    }

    /// Nobody would ever lead a partition that is not there.
    async fn check_partition(&mut self, topic: &str, partition: i32) -> Result<(), Failure> {
        let count = match self.counts.get(topic) {
            Some(count) => *count,
            None => {
                let found = self.client.metadata(Some(&[topic])).await?;
                let count = found.first().map_or(Ok(0), |topic| {
                    check(ApiKey::Metadata as i16, topic.error, None).map(|()| topic.partitions.len())
                })?;
                let count = i32::try_from(count).unwrap_or(i32::MAX);
                self.counts.insert(topic.to_owned(), count);
                count
            }
        };
        if (0..count).contains(&partition) {
            return Ok(());
        }
        Err(Failure::text(format!(
            "topic {topic} has no partition {partition}, only {count}; see --repartition"
        )))
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        let (placed, refused) = self.producer.flush(self.client).await?;
        if self.keep {
            self.placed.extend(placed);
        }
        self.progress.show();
        match refused.into_iter().next() {
            None => Ok(()),
            Some(refused) => Err(Failure::text(format!(
                "{} records for {} were refused: {}",
                refused.records, refused.partition, refused.error
            ))),
        }
    }
}

/// How far it is, at a terminal, where nobody types.
struct Progress {
    is_shown: bool,
    was_shown: bool,
    next: Instant,
    records: u64,
    bytes: usize,
}

impl Progress {
    fn new(is_file: bool) -> Self {
        let is_shown = io::stderr().is_terminal() && (is_file || !io::stdin().is_terminal());
        Self { is_shown, was_shown: false, next: Instant::now() + TICK, records: 0, bytes: 0 }
    }

    fn add(&mut self, made: &SeedRecord) {
        self.records += 1;
        self.bytes += made.key.as_ref().map_or(0, Vec::len) + made.value.as_ref().map_or(0, Vec::len);
    }

    fn show(&mut self) {
        if self.is_shown && Instant::now() >= self.next {
            self.next = Instant::now() + TICK;
            self.was_shown = true;
            self.write(&format!("\r{} records, {} KiB", self.records, self.bytes / 1024));
        }
    }

    fn close(&mut self) {
        if self.was_shown {
            self.write("\r\x1b[K");
        }
    }

    fn write(&self, text: &str) {
        // Nobody may be reading.
        let _ = io::stderr().write_all(text.as_bytes());
    }
}

/// The lines of a file, or of standard input.
fn lines_of(file: Option<&str>) -> Result<Lines, Failure> {
    match file {
        Some(path) => {
            File::open(path).map(Lines::read).map_err(|error| Failure::text(format!("{path}: {error}")))
        }
        None => Ok(Lines::read(io::stdin())),
    }
}

#[cfg(test)]
mod tests;
