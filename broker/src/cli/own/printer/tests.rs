use super::{Form, date};
use crate::cli::flags::Given;
use crate::cli::kafka::times::date_time;
use crate::cli::own::consume;
use crate::cli::own::pattern::{PRINTED, parse};
use crate::client::TopicPartition;
use crate::client::fetcher::Fetched;
use crate::seed;
use milena_protocol::records::{BatchBuilder, HEADER_LEN, Header, Record, TimestampType};

/// Key, value, headers.
type Parts<'a> = (Option<&'a [u8]>, Option<&'a [u8]>, &'a [(&'a [u8], Option<&'a [u8]>)]);

fn written(words: &[&str], parts: Parts<'_>, timestamp: i64) -> Vec<u8> {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let given = Given::read(consume::FLAGS, &words).expect("flags");
    let form = Form::of(&given).expect("a form");
    let headers: Vec<Header<'_>> = parts.2.iter().map(|(key, value)| Header { key, value: *value }).collect();
    let mut builder = BatchBuilder::new();
    builder.append(timestamp, parts.0, parts.1, &headers);
    let batch = builder.build().expect("a batch");
    let record = Record::read(&mut &batch[HEADER_LEN..]).expect("a record");
    let fetched = Fetched { offset: 42, timestamp, timestamp_type: TimestampType::CreateTime, record };
    let mut out = Vec::new();
    form.write(&mut out, &TopicPartition::new("t", 3), &fetched, true);
    out
}

fn text(words: &[&str], parts: Parts<'_>) -> String {
    String::from_utf8(written(words, parts, 1_769_860_800_000)).expect("text")
}

#[test]
fn an_object_becomes_the_same_record() {
    let every: Vec<u8> = (0..=255).collect();
    let headers: &[(&[u8], Option<&[u8]>)] =
        &[(b"a", Some(b"1")), (b"a", None), (b"", Some(b"")), (&[0xff, 0], Some(&[0x80]))];
    let all: [Parts<'_>; 8] = [
        (None, None, &[]),
        (Some(b""), Some(b""), &[]),
        (Some(b"key"), Some(b"{\"a\": [1, null]}"), headers),
        (Some(&every), Some(&every), headers),
        (Some(b"5"), Some(b"null"), &[]),
        (Some("\u{0}\u{1b}\u{2028}\u{10ffff}\"\\\n".as_bytes()), Some(b"true"), &[]),
        (Some(&[0xc3]), Some(b"~"), &[]),
        (None, Some(b"-0.10"), &[]),
    ];
    for parts in all {
        for timestamp in [-1, 0, 1_769_860_800_123, i64::MAX] {
            let line = String::from_utf8(written(&["--output", "ndjson"], parts, timestamp)).expect("UTF-8");
            assert_eq!(line.matches('\n').count(), 1, "{line}");
            let record = seed::record(&line, None).expect(&line);
            assert_eq!((record.topic.as_str(), record.partition), ("t", Some(3)), "{line}");
            assert_eq!(record.timestamp, Some(timestamp), "{line}");
            assert_eq!((record.key.as_deref(), record.value.as_deref()), (parts.0, parts.1), "{line}");
            let found: Vec<(&[u8], Option<&[u8]>)> =
                record.headers.iter().map(|(key, value)| (key.as_slice(), value.as_deref())).collect();
            assert_eq!(found, parts.2, "{line}");
        }
    }
}

#[test]
fn lines_do_no_harm() {
    let parts: Parts<'_> =
        (Some(b"k"), Some(b"a\x1b[2Jb\n\xff\xc3\xa9"), &[(b"h", Some(b"1")), (b"i", None)]);
    let line = text(&[], parts);
    assert_eq!(line, "t 3:42  2026-01-31T12:00:00.000Z  k  a\\u{1b}[2Jb\\n\\xff\u{e9}  h=1,i=null\n");
    assert_eq!(text(&[], (None, None, &[])), "t 3:42  2026-01-31T12:00:00.000Z  null  null\n");
}

#[test]
fn other_forms() {
    let parts: Parts<'_> = (Some(b"k"), None, &[(b"h", Some(b"1")), (b"i", None)]);
    for (words, expected) in [
        (&["--output", "name"][..], "t:3:42\n"),
        (&["--format", "%t/%p/%o %k=%v %K %V %h %T %%"], "t/3/42 k= 1 -1 h=1,i= 1769860800000 %\n"),
        (&["--format", "%D\\0"], "2026-01-31T12:00:00.000Z\0"),
        (&["--format", "%k\\c"], "k"),
    ] {
        assert_eq!(text(words, parts), expected);
    }
    assert!(text(&["--output", "json"], parts).starts_with("[{\"topic\":\"t\",\"partition\":3,"));
}

#[test]
fn dates_are_those_that_are_read() {
    for ms in [0, 951_782_400_000, 951_868_800_000, 1_769_860_800_123, 4_107_542_399_999, 253_402_300_799_999]
    {
        assert_eq!(date_time(&date(ms)), Some(ms), "{}", date(ms));
    }
    assert_eq!(date(-1), "-");
}

#[test]
fn formats_of_rpk() {
    for (format, expected) in [
        ("%k %v\\n", Some("%k %v\\n")),
        ("%o:%d%%", Some("%o:%T%%\\c")),
        ("\\%%v", None),
        ("%h{%k=%v}", None),
        ("%v{hex}", None),
        ("%%{}", Some("%%{}\\c")),
        ("%", None),
    ] {
        let found = Form::of_rpk(format).ok().map(|form| format!("{form:?}"));
        let expected = expected.map(|text| format!("{:?}", Form::Format(parse(text, PRINTED).unwrap())));
        assert_eq!(found, expected, "{format}");
    }
}
