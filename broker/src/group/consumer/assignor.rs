//! Server-side assignors: who is to have which partitions.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use uuid::Uuid;

use super::{Partitions, range, uniform};

/// Names of the assignors that are served.
pub(in crate::group) const ASSIGNORS: [&str; 2] = [uniform::NAME, range::NAME];

/// A member, as an assignor sees it.
#[derive(Clone, Debug)]
pub(super) struct Candidate<'a> {
    pub(super) id: &'a Arc<str>,
    pub(super) instance_id: Option<&'a str>,
    /// Topics that it subscribes to and that exist.
    pub(super) topics: Arc<BTreeSet<Uuid>>,
    /// What it is to have so far.
    pub(super) target: Arc<Partitions>,
}

/// A group, as an assignor sees it.
#[derive(Debug)]
pub(super) struct Spec<'a> {
    /// By member id.
    pub(super) members: Vec<Candidate<'a>>,
    /// Partitions of each topic that somebody subscribes to.
    pub(super) topics: BTreeMap<Uuid, i32>,
    /// All members subscribe to the same names, or all to the same expression and to no name besides. As in Kafka, what the
    /// subscriptions say counts and not which topics that comes to.
    pub(super) is_homogeneous: bool,
}

impl Spec<'_> {
    /// Marks for each partition, none of them set.
    pub(super) fn marks(&self) -> HashMap<Uuid, Vec<bool>> {
        let of_topic =
            |(topic, count): (&Uuid, &i32)| (*topic, vec![false; usize::try_from(*count).unwrap_or(0)]);
        self.topics.iter().map(of_topic).collect()
    }
}

/// The targets, member by member as in `spec`. A name that is not known stands for the first assignor.
pub(super) fn assign(name: &str, spec: &Spec<'_>) -> Vec<Arc<Partitions>> {
    if name == range::NAME { range::assign(spec) } else { uniform::assign(spec) }
}

#[cfg(test)]
mod tests;
