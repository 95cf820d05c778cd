//! Waiting for a cluster: `cub` and `ub` of the Confluent images, and `milena wait`.

use super::connect::{Properties, block_on, client_of, load};
use super::failure::Failure;
use super::flags::{self, Flag, Given, switch, value};
use super::own;
use super::screen::Screen;
use super::tools::Run;
use super::verbs::{CLUSTER, Verb, bootstrap, properties};
use super::{ServeArgs, gather};
use crate::client::{Client, ClientError};
use crate::config::{BrokerConfig, Listener};
use std::time::Duration;
use tokio::time::Instant;

/// `cub` and `ub`.
pub(crate) const UTILITY: Run = Run::Words(utility);
/// `milena wait`.
pub(crate) const WAIT: Run = Run::Verbs(&[Verb {
    name: "",
    words: "",
    help: "Wait until a broker answers, and topics and groups are as they should be; for HEALTHCHECK and scripts.",
    flags: &[CLUSTER, WAIT_FLAGS],
    run: wait,
}]);

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
    switch(
        "image",
        "Wait for the broker that milena compat serve runs in this container, wherever it listens.",
    ),
    value("timeout", "TIME", "How long to wait: 90s, 2m (default: 30s)."),
    value("brokers", "N", "How many brokers there must be (default: 1)."),
    value("topic", "NAME", "A topic that must be there with all its leaders; may be repeated."),
    value(
        "group",
        "NAME=STATE",
        "A group that must be Stable, Empty, ... (default: Stable); may be repeated.",
    ),
];

/// What to wait for.
struct Ready<'a> {
    address: &'a str,
    properties: Properties,
    brokers: usize,
    topics: Vec<&'a str>,
    groups: Vec<(&'a str, &'a str)>,
    timeout: Duration,
}

fn wait(_: &mut Screen, given: &Given) -> Result<(), Failure> {
    let address = match given.has("image") {
        true => of_image()?,
        false => Some(bootstrap(given)?),
    };
    // Who serves no clients is as ready as can be.
    let Some(address) = address else { return Ok(()) };
    until_ready(Ready {
        address: &address,
        properties: properties(given)?,
        brokers: given.number("brokers")?.unwrap_or(1),
        topics: given.all("topic").collect(),
        groups: given.all("group").map(|group| group.rsplit_once('=').unwrap_or((group, "Stable"))).collect(),
        timeout: given.one("timeout")?.map_or(Ok(Duration::from_secs(30)), own::time)?,
    })
}

/// Where the broker of this container listens, by the files and variables that it reads itself; `None` if it serves no clients.
fn of_image() -> Result<Option<String>, Failure> {
    let args = ServeArgs { image: true, ..ServeArgs::default() };
    let (sources, default_dir) = gather(args).map_err(Failure::Text)?;
    let config = BrokerConfig::load(&sources, &default_dir).map_err(|e| Failure::text(e.to_string()))?;
    Ok(config.network.listeners.first().map(seen_from_inside))
}

/// A name that is not this machine's is listened on everywhere, and so at `localhost`.
fn seen_from_inside(listener: &Listener) -> String {
    let (endpoint, port) = (&listener.endpoint, listener.endpoint.port);
    match endpoint.is_wildcard() {
        true => format!("localhost:{port}"),
        false => {
            let address = endpoint.to_string();
            let (_, address) = address.split_once("://").unwrap_or(("", &address));
            format!("{address},localhost:{port}")
        }
    }
}

fn utility(screen: &mut Screen, words: &[String]) -> Result<(), Failure> {
    let given = Given::read_short(&[FLAGS], words, |word| flags::long(&SHORT, word))?;
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
                topics: Vec::new(),
                groups: Vec::new(),
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
    let mut properties = ready.properties.clone();
    let ms = ready.timeout.as_millis().max(1).to_string();
    for key in ["default.api.timeout.ms", "request.timeout.ms"] {
        properties.entry(key.into()).or_insert_with(|| ms.clone());
    }
    let mut client = client_of(ready.address, &properties)?;
    let until = std::time::Instant::now() + ready.timeout;
    block_on(async {
        loop {
            let reason = match missing(&mut client, &ready).await {
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
async fn missing(client: &mut Client, ready: &Ready<'_>) -> Result<Option<String>, ClientError> {
    let found = client.metadata(Some(&ready.topics)).await?;
    let (count, brokers) = (client.nodes().len(), ready.brokers);
    if count < brokers {
        return Ok(Some(format!("Expected {brokers} brokers but found only {count}.")));
    }
    let is_led = |topic: &crate::client::Topic| {
        topic.error == 0 && topic.partitions.iter().all(|partition| partition.leader.is_some())
    };
    if let Some(topic) = found.iter().find(|topic| !is_led(topic)) {
        return Ok(Some(format!("Topic {} is not there.", topic.name)));
    }
    for (id, wanted) in &ready.groups {
        let group = own::find_group(client, id).await?;
        let state = group.as_ref().map_or("Dead", |group| group.state.as_str());
        if !state.eq_ignore_ascii_case(wanted) {
            return Ok(Some(format!("Group {id} is {state} and not {wanted}.")));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::seen_from_inside;
    use crate::config::{BrokerConfig, Sources};
    use std::path::Path;

    #[test]
    fn a_broker_is_found_where_it_listens() {
        for (listeners, expected) in [
            ("PLAINTEXT://:29092,CONTROLLER://:9093", "localhost:29092"),
            ("PLAINTEXT://0.0.0.0:1,B://kafka:2", "localhost:1"),
            ("B://kafka:29092", "kafka:29092,localhost:29092"),
            ("PLAINTEXT://[::1]:5", "[::1]:5,localhost:5"),
        ] {
            let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
            let map = pair("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "PLAINTEXT:PLAINTEXT,B:PLAINTEXT");
            let environment = vec![pair("KAFKA_LISTENERS", listeners), map];
            let sources = Sources { environment, in_image: true, ..Sources::default() };
            let config = BrokerConfig::load(&sources, Path::new("/data")).unwrap();
            assert_eq!(seen_from_inside(&config.network.listeners[0]), expected);
        }
    }
}
