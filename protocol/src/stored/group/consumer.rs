//! Groups of the consumer protocol (KIP-848).

use bytes::Bytes;
use uuid::Uuid;

use crate::stored::schema::{Codec, key_schema, schema};
use crate::stored::wire::{Format, Reader, WireError, Writer};

key_schema! {
    /// Which member of which group.
    pub struct GroupMemberKey {
        /// Id of the group.
        group_id: String;
        /// Id of the member.
        member_id: String;
    }

    /// Which regular expression of which group.
    pub struct ConsumerGroupRegularExpressionKey {
        /// Id of the group.
        group_id: String;
        /// The expression.
        regular_expression: String;
    }
}

schema! {
    /// `ConsumerGroupMetadataValue`, version 0.
    pub struct ConsumerGroupMetadataValue {
        /// The group epoch.
        epoch: i32;
        @tags {
            /// Hash over the subscribed topics; 0 for none.
            @0 metadata_hash: i64;
        }
    }

    /// `ConsumerGroupPartitionMetadataValue`, version 0.
    pub struct ConsumerGroupPartitionMetadataValue {
        /// The subscribed topics.
        topics: Vec<TopicMetadata>;
    }

    /// A topic that a group subscribes to.
    pub struct TopicMetadata {
        /// Id of the topic.
        topic_id: Uuid;
        /// Name of the topic.
        topic_name: String;
        /// Number of its partitions.
        num_partitions: i32;
        /// Racks of its partitions; not used since Kafka 4.0.
        partition_metadata: Vec<PartitionRacks>;
    }

    /// The racks that hold a partition.
    pub struct PartitionRacks {
        /// Number of the partition.
        partition: i32;
        /// Racks of its replicas.
        racks: Vec<String>;
    }

    /// `ConsumerGroupMemberMetadataValue`, version 0.
    pub struct ConsumerGroupMemberMetadataValue {
        /// Id that a static member brought.
        instance_id: Option<String>;
        /// Rack of the member.
        rack_id: Option<String>;
        /// Client id.
        client_id: String;
        /// Address of the client.
        client_host: String;
        /// Topics that the member subscribes to by name.
        subscribed_topic_names: Vec<String>;
        /// Regular expression that the member subscribes to.
        subscribed_topic_regex: Option<String>;
        /// How long the member may take to give up partitions, in ms.
        rebalance_timeout_ms: i32 = -1;
        /// Assignor that the member asks for.
        server_assignor: Option<String>;
        @tags {
            /// Set when the member speaks the classic protocol. Kafka writes an explicit null for other
            /// members, since its schema gives the absence of the field another meaning.
            @0 classic_member_metadata: Option<ClassicMemberMetadata>,
                absent Some(ClassicMemberMetadata::default());
        }
    }

    /// What is known of a classic member of a consumer group.
    pub struct ClassicMemberMetadata {
        /// How long the member may be silent, in ms.
        session_timeout_ms: i32;
        /// Protocols that it supports, the preferred first.
        supported_protocols: Vec<ClassicProtocol>;
    }

    /// A protocol of a classic member.
    pub struct ClassicProtocol {
        /// Name of the protocol.
        name: String;
        /// The member's metadata for it.
        metadata: Bytes;
    }

    /// `ConsumerGroupTargetAssignmentMetadataValue`, version 0.
    pub struct ConsumerGroupTargetAssignmentMetadataValue {
        /// Group epoch that the assignment was made for.
        assignment_epoch: i32;
    }

    /// `ConsumerGroupTargetAssignmentMemberValue`, version 0.
    pub struct ConsumerGroupTargetAssignmentMemberValue {
        /// Partitions that the member is to have.
        topic_partitions: Vec<AssignedTopicPartitions>;
    }

    /// Partitions of a topic.
    pub struct AssignedTopicPartitions {
        /// Id of the topic.
        topic_id: Uuid;
        /// Numbers of the partitions.
        partitions: Vec<i32>;
    }

    /// `ConsumerGroupCurrentMemberAssignmentValue`, version 0.
    pub struct ConsumerGroupCurrentMemberAssignmentValue {
        /// Epoch of the member.
        member_epoch: i32;
        /// Epoch before the last change, taken from a member that missed it.
        previous_member_epoch: i32;
        /// 0 stable, 1 unrevoked partitions, 2 unreleased partitions, 127 unknown.
        state: i8;
        /// Partitions that the member has.
        assigned_partitions: Vec<AssignedTopicPartitions>;
        /// Partitions that the member must give up.
        partitions_pending_revocation: Vec<AssignedTopicPartitions>;
    }

    /// `ConsumerGroupRegularExpressionValue`, version 0.
    pub struct ConsumerGroupRegularExpressionValue {
        /// Names of the topics that match.
        topics: Vec<String>;
        /// Offset of the metadata log that they were taken from.
        version: i64;
        /// When they were taken, in ms since 1970.
        timestamp: i64;
    }
}

/// A nullable structure in a tagged field begins with 1, or is 0 for null.
impl Codec for Option<ClassicMemberMetadata> {
    fn read(reader: &mut Reader<'_>, format: Format) -> Result<Self, WireError> {
        if reader.uvarint()? == 0 {
            return Ok(None);
        }
        ClassicMemberMetadata::read(reader, format).map(Some)
    }

    fn write(&self, writer: &mut Writer, format: Format) {
        writer.uvarint(u32::from(self.is_some()));
        if let Some(metadata) = self {
            metadata.write(writer, format);
        }
    }
}
