//! Reading topics until something ends it: for `kafka-console-consumer` and all that consumes like it.

use super::filter::is_internal;
use crate::cli::failure::Failure;
use crate::client::fetcher::{FetchSettings, Fetched, Fetcher};
use crate::client::member::{Member, MemberSettings};
use crate::client::{Client, ClientError, TopicPartition};
use regex::Regex;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

/// How often to look for new topics and partitions.
const LOOK_AROUND: Duration = Duration::from_secs(5);
/// How often to look for a topic that is not there yet.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What to read.
#[derive(Clone, Debug)]
pub(crate) enum Wanted {
    /// All partitions of these topics, which are created where the broker allows that.
    Topics(Vec<String>),
    /// All partitions of the topics with such names, Kafka's own left out.
    Matching(Regex),
    /// One partition, from an offset or a time (negative, as in ListOffsets) on.
    Partition(TopicPartition, i64),
}

/// How to read, and until when.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// What to read.
    pub(crate) wanted: Wanted,
    /// The group, if there is one. Without one nothing is committed and no group is made.
    pub(crate) group: Option<MemberSettings>,
    /// How often to commit.
    pub(crate) commit_every: Option<Duration>,
    /// How to fetch, and where to begin.
    pub(crate) fetch: FetchSettings,
    /// Records, after which it ends.
    pub(crate) max: Option<u64>,
    /// How long to wait for a record before it ends.
    pub(crate) timeout: Option<Duration>,
}

/// Why reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// All were read.
    Max,
    /// None came in time.
    Timeout,
    /// A signal, by its number.
    Signal(u8),
    /// Whoever reads the output has gone, or cannot go on.
    Stopped,
}

/// What is done with records.
pub(crate) trait Sink {
    /// One record. `Break` ends the reading.
    fn record(&mut self, tp: &TopicPartition, fetched: &Fetched<'_>) -> ControlFlow<()>;
    /// No more are there for now.
    fn pause(&mut self) -> ControlFlow<()>;
    /// Whether records were lost on their way out, so that the group has to get them again.
    fn is_broken(&self) -> bool {
        false
    }
}

/// Reads until it ends. Gives the number of records, and why it ended.
pub(crate) async fn run(client: &mut Client, plan: Plan, sink: &mut dyn Sink) -> (u64, Result<End, Failure>) {
    let mut reading = Reading {
        member: None,
        fetcher: Fetcher::new(plan.fetch.clone()),
        seen: 0,
        last_record: Instant::now(),
        next_look: Instant::now(),
        next_commit: Instant::now() + plan.commit_every.unwrap_or_default(),
        committed: BTreeMap::new(),
        plan,
    };
    let outcome = reading.until_end(client, sink).await;
    // What has been counted is shown before it is committed, whatever has ended the reading.
    let _ = sink.pause();
    if sink.is_broken() {
        reading.plan.commit_every = None;
    }
    let closed = reading.close(client).await;
    (reading.seen, outcome.and_then(|end| closed.map(|()| end).map_err(Failure::from)))
}

struct Reading {
    plan: Plan,
    member: Option<Member>,
    fetcher: Fetcher,
    seen: u64,
    last_record: Instant,
    next_look: Instant,
    next_commit: Instant,
    committed: BTreeMap<TopicPartition, i64>,
}

impl Reading {
    async fn until_end(&mut self, client: &mut Client, sink: &mut dyn Sink) -> Result<End, Failure> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        if self.plan.max == Some(0) {
            return Ok(End::Max);
        }
        loop {
            let step = tokio::select! {
                step = self.step(client, sink) => step?,
                _ = interrupt.recv() => Some(End::Signal(2)),
                _ = terminate.recv() => Some(End::Signal(15)),
            };
            if let Some(end) = step {
                return Ok(end);
            }
        }
    }

    async fn step(&mut self, client: &mut Client, sink: &mut dyn Sink) -> Result<Option<End>, Failure> {
        self.look_around(client).await?;
        if let Some(member) = &mut self.member
            && member.heartbeat(client).await?
        {
            self.commit(client).await?;
            self.join(client).await?;
        }
        let (mut seen, max) = (self.seen, self.plan.max);
        let mut visit = |tp: &TopicPartition, fetched: Fetched<'_>| {
            seen += 1;
            let flow = sink.record(tp, &fetched);
            if max == Some(seen) { ControlFlow::Break(()) } else { flow }
        };
        let polled = self.fetcher.poll(client, &mut visit).await;
        let is_new = seen > self.seen;
        self.seen = seen;
        polled?;
        if is_new {
            self.last_record = Instant::now();
        }
        if sink.pause().is_break() {
            return Ok(Some(End::Stopped));
        }
        if max == Some(self.seen) {
            return Ok(Some(End::Max));
        }
        if self.plan.commit_every.is_some() && Instant::now() >= self.next_commit {
            self.commit(client).await?;
        }
        let waited = self.last_record.elapsed();
        Ok(self.plan.timeout.filter(|timeout| !is_new && waited >= *timeout).map(|_| End::Timeout))
    }

    /// Finds what there is to read, from time to time.
    async fn look_around(&mut self, client: &mut Client) -> Result<(), Failure> {
        if Instant::now() < self.next_look {
            return Ok(());
        }
        self.next_look = Instant::now() + LOOK_AROUND;
        // A wait for records is no longer than the whole may wait for them.
        let (names, found) = match self.plan.wanted.clone() {
            Wanted::Partition(tp, at) => {
                self.next_look += Duration::from_secs(u64::from(u32::MAX));
                let offset = if at >= 0 { at } else { self.offset_of(client, &tp, at).await? };
                self.fetcher.seek(tp, offset);
                return Ok(());
            }
            Wanted::Topics(names) => {
                let refs: Vec<&str> = names.iter().map(String::as_str).collect();
                let found = client.metadata_of(Some(&refs), true).await?;
                if found.iter().any(|topic| topic.error != 0 || topic.partitions.is_empty()) {
                    self.next_look = Instant::now() + LOOK_AGAIN;
                }
                (names, found)
            }
            Wanted::Matching(regex) => {
                let mut found = client.metadata(None).await?;
                found.retain(|topic| regex.is_match(&topic.name) && !is_internal(&topic.name));
                (found.iter().map(|topic| topic.name.clone()).collect(), found)
            }
        };
        if let Some(settings) = self.plan.group.clone() {
            let is_new = self.member.as_ref().is_none_or(|member| member.topics() != names);
            match &mut self.member {
                Some(member) if is_new => member.subscribe(names),
                Some(_) => {}
                None => self.member = Some(Member::new(settings, names)),
            }
            if is_new {
                self.join(client).await?;
            }
            return Ok(());
        }
        let mut new = Vec::new();
        for topic in found.iter().filter(|topic| topic.error == 0) {
            for partition in &topic.partitions {
                let tp = TopicPartition::new(&topic.name, partition.index);
                if !self.fetcher.positions().contains_key(&tp) {
                    new.push(tp);
                }
            }
        }
        self.start_at_reset(client, new).await?;
        Ok(())
    }

    async fn join(&mut self, client: &mut Client) -> Result<(), Failure> {
        let Some(member) = &mut self.member else { return Ok(()) };
        let mine = member.join(client).await?;
        self.fetcher.retain(|_| false);
        self.committed.clear();
        if mine.is_empty() {
            return Ok(());
        }
        let known = client.committed(member.group(), Some(&mine), true).await?;
        let mut new = Vec::new();
        for tp in mine {
            match known.get(&tp) {
                Some(committed) => {
                    self.committed.insert(tp.clone(), committed.offset);
                    self.fetcher.seek(tp, committed.offset);
                }
                None => new.push(tp),
            }
        }
        self.start_at_reset(client, new).await
    }

    /// Begins where `auto.offset.reset` says.
    async fn start_at_reset(&mut self, client: &mut Client, new: Vec<TopicPartition>) -> Result<(), Failure> {
        if new.is_empty() {
            return Ok(());
        }
        let Some(time) = self.fetcher.settings().reset.time() else {
            let list = new.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            return Err(Failure::text(format!(
                "Undefined offset with no reset policy for partitions: [{list}]"
            )));
        };
        let wanted: Vec<_> = new.into_iter().map(|tp| (tp, time)).collect();
        for (tp, found) in self.fetcher.places(client, &wanted).await? {
            match found {
                Ok(found) => self.fetcher.seek(tp, found.offset),
                // It is looked for again with the next look around.
                Err(error) if error.is_retriable() => self.next_look = Instant::now() + LOOK_AGAIN,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn offset_of(&self, client: &mut Client, tp: &TopicPartition, at: i64) -> Result<i64, Failure> {
        let wanted = [(tp.clone(), at)];
        let mut found = client.list_offsets(&wanted, self.fetcher.settings().committed).await?;
        match found.remove(tp) {
            Some(found) => Ok(found?.offset),
            None => Err(Failure::text(format!("{tp} does not exist"))),
        }
    }

    /// Commits what moved.
    async fn commit(&mut self, client: &mut Client) -> Result<(), ClientError> {
        let (Some(every), Some(member)) = (self.plan.commit_every, &self.member) else { return Ok(()) };
        self.next_commit = Instant::now() + every;
        let positions = self.fetcher.positions();
        let moved: BTreeMap<TopicPartition, i64> = positions
            .iter()
            .filter(|(tp, offset)| self.committed.get(*tp) != Some(offset))
            .map(|(tp, offset)| (tp.clone(), *offset))
            .collect();
        if !moved.is_empty() {
            member.commit(client, &moved).await?;
            self.committed.extend(moved);
        }
        Ok(())
    }

    async fn close(&mut self, client: &mut Client) -> Result<(), ClientError> {
        self.commit(client).await?;
        if let Some(member) = &mut self.member {
            member.leave(client).await;
        }
        Ok(())
    }
}
