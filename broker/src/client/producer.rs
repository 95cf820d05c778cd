//! A producer: records to batches, batches to leaders.

use super::cluster::{Client, To};
use super::error::{ClientError, check};
use super::partitioner::partition_of;
use super::{TopicPartition, by_topic};
use bytes::Bytes;
use indexmap::IndexMap;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    ApiKey, InitProducerIdRequest, ProduceRequest, ProduceResponse, ProducerId, TopicName,
};
use milena_protocol::records::{BatchBuilder, Codec, Header, Level};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// The code of a batch that the broker has already: a retry whose first attempt went well.
const DUPLICATE_SEQUENCE: i16 = 46;
/// Bytes of a record beside key, value and headers, more or less.
const RECORD_BYTES: usize = 10;
/// Bytes of a record beside key, value and headers at most: length, attributes, time, offset, number of headers.
const FIXED_BYTES: usize = 26;
/// Bytes of a length at most.
const LENGTH_BYTES: usize = 5;
/// Attempts to find the leader of a new topic are this far apart.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How a producer sends.
#[derive(Clone, Debug)]
pub(crate) struct ProducerSettings {
    /// 0, 1 or -1 (all).
    pub(crate) acks: i16,
    /// How batches are packed.
    pub(crate) codec: Codec,
    /// Bytes of a batch, from which on it is sent.
    pub(crate) batch_size: usize,
    /// How long the broker may wait for replicas.
    pub(crate) timeout: Duration,
    /// Whether the broker is to recognize batches that come twice. Needs `acks` -1.
    pub(crate) idempotent: bool,
    /// How long to wait for a topic to appear.
    pub(crate) max_block: Duration,
}

impl Default for ProducerSettings {
    fn default() -> Self {
        Self {
            acks: -1,
            codec: Codec::None,
            batch_size: 16_384,
            timeout: Duration::from_millis(1_500),
            idempotent: true,
            max_block: Duration::from_secs(60),
        }
    }
}

/// A record that is on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewRecord<'a> {
    /// The partition, or wherever the key leads.
    pub(crate) partition: Option<i32>,
    /// Milliseconds since 1970.
    pub(crate) timestamp: i64,
    /// Null where there is none.
    pub(crate) key: Option<&'a [u8]>,
    /// Null in a tombstone.
    pub(crate) value: Option<&'a [u8]>,
    /// In their order.
    pub(crate) headers: &'a [Header<'a>],
}

/// A batch that no broker took.
#[derive(Debug)]
pub(crate) struct Refused {
    /// Where it was to go.
    pub(crate) partition: TopicPartition,
    /// How many records it had.
    pub(crate) records: usize,
    /// Why.
    pub(crate) error: ClientError,
}

/// A partition and the offset of the first record of a batch in it.
pub(crate) type Placed = (TopicPartition, i64);

/// A batch that is built and has its sequence number.
struct Batch {
    bytes: Bytes,
    records: usize,
}

/// Collects records and sends them.
pub(crate) struct Producer {
    settings: ProducerSettings,
    open: IndexMap<TopicPartition, BatchBuilder>,
    partitions: HashMap<String, i32>,
    /// Where records without a key go, and the bytes that have gone there: after a batch of them it is the next partition's
    /// turn, however small the batches were (KIP-794).
    sticky: HashMap<String, (i32, usize)>,
    identity: Option<(i64, i16)>,
    sequences: HashMap<TopicPartition, i32>,
    /// What became of batches that had to go before a flush was asked for.
    early: (Vec<Placed>, Vec<Refused>),
}

impl Producer {
    /// A producer that has sent nothing.
    pub(crate) fn new(settings: ProducerSettings) -> Self {
        Self {
            settings,
            open: IndexMap::new(),
            partitions: HashMap::new(),
            sticky: HashMap::new(),
            identity: None,
            sequences: HashMap::new(),
            early: Default::default(),
        }
    }

    /// Adds a record to its batch. `true` asks for a [`Producer::flush`]: a batch is full.
    ///
    /// # Errors
    /// There is no such topic, and none appeared; or no broker answers.
    pub(crate) async fn append(
        &mut self,
        client: &mut Client,
        topic: &str,
        record: NewRecord<'_>,
    ) -> Result<bool, ClientError> {
        let count = self.partitions_of(client, topic).await?;
        let partition = match (record.partition, record.key) {
            (Some(partition), _) => partition,
            (None, Some(key)) => partition_of(key, count),
            (None, None) => {
                let (partition, bytes) = self.sticky.entry(topic.to_owned()).or_default();
                if *bytes >= self.settings.batch_size {
                    (*partition, *bytes) = ((*partition + 1) % count.max(1), 0);
                }
                *bytes += record.value.map_or(0, <[u8]>::len) + RECORD_BYTES;
                *partition
            }
        };
        let tp = TopicPartition::new(topic, partition);
        // A batch does not outgrow its size by a record that fits into one of its own: the broker might refuse all of it.
        if self.open.get(&tp).is_some_and(|batch| batch.size() + size_of(&record) > self.settings.batch_size)
        {
            let (placed, refused) = self.flush(client).await?;
            self.early.0.extend(placed);
            self.early.1.extend(refused);
        }
        let (codec, full) = (self.settings.codec, self.settings.batch_size);
        let batch = self
            .open
            .entry(tp)
            .or_insert_with(|| BatchBuilder::new().compression(codec, Level::default_of(codec)));
        batch.append(record.timestamp, record.key, record.value, record.headers);
        Ok(batch.size() >= full)
    }

    /// Sends all that was appended, and says where it went and what was refused.
    ///
    /// # Errors
    /// No broker answers.
    pub(crate) async fn flush(
        &mut self,
        client: &mut Client,
    ) -> Result<(Vec<Placed>, Vec<Refused>), ClientError> {
        let mut left = self.seal(client).await?;
        let (mut placed, mut refused) = std::mem::take(&mut self.early);
        let mut pace = client.pace();
        while !left.is_empty() {
            let mut again: Option<ClientError> = None;
            for (node, batches) in self.by_leader(client, &left).await? {
                match self.send(client, node, &batches, &left).await {
                    Ok(answers) => {
                        for (tp, offset, outcome) in answers {
                            match outcome {
                                Err(error) if error.is_retriable() => again = Some(error),
                                Err(error) if error.code() != Some(DUPLICATE_SEQUENCE) => {
                                    let records = left.shift_remove(&tp).map_or(0, |batch| batch.records);
                                    self.start_over();
                                    refused.push(Refused { partition: tp, records, error });
                                }
                                _ => {
                                    left.shift_remove(&tp);
                                    placed.push((tp, offset));
                                }
                            }
                        }
                    }
                    Err(error) => {
                        client.disconnect(node);
                        again = Some(error);
                    }
                }
            }
            if let Some(error) = again {
                client.forget_leaders();
                pace.pause_after(error).await?;
            }
        }
        Ok((placed, refused))
    }

    /// A refused batch leaves a gap in the sequence, which the broker would refuse next: begin anew, as another producer.
    fn start_over(&mut self) {
        self.identity = None;
        self.sequences.clear();
    }

    async fn partitions_of(&mut self, client: &mut Client, topic: &str) -> Result<i32, ClientError> {
        if let Some(count) = self.partitions.get(topic) {
            return Ok(*count);
        }
        let until = tokio::time::Instant::now() + self.settings.max_block;
        let ms = self.settings.max_block.as_millis();
        let late =
            || ClientError::Unreachable(format!("Topic {topic} not present in metadata after {ms} ms."));
        loop {
            let asked = [topic];
            let asked = client.metadata_of(Some(&asked), true);
            let topics = tokio::time::timeout_at(until, asked).await.map_err(|_| late())??;
            let Some(found) = topics.first() else {
                return Err(ClientError::Unreachable(format!("nothing is said of topic {topic}")));
            };
            let led = !found.partitions.is_empty() && found.partitions.iter().any(|p| p.leader.is_some());
            if found.error == 0 && led {
                let count = i32::try_from(found.partitions.len()).unwrap_or(i32::MAX);
                self.partitions.insert(topic.to_owned(), count);
                return Ok(count);
            }
            let outcome = check(ApiKey::Metadata as i16, found.error, None);
            if let Err(error) = outcome
                && !error.is_retriable()
            {
                return Err(error);
            }
            if tokio::time::Instant::now() + LOOK_AGAIN >= until {
                return Err(late());
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Builds the open batches and numbers them.
    async fn seal(&mut self, client: &mut Client) -> Result<IndexMap<TopicPartition, Batch>, ClientError> {
        if self.settings.idempotent && self.identity.is_none() && !self.open.is_empty() {
            self.identity = Some(identify(client).await?);
        }
        let mut sealed = IndexMap::new();
        for (tp, mut builder) in std::mem::take(&mut self.open) {
            let records = builder.len();
            if let Some((id, epoch)) = self.identity {
                let sequence = self.sequences.entry(tp.clone()).or_insert(0);
                builder = builder.producer(id, epoch, *sequence);
                *sequence = next_sequence(*sequence, records);
            }
            let bytes = builder.build().map_err(|error| ClientError::Config(error.to_string()))?;
            sealed.insert(tp, Batch { bytes: bytes.into(), records });
        }
        Ok(sealed)
    }

    async fn by_leader(
        &self,
        client: &mut Client,
        batches: &IndexMap<TopicPartition, Batch>,
    ) -> Result<BTreeMap<i32, Vec<TopicPartition>>, ClientError> {
        let mut nodes: BTreeMap<i32, Vec<TopicPartition>> = BTreeMap::new();
        for tp in batches.keys() {
            let mut pace = client.pace();
            let (leader, _) = loop {
                match client.leader(tp).await {
                    Ok(leader) => break leader,
                    Err(error) => pace.pause_after(error).await?,
                }
            };
            nodes.entry(leader).or_default().push(tp.clone());
        }
        Ok(nodes)
    }

    async fn send(
        &self,
        client: &mut Client,
        node: i32,
        partitions: &[TopicPartition],
        batches: &IndexMap<TopicPartition, Batch>,
    ) -> Result<Vec<(TopicPartition, i64, Result<(), ClientError>)>, ClientError> {
        let items = partitions.iter().filter_map(|tp| Some((tp, batches.get(tp)?.bytes.clone())));
        let topic = |(name, list): (TopicName, Vec<(i32, Bytes)>)| {
            let one =
                |(index, bytes)| PartitionProduceData::default().with_index(index).with_records(Some(bytes));
            TopicProduceData::default()
                .with_name(name)
                .with_partition_data(list.into_iter().map(one).collect())
        };
        let timeout = i32::try_from(self.settings.timeout.as_millis()).unwrap_or(i32::MAX);
        let request = ProduceRequest::default()
            .with_acks(self.settings.acks)
            .with_timeout_ms(timeout)
            .with_topic_data(by_topic(items).into_iter().map(topic).collect());
        let connection = client.connection(To::Node(node)).await?;
        if self.settings.acks == 0 {
            connection.send_only(&request).await?;
            return Ok(partitions.iter().map(|tp| (tp.clone(), -1, Ok(()))).collect());
        }
        Ok(read_answer(connection.call(&request).await?))
    }
}

/// Bytes of a record in a batch, or a few more.
fn size_of(record: &NewRecord<'_>) -> usize {
    let of = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len) + LENGTH_BYTES;
    let headers = record.headers.iter().map(|header| of(Some(header.key)) + of(header.value));
    FIXED_BYTES + of(record.key) + of(record.value) + headers.sum::<usize>()
}

fn read_answer(answer: ProduceResponse) -> Vec<(TopicPartition, i64, Result<(), ClientError>)> {
    let mut all = Vec::new();
    for topic in answer.responses {
        for partition in topic.partition_responses {
            let message = partition.error_message.as_deref();
            let outcome = check(ApiKey::Produce as i16, partition.error_code, message);
            all.push((TopicPartition::new(&topic.name, partition.index), partition.base_offset, outcome));
        }
    }
    all
}

async fn identify(client: &mut Client) -> Result<(i64, i16), ClientError> {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(60_000)
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1);
    let check_answer = |answer: &kafka_protocol::messages::InitProducerIdResponse| {
        check(ApiKey::InitProducerId as i16, answer.error_code, None)
    };
    let answer = client.call_checked::<InitProducerIdRequest, _>(To::Any, |_| &request, check_answer).await?;
    Ok((answer.producer_id.0, answer.producer_epoch))
}

/// Sequence numbers go round behind the largest i32.
fn next_sequence(sequence: i32, records: usize) -> i32 {
    let sum = i64::from(sequence) + i64::try_from(records).unwrap_or(0);
    i32::try_from(sum % (i64::from(i32::MAX) + 1)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{NewRecord, next_sequence, size_of};
    use milena_protocol::records::{BatchBuilder, Header};

    #[test]
    fn the_size_of_a_record_is_not_underrated() {
        let headers = [Header { key: b"a", value: Some(b"1") }, Header { key: b"b", value: None }];
        for (key, value, headers) in [
            (None, None, &[][..]),
            (Some(&b""[..]), Some(&b""[..]), &headers[..]),
            (Some(&[1; 200][..]), Some(&[2; 70_000][..]), &headers[..]),
        ] {
            let mut batch = BatchBuilder::new();
            batch.append(0, None, None, &[]);
            let before = batch.size();
            batch.append(i64::MAX, key, value, headers);
            let record = NewRecord { partition: None, timestamp: i64::MAX, key, value, headers };
            let (size, is) = (size_of(&record), batch.size() - before);
            assert!((is..is + 40).contains(&size), "{size} for {is}");
        }
    }

    #[test]
    fn sequences_go_round() {
        for (sequence, records, next) in [(0, 1, 1), (i32::MAX, 1, 0), (i32::MAX - 1, 3, 1), (5, 0, 5)] {
            assert_eq!(next_sequence(sequence, records), next);
        }
    }
}
