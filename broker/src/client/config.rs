//! Settings of a client: Kafka's keys, as they stand in `--command-config` files.

use super::bootstrap;
use super::error::ClientError;
use std::collections::BTreeMap;
use std::time::Duration;

/// Keys and values of a client, checked.
#[derive(Clone, Debug)]
pub(crate) struct ClientConfig {
    /// Hosts and ports to begin with.
    pub(super) bootstrap: Vec<(String, u16)>,
    /// The client's name in requests.
    pub(crate) client_id: String,
    /// How long one request may take.
    pub(crate) request_timeout: Duration,
    /// How long a call may take with all its retries.
    pub(crate) api_timeout: Duration,
    /// Pause before a retry.
    pub(crate) retry_backoff: Duration,
}

impl ClientConfig {
    /// Reads the keys of a client.
    ///
    /// # Errors
    /// No address, a value that is no number, or a security protocol other than PLAINTEXT.
    pub(crate) fn new(
        bootstrap: &str,
        client_id: &str,
        properties: &BTreeMap<String, String>,
    ) -> Result<Self, ClientError> {
        if let Some(protocol) = properties.get("security.protocol")
            && !protocol.eq_ignore_ascii_case("PLAINTEXT")
        {
            let text = format!(
                "security.protocol={protocol} is not supported by this client yet, only PLAINTEXT is"
            );
            return Err(ClientError::Config(text));
        }
        let api_timeout = millis(properties, "default.api.timeout.ms", 60_000)?;
        Ok(Self {
            bootstrap: bootstrap::parse(bootstrap)?,
            client_id: properties.get("client.id").map_or(client_id, String::as_str).to_owned(),
            request_timeout: millis(properties, "request.timeout.ms", 30_000)?,
            api_timeout,
            retry_backoff: millis(properties, "retry.backoff.ms", 100)?,
        })
    }
}

/// The milliseconds that `key` gives, or the default.
pub(crate) fn millis(
    properties: &BTreeMap<String, String>,
    key: &str,
    default: u64,
) -> Result<Duration, ClientError> {
    let Some(text) = properties.get(key) else { return Ok(Duration::from_millis(default)) };
    let value = text.trim().parse().map_err(|_| {
        ClientError::Config(format!("Invalid value {text} for configuration {key}: Not a number of type INT"))
    })?;
    Ok(Duration::from_millis(value))
}

#[cfg(test)]
mod tests {
    use super::ClientConfig;
    use std::collections::BTreeMap;

    #[test]
    fn only_plaintext_and_numbers() {
        for (key, value, good) in [
            ("security.protocol", "PLAINTEXT", true),
            ("security.protocol", "SASL_SSL", false),
            ("request.timeout.ms", "5", true),
            ("request.timeout.ms", "-5", false),
            ("request.timeout.ms", "soon", false),
            ("unknown", "x", true),
        ] {
            let properties = BTreeMap::from([(key.to_owned(), value.to_owned())]);
            let config = ClientConfig::new("a:1", "me", &properties);
            assert_eq!(config.is_ok(), good, "{key}={value}");
        }
    }
}
