//! Changes of topics, for those of the tools that are not Kafka's.

use super::kafka::topics::TIMEOUT_MS;
use crate::client::{Client, ClientError, To, check, string, topic_name};
use crate::metadata::TOPIC_RESOURCE;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{
    ApiKey, CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};
use std::collections::BTreeMap;

/// Operations of IncrementalAlterConfigs.
const SET: i8 = 0;
const DELETE: i8 = 1;

/// Makes a topic, by the broker's defaults where nothing is said.
///
/// # Errors
/// It is there already, or the broker does not like it.
pub(crate) async fn create(
    client: &mut Client,
    topic: &str,
    partitions: Option<i32>,
    replicas: Option<i16>,
    config: &BTreeMap<String, String>,
) -> Result<(), ClientError> {
    let configs = config.iter().map(|(key, value)| {
        CreatableTopicConfig::default().with_name(string(key)).with_value(Some(string(value)))
    });
    let topic = CreatableTopic::default()
        .with_name(topic_name(topic))
        .with_num_partitions(partitions.unwrap_or(-1))
        .with_replication_factor(replicas.unwrap_or(-1))
        .with_configs(configs.collect());
    let request = CreateTopicsRequest::default().with_topics(vec![topic]).with_timeout_ms(TIMEOUT_MS);
    let check_all = |answer: &CreateTopicsResponse| {
        let key = ApiKey::CreateTopics as i16;
        answer
            .topics
            .iter()
            .try_for_each(|topic| check(key, topic.error_code, topic.error_message.as_deref()))
    };
    client.call_checked::<CreateTopicsRequest, _>(To::Controller, |_| &request, check_all).await.map(drop)
}

/// Gives a topic more partitions, so many in all.
///
/// # Errors
/// It has as many already, or is not there.
pub(crate) async fn grow(client: &mut Client, topic: &str, partitions: i32) -> Result<(), ClientError> {
    let topic = CreatePartitionsTopic::default()
        .with_name(topic_name(topic))
        .with_count(partitions)
        .with_assignments(None);
    let request = CreatePartitionsRequest::default().with_topics(vec![topic]).with_timeout_ms(TIMEOUT_MS);
    let check_all = |answer: &CreatePartitionsResponse| {
        let key = ApiKey::CreatePartitions as i16;
        answer
            .results
            .iter()
            .try_for_each(|topic| check(key, topic.error_code, topic.error_message.as_deref()))
    };
    client.call_checked::<CreatePartitionsRequest, _>(To::Controller, |_| &request, check_all).await.map(drop)
}

/// Sets and takes back settings of a topic.
///
/// # Errors
/// A setting makes no sense, or the topic is not there.
pub(crate) async fn configure(
    client: &mut Client,
    topic: &str,
    set: &BTreeMap<String, String>,
    unset: &[String],
) -> Result<(), ClientError> {
    let unset = unset.iter().map(|key| (key, DELETE, None));
    let configs = set.iter().map(|(key, value)| (key, SET, Some(string(value)))).chain(unset);
    let configs = configs.map(|(key, operation, value)| {
        AlterableConfig::default().with_name(string(key)).with_config_operation(operation).with_value(value)
    });
    let resource = AlterConfigsResource::default()
        .with_resource_type(TOPIC_RESOURCE)
        .with_resource_name(string(topic))
        .with_configs(configs.collect());
    let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
    let check_all = |answer: &IncrementalAlterConfigsResponse| {
        let key = ApiKey::IncrementalAlterConfigs as i16;
        answer
            .responses
            .iter()
            .try_for_each(|response| check(key, response.error_code, response.error_message.as_deref()))
    };
    let outcome =
        client.call_checked::<IncrementalAlterConfigsRequest, _>(To::Controller, |_| &request, check_all);
    outcome.await.map(drop)
}
