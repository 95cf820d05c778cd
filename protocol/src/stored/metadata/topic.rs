//! Topics, partitions and configuration.

use uuid::Uuid;

use crate::stored::schema::schema;

/// What an explicit `leader` says when there is no change.
pub(super) const NO_LEADER_CHANGE: i32 = -2;
/// What an explicit `leader_recovery_state` says when there is no change.
pub(super) const NO_RECOVERY_CHANGE: i8 = -1;

schema! {
    /// `TopicRecord`, version 0.
    pub struct TopicRecord {
        /// Name of the topic.
        name: String;
        /// Id of the topic, never used twice.
        topic_id: Uuid;
    }

    /// `PartitionRecord`, versions 0 to 2, written as 2.
    pub struct PartitionRecord {
        /// Number of the partition.
        partition_id: i32 = -1;
        /// Id of its topic.
        topic_id: Uuid;
        /// Brokers that hold it, the preferred leader first.
        replicas: Vec<i32>;
        /// Replicas that are in sync.
        isr: Vec<i32>;
        /// Replicas that a reassignment removes.
        removing_replicas: Vec<i32>;
        /// Replicas that a reassignment adds.
        adding_replicas: Vec<i32>;
        /// The leader, -1 for none.
        leader: i32 = -1;
        /// Grows with each change of the leader.
        leader_epoch: i32 = -1;
        /// Grows with each change of the partition.
        partition_epoch: i32 = -1;
        /// Id of the log directory on each replica, in the order of `replicas`; empty when read from version
        /// 0.
        directories: Vec<Uuid> [1..];
        @tags {
            /// 1 while the partition recovers from an unclean election.
            @0 leader_recovery_state: i8;
            /// Replicas out of sync that hold all that was committed (KIP-966).
            @1 eligible_leader_replicas: Option<Vec<i32>> [2..];
            /// Members of the last ELR that were removed by an unclean shutdown.
            @2 last_known_elr: Option<Vec<i32>> [2..];
        }
    }

    /// `PartitionChangeRecord`, versions 0 to 2, written as 2. What is none does not change.
    pub struct PartitionChangeRecord {
        /// Number of the partition.
        partition_id: i32 = -1;
        /// Id of its topic.
        topic_id: Uuid;
        @tags {
            /// Replicas that are in sync.
            @0 isr: Option<Vec<i32>>;
            /// The leader, -1 for none.
            @1 leader: Option<i32>;
            /// Brokers that hold it.
            @2 replicas: Option<Vec<i32>>;
            /// Replicas that a reassignment removes.
            @3 removing_replicas: Option<Vec<i32>>;
            /// Replicas that a reassignment adds.
            @4 adding_replicas: Option<Vec<i32>>;
            /// 1 while the partition recovers from an unclean election, 0 when it has recovered.
            @5 leader_recovery_state: Option<i8>;
            /// Replicas out of sync that hold all that was committed (KIP-966).
            @6 eligible_leader_replicas: Option<Vec<i32>> [2..];
            /// Members of the last ELR that were removed by an unclean shutdown.
            @7 last_known_elr: Option<Vec<i32>> [2..];
            /// Id of the log directory on each replica, in the order of `replicas`.
            @8 directories: Option<Vec<Uuid>> [1..];
        }
    }

    /// `RemoveTopicRecord`, version 0.
    pub struct RemoveTopicRecord {
        /// Id of the topic.
        topic_id: Uuid;
    }

    /// `ConfigRecord`, version 0.
    pub struct ConfigRecord {
        /// 2 topic, 4 broker, 16 client metrics, 32 group.
        resource_type: i8;
        /// Name of the topic or number of the broker; empty for all brokers.
        resource_name: String;
        /// The configuration key.
        name: String;
        /// Its value; none deletes the key.
        value: Option<String>;
    }

    /// `ClearElrRecord`, version 0.
    pub struct ClearElrRecord {
        /// Name of the topic; empty for all topics.
        topic_name: String;
    }
}
