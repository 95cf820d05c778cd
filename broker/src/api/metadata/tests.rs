use super::handle;
use crate::api::{Answer, ConnectionInfo, Context, delete_topics};
use crate::controller::testing::{TestBroker, name, sent};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::{DeleteTopicsRequest, MetadataRequest, MetadataResponse};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

fn ask(broker: &TestBroker, version: i16, request: MetadataRequest) -> MetadataResponse {
    sent(handle(&broker.cx(version), request), version)
}

fn by_name(names: &[&str]) -> MetadataRequest {
    let topics = names.iter().map(|topic| MetadataRequestTopic::default().with_name(Some(name(topic))));
    MetadataRequest::default().with_topics(Some(topics.collect()))
}

fn by_id(id: Uuid) -> MetadataRequestTopic {
    MetadataRequestTopic::default().with_topic_id(id).with_name(None)
}

fn seen(topic: &MetadataResponseTopic) -> (&str, i16, usize) {
    (topic.name.as_ref().map_or("-", |name| name.as_str()), topic.error_code, topic.partitions.len())
}

fn all_seen(response: &MetadataResponse) -> Vec<(&str, i16, usize)> {
    response.topics.iter().map(seen).collect()
}

#[test]
fn every_version_is_told_of_broker_and_topics() {
    let broker = TestBroker::new(&[("broker.rack", "r1")]);
    broker.broker.controller.ensure_topic("b").unwrap();
    broker.broker.controller.ensure_topic("a").unwrap();
    for version in 0..=13 {
        let request = by_name(&["a", "none", "bad/name", "a"]).with_allow_auto_topic_creation(false);
        let response = ask(&broker, version, request);
        assert_eq!(all_seen(&response), [("a", 0, 1), ("none", 3, 0), ("bad/name", 17, 0)], "v{version}");
        let [node] = &response.brokers[..] else { panic!("one broker") };
        assert_eq!((node.node_id.0, node.host.as_str(), node.port), (1, "10.0.0.1", 9092));
        assert_eq!(node.rack.as_ref().map(|rack| rack.as_str()), (version >= 1).then_some("r1"));
        assert_eq!(response.controller_id.0, if version >= 1 { 1 } else { -1 });
        assert_eq!(response.cluster_id.is_some(), version >= 2);
        let topic = &response.topics[0];
        let partition = &topic.partitions[0];
        assert_eq!((partition.leader_id.0, partition.error_code), (1, 0));
        assert_eq!(partition.leader_epoch, if version >= 7 { 0 } else { -1 });
        assert_eq!(
            (partition.replica_nodes.len(), partition.isr_nodes.len(), partition.offline_replicas.len()),
            (1, 1, 0)
        );
        assert_eq!(topic.topic_id.is_nil(), version < 10);
        assert_eq!(topic.topic_authorized_operations, i32::MIN);
        assert_eq!(response.cluster_authorized_operations, i32::MIN);
    }
}

#[test]
fn all_and_none_are_asked_for_as_the_version_has_it() {
    let broker = TestBroker::new(&[]);
    broker.broker.controller.ensure_topic("b").unwrap();
    broker.broker.controller.ensure_topic("__consumer_offsets").unwrap();
    let none = MetadataRequest::default().with_topics(Some(Vec::new()));
    let all = MetadataRequest::default().with_topics(None);
    assert_eq!(all_seen(&ask(&broker, 0, none.clone())), [("__consumer_offsets", 0, 50), ("b", 0, 1)]);
    for version in 1..=13 {
        let response = ask(&broker, version, all.clone());
        assert_eq!(all_seen(&response), [("__consumer_offsets", 0, 50), ("b", 0, 1)]);
        assert_eq!(response.topics.iter().map(|topic| topic.is_internal).collect::<Vec<_>>(), [true, false]);
        assert!(ask(&broker, version, none.clone()).topics.is_empty());
    }
}

#[test]
fn missing_topics_are_there_when_the_answer_is() {
    let broker = TestBroker::new(&[("num.partitions", "2"), ("offsets.topic.num.partitions", "5")]);
    let appends = broker.log.appends();
    let names = ["new", "__consumer_offsets", "bad/name", "new", "__cluster_metadata", "__share_group_state"];
    let response = ask(&broker, 4, by_name(&names));
    let expected = [
        ("new", 0, 2),
        ("__consumer_offsets", 0, 5),
        ("bad/name", 17, 0),
        ("__cluster_metadata", 3, 0),
        ("__share_group_state", 3, 0),
    ];
    assert_eq!(all_seen(&response), expected);
    assert_eq!(broker.log.appends() - appends, 1, "all in one batch");
    assert_eq!(broker.store.calls(), ["create new 0..2", "create __consumer_offsets 0..5"]);
    // Colliding names.
    assert_eq!(all_seen(&ask(&broker, 3, by_name(&["x.y"]))), [("x.y", 0, 2)]);
    assert_eq!(all_seen(&ask(&broker, 3, by_name(&["x_y"]))), [("x_y", 17, 0)]);
    // More than a request may create: refused as a whole, of which the answer does not wait to hear.
    let names: Vec<String> = (0..5001).map(|number| format!("many{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let response = ask(&broker, 9, by_name(&names));
    assert!(response.topics.iter().all(|topic| topic.error_code == 3));
}

#[test]
fn who_has_deleted_a_topic_is_told_so_before_it_is_made_anew() {
    let broker = TestBroker::new(&[]);
    let delete = |names: &[&str]| {
        let names = names.iter().map(|topic| name(topic)).collect();
        let request = DeleteTopicsRequest::default().with_topic_names(names).with_timeout_ms(9000);
        sent(delete_topics::handle(&broker.cx(3), request), 3)
    };
    broker.broker.controller.ensure_topic("a").unwrap();
    delete(&["a", "none"]);
    broker.store.calls();
    assert_eq!(all_seen(&ask(&broker, 1, by_name(&["a", "b", "a"]))), [("a", 3, 0), ("b", 0, 1)]);
    assert_eq!(broker.store.calls(), ["create b 0..1"], "the topic that was deleted stays so");
    assert_eq!(all_seen(&ask(&broker, 1, by_name(&["a", "none"]))), [("a", 0, 1), ("none", 0, 1)]);

    // Made anew by somebody else in between.
    delete(&["a"]);
    broker.broker.controller.ensure_topic("a").unwrap();
    assert_eq!(all_seen(&ask(&broker, 1, by_name(&["a"]))), [("a", 0, 1)]);

    // Another connection takes the answer at its word.
    delete(&["b"]);
    let other = ConnectionInfo { deleted: Arc::default(), ..broker.connection.clone() };
    let cx = Context { connection: &other, ..broker.cx(1) };
    assert_eq!(all_seen(&sent(handle(&cx, by_name(&["b"])), 1)), [("b", 0, 1)]);

    // Only so many are kept, the last ones.
    let names: Vec<String> = (0..101).map(|number| format!("many{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for name in &names {
        broker.broker.controller.ensure_topic(name).unwrap();
    }
    delete(&names);
    let response = ask(&broker, 1, by_name(&names));
    assert_eq!(all_seen(&response)[..2], [("many0", 0, 1), ("many1", 3, 0)]);
    assert_eq!(seen(&response.topics[100]), ("many100", 3, 0));
}

#[test]
fn topics_are_created_within_the_quota_of_the_client() {
    let broker = TestBroker::new(&[("num.partitions", "12"), ("offsets.topic.num.partitions", "5")]);
    let everybody = vec![("client-id".to_owned(), None)];
    let rate = BTreeMap::from([("controller_mutation_rate".to_owned(), 1.0)]);
    broker.broker.quotas.adopt(&BTreeMap::from([(everybody, rate)]));
    // Eleven at first, of which the last may be too many.
    let response = ask(&broker, 13, by_name(&["__consumer_offsets", "a", "b", "none/"]));
    let expected = [("__consumer_offsets", 0, 5), ("a", 0, 12), ("b", 3, 0), ("none/", 17, 0)];
    assert_eq!(all_seen(&response), expected);
    assert_eq!(all_seen(&ask(&broker, 13, by_name(&["c"]))), [("c", 3, 0)]);
    assert_eq!(broker.broker.controller.image().topic_count(), 2);
}

#[test]
fn nothing_is_created_against_the_will_of_either_side() {
    let broker = TestBroker::new(&[]);
    let unwilling = by_name(&["new"]).with_allow_auto_topic_creation(false);
    assert_eq!(all_seen(&ask(&broker, 13, unwilling)), [("new", 3, 0)]);
    let broker = TestBroker::new(&[("auto.create.topics.enable", "false")]);
    assert_eq!(all_seen(&ask(&broker, 13, by_name(&["new"]))), [("new", 3, 0)]);
    let broker = TestBroker::new(&[("default.replication.factor", "3")]);
    assert_eq!(all_seen(&ask(&broker, 13, by_name(&["new"]))), [("new", 38, 0)]);
    assert!(broker.store.calls().is_empty());
}

#[test]
fn ids_win_over_names_from_version_12() {
    let broker = TestBroker::new(&[]);
    let id = broker.broker.controller.ensure_topic("a").unwrap().id;
    let unknown = Uuid::from_u128(9);
    for version in 12..=13 {
        let topics =
            vec![by_id(id).with_name(Some(name("other"))), by_id(unknown), by_id(id), by_id(Uuid::nil())];
        let response = ask(&broker, version, MetadataRequest::default().with_topics(Some(topics)));
        // What has no id is passed over where others have one.
        assert_eq!(all_seen(&response), [("a", 0, 1), ("-", 100, 0)]);
        assert_eq!((response.topics[0].topic_id, response.topics[1].topic_id), (id, unknown));
    }
    assert_eq!(broker.broker.controller.image().topic_count(), 1, "an id creates nothing");
    for version in 10..=11 {
        let topics = vec![by_id(id), MetadataRequestTopic::default().with_name(Some(name("a")))];
        let response = ask(&broker, version, MetadataRequest::default().with_topics(Some(topics)));
        assert_eq!(all_seen(&response), [("", 42, 0), ("a", 42, 0)]);
        assert!(response.brokers.is_empty() && response.cluster_id.is_none());
        let internal = by_id(id).with_name(Some(name("__consumer_offsets")));
        let response = ask(&broker, version, MetadataRequest::default().with_topics(Some(vec![internal])));
        assert!(!response.topics[0].is_internal, "nothing was looked at");
    }
    for version in 0..=9 {
        let request = MetadataRequest::default()
            .with_topics(Some(vec![MetadataRequestTopic::default().with_name(None)]));
        let answer = handle(&broker.cx(version), request);
        assert!(matches!(answer, Answer::Unreadable(_)), "v{version}: there are no nulls");
    }
}

#[test]
fn operations_are_told_on_demand() {
    let broker = TestBroker::new(&[]);
    let request = by_name(&["a"])
        .with_include_cluster_authorized_operations(true)
        .with_include_topic_authorized_operations(true);
    for version in 8..=13 {
        let response = ask(&broker, version, request.clone());
        assert_eq!(response.topics[0].topic_authorized_operations, 0xdf8);
        let cluster = if version <= 10 { 0x1fa0 } else { i32::MIN };
        assert_eq!(response.cluster_authorized_operations, cluster);
    }
    let unknown = MetadataRequest::default().with_topics(Some(vec![by_id(Uuid::from_u128(9))]));
    let response = ask(&broker, 13, unknown.with_include_topic_authorized_operations(true));
    assert_eq!(response.topics[0].topic_authorized_operations, i32::MIN);
}
