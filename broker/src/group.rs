//! The group coordinator: classic groups, consumer groups and committed offsets in `__consumer_offsets`.
//!
//! | module | what it holds |
//! |---|---|
//! | `classic`, `member`, `subscription` | a group, its members, the topics they name |
//! | `rebalance`, `join`, `session` | what moves a group: JoinGroup, SyncGroup, Heartbeat, LeaveGroup, deadlines |
//! | `consumer` | a group of the consumer protocol (KIP-848), heartbeats, assignors |
//! | `offsets`, `commit` | committed offsets, and those of open transactions; expiry |
//! | `admin` | describe, list, delete |
//! | `records` | what all of it is stored as |
//! | `shard` | one partition of the topic, put together |

mod admin;
mod classic;
mod commit;
mod consumer;
mod join;
mod member;
mod offsets;
mod rebalance;
mod records;
mod session;
mod shard;
mod subscription;

#[cfg(test)]
pub(crate) mod tests;

use crate::error::Refusal;
pub(crate) use admin::ListFilter;
pub(crate) use consumer::heartbeat::Sender;
pub(crate) use join::Joiner;

use consumer::assignor::ASSIGNORS;
use consumer::member::{JOINING, LEAVING, LEAVING_FOR_A_WHILE};
use consumer::regex::{Waiting, find};

use crate::clock::Clock;
use crate::coordinator::runtime::{InTransaction, Parked, Runtime};
use crate::coordinator::{CoordinatorError, StateLog, Topics};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::consumer_group_describe_response::DescribedGroup as DescribedConsumerGroup;
use kafka_protocol::messages::describe_groups_response::DescribedGroup;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::offset_commit_request::OffsetCommitRequestTopic;
use kafka_protocol::messages::offset_fetch_request::OffsetFetchRequestTopics;
use kafka_protocol::messages::offset_fetch_response::OffsetFetchResponseTopics;
use kafka_protocol::messages::{
    ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse, HeartbeatRequest, JoinGroupRequest,
    JoinGroupResponse, OffsetCommitRequest, OffsetDeleteRequest, SyncGroupRequest, SyncGroupResponse,
};
use kafka_protocol::protocol::StrBytes;
use milena_protocol::records::EndTransactionMarker;
use milena_protocol::stored::group::group_partition;
use shard::{GroupShard, Reply};
use std::net::IpAddr;
use std::sync::Arc;

/// Errors of the partitions of a request, topic by topic, in its order.
pub(crate) type ErrorsByPartition = Vec<Vec<Option<ResponseError>>>;

/// Settings of the group coordinator; the defaults are Kafka's but for the initial delay, which is 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GroupSettings {
    /// `group.min.session.timeout.ms`.
    pub(crate) min_session_timeout_ms: i32,
    /// `group.max.session.timeout.ms`.
    pub(crate) max_session_timeout_ms: i32,
    /// `group.max.size`: members of a group.
    pub(crate) max_size: usize,
    /// `group.initial.rebalance.delay.ms`: how long the first rebalance of an empty group waits for more members.
    pub(crate) initial_rebalance_delay_ms: i64,
    /// `offset.metadata.max.bytes`, which counts characters.
    pub(crate) offset_metadata_max_bytes: usize,
    /// `offsets.retention.minutes`, in ms.
    pub(crate) offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`.
    pub(crate) retention_check_interval_ms: i64,
    /// Groups of the consumer protocol.
    pub(crate) consumer: ConsumerSettings,
}

/// Settings of groups of the consumer protocol, `group.consumer.*`; the defaults are Kafka's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConsumerSettings {
    /// `session.timeout.ms`, for groups without a setting of their own.
    pub(crate) session_timeout_ms: i64,
    /// `heartbeat.interval.ms`, for groups without a setting of their own.
    pub(crate) heartbeat_interval_ms: i32,
    /// `max.size`: members of a group.
    pub(crate) max_size: usize,
    /// `assignors`; the first is the usual one.
    pub(crate) assignors: Vec<String>,
    /// `regex.refresh.interval.ms`.
    pub(crate) regex_refresh_interval_ms: i64,
    /// `migration.policy`: classic groups may become consumer groups.
    pub(crate) may_upgrade: bool,
    /// `migration.policy`: consumer groups may become classic groups.
    pub(crate) may_downgrade: bool,
}

impl Default for ConsumerSettings {
    fn default() -> Self {
        Self {
            session_timeout_ms: 45_000,
            heartbeat_interval_ms: 5_000,
            max_size: i32::MAX as usize,
            assignors: ASSIGNORS.map(str::to_owned).to_vec(),
            regex_refresh_interval_ms: 600_000,
            may_upgrade: true,
            may_downgrade: true,
        }
    }
}

impl ConsumerSettings {
    fn default_assignor(&self) -> &str {
        self.assignors.first().map_or(ASSIGNORS[0], String::as_str)
    }

    fn session_timeout_ms(&self, topics: &dyn Topics, group: &str) -> i64 {
        topics.group_config(group, "consumer.session.timeout.ms").unwrap_or(self.session_timeout_ms)
    }

    fn heartbeat_interval_ms(&self, topics: &dyn Topics, group: &str) -> i32 {
        let own = topics.group_config(group, "consumer.heartbeat.interval.ms");
        own.and_then(|own| i32::try_from(own).ok()).unwrap_or(self.heartbeat_interval_ms)
    }
}

impl Default for GroupSettings {
    fn default() -> Self {
        Self {
            min_session_timeout_ms: 6_000,
            max_session_timeout_ms: 1_800_000,
            max_size: i32::MAX as usize,
            initial_rebalance_delay_ms: 0,
            offset_metadata_max_bytes: 4096,
            offsets_retention_ms: 10_080 * 60_000,
            retention_check_interval_ms: 600_000,
            consumer: ConsumerSettings::default(),
        }
    }
}

/// The group coordinator. Inputs run on the caller's thread, under the lock of the group's partition.
pub(crate) struct GroupCoordinator {
    settings: Arc<GroupSettings>,
    topics: Arc<dyn Topics>,
    waiting: Arc<Waiting>,
    runtime: Runtime<GroupShard>,
}

impl std::fmt::Debug for GroupCoordinator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GroupCoordinator").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl GroupCoordinator {
    /// A coordinator that answers COORDINATOR_LOAD_IN_PROGRESS until [`load`](Self::load) is done.
    pub(crate) fn new(
        settings: GroupSettings,
        log: Arc<dyn StateLog>,
        topics: Arc<dyn Topics>,
        clock: Arc<Clock>,
    ) -> Self {
        let settings = Arc::new(settings);
        let (of_shards, topics_of_shards) = (Arc::clone(&settings), Arc::clone(&topics));
        let waiting = Arc::new(Waiting::default());
        let waiting_in_shards = Arc::clone(&waiting);
        let new_shard = move || {
            let waiting = Arc::clone(&waiting_in_shards);
            GroupShard::new(Arc::clone(&of_shards), Arc::clone(&topics_of_shards), waiting)
        };
        Self { settings, topics, waiting, runtime: Runtime::new(log, clock, group_partition, new_shard) }
    }

    /// Reads groups and offsets back. Groups with members are stable, and their sessions begin anew. Partitions that
    /// cannot be read are out of service; their errors are returned.
    pub(crate) fn load(&self) -> Result<(), Vec<CoordinatorError>> {
        self.runtime.load()
    }

    /// Acts on the deadlines that have passed; returns a time before which there is none. Both are the steady clock's.
    #[cfg(test)]
    pub(crate) fn tick(&self, now: i64) -> Option<i64> {
        self.runtime.tick(now)
    }

    /// Keeps all deadlines for as long as it is polled; one task for the whole coordinator.
    pub(crate) async fn keep_deadlines(&self) {
        self.runtime.keep_deadlines().await;
    }

    /// Resolves regular expressions whenever they wait, for as long as it is polled; one task for the whole coordinator.
    pub(crate) async fn keep_regexes(&self) {
        loop {
            // It may take long, with many topics.
            tokio::task::block_in_place(|| self.resolve_waiting());
            self.waiting.added().await;
        }
    }

    /// Resolves the regular expressions that wait.
    pub(crate) fn resolve_waiting(&self) {
        while let Some(group) = self.waiting.take() {
            let expressions = self.runtime.existing(&group, |shard, _, _| shard.regexes(&group));
            // A partition that is out of service has no members.
            let Some(Ok(expressions)) = expressions else { continue };
            let found = find(expressions, &*self.topics);
            let handed = self.runtime.existing(&group, |shard, now, effects| {
                shard.regexes_found(now, &group, found, effects);
            });
            if let Some(Err(error)) = handed {
                tracing::warn!(group = &*group, "what the expressions stand for cannot be stored: {error}");
            }
        }
    }

    /// Sees to it that `__consumer_offsets` exists.
    pub(crate) fn ensure_topic(&self) -> Result<(), CoordinatorError> {
        self.runtime.ensure()
    }

    /// JoinGroup.
    pub(crate) fn join(&self, joiner: &Joiner, request: &JoinGroupRequest) -> Parked<JoinGroupResponse> {
        let refused = |error: ResponseError| {
            let member_id = request.member_id.clone();
            Parked::Ready(
                JoinGroupResponse::default().with_member_id(member_id).with_error_code(error.code()),
            )
        };
        if request.group_id.is_empty() {
            return refused(ResponseError::InvalidGroupId);
        }
        let allowed = self.settings.min_session_timeout_ms..=self.settings.max_session_timeout_ms;
        if !allowed.contains(&request.session_timeout_ms) {
            return refused(ResponseError::InvalidSessionTimeout);
        }
        let parked = self.runtime.park(&request.group_id, |shard, now, ticket, effects| {
            shard.join(now, joiner, request, ticket, effects);
        });
        match parked {
            Ok(parked) => parked.map(into_join),
            Err(error) => refused(error),
        }
    }

    /// SyncGroup.
    pub(crate) fn sync(&self, request: &SyncGroupRequest) -> Parked<SyncGroupResponse> {
        let refused =
            |error: ResponseError| Parked::Ready(SyncGroupResponse::default().with_error_code(error.code()));
        if request.group_id.is_empty() {
            return refused(ResponseError::InvalidGroupId);
        }
        let parked = self.runtime.park(&request.group_id, |shard, now, ticket, effects| {
            shard.sync(now, request, ticket, effects);
        });
        match parked {
            Ok(parked) => parked.map(into_sync),
            Err(error) => refused(error),
        }
    }

    /// Heartbeat. While the state is being loaded members need not worry.
    pub(crate) fn heartbeat(&self, request: &HeartbeatRequest) -> Result<(), ResponseError> {
        if request.group_id.is_empty() {
            return Err(ResponseError::InvalidGroupId);
        }
        let input = |shard: &mut GroupShard, now, effects: &mut _| shard.heartbeat(now, request, effects);
        match self.runtime.existing(&request.group_id, input) {
            None => Err(ResponseError::UnknownMemberId),
            Some(Err(ResponseError::CoordinatorLoadInProgress)) => Ok(()),
            Some(outcome) => outcome?,
        }
    }

    /// ConsumerGroupHeartbeat of a request whose fields make sense; the member has an id.
    pub(crate) fn consumer_heartbeat(
        &self,
        sender: &Sender,
        request: &ConsumerGroupHeartbeatRequest,
    ) -> Result<ConsumerGroupHeartbeatResponse, Refusal> {
        let group = request.group_id.as_str();
        if let Some(assignor) = request.server_assignor.as_deref()
            && !self.settings.consumer.assignors.iter().any(|known| known == assignor)
        {
            let known = self.settings.consumer.assignors.join(", ");
            let message =
                format!("ServerAssignor {assignor} is not supported. Supported assignors: {known}.");
            return Err(Refusal::new(ResponseError::UnsupportedAssignor, message));
        }
        let beat = |shard: &mut GroupShard, now, effects: &mut _| {
            shard.consumer_heartbeat(now, sender, request, effects)
        };
        match request.member_epoch {
            JOINING => self.runtime.write(group, beat)?,
            LEAVING | LEAVING_FOR_A_WHILE => {
                let leave =
                    |shard: &mut GroupShard, _, effects: &mut _| shard.consumer_leave(request, effects);
                self.runtime.existing(group, leave).unwrap_or_else(|| Ok(Err(no_group(group))))?
            }
            _ => self.runtime.existing(group, beat).unwrap_or_else(|| {
                let message = format!("Consumer group {group} not found.");
                Ok(Err(Refusal::new(ResponseError::GroupIdNotFound, message)))
            })?,
        }
    }

    /// ConsumerGroupDescribe, of one group.
    pub(crate) fn describe_consumer(&self, group: &str) -> Result<DescribedConsumerGroup, Refusal> {
        let describe = |shard: &mut GroupShard, _, _: &mut _| shard.describe_consumer(group);
        self.runtime.existing(group, describe).unwrap_or_else(|| Ok(Err(no_group(group))))?
    }

    /// LeaveGroup.
    pub(crate) fn leave(
        &self,
        group: &str,
        members: &[MemberIdentity],
    ) -> Result<Vec<MemberResponse>, ResponseError> {
        if group.is_empty() {
            return Err(ResponseError::InvalidGroupId);
        }
        let without_group = || {
            let unknown = |member: &MemberIdentity| {
                MemberResponse::default()
                    .with_member_id(member.member_id.clone())
                    .with_group_instance_id(member.group_instance_id.clone())
                    .with_error_code(ResponseError::UnknownMemberId.code())
            };
            Ok(members.iter().map(unknown).collect())
        };
        self.runtime
            .existing(group, |shard, now, effects| shard.leave(now, group, members, effects))
            .unwrap_or_else(without_group)
    }

    /// OffsetCommit: the error of each partition. Whoever does not know member epochs (up to version 8) is no member of a
    /// consumer group. The group as a whole may refuse: then only partitions that do not exist
    /// have an error of their own.
    pub(crate) fn commit_offsets(
        &self,
        request: &OffsetCommitRequest,
        knows_epochs: bool,
    ) -> ErrorsByPartition {
        self.commit(request, knows_epochs, |_| Ok(None))
    }

    /// TxnOffsetCommit, as [`commit_offsets`](Self::commit_offsets). `admit` gives the transaction, after it has seen
    /// to it that the group's partition of `__consumer_offsets`, which it is told, is part of it.
    pub(crate) fn commit_offsets_in_transaction(
        &self,
        request: &OffsetCommitRequest,
        admit: impl FnOnce(i32) -> Result<InTransaction, ResponseError>,
    ) -> ErrorsByPartition {
        self.commit(request, true, |partition| {
            if request.group_id.is_empty() {
                return Err(ResponseError::InvalidGroupId);
            }
            admit(partition).map(Some)
        })
    }

    /// The end of a producer's transaction, in one partition of `__consumer_offsets`.
    pub(crate) fn end_transaction(
        &self,
        partition: i32,
        producer_id: i64,
        producer_epoch: i16,
        marker: EndTransactionMarker,
    ) -> Result<(), CoordinatorError> {
        self.runtime.end_transaction(partition, producer_id, producer_epoch, marker)
    }

    /// The partition of `__consumer_offsets` that holds a group.
    pub(crate) fn partition_of(&self, group: &str) -> Result<i32, ResponseError> {
        self.runtime.partition_of(group)
    }

    fn commit(
        &self,
        request: &OffsetCommitRequest,
        knows_epochs: bool,
        admit: impl FnOnce(i32) -> Result<Option<InTransaction>, ResponseError>,
    ) -> ErrorsByPartition {
        let known: Vec<i32> = request.topics.iter().map(|topic| self.partitions(&topic.name)).collect();
        let without_group = |error: Option<ResponseError>| -> ErrorsByPartition {
            let of_topic = |(topic, known): (&_, &i32)| unknown_or(topic, *known, error);
            request.topics.iter().zip(&known).map(of_topic).collect()
        };
        let exists = |(topic, known): (&OffsetCommitRequestTopic, &i32)| {
            topic.partitions.iter().any(|partition| (0..*known).contains(&partition.partition_index))
        };
        if !request.topics.iter().zip(&known).any(exists) {
            return without_group(None);
        }
        let committed =
            self.runtime.partition_of(&request.group_id).and_then(admit).and_then(|transaction| {
                self.runtime.write(&request.group_id, |shard, now, effects| {
                    shard.commit(now, request, knows_epochs, &known, transaction, effects)
                })
            });
        match committed {
            Ok(Ok(errors)) => errors,
            Ok(Err(error)) | Err(error) => without_group(Some(error)),
        }
    }

    /// OffsetFetch of one group; None stands for all its topics. `member` is who asks and its epoch, if it says so.
    pub(crate) fn fetch_offsets(
        &self,
        group: &str,
        member: Option<(&str, i32)>,
        topics: Option<&[OffsetFetchRequestTopics]>,
        require_stable: bool,
    ) -> Result<Vec<OffsetFetchResponseTopics>, ResponseError> {
        let fetch = |shard: &mut GroupShard, _, _: &mut _| {
            shard.validate_fetcher(group, member)?;
            Ok(shard.fetch(group, topics, require_stable))
        };
        let without_topic = || {
            let shard = GroupShard::new(Arc::clone(&self.settings), Arc::clone(&self.topics), Arc::default());
            Ok(Ok(shard.fetch(group, topics, false)))
        };
        self.runtime.existing(group, fetch).unwrap_or_else(without_topic)?
    }

    /// OffsetDelete: the error of each partition, or that of the group.
    pub(crate) fn delete_offsets(
        &self,
        request: &OffsetDeleteRequest,
    ) -> Result<ErrorsByPartition, ResponseError> {
        if request.group_id.is_empty() {
            return Err(ResponseError::InvalidGroupId);
        }
        let known: Vec<i32> = request.topics.iter().map(|topic| self.partitions(&topic.name)).collect();
        let input =
            |shard: &mut GroupShard, _, effects: &mut _| shard.delete_offsets(request, &known, effects);
        self.runtime.existing(&request.group_id, input).unwrap_or(Err(ResponseError::GroupIdNotFound))?
    }

    /// DescribeGroups, of one group: the group, or GROUP_ID_NOT_FOUND and the reason.
    pub(crate) fn describe(&self, group: &str) -> Result<DescribedGroup, (ResponseError, String)> {
        let describe = |shard: &mut GroupShard, _, _: &mut _| {
            shard.describe(group).ok_or_else(|| {
                if shard.is_modern(group) || shard.consumers.contains_key(group) {
                    format!("Group {group} is not a classic group.")
                } else {
                    format!("Group {group} not found.")
                }
            })
        };
        match self.runtime.existing(group, describe) {
            Some(Ok(described)) => described.map_err(|reason| (ResponseError::GroupIdNotFound, reason)),
            Some(Err(error)) => Err((error, error.to_string())),
            None => Err((ResponseError::GroupIdNotFound, format!("Group {group} not found."))),
        }
    }

    /// ListGroups, by name.
    pub(crate) fn list(&self, filter: &ListFilter) -> Result<Vec<ListedGroup>, ResponseError> {
        let mut groups = Vec::new();
        self.runtime.each(|shard, _, _| shard.list(filter, &mut groups))?;
        groups.sort_unstable_by(|a, b| a.group_id.as_str().cmp(b.group_id.as_str()));
        Ok(groups)
    }

    /// DeleteGroups, of one group.
    pub(crate) fn delete(&self, group: &str) -> Result<(), ResponseError> {
        let input = |shard: &mut GroupShard, _, effects: &mut _| shard.delete_group(group, effects);
        self.runtime.existing(group, input).unwrap_or(Err(ResponseError::GroupIdNotFound))?
    }

    /// To be called when a topic is deleted: its offsets go with it.
    pub(crate) fn on_topic_deleted(&self, topic: &str) -> Result<(), ResponseError> {
        self.runtime.each(|shard, _, effects| shard.topic_deleted(topic, effects))
    }

    fn partitions(&self, topic: &str) -> i32 {
        self.topics.partitions(topic).unwrap_or(0)
    }
}

/// UNKNOWN_TOPIC_OR_PARTITION for partitions that do not exist, `error` for the others.
fn unknown_or(
    topic: &OffsetCommitRequestTopic,
    known: i32,
    error: Option<ResponseError>,
) -> Vec<Option<ResponseError>> {
    let of_partition = |index: i32| {
        if (0..known).contains(&index) { error } else { Some(ResponseError::UnknownTopicOrPartition) }
    };
    topic.partitions.iter().map(|partition| of_partition(partition.partition_index)).collect()
}

fn no_group(group: &str) -> Refusal {
    Refusal::new(ResponseError::GroupIdNotFound, format!("Group {group} not found."))
}

/// A reply of the other kind cannot belong to this ticket.
fn into_join(reply: Reply) -> JoinGroupResponse {
    match reply {
        Reply::Join(response) => response,
        Reply::Sync(_) => {
            JoinGroupResponse::default().with_error_code(ResponseError::UnknownServerError.code())
        }
    }
}

fn into_sync(reply: Reply) -> SyncGroupResponse {
    match reply {
        Reply::Sync(response) => response,
        Reply::Join(_) => {
            SyncGroupResponse::default().with_error_code(ResponseError::UnknownServerError.code())
        }
    }
}

/// A copy, so that a response does not keep more alive than it shows.
pub(crate) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// An address as Java's `InetAddress` prints it: "/127.0.0.1", "/0:0:0:0:0:0:0:1". Kafka stores and shows clients so.
pub(crate) fn java_address(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => format!("/{address}"),
        IpAddr::V6(address) => {
            let groups: Vec<String> =
                address.segments().iter().map(|segment| format!("{segment:x}")).collect();
            format!("/{}", groups.join(":"))
        }
    }
}
