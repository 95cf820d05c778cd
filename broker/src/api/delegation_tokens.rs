//! CreateDelegationToken (38), RenewDelegationToken (39), ExpireDelegationToken (40) and DescribeDelegationToken (41)
//! (KIP-48): nobody may ask for tokens on a PLAINTEXT listener, and others there are none.

use super::{Answer, Context};
use crate::quotas::ANONYMOUS;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{
    CreateDelegationTokenRequest, CreateDelegationTokenResponse, DescribeDelegationTokenRequest,
    DescribeDelegationTokenResponse, ExpireDelegationTokenRequest, ExpireDelegationTokenResponse,
    RenewDelegationTokenRequest, RenewDelegationTokenResponse,
};
use kafka_protocol::protocol::StrBytes;

const REFUSED: ResponseError = ResponseError::DelegationTokenRequestNotAllowed;
/// Instead of a time.
const NEVER: i64 = -1;

pub(crate) fn create(
    cx: &Context<'_>,
    request: CreateDelegationTokenRequest,
) -> Answer<CreateDelegationTokenResponse> {
    let anonymous = || (StrBytes::from_static_str("User"), StrBytes::from_static_str(ANONYMOUS));
    let owner = match request.owner_principal_name.filter(|name| !name.is_empty()) {
        Some(name) => (request.owner_principal_type.unwrap_or_default(), name),
        None => anonymous(),
    };
    let response = CreateDelegationTokenResponse::default()
        .with_error_code(REFUSED.code())
        .with_principal_type(owner.0)
        .with_principal_name(owner.1)
        .with_issue_timestamp_ms(NEVER)
        .with_expiry_timestamp_ms(NEVER)
        .with_max_timestamp_ms(NEVER);
    if cx.version < 3 {
        return response.into();
    }
    let (kind, name) = anonymous();
    response.with_token_requester_principal_type(kind).with_token_requester_principal_name(name).into()
}

pub(crate) fn renew(_: &Context<'_>, _: RenewDelegationTokenRequest) -> Answer<RenewDelegationTokenResponse> {
    RenewDelegationTokenResponse::default()
        .with_error_code(REFUSED.code())
        .with_expiry_timestamp_ms(NEVER)
        .into()
}

pub(crate) fn expire(
    _: &Context<'_>,
    _: ExpireDelegationTokenRequest,
) -> Answer<ExpireDelegationTokenResponse> {
    ExpireDelegationTokenResponse::default()
        .with_error_code(REFUSED.code())
        .with_expiry_timestamp_ms(NEVER)
        .into()
}

pub(crate) fn describe(
    _: &Context<'_>,
    _: DescribeDelegationTokenRequest,
) -> Answer<DescribeDelegationTokenResponse> {
    DescribeDelegationTokenResponse::default().with_error_code(REFUSED.code()).into()
}
