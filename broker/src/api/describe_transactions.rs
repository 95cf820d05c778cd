//! DescribeTransactions (65), version 0: state, producer and partitions of transactional ids.

use super::{Answer, Context};
use crate::group::text;
use kafka_protocol::messages::describe_transactions_response::{TopicData, TransactionState};
use kafka_protocol::messages::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, ProducerId, TransactionalId,
};

pub(crate) fn handle(
    cx: &Context<'_>,
    request: DescribeTransactionsRequest,
) -> Answer<DescribeTransactionsResponse> {
    let states = request.transactional_ids.into_iter().map(|id| describe(cx, id));
    DescribeTransactionsResponse::default().with_transaction_states(states.collect()).into()
}

fn describe(cx: &Context<'_>, id: TransactionalId) -> TransactionState {
    let described = cx.broker.transactions.describe(&id);
    let state = TransactionState::default().with_transactional_id(id);
    match described {
        Err(error) => state.with_error_code(error.code()),
        Ok(described) => {
            let of_topic = |(topic, partitions): (String, Vec<i32>)| {
                TopicData::default().with_topic(text(&topic).into()).with_partitions(partitions)
            };
            state
                .with_transaction_state(text(described.state))
                .with_transaction_timeout_ms(described.timeout_ms)
                .with_transaction_start_time_ms(described.started)
                .with_producer_id(ProducerId(described.producer_id))
                .with_producer_epoch(described.producer_epoch)
                .with_topics(described.partitions.into_iter().map(of_topic).collect())
        }
    }
}
