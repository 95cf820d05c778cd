//! What RE2, in which Kafka reads the patterns of clients, has beyond the `regex` crate.

use std::borrow::Cow;

/// The pattern with what is quoted by `\Q` and `\E`, as Java's `Pattern.quote` does, escaped sign by sign. A quotation that
/// does not end is one up to the end.
pub(crate) fn without_quotations(pattern: &str) -> Cow<'_, str> {
    if !pattern.contains(r"\Q") {
        return Cow::Borrowed(pattern);
    }
    let (mut plain, mut rest) = (String::with_capacity(pattern.len()), pattern);
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        let behind = &rest[at + 1..];
        match behind.strip_prefix('Q') {
            Some(quoted) => {
                let end = quoted.find(r"\E").unwrap_or(quoted.len());
                plain.push_str(&regex::escape(&quoted[..end]));
                rest = quoted[end..].strip_prefix(r"\E").unwrap_or_default();
            }
            None => {
                // With the sign behind it, which may be a backslash.
                let len = 1 + behind.chars().next().map_or(0, char::len_utf8);
                plain.push_str(&rest[at..at + len]);
                rest = &rest[at + len..];
            }
        }
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::without_quotations;

    #[test]
    fn quotations_become_escapes() {
        for (pattern, expected) in [
            ("", ""),
            ("a.*", "a.*"),
            (r"a\.b", r"a\.b"),
            (r"\Qa.b\E", r"a\.b"),
            (r"x\Q(a|b)\E+\Q\E\Qc-1\Ey", r"x\(a\|b\)+c\-1y"),
            (r"\Qa.b", r"a\.b"),
            (r"\Q", ""),
            (r"\\Qa.b\\E", r"\\Qa.b\\E"),
            (r"\\\Qa.b\E", r"\\a\.b"),
            (r"\Qa\\E", r"a\\"),
            (r"\Q\u{e4}.\E\", r"\\u\{e4\}\.\"),
        ] {
            assert_eq!(without_quotations(pattern), expected, "{pattern}");
        }
    }
}
