//! Groups of the consumer protocol: scripts of heartbeats.

mod clock;
mod cost;
mod epochs;
mod migration;
mod model;
mod refusals;
mod regex;
mod subscriptions;

use super::{FixedTopics, GROUP, Harness, START, name};
use crate::api::{consumer_group_describe, consumer_group_heartbeat};
use crate::clock::Clock;
use crate::coordinator::Topics;
use crate::group::tests::MemoryLog;
use crate::group::{GroupCoordinator, GroupSettings, Sender};
use kafka_protocol::messages::consumer_group_describe_response::DescribedGroup;
use kafka_protocol::messages::consumer_group_heartbeat_request::TopicPartitions;
use kafka_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse,
};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use uuid::Uuid;

/// Partitions by the number of the topic.
type Holding = BTreeMap<u128, BTreeSet<i32>>;

/// Topics that a test creates, widens and deletes.
#[derive(Default)]
struct LiveTopics {
    topics: Mutex<BTreeMap<String, (u128, i32)>>,
    version: Mutex<i64>,
    settings: Mutex<BTreeMap<String, i64>>,
    /// What [`set`](Self::set) is given as soon as somebody has read the version.
    after_a_look: Mutex<Option<(&'static str, u128, i32)>>,
}

impl LiveTopics {
    fn set(&self, name: &str, id: u128, partitions: i32) {
        *self.version.lock() += 1;
        self.topics.lock().insert(name.to_owned(), (id, partitions));
    }

    fn remove(&self, name: &str) {
        *self.version.lock() += 1;
        self.topics.lock().remove(name);
    }
}

impl Topics for LiveTopics {
    fn topic(&self, name: &str) -> Option<(Uuid, i32)> {
        self.topics.lock().get(name).map(|(id, partitions)| (Uuid::from_u128(*id), *partitions))
    }

    fn topic_by_id(&self, id: Uuid) -> Option<(String, i32)> {
        let topics = self.topics.lock();
        let (name, (_, partitions)) = topics.iter().find(|(_, (known, _))| Uuid::from_u128(*known) == id)?;
        Some((name.clone(), *partitions))
    }

    fn names(&self) -> Vec<String> {
        self.topics.lock().keys().cloned().collect()
    }

    fn version(&self) -> i64 {
        let version = *self.version.lock();
        if let Some((name, id, partitions)) = self.after_a_look.lock().take() {
            self.set(name, id, partitions);
        }
        version
    }

    fn group_config(&self, _: &str, key: &str) -> Option<i64> {
        self.settings.lock().get(key).copied()
    }
}

/// A coordinator over topics that change.
struct Script {
    harness: Harness,
    topics: Arc<LiveTopics>,
}

impl Script {
    /// "t" (id 1) with six partitions.
    fn new() -> Self {
        Self::with(GroupSettings::default())
    }

    fn with(settings: GroupSettings) -> Self {
        let topics = Arc::new(LiveTopics::default());
        topics.set("t", 1, 6);
        Self::over(Arc::default(), Arc::new(Clock::Manual(START.into())), settings, topics)
    }

    fn over(
        log: Arc<MemoryLog>,
        clock: Arc<Clock>,
        settings: GroupSettings,
        topics: Arc<LiveTopics>,
    ) -> Self {
        let groups = GroupCoordinator::new(settings.clone(), log.clone(), topics.clone(), clock.clone());
        groups.load().unwrap();
        Self { harness: Harness { log, clock, settings, groups, unique: 1.into() }, topics }
    }

    fn restart(self) -> Self {
        let Harness { log, clock, settings, .. } = self.harness;
        Self::over(log, clock, settings, self.topics)
    }

    /// A heartbeat; what it has found due is done when its answer is there.
    fn send(&self, request: ConsumerGroupHeartbeatRequest) -> ConsumerGroupHeartbeatResponse {
        let answer = self.answer(request);
        self.harness.groups.resolve_waiting();
        answer
    }

    fn answer(&self, request: ConsumerGroupHeartbeatRequest) -> ConsumerGroupHeartbeatResponse {
        let sender = Sender { client_id: "client".to_owned(), client_host: "/127.0.0.1".to_owned() };
        consumer_group_heartbeat::answer(&self.harness.groups, 1, &sender, Uuid::from_u128(7), request)
    }

    /// A member joins for these topics.
    fn join(&self, id: &str, topics: &[&str]) -> ConsumerGroupHeartbeatResponse {
        self.send(joining(id, topics))
    }

    /// A heartbeat that says nothing but, perhaps, what the member holds.
    fn beat(&self, id: &str, epoch: i32, owned: Option<&Holding>) -> ConsumerGroupHeartbeatResponse {
        self.send(beating(id, epoch).with_topic_partitions(owned.map(wire)))
    }

    fn describe(&self) -> DescribedGroup {
        let request = ConsumerGroupDescribeRequest::default().with_group_ids(vec![name(GROUP).into()]);
        consumer_group_describe::answer(&self.harness.groups, 1, &request).groups.remove(0)
    }

    fn state(&self) -> String {
        self.describe().group_state.to_string()
    }
}

fn beating(id: &str, epoch: i32) -> ConsumerGroupHeartbeatRequest {
    ConsumerGroupHeartbeatRequest::default()
        .with_group_id(name(GROUP).into())
        .with_member_id(name(id))
        .with_member_epoch(epoch)
        .with_rebalance_timeout_ms(-1)
        .with_topic_partitions(None)
}

fn joining(id: &str, topics: &[&str]) -> ConsumerGroupHeartbeatRequest {
    beating(id, 0)
        .with_rebalance_timeout_ms(30_000)
        .with_subscribed_topic_names(Some(topics.iter().map(|topic| name(topic).into()).collect()))
        .with_topic_partitions(Some(Vec::new()))
}

fn wire(owned: &Holding) -> Vec<TopicPartitions> {
    let of_topic = |(topic, partitions): (&u128, &BTreeSet<i32>)| {
        TopicPartitions::default()
            .with_topic_id(Uuid::from_u128(*topic))
            .with_partitions(partitions.iter().copied().collect())
    };
    owned.iter().map(of_topic).collect()
}

/// The assignment of an answer, if there is one.
fn assigned(response: &ConsumerGroupHeartbeatResponse) -> Option<Holding> {
    let topics = &response.assignment.as_ref()?.topic_partitions;
    let of_topic = |topic: &kafka_protocol::messages::consumer_group_heartbeat_response::TopicPartitions| {
        (topic.topic_id.as_u128(), topic.partitions.iter().copied().collect())
    };
    Some(topics.iter().map(of_topic).collect())
}

fn holding(topic: u128, partitions: impl IntoIterator<Item = i32>) -> Holding {
    Holding::from([(topic, partitions.into_iter().collect())])
}

#[test]
fn fixed_topics_know_their_ids() {
    let (id, partitions) = FixedTopics.topic("payments").unwrap();
    assert_eq!(FixedTopics.topic_by_id(id), Some(("payments".to_owned(), partitions)));
}
