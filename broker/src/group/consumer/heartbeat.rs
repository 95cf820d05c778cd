//! `ConsumerGroupHeartbeat`: how a member joins, stays and leaves. Follows Kafka's `GroupMetadataManager`.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions as Owned;
use kafka_protocol::messages::consumer_group_heartbeat_response::{Assignment, TopicPartitions};
use kafka_protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
use milena_protocol::stored::group::{ConsumerGroupMetadataValue, GroupRecord};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::member::{Holding, JOINING, LEAVING_FOR_A_WHILE, Member, MemberState, Profile};
use super::reconcile::Step;
use super::{ConsumerGroup, Partitions};
use crate::coordinator::Topics;
use crate::coordinator::runtime::Effects;
use crate::error::Refusal;
use crate::group::shard::{GroupShard, Then, TimerKey};
use crate::group::text;

/// Who sends a heartbeat, beside what the request says.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    pub(crate) client_id: String,
    /// As Java prints an address: "/127.0.0.1".
    pub(crate) client_host: String,
}

/// What a change of a member leads to.
pub(super) struct Change<'a> {
    pub(super) now: i64,
    pub(super) topics: &'a dyn Topics,
    /// Of the topics, read before anything of them: what comes later is found by the next comparison.
    pub(super) version: i64,
    pub(super) default_assignor: &'a str,
    pub(super) regex_refresh_ms: i64,
    pub(super) owned: Option<&'a [Owned]>,
    pub(super) records: Vec<GroupRecord>,
    /// The regular expressions of the group are to be resolved.
    pub(super) resolves: bool,
}

impl GroupShard {
    /// A heartbeat of a member that does not leave.
    pub(in crate::group) fn consumer_heartbeat(
        &mut self,
        now: i64,
        sender: &Sender,
        request: &ConsumerGroupHeartbeatRequest,
        effects: &mut Effects<Self>,
    ) -> Result<ConsumerGroupHeartbeatResponse, Refusal> {
        let group_id = request.group_id.as_str();
        let joins = request.member_epoch == JOINING;
        let mut records = Vec::new();
        let group = self.group_of(request, &mut records)?;
        let id = Arc::clone(&group.id);
        refuse_full(&group, request, self.settings.consumer.max_size)?;
        let member = find_member(&group, request)?;
        let version = self.topics.version();
        let mut change = Change {
            now,
            topics: &*self.topics,
            version,
            default_assignor: self.settings.consumer.default_assignor(),
            regex_refresh_ms: self.settings.consumer.regex_refresh_interval_ms,
            owned: request.topic_partitions.as_deref(),
            records,
            resolves: false,
        };
        let profile = updated_profile(&member.profile, sender, request);
        let updated = group.change(&member, profile, &mut change)?;
        let Change { records, resolves, .. } = change;
        if updated.holding != member.holding && updated.holding.state == MemberState::Unrevoked {
            // It is never taken back: the log may not take that there is nothing left to give up.
            let timeout = i64::from(updated.profile.rebalance_timeout_ms);
            self.timers.schedule(revocation_key(&id, &updated.id), now.saturating_add(timeout));
        }
        let timeout = self.settings.consumer.session_timeout_ms(&*self.topics, group_id);
        self.timers.schedule(session_key(&id, &updated.id), now.saturating_add(timeout));
        let resolves = resolves.then(|| Arc::clone(&id));
        if records.is_empty() {
            self.topics_seen(&id, version);
        } else {
            effects.store(records, Then::Seen { group: id, version });
        }
        if let Some(group) = resolves {
            self.await_regexes(&group);
        }
        let is_full = request.rebalance_timeout_ms != -1
            && (request.subscribed_topic_names.is_some() || request.subscribed_topic_regex.is_some())
            && request.topic_partitions.is_some();
        let tells = joins || is_full || updated.holding.assigned != member.holding.assigned;
        Ok(ConsumerGroupHeartbeatResponse::default()
            .with_member_id(Some(text(&updated.id)))
            .with_member_epoch(updated.holding.epoch)
            .with_heartbeat_interval_ms(self.settings.consumer.heartbeat_interval_ms(&*self.topics, group_id))
            .with_assignment(tells.then(|| told(&updated.holding.assigned))))
    }

    /// The group that a heartbeat is about. For a member that joins it is what `records` make of it: a classic group is a
    /// consumer group then, and a static member that has left has made room. They are stored with what comes of the
    /// heartbeat, or not at all.
    fn group_of(
        &self,
        request: &ConsumerGroupHeartbeatRequest,
        records: &mut Vec<GroupRecord>,
    ) -> Result<Cow<'_, ConsumerGroup>, Refusal> {
        let group_id = request.group_id.as_str();
        self.refuse_other_kinds(group_id)?;
        let known = self.consumers.get(group_id).map(Cow::Borrowed);
        if request.member_epoch != JOINING {
            return known.ok_or_else(|| match self.groups.contains_key(group_id) {
                true => not_a_consumer_group(group_id),
                false => {
                    let message = format!("Consumer group {group_id} not found.");
                    Refusal::new(ResponseError::GroupIdNotFound, message)
                }
            });
        }
        if let Some(regex) = request.subscribed_topic_regex.as_deref() {
            super::regex::compile(regex)?;
        }
        let group = match known {
            Some(group) => group,
            None => Cow::Owned(self.upgrade(group_id, records)?),
        };
        let Some(instance_id) = request.instance_id.as_deref() else { return Ok(group) };
        let Some(old) = group.static_member(instance_id) else { return Ok(group) };
        if old.profile.classic.is_none() {
            refuse_unreleased(old, &request.member_id, instance_id)?;
        }
        Ok(Cow::Owned(group.replaced(old, &Arc::from(request.member_id.as_str()), records)))
    }

    /// What a group makes of this version of the topics is on record.
    pub(in crate::group) fn topics_seen(&mut self, group: &str, version: i64) {
        if let Some(group) = self.consumers.get_mut(group) {
            group.seen_topics = version;
        }
    }

    /// A group of another protocol cannot become a consumer group.
    pub(in crate::group) fn refuse_other_kinds(&self, group_id: &str) -> Result<(), Refusal> {
        if self.is_modern(group_id) { Err(not_a_consumer_group(group_id)) } else { Ok(()) }
    }
}

pub(super) fn not_a_consumer_group(group_id: &str) -> Refusal {
    Refusal::new(ResponseError::GroupIdNotFound, format!("Group {group_id} is not a consumer group."))
}

impl ConsumerGroup {
    /// Takes over what a member says, computes targets if need be, and moves the member towards its own. Nothing is
    /// changed but by the records.
    pub(super) fn change(
        &self,
        member: &Member,
        profile: Profile,
        change: &mut Change<'_>,
    ) -> Result<Member, Refusal> {
        let mut updated = member.clone();
        if *member.profile != profile {
            updated.profile = Arc::new(profile);
        }
        let is_new = self.member(&member.id).is_none();
        let names_changed = member.profile.topics != updated.profile.topics;
        let mut subscription_changed = is_new || names_changed;
        // Who comes with an expression only moves the group when that is resolved.
        let mut bumps = self.epoch == 0 || names_changed;
        if is_new || member.profile != updated.profile {
            let value = updated.profile.to_record();
            change.records.push(GroupRecord::ConsumerGroupMemberMetadata(self.key(&updated.id), Some(value)));
        }
        let regex_change = self.update_regex(&member.profile, &updated.profile, change)?;
        subscription_changed |= regex_change.changed;
        bumps |= regex_change.resolved;
        let default = change.default_assignor;
        if member.profile.assignor != updated.profile.assignor {
            bumps |=
                self.preferred_assignor(Some(&updated), default) != self.preferred_assignor(None, default);
        }
        let mut epoch = self.epoch;
        if bumps || self.seen_topics != change.version {
            let replaced = (!is_new).then_some(&*member.profile);
            let hash = self.compute_hash(change.topics, replaced, Some(&updated.profile));
            if bumps || hash != self.metadata_hash {
                epoch = epoch.saturating_add(1);
                change.records.push(self.epoch_record(epoch, hash));
            }
            if self.has_partition_metadata {
                // The hash has taken the place of what Kafka before 4.1 kept.
                let id = self.id.to_string();
                change.records.push(GroupRecord::ConsumerGroupPartitionMetadata(id, None));
            }
        }
        let (target_epoch, target) = if epoch > self.target_epoch {
            let assignor = self.preferred_assignor(Some(&updated), default);
            let target = self.compute_targets(change.topics, assignor, epoch, &updated, &mut change.records);
            (epoch, target)
        } else {
            (self.target_epoch, self.target(&updated.id).cloned().unwrap_or_default())
        };
        if subscription_changed || !updated.holding.is_reconciled_to(target_epoch) {
            let holding = self.reconcile(&updated, (target_epoch, &target), subscription_changed, change)?;
            if holding != updated.holding || is_new {
                let value = holding.to_record();
                let key = self.key(&updated.id);
                change.records.push(GroupRecord::ConsumerGroupCurrentMemberAssignment(key, Some(value)));
                updated.holding = holding;
            }
        }
        Ok(updated)
    }

    fn reconcile(
        &self,
        member: &Member,
        (target_epoch, target): (i32, &Partitions),
        subscription_changed: bool,
        change: &Change<'_>,
    ) -> Result<Holding, Refusal> {
        let subscribed = self.topic_ids(&member.profile, change.topics);
        let step = Step {
            target_epoch,
            target,
            subscribed: &subscribed,
            owned: change.owned,
            subscription_changed,
            is_taken: &|topic, partition| self.is_held_by_another(&member.id, topic, partition),
        };
        step.reconcile(&member.holding).map_err(|_| {
            Refusal::new(
                ResponseError::FencedMemberEpoch,
                "The consumer group member is in a unknown state. The member must abandon all its partitions and rejoin.",
            )
        })
    }

    /// The record of a group epoch.
    pub(super) fn epoch_record(&self, epoch: i32, metadata_hash: i64) -> GroupRecord {
        let value =
            ConsumerGroupMetadataValue { epoch, metadata_hash, ..ConsumerGroupMetadataValue::default() };
        GroupRecord::ConsumerGroupMetadata(self.id.to_string(), Some(value))
    }

    /// The group with the place of a static member in the hands of its next incarnation, which joins. The deadlines of the
    /// old one stay: they find nobody once that is on record.
    pub(super) fn replaced(&self, old: &Member, new_id: &Arc<str>, into: &mut Vec<GroupRecord>) -> Self {
        let instance_id = old.profile.instance_id.as_deref();
        tracing::info!(group = %self.id, instance_id, old = %old.id, new = %new_id, "a static member takes its place again");
        let mut records = self.member_tombstones(&old.id);
        let new = Holding { epoch: JOINING, previous_epoch: 0, ..old.holding.clone() };
        let profile = old.profile.to_record();
        records.push(GroupRecord::ConsumerGroupMemberMetadata(self.key(new_id), Some(profile)));
        let nothing = Arc::default();
        records.push(self.target_record(new_id, self.target(&old.id).unwrap_or(&nothing)));
        let holding = new.to_record();
        records.push(GroupRecord::ConsumerGroupCurrentMemberAssignment(self.key(new_id), Some(holding)));
        self.clone().with(records, into)
    }

    /// What takes a member out of the group.
    pub(super) fn member_tombstones(&self, member: &str) -> Vec<GroupRecord> {
        vec![
            GroupRecord::ConsumerGroupCurrentMemberAssignment(self.key(member), None),
            GroupRecord::ConsumerGroupTargetAssignmentMember(self.key(member), None),
            GroupRecord::ConsumerGroupMemberMetadata(self.key(member), None),
        ]
    }
}

/// Deadline of a member's session.
pub(super) fn session_key(group: &Arc<str>, member: &Arc<str>) -> TimerKey {
    TimerKey::Session(Arc::clone(group), Arc::clone(member))
}

/// Deadline for a member to give partitions up.
pub(super) fn revocation_key(group: &Arc<str>, member: &Arc<str>) -> TimerKey {
    TimerKey::Revocation(Arc::clone(group), Arc::clone(member))
}

fn refuse_full(
    group: &ConsumerGroup,
    request: &ConsumerGroupHeartbeatRequest,
    max_size: usize,
) -> Result<(), Refusal> {
    let is_known = group.member(&request.member_id).is_some()
        || request.instance_id.as_deref().is_some_and(|id| group.static_member(id).is_some());
    if group.len() < max_size || is_known {
        return Ok(());
    }
    let message = format!("The consumer group has reached its maximum capacity of {max_size} members.");
    Err(Refusal::new(ResponseError::GroupMaxSizeReached, message))
}

/// The member that sends the request, or a new one that joins.
fn find_member(group: &ConsumerGroup, request: &ConsumerGroupHeartbeatRequest) -> Result<Member, Refusal> {
    let id = request.member_id.as_str();
    if request.member_epoch == JOINING {
        if let Some(instance_id) = request.instance_id.as_deref()
            && let Some(other) = group.static_member(instance_id).filter(|member| &*member.id != id)
        {
            refuse_unreleased(other, id, instance_id)?;
        }
        return Ok(group.member(id).cloned().unwrap_or_else(|| Member::new(Arc::from(id))));
    }
    let member = match request.instance_id.as_deref() {
        Some(instance_id) => known_static_member(group, id, instance_id)?,
        None => group.member(id).ok_or_else(|| unknown_member(group, id))?,
    };
    refuse_epoch(member, request)?;
    Ok(member.clone())
}

/// The refusal of a member that is not in the group.
pub(super) fn unknown_member(group: &ConsumerGroup, id: &str) -> Refusal {
    let message = format!("Member {id} is not a member of group {}.", group.id);
    Refusal::new(ResponseError::UnknownMemberId, message)
}

/// The static member of an instance, if it has this id.
pub(super) fn known_static_member<'a>(
    group: &'a ConsumerGroup,
    id: &str,
    instance_id: &str,
) -> Result<&'a Member, Refusal> {
    let Some(member) = group.static_member(instance_id) else {
        let message = format!("Instance id {instance_id} is unknown.");
        return Err(Refusal::new(ResponseError::UnknownMemberId, message));
    };
    if &*member.id == id {
        return Ok(member);
    }
    let message =
        format!("Static member {id} with instance id {instance_id} was fenced by member {}.", member.id);
    Err(Refusal::new(ResponseError::FencedInstanceId, message))
}

fn refuse_unreleased(old: &Member, id: &str, instance_id: &str) -> Result<(), Refusal> {
    if old.holding.epoch == LEAVING_FOR_A_WHILE {
        return Ok(());
    }
    let message = format!(
        "Static member {id} with instance id {instance_id} cannot join the group because the instance id is owned by {} member.",
        old.id
    );
    Err(Refusal::new(ResponseError::UnreleasedInstanceId, message))
}

/// An answer with the next epoch may have got lost: the one before is good for as long as the member holds nothing else
/// than it was given.
fn refuse_epoch(member: &Member, request: &ConsumerGroupHeartbeatRequest) -> Result<(), Refusal> {
    let (received, known) = (request.member_epoch, member.holding.epoch);
    if received == known {
        return Ok(());
    }
    let than = if received > known { "greater" } else { "smaller" };
    if received < known
        && received == member.holding.previous_epoch
        && request.topic_partitions.as_deref().is_some_and(|owned| is_subset(owned, &member.holding.assigned))
    {
        return Ok(());
    }
    let message = format!(
        "The consumer group member has a {than} member epoch ({received}) than the one known by the group coordinator ({known}). \
         The member must abandon all its partitions and rejoin."
    );
    Err(Refusal::new(ResponseError::FencedMemberEpoch, message))
}

fn is_subset(owned: &[Owned], assigned: &Partitions) -> bool {
    owned.iter().all(|topic| {
        assigned
            .get(&topic.topic_id)
            .is_some_and(|partitions| topic.partitions.iter().all(|partition| partitions.contains(partition)))
    })
}

/// The profile with what the request says; null and -1 stand for no change.
fn updated_profile(old: &Profile, sender: &Sender, request: &ConsumerGroupHeartbeatRequest) -> Profile {
    let mut profile = old.clone();
    let set = |field: &mut Option<String>, value: Option<&str>| {
        if let Some(value) = value {
            *field = Some(value.to_owned());
        }
    };
    if let Some(instance_id) = request.instance_id.as_deref() {
        profile.instance_id = Some(Arc::from(instance_id));
    }
    set(&mut profile.rack_id, request.rack_id.as_deref());
    set(&mut profile.assignor, request.server_assignor.as_deref());
    if request.rebalance_timeout_ms != -1 {
        profile.rebalance_timeout_ms = request.rebalance_timeout_ms;
    }
    if let Some(topics) = &request.subscribed_topic_names {
        profile.topics = Arc::new(topics.iter().map(|topic| topic.to_string()).collect());
    }
    if let Some(regex) = request.subscribed_topic_regex.as_deref() {
        profile.regex = regex.to_owned();
    }
    profile.client_id.clone_from(&sender.client_id);
    profile.client_host.clone_from(&sender.client_host);
    profile.classic = None;
    profile
}

/// An assignment as members are told.
pub(super) fn told(partitions: &Partitions) -> Assignment {
    let of_topic = |(topic, partitions): (&uuid::Uuid, &BTreeSet<i32>)| {
        TopicPartitions::default().with_topic_id(*topic).with_partitions(partitions.iter().copied().collect())
    };
    Assignment::default().with_topic_partitions(partitions.iter().map(of_topic).collect())
}
