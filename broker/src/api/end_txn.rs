//! EndTxn (26), versions 0 to 5: a producer commits or aborts its transaction. The markers are written before the
//! answer leaves, so that the next transaction need not wait.
//!
//! * 5: every transaction has its own epoch; the answer holds the producer id and epoch of the next one, also to a
//!   request that comes again because the answer was lost. An abort without a transaction is in order.
//! * PRODUCER_FENCED is INVALID_PRODUCER_EPOCH before version 2.

use super::{Answer, Context};
use crate::transaction::{Outcome, Producer};
use kafka_protocol::messages::{EndTxnRequest, EndTxnResponse, ProducerId};

/// First version whose clients know PRODUCER_FENCED.
const FENCED: i16 = 2;
/// First version with an epoch for each transaction.
const OWN_EPOCHS: i16 = 5;

pub(crate) fn handle(cx: &Context<'_>, request: EndTxnRequest) -> Answer<EndTxnResponse> {
    let producer = Producer { id: request.producer_id.0, epoch: request.producer_epoch };
    let outcome = if request.committed { Outcome::Commit } else { Outcome::Abort };
    let client_version = if cx.version < OWN_EPOCHS { 0 } else { 2 };
    let response = EndTxnResponse::default();
    match cx.broker.transactions.end(&request.transactional_id, producer, outcome, client_version) {
        Ok(next) if cx.version >= OWN_EPOCHS => {
            response.with_producer_id(ProducerId(next.id)).with_producer_epoch(next.epoch).into()
        }
        Ok(_) => response.into(),
        Err(error) => response.with_error_code(super::fenced_as(error, cx.version >= FENCED).code()).into(),
    }
}
