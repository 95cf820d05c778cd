//! The command line of `milena`.

mod args;

pub use args::{ArgsError, Command, HELP, ServeArgs, parse};
