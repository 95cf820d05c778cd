//! Scripts of requests against a coordinator over a log in memory, with a clock that the script turns.

mod classic;
mod consumer;
mod deadlines;
mod golden;
mod offsets;
mod restart;
mod static_members;
mod transactional;
mod versions;

use super::{GroupCoordinator, GroupSettings, Joiner};
use crate::api::{Answer, heartbeat, join_group, leave_group, offset_commit, offset_fetch, sync_group};
use crate::clock::Clock;
use crate::coordinator::{CoordinatorError, StateLog, Topics, Verification};
use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, LeaveGroupResponse,
    OffsetCommitRequest, OffsetFetchRequest, SyncGroupRequest, SyncGroupResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use milena_protocol::records::{
    BatchBuilder, BatchHeader, Batches, HEADER_LEN, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, Records,
};
use milena_protocol::stored::group::GroupRecord;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};
use uuid::Uuid;

const GROUP: &str = "g";
const START: i64 = 1_700_000_000_000;
const SESSION_MS: i32 = 10_000;
const REBALANCE_MS: i32 = 60_000;

#[derive(Clone, Default)]
struct MemoryPartition {
    bytes: Vec<u8>,
    end: i64,
}

impl MemoryPartition {
    fn of(bytes: &[u8]) -> Self {
        let end = Batches::new(bytes).last().map_or(0, |batch| batch.unwrap().0.next_offset());
        Self { bytes: bytes.to_vec(), end }
    }
}

/// Partition logs that outlive the coordinator.
#[derive(Default)]
struct MemoryLog {
    partitions: Mutex<Vec<MemoryPartition>>,
    fails: AtomicBool,
    /// How many appends it takes before it fails; None for all.
    room: Mutex<Option<usize>>,
    /// The partition that cannot be read from its second batch on.
    unreadable: Mutex<Option<i32>>,
}

impl MemoryLog {
    const PARTITIONS: usize = 3;

    /// Takes so many appends more and refuses the others.
    fn refuse_after(&self, appends: usize) {
        *self.room.lock() = Some(appends);
    }

    /// Refuses no more.
    fn take_all(&self) {
        *self.room.lock() = None;
    }

    fn has_room(&self) -> bool {
        let mut room = self.room.lock();
        let left = room.map(|left| left.checked_sub(1));
        *room = left.map(|left| left.unwrap_or(0));
        !self.fails.load(Ordering::Relaxed) && left != Some(None)
    }

    /// How many batches it has taken.
    fn appends(&self) -> usize {
        self.partitions.lock().iter().map(|partition| Batches::new(&partition.bytes).count()).sum()
    }

    /// Appends what is no part of a verified transaction.
    fn append(&self, partition: i32, batch: &[u8]) -> Result<i64, CoordinatorError> {
        StateLog::append(self, partition, batch, Verification::Skipped)
    }

    /// What compaction leaves in the end: of each key the last record, at its offset, and no tombstones.
    fn compact(&self) {
        for partition in self.partitions.lock().iter_mut() {
            let mut last: BTreeMap<Vec<u8>, (i64, Option<Vec<u8>>)> = BTreeMap::new();
            for batch in Batches::new(&partition.bytes) {
                let (header, batch) = batch.unwrap();
                for (offset, record) in
                    (header.base_offset..).zip(Records::new(&batch[HEADER_LEN..], header.record_count))
                {
                    let record = record.unwrap();
                    let value = record.value.map(<[u8]>::to_vec);
                    last.insert(record.key.unwrap().to_vec(), (offset, value));
                }
            }
            let mut left: Vec<_> = last.into_iter().filter(|(_, (_, value))| value.is_some()).collect();
            left.sort_by_key(|(_, (offset, _))| *offset);
            partition.bytes.clear();
            for (key, (offset, value)) in left {
                let mut builder = BatchBuilder::new().producer(NO_PRODUCER_ID, NO_PRODUCER_EPOCH, 0);
                builder.append(START, Some(&key), value.as_deref(), &[]);
                let start = partition.bytes.len();
                partition.bytes.extend(builder.build().unwrap());
                partition.bytes[start..start + 8].copy_from_slice(&offset.to_be_bytes());
            }
        }
    }

    /// Every record, in order, with the header of its batch.
    fn records(&self) -> Vec<(BatchHeader, GroupRecord)> {
        self.map_records(|header, key, value| (*header, GroupRecord::decode(key, value).unwrap()))
    }

    fn map_records<T>(&self, f: impl Fn(&BatchHeader, &[u8], Option<&[u8]>) -> T) -> Vec<T> {
        let mut all = Vec::new();
        for partition in self.partitions.lock().iter() {
            for batch in Batches::new(&partition.bytes) {
                let (header, batch) = batch.unwrap();
                if header.attributes.is_control() {
                    continue;
                }
                for record in Records::new(&batch[HEADER_LEN..], header.record_count) {
                    let record = record.unwrap();
                    all.push(f(&header, record.key.unwrap(), record.value));
                }
            }
        }
        all
    }
}

impl StateLog for MemoryLog {
    fn ensure(&self) -> Result<i32, CoordinatorError> {
        if self.fails.load(Ordering::Relaxed) {
            return Err(CoordinatorError::TopicUnavailable {
                topic: "__consumer_offsets",
                reason: "told so".into(),
            });
        }
        self.partitions.lock().resize(Self::PARTITIONS, MemoryPartition::default());
        Ok(Self::PARTITIONS as i32)
    }

    fn exists(&self) -> Option<i32> {
        let count = self.partitions.lock().len();
        (count > 0).then_some(count as i32)
    }

    fn append(&self, partition: i32, batch: &[u8], _: Verification) -> Result<i64, CoordinatorError> {
        if !self.has_room() {
            return Err(CoordinatorError::Storage { partition, source: "told so".into() });
        }
        let mut partitions = self.partitions.lock();
        let log = &mut partitions[partition as usize];
        let base = log.end;
        let start = log.bytes.len();
        log.bytes.extend_from_slice(batch);
        log.bytes[start..start + 8].copy_from_slice(&base.to_be_bytes());
        log.end = BatchHeader::read(&log.bytes[start..]).unwrap().next_offset();
        Ok(base)
    }

    fn read(&self, partition: i32, from_offset: i64, max_bytes: usize) -> Result<Vec<u8>, CoordinatorError> {
        let is_unreadable = *self.unreadable.lock() == Some(partition);
        if is_unreadable && from_offset > 0 {
            return Err(CoordinatorError::Storage { partition, source: "told so".into() });
        }
        let max_bytes = if is_unreadable { 1 } else { max_bytes };
        let partitions = self.partitions.lock();
        let mut bytes = Vec::new();
        for batch in Batches::new(&partitions[partition as usize].bytes) {
            let (header, batch) = batch.unwrap();
            if header.last_offset() >= from_offset
                && (bytes.is_empty() || bytes.len() + batch.len() <= max_bytes)
            {
                bytes.extend_from_slice(batch);
            }
        }
        Ok(bytes)
    }

    fn start_offset(&self, _: i32) -> Result<i64, CoordinatorError> {
        Ok(0)
    }
}

/// "orders" and "payments" with four partitions each.
struct FixedTopics;

impl Topics for FixedTopics {
    fn topic(&self, name: &str) -> Option<(Uuid, i32)> {
        let index = ["orders", "payments"].iter().position(|topic| *topic == name)?;
        Some((Uuid::from_u128(1 + index as u128), 4))
    }

    fn topic_by_id(&self, id: Uuid) -> Option<(String, i32)> {
        let name = ["orders", "payments"].get((id.as_u128() as usize).checked_sub(1)?)?;
        Some(((*name).to_owned(), 4))
    }

    fn names(&self) -> Vec<String> {
        vec!["orders".to_owned(), "payments".to_owned()]
    }

    fn version(&self) -> i64 {
        0
    }

    fn group_config(&self, _: &str, _: &str) -> Option<i64> {
        None
    }
}

struct Harness {
    log: Arc<MemoryLog>,
    clock: Arc<Clock>,
    settings: GroupSettings,
    groups: GroupCoordinator,
    unique: AtomicU64,
}

impl Harness {
    fn new() -> Self {
        Self::with(GroupSettings::default())
    }

    fn with(settings: GroupSettings) -> Self {
        let clock = Clock::Manual(START.into());
        Self::over(Arc::new(MemoryLog::default()), Arc::new(clock), settings)
    }

    fn over(log: Arc<MemoryLog>, clock: Arc<Clock>, settings: GroupSettings) -> Self {
        let groups =
            GroupCoordinator::new(settings.clone(), log.clone(), Arc::new(FixedTopics), clock.clone());
        groups.load().unwrap();
        Self { log, clock, settings, groups, unique: AtomicU64::new(1) }
    }

    /// The coordinator is gone; another one reads the same log.
    fn restart(self) -> Self {
        Self::over(self.log, self.clock, self.settings)
    }

    /// Turns the clock to `ms` after the start and lets deadlines pass.
    fn at(&self, ms: i64) {
        self.clock.set(START + ms);
        self.groups.tick(self.clock.steady_ms());
    }

    /// Lets time pass from where the clocks stand.
    fn pass(&self, ms: i64) {
        self.clock.set(self.clock.now_ms() + ms);
        self.groups.tick(self.clock.steady_ms());
    }

    fn join(&self, join: Join<'_>) -> Answer<JoinGroupResponse> {
        let unique = self.unique.fetch_add(1, Ordering::Relaxed);
        let joiner = Joiner {
            client_id: join.client_id.to_owned(),
            client_host: "/127.0.0.1".to_owned(),
            requires_member_id: join.version >= 4,
            skips_assignment: join.version >= 9,
            unique: Uuid::from_u128(unique.into()),
        };
        let protocols = join.protocols.iter().map(|(name, metadata)| {
            JoinGroupRequestProtocol::default()
                .with_name(StrBytes::from_string((*name).to_owned()))
                .with_metadata(Bytes::copy_from_slice(metadata))
        });
        let request = JoinGroupRequest::default()
            .with_group_id(name(join.group).into())
            .with_member_id(name(join.member_id))
            .with_group_instance_id(join.instance_id.map(name))
            .with_session_timeout_ms(join.session_ms)
            .with_rebalance_timeout_ms(join.rebalance_ms)
            .with_protocol_type(name(join.protocol_type))
            .with_protocols(protocols.collect());
        join_group::answer(&self.groups, join.version, &joiner, request)
    }

    /// A new member with this client id, through both round trips; its JoinGroup may wait.
    fn enter(&self, client_id: &str) -> (String, Answer<JoinGroupResponse>) {
        let first = now(self.join(Join { client_id, ..Join::default() }));
        assert_eq!(first.error_code, code(ResponseError::MemberIdRequired));
        let id = first.member_id.to_string();
        let answer = self.join(Join { client_id, member_id: &id, ..Join::default() });
        (id, answer)
    }

    /// A group with one member that has its assignment.
    fn stable(&self, client_id: &str) -> String {
        let (id, joined) = self.enter(client_id);
        let joined = now(joined);
        assert_eq!((joined.error_code, &*joined.leader), (0, id.as_str()));
        let synced = now(self.sync(&id, joined.generation_id, &[(&id, b"all")]));
        assert_eq!((synced.error_code, &synced.assignment[..]), (0, b"all".as_slice()));
        id
    }

    fn sync(&self, id: &str, generation: i32, assignments: &[(&str, &[u8])]) -> Answer<SyncGroupResponse> {
        let assignments = assignments.iter().map(|(id, bytes)| {
            SyncGroupRequestAssignment::default()
                .with_member_id(name(id))
                .with_assignment(Bytes::copy_from_slice(bytes))
        });
        let request = SyncGroupRequest::default()
            .with_group_id(name(GROUP).into())
            .with_member_id(name(id))
            .with_generation_id(generation)
            .with_assignments(assignments.collect());
        sync_group::answer(&self.groups, 3, &request)
    }

    fn heartbeat(&self, id: &str, generation: i32) -> i16 {
        self.heartbeat_as(id, None, generation)
    }

    fn heartbeat_as(&self, id: &str, instance_id: Option<&str>, generation: i32) -> i16 {
        let request = HeartbeatRequest::default()
            .with_group_id(name(GROUP).into())
            .with_member_id(name(id))
            .with_group_instance_id(instance_id.map(name))
            .with_generation_id(generation);
        heartbeat::answer(&self.groups, &request).error_code
    }

    fn leave(&self, members: &[(&str, Option<&str>)]) -> LeaveGroupResponse {
        let members = members.iter().map(|(id, instance_id)| {
            MemberIdentity::default().with_member_id(name(id)).with_group_instance_id(instance_id.map(name))
        });
        let request =
            LeaveGroupRequest::default().with_group_id(name(GROUP).into()).with_members(members.collect());
        leave_group::answer(&self.groups, 5, &request)
    }

    /// Commits one offset and returns the error of its partition.
    fn commit(&self, commit: Commit<'_>) -> i16 {
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(commit.partition)
            .with_committed_offset(commit.offset)
            .with_committed_metadata(Some(name(commit.metadata)));
        let topic = OffsetCommitRequestTopic::default()
            .with_name(TopicName(name(commit.topic)))
            .with_partitions(vec![partition]);
        let request = OffsetCommitRequest::default()
            .with_group_id(name(commit.group).into())
            .with_member_id(name(commit.member_id))
            .with_generation_id_or_member_epoch(commit.generation)
            .with_retention_time_ms(commit.retention_ms)
            .with_topics(vec![topic]);
        offset_commit::answer(&self.groups, commit.version, &request).topics[0].partitions[0].error_code
    }

    /// Offset and error of a partition.
    fn fetch(&self, group: &str, topic: &str, partition: i32) -> (i64, i16) {
        let topic = OffsetFetchRequestTopics::default()
            .with_name(TopicName(name(topic)))
            .with_partition_indexes(vec![partition]);
        let group = OffsetFetchRequestGroup::default()
            .with_group_id(name(group).into())
            .with_topics(Some(vec![topic]));
        let request = OffsetFetchRequest::default().with_groups(vec![group]).with_require_stable(true);
        let response = offset_fetch::answer(&self.groups, 8, request);
        assert_eq!(response.groups[0].error_code, 0);
        let partition = &response.groups[0].topics[0].partitions[0];
        (partition.committed_offset, partition.error_code)
    }

    fn state(&self) -> String {
        self.groups.describe(GROUP).map_or_else(|_| "Dead".to_owned(), |group| group.group_state.to_string())
    }
}

#[derive(Clone, Copy)]
struct Join<'a> {
    version: i16,
    group: &'a str,
    client_id: &'a str,
    member_id: &'a str,
    instance_id: Option<&'a str>,
    session_ms: i32,
    rebalance_ms: i32,
    protocol_type: &'a str,
    protocols: &'a [(&'a str, &'a [u8])],
}

/// Version 0, one topic: "orders".
const ORDERS: &[u8] = b"\0\0\0\0\0\x01\0\x06orders\0\0\0\0";

impl Default for Join<'_> {
    fn default() -> Self {
        Self {
            version: 7,
            group: GROUP,
            client_id: "client",
            member_id: "",
            instance_id: None,
            session_ms: SESSION_MS,
            rebalance_ms: REBALANCE_MS,
            protocol_type: "consumer",
            protocols: &[("range", ORDERS)],
        }
    }
}

#[derive(Clone, Copy)]
struct Commit<'a> {
    version: i16,
    group: &'a str,
    member_id: &'a str,
    generation: i32,
    topic: &'a str,
    partition: i32,
    offset: i64,
    metadata: &'a str,
    retention_ms: i64,
}

impl Default for Commit<'_> {
    fn default() -> Self {
        Self {
            version: 9,
            group: GROUP,
            member_id: "",
            generation: -1,
            topic: "orders",
            partition: 0,
            offset: 1,
            metadata: "",
            retention_ms: -1,
        }
    }
}

fn name(name: &str) -> StrBytes {
    StrBytes::from_string(name.to_owned())
}

fn code(error: ResponseError) -> i16 {
    error.code()
}

/// The answer if it is there.
fn poll<R: 'static>(answer: &mut Answer<R>) -> Option<R> {
    match answer {
        Answer::Now(_) => match std::mem::replace(answer, Answer::Later(Box::pin(std::future::pending()))) {
            Answer::Now(response) => Some(response),
            Answer::Later(_) | Answer::Unreadable(_) => None,
        },
        Answer::Later(pending) => match pending.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(response) => Some(response),
            Poll::Pending => None,
        },
        Answer::Unreadable(reason) => panic!("{reason}"),
    }
}

/// The answer, which must be there.
fn now<R: 'static>(mut answer: Answer<R>) -> R {
    poll(&mut answer).expect("the answer is still waiting")
}

/// The answer, which must not be there yet.
fn waiting<R: 'static>(mut answer: Answer<R>) -> Answer<R> {
    assert!(poll(&mut answer).is_none(), "the answer does not wait");
    answer
}
