//! A bit of the metadata log or of its newest snapshot goes bad. After a clean stop all of it is there twice; after a death
//! the log is cut, as in Kafka, and what is cut off is kept.

use super::damage::{Files, files, fill, open, scratch, serves, write};
use milena_protocol::records::Batches;
use std::path::{Path, PathBuf};

const METADATA: &str = "__cluster_metadata-0";

/// Base offset: a jump and a step; length; leader epoch; what the CRC covers.
const BITS: [(usize, u8); 6] = [(5, 16), (7, 4), (10, 1), (15, 1), (23, 1), (63, 16)];

/// Each directory with one bad bit, in which file and at which byte.
fn rotten(whole: &Files, kind: &str) -> Vec<(PathBuf, usize, Files)> {
    let mut all = Vec::new();
    let of_metadata =
        |name: &&PathBuf| name.starts_with(METADATA) && name.extension().is_some_and(|e| e == kind);
    for name in whole.keys().filter(of_metadata) {
        let bytes = &whole[name];
        let mut at = 0;
        for (_, batch) in Batches::new(bytes).map(Result::unwrap) {
            for (byte, bit) in BITS {
                let mut bad = bytes.clone();
                bad[at + byte] ^= bit;
                let mut changed = whole.clone();
                changed.insert(name.clone(), bad);
                all.push((name.clone(), at + byte, changed));
            }
            at += batch.len();
        }
    }
    assert!(all.len() > 20, "{} of {kind}", all.len());
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_bit_of_the_metadata_costs_nothing_after_a_clean_stop() {
    let temp = scratch();
    let served = fill(temp.path(), true);
    let whole = files(temp.path());
    for kind in ["log", "checkpoint"] {
        for (name, byte, changed) in rotten(&whole, kind) {
            let dir = scratch();
            write(dir.path(), &changed);
            for start in ["first", "second"] {
                let broker = open(dir.path()).unwrap_or_else(|e| panic!("{}, {byte}: {e}", name.display()));
                assert!(serves(&broker) == served, "{}, byte {byte}, {start} start", name.display());
                broker.close_logs();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_cut_off_the_metadata_after_a_death_is_kept() {
    let temp = scratch();
    let served = fill(temp.path(), false);
    let whole = files(temp.path());
    for (name, byte, changed) in rotten(&whole, "log") {
        let dir = scratch();
        write(dir.path(), &changed);
        for start in ["first", "second"] {
            let broker = open(dir.path()).unwrap_or_else(|e| panic!("{}, {byte}: {e}", name.display()));
            let found = serves(&broker);
            assert!(found.iter().all(|(key, bytes)| served[key].starts_with(bytes)), "{start} start");
        }
        assert_kept(dir.path(), &name, &changed[&name]);
    }
}

/// A file is as it was, perhaps with more behind, or what was cut off it lies beside it; it may have been set aside itself.
fn assert_kept(root: &Path, name: &Path, before: &[u8]) {
    let after = files(root);
    let aside = |what: String| PathBuf::from(format!("{}{what}.quarantined", name.display()));
    let left = after.get(&aside(String::new())).unwrap_or_else(|| &after[name]);
    let cut = (0..before.len()).find_map(|at| Some((at, after.get(&aside(format!(".{at}")))?)));
    let (upto, tail) = cut.map_or((before.len(), &[][..]), |(at, tail)| (at, tail));
    assert!(left.starts_with(&before[..upto]) && tail == &before[upto..], "{} up to {upto}", name.display());
}
