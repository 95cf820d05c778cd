//! A log that takes nothing for a while: nobody gets away because of it.

use super::{Script, beating, holding, joining};
use crate::group::tests::{REBALANCE_MS, SESSION_MS, code, name};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::ConsumerGroupHeartbeatRequest;

/// What a member has for its session when nothing is set.
const CONSUMER_SESSION_MS: i64 = 45_000;
/// Until a deadline that could not be acted upon is tried again.
const RETRY_MS: i64 = 500;

/// Brings a group to where a deadline runs; its length in ms.
type Begin<'a> = &'a dyn Fn(&Script) -> i64;

fn as_instance(request: ConsumerGroupHeartbeatRequest) -> ConsumerGroupHeartbeatRequest {
    request.with_instance_id(Some(name("i")))
}

impl Script {
    /// Lets time pass while the log takes nothing.
    fn pass_in_vain(&self, ms: i64) {
        self.harness.log.refuse_after(0);
        self.harness.pass(ms);
        self.harness.log.take_all();
    }

    fn members(&self) -> usize {
        self.describe().members.len()
    }
}

#[test]
fn a_deadline_that_cannot_be_stored_is_tried_again() {
    let silent = |script: &Script| {
        script.join("a", &["t"]);
        CONSUMER_SESSION_MS
    };
    let keeps_its_partitions = |script: &Script| {
        script.join("a", &["t"]);
        script.join("b", &["t"]);
        script.beat("a", 1, None);
        30_000
    };
    let could_not_give_up = |script: &Script| {
        let in_time = keeps_its_partitions(script);
        script.harness.log.refuse_after(0);
        let refused = script.beat("a", 1, Some(&holding(1, 0..3)));
        assert_eq!(refused.error_code, code(ResponseError::NotCoordinator));
        script.harness.log.take_all();
        in_time
    };
    let owes_a_sync = |script: &Script| {
        script.join("b", &["t"]);
        let id = script.join_classic("", 0..0).member_id.to_string();
        script.join_classic(&id, 0..0);
        script.harness.heartbeat(&id, 2);
        script.harness.pass(i64::from(SESSION_MS) - 1);
        script.harness.heartbeat(&id, 2);
        i64::from(SESSION_MS)
    };
    let cases: [(&str, Begin<'_>); 4] = [
        ("a session", &silent),
        ("partitions to give up", &keeps_its_partitions),
        ("partitions that it could not give up", &could_not_give_up),
        ("a session of a classic member", &owes_a_sync),
    ];
    for (case, begin) in cases {
        let script = Script::new();
        let in_time = begin(&script);
        let before = script.members();
        script.harness.pass(in_time - 1);
        script.pass_in_vain(1);
        script.pass_in_vain(RETRY_MS);
        assert_eq!(script.members(), before, "{case}");
        script.harness.pass(RETRY_MS - 1);
        assert_eq!(script.members(), before, "{case}");
        script.harness.pass(1);
        assert_eq!(script.members(), before - 1, "{case}");
    }
}

#[test]
fn a_classic_member_that_owes_a_request_is_out_when_that_can_be_stored() {
    let script = Script::new();
    script.join("new", &["t"]);
    let id = script.join_classic("", 0..0).member_id.to_string();
    script.join_classic(&id, 0..0);
    script.beat("new", 1, None);
    assert_eq!(script.beat("new", 1, Some(&holding(1, 0..3))).member_epoch, 2);
    let mut passed = 0;
    while passed + 6_000 < i64::from(REBALANCE_MS) {
        passed += 6_000;
        script.harness.pass(6_000);
        script.harness.heartbeat(&id, 2);
        script.beat("new", 2, None);
    }
    script.pass_in_vain(i64::from(REBALANCE_MS) - passed);
    assert_eq!(script.members(), 2);
    // Heartbeats prolong its session, and not this.
    script.harness.heartbeat(&id, 2);
    script.harness.pass(RETRY_MS);
    assert_eq!(script.members(), 1);
}

/// A client that hears of the failure may stay, and one that says nothing more has its time.
#[test]
fn who_could_not_leave_has_its_session() {
    let script = Script::new();
    script.join("a", &["t"]);
    script.harness.log.refuse_after(0);
    assert_eq!(script.send(beating("a", -1)).error_code, code(ResponseError::NotCoordinator));
    script.harness.log.take_all();
    script.harness.pass(CONSUMER_SESSION_MS - 1);
    assert_eq!(script.members(), 1);
    script.harness.pass(1);
    assert_eq!(script.members(), 0);
}

#[test]
fn a_static_member_that_could_not_be_replaced_has_its_session() {
    for takes in [0, 1] {
        let script = Script::new();
        script.send(as_instance(joining("a", &["t"])));
        script.send(as_instance(beating("a", -2)));
        script.harness.log.refuse_after(takes);
        let refused = script.send(as_instance(joining("b", &["t", "u"])));
        script.harness.log.take_all();
        if takes == 0 {
            assert_eq!(refused.error_code, code(ResponseError::NotCoordinator));
        }
        script.harness.pass(CONSUMER_SESSION_MS - 1);
        assert_eq!(script.members(), 1, "{takes}");
        script.harness.pass(1);
        assert_eq!(script.members(), 0, "{takes}");
    }
}

#[test]
fn a_static_member_that_a_classic_one_could_not_replace_has_its_session() {
    for takes in [0, 1] {
        let script = Script::new();
        script.send(as_instance(joining("a", &["t"])));
        script.join("b", &["t"]);
        script.harness.log.refuse_after(takes);
        script.join_classic_as("i", 0..0);
        script.harness.log.take_all();
        script.harness.pass(CONSUMER_SESSION_MS - 1);
        script.beat("b", 2, None);
        script.harness.pass(1);
        assert_eq!(script.members(), 1, "{takes}");
    }
}
