//! Subscriptions by regular expression. The heartbeat that finds them due leaves the group with [`Waiting`] and is answered
//! with the assignment so far; a task matches the names of all topics under no lock, and hands in what it found. The
//! members hear of it with a later heartbeat, as in Kafka.

use kafka_protocol::ResponseError;
use milena_protocol::stored::group::{
    ConsumerGroupRegularExpressionKey, ConsumerGroupRegularExpressionValue, GroupRecord,
};
use parking_lot::Mutex;
use regex::{Regex, RegexBuilder};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use tokio::sync::Notify;

use super::heartbeat::Change;
use super::member::Profile;
use super::{ConsumerGroup, Resolved};
use crate::coordinator::Topics;
use crate::coordinator::runtime::Effects;
use crate::error::Refusal;
use crate::group::shard::{GroupShard, Then};
use crate::re2::translated;

/// Bytes of an expression; one of topic names has no need for more.
const LENGTH_MAX: usize = 32 << 10;
/// Bytes that an expression may become.
const COMPILED_MAX: usize = 256 << 10;
/// Characters of a refused expression that the answer shows.
const SHOWN: usize = 256;
/// Expressions of a group are not resolved more often than this, however many topics come.
const LEAST_REFRESH_MS: i64 = 10_000;

/// Groups whose expressions are to be resolved, those of all partitions.
#[derive(Debug, Default)]
pub(in crate::group) struct Waiting {
    groups: Mutex<VecDeque<Arc<str>>>,
    added: Notify,
}

impl Waiting {
    fn add(&self, group: Arc<str>) {
        self.groups.lock().push_back(group);
        self.added.notify_one();
    }

    /// The group that waits longest.
    pub(in crate::group) fn take(&self) -> Option<Arc<str>> {
        self.groups.lock().pop_front()
    }

    /// Waits until there may be one.
    pub(in crate::group) async fn added(&self) {
        self.added.notified().await;
    }
}

/// What expressions were found to stand for.
#[derive(Debug)]
pub(in crate::group) struct Found {
    topics: BTreeMap<String, BTreeSet<String>>,
    /// Of the topics that were looked at.
    version: i64,
}

/// Matches the names of all topics, which may take long.
pub(in crate::group) fn find(expressions: Vec<String>, topics: &dyn Topics) -> Found {
    // Before the names, so that a topic that comes meanwhile is looked for again.
    let version = topics.version();
    let names = topics.names();
    let matching = |expression: String| {
        let regex = compile(&expression).ok()?;
        let found = names.iter().filter(|name| regex.is_match(name)).cloned().collect();
        Some((expression, found))
    };
    Found { topics: expressions.into_iter().filter_map(matching).collect(), version }
}

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
    let plain = translated(regex);
    let build = |regex: &str| RegexBuilder::new(regex).size_limit(COMPILED_MAX).build();
    // On its own first: a bracket too many must not close the group around it.
    let compiled = build(&plain).and_then(|_| build(&format!(r"\A(?:{plain})\z")));
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
        // The last time may have been told by a clock that was ahead.
        let is_older = |ms: i64| last > change.now || change.now > last.saturating_add(ms);
        is_older(LEAST_REFRESH_MS)
            && (is_unresolved
                || self.regex_counts.len() != self.regexes.len()
                || version < change.version
                || is_older(change.regex_refresh_ms))
    }

    /// Takes over what the expressions stand for, and has the group assigned anew if that changes anything.
    fn resolve(&self, now: i64, found: Found, topics: &dyn Topics) -> Vec<GroupRecord> {
        let mut records = Vec::new();
        let mut changed = false;
        let mut subscribed: BTreeSet<&str> = self.topic_counts.keys().map(String::as_str).collect();
        let version = found.version;
        // Members may have turned to others meanwhile.
        let resolved: Vec<(String, Resolved)> = found
            .topics
            .into_iter()
            .filter(|(expression, _)| self.regex_counts.contains_key(expression))
            .map(|(expression, topics)| (expression, Resolved { topics, version, timestamp: now }))
            .collect();
        let left = self.regex_counts.keys().filter_map(|expression| {
            let is_found = resolved.iter().any(|(found, _)| found == expression);
            self.regexes.get(expression).filter(|_| !is_found)
        });
        subscribed.extend(left.flat_map(|known| known.topics.iter().map(String::as_str)));
        for (expression, resolved) in &resolved {
            let known = self.regexes.get(expression);
            changed |= known.map_or(!resolved.topics.is_empty(), |known| known.topics != resolved.topics);
            subscribed.extend(resolved.topics.iter().map(String::as_str));
            let key = ConsumerGroupRegularExpressionKey {
                group_id: self.id.to_string(),
                regular_expression: expression.clone(),
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
    /// Has the expressions of a group resolved, unless that goes on already.
    pub(super) fn await_regexes(&mut self, group: &Arc<str>) {
        if self.resolving.insert(Arc::clone(group)) {
            self.waiting.add(Arc::clone(group));
        }
    }

    /// The expressions of a group.
    pub(in crate::group) fn regexes(&self, group: &str) -> Vec<String> {
        self.consumers
            .get(group)
            .map(|group| group.regex_counts.keys().cloned().collect())
            .unwrap_or_default()
    }

    /// What the expressions of a group, if it is still there, were found to stand for.
    pub(in crate::group) fn regexes_found(
        &mut self,
        now: i64,
        group: &str,
        found: Found,
        effects: &mut Effects<Self>,
    ) {
        self.resolving.remove(group);
        if let Some(group) = self.consumers.get(group) {
            effects.store(group.resolve(now, found, &*self.topics), Then::Replay);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LENGTH_MAX, compile};

    #[test]
    fn an_expression_matches_whole_names_and_has_bounds() {
        assert!(compile("a|b").is_ok_and(|regex| regex.is_match("b") && !regex.is_match("ab")));
        assert!(compile("[[a&&b]").is_ok_and(|regex| regex.is_match("a")), "as in RE2");
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
