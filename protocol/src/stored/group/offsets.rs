//! Committed offsets.

use uuid::Uuid;

use crate::stored::schema::{key_schema, schema};

key_schema! {
    /// `OffsetCommitKey`: which offset was committed.
    pub struct OffsetCommitKey {
        /// Id of the group.
        group: String;
        /// Name of the topic.
        topic: String;
        /// Number of the partition.
        partition: i32;
    }
}

schema! {
    /// `OffsetCommitValue`, versions 0 to 4, written as 4.
    pub struct OffsetCommitValue {
        /// Next offset to be consumed.
        offset: i64;
        /// Leader epoch of the last consumed record, -1 for none.
        leader_epoch: i32 [3..] = -1;
        /// What the client stored beside the offset.
        metadata: String;
        /// When it was committed, in ms since 1970.
        commit_timestamp: i64;
        /// When it expires, in ms since 1970, -1 for by retention; only version 1 has it.
        expire_timestamp: i64 [1..=1] = -1;
        @tags {
            /// Id of the topic, zero when not known; Kafka 4.1 does not set it.
            @0 topic_id: Uuid [4..];
        }
    }
}
