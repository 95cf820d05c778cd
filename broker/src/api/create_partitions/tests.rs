use super::handle;
use crate::controller::testing::{TestBroker, name, sent};
use kafka_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use kafka_protocol::messages::{BrokerId, CreatePartitionsRequest};

fn topic(topic: &str, count: i32) -> CreatePartitionsTopic {
    CreatePartitionsTopic::default().with_name(name(topic)).with_count(count).with_assignments(None)
}

#[test]
fn every_version_adds_partitions() {
    for version in 0..=3 {
        let broker = TestBroker::new(&[]);
        for name in ["a", "manual", "twice"] {
            broker.broker.controller.ensure_topic(name).unwrap();
        }
        broker.store.calls();
        let assignment = CreatePartitionsAssignment::default().with_broker_ids(vec![BrokerId(1)]);
        let topics = vec![
            topic("a", 3),
            topic("twice", 2),
            topic("manual", 2).with_assignments(Some(vec![assignment])),
            topic("none", 2),
            topic("twice", 3),
        ];
        let request = CreatePartitionsRequest::default().with_topics(topics).with_timeout_ms(9000);
        let only = sent(handle(&broker.cx(version), request.clone().with_validate_only(true)), version);
        assert!(broker.store.calls().is_empty());
        let response = sent(handle(&broker.cx(version), request), version);
        let seen: Vec<_> = response
            .results
            .iter()
            .map(|result| (result.name.as_str(), result.error_code, result.error_message.as_deref()))
            .collect();
        let expected = [
            ("a", 0, None),
            ("twice", 42, Some("Duplicate topic name.")),
            ("manual", 0, None),
            ("none", 3, None),
        ];
        assert_eq!(seen, expected);
        assert_eq!(only, response, "validation says the same");
        assert_eq!(broker.store.calls(), ["create a 1..3", "create manual 1..2"]);
    }
}
