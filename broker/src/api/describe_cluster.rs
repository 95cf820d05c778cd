//! DescribeCluster (60), versions 0 to 2: the cluster id and the brokers, for admin clients.
//!
//! | version | change |
//! |---|---|
//! | 1 | the client says whether it wants brokers (1) or controllers (2); a listener answers as the one that it is for |
//! | 2 | fenced brokers on demand; there are none |

use super::{Answer, Context, operations};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::{BrokerId, DescribeClusterRequest, DescribeClusterResponse};
use kafka_protocol::protocol::StrBytes;

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

pub(crate) fn handle(cx: &Context<'_>, request: DescribeClusterRequest) -> Answer<DescribeClusterResponse> {
    let own = if cx.connection.is_controller { CONTROLLERS } else { BROKERS };
    if request.endpoint_type != own {
        return refuse(cx.version, request.endpoint_type, own).into();
    }
    let (host, port, node_id) = cx.endpoint();
    let rack = cx.broker.config.rack.clone().filter(|_| own == BROKERS);
    let broker = DescribeClusterBroker::default()
        .with_broker_id(BrokerId(node_id))
        .with_host(StrBytes::from_string(host))
        .with_port(i32::from(port))
        .with_rack(rack.map(StrBytes::from_string));
    let asked = request.include_cluster_authorized_operations;
    DescribeClusterResponse::default()
        .with_endpoint_type(own)
        .with_cluster_id(StrBytes::from_string(cx.broker.cluster_id.clone()))
        .with_controller_id(BrokerId(node_id))
        .with_brokers(vec![broker])
        .with_cluster_authorized_operations(if asked { operations::CLUSTER } else { operations::NOT_ASKED })
        .into()
}

fn refuse(version: i16, endpoint_type: i8, own: i8) -> DescribeClusterResponse {
    let name = |endpoint_type| if endpoint_type == BROKERS { "BROKER" } else { "CONTROLLER" };
    let (error, message) = if [BROKERS, CONTROLLERS].contains(&endpoint_type) {
        let (own, wanted) = (name(own), name(endpoint_type));
        let message = format!(
            "The request was sent to an endpoint of type {own}, but we wanted an endpoint of type {wanted}"
        );
        (ResponseError::MismatchedEndpointType, message)
    } else {
        (ResponseError::UnsupportedEndpointType, format!("Unsupported endpoint type {endpoint_type}"))
    };
    // The first version knows neither of the two.
    let error = if version == 0 { ResponseError::InvalidRequest } else { error };
    DescribeClusterResponse::default()
        .with_error_code(error.code())
        .with_error_message(Some(StrBytes::from_string(message)))
}

#[cfg(test)]
mod tests;
