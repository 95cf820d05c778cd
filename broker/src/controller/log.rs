//! What the controller needs of the storage below it.

use crate::metadata::Topic;
use std::sync::Arc;
use uuid::Uuid;

/// Why the storage did not do what was asked, with its context (path, offset, cause).
pub(crate) type StorageFailure = Box<dyn std::error::Error + Send + Sync>;

/// What became of records that could not be appended.
#[derive(Debug)]
pub(crate) enum AppendFailure {
    /// The disk is full. Neither the batch that met it nor those behind it are in the log, those before it are:
    /// [`MetadataLog::end_offset`] tells. The next append may succeed.
    Undone(StorageFailure),
    /// Nobody knows how much of them will be there after a restart; nothing may be appended any more.
    Unknown(StorageFailure),
}

impl<E: Into<StorageFailure>> From<E> for AppendFailure {
    fn from(error: E) -> Self {
        Self::Unknown(error.into())
    }
}

/// The log of `__cluster_metadata-0`.
pub(crate) trait MetadataLog: Send + Sync {
    /// Appends one or more whole batches whose offsets and epochs are filled in, the first at
    /// [`end_offset`](Self::end_offset), and returns that offset. They are on the disk after [`sync`](Self::sync).
    fn append(&self, batches: &[u8]) -> Result<i64, AppendFailure>;

    /// Waits until everything below `upto`, which was appended, is on the disk. Those who wait at the same time share one
    /// sync. After a failure nobody knows what will be there after a restart.
    fn sync(&self, upto: i64) -> Result<(), StorageFailure>;

    /// Whole batches from the one that holds offset `from` on: at least one, whatever its size, and no more than
    /// `max_bytes` of them otherwise. Empty at the end of the log.
    fn read(&self, from: i64, max_bytes: usize) -> Result<Vec<u8>, StorageFailure>;

    /// Offset behind the last record.
    fn end_offset(&self) -> i64;

    /// Offset of the first record; what was before is in a snapshot.
    fn start_offset(&self) -> i64;

    /// Stores a snapshot that stands for every record before `end_offset`; `epoch` is that of the last of them. It is on
    /// the disk when it returns.
    fn store_snapshot(&self, end_offset: i64, epoch: i32, bytes: &[u8]) -> Result<(), StorageFailure>;

    /// What is appended from now on can be kept when the log before it goes.
    fn begin_segment(&self, now_ms: i64) -> Result<(), StorageFailure>;

    /// Removes the oldest snapshots, but never the newest, and the log before the oldest that is left, while all
    /// together take more than `max_bytes`, or the oldest stands for nothing younger than `max_ms`.
    fn trim(&self, max_bytes: Option<u64>, max_ms: Option<i64>, now_ms: i64) -> Result<(), StorageFailure>;
}

/// The logs of the partitions.
pub(crate) trait LogStore: Send + Sync {
    /// The metadata can be read, so the start goes on: from now on the directories change, and whoever dies leaves
    /// them to be recovered.
    fn begin(&self) -> Result<(), StorageFailure>;

    /// Makes the logs of the partitions from `first_partition` on. The topic becomes visible when it returns; on an
    /// error none of these logs may be left.
    fn create(&self, topic: &Arc<Topic>, first_partition: i32) -> Result<(), StorageFailure>;

    /// Lets go of the logs of a topic that is no longer visible.
    fn delete(&self, topic: &Arc<Topic>);

    /// Tells the logs of a topic that its configuration has changed.
    fn reconfigure(&self, topic: &Arc<Topic>);

    /// The log directories for so many new partitions of a topic from `first_partition` on; their `directory.id`s.
    fn pick_directories(&self, topic: &str, first_partition: i32, count: usize) -> Vec<Uuid>;
}
