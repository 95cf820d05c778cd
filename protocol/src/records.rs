//! Record batches of format version 2: the bytes that producers send, the log keeps and consumers fetch.
//!
//! ```text
//!  0        8     12     16 17   21   23     27        35        43        51  53     57     61
//!  +--------+------+------+--+----+----+------+---------+---------+---------+---+------+------+---------+
//!  | base   | batch|leader|m | crc|attr| last | base    | max     | producer|pro| base |record| records |
//!  | offset |length| epoch|a |    |    |offset| time-   | time-   | id      |du-|se-   |count | (one    |
//!  |        |      |      |gi|    |    | delta| stamp   | stamp   |         |cer|quence|      | block,  |
//!  |  i64   | i32  | i32  |c | u32| i16| i32  |  i64    |  i64    |  i64    |epo| i32  | i32  | maybe   |
//!  |        |      |      |i8|    |    |      |         |         |         |ch |      |      | packed) |
//!  +--------+------+------+--+----+----+------+---------+---------+---------+---+------+------+---------+
//!                  |<- 12: the length counts from here to the end -------------------------------------->|
//!                              |<- 21: the CRC-32C covers all from here to the end ----------------------->|
//! ```
//!
//! Everything in the header is big-endian. The broker rewrites the base offset and the leader epoch, which the CRC
//! leaves out for that reason. Attribute bits: 0-2 codec, 3 timestamp type, 4 transactional, 5 control, 6 base
//! timestamp is the delete horizon. A record inside is
//!
//! ```text
//!  varint length | i8 attributes | varlong timestamp delta | varint offset delta | varint key length (-1: null) key |
//!  varint value length (-1: null) value | varint header count { varint length key | varint length (-1: null) value }
//! ```
//!
//! with zig-zag varints, little end first.

mod batch;
mod builder;
mod compression;
mod control;
mod crc;
mod record;
mod scratch;
mod stream;
mod validate;

pub use batch::{
    Attributes, BatchError, BatchHeader, Batches, HEADER_LEN, LOG_OVERHEAD, MAGIC, NO_PRODUCER_EPOCH,
    NO_PRODUCER_ID, NO_SEQUENCE, NO_TIMESTAMP, TimestampType, UnknownCodec, compute_crc, crc_matches,
};
pub use builder::BatchBuilder;
pub use compression::{Codec, CompressionError, Decoder, Encoder, InvalidLevel, Level, compress, decompress};
pub use control::{
    ControlError, ControlType, EndTransactionMarker, KRaftVersion, KRaftVoters, LeaderChange, SnapshotFooter,
    SnapshotHeader, Voter, VoterEndpoint, VoterId, control_batch, end_transaction_batch,
};
pub use crc::crc_after_header_change;
pub use record::{
    Header, Headers, Record, RecordError, Records, SkimmedRecord, read_varint, read_varlong, varint_len,
    varlong_len, write_varint, write_varlong,
};
pub use stream::{RecordStream, StreamError};
pub use validate::{
    RecordRejection, Rejected, RejectedKind, Rules, Target, Validated, validate, validate_up_to,
};

#[cfg(test)]
mod tests;
