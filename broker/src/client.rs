//! A Kafka client for the tools: the caller's thread, one request at a time on a connection, any broker.
//!
//! * [`Client`] knows the cluster: it connects to the bootstrap servers, to leaders, coordinators and single nodes,
//!   negotiates versions with each and retries what may be retried until `default.api.timeout.ms` is over.
//! * [`producer::Producer`] sends batches, [`fetcher::Fetcher`] reads partitions, [`member::Member`] is one of a group.
//! * All else is a typed request that the tool makes and [`Client::call`] carries.

mod bootstrap;
mod cluster;
mod config;
mod connection;
mod error;
pub(crate) mod fetcher;
pub(crate) mod member;
pub(crate) mod offsets;
mod partitioner;
pub(crate) mod producer;
mod transport;

pub(crate) use cluster::{Client, Partition, To, Topic};
pub(crate) use config::{ClientConfig, millis};
pub(crate) use error::{ClientError, check, exception_of, message_of};
pub(crate) use partitioner::partition_of;

use kafka_protocol::messages::{GroupId, TopicName};
use kafka_protocol::protocol::StrBytes;

/// A topic by its number, as in `orders-3`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TopicPartition {
    /// Name of the topic.
    pub(crate) topic: String,
    /// Number of the partition, from 0.
    pub(crate) partition: i32,
}

impl TopicPartition {
    /// The partition of that number.
    pub(crate) fn new(topic: &str, partition: i32) -> Self {
        Self { topic: topic.to_owned(), partition }
    }
}

impl std::fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// Partitions by topic, as most requests want them.
pub(crate) fn by_topic<'a, T>(
    items: impl IntoIterator<Item = (&'a TopicPartition, T)>,
) -> Vec<(TopicName, Vec<(i32, T)>)> {
    let mut topics: indexmap::IndexMap<&str, Vec<(i32, T)>> = indexmap::IndexMap::new();
    for (tp, item) in items {
        topics.entry(&tp.topic).or_default().push((tp.partition, item));
    }
    topics.into_iter().map(|(topic, items)| (topic_name(topic), items)).collect()
}

/// A string as the codec wants it.
pub(crate) fn string(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// A topic's name as the codec wants it.
pub(crate) fn topic_name(text: &str) -> TopicName {
    TopicName(string(text))
}

/// A group's name as the codec wants it.
pub(crate) fn group_id(text: &str) -> GroupId {
    GroupId(string(text))
}
