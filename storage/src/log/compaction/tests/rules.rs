//! One rule after the other; what Kafka does was read in `LogCleanerTest` and `LogCleanerManagerTest`.

use super::{
    MEMORY, NOW, append, batches, clean_at, compacted, lines, lines_of, names_with, open, open_on, packed,
    plain, put, roll, short, texts,
};
use crate::config::LogConfig;
use crate::error::Error;
use crate::file::{Disk, Op};
use crate::file_name::SegmentFileKind;
use crate::index::aborted;
use crate::log::compaction::CleanerMemory;
use crate::log::{Bound, Log};
use crate::producers::Origin;
use milena_protocol::records::{
    BatchBuilder, BatchHeader, Codec, EndTransactionMarker, HEADER_LEN, compute_crc, end_transaction_batch,
};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Keys and values of some batches.
type Batches = &'static [&'static [(&'static str, &'static str)]];

#[test]
fn of_each_key_the_last_record_stays_where_it_is() {
    // batches before the roll, what stays
    let cases: [(Batches, &[&str]); 8] = [
        (&[&[("a", "1")], &[("b", "2")], &[("a", "3")]], &["1:b=2", "2:a=3"]),
        (&[&[("a", "1"), ("a", "2"), ("b", "3"), ("a", "4")]], &["2:b=3", "3:a=4"]),
        (&[&[("a", "1"), ("-", "2")], &[("-", "3"), ("b", "4")]], &["0:a=1", "3:b=4"]),
        (&[&[("-", "1")], &[("-", "2")]], &[]),
        (&[&[("", "1")], &[("", "2"), ("a", "")]], &["1:=2", "2:a="]),
        (&[&[("a", "1")], &[("a", "-")]], &["1:a=-"]),
        (&[&[("a", "-")], &[("a", "1")]], &["1:a=1"]),
        (&[&[("a", "1")], &[("b", "1")], &[("c", "1")]], &["0:a=1", "1:b=1", "2:c=1"]),
    ];
    for codec in Codec::ALL {
        for (at, (records, expected)) in cases.iter().enumerate() {
            let dir = tempfile::tempdir().unwrap();
            let log = open(dir.path(), &compacted());
            records.iter().for_each(|batch| _ = put(&log, packed(codec), batch));
            roll(&log);
            let end = log.end_offset();
            let (work, cleaned) = clean_at(&log, NOW).unwrap();
            assert_eq!((work.first_dirty, work.first_uncleanable, work.ratio()), (0, end, 1.0));
            assert_eq!((cleaned.from, cleaned.upto), (0, end));
            assert_eq!(cleaned.records_after, expected.len() as u64);
            assert_eq!(short(&log), *expected, "{codec:?} case {at}");
            assert_eq!(log.end_offset(), end);
            assert!(
                batches(&log, 1)
                    .iter()
                    .all(|(h, _)| h.attributes.codec() == Ok(codec) || h.record_count == 0)
            );
            drop(log);
            let log = open_on(&Disk::new(dir.path()), dir.path(), &compacted(), false).unwrap();
            assert_eq!(
                (short(&log), log.end_offset()),
                (expected.iter().map(|s| (*s).to_owned()).collect(), end)
            );
        }
    }
}

#[test]
fn a_log_that_is_clean_has_nothing_dirty_until_it_grows() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), &compacted());
    assert!(clean_at(&log, NOW).is_none(), "an empty log has nothing to clean");
    for value in ["1", "2", "3"] {
        put(&log, plain(), &[("a", value), (value, value)]);
    }
    assert!(clean_at(&log, NOW).is_none(), "nor has an active segment");
    roll(&log);
    clean_at(&log, NOW).unwrap();
    assert_eq!(log.cleaned_up_to(), Some(6));
    let work = log.cleanable(NOW).unwrap().unwrap();
    assert_eq!((work.first_dirty, work.cleanable_bytes, work.ratio()), (6, 0, 0.0));
    put(&log, plain(), &[("a", "4")]);
    roll(&log);
    let work = log.cleanable(NOW).unwrap().unwrap();
    assert_eq!((work.first_dirty, work.first_uncleanable), (6, 7));
    assert!(work.clean_bytes > work.cleanable_bytes && work.cleanable_bytes > 0);
    clean_at(&log, NOW).unwrap();
    assert_eq!(short(&log), ["1:1=1", "3:2=2", "5:3=3", "6:a=4"]);
    assert_eq!(log.segments().len(), 2, "small segments become one");
    // offset in the checkpoint, the first dirty one
    for (stored, expected) in [(3, 3), (7, 7), (8, 0), (i64::MAX, 0)] {
        log.set_cleaned_up_to(stored);
        assert_eq!(log.cleanable(NOW).unwrap().unwrap().first_dirty, expected, "{stored}");
        assert_eq!(log.cleaned_up_to(), Some(expected), "{stored}");
    }
}

#[test]
fn tombstones_go_in_two_steps() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), &compacted());
    put(&log, plain(), &[("a", "1"), ("b", "1")]);
    put(&log, packed(Codec::Zstd), &[("a", "-"), ("c", "1")]);
    put(&log, plain(), &[("x", "1")]);
    roll(&log);
    // time, what stays, the horizon of the tombstone's batch
    let cases = [
        (NOW, ["1:b=1", "2:a=-", "3:c=1", "4:x=1"].as_slice(), Some(NOW + 1000)),
        (NOW + 999, &["1:b=1", "2:a=-", "3:c=1", "4:x=1"], Some(NOW + 1000)),
        (NOW + 1000, &["1:b=1", "3:c=1", "4:x=1"], Some(NOW + 1000)),
    ];
    for (now_ms, expected, horizon) in cases {
        log.set_cleaned_up_to(0);
        clean_at(&log, now_ms).unwrap();
        assert_eq!(short(&log), expected, "{now_ms}");
        let times: Vec<_> = lines(&log).iter().map(|line| line.1).collect();
        let all = [501, 500, 501, 500];
        assert_eq!(times, if expected.len() == 4 { &all[..] } else { &[501, 501, 500] }, "timestamps stay");
        let (header, _) = batches(&log, 1).into_iter().find(|(h, _)| h.base_offset == 2).unwrap();
        let found = header.attributes.has_delete_horizon().then_some(header.base_timestamp);
        assert_eq!((found, header.max_timestamp), (horizon, 501), "{now_ms}");
    }
    assert_eq!(log.offset_for_timestamp(501).unwrap().unwrap().offset, 1);
}

#[test]
fn a_tombstone_stays_while_its_horizon_is_unknown_to_the_clean_part() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), &LogConfig { delete_retention_ms: 0, ..compacted() });
    put(&log, plain(), &[("a", "-")]);
    put(&log, plain(), &[("x", "1")]);
    roll(&log);
    clean_at(&log, NOW).unwrap();
    assert_eq!(short(&log), ["0:a=-", "1:x=1"], "it is seen at least once");
    put(&log, plain(), &[("y", "1")]);
    roll(&log);
    clean_at(&log, NOW).unwrap();
    assert_eq!(short(&log), ["1:x=1", "2:y=1"]);
}

#[test]
fn log_append_time_holds_for_what_stays() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), &compacted());
    put(&log, plain().log_append_time(900), &[("a", "1"), ("b", "-"), ("c", "1")]);
    put(&log, plain().log_append_time(950), &[("a", "2"), ("c", "2")]);
    roll(&log);
    clean_at(&log, NOW).unwrap();
    let times: Vec<_> = lines(&log).iter().map(|line| (line.0, line.1)).collect();
    assert_eq!(times, [(1, 900), (3, 950), (4, 950)]);
}

/// A batch in a transaction of producer 7 or 8.
fn transactional(producer: i64, epoch: i16, sequence: i32) -> BatchBuilder {
    plain().producer(producer, epoch, sequence).transactional(true)
}

fn end_transaction(log: &Log, producer: i64, epoch: i16, commit: bool) -> i64 {
    let marker = EndTransactionMarker { commit, coordinator_epoch: 0 };
    append(log, &end_transaction_batch(0, 3, 600, producer, epoch, marker), Origin::Coordinator)
}

/// Base offset, whether control, records, horizon.
fn shape(log: &Log) -> Vec<(i64, bool, i32, Option<i64>)> {
    let of = |header: &BatchHeader| {
        let horizon = header.attributes.has_delete_horizon().then_some(header.base_timestamp);
        (header.base_offset, header.attributes.is_control(), header.record_count, horizon)
    };
    batches(log, 1).iter().map(|(header, _)| of(header)).collect()
}

#[test]
fn aborted_records_go_at_once_and_their_marker_after_them() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), &compacted());
    put(&log, plain(), &[("a", "0")]);
    put(&log, transactional(7, 0, 0), &[("a", "1")]);
    put(&log, transactional(8, 0, 0), &[("b", "1")]);
    end_transaction(&log, 7, 0, false);
    end_transaction(&log, 8, 0, true);
    // Later batches of both, so that the ones above need not stay for the producers' sake.
    put(&log, transactional(7, 0, 1), &[("c", "1")]);
    put(&log, transactional(8, 0, 1), &[("b", "2")]);
    end_transaction(&log, 7, 0, true);
    end_transaction(&log, 8, 0, true);
    put(&log, plain(), &[("z", "1")]);
    roll(&log);
    let entries = |log: &Log| {
        let path = log.segments()[0].path(SegmentFileKind::TransactionIndex);
        std::fs::read(path).map_or(0, |bytes| aborted::all(bytes.as_slice()).unwrap().len())
    };
    assert_eq!(entries(&log), 1);
    let horizon = Some(NOW + 1000);
    clean_at(&log, NOW).unwrap();
    assert_eq!(short(&log), ["0:a=0", "5:c=1", "6:b=2", "9:z=1"]);
    let first = [(0, false, 1, None), (3, true, 1, None), (4, true, 1, None), (5, false, 1, None)];
    assert_eq!(shape(&log)[..4], first, "both markers: batches of theirs were met");
    assert_eq!(entries(&log), 1, "the aborted transaction is known as long as a batch of it was met");
    log.set_cleaned_up_to(0);
    clean_at(&log, NOW).unwrap();
    let second = [(0, false, 1, None), (3, true, 1, horizon), (4, true, 1, horizon), (5, false, 1, None)];
    assert_eq!(shape(&log)[..4], second, "nothing is left of either: the horizon is set");
    assert_eq!(entries(&log), 0);
    log.set_cleaned_up_to(0);
    clean_at(&log, NOW + 1000).unwrap();
    let third: Vec<_> = shape(&log).iter().map(|batch| batch.0).collect();
    assert_eq!(third, [0, 5, 6, 7, 8, 9]);
    assert_eq!(log.read(0, 1000, true, Bound::Stable).unwrap().aborted, []);
}

#[test]
fn nothing_behind_the_last_stable_offset_is_touched() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), &compacted());
    put(&log, plain(), &[("a", "0")]);
    put(&log, plain(), &[("a", "1")]);
    roll(&log);
    put(&log, transactional(7, 0, 0), &[("a", "2")]);
    roll(&log);
    put(&log, plain(), &[("a", "3")]);
    roll(&log);
    let (work, _) = clean_at(&log, NOW).unwrap();
    assert_eq!(work.first_uncleanable, 2);
    assert_eq!(short(&log), ["1:a=1", "2:a=2", "3:a=3"]);
    end_transaction(&log, 7, 0, true);
    roll(&log);
    clean_at(&log, NOW).unwrap();
    assert_eq!(short(&log), ["3:a=3"]);
}

#[test]
fn an_aborted_transaction_across_segments_leaves_nothing_and_stays_known() {
    let dir = tempfile::tempdir().unwrap();
    // Groups of one segment: the marker is cleaned into another file than its records.
    let log = open(dir.path(), &LogConfig { segment_bytes: 200, ..compacted() });
    put(&log, plain(), &[("a", "0")]);
    put(&log, transactional(7, 0, 0), &[("a", "1")]);
    roll(&log);
    put(&log, transactional(7, 0, 1), &[("b", "1")]);
    put(&log, plain(), &[("c", "1")]);
    roll(&log);
    end_transaction(&log, 7, 0, false);
    put(&log, plain(), &[("z", "1")]);
    roll(&log);
    clean_at(&log, NOW).unwrap();
    assert_eq!(short(&log), ["0:a=0", "3:c=1", "5:z=1"]);
    assert!(log.segments().len() > 2, "the test must have several groups");
    let known = |log: &Log| log.read(0, 10, true, Bound::Stable).unwrap().aborted.len();
    assert_eq!(known(&log), 1);
}

#[test]
fn an_active_producer_keeps_its_sequence_and_its_epoch() {
    // The record of the producer is superseded, its batch is not forgotten.
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), &compacted());
    put(&log, plain().producer(5, 2, 0), &[("a", "1")]);
    put(&log, plain().producer(5, 2, 1), &[("a", "2"), ("a", "3")]);
    put(&log, transactional(7, 1, 0), &[("b", "1")]);
    end_transaction(&log, 7, 2, false);
    put(&log, plain(), &[("a", "4"), ("b", "2")]);
    put(&log, plain(), &[("z", "1")]);
    roll(&log);
    for _ in 0..2 {
        log.set_cleaned_up_to(0);
        clean_at(&log, NOW + 5000).unwrap();
    }
    let kept = shape(&log);
    assert_eq!(kept[0], (1, false, 0, None), "the last batch of 5, empty");
    assert_eq!((kept[1].0, kept[1].1), (4, true), "the marker is the last word on the epoch of 7");
    let (header, bytes) = &batches(&log, 1)[0];
    assert_eq!(
        (bytes.len(), header.base_sequence, header.last_sequence(), header.max_timestamp),
        (61, 1, 2, 501)
    );
    drop(log);
    for name in names_with(dir.path(), &[".snapshot"]) {
        std::fs::remove_file(dir.path().join(name)).unwrap();
    }
    let log = open_on(&Disk::new(dir.path()), dir.path(), &compacted(), false).unwrap();
    let writer = log.writer.lock();
    assert_eq!(writer.producers.get(5).unwrap().batches().last().unwrap().last_sequence, 2);
    assert_eq!(writer.producers.get(7).unwrap().epoch(), 2);
}

#[test]
fn the_last_batch_of_the_cleaned_range_stays() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), &compacted());
    put(&log, plain(), &[("a", "1"), ("-", "2")]);
    put(&log, plain(), &[("-", "1"), ("-", "2")]);
    roll(&log);
    clean_at(&log, NOW).unwrap();
    assert_eq!(shape(&log), [(0, false, 1, None), (2, false, 0, None)]);
    assert_eq!(log.end_offset(), 4);
    assert_eq!(
        log.read(3, 100, true, Bound::End).unwrap().len,
        61,
        "an offset that is gone is found by its batch"
    );
}

#[test]
fn young_records_wait_and_old_ones_do_not() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), &compacted());
    for time in [1000i64, 2000, 3000] {
        let mut builder = plain();
        builder.append(time, Some(b"a"), Some(b"v"), &[]);
        append(&log, &builder.build().unwrap(), Origin::Client);
        roll(&log);
    }
    // min.compaction.lag.ms, max.compaction.lag.ms, now, first offset left alone, overdue
    let cases = [
        (0, i64::MAX, 0, 3, false),
        (500, i64::MAX, 3500, 3, false),
        (500, i64::MAX, 3499, 2, false),
        (500, i64::MAX, 2000, 1, false),
        (500, i64::MAX, 0, 0, false),
        (0, 500, 1500, 3, false),
        (0, 500, 1501, 3, true),
        (400, 500, 1501, 1, true),
    ];
    for (min, max, now_ms, expected, overdue) in cases {
        let config = LogConfig { min_compaction_lag_ms: min, max_compaction_lag_ms: max, ..compacted() };
        log.set_config(config);
        let work = log.cleanable(now_ms).unwrap();
        let found = work.map_or((0, false), |work| (work.first_uncleanable, work.is_overdue));
        assert_eq!(found, (expected, overdue), "min {min} max {max} now {now_ms}");
    }
}

#[test]
fn a_full_map_ends_the_range_and_the_next_pass_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), &compacted());
    for round in 0..3 {
        for key in 0..20 {
            put(&log, plain(), &[(&format!("k{key}"), &format!("{round}"))]);
        }
    }
    roll(&log);
    let memory = CleanerMemory { map_bytes: 24 * 10, load_factor: 1.0, ..MEMORY };
    let mut rounds = 0;
    while log.cleaned_up_to() != Some(60) {
        let work = log.cleanable(NOW).unwrap().unwrap();
        let cleaned = log.clean(&work, &memory, NOW, &mut |_| true).unwrap();
        assert!(cleaned.keys <= 9 && cleaned.upto > work.first_dirty);
        rounds += 1;
    }
    assert!(rounds >= 5, "{rounds}");
    assert_eq!(short(&log), (0..20).map(|key| format!("{}:k{key}=2", 40 + key)).collect::<Vec<_>>());
    log.set_cleaned_up_to(0);
    let big: Vec<(String, String)> = (0..50).map(|i| (format!("big{i}"), "1".into())).collect();
    let big: Vec<(&str, &str)> = big.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), &compacted());
    put(&log, plain(), &big);
    roll(&log);
    let work = log.cleanable(NOW).unwrap().unwrap();
    let error = log.clean(&work, &memory, NOW, &mut |_| true).unwrap_err();
    assert!(
        matches!(&error, Error::Corrupt { reason, .. } if reason.contains("dedupe.buffer.size")),
        "{error}"
    );
}

#[test]
fn a_segment_with_a_batch_whose_end_is_not_known_stays_and_all_others_are_cleaned() {
    // byte within the batch: of its magic, its length; cleaned up to; what stays of the first segment
    let cases: [(u64, i64, &[&str]); 3] =
        [(16, 0, &["1:b=1"]), (8, 0, &["1:b=1"]), (16, 7, &["0:a=1", "1:b=1", "2:a=2"])];
    for (byte, cleaned_up_to, first_segment) in cases {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path(), &LogConfig { index_interval_bytes: 1, ..compacted() });
        let of = |producer| BatchBuilder::new().producer(producer, 0, 0).transactional(true);
        put(&log, plain(), &[("a", "1"), ("b", "1")]);
        put(&log, plain(), &[("a", "2")]);
        roll(&log);
        let first = log.size();
        put(&log, plain(), &[("a", "3")]);
        let second = log.size() - first;
        put(&log, plain(), &[("b", "2")]);
        put(&log, of(7), &[("c", "aborted")]);
        put(&log, of(8), &[("d", "committed")]);
        roll(&log);
        end_transaction(&log, 7, 0, false);
        end_transaction(&log, 8, 0, true);
        put(&log, plain(), &[("e", "1"), ("e", "2")]);
        roll(&log);
        let path = dir.path().join("00000000000000000003.log");
        flip(&path, second + byte);
        let before = std::fs::read(&path).unwrap();
        let aborted = |log: &Log| log.read(5, 1000, true, Bound::Stable).unwrap().aborted;
        assert_eq!(aborted(&log).len(), 1);
        let known = aborted(&log);
        log.set_cleaned_up_to(cleaned_up_to);
        // The markers are still there when their time has come: nobody knows whose last they are.
        for round in 0..3 {
            let (_, cleaned) = clean_at(&log, NOW + round * 10_000).unwrap();
            assert_eq!((cleaned.damaged, cleaned.upto), (1, 11), "byte {byte}");
            assert_eq!(std::fs::read(&path).unwrap(), before, "byte {byte}");
            let bases: Vec<i64> = log.segments().iter().map(|segment| segment.base_offset).collect();
            assert_eq!(bases, [0, 3, 7, 11], "byte {byte}");
            let bytes = log.read_batches(0, 1000).unwrap();
            let whole = milena_protocol::records::Batches::new(&bytes).map(Result::unwrap);
            let kept: Vec<_> = whole.flat_map(|(header, batch)| lines_of(&header, batch)).collect();
            assert_eq!(texts(&kept), first_segment, "byte {byte}, round {round}");
            assert!(matches!(log.read_batches(4, 1), Err(Error::Corrupt { .. })));
            assert_eq!(log.offset_behind_batch(4).unwrap(), Some(5), "byte {byte}: the index knows it");
            assert_eq!(aborted(&log), known, "byte {byte}, round {round}");
            let bytes = log.read_batches(7, 1000).unwrap();
            let behind: Vec<_> = milena_protocol::records::Batches::new(&bytes)
                .map(|batch| batch.unwrap().0)
                .map(|header| (header.base_offset, header.attributes.is_control(), header.record_count))
                .collect();
            assert_eq!(behind, [(7, true, 1), (8, true, 1), (9, false, 1)], "byte {byte}, round {round}");
            assert_eq!(names_with(dir.path(), &[".cleaned", ".swap"]), [""; 0]);
        }
    }
}

/// What is sound and cannot be unpacked says nothing of its keys.
#[test]
fn a_batch_that_cannot_be_unpacked_stays_and_all_others_are_cleaned() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), &compacted());
    put(&log, plain(), &[("a", "1")]);
    put(&log, plain(), &[("b", "1")]);
    let mut batch = packed(Codec::Gzip);
    batch.append(500, Some(b"b"), Some(b"2"), &[]);
    let mut bytes = batch.build().unwrap();
    bytes[HEADER_LEN] ^= 1;
    let mut header = BatchHeader::read(&bytes).unwrap();
    header.crc = compute_crc(&header, &bytes[HEADER_LEN..]);
    bytes[..HEADER_LEN].copy_from_slice(&header.to_bytes());
    append(&log, &bytes, Origin::Client);
    put(&log, plain(), &[("a", "2")]);
    roll(&log);
    for _ in 0..2 {
        let (_, cleaned) = clean_at(&log, NOW).unwrap();
        assert_eq!((cleaned.damaged, cleaned.upto), (1, 4));
        assert_eq!(first(&log, 0), "1:b=1");
        assert_eq!(log.read_batches(2, 1).unwrap()[HEADER_LEN..], bytes[HEADER_LEN..]);
        assert_eq!(first(&log, 3), "3:a=2");
        log.set_cleaned_up_to(0);
    }
}

/// The first record of the batch at an offset: `offset:key=value`.
fn first(log: &Log, offset: i64) -> String {
    let bytes = log.read_batches(offset, 1).unwrap();
    let (header, batch) = milena_protocol::records::Batches::new(&bytes).next().unwrap().unwrap();
    let (offset, _, key, value) = lines_of(&header, batch).remove(0);
    let text = |bytes: Option<Vec<u8>>| String::from_utf8(bytes.unwrap()).unwrap();
    format!("{offset}:{}={}", text(key), text(value))
}

/// Flips bits of a byte of the log file that begins at offset 0.
fn damage(dir: &Path, at: u64) {
    flip(&dir.join("00000000000000000000.log"), at);
}

fn flip(path: &Path, at: u64) {
    let file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut old = [0];
    file.read_exact_at(&mut old, at).unwrap();
    file.write_all_at(&[old[0] ^ 0x41], at).unwrap();
}

#[test]
fn a_damaged_batch_stays_as_it_is_and_all_others_are_cleaned() {
    // byte within the third batch: CRC, attributes, last offset delta, producer id, record
    for byte in [17u64, 22, 26, 50, 65] {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path(), &compacted());
        put(&log, plain(), &[("a", "1")]);
        put(&log, plain(), &[("b", "1")]);
        let third = log.size();
        put(&log, plain(), &[("b", "2"), ("c", "1")]);
        put(&log, plain(), &[("a", "2")]);
        roll(&log);
        log.close().unwrap();
        drop(log);
        damage(dir.path(), third + byte);
        let bytes = std::fs::read(dir.path().join("00000000000000000000.log")).unwrap();
        let damaged = &bytes[third as usize..];
        let length = 12 + u32::from_be_bytes(damaged[8..12].try_into().unwrap()) as usize;
        let log = open(dir.path(), &compacted());
        for round in 0..2 {
            let (_, cleaned) = clean_at(&log, NOW).unwrap();
            assert_eq!((cleaned.damaged, cleaned.upto), (1, 5), "byte {byte}");
            // What the batch said of `b` is not known: the older record stays.
            assert_eq!(first(&log, 0), "1:b=1", "byte {byte}, round {round}");
            let served = log.read_batches(2, 1);
            assert!(matches!(served, Err(Error::Corrupt { .. })), "byte {byte}, round {round}");
            assert_eq!(first(&log, 4), "4:a=2", "byte {byte}, round {round}");
            assert_eq!(log.offset_behind_batch(2).unwrap(), Some(4), "byte {byte}, round {round}");
            let now = std::fs::read(dir.path().join("00000000000000000000.log")).unwrap();
            assert!(now.windows(length).any(|window| window == &damaged[..length]), "byte {byte}");
            log.set_cleaned_up_to(0);
        }
    }
}

/// An aborted transaction ends where the index says, should its marker be damaged: what its producer writes later stays.
#[test]
fn a_damaged_marker_takes_no_other_transaction_along() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), &compacted());
    let transactional = |sequence| BatchBuilder::new().producer(7, 0, sequence).transactional(true);
    put(&log, transactional(0), &[("a", "aborted")]);
    let marker = log.size();
    end_transaction(&log, 7, 0, false);
    put(&log, transactional(1), &[("b", "committed")]);
    end_transaction(&log, 7, 0, true);
    put(&log, plain(), &[("c", "1")]);
    roll(&log);
    damage(dir.path(), marker + 17);
    let (_, cleaned) = clean_at(&log, NOW).unwrap();
    assert_eq!(cleaned.damaged, 1);
    assert_eq!(first(&log, 2), "2:b=committed");
}

#[test]
fn a_pass_can_be_ended_and_ends_with_its_log() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), &compacted());
    put(&log, plain(), &[("a", "1")]);
    put(&log, plain(), &[("a", "2")]);
    roll(&log);
    let work = log.cleanable(NOW).unwrap().unwrap();
    let watched = |log: &Log, watch: &mut dyn FnMut(u64) -> bool| log.clean(&work, &MEMORY, NOW, watch);
    assert!(matches!(watched(&log, &mut |_| false), Err(Error::Closed)));
    assert_eq!(short(&log).len(), 2);
    log.close().unwrap();
    assert!(matches!(watched(&log, &mut |_| true), Err(Error::Closed)));
    assert_eq!(names_with(dir.path(), &[".cleaned", ".swap"]), [""; 0]);
}

#[test]
fn a_topic_that_is_not_compacted_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), &LogConfig::default());
    put(&log, plain(), &[("a", "1"), ("a", "2")]);
    roll(&log);
    assert!(clean_at(&log, NOW).is_none());
    log.set_config(compacted());
    assert!(clean_at(&log, NOW).is_some(), "the policy may change at any time");
    assert_eq!(short(&log), ["1:a=2"]);
}

#[test]
fn retention_may_come_between() {
    // While the keys are mapped; while the segments are written that were to go.
    for (call, is_in_time) in [(2, true), (7, false)] {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path(), &LogConfig { delete: true, segment_bytes: 50_000, ..compacted() });
        let large = "v".repeat(20_000);
        for key in ["1", "2", "3", "4"] {
            put(&log, plain(), &[("a", "v"), (key, &large)]);
            roll(&log);
        }
        let work = log.cleanable(NOW).unwrap().unwrap();
        log.delete_before(2).unwrap();
        let mut calls = 0;
        let memory = CleanerMemory { io_bytes: 0, ..MEMORY };
        let ended = log.clean(&work, &memory, NOW, &mut |_| {
            calls += 1;
            if calls == call {
                assert_eq!(log.retain(NOW).unwrap().segments(), 1);
            }
            true
        });
        let keys = |log: &Log| -> Vec<String> {
            short(log).iter().map(|line| line.split('=').next().unwrap().to_owned()).collect()
        };
        assert_eq!(names_with(dir.path(), &[".cleaned", ".swap"]), [""; 0]);
        if is_in_time {
            ended.unwrap();
        } else {
            assert!(matches!(ended, Err(Error::Closed)), "{ended:?}");
            assert_eq!(keys(&log), ["2:a", "3:2", "4:a", "5:3", "6:a", "7:4"]);
            let (work, _) = clean_at(&log, NOW).unwrap();
            assert_eq!(work.first_dirty, 2);
        }
        assert_eq!(keys(&log), ["3:2", "5:3", "6:a", "7:4"]);
        assert_eq!((log.start_offset(), log.end_offset()), (2, 8));
    }
}

#[test]
fn files_are_as_old_as_before_and_snapshots_go_with_their_segments() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), &LogConfig { file_delete_delay_ms: 10, ..compacted() });
    for value in ["1", "2", "3"] {
        put(&log, plain(), &[("a", value)]);
        roll(&log);
    }
    let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1000);
    let last = dir.path().join("00000000000000000002.log");
    std::fs::File::options().write(true).open(last).unwrap().set_modified(old).unwrap();
    clean_at(&log, NOW).unwrap();
    for suffix in ["log", "index", "timeindex"] {
        let path = dir.path().join(format!("00000000000000000000.{suffix}"));
        assert_eq!(std::fs::metadata(path).unwrap().modified().unwrap(), old, "{suffix}");
    }
    assert_eq!(names_with(dir.path(), &[".snapshot"]), ["00000000000000000003.snapshot"]);
    assert!(names_with(dir.path(), &[".deleted"]).contains(&"00000000000000000001.snapshot.deleted".into()));
    log.remove_doomed(0);
    log.remove_doomed(9);
    assert!(!names_with(dir.path(), &[".deleted"]).is_empty());
    log.remove_doomed(10);
    assert_eq!(names_with(dir.path(), &[".deleted"]), [""; 0]);
}

#[test]
fn a_segment_that_cannot_take_all_is_followed_by_another() {
    // Indexes that are too small for the group make it two segments.
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), &LogConfig { index_interval_bytes: 0, ..compacted() });
    for key in 0..10 {
        put(&log, plain(), &[(&format!("k{key}"), "v")]);
    }
    roll(&log);
    log.set_config(LogConfig { index_interval_bytes: 0, segment_index_bytes: 48, ..compacted() });
    clean_at(&log, NOW).unwrap();
    assert!(log.segments().len() > 2);
    assert_eq!(short(&log).len(), 10);
    drop(log);
    let log = open(dir.path(), &compacted());
    assert_eq!(short(&log).len(), 10);
}

/// Should the power fail within a pass, the newer record for which an older one has gone must be there.
#[test]
fn what_is_mapped_is_on_the_device_before_anything_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let ops = std::sync::Arc::new(parking_lot::Mutex::new(Vec::new()));
    let faults = {
        let ops = ops.clone();
        Box::new(move |op: Op, path: &Path| {
            ops.lock().push((op, path.to_path_buf()));
            Ok(())
        })
    };
    let log = open_on(&Disk::with_faults(dir.path(), faults), dir.path(), &compacted(), true).unwrap();
    for value in ["1", "2", "3"] {
        put(&log, plain(), &[("a", value)]);
        roll(&log);
    }
    ops.lock().clear();
    clean_at(&log, NOW).unwrap();
    let ops = ops.lock();
    let replaced =
        ops.iter().position(|(op, path)| *op == Op::Rename && path.to_str().unwrap().ends_with(".log"));
    for base in 0..3 {
        let name = format!("{base:020}.log");
        let synced = ops.iter().position(|(op, path)| *op == Op::Sync && path.ends_with(&name));
        assert!(synced.is_some() && synced < replaced, "{name}: {synced:?}, {replaced:?}");
    }
}
