//! The storage engine from outside: whole data directories against a model, on a disk that fails, after deaths, power
//! cuts and damage. `CONTRIBUTING.md` names the environment variables that make these tests longer or repeat a seed.

mod compacted;
mod damage;
mod deaths;
mod failing_disk;
mod fuzz;
mod golden;
mod misplaced;
mod model;
mod moves;
mod random;
mod recorder;
mod runs;
mod world;
