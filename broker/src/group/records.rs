//! Records of `__consumer_offsets`: what the group state is written as and read from.

use bytes::Bytes;
use milena_protocol::stored::group::{
    GroupMember, GroupMetadataValue, GroupRecord, OffsetCommitKey, OffsetCommitValue,
};
use std::sync::Arc;

use super::classic::{ClassicGroup, Identity};
use super::member::{Member, Protocol};
use super::offsets::CommittedOffset;

/// The group and its members, with these assignments.
pub(super) fn group_record(group: &ClassicGroup, assignment: impl Fn(&Member) -> Bytes) -> GroupRecord {
    let protocol = group.protocol_name.as_deref();
    let members = group
        .members()
        .map(|member| GroupMember {
            member_id: member.id.to_string(),
            group_instance_id: member.instance_id.as_deref().map(str::to_owned),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout: member.rebalance_timeout_ms,
            session_timeout: member.session_timeout_ms,
            subscription: member.metadata(protocol.unwrap_or("")),
            assignment: assignment(member),
            unknown_tags: Vec::new(),
        })
        .collect();
    let value = GroupMetadataValue {
        protocol_type: group.protocol_type.as_deref().unwrap_or("").to_owned(),
        generation: group.generation,
        protocol: protocol.map(str::to_owned),
        leader: group.leader.as_deref().map(str::to_owned),
        current_state_timestamp: group.state_since.unwrap_or(-1),
        members,
        unknown_tags: Vec::new(),
    };
    GroupRecord::GroupMetadata(group.id.to_string(), Some(value))
}

/// The group that a record describes: stable if it has members, and not waiting for anything.
pub(super) fn restore_group(id: Arc<str>, value: GroupMetadataValue) -> ClassicGroup {
    let protocol: Option<Arc<str>> = value.protocol.map(Arc::from);
    let members = value
        .members
        .into_iter()
        .map(|member| Member {
            id: Arc::from(member.member_id),
            instance_id: member.group_instance_id.map(Arc::from),
            client_id: member.client_id,
            client_host: member.client_host,
            // Records of version 0 have no rebalance timeout.
            rebalance_timeout_ms: match member.rebalance_timeout {
                -1 => member.session_timeout,
                timeout => timeout,
            },
            session_timeout_ms: member.session_timeout,
            // Only the metadata of the chosen protocol is stored.
            protocols: protocol
                .iter()
                .map(|name| Protocol { name: Arc::clone(name), metadata: member.subscription.clone() })
                .collect(),
            assignment: member.assignment,
            awaiting_join: None,
            awaiting_sync: None,
            is_new: false,
        })
        .collect();
    let identity = Identity {
        generation: value.generation,
        protocol_type: Some(value.protocol_type).filter(|name| !name.is_empty()).map(Arc::from),
        protocol_name: protocol,
        leader: value.leader.map(Arc::from),
        state_since: Some(value.current_state_timestamp).filter(|at| *at != -1),
    };
    ClassicGroup::restored(id, identity, members)
}

/// An offset, or with None its end.
pub(super) fn offset_record(
    group: &str,
    topic: &str,
    partition: i32,
    offset: Option<&CommittedOffset>,
) -> GroupRecord {
    let key = OffsetCommitKey { group: group.to_owned(), topic: topic.to_owned(), partition };
    let value = offset.map(|offset| OffsetCommitValue {
        offset: offset.offset,
        leader_epoch: offset.leader_epoch,
        metadata: offset.metadata.to_string(),
        commit_timestamp: offset.commit_timestamp,
        expire_timestamp: offset.expire_timestamp.unwrap_or(-1),
        ..OffsetCommitValue::default()
    });
    GroupRecord::OffsetCommit(key, value)
}

/// Key and value as Kafka 4.1 writes them. An offset with a time of its own to expire is written in version 1, the
/// only one that can carry it.
pub(super) fn encode(record: &GroupRecord) -> Result<(Vec<u8>, Option<Vec<u8>>), String> {
    if let GroupRecord::OffsetCommit(key, Some(value)) = record
        && value.expire_timestamp != -1
    {
        let tombstone = GroupRecord::OffsetCommit(key.clone(), None);
        let (key, _) = tombstone.encode().map_err(|error| error.to_string())?;
        return Ok((key, Some(expiring_offset(value)?)));
    }
    record.encode().map_err(|error| error.to_string())
}

/// ```text
/// i16 version = 1 | i64 offset | string metadata | i64 commit timestamp | i64 expire timestamp
/// ```
fn expiring_offset(value: &OffsetCommitValue) -> Result<Vec<u8>, String> {
    let metadata_len =
        i16::try_from(value.metadata.len()).map_err(|_| "the metadata is too long".to_owned())?;
    let mut bytes = Vec::with_capacity(28 + value.metadata.len());
    bytes.extend_from_slice(&1i16.to_be_bytes());
    bytes.extend_from_slice(&value.offset.to_be_bytes());
    bytes.extend_from_slice(&metadata_len.to_be_bytes());
    bytes.extend_from_slice(value.metadata.as_bytes());
    bytes.extend_from_slice(&value.commit_timestamp.to_be_bytes());
    bytes.extend_from_slice(&value.expire_timestamp.to_be_bytes());
    Ok(bytes)
}

/// The record type and the group of a key. All keys of the topic begin like this:
///
/// ```text
/// i16 record type | string group | ...
/// ```
pub(super) fn type_and_group(key: &[u8]) -> Option<(i16, &str)> {
    let (record_type, rest) = key.split_first_chunk()?;
    let (len, rest) = rest.split_first_chunk()?;
    let len = usize::try_from(i16::from_be_bytes(*len)).ok()?;
    let group = std::str::from_utf8(rest.get(..len)?).ok()?;
    Some((i16::from_be_bytes(*record_type), group))
}
