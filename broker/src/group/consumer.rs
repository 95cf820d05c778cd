//! A group of the consumer protocol (KIP-848): the coordinator assigns, and each member moves towards its target on its
//! own. Follows Kafka's `ConsumerGroup`.
//!
//! ```text
//! heartbeat -> member changed?  -> group epoch + 1        (something must be assigned anew)
//!           -> group epoch > target epoch -> assignor     (targets of all members)
//!           -> member epoch != target epoch -> reconcile  (what this member gives up, what it may take)
//! ```
//! **Invariant:** a partition is in the hands of one member at most (`owners`): it is given away only when the member
//! that had it no longer reports it, has left or was fenced.

pub(super) mod assignor;
pub(super) mod classic;

mod describe;
mod downgrade;

pub(super) mod fence;
pub(super) mod hash;
pub(super) mod heartbeat;
pub(super) mod member;
mod offsets;
mod protocol;
mod range;
mod reconcile;
pub(super) mod regex;
mod replay;
mod target;
mod uniform;
mod upgrade;

use member::{Member, MemberState, Profile};
use milena_protocol::stored::group::{ConsumerGroupRegularExpressionKey, GroupMemberKey, GroupRecord};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use uuid::Uuid;

/// Partitions by topic id.
pub(super) type Partitions = BTreeMap<Uuid, BTreeSet<i32>>;

/// The topics that a regular expression stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Resolved {
    pub(super) topics: BTreeSet<String>,
    /// Offset of the metadata that they were taken from.
    pub(super) version: i64,
    /// When, in ms since 1970.
    pub(super) timestamp: i64,
}

/// A group of the consumer protocol. Records change it, and nothing else.
#[derive(Clone, Debug)]
pub(super) struct ConsumerGroup {
    pub(super) id: Arc<str>,
    /// Grows whenever the targets must be computed anew.
    pub(super) epoch: i32,
    /// Of the topics that the members subscribe to, as they were at that epoch.
    pub(super) metadata_hash: i64,
    members: BTreeMap<Arc<str>, Member>,
    static_members: HashMap<Arc<str>, Arc<str>>,
    /// Epoch that the targets were computed for.
    pub(super) target_epoch: i32,
    targets: BTreeMap<Arc<str>, Arc<Partitions>>,
    owners: HashMap<Uuid, HashMap<i32, Arc<str>>>,
    pub(super) regexes: BTreeMap<String, Resolved>,
    /// Members that name a topic.
    topic_counts: HashMap<String, usize>,
    /// Members that subscribe to a regular expression.
    regex_counts: BTreeMap<String, usize>,
    /// The group has a record of the subscribed topics, which Kafka before 4.1 wrote.
    has_partition_metadata: bool,
    /// Version of the topics that the group was last compared with; not on record.
    pub(super) seen_topics: i64,
}

impl ConsumerGroup {
    /// A group without members.
    pub(super) fn new(id: Arc<str>) -> Self {
        Self {
            id,
            epoch: 0,
            metadata_hash: 0,
            members: BTreeMap::new(),
            static_members: HashMap::new(),
            target_epoch: 0,
            targets: BTreeMap::new(),
            owners: HashMap::new(),
            regexes: BTreeMap::new(),
            topic_counts: HashMap::new(),
            regex_counts: BTreeMap::new(),
            has_partition_metadata: false,
            seen_topics: -1,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    pub(super) fn member(&self, id: &str) -> Option<&Member> {
        self.members.get(id)
    }

    pub(super) fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    pub(super) fn static_member(&self, instance_id: &str) -> Option<&Member> {
        self.members.get(self.static_members.get(instance_id)?)
    }

    pub(super) fn target(&self, member: &str) -> Option<&Arc<Partitions>> {
        self.targets.get(member)
    }

    /// The targets of members that are asked for in the order of their ids, one step each.
    fn targets_in_step<'a>(&'a self) -> impl FnMut(&str) -> Option<&'a Arc<Partitions>> {
        let mut rest = self.targets.iter().peekable();
        move |id| {
            while rest.next_if(|(known, _)| ***known < *id).is_some() {}
            rest.next_if(|(known, _)| ***known == *id).map(|(_, target)| target)
        }
    }

    /// Kafka's name of the state.
    pub(super) fn state(&self) -> &'static str {
        if self.is_empty() {
            "Empty"
        } else if self.epoch > self.target_epoch {
            "Assigning"
        } else if self.members().all(|member| member.holding.is_reconciled_to(self.target_epoch)) {
            "Stable"
        } else {
            "Reconciling"
        }
    }

    /// Whether a member other than `member` holds the partition.
    pub(super) fn is_held_by_another(&self, member: &str, topic: Uuid, partition: i32) -> bool {
        self.owner(topic, partition).is_some_and(|owner| &**owner != member)
    }

    fn owner(&self, topic: Uuid, partition: i32) -> Option<&Arc<str>> {
        self.owners.get(&topic)?.get(&partition)
    }

    /// Whether members use the offsets of a topic.
    pub(super) fn is_subscribed_to(&self, topic: &str) -> bool {
        self.topic_counts.contains_key(topic)
            || self.regexes.values().any(|resolved| resolved.topics.contains(topic))
    }

    /// All topics that the members subscribe to, if `replaced` were to say `updated` from now on.
    pub(super) fn subscribed_topics<'a>(
        &'a self,
        replaced: Option<&Profile>,
        updated: Option<&'a Profile>,
    ) -> BTreeSet<&'a str> {
        let gone = |topic: &str| {
            self.topic_counts.get(topic) == Some(&1)
                && replaced.is_some_and(|profile| profile.topics.contains(topic))
        };
        let mut topics: BTreeSet<&str> =
            self.topic_counts.keys().map(String::as_str).filter(|topic| !gone(topic)).collect();
        topics.extend(updated.iter().flat_map(|profile| profile.topics.iter().map(String::as_str)));
        for (regex, resolved) in &self.regexes {
            let last = self.regex_counts.get(regex) == Some(&1)
                && replaced.is_some_and(|profile| profile.regex == *regex);
            let unused = last || !self.regex_counts.contains_key(regex);
            if !unused || updated.is_some_and(|profile| profile.regex == *regex) {
                topics.extend(resolved.topics.iter().map(String::as_str));
            }
        }
        topics
    }

    /// The assignor that most members ask for, or `default`.
    pub(super) fn preferred_assignor<'a>(&'a self, updated: Option<&'a Member>, default: &'a str) -> &'a str {
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        let others = self
            .members()
            .filter(|member| updated.is_none_or(|updated| updated.id != member.id))
            .chain(updated);
        for name in others.filter_map(|member| member.profile.assignor.as_deref()) {
            *votes.entry(name).or_default() += 1;
        }
        votes.into_iter().max_by_key(|(_, count)| *count).map_or(default, |(name, _)| name)
    }

    /// What ends the group, members and their assignments before the group itself.
    pub(super) fn tombstones(&self) -> Vec<GroupRecord> {
        let mut records = Vec::new();
        for member in self.members() {
            records.push(GroupRecord::ConsumerGroupCurrentMemberAssignment(self.key(&member.id), None));
        }
        for member in self.targets.keys() {
            records.push(GroupRecord::ConsumerGroupTargetAssignmentMember(self.key(member), None));
        }
        let id = self.id.to_string();
        records.push(GroupRecord::ConsumerGroupTargetAssignmentMetadata(id.clone(), None));
        for member in self.members() {
            records.push(GroupRecord::ConsumerGroupMemberMetadata(self.key(&member.id), None));
        }
        for regex in self.regexes.keys() {
            records.push(self.regex_tombstone(regex));
        }
        if self.has_partition_metadata {
            records.push(GroupRecord::ConsumerGroupPartitionMetadata(id.clone(), None));
        }
        records.push(GroupRecord::ConsumerGroupMetadata(id, None));
        records
    }

    fn regex_tombstone(&self, regex: &str) -> GroupRecord {
        GroupRecord::ConsumerGroupRegularExpression(
            ConsumerGroupRegularExpressionKey {
                group_id: self.id.to_string(),
                regular_expression: regex.to_owned(),
            },
            None,
        )
    }

    /// Key of the records of a member.
    pub(super) fn key(&self, member: &str) -> GroupMemberKey {
        GroupMemberKey { group_id: self.id.to_string(), member_id: member.to_owned() }
    }

    /// Whether something that the member waits for is still in other hands.
    pub(super) fn waits_for_others(&self, member: &Member) -> bool {
        let Some(target) = self.target(&member.id) else { return false };
        member.holding.state == MemberState::Unreleased
            && target.iter().any(|(topic, partitions)| {
                partitions.iter().any(|partition| self.is_held_by_another(&member.id, *topic, *partition))
            })
    }
}
