//! The brokers of a cluster, what is known of them, and whom to ask what.

use super::config::ClientConfig;
use super::connection::Connection;
use super::error::{ClientError, check};
use super::{TopicPartition, string, topic_name};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{MetadataResponsePartition, MetadataResponseTopic};
use kafka_protocol::messages::{
    ApiKey, FindCoordinatorRequest, FindCoordinatorResponse, MetadataRequest, MetadataResponse,
};
use kafka_protocol::protocol::Request;
use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// The key of the connection to whoever of the bootstrap servers answered.
const BOOTSTRAP: i32 = -1;
/// The longest pause between two attempts.
const BACKOFF_MAX: Duration = Duration::from_secs(1);
/// What kind of key a group's name is.
const OF_GROUP: i8 = 0;
/// What kind of key a transactional id is.
const OF_TRANSACTION: i8 = 1;
/// From this version on, FindCoordinator takes a list of keys.
const FIND_MANY: i16 = 4;

/// Whom a request is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum To<'a> {
    /// Whoever there is.
    Any,
    /// The node that Metadata calls the controller.
    Controller,
    /// A node by its number.
    Node(i32),
    /// The coordinator of a group.
    Group(&'a str),
    /// The coordinator of a transactional id.
    Transaction(&'a str),
}

/// A broker as Metadata tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    /// The number.
    pub(crate) id: i32,
    /// The advertised host.
    pub(crate) host: String,
    /// The advertised port.
    pub(crate) port: u16,
    /// The rack.
    pub(crate) rack: Option<String>,
}

/// A topic as Metadata tells of it.
#[derive(Clone, Debug)]
pub(crate) struct Topic {
    /// Error code, 0 if there is none.
    pub(crate) error: i16,
    /// The name.
    pub(crate) name: String,
    /// The id.
    pub(crate) id: Uuid,
    /// Whether Kafka itself keeps its records in it.
    pub(crate) is_internal: bool,
    /// The partitions by their number.
    pub(crate) partitions: Vec<Partition>,
}

/// A partition as Metadata tells of it.
#[derive(Clone, Debug)]
pub(crate) struct Partition {
    /// The number.
    pub(crate) index: i32,
    /// The leader, if there is one.
    pub(crate) leader: Option<i32>,
    /// The leader's epoch.
    pub(crate) epoch: i32,
    /// All replicas, the preferred leader first.
    pub(crate) replicas: Vec<i32>,
    /// The replicas in sync.
    pub(crate) isr: Vec<i32>,
}

/// A client of one cluster.
pub(crate) struct Client {
    config: ClientConfig,
    connections: HashMap<i32, Connection>,
    nodes: BTreeMap<i32, Node>,
    controller: i32,
    cluster_id: Option<String>,
    leaders: HashMap<TopicPartition, (i32, i32)>,
    coordinators: HashMap<(i8, String), i32>,
    warned: bool,
    stays: bool,
}

impl Client {
    /// A client that has not connected yet.
    pub(crate) fn new(config: ClientConfig) -> Self {
        Self {
            config,
            connections: HashMap::new(),
            nodes: BTreeMap::new(),
            controller: -1,
            cluster_id: None,
            leaders: HashMap::new(),
            coordinators: HashMap::new(),
            warned: false,
            stays: false,
        }
    }

    /// Asks nobody but those whom it was given: controllers tell of no brokers, and do their work.
    pub(crate) fn stay_there(&mut self) {
        self.stays = true;
    }

    /// Whether it asks nobody but those whom it was given.
    pub(crate) fn stays(&self) -> bool {
        self.stays
    }

    /// The settings.
    pub(crate) fn config(&self) -> &ClientConfig {
        &self.config
    }

    /// The cluster's id, as the last Metadata told it.
    pub(crate) fn cluster_id(&self) -> Option<&str> {
        self.cluster_id.as_deref()
    }

    /// The brokers, as the last Metadata told them.
    pub(crate) fn nodes(&self) -> &BTreeMap<i32, Node> {
        &self.nodes
    }

    /// The controller, as the last Metadata told it.
    pub(crate) fn controller(&self) -> Option<i32> {
        Some(self.controller).filter(|id| *id >= 0)
    }

    /// Sends a request and gives the answer, whatever error codes are in it.
    ///
    /// # Errors
    /// See [`ClientError`]. What can be tried again has been.
    pub(crate) async fn call<R: Request>(
        &mut self,
        to: To<'_>,
        request: &R,
    ) -> Result<R::Response, ClientError> {
        self.call_checked::<R, &R>(to, |_| request, |_| Ok(())).await
    }

    /// Sends a request, made for the version that it is sent in, until `check` is content with the answer, finds an
    /// error that will not go away, or the time is up.
    pub(crate) async fn call_checked<R: Request, B: Borrow<R>>(
        &mut self,
        to: To<'_>,
        make: impl Fn(i16) -> B,
        check: impl Fn(&R::Response) -> Result<(), ClientError>,
    ) -> Result<R::Response, ClientError> {
        let mut pace = self.pace();
        loop {
            let error = match self.attempt::<R, B>(to, &make).await {
                Ok(answer) => match check(&answer) {
                    Ok(()) => return Ok(answer),
                    // Those who write and read wait for what is just being made. A change or a question is about what is there, as
                    // with Kafka's admin client.
                    Err(error) if error.code() == Some(ResponseError::UnknownTopicOrPartition.code()) => {
                        return Err(error);
                    }
                    Err(error) => error,
                },
                Err(error) => error,
            };
            self.forget(to, &error);
            pace.pause_after(error).await?;
        }
    }

    /// The connection to whom the request is for.
    ///
    /// # Errors
    /// It cannot be found out, or does not answer.
    pub(crate) async fn connection(&mut self, to: To<'_>) -> Result<&mut Connection, ClientError> {
        let key = match to {
            _ if self.stays => self.any().await?,
            To::Any => self.any().await?,
            To::Node(id) => self.node(id).await?,
            To::Controller => {
                if !self.nodes.contains_key(&self.controller) {
                    self.metadata(Some(&[])).await?;
                }
                match self.controller {
                    id if self.nodes.contains_key(&id) => self.node(id).await?,
                    _ => self.any().await?,
                }
            }
            To::Group(group) => self.coordinator(OF_GROUP, group).await?,
            To::Transaction(id) => self.coordinator(OF_TRANSACTION, id).await?,
        };
        self.connections
            .get_mut(&key)
            .ok_or_else(|| ClientError::Unreachable(format!("no connection to {to:?}")))
    }

    /// Asks for the brokers, and for topics: all of them, or those named. Nothing is created.
    pub(crate) async fn metadata(&mut self, topics: Option<&[&str]>) -> Result<Vec<Topic>, ClientError> {
        self.metadata_of(topics, false).await
    }

    /// Like [`Client::metadata`], and creates what does not exist where the broker allows that.
    pub(crate) async fn metadata_of(
        &mut self,
        topics: Option<&[&str]>,
        create: bool,
    ) -> Result<Vec<Topic>, ClientError> {
        let wanted = topics.map(|topics| {
            topics
                .iter()
                .map(|name| MetadataRequestTopic::default().with_name(Some(topic_name(name))))
                .collect()
        });
        let request = MetadataRequest::default().with_topics(wanted).with_allow_auto_topic_creation(create);
        let answer = Box::pin(self.call(To::Any, &request)).await?;
        Ok(self.learn(answer))
    }

    /// The leader of a partition and its epoch, from what is known, or from Metadata.
    pub(crate) async fn leader(&mut self, tp: &TopicPartition) -> Result<(i32, i32), ClientError> {
        if let Some(leader) = self.leaders.get(tp) {
            return Ok(*leader);
        }
        for topic in self.metadata(Some(&[&tp.topic])).await? {
            check(ApiKey::Metadata as i16, topic.error, None)?;
        }
        // 5: LEADER_NOT_AVAILABLE, 3: UNKNOWN_TOPIC_OR_PARTITION. Both may pass.
        self.leaders.get(tp).copied().ok_or_else(|| ClientError::Code {
            api: "Metadata".into(),
            code: 5,
            message: Some(format!("{tp} has no leader")),
        })
    }

    /// The number of the coordinator of a transactional id.
    pub(crate) async fn transaction_coordinator(&mut self, id: &str) -> Result<i32, ClientError> {
        self.coordinator(OF_TRANSACTION, id).await
    }

    /// Drops what is known of leaders: one of them was not.
    pub(crate) fn forget_leaders(&mut self) {
        self.leaders.clear();
    }

    /// Drops the connection to a node: it broke.
    pub(crate) fn disconnect(&mut self, node: i32) {
        self.connections.remove(&node);
    }

    /// Drops all that an error says is not true any more, connections and coordinators.
    pub(crate) fn disconnect_all(&mut self, error: &ClientError) {
        self.forget(To::Any, error);
    }

    /// Retries of one call: pauses and the time that all may take.
    pub(crate) fn pace(&self) -> Pace {
        Pace { until: Instant::now() + self.config.api_timeout, backoff: self.config.retry_backoff }
    }

    async fn attempt<R: Request, B: Borrow<R>>(
        &mut self,
        to: To<'_>,
        make: &impl Fn(i16) -> B,
    ) -> Result<R::Response, ClientError> {
        self.connection(to).await?.call_with::<R, B>(make).await
    }

    /// What an error says is not true any more.
    fn forget(&mut self, to: To<'_>, error: &ClientError) {
        if matches!(
            error,
            ClientError::Io { .. } | ClientError::Timeout { .. } | ClientError::Malformed { .. }
        ) {
            match to {
                To::Node(id) => self.disconnect(id),
                _ => self.connections.clear(),
            }
        }
        if error.is_retriable() {
            self.coordinators.clear();
            self.controller = -1;
        }
    }

    async fn any(&mut self) -> Result<i32, ClientError> {
        if let Some(key) = self.connections.keys().min() {
            return Ok(*key);
        }
        let mut pace = self.pace();
        loop {
            let mut unresolved = 0;
            let mut last = None;
            for (host, port) in self.config.bootstrap.clone() {
                match Connection::open(&host, port, &self.config).await {
                    Ok(connection) => {
                        self.connections.insert(BOOTSTRAP, connection);
                        return Ok(BOOTSTRAP);
                    }
                    Err(ClientError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                        unresolved += 1;
                    }
                    Err(error) => last = Some(error),
                }
            }
            if unresolved == self.config.bootstrap.len() {
                let text = "No resolvable bootstrap urls given in bootstrap.servers";
                return Err(ClientError::Config(text.into()));
            }
            let error = last.unwrap_or_else(|| ClientError::Unreachable("nobody answers".into()));
            self.warn(&error);
            pace.pause_after(error).await.map_err(|error| {
                let ms = self.config.api_timeout.as_millis();
                ClientError::Unreachable(format!("No broker answered within {ms} ms; last: {error}"))
            })?;
        }
    }

    /// Says once on standard error what the waiting is for.
    fn warn(&mut self, error: &ClientError) {
        if !std::mem::replace(&mut self.warned, true) {
            // Nobody may be reading that.
            let _ =
                io::Write::write_all(&mut io::stderr(), format!("WARN {error}; trying again\n").as_bytes());
        }
    }

    async fn node(&mut self, id: i32) -> Result<i32, ClientError> {
        if self.connections.contains_key(&id) {
            return Ok(id);
        }
        if !self.nodes.contains_key(&id) {
            self.metadata(Some(&[])).await?;
        }
        let Some(node) = self.nodes.get(&id).cloned() else {
            return Err(ClientError::Unreachable(format!("The cluster has no broker {id}")));
        };
        // The bootstrap connection serves for the node that it leads to, where the address is the same.
        let address = format!("{}:{}", node.host, node.port);
        if self.connections.get(&BOOTSTRAP).is_some_and(|connection| connection.address() == address)
            && let Some(connection) = self.connections.remove(&BOOTSTRAP)
        {
            self.connections.insert(id, connection);
            return Ok(id);
        }
        let connection = Connection::open(&node.host, node.port, &self.config).await?;
        self.connections.insert(id, connection);
        Ok(id)
    }

    async fn coordinator(&mut self, kind: i8, key: &str) -> Result<i32, ClientError> {
        let known = (kind, key.to_owned());
        if let Some(id) = self.coordinators.get(&known).copied() {
            return self.node(id).await;
        }
        let make = |version| {
            let request = FindCoordinatorRequest::default().with_key_type(kind);
            match version {
                FIND_MANY.. => request.with_coordinator_keys(vec![string(key)]),
                _ => request.with_key(string(key)),
            }
        };
        let to = To::Any;
        let answer = self.connection_to_any().await?.call_with::<FindCoordinatorRequest, _>(make).await;
        let found = answer.and_then(coordinator_of);
        let node = found.inspect_err(|error| self.forget(to, error))?;
        let id = node.id;
        self.nodes.insert(id, node);
        self.coordinators.insert(known, id);
        self.node(id).await
    }

    async fn connection_to_any(&mut self) -> Result<&mut Connection, ClientError> {
        let key = self.any().await?;
        self.connections.get_mut(&key).ok_or_else(|| ClientError::Unreachable("no connection".into()))
    }

    fn learn(&mut self, answer: MetadataResponse) -> Vec<Topic> {
        self.controller = answer.controller_id.0;
        self.cluster_id = answer.cluster_id.as_ref().map(ToString::to_string);
        self.nodes = answer
            .brokers
            .iter()
            .map(|broker| {
                let (id, rack) = (broker.node_id.0, broker.rack.as_ref().map(ToString::to_string));
                (id, Node { id, host: broker.host.to_string(), port: port(broker.port), rack })
            })
            .collect();
        let topics: Vec<Topic> = answer.topics.into_iter().map(Topic::from).collect();
        for topic in &topics {
            for partition in &topic.partitions {
                let tp = TopicPartition::new(&topic.name, partition.index);
                match partition.leader {
                    Some(leader) => self.leaders.insert(tp, (leader, partition.epoch)),
                    None => self.leaders.remove(&tp),
                };
            }
        }
        topics
    }
}

/// How long until the next attempt, and until none is left.
pub(crate) struct Pace {
    until: Instant,
    backoff: Duration,
}

impl Pace {
    /// Waits before the next attempt.
    ///
    /// # Errors
    /// `error` itself, if it will not go away or the time is up.
    pub(crate) async fn pause_after(&mut self, error: ClientError) -> Result<(), ClientError> {
        if !error.is_retriable() || Instant::now() + self.backoff >= self.until {
            return Err(error);
        }
        tokio::time::sleep(self.backoff).await;
        self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
        Ok(())
    }
}

impl From<MetadataResponseTopic> for Topic {
    fn from(topic: MetadataResponseTopic) -> Self {
        let mut partitions: Vec<Partition> = topic.partitions.iter().map(Partition::from).collect();
        partitions.sort_unstable_by_key(|partition| partition.index);
        Self {
            error: topic.error_code,
            name: topic.name.map(|name| name.to_string()).unwrap_or_default(),
            id: topic.topic_id,
            is_internal: topic.is_internal,
            partitions,
        }
    }
}

impl From<&MetadataResponsePartition> for Partition {
    fn from(partition: &MetadataResponsePartition) -> Self {
        let ids = |list: &[kafka_protocol::messages::BrokerId]| list.iter().map(|id| id.0).collect();
        Self {
            index: partition.partition_index,
            leader: Some(partition.leader_id.0).filter(|id| *id >= 0),
            epoch: partition.leader_epoch,
            replicas: ids(&partition.replica_nodes),
            isr: ids(&partition.isr_nodes),
        }
    }
}

fn coordinator_of(answer: FindCoordinatorResponse) -> Result<Node, ClientError> {
    let (code, message, id, host, port_number) = match answer.coordinators.into_iter().next() {
        Some(one) => (one.error_code, one.error_message, one.node_id, one.host, one.port),
        None => (answer.error_code, answer.error_message, answer.node_id, answer.host, answer.port),
    };
    check(ApiKey::FindCoordinator as i16, code, message.as_deref())?;
    Ok(Node { id: id.0, host: host.to_string(), port: port(port_number), rack: None })
}

/// A port that is none leads nowhere, and the connection says so.
fn port(number: i32) -> u16 {
    u16::try_from(number).unwrap_or(0)
}
