//! Records of `__consumer_offsets`.
//!
//! ```text
//! key    i16 record type | fields, classic encoding
//! value  i16 version | fields
//! ```
//! A record without a value is a tombstone: what its key names is gone.

mod classic;
mod consumer;
mod offsets;

use bytes::Bytes;

pub use classic::{GroupMember, GroupMetadataValue};
pub use consumer::{
    AssignedTopicPartitions, ClassicMemberMetadata, ClassicProtocol,
    ConsumerGroupCurrentMemberAssignmentValue, ConsumerGroupMemberMetadataValue, ConsumerGroupMetadataValue,
    ConsumerGroupPartitionMetadataValue, ConsumerGroupRegularExpressionKey,
    ConsumerGroupRegularExpressionValue, ConsumerGroupTargetAssignmentMemberValue,
    ConsumerGroupTargetAssignmentMetadataValue, GroupMemberKey, PartitionRacks, TopicMetadata,
};
pub use offsets::{OffsetCommitKey, OffsetCommitValue};

pub use super::coordinator::UnknownRecord;
use super::coordinator::{ValueSchema, decode_key, encode_key, partition_for};
use super::error::StoredError;
use super::wire::Reader;

/// The partition of `__consumer_offsets`, out of `partitions` (at least 1), that holds a group:
/// `Utils.abs(group.hashCode()) % partitions` in Java.
#[must_use]
pub fn group_partition(group: &str, partitions: i32) -> i32 {
    partition_for(group, partitions)
}

macro_rules! group_records {
    ($(
        $(#[$meta:meta])*
        $variant:ident($key:ty, $value:ident) = $record_type:literal,
            versions 0..=$newest:literal, flexible $flexible:literal.., written $written:literal;
    )*) => {
        /// A key and its value; a value of none is a tombstone.
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub enum GroupRecord {
            $( $(#[$meta])* $variant($key, Option<$value>), )*
            /// A record of a type that belongs to share groups, streams groups or a later Kafka, kept as it
            /// is.
            Other(UnknownRecord),
        }

        impl GroupRecord {
            /// The number that the key begins with.
            #[must_use]
            pub fn record_type(&self) -> i16 {
                match self {
                    $( Self::$variant(..) => $record_type, )*
                    Self::Other(record) => record.record_type,
                }
            }

            /// Reads a record.
            ///
            /// # Errors
            ///
            /// A value version that Kafka 4.1 does not read, and bytes that do not follow the schema exactly.
            /// An unknown record type is [`GroupRecord::Other`], not an error.
            pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Self, StoredError> {
                let mut reader = Reader::new(key);
                let unframed = |fault| StoredError::Unframed { schema: "group record key", fault };
                match reader.i16().map_err(unframed)? {
                    $(
                        $record_type => {
                            let schema = ValueSchema {
                                name: stringify!($variant),
                                newest: $newest,
                                flexible_from: $flexible,
                            };
                            let key = decode_key(&mut reader, schema.name)?;
                            let value = value.map(|bytes| schema.decode(bytes)).transpose()?;
                            Ok(Self::$variant(key, value))
                        }
                    )*
                    record_type => Ok(Self::Other(UnknownRecord {
                        record_type,
                        key: Bytes::copy_from_slice(key),
                        value: value.map(Bytes::copy_from_slice),
                    })),
                }
            }

            /// The key and the value, in the versions that Kafka 4.1 writes.
            ///
            /// # Errors
            ///
            /// [`StoredError::Malformed`] when a string is longer than Kafka's limit,
            /// [`MAX_STRING_LENGTH`](super::MAX_STRING_LENGTH).
            pub fn encode(&self) -> Result<(Vec<u8>, Option<Vec<u8>>), StoredError> {
                self.encode_as(None)
            }

            /// With the value in any version; what that version does not have is left out.
            pub(super) fn encode_as(
                &self,
                version: Option<i16>,
            ) -> Result<(Vec<u8>, Option<Vec<u8>>), StoredError> {
                match self {
                    $(
                        Self::$variant(key, value) => {
                            let schema = ValueSchema {
                                name: stringify!($variant),
                                newest: $newest,
                                flexible_from: $flexible,
                            };
                            let version = version.unwrap_or($written);
                            let key = encode_key($record_type, key, schema.name)?;
                            let value = value.as_ref().map(|value| schema.encode(value, version)).transpose()?;
                            Ok((key, value))
                        }
                    )*
                    Self::Other(record) => Ok(record.to_bytes()),
                }
            }
        }
    };
}

group_records! {
    /// A committed offset under the key of Kafka 0.8.1 and before.
    LegacyOffsetCommit(OffsetCommitKey, OffsetCommitValue) = 0, versions 0..=0, flexible 1.., written 0;
    /// A committed offset.
    OffsetCommit(OffsetCommitKey, OffsetCommitValue) = 1, versions 0..=4, flexible 4.., written 4;
    /// A classic group, by its id.
    GroupMetadata(String, GroupMetadataValue) = 2, versions 0..=4, flexible 4.., written 3;
    /// A consumer group, by its id.
    ConsumerGroupMetadata(String, ConsumerGroupMetadataValue) = 3, versions 0..=0, flexible 0.., written 0;
    /// The subscribed topics of a consumer group, by its id; Kafka 4.1 writes tombstones only.
    ConsumerGroupPartitionMetadata(String, ConsumerGroupPartitionMetadataValue) = 4,
        versions 0..=0, flexible 0.., written 0;
    /// A member of a consumer group.
    ConsumerGroupMemberMetadata(GroupMemberKey, ConsumerGroupMemberMetadataValue) = 5,
        versions 0..=0, flexible 0.., written 0;
    /// The epoch of a group's target assignment, by the group's id.
    ConsumerGroupTargetAssignmentMetadata(String, ConsumerGroupTargetAssignmentMetadataValue) = 6,
        versions 0..=0, flexible 0.., written 0;
    /// The target assignment of a member.
    ConsumerGroupTargetAssignmentMember(GroupMemberKey, ConsumerGroupTargetAssignmentMemberValue) = 7,
        versions 0..=0, flexible 0.., written 0;
    /// What a member holds now.
    ConsumerGroupCurrentMemberAssignment(GroupMemberKey, ConsumerGroupCurrentMemberAssignmentValue) = 8,
        versions 0..=0, flexible 0.., written 0;
    /// The topics that a subscribed regular expression resolves to.
    ConsumerGroupRegularExpression(ConsumerGroupRegularExpressionKey, ConsumerGroupRegularExpressionValue) = 16,
        versions 0..=0, flexible 0.., written 0;
}
