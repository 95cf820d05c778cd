//! ListOffsets (2), versions 1 to 10.
//!
//! Special timestamps: -1 latest (last stable offset for read_committed), -2 earliest, -3 offset of the largest
//! timestamp (7+), -4 earliest local (8+), -5 latest tiered (9+; there is no tiered storage: -1). Another negative
//! one, or one below its version: UNSUPPORTED_VERSION for the partition. A time that no record reaches: offset -1.

use super::{Answer, Context};
use crate::error::{report, response_error};
use crate::partition::Partition;
use indexmap::IndexMap;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::list_offsets_request::ListOffsetsPartition;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse, TopicName};
use std::sync::Arc;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;

/// Timestamp, offset and leader epoch of an answer; -1 each for "none".
type Found = (i64, i64, i32);

pub(crate) fn handle(cx: &Context<'_>, request: ListOffsetsRequest) -> Answer<ListOffsetsResponse> {
    let committed = request.isolation_level == 1;
    // A lookup by time may read a batch from the disk.
    let by_time = request
        .topics
        .iter()
        .flat_map(|t| &t.partitions)
        .any(|p| p.timestamp >= 0 || p.timestamp == MAX_TIMESTAMP);
    let answer = || {
        let topics = once_each(&request).into_iter().map(|(name, partitions)| {
            let partitions = partitions.into_values().map(|(asked, twice)| {
                let response =
                    ListOffsetsPartitionResponse::default().with_partition_index(asked.partition_index);
                let found = if twice {
                    Err(ResponseError::InvalidRequest)
                } else {
                    check_version(cx.version, asked.timestamp)
                        .and_then(|()| partition(cx, name, asked))
                        .and_then(|p| find(&p, asked.timestamp, committed))
                };
                match found {
                    Ok((timestamp, offset, epoch)) => {
                        let epoch = if cx.version >= 4 { epoch } else { -1 };
                        response.with_timestamp(timestamp).with_offset(offset).with_leader_epoch(epoch)
                    }
                    Err(error) => response.with_error_code(error.code()).with_timestamp(-1).with_offset(-1),
                }
            });
            ListOffsetsTopicResponse::default().with_name(name.clone()).with_partitions(partitions.collect())
        });
        ListOffsetsResponse::default().with_topics(topics.collect())
    };
    if by_time { tokio::task::block_in_place(answer).into() } else { answer().into() }
}

fn partition(
    cx: &Context<'_>,
    topic: &str,
    asked: &ListOffsetsPartition,
) -> Result<Arc<Partition>, ResponseError> {
    let partition = cx.broker.partition(topic, asked.partition_index)?;
    partition.check_epoch(asked.current_leader_epoch)?;
    Ok(partition)
}

/// What is asked of each partition, and whether it was asked for twice.
fn once_each(
    request: &ListOffsetsRequest,
) -> IndexMap<&TopicName, IndexMap<i32, (&ListOffsetsPartition, bool)>> {
    let mut topics: IndexMap<_, IndexMap<_, (&ListOffsetsPartition, bool)>> = IndexMap::new();
    for topic in request.topics.iter().filter(|topic| !topic.partitions.is_empty()) {
        let partitions = topics.entry(&topic.name).or_default();
        for asked in &topic.partitions {
            partitions
                .entry(asked.partition_index)
                .and_modify(|(_, twice)| *twice = true)
                .or_insert((asked, false));
        }
    }
    topics
}

fn check_version(version: i16, timestamp: i64) -> Result<(), ResponseError> {
    let since = match timestamp {
        MAX_TIMESTAMP => 7,
        EARLIEST_LOCAL => 8,
        LATEST_TIERED => 9,
        LATEST | EARLIEST | 0.. => 1,
        _ => return Err(ResponseError::UnsupportedVersion),
    };
    if version < since { Err(ResponseError::UnsupportedVersion) } else { Ok(()) }
}

fn find(partition: &Partition, timestamp: i64, committed: bool) -> Result<Found, ResponseError> {
    let log = &partition.log();
    let found = match timestamp {
        LATEST => {
            let offset = if committed { log.last_stable_offset() } else { log.end_offset() };
            // Not that of the last batch, for which whoever is appending would have to be waited for.
            return Ok((-1, offset, partition.leader_epoch));
        }
        EARLIEST | EARLIEST_LOCAL => {
            let offset = log.start_offset();
            return Ok((-1, offset, log.epoch_at(offset)));
        }
        LATEST_TIERED => return Ok((-1, -1, -1)),
        MAX_TIMESTAMP => log.offset_of_max_timestamp(),
        _ => log.offset_for_timestamp(timestamp),
    };
    let found = found.map_err(|error| {
        report("cannot look up a time in", &partition.topic, partition.index, &error);
        response_error(&error)
    })?;
    let stop = if committed { log.last_stable_offset() } else { i64::MAX };
    Ok(match found {
        Some(found) if found.offset < stop => (found.timestamp, found.offset, log.epoch_at(found.offset)),
        _ => (-1, -1, -1),
    })
}
