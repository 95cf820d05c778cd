//! The only reader of time, so that tests can turn it.
//!
//! There are two clocks. The wall clock says what is stored and compared with what was stored: timestamps of records,
//! ages. It may be set, forwards and back. The steady clock only goes on, with no meaning but its differences: timeouts
//! that begin and end in this process run on it.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Where the steady clock of the machine begins.
static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Both clocks of the machine, or those that a test turns.
#[derive(Debug, Default)]
pub enum Clock {
    /// The machine's clocks.
    #[default]
    System,
    /// They stand still until they are told otherwise.
    Manual(Hands),
}

/// What manual clocks show, in ms.
#[derive(Debug)]
pub struct Hands {
    wall: AtomicI64,
    steady: AtomicI64,
}

impl From<i64> for Hands {
    /// Both show the same, ms since 1970.
    fn from(now_ms: i64) -> Self {
        Self { wall: now_ms.into(), steady: now_ms.into() }
    }
}

impl Clock {
    /// Wall-clock milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        match self {
            Self::System => SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX)),
            Self::Manual(hands) => hands.wall.load(Ordering::Relaxed),
        }
    }

    /// Milliseconds of the steady clock. It does not run while the machine is suspended.
    #[must_use]
    pub fn steady_ms(&self) -> i64 {
        match self {
            Self::System => i64::try_from(ORIGIN.elapsed().as_millis()).unwrap_or(i64::MAX),
            Self::Manual(hands) => hands.steady.load(Ordering::Relaxed),
        }
    }

    /// Lets the time of manual clocks pass until the wall clock shows `now_ms`; those of the machine stay as they are.
    pub fn set(&self, now_ms: i64) {
        if let Self::Manual(hands) = self {
            let passed = now_ms - hands.wall.swap(now_ms, Ordering::Relaxed);
            hands.steady.fetch_add(passed, Ordering::Relaxed);
        }
    }

    /// Sets a manual wall clock this much ahead, or back, in no time.
    pub fn jump(&self, ms: i64) {
        if let Self::Manual(hands) = self {
            hands.wall.fetch_add(ms, Ordering::Relaxed);
        }
    }
}
