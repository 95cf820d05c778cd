//! Offsets by time, and the offsets that groups have committed.

use super::cluster::{Client, To};
use super::error::{ClientError, check};
use super::{TopicPartition, by_topic, group_id};
use crate::tree::tree;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use kafka_protocol::messages::{
    ApiKey, BrokerId, ListOffsetsRequest, ListOffsetsResponse, OffsetFetchRequest, OffsetFetchResponse,
    TopicName,
};
use std::collections::BTreeMap;

/// Asks for the end of the log.
pub(crate) const LATEST: i64 = -1;
/// Asks for the start of the log.
pub(crate) const EARLIEST: i64 = -2;
/// From this version on, OffsetFetch takes a list of groups.
const FETCH_MANY: i16 = 8;

/// What ListOffsets found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The offset, or -1 if there is no such record.
    pub(crate) offset: i64,
    /// Timestamp of the record, or -1.
    pub(crate) timestamp: i64,
}

/// What a group has committed for a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Committed {
    /// The offset of the next record.
    pub(crate) offset: i64,
    /// The epoch of the leader that the last one came from, or -1.
    pub(crate) epoch: i32,
}

/// A topic and the partitions of it that are asked for.
type Asked = (TopicName, Vec<(i32, ())>);

/// Offsets by partition, each found or with the reason why not.
pub(crate) type Answers = BTreeMap<TopicPartition, Result<Found, ClientError>>;

impl Client {
    /// Offsets of the first records at or after the timestamps (or of [`LATEST`], [`EARLIEST`]). `committed` leaves
    /// out open transactions.
    ///
    /// # Errors
    /// A leader does not answer. Errors of single partitions are in the answer.
    pub(crate) async fn list_offsets(
        &mut self,
        wanted: &[(TopicPartition, i64)],
        committed: bool,
    ) -> Result<Answers, ClientError> {
        let mut answers = Answers::new();
        let mut left: Vec<(TopicPartition, i64)> = wanted.to_vec();
        let mut pace = self.pace();
        loop {
            let mut failed = None;
            for (node, items) in self.by_leader(&left, &mut answers).await? {
                let request = list_offsets_request(&items, committed);
                let answer = self.call(To::Node(node), &request).await?;
                failed = read_offsets(answer, &mut answers).or(failed);
            }
            left.retain(|(tp, _)| {
                answers.get(tp).is_none_or(|answer| answer.as_ref().is_err_and(ClientError::is_retriable))
            });
            let Some(error) = failed else { return Ok(answers) };
            self.forget_leaders();
            if pace.pause_after(error).await.is_err() {
                return Ok(answers);
            }
        }
    }

    /// What a group has committed: for all partitions, or for those given. Partitions without a commit are left out.
    ///
    /// # Errors
    /// The coordinator does not answer, or knows no such group.
    pub(crate) async fn committed(
        &mut self,
        group: &str,
        partitions: Option<&[TopicPartition]>,
        stable: bool,
    ) -> Result<BTreeMap<TopicPartition, Committed>, ClientError> {
        let topics = partitions.map(|list| by_topic(list.iter().map(|tp| (tp, ()))));
        let make = |version| offset_fetch_request(version, group, topics.as_deref(), stable);
        let answer =
            self.call_checked::<OffsetFetchRequest, _>(To::Group(group), make, check_committed).await?;
        let many = answer.groups.into_iter().flat_map(|group| group.topics).flat_map(|topic| {
            let name = topic.name;
            let each =
                move |p: kafka_protocol::messages::offset_fetch_response::OffsetFetchResponsePartitions| {
                    (
                        TopicPartition::new(&name, p.partition_index),
                        p.committed_offset,
                        p.committed_leader_epoch,
                    )
                };
            topic.partitions.into_iter().map(each)
        });
        let single = answer.topics.into_iter().flat_map(|topic| {
            let name = topic.name;
            let each =
                move |p: kafka_protocol::messages::offset_fetch_response::OffsetFetchResponsePartition| {
                    (
                        TopicPartition::new(&name, p.partition_index),
                        p.committed_offset,
                        p.committed_leader_epoch,
                    )
                };
            topic.partitions.into_iter().map(each)
        });
        let known = many.chain(single).filter(|(_, offset, _)| *offset >= 0);
        Ok(tree(known.map(|(tp, offset, epoch)| (tp, Committed { offset, epoch }))))
    }

    /// Sorts partitions by leader; those without one get an error that may pass.
    async fn by_leader(
        &mut self,
        wanted: &[(TopicPartition, i64)],
        answers: &mut Answers,
    ) -> Result<BTreeMap<i32, Vec<(TopicPartition, i64)>>, ClientError> {
        let mut nodes: BTreeMap<i32, Vec<(TopicPartition, i64)>> = BTreeMap::new();
        for item in wanted {
            match self.leader(&item.0).await {
                Ok((leader, _)) => nodes.entry(leader).or_default().push(item.clone()),
                Err(error @ ClientError::Code { .. }) => {
                    answers.insert(item.0.clone(), Err(error));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(nodes)
    }
}

fn list_offsets_request(items: &[(TopicPartition, i64)], committed: bool) -> ListOffsetsRequest {
    let topics = by_topic(items.iter().map(|(tp, timestamp)| (tp, *timestamp)));
    let topic = |(name, list): (TopicName, Vec<(i32, i64)>)| {
        let one = |(index, timestamp)| {
            ListOffsetsPartition::default()
                .with_partition_index(index)
                .with_current_leader_epoch(-1)
                .with_timestamp(timestamp)
        };
        ListOffsetsTopic::default().with_name(name).with_partitions(list.into_iter().map(one).collect())
    };
    ListOffsetsRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_isolation_level(i8::from(committed))
        .with_topics(topics.into_iter().map(topic).collect())
}

/// Notes the answers, and gives an error of them that may pass.
fn read_offsets(answer: ListOffsetsResponse, answers: &mut Answers) -> Option<ClientError> {
    let mut failed = None;
    for topic in answer.topics {
        for partition in topic.partitions {
            let tp = TopicPartition::new(&topic.name, partition.partition_index);
            let outcome = || check(ApiKey::ListOffsets as i16, partition.error_code, None);
            failed = outcome().err().filter(ClientError::is_retriable).or(failed);
            let found = Found { offset: partition.offset, timestamp: partition.timestamp };
            answers.insert(tp, outcome().map(|()| found));
        }
    }
    failed
}

fn offset_fetch_request(
    version: i16,
    group: &str,
    topics: Option<&[Asked]>,
    stable: bool,
) -> OffsetFetchRequest {
    let indexes = |list: &[(i32, ())]| list.iter().map(|(index, ())| *index).collect::<Vec<_>>();
    if version < FETCH_MANY {
        let one = |(name, list): &Asked| {
            OffsetFetchRequestTopic::default().with_name(name.clone()).with_partition_indexes(indexes(list))
        };
        return OffsetFetchRequest::default()
            .with_group_id(group_id(group))
            .with_topics(topics.map(|topics| topics.iter().map(one).collect()))
            .with_require_stable(stable && version >= 7);
    }
    let one = |(name, list): &Asked| {
        OffsetFetchRequestTopics::default().with_name(name.clone()).with_partition_indexes(indexes(list))
    };
    let asked = OffsetFetchRequestGroup::default()
        .with_group_id(group_id(group))
        .with_member_epoch(-1)
        .with_topics(topics.map(|topics| topics.iter().map(one).collect()));
    OffsetFetchRequest::default().with_groups(vec![asked]).with_require_stable(stable)
}

fn check_committed(answer: &OffsetFetchResponse) -> Result<(), ClientError> {
    let key = ApiKey::OffsetFetch as i16;
    check(key, answer.error_code, None)?;
    for group in &answer.groups {
        check(key, group.error_code, None)?;
        for partition in group.topics.iter().flat_map(|topic| &topic.partitions) {
            check(key, partition.error_code, None)?;
        }
    }
    Ok(())
}
