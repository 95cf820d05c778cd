//! Typed values: parsed and checked with Kafka's words, shown in Kafka's form.

use std::fmt;

use crate::config::key::{Key, Kind, Valid};

/// A value of the type that its key asks for.
#[derive(Clone, PartialEq)]
pub enum Value {
    /// [`Kind::Boolean`]
    Boolean(bool),
    /// [`Kind::String`]
    String(String),
    /// [`Kind::Int`]
    Int(i32),
    /// [`Kind::Short`]
    Short(i16),
    /// [`Kind::Long`]
    Long(i64),
    /// [`Kind::Double`]
    Double(f64),
    /// [`Kind::List`]
    List(Vec<String>),
    /// [`Kind::Class`]
    Class(String),
    /// [`Kind::Password`]
    Password(String),
}

/// A value that its key does not admit. The text is the one of Kafka's `ConfigException`, which clients compare.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidValue(String);

impl InvalidValue {
    /// A value, its key and what is wrong with it.
    pub fn new(value: impl fmt::Display, name: &str, why: impl fmt::Display) -> InvalidValue {
        InvalidValue(format!("Invalid value {value} for configuration {name}: {why}"))
    }

    /// A sentence that Kafka writes without the usual beginning.
    pub fn sentence(text: impl Into<String>) -> InvalidValue {
        InvalidValue(text.into())
    }
}

impl Value {
    /// Parses `text` as the type of `key` and checks it against what the key admits. Java classes are not looked up.
    pub fn parse(key: &Key, text: &str) -> Result<Value, InvalidValue> {
        Value::parse_named(key, key.name, text)
    }

    /// As [`Value::parse`], with another name in the error: a key that is set for one listener.
    pub fn parse_named(key: &Key, name: &str, text: &str) -> Result<Value, InvalidValue> {
        let value = parse_type(key.kind, name, text)?;
        check(key.valid, name, &value)?;
        Ok(value)
    }
}

/// As Kafka's `ConfigDef.convertToString`; a password stays hidden.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Boolean(value) => write!(f, "{value}"),
            Value::String(value) | Value::Class(value) => f.write_str(value),
            Value::Int(value) => write!(f, "{value}"),
            Value::Short(value) => write!(f, "{value}"),
            Value::Long(value) => write!(f, "{value}"),
            Value::Double(value) => f.write_str(&java_double(*value)),
            Value::List(value) => f.write_str(&value.join(",")),
            Value::Password(_) => f.write_str("[hidden]"),
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

fn parse_type(kind: Kind, name: &str, text: &str) -> Result<Value, InvalidValue> {
    // Java's trim: everything up to and including the space.
    let trimmed = text.trim_matches(|c: char| c <= ' ');
    let not_a_number = |kind| InvalidValue::new(text, name, format_args!("Not a number of type {kind}"));
    Ok(match kind {
        Kind::Boolean if trimmed.eq_ignore_ascii_case("true") => Value::Boolean(true),
        Kind::Boolean if trimmed.eq_ignore_ascii_case("false") => Value::Boolean(false),
        Kind::Boolean => {
            return Err(InvalidValue::new(text, name, "Expected value to be either true or false"));
        }
        Kind::Int => Value::Int(trimmed.parse().map_err(|_| not_a_number("INT"))?),
        Kind::Short => Value::Short(trimmed.parse().map_err(|_| not_a_number("SHORT"))?),
        Kind::Long => Value::Long(trimmed.parse().map_err(|_| not_a_number("LONG"))?),
        Kind::Double => Value::Double(parse_double(trimmed).ok_or_else(|| not_a_number("DOUBLE"))?),
        Kind::List if trimmed.is_empty() => Value::List(Vec::new()),
        Kind::List => Value::List(trimmed.split(',').map(|item| item.trim().to_owned()).collect()),
        Kind::String => Value::String(trimmed.to_owned()),
        Kind::Class => Value::Class(trimmed.to_owned()),
        Kind::Password => Value::Password(trimmed.to_owned()),
    })
}

/// Java writes infinities and type suffixes differently from Rust.
fn parse_double(text: &str) -> Option<f64> {
    let digits = text.strip_suffix(['f', 'F', 'd', 'D']).unwrap_or(text);
    match digits.trim_start_matches(['+', '-']) {
        "Infinity" | "NaN" => {}
        body if body.starts_with(|c: char| c.is_ascii_digit() || c == '.') => {}
        _ => return None,
    }
    digits.parse().ok()
}

fn check(valid: Valid, name: &str, value: &Value) -> Result<(), InvalidValue> {
    let refuse = |why: String| Err(InvalidValue::new(value, name, why));
    match (valid, value) {
        (Valid::NonEmpty, Value::String(text)) if text.is_empty() => {
            refuse("String must be non-empty".into())
        }
        (Valid::OneOf(choices), Value::String(text)) if !choices.contains(&text.as_str()) => {
            refuse(format!("String must be one of: {}", choices.join(", ")))
        }
        (Valid::OneOfIgnoreCase(choices), Value::String(text))
            if !choices.iter().any(|choice| choice.eq_ignore_ascii_case(text)) =>
        {
            refuse(format!("String must be one of (case insensitive): {}", choices.join(", ")))
        }
        (Valid::EachOf(choices), Value::List(items)) => {
            match items.iter().find(|item| !choices.contains(&item.as_str())) {
                Some(item) => {
                    let why = format!("String must be one of: {}", choices.join(", "));
                    Err(InvalidValue::new(item, name, why))
                }
                None => Ok(()),
            }
        }
        (Valid::Voters, Value::List(items)) if !items.iter().all(|item| is_voter(item)) => {
            let form = "Each entry should be in the form `{id}@{host}:{port}`.";
            Err(InvalidValue::sentence(format!("Invalid configuration value for {name}. {form}")))
        }
        (Valid::Servers, Value::List(items)) => match items.iter().find(|item| !is_server(item)) {
            Some(item) => {
                let form = "Each entry should be in the form \"{host}:{port}\"";
                let why =
                    format!("Failed to parse host name from {item} for the configuration {name}. {form}");
                Err(InvalidValue::sentence(why))
            }
            None => Ok(()),
        },
        (Valid::ThrottledReplicas, Value::List(items)) if !are_throttled_replicas(items) => {
            let form = "[partitionId]:[brokerId],[partitionId]:[brokerId],...";
            let why = format!(
                "{name} must be the literal '*' or a list of replicas in the following format: {form}"
            );
            Err(InvalidValue::new(format_args!("[{}]", items.join(", ")), name, why))
        }
        (Valid::OffsetReset, Value::String(text)) if !is_offset_reset(text) => {
            let why = format!(
                "Invalid value `{text}` for configuration {name}. The value must be either 'earliest', 'latest' or of \
                 the format 'by_duration:<PnDTnHnMn.nS>'."
            );
            refuse(why)
        }
        (Valid::Ratio(min, _), Value::Double(number)) if number.is_nan() || *number < min => {
            refuse(format!("Value must be at least {min}"))
        }
        (Valid::Ratio(_, max), Value::Double(number)) if *number > max => {
            refuse(format!("Value must be no more than {max}"))
        }
        (Valid::AtLeast(_) | Valid::Between(..) | Valid::BetweenOr(..), Value::Short(number)) => {
            check_number(valid, i64::from(*number)).or_else(refuse)
        }
        (Valid::AtLeast(_) | Valid::Between(..) | Valid::BetweenOr(..), Value::Int(number)) => {
            check_number(valid, i64::from(*number)).or_else(refuse)
        }
        (Valid::AtLeast(_) | Valid::Between(..) | Valid::BetweenOr(..), Value::Long(number)) => {
            check_number(valid, *number).or_else(refuse)
        }
        _ => Ok(()),
    }
}

fn check_number(valid: Valid, number: i64) -> Result<(), String> {
    match valid {
        Valid::AtLeast(min) | Valid::Between(min, _) if number < min => {
            Err(format!("Value must be at least {min}"))
        }
        Valid::Between(_, max) if number > max => Err(format!("Value must be no more than {max}")),
        Valid::BetweenOr(min, max, other) if number != other && !(min..=max).contains(&number) => {
            Err(format!("Value must be between {min} and {max} or equal to {other}"))
        }
        _ => Ok(()),
    }
}

/// Splits `id@host:port`.
pub(super) fn parse_voter(entry: &str) -> Option<(i32, &str, u16)> {
    let (id, address) = entry.split_once('@')?;
    let (host, port) = address.rsplit_once(':')?;
    Some((id.parse().ok()?, host, port.parse().ok()?))
}

fn is_server(entry: &str) -> bool {
    entry.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

fn is_voter(entry: &str) -> bool {
    parse_voter(entry).is_some()
}

fn are_throttled_replicas(items: &[String]) -> bool {
    let is_pair = |item: &String| {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        item.split_once(':').is_some_and(|(partition, broker)| is_number(partition) && is_number(broker))
    };
    (items.len() == 1 && items[0] == "*") || items.iter().all(is_pair)
}

fn is_offset_reset(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    match text.strip_prefix("by_duration:") {
        Some(duration) => is_duration(duration),
        None => ["earliest", "latest"].contains(&text.as_str()),
    }
}

/// `PnDTnHnMn.nS` in lower case, with at least one part, and none of them negative.
fn is_duration(text: &str) -> bool {
    let Some(parts) = text.strip_prefix('p') else { return false };
    let (days, time) = parts.split_once('t').map_or((parts, None), |(days, time)| (days, Some(time)));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let days_fit = days.is_empty() || days.strip_suffix('d').is_some_and(is_number);
    let Some(time) = time else { return days_fit && !days.is_empty() };
    let mut rest = time;
    for unit in ['h', 'm', 's'] {
        if let Some((number, behind)) = rest.split_once(unit) {
            let whole =
                if unit == 's' { number.split_once('.').map_or(number, |(whole, _)| whole) } else { number };
            let fraction = number.strip_prefix(whole).and_then(|rest| rest.strip_prefix('.'));
            if !is_number(whole) || !fraction.is_none_or(|digits| digits.len() <= 9 && is_number(digits)) {
                return false;
            }
            rest = behind;
        }
    }
    days_fit && rest.is_empty() && !time.is_empty()
}

/// As Java's `Double.toString`: plain from 0.001 up to ten million, else with an exponent, always with a fraction.
fn java_double(value: f64) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity".into() } else { "-Infinity".into() };
    }
    let magnitude = value.abs();
    if magnitude == 0.0 || (1e-3..1e7).contains(&magnitude) {
        return format!("{value:?}");
    }
    let scientific = format!("{value:e}");
    match scientific.split_once('e') {
        Some((mantissa, exponent)) if mantissa.contains('.') => format!("{mantissa}E{exponent}"),
        Some((mantissa, exponent)) => format!("{mantissa}.0E{exponent}"),
        None => scientific,
    }
}

#[cfg(test)]
mod tests;
