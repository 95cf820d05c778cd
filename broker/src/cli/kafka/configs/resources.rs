//! Configurations of topics, brokers, groups and subscriptions to metrics.

use crate::cli::admin::{self, Resource};
use crate::cli::connect::Properties;
use crate::cli::failure::Failure;
use crate::cli::kafka::cluster;
use crate::cli::kafka::configs_of;
use crate::cli::kafka::groups;
use crate::cli::screen::Screen;
use crate::client::{Client, ClientError, To, check};
use kafka_protocol::messages::{ApiKey, ListConfigResourcesRequest, ListConfigResourcesResponse};

/// A kind of resource: the number that requests have for it, and that of its own source.
fn kind_of(kind: &str, name: &str) -> (i8, i8) {
    match kind {
        "topics" => (2, 1),
        "brokers" if name.is_empty() => (4, 3),
        "brokers" => (4, 2),
        "broker-loggers" => (8, 6),
        "client-metrics" => (16, 7),
        _ => (32, 8),
    }
}

/// The broker that knows: each has its own configuration.
fn broker_of<'a>(kind: &str, name: &str) -> To<'a> {
    match name.parse() {
        Ok(id) if kind.starts_with("broker") => To::Node(id),
        _ => To::Any,
    }
}

/// Sets and removes configurations of one resource.
pub(super) async fn alter(
    client: &mut Client,
    kind: &str,
    name: &str,
    add: &Properties,
    remove: &[String],
) -> Result<(), Failure> {
    let (number, source) = kind_of(kind, name);
    if kind == "broker-loggers" {
        let known = configs_of::describe(client, broker_of(kind, name), number, &[name], false).await?;
        let known: Vec<&str> = known.iter().flat_map(|one| &one.configs).map(|entry| &*entry.name).collect();
        let odd: Vec<&str> =
            remove.iter().chain(add.keys()).map(String::as_str).filter(|key| !known.contains(key)).collect();
        if !odd.is_empty() {
            return Err(Failure::text(format!("Invalid broker logger(s): {}", odd.join(","))));
        }
    } else {
        // As Kafka 4.1 does: what is not set cannot be removed.
        let old = configs_of::describe(client, broker_of(kind, name), number, &[name], false).await?;
        let old: Vec<&str> = old
            .iter()
            .flat_map(|one| &one.configs)
            .filter(|entry| entry.config_source == source)
            .map(|entry| &*entry.name)
            .collect();
        let odd: Vec<&str> = remove.iter().map(String::as_str).filter(|key| !old.contains(key)).collect();
        if !odd.is_empty() {
            return Err(Failure::text(format!("Invalid config(s): {}", odd.join(","))));
        }
    }
    let to = match broker_of(kind, name) {
        To::Any => To::Controller,
        to => to,
    };
    Ok(admin::configure(client, to, Resource { kind: number, name }, add, remove).await?)
}

/// Prints the configurations of one resource, or of all of a kind.
pub(super) async fn describe(
    screen: &mut Screen,
    client: &mut Client,
    kind: &str,
    name: Option<&str>,
    all: bool,
) -> Result<(), Failure> {
    let known = match name {
        // Controllers tell of no brokers.
        Some(name) if client.stays() => vec![name.to_owned()],
        _ => known(client, kind).await?,
    };
    let singular = kind.strip_suffix('s').unwrap_or(kind);
    let names = match name {
        Some(name) if !all && !known.iter().any(|known| known == name) => {
            screen.say(format_args!(
                "The {singular} '{name}' doesn't exist and doesn't have dynamic config."
            ))?;
            return Ok(());
        }
        Some(name) => vec![name.to_owned()],
        None => known,
    };
    for name in names {
        if name.is_empty() {
            screen.say(format_args!("Default configs for {kind} in the cluster are:"))?;
        } else {
            let which = if all { "All" } else { "Dynamic" };
            screen.say(format_args!("{which} configs for {singular} {name} are:"))?;
        }
        let (number, source) = kind_of(kind, &name);
        let found = configs_of::describe(client, broker_of(kind, &name), number, &[&name], true).await?;
        let mut entries: Vec<_> = found
            .iter()
            .flat_map(|one| &one.configs)
            .filter(|entry| all || entry.config_source == source)
            .collect();
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        for entry in entries {
            let text = |value: &Option<kafka_protocol::protocol::StrBytes>| {
                value.as_ref().map_or_else(|| "null".to_owned(), ToString::to_string)
            };
            let synonyms: Vec<String> = entry
                .synonyms
                .iter()
                .map(|one| {
                    format!("{}:{}={}", configs_of::source_name(one.source), one.name, text(&one.value))
                })
                .collect();
            screen.say(format_args!(
                "  {}={} sensitive={} synonyms={{{}}}",
                entry.name,
                text(&entry.value),
                entry.is_sensitive,
                synonyms.join(", ")
            ))?;
        }
    }
    Ok(())
}

/// The resources of a kind that there are; an empty name is the default of all.
async fn known(client: &mut Client, kind: &str) -> Result<Vec<String>, Failure> {
    let mut names: Vec<String> = match kind {
        "topics" => client.metadata(None).await?.into_iter().map(|topic| topic.name).collect(),
        "brokers" | "broker-loggers" => {
            let ids: Vec<i32> = if client.stays() {
                cluster::described(client, false).await?.brokers.iter().map(|node| *node.broker_id).collect()
            } else {
                client.metadata(Some(&[])).await?;
                client.nodes().keys().copied().collect()
            };
            return Ok(ids.iter().map(ToString::to_string).chain([String::new()]).collect());
        }
        "client-metrics" => listed(client, 16).await?,
        _ => {
            let types = ["Classic".to_owned(), "Consumer".to_owned()];
            let mut names: Vec<String> =
                groups::list(client, &[], &types).await?.into_iter().map(|group| group.id).collect();
            names.extend(listed(client, 32).await?);
            names
        }
    };
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// Resources that have configurations of their own. Old brokers cannot be asked.
async fn listed(client: &mut Client, kind: i8) -> Result<Vec<String>, ClientError> {
    let make = |version| match version {
        // Version 0 knows only subscriptions to metrics.
        0 => ListConfigResourcesRequest::default(),
        _ => ListConfigResourcesRequest::default().with_resource_types(vec![kind]),
    };
    let check_one = |answer: &ListConfigResourcesResponse| {
        check(ApiKey::ListConfigResources as i16, answer.error_code, None)
    };
    match client.call_checked::<ListConfigResourcesRequest, _>(To::Any, make, check_one).await {
        Err(ClientError::Unsupported { .. }) => Ok(Vec::new()),
        answer => Ok(answer?.config_resources.into_iter().map(|one| one.resource_name.to_string()).collect()),
    }
}
