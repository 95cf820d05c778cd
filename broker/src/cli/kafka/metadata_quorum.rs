//! `kafka-metadata-quorum` (`MetadataQuorumCommand`).

use super::table::print_table;
use crate::cli::connect::{Properties, block_on, client_of, load};
use crate::cli::failure::Failure;
use crate::cli::flags::{self, Flag, Given, switch, value};
use crate::cli::screen::Screen;
use crate::cli::tools::Run;
use crate::client::{Client, ClientError, To, check, exception_of, string, topic_name};
use crate::clock::Clock;
use kafka_protocol::messages::add_raft_voter_request::Listener;
use kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
use kafka_protocol::messages::describe_quorum_response::{Node, ReplicaState};
use kafka_protocol::messages::{
    AddRaftVoterRequest, AddRaftVoterResponse, ApiKey, DescribeClusterRequest, DescribeQuorumRequest,
    DescribeQuorumResponse, RemoveRaftVoterRequest, RemoveRaftVoterResponse,
};
use milena_protocol::stored::meta_properties::MetaProperties;
use milena_protocol::stored::{uuid_from_base64, uuid_to_base64};
use std::path::Path;
use uuid::Uuid;

/// The tool.
pub(crate) const RUN: Run = Run::Words(run);

const COMMANDS: [&str; 3] = ["describe", "add-controller", "remove-controller"];
/// Short names of flags, and the long ones.
const SHORT: [(&str, &str); 2] = [("-i", "--controller-id"), ("-d", "--controller-directory-id")];
const FLAGS: &[Flag] = &[
    value("bootstrap-server", "HOST:PORT", "The brokers to connect to."),
    value("bootstrap-controller", "HOST:PORT", "The controllers to connect to."),
    value("command-config", "FILE", "Properties of the client; for add-controller those of the controller."),
    switch("status", "Describe: a summary."),
    switch("replication", "Describe: one line for each replica."),
    switch("human-readable", "Describe: times as time that has passed."),
    value("controller-id", "ID", "The controller to remove."),
    value("controller-directory-id", "ID", "Its directory."),
    switch("dry-run", "Say what would be done."),
];
const METADATA_TOPIC: &str = "__cluster_metadata";
const COLUMNS: [&str; 7] =
    ["NodeId", "DirectoryId", "LogEndOffset", "Lag", "LastFetchTimestamp", "LastCaughtUpTimestamp", "Status"];

fn run(screen: &mut Screen, words: &[String]) -> Result<(), Failure> {
    let usage = || {
        let commands = COMMANDS.join("|");
        format!(
            "usage: kafka-metadata-quorum --bootstrap-server HOST:PORT {{{commands}}}\n{}",
            flags::help(FLAGS)
        )
    };
    let wrong = |text: &str| Failure::Usage(format!("{}kafka-metadata-quorum: error: {text}", usage()));
    let words: Vec<String> = words.iter().map(|word| flags::long(&SHORT, word)).collect();
    if words.iter().any(|word| word == "-h" || word == "--help") {
        screen.say(usage())?;
        return Ok(());
    }
    let given = Given::read(FLAGS, &words)?;
    let bootstrap = match (given.one("bootstrap-server")?, given.one("bootstrap-controller")?) {
        (Some(_), Some(_)) => {
            return Err(wrong(
                "argument --bootstrap-controller: not allowed with argument --bootstrap-server",
            ));
        }
        (Some(address), None) | (None, Some(address)) => address,
        (None, None) => {
            return Err(wrong("one of the arguments --bootstrap-server --bootstrap-controller is required"));
        }
    };
    let Some(command) = given.words.first().filter(|word| COMMANDS.contains(&word.as_str())) else {
        return Err(wrong("too few arguments"));
    };
    let properties = given.one("command-config")?.map(load).transpose()?.unwrap_or_default();
    let mut client = client_of(bootstrap, &properties)?;
    block_on(async {
        match command.as_str() {
            "describe" => describe(screen, &given, &mut client).await,
            "add-controller" if !given.has("command-config") => Err(Failure::text(
                "You must supply the configuration file of the controller you are adding when using \
                 add-controller.",
            )),
            "add-controller" => add(screen, &given, &mut client, &properties).await,
            _ => remove(screen, &given, &mut client).await,
        }
    })
}

async fn describe(screen: &mut Screen, given: &Given, client: &mut Client) -> Result<(), Failure> {
    let readable = given.has("human-readable");
    match (given.has("status"), given.has("replication")) {
        (true, true) => Err(Failure::text(
            "Only one of --status or --replication should be specified with describe sub-command",
        )),
        (false, false) => {
            Err(Failure::text("One of --status or --replication must be specified with describe sub-command"))
        }
        (true, false) if readable => {
            Err(Failure::text("The option --human-readable is only supported along with --replication"))
        }
        (true, false) => {
            let kind = if given.has("bootstrap-controller") { 2 } else { 1 };
            status(screen, client, kind).await
        }
        (false, true) => replication(screen, client, readable).await,
    }
}

/// What the quorum is, and the nodes that are told of.
async fn ask(client: &mut Client) -> Result<DescribeQuorumResponse, Failure> {
    let partition = PartitionData::default().with_partition_index(0);
    let topic =
        TopicData::default().with_topic_name(topic_name(METADATA_TOPIC)).with_partitions(vec![partition]);
    let request = DescribeQuorumRequest::default().with_topics(vec![topic]);
    let check_one = |answer: &DescribeQuorumResponse| {
        let key = ApiKey::DescribeQuorum as i16;
        check(key, answer.error_code, answer.error_message.as_deref())?;
        let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        partitions
            .try_for_each(|partition| check(key, partition.error_code, partition.error_message.as_deref()))
    };
    let call = client.call_checked::<DescribeQuorumRequest, _>(To::Any, |_| &request, check_one);
    call.await.map_err(thrown)
}

/// As Kafka's tool prints what its client throws.
fn thrown(error: ClientError) -> Failure {
    match error.code() {
        Some(code) => {
            Failure::text(format!("org.apache.kafka.common.errors.{}: {error}", exception_of(code)))
        }
        None => error.into(),
    }
}

async fn status(screen: &mut Screen, client: &mut Client, endpoint_type: i8) -> Result<(), Failure> {
    let request = DescribeClusterRequest::default().with_endpoint_type(endpoint_type);
    let cluster = client.call(To::Any, &request).await.map_err(thrown)?;
    let answer = ask(client).await?;
    let Some(partition) = answer.topics.iter().flat_map(|topic| &topic.partitions).next() else {
        return Err(Failure::text("the answer tells of no quorum"));
    };
    let leader = partition.current_voters.iter().find(|voter| voter.replica_id == partition.leader_id);
    let slowest = partition.current_voters.iter().min_by_key(|voter| voter.log_end_offset);
    let (Some(leader), Some(slowest)) = (leader, slowest) else {
        return Err(Failure::text("No value present"));
    };
    let lag_ms = match (leader.last_caught_up_timestamp, slowest.last_caught_up_timestamp) {
        _ if std::ptr::eq(leader, slowest) => 0,
        (ours, theirs) if ours >= 0 && theirs >= 0 => ours - theirs,
        _ => -1,
    };
    let nodes = |replicas: &[ReplicaState]| {
        let shown: Vec<String> = replicas.iter().map(|replica| node(replica, &answer.nodes)).collect();
        format!("[{}]", shown.join(", "))
    };
    for (name, value) in [
        ("ClusterId", cluster.cluster_id.to_string()),
        ("LeaderId", partition.leader_id.0.to_string()),
        ("LeaderEpoch", partition.leader_epoch.to_string()),
        ("HighWatermark", partition.high_watermark.to_string()),
        ("MaxFollowerLag", (leader.log_end_offset - slowest.log_end_offset).to_string()),
        ("MaxFollowerLagTimeMs", lag_ms.to_string()),
        ("CurrentVoters", nodes(&partition.current_voters)),
        ("CurrentObservers", nodes(&partition.observers)),
    ] {
        screen.say(format_args!("{:<24}{value}", format!("{name}:")))?;
    }
    Ok(())
}

/// A voter or observer as JSON.
fn node(replica: &ReplicaState, nodes: &[Node]) -> String {
    let id = replica.replica_id;
    let mut text = format!("{{\"id\": {}", id.0);
    if !replica.replica_directory_id.is_nil() {
        text += &format!(", \"directoryId\": \"{}\"", uuid_to_base64(replica.replica_directory_id));
    }
    let listeners = nodes.iter().filter(|node| node.node_id == id).flat_map(|node| &node.listeners);
    let endpoints: Vec<String> = listeners
        .map(|listener| format!("\"{}\"", endpoint(&listener.name, &listener.host, listener.port)))
        .collect();
    if !endpoints.is_empty() {
        text += &format!(", \"endpoints\": [{}]", endpoints.join(", "));
    }
    text + "}"
}

/// With brackets around an address that has colons.
fn endpoint(name: &str, host: &str, port: u16) -> String {
    if host.contains(':') { format!("{name}://[{host}]:{port}") } else { format!("{name}://{host}:{port}") }
}

async fn replication(screen: &mut Screen, client: &mut Client, readable: bool) -> Result<(), Failure> {
    let answer = ask(client).await?;
    let now = Clock::System.now_ms();
    let Some(partition) = answer.topics.iter().flat_map(|topic| &topic.partitions).next() else {
        return Err(Failure::text("the answer tells of no quorum"));
    };
    let is_leader = |voter: &&ReplicaState| voter.replica_id == partition.leader_id;
    let leader = partition.current_voters.iter().find(is_leader);
    let leader = leader.ok_or_else(|| Failure::text("No value present"))?;
    let time = |at: i64| match at {
        at if at < 0 => "-1".to_owned(),
        at if readable => format!("{} ms ago", now - at),
        at => at.to_string(),
    };
    let row = |replica: &ReplicaState, status: &str| {
        vec![
            replica.replica_id.0.to_string(),
            uuid_to_base64(replica.replica_directory_id),
            replica.log_end_offset.to_string(),
            (leader.log_end_offset - replica.log_end_offset).to_string(),
            time(replica.last_fetch_timestamp),
            time(replica.last_caught_up_timestamp),
            status.to_owned(),
        ]
    };
    let followers = partition.current_voters.iter().filter(|voter| !is_leader(voter));
    let mut rows = vec![row(leader, "Leader")];
    rows.extend(followers.map(|voter| row(voter, "Follower")));
    rows.extend(partition.observers.iter().map(|observer| row(observer, "Observer")));
    print_table(screen, &COLUMNS, &rows)
}

async fn remove(screen: &mut Screen, given: &Given, client: &mut Client) -> Result<(), Failure> {
    let id = given.number::<i32>("controller-id")?;
    let id = id.ok_or_else(|| Failure::text("argument --controller-id/-i is required"))?;
    let text = given.one("controller-directory-id")?;
    let text = text.ok_or_else(|| Failure::text("argument --controller-directory-id/-d is required"))?;
    if id < 0 {
        return Err(Failure::text(format!("Invalid negative --controller-id: {id}")));
    }
    let directory = uuid_from_base64(text)
        .map_err(|error| Failure::text(format!("Failed to parse --controller-directory-id: {error}")))?;
    if given.has("dry-run") {
        screen.say(format_args!("DRY RUN of removing  KRaft controller {id} with directory id {text}"))?;
        return Ok(());
    }
    let request = RemoveRaftVoterRequest::default().with_voter_id(id).with_voter_directory_id(directory);
    let check_one = |answer: &RemoveRaftVoterResponse| {
        check(ApiKey::RemoveRaftVoter as i16, answer.error_code, answer.error_message.as_deref())
    };
    let call = client.call_checked::<RemoveRaftVoterRequest, _>(To::Any, |_| &request, check_one);
    call.await.map_err(thrown)?;
    screen.say(format_args!("Removed  KRaft controller {id} with directory id {text}"))?;
    Ok(())
}

async fn add(
    screen: &mut Screen,
    given: &Given,
    client: &mut Client,
    properties: &Properties,
) -> Result<(), Failure> {
    let id = controller_id(properties)?;
    let directory = directory_of(properties)?;
    let listeners = controller_listeners(properties)?;
    let shown: Vec<String> =
        listeners.iter().map(|listener| endpoint(&listener.name, &listener.host, listener.port)).collect();
    if !given.has("dry-run") {
        let request = AddRaftVoterRequest::default()
            .with_voter_id(id)
            .with_voter_directory_id(directory)
            .with_listeners(listeners)
            .with_timeout_ms(30_000);
        let check_one = |answer: &AddRaftVoterResponse| {
            check(ApiKey::AddRaftVoter as i16, answer.error_code, answer.error_message.as_deref())
        };
        let call = client.call_checked::<AddRaftVoterRequest, _>(To::Any, |_| &request, check_one);
        call.await.map_err(thrown)?;
    }
    screen.say(format_args!(
        "{} controller {id} with directory id {} and endpoints: {}",
        if given.has("dry-run") { "DRY RUN of adding" } else { "Added" },
        uuid_to_base64(directory),
        shown.join(", ")
    ))?;
    Ok(())
}

fn controller_id(properties: &Properties) -> Result<i32, Failure> {
    let wrong = |reason: &str| {
        Failure::text(format!("{reason} configuration file. Is this a valid controller configuration file?"))
    };
    let text = properties.get("node.id").ok_or_else(|| wrong("node.id not found in"))?;
    let id: i32 = text.trim().parse().map_err(|_| Failure::text(format!("For input string: \"{text}\"")))?;
    if id < 0 {
        return Err(wrong("node.id was negative in"));
    }
    if !properties.get("process.roles").is_some_and(|roles| roles.contains("controller")) {
        return Err(wrong("process.roles did not contain 'controller' in"));
    }
    Ok(id)
}

/// The id of the directory of the controller's log.
fn directory_of(properties: &Properties) -> Result<Uuid, Failure> {
    let first = |dirs: &String| dirs.trim().split(',').next().unwrap_or_default().to_owned();
    let path = properties.get("metadata.log.dir").cloned();
    let path = path.or_else(|| properties.get("log.dirs").map(first)).ok_or_else(|| {
        let text = "Neither metadata.log.dir nor log.dirs were found. Is this a valid controller configuration file?";
        Failure::text(text)
    })?;
    let unread = || Failure::text(format!("Unable to read meta.properties from {path}"));
    let bytes = std::fs::read(Path::new(&path).join("meta.properties")).map_err(|_| unread())?;
    let meta = MetaProperties::parse(&bytes).map_err(|_| unread())?;
    meta.directory_id.ok_or_else(|| Failure::text(format!("No directory id found in {path}")))
}

/// Where the controller is to be reached; what is advertised goes before what is opened.
fn controller_listeners(properties: &Properties) -> Result<Vec<Listener>, Failure> {
    let names = properties.get("controller.listener.names").ok_or_else(|| {
        let text = "controller.listener.names was not found. Is this a valid controller configuration file?";
        Failure::text(text)
    })?;
    let keys = ["advertised.listeners", "listeners"];
    let written: Vec<&str> =
        keys.iter().filter_map(|key| properties.get(*key)).flat_map(|list| list.split(',')).collect();
    let listener = |name: &str| {
        let name = name.trim().to_uppercase();
        let address = written.iter().find_map(|endpoint| {
            let (other, address) = endpoint.trim().split_once("://")?;
            other.eq_ignore_ascii_case(&name).then_some(address)
        });
        let parts = address.and_then(|address| address.rsplit_once(':'));
        let port = parts.and_then(|(_, port)| port.parse::<u16>().ok());
        let (Some((host, _)), Some(port)) = (parts, port) else {
            let text = format!("Cannot find information about controller listener name: {name}");
            return Err(Failure::text(text));
        };
        let host = host.trim_matches(['[', ']']);
        let host = if host.is_empty() { "localhost" } else { host };
        Ok(Listener::default().with_name(string(&name)).with_host(string(host)).with_port(port))
    };
    names.split(',').map(listener).collect()
}

#[cfg(test)]
mod tests {
    use super::{Properties, controller_id, controller_listeners, endpoint, node};
    use kafka_protocol::messages::BrokerId;
    use kafka_protocol::messages::describe_quorum_response::{Listener, Node, ReplicaState};
    use kafka_protocol::protocol::StrBytes;
    use uuid::Uuid;

    fn properties(pairs: &[(&str, &str)]) -> Properties {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn voters_as_json() {
        let listener = Listener::default()
            .with_name(StrBytes::from_static_str("CONTROLLER"))
            .with_host(StrBytes::from_static_str("h"))
            .with_port(9093);
        let nodes = [Node::default().with_node_id(BrokerId(1)).with_listeners(vec![listener])];
        let voter = |id| ReplicaState::default().with_replica_id(BrokerId(id));
        assert_eq!(node(&voter(1), &nodes), "{\"id\": 1, \"endpoints\": [\"CONTROLLER://h:9093\"]}");
        let other = voter(2).with_replica_directory_id(Uuid::from_u128(1));
        assert_eq!(node(&other, &nodes), "{\"id\": 2, \"directoryId\": \"AAAAAAAAAAAAAAAAAAAAAQ\"}");
        assert_eq!(endpoint("C", "::1", 9), "C://[::1]:9");
    }

    #[test]
    fn controllers_by_their_properties() {
        let rows: [(&[(&str, &str)], &str); 4] = [
            (&[], "node.id not found in configuration file."),
            (&[("node.id", "-1")], "node.id was negative in configuration file."),
            (&[("node.id", "1"), ("process.roles", "broker")], "process.roles did not contain 'controller'"),
            (&[("node.id", "x")], "For input string: \"x\""),
        ];
        for (pairs, expected) in rows {
            let text = controller_id(&properties(pairs)).expect_err(expected).to_string();
            assert!(text.starts_with(expected), "{text}");
        }
        let good = [("node.id", "3"), ("process.roles", "controller")];
        assert_eq!(controller_id(&properties(&good)).expect("an id"), 3);
        let listeners = properties(&[
            ("controller.listener.names", "controller,other"),
            ("listeners", "CONTROLLER://:9093, OTHER://[::1]:9094"),
            ("advertised.listeners", "CONTROLLER://c.example:443"),
        ]);
        let found = controller_listeners(&listeners).expect("listeners");
        let found: Vec<String> = found.iter().map(|l| endpoint(&l.name, &l.host, l.port)).collect();
        assert_eq!(found, ["CONTROLLER://c.example:443", "OTHER://[::1]:9094"]);
        let missing = properties(&[("controller.listener.names", "C"), ("listeners", "D://:1")]);
        let text = controller_listeners(&missing).expect_err("none").to_string();
        assert_eq!(text, "Cannot find information about controller listener name: C");
    }
}
