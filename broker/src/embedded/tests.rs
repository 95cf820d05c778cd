//! What can be seen without a client. That clients are served is shown by the integration tests.

use super::{Broker, Builder, Error, Topic};
use std::net::TcpStream;

fn refused(builder: Builder) -> String {
    builder.start_blocking().expect_err("this must not start").to_string()
}

#[test]
fn a_dropped_broker_leaves_nothing() {
    let broker = Broker::builder().ephemeral().topic("a", 1).start_blocking().expect("started");
    let (dir, address) = (broker.data_dir().to_owned(), broker.bootstrap_servers().to_owned());
    assert!(dir.join("a-0").is_dir());
    assert_eq!(address, format!("127.0.0.1:{}", broker.port()));
    TcpStream::connect(&address).expect("it accepts");
    drop(broker);
    assert!(!dir.exists(), "{} is left", dir.display());
    assert!(TcpStream::connect(&address).is_err(), "somebody accepts");
}

#[test]
fn topics_and_records_of_a_kept_directory_are_there_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let start = |partitions| {
        Broker::builder().data_dir(dir.path()).topic("a", partitions).start_blocking().expect("started")
    };
    let first = start(2);
    let cluster_id = first.cluster_id().to_owned();
    first.create_topic_blocking(Topic::new("b", 1).compacted()).expect("made");
    first.create_topic_blocking(Topic::new("b", 5)).expect("it is there");
    drop(first);
    let second = start(3);
    assert_eq!(second.cluster_id(), cluster_id);
    for (partition, there) in [("a-1", true), ("a-2", false), ("b-0", true), ("b-1", false)] {
        assert_eq!(dir.path().join(partition).is_dir(), there, "{partition}");
    }
}

/// One thread that may not block, as in most async tests.
#[test]
fn it_starts_and_stops_under_an_executor_of_one_thread() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let dir = runtime.block_on(async {
        let broker = Broker::builder().start().await.expect("started");
        broker.create_topic(Topic::new("a", 1)).await.expect("made");
        let refused = broker.create_topic(Topic::new("a b", 1)).await.expect_err("refused").to_string();
        assert!(refused.starts_with("topic a b: "), "{refused}");
        let dir = broker.data_dir().to_owned();
        assert!(dir.join("a-0").is_dir());
        broker.stop().await;
        dir
    });
    assert!(!dir.exists(), "{} is left", dir.display());
}

#[test]
fn refusals_say_what_to_do() {
    let taken = Broker::builder().start_blocking().expect("started");
    for (builder, expected) in [
        (
            Broker::builder().config("listeners", "PLAINTEXT://:1"),
            "listeners cannot be set here: use Builder::port",
        ),
        (Broker::builder().config(" log.dirs", "/"), "log.dirs cannot be set here: use Builder::data_dir"),
        (Broker::builder().config("num.partitions", "many"), "(from Builder::config)"),
        (Broker::builder().topic("a:b", 1), "topic a:b: "),
        (Broker::builder().topic("a", 0), "topic a: "),
        (Broker::builder().data_dir("/a,/b"), "cannot create /a,/b: it has a comma"),
        (Broker::builder().port(taken.port()), "cannot listen on PLAINTEXT://127.0.0.1:"),
    ] {
        let said = refused(builder);
        assert!(said.contains(expected), "{said}");
        assert!(!said.contains('\n'), "{said}");
    }
}

#[test]
fn a_directory_has_one_broker() {
    let dir = tempfile::tempdir().expect("a folder");
    let builder = Broker::builder().data_dir(dir.path());
    let first = builder.clone().start_blocking().expect("started");
    assert!(matches!(builder.clone().start_blocking(), Err(Error::Start(_))));
    drop(first);
    builder.start_blocking().expect("free again");
}

/// The start is over before the end begins, whoever loses interest.
#[test]
fn a_start_that_nobody_waits_for_is_undone() {
    let dir = tempfile::tempdir().expect("a folder");
    let builder = Broker::builder().data_dir(dir.path());
    let mut start = Box::pin(builder.clone().start());
    let waker = std::task::Waker::noop();
    let _ = start.as_mut().poll(&mut std::task::Context::from_waker(waker));
    drop(start);
    builder.start_blocking().expect("nobody holds the directory");
}
