use super::handle;
use crate::controller::testing::{TestBroker, name, sent};
use kafka_protocol::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use kafka_protocol::messages::{BrokerId, CreateTopicsRequest, CreateTopicsResponse};
use kafka_protocol::protocol::StrBytes;
use std::collections::BTreeMap;

fn topic(topic: &str, partitions: i32) -> CreatableTopic {
    CreatableTopic::default()
        .with_name(name(topic))
        .with_num_partitions(partitions)
        .with_replication_factor(1)
}

fn ask(broker: &TestBroker, version: i16, topics: Vec<CreatableTopic>) -> CreateTopicsResponse {
    sent(handle(&broker.cx(version), CreateTopicsRequest::default().with_topics(topics)), version)
}

fn seen(response: &CreateTopicsResponse) -> Vec<(&str, i16, Option<&str>)> {
    let topics = response.topics.iter();
    topics.map(|topic| (topic.name.as_str(), topic.error_code, topic.error_message.as_deref())).collect()
}

#[test]
fn every_version_creates_and_is_answered_in_its_own_fields() {
    for version in 2..=7 {
        let broker = TestBroker::new(&[("num.partitions", "4")]);
        let config = CreatableTopicConfig::default()
            .with_name(StrBytes::from_static_str("retention.ms"))
            .with_value(Some(StrBytes::from_static_str("-1")));
        let assignment = CreatableReplicaAssignment::default().with_broker_ids(vec![BrokerId(1)]);
        let topics = vec![
            topic("a", 3).with_configs(vec![config]),
            topic("defaults", -1).with_replication_factor(-1),
            topic("manual", -1).with_replication_factor(-1).with_assignments(vec![assignment]),
            topic("bad", 0),
        ];
        let response = ask(&broker, version, topics);
        let no_partitions = "Number of partitions was set to an invalid non-positive value.";
        assert_eq!(
            seen(&response),
            [("a", 0, None), ("defaults", 0, None), ("manual", 0, None), ("bad", 37, Some(no_partitions))],
            "v{version}"
        );
        let image = broker.broker.controller.image();
        let made = image.topic("a").unwrap();
        assert_eq!((made.partitions.len(), made.configs.len()), (3, 1));
        let a = &response.topics[0];
        assert_eq!(a.topic_id, if version >= 7 { made.id } else { uuid::Uuid::nil() });
        let counts: Vec<_> =
            response.topics.iter().map(|topic| (topic.num_partitions, topic.replication_factor)).collect();
        let expected = if version >= 5 { [(3, 1), (4, 1), (1, 1), (-1, -1)] } else { [(-1, -1); 4] };
        assert_eq!(counts, expected);
        let configs = a.configs.as_deref().unwrap();
        if version < 5 {
            assert!(configs.is_empty());
            continue;
        }
        let of = |name: &str| configs.iter().find(|config| &*config.name == name).unwrap();
        assert_eq!((of("retention.ms").value.as_deref(), of("retention.ms").config_source), (Some("-1"), 1));
        assert_eq!(
            (of("cleanup.policy").value.as_deref(), of("cleanup.policy").config_source),
            (Some("delete"), 5)
        );
        assert!(configs.is_sorted_by(|a, b| *a.name < *b.name) && configs.len() > 25);
    }
}

#[test]
fn a_name_that_comes_twice_is_refused_once() {
    let broker = TestBroker::new(&[]);
    let topics = vec![topic("twice", 1), topic("once", 1), topic("twice", 2), topic("__cluster_metadata", 1)];
    let response = ask(&broker, 7, topics);
    let prohibited = "Creation of internal topic __cluster_metadata is prohibited.";
    assert_eq!(
        seen(&response),
        [
            ("twice", 42, Some("Duplicate topic name.")),
            ("once", 0, None),
            ("__cluster_metadata", 42, Some(prohibited))
        ]
    );
    assert_eq!(broker.store.calls(), ["create once 0..1"]);
}

#[test]
fn what_has_no_time_is_told_for_each_entry() {
    let broker = TestBroker::new(&[]);
    let ask = |names: &[&str]| {
        let topics = names.iter().map(|name| topic(name, 1)).collect();
        let request = CreateTopicsRequest::default().with_topics(topics).with_timeout_ms(0);
        let response = sent(handle(&broker.cx(7), request), 7);
        response.topics.iter().map(|topic| topic.error_code).collect::<Vec<_>>()
    };
    assert_eq!(ask(&["a", "b", "a"]), [7, 7, 7]);
    assert_eq!(ask(&["a", "a", "__cluster_metadata"]), [42, 42], "nothing is left to do");
    assert!(ask(&[]).is_empty());
}

#[test]
fn too_many_partitions_are_refused_for_all() {
    let broker = TestBroker::new(&[]);
    for version in 2..=7 {
        let response = ask(&broker, version, vec![topic("a", 1), topic("b", 10_000)]);
        let reason = Some("Excessively large number of partitions per request.");
        assert_eq!(seen(&response), [("a", 44, reason), ("b", 44, reason)]);
    }
    assert!(broker.store.calls().is_empty());
}

#[test]
fn validate_only_answers_as_if() {
    let broker = TestBroker::new(&[]);
    let request = CreateTopicsRequest::default().with_topics(vec![topic("a", 3)]).with_validate_only(true);
    let response = sent(handle(&broker.cx(7), request), 7);
    assert_eq!((response.topics[0].error_code, response.topics[0].num_partitions), (0, 3));
    assert_eq!(broker.broker.controller.image().topic_count(), 0);
}

#[test]
fn what_is_validated_counts_as_what_is_created() {
    let broker = TestBroker::new(&[]);
    let everybody = vec![("client-id".to_owned(), None)];
    let rate = BTreeMap::from([("controller_mutation_rate".to_owned(), 1.0)]);
    broker.broker.quotas.adopt(&BTreeMap::from([(everybody, rate)]));
    let ask = |version, only| {
        let request =
            CreateTopicsRequest::default().with_topics(vec![topic("a", 200)]).with_validate_only(only);
        sent(handle(&broker.cx(version), request), version).topics[0].error_code
    };
    // Version 5 is never refused, but all of it is counted.
    let asked = [(7, true), (7, true), (7, false), (5, true), (5, false)];
    assert_eq!(asked.map(|(version, only)| ask(version, only)), [0, 89, 89, 0, 0]);
}
