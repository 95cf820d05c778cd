//! Waiting for a cluster: `cub` and `ub` of the Confluent images, and `milena wait`.

use super::connect::{Properties, block_on, client_of, load};
use super::failure::Failure;
use super::flags::{self, Flag, Given, value};
use super::screen::Screen;
use super::tools::Run;
use crate::client::{Client, ClientError};
use std::time::Duration;
use tokio::time::Instant;

/// `cub` and `ub`.
pub(crate) const UTILITY: Run = Run::Words(utility);
/// `milena wait`.
pub(crate) const WAIT: Run = Run::Flags(WAIT_FLAGS, wait);

const ADDRESS: &str = "localhost:9092";
const LOOK_AGAIN: Duration = Duration::from_millis(100);
const SHORT: [(&str, &str); 4] =
    [("-b", "--bootstrap-servers"), ("-c", "--config"), ("-s", "--security"), ("-z", "--zookeeper")];
const FLAGS: &[Flag] = &[
    value("bootstrap-servers", "HOST:PORT", "The brokers to connect to."),
    value("bootstrap_broker_list", "HOST:PORT", "The older name of it."),
    value("config", "FILE", "Properties of the client."),
    value("security", "PROTOCOL", "PLAINTEXT."),
    value("zookeeper", "HOST:PORT", "Read and not used: there is no ZooKeeper."),
];
const WAIT_FLAGS: &[Flag] = &[
    value("bootstrap-server", "HOST:PORT", "The brokers to connect to (default: localhost:9092)."),
    value("timeout", "SECONDS", "How long to wait (default: 30)."),
    value("brokers", "N", "How many brokers there must be (default: 1)."),
    value("topic", "NAME", "A topic that must be there with all its leaders."),
    value("command-config", "FILE", "Properties of the client."),
];

/// What to wait for.
struct Ready<'a> {
    address: &'a str,
    properties: Properties,
    brokers: usize,
    topic: Option<&'a str>,
    timeout: Duration,
}

fn wait(_: &mut Screen, given: &Given) -> Result<(), Failure> {
    let seconds = given.number::<f64>("timeout")?.unwrap_or(30.0);
    let timeout = Duration::try_from_secs_f64(seconds)
        .map_err(|_| Failure::text(format!("--timeout {seconds} is no time to wait")))?;
    until_ready(Ready {
        address: given.one("bootstrap-server")?.unwrap_or(ADDRESS),
        properties: given.one("command-config")?.map(load).transpose()?.unwrap_or_default(),
        brokers: given.number("brokers")?.unwrap_or(1),
        topic: given.one("topic")?,
        timeout,
    })
}

fn utility(screen: &mut Screen, words: &[String]) -> Result<(), Failure> {
    let long = |word: &String| flags::long(&SHORT, word);
    let given = Given::read(FLAGS, &words.iter().map(long).collect::<Vec<_>>())?;
    let words: Vec<&str> = given.words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["kafka-ready", brokers, seconds] => {
            let number = |text: &str| {
                text.parse::<u32>().map_err(|_| Failure::text(format!("{text} is not a number")))
            };
            if let Some(protocol) = given.one("security")?.filter(|protocol| *protocol != "PLAINTEXT") {
                return Err(Failure::text(format!("{protocol} is not supported yet, only PLAINTEXT is")));
            }
            let address = given.one("bootstrap-servers")?.or(given.one("bootstrap_broker_list")?);
            until_ready(Ready {
                address: address.unwrap_or(ADDRESS),
                properties: given.one("config")?.map(load).transpose()?.unwrap_or_default(),
                brokers: usize::try_from(number(brokers)?).unwrap_or(usize::MAX),
                topic: None,
                timeout: Duration::from_secs(u64::from(number(seconds)?)),
            })
        }
        ["zk-ready", ..] => Ok(screen.say("There is no ZooKeeper here, and none is needed.")?),
        ["ensure", name] => match std::env::var_os(name).filter(|value| !value.is_empty()) {
            Some(_) => Ok(()),
            None => Err(Failure::text(format!("environment variable {name:?} is not set"))),
        },
        _ => Err(Failure::Usage(
            "usage: cub|ub kafka-ready BROKERS SECONDS [-b HOST:PORT] [-c FILE] [-s PROTOCOL] | zk-ready ... | ensure NAME".into(),
        )),
    }
}

fn until_ready(ready: Ready<'_>) -> Result<(), Failure> {
    let mut properties = ready.properties;
    let ms = ready.timeout.as_millis().max(1).to_string();
    for key in ["default.api.timeout.ms", "request.timeout.ms"] {
        properties.entry(key.into()).or_insert_with(|| ms.clone());
    }
    let mut client = client_of(ready.address, &properties)?;
    let until = std::time::Instant::now() + ready.timeout;
    block_on(async {
        loop {
            let reason = match missing(&mut client, ready.brokers, ready.topic).await {
                Ok(None) => return Ok(()),
                Ok(Some(reason)) => reason,
                // A name that is not known yet may be so a little later: containers start in any order.
                Err(error) => error.to_string(),
            };
            let left = Instant::from_std(until).saturating_duration_since(Instant::now());
            if left <= LOOK_AGAIN {
                return Err(Failure::text(format!("Not ready: {reason}")));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    })
}

/// What is not there yet.
async fn missing(
    client: &mut Client,
    brokers: usize,
    topic: Option<&str>,
) -> Result<Option<String>, ClientError> {
    let names: Vec<&str> = topic.into_iter().collect();
    let found = client.metadata(Some(&names)).await?;
    let count = client.nodes().len();
    if count < brokers {
        return Ok(Some(format!("Expected {brokers} brokers but found only {count}.")));
    }
    let is_led = |topic: &crate::client::Topic| {
        topic.error == 0 && topic.partitions.iter().all(|partition| partition.leader.is_some())
    };
    Ok(found.iter().find(|topic| !is_led(topic)).map(|topic| format!("Topic {} is not there.", topic.name)))
}
