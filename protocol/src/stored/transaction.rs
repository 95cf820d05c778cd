//! Records of `__transaction_state`.
//!
//! ```text
//! key    i16 0 | string transactional id
//! value  i16 version | fields
//! ```

use bytes::Bytes;

pub use super::coordinator::UnknownRecord;
use super::coordinator::{ValueSchema, decode_key, encode_key, partition_for};
use super::error::StoredError;
use super::schema::schema;
use super::wire::Reader;

const RECORD_TYPE: i16 = 0;
const SCHEMA: ValueSchema = ValueSchema { name: "TransactionLog", newest: 1, flexible_from: 1 };

/// The partition of `__transaction_state`, out of `partitions` (at least 1), that holds a transactional id:
/// `Utils.abs(transactionalId.hashCode()) % partitions` in Java.
#[must_use]
pub fn transaction_partition(transactional_id: &str, partitions: i32) -> i32 {
    partition_for(transactional_id, partitions)
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum TransactionRecord {
    /// The state of a transactional id; none is a tombstone, the id has expired.
    State(String, Option<TransactionLogValue>),
    /// A record of a type that Kafka 4.1 does not define, kept as it is.
    Other(UnknownRecord),
}

schema! {
    /// `TransactionLogValue`, versions 0 and 1.
    pub struct TransactionLogValue {
        /// Producer id of the transactional id.
        producer_id: i64;
        /// Epoch of the producer id.
        producer_epoch: i16;
        /// How long a transaction may take, in ms.
        transaction_timeout_ms: i32;
        /// 0 empty, 1 ongoing, 2 prepare commit, 3 prepare abort, 4 complete commit, 5 complete abort, 6
        /// dead, 7 prepare epoch fence.
        transaction_status: i8;
        /// Partitions of the transaction; none when it is empty.
        transaction_partitions: Option<Vec<TransactionPartitions>>;
        /// When the state last changed, in ms since 1970.
        transaction_last_update_timestamp_ms: i64;
        /// When the transaction began, in ms since 1970, -1 for none.
        transaction_start_timestamp_ms: i64;
        @tags {
            /// Producer id of the last committed transaction, -1 for none.
            @0 previous_producer_id: i64 [1..] = -1;
            /// Producer id that takes over when this one's epochs are used up, -1 for none.
            @1 next_producer_id: i64 [1..] = -1;
            /// Transaction version of the client.
            @2 client_transaction_version: i16 [1..];
            /// Epoch of the next producer id, -1 for none.
            @3 next_producer_epoch: i16 [1..] = -1;
        }
    }

    /// Partitions of a topic.
    pub struct TransactionPartitions {
        /// Name of the topic.
        topic: String;
        /// Numbers of the partitions.
        partition_ids: Vec<i32>;
    }
}

impl TransactionRecord {
    /// Reads a record.
    ///
    /// # Errors
    ///
    /// A value version other than 0 and 1, and bytes that do not follow the schema exactly. An unknown record
    /// type is [`TransactionRecord::Other`], not an error.
    pub fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Self, StoredError> {
        let mut reader = Reader::new(key);
        let unframed = |fault| StoredError::Unframed { schema: "transaction record key", fault };
        let record_type = reader.i16().map_err(unframed)?;
        if record_type != RECORD_TYPE {
            let (key, value) = (Bytes::copy_from_slice(key), value.map(Bytes::copy_from_slice));
            return Ok(Self::Other(UnknownRecord { record_type, key, value }));
        }
        let transactional_id = decode_key(&mut reader, SCHEMA.name)?;
        let value = value.map(|bytes| SCHEMA.decode(bytes)).transpose()?;
        Ok(Self::State(transactional_id, value))
    }

    /// The key and the value in version 1, which Kafka writes from transaction.version 1 on.
    ///
    /// # Errors
    ///
    /// [`StoredError::Malformed`] when a string is longer than Kafka's limit,
    /// [`MAX_STRING_LENGTH`](super::MAX_STRING_LENGTH).
    pub fn encode(&self) -> Result<(Vec<u8>, Option<Vec<u8>>), StoredError> {
        self.encode_as(1)
    }

    /// As [`encode`](Self::encode), with the value in version 0 or 1. Kafka writes 0 under
    /// transaction.version 0.
    ///
    /// # Errors
    ///
    /// As [`encode`](Self::encode); [`StoredError::UnsupportedVersion`] for other versions, and
    /// [`StoredError::FieldNotInVersion`] when version 0 would lose a field that is set.
    pub fn encode_as(&self, version: i16) -> Result<(Vec<u8>, Option<Vec<u8>>), StoredError> {
        match self {
            Self::State(transactional_id, value) => {
                let key = encode_key(RECORD_TYPE, transactional_id, SCHEMA.name)?;
                let encode = |value: &TransactionLogValue| {
                    value.check_fits(version)?;
                    SCHEMA.encode(value, version)
                };
                Ok((key, value.as_ref().map(encode).transpose()?))
            }
            Self::Other(record) => Ok(record.to_bytes()),
        }
    }
}

impl TransactionLogValue {
    fn check_fits(&self, version: i16) -> Result<(), StoredError> {
        if version >= SCHEMA.flexible_from {
            return Ok(());
        }
        let set = [
            ("PreviousProducerId", self.previous_producer_id != -1),
            ("NextProducerId", self.next_producer_id != -1),
            ("ClientTransactionVersion", self.client_transaction_version != 0),
            ("NextProducerEpoch", self.next_producer_epoch != -1),
        ];
        match set.into_iter().find(|(_, set)| *set) {
            Some((field, _)) => Err(StoredError::FieldNotInVersion { schema: SCHEMA.name, version, field }),
            None => Ok(()),
        }
    }
}
