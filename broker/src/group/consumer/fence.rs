//! How members go: they leave, fall silent, or do not give partitions up in time.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
use milena_protocol::stored::group::{ConsumerGroupTargetAssignmentMetadataValue, GroupRecord};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::ConsumerGroup;
use super::classic::rejoin_key;
use super::heartbeat::{
    known_static_member, not_a_consumer_group, revocation_key, session_key, unknown_member,
};
use super::member::{Holding, LEAVING_FOR_A_WHILE, Member, MemberState};
use crate::coordinator::Topics;
use crate::coordinator::runtime::Effects;
use crate::error::Refusal;
use crate::group::shard::{GroupShard, Then, TimerKey};
use crate::group::text;

/// Until a deadline that could not be acted upon is tried again, in ms: the backoff of Kafka's coordinators.
const RETRY_MS: i64 = 500;

/// Members that are out as soon as that is on record.
pub(crate) struct Fenced {
    group: Arc<str>,
    members: BTreeSet<Arc<str>>,
    /// The deadline that has passed, if it was one.
    due: Option<TimerKey>,
}

impl GroupShard {
    /// A member leaves; a static member perhaps for a while only, and keeps its partitions.
    pub(in crate::group) fn consumer_leave(
        &mut self,
        request: &ConsumerGroupHeartbeatRequest,
        effects: &mut Effects<Self>,
    ) -> Result<ConsumerGroupHeartbeatResponse, Refusal> {
        let (group_id, id) = (request.group_id.as_str(), request.member_id.as_str());
        let Some(group) = self.consumers.get(group_id) else {
            return Err(match self.groups.contains_key(group_id) || self.is_modern(group_id) {
                true => not_a_consumer_group(group_id),
                false => Refusal::new(ResponseError::GroupIdNotFound, format!("Group {group_id} not found.")),
            });
        };
        let member = match request.instance_id.as_deref() {
            Some(instance_id) => known_static_member(group, id, instance_id)?,
            None => group.member(id).ok_or_else(|| unknown_member(group, id))?,
        };
        let response = ConsumerGroupHeartbeatResponse::default()
            .with_member_id(Some(text(id)))
            .with_member_epoch(request.member_epoch);
        if request.instance_id.is_some() && request.member_epoch == LEAVING_FOR_A_WHILE {
            let holding =
                Holding { epoch: LEAVING_FOR_A_WHILE, revoking: Arc::default(), ..member.holding.clone() };
            let record =
                GroupRecord::ConsumerGroupCurrentMemberAssignment(group.key(id), Some(holding.to_record()));
            effects.store(vec![record], Then::Replay);
            return Ok(response);
        }
        tracing::info!(group = group_id, member = id, "the member leaves");
        let members = BTreeSet::from([Arc::clone(&member.id)]);
        self.fence(group_id, members, None, effects);
        Ok(response)
    }

    /// A member of a consumer group has been silent for too long.
    pub(in crate::group) fn consumer_session_expired(
        &mut self,
        group: &str,
        member: &Arc<str>,
        effects: &mut Effects<Self>,
    ) {
        let Some(known) = self.consumers.get(group) else { return };
        if known.member(member).is_some() {
            tracing::info!(group, %member, "the member's session ended");
            let due = session_key(&known.id, member);
            self.fence(group, BTreeSet::from([Arc::clone(member)]), Some(due), effects);
        }
    }

    /// A member did not give its partitions up in time.
    pub(in crate::group) fn revocation_expired(
        &mut self,
        group: &str,
        member: &Arc<str>,
        effects: &mut Effects<Self>,
    ) {
        let Some(known) = self.consumers.get(group) else { return };
        // Who has left for a while has given up everything; until somebody takes the place the session counts.
        let owes = |holding: &Holding| {
            holding.state == MemberState::Unrevoked && holding.epoch != LEAVING_FOR_A_WHILE
        };
        if known.member(member).is_some_and(|known| owes(&known.holding)) {
            tracing::info!(group, %member, "the member did not give its partitions up in time");
            let due = revocation_key(&known.id, member);
            self.fence(group, BTreeSet::from([Arc::clone(member)]), Some(due), effects);
        }
    }

    /// Takes members out of a group, because a deadline is `due` or because they are to go.
    pub(super) fn fence(
        &mut self,
        group: &str,
        members: BTreeSet<Arc<str>>,
        due: Option<TimerKey>,
        effects: &mut Effects<Self>,
    ) {
        let Some(group) = self.consumers.get(group).filter(|_| !members.is_empty()) else { return };
        let records = group.without(&members, &*self.topics);
        effects.store(records, Then::Fenced(Fenced { group: Arc::clone(&group.id), members, due }));
    }

    /// Members are out.
    pub(in crate::group) fn fenced(&mut self, fenced: &Fenced, now: i64, effects: &mut Effects<Self>) {
        for member in &fenced.members {
            self.timers.cancel(&session_key(&fenced.group, member));
            self.timers.cancel(&revocation_key(&fenced.group, member));
            self.timers.cancel(&rejoin_key(&fenced.group, member));
        }
        self.maybe_downgrade(&fenced.group, true, now, effects);
    }

    /// Members could not be taken out: a deadline that has passed must not be the last one they had.
    pub(in crate::group) fn not_fenced(&mut self, fenced: Fenced, now: i64) {
        if let Some(due) = fenced.due {
            self.timers.schedule(due, now.saturating_add(RETRY_MS));
        }
    }

    /// Sessions begin after a start.
    pub(in crate::group) fn begin_consumer_sessions(&mut self, now: i64) {
        for group in self.consumers.values() {
            for member in group.members() {
                let timeout = match &member.profile.classic {
                    Some(classic) => i64::from(classic.session_timeout_ms),
                    None => self.settings.consumer.session_timeout_ms(&*self.topics, &group.id),
                };
                self.timers.schedule(session_key(&group.id, &member.id), now.saturating_add(timeout));
                if member.holding.state == MemberState::Unrevoked {
                    let timeout = i64::from(member.profile.rebalance_timeout_ms);
                    self.timers.schedule(revocation_key(&group.id, &member.id), now.saturating_add(timeout));
                }
            }
        }
    }
}

impl ConsumerGroup {
    /// The group without some members.
    fn without(&self, members: &BTreeSet<Arc<str>>, topics: &dyn Topics) -> Vec<GroupRecord> {
        let mut records: Vec<GroupRecord> =
            members.iter().flat_map(|member| self.member_tombstones(member)).collect();
        // Counted, so that who leaves a large group does not cost a look at all who stay.
        let leaving: Vec<&Member> = members.iter().filter_map(|id| self.member(id)).collect();
        let mut gone: HashMap<&str, usize> = HashMap::new();
        let mut gone_regexes: HashMap<&str, usize> = HashMap::new();
        for member in &leaving {
            for topic in &*member.profile.topics {
                *gone.entry(topic).or_default() += 1;
            }
            *gone_regexes.entry(&member.profile.regex).or_default() += 1;
        }
        let stays = |count: usize, gone: Option<&usize>| count > gone.copied().unwrap_or(0);
        let named =
            self.topic_counts.iter().filter(|(topic, count)| stays(**count, gone.get(topic.as_str())));
        let mut subscribed: BTreeSet<&str> = named.map(|(topic, _)| topic.as_str()).collect();
        for (regex, resolved) in &self.regexes {
            let count = self.regex_counts.get(regex).copied().unwrap_or(0);
            if stays(count, gone_regexes.get(regex.as_str())) {
                subscribed.extend(resolved.topics.iter().map(String::as_str));
            } else {
                records.push(self.regex_tombstone(regex));
            }
        }
        let hash = super::target::hash_of(subscribed, topics);
        let epoch = self.epoch.saturating_add(1);
        records.push(self.epoch_record(epoch, hash));
        if leaving.len() == self.len() {
            let value = ConsumerGroupTargetAssignmentMetadataValue {
                assignment_epoch: epoch,
                ..ConsumerGroupTargetAssignmentMetadataValue::default()
            };
            records
                .push(GroupRecord::ConsumerGroupTargetAssignmentMetadata(self.id.to_string(), Some(value)));
        }
        records
    }
}
