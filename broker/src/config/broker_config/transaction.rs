//! Transactions and producer ids.

use std::time::Duration;

use crate::config::broker_config::{Values, at_most_one, millis};
use crate::config::raw::RawConfig;

/// What the transaction coordinator and the producer tables are configured with.
#[derive(Clone, Debug)]
pub struct TransactionConfig {
    /// `transaction.state.log.num.partitions`
    pub log_num_partitions: i32,
    /// `transaction.state.log.replication.factor` as it was set; the topic gets no more than there are brokers.
    pub log_replication_factor: i16,
    /// `transaction.state.log.min.isr` as it was set; the topic gets no more than there are brokers.
    pub log_min_insync_replicas: i32,
    /// `transaction.state.log.segment.bytes`
    pub log_segment_bytes: i32,
    /// `transaction.max.timeout.ms`, milliseconds
    pub max_timeout_ms: i32,
    /// `transactional.id.expiration.ms`
    pub transactional_id_expiration: Duration,
    /// `transaction.abort.timed.out.transaction.cleanup.interval.ms`
    pub abort_timed_out_interval: Duration,
    /// `transaction.remove.expired.transaction.cleanup.interval.ms`
    pub remove_expired_interval: Duration,
    /// `transaction.partition.verification.enable`
    pub partition_verification_enable: bool,
    /// `transaction.two.phase.commit.enable`
    pub two_phase_commit_enable: bool,
    /// `add.partitions.to.txn.retry.backoff.ms`
    pub add_partitions_retry_backoff: Duration,
    /// `add.partitions.to.txn.retry.backoff.max.ms`, or `request.timeout.ms` if that is less: how long it is tried.
    pub add_partitions_retry_max: Duration,
    /// `producer.id.expiration.ms`
    pub producer_id_expiration: Duration,
    /// `producer.id.expiration.check.interval.ms`
    pub producer_id_expiration_check_interval: Duration,
}

impl TransactionConfig {
    pub(super) fn new(
        effective: &RawConfig,
        values: &Values,
        warnings: &mut Vec<String>,
    ) -> TransactionConfig {
        let log_replication_factor = values.short("transaction.state.log.replication.factor");
        let log_min_insync_replicas = values.int("transaction.state.log.min.isr");
        for (name, value) in [
            ("transaction.state.log.replication.factor", log_replication_factor.into()),
            ("transaction.state.log.min.isr", log_min_insync_replicas.into()),
        ] {
            at_most_one(effective, name, value, "__transaction_state", warnings);
        }
        TransactionConfig {
            log_num_partitions: values.int("transaction.state.log.num.partitions"),
            log_replication_factor,
            log_min_insync_replicas,
            log_segment_bytes: values.int("transaction.state.log.segment.bytes"),
            max_timeout_ms: values.int("transaction.max.timeout.ms"),
            transactional_id_expiration: millis(values.int("transactional.id.expiration.ms").into()),
            abort_timed_out_interval: millis(
                values.int("transaction.abort.timed.out.transaction.cleanup.interval.ms").into(),
            ),
            remove_expired_interval: millis(
                values.int("transaction.remove.expired.transaction.cleanup.interval.ms").into(),
            ),
            partition_verification_enable: values.boolean("transaction.partition.verification.enable"),
            two_phase_commit_enable: values.boolean("transaction.two.phase.commit.enable"),
            add_partitions_retry_backoff: millis(values.int("add.partitions.to.txn.retry.backoff.ms").into()),
            add_partitions_retry_max: millis(
                values
                    .int("add.partitions.to.txn.retry.backoff.max.ms")
                    .min(values.int("request.timeout.ms"))
                    .into(),
            ),
            producer_id_expiration: millis(values.int("producer.id.expiration.ms").into()),
            producer_id_expiration_check_interval: millis(
                values.int("producer.id.expiration.check.interval.ms").into(),
            ),
        }
    }
}
