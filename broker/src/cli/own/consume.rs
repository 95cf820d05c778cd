//! `milena consume`.

use super::position::{self, Places, Position, duration};
use super::printer::{Form, Printer};
use super::topic::there;
use crate::cli::connect::block_on;
use crate::cli::failure::Failure;
use crate::cli::flags::{Flag, Given, switch, value};
use crate::cli::kafka::consume::{self as reading, End, Plan, Sink, Wanted};
use crate::cli::screen::Screen;
use crate::cli::tools::Run;
use crate::cli::verbs::{CLUSTER, Verb, client};
use crate::client::fetcher::{FetchSettings, Fetched, Fetcher, Reset};
use crate::client::member::MemberSettings;
use crate::client::{Client, TopicPartition};
use crate::clock::Clock;
use crate::tree::tree;
use regex::bytes::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

/// The command.
pub(crate) const RUN: Run = Run::Verbs(&[Verb {
    name: "",
    words: "TOPIC...",
    help: "Print the records of topics, up to their ends as they are now, or as they come.",
    flags: &[CLUSTER, FLAGS],
    run,
}]);

pub(super) const FLAGS: &[Flag] = &[
    value("from", "WHERE", "start (default), end, an offset, -10, -5m, @2026-01-31T12:00, 0:42,1:7."),
    value("to", "WHERE", "Where to stop, said in the same way; the record there is not printed."),
    switch("follow", "Go on as records come; with --from end, or in a group, that is so anyway."),
    value("num", "N", "Stop after so many records."),
    value("timeout", "TIME", "Stop, with exit code 1, when no record has come for so long: 10s, 500ms."),
    value("group", "ID", "Read as a member of this group, from where it is, and commit."),
    value("grep", "REGEX", "Only records with a match in the value or the key."),
    value("key", "KEY", "Only records with this key."),
    value("header", "NAME=VALUE", "Only records with this header; or NAME alone; may be repeated."),
    switch("uncommitted", "Records of open and aborted transactions, too."),
    value("output", "FORMAT", "table (default), json, ndjson (for produce --file), or name."),
    value("format", "FORMAT", "%t topic %p partition %o offset %k key %v value %h headers %T ms %D date."),
];
/// How often to look for new partitions.
const LOOK_AROUND: Duration = Duration::from_secs(5);

fn run(screen: &mut Screen, given: &Given) -> Result<(), Failure> {
    let mut client = client(given)?;
    let form = Form::of(given)?;
    let passes = filter(given)?;
    let mut printer = Printer::new(screen, form, passes, given.number("num")?);
    let timeout = given.one("timeout")?.map(time).transpose()?;
    let fetch = FetchSettings { committed: !given.has("uncommitted"), ..FetchSettings::default() };
    let ended = block_on(async {
        match given.one("group")? {
            Some(group) => in_group(&mut client, given, group, fetch, timeout, &mut printer).await,
            None => alone(&mut client, given, fetch, timeout, &mut printer).await,
        }
    });
    printer.close()?;
    match ended? {
        End::Signal(number) => Err(Failure::Code(128 + number)),
        End::Timeout => Err(Failure::text("no record came in time")),
        End::Max | End::Stopped => Ok(()),
    }
}

/// A time as in `--timeout`; a number alone is in seconds.
pub(crate) fn time(text: &str) -> Result<Duration, Failure> {
    let ms = duration(text).or_else(|| duration(&format!("{text}s")));
    let seconds = || text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    ms.and_then(|ms| u64::try_from(ms).ok())
        .map(Duration::from_millis)
        .or_else(seconds)
        .ok_or_else(|| Failure::Usage(format!("{text} is no time to wait: 10s, 500ms, 2m")))
}

/// Which records are printed.
fn filter(given: &Given) -> Result<impl Fn(&TopicPartition, &Fetched<'_>) -> bool, Failure> {
    let regex = |text: &str| Regex::new(text).map_err(|error| Failure::Usage(error.to_string()));
    let grep = given.one("grep")?.map(regex).transpose()?;
    let key = given.one("key")?.map(|key| key.as_bytes().to_vec());
    let headers: Vec<(Vec<u8>, Option<Vec<u8>>)> = given
        .all("header")
        .map(|pair| match pair.split_once('=') {
            Some((name, value)) => (name.as_bytes().to_vec(), Some(value.as_bytes().to_vec())),
            None => (pair.as_bytes().to_vec(), None),
        })
        .collect();
    Ok(move |_: &TopicPartition, fetched: &Fetched<'_>| {
        let record = &fetched.record;
        let is_found = |regex: &Regex| {
            [record.value, record.key].into_iter().flatten().any(|bytes| regex.is_match(bytes))
        };
        let has = |(name, value): &(Vec<u8>, Option<Vec<u8>>)| {
            record.headers().any(|header| {
                header.key == name.as_slice() && (value.is_none() || header.value == value.as_deref())
            })
        };
        grep.as_ref().is_none_or(is_found)
            && key.as_ref().is_none_or(|key| record.key == Some(key.as_slice()))
            && headers.iter().all(has)
    })
}

/// Reads as a member, by the classic protocol.
async fn in_group(
    client: &mut Client,
    given: &Given,
    group: &str,
    fetch: FetchSettings,
    timeout: Option<Duration>,
    sink: &mut dyn Sink,
) -> Result<End, Failure> {
    given.excludes("group", &["to"])?;
    let reset = match given.one("from")?.unwrap_or("start") {
        "start" | "beginning" | "earliest" => Reset::Earliest,
        "end" | "latest" => Reset::Latest,
        other => {
            let text = format!(
                "a group begins where it is, and a new one at start or end, not at {other}; see milena group seek"
            );
            return Err(Failure::Usage(text));
        }
    };
    let plan = Plan {
        wanted: Wanted::Topics(given.words.clone()),
        group: Some(MemberSettings::new(group)),
        commit_every: Some(Duration::from_secs(5)),
        fetch: FetchSettings { reset, ..fetch },
        // What is filtered out counts for the group, and not for --num.
        max: if ["grep", "key", "header"].iter().any(|flag| given.has(flag)) {
            None
        } else {
            given.number("num")?
        },
        timeout,
    };
    reading::run(client, plan, sink).await.1
}

/// Reads without a group.
async fn alone(
    client: &mut Client,
    given: &Given,
    fetch: FetchSettings,
    timeout: Option<Duration>,
    sink: &mut dyn Sink,
) -> Result<End, Failure> {
    let now = Clock::System.now_ms();
    let places = |text: &str| Places::parse(text, now);
    let from = given.one("from")?.map(places).transpose()?;
    let to = given.one("to")?.map(places).transpose()?;
    let from = from.unwrap_or_else(|| Places::everywhere(Position::Start));
    let is_following = given.has("follow") || from.is_end() && to.is_none();
    between(client, &given.words, Stretch { from, to, is_following }, fetch, timeout, sink).await
}

/// A part of topics.
pub(crate) struct Stretch {
    from: Places,
    to: Option<Places>,
    /// Whether to go on behind the ends as they are now, where nothing else says where to stop.
    is_following: bool,
}

impl Stretch {
    /// From one place to another, which are said as by `--from` and `--to`. Without the other it goes on.
    ///
    /// # Errors
    /// They make no sense.
    pub(crate) fn read(from: &str, to: Option<&str>) -> Result<Self, Failure> {
        let now = Clock::System.now_ms();
        let to = to.map(|to| Places::parse(to, now)).transpose()?;
        Ok(Self { from: Places::parse(from, now)?, is_following: to.is_none(), to })
    }
}

/// Reads a part of topics, without a group.
///
/// # Errors
/// There is no such topic or partition, or nobody answers.
pub(crate) async fn between(
    client: &mut Client,
    topics: &[String],
    Stretch { from, to, is_following }: Stretch,
    fetch: FetchSettings,
    timeout: Option<Duration>,
    sink: &mut dyn Sink,
) -> Result<End, Failure> {
    let partitions = partitions(client, topics, &from).await?;
    let bounds = position::bounds(client, &partitions, fetch.committed).await?;
    let all = |places: &Places| {
        let place = |tp: &TopicPartition| Some((tp.clone(), places.get(tp.partition)?));
        tree::<_, BTreeMap<_, _>>(partitions.iter().filter_map(place))
    };
    let begin = position::resolve(client, &all(&from), &bounds, |_| None).await?;
    let mut ends = match &to {
        Some(to) => position::resolve(client, &all(to), &bounds, |_| None).await?,
        None => BTreeMap::new(),
    };
    if !is_following {
        for (tp, bounds) in &bounds {
            ends.entry(tp.clone()).or_insert(bounds.end);
        }
    }
    let mut fetcher = Fetcher::new(FetchSettings { reset: Reset::Earliest, ..fetch });
    for (tp, offset) in begin {
        fetcher.seek(tp, offset);
    }
    // Partitions that come later belong to those who have named none.
    let topics = if is_following && from.named().next().is_none() { topics } else { &[] };
    Alone { fetcher, ends, topics, timeout, next_look: Instant::now() + LOOK_AROUND }.read(client, sink).await
}

/// The partitions of topics: all, or those that the places are for.
async fn partitions(
    client: &mut Client,
    topics: &[String],
    places: &Places,
) -> Result<Vec<TopicPartition>, Failure> {
    let names: Vec<&str> = topics.iter().map(String::as_str).collect();
    let mut all = Vec::new();
    for topic in client.metadata(Some(&names)).await? {
        there(&topic)?;
        let indexes: BTreeSet<i32> = topic.partitions.iter().map(|partition| partition.index).collect();
        if let Some(index) = places.named().find(|index| !indexes.contains(index)) {
            return Err(Failure::text(format!("topic {} has no partition {index}", topic.name)));
        }
        let wanted = indexes.into_iter().filter(|index| places.get(*index).is_some());
        all.extend(wanted.map(|index| TopicPartition::new(&topic.name, index)));
    }
    Ok(all)
}

/// A reading without a group.
struct Alone<'a> {
    fetcher: Fetcher,
    /// Where to stop, in the partitions that are there.
    ends: BTreeMap<TopicPartition, i64>,
    /// Topics that may get more partitions.
    topics: &'a [String],
    timeout: Option<Duration>,
    next_look: Instant,
}

impl Alone<'_> {
    async fn read(mut self, client: &mut Client, sink: &mut dyn Sink) -> Result<End, Failure> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut last_record = Instant::now();
        loop {
            let ends = &self.ends;
            let is_open = |tp: &TopicPartition, at: i64| ends.get(tp).is_none_or(|end| at < *end);
            let closed: BTreeSet<TopicPartition> = self
                .fetcher
                .positions()
                .iter()
                .filter(|(tp, at)| !is_open(tp, **at))
                .map(|(tp, _)| tp.clone())
                .collect();
            self.fetcher.retain(|tp| !closed.contains(tp));
            if sink.pause().is_break() || self.fetcher.positions().is_empty() && self.topics.is_empty() {
                return Ok(End::Stopped);
            }
            self.look_around(client, &closed).await?;
            let ends = &self.ends;
            let mut visit = |tp: &TopicPartition, fetched: Fetched<'_>| match ends
                .get(tp)
                .is_none_or(|end| fetched.offset < *end)
            {
                true => sink.record(tp, &fetched),
                false => ControlFlow::Continue(()),
            };
            let seen = tokio::select! {
                seen = self.fetcher.poll(client, &mut visit) => seen?,
                _ = interrupt.recv() => return Ok(End::Signal(2)),
                _ = terminate.recv() => return Ok(End::Signal(15)),
            };
            if seen > 0 {
                last_record = Instant::now();
            } else if self.timeout.is_some_and(|timeout| last_record.elapsed() >= timeout) {
                return Ok(End::Timeout);
            }
        }
    }

    async fn look_around(
        &mut self,
        client: &mut Client,
        closed: &BTreeSet<TopicPartition>,
    ) -> Result<(), Failure> {
        if self.topics.is_empty() || Instant::now() < self.next_look {
            return Ok(());
        }
        self.next_look = Instant::now() + LOOK_AROUND;
        for tp in partitions(client, self.topics, &Places::everywhere(Position::Start)).await? {
            if !closed.contains(&tp)
                && !self.fetcher.positions().contains_key(&tp)
                && !self.ends.contains_key(&tp)
            {
                // Whatever is in a new partition came after the look before.
                self.fetcher.seek(tp, 0);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{FLAGS, filter, time};
    use crate::cli::flags::Given;
    use crate::client::TopicPartition;
    use crate::client::fetcher::Fetched;
    use milena_protocol::records::{BatchBuilder, HEADER_LEN, Header, Record, TimestampType};
    use std::time::Duration;

    #[test]
    fn times_to_wait() {
        for (text, ms) in [
            ("10s", Some(10_000)),
            ("500ms", Some(500)),
            ("2", Some(2_000)),
            ("0.2", Some(200)),
            ("1m30s", Some(90_000)),
            ("soon", None),
            ("-1", None),
            ("", None),
        ] {
            assert_eq!(time(text).ok(), ms.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn records_that_pass() {
        let headers = [Header { key: b"a", value: Some(b"1") }, Header { key: b"b", value: None }];
        let mut builder = BatchBuilder::new();
        builder.append(0, Some(b"key"), Some(b"{\"n\": 12}"), &headers);
        let batch = builder.build().expect("a batch");
        let record = Record::read(&mut &batch[HEADER_LEN..]).expect("a record");
        let fetched = Fetched { offset: 0, timestamp: 0, timestamp_type: TimestampType::CreateTime, record };
        for (words, expected) in [
            (&[][..], true),
            (&["--grep", "\"n\": 1[0-9]"], true),
            (&["--grep", "^ke"], true),
            (&["--grep", "nothing"], false),
            (&["--key", "key"], true),
            (&["--key", "ke"], false),
            (&["--header", "a=1"], true),
            (&["--header", "a=2"], false),
            (&["--header", "b"], true),
            (&["--header", "b="], false),
            (&["--header", "a", "--header", "c"], false),
            (&["--grep", "n", "--key", "other"], false),
        ] {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            let given = Given::read(FLAGS, &words).expect("flags");
            let passes = filter(&given).expect("a filter");
            assert_eq!(passes(&TopicPartition::new("t", 0), &fetched), expected, "{words:?}");
        }
    }
}
