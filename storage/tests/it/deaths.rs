//! The process dies before and within every operation of a run, and the power is cut there: the directory opens and
//! holds what was promised.

use crate::model::{Legal, Model};
use crate::random::{Random, for_seeds, note};
use crate::recorder::{Device, Recorder, State};
use crate::world::{Action, BEGIN_MS, Promised, World, open, save_checkpoints, stop};
use milena_storage::config::LogConfig;
use milena_storage::error::Error;
use milena_storage::file::{Disk, Op};
use milena_storage::log::Append;
use milena_storage::producers::Origin;
use parking_lot::Mutex;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;

/// The directory of the partition.
const TOPIC_DIR: &str = "t-0";

/// A folder in memory, where there is one: nothing in these tests depends on the device.
fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// A run of so many steps, seen from its directory.
fn record(seed: u64, steps: usize, power: bool) -> (Vec<State>, Model, LogConfig) {
    let dir = scratch();
    let world = World::new(dir.path(), seed);
    let world = if power && seed.is_multiple_of(2) { world.synced() } else { world };
    let recorder = Recorder::new(dir.path(), world.promised.clone());
    let mut world = world.with_faults(Box::new({
        let recorder = recorder.clone();
        move || recorder.faults()
    }));
    for _ in 0..steps {
        world.step().unwrap();
        recorder.record(Op::Open, Path::new(""));
    }
    world.act(Action::Stop).unwrap();
    recorder.record(Op::Open, Path::new(""));
    (recorder.take(), world.history.clone(), world.config().clone())
}

/// Opens what is left, compares it, and sees whether one can go on from there.
fn check(root: &Path, model: &Model, legal: Legal, config: &LogConfig, random: &mut Random) -> Model {
    let (dir, log) = open(Disk::new(root), config, BEGIN_MS).unwrap();
    let found = model.check_opened(&log, legal, random);
    if random.one_in(8) {
        go_on(&found, dir, log, config, random);
    }
    found
}

fn copy(from: &Path) -> TempDir {
    let to = scratch();
    for (dir, name) in [(from.to_path_buf(), ""), (from.join(TOPIC_DIR), TOPIC_DIR)] {
        let Ok(entries) = fs::read_dir(dir) else { continue };
        fs::create_dir_all(to.path().join(name)).unwrap();
        for entry in entries.map(Result::unwrap).filter(|entry| entry.path().is_file()) {
            fs::copy(entry.path(), to.path().join(name).join(entry.file_name())).unwrap();
        }
    }
    to
}

/// The same with the power cut once more, while the start mends what the first cut has left, or soon after it. Until the
/// start is done, what was legal after the first cut is; then what it has `found` must be found again, and what is
/// synced behind that, too.
fn check_again(
    root: &Path,
    (before, legal_before): (&Model, Legal),
    found: &Model,
    config: &LogConfig,
    random: &mut Random,
) {
    let promised = Arc::new(Mutex::new(Promised::default()));
    let recorder = Recorder::new(root, promised.clone());
    recorder.record(Op::SyncAll, Path::new(""));
    let mut model = found.clone();
    (promised.lock().acked, promised.lock().synced) = (model.end(), model.end());
    let mut mending = Vec::new();
    let start = {
        let (_dir, log) = open(Disk::with_faults(root, recorder.faults()), config, BEGIN_MS).unwrap();
        mending.append(&mut recorder.take());
        for _ in 0..3 {
            let (bytes, records) = crate::model::random_batch(random, BEGIN_MS, None, false);
            let how = Append { leader_epoch: 90, origin: Origin::Client, now_ms: BEGIN_MS };
            let batch = crate::model::Batch::stored(&bytes, &records, model.end(), 90);
            promised.lock().begun = batch.next_offset();
            match crate::model::send(&log, &bytes, &how) {
                Err(Error::BatchTooLarge { .. }) => continue,
                sent => assert_eq!(sent.unwrap(), (model.end(), false)),
            }
            model.batches.push(batch);
            promised.lock().acked = model.end();
            log.flush().unwrap();
            promised.lock().synced = model.end();
        }
        recorder.record(Op::Open, Path::new(""));
        log.start_offset()
    };
    let mut device = Device::default();
    let mended = mending.len();
    mending.append(&mut recorder.take());
    for (at, state) in mending.iter().enumerate() {
        device.see(state);
        if at == 0 {
            // What the first cut has left is on the device.
            device.done(state);
            continue;
        }
        let left = scratch();
        device.after_power_cut(left.path(), random);
        let (_dir, log) = open(Disk::new(left.path()), config, BEGIN_MS).unwrap();
        if at < mended {
            before.check_opened(&log, legal_before, random);
        } else {
            let (compacted, moved) = (found.end(), i64::MAX);
            let legal = Legal { compacted, start: (0, start), moved, ..state.promised.after_power_cut() };
            model.check_opened(&log, legal, random);
        }
        device.done(state);
    }
}

fn go_on(
    found: &Model,
    dir: milena_storage::log_dir::LogDir,
    log: Arc<milena_storage::log::Log>,
    config: &LogConfig,
    random: &mut Random,
) {
    let mut model = found.clone();
    for _ in 0..3 {
        let (bytes, records) = crate::model::random_batch(random, BEGIN_MS, None, false);
        let how = Append { leader_epoch: 90, origin: Origin::Client, now_ms: BEGIN_MS };
        let batch = crate::model::Batch::stored(&bytes, &records, model.end(), 90);
        match crate::model::send(&log, &bytes, &how) {
            Err(Error::BatchTooLarge { .. }) => continue,
            sent => assert_eq!(sent.unwrap(), (model.end(), false)),
        }
        model.batches.push(batch);
    }
    if random.one_in(2) {
        // The next start trusts what lies below: nothing from before the cut may contradict it.
        log.begin_segment(BEGIN_MS).unwrap();
        log.flush_together(log.end_offset()).unwrap();
        save_checkpoints(&dir, &log).unwrap();
    }
    let start = log.start_offset();
    let clean = random.one_in(2);
    if clean {
        stop(&dir, &log).unwrap();
    }
    let root = dir.disk().root().to_path_buf();
    drop((dir, log));
    let (_dir, log) = open(Disk::new(&root), config, BEGIN_MS).unwrap();
    assert!(!clean || log.start_offset() == start, "a clean stop keeps the start");
    let legal = Legal {
        end: (model.end(), model.end()),
        start: (0, start),
        moved: i64::MAX,
        compacted: model.end(),
        whole: i64::MAX,
    };
    model.check_opened(&log, legal, random);
}

#[test]
fn the_death_of_the_process_at_any_operation_loses_nothing_that_was_acknowledged() {
    for_seeds(2, |seed| {
        let (states, model, config) = record(seed, 40, false);
        let mut random = Random::new(seed);
        for (at, state) in states.iter().enumerate() {
            let legal = state.promised.after_death();
            let left = scratch();
            state.after_death(left.path());
            note(format!("before operation {at}, {:?}", state.op));
            check(left.path(), &model, legal, &config, &mut random);
            let Some(next) = states.get(at + 1) else { continue };
            let left = scratch();
            if state.after_death_within(next, left.path(), &mut random) {
                note(format!("within operation {at}, {:?}", state.op));
                let legal = Legal { end: (legal.end.0, next.promised.begun), ..legal };
                check(left.path(), &model, legal, &config, &mut random);
            }
        }
    });
}

#[test]
fn a_power_cut_at_any_operation_loses_nothing_that_was_synced() {
    for_seeds(2, |seed| {
        let (states, model, config) = record(seed, 40, true);
        let mut random = Random::new(seed);
        let mut device = Device::default();
        for (at, state) in states.iter().enumerate() {
            device.see(state);
            for cut in 0..3 {
                let left = scratch();
                device.after_power_cut(left.path(), &mut random);
                note(format!("at operation {at}, {:?}, cut {cut}", state.op));
                let again = random.one_in(25).then(|| copy(left.path()));
                let legal = state.promised.after_power_cut();
                let found = check(left.path(), &model, legal, &config, &mut random);
                if let Some(again) = again {
                    note(format!("at operation {at}, {:?}, cut {cut}, and again", state.op));
                    check_again(again.path(), (&model, legal), &found, &config, &mut random);
                }
            }
            device.done(state);
        }
    });
}
