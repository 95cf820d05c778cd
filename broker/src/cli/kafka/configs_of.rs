//! Reading configurations: what `kafka-topics --describe` and `kafka-configs --describe` share.

use crate::client::{Client, ClientError, To, check, string};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResult;
use kafka_protocol::messages::{ApiKey, DescribeConfigsRequest, DescribeConfigsResponse};
use milena_protocol::java;

/// Source of a value that nobody has set.
pub(crate) const DEFAULT_CONFIG: i8 = 5;

/// Names of the sources of a value, by their number.
const SOURCES: [&str; 9] = [
    "UNKNOWN",
    "DYNAMIC_TOPIC_CONFIG",
    "DYNAMIC_BROKER_CONFIG",
    "DYNAMIC_DEFAULT_BROKER_CONFIG",
    "STATIC_BROKER_CONFIG",
    "DEFAULT_CONFIG",
    "DYNAMIC_BROKER_LOGGER_CONFIG",
    "DYNAMIC_CLIENT_METRICS_CONFIG",
    "DYNAMIC_GROUP_CONFIG",
];

/// Name of the source of a value.
pub(crate) fn source_name(source: i8) -> &'static str {
    usize::try_from(source).ok().and_then(|source| SOURCES.get(source)).copied().unwrap_or(SOURCES[0])
}

/// Configurations of resources of one kind, in the order of `names`.
///
/// # Errors
/// One of them has none.
pub(crate) async fn describe(
    client: &mut Client,
    to: To<'_>,
    kind: i8,
    names: &[&str],
    synonyms: bool,
) -> Result<Vec<DescribeConfigsResult>, ClientError> {
    let one = |name: &&str| {
        DescribeConfigsResource::default()
            .with_resource_type(kind)
            .with_resource_name(string(name))
            .with_configuration_keys(None)
    };
    let request = DescribeConfigsRequest::default()
        .with_resources(names.iter().map(one).collect())
        .with_include_synonyms(synonyms);
    let check_all = |answer: &DescribeConfigsResponse| {
        answer.results.iter().try_for_each(|result| {
            check(ApiKey::DescribeConfigs as i16, result.error_code, result.error_message.as_deref())
        })
    };
    let answer = client.call_checked::<DescribeConfigsRequest, _>(to, |_| &request, check_all).await?;
    let mut results = answer.results;
    results.sort_unstable_by_key(|result| names.iter().position(|name| *name == &*result.resource_name));
    Ok(results)
}

/// Puts what a `HashMap` of Java's has been given in this order into the order in which it gives it out: Kafka's tool
/// prints the configurations of a topic in that of such a map.
pub(crate) fn in_java_order<T>(items: &mut [T], name: impl Fn(&T) -> &str) {
    let buckets = java::buckets(16, items.len());
    // Within a bucket the order stays.
    items.sort_by_key(|item| java::bucket(java::hash_code(name(item)), buckets));
}

#[cfg(test)]
mod tests {
    use super::in_java_order;

    #[test]
    fn the_order_of_a_map_of_java() {
        // The hash of a string of one character is that character.
        let mut letters = ["b", "a", "q", "A"];
        in_java_order(&mut letters, |name| name);
        assert_eq!(
            letters,
            ["a", "q", "A", "b"],
            "a, q and A share the bucket 1, in the order in which they came"
        );
    }
}
