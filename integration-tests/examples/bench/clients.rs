//! Clients that people have: librdkafka as its `rdkafka_performance` drives it, and Apache's tools for the same purpose.

use super::server::{Server, has_java};
use super::{Figures, Note, Options};
use milena_integration_tests::raw::Connection;
use milena_integration_tests::requests::{create_topic, look_up};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::{ClientContext, Message, Offset, TopicPartitionList};
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// What begins the name of every scenario here.
pub(super) const NAME: &str = "real clients";

/// How long a client may take for one scenario.
const PATIENCE: Duration = Duration::from_secs(300);

/// What both libraries' producers are told.
const PRODUCER: [(&str, &str); 3] = [("acks", "all"), ("linger.ms", "5"), ("batch.size", "65536")];

/// Runs every client against one broker.
pub(super) fn run(server: &Server, options: &Options, note: Note<'_>) {
    for (topic, size, mib, name) in
        [("rdkafka", 1024, 1024.0, "1 KiB"), ("rdkafka-narrow", 100, 256.0, "100 B")]
    {
        let records = options.bytes(mib) / size as u64;
        create_topic(&mut Connection::open(&server.address), topic, 1, &[]);
        let produced = measured(server, records, size, || produce(server, topic, records, size));
        produced.per_byte(&format!("{NAME}, librdkafka produces {name}"), note);
        let consumed = measured(server, records, size, || consume(server, topic, records, size));
        consumed.per_byte(&format!("{NAME}, librdkafka consumes {name}"), note);
    }
    match jars() {
        Ok(jars) => apache(server, &jars, options, note),
        Err(reason) => eprintln!("SKIPPED Apache's tools: {reason}"),
    }
}

/// What it took to move so many records of that size.
fn measured(server: &Server, records: u64, size: usize, action: impl FnOnce()) -> Figures {
    let cpu = server.cpu_seconds();
    let started = Instant::now();
    action();
    Figures {
        seconds: started.elapsed().as_secs_f64(),
        cpu_seconds: server.cpu_seconds() - cpu,
        bytes: records * size as u64,
        operations: records,
    }
}

/// Counts acknowledgements; keeps the first error.
#[derive(Default)]
struct Deliveries(Mutex<(u64, Option<KafkaError>)>);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let mut known = self.0.lock().expect("no panic");
        match result {
            Ok(_) => known.0 += 1,
            Err((error, _)) => known.1 = known.1.take().or_else(|| Some(error.clone())),
        }
    }
}

fn produce(server: &Server, topic: &str, records: u64, size: usize) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &server.address);
    for (key, value) in PRODUCER {
        config.set(key, value);
    }
    let producer: BaseProducer<Deliveries> =
        config.create_with_context(Deliveries::default()).expect("settings that librdkafka knows");
    let value = vec![b'x'; size];
    for _ in 0..records {
        let mut record = BaseRecord::<(), [u8]>::to(topic).partition(0).payload(&value);
        while let Err((error, again)) = producer.send(record) {
            assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
            producer.poll(Duration::from_millis(10));
            record = again;
        }
        producer.poll(Duration::ZERO);
    }
    producer.flush(PATIENCE).expect("every record is acknowledged in time");
    let known = producer.context().0.lock().expect("no panic");
    assert_eq!(*known, (records, None), "records that were acknowledged");
}

fn consume(server: &Server, topic: &str, records: u64, size: usize) {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", &server.address);
    config.set("group.id", topic).set("enable.auto.commit", "false");
    // As rdkafka_performance does: with the default it takes a pause of a second whenever a broker is faster than its reader.
    config.set("queued.min.messages", "1000000");
    let consumer: BaseConsumer = config.create().expect("settings that librdkafka knows");
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(topic, 0, Offset::Beginning).expect("a valid list");
    consumer.assign(&partitions).expect("an assignment");
    let started = Instant::now();
    let mut next = 0;
    while next < records {
        assert!(started.elapsed() < PATIENCE, "{next} of {records} records came");
        let Some(result) = consumer.poll(Duration::from_millis(100)) else { continue };
        let record = result.expect("a record");
        let seen = (u64::try_from(record.offset()), record.payload_len());
        assert_eq!(seen, (Ok(next), size), "offset and size of the next record");
        next += 1;
    }
}

/// Where Apache's libraries are, if there is a Java for them.
fn jars() -> Result<PathBuf, String> {
    if !has_java() {
        return Err("there is no java".to_owned());
    }
    let folder = env::var_os("MILENA_JAVA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/clients/java"), PathBuf::from);
    let jars = folder.join("jars");
    if jars.is_dir() {
        return Ok(jars);
    }
    Err(format!("{} is missing, which integration-tests/clients/run java makes", jars.display()))
}

fn apache(server: &Server, jars: &Path, options: &Options, note: Note<'_>) {
    let (topic, size) = ("java", 1024);
    let records = options.bytes(1024.0) / size as u64;
    create_topic(&mut Connection::open(&server.address), topic, 1, &[]);
    let (count, bytes) = (records.to_string(), size.to_string());
    let bootstrap = format!("bootstrap.servers={}", server.address);
    let mut arguments = vec!["--topic", topic, "--num-records", &count, "--record-size", &bytes];
    let settings = PRODUCER.map(|(key, value)| format!("{key}={value}"));
    arguments.extend(["--throughput", "-1", "--producer-props", &bootstrap]);
    arguments.extend(settings.iter().map(String::as_str));

    let mut rate = 0.0;
    let figures = measured(server, records, size, || {
        rate = produced(&tool(jars, "ProducerPerformance", &arguments)).expect("the tool's last line");
    });
    // The tool goes on when records fail, and ends as if they had not.
    let end = look_up(&mut Connection::open(&server.address), topic, 0, -1).offset;
    assert_eq!(u64::try_from(end), Ok(records), "records of ProducerPerformance");
    of_tool(figures, rate).per_byte(&format!("{NAME}, ProducerPerformance 1 KiB"), note);

    let arguments =
        ["--topic", topic, "--bootstrap-server", &server.address, "--messages", &count, "--timeout", "60000"];
    let mut seen = (0.0, 0);
    let figures = measured(server, records, size, || {
        seen = consumed(&tool(jars, "ConsumerPerformance", &arguments)).expect("the tool's last line");
    });
    assert!(seen.1 >= records, "ConsumerPerformance read {} of {records} records", seen.1);
    of_tool(figures, seen.0).per_byte(&format!("{NAME}, ConsumerPerformance 1 KiB"), note);

    // The tool ends with an error when a record does not come, or another one.
    create_topic(&mut Connection::open(&server.address), "java-latency", 1, &[]);
    let count = options.count(10_000.0).to_string();
    let output = tool(jars, "EndToEndLatency", &[&server.address, "java-latency", &count, "all", "100"]);
    for (metric, before) in [("average ms", "Avg latency: "), ("p50 ms", " 50th = "), ("p99 ms", " 99th = ")]
    {
        let value = number_behind(&output, before).expect("the tool's last lines");
        note(&format!("{NAME}, EndToEndLatency 100 B"), metric, value);
    }
}

/// The rate that a tool says, without the start of its virtual machine.
fn of_tool(figures: Figures, mib_a_second: f64) -> Figures {
    Figures { seconds: figures.bytes as f64 / (mib_a_second * f64::from(1 << 20)), ..figures }
}

/// What one of Apache's tools prints.
fn tool(jars: &Path, class: &str, arguments: &[&str]) -> String {
    let mut command = Command::new("java");
    command.args(["-Xmx512M", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error", "-cp"]);
    command
        .arg(format!("{}/*", jars.display()))
        .arg(format!("org.apache.kafka.tools.{class}"))
        .args(arguments);
    let output = command.output().expect("java runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{class}: {}: {text}{errors}", output.status);
    text
}

/// The number that stands behind these words, where they are there for the last time.
fn number_behind(text: &str, words: &str) -> Option<f64> {
    let rest = text.rsplit_once(words)?.1;
    rest.split(|c: char| !c.is_ascii_digit() && c != '.').next()?.parse().ok()
}

/// MiB a second, of what ProducerPerformance says at the end.
fn produced(text: &str) -> Option<f64> {
    number_behind(text.rsplit_once(" MB/sec)")?.0, "(")
}

/// MiB a second and records, of the line of ConsumerPerformance.
fn consumed(text: &str) -> Option<(f64, u64)> {
    let fields: Vec<&str> = text.lines().last()?.split(", ").collect();
    Some((fields.get(3)?.parse().ok()?, fields.get(4)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{consumed, number_behind, produced};

    #[test]
    fn reads_what_the_tools_print() {
        let text = "50 records sent, 10.0 records/sec (0.01 MB/sec), 2.0 ms avg latency, 9.0 ms max latency.\n\
            100 records sent, 1388.9 records/sec (1.36 MB/sec), 30.01 ms avg latency, 61.00 ms max latency, 28 ms 50th, 50 ms \
            95th, 61 ms 99th, 61 ms 99.9th.\n";
        assert_eq!(produced(text), Some(1.36));
        let text = "start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec\n\
            2026-11-23 10:00:00:000, 2026-11-23 10:00:01:000, 97.6562, 95.5, 100000, 97847.3581, 300, 722, 135.2580, 138504.2\n";
        assert_eq!(consumed(text), Some((95.5, 100_000)));
        assert_eq!(consumed("WARNING: Exiting before consuming the expected number of messages"), None);
        let text = "0\t4.2\nAvg latency: 0.4471 ms\n\nPercentiles: 50th = 0, 99th = 3, 99.9th = 7\n";
        assert_eq!(number_behind(text, "Avg latency: "), Some(0.4471));
        assert_eq!(number_behind(text, " 50th = "), Some(0.0));
        assert_eq!(number_behind(text, " 99th = "), Some(3.0));
    }
}
