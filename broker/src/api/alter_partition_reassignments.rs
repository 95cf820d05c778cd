//! AlterPartitionReassignments (45), versions 0 and 1 (KIP-455): where the replicas of partitions shall be.
//!
//! * This broker is all there is. A partition that is here alone stays as it is, and the answer is that it is done; one
//!   that a cluster has left with more replicas keeps the one that is here, at once.
//! * Null replicas take a reassignment back that a cluster has left unfinished.
//!
//! | version | change |
//! |---|---|
//! | 1 | a client may forbid another number of replicas (KIP-860) |

use super::{Answer, Context};
use crate::controller::{Reassignment, outcome};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::alter_partition_reassignments_response::{
    ReassignablePartitionResponse, ReassignableTopicResponse,
};
use kafka_protocol::messages::{AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse};
use kafka_protocol::protocol::StrBytes;

pub(crate) fn handle(
    cx: &Context<'_>,
    request: AlterPartitionReassignmentsRequest,
) -> Answer<AlterPartitionReassignmentsResponse> {
    let response = AlterPartitionReassignmentsResponse::default();
    if request.topics.is_empty() {
        // Kafka does not look at the rest then, and answers with the defaults of the message.
        return response.with_error_message(Some(StrBytes::default())).into();
    }
    let partitions = request.topics.iter().flat_map(|topic| topic.partitions.iter().map(move |p| (topic, p)));
    let wanted: Vec<Reassignment> = partitions
        .map(|(topic, partition)| Reassignment {
            topic: topic.name.to_string(),
            partition: partition.partition_index,
            replicas: partition.replicas.as_ref().map(|ids| ids.iter().map(|id| id.0).collect()),
        })
        .collect();
    let keeps_factor = !request.allow_replication_factor_change;
    let in_time = Context::in_time(request.timeout_ms);
    let done = in_time.and_then(|()| cx.broker.controller.reassign(&wanted, keeps_factor));
    let (code, message) = outcome(&done);
    let mut results = match done {
        Ok(results) => results.into_iter(),
        // Each partition is told the same.
        Err(refusal) => vec![Err(refusal); wanted.len()].into_iter(),
    };
    let topics = request.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().zip(&mut results).map(|(partition, result)| {
            let (code, message) = outcome(&result);
            // The sentence that goes with this code says all, and Kafka sends none.
            let says_all = code == ResponseError::NoReassignmentInProgress.code();
            ReassignablePartitionResponse::default()
                .with_partition_index(partition.partition_index)
                .with_error_code(code)
                .with_error_message(message.filter(|_| !says_all))
        });
        ReassignableTopicResponse::default()
            .with_name(topic.name.clone())
            .with_partitions(partitions.collect())
    });
    let response =
        response.with_responses(topics.collect()).with_error_code(code).with_error_message(message);
    // The field is young: to older clients it must not be set, and a refusal has its default.
    let allowed = cx.version < 1 || code != 0 || request.allow_replication_factor_change;
    response.with_allow_replication_factor_change(allowed).into()
}

#[cfg(test)]
mod tests {
    use super::handle;
    use crate::controller::testing::{TestBroker, name, sent};
    use kafka_protocol::messages::alter_partition_reassignments_request::{
        ReassignablePartition, ReassignableTopic,
    };
    use kafka_protocol::messages::{AlterPartitionReassignmentsRequest, BrokerId};

    /// Replicas wanted, code, message.
    type Row = (Option<&'static [i32]>, i16, Option<&'static str>);

    const ROWS: [Row; 7] = [
        (Some(&[1]), 0, None),
        (None, 85, None),
        (Some(&[]), 39, Some("The manual partition assignment includes an empty replica list.")),
        (
            Some(&[2]),
            39,
            Some("The manual partition assignment includes broker 2, but no such broker is registered."),
        ),
        (Some(&[1, 1]), 39, Some("The manual partition assignment includes the broker 1 more than once.")),
        (
            Some(&[-1]),
            39,
            Some("The manual partition assignment includes broker -1, but no such broker is registered."),
        ),
        (
            Some(&[1, 2]),
            39,
            Some("The manual partition assignment includes broker 2, but no such broker is registered."),
        ),
    ];

    #[test]
    fn to_itself_and_nowhere_else() {
        let broker = TestBroker::new(&[]);
        broker.broker.controller.ensure_topic("t").unwrap();
        let before = broker.log.appends();
        for version in 0..=1 {
            for (replicas, code, message) in ROWS {
                let partition = |index| {
                    ReassignablePartition::default()
                        .with_partition_index(index)
                        .with_replicas(replicas.map(|ids| ids.iter().map(|id| BrokerId(*id)).collect()))
                };
                let topic = ReassignableTopic::default()
                    .with_name(name("t"))
                    .with_partitions(vec![partition(0), partition(9)]);
                let request = AlterPartitionReassignmentsRequest::default()
                    .with_topics(vec![topic])
                    .with_allow_replication_factor_change(version == 0);
                let response = sent(handle(&broker.cx(version), request), version);
                assert_eq!((response.error_code, response.error_message), (0, None));
                assert_eq!(response.allow_replication_factor_change, version == 0);
                let seen: Vec<_> = response.responses[0]
                    .partitions
                    .iter()
                    .map(|p| (p.partition_index, p.error_code, p.error_message.as_deref()))
                    .collect();
                let unknown = (9, 3, Some("Unable to find partition t:9."));
                assert_eq!(seen, [(0, code, message), unknown], "v{version} {replicas:?}");
            }
            let empty = sent(handle(&broker.cx(version), Default::default()), version);
            assert_eq!((empty.error_code, empty.error_message.as_deref()), (0, Some("")));
        }
        assert_eq!(broker.log.appends(), before);
    }
}
