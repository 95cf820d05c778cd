//! The states of a transactional id, and the one table that says what every request does in each of them.

/// Where a transactional id stands (`TransactionState`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum State {
    /// No transaction since the producer was initialised.
    Empty,
    /// Partitions were added.
    Ongoing,
    /// The commit is decided; markers are being written.
    PrepareCommit,
    /// The abort is decided; markers are being written.
    PrepareAbort,
    /// Every partition has its commit marker.
    CompleteCommit,
    /// Every partition has its abort marker.
    CompleteAbort,
}

/// The outcome of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Its records count.
    Commit,
    /// They do not.
    Abort,
}

/// What becomes of an EndTxn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It is decided.
    Prepare,
    /// There is no transaction, but the producer may not know: it gets its new epoch (KIP-890).
    PrepareWithoutTransaction,
    /// It was decided before and is done: the answer is given again.
    Done,
    /// It was decided before and is being done: CONCURRENT_TRANSACTIONS.
    Pending,
    /// PRODUCER_FENCED.
    Fenced,
    /// INVALID_TXN_STATE.
    Invalid,
}

/// What the epoch of an EndTxn says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// A client whose epoch does not move when a transaction ends.
    OneEpoch,
    /// The current epoch: this ends the transaction of now.
    First,
    /// The epoch before: the answer to the first attempt was lost.
    Retry,
}

/// What a state means for requests and for time.
pub(super) struct Rule {
    pub(super) state: State,
    /// In records.
    pub(super) id: i8,
    /// In DescribeTransactions and ListTransactions.
    pub(super) name: &'static str,
    /// A transaction has been decided and is not done: others wait (CONCURRENT_TRANSACTIONS).
    pub(super) pending: Option<Outcome>,
    /// The id may be forgotten when it has not been used for long.
    pub(super) expires: bool,
    /// What a commit does, by attempt: one epoch, first, retry.
    commit: [End; 3],
    /// What an abort does.
    abort: [End; 3],
}

#[rustfmt::skip] // a table
static RULES: [Rule; 6] = {
    use End::{Done, Fenced, Invalid, Pending, Prepare, PrepareWithoutTransaction as Bump};
    use Outcome::{Abort, Commit};
    [
        Rule { state: State::Empty,          id: 0, name: "Empty",          pending: None,         expires: true,
               commit: [Invalid, Invalid, Fenced],  abort: [Invalid, Bump,    Fenced]  },
        Rule { state: State::Ongoing,        id: 1, name: "Ongoing",        pending: None,         expires: false,
               commit: [Prepare, Prepare, Fenced],  abort: [Prepare, Prepare, Fenced]  },
        Rule { state: State::PrepareCommit,  id: 2, name: "PrepareCommit",  pending: Some(Commit), expires: false,
               commit: [Pending, Pending, Pending], abort: [Pending, Pending, Pending] },
        Rule { state: State::PrepareAbort,   id: 3, name: "PrepareAbort",   pending: Some(Abort),  expires: false,
               commit: [Pending, Pending, Pending], abort: [Pending, Pending, Pending] },
        Rule { state: State::CompleteCommit, id: 4, name: "CompleteCommit", pending: None,         expires: true,
               commit: [Done,    Invalid, Done],    abort: [Invalid, Bump,    Invalid] },
        Rule { state: State::CompleteAbort,  id: 5, name: "CompleteAbort",  pending: None,         expires: true,
               commit: [Invalid, Invalid, Invalid], abort: [Done,    Bump,    Done]    },
    ]
};

/// Names that Kafka knows besides, of states that nobody stays in.
const PASSING: [&str; 2] = ["Dead", "PrepareEpochFence"];

impl State {
    /// The row of the table.
    pub(super) fn rule(self) -> &'static Rule {
        &RULES[self as usize]
    }

    /// The state of a record; None for a number that no record of Kafka's has.
    pub(super) fn of_record(id: i8) -> Option<Self> {
        RULES.iter().find(|rule| rule.id == id).map(|rule| rule.state)
    }

    /// Whether a client may filter by this name; the state, unless nothing is ever found in it.
    pub(super) fn of_name(name: &str) -> Option<Option<Self>> {
        let known = RULES.iter().find(|rule| rule.name == name).map(|rule| Some(rule.state));
        known.or_else(|| PASSING.contains(&name).then_some(None))
    }

    /// What an EndTxn does.
    pub(super) fn end(self, outcome: Outcome, attempt: Attempt) -> End {
        let rule = self.rule();
        let by_attempt = match outcome {
            Outcome::Commit => &rule.commit,
            Outcome::Abort => &rule.abort,
        };
        by_attempt[attempt as usize]
    }

    /// Where a decision leads.
    pub(super) fn prepared(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Commit => Self::PrepareCommit,
            Outcome::Abort => Self::PrepareAbort,
        }
    }

    /// Where it is done.
    pub(super) fn completed(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Commit => Self::CompleteCommit,
            Outcome::Abort => Self::CompleteAbort,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{RULES, State};

    #[test]
    fn every_state_has_its_own_row_and_is_found_by_number_and_name() {
        for (index, rule) in RULES.iter().enumerate() {
            assert_eq!(rule.state as usize, index, "{}", rule.name);
            assert_eq!(State::of_record(rule.id), Some(rule.state));
            assert_eq!(State::of_name(rule.name), Some(Some(rule.state)));
        }
        assert_eq!((State::of_record(6), State::of_record(7)), (None, None));
        assert_eq!((State::of_name("Dead"), State::of_name("dead")), (Some(None), None));
    }
}
