//! milena: an Apache Kafka compatible broker in one small binary.
//!
//! [`broker::Broker`] is the embeddable face: configure it with [`config::BrokerConfig`], start it, stop it.

mod api;
pub mod broker;
mod cleaner;
pub mod cli;
pub mod clock;
pub mod config;
mod controller;
mod coordinator;
mod error;
mod fetch_sessions;
mod group;
mod metadata;
mod net;
mod partition;
mod partitions;
mod quotas;
mod seed;
mod transaction;
