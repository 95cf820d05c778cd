//! `kafka-topics --describe`.

use super::{existing, is_internal};
use crate::cli::admin;
use crate::cli::failure::Failure;
use crate::cli::flags::Given;
use crate::cli::kafka::configs_of::{self, DEFAULT_CONFIG};
use crate::cli::screen::Screen;
use crate::client::{Client, ClientError, To, Topic, TopicPartition, topic_name};
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResult;
use kafka_protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use kafka_protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsTopics;
use kafka_protocol::messages::list_partition_reassignments_response::OngoingPartitionReassignment;
use kafka_protocol::messages::{BrokerId, DescribeTopicPartitionsRequest, ListPartitionReassignmentsRequest};
use milena_protocol::stored::uuid_to_base64;
use std::collections::BTreeMap;

/// Flags that show only some partitions.
pub(super) const REPORTS: [&str; 4] = [
    "under-replicated-partitions",
    "under-min-isr-partitions",
    "at-min-isr-partitions",
    "unavailable-partitions",
];
/// Kind of a resource of configurations.
const TOPIC: i8 = 2;
/// The most partitions of one answer.
const LIMIT: i32 = 2_000;

/// Eligible leaders of a partition, and the last known ones, where the broker knows them.
type Eligible = BTreeMap<TopicPartition, (Option<Vec<BrokerId>>, Option<Vec<BrokerId>>)>;

pub(super) async fn run(screen: &mut Screen, given: &Given, client: &mut Client) -> Result<(), Failure> {
    let topics = wanted(given, client).await?;
    if topics.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
    let limit = given.number("partition-size-limit-per-response")?.unwrap_or(LIMIT);
    let mut configs = configs_of::describe(client, To::Any, TOPIC, &names, false).await?;
    for config in &mut configs {
        configs_of::in_java_order(&mut config.configs, |entry| &entry.name);
    }
    let eligible = eligible(client, &names, limit).await?;
    let moves = reassignments(client, &topics).await?;
    let view = View { given, live: client.nodes().keys().copied().collect(), eligible, moves };
    for (topic, config) in topics.iter().zip(&configs) {
        view.topic(screen, topic, config)?;
    }
    Ok(())
}

async fn wanted(given: &Given, client: &mut Client) -> Result<Vec<Topic>, Failure> {
    let Some(id) = given.one("topic-id")? else {
        let names = existing(given, client).await?;
        let refs: Vec<&str> = names.iter().map(String::as_str).collect();
        if refs.is_empty() {
            return Ok(Vec::new());
        }
        let mut topics = client.metadata(Some(&refs)).await?;
        topics.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        return Ok(topics);
    };
    let without_internal = given.has("exclude-internal");
    let all = client.metadata(None).await?;
    let found: Vec<Topic> = all
        .into_iter()
        .filter(|topic| uuid_to_base64(topic.id) == id && !(without_internal && is_internal(&topic.name)))
        .collect();
    if found.is_empty() && !given.has("if-exists") {
        return Err(Failure::text(format!("TopicId '{id}' does not exist as expected")));
    }
    Ok(found)
}

struct View<'a> {
    given: &'a Given,
    live: Vec<i32>,
    eligible: Eligible,
    moves: BTreeMap<TopicPartition, OngoingPartitionReassignment>,
}

impl View<'_> {
    fn topic(
        &self,
        screen: &mut Screen,
        topic: &Topic,
        config: &DescribeConfigsResult,
    ) -> Result<(), Failure> {
        let own: Vec<_> =
            config.configs.iter().filter(|entry| entry.config_source != DEFAULT_CONFIG).collect();
        let whole = !REPORTS.iter().any(|report| self.given.has(report));
        let overrides = self.given.has("topics-with-overrides");
        if whole && !(overrides && own.is_empty()) {
            let factor = topic.partitions.first().map_or(0, |partition| {
                self.factor(&TopicPartition::new(&topic.name, partition.index), &partition.replicas)
            });
            let pairs: Vec<String> = own
                .iter()
                .map(|entry| format!("{}={}", entry.name, entry.value.as_deref().unwrap_or("null")))
                .collect();
            let id = if topic.id.is_nil() {
                String::new()
            } else {
                format!("\tTopicId: {}", uuid_to_base64(topic.id))
            };
            let count = topic.partitions.len();
            let (name, configs) = (&topic.name, pairs.join(","));
            screen.say(format_args!(
                "Topic: {name}{id}\tPartitionCount: {count}\tReplicationFactor: {factor}\tConfigs: {configs}"
            ))?;
        }
        if overrides {
            return Ok(());
        }
        let min_isr = config
            .configs
            .iter()
            .find(|entry| &*entry.name == "min.insync.replicas")
            .and_then(|entry| entry.value.as_deref()?.parse().ok())
            .unwrap_or(1);
        for partition in &topic.partitions {
            let tp = TopicPartition::new(&topic.name, partition.index);
            if whole || self.reports(&tp, partition, min_isr) {
                screen.say(self.partition(&tp, partition))?;
            }
        }
        Ok(())
    }

    fn reports(&self, tp: &TopicPartition, partition: &crate::client::Partition, min_isr: usize) -> bool {
        let (isr, given) = (partition.isr.len(), self.given);
        given.has(REPORTS[0]) && self.factor(tp, &partition.replicas) > isr
            || given.has(REPORTS[1]) && (partition.leader.is_none() || isr < min_isr)
            || given.has(REPORTS[2]) && isr == min_isr
            || given.has(REPORTS[3]) && partition.leader.is_none_or(|leader| !self.live.contains(&leader))
    }

    fn partition(&self, tp: &TopicPartition, partition: &crate::client::Partition) -> String {
        let leader = partition.leader.map_or_else(|| "none".to_owned(), |leader| leader.to_string());
        let mut line = format!(
            "\tTopic: {}\tPartition: {}\tLeader: {leader}\tReplicas: {}\tIsr: {}",
            tp.topic,
            tp.partition,
            joined(&partition.replicas),
            joined(&partition.isr)
        );
        if let Some(move_) = self.moves.get(tp) {
            let (adding, removing) = (&move_.adding_replicas, &move_.removing_replicas);
            line +=
                &format!("\tAdding Replicas: {}\tRemoving Replicas: {}", brokers(adding), brokers(removing));
        }
        let (elr, last) = self.eligible.get(tp).cloned().unwrap_or_default();
        let text = |list: Option<Vec<BrokerId>>| list.map_or_else(|| "N/A".to_owned(), |list| brokers(&list));
        line + &format!("\tElr: {}\tLastKnownElr: {}", text(elr), text(last))
    }

    /// The replicas that a partition is to have, without those that a reassignment adds.
    fn factor(&self, tp: &TopicPartition, replicas: &[i32]) -> usize {
        match self.moves.get(tp) {
            Some(move_)
                if move_
                    .adding_replicas
                    .iter()
                    .chain(&move_.removing_replicas)
                    .any(|id| replicas.contains(&id.0)) =>
            {
                move_.replicas.len() - move_.adding_replicas.len().min(move_.replicas.len())
            }
            _ => replicas.len(),
        }
    }
}

async fn eligible(client: &mut Client, names: &[&str], limit: i32) -> Result<Eligible, ClientError> {
    let mut all = Eligible::new();
    let mut cursor: Option<Cursor> = None;
    loop {
        let topics = names.iter().map(|name| TopicRequest::default().with_name(topic_name(name))).collect();
        let request = DescribeTopicPartitionsRequest::default()
            .with_topics(topics)
            .with_response_partition_limit(limit)
            .with_cursor(cursor);
        let answer = match client.call(To::Any, &request).await {
            Err(ClientError::Unsupported { .. }) => return Ok(all),
            answer => answer?,
        };
        for topic in answer.topics {
            for partition in topic.partitions {
                let name = topic.name.as_deref().map_or("", |name| name);
                let tp = TopicPartition::new(name, partition.partition_index);
                // Without either, the broker has no such lists, and without the request it does not know of them.
                let elr = partition.eligible_leader_replicas.unwrap_or_default();
                all.insert(tp, (Some(elr), Some(partition.last_known_elr.unwrap_or_default())));
            }
        }
        let Some(next) = answer.next_cursor else { return Ok(all) };
        cursor = Some(
            Cursor::default().with_topic_name(next.topic_name).with_partition_index(next.partition_index),
        );
    }
}

async fn reassignments(
    client: &mut Client,
    topics: &[Topic],
) -> Result<BTreeMap<TopicPartition, OngoingPartitionReassignment>, ClientError> {
    let one = |topic: &Topic| {
        ListPartitionReassignmentsTopics::default()
            .with_name(topic_name(&topic.name))
            .with_partition_indexes(topic.partitions.iter().map(|partition| partition.index).collect())
    };
    let request = ListPartitionReassignmentsRequest::default()
        .with_timeout_ms(admin::TIMEOUT_MS)
        .with_topics(Some(topics.iter().map(one).collect()));
    // Old brokers, and those that do not allow the question, have none.
    let answer = match client.call(To::Controller, &request).await {
        Err(ClientError::Unsupported { .. }) => return Ok(BTreeMap::new()),
        answer => answer?,
    };
    let mut all = BTreeMap::new();
    for topic in answer.topics {
        for partition in topic.partitions {
            all.insert(TopicPartition::new(&topic.name, partition.partition_index), partition);
        }
    }
    Ok(all)
}

fn joined(list: &[i32]) -> String {
    list.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn brokers(list: &[BrokerId]) -> String {
    joined(&list.iter().map(|id| id.0).collect::<Vec<_>>())
}
