//! What a test may let fail.

use std::io;
use std::path::Path;

/// An operation that a test may let fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Creating or opening for writing.
    Open,
    /// Opening for reading.
    OpenRead,
    /// Reading what is in memory, without waiting for the device.
    ReadAtOnce,
    /// Writing, truncating or reserving space.
    Write,
    /// fsync, fdatasync.
    Sync,
    /// syncfs.
    SyncAll,
    /// Renaming or removing.
    Rename,
    /// Setting the time of the last change.
    Touch,
}

/// Decides whether an operation fails; installed by tests only.
pub type Faults = dyn Fn(Op, &Path) -> io::Result<()> + Send + Sync;
