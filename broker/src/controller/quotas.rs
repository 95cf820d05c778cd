//! Client quotas (`ClientQuotaControlManager`).

use super::{Controller, Refusal};
use crate::metadata::QuotaEntity;
use kafka_protocol::ResponseError;
use milena_protocol::stored::metadata::{ClientQuotaEntity, ClientQuotaRecord, MetadataRecord};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Part of an entity: whoever authenticated by this name.
pub(crate) const USER: &str = "user";
/// Part of an entity: whoever calls itself so.
pub(crate) const CLIENT_ID: &str = "client-id";
/// An address that connections come from.
pub(crate) const IP: &str = "ip";

/// Bytes produced in a second.
pub(crate) const PRODUCER_BYTE_RATE: &str = "producer_byte_rate";
/// Bytes fetched in a second.
pub(crate) const CONSUMER_BYTE_RATE: &str = "consumer_byte_rate";
/// Share of the time of one thread.
pub(crate) const REQUEST_PERCENTAGE: &str = "request_percentage";
/// Partitions created or deleted in a second.
pub(crate) const CONTROLLER_MUTATION_RATE: &str = "controller_mutation_rate";
/// Connections in a second.
pub(crate) const CONNECTION_CREATION_RATE: &str = "connection_creation_rate";

/// What shall become of the quotas of an entity: a value sets one, none removes it.
#[derive(Clone, Debug)]
pub(crate) struct QuotaAlteration {
    /// Whom they are for, by the names of its parts; no part comes twice.
    pub(crate) entity: QuotaEntity,
    /// The quotas, in the order of the request.
    pub(crate) operations: Vec<(String, Option<f64>)>,
}

/// What became of each entity.
pub(crate) type QuotaResults = Vec<(QuotaEntity, Result<(), Refusal>)>;

impl Controller {
    /// Changes quotas, or with `validate_only` checks whether they could be; gives what became of each entity, in the
    /// order in which they came first. All that can be done is stored as one batch.
    ///
    /// An entity that comes again is refused, but what it asked for the first time is done, as in Kafka.
    pub(crate) fn alter_quotas(
        &self,
        alterations: &[QuotaAlteration],
        validate_only: bool,
    ) -> Result<QuotaResults, Refusal> {
        let mut writer = self.writer.lock();
        let mut draft = self.draft(&writer)?;
        let mut results = QuotaResults::new();
        for QuotaAlteration { entity, operations } in alterations {
            let mut keys = BTreeSet::new();
            let repeated = operations.iter().any(|(key, _)| !keys.insert(key));
            let before = results.iter_mut().find(|(known, _)| known == entity);
            if repeated || before.is_some() {
                let refusal = invalid(format!("Ignoring duplicate entity {}", displayed(entity)));
                match before {
                    Some((_, result)) => *result = Err(refusal),
                    None => results.push((entity.clone(), Err(refusal))),
                }
                continue;
            }
            let current = draft.image().quotas().get(entity).cloned().unwrap_or_default();
            let result = records(entity, operations, &current).map_err(invalid);
            let result = result.and_then(|records| draft.add_if(records, |_| Ok(())));
            results.push((entity.clone(), result));
        }
        if !validate_only {
            self.commit(&mut writer, draft)?;
        }
        Ok(results)
    }
}

/// The records of what changes; an error is why nothing may.
fn records(
    entity: &QuotaEntity,
    operations: &[(String, Option<f64>)],
    current: &BTreeMap<String, f64>,
) -> Result<Vec<MetadataRecord>, String> {
    let keys = keys_of(entity)?;
    let mut records = Vec::new();
    for (key, value) in operations {
        if let Some(value) = value {
            check_value(keys, key, *value)?;
        }
        let change = match value {
            Some(value) => current.get(key) != Some(value),
            None => current.contains_key(key),
        };
        if change {
            let part = |(entity_type, entity_name): &(String, Option<String>)| ClientQuotaEntity {
                entity_type: entity_type.clone(),
                entity_name: entity_name.clone(),
                ..ClientQuotaEntity::default()
            };
            let record = ClientQuotaRecord {
                entity: entity.iter().map(part).collect(),
                key: key.clone(),
                value: value.unwrap_or_default(),
                remove: value.is_none(),
                ..ClientQuotaRecord::default()
            };
            records.push(record.into());
        }
    }
    Ok(records)
}

/// Keys with the largest value of those that must be whole numbers.
type Keys = [(&'static str, Option<f64>)];

/// The quotas that an entity may have.
fn keys_of(entity: &QuotaEntity) -> Result<&'static Keys, String> {
    const OF_CLIENTS: &Keys = &[
        (PRODUCER_BYTE_RATE, Some(i64::MAX as f64)),
        (CONSUMER_BYTE_RATE, Some(i64::MAX as f64)),
        (REQUEST_PERCENTAGE, None),
        (CONTROLLER_MUTATION_RATE, None),
    ];
    const OF_ADDRESSES: &Keys = &[(CONNECTION_CREATION_RATE, Some(i32::MAX as f64))];
    for (kind, name) in entity {
        if ![USER, CLIENT_ID, IP].contains(&kind.as_str()) {
            return Err(format!("Unhandled client quota entity type: {kind}"));
        }
        if name.as_deref() == Some("") {
            return Err(format!("Empty {kind} not supported"));
        }
    }
    let Some((_, ip)) = entity.iter().find(|(kind, _)| kind == IP) else {
        return if entity.is_empty() {
            Err("Invalid empty client quota entity".into())
        } else {
            Ok(OF_CLIENTS)
        };
    };
    if entity.len() > 1 {
        let reason =
            "Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId";
        return Err(reason.to_owned());
    }
    match ip {
        Some(ip) if ip != "localhost" && ip.parse::<IpAddr>().is_err() => {
            Err(format!("{ip} is not a valid IP or resolvable host."))
        }
        _ => Ok(OF_ADDRESSES),
    }
}

fn check_value(keys: &Keys, key: &str, value: f64) -> Result<(), String> {
    let Some((_, max)) = keys.iter().find(|(known, _)| *known == key) else {
        return Err(format!("Invalid configuration key {key}"));
    };
    if value.is_nan() || value <= 0.0 {
        return Err(format!("Quota {key} must be greater than 0"));
    }
    let Some(max) = max else { return Ok(()) };
    if value > *max {
        let kind = if key == CONNECTION_CREATION_RATE { "an INT" } else { "a LONG" };
        return Err(format!("Proposed value for {key} is too large for {kind}."));
    }
    if value % 1.0 > 1e-6 {
        return Err(format!("{key} cannot be a fractional value."));
    }
    Ok(())
}

fn displayed(entity: &QuotaEntity) -> String {
    let part =
        |(kind, name): &(String, Option<String>)| format!("{kind}={}", name.as_deref().unwrap_or("null"));
    let parts: Vec<_> = entity.iter().map(part).collect();
    format!("ClientQuotaEntity(entries={{{}}})", parts.join(", "))
}

fn invalid(message: String) -> Refusal {
    Refusal::new(ResponseError::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use super::QuotaAlteration;
    use crate::controller::testing::Bench;
    use crate::metadata::QuotaEntity;

    fn entity(parts: &[(&str, &str)]) -> QuotaEntity {
        let part =
            |(kind, name): &(&str, &str)| ((*kind).to_owned(), (*name != "-").then(|| (*name).to_owned()));
        parts.iter().map(part).collect()
    }

    fn alteration(parts: &[(&str, &str)], operations: &[(&str, Option<f64>)]) -> QuotaAlteration {
        let operations = operations.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect();
        QuotaAlteration { entity: entity(parts), operations }
    }

    /// Entity, key, value, why it is refused.
    type Row = (&'static [(&'static str, &'static str)], &'static str, f64, Option<&'static str>);

    #[test]
    fn what_may_be_set() {
        const RATE: &str = "producer_byte_rate";
        let bench = Bench::new();
        #[rustfmt::skip]
        let rows: [Row; 18] = [
            (&[("client-id", "a")], RATE, 1.0, None),
            (&[("client-id", "-"), ("user", "-")], RATE, 9e18, None),
            (&[("user", "u")], "request_percentage", 0.5, None),
            (&[("user", "u")], "request_percentage", f64::INFINITY, None),
            (&[("user", "u")], "controller_mutation_rate", 0.1, None),
            (&[("ip", "10.0.0.1")], "connection_creation_rate", 5.0, None),
            (&[("ip", "-")], "connection_creation_rate", 5.0, None),
            (&[("ip", "-")], RATE, 5.0, Some("Invalid configuration key producer_byte_rate")),
            (&[("ip", "no host")], "connection_creation_rate", 5.0, Some("no host is not a valid IP or resolvable host.")),
            (&[("ip", "-"), ("user", "u")], "connection_creation_rate", 5.0, Some("Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId")),
            (&[("ip", "-")], "connection_creation_rate", 3e9, Some("Proposed value for connection_creation_rate is too large for an INT.")),
            (&[], RATE, 5.0, Some("Invalid empty client quota entity")),
            (&[("x", "y")], RATE, 5.0, Some("Unhandled client quota entity type: x")),
            (&[("user", "")], RATE, 5.0, Some("Empty user not supported")),
            (&[("user", "u")], RATE, 0.0, Some("Quota producer_byte_rate must be greater than 0")),
            (&[("user", "u")], RATE, f64::NAN, Some("Quota producer_byte_rate must be greater than 0")),
            (&[("user", "u")], RATE, 1.5, Some("producer_byte_rate cannot be a fractional value.")),
            (&[("user", "u")], RATE, 1e19, Some("Proposed value for producer_byte_rate is too large for a LONG.")),
        ];
        for (parts, key, value, refused) in rows {
            let wanted = alteration(parts, &[(key, Some(value))]);
            let before = bench.log.bytes().len();
            let checked = bench.controller.alter_quotas(std::slice::from_ref(&wanted), true).unwrap();
            assert_eq!(bench.log.bytes().len(), before, "a check writes nothing");
            let done = bench.controller.alter_quotas(&[wanted], false).unwrap();
            assert_eq!(checked, done);
            let (of, result) = &done[0];
            assert_eq!(*of, entity(parts));
            let message = result.as_ref().err().map(|refusal| refusal.message.as_str());
            assert_eq!(message, refused, "{parts:?} {key} {value}");
            let image = bench.restart();
            let image = image.controller.image();
            let kept = image.quotas().get(of).and_then(|quotas| quotas.get(key)).copied();
            assert_eq!(kept == Some(value), refused.is_none(), "{parts:?} {key} {value}");
        }
    }

    #[test]
    fn removal_and_repetition() {
        let bench = Bench::new();
        let (a, b) = ([("client-id", "a")], [("client-id", "b")]);
        let set = [("producer_byte_rate", Some(5.0)), ("consumer_byte_rate", Some(6.0))];
        let twice = [("producer_byte_rate", Some(5.0)), ("producer_byte_rate", Some(6.0))];
        let wanted = [
            alteration(&a, &set),
            alteration(&b, &twice),
            alteration(&a, &[("producer_byte_rate", Some(7.0))]),
        ];
        let results = bench.controller.alter_quotas(&wanted, false).unwrap();
        let messages: Vec<_> =
            results.iter().map(|(_, result)| result.clone().unwrap_err().message).collect();
        let expected = ["a", "b"]
            .map(|id| format!("Ignoring duplicate entity ClientQuotaEntity(entries={{client-id={id}}})"));
        assert_eq!(messages, expected);
        let kept = bench.controller.image().quotas().get(&entity(&a)).cloned().unwrap();
        assert_eq!(kept.into_values().collect::<Vec<_>>(), [6.0, 5.0]);
        let remove = [("producer_byte_rate", None), ("consumer_byte_rate", None), ("nope", None)];
        bench.controller.alter_quotas(&[alteration(&a, &remove)], false).unwrap();
        assert!(bench.restart().controller.image().quotas().is_empty());
    }
}
