//! milena's own commands, for people and their scripts. They work with any broker.
//!
//! * [`sheet`] is how rows are printed: a table, JSON, a JSON object a line, names.
//! * [`position`] is how people say where in a log: `start`, `-5m`, `@2026-01-31T12:00`, `0:42`.
//! * [`completions`] and [`man`] are made of the tables that the commands are read by.
//! * [`printer`] is how records are printed, [`pattern`] the formats of `-F`.

mod age;
pub(super) mod completions;
pub(super) mod config;
pub(super) mod consume;
mod copy;
pub(super) mod doctor;
mod expel;
pub(super) mod group;
pub(super) mod lag;
pub(super) mod man;
pub(super) mod pattern;
mod position;
pub(super) mod printer;
pub(super) mod produce;
mod rate;
mod seek;
mod sheet;
pub(super) mod topic;

pub(super) use consume::time;
pub(super) use group::find as find_group;
