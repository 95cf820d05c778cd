//! milena from outside: real clients and raw frames against the built binary.

mod admin;
mod attacks;
mod clients;
mod compaction;
mod configs;
mod crash;
mod dirs;
mod disk_full;
mod embedded;
mod eos;
mod fetching;
mod groups;
mod hostile;
mod lifecycle;
mod marathon;
mod orders;
mod peak;
mod producing;
mod quotas;
mod rd;
mod retention;
mod shortage;
mod tidy;
mod tools;
mod transactions;
mod wire;
