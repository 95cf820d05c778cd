//! ListTransactions (66), versions 0 to 2: transactional ids by state and producer, from 1 on by how long their
//! transaction is open, from 2 on by a pattern. Names that are no states are given back.

use super::{Answer, Context};
use crate::group::text;
use crate::transaction::{ListFilter, Listed};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::list_transactions_response::TransactionState;
use kafka_protocol::messages::{ListTransactionsRequest, ListTransactionsResponse, ProducerId};

pub(crate) fn handle(cx: &Context<'_>, request: ListTransactionsRequest) -> Answer<ListTransactionsResponse> {
    let response = ListTransactionsResponse::default();
    match list(cx, &request) {
        Err(error) => response.with_error_code(error.code()).into(),
        Ok((filter, listed)) => {
            let of_id = |listed: Listed| {
                TransactionState::default()
                    .with_transactional_id(text(&listed.id).into())
                    .with_producer_id(ProducerId(listed.producer_id))
                    .with_transaction_state(text(listed.state))
            };
            response
                .with_unknown_state_filters(filter.unknown_states.iter().map(|name| text(name)).collect())
                .with_transaction_states(listed.into_iter().map(of_id).collect())
                .into()
        }
    }
}

fn list(
    cx: &Context<'_>,
    request: &ListTransactionsRequest,
) -> Result<(ListFilter, Vec<Listed>), ResponseError> {
    let filter = ListFilter::new(
        request.state_filters.iter().map(|name| name.as_str()),
        request.producer_id_filters.iter().map(|id| id.0),
        request.duration_filter,
        request.transactional_id_pattern.as_deref(),
    )?;
    let listed = cx.broker.transactions.list(&filter)?;
    Ok((filter, listed))
}
