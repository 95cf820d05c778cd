//! milena: an Apache Kafka compatible broker.

pub mod cli;
pub mod config;
