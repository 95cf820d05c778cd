//! AlterClientQuotas (49), versions 0 and 1, which do not differ but in their encoding (KIP-546).
//!
//! * An entity is changed as a whole or not at all, whatever becomes of the others. One that comes twice is answered
//!   once, with an error, as in Kafka.
//! * Addresses are not looked up: an `ip` is an address, or `localhost`.

use super::{Answer, Context};
use crate::controller::{QuotaAlteration, outcome};
use kafka_protocol::messages::alter_client_quotas_request::EntryData as Asked;
use kafka_protocol::messages::alter_client_quotas_response::{EntityData, EntryData};
use kafka_protocol::messages::{AlterClientQuotasRequest, AlterClientQuotasResponse};
use kafka_protocol::protocol::StrBytes;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) fn handle(
    cx: &Context<'_>,
    request: AlterClientQuotasRequest,
) -> Answer<AlterClientQuotasResponse> {
    let wanted: Vec<_> = request.entries.iter().map(alteration).collect();
    let results = cx.broker.controller.alter_quotas(&wanted, request.validate_only);
    let results = results.unwrap_or_else(|refusal| {
        wanted.into_iter().map(|wanted| (wanted.entity, Err(refusal.clone()))).collect()
    });
    cx.broker.quotas.adopt_newest(|| Arc::clone(&cx.broker.controller.image()));
    let entries = results.into_iter().map(|(entity, result)| {
        let (code, message) = outcome(&result);
        let entity = entity.into_iter().map(|(kind, name)| {
            EntityData::default()
                .with_entity_type(StrBytes::from_string(kind))
                .with_entity_name(name.map(StrBytes::from_string))
        });
        EntryData::default().with_error_code(code).with_error_message(message).with_entity(entity.collect())
    });
    AlterClientQuotasResponse::default().with_entries(entries.collect()).into()
}

fn alteration(asked: &Asked) -> QuotaAlteration {
    // Of a part that comes twice the last one counts.
    let entity: BTreeMap<String, Option<String>> = asked
        .entity
        .iter()
        .map(|part| (part.entity_type.to_string(), part.entity_name.as_ref().map(ToString::to_string)))
        .collect();
    let operations = asked.ops.iter().map(|op| (op.key.to_string(), (!op.remove).then_some(op.value)));
    QuotaAlteration { entity: entity.into_iter().collect(), operations: operations.collect() }
}
