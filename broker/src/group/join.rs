//! JoinGroup of classic groups.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::JoinGroupRequest;
use std::collections::HashSet;
use std::sync::Arc;
use uuid::Uuid;

use super::classic::{ClassicGroup, State};
use super::member::{Member, Protocol};
use super::rebalance::{
    add_member, complete_if_joined, dismiss, extend_session, join_error, join_reply, prepare,
    rebalance_or_complete, session_key, sync_error,
};
use super::records::group_record;
use super::shard::{GroupShard, Reply, Then, Turn};
use super::text;
use crate::coordinator::runtime::{Effects, Ticket};

/// Who joins, beside what the request says.
#[derive(Clone, Debug)]
pub(crate) struct Joiner {
    pub(crate) client_id: String,
    /// As Java prints an address: "/127.0.0.1".
    pub(crate) client_host: String,
    /// The client comes back with the id it is given (JoinGroup 4 and later, KIP-394).
    pub(crate) requires_member_id: bool,
    /// The client understands that it leads without having to assign (JoinGroup 9 and later, KIP-814).
    pub(crate) skips_assignment: bool,
    /// For the id, if one is needed.
    pub(crate) unique: Uuid,
}

/// A static member whose place was taken; kept until the group is stored, and put back if it cannot be.
pub(crate) struct Takeover {
    group: Arc<str>,
    old_id: Arc<str>,
    new_id: Arc<str>,
    old_leader: Option<Arc<str>>,
    old_protocols: Vec<Protocol>,
    old_timeouts: (i32, i32),
    skips_assignment: bool,
}

struct Join<'a> {
    joiner: &'a Joiner,
    request: &'a JoinGroupRequest,
    protocols: Vec<Protocol>,
    ticket: Ticket,
}

impl GroupShard {
    /// A member joins, or joins again.
    pub(super) fn join(
        &mut self,
        now: i64,
        joiner: &Joiner,
        request: &JoinGroupRequest,
        ticket: Ticket,
        effects: &mut Effects<Self>,
    ) {
        let group_id = request.group_id.as_str();
        let names: HashSet<&str> = request.protocols.iter().map(|protocol| protocol.name.as_str()).collect();
        if names.len() != request.protocols.len() {
            return effects.reply(ticket, join_error(&request.member_id, ResponseError::InvalidRequest));
        }
        let mut preamble = Vec::new();
        if self.is_modern(group_id) {
            return effects.reply(ticket, join_error("", ResponseError::InconsistentGroupProtocol));
        }
        match self.consumers.get(group_id) {
            Some(group) if !group.is_empty() => {
                return self.join_consumer(now, joiner, request, ticket, effects);
            }
            // Without members it becomes a classic group.
            Some(group) => preamble = group.tombstones(),
            None => {}
        }
        let is_new = !self.groups.contains_key(group_id);
        if is_new {
            if !request.member_id.is_empty() {
                return effects.reply(ticket, join_error(&request.member_id, ResponseError::UnknownMemberId));
            }
            let id: Arc<str> = Arc::from(group_id);
            self.groups.insert(Arc::clone(&id), ClassicGroup::empty(id, now));
        }
        let Some((group, mut turn)) = self.turn(group_id, now, effects) else { return };
        let protocols = Protocol::from_request(&request.protocols);
        join(group, Join { joiner, request, protocols, ticket }, &mut turn);
        if is_new && !turn.effects.stores() {
            // The group is on record from its first member on, though without it.
            let created = ClassicGroup::empty(Arc::clone(&group.id), now);
            preamble.push(group_record(&created, |member| member.assignment.clone()));
            let group = Arc::clone(&group.id);
            turn.effects.store(preamble, Then::NewGroup { group, ticket });
        }
    }

    /// The group of a static member that was replaced is stored.
    pub(super) fn takeover_stored(&mut self, takeover: &Takeover, now: i64, effects: &mut Effects<Self>) {
        let Some((group, turn)) = self.turn(&takeover.group, now, effects) else { return };
        let Some(ticket) = group.take_join(&takeover.new_id) else { return };
        let mut reply = join_reply(group, &takeover.new_id);
        if takeover.skips_assignment {
            reply.skip_assignment = group.is_leader(&takeover.new_id);
        } else {
            // With the old leader's id the client takes itself for a follower, and does not assign.
            reply.members.clear();
            reply.leader = text(takeover.old_leader.as_deref().unwrap_or(""));
        }
        turn.effects.reply(ticket, Reply::Join(reply));
    }

    /// The group of a static member that was replaced could not be stored: the old one stays.
    pub(super) fn takeover_failed(
        &mut self,
        takeover: Takeover,
        error: ResponseError,
        now: i64,
        effects: &mut Effects<Self>,
    ) {
        let Some((group, mut turn)) = self.turn(&takeover.group, now, effects) else { return };
        let ticket = group.take_join(&takeover.new_id);
        group.update_member(&takeover.new_id, takeover.old_protocols, takeover.old_timeouts, None);
        turn.timers.cancel(&session_key(group, &takeover.new_id));
        group.rename_static(&takeover.new_id, &takeover.old_id);
        if let Some(member) = group.member(&takeover.old_id) {
            extend_session(group, member, &mut turn);
        }
        if let Some(ticket) = ticket {
            turn.effects.reply(ticket, join_error("", error));
        }
    }
}

fn join(group: &mut ClassicGroup, join: Join<'_>, turn: &mut Turn<'_>) {
    let (request, ticket) = (join.request, join.ticket);
    let member_id = request.member_id.as_str();
    if !accepts(group, member_id, turn) {
        dismiss(group, member_id, turn);
        return turn.effects.reply(ticket, join_error("", ResponseError::GroupMaxSizeReached));
    }
    if !group.supports(&request.protocol_type, &join.protocols) {
        return turn.effects.reply(ticket, join_error(member_id, ResponseError::InconsistentGroupProtocol));
    }
    if !member_id.is_empty() {
        return join_existing(group, join, turn);
    }
    let instance_id = request.group_instance_id.as_deref();
    let prefix = instance_id.unwrap_or(&join.joiner.client_id);
    let new_id: Arc<str> = Arc::from(format!("{prefix}-{}", join.joiner.unique));
    if let Some(old_id) = instance_id.and_then(|id| group.static_member_id(id)).cloned() {
        return take_over(group, join, old_id, new_id, turn);
    }
    if instance_id.is_none() && join.joiner.requires_member_id {
        let key = session_key(group, &new_id);
        turn.timers.schedule(key, turn.now + i64::from(request.session_timeout_ms));
        turn.effects.reply(ticket, join_error(&new_id, ResponseError::MemberIdRequired));
        group.pending_joins.insert(new_id);
        return;
    }
    add(group, join, new_id, turn);
}

/// Whether the group has room. While it rebalances, those who come first are in.
fn accepts(group: &ClassicGroup, member_id: &str, turn: &Turn<'_>) -> bool {
    match group.state() {
        State::Empty => true,
        State::PreparingRebalance => {
            group.member(member_id).is_some_and(|member| member.awaiting_join.is_some())
                || group.awaiting_join() < turn.settings.max_size
        }
        State::CompletingRebalance | State::Stable => {
            group.has_member(member_id) || group.len() < turn.settings.max_size
        }
    }
}

fn add(group: &mut ClassicGroup, join: Join<'_>, id: Arc<str>, turn: &mut Turn<'_>) {
    let request = join.request;
    let member = Member {
        id,
        instance_id: request.group_instance_id.as_deref().map(Arc::from),
        client_id: join.joiner.client_id.clone(),
        client_host: join.joiner.client_host.clone(),
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        session_timeout_ms: request.session_timeout_ms,
        protocols: join.protocols,
        assignment: bytes::Bytes::new(),
        awaiting_join: Some(join.ticket),
        awaiting_sync: None,
        is_new: true,
    };
    add_member(group, member, &request.protocol_type, turn);
}

fn join_existing(group: &mut ClassicGroup, join: Join<'_>, turn: &mut Turn<'_>) {
    let (request, ticket) = (join.request, join.ticket);
    let member_id = request.member_id.as_str();
    if let Some(id) = group.pending_joins.get(member_id).cloned() {
        if request.group_instance_id.is_some() {
            // Ids are given out to dynamic members only.
            return turn.effects.reply(ticket, join_error(member_id, ResponseError::InvalidRequest));
        }
        return add(group, join, id, turn);
    }
    if let Err(error) = group.validate_member(member_id, request.group_instance_id.as_deref()) {
        return turn.effects.reply(ticket, join_error(member_id, error));
    }
    let unchanged = group.member(member_id).is_some_and(|member| member.protocols == join.protocols);
    let rejoins = match group.state() {
        State::PreparingRebalance => true,
        // The reply may have got lost; the same question gets the same answer.
        State::CompletingRebalance => !unchanged,
        // A leader joins again when something changed that only it knows of, such as the number of partitions.
        State::Stable => !unchanged || group.is_leader(member_id),
        State::Empty => {
            return turn.effects.reply(ticket, join_error(member_id, ResponseError::UnknownMemberId));
        }
    };
    if !rejoins {
        return turn.effects.reply(ticket, Reply::Join(join_reply(group, member_id)));
    }
    update(group, member_id, join.protocols, request, Some(ticket), turn);
    rebalance_or_complete(group, &format!("member {member_id} joins again"), turn);
}

/// Takes over what a member says now. An earlier JoinGroup of it that still waits has lost its place.
fn update(
    group: &mut ClassicGroup,
    member_id: &str,
    protocols: Vec<Protocol>,
    request: &JoinGroupRequest,
    ticket: Option<Ticket>,
    turn: &mut Turn<'_>,
) {
    let timeouts = (request.rebalance_timeout_ms, request.session_timeout_ms);
    if let Some(superseded) = group.update_member(member_id, protocols, timeouts, ticket) {
        turn.effects.reply(superseded, join_error(member_id, ResponseError::RebalanceInProgress));
    }
}

/// A static member is back under a new id; the old one is fenced at once.
fn take_over(
    group: &mut ClassicGroup,
    join: Join<'_>,
    old_id: Arc<str>,
    new_id: Arc<str>,
    turn: &mut Turn<'_>,
) {
    let old_leader = group.leader.clone();
    if let Some(ticket) = group.take_join(&old_id) {
        turn.effects.reply(ticket, join_error(&old_id, ResponseError::FencedInstanceId));
    }
    let Some(old) = group.member_mut(&old_id) else { return };
    let old_sync = old.awaiting_sync.take();
    let old_protocols = old.protocols.clone();
    let old_timeouts = (old.rebalance_timeout_ms, old.session_timeout_ms);
    if let Some(ticket) = old_sync {
        turn.effects.reply(ticket, sync_error(ResponseError::FencedInstanceId));
    }
    tracing::info!(group = %group.id, old = %old_id, new = %new_id, "a static member takes its place again");
    turn.timers.cancel(&session_key(group, &old_id));
    group.rename_static(&old_id, &new_id);
    if group.pending_syncs.remove(&old_id) {
        group.pending_syncs.insert(Arc::clone(&new_id));
    }
    if let Some(member) = group.member(&new_id) {
        extend_session(group, member, turn);
    }
    update(group, &new_id, join.protocols, join.request, Some(join.ticket), turn);
    match group.state() {
        State::Stable if group.select_protocol() == group.protocol_name => {
            let record = group_record(group, |member| member.assignment.clone());
            let takeover = Takeover {
                group: Arc::clone(&group.id),
                old_id,
                new_id,
                old_leader,
                old_protocols,
                old_timeouts,
                skips_assignment: join.joiner.skips_assignment,
            };
            turn.effects.store(vec![record], Then::Takeover(Box::new(takeover)));
        }
        State::Stable => prepare(group, "a static member changes the chosen protocol", turn),
        // The leader may already be assigning to the old id.
        State::CompletingRebalance => prepare(group, "a static member was replaced", turn),
        State::PreparingRebalance | State::Empty => complete_if_joined(group, turn),
    }
}
