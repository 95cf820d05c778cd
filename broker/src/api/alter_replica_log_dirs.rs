//! AlterReplicaLogDirs (34), versions 1 to 2: moves partitions to other data directories of this broker (KIP-113).
//!
//! * Answered when the copies are there; they go on in the background, and DescribeLogDirs shows them. A partition
//!   that is already there, or on its way, is fine; another wish ends the move that is under way.
//! * A path that is not configured: LOG_DIR_NOT_FOUND. A directory that has failed, a partition in one, or a move while
//!   any has failed: KAFKA_STORAGE_ERROR.
//! * A partition that does not exist: UNKNOWN_TOPIC_OR_PARTITION. It is made in that directory when it comes to be.

use super::{Answer, Context};
use crate::broker::mover;
use indexmap::IndexMap;
use kafka_protocol::messages::alter_replica_log_dirs_response::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult,
};
use kafka_protocol::messages::{AlterReplicaLogDirsRequest, AlterReplicaLogDirsResponse, TopicName};

pub(crate) fn handle(
    cx: &Context<'_>,
    request: AlterReplicaLogDirsRequest,
) -> Answer<AlterReplicaLogDirsResponse> {
    // Asked for twice, a partition goes where it was wanted last.
    let mut wanted: IndexMap<TopicName, IndexMap<i32, &str>> = IndexMap::new();
    for dir in &request.dirs {
        for topic in dir.topics.iter().filter(|topic| !topic.partitions.is_empty()) {
            let paths = topic.partitions.iter().map(|index| (*index, dir.path.as_str()));
            wanted.entry(topic.name.clone()).or_default().extend(paths);
        }
    }
    // Creating a copy writes to the disk.
    let results = tokio::task::block_in_place(|| {
        let image = cx.broker.controller.image();
        let topics = wanted.into_iter().map(|(name, paths)| {
            let topic = image.topic(&name).map(|topic| &**topic);
            let partitions = paths.into_iter().map(|(index, path)| {
                let begun = cx.broker.partitions.begin_move(&name, index, topic, path);
                AlterReplicaLogDirPartitionResult::default()
                    .with_partition_index(index)
                    .with_error_code(begun.err().map_or(0, |error| error.code()))
            });
            let partitions = partitions.collect();
            AlterReplicaLogDirTopicResult::default().with_topic_name(name).with_partitions(partitions)
        });
        topics.collect()
    });
    mover::start(cx.broker);
    AlterReplicaLogDirsResponse::default().with_results(results).into()
}
