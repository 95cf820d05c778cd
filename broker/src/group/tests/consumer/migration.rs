//! Groups that change their protocol while they have members.

use super::{Holding, Script, assigned, beating, holding, joining};
use crate::group::tests::{Commit, GROUP, Join, code, name, now, waiting};
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
    subscription_in(1, owned)
}

/// For "t": version 1 adds what is owned, 2 a generation, 3 a rack.
fn subscription_in(version: i16, owned: std::ops::Range<i32>) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.put_i16(version);
    bytes.put_slice(b"\0\0\0\x01\0\x01t\xff\xff\xff\xff");
    if version >= 1 {
        bytes.extend(by_topic(owned));
    }
    if version >= 2 {
        bytes.put_i32(-1);
    }
    if version >= 3 {
        bytes.put_i16(-1);
    }
    bytes
}

/// Version 1.
fn assignment(partitions: std::ops::Range<i32>) -> Vec<u8> {
    assignment_with(partitions, None)
}

fn assignment_with(partitions: std::ops::Range<i32>, user_data: Option<&[u8]>) -> Vec<u8> {
    let mut bytes = b"\0\x01".to_vec();
    bytes.extend(by_topic(partitions));
    match user_data {
        None => bytes.put_i32(-1),
        Some(data) => {
            bytes.put_i32(data.len() as i32);
            bytes.put_slice(data);
        }
    }
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

/// Whatever version of the embedded protocol a member speaks, its assignment comes in that.
#[test]
fn assignments_are_in_the_version_of_the_subscription() {
    for version in 0..=3 {
        let script = Script::new();
        script.join("new", &["t"]);
        script.beat("new", 1, Some(&holding(1, 0..6)));
        let metadata = subscription_in(version, 0..0);
        let join = |id: &str| {
            let protocols: &[(&str, &[u8])] = &[("range", &metadata)];
            now(script.harness.join(Join { member_id: id, protocols, ..Join::default() }))
        };
        let id = join("").member_id.to_string();
        assert_eq!(join(&id).generation_id, 2, "{version}");
        script.beat("new", 1, None);
        script.beat("new", 1, Some(&holding(1, 0..3)));
        assert_eq!(join(&id).generation_id, 2, "{version}");
        let synced = now(script.harness.sync(&id, 2, &[]));
        let mut expected = assignment(3..6);
        expected[..2].copy_from_slice(&version.to_be_bytes());
        assert_eq!((synced.error_code, &synced.assignment[..]), (0, &expected[..]), "{version}");
    }
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

/// Members that wait for the others, or for the leader, join again in the new group.
#[test]
fn a_group_that_rebalances_is_upgraded() {
    let metadata = subscription(0..0);
    let protocols: &[(&str, &[u8])] = &[("cooperative-sticky", &metadata)];
    for waits_for_the_leader in [false, true] {
        let script = Script::new();
        let old = script.classic();
        let second = script.join_classic("", 0..0).member_id.to_string();
        let mut joining =
            Some(script.harness.join(Join { member_id: &second, protocols, ..Join::default() }));
        let mut syncing = None;
        if waits_for_the_leader {
            assert_eq!(script.join_classic(&old, 0..6).generation_id, 2);
            assert_eq!(now(joining.take().unwrap()).generation_id, 2);
            syncing = Some(script.harness.sync(&second, 2, &[]));
            assert_eq!(script.group_type(), "classic CompletingRebalance");
        } else {
            assert_eq!(script.group_type(), "classic PreparingRebalance");
        }
        // Nobody is told of what is not on record.
        script.harness.log.refuse_after(0);
        assert_eq!(script.join("new", &["t"]).error_code, code(ResponseError::NotCoordinator));
        script.harness.log.take_all();
        let (joining, syncing) = (joining.map(waiting), syncing.map(waiting));
        assert_eq!(script.join("new", &["t"]).error_code, 0);
        let told = code(ResponseError::RebalanceInProgress);
        assert!(joining.is_none_or(|answer| now(answer).error_code == told), "{waits_for_the_leader}");
        assert!(syncing.is_none_or(|answer| now(answer).error_code == told), "{waits_for_the_leader}");
        let group = script.describe();
        assert_eq!((&*group.group_state, group.members.len()), ("Reconciling", 3));
        for id in [&old, &second] {
            assert_eq!(script.join_classic(id, 0..0).error_code, 0, "{waits_for_the_leader}");
        }
    }
}

/// What the leader gave its members decides whether a group can be upgraded.
#[test]
fn assignments_of_a_group_that_is_upgraded() {
    let custom = assignment_with(0..6, Some(b"its own"));
    let refusal = "Cannot upgrade classic group g to consumer group because an unsupported custom assignor is in use. \
         Please refer to the documentation or switch to a default assignor before re-attempting the upgrade.";
    for (case, given, expected) in [
        ("bytes of an assignor of its own", &custom[..], Some(refusal)),
        ("no such bytes", &assignment_with(0..6, Some(b""))[..], None),
        ("no partitions", &assignment(0..0)[..], None),
        ("nothing", &[][..], None),
    ] {
        let script = Script::new();
        let old = script.join_classic("", 0..0).member_id.to_string();
        let generation = script.join_classic(&old, 0..0).generation_id;
        let synced = now(script.harness.sync(&old, generation, &[(&old, given)]));
        assert_eq!(synced.error_code, 0, "{case}");
        let joined = script.join("new", &["t"]);
        assert_eq!(joined.error_message.as_deref(), expected, "{case}");
        let group_type = script.group_type();
        match expected {
            Some(_) => assert_eq!(group_type, "classic Stable", "{case}"),
            None => assert_eq!(group_type, "consumer Reconciling", "{case}"),
        }
        let free = case == "no partitions" || case == "nothing";
        let told = if free { Some(holding(1, 3..6)) } else { Some(Holding::new()) };
        assert!(expected.is_some() || assigned(&joined) == told, "{case}");
    }
}

/// How a member goes, while two others go on.
type Way<'a> = &'a dyn Fn(&Script, [&str; 2]);

/// However the last member of the new protocol goes; the others are told to join again.
#[test]
fn a_group_is_classic_again_when_the_last_member_of_the_new_protocol_is_gone() {
    let goes_on = |script: &Script, others: [&str; 2]| {
        script.harness.pass(1_000);
        for (id, generation) in others.into_iter().zip([2, 3]) {
            // In the classic group, once it is there, one of them is behind.
            let told = script.harness.heartbeat(id, generation);
            let is_classic = script.group_type().starts_with("classic");
            let behind = is_classic && told == code(ResponseError::IllegalGeneration);
            assert!(behind || [0, code(ResponseError::RebalanceInProgress)].contains(&told), "{told}");
        }
    };
    let leaves = |script: &Script, _: [&str; 2]| {
        assert_eq!(script.send(beating("new", -1)).error_code, 0);
    };
    let is_removed = |script: &Script, _: [&str; 2]| {
        assert_eq!(script.harness.leave(&[("new", None)]).members[0].error_code, 0);
    };
    let falls_silent = |script: &Script, others: [&str; 2]| {
        assert_eq!(script.beat("new", 2, Some(&holding(1, 3..5))).member_epoch, 3);
        (0..45).for_each(|_| goes_on(script, others));
    };
    let keeps_its_partitions = |script: &Script, others: [&str; 2]| {
        for _ in 0..30 {
            assert_eq!(script.beat("new", 2, None).error_code, 0);
            goes_on(script, others);
        }
    };
    let ways: [(&str, Way<'_>); 4] = [
        ("it leaves", &leaves),
        ("it is removed", &is_removed),
        ("it falls silent", &falls_silent),
        ("it does not give up what it must", &keeps_its_partitions),
    ];
    for (case, goes) in ways {
        for (max_size, group_type) in [(2, "classic PreparingRebalance"), (1, "consumer Assigning")] {
            let script = Script::with(GroupSettings { max_size, ..GroupSettings::default() });
            let old = script.classic();
            script.settle_with_new(&old);
            let other = script.join_classic("", 0..0).member_id.to_string();
            assert_eq!(script.join_classic(&other, 0..0).generation_id, 3, "{case}");
            // Told to give up one of three.
            assert_eq!(assigned(&script.beat("new", 2, None)), Some(holding(1, 3..5)), "{case}");
            goes(&script, [&old, &other]);
            assert_eq!(script.group_type(), group_type, "{case}");
        }
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
