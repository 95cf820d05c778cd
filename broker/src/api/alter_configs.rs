//! AlterConfigs (33), versions 0 to 2, which do not differ but in their encoding.
//!
//! Replaces all settings of a topic, a broker, a group or a subscription to client metrics by those that are given.
//! IncrementalAlterConfigs has taken its place, and shares its checks.
//!
//! * A resource that comes twice, or a key that does: INVALID_REQUEST.
//! * Levels of loggers: INVALID_REQUEST, as in Kafka.

use super::{Answer, Context};
use crate::controller::{ConfigChange, ConfigEdit, Refusal, outcome};
use crate::metadata::{BROKER_RESOURCE, CLIENT_METRICS_RESOURCE, GROUP_RESOURCE, TOPIC_RESOURCE};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_configs_request::AlterConfigsResource;
use kafka_protocol::messages::alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};
use std::collections::HashSet;

pub(crate) fn handle(cx: &Context<'_>, request: AlterConfigsRequest) -> Answer<AlterConfigsResponse> {
    let ids: Vec<_> = request.resources.iter().map(|r| (r.resource_type, &*r.resource_name)).collect();
    let changes = request.resources.iter().zip(each_once(&ids));
    let changes = changes.map(|(resource, is_once)| is_once.and_then(|()| change(resource).map(Some)));
    let results = alter(cx, changes.collect(), request.validate_only);
    let responses = request.resources.iter().zip(results).map(|(resource, result)| {
        let (code, message) = outcome(&result);
        AlterConfigsResourceResponse::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone())
            .with_error_code(code)
            .with_error_message(message)
    });
    AlterConfigsResponse::default().with_responses(responses.collect()).into()
}

/// Refuses each resource that comes twice.
pub(super) fn each_once(ids: &[(i8, &str)]) -> Vec<Result<(), Refusal>> {
    let mut seen = HashSet::new();
    let twice: HashSet<_> = ids.iter().filter(|id| !seen.insert(**id)).collect();
    let check = |id: &(i8, &str)| match twice.contains(id) {
        true => Err(invalid("Each resource must appear at most once.".to_owned())),
        false => Ok(()),
    };
    ids.iter().map(check).collect()
}

/// Makes the changes that make sense; gives what became of each resource, in their order. `None` is one that needs
/// nothing stored.
pub(super) fn alter(
    cx: &Context<'_>,
    changes: Vec<Result<Option<ConfigChange>, Refusal>>,
    validate_only: bool,
) -> Vec<Result<(), Refusal>> {
    let wanted: Vec<ConfigChange> = changes.iter().flatten().flatten().cloned().collect();
    let mut altered = cx.broker.controller.alter_configs(&wanted, validate_only).map(Vec::into_iter);
    let result = |change: Result<Option<ConfigChange>, Refusal>| match (change?, &mut altered) {
        (None, _) => Ok(()),
        (Some(_), Ok(results)) => results.next().unwrap_or(Ok(())),
        (Some(_), Err(refusal)) => Err(refusal.clone()),
    };
    changes.into_iter().map(result).collect()
}

fn change(resource: &AlterConfigsResource) -> Result<ConfigChange, Refusal> {
    let configs = &resource.configs;
    check_keys(configs.iter().map(|config| (&*config.name, config.value.is_some())))?;
    check_type(resource.resource_type)?;
    let settings = configs
        .iter()
        .map(|config| (config.name.to_string(), config.value.as_deref().unwrap_or_default().to_owned()));
    Ok(ConfigChange {
        resource_type: resource.resource_type,
        name: resource.resource_name.to_string(),
        edit: ConfigEdit::All(settings.collect()),
    })
}

/// Refuses keys that come twice, and those that lack their value.
pub(super) fn check_keys<'a>(keys: impl Iterator<Item = (&'a str, bool)>) -> Result<(), Refusal> {
    let (mut names, mut nulls) = (HashSet::new(), Vec::new());
    for (name, is_complete) in keys {
        if !names.insert(name) {
            return Err(invalid("Error due to duplicate config keys".to_owned()));
        }
        if !is_complete {
            nulls.push(name);
        }
    }
    match nulls.as_slice() {
        [] => Ok(()),
        names => Err(invalid(format!("Null value not supported for : {}", names.join(", ")))),
    }
}

/// Refuses what has no settings that are stored.
pub(super) fn check_type(resource_type: i8) -> Result<(), Refusal> {
    match resource_type {
        TOPIC_RESOURCE | BROKER_RESOURCE | CLIENT_METRICS_RESOURCE | GROUP_RESOURCE => Ok(()),
        other => Err(invalid(format!("Unknown resource type {other}"))),
    }
}

pub(super) fn invalid(message: String) -> Refusal {
    Refusal::new(ResponseError::InvalidRequest, message)
}

#[cfg(test)]
mod tests;
