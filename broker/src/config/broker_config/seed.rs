//! What is there from the start.

use std::path::PathBuf;

use crate::config::broker_config::Values;
use crate::config::error::ConfigError;
use crate::config::raw::RawConfig;
use crate::config::value::InvalidValue;

const TOPICS: &str = "milena.create.topics";

/// Topics, settings and records that the broker makes before it says that it is ready.
#[derive(Clone, Debug, Default)]
pub struct SeedConfig {
    /// `milena.create.topics`
    pub topics: Vec<TopicSeed>,
    /// `milena.seed`: a seed file.
    pub file: Option<PathBuf>,
}

/// One entry of `milena.create.topics`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSeed {
    /// Its name.
    pub name: String,
    /// Partitions; `None` for `num.partitions`.
    pub partitions: Option<i32>,
    /// `cleanup.policy`; `None` for the broker's.
    pub cleanup_policy: Option<String>,
}

impl SeedConfig {
    pub(super) fn new(effective: &RawConfig, values: &Values) -> Result<SeedConfig, ConfigError> {
        let text = values.text(TOPICS).unwrap_or_default();
        let topics = parse(text).map_err(|why| ConfigError::Value {
            source: InvalidValue::new(text, TOPICS, why),
            origin: effective.origin(TOPICS),
        })?;
        let file = values.text("milena.seed").map(str::trim).filter(|file| !file.is_empty());
        Ok(SeedConfig { topics, file: file.map(PathBuf::from) })
    }
}

/// Reads `name[:partitions[:replicas[:cleanup.policy]]],...`. More than one replica means one here.
fn parse(text: &str) -> Result<Vec<TopicSeed>, String> {
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(topic).collect()
}

fn topic(entry: &str) -> Result<TopicSeed, String> {
    let mut parts = entry.split(':').map(str::trim);
    let number = |part: Option<&str>, what: &str| match part.filter(|part| !part.is_empty()) {
        None => Ok(None),
        Some(part) => match part.parse::<i32>() {
            Ok(number) if number > 0 => Ok(Some(number)),
            _ => Err(format!("{entry}: {what} must be a number above 0")),
        },
    };
    let name =
        parts.next().filter(|name| !name.is_empty()).ok_or_else(|| format!("{entry} names no topic"))?;
    let partitions = number(parts.next(), "the number of partitions")?;
    number(parts.next(), "the number of replicas")?;
    let cleanup_policy = parts.next().filter(|policy| !policy.is_empty()).map(str::to_owned);
    if parts.next().is_some() {
        return Err(format!("{entry} is not name:partitions:replicas:cleanup.policy"));
    }
    Ok(TopicSeed { name: name.to_owned(), partitions, cleanup_policy })
}

#[cfg(test)]
mod tests {
    use super::{TopicSeed, parse};

    #[test]
    fn topics_as_the_images_write_them() {
        let topic = |name: &str, partitions, policy: Option<&str>| TopicSeed {
            name: name.into(),
            partitions,
            cleanup_policy: policy.map(str::to_owned),
        };
        for (text, expected) in [
            ("", vec![]),
            ("a", vec![topic("a", None, None)]),
            ("a:3:1", vec![topic("a", Some(3), None)]),
            (
                " a:1:1 , b:12:3:compact,",
                vec![topic("a", Some(1), None), topic("b", Some(12), Some("compact"))],
            ),
            ("a:::delete", vec![topic("a", None, Some("delete"))]),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
        for (text, expected) in [
            (":3", ":3 names no topic"),
            ("a:0", "a:0: the number of partitions must be a number above 0"),
            ("a:x", "a:x: the number of partitions must be a number above 0"),
            ("a:1:-1", "a:1:-1: the number of replicas must be a number above 0"),
            ("a:1:1:compact:x", "a:1:1:compact:x is not name:partitions:replicas:cleanup.policy"),
        ] {
            assert_eq!(parse(text), Err(expected.to_owned()), "{text}");
        }
    }
}
