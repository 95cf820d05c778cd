//! Settings as they were written, each with the place it came from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use crate::config::environment::{self, Variables};
use crate::config::error::ConfigError;
use crate::config::{properties, providers};

/// Where a value was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Built in.
    Default,
    /// What a container image sets where nobody else does.
    Image,
    /// A line of a properties file.
    File {
        /// The file as it was named.
        path: Arc<PathBuf>,
        /// Number of the line, from 1.
        line: u32,
    },
    /// An environment variable.
    Environment {
        /// Its name.
        variable: String,
    },
    /// `--override` on the command line.
    CommandLine,
    /// The program that embeds the broker.
    Program,
    /// Set for this broker or for all brokers while the cluster was running.
    Dynamic,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("built-in default"),
            Origin::Image => f.write_str("default of the image"),
            Origin::File { path, line } => write!(f, "{}:{line}", path.display()),
            Origin::Environment { variable } => write!(f, "environment variable {variable}"),
            Origin::CommandLine => f.write_str("--override"),
            Origin::Program => f.write_str("Builder::config"),
            Origin::Dynamic => f.write_str("dynamic configuration"),
        }
    }
}

/// A value as it was written. Its debug form leaves the text out, which may be a password.
#[derive(Clone, PartialEq, Eq)]
pub struct RawValue {
    /// The text, untrimmed.
    pub value: String,
    /// Where it was written.
    pub origin: Origin,
}

impl fmt::Debug for RawValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from {}", self.origin)
    }
}

/// What a start is configured from, in rising precedence.
#[derive(Clone, Default)]
pub struct Sources {
    /// What a container image sets itself, key and value.
    pub image: Vec<(String, String)>,
    /// A properties file: its name and its bytes.
    pub file: Option<(PathBuf, Vec<u8>)>,
    /// More of them, from the places where container images look for mounted ones.
    pub mounted: Vec<(PathBuf, Vec<u8>)>,
    /// Environment variables, all of them; those that set no property are passed over.
    pub environment: Vec<(String, String)>,
    /// Whether the process is the broker of a container image. Variables without a prefix (`CLUSTER_ID`, `NODE_ID`,
    /// `CREATE_TOPICS`) are settings there; elsewhere they may belong to anybody.
    pub in_image: bool,
    /// `key=value` pairs of `--override`.
    pub overrides: Vec<(String, String)>,
    /// What is to be said among the warnings of the configuration.
    pub notes: Vec<String>,
}

/// All settings that were written somewhere, by name.
#[derive(Clone, Debug, Default)]
pub struct RawConfig {
    values: BTreeMap<String, RawValue>,
    notes: Vec<String>,
}

impl RawConfig {
    /// Reads all sources; what comes later in [`Sources`], and later within one of them, wins. Values that are written
    /// elsewhere are fetched from there.
    pub fn from_sources(sources: &Sources) -> Result<RawConfig, ConfigError> {
        let mut raw = RawConfig { notes: sources.notes.clone(), ..RawConfig::default() };
        for (key, value) in &sources.image {
            raw.set(key, value, Origin::Image);
        }
        for (path, bytes) in sources.file.iter().chain(&sources.mounted) {
            raw.add_file(path.clone(), bytes)?;
        }
        raw.add_environment(Variables { all: &sources.environment, in_image: sources.in_image });
        for (key, value) in &sources.overrides {
            raw.set(key.trim(), value, Origin::CommandLine);
        }
        providers::resolve(&mut raw.values, &sources.environment)?;
        Ok(raw)
    }

    /// What was written for a key.
    pub fn get(&self, name: &str) -> Option<&RawValue> {
        self.values.get(name)
    }

    /// Everything that was written, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        self.values.iter().map(|(name, raw)| (name.as_str(), raw))
    }

    /// One line each about what was written and has no effect, beside settings.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Where a key got its value.
    pub fn origin(&self, name: &str) -> Origin {
        self.get(name).map_or(Origin::Default, |raw| raw.origin.clone())
    }

    /// Writes a value over whatever was there.
    pub fn set(&mut self, name: &str, value: &str, origin: Origin) {
        self.values.insert(name.to_owned(), RawValue { value: value.to_owned(), origin });
    }

    fn add_file(&mut self, path: PathBuf, bytes: &[u8]) -> Result<(), ConfigError> {
        let path = Arc::new(path);
        let properties = properties::parse(bytes)
            .map_err(|source| ConfigError::Syntax { path: path.display().to_string(), source })?;
        for property in properties {
            let origin = Origin::File { path: Arc::clone(&path), line: property.line };
            self.set(&property.key, &property.value, origin);
        }
        Ok(())
    }

    fn add_environment(&mut self, variables: Variables<'_>) {
        let reading = environment::read(variables);
        for setting in reading.settings {
            self.set(&setting.property, &setting.value, Origin::Environment { variable: setting.variable });
        }
        self.notes.extend(reading.notes);
    }
}

#[cfg(test)]
mod tests;
