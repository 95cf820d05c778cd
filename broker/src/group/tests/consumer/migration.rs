//! Groups that change their protocol while they have members.

use super::{Holding, Script, assigned, beating, holding, joining};
use crate::group::tests::{Commit, GROUP, Join, code, name, now};
use crate::group::{ConsumerSettings, GroupSettings};
use bytes::BufMut;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::JoinGroupResponse;

/// Partitions of "t" as an assignment, and as the owned partitions of a subscription, have them.
fn by_topic(partitions: std::ops::Range<i32>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if partitions.is_empty() {
        bytes.put_i32(0);
        return bytes;
    }
    bytes.put_i32(1);
    bytes.put_slice(b"\0\x01t");
    bytes.put_i32(partitions.len() as i32);
    for partition in partitions {
        bytes.put_i32(partition);
    }
    bytes
}

/// Version 1, for "t".
fn subscription(owned: std::ops::Range<i32>) -> Vec<u8> {
    let mut bytes = b"\0\x01\0\0\0\x01\0\x01t\xff\xff\xff\xff".to_vec();
    bytes.extend(by_topic(owned));
    bytes
}

/// Version 1.
fn assignment(partitions: std::ops::Range<i32>) -> Vec<u8> {
    let mut bytes = b"\0\x01".to_vec();
    bytes.extend(by_topic(partitions));
    bytes.put_i32(-1);
    bytes
}

impl Script {
    pub(super) fn join_classic(&self, id: &str, owned: std::ops::Range<i32>) -> JoinGroupResponse {
        self.join_with(Join { member_id: id, ..Join::default() }, owned)
    }

    /// A static member joins without an id.
    pub(super) fn join_classic_as(&self, instance: &str, owned: std::ops::Range<i32>) -> JoinGroupResponse {
        self.join_with(Join { instance_id: Some(instance), ..Join::default() }, owned)
    }

    fn join_with(&self, join: Join<'_>, owned: std::ops::Range<i32>) -> JoinGroupResponse {
        let metadata = subscription(owned);
        now(self.harness.join(Join { protocols: &[("cooperative-sticky", &metadata)], ..join }))
    }

    /// A stable classic group whose only member has all of "t".
    fn classic(&self) -> String {
        let id = self.join_classic("", 0..0).member_id.to_string();
        let generation = self.join_classic(&id, 0..0).generation_id;
        let synced = now(self.harness.sync(&id, generation, &[(&id, &assignment(0..6))]));
        assert_eq!(synced.error_code, 0);
        id
    }

    /// The member, which was alone until "new" came, has given up half of "t": a group of both protocols is stable.
    fn settle_with_new(&self, old: &str) {
        assert_eq!(self.join("new", &["t"]).member_epoch, 2);
        for (owned, generation) in [(0..6, 1), (0..3, 2)] {
            assert_eq!(self.harness.heartbeat(old, 1), code(ResponseError::RebalanceInProgress));
            assert_eq!(self.join_classic(old, owned).generation_id, generation);
            assert_eq!(now(self.harness.sync(old, generation, &[])).assignment, assignment(0..3));
        }
        assert_eq!(assigned(&self.beat("new", 2, None)), Some(holding(1, 3..6)));
        assert_eq!(self.group_type(), "consumer Stable");
    }

    fn group_type(&self) -> String {
        let groups = self.harness.groups.list(&crate::group::ListFilter::default()).unwrap();
        format!("{} {}", groups[0].group_type, groups[0].group_state)
    }
}

#[test]
fn a_classic_group_is_upgraded_while_it_works_and_downgraded_again() {
    let script = Script::new();
    let old = script.classic();
    assert_eq!(script.group_type(), "classic Stable");
    let joined = script.join("new", &["t"]);
    assert_eq!((joined.error_code, joined.member_epoch, assigned(&joined)), (0, 2, Some(Holding::new())));
    assert_eq!(script.group_type(), "consumer Reconciling");
    let types: Vec<i8> = script.describe().members.iter().map(|member| member.member_type).collect();
    assert_eq!(types.iter().sum::<i8>(), 1, "one of each: {types:?}");

    // The classic member is told to join again, gives half of it up, and joins once more without it.
    let script = script.restart();
    assert_eq!(script.harness.heartbeat(&old, 1), code(ResponseError::RebalanceInProgress));
    let rejoined = script.join_classic(&old, 0..6);
    assert_eq!((rejoined.error_code, rejoined.generation_id), (0, 1));
    assert_eq!(rejoined.protocol_name.as_deref(), Some("cooperative-sticky"));
    let synced = now(script.harness.sync(&old, 1, &[]));
    assert_eq!((synced.error_code, &synced.assignment[..]), (0, &assignment(0..3)[..]));
    assert_eq!(script.harness.heartbeat(&old, 1), code(ResponseError::RebalanceInProgress));
    assert_eq!(script.join_classic(&old, 0..3).generation_id, 2);
    let synced = now(script.harness.sync(&old, 2, &[]));
    assert_eq!((synced.error_code, &synced.assignment[..]), (0, &assignment(0..3)[..]));
    assert_eq!(script.harness.heartbeat(&old, 2), 0);
    assert_eq!(assigned(&script.beat("new", 2, None)), Some(holding(1, 3..6)));
    assert_eq!(script.group_type(), "consumer Stable");

    // The last member of the new protocol leaves: the group is classic again, and its member joins again.
    script.send(beating("new", -1));
    assert_eq!(script.group_type(), "classic PreparingRebalance");
    assert_eq!(
        script.harness.heartbeat(&old, 2),
        code(ResponseError::RebalanceInProgress),
        "its own generation"
    );
    let rejoined = script.join_classic(&old, 0..3);
    assert_eq!((rejoined.error_code, rejoined.generation_id, &*rejoined.leader), (0, 3, old.as_str()));
    let script = script.restart();
    assert_eq!(script.group_type(), "classic Stable");
}

#[test]
fn a_classic_member_joins_a_consumer_group() {
    let script = Script::new();
    script.join("new", &["t"]);
    let first = script.join_classic("", 0..0);
    assert_eq!(first.error_code, code(ResponseError::MemberIdRequired));
    let id = first.member_id.to_string();
    let joined = script.join_classic(&id, 0..0);
    assert_eq!((joined.error_code, joined.generation_id), (0, 2));
    let synced = now(script.harness.sync(&id, 2, &[]));
    assert_eq!((synced.error_code, &synced.assignment[..]), (0, &assignment(0..0)[..]));
    assert_eq!(script.harness.heartbeat(&id, 2), 0, "what it waits for is in other hands");
    assert_eq!(script.harness.heartbeat(&id, 3), code(ResponseError::IllegalGeneration));
    script.beat("new", 1, Some(&holding(1, 0..6)));
    script.beat("new", 1, Some(&holding(1, 0..3)));
    assert_eq!(script.harness.heartbeat(&id, 2), code(ResponseError::RebalanceInProgress));
    let again = script.join_classic(&id, 0..0);
    let synced = now(script.harness.sync(&id, again.generation_id, &[]));
    let other = script.describe();
    assert_eq!((other.group_state.as_str(), &synced.assignment[..]), ("Stable", &assignment(3..6)[..]));
    let left = script.harness.leave(&[(&id, None), ("nobody", None)]);
    let codes: Vec<i16> = left.members.iter().map(|member| member.error_code).collect();
    assert_eq!(codes, [0, code(ResponseError::UnknownMemberId)]);
    assert_eq!(assigned(&script.beat("new", 2, None)), Some(holding(1, 0..6)));
}

#[test]
fn a_classic_member_that_owes_a_request_is_out() {
    let script = Script::new();
    script.join("new", &["t"]);
    let id = script.join_classic("", 0..0).member_id.to_string();
    script.join_classic(&id, 0..0);
    // Its session would last longer than what it may take to sync.
    script.harness.at(9_000);
    assert_eq!(script.harness.heartbeat(&id, 2), 0);
    for at in [18_000, 27_000, 36_000] {
        script.harness.at(at);
        assert_eq!(script.harness.heartbeat(&id, 2), 0);
        script.beat("new", 1, None);
    }
    script.harness.at(45_000);
    script.beat("new", 1, Some(&holding(1, 0..3)));
    script.harness.heartbeat(&id, 2);
    script.harness.at(54_000);
    script.harness.heartbeat(&id, 2);
    script.harness.at(60_000);
    assert_eq!(script.describe().members.len(), 1, "60 s, its rebalance timeout, have passed");
}

#[test]
fn the_policy_forbids_it() {
    let with = |may_upgrade, may_downgrade| {
        Script::with(GroupSettings {
            consumer: ConsumerSettings { may_upgrade, may_downgrade, ..ConsumerSettings::default() },
            ..GroupSettings::default()
        })
    };
    let script = with(false, true);
    script.classic();
    let refused = script.join("new", &["t"]);
    assert_eq!(refused.error_code, code(ResponseError::GroupIdNotFound));
    assert_eq!(
        refused.error_message.as_deref(),
        Some("Cannot upgrade classic group g to consumer group because online upgrade is disabled.")
    );
    assert_eq!(script.group_type(), "classic Stable");

    let script = with(true, false);
    let id = script.classic();
    script.join("new", &["t"]);
    script.send(beating("new", -1));
    assert_eq!(script.group_type(), "consumer Assigning");
    assert_eq!(script.join_classic(&id, 0..6).error_code, 0);

    let script = with(false, false);
    script.join("new", &["t"]);
    assert_eq!(script.join_classic("", 0..0).error_code, code(ResponseError::InconsistentGroupProtocol));
}

/// Where the group does not go back to the classic protocol, nobody of the new one comes to compute new targets.
#[test]
fn classic_members_join_again_when_only_the_group_has_moved() {
    let refuses = |policy: bool, size: usize| GroupSettings {
        max_size: size,
        consumer: ConsumerSettings { may_downgrade: policy, ..ConsumerSettings::default() },
        ..GroupSettings::default()
    };
    for (case, settings) in [
        ("the policy forbids a classic group", refuses(false, 10)),
        ("the log does not take the classic group", refuses(true, 10)),
    ] {
        let is_failure = settings.consumer.may_downgrade;
        let script = Script::with(settings);
        let old = script.classic();
        script.settle_with_new(&old);
        assert_eq!(script.harness.heartbeat(&old, 2), 0, "{case}");
        if is_failure {
            script.harness.log.refuse_after(1);
        }
        script.send(beating("new", -1));
        script.harness.log.take_all();
        assert_eq!(script.group_type(), "consumer Assigning", "{case}");
        assert_eq!(script.harness.heartbeat(&old, 2), code(ResponseError::RebalanceInProgress), "{case}");
        let joined = script.join_classic(&old, 0..3);
        assert_eq!((joined.error_code, joined.generation_id), (0, 3), "{case}");
        let synced = now(script.harness.sync(&old, 3, &[]));
        assert_eq!((synced.error_code, &synced.assignment[..]), (0, &assignment(0..6)[..]), "{case}");
    }
}

/// All of it is in one batch, or nothing.
#[test]
fn a_group_changes_its_protocol_with_its_first_member_or_stays() {
    for takes in [0, 1] {
        for (case, has_members) in [("offsets alone", false), ("members", true)] {
            let script = Script::new();
            script.topics.set("orders", 2, 4);
            assert_eq!(script.harness.commit(Commit::default()), 0, "{case}");
            if has_members {
                script.classic();
            }
            let before = script.group_type();
            script.harness.log.refuse_after(takes);
            let joined = script.join("new", &["t"]);
            script.harness.log.take_all();
            let expected = if takes == 0 { code(ResponseError::NotCoordinator) } else { 0 };
            assert_eq!(joined.error_code, expected, "{case}");
            let script = script.restart();
            let (protocol, members) = match takes {
                0 => (before.as_str(), 0),
                _ if has_members => ("consumer Reconciling", 2),
                _ => ("consumer Stable", 1),
            };
            assert_eq!(script.group_type(), protocol, "{case}");
            assert_eq!(script.describe().members.len(), members, "{case}");
            assert_eq!(script.harness.fetch(GROUP, "orders", 0), (1, 0), "{case}");
        }
    }
}

#[test]
fn who_has_no_room_in_a_group_does_not_change_its_protocol() {
    let settings = || GroupSettings {
        consumer: ConsumerSettings { max_size: 1, ..ConsumerSettings::default() },
        ..GroupSettings::default()
    };
    let script = Script::with(settings());
    script.classic();
    assert_eq!(script.join("new", &["t"]).error_code, code(ResponseError::GroupMaxSizeReached));
    assert_eq!(script.group_type(), "classic Stable");

    let script = Script::with(settings());
    script.join("new", &["t"]);
    let refused = script.join_classic("", 0..0);
    assert_eq!((refused.error_code, &*refused.member_id), (code(ResponseError::GroupMaxSizeReached), ""));
    // Who gives its id is told nothing else.
    let refused = script.join_classic("nobody", 0..0);
    assert_eq!((refused.error_code, &*refused.member_id), (code(ResponseError::GroupMaxSizeReached), ""));
    assert_eq!(script.group_type(), "consumer Stable");
}

/// An instance that comes back needs no room of its own.
#[test]
fn an_instance_comes_back_to_a_full_group() {
    let script = Script::with(GroupSettings {
        consumer: ConsumerSettings { max_size: 1, ..ConsumerSettings::default() },
        ..GroupSettings::default()
    });
    script.send(joining("a", &["t"]).with_instance_id(Some(name("i"))));
    script.send(beating("a", -2).with_instance_id(Some(name("i"))));
    assert_eq!(script.send(joining("b", &["t"]).with_instance_id(Some(name("i")))).error_code, 0);
    assert_eq!(script.join_classic_as("i", 0..0).error_code, 0);
    assert_eq!(script.join("c", &["t"]).error_code, code(ResponseError::GroupMaxSizeReached));
}

#[test]
fn groups_that_are_not_of_consumers_stay_what_they_are() {
    let script = Script::new();
    script.harness.stable("client");
    let joined = script.join("new", &["t"]);
    assert_eq!(
        joined.error_message.as_deref(),
        Some(
            "Cannot upgrade classic group g to consumer group because the embedded consumer protocol is malformed."
        )
    );
    assert_eq!((script.group_type().as_str(), name(GROUP).as_str()), ("classic Stable", GROUP));
}
