//! Subscriptions by regular expression. They are resolved by the group's own deadline (`TimerKey::Regex`), after the
//! heartbeat that asked for it: the members hear of the topics with a later one, as in Kafka.

use kafka_protocol::ResponseError;
use milena_protocol::stored::group::{
    ConsumerGroupRegularExpressionKey, ConsumerGroupRegularExpressionValue, GroupRecord,
};
use regex::{Regex, RegexBuilder};
use std::collections::BTreeSet;

use super::heartbeat::Change;
use super::member::Profile;
use super::{ConsumerGroup, Resolved};
use crate::coordinator::Topics;
use crate::coordinator::runtime::Effects;
use crate::error::Refusal;
use crate::group::shard::{GroupShard, Then};

/// Bytes of an expression; one of topic names has no need for more.
const LENGTH_MAX: usize = 32 << 10;
/// Bytes that an expression may become.
const COMPILED_MAX: usize = 256 << 10;
/// Characters of a refused expression that the answer shows.
const SHOWN: usize = 256;
/// Expressions of a group are not resolved more often than this, however many topics come.
const LEAST_REFRESH_MS: i64 = 10_000;

/// What a change of a member's expression means.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RegexChange {
    /// The member has another expression.
    pub(super) changed: bool,
    /// Its topics are known, so the group can be assigned at once.
    pub(super) resolved: bool,
}

/// Refuses what is no regular expression. The syntax is that of RE2; a topic must match as a whole.
pub(super) fn compile(regex: &str) -> Result<Regex, Refusal> {
    let refused = |reason: String| {
        let shown: String = regex.chars().take(SHOWN).collect();
        let message = format!("SubscribedTopicRegex `{shown}` is not a valid regular expression: {reason}.");
        Refusal::new(ResponseError::InvalidRegularExpression, message)
    };
    if regex.len() > LENGTH_MAX {
        return Err(refused(format!("it has more than {LENGTH_MAX} bytes")));
    }
    let build = |regex: &str| RegexBuilder::new(regex).size_limit(COMPILED_MAX).build();
    // On its own first: a bracket too many must not close the group around it.
    let compiled = build(regex).and_then(|_| build(&format!(r"\A(?:{regex})\z")));
    compiled.map_err(|error| {
        let text = error.to_string();
        refused(text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned())
    })
}

impl ConsumerGroup {
    /// Notes that a member has another expression, and whether the group's are to be resolved.
    pub(super) fn update_regex(
        &self,
        old: &Profile,
        new: &Profile,
        change: &mut Change<'_>,
    ) -> Result<RegexChange, Refusal> {
        let mut outcome = RegexChange::default();
        let mut is_unresolved = false;
        if old.regex != new.regex {
            outcome.changed = true;
            if !old.regex.is_empty() && self.regex_counts.get(&old.regex) == Some(&1) {
                change.records.push(self.regex_tombstone(&old.regex));
            }
            if new.regex.is_empty() {
                outcome.resolved = !old.regex.is_empty();
            } else if self.regex_counts.contains_key(&new.regex) {
                outcome.resolved = self.regexes.contains_key(&new.regex);
            } else {
                compile(&new.regex)?;
                is_unresolved = true;
            }
        }
        if is_unresolved || !self.regex_counts.is_empty() {
            change.resolves = self.must_resolve(is_unresolved, change);
        }
        Ok(outcome)
    }

    fn must_resolve(&self, is_unresolved: bool, change: &Change<'_>) -> bool {
        let last = self.regexes.values().map(|resolved| resolved.timestamp).max().unwrap_or(i64::MIN);
        let version = self.regexes.values().map(|resolved| resolved.version).max().unwrap_or(-1);
        change.now > last.saturating_add(LEAST_REFRESH_MS)
            && (is_unresolved
                || self.regex_counts.len() != self.regexes.len()
                || version < change.topics.version()
                || change.now > last.saturating_add(change.regex_refresh_ms))
    }

    /// Resolves the group's expressions, and has the group assigned anew if that changes anything.
    fn resolve(&self, now: i64, topics: &dyn Topics) -> Vec<GroupRecord> {
        let names = topics.names();
        let mut records = Vec::new();
        let mut changed = false;
        let mut subscribed: BTreeSet<&str> = self.topic_counts.keys().map(String::as_str).collect();
        let resolved: Vec<(&String, Resolved)> = self
            .regex_counts
            .keys()
            .filter_map(|expression| {
                let regex = compile(expression).ok()?;
                let matching = names.iter().filter(|name| regex.is_match(name)).cloned().collect();
                Some((expression, Resolved { topics: matching, version: topics.version(), timestamp: now }))
            })
            .collect();
        for (expression, resolved) in &resolved {
            let known = self.regexes.get(*expression);
            changed |= known.map_or(!resolved.topics.is_empty(), |known| known.topics != resolved.topics);
            subscribed.extend(resolved.topics.iter().map(String::as_str));
            let key = ConsumerGroupRegularExpressionKey {
                group_id: self.id.to_string(),
                regular_expression: (*expression).clone(),
            };
            let value = ConsumerGroupRegularExpressionValue {
                topics: resolved.topics.iter().cloned().collect(),
                version: resolved.version,
                timestamp: resolved.timestamp,
                ..ConsumerGroupRegularExpressionValue::default()
            };
            records.push(GroupRecord::ConsumerGroupRegularExpression(key, Some(value)));
        }
        let hash = super::target::hash_of(subscribed, topics);
        if changed || hash != self.metadata_hash {
            records.push(self.epoch_record(self.epoch.saturating_add(1), hash));
        }
        records
    }
}

impl GroupShard {
    /// The deadline of [`TimerKey::Regex`](crate::group::shard::TimerKey).
    pub(in crate::group) fn resolve_regexes(&mut self, now: i64, group: &str, effects: &mut Effects<Self>) {
        if let Some(group) = self.consumers.get(group) {
            effects.store(group.resolve(now, &*self.topics), Then::Replay);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LENGTH_MAX, compile};

    #[test]
    fn an_expression_matches_whole_names_and_has_bounds() {
        assert!(compile("a|b").is_ok_and(|regex| regex.is_match("b") && !regex.is_match("ab")));
        assert!(compile(&"a".repeat(1000)).is_ok());
        for (name, refused) in [
            ("a bracket too many", "a)(b".to_owned()),
            ("too long", "a".repeat(LENGTH_MAX + 1)),
            ("grows too large", r"(\pL{1000}){1000}".to_owned()),
        ] {
            assert!(compile(&refused).is_err(), "{name}");
        }
    }
}
