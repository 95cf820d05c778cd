//! What variables there are: those of the process, those that a shell has lost, and those that name a file.

use crate::config::environment::property_name;
use crate::config::keys;
use std::io;
use std::path::Path;

/// Adds the settings that never reached this process: most shells drop names with `-` or `.`, such as
/// `KAFKA_LISTENER_NAME_A_SCRAM-SHA-512_SASL_JAAS_CONFIG`, from the environment of what they start, but the first process
/// of the container has them. `first` is the content of its `/proc/1/environ`: `NAME=value` entries that end with a zero.
pub fn with_lost_names(mut variables: Vec<(String, String)>, first: &[u8]) -> Vec<(String, String)> {
    for entry in first.split(|byte| *byte == 0).filter_map(|entry| std::str::from_utf8(entry).ok()) {
        let Some((name, value)) = entry.split_once('=') else { continue };
        let is_lost = name.starts_with("KAFKA_") && name.contains(['-', '.']);
        if is_lost && !variables.iter().any(|(known, _)| known == name) {
            variables.push((name.to_owned(), value.to_owned()));
        }
    }
    variables
}

/// Puts the content of a file in place of a variable that names it: `KAFKA_X_FILE=/run/secrets/x` sets what `KAFKA_X`
/// does, and wins over it. Line ends at the end of the file do not belong to the value.
///
/// # Errors
/// One sentence, if a file cannot be read: a secret that is silently missing could open what it was to close.
pub fn with_files(
    variables: Vec<(String, String)>,
    read: impl Fn(&Path) -> io::Result<String>,
) -> Result<Vec<(String, String)>, String> {
    let (files, mut plain): (Vec<_>, Vec<_>) = variables
        .into_iter()
        .partition(|(name, value)| !value.is_empty() && variable_of_file(name).is_some());
    for (name, path) in files {
        let Some(variable) = variable_of_file(&name) else { continue };
        let content = read(Path::new(&path))
            .map_err(|error| format!("cannot read {path}, which {name} names: {error}"))?;
        plain.push((variable.to_owned(), content.trim_end_matches(['\r', '\n']).to_owned()));
    }
    Ok(plain)
}

/// The variable that `<variable>_FILE` stands for, if it sets a known key and the longer name does not.
fn variable_of_file(name: &str) -> Option<&str> {
    let variable = name.strip_suffix("_FILE")?;
    let is_known = |variable: &str| {
        property_name(variable)
            .is_some_and(|key| keys::find_or_base(&key).is_some() || keys::is_authorizer_key(&key))
    };
    (is_known(variable) && !is_known(name)).then_some(variable)
}

#[cfg(test)]
mod tests {
    use super::{with_files, with_lost_names};
    use std::io;
    use std::path::Path;

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn names_that_a_shell_has_dropped_come_back() {
        let first =
            b"KAFKA_A-B=1\0KAFKA_C.D=2=3\0KAFKA_E=5\0OTHER-X=6\0KAFKA_F-G\0KAFKA_H-I=\xff\0KAFKA_J-K=7";
        let variables = with_lost_names(owned(&[("KAFKA_A-B", "mine"), ("X", "y")]), first);
        assert_eq!(
            variables,
            owned(&[("KAFKA_A-B", "mine"), ("X", "y"), ("KAFKA_C.D", "2=3"), ("KAFKA_J-K", "7")])
        );
        assert_eq!(with_lost_names(Vec::new(), b""), []);
    }

    #[test]
    fn a_file_is_read_for_a_known_key_alone() {
        let read = |path: &Path| match path.to_str() {
            Some("/run/secrets/n") => Ok("3\r\n\n".to_owned()),
            _ => Err(io::Error::from(io::ErrorKind::NotFound)),
        };
        for (variables, expected) in [
            (&[("KAFKA_NUM_PARTITIONS_FILE", "/run/secrets/n")][..], &[("KAFKA_NUM_PARTITIONS", "3")][..]),
            (&[("KAFKA_CFG_NUM_PARTITIONS_FILE", "/run/secrets/n")], &[("KAFKA_CFG_NUM_PARTITIONS", "3")]),
            (
                &[("KAFKA_NUM_PARTITIONS_FILE", "/run/secrets/n"), ("KAFKA_NUM_PARTITIONS", "1")],
                &[("KAFKA_NUM_PARTITIONS", "1"), ("KAFKA_NUM_PARTITIONS", "3")],
            ),
            (&[("KAFKA_NUM_PARTITIONS_FILE", "")], &[("KAFKA_NUM_PARTITIONS_FILE", "")]),
            (&[("KAFKA_NO_SUCH_FILE", "/none")], &[("KAFKA_NO_SUCH_FILE", "/none")]),
            (&[("LOG_FILE", "/none")], &[("LOG_FILE", "/none")]),
        ] {
            assert_eq!(with_files(owned(variables), read), Ok(owned(expected)), "{variables:?}");
        }
        for variable in ["MILENA_NODE_ID_FILE", "KAFKA_SUPER_USERS_FILE"] {
            assert_eq!(
                with_files(owned(&[(variable, "/none")]), read),
                Err(format!("cannot read /none, which {variable} names: entity not found"))
            );
        }
    }
}
