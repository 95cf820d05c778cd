//! Groups of the classic protocol.

use bytes::Bytes;

use crate::stored::schema::schema;

schema! {
    /// `GroupMetadataValue`, versions 0 to 4, written as 3.
    pub struct GroupMetadataValue {
        /// Kind of the group, `consumer` for consumers, empty for a new group.
        protocol_type: String;
        /// Number of rebalances.
        generation: i32;
        /// Protocol that all members agreed on.
        protocol: Option<String>;
        /// Member id of the leader.
        leader: Option<String>;
        /// When the state last changed, in ms since 1970, -1 when not known.
        current_state_timestamp: i64 [2..] = -1;
        /// The members.
        members: Vec<GroupMember>;
    }

    /// `MemberMetadata` of a classic group.
    pub struct GroupMember {
        /// Id that the coordinator gave the member.
        member_id: String;
        /// Id that a static member brought.
        group_instance_id: Option<String> [3..];
        /// Client id.
        client_id: String;
        /// Address of the client.
        client_host: String;
        /// How long a rebalance waits for the member, in ms.
        rebalance_timeout: i32 [1..] = -1;
        /// How long the member may be silent, in ms.
        session_timeout: i32;
        /// The member's metadata for the chosen protocol.
        subscription: Bytes;
        /// The member's assignment.
        assignment: Bytes;
    }
}
