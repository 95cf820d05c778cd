//! The tables of Kafka's `CurrentAssignmentBuilderTest`.

use super::{Step, UnknownState};
use crate::group::consumer::Partitions;
use crate::group::consumer::member::{Holding, MemberState};
use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use std::sync::Arc;
use uuid::Uuid;

/// `topic:partition,partition ...`
fn partitions(text: &str) -> Partitions {
    let of_topic = |text: &str| {
        let (number, partitions) = text.split_once(':').unwrap();
        let partitions = partitions.split(',').map(|partition| partition.parse().unwrap()).collect();
        (Uuid::from_u128(number.parse().unwrap()), partitions)
    };
    text.split_whitespace().map(of_topic).collect()
}

/// `state epoch previous | assigned | revoking`
fn holding(text: &str) -> Holding {
    let parts: Vec<&str> = text.split('|').collect();
    let [state, epoch, previous] = parts[0].split_whitespace().collect::<Vec<_>>()[..] else {
        panic!("{text}")
    };
    Holding {
        epoch: epoch.parse().unwrap(),
        previous_epoch: previous.parse().unwrap(),
        state: match state {
            "stable" => MemberState::Stable,
            "unrevoked" => MemberState::Unrevoked,
            "unreleased" => MemberState::Unreleased,
            _ => MemberState::Unknown,
        },
        assigned: Arc::new(partitions(parts[1])),
        revoking: Arc::new(partitions(parts.get(2).unwrap_or(&""))),
    }
}

/// A name, and what stands at [`ROWS`].
type Row =
    (&'static str, &'static str, (i32, &'static str), &'static str, &'static str, Option<&'static str>);

/// What the member holds | the target and its epoch | what it says it owns ("?": nothing) | what is in other hands
/// (`*` for all) | what it holds then.
#[rustfmt::skip] // a table
const ROWS: &[Row] = &[
    ("stable to stable",
     "stable 10 10 | 1:1,2,3 2:4,5,6", (11, "1:1,2,3 2:4,5,6"), "?", "*", Some("stable 11 10 | 1:1,2,3 2:4,5,6")),
    ("stable to stable with new partitions",
     "stable 10 10 | 1:1,2,3 2:4,5,6", (11, "1:1,2,3,4 2:4,5,6,7"), "?", "", Some("stable 11 10 | 1:1,2,3,4 2:4,5,6,7")),
    ("stable to unrevoked",
     "stable 10 10 | 1:1,2,3 2:4,5,6", (11, "1:2,3,4 2:5,6,7"), "?", "", Some("unrevoked 10 10 | 1:2,3 2:5,6 | 1:1 2:4")),
    ("stable to unreleased",
     "stable 10 10 | 1:1,2,3 2:4,5,6", (11, "1:1,2,3,4 2:4,5,6,7"), "?", "*", Some("unreleased 11 10 | 1:1,2,3 2:4,5,6")),
    ("stable to unreleased, when what is to be given up is not owned",
     "stable 10 10 | 1:1,2,3 2:4,5,6", (11, "1:1,2,3 2:4,5,7"), "", "2:7", Some("unreleased 11 10 | 1:1,2,3 2:4,5")),
    ("unrevoked to stable",
     "unrevoked 10 10 | 1:2,3 2:5,6 | 1:1 2:4", (11, "1:2,3 2:5,6"), "1:2,3 2:5,6", "", Some("stable 11 10 | 1:2,3 2:5,6")),
    ("unrevoked without word from the member",
     "unrevoked 10 10 | 1:2,3 2:5,6 | 1:1 2:4", (12, "1:3 2:6"), "?", "", Some("unrevoked 10 10 | 1:2,3 2:5,6 | 1:1 2:4")),
    ("unrevoked, and the first topic is still owned",
     "unrevoked 10 10 | 1:2,3 2:5,6 | 1:1 2:4", (12, "1:3 2:6"), "1:1,2,3 2:5,6", "", Some("unrevoked 10 10 | 1:2,3 2:5,6 | 1:1 2:4")),
    ("unrevoked, and the second topic is still owned",
     "unrevoked 10 10 | 1:2,3 2:5,6 | 1:1 2:4", (12, "1:3 2:6"), "1:2,3 2:4,5,6", "", Some("unrevoked 10 10 | 1:2,3 2:5,6 | 1:1 2:4")),
    // Kafka 4.1 answers with epoch 11, for which there may never have been a target; later versions stay, too.
    ("unrevoked to unrevoked",
     "unrevoked 10 10 | 1:2,3 2:5,6 | 1:1 2:4", (12, "1:3 2:6"), "1:2,3 2:5,6", "", Some("unrevoked 10 10 | 1:3 2:6 | 1:2 2:5")),
    ("unrevoked to unreleased",
     "unrevoked 11 10 | 1:2,3 2:5,6", (11, "1:2,3,4 2:5,6,7"), "1:2,3 2:5,6", "*", Some("unreleased 11 11 | 1:2,3 2:5,6")),
    ("unreleased to stable",
     "unreleased 11 11 | 1:2,3 2:5,6", (12, "1:2,3 2:5,6"), "?", "*", Some("stable 12 11 | 1:2,3 2:5,6")),
    ("unreleased to stable with new partitions",
     "unreleased 11 11 | 1:2,3 2:5,6", (11, "1:2,3,4 2:5,6,7"), "?", "", Some("stable 11 11 | 1:2,3,4 2:5,6,7")),
    ("unreleased to unreleased",
     "unreleased 11 11 | 1:2,3 2:5,6", (11, "1:2,3,4 2:5,6,7"), "?", "*", Some("unreleased 11 11 | 1:2,3 2:5,6")),
    ("unreleased to unrevoked",
     "unreleased 11 11 | 1:2,3 2:5,6", (12, "1:3 2:6"), "?", "*", Some("unrevoked 11 11 | 1:3 2:6 | 1:2 2:5")),
    ("a state that is not known, without word from the member",
     "unknown 11 11 | 1:3 2:6 | 1:2 2:5", (12, "1:3 2:6"), "?", "*", None),
    ("a state that is not known, of a member that owns something",
     "unknown 11 11 | 1:3 2:6 | 1:2 2:5", (12, "1:3 2:6"), "1:3", "*", None),
    ("a state that is not known, of a member that has given up everything",
     "unknown 11 11 | 1:3 2:6 | 1:2 2:5", (12, "1:3 2:6"), "", "*", Some("stable 12 11 | 1:3 2:6")),
];

#[test]
fn the_steps_are_those_of_kafka() {
    let subscribed = [Uuid::from_u128(1), Uuid::from_u128(2)].into();
    for (name, before, (target_epoch, target), owned, taken, after) in ROWS {
        let owned: Option<Vec<TopicPartitions>> = (*owned != "?").then(|| {
            let told = partitions(owned).into_iter().map(|(topic, partitions)| {
                TopicPartitions::default()
                    .with_topic_id(topic)
                    .with_partitions(partitions.into_iter().collect())
            });
            told.collect()
        });
        let in_other_hands = if *taken == "*" { Partitions::new() } else { partitions(taken) };
        let is_taken = |topic: Uuid, partition: i32| {
            *taken == "*" || in_other_hands.get(&topic).is_some_and(|of| of.contains(&partition))
        };
        let step = Step {
            target_epoch: *target_epoch,
            target: &partitions(target),
            subscribed: &subscribed,
            owned: owned.as_deref(),
            subscription_changed: false,
            is_taken: &is_taken,
        };
        assert_eq!(step.reconcile(&holding(before)), after.map(holding).ok_or(UnknownState), "{name}");
    }
}

#[test]
fn what_is_no_longer_subscribed_to_goes_at_once() {
    for (name, before, owned, after) in [
        ("it is still owned", "stable 10 9 | 1:1 2:4", None, "unrevoked 10 10 | 1:1 | 2:4"),
        ("it is not owned", "stable 10 9 | 1:1 2:4", Some(vec![]), "stable 10 10 | 1:1"),
        (
            "more than is given up already",
            "unrevoked 10 9 | 1:1 2:4 | 1:2",
            None,
            "unrevoked 10 10 | 1:1 | 1:2 2:4",
        ),
        ("nothing is left over", "stable 10 9 | 1:1", None, "stable 10 9 | 1:1"),
    ] {
        let step = Step {
            target_epoch: 10,
            target: &partitions("1:1 2:4"),
            subscribed: &[Uuid::from_u128(1)].into(),
            owned: owned.as_deref(),
            subscription_changed: true,
            is_taken: &|_, _| false,
        };
        assert_eq!(step.reconcile(&holding(before)), Ok(holding(after)), "{name}");
    }
}
