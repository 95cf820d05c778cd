//! Dynamic members: join, sync, heartbeat, leave.

use super::{GROUP, Harness, Join, code, now, waiting};
use crate::group::GroupSettings;
use kafka_protocol::ResponseError;

#[test]
fn one_member_gets_an_id_a_generation_and_its_assignment() {
    let harness = Harness::new();
    let id = harness.stable("app");
    assert!(id.starts_with("app-"), "{id}");
    assert_eq!(harness.state(), "Stable");
    assert_eq!(harness.heartbeat(&id, 1), 0);
    let described = harness.groups.describe(GROUP).unwrap();
    assert_eq!((&*described.protocol_type, &*described.protocol_data), ("consumer", "range"));
    let member = &described.members[0];
    assert_eq!((&*member.client_id, &*member.client_host), ("app", "/127.0.0.1"));
    assert_eq!(
        (&member.member_metadata[..], &member.member_assignment[..]),
        (super::ORDERS, b"all".as_slice())
    );
}

#[test]
fn clients_before_version_4_join_at_once() {
    let harness = Harness::new();
    for version in 0..4 {
        let group = format!("old-{version}");
        let joined = now(harness.join(Join { version, group: &group, ..Join::default() }));
        assert_eq!((joined.error_code, joined.generation_id), (0, 1), "version {version}");
        assert_eq!(joined.leader, joined.member_id);
        assert_eq!(joined.members.len(), 1);
    }
}

#[test]
fn a_second_member_makes_the_first_join_again() {
    let harness = Harness::new();
    let first = harness.stable("a");
    let (second, joining) = harness.enter("b");
    let joining = waiting(joining);
    assert_eq!(harness.state(), "PreparingRebalance");
    assert_eq!(harness.heartbeat(&first, 1), code(ResponseError::RebalanceInProgress));
    assert_eq!(now(harness.sync(&first, 1, &[])).error_code, code(ResponseError::RebalanceInProgress));

    let led = now(harness.join(Join { member_id: &first, ..Join::default() }));
    let followed = now(joining);
    assert_eq!((led.generation_id, followed.generation_id), (2, 2));
    assert_eq!((&*led.leader, &*followed.leader), (first.as_str(), first.as_str()));
    assert_eq!((led.members.len(), followed.members.len()), (2, 0), "the leader alone sees the members");

    // Heartbeats are fine while the leader thinks.
    assert_eq!(harness.state(), "CompletingRebalance");
    assert_eq!(harness.heartbeat(&second, 2), 0);
    let follower = waiting(harness.sync(&second, 2, &[]));
    let leader = now(harness.sync(&first, 2, &[(&first, b"0,1"), (&second, b"2,3")]));
    assert_eq!(
        (&leader.assignment[..], &now(follower).assignment[..]),
        (b"0,1".as_slice(), b"2,3".as_slice())
    );
    assert_eq!(harness.state(), "Stable");
    // The assignment can be asked for again.
    assert_eq!(&now(harness.sync(&second, 2, &[])).assignment[..], b"2,3");
}

#[test]
fn a_member_that_the_leader_forgot_gets_nothing() {
    let harness = Harness::new();
    let first = harness.stable("a");
    let (second, joining) = harness.enter("b");
    now(harness.join(Join { member_id: &first, ..Join::default() }));
    now(joining);
    let follower = waiting(harness.sync(&second, 2, &[]));
    now(harness.sync(&first, 2, &[(&first, b"all"), ("stranger", b"none")]));
    let follower = now(follower);
    assert_eq!((follower.error_code, follower.assignment.len()), (0, 0));
}

#[test]
fn in_a_stable_group_followers_hear_the_generation_and_leaders_start_a_rebalance() {
    let harness = Harness::new();
    let first = harness.stable("a");
    let (second, joining) = harness.enter("b");
    now(harness.join(Join { member_id: &first, ..Join::default() }));
    now(joining);
    // While the rebalance completes the same question gets the same answer, from either.
    assert_eq!(now(harness.join(Join { member_id: &first, ..Join::default() })).members.len(), 2);
    assert_eq!(now(harness.join(Join { member_id: &second, ..Join::default() })).generation_id, 2);
    now(harness.sync(&first, 2, &[]));

    assert_eq!(now(harness.join(Join { member_id: &second, ..Join::default() })).generation_id, 2);
    assert_eq!(harness.state(), "Stable");
    let changed: &[(&str, &[u8])] = &[("range", b"other")];
    let follower = waiting(harness.join(Join { member_id: &second, protocols: changed, ..Join::default() }));
    assert_eq!(harness.state(), "PreparingRebalance");
    assert_eq!(now(harness.join(Join { member_id: &first, ..Join::default() })).generation_id, 3);
    assert_eq!(now(follower).generation_id, 3);
    now(harness.sync(&first, 3, &[]));
    now(harness.sync(&second, 3, &[]));
    let _leader = waiting(harness.join(Join { member_id: &first, ..Join::default() }));
    assert_eq!(harness.state(), "PreparingRebalance");
}

#[test]
fn a_rebalance_cancels_syncs_that_wait() {
    let harness = Harness::new();
    let first = harness.stable("a");
    let (second, joining) = harness.enter("b");
    now(harness.join(Join { member_id: &first, ..Join::default() }));
    now(joining);
    let follower = waiting(harness.sync(&second, 2, &[]));
    let (_, _third) = harness.enter("c");
    assert_eq!(now(follower).error_code, code(ResponseError::RebalanceInProgress));
}

#[test]
fn the_same_member_asking_twice_is_answered_twice() {
    let harness = Harness::new();
    let first = harness.stable("a");
    let (second, lost) = harness.enter("b");
    let lost = waiting(lost);
    let again = waiting(harness.join(Join { member_id: &second, ..Join::default() }));
    assert_eq!(now(lost).error_code, code(ResponseError::RebalanceInProgress));
    assert_eq!(now(harness.join(Join { member_id: &first, ..Join::default() })).error_code, 0);
    assert_eq!(now(again).error_code, 0);
    let lost = waiting(harness.sync(&second, 2, &[]));
    let again = waiting(harness.sync(&second, 2, &[]));
    assert_eq!(now(lost).error_code, code(ResponseError::RebalanceInProgress));
    now(harness.sync(&first, 2, &[(&second, b"x")]));
    assert_eq!(&now(again).assignment[..], b"x");
}

#[test]
fn a_client_that_hangs_up_harms_nobody() {
    let harness = Harness::new();
    let first = harness.stable("a");
    let (_, joining) = harness.enter("b");
    drop(joining);
    let joined = now(harness.join(Join { member_id: &first, ..Join::default() }));
    assert_eq!((joined.error_code, joined.members.len()), (0, 2));
}

#[test]
fn the_protocol_that_most_members_prefer_is_chosen_among_those_that_all_speak() {
    let harness = Harness::new();
    let mut joining = Vec::new();
    let preferences: [&[(&str, &[u8])]; 3] = [
        &[("sticky", b"1"), ("range", b"1"), ("mine", b"1")],
        &[("mine", b"2"), ("range", b"2"), ("sticky", b"2")],
        &[("range", b"3"), ("sticky", b"3")],
    ];
    for protocols in preferences {
        joining.push(harness.join(Join { version: 3, protocols, session_ms: 1_800_000, ..Join::default() }));
    }
    let first = now(joining.remove(0));
    assert_eq!(first.protocol_name.as_deref(), Some("sticky"), "alone it has its way");
    let votes: &[(&str, &[u8])] = &[("range", b"1"), ("sticky", b"1"), ("mine", b"1")];
    let led = now(harness.join(Join {
        version: 3,
        member_id: &first.member_id,
        protocols: votes,
        ..Join::default()
    }));
    // Two votes for range, one for sticky (the second member's "mine" is not spoken by the third).
    assert_eq!(led.protocol_name.as_deref(), Some("range"));
    let mut metadata: Vec<&[u8]> = led.members.iter().map(|member| &member.metadata[..]).collect();
    metadata.sort_unstable();
    assert_eq!(metadata, [b"1", b"2", b"3"]);
}

#[test]
fn joins_that_cannot_be() {
    let harness = Harness::with(GroupSettings { max_size: 1, ..GroupSettings::default() });
    let id = harness.stable("a");
    let refused = |join: Join<'_>| now(harness.join(join)).error_code;
    let cases: [(&str, Join<'_>, ResponseError); 11] = [
        ("no group", Join { group: "", ..Join::default() }, ResponseError::InvalidGroupId),
        ("short session", Join { session_ms: 5999, ..Join::default() }, ResponseError::InvalidSessionTimeout),
        (
            "long session",
            Join { session_ms: 1_800_001, ..Join::default() },
            ResponseError::InvalidSessionTimeout,
        ),
        ("full", Join::default(), ResponseError::GroupMaxSizeReached),
        (
            "other type",
            Join { protocol_type: "connect", member_id: &id, ..Join::default() },
            ResponseError::InconsistentGroupProtocol,
        ),
        (
            "other protocol",
            Join { protocols: &[("odd", b"")], member_id: &id, ..Join::default() },
            ResponseError::InconsistentGroupProtocol,
        ),
        (
            "no protocols",
            Join { group: "new", protocols: &[], ..Join::default() },
            ResponseError::InconsistentGroupProtocol,
        ),
        (
            "no type",
            Join { group: "newer", protocol_type: "", ..Join::default() },
            ResponseError::InconsistentGroupProtocol,
        ),
        (
            "a protocol twice",
            Join { protocols: &[("range", b""), ("range", b"")], ..Join::default() },
            ResponseError::InvalidRequest,
        ),
        (
            "an id, but no group",
            Join { group: "none", member_id: "x", ..Join::default() },
            ResponseError::UnknownMemberId,
        ),
        (
            "an instance that is not there",
            Join { member_id: &id, instance_id: Some("i"), ..Join::default() },
            ResponseError::UnknownMemberId,
        ),
    ];
    for (case, join, error) in cases {
        assert_eq!(refused(join), code(error), "{case}");
    }
    assert_eq!(harness.heartbeat(&id, 1), 0, "the member is untouched");
}

#[test]
fn an_unknown_id_in_a_known_group_is_refused() {
    let harness = Harness::with(GroupSettings::default());
    harness.stable("a");
    let joined = now(harness.join(Join { member_id: "stranger", ..Join::default() }));
    assert_eq!(joined.error_code, code(ResponseError::UnknownMemberId));
    assert_eq!(&*joined.member_id, "stranger");
}

#[test]
fn heartbeats_and_syncs_that_are_refused() {
    let harness = Harness::new();
    assert_eq!(harness.heartbeat("x", 1), code(ResponseError::UnknownMemberId), "no topic yet");
    let id = harness.stable("a");
    assert_eq!(harness.heartbeat("x", 1), code(ResponseError::UnknownMemberId));
    assert_eq!(harness.heartbeat(&id, 0), code(ResponseError::IllegalGeneration));
    assert_eq!(now(harness.sync("x", 1, &[])).error_code, code(ResponseError::UnknownMemberId));
    assert_eq!(now(harness.sync(&id, 2, &[])).error_code, code(ResponseError::IllegalGeneration));
}

#[test]
fn leaving_is_answered_member_by_member() {
    let harness = Harness::new();
    assert_eq!(harness.leave(&[("x", None)]).members[0].error_code, code(ResponseError::UnknownMemberId));
    let first = harness.stable("a");
    let (second, joining) = harness.enter("b");
    now(harness.join(Join { member_id: &first, ..Join::default() }));
    now(joining);
    let left = harness.leave(&[(&second, None), ("stranger", None), ("", Some("nobody"))]);
    let codes: Vec<i16> = left.members.iter().map(|member| member.error_code).collect();
    let unknown = code(ResponseError::UnknownMemberId);
    assert_eq!((left.error_code, codes), (0, vec![0, unknown, unknown]));
    assert_eq!(harness.heartbeat(&first, 2), code(ResponseError::RebalanceInProgress));
    let alone = now(harness.join(Join { member_id: &first, ..Join::default() }));
    assert_eq!((alone.generation_id, alone.members.len()), (3, 1));
    harness.leave(&[(&first, None)]);
    assert_eq!(harness.state(), "Empty");
    assert_eq!(harness.heartbeat(&first, 3), code(ResponseError::UnknownMemberId));
}

#[test]
fn a_member_that_leaves_while_others_wait_for_it_completes_the_rebalance() {
    let harness = Harness::new();
    let first = harness.stable("a");
    let (_, joining) = harness.enter("b");
    let joining = waiting(joining);
    harness.leave(&[(&first, None)]);
    let joined = now(joining);
    assert_eq!((joined.error_code, joined.generation_id), (0, 2));
    assert_eq!(joined.leader, joined.member_id);
}

#[test]
fn groups_are_listed_by_state_and_type_and_deleted_when_empty() {
    use crate::group::ListFilter;
    let harness = Harness::new();
    let id = harness.stable("a");
    harness.commit(super::Commit { group: "simple", ..super::Commit::default() });
    let list = |states: &[&str], types: &[&str]| -> Vec<String> {
        let filter = ListFilter::new(states.iter().copied(), types.iter().copied());
        let groups = harness.groups.list(&filter).unwrap();
        groups.iter().map(|group| format!("{}:{}", &*group.group_id, &*group.group_state)).collect()
    };
    assert_eq!(list(&[], &[]), ["g:Stable", "simple:Empty"]);
    assert_eq!(list(&["stable"], &["CLASSIC"]), ["g:Stable"]);
    assert_eq!(list(&[" Empty "], &[]), ["simple:Empty"]);
    assert_eq!(list(&["Dead"], &[]), Vec::<String>::new());
    assert_eq!(list(&[], &["consumer"]), Vec::<String>::new());

    assert_eq!(harness.groups.delete(GROUP), Err(ResponseError::NonEmptyGroup));
    harness.leave(&[(&id, None)]);
    assert_eq!(harness.groups.delete(GROUP), Ok(()));
    assert_eq!(harness.groups.delete(GROUP), Err(ResponseError::GroupIdNotFound));
    assert_eq!(harness.groups.delete("simple"), Ok(()));
    assert_eq!(harness.fetch("simple", "orders", 0), (-1, 0));
    assert_eq!(list(&[], &[]), Vec::<String>::new());
}

#[test]
fn a_generation_that_cannot_be_stored_is_taken_back() {
    let harness = Harness::new();
    let (id, joined) = harness.enter("a");
    assert_eq!(now(joined).generation_id, 1);
    harness.log.fails.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(now(harness.sync(&id, 1, &[(&id, b"all")])).error_code, code(ResponseError::NotCoordinator));
    assert_eq!(harness.state(), "PreparingRebalance");
    harness.log.fails.store(false, std::sync::atomic::Ordering::Relaxed);
    let joined = now(harness.join(Join { member_id: &id, ..Join::default() }));
    assert_eq!((joined.error_code, joined.generation_id), (0, 2));
    assert_eq!(&now(harness.sync(&id, 2, &[(&id, b"all")])).assignment[..], b"all");
}

#[test]
fn a_group_that_cannot_be_stored_does_not_exist() {
    let harness = Harness::new();
    harness.groups.ensure_topic().unwrap();
    harness.log.fails.store(true, std::sync::atomic::Ordering::Relaxed);
    assert_eq!(now(harness.join(Join::default())).error_code, code(ResponseError::NotCoordinator));
    assert_eq!(harness.state(), "Dead");
}
