//! SaslHandshake (17), versions 0 and 1, and SaslAuthenticate (36), versions 0 to 2: on a listener without SASL nobody has
//! to say who they are, and who tries is told ILLEGAL_SASL_STATE, as in Kafka.

use super::{Answer, Context};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{
    SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};
use kafka_protocol::protocol::StrBytes;

pub(crate) fn handshake(_: &Context<'_>, _: SaslHandshakeRequest) -> Answer<SaslHandshakeResponse> {
    SaslHandshakeResponse::default().with_error_code(ResponseError::IllegalSaslState.code()).into()
}

pub(crate) fn authenticate(_: &Context<'_>, _: SaslAuthenticateRequest) -> Answer<SaslAuthenticateResponse> {
    let message = "SaslAuthenticate request received after successful authentication";
    SaslAuthenticateResponse::default()
        .with_error_code(ResponseError::IllegalSaslState.code())
        .with_error_message(Some(StrBytes::from_static_str(message)))
        .into()
}
