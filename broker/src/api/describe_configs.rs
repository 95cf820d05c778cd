//! DescribeConfigs (32), versions 1 to 4, of topics, of this broker and its loggers, of groups and of subscriptions to
//! client metrics.
//!
//! * The broker with an empty name stands for what is set for all brokers at run time.
//! * A group or a subscription need not exist: what is not set has its default.
//! * An error message that is not there is "", as in Kafka.
//! * A resource of a type that there is not: INVALID_REQUEST for all of the request.
//!
//! | version | change |
//! |---|---|
//! | 3 | types, and documentation on demand |

use super::{Answer, Context, logger_levels};
use crate::config::describe::{
    ConfigEntry, describe_broker, describe_client_metrics, describe_cluster_default, describe_group,
    describe_topic,
};
use crate::controller::Refusal;
use crate::logging;
use crate::metadata::{
    BROKER_RESOURCE, CLIENT_METRICS_RESOURCE, GROUP_RESOURCE, LOGGER_RESOURCE, TOPIC_RESOURCE, topic_name,
};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use kafka_protocol::protocol::StrBytes;
use std::collections::BTreeMap;

/// What Kafka says to all resources of a request of which one has a type that it does not know.
const UNKNOWN_TYPE: &str = "This most likely occurs because of a request being malformed by the client library or the \
    message was sent to an incompatible broker. See the broker logs for more details.";

const TYPES: &[i8] =
    &[TOPIC_RESOURCE, BROKER_RESOURCE, LOGGER_RESOURCE, CLIENT_METRICS_RESOURCE, GROUP_RESOURCE];

pub(crate) fn handle(cx: &Context<'_>, request: DescribeConfigsRequest) -> Answer<DescribeConfigsResponse> {
    let all_known = request.resources.iter().all(|resource| TYPES.contains(&resource.resource_type));
    let results = request.resources.iter().map(|resource| {
        let result = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        let entries = if all_known { entries(cx, resource) } else { Err(invalid(UNKNOWN_TYPE.to_owned())) };
        match entries {
            Err(refusal) => result.with_error_code(refusal.code()).with_error_message(refusal.text()),
            Ok(entries) => {
                let asked = resource.configuration_keys.as_deref().unwrap_or_default();
                let is_asked =
                    |entry: &ConfigEntry| asked.is_empty() || asked.iter().any(|name| **name == *entry.name);
                let configs = entries.into_iter().filter(is_asked).map(|entry| describe(entry, &request));
                result.with_configs(configs.collect())
            }
        }
    });
    DescribeConfigsResponse::default().with_results(results.collect()).into()
}

fn entries(cx: &Context<'_>, resource: &DescribeConfigsResource) -> Result<Vec<ConfigEntry>, Refusal> {
    let config = &cx.broker.controller.config();
    let name = resource.resource_name.as_str();
    match resource.resource_type {
        TOPIC_RESOURCE => {
            topic_name::validate(name)
                .map_err(|reason| Refusal::new(ResponseError::InvalidTopicException, reason))?;
            let image = cx.broker.controller.image();
            let topic =
                image.topic(name).ok_or_else(|| Refusal::new(ResponseError::UnknownTopicOrPartition, ""))?;
            Ok(describe_topic(config, &topic.configs))
        }
        BROKER_RESOURCE if name.is_empty() => Ok(describe_cluster_default(config)),
        BROKER_RESOURCE => match name.parse::<i32>() {
            Ok(id) if id == config.node_id => Ok(describe_broker(config)),
            Ok(_) => Err(invalid(format!(
                "Unexpected broker id, expected {} or empty string, but received {name}",
                config.node_id
            ))),
            Err(_) => Err(invalid(format!("Broker id must be an integer, but it is: {name}"))),
        },
        LOGGER_RESOURCE => logger_levels::describe(logging::installed(), config.node_id, name),
        CLIENT_METRICS_RESOURCE if name.is_empty() => {
            Err(invalid("Client metrics subscription name must not be empty".to_owned()))
        }
        CLIENT_METRICS_RESOURCE => Ok(describe_client_metrics(&stored(cx, resource))),
        GROUP_RESOURCE if name.is_empty() => Err(invalid("Group name must not be empty".to_owned())),
        GROUP_RESOURCE => Ok(describe_group(config, &stored(cx, resource))),
        _ => Err(invalid(UNKNOWN_TYPE.to_owned())),
    }
}

/// What is set for a group or a subscription.
fn stored(cx: &Context<'_>, resource: &DescribeConfigsResource) -> BTreeMap<String, String> {
    let image = cx.broker.controller.image();
    image.configs(resource.resource_type, &resource.resource_name).cloned().unwrap_or_default()
}

fn invalid(message: String) -> Refusal {
    Refusal::new(ResponseError::InvalidRequest, message)
}

fn describe(entry: ConfigEntry, request: &DescribeConfigsRequest) -> DescribeConfigsResourceResult {
    let synonyms = entry.synonyms.into_iter().filter(|_| request.include_synonyms).map(|synonym| {
        DescribeConfigsSynonym::default()
            .with_name(StrBytes::from_string(synonym.name))
            .with_value(synonym.value.map(StrBytes::from_string))
            .with_source(synonym.source)
    });
    // Loggers have an empty one, asked for or not.
    let documentation = entry.documentation.filter(|text| request.include_documentation || text.is_empty());
    DescribeConfigsResourceResult::default()
        .with_name(StrBytes::from_string(entry.name))
        .with_value(entry.value.map(StrBytes::from_string))
        .with_read_only(entry.read_only)
        .with_config_source(entry.source)
        .with_is_sensitive(entry.sensitive)
        .with_synonyms(synonyms.collect())
        .with_config_type(entry.config_type)
        .with_documentation(documentation.map(StrBytes::from_string))
}

#[cfg(test)]
mod tests;
