//! What is fuzzed of what a broker is configured with: see `targets.rs`. `integration-tests/tests/fuzz.rs` runs it on every
//! `cargo test`.

use super::config::{BrokerConfig, ConfigError, RawConfig, Sources};
use std::fmt::Write;
use std::path::Path;

/// A properties file, read and checked as at a start. What is accepted is the same when it is written again with every
/// character escaped.
pub(super) fn properties(data: &[u8]) -> bool {
    // Such a file names others that are to be read.
    if String::from_utf8_lossy(data).contains("config.providers") {
        return false;
    }
    let Ok(written) = read(data) else { return false };
    let escaped = |text: &str| {
        text.encode_utf16().fold(String::new(), |mut escaped, unit| {
            write!(escaped, "\\u{unit:04x}").expect("a string takes it");
            escaped
        })
    };
    let lines = written.iter().map(|(key, raw)| format!("{}={}\n", escaped(key), escaped(&raw.value)));
    let again = read(lines.collect::<String>().as_bytes()).expect("what is written can be read");
    let pairs = |raw: &RawConfig| {
        raw.iter().map(|(key, raw)| (key.to_owned(), raw.value.clone())).collect::<Vec<_>>()
    };
    assert_eq!(pairs(&again), pairs(&written));
    let broker = |raw| BrokerConfig::new(raw, Path::new("/nowhere"));
    let (found, again) = (broker(written), broker(again));
    assert_eq!(found.is_ok(), again.is_ok());
    let Ok(found) = found else { return false };
    let same = found.with_dynamic(found.dynamic().clone()).expect("it fits as it did");
    assert_eq!(format!("{:?}", found.network), format!("{:?}", same.network));
    true
}

fn read(bytes: &[u8]) -> Result<RawConfig, ConfigError> {
    let file = Some(("server.properties".into(), bytes.to_vec()));
    RawConfig::from_sources(&Sources { file, ..Sources::default() })
}
