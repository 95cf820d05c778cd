//! Record values of the cluster metadata log and of its snapshots.
//!
//! ```text
//! uvarint frame version = 1 | uvarint api key | uvarint version | message
//! ```
//! Data records are [`MetadataRecord`]; the records of control batches are in [`records`](crate::records).
//! All messages are flexible. The versions written are those of a Kafka 4.1 cluster (metadata.version 27).

mod broker;
mod cluster;
mod security;
mod topic;

use std::ops::RangeInclusive;

use bytes::Bytes;

pub use broker::{
    BrokerEndpoint, BrokerFeature, BrokerRegistrationChangeRecord, FenceBrokerRecord, RegisterBrokerRecord,
    RegisterControllerRecord, UnfenceBrokerRecord, UnregisterBrokerRecord,
};
pub use cluster::{
    AbortTransactionRecord, BeginTransactionRecord, ClientQuotaEntity, ClientQuotaRecord,
    EndTransactionRecord, FeatureLevelRecord, NoOpRecord, ProducerIdsRecord, ZkMigrationStateRecord,
};
pub use security::{
    AccessControlEntryRecord, DelegationTokenRecord, RemoveAccessControlEntryRecord,
    RemoveDelegationTokenRecord, RemoveUserScramCredentialRecord, UserScramCredentialRecord,
};
pub use topic::{
    ClearElrRecord, ConfigRecord, PartitionChangeRecord, PartitionRecord, RemoveTopicRecord, TopicRecord,
};

use super::error::StoredError;
use super::schema::{Codec, read_whole};
use super::wire::{Format, Reader, WireError, Writer};

const FRAME: &str = "metadata record frame";
const FRAME_VERSION: u32 = 1;

/// What the enum needs to know about a record type.
trait MetadataSchema: Codec {
    /// Versions that can be read; unless a type says otherwise, the last one is written.
    const VERSIONS: RangeInclusive<i16>;

    fn write_version(&self) -> i16 {
        *Self::VERSIONS.end()
    }

    /// Maps values that Kafka reads as "not set" to that.
    fn normalize(&mut self) {}
}

macro_rules! metadata_records {
    ($( $(#[$meta:meta])* $variant:ident($record:ident) = $key:literal; )*) => {
        /// One record of the metadata log.
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub enum MetadataRecord {
            $( $(#[$meta])* $variant($record), )*
            /// A record whose api key Kafka 4.1 does not define, kept as it is.
            Other {
                /// Number of the record type.
                api_key: i16,
                /// Version of its schema.
                version: i16,
                /// The message.
                body: Bytes,
            },
        }

        impl MetadataRecord {
            /// The number of the record type.
            #[must_use]
            pub fn api_key(&self) -> i16 {
                match self {
                    $( Self::$variant(_) => $key, )*
                    Self::Other { api_key, .. } => *api_key,
                }
            }

            /// The schema version that [`encode`](Self::encode) writes.
            #[must_use]
            pub fn version(&self) -> i16 {
                match self {
                    $( Self::$variant(record) => record.write_version(), )*
                    Self::Other { version, .. } => *version,
                }
            }

            fn schema_name(&self) -> &'static str {
                match self {
                    $( Self::$variant(_) => stringify!($record), )*
                    Self::Other { .. } => "metadata record",
                }
            }

            fn read_message(reader: &mut Reader<'_>, api_key: i16, version: i16) -> Result<Self, StoredError> {
                match api_key {
                    $( $key => read_message(reader, stringify!($record), version).map(Self::$variant), )*
                    _ => Ok(Self::Other { api_key, version, body: Bytes::copy_from_slice(reader.rest()) }),
                }
            }

            fn write_message(&self, writer: &mut Writer, format: Format) {
                match self {
                    $( Self::$variant(record) => record.write(writer, format), )*
                    Self::Other { body, .. } => writer.raw(body),
                }
            }
        }

        $(
            impl From<$record> for MetadataRecord {
                fn from(record: $record) -> Self {
                    Self::$variant(record)
                }
            }
        )*
    };
}

metadata_records! {
    /// A broker process registers itself.
    RegisterBroker(RegisterBrokerRecord) = 0;
    /// A broker leaves the cluster.
    UnregisterBroker(UnregisterBrokerRecord) = 1;
    /// A topic is created.
    Topic(TopicRecord) = 2;
    /// A partition is created, or described as a whole in a snapshot.
    Partition(PartitionRecord) = 3;
    /// A configuration key is set or deleted.
    Config(ConfigRecord) = 4;
    /// Some properties of a partition change.
    PartitionChange(PartitionChangeRecord) = 5;
    /// A broker is fenced (before Kafka 3.3; later by `BrokerRegistrationChange`).
    FenceBroker(FenceBrokerRecord) = 7;
    /// A broker is unfenced (before Kafka 3.3; later by `BrokerRegistrationChange`).
    UnfenceBroker(UnfenceBrokerRecord) = 8;
    /// A topic and its partitions are deleted.
    RemoveTopic(RemoveTopicRecord) = 9;
    /// A delegation token is created or renewed.
    DelegationToken(DelegationTokenRecord) = 10;
    /// A SCRAM credential is set.
    UserScramCredential(UserScramCredentialRecord) = 11;
    /// A feature is finalized at a level.
    FeatureLevel(FeatureLevelRecord) = 12;
    /// A client quota is set or removed.
    ClientQuota(ClientQuotaRecord) = 14;
    /// A block of producer ids is handed out.
    ProducerIds(ProducerIdsRecord) = 15;
    /// The state of a registered broker changes.
    BrokerRegistrationChange(BrokerRegistrationChangeRecord) = 17;
    /// An ACL is added.
    AccessControlEntry(AccessControlEntryRecord) = 18;
    /// An ACL is removed.
    RemoveAccessControlEntry(RemoveAccessControlEntryRecord) = 19;
    /// Nothing; an idle controller shows that it is alive.
    NoOp(NoOpRecord) = 20;
    /// The state of a migration from ZooKeeper.
    ZkMigrationState(ZkMigrationStateRecord) = 21;
    /// A SCRAM credential is removed.
    RemoveUserScramCredential(RemoveUserScramCredentialRecord) = 22;
    /// Records up to the matching end take effect together.
    BeginTransaction(BeginTransactionRecord) = 23;
    /// The records since the matching begin take effect.
    EndTransaction(EndTransactionRecord) = 24;
    /// The records since the matching begin are void.
    AbortTransaction(AbortTransactionRecord) = 25;
    /// A delegation token is removed.
    RemoveDelegationToken(RemoveDelegationTokenRecord) = 26;
    /// A controller process registers itself.
    RegisterController(RegisterControllerRecord) = 27;
    /// The eligible leader replicas of a topic, or of all, are forgotten.
    ClearElr(ClearElrRecord) = 28;
}

impl MetadataRecord {
    /// The record value, in the version that [`version`](Self::version) says.
    ///
    /// Whatever it holds, [`decode`](Self::decode) reads it back. Kafka itself refuses strings of more than
    /// [`MAX_STRING_LENGTH`](super::MAX_STRING_LENGTH) bytes; where that was not checked before, use
    /// [`try_encode`](Self::try_encode).
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.write(self.version()).into_bytes()
    }

    /// The record value, if Kafka can read it.
    ///
    /// # Errors
    ///
    /// [`StoredError::Malformed`] when a string is longer than Kafka takes.
    pub fn try_encode(&self) -> Result<Vec<u8>, StoredError> {
        let malformed =
            |fault| StoredError::Malformed { schema: self.schema_name(), version: self.version(), fault };
        self.write(self.version()).finish().map_err(malformed)
    }

    /// Reads a record value.
    ///
    /// # Errors
    ///
    /// A frame version other than 1, a version of a known record type that is not known, and bytes that do
    /// not follow the schema exactly. An unknown api key is [`MetadataRecord::Other`], not an error.
    pub fn decode(value: &[u8]) -> Result<Self, StoredError> {
        let mut reader = Reader::new(value);
        let unframed = |fault| StoredError::Unframed { schema: FRAME, fault };
        let frame_version = reader.uvarint().map_err(unframed)?;
        if frame_version != FRAME_VERSION {
            let version = i64::from(frame_version);
            return Err(StoredError::UnsupportedVersion { schema: FRAME, version, oldest: 1, newest: 1 });
        }
        let api_key = small(&mut reader).map_err(unframed)?;
        let version = small(&mut reader).map_err(unframed)?;
        Self::read_message(&mut reader, api_key, version)
    }

    /// The record in any version; what that version does not have is left out.
    pub(super) fn write(&self, version: i16) -> Writer {
        let mut writer = Writer::default();
        writer.uvarint(FRAME_VERSION);
        writer.uvarint(u32::from(self.api_key().unsigned_abs()));
        writer.uvarint(u32::from(version.unsigned_abs()));
        self.write_message(&mut writer, Format { version, flexible: true });
        writer
    }
}

fn read_message<T: MetadataSchema>(
    reader: &mut Reader<'_>,
    schema: &'static str,
    version: i16,
) -> Result<T, StoredError> {
    if !T::VERSIONS.contains(&version) {
        let (oldest, newest) = (*T::VERSIONS.start(), *T::VERSIONS.end());
        return Err(StoredError::UnsupportedVersion { schema, version: i64::from(version), oldest, newest });
    }
    let mut record: T = read_whole(reader, Format { version, flexible: true }, schema)?;
    record.normalize();
    Ok(record)
}

/// Api keys and versions are unsigned varints of at most 15 bits.
fn small(reader: &mut Reader<'_>) -> Result<i16, WireError> {
    let value = reader.uvarint()?;
    i16::try_from(value).map_err(|_| WireError::OutOfRange { value })
}

/// Record types with version 0 alone.
macro_rules! version_0 {
    ($($record:ident),* $(,)?) => {$(
        impl MetadataSchema for $record {
            const VERSIONS: RangeInclusive<i16> = 0..=0;
        }
    )*};
}

version_0!(
    UnregisterBrokerRecord,
    TopicRecord,
    ConfigRecord,
    FenceBrokerRecord,
    UnfenceBrokerRecord,
    RemoveTopicRecord,
    DelegationTokenRecord,
    UserScramCredentialRecord,
    FeatureLevelRecord,
    ClientQuotaRecord,
    ProducerIdsRecord,
    AccessControlEntryRecord,
    RemoveAccessControlEntryRecord,
    NoOpRecord,
    ZkMigrationStateRecord,
    RemoveUserScramCredentialRecord,
    BeginTransactionRecord,
    EndTransactionRecord,
    AbortTransactionRecord,
    RemoveDelegationTokenRecord,
    RegisterControllerRecord,
    ClearElrRecord,
);

impl MetadataSchema for PartitionRecord {
    const VERSIONS: RangeInclusive<i16> = 0..=2;
}

impl MetadataSchema for PartitionChangeRecord {
    const VERSIONS: RangeInclusive<i16> = 0..=2;

    fn normalize(&mut self) {
        self.leader = self.leader.filter(|leader| *leader != topic::NO_LEADER_CHANGE);
        self.leader_recovery_state =
            self.leader_recovery_state.filter(|state| *state != topic::NO_RECOVERY_CHANGE);
    }
}

impl MetadataSchema for RegisterBrokerRecord {
    const VERSIONS: RangeInclusive<i16> = 0..=4;

    /// Version 4 came with Kafka 4.3; 4.1 reads it no further than 3.
    fn write_version(&self) -> i16 {
        if self.cordoned_log_dirs.is_some() { 4 } else { 3 }
    }
}

impl MetadataSchema for BrokerRegistrationChangeRecord {
    const VERSIONS: RangeInclusive<i16> = 0..=3;

    /// Kafka writes the oldest version that can say what changed.
    fn write_version(&self) -> i16 {
        if self.cordoned_log_dirs.is_some() {
            3
        } else if !self.log_dirs.is_empty() {
            2
        } else {
            i16::from(self.in_controlled_shutdown != 0)
        }
    }
}
