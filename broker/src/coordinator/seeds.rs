//! What model tests are drawn from.

use std::env;
use std::ops::Range;

/// The seeds of a test: `usual` of them, `MILENA_TEST_ROUNDS` times as many, or the one that `MILENA_TEST_SEED` names.
pub(crate) fn seeds(usual: u64) -> Range<u64> {
    let number = |name| env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    match number("MILENA_TEST_SEED") {
        Some(seed) => seed..seed + 1,
        None => 1..1 + usual * number("MILENA_TEST_ROUNDS").unwrap_or(1),
    }
}

/// Says which seed it was if a test fails while it is there.
pub(crate) struct Named(pub(crate) u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("MILENA_TEST_SEED={} repeats this failure", self.0);
        }
    }
}
