//! Every file of a data directory is damaged in every way. What is served is what was appended, byte for byte; what
//! cannot be served is reported; nobody has to help by hand.

use crate::model::Model;
use crate::random::{Random, for_seeds, note};
use crate::world::{Action, BEGIN_MS, World, open};
use milena_protocol::records::Batches;
use milena_storage::config::LogConfig;
use milena_storage::error::Error;
use milena_storage::file::Disk;
use milena_storage::index::aborted;
use milena_storage::log::{Bound, Log};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

type Files = BTreeMap<PathBuf, Vec<u8>>;

fn files(root: &Path) -> Files {
    let (mut found, mut below) = (Files::new(), vec![root.to_path_buf()]);
    while let Some(dir) = below.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                below.push(path);
            } else {
                found.insert(path.strip_prefix(root).unwrap().to_path_buf(), fs::read(path).unwrap());
            }
        }
    }
    found
}

fn write(root: &Path, files: &Files) {
    for (name, bytes) in files {
        fs::create_dir_all(root.join(name).parent().unwrap()).unwrap();
        fs::write(root.join(name), bytes).unwrap();
    }
}

/// What can happen to a file; `None`: it is gone.
fn damages(bytes: &[u8], random: &mut Random) -> Vec<(String, Option<Vec<u8>>)> {
    let len = bytes.len();
    let mut made: Vec<(String, Option<Vec<u8>>)> = vec![
        ("gone".into(), None),
        ("empty".into(), Some(Vec::new())),
        ("zeros".into(), Some(vec![0; len])),
        ("garbage".into(), Some(random.bytes(len.max(40)))),
        ("zeros behind".into(), Some([bytes, &[0; 3000]].concat())),
        ("garbage behind".into(), Some([bytes, &random.bytes(100)].concat())),
    ];
    let mut places: Vec<usize> =
        if len <= 48 { (0..len).collect() } else { (0..12).map(|_| random.below(len)).collect() };
    // A log: a base offset, too, where any bit counts.
    let mut base = 0;
    for batch in Batches::new(bytes).map_while(Result::ok) {
        places.push(base + random.below(8));
        base += batch.1.len();
    }
    for at in places {
        let mut flipped = bytes.to_vec();
        flipped[at] ^= 1 << random.below(8);
        made.push((format!("a bit of byte {at}"), Some(flipped)));
        made.push((format!("cut at {at}"), Some(bytes[..at].to_vec())));
    }
    made
}

/// Reads the log as consumers do, batch by batch. Returns the offsets of the batches that were served and how often a
/// read was refused; a reader skips what is refused by asking for the next batch of the history.
fn served(log: &Log, model: &Model) -> (Vec<i64>, usize) {
    let (mut offset, mut found, mut refused) = (log.start_offset(), Vec::new(), 0);
    let end = log.end_offset();
    while offset < end {
        match log.read_batches(offset, 5_000) {
            Ok(bytes) if bytes.is_empty() => break,
            Ok(bytes) => {
                for batch in Batches::new(&bytes) {
                    let (header, bytes) = batch.expect("whole batches");
                    let wanted = model.holding(header.base_offset).expect("a batch that was appended");
                    assert!(
                        bytes == wanted.bytes,
                        "other bytes than were appended at {}",
                        header.base_offset
                    );
                    assert!(header.last_offset() >= offset, "offsets ascend");
                    found.push(header.base_offset);
                    offset = header.next_offset();
                }
            }
            Err(error) => {
                assert!(matches!(error, Error::Corrupt { .. } | Error::Io { .. }), "{error}");
                let again = log.read_batches(offset, 5_000);
                assert!(again.is_err(), "what is bad stays bad");
                refused += 1;
                offset = model.holding(offset).map_or(end, |batch| batch.next_offset());
            }
        }
    }
    (found, refused)
}

/// Which batches must be served whatever happened to the file: all of them, but for those behind the damage in a
/// damaged log file, or in all later ones after a death, which cannot tell damage from a torn tail.
fn must_be_served(model: &Model, name: &str, clean: bool, before: &[u8], after: Option<&[u8]>) -> Vec<i64> {
    let all = model.batches.iter().map(|batch| batch.header.base_offset);
    let Some(base) = name.strip_suffix(".log").and_then(|name| name.rsplit('/').next()?.parse::<i64>().ok())
    else {
        return all.collect();
    };
    let same = after.map_or(0, |after| before.iter().zip(after).take_while(|(a, b)| a == b).count());
    let mut position = 0;
    let in_file: Vec<(i64, usize)> = Batches::new(before)
        .map_while(Result::ok)
        .map(|(header, bytes)| {
            position += bytes.len();
            (header.base_offset, position)
        })
        .collect();
    let next = in_file.last().map_or(base, |(base, _)| base + 1);
    let good: Vec<i64> = in_file.iter().filter(|(_, end)| *end <= same).map(|(base, _)| *base).collect();
    all.filter(|offset| {
        *offset < base || good.contains(offset) || clean && *offset >= next && after.is_some()
    })
    .collect()
}

/// Whether a bit of a leader epoch changed, which no checksum covers and nothing else tells; or one of the base offset of
/// the last batch of all, after a death: there is none behind it that would show where it was.
fn is_not_told(model: &Model, clean: bool, before: &[u8], after: Option<&[u8]>) -> bool {
    let Some(after) = after.filter(|after| after.len() == before.len()) else { return false };
    let differs = |(at, byte): (usize, &u8)| after[at] != *byte;
    let mut changed = before.iter().enumerate().filter(|pair| differs(*pair)).map(|(at, _)| at);
    let (Some(at), None) = (changed.next(), changed.next()) else { return false };
    let mut start = 0;
    for (header, bytes) in Batches::new(before).map_while(Result::ok) {
        if (start..start + bytes.len()).contains(&at) {
            let is_last = header.next_offset() == model.end();
            return (12..16).contains(&(at - start)) || (0..8).contains(&(at - start)) && !clean && is_last;
        }
        start += bytes.len();
    }
    false
}

/// Whether nothing tells a damaged index of aborted transactions from a right one: it has no checksum, and is not there
/// at all where nothing was aborted.
fn passes_for_right(name: &str, after: Option<&[u8]>) -> bool {
    let Some(base) = name.strip_suffix(".txnindex").and_then(|name| name.rsplit('/').next()?.parse().ok())
    else {
        return false;
    };
    after.is_none_or(|bytes| {
        let whole = !bytes.is_empty() && bytes.len().is_multiple_of(aborted::ENTRY_SIZE);
        whole && aborted::check(bytes, base..i64::MAX).is_ok()
    })
}

/// read_committed consumers are told of each batch of a transaction whether it was aborted.
fn check_committed(log: &Log, model: &Model) {
    let known = model.aborted();
    let transactional = model.batches.iter().filter(|batch| {
        let header = &batch.header;
        header.attributes.is_transactional()
            && batch.marker.is_none()
            && header.base_offset >= log.start_offset()
    });
    for batch in transactional {
        let (id, offset) = (batch.header.producer_id, batch.header.base_offset);
        let slice = log.read(offset, 1, true, Bound::Stable).unwrap();
        let told = slice
            .aborted
            .iter()
            .any(|a| a.producer_id == id && (a.first_offset..a.last_offset).contains(&offset));
        let right =
            known.iter().any(|(producer, first, last)| *producer == id && (*first..*last).contains(&offset));
        assert!(
            slice.len == 0 || told == right,
            "offset {offset} of producer {id}: aborted {right}, told {told}"
        );
    }
}

fn damage(root: &Path, model: &Model, config: &LogConfig, clean: bool, random: &mut Random) -> usize {
    let whole = files(root);
    let begins = {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &whole);
        open(Disk::new(dir.path()), config, BEGIN_MS).unwrap().1.start_offset()
    };
    let mut done = 0;
    for (name, bytes) in &whole {
        for (what, damaged) in damages(bytes, random) {
            let text = name.display().to_string();
            if text.ends_with(".log") && is_not_told(model, clean, bytes, damaged.as_deref()) {
                continue;
            }
            note(format!("clean {clean}, {text}: {what}"));
            let mut changed = whole.clone();
            match &damaged {
                Some(damaged) => changed.insert(name.clone(), damaged.clone()),
                None => changed.remove(name),
            };
            let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
            write(dir.path(), &changed);
            done += 1;
            let opened = open(Disk::new(dir.path()), config, BEGIN_MS);
            if text == "meta.properties" && matches!(opened, Err(Error::Identity { .. })) {
                continue;
            }
            let (_dir, log) = opened.unwrap();
            let (found, refused) = served(&log, model);
            let start = log.start_offset();
            if text == "log-start-offset-checkpoint" && !clean {
                // A number without a checksum, and after a death without a witness: another number is another start.
                continue;
            }
            let is_gone = text.ends_with(".log") && damaged.is_none();
            assert!(start <= begins || is_gone, "the log begins at {start} and not at {begins}");
            let must = must_be_served(model, &text, clean, bytes, damaged.as_deref());
            for offset in must {
                let batch = model.holding(offset).unwrap();
                assert!(
                    batch.next_offset() <= start || found.contains(&offset),
                    "{offset} is not served: {found:?} from {start} to {}",
                    log.end_offset()
                );
            }
            assert!(refused == 0 || text.ends_with(".log"), "{refused} reads were refused");
            // Whatever is answered, nothing panics.
            let _ = log.read(start, 1 << 20, true, Bound::Stable);
            if !text.ends_with(".log") && !passes_for_right(&text, damaged.as_deref()) {
                check_committed(&log, model);
            }
            let (_, _) = (log.offset_for_timestamp(BEGIN_MS).is_ok(), log.offset_of_max_timestamp().is_ok());
        }
    }
    done
}

#[test]
fn damage_is_reported_or_mended_and_never_served() {
    for_seeds(1, |seed| {
        for clean in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            let mut world = World::new(dir.path(), seed).without_compaction();
            for _ in 0..40 {
                world.step().unwrap();
            }
            world.act(Action::Check).unwrap();
            if clean {
                world.act(Action::StopForGood).unwrap();
            }
            world.kill();
            let mut random = Random::new(seed);
            let done = damage(dir.path(), &world.model, world.config(), clean, &mut random);
            assert!(done > 200, "{done} damages");
        }
    });
}
