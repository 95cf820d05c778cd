//! DescribeClientQuotas (48), versions 0 and 1, which do not differ but in their encoding (KIP-546).
//!
//! Each component of the filter asks for a part of the entity: by name (0), for the default (1), or for any (2). `strict`
//! leaves out entities that have other parts besides. No component stands for all entities, and with `strict` for none.
//! The checks are those of `ClientQuotasImage.describe`. It answers in the order of its hash maps, which some clients expect:
//! so does this, as far as that does not depend on what was there before.

use super::{Answer, Context};
use crate::controller::Refusal;
use crate::controller::quotas::{CLIENT_ID, IP, USER};
use crate::metadata::QuotaEntity;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_client_quotas_request::ComponentData;
use kafka_protocol::messages::describe_client_quotas_response::{EntityData, EntryData, ValueData};
use kafka_protocol::messages::{DescribeClientQuotasRequest, DescribeClientQuotasResponse};
use kafka_protocol::protocol::StrBytes;
use milena_protocol::java;
use std::collections::BTreeMap;

const EXACT: i8 = 0;
const DEFAULT: i8 = 1;
const SPECIFIED: i8 = 2;

/// What is asked of a part of an entity: one name (`None` the default), or any.
#[derive(Debug, PartialEq)]
enum Match {
    Name(Option<String>),
    Any,
}

pub(crate) fn handle(
    cx: &Context<'_>,
    request: DescribeClientQuotasRequest,
) -> Answer<DescribeClientQuotasResponse> {
    let response = DescribeClientQuotasResponse::default();
    let filter = match filter(&request.components) {
        Ok(filter) => filter,
        Err(refusal) => {
            let response = response.with_error_code(refusal.code()).with_error_message(refusal.text());
            return response.with_entries(None).into();
        }
    };
    let image = cx.broker.controller.image();
    let all = image.quotas().iter();
    let wanted = all.filter(|(entity, _)| matches(&filter, request.strict, entity));
    let place = |entity| place(hash_of_entity(entity), image.quotas().len());
    let mut wanted: Vec<_> = wanted.map(|(entity, quotas)| (place(entity), entity, quotas)).collect();
    wanted.sort_unstable_by_key(|(place, ..)| *place);
    let entries = wanted.into_iter().map(|(_, entity, quotas)| describe(entity, quotas)).collect();
    response.with_error_message(Some(StrBytes::default())).with_entries(Some(entries)).into()
}

fn filter(components: &[ComponentData]) -> Result<BTreeMap<&str, Match>, Refusal> {
    let invalid = |message: String| Err(Refusal::new(ResponseError::InvalidRequest, message));
    let mut filter = BTreeMap::new();
    for component in components {
        let kind = &*component.entity_type;
        let name = component._match.as_ref().map(ToString::to_string);
        if kind.is_empty() {
            return invalid("Invalid empty entity type.".to_owned());
        }
        if filter.contains_key(kind) {
            return invalid(format!("Entity type {kind} cannot appear more than once in the filter."));
        }
        if ![IP, USER, CLIENT_ID].contains(&kind) {
            let message = format!("Unsupported entity type {kind}");
            return Err(Refusal::new(ResponseError::UnsupportedVersion, message));
        }
        let wanted = match (component.match_type, name) {
            (EXACT, None) => {
                return invalid(
                    "Request specified MATCH_TYPE_EXACT, but set match string to null.".to_owned(),
                );
            }
            (EXACT, name) => Match::Name(name),
            (DEFAULT, None) => Match::Name(None),
            (SPECIFIED, None) => Match::Any,
            (DEFAULT | SPECIFIED, Some(_)) => {
                let kind = if component.match_type == DEFAULT { "DEFAULT" } else { "SPECIFIED" };
                return invalid(format!(
                    "Request specified MATCH_TYPE_{kind}, but also specified a match string."
                ));
            }
            (other, _) => return invalid(format!("Unknown match type {other}")),
        };
        filter.insert(kind, wanted);
    }
    if filter.contains_key(IP) && filter.len() > 1 {
        let message = "Invalid entity filter component combination. IP filter component should not be used with user or \
                       clientId filter component.";
        return invalid(message.to_owned());
    }
    Ok(filter)
}

fn matches(filter: &BTreeMap<&str, Match>, strict: bool, entity: &QuotaEntity) -> bool {
    let has = |(kind, wanted): (&&str, &Match)| {
        entity.iter().any(|(of, name)| {
            of == kind
                && match wanted {
                    Match::Name(wanted) => wanted == name,
                    Match::Any => true,
                }
        })
    };
    filter.iter().all(has) && (!strict || entity.len() == filter.len())
}

fn describe(entity: &QuotaEntity, quotas: &BTreeMap<String, f64>) -> EntryData {
    let entity = entity.iter().map(|(kind, name)| {
        EntityData::default()
            .with_entity_type(StrBytes::from_string(kind.clone()))
            .with_entity_name(name.clone().map(StrBytes::from_string))
    });
    let mut values: Vec<_> = quotas.iter().collect();
    values.sort_unstable_by_key(|(key, _)| place(java::hash_code(key), quotas.len()));
    let values = values.into_iter().map(|(key, value)| {
        ValueData::default().with_key(StrBytes::from_string(key.clone())).with_value(*value)
    });
    EntryData::default().with_entity(entity.collect()).with_values(values.collect())
}

/// Where a `HashMap` of Java with so many keys has one, and, for those of one bucket, where the map of the changes had it,
/// from which they came.
fn place(hash_code: i32, keys: usize) -> (u32, u32) {
    (java::bucket(hash_code, java::buckets(2, keys)), java::bucket(hash_code, 16))
}

/// `ClientQuotaEntity.hashCode`
fn hash_of_entity(entity: &QuotaEntity) -> i32 {
    let part = |(kind, name): &(String, Option<String>)| {
        java::hash_code(kind) ^ name.as_deref().map_or(0, java::hash_code)
    };
    entity.iter().map(part).fold(31, i32::wrapping_add)
}

#[cfg(test)]
mod tests {
    use super::{describe, handle};
    use crate::api::alter_client_quotas;
    use crate::controller::testing::{TestBroker, sent};
    use kafka_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
    use kafka_protocol::messages::describe_client_quotas_request::ComponentData;
    use kafka_protocol::messages::{AlterClientQuotasRequest, DescribeClientQuotasRequest};
    use kafka_protocol::protocol::StrBytes;

    fn text(text: &str) -> StrBytes {
        StrBytes::from_string(text.to_owned())
    }

    /// Sets a quota for an entity that is written as `kind=name`, `-` being the default.
    fn set(broker: &TestBroker, version: i16, entity: &str) {
        let part = |part: &str| {
            let (kind, name) = part.split_once('=').unwrap();
            EntityData::default()
                .with_entity_type(text(kind))
                .with_entity_name((name != "-").then(|| text(name)))
        };
        let op = OpData::default().with_key(text("producer_byte_rate")).with_value(5.0);
        let entry =
            EntryData::default().with_entity(entity.split(' ').map(part).collect()).with_ops(vec![op]);
        let request = AlterClientQuotasRequest::default().with_entries(vec![entry]);
        let response = sent(alter_client_quotas::handle(&broker.cx(version), request), version);
        assert_eq!(response.entries[0].error_code, 0, "{entity}");
    }

    /// Error code and entities found.
    fn ask(
        broker: &TestBroker,
        version: i16,
        filter: &[(&str, i8, Option<&str>)],
        strict: bool,
    ) -> (i16, Vec<String>) {
        let component = |(kind, match_type, name): &(&str, i8, Option<&str>)| {
            ComponentData::default()
                .with_entity_type(text(kind))
                .with_match_type(*match_type)
                .with_match(name.map(text))
        };
        let request = DescribeClientQuotasRequest::default()
            .with_components(filter.iter().map(component).collect())
            .with_strict(strict);
        let response = sent(handle(&broker.cx(version), request), version);
        let entries = response.entries.unwrap_or_default();
        let entity = |entry: &kafka_protocol::messages::describe_client_quotas_response::EntryData| {
            assert_eq!((entry.values.len(), entry.values[0].value), (1, 5.0));
            let part = |part: &kafka_protocol::messages::describe_client_quotas_response::EntityData| {
                format!("{}={}", part.entity_type, part.entity_name.as_deref().unwrap_or("-"))
            };
            entry.entity.iter().map(part).collect::<Vec<_>>().join(" ")
        };
        (response.error_code, entries.iter().map(entity).collect())
    }

    /// As Kafka has them after one request that sets them.
    #[test]
    fn values_have_the_order_of_a_hash_map() {
        let keys =
            ["producer_byte_rate", "consumer_byte_rate", "request_percentage", "controller_mutation_rate"];
        for (count, expected) in [(1, &[0][..]), (2, &[1, 0]), (3, &[1, 2, 0]), (4, &[0, 1, 3, 2])] {
            let quotas = keys[..count].iter().map(|key| ((*key).to_owned(), 1.0)).collect();
            let described = describe(&Vec::new(), &quotas);
            let order: Vec<_> = described.values.iter().map(|value| &*value.key).collect();
            assert_eq!(order, expected.iter().map(|at| keys[*at]).collect::<Vec<_>>());
        }
    }

    /// Filter, strict, error code, entities.
    type Row = (&'static [(&'static str, i8, Option<&'static str>)], bool, i16, &'static [&'static str]);

    #[test]
    fn filters() {
        #[rustfmt::skip]
        let rows: [Row; 17] = [
            (&[], false, 0, &["client-id=a user=u", "client-id=a", "user=u", "user=-", "client-id=-"]),
            (&[], true, 0, &[]),
            (&[("user", 0, Some("u"))], false, 0, &["client-id=a user=u", "user=u"]),
            (&[("user", 0, Some("u"))], true, 0, &["user=u"]),
            (&[("user", 1, None)], false, 0, &["user=-"]),
            (&[("user", 2, None)], true, 0, &["user=u", "user=-"]),
            (&[("user", 2, None), ("client-id", 2, None)], true, 0, &["client-id=a user=u"]),
            (&[("user", 0, Some("nobody"))], false, 0, &[]),
            (&[("ip", 2, None)], false, 0, &[]),
            (&[("", 0, Some("u"))], false, 42, &[]),
            (&[("x", 0, Some("u"))], false, 35, &[]),
            (&[("user", 0, None)], false, 42, &[]),
            (&[("user", 1, Some("u"))], false, 42, &[]),
            (&[("user", 2, Some("u"))], false, 42, &[]),
            (&[("user", 3, None)], false, 42, &[]),
            (&[("user", 2, None), ("user", 1, None)], false, 42, &[]),
            (&[("ip", 2, None), ("user", 1, None)], false, 42, &[]),
        ];
        for version in 0..=1 {
            let broker = TestBroker::new(&[]);
            for entity in ["client-id=a", "client-id=-", "user=u", "user=-", "user=u client-id=a"] {
                set(&broker, version, entity);
            }
            for (filter, strict, code, expected) in rows {
                let (seen, entities) = ask(&broker, version, filter, strict);
                assert_eq!(
                    (seen, entities.iter().map(String::as_str).collect()),
                    (code, expected.to_vec()),
                    "v{version} {filter:?} {strict}"
                );
            }
        }
    }
}
