//! Every response can be written in every version, whatever it says.

use super::{Commit, GROUP, Harness, Join, REBALANCE_MS, name, now};
use crate::api::find_coordinator::{CoordinatorOf, Endpoint};
use crate::api::{
    delete_groups, describe_groups, find_coordinator, heartbeat, leave_group, list_groups, offset_commit,
    offset_delete, offset_fetch, sync_group,
};
use crate::group::java_address;
use bytes::{Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, FindCoordinatorRequest, GroupId, HeartbeatRequest,
    LeaveGroupRequest, ListGroupsRequest, OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest,
    SyncGroupRequest, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable};

/// Through the bytes and back.
fn sent<R: Encodable + Decodable>(response: R, version: i16) -> R {
    let mut bytes = BytesMut::new();
    response.encode(&mut bytes, version).unwrap_or_else(|error| panic!("version {version}: {error}"));
    let mut bytes: Bytes = bytes.freeze();
    let back = R::decode(&mut bytes, version).unwrap();
    assert!(bytes.is_empty());
    back
}

fn id(group: &str) -> GroupId {
    name(group).into()
}

#[test]
fn join_group() {
    for version in 0..=9 {
        let harness = Harness::new();
        // Version 0 has no rebalance timeout; what stands there must not count.
        let rebalance_ms = if version == 0 { -1 } else { REBALANCE_MS };
        let join = Join { version, rebalance_ms, ..Join::default() };
        let refused = sent(now(harness.join(Join { group: "", ..join })), version);
        assert_eq!(refused.error_code, ResponseError::InvalidGroupId.code());
        assert_eq!(refused.protocol_name.is_none(), version >= 7, "version {version}");
        assert_eq!(refused.generation_id, -1);
        let first = sent(now(harness.join(join)), version);
        let joined = if version < 4 {
            first
        } else {
            assert_eq!(first.error_code, ResponseError::MemberIdRequired.code());
            sent(now(harness.join(Join { member_id: &first.member_id, ..join })), version)
        };
        assert_eq!((joined.error_code, joined.generation_id, joined.members.len()), (0, 1, 1));
        assert_eq!(joined.protocol_name.as_deref(), Some("range"));
        assert_eq!(joined.protocol_type.is_some(), version >= 7);
        if version == 0 {
            assert!(!harness.groups.describe(GROUP).unwrap().members.is_empty());
            let waits = harness.join(join);
            harness.at(i64::from(super::SESSION_MS));
            assert_eq!(now(waits).error_code, 0, "the session timeout is the rebalance timeout");
        }
        if version >= 5 {
            let taken = Join { instance_id: Some("i"), group: "static", ..join };
            let first = now(harness.join(taken));
            let request = SyncGroupRequest::default()
                .with_group_id(id("static"))
                .with_generation_id(1)
                .with_member_id(first.member_id);
            now(sync_group::answer(&harness.groups, 0, &request));
            let back = sent(now(harness.join(taken)), version);
            assert_eq!((back.error_code, back.skip_assignment), (0, version >= 9));
        }
    }
}

#[test]
fn sync_group() {
    for version in 0..=5 {
        let harness = Harness::new();
        let (member, joined) = harness.enter("a");
        now(joined);
        let request = SyncGroupRequest::default()
            .with_group_id(id(GROUP))
            .with_generation_id(1)
            .with_member_id(name(&member));
        let named = request
            .clone()
            .with_protocol_type(Some(name("consumer")))
            .with_protocol_name(Some(name("range")));
        let inconsistent = ResponseError::InconsistentGroupProtocol.code();
        if version >= 5 {
            let unnamed = sent(now(sync_group::answer(&harness.groups, version, &request)), version);
            assert_eq!(unnamed.error_code, inconsistent);
            let other = named.clone().with_protocol_name(Some(name("sticky")));
            assert_eq!(now(sync_group::answer(&harness.groups, version, &other)).error_code, inconsistent);
        }
        let request = if version >= 5 { named } else { request };
        let synced = sent(now(sync_group::answer(&harness.groups, version, &request)), version);
        assert_eq!(synced.error_code, 0, "version {version}");
        assert_eq!(synced.protocol_name.as_deref(), (version >= 5).then_some("range"));
        let nobody = SyncGroupRequest::default()
            .with_protocol_type(Some(name("t")))
            .with_protocol_name(Some(name("p")));
        let refused = sent(now(sync_group::answer(&harness.groups, version, &nobody)), version);
        assert_eq!(refused.error_code, ResponseError::InvalidGroupId.code());
    }
}

#[test]
fn heartbeat_and_leave_group() {
    let unknown = ResponseError::UnknownMemberId.code();
    for version in 0..=4 {
        let request = HeartbeatRequest::default().with_group_id(id(GROUP));
        assert_eq!(sent(heartbeat::answer(&Harness::new().groups, &request), version).error_code, unknown);
    }
    for version in 0..=5 {
        let harness = Harness::new();
        let member = harness.stable("a");
        let identity = MemberIdentity::default().with_member_id(name(&member));
        let request = LeaveGroupRequest::default().with_group_id(id(GROUP));
        let request = if version < 3 {
            request.with_member_id(name(&member))
        } else {
            request.with_members(vec![identity])
        };
        for expected in [0, unknown] {
            let left = sent(leave_group::answer(&harness.groups, version, &request), version);
            if version < 3 {
                assert_eq!((left.error_code, left.members.len()), (expected, 0), "version {version}");
            } else {
                assert_eq!((left.error_code, left.members[0].error_code), (0, expected), "version {version}");
            }
        }
        let refused =
            sent(leave_group::answer(&harness.groups, version, &LeaveGroupRequest::default()), version);
        assert_eq!((refused.error_code, refused.members.len()), (ResponseError::InvalidGroupId.code(), 0));
    }
}

#[test]
fn offset_apis() {
    let harness = Harness::new();
    let partition =
        OffsetCommitRequestPartition::default().with_committed_offset(5).with_committed_leader_epoch(3);
    let topics = ["orders", "none"].map(|topic| {
        OffsetCommitRequestTopic::default()
            .with_name(TopicName(name(topic)))
            .with_partitions(vec![partition.clone()])
    });
    let commit = OffsetCommitRequest::default().with_group_id(id(GROUP)).with_topics(topics.to_vec());
    for version in 2..=9 {
        let response = sent(offset_commit::answer(&harness.groups, version, &commit), version);
        let errors: Vec<i16> = response.topics.iter().map(|topic| topic.partitions[0].error_code).collect();
        // What is not there is answered first.
        assert_eq!(errors, [ResponseError::UnknownTopicOrPartition.code(), 0], "version {version}");
    }
    for version in 1..=9 {
        let response = sent(offset_fetch::answer(&harness.groups, version, fetch_request(version)), version);
        let (group_count, offset, epoch) = if version < 8 {
            let partition = &response.topics[0].partitions[0];
            (response.groups.len(), partition.committed_offset, partition.committed_leader_epoch)
        } else {
            let partition = &response.groups[0].topics[0].partitions[0];
            (response.groups.len(), partition.committed_offset, partition.committed_leader_epoch)
        };
        let expected_epoch = if version >= 5 { 3 } else { -1 };
        assert_eq!(
            (group_count, offset, epoch),
            (usize::from(version >= 8), 5, expected_epoch),
            "version {version}"
        );
    }
    let topic = OffsetDeleteRequestTopic::default()
        .with_name(TopicName(name("orders")))
        .with_partitions(vec![OffsetDeleteRequestPartition::default()]);
    for group in [GROUP, "none", ""] {
        let request =
            OffsetDeleteRequest::default().with_group_id(id(group)).with_topics(vec![topic.clone()]);
        let response = sent(offset_delete::answer(&harness.groups, &request), 0);
        assert_eq!(
            (response.error_code == 0, response.topics.len()),
            (group == GROUP, usize::from(group == GROUP))
        );
    }
}

fn fetch_request(version: i16) -> OffsetFetchRequest {
    let topic_name = TopicName(name("orders"));
    if version < 8 {
        let topic =
            OffsetFetchRequestTopic::default().with_name(topic_name).with_partition_indexes(vec![0, 1]);
        return OffsetFetchRequest::default().with_group_id(id(GROUP)).with_topics(Some(vec![topic]));
    }
    let topic = OffsetFetchRequestTopics::default().with_name(topic_name).with_partition_indexes(vec![0, 1]);
    let group = OffsetFetchRequestGroup::default().with_group_id(id(GROUP)).with_topics(Some(vec![topic]));
    OffsetFetchRequest::default().with_groups(vec![group])
}

#[test]
fn offset_fetch_errors_stand_where_the_version_has_room() {
    let log = std::sync::Arc::new(super::MemoryLog::default());
    let clock = std::sync::Arc::new(crate::clock::Clock::Manual(0.into()));
    let topics = std::sync::Arc::new(super::FixedTopics);
    let groups = crate::group::GroupCoordinator::new(Default::default(), log, topics, clock);
    let loading = ResponseError::CoordinatorLoadInProgress.code();
    for version in 1..=9 {
        let response = sent(offset_fetch::answer(&groups, version, fetch_request(version)), version);
        let seen = match version {
            1 => response.topics[0].partitions[1].error_code,
            2..8 => response.error_code,
            _ => response.groups[0].error_code,
        };
        assert_eq!(seen, loading, "version {version}");
    }
}

#[test]
fn describe_list_and_delete() {
    let harness = Harness::new();
    harness.stable("a");
    harness.commit(Commit { group: "simple", ..Commit::default() });
    for version in 0..=6 {
        let request = DescribeGroupsRequest::default()
            .with_groups(vec![id(GROUP), id("simple"), id("none")])
            .with_include_authorized_operations(version >= 3);
        let response = sent(describe_groups::answer(&harness.groups, version, &request), version);
        let states: Vec<&str> = response.groups.iter().map(|group| &*group.group_state).collect();
        assert_eq!(states, ["Stable", "Empty", "Dead"]);
        let missing = &response.groups[2];
        if version < 6 {
            assert_eq!((missing.error_code, missing.error_message.as_deref()), (0, None));
        } else {
            let expected = (ResponseError::GroupIdNotFound.code(), Some("Group none not found."));
            assert_eq!((missing.error_code, missing.error_message.as_deref()), expected);
        }
        let operations = if version >= 3 { 3400 } else { i32::MIN };
        assert_eq!(response.groups[0].authorized_operations, operations);
    }
    for version in 0..=5 {
        let response =
            sent(list_groups::answer(&harness.groups, version, &ListGroupsRequest::default()), version);
        assert_eq!((response.error_code, response.groups.len()), (0, 2));
        assert_eq!(&*response.groups[0].group_state, if version >= 4 { "Stable" } else { "" });
        assert_eq!(&*response.groups[0].group_type, if version >= 5 { "classic" } else { "" });
    }
    for version in 0..=2 {
        let request =
            DeleteGroupsRequest::default().with_groups_names(vec![id(GROUP), id("none"), id("none")]);
        let response = sent(delete_groups::answer(&harness.groups, &request), version);
        let errors: Vec<i16> = response.results.iter().map(|result| result.error_code).collect();
        assert_eq!(errors, [ResponseError::NonEmptyGroup.code(), ResponseError::GroupIdNotFound.code()]);
    }
}

#[test]
fn find_coordinator() {
    let here = Endpoint { host: "broker.example".to_owned(), port: 9092, node_id: 1 };
    let harness = Harness::new();
    let ensure = |of| match of {
        CoordinatorOf::Groups => {
            harness.groups.ensure_topic().map_err(|error| (error.response(), error.to_string()))
        }
        CoordinatorOf::Transactions => Err((ResponseError::CoordinatorNotAvailable, "told so".to_owned())),
    };
    for version in 0..=6 {
        for (key_type, error) in [
            (0, 0),
            (1, ResponseError::CoordinatorNotAvailable.code()),
            (9, ResponseError::InvalidRequest.code()),
        ] {
            let request = FindCoordinatorRequest::default()
                .with_key(name(GROUP))
                .with_key_type(if version == 0 { 0 } else { key_type })
                .with_coordinator_keys(vec![name(GROUP), name("other")]);
            let error = if version == 0 { 0 } else { error };
            let response = sent(find_coordinator::answer(version, &request, &here, ensure), version);
            let port = if error == 0 { 9092 } else { -1 };
            if version < 4 {
                assert_eq!(
                    (response.error_code, response.port, response.coordinators.len()),
                    (error, port, 0)
                );
            } else {
                let seen: Vec<_> =
                    response.coordinators.iter().map(|c| (&*c.key, c.error_code, c.port)).collect();
                assert_eq!(seen, [(GROUP, error, port), ("other", error, port)]);
            }
        }
    }
    assert!(
        harness.log.partitions.lock().len() == super::MemoryLog::PARTITIONS,
        "the question created the topic"
    );
    harness.log.fails.store(true, std::sync::atomic::Ordering::Relaxed);
    let without = Harness::new();
    without.log.fails.store(true, std::sync::atomic::Ordering::Relaxed);
    let ensure = |_| without.groups.ensure_topic().map_err(|error| (error.response(), error.to_string()));
    let response = find_coordinator::answer(3, &FindCoordinatorRequest::default(), &here, ensure);
    assert_eq!(response.error_code, ResponseError::CoordinatorNotAvailable.code());
    assert_eq!(
        response.error_message.as_deref(),
        Some("the topic __consumer_offsets is not available: told so")
    );
}

#[test]
fn addresses_look_as_java_prints_them() {
    let printed = |address: &str| java_address(address.parse().unwrap());
    assert_eq!(printed("127.0.0.1"), "/127.0.0.1");
    assert_eq!(printed("::ffff:10.0.0.1"), "/10.0.0.1");
    assert_eq!(printed("::1"), "/0:0:0:0:0:0:0:1");
}
