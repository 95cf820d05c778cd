use super::{RawConfig, Sources};

fn sources(file: &str, environment: &[(&str, &str)], overrides: &[(&str, &str)]) -> Sources {
    let owned =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    Sources {
        file: Some(("/etc/server.properties".into(), file.as_bytes().to_vec())),
        environment: owned(environment),
        overrides: owned(overrides),
        ..Sources::default()
    }
}

#[test]
fn the_later_source_wins_and_says_where_it_is() {
    let file = "a=1\nb=1\n\nc=1\na=2\nd=1";
    let environment = [
        ("KAFKA_B", "3"),
        ("KAFKA_C", "3"),
        ("KAFKA_CFG_C", "2"),
        ("KAFKA_CFG_E", "2"),
        ("KAFKA_OPTS", "x"),
        ("PATH", "x"),
    ];
    let raw = RawConfig::from_sources(&sources(file, &environment, &[("d", "4"), (" d ", "5")])).unwrap();
    let shown: Vec<String> =
        raw.iter().map(|(name, raw)| format!("{name}={} from {}", raw.value, raw.origin)).collect();
    assert_eq!(
        shown,
        [
            "a=2 from /etc/server.properties:5",
            "b=3 from environment variable KAFKA_B",
            "c=3 from environment variable KAFKA_C",
            "d=5 from --override",
            "e=2 from environment variable KAFKA_CFG_E",
        ]
    );
    assert_eq!(raw.origin("nothing").to_string(), "built-in default");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = RawConfig::from_sources(&sources("a=\\u1", &[], &[])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot read /etc/server.properties: line 1: \\u1 needs four hexadecimal digits"
    );
}

#[test]
fn what_an_image_sets_yields_to_everything() {
    let sources = Sources {
        image: vec![("a".into(), "0".into()), ("b".into(), "0".into()), ("c".into(), "0".into())],
        file: Some(("/etc/one".into(), b"b=1\nc=1\nd=1".to_vec())),
        mounted: vec![("/mnt/two".into(), b"c=2".to_vec()), ("/mnt/three".into(), b"d=3".to_vec())],
        ..Sources::default()
    };
    let raw = RawConfig::from_sources(&sources).unwrap();
    let shown: Vec<String> =
        raw.iter().map(|(name, raw)| format!("{name}={} from {}", raw.value, raw.origin)).collect();
    assert_eq!(
        shown,
        [
            "a=0 from default of the image",
            "b=1 from /etc/one:1",
            "c=2 from /mnt/two:1",
            "d=3 from /mnt/three:1"
        ]
    );
}
