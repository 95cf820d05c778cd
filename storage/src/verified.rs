//! Which bytes of a log file are known to be as they were written.
//!
//! What this process appended, compacted or scanned is. The rest was trusted at the start: the CRCs of a range are
//! computed once, before it is served for the first time, and the range is remembered. So bytes that went bad on the
//! device are an error of the read that meets them, and the usual fetch pays nothing.

use parking_lot::Mutex;

/// Ranges that are remembered of a segment. A reader from the start makes one; more only come from readers that begin
/// anywhere. Beyond, all are forgotten and computed again.
const RANGES_MAX: usize = 64;

/// The known bytes of one segment.
#[derive(Debug)]
pub(crate) struct Verified {
    /// From here on everything is known.
    from: u32,
    /// Before that: ascending, without overlap.
    ranges: Mutex<Vec<(u32, u32)>>,
}

impl Verified {
    /// Knows what is behind `position`.
    pub(crate) fn behind(position: u32) -> Self {
        Self { from: position, ranges: Mutex::default() }
    }

    /// Whether all of a range is known.
    pub(crate) fn covers(&self, from: u32, to: u32) -> bool {
        let to = to.min(self.from);
        from >= to || self.ranges.lock().iter().any(|range| range.0 <= from && to <= range.1)
    }

    /// Remembers a range.
    pub(crate) fn add(&self, mut from: u32, mut to: u32) {
        let mut ranges = self.ranges.lock();
        ranges.retain(|range| {
            let touches = range.0 <= to && from <= range.1;
            if touches {
                (from, to) = (from.min(range.0), to.max(range.1));
            }
            !touches
        });
        if ranges.len() >= RANGES_MAX {
            ranges.clear();
        }
        let at = ranges.partition_point(|range| range.0 < from);
        ranges.insert(at, (from, to));
    }
}

#[cfg(test)]
mod tests {
    use super::{RANGES_MAX, Verified};

    #[test]
    fn ranges_that_touch_become_one() {
        let verified = Verified::behind(1000);
        type Ranges<'a> = &'a [(u32, u32)];
        let cases: [(Ranges<'_>, Ranges<'_>); 4] = [
            (&[(0, 10)], &[(0, 10)]),
            (&[(20, 30)], &[(0, 10), (20, 30)]),
            (&[(10, 20)], &[(0, 30)]),
            (&[(50, 60), (40, 45), (42, 55)], &[(0, 30), (40, 60)]),
        ];
        for (added, ranges) in cases {
            added.iter().for_each(|range| verified.add(range.0, range.1));
            assert_eq!(*verified.ranges.lock(), ranges, "{added:?}");
        }
        for (from, to, known) in [
            (0, 30, true),
            (5, 31, false),
            (30, 40, false),
            (45, 60, true),
            (999, 1001, false),
            (1000, 2000, true),
            (7, 7, true),
        ] {
            assert_eq!(verified.covers(from, to), known, "{from} to {to}");
        }
    }

    #[test]
    fn memory_is_bounded() {
        let verified = Verified::behind(u32::MAX);
        (0..1000).for_each(|i| verified.add(i * 10, i * 10 + 5));
        assert!(verified.ranges.lock().len() <= RANGES_MAX);
        assert!(verified.covers(9990, 9995));
    }
}
