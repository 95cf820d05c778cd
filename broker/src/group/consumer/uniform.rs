//! The `uniform` assignor: as even as the subscriptions allow, and as little moved as that allows. With equal
//! subscriptions it does what Kafka's `UniformHomogeneousAssignmentBuilder` does; the others are in `unequal.rs`.

mod unequal;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use uuid::Uuid;

use super::Partitions;
use super::assignor::Spec;

pub(super) const NAME: &str = "uniform";

/// The targets, member by member.
pub(super) fn assign(spec: &Spec<'_>) -> Vec<Arc<Partitions>> {
    if spec.is_homogeneous { homogeneous(spec) } else { unequal::assign(spec) }
}

/// Everybody keeps what he has up to his quota; what is left goes to those who are below theirs.
fn homogeneous(spec: &Spec<'_>) -> Vec<Arc<Partitions>> {
    let total: usize = spec.topics.values().map(|count| usize::try_from(*count).unwrap_or(0)).sum();
    let members = spec.members.len();
    let minimum = total / members.max(1);
    let mut extras = total % members.max(1);
    let mut is_kept = spec.marks();
    let mut targets: Vec<Arc<Partitions>> = Vec::with_capacity(members);
    let mut unfilled = Vec::new();
    for (index, member) in spec.members.iter().enumerate() {
        let mut takes_extra = extras > 0;
        let mut quota = minimum + usize::from(takes_extra);
        let kept = keep(&member.target, &mut is_kept, &mut quota);
        // Somebody after this one may hold the extra partition already, unless there are only takers left.
        if quota > 0 && takes_extra && members - index > extras {
            quota -= 1;
            takes_extra = false;
        }
        if quota > 0 {
            unfilled.push((index, quota));
        }
        extras -= usize::from(takes_extra);
        targets.push(kept);
    }
    let mut left = is_kept.iter().collect::<BTreeMap<_, _>>().into_iter().flat_map(|(topic, marks)| {
        let free = marks.iter().zip(0i32..).filter(|(mark, _)| !**mark);
        free.map(move |(_, partition)| (*topic, partition))
    });
    for (index, quota) in unfilled {
        for (topic, partition) in left.by_ref().take(quota) {
            Arc::make_mut(&mut targets[index]).entry(topic).or_default().insert(partition);
        }
    }
    targets
}

/// What of a target its member keeps, at most `quota`; marks it, and takes it off the quota. Most members keep all of theirs,
/// which is passed on as it is.
fn keep(
    target: &Arc<Partitions>,
    is_kept: &mut HashMap<Uuid, Vec<bool>>,
    quota: &mut usize,
) -> Arc<Partitions> {
    let mut gone = Vec::new();
    for (topic, partitions) in &**target {
        let mut marks = is_kept.get_mut(topic);
        for partition in partitions {
            let index = usize::try_from(*partition).ok();
            let mark = marks.as_mut().zip(index).and_then(|(marks, index)| marks.get_mut(index));
            match mark {
                Some(mark) if *quota > 0 && !*mark => {
                    *mark = true;
                    *quota -= 1;
                }
                _ => gone.push((*topic, *partition)),
            }
        }
    }
    let mut kept = Arc::clone(target);
    for (topic, partition) in gone {
        let kept = Arc::make_mut(&mut kept);
        if let Some(partitions) = kept.get_mut(&topic) {
            partitions.remove(&partition);
            if partitions.is_empty() {
                kept.remove(&topic);
            }
        }
    }
    kept
}
