use super::handle;
use crate::controller::testing::{TestBroker, name, sent};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse};
use uuid::Uuid;

fn ask(broker: &TestBroker, version: i16, request: DeleteTopicsRequest) -> DeleteTopicsResponse {
    sent(handle(&broker.cx(version), request.with_timeout_ms(9000)), version)
}

fn by_name(names: &[&str], version: i16) -> DeleteTopicsRequest {
    if version < 6 {
        return DeleteTopicsRequest::default()
            .with_topic_names(names.iter().map(|topic| name(topic)).collect());
    }
    let topics = names.iter().map(|topic| DeleteTopicState::default().with_name(Some(name(topic))));
    DeleteTopicsRequest::default().with_topics(topics.collect())
}

fn seen(response: &DeleteTopicsResponse) -> Vec<(String, Uuid, i16, String)> {
    response
        .responses
        .iter()
        .map(|result| {
            let name = result.name.as_ref().map_or("-".to_owned(), |name| name.to_string());
            let message = result.error_message.as_ref().map_or(String::new(), |text| text.to_string());
            (name, result.topic_id, result.error_code, message)
        })
        .collect()
}

#[test]
fn every_version_deletes_by_name() {
    let broker = TestBroker::new(&[]);
    for version in 1..=6 {
        let id = broker.broker.controller.ensure_topic("a").unwrap().id;
        broker.broker.controller.ensure_topic("kept").unwrap();
        let response = ask(&broker, version, by_name(&["a", "none", "kept", "kept"], version));
        let texts = ["", "This server does not host this topic-partition.", "Duplicate topic name."];
        let [done, none, twice] =
            texts.map(|text| if version >= 5 { text.to_owned() } else { String::new() });
        let id = if version >= 6 { id } else { Uuid::nil() };
        let row = |name: &str, id, code, text| (name.to_owned(), id, code, text);
        assert_eq!(
            seen(&response),
            [row("a", id, 0, done), row("none", Uuid::nil(), 3, none), row("kept", Uuid::nil(), 42, twice)]
        );
        assert!(broker.broker.controller.image().topic("a").is_none());
        assert!(broker.broker.controller.image().topic("kept").is_some());
    }
}

#[test]
fn version_6_deletes_by_id_and_sees_through_both() {
    let broker = TestBroker::new(&[]);
    let id = |name: &str| broker.broker.controller.ensure_topic(name).unwrap().id;
    let (a, both, twice) = (id("a"), id("both"), id("twice"));
    let state =
        |topic: Option<&str>, id| DeleteTopicState::default().with_name(topic.map(name)).with_topic_id(id);
    let topics = vec![
        state(None, a),
        state(None, Uuid::from_u128(9)),
        state(Some("both"), both),
        state(None, twice),
        state(Some("twice"), Uuid::nil()),
        state(None, Uuid::nil()),
    ];
    let response = ask(&broker, 6, DeleteTopicsRequest::default().with_topics(topics));
    let maps = "The provided topic name maps to an ID that was already supplied.";
    let rows = [
        ("a", a, 0, ""),
        ("-", Uuid::from_u128(9), 100, "This server does not host this topic ID."),
        ("both", both, 42, "You may not specify both topic name and topic id."),
        ("twice", twice, 42, maps),
        ("-", Uuid::nil(), 42, "Neither topic name nor id were specified."),
    ];
    let rows = rows.map(|(name, id, code, text)| (name.to_owned(), id, code, text.to_owned()));
    assert_eq!(seen(&response), rows);
    assert_eq!(broker.broker.controller.image().topic_count(), 2);
}

#[test]
fn who_gives_no_time_is_told_that_it_is_over() {
    let broker = TestBroker::new(&[]);
    broker.broker.controller.ensure_topic("a").unwrap();
    for timeout in [0, -1] {
        let request = by_name(&["a", "none"], 6).with_timeout_ms(timeout);
        let response = sent(handle(&broker.cx(6), request), 6);
        let codes: Vec<_> = response
            .responses
            .iter()
            .map(|result| (result.error_code, result.error_message.clone()))
            .collect();
        assert_eq!(codes, [(7, None), (7, None)]);
    }
    assert_eq!(broker.broker.controller.image().topic_count(), 1);
}

#[test]
fn deletion_can_be_switched_off() {
    let broker = TestBroker::new(&[("delete.topic.enable", "false")]);
    broker.broker.controller.ensure_topic("a").unwrap();
    for version in 1..=6 {
        let response = ask(&broker, version, by_name(&["a"], version));
        assert_eq!(response.responses[0].error_code, if version < 3 { 42 } else { 73 });
        assert_eq!(response.responses[0].error_message, None);
    }
    assert_eq!(broker.broker.controller.image().topic_count(), 1);
}
