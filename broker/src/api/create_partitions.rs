//! CreatePartitions (37), versions 0 to 3, which do not differ but in their encoding.
//!
//! * Answered when the new partitions can be written to.
//! * A topic that comes twice: INVALID_REQUEST, and it stays as it is.
//! * More than 10,000 new partitions in one request: POLICY_VIOLATION from the topic on that is too much.

use super::{Answer, Context};
use crate::controller::{NewPartitions, Refusal, outcome};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse, TopicName};
use std::collections::HashMap;
use tokio::task::block_in_place;

/// From this version on clients know THROTTLING_QUOTA_EXCEEDED.
const STRICT_SINCE: i16 = 3;

pub(crate) fn handle(cx: &Context<'_>, request: CreatePartitionsRequest) -> Answer<CreatePartitionsResponse> {
    let mut count: HashMap<TopicName, usize> = HashMap::new();
    let mut names = Vec::new();
    for topic in &request.topics {
        let count = count.entry(topic.name.clone()).or_default();
        *count += 1;
        if *count == 1 {
            names.push(topic.name.clone());
        }
    }
    let is_single = |name: &TopicName| count.get(name) == Some(&1);
    let over_quota = over_quota(cx, &request, is_single);
    let is_wanted = |name: &TopicName| is_single(name) && !over_quota.contains_key(name);
    let wanted: Vec<NewPartitions> =
        request.topics.iter().filter(|topic| is_wanted(&topic.name)).map(new_partitions).collect();
    let is_nothing_to_do = !names.iter().any(is_single);
    let in_time = if is_nothing_to_do { Ok(()) } else { Context::in_time(request.timeout_ms) };
    let created = in_time.and_then(|()| {
        block_in_place(|| cx.broker.controller.create_partitions(&wanted, request.validate_only))
    });
    let mut created = created.map(Vec::into_iter);
    if created.is_err() {
        // What is refused as a whole is told for each entry, also where a name comes twice.
        names = request.topics.iter().map(|topic| topic.name.clone()).collect();
    }
    let results = names.into_iter().map(|name| {
        let result = match &mut created {
            Ok(_) if over_quota.contains_key(&name) => Err(over_quota[&name].clone()),
            Ok(_) if !is_wanted(&name) => {
                Err(Refusal::new(ResponseError::InvalidRequest, "Duplicate topic name."))
            }
            Ok(created) => created.next().unwrap_or(Ok(())),
            Err(refusal) => Err(refusal.clone()),
        };
        let (code, message) = outcome(&result);
        // The sentence that goes with this code says all, and Kafka sends none.
        let message = message.filter(|_| code != ResponseError::UnknownTopicOrPartition.code());
        CreatePartitionsTopicResult::default()
            .with_name(name)
            .with_error_code(code)
            .with_error_message(message)
    });
    CreatePartitionsResponse::default().with_results(results.collect()).into()
}

/// The topics for which the client's quota has no room left.
fn over_quota(
    cx: &Context<'_>,
    request: &CreatePartitionsRequest,
    is_single: impl Fn(&TopicName) -> bool,
) -> HashMap<TopicName, Refusal> {
    let mut refused = HashMap::new();
    if !cx.broker.quotas.is_active() {
        return refused;
    }
    let image = cx.broker.controller.image();
    for topic in request.topics.iter().filter(|topic| is_single(&topic.name)) {
        let Some(known) = image.topic(topic.name.as_str()) else { continue };
        let partitions = usize::try_from(topic.count).unwrap_or(0).saturating_sub(known.partitions.len());
        if let Err(refusal) = cx.may_change(partitions, STRICT_SINCE) {
            refused.insert(topic.name.clone(), refusal);
        }
    }
    refused
}

fn new_partitions(topic: &CreatePartitionsTopic) -> NewPartitions {
    let assignments = topic.assignments.as_ref().map(|assignments| {
        assignments.iter().map(|assignment| assignment.broker_ids.iter().map(|id| id.0).collect()).collect()
    });
    NewPartitions { topic: topic.name.to_string(), count: topic.count, assignments }
}

#[cfg(test)]
mod tests;
