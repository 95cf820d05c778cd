//! Metadata (3), versions 0 to 13: brokers, topics and their partitions; the first request of every client.
//!
//! * Topics that are asked for by name and missing are created before the answer, where both sides allow it: clients
//!   take the answer of the creating request at its word. Kafka answers before, with UNKNOWN_TOPIC_OR_PARTITION; so is
//!   a client answered that has deleted the topic by the same connection, once, and nothing is created then.
//! * All partitions of a topic come in one entry, and a topic comes once however often it was asked for.
//! * A partition whose data directory has failed: LEADER_NOT_AVAILABLE.
//! * The one broker is listed with the address for this connection, and is the controller.
//!
//! | version | change |
//! |---|---|
//! | 0 | an empty list asks for all topics |
//! | 1 | null asks for all, empty for none; controller id, rack, internal topics |
//! | 2 | cluster id |
//! | 4 | the client may forbid creation; before, it is allowed |
//! | 5 | offline replicas |
//! | 7 | leader epochs |
//! | 8 | authorized operations; those of the cluster only up to 10 |
//! | 10 | topic ids in the response |
//! | 12 | topics may be asked for by id; an unknown id has no name |
//! | 13 | an error of the whole response, which is never set here |

use super::{Answer, Context, operations};
use crate::controller::{NewTopic, outcome};
use crate::metadata::topic_name::{self, CLUSTER_METADATA, SHARE_GROUP_STATE};
use crate::metadata::{Image, NO_LEADER, PartitionInfo, Topic};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{BrokerId, MetadataRequest, MetadataResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// First version in which the name of a topic may be null.
const NULL_NAMES: i16 = 10;
/// First version in which a topic may be asked for by its id.
const BY_ID: i16 = 12;

pub(crate) fn handle(cx: &Context<'_>, request: MetadataRequest) -> Answer<MetadataResponse> {
    let asked = request.topics.as_deref().unwrap_or_default();
    if cx.version < NULL_NAMES && asked.iter().any(|topic| topic.name.is_none()) {
        return Answer::Unreadable("a topic has no name".to_owned());
    }
    if cx.version < BY_ID && asked.iter().any(|topic| topic.name.is_none() || !topic.topic_id.is_nil()) {
        // Kafka refuses the whole request then, and tells of no broker either.
        let refused = asked
            .iter()
            .map(|topic| refuse(cx, topic, ResponseError::InvalidRequest.code()).with_is_internal(false));
        return MetadataResponse::default().with_topics(refused.collect()).into();
    }
    let all = match &request.topics {
        None => true,
        Some(topics) => topics.is_empty() && cx.version == 0,
    };
    let mut topics = if all {
        let image = cx.broker.controller.image();
        image.sorted_topics().into_iter().map(|topic| describe(cx, topic)).collect()
    } else {
        named(cx, request.topics.as_deref().unwrap_or_default(), request.allow_auto_topic_creation)
    };
    if request.include_topic_authorized_operations {
        // There is no telling for an id that is not known.
        for topic in
            topics.iter_mut().filter(|topic| topic.error_code != ResponseError::UnknownTopicId.code())
        {
            topic.topic_authorized_operations = operations::TOPIC;
        }
    }
    let asked = request.include_cluster_authorized_operations && (8..=10).contains(&cx.version);
    let (host, port, node_id) = cx.endpoint();
    let broker = MetadataResponseBroker::default()
        .with_node_id(BrokerId(node_id))
        .with_host(StrBytes::from_string(host))
        .with_port(i32::from(port))
        .with_rack(cx.broker.config.rack.clone().map(StrBytes::from_string));
    MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_cluster_id(Some(StrBytes::from_string(cx.broker.cluster_id.clone())))
        .with_controller_id(BrokerId(node_id))
        .with_topics(topics)
        .with_cluster_authorized_operations(if asked { operations::CLUSTER } else { operations::NOT_ASKED })
        .into()
}

/// Topics that were asked for one by one.
fn named(cx: &Context<'_>, asked: &[MetadataRequestTopic], may_create: bool) -> Vec<MetadataResponseTopic> {
    let controller = &cx.broker.controller;
    let mut refused = HashMap::new();
    if may_create && cx.broker.config.auto_create_topics {
        refused = create_missing(cx, asked);
    }
    let image = controller.image();
    let mut seen: HashSet<Uuid> = HashSet::new();
    let mut missing: HashSet<&str> = HashSet::new();
    let mut topics = Vec::new();
    // Where one is asked for by its id, those without are passed over, as in Kafka.
    let by_id = asked.iter().any(|asked| !asked.topic_id.is_nil());
    for asked in asked.iter().filter(|asked| !by_id || !asked.topic_id.is_nil()) {
        if let Some(topic) = find(&image, asked) {
            if seen.insert(topic.id) {
                topics.push(describe(cx, topic));
            }
        } else if !asked.topic_id.is_nil() {
            if seen.insert(asked.topic_id) {
                topics.push(refuse(cx, asked, ResponseError::UnknownTopicId.code()));
            }
        } else if let Some(name) = &asked.name {
            if missing.insert(name) {
                let code = refused.get(name.as_str()).copied().unwrap_or_else(|| missing_code(name));
                topics.push(refuse(cx, asked, code));
            }
        } else {
            topics.push(refuse(cx, asked, ResponseError::InvalidRequest.code()));
        }
    }
    topics
}

/// Creates what is asked for by name and missing; gives the error codes of what could not be created.
fn create_missing(cx: &Context<'_>, asked: &[MetadataRequestTopic]) -> HashMap<String, i16> {
    let controller = &cx.broker.controller;
    let image = controller.image();
    let mut names = HashSet::new();
    let mut refused = HashMap::new();
    let missing: Vec<_> = asked
        .iter()
        .filter(|asked| asked.topic_id.is_nil())
        .filter_map(|asked| asked.name.as_ref().map(|name| name.as_str()))
        .filter(|name| image.topic(name).is_none() && may_be_created(name) && names.insert(*name))
        .filter(|name| !cx.connection.deleted.take(name))
        .map(|name| controller.default_topic(name))
        .filter(|topic| {
            let within = within_quota(cx, topic);
            if !within {
                refused.insert(topic.name.clone(), ResponseError::UnknownTopicOrPartition.code());
            }
            within
        })
        .collect();
    if missing.is_empty() {
        return refused;
    }
    let names: Vec<String> = missing.iter().map(|topic| topic.name.clone()).collect();
    match tokio::task::block_in_place(|| controller.create_topics(missing, false)) {
        Ok(results) => {
            refused.extend(names.into_iter().zip(results.iter().map(|result| outcome(result).0)));
        }
        // Refused as a whole. Kafka does not hear of it before it answers (`AutoTopicCreationManager`).
        Err(_) => {
            let code = ResponseError::UnknownTopicOrPartition.code();
            refused.extend(names.into_iter().map(|name| (name, code)));
        }
    }
    refused
}

/// Whether the client's quota for changes of metadata has room for a topic. Kafka sends the creation on in the name of
/// the client, and answers the Metadata before it hears that it was refused (`AutoTopicCreationManager`).
fn within_quota(cx: &Context<'_>, topic: &NewTopic) -> bool {
    let default = cx.broker.controller.config().num_partitions;
    let partitions = if topic.partitions == -1 { default } else { topic.partitions };
    cx.may_change(usize::try_from(partitions).unwrap_or(0), 0).is_ok()
}

/// There are no share groups here, so nothing would ever be in their topic.
fn may_be_created(name: &str) -> bool {
    topic_name::validate(name).is_ok() && name != CLUSTER_METADATA && name != SHARE_GROUP_STATE
}

fn missing_code(name: &str) -> i16 {
    let error = match topic_name::validate(name) {
        Ok(()) => ResponseError::UnknownTopicOrPartition,
        Err(_) => ResponseError::InvalidTopicException,
    };
    error.code()
}

/// The id wins over the name.
fn find<'a>(image: &'a Image, asked: &MetadataRequestTopic) -> Option<&'a Topic> {
    let topic = if asked.topic_id.is_nil() {
        image.topic(asked.name.as_ref()?.as_str())
    } else {
        image.topic_by_id(asked.topic_id)
    };
    topic.map(|topic| &**topic)
}

fn refuse(cx: &Context<'_>, asked: &MetadataRequestTopic, code: i16) -> MetadataResponseTopic {
    // Only from 12 on may a response lack the name, and what was asked for by id has none.
    let name = match &asked.name {
        _ if cx.version >= BY_ID && !asked.topic_id.is_nil() => None,
        None if cx.version >= BY_ID => None,
        name => Some(name.clone().unwrap_or_default()),
    };
    let is_internal = name.as_ref().is_some_and(|name| topic_name::is_internal(name));
    MetadataResponseTopic::default()
        .with_error_code(code)
        .with_name(name)
        .with_topic_id(asked.topic_id)
        .with_is_internal(is_internal)
}

fn describe(cx: &Context<'_>, topic: &Topic) -> MetadataResponseTopic {
    let node = cx.broker.controller.node_id();
    let is_offline = cx.broker.offline_in(topic);
    let partitions = (0..).zip(&topic.partitions).map(|(index, partition)| match is_offline(index) {
        false => describe_partition(node, index, partition),
        true => describe_partition(node, index, &partition.without_directory(node))
            .with_offline_replicas(partition.replicas.iter().copied().map(BrokerId).collect()),
    });
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(StrBytes::from_string(topic.name.to_string()))))
        .with_topic_id(topic.id)
        .with_is_internal(topic_name::is_internal(&topic.name))
        .with_partitions(partitions.collect())
}

fn describe_partition(node: i32, index: i32, partition: &PartitionInfo) -> MetadataResponsePartition {
    let led = partition.leader == node;
    let code = if led { 0 } else { ResponseError::LeaderNotAvailable.code() };
    MetadataResponsePartition::default()
        .with_error_code(code)
        .with_partition_index(index)
        .with_leader_id(BrokerId(if led { node } else { NO_LEADER }))
        .with_leader_epoch(partition.leader_epoch)
        .with_replica_nodes(partition.replicas.iter().copied().map(BrokerId).collect())
        .with_isr_nodes(partition.isr.iter().copied().map(BrokerId).collect())
        .with_offline_replicas(partition.offline_replicas(node).map(BrokerId).collect())
}

#[cfg(test)]
mod tests;
