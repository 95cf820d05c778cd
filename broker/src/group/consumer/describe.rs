//! `ConsumerGroupDescribe`.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::consumer_group_describe_response::{
    Assignment, DescribedGroup, Member as DescribedMember, TopicPartitions,
};

use super::ConsumerGroup;
use super::Partitions;
use super::heartbeat::not_a_consumer_group;
use super::member::Member;
use crate::coordinator::Topics;
use crate::error::Refusal;
use crate::group::shard::GroupShard;
use crate::group::text;

/// Kafka's numbers of member types.
const CLASSIC: i8 = 0;
const CONSUMER: i8 = 1;

impl GroupShard {
    /// A consumer group, its members, and what they have and are to have.
    pub(in crate::group) fn describe_consumer(&self, group_id: &str) -> Result<DescribedGroup, Refusal> {
        let Some(group) = self.consumers.get(group_id) else {
            return Err(match self.groups.contains_key(group_id) || self.is_modern(group_id) {
                true => not_a_consumer_group(group_id),
                false => Refusal::new(ResponseError::GroupIdNotFound, format!("Group {group_id} not found.")),
            });
        };
        let assignor = group.preferred_assignor(None, self.settings.consumer.default_assignor());
        let members = group.members().map(|member| group.describe(member, &*self.topics));
        Ok(DescribedGroup::default()
            .with_group_id(text(&group.id).into())
            .with_group_state(text(group.state()))
            .with_group_epoch(group.epoch)
            .with_assignment_epoch(group.target_epoch)
            .with_assignor_name(text(assignor))
            .with_members(members.collect()))
    }
}

impl ConsumerGroup {
    fn describe(&self, member: &Member, topics: &dyn Topics) -> DescribedMember {
        let profile = &*member.profile;
        let nothing = std::sync::Arc::default();
        let target = self.target(&member.id).unwrap_or(&nothing);
        DescribedMember::default()
            .with_member_id(text(&member.id))
            .with_instance_id(profile.instance_id.as_deref().map(text))
            .with_rack_id(profile.rack_id.as_deref().map(text))
            .with_member_epoch(member.holding.epoch)
            .with_client_id(text(&profile.client_id))
            .with_client_host(text(&profile.client_host))
            .with_subscribed_topic_names(profile.topics.iter().map(|topic| text(topic).into()).collect())
            .with_subscribed_topic_regex(Some(text(&profile.regex)))
            .with_assignment(shown(&member.holding.assigned, topics))
            .with_target_assignment(shown(target, topics))
            .with_member_type(if profile.classic.is_some() { CLASSIC } else { CONSUMER })
    }
}

/// Partitions of topics that still exist.
fn shown(partitions: &Partitions, topics: &dyn Topics) -> Assignment {
    let of_topic = |(id, partitions): (&uuid::Uuid, &std::collections::BTreeSet<i32>)| {
        let (name, _) = topics.topic_by_id(*id)?;
        Some(
            TopicPartitions::default()
                .with_topic_id(*id)
                .with_topic_name(text(&name).into())
                .with_partitions(partitions.iter().copied().collect()),
        )
    };
    Assignment::default().with_topic_partitions(partitions.iter().filter_map(of_topic).collect())
}
