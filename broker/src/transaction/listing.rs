//! DescribeTransactions and ListTransactions.

use kafka_protocol::ResponseError;
use regex::{Regex, RegexBuilder};
use std::collections::BTreeSet;

use super::metadata::Transaction;
use super::shard::TransactionShard;
use super::state::State;
use crate::re2::translated;

/// Bytes that a client's pattern may become.
const PATTERN_BYTES_MAX: usize = 256 << 10;
/// Length of a client's pattern.
const PATTERN_LENGTH_MAX: usize = 32 << 10;

/// Which transactions to list; an empty list is no condition.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListFilter {
    /// States, where only some are wanted.
    states: Option<BTreeSet<State>>,
    /// Names that are no states.
    pub(crate) unknown_states: Vec<String>,
    producer_ids: BTreeSet<i64>,
    /// Open for longer than this, in ms; negative for no condition.
    longer_than_ms: i64,
    /// What the whole transactional id must match.
    pattern: Option<Regex>,
}

impl ListFilter {
    /// A filter by names of states, producer ids, duration (ms, negative for any) and a pattern in RE2's syntax.
    ///
    /// # Errors
    /// INVALID_REGULAR_EXPRESSION.
    pub(crate) fn new<'a>(
        states: impl IntoIterator<Item = &'a str>,
        producer_ids: impl IntoIterator<Item = i64>,
        longer_than_ms: i64,
        pattern: Option<&str>,
    ) -> Result<Self, ResponseError> {
        let mut filter =
            Self { producer_ids: producer_ids.into_iter().collect(), longer_than_ms, ..Self::default() };
        for name in states {
            let wanted = filter.states.get_or_insert_default();
            match State::of_name(name) {
                Some(state) => wanted.extend(state),
                None => filter.unknown_states.push(name.to_owned()),
            }
        }
        filter.pattern = match pattern {
            None | Some("") => None,
            Some(pattern) => {
                // By itself first: "a)(b" is no pattern.
                compile(pattern)?;
                Some(compile(&format!("^(?:{pattern})$"))?)
            }
        };
        Ok(filter)
    }

    fn admits(&self, id: &str, transaction: &Transaction, now: i64) -> bool {
        let open_ms = now.saturating_sub(transaction.started);
        (self.producer_ids.is_empty() || self.producer_ids.contains(&transaction.producer_id))
            && self.states.as_ref().is_none_or(|states| states.contains(&transaction.state))
            && (self.longer_than_ms < 0 || open_ms > self.longer_than_ms)
            && self.pattern.as_ref().is_none_or(|pattern| pattern.is_match(id))
    }
}

/// Compiles a client's pattern. What is parsed takes a hundred times its length before the limit of what it may become
/// counts, and no longer pattern stays below that one.
fn compile(pattern: &str) -> Result<Regex, ResponseError> {
    let short = Some(pattern).filter(|pattern| pattern.len() <= PATTERN_LENGTH_MAX);
    let built = short.and_then(|pattern| {
        RegexBuilder::new(&translated(pattern)).size_limit(PATTERN_BYTES_MAX).build().ok()
    });
    built.ok_or(ResponseError::InvalidRegularExpression)
}

/// A transactional id in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// The id.
    pub(crate) id: String,
    /// Its producer id.
    pub(crate) producer_id: i64,
    /// Kafka's name of its state.
    pub(crate) state: &'static str,
}

/// All there is to say of a transactional id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Described {
    /// Kafka's name of its state.
    pub(crate) state: &'static str,
    /// Its producer id.
    pub(crate) producer_id: i64,
    /// The epoch.
    pub(crate) producer_epoch: i16,
    /// ms.
    pub(crate) timeout_ms: i32,
    /// ms since 1970, -1 without a transaction.
    pub(crate) started: i64,
    /// Topics and partitions in the transaction.
    pub(crate) partitions: Vec<(String, Vec<i32>)>,
}

impl TransactionShard {
    /// Appends the transactional ids that the filter admits.
    pub(super) fn list(&self, filter: &ListFilter, now: i64, all: &mut Vec<Listed>) {
        let admitted = self.transactions.iter().filter(|(id, one)| filter.admits(id, one, now));
        all.extend(admitted.map(|(id, transaction)| Listed {
            id: id.to_string(),
            producer_id: transaction.producer_id,
            state: transaction.state.rule().name,
        }));
    }

    /// What there is to say of an id.
    pub(super) fn describe(&self, id: &str) -> Option<Described> {
        let transaction = self.transactions.get(id)?;
        let partitions = transaction
            .partitions
            .iter()
            .map(|(topic, indexes)| (topic.to_string(), indexes.iter().copied().collect()));
        Some(Described {
            state: transaction.state.rule().name,
            producer_id: transaction.producer_id,
            producer_epoch: transaction.producer_epoch,
            timeout_ms: transaction.timeout_ms,
            started: transaction.started,
            partitions: partitions.collect(),
        })
    }
}
