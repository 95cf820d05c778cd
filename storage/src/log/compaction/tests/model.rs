//! Random appends, passes, restarts and reads against a plain list of records.

use super::{CleanerMemory, MEMORY, NOW, batches, compacted, lines_of, open_on, packed, put};
use crate::config::LogConfig;
use crate::file::Disk;
use crate::log::Log;
use milena_protocol::records::Codec;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};

struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }
}

/// Offset to key and value of everything that was ever appended.
type Written = BTreeMap<i64, (String, Option<String>)>;

fn append_some(log: &Log, random: &mut Random, written: &mut Written) {
    for _ in 0..random.below(30) {
        let mut records = Vec::new();
        for _ in 0..1 + random.below(8) {
            let key = format!("k{}", random.below(40));
            let size = random.below(60) as usize;
            let value = (random.below(5) > 0).then(|| format!("{}{}", random.0, "x".repeat(size)));
            records.push((key, value));
        }
        let codec = Codec::ALL[random.below(5) as usize];
        let of: Vec<_> = records.iter().map(|(k, v)| (k.as_str(), v.as_deref().unwrap_or("-"))).collect();
        let base = put(log, packed(codec), &of);
        written.extend((base..).zip(records));
    }
}

/// What is in the log now: everything from the first uncleaned offset on, and of what is before it at least the last
/// record of each key, and nothing that was not written there.
fn check(log: &Log, written: &Written, what: &str) {
    let found: Written = batches(log, 3000)
        .iter()
        .flat_map(|(header, bytes)| lines_of(header, bytes))
        .map(|(offset, _, key, value)| {
            let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
            (offset, (text(key.unwrap()), value.map(text)))
        })
        .collect();
    assert!(found.iter().all(|(offset, record)| written.get(offset) == Some(record)), "{what}");
    let cleaned = log.cleaned_up_to().unwrap_or(0);
    let tail = written.range(cleaned..);
    assert!(tail.clone().all(|(offset, _)| found.contains_key(offset)), "{what}: the dirty part is whole");
    let latest: BTreeMap<_, _> = written.iter().map(|(offset, (key, _))| (key, offset)).collect();
    for (key, offset) in latest {
        let is_tombstone = written[offset].1.is_none();
        assert!(is_tombstone || found.contains_key(offset), "{what}: the last value of {key} is there");
        let older = found.range(..offset).any(|(at, (other, value))| {
            *at < cleaned && *offset < cleaned && other == key && value.is_some()
        });
        assert!(!older, "{what}: {key} has no older value in the clean part");
    }
}

/// Every offset leads to the first record at or behind it.
fn check_offsets(log: &Log, what: &str) {
    let all = batches(log, usize::MAX >> 1);
    for offset in log.start_offset()..log.end_offset() {
        let bytes = log.read_batches(offset, 1).unwrap();
        let expected = all.iter().find(|(header, _)| header.last_offset() >= offset);
        assert_eq!(Some(&bytes), expected.map(|(_, bytes)| bytes), "{what} offset {offset}");
    }
}

#[test]
fn equals_a_model_through_passes_and_restarts() {
    for seed in 1..=4u64 {
        let dir = tempfile::tempdir().unwrap();
        let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ seed << 20);
        let config = LogConfig { delete_retention_ms: random.below(2) as i64 * 50_000, ..compacted() };
        let mut log = open_on(&Disk::new(dir.path()), dir.path(), &config, true).unwrap();
        let mut written = Written::new();
        for round in 0..25 {
            let what = format!("seed {seed} round {round}");
            append_some(&log, &mut random, &mut written);
            let now_ms = NOW + round * 10_000;
            if let Some(work) = log.cleanable(now_ms).unwrap().filter(|_| random.below(3) > 0) {
                let slots = 12 + random.below(80) as usize;
                let memory = CleanerMemory { map_bytes: slots * 24, ..MEMORY };
                // Some passes end early, and leave what they have done.
                let mut left = random.below(40);
                let ended = log.clean(&work, &memory, now_ms, &mut |_| {
                    left = left.saturating_sub(1);
                    left > 0
                });
                assert!(ended.is_ok() || left == 0, "{what}: {ended:?}");
            }
            check(&log, &written, &what);
            log.remove_doomed(now_ms);
            if random.below(4) == 0 {
                check_offsets(&log, &what);
                let (end, cleaned) = (log.end_offset(), log.cleaned_up_to());
                let clean = random.below(2) == 0;
                if clean {
                    log.close().unwrap();
                }
                drop(log);
                log = open_on(&Disk::new(dir.path()), dir.path(), &config, clean).unwrap();
                assert_eq!(log.end_offset(), end, "{what}");
                log.set_cleaned_up_to(cleaned.unwrap_or(-1));
                check(&log, &written, &what);
            }
        }
        assert!(log.cleaned_up_to().unwrap() > 0 && batches(&log, 1).len() < written.len());
    }
}

#[test]
fn readers_see_every_key_while_segments_change_under_them() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig { file_delete_delay_ms: 0, index_interval_bytes: 100, ..compacted() };
    let log = open_on(&Disk::new(dir.path()), dir.path(), &config, true).unwrap();
    let keys: Vec<String> = (0..30).map(|i| format!("k{i}")).collect();
    for key in &keys {
        put(&log, packed(Codec::None), &[(key, "0")]);
    }
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for reader in 0..2 {
            let (log, done, keys) = (&log, &done, &keys);
            scope.spawn(move || {
                let mut size = 200 + reader * 1000;
                while !done.load(Ordering::Relaxed) {
                    size = size % 5000 + 77;
                    // `batches` finds a batch that comes twice; a hole would lack a key.
                    let seen: BTreeSet<Vec<u8>> = batches(log, size)
                        .iter()
                        .flat_map(|(header, bytes)| lines_of(header, bytes))
                        .filter_map(|line| line.2)
                        .collect();
                    assert_eq!(seen.len(), keys.len());
                    log.release_idle(i64::MAX);
                }
            });
        }
        let mut random = Random(7);
        for round in 0..60 {
            for _ in 0..60 {
                put(
                    &log,
                    packed(Codec::None),
                    &[(&keys[random.below(30) as usize], &"v".repeat(random.below(90) as usize))],
                );
            }
            if let Some(work) = log.cleanable(NOW).unwrap() {
                log.clean(&work, &MEMORY, NOW + round, &mut |_| true).unwrap();
            }
            log.remove_doomed(i64::MAX);
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(batches(&log, 1).len() < 600);
}
