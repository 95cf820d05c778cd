//! Random histories on a disk that works.

use crate::random::for_seeds;
use crate::world::{Action, World};

#[test]
fn any_history_equals_the_model_through_stops_and_deaths() {
    for_seeds(6, |seed| {
        let dir = tempfile::tempdir().unwrap();
        let mut world = World::new(dir.path(), seed);
        for step in 0..150 {
            let done = world.step();
            assert!(done.is_ok(), "step {step}: {done:?}");
        }
        world.act(Action::Check).unwrap();
        world.act(Action::Stop).unwrap();
        world.act(Action::Check).unwrap();
        assert!(world.history.batches.len() > 40, "a run must append");
    });
}
