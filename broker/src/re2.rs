//! Patterns of clients, which Kafka reads as RE2 does, for the `regex` crate.

use std::borrow::Cow;

/// The pattern as the `regex` crate writes it. What is quoted by `\Q` and `\E`, as Java's `Pattern.quote` does, is escaped
/// sign by sign; a quotation that does not end is one up to the end. In brackets RE2 knows neither brackets nor `&&`, `--` and
/// `~~`: they stand for themselves.
pub(crate) fn translated(pattern: &str) -> Cow<'_, str> {
    if !pattern.contains('[') && !pattern.contains(r"\Q") {
        return Cow::Borrowed(pattern);
    }
    let (mut plain, mut rest) = (String::with_capacity(pattern.len()), pattern);
    while let Some(at) = rest.find(['\\', '[']) {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        if rest.starts_with('[') {
            rest = translate_class(rest, &mut plain);
        } else if let Some(quoted) = rest.strip_prefix(r"\Q") {
            let end = quoted.find(r"\E").unwrap_or(quoted.len());
            plain.push_str(&regex::escape(&quoted[..end]));
            rest = quoted[end..].strip_prefix(r"\E").unwrap_or_default();
        } else {
            rest = copy(rest, escape_len(rest), &mut plain);
        }
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

/// A class in brackets, with which `rest` begins; returns what is behind it.
fn translate_class<'a>(mut rest: &'a str, plain: &mut String) -> &'a str {
    let begin = 1 + usize::from(rest[1..].starts_with('^'));
    rest = copy(rest, begin, plain);
    // A bracket that comes first stands for itself. Only a sign begins a range, and none that has ended one.
    let (mut is_first, mut begins_range, mut ends_range) = (true, false, false);
    while let Some(sign) = rest.chars().next() {
        if sign == ']' && !is_first {
            return copy(rest, 1, plain);
        }
        is_first = false;
        if sign == '-' && begins_range && !rest.starts_with("-]") {
            rest = copy(rest, 1, plain);
            (begins_range, ends_range) = (false, true);
            continue;
        }
        let named = rest.strip_prefix("[:").and_then(|name| name.find(":]"));
        let len = match (named, sign) {
            (Some(len), _) => len + 4,
            (None, '\\') => escape_len(rest),
            (None, _) => sign.len_utf8(),
        };
        let is_set =
            named.is_some() || (sign == '\\' && rest[1..].starts_with(['d', 'D', 's', 'S', 'w', 'W']));
        begins_range = !is_set && !ends_range;
        ends_range = false;
        if named.is_none() && matches!(sign, '[' | ']' | '&' | '~' | '-') {
            plain.push('\\');
        }
        rest = copy(rest, len, plain);
    }
    rest
}

/// A backslash with the sign behind it, which may be a backslash.
fn escape_len(rest: &str) -> usize {
    rest.chars().take(2).map(char::len_utf8).sum()
}

fn copy<'a>(rest: &'a str, len: usize, plain: &mut String) -> &'a str {
    plain.push_str(&rest[..len]);
    &rest[len..]
}

#[cfg(test)]
mod tests {
    use super::translated;

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
            assert_eq!(translated(pattern), expected, "{pattern}");
        }
    }

    /// As RE2/J takes them.
    #[test]
    fn in_brackets_signs_stand_for_themselves() {
        for (pattern, expected) in [
            ("[a-z]", "[a-z]"),
            ("[^a-c.]x[b]", "[^a-c.]x[b]"),
            ("[[a]", r"[\[a]"),
            ("[a-z&&[b]]", r"[a-z\&\&\[b]]"),
            ("[a~~b]", r"[a\~\~b]"),
            ("[]a]", r"[\]a]"),
            ("[^]a]", r"[^\]a]"),
            ("[[:alpha:]-_]", r"[[:alpha:]\-_]"),
            (r"[\d-a]", r"[\d\-a]"),
            (r"[\]-z\]]", r"[\]-z\]]"),
            ("[+--]", r"[+-\-]"),
            ("[--a]", r"[\--a]"),
            ("[a-c-e-]", r"[a-c\-e\-]"),
            (r"\[a&&b]", r"\[a&&b]"),
            ("[a", "[a"),
            ("[", "["),
            (r"[\", r"[\"),
            ("[\u{e4}-\u{fc}]", "[\u{e4}-\u{fc}]"),
        ] {
            assert_eq!(translated(pattern), expected, "{pattern}");
        }
    }
}
