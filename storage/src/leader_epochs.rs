//! Which leader epoch begins at which offset of a partition, and so which records belong to which leader
//! (`LeaderEpochFileCache`; KIP-101, KIP-279).
//!
//! Invariant: epochs ascend strictly, and so do their start offsets.

use milena_protocol::stored::checkpoint::{LeaderEpochEntry, format_leader_epochs};
use thiserror::Error;

/// Stands for "no epoch" in requests.
pub const UNDEFINED_EPOCH: i32 = -1;

/// Where an epoch ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochEndOffset {
    /// The largest epoch of the log that is not above the one asked for; the latter if all are above it.
    pub epoch: i32,
    /// Offset behind the last record of that epoch.
    pub end_offset: i64,
}

/// An epoch or offset below zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("leader epoch {epoch} cannot start at offset {start_offset}")]
pub struct InvalidEpochEntry {
    epoch: i32,
    start_offset: i64,
}

/// The leader epochs of a partition.
///
/// Methods that change it answer whether they did, in which case `leader-epoch-checkpoint` must be rewritten:
/// before the append after [`LeaderEpochs::assign`], any time later after a truncation, because a start finds and
/// drops epochs that the log does not have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeaderEpochs {
    entries: Vec<LeaderEpochEntry>,
}

impl LeaderEpochs {
    /// No epochs, as in an empty partition.
    pub fn new() -> Self {
        Self::default()
    }

    /// The epochs that a file holds, each assigned in its turn.
    ///
    /// # Errors
    /// [`InvalidEpochEntry`] as [`LeaderEpochs::assign`].
    pub fn restore(entries: impl IntoIterator<Item = LeaderEpochEntry>) -> Result<Self, InvalidEpochEntry> {
        let mut epochs = Self::new();
        for entry in entries {
            epochs.assign(entry.epoch, entry.start_offset)?;
        }
        Ok(epochs)
    }

    /// Says that `epoch` starts at `start_offset`, unless it is the latest epoch already and starts there or before.
    /// Entries that contradict the new one, by an epoch or offset that is not below it, go.
    ///
    /// # Errors
    /// [`InvalidEpochEntry`] if either is negative; nothing has changed then.
    pub fn assign(&mut self, epoch: i32, start_offset: i64) -> Result<bool, InvalidEpochEntry> {
        if epoch < 0 || start_offset < 0 {
            return Err(InvalidEpochEntry { epoch, start_offset });
        }
        if self.latest().is_some_and(|latest| latest.epoch == epoch && latest.start_offset <= start_offset) {
            return Ok(false);
        }
        while self.entries.pop_if(|last| last.epoch >= epoch || last.start_offset >= start_offset).is_some() {
        }
        self.entries.push(LeaderEpochEntry { epoch, start_offset });
        Ok(true)
    }

    /// The end of `epoch`, in a log that ends at `log_end_offset`:
    ///
    /// | epoch asked for | answer |
    /// |---|---|
    /// | the latest | it, the end of the log |
    /// | -1, above the latest, or no epochs at all | `None`: undefined |
    /// | below the first | it, the start of the first |
    /// | else | the largest that is not above it, the start of the next |
    pub fn end_offset_for(&self, epoch: i32, log_end_offset: i64) -> Option<EpochEndOffset> {
        let latest = self.latest()?;
        if epoch == UNDEFINED_EPOCH || epoch > latest.epoch {
            return None;
        }
        if epoch == latest.epoch {
            return Some(EpochEndOffset { epoch, end_offset: log_end_offset });
        }
        let next = self.entries.partition_point(|entry| entry.epoch <= epoch);
        let floor = next.checked_sub(1).map_or(epoch, |at| self.entries[at].epoch);
        Some(EpochEndOffset { epoch: floor, end_offset: self.entries[next].start_offset })
    }

    /// The log ends at `end_offset` now: epochs that start there or behind go.
    pub fn truncate_from_end(&mut self, end_offset: i64) -> bool {
        let before = self.entries.len();
        if end_offset >= 0 {
            self.entries.truncate(self.entries.partition_point(|entry| entry.start_offset < end_offset));
        }
        self.entries.len() != before
    }

    /// The log starts at `start_offset` now: the epoch of that offset starts there, and earlier ones go.
    pub fn truncate_from_start(&mut self, start_offset: i64) -> bool {
        let gone = self.entries.partition_point(|entry| entry.start_offset <= start_offset);
        let Some(kept) = gone.checked_sub(1) else { return false };
        let moved = self.entries[kept].start_offset != start_offset;
        self.entries[kept].start_offset = start_offset;
        self.entries.drain(..kept);
        kept > 0 || moved
    }

    /// Forgets every epoch.
    pub fn clear(&mut self) -> bool {
        let changed = !self.entries.is_empty();
        self.entries.clear();
        changed
    }

    /// The latest epoch that has records, and where it starts.
    pub fn latest(&self) -> Option<LeaderEpochEntry> {
        self.entries.last().copied()
    }

    /// The epoch of the record at `offset`; `None` before the first one.
    pub fn epoch_at(&self, offset: i64) -> Option<i32> {
        let next = self.entries.partition_point(|entry| entry.start_offset <= offset);
        next.checked_sub(1).map(|at| self.entries[at].epoch)
    }

    /// The content of `leader-epoch-checkpoint`.
    pub fn encode(&self) -> Vec<u8> {
        format_leader_epochs(&self.entries).into_bytes()
    }

    /// All epochs, ascending.
    pub fn entries(&self) -> &[LeaderEpochEntry] {
        &self.entries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Offset, whether anything changes, what is left.
    type Truncation = (i64, bool, &'static [(i32, i64)]);

    fn epochs(entries: &[(i32, i64)]) -> LeaderEpochs {
        let entries =
            entries.iter().map(|&(epoch, start_offset)| LeaderEpochEntry { epoch, start_offset }).collect();
        LeaderEpochs { entries }
    }

    #[test]
    fn assign() {
        type Entries = &'static [(i32, i64)];
        let cases: &[(Entries, (i32, i64), bool, Entries)] = &[
            (&[], (0, 0), true, &[(0, 0)]),
            (&[(0, 0)], (0, 0), false, &[(0, 0)]),
            (&[(0, 0)], (0, 7), false, &[(0, 0)]),
            (&[(0, 5)], (0, 3), true, &[(0, 3)]),
            (&[(0, 0)], (2, 7), true, &[(0, 0), (2, 7)]),
            // No record was written in epoch 2.
            (&[(0, 0), (2, 7)], (3, 7), true, &[(0, 0), (3, 7)]),
            // The new entry contradicts later ones.
            (&[(0, 0), (2, 7), (3, 9)], (4, 5), true, &[(0, 0), (4, 5)]),
            (&[(0, 0), (2, 7), (3, 9)], (2, 10), true, &[(0, 0), (2, 10)]),
            (&[(0, 0), (2, 7), (3, 9)], (1, 8), true, &[(0, 0), (1, 8)]),
            (&[(0, 0), (2, 7), (3, 9)], (0, 0), true, &[(0, 0)]),
        ];
        for (before, (epoch, offset), changed, after) in cases {
            let mut found = epochs(before);
            assert_eq!(found.assign(*epoch, *offset), Ok(*changed), "{before:?} + {epoch} {offset}");
            assert_eq!(found, epochs(after), "{before:?} + {epoch} {offset}");
        }
        let mut found = epochs(&[(0, 0)]);
        assert!(found.assign(-1, 5).is_err());
        assert!(found.assign(1, -1).is_err());
        assert_eq!(found, epochs(&[(0, 0)]));
    }

    #[test]
    fn end_offset_for() {
        let log = epochs(&[(2, 10), (4, 20), (7, 30)]);
        let cases = [
            (-1, None),
            (0, Some((0, 10))),
            (1, Some((1, 10))),
            (2, Some((2, 20))),
            (3, Some((2, 20))),
            (4, Some((4, 30))),
            (6, Some((4, 30))),
            (7, Some((7, 42))),
            (8, None),
        ];
        for (epoch, expected) in cases {
            let expected = expected.map(|(epoch, end_offset)| EpochEndOffset { epoch, end_offset });
            assert_eq!(log.end_offset_for(epoch, 42), expected, "{epoch}");
        }
        assert_eq!(LeaderEpochs::new().end_offset_for(0, 42), None);
    }

    #[test]
    fn truncate_from_end() {
        let cases: [Truncation; 7] = [
            (31, false, &[(2, 10), (4, 20), (7, 30)]),
            (30, true, &[(2, 10), (4, 20)]),
            (21, true, &[(2, 10), (4, 20)]),
            (20, true, &[(2, 10)]),
            (10, true, &[]),
            (0, true, &[]),
            (-1, false, &[(2, 10), (4, 20), (7, 30)]),
        ];
        for (offset, changed, after) in cases {
            let mut log = epochs(&[(2, 10), (4, 20), (7, 30)]);
            assert_eq!(log.truncate_from_end(offset), changed, "{offset}");
            assert_eq!(log, epochs(after), "{offset}");
        }
    }

    #[test]
    fn truncate_from_start() {
        let cases: [Truncation; 6] = [
            (9, false, &[(2, 10), (4, 20), (7, 30)]),
            (10, false, &[(2, 10), (4, 20), (7, 30)]),
            (11, true, &[(2, 11), (4, 20), (7, 30)]),
            (20, true, &[(4, 20), (7, 30)]),
            (25, true, &[(4, 25), (7, 30)]),
            (99, true, &[(7, 99)]),
        ];
        for (offset, changed, after) in cases {
            let mut log = epochs(&[(2, 10), (4, 20), (7, 30)]);
            assert_eq!(log.truncate_from_start(offset), changed, "{offset}");
            assert_eq!(log, epochs(after), "{offset}");
        }
        assert!(!LeaderEpochs::new().truncate_from_start(5));
    }

    #[test]
    fn epoch_at_and_latest() {
        let log = epochs(&[(2, 10), (4, 20)]);
        let found = [9, 10, 19, 20, 1000].map(|offset| log.epoch_at(offset));
        assert_eq!(found, [None, Some(2), Some(2), Some(4), Some(4)]);
        assert_eq!(log.latest(), Some(LeaderEpochEntry { epoch: 4, start_offset: 20 }));
        let mut log = log;
        assert!(log.clear());
        assert!(!log.clear());
        assert_eq!(log.latest(), None);
    }

    #[test]
    fn restoring_drops_what_does_not_ascend() {
        let stored = [(0, 0), (3, 9), (2, 9), (5, 12)];
        let stored = stored.map(|(epoch, start_offset)| LeaderEpochEntry { epoch, start_offset });
        assert_eq!(LeaderEpochs::restore(stored), Ok(epochs(&[(0, 0), (2, 9), (5, 12)])));
    }
}
