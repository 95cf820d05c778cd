//! Why a configuration is refused.

use crate::config::properties::PropertyError;
use crate::config::raw::Origin;
use crate::config::value::InvalidValue;

/// A configuration that the broker does not start with. Every text is one line: what, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value of the wrong type or range.
    #[error("{source} (from {origin})")]
    Value {
        /// What is wrong, in Kafka's words.
        #[source]
        source: InvalidValue,
        /// Where the value was written.
        origin: Origin,
    },
    /// A file that is not in properties syntax.
    #[error("cannot read {path}: {source}")]
    Syntax {
        /// The file.
        path: String,
        /// The line, and what is wrong with it.
        #[source]
        source: PropertyError,
    },
    /// Settings that are well-formed and cannot be served, or not safely.
    #[error("{reason} (from {origin}); {advice}")]
    Refused {
        /// What is refused, and why.
        reason: String,
        /// Where it was written.
        origin: Origin,
        /// What to write instead.
        advice: String,
    },
}

impl ConfigError {
    /// What is wrong, in Kafka's words where it has some, without where it was written and what to do.
    pub fn reason(&self) -> String {
        match self {
            ConfigError::Value { source, .. } => source.to_string(),
            ConfigError::Syntax { source, .. } => source.to_string(),
            ConfigError::Refused { reason, .. } => reason.clone(),
        }
    }
}
