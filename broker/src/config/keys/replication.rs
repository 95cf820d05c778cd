//! Replication among brokers.

use crate::config::key::{Key, boolean, int, long, string};

#[rustfmt::skip] // a table: one key, then its sentence
pub(super) const KEYS: &[Key] = &[
    boolean("auto.leader.rebalance.enable", Some("true"))
        .doc("Whether leadership returns to preferred replicas by itself."),
    boolean("controlled.shutdown.enable", Some("true"))
        .doc("Whether leadership is handed over before a stop."),
    int("controller.socket.timeout.ms", Some("30000"))
        .doc("Milliseconds a broker waits for the controller's answer."),
    long("leader.imbalance.check.interval.seconds", Some("300")).at_least(1)
        .doc("Seconds between two looks at the balance of leaders."),
    int("num.replica.alter.log.dirs.threads", None)
        .doc("Threads that move replicas between data directories."),
    int("num.replica.fetchers", Some("1")).cluster_wide()
        .doc("Threads that fetch from each other broker."),
    int("replica.fetch.backoff.ms", Some("1000")).at_least(0)
        .doc("Milliseconds a follower waits after a failed fetch."),
    int("replica.fetch.max.bytes", Some("1048576")).at_least(0)
        .doc("Bytes a follower asks for per partition."),
    int("replica.fetch.min.bytes", Some("1"))
        .doc("Bytes a leader collects before it answers a follower."),
    int("replica.fetch.response.max.bytes", Some("10485760")).at_least(0)
        .doc("Bytes a follower asks for per answer."),
    int("replica.fetch.wait.max.ms", Some("500"))
        .doc("Milliseconds a leader may hold a follower's fetch."),
    long("replica.high.watermark.checkpoint.interval.ms", Some("5000"))
        .doc("Milliseconds between writes of the high watermark checkpoint."),
    long("replica.lag.time.max.ms", Some("30000"))
        .doc("Milliseconds a follower may lag before it leaves the in-sync set."),
    string("replica.selector.class", None)
        .doc("Java class that picks the replica a consumer reads from; not loaded."),
    int("replica.socket.receive.buffer.bytes", Some("65536"))
        .doc("Receive buffer of a follower's socket in bytes."),
    int("replica.socket.timeout.ms", Some("30000"))
        .doc("Milliseconds a follower waits for its leader."),
    boolean("unclean.leader.election.enable", Some("false")).cluster_wide()
        .doc("Whether a replica that lags may become leader, losing records."),
    long("unclean.leader.election.interval.ms", Some("300000")).at_least(1).internal()
        .doc("Milliseconds between attempts at unclean elections."),
];
