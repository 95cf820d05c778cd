//! Transactions in one partition: verified appends (KIP-890), and what its producers are doing.

use super::Log;
use super::append::{Append, Appended};
use crate::error::{Error, Result};
use crate::producers::{ProducerState, VerificationGuard};
use milena_protocol::records::BatchHeader;

impl Log {
    /// As [`Log::append`], but a transactional batch that opens its transaction here must come with the guard that
    /// [`Log::begin_verification`] gave, and nothing may have ended the transaction since.
    ///
    /// # Errors
    /// As [`Log::append`].
    ///
    /// # Panics
    /// As [`Log::append`].
    pub fn append_verified(
        &self,
        header: &BatchHeader,
        body: &[u8],
        how: &Append,
        guard: Option<VerificationGuard>,
    ) -> Result<Appended> {
        self.append_checked(header, body, how, |producers, marker| {
            producers.check_verified(header, marker, how.origin, guard)
        })
    }

    /// Says that the transaction coordinator is about to be asked about a transaction in this partition. `None`: it
    /// is open here, there is nothing to ask. `sequence` is that of the batch, `epoch_bump` whether every transaction
    /// has its own epoch, `now_ms` the wall clock.
    ///
    /// # Errors
    /// [`Error::Producer`] if a higher epoch was seen.
    pub fn begin_verification(
        &self,
        producer_id: i64,
        epoch: i16,
        sequence: i32,
        epoch_bump: bool,
        now_ms: i64,
    ) -> Result<Option<VerificationGuard>> {
        let mut writer = self.writer.lock();
        let producers = &mut writer.producers;
        producers.begin_verification(producer_id, epoch, sequence, epoch_bump, now_ms).map_err(Error::from)
    }

    /// What is known of every producer, by id.
    #[must_use]
    pub fn producers(&self) -> Vec<(i64, ProducerState)> {
        let mut all: Vec<_> =
            self.writer.lock().producers.iter().map(|(id, state)| (id, state.clone())).collect();
        all.sort_unstable_by_key(|(id, _)| *id);
        all
    }
}

#[cfg(test)]
mod tests;
