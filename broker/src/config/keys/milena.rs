//! Keys that Kafka does not have.

use crate::config::key::{Key, boolean, int};

#[rustfmt::skip] // a table: one key, then its sentence
pub(super) const KEYS: &[Key] = &[
    boolean("milena.advertise.auto", Some("true")).honoured()
        .doc("Whether a client that cannot reach the advertised address is told the one it connected to."),
    boolean("milena.allow.standalone", Some("false")).honoured()
        .doc("Whether to start alone although the configuration names other nodes of a cluster."),
    int("milena.sendfile.min.bytes", Some("16384")).at_least(0).honoured()
        .doc("Record bytes from which a fetch is sent straight from the file instead of being copied."),
];
