//! `kafka-console-producer` (`ConsoleProducer`).

use super::line_reader::{Line, LineReader};
use crate::cli::connect::{Properties, add_pairs, block_on, load};
use crate::cli::failure::Failure;
use crate::cli::flags::{Flag, Given, maybe, switch, value};
use crate::cli::lines::Lines;
use crate::cli::screen::Screen;
use crate::cli::tools::Run;
use crate::client::producer::{NewRecord, Producer, ProducerSettings, Refused};
use crate::client::{Client, ClientConfig};
use crate::clock::Clock;
use milena_protocol::records::{Codec, Header};
use std::io::IsTerminal;

/// The tool.
pub(crate) const RUN: Run = Run::Flags(FLAGS, run);

const FLAGS: &[Flag] = &[
    value("topic", "NAME", "REQUIRED. The topic to write to."),
    value("bootstrap-server", "HOST:PORT", "REQUIRED. The brokers to connect to."),
    switch("sync", "Send each record by itself and wait for its acknowledgement."),
    maybe("compression-codec", "CODEC", "none, gzip (without a value), snappy, lz4 or zstd."),
    value("batch-size", "BYTES", "Bytes of a batch (default: 16384)."),
    value("message-send-max-retries", "N", "Read and not used: retries go on until the time is up."),
    value("retry-backoff-ms", "MS", "Pause before a retry (default: 100)."),
    value("timeout", "MS", "Read and not used: batches go out as soon as no more lines are there."),
    value("request-required-acks", "ACKS", "0, 1, -1 or all (default: -1)."),
    value("request-timeout-ms", "MS", "How long replicas may take (default: 1500)."),
    value("metadata-expiry-ms", "MS", "Read and not used."),
    value("max-block-ms", "MS", "How long to wait for a topic (default: 60000)."),
    value("max-memory-bytes", "BYTES", "Read and not used."),
    value("max-partition-memory-bytes", "BYTES", "The older name of --batch-size."),
    value("line-reader", "CLASS", "LineMessageReader, which is the only one."),
    value("socket-buffer-size", "BYTES", "Read and not used."),
    value("property", "KEY=VALUE", "The older name of --reader-property."),
    value(
        "reader-property",
        "KEY=VALUE",
        "parse.key, key.separator, parse.headers, headers.delimiter, headers.separator, headers.key.separator, null.marker, ignore.error.",
    ),
    value("reader-config", "FILE", "Properties of the reader."),
    value("producer-property", "KEY=VALUE", "The older name of --command-property."),
    value("command-property", "KEY=VALUE", "A property of the producer."),
    value("producer.config", "FILE", "The older name of --command-config."),
    value("command-config", "FILE", "Properties of the producer."),
];

fn run(screen: &mut Screen, given: &Given) -> Result<(), Failure> {
    let topic = given.required("topic")?;
    for (new, old) in [
        ("command-config", "producer.config"),
        ("command-property", "producer-property"),
        ("reader-property", "property"),
    ] {
        if given.has(new) && given.has(old) {
            return Err(Failure::Usage(format!("Options --{new} and --{old} cannot be specified together.")));
        }
    }
    let bootstrap = given.required("bootstrap-server")?;
    let mut reading = given.one("reader-config")?.map(load).transpose()?.unwrap_or_default();
    add_pairs(&mut reading, given.all("property").chain(given.all("reader-property")));
    if let Some(class) = given.one("line-reader")?
        && !class.ends_with("LineMessageReader")
    {
        return Err(Failure::text(format!("{class} is a Java class; there is LineMessageReader")));
    }
    let reader = LineReader::new(&reading)?;
    let file = given.one("command-config")?.or(given.one("producer.config")?);
    let mut properties = file.map(load).transpose()?.unwrap_or_default();
    add_pairs(&mut properties, given.all("producer-property").chain(given.all("command-property")));
    let settings = settings_of(given, &properties)?;
    let mut client = Client::new(ClientConfig::new(bootstrap, "console-producer", &properties)?);
    let is_sync = given.has("sync");
    block_on(async { pump(screen, &mut client, Producer::new(settings), topic, &reader, is_sync).await })
}

fn settings_of(given: &Given, properties: &Properties) -> Result<ProducerSettings, Failure> {
    let defaults = ProducerSettings::default();
    let property = |key: &str| properties.get(key).map(String::as_str);
    let either = |flag: &str, key: &str| -> Result<Option<String>, Failure> {
        Ok(given.one(flag)?.or(property(key)).map(str::to_owned))
    };
    let number = |text: Option<String>, name: &str, default: u64| match text {
        None => Ok(default),
        Some(text) => text
            .trim()
            .parse()
            .map_err(|_| Failure::text(format!("Cannot parse argument '{text}' of option {name}"))),
    };
    let acks = either("request-required-acks", "acks")?.unwrap_or_else(|| "-1".to_owned());
    let acks = match acks.trim() {
        "all" | "-1" => -1,
        "0" => 0,
        "1" => 1,
        other => return Err(Failure::text(format!("Invalid value {other} for configuration acks"))),
    };
    let codec = match given.one("compression-codec")? {
        Some(codec) => codec,
        None if given.has("compression-codec") => "gzip",
        None => property("compression.type").unwrap_or("none"),
    };
    let codec =
        Codec::from_name(codec).ok_or_else(|| Failure::text(format!("Unknown compression name: {codec}")))?;
    let batch = either("max-partition-memory-bytes", "")?
        .map_or_else(|| either("batch-size", "batch.size"), |old| Ok(Some(old)))?;
    let batch_size = number(batch, "batch-size", 16_384)?;
    let timeout = number(either("request-timeout-ms", "request.timeout.ms")?, "request-timeout-ms", 1_500)?;
    let max_block = number(either("max-block-ms", "max.block.ms")?, "max-block-ms", 60_000)?;
    let idempotent = property("enable.idempotence").map_or(acks == -1, |value| value.trim() == "true");
    Ok(ProducerSettings {
        acks,
        codec,
        batch_size: usize::try_from(batch_size).unwrap_or(defaults.batch_size),
        timeout: std::time::Duration::from_millis(timeout),
        idempotent: idempotent && acks == -1,
        max_block: std::time::Duration::from_millis(max_block),
    })
}

/// Sends lines as long as there are any. What is there at once goes out together, so that a person sees each line go
/// and a pipe fills batches.
async fn pump(
    screen: &mut Screen,
    client: &mut Client,
    mut producer: Producer,
    topic: &str,
    reader: &LineReader,
    is_sync: bool,
) -> Result<(), Failure> {
    let prompt = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let mut lines = Lines::read(std::io::stdin());
    let mut number = 0;
    let mut failure = None;
    ask(screen, prompt)?;
    'all: while let Some(first) = lines.next().await {
        let mut next = Some(first);
        while let Some(line) = next {
            number += 1;
            match line.map_err(Failure::from).and_then(|line| reader.read(&text_of(line), number)) {
                Ok(line) => {
                    if append(client, &mut producer, topic, &line).await? || is_sync {
                        flush(screen, client, &mut producer, is_sync).await?;
                    }
                }
                Err(error) => {
                    failure = Some(error);
                    break 'all;
                }
            }
            next = lines.ready();
        }
        flush(screen, client, &mut producer, is_sync).await?;
        ask(screen, prompt)?;
    }
    flush(screen, client, &mut producer, is_sync).await?;
    match failure {
        Some(failure) => Err(Failure::text(format!("org.apache.kafka.common.KafkaException: {failure}"))),
        None => Ok(()),
    }
}

fn ask(screen: &mut Screen, prompt: bool) -> Result<(), Failure> {
    if prompt {
        screen.put(b">")?;
        screen.flush()?;
    }
    Ok(())
}

fn text_of(mut bytes: Vec<u8>) -> String {
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    // As Java reads it: what is no UTF-8 becomes the replacement character.
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn append(
    client: &mut Client,
    producer: &mut Producer,
    topic: &str,
    line: &Line,
) -> Result<bool, Failure> {
    let headers: Vec<Header<'_>> = line
        .headers
        .iter()
        .map(|(key, value)| Header { key: key.as_bytes(), value: value.as_deref().map(str::as_bytes) })
        .collect();
    let record = NewRecord {
        partition: None,
        timestamp: Clock::System.now_ms(),
        key: line.key.as_deref().map(str::as_bytes),
        value: line.value.as_deref().map(str::as_bytes),
        headers: &headers,
    };
    Ok(producer.append(client, topic, record).await?)
}

async fn flush(
    screen: &mut Screen,
    client: &mut Client,
    producer: &mut Producer,
    is_sync: bool,
) -> Result<(), Failure> {
    let (_, refused) = producer.flush(client).await?;
    for Refused { partition, records, error } in refused {
        if is_sync {
            return Err(Failure::Client(error));
        }
        // Kafka's tool says so, and goes on.
        let topic = partition.topic;
        screen.complain(format_args!(
            "ERROR Error when sending {records} messages to topic {topic}: {error}"
        ))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{FLAGS, settings_of, text_of};
    use crate::cli::connect::Properties;
    use crate::cli::flags::Given;

    #[test]
    fn flags_win_over_properties() {
        let file = Properties::from([
            ("acks".to_owned(), "1".to_owned()),
            ("compression.type".into(), "lz4".into()),
        ]);
        for (line, acks, codec, idempotent) in [
            ("", 1, "lz4", false),
            ("--request-required-acks all", -1, "lz4", true),
            ("--request-required-acks 0 --compression-codec zstd", 0, "zstd", false),
            ("--compression-codec", 1, "gzip", false),
        ] {
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let given = Given::read(FLAGS, &words).expect(line);
            let settings = settings_of(&given, &file).expect(line);
            assert_eq!(
                (settings.acks, settings.codec.name(), settings.idempotent),
                (acks, codec, idempotent),
                "{line}"
            );
        }
        let bad = Given::read(FLAGS, &["--request-required-acks=2".to_owned()]).expect("flags");
        assert!(settings_of(&bad, &file).is_err());
    }

    #[test]
    fn lines_end_as_in_java() {
        for (bytes, text) in [(&b"a\n"[..], "a"), (b"a\r\n", "a"), (b"a", "a"), (b"\n", ""), (b"a\r", "a\r")]
        {
            assert_eq!(text_of(bytes.to_vec()), text);
        }
    }
}
