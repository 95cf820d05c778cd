//! Changes of topics and configurations, as all the tools ask a cluster for them.

use crate::client::{Client, ClientError, To, check, string, topic_name};
use crate::metadata::TOPIC_RESOURCE;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{
    ApiKey, CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteTopicsRequest, DeleteTopicsResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};
use std::collections::BTreeMap;

/// How long the broker may take for a change.
pub(crate) const TIMEOUT_MS: i32 = 30_000;
/// Operations of IncrementalAlterConfigs.
const SET: i8 = 0;
const DELETE: i8 = 1;

/// A resource that has configurations.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resource<'a> {
    /// Its kind, as `ConfigResource.Type` numbers them.
    pub(crate) kind: i8,
    /// Its name; empty for the default of all brokers.
    pub(crate) name: &'a str,
}

impl<'a> Resource<'a> {
    /// A topic.
    pub(crate) fn topic(name: &'a str) -> Self {
        Self { kind: TOPIC_RESOURCE, name }
    }
}

/// A topic to make, by the broker's defaults where nothing is said.
pub(crate) fn new_topic(
    name: &str,
    partitions: Option<i32>,
    replicas: Option<i16>,
    config: &BTreeMap<String, String>,
) -> CreatableTopic {
    let configs = config.iter().map(|(key, value)| {
        CreatableTopicConfig::default().with_name(string(key)).with_value(Some(string(value)))
    });
    CreatableTopic::default()
        .with_name(topic_name(name))
        .with_num_partitions(partitions.unwrap_or(-1))
        .with_replication_factor(replicas.unwrap_or(-1))
        .with_configs(configs.collect())
}

/// Makes a topic.
///
/// # Errors
/// It is there already, or the broker does not like it.
pub(crate) async fn create_topic(client: &mut Client, topic: CreatableTopic) -> Result<(), ClientError> {
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(TIMEOUT_MS);
    let check_all = |answer: &CreateTopicsResponse| {
        answer.topics.iter().try_for_each(|topic| {
            check(ApiKey::CreateTopics as i16, topic.error_code, topic.error_message.as_deref())
        })
    };
    client.call_checked::<CreateTopicsRequest, _>(To::Controller, |_| &request, check_all).await.map(drop)
}

/// Gives topics more partitions.
///
/// # Errors
/// One has as many already, or is not there.
pub(crate) async fn create_partitions(
    client: &mut Client,
    topics: Vec<CreatePartitionsTopic>,
) -> Result<(), ClientError> {
    let request = CreatePartitionsRequest::default().with_topics(topics).with_timeout_ms(TIMEOUT_MS);
    let check_all = |answer: &CreatePartitionsResponse| {
        answer.results.iter().try_for_each(|topic| {
            check(ApiKey::CreatePartitions as i16, topic.error_code, topic.error_message.as_deref())
        })
    };
    client.call_checked::<CreatePartitionsRequest, _>(To::Controller, |_| &request, check_all).await.map(drop)
}

/// Gives a topic more partitions, so many in all, wherever the cluster puts them.
///
/// # Errors
/// It has as many already, or is not there.
pub(crate) async fn grow(client: &mut Client, topic: &str, partitions: i32) -> Result<(), ClientError> {
    let topic = CreatePartitionsTopic::default()
        .with_name(topic_name(topic))
        .with_count(partitions)
        .with_assignments(None);
    create_partitions(client, vec![topic]).await
}

/// Deletes topics by their names.
///
/// # Errors
/// One is not there, or may not be deleted.
pub(crate) async fn delete_topics<T: AsRef<str>>(
    client: &mut Client,
    names: &[T],
) -> Result<(), ClientError> {
    let make = |version| {
        let request = DeleteTopicsRequest::default().with_timeout_ms(TIMEOUT_MS);
        let names = names.iter().map(|name| topic_name(name.as_ref()));
        // From version 6 on, topics have ids, too.
        if version < 6 {
            return request.with_topic_names(names.collect());
        }
        request.with_topics(names.map(|name| DeleteTopicState::default().with_name(Some(name))).collect())
    };
    let check_all = |answer: &DeleteTopicsResponse| {
        answer.responses.iter().try_for_each(|topic| {
            check(ApiKey::DeleteTopics as i16, topic.error_code, topic.error_message.as_deref())
        })
    };
    client.call_checked::<DeleteTopicsRequest, _>(To::Controller, make, check_all).await.map(drop)
}

/// Sets and takes back configurations of a resource.
///
/// # Errors
/// A configuration makes no sense, or the resource is not there.
pub(crate) async fn configure(
    client: &mut Client,
    to: To<'_>,
    resource: Resource<'_>,
    set: &BTreeMap<String, String>,
    unset: &[String],
) -> Result<(), ClientError> {
    let unset = unset.iter().map(|key| (key, DELETE, ""));
    let configs = unset.chain(set.iter().map(|(key, value)| (key, SET, value.as_str())));
    let configs = configs.map(|(key, operation, value)| {
        AlterableConfig::default()
            .with_name(string(key))
            .with_config_operation(operation)
            .with_value(Some(string(value)))
    });
    let resource = AlterConfigsResource::default()
        .with_resource_type(resource.kind)
        .with_resource_name(string(resource.name))
        .with_configs(configs.collect());
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let check_all = |answer: &IncrementalAlterConfigsResponse| {
        answer.responses.iter().try_for_each(|one| {
            check(ApiKey::IncrementalAlterConfigs as i16, one.error_code, one.error_message.as_deref())
        })
    };
    client.call_checked::<IncrementalAlterConfigsRequest, _>(to, |_| &request, check_all).await.map(drop)
}
