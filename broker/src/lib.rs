//! milena: an Apache Kafka compatible broker in one small binary.
//!
//! [`Broker`] is a broker inside another program: started, used by any Kafka client, dropped ([`embedded`]). The `milena`
//! command itself is made of [`cli`], [`config::BrokerConfig`] and [`broker::Broker`], which runs on the caller's runtime.

mod api;
pub mod broker;
mod cleaner;
pub mod cli;
mod client;
pub mod clock;
pub mod config;
mod controller;
mod coordinator;
pub mod embedded;
mod error;
mod fetch_sessions;
mod group;
pub mod logging;
mod metadata;
mod net;
mod panics;
mod partition;
mod partitions;
mod quotas;
mod re2;
mod seed;
mod throttle;
mod transaction;
mod tree;

pub use embedded::Broker;
