//! Transactions.

use crate::config::key::{Key, boolean, int, short};

#[rustfmt::skip] // a table: one key, then its sentence
pub(super) const KEYS: &[Key] = &[
    int("transaction.abort.timed.out.transaction.cleanup.interval.ms", Some("10000")).at_least(1).honoured()
        .doc("Milliseconds between two looks for transactions that ran out of time."),
    int("transaction.max.timeout.ms", Some("900000")).at_least(1).honoured()
        .doc("Longest transaction timeout in milliseconds a producer may ask for."),
    boolean("transaction.partition.verification.enable", Some("true")).cluster_wide().honoured()
        .doc("Whether a produce is checked to belong to a known transaction."),
    int("transaction.remove.expired.transaction.cleanup.interval.ms", Some("3600000")).at_least(1).honoured()
        .doc("Milliseconds between two looks for expired transactional ids."),
    int("transaction.state.log.load.buffer.size", Some("5242880")).at_least(1)
        .doc("Bytes read at a time when transactions are loaded."),
    int("transaction.state.log.min.isr", Some("2")).at_least(1).honoured()
        .doc("In-sync replicas that __transaction_state asks for."),
    int("transaction.state.log.num.partitions", Some("50")).at_least(1).honoured()
        .doc("Partitions of __transaction_state when it is created."),
    short("transaction.state.log.replication.factor", Some("3")).at_least(1).honoured()
        .doc("Replicas of __transaction_state; milena takes as many as there are brokers."),
    int("transaction.state.log.segment.bytes", Some("104857600")).at_least(1).honoured()
        .doc("Segment size of __transaction_state in bytes."),
    boolean("transaction.two.phase.commit.enable", Some("false"))
        .doc("Whether an outside transaction manager may decide the outcome."),
    int("transactional.id.expiration.ms", Some("604800000")).at_least(1).honoured()
        .doc("Milliseconds an unused transactional id is remembered."),
];
