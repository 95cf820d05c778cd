//! AddRaftVoter (80), version 0 (KIP-853): another voter for the metadata log. There never is one; the answer says why.
//!
//! The checks and their order are those of `KafkaRaftClient.handleAddVoterRequest`.

use super::describe_quorum::controller_listener;
use super::{Answer, Context};
use crate::controller::Refusal;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{AddRaftVoterRequest, AddRaftVoterResponse};

pub(crate) fn handle(cx: &Context<'_>, request: AddRaftVoterRequest) -> Answer<AddRaftVoterResponse> {
    let refusal = refusal(cx, &request);
    AddRaftVoterResponse::default().with_error_code(refusal.code()).with_error_message(refusal.text()).into()
}

fn refusal(cx: &Context<'_>, request: &AddRaftVoterRequest) -> Refusal {
    let invalid = |message: String| Refusal::new(ResponseError::InvalidRequest, message);
    if let Err(refusal) = check_cluster(cx, request.cluster_id.as_deref()) {
        return refusal;
    }
    if request.voter_id < 0 || request.voter_directory_id.is_nil() {
        return invalid("Add voter request didn't include a valid voter".to_owned());
    }
    let name = controller_listener(cx);
    if !request.listeners.iter().any(|listener| *listener.name == *name) {
        let endpoint = |listener: &kafka_protocol::messages::add_raft_voter_request::Listener| {
            format!("ListenerName({})={}/<unresolved>:{}", listener.name, listener.host, listener.port)
        };
        let endpoints: Vec<_> = request.listeners.iter().map(endpoint).collect();
        return invalid(format!(
            "Add voter request didn't include the endpoint (Endpoints(endpoints={{{}}})) for the default listener \
             ListenerName({name})",
            endpoints.join(", ")
        ));
    }
    if cx.broker.controller.image().kraft_version() == 0 {
        let message = "Cluster doesn't support adding voter because the kraft.version feature is 0";
        return Refusal::new(ResponseError::UnsupportedVersion, message);
    }
    if request.voter_id == cx.broker.controller.node_id() {
        let message = format!("The voter id {} is already part of the set of voters", request.voter_id);
        return Refusal::new(ResponseError::DuplicateVoter, message);
    }
    invalid("This node is broker and controller in one, and takes no other voter beside itself".to_owned())
}

/// Refuses what is meant for another cluster.
pub(super) fn check_cluster(cx: &Context<'_>, cluster_id: Option<&str>) -> Result<(), Refusal> {
    let own = &cx.broker.cluster_id;
    match cluster_id.filter(|id| id != own) {
        Some(id) => {
            let message = format!("The given id \"{id}\" doesn't match the cluster id \"{own}\"");
            Err(Refusal::new(ResponseError::InconsistentClusterId, message))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::handle;
    use crate::controller::testing::{TestBroker, sent};
    use kafka_protocol::messages::AddRaftVoterRequest;
    use kafka_protocol::messages::add_raft_voter_request::Listener;
    use kafka_protocol::protocol::StrBytes;
    use uuid::Uuid;

    #[test]
    fn never() {
        let broker = TestBroker::new(&[]);
        let own = Some("MkU3OEVBNTcwNTJENDM2Qk");
        let rows = [
            (
                Some("x"),
                2,
                1,
                "CONTROLLER",
                104,
                "The given id \"x\" doesn't match the cluster id \"MkU3OEVBNTcwNTJENDM2Qk\"",
            ),
            (own, -1, 1, "CONTROLLER", 42, "Add voter request didn't include a valid voter"),
            (None, 2, 0, "CONTROLLER", 42, "Add voter request didn't include a valid voter"),
            (
                None,
                2,
                1,
                "X",
                42,
                "Add voter request didn't include the endpoint (Endpoints(endpoints={ListenerName(X)=h/<unresolved>:9})) for \
                 the default listener ListenerName(CONTROLLER)",
            ),
            (
                own,
                2,
                1,
                "CONTROLLER",
                35,
                "Cluster doesn't support adding voter because the kraft.version feature is 0",
            ),
        ];
        for (cluster_id, voter_id, directory, listener, code, message) in rows {
            let listener = Listener::default()
                .with_name(StrBytes::from_static_str(listener))
                .with_host(StrBytes::from_static_str("h"))
                .with_port(9);
            let request = AddRaftVoterRequest::default()
                .with_cluster_id(cluster_id.map(StrBytes::from_static_str))
                .with_voter_id(voter_id)
                .with_voter_directory_id(Uuid::from_u128(directory))
                .with_listeners(vec![listener]);
            let response = sent(handle(&broker.cx(0), request), 0);
            assert_eq!((response.error_code, response.error_message.as_deref()), (code, Some(message)));
        }
    }
}
