//! The machine runs out of something: what is acknowledged stays, and what is short now is there again later.

use crate::configs::{SET, TOPIC, alter_one, eventually};
use crate::rd::wait_until;
use kafka_protocol::messages::ApiVersionsRequest;
use milena_integration_tests::broker::{Broker, skipped, unique};
use milena_integration_tests::raw::{Connection, frame};
use milena_integration_tests::records::{Batch, batches};
use milena_integration_tests::requests::{append, create_topic, look_up, read_all};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::geteuid;
use std::fs;
use std::path::Path;
use std::process::Command;

const STORAGE_ERROR: i16 = 56;

/// Limits the running broker by the tool of util-linux; says why not if that is not there.
fn limit(broker: &Broker, what: &str, to: u64) -> Result<(), String> {
    let pid = broker.pid().expect("it runs").to_string();
    match Command::new("prlimit").args(["--pid", &pid, &format!("--{what}={to}:")]).output() {
        Ok(done) if done.status.success() => Ok(()),
        Ok(done) => Err(format!("prlimit: {}", String::from_utf8_lossy(&done.stderr))),
        Err(error) => Err(format!("prlimit: {error}")),
    }
}

/// A field of `/proc/PID/status` that is given in kB, in bytes.
fn status(broker: &Broker, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", broker.pid().expect("it runs")));
    let status = status.expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("a field of the kernel");
    line.split_whitespace().next().and_then(|kb| kb.parse::<u64>().ok()).expect("a number") << 10
}

fn is_offline(broker: &Broker) -> bool {
    broker.output().iter().any(|line| line.contains("offline"))
}

/// Values that were acknowledged are there, in their order.
pub(crate) fn assert_holds(broker: &Broker, topic: &str, values: &[Vec<u8>]) {
    let stored = read_all(&mut broker.connect(), topic, 0);
    let found: Vec<&[u8]> = batches(&stored).iter().flat_map(|batch| batch.values()).collect();
    assert!(found == values, "{} of {} values in {topic}", found.len(), values.len());
}

/// Whether the broker answers; it closes a connection that it has no place for.
fn is_served(connection: &mut Connection) -> bool {
    let asked = connection.send_bytes(&frame(1, 0, &ApiVersionsRequest::default()));
    asked.is_ok() && connection.receive_frame().is_ok()
}

/// Connections until the broker takes no more. A refused one is closed.
fn flood(broker: &Broker) -> Vec<Connection> {
    let mut held = Vec::new();
    loop {
        let mut connection = broker.connect();
        if !is_served(&mut connection) {
            return held;
        }
        held.push(connection);
        assert!(held.len() < 2_000, "nothing bounds the connections");
    }
}

#[test]
fn connections_cannot_take_the_descriptors_that_files_need() {
    let Some(mut broker) = Broker::milena(&[("log.flush.offset.checkpoint.interval.ms", "100")]) else {
        return;
    };
    let mut connection = broker.connect();
    let topic = unique("crowded");
    create_topic(&mut connection, &topic, 1, &[("segment.bytes", "1048576")]);
    if let Err(reason) = limit(&broker, "nofile", 120) {
        return skipped(&reason);
    }
    let crowd = flood(&broker);
    assert!(crowd.len() > 50, "{} connections", crowd.len());
    // New files: segments, topics, checkpoints.
    let mut values = Vec::new();
    for n in 0..10 {
        let value = vec![n; 300_000];
        assert_eq!(
            append(&mut connection, &topic, 0, Batch::of([&value]).encode()).error_code,
            0,
            "value {n}"
        );
        values.push(value);
        create_topic(&mut connection, &unique("meanwhile"), 1, &[]);
    }
    drop(crowd);
    wait_until("a place for a connection", || is_served(&mut broker.connect()));
    assert!(!is_offline(&broker), "too many connections are no fault of a directory");
    assert!(broker.terminate().0.success());
    broker.launch();
    assert_holds(&broker, &topic, &values);
}

/// More segments than there are descriptors by far, and connections have taken all that they may.
#[test]
fn a_backlog_is_removed_with_a_few_descriptors() {
    const SEGMENTS: usize = 600;
    let options = [
        ("log.retention.check.interval.ms", "100"),
        ("log.initial.task.delay.ms", "0"),
        ("log.segment.delete.delay.ms", "0"),
    ];
    let Some(broker) = Broker::milena(&options) else { return };
    let mut connection = broker.connect();
    let topic = unique("backlog");
    create_topic(&mut connection, &topic, 1, &[("internal.segment.bytes", "1200"), ("retention.ms", "-1")]);
    let batch = Batch::of([[b'v'; 1000]]).encode();
    for _ in 0..SEGMENTS {
        assert_eq!(append(&mut connection, &topic, 0, batch.clone()).error_code, 0);
    }
    if let Err(reason) = limit(&broker, "nofile", 120) {
        return skipped(&reason);
    }
    let crowd = flood(&broker);
    let small = [("retention.bytes", SET, Some("1"))];
    assert_eq!(alter_one(&mut connection, TOPIC, &topic, &small), (0, None));
    let last = i64::try_from(SEGMENTS).expect("few") - 1;
    eventually(|| look_up(&mut connection, &topic, 0, -2).offset == last);
    let logs = || {
        let directory = fs::read_dir(broker.directory().join(format!("{topic}-0"))).expect("the partition");
        directory.filter(|entry| entry.as_ref().unwrap().path().to_string_lossy().contains(".log")).count()
    };
    eventually(|| logs() == 1);
    assert_eq!(append(&mut connection, &topic, 0, batch).error_code, 0);
    drop(crowd);
    assert!(!is_offline(&broker));
}

/// Hot partitions take all that is left, too: then there is nothing in reserve.
#[test]
fn without_descriptors_an_append_fails_and_the_next_one_succeeds() {
    let Some(mut broker) = Broker::milena(&[("log.flush.offset.checkpoint.interval.ms", "100")]) else {
        return;
    };
    let mut connection = broker.connect();
    let topic = unique("short");
    create_topic(&mut connection, &topic, 1, &[]);
    let used = broker.usage().expect("it runs").descriptors as u64;
    // Fewer than it has: nothing can be opened.
    if let Err(reason) = limit(&broker, "nofile", used.min(8)) {
        return skipped(&reason);
    }
    let refused = append(&mut connection, &topic, 0, Batch::of(["refused"]).encode());
    assert_eq!(refused.error_code, STORAGE_ERROR);
    wait_until("a checkpoint that fails", || {
        broker.output().iter().any(|line| line.contains("checkpoint") && line.contains("Too many open files"))
    });
    if let Err(reason) = limit(&broker, "nofile", 1024) {
        return skipped(&reason);
    }
    let values: Vec<Vec<u8>> = (0..10).map(|n| vec![n; 100]).collect();
    for value in &values {
        assert_eq!(append(&mut connection, &topic, 0, Batch::of([value]).encode()).error_code, 0);
    }
    assert!(!is_offline(&broker), "a shortage of descriptors is no fault of a directory");
    create_topic(&mut connection, &unique("later"), 1, &[]);
    assert!(broker.terminate().0.success());
    broker.launch();
    assert_holds(&broker, &topic, &values);
}

#[test]
fn without_mappings_appends_go_by_write() {
    let Some(broker) = Broker::milena(&[]) else { return };
    let mut connection = broker.connect();
    let topic = unique("unmapped");
    create_topic(&mut connection, &topic, 1, &[("segment.bytes", "1073741824")]);
    let batch = |n: u8| Batch::of([vec![n; 500_000]]);
    // Room for everything but a mapping of a gigabyte.
    if let Err(reason) = limit(&broker, "as", status(&broker, "VmSize:") + (256 << 20)) {
        return skipped(&reason);
    }
    for n in 0..40 {
        assert_eq!(append(&mut connection, &topic, 0, batch(n).encode()).error_code, 0, "value {n}");
    }
    let log = format!("{topic}-0");
    let maps = fs::read_to_string(format!("/proc/{}/maps", broker.pid().expect("it runs"))).expect("maps");
    assert!(!maps.contains(&log), "a tail is mapped all the same: {maps}");
    assert!(!is_offline(&broker));
    let values: Vec<Vec<u8>> = (0..40).map(|n| vec![n; 500_000]).collect();
    assert_holds(&broker, &topic, &values);
}

/// A file system of its own for a data directory; it goes with its owner.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    fn tmpfs(at: &'a Path) -> Result<Self, String> {
        mount(Some("tmpfs"), at, Some("tmpfs"), MsFlags::empty(), Some("size=256m"))
            .map_err(|error| format!("a tmpfs cannot be mounted here: {error}"))?;
        Ok(Self(at))
    }

    /// What is open for writing keeps a file system from becoming read-only; a bind mount over it does not ask.
    fn cover_read_only(&self) -> Result<(), String> {
        let none: Option<&str> = None;
        mount(Some(self.0), self.0, none, MsFlags::MS_BIND, none)
            .and_then(|()| {
                let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
                mount(none, self.0, none, flags, none)
            })
            .map_err(|error| format!("a read-only mount is not possible here: {error}"))
    }

    fn uncover(&self) {
        umount2(self.0, MntFlags::MNT_DETACH).expect("the cover can be taken off");
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        while umount2(self.0, MntFlags::MNT_DETACH).is_ok() {}
    }
}

#[test]
fn a_directory_that_becomes_read_only_goes_offline_and_loses_nothing() {
    if !geteuid().is_root() {
        return skipped("only root can mount");
    }
    let dir = tempfile::tempdir().expect("a temporary folder");
    for sub in ["a", "b"] {
        fs::create_dir(dir.path().join(sub)).expect("a folder");
    }
    let second = dir.path().join("b");
    let mounted = match Mounted::tmpfs(&second) {
        Ok(mounted) => mounted,
        Err(reason) => return skipped(&reason),
    };
    let dirs = format!("{},{}", dir.path().join("a").display(), second.display());
    if Broker::milena(&[]).is_none() {
        return;
    }
    let options = [("log.dirs", dirs.as_str()), ("log.flush.offset.checkpoint.interval.ms", "100")];
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut broker = Broker::start_in(folder, &options);
    let mut connection = broker.connect();
    let topic = unique("frozen");
    // One partition in each directory.
    create_topic(&mut connection, &topic, 2, &[]);
    for partition in 0..2 {
        assert_eq!(append(&mut connection, &topic, partition, Batch::of(["kept"]).encode()).error_code, 0);
    }
    if let Err(reason) = mounted.cover_read_only() {
        return skipped(&reason);
    }
    // The next checkpoint meets the read-only mount; what was open before can be written still, and is.
    let second_is_there = |partition: i32| second.join(format!("{topic}-{partition}")).exists();
    let there = i32::from(second_is_there(1));
    assert!(second_is_there(there) && !second_is_there(1 - there), "one partition in each directory");
    let mut acknowledged = 1;
    wait_until("the directory to go offline", || {
        let code = append(&mut connection, &topic, there, Batch::of(["kept"]).encode()).error_code;
        assert!([0, STORAGE_ERROR].contains(&code), "{code}");
        acknowledged += i64::from(code == 0);
        look_up(&mut connection, &topic, there, -1).error_code == STORAGE_ERROR
    });
    assert_eq!(append(&mut connection, &topic, 1 - there, Batch::of(["other"]).encode()).error_code, 0);
    assert!(broker.terminate().0.success(), "an offline directory does not keep it from stopping");
    mounted.uncover();
    broker.launch();
    let mut connection = broker.connect();
    assert_eq!(look_up(&mut connection, &topic, there, -1).offset, acknowledged);
    assert_eq!(append(&mut connection, &topic, there, Batch::of(["again"]).encode()).error_code, 0);
    drop(broker);
}
