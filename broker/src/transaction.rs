//! The transaction coordinator: who may write under a transactional id, and how its transactions end, in
//! `__transaction_state` (KIP-98, KIP-360, KIP-890).
//!
//! | module | what it holds |
//! |---|---|
//! | `state` | the states, and the table of what every request does in each |
//! | `metadata` | a transactional id, and where each step takes it |
//! | `requests` | InitProducerId, AddPartitionsToTxn, EndTxn |
//! | `listing` | DescribeTransactions, ListTransactions |
//! | `admission` | whether a batch belongs to a transaction: what Produce and TxnOffsetCommit ask |
//! | `shard` | one partition of the topic, put together; timeouts and expiry |
//!
//! The outcome of a transaction is decided when its Prepare record is stored. The markers follow, written by whoever
//! decided, under no lock; then the Complete record. What a crash or a full disk leaves undone in between is taken up
//! at the next start, or by the task that keeps the deadlines. A marker that is written twice does no harm.

mod admission;
mod listing;
mod metadata;
mod requests;
mod shard;
mod state;

#[cfg(test)]
mod tests;

pub(crate) use admission::Operation;
pub(crate) use listing::{Described, ListFilter, Listed};
pub(crate) use metadata::Partitions;
pub(crate) use requests::Producer;
pub(crate) use shard::Completion;
pub(crate) use state::Outcome;

use crate::clock::Clock;
use crate::coordinator::runtime::Runtime;
use crate::coordinator::{CoordinatorError, StateLog};
use kafka_protocol::ResponseError;
use milena_protocol::stored::transaction::transaction_partition;
use requests::Initialised;
use shard::TransactionShard;
use std::sync::Arc;
use std::time::Duration;

/// How long the task waits before it tries again what could not be finished, in ms.
const RETRY_MS: i64 = 500;

/// Settings of the transaction coordinator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TransactionSettings {
    /// `transaction.max.timeout.ms`.
    pub(crate) max_timeout_ms: i32,
    /// `transactional.id.expiration.ms`.
    pub(crate) id_expiration_ms: i64,
    /// `transaction.abort.timed.out.transaction.cleanup.interval.ms`.
    pub(crate) timeout_check_interval_ms: i64,
    /// `transaction.remove.expired.transaction.cleanup.interval.ms`.
    pub(crate) expiry_check_interval_ms: i64,
}

/// What the coordinator needs of the cluster.
pub(crate) trait Surroundings: Send + Sync {
    /// A producer id that nobody has had.
    fn next_producer_id(&self) -> Result<i64, ResponseError>;

    /// The finalized level of the feature `transaction.version`.
    fn transaction_version(&self) -> i16;

    /// `transaction.partition.verification.enable`, which may change at run time.
    fn verifies_partitions(&self) -> bool;
}

/// The partitions of transactions.
pub(crate) trait Markers: Send + Sync {
    /// Writes the marker of a transaction, whose coordinator is a partition of `__transaction_state`, into its
    /// partitions; returns those where it must be tried again.
    fn write(&self, coordinator: i32, completion: &Completion) -> Partitions;
}

/// The transaction coordinator. Requests run on the caller's thread, under the lock of the id's partition.
pub(crate) struct TransactionCoordinator {
    settings: Arc<TransactionSettings>,
    markers: Arc<dyn Markers>,
    surroundings: Arc<dyn Surroundings>,
    log: Arc<dyn StateLog>,
    clock: Arc<Clock>,
    runtime: Runtime<TransactionShard>,
}

impl std::fmt::Debug for TransactionCoordinator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TransactionCoordinator").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl TransactionCoordinator {
    /// A coordinator that answers COORDINATOR_LOAD_IN_PROGRESS until [`load`](Self::load) is done.
    pub(crate) fn new(
        settings: TransactionSettings,
        log: Arc<dyn StateLog>,
        markers: Arc<dyn Markers>,
        surroundings: Arc<dyn Surroundings>,
        clock: Arc<Clock>,
    ) -> Self {
        let settings = Arc::new(settings);
        let (of_shards, around) = (Arc::clone(&settings), Arc::clone(&surroundings));
        let new_shard = move || TransactionShard::new(Arc::clone(&of_shards), Arc::clone(&around));
        let runtime = Runtime::new(Arc::clone(&log), Arc::clone(&clock), transaction_partition, new_shard);
        Self { settings, markers, surroundings, log, clock, runtime }
    }

    /// Reads the transactional ids back, and finishes what was decided before the stop. Partitions that cannot be read
    /// are out of service; their errors are returned.
    pub(crate) fn load(&self) -> Result<(), Vec<CoordinatorError>> {
        let loaded = self.runtime.load();
        self.finish_all();
        loaded
    }

    /// The largest producer id that any transactional id has.
    pub(crate) fn max_producer_id(&self) -> Option<i64> {
        let mut max = None;
        // A partition that is out of service says nothing.
        let _ = self.runtime.each(|shard, _, _| max = max.max(shard.max_producer_id()));
        max
    }

    /// Sees to it that `__transaction_state` exists.
    pub(crate) fn ensure_topic(&self) -> Result<(), CoordinatorError> {
        self.runtime.ensure()
    }

    /// InitProducerId with a transactional id.
    ///
    /// # Errors
    /// CONCURRENT_TRANSACTIONS while a transaction ends, also one that this request aborts: ask again.
    pub(crate) fn init(
        &self,
        id: &str,
        timeout_ms: i32,
        expected: Option<Producer>,
    ) -> Result<Producer, ResponseError> {
        if id.is_empty() {
            return Err(ResponseError::InvalidRequest);
        }
        if !(1..=self.settings.max_timeout_ms).contains(&timeout_ms) {
            return Err(ResponseError::InvalidTransactionTimeout);
        }
        self.ensure_topic().map_err(|error| {
            tracing::error!("{error}");
            error.response()
        })?;
        match self.step(id, |shard, now, effects| shard.init(id, timeout_ms, expected, now, effects))? {
            Initialised::Producer(producer) => Ok(producer),
            Initialised::Fencing => Err(ResponseError::ConcurrentTransactions),
        }
    }

    /// AddPartitionsToTxn and AddOffsetsToTxn. `client_version` is 2 for clients with an epoch for each transaction.
    pub(crate) fn add(
        &self,
        id: &str,
        producer: Producer,
        partitions: &Partitions,
        client_version: i16,
    ) -> Result<(), ResponseError> {
        if id.is_empty() {
            return Err(ResponseError::InvalidRequest);
        }
        self.step(id, |shard, now, effects| shard.add(id, producer, partitions, client_version, now, effects))
    }

    /// The partitions among these that are part of the producer's transaction.
    pub(crate) fn verify(
        &self,
        id: &str,
        producer: Producer,
        partitions: &Partitions,
    ) -> Result<Partitions, ResponseError> {
        if id.is_empty() {
            return Err(ResponseError::InvalidRequest);
        }
        let found = self.runtime.existing(id, |shard, _, _| shard.verify(id, producer, partitions));
        found.unwrap_or(Err(ResponseError::NotCoordinator))?
    }

    /// EndTxn: the producer id and epoch of the next transaction. All markers are written when it returns, unless a
    /// partition could not take its own.
    pub(crate) fn end(
        &self,
        id: &str,
        producer: Producer,
        outcome: Outcome,
        client_version: i16,
    ) -> Result<Producer, ResponseError> {
        if id.is_empty() {
            return Err(ResponseError::InvalidRequest);
        }
        self.step(id, |shard, now, effects| shard.end(id, producer, outcome, client_version, now, effects))
    }

    /// DescribeTransactions, of one transactional id.
    pub(crate) fn describe(&self, id: &str) -> Result<Described, ResponseError> {
        if id.is_empty() {
            return Err(ResponseError::InvalidRequest);
        }
        let described = self.runtime.existing(id, |shard, _, _| shard.describe(id));
        described.unwrap_or(Err(ResponseError::NotCoordinator))?.ok_or(ResponseError::TransactionalIdNotFound)
    }

    /// ListTransactions, in no order.
    pub(crate) fn list(&self, filter: &ListFilter) -> Result<Vec<Listed>, ResponseError> {
        let mut all = Vec::new();
        self.runtime.each(|shard, now, _| shard.list(filter, now, &mut all))?;
        Ok(all)
    }

    /// Acts on the deadlines that have passed at `now`, and on what could not be finished before; returns a time before
    /// which there is nothing to do. Both are the steady clock's.
    pub(crate) fn tick(&self, now: i64) -> Option<i64> {
        let next = self.runtime.tick(now);
        let retry = self.finish_all().then(|| now.saturating_add(RETRY_MS));
        next.into_iter().chain(retry).min()
    }

    /// Keeps all deadlines for as long as it is polled; one task for the whole coordinator.
    pub(crate) async fn keep_deadlines(&self) {
        loop {
            let now = self.clock.steady_ms();
            // Markers go to the disk.
            match tokio::task::block_in_place(|| self.tick(now)) {
                None => self.runtime.wait_deadline_changed().await,
                Some(next) => {
                    let pause = Duration::from_millis(u64::try_from(next.saturating_sub(now)).unwrap_or(0));
                    tokio::select! {
                        () = tokio::time::sleep(pause) => {}
                        () = self.runtime.wait_deadline_changed() => {}
                    }
                }
            }
        }
    }

    /// Hands an input to the id's machine, and writes the markers of what it decides.
    fn step<R>(
        &self,
        id: &str,
        input: impl FnOnce(
            &mut TransactionShard,
            i64,
            &mut crate::coordinator::runtime::Effects<TransactionShard>,
        ) -> Result<R, ResponseError>,
    ) -> Result<R, ResponseError> {
        // Taken on before anybody else can see it, so that the answer comes after the markers.
        let entered = self.runtime.existing_then(id, input, |shard| {
            let decided = shard.take_unfinished(id);
            (decided, shard.is_unfinished())
        });
        let (answer, (decided, others)) = entered.unwrap_or(Err(ResponseError::NotCoordinator))?;
        let finished = decided.is_none_or(|decided| {
            let done = self.finish(&decided);
            if !done {
                tracing::warn!(
                    id,
                    "the transaction is decided and cannot be finished yet; this is tried again"
                );
            }
            done
        });
        if !finished || others {
            self.runtime.wake();
        }
        answer
    }

    /// Takes on everything that is decided and not done; whether something is left to be tried again.
    fn finish_all(&self) -> bool {
        let mut decided = Vec::new();
        // A partition that is out of service has nothing to finish.
        let _ = self.runtime.each(|shard, _, _| decided.extend(shard.take_all_unfinished()));
        let mut left = false;
        for completion in decided {
            left |= !self.finish(&completion);
        }
        left
    }

    /// Writes the markers of a decided transaction, and that it is done; whether it is.
    fn finish(&self, completion: &Completion) -> bool {
        let Some(count) = self.log.exists() else { return true };
        let coordinator = transaction_partition(&completion.id, count);
        let left = self.markers.write(coordinator, completion);
        let done = self.runtime.existing(&completion.id, |shard, now, effects| {
            let done = left.is_empty();
            shard.markers_written(completion, left, now, effects);
            done
        });
        matches!(done, Some(Ok(true)))
    }
}
