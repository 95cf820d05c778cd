//! InitProducerId (22), versions 0 to 5, for idempotent producers.
//!
//! * Without a transactional id every request gets a new producer id at epoch 0, also one that names the id and epoch
//!   it had (3 and above): the coordinator knows nothing of such producers. Kafka does the same.
//! * An id without an epoch, or the reverse: INVALID_REQUEST.
//! * A transactional id: UNSUPPORTED_VERSION, which clients take as final. There are no transactions yet, and a
//!   producer that believes it has some would lose what it was promised.

use super::{Answer, Context};
use crate::controller::Refusal;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId};

pub(crate) fn handle(cx: &Context<'_>, request: InitProducerIdRequest) -> Answer<InitProducerIdResponse> {
    let response = InitProducerIdResponse::default();
    match producer_id(cx, &request) {
        Ok(id) => response.with_producer_id(ProducerId(id)).with_producer_epoch(0).into(),
        Err(refusal) => {
            tracing::debug!("InitProducerId from {} refused: {}", cx.connection.peer, refusal.message);
            response
                .with_error_code(refusal.code())
                .with_producer_id(ProducerId(-1))
                .with_producer_epoch(-1)
                .into()
        }
    }
}

fn producer_id(cx: &Context<'_>, request: &InitProducerIdRequest) -> Result<i64, Refusal> {
    if (request.producer_id.0 == -1) != (request.producer_epoch == -1) {
        let message = "a producer id needs its epoch, and an epoch its producer id";
        return Err(Refusal::new(ResponseError::InvalidRequest, message));
    }
    match &request.transactional_id {
        None => cx.broker.controller.next_producer_id(),
        Some(id) if id.is_empty() => {
            Err(Refusal::new(ResponseError::InvalidRequest, "the transactional id is empty"))
        }
        Some(id) => {
            let message =
                format!("transactional id {} was given, but there are no transactions", id.as_str());
            Err(Refusal::new(ResponseError::UnsupportedVersion, message))
        }
    }
}

#[cfg(test)]
mod tests;
