//! What a request asks to become of some keys (KIP-339), applied to what is there.

use crate::config::key::{Key, Kind};
use std::collections::BTreeMap;

/// Longest value that can be stored, in UTF-16 units as Kafka counts them.
const VALUE_LENGTH_MAX: usize = 32_767;

/// What shall become of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// It gets this value.
    Set(String),
    /// It goes back to its default.
    Delete,
    /// Items are added to its list.
    Append(String),
    /// Items are taken from its list.
    Subtract(String),
}

/// The key whose value is not a list, and what was asked of it: `APPEND` or `SUBTRACT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAList {
    /// Name of the key.
    pub key: String,
    /// The operation.
    pub operation: &'static str,
}

/// Applies operations to what is set; `row` finds the row of a key, with the list that it begins from where nothing is
/// set.
pub fn apply(
    before: &BTreeMap<String, String>,
    operations: &[(String, Operation)],
    row: impl Fn(&str) -> Option<&'static Key>,
) -> Result<BTreeMap<String, String>, NotAList> {
    let mut after = before.clone();
    for (name, operation) in operations {
        let list = |operation| {
            let key = row(name).filter(|key| key.kind == Kind::List);
            let key = key.ok_or_else(|| NotAList { key: name.clone(), operation })?;
            let text = before.get(name).map(String::as_str).or(key.default).unwrap_or_default();
            Ok(text.split(',').filter(|item| !item.is_empty()).collect::<Vec<_>>())
        };
        let value = match operation {
            Operation::Set(value) => value.clone(),
            Operation::Delete => {
                after.remove(name);
                continue;
            }
            Operation::Append(items) => {
                let mut list = list("APPEND")?;
                for item in split(items) {
                    if !list.contains(&item) {
                        list.push(item);
                    }
                }
                list.join(",")
            }
            Operation::Subtract(items) => {
                let mut list = list("SUBTRACT")?;
                for item in split(items) {
                    if let Some(at) = list.iter().position(|other| *other == item) {
                        list.remove(at);
                    }
                }
                list.join(",")
            }
        };
        after.insert(name.clone(), value);
    }
    Ok(after)
}

/// Whether a value is short enough to be stored.
pub fn fits(value: &str) -> bool {
    value.len() <= VALUE_LENGTH_MAX || value.encode_utf16().count() <= VALUE_LENGTH_MAX
}

/// As Java's `split`: what is empty at the end does not count, unless it is all there is.
fn split(items: &str) -> impl Iterator<Item = &str> {
    let end = items.trim_end_matches(',');
    let all = if end.is_empty() && !items.is_empty() { None } else { Some(end) };
    all.into_iter().flat_map(|items| items.split(','))
}

#[cfg(test)]
mod tests {
    use super::{NotAList, Operation, apply, fits};
    use crate::config::topic_keys;
    use std::collections::BTreeMap;

    fn after(before: &str, operation: Operation) -> Result<String, NotAList> {
        let before = match before {
            "" => BTreeMap::new(),
            value => BTreeMap::from([("cleanup.policy".to_owned(), value.to_owned())]),
        };
        let row = |name: &str| topic_keys::find(name).map(|row| &row.key);
        let mut after = apply(&before, &[("cleanup.policy".to_owned(), operation)], row)?;
        Ok(after.remove("cleanup.policy").unwrap_or_else(|| "nothing".to_owned()))
    }

    #[test]
    fn operations() {
        let append = |items: &str| Operation::Append(items.to_owned());
        let subtract = |items: &str| Operation::Subtract(items.to_owned());
        for (before, operation, expected) in [
            ("", Operation::Set("compact".to_owned()), "compact"),
            ("compact", Operation::Delete, "nothing"),
            ("", append("compact"), "delete,compact"),
            ("compact", append("compact"), "compact"),
            ("compact", append("delete,compact"), "compact,delete"),
            ("compact", append(",,"), "compact"),
            ("", subtract("delete"), ""),
            ("compact,delete", subtract("delete,other"), "compact"),
            ("compact", subtract("delete"), "compact"),
        ] {
            assert_eq!(after(before, operation.clone()).unwrap(), expected, "{before} {operation:?}");
        }
    }

    #[test]
    fn only_lists_have_items() {
        for name in ["retention.ms", "no.such.key"] {
            let operations = [(name.to_owned(), Operation::Subtract("1".to_owned()))];
            let row = |name: &str| topic_keys::find(name).map(|row| &row.key);
            let refused = apply(&BTreeMap::new(), &operations, row).unwrap_err();
            assert_eq!(refused, NotAList { key: name.to_owned(), operation: "SUBTRACT" });
        }
    }

    #[test]
    fn length() {
        assert!(fits(&"a".repeat(32_767)) && !fits(&"a".repeat(32_768)));
        assert!(fits(&"\u{e4}".repeat(32_767)), "characters count, not bytes");
    }
}
