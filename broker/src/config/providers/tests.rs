use crate::config::raw::{RawConfig, Sources};
use std::path::PathBuf;

/// What a file with these lines says, with `DIR` standing for a folder that has `secrets.properties` and `password`.
fn read(lines: &str, key: &str) -> Result<String, String> {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().display().to_string();
    std::fs::write(dir.path().join("secrets.properties"), "a=old\na=1\nb\\:c=two\n").unwrap();
    std::fs::write(dir.path().join("password"), "secret\n").unwrap();
    let sources = Sources {
        file: Some((PathBuf::from("server.properties"), lines.replace("DIR", &root).into_bytes())),
        environment: vec![
            ("PARTITIONS".into(), "7".into()),
            ("KAFKA_X_Y".into(), "${env:PARTITIONS}".into()),
        ],
        ..Sources::default()
    };
    match RawConfig::from_sources(&sources) {
        Ok(raw) => Ok(raw.get(key).map(|raw| raw.value.clone()).unwrap_or_default()),
        Err(error) => Err(error.to_string().replace(&root, "DIR")),
    }
}

#[test]
fn values_from_elsewhere() {
    for (value, expected) in [
        ("${env:PARTITIONS}", "7"),
        ("${env::PARTITIONS}", "7"),
        ("a ${env:PARTITIONS} b ${env:PARTITIONS}${file:DIR/secrets.properties:a}", "a 7 b 71"),
        ("${file:DIR/secrets.properties:a}", "1"),
        ("${file:DIR/secrets.properties:b:c}", "two"),
        ("${file:DIR/x/../secrets.properties:a}", "1"),
        ("${directory:DIR:password}", "secret\n"),
        // No placeholders.
        ("$env:PARTITIONS", "$env:PARTITIONS"),
        ("${env}", "${env}"),
        ("${a} ${env:PARTITIONS", "${a} ${env:PARTITIONS"),
        ("^(.*)$/$1/", "^(.*)$/$1/"),
    ] {
        assert_eq!(read(&format!("k={value}"), "k").as_deref(), Ok(expected), "{value}");
    }
    assert_eq!(read("", "x.y").as_deref(), Ok("7"), "the environment may use them, too");
    assert_eq!(
        read("k=${file:DIR/secrets.properties:b:c} ${directory:DIR:password}", "k").as_deref(),
        Ok("two secret\n")
    );
}

#[test]
fn declared_providers_have_names_and_limits() {
    const CLASS: &str = "org.apache.kafka.common.config.provider";
    let declared = format!(
        "config.providers=secrets, vars,none\nconfig.providers.secrets.class={CLASS}.FileConfigProvider\n\
         config.providers.vars.class={CLASS}.EnvVarConfigProvider\nconfig.providers.vars.param.allowlist.pattern=P.*\n\
         config.providers.secrets.param.allowed.paths=/nothing,DIR\n"
    );
    #[rustfmt::skip]
    let rows = [
        ("${secrets:DIR/secrets.properties:a}", Ok("1")),
        ("${vars:PARTITIONS}", Ok("7")),
        ("${env:PARTITIONS}", Ok("7")),
        ("${vars:KAFKA_X_Y}", Err("k is set to ${vars:KAFKA_X_Y}: KAFKA_X_Y is not allowed by allowlist.pattern (from server.properties:6)")),
        ("${secrets:DIR/../x:a}", Err("is not allowed to be accessed (from server.properties:6)")),
        ("${none:a}", Err("k asks the config provider none, which is not there (from server.properties:6); write ${file:PATH:KEY}, ${directory:PATH:NAME} or ${env:NAME}")),
    ];
    for (value, expected) in rows {
        match (read(&format!("{declared}k={value}"), "k"), expected) {
            (Ok(seen), Ok(expected)) => assert_eq!(seen, expected),
            (Err(seen), Err(expected)) => assert!(seen.ends_with(expected), "{seen}"),
            (seen, _) => panic!("{value}: {seen:?}"),
        }
    }
}

#[test]
fn what_is_not_there_stops_the_start() {
    #[rustfmt::skip]
    let rows = [
        ("k=${env:NOTHING}", "k is set to ${env:NOTHING}: there is no environment variable NOTHING (from server.properties:1)"),
        ("k=${env:a:b}", "k is set to ${env:a:b}: Path is not supported for EnvVarConfigProvider, invalid value 'a' (from server.properties:1)"),
        ("\nk=${file:DIR/secrets.properties:z}", "k is set to ${file:DIR/secrets.properties:z}: DIR/secrets.properties does not set z (from server.properties:2)"),
        ("k=${file:DIR/none:a}", "k is set to ${file:DIR/none:a}: Could not read properties from file DIR/none: No such file or directory (os error 2) (from server.properties:1)"),
        ("k=${file:a}", "k is set to ${file:a}: it names no path (from server.properties:1)"),
        ("k=${directory:DIR:../x}", "k is set to ${directory:DIR:../x}: ../x is not the name of a file (from server.properties:1)"),
        ("k=${directory:DIR:none}", "k is set to ${directory:DIR:none}: Could not read file DIR/none: No such file or directory (os error 2) (from server.properties:1)"),
        ("k=${vault:a:b}", "k asks the config provider vault, which is not there (from server.properties:1); write ${file:PATH:KEY}, ${directory:PATH:NAME} or ${env:NAME}"),
        ("config.providers=v\nconfig.providers.v.class=x.Vault", "Invalid value x.Vault for configuration config.providers.v.class: Could not load config provider class or one of its dependencies (from server.properties:2)"),
    ];
    for (lines, expected) in rows {
        assert_eq!(read(lines, "k").unwrap_err(), expected);
    }
}
