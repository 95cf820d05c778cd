//! The fuzz targets over mutated requests and properties files, for about a second, on a stable compiler. A binary of its own,
//! because it must have the broker's allocator: the codec crate reserves for announced lengths.

#[path = "../../fuzz/mutate.rs"]
mod mutate;
#[path = "../../fuzz/properties.rs"]
mod properties;
#[path = "../../fuzz/requests.rs"]
mod requests;

use milena::{Broker, config};
use milena_integration_tests::random::Random;
use milena_integration_tests::raw::{Connection, frame_of};
use milena_integration_tests::requests::api_versions;
use milena_integration_tests::samples;
use mutate::mutate;
use requests::SERVED;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Mutated requests.
const REQUESTS: usize = 5_000;
/// Mutated properties files, each of which is read and checked four times.
const FILES: usize = 100;

fn seeds(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target)
}

/// Every sample that the broker serves, as a frame; its API and version.
fn frames() -> Vec<(i16, i16, Vec<u8>)> {
    let is_served = |sample: &&samples::Sample| {
        SERVED.iter().any(|(key, versions, _)| *key == sample.key && versions.contains(&sample.version))
    };
    let all = samples::all("t");
    let frame = |sample: &samples::Sample| {
        (sample.key, sample.version, frame_of(sample.key, sample.version, 1, &sample.body))
    };
    all.iter().filter(is_served).map(frame).collect()
}

/// A file for each API: its first sample in the last version.
fn request_seeds() -> Vec<(PathBuf, Vec<u8>)> {
    let frames = frames();
    let seed = |(key, versions, _): &requests::Served| {
        let last = |frame: &&(i16, i16, Vec<u8>)| frame.0 == *key && frame.1 == *versions.end();
        let (key, version, frame) = frames.iter().find(last).expect("a sample in the last version");
        (seeds("request").join(format!("{}-{version}", samples::api_name(*key))), frame.clone())
    };
    SERVED.iter().map(seed).collect()
}

#[test]
fn what_is_fuzzed_is_what_is_served() {
    let broker = Broker::builder().ephemeral().start_blocking().expect("started");
    let said = api_versions(&mut Connection::open(broker.bootstrap_servers())).api_keys;
    // Produce is told from version 0 and served from 3.
    let said: Vec<_> = said
        .iter()
        .map(|api| (api.api_key, api.min_version.max(if api.api_key == 0 { 3 } else { 0 }), api.max_version))
        .collect();
    let fuzzed: Vec<_> =
        SERVED.iter().map(|(key, versions, _)| (*key, *versions.start(), *versions.end())).collect();
    assert_eq!(fuzzed, said);
}

#[test]
fn the_seeds_are_the_samples() {
    let seeds_there: BTreeSet<PathBuf> = fs::read_dir(seeds("request"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    for (path, frame) in request_seeds() {
        let same = fs::read(&path).is_ok_and(|bytes| bytes == frame);
        assert!(
            same,
            "cargo test -p milena-integration-tests --test fuzz -- --ignored writes {}",
            path.display()
        );
    }
    assert_eq!(seeds_there.len(), SERVED.len());
}

#[test]
#[ignore = "writes the seeds of requests"]
fn write_seeds() {
    for (path, frame) in request_seeds() {
        fs::write(path, frame).expect("written");
    }
}

#[test]
fn no_mutated_request_is_too_much() {
    let frames = frames();
    let mut read = BTreeSet::new();
    for (key, version, frame) in &frames {
        assert!(requests::request(frame), "{} version {version}", samples::api_name(*key));
        read.insert((*key, *version));
    }
    let served: BTreeSet<_> = SERVED
        .iter()
        .flat_map(|(key, versions, _)| versions.clone().map(move |version| (*key, version)))
        .collect();
    assert_eq!(served.difference(&read).collect::<Vec<_>>(), Vec::<&(i16, i16)>::new(), "without a sample");
    let corpus: Vec<&Vec<u8>> = frames.iter().map(|(_, _, frame)| frame).collect();
    let mut random = Random::new(1);
    let accepted =
        (0..REQUESTS).filter(|_| requests::request(&mutate(&mut |end| random.below(end), &corpus))).count();
    assert!((REQUESTS / 10..REQUESTS * 9 / 10).contains(&accepted), "{accepted} of {REQUESTS}");
}

#[test]
fn no_mutated_properties_file_is_too_much() {
    let files =
        fs::read_dir(seeds("properties")).expect("a folder").map(|entry| entry.expect("an entry").path());
    let files: Vec<Vec<u8>> = files.map(|path| fs::read(path).expect("a file")).collect();
    assert!(files.iter().all(|file| properties::properties(file)));
    let corpus: Vec<&Vec<u8>> = files.iter().collect();
    let mut random = Random::new(1);
    let accepted =
        (0..FILES).filter(|_| properties::properties(&mutate(&mut |end| random.below(end), &corpus))).count();
    assert!((FILES / 10..FILES * 9 / 10).contains(&accepted), "{accepted} of {FILES}");
}
