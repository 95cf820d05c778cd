//! A member of a group by the classic protocol.

mod assign;

use super::cluster::{Client, To};
use super::connection::Connection;
use super::error::{ClientError, check};
use super::{TopicPartition, by_topic, group_id, string};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::sync_group_request::SyncGroupRequestAssignment;
use kafka_protocol::messages::{
    ApiKey, ConsumerProtocolAssignment, ConsumerProtocolSubscription, HeartbeatRequest, JoinGroupRequest,
    JoinGroupResponse, LeaveGroupRequest, OffsetCommitRequest, OffsetCommitResponse, SyncGroupRequest,
    TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Error codes that a member answers by joining anew.
const ILLEGAL_GENERATION: i16 = 22;
const UNKNOWN_MEMBER_ID: i16 = 25;
const REBALANCE_IN_PROGRESS: i16 = 27;
const MEMBER_ID_REQUIRED: i16 = 79;
/// The version of subscriptions and assignments that all clients read.
const FORMAT: i16 = 0;

/// How a member is one.
#[derive(Clone, Debug)]
pub(crate) struct MemberSettings {
    /// The group.
    pub(crate) group: String,
    /// The name of a static member.
    pub(crate) instance: Option<String>,
    /// How long the group waits for a heartbeat.
    pub(crate) session_timeout: Duration,
    /// How long it waits for members to come back in a rebalance.
    pub(crate) rebalance_timeout: Duration,
    /// How often to send heartbeats.
    pub(crate) heartbeat: Duration,
}

impl MemberSettings {
    /// A dynamic member whose records are handled at once: Kafka's defaults, but for the minutes that a consumer may be
    /// busy with its records (`max.poll.interval.ms`).
    pub(crate) fn new(group: &str) -> Self {
        Self {
            group: group.to_owned(),
            instance: None,
            session_timeout: Duration::from_secs(45),
            rebalance_timeout: Duration::from_secs(60),
            heartbeat: Duration::from_secs(3),
        }
    }
}

/// One member.
#[derive(Debug)]
pub(crate) struct Member {
    settings: MemberSettings,
    topics: Vec<String>,
    id: String,
    generation: i32,
    next_heartbeat: Instant,
}

impl Member {
    /// A member that has not joined.
    pub(crate) fn new(settings: MemberSettings, topics: Vec<String>) -> Self {
        Self { settings, topics, id: String::new(), generation: -1, next_heartbeat: Instant::now() }
    }

    /// The group.
    pub(crate) fn group(&self) -> &str {
        &self.settings.group
    }

    /// The topics that it asks for.
    pub(crate) fn topics(&self) -> &[String] {
        &self.topics
    }

    /// Asks for other topics, from the next [`Member::join`] on.
    pub(crate) fn subscribe(&mut self, topics: Vec<String>) {
        self.topics = topics;
    }

    /// Joins the group and gives the partitions that are now this member's.
    ///
    /// # Errors
    /// The group does not take it.
    pub(crate) async fn join(&mut self, client: &mut Client) -> Result<Vec<TopicPartition>, ClientError> {
        let mut pace = client.pace();
        loop {
            match self.try_join(client).await {
                Ok(mine) => {
                    self.next_heartbeat = Instant::now() + self.settings.heartbeat;
                    return Ok(mine);
                }
                Err(error) if self.may_join_again(&error) => {}
                Err(error) => {
                    client.disconnect_all(&error);
                    pace.pause_after(error).await?;
                }
            }
        }
    }

    /// Sends a heartbeat if it is time. `true` asks for another [`Member::join`].
    ///
    /// # Errors
    /// The group does not want this member any more.
    pub(crate) async fn heartbeat(&mut self, client: &mut Client) -> Result<bool, ClientError> {
        if Instant::now() < self.next_heartbeat {
            return Ok(false);
        }
        self.next_heartbeat = Instant::now() + self.settings.heartbeat;
        let request = HeartbeatRequest::default()
            .with_group_id(group_id(&self.settings.group))
            .with_generation_id(self.generation)
            .with_member_id(string(&self.id))
            .with_group_instance_id(self.settings.instance.as_deref().map(string));
        let answer = client.call(To::Group(&self.settings.group), &request).await?;
        match check(ApiKey::Heartbeat as i16, answer.error_code, None) {
            Ok(()) => Ok(false),
            Err(error) if self.may_join_again(&error) || error.is_retriable() => {
                client.disconnect_all(&error);
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    /// Commits offsets. One that comes too late for its generation is not written, and that is no error: whoever has
    /// the partition now reads from the commit before.
    ///
    /// # Errors
    /// The coordinator does not take it.
    pub(crate) async fn commit(
        &self,
        client: &mut Client,
        offsets: &BTreeMap<TopicPartition, i64>,
    ) -> Result<(), ClientError> {
        let request = commit_request(&self.settings.group, self.generation, &self.id, offsets)
            .with_group_instance_id(self.settings.instance.as_deref().map(string));
        let to = To::Group(&self.settings.group);
        match client.call_checked::<OffsetCommitRequest, _>(to, |_| &request, check_commit).await {
            Err(ClientError::Code {
                code: ILLEGAL_GENERATION | UNKNOWN_MEMBER_ID | REBALANCE_IN_PROGRESS,
                ..
            }) => Ok(()),
            outcome => outcome.map(|_| ()),
        }
    }

    /// Leaves the group, unless it is a static member, which comes back.
    pub(crate) async fn leave(&mut self, client: &mut Client) {
        if self.id.is_empty() || self.settings.instance.is_some() {
            return;
        }
        let make = |version| {
            let request = LeaveGroupRequest::default().with_group_id(group_id(&self.settings.group));
            match version {
                3.. => request.with_members(vec![MemberIdentity::default().with_member_id(string(&self.id))]),
                _ => request.with_member_id(string(&self.id)),
            }
        };
        // Without an answer the session ends by itself.
        if let Ok(connection) = client.connection(To::Group(&self.settings.group)).await {
            let _ = connection.call_with::<LeaveGroupRequest, _>(make).await;
        }
    }

    /// What an error means for the membership: with these, one joins once more and at once.
    fn may_join_again(&mut self, error: &ClientError) -> bool {
        let ClientError::Code { code, .. } = error else { return false };
        if *code == UNKNOWN_MEMBER_ID || *code == ILLEGAL_GENERATION {
            self.id.clear();
            self.generation = -1;
        }
        matches!(*code, UNKNOWN_MEMBER_ID | ILLEGAL_GENERATION | REBALANCE_IN_PROGRESS | MEMBER_ID_REQUIRED)
    }

    async fn try_join(&mut self, client: &mut Client) -> Result<Vec<TopicPartition>, ClientError> {
        let joined = self.send_join(client).await?;
        self.id = joined.member_id.to_string();
        check(ApiKey::JoinGroup as i16, joined.error_code, None)?;
        self.generation = joined.generation_id;
        let assignments = if joined.leader == joined.member_id && !joined.skip_assignment {
            self.assign(client, &joined.members).await?
        } else {
            Vec::new()
        };
        let request = SyncGroupRequest::default()
            .with_group_id(group_id(&self.settings.group))
            .with_generation_id(self.generation)
            .with_member_id(string(&self.id))
            .with_group_instance_id(self.settings.instance.as_deref().map(string))
            .with_protocol_type(Some(string("consumer")))
            .with_protocol_name(joined.protocol_name.clone())
            .with_assignments(assignments);
        let answer = self.connection(client).await?.call(&request).await?;
        check(ApiKey::SyncGroup as i16, answer.error_code, None)?;
        read_assignment(answer.assignment).map_err(|reason| ClientError::Malformed {
            address: self.settings.group.clone(),
            api: "SyncGroup".into(),
            reason,
        })
    }

    async fn send_join(&self, client: &mut Client) -> Result<JoinGroupResponse, ClientError> {
        let subscription = ConsumerProtocolSubscription::default()
            .with_topics(self.topics.iter().map(|topic| string(topic)).collect());
        let metadata = versioned(&subscription)?;
        let ms = |duration: Duration| i32::try_from(duration.as_millis()).unwrap_or(i32::MAX);
        let request = JoinGroupRequest::default()
            .with_group_id(group_id(&self.settings.group))
            .with_session_timeout_ms(ms(self.settings.session_timeout))
            .with_rebalance_timeout_ms(ms(self.settings.rebalance_timeout))
            .with_member_id(string(&self.id))
            .with_group_instance_id(self.settings.instance.as_deref().map(string))
            .with_protocol_type(string("consumer"))
            .with_protocols(vec![
                JoinGroupRequestProtocol::default().with_name(string("range")).with_metadata(metadata),
            ]);
        // The answer comes when all members have joined, or had their time.
        let patience = self.settings.rebalance_timeout + client.config().request_timeout;
        self.connection(client).await?.call_within(&request, patience).await
    }

    /// As the leader: who gets what.
    async fn assign(
        &self,
        client: &mut Client,
        members: &[JoinGroupResponseMember],
    ) -> Result<Vec<SyncGroupRequestAssignment>, ClientError> {
        let mut subscribed = BTreeMap::new();
        for member in members {
            let topics = read_subscription(member.metadata.clone()).unwrap_or_default();
            subscribed.insert(member.member_id.to_string(), topics);
        }
        let names: std::collections::BTreeSet<&str> =
            subscribed.values().flatten().map(String::as_str).collect();
        let names: Vec<&str> = names.into_iter().collect();
        let found = client.metadata(Some(&names)).await?;
        let counts = found.iter().map(|topic| (topic.name.clone(), topic.partitions.len())).collect();
        let mut all = Vec::new();
        for (member, partitions) in assign::range(&subscribed, &counts) {
            let bytes = versioned(&assignment(&partitions))?;
            all.push(
                SyncGroupRequestAssignment::default().with_member_id(string(&member)).with_assignment(bytes),
            );
        }
        Ok(all)
    }

    async fn connection<'c>(&self, client: &'c mut Client) -> Result<&'c mut Connection, ClientError> {
        client.connection(To::Group(&self.settings.group)).await
    }
}

/// A commit, of a member or (generation -1, no id) of nobody.
pub(crate) fn commit_request(
    group: &str,
    generation: i32,
    member: &str,
    offsets: &BTreeMap<TopicPartition, i64>,
) -> OffsetCommitRequest {
    let topic = |(name, list): (TopicName, Vec<(i32, i64)>)| {
        let one = |(index, offset)| {
            OffsetCommitRequestPartition::default()
                .with_partition_index(index)
                .with_committed_offset(offset)
                .with_committed_leader_epoch(-1)
                .with_committed_metadata(Some(string("")))
        };
        OffsetCommitRequestTopic::default()
            .with_name(name)
            .with_partitions(list.into_iter().map(one).collect())
    };
    let topics = by_topic(offsets.iter().map(|(tp, offset)| (tp, *offset)));
    OffsetCommitRequest::default()
        .with_group_id(group_id(group))
        .with_generation_id_or_member_epoch(generation)
        .with_member_id(string(member))
        .with_retention_time_ms(-1)
        .with_topics(topics.into_iter().map(topic).collect())
}

/// The first error of the partitions of a commit.
pub(crate) fn check_commit(answer: &OffsetCommitResponse) -> Result<(), ClientError> {
    let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    partitions
        .into_iter()
        .try_for_each(|partition| check(ApiKey::OffsetCommit as i16, partition.error_code, None))
}

/// The partitions of an assignment, as a group's description has it. No bytes are no partitions.
pub(crate) fn read_assignment(mut bytes: Bytes) -> Result<Vec<TopicPartition>, String> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let version = version_of(&mut bytes, 3)?;
    let read = ConsumerProtocolAssignment::decode(&mut bytes, version).map_err(|error| error.to_string())?;
    let mut all = Vec::new();
    for topic in read.assigned_partitions {
        all.extend(topic.partitions.iter().map(|partition| TopicPartition::new(&topic.topic, *partition)));
    }
    Ok(all)
}

fn read_subscription(mut bytes: Bytes) -> Result<Vec<String>, String> {
    let version = version_of(&mut bytes, 3)?;
    let read =
        ConsumerProtocolSubscription::decode(&mut bytes, version).map_err(|error| error.to_string())?;
    Ok(read.topics.iter().map(ToString::to_string).collect())
}

/// A newer version begins with the fields of the newest that is known.
fn version_of(bytes: &mut Bytes, newest: i16) -> Result<i16, String> {
    if bytes.len() < 2 {
        return Err("cut off before its version".into());
    }
    Ok(bytes.get_i16().clamp(0, newest))
}

fn assignment(partitions: &[TopicPartition]) -> ConsumerProtocolAssignment {
    use kafka_protocol::messages::consumer_protocol_assignment::TopicPartition as Assigned;
    let topics = by_topic(partitions.iter().map(|tp| (tp, ()))).into_iter().map(|(name, list)| {
        Assigned::default()
            .with_topic(name)
            .with_partitions(list.into_iter().map(|(index, ())| index).collect())
    });
    ConsumerProtocolAssignment::default().with_assigned_partitions(topics.collect())
}

fn versioned(message: &impl Encodable) -> Result<Bytes, ClientError> {
    let mut bytes = BytesMut::new();
    bytes.put_i16(FORMAT);
    message.encode(&mut bytes, FORMAT).map_err(|error| ClientError::Config(error.to_string()))?;
    Ok(bytes.freeze())
}
