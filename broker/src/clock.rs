//! The only reader of time, so that tests can turn it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Wall-clock time in milliseconds since 1970, or a clock that a test turns.
#[derive(Debug, Default)]
pub enum Clock {
    /// The machine's clock.
    #[default]
    System,
    /// Stands still until it is told otherwise.
    Manual(AtomicI64),
}

impl Clock {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        match self {
            Self::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
            Self::Manual(now) => now.load(Ordering::Relaxed),
        }
    }

    /// Sets a manual clock; a system clock stays as it is.
    pub fn set(&self, now_ms: i64) {
        if let Self::Manual(now) = self {
            now.store(now_ms, Ordering::Relaxed);
        }
    }
}
