use milena_protocol::records::Attributes;

use super::*;

mod model;

const NOW: i64 = 1_700_000_000_000;
const DAY: i64 = 86_400_000;

/// A batch of one producer. The timestamp is far from its expiration, the base offset is given to `apply`.
fn data(producer_id: i64, epoch: i16, sequence: i32, records: i32) -> BatchHeader {
    BatchHeader {
        producer_id,
        producer_epoch: epoch,
        base_sequence: sequence,
        last_offset_delta: records - 1,
        record_count: records,
        max_timestamp: NOW,
        ..BatchHeader::default()
    }
}

fn transactional(producer_id: i64, epoch: i16, sequence: i32, records: i32) -> BatchHeader {
    let header = data(producer_id, epoch, sequence, records);
    BatchHeader { attributes: header.attributes.with_transactional(true), ..header }
}

fn control(producer_id: i64, epoch: i16) -> BatchHeader {
    let attributes = Attributes::default().with_transactional(true).with_control(true);
    BatchHeader { attributes, base_sequence: -1, ..data(producer_id, epoch, -1, 1) }
}

fn marker(commit: bool, coordinator_epoch: i32) -> EndTransactionMarker {
    EndTransactionMarker { commit, coordinator_epoch }
}

/// A log whose producers are watched: each append gets the next offset.
#[derive(Default)]
struct Log {
    producers: Producers,
    end: i64,
}

impl Log {
    fn append(&mut self, header: BatchHeader) -> Option<AbortedTransaction> {
        let base_offset = self.end;
        self.end += i64::from(header.last_offset_delta) + 1;
        self.producers.apply(&header, None, base_offset)
    }

    fn end_transaction(&mut self, producer_id: i64, epoch: i16, commit: bool) -> Option<AbortedTransaction> {
        self.end += 1;
        self.producers.apply(&control(producer_id, epoch), Some(&marker(commit, 0)), self.end - 1)
    }

    fn check(&self, header: BatchHeader) -> Result<Checked, ProducerError> {
        self.producers.check(&header, None, Origin::Client)
    }
}

fn log_of(batches: &[(i16, i32, i32)]) -> Log {
    let mut log = Log::default();
    for (epoch, sequence, records) in batches {
        log.append(data(1, *epoch, *sequence, *records));
    }
    log
}

fn duplicate(base_offset: i64, last_offset: i64) -> Result<Checked, ProducerError> {
    Ok(Checked::Duplicate { base_offset, last_offset, timestamp: NOW })
}

fn out_of_order(epoch: i16, sequence: i32, expected: i32) -> Result<Checked, ProducerError> {
    Err(ProducerError::OutOfOrderSequence { producer_id: 1, epoch, sequence, expected })
}

fn stale(epoch: i16, current: i16) -> Result<Checked, ProducerError> {
    Err(ProducerError::InvalidEpoch { producer_id: 1, epoch, current })
}

const APPEND: Result<Checked, ProducerError> = Ok(Checked::Append);
const MAX: i32 = i32::MAX;

#[test]
fn sequences_and_epochs_of_a_client() {
    type Batch = (i16, i32, i32);
    type Case = (&'static [Batch], Batch, Result<Checked, ProducerError>);
    let cases: &[Case] = &[
        // An unknown producer may begin anywhere.
        (&[], (0, 0, 1), APPEND),
        (&[], (7, 4711, 3), APPEND),
        // In order, a gap, a repeat, a part, an overlap.
        (&[(0, 0, 3)], (0, 3, 1), APPEND),
        (&[(0, 0, 3)], (0, 4, 1), out_of_order(0, 4, 3)),
        (&[(0, 0, 3)], (0, 0, 3), duplicate(0, 2)),
        (&[(0, 0, 3)], (0, 0, 2), out_of_order(0, 0, 3)),
        (&[(0, 0, 3)], (0, 1, 2), out_of_order(0, 1, 3)),
        (&[(0, 0, 3)], (0, 2, 2), out_of_order(0, 2, 3)),
        (&[(0, 0, 3)], (0, 0, 4), out_of_order(0, 0, 3)),
        (&[(3, 100, 5)], (3, 105, 1), APPEND),
        (&[(3, 100, 5)], (3, 0, 1), out_of_order(3, 0, 105)),
        // Five batches back, not six.
        (&[(0, 0, 1), (0, 1, 2), (0, 3, 1), (0, 4, 1), (0, 5, 1)], (0, 0, 1), duplicate(0, 0)),
        (&[(0, 0, 1), (0, 1, 2), (0, 3, 1), (0, 4, 1), (0, 5, 1)], (0, 1, 2), duplicate(1, 2)),
        (&[(0, 0, 1), (0, 1, 2), (0, 3, 1), (0, 4, 1), (0, 5, 1)], (0, 5, 1), duplicate(5, 5)),
        (&[(0, 0, 1), (0, 1, 2), (0, 3, 1), (0, 4, 1), (0, 5, 1)], (0, 1, 3), out_of_order(0, 1, 6)),
        (
            &[(0, 0, 1), (0, 1, 1), (0, 2, 1), (0, 3, 1), (0, 4, 1), (0, 5, 1)],
            (0, 0, 1),
            out_of_order(0, 0, 6),
        ),
        (&[(0, 0, 1), (0, 1, 1), (0, 2, 1), (0, 3, 1), (0, 4, 1), (0, 5, 1)], (0, 1, 1), duplicate(1, 1)),
        // The wrap: behind the largest comes 0, in the middle of a batch or between two.
        (&[(0, MAX - 1, 2)], (0, 0, 1), APPEND),
        (&[(0, MAX - 1, 2)], (0, 1, 1), out_of_order(0, 1, 0)),
        (&[(0, MAX - 1, 2)], (0, MAX - 1, 2), duplicate(0, 1)),
        (&[(0, MAX - 1, 4)], (0, 2, 1), APPEND),
        (&[(0, MAX - 1, 4)], (0, 0, 1), out_of_order(0, 0, 2)),
        (&[(0, MAX - 1, 4)], (0, MAX - 1, 4), duplicate(0, 3)),
        (&[(0, MAX, 1)], (0, 0, 1), APPEND),
        (&[(0, MAX - 1, 1)], (0, MAX, 3), APPEND),
        // A new epoch begins at 0 and knows no earlier batches.
        (&[(0, 0, 3)], (1, 0, 3), APPEND),
        (&[(0, 0, 3)], (1, 3, 1), out_of_order(1, 3, 0)),
        (&[(0, 0, 3)], (9, 1, 1), out_of_order(9, 1, 0)),
        (&[(0, 0, 3), (1, 0, 1)], (1, 0, 3), out_of_order(1, 0, 1)),
        (&[(0, 0, 3), (1, 0, 1)], (1, 0, 1), duplicate(3, 3)),
        // An old one has nothing to say, not even what it said before.
        (&[(1, 0, 3)], (0, 3, 1), stale(0, 1)),
        (&[(0, 0, 3), (1, 0, 1)], (0, 0, 3), stale(0, 1)),
        (&[(i16::MAX, 0, 1)], (0, 0, 1), stale(0, i16::MAX)),
    ];
    for (before, (epoch, sequence, records), expected) in cases {
        let log = log_of(before);
        let found = log.check(data(1, *epoch, *sequence, *records));
        assert_eq!(found, *expected, "{before:?} then {:?}", (epoch, sequence, records));
        assert_eq!(log.check(data(2, *epoch, *sequence, *records)), APPEND, "another producer");
    }
}

#[test]
fn a_duplicate_has_the_timestamp_of_the_append() {
    let mut log = Log::default();
    log.append(BatchHeader { max_timestamp: 77, ..data(1, 0, 0, 2) });
    let again = log.check(BatchHeader { max_timestamp: 99, ..data(1, 0, 0, 2) });
    assert_eq!(again, Ok(Checked::Duplicate { base_offset: 0, last_offset: 1, timestamp: 77 }));
}

#[test]
fn only_clients_have_sequences_and_only_replication_passes_stale_epochs() {
    let log = log_of(&[(3, 0, 3)]);
    let cases = [
        (Origin::Client, data(1, 3, 7, 1), out_of_order(3, 7, 3)),
        (Origin::Coordinator, data(1, 3, 7, 1), APPEND),
        (Origin::Coordinator, data(1, 3, 0, 3), APPEND),
        (Origin::Coordinator, data(1, 2, 3, 1), stale(2, 3)),
        (Origin::Replication, data(1, 3, 0, 3), APPEND),
        (Origin::Replication, data(1, 2, 9, 1), APPEND),
    ];
    for (origin, header, expected) in cases {
        assert_eq!(log.producers.check(&header, None, origin), expected, "{origin:?} {header:?}");
    }
}

#[test]
fn without_a_producer_id_nothing_is_checked_or_kept() {
    let mut log = Log::default();
    log.append(data(-1, -1, -1, 5));
    assert_eq!(log.check(data(-1, -1, -1, 5)), APPEND);
    assert!(log.producers.is_empty());
}

#[test]
fn markers_check_both_epochs() {
    let mut log = Log::default();
    log.append(transactional(1, 3, 0, 1));
    log.producers.apply(&control(1, 3), Some(&marker(true, 5)), 1);
    let fenced = |coordinator_epoch| {
        Err(ProducerError::CoordinatorFenced { producer_id: 1, coordinator_epoch, current: 5 })
    };
    let cases = [
        (Origin::Coordinator, 3, 5, APPEND),
        (Origin::Coordinator, 4, 6, APPEND),
        (Origin::Coordinator, 2, 6, stale(2, 3)),
        (Origin::Coordinator, 3, 4, fenced(4)),
        (Origin::Coordinator, 2, 4, stale(2, 3)),
        (Origin::Replication, 2, 4, APPEND),
    ];
    for (origin, epoch, coordinator_epoch, expected) in cases {
        let found = log.producers.check(&control(1, epoch), Some(&marker(false, coordinator_epoch)), origin);
        assert_eq!(found, expected, "{origin:?} {epoch} {coordinator_epoch}");
    }
    // A marker for an unknown producer makes it known.
    assert_eq!(log.producers.check(&control(9, 2), Some(&marker(false, 0)), Origin::Coordinator), APPEND);
    assert_eq!(log.producers.apply(&control(9, 2), Some(&marker(false, 0)), 2), None);
    assert_eq!(log.producers.get(9).map(ProducerState::epoch), Some(2));
    assert_eq!(log.check(data(9, 2, 0, 1)), APPEND);
    assert!(log.check(data(9, 2, 1, 1)).is_err(), "its epoch is known, so it must begin at 0");
    // A batch whose marker was compacted away says nothing.
    assert_eq!(log.producers.apply(&control(10, 2), None, 3), None);
    assert_eq!(log.producers.get(10), None);
}

#[test]
fn a_marker_keeps_the_sequences_of_its_epoch_and_ends_those_of_another() {
    for (marker_epoch, next, first) in [(3, APPEND, out_of_order(3, 0, 2)), (4, stale(3, 4), stale(3, 4))] {
        let mut log = Log::default();
        log.append(transactional(1, 3, 0, 2));
        assert_eq!(log.end_transaction(1, marker_epoch, true), None);
        assert_eq!(log.check(transactional(1, 3, 2, 1)), next, "{marker_epoch}");
        assert_eq!(log.check(transactional(1, 3, 0, 1)), first, "{marker_epoch}");
        let expected = if marker_epoch == 4 { APPEND } else { out_of_order(4, 2, 0) };
        let sequence = if marker_epoch == 4 { 0 } else { 2 };
        assert_eq!(log.check(transactional(1, 4, sequence, 1)), expected, "{marker_epoch}");
    }
}

#[test]
fn outside_an_open_transaction_nothing_may_be_written() {
    let mut log = Log::default();
    log.append(transactional(1, 0, 0, 1));
    let refused = Err(ProducerError::InvalidTransactionState { producer_id: 1, open: true });
    for origin in [Origin::Client, Origin::Coordinator, Origin::Replication] {
        assert_eq!(log.producers.check(&data(1, 0, 1, 1), None, origin), refused, "{origin:?}");
    }
    assert_eq!(log.check(transactional(1, 0, 1, 1)), APPEND);
    assert_eq!(log.check(data(2, 0, 0, 1)), APPEND);
    log.end_transaction(1, 0, false);
    assert_eq!(log.check(data(1, 0, 1, 1)), APPEND);
}

#[test]
fn the_last_stable_offset_waits_for_the_oldest_transaction_and_its_replication() {
    let mut log = Log::default();
    log.append(data(9, 0, 0, 5));
    assert_eq!(log.producers.last_stable_offset(5), 5);
    log.append(transactional(1, 0, 0, 2)); // 5, 6
    log.append(transactional(2, 0, 0, 3)); // 7 to 9
    log.append(transactional(1, 0, 2, 1)); // 10
    assert_eq!(log.producers.last_stable_offset(11), 5);
    assert_eq!(log.producers.last_stable_offset(4), 4, "never above the high watermark");
    assert_eq!(log.producers.first_open_offset(), Some(5));
    assert!(log.producers.has_open_transaction(1, 0));
    assert!(!log.producers.has_open_transaction(1, 1));

    assert_eq!(log.end_transaction(1, 0, true), None); // 11
    assert_eq!(log.producers.first_open_offset(), Some(7));
    // Its marker, at 11, is not replicated before the high watermark is 12.
    for (high_watermark, stable) in [(10, 5), (11, 5), (12, 7)] {
        assert_eq!(log.producers.last_stable_offset(high_watermark), stable, "{high_watermark}");
    }
    log.producers.forget_ended_before(11);
    assert_eq!(log.producers.first_unstable_offset(11), Some(5));
    log.producers.forget_ended_before(12);
    assert_eq!(log.producers.first_unstable_offset(12), Some(7));
    log.end_transaction(2, 0, true); // 12
    log.producers.forget_ended_before(13);
    assert_eq!(log.producers.first_unstable_offset(13), None);
    assert_eq!(log.producers.last_stable_offset(13), 13);
}

#[test]
fn an_abort_tells_the_index_where_the_next_open_transaction_starts() {
    let mut log = Log::default();
    log.append(transactional(1, 0, 0, 3)); // 0 to 2
    log.append(transactional(2, 0, 0, 2)); // 3, 4
    let expected =
        AbortedTransaction { producer_id: 1, first_offset: 0, last_offset: 5, last_stable_offset: 3 };
    assert_eq!(log.end_transaction(1, 1, false), Some(expected)); // 5
    let expected =
        AbortedTransaction { producer_id: 2, first_offset: 3, last_offset: 6, last_stable_offset: 7 };
    assert_eq!(log.end_transaction(2, 0, false), Some(expected)); // 6
    // Nothing of the transaction is in this partition.
    assert_eq!(log.end_transaction(2, 0, false), None);
    assert_eq!(log.end_transaction(3, 0, false), None);
}

#[test]
fn the_oldest_transaction_is_dated_by_its_last_batch() {
    let mut log = Log::default();
    assert_eq!(log.producers.oldest_transaction_timestamp(), None);
    log.append(BatchHeader { max_timestamp: 10, ..transactional(1, 0, 0, 1) });
    log.append(BatchHeader { max_timestamp: 20, ..transactional(2, 0, 0, 1) });
    log.append(BatchHeader { max_timestamp: 30, ..transactional(1, 0, 1, 1) });
    assert_eq!(log.producers.oldest_transaction_timestamp(), Some(30));
    log.end_transaction(1, 0, true);
    assert_eq!(log.producers.oldest_transaction_timestamp(), Some(20));
}

#[test]
fn idle_producers_expire_by_the_time_of_their_records_unless_in_a_transaction() {
    let mut log = Log::default();
    log.append(data(1, 0, 0, 1));
    log.append(BatchHeader { max_timestamp: NOW + 1, ..data(2, 0, 0, 1) });
    log.append(BatchHeader { max_timestamp: -1, ..data(3, 0, 0, 1) });
    log.append(BatchHeader { max_timestamp: 0, ..transactional(4, 0, 0, 1) });
    log.append(BatchHeader { max_timestamp: i64::MIN, ..data(5, 0, 0, 1) });
    log.append(BatchHeader { max_timestamp: i64::MAX, ..data(6, 0, 0, 1) });
    let snapshot = log.producers.snapshot();
    let cases: [(i64, &[i64]); 4] = [
        (NOW, &[1, 2, 4, 6]),
        (NOW + DAY - 1, &[1, 2, 4, 6]),
        (NOW + DAY, &[2, 4, 6]),
        (NOW + DAY + 1, &[4, 6]),
    ];
    for (now, expected) in cases {
        log.producers.restore(&snapshot, 0, i64::MAX).unwrap();
        let left = |producers: &Producers| {
            let mut ids: Vec<_> = producers.iter().map(|(id, _)| id).collect();
            ids.sort_unstable();
            ids
        };
        assert_eq!(left(&log.producers), [1, 2, 3, 4, 6], "one is older than time itself");
        log.producers.remove_expired(now, DAY);
        assert_eq!(left(&log.producers), expected, "{now}");
        let mut restored = Producers::new();
        restored.restore(&snapshot, now, DAY).unwrap();
        assert_eq!(left(&restored), expected, "{now}");
        assert_eq!(restored.first_open_offset(), Some(3));
    }
}

#[test]
fn verification_admits_the_first_batch_of_a_transaction_once() {
    let mut log = Log::default();
    let refused = Err(ProducerError::InvalidTransactionState { producer_id: 1, open: false });
    let first = transactional(1, 0, 0, 1);
    let check = |log: &Log, header: &BatchHeader, guard| {
        log.producers.check_verified(header, None, Origin::Client, guard)
    };
    assert_eq!(check(&log, &first, None), refused);
    assert_eq!(
        check(&log, &data(1, 0, 0, 1), None),
        APPEND,
        "outside transactions there is nothing to verify"
    );
    let guard = log.producers.begin_verification(1, 0, 0, false, NOW).unwrap();
    assert_eq!(check(&log, &first, None), refused);
    assert_eq!(check(&log, &first, guard), APPEND);
    assert_eq!(log.producers.begin_verification(1, 0, 5, false, NOW), Ok(guard), "one question at a time");

    // The transaction is aborted before the answer comes.
    log.end_transaction(1, 0, false);
    assert_eq!(check(&log, &first, guard), refused);
    let second = log.producers.begin_verification(1, 0, 0, false, NOW).unwrap();
    assert_ne!(second, guard);
    assert_eq!(check(&log, &first, guard), refused);
    assert_eq!(check(&log, &first, second), APPEND);
    log.append(first);
    assert_eq!(log.producers.begin_verification(1, 0, 1, false, NOW), Ok(None), "it is open");
    assert_eq!(check(&log, &transactional(1, 0, 1, 1), None), APPEND);
    assert_eq!(check(&log, &first, None), duplicate(1, 1));
    assert_eq!(log.producers.check_verified(&transactional(1, 1, 0, 1), None, Origin::Client, None), refused);
    log.end_transaction(1, 0, true);
    assert_eq!(check(&log, &transactional(1, 0, 1, 1), second), refused);
    assert_eq!(log.producers.begin_verification(1, -1, 0, false, NOW), Err(stale(-1, 0).unwrap_err()));
}

#[test]
fn a_verification_survives_only_the_marker_of_the_transaction_before() {
    // With an epoch for each transaction, the marker has the epoch in which the next one will write.
    for (epoch_bump, kept) in [(true, true), (false, false)] {
        let mut log = Log::default();
        log.append(transactional(1, 0, 0, 1));
        let guard = log.producers.begin_verification(1, 1, 0, epoch_bump, NOW).unwrap();
        log.end_transaction(1, 1, true);
        let header = transactional(1, 1, 0, 1);
        let found = log.producers.check_verified(&header, None, Origin::Client, guard);
        assert_eq!(found.is_ok(), kept, "{epoch_bump}");
    }
    let mut log = Log::default();
    let guard = log.producers.begin_verification(1, 0, 0, true, NOW).unwrap();
    log.producers.remove_expired(NOW + DAY - 1, DAY);
    assert_eq!(log.producers.begin_verification(1, 0, 0, true, NOW + DAY), Ok(guard));
    log.producers.remove_expired(NOW + DAY, DAY);
    assert_ne!(log.producers.begin_verification(1, 0, 0, true, NOW + DAY), Ok(guard));
}

#[test]
fn a_pending_verification_holds_back_later_sequences() {
    let mut log = Log::default();
    log.producers.begin_verification(1, 0, 7, false, NOW).unwrap();
    assert_eq!(log.check(transactional(1, 0, 8, 1)), out_of_order(0, 8, 7));
    assert_eq!(log.check(transactional(1, 0, 7, 1)), APPEND);
    log.producers.begin_verification(1, 0, 3, false, NOW).unwrap();
    assert_eq!(log.check(transactional(1, 0, 7, 1)), out_of_order(0, 7, 3));
    log.producers.begin_verification(1, 1, 9, false, NOW).unwrap();
    assert_eq!(log.check(transactional(1, 1, 9, 1)), APPEND);

    // With an epoch for each transaction, an unknown producer cannot be one whose state expired.
    let mut log = Log::default();
    log.producers.begin_verification(1, 0, 7, true, NOW).unwrap();
    assert_eq!(log.check(transactional(1, 0, 7, 1)), out_of_order(0, 7, 0));
    assert_eq!(log.check(transactional(1, 0, 0, 1)), APPEND);
}

#[test]
fn a_snapshot_has_kafkas_bytes() {
    let empty = hex("0001 48674bc7 00000000");
    assert_eq!(Producers::new().snapshot(), empty);
    let stored = hex(
        "0001 369e8ba4 00000002
         0000000000000008 0000 00000006 0000000000000006 00000006 0000018bcfe56806 ffffffff 0000000000000000
         0000000000000009 0000 00000004 000000000000000b 00000004 0000018bcfe56868 ffffffff ffffffffffffffff",
    );
    let mut log = Log::default();
    log.append(BatchHeader { max_timestamp: 0x18b_cfe5_6806, ..transactional(8, 0, 0, 7) });
    log.append(BatchHeader { max_timestamp: 0x18b_cfe5_6868, ..data(9, 0, 0, 5) });
    assert_eq!(log.producers.snapshot(), stored);

    let mut restored = Producers::new();
    restored.restore(&stored, 0x18b_cfe5_6868, DAY).unwrap();
    assert_eq!(restored.get(8), log.producers.get(8));
    assert_eq!(restored.get(9), log.producers.get(9));
    assert_eq!(restored.first_open_offset(), Some(0));
    assert_eq!(restored.snapshot(), stored);
}

#[test]
fn after_a_restart_only_the_last_batch_is_a_duplicate() {
    let mut log = log_of(&[(0, 0, 3), (0, 3, 2)]);
    let snapshot = log.producers.snapshot();
    log.producers.restore(&snapshot, NOW, DAY).unwrap();
    assert_eq!(log.check(data(1, 0, 3, 2)), duplicate(3, 4));
    assert_eq!(log.check(data(1, 0, 0, 3)), out_of_order(0, 0, 5));
    assert_eq!(log.check(data(1, 0, 5, 1)), APPEND);
    // A producer of which only a marker was seen has no batch.
    let mut log = Log::default();
    log.end_transaction(1, 4, true);
    let snapshot = log.producers.snapshot();
    assert_eq!(snapshot[20..24], [0xff; 4], "last sequence");
    log.producers.restore(&snapshot, NOW, DAY).unwrap();
    assert_eq!(log.producers.get(1).map(|state| state.batches().as_slice()), Some(&[][..]));
    assert_eq!(log.check(data(1, 4, 0, 1)), APPEND);
}

#[test]
fn a_corrupt_snapshot_changes_nothing() {
    let mut log = log_of(&[(0, 0, 3)]);
    let snapshot = log.producers.snapshot();
    for at in 0..snapshot.len() {
        let mut corrupt = snapshot.clone();
        corrupt[at] ^= 1;
        assert!(log.producers.restore(&corrupt, NOW, DAY).is_err(), "byte {at}");
        assert!(log.producers.restore(&snapshot[..at], NOW, DAY).is_err(), "{at} bytes");
    }
    assert_eq!(log.check(data(1, 0, 3, 1)), APPEND);
    assert_eq!(log.producers.len(), 1);
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks_exact(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}
