//! Control records: the marks that transactions and the Raft quorum leave in logs among the records of applications.
//!
//! ```text
//!  key    i16 version 0 | i16 type
//!  value  i16 version | fields, tagged fields at the end except in the markers of transactions
//! ```

mod quorum;

use thiserror::Error;

use super::batch::{Attributes, BatchHeader, HEADER_LEN, LOG_OVERHEAD, NO_SEQUENCE, compute_crc};
use super::builder::BatchBuilder;
use super::compression::CompressionError;

pub use quorum::{
    KRaftVersion, KRaftVoters, LeaderChange, SnapshotFooter, SnapshotHeader, Voter, VoterEndpoint, VoterId,
};

/// Why bytes are not the control record they are taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ControlError {
    /// The bytes end too early, or a length in them does.
    #[error("the control record is cut off")]
    Truncated,
    /// A version above the one that there is.
    #[error("a control record of version {0} is not known")]
    Version(i16),
    /// A name that is not UTF-8.
    #[error("a name in a control record is not UTF-8")]
    Name,
}

/// What a control record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlType {
    /// The transaction of this producer up to here is aborted.
    Abort,
    /// The transaction of this producer up to here is committed.
    Commit,
    /// A leader of the quorum was elected.
    LeaderChange,
    /// First record of a snapshot.
    SnapshotHeader,
    /// Last record of a snapshot.
    SnapshotFooter,
    /// The version of the Raft protocol changed.
    KRaftVersion,
    /// The set of voters changed.
    KRaftVoters,
    /// A type of a later Kafka; readers pass over it.
    Unknown(i16),
}

impl ControlType {
    /// The type in the key.
    pub fn id(self) -> i16 {
        match self {
            Self::Abort => 0,
            Self::Commit => 1,
            Self::LeaderChange => 2,
            Self::SnapshotHeader => 3,
            Self::SnapshotFooter => 4,
            Self::KRaftVersion => 5,
            Self::KRaftVoters => 6,
            Self::Unknown(id) => id,
        }
    }

    /// The type of that number.
    pub fn from_id(id: i16) -> Self {
        match id {
            0 => Self::Abort,
            1 => Self::Commit,
            2 => Self::LeaderChange,
            3 => Self::SnapshotHeader,
            4 => Self::SnapshotFooter,
            5 => Self::KRaftVersion,
            6 => Self::KRaftVoters,
            other => Self::Unknown(other),
        }
    }

    /// The record key of this type.
    pub fn key(self) -> [u8; 4] {
        let [a, b] = self.id().to_be_bytes();
        [0, 0, a, b]
    }

    /// Reads a record key. Later versions may append fields, which are passed over.
    ///
    /// # Errors
    /// Fewer than 4 bytes, or a negative version.
    pub fn from_key(key: &[u8]) -> Result<Self, ControlError> {
        let &[a, b, c, d] = key.first_chunk().ok_or(ControlError::Truncated)?;
        let version = i16::from_be_bytes([a, b]);
        if version < 0 {
            return Err(ControlError::Version(version));
        }
        Ok(Self::from_id(i16::from_be_bytes([c, d])))
    }
}

/// The end of a producer's transaction in one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndTransactionMarker {
    /// Commit, else abort.
    pub commit: bool,
    /// Epoch of the coordinator that wrote it; an older one's marker is refused.
    pub coordinator_epoch: i32,
}

impl EndTransactionMarker {
    /// The key's type.
    pub fn control_type(self) -> ControlType {
        if self.commit { ControlType::Commit } else { ControlType::Abort }
    }

    /// The record value.
    pub fn value(self) -> [u8; 6] {
        let [a, b, c, d] = self.coordinator_epoch.to_be_bytes();
        [0, 0, a, b, c, d]
    }

    /// Reads key and value of a marker; `None` where the key is that of another control record.
    ///
    /// # Errors
    /// A key or a value that is too short, or of a negative version.
    pub fn read(key: &[u8], value: &[u8]) -> Result<Option<Self>, ControlError> {
        let commit = match ControlType::from_key(key)? {
            ControlType::Abort => false,
            ControlType::Commit => true,
            _ => return Ok(None),
        };
        let &[a, b, c, d, e, f] = value.first_chunk().ok_or(ControlError::Truncated)?;
        let version = i16::from_be_bytes([a, b]);
        if version < 0 {
            return Err(ControlError::Version(version));
        }
        Ok(Some(Self { commit, coordinator_epoch: i32::from_be_bytes([c, d, e, f]) }))
    }
}

/// Bytes of a marker's record: 16 and the length in front.
const MARKER_RECORD: usize = 17;

/// The whole batch of an end-of-transaction marker.
pub fn end_transaction_batch(
    base_offset: i64,
    leader_epoch: i32,
    timestamp_ms: i64,
    producer_id: i64,
    producer_epoch: i16,
    marker: EndTransactionMarker,
) -> [u8; HEADER_LEN + MARKER_RECORD] {
    // length 16, attributes, both deltas 0, key length 4, value length 6, no headers: as zig-zag varints.
    let mut record = [0; MARKER_RECORD];
    (record[0], record[4], record[9]) = (32, 8, 12);
    record[5..9].copy_from_slice(&marker.control_type().key());
    record[10..16].copy_from_slice(&marker.value());
    let mut header = BatchHeader {
        base_offset,
        batch_length: (HEADER_LEN + MARKER_RECORD - LOG_OVERHEAD) as i32,
        partition_leader_epoch: leader_epoch,
        attributes: Attributes::default().with_transactional(true).with_control(true),
        last_offset_delta: 0,
        base_timestamp: timestamp_ms,
        max_timestamp: timestamp_ms,
        producer_id,
        producer_epoch,
        base_sequence: NO_SEQUENCE,
        record_count: 1,
        ..BatchHeader::default()
    };
    header.crc = compute_crc(&header, &record);
    let mut batch = [0; HEADER_LEN + MARKER_RECORD];
    batch[..HEADER_LEN].copy_from_slice(&header.to_bytes());
    batch[HEADER_LEN..].copy_from_slice(&record);
    batch
}

/// A batch of control records of the quorum: no producer, no transaction, one timestamp.
///
/// # Errors
/// More bytes than a batch can count.
pub fn control_batch<'a>(
    base_offset: i64,
    leader_epoch: i32,
    timestamp_ms: i64,
    records: impl IntoIterator<Item = (ControlType, &'a [u8])>,
) -> Result<Vec<u8>, CompressionError> {
    let mut builder = BatchBuilder::new().base_offset(base_offset).leader_epoch(leader_epoch).control(true);
    for (control_type, value) in records {
        builder.append(timestamp_ms, Some(&control_type.key()), Some(value), &[]);
    }
    builder.build()
}
