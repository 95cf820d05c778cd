//! A member of a group of the consumer protocol, which gives up and takes at once what it is told to.

use super::crowd::Client;
use super::{PARTITIONS_EACH, TOPIC};
use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use kafka_protocol::messages::{ConsumerGroupHeartbeatRequest, GroupId};
use milena_integration_tests::raw::{decode, frame};
use milena_integration_tests::requests::{name, text};

const HEARTBEAT: i16 = 0;

/// A member.
#[derive(Debug)]
pub(super) struct ConsumerMember {
    group: String,
    id: String,
    epoch: i32,
    owned: Vec<TopicPartitions>,
}

impl ConsumerMember {
    pub(super) fn new(group: &str, number: usize) -> Self {
        Self { group: group.to_owned(), id: Self::id_of(number), epoch: 0, owned: Vec::new() }
    }

    /// The id of a member.
    pub(super) fn id_of(number: usize) -> String {
        format!("member-{number:05}")
    }

    fn request(&self) -> ConsumerGroupHeartbeatRequest {
        ConsumerGroupHeartbeatRequest::default()
            .with_group_id(GroupId(text(&self.group)))
            .with_member_id(text(&self.id))
            .with_member_epoch(self.epoch)
    }

    fn owned(&self) -> usize {
        self.owned.iter().map(|topic| topic.partitions.len()).sum()
    }
}

impl Client for ConsumerMember {
    fn first(&self) -> Vec<u8> {
        let request = self
            .request()
            .with_rebalance_timeout_ms(300_000)
            .with_subscribed_topic_names(Some(vec![name(TOPIC)]))
            .with_topic_partitions(Some(Vec::new()));
        frame(0, HEARTBEAT, &request)
    }

    fn take(&mut self, answer: Vec<u8>) -> Option<Vec<u8>> {
        let answer = decode::<ConsumerGroupHeartbeatRequest>(HEARTBEAT, answer).1;
        assert_eq!(answer.error_code, 0, "a member is refused: {:?}", answer.error_message);
        self.epoch = answer.member_epoch;
        let told = answer.assignment?;
        self.owned = told
            .topic_partitions
            .into_iter()
            .map(|told| {
                TopicPartitions::default().with_topic_id(told.topic_id).with_partitions(told.partitions)
            })
            .collect();
        Some(frame(0, HEARTBEAT, &self.request().with_topic_partitions(Some(self.owned.clone()))))
    }

    fn heartbeat(&self) -> Vec<u8> {
        frame(0, HEARTBEAT, &self.request())
    }

    fn is_settled(&self) -> bool {
        self.owned() > 0
    }

    /// All have reached one epoch, and their partitions are all there are or as many as when all were there.
    fn are_settled<'a>(mut all: impl Iterator<Item = &'a Self> + Clone) -> bool {
        let epoch = all.clone().next().map_or(-1, |member| member.epoch);
        let most = usize::try_from(PARTITIONS_EACH).unwrap_or(0);
        all.all(|member| member.epoch == epoch && (1..=most).contains(&member.owned()))
    }
}
