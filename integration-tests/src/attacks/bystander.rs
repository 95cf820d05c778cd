//! A client that appends a record and reads it, and takes the time.

use crate::raw::Connection;
use crate::records::Batch;
use crate::requests::{FETCH, PRODUCE, fetch, only_partition, produce};
use std::time::{Duration, Instant};

/// Appends one record to a topic of its own, fetches it, and so on.
#[derive(Debug)]
pub struct Bystander {
    connection: Connection,
    topic: String,
    batch: Vec<u8>,
    next: i64,
}

/// How long rounds took, the shortest first.
#[derive(Clone, Debug)]
pub struct Latencies(Vec<Duration>);

impl Bystander {
    /// Connects to `address`; `topic` is there, has one partition, and nobody else uses it.
    #[must_use]
    pub fn new(address: &str, topic: &str) -> Self {
        let batch = Batch::of(["a record of some hundred bytes ".repeat(8)]).encode();
        Self { connection: Connection::open(address), topic: topic.to_owned(), batch, next: 0 }
    }

    /// One record there and back.
    ///
    /// # Panics
    /// If it is refused, or another one comes back.
    pub fn round(&mut self) -> Duration {
        let begin = Instant::now();
        let stored = self.connection.call(PRODUCE, &produce(&self.topic, 0, -1, self.batch.clone()));
        let stored = &stored.responses[0].partition_responses[0];
        assert_eq!((stored.error_code, stored.base_offset), (0, self.next));
        let read = self.connection.call(FETCH, &fetch(&self.topic, 0, self.next, 1 << 20));
        let records = only_partition(read).records.unwrap_or_default();
        assert_eq!(records.len(), self.batch.len());
        self.next += 1;
        begin.elapsed()
    }

    /// Makes `rounds` rounds.
    pub fn rounds(&mut self, rounds: usize) -> Latencies {
        (0..rounds).map(|_| self.round()).collect()
    }
}

impl FromIterator<Duration> for Latencies {
    fn from_iter<I: IntoIterator<Item = Duration>>(all: I) -> Self {
        let mut all: Vec<Duration> = all.into_iter().collect();
        all.sort_unstable();
        Self(all)
    }
}

impl Latencies {
    /// The time that `percent` of the rounds did not exceed; zero without rounds.
    #[must_use]
    pub fn percentile(&self, percent: f64) -> Duration {
        let rank = (self.0.len() as f64 * percent / 100.0).ceil() as usize;
        self.0.get(rank.saturating_sub(1)).or(self.0.last()).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::Latencies;
    use std::time::Duration;

    #[test]
    fn percentiles_are_those_of_the_nearest_rank() {
        let all: Latencies = (1..=200).rev().map(Duration::from_millis).collect();
        for (percent, ms) in [(0.0, 1), (50.0, 100), (99.0, 198), (99.9, 200), (100.0, 200)] {
            assert_eq!(all.percentile(percent), Duration::from_millis(ms), "{percent}");
        }
        assert_eq!(Latencies::from_iter([]).percentile(99.0), Duration::ZERO);
    }
}
