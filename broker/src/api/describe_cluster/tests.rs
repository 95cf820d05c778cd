use super::handle;
use crate::controller::testing::{TestBroker, sent};
use kafka_protocol::messages::DescribeClusterRequest;

#[test]
fn every_version_is_told_of_the_one_broker() {
    let broker = TestBroker::new(&[("broker.rack", "r1")]);
    for version in 0..=2 {
        let request = DescribeClusterRequest::default();
        let response = sent(handle(&broker.cx(version), request.clone()), version);
        let [node] = &response.brokers[..] else { panic!("one broker") };
        assert_eq!((node.broker_id.0, node.host.as_str(), node.port), (1, "10.0.0.1", 9092));
        assert_eq!((node.rack.as_deref(), node.is_fenced), (Some("r1"), false));
        assert_eq!((response.controller_id.0, response.cluster_id.as_str()), (1, "MkU3OEVBNTcwNTJENDM2Qk"));
        assert_eq!((response.error_code, response.cluster_authorized_operations), (0, i32::MIN));
        let asked = request.with_include_cluster_authorized_operations(true);
        assert_eq!(sent(handle(&broker.cx(version), asked), version).cluster_authorized_operations, 0x1fa0);
    }
}

#[test]
fn there_are_no_controllers_to_be_found_here() {
    let broker = TestBroker::new(&[]);
    for (version, endpoint_type, code) in
        [(0, 2, 42), (1, 2, 114), (2, 2, 114), (0, 9, 42), (1, 9, 115), (2, 0, 115)]
    {
        let request = DescribeClusterRequest::default().with_endpoint_type(endpoint_type);
        let response = sent(handle(&broker.cx(version), request), version);
        assert_eq!(
            (response.error_code, response.brokers.len()),
            (code, 0),
            "v{version} type {endpoint_type}"
        );
        assert!(response.error_message.is_some());
    }
}

#[test]
fn a_listener_of_controllers_tells_of_the_controller() {
    let mut broker = TestBroker::new(&[
        ("listeners", "PLAINTEXT://:9092,CONTROLLER://:9093"),
        ("controller.listener.names", "CONTROLLER"),
        ("broker.rack", "r1"),
    ]);
    broker.connection.listener = 1;
    broker.connection.is_controller = true;
    broker.connection.local = "10.0.0.1:9093".parse().unwrap();
    for (version, endpoint_type, code) in [(1, 2, 0), (2, 2, 0), (0, 1, 42), (1, 1, 114), (2, 9, 115)] {
        let request = DescribeClusterRequest::default().with_endpoint_type(endpoint_type);
        let response = sent(handle(&broker.cx(version), request), version);
        assert_eq!(response.error_code, code, "v{version} type {endpoint_type}");
        match &response.brokers[..] {
            [node] => {
                assert_eq!((node.broker_id.0, node.host.as_str(), node.port), (1, "10.0.0.1", 9093));
                assert_eq!((response.endpoint_type, &node.rack), (2, &None));
            }
            none => assert!(code != 0 && none.is_empty()),
        }
    }
}
