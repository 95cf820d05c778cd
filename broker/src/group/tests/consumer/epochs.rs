//! Joining, leaving, epochs and fencing.

use super::{Script, assigned, beating, holding, joining, wire};
use crate::group::tests::{Commit, GROUP, START, code, name};
use crate::group::{ConsumerSettings, GroupSettings, ListFilter};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::{ConsumerGroupHeartbeatRequest, OffsetDeleteRequest};

#[test]
fn a_member_alone_gets_everything() {
    let script = Script::new();
    let joined = script.join("a", &["t"]);
    assert_eq!((joined.error_code, joined.member_epoch, joined.heartbeat_interval_ms), (0, 1, 5000));
    assert_eq!(assigned(&joined), Some(holding(1, 0..6)));
    let beat = script.beat("a", 1, Some(&holding(1, 0..6)));
    assert_eq!((beat.error_code, beat.member_epoch, assigned(&beat)), (0, 1, None));
    let group = script.describe();
    assert_eq!((&*group.group_state, group.group_epoch, group.assignment_epoch), ("Stable", 1, 1));
    assert_eq!((&*group.assignor_name, group.members[0].member_type), ("uniform", 1));
}

#[test]
fn a_heartbeat_without_news_writes_nothing() {
    let script = Script::new();
    script.join("a", &["t"]);
    let records = script.harness.log.records().len();
    for _ in 0..10 {
        assert_eq!(script.beat("a", 1, None).error_code, 0);
    }
    assert_eq!(script.harness.log.records().len(), records);
}

#[test]
fn partitions_change_hands_when_they_are_released() {
    let script = Script::new();
    script.join("a", &["t"]);
    let joined = script.join("b", &["t"]);
    // The target is there, but everything is in the hands of the other.
    assert_eq!((joined.member_epoch, assigned(&joined)), (2, Some(Default::default())));
    assert_eq!(script.state(), "Reconciling");
    let revoke = script.beat("a", 1, Some(&holding(1, 0..6)));
    assert_eq!((revoke.member_epoch, assigned(&revoke)), (1, Some(holding(1, 0..3))));
    assert_eq!(assigned(&script.beat("b", 2, None)), None);
    // Still reported: nothing moves.
    assert_eq!(script.beat("a", 1, Some(&holding(1, 0..6))).member_epoch, 1);
    let released = script.beat("a", 1, Some(&holding(1, 0..3)));
    assert_eq!((released.member_epoch, assigned(&released)), (2, None));
    assert_eq!(assigned(&script.beat("b", 2, None)), Some(holding(1, 3..6)));
    assert_eq!(script.state(), "Stable");
}

#[test]
fn epochs_fence() {
    let script = Script::new();
    script.join("a", &["t"]);
    script.join("b", &["t"]);
    script.beat("a", 1, Some(&holding(1, 0..3)));
    let newer = script.beat("a", 3, None);
    assert_eq!(newer.error_code, code(ResponseError::FencedMemberEpoch));
    assert_eq!(
        newer.error_message.as_deref(),
        Some(
            "The consumer group member has a greater member epoch (3) than the one known by the group coordinator (2). \
             The member must abandon all its partitions and rejoin."
        )
    );
    // The answer with epoch 2 may have got lost; more than was given may not be held.
    assert_eq!(script.beat("a", 1, Some(&holding(1, 0..3))).member_epoch, 2);
    for owned in [None, Some(&holding(1, 0..4)), Some(&holding(9, 0..1))] {
        assert_eq!(script.beat("a", 1, owned).error_code, code(ResponseError::FencedMemberEpoch));
    }
    let rejoined = script.join("a", &["t"]);
    assert_eq!((rejoined.member_epoch, assigned(&rejoined)), (2, Some(holding(1, 0..3))));
}

#[test]
fn who_leaves_makes_room_at_once() {
    let script = Script::new();
    script.join("a", &["t"]);
    script.join("b", &["t"]);
    let left = script.send(beating("a", -1));
    assert_eq!((left.error_code, left.member_epoch, left.member_id.as_deref()), (0, -1, Some("a")));
    assert_eq!(script.state(), "Assigning");
    assert_eq!(assigned(&script.beat("b", 2, None)), Some(holding(1, 0..6)));
    script.send(beating("b", -1));
    let group = script.describe();
    assert_eq!((&*group.group_state, group.group_epoch, group.assignment_epoch), ("Empty", 4, 4));
    let unknown = script.beat("b", 2, None);
    assert_eq!(unknown.error_code, code(ResponseError::UnknownMemberId));
    assert_eq!(unknown.error_message.as_deref(), Some("Member b is not a member of group g."));
}

#[test]
fn who_is_silent_or_keeps_what_it_must_give_up_is_out() {
    let script = Script::new();
    script.join("a", &["t"]);
    script.join("b", &["t"]);
    script.beat("a", 1, None);
    script.harness.at(20_000);
    script.beat("a", 1, None);
    script.beat("b", 2, None);
    script.harness.at(30_000 - 1);
    assert_eq!(script.describe().members.len(), 2);
    // Its rebalance timeout, not its session.
    script.harness.at(30_000);
    assert_eq!(script.describe().members.len(), 1);
    assert_eq!(assigned(&script.beat("b", 2, None)), Some(holding(1, 0..6)));
    script.harness.at(30_000 + 44_999);
    assert_eq!(script.state(), "Stable");
    script.harness.at(30_000 + 45_000);
    assert_eq!(script.state(), "Empty");
}

#[test]
fn who_has_left_for_a_while_owes_nothing_meanwhile() {
    let script = Script::new();
    let as_instance = |request: ConsumerGroupHeartbeatRequest| request.with_instance_id(Some(name("i")));
    script.send(as_instance(joining("a", &["t"])));
    script.join("b", &["t"]);
    // It is told to give up half, and leaves for a while instead.
    assert_eq!(assigned(&script.beat("a", 1, None)), Some(holding(1, 0..3)));
    assert_eq!(script.send(as_instance(beating("a", -2))).error_code, 0);
    script.harness.at(30_000);
    assert_eq!(script.describe().members.len(), 2, "its session is longer than its time to give up");
    script.beat("b", 2, None);
    script.harness.at(45_000);
    assert_eq!(script.describe().members.len(), 1);
}

#[test]
fn timeouts_of_the_group_itself() {
    let script = Script::new();
    script.topics.settings.lock().insert("consumer.session.timeout.ms".to_owned(), 50_000);
    script.topics.settings.lock().insert("consumer.heartbeat.interval.ms".to_owned(), 7_000);
    assert_eq!(script.join("a", &["t"]).heartbeat_interval_ms, 7_000);
    script.harness.at(49_999);
    assert_eq!(script.state(), "Stable");
    script.harness.at(50_000);
    assert_eq!(script.state(), "Empty");
}

#[test]
fn a_static_member_keeps_its_place_for_the_next() {
    let script = Script::new();
    let joins = |id: &str| joining(id, &["t"]).with_instance_id(Some(name("i")));
    script.send(joins("a"));
    let unreleased = script.send(joins("b"));
    assert_eq!(unreleased.error_code, code(ResponseError::UnreleasedInstanceId));
    assert_eq!(
        unreleased.error_message.as_deref(),
        Some(
            "Static member b with instance id i cannot join the group because the instance id is owned by a member."
        )
    );
    let left = script.send(beating("a", -2).with_instance_id(Some(name("i"))));
    assert_eq!((left.error_code, left.member_epoch), (0, -2));
    let joined = script.send(joins("b"));
    // The same group epoch: nothing is assigned anew.
    assert_eq!((joined.error_code, joined.member_epoch, assigned(&joined)), (0, 1, Some(holding(1, 0..6))));
    let fenced = script.send(beating("a", 1).with_instance_id(Some(name("i"))));
    assert_eq!(fenced.error_code, code(ResponseError::FencedInstanceId));
    assert_eq!(
        fenced.error_message.as_deref(),
        Some("Static member a with instance id i was fenced by member b.")
    );
    let stranger = script.send(beating("a", 1).with_instance_id(Some(name("other"))));
    assert_eq!(stranger.error_message.as_deref(), Some("Instance id other is unknown."));
    // Left for a while, but not back in time.
    script.send(beating("b", -2).with_instance_id(Some(name("i"))));
    script.harness.at(45_000);
    assert_eq!(script.state(), "Empty");
}

#[test]
fn topics_that_change_are_assigned_by_themselves() {
    let script = Script::new();
    script.join("a", &["t", "later"]);
    script.topics.set("other", 3, 1);
    assert_eq!(script.beat("a", 1, None).member_epoch, 1);
    script.topics.set("t", 1, 8);
    let wider = script.beat("a", 1, None);
    assert_eq!((wider.member_epoch, assigned(&wider)), (2, Some(holding(1, 0..8))));
    script.topics.set("later", 2, 1);
    let mut both = holding(1, 0..8);
    both.insert(2, [0].into());
    assert_eq!(assigned(&script.beat("a", 2, None)), Some(both.clone()));
    script.topics.remove("t");
    let gone = script.beat("a", 3, Some(&both));
    assert_eq!((gone.member_epoch, assigned(&gone)), (3, Some(holding(2, 0..1))));
    assert_eq!(script.beat("a", 3, Some(&holding(2, 0..1))).member_epoch, 4);
}

#[test]
fn a_regular_expression_is_resolved_and_follows_the_topics() {
    let script = Script::new();
    script.topics.set("tt", 2, 1);
    let request =
        joining("a", &[]).with_subscribed_topic_names(None).with_subscribed_topic_regex(Some(name("t+")));
    let joined = script.send(request);
    assert_eq!((joined.error_code, joined.member_epoch, assigned(&joined)), (0, 1, Some(Default::default())));
    let mut both = holding(1, 0..6);
    both.insert(2, [0].into());
    let resolved = script.beat("a", 1, Some(&Default::default()));
    assert_eq!((resolved.member_epoch, assigned(&resolved)), (2, Some(both)));
    // Whole names only, and not more often than every ten seconds.
    script.topics.set("xt", 3, 1);
    script.topics.set("ttt", 4, 1);
    assert_eq!(script.beat("a", 2, None).member_epoch, 2);
    script.harness.at(10_001);
    script.beat("a", 2, None);
    let more = script.beat("a", 2, None);
    assert_eq!(assigned(&more).unwrap().into_keys().collect::<Vec<_>>(), [1, 2, 4]);
    for regex in ["[", "a)(b"] {
        let bad = script.send(joining("b", &["t"]).with_subscribed_topic_regex(Some(name(regex))));
        assert_eq!(bad.error_code, code(ResponseError::InvalidRegularExpression), "{regex}");
    }
}

#[test]
fn requests_that_make_no_sense() {
    let script = Script::with(GroupSettings {
        consumer: ConsumerSettings { max_size: 1, ..ConsumerSettings::default() },
        ..GroupSettings::default()
    });
    let joins = || joining("a", &["t"]);
    for (request, error, message) in [
        (joins().with_member_id(name("")), ResponseError::InvalidRequest, "MemberId can't be empty."),
        (joins().with_group_id(name("").into()), ResponseError::InvalidRequest, "GroupId can't be empty."),
        (
            joins().with_instance_id(Some(name(""))),
            ResponseError::InvalidRequest,
            "InstanceId can't be empty.",
        ),
        (joins().with_rack_id(Some(name(""))), ResponseError::InvalidRequest, "RackId can't be empty."),
        (
            joins().with_rebalance_timeout_ms(-1),
            ResponseError::InvalidRequest,
            "RebalanceTimeoutMs must be provided in first request.",
        ),
        (
            joins().with_topic_partitions(Some(wire(&holding(1, 0..1)))),
            ResponseError::InvalidRequest,
            "TopicPartitions must be empty when (re-)joining.",
        ),
        (
            joins().with_subscribed_topic_names(None),
            ResponseError::InvalidRequest,
            "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.",
        ),
        (beating("a", -2), ResponseError::InvalidRequest, "InstanceId can't be null."),
        (beating("a", -3), ResponseError::InvalidRequest, "MemberEpoch is invalid."),
        (
            joins().with_server_assignor(Some(name("sticky"))),
            ResponseError::UnsupportedAssignor,
            "ServerAssignor sticky is not supported. Supported assignors: uniform, range.",
        ),
        (beating("a", 1), ResponseError::GroupIdNotFound, "Consumer group g not found."),
    ] {
        let response = script.send(request);
        assert_eq!((response.error_code, response.error_message.as_deref()), (code(error), Some(message)));
    }
    script.send(joins());
    let full = script.join("b", &["t"]);
    assert_eq!(full.error_code, code(ResponseError::GroupMaxSizeReached));
    assert_eq!(
        full.error_message.as_deref(),
        Some("The consumer group has reached its maximum capacity of 1 members.")
    );
}

#[test]
fn members_say_which_assignor() {
    let script = Script::new();
    script.send(joining("a", &["t"]).with_server_assignor(Some(name("range"))));
    assert_eq!(&*script.describe().assignor_name, "range");
}

#[test]
fn a_restart_changes_nothing() {
    let script = Script::new();
    script.join("a", &["t"]);
    script.join("b", &["t"]);
    script.beat("a", 1, Some(&holding(1, 0..6)));
    let before = script.describe();
    script.harness.at(20_000);
    let script = script.restart();
    assert_eq!(script.describe(), before);
    // Sessions and the time to give partitions up begin anew.
    script.harness.at(20_000 + 29_999);
    assert_eq!(script.beat("a", 1, Some(&holding(1, 0..3))).member_epoch, 2);
    assert_eq!(assigned(&script.beat("b", 2, None)), Some(holding(1, 3..6)));
    let records = script.harness.log.records().len();
    script.beat("a", 2, None);
    assert_eq!(script.harness.log.records().len(), records);
}

#[test]
fn offsets_ask_for_the_epoch_of_the_member() {
    let script = Script::new();
    script.topics.set("orders", 2, 4);
    script.join("a", &["t"]);
    for (version, member_id, generation, expected) in [
        (9, "a", 1, 0),
        (9, "a", 2, code(ResponseError::StaleMemberEpoch)),
        (9, "a", 0, code(ResponseError::StaleMemberEpoch)),
        (9, "b", 1, code(ResponseError::UnknownMemberId)),
        (9, "", -1, code(ResponseError::UnknownMemberId)),
        (8, "a", 1, code(ResponseError::UnsupportedVersion)),
    ] {
        let commit = Commit { version, member_id, generation, ..Commit::default() };
        assert_eq!(script.harness.commit(commit), expected, "{version} {member_id} {generation}");
    }
    // Clients of transactions do not know the code for epochs that are stale.
    for (member, expected) in [
        (("a", 1), None),
        (("a", 2), Some(ResponseError::IllegalGeneration)),
        (("a", 0), Some(ResponseError::IllegalGeneration)),
        (("a", -1), Some(ResponseError::IllegalGeneration)),
        (("b", 1), Some(ResponseError::UnknownMemberId)),
        (("", -1), None),
    ] {
        assert_eq!(script.harness.commit_in(7, 5, member), expected, "{member:?}");
    }
    let fetch =
        |id, epoch| script.harness.groups.fetch_offsets("g", Some((id, epoch)), None, true).map(|_| ());
    assert_eq!(fetch("a", 1), Ok(()));
    assert_eq!(fetch("a", 2), Err(ResponseError::StaleMemberEpoch));
    assert_eq!(fetch("b", 1), Err(ResponseError::UnknownMemberId));
    script.send(beating("a", -1));
    assert_eq!(script.harness.commit(Commit::default()), 0, "without members anybody may");
}

#[test]
fn the_group_is_listed_deleted_and_gives_its_name_away() {
    let script = Script::new();
    let groups = &script.harness.groups;
    script.join("a", &["t"]);
    let listed = |types: &[&str]| {
        let filter = ListFilter::new([], types.iter().copied());
        let groups = groups.list(&filter).unwrap();
        groups
            .iter()
            .map(|group| (group.group_state.to_string(), group.group_type.to_string()))
            .collect::<Vec<_>>()
    };
    assert_eq!(listed(&[]), [("Stable".to_owned(), "consumer".to_owned())]);
    assert_eq!(listed(&["classic"]), []);
    assert_eq!(groups.delete("g"), Err(ResponseError::NonEmptyGroup));
    let (_, reason) = groups.describe("g").unwrap_err();
    assert_eq!(reason, "Group g is not a classic group.");
    script.send(beating("a", -1));
    assert_eq!(groups.delete("g"), Ok(()));
    assert_eq!(listed(&[]), []);
    script.join("a", &["t"]);
    script.send(beating("a", -1));
    script.harness.stable("client");
    assert_eq!(listed(&[]), [("Stable".to_owned(), "classic".to_owned())]);
    let script = script.restart();
    assert_eq!(script.harness.state(), "Stable");
    assert_eq!(script.harness.clock.now_ms(), START);
}

#[test]
fn nothing_changes_if_the_log_does_not_take_it() {
    let script = Script::new();
    script.join("a", &["t"]);
    let before = script.describe();
    script.harness.log.fails.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(script.join("b", &["t"]).error_code, code(ResponseError::NotCoordinator));
    assert_eq!(script.send(beating("a", -1)).error_code, code(ResponseError::NotCoordinator));
    assert_eq!(script.describe(), before);
}

#[test]
fn offsets_of_subscribed_topics_stay() {
    let script = Script::new();
    script.topics.set("orders", 2, 4);
    script.join("a", &["orders"]);
    assert_eq!(script.harness.commit(Commit { member_id: "a", generation: 1, ..Commit::default() }), 0);
    let delete = || {
        let partition = OffsetDeleteRequestPartition::default().with_partition_index(0);
        let topic = OffsetDeleteRequestTopic::default()
            .with_name(name("orders").into())
            .with_partitions(vec![partition]);
        let request = OffsetDeleteRequest::default().with_group_id(name("g").into()).with_topics(vec![topic]);
        script.harness.groups.delete_offsets(&request).unwrap()[0][0]
    };
    assert_eq!(delete(), Some(ResponseError::GroupSubscribedToTopic));
    script.send(beating("a", -1));
    assert_eq!(delete(), None);
    assert_eq!(script.harness.fetch("g", "orders", 0), (-1, 0));
}

#[test]
fn offsets_expire_by_their_commits_and_the_group_goes_with_the_last() {
    const DAY_MS: i64 = 86_400_000;
    let script = Script::new();
    script.topics.set("orders", 2, 4);
    script.topics.set("payments", 3, 4);
    script.topics.settings.lock().insert("consumer.session.timeout.ms".to_owned(), 30 * DAY_MS);
    script.join("a", &["orders"]);
    for topic in ["orders", "payments"] {
        let commit = Commit { topic, member_id: "a", generation: 1, ..Commit::default() };
        assert_eq!(script.harness.commit(commit), 0);
    }
    script.harness.at(7 * DAY_MS - 1);
    assert_eq!(script.harness.fetch(GROUP, "payments", 0), (1, 0));
    script.harness.at(7 * DAY_MS + 600_000);
    assert_eq!(script.harness.fetch(GROUP, "payments", 0), (-1, 0));
    assert_eq!(script.harness.fetch(GROUP, "orders", 0), (1, 0), "it is read");
    // From its commit on, other than in a classic group, where it would be from now on.
    script.send(beating("a", -1));
    assert_eq!(script.harness.fetch(GROUP, "orders", 0), (1, 0));
    script.harness.at(7 * DAY_MS + 1_200_000);
    assert_eq!(script.harness.fetch(GROUP, "orders", 0), (-1, 0));
    let listed = |script: &Script| script.harness.groups.list(&ListFilter::default()).unwrap().len();
    assert_eq!(listed(&script), 0);
    let script = script.restart();
    assert_eq!(listed(&script), 0, "every record of it has its tombstone");
}

#[test]
fn an_empty_group_without_offsets_goes_at_the_next_check() {
    let script = Script::new();
    script.join("a", &["t"]);
    script.send(beating("a", -1));
    script.harness.at(599_999);
    assert_eq!(script.state(), "Empty");
    script.harness.at(600_000);
    assert_eq!(script.describe().error_code, code(ResponseError::GroupIdNotFound));
    assert_eq!(script.restart().describe().error_code, code(ResponseError::GroupIdNotFound));
}
