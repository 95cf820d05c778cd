use std::cell::Cell;

use super::aborted::{AbortedTransaction, Search};
use super::*;

const BASE: i64 = 1000;

fn limits(interval_bytes: u32, max_bytes: u32) -> IndexLimits {
    IndexLimits { interval_bytes, max_bytes }
}

/// Batches of 10 bytes, of one record each, from position 0 and offset `BASE` on.
fn batch(number: u32, max_timestamp: i64) -> IndexedBatch {
    IndexedBatch { last_offset: BASE + i64::from(number), max_timestamp, position: number * 10, size: 10 }
}

fn bytes(indexes: &ActiveIndexes) -> (Vec<u8>, Vec<u8>) {
    let (mut offsets, mut times) = (Vec::new(), Vec::new());
    indexes.offsets().encode(0, &mut offsets);
    indexes.times().encode(0, &mut times);
    (offsets, times)
}

fn offset_bytes(entries: &[(i32, u32)]) -> Vec<u8> {
    entries
        .iter()
        .flat_map(|(offset, position)| [offset.to_be_bytes(), position.to_be_bytes()].concat())
        .collect()
}

fn time_bytes(entries: &[(i64, i32)]) -> Vec<u8> {
    entries
        .iter()
        .flat_map(|(time, offset)| [&time.to_be_bytes()[..], &offset.to_be_bytes()[..]].concat())
        .collect()
}

#[test]
fn entries_are_due_when_more_than_the_interval_went_in() {
    type Case = (u32, &'static [i64], &'static [(i32, u32)], &'static [(i64, i32)]);
    // Interval, timestamps of the batches, offset entries, time entries after the close.
    let cases: &[Case] = &[
        (4096, &[], &[], &[]),
        // Only the first batch: no entry but the last.
        (0, &[500], &[], &[(500, 0)]),
        (0, &[500, 501, 502], &[(1, 10), (2, 20)], &[(501, 1), (502, 2)]),
        // 10 bytes are not more than 10, 20 are.
        (9, &[1, 2, 3], &[(1, 10), (2, 20)], &[(2, 1), (3, 2)]),
        (10, &[1, 2, 3, 4, 5, 6], &[(2, 20), (4, 40)], &[(3, 2), (5, 4), (6, 5)]),
        // The time entry names the first batch with the largest timestamp so far, and only a later one is worth one.
        (0, &[9, 7, 8, 9, 10, 3], &[(1, 10), (2, 20), (3, 30), (4, 40), (5, 50)], &[(9, 0), (10, 4)]),
        // No timestamps, no time entries.
        (0, &[-1, -1, -1], &[(1, 10), (2, 20)], &[]),
        (0, &[-1, 0, -1], &[(1, 10), (2, 20)], &[(0, 1)]),
    ];
    for (interval, timestamps, offsets, times) in cases {
        let mut indexes = ActiveIndexes::new(BASE, limits(*interval, 1 << 20));
        for (number, timestamp) in (0..).zip(*timestamps) {
            indexes.append(&batch(number, *timestamp)).unwrap();
        }
        indexes.close();
        indexes.close();
        assert_eq!(bytes(&indexes), (offset_bytes(offsets), time_bytes(times)), "{interval} {timestamps:?}");
        let largest = timestamps.iter().copied().max().unwrap_or(-1);
        assert_eq!(indexes.max_timestamp().timestamp, largest, "{interval} {timestamps:?}");
    }
}

#[test]
fn a_full_index_refuses_an_entry_but_keeps_a_slot_for_the_last() {
    // Bytes, entries it takes: the offset index has room for bytes / 8, the time index for bytes / 12 less one.
    for (max_bytes, expected) in [(0, 0), (8, 0), (12, 0), (24, 1), (36, 2), (47, 2), (48, 3)] {
        let mut indexes = ActiveIndexes::new(BASE, limits(0, max_bytes));
        indexes.append(&batch(0, 0)).unwrap();
        let mut taken = 0;
        for number in 1.. {
            let full = indexes.is_full();
            match indexes.append(&batch(number, i64::from(number))) {
                Ok(()) => taken += 1,
                Err(IndexError::Full { entries }) => {
                    assert_eq!(entries, expected, "{max_bytes}");
                    assert!(full);
                    break;
                }
                Err(error) => panic!("{error}"),
            }
            assert!(!full);
        }
        assert_eq!(taken, expected, "{max_bytes}");
        assert_eq!(indexes.max_timestamp().timestamp, taken as i64, "a refused batch leaves no trace");
        let written = bytes(&indexes).1.len();
        indexes.close();
        assert!(bytes(&indexes).1.len() <= written + time::ENTRY_SIZE);
    }
    // A batch that needs no entry goes into a full index, too.
    let mut indexes = ActiveIndexes::new(BASE, limits(4096, 0));
    assert!(indexes.is_full());
    assert!(indexes.append(&batch(0, 0)).is_ok());
}

#[test]
fn offsets_must_ascend_and_fit_into_31_bits() {
    let mut indexes = ActiveIndexes::new(BASE, limits(0, 1 << 20));
    indexes.append(&batch(0, 0)).unwrap();
    indexes.append(&batch(5, 1)).unwrap();
    for last_offset in [BASE + 4, BASE + 5] {
        let next = IndexedBatch { last_offset, ..batch(6, 2) };
        assert!(matches!(indexes.append(&next), Err(IndexError::OffsetNotAbove { .. })), "{last_offset}");
    }
    let largest = BASE + i64::from(i32::MAX);
    for (offset, holds) in
        [(BASE - 1, false), (BASE, true), (largest, true), (largest + 1, false), (i64::MIN, false)]
    {
        assert_eq!(indexes.holds(offset), holds, "{offset}");
    }
    let before = bytes(&indexes);
    for last_offset in [BASE - 1, largest + 1] {
        let next = IndexedBatch { last_offset, ..batch(6, 2) };
        assert!(matches!(indexes.append(&next), Err(IndexError::OffsetOutOfRange { .. })), "{last_offset}");
    }
    assert_eq!(bytes(&indexes), before);
    assert!(indexes.append(&IndexedBatch { last_offset: largest, ..batch(6, 2) }).is_ok());
    assert_eq!(indexes.offsets().last(), Some(OffsetPosition { offset: largest, position: 60 }));
}

#[test]
fn a_restored_index_goes_on_where_the_files_end() {
    let offsets = offset_bytes(&[(2, 20), (4, 40)]);
    let times = time_bytes(&[(3, 2), (6, 5)]);
    let mut indexes = ActiveIndexes::restore(BASE, limits(9, 1 << 20), &offsets, &times).unwrap();
    assert_eq!(indexes.max_timestamp(), TimestampOffset { timestamp: 6, offset: BASE + 5 });
    // The bytes since the last entry count from zero again.
    indexes.append(&batch(6, 5)).unwrap();
    assert_eq!(bytes(&indexes), (offsets, times));
    indexes.append(&batch(7, 9)).unwrap();
    let (offsets, times) = bytes(&indexes);
    assert_eq!(offsets, offset_bytes(&[(2, 20), (4, 40), (7, 70)]));
    assert_eq!(times, time_bytes(&[(3, 2), (6, 5), (9, 7)]));
    let mut tail = Vec::new();
    indexes.offsets().encode(2, &mut tail);
    assert_eq!(tail, offset_bytes(&[(7, 70)]));
    tail.clear();
    indexes.times().encode(9, &mut tail);
    assert_eq!(tail, []);
}

#[test]
fn truncation_drops_the_entries_from_an_offset_on() {
    type Case = (i64, &'static [(i32, u32)], &'static [(i64, i32)]);
    let cases: [Case; 6] = [
        (BASE - 1, &[], &[]),
        (BASE + 1, &[], &[]),
        (BASE + 2, &[(1, 10)], &[(21, 1)]),
        (BASE + 3, &[(1, 10), (2, 20)], &[(21, 1), (22, 2)]),
        (BASE + 4, &[(1, 10), (2, 20), (3, 30)], &[(21, 1), (22, 2), (23, 3)]),
        (BASE + 9, &[(1, 10), (2, 20), (3, 30)], &[(21, 1), (22, 2), (23, 3)]),
    ];
    for (offset, offsets, times) in cases {
        let mut indexes = ActiveIndexes::new(BASE, limits(0, 1 << 20));
        for number in 0..4 {
            indexes.append(&batch(number, 20 + i64::from(number))).unwrap();
        }
        indexes.truncate(offset, None);
        assert_eq!(bytes(&indexes), (offset_bytes(offsets), time_bytes(times)), "{offset}");
        assert_eq!(indexes.max_timestamp().timestamp, times.last().map_or(-1, |entry| entry.0), "{offset}");
    }
    let mut indexes = ActiveIndexes::new(BASE, limits(0, 1 << 20));
    indexes.append(&batch(0, 20)).unwrap();
    let left = TimestampOffset { timestamp: 20, offset: BASE };
    indexes.truncate(BASE + 1, Some(left));
    indexes.close();
    assert_eq!(bytes(&indexes).1, time_bytes(&[(20, 0)]));
}

/// Counts the reads.
struct Counted<'a>(&'a [u8], Cell<usize>);

impl ReadAt for Counted<'_> {
    fn read_exact_at(&self, buf: &mut [u8], pos: u64) -> io::Result<()> {
        self.1.set(self.1.get() + 1);
        self.0.read_exact_at(buf, pos)
    }

    fn len(&self) -> io::Result<u64> {
        ReadAt::len(self.0)
    }
}

#[test]
fn a_closed_index_answers_as_an_active_one() {
    for entries in [0, 1, 2, 3, 681, 682, 683, 1023, 1024, 1025, 1026, 2049, 5000] {
        let offsets: Vec<_> = (0..entries).map(|n| (3 * n + 1, (7 * n + 5) as u32)).collect();
        let times: Vec<_> = (0..entries).map(|n| (i64::from(5 * n) - 3, 3 * n + 1)).collect();
        let (offsets, times) = (offset_bytes(&offsets), time_bytes(&times));
        let active = ActiveIndexes::restore(BASE, limits(0, 1 << 30), &offsets, &times).unwrap();
        let offset_file = Counted(&offsets, Cell::new(0));
        let time_file = Counted(&times, Cell::new(0));
        let numbers = (-2..entries + 2).filter(|n| entries < 100 || n % 13 == 0 || *n < 4 || n + 4 > entries);
        for n in numbers {
            for around in -1..=1 {
                let offset = BASE + i64::from(3 * n + around);
                let found = offset::lookup(&offset_file, BASE, offset).unwrap();
                assert_eq!(found, active.position_of(offset), "{entries} {offset}");
                let position = u64::try_from(7 * n + 5 + around).unwrap_or(0);
                let found = offset::first_at_or_behind(&offset_file, BASE, position).unwrap();
                assert_eq!(found, active.offsets().first_at_or_behind(position), "{entries} {position}");
                let timestamp = i64::from(5 * n - 3 + around);
                let found = time::lookup(&time_file, BASE, timestamp).unwrap();
                assert_eq!(found, active.times().lookup(timestamp), "{entries} {timestamp}");
            }
        }
        assert_eq!(offset::last(&offset_file, BASE).unwrap(), active.offsets().last());
        assert_eq!(time::last(&time_file, BASE).unwrap(), active.times().last());
        assert!(offset::check(&offset_file, BASE, u64::MAX).is_ok());
        assert!(time::check(&time_file, BASE).is_ok());
    }
}

#[test]
fn a_lookup_reads_few_blocks() {
    let offsets: Vec<_> = (0..400_000).map(|n| (n, n as u32 + 1)).collect();
    let offsets = offset_bytes(&offsets);
    let cases = [(399_999, 2), (400_000 - 1024, 2), (400_000 - 1025, 16), (0, 16), (-5, 16), (200_000, 16)];
    for (relative, most) in cases {
        let file = Counted(&offsets, Cell::new(0));
        let found = offset::lookup(&file, BASE, BASE + relative).unwrap();
        assert_eq!(found.offset, BASE + relative.max(0));
        assert!(file.1.get() <= most, "{relative}: {} reads", file.1.get());
    }
}

#[test]
fn damaged_indexes_are_found() {
    let good = offset_bytes(&[(1, 10), (2, 20)]);
    assert!(offset::check(&good[..], BASE, 21).is_ok());
    assert!(offset::check(&[][..], BASE, 0).is_ok());
    let bad = [
        (good[..15].to_vec(), "a part of an entry"),
        ([&good[..], &[0; 8]].concat(), "a zero tail"),
        (vec![0; 8], "nothing but zeros"),
        (offset_bytes(&[(2, 20), (2, 30)]), "the same offset"),
        (offset_bytes(&[(2, 20), (3, 20)]), "the same position"),
        (offset_bytes(&[(2, 20), (3, 10)]), "a position going back"),
        (offset_bytes(&[(-1, 20)]), "a negative offset"),
        (offset_bytes(&[(1, 1 << 31)]), "a negative position"),
    ];
    for (bytes, what) in bad {
        assert!(matches!(offset::check(&bytes[..], BASE, 1 << 33), Err(IndexError::Corrupt(_))), "{what}");
        if what != "nothing but zeros" {
            assert!(ActiveIndexes::restore(BASE, IndexLimits::default(), &bytes, &[]).is_err(), "{what}");
        }
    }
    assert!(offset::check(&good[..], BASE, 20).is_err(), "the last batch is not in the log");
    assert!(offset::check(&good[..], i64::MAX - 1, 99).is_err(), "offsets beyond the largest");

    let good = time_bytes(&[(5, 0), (6, 0), (7, 3)]);
    assert!(time::check(&good[..], BASE).is_ok());
    assert!(time::check(&time_bytes(&[(0, 0)])[..], BASE).is_ok());
    let bad = [
        (good[..35].to_vec(), "a part of an entry"),
        ([&good[..], &[0; 12]].concat(), "a zero tail"),
        (vec![0; 24], "nothing but zeros"),
        (time_bytes(&[(5, 2), (5, 3)]), "the same timestamp"),
        (time_bytes(&[(5, 2), (6, 1)]), "an offset going back"),
        (time_bytes(&[(5, -2)]), "a negative offset"),
    ];
    for (bytes, what) in bad {
        assert!(matches!(time::check(&bytes[..], BASE), Err(IndexError::Corrupt(_))), "{what}");
        assert!(ActiveIndexes::restore(BASE, IndexLimits::default(), &[], &bytes).is_err(), "{what}");
    }
    assert!(
        time::check(&time_bytes(&[(9, 0), (3, 1), (5, 2)])[..], BASE).is_err(),
        "the first above the last"
    );
}

fn aborted(
    producer_id: i64,
    first_offset: i64,
    last_offset: i64,
    last_stable_offset: i64,
) -> AbortedTransaction {
    AbortedTransaction { producer_id, first_offset, last_offset, last_stable_offset }
}

fn aborted_bytes(transactions: &[AbortedTransaction]) -> Vec<u8> {
    transactions.iter().flat_map(AbortedTransaction::encode).collect()
}

#[test]
fn an_aborted_transaction_is_34_bytes() {
    let bytes: [u8; 34] = [
        0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 8,
    ];
    let transaction = aborted(7, 0, 7, 8);
    assert_eq!(transaction.encode(), bytes);
    assert_eq!(AbortedTransaction::decode(&bytes).unwrap(), transaction);
    let mut newer = bytes;
    newer[1] = 1;
    assert!(AbortedTransaction::decode(&newer).is_err());
    for bad in [aborted(7, -1, 3, 4), aborted(7, 4, 3, 4)] {
        assert!(AbortedTransaction::decode(&bad.encode()).is_err(), "{bad:?}");
    }
}

#[test]
fn a_fetch_collects_what_overlaps_and_stops_at_the_last_stable_offset() {
    // As in a log of two interleaved producers; the third was written while one of offset 24 was open.
    let all = [
        aborted(7, 3, 7, 8),
        aborted(6, 8, 11, 12),
        aborted(6, 27, 30, 24),
        aborted(7, 24, 31, 32),
        aborted(6, 44, 47, 48),
    ];
    let file = aborted_bytes(&all);
    let cases: [(i64, i64, &[usize], Search); 9] = [
        (0, 50, &[0, 1, 2, 3, 4], Search::GoOn),
        (0, 3, &[], Search::Complete),
        (0, 4, &[0], Search::Complete),
        (0, 8, &[0], Search::Complete),
        // The first says that nothing before 8 is open, so the second must be looked at.
        (0, 9, &[0, 1], Search::Complete),
        (8, 28, &[1, 2, 3], Search::Complete),
        (12, 24, &[], Search::Complete),
        // An upper bound behind the last stable offset of the third: the fourth still counts.
        (12, 25, &[3], Search::Complete),
        (48, 60, &[], Search::GoOn),
    ];
    for (fetch_offset, upper_bound, expected, search) in cases {
        let mut found = Vec::new();
        let answer = aborted::collect(&file[..], fetch_offset, upper_bound, &mut found).unwrap();
        let expected: Vec<_> = expected.iter().map(|at| all[*at]).collect();
        assert_eq!((found, answer), (expected, search), "{fetch_offset}..{upper_bound}");
    }
    assert_eq!(aborted::all(&file[..]).unwrap(), all);
}

#[test]
fn an_aborted_index_is_cut_and_checked() {
    let file = aborted_bytes(&[aborted(1, 3, 7, 8), aborted(2, 8, 11, 12), aborted(1, 13, 15, 16)]);
    for (offset, entries) in [(0, 0), (7, 0), (8, 1), (11, 1), (12, 2), (16, 3), (99, 3)] {
        assert_eq!(aborted::length_up_to(&file[..], offset).unwrap(), entries * 34, "{offset}");
    }
    assert!(aborted::check(&file[..], 7..16).is_ok());
    assert!(aborted::check(&file[..], 8..16).is_err(), "a marker before the segment");
    let torn = [&file[..], &file[..33]].concat();
    assert!(aborted::check(&torn[..], 7..16).is_ok());
    assert_eq!(aborted::length_up_to(&torn[..], 99).unwrap(), 3 * 34);
    let unordered = aborted_bytes(&[aborted(1, 3, 7, 8), aborted(2, 3, 7, 8)]);
    assert!(aborted::check(&unordered[..], 0..16).is_err());
    assert!(aborted::check(&file[..], 7..15).is_err(), "a marker behind the segment");
    for stable in [-1, 9] {
        let file = aborted_bytes(&[aborted(1, 3, 7, stable)]);
        assert!(aborted::check(&file[..], 0..16).is_err(), "last stable offset {stable}");
    }
}

#[test]
fn a_long_aborted_index_is_read_block_by_block() {
    let all: Vec<_> = (0..1000).map(|n| aborted(n, 2 * n, 2 * n + 1, 2 * n + 2)).collect();
    let bytes = aborted_bytes(&all);
    let file = Counted(&bytes, Cell::new(0));
    assert_eq!(aborted::all(&file).unwrap(), all);
    assert_eq!(file.1.get(), (1000 * 34_usize).div_ceil(8160));
    file.1.set(0);
    assert_eq!(aborted::collect(&file, 0, 10, &mut Vec::new()).unwrap(), Search::Complete);
    assert_eq!(file.1.get(), 1);
}
