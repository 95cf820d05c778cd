//! Which topic names are legal, and which ones may not live side by side.

use std::collections::HashMap;
use std::sync::Arc;

/// Offsets and groups.
pub(crate) const CONSUMER_OFFSETS: &str = "__consumer_offsets";
/// State of transactional ids.
pub(crate) const TRANSACTION_STATE: &str = "__transaction_state";
/// State of share groups.
pub(crate) const SHARE_GROUP_STATE: &str = "__share_group_state";
/// The controller's log; never a topic that clients see.
pub(crate) const CLUSTER_METADATA: &str = "__cluster_metadata";

/// Longest name in characters: it leaves room for `-partition` in a directory name of 255 bytes.
const LENGTH_MAX: usize = 249;

/// Says why a name is illegal, in Kafka's words (`Topic.validate`).
pub(crate) fn validate(name: &str) -> Result<(), String> {
    let reason = match name {
        "" => "the empty string is not allowed".to_owned(),
        "." | ".." => format!("'{name}' is not allowed"),
        _ if name.encode_utf16().count() > LENGTH_MAX => {
            format!("the length of '{name}' is longer than the max allowed length {LENGTH_MAX}")
        }
        _ if !name.bytes().all(is_legal) => {
            format!(
                "'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
            )
        }
        _ => return Ok(()),
    };
    Err(format!("Topic name is invalid: {reason}"))
}

/// Whether the topic belongs to the broker rather than to users.
pub(crate) fn is_internal(name: &str) -> bool {
    matches!(name, CONSUMER_OFFSETS | TRANSACTION_STATE | SHARE_GROUP_STATE)
}

/// Existing topics by their name with every `.` written as `_`.
///
/// Names of metrics cannot tell the two apart, so Kafka refuses a new topic whose name equals that of an existing one
/// but for them.
#[derive(Debug, Default)]
pub(crate) struct Collisions(HashMap<String, Vec<Arc<str>>>);

impl Collisions {
    /// Remembers an existing topic.
    pub(crate) fn insert(&mut self, name: &Arc<str>) {
        if let Some(unified) = unified(name) {
            self.0.entry(unified).or_default().push(Arc::clone(name));
        }
    }

    /// Forgets a deleted topic.
    pub(crate) fn remove(&mut self, name: &str) {
        let Some(unified) = unified(name) else { return };
        if let Some(names) = self.0.get_mut(&unified) {
            names.retain(|other| **other != *name);
            if names.is_empty() {
                self.0.remove(&unified);
            }
        }
    }

    /// An existing topic that a new topic of this name would collide with.
    pub(crate) fn find(&self, name: &str) -> Option<&Arc<str>> {
        self.0.get(&unified(name)?)?.first()
    }
}

fn is_legal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

fn unified(name: &str) -> Option<String> {
    name.contains(['.', '_']).then(|| name.replace('.', "_"))
}

#[cfg(test)]
mod tests {
    use super::{Collisions, is_internal, validate};
    use std::sync::Arc;

    #[test]
    fn names_are_judged_in_kafkas_words() {
        let longest = "a".repeat(249);
        for good in ["a", "a.b_c-D9", "...", "-", &longest, "__consumer_offsets"] {
            assert_eq!(validate(good), Ok(()), "{good}");
        }
        let too_long = "a".repeat(250);
        let bad = [
            ("", "Topic name is invalid: the empty string is not allowed".to_owned()),
            (".", "Topic name is invalid: '.' is not allowed".to_owned()),
            ("..", "Topic name is invalid: '..' is not allowed".to_owned()),
            (
                &too_long,
                format!(
                    "Topic name is invalid: the length of '{too_long}' is longer than the max allowed length 249"
                ),
            ),
        ];
        for (name, reason) in bad {
            assert_eq!(validate(name), Err(reason));
        }
        for name in ["a b", "a/b", "a\0b", "\u{e9}", "a:b", "../x"] {
            let reason = validate(name).unwrap_err();
            assert!(
                reason.ends_with("characters other than ASCII alphanumerics, '.', '_' and '-'"),
                "{reason}"
            );
        }
    }

    #[test]
    fn dots_and_underscores_collide_until_the_topic_is_gone() {
        let mut collisions = Collisions::default();
        collisions.insert(&Arc::from("a.b"));
        collisions.insert(&Arc::from("plain"));
        assert_eq!(collisions.find("a_b").map(|name| &**name), Some("a.b"));
        assert_eq!(collisions.find("a-b"), None);
        assert_eq!(collisions.find("plain"), None);
        collisions.insert(&Arc::from("a_b"));
        collisions.remove("a.b");
        assert_eq!(collisions.find("a.b").map(|name| &**name), Some("a_b"));
        collisions.remove("a_b");
        assert_eq!(collisions.find("a.b"), None);
    }

    #[test]
    fn internal_topics_are_the_coordinators_own() {
        assert!(is_internal("__consumer_offsets") && is_internal("__transaction_state"));
        assert!(!is_internal("__mine") && !is_internal("__cluster_metadata"));
    }
}
