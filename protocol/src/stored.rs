//! The schemas that Kafka stores rather than sends.
//!
//! Everything here turns bytes into typed values and back, exactly as Apache Kafka 4.1 lays them out on the
//! disk:
//!
//! | module | where the bytes live |
//! |---|---|
//! | [`metadata`] | record values of `__cluster_metadata-0` and of its snapshots |
//! | [`group`] | keys and values of `__consumer_offsets` |
//! | [`transaction`] | keys and values of `__transaction_state` |
//! | [`producer_snapshot`] | `%020d.snapshot` of a partition |
//! | [`quorum_state`] | `quorum-state` of `__cluster_metadata-0` |
//! | [`checkpoint`] | `*-offset-checkpoint` of a log directory, `leader-epoch-checkpoint` of a partition |
//! | [`partition_metadata`] | `partition.metadata` of a partition |
//! | [`meta_properties`] | `meta.properties` of a log directory |
//!
//! Readers take any input without panicking and hold no more memory than a small multiple of the bytes they
//! were given. Bytes after the end of a record are an error, as is a record that ends early. Tagged fields
//! that a schema does not know are kept and written back.

pub mod checkpoint;
pub mod group;
pub mod meta_properties;
pub mod metadata;
pub mod partition_metadata;
pub mod producer_snapshot;
pub mod quorum_state;
pub mod transaction;

mod coordinator;
mod error;
mod json;
mod schema;
mod uuid_text;
mod wire;

pub use error::{StoredError, TextFault};
pub use uuid_text::{uuid_from_base64, uuid_to_base64};
pub use wire::{MAX_STRING_LENGTH, TaggedField, WireError};

#[cfg(test)]
mod tests;
