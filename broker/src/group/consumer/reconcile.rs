//! Moves a member towards its target. Follows Kafka's `CurrentAssignmentBuilder`.
//!
//! ```text
//! Stable ----------> Unrevoked: partitions must go first, the epoch stays
//!   ^  \                 | they are no longer reported
//!   |   `--> Unreleased <'  some partitions of the target are in other hands, the epoch is the target's
//!   `------------'
//! ```

use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use std::collections::BTreeSet;
use std::sync::Arc;
use uuid::Uuid;

use super::Partitions;
use super::member::{Holding, MemberState};

/// What a step is taken by.
pub(super) struct Step<'a> {
    pub(super) target_epoch: i32,
    pub(super) target: &'a Partitions,
    /// Topics of the member's subscription.
    pub(super) subscribed: &'a BTreeSet<Uuid>,
    /// What the member says it holds; None if it does not say.
    pub(super) owned: Option<&'a [TopicPartitions]>,
    /// Partitions of other topics must go even if the epoch stays.
    pub(super) subscription_changed: bool,
    /// Whether another member holds a partition.
    pub(super) is_taken: &'a dyn Fn(Uuid, i32) -> bool,
}

/// The member is in a state that is not known here, and holds partitions.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct UnknownState;

impl Step<'_> {
    /// What the member holds next.
    pub(super) fn reconcile(&self, holding: &Holding) -> Result<Holding, UnknownState> {
        match holding.state {
            MemberState::Stable if holding.epoch != self.target_epoch => {
                Ok(self.next(holding, holding.epoch))
            }
            MemberState::Stable => Ok(self.without_unsubscribed(holding)),
            MemberState::Unrevoked if self.still_owns(&holding.revoking) => {
                Ok(self.without_unsubscribed(holding))
            }
            MemberState::Unrevoked | MemberState::Unreleased => Ok(self.next(holding, holding.epoch)),
            MemberState::Unknown if self.owned.is_none_or(|owned| !owned.is_empty()) => Err(UnknownState),
            MemberState::Unknown => Ok(self.next(holding, self.target_epoch)),
        }
    }

    /// Without word from the member it may still own everything.
    fn still_owns(&self, partitions: &Partitions) -> bool {
        let Some(owned) = self.owned else { return true };
        owned.iter().any(|topic| {
            partitions.get(&topic.topic_id).is_some_and(|partitions| {
                topic.partitions.iter().any(|partition| partitions.contains(partition))
            })
        })
    }

    /// A change of the subscription takes effect at once, whatever the target.
    fn without_unsubscribed(&self, holding: &Holding) -> Holding {
        if !self.subscription_changed || holding.assigned.keys().all(|topic| self.subscribed.contains(topic))
        {
            return holding.clone();
        }
        let (kept, gone): (Partitions, Partitions) = holding
            .assigned
            .iter()
            .map(|(topic, partitions)| (*topic, partitions.clone()))
            .partition(|(topic, _)| self.subscribed.contains(topic));
        let mut revoking = (*holding.revoking).clone();
        for (topic, partitions) in gone {
            revoking.entry(topic).or_default().extend(partitions);
        }
        let mut next = Holding { previous_epoch: holding.epoch, assigned: Arc::new(kept), ..holding.clone() };
        if self.still_owns(&revoking) {
            next.state = MemberState::Unrevoked;
            next.revoking = Arc::new(revoking);
        }
        next
    }

    fn next(&self, holding: &Holding, epoch: i32) -> Holding {
        let nothing = BTreeSet::new();
        let target_of = |topic: &Uuid| match self.subscribed.contains(topic) {
            true => self.target.get(topic).unwrap_or(&nothing),
            false => &nothing,
        };
        let mut assigned = Partitions::new();
        let mut revoking = Partitions::new();
        for (topic, partitions) in &*holding.assigned {
            let target = target_of(topic);
            put(&mut assigned, *topic, partitions.intersection(target).copied().collect());
            put(&mut revoking, *topic, partitions.difference(target).copied().collect());
        }
        if !revoking.is_empty() && self.still_owns(&revoking) {
            return Holding {
                epoch,
                previous_epoch: holding.epoch,
                state: MemberState::Unrevoked,
                assigned: Arc::new(assigned),
                revoking: Arc::new(revoking),
            };
        }
        let mut waits = false;
        for topic in self.target.keys() {
            let had = assigned.get(topic).unwrap_or(&nothing);
            let wanted = target_of(topic).difference(had).copied();
            let (taken, free): (BTreeSet<i32>, BTreeSet<i32>) =
                wanted.partition(|partition| (self.is_taken)(*topic, *partition));
            waits |= !taken.is_empty();
            if !free.is_empty() {
                assigned.entry(*topic).or_default().extend(free);
            }
        }
        Holding {
            epoch: self.target_epoch,
            previous_epoch: holding.epoch,
            state: if waits { MemberState::Unreleased } else { MemberState::Stable },
            assigned: Arc::new(assigned),
            revoking: Arc::default(),
        }
    }
}

fn put(partitions: &mut Partitions, topic: Uuid, of_topic: BTreeSet<i32>) {
    if !of_topic.is_empty() {
        partitions.insert(topic, of_topic);
    }
}

#[cfg(test)]
mod tests;
