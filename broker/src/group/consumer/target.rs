//! Computes the targets of a group. Follows Kafka's `TargetAssignmentBuilder`.

use milena_protocol::stored::group::{
    ConsumerGroupTargetAssignmentMemberValue, ConsumerGroupTargetAssignmentMetadataValue, GroupRecord,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use uuid::Uuid;

use super::assignor::{Candidate, Spec, assign};
use super::hash::group_hash;
use super::member::{Member, Profile, record_of};
use super::{ConsumerGroup, Partitions};
use crate::coordinator::Topics;

impl ConsumerGroup {
    /// Hash over the subscribed topics, if `replaced` were to say `updated`.
    pub(super) fn compute_hash(
        &self,
        topics: &dyn Topics,
        replaced: Option<&Profile>,
        updated: Option<&Profile>,
    ) -> i64 {
        hash_of(self.subscribed_topics(replaced, updated), topics)
    }

    /// Ids of the topics that a member subscribes to, as far as they exist.
    pub(super) fn topic_ids(&self, profile: &Profile, topics: &dyn Topics) -> BTreeSet<Uuid> {
        let resolved = self.regexes.get(&profile.regex).filter(|_| !profile.regex.is_empty());
        let names = profile.topics.iter().chain(resolved.iter().flat_map(|resolved| &resolved.topics));
        names.filter_map(|name| topics.topic(name)).map(|(id, _)| id).collect()
    }

    /// Computes the targets for `epoch`, with `updated` in place of the member that it was. Appends what changes to
    /// `records`; returns the target of that member.
    pub(super) fn compute_targets(
        &self,
        topics: &dyn Topics,
        assignor: &str,
        epoch: i32,
        updated: &Member,
        records: &mut Vec<GroupRecord>,
    ) -> Arc<Partitions> {
        let spec = self.spec(topics, updated);
        let targets = assign(assignor, &spec);
        let mut of_updated = Arc::default();
        let mut known_target = self.targets_in_step();
        for (member, target) in spec.members.iter().zip(targets) {
            let known = known_target(member.id);
            let unchanged = known.is_some_and(|known| Arc::ptr_eq(known, &target) || **known == *target);
            if !unchanged {
                records.push(self.target_record(member.id, &target));
            }
            if *member.id == updated.id {
                of_updated = target;
            }
        }
        let value = ConsumerGroupTargetAssignmentMetadataValue {
            assignment_epoch: epoch,
            ..ConsumerGroupTargetAssignmentMetadataValue::default()
        };
        records.push(GroupRecord::ConsumerGroupTargetAssignmentMetadata(self.id.to_string(), Some(value)));
        of_updated
    }

    /// The record of a member's target.
    pub(super) fn target_record(&self, member: &str, target: &Partitions) -> GroupRecord {
        let value = ConsumerGroupTargetAssignmentMemberValue {
            topic_partitions: record_of(target),
            ..ConsumerGroupTargetAssignmentMemberValue::default()
        };
        GroupRecord::ConsumerGroupTargetAssignmentMember(self.key(member), Some(value))
    }

    fn spec<'a>(&'a self, topics: &dyn Topics, updated: &'a Member) -> Spec<'a> {
        // Most members of a group subscribe to the same topics.
        let mut last: Option<(&Profile, Arc<BTreeSet<Uuid>>)> = None;
        let mut counts = BTreeMap::new();
        let mut is_homogeneous = true;
        let mut known_target = self.targets_in_step();
        let mut candidate = |member: &'a Member| {
            let profile = &*member.profile;
            let known = last.as_ref().filter(|(of, _)| says_the_same(of, profile));
            is_homogeneous &= (known.is_some() || last.is_none())
                && (profile.topics.is_empty() || profile.regex.is_empty());
            let ids = match known {
                Some((_, ids)) => Arc::clone(ids),
                None => {
                    let ids = self.topic_ids(profile, topics);
                    counts.extend(ids.iter().filter_map(|id| Some((*id, topics.topic_by_id(*id)?.1))));
                    Arc::new(ids)
                }
            };
            last = Some((profile, Arc::clone(&ids)));
            Candidate {
                id: &member.id,
                instance_id: profile.instance_id.as_deref(),
                topics: ids,
                target: known_target(&member.id).cloned().unwrap_or_default(),
            }
        };
        let mut members: Vec<Candidate<'a>> = Vec::with_capacity(self.len() + 1);
        let mut updated = Some(updated);
        for member in self.members() {
            if let Some(new) = updated.take_if(|new| new.id <= member.id) {
                members.push(candidate(new));
                if new.id == member.id {
                    continue;
                }
            }
            members.push(candidate(member));
        }
        members.extend(updated.map(&mut candidate));
        Spec { members, topics: counts, is_homogeneous }
    }
}

/// Whether two members subscribe to the same.
fn says_the_same(one: &Profile, other: &Profile) -> bool {
    (Arc::ptr_eq(&one.topics, &other.topics) || one.topics == other.topics) && one.regex == other.regex
}

/// Hash over those of the topics that exist.
pub(super) fn hash_of(names: BTreeSet<&str>, topics: &dyn Topics) -> i64 {
    group_hash(names.into_iter().filter_map(|name| {
        let (id, partitions) = topics.topic(name)?;
        Some((name, id, partitions))
    }))
}
