use super::{Seed, SeedRecord, SeedTopic, parse};
use std::path::Path;

fn parsed(text: &str) -> Result<Seed, String> {
    parse(text, |path: &Path| {
        match path.to_str() {
        Some("two.ndjson") => Ok("{\"value\":\"a\"}\n\n{\"topic\":\"u\",\"key\":\"AAE=\",\"keyEncoding\":\"base64\",\"offset\":7}\n".into()),
        Some("bad.ndjson") => Ok("{\"value\":\"a\"}\n{".into()),
        _ => Err(format!("cannot read {}: not there", path.display())),
    }
    })
}

#[test]
fn a_whole_file() {
    let seed = parsed(
        "defaults: {partitions: 3}\n\
         topics:\n\
         - name: orders\n\
         \x20 partitions: 6\n\
         \x20 config: {cleanup.policy: compact, retention.ms: -1, preallocate: true, min.cleanable.dirty.ratio: 0.1}\n\
         - name: payments\n\
         records:\n\
         - {topic: orders, key: 7, json: {b: 1, a: [x]}, headers: {source: seed, none: null}, timestamp: 5}\n\
         - {topic: orders, partition: 2, value: AP8=, valueEncoding: base64, headers: [{key: a, value: 1}, {key: a}]}\n\
         - {topic: payments, file: two.ndjson}\n",
    )
    .unwrap();
    let config = [
        ("cleanup.policy", "compact"),
        ("min.cleanable.dirty.ratio", "0.1"),
        ("preallocate", "true"),
        ("retention.ms", "-1"),
    ];
    let config = config.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    assert_eq!(
        seed.topics,
        [
            SeedTopic { name: "orders".into(), partitions: Some(6), config },
            SeedTopic { name: "payments".into(), partitions: Some(3), config: [].into() },
        ]
    );
    let of = |topic: &str| SeedRecord { topic: topic.into(), ..SeedRecord::default() };
    assert_eq!(
        seed.records,
        [
            SeedRecord {
                key: Some(b"7".to_vec()),
                value: Some(br#"{"a":["x"],"b":1}"#.to_vec()),
                headers: vec![("none".into(), None), ("source".into(), Some(b"seed".to_vec()))],
                timestamp: Some(5),
                ..of("orders")
            },
            SeedRecord {
                partition: Some(2),
                value: Some(vec![0, 255]),
                headers: vec![("a".into(), Some(b"1".to_vec())), ("a".into(), None)],
                ..of("orders")
            },
            SeedRecord { value: Some(b"a".to_vec()), ..of("payments") },
            SeedRecord { key: Some(vec![0, 1]), ..of("u") },
        ]
    );
}

#[test]
fn json_and_nothing() {
    assert_eq!(parsed(""), Ok(Seed::default()));
    let seed = parsed(r#"{"topics": [{"name": "a"}]}"#).unwrap();
    assert_eq!(seed.topics, [SeedTopic { name: "a".into(), ..SeedTopic::default() }]);
}

#[test]
fn refusals_name_the_place() {
    for (text, expected) in [
        ("topics: [{name: a, partitions: 0}]", "topic a: partitions must be above 0"),
        ("topics: [{nam: a}]", "unknown field `nam`"),
        ("users: []", "unknown field `users`"),
        ("records: [{value: a}]", "record 1: it names no topic"),
        ("records: [{topic: a}, {topic: a, value: a, json: 1}]", "record 2: it has a value and json"),
        ("records: [{topic: a, value: '-', valueEncoding: base64}]", "record 1: value is not Base64"),
        (
            "records: [{topic: a, file: two.ndjson, value: x}]",
            "record 1: beside a file there may only be a topic",
        ),
        ("records: [{topic: a, file: bad.ndjson}]", "bad.ndjson, line 2: EOF while parsing"),
        ("records: [{file: two.ndjson}]", "two.ndjson, line 1: it names no topic"),
        ("records: [{topic: a, file: none}]", "cannot read none: not there"),
    ] {
        let error = parsed(text).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
}
