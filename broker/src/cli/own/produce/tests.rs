use super::{FLAGS, Making, settings};
use crate::cli::flags::Given;
use crate::seed::SeedRecord;

fn given(words: &[&str]) -> Given {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    Given::read(FLAGS, &words).expect("flags")
}

fn made(words: &[&str], line: &[u8]) -> Result<SeedRecord, String> {
    let given = given(words);
    let making = Making::of(&given).map_err(|failure| failure.to_string())?;
    let made = if given.has("value") || given.has("tombstone") {
        Ok(Some(making.single()))
    } else {
        making.line(line)
    };
    let made = made.map_err(|failure| failure.to_string())?.ok_or("nothing")?;
    making.finish(made).map_err(|failure| failure.to_string())
}

#[test]
fn records_of_lines_and_flags() {
    let bytes = |text: &str| Some(text.as_bytes().to_vec());
    let plain = SeedRecord { topic: "t".into(), ..SeedRecord::default() };
    for (words, line, expected) in [
        (&["t"][..], &b"a\xff\r"[..], SeedRecord { value: Some(b"a\xff\r".to_vec()), ..plain.clone() }),
        (&["t"], b"", SeedRecord { value: bytes(""), ..plain.clone() }),
        (&["t", "--null", "NULL"], b"NULL", plain.clone()),
        (
            &["t", "--format", "%k:%v", "--null="],
            b":v:w",
            SeedRecord { value: bytes("v:w"), ..plain.clone() },
        ),
        (
            &["t", "--format", "%p %T %v", "--key", "k"],
            b"3 5 v",
            SeedRecord {
                key: bytes("k"),
                value: bytes("v"),
                partition: Some(3),
                timestamp: Some(5),
                ..plain.clone()
            },
        ),
        (
            &["t", "--value", "v", "--header", "a=1=2", "--header", "b", "--timestamp", "2026-01-31T12:00"],
            b"",
            SeedRecord {
                value: bytes("v"),
                headers: vec![(b"a".to_vec(), bytes("1=2")), (b"b".to_vec(), None)],
                timestamp: Some(1_769_860_800_000),
                ..plain.clone()
            },
        ),
        (&["t", "--tombstone", "--key", "k"], b"", SeedRecord { key: bytes("k"), ..plain.clone() }),
        (
            &["t", "--file", "-", "--key", "other"],
            br#"{"topic":"u","partition":2,"key":"k","value":null,"offset":1,"timestamp":5}"#,
            SeedRecord { key: bytes("k"), partition: Some(2), timestamp: Some(5), ..plain.clone() },
        ),
        (
            &["t", "--file", "-", "--repartition"],
            br#"{"partition":2,"value":"v"}"#,
            SeedRecord { value: bytes("v"), ..plain.clone() },
        ),
        (
            &["--file", "-", "--partition", "1"],
            br#"{"topic":"u","partition":2,"value":{"a":1}}"#,
            SeedRecord { topic: "u".into(), value: bytes("{\"a\":1}"), partition: Some(1), ..plain.clone() },
        ),
    ] {
        assert_eq!(made(words, line).as_ref(), Ok(&expected), "{words:?}");
    }
    for (words, line, why) in [
        (&[][..], &b""[..], "usage: milena produce TOPIC"),
        (&["--file", "-"], b"{\"value\":1}", "it names no topic"),
        (&["t", "--file", "-"], b"{", "EOF while parsing"),
        (&["t", "--file", "-"], b"\xff", "invalid utf-8"),
        (&["t", "--file", "-", "--value", "v"], b"", "Option \"[file]\" can't be used"),
        (&["t", "--tombstone"], b"", "a tombstone needs a --key"),
        (&["t", "--format", "%k:%v"], b"v", "there is no \":\" in it"),
        (&["t", "--format", "%p %v"], b"x v", "%p is no number: x"),
        (&["t", "--timestamp", "soon"], b"v", "soon is no time"),
    ] {
        let error = made(words, line).expect_err(why);
        assert!(error.starts_with(why), "{words:?}: {error}");
    }
}

#[test]
fn how_to_send() {
    for (words, expected) in [
        (&["t"][..], Some((-1, true, "none"))),
        (&["t", "--acks", "1", "--compression", "zstd"], Some((1, false, "zstd"))),
        (&["t", "--acks", "2"], None),
        (&["t", "--compression", "rar"], None),
    ] {
        let found = settings(&given(words)).ok();
        let found = found.map(|settings| (settings.acks, settings.idempotent, settings.codec.name()));
        assert_eq!(found, expected, "{words:?}");
    }
}
