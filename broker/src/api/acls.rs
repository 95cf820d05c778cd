//! DescribeAcls (29), CreateAcls (30) and DeleteAcls (31), versions 1 to 3 (KIP-140), as a Kafka without an authorizer
//! answers them: SECURITY_DISABLED, whatever is asked. What has a number for "unknown" in it cannot be read.

use super::{Answer, Context};
use crate::controller::Refusal;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_acls_response::AclCreationResult;
use kafka_protocol::messages::delete_acls_response::DeleteAclsFilterResult;
use kafka_protocol::messages::{
    CreateAclsRequest, CreateAclsResponse, DeleteAclsRequest, DeleteAclsResponse, DescribeAclsRequest,
    DescribeAclsResponse,
};

/// Of a type of resources, a type of patterns, an operation and a permission.
const UNKNOWN: i8 = 0;

pub(crate) fn describe(_: &Context<'_>, request: DescribeAclsRequest) -> Answer<DescribeAclsResponse> {
    let DescribeAclsRequest { resource_type_filter, pattern_type_filter, operation, permission_type, .. } =
        request;
    if [resource_type_filter, pattern_type_filter, operation, permission_type].contains(&UNKNOWN) {
        return unreadable();
    }
    // The broker has words of its own.
    let refusal = disabled("No Authorizer is configured on the broker");
    DescribeAclsResponse::default().with_error_code(refusal.code()).with_error_message(refusal.text()).into()
}

pub(crate) fn create(_: &Context<'_>, request: CreateAclsRequest) -> Answer<CreateAclsResponse> {
    let codes = |acl: &kafka_protocol::messages::create_acls_request::AclCreation| {
        [acl.resource_type, acl.resource_pattern_type, acl.operation, acl.permission_type]
    };
    if request.creations.iter().any(|acl| codes(acl).contains(&UNKNOWN)) {
        return unreadable();
    }
    let refusal = disabled(OF_CONTROLLER);
    let result =
        AclCreationResult::default().with_error_code(refusal.code()).with_error_message(refusal.text());
    CreateAclsResponse::default().with_results(vec![result; request.creations.len()]).into()
}

pub(crate) fn delete(_: &Context<'_>, request: DeleteAclsRequest) -> Answer<DeleteAclsResponse> {
    let codes = |filter: &kafka_protocol::messages::delete_acls_request::DeleteAclsFilter| {
        [filter.resource_type_filter, filter.pattern_type_filter, filter.operation, filter.permission_type]
    };
    if request.filters.iter().any(|filter| codes(filter).contains(&UNKNOWN)) {
        return unreadable();
    }
    let refusal = disabled(OF_CONTROLLER);
    let result =
        DeleteAclsFilterResult::default().with_error_code(refusal.code()).with_error_message(refusal.text());
    DeleteAclsResponse::default().with_filter_results(vec![result; request.filters.len()]).into()
}

const OF_CONTROLLER: &str = "No Authorizer is configured.";

fn disabled(reason: &str) -> Refusal {
    Refusal::new(ResponseError::SecurityDisabled, reason)
}

fn unreadable<R>() -> Answer<R> {
    Answer::Unreadable("it contains unknown elements".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{create, delete, describe};
    use crate::api::Answer;
    use crate::controller::testing::{TestBroker, sent};
    use kafka_protocol::messages::create_acls_request::AclCreation;
    use kafka_protocol::messages::delete_acls_request::DeleteAclsFilter;
    use kafka_protocol::messages::{CreateAclsRequest, DeleteAclsRequest, DescribeAclsRequest};

    #[test]
    fn nobody_decides_here() {
        let broker = TestBroker::new(&[]);
        for version in 1..=3 {
            let cx = broker.cx(version);
            let all = DescribeAclsRequest::default()
                .with_resource_type_filter(1)
                .with_pattern_type_filter(1)
                .with_operation(1)
                .with_permission_type(1);
            let described = sent(describe(&cx, all.clone()), version);
            assert_eq!(described.error_code, 54);
            assert!(matches!(describe(&cx, all.with_operation(0)), Answer::Unreadable(_)));

            let acl = AclCreation::default().with_resource_type(2).with_operation(3).with_permission_type(3);
            let two = CreateAclsRequest::default().with_creations(vec![acl.clone(); 2]);
            let created = sent(create(&cx, two), version);
            assert_eq!(created.results.iter().map(|result| result.error_code).collect::<Vec<_>>(), [54, 54]);
            let wrong = CreateAclsRequest::default().with_creations(vec![acl.with_operation(0)]);
            assert!(matches!(create(&cx, wrong), Answer::Unreadable(_)));

            let filter = DeleteAclsFilter::default()
                .with_resource_type_filter(1)
                .with_operation(1)
                .with_permission_type(1);
            let one = DeleteAclsRequest::default().with_filters(vec![filter.clone()]);
            let deleted = sent(delete(&cx, one), version);
            assert_eq!(deleted.filter_results[0].error_code, 54);
            let wrong = DeleteAclsRequest::default().with_filters(vec![filter.with_permission_type(0)]);
            assert!(matches!(delete(&cx, wrong), Answer::Unreadable(_)));
        }
    }
}
