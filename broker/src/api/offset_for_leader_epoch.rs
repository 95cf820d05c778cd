//! OffsetForLeaderEpoch (23), versions 2 to 4: where the log of an epoch ends (KIP-101, KIP-320).
//!
//! The largest epoch not above the asked one, and its end offset; (-1, -1) if there is none.

use super::{Answer, Context};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_for_leader_epoch_request::OffsetForLeaderPartition;
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

pub(crate) fn handle(
    cx: &Context<'_>,
    request: OffsetForLeaderEpochRequest,
) -> Answer<OffsetForLeaderEpochResponse> {
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|asked| {
            let response = EpochEndOffset::default().with_partition(asked.partition);
            match find(cx, &topic.topic, asked) {
                Ok(Some((epoch, end))) => response.with_leader_epoch(epoch).with_end_offset(end),
                Ok(None) => response.with_leader_epoch(-1).with_end_offset(-1),
                Err(error) => {
                    response.with_error_code(error.code()).with_leader_epoch(-1).with_end_offset(-1)
                }
            }
        });
        OffsetForLeaderTopicResult::default()
            .with_topic(topic.topic.clone())
            .with_partitions(partitions.collect())
    });
    OffsetForLeaderEpochResponse::default().with_topics(topics.collect()).into()
}

fn find(
    cx: &Context<'_>,
    topic: &str,
    asked: &OffsetForLeaderPartition,
) -> Result<Option<(i32, i64)>, ResponseError> {
    let partition = cx.broker.partition(topic, asked.partition)?;
    partition.check_epoch(asked.current_leader_epoch)?;
    Ok(partition.log().end_offset_for_epoch(asked.leader_epoch))
}
