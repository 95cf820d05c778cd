//! ElectLeaders (43), versions 0 to 2 (KIP-183, KIP-460).
//!
//! With one broker there is nothing to elect: it leads every partition that it holds, from the start on. What is left is
//! to say so (ELECTION_NOT_NEEDED), or why nobody can be elected.
//!
//! * All partitions (null): those that have the wanted leader are left out, as in Kafka.
//! * An election that is neither preferred (0) nor unclean (1): INVALID_REQUEST.

use super::{Answer, Context};
use crate::controller::{Refusal, outcome};
use crate::metadata::{NO_LEADER, PartitionInfo};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::elect_leaders_response::{PartitionResult, ReplicaElectionResult};
use kafka_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse, TopicName};
use kafka_protocol::protocol::StrBytes;

const PREFERRED: i8 = 0;
const UNCLEAN: i8 = 1;

pub(crate) fn handle(cx: &Context<'_>, request: ElectLeadersRequest) -> Answer<ElectLeadersResponse> {
    // Version 0 knows no other than the preferred one.
    let election_type = if cx.version == 0 { PREFERRED } else { request.election_type };
    let known = [PREFERRED, UNCLEAN].contains(&election_type);
    let asked_for_none = request.topic_partitions.as_ref().is_some_and(Vec::is_empty);
    let begun = match Context::in_time(request.timeout_ms) {
        _ if asked_for_none => Ok(()),
        Ok(()) if !known => Err(unknown(election_type)),
        in_time => in_time,
    };
    let elect = |topic: &TopicName, partition| match &begun {
        Ok(()) => elect(cx, topic, partition, election_type),
        Err(refusal) => (refusal.error, refusal.message.clone()),
    };
    let result = |topic: &TopicName, (partition, (error, message)): (i32, (ResponseError, String))| {
        tracing::debug!("no election for {}-{partition}: {error}", topic.as_str());
        let (code, message) = outcome::<()>(&Err(Refusal::new(error, message)));
        PartitionResult::default()
            .with_partition_id(partition)
            .with_error_code(code)
            .with_error_message(message)
    };
    let mut results = Vec::new();
    for topic in request.topic_partitions.iter().flatten() {
        let partitions =
            topic.partitions.iter().map(|partition| (*partition, elect(&topic.topic, *partition)));
        let partitions = partitions.map(|partition| result(&topic.topic, partition)).collect();
        results.push(
            ReplicaElectionResult::default()
                .with_topic(topic.topic.clone())
                .with_partition_result(partitions),
        );
    }
    if request.topic_partitions.is_none() && begun.is_ok() {
        for topic in cx.broker.controller.image().sorted_topics() {
            let name = TopicName(StrBytes::from_string(topic.name.to_string()));
            let partitions = (0..).zip(&topic.partitions).map(|(index, _)| (index, elect(&name, index)));
            let failed = partitions.filter(|(_, (error, _))| *error != ResponseError::ElectionNotNeeded);
            let failed = failed.map(|partition| result(&name, partition)).collect();
            results.push(ReplicaElectionResult::default().with_topic(name).with_partition_result(failed));
        }
    }
    // Version 0 has an error for each partition alone.
    let error = if cx.version == 0 { 0 } else { outcome(&begun).0 };
    ElectLeadersResponse::default().with_error_code(error).with_replica_election_results(results).into()
}

fn unknown(election_type: i8) -> Refusal {
    Refusal::new(ResponseError::InvalidRequest, format!("Unknown election type {election_type}"))
}

/// What comes of the election of one partition.
fn elect(cx: &Context<'_>, name: &str, index: i32, election_type: i8) -> (ResponseError, String) {
    let image = cx.broker.controller.image();
    let Some(topic) = image.topic(name) else {
        return (ResponseError::UnknownTopicOrPartition, format!("No such topic as {name}"));
    };
    let partition = usize::try_from(index).ok().and_then(|index| topic.partitions.get(index));
    let Some(partition) = partition else {
        return (ResponseError::UnknownTopicOrPartition, format!("No such partition as {name}-{index}"));
    };
    let offline = cx.broker.offline_in(topic)(index);
    if !offline && has_leader(partition, election_type) {
        let message = "Leader election not needed for topic partition.";
        return (ResponseError::ElectionNotNeeded, message.to_owned());
    }
    if election_type == PREFERRED {
        (ResponseError::PreferredLeaderNotAvailable, "The preferred leader was not available.".to_owned())
    } else {
        let message = "Eligible topic partition leaders are not available.";
        (ResponseError::EligibleLeadersNotAvailable, message.to_owned())
    }
}

fn has_leader(partition: &PartitionInfo, election_type: i8) -> bool {
    match election_type {
        PREFERRED => partition.replicas.first() == Some(&partition.leader),
        _ => partition.leader != NO_LEADER,
    }
}

#[cfg(test)]
mod tests {
    use super::handle;
    use crate::controller::testing::{TestBroker, name, sent};
    use kafka_protocol::messages::elect_leaders_request::TopicPartitions;
    use kafka_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse};

    fn ask(
        broker: &TestBroker,
        version: i16,
        election_type: i8,
        wanted: Option<&[(&str, &[i32])]>,
    ) -> ElectLeadersResponse {
        let topics = wanted.map(|wanted| {
            let topic = |(topic, partitions): &(&str, &[i32])| {
                TopicPartitions::default().with_topic(name(topic)).with_partitions(partitions.to_vec())
            };
            wanted.iter().map(topic).collect()
        });
        let request =
            ElectLeadersRequest::default().with_election_type(election_type).with_topic_partitions(topics);
        sent(handle(&broker.cx(version), request), version)
    }

    fn seen(response: &ElectLeadersResponse) -> Vec<(&str, i32, i16, &str)> {
        let topics = response.replica_election_results.iter();
        let partitions = topics.flat_map(|topic| topic.partition_result.iter().map(move |p| (topic, p)));
        partitions
            .map(|(topic, p)| {
                (&**topic.topic, p.partition_id, p.error_code, p.error_message.as_deref().unwrap_or_default())
            })
            .collect()
    }

    #[test]
    fn the_only_broker_leads_already() {
        let broker = TestBroker::new(&[]);
        broker.broker.controller.ensure_topic("t").unwrap();
        for (version, election_type) in [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1)] {
            let response = ask(&broker, version, election_type, Some(&[("t", &[0, 1]), ("none", &[0])]));
            let expected = [
                ("t", 0, 84, "Leader election not needed for topic partition."),
                ("t", 1, 3, "No such partition as t-1"),
                ("none", 0, 3, "No such topic as none"),
            ];
            // The logs of this test are in memory, so that no directory is offline.
            assert_eq!(seen(&response), expected, "v{version} {election_type}");
            let all = ask(&broker, version, election_type, None);
            assert_eq!(all.replica_election_results.len(), 1);
            assert!(seen(&all).is_empty());
            assert!(ask(&broker, version, election_type, Some(&[])).replica_election_results.is_empty());
        }
        let response = ask(&broker, 2, 5, Some(&[("t", &[0])]));
        assert_eq!(response.error_code, 42);
        assert_eq!(seen(&response), [("t", 0, 42, "Unknown election type 5")]);
        assert_eq!(ask(&broker, 2, 5, None).error_code, 42);
        assert_eq!(ask(&broker, 2, 5, Some(&[])).error_code, 0);
        // Whether there is time for it comes before what is asked for.
        let late = ElectLeadersRequest::default().with_election_type(5).with_timeout_ms(0);
        assert_eq!(sent(handle(&broker.cx(2), late.with_topic_partitions(None)), 2).error_code, 7);
    }
}
