//! Which segments are cleaned into one, so that they do not only ever shrink (Kafka: `Cleaner.groupSegmentsBySize`).

use crate::config::LogConfig;
use crate::file_name::SegmentFileKind;
use crate::segment::Segment;
use std::sync::Arc;

/// Segments of a group, at most: while they are exchanged each has its four files open.
const SEGMENTS_MAX: usize = 100;

/// What counts of a segment.
#[derive(Clone, Copy, Debug)]
struct Size {
    base_offset: i64,
    log: u64,
    offsets: u64,
    times: u64,
}

/// Splits neighbouring segments into groups that stay within `segment.bytes`, `segment.index.bytes` and the offsets that
/// an index can hold. `behind` is the offset at which the cleaned range ends.
pub(super) fn group(segments: &[Arc<Segment>], config: &LogConfig, behind: i64) -> Vec<Vec<Arc<Segment>>> {
    let sizes: Vec<Size> = segments.iter().map(|segment| size_of(segment)).collect();
    let mut groups = Vec::new();
    let mut rest = segments;
    for count in counts(&sizes, config, behind) {
        let (group, others) = rest.split_at(count);
        groups.push(group.to_vec());
        rest = others;
    }
    groups
}

fn size_of(segment: &Segment) -> Size {
    let length = |kind| std::fs::metadata(segment.path(kind)).map_or(0, |file| file.len());
    Size {
        base_offset: segment.base_offset,
        log: segment.published().position.into(),
        offsets: length(SegmentFileKind::OffsetIndex),
        times: length(SegmentFileKind::TimeIndex),
    }
}

/// How many segments each group has.
fn counts(sizes: &[Size], config: &LogConfig, behind: i64) -> Vec<usize> {
    let (bytes, index_bytes) = (u64::from(config.segment_bytes), u64::from(config.segment_index_bytes));
    let mut counts = Vec::new();
    let mut open: Option<Size> = None;
    for (at, next) in sizes.iter().enumerate() {
        // The next segment begins behind the last offset that this one can have.
        let last = sizes.get(at + 1).map_or(behind, |s| s.base_offset) - 1;
        match (&mut open, counts.last_mut()) {
            (Some(sum), Some(count))
                if *count < SEGMENTS_MAX
                    && sum.log + next.log <= bytes
                    && sum.offsets + next.offsets <= index_bytes
                    && sum.times + next.times <= index_bytes
                    && last - sum.base_offset <= i64::from(i32::MAX) =>
            {
                sum.log += next.log;
                sum.offsets += next.offsets;
                sum.times += next.times;
                *count += 1;
            }
            _ => {
                open = Some(*next);
                counts.push(1);
            }
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::{Size, counts};
    use crate::config::LogConfig;

    #[test]
    fn groups_stay_within_every_limit() {
        let config = LogConfig { segment_bytes: 100, segment_index_bytes: 10, ..LogConfig::default() };
        let size = |base_offset, log, offsets, times| Size { base_offset, log, offsets, times };
        let far = i64::from(i32::MAX);
        // segments, the offset behind them, sizes of the groups
        let cases = [
            (vec![], 0, vec![]),
            (vec![size(0, 500, 50, 50)], 10, vec![1]),
            (vec![size(0, 50, 0, 0), size(1, 50, 0, 0), size(2, 1, 0, 0)], 3, vec![2, 1]),
            (vec![size(0, 1, 5, 0), size(1, 1, 5, 0), size(2, 1, 1, 0)], 3, vec![2, 1]),
            (vec![size(0, 1, 0, 9), size(1, 1, 0, 2), size(2, 1, 0, 8)], 3, vec![1, 2]),
            (vec![size(0, 0, 0, 0), size(5, 0, 0, 0), size(9, 100, 10, 10)], 12, vec![3]),
            (vec![size(0, 1, 0, 0), size(7, 1, 0, 0)], far + 1, vec![2]),
            (vec![size(0, 1, 0, 0), size(7, 1, 0, 0)], far + 2, vec![1, 1]),
            (vec![size(0, 1, 0, 0), size(7, 1, 0, 0), size(far + 1, 1, 0, 0)], far + 9, vec![2, 1]),
        ];
        for (at, (sizes, behind, expected)) in cases.into_iter().enumerate() {
            assert_eq!(counts(&sizes, &config, behind), expected, "case {at}");
        }
        let many: Vec<_> = (0..250).map(|base| size(base, 0, 0, 0)).collect();
        assert_eq!(counts(&many, &config, 250), [100, 100, 50]);
    }
}
