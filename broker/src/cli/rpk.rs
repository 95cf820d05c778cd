//! `rpk`, as far as scripts and health checks use it: clusters, topics, groups; and the start of a broker, which is not a
//! tool but the broker itself ([`start_of`]).

mod group;
mod start;
mod topic;

use super::connect::{block_on, client_of, load};
use super::failure::Failure;
use super::flags::{self, Flag, Given, help, maybe, switch, value};
use super::screen::Screen;
use super::table::Table;
use super::tools::Run;
use crate::client::Client;
pub use start::RedpandaStart;

/// Its name.
pub(crate) const NAME: &str = "rpk";
/// The tool.
pub(crate) const RUN: Run = Run::Words(run);

const ADDRESS: &str = "127.0.0.1:9092";
/// Where the address may be set.
const VARIABLES: [&str; 2] = ["RPK_BROKERS", "REDPANDA_BROKERS"];
const SHORT: [(&str, &str); 13] = [
    ("-X", "--option"),
    ("-p", "--partitions"),
    ("-r", "--replicas"),
    ("-c", "--topic-config"),
    ("-f", "--format"),
    ("-k", "--key"),
    ("-H", "--header"),
    ("-n", "--num"),
    ("-o", "--offset"),
    ("-g", "--group"),
    ("-z", "--compression"),
    ("-s", "--print-summary"),
    ("-h", "--help"),
];
const FLAGS: &[Flag] = &[
    value("brokers", "HOST:PORT", "The brokers to connect to."),
    value("option", "KEY=VALUE", "brokers=HOST:PORT."),
    value("config", "FILE", "Properties of the client."),
    maybe("partitions", "N", "How many partitions; or which; or (without a value) show them."),
    value("replicas", "N", "How many replicas."),
    value("topic-config", "KEY=VALUE", "A configuration of the topic; may be repeated."),
    value("key", "KEY", "The key of the records."),
    value("header", "KEY:VALUE", "A header of the records; may be repeated."),
    value("num", "N", "End after so many records."),
    value(
        "offset",
        "OFFSET",
        "start (default), end, 47, +2, -3, @-1h, @2026-01-31; up to another: :end, 5:10, @-2h:-1h.",
    ),
    value(
        "format",
        "FORMAT",
        "%t topic, %p partition, %o offset, %k key, %v value, %d milliseconds; json (default). Of produce: %k %v %p.",
    ),
    switch("read-committed", "Leave out records of open and aborted transactions."),
    value("group", "ID", "The group to read in."),
    value("compression", "CODEC", "none, gzip, snappy, lz4 or zstd."),
    switch("print-summary", "Show the summary alone."),
    switch("exit-when-healthy", "End as soon as all is well."),
    switch("watch", "Read and not used."),
    switch("help", "Print usage information."),
];
const USAGE: &str = "usage: rpk cluster info|health, rpk topic create|list|describe|produce|consume|delete, rpk group list|describe, \
     rpk redpanda start";

/// What `rpk redpanda start` is to do, if that is what the words are.
///
/// # Errors
/// It is, and what follows cannot be read.
pub(crate) fn start_of(words: &[String]) -> Option<Result<RedpandaStart, Failure>> {
    let words: Vec<String> = words.iter().flat_map(|word| apart(word)).map(str::to_owned).collect();
    let rest = match words.as_slice() {
        [first, second, rest @ ..] if first == "redpanda" && second == "start" => rest,
        _ => return None,
    };
    let asks = rest.iter().any(|word| word == "--help" || word == "-h");
    (!asks).then(|| RedpandaStart::read(rest))
}

/// Compose files have a flag and its value in one item of a list, `- --kafka-addr internal://0.0.0.0:9092`, and the first two
/// words; Redpanda's image takes them apart.
fn apart(word: &str) -> Vec<&str> {
    match word.split_once(' ') {
        Some((flag, value)) if flag.starts_with('-') && !flag.contains('=') => vec![flag, value.trim_start()],
        _ if word == "redpanda start" => vec!["redpanda", "start"],
        _ => vec![word],
    }
}

fn run(screen: &mut Screen, words: &[String]) -> Result<(), Failure> {
    let given = Given::read_short(&[FLAGS], words, |word| flags::long(&SHORT, word))?;
    let words: Vec<&str> = given.words.iter().map(String::as_str).collect();
    if given.has("help") {
        return Ok(screen.say(format_args!("{USAGE}\n{}", help(FLAGS)))?);
    }
    let mut client = connect(&given)?;
    block_on(async {
        match words.as_slice() {
            ["cluster", "info" | "metadata" | "status"] => info(screen, &mut client).await,
            ["cluster", "health"] => health(screen, &mut client).await,
            ["topic", "create", names @ ..] => topic::create(screen, &given, &mut client, names).await,
            ["topic", "list" | "ls"] => topic::list(screen, &mut client).await,
            ["topic", "describe", name] => topic::describe(screen, &given, &mut client, name).await,
            ["topic", "produce", name] => topic::produce(screen, &given, &mut client, name).await,
            ["topic", "consume", names @ ..] => topic::consume(screen, &given, &mut client, names).await,
            ["topic", "delete", names @ ..] => topic::delete(screen, &mut client, names).await,
            ["group", "list" | "ls"] => group::list(screen, &mut client).await,
            ["group", "describe", names @ ..] => group::describe(screen, &mut client, names).await,
            _ => Err(Failure::text(USAGE)),
        }
    })
}

fn connect(given: &Given) -> Result<Client, Failure> {
    let option = given.all("option").find_map(|pair| pair.strip_prefix("brokers=")).map(str::to_owned);
    let variable = || VARIABLES.iter().find_map(|name| std::env::var(name).ok());
    let address = given.one("brokers")?.map(str::to_owned).or(option).or_else(variable);
    let properties = given.one("config")?.map(load).transpose()?.unwrap_or_default();
    client_of(address.as_deref().unwrap_or(ADDRESS), &properties)
}

async fn info(screen: &mut Screen, client: &mut Client) -> Result<(), Failure> {
    let mut topics = client.metadata(None).await?;
    topics.retain(|topic| !topic.is_internal);
    topics.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    screen.say(format_args!("CLUSTER\n=======\n{}\n", client.cluster_id().unwrap_or_default()))?;
    screen.say("BROKERS\n=======")?;
    let mut brokers = Table::new(&["ID", "HOST", "PORT"]);
    for node in client.nodes().values() {
        let mark = if client.controller() == Some(node.id) { "*" } else { "" };
        brokers.row(&[&format!("{}{mark}", node.id), &node.host, &node.port.to_string()]);
    }
    screen.put(brokers.text().as_bytes())?;
    if !topics.is_empty() {
        screen.say("\nTOPICS\n======")?;
        screen.put(topic::table(&topics).text().as_bytes())?;
    }
    Ok(())
}

async fn health(screen: &mut Screen, client: &mut Client) -> Result<(), Failure> {
    let topics = client.metadata(None).await?;
    let (mut leaderless, mut lagging) = (Vec::new(), Vec::new());
    for topic in &topics {
        for partition in &topic.partitions {
            let name = format!("kafka/{}/{}", topic.name, partition.index);
            if partition.leader.is_none() {
                leaderless.push(name);
            } else if partition.isr.len() < partition.replicas.len() {
                lagging.push(name);
            }
        }
    }
    let mut reasons = Vec::new();
    if !leaderless.is_empty() {
        reasons.push("leaderless_partitions");
    }
    if !lagging.is_empty() {
        reasons.push("under_replicated_partitions");
    }
    let nodes: Vec<String> = client.nodes().keys().map(ToString::to_string).collect();
    let controller = client.controller().map_or_else(|| "-1".to_owned(), |id| id.to_string());
    screen.say("CLUSTER HEALTH OVERVIEW\n=======================")?;
    for (name, text) in [
        ("Healthy:".to_owned(), reasons.is_empty().to_string()),
        ("Unhealthy reasons:".to_owned(), format!("[{}]", reasons.join(" "))),
        ("Controller ID:".to_owned(), controller),
        ("All nodes:".to_owned(), format!("[{}]", nodes.join(" "))),
        ("Nodes down:".to_owned(), "[]".to_owned()),
        (format!("Leaderless partitions ({}):", leaderless.len()), format!("[{}]", leaderless.join(" "))),
        (format!("Under-replicated partitions ({}):", lagging.len()), format!("[{}]", lagging.join(" "))),
    ] {
        screen.say(format_args!("{name:33} {text}"))?;
    }
    Ok(())
}
