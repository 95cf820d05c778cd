//! Numbers that are the same on every machine, and which of them a run begins with.

use std::cell::RefCell;
use std::env;
use std::ops::Range;
use std::time::UNIX_EPOCH;

thread_local! {
    static WHEREABOUTS: RefCell<String> = RefCell::default();
}

/// Says how far a run has come, for the message of a failure.
pub(crate) fn note(text: String) {
    WHEREABOUTS.set(text);
}

/// xorshift64*: enough for tests.
#[derive(Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `bound`, which must not be 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) % bound as u64) as usize
    }

    /// A number in a range that is not empty.
    pub(crate) fn within(&mut self, range: Range<i64>) -> i64 {
        range.start + self.below((range.end - range.start) as usize) as i64
    }

    pub(crate) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.below(256) as u8).collect()
    }
}

/// The seeds of a test: `usual` of them, `MILENA_TEST_ROUNDS` times as many, or the one that `MILENA_TEST_SEED` names.
/// The last of several is of the day, so that each day looks where none has looked before, and the same run can be repeated.
fn seeds(usual: u64) -> Vec<u64> {
    let number = |name| env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    if let Some(seed) = number("MILENA_TEST_SEED") {
        return vec![seed];
    }
    let mut seeds: Vec<u64> = (1..=usual * number("MILENA_TEST_ROUNDS").unwrap_or(1)).collect();
    if let [_, .., last] = &mut seeds[..] {
        *last = UNIX_EPOCH.elapsed().map_or(*last, |now| 1_000_000 + now.as_secs() / 86_400);
    }
    seeds
}

/// Runs `test` with each seed, and names the seed if it fails.
pub(crate) fn for_seeds(usual: u64, test: impl Fn(u64)) {
    for seed in seeds(usual) {
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(seed)));
        if let Err(panic) = done {
            eprintln!("MILENA_TEST_SEED={seed} repeats this failure. {}", WHEREABOUTS.take());
            std::panic::resume_unwind(panic);
        }
    }
}
