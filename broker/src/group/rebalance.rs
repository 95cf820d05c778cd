//! What moves a classic group between its states: joins, rebalances, deadlines. Follows Kafka's `GroupMetadataManager`.

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{JoinGroupResponse, SyncGroupResponse};
use std::sync::Arc;

use super::classic::{ClassicGroup, State};
use super::member::Member;
use super::records::group_record;
use super::shard::{Reply, Then, TimerKey, Turn};
use super::text;
use crate::coordinator::runtime::Ticket;

/// How long the first JoinGroup of a member waits for the others: the client cannot show that it is alive meanwhile.
pub(super) const NEW_MEMBER_JOIN_TIMEOUT_MS: i64 = 5 * 60 * 1000;

/// The delay of a first rebalance, which is prolonged while members keep coming.
#[derive(Clone, Copy, Debug)]
pub(super) struct InitialDelay {
    pub(super) delay_ms: i64,
    pub(super) remaining_ms: i64,
}

/// A refusal of JoinGroup.
pub(super) fn join_error(member_id: &str, error: ResponseError) -> Reply {
    Reply::Join(JoinGroupResponse::default().with_member_id(text(member_id)).with_error_code(error.code()))
}

/// A refusal of SyncGroup.
pub(super) fn sync_error(error: ResponseError) -> Reply {
    Reply::Sync(SyncGroupResponse::default().with_error_code(error.code()))
}

/// The current generation as JoinGroup shows it to a member.
pub(super) fn join_reply(group: &ClassicGroup, member_id: &str) -> JoinGroupResponse {
    let members = if group.is_leader(member_id) { group.member_metadata() } else { Vec::new() };
    JoinGroupResponse::default()
        .with_generation_id(group.generation)
        .with_protocol_type(group.protocol_type.as_deref().map(text))
        .with_protocol_name(group.protocol_name.as_deref().map(text))
        .with_leader(text(group.leader.as_deref().unwrap_or("")))
        .with_member_id(text(member_id))
        .with_members(members)
}

/// Starts the session of a member anew.
pub(super) fn extend_session(group: &ClassicGroup, member: &Member, turn: &mut Turn<'_>) {
    let at = turn.now + i64::from(member.session_timeout_ms);
    turn.timers.schedule(session_key(group, &member.id), at);
}

pub(super) fn session_key(group: &ClassicGroup, member: &Arc<str>) -> TimerKey {
    TimerKey::Session(Arc::clone(&group.id), Arc::clone(member))
}

fn join_key(group: &ClassicGroup) -> TimerKey {
    TimerKey::Join(Arc::clone(&group.id))
}

fn sync_key(group: &ClassicGroup) -> TimerKey {
    TimerKey::Sync(Arc::clone(&group.id))
}

/// Adds a member whose JoinGroup waits for the rebalance that follows.
pub(super) fn add_member(group: &mut ClassicGroup, member: Member, protocol_type: &str, turn: &mut Turn<'_>) {
    if group.is(State::PreparingRebalance) && group.previous_state() == Some(State::Empty) {
        group.new_member_added = true;
    }
    let key = session_key(group, &member.id);
    turn.timers.schedule(key, turn.now + NEW_MEMBER_JOIN_TIMEOUT_MS);
    let reason = format!("member {} joins", member.id);
    group.add(member, protocol_type);
    rebalance_or_complete(group, &reason, turn);
}

/// Removes a member. What it waits for is answered, so that it may try again if it is still there.
pub(super) fn dismiss(group: &mut ClassicGroup, member_id: &str, turn: &mut Turn<'_>) {
    if let Some(pending) = group.pending_joins.get(member_id) {
        turn.timers.cancel(&session_key(group, pending));
    }
    let Some(member) = group.remove(member_id) else { return };
    turn.timers.cancel(&session_key(group, &member.id));
    if let Some(ticket) = member.awaiting_join {
        turn.effects.reply(ticket, join_error("", ResponseError::UnknownMemberId));
    }
    if let Some(ticket) = member.awaiting_sync {
        turn.effects.reply(ticket, sync_error(ResponseError::UnknownMemberId));
    }
}

/// Begins a rebalance if none goes on, else looks whether this one is complete.
pub(super) fn rebalance_or_complete(group: &mut ClassicGroup, reason: &str, turn: &mut Turn<'_>) {
    if group.is(State::PreparingRebalance) {
        complete_if_joined(group, turn);
    } else {
        prepare(group, reason, turn);
    }
}

/// Begins a rebalance: all members have to join again.
pub(super) fn prepare(group: &mut ClassicGroup, reason: &str, turn: &mut Turn<'_>) {
    if group.is(State::CompletingRebalance) {
        for member in group.members_mut() {
            member.assignment = Bytes::new();
        }
        propagate(group, Err(ResponseError::RebalanceInProgress), turn);
    }
    group.pending_syncs.clear();
    turn.timers.cancel(&sync_key(group));
    tracing::info!(group = %group.id, generation = group.generation, state = group.state().name(), "rebalance: {reason}");

    let initial = group.is_empty();
    group.transition(State::PreparingRebalance, turn.now);
    if initial {
        let delay_ms = turn.settings.initial_rebalance_delay_ms;
        let remaining_ms = (group.rebalance_timeout_ms() - delay_ms).max(0);
        group.initial_delay = Some(InitialDelay { delay_ms, remaining_ms });
        turn.timers.schedule(join_key(group), turn.now + delay_ms);
    } else if group.all_joined() {
        complete(group, turn);
    } else {
        turn.timers.schedule(join_key(group), turn.now + group.rebalance_timeout_ms());
    }
}

/// Ends the joining if nobody is missing and it is not the first one, which waits for more.
pub(super) fn complete_if_joined(group: &mut ClassicGroup, turn: &mut Turn<'_>) {
    let initial = group.previous_state() == Some(State::Empty);
    if group.is(State::PreparingRebalance) && !initial && group.all_joined() {
        complete(group, turn);
    }
}

/// Ends the joining: who did not join is out, the others are the next generation.
fn complete(group: &mut ClassicGroup, turn: &mut Turn<'_>) {
    group.initial_delay = None;
    turn.timers.cancel(&join_key(group));
    let late: Vec<Arc<str>> = group
        .members()
        .filter(|member| member.awaiting_join.is_none() && member.instance_id.is_none())
        .map(|member| Arc::clone(&member.id))
        .collect();
    for member in &late {
        dismiss(group, member, turn);
    }
    if !late.is_empty() {
        tracing::info!(group = %group.id, members = ?late, "members that did not join again are removed");
    }
    // `is_empty` is about the state, which is not Empty here whether there are members or not.
    if !group.elect_joined_leader() && group.members().next().is_some() {
        // Static members keep their place until their sessions end.
        tracing::warn!(group = %group.id, "nobody joined again, the rebalance goes on");
        turn.timers.schedule(join_key(group), turn.now + group.rebalance_timeout_ms());
        return;
    }
    group.begin_generation(turn.now);
    if group.is_empty() {
        tracing::info!(group = %group.id, generation = group.generation, "the group is empty");
        turn.effects.store(vec![group_record(group, |member| member.assignment.clone())], Then::Nothing);
        return;
    }
    tracing::info!(
        group = %group.id, generation = group.generation, members = group.len(), leader = ?group.leader,
        "the members of the generation have joined"
    );
    let ids: Vec<Arc<str>> = group.members().map(|member| Arc::clone(&member.id)).collect();
    for id in ids {
        if let Some(ticket) = group.take_join(&id) {
            turn.effects.reply(ticket, Reply::Join(join_reply(group, &id)));
        }
        if let Some(member) = group.member_mut(&id) {
            member.is_new = false;
        }
        if let Some(member) = group.member(&id) {
            extend_session(group, member, turn);
        }
        group.pending_syncs.insert(id);
    }
    turn.timers.schedule(sync_key(group), turn.now + group.rebalance_timeout_ms());
}

/// Answers every SyncGroup that waits.
pub(super) fn propagate(group: &mut ClassicGroup, outcome: Result<(), ResponseError>, turn: &mut Turn<'_>) {
    let mut tickets: Vec<(Arc<str>, Ticket)> = Vec::new();
    for member in group.members_mut() {
        if let Some(ticket) = member.awaiting_sync.take() {
            tickets.push((Arc::clone(&member.id), ticket));
        }
    }
    for (id, ticket) in tickets {
        let Some(member) = group.member(&id) else { continue };
        // The session may have run out while the answer was owed.
        extend_session(group, member, turn);
        let reply = match outcome {
            Ok(()) => sync_reply(group, member),
            // The assignment is empty after a failure.
            Err(error) => sync_error(error),
        };
        turn.effects.reply(ticket, reply);
    }
}

/// The assignment of a member.
pub(super) fn sync_reply(group: &ClassicGroup, member: &Member) -> Reply {
    Reply::Sync(
        SyncGroupResponse::default()
            .with_protocol_type(group.protocol_type.as_deref().map(text))
            .with_protocol_name(group.protocol_name.as_deref().map(text))
            .with_assignment(member.assignment.clone()),
    )
}

/// Notes that a member has sent SyncGroup.
pub(super) fn synced(group: &mut ClassicGroup, member_id: &str, turn: &mut Turn<'_>) {
    group.pending_syncs.remove(member_id);
    if group.pending_syncs.is_empty() {
        turn.timers.cancel(&sync_key(group));
    }
}

/// A member, or one that was given an id, has been silent for too long.
pub(super) fn session_expired(group: &mut ClassicGroup, member_id: &str, turn: &mut Turn<'_>) {
    if group.pending_joins.contains(member_id) {
        tracing::info!(group = %group.id, member = member_id, "the member did not come back with its id");
        dismiss(group, member_id, turn);
        if group.is(State::PreparingRebalance) && group.all_joined() {
            complete(group, turn);
        }
        return;
    }
    let Some(member) = group.member(member_id) else { return };
    if member.has_satisfied_heartbeat() {
        return;
    }
    tracing::info!(group = %group.id, member = member_id, "the member's session ended");
    dismiss(group, member_id, turn);
    match group.state() {
        State::Stable | State::CompletingRebalance => {
            prepare(group, &format!("the session of {member_id} ended"), turn);
        }
        State::PreparingRebalance if group.all_joined() => complete(group, turn),
        State::PreparingRebalance | State::Empty => {}
    }
}

/// The time to join is over.
pub(super) fn join_expired(group: &mut ClassicGroup, turn: &mut Turn<'_>) {
    if !group.is(State::PreparingRebalance) {
        return;
    }
    if let Some(InitialDelay { delay_ms, remaining_ms }) = group.initial_delay
        && group.new_member_added
        && remaining_ms != 0
    {
        group.new_member_added = false;
        let next_delay_ms = turn.settings.initial_rebalance_delay_ms.min(remaining_ms);
        let remaining_ms = (remaining_ms - delay_ms).max(0);
        group.initial_delay = Some(InitialDelay { delay_ms: next_delay_ms, remaining_ms });
        turn.timers.schedule(join_key(group), turn.now + next_delay_ms);
        return;
    }
    complete(group, turn);
}

/// The time to send SyncGroup is over: who did not is out.
pub(super) fn sync_expired(group: &mut ClassicGroup, turn: &mut Turn<'_>) {
    if !matches!(group.state(), State::CompletingRebalance | State::Stable) || group.pending_syncs.is_empty()
    {
        return;
    }
    let silent = std::mem::take(&mut group.pending_syncs);
    for member in &silent {
        dismiss(group, member, turn);
    }
    prepare(group, &format!("members {silent:?} did not send SyncGroup"), turn);
}
