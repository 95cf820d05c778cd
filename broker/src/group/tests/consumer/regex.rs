//! Regular expressions are resolved beside the heartbeats.

use super::{Script, assigned, beating, holding, joining};
use crate::group::tests::name;
use kafka_protocol::messages::ConsumerGroupHeartbeatRequest;
use milena_protocol::stored::group::GroupRecord;

fn asking(id: &str, regex: &str) -> ConsumerGroupHeartbeatRequest {
    joining(id, &[]).with_subscribed_topic_names(None).with_subscribed_topic_regex(Some(name(regex)))
}

#[test]
fn heartbeats_are_answered_with_the_assignment_so_far() {
    let script = Script::new();
    script.topics.set("u", 2, 1);
    let joined = script.answer(asking("a", "t|u"));
    assert_eq!((joined.error_code, joined.member_epoch), (0, 1));
    assert_eq!(assigned(&joined), Some(Default::default()));
    for _ in 0..3 {
        let beat = script.answer(beating("a", 1));
        assert_eq!((beat.error_code, beat.member_epoch, assigned(&beat)), (0, 1, None));
    }
    script.harness.groups.resolve_waiting();
    let mut both = holding(1, 0..6);
    both.insert(2, [0].into());
    let told = script.answer(beating("a", 1));
    assert_eq!((told.member_epoch, assigned(&told)), (2, Some(both)));
    let records = script.harness.log.records().len();
    script.harness.groups.resolve_waiting();
    assert_eq!(script.harness.log.records().len(), records, "it was asked for once");
}

/// What it reads is not known yet, so there is nothing to assign anew.
#[test]
fn who_joins_by_a_new_expression_or_for_nothing_does_not_move_the_group() {
    for (case, request, resolves) in
        [("an expression", asking("b", "t|u"), true), ("no topics", joining("b", &[]), false)]
    {
        let script = Script::new();
        script.topics.set("u", 2, 1);
        assert_eq!(script.join("a", &["t"]).member_epoch, 1, "{case}");
        let records = script.harness.log.records().len();
        let joined = script.answer(request);
        assert_eq!((joined.error_code, joined.member_epoch), (0, 1), "{case}");
        assert_eq!(assigned(&joined), Some(Default::default()), "{case}");
        assert_eq!(script.harness.log.records().len(), records + 2, "{case}: what it says, what it holds");
        script.harness.groups.resolve_waiting();
        let beat = script.answer(beating("b", 1));
        let expected = if resolves { (2, Some(holding(2, 0..1))) } else { (1, None) };
        assert_eq!((beat.member_epoch, assigned(&beat)), expected, "{case}: all of t is in other hands");
        assert_eq!(script.describe().group_epoch, expected.0, "{case}");
    }
}

/// By the member itself, or by a client of the classic protocol that takes its place.
#[test]
fn an_expression_that_nobody_asks_for_any_more_is_gone() {
    let as_instance = |request: ConsumerGroupHeartbeatRequest| request.with_instance_id(Some(name("i")));
    for (case, is_cleared, topics) in
        [("cleared", true, Some("u")), ("replaced", false, Some("t")), ("nothing left", true, None)]
    {
        let script = Script::new();
        script.topics.set("u", 2, 1);
        script.send(as_instance(asking("a", "t|u")));
        assert_eq!(script.send(beating("a", 1)).member_epoch, 2, "{case}");
        if is_cleared {
            let names = topics.iter().map(|topic| name(topic).into()).collect();
            let turned = beating("a", 2)
                .with_subscribed_topic_names(Some(names))
                .with_subscribed_topic_regex(Some(name("")))
                .with_topic_partitions(Some(Vec::new()));
            assert_eq!(script.send(turned).member_epoch, 3, "{case}");
        } else {
            let joined = script.join_classic_as("i", 0..0);
            assert_eq!((joined.error_code, joined.generation_id), (0, 3), "{case}");
        }
        let is_tombstone =
            |record: &GroupRecord| matches!(record, GroupRecord::ConsumerGroupRegularExpression(_, None));
        let tombstones =
            script.harness.log.records().iter().filter(|(_, record)| is_tombstone(record)).count();
        assert_eq!(tombstones, 1, "{case}");
        if is_cleared {
            let target = script.describe().members.remove(0).target_assignment.topic_partitions;
            let expected: Vec<u128> = topics.iter().map(|_| 2).collect();
            let target: Vec<u128> = target.iter().map(|topic| topic.topic_id.as_u128()).collect();
            assert_eq!(target, expected, "{case}");
        }
    }
}

#[test]
fn what_is_found_for_nobody_is_dropped() {
    for (case, and_then) in [("the group is gone", "leave"), ("the member has turned to another", "turn")] {
        let script = Script::new();
        script.topics.set("u", 2, 1);
        script.answer(asking("a", "t"));
        if and_then == "leave" {
            assert_eq!(script.answer(beating("a", -1)).error_code, 0);
        } else {
            let turned = beating("a", 1).with_subscribed_topic_regex(Some(name("u")));
            assert_eq!(script.answer(turned).error_code, 0);
        }
        script.harness.groups.resolve_waiting();
        if and_then == "leave" {
            assert_eq!(script.state(), "Empty", "{case}");
        } else {
            let told = script.answer(beating("a", 1));
            assert_eq!(assigned(&told).map(|held| held.into_keys().collect()), Some(vec![2]), "{case}");
        }
    }
}

#[test]
fn expressions_are_resolved_again_for_new_topics_and_when_they_are_old() {
    const REFRESH_MS: i64 = 600_000;
    // ms that pass, a jump of the wall clock, a new topic, whether the expressions are looked at again
    for (passed, jump, comes, again) in [
        (10_000, 0, true, false),
        (10_001, 0, true, true),
        (10_001, 0, false, false),
        (REFRESH_MS, 0, false, false),
        (REFRESH_MS + 1, 0, false, true),
        // A time of the future says nothing.
        (1, -3_600_000, false, true),
    ] {
        let script = Script::new();
        script.send(asking("a", "t.*"));
        let mut epoch = script.send(beating("a", 1)).member_epoch;
        let mut time = 0;
        while time < passed {
            let step = 10_000.min(passed - time);
            script.harness.pass(step);
            time += step;
            epoch = if time < passed { script.send(beating("a", epoch)).member_epoch } else { epoch };
        }
        if comes {
            script.topics.set("t2", 2, 1);
        }
        script.harness.clock.jump(jump);
        let records = script.harness.log.records().len();
        assert_eq!(script.answer(beating("a", epoch)).member_epoch, epoch);
        script.harness.groups.resolve_waiting();
        let resolved = script.harness.log.records().len() > records;
        assert_eq!(resolved, again, "{passed} ms, jump {jump}, new topic: {comes}");
        let told = script.answer(beating("a", epoch));
        assert_eq!(assigned(&told).is_some(), comes && again, "{passed} ms, jump {jump}");
    }
}
