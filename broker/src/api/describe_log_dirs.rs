//! DescribeLogDirs (35), versions 1 to 4: the data directories, and the size of every log in them.
//!
//! * Null asks for all partitions; of those that are asked for by name, the ones that are there are answered.
//! * A directory that has failed: KAFKA_STORAGE_ERROR, without topics and sizes.
//! * A copy that is on its way to another directory is a future log. Its lag is behind the log that it copies.
//!
//! | version | change |
//! |---|---|
//! | 2 | compact encoding |
//! | 3 | an error of the whole response, which is never set here |
//! | 4 | total and usable bytes of the file system |

use super::{Answer, Context};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_protocol::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use milena_storage::log::Log;
use milena_storage::log_dir::LogDir;
use nix::sys::statvfs::statvfs;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;

type Topics = BTreeMap<String, Vec<DescribeLogDirsPartition>>;

pub(crate) fn handle(cx: &Context<'_>, request: DescribeLogDirsRequest) -> Answer<DescribeLogDirsResponse> {
    let wanted: Option<HashSet<(&str, i32)>> = request.topics.as_ref().map(|topics| {
        let all = topics.iter().flat_map(|topic| topic.partitions.iter().map(|p| (topic.topic.as_str(), *p)));
        all.collect()
    });
    let partitions = &cx.broker.partitions;
    let dirs = partitions.described();
    let mut topics: Vec<Topics> = dirs.iter().map(|_| Topics::new()).collect();
    let mut note = |topic: &str, index: i32, log: &Log, lag: i64, is_future: bool| {
        let holds =
            |(_, dir): &(_, Option<&LogDir>)| dir.is_some_and(|dir| dir.disk().is_same_as(log.disk()));
        let Some(at) = dirs.iter().position(holds) else { return };
        if wanted.as_ref().is_some_and(|wanted| !wanted.contains(&(topic, index))) {
            return;
        }
        let described = DescribeLogDirsPartition::default()
            .with_partition_index(index)
            .with_partition_size(i64::try_from(log.size()).unwrap_or(i64::MAX))
            .with_offset_lag(lag)
            .with_is_future_key(is_future);
        topics[at].entry(topic.to_owned()).or_default().push(described);
    };
    for partition in partitions.all() {
        note(&partition.topic, partition.index, &partition.log(), 0, false);
    }
    for moved in partitions.moves() {
        let partition = &moved.partition;
        let lag = partition.log().end_offset() - moved.copy.end_offset();
        note(&partition.topic, partition.index, &moved.copy, lag, true);
    }
    let results = dirs.iter().zip(topics).map(|((path, dir), topics)| match dir {
        Some(_) => describe(path, topics),
        None => result(path).with_error_code(ResponseError::KafkaStorageError.code()),
    });
    DescribeLogDirsResponse::default().with_results(results.collect()).into()
}

fn result(path: &Path) -> DescribeLogDirsResult {
    DescribeLogDirsResult::default().with_log_dir(StrBytes::from_string(path.display().to_string()))
}

fn describe(path: &Path, topics: Topics) -> DescribeLogDirsResult {
    let topics = topics.into_iter().map(|(name, mut partitions)| {
        partitions.sort_unstable_by_key(|partition| partition.partition_index);
        DescribeLogDirsTopic::default()
            .with_name(TopicName(StrBytes::from_string(name)))
            .with_partitions(partitions)
    });
    let (total, usable) = space(path);
    result(path).with_topics(topics.collect()).with_total_bytes(total).with_usable_bytes(usable)
}

/// Bytes of the file system, and those that are left to us; -1 where it does not say.
#[expect(clippy::useless_conversion, reason = "the fields have other widths on other systems")]
fn space(path: &Path) -> (i64, i64) {
    let Ok(found) = statvfs(path) else { return (-1, -1) };
    let bytes = |blocks: u64| {
        i64::try_from(blocks.saturating_mul(u64::from(found.fragment_size()))).unwrap_or(i64::MAX)
    };
    (bytes(u64::from(found.blocks())), bytes(u64::from(found.blocks_available())))
}
