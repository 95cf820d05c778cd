use super::parse;

fn parsed(text: &str) -> Vec<(String, String, u32)> {
    let properties = parse(text.as_bytes()).unwrap();
    properties.into_iter().map(|property| (property.key, property.value, property.line)).collect()
}

#[test]
fn one_line() {
    for (line, key, value) in [
        ("a=b", "a", "b"),
        ("a:b", "a", "b"),
        ("a b", "a", "b"),
        ("  a \t=\t b ", "a", "b "),
        ("a = = b", "a", "= b"),
        ("a", "a", ""),
        ("a=", "a", ""),
        ("=b", "", "b"),
        ("a\\ b\\=\\:c=d", "a b=:c", "d"),
        ("a=\\t\\n\\r\\f\\\\\\q", "a", "\t\n\r\u{c}\\q"),
        ("a=\\u00e9\\u20AC", "a", "é€"),
        ("a=\\ud83d\\ude00", "a", "\u{1f600}"),
        ("a=x # no comment", "a", "x # no comment"),
        ("a=http\\://x", "a", "http://x"),
        ("a\u{c}b", "a", "b"),
    ] {
        assert_eq!(parsed(line), [(key.to_owned(), value.to_owned(), 1)], "{line:?}");
    }
}

#[test]
fn many_lines() {
    let text = "# comment\r\n! another\n\n  \n a = 1\rb=x\\\n   # y,\\\r\n\tz\nc=even\\\\\nd=2\\";
    let expected = [("a", "1", 5), ("b", "x# y,z", 6), ("c", "even\\", 9), ("d", "2", 10)];
    assert_eq!(parsed(text), expected.map(|(key, value, line)| (key.to_owned(), value.to_owned(), line)));
}

#[test]
fn a_comment_does_not_continue() {
    assert_eq!(parsed("# x \\\na=1"), [("a".to_owned(), "1".to_owned(), 2)]);
}

#[test]
fn a_lone_backslash_begins_nothing() {
    assert_eq!(parsed("\\\n\n# x\na=1\n\\"), [("a".to_owned(), "1".to_owned(), 4)]);
}

#[test]
fn a_key_that_comes_twice_is_listed_twice() {
    assert_eq!(parsed("a=1\na=2").iter().map(|(_, value, _)| value.as_str()).collect::<Vec<_>>(), ["1", "2"]);
}

#[test]
fn bytes_that_are_not_utf8_are_latin1() {
    let read = |bytes: &[u8]| parse(bytes).unwrap().remove(0).value;
    assert_eq!(read(b"a=\xe9"), "é");
    assert_eq!(read("a=é".as_bytes()), "é");
    assert_eq!(parse(b"\xef\xbb\xbfa=1").unwrap()[0].key, "a");
}

#[test]
fn refused_escapes() {
    for (text, expected) in [
        ("x=1\na=\\u12", "line 2: \\u12 needs four hexadecimal digits"),
        ("a=\\u12g4", "line 1: \\u12g4 needs four hexadecimal digits"),
        ("a=\\ud83d", "line 1: half of a \\u surrogate pair"),
    ] {
        assert_eq!(parse(text.as_bytes()).unwrap_err().to_string(), expected);
    }
}
