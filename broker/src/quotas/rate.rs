//! What was used lately: a rate over samples, and a bucket of tokens.

use super::Window;
use std::collections::VecDeque;

/// Sums of samples (`SampledStat`, `Rate`): the rate is taken over all samples, those that have not begun yet included,
/// and over the part of the newest one that has passed.
#[derive(Debug, Default)]
pub(super) struct Rate {
    samples: VecDeque<Sample>,
}

#[derive(Debug)]
struct Sample {
    begun_ms: i64,
    /// When something was used last. By that it counts, and not by its begin.
    last_ms: i64,
    used: f64,
}

impl Rate {
    /// Counts what was used.
    pub(super) fn add(&mut self, used: f64, window: Window, steady_ms: i64) {
        self.forget(window, steady_ms);
        match self.samples.back_mut() {
            Some(sample) if steady_ms - sample.begun_ms < window.sample_ms => {
                sample.used += used;
                sample.last_ms = steady_ms;
            }
            _ => self.samples.push_back(Sample { begun_ms: steady_ms, last_ms: steady_ms, used }),
        }
    }

    /// How many milliseconds without use bring the rate down to the bound, which is for a second.
    pub(super) fn excess_ms(&mut self, bound: f64, window: Window, steady_ms: i64) -> i64 {
        self.forget(window, steady_ms);
        let Some(oldest) = self.samples.front() else { return 0 };
        let passed_ms = (steady_ms - oldest.begun_ms).max(0);
        let to_come = (window.samples - 1 - passed_ms / window.sample_ms).max(0);
        let elapsed_ms = passed_ms.saturating_add(to_come.saturating_mul(window.sample_ms)).max(1) as f64;
        let used: f64 = self.samples.iter().map(|sample| sample.used).sum();
        let rate = used * 1000.0 / elapsed_ms;
        if rate > bound { ((rate - bound) / bound * elapsed_ms).round() as i64 } else { 0 }
    }

    /// Whether nothing is left of what was used.
    pub(super) fn is_idle(&self, window: Window, steady_ms: i64) -> bool {
        self.samples.back().is_none_or(|sample| steady_ms - sample.last_ms >= window.all_ms())
    }

    fn forget(&mut self, window: Window, steady_ms: i64) {
        while self.samples.front().is_some_and(|sample| steady_ms - sample.last_ms >= window.all_ms()) {
            self.samples.pop_front();
        }
    }
}

/// Tokens that come with time, up to those of a whole window (`TokenBucket`). It may be in debt.
#[derive(Debug)]
pub(super) struct Bucket {
    tokens: f64,
    filled_ms: i64,
}

impl Bucket {
    /// All there may be.
    pub(super) fn full(bound: f64, window: Window, steady_ms: i64) -> Self {
        Self { tokens: bound * window.all_ms() as f64 / 1000.0, filled_ms: steady_ms }
    }

    /// Takes tokens, whether they are there or not.
    pub(super) fn take(&mut self, tokens: f64, bound: f64, window: Window, steady_ms: i64) {
        self.fill(bound, window, steady_ms);
        self.tokens -= tokens;
    }

    /// In how many milliseconds the debt is paid; 0 without one.
    pub(super) fn debt_ms(&mut self, bound: f64, window: Window, steady_ms: i64) -> i64 {
        self.fill(bound, window, steady_ms);
        if self.tokens < 0.0 { (-self.tokens / bound * 1000.0).round() as i64 } else { 0 }
    }

    /// Whether it was left alone for so long.
    pub(super) fn is_full_after(&self, idle_ms: i64, steady_ms: i64) -> bool {
        self.tokens >= 0.0 && steady_ms - self.filled_ms >= idle_ms
    }

    fn fill(&mut self, bound: f64, window: Window, steady_ms: i64) {
        let passed_ms = (steady_ms - self.filled_ms).max(0) as f64;
        let most = bound * window.all_ms() as f64 / 1000.0;
        self.tokens = (self.tokens + bound * passed_ms / 1000.0).min(most);
        // A clock that is set back must not give the same time twice.
        self.filled_ms = self.filled_ms.max(steady_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::{Rate, Window};

    #[test]
    fn a_rate_is_that_of_kafka() {
        const WINDOW: Window = Window { sample_ms: 1000, samples: 11 };
        // What was used when, the bound, and what is too much when, by Kafka's own `Rate`.
        type Row = (&'static [(i64, f64)], f64, i64, i64);
        let rows: [Row; 9] = [
            (&[(0, 110.0)], 10.0, 0, 1000),
            (&[(0, 110.0)], 10.0, 900, 100),
            (&[(0, 110.0)], 10.0, 1000, 1000),
            (&[(0, 110.0)], 10.0, 10_000, 1000),
            (&[(0, 110.0)], 10.0, 10_999, 1),
            (&[(0, 110.0)], 10.0, 11_000, 0),
            // The second is of the first sample, and holds it until it is old itself.
            (&[(0, 110.0), (900, 20.0)], 10.0, 11_899, 1101),
            (&[(0, 110.0), (900, 20.0)], 10.0, 11_900, 0),
            (&[(0, 110.0), (1000, 30.0)], 2.0, 11_500, 4500),
        ];
        for (used, bound, steady_ms, expected) in rows {
            let mut rate = Rate::default();
            used.iter().for_each(|(at_ms, used)| rate.add(*used, WINDOW, *at_ms));
            assert_eq!(rate.excess_ms(bound, WINDOW, steady_ms), expected, "{used:?} {steady_ms}");
        }
    }
}
