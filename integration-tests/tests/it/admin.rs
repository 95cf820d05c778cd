//! Levels of loggers while the broker runs, how fast connections may come, and settings that are written elsewhere.

use crate::configs::{DELETE, SET, alter_one, setting};
use kafka_protocol::messages::alter_client_quotas_request::{EntityData, EntryData, OpData};
use kafka_protocol::messages::{AlterClientQuotasRequest, ListConfigResourcesRequest};
use milena_integration_tests::broker::Broker;
use milena_integration_tests::raw::Connection;
use milena_integration_tests::requests::{api_versions, text};
use std::time::{Duration, Instant};

const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;

#[test]
fn loggers_change_at_once_and_are_not_stored() {
    let Some(mut broker) = Broker::milena(&[]) else { return };
    let mut connection = broker.connect();
    let requests_logged =
        |broker: &Broker| broker.output().iter().filter(|line| line.contains("ApiVersions v")).count();
    let level = |connection: &mut Connection, name: &str| setting(connection, BROKER_LOGGER, "1", name);
    assert_eq!(level(&mut connection, "root"), (Some("INFO".to_owned()), 6));
    assert_eq!(level(&mut connection, "kafka.request.logger"), (Some("WARN".to_owned()), 6));
    api_versions(&mut connection);
    assert_eq!(requests_logged(&broker), 0);

    let edit = ("kafka.request.logger", SET, Some("DEBUG"));
    assert_eq!(alter_one(&mut connection, BROKER_LOGGER, "1", &[edit]), (0, None));
    api_versions(&mut connection);
    let end = Instant::now() + Duration::from_secs(30);
    while requests_logged(&broker) == 0 {
        assert!(Instant::now() < end, "{:?}", broker.output());
        std::thread::yield_now();
    }
    let edit = ("kafka.request.logger", DELETE, None);
    assert_eq!(alter_one(&mut connection, BROKER_LOGGER, "1", &[edit]), (0, None));
    assert_eq!(level(&mut connection, "kafka.request.logger"), (Some("INFO".to_owned()), 6));
    let root = ("root", DELETE, None);
    let refused = alter_one(&mut connection, BROKER_LOGGER, "1", &[root]);
    assert_eq!(refused, (42, Some("Removing the log level of the root logger is not allowed".to_owned())));
    let wrong = alter_one(
        &mut connection,
        BROKER_LOGGER,
        "1",
        &[("kafka", SET, Some("LOUD")), ("root", SET, Some("ERROR"))],
    );
    assert_eq!(wrong.0, 40, "{wrong:?}");
    assert_eq!(level(&mut connection, "root").0.as_deref(), Some("INFO"));

    let named = ListConfigResourcesRequest::default().with_resource_types(vec![BROKER_LOGGER]);
    let named = connection.call(1, &named).config_resources;
    assert_eq!(named.iter().map(|r| &*r.resource_name).collect::<Vec<_>>(), ["1"]);

    broker.terminate();
    broker.launch();
    let mut connection = broker.connect();
    assert_eq!(
        level(&mut connection, "kafka.request.logger").0.as_deref(),
        Some("WARN"),
        "as after any start"
    );
}

fn set_address_quota(connection: &mut Connection, address: &str, rate: Option<f64>) {
    let entity = EntityData::default().with_entity_type(text("ip")).with_entity_name(Some(text(address)));
    let op = OpData::default()
        .with_key(text("connection_creation_rate"))
        .with_value(rate.unwrap_or_default())
        .with_remove(rate.is_none());
    let entry = EntryData::default().with_entity(vec![entity]).with_ops(vec![op]);
    let request = AlterClientQuotasRequest::default().with_entries(vec![entry]);
    assert_eq!(connection.call(1, &request).entries[0].error_code, 0);
}

/// A second has passed when this many connections are over a rate of one in ten seconds; none is answered.
#[test]
fn an_address_that_connects_too_fast_is_closed() {
    let Some(broker) = Broker::milena(&[]) else { return };
    let mut connection = broker.connect();
    set_address_quota(&mut connection, "10.1.2.3", Some(1.0));
    assert_eq!(api_versions(&mut broker.connect()).error_code, 0, "another address has no quota");
    set_address_quota(&mut connection, "127.0.0.1", Some(1.0));
    // Ten seconds' worth may come at once.
    for n in 0..10 {
        assert_eq!(api_versions(&mut broker.connect()).error_code, 0, "{n}");
    }
    let begun = Instant::now();
    assert!(broker.connect().is_closed(), "closed without an answer");
    assert!(begun.elapsed() < Duration::from_secs(20));
    // Who is connected stays so.
    assert_eq!(api_versions(&mut connection).error_code, 0);
    set_address_quota(&mut connection, "127.0.0.1", None);
    assert_eq!(api_versions(&mut broker.connect()).error_code, 0);
}

#[test]
fn accepting_waits_where_connections_come_too_fast() {
    let Some(broker) = Broker::milena(&[]) else { return };
    let mut connection = broker.connect();
    let edit = |operation, value| ("listener.name.plaintext.max.connection.creation.rate", operation, value);
    assert_eq!(alter_one(&mut connection, BROKER, "1", &[edit(SET, Some("1"))]), (0, None));
    // The eleventh makes eleven seconds' worth, the first of which has begun with the first.
    let begun = Instant::now();
    for n in 0..11 {
        assert_eq!(api_versions(&mut broker.connect()).error_code, 0, "{n} is answered, if not at once");
    }
    assert!(begun.elapsed() > Duration::from_millis(900), "{:?}", begun.elapsed());
    assert_eq!(alter_one(&mut connection, BROKER, "1", &[edit(DELETE, None)]), (0, None));
    let begun = Instant::now();
    assert_eq!(api_versions(&mut broker.connect()).error_code, 0);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn a_listener_holds_so_many_connections_and_the_limit_may_change() {
    let Some(broker) = Broker::milena(&[("listener.name.plaintext.max.connections", "2")]) else { return };
    let mut first = broker.connect();
    let mut second = broker.connect();
    for connection in [&mut first, &mut second] {
        assert_eq!(api_versions(connection).error_code, 0);
    }
    assert!(broker.connect().is_closed());
    let edit = ("listener.name.plaintext.max.connections", SET, Some("3"));
    assert_eq!(alter_one(&mut first, BROKER, "1", &[edit]), (0, None));
    assert_eq!(api_versions(&mut broker.connect()).error_code, 0);
}

#[test]
fn a_setting_may_be_written_elsewhere() {
    let secrets = tempfile::tempdir().expect("a folder");
    std::fs::write(secrets.path().join("values.properties"), "partitions=7\n").expect("written");
    let value = format!("${{file:{}:partitions}}", secrets.path().join("values.properties").display());
    let Some(broker) = Broker::milena(&[("num.partitions", &value)]) else { return };
    assert_eq!(setting(&mut broker.connect(), BROKER, "1", "num.partitions"), (Some("7".to_owned()), 4));
}
