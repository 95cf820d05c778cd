//! DeleteRecords (21), versions 0 to 2: moves the log start offset up.
//!
//! Offset -1 is the high watermark. Beyond it or negative: OFFSET_OUT_OF_RANGE. Topics that are compacted and not
//! deleted: POLICY_VIOLATION. Internal topics: INVALID_TOPIC_EXCEPTION. The new start is durable with the next
//! checkpoint, as in Kafka.

use super::{Answer, Context};
use crate::config::TopicConfig;
use crate::error::response_error;
use crate::metadata::topic_name;
use indexmap::IndexMap;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse, TopicName};

pub(crate) fn handle(cx: &Context<'_>, request: DeleteRecordsRequest) -> Answer<DeleteRecordsResponse> {
    // Asked for twice, a partition is answered once, for the last offset.
    let mut wanted: IndexMap<&TopicName, IndexMap<i32, i64>> = IndexMap::new();
    for topic in request.topics.iter().filter(|topic| !topic.partitions.is_empty()) {
        let offsets = topic.partitions.iter().map(|asked| (asked.partition_index, asked.offset));
        wanted.entry(&topic.name).or_default().extend(offsets);
    }
    let topics = wanted.into_iter().map(|(name, offsets)| {
        let partitions = offsets.into_iter().map(|(index, offset)| {
            let result = DeleteRecordsPartitionResult::default().with_partition_index(index);
            match delete(cx, name, index, offset) {
                Ok(start) => result.with_low_watermark(start),
                Err(error) => result.with_error_code(error.code()).with_low_watermark(-1),
            }
        });
        DeleteRecordsTopicResult::default().with_name(name.clone()).with_partitions(partitions.collect())
    });
    DeleteRecordsResponse::default().with_topics(topics.collect()).into()
}

fn delete(cx: &Context<'_>, name: &str, index: i32, offset: i64) -> Result<i64, ResponseError> {
    let partition = cx.broker.partition(name, index)?;
    if topic_name::is_internal(name) {
        return Err(ResponseError::InvalidTopicException);
    }
    let policy = {
        let image = cx.broker.controller.image();
        let topic = image.topic(name).ok_or(ResponseError::UnknownTopicOrPartition)?;
        TopicConfig::stored(&cx.broker.controller.config(), &topic.configs).0.cleanup_policy
    };
    if policy.compact && !policy.delete {
        return Err(ResponseError::PolicyViolation);
    }
    let deleted =
        partition.on_log(|log| log.delete_before(if offset == -1 { log.end_offset() } else { offset }));
    deleted.map_err(|error| response_error(&error))
}
