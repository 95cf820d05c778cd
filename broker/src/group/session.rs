//! SyncGroup, Heartbeat and LeaveGroup of classic groups.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{HeartbeatRequest, SyncGroupRequest};
use std::collections::HashMap;
use std::sync::Arc;

use super::classic::{ClassicGroup, State};
use super::rebalance::{
    complete_if_joined, dismiss, extend_session, propagate, rebalance_or_complete, sync_error, sync_reply,
    synced,
};
use super::records::group_record;
use super::shard::{GroupShard, Reply, Then, Turn};
use crate::coordinator::runtime::{Effects, Ticket};

/// What the leader gave each member.
pub(crate) struct Assignment {
    group: Arc<str>,
    generation: i32,
    by_member: HashMap<Arc<str>, Bytes>,
}

impl GroupShard {
    /// A member asks for its assignment; the leader brings everybody's.
    pub(super) fn sync(
        &mut self,
        now: i64,
        request: &SyncGroupRequest,
        ticket: Ticket,
        effects: &mut Effects<Self>,
    ) {
        if self.consumers.contains_key(request.group_id.as_str()) {
            let reply = self.sync_consumer(now, request).map_or_else(sync_error, Reply::Sync);
            return effects.reply(ticket, reply);
        }
        let Some((group, mut turn)) = self.turn(&request.group_id, now, effects) else {
            return effects.reply(ticket, sync_error(ResponseError::UnknownMemberId));
        };
        if let Err(error) = validate_sync(group, request) {
            return turn.effects.reply(ticket, sync_error(error));
        }
        synced(group, &request.member_id, &mut turn);
        if group.is(State::Stable) {
            let Some(member) = group.member(&request.member_id) else { return };
            return turn.effects.reply(ticket, sync_reply(group, member));
        }
        let Some(member) = group.member_mut(&request.member_id) else { return };
        if let Some(superseded) = member.awaiting_sync.replace(ticket) {
            turn.effects.reply(superseded, sync_error(ResponseError::RebalanceInProgress));
        }
        if group.is_leader(&request.member_id) {
            assign(group, request, &mut turn);
        }
    }

    /// The assignment is on record: everybody may have it.
    pub(super) fn assignment_stored(
        &mut self,
        assignment: Assignment,
        now: i64,
        effects: &mut Effects<Self>,
    ) {
        let Some((group, mut turn)) = self.turn(&assignment.group, now, effects) else { return };
        if !group.is(State::CompletingRebalance) || group.generation != assignment.generation {
            return;
        }
        for member in group.members_mut() {
            member.assignment = assignment.by_member.get(&member.id).cloned().unwrap_or_default();
        }
        propagate(group, Ok(()), &mut turn);
        group.transition(State::Stable, now);
    }

    /// The assignment could not be stored: the members hear of it and join again.
    pub(super) fn assignment_failed(
        &mut self,
        assignment: &Assignment,
        error: ResponseError,
        now: i64,
        effects: &mut Effects<Self>,
    ) {
        let Some((group, mut turn)) = self.turn(&assignment.group, now, effects) else { return };
        if group.is(State::CompletingRebalance) && group.generation == assignment.generation {
            propagate(group, Err(error), &mut turn);
            rebalance_or_complete(group, "the assignment could not be stored", &mut turn);
        }
    }

    /// A member shows that it is alive, and hears whether it has to join again.
    pub(super) fn heartbeat(
        &mut self,
        now: i64,
        request: &HeartbeatRequest,
        effects: &mut Effects<Self>,
    ) -> Result<(), ResponseError> {
        if self.consumers.contains_key(request.group_id.as_str()) {
            return self.heartbeat_in_consumer(now, request);
        }
        let (group, mut turn) =
            self.turn(&request.group_id, now, effects).ok_or(ResponseError::UnknownMemberId)?;
        group.validate_member(&request.member_id, request.group_instance_id.as_deref())?;
        if request.generation_id != group.generation {
            return Err(ResponseError::IllegalGeneration);
        }
        let member = group.member(&request.member_id).ok_or(ResponseError::UnknownMemberId)?;
        extend_session(group, member, &mut turn);
        match group.state() {
            State::Empty => Err(ResponseError::UnknownMemberId),
            State::PreparingRebalance => Err(ResponseError::RebalanceInProgress),
            State::CompletingRebalance | State::Stable => Ok(()),
        }
    }

    /// Members leave, or are made to: an administrator names static members by their instance ids alone.
    pub(super) fn leave(
        &mut self,
        now: i64,
        group_id: &str,
        members: &[MemberIdentity],
        effects: &mut Effects<Self>,
    ) -> Vec<MemberResponse> {
        let answer = |member: &MemberIdentity, outcome: Result<(), ResponseError>| {
            MemberResponse::default()
                .with_member_id(member.member_id.clone())
                .with_group_instance_id(member.group_instance_id.clone())
                .with_error_code(outcome.err().map_or(0, |error| error.code()))
        };
        if self.consumers.contains_key(group_id) {
            return self.leave_consumer(group_id, members, effects);
        }
        let Some((group, mut turn)) = self.turn(group_id, now, effects) else {
            return members
                .iter()
                .map(|member| answer(member, Err(ResponseError::UnknownMemberId)))
                .collect();
        };
        let mut left = 0;
        let responses = members
            .iter()
            .map(|member| {
                let outcome = leave_one(group, member, &mut turn);
                left += usize::from(outcome.is_ok());
                answer(member, outcome)
            })
            .collect();
        if left > 0 {
            match group.state() {
                State::Stable | State::CompletingRebalance => {
                    rebalance_or_complete(group, &format!("{left} members left"), &mut turn);
                }
                State::PreparingRebalance => complete_if_joined(group, &mut turn),
                State::Empty => {}
            }
        }
        responses
    }
}

fn validate_sync(group: &ClassicGroup, request: &SyncGroupRequest) -> Result<(), ResponseError> {
    if group.is_empty() {
        return Err(ResponseError::UnknownMemberId);
    }
    group.validate_member(&request.member_id, request.group_instance_id.as_deref())?;
    if request.generation_id != group.generation {
        return Err(ResponseError::IllegalGeneration);
    }
    // Clients before version 5 do not say.
    let differs = |asked: Option<&str>, is: Option<&str>| asked.is_some_and(|asked| Some(asked) != is);
    if differs(request.protocol_type.as_deref(), group.protocol_type.as_deref())
        || differs(request.protocol_name.as_deref(), group.protocol_name.as_deref())
    {
        return Err(ResponseError::InconsistentGroupProtocol);
    }
    if group.is(State::PreparingRebalance) { Err(ResponseError::RebalanceInProgress) } else { Ok(()) }
}

/// Stores the generation with what the leader decided; members it forgot get nothing.
fn assign(group: &mut ClassicGroup, request: &SyncGroupRequest, turn: &mut Turn<'_>) {
    let given: HashMap<&str, &Bytes> =
        request.assignments.iter().map(|given| (given.member_id.as_str(), &given.assignment)).collect();
    let by_member: HashMap<Arc<str>, Bytes> = group
        .members()
        .map(|member| {
            let assignment =
                given.get(&*member.id).map_or_else(Bytes::new, |bytes| Bytes::copy_from_slice(bytes));
            (Arc::clone(&member.id), assignment)
        })
        .collect();
    let record = group_record(group, |member| by_member.get(&member.id).cloned().unwrap_or_default());
    let assignment = Assignment { group: Arc::clone(&group.id), generation: group.generation, by_member };
    turn.effects.store(vec![record], Then::Assignment(assignment));
}

fn leave_one(
    group: &mut ClassicGroup,
    member: &MemberIdentity,
    turn: &mut Turn<'_>,
) -> Result<(), ResponseError> {
    let instance_id = member.group_instance_id.as_deref();
    let id: Arc<str> = if member.member_id.is_empty() {
        let known = instance_id.and_then(|instance_id| group.static_member_id(instance_id));
        Arc::clone(known.ok_or(ResponseError::UnknownMemberId)?)
    } else {
        if !group.pending_joins.contains(member.member_id.as_str()) {
            group.validate_member(&member.member_id, instance_id)?;
        }
        Arc::from(member.member_id.as_str())
    };
    let reason = member.reason.as_deref().unwrap_or("not provided");
    tracing::info!(group = %group.id, member = %id, "the member leaves (client reason: {reason})");
    dismiss(group, &id, turn);
    Ok(())
}
