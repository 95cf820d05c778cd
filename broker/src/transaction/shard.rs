//! The transactional ids of one partition of `__transaction_state`, and what time does to them.

use kafka_protocol::ResponseError;
use milena_protocol::stored::transaction::TransactionRecord;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::metadata::{Partitions, Transaction};
use super::state::{Outcome, State};
use super::{Surroundings, TransactionSettings};
use crate::coordinator::runtime::{Effects, Machine, Position, Step};
use crate::coordinator::timers::Timers;

/// Tombstones of one batch, so that many expired ids do not exceed the topic's `max.message.bytes`.
const TOMBSTONES_A_BATCH: usize = 1000;

/// The lowest `transaction.version` whose records are of version 1.
const FLEXIBLE_RECORDS: i16 = 1;

/// What a deadline is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum TimerKey {
    /// A look for transactions that are open for too long.
    Timeouts,
    /// A look for ids that nobody has used for long.
    Expiry,
}

/// A record of the topic: the state of a transactional id, or with None its end.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct StateRecord {
    pub(super) id: Arc<str>,
    pub(super) state: Option<Transaction>,
    /// Version of the value.
    pub(super) version: i16,
}

/// A transaction whose outcome is decided, and the partitions that have no marker yet.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Completion {
    /// Its transactional id.
    pub(super) id: Arc<str>,
    /// Whose it is.
    pub(crate) producer_id: i64,
    /// Epoch of the markers.
    pub(crate) producer_epoch: i16,
    /// How it ends.
    pub(crate) outcome: Outcome,
    /// Where markers are missing.
    pub(crate) partitions: Partitions,
}

/// The state of one partition.
pub(crate) struct TransactionShard {
    pub(super) settings: Arc<TransactionSettings>,
    pub(super) surroundings: Arc<dyn Surroundings>,
    pub(super) transactions: BTreeMap<Arc<str>, Transaction>,
    /// Ids whose outcome is decided and whose markers nobody is writing.
    unfinished: BTreeSet<Arc<str>>,
    /// Until when each open transaction may be.
    limits: BTreeMap<Arc<str>, Limit>,
    timers: Timers<TimerKey>,
    scheduled: BTreeSet<TimerKey>,
}

/// The end of the time that a transaction may be open.
struct Limit {
    /// The start that it was reckoned from, by which the transaction is known.
    started: i64,
    /// On the steady clock: a wall clock that is set ends no transaction, and keeps none.
    at: i64,
}

impl TransactionShard {
    /// A partition without records.
    pub(super) fn new(settings: Arc<TransactionSettings>, surroundings: Arc<dyn Surroundings>) -> Self {
        Self {
            settings,
            surroundings,
            transactions: BTreeMap::new(),
            unfinished: BTreeSet::new(),
            limits: BTreeMap::new(),
            timers: Timers::default(),
            scheduled: BTreeSet::new(),
        }
    }

    /// Has the next state of an id stored; it is in force when it is.
    pub(super) fn transition(&self, id: &Arc<str>, next: Transaction, effects: &mut Effects<Self>) {
        let version = i16::from(self.surroundings.transaction_version() >= FLEXIBLE_RECORDS);
        effects.store(vec![StateRecord { id: Arc::clone(id), state: Some(next), version }], ());
    }

    /// Takes on the markers of this id, if its outcome is decided and nobody else has.
    pub(super) fn take_unfinished(&mut self, id: &str) -> Option<Completion> {
        let id = self.unfinished.take(id)?;
        self.completion(id)
    }

    /// Takes on the markers of all ids whose outcome is decided.
    pub(super) fn take_all_unfinished(&mut self) -> Vec<Completion> {
        let ids = std::mem::take(&mut self.unfinished);
        ids.into_iter().filter_map(|id| self.completion(id)).collect()
    }

    /// The largest producer id that was given to anybody.
    pub(super) fn max_producer_id(&self) -> Option<i64> {
        self.transactions.values().map(|one| one.producer_id.max(one.next_producer_id)).max()
    }

    /// Whether there are decided outcomes whose markers nobody is writing.
    pub(super) fn is_unfinished(&self) -> bool {
        !self.unfinished.is_empty()
    }

    fn completion(&self, id: Arc<str>) -> Option<Completion> {
        let transaction = self.transactions.get(&id)?;
        let outcome = transaction.state.rule().pending?;
        Some(Completion {
            id,
            producer_id: transaction.producer_id,
            producer_epoch: transaction.producer_epoch,
            outcome,
            partitions: transaction.partitions.clone(),
        })
    }

    /// Markers were written to all partitions but `left`. Without any left the transaction is done; else, or if that
    /// cannot be stored, somebody must try again.
    pub(super) fn markers_written(
        &mut self,
        completion: &Completion,
        left: Partitions,
        now: i64,
        effects: &mut Effects<Self>,
    ) {
        let Some(transaction) = self.transactions.get_mut(&completion.id) else { return };
        if transaction.producer_epoch != completion.producer_epoch
            || transaction.state.rule().pending != Some(completion.outcome)
        {
            return;
        }
        transaction.partitions = left;
        if transaction.partitions.is_empty() {
            let next = transaction.completed(completion.outcome, now);
            self.transition(&completion.id, next, effects);
        } else {
            self.unfinished.insert(Arc::clone(&completion.id));
        }
    }

    fn apply(&mut self, id: Arc<str>, state: Option<Transaction>) {
        self.unfinished.remove(&id);
        if state.as_ref().is_none_or(|transaction| transaction.state != State::Ongoing) {
            self.limits.remove(&id);
        }
        match state {
            None => {
                self.transactions.remove(&id);
            }
            Some(transaction) => {
                if transaction.state.rule().pending.is_some() {
                    self.unfinished.insert(Arc::clone(&id));
                }
                self.transactions.insert(id, transaction);
            }
        }
    }

    /// Reckons until when an id's transaction may be open, when it begins and after a start.
    fn limit(&mut self, id: &Arc<str>, now: i64) {
        let Some(transaction) = self.transactions.get(id) else { return };
        let Some(left) = transaction.time_left(now) else { return };
        let started = transaction.started;
        if self.limits.get(id).is_none_or(|known| known.started != started) {
            let at = self.timers.steady(now).saturating_add(left);
            self.limits.insert(Arc::clone(id), Limit { started, at });
        }
    }

    /// Sees to it that somebody looks for what time does to this state.
    fn watch(&mut self, state: Option<State>, now: i64) {
        let Some(state) = state else { return };
        if state == State::Ongoing {
            self.schedule(TimerKey::Timeouts, now);
        }
        self.schedule(TimerKey::Expiry, now);
    }

    fn schedule(&mut self, key: TimerKey, now: i64) {
        if self.scheduled.insert(key) {
            let interval = match key {
                TimerKey::Timeouts => self.settings.timeout_check_interval_ms,
                TimerKey::Expiry => self.settings.expiry_check_interval_ms,
            };
            self.timers.schedule(key, now.saturating_add(interval.max(1)));
        }
    }

    /// Transactions that are open for too long are aborted, and their producers fenced.
    fn abort_overdue(&mut self, now: i64, effects: &mut Effects<Self>) {
        let steady = self.timers.steady(now);
        for (id, _) in self.limits.iter().filter(|(_, limit)| limit.at < steady) {
            let Some(transaction) = self.transactions.get(id) else { continue };
            match self.fence(transaction, now) {
                Ok(fenced) => {
                    tracing::info!(id = &**id, "the transaction has timed out and is aborted");
                    self.transition(id, fenced, effects);
                }
                Err(error) => tracing::warn!(id = &**id, "cannot abort, will try again: {error}"),
            }
        }
        if !self.limits.is_empty() {
            self.schedule(TimerKey::Timeouts, now);
        }
    }

    /// The abort of an open transaction by the coordinator.
    pub(super) fn fence(&self, transaction: &Transaction, now: i64) -> Result<Transaction, ResponseError> {
        let version = self.surroundings.transaction_version();
        Ok(transaction.fenced(version, self.successor(transaction, version)?, now))
    }

    /// Ids that nobody has used for `transactional.id.expiration.ms` are forgotten.
    fn expire(&mut self, now: i64, effects: &mut Effects<Self>) {
        let expired: Vec<StateRecord> = self
            .transactions
            .iter()
            .filter(|(_, transaction)| {
                transaction.state.rule().expires
                    && transaction.updated <= now.saturating_sub(self.settings.id_expiration_ms)
            })
            .map(|(id, _)| StateRecord { id: Arc::clone(id), state: None, version: 0 })
            .collect();
        for batch in expired.chunks(TOMBSTONES_A_BATCH) {
            effects.store(batch.to_vec(), ());
        }
        if expired.len() < self.transactions.len() {
            self.schedule(TimerKey::Expiry, now);
        }
    }
}

impl Machine for TransactionShard {
    type Record = StateRecord;
    type Then = ();
    type Reply = ();

    const BASE_SEQUENCE: i32 = -1;

    fn encode(record: &StateRecord) -> Result<(Vec<u8>, Option<Vec<u8>>), String> {
        let value = record.state.as_ref().map(|state| state.to_value(record.version));
        let stored = TransactionRecord::State(record.id.to_string(), value);
        stored.encode_as(record.version).map_err(|error| error.to_string())
    }

    fn replay(&mut self, at: Position, key: &[u8], value: Option<&[u8]>) -> Result<(), String> {
        let record = TransactionRecord::decode(key, value)
            .map_err(|error| format!("the record at offset {}: {error}", at.offset))?;
        match record {
            TransactionRecord::State(id, None) => self.apply(Arc::from(id), None),
            TransactionRecord::State(id, Some(value)) => {
                let status = value.transaction_status;
                let transaction = Transaction::restored(value).ok_or_else(|| {
                    format!("the record at offset {} is of the unknown state {status}", at.offset)
                })?;
                self.apply(Arc::from(id), Some(transaction));
            }
            _ => tracing::warn!(offset = at.offset, "a record of an unknown type is left as it is"),
        }
        Ok(())
    }

    /// The coordinator's own records are not part of transactions.
    fn end_transaction(&mut self, _: i64, _: bool) {}

    fn loaded(&mut self, now: i64, _: &mut Effects<Self>) {
        let states: BTreeSet<State> = self.transactions.values().map(|one| one.state).collect();
        for state in states {
            self.watch(Some(state), now);
        }
        let ids: Vec<Arc<str>> = self.transactions.keys().cloned().collect();
        for id in ids {
            self.limit(&id, now);
        }
    }

    fn stored(&mut self, step: Step<Self>, _: i64, now: i64, _: &mut Effects<Self>) {
        for record in step.records {
            self.watch(record.state.as_ref().map(|state| state.state), now);
            self.apply(Arc::clone(&record.id), record.state);
            self.limit(&record.id, now);
        }
    }

    fn not_stored(&mut self, step: Step<Self>, _: ResponseError, now: i64, _: &mut Effects<Self>) {
        // Nothing has changed. What was about to be done is still to be done.
        for record in step.records {
            if let Some(transaction) = self.transactions.get(&record.id) {
                if transaction.state.rule().pending.is_some() {
                    self.unfinished.insert(Arc::clone(&record.id));
                }
                let state = transaction.state;
                self.watch(Some(state), now);
            }
        }
    }

    fn fire(&mut self, now: i64, effects: &mut Effects<Self>) -> bool {
        let Some(key) = self.timers.pop_due(now) else { return false };
        self.scheduled.remove(&key);
        match key {
            TimerKey::Timeouts => self.abort_overdue(now, effects),
            TimerKey::Expiry => self.expire(now, effects),
        }
        true
    }

    fn set_skew(&mut self, ms: i64) {
        self.timers.set_skew(ms);
    }

    fn next_deadline(&self) -> Option<i64> {
        self.timers.next()
    }
}
