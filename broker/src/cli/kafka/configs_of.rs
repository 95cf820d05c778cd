//! Reading configurations: what `kafka-topics --describe` and `kafka-configs --describe` share.

use crate::client::{Client, ClientError, To, check, string};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::DescribeConfigsResult;
use kafka_protocol::messages::{ApiKey, DescribeConfigsRequest, DescribeConfigsResponse};

/// Source of a value that nobody has set.
pub(crate) const DEFAULT_CONFIG: i8 = 5;

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
    results.sort_by_key(|result| names.iter().position(|name| *name == &*result.resource_name));
    Ok(results)
}
