//! Random histories of a log that moves from one data directory to another and back, with deaths in between.

use crate::random::for_seeds;
use crate::world::{Action, TOPIC, TOPIC_ID, World, save_checkpoints};
use milena_storage::error::Error;
use milena_storage::file::Disk;
use milena_storage::file_name::PartitionDir;
use milena_storage::log_dir::LogDir;
use std::path::PathBuf;
use std::sync::Arc;

/// What happens to a log between its moves, and while it is copied.
const ACTIONS: [Action; 9] = [
    Action::Append,
    Action::Burst,
    Action::Idempotent,
    Action::Transactional,
    Action::Transactional,
    Action::EndTransaction,
    Action::Compact,
    Action::Chores,
    Action::Wait,
];
/// Now and then its beginning goes, and with it the last that some producers have written.
const SHORTENED: [Action; 2] = [Action::DeleteBefore, Action::Retain];
const ENDS: [Action; 2] = [Action::Kill, Action::Stop];

/// Moves the log as the broker does; `to` becomes the directory that it came from.
fn move_log(world: &mut World, to: &mut PathBuf) -> Result<(), Error> {
    let (old_dir, old) = world.open.take().expect("an open log");
    let target = LogDir::open(Disk::new(to), 1, None, world.now_ms)?;
    target.begin()?;
    let name = PartitionDir::live(TOPIC, 0);
    let config = world.config().clone();
    let copy = target.create_copy(&name, TOPIC_ID, old.copy_base()?, config, world.now_ms)?;
    if let Some(cleaned) = old.cleaned_up_to() {
        copy.set_cleaned_up_to(cleaned);
    }
    world.open = Some((old_dir, old.clone()));
    for _ in 0..world.random.below(12) {
        let bytes = world.random.pick(&[1, 5_000, 1 << 20]);
        copy.copy_from(&old, bytes, world.now_ms)?;
        act(world)?;
    }
    if world.random.one_in(2) {
        copy.flush()?;
    }
    let mut next = None;
    old.hand_over(&copy, &target.path_of(TOPIC, 0), world.now_ms, |log| next = Some(log))?;
    let next = next.expect("a log");
    save_checkpoints(&target, &next)?;
    let (old_dir, _) = world.open.take().expect("an open log");
    let gone = old_dir.deleted_path_of(TOPIC, 0);
    old.retire(&gone)?;
    old_dir.disk().remove_dir(&gone)?;
    let mut promised = world.promised.lock();
    promised.saved_start = next.start_offset();
    // What a pass has cleaned behind the copy is as it was.
    world.model = world.history.compacted(&next, promised.compacted, i64::MAX);
    drop(promised);
    std::mem::swap(&mut world.root, to);
    world.open = Some((target, Arc::clone(&next)));
    Ok(())
}

fn act(world: &mut World) -> Result<(), Error> {
    let shortens = world.random.one_in(12);
    let action = if shortens { world.random.pick(&SHORTENED) } else { world.random.pick(&ACTIONS) };
    world.act(action)
}

#[test]
fn a_log_that_moves_is_the_same_log() {
    for_seeds(6, |seed| {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut world = World::new(first.path(), seed);
        let mut other = second.path().to_path_buf();
        world.act(Action::Append).unwrap();
        for round in 0..8 {
            for _ in 0..20 {
                act(&mut world).unwrap();
            }
            let done = move_log(&mut world, &mut other);
            assert!(done.is_ok(), "move {round}: {done:?}");
            world.act(Action::Check).unwrap();
            if world.random.one_in(2) {
                let end = world.random.pick(&ENDS);
                world.act(end).unwrap();
                world.act(Action::Check).unwrap();
            }
        }
        assert!(world.history.batches.len() > 40, "a run must append");
    });
}
