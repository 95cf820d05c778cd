//! `--rate`: so many records in a second, a minute or an hour.

use crate::cli::failure::Failure;
use std::time::Duration;

/// What could not be sent in time is sent at once up to here; what is older is let go.
const CATCH_UP: Duration = Duration::from_secs(1);
/// Shorter pauses cost more than they are worth: what is due within one goes out together.
const PAUSE_MIN: Duration = Duration::from_millis(5);

/// A rate and what was sent by it.
#[derive(Debug)]
pub(super) struct Rate {
    per_second: f64,
    /// When the next record is due, since the beginning.
    due: Duration,
}

impl Rate {
    /// Reads `100`, `100/s`, `30/m`, `1/h`, `0.5/s`.
    ///
    /// # Errors
    /// It is none, or nothing would ever be sent.
    pub(super) fn parse(text: &str) -> Result<Self, Failure> {
        let (number, unit) = text.split_once('/').unwrap_or((text, "s"));
        let seconds = match unit {
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3_600.0,
            _ => f64::NAN,
        };
        let per_second = number.parse::<f64>().unwrap_or(f64::NAN) / seconds;
        // A record a day, and as many as nobody can count, at the ends.
        if !(1e-5..=1e9).contains(&per_second) {
            return Err(Failure::Usage(format!("{text} is no rate: 100/s, 30/m, 1/h")));
        }
        Ok(Self { per_second, due: Duration::ZERO })
    }

    /// How long the next record has to wait at this time since the beginning, if it has to.
    pub(super) fn pause(&self, now: Duration) -> Option<Duration> {
        self.due.checked_sub(now).filter(|wait| !wait.is_zero()).map(|wait| wait.max(PAUSE_MIN))
    }

    /// Notes that a record went.
    pub(super) fn sent(&mut self, now: Duration) {
        let since = self.due.max(now.saturating_sub(CATCH_UP));
        self.due = since + Duration::from_secs_f64(1.0 / self.per_second);
    }
}

#[cfg(test)]
mod tests {
    use super::Rate;
    use std::time::Duration;

    #[test]
    fn rates_as_people_write_them() {
        for (text, expected) in [
            ("100", Some(100.0)),
            ("100/s", Some(100.0)),
            ("30/m", Some(0.5)),
            ("1/h", Some(1.0 / 3_600.0)),
            ("0.5/s", Some(0.5)),
            ("0", None),
            ("-1", None),
            ("inf", None),
            ("nan", None),
            ("5/x", None),
            ("/s", None),
            ("", None),
        ] {
            assert_eq!(Rate::parse(text).ok().map(|rate| rate.per_second), expected, "{text}");
        }
    }

    #[test]
    fn records_are_due_one_after_the_other() {
        let ms = Duration::from_millis;
        let mut rate = Rate::parse("100/s").expect("a rate");
        assert_eq!(rate.pause(ms(0)), None);
        rate.sent(ms(0));
        assert_eq!(rate.pause(ms(0)), Some(ms(10)));
        assert_eq!(rate.pause(ms(8)), Some(ms(5)), "no shorter pauses");
        assert_eq!(rate.pause(ms(10)), None);
        // Nothing came for half a second: fifty records are due at once, no more.
        let mut count = 0;
        while rate.pause(ms(500)).is_none() {
            rate.sent(ms(500));
            count += 1;
        }
        assert_eq!(count, 50);
        // Nothing came for an hour: those of the last second are.
        let mut count = 0;
        while rate.pause(ms(3_600_000)).is_none() {
            rate.sent(ms(3_600_000));
            count += 1;
        }
        assert_eq!(count, 101);
    }
}
