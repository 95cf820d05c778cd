//! A member of a classic group.

use crate::coordinator::runtime::Ticket;
use bytes::Bytes;
use kafka_protocol::messages::describe_groups_response::DescribedGroupMember;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use std::sync::Arc;

use super::text;

/// What a member says it can speak, in order of preference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Protocol {
    /// Name of the assignor ("range") or of whatever the protocol type chooses among.
    pub(super) name: Arc<str>,
    /// Opaque to the broker, but for the topics in it.
    pub(super) metadata: Bytes,
}

impl Protocol {
    /// Copies the protocols out of the request, which would otherwise live as long as the member.
    pub(super) fn from_request(protocols: &[JoinGroupRequestProtocol]) -> Vec<Self> {
        protocols
            .iter()
            .map(|protocol| Self {
                name: Arc::from(protocol.name.as_str()),
                metadata: Bytes::copy_from_slice(&protocol.metadata),
            })
            .collect()
    }
}

/// A member of a classic group.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// Chosen by the coordinator: client id or instance id, and a UUID.
    pub(super) id: Arc<str>,
    /// `group.instance.id` of a static member.
    pub(super) instance_id: Option<Arc<str>>,
    pub(super) client_id: String,
    /// As Java prints an address: "/127.0.0.1".
    pub(super) client_host: String,
    /// How long the group waits for this member to join again.
    pub(super) rebalance_timeout_ms: i32,
    /// How long the member may be silent.
    pub(super) session_timeout_ms: i32,
    pub(super) protocols: Vec<Protocol>,
    /// What the leader gave this member.
    pub(super) assignment: Bytes,
    /// The JoinGroup that waits for the group, if any.
    pub(super) awaiting_join: Option<Ticket>,
    /// The SyncGroup that waits for the leader, if any.
    pub(super) awaiting_sync: Option<Ticket>,
    /// Not part of any generation yet. Its first join has a deadline of its own.
    pub(super) is_new: bool,
}

impl Member {
    /// Whether the member need not send heartbeats now: it waits for an answer. A new member is no exception from its
    /// deadline, because nobody would notice if it went away.
    pub(super) fn has_satisfied_heartbeat(&self) -> bool {
        !self.is_new && (self.awaiting_join.is_some() || self.awaiting_sync.is_some())
    }

    /// The metadata for a protocol; empty if the member does not speak it.
    pub(super) fn metadata(&self, protocol: &str) -> Bytes {
        self.protocols
            .iter()
            .find(|candidate| &*candidate.name == protocol)
            .map_or_else(Bytes::new, |candidate| candidate.metadata.clone())
    }

    /// The first of this member's protocols that is a candidate.
    pub(super) fn vote(&self, is_candidate: impl Fn(&str) -> bool) -> Option<&Arc<str>> {
        self.protocols.iter().map(|protocol| &protocol.name).find(|name| is_candidate(name))
    }

    /// The member as DescribeGroups shows it; metadata only of the chosen protocol of a stable group.
    pub(super) fn describe(&self, protocol: Option<&str>) -> DescribedGroupMember {
        DescribedGroupMember::default()
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance_id.as_deref().map(text))
            .with_client_id(text(&self.client_id))
            .with_client_host(text(&self.client_host))
            .with_member_metadata(protocol.map_or_else(Bytes::new, |name| self.metadata(name)))
            .with_member_assignment(self.assignment.clone())
    }
}
