//! What may go wrong between a tool and a cluster.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::ApiKey;
use std::io;

/// Why a call has no answer, or a bad one.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// Settings that make no client.
    #[error("{0}")]
    Config(String),
    /// Nobody answers at any of the addresses.
    #[error("{0}")]
    Unreachable(String),
    /// A connection broke, or was refused.
    #[error("{address}: {api}: {source}")]
    Io { address: String, api: String, source: io::Error },
    /// No answer in time.
    #[error("{address}: {api}: no answer in {ms} ms")]
    Timeout { address: String, api: String, ms: u128 },
    /// Bytes that are no answer.
    #[error("{address}: {api}: the answer makes no sense: {reason}")]
    Malformed { address: String, api: String, reason: String },
    /// No version of an API that both sides know.
    #[error("{address} does not support {api} in a version that this client knows")]
    Unsupported { address: String, api: String },
    /// An error code in an answer.
    #[error("{}", message.as_deref().map_or_else(|| message_of(*code), str::to_owned))]
    Code { api: String, code: i16, message: Option<String> },
}

impl ClientError {
    /// Whether the same call may succeed a little later, at another node or after a look at the metadata.
    pub(crate) fn is_retriable(&self) -> bool {
        match self {
            Self::Io { .. } => true,
            Self::Code { code, .. } => {
                ResponseError::try_from_code(*code).is_some_and(|error| error.is_retriable())
            }
            _ => false,
        }
    }

    /// The error code, where it is one.
    pub(crate) fn code(&self) -> Option<i16> {
        match self {
            Self::Code { code, .. } => Some(*code),
            _ => None,
        }
    }
}

/// `Ok` if the code is 0.
pub(crate) fn check(key: i16, code: i16, message: Option<&str>) -> Result<(), ClientError> {
    match code {
        0 => Ok(()),
        _ => Err(ClientError::Code { api: api_name(key), code, message: message.map(str::to_owned) }),
    }
}

/// Name of an API, as in `Metadata`.
pub(super) fn api_name(key: i16) -> String {
    ApiKey::try_from(key).map_or_else(|()| format!("API {key}"), |api| format!("{api:?}"))
}

/// Last part of the name of the class that Kafka's clients throw for a code.
pub(crate) fn exception_of(code: i16) -> String {
    let special = match code {
        -1 => "UnknownServer",
        2 => "CorruptRecord",
        7 => "Timeout",
        10 => "RecordTooLarge",
        11 => "ControllerMoved",
        17 => "InvalidTopic",
        18 => "RecordBatchTooLarge",
        36 => "TopicExists",
        40 => "InvalidConfiguration",
        56 => "KafkaStorage",
        68 => "GroupNotEmpty",
        _ => "",
    };
    if !special.is_empty() {
        return format!("{special}Exception");
    }
    let name = ResponseError::try_from_code(code).map(|error| format!("{error:?}")).unwrap_or_default();
    format!("{}Exception", name.trim_end_matches("Exception"))
}

/// What Kafka's tools print for a code that came without a message.
pub(crate) fn message_of(code: i16) -> String {
    let text = match code {
        -1 => "The server experienced an unexpected error when processing the request.",
        1 => "The requested offset is not within the range of offsets maintained by the server.",
        3 => "This server does not host this topic-partition.",
        5 => "There is no leader for this topic-partition as we are in the middle of a leadership election.",
        7 => "The request timed out.",
        10 => "The request included a message larger than the max message size the server will accept.",
        14 => "The coordinator is loading and hence can't process requests.",
        15 => "The coordinator is not available.",
        16 => "This is not the correct coordinator.",
        17 => "The request attempted to perform an operation on an invalid topic.",
        19 => "Messages are rejected since there are fewer in-sync replicas than required.",
        24 => "The group id is invalid.",
        25 => "The coordinator is not aware of this member.",
        29 => "Topic authorization failed.",
        30 => "Group authorization failed.",
        31 => "Cluster authorization failed.",
        35 => "The version of API is not supported.",
        36 => "Topic with this name already exists.",
        37 => "Number of partitions is below 1.",
        40 => "Configuration is invalid.",
        41 => "This is not the correct controller for this cluster.",
        57 => "The user-specified log directory is not found in the broker config.",
        68 => "The group is not empty.",
        69 => "The group id does not exist.",
        73 => "Topic deletion is disabled.",
        86 => {
            "Deleting offsets of a topic is forbidden while the consumer group is actively subscribed to it."
        }
        100 => "This server does not host this topic ID.",
        105 => "The transactionalId could not be found.",
        _ => return ResponseError::try_from_code(code).map_or_else(String::new, |error| error.to_string()),
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::{check, exception_of, message_of};

    #[test]
    fn codes_have_the_names_of_kafkas_exceptions() {
        for (code, name) in [
            (3, "UnknownTopicOrPartitionException"),
            (7, "TimeoutException"),
            (17, "InvalidTopicException"),
            (36, "TopicExistsException"),
            (69, "GroupIdNotFoundException"),
        ] {
            assert_eq!(exception_of(code), name);
        }
    }

    #[test]
    fn a_message_of_the_broker_wins_over_the_standing_one() {
        assert!(check(3, 0, None).is_ok());
        let plain = check(19, 36, None).expect_err("an error");
        assert_eq!(plain.to_string(), message_of(36));
        assert_eq!(check(19, 36, Some("no")).expect_err("an error").to_string(), "no");
        assert!(!plain.is_retriable());
        assert!(check(3, 5, None).expect_err("an error").is_retriable());
    }
}
