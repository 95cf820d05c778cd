//! `kafka-broker-api-versions` (`BrokerApiVersionsCommand`).

use crate::cli::connect::{block_on, client};
use crate::cli::failure::Failure;
use crate::cli::flags::{Flag, Given, value};
use crate::cli::screen::Screen;
use crate::cli::tools::Run;
use crate::client::{Client, To};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiKey, DescribeClusterRequest, DescribeClusterResponse};
use kafka_protocol::protocol::VersionRange;
use std::collections::BTreeMap;

/// The tool.
pub(crate) const RUN: Run = Run::Flags(FLAGS, run);

const FLAGS: &[Flag] = &[
    value("bootstrap-server", "HOST:PORT", "REQUIRED. The brokers to connect to."),
    value("command-config", "FILE", "Properties of the client."),
];

/// The APIs that are for clients: those that brokers have for each other are not missed where they are missing.
const INTERNAL: [i16; 20] = [4, 5, 6, 7, 52, 53, 54, 56, 58, 59, 62, 63, 67, 70, 73, 82, 93, 94, 95, 96];
/// The last API of Kafka 4.1.
const LAST: i16 = 92;

fn run(screen: &mut Screen, given: &Given) -> Result<(), Failure> {
    given.required("bootstrap-server")?;
    let mut client = client(given)?;
    block_on(async { print_all(screen, &mut client).await })
}

/// Prints the APIs of all brokers.
pub(super) async fn print_all(screen: &mut Screen, client: &mut Client) -> Result<(), Failure> {
    client.metadata(Some(&[])).await?;
    let fenced = fenced(client).await;
    for node in client.nodes().clone().into_values() {
        let (host, port, id) = (&node.host, node.port, node.id);
        let rack = node.rack.as_deref().unwrap_or("null");
        let is_fenced = fenced.contains(&id);
        let name = format!("{host}:{port} (id: {id} rack: {rack} isFenced: {is_fenced})");
        match client.connection(To::Node(id)).await {
            Ok(connection) => screen.say(format_args!("{name} -> {}", apis(connection.apis())))?,
            Err(error) => screen.say(format_args!("{name} -> ERROR: {error}"))?,
        }
    }
    Ok(())
}

/// Brokers that the cluster leaves out. Old clusters do not say.
async fn fenced(client: &mut Client) -> Vec<i32> {
    let request = DescribeClusterRequest::default().with_endpoint_type(1);
    let answer: DescribeClusterResponse = client.call(To::Any, &request).await.unwrap_or_default();
    answer.brokers.iter().filter(|broker| broker.is_fenced).map(|broker| broker.broker_id.0).collect()
}

fn apis(versions: &[ApiVersion]) -> String {
    let mut rows: BTreeMap<i16, String> =
        versions.iter().map(|version| (version.api_key, row(version))).collect();
    for key in (0..=LAST).filter(|key| !INTERNAL.contains(key)) {
        if let Some(name) = name_of(key) {
            rows.entry(key).or_insert_with(|| format!("{name}({key}): UNSUPPORTED"));
        }
    }
    format!("(\n\t{}\n)", rows.into_values().collect::<Vec<_>>().join(",\n\t"))
}

fn name_of(key: i16) -> Option<String> {
    match key {
        88 => Some("StreamsGroupHeartbeat".to_owned()),
        89 => Some("StreamsGroupDescribe".to_owned()),
        _ => ApiKey::try_from(key).ok().map(|api| format!("{api:?}")),
    }
}

fn row(version: &ApiVersion) -> String {
    let (key, min, max) = (version.api_key, version.min_version, version.max_version);
    let range = if min == max { min.to_string() } else { format!("{min} to {max}") };
    let Some(name) = name_of(key) else { return format!("UNKNOWN({key}): {range}") };
    // Those that the codec does not know have one version, 0.
    let ours = ApiKey::try_from(key).map_or(VersionRange { min: 0, max: 0 }, |api| api.valid_versions());
    let usable = if ours.max < min {
        "unusable: node too new".to_owned()
    } else if max < ours.min {
        "unusable: node too old".to_owned()
    } else {
        format!("usable: {}", ours.max.min(max))
    };
    format!("{name}({key}): {range} [{usable}]")
}

#[cfg(test)]
mod tests {
    use super::{apis, row};
    use kafka_protocol::messages::api_versions_response::ApiVersion;

    fn version(key: i16, min: i16, max: i16) -> ApiVersion {
        ApiVersion::default().with_api_key(key).with_min_version(min).with_max_version(max)
    }

    #[test]
    fn rows_say_what_can_be_used() {
        for ((key, min, max), expected) in [
            ((3, 0, 13), "Metadata(3): 0 to 13 [usable: 13]"),
            ((3, 0, 2), "Metadata(3): 0 to 2 [usable: 2]"),
            ((3, 900, 900), "Metadata(3): 900 [unusable: node too new]"),
            ((0, 0, 1), "Produce(0): 0 to 1 [unusable: node too old]"),
            ((30_000, 1, 2), "UNKNOWN(30000): 1 to 2"),
        ] {
            assert_eq!(row(&version(key, min, max)), expected);
        }
        let text = apis(&[version(3, 0, 13)]);
        assert!(text.starts_with("(\n\tProduce(0): UNSUPPORTED,\n\t") && text.ends_with("\n)"), "{text}");
        assert!(!text.contains("(4)") && !text.contains("ControlledShutdown"), "{text}");
    }
}
