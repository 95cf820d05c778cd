//! IncrementalAlterConfigs (44), versions 0 and 1, which do not differ but in their encoding (KIP-339).
//!
//! Sets (0) and deletes (1) settings, adds items to lists (2) and takes items from them (3). What is not named stays.
//!
//! * A resource that comes twice, or a key that does: INVALID_REQUEST.
//! * Settings that can only change by a restart: INVALID_REQUEST; others that are wrong: INVALID_CONFIG.
//! * A resource is changed as a whole or not at all, whatever becomes of the others.
//! * Levels of loggers are changed at once and not stored (`logger_levels`).

use super::alter_configs::{alter, check_keys, check_type, each_once, invalid};
use super::{Answer, Context, logger_levels};
use crate::config::alter::Operation;
use crate::controller::{ConfigChange, ConfigEdit, Refusal, outcome};
use crate::logging;
use crate::metadata::LOGGER_RESOURCE;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use kafka_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

pub(crate) fn handle(
    cx: &Context<'_>,
    request: IncrementalAlterConfigsRequest,
) -> Answer<IncrementalAlterConfigsResponse> {
    let ids: Vec<_> = request.resources.iter().map(|r| (r.resource_type, &*r.resource_name)).collect();
    let changes = request.resources.iter().zip(each_once(&ids));
    let changes =
        changes.map(|(resource, is_once)| is_once.and_then(|()| change(cx, resource, request.validate_only)));
    let results = alter(cx, changes.collect(), request.validate_only);
    let responses = request.resources.iter().zip(results).map(|(resource, result)| {
        let (code, message) = outcome(&result);
        AlterConfigsResourceResponse::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone())
            .with_error_code(code)
            .with_error_message(message)
    });
    IncrementalAlterConfigsResponse::default().with_responses(responses.collect()).into()
}

/// What is to be stored, if anything is: levels of loggers are changed here.
fn change(
    cx: &Context<'_>,
    resource: &AlterConfigsResource,
    validate_only: bool,
) -> Result<Option<ConfigChange>, Refusal> {
    let is_complete = |config: &AlterableConfig| config.config_operation == DELETE || config.value.is_some();
    check_keys(resource.configs.iter().map(|config| (&*config.name, is_complete(config))))?;
    if resource.resource_type == LOGGER_RESOURCE {
        let node_id = cx.broker.controller.node_id();
        return logger_levels::alter(logging::installed(), node_id, resource, validate_only).map(|()| None);
    }
    check_type(resource.resource_type)?;
    let operations = resource.configs.iter().map(|config| {
        let value = config.value.as_deref().unwrap_or_default().to_owned();
        let operation = match config.config_operation {
            SET => Operation::Set(value),
            DELETE => Operation::Delete,
            APPEND => Operation::Append(value),
            SUBTRACT => Operation::Subtract(value),
            other => return Err(invalid(format!("Unknown operations type {other}"))),
        };
        Ok((config.name.to_string(), operation))
    });
    Ok(Some(ConfigChange {
        resource_type: resource.resource_type,
        name: resource.resource_name.to_string(),
        edit: ConfigEdit::Keys(operations.collect::<Result<_, _>>()?),
    }))
}
