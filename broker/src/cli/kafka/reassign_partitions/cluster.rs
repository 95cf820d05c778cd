//! What the tool asks the cluster.

use super::{Dirs, Replica, Replicas};
use crate::cli::admin::{self, Resource, TIMEOUT_MS};
use crate::cli::failure::Failure;
use crate::client::{Client, ClientError, To, TopicPartition, by_topic, check, message_of, string};
use crate::metadata::{BROKER_RESOURCE, TOPIC_RESOURCE};
use crate::tree::tree;
use kafka_protocol::messages::alter_partition_reassignments_request::{
    ReassignablePartition, ReassignableTopic,
};
use kafka_protocol::messages::alter_replica_log_dirs_request::{AlterReplicaLogDir, AlterReplicaLogDirTopic};
use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::list_partition_reassignments_request::ListPartitionReassignmentsTopics;
use kafka_protocol::messages::{
    AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse, AlterReplicaLogDirsRequest,
    ApiKey, BrokerId, DescribeClusterRequest, DescribeLogDirsRequest, ListPartitionReassignmentsRequest,
    ListPartitionReassignmentsResponse,
};
use std::collections::{BTreeMap, BTreeSet};

const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const REPLICA_NOT_AVAILABLE: i16 = 9;
/// What DescribeCluster is asked for: controllers.
const CONTROLLERS: i8 = 2;
/// From this version on, the number of replicas can be kept.
const KEEPS_FACTOR: i16 = 1;

/// A partition that is being moved.
#[derive(Debug)]
pub(super) struct Moving {
    /// All replicas, old and new.
    pub(super) replicas: Vec<i32>,
    /// Those that come.
    pub(super) adding: Vec<i32>,
    /// Those that go.
    pub(super) removing: Vec<i32>,
}

/// Where a replica is, and where it is going.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// The directory that it is in.
    pub(super) current: Option<String>,
    /// The directory that it is being copied to.
    pub(super) future: Option<String>,
}

/// Brokers, or controllers.
pub(super) struct Cluster {
    client: Client,
    is_controllers: bool,
}

impl Cluster {
    /// What a client leads to.
    pub(super) fn new(client: Client, is_controllers: bool) -> Self {
        Self { client, is_controllers }
    }

    /// Whom to ask for changes: controllers know of no metadata that would tell which of them it is, and pass it on.
    fn controller(&self) -> To<'static> {
        if self.is_controllers { To::Any } else { To::Controller }
    }

    /// The nodes, with their racks.
    pub(super) async fn nodes(&mut self) -> Result<BTreeMap<i32, Option<String>>, ClientError> {
        if self.is_controllers {
            let request = DescribeClusterRequest::default().with_endpoint_type(CONTROLLERS);
            let answer = self.client.call(To::Any, &request).await?;
            check(ApiKey::DescribeCluster as i16, answer.error_code, answer.error_message.as_deref())?;
            return Ok(tree(answer.brokers.iter().map(|node| (node.broker_id.0, None))));
        }
        self.client.metadata(Some(&[])).await?;
        Ok(tree(self.client.nodes().values().map(|node| (node.id, node.rack.clone()))))
    }

    /// Replicas of topics by partition; topics that are not there have none.
    pub(super) async fn replicas(&mut self, topics: &BTreeSet<&str>) -> Result<Replicas, ClientError> {
        let mut all = Replicas::new();
        if topics.is_empty() {
            return Ok(all);
        }
        let names: Vec<&str> = topics.iter().copied().collect();
        for topic in self.client.metadata(Some(&names)).await? {
            if topic.error == UNKNOWN_TOPIC_OR_PARTITION {
                continue;
            }
            check(ApiKey::Metadata as i16, topic.error, None)?;
            all.extend(
                topic
                    .partitions
                    .into_iter()
                    .map(|partition| (TopicPartition::new(&topic.name, partition.index), partition.replicas)),
            );
        }
        Ok(all)
    }

    /// Replicas of topics by partition.
    ///
    /// # Errors
    /// One is not there.
    pub(super) async fn replicas_of_all(&mut self, topics: &BTreeSet<&str>) -> Result<Replicas, ClientError> {
        let found = self.replicas(topics).await?;
        let known: BTreeSet<&str> = found.keys().map(|tp| tp.topic.as_str()).collect();
        match topics.difference(&known).next() {
            None => Ok(found),
            Some(missing) => Err(unknown(format!("Topic {missing} not found."))),
        }
    }

    /// What is being moved: all, or what of these partitions is.
    pub(super) async fn reassignments(
        &mut self,
        partitions: Option<&BTreeSet<TopicPartition>>,
    ) -> Result<BTreeMap<TopicPartition, Moving>, ClientError> {
        let topics = partitions.map(|list| {
            by_topic(list.iter().map(|tp| (tp, ())))
                .into_iter()
                .map(|(name, list)| {
                    ListPartitionReassignmentsTopics::default()
                        .with_name(name)
                        .with_partition_indexes(list.into_iter().map(|(index, ())| index).collect())
                })
                .collect()
        });
        let request =
            ListPartitionReassignmentsRequest::default().with_timeout_ms(TIMEOUT_MS).with_topics(topics);
        let check_one = |answer: &ListPartitionReassignmentsResponse| {
            let key = ApiKey::ListPartitionReassignments as i16;
            check(key, answer.error_code, answer.error_message.as_deref())
        };
        let to = self.controller();
        let call =
            self.client.call_checked::<ListPartitionReassignmentsRequest, _>(to, |_| &request, check_one);
        let answer = call.await?;
        let mut all = BTreeMap::new();
        for topic in answer.topics {
            for partition in topic.partitions {
                let tp = TopicPartition::new(&topic.name, partition.partition_index);
                let moving = Moving {
                    replicas: ids(&partition.replicas),
                    adding: ids(&partition.adding_replicas),
                    removing: ids(&partition.removing_replicas),
                };
                all.insert(tp, moving);
            }
        }
        Ok(all)
    }

    /// Moves partitions to other replicas, or with `None` back to where they were. Gives the partitions for which
    /// that is not to be.
    pub(super) async fn reassign(
        &mut self,
        wanted: &BTreeMap<TopicPartition, Option<Vec<i32>>>,
        may_change_factor: bool,
    ) -> Result<BTreeMap<TopicPartition, String>, ClientError> {
        let topics: Vec<ReassignableTopic> = by_topic(wanted.iter())
            .into_iter()
            .map(|(name, list)| {
                let one = |(index, replicas): (i32, &Option<Vec<i32>>)| {
                    let replicas = replicas.as_ref().map(|ids| ids.iter().copied().map(BrokerId).collect());
                    ReassignablePartition::default().with_partition_index(index).with_replicas(replicas)
                };
                let partitions = list.into_iter().map(one).collect();
                ReassignableTopic::default().with_name(name).with_partitions(partitions)
            })
            .collect();
        let make = |version| {
            let request = AlterPartitionReassignmentsRequest::default()
                .with_timeout_ms(TIMEOUT_MS)
                .with_topics(topics.clone());
            // An old broker would change the number all the same, so it is not asked.
            match version < KEEPS_FACTOR && may_change_factor {
                true => request,
                false => request.with_allow_replication_factor_change(may_change_factor),
            }
        };
        let check_one = |answer: &AlterPartitionReassignmentsResponse| {
            let key = ApiKey::AlterPartitionReassignments as i16;
            check(key, answer.error_code, answer.error_message.as_deref())
        };
        let to = self.controller();
        let call = self.client.call_checked::<AlterPartitionReassignmentsRequest, _>(to, make, check_one);
        let answer = call.await?;
        let mut refused = BTreeMap::new();
        for topic in answer.responses {
            for partition in topic.partitions.into_iter().filter(|partition| partition.error_code != 0) {
                let tp = TopicPartition::new(&topic.name, partition.partition_index);
                let text = partition.error_message.map(|text| text.to_string());
                refused.insert(tp, text.unwrap_or_else(|| message_of(partition.error_code)));
            }
        }
        Ok(refused)
    }

    /// Where replicas are.
    pub(super) async fn places(
        &mut self,
        replicas: impl Iterator<Item = &Replica>,
    ) -> Result<BTreeMap<Replica, Place>, ClientError> {
        let mut places: BTreeMap<Replica, Place> =
            tree(replicas.map(|replica| (replica.clone(), Place::default())));
        let brokers: BTreeSet<i32> = places.keys().map(|replica| replica.broker).collect();
        for broker in brokers {
            let wanted = places.keys().filter(|replica| replica.broker == broker);
            let topics = by_topic(wanted.map(|replica| (&replica.partition, ())))
                .into_iter()
                .map(|(name, list)| {
                    DescribableLogDirTopic::default()
                        .with_topic(name)
                        .with_partitions(list.into_iter().map(|(index, ())| index).collect())
                })
                .collect();
            let request = DescribeLogDirsRequest::default().with_topics(Some(topics));
            let answer = self.client.call(To::Node(broker), &request).await?;
            check(ApiKey::DescribeLogDirs as i16, answer.error_code, None)?;
            for dir in answer.results.iter().filter(|dir| dir.error_code == 0) {
                for topic in &dir.topics {
                    for partition in &topic.partitions {
                        let partition_name = TopicPartition::new(&topic.name, partition.partition_index);
                        let Some(place) = places.get_mut(&Replica { broker, partition: partition_name })
                        else {
                            continue;
                        };
                        let path = Some(dir.log_dir.to_string());
                        *(if partition.is_future_key { &mut place.future } else { &mut place.current }) =
                            path;
                    }
                }
            }
        }
        Ok(places)
    }

    /// Asks brokers to move replicas to directories. Gives those for which the broker is not ready.
    ///
    /// # Errors
    /// A directory is none of the broker's.
    pub(super) async fn move_dirs(&mut self, wanted: &Dirs) -> Result<Dirs, Failure> {
        let mut later = Dirs::new();
        let brokers: BTreeSet<i32> = wanted.keys().map(|replica| replica.broker).collect();
        for broker in brokers {
            let mut dirs: BTreeMap<&str, Vec<&TopicPartition>> = BTreeMap::new();
            for (replica, dir) in wanted.iter().filter(|(replica, _)| replica.broker == broker) {
                dirs.entry(dir).or_default().push(&replica.partition);
            }
            let dir = |(path, partitions): (&str, Vec<&TopicPartition>)| {
                let topics = by_topic(partitions.into_iter().map(|tp| (tp, ())))
                    .into_iter()
                    .map(|(name, list)| {
                        AlterReplicaLogDirTopic::default()
                            .with_name(name)
                            .with_partitions(list.into_iter().map(|(index, ())| index).collect())
                    })
                    .collect();
                AlterReplicaLogDir::default().with_path(string(path)).with_topics(topics)
            };
            let request =
                AlterReplicaLogDirsRequest::default().with_dirs(dirs.into_iter().map(dir).collect());
            let answer = self.client.call(To::Node(broker), &request).await?;
            for topic in answer.results {
                for one in topic.partitions {
                    let partition = TopicPartition::new(&topic.topic_name, one.partition_index);
                    let replica = Replica { broker, partition };
                    match (one.error_code, wanted.get(&replica)) {
                        (0, _) => {}
                        (REPLICA_NOT_AVAILABLE, Some(dir)) => {
                            later.insert(replica, dir.clone());
                        }
                        (code, _) => {
                            let text = format!("Failed to alter dir for {replica}: {}", message_of(code));
                            return Err(Failure::text(text));
                        }
                    }
                }
            }
        }
        Ok(later)
    }

    /// Sets and takes back settings of a broker.
    pub(super) async fn configure_broker(
        &mut self,
        broker: i32,
        set: &BTreeMap<String, String>,
        unset: &[String],
    ) -> Result<(), ClientError> {
        let to = if self.is_controllers { To::Any } else { To::Node(broker) };
        let resource = Resource { kind: BROKER_RESOURCE, name: &broker.to_string() };
        admin::configure(&mut self.client, to, resource, set, unset).await
    }

    /// Sets and takes back settings of a topic.
    ///
    /// # Errors
    /// It is not there.
    pub(super) async fn configure_topic(
        &mut self,
        topic: &str,
        set: &BTreeMap<String, String>,
        unset: &[String],
    ) -> Result<(), ClientError> {
        if !self.is_controllers && self.replicas(&BTreeSet::from([topic])).await?.is_empty() {
            return Err(unknown(format!("The topic '{topic}' does not exist.")));
        }
        let resource = Resource { kind: TOPIC_RESOURCE, name: topic };
        let to = self.controller();
        admin::configure(&mut self.client, to, resource, set, unset).await
    }
}

/// An error of a topic or partition that is not there.
pub(super) fn unknown(text: String) -> ClientError {
    ClientError::Code { api: "Metadata".into(), code: UNKNOWN_TOPIC_OR_PARTITION, message: Some(text) }
}

fn ids(list: &[BrokerId]) -> Vec<i32> {
    list.iter().map(|id| id.0).collect()
}
