use super::{UNKNOWN_TYPE, handle};
use crate::controller::testing::{TestBroker, sent};
use kafka_protocol::messages::DescribeConfigsRequest;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResult;
use kafka_protocol::protocol::StrBytes;

fn resource(resource_type: i8, name: &str) -> DescribeConfigsResource {
    DescribeConfigsResource::default()
        .with_resource_type(resource_type)
        .with_resource_name(StrBytes::from_string(name.to_owned()))
        .with_configuration_keys(None)
}

fn ask(broker: &TestBroker, version: i16, request: DescribeConfigsRequest) -> Vec<DescribeConfigsResult> {
    sent(handle(&broker.cx(version), request), version).results
}

#[test]
fn every_version_describes_topics_and_the_broker() {
    let broker = TestBroker::new(&[("log.retention.ms", "5000")]);
    broker.broker.controller.ensure_topic("__consumer_offsets").unwrap();
    let keys = ["cleanup.policy", "retention.ms"].map(StrBytes::from_static_str).to_vec();
    let topic = resource(2, "__consumer_offsets").with_configuration_keys(Some(keys));
    let request =
        DescribeConfigsRequest::default().with_resources(vec![topic, resource(4, "1"), resource(4, "")]);
    for version in 1..=4 {
        let asking = request.clone().with_include_synonyms(true).with_include_documentation(version >= 3);
        let results = ask(&broker, version, asking);
        assert!(
            results
                .iter()
                .all(|result| (result.error_code, result.error_message.as_deref()) == (0, Some("")))
        );
        let seen: Vec<_> = results[0]
            .configs
            .iter()
            .map(|config| {
                (config.name.as_str(), config.value.as_deref(), config.config_source, config.synonyms.len())
            })
            .collect();
        let expected = [("cleanup.policy", Some("compact"), 1, 2), ("retention.ms", Some("5000"), 4, 1)];
        assert_eq!(
            seen.iter().map(|row| (row.0, row.1, row.2)).collect::<Vec<_>>(),
            expected.map(|row| (row.0, row.1, row.2))
        );
        assert!(seen.iter().all(|row| row.3 > 0));
        assert!(
            results[0]
                .configs
                .iter()
                .all(|config| config.documentation.is_some() == (version >= 3) || version < 3)
        );
        assert!(results[1].configs.iter().any(|config| &*config.name == "num.partitions"));
        let for_all: Vec<_> = results[2].configs.iter().map(|c| (&*c.name, c.config_source)).collect();
        assert_eq!(for_all, [("min.insync.replicas", 3)], "what a new cluster begins with");

        let plain = ask(&broker, version, request.clone());
        assert!(plain[0].configs.iter().all(|config| config.synonyms.is_empty()));
        if version >= 3 {
            assert!(
                plain[0]
                    .configs
                    .iter()
                    .all(|config| config.documentation.is_none() && config.config_type != 0)
            );
        }
    }
}

#[test]
fn what_cannot_be_described_is_refused_in_kafkas_words() {
    let broker = TestBroker::new(&[]);
    #[rustfmt::skip]
    let rows = [
        (2, "none", 3, ""),
        (2, "a/b", 17, "Topic name is invalid: 'a/b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"),
        (4, "5", 42, "Unexpected broker id, expected 1 or empty string, but received 5"),
        (4, "x", 42, "Broker id must be an integer, but it is: x"),
        (8, "5", 42, "Unexpected broker id, expected 1 but received 5"),
        (16, "", 42, "Client metrics subscription name must not be empty"),
        (32, "", 42, "Group name must not be empty"),
    ];
    for version in 1..=4 {
        let resources = rows.iter().map(|(kind, name, ..)| resource(*kind, name)).collect();
        let results = ask(&broker, version, DescribeConfigsRequest::default().with_resources(resources));
        let seen: Vec<_> = results
            .iter()
            .map(|result| {
                let message = result.error_message.as_deref().unwrap_or("-");
                (result.resource_type, result.resource_name.as_str(), result.error_code, message)
            })
            .collect();
        assert_eq!(seen, rows);
        // One of a type that there is not spoils all others.
        let resources = [(2, "none"), (99, "q")].map(|(kind, name)| resource(kind, name)).into();
        let results = ask(&broker, version, DescribeConfigsRequest::default().with_resources(resources));
        let is_refused = |result: &DescribeConfigsResult| {
            result.error_code == 42 && result.error_message.as_deref() == Some(UNKNOWN_TYPE)
        };
        assert!(results.len() == 2 && results.iter().all(is_refused));
    }
}
