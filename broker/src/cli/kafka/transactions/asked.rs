//! What the tool asks the cluster, with the errors that Kafka's client makes of the answers.

use crate::client::{
    Client, ClientError, To, TopicPartition, by_topic, check, message_of, string, topic_name,
};
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::describe_producers_response::ProducerState;
use kafka_protocol::messages::describe_transactions_response::TransactionState;
use kafka_protocol::messages::write_txn_markers_request::{WritableTxnMarker, WritableTxnMarkerTopic};
use kafka_protocol::messages::{
    ApiKey, DescribeProducersRequest, DescribeProducersResponse, DescribeTransactionsRequest,
    DescribeTransactionsResponse, InitProducerIdRequest, InitProducerIdResponse, ListTransactionsRequest,
    ListTransactionsResponse, ProducerId, TopicName, TransactionalId, WriteTxnMarkersRequest,
};
use std::collections::BTreeMap;
use std::fmt;

const INVALID_PRODUCER_EPOCH: i16 = 47;
const TRANSACTION_COORDINATOR_FENCED: i16 = 52;
const TRANSACTIONAL_ID_NOT_FOUND: i16 = 105;
/// Versions of ListTransactions from which on it has filters.
const BY_DURATION: i16 = 1;
const BY_PATTERN: i16 = 2;

/// A transactional id that a coordinator knows.
#[derive(Debug)]
pub(super) struct Listed {
    /// The id.
    pub(super) id: String,
    /// The broker that coordinates it.
    pub(super) coordinator: i32,
    /// Its producer.
    pub(super) producer_id: i64,
    /// What has become of its transaction.
    pub(super) state: String,
}

/// An abort marker for one partition (`AbortTransactionSpec`).
#[derive(Debug)]
pub(super) struct Marker {
    /// Where it goes.
    pub(super) partition: TopicPartition,
    /// Whose transaction it ends.
    pub(super) producer_id: i64,
    /// The producer's epoch.
    pub(super) producer_epoch: i16,
    /// The coordinator's epoch.
    pub(super) coordinator_epoch: i32,
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partition, producer_id, producer_epoch, coordinator_epoch } = self;
        write!(
            f,
            "AbortTransactionSpec(topicPartition={partition}, producerId={producer_id}, \
             producerEpoch={producer_epoch}, coordinatorEpoch={coordinator_epoch})"
        )
    }
}

/// An error that will go away as it came, another one in other words.
fn judged(key: ApiKey, code: i16, words: impl Fn(i16) -> String) -> Result<(), ClientError> {
    check(key as i16, code, None).map_err(|error| match error.is_retriable() {
        true => error,
        false => ClientError::Code { api: format!("{key:?}"), code, message: Some(words(code)) },
    })
}

/// The transactional ids of all coordinators, or those of some producers; older than `duration` milliseconds.
pub(super) async fn list(
    client: &mut Client,
    producers: &[i64],
    duration: i64,
    pattern: Option<&str>,
) -> Result<Vec<Listed>, ClientError> {
    client.metadata(Some(&[])).await?;
    let nodes: Vec<i32> = client.nodes().keys().copied().collect();
    let mut all = Vec::new();
    for node in nodes {
        let make = |version| {
            let request = ListTransactionsRequest::default()
                .with_producer_id_filters(producers.iter().copied().map(ProducerId).collect());
            let request =
                if version < BY_DURATION { request } else { request.with_duration_filter(duration) };
            if version < BY_PATTERN {
                request
            } else {
                request.with_transactional_id_pattern(pattern.map(string))
            }
        };
        let check_one = |answer: &ListTransactionsResponse| {
            judged(ApiKey::ListTransactions, answer.error_code, |_| {
                format!("ListTransactions request sent to broker {node} failed with an unexpected exception")
            })
        };
        let answer =
            client.call_checked::<ListTransactionsRequest, _>(To::Node(node), make, check_one).await?;
        all.extend(answer.transaction_states.into_iter().map(|one| Listed {
            id: one.transactional_id.to_string(),
            coordinator: node,
            producer_id: one.producer_id.0,
            state: one.transaction_state.to_string(),
        }));
    }
    Ok(all)
}

/// What the coordinator of a transactional id knows of it.
pub(super) async fn describe(client: &mut Client, id: &str) -> Result<TransactionState, ClientError> {
    let request =
        DescribeTransactionsRequest::default().with_transactional_ids(vec![TransactionalId(string(id))]);
    let words = |code: i16| {
        let why = match code {
            TRANSACTIONAL_ID_NOT_FOUND => "because the ID could not be found",
            _ => "due to unexpected error",
        };
        format!("DescribeTransactions request for transactionalId `{id}` failed {why}")
    };
    let check_all = |answer: &DescribeTransactionsResponse| {
        answer
            .transaction_states
            .iter()
            .try_for_each(|one| judged(ApiKey::DescribeTransactions, one.error_code, words))
    };
    let call =
        client.call_checked::<DescribeTransactionsRequest, _>(To::Transaction(id), |_| &request, check_all);
    let found = call.await?.transaction_states.into_iter().next();
    found.ok_or_else(|| ClientError::Unreachable(format!("nothing is said of transactional id {id}")))
}

/// The partitions of a transaction that is open, or has markers to be written.
pub(super) fn partitions_of(state: &TransactionState) -> impl Iterator<Item = TopicPartition> {
    state.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|partition| TopicPartition::new(&topic.topic, *partition))
    })
}

/// The producers that partitions know, as their leaders or one broker tell.
pub(super) async fn producers(
    client: &mut Client,
    partitions: &[TopicPartition],
    broker: Option<i32>,
) -> Result<Vec<(TopicPartition, ProducerState)>, ClientError> {
    let mut nodes: BTreeMap<i32, Vec<&TopicPartition>> = BTreeMap::new();
    for tp in partitions {
        let node = match broker {
            Some(node) => node,
            None => client.leader(tp).await?.0,
        };
        nodes.entry(node).or_default().push(tp);
    }
    let mut all = Vec::new();
    for (node, partitions) in nodes {
        let topic = |(name, list): (TopicName, Vec<(i32, ())>)| {
            let indexes = list.into_iter().map(|(index, ())| index).collect();
            TopicRequest::default().with_name(name).with_partition_indexes(indexes)
        };
        let topics = by_topic(partitions.into_iter().map(|tp| (tp, ())));
        let request =
            DescribeProducersRequest::default().with_topics(topics.into_iter().map(topic).collect());
        let check_all = |answer: &DescribeProducersResponse| {
            answer.topics.iter().flat_map(|topic| &topic.partitions).try_for_each(|partition| {
                let key = ApiKey::DescribeProducers as i16;
                check(key, partition.error_code, partition.error_message.as_deref())
            })
        };
        let call =
            client.call_checked::<DescribeProducersRequest, _>(To::Node(node), |_| &request, check_all);
        for topic in call.await?.topics {
            for partition in topic.partitions {
                let tp = TopicPartition::new(&topic.name, partition.partition_index);
                all.extend(partition.active_producers.into_iter().map(|one| (tp.clone(), one)));
            }
        }
    }
    Ok(all)
}

/// Writes an abort marker to the leader of a partition, whatever the coordinator knows of it.
pub(super) async fn abort(client: &mut Client, marker: &Marker) -> Result<(), ClientError> {
    let topic = WritableTxnMarkerTopic::default()
        .with_name(topic_name(&marker.partition.topic))
        .with_partition_indexes(vec![marker.partition.partition]);
    let one = WritableTxnMarker::default()
        .with_producer_id(ProducerId(marker.producer_id))
        .with_producer_epoch(marker.producer_epoch)
        .with_coordinator_epoch(marker.coordinator_epoch)
        .with_transaction_result(false)
        .with_topics(vec![topic]);
    let request = WriteTxnMarkersRequest::default().with_markers(vec![one]);
    let mut pace = client.pace();
    loop {
        let (leader, _) = client.leader(&marker.partition).await?;
        let answer = client.call(To::Node(leader), &request).await?;
        let codes = answer
            .markers
            .iter()
            .flat_map(|marker| &marker.topics)
            .flat_map(|topic| &topic.partitions)
            .map(|partition| partition.error_code);
        let mut judged =
            codes.map(|code| judged(ApiKey::WriteTxnMarkers, code, |code| refused(marker, code)));
        let Some(error) = judged.find_map(Result::err) else { return Ok(()) };
        client.forget_leaders();
        pace.pause_after(error).await?;
    }
}

/// Why a marker was not written.
fn refused(marker: &Marker, code: i16) -> String {
    let why = match code {
        INVALID_PRODUCER_EPOCH => "failed due an invalid producer epoch".to_owned(),
        TRANSACTION_COORDINATOR_FENCED => format!(
            "failed since the provided coordinator epoch {} has been fenced by the active coordinator",
            marker.coordinator_epoch
        ),
        code => format!("failed due to unexpected error: {}", message_of(code)),
    };
    format!("WriteTxnMarkers request with {marker} {why}")
}

/// Makes the coordinator abort what is open and refuse the producer that opened it.
pub(super) async fn fence(client: &mut Client, id: &str) -> Result<(), ClientError> {
    let timeout = i32::try_from(client.config().request_timeout.as_millis()).unwrap_or(i32::MAX);
    let request = InitProducerIdRequest::default()
        .with_transactional_id(Some(TransactionalId(string(id))))
        .with_transaction_timeout_ms(timeout)
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1);
    let words =
        |_| format!("InitProducerId request for transactionalId `{id}` failed due to unexpected error");
    let check_one =
        |answer: &InitProducerIdResponse| judged(ApiKey::InitProducerId, answer.error_code, words);
    client
        .call_checked::<InitProducerIdRequest, _>(To::Transaction(id), |_| &request, check_one)
        .await
        .map(drop)
}
