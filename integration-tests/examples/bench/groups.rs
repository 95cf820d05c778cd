//! Groups: what a heartbeat, a commit and the rebalance of a thousand members cost, and how long a start reads.

mod classic;
mod consumer;
mod crowd;

use super::answers::{Answers, error_of};
use super::server::{Kind, Server};
use super::{Figures, Note, Options};
use classic::ClassicMember;
use consumer::ConsumerMember;
use crowd::{Client, Crowd};
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestGroup;
use kafka_protocol::messages::{GroupId, ListGroupsRequest, OffsetCommitRequest, OffsetFetchRequest};
use milena_integration_tests::raw::{Connection, frame};
use milena_integration_tests::requests::{GROUPS, create_topic, find_coordinator, name, text};
use nix::sys::signal::Signal;
use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

/// The topic that members subscribe to.
const TOPIC: &str = "grouped";
/// Where the error of a heartbeat stands: after correlation id, tags and throttle time.
const HEARTBEAT_ERROR: usize = 4 + 1 + 4;
/// The same of a commit: there come one topic, its name, one partition and its index before.
const COMMIT_ERROR: usize = HEARTBEAT_ERROR + 1 + 1 + TOPIC.len() + 1 + 4;
/// Partitions for each of the thousand.
const PARTITIONS_EACH: i32 = 2;
/// Requests in flight where one connection sends many.
const DEPTH: usize = 16;
/// Version of OffsetCommit used here: the last that names topics.
const OFFSET_COMMIT: i16 = 9;
/// The first version of OffsetFetch that asks for many groups.
const OFFSET_FETCH: i16 = 8;
/// Groups of which there is one, nearly for certain, in each of the 50 partitions of `__consumer_offsets`.
const OF_ALL_PARTITIONS: usize = 500;
/// Version of ListGroups used here.
const LIST_GROUPS: i16 = 4;
/// A first rebalance waits for nobody: what is measured is work, not that wait.
const AT_ONCE: &[(&str, &str)] = &[("group.initial.rebalance.delay.ms", "0")];

/// Measures all of it, on a broker of its own.
pub(super) fn run(kind: &Kind, options: &Options, note: Note<'_>) {
    let server = Server::start_with(kind, AT_ONCE);
    let members = usize::try_from(options.count(1000.0)).unwrap_or(1000);
    let partitions = i32::try_from(members).unwrap_or(1000) * PARTITIONS_EACH;
    create_topic(&mut Connection::open(&server.address), TOPIC, partitions, &[]);
    await_coordinators(&server);
    small_requests(&server, options, note);
    many_members(&server, "classic", members, ClassicMember::new, note);
    many_members(&server, "consumer", members, ConsumerMember::new, note);
    server.stop();
    many_groups(kind, options, note);
}

/// Waits until every partition of `__consumer_offsets` is there and has been read. Apache Kafka makes them when it is first
/// asked for a coordinator, and refuses until then.
fn await_coordinators(server: &Server) {
    let mut connection = Connection::open(&server.address);
    find_coordinator(&mut connection, GROUPS, "any");
    let group =
        |number| OffsetFetchRequestGroup::default().with_group_id(GroupId(text(&format!("ready-{number}"))));
    let request = OffsetFetchRequest::default().with_groups((0..OF_ALL_PARTITIONS).map(group).collect());
    let begun = Instant::now();
    while connection.call(OFFSET_FETCH, &request).groups.iter().any(|group| group.error_code != 0) {
        assert!(begun.elapsed() < Duration::from_secs(120), "a coordinator does not come");
        thread::sleep(Duration::from_millis(10));
    }
}

/// Heartbeats and commits of a member that is alone in its group.
fn small_requests(server: &Server, options: &Options, note: Note<'_>) {
    let mut connection = Connection::open(&server.address);
    let count = options.count(100_000.0);
    let mut classic = ClassicMember::new("small-classic", 0);
    settle(&mut connection, &mut classic);
    let figures = many(server, count, HEARTBEAT_ERROR, |_| classic.heartbeat());
    figures.per_operation("groups, heartbeat of the classic protocol", note);
    let mut consumer = ConsumerMember::new("small-consumer", 0);
    settle(&mut connection, &mut consumer);
    let figures = many(server, count, HEARTBEAT_ERROR, |_| consumer.heartbeat());
    figures.per_operation("groups, heartbeat of the consumer protocol", note);
    let (member, generation) = classic.identity();
    // Apache Kafka waits 5 ms with each (group.coordinator.append.linger.ms), one after the other on a connection.
    let figures = many(server, options.count(20_000.0), COMMIT_ERROR, |offset| {
        frame(0, OFFSET_COMMIT, &commit("small-classic", member, generation, offset))
    });
    figures.per_operation("groups, commit of one offset", note);
}

/// A group that many members join at the same time, and one more when it has settled.
fn many_members<C: Client>(
    server: &Server,
    protocol: &str,
    members: usize,
    client: fn(&str, usize) -> C,
    note: Note<'_>,
) {
    let group = format!("many-{protocol}");
    let mut crowd = Crowd::new();
    for number in 0..members {
        crowd.add(&server.address, client(&group, number));
    }
    let mut measure = |crowd: &mut Crowd<C>, scenario: &str| {
        let (cpu, begun) = (server.cpu_seconds(), Instant::now());
        crowd.run();
        note(scenario, "s", begun.elapsed().as_secs_f64());
        note(scenario, "CPU-ms", (server.cpu_seconds() - cpu) * 1e3);
    };
    measure(&mut crowd, &format!("groups, {members} members join, {protocol}"));
    crowd.add(&server.address, client(&group, members));
    measure(&mut crowd, &format!("groups, one joins {members}, {protocol}"));
}

/// Groups with a member and an offset each, and the start that reads them.
fn many_groups(kind: &Kind, options: &Options, note: Note<'_>) {
    let groups = options.count(10_000.0);
    let group = |number: u64| format!("group-{number}");
    let server = Server::start_with(kind, AT_ONCE);
    create_topic(&mut Connection::open(&server.address), TOPIC, 1, &[]);
    await_coordinators(&server);
    many(&server, groups, HEARTBEAT_ERROR, |number| ConsumerMember::new(&group(number), 0).first());
    many(&server, groups, COMMIT_ERROR, |number| {
        frame(0, OFFSET_COMMIT, &commit(&group(number), &ConsumerMember::id_of(0), 1, number))
    });
    let folder = server.stop_and_keep(Signal::SIGTERM);
    let scenario = format!("groups, start with {groups}");
    let (server, took) = Server::start_until(kind, Some(folder), AT_ONCE, |connection| {
        let answer = connection.call(LIST_GROUPS, &ListGroupsRequest::default());
        answer.error_code == 0 && answer.groups.len() as u64 == groups
    });
    note(&scenario, "until all are listed, ms", took.as_secs_f64() * 1e3);
    note(&scenario, "its CPU-ms", server.cpu_seconds() * 1e3);
    server.stop();
}

/// Sends what a client wants to, one request after the other, until it has settled.
fn settle(connection: &mut Connection, client: &mut impl Client) {
    let mut next = Some(client.first());
    while !client.is_settled() {
        let request = next.unwrap_or_else(|| client.heartbeat());
        connection.send_bytes(&request).expect("the broker reads");
        next = client.take(connection.receive_frame().expect("the broker answers"));
    }
}

/// Sends `count` requests on one connection, [`DEPTH`] of them in flight. Their answers have an error code at `error_at`.
fn many(server: &Server, count: u64, error_at: usize, request: impl Fn(u64) -> Vec<u8>) -> Figures {
    let mut stream = TcpStream::connect(&server.address).expect("the broker listens");
    stream.set_nodelay(true).expect("a socket");
    let mut answers = Answers::default();
    let cpu = server.cpu_seconds();
    let begun = Instant::now();
    let (mut sent, mut answered) = (0, 0);
    let mut room = DEPTH;
    while answered < count {
        let end = count.min(sent + room as u64);
        let requests: Vec<u8> = (sent..end).flat_map(&request).collect();
        stream.write_all(&requests).expect("the broker reads");
        sent = end;
        room = answers
            .read(&mut stream, |answer| assert_eq!(error_of(answer, error_at), 0, "the broker refused"));
        answered += room as u64;
    }
    Figures {
        seconds: begun.elapsed().as_secs_f64(),
        cpu_seconds: server.cpu_seconds() - cpu,
        bytes: 0,
        operations: count,
    }
}

fn commit(group: &str, member: &str, generation: i32, offset: u64) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition::default()
        .with_partition_index(0)
        .with_committed_offset(i64::try_from(offset).unwrap_or(0))
        .with_committed_metadata(Some(text("")));
    let topic = OffsetCommitRequestTopic::default().with_name(name(TOPIC)).with_partitions(vec![partition]);
    OffsetCommitRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_member_id(text(member))
        .with_generation_id_or_member_epoch(generation)
        .with_topics(vec![topic])
}
