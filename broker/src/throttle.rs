//! Bytes in a second, for work in the background: `log.cleaner.io.max.bytes.per.second`,
//! `replica.alter.log.dirs.io.max.bytes.per.second`.

use parking_lot::Mutex;
use std::thread;
use std::time::{Duration, Instant};

/// Who waits looks this often whether the rate is another one, or he is to end.
const SLICE: Duration = Duration::from_millis(50);
/// From this rate on nothing waits, and no sum loses bytes for want of digits.
const UNLIMITED: f64 = 1e15;

/// Spreads the bytes of all who share it over time, first come, first served.
#[derive(Debug, Default)]
pub(crate) struct Throttle(Mutex<Account>);

/// Bytes since the beginning.
#[derive(Debug, Default)]
struct Account {
    taken: f64,
    paid: f64,
    /// Up to when time has been turned into bytes.
    settled: Option<Instant>,
}

impl Account {
    /// Pays for the time since the last call, with the rate that is in force now. Time in which nothing was owed is lost.
    fn settle(&mut self, bytes_per_second: f64, now: Instant) {
        let since =
            self.settled.replace(now).map_or(Duration::ZERO, |then| now.saturating_duration_since(then));
        // A rate of 0 or less sets no limit.
        let is_limited = bytes_per_second > 0.0 && bytes_per_second < UNLIMITED;
        let earned = if is_limited { bytes_per_second * since.as_secs_f64() } else { f64::INFINITY };
        self.paid = (self.paid + earned).min(self.taken);
    }

    /// Takes note of bytes; gives the sum that is to be paid before whoever took them goes on.
    fn take(&mut self, bytes: u64, bytes_per_second: f64, now: Instant) -> f64 {
        self.settle(bytes_per_second, now);
        self.taken += bytes as f64;
        self.taken
    }
}

impl Throttle {
    /// Takes note of bytes that were read or written, and sleeps until they were allowed to be, at the rate that is in force
    /// meanwhile, or until `stop`. A rate of 0 or less sets no limit.
    pub(crate) fn wait(&self, bytes: u64, bytes_per_second: impl Fn() -> f64, stop: impl Fn() -> bool) {
        let due = self.0.lock().take(bytes, bytes_per_second(), Instant::now());
        while !stop() {
            let rate = bytes_per_second();
            let owed = {
                let mut account = self.0.lock();
                account.settle(rate, Instant::now());
                due - account.paid
            };
            // What is less than a byte is for the next one.
            if owed < 1.0 {
                return;
            }
            thread::sleep(SLICE.min(Duration::from_secs_f64((owed / rate).min(1.0))));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Account, Throttle};
    use std::cell::Cell;
    use std::time::{Duration, Instant};

    #[test]
    fn bytes_are_spread_over_time() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut account = Account::default();
        // When, at which rate, how many bytes come then, and what is owed with them.
        let cases = [
            (0, 1000.0, 1000, 1000.0),
            (0, 1000.0, 500, 1500.0),
            (500, 1000.0, 0, 1000.0),
            // Another rate counts from here on.
            (600, 5000.0, 0, 500.0),
            (1000, 5000.0, 100, 100.0),
            // What was not used is not kept.
            (9000, 1000.0, 700, 700.0),
            (9500, 0.0, 1 << 40, (1_u64 << 40) as f64),
            (9500, f64::NAN, 0, 0.0),
            (9500, f64::MAX, 7, 7.0),
            (9501, f64::MAX, 0, 0.0),
        ];
        for (ms, rate, bytes, owed) in cases {
            let due = account.take(bytes, rate, at(ms));
            assert!((due - account.paid - owed).abs() < 0.01, "{ms}: {} and not {owed}", due - account.paid);
        }
    }

    #[test]
    fn the_first_is_paid_for_before_the_second() {
        let (start, mut account) = (Instant::now(), Account::default());
        let first = account.take(100, 100.0, start);
        let second = account.take(100, 100.0, start);
        account.settle(100.0, start + Duration::from_secs(1));
        assert!(account.paid >= first - 0.01 && account.paid < second - 99.0);
    }

    #[test]
    fn a_rate_that_is_raised_counts_for_who_waits() {
        let looks = Cell::new(0);
        // An hour at first.
        let rate = || if looks.replace(looks.get() + 1) < 3 { 1.0 } else { 0.0 };
        Throttle::default().wait(3600, rate, || false);
        assert!(looks.get() >= 4);
    }

    #[test]
    fn who_is_to_end_does_not_wait() {
        let looks = Cell::new(0);
        Throttle::default().wait(3600, || 1.0, || looks.replace(looks.get() + 1) == 2);
        assert_eq!(looks.get(), 3);
    }
}
