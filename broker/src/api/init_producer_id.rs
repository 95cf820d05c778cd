//! InitProducerId (22), versions 0 to 5.
//!
//! * Without a transactional id every request gets a new producer id at epoch 0, also one that names the id and epoch
//!   it had (3 and above): the coordinator knows nothing of such producers. Kafka does the same.
//! * With one, the producer becomes the only one under that name: it gets the next epoch, and what the one before left
//!   open is aborted first (CONCURRENT_TRANSACTIONS: ask again). An id and epoch of its own that are not the current
//!   ones: PRODUCER_FENCED, which before version 4 is INVALID_PRODUCER_EPOCH.
//! * An id without an epoch, or the reverse: INVALID_REQUEST.

use super::{Answer, Context};
use crate::transaction::Producer;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};

/// First version whose clients know PRODUCER_FENCED.
const FENCED: i16 = 4;
/// Stands for no epoch.
const NO_EPOCH: i16 = -1;
/// Stands for no producer id.
const NO_ID: i64 = -1;

pub(crate) fn handle(cx: &Context<'_>, request: InitProducerIdRequest) -> Answer<InitProducerIdResponse> {
    let response = InitProducerIdResponse::default();
    match producer(cx, &request) {
        Ok(producer) => {
            response.with_producer_id(ProducerId(producer.id)).with_producer_epoch(producer.epoch).into()
        }
        Err(error) => {
            tracing::debug!("InitProducerId from {} refused: {error}", cx.connection.peer);
            response
                .with_error_code(super::fenced_as(error, cx.version >= FENCED).code())
                .with_producer_id(ProducerId(NO_ID))
                .with_producer_epoch(NO_EPOCH)
                .into()
        }
    }
}

fn producer(cx: &Context<'_>, request: &InitProducerIdRequest) -> Result<Producer, ResponseError> {
    let expected = match (request.producer_id.0, request.producer_epoch) {
        (NO_ID, NO_EPOCH) => None,
        (NO_ID, _) | (_, NO_EPOCH) => return Err(ResponseError::InvalidRequest),
        (id, epoch) => Some(Producer { id, epoch }),
    };
    match &request.transactional_id {
        None => {
            let id = cx.broker.controller.next_producer_id().map_err(|refusal| refusal.error)?;
            Ok(Producer { id, epoch: 0 })
        }
        Some(id) => cx.broker.transactions.init(id, request.transaction_timeout_ms, expected),
    }
}

#[cfg(test)]
mod tests;
