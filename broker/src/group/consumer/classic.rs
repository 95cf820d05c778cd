//! Members of a consumer group that speak the classic protocol: JoinGroup, SyncGroup, Heartbeat and LeaveGroup are
//! served from the targets. The generation that such a member sees is its own epoch.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions as Owned;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, SyncGroupRequest, SyncGroupResponse,
};
use milena_protocol::stored::group::GroupRecord;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::ConsumerGroup;
use super::heartbeat::{Change, known_static_member, session_key};
use super::member::{Member, MemberState, Profile};
use super::protocol::{Subscription, by_id, read_subscription, write_assignment};
use super::upgrade::classic_metadata;
use crate::coordinator::runtime::{Effects, Ticket};
use crate::group::classic::CONSUMER_PROTOCOL_TYPE;
use crate::group::join::Joiner;
use crate::group::member::Protocol;
use crate::group::rebalance::join_error;
use crate::group::shard::{GroupShard, Reply, Then, TimerKey};
use crate::group::text;

/// A JoinGroup that is answered when the member is on record.
pub(crate) struct Joined {
    group: Arc<str>,
    member: Arc<str>,
    session_timeout_ms: i32,
    rebalance_timeout_ms: i32,
    response: JoinGroupResponse,
    ticket: Ticket,
}

/// What a classic member owes: SyncGroup after it joined, JoinGroup after it was told to.
pub(super) fn rejoin_key(group: &Arc<str>, member: &Arc<str>) -> TimerKey {
    TimerKey::Rejoin(Arc::clone(group), Arc::clone(member))
}

impl GroupShard {
    /// JoinGroup of a member of a consumer group. The group has members.
    pub(in crate::group) fn join_consumer(
        &mut self,
        now: i64,
        joiner: &Joiner,
        request: &JoinGroupRequest,
        ticket: Ticket,
        effects: &mut Effects<Self>,
    ) {
        if let Err(error) = self.try_join_consumer(now, joiner, request, ticket, effects) {
            effects.reply(ticket, join_error("", error));
        }
    }

    fn try_join_consumer(
        &mut self,
        now: i64,
        joiner: &Joiner,
        request: &JoinGroupRequest,
        ticket: Ticket,
        effects: &mut Effects<Self>,
    ) -> Result<(), ResponseError> {
        let settings = &self.settings.consumer;
        let group = self.consumers.get(request.group_id.as_str()).ok_or(ResponseError::UnknownMemberId)?;
        let (id, instance_id) = (request.member_id.as_str(), request.group_instance_id.as_deref());
        if !settings.may_upgrade && !settings.may_downgrade {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        let known = group.member(id).is_some();
        let holds_place = instance_id.is_some_and(|instance_id| group.static_member(instance_id).is_some());
        if !known && !holds_place && group.len() >= settings.max_size {
            return Err(ResponseError::GroupMaxSizeReached);
        }
        let protocols = Protocol::from_request(&request.protocols);
        if request.protocol_type.as_str() != CONSUMER_PROTOCOL_TYPE || !group.speaks_one_of(&protocols) {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        let metadata = protocols.first().map(|protocol| &protocol.metadata[..]).unwrap_or_default();
        let subscription = read_subscription(metadata).ok_or(ResponseError::InconsistentGroupProtocol)?;
        let new_id: Arc<str> = match id {
            "" => Arc::from(joiner.unique.to_string()),
            id => Arc::from(id),
        };
        if id.is_empty() && instance_id.is_none() && joiner.requires_member_id {
            effects.reply(ticket, join_error(&new_id, ResponseError::MemberIdRequired));
            return Ok(());
        }
        let mut records = Vec::new();
        let group = group.with_room(request, &new_id, &mut records)?;
        let member = group.member(&new_id).cloned().unwrap_or_else(|| Member::new(Arc::clone(&new_id)));
        let owned = owned_on_wire(&subscription, &*self.topics);
        let mut change = Change {
            now,
            topics: &*self.topics,
            version: self.topics.version(),
            default_assignor: settings.default_assignor(),
            regex_refresh_ms: settings.regex_refresh_interval_ms,
            owned: Some(&owned),
            records,
            resolves: false,
        };
        let profile = profile_of(&member.profile, joiner, request, &protocols, subscription);
        let updated = group.change(&member, profile, &mut change).map_err(|refusal| refusal.error)?;
        let response = JoinGroupResponse::default()
            .with_member_id(text(&updated.id))
            .with_generation_id(updated.holding.epoch)
            .with_protocol_type(Some(text(CONSUMER_PROTOCOL_TYPE)))
            .with_protocol_name(protocols.first().map(|protocol| text(&protocol.name)));
        let joined = Joined {
            group: Arc::clone(&group.id),
            member: Arc::clone(&updated.id),
            session_timeout_ms: request.session_timeout_ms,
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            response,
            ticket,
        };
        let records = change.records;
        if records.is_empty() {
            self.classic_joined(joined, now, effects);
        } else {
            effects.store(records, Then::Joined(Box::new(joined)));
        }
        Ok(())
    }

    /// A member is on record.
    pub(in crate::group) fn classic_joined(&mut self, joined: Joined, now: i64, effects: &mut Effects<Self>) {
        let at = |timeout: i32| now.saturating_add(timeout.into());
        self.timers.schedule(session_key(&joined.group, &joined.member), at(joined.session_timeout_ms));
        self.timers.schedule(rejoin_key(&joined.group, &joined.member), at(joined.rebalance_timeout_ms));
        effects.reply(joined.ticket, Reply::Join(joined.response));
        self.maybe_downgrade(&joined.group, false, now, effects);
    }

    /// A member cannot be put on record.
    pub(in crate::group) fn classic_join_failed(
        joined: &Joined,
        error: ResponseError,
        effects: &mut Effects<Self>,
    ) {
        effects.reply(joined.ticket, join_error("", error));
    }

    /// SyncGroup of a member of a consumer group.
    pub(in crate::group) fn sync_consumer(
        &mut self,
        now: i64,
        request: &SyncGroupRequest,
    ) -> Result<SyncGroupResponse, ResponseError> {
        let group = self.consumers.get(request.group_id.as_str()).ok_or(ResponseError::UnknownMemberId)?;
        let instance_id = request.group_instance_id.as_deref();
        let (member, timeout) =
            group.classic_member(&request.member_id, instance_id, request.generation_id)?;
        let first = member.profile.classic.as_ref().and_then(|classic| classic.supported_protocols.first());
        let differs = |asked: Option<&str>, is: Option<&str>| asked.is_some_and(|asked| Some(asked) != is);
        if differs(request.protocol_type.as_deref(), Some(CONSUMER_PROTOCOL_TYPE))
            || differs(request.protocol_name.as_deref(), first.map(|first| first.name.as_str()))
        {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        let key = rejoin_key(&group.id, &member.id);
        if group.epoch > member.holding.epoch && member.holding.state != MemberState::Unrevoked {
            let at = now.saturating_add(member.profile.rebalance_timeout_ms.into());
            self.timers.schedule_if_absent(key, at);
            return Err(ResponseError::RebalanceInProgress);
        }
        self.timers.cancel(&key);
        self.timers.schedule(session_key(&group.id, &member.id), now.saturating_add(timeout));
        let metadata = first.map(|first| &first.metadata[..]).unwrap_or_default();
        Ok(SyncGroupResponse::default()
            .with_protocol_type(request.protocol_type.clone())
            .with_protocol_name(request.protocol_name.clone())
            .with_assignment(write_assignment(&member.holding.assigned, metadata, &*self.topics)))
    }

    /// Heartbeat of a member of a consumer group.
    pub(in crate::group) fn heartbeat_in_consumer(
        &mut self,
        now: i64,
        request: &HeartbeatRequest,
    ) -> Result<(), ResponseError> {
        let group = self.consumers.get(request.group_id.as_str()).ok_or(ResponseError::UnknownMemberId)?;
        let instance_id = request.group_instance_id.as_deref();
        let (member, timeout) =
            group.classic_member(&request.member_id, instance_id, request.generation_id)?;
        self.timers.schedule(session_key(&group.id, &member.id), now.saturating_add(timeout));
        let rejoins = match member.holding.state {
            // Not the epoch of the targets: perhaps only a member that joins has new ones computed.
            _ if member.holding.epoch < group.epoch => true,
            MemberState::Unrevoked => true,
            MemberState::Unreleased => !group.waits_for_others(member),
            MemberState::Stable | MemberState::Unknown => false,
        };
        if !rejoins {
            return Ok(());
        }
        let at = now.saturating_add(member.profile.rebalance_timeout_ms.into());
        self.timers.schedule_if_absent(rejoin_key(&group.id, &member.id), at);
        Err(ResponseError::RebalanceInProgress)
    }

    /// LeaveGroup of members of a consumer group; an administrator names static members by their instance ids alone.
    pub(in crate::group) fn leave_consumer(
        &mut self,
        group_id: &str,
        members: &[MemberIdentity],
        effects: &mut Effects<Self>,
    ) -> Vec<MemberResponse> {
        let mut leaving = BTreeSet::new();
        let group = self.consumers.get(group_id);
        let responses = members
            .iter()
            .map(|identity| {
                let found =
                    group.ok_or(ResponseError::UnknownMemberId).and_then(|group| find(group, identity));
                let error = match found {
                    Ok(member) => {
                        leaving.insert(Arc::clone(&member.id));
                        0
                    }
                    Err(error) => error.code(),
                };
                MemberResponse::default()
                    .with_member_id(identity.member_id.clone())
                    .with_group_instance_id(identity.group_instance_id.clone())
                    .with_error_code(error)
            })
            .collect();
        self.fence(group_id, leaving, None, effects);
        responses
    }

    /// A member did not send what it owes.
    pub(in crate::group) fn rejoin_expired(
        &mut self,
        group: &str,
        member: &Arc<str>,
        effects: &mut Effects<Self>,
    ) {
        let Some(known) = self.consumers.get(group) else { return };
        if known.member(member).is_some_and(|known| known.profile.classic.is_some()) {
            tracing::info!(group, %member, "the member did not join or sync in time");
            let due = rejoin_key(&known.id, member);
            self.fence(group, BTreeSet::from([Arc::clone(member)]), Some(due), effects);
        }
    }
}

impl ConsumerGroup {
    /// The group with room for who joins: a static member that does not know its id takes the place of the one before.
    fn with_room(
        &self,
        request: &JoinGroupRequest,
        new_id: &Arc<str>,
        records: &mut Vec<GroupRecord>,
    ) -> Result<Cow<'_, Self>, ResponseError> {
        let id = request.member_id.as_str();
        let Some(instance_id) = request.group_instance_id.as_deref() else { return Ok(Cow::Borrowed(self)) };
        match self.static_member(instance_id) {
            Some(old) if id.is_empty() => return Ok(Cow::Owned(self.replaced(old, new_id, records))),
            None if id.is_empty() => {}
            _ => {
                known_static_member(self, id, instance_id).map_err(|refusal| refusal.error)?;
            }
        }
        Ok(Cow::Borrowed(self))
    }

    /// Whether the members that speak the classic protocol share one of these, if there are any.
    fn speaks_one_of(&self, protocols: &[Protocol]) -> bool {
        protocols.iter().any(|protocol| {
            let mut classic = self.members().filter_map(|member| member.profile.classic.as_ref());
            classic
                .all(|classic| classic.supported_protocols.iter().any(|known| known.name == *protocol.name))
        })
    }

    /// A member that speaks the classic protocol, and its session timeout in ms.
    fn classic_member(
        &self,
        id: &str,
        instance_id: Option<&str>,
        generation: i32,
    ) -> Result<(&Member, i64), ResponseError> {
        let member = match instance_id {
            Some(instance_id) => {
                known_static_member(self, id, instance_id).map_err(|refusal| refusal.error)?
            }
            None => self.member(id).ok_or(ResponseError::UnknownMemberId)?,
        };
        let classic = member.profile.classic.as_ref().ok_or(ResponseError::UnknownMemberId)?;
        if member.holding.epoch != generation {
            return Err(ResponseError::IllegalGeneration);
        }
        Ok((member, classic.session_timeout_ms.into()))
    }
}

fn find<'a>(group: &'a ConsumerGroup, identity: &MemberIdentity) -> Result<&'a Member, ResponseError> {
    match identity.group_instance_id.as_deref() {
        None => group.member(&identity.member_id).ok_or(ResponseError::UnknownMemberId),
        Some(instance_id) if identity.member_id.is_empty() => {
            group.static_member(instance_id).ok_or(ResponseError::UnknownMemberId)
        }
        Some(instance_id) => {
            known_static_member(group, &identity.member_id, instance_id).map_err(|refusal| refusal.error)
        }
    }
}

fn owned_on_wire(subscription: &Subscription, topics: &dyn crate::coordinator::Topics) -> Vec<Owned> {
    by_id(subscription.owned.clone(), topics)
        .into_iter()
        .map(|(topic, partitions)| {
            Owned::default().with_topic_id(topic).with_partitions(partitions.into_iter().collect())
        })
        .collect()
}

fn profile_of(
    old: &Profile,
    joiner: &Joiner,
    request: &JoinGroupRequest,
    protocols: &[Protocol],
    subscription: Subscription,
) -> Profile {
    let instance_id = request.group_instance_id.as_deref().map(Arc::from);
    Profile {
        instance_id: instance_id.or_else(|| old.instance_id.clone()),
        rack_id: subscription.rack_id.or_else(|| old.rack_id.clone()),
        client_id: joiner.client_id.clone(),
        client_host: joiner.client_host.clone(),
        topics: Arc::new(subscription.topics),
        regex: String::new(),
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        assignor: old.assignor.clone(),
        classic: Some(classic_metadata(request.session_timeout_ms, protocols)),
    }
}
