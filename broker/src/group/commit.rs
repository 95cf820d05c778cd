//! OffsetCommit, OffsetFetch, OffsetDelete, and the expiry of offsets (KIP-211). Follows Kafka's
//! `OffsetMetadataManager`.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestPartition;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopics;
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{OffsetCommitRequest, OffsetDeleteRequest};
use milena_protocol::stored::group::GroupRecord;
use std::sync::Arc;

use super::classic::{ClassicGroup, State};
use super::offsets::CommittedOffset;
use super::rebalance::extend_session;
use super::records::offset_record;
use super::shard::{GroupShard, Kind, Then, TimerKey};
use super::{ErrorsByPartition, text};
use crate::coordinator::runtime::{Effects, InTransaction};

/// Tombstones of one batch, so that an expiry of many offsets does not exceed the topic's `max.message.bytes`.
const TOMBSTONES_A_BATCH: usize = 1000;

impl GroupShard {
    /// Stores offsets, in a transaction if there is one: then they count when it is committed. `known` holds the
    /// partition count of each topic of the request, 0 for topics that do not exist. The errors of the partitions,
    /// topic by topic as in the request.
    pub(super) fn commit(
        &mut self,
        now: i64,
        request: &OffsetCommitRequest,
        knows_epochs: bool,
        known: &[i32],
        transaction: Option<InTransaction>,
        effects: &mut Effects<Self>,
    ) -> Result<ErrorsByPartition, ResponseError> {
        match self.consumers.get(request.group_id.as_str()) {
            Some(group) => group.validate_committer(request, knows_epochs, transaction.is_some())?,
            None => self.validate_commit(now, request, transaction.is_some(), effects)?,
        }
        let mut records = Vec::new();
        let mut errors = Vec::with_capacity(request.topics.len());
        for (topic, known) in request.topics.iter().zip(known) {
            let of_topic = topic.partitions.iter().map(|partition| {
                if !(0..*known).contains(&partition.partition_index) {
                    return Some(ResponseError::UnknownTopicOrPartition);
                }
                if self.is_too_large(partition) {
                    return Some(ResponseError::OffsetMetadataTooLarge);
                }
                let offset = committed(partition, now, request.retention_time_ms);
                records.push(offset_record(
                    &request.group_id,
                    &topic.name,
                    partition.partition_index,
                    Some(&offset),
                ));
                None
            });
            errors.push(of_topic.collect());
        }
        effects.store_in(transaction, records, Then::Replay);
        Ok(errors)
    }

    fn validate_commit(
        &mut self,
        now: i64,
        request: &OffsetCommitRequest,
        in_transaction: bool,
        effects: &mut Effects<Self>,
    ) -> Result<(), ResponseError> {
        let (generation, member_id) = (request.generation_id_or_member_epoch, request.member_id.as_str());
        if let Some(modern) = self.modern.get(request.group_id.as_str()) {
            return match modern.kind {
                Kind::Share => Err(ResponseError::GroupIdNotFound),
                _ if generation < 0 => Ok(()),
                _ => Err(ResponseError::UnknownMemberId),
            };
        }
        let Some((group, mut turn)) = self.turn(&request.group_id, now, effects) else {
            // Who does not use groups may store offsets all the same.
            return if generation < 0 { Ok(()) } else { Err(ResponseError::GroupIdNotFound) };
        };
        let instance_id = request.group_instance_id.as_deref();
        if in_transaction {
            return validate_transactional_committer(group, member_id, instance_id, generation);
        }
        validate_committer(group, member_id, instance_id, generation)?;
        if matches!(group.state(), State::Stable | State::PreparingRebalance)
            && let Some(member) = group.member(member_id)
        {
            extend_session(group, member, &mut turn);
        }
        Ok(())
    }

    /// Java counts the UTF-16 units of a string.
    fn is_too_large(&self, partition: &OffsetCommitRequestPartition) -> bool {
        let metadata = partition.committed_metadata.as_deref().unwrap_or("");
        metadata.len() > self.settings.offset_metadata_max_bytes
            && metadata.encode_utf16().count() > self.settings.offset_metadata_max_bytes
    }

    /// Offsets of the partitions asked for, or of all; those never committed are -1.
    pub(super) fn fetch(
        &self,
        group: &str,
        topics: Option<&[OffsetFetchRequestTopics]>,
        require_stable: bool,
    ) -> Vec<OffsetFetchResponseTopics> {
        let answer = |topic: &str, partition: i32| {
            let unstable = require_stable && self.offsets.is_pending(group, topic, partition);
            fetched(partition, self.offsets.get(group, topic, partition), unstable)
        };
        let Some(topics) = topics else {
            let committed = self.offsets.of_group(group).into_iter().flatten();
            return committed
                .map(|(topic, partitions)| {
                    let partitions = partitions.keys().map(|partition| answer(topic, *partition)).collect();
                    OffsetFetchResponseTopics::default()
                        .with_name(text(topic).into())
                        .with_partitions(partitions)
                })
                .collect();
        };
        topics
            .iter()
            .map(|topic| {
                let partitions =
                    topic.partition_indexes.iter().map(|partition| answer(&topic.name, *partition));
                OffsetFetchResponseTopics::default()
                    .with_name(topic.name.clone())
                    .with_partitions(partitions.collect())
            })
            .collect()
    }

    /// Deletes offsets of topics that the group does not subscribe to; `known` as in [`commit`](Self::commit).
    pub(super) fn delete_offsets(
        &mut self,
        request: &OffsetDeleteRequest,
        known: &[i32],
        effects: &mut Effects<Self>,
    ) -> Result<ErrorsByPartition, ResponseError> {
        let group_id = request.group_id.as_str();
        let group = self.groups.get(group_id);
        let consumers = self.consumers.get(group_id);
        match (group, self.modern.get(group_id)) {
            (_, Some(modern)) if modern.kind == Kind::Share => return Err(ResponseError::GroupIdNotFound),
            (None, None) if consumers.is_none() => return Err(ResponseError::GroupIdNotFound),
            (Some(group), _) if !group.is_empty() && !group.is_consumer_group() => {
                return Err(ResponseError::NonEmptyGroup);
            }
            _ => {}
        }
        let mut records = Vec::new();
        let mut errors = Vec::with_capacity(request.topics.len());
        for (topic, known) in request.topics.iter().zip(known) {
            let subscribed = group.is_some_and(|group| group.is_subscribed_to(&topic.name))
                || consumers.is_some_and(|group| group.is_subscribed_to(&topic.name));
            let of_topic = topic.partitions.iter().map(|partition| {
                let index = partition.partition_index;
                if !(0..*known).contains(&index) {
                    return Some(ResponseError::UnknownTopicOrPartition);
                }
                if subscribed {
                    return Some(ResponseError::GroupSubscribedToTopic);
                }
                if self.has_offset(group_id, &topic.name, index) {
                    records.push(offset_record(group_id, &topic.name, index, None));
                }
                None
            });
            errors.push(of_topic.collect());
        }
        effects.store(records, Then::Replay);
        Ok(errors)
    }

    fn has_offset(&self, group: &str, topic: &str, partition: i32) -> bool {
        self.offsets.get(group, topic, partition).is_some()
            || self.offsets.is_pending(group, topic, partition)
    }

    /// A topic is gone, and every offset in it.
    pub(super) fn topic_deleted(&self, topic: &str, effects: &mut Effects<Self>) {
        let mut records = Vec::new();
        for (group, partitions) in self.offsets.groups_of_topic(topic) {
            records.extend(
                partitions.into_iter().map(|partition| offset_record(&group, topic, partition, None)),
            );
        }
        store_tombstones(records, effects);
    }

    /// Offsets past their retention go, and groups that are empty and have none left.
    pub(super) fn expire(&mut self, now: i64, effects: &mut Effects<Self>) {
        let check = self.settings.retention_check_interval_ms;
        self.timers.schedule(TimerKey::Expiry, now.saturating_add(check.max(1)));
        let mut records = Vec::new();
        for (id, group) in &self.groups {
            let in_use = |topic: &str| group.is_subscribed_to(topic);
            if self.expire_offsets(id, expiry_base(group), in_use, now, &mut records) && group.is_empty() {
                records.push(GroupRecord::GroupMetadata(id.to_string(), None));
            }
        }
        for (id, group) in &self.consumers {
            let in_use = |topic: &str| group.is_subscribed_to(topic);
            if self.expire_offsets(id, Some(Base::Commit), in_use, now, &mut records) && group.is_empty() {
                records.extend(group.tombstones());
            }
        }
        if !records.is_empty() {
            tracing::info!(tombstones = records.len(), "offsets and groups past their retention are removed");
        }
        store_tombstones(records, effects);
    }

    /// Whether nothing is left of a group's offsets afterwards.
    fn expire_offsets(
        &self,
        id: &str,
        base: Option<Base>,
        in_use: impl Fn(&str) -> bool,
        now: i64,
        records: &mut Vec<GroupRecord>,
    ) -> bool {
        let mut all_expired = !self.offsets.has_pending(id);
        let Some(topics) = self.offsets.of_group(id) else { return all_expired };
        let Some(base) = base else { return false };
        for (topic, partitions) in topics {
            if in_use(topic) {
                all_expired = false;
                continue;
            }
            for (partition, offset) in partitions {
                let expired =
                    self.is_expired(offset, base, now) && !self.offsets.is_pending(id, topic, *partition);
                if expired {
                    records.push(offset_record(id, topic, *partition, None));
                }
                all_expired &= expired;
            }
        }
        all_expired
    }

    fn is_expired(&self, offset: &CommittedOffset, base: Base, now: i64) -> bool {
        if let Some(at) = offset.expire_timestamp {
            return now >= at;
        }
        let since = match base {
            Base::Commit => offset.commit_timestamp,
            Base::Empty(since) => since,
        };
        now.saturating_sub(since) >= self.settings.offsets_retention_ms
    }
}

/// From when on the retention of an offset counts.
#[derive(Clone, Copy)]
enum Base {
    /// Its commit.
    Commit,
    /// The time when the last member left.
    Empty(i64),
}

/// None while the offsets are in use.
fn expiry_base(group: &ClassicGroup) -> Option<Base> {
    if group.protocol_type.is_none() {
        return Some(Base::Commit);
    }
    match group.state() {
        State::Empty => Some(group.state_since.map_or(Base::Commit, Base::Empty)),
        State::Stable if group.knows_subscriptions() => Some(Base::Commit),
        _ => None,
    }
}

/// Whether this member may commit now.
fn validate_committer(
    group: &ClassicGroup,
    member_id: &str,
    instance_id: Option<&str>,
    generation: i32,
) -> Result<(), ResponseError> {
    if generation < 0 && group.is_empty() {
        return Ok(());
    }
    if generation < 0 && member_id.is_empty() && instance_id.is_none() {
        return Err(ResponseError::UnknownMemberId);
    }
    group.validate_member(member_id, instance_id)?;
    if generation != group.generation {
        return Err(ResponseError::IllegalGeneration);
    }
    if group.is(State::CompletingRebalance) { Err(ResponseError::RebalanceInProgress) } else { Ok(()) }
}

/// Whether offsets may be committed in a transaction now. Old versions of TxnOffsetCommit do not say who commits, and
/// the transaction fences others, so a rebalance need not be waited for.
fn validate_transactional_committer(
    group: &ClassicGroup,
    member_id: &str,
    instance_id: Option<&str>,
    generation: i32,
) -> Result<(), ResponseError> {
    let anonymous = generation < 0 && member_id.is_empty() && instance_id.is_none();
    if anonymous || (generation < 0 && group.is_empty()) {
        return Ok(());
    }
    group.validate_member(member_id, instance_id)?;
    if generation == group.generation { Ok(()) } else { Err(ResponseError::IllegalGeneration) }
}

fn committed(partition: &OffsetCommitRequestPartition, now: i64, retention_ms: i64) -> CommittedOffset {
    CommittedOffset {
        record_offset: -1,
        offset: partition.committed_offset,
        leader_epoch: partition.committed_leader_epoch.max(-1),
        metadata: partition.committed_metadata.as_deref().unwrap_or("").into(),
        commit_timestamp: now,
        expire_timestamp: (retention_ms != -1).then(|| now.saturating_add(retention_ms)),
    }
}

fn fetched(
    partition: i32,
    offset: Option<&CommittedOffset>,
    unstable: bool,
) -> OffsetFetchResponsePartitions {
    let response = OffsetFetchResponsePartitions::default().with_partition_index(partition);
    if unstable {
        let error = ResponseError::UnstableOffsetCommit;
        return response.with_committed_offset(-1).with_error_code(error.code());
    }
    match offset {
        None => response.with_committed_offset(-1),
        Some(offset) => response
            .with_committed_offset(offset.offset)
            .with_committed_leader_epoch(offset.leader_epoch)
            .with_metadata(Some(text(&offset.metadata))),
    }
}

fn store_tombstones(records: Vec<GroupRecord>, effects: &mut Effects<GroupShard>) {
    for batch in records.chunks(TOMBSTONES_A_BATCH) {
        effects.store(batch.to_vec(), Then::Replay);
    }
}

/// The tombstones of a group's offsets, then of the group.
pub(super) fn deletion(shard: &GroupShard, group: &Arc<str>) -> Vec<GroupRecord> {
    let offsets = shard.offsets.partitions(group).into_iter();
    let mut records: Vec<GroupRecord> =
        offsets.map(|(topic, partition)| offset_record(group, &topic, partition, None)).collect();
    if let Some(consumers) = shard.consumers.get(group) {
        records.extend(consumers.tombstones());
    }
    if let Some(modern) = shard.modern.get(group) {
        records.extend(modern.tombstones());
    }
    if shard.groups.contains_key(group) {
        records.push(GroupRecord::GroupMetadata(group.to_string(), None));
    }
    records
}
