//! Small requests on one connection.

use super::Figures;
use super::answers::{Answers, error_of};
use super::server::Server;
use kafka_protocol::messages::ApiVersionsRequest;
use milena_integration_tests::raw::frame;
use std::io::Write;
use std::net::TcpStream;
use std::time::Instant;

/// Asks `count` times for the served APIs, with `depth` requests in flight.
pub(super) fn run(server: &Server, depth: usize, count: u64) -> Figures {
    let one = frame(0, 2, &ApiVersionsRequest::default());
    let many = one.repeat(depth);
    let mut stream = TcpStream::connect(&server.address).expect("the broker listens");
    stream.set_nodelay(true).expect("a socket");
    let mut answers = Answers::default();
    let cpu = server.cpu_seconds();
    let started = Instant::now();
    let (mut sent, mut answered) = (0, 0);
    let mut room = depth;
    while answered < count {
        let more = room.min(usize::try_from(count - sent).unwrap_or(usize::MAX));
        stream.write_all(&many[..more * one.len()]).expect("the broker reads");
        sent += more as u64;
        room = answers.read(&mut stream, |answer| assert_eq!(error_of(answer, 4), 0, "the broker refused"));
        answered += room as u64;
    }
    Figures {
        seconds: started.elapsed().as_secs_f64(),
        cpu_seconds: server.cpu_seconds() - cpu,
        bytes: 0,
        operations: count,
    }
}
