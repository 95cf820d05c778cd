//! AddOffsetsToTxn (25), versions 0 to 4: the offsets of a group become part of a producer's transaction, which is to
//! say the partition of `__consumer_offsets` that holds the group. Newer clients do without (TxnOffsetCommit 5).
//!
//! PRODUCER_FENCED is INVALID_PRODUCER_EPOCH before version 2.

use super::{Answer, Context};
use crate::metadata::topic_name;
use crate::transaction::{Partitions, Producer};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{AddOffsetsToTxnRequest, AddOffsetsToTxnResponse};
use std::sync::Arc;

/// First version whose clients know PRODUCER_FENCED.
const FENCED: i16 = 2;
/// The clients that ask have one epoch for all their transactions.
const CLIENT_VERSION: i16 = 0;

pub(crate) fn handle(cx: &Context<'_>, request: AddOffsetsToTxnRequest) -> Answer<AddOffsetsToTxnResponse> {
    let error = add(cx, &request).err().map(|error| super::fenced_as(error, cx.version >= FENCED));
    AddOffsetsToTxnResponse::default().with_error_code(error.map_or(0, |error| error.code())).into()
}

fn add(cx: &Context<'_>, request: &AddOffsetsToTxnRequest) -> Result<(), ResponseError> {
    let index = cx.broker.groups.partition_of(&request.group_id)?;
    let partitions = Partitions::from([(Arc::from(topic_name::CONSUMER_OFFSETS), [index].into())]);
    let producer = Producer { id: request.producer_id.0, epoch: request.producer_epoch };
    cx.broker.transactions.add(&request.transactional_id, producer, &partitions, CLIENT_VERSION)
}
