//! The command line of `milena`.

mod args;
mod gather;
mod logging;

pub use args::{ArgsError, Command, HELP, ServeArgs, parse};
pub use gather::gather;
pub use logging::{late_line, ready_lines, start_log};
