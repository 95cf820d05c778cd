//! Transactions whose coordinator is being asked whether the partition belongs to them (`VerificationStateEntry`;
//! KIP-890). Without, a batch that arrives after its transaction was aborted would open one that nobody ends.

use std::collections::HashMap;

use milena_protocol::records::BatchHeader;

use super::hasher::ProducerIdHasher;
use super::{ProducerError, ProducerState, out_of_order};

/// Stands for one question to the coordinator. The marker that ends the transaction invalidates it, so that an answer
/// which was overtaken by the marker does not admit the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerificationGuard(u64);

#[derive(Debug)]
struct Verification {
    guard: VerificationGuard,
    begun: i64,
    epoch: i16,
    /// Batches with a higher sequence wait for the one with this, which is being tried again.
    lowest_sequence: i32,
    epoch_bump: bool,
}

/// The verifications of a partition, one a producer.
#[derive(Debug, Default)]
pub(super) struct Verifications {
    pending: HashMap<i64, Verification, ProducerIdHasher>,
    last_guard: u64,
}

impl Verifications {
    pub(super) fn begin(
        &mut self,
        producer_id: i64,
        epoch: i16,
        sequence: i32,
        epoch_bump: bool,
        now: i64,
    ) -> VerificationGuard {
        match self.pending.get_mut(&producer_id) {
            // A question about a lower epoch is stale, and who asked may have been another kind of client.
            Some(pending) if epoch <= pending.epoch => {
                if epoch == pending.epoch {
                    pending.lowest_sequence = pending.lowest_sequence.min(sequence);
                }
                pending.guard
            }
            _ => {
                self.last_guard += 1;
                let guard = VerificationGuard(self.last_guard);
                let asked = Verification { guard, begun: now, epoch, lowest_sequence: sequence, epoch_bump };
                self.pending.insert(producer_id, asked);
                guard
            }
        }
    }

    pub(super) fn is_guarded_by(&self, producer_id: i64, guard: Option<VerificationGuard>) -> bool {
        guard.is_some() && self.pending.get(&producer_id).map(|pending| pending.guard) == guard
    }

    /// Rules for the sequence of a producer with a pending verification, beside those for all.
    pub(super) fn check_sequence(
        &self,
        header: &BatchHeader,
        state: &ProducerState,
    ) -> Result<(), ProducerError> {
        if self.pending.is_empty() {
            return Ok(());
        }
        let Some(pending) = self.pending.get(&header.producer_id) else { return Ok(()) };
        if pending.epoch_bump && state.batches().last().is_none() && header.base_sequence != 0 {
            return Err(out_of_order(header, 0));
        }
        if header.base_sequence > pending.lowest_sequence {
            return Err(out_of_order(header, pending.lowest_sequence));
        }
        Ok(())
    }

    /// A transactional batch or a marker was appended: the question is settled. But where every transaction has its
    /// own epoch, a marker of the epoch asked about ended the transaction before.
    pub(super) fn forget(&mut self, header: &BatchHeader) {
        if self.pending.is_empty() {
            return;
        }
        if let Some(pending) = self.pending.get(&header.producer_id) {
            let next_transaction = pending.epoch_bump
                && header.attributes.is_control()
                && header.producer_epoch == pending.epoch;
            if !next_transaction {
                self.pending.remove(&header.producer_id);
            }
        }
    }

    pub(super) fn remove_expired(&mut self, now: i64, expiration_ms: i64) {
        self.pending.retain(|_, pending| now.saturating_sub(pending.begun) < expiration_ms);
    }
}
