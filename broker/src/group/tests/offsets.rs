//! Commit, fetch, delete and expire.

use super::{Commit, GROUP, Harness, MemoryLog, code, name, now};
use crate::api::{offset_delete, offset_fetch};
use crate::group::GroupSettings;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse, OffsetFetchRequest, TopicName};
use milena_protocol::stored::group::group_partition;
use std::collections::BTreeSet;

const DAY_MS: i64 = 86_400_000;

#[test]
fn consumers_without_group_commit_and_fetch() {
    let harness = Harness::new();
    assert_eq!(harness.fetch(GROUP, "orders", 0), (-1, 0), "nothing yet, not even a topic");
    assert_eq!(harness.commit(Commit { offset: 42, metadata: "note", ..Commit::default() }), 0);
    assert_eq!(harness.fetch(GROUP, "orders", 0), (42, 0));
    assert_eq!(harness.fetch(GROUP, "orders", 1), (-1, 0));
    assert_eq!(harness.fetch("other", "orders", 0), (-1, 0));
    assert_eq!(harness.state(), "Empty");
    // As Kafka: no rule about the offset, nor about an empty group id.
    assert_eq!(harness.commit(Commit { group: "", offset: -5, ..Commit::default() }), 0);
    assert_eq!(harness.fetch("", "orders", 0), (-5, 0));
}

#[test]
fn all_offsets_of_a_group_in_one_request() {
    let harness = Harness::new();
    for (topic, partition, offset) in [("payments", 2, 7), ("orders", 3, 9), ("orders", 1, 8)] {
        harness.commit(Commit { topic, partition, offset, metadata: "m", ..Commit::default() });
    }
    for version in 2..8 {
        let request = OffsetFetchRequest::default().with_group_id(name(GROUP).into()).with_topics(None);
        let response = offset_fetch::answer(&harness.groups, version, request);
        let found: Vec<_> = response
            .topics
            .iter()
            .flat_map(|topic| {
                topic
                    .partitions
                    .iter()
                    .map(|p| (topic.name.to_string(), p.partition_index, p.committed_offset))
            })
            .collect();
        let expected =
            [("orders".to_owned(), 1, 8), ("orders".to_owned(), 3, 9), ("payments".to_owned(), 2, 7)];
        assert_eq!(found, expected);
        assert_eq!(response.topics[0].partitions[0].metadata.as_deref(), Some("m"));
    }
}

#[test]
fn commits_that_are_refused() {
    let harness = Harness::new();
    let long = "x".repeat(4097);
    let wide = "\u{20ac}".repeat(4096);
    let commit = |commit: Commit<'_>| harness.commit(commit);
    assert_eq!(
        commit(Commit { topic: "none", ..Commit::default() }),
        code(ResponseError::UnknownTopicOrPartition)
    );
    assert_eq!(harness.state(), "Dead", "and nothing was created for it");
    assert_eq!(
        commit(Commit { partition: 4, ..Commit::default() }),
        code(ResponseError::UnknownTopicOrPartition)
    );
    assert_eq!(
        commit(Commit { partition: -1, ..Commit::default() }),
        code(ResponseError::UnknownTopicOrPartition)
    );
    assert_eq!(
        commit(Commit { metadata: &long, ..Commit::default() }),
        code(ResponseError::OffsetMetadataTooLarge)
    );
    assert_eq!(commit(Commit { metadata: &wide, ..Commit::default() }), 0, "characters count, not bytes");
    let claims = Commit { group: "none", generation: 3, member_id: "m", ..Commit::default() };
    assert_eq!(commit(Commit { version: 8, ..claims }), code(ResponseError::IllegalGeneration));
    assert_eq!(commit(claims), code(ResponseError::GroupIdNotFound));
}

#[test]
fn only_members_of_the_generation_commit_for_a_group() {
    let harness = Harness::new();
    let id = harness.stable("a");
    let commit =
        |member_id: &str, generation| harness.commit(Commit { member_id, generation, ..Commit::default() });
    assert_eq!(commit("", -1), code(ResponseError::UnknownMemberId));
    assert_eq!(commit("x", 1), code(ResponseError::UnknownMemberId));
    assert_eq!(commit(&id, 0), code(ResponseError::IllegalGeneration));
    assert_eq!(commit(&id, 1), 0);
    let joined = now(harness.join(super::Join { member_id: &id, ..super::Join::default() }));
    assert_eq!(commit(&id, joined.generation_id), code(ResponseError::RebalanceInProgress));
    harness.leave(&[(&id, None)]);
    assert_eq!(commit("", -1), 0, "an empty group takes offsets from outside, to reset them");
}

fn delete(harness: &Harness, topic: &str, partition: i32) -> OffsetDeleteResponse {
    let partition = OffsetDeleteRequestPartition::default().with_partition_index(partition);
    let topic = OffsetDeleteRequestTopic::default()
        .with_name(TopicName(name(topic)))
        .with_partitions(vec![partition]);
    let request = OffsetDeleteRequest::default().with_group_id(name(GROUP).into()).with_topics(vec![topic]);
    offset_delete::answer(&harness.groups, &request)
}

#[test]
fn offsets_of_topics_in_use_cannot_be_deleted() {
    let harness = Harness::new();
    assert_eq!(delete(&harness, "orders", 0).error_code, code(ResponseError::GroupIdNotFound));
    let id = harness.stable("a");
    for topic in ["orders", "payments"] {
        assert_eq!(harness.commit(Commit { topic, member_id: &id, generation: 1, ..Commit::default() }), 0);
    }
    let error = |topic, partition| delete(&harness, topic, partition).topics[0].partitions[0].error_code;
    assert_eq!(error("orders", 0), code(ResponseError::GroupSubscribedToTopic));
    assert_eq!(error("none", 0), code(ResponseError::UnknownTopicOrPartition));
    assert_eq!(error("payments", 0), 0);
    assert_eq!(error("payments", 0), 0, "there is nothing to delete, which is no error");
    assert_eq!(harness.fetch(GROUP, "payments", 0), (-1, 0));
    assert_eq!(harness.fetch(GROUP, "orders", 0), (1, 0));
    harness.leave(&[(&id, None)]);
    assert_eq!(error("orders", 0), 0);
}

#[test]
fn a_group_of_another_protocol_type_keeps_its_offsets_while_it_has_members() {
    let harness = Harness::new();
    let joined =
        now(harness.join(super::Join { version: 3, protocol_type: "connect", ..super::Join::default() }));
    assert_eq!(delete(&harness, "orders", 0).error_code, code(ResponseError::NonEmptyGroup));
    harness.leave(&[(&joined.member_id, None)]);
    assert_eq!(delete(&harness, "orders", 0).error_code, 0);
}

#[test]
fn offsets_of_consumers_without_group_expire_after_their_last_commit() {
    let harness = Harness::new();
    harness.commit(Commit { partition: 0, ..Commit::default() });
    harness.at(DAY_MS);
    harness.commit(Commit { partition: 1, ..Commit::default() });
    harness.at(7 * DAY_MS - 1);
    assert_eq!(harness.fetch(GROUP, "orders", 0), (1, 0));
    harness.at(7 * DAY_MS + 600_000);
    assert_eq!(harness.fetch(GROUP, "orders", 0), (-1, 0));
    assert_eq!(harness.fetch(GROUP, "orders", 1), (1, 0));
    assert_eq!(harness.state(), "Empty");
    harness.at(8 * DAY_MS + 600_000);
    assert_eq!(harness.state(), "Dead", "the group goes with its last offset");
    assert_eq!(harness.restart().state(), "Dead");
}

#[test]
fn offsets_of_a_group_expire_after_its_last_member_left() {
    let harness = Harness::new();
    let id = harness.stable("a");
    harness.commit(Commit { member_id: &id, generation: 1, ..Commit::default() });
    harness.at(i64::from(super::SESSION_MS) - 1);
    harness.leave(&[(&id, None)]);
    let left = i64::from(super::SESSION_MS) - 1;
    harness.at(left + 7 * DAY_MS - 1);
    assert_eq!(harness.fetch(GROUP, "orders", 0), (1, 0));
    harness.at(left + 7 * DAY_MS + 600_000);
    assert_eq!(harness.fetch(GROUP, "orders", 0), (-1, 0));
    assert_eq!(harness.state(), "Dead");
}

#[test]
fn a_stable_group_loses_only_offsets_of_topics_that_it_no_longer_reads() {
    let settings = GroupSettings { max_session_timeout_ms: i32::MAX, ..GroupSettings::default() };
    let harness = Harness::with(settings);
    let joined =
        now(harness.join(super::Join { version: 3, session_ms: i32::MAX, ..super::Join::default() }));
    let id = joined.member_id.to_string();
    now(harness.sync(&id, 1, &[]));
    for topic in ["orders", "payments"] {
        harness.commit(Commit { topic, member_id: &id, generation: 1, ..Commit::default() });
    }
    harness.at(7 * DAY_MS + 600_000);
    assert_eq!(harness.state(), "Stable");
    assert_eq!(harness.fetch(GROUP, "orders", 0), (1, 0));
    assert_eq!(harness.fetch(GROUP, "payments", 0), (-1, 0));
}

#[test]
fn offsets_stay_while_a_group_rebalances_or_nobody_knows_what_it_reads() {
    let settings = GroupSettings { max_session_timeout_ms: i32::MAX, ..GroupSettings::default() };
    let join =
        super::Join { version: 3, session_ms: i32::MAX, rebalance_ms: i32::MAX, ..super::Join::default() };
    for (protocol_type, members, state) in [("connect", 1, "Stable"), ("consumer", 2, "PreparingRebalance")] {
        let harness = Harness::with(settings.clone());
        let joined = now(harness.join(super::Join { protocol_type, ..join }));
        now(harness.sync(&joined.member_id, 1, &[]));
        let id = joined.member_id.to_string();
        for topic in ["orders", "payments"] {
            let commit = Commit { topic, member_id: &id, generation: 1, ..Commit::default() };
            assert_eq!(harness.commit(commit), 0, "{protocol_type}");
        }
        // Whoever joins then waits for the first one, which does not join again.
        let _waiting =
            (1..members).map(|_| harness.join(super::Join { protocol_type, ..join })).collect::<Vec<_>>();
        harness.at(20 * DAY_MS);
        assert_eq!(harness.state(), state);
        assert_eq!(harness.fetch(GROUP, "orders", 0), (1, 0), "{protocol_type}");
        assert_eq!(harness.fetch(GROUP, "payments", 0), (1, 0), "{protocol_type}");
    }
}

#[test]
fn what_cannot_be_removed_stays_and_goes_later() {
    let harness = Harness::new();
    harness.commit(Commit::default());
    harness.log.fails.store(true, std::sync::atomic::Ordering::Relaxed);
    harness.at(8 * DAY_MS);
    harness.log.fails.store(false, std::sync::atomic::Ordering::Relaxed);
    assert_eq!((harness.fetch(GROUP, "orders", 0), &*harness.state()), ((1, 0), "Empty"));
    harness.at(8 * DAY_MS + 599_999);
    assert_eq!(harness.state(), "Empty");
    harness.at(8 * DAY_MS + 600_000);
    assert_eq!((harness.fetch(GROUP, "orders", 0), &*harness.state()), ((-1, 0), "Dead"));
}

#[test]
fn an_empty_group_without_offsets_goes_at_the_next_check() {
    let harness = Harness::new();
    let id = harness.stable("a");
    harness.leave(&[(&id, None)]);
    harness.at(599_999);
    assert_eq!(harness.state(), "Empty");
    harness.at(600_000);
    assert_eq!(harness.state(), "Dead");
}

#[test]
fn a_retention_of_its_own_counts_for_an_offset_and_survives_a_restart() {
    let harness = Harness::new();
    harness.commit(Commit { version: 4, retention_ms: 1_000_000, ..Commit::default() });
    let harness = harness.restart();
    harness.at(600_000);
    assert_eq!(harness.fetch(GROUP, "orders", 0), (1, 0));
    harness.at(1_200_000);
    assert_eq!(harness.fetch(GROUP, "orders", 0), (-1, 0));
}

#[test]
fn many_expired_offsets_are_removed_in_batches_of_bounded_size() {
    let harness = Harness::new();
    for group in 0..2500 {
        harness.commit(Commit { group: &format!("group-{group}"), ..Commit::default() });
    }
    harness.at(8 * DAY_MS);
    let largest = harness.log.records().iter().map(|(header, _)| header.record_count).max();
    assert!(largest.is_some_and(|count| (2..=1000).contains(&count)), "{largest:?}");
    assert_eq!(harness.groups.list(&Default::default()).unwrap().len(), 0);
}

#[test]
fn the_offsets_of_a_deleted_topic_go_with_it() {
    let harness = Harness::new();
    harness.commit(Commit { group: "a", ..Commit::default() });
    harness.commit(Commit { group: "b", topic: "payments", ..Commit::default() });
    harness.groups.on_topic_deleted("orders").unwrap();
    assert_eq!(harness.fetch("a", "orders", 0), (-1, 0));
    assert_eq!(harness.fetch("b", "payments", 0), (1, 0));
    assert_eq!(harness.restart().fetch("a", "orders", 0), (-1, 0));
}

#[test]
fn the_offsets_of_a_deleted_topic_that_cannot_be_removed_keep_no_others_and_are_told_of() {
    let harness = Harness::new();
    let groups: Vec<String> = (0..20).map(|number| format!("group-{number}")).collect();
    for group in &groups {
        harness.commit(Commit { group, ..Commit::default() });
    }
    // A batch for each partition of the topic: the last one is refused.
    harness.log.refuse_after(2);
    assert_eq!(harness.groups.on_topic_deleted("orders"), Err(ResponseError::NotCoordinator));
    harness.log.take_all();
    let left = |group: &&String| harness.fetch(group, "orders", 0) != (-1, 0);
    let of_partition = |name: &str| group_partition(name, MemoryLog::PARTITIONS as i32);
    let left: BTreeSet<i32> = groups.iter().filter(left).map(|group| of_partition(group)).collect();
    assert_eq!(left.len(), 1, "the others have let go: {left:?}");
    harness.groups.on_topic_deleted("orders").unwrap();
    assert!(groups.iter().all(|group| harness.fetch(group, "orders", 0) == (-1, 0)));
}

#[test]
fn an_offset_that_cannot_be_stored_is_not_committed() {
    let harness = Harness::new();
    harness.commit(Commit { offset: 1, ..Commit::default() });
    harness.log.fails.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(
        harness.commit(Commit { offset: 2, ..Commit::default() }),
        code(ResponseError::NotCoordinator)
    );
    assert_eq!(harness.fetch(GROUP, "orders", 0), (1, 0));
}

#[test]
fn without_the_topic_a_commit_is_to_be_tried_again() {
    let harness = Harness::new();
    harness.log.fails.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(harness.commit(Commit::default()), code(ResponseError::CoordinatorNotAvailable));
}
