//! Names in a data directory, parsed and formatted here and nowhere else.
//!
//! Parsing is strict: what parses formats back to the same name, so that a file found by its name can be opened by
//! the name computed from its parts. The only exception is a deleted or stray partition directory, whose topic may
//! have been cut to fit into a file name (see [`PartitionDir`]).

use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use uuid::Uuid;

/// Locked for as long as a process uses the data directory. Its content is empty.
pub const LOCK_FILE: &str = ".lock";
/// Identity of the data directory: cluster, node and directory id.
pub const META_PROPERTIES: &str = "meta.properties";
/// Metadata records to start a cluster from, read while the metadata log is empty.
pub const BOOTSTRAP_CHECKPOINT: &str = "bootstrap.checkpoint";
/// Offset checkpoint: the first offset of each partition that is not known to be on the disk.
pub const RECOVERY_POINT_CHECKPOINT: &str = "recovery-point-offset-checkpoint";
/// Offset checkpoint: where a partition starts, if behind the base offset of its first segment.
pub const LOG_START_OFFSET_CHECKPOINT: &str = "log-start-offset-checkpoint";
/// Offset checkpoint: the high watermark of each partition.
pub const HIGH_WATERMARK_CHECKPOINT: &str = "replication-offset-checkpoint";
/// Offset checkpoint: the first offset of each compacted partition that compaction has not seen.
pub const CLEANER_CHECKPOINT: &str = "cleaner-offset-checkpoint";
/// Exists only between a clean stop and the next start.
pub const CLEAN_SHUTDOWN_FILE: &str = ".kafka_cleanshutdown";
/// Directory of tiered storage, which is no partition and is left alone.
pub const REMOTE_LOG_INDEX_CACHE: &str = "remote-log-index-cache";
/// In a partition directory: the topic id.
pub const PARTITION_METADATA: &str = "partition.metadata";
/// In a partition directory: where each leader epoch starts.
pub const LEADER_EPOCH_CHECKPOINT: &str = "leader-epoch-checkpoint";
/// In the directory of the metadata log: the state of the quorum.
pub const QUORUM_STATE: &str = "quorum-state";
/// Suffix under which an atomically replaced file is written before it is renamed.
pub const TEMPORARY_SUFFIX: &str = ".tmp";

/// Longest file name that common file systems take, in bytes.
pub const MAX_NAME_LENGTH: usize = 255;
/// Longest topic name, in bytes.
pub const MAX_TOPIC_LENGTH: usize = 249;

const OFFSET_DIGITS: usize = 20;
const EPOCH_DIGITS: usize = 10;

/// A name that is not one of Kafka's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{name:?} is not the name of a {expected}")]
pub struct FileNameError {
    name: String,
    expected: &'static str,
}

impl FileNameError {
    fn new(name: &str, expected: &'static str) -> Self {
        Self { name: name.to_owned(), expected }
    }
}

/// What a file of a segment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SegmentFileKind {
    /// Record batches: `.log`.
    Log,
    /// Offset to position: `.index`.
    OffsetIndex,
    /// Timestamp to offset: `.timeindex`.
    TimeIndex,
    /// Aborted transactions: `.txnindex`.
    TransactionIndex,
    /// State of the producers up to, not including, the offset in the name: `.snapshot`.
    ProducerSnapshot,
}

impl SegmentFileKind {
    /// Every kind, in the order in which a segment's files are written.
    pub const ALL: [Self; 5] =
        [Self::Log, Self::OffsetIndex, Self::TimeIndex, Self::TransactionIndex, Self::ProducerSnapshot];

    const fn suffix(self) -> &'static str {
        match self {
            Self::Log => ".log",
            Self::OffsetIndex => ".index",
            Self::TimeIndex => ".timeindex",
            Self::TransactionIndex => ".txnindex",
            Self::ProducerSnapshot => ".snapshot",
        }
    }
}

/// Where a file of a segment is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FileStage {
    /// In use; no suffix.
    Live,
    /// To be removed after `file.delete.delay.ms`: `.deleted`.
    Deleted,
    /// Being written by compaction: `.cleaned`. Worth nothing after a crash.
    Cleaned,
    /// Complete, about to replace live files: `.swap`. Wins over them after a crash.
    Swap,
}

impl FileStage {
    const fn suffix(self) -> &'static str {
        match self {
            Self::Live => "",
            Self::Deleted => ".deleted",
            Self::Cleaned => ".cleaned",
            Self::Swap => ".swap",
        }
    }
}

/// One file of a segment, such as `00000000000000000042.index`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SegmentFile {
    /// Base offset of the segment; never negative. For a producer snapshot, the offset it was taken at.
    pub base_offset: i64,
    /// What it holds.
    pub kind: SegmentFileKind,
    /// Where it is in its life.
    pub stage: FileStage,
}

impl SegmentFile {
    /// The file of that kind which is in use.
    pub const fn live(base_offset: i64, kind: SegmentFileKind) -> Self {
        Self { base_offset, kind, stage: FileStage::Live }
    }

    /// The same file at another stage.
    #[must_use]
    pub const fn at(self, stage: FileStage) -> Self {
        Self { stage, ..self }
    }
}

impl fmt::Display for SegmentFile {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:020}{}{}", self.base_offset, self.kind.suffix(), self.stage.suffix())
    }
}

impl FromStr for SegmentFile {
    type Err = FileNameError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        parse_segment_file(name).ok_or_else(|| FileNameError::new(name, "segment file"))
    }
}

/// Where a metadata snapshot is in its life.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MetadataSnapshotStage {
    /// Complete: `.checkpoint`.
    Live,
    /// Being written: `.checkpoint.part`. Kafka puts a number of its own between the epoch and the suffix.
    Part {
        /// What stands between the epoch and `.checkpoint.part`, without the leading `-`; empty if nothing does.
        unique: String,
    },
    /// To be removed: `.checkpoint.deleted`.
    Deleted,
}

/// A snapshot of the metadata log, such as `00000000000000000042-0000000003.checkpoint`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MetadataSnapshotFile {
    /// The first offset that the snapshot does not cover; never negative.
    pub end_offset: i64,
    /// Epoch of the last record it covers; never negative.
    pub epoch: i32,
    /// Where it is in its life.
    pub stage: MetadataSnapshotStage,
}

impl fmt::Display for MetadataSnapshotFile {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:020}-{:010}", self.end_offset, self.epoch)?;
        match &self.stage {
            MetadataSnapshotStage::Live => out.write_str(".checkpoint"),
            MetadataSnapshotStage::Deleted => out.write_str(".checkpoint.deleted"),
            MetadataSnapshotStage::Part { unique } if unique.is_empty() => out.write_str(".checkpoint.part"),
            MetadataSnapshotStage::Part { unique } => write!(out, "-{unique}.checkpoint.part"),
        }
    }
}

impl FromStr for MetadataSnapshotFile {
    type Err = FileNameError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        parse_metadata_snapshot(name).ok_or_else(|| FileNameError::new(name, "metadata snapshot"))
    }
}

/// What a partition directory is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PartitionDirRole {
    /// Serves the partition: `topic-0`.
    Live,
    /// Its topic was deleted, the files follow after `file.delete.delay.ms`: `topic-0.<id>-delete`.
    Deleted(Uuid),
    /// Will replace the live one once it has caught up: `topic-0.<id>-future`.
    Future(Uuid),
    /// Belongs to no partition of this node: `topic-0.<id>-stray`.
    Stray(Uuid),
}

/// The directory of one partition.
///
/// A deleted or stray directory holds only as much of the topic's name as fits into [`MAX_NAME_LENGTH`], so its name
/// does not always say which topic it was.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PartitionDir {
    /// Name of the topic, possibly cut (see above).
    pub topic: String,
    /// Index of the partition; never negative.
    pub partition: i32,
    /// What the directory is for.
    pub role: PartitionDirRole,
}

impl PartitionDir {
    /// The directory that serves a partition.
    pub fn live(topic: impl Into<String>, partition: i32) -> Self {
        Self { topic: topic.into(), partition, role: PartitionDirRole::Live }
    }

    /// The same partition's directory in another role.
    #[must_use]
    pub fn with_role(self, role: PartitionDirRole) -> Self {
        Self { role, ..self }
    }
}

impl fmt::Display for PartitionDir {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (id, suffix, cut) = match &self.role {
            PartitionDirRole::Live => return write!(out, "{}-{}", self.topic, self.partition),
            PartitionDirRole::Deleted(id) => (id, DELETE_SUFFIX, true),
            PartitionDirRole::Stray(id) => (id, STRAY_SUFFIX, true),
            PartitionDirRole::Future(id) => (id, FUTURE_SUFFIX, false),
        };
        let tail = format!("-{}.{}{suffix}", self.partition, id.simple());
        let topic = if cut {
            let room = self.topic.floor_char_boundary(MAX_NAME_LENGTH - tail.len());
            &self.topic[..room]
        } else {
            &self.topic
        };
        write!(out, "{topic}{tail}")
    }
}

impl FromStr for PartitionDir {
    type Err = FileNameError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        parse_partition_dir(name).ok_or_else(|| {
            FileNameError::new(
                name,
                "partition directory (topic-partition or topic-partition.uniqueId-delete)",
            )
        })
    }
}

/// Whether Kafka accepts `name` as the name of a topic: 1 to [`MAX_TOPIC_LENGTH`] of `[a-zA-Z0-9._-]`, and neither
/// `.` nor `..`.
pub fn is_topic_name(name: &str) -> bool {
    (1..=MAX_TOPIC_LENGTH).contains(&name.len())
        && name != "."
        && name != ".."
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

const DELETE_SUFFIX: &str = "-delete";
const FUTURE_SUFFIX: &str = "-future";
const STRAY_SUFFIX: &str = "-stray";

fn parse_segment_file(name: &str) -> Option<SegmentFile> {
    let (offset, rest) = name.split_at_checked(OFFSET_DIGITS)?;
    let base_offset = padded_number(offset)?;
    let kind = SegmentFileKind::ALL.into_iter().find(|kind| {
        rest.strip_prefix(kind.suffix()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })?;
    let stage = match &rest[kind.suffix().len()..] {
        "" => FileStage::Live,
        ".deleted" => FileStage::Deleted,
        ".cleaned" => FileStage::Cleaned,
        ".swap" => FileStage::Swap,
        _ => return None,
    };
    Some(SegmentFile { base_offset, kind, stage })
}

fn parse_metadata_snapshot(name: &str) -> Option<MetadataSnapshotFile> {
    let (offset, rest) = name.split_at_checked(OFFSET_DIGITS)?;
    let (epoch, rest) = rest.strip_prefix('-')?.split_at_checked(EPOCH_DIGITS)?;
    let stage = match rest {
        ".checkpoint" => MetadataSnapshotStage::Live,
        ".checkpoint.deleted" => MetadataSnapshotStage::Deleted,
        _ => {
            let unique = match rest.strip_suffix(".checkpoint.part")? {
                "" => "",
                unique => unique.strip_prefix('-').filter(|unique| !unique.is_empty())?,
            };
            MetadataSnapshotStage::Part { unique: unique.to_owned() }
        }
    };
    Some(MetadataSnapshotFile { end_offset: padded_number(offset)?, epoch: padded_number(epoch)?, stage })
}

fn parse_partition_dir(name: &str) -> Option<PartitionDir> {
    type Role = fn(Uuid) -> PartitionDirRole;
    const ROLES: [(&str, Role); 3] = [
        (DELETE_SUFFIX, PartitionDirRole::Deleted),
        (FUTURE_SUFFIX, PartitionDirRole::Future),
        (STRAY_SUFFIX, PartitionDirRole::Stray),
    ];
    let marked = ROLES.iter().find_map(|(suffix, role)| Some((name.strip_suffix(suffix)?, role)));
    let (name, role) = match marked {
        None => (name, PartitionDirRole::Live),
        Some((name, role)) => {
            let (name, id) = name.rsplit_once('.')?;
            (name, role(unique_id(id)?))
        }
    };
    let (topic, partition) = name.rsplit_once('-')?;
    let partition = canonical_number(partition)?;
    is_topic_name(topic).then(|| PartitionDir { topic: topic.to_owned(), partition, role })
}

/// 32 lower case hexadecimal digits.
fn unique_id(text: &str) -> Option<Uuid> {
    let canonical = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    canonical.then(|| Uuid::try_parse(text).ok()).flatten()
}

fn padded_number<N: FromStr>(digits: &str) -> Option<N> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// A number without sign and without leading zeros, so that it formats back to the same text.
fn canonical_number(digits: &str) -> Option<i32> {
    if digits.len() > 1 && digits.starts_with('0') {
        return None;
    }
    padded_number(digits)
}

#[cfg(test)]
mod tests;
