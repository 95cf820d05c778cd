//! WriteTxnMarkers (27), version 1: ends transactions in partitions. Brokers send it to each other; from others it comes
//! to abort a transaction that no coordinator knows any more (`kafka-transactions abort`).

use super::{Answer, Context};
use indexmap::IndexMap;
use kafka_protocol::messages::write_txn_markers_request::WritableTxnMarker;
use kafka_protocol::messages::write_txn_markers_response::{
    WritableTxnMarkerPartitionResult, WritableTxnMarkerResult, WritableTxnMarkerTopicResult,
};
use kafka_protocol::messages::{ProducerId, TopicName, WriteTxnMarkersRequest, WriteTxnMarkersResponse};
use milena_protocol::records::EndTransactionMarker;

pub(crate) fn handle(cx: &Context<'_>, request: WriteTxnMarkersRequest) -> Answer<WriteTxnMarkersResponse> {
    // The markers may have to be synced.
    tokio::task::block_in_place(|| answer(cx, &request)).into()
}

/// The errors of each partition by producer: what comes twice counts as it comes last.
fn answer(cx: &Context<'_>, request: &WriteTxnMarkersRequest) -> WriteTxnMarkersResponse {
    let mut results: IndexMap<ProducerId, IndexMap<TopicName, IndexMap<i32, i16>>> = IndexMap::new();
    for marker in request.markers.iter().filter(|marker| !marker.topics.is_empty()) {
        let of_producer = results.entry(marker.producer_id).or_default();
        for topic in &marker.topics {
            let of_topic = of_producer.entry(topic.name.clone()).or_default();
            for index in &topic.partition_indexes {
                of_topic.insert(*index, write(cx, marker, &topic.name, *index));
            }
        }
    }
    let of_partition = |(index, error): (i32, i16)| {
        WritableTxnMarkerPartitionResult::default().with_partition_index(index).with_error_code(error)
    };
    let of_topic = |(name, partitions): (TopicName, IndexMap<i32, i16>)| {
        WritableTxnMarkerTopicResult::default()
            .with_name(name)
            .with_partitions(partitions.into_iter().map(of_partition).collect())
    };
    let of_producer = |(id, topics): (ProducerId, IndexMap<TopicName, _>)| {
        WritableTxnMarkerResult::default()
            .with_producer_id(id)
            .with_topics(topics.into_iter().map(of_topic).collect())
    };
    WriteTxnMarkersResponse::default().with_markers(results.into_iter().map(of_producer).collect())
}

fn write(cx: &Context<'_>, marker: &WritableTxnMarker, topic: &str, index: i32) -> i16 {
    let end = EndTransactionMarker {
        commit: marker.transaction_result,
        coordinator_epoch: marker.coordinator_epoch,
    };
    let ended = cx.broker.markers.end((topic, index), marker.producer_id.0, marker.producer_epoch, end);
    ended.map_or_else(|error| error.code(), |()| 0)
}
