//! What members subscribe to, and what that is for the group.

use super::{Script, assigned, beating, holding, joining, wire};
use crate::api::consumer_group_heartbeat;
use crate::group::consumer::heartbeat::Sender;
use crate::group::tests::{GROUP, code, name};
use kafka_protocol::ResponseError;
use milena_protocol::records::{BatchBuilder, NO_PRODUCER_EPOCH, NO_PRODUCER_ID};
use milena_protocol::stored::group::{ConsumerGroupPartitionMetadataValue, GroupRecord, group_partition};
use uuid::Uuid;

fn topics(names: &[&str]) -> Option<Vec<kafka_protocol::messages::TopicName>> {
    Some(names.iter().map(|topic| name(topic).into()).collect())
}

#[test]
fn a_member_that_changes_its_topics_has_the_group_assigned_anew() {
    let script = Script::new();
    script.topics.set("u", 2, 2);
    script.join("a", &["t"]);
    let both = script.send(beating("a", 1).with_subscribed_topic_names(topics(&["t", "u"])));
    let mut all = holding(1, 0..6);
    all.insert(2, [0, 1].into());
    assert_eq!((both.member_epoch, assigned(&both)), (2, Some(all.clone())));
    // The same once more is no news.
    let records = script.harness.log.records().len();
    let same = script.send(beating("a", 2).with_subscribed_topic_names(topics(&["u", "t"])));
    assert_eq!((same.member_epoch, assigned(&same)), (2, None));
    assert_eq!(script.harness.log.records().len(), records);
    let one = script.send(
        beating("a", 2).with_subscribed_topic_names(topics(&["u"])).with_topic_partitions(Some(wire(&all))),
    );
    assert_eq!(assigned(&one), Some(holding(2, 0..2)), "what it has dropped goes first");
    let done = script.beat("a", one.member_epoch, Some(&holding(2, 0..2)));
    assert_eq!((done.member_epoch, script.state().as_str()), (3, "Stable"));
}

#[test]
fn a_heartbeat_that_says_everything_is_told_everything() {
    let script = Script::new();
    script.join("a", &["t"]);
    let full = || {
        beating("a", 1)
            .with_rebalance_timeout_ms(30_000)
            .with_subscribed_topic_names(topics(&["t"]))
            .with_topic_partitions(Some(wire(&holding(1, 0..6))))
    };
    for (case, request, told) in [
        ("all of it", full(), Some(holding(1, 0..6))),
        ("no timeout", full().with_rebalance_timeout_ms(-1), None),
        ("no topics", full().with_subscribed_topic_names(None), None),
        ("no partitions", full().with_topic_partitions(None), None),
        ("nothing", beating("a", 1), None),
    ] {
        let answer = script.send(request);
        assert_eq!((answer.member_epoch, assigned(&answer)), (1, told), "{case}");
    }
}

#[test]
fn who_is_not_a_member_has_no_epoch_and_who_joins_without_an_id_is_given_one() {
    let script = Script::new();
    script.join("a", &["t"]);
    for epoch in [-1, 1, 2] {
        let unknown = script.send(beating("b", epoch));
        assert_eq!(unknown.error_code, code(ResponseError::UnknownMemberId), "{epoch}");
    }
    let sender = Sender { client_id: "c".to_owned(), client_host: "/127.0.0.1".to_owned() };
    let answer = |version, unique| {
        let request = joining("", &["t"]);
        let groups = &script.harness.groups;
        consumer_group_heartbeat::answer(groups, version, &sender, Uuid::from_u128(unique), request)
    };
    assert_eq!(answer(1, 8).error_code, code(ResponseError::InvalidRequest));
    let (first, second) = (answer(0, 8), answer(0, 9));
    assert_eq!((first.error_code, second.error_code), (0, 0));
    assert!(first.member_id != second.member_id && first.member_id.is_some_and(|id| id.len() == 22));
}

#[test]
fn the_assignor_is_the_one_that_most_members_ask_for() {
    let script = Script::new();
    let (range, uniform) = (Some("range"), Some("uniform"));
    for (member, assignor, expected) in [
        ("a", None, "uniform"),
        ("b", range, "range"),
        ("c", uniform, "uniform"),
        ("d", range, "range"),
        ("e", None, "range"),
        ("d", uniform, "uniform"),
    ] {
        let joins = joining(member, &["t"]).with_server_assignor(assignor.map(name));
        assert_eq!(script.send(joins).error_code, 0);
        assert_eq!(&*script.describe().assignor_name, expected, "{member} {assignor:?}");
    }
}

/// Whatever comes between: a group compares until it has stored what it found.
#[test]
fn a_change_of_the_topics_is_not_missed() {
    let wide = (2, Some(holding(1, 0..8)));
    let beat = |script: &Script| {
        let answer = script.beat("a", 1, None);
        (answer.member_epoch, assigned(&answer))
    };

    let script = Script::new();
    script.join("a", &["t"]);
    script.topics.set("t", 1, 8);
    script.harness.log.refuse_after(0);
    assert_eq!(script.beat("a", 1, None).error_code, code(ResponseError::NotCoordinator));
    script.harness.log.take_all();
    assert_eq!(beat(&script), wide, "the log did not take it at first");

    let script = Script::new();
    script.join("a", &["t"]);
    *script.topics.after_a_look.lock() = Some(("t", 1, 8));
    assert_eq!(beat(&script), (1, None));
    assert_eq!(beat(&script), wide, "it came during a heartbeat");
}

/// Kafka before 4.1 kept the partition counts of the topics in a record, in place of the hash.
#[test]
fn what_an_earlier_kafka_kept_of_the_topics_goes_with_the_first_heartbeat() {
    let script = Script::new();
    script.join("a", &["t"]);
    let kept = ConsumerGroupPartitionMetadataValue::default();
    let record = GroupRecord::ConsumerGroupPartitionMetadata(GROUP.to_owned(), Some(kept));
    let (key, value) = record.encode().unwrap();
    let mut builder = BatchBuilder::new().producer(NO_PRODUCER_ID, NO_PRODUCER_EPOCH, 0);
    builder.append(0, Some(&key), value.as_deref(), &[]);
    script.harness.log.append(group_partition(GROUP, 3), &builder.build().unwrap()).unwrap();
    let script = script.restart();
    let tombstones = |script: &Script| {
        let is_one = |record: &GroupRecord| matches!(record, GroupRecord::ConsumerGroupPartitionMetadata(id, None) if id == GROUP);
        script.harness.log.records().iter().filter(|(_, record)| is_one(record)).count()
    };
    assert_eq!(tombstones(&script), 0);
    for _ in 0..2 {
        assert_eq!(script.beat("a", 1, None).error_code, 0);
        assert_eq!(tombstones(&script), 1);
    }
}

/// Kafka balances groups whose members all say the same in another way than the others, whatever topics that comes to.
#[test]
fn equal_subscriptions_are_those_that_say_the_same() {
    let names = |id: &str, topics: &[&str]| joining(id, topics);
    let regex = |id: &str, regex: &str| {
        joining(id, &[]).with_subscribed_topic_names(None).with_subscribed_topic_regex(Some(name(regex)))
    };
    for (case, a, b, equal) in [
        ("the same names", names("a", &["t", "u"]), names("b", &["u", "t"]), true),
        ("a topic that is not there", names("a", &["t", "u"]), names("b", &["t", "u", "gone"]), false),
        ("the same expression", regex("a", "t|u"), regex("b", "t|u"), true),
        ("other expressions for the same", regex("a", "t|u"), regex("b", "u|t"), false),
        ("an expression and names", regex("a", "t|u"), names("b", &["t", "u"]), false),
        (
            "an expression and names of both",
            names("a", &["t", "u"]).with_subscribed_topic_regex(Some(name("t|u"))),
            names("b", &["t", "u"]).with_subscribed_topic_regex(Some(name("t|u"))),
            false,
        ),
    ] {
        let script = Script::new();
        script.topics.set("u", 2, 6);
        script.send(a);
        // What its expression stands for is known by then, and all of it is its own.
        script.send(beating("a", 1));
        script.send(b);
        script.harness.pass(10_001);
        for (id, epoch) in [("a", 1), ("a", 2), ("b", 2), ("b", 3)] {
            script.send(beating(id, epoch));
        }
        let group = script.describe();
        let target = |id: &str| -> Vec<u128> {
            let member = group.members.iter().find(|member| &*member.member_id == id).unwrap();
            let topics = &member.target_assignment.topic_partitions;
            topics.iter().map(|topic| topic.topic_id.as_u128()).collect()
        };
        // Equal ones keep what comes first, the others give it away.
        let expected = if equal { (vec![1], vec![2]) } else { (vec![2], vec![1]) };
        assert_eq!((target("a"), target("b")), expected, "{case}");
    }
}
