//! A classic group: its members, its generation and the protocol they agreed on. What moves it from state to state is
//! in `rebalance`. Follows Kafka's `ClassicGroup`.

use crate::coordinator::runtime::Ticket;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use milena_protocol::java;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::member::{Member, Protocol};
use super::rebalance::InitialDelay;
use super::subscription::subscribed_topics;
use super::text;

/// Protocol type of consumers; the broker understands the topics in their metadata.
pub(super) const CONSUMER_PROTOCOL_TYPE: &str = "consumer";

/// States of a classic group.
///
/// ```text
/// Empty <-> PreparingRebalance -> CompletingRebalance -> Stable
///                 ^------------------------+----------------'
/// ```
/// A group that does not exist is shown as Dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// No members; perhaps offsets.
    Empty,
    /// Members are joining again.
    PreparingRebalance,
    /// The generation stands, the leader computes the assignment.
    CompletingRebalance,
    /// Every member has its assignment.
    Stable,
}

impl State {
    /// Kafka's name of the state.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// A classic group.
#[derive(Debug)]
pub(super) struct ClassicGroup {
    pub(super) id: Arc<str>,
    state: State,
    previous_state: Option<State>,
    /// When the group entered its state, in ms since 1970; unknown for groups of old records.
    pub(super) state_since: Option<i64>,
    pub(super) generation: i32,
    /// None for a group that only stores offsets.
    pub(super) protocol_type: Option<Arc<str>>,
    pub(super) protocol_name: Option<Arc<str>>,
    pub(super) leader: Option<Arc<str>>,
    members: BTreeMap<Arc<str>, Member>,
    static_members: HashMap<Arc<str>, Arc<str>>,
    awaiting_join: usize,
    protocol_counts: HashMap<Arc<str>, usize>,
    /// Ids handed out that have not come back yet.
    pub(super) pending_joins: BTreeSet<Arc<str>>,
    /// Members of this generation that have not sent SyncGroup yet.
    pub(super) pending_syncs: BTreeSet<Arc<str>>,
    /// Set while the first rebalance of an empty group waits for more members.
    pub(super) initial_delay: Option<InitialDelay>,
    /// A member came while the initial rebalance was being delayed.
    pub(super) new_member_added: bool,
    /// Topics that the members subscribe to; None if that is not known.
    subscribed: Option<BTreeSet<String>>,
}

/// What a stored or a new group begins with.
pub(super) struct Identity {
    pub(super) generation: i32,
    pub(super) protocol_type: Option<Arc<str>>,
    pub(super) protocol_name: Option<Arc<str>>,
    pub(super) leader: Option<Arc<str>>,
    pub(super) state_since: Option<i64>,
}

impl ClassicGroup {
    /// An empty group without protocol type.
    pub(super) fn empty(id: Arc<str>, now: i64) -> Self {
        let identity = Identity {
            generation: 0,
            protocol_type: None,
            protocol_name: None,
            leader: None,
            state_since: Some(now),
        };
        Self::restored(id, identity, Vec::new())
    }

    /// A group as a record describes it: stable if it has members.
    pub(super) fn restored(id: Arc<str>, identity: Identity, members: Vec<Member>) -> Self {
        let state = if members.is_empty() { State::Empty } else { State::Stable };
        let mut group = Self {
            id,
            state,
            previous_state: None,
            state_since: identity.state_since,
            generation: identity.generation,
            protocol_type: identity.protocol_type,
            protocol_name: identity.protocol_name,
            leader: identity.leader,
            members: BTreeMap::new(),
            static_members: HashMap::new(),
            awaiting_join: 0,
            protocol_counts: HashMap::new(),
            pending_joins: BTreeSet::new(),
            pending_syncs: BTreeSet::new(),
            initial_delay: None,
            new_member_added: false,
            subscribed: None,
        };
        for member in members {
            group.insert(member);
        }
        group.subscribed = group.compute_subscribed();
        group
    }

    pub(super) fn state(&self) -> State {
        self.state
    }

    pub(super) fn previous_state(&self) -> Option<State> {
        self.previous_state
    }

    pub(super) fn is(&self, state: State) -> bool {
        self.state == state
    }

    pub(super) fn is_empty(&self) -> bool {
        self.state == State::Empty
    }

    /// Moves to `state`. The callers keep to the arrows of [`State`].
    pub(super) fn transition(&mut self, state: State, now: i64) {
        self.previous_state = Some(self.state);
        self.state = state;
        self.state_since = Some(now);
    }

    pub(super) fn member(&self, id: &str) -> Option<&Member> {
        self.members.get(id)
    }

    pub(super) fn member_mut(&mut self, id: &str) -> Option<&mut Member> {
        self.members.get_mut(id)
    }

    pub(super) fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    pub(super) fn members_mut(&mut self) -> impl Iterator<Item = &mut Member> {
        self.members.values_mut()
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    pub(super) fn has_member(&self, id: &str) -> bool {
        self.members.contains_key(id)
    }

    pub(super) fn is_leader(&self, id: &str) -> bool {
        self.leader.as_deref() == Some(id)
    }

    pub(super) fn static_member_id(&self, instance_id: &str) -> Option<&Arc<str>> {
        self.static_members.get(instance_id)
    }

    pub(super) fn awaiting_join(&self) -> usize {
        self.awaiting_join
    }

    pub(super) fn all_joined(&self) -> bool {
        self.members.len() == self.awaiting_join && self.pending_joins.is_empty()
    }

    /// The longest time any member asks for.
    pub(super) fn rebalance_timeout_ms(&self) -> i64 {
        self.members.values().map(|member| i64::from(member.rebalance_timeout_ms)).max().unwrap_or(0)
    }

    /// Adds a member that is not in the group; the first one decides the protocol type, and leads.
    pub(super) fn add(&mut self, member: Member, protocol_type: &str) {
        if self.members.is_empty() {
            self.protocol_type = Some(Arc::from(protocol_type));
        }
        if self.leader.is_none() {
            self.leader = Some(Arc::clone(&member.id));
        }
        self.pending_joins.remove(&member.id);
        self.insert(member);
    }

    fn insert(&mut self, member: Member) {
        if let Some(instance_id) = &member.instance_id {
            self.static_members.insert(Arc::clone(instance_id), Arc::clone(&member.id));
        }
        self.count_protocols(&member.protocols, 1);
        self.awaiting_join += usize::from(member.awaiting_join.is_some());
        self.members.insert(Arc::clone(&member.id), member);
    }

    /// Removes a member, or an id that was handed out; another member leads if it led.
    pub(super) fn remove(&mut self, id: &str) -> Option<Member> {
        self.pending_joins.remove(id);
        self.pending_syncs.remove(id);
        let member = self.members.remove(id)?;
        self.count_protocols(&member.protocols, -1);
        self.awaiting_join -= usize::from(member.awaiting_join.is_some());
        if let Some(instance_id) = &member.instance_id {
            self.static_members.remove(instance_id);
        }
        if self.is_leader(id) {
            self.leader = self.members.keys().next().cloned();
        }
        Some(member)
    }

    /// Gives the place of a static member to its new incarnation.
    pub(super) fn rename_static(&mut self, old_id: &str, new_id: &Arc<str>) {
        let was_leader = self.is_leader(old_id);
        let Some(mut member) = self.members.remove(old_id) else { return };
        member.id = Arc::clone(new_id);
        // The deadline of a first join was that of the old id; this one waits without sending heartbeats.
        member.is_new = false;
        if let Some(instance_id) = &member.instance_id {
            self.static_members.insert(Arc::clone(instance_id), Arc::clone(new_id));
        }
        self.members.insert(Arc::clone(new_id), member);
        if was_leader {
            self.leader = Some(Arc::clone(new_id));
        }
    }

    /// Takes over what a member says in a new JoinGroup; returns the tickets of an earlier one that still waits.
    pub(super) fn update_member(
        &mut self,
        id: &str,
        protocols: Vec<Protocol>,
        timeouts: (i32, i32),
        ticket: Option<Ticket>,
    ) -> Option<Ticket> {
        let member = self.members.get_mut(id)?;
        let old_protocols = std::mem::replace(&mut member.protocols, protocols);
        (member.rebalance_timeout_ms, member.session_timeout_ms) = timeouts;
        let superseded = std::mem::replace(&mut member.awaiting_join, ticket);
        self.awaiting_join -= usize::from(superseded.is_some());
        self.awaiting_join += usize::from(ticket.is_some());
        let new_protocols = member.protocols.clone();
        self.count_protocols(&old_protocols, -1);
        self.count_protocols(&new_protocols, 1);
        superseded
    }

    /// The JoinGroup that waits, which is about to be answered.
    pub(super) fn take_join(&mut self, id: &str) -> Option<Ticket> {
        let ticket = self.members.get_mut(id)?.awaiting_join.take()?;
        self.awaiting_join -= 1;
        Some(ticket)
    }

    fn count_protocols(&mut self, protocols: &[Protocol], change: isize) {
        for protocol in protocols {
            let count = self.protocol_counts.entry(Arc::clone(&protocol.name)).or_default();
            *count = count.saturating_add_signed(change);
            if *count == 0 {
                self.protocol_counts.remove(&protocol.name);
            }
        }
    }

    fn is_spoken_by_all(&self, protocol: &str) -> bool {
        self.protocol_counts.get(protocol).copied().unwrap_or(0) == self.members.len()
    }

    /// Whether a member with these protocols may join.
    pub(super) fn supports(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.is_empty() {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.iter().any(|protocol| self.is_spoken_by_all(&protocol.name))
    }

    /// The protocol that most members put first among those that all of them speak. Of those with as many votes the
    /// one that Kafka takes, so that a group with two ways to go does not change its way with its broker.
    pub(super) fn select_protocol(&self) -> Option<Arc<str>> {
        let mut votes: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
        for member in self.members.values() {
            if let Some(protocol) = member.vote(|name| self.is_spoken_by_all(name)) {
                *votes.entry(protocol).or_default() += 1;
            }
        }
        let most = votes.into_iter().max_by_key(|(name, count)| (*count, Reverse(hash_slot(name))));
        most.map(|(protocol, _)| Arc::clone(protocol))
    }

    /// Takes the protocol that the members want, and what they say in it.
    pub(super) fn choose_protocol(&mut self) {
        self.protocol_name = self.select_protocol();
        self.subscribed = self.compute_subscribed();
    }

    /// Makes a member that joined the leader, if the leader did not join again. False if nobody joined.
    pub(super) fn elect_joined_leader(&mut self) -> bool {
        let Some(leader) = self.leader.as_ref().and_then(|leader| self.members.get(leader)) else {
            return false;
        };
        if leader.awaiting_join.is_some() {
            return true;
        }
        let joined = self.members.values().find(|member| member.awaiting_join.is_some());
        let Some(id) = joined.map(|member| Arc::clone(&member.id)) else { return false };
        tracing::info!(group = %self.id, old = ?self.leader, new = %id, "the leader did not join again, another member leads");
        self.leader = Some(id);
        true
    }

    /// Begins the next generation with the members there are.
    pub(super) fn begin_generation(&mut self, now: i64) {
        self.generation = self.generation.wrapping_add(1);
        self.choose_protocol();
        self.pending_syncs.clear();
        let next = if self.members.is_empty() { State::Empty } else { State::CompletingRebalance };
        self.transition(next, now);
    }

    /// The members as the leader sees them.
    pub(super) fn member_metadata(&self) -> Vec<JoinGroupResponseMember> {
        let protocol = self.protocol_name.as_deref().unwrap_or("");
        self.members
            .values()
            .map(|member| {
                JoinGroupResponseMember::default()
                    .with_member_id(text(&member.id))
                    .with_group_instance_id(member.instance_id.as_deref().map(text))
                    .with_metadata(member.metadata(protocol))
            })
            .collect()
    }

    /// Refuses a request that is not from a current member.
    pub(super) fn validate_member(&self, id: &str, instance_id: Option<&str>) -> Result<(), ResponseError> {
        if let Some(instance_id) = instance_id {
            match self.static_members.get(instance_id) {
                None => return Err(ResponseError::UnknownMemberId),
                Some(known) if &**known != id => return Err(ResponseError::FencedInstanceId),
                Some(_) => {}
            }
        }
        if self.has_member(id) { Ok(()) } else { Err(ResponseError::UnknownMemberId) }
    }

    pub(super) fn is_consumer_group(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER_PROTOCOL_TYPE)
    }

    /// Whether the group may be using the topic's offsets. A consumer group whose metadata cannot be read counts.
    pub(super) fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.subscribed {
            Some(topics) => topics.contains(topic),
            None => self.is_consumer_group(),
        }
    }

    pub(super) fn knows_subscriptions(&self) -> bool {
        self.subscribed.is_some()
    }

    fn compute_subscribed(&self) -> Option<BTreeSet<String>> {
        if !self.is_consumer_group() {
            return None;
        }
        if self.members.is_empty() {
            return Some(BTreeSet::new());
        }
        let protocol = self.protocol_name.as_deref()?;
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            topics.extend(subscribed_topics(&member.metadata(protocol))?);
        }
        Some(topics)
    }
}

/// Where Java's `HashMap` of 16 slots, which Kafka counts the votes in, keeps a name: it takes the first of equals.
fn hash_slot(name: &str) -> u32 {
    java::bucket(java::hash_code(name), 16)
}

#[cfg(test)]
mod tests {
    use super::hash_slot;

    #[test]
    fn names_are_in_the_order_of_a_java_map() {
        let mut names = ["sticky", "roundrobin", "range", "cooperative-sticky"];
        names.sort_by_key(|name| hash_slot(name));
        // As `HashMap.keySet()` of Java 17 prints them.
        assert_eq!(names, ["sticky", "range", "roundrobin", "cooperative-sticky"]);
    }
}
