//! milena: an Apache Kafka compatible broker in one small binary.

mod api;
pub mod broker;
pub mod cli;
pub mod clock;
pub mod config;
mod controller;
mod metadata;
