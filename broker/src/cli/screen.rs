//! Where tools write.

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal, Write};

/// Standard output and standard error of a tool. Output is kept together and goes out when the tool ends, when it has
/// something to say on standard error, or when it asks for that.
pub(crate) struct Screen {
    out: BufWriter<Box<dyn Write>>,
    err: Box<dyn Write>,
    is_terminal: bool,
}

impl Screen {
    /// The screen of this process.
    pub(crate) fn standard() -> Self {
        let is_terminal = io::stdout().is_terminal();
        Self { is_terminal, ..Self::new(Box::new(io::stdout()), Box::new(io::stderr())) }
    }

    /// A screen of any two streams.
    pub(crate) fn new(out: Box<dyn Write>, err: Box<dyn Write>) -> Self {
        Self { out: BufWriter::with_capacity(1 << 16, out), err, is_terminal: false }
    }

    /// Whether standard output is a terminal, which may be written to twice in the same place.
    pub(crate) fn is_terminal(&self) -> bool {
        self.is_terminal
    }

    /// Whether text may be bold: at a terminal, unless `NO_COLOR` is set.
    pub(crate) fn is_styled(&self) -> bool {
        self.is_terminal
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
    }

    /// A line on standard output.
    pub(crate) fn say(&mut self, line: impl Display) -> io::Result<()> {
        writeln!(self.out, "{line}")
    }

    /// Bytes on standard output.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    /// A line on standard error. What was said before comes before it.
    pub(crate) fn complain(&mut self, line: impl Display) -> io::Result<()> {
        self.out.flush()?;
        // Nobody may be reading standard error, which is no reason not to go on.
        let _ = writeln!(self.err, "{line}").and_then(|()| self.err.flush());
        Ok(())
    }

    /// Sends out what was said.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
