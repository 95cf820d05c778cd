//! `kafka-console-consumer` (`ConsoleConsumer`).

use super::consume::{self, End, Plan, Sink, Wanted};
use super::record_writer::RecordWriter;
use super::times;
use crate::cli::connect::{Properties, add_pairs, block_on, load};
use crate::cli::failure::Failure;
use crate::cli::flags::{Flag, Given, switch, value};
use crate::cli::screen::Screen;
use crate::cli::tools::Run;
use crate::client::fetcher::{FetchSettings, Fetched, Reset};
use crate::client::member::MemberSettings;
use crate::client::offsets::{EARLIEST, LATEST};
use crate::client::{Client, ClientConfig, TopicPartition, millis};
use crate::clock::Clock;
use regex::Regex;
use std::ops::ControlFlow;
use std::time::Duration;

/// The tool.
pub(crate) const RUN: Run = Run::Flags(FLAGS, run);

/// Output that is gathered before it is written.
const GATHERED: usize = 1 << 16;

const FLAGS: &[Flag] = &[
    value("topic", "NAME", "The topic to read."),
    value("include", "REGEX", "The topics to read."),
    value("partition", "N", "The partition to read, from its end on unless --offset is given."),
    value("offset", "OFFSET", "Where to begin in the partition: a number, earliest or latest."),
    value("consumer-property", "KEY=VALUE", "The older name of --command-property."),
    value("command-property", "KEY=VALUE", "A property of the consumer."),
    value("consumer.config", "FILE", "The older name of --command-config."),
    value("command-config", "FILE", "Properties of the consumer."),
    value("formatter", "CLASS", "DefaultMessageFormatter or NoOpMessageFormatter."),
    value("property", "KEY=VALUE", "The older name of --formatter-property."),
    value(
        "formatter-property",
        "KEY=VALUE",
        "print.timestamp, print.key, print.value, print.offset, print.partition, print.headers, print.epoch, key.separator, line.separator, headers.separator, null.literal, key.deserializer, value.deserializer.",
    ),
    value("formatter-config", "FILE", "Properties of the formatter."),
    switch("from-beginning", "Begin with the earliest record where nothing was committed."),
    value("max-messages", "N", "End after so many records."),
    value("timeout-ms", "MS", "End when no record has come for so long."),
    switch("skip-message-on-error", "Go on after a record that cannot be printed."),
    value("bootstrap-server", "HOST:PORT", "REQUIRED. The brokers to connect to."),
    value("key-deserializer", "CLASS", "What keys are: StringDeserializer, LongDeserializer, ..."),
    value("value-deserializer", "CLASS", "What values are."),
    switch("enable-systest-events", "Print a line at the end that Kafka's system tests look for."),
    value("isolation-level", "LEVEL", "read_committed or read_uncommitted (default)."),
    value("group", "ID", "The group to read in."),
];

fn run(screen: &mut Screen, given: &Given) -> Result<(), Failure> {
    check_flags(given)?;
    let file = given.one("command-config")?.or(given.one("consumer.config")?);
    let mut properties = file.map(load).transpose()?.unwrap_or_default();
    let group = group_of(given, &properties)?;
    add_pairs(&mut properties, given.all("consumer-property").chain(given.all("command-property")));
    let plan = plan_of(given, &properties, group)?;
    let writer = writer_of(given)?;
    let config = ClientConfig::new(given.required("bootstrap-server")?, "console-consumer", &properties)?;
    let skip = given.has("skip-message-on-error");
    let mut lines = Lines { screen, writer, skip, out: Vec::with_capacity(GATHERED), stop: None };
    let (seen, outcome) = block_on(async {
        let mut client = Client::new(config);
        Ok(consume::run(&mut client, plan, &mut lines).await)
    })?;
    let stop = lines.stop.take();
    if let (Err(failure), None) = (&outcome, &stop) {
        screen.complain(format_args!(
            "ERROR Error processing message, terminating consumer process: {failure}"
        ))?;
    }
    screen.complain(format_args!("Processed a total of {seen} messages"))?;
    if given.has("enable-systest-events") {
        screen.say("shutdown_complete")?;
    }
    match (stop, outcome) {
        (Some(failure), _) => Err(failure),
        (None, Ok(End::Signal(number))) => Err(Failure::Code(128 + number)),
        // As in Kafka's tool, which logs the error and ends well.
        (None, _) => Ok(()),
    }
}

/// Records as lines on the screen.
struct Lines<'s> {
    screen: &'s mut Screen,
    writer: RecordWriter,
    skip: bool,
    out: Vec<u8>,
    stop: Option<Failure>,
}

impl Lines<'_> {
    fn send(&mut self) -> ControlFlow<()> {
        let sent = self.screen.put(&self.out).and_then(|()| self.screen.flush());
        self.out.clear();
        match sent {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => {
                // Nobody reads any more; the tool says so and ends well, as Kafka's does.
                let _ = self.screen.complain("Unable to write to standard out, closing consumer.");
                ControlFlow::Break(())
            }
        }
    }
}

impl Sink for Lines<'_> {
    fn record(&mut self, tp: &TopicPartition, fetched: &Fetched<'_>) -> ControlFlow<()> {
        if let Err(error) = self.writer.write(&mut self.out, tp, fetched) {
            if !self.skip {
                self.stop =
                    Some(Failure::text(format!("ERROR Unknown error when running consumer: {error}")));
                return ControlFlow::Break(());
            }
            let _ = self
                .screen
                .complain(format_args!("ERROR Error processing message, skipping this message: {error}"));
        }
        if self.out.len() >= GATHERED { self.send() } else { ControlFlow::Continue(()) }
    }

    fn pause(&mut self) -> ControlFlow<()> {
        let sent = if self.out.is_empty() { ControlFlow::Continue(()) } else { self.send() };
        if self.stop.is_some() { ControlFlow::Break(()) } else { sent }
    }
}

fn check_flags(given: &Given) -> Result<(), Failure> {
    if given.has("topic") == given.has("include") {
        let text = "Exactly one of --include/--topic is required. ";
        return Err(Failure::Usage(text.into()));
    }
    if given.has("partition") {
        if !given.has("topic") {
            return Err(Failure::Usage("The topic is required when partition is specified.".into()));
        }
        if given.has("from-beginning") && given.has("offset") {
            let text = "Options from-beginning and offset cannot be specified together.";
            return Err(Failure::Usage(text.into()));
        }
    } else if given.has("offset") {
        return Err(Failure::Usage("The partition is required when offset is specified.".into()));
    }
    given.required("bootstrap-server")?;
    for (new, old) in [
        ("command-property", "consumer-property"),
        ("command-config", "consumer.config"),
        ("formatter-property", "property"),
    ] {
        if given.has(new) && given.has(old) {
            return Err(Failure::Usage(format!("Options --{old} and --{new} cannot be specified together.")));
        }
    }
    Ok(())
}

/// The group, which may be named in three places, but only in one way.
fn group_of(given: &Given, file: &Properties) -> Result<Option<String>, Failure> {
    let mut extra = Properties::new();
    add_pairs(&mut extra, given.all("consumer-property").chain(given.all("command-property")));
    let mut groups: Vec<String> = Vec::new();
    let named = given.one("group")?.map(str::to_owned);
    for group in [named, file.get("group.id").cloned(), extra.remove("group.id")].into_iter().flatten() {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    if groups.len() > 1 {
        let list = groups.iter().map(|group| format!("'{group}'")).collect::<Vec<_>>().join(", ");
        return Err(Failure::Usage(format!(
            "The group ids provided in different places (directly using '--group', via '--consumer-property', or via '--consumer.config') do not match. Detected group ids: {list}"
        )));
    }
    if !groups.is_empty() && given.has("partition") {
        return Err(Failure::Usage("Options group and partition cannot be specified together.".into()));
    }
    Ok(groups.pop())
}

fn plan_of(given: &Given, properties: &Properties, group: Option<String>) -> Result<Plan, Failure> {
    let reset = reset_of(given, properties)?;
    let level = given.one("isolation-level")?.or(properties.get("isolation.level").map(String::as_str));
    let int = |key: &str, default: i32| {
        properties.get(key).map_or(Ok(default), |text| {
            let text = text.trim();
            text.parse().map_err(|_| Failure::text(format!("Invalid value {text} for configuration {key}")))
        })
    };
    let defaults = FetchSettings::default();
    let timeout =
        given.number::<i64>("timeout-ms")?.and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis);
    let max_wait = millis(properties, "fetch.max.wait.ms", 500)?;
    let fetch = FetchSettings {
        committed: level.is_some_and(|level| level.trim().eq_ignore_ascii_case("read_committed")),
        max_wait: timeout.map_or(max_wait, |timeout| max_wait.min(timeout)),
        min_bytes: int("fetch.min.bytes", defaults.min_bytes)?,
        max_bytes: int("fetch.max.bytes", defaults.max_bytes)?,
        partition_bytes: int("max.partition.fetch.bytes", defaults.partition_bytes)?,
        reset,
    };
    let commits = properties.get("enable.auto.commit").is_none_or(|value| value.trim() != "false");
    let commit_every = millis(properties, "auto.commit.interval.ms", 5_000)?;
    let group = group.map(|group| member_settings(group, properties)).transpose()?;
    Ok(Plan {
        wanted: wanted_of(given)?,
        commit_every: (commits && group.is_some()).then_some(commit_every),
        group,
        fetch,
        max: given.number::<i64>("max-messages")?.and_then(|max| u64::try_from(max).ok()),
        timeout,
    })
}

fn member_settings(group: String, properties: &Properties) -> Result<MemberSettings, Failure> {
    Ok(MemberSettings {
        group,
        instance: properties.get("group.instance.id").cloned(),
        session_timeout: millis(properties, "session.timeout.ms", 45_000)?,
        rebalance_timeout: millis(properties, "max.poll.interval.ms", 300_000)?,
        heartbeat: millis(properties, "heartbeat.interval.ms", 3_000)?,
    })
}

fn reset_of(given: &Given, properties: &Properties) -> Result<Reset, Failure> {
    let from_beginning = given.has("from-beginning");
    match properties.get("auto.offset.reset").map(|value| value.trim()) {
        Some("earliest") => Ok(Reset::Earliest),
        Some(other) if from_beginning => Err(Failure::text(format!(
            "Can't simultaneously specify --from-beginning and 'auto.offset.reset={other}', please remove one option"
        ))),
        Some("latest") => Ok(Reset::Latest),
        Some("none") => Ok(Reset::None),
        Some(other) => {
            let ago = other.strip_prefix("by_duration:").and_then(times::duration).filter(|ago| *ago >= 0);
            let since = ago.map(|ago| Reset::Since(Clock::System.now_ms().saturating_sub(ago).max(0)));
            since.ok_or_else(|| {
                Failure::text(format!("Invalid value {other} for configuration auto.offset.reset"))
            })
        }
        None if from_beginning => Ok(Reset::Earliest),
        None => Ok(Reset::Latest),
    }
}

fn wanted_of(given: &Given) -> Result<Wanted, Failure> {
    let Some(topic) = given.one("topic")? else {
        let text = given.required("include")?;
        let regex = Regex::new(&format!("^(?:{text})$"))
            .map_err(|error| Failure::text(format!("{text} is no regular expression: {error}")))?;
        return Ok(Wanted::Matching(regex));
    };
    let Some(partition) = given.number::<i32>("partition")? else {
        return Ok(Wanted::Topics(vec![topic.to_owned()]));
    };
    let at = match given.one("offset")? {
        None if given.has("from-beginning") => EARLIEST,
        None => LATEST,
        Some(text) if text.eq_ignore_ascii_case("earliest") => EARLIEST,
        Some(text) if text.eq_ignore_ascii_case("latest") => LATEST,
        Some(text) => text.parse().ok().filter(|offset| *offset >= 0).ok_or_else(|| {
            Failure::Usage(format!(
                "The provided offset value '{text}' is incorrect. Valid values are 'earliest', 'latest', or a non-negative long."
            ))
        })?,
    };
    Ok(Wanted::Partition(TopicPartition::new(topic, partition), at))
}

fn writer_of(given: &Given) -> Result<RecordWriter, Failure> {
    let mut properties = given.one("formatter-config")?.map(load).transpose()?.unwrap_or_default();
    add_pairs(&mut properties, given.all("property").chain(given.all("formatter-property")));
    for (flag, key) in
        [("key-deserializer", "key.deserializer"), ("value-deserializer", "value.deserializer")]
    {
        if let Some(class) = given.one(flag)? {
            properties.insert(key.to_owned(), class.to_owned());
        }
    }
    RecordWriter::new(given.one("formatter")?, &properties)
}

#[cfg(test)]
mod tests {
    use super::{FLAGS, check_flags, group_of, plan_of, wanted_of};
    use crate::cli::connect::Properties;
    use crate::cli::flags::Given;
    use crate::cli::kafka::consume::Wanted;
    use crate::client::fetcher::Reset;

    fn given(line: &str) -> Given {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Given::read(FLAGS, &words).expect(line)
    }

    #[test]
    fn flags_that_contradict_each_other() {
        for (line, expected) in [
            ("--bootstrap-server a:1", "Exactly one of --include/--topic is required. "),
            ("--topic t", "Missing required argument \"[bootstrap-server]\""),
            (
                "--bootstrap-server a:1 --include t --partition 0",
                "The topic is required when partition is specified.",
            ),
            (
                "--bootstrap-server a:1 --topic t --offset 3",
                "The partition is required when offset is specified.",
            ),
        ] {
            assert_eq!(check_flags(&given(line)).expect_err(line).to_string(), expected);
        }
        let two = given("--topic t --group g --consumer-property group.id=h");
        assert!(group_of(&two, &Properties::new()).is_err());
        let same = given("--topic t --group g --consumer-property group.id=g");
        assert_eq!(group_of(&same, &Properties::new()).expect("one group"), Some("g".to_owned()));
        assert!(group_of(&given("--topic t --group g --partition 0"), &Properties::new()).is_err());
    }

    #[test]
    fn where_to_begin() {
        for (line, at) in [
            ("--topic t --partition 1", -1),
            ("--topic t --partition 1 --from-beginning", -2),
            ("--topic t --partition 1 --offset EARLIEST", -2),
            ("--topic t --partition 1 --offset 5", 5),
        ] {
            assert!(
                matches!(wanted_of(&given(line)).expect(line), Wanted::Partition(_, found) if found == at),
                "{line}"
            );
        }
        assert!(wanted_of(&given("--topic t --partition 1 --offset -5")).is_err());
        let plan = |line: &str, reset: Option<&str>| {
            let properties =
                reset.map(|reset| ("auto.offset.reset".to_owned(), reset.to_owned())).into_iter().collect();
            plan_of(&given(line), &properties, None).map(|plan| plan.fetch.reset)
        };
        assert_eq!(plan("--topic t", None).expect("a plan"), Reset::Latest);
        assert_eq!(plan("--topic t --from-beginning", None).expect("a plan"), Reset::Earliest);
        assert_eq!(plan("--topic t", Some("none")).expect("a plan"), Reset::None);
        assert!(plan("--topic t --from-beginning", Some("latest")).is_err());
        for odd in ["soon", "by_duration:", "by_duration:1h", "by_duration:-PT1H"] {
            assert!(plan("--topic t", Some(odd)).is_err(), "{odd}");
        }
        // Longer ago than there is time.
        assert_eq!(plan("--topic t", Some("by_duration:P99999D")).expect("a plan"), Reset::Since(0));
    }
}
