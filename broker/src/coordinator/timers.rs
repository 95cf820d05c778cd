//! Timers of a shard: one heap, one entry a key however often the deadline moves.
//!
//! Machines count in wall-clock time, and their deadlines are kept on the steady clock: a deadline is so far from the
//! `now` of the input that sets it, and stays so however the wall clock is set meanwhile. [`Timers::set_skew`] says at each
//! input how far apart the two clocks are.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::Hash;

/// Deadlines by key.
///
/// A heartbeat moves a deadline far more often than it passes, so moving it back only notes the new time: the
/// queued entry looks again when it comes up. The heap therefore holds about one entry a key.
#[derive(Debug)]
pub(crate) struct Timers<K> {
    queue: BinaryHeap<Reverse<(i64, K)>>,
    deadlines: HashMap<K, Deadline>,
    /// The wall clock less the steady one, in ms.
    skew: i64,
}

#[derive(Debug)]
struct Deadline {
    at: i64,
    /// Time of the live entry in the queue; other entries of the key are leftovers.
    queued_at: i64,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self { queue: BinaryHeap::new(), deadlines: HashMap::new(), skew: 0 }
    }
}

impl<K: Clone + Ord + Hash> Timers<K> {
    /// Sets how far the wall clock is ahead of the steady one.
    pub(crate) fn set_skew(&mut self, ms: i64) {
        self.skew = ms;
    }

    /// The steady clock when the wall clock shows `at`, as things are.
    pub(crate) fn steady(&self, at: i64) -> i64 {
        at.saturating_sub(self.skew)
    }

    /// Sets the deadline of `key` (ms since 1970), in place of the one it had.
    pub(crate) fn schedule(&mut self, key: K, at: i64) {
        let at = self.steady(at);
        if let Some(deadline) = self.deadlines.get_mut(&key) {
            deadline.at = at;
            if at < deadline.queued_at {
                deadline.queued_at = at;
                self.queue.push(Reverse((at, key)));
            }
        } else {
            self.deadlines.insert(key.clone(), Deadline { at, queued_at: at });
            self.queue.push(Reverse((at, key)));
        }
    }

    /// Sets the deadline of `key` unless it has one.
    pub(crate) fn schedule_if_absent(&mut self, key: K, at: i64) {
        if !self.deadlines.contains_key(&key) {
            self.schedule(key, at);
        }
    }

    /// Forgets the deadline of `key`.
    pub(crate) fn cancel(&mut self, key: &K) {
        self.deadlines.remove(key);
        if self.queue.len() > 2 * self.deadlines.len() + 64 {
            self.rebuild();
        }
    }

    /// Takes a key whose deadline has passed at `now` (ms since 1970).
    pub(crate) fn pop_due(&mut self, now: i64) -> Option<K> {
        let now = self.steady(now);
        while self.queue.peek().is_some_and(|Reverse((at, _))| *at <= now) {
            let Some(Reverse((at, key))) = self.queue.pop() else { break };
            let Some(deadline) = self.deadlines.get_mut(&key) else { continue };
            if deadline.queued_at != at {
                continue;
            }
            if deadline.at <= now {
                self.deadlines.remove(&key);
                return Some(key);
            }
            deadline.queued_at = deadline.at;
            self.queue.push(Reverse((deadline.at, key)));
        }
        None
    }

    /// A time of the steady clock before which no deadline passes; it may be early, never late.
    pub(crate) fn next(&self) -> Option<i64> {
        self.queue.peek().map(|Reverse((at, _))| *at)
    }

    /// Drops the leftovers of cancelled keys.
    fn rebuild(&mut self) {
        self.queue = self
            .deadlines
            .iter_mut()
            .map(|(key, deadline)| {
                deadline.queued_at = deadline.at;
                Reverse((deadline.at, key.clone()))
            })
            .collect();
    }
}

#[cfg(test)]
mod tests {
    use super::Timers;

    fn due(timers: &mut Timers<&'static str>, now: i64) -> Vec<&'static str> {
        std::iter::from_fn(|| timers.pop_due(now)).collect()
    }

    #[test]
    fn due_in_order_of_time() {
        let mut timers = Timers::default();
        timers.schedule("late", 30);
        timers.schedule("early", 10);
        timers.schedule("middle", 20);
        assert_eq!(due(&mut timers, 9), Vec::<&str>::new());
        assert_eq!(due(&mut timers, 20), ["early", "middle"]);
        assert_eq!(timers.next(), Some(30));
    }

    #[test]
    fn a_deadline_that_moves_back_is_not_due_at_its_first_time() {
        let mut timers = Timers::default();
        timers.schedule("session", 10);
        for at in 11..1000 {
            timers.schedule("session", at);
        }
        assert_eq!(timers.queue.len(), 1);
        assert_eq!(due(&mut timers, 998), Vec::<&str>::new());
        assert_eq!(due(&mut timers, 999), ["session"]);
        assert_eq!(due(&mut timers, 5000), Vec::<&str>::new());
    }

    #[test]
    fn a_deadline_that_moves_forward_is_due_once() {
        let mut timers = Timers::default();
        timers.schedule("session", 100);
        timers.schedule("session", 50);
        assert_eq!(due(&mut timers, 60), ["session"]);
        assert_eq!(due(&mut timers, 200), Vec::<&str>::new());
    }

    #[test]
    fn deadlines_do_not_follow_the_wall_clock() {
        for jump in [-3_600_000, 3_600_000] {
            let mut timers = Timers::default();
            timers.set_skew(1_000_000);
            timers.schedule("before", 1_000_100);
            assert_eq!(timers.next(), Some(100));
            timers.set_skew(1_000_000 + jump);
            timers.schedule("after", 1_000_000 + jump + 150);
            assert_eq!(due(&mut timers, 1_000_000 + jump + 99), Vec::<&str>::new());
            assert_eq!(due(&mut timers, 1_000_000 + jump + 100), ["before"]);
            assert_eq!(due(&mut timers, 1_000_000 + jump + 150), ["after"]);
        }
    }

    #[test]
    fn a_cancelled_key_may_be_scheduled_again() {
        let mut timers = Timers::default();
        timers.schedule("join", 100);
        timers.cancel(&"join");
        timers.schedule("join", 200);
        assert_eq!(due(&mut timers, 150), Vec::<&str>::new());
        assert_eq!(due(&mut timers, 200), ["join"]);
    }

    #[test]
    fn leftovers_of_cancelled_keys_are_dropped() {
        let mut timers = Timers::default();
        for key in 0..10_000 {
            timers.schedule(key, 1_000_000 + key);
            timers.cancel(&key);
        }
        assert!(timers.queue.len() < 100, "{}", timers.queue.len());
    }
}
