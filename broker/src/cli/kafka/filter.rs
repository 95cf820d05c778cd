//! Lists of topics as Kafka's tools take them: regular expressions, separated by commas.

use crate::cli::failure::Failure;
use regex::Regex;

/// Topics that belong to Kafka itself.
const INTERNAL: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];

/// Whether records of Kafka itself are in a topic of that name.
pub(super) fn is_internal(topic: &str) -> bool {
    INTERNAL.contains(&topic)
}

/// What names topics (`IncludeList`).
#[derive(Debug)]
pub(super) struct Include(Regex);

impl Include {
    /// Reads a list such as `orders,pay.*`.
    ///
    /// # Errors
    /// It is no regular expression.
    pub(super) fn new(text: &str) -> Result<Self, Failure> {
        let quotes = ['"', '\''];
        let joined = text.trim().replace(',', "|").replace(' ', "");
        let joined = joined.trim_start_matches(quotes).trim_end_matches(quotes);
        Regex::new(&format!("^(?:{joined})$"))
            .map(Self)
            .map_err(|_| Failure::text(format!("{joined} is an invalid regex.")))
    }

    /// Whether it names the topic.
    pub(super) fn allows(&self, topic: &str) -> bool {
        self.0.is_match(topic)
    }
}

#[cfg(test)]
mod tests {
    use super::Include;

    #[test]
    fn lists_match_whole_names() {
        for (list, topic, expected) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a,b", "b", true),
            ("a, b", "b", true),
            ("'a.*'", "abc", true),
            ("a|b", "xb", false),
            ("", "a", false),
        ] {
            assert_eq!(Include::new(list).expect(list).allows(topic), expected, "{list} {topic}");
        }
        assert!(Include::new("(").is_err());
    }
}
