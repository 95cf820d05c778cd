//! The `uniform` assignor when not all members subscribe to the same topics: first balance, then as little moved as
//! possible. Does what Kafka's `UniformHeterogeneousAssignmentBuilder` does, so that the same members with the same
//! targets get the same new targets.
//!
//! ```text
//!  load          most                 Each topic on its own: the least loaded subscribers take, the most loaded give.
//!   ^                  ____           A range is made of subscribers with the same load; when each of them has had
//!   |             ____|    |          its turn its level moves by one, and it takes in those who are on that level.
//!   |  least ____|         |          When less than two are between the levels, the topic is balanced.
//!   | [..->]|    [   <-....]
//!   +-----------------------> subscribers, by load
//! ```
//! Members are numbered in the order of their ids. Kafka takes them in the order of a hash table, which decides no more
//! than who of those that are alike gets what.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use uuid::Uuid;

use super::super::Partitions;
use super::super::assignor::Spec;
use super::super::member::each;

/// Rounds over all topics. With overlapping subscriptions each may leave something for the next one.
const ROUNDS_MAX: usize = 16;

/// Nobody's partition.
const NOBODY: usize = usize::MAX;

/// The targets, member by member.
pub(super) fn assign(spec: &Spec<'_>) -> Vec<Arc<Partitions>> {
    let mut plan = Plan::new(spec);
    plan.keep(spec);
    plan.give_the_rest();
    plan.balance();
    plan.targets(spec)
}

/// A topic that somebody subscribes to.
struct Topic {
    id: Uuid,
    /// Members by number, ascending; at least one.
    subscribers: Vec<usize>,
    /// Who is to have each partition, or [`NOBODY`].
    owners: Vec<usize>,
}

struct Plan {
    /// Those first whose subscribers have most to take.
    topics: Vec<Topic>,
    /// Partitions of each member.
    loads: Vec<usize>,
    /// Members whose target is another one than before.
    is_changed: Vec<bool>,
}

impl Plan {
    fn new(spec: &Spec<'_>) -> Self {
        let mut subscribers: BTreeMap<Uuid, Vec<usize>> = BTreeMap::new();
        for (member, candidate) in spec.members.iter().enumerate() {
            for topic in &*candidate.topics {
                subscribers.entry(*topic).or_default().push(member);
            }
        }
        let partitions =
            |id: &Uuid| spec.topics.get(id).and_then(|count| usize::try_from(*count).ok()).unwrap_or(0);
        let mut topics: Vec<Topic> = subscribers
            .into_iter()
            .map(|(id, subscribers)| Topic { id, subscribers, owners: vec![NOBODY; partitions(&id)] })
            .collect();
        topics.sort_by(by_partitions_for_each_subscriber);
        let members = spec.members.len();
        Self { topics, loads: vec![0; members], is_changed: vec![false; members] }
    }

    /// Everybody keeps what he still subscribes to.
    fn keep(&mut self, spec: &Spec<'_>) {
        let places: HashMap<Uuid, usize> =
            self.topics.iter().enumerate().map(|(place, topic)| (topic.id, place)).collect();
        for (member, candidate) in spec.members.iter().enumerate() {
            for (id, partition) in each(&candidate.target) {
                let owner = places
                    .get(&id)
                    .filter(|_| candidate.topics.contains(&id))
                    .and_then(|place| self.topics[*place].owners.get_mut(usize::try_from(partition).ok()?));
                match owner {
                    Some(owner) if *owner == NOBODY => {
                        *owner = member;
                        self.loads[member] += 1;
                    }
                    _ => self.is_changed[member] = true,
                }
            }
        }
    }

    fn give_the_rest(&mut self) {
        let mut ranges = Ranges::default();
        for topic in &mut self.topics {
            ranges.begin(&topic.subscribers, &self.loads);
            for owner in topic.owners.iter_mut().filter(|owner| **owner == NOBODY) {
                *owner = ranges.next_taker(&self.loads);
                self.loads[*owner] += 1;
                self.is_changed[*owner] = true;
            }
        }
    }

    /// Goes round the topics until one whole round has moved nothing.
    fn balance(&mut self) {
        let mut ranges = Ranges::default();
        let shared: Vec<usize> =
            (0..self.topics.len()).filter(|topic| self.topics[*topic].subscribers.len() > 1).collect();
        let mut last_moved = None;
        for _ in 0..ROUNDS_MAX {
            for topic in &shared {
                if last_moved == Some(*topic) {
                    return;
                }
                if self.balance_topic(*topic, &mut ranges) || last_moved.is_none() {
                    last_moved = Some(*topic);
                }
            }
        }
    }

    /// Moves partitions of one topic from those with most to those with least; returns whether there were any to move.
    fn balance_topic(&mut self, topic: usize, ranges: &mut Ranges) -> bool {
        let Self { topics, loads, is_changed } = self;
        let topic = &mut topics[topic];
        if ranges.begin(&topic.subscribers, loads) <= 1 {
            return false;
        }
        let mut held: HashMap<usize, Vec<usize>> = HashMap::new();
        for (partition, owner) in topic.owners.iter().enumerate() {
            held.entry(*owner).or_default().push(partition);
        }
        let mut moved = false;
        while let Some((giver, partition)) = ranges.next_given(loads, &mut held) {
            let taker = ranges.next_taker(loads);
            if ranges.are_level() {
                break;
            }
            topic.owners[partition] = taker;
            loads[giver] -= 1;
            loads[taker] += 1;
            is_changed[giver] = true;
            is_changed[taker] = true;
            moved = true;
        }
        moved
    }

    fn targets(&self, spec: &Spec<'_>) -> Vec<Arc<Partitions>> {
        let mut changed: Vec<Partitions> = vec![Partitions::new(); self.loads.len()];
        for topic in &self.topics {
            for (owner, partition) in topic.owners.iter().zip(0i32..) {
                if *owner != NOBODY && self.is_changed[*owner] {
                    changed[*owner].entry(topic.id).or_default().insert(partition);
                }
            }
        }
        let target = |((is_changed, changed), member): ((&bool, Partitions), _)| -> Arc<Partitions> {
            if *is_changed { Arc::new(changed) } else { Arc::clone(member) }
        };
        let before = spec.members.iter().map(|candidate| &candidate.target);
        self.is_changed.iter().zip(changed).zip(before).map(target).collect()
    }
}

/// The subscribers of a topic, and how far the taking and the giving have come.
#[derive(Default)]
struct Ranges {
    /// By load, least first; those who have nothing to give are moved to the end of the range that gives.
    sorted: Vec<usize>,
    /// `sorted[..takers_end]` take, each up to `takers_load + 1`.
    takers_end: usize,
    takers_load: i64,
    next_taker: usize,
    /// `sorted[givers_start..givers_end]` give, each down to `givers_load - 1`.
    givers_start: usize,
    givers_end: usize,
    givers_load: i64,
    /// One behind the next giver.
    givers_left: usize,
}

impl Ranges {
    /// Begins with the subscribers of a topic; returns how far apart their loads are.
    fn begin(&mut self, subscribers: &[usize], loads: &[usize]) -> i64 {
        self.sorted.clear();
        self.sorted.extend_from_slice(subscribers);
        self.sorted.sort_by_key(|member| (loads[*member], *member));
        let load = |member: Option<&usize>| member.map_or(0, |member| level(loads[*member]));
        let (least, most) = (load(self.sorted.first()), load(self.sorted.last()));
        let end = self.sorted.len();
        (self.takers_end, self.takers_load, self.next_taker) = (0, least - 1, 0);
        (self.givers_start, self.givers_end, self.givers_left) = (end, end, end);
        self.givers_load = most + 1;
        most - least
    }

    /// Who takes the next partition.
    fn next_taker(&mut self, loads: &[usize]) -> usize {
        if self.next_taker >= self.takers_end {
            self.takers_load += 1;
            while self.takers_end < self.sorted.len()
                && level(loads[self.sorted[self.takers_end]]) == self.takers_load
            {
                self.takers_end += 1;
            }
            self.next_taker = 0;
        }
        self.next_taker += 1;
        self.sorted[self.next_taker - 1]
    }

    /// Who gives the next partition, and which: the last of those in `held`. None if nobody has any.
    fn next_given(
        &mut self,
        loads: &[usize],
        held: &mut HashMap<usize, Vec<usize>>,
    ) -> Option<(usize, usize)> {
        if self.are_level() {
            return None;
        }
        loop {
            let giver = self.next_giver(loads)?;
            if let Some(partition) = held.get_mut(&giver).and_then(Vec::pop) {
                return Some((giver, partition));
            }
            self.givers_end -= 1;
            self.sorted.swap(self.givers_left, self.givers_end);
        }
    }

    fn next_giver(&mut self, loads: &[usize]) -> Option<usize> {
        if self.givers_left <= self.givers_start {
            if self.givers_end <= self.givers_start && self.givers_start > 0 {
                // Nobody is left in the range: it goes on where the next member is.
                self.givers_load = level(loads[self.sorted[self.givers_start - 1]]);
            } else {
                self.givers_load -= 1;
            }
            while self.givers_start > 0
                && level(loads[self.sorted[self.givers_start - 1]]) == self.givers_load
            {
                self.givers_start -= 1;
            }
            self.givers_left = self.givers_end;
        }
        self.givers_left = self.givers_left.checked_sub(1)?;
        Some(self.sorted[self.givers_left])
    }

    /// Another move would not make it more even.
    fn are_level(&self) -> bool {
        self.givers_load - self.takers_load <= 1
    }
}

fn level(load: usize) -> i64 {
    i64::try_from(load).unwrap_or(i64::MAX)
}

/// Most partitions for each subscriber first, then fewest subscribers, then by id as Java compares them.
fn by_partitions_for_each_subscriber(one: &Topic, other: &Topic) -> Ordering {
    let product = |partitions: &[usize], subscribers: &[usize]| partitions.len() * subscribers.len();
    product(&other.owners, &one.subscribers)
        .cmp(&product(&one.owners, &other.subscribers))
        .then_with(|| one.subscribers.len().cmp(&other.subscribers.len()))
        .then_with(|| signed(one.id).cmp(&signed(other.id)))
}

/// The two halves, with a sign.
fn signed(id: Uuid) -> (i64, i64) {
    let (upper, lower) = id.as_u64_pair();
    (upper.cast_signed(), lower.cast_signed())
}

#[cfg(test)]
mod tests;
