//! Partition logs on disk, in the file formats of Apache Kafka 4.1. Blocking; knows no requests and no error codes.

pub mod checkpoint;
pub mod config;
pub mod error;
pub mod file;
pub mod file_name;
pub mod index;
pub mod leader_epochs;
pub mod log;
pub mod log_dir;
pub mod log_dirs;
mod mapped;
pub mod page_cache;
pub mod producers;
mod segment;
mod sync;
mod verified;

#[cfg(test)]
mod golden;
