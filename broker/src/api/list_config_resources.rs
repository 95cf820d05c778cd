//! ListConfigResources (74), versions 0 and 1: what there is to be described by DescribeConfigs.
//!
//! * Groups and subscriptions to client metrics are those with settings of their own; topics and brokers are all.
//! * No type asked for stands for all that the version knows. One that it does not: UNSUPPORTED_VERSION.
//!
//! | version | change |
//! |---|---|
//! | 0 | subscriptions alone (KIP-714) |
//! | 1 | all types (KIP-1142) |

use super::{Answer, Context};
use crate::metadata::{
    BROKER_RESOURCE, CLIENT_METRICS_RESOURCE, GROUP_RESOURCE, LOGGER_RESOURCE, TOPIC_RESOURCE,
};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::list_config_resources_response::ConfigResource;
use kafka_protocol::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};
use kafka_protocol::protocol::StrBytes;

/// All that version 1 may ask for.
const TYPES: [i8; 5] =
    [GROUP_RESOURCE, CLIENT_METRICS_RESOURCE, LOGGER_RESOURCE, BROKER_RESOURCE, TOPIC_RESOURCE];

pub(crate) fn handle(
    cx: &Context<'_>,
    request: ListConfigResourcesRequest,
) -> Answer<ListConfigResourcesResponse> {
    let known = if cx.version == 0 { &[CLIENT_METRICS_RESOURCE][..] } else { &TYPES };
    let asked = &request.resource_types;
    let response = ListConfigResourcesResponse::default();
    if !asked.iter().all(|resource_type| known.contains(resource_type)) {
        return response.with_error_code(ResponseError::UnsupportedVersion.code()).into();
    }
    let image = cx.broker.controller.image();
    let mut resources = Vec::new();
    for resource_type in known.iter().filter(|known| asked.is_empty() || asked.contains(known)) {
        let names: Vec<String> = match *resource_type {
            TOPIC_RESOURCE => image.sorted_topics().iter().map(|topic| topic.name.to_string()).collect(),
            BROKER_RESOURCE | LOGGER_RESOURCE => vec![cx.broker.controller.node_id().to_string()],
            other => image.configured(other).map(str::to_owned).collect(),
        };
        let resource = |name| {
            ConfigResource::default()
                .with_resource_type(*resource_type)
                .with_resource_name(StrBytes::from_string(name))
        };
        resources.extend(names.into_iter().map(resource));
    }
    response.with_config_resources(resources).into()
}

#[cfg(test)]
mod tests {
    use super::handle;
    use crate::config::alter::Operation;
    use crate::controller::testing::{TestBroker, sent};
    use crate::controller::{ConfigChange, ConfigEdit};
    use kafka_protocol::messages::ListConfigResourcesRequest;

    /// Version, types asked for, error code, resources.
    type Row = (i16, &'static [i8], i16, &'static [(i8, &'static str)]);

    #[test]
    fn what_there_is() {
        let broker = TestBroker::new(&[]);
        broker.broker.controller.ensure_topic("t").unwrap();
        let change = |resource_type, name: &str, key: &str| ConfigChange {
            resource_type,
            name: name.to_owned(),
            edit: ConfigEdit::Keys(vec![(key.to_owned(), Operation::Set("45000".to_owned()))]),
        };
        let changes = [
            change(16, "m", "interval.ms"),
            change(32, "g", "consumer.session.timeout.ms"),
            change(4, "", "x"),
        ];
        assert!(broker.broker.controller.alter_configs(&changes, false).unwrap().iter().all(Result::is_ok));
        let rows: [Row; 6] = [
            (0, &[], 0, &[(16, "m")]),
            (1, &[], 0, &[(32, "g"), (16, "m"), (8, "1"), (4, "1"), (2, "t")]),
            (1, &[2], 0, &[(2, "t")]),
            (1, &[2, 32], 0, &[(32, "g"), (2, "t")]),
            (1, &[8], 0, &[(8, "1")]),
            (1, &[2, 99], 35, &[]),
        ];
        for (version, asked, code, expected) in rows {
            let request = ListConfigResourcesRequest::default().with_resource_types(asked.to_vec());
            let response = sent(handle(&broker.cx(version), request), version);
            let seen: Vec<_> =
                response.config_resources.iter().map(|r| (r.resource_type, &*r.resource_name)).collect();
            assert_eq!((response.error_code, &*seen), (code, expected), "v{version} {asked:?}");
        }
    }
}
