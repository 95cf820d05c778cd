//! Topics that are there from the start.

use crate::broker::Broker;
use crate::controller::NewTopic;
use kafka_protocol::ResponseError;
use std::str::FromStr;

/// A topic to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    name: String,
    partitions: i32,
    configs: Vec<(String, String)>,
}

impl Topic {
    /// A topic with this many partitions; -1 takes `num.partitions`.
    pub fn new(name: impl Into<String>, partitions: i32) -> Self {
        Self { name: name.into(), partitions, configs: Vec::new() }
    }

    /// Sets a key of its configuration, `retention.ms` for example.
    #[must_use]
    pub fn config(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.configs.push((key.into(), value.into()));
        self
    }

    /// Keeps the last record of every key: `cleanup.policy=compact`.
    #[must_use]
    pub fn compacted(self) -> Self {
        self.config("cleanup.policy", "compact")
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// `NAME[:PARTITIONS[:CLEANUP_POLICY]]`, where the number of partitions may be left empty.
///
/// ```
/// use milena::embedded::Topic;
///
/// assert_eq!("orders:3".parse(), Ok(Topic::new("orders", 3)));
/// assert_eq!("prices::compact".parse(), Ok(Topic::new("prices", -1).compacted()));
/// ```
impl FromStr for Topic {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        let refused = |reason: &str| TopicError { topic: text.to_owned(), reason: reason.to_owned() };
        let mut parts = text.splitn(3, ':');
        let name = parts.next().unwrap_or_default();
        if name.is_empty() {
            return Err(refused("it is written NAME[:PARTITIONS[:CLEANUP_POLICY]]"));
        }
        let partitions = match parts.next() {
            None | Some("") => -1,
            Some(number) => number
                .parse()
                .ok()
                .filter(|number| *number > 0)
                .ok_or_else(|| refused("the number of partitions is at least 1"))?,
        };
        let topic = Topic::new(name, partitions);
        Ok(match parts.next() {
            None => topic,
            Some(policy) => topic.config("cleanup.policy", policy),
        })
    }
}

/// Why a topic was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("topic {topic}: {reason}")]
pub struct TopicError {
    /// The topic.
    pub topic: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Broker {
    /// Makes topics; those whose name is taken stay as they are. To be called on a thread of the broker's runtime.
    ///
    /// # Errors
    /// The first topic that cannot be made; those before and behind it are there.
    pub fn create_topics(&self, topics: &[Topic]) -> Result<(), TopicError> {
        if topics.is_empty() {
            return Ok(());
        }
        let new = topics.iter().map(|topic| NewTopic {
            name: topic.name.clone(),
            partitions: topic.partitions,
            replication_factor: -1,
            assignments: Vec::new(),
            configs: topic.configs.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect(),
        });
        let new = new.collect();
        let refused = |topic: &Topic, reason| TopicError { topic: topic.name.clone(), reason };
        // Makes directories and syncs the metadata log.
        let results = tokio::task::block_in_place(|| self.controller.create_topics(new, false))
            .map_err(|refusal| refused(&topics[0], refusal.message))?;
        for (topic, result) in topics.iter().zip(results) {
            match result {
                Err(refusal) if refusal.error != ResponseError::TopicAlreadyExists => {
                    return Err(refused(topic, refusal.message));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Topic;

    #[test]
    fn topics_are_read_from_words() {
        for (text, expected) in [
            ("a", Topic::new("a", -1)),
            ("a:", Topic::new("a", -1)),
            ("a:1", Topic::new("a", 1)),
            ("a:2147483647", Topic::new("a", i32::MAX)),
            ("a:3:compact", Topic::new("a", 3).compacted()),
            ("a::compact,delete", Topic::new("a", -1).config("cleanup.policy", "compact,delete")),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for (text, reason) in [
            ("", "NAME["),
            (":3", "NAME["),
            ("a:0", "at least 1"),
            ("a:-1", "at least 1"),
            ("a:x", "at least 1"),
            ("a:2147483648", "at least 1"),
        ] {
            let refused = text.parse::<Topic>().expect_err(text).to_string();
            assert!(refused.contains(reason), "{text}: {refused}");
        }
    }
}
