//! Transactions, as a producer of KIP-890 ends them.

use super::server::Server;
use kafka_protocol::messages::EndTxnRequest;
use milena_integration_tests::raw::Connection;
use milena_integration_tests::requests::{producer_id, text};

/// The first version of EndTxn whose answer has the epoch of the next transaction.
const END_TXN: i16 = 5;

/// A transactional producer's talk with its coordinator.
pub(super) struct Transaction {
    connection: Connection,
    /// The transactional id.
    pub(super) id: String,
    /// Producer id and epoch.
    pub(super) producer: (i64, i16),
}

impl Transaction {
    /// Fences whoever had the id before.
    pub(super) fn open(server: &Server, id: String) -> Self {
        let mut connection = Connection::open(&server.address);
        let producer = producer_id(&mut connection, Some(&id));
        Self { connection, id, producer }
    }

    /// Commits, and returns the producer of the next transaction.
    pub(super) fn commit(&mut self) -> (i64, i16) {
        let request = EndTxnRequest::default()
            .with_transactional_id(text(&self.id).into())
            .with_producer_id(self.producer.0.into())
            .with_producer_epoch(self.producer.1)
            .with_committed(true);
        let answer = self.connection.call(END_TXN, &request);
        assert_eq!(answer.error_code, 0, "a transaction cannot be committed");
        self.producer = (answer.producer_id.0, answer.producer_epoch);
        self.producer
    }
}
