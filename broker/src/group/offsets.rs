//! Committed offsets of all groups of a partition, and those of transactions that are still open.

use milena_protocol::stored::group::OffsetCommitValue;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Where a group continues in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CommittedOffset {
    /// Offset of the record that says so; the latest record counts, whatever the order of commits.
    pub(super) record_offset: i64,
    /// Next offset to be consumed.
    pub(super) offset: i64,
    /// Leader epoch of the last consumed record, or -1.
    pub(super) leader_epoch: i32,
    /// What the client stored beside it.
    pub(super) metadata: Box<str>,
    /// ms since 1970.
    pub(super) commit_timestamp: i64,
    /// ms since 1970; set by clients that still ask for a retention of their own.
    pub(super) expire_timestamp: Option<i64>,
}

impl CommittedOffset {
    /// The offset of a record at `record_offset`.
    pub(super) fn from_record(record_offset: i64, value: OffsetCommitValue) -> Self {
        Self {
            record_offset,
            offset: value.offset,
            leader_epoch: value.leader_epoch,
            metadata: value.metadata.into_boxed_str(),
            commit_timestamp: value.commit_timestamp,
            expire_timestamp: Some(value.expire_timestamp).filter(|at| *at != -1),
        }
    }
}

/// Something for each of a group's partitions, by topic and number.
pub(super) type ByPartition<T> = BTreeMap<Arc<str>, BTreeMap<i32, T>>;

type ByGroup<T> = HashMap<Arc<str>, ByPartition<T>>;

/// The offsets of a shard.
#[derive(Debug, Default)]
pub(super) struct Offsets {
    committed: ByGroup<CommittedOffset>,
    /// Offsets of open transactions, by producer id.
    pending: HashMap<i64, ByGroup<CommittedOffset>>,
    /// The producers with an open transaction on a partition.
    open: ByGroup<BTreeSet<i64>>,
}

impl Offsets {
    pub(super) fn of_group(&self, group: &str) -> Option<&ByPartition<CommittedOffset>> {
        self.committed.get(group)
    }

    pub(super) fn get(&self, group: &str, topic: &str, partition: i32) -> Option<&CommittedOffset> {
        self.committed.get(group)?.get(topic)?.get(&partition)
    }

    /// Whether a transaction may still change the offset.
    pub(super) fn is_pending(&self, group: &str, topic: &str, partition: i32) -> bool {
        self.open
            .get(group)
            .and_then(|topics| topics.get(topic))
            .is_some_and(|open| open.contains_key(&partition))
    }

    pub(super) fn has_pending(&self, group: &str) -> bool {
        self.open.contains_key(group)
    }

    /// Partitions with a committed offset or an open transaction, in order.
    pub(super) fn partitions(&self, group: &str) -> Vec<(Arc<str>, i32)> {
        let mut partitions: BTreeSet<(Arc<str>, i32)> = BTreeSet::new();
        if let Some(topics) = self.committed.get(group) {
            partitions.extend(keys(topics));
        }
        if let Some(topics) = self.open.get(group) {
            partitions.extend(keys(topics));
        }
        partitions.into_iter().collect()
    }

    /// Groups that have something for one of a topic's partitions.
    pub(super) fn groups_of_topic(&self, topic: &str) -> Vec<(Arc<str>, Vec<i32>)> {
        let mut groups: BTreeMap<Arc<str>, BTreeSet<i32>> = BTreeMap::new();
        for (group, topics) in &self.committed {
            if let Some(partitions) = topics.get(topic) {
                groups.entry(Arc::clone(group)).or_default().extend(partitions.keys());
            }
        }
        for (group, topics) in &self.open {
            if let Some(partitions) = topics.get(topic) {
                groups.entry(Arc::clone(group)).or_default().extend(partitions.keys());
            }
        }
        groups.into_iter().map(|(group, partitions)| (group, partitions.into_iter().collect())).collect()
    }

    /// Takes over a record outside a transaction.
    pub(super) fn commit(&mut self, group: &str, topic: &str, partition: i32, offset: CommittedOffset) {
        put(&mut self.committed, group, topic, partition, offset);
    }

    /// Takes over a record of a transaction, which counts when the transaction is committed.
    pub(super) fn commit_pending(
        &mut self,
        producer_id: i64,
        group: &str,
        topic: &str,
        partition: i32,
        offset: CommittedOffset,
    ) {
        put(self.pending.entry(producer_id).or_default(), group, topic, partition, offset);
        entry(&mut self.open, group, topic).entry(partition).or_default().insert(producer_id);
    }

    /// Takes over a tombstone; offsets of open transactions go with it.
    pub(super) fn remove(&mut self, group: &str, topic: &str, partition: i32) {
        take(&mut self.committed, group, topic, partition);
        for producer_id in take(&mut self.open, group, topic, partition).unwrap_or_default() {
            if let Some(pending) = self.pending.get_mut(&producer_id) {
                take(pending, group, topic, partition);
            }
        }
    }

    /// Takes over the end of a transaction.
    pub(super) fn end_transaction(&mut self, producer_id: i64, committed: bool) {
        let Some(groups) = self.pending.remove(&producer_id) else { return };
        for (group, topics) in groups {
            for (topic, partitions) in topics {
                for (partition, offset) in partitions {
                    self.close(producer_id, &group, &topic, partition);
                    let known = self.get(&group, &topic, partition);
                    let is_latest = known.is_none_or(|known| offset.record_offset > known.record_offset);
                    if committed && is_latest {
                        self.commit(&group, &topic, partition, offset);
                    }
                }
            }
        }
    }

    fn close(&mut self, producer_id: i64, group: &str, topic: &str, partition: i32) {
        let producers = self
            .open
            .get_mut(group)
            .and_then(|topics| topics.get_mut(topic))
            .and_then(|open| open.get_mut(&partition));
        let Some(producers) = producers else { return };
        producers.remove(&producer_id);
        if producers.is_empty() {
            take(&mut self.open, group, topic, partition);
        }
    }
}

fn keys<T>(topics: &ByPartition<T>) -> impl Iterator<Item = (Arc<str>, i32)> {
    topics
        .iter()
        .flat_map(|(topic, partitions)| partitions.keys().map(|partition| (Arc::clone(topic), *partition)))
}

/// The partitions of a topic, which is made if it is new.
fn entry<'a, T>(groups: &'a mut ByGroup<T>, group: &str, topic: &str) -> &'a mut BTreeMap<i32, T> {
    let topics = groups.entry(Arc::from(group)).or_default();
    topics.entry(Arc::from(topic)).or_default()
}

fn put<T>(groups: &mut ByGroup<T>, group: &str, topic: &str, partition: i32, value: T) {
    // Names are copied only when they are new.
    match groups.get_mut(group).and_then(|topics| topics.get_mut(topic)) {
        Some(partitions) => partitions.insert(partition, value),
        None => entry(groups, group, topic).insert(partition, value),
    };
}

/// Removes an entry, and the topic and the group with it if it was the last.
fn take<T>(groups: &mut ByGroup<T>, group: &str, topic: &str, partition: i32) -> Option<T> {
    let topics = groups.get_mut(group)?;
    let partitions = topics.get_mut(topic)?;
    let value = partitions.remove(&partition);
    if partitions.is_empty() {
        topics.remove(topic);
    }
    if topics.is_empty() {
        groups.remove(group);
    }
    value
}
