//! The `range` assignor: of every topic each member gets a run of partitions, so that topics with the same number of
//! partitions are assigned alike. Static members come first, so that they keep their place. Follows Kafka's `RangeAssignor`.

use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

use super::Partitions;
use super::assignor::Spec;

pub(super) const NAME: &str = "range";

/// What is left of a topic.
struct Remaining {
    next: i32,
    quota: i32,
    extras: i32,
}

/// The targets, member by member.
pub(super) fn assign(spec: &Spec<'_>) -> Vec<Arc<Partitions>> {
    let mut order: Vec<usize> = (0..spec.members.len()).collect();
    order.sort_by_key(|index| {
        let member = &spec.members[*index];
        (member.instance_id.is_none(), member.instance_id, member.id)
    });
    let mut counts: HashMap<Uuid, i32> = HashMap::new();
    for member in &spec.members {
        for topic in &*member.topics {
            *counts.entry(*topic).or_default() += 1;
        }
    }
    let mut topics: HashMap<Uuid, Remaining> = counts
        .into_iter()
        .map(|(topic, members)| {
            let partitions = spec.topics.get(&topic).copied().unwrap_or(0);
            (topic, Remaining { next: 0, quota: partitions / members, extras: partitions % members })
        })
        .collect();
    let mut targets = vec![Arc::<Partitions>::default(); spec.members.len()];
    for index in order {
        let mut target = Partitions::new();
        for topic in &*spec.members[index].topics {
            let Some(remaining) = topics.get_mut(topic) else { continue };
            let end = remaining.next + remaining.quota + i32::from(remaining.extras > 0);
            remaining.extras -= 1;
            if remaining.next < end {
                target.insert(*topic, (remaining.next..end).collect());
            }
            remaining.next = end;
        }
        targets[index] = Arc::new(target);
    }
    targets
}
