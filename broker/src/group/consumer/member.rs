//! A member of a consumer group: what it says of itself, and what it holds.

use milena_protocol::stored::group::{
    AssignedTopicPartitions, ClassicMemberMetadata, ConsumerGroupCurrentMemberAssignmentValue,
    ConsumerGroupMemberMetadataValue,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use uuid::Uuid;

use super::Partitions;

/// Epoch of a member that joins.
pub(in crate::group) const JOINING: i32 = 0;
/// Epoch by which a member leaves.
pub(in crate::group) const LEAVING: i32 = -1;
/// Epoch by which a static member leaves for a while.
pub(in crate::group) const LEAVING_FOR_A_WHILE: i32 = -2;

/// What a member says of itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::group) struct Profile {
    pub(in crate::group) instance_id: Option<Arc<str>>,
    pub(in crate::group) rack_id: Option<String>,
    pub(in crate::group) client_id: String,
    /// As Java prints an address: "/127.0.0.1".
    pub(in crate::group) client_host: String,
    /// Topics by name. Members that say the same share one set.
    pub(in crate::group) topics: Arc<BTreeSet<String>>,
    /// Empty for none.
    pub(in crate::group) regex: String,
    /// How long the member may take to give partitions up.
    pub(in crate::group) rebalance_timeout_ms: i32,
    pub(in crate::group) assignor: Option<String>,
    /// Set for a member that speaks the classic protocol.
    pub(in crate::group) classic: Option<ClassicMemberMetadata>,
}

impl Profile {
    pub(super) fn from_record(value: ConsumerGroupMemberMetadataValue) -> Self {
        Self {
            instance_id: value.instance_id.map(Arc::from),
            rack_id: value.rack_id,
            client_id: value.client_id,
            client_host: value.client_host,
            topics: Arc::new(value.subscribed_topic_names.into_iter().collect()),
            regex: value.subscribed_topic_regex.unwrap_or_default(),
            rebalance_timeout_ms: value.rebalance_timeout_ms,
            assignor: value.server_assignor,
            classic: value.classic_member_metadata,
        }
    }

    pub(super) fn to_record(&self) -> ConsumerGroupMemberMetadataValue {
        ConsumerGroupMemberMetadataValue {
            instance_id: self.instance_id.as_deref().map(str::to_owned),
            rack_id: self.rack_id.clone(),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            subscribed_topic_names: self.topics.iter().cloned().collect(),
            subscribed_topic_regex: Some(self.regex.clone()),
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            server_assignor: self.assignor.clone(),
            classic_member_metadata: self.classic.clone(),
            ..ConsumerGroupMemberMetadataValue::default()
        }
    }
}

/// How far a member is on its way to its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::group) enum MemberState {
    /// It has what it is to have at its epoch.
    Stable,
    /// It must give partitions up first.
    Unrevoked,
    /// It waits for partitions of others.
    Unreleased,
    /// A later Kafka wrote a state that this one does not know.
    Unknown,
}

impl MemberState {
    fn from_record(state: i8) -> Self {
        match state {
            0 => Self::Stable,
            1 => Self::Unrevoked,
            2 => Self::Unreleased,
            _ => Self::Unknown,
        }
    }

    fn to_record(self) -> i8 {
        match self {
            Self::Stable => 0,
            Self::Unrevoked => 1,
            Self::Unreleased => 2,
            Self::Unknown => 127,
        }
    }
}

/// What a member holds, and since which epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::group) struct Holding {
    pub(in crate::group) epoch: i32,
    pub(in crate::group) previous_epoch: i32,
    pub(in crate::group) state: MemberState,
    pub(in crate::group) assigned: Arc<Partitions>,
    /// Still held, but to be given up.
    pub(in crate::group) revoking: Arc<Partitions>,
}

impl Default for Holding {
    fn default() -> Self {
        Self {
            epoch: JOINING,
            previous_epoch: -1,
            state: MemberState::Stable,
            assigned: Arc::default(),
            revoking: Arc::default(),
        }
    }
}

impl Holding {
    pub(super) fn from_record(value: ConsumerGroupCurrentMemberAssignmentValue) -> Self {
        Self {
            epoch: value.member_epoch,
            previous_epoch: value.previous_member_epoch,
            state: MemberState::from_record(value.state),
            assigned: Arc::new(partitions_of(value.assigned_partitions)),
            revoking: Arc::new(partitions_of(value.partitions_pending_revocation)),
        }
    }

    pub(super) fn to_record(&self) -> ConsumerGroupCurrentMemberAssignmentValue {
        ConsumerGroupCurrentMemberAssignmentValue {
            member_epoch: self.epoch,
            previous_member_epoch: self.previous_epoch,
            state: self.state.to_record(),
            assigned_partitions: record_of(&self.assigned),
            partitions_pending_revocation: record_of(&self.revoking),
            ..ConsumerGroupCurrentMemberAssignmentValue::default()
        }
    }

    /// Whether the member has reached the target of this epoch.
    pub(in crate::group) fn is_reconciled_to(&self, epoch: i32) -> bool {
        self.state == MemberState::Stable && self.epoch == epoch
    }

    /// Every partition that nobody else may have.
    pub(super) fn all(&self) -> impl Iterator<Item = (Uuid, i32)> {
        each(&self.assigned).chain(each(&self.revoking))
    }
}

/// A member.
#[derive(Clone, Debug)]
pub(in crate::group) struct Member {
    pub(in crate::group) id: Arc<str>,
    pub(in crate::group) profile: Arc<Profile>,
    pub(in crate::group) holding: Holding,
}

impl Member {
    /// A member of which nothing is known yet.
    pub(super) fn new(id: Arc<str>) -> Self {
        let profile = Profile { rebalance_timeout_ms: -1, ..Profile::default() };
        Self { id, profile: Arc::new(profile), holding: Holding::default() }
    }
}

/// Partitions one by one.
pub(super) fn each(partitions: &Partitions) -> impl Iterator<Item = (Uuid, i32)> {
    partitions.iter().flat_map(|(topic, partitions)| partitions.iter().map(|partition| (*topic, *partition)))
}

pub(super) fn partitions_of(topics: Vec<AssignedTopicPartitions>) -> Partitions {
    topics.into_iter().map(|topic| (topic.topic_id, topic.partitions.into_iter().collect())).collect()
}

pub(super) fn record_of(partitions: &Partitions) -> Vec<AssignedTopicPartitions> {
    partitions
        .iter()
        .map(|(topic_id, partitions)| AssignedTopicPartitions {
            topic_id: *topic_id,
            partitions: partitions.iter().copied().collect(),
            ..AssignedTopicPartitions::default()
        })
        .collect()
}
