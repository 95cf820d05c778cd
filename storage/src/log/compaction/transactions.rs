//! Which transactions end while a log is walked, and so what of them may go (Kafka: `CleanedTransactionMetadata`).

use crate::index::aborted::AbortedTransaction;
use milena_protocol::records::{BatchHeader, ControlType, Records};
use std::collections::{BTreeMap, HashMap, HashSet};

/// What a walk over the batches of a log knows of transactions.
#[derive(Clone, Debug, Default)]
pub(super) struct Transactions {
    /// Aborted transactions that the walk has not come to: first offset and producer to the rest.
    ahead: BTreeMap<(i64, i64), AbortedTransaction>,
    /// Producer to the aborted transaction that the walk is in, and whether a batch of it was met.
    aborted: HashMap<i64, (AbortedTransaction, bool)>,
    /// Producers with a batch in a transaction that is not aborted.
    committed: HashSet<i64>,
    /// The walk does not meet all batches.
    misses_some: bool,
}

/// What is known of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// Records of an aborted transaction, or a marker of a transaction of which no batch is left.
    pub(super) discardable: bool,
    /// The batch is the marker of this aborted transaction, of which the walk has met a batch: the index of the segment
    /// that takes the marker must know it.
    pub(super) aborted: Option<AbortedTransaction>,
}

impl Seen {
    const fn plain(discardable: bool) -> Self {
        Self { discardable, aborted: None }
    }
}

impl Transactions {
    /// Learns of aborted transactions before the walk comes to their first offsets. Learning of one twice is fine.
    pub(super) fn learn(&mut self, aborted: Vec<AbortedTransaction>) {
        self.ahead.extend(aborted.into_iter().map(|t| ((t.first_offset, t.producer_id), t)));
    }

    /// From now on the walk may pass over batches: every marker may be needed.
    pub(super) fn miss_some(&mut self) {
        self.misses_some = true;
    }

    /// Takes note of the next batch; `body` is what lies behind its header. `None` if a control batch cannot be read.
    pub(super) fn next(&mut self, header: &BatchHeader, body: &[u8]) -> Option<Seen> {
        if header.producer_id < 0 {
            // No transaction, and neither has a batch of the quorum.
            return Some(Seen::plain(false));
        }
        self.reach(header.last_offset());
        // Its marker may be one that cannot be read.
        let is_over =
            |(transaction, _): &(AbortedTransaction, bool)| transaction.last_offset < header.base_offset;
        if self.aborted.get(&header.producer_id).is_some_and(is_over) {
            self.aborted.remove(&header.producer_id);
        }
        if header.attributes.is_control() {
            return self.marker(header, body);
        }
        if !header.attributes.is_transactional() {
            return Some(Seen::plain(false));
        }
        match self.aborted.get_mut(&header.producer_id) {
            Some((_, met)) => {
                *met = true;
                Some(Seen::plain(true))
            }
            None => {
                self.committed.insert(header.producer_id);
                Some(Seen::plain(false))
            }
        }
    }

    fn reach(&mut self, offset: i64) {
        while let Some(entry) = self.ahead.first_entry() {
            if entry.key().0 > offset {
                break;
            }
            let transaction = entry.remove();
            let of_producer = self.aborted.entry(transaction.producer_id).or_insert((transaction, false));
            if of_producer.0.last_offset < transaction.first_offset {
                *of_producer = (transaction, false);
            }
        }
    }

    fn marker(&mut self, header: &BatchHeader, body: &[u8]) -> Option<Seen> {
        let Some(record) = Records::new(body, header.record_count).next() else {
            // A compaction before this one has emptied it.
            return Some(Seen::plain(true));
        };
        Some(match ControlType::from_key(record.ok()?.key?).ok()? {
            ControlType::Abort => match self.aborted.remove(&header.producer_id) {
                Some((transaction, met)) if met || self.misses_some => {
                    Seen { discardable: false, aborted: Some(transaction) }
                }
                _ => Seen::plain(!self.misses_some),
            },
            ControlType::Commit => {
                Seen::plain(!self.committed.remove(&header.producer_id) && !self.misses_some)
            }
            _ => Seen::plain(false),
        })
    }
}
