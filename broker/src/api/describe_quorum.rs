//! DescribeQuorum (55), versions 0 to 2 (KIP-595): who votes on the metadata log. This node does, alone.
//!
//! The one partition there is, `__cluster_metadata-0`, must be asked for by itself; anything else is
//! UNKNOWN_TOPIC_OR_PARTITION, as in Kafka.
//!
//! | version | change |
//! |---|---|
//! | 1 | when a voter last fetched, and last had everything (KIP-836) |
//! | 2 | log directories and addresses of the voters (KIP-853) |

use super::{Answer, Context};
use crate::config::Value;
use crate::metadata::topic_name::CLUSTER_METADATA;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_quorum_request::TopicData as Asked;
use kafka_protocol::messages::describe_quorum_response::{
    Listener, Node, PartitionData, ReplicaState, TopicData,
};
use kafka_protocol::messages::{BrokerId, DescribeQuorumRequest, DescribeQuorumResponse};
use kafka_protocol::protocol::StrBytes;
use milena_protocol::records::VoterEndpoint;

pub(crate) fn handle(cx: &Context<'_>, request: DescribeQuorumRequest) -> Answer<DescribeQuorumResponse> {
    // Texts are younger than the rest: an empty one is what a version without them would read.
    let response = DescribeQuorumResponse::default().with_error_message(Some(StrBytes::default()));
    if !is_metadata(&request.topics) {
        return response.with_topics(request.topics.iter().map(unknown).collect()).into();
    }
    let image = cx.broker.controller.image();
    let end_offset = image.offset() + 1;
    let mut voter = ReplicaState::default()
        .with_replica_id(BrokerId(cx.broker.controller.node_id()))
        .with_log_end_offset(end_offset);
    if cx.version >= 1 {
        let now = cx.broker.clock.now_ms();
        voter = voter.with_last_fetch_timestamp(now).with_last_caught_up_timestamp(now);
    }
    let mut nodes = Vec::new();
    if cx.version >= 2 {
        if image.kraft_version() > 0 {
            voter = voter.with_replica_directory_id(cx.broker.metadata_directory());
        }
        nodes.push(Node::default().with_node_id(voter.replica_id).with_listeners(listeners(cx)));
    }
    let partition = PartitionData::default()
        .with_error_message(Some(StrBytes::default()))
        .with_leader_id(voter.replica_id)
        .with_leader_epoch(image.epoch())
        .with_high_watermark(end_offset)
        .with_current_voters(vec![voter]);
    let topic = TopicData::default()
        .with_topic_name(request.topics[0].topic_name.clone())
        .with_partitions(vec![partition]);
    response.with_topics(vec![topic]).with_nodes(nodes).into()
}

/// Whether exactly the partition of the metadata is asked for.
fn is_metadata(topics: &[Asked]) -> bool {
    match topics {
        [topic] if &**topic.topic_name == CLUSTER_METADATA => {
            matches!(&*topic.partitions, [partition] if partition.partition_index == 0)
        }
        _ => false,
    }
}

fn unknown(topic: &Asked) -> TopicData {
    let message = "This server does not host this topic-partition.";
    let partitions = topic.partitions.iter().map(|partition| {
        PartitionData::default()
            .with_partition_index(partition.partition_index)
            .with_error_code(ResponseError::UnknownTopicOrPartition.code())
            .with_error_message(Some(StrBytes::from_static_str(message)))
    });
    TopicData::default().with_topic_name(topic.topic_name.clone()).with_partitions(partitions.collect())
}

/// Where the metadata, or else `controller.quorum.voters`, say that this node listens for other controllers.
fn listeners(cx: &Context<'_>) -> Vec<Listener> {
    let image = cx.broker.controller.image();
    if let Some(voters) = image.voters() {
        let own = voters.voters.iter().filter(|voter| voter.id == cx.broker.controller.node_id());
        let listener = |endpoint: &VoterEndpoint| {
            Listener::default()
                .with_name(StrBytes::from_string(endpoint.name.clone()))
                .with_host(StrBytes::from_string(endpoint.host.clone()))
                .with_port(endpoint.port)
        };
        return own.flat_map(|voter| &voter.endpoints).map(listener).collect();
    }
    let config = cx.broker.controller.config();
    let Some(Value::List(voters)) = config.value("controller.quorum.voters") else { return Vec::new() };
    let own = format!("{}@", cx.broker.controller.node_id());
    let address = voters.iter().find_map(|voter| voter.strip_prefix(&own)?.rsplit_once(':'));
    let Some((host, port)) = address else { return Vec::new() };
    let listener = Listener::default()
        .with_name(StrBytes::from_string(controller_listener(cx)))
        .with_host(StrBytes::from_string(host.to_owned()))
        .with_port(port.parse().unwrap_or_default());
    vec![listener]
}

/// Name of the listener for controllers: the first one of `controller.listener.names`.
pub(super) fn controller_listener(cx: &Context<'_>) -> String {
    let config = cx.broker.controller.config();
    let names = match config.value("controller.listener.names") {
        Some(Value::String(names)) => names.as_str(),
        _ => "CONTROLLER",
    };
    names.split(',').next().unwrap_or_default().trim().to_uppercase()
}

#[cfg(test)]
mod tests {
    use super::handle;
    use crate::controller::testing::{TestBroker, name, sent};
    use kafka_protocol::messages::describe_quorum_request::{PartitionData, TopicData};
    use kafka_protocol::messages::{DescribeQuorumRequest, DescribeQuorumResponse};

    fn ask(broker: &TestBroker, version: i16, asked: &[(&str, &[i32])]) -> DescribeQuorumResponse {
        let topic = |(topic, partitions): &(&str, &[i32])| {
            let partition = |index: &i32| PartitionData::default().with_partition_index(*index);
            TopicData::default()
                .with_topic_name(name(topic))
                .with_partitions(partitions.iter().map(partition).collect())
        };
        let request = DescribeQuorumRequest::default().with_topics(asked.iter().map(topic).collect());
        sent(handle(&broker.cx(version), request), version)
    }

    #[test]
    fn this_node_alone() {
        let broker = TestBroker::new(&[("controller.quorum.voters", "1@voter.example:9093")]);
        for version in 0..=2 {
            let response = ask(&broker, version, &[("__cluster_metadata", &[0])]);
            let partition = &response.topics[0].partitions[0];
            let image = broker.broker.controller.image();
            assert_eq!((response.error_code, partition.error_code), (0, 0));
            assert_eq!((partition.leader_id.0, partition.leader_epoch), (1, image.epoch()));
            assert_eq!(partition.high_watermark, image.offset() + 1);
            assert_eq!(partition.current_voters.len(), 1);
            assert_eq!(partition.current_voters[0].log_end_offset, partition.high_watermark);
            assert_eq!(partition.current_voters[0].last_fetch_timestamp > 0, version >= 1);
            assert_eq!(response.nodes.len(), usize::from(version >= 2));
            for node in &response.nodes {
                let listener = &node.listeners[0];
                assert_eq!(
                    (&*listener.name, &*listener.host, listener.port),
                    ("CONTROLLER", "voter.example", 9093)
                );
            }
        }
    }

    #[test]
    fn nothing_else_is_known() {
        let broker = TestBroker::new(&[]);
        let asked: [&[(&str, &[i32])]; 5] = [
            &[],
            &[("t", &[0])],
            &[("__cluster_metadata", &[1])],
            &[("__cluster_metadata", &[0, 1])],
            &[("__cluster_metadata", &[])],
        ];
        for version in 0..=2 {
            for asked in asked {
                let response = ask(&broker, version, asked);
                assert_eq!(response.topics.len(), asked.len());
                for (topic, (_, partitions)) in response.topics.iter().zip(asked) {
                    assert_eq!(topic.partitions.len(), partitions.len());
                    assert!(topic.partitions.iter().all(|partition| partition.error_code == 3));
                }
                assert!(response.nodes.is_empty());
            }
        }
    }
}
