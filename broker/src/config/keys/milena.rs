//! Keys that Kafka does not have.

use crate::config::key::{Key, Valid, boolean, int, string};

#[rustfmt::skip] // a table: one key, then its sentence
pub(super) const KEYS: &[Key] = &[
    boolean("milena.advertise.auto", Some("true")).honoured()
        .doc("Whether a client that cannot reach the advertised address is told the one it connected to."),
    boolean("milena.allow.standalone", Some("false")).honoured()
        .doc("Whether to start alone although the configuration or the data directory names other nodes of a cluster."),
    string("milena.cluster.id", None).honoured()
        .doc("Cluster id that new data directories get; unset, a random one. Directories keep the id that they have."),
    string("milena.create.topics", None).honoured()
        .doc("Topics to be there before the broker is ready, name[:partitions[:replicas[:cleanup.policy]]], comma-separated."),
    string("milena.log.format", Some("pretty")).valid(Valid::OneOf(&["pretty", "kafka", "redpanda", "json"])).honoured()
        .doc("How lines of the log look: pretty or json on standard error, or as Kafka's images on standard output."),
    string("milena.seed", None).honoured()
        .doc("File with topics, settings and records to be there before the broker is ready."),
    int("milena.sendfile.min.bytes", Some("16384")).at_least(0).honoured()
        .doc("Record bytes from which a fetch is sent straight from the file instead of being copied."),
];
