//! DeleteRecords (21), versions 0 to 2: moves the log start offset up.
//!
//! Offset -1 is the high watermark. Beyond it or negative: OFFSET_OUT_OF_RANGE. Topics that are compacted and not
//! deleted: POLICY_VIOLATION. Internal topics: INVALID_TOPIC_EXCEPTION. The new start is durable with the next
//! checkpoint, as in Kafka.

use super::{Answer, Context};
use crate::config::TopicConfig;
use crate::error::response_error;
use crate::metadata::topic_name;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use kafka_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};

pub(crate) fn handle(cx: &Context<'_>, request: DeleteRecordsRequest) -> Answer<DeleteRecordsResponse> {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let result = DeleteRecordsPartitionResult::default().with_partition_index(asked.partition_index);
            match delete(cx, &topic.name, asked.partition_index, asked.offset) {
                Ok(start) => result.with_low_watermark(start),
                Err(error) => result.with_error_code(error.code()).with_low_watermark(-1),
            }
        });
        DeleteRecordsTopicResult::default().with_name(topic.name.clone()).with_partitions(partitions.collect())
    });
    DeleteRecordsResponse::default().with_topics(topics.collect()).into()
}

fn delete(cx: &Context<'_>, name: &str, index: i32, offset: i64) -> Result<i64, ResponseError> {
    if topic_name::is_internal(name) {
        return Err(ResponseError::InvalidTopicException);
    }
    let partition = cx.broker.partition(name, index)?;
    let policy = {
        let image = cx.broker.controller.image();
        let topic = image.topic(name).ok_or(ResponseError::UnknownTopicOrPartition)?;
        TopicConfig::effective(&cx.broker.config, &topic.configs).map_or(cx.broker.config.topic_defaults.cleanup_policy, |c| c.cleanup_policy)
    };
    if policy.compact && !policy.delete {
        return Err(ResponseError::PolicyViolation);
    }
    let offset = if offset == -1 { partition.log.end_offset() } else { offset };
    partition.log.delete_before(offset).map_err(|error| response_error(&error))
}
