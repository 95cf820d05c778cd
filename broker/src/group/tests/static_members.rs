//! Members with a `group.instance.id` (KIP-345, KIP-814).

use super::{Harness, Join, code, now, waiting};
use kafka_protocol::ResponseError;

const STATIC: Join<'_> = Join {
    version: 9,
    group: super::GROUP,
    client_id: "client",
    member_id: "",
    instance_id: Some("i"),
    session_ms: super::SESSION_MS,
    rebalance_ms: super::REBALANCE_MS,
    protocol_type: "consumer",
    protocols: &[("range", super::ORDERS)],
};

fn stable(harness: &Harness) -> String {
    let joined = now(harness.join(STATIC));
    assert_eq!((joined.error_code, joined.generation_id), (0, 1), "no round trip for an id");
    let id = joined.member_id.to_string();
    assert!(id.starts_with("i-"), "{id}");
    now(harness.sync(&id, 1, &[(&id, b"all")]));
    id
}

#[test]
fn a_static_member_comes_back_without_a_rebalance() {
    let harness = Harness::new();
    let old = stable(&harness);
    let back = now(harness.join(STATIC));
    let new = back.member_id.to_string();
    assert_ne!(new, old);
    assert_eq!((back.error_code, back.generation_id), (0, 1));
    assert_eq!((&*back.leader, back.skip_assignment, back.members.len()), (new.as_str(), true, 1));
    assert_eq!(harness.state(), "Stable");
    assert_eq!(&now(harness.sync(&new, 1, &[])).assignment[..], b"all", "the assignment is inherited");
    assert_eq!(harness.heartbeat_as(&old, Some("i"), 1), code(ResponseError::FencedInstanceId));
    assert_eq!(harness.heartbeat(&old, 1), code(ResponseError::UnknownMemberId));
    assert_eq!(harness.heartbeat_as(&new, Some("i"), 1), 0);
}

#[test]
fn clients_before_version_9_take_themselves_for_followers() {
    let harness = Harness::new();
    let old = stable(&harness);
    let back = now(harness.join(Join { version: 8, ..STATIC }));
    assert_eq!((&*back.leader, back.skip_assignment, back.members.len()), (old.as_str(), false, 0));
}

#[test]
fn a_static_member_that_changes_the_protocol_rebalances() {
    let harness = Harness::new();
    stable(&harness);
    let protocols: &[(&str, &[u8])] = &[("sticky", b"")];
    let refused = now(harness.join(Join { protocols, ..STATIC }));
    assert_eq!(refused.error_code, code(ResponseError::InconsistentGroupProtocol));
    let protocols: &[(&str, &[u8])] = &[("sticky", b""), ("range", b"")];
    let back = now(harness.join(Join { protocols, ..STATIC }));
    assert_eq!((back.error_code, back.generation_id, back.skip_assignment), (0, 2, false));
    assert_eq!(back.protocol_name.as_deref(), Some("sticky"));
}

#[test]
fn the_old_incarnation_is_fenced_wherever_it_waits() {
    let harness = Harness::new();
    let id = stable(&harness);
    // An id that does not come back holds the rebalance up until its session ends.
    now(harness.join(Join { version: 4, ..Join::default() }));
    let waits = waiting(harness.join(Join { member_id: &id, ..STATIC }));
    let back = waiting(harness.join(STATIC));
    assert_eq!(now(waits).error_code, code(ResponseError::FencedInstanceId));
    harness.at(i64::from(super::SESSION_MS));
    assert_eq!(now(back).generation_id, 2);
}

#[test]
fn a_static_member_that_is_replaced_while_the_leader_assigns_rebalances() {
    let harness = Harness::new();
    let first = harness.stable("a");
    let joining = waiting(harness.join(STATIC));
    now(harness.join(Join { member_id: &first, ..Join::default() }));
    let old = now(joining).member_id.to_string();
    let sync = waiting(harness.sync(&old, 2, &[]));
    let back = waiting(harness.join(STATIC));
    assert_eq!(now(sync).error_code, code(ResponseError::FencedInstanceId));
    assert_eq!(harness.heartbeat(&first, 2), code(ResponseError::RebalanceInProgress));
    now(harness.join(Join { member_id: &first, ..Join::default() }));
    assert_eq!(now(back).generation_id, 3);
}

/// It waits for the others as long as they may take, longer than its session.
#[test]
fn a_static_member_that_is_replaced_in_its_first_join_waits_for_the_others() {
    let harness = Harness::new();
    let first = harness.stable("a");
    let _gone = waiting(harness.join(STATIC));
    let back = waiting(harness.join(STATIC));
    for second in [9, 18, 27] {
        harness.at(second * 1000);
        assert_eq!(harness.heartbeat(&first, 1), code(ResponseError::RebalanceInProgress));
    }
    let back = waiting(back);
    now(harness.join(Join { member_id: &first, ..Join::default() }));
    let back = now(back);
    assert_eq!((back.error_code, back.generation_id), (0, 2));
}

#[test]
fn a_takeover_that_cannot_be_stored_leaves_the_old_member_in_place() {
    let harness = Harness::new();
    let old = stable(&harness);
    harness.log.fails.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(now(harness.join(STATIC)).error_code, code(ResponseError::NotCoordinator));
    harness.log.fails.store(false, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(harness.heartbeat_as(&old, Some("i"), 1), 0);
    assert_eq!(&now(harness.sync(&old, 1, &[])).assignment[..], b"all");
    harness.at(i64::from(super::SESSION_MS));
    assert_eq!(harness.state(), "Empty", "its session goes on");
}

#[test]
fn requests_of_a_replaced_member_are_fenced() {
    let harness = Harness::new();
    let old = stable(&harness);
    now(harness.join(STATIC));
    let fenced = code(ResponseError::FencedInstanceId);
    assert_eq!(now(harness.join(Join { member_id: &old, ..STATIC })).error_code, fenced);
    assert_eq!(harness.leave(&[(&old, Some("i"))]).members[0].error_code, fenced);
}

#[test]
fn an_administrator_removes_a_static_member_by_its_instance_id() {
    let harness = Harness::new();
    stable(&harness);
    assert_eq!(harness.leave(&[("", Some("i"))]).members[0].error_code, 0);
    assert_eq!(harness.state(), "Empty");
}
