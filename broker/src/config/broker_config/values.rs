//! The parsed value of every broker key.

use std::collections::BTreeMap;

use crate::config::error::ConfigError;
use crate::config::keys;
use crate::config::raw::RawConfig;
use crate::config::value::Value;

/// Value of every key of the table that is not null, by name.
#[derive(Clone, Debug)]
pub(in super::super) struct Values {
    values: BTreeMap<&'static str, Value>,
}

macro_rules! getters {
    ($($name:ident $variant:ident $type:ty),*) => {$(
        /// A key of this type that is never null. The names are written in this crate, so a wrong one is a mistake
        /// in it, which any test that builds a configuration finds.
        pub(in super::super) fn $name(&self, name: &str) -> $type {
            match self.values.get(name) {
                Some(Value::$variant(value)) => value.clone(),
                other => panic!("{name} is {other:?} and not of type {}", stringify!($variant)),
            }
        }
    )*};
}

impl Values {
    /// Parses what was written, for one listener too, and fills in the defaults.
    pub(in super::super) fn parse(raw: &RawConfig) -> Result<Values, ConfigError> {
        for (name, written) in raw.iter() {
            if let Some(key) = keys::find_or_base(name) {
                Value::parse_named(key, name, &written.value)
                    .map_err(|source| ConfigError::Value { source, origin: written.origin.clone() })?;
            }
        }
        let mut values = BTreeMap::new();
        for key in keys::all() {
            let written = raw.get(key.name);
            if let Some(text) = written.map(|written| written.value.as_str()).or(key.default) {
                let value = Value::parse(key, text)
                    .map_err(|source| ConfigError::Value { source, origin: raw.origin(key.name) })?;
                values.insert(key.name, value);
            }
        }
        Ok(Values { values })
    }

    pub(in super::super) fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    pub(super) fn set(&mut self, name: &'static str, value: Value) {
        self.values.insert(name, value);
    }

    pub(super) fn set_if_null(&mut self, name: &'static str, value: Value) {
        self.values.entry(name).or_insert(value);
    }

    getters!(boolean Boolean bool, int Int i32, short Short i16, long Long i64, double Double f64,
             list List Vec<String>);

    /// A text or class name, `None` where it is null or empty.
    pub(in super::super) fn text(&self, name: &str) -> Option<&str> {
        match self.values.get(name) {
            Some(Value::String(text) | Value::Class(text)) if !text.is_empty() => Some(text),
            _ => None,
        }
    }
}
