//! What a log says when it is read back: our own records, and those that only Kafka writes.

use super::{Commit, FixedTopics, GROUP, Harness, Join, MemoryLog, START, code, now};
use crate::clock::Clock;
use crate::coordinator::StateLog;
use crate::group::{GroupCoordinator, GroupSettings, ListFilter};
use kafka_protocol::ResponseError;
use milena_protocol::records::{BatchBuilder, EndTransactionMarker, end_transaction_batch};
use milena_protocol::stored::group::{
    GroupMetadataValue, GroupRecord, OffsetCommitKey, OffsetCommitValue, group_partition,
};
use std::sync::Arc;

#[test]
fn a_stable_group_is_stable_again_with_fresh_sessions() {
    let harness = Harness::new();
    let joined = now(harness.join(Join { version: 9, instance_id: Some("i"), ..Join::default() }));
    let id = joined.member_id.to_string();
    now(harness.sync(&id, 1, &[(&id, b"all")]));
    harness.at(9_999);
    let harness = harness.restart();
    assert_eq!(harness.state(), "Stable");
    assert_eq!(&now(harness.sync(&id, 1, &[])).assignment[..], b"all");
    let member = &harness.groups.describe(GROUP).unwrap().members[0];
    assert_eq!((member.group_instance_id.as_deref(), &*member.client_host), (Some("i"), "/127.0.0.1"));
    harness.at(19_998);
    assert_eq!(harness.heartbeat_as(&id, Some("i"), 1), 0);
    // The leader's word still counts, and so does its subscription.
    let back = now(harness.join(Join { version: 9, instance_id: Some("i"), ..Join::default() }));
    assert_eq!((back.generation_id, back.skip_assignment), (1, true));
    harness.at(29_998);
    assert_eq!(harness.state(), "Empty");
    assert_eq!(harness.restart().state(), "Empty");
}

#[test]
fn generations_go_on_after_a_restart() {
    let harness = Harness::new();
    let id = harness.stable("a");
    harness.leave(&[(&id, None)]);
    let harness = harness.restart();
    let (_, joined) = harness.enter("b");
    assert_eq!(now(joined).generation_id, 3, "1 was the first member's, 2 nobody's");
}

#[test]
fn joins_that_were_waiting_are_forgotten() {
    let harness = Harness::new();
    let (id, joined) = harness.enter("a");
    now(joined);
    let harness = harness.restart();
    assert_eq!(harness.state(), "Empty", "the generation was never assigned");
    assert_eq!(harness.heartbeat(&id, 1), code(ResponseError::UnknownMemberId));
    let again = now(harness.join(Join { member_id: &id, ..Join::default() }));
    assert_eq!(again.error_code, code(ResponseError::UnknownMemberId));
}

#[test]
fn a_group_above_the_limit_of_now_rebalances() {
    let harness = Harness::new();
    let first = harness.stable("a");
    let (second, joining) = harness.enter("b");
    now(harness.join(Join { member_id: &first, ..Join::default() }));
    now(joining);
    now(harness.sync(&first, 2, &[]));
    now(harness.sync(&second, 2, &[]));
    let settings = GroupSettings { max_size: 1, ..GroupSettings::default() };
    let harness = Harness::over(harness.log, harness.clock, settings);
    assert_eq!(harness.heartbeat(&first, 2), code(ResponseError::RebalanceInProgress));
    let kept = harness.join(Join { member_id: &first, ..Join::default() });
    let refused = now(harness.join(Join { member_id: &second, ..Join::default() }));
    assert_eq!(refused.error_code, code(ResponseError::GroupMaxSizeReached));
    harness.at(60_000);
    assert_eq!(now(kept).members.len(), 1);
}

#[test]
fn offsets_come_back_in_the_order_of_their_records() {
    let harness = Harness::new();
    for offset in [5, 3, 4] {
        harness.commit(Commit { offset, metadata: "m", ..Commit::default() });
    }
    assert_eq!(harness.restart().fetch(GROUP, "orders", 0), (4, 0));
}

#[test]
fn until_it_is_loaded_the_coordinator_says_so() {
    let log = Arc::new(MemoryLog::default());
    log.ensure().unwrap();
    let clock = Arc::new(Clock::Manual(START.into()));
    let groups =
        GroupCoordinator::new(GroupSettings::default(), log.clone(), Arc::new(FixedTopics), clock.clone());
    assert_eq!(
        groups.fetch_offsets(GROUP, None, None, false).err(),
        Some(ResponseError::CoordinatorLoadInProgress)
    );
    assert_eq!(groups.list(&ListFilter::default()).err(), Some(ResponseError::CoordinatorLoadInProgress));
    assert!(groups.ensure_topic().is_err());
    let harness = Harness { log, clock, settings: GroupSettings::default(), groups, unique: 0.into() };
    assert_eq!(now(harness.join(Join::default())).error_code, code(ResponseError::CoordinatorLoadInProgress));
    assert_eq!(harness.heartbeat("x", 1), 0, "members keep calm");
    harness.groups.load().unwrap();
    assert_eq!(now(harness.join(Join::default())).error_code, code(ResponseError::MemberIdRequired));
}

#[test]
fn a_partition_that_cannot_be_read_does_not_stop_the_others() {
    let log = Arc::new(MemoryLog::default());
    log.ensure().unwrap();
    let broken = group_partition(GROUP, MemoryLog::PARTITIONS as i32);
    let mut batch = offset_batch(-1, 0, 1);
    let last = batch.len() - 1;
    batch[last] ^= 1;
    log.append(broken, &batch).unwrap();
    let clock = Arc::new(Clock::Manual(START.into()));
    let groups = GroupCoordinator::new(GroupSettings::default(), log, Arc::new(FixedTopics), clock);
    let errors = groups.load().unwrap_err();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].to_string(), format!("partition {broken}, offset 0: the checksum does not match"));
    assert_eq!(groups.fetch_offsets(GROUP, None, None, false).err(), Some(ResponseError::NotCoordinator));
    let other = (0..).map(|n| format!("other-{n}")).find(|name| group_partition(name, 3) != broken).unwrap();
    assert!(groups.fetch_offsets(&other, None, None, false).is_ok());
}

#[test]
fn a_partition_that_could_not_be_read_serves_when_it_can() {
    // The only deadline but the sessions is that of the next try.
    let settings = GroupSettings { retention_check_interval_ms: i64::MAX / 4, ..GroupSettings::default() };
    let harness = Harness::with(settings);
    let member = harness.stable("a");
    harness.commit(Commit { member_id: &member, generation: 1, offset: 7, ..Commit::default() });
    *harness.log.unreadable.lock() = Some(group_partition(GROUP, MemoryLog::PARTITIONS as i32));
    let Harness { log, clock, settings, unique, .. } = harness;
    let groups =
        GroupCoordinator::new(settings.clone(), log.clone(), Arc::new(FixedTopics), Arc::clone(&clock));
    assert_eq!(groups.load().unwrap_err().len(), 1);
    let harness = Harness { log, clock, settings, groups, unique };
    let mut at = START;
    // Each wait is twice the one before, up to ten minutes.
    for seconds in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600] {
        assert_eq!(harness.heartbeat(&member, 1), code(ResponseError::NotCoordinator), "{seconds}");
        assert_eq!(harness.groups.tick(at), Some(at + seconds * 1_000));
        at += seconds * 1_000;
        harness.clock.set(at);
        harness.groups.tick(at);
    }
    *harness.log.unreadable.lock() = None;
    assert_eq!(harness.heartbeat(&member, 1), code(ResponseError::NotCoordinator));
    harness.clock.set(at + 600_000);
    harness.groups.tick(at + 600_000);
    assert_eq!(harness.heartbeat(&member, 1), 0, "its session begins now");
    assert_eq!(harness.fetch(GROUP, "orders", 0), (7, 0));
}

#[test]
fn a_partition_of_a_new_topic_that_cannot_be_read_does_not_stop_the_others() {
    let log = Arc::new(MemoryLog::default());
    let clock = Arc::new(Clock::Manual(START.into()));
    let groups = GroupCoordinator::new(GroupSettings::default(), log.clone(), Arc::new(FixedTopics), clock);
    groups.load().unwrap();
    log.ensure().unwrap();
    let mut batch = offset_batch(-1, 0, 1);
    let last = batch.len() - 1;
    batch[last] ^= 1;
    log.append(0, &batch).unwrap();
    let error = groups.ensure_topic().unwrap_err().to_string();
    assert_eq!(error, "partition 0, offset 0: the checksum does not match");
    for partition in 0..MemoryLog::PARTITIONS as i32 {
        let held = |name: &String| group_partition(name, MemoryLog::PARTITIONS as i32) == partition;
        let group = (0..).map(|n| format!("group-{n}")).find(held).unwrap();
        let refused = (partition == 0).then_some(ResponseError::NotCoordinator);
        assert_eq!(groups.fetch_offsets(&group, None, None, false).err(), refused, "{partition}");
    }
}

fn offset_batch(producer_id: i64, partition: i32, offset: i64) -> Vec<u8> {
    let key = OffsetCommitKey { group: GROUP.to_owned(), topic: "orders".to_owned(), partition };
    let value = OffsetCommitValue { offset, commit_timestamp: START, ..OffsetCommitValue::default() };
    let (key, value) = GroupRecord::OffsetCommit(key, Some(value)).encode().unwrap();
    let mut builder = BatchBuilder::new()
        .producer(producer_id, if producer_id < 0 { -1 } else { 0 }, 0)
        .transactional(producer_id >= 0);
    builder.append(START, Some(&key), value.as_deref(), &[]);
    builder.build().unwrap()
}

/// A log in which these batches follow one another, and a coordinator over it.
fn loaded(batches: &[Vec<u8>]) -> Harness {
    let log = Arc::new(MemoryLog::default());
    log.ensure().unwrap();
    for batch in batches {
        log.append(group_partition(GROUP, MemoryLog::PARTITIONS as i32), batch).unwrap();
    }
    Harness::over(log, Arc::new(Clock::Manual(START.into())), GroupSettings::default())
}

fn marker(producer_id: i64, commit: bool) -> Vec<u8> {
    let marker = EndTransactionMarker { commit, coordinator_epoch: 0 };
    end_transaction_batch(0, 0, START, producer_id, 0, marker).to_vec()
}

#[test]
fn offsets_of_a_transaction_count_when_it_is_committed() {
    let unstable = code(ResponseError::UnstableOffsetCommit);
    let open = loaded(&[offset_batch(-1, 0, 1), offset_batch(7, 0, 2)]);
    assert_eq!(open.fetch(GROUP, "orders", 0), (-1, unstable));
    assert_eq!(open.fetch(GROUP, "orders", 1), (-1, 0));
    let unstable_allowed = open.groups.fetch_offsets(GROUP, None, None, false).unwrap();
    assert_eq!(unstable_allowed[0].partitions[0].committed_offset, 1);
    let committed = loaded(&[offset_batch(-1, 0, 1), offset_batch(7, 0, 2), marker(7, true)]);
    assert_eq!(committed.fetch(GROUP, "orders", 0), (2, 0));
    let aborted = loaded(&[offset_batch(-1, 0, 1), offset_batch(7, 0, 2), marker(7, false)]);
    assert_eq!(aborted.fetch(GROUP, "orders", 0), (1, 0));
    let of_another = loaded(&[offset_batch(7, 0, 2), offset_batch(8, 1, 3), marker(8, true)]);
    assert_eq!(of_another.fetch(GROUP, "orders", 0), (-1, unstable));
    assert_eq!(of_another.fetch(GROUP, "orders", 1), (3, 0));
}

#[test]
fn a_commit_during_a_transaction_is_the_later_record_and_wins() {
    let harness = loaded(&[offset_batch(7, 0, 2), offset_batch(-1, 0, 9), marker(7, true)]);
    assert_eq!(harness.fetch(GROUP, "orders", 0), (9, 0));
}

#[test]
fn deleting_an_offset_ends_what_a_transaction_had_in_mind_for_it() {
    let harness = loaded(&[offset_batch(7, 0, 2)]);
    assert_eq!(harness.groups.delete(GROUP), Ok(()));
    assert_eq!(harness.fetch(GROUP, "orders", 0), (-1, 0));
    let log = &harness.log;
    log.append(group_partition(GROUP, MemoryLog::PARTITIONS as i32), &marker(7, true)).unwrap();
    assert_eq!(harness.restart().fetch(GROUP, "orders", 0), (-1, 0));
}

#[test]
fn a_group_of_which_nobody_knows_how_long_it_is_empty_expires_by_its_commits() {
    let group = |since| {
        let value = GroupMetadataValue {
            protocol_type: "consumer".to_owned(),
            generation: 2,
            protocol: None,
            leader: None,
            current_state_timestamp: since,
            members: Vec::new(),
            unknown_tags: Vec::new(),
        };
        let (key, value) = GroupRecord::GroupMetadata(GROUP.to_owned(), Some(value)).encode().unwrap();
        let mut builder = BatchBuilder::new().producer(-1, -1, 0);
        builder.append(START, Some(&key), value.as_deref(), &[]);
        builder.build().unwrap()
    };
    let week = 7 * 86_400_000;
    for (since, until) in [(-1, week), (START + week, 2 * week)] {
        let harness = loaded(&[group(since), offset_batch(-1, 0, 5)]);
        harness.at(until - 1);
        assert_eq!(harness.fetch(GROUP, "orders", 0), (5, 0), "{since}");
        harness.at(until + 600_000);
        assert_eq!((harness.fetch(GROUP, "orders", 0), &*harness.state()), ((-1, 0), "Dead"), "{since}");
    }
}

#[test]
fn open_transactions_keep_a_group_from_expiring() {
    let harness = loaded(&[offset_batch(7, 0, 2)]);
    harness.at(30 * 86_400_000);
    assert_eq!(harness.state(), "Empty");
}

/// Keys as Kafka's other coordinators write them: `i16 type | string group | ...`, the rest as it may be.
fn modern_batch(records: &[(i16, bool)]) -> Vec<u8> {
    let mut builder = BatchBuilder::new().producer(-1, -1, 0);
    for (record_type, tombstone) in records {
        let mut key = record_type.to_be_bytes().to_vec();
        key.extend_from_slice(&(GROUP.len() as i16).to_be_bytes());
        key.extend_from_slice(GROUP.as_bytes());
        builder.append(START, Some(&key), (!tombstone).then_some(b"\0\0opaque".as_slice()), &[]);
    }
    builder.build().unwrap()
}

#[test]
fn groups_of_other_protocols_are_shown_and_kept() {
    let harness = loaded(&[modern_batch(&[(17, false), (20, false)]), offset_batch(-1, 0, 5)]);
    let listed = harness.groups.list(&ListFilter::default()).unwrap();
    assert_eq!((listed.len(), &*listed[0].group_type, &*listed[0].group_state), (1, "streams", "Empty"));
    let (error, reason) = harness.groups.describe(GROUP).unwrap_err();
    assert_eq!((error, &*reason), (ResponseError::GroupIdNotFound, "Group g is not a classic group."));
    assert_eq!(harness.fetch(GROUP, "orders", 0), (5, 0));
    assert_eq!(harness.commit(Commit { offset: 6, ..Commit::default() }), 0);
    assert_eq!(harness.groups.delete(GROUP), Ok(()));
    let harness = harness.restart();
    assert_eq!(harness.groups.list(&ListFilter::default()).unwrap().len(), 0);
    assert_eq!(harness.fetch(GROUP, "orders", 0), (-1, 0));
}

#[test]
fn share_groups_are_not_for_classic_members_and_unknown_records_do_no_harm() {
    let harness = loaded(&[modern_batch(&[(11, false), (99, false)])]);
    assert_eq!(now(harness.join(Join::default())).error_code, code(ResponseError::InconsistentGroupProtocol));
    let gone = loaded(&[modern_batch(&[(11, false), (11, true)])]);
    assert_eq!(now(gone.join(Join::default())).error_code, code(ResponseError::MemberIdRequired));
}

#[test]
fn batches_look_as_kafka_writes_them() {
    let harness = Harness::new();
    let id = harness.stable("a");
    harness.commit(Commit { member_id: &id, generation: 1, offset: 10, ..Commit::default() });
    let commits = harness.log.records().len();
    assert_eq!(commits, 3, "the group, its generation, one batch for the commit");
    harness.leave(&[(&id, None)]);
    let records = harness.log.records();
    for (header, _) in &records {
        assert_eq!((header.producer_id, header.producer_epoch, header.base_sequence), (-1, -1, 0));
        assert_eq!((header.attributes.0, header.base_timestamp, header.record_count), (0, START, 1));
    }
    let groups: Vec<_> = records
        .iter()
        .filter_map(|(_, record)| match record {
            GroupRecord::GroupMetadata(_, Some(value)) => Some(value),
            _ => None,
        })
        .collect();
    let seen: Vec<_> = groups
        .iter()
        .map(|group| {
            (group.generation, &*group.protocol_type, group.protocol.as_deref(), group.members.len())
        })
        .collect();
    assert_eq!(seen, [(0, "", None, 0), (1, "consumer", Some("range"), 1), (2, "consumer", None, 0)]);
    assert_eq!(groups[1].leader.as_deref(), Some(&*id));
    assert_eq!(groups[2].leader, None);
    assert_eq!(
        (groups[1].members[0].session_timeout, groups[1].members[0].rebalance_timeout),
        (10_000, 60_000)
    );
}

#[test]
fn ten_thousand_groups_are_read_in_one_pass() {
    let harness = Harness::new();
    for group in 0..10_000 {
        harness.commit(Commit { group: &format!("group-{group}"), offset: group, ..Commit::default() });
    }
    let harness = harness.restart();
    assert_eq!(harness.groups.list(&ListFilter::default()).unwrap().len(), 10_000);
    assert_eq!(harness.fetch("group-9999", "orders", 0), (9_999, 0));
}
