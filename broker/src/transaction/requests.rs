//! What clients ask of a transactional id: InitProducerId, AddPartitionsToTxn, EndTxn (`TransactionCoordinator`).

use kafka_protocol::ResponseError;
use std::sync::Arc;

use super::metadata::{NextProducer, Partitions, Transaction, bumps_epoch, is_exhausted};
use super::shard::TransactionShard;
use super::state::{Attempt, End, Outcome, State};
use crate::coordinator::runtime::Effects;

/// Stands for no producer id, or no epoch.
const NONE: i64 = -1;

/// A producer id and its epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Producer {
    /// The id.
    pub(crate) id: i64,
    /// The epoch.
    pub(crate) epoch: i16,
}

/// What an InitProducerId leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Initialised {
    /// The producer may begin.
    Producer(Producer),
    /// The transaction of the one before is being aborted; the producer has to ask again.
    Fencing,
}

impl TransactionShard {
    /// Makes a producer the only one of its transactional id. `expected` is who it takes itself for.
    pub(super) fn init(
        &mut self,
        id: &str,
        timeout_ms: i32,
        expected: Option<Producer>,
        now: i64,
        effects: &mut Effects<Self>,
    ) -> Result<Initialised, ResponseError> {
        let Some((id, transaction)) = self.transactions.get_key_value(id) else {
            let first = Transaction::first(self.surroundings.next_producer_id()?, timeout_ms, now);
            let producer = first.producer();
            self.transition(&Arc::from(id), first, effects);
            return Ok(Initialised::Producer(producer));
        };
        transaction.refuse_pending()?;
        if !expected.is_none_or(|expected| transaction.knows(expected)) {
            return Err(ResponseError::ProducerFenced);
        }
        if transaction.state == State::Ongoing {
            // Nobody gets this epoch: the next attempt bumps it again.
            let fenced = self.fence(transaction, now)?;
            self.transition(id, fenced, effects);
            return Ok(Initialised::Fencing);
        }
        let next = transaction.initialised(self.next_producer(transaction, expected)?, timeout_ms, now);
        let producer = next.producer();
        self.transition(id, next, effects);
        Ok(Initialised::Producer(producer))
    }

    fn next_producer(
        &self,
        transaction: &Transaction,
        expected: Option<Producer>,
    ) -> Result<NextProducer, ResponseError> {
        let current = transaction.producer_epoch;
        let last_epoch = if expected.is_some() { current } else { NONE as i16 };
        match expected {
            Some(expected) if expected.epoch != current => {
                // An initialisation without an expectation has cleared the last epoch, so this is no other producer's.
                let is_retry = expected.epoch == transaction.last_epoch;
                if is_retry { Ok(NextProducer::Same) } else { Err(ResponseError::ProducerFenced) }
            }
            _ if transaction.is_exhausted() => {
                let producer_id = self.surroundings.next_producer_id()?;
                Ok(NextProducer::Other { producer_id, last_epoch })
            }
            _ => Ok(NextProducer::Bumped { last_epoch }),
        }
    }

    /// Adds partitions to the transaction of a producer; the first ones begin it.
    pub(super) fn add(
        &mut self,
        id: &str,
        producer: Producer,
        partitions: &Partitions,
        client_version: i16,
        now: i64,
        effects: &mut Effects<Self>,
    ) -> Result<(), ResponseError> {
        if let Some(transaction) = self.transactions.get(id) {
            transaction.refuse_pending()?;
        }
        let (id, transaction) = self.of_producer(id, producer)?;
        if transaction.state == State::Ongoing && transaction.has_all(partitions) {
            return Ok(());
        }
        let next = transaction.extended(partitions, client_version, now);
        let id = Arc::clone(id);
        self.transition(&id, next, effects);
        Ok(())
    }

    /// The partitions among these that the transaction of a producer has.
    pub(super) fn verify(
        &self,
        id: &str,
        producer: Producer,
        partitions: &Partitions,
    ) -> Result<Partitions, ResponseError> {
        let (_, transaction) = self.of_producer(id, producer)?;
        let mut found = partitions.clone();
        for (topic, indexes) in &mut found {
            indexes.retain(|index| transaction.partitions.get(topic).is_some_and(|of| of.contains(index)));
        }
        Ok(found)
    }

    fn of_producer(&self, id: &str, producer: Producer) -> Result<(&Arc<str>, &Transaction), ResponseError> {
        let known = self.transactions.get_key_value(id).ok_or(ResponseError::InvalidProducerIdMapping)?;
        let transaction = known.1;
        if transaction.producer_id != producer.id {
            Err(ResponseError::InvalidProducerIdMapping)
        } else if transaction.producer_epoch != producer.epoch {
            Err(ResponseError::ProducerFenced)
        } else {
            transaction.refuse_pending().map(|()| known)
        }
    }

    /// Ends the transaction of a producer. `client_version` says whether every transaction of the client has its own
    /// epoch; the producer id and epoch that are answered are those of the next one.
    pub(super) fn end(
        &mut self,
        id: &str,
        producer: Producer,
        outcome: Outcome,
        client_version: i16,
        now: i64,
        effects: &mut Effects<Self>,
    ) -> Result<Producer, ResponseError> {
        let (id, transaction) =
            self.transactions.get_key_value(id).ok_or(ResponseError::InvalidProducerIdMapping)?;
        if bumps_epoch(client_version) {
            transaction.refuse_pending()?;
        }
        let attempt = transaction.attempt(producer, client_version)?;
        match transaction.state.end(outcome, attempt) {
            End::Prepare | End::PrepareWithoutTransaction => {
                let successor = self.successor(transaction, client_version)?;
                let prepared = transaction.prepared(outcome, client_version, successor, now);
                let next = prepared.completed(outcome, now).producer();
                let id = Arc::clone(id);
                self.transition(&id, prepared, effects);
                Ok(next)
            }
            End::Done => Ok(transaction.producer()),
            End::Pending => Err(ResponseError::ConcurrentTransactions),
            End::Fenced => Err(ResponseError::ProducerFenced),
            End::Invalid => {
                let state = transaction.state.rule().name;
                tracing::debug!(id = &**id, state, "no transaction that could end with {outcome:?}");
                Err(ResponseError::InvalidTxnState)
            }
        }
    }

    /// The producer id that must take over when this transaction is done, because its end takes the last epoch; or -1.
    pub(super) fn successor(&self, transaction: &Transaction, version: i16) -> Result<i64, ResponseError> {
        if bumps_epoch(version) && transaction.is_exhausted() {
            self.surroundings.next_producer_id()
        } else {
            Ok(NONE)
        }
    }
}

impl Transaction {
    fn producer(&self) -> Producer {
        Producer { id: self.producer_id, epoch: self.producer_epoch }
    }

    /// Lets whoever asks wait while an outcome is decided and not done, before anybody is compared with the producer that
    /// was: a client that has heard of the outcome asks with the epoch, or even the producer id, of the next transaction.
    fn refuse_pending(&self) -> Result<(), ResponseError> {
        self.state.rule().pending.map_or(Ok(()), |_| Err(ResponseError::ConcurrentTransactions))
    }

    /// Whether a producer that takes itself for this one may go on: it is the current one, or the one before, which has
    /// not heard that its epochs were used up.
    fn knows(&self, expected: Producer) -> bool {
        expected.id == self.producer_id
            || (expected.id == self.previous_producer_id && is_exhausted(expected.epoch))
    }

    fn has_all(&self, partitions: &Partitions) -> bool {
        partitions
            .iter()
            .all(|(topic, indexes)| self.partitions.get(topic).is_some_and(|of| of.is_superset(indexes)))
    }

    /// What the epoch of an EndTxn says.
    fn attempt(&self, producer: Producer, client_version: i16) -> Result<Attempt, ResponseError> {
        let own_epochs = bumps_epoch(client_version);
        // The last epoch was used up by the end that this repeats, and another producer id has taken over.
        let overflowed = own_epochs
            && producer.id == self.previous_producer_id
            && producer.id != self.producer_id
            && producer.epoch == i16::MAX - 1
            && self.producer_epoch == 0;
        if overflowed {
            return Ok(Attempt::Retry);
        }
        if producer.id != self.producer_id {
            return Err(ResponseError::InvalidProducerIdMapping);
        }
        if producer.epoch == self.producer_epoch {
            return Ok(if own_epochs { Attempt::First } else { Attempt::OneEpoch });
        }
        // A client of version 0 may have ended a transaction of its own in this epoch. The coordinator is of its own version.
        let bumped = own_epochs
            && self.client_version > 0
            && i32::from(producer.epoch) + 1 == i32::from(self.producer_epoch);
        if bumped { Ok(Attempt::Retry) } else { Err(ResponseError::ProducerFenced) }
    }
}
