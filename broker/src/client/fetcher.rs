//! Reads partitions from given offsets on.

use super::cluster::{Client, To};
use super::error::{ClientError, check};
use super::offsets::{Answers, EARLIEST, Found, LATEST};
use super::{TopicPartition, by_topic};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::{ApiKey, BrokerId, FetchRequest, TopicName};
use milena_protocol::records::{
    BatchError, BatchHeader, Batches, Codec, ControlType, HEADER_LEN, Record, Records, TimestampType,
    decompress,
};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::time::Duration;

/// The most bytes that one batch may unpack to.
const UNPACKED_MAX: usize = 1 << 30;
/// The code that says that there is nothing at an offset.
const OFFSET_OUT_OF_RANGE: i16 = 1;

/// Where to go on when there is nothing at an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reset {
    /// At the start of the log.
    Earliest,
    /// At its end.
    Latest,
    /// At the first record from this time on, in ms since 1970, or at the end.
    Since(i64),
    /// Nowhere: it is an error.
    None,
}

impl Reset {
    /// The time to look for, as ListOffsets has it.
    pub(crate) fn time(self) -> Option<i64> {
        match self {
            Self::Earliest => Some(EARLIEST),
            Self::Latest => Some(LATEST),
            Self::Since(time) => Some(time),
            Self::None => None,
        }
    }
}

/// How a fetcher asks.
#[derive(Clone, Debug)]
pub(crate) struct FetchSettings {
    /// Leaves out records of open and aborted transactions.
    pub(crate) committed: bool,
    /// How long the broker may wait for bytes.
    pub(crate) max_wait: Duration,
    /// Bytes that it waits for.
    pub(crate) min_bytes: i32,
    /// Bytes of an answer.
    pub(crate) max_bytes: i32,
    /// Bytes of one partition in an answer.
    pub(crate) partition_bytes: i32,
    /// What to do where the log does not reach.
    pub(crate) reset: Reset,
}

impl Default for FetchSettings {
    fn default() -> Self {
        Self {
            committed: false,
            max_wait: Duration::from_millis(500),
            min_bytes: 1,
            max_bytes: 50 << 20,
            partition_bytes: 1 << 20,
            reset: Reset::Latest,
        }
    }
}

/// A record with all that there is to know of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fetched<'a> {
    /// The offset.
    pub(crate) offset: i64,
    /// The timestamp in milliseconds, or -1.
    pub(crate) timestamp: i64,
    /// Who set it.
    pub(crate) timestamp_type: TimestampType,
    /// Key, value, headers.
    pub(crate) record: Record<'a>,
}

/// What looks at records. `Break` ends the look: the next one begins at the record behind.
pub(crate) type Visit<'v> = dyn FnMut(&TopicPartition, Fetched<'_>) -> ControlFlow<()> + 'v;

/// Positions in partitions.
#[derive(Debug)]
pub(crate) struct Fetcher {
    settings: FetchSettings,
    positions: BTreeMap<TopicPartition, i64>,
    /// Turns, so that no partition stands in the shade of those before it.
    turn: usize,
}

impl Fetcher {
    /// A fetcher of nothing.
    pub(crate) fn new(settings: FetchSettings) -> Self {
        Self { settings, positions: BTreeMap::new(), turn: 0 }
    }

    /// The settings.
    pub(crate) fn settings(&self) -> &FetchSettings {
        &self.settings
    }

    /// Offsets of the next records.
    pub(crate) fn positions(&self) -> &BTreeMap<TopicPartition, i64> {
        &self.positions
    }

    /// Adds a partition, or moves in it.
    pub(crate) fn seek(&mut self, tp: TopicPartition, offset: i64) {
        self.positions.insert(tp, offset);
    }

    /// Reads no more of the partitions that `keep` does not want.
    pub(crate) fn retain(&mut self, keep: impl Fn(&TopicPartition) -> bool) {
        self.positions.retain(|tp, _| keep(tp));
    }

    /// Asks each leader once and shows what came. Gives how many records that were.
    ///
    /// # Errors
    /// A leader does not answer, or the log is damaged.
    pub(crate) async fn poll(
        &mut self,
        client: &mut Client,
        visit: &mut Visit<'_>,
    ) -> Result<usize, ClientError> {
        let mut nodes: BTreeMap<i32, Vec<(TopicPartition, i64)>> = BTreeMap::new();
        for (tp, offset) in &self.positions {
            match client.leader(tp).await {
                Ok((leader, _)) => nodes.entry(leader).or_default().push((tp.clone(), *offset)),
                Err(error) if error.is_retriable() => client.forget_leaders(),
                Err(error) => return Err(error),
            }
        }
        if nodes.is_empty() {
            tokio::time::sleep(self.settings.max_wait.min(Duration::from_millis(100))).await;
        }
        let count = u32::try_from(nodes.len().max(1)).unwrap_or(1);
        let mut seen = 0;
        for (node, mut partitions) in nodes {
            self.turn = self.turn.wrapping_add(1);
            let by = self.turn % partitions.len();
            partitions.rotate_left(by);
            let request = self.request(&partitions, self.settings.max_wait / count);
            let answer = client.call(To::Node(node), &request).await?;
            check(ApiKey::Fetch as i16, answer.error_code, None)?;
            for topic in answer.responses {
                for partition in topic.partitions {
                    let tp = TopicPartition::new(&topic.topic, partition.partition_index);
                    let (shown, flow) = self.take(client, &tp, &partition, visit).await?;
                    seen += shown;
                    if flow.is_break() {
                        return Ok(seen);
                    }
                }
            }
        }
        Ok(seen)
    }

    fn request(&self, partitions: &[(TopicPartition, i64)], max_wait: Duration) -> FetchRequest {
        let topic = |(name, list): (TopicName, Vec<(i32, i64)>)| {
            let one = |(index, offset)| {
                FetchPartition::default()
                    .with_partition(index)
                    .with_current_leader_epoch(-1)
                    .with_fetch_offset(offset)
                    .with_last_fetched_epoch(-1)
                    .with_log_start_offset(-1)
                    .with_partition_max_bytes(self.settings.partition_bytes)
            };
            FetchTopic::default().with_topic(name).with_partitions(list.into_iter().map(one).collect())
        };
        let topics = by_topic(partitions.iter().map(|(tp, offset)| (tp, *offset)));
        FetchRequest::default()
            .with_replica_id(BrokerId(-1))
            .with_max_wait_ms(i32::try_from(max_wait.as_millis()).unwrap_or(i32::MAX))
            .with_min_bytes(self.settings.min_bytes)
            .with_max_bytes(self.settings.max_bytes)
            .with_isolation_level(i8::from(self.settings.committed))
            .with_session_epoch(-1)
            .with_topics(topics.into_iter().map(topic).collect())
    }

    /// Shows what one partition answered, and moves on in it.
    async fn take(
        &mut self,
        client: &mut Client,
        tp: &TopicPartition,
        data: &PartitionData,
        visit: &mut Visit<'_>,
    ) -> Result<(usize, ControlFlow<()>), ClientError> {
        let Some(position) = self.positions.get(tp).copied() else {
            return Ok((0, ControlFlow::Continue(())));
        };
        if data.error_code == OFFSET_OUT_OF_RANGE && self.settings.reset != Reset::None {
            let offset = self.reset(client, tp).await?;
            self.positions.insert(tp.clone(), offset);
            return Ok((0, ControlFlow::Continue(())));
        }
        if let Err(error) = check(ApiKey::Fetch as i16, data.error_code, None) {
            if !error.is_retriable() {
                return Err(error);
            }
            client.forget_leaders();
            return Ok((0, ControlFlow::Continue(())));
        }
        let mut walk = Walk { tp, next: position, seen: 0, visit };
        let flow = walk.partition(data, self.settings.committed).map_err(|reason| {
            ClientError::Malformed { address: tp.to_string(), api: "Fetch".into(), reason }
        })?;
        let (next, seen) = (walk.next, walk.seen);
        self.positions.insert(tp.clone(), next);
        Ok((seen, flow))
    }

    async fn reset(&self, client: &mut Client, tp: &TopicPartition) -> Result<i64, ClientError> {
        let time = self.settings.reset.time().unwrap_or(LATEST);
        let mut answers = self.places(client, &[(tp.clone(), time)]).await?;
        answers.remove(tp).map_or(Ok(0), |found| found.map(|found| found.offset))
    }

    /// Like [`Client::list_offsets`], and where no record is young enough, the end.
    pub(crate) async fn places(
        &self,
        client: &mut Client,
        wanted: &[(TopicPartition, i64)],
    ) -> Result<Answers, ClientError> {
        let mut answers = client.list_offsets(wanted, self.settings.committed).await?;
        let is_none =
            |answer: &Result<Found, ClientError>| answer.as_ref().is_ok_and(|found| found.offset < 0);
        let old = answers.iter().filter(|(_, answer)| is_none(answer));
        let old: Vec<_> = old.map(|(tp, _)| (tp.clone(), LATEST)).collect();
        if !old.is_empty() {
            answers.extend(client.list_offsets(&old, self.settings.committed).await?);
        }
        Ok(answers)
    }
}

/// A walk through the records of one partition's answer.
struct Walk<'a, 'v> {
    tp: &'a TopicPartition,
    next: i64,
    seen: usize,
    visit: &'a mut Visit<'v>,
}

impl Walk<'_, '_> {
    fn partition(&mut self, data: &PartitionData, committed: bool) -> Result<ControlFlow<()>, String> {
        let bytes = data.records.as_deref().unwrap_or_default();
        let mut aborted = Aborted::new(data, committed);
        let mut batches = Batches::new(bytes);
        for batch in &mut batches {
            let (header, batch) = match batch {
                Ok(batch) => batch,
                Err(BatchError::Magic(magic)) => {
                    return Err(format!("batches of format {magic} are not read"));
                }
                Err(error) => return Err(error.to_string()),
            };
            if header.attributes.is_control() {
                aborted.end(&header, batch);
            } else if header.next_offset() > self.next
                && !aborted.covers(&header)
                && self.batch(&header, batch)?.is_break()
            {
                return Ok(ControlFlow::Break(()));
            }
            self.next = self.next.max(header.next_offset());
        }
        Ok(ControlFlow::Continue(()))
    }

    fn batch(&mut self, header: &BatchHeader, batch: &[u8]) -> Result<ControlFlow<()>, String> {
        let packed = &batch[HEADER_LEN..];
        let body = match header.attributes.codec().map_err(|error| error.to_string())? {
            Codec::None => Cow::Borrowed(packed),
            codec => Cow::Owned(decompress(codec, packed, UNPACKED_MAX).map_err(|error| error.to_string())?),
        };
        for record in Records::new(&body, header.record_count) {
            let record = record.map_err(|error| error.to_string())?;
            let offset = header.base_offset + i64::from(record.offset_delta);
            if offset < self.next {
                continue;
            }
            let timestamp = header
                .log_append_time()
                .unwrap_or_else(|| header.base_timestamp.wrapping_add(record.timestamp_delta));
            let timestamp_type = header.attributes.timestamp_type();
            let fetched = Fetched { offset, timestamp, timestamp_type, record };
            self.next = offset + 1;
            self.seen += 1;
            if (self.visit)(self.tp, fetched).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// Which producers' records are those of an aborted transaction, as the walk goes on.
struct Aborted {
    /// Producer and first offset, the last one first.
    ahead: Vec<(i64, i64)>,
    now: HashSet<i64>,
}

impl Aborted {
    fn new(data: &PartitionData, committed: bool) -> Self {
        let list = data.aborted_transactions.as_deref().filter(|_| committed).unwrap_or_default();
        let mut ahead: Vec<_> = list.iter().map(|one| (one.producer_id.0, one.first_offset)).collect();
        ahead.sort_by_key(|(_, first)| std::cmp::Reverse(*first));
        Self { ahead, now: HashSet::new() }
    }

    fn covers(&mut self, header: &BatchHeader) -> bool {
        self.advance(header);
        header.attributes.is_transactional() && self.now.contains(&header.producer_id)
    }

    /// A control batch: the transaction of its producer is over.
    fn end(&mut self, header: &BatchHeader, batch: &[u8]) {
        self.advance(header);
        let mut records = Records::new(&batch[HEADER_LEN..], header.record_count);
        let kind = records.next().and_then(Result::ok).and_then(|record| record.key);
        if kind.and_then(|key| ControlType::from_key(key).ok()) == Some(ControlType::Abort) {
            self.now.remove(&header.producer_id);
        }
    }

    fn advance(&mut self, header: &BatchHeader) {
        while let Some((producer, _)) = self.ahead.pop_if(|(_, first)| *first <= header.last_offset()) {
            self.now.insert(producer);
        }
    }
}
