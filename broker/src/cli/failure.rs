//! Why a tool ends before it is done.

use crate::client::ClientError;
use std::io;

/// The reason. The exit code is 1 but for [`Failure::Code`].
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Flags that make no sense: the reason, to be followed by the list of flags.
    #[error("{0}")]
    Usage(String),
    /// A word that makes no sense, where the list of flags would not help: one line.
    #[error("{0}")]
    Word(String),
    /// Anything else: one line.
    #[error("{0}")]
    Text(String),
    /// The cluster.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Nobody reads what the tool writes.
    #[error("{0}")]
    Output(#[from] io::Error),
    /// All was said; only the exit code is left.
    #[error("")]
    Said,
    /// All was said, and this is the exit code.
    #[error("")]
    Code(u8),
}

impl Failure {
    /// A line of text.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }
}
