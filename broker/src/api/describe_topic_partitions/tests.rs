use super::handle;
use crate::controller::NewTopic;
use crate::controller::testing::{TestBroker, name, sent};
use kafka_protocol::messages::describe_topic_partitions_request::{Cursor, TopicRequest};
use kafka_protocol::messages::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse};

fn broker(keys: &[(&str, &str)]) -> TestBroker {
    let broker = TestBroker::new(keys);
    for (name, partitions) in [("a", 3), ("b", 2), ("c", 4)] {
        let topic =
            NewTopic { name: name.to_owned(), partitions, replication_factor: 1, ..NewTopic::default() };
        broker.broker.controller.create_topics(vec![topic], false).unwrap();
    }
    broker
}

fn asking(names: &[&str], limit: i32, cursor: Option<(&str, i32)>) -> DescribeTopicPartitionsRequest {
    let topics = names.iter().map(|topic| TopicRequest::default().with_name(name(topic)));
    let cursor = cursor.map(|(topic, partition)| {
        Cursor::default().with_topic_name(name(topic)).with_partition_index(partition)
    });
    DescribeTopicPartitionsRequest::default()
        .with_topics(topics.collect())
        .with_response_partition_limit(limit)
        .with_cursor(cursor)
}

fn ask(broker: &TestBroker, request: DescribeTopicPartitionsRequest) -> DescribeTopicPartitionsResponse {
    sent(handle(&broker.cx(0), request), 0)
}

/// `name:error:partitions` of each topic, and `>name:partition` for the cursor.
fn seen(response: &DescribeTopicPartitionsResponse) -> String {
    let mut parts: Vec<String> = response
        .topics
        .iter()
        .map(|topic| {
            let partitions: Vec<_> = topic.partitions.iter().map(|p| p.partition_index.to_string()).collect();
            format!("{}:{}:{}", topic.name.as_ref().unwrap().as_str(), topic.error_code, partitions.join(","))
        })
        .collect();
    parts.extend(
        response
            .next_cursor
            .iter()
            .map(|cursor| format!(">{}:{}", cursor.topic_name.as_str(), cursor.partition_index)),
    );
    parts.join(" ")
}

#[test]
fn pages_begin_and_end_where_kafkas_do() {
    let broker = broker(&[]);
    #[rustfmt::skip]
    let rows = [
        (&[][..],              2000, None,            "a:0:0,1,2 b:0:0,1 c:0:0,1,2,3"),
        (&[],                  4,    None,            "a:0:0,1,2 b:0:0 >b:1"),
        (&[],                  4,    Some(("b", 1)),  "b:0:1 c:0:0,1,2 >c:3"),
        (&[],                  4,    Some(("c", 3)),  "c:0:3"),
        (&[],                  3,    None,            "a:0:0,1,2 >b:0"),
        (&[],                  0,    None,            "a:0:0 >a:1"),
        (&[],                  -1,   None,            "a:0:0 >a:1"),
        (&[],                  9,    Some(("b", 9)),  "b:0: c:0:0,1,2,3"),
        (&[],                  9,    Some(("bb", 1)), "c:0:0,1,2,3"),
        (&["c", "a", "a"],     2000, None,            "a:0:0,1,2 c:0:0,1,2,3"),
        (&["none", "a", "x/"], 2000, None,            "a:0:0,1,2 none:3: x/:17:"),
        (&["a", "none"],       3,    None,            "a:0:0,1,2 >none:0"),
        (&["a", "c"],          2,    Some(("c", 1)),  "c:0:1,2 >c:3"),
        (&["a", "c"],          2,    Some(("b", 0)),  "a:42: c:42:"),
        (&["a"],               2,    Some(("a", -1)), "a:42:"),
        (&[],                  2,    Some(("a", -1)), ""),
    ];
    for (names, limit, cursor, expected) in rows {
        assert_eq!(
            seen(&ask(&broker, asking(names, limit, cursor))),
            expected,
            "{names:?} {limit} {cursor:?}"
        );
    }
}

#[test]
fn nothing_is_said_of_topics_behind_a_wrong_cursor() {
    let broker = broker(&[]);
    let topics = |cursor| ask(&broker, asking(&["__consumer_offsets"], 9, cursor)).topics;
    assert!(topics(None)[0].is_internal);
    assert!(!topics(Some(("a", 0)))[0].is_internal);
}

#[test]
fn the_brokers_limit_counts_too() {
    let broker = broker(&[("max.request.partition.size.limit", "2")]);
    assert_eq!(seen(&ask(&broker, asking(&[], 2000, None))), "a:0:0,1 >a:2");
}

#[test]
fn a_partition_is_described_in_full() {
    let broker = broker(&[]);
    let response = ask(&broker, asking(&["b"], 9, None));
    let topic = &response.topics[0];
    assert_eq!(topic.topic_id, broker.broker.controller.image().topic("b").unwrap().id);
    assert_eq!((topic.is_internal, topic.topic_authorized_operations), (false, 0xdf8));
    let partition = &topic.partitions[1];
    assert_eq!((partition.leader_id.0, partition.leader_epoch, partition.error_code), (1, 0, 0));
    assert_eq!(
        (partition.replica_nodes.len(), partition.isr_nodes.len(), partition.offline_replicas.len()),
        (1, 1, 0)
    );
    assert_eq!(partition.eligible_leader_replicas.as_deref(), Some(&[][..]));
    assert_eq!(partition.last_known_elr.as_deref(), Some(&[][..]));
}
