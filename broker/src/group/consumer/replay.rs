//! Records of consumer groups, taken over one by one: the only thing that changes a group.

use milena_protocol::stored::group::GroupRecord;
use std::sync::Arc;

use super::member::{Holding, Member, Profile, partitions_of};
use super::{ConsumerGroup, Resolved};
use crate::group::shard::GroupShard;

impl GroupShard {
    /// Takes over a record of a consumer group. After a compaction records may come in any order between members, so what
    /// a value names is made if it is missing, and what a tombstone names may be missing.
    pub(in crate::group) fn apply_consumer(&mut self, record: GroupRecord) {
        if let GroupRecord::ConsumerGroupMetadata(id, None) = &record {
            self.consumers.remove(id.as_str());
            return;
        }
        let Some((id, is_tombstone)) = group_of(&record) else { return };
        let group = match is_tombstone {
            true => self.consumers.get_mut(id),
            false => Some(self.consumer_group(id)),
        };
        if let Some(group) = group {
            group.apply(record);
        }
    }

    fn consumer_group(&mut self, id: &str) -> &mut ConsumerGroup {
        if !self.consumers.contains_key(id) {
            // Offsets alone are no group that could stand in the way.
            self.groups.remove(id);
        }
        let id: Arc<str> = match self.consumers.get_key_value(id) {
            Some((id, _)) => Arc::clone(id),
            None => Arc::from(id),
        };
        self.consumers.entry(Arc::clone(&id)).or_insert_with(|| ConsumerGroup::new(id))
    }
}

/// The group of a record, and whether there is nothing any more under its key.
fn group_of(record: &GroupRecord) -> Option<(&str, bool)> {
    Some(match record {
        GroupRecord::ConsumerGroupMetadata(id, value) => (id, value.is_none()),
        GroupRecord::ConsumerGroupPartitionMetadata(id, value) => (id, value.is_none()),
        GroupRecord::ConsumerGroupTargetAssignmentMetadata(id, value) => (id, value.is_none()),
        GroupRecord::ConsumerGroupMemberMetadata(key, value) => (&key.group_id, value.is_none()),
        GroupRecord::ConsumerGroupTargetAssignmentMember(key, value) => (&key.group_id, value.is_none()),
        GroupRecord::ConsumerGroupCurrentMemberAssignment(key, value) => (&key.group_id, value.is_none()),
        GroupRecord::ConsumerGroupRegularExpression(key, value) => (&key.group_id, value.is_none()),
        _ => return None,
    })
}

impl ConsumerGroup {
    /// Takes over a record of this group, but for the one that ends it.
    pub(super) fn apply(&mut self, record: GroupRecord) {
        match record {
            GroupRecord::ConsumerGroupMetadata(_, Some(value)) => {
                (self.epoch, self.metadata_hash) = (value.epoch, value.metadata_hash);
            }
            GroupRecord::ConsumerGroupPartitionMetadata(_, value) => {
                self.has_partition_metadata = value.is_some();
            }
            GroupRecord::ConsumerGroupTargetAssignmentMetadata(_, value) => {
                self.target_epoch = value.map_or(0, |value| value.assignment_epoch);
            }
            GroupRecord::ConsumerGroupMemberMetadata(key, Some(value)) => {
                self.set_profile(&key.member_id, Profile::from_record(value));
            }
            GroupRecord::ConsumerGroupMemberMetadata(key, None) => self.remove_member(&key.member_id),
            GroupRecord::ConsumerGroupTargetAssignmentMember(key, Some(value)) => {
                let target = Arc::new(partitions_of(value.topic_partitions));
                let id = self.member_id(&key.member_id);
                self.targets.insert(id, target);
            }
            GroupRecord::ConsumerGroupTargetAssignmentMember(key, None) => {
                self.targets.remove(key.member_id.as_str());
            }
            GroupRecord::ConsumerGroupCurrentMemberAssignment(key, Some(value)) => {
                self.set_holding(&key.member_id, Holding::from_record(value));
            }
            GroupRecord::ConsumerGroupCurrentMemberAssignment(key, None) => {
                self.clear_holding(&key.member_id);
            }
            GroupRecord::ConsumerGroupRegularExpression(key, Some(value)) => {
                let resolved = Resolved {
                    topics: value.topics.into_iter().collect(),
                    version: value.version,
                    timestamp: value.timestamp,
                };
                self.regexes.insert(key.regular_expression, resolved);
            }
            GroupRecord::ConsumerGroupRegularExpression(key, None) => {
                self.regexes.remove(key.regular_expression.as_str());
            }
            _ => {}
        }
    }

    /// As it will be with these records, which are added to `records`.
    pub(super) fn with(mut self, new: Vec<GroupRecord>, records: &mut Vec<GroupRecord>) -> Self {
        for record in &new {
            self.apply(record.clone());
        }
        records.extend(new);
        self
    }

    /// The id as the group has it already.
    fn member_id(&self, id: &str) -> Arc<str> {
        self.members.get_key_value(id).map_or_else(|| Arc::from(id), |(id, _)| Arc::clone(id))
    }

    fn member_mut(&mut self, id: &str) -> &mut Member {
        let id = self.member_id(id);
        self.members.entry(Arc::clone(&id)).or_insert_with(|| Member::new(id))
    }

    fn set_profile(&mut self, id: &str, mut profile: Profile) {
        // One subscription is the same as another at a glance.
        let others = [self.members.first_key_value(), self.members.last_key_value()];
        let same = others.into_iter().flatten().find(|(_, other)| other.profile.topics == profile.topics);
        if let Some((_, other)) = same {
            profile.topics = Arc::clone(&other.profile.topics);
        }
        let profile = Arc::new(profile);
        let member = self.member_mut(id);
        let id = Arc::clone(&member.id);
        let old = std::mem::replace(&mut member.profile, Arc::clone(&profile));
        self.count(&old, false);
        self.count(&profile, true);
        self.drop_instance(&old, &id);
        if let Some(instance_id) = &profile.instance_id {
            self.static_members.insert(Arc::clone(instance_id), id);
        }
    }

    fn set_holding(&mut self, id: &str, holding: Holding) {
        self.clear_holding(id);
        let member = self.member_mut(id);
        let id = Arc::clone(&member.id);
        member.holding = holding.clone();
        for (topic, partition) in holding.all() {
            self.owners.entry(topic).or_default().insert(partition, Arc::clone(&id));
        }
    }

    fn clear_holding(&mut self, id: &str) {
        let Some(member) = self.members.get_mut(id) else { return };
        let old = std::mem::take(&mut member.holding);
        for (topic, partition) in old.all() {
            let Some(partitions) = self.owners.get_mut(&topic) else { continue };
            // A later record may have given it to somebody else.
            if partitions.get(&partition).is_some_and(|owner| &**owner == id) {
                partitions.remove(&partition);
            }
            if partitions.is_empty() {
                self.owners.remove(&topic);
            }
        }
    }

    fn remove_member(&mut self, id: &str) {
        self.clear_holding(id);
        let Some(member) = self.members.remove(id) else { return };
        self.count(&member.profile, false);
        self.drop_instance(&member.profile, &member.id);
    }

    fn drop_instance(&mut self, profile: &Profile, id: &Arc<str>) {
        if let Some(instance_id) = &profile.instance_id
            && self.static_members.get(instance_id) == Some(id)
        {
            self.static_members.remove(instance_id);
        }
    }

    fn count(&mut self, profile: &Profile, more: bool) {
        for topic in &*profile.topics {
            match self.topic_counts.get_mut(topic) {
                Some(count) if more => *count += 1,
                Some(count) if *count > 1 => *count -= 1,
                Some(_) => {
                    self.topic_counts.remove(topic);
                }
                None if more => {
                    self.topic_counts.insert(topic.clone(), 1);
                }
                None => {}
            }
        }
        if profile.regex.is_empty() {
            return;
        }
        let count = self.regex_counts.entry(profile.regex.clone()).or_default();
        *count = if more { *count + 1 } else { count.saturating_sub(1) };
        if *count == 0 {
            self.regex_counts.remove(&profile.regex);
        }
    }
}
