//! What was used lately: a rate over samples, and a bucket of tokens.

use super::Window;
use std::collections::VecDeque;

/// Sums of samples (`SampledStat`, `Rate`): the rate is taken over all samples, those that have not begun yet included.
#[derive(Debug, Default)]
pub(super) struct Rate {
    /// When each sample began, and what was used in it.
    samples: VecDeque<(i64, f64)>,
}

impl Rate {
    /// Counts what was used.
    pub(super) fn add(&mut self, used: f64, window: Window, now_ms: i64) {
        self.forget(window, now_ms);
        match self.samples.back_mut() {
            Some((start, sum)) if now_ms - *start < window.sample_ms => *sum += used,
            _ => self.samples.push_back((now_ms, used)),
        }
    }

    /// How many milliseconds without use bring the rate down to the bound, which is for a second.
    pub(super) fn excess_ms(&mut self, bound: f64, window: Window, now_ms: i64) -> i64 {
        self.forget(window, now_ms);
        let Some((oldest, _)) = self.samples.front() else { return 0 };
        let least = (window.samples - 1).max(1).saturating_mul(window.sample_ms);
        let elapsed_ms = (now_ms - oldest).max(least) as f64;
        let used: f64 = self.samples.iter().map(|(_, sum)| sum).sum();
        let rate = used * 1000.0 / elapsed_ms;
        if rate > bound { ((rate - bound) / bound * elapsed_ms).round() as i64 } else { 0 }
    }

    /// Whether nothing is left of what was used.
    pub(super) fn is_idle(&self, window: Window, now_ms: i64) -> bool {
        self.samples.back().is_none_or(|(start, _)| now_ms - start >= window.all_ms())
    }

    fn forget(&mut self, window: Window, now_ms: i64) {
        while self.samples.front().is_some_and(|(start, _)| now_ms - start >= window.all_ms()) {
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
    pub(super) fn full(bound: f64, window: Window, now_ms: i64) -> Self {
        Self { tokens: bound * window.all_ms() as f64 / 1000.0, filled_ms: now_ms }
    }

    /// Takes tokens, whether they are there or not.
    pub(super) fn take(&mut self, tokens: f64, bound: f64, window: Window, now_ms: i64) {
        self.fill(bound, window, now_ms);
        self.tokens -= tokens;
    }

    /// In how many milliseconds the debt is paid; 0 without one.
    pub(super) fn debt_ms(&mut self, bound: f64, window: Window, now_ms: i64) -> i64 {
        self.fill(bound, window, now_ms);
        if self.tokens < 0.0 { (-self.tokens / bound * 1000.0).round() as i64 } else { 0 }
    }

    /// Whether it was left alone for so long.
    pub(super) fn is_full_after(&self, idle_ms: i64, now_ms: i64) -> bool {
        self.tokens >= 0.0 && now_ms - self.filled_ms >= idle_ms
    }

    fn fill(&mut self, bound: f64, window: Window, now_ms: i64) {
        let passed_ms = (now_ms - self.filled_ms).max(0) as f64;
        let most = bound * window.all_ms() as f64 / 1000.0;
        self.tokens = (self.tokens + bound * passed_ms / 1000.0).min(most);
        // A clock that is set back must not give the same time twice.
        self.filled_ms = self.filled_ms.max(now_ms);
    }
}
