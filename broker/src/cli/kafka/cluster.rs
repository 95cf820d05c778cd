//! `kafka-cluster` (`ClusterTool`).

use super::api_versions;
use crate::cli::connect::{block_on, client_of, load};
use crate::cli::failure::Failure;
use crate::cli::flags::{self, Flag, Given, switch, value};
use crate::cli::screen::Screen;
use crate::cli::tools::Run;
use crate::client::{Client, ClientError, To, check};
use kafka_protocol::messages::{
    ApiKey, BrokerId, DescribeClusterRequest, DescribeClusterResponse, UnregisterBrokerRequest,
    UnregisterBrokerResponse,
};

/// The tool.
pub(crate) const RUN: Run = Run::Words(run);

const COMMANDS: [&str; 4] = ["cluster-id", "list-endpoints", "api-versions", "unregister"];
/// Short names of flags, and the long ones.
const SHORT: [(&str, &str); 4] = [
    ("-b", "--bootstrap-server"),
    ("-C", "--bootstrap-controller"),
    ("-c", "--command-config"),
    ("-i", "--id"),
];
const FLAGS: &[Flag] = &[
    value("bootstrap-server", "HOST:PORT", "The brokers to connect to."),
    value("bootstrap-controller", "HOST:PORT", "The controllers to connect to."),
    value("config", "FILE", "Properties of the client; --command-config is the newer name."),
    value("command-config", "FILE", "Properties of the client."),
    value("id", "ID", "The broker to unregister."),
    switch("include-fenced-brokers", "List fenced brokers, too."),
];

fn run(screen: &mut Screen, words: &[String]) -> Result<(), Failure> {
    let usage = || {
        let commands = COMMANDS.join("|");
        format!("usage: kafka-cluster {{{commands}}} --bootstrap-server HOST:PORT\n{}", flags::help(FLAGS))
    };
    let long = |word: &String| flags::long(&SHORT, word);
    let words: Vec<String> = words.iter().map(long).collect();
    if words.iter().any(|word| word == "-h" || word == "--help") {
        screen.say(usage())?;
        return Ok(());
    }
    let given = Given::read(FLAGS, &words)?;
    let Some(command) = given.words.first().filter(|word| COMMANDS.contains(&word.as_str())) else {
        return Err(Failure::Usage(usage()));
    };
    let bootstrap = match (given.one("bootstrap-server")?, given.one("bootstrap-controller")?) {
        (Some(_), Some(_)) => {
            let text = "argument --bootstrap-controller/-C: not allowed with argument --bootstrap-server/-b";
            return Err(Failure::Usage(format!("{}kafka-cluster: error: {text}", usage())));
        }
        (Some(address), None) | (None, Some(address)) => address,
        (None, None) => {
            let text = "one of the arguments --bootstrap-server/-b --bootstrap-controller/-C is required";
            return Err(Failure::Usage(format!("{}kafka-cluster: error: {text}", usage())));
        }
    };
    let config = given.one("command-config")?.or(given.one("config")?);
    let properties = config.map(load).transpose()?.unwrap_or_default();
    let mut client = client_of(bootstrap, &properties)?;
    if given.has("bootstrap-controller") {
        client.stay_there();
        if given.has("include-fenced-brokers") {
            let text = "The option --include-fenced-brokers is only supported with --bootstrap-server option";
            return Err(Failure::text(text));
        }
    }
    block_on(async {
        match command.as_str() {
            "cluster-id" => cluster_id(screen, &mut client).await,
            "api-versions" => api_versions::print_all(screen, &mut client).await,
            "unregister" => unregister(screen, &given, &mut client).await,
            _ => endpoints(screen, &given, &mut client).await,
        }
    })
}

async fn cluster_id(screen: &mut Screen, client: &mut Client) -> Result<(), Failure> {
    let id = if client.stays() {
        Some(described(client, false).await?.cluster_id.to_string())
    } else {
        client.metadata(Some(&[])).await?;
        client.cluster_id().map(str::to_owned)
    };
    match id {
        Some(id) => screen.say(format_args!("Cluster ID: {id}"))?,
        None => screen.say("No cluster ID found. The Kafka version is probably too old.")?,
    }
    Ok(())
}

async fn unregister(screen: &mut Screen, given: &Given, client: &mut Client) -> Result<(), Failure> {
    let id = given.number::<i32>("id")?;
    let id = id.ok_or_else(|| Failure::text("kafka-cluster: error: argument --id/-i is required"))?;
    let request = UnregisterBrokerRequest::default().with_broker_id(BrokerId(id));
    let check_one = |answer: &UnregisterBrokerResponse| {
        check(ApiKey::UnregisterBroker as i16, answer.error_code, answer.error_message.as_deref())
    };
    match client.call_checked::<UnregisterBrokerRequest, _>(To::Controller, |_| &request, check_one).await {
        Ok(_) => screen.say(format_args!("Broker {id} is no longer registered."))?,
        Err(ClientError::Unsupported { .. }) => {
            screen.say("The target cluster does not support the broker unregistration API.")?;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// The brokers or, of those who are controllers, the controllers.
pub(crate) async fn described(
    client: &mut Client,
    fenced: bool,
) -> Result<DescribeClusterResponse, ClientError> {
    let request = DescribeClusterRequest::default()
        .with_endpoint_type(if client.stays() { 2 } else { 1 })
        .with_include_fenced_brokers(fenced);
    let check_one = |answer: &DescribeClusterResponse| {
        check(ApiKey::DescribeCluster as i16, answer.error_code, answer.error_message.as_deref())
    };
    client.call_checked::<DescribeClusterRequest, _>(To::Any, |_| &request, check_one).await
}

async fn endpoints(screen: &mut Screen, given: &Given, client: &mut Client) -> Result<(), Failure> {
    let controllers = client.stays();
    let answer = described(client, given.has("include-fenced-brokers")).await?;
    let rack = |rack: &Option<kafka_protocol::protocol::StrBytes>| {
        rack.as_ref().map_or("null".into(), ToString::to_string)
    };
    let host_width = answer.brokers.iter().map(|broker| broker.host.len()).max().unwrap_or(100);
    let racks = answer.brokers.iter().filter_map(|broker| broker.rack.as_ref().map(|rack| rack.len()));
    let rack_width = racks.max().unwrap_or(10);
    let mut row = |id: &str, host: &str, port: &str, rack: &str, state: &str, kind: &str| {
        let state = if controllers { String::new() } else { format!("{state:<10} ") };
        screen.say(format_args!(
            "{id:<10} {host:<host_width$} {port:<10} {rack:<rack_width$} {state}{kind:<15}"
        ))
    };
    row("ID", "HOST", "PORT", "RACK", "STATE", "ENDPOINT_TYPE")?;
    for broker in &answer.brokers {
        let (id, port) = (broker.broker_id.0.to_string(), broker.port.to_string());
        let state = if broker.is_fenced { "fenced" } else { "unfenced" };
        let kind = if controllers { "controller" } else { "broker" };
        row(&id, &broker.host, &port, &rack(&broker.rack), state, kind)?;
    }
    Ok(())
}
