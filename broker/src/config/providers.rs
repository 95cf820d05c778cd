//! Values that are written elsewhere: `${provider:path:key}` in a setting (Kafka's `ConfigTransformer`, KIP-297).
//!
//! | in the setting | becomes |
//! |---|---|
//! | `${file:PATH:KEY}` | the value of KEY in a properties file |
//! | `${directory:PATH:NAME}` | the text of a file in a directory |
//! | `${env:NAME}` | an environment variable |
//!
//! These three are there without being declared. `config.providers` gives them other names, and limits what they may
//! read, with the keys of Kafka's classes. What cannot be found stops the start: a setting must not be taken for what is
//! only the name of one.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use regex::Regex;

use crate::config::error::ConfigError;
use crate::config::properties;
use crate::config::raw::{Origin, RawValue};
use crate::config::value::InvalidValue;

/// The key that declares providers, and what keys about them begin with.
pub(super) const PROVIDERS: &str = "config.providers";

/// Replaces what stands for other values, once.
///
/// # Errors
/// A provider that is not known, or a value that is not there.
pub(super) fn resolve(
    values: &mut BTreeMap<String, RawValue>,
    environment: &[(String, String)],
) -> Result<(), ConfigError> {
    let providers = declared(values)?;
    for (name, raw) in values.iter_mut() {
        let resolved = replace(&raw.value, |placeholder| {
            let provider = providers.get(placeholder.provider);
            let provider = provider.ok_or_else(|| unknown(name, placeholder.provider, &raw.origin))?;
            provider.look_up(placeholder.path, placeholder.key, environment).map_err(|why| {
                let reason = format!("{name} is set to ${{{}}}: {why}", placeholder.text);
                ConfigError::Value { source: InvalidValue::sentence(reason), origin: raw.origin.clone() }
            })
        })?;
        if let Some(resolved) = resolved {
            raw.value = resolved;
        }
    }
    Ok(())
}

/// What is between the braces.
struct Placeholder<'a> {
    text: &'a str,
    provider: &'a str,
    path: &'a str,
    key: &'a str,
}

/// The text with all placeholders replaced; `None` if there is none. Braces without a colon are not one.
fn replace(
    text: &str,
    mut value: impl FnMut(Placeholder<'_>) -> Result<String, ConfigError>,
) -> Result<Option<String>, ConfigError> {
    let (mut replaced, mut rest, mut found) = (String::new(), text, false);
    while let Some(start) = rest.find("${") {
        let behind = &rest[start + 2..];
        let Some(end) = behind.find('}') else { break };
        let inside = &behind[..end];
        replaced.push_str(&rest[..start]);
        if let Some((provider, place)) = inside.split_once(':') {
            let (path, key) = place.split_once(':').unwrap_or(("", place));
            replaced.push_str(&value(Placeholder { text: inside, provider, path, key })?);
            found = true;
        } else {
            replaced.push_str(&rest[start..start + end + 3]);
        }
        rest = &behind[end + 1..];
    }
    replaced.push_str(rest);
    Ok(found.then_some(replaced))
}

/// One of Kafka's three, and what it may read.
#[derive(Debug)]
enum Provider {
    File { allowed: Vec<PathBuf> },
    Directory { allowed: Vec<PathBuf> },
    Environment { allowed: Option<Regex> },
}

fn declared(values: &BTreeMap<String, RawValue>) -> Result<BTreeMap<String, Provider>, ConfigError> {
    let mut providers = BTreeMap::from([
        ("file".to_owned(), Provider::File { allowed: Vec::new() }),
        ("directory".to_owned(), Provider::Directory { allowed: Vec::new() }),
        ("env".to_owned(), Provider::Environment { allowed: None }),
    ]);
    let names = values.get(PROVIDERS).map_or("", |raw| raw.value.as_str());
    for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let class_key = format!("{PROVIDERS}.{name}.class");
        // As in Kafka, a provider without a class is none.
        let Some(class) = values.get(&class_key) else { continue };
        let invalid = |key: &str, raw: &RawValue, why: &str| ConfigError::Value {
            source: InvalidValue::new(raw.value.trim(), key, why),
            origin: raw.origin.clone(),
        };
        let paths_key = format!("{PROVIDERS}.{name}.param.allowed.paths");
        let allowed = values.get(&paths_key).map_or("", |raw| raw.value.as_str()).split(',').map(str::trim);
        let allowed: Vec<PathBuf> =
            allowed.filter(|path| !path.is_empty()).map(|path| normal(Path::new(path))).collect();
        let provider = match class.value.trim().strip_prefix("org.apache.kafka.common.config.provider.") {
            Some("FileConfigProvider") => Provider::File { allowed },
            Some("DirectoryConfigProvider") => Provider::Directory { allowed },
            Some("EnvVarConfigProvider") => {
                let key = format!("{PROVIDERS}.{name}.param.allowlist.pattern");
                let compile = |raw: &RawValue| {
                    Regex::new(&format!("^(?:{})$", raw.value))
                        .map_err(|error| invalid(&key, raw, &error.to_string()))
                };
                Provider::Environment { allowed: values.get(&key).map(compile).transpose()? }
            }
            _ => {
                let why = "Could not load config provider class or one of its dependencies";
                return Err(invalid(&class_key, class, why));
            }
        };
        providers.insert(name.to_owned(), provider);
    }
    Ok(providers)
}

impl Provider {
    fn look_up(&self, path: &str, key: &str, environment: &[(String, String)]) -> Result<String, String> {
        match self {
            Provider::File { allowed } => {
                let file = permitted(path, allowed)?;
                let bytes = std::fs::read(&file)
                    .map_err(|error| format!("Could not read properties from file {path}: {error}"))?;
                let properties = properties::parse(&bytes).map_err(|error| format!("{path}: {error}"))?;
                let found = properties.into_iter().rfind(|property| property.key == key);
                found.map(|property| property.value).ok_or_else(|| format!("{path} does not set {key}"))
            }
            Provider::Directory { allowed } => {
                let directory = permitted(path, allowed)?;
                // A name, not a way to other directories.
                if !matches!(Path::new(key).components().collect::<Vec<_>>()[..], [Component::Normal(_)]) {
                    return Err(format!("{key} is not the name of a file"));
                }
                let file = directory.join(key);
                std::fs::read_to_string(&file)
                    .map_err(|error| format!("Could not read file {}: {error}", file.display()))
            }
            Provider::Environment { .. } if !path.is_empty() => {
                Err(format!("Path is not supported for EnvVarConfigProvider, invalid value '{path}'"))
            }
            Provider::Environment { allowed } => {
                if allowed.as_ref().is_some_and(|allowed| !allowed.is_match(key)) {
                    return Err(format!("{key} is not allowed by allowlist.pattern"));
                }
                let found = environment.iter().find(|(name, _)| name == key);
                let found = found.map(|(_, value)| value.clone());
                found.ok_or_else(|| format!("there is no environment variable {key}"))
            }
        }
    }
}

/// The path, if it lies in one of those that are allowed; all are if none is named.
fn permitted(path: &str, allowed: &[PathBuf]) -> Result<PathBuf, String> {
    if path.is_empty() {
        return Err("it names no path".to_owned());
    }
    let path = normal(Path::new(path));
    if allowed.is_empty() || allowed.iter().any(|allowed| path.starts_with(allowed)) {
        return Ok(path);
    }
    Err(format!("The path {} is not allowed to be accessed", path.display()))
}

/// Without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                normal.pop();
            }
            part => normal.push(part),
        }
    }
    normal
}

fn unknown(name: &str, provider: &str, origin: &Origin) -> ConfigError {
    ConfigError::Refused {
        reason: format!("{name} asks the config provider {provider}, which is not there"),
        origin: origin.clone(),
        advice: "write ${file:PATH:KEY}, ${directory:PATH:NAME} or ${env:NAME}".into(),
    }
}

#[cfg(test)]
mod tests;
