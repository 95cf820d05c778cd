//! Produce (0), versions 3 to 13 (advertised from 0: librdkafka before 2.11.1 stops compressing otherwise).
//!
//! * acks=0 gets no answer, ever; with an error the connection is closed.
//! * One batch a partition; each partition is validated and appended by itself.
//! * 13: topics by id, an unknown one is UNKNOWN_TOPIC_ID. Topics are never created here.
//! * Internal topics: INVALID_TOPIC_EXCEPTION, unless the client calls itself `__admin_client`, as in Kafka.
//! * Transactional batches: up to 11 their partition must have been added to the transaction, 12 adds it.
//! * `flush.messages` reached: the answer waits for the sync, the connection goes on reading.

mod transactional;

use super::{ApiKey, Context, Outcome, encode};
use crate::coordinator::Verification;
use crate::error::{is_unknown, response_error};
use crate::metadata::{Image, Topic, topic_name};
use crate::partition::{Partition, ProduceFailure};
use indexmap::IndexMap;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::TopicName;
use kafka_protocol::messages::produce_response::{
    BatchIndexAndErrorMessage, PartitionProduceResponse, ProduceResponse, TopicProduceResponse,
};
use kafka_protocol::protocol::StrBytes;
use milena_protocol::gather::Gather;
use milena_protocol::produce::{self, TopicData, TopicKey};
use milena_storage::error::Error;
use std::borrow::Cow;
use std::sync::Arc;
use tokio::sync::oneshot;
use transactional::Admissions;

/// The client that may write to internal topics, a tombstone for what coordinators should forget say.
const ADMIN_CLIENT: &str = "__admin_client";

/// A partition whose log must be flushed before the answer leaves: its place in the response, and the first offset
/// that may be lost.
struct Flush {
    topic: usize,
    partition: usize,
    log: Arc<Partition>,
    upto: i64,
}

pub(crate) fn handle(cx: &Context<'_>, body: &[u8], out: &mut Gather) -> Outcome {
    let request = match produce::read(body, cx.version) {
        Ok(request) => request,
        Err(error) => return Outcome::Close(format!("Produce v{}: {error}", cx.version)),
    };
    let image = cx.broker.controller.image();
    let wanted = once_each(&request.topics);
    let admissions = transactional::admit(cx, &image, &request, &wanted);
    if admissions.as_ref().is_ok_and(|admissions| admissions.must_wait)
        && let Some(pause) = cx.wait_for_transaction()
    {
        return Outcome::Again(pause);
    }
    let (response, flushes, failed) = append_all(cx, &image, request.acks, &wanted, &admissions);
    if request.acks == 0 {
        if let Some(error) = failed {
            return Outcome::Close(format!("a produce with acks=0 failed: {error:?}"));
        }
        for flush in flushes {
            flush.log.flush_later(flush.upto, Box::new(drop));
        }
        return Outcome::Nothing;
    }
    if flushes.is_empty() {
        return match encode(ApiKey::Produce, cx.version, cx.correlation_id, &response, out) {
            Ok(()) => Outcome::Written,
            Err(reason) => Outcome::Close(reason),
        };
    }
    let (version, correlation_id) = (cx.version, cx.correlation_id);
    let flushed = begin(flushes);
    Outcome::Later(Box::pin(async move {
        let response = finish(response, flushed).await;
        let mut out = Gather::default();
        encode(ApiKey::Produce, version, correlation_id, &response, &mut out).map(|()| out)
    }))
}

/// Has all of them flushed side by side.
fn begin(flushes: Vec<Flush>) -> Vec<(Flush, oneshot::Receiver<Result<(), Error>>)> {
    let begun = flushes.into_iter().map(|flush| {
        let (sender, done) = oneshot::channel();
        // Nobody listens if the client hung up.
        flush.log.flush_later(flush.upto, Box::new(move |result| drop(sender.send(result))));
        (flush, done)
    });
    begun.collect()
}

/// The response when all flushes have ended; what is not on the device is not acknowledged.
async fn finish(
    mut response: ProduceResponse,
    flushes: Vec<(Flush, oneshot::Receiver<Result<(), Error>>)>,
) -> ProduceResponse {
    for (flush, done) in flushes {
        let error = match done.await {
            Ok(Ok(())) => continue,
            Ok(Err(error)) => response_error(&error),
            Err(_) => ResponseError::KafkaStorageError,
        };
        let partition = &mut response.responses[flush.topic].partition_responses[flush.partition];
        *partition = failure(partition.index, &error.into());
    }
    response
}

fn append_all(
    cx: &Context<'_>,
    image: &Image,
    acks: i16,
    wanted: &[TopicData<'_>],
    admissions: &Result<Admissions, ResponseError>,
) -> (ProduceResponse, Vec<Flush>, Option<ResponseError>) {
    let now_ms = cx.broker.clock.now_ms();
    let (mut topics, mut flushes, mut failed) = (Vec::with_capacity(wanted.len()), Vec::new(), None);
    // Kafka answers for what does not get to the log behind all that does.
    let mut outside = Vec::new();
    for (topic_at, data) in wanted.iter().enumerate() {
        let topic = topic_of(image, data.key);
        let unknown = match data.key {
            TopicKey::Name(_) => ResponseError::UnknownTopicOrPartition,
            TopicKey::Id(_) => ResponseError::UnknownTopicId,
        };
        let (mut partitions, mut kept_out) = (Vec::with_capacity(data.partitions.len()), Vec::new());
        for (partition_at, (index, records)) in data.partitions.iter().enumerate() {
            let admitted = match admissions {
                Ok(admissions) => admissions.of(topic_at, partition_at),
                Err(error) => Err((*error).into()),
            };
            let done = admitted.and_then(|verification| {
                let topic = check(cx, acks, topic, unknown)?;
                append(cx, topic, *index, *records, verification, now_ms)
            });
            match done {
                Ok((partition, produced)) => {
                    let start = partition.log().start_offset();
                    if let Some(upto) = produced.flush_upto {
                        let (topic, at) = (topics.len(), partitions.len());
                        flushes.push(Flush { topic, partition: at, log: partition, upto });
                    }
                    let response = PartitionProduceResponse::default()
                        .with_index(*index)
                        .with_base_offset(produced.base_offset)
                        .with_log_append_time_ms(produced.log_append_time.unwrap_or(-1))
                        .with_log_start_offset(start);
                    partitions.push(response);
                }
                Err(refused) => {
                    failed = Some(refused.error);
                    let is_outside = refused.before_log || is_unknown(refused.error);
                    let partition = topic.and_then(|topic| cx.broker.partitions.get(topic.id, *index));
                    let start = partition.filter(|_| !refused.before_log && tells_log_start(refused.error));
                    let response = failure(*index, &refused)
                        .with_log_start_offset(start.map_or(-1, |p| p.log().start_offset()));
                    if is_outside { &mut kept_out } else { &mut partitions }.push(response);
                }
            }
        }
        let list = if partitions.is_empty() { &mut outside } else { &mut topics };
        partitions.extend(kept_out);
        list.push(topic_response(data).with_partition_responses(partitions));
    }
    topics.extend(outside);
    (ProduceResponse::default().with_responses(topics), flushes, failed)
}

/// The topics with every topic and partition once. What comes twice counts as it comes last; a topic without
/// partitions is left out, as in Kafka, which keeps the records in a map.
fn once_each<'a, 'b>(topics: &'a [TopicData<'b>]) -> Cow<'a, [TopicData<'b>]> {
    if let [topic] = topics
        && topic.partitions.len() == 1
    {
        return Cow::Borrowed(topics);
    }
    let mut wanted: IndexMap<TopicKey<'b>, IndexMap<i32, Option<&'b [u8]>>> = IndexMap::new();
    for topic in topics.iter().filter(|topic| !topic.partitions.is_empty()) {
        wanted.entry(topic.key).or_default().extend(topic.partitions.iter().copied());
    }
    let once = wanted
        .into_iter()
        .map(|(key, partitions)| TopicData { key, partitions: partitions.into_iter().collect() });
    Cow::Owned(once.collect())
}

fn topic_of<'a>(image: &'a Image, key: TopicKey<'_>) -> Option<&'a Arc<Topic>> {
    match key {
        TopicKey::Name(name) => std::str::from_utf8(name).ok().and_then(|name| image.topic(name)),
        TopicKey::Id(id) => image.topic_by_id(id),
    }
}

fn check<'a>(
    cx: &Context<'_>,
    acks: i16,
    topic: Option<&'a Arc<Topic>>,
    unknown: ResponseError,
) -> Result<&'a Arc<Topic>, ResponseError> {
    if !(-1..=1).contains(&acks) {
        return Err(ResponseError::InvalidRequiredAcks);
    }
    let topic = topic.ok_or(unknown)?;
    if is_closed(cx, topic) {
        return Err(ResponseError::InvalidTopicException);
    }
    Ok(topic)
}

/// Whether the topic is internal, and the client not one that says that it knows. What is written there past the
/// coordinator counts from the next start on.
fn is_closed(cx: &Context<'_>, topic: &Topic) -> bool {
    topic_name::is_internal(&topic.name) && cx.client_id != ADMIN_CLIENT
}

fn append(
    cx: &Context<'_>,
    topic: &Topic,
    index: i32,
    records: Option<&[u8]>,
    verification: Verification,
    now_ms: i64,
) -> Result<(Arc<Partition>, crate::partition::Produced), ProduceFailure> {
    let in_range = usize::try_from(index).is_ok_and(|at| at < topic.partitions.len());
    let partition = cx.broker.partitions.get(topic.id, index).ok_or(match in_range {
        true => ResponseError::KafkaStorageError,
        false => ResponseError::UnknownTopicOrPartition,
    })?;
    let produced = partition.produce(records.unwrap_or_default(), cx.version, verification, now_ms)?;
    Ok((partition, produced))
}

fn topic_response(data: &TopicData<'_>) -> TopicProduceResponse {
    match data.key {
        TopicKey::Name(name) => {
            let name = StrBytes::from_string(String::from_utf8_lossy(name).into_owned());
            TopicProduceResponse::default().with_name(TopicName(name))
        }
        TopicKey::Id(id) => TopicProduceResponse::default().with_topic_id(id),
    }
}

/// Whether the log start comes with a refusal: when it was the log that looked at the records and refused them.
fn tells_log_start(error: ResponseError) -> bool {
    !matches!(
        error,
        ResponseError::CorruptMessage
            | ResponseError::InvalidRequiredAcks
            | ResponseError::InvalidTopicException
            | ResponseError::InvalidTxnState
            | ResponseError::KafkaStorageError
            | ResponseError::MessageTooLarge
            | ResponseError::NotLeaderOrFollower
            | ResponseError::RecordListTooLarge
            | ResponseError::TransactionAbortable
            | ResponseError::TransactionalIdAuthorizationFailed
            | ResponseError::UnknownTopicId
            | ResponseError::UnknownTopicOrPartition
    )
}

fn failure(index: i32, refused: &ProduceFailure) -> PartitionProduceResponse {
    let records = refused.records.iter().map(|record| {
        let message = record.message.as_ref().map(|m| StrBytes::from_string(m.clone()));
        BatchIndexAndErrorMessage::default()
            .with_batch_index(record.batch_index)
            .with_batch_index_error_message(message)
    });
    PartitionProduceResponse::default()
        .with_index(index)
        .with_error_code(refused.error.code())
        .with_base_offset(-1)
        .with_log_append_time_ms(-1)
        .with_log_start_offset(-1)
        .with_record_errors(records.collect())
        .with_error_message(refused.message.as_ref().map(|m| StrBytes::from_string(m.clone())))
}

#[cfg(test)]
mod tests {
    use super::once_each;
    use milena_protocol::produce::{TopicData, TopicKey};

    #[test]
    fn the_last_records_for_a_partition_count() {
        let data = |name: &'static str, partitions: &[(i32, &'static str)]| TopicData {
            key: TopicKey::Name(name.as_bytes()),
            partitions: partitions
                .iter()
                .map(|(index, records)| (*index, Some(records.as_bytes())))
                .collect(),
        };
        let rows = [
            (vec![data("a", &[(0, "x")])], vec![data("a", &[(0, "x")])]),
            (vec![data("a", &[])], vec![]),
            (vec![data("a", &[(0, "x"), (0, "y")])], vec![data("a", &[(0, "y")])]),
            (
                vec![
                    data("a", &[(0, "x"), (1, "x")]),
                    data("b", &[(0, "z")]),
                    data("a", &[(2, "y"), (0, "y")]),
                ],
                vec![data("a", &[(0, "y"), (1, "x"), (2, "y")]), data("b", &[(0, "z")])],
            ),
        ];
        for (asked, wanted) in rows {
            assert_eq!(once_each(&asked).as_ref(), wanted.as_slice());
        }
    }
}
