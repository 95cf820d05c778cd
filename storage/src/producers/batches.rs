//! The last batches of one producer, by which duplicates are recognised.

/// Batches that are kept of each producer; clients have as many in flight at most.
const BATCHES: usize = 5;

/// One batch of a producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchMetadata {
    /// Sequence number of its last record.
    pub last_sequence: i32,
    /// Its last offset less its first.
    pub offset_delta: i32,
    /// Offset of its last record.
    pub last_offset: i64,
    /// Its largest timestamp, in milliseconds.
    pub timestamp: i64,
}

impl BatchMetadata {
    const NONE: Self = Self { last_sequence: 0, offset_delta: 0, last_offset: 0, timestamp: 0 };

    /// Sequence number of its first record; before 0 comes `i32::MAX`.
    pub fn first_sequence(&self) -> i32 {
        let first = i64::from(self.last_sequence) - i64::from(self.offset_delta);
        (if first < 0 { first + i64::from(i32::MAX) + 1 } else { first }) as i32
    }

    /// Offset of its first record.
    pub fn first_offset(&self) -> i64 {
        self.last_offset.saturating_sub(i64::from(self.offset_delta))
    }
}

/// The last five batches of a producer in its current epoch, the oldest first.
#[derive(Debug, Clone)]
pub struct RecentBatches {
    batches: [BatchMetadata; BATCHES],
    len: u8,
}

impl RecentBatches {
    pub(super) const fn new() -> Self {
        Self { batches: [BatchMetadata::NONE; BATCHES], len: 0 }
    }

    /// The batches, the oldest first.
    pub fn as_slice(&self) -> &[BatchMetadata] {
        &self.batches[..usize::from(self.len)]
    }

    /// The last batch.
    pub fn last(&self) -> Option<&BatchMetadata> {
        self.as_slice().last()
    }

    /// The base sequence that continues the last batch: 0 behind `i32::MAX`, and where there is no batch.
    pub(super) fn next_sequence(&self) -> i32 {
        self.last().map_or(0, |batch| batch.last_sequence.checked_add(1).unwrap_or(0))
    }

    /// The batch with exactly that range of sequence numbers.
    pub(super) fn find(&self, first_sequence: i32, last_sequence: i32) -> Option<&BatchMetadata> {
        let mut batches = self.as_slice().iter();
        batches.find(|batch| batch.last_sequence == last_sequence && batch.first_sequence() == first_sequence)
    }

    pub(super) fn push(&mut self, batch: BatchMetadata) {
        if usize::from(self.len) == BATCHES {
            self.batches.copy_within(1.., 0);
            self.len -= 1;
        }
        self.batches[usize::from(self.len)] = batch;
        self.len += 1;
    }

    pub(super) fn clear(&mut self) {
        self.len = 0;
    }
}

impl PartialEq for RecentBatches {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for RecentBatches {}
