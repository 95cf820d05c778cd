//! DeleteTopics (20), versions 1 to 6.
//!
//! * Answered when the topics are gone for every client; their files follow.
//! * A topic that comes twice, by name, by id or by both: INVALID_REQUEST, and it stays.
//! * `delete.topic.enable=false`: TOPIC_DELETION_DISABLED, before version 3 INVALID_REQUEST.
//!
//! | version | change |
//! |---|---|
//! | 5 | the response has error messages |
//! | 6 | topics by name or by id, where before there were names only |

use super::{Answer, Context};
use crate::controller::Refusal;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse, TopicName};
use kafka_protocol::protocol::StrBytes;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use uuid::Uuid;

/// From this version on clients know THROTTLING_QUOTA_EXCEEDED.
const STRICT_SINCE: i16 = 5;

/// How many names a connection keeps of the topics that it has deleted.
const REMEMBERED_MAX: usize = 100;

/// The topics that a connection has deleted and not asked for since. Its next Metadata is to say that they are gone, as
/// Kafka does, rather than make them anew: whoever looks whether a topic was deleted does not want it back.
#[derive(Debug, Default)]
pub(crate) struct DeletedTopics(Mutex<VecDeque<String>>);

impl DeletedTopics {
    fn add(&self, name: &str) {
        let mut names = self.0.lock();
        if names.len() == REMEMBERED_MAX {
            names.pop_front();
        }
        names.push_back(name.to_owned());
    }

    /// Whether the topic was deleted by this connection; only once.
    pub(crate) fn take(&self, name: &str) -> bool {
        let mut names = self.0.lock();
        let before = names.len();
        names.retain(|deleted| deleted != name);
        names.len() < before
    }
}

/// What a client calls a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Asked {
    Name(TopicName),
    Id(Uuid),
    Both(TopicName, Uuid),
    Neither,
}

pub(crate) fn handle(cx: &Context<'_>, request: DeleteTopicsRequest) -> Answer<DeleteTopicsResponse> {
    let asked = asked(&request);
    let allowed = if cx.broker.config.delete_topics { Ok(()) } else { Err(disabled(cx.version)) };
    let results = match allowed.and_then(|()| Context::in_time(request.timeout_ms)) {
        Ok(()) => delete(cx, asked),
        Err(refusal) => asked.into_iter().map(|asked| result(asked, Err(refusal.clone()))).collect(),
    };
    DeleteTopicsResponse::default().with_responses(results).into()
}

fn asked(request: &DeleteTopicsRequest) -> Vec<Asked> {
    let by_name = request.topic_names.iter().cloned().map(Asked::Name);
    let by_state = request.topics.iter().map(|topic| match (topic.name.clone(), topic.topic_id) {
        (Some(name), id) if id.is_nil() => Asked::Name(name),
        (Some(name), id) => Asked::Both(name, id),
        (None, id) if id.is_nil() => Asked::Neither,
        (None, id) => Asked::Id(id),
    });
    by_name.chain(by_state).collect()
}

fn delete(cx: &Context<'_>, asked: Vec<Asked>) -> Vec<DeletableTopicResult> {
    let controller = &cx.broker.controller;
    let image = controller.image();
    let mut count: HashMap<Asked, usize> = HashMap::new();
    for asked in &asked {
        *count.entry(asked.clone()).or_default() += 1;
    }
    let mut resolved: Vec<(Asked, Result<Uuid, Refusal>)> = Vec::new();
    for asked in asked {
        // One result for what came several times, as Kafka gives it.
        let Some(times) = count.remove(&asked) else { continue };
        let id = if times > 1 && asked != Asked::Neither {
            Err(duplicate(&asked))
        } else {
            resolve(&image, &asked)
        };
        resolved.push((asked, id));
    }
    let mut uses: HashMap<Uuid, usize> = HashMap::new();
    for id in resolved.iter().filter_map(|(_, id)| id.as_ref().ok()) {
        *uses.entry(*id).or_default() += 1;
    }
    // Asked for by id and by name: the one result has both.
    resolved
        .retain(|(asked, _)| !matches!(asked, Asked::Id(id) if uses.get(id).is_some_and(|uses| *uses > 1)));
    for (asked, id) in &mut resolved {
        if let Asked::Name(name) = asked
            && let Ok(known) = id
            && uses[known] > 1
        {
            *asked = Asked::Both(name.clone(), *known);
            let message = "The provided topic name maps to an ID that was already supplied.";
            *id = Err(Refusal::new(ResponseError::InvalidRequest, message));
        }
    }
    for (_, id) in &mut resolved {
        let partitions = |id: &Uuid| image.topic_by_id(*id).map_or(0, |topic| topic.partitions.len());
        if let Ok(known) = id
            && let Err(refusal) = cx.may_change(partitions(known), STRICT_SINCE)
        {
            *id = Err(refusal);
        }
    }
    let ids: Vec<Uuid> = resolved.iter().filter_map(|(_, id)| id.as_ref().ok().copied()).collect();
    let name_of = |id: Uuid| {
        image.topic_by_id(id).map(|topic| TopicName(StrBytes::from_string(topic.name.to_string())))
    };
    let mut deleted = match tokio::task::block_in_place(|| controller.delete_topics(&ids)) {
        Ok(results) => results,
        Err(refusal) => ids.iter().map(|_| Err(refusal.clone())).collect(),
    }
    .into_iter();
    resolved
        .into_iter()
        .map(|(asked, id)| match id {
            Err(refusal) => result(asked, Err(refusal)),
            Ok(id) => match deleted.next().unwrap_or(Ok(())) {
                Ok(()) => {
                    let name = name_of(id);
                    if let Some(name) = &name {
                        cx.connection.deleted.add(name.as_str());
                        forget_offsets(cx, name.as_str());
                    }
                    result(asked, Ok(id)).with_name(name)
                }
                Err(refusal) => result(asked, Err(refusal)),
            },
        })
        .collect()
}

/// Groups let go of what they committed for a topic that is gone.
fn forget_offsets(cx: &Context<'_>, topic: &str) {
    if let Err(error) = cx.broker.groups.on_topic_deleted(topic) {
        // They expire some day; the topic is gone all the same.
        tracing::error!("cannot remove the committed offsets of {topic}: {error:?}");
    }
}

fn resolve(image: &crate::metadata::Image, asked: &Asked) -> Result<Uuid, Refusal> {
    let refuse = |error, message: &str| Err(Refusal::new(error, message));
    match asked {
        Asked::Name(name) => match image.topic(name.as_str()) {
            Some(topic) => Ok(topic.id),
            None => refuse(
                ResponseError::UnknownTopicOrPartition,
                "This server does not host this topic-partition.",
            ),
        },
        Asked::Id(id) => match image.topic_by_id(*id) {
            Some(topic) => Ok(topic.id),
            None => refuse(ResponseError::UnknownTopicId, "This server does not host this topic ID."),
        },
        Asked::Both(..) => {
            refuse(ResponseError::InvalidRequest, "You may not specify both topic name and topic id.")
        }
        Asked::Neither => refuse(ResponseError::InvalidRequest, "Neither topic name nor id were specified."),
    }
}

fn duplicate(asked: &Asked) -> Refusal {
    let message = match asked {
        Asked::Id(_) => "Duplicate topic id.",
        _ => "Duplicate topic name.",
    };
    Refusal::new(ResponseError::InvalidRequest, message)
}

/// Without a text, as Kafka answers what it refuses as a whole.
fn disabled(version: i16) -> Refusal {
    let is_known = version >= 3;
    Refusal::new(
        if is_known { ResponseError::TopicDeletionDisabled } else { ResponseError::InvalidRequest },
        "",
    )
}

fn result(asked: Asked, outcome: Result<Uuid, Refusal>) -> DeletableTopicResult {
    let (name, asked_id) = match asked {
        Asked::Name(name) => (Some(name), Uuid::nil()),
        Asked::Id(id) => (None, id),
        Asked::Both(name, id) => (Some(name), id),
        Asked::Neither => (None, Uuid::nil()),
    };
    let (code, message) = crate::controller::outcome(&outcome);
    DeletableTopicResult::default()
        .with_name(name)
        .with_topic_id(outcome.unwrap_or(asked_id))
        .with_error_code(code)
        .with_error_message(message)
}

#[cfg(test)]
mod tests;
