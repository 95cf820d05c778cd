//! The fuzz targets over mutated files that Kafka wrote, for about a second, on a stable compiler.

#[path = "../../../fuzz/mutate.rs"]
mod mutate;
#[path = "../../../fuzz/targets.rs"]
mod targets;

use self::mutate::mutate;
use crate::golden;
use crate::random::{Random, for_seeds, note};
use milena_protocol::records::Batches;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The readers of [`targets::stored`], each of which must have taken something.
const READERS: [&str; 18] = [
    "KRaft version",
    "group record",
    "leader change",
    "leader epochs",
    "marker",
    "meta.properties",
    "metadata record",
    "offsets",
    "partition's directory",
    "partition.metadata",
    "producer snapshot",
    "quorum-state",
    "segment's file",
    "snapshot footer",
    "snapshot header",
    "snapshot's file",
    "transaction record",
    "voters",
];

fn seeds() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/stored");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.map(|path| fs::read(path).unwrap()).collect()
}

#[test]
fn no_mutated_file_is_too_much() {
    let (files, seeds) = (golden::unpack(), seeds());
    let of = |kind: &str| {
        files.iter().filter(|(name, _)| name.ends_with(kind)).map(|(_, b)| b).collect::<Vec<_>>()
    };
    let logs = of(".log");
    let single = |log: &Vec<u8>| {
        let batches = Batches::new(log).map_while(Result::ok);
        batches.map(|(_, bytes)| bytes.to_vec()).filter(|bytes| bytes.len() < 5_000).collect::<Vec<_>>()
    };
    let produced: Vec<Vec<u8>> = logs.iter().flat_map(|log| single(log)).collect();
    let produced: Vec<&Vec<u8>> = produced.iter().collect();
    let small: Vec<&Vec<u8>> = files.values().chain(&seeds).filter(|bytes| bytes.len() < 5_000).collect();
    let readers: BTreeSet<&str> = small.iter().flat_map(|bytes| targets::stored(bytes)).collect();
    assert_eq!(readers.iter().copied().collect::<Vec<_>>(), READERS);
    // Of files that are changed all over nothing is believed.
    let slight: Vec<Vec<u8>> = (0..=u8::MAX).map(|how| [&[how, 0], &[0; 60][..]].concat()).collect();
    let slight: Vec<&Vec<u8>> = slight.iter().collect();
    for_seeds(1, |seed| {
        let mut random = Random::new(seed);
        let (mut batches, mut recovered, mut changed) = (0, 0, 0);
        for round in 0..400 {
            note(format!("round {round}"));
            let mut mutated = |corpus| mutate(&mut |end| random.below(end), corpus);
            batches += u32::from(targets::batch(&mutated(&produced)));
            let _ = targets::stored(&mutated(&small));
            if round % 4 == 0 {
                recovered += u32::from(targets::recovery(&mutated(&logs)));
            }
            changed += u32::from(targets::files(&mutated(&slight)));
        }
        let accepted = [batches, changed, recovered];
        assert!(
            accepted.iter().all(|count| *count >= 40),
            "batches and files of 400, logs of 100: {accepted:?}"
        );
    });
}
