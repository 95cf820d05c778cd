use super::handle;
use crate::controller::testing::{TestBroker, sent};
use kafka_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProducerId, TransactionalId};
use kafka_protocol::protocol::StrBytes;
use std::sync::atomic::Ordering;

fn idempotent() -> InitProducerIdRequest {
    InitProducerIdRequest::default().with_transactional_id(None)
}

fn ask(broker: &TestBroker, version: i16, request: InitProducerIdRequest) -> (i16, i64, i16) {
    let response: InitProducerIdResponse = sent(handle(&broker.cx(version), request), version);
    (response.error_code, response.producer_id.0, response.producer_epoch)
}

#[test]
fn every_request_gets_a_new_id() {
    let broker = TestBroker::new(&[]);
    for version in 0..=5 {
        assert_eq!(ask(&broker, version, idempotent()), (0, i64::from(version), 0));
    }
    let known = idempotent().with_producer_id(ProducerId(3)).with_producer_epoch(7);
    assert_eq!(ask(&broker, 5, known), (0, 6, 0));
}

#[test]
fn what_cannot_be_given_is_refused() {
    let broker = TestBroker::new(&[]);
    let transactional = |id: &'static str| {
        idempotent().with_transactional_id(Some(TransactionalId(StrBytes::from_static_str(id))))
    };
    for version in 0..=5 {
        assert_eq!(ask(&broker, version, transactional("t")), (50, -1, -1), "a timeout of 0");
        assert_eq!(ask(&broker, version, transactional("")), (42, -1, -1));
    }
    for version in 3..=5 {
        assert_eq!(ask(&broker, version, idempotent().with_producer_id(ProducerId(3))), (42, -1, -1));
        assert_eq!(ask(&broker, version, idempotent().with_producer_epoch(3)), (42, -1, -1));
    }
    broker.log.broken.store(true, Ordering::Relaxed);
    assert_eq!(ask(&broker, 4, idempotent()), (56, -1, -1));
}
