//! milena: an Apache Kafka compatible broker.

mod api;
mod controller;
mod metadata;
pub mod broker;
pub mod clock;
