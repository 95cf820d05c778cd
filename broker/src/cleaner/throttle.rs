//! `log.cleaner.io.max.bytes.per.second`, for all passes together.

use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A waiting pass looks this often whether it is to end.
const SLICE: Duration = Duration::from_millis(50);
/// The longest wait for one piece, should the rate be next to nothing.
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// Spreads bytes over time.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    /// When all the bytes that were let through are paid for.
    paid: Mutex<Option<Instant>>,
}

impl Throttle {
    /// Takes note of bytes that were read or written, and sleeps until they were allowed to be; a rate of 0 or less
    /// sets no limit.
    pub(super) fn wait(&self, bytes: u64, bytes_per_second: f64, stop: &AtomicBool) {
        let until = self.charge(bytes, bytes_per_second, Instant::now());
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || stop.load(Ordering::Acquire) {
                return;
            }
            thread::sleep(left.min(SLICE));
        }
    }

    /// When bytes that come at `now` are paid for.
    fn charge(&self, bytes: u64, bytes_per_second: f64, now: Instant) -> Instant {
        if bytes_per_second <= 0.0 || bytes_per_second.is_nan() {
            return now;
        }
        let seconds = (bytes as f64 / bytes_per_second).min(WAIT_MAX.as_secs_f64());
        let mut paid = self.paid.lock();
        let until = paid.map_or(now, |paid| paid.max(now)) + Duration::from_secs_f64(seconds);
        *paid = Some(until);
        until
    }
}

#[cfg(test)]
mod tests {
    use super::{Throttle, WAIT_MAX};
    use std::time::{Duration, Instant};

    #[test]
    fn bytes_are_spread_over_time() {
        let start = Instant::now();
        let throttle = Throttle::default();
        // bytes, rate, milliseconds at which they come and at which they are paid for
        let cases = [
            (1000, 1000.0, 0, 1000),
            (500, 1000.0, 0, 1500),
            (500, 500.0, 100, 2500),
            (1000, 1000.0, 9000, 10_000),
            (1 << 40, f64::MAX, 10_000, 10_000),
            (1 << 40, 0.0, 10_000, 10_000),
            (1 << 40, f64::NAN, 10_000, 10_000),
        ];
        for (bytes, rate, at, expected) in cases {
            let at = start + Duration::from_millis(at);
            let expected = start + Duration::from_millis(expected);
            assert_eq!(throttle.charge(bytes, rate, at), expected, "{bytes} at {rate}");
        }
        let late = start + Duration::from_secs(20);
        assert_eq!(throttle.charge(u64::MAX, 1e-300, late), late + WAIT_MAX);
    }
}
