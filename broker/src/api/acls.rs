//! DescribeAcls (29), CreateAcls (30) and DeleteAcls (31), versions 1 to 3 (KIP-140), as a Kafka without an authorizer
//! answers them: SECURITY_DISABLED, whatever is asked.

use super::{Answer, Context};
use crate::controller::Refusal;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_acls_response::AclCreationResult;
use kafka_protocol::messages::delete_acls_response::DeleteAclsFilterResult;
use kafka_protocol::messages::{
    CreateAclsRequest, CreateAclsResponse, DeleteAclsRequest, DeleteAclsResponse, DescribeAclsRequest,
    DescribeAclsResponse,
};

/// What the controller says; the broker has words of its own.
const NONE: &str = "No Authorizer is configured.";

pub(crate) fn describe(_: &Context<'_>, _: DescribeAclsRequest) -> Answer<DescribeAclsResponse> {
    let refusal = disabled("No Authorizer is configured on the broker");
    DescribeAclsResponse::default().with_error_code(refusal.code()).with_error_message(refusal.text()).into()
}

pub(crate) fn create(_: &Context<'_>, request: CreateAclsRequest) -> Answer<CreateAclsResponse> {
    let refusal = disabled(NONE);
    let result =
        AclCreationResult::default().with_error_code(refusal.code()).with_error_message(refusal.text());
    CreateAclsResponse::default().with_results(vec![result; request.creations.len()]).into()
}

pub(crate) fn delete(_: &Context<'_>, request: DeleteAclsRequest) -> Answer<DeleteAclsResponse> {
    let refusal = disabled(NONE);
    let result =
        DeleteAclsFilterResult::default().with_error_code(refusal.code()).with_error_message(refusal.text());
    DeleteAclsResponse::default().with_filter_results(vec![result; request.filters.len()]).into()
}

fn disabled(reason: &str) -> Refusal {
    Refusal::new(ResponseError::SecurityDisabled, reason)
}
