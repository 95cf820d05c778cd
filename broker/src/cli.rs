//! The command line of `milena`, which is one binary under many names.
//!
//! * [`parse`] finds out what is to be done: the broker, or one of the tools in [`tools`], by the program's name or by
//!   the first word.
//! * [`flags`] reads flags as Kafka's tools do, [`screen`] is where tools write, [`connect`] leads to a client.
//! * [`kafka`] are Kafka's tools, [`own`] are milena's own commands, made of [`verbs`].

mod admin;
mod argparse;
mod args;
mod compat;
mod connect;
mod contract;
mod failure;
mod flags;
mod gather;
mod kafka;
mod lines;
mod logging;
mod own;
mod properties;
mod ready;
mod rpk;
mod screen;
mod seed;
mod server;
mod table;
mod tools;
mod verbs;

pub use args::{ArgsError, Command, ServeArgs, ToolCall, help, parse};
pub use contract::{Contract, Parent, ParentError, ReadyError};
pub use gather::gather;
pub use logging::{late_line, ready_lines, start_log};
pub use properties::as_properties;
pub use rpk::RedpandaStart;
