//! Where tools write.

use std::fmt::Display;
use std::io::{self, BufWriter, Write};

/// Standard output and standard error of a tool. Output is kept together and goes out when the tool ends, when it has
/// something to say on standard error, or when it asks for that.
pub(crate) struct Screen {
    out: BufWriter<Box<dyn Write>>,
    err: Box<dyn Write>,
}

impl Screen {
    /// The screen of this process.
    pub(crate) fn standard() -> Self {
        Self::new(Box::new(io::stdout()), Box::new(io::stderr()))
    }

    /// A screen of any two streams.
    pub(crate) fn new(out: Box<dyn Write>, err: Box<dyn Write>) -> Self {
        Self { out: BufWriter::with_capacity(1 << 16, out), err }
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
