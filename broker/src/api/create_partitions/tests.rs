use super::handle;
use crate::controller::testing::{TestBroker, name, sent};
use kafka_protocol::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use kafka_protocol::messages::{BrokerId, CreatePartitionsRequest};
use std::collections::BTreeMap;

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

#[test]
fn what_has_no_time_is_told_for_each_entry() {
    let broker = TestBroker::new(&[]);
    let ask = |topics: Vec<CreatePartitionsTopic>| {
        let request = CreatePartitionsRequest::default().with_topics(topics).with_timeout_ms(0);
        let response = sent(handle(&broker.cx(3), request), 3);
        response.results.iter().map(|result| result.error_code).collect::<Vec<_>>()
    };
    assert_eq!(ask(vec![topic("a", 3), topic("b", 3), topic("a", 3)]), [7, 7, 7]);
    assert_eq!(ask(vec![topic("a", 3), topic("a", 3)]), [42], "nothing is left to do");
    assert!(ask(Vec::new()).is_empty());
}

#[test]
fn what_is_validated_counts_as_what_is_created() {
    let broker = TestBroker::new(&[]);
    broker.broker.controller.ensure_topic("a").unwrap();
    let everybody = vec![("client-id".to_owned(), None)];
    let rate = BTreeMap::from([("controller_mutation_rate".to_owned(), 1.0)]);
    broker.broker.quotas.adopt(&BTreeMap::from([(everybody, rate)]));
    let ask = |version, only| {
        let request = CreatePartitionsRequest::default().with_topics(vec![topic("a", 200)]);
        let request = request.with_timeout_ms(9000).with_validate_only(only);
        sent(handle(&broker.cx(version), request), version).results[0].error_code
    };
    // Version 2 is never refused, but all of it is counted.
    let asked = [(3, true), (3, true), (3, false), (2, true), (2, false)];
    assert_eq!(asked.map(|(version, only)| ask(version, only)), [0, 89, 89, 0, 0]);
}
