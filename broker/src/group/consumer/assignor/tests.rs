//! Assignors alone: complete, even, sticky.

use super::{Candidate, Spec, assign};
use crate::group::consumer::Partitions;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use uuid::Uuid;

type Targets = BTreeMap<String, Arc<Partitions>>;

fn topic(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// Assigns to members (id, instance, topics) that had `before`.
fn run(
    name: &str,
    members: &[(&str, Option<&str>, &[u128])],
    topics: &[(u128, i32)],
    before: &Targets,
) -> Targets {
    let ids: Vec<Arc<str>> = members.iter().map(|(id, ..)| Arc::from(*id)).collect();
    let topics: BTreeMap<Uuid, i32> = topics.iter().map(|(number, count)| (topic(*number), *count)).collect();
    let candidates = members.iter().zip(&ids).map(|((name, instance_id, subscribed), id)| Candidate {
        id,
        instance_id: *instance_id,
        topics: Arc::new(subscribed.iter().map(|number| topic(*number)).collect()),
        target: before.get(*name).cloned().unwrap_or_default(),
    });
    let is_homogeneous = members.windows(2).all(|pair| pair[0].2 == pair[1].2);
    let spec = Spec { members: candidates.collect(), topics, is_homogeneous };
    let targets = assign(name, &spec);
    ids.iter().map(|id| id.to_string()).zip(targets).collect()
}

fn load(target: &Partitions) -> usize {
    target.values().map(BTreeSet::len).sum()
}

fn loads(targets: &Targets) -> Vec<usize> {
    targets.values().map(|target| load(target)).collect()
}

/// How many partitions have another owner than before.
fn moved(before: &Targets, after: &Targets) -> usize {
    let kept = |(id, target): (&String, &Arc<Partitions>)| -> usize {
        let Some(after) = after.get(id) else { return 0 };
        let both = |(topic, partitions): (&Uuid, &BTreeSet<i32>)| {
            after.get(topic).map_or(0, |after| partitions.intersection(after).count())
        };
        target.iter().map(both).sum()
    };
    loads(before).iter().sum::<usize>() - before.iter().map(kept).sum::<usize>()
}

fn assert_complete(targets: &Targets, topics: &[(u128, i32)]) {
    for (number, count) in topics {
        let mut all: Vec<i32> =
            targets.values().filter_map(|target| target.get(&topic(*number))).flatten().copied().collect();
        all.sort_unstable();
        assert_eq!(all, (0..*count).collect::<Vec<_>>(), "topic {number}: {targets:?}");
    }
}

#[test]
fn range_gives_runs_and_static_members_come_first() {
    let members: &[(&str, Option<&str>, &[u128])] =
        &[("a", None, &[1, 2]), ("b", None, &[1, 2]), ("z", Some("i"), &[1, 2])];
    let targets = run("range", members, &[(1, 4), (2, 3)], &Targets::new());
    let runs = |id: &str, number: u128| targets[id].get(&topic(number)).cloned().unwrap_or_default();
    assert_eq!(runs("z", 1), BTreeSet::from([0, 1]));
    assert_eq!(runs("a", 1), BTreeSet::from([2]));
    assert_eq!(runs("b", 1), BTreeSet::from([3]));
    for (id, partition) in [("z", 0), ("a", 1), ("b", 2)] {
        assert_eq!(runs(id, 2), BTreeSet::from([partition]), "{id}");
    }
}

#[test]
fn range_counts_only_those_who_subscribe() {
    let members: &[(&str, Option<&str>, &[u128])] =
        &[("a", None, &[1]), ("b", None, &[1, 2]), ("c", None, &[2])];
    let topics = [(1, 3), (2, 1)];
    let targets = run("range", members, &topics, &Targets::new());
    assert_complete(&targets, &topics);
    assert_eq!(loads(&targets), [2, 2, 0]);
}

#[test]
fn uniform_moves_no_more_than_the_newcomer_gets() {
    let all: &[u128] = &[1, 2];
    let topics = [(1, 7), (2, 5)];
    let mut before = Targets::new();
    for count in 1..=14 {
        let names: Vec<String> = (0..count).map(|index| format!("m{index:02}")).collect();
        let members: Vec<_> = names.iter().map(|name| (name.as_str(), None, all)).collect();
        let after = run("uniform", &members, &topics, &before);
        assert_complete(&after, &topics);
        let (least, most) =
            (loads(&after).into_iter().min().unwrap(), loads(&after).into_iter().max().unwrap());
        assert!(most - least <= 1, "{count} members: {:?}", loads(&after));
        let newcomer = load(&after[names.last().unwrap()]);
        assert!(moved(&before, &after) <= newcomer, "{count} members");
        assert_eq!(run("uniform", &members, &topics, &after), after, "nothing changed, so nothing moves");
        before = after;
    }
}

#[test]
fn uniform_gives_what_a_member_leaves_behind_to_the_others() {
    let all: &[u128] = &[1];
    let before =
        run("uniform", &[("a", None, all), ("b", None, all), ("c", None, all)], &[(1, 9)], &Targets::new());
    let after = run("uniform", &[("a", None, all), ("c", None, all)], &[(1, 9)], &before);
    assert_complete(&after, &[(1, 9)]);
    assert_eq!(moved(&before, &after), 3);
}

#[test]
fn uniform_forgets_topics_and_partitions_that_are_gone() {
    let before = run("uniform", &[("a", None, &[1, 2])], &[(1, 4), (2, 4)], &Targets::new());
    let after = run("uniform", &[("a", None, &[1])], &[(1, 2)], &before);
    assert_eq!(*after["a"], Partitions::from([(topic(1), BTreeSet::from([0, 1]))]));
}

#[test]
fn uniform_balances_unequal_subscriptions() {
    let members: &[(&str, Option<&str>, &[u128])] =
        &[("a", None, &[1, 2, 3]), ("b", None, &[1]), ("c", None, &[2])];
    let topics = [(1, 4), (2, 4), (3, 2)];
    let first = run("uniform", &members[..1], &topics, &Targets::new());
    let targets = run("uniform", members, &topics, &first);
    assert_complete(&targets, &topics);
    assert_eq!(loads(&targets).into_iter().collect::<BTreeSet<_>>(), BTreeSet::from([3, 4]));
    for (id, _, subscribed) in members {
        assert!(targets[*id].keys().all(|id| subscribed.iter().any(|number| topic(*number) == *id)));
    }
    assert_eq!(run("uniform", members, &topics, &targets), targets);
}
