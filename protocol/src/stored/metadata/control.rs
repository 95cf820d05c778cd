//! Control records of the metadata log and its snapshots: what the raft layer writes between the data.
//!
//! ```text
//! key    i16 0 | i16 type
//! value  message, flexible; its first field is `i16 version` = 0
//! ```

use bytes::Bytes;
use uuid::Uuid;

use crate::stored::error::StoredError;
use crate::stored::schema::{Codec, read_whole, schema};
use crate::stored::wire::{Format, Reader, WireError, Writer};

const KEY: &str = "control record key";
const KEY_VERSION: i16 = 0;
/// Kafka 4.1 reads and writes the first version of each message, whatever the field `version` says.
const FORMAT: Format = Format { version: 0, flexible: true };

macro_rules! control_records {
    ($( $(#[$meta:meta])* $variant:ident($record:ident) = $record_type:literal; )*) => {
        /// One control record.
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub enum MetadataControlRecord {
            $( $(#[$meta])* $variant($record), )*
            /// A type that has no place in the metadata log of Kafka 4.1, kept as it is.
            Other {
                /// Number of the type.
                record_type: i16,
                /// The message.
                value: Bytes,
            },
        }

        impl MetadataControlRecord {
            /// The number of the type.
            #[must_use]
            pub fn record_type(&self) -> i16 {
                match self {
                    $( Self::$variant(_) => $record_type, )*
                    Self::Other { record_type, .. } => *record_type,
                }
            }

            fn read_message(record_type: i16, value: &[u8]) -> Result<Self, StoredError> {
                match record_type {
                    $(
                        $record_type => {
                            read_whole(&mut Reader::new(value), FORMAT, stringify!($record)).map(Self::$variant)
                        }
                    )*
                    _ => Ok(Self::Other { record_type, value: Bytes::copy_from_slice(value) }),
                }
            }

            fn write_message(&self, writer: &mut Writer) {
                match self {
                    $( Self::$variant(record) => record.write(writer, FORMAT), )*
                    Self::Other { value, .. } => writer.raw(value),
                }
            }
        }
    };
}

control_records! {
    /// A leader begins its epoch.
    LeaderChange(LeaderChangeMessage) = 2;
    /// A snapshot begins.
    SnapshotHeader(SnapshotHeaderRecord) = 3;
    /// A snapshot ends.
    SnapshotFooter(SnapshotFooterRecord) = 4;
    /// The level of the feature kraft.version.
    KRaftVersion(KRaftVersionRecord) = 5;
    /// The voters of a dynamic quorum.
    KRaftVoters(VotersRecord) = 6;
}

impl MetadataControlRecord {
    /// The key and the value.
    #[must_use]
    pub fn encode(&self) -> (Vec<u8>, Vec<u8>) {
        let mut key = Writer::default();
        key.i16(KEY_VERSION);
        key.i16(self.record_type());
        let mut value = Writer::default();
        self.write_message(&mut value);
        (key.into_bytes(), value.into_bytes())
    }

    /// Reads a record of a control batch.
    ///
    /// # Errors
    ///
    /// A key version other than 0, and bytes that do not follow the schema exactly. An unknown type is
    /// [`MetadataControlRecord::Other`], not an error.
    pub fn decode(key: &[u8], value: &[u8]) -> Result<Self, StoredError> {
        let (version, record_type) =
            read_key(key).map_err(|fault| StoredError::Unframed { schema: KEY, fault })?;
        if version != KEY_VERSION {
            let version = i64::from(version);
            return Err(StoredError::UnsupportedVersion { schema: KEY, version, oldest: 0, newest: 0 });
        }
        Self::read_message(record_type, value)
    }
}

fn read_key(key: &[u8]) -> Result<(i16, i16), WireError> {
    let mut reader = Reader::new(key);
    let read = (reader.i16()?, reader.i16()?);
    reader.expect_end()?;
    Ok(read)
}

schema! {
    /// `LeaderChangeMessage`, version 0.
    pub struct LeaderChangeMessage {
        /// Version of the message, 0.
        version: i16;
        /// Node id of the leader.
        leader_id: i32;
        /// Voters of the epoch.
        voters: Vec<LeaderChangeVoter>;
        /// Voters that elected the leader.
        granting_voters: Vec<LeaderChangeVoter>;
    }

    /// A voter of an epoch.
    pub struct LeaderChangeVoter {
        /// Node id of the voter.
        voter_id: i32;
    }

    /// `SnapshotHeaderRecord`, version 0.
    pub struct SnapshotHeaderRecord {
        /// Version of the message, 0.
        version: i16;
        /// Append time of the last record that the snapshot contains, in ms since 1970.
        last_contained_log_timestamp: i64;
    }

    /// `SnapshotFooterRecord`, version 0.
    pub struct SnapshotFooterRecord {
        /// Version of the message, 0.
        version: i16;
    }

    /// `KRaftVersionRecord`, version 0.
    pub struct KRaftVersionRecord {
        /// Version of the message, 0.
        version: i16;
        /// 0 static quorum, 1 dynamic quorum.
        kraft_version: i16;
    }

    /// `VotersRecord`, version 0.
    pub struct VotersRecord {
        /// Version of the message, 0.
        version: i16;
        /// The voters.
        voters: Vec<Voter>;
    }

    /// A voter of a dynamic quorum.
    pub struct Voter {
        /// Node id of the voter.
        voter_id: i32;
        /// Id of its log directory that holds the metadata log.
        voter_directory_id: Uuid;
        /// Where it can be reached.
        endpoints: Vec<VoterEndpoint>;
        /// Levels of kraft.version that it can run.
        kraft_version_feature: KRaftVersionFeature;
    }

    /// A listener of a voter.
    pub struct VoterEndpoint {
        /// Name of the listener.
        name: String;
        /// Advertised host.
        host: String;
        /// Advertised port.
        port: u16;
    }

    /// A range of levels of kraft.version.
    pub struct KRaftVersionFeature {
        /// Lowest level.
        min_supported_version: i16;
        /// Highest level.
        max_supported_version: i16;
    }
}
