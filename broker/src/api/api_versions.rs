//! ApiVersions (18), versions 0 to 4.
//!
//! * A version above ours is answered in version 0 with UNSUPPORTED_VERSION and this API's range alone; the body of
//!   the request is not read (KIP-511). Clients come again with what they learned.
//! * Versions 3 and up name the client software; a malformed name is INVALID_REQUEST.
//! * Features: version 3 and up. What clients would take as a promise we do not keep yet (share and streams groups) is
//!   left out, although the metadata log has it for the Kafka that may come after us.

use super::{Context, Outcome, TABLE, encode};
use arc_swap::ArcSwapOption;
use bytes::{BufMut, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};
use kafka_protocol::protocol::{Encodable, StrBytes};
use milena_protocol::gather::Gather;
use milena_protocol::request;
use std::sync::Arc;

/// Features that clients are told of: name, lowest and highest level of Kafka 4.1.
const FEATURES: [(&str, i16, i16); 5] = [
    ("eligible.leader.replicas.version", 0, 1),
    ("group.version", 0, 1),
    ("kraft.version", 0, 1),
    ("metadata.version", 7, 27),
    ("transaction.version", 0, 2),
];

/// The answers by version. They are the same for every client until the features change, so their bytes are kept.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    for_clients: [ArcSwapOption<(i64, Vec<u8>)>; 5],
    on_controllers: [ArcSwapOption<(i64, Vec<u8>)>; 5],
}

pub(crate) fn handle(cx: &Context<'_>, body: &[u8], out: &mut Gather) -> Outcome {
    let request: ApiVersionsRequest = match request::decode(body, cx.version, false) {
        Ok(request) => request,
        Err(error) => return Outcome::Close(format!("ApiVersions v{} cannot be read: {error}", cx.version)),
    };
    let named = [&request.client_software_name, &request.client_software_version];
    if cx.version >= 3 && !named.iter().all(|n| is_software_name(n)) {
        let error = ResponseError::InvalidRequest.code();
        let refused = ApiVersionsResponse::default().with_error_code(error);
        return written(encode(ApiKey::ApiVersions, cx.version, cx.correlation_id, &refused, out));
    }
    let epoch = cx.broker.controller.image().features().1;
    let kept = &cx.broker.api_versions;
    let kept = if cx.connection.is_controller { &kept.on_controllers } else { &kept.for_clients };
    let slot = &kept[cx.version as usize];
    if let Some(kept) = &*slot.load()
        && kept.0 == epoch
    {
        let start = out.begin_frame();
        out.bytes_mut().put_i32(cx.correlation_id);
        out.bytes_mut().put_slice(&kept.1);
        return written(out.end_frame(start).map_err(|n| format!("{n} bytes are too many")));
    }
    let response = response(cx);
    let mut bytes = BytesMut::new();
    if let Err(error) = response.encode(&mut bytes, cx.version) {
        return Outcome::Close(format!("ApiVersions v{} response cannot be written: {error}", cx.version));
    }
    slot.store(Some(Arc::new((epoch, bytes.to_vec()))));
    written(encode(ApiKey::ApiVersions, cx.version, cx.correlation_id, &response, out))
}

fn written(done: Result<(), String>) -> Outcome {
    done.map_or_else(Outcome::Close, |()| Outcome::Written)
}

fn response(cx: &Context<'_>) -> ApiVersionsResponse {
    let on_controller = cx.connection.is_controller;
    let keys = TABLE.iter().filter(|row| row.is_served(on_controller)).map(|row| {
        ApiVersion::default()
            .with_api_key(row.key as i16)
            .with_min_version(row.advertised_min())
            .with_max_version(row.max)
    });
    let mut response = ApiVersionsResponse::default().with_api_keys(keys.collect());
    if cx.version >= 3 {
        let image = cx.broker.controller.image();
        let (finalized, epoch) = image.features();
        // Readers of version 3 fail on a lowest level of 0 (KAFKA-17011): they are not told of such a feature.
        let supported =
            FEATURES.iter().filter(|(_, min, _)| cx.version >= 4 || *min > 0).map(|(name, min, max)| {
                let key = SupportedFeatureKey::default().with_name(StrBytes::from_static_str(name));
                key.with_min_version(*min).with_max_version(*max)
            });
        let finalized = FEATURES.iter().filter_map(|(name, ..)| {
            // The level of the quorum's own feature is a control record, not a FeatureLevelRecord.
            let level = match (*name, image.kraft_version()) {
                ("kraft.version", level) => (level > 0).then_some(level)?,
                _ => *finalized.get(*name)?,
            };
            let key = FinalizedFeatureKey::default().with_name(StrBytes::from_static_str(name));
            Some(key.with_min_version_level(level).with_max_version_level(level))
        });
        response = response
            .with_supported_features(supported.collect())
            .with_finalized_features(finalized.collect())
            .with_finalized_features_epoch(epoch);
    }
    response
}

/// The answer to a version that we do not know, to be encoded in version 0.
pub(crate) fn unsupported() -> ApiVersionsResponse {
    ApiVersionsResponse::default()
        .with_error_code(ResponseError::UnsupportedVersion.code())
        .with_api_keys(own_range())
}

fn own_range() -> Vec<ApiVersion> {
    let own = TABLE.iter().find(|row| row.key == ApiKey::ApiVersions);
    own.map(|row| {
        ApiVersion::default().with_api_key(row.key as i16).with_min_version(row.min).with_max_version(row.max)
    })
    .into_iter()
    .collect()
}

/// `[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?`
fn is_software_name(name: &str) -> bool {
    let ends = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    ends(bytes.first())
        && ends(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(b))
}

#[cfg(test)]
mod tests {
    use super::is_software_name;

    #[test]
    fn software_names_are_kafkas() {
        for (name, good) in [
            ("a", true),
            ("apache-kafka-java", true),
            ("2.0.1", true),
            ("", false),
            ("-a", false),
            ("a/b", false),
            ("a.", false),
        ] {
            assert_eq!(is_software_name(name), good, "{name}");
        }
    }
}
