//! The fuzz targets over mutated files that Kafka wrote, for about a second, on a stable compiler.

#[path = "../../../fuzz/targets.rs"]
mod targets;

use crate::golden;
use crate::random::{Random, for_seeds, note};

/// Changes a few bytes, cuts, or puts two files together.
fn mutate(random: &mut Random, corpus: &[&Vec<u8>]) -> Vec<u8> {
    let mut bytes = random.pick(corpus).clone();
    bytes.truncate(20_000);
    for _ in 0..random.below(4) {
        match random.below(5) {
            0 if !bytes.is_empty() => bytes.truncate(random.below(bytes.len())),
            1 => bytes.extend(random.pick(corpus).iter().take(2_000)),
            2 if !bytes.is_empty() => {
                let at = random.below(bytes.len());
                let len = random.below(9).min(bytes.len() - at);
                bytes[at..at + len].copy_from_slice(&random.bytes(len));
            }
            _ if !bytes.is_empty() => {
                let at = random.below(bytes.len().min(200));
                bytes[at] ^= 1 << random.below(8);
            }
            _ => {}
        }
    }
    bytes
}

#[test]
fn no_mutated_file_is_too_much() {
    let files = golden::unpack();
    let of = |kind: &str| {
        files.iter().filter(|(name, _)| name.ends_with(kind)).map(|(_, b)| b).collect::<Vec<_>>()
    };
    let (logs, all) = (of(".log"), files.values().filter(|bytes| bytes.len() < 5_000).collect::<Vec<_>>());
    for_seeds(1, |seed| {
        let mut random = Random::new(seed);
        for round in 0..400 {
            note(format!("round {round}"));
            targets::batch(&mutate(&mut random, &logs));
            targets::request(&mutate(&mut random, &all));
            targets::stored(&mutate(&mut random, &all));
            if round % 4 == 0 {
                targets::recovery(&mutate(&mut random, &logs));
            }
        }
    });
}
