//! How a classic group becomes a consumer group when a member of the new protocol joins. Its members stay in it with
//! what they have, and go on with the classic protocol.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use milena_protocol::stored::group::{
    ClassicMemberMetadata, ClassicProtocol, ConsumerGroupTargetAssignmentMetadataValue, GroupRecord,
};
use std::collections::BTreeSet;
use std::sync::Arc;

use super::ConsumerGroup;
use super::heartbeat::session_key;
use super::member::{Holding, MemberState, Profile};
use super::protocol::{by_id, read_assignment, read_subscription};
use super::target::hash_of;
use crate::coordinator::Topics;
use crate::coordinator::runtime::Effects;
use crate::error::Refusal;
use crate::group::classic::ClassicGroup;
use crate::group::member::{Member as ClassicMember, Protocol};
use crate::group::rebalance::{join_error, sync_error};
use crate::group::shard::GroupShard;

impl GroupShard {
    /// The consumer group that a classic group becomes by these `records`; an empty one, or none, is a new group.
    pub(super) fn upgrade(
        &self,
        group_id: &str,
        records: &mut Vec<GroupRecord>,
    ) -> Result<ConsumerGroup, Refusal> {
        let Some(group) = self.groups.get(group_id) else {
            return Ok(ConsumerGroup::new(Arc::from(group_id)));
        };
        let upgraded = ConsumerGroup::new(Arc::clone(&group.id));
        records.push(GroupRecord::GroupMetadata(group_id.to_owned(), None));
        if group.is_empty() {
            return Ok(upgraded);
        }
        let settings = &self.settings.consumer;
        let refused = |why: &str| {
            let message = format!("Cannot upgrade classic group {group_id} to consumer group because {why}");
            Refusal::new(ResponseError::GroupIdNotFound, message)
        };
        if !settings.may_upgrade {
            return Err(refused("online upgrade is disabled."));
        }
        if !group.is_consumer_group() {
            return Err(refused("the group does not use the consumer embedded protocol."));
        }
        if group.len() > settings.max_size {
            return Err(refused("the group size exceeds the consumer group maximum size."));
        }
        let converted = convert(group, &*self.topics).map_err(refused)?;
        Ok(upgraded.with(converted, records))
    }

    /// The records of a consumer group are stored: if it was a classic group until now, its members go on in it.
    pub(in crate::group) fn upgraded(&mut self, group_id: &str, now: i64, effects: &mut Effects<Self>) {
        let Some(mut group) = self.groups.remove(group_id) else { return };
        if group.is_empty() {
            return;
        }
        tracing::info!(group = group_id, members = group.len(), "the classic group becomes a consumer group");
        let ids: Vec<Arc<str>> = group.members().map(|member| Arc::clone(&member.id)).collect();
        for id in ids {
            // They join again, and find what is left for them.
            if let Some(ticket) = group.take_join(&id) {
                effects.reply(ticket, join_error(&id, ResponseError::RebalanceInProgress));
            }
            let Some(member) = group.member_mut(&id) else { continue };
            if let Some(ticket) = member.awaiting_sync.take() {
                effects.reply(ticket, sync_error(ResponseError::RebalanceInProgress));
            }
            let at = now.saturating_add(member.session_timeout_ms.into());
            self.timers.schedule(session_key(&group.id, &id), at);
        }
    }
}

/// The records of the consumer group.
fn convert(group: &ClassicGroup, topics: &dyn Topics) -> Result<Vec<GroupRecord>, &'static str> {
    let malformed = "the embedded consumer protocol is malformed.";
    let into = ConsumerGroup::new(Arc::clone(&group.id));
    let (mut records, mut targets, mut holdings) = (Vec::new(), Vec::new(), Vec::new());
    let mut subscribed = BTreeSet::new();
    for member in group.members() {
        let (assignment, has_data) = read_assignment(&member.assignment).ok_or(malformed)?;
        if has_data {
            return Err("an unsupported custom assignor is in use. \
                 Please refer to the documentation or switch to a default assignor before re-attempting the upgrade.");
        }
        let metadata = match &group.protocol_name {
            Some(protocol) => member.metadata(protocol),
            // The group never came to agree on one.
            None => member.protocols.first().map_or_else(Bytes::new, |protocol| protocol.metadata.clone()),
        };
        let subscription = read_subscription(&metadata).ok_or(malformed)?;
        let partitions = Arc::new(by_id(assignment, topics));
        let key = || into.key(&member.id);
        let profile = profile_of(member, subscription.rack_id, subscription.topics);
        subscribed.extend(profile.topics.iter().cloned());
        records.push(GroupRecord::ConsumerGroupMemberMetadata(key(), Some(profile.to_record())));
        targets.push(into.target_record(&member.id, &partitions));
        let holding = Holding {
            epoch: group.generation,
            previous_epoch: group.generation,
            state: MemberState::Stable,
            assigned: partitions,
            revoking: Arc::default(),
        };
        let value = holding.to_record();
        holdings.push(GroupRecord::ConsumerGroupCurrentMemberAssignment(key(), Some(value)));
    }
    let hash = hash_of(subscribed.iter().map(String::as_str).collect(), topics);
    records.push(into.epoch_record(group.generation, hash));
    records.append(&mut targets);
    let value = ConsumerGroupTargetAssignmentMetadataValue {
        assignment_epoch: group.generation,
        ..ConsumerGroupTargetAssignmentMetadataValue::default()
    };
    records.push(GroupRecord::ConsumerGroupTargetAssignmentMetadata(group.id.to_string(), Some(value)));
    records.append(&mut holdings);
    Ok(records)
}

fn profile_of(member: &ClassicMember, rack_id: Option<String>, topics: BTreeSet<String>) -> Profile {
    Profile {
        instance_id: member.instance_id.clone(),
        rack_id,
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        topics: Arc::new(topics),
        regex: String::new(),
        rebalance_timeout_ms: member.rebalance_timeout_ms,
        assignor: None,
        classic: Some(classic_metadata(member.session_timeout_ms, &member.protocols)),
    }
}

/// What is kept of a member that speaks the classic protocol.
pub(super) fn classic_metadata(session_timeout_ms: i32, protocols: &[Protocol]) -> ClassicMemberMetadata {
    let protocols = protocols.iter().map(|protocol| ClassicProtocol {
        name: protocol.name.to_string(),
        metadata: protocol.metadata.clone(),
        ..ClassicProtocol::default()
    });
    ClassicMemberMetadata {
        session_timeout_ms,
        supported_protocols: protocols.collect(),
        ..ClassicMemberMetadata::default()
    }
}
