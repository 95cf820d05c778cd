use super::handle;
use crate::api::incremental_alter_configs;
use crate::config::describe::source;
use crate::controller::testing::{TestBroker, sent};
use kafka_protocol::messages::alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::incremental_alter_configs_request as incremental;
use kafka_protocol::messages::{AlterConfigsRequest, IncrementalAlterConfigsRequest};
use kafka_protocol::protocol::StrBytes;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// Type and name of a resource, and its settings.
type Wanted<'a> = (i8, &'a str, &'a [(&'a str, &'a str)]);

fn replace(broker: &TestBroker, version: i16, resources: &[Wanted<'_>]) -> Vec<i16> {
    let resources = resources.iter().map(|(resource_type, name, settings)| {
        let configs = settings.iter().map(|(key, value)| {
            AlterableConfig::default().with_name(text(key)).with_value(Some(text(value)))
        });
        AlterConfigsResource::default()
            .with_resource_type(*resource_type)
            .with_resource_name(text(name))
            .with_configs(configs.collect())
    });
    let request = AlterConfigsRequest::default().with_resources(resources.collect());
    let response = sent(handle(&broker.cx(version), request), version);
    response.responses.iter().map(|response| response.error_code).collect()
}

#[test]
fn every_version_replaces_all_settings() {
    let broker = TestBroker::new(&[]);
    broker.broker.controller.ensure_topic("t").unwrap();
    for version in 0..=2 {
        let bytes = (version + 100).to_string();
        let codes = replace(
            &broker,
            version,
            &[
                (2, "t", &[("retention.bytes", &bytes)]),
                (2, "none", &[]),
                (8, "1", &[]),
                (2, "x", &[]),
                (2, "x", &[]),
            ],
        );
        assert_eq!(codes, [0, 3, 42, 42, 42]);
        let image = broker.broker.controller.image();
        let configs = &image.topic("t").unwrap().configs;
        assert_eq!(configs.iter().collect::<Vec<_>>(), [(&"retention.bytes".to_owned(), &bytes)]);
    }
}

#[test]
fn every_version_changes_single_settings() {
    let broker = TestBroker::new(&[]);
    let controller = &broker.broker.controller;
    for version in 0..=1 {
        for (operation, value, expected) in [(0, Some("7"), Some(7)), (1, None, None)] {
            let config = incremental::AlterableConfig::default()
                .with_name(text("log.retention.ms"))
                .with_config_operation(operation)
                .with_value(value.map(text));
            let resource =
                incremental::AlterConfigsResource::default().with_resource_type(4).with_configs(vec![config]);
            let request = IncrementalAlterConfigsRequest::default().with_resources(vec![resource]);
            let response = sent(incremental_alter_configs::handle(&broker.cx(version), request), version);
            assert_eq!((response.responses[0].error_code, &response.responses[0].error_message), (0, &None));
            let config = controller.config();
            assert_eq!(
                config.topic_defaults.retention_ms,
                expected.unwrap_or(604_800_000),
                "in force at once"
            );
            let entries = crate::config::describe::describe_broker(&config);
            let entry = entries.iter().find(|entry| entry.name == "log.retention.ms").unwrap();
            let source = if expected.is_some() { source::DYNAMIC_DEFAULT_BROKER } else { source::DEFAULT };
            assert_eq!((entry.source, entry.read_only), (source, false));
        }
    }
}
