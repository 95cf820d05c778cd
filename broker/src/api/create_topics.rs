//! CreateTopics (19), versions 2 to 7.
//!
//! * Answered when the topics can be written to; all of a request are stored as one batch.
//! * More than 10,000 partitions in one request: POLICY_VIOLATION for each of its topics, nothing is created.
//! * A name that comes twice: INVALID_REQUEST, none of them is created.
//!
//! | version | change |
//! |---|---|
//! | 4 | clients use -1 for the default number of partitions and replicas; the broker takes it in all versions |
//! | 5 | the response has partitions, replicas and the effective configuration |
//! | 7 | the response has the topic id |

use super::{Answer, Context};
use crate::config::describe::describe_topic;
use crate::controller::{Assignment, NewTopic, Refusal, outcome, partition_count};
use crate::metadata::Topic;
use crate::metadata::topic_name::CLUSTER_METADATA;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use kafka_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

/// From this version on clients know THROTTLING_QUOTA_EXCEEDED.
const STRICT_SINCE: i16 = 6;

pub(crate) fn handle(cx: &Context<'_>, request: CreateTopicsRequest) -> Answer<CreateTopicsResponse> {
    let mut count: HashMap<TopicName, usize> = HashMap::new();
    let mut names = Vec::new();
    for topic in &request.topics {
        let count = count.entry(topic.name.clone()).or_default();
        *count += 1;
        if *count == 1 {
            names.push(topic.name.clone());
        }
    }
    let is_sound = |name: &TopicName| count.get(name) == Some(&1) && name.as_str() != CLUSTER_METADATA;
    let over_quota = over_quota(cx, &request, is_sound);
    let is_wanted = |name: &TopicName| is_sound(name) && !over_quota.contains_key(name);
    let wanted: Vec<NewTopic> =
        request.topics.iter().filter(|topic| is_wanted(&topic.name)).map(new_topic).collect();
    let is_nothing_to_do = !request.topics.iter().any(|topic| is_sound(&topic.name));
    // Makes directories and syncs the metadata log; the other connections of this thread go on meanwhile.
    let created = if is_nothing_to_do { Ok(()) } else { Context::in_time(request.timeout_ms) };
    let created = created.and_then(|()| {
        tokio::task::block_in_place(|| cx.broker.controller.create_topics(wanted, request.validate_only))
    });
    let mut created = created.map(Vec::into_iter);
    if created.is_err() {
        // What is refused as a whole is told for each entry, also where a name comes twice.
        names = request.topics.iter().map(|topic| topic.name.clone()).collect();
    }
    let topics = names.into_iter().map(|name| {
        let result = match &mut created {
            Err(refusal) => Err(refusal.clone()),
            Ok(created) if is_wanted(&name) => created.next().unwrap_or_else(|| Err(forgotten())),
            Ok(_) => Err(over_quota.get(&name).cloned().unwrap_or_else(|| refused_before(&name))),
        };
        describe(cx, name, &result)
    });
    CreateTopicsResponse::default().with_topics(topics.collect()).into()
}

/// The topics for which the client's quota has no room left.
fn over_quota(
    cx: &Context<'_>,
    request: &CreateTopicsRequest,
    is_sound: impl Fn(&TopicName) -> bool,
) -> HashMap<TopicName, Refusal> {
    let mut refused = HashMap::new();
    if !cx.broker.quotas.is_active() {
        return refused;
    }
    let default = cx.broker.controller.config().num_partitions;
    for topic in request.topics.iter().filter(|topic| is_sound(&topic.name)) {
        let asked = if topic.num_partitions == -1 { default } else { topic.num_partitions };
        let partitions = topic.assignments.len().max(usize::try_from(asked).unwrap_or(0));
        if let Err(refusal) = cx.may_change(partitions, STRICT_SINCE) {
            refused.insert(topic.name.clone(), refusal);
        }
    }
    refused
}

fn new_topic(topic: &CreatableTopic) -> NewTopic {
    let assignments = topic.assignments.iter().map(|assignment| Assignment {
        partition: assignment.partition_index,
        brokers: assignment.broker_ids.iter().map(|id| id.0).collect(),
    });
    let configs = topic
        .configs
        .iter()
        .map(|config| (config.name.to_string(), config.value.as_ref().map(ToString::to_string)));
    NewTopic {
        name: topic.name.to_string(),
        partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments: assignments.collect(),
        configs: configs.collect(),
    }
}

fn refused_before(name: &TopicName) -> Refusal {
    let message = match name.as_str() {
        CLUSTER_METADATA => format!("Creation of internal topic {CLUSTER_METADATA} is prohibited."),
        _ => "Duplicate topic name.".to_owned(),
    };
    Refusal::new(ResponseError::InvalidRequest, message)
}

fn forgotten() -> Refusal {
    Refusal::new(ResponseError::UnknownServerError, "The controller gave no result.")
}

fn describe(cx: &Context<'_>, name: TopicName, result: &Result<Arc<Topic>, Refusal>) -> CreatableTopicResult {
    let (code, message) = outcome(result);
    let described =
        CreatableTopicResult::default().with_name(name).with_error_code(code).with_error_message(message);
    let Ok(topic) = result else { return described.with_topic_id(Uuid::nil()) };
    let replicas = topic.partitions.first().map_or(0, |partition| partition.replicas.len());
    let described = described
        .with_topic_id(topic.id)
        .with_num_partitions(partition_count(topic))
        .with_replication_factor(i16::try_from(replicas).unwrap_or(i16::MAX));
    if cx.version < 5 {
        return described;
    }
    let config = cx.broker.controller.config();
    let configs = describe_topic(&config, &topic.configs).into_iter().map(|entry| {
        // What was set is told word for word.
        let value = topic.configs.get(&entry.name).cloned().or(entry.value);
        CreatableTopicConfigs::default()
            .with_name(StrBytes::from_string(entry.name))
            .with_value(value.map(StrBytes::from_string))
            .with_read_only(entry.read_only)
            .with_config_source(entry.source)
            .with_is_sensitive(entry.sensitive)
    });
    described.with_configs(Some(configs.collect()))
}

#[cfg(test)]
mod tests;
