//! Partition logs on disk, in the file formats of Apache Kafka 4.1.

pub mod checkpoint;
pub mod file_name;
pub mod index;
pub mod leader_epochs;
pub mod producers;

#[cfg(test)]
mod golden;
