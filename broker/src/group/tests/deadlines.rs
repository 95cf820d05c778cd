//! Sessions, rebalances and syncs that take too long.

use super::{Harness, Join, REBALANCE_MS, SESSION_MS, START, code, now, poll, waiting};
use crate::group::GroupSettings;
use kafka_protocol::ResponseError;

#[test]
fn a_silent_member_is_out_and_heartbeats_prolong_a_session() {
    let harness = Harness::new();
    let id = harness.stable("a");
    for step in 1..=10 {
        harness.at(step * (i64::from(SESSION_MS) - 1));
        assert_eq!(harness.heartbeat(&id, 1), 0);
    }
    let last = 10 * (i64::from(SESSION_MS) - 1);
    harness.at(last + i64::from(SESSION_MS) - 1);
    assert_eq!(harness.state(), "Stable");
    harness.at(last + i64::from(SESSION_MS));
    assert_eq!(harness.state(), "Empty");
    assert_eq!(harness.heartbeat(&id, 1), code(ResponseError::UnknownMemberId));
}

#[test]
fn committing_prolongs_a_session_too() {
    let harness = Harness::new();
    let id = harness.stable("a");
    harness.at(9_000);
    assert_eq!(
        harness.commit(super::Commit { member_id: &id, generation: 1, ..super::Commit::default() }),
        0
    );
    harness.at(18_999);
    assert_eq!(harness.state(), "Stable");
    harness.at(19_000);
    assert_eq!(harness.state(), "Empty");
}

#[test]
fn an_id_that_does_not_come_back_is_forgotten_and_holds_nobody_up_longer() {
    let harness = Harness::new();
    let first = harness.stable("a");
    let pending = now(harness.join(Join::default())).member_id.to_string();
    let again = waiting(harness.join(Join { member_id: &first, ..Join::default() }));
    harness.at(i64::from(SESSION_MS) - 1);
    let again = waiting(again);
    harness.at(i64::from(SESSION_MS));
    assert_eq!(now(again).generation_id, 2);
    let late = now(harness.join(Join { member_id: &pending, ..Join::default() }));
    assert_eq!(late.error_code, code(ResponseError::UnknownMemberId));
}

#[test]
fn members_that_do_not_join_again_in_time_are_out() {
    let harness = Harness::new();
    // The session outlasts the rebalance, so that only the latter can end it.
    let first = now(harness.join(Join { version: 3, session_ms: 1_000_000, ..Join::default() }));
    now(harness.sync(&first.member_id, 1, &[]));
    let joining = waiting(harness.join(Join { version: 3, session_ms: 1_000_000, ..Join::default() }));
    harness.at(i64::from(REBALANCE_MS) - 1);
    let joining = waiting(joining);
    harness.at(i64::from(REBALANCE_MS));
    let joined = now(joining);
    assert_eq!((joined.generation_id, joined.members.len()), (2, 1));
    assert_eq!(joined.leader, joined.member_id, "the leader that did not come has a successor");
    assert_eq!(harness.heartbeat(&first.member_id, 1), code(ResponseError::UnknownMemberId));
}

#[test]
fn members_that_do_not_sync_in_time_are_out() {
    let harness = Harness::new();
    let first = now(harness.join(Join { version: 3, session_ms: 1_000_000, ..Join::default() }));
    now(harness.sync(&first.member_id, 1, &[]));
    let second = harness.join(Join { version: 3, session_ms: 1_000_000, ..Join::default() });
    let first_id = first.member_id.to_string();
    now(harness.join(Join { version: 3, member_id: &first_id, session_ms: 1_000_000, ..Join::default() }));
    let second = now(second).member_id.to_string();
    let follower = waiting(harness.sync(&second, 2, &[]));
    harness.at(i64::from(REBALANCE_MS) - 1);
    let follower = waiting(follower);
    harness.at(i64::from(REBALANCE_MS));
    assert_eq!(now(follower).error_code, code(ResponseError::RebalanceInProgress));
    assert_eq!(harness.heartbeat(&first_id, 2), code(ResponseError::UnknownMemberId));
    let joined =
        now(harness.join(Join { version: 3, member_id: &second, session_ms: 1_000_000, ..Join::default() }));
    assert_eq!((joined.generation_id, joined.members.len()), (3, 1));
}

#[test]
fn a_new_member_waits_no_longer_than_five_minutes() {
    let harness = Harness::new();
    let first = now(harness.join(Join {
        version: 3,
        session_ms: 1_800_000,
        rebalance_ms: 1_800_000,
        ..Join::default()
    }));
    now(harness.sync(&first.member_id, 1, &[]));
    let mut joining = waiting(harness.join(Join { version: 3, ..Join::default() }));
    harness.at(299_999);
    assert!(poll(&mut joining).is_none());
    harness.at(300_000);
    assert_eq!(now(joining).error_code, code(ResponseError::UnknownMemberId));
}

#[test]
fn the_first_rebalance_waits_for_more_members_while_they_come() {
    let settings = GroupSettings { initial_rebalance_delay_ms: 3_000, ..GroupSettings::default() };
    let harness = Harness::with(settings);
    let (_, first) = harness.enter("a");
    let first = waiting(first);
    harness.at(2_000);
    let (_, second) = harness.enter("b");
    harness.at(3_000);
    let second = waiting(second);
    harness.at(5_999);
    let first = waiting(first);
    harness.at(6_000);
    assert_eq!((now(first).generation_id, now(second).generation_id), (1, 1));
}

#[test]
fn the_first_rebalance_ends_at_the_rebalance_timeout_though_members_keep_coming() {
    let settings = GroupSettings { initial_rebalance_delay_ms: 3_000, ..GroupSettings::default() };
    let harness = Harness::with(settings);
    let (_, first) = harness.enter("a");
    let mut first = waiting(first);
    let mut others = Vec::new();
    for second in 0..60 {
        harness.at(second * 1_000);
        assert!(poll(&mut first).is_none(), "after {second} s");
        others.push(harness.enter(&format!("b{second}")));
    }
    harness.at(60_000);
    assert_eq!(now(first).members.len(), 61);
}

#[test]
fn a_static_member_keeps_its_place_until_its_session_ends() {
    let harness = Harness::new();
    let first = now(harness.join(Join { instance_id: Some("i"), session_ms: 100_000, ..Join::default() }));
    now(harness.sync(&first.member_id, 1, &[]));
    let joining = waiting(harness.join(Join { version: 3, ..Join::default() }));
    harness.at(i64::from(REBALANCE_MS));
    let joined = now(joining);
    assert_eq!((joined.generation_id, joined.members.len()), (2, 2), "late, but still a member");
    assert_eq!(joined.leader, joined.member_id);
}

#[test]
fn the_next_deadline_is_published() {
    let harness = Harness::new();
    let id = harness.stable("a");
    assert_eq!(harness.groups.tick(START), Some(START + i64::from(SESSION_MS)));
    harness.clock.set(START + 4_000);
    harness.heartbeat(&id, 1);
    // The old time may be looked at once more, but is not acted on.
    assert_eq!(harness.groups.tick(START + 10_000), Some(START + 14_000));
    assert_eq!(harness.state(), "Stable");
}
