//! `milena doctor`: what keeps clients from getting what they want, with what to do about it.

mod probe;

use super::group;
use super::sheet::{Format, Sheet};
use crate::cli::connect::{Properties, block_on, client_of};
use crate::cli::failure::Failure;
use crate::cli::flags::{Flag, Given, value};
use crate::cli::kafka::configs_of;
use crate::cli::screen::Screen;
use crate::cli::tools::Run;
use crate::cli::verbs::{CLUSTER, OUTPUT, Verb, bootstrap, properties};
use crate::client::{Client, ClientError, To, Topic};
use crate::config::{keys, nearest};
use crate::metadata::{BROKER_RESOURCE, TOPIC_RESOURCE};
use probe::speaker;
use serde_json::json;
use std::time::Duration;

/// The command.
pub(crate) const RUN: Run = Run::Verbs(&[Verb {
    name: "",
    words: "",
    help: "Look for what keeps clients from working: addresses, listeners, leaders, replicas, groups, settings.",
    flags: &[CLUSTER, OUTPUT, FLAGS],
    run,
}]);

const FLAGS: &[Flag] = &[value("wait", "TIME", "How long to wait for each answer (default: 3s).")];
/// A group that rebalances is looked at again after this time: a rebalance is over by then.
const SECOND_LOOK: Duration = Duration::from_secs(3);
/// Type of a key that the broker does not know.
const UNKNOWN_TYPE: i8 = 0;
/// Codes of requests that the broker does not let everybody make.
const DENIED: [i16; 4] = [29, 30, 31, 53];

/// How well something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finding {
    Ok,
    Warning,
    Failure,
}

/// What was found so far.
struct Report {
    sheet: Sheet,
    has_failed: bool,
}

impl Report {
    fn add(&mut self, finding: Finding, what: &str, text: impl Into<String>) {
        let word = match finding {
            Finding::Ok => "ok",
            Finding::Warning => "warning",
            Finding::Failure => "FAILURE",
        };
        self.has_failed |= finding == Finding::Failure;
        self.sheet.row([json!(word), json!(what), json!(text.into())]);
    }
}

fn run(screen: &mut Screen, given: &Given) -> Result<(), Failure> {
    let format = Format::of(given)?;
    let patience = given.one("wait")?.map_or(Ok(Duration::from_secs(3)), super::time)?;
    let mut settings = properties(given)?;
    let ms = patience.as_millis().max(1).to_string();
    for key in ["default.api.timeout.ms", "request.timeout.ms"] {
        settings.entry(key.into()).or_insert_with(|| ms.clone());
    }
    let mut report = Report { sheet: Sheet::new(&["finding", "what", "detail"]), has_failed: false };
    let servers = bootstrap(given)?;
    block_on(async {
        let answering = addresses(&mut report, &servers, &settings, patience).await?;
        let Some(mut client) = answering else { return Ok(()) };
        let topics = match client.metadata(None).await {
            Ok(topics) => topics,
            Err(error) => {
                let text = format!("{error}; a listener that wants SASL closes the connection here");
                report.add(Finding::Failure, "cluster", text);
                return Ok(());
            }
        };
        cluster(&mut report, &mut client, &settings).await?;
        replicas(&mut report, &topics);
        lasting(&mut report, minimal_replicas(&mut client, &topics).await)?;
        lasting(&mut report, unknown_keys(&mut client).await)?;
        let groups = rebalancing(&mut client).await;
        lasting(&mut report, groups)
    })?;
    report.sheet.print(screen, format)?;
    if report.has_failed { Err(Failure::Said) } else { Ok(()) }
}

type Findings = Vec<(Finding, &'static str, String)>;

/// Adds findings, or why there are none.
fn lasting(report: &mut Report, findings: Result<Findings, ClientError>) -> Result<(), Failure> {
    match findings {
        Ok(findings) => {
            findings.into_iter().for_each(|(finding, what, text)| report.add(finding, what, text))
        }
        Err(error) if error.code().is_some_and(|code| DENIED.contains(&code)) => {
            report.add(Finding::Warning, "rights", format!("not everything can be seen: {error}"));
        }
        Err(error) => report.add(Finding::Failure, "cluster", error.to_string()),
    }
    Ok(())
}

/// Tries each bootstrap address by itself. Gives a client of the first that answers.
async fn addresses(
    report: &mut Report,
    servers: &str,
    settings: &Properties,
    patience: Duration,
) -> Result<Option<Client>, Failure> {
    let mut first = None;
    for address in servers.split(',').map(str::trim).filter(|address| !address.is_empty()) {
        let mut client = client_of(address, settings)?;
        match client.connection(To::Any).await {
            Ok(connection) => {
                let count = connection.apis().len();
                report.add(Finding::Ok, "address", format!("{address} answers, with {count} APIs"));
                first.get_or_insert(client);
            }
            Err(error) => {
                let why = speaker(address, patience).unwrap_or_else(|| error.to_string());
                report.add(Finding::Failure, "address", format!("{address}: {why}"));
            }
        }
    }
    Ok(first)
}

/// The brokers, by the addresses that they tell clients.
async fn cluster(report: &mut Report, client: &mut Client, settings: &Properties) -> Result<(), Failure> {
    let id = client.cluster_id().unwrap_or("without an id").to_owned();
    let nodes: Vec<_> = client.nodes().values().cloned().collect();
    report.add(Finding::Ok, "cluster", format!("{id}, {} brokers", nodes.len()));
    if client.controller().is_none() {
        report.add(Finding::Failure, "cluster", "there is no controller: topics cannot be made or changed");
    }
    for node in nodes {
        let host = if node.host.contains(':') { format!("[{}]", node.host) } else { node.host.clone() };
        let address = format!("{host}:{}", node.port);
        // A client of its own: the connection that is there already may lead somewhere else.
        let outcome = match client_of(&address, settings) {
            Ok(mut other) => other.connection(To::Any).await.map(drop).map_err(|error| error.to_string()),
            Err(failure) => Err(failure.to_string()),
        };
        match outcome {
            Ok(()) => report.add(Finding::Ok, "broker", format!("{} is reached at {address}", node.id)),
            Err(error) => {
                let text = format!(
                    "{} tells clients to come to {address}, which cannot be reached from here: {error}; see advertised.listeners",
                    node.id
                );
                report.add(Finding::Failure, "broker", text);
            }
        }
    }
    Ok(())
}

/// Partitions without leaders, or with replicas that lag.
fn replicas(report: &mut Report, topics: &[Topic]) {
    let partitions = || topics.iter().flat_map(|topic| topic.partitions.iter().map(move |one| (topic, one)));
    let name = |(topic, one): &(&Topic, &crate::client::Partition)| format!("{}-{}", topic.name, one.index);
    let leaderless: Vec<String> =
        partitions().filter(|(_, one)| one.leader.is_none()).map(|one| name(&one)).collect();
    let lagging: Vec<String> =
        partitions().filter(|(_, one)| one.isr.len() < one.replicas.len()).map(|one| name(&one)).collect();
    if !leaderless.is_empty() {
        let text = format!("{} have no leader: they can be neither written nor read", some(&leaderless));
        report.add(Finding::Failure, "partitions", text);
    }
    if !lagging.is_empty() {
        report.add(
            Finding::Warning,
            "partitions",
            format!("{} have replicas that are not in sync", some(&lagging)),
        );
    }
    if leaderless.is_empty() && lagging.is_empty() {
        let text = format!("{} topics, {} partitions, all with leaders", topics.len(), partitions().count());
        report.add(Finding::Ok, "partitions", text);
    }
}

/// The first few of many names.
fn some(names: &[String]) -> String {
    match names {
        [first, second, third, rest @ ..] if !rest.is_empty() => {
            format!("{first}, {second}, {third} and {} more", rest.len())
        }
        names => names.join(", "),
    }
}

/// Topics that want more replicas in sync than they have at all.
async fn minimal_replicas(client: &mut Client, topics: &[Topic]) -> Result<Findings, ClientError> {
    let names: Vec<&str> =
        topics.iter().filter(|topic| topic.error == 0).map(|topic| topic.name.as_str()).collect();
    if names.is_empty() {
        return Ok(Findings::new());
    }
    let found = configs_of::describe(client, To::Any, TOPIC_RESOURCE, &names, false).await?;
    let mut findings = Findings::new();
    for result in found {
        let wanted = result.configs.iter().find(|entry| &*entry.name == "min.insync.replicas");
        let wanted = wanted.and_then(|entry| entry.value.as_ref()?.parse::<usize>().ok()).unwrap_or(1);
        let topic = topics.iter().find(|topic| topic.name == *result.resource_name);
        let there = topic.and_then(|topic| topic.partitions.first()).map_or(wanted, |one| one.replicas.len());
        if there < wanted {
            let text = format!(
                "{}: min.insync.replicas is {wanted} and there are {there} replicas: nothing is taken with acks=all",
                &*result.resource_name
            );
            findings.push((Finding::Failure, "topic", text));
        }
    }
    Ok(findings)
}

/// Keys that were set for a broker and mean nothing to it.
async fn unknown_keys(client: &mut Client) -> Result<Findings, ClientError> {
    let mut findings = Findings::new();
    for node in client.nodes().keys().copied().collect::<Vec<_>>() {
        let name = node.to_string();
        let found = configs_of::describe(client, To::Node(node), BROKER_RESOURCE, &[&name], false).await?;
        let entries = found.iter().flat_map(|one| &one.configs);
        for entry in entries
            .filter(|entry| entry.config_type == UNKNOWN_TYPE && keys::find_or_base(&entry.name).is_none())
        {
            let hint = nearest(&entry.name, keys::all().map(|key| key.name));
            let hint = hint.map(|name| format!("; did somebody mean {name}?")).unwrap_or_default();
            let text = format!("broker {node} does not know the key {}{hint}", &*entry.name);
            findings.push((Finding::Warning, "settings", text));
        }
    }
    Ok(findings)
}

/// Groups whose rebalances do not end.
async fn rebalancing(client: &mut Client) -> Result<Findings, ClientError> {
    let is_busy =
        |state: &str| state.ends_with("Rebalance") || state == "Reconciling" || state == "Assigning";
    let all = group::all(client).await?;
    let count = all.len();
    let mut busy: Vec<_> = all.into_iter().filter(|listed| is_busy(&listed.state)).collect();
    if !busy.is_empty() {
        tokio::time::sleep(SECOND_LOOK).await;
        let again = group::all(client).await?;
        busy.retain(|before| again.iter().any(|now| now.id == before.id && is_busy(&now.state)));
    }
    let mut findings =
        vec![(Finding::Ok, "groups", format!("{count} groups, {} in a rebalance", busy.len()))];
    for listed in busy {
        let text = format!(
            "{} is {} and stays so: a member does not answer, or works longer than max.poll.interval.ms; see milena group members {}",
            listed.id, listed.state, listed.id
        );
        findings.push((Finding::Warning, "groups", text));
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::some;

    #[test]
    fn long_lists_are_cut() {
        let names: Vec<String> = (0..5).map(|n| format!("t-{n}")).collect();
        assert_eq!(some(&names[..3]), "t-0, t-1, t-2");
        assert_eq!(some(&names), "t-0, t-1, t-2 and 2 more");
    }
}
