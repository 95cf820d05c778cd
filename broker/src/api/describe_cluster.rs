//! DescribeCluster (60), versions 0 to 2: the cluster id and the brokers, for admin clients.
//!
//! | version | change |
//! |---|---|
//! | 1 | the client says whether it wants brokers (1) or controllers (2); here it finds brokers only |
//! | 2 | fenced brokers on demand; there are none |

use super::{Answer, Context, operations};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::{BrokerId, DescribeClusterRequest, DescribeClusterResponse};
use kafka_protocol::protocol::StrBytes;

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

pub(crate) fn handle(cx: &Context<'_>, request: DescribeClusterRequest) -> Answer<DescribeClusterResponse> {
    if request.endpoint_type != BROKERS {
        return refuse(cx.version, request.endpoint_type).into();
    }
    let (host, port, node_id) = cx.endpoint();
    let broker = DescribeClusterBroker::default()
        .with_broker_id(BrokerId(node_id))
        .with_host(StrBytes::from_string(host))
        .with_port(i32::from(port))
        .with_rack(cx.broker.config.rack.clone().map(StrBytes::from_string));
    let asked = request.include_cluster_authorized_operations;
    DescribeClusterResponse::default()
        .with_endpoint_type(BROKERS)
        .with_cluster_id(StrBytes::from_string(cx.broker.cluster_id.clone()))
        .with_controller_id(BrokerId(node_id))
        .with_brokers(vec![broker])
        .with_cluster_authorized_operations(if asked { operations::CLUSTER } else { operations::NOT_ASKED })
        .into()
}

fn refuse(version: i16, endpoint_type: i8) -> DescribeClusterResponse {
    let (error, message) = if endpoint_type == CONTROLLERS {
        let message = "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER";
        (ResponseError::MismatchedEndpointType, message.to_owned())
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
