//! From flags to a client.

use super::failure::Failure;
use super::flags::Given;
use crate::client::{Client, ClientConfig};
use crate::config::parse_properties;
use std::collections::BTreeMap;
use std::future::Future;

/// Keys and values of a client.
pub(crate) type Properties = BTreeMap<String, String>;

/// Runs what talks to brokers, on this thread.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(work);
    // A look-up of a name, or a read from a terminal, may still be under way, and nobody waits for it.
    runtime.shutdown_background();
    outcome
}

/// A client of `--bootstrap-server` with what `--command-config` says.
///
/// # Errors
/// One of them is missing or wrong.
pub(crate) fn client(given: &Given) -> Result<Client, Failure> {
    let properties = given.one("command-config")?.map(load).transpose()?.unwrap_or_default();
    client_of(given.required("bootstrap-server")?, &properties)
}

/// A client of these addresses.
///
/// # Errors
/// One of them, or a key, is wrong.
pub(crate) fn client_of(bootstrap: &str, properties: &Properties) -> Result<Client, Failure> {
    Ok(Client::new(ClientConfig::new(bootstrap, "adminclient-1", properties)?))
}

/// Reads a properties file.
///
/// # Errors
/// It cannot be read, or is none.
pub(crate) fn load(path: &str) -> Result<Properties, Failure> {
    // As Java says it.
    let bytes =
        std::fs::read(path).map_err(|error| Failure::text(format!("{path} ({})", text_of(&error))))?;
    let all = parse_properties(&bytes).map_err(|error| Failure::text(format!("{path}: {error}")))?;
    Ok(all.into_iter().map(|property| (property.key, property.value)).collect())
}

/// Adds `key=value` pairs of flags that may be repeated.
pub(crate) fn add_pairs<'a>(properties: &mut Properties, pairs: impl Iterator<Item = &'a str>) {
    for pair in pairs {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        properties.insert(key.to_owned(), value.to_owned());
    }
}

fn text_of(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::NotFound => "No such file or directory".into(),
        std::io::ErrorKind::PermissionDenied => "Permission denied".into(),
        _ => error.to_string(),
    }
}
