//! RemoveRaftVoter (81), version 0 (KIP-853): one voter less. The only one stays; the answer says why.

use super::add_raft_voter::check_cluster;
use super::{Answer, Context};
use crate::controller::Refusal;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{RemoveRaftVoterRequest, RemoveRaftVoterResponse};

pub(crate) fn handle(cx: &Context<'_>, request: RemoveRaftVoterRequest) -> Answer<RemoveRaftVoterResponse> {
    let refusal = refusal(cx, &request);
    RemoveRaftVoterResponse::default()
        .with_error_code(refusal.code())
        .with_error_message(refusal.text())
        .into()
}

fn refusal(cx: &Context<'_>, request: &RemoveRaftVoterRequest) -> Refusal {
    let (id, directory) = (request.voter_id, request.voter_directory_id);
    if let Err(refusal) = check_cluster(cx, request.cluster_id.as_deref()) {
        return refusal;
    }
    if id < 0 || directory.is_nil() {
        let message = "Remove voter request didn't include a valid voter";
        return Refusal::new(ResponseError::InvalidRequest, message);
    }
    if cx.broker.controller.image().kraft_version() == 0 {
        let message = "Cluster doesn't support removing voter because the kraft.version feature is 0";
        return Refusal::new(ResponseError::UnsupportedVersion, message);
    }
    if id != cx.broker.controller.node_id() || directory != cx.broker.metadata_directory() {
        let message = format!("Cannot remove voter {id}, because it is not in the set of voters");
        return Refusal::new(ResponseError::VoterNotFound, message);
    }
    let message = format!("Cannot remove voter {id}, because it is the only one");
    Refusal::new(ResponseError::InvalidRequest, message)
}

#[cfg(test)]
mod tests {
    use super::handle;
    use crate::controller::testing::{TestBroker, sent};
    use kafka_protocol::messages::RemoveRaftVoterRequest;
    use kafka_protocol::protocol::StrBytes;
    use uuid::Uuid;

    #[test]
    fn never() {
        let broker = TestBroker::new(&[]);
        let rows = [
            (Some("x"), 2, 1, 104),
            (None, -1, 1, 42),
            (None, 2, 0, 42),
            (Some("MkU3OEVBNTcwNTJENDM2Qk"), 1, 1, 35),
        ];
        for (cluster_id, voter_id, directory, code) in rows {
            let request = RemoveRaftVoterRequest::default()
                .with_cluster_id(cluster_id.map(StrBytes::from_static_str))
                .with_voter_id(voter_id)
                .with_voter_directory_id(Uuid::from_u128(directory));
            assert_eq!(sent(handle(&broker.cx(0), request), 0).error_code, code, "{cluster_id:?} {voter_id}");
        }
    }
}
