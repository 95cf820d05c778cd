//! Quotas of users, clients and addresses.

use super::entities::Entities;
use crate::cli::connect::Properties;
use crate::cli::failure::Failure;
use crate::cli::screen::Screen;
use crate::client::{Client, ClientError, To, check, string};
use kafka_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use kafka_protocol::messages::describe_client_quotas_request::ComponentData;
use kafka_protocol::messages::{
    AlterClientQuotasRequest, AlterClientQuotasResponse, ApiKey, DescribeClientQuotasRequest,
    DescribeClientQuotasResponse,
};
use std::collections::BTreeMap;

/// Quotas of clients and users, and those of addresses.
const CLIENT_KEYS: [&str; 4] =
    ["producer_byte_rate", "consumer_byte_rate", "request_percentage", "controller_mutation_rate"];
const IP_KEYS: [&str; 1] = ["connection_creation_rate"];

/// Types of entities, and the order in which they are printed: type, name in requests, name for people.
const KINDS: [(&str, &str, &str); 3] =
    [("users", "user", "user-principal"), ("clients", "client-id", "client-id"), ("ips", "ip", "ip")];

/// An entity's parts (type and name, none for the default) and its quotas.
type Quotas = Vec<(BTreeMap<String, Option<String>>, BTreeMap<String, f64>)>;

/// Sets and removes quotas.
pub(super) async fn alter(
    client: &mut Client,
    entities: &Entities,
    add: &Properties,
    remove: &[String],
) -> Result<(), Failure> {
    check_keys(entities, add, remove)?;
    let old: BTreeMap<String, f64> =
        ask(client, entities).await?.into_iter().next().map(|(_, quotas)| quotas).unwrap_or_default();
    let odd: Vec<&str> = remove.iter().map(String::as_str).filter(|key| !old.contains_key(*key)).collect();
    if !odd.is_empty() {
        return Err(Failure::text(format!("Invalid config(s): {}", odd.join(","))));
    }
    let mut ops = Vec::new();
    for (key, value) in add {
        let number = value.parse().map_err(|_| {
            Failure::text(format!("Cannot parse quota configuration value for {key}: {value}"))
        })?;
        ops.push(OpData::default().with_key(string(key)).with_value(number));
    }
    ops.extend(remove.iter().map(|key| OpData::default().with_key(string(key)).with_remove(true)));
    let parts = entities.types.iter().zip(&entities.names).map(|(kind, name)| {
        let name = (!name.is_empty()).then(|| string(name));
        EntityData::default().with_entity_type(string(request_name(kind))).with_entity_name(name)
    });
    let entry = EntryData::default().with_entity(parts.collect()).with_ops(ops);
    let request = AlterClientQuotasRequest::default().with_entries(vec![entry]);
    let check_all = |answer: &AlterClientQuotasResponse| {
        answer.entries.iter().try_for_each(|entry| {
            check(ApiKey::AlterClientQuotas as i16, entry.error_code, entry.error_message.as_deref())
        })
    };
    client.call_checked::<AlterClientQuotasRequest, _>(To::Controller, |_| &request, check_all).await?;
    Ok(())
}

/// Prints quotas.
pub(super) async fn describe(
    screen: &mut Screen,
    client: &mut Client,
    entities: &Entities,
) -> Result<(), Failure> {
    for (entity, quotas) in ask(client, entities).await? {
        let names: Vec<String> = KINDS
            .iter()
            .filter_map(|(_, key, people)| match entity.get(*key)? {
                Some(name) => Some(format!("{people} '{name}'")),
                None => Some(format!("the default {people}")),
            })
            .collect();
        let values: Vec<String> =
            quotas.iter().map(|(key, value)| format!("{key}={}", java_double(*value))).collect();
        screen.say(format_args!("Quota configs for {} are {}", names.join(", "), values.join(", ")))?;
    }
    Ok(())
}

fn check_keys(entities: &Entities, add: &Properties, remove: &[String]) -> Result<(), Failure> {
    let is_ip = entities.types.iter().any(|kind| kind == "ips");
    let allowed: &[&str] = if is_ip { &IP_KEYS } else { &CLIENT_KEYS };
    let is_unknown = |key: &&String| !allowed.contains(&key.as_str());
    let added: Vec<&str> = add.keys().filter(is_unknown).map(String::as_str).collect();
    let removed: Vec<&str> = remove.iter().filter(is_unknown).map(String::as_str).collect();
    if let Some(key) = added.iter().chain(&removed).find(|key| key.starts_with("SCRAM-")) {
        return Err(Failure::text(format!("{key}: SCRAM credentials cannot be changed with this tool yet")));
    }
    let kind = if is_ip {
        "ips"
    } else if entities.types.iter().any(|kind| kind == "clients") {
        "clients"
    } else {
        "users"
    };
    let what = match kind {
        "ips" => "Only connection quota configs",
        "clients" => "Only quota configs",
        _ => "Only quota and SCRAM credential configs",
    };
    for (verb, keys) in [("added", added), ("deleted", removed)] {
        if !keys.is_empty() {
            let verb = if is_ip { "added" } else { verb };
            let list = keys.join(",");
            let text = format!(
                "{what} can be {verb} for '{kind}' using --bootstrap-server. Unexpected config names: {list}"
            );
            return Err(Failure::text(text));
        }
    }
    Ok(())
}

fn request_name(kind: &str) -> &'static str {
    KINDS.iter().find(|(known, _, _)| *known == kind).map_or("", |(_, name, _)| name)
}

async fn ask(client: &mut Client, entities: &Entities) -> Result<Quotas, ClientError> {
    let components = entities.types.iter().enumerate().map(|(index, kind)| {
        // 0: this name, 1: the default, 2: any that has one.
        let (match_type, name) = match entities.names.get(index) {
            None => (2, None),
            Some(name) if name.is_empty() => (1, None),
            Some(name) => (0, Some(string(name))),
        };
        ComponentData::default()
            .with_entity_type(string(request_name(kind)))
            .with_match_type(match_type)
            .with_match(name)
    });
    let request =
        DescribeClientQuotasRequest::default().with_components(components.collect()).with_strict(true);
    let check_one = |answer: &DescribeClientQuotasResponse| {
        check(ApiKey::DescribeClientQuotas as i16, answer.error_code, answer.error_message.as_deref())
    };
    let answer =
        client.call_checked::<DescribeClientQuotasRequest, _>(To::Any, |_| &request, check_one).await?;
    let mut all: Quotas = answer
        .entries
        .unwrap_or_default()
        .into_iter()
        .map(|entry| {
            let entity = entry.entity.into_iter();
            let entity = entity
                .map(|part| (part.entity_type.to_string(), part.entity_name.map(|name| name.to_string())));
            let values = entry.values.into_iter().map(|value| (value.key.to_string(), value.value));
            (entity.collect(), values.collect())
        })
        .collect();
    all.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    Ok(all)
}

/// A number as Java prints it: `1024.0`, `1.0E7`.
fn java_double(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 || (1e-3..1e7).contains(&size) || !value.is_finite() {
        return format!("{value:?}");
    }
    let text = format!("{value:E}");
    match text.split_once('E') {
        Some((digits, exponent)) if !digits.contains('.') => format!("{digits}.0E{exponent}"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::java_double;

    #[test]
    fn numbers_as_java_prints_them() {
        for (value, text) in [
            (0.0, "0.0"),
            (1024.0, "1024.0"),
            (0.5, "0.5"),
            (9_999_999.0, "9999999.0"),
            (1e7, "1.0E7"),
            (12_345_678.0, "1.2345678E7"),
            (0.0001, "1.0E-4"),
        ] {
            assert_eq!(java_double(value), text);
        }
    }
}
