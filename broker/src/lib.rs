//! milena: an Apache Kafka compatible broker.

mod api;
pub mod broker;
pub mod clock;
mod coordinator;
mod group;
