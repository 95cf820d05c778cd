//! The list of addresses that a client begins with.

use super::error::ClientError;

/// Reads `host:port,host:port`, as people write it: with a protocol (`PLAINTEXT://h:p`), with a slash or a comma at
/// the end, with IPv6 addresses in brackets.
pub(super) fn parse(text: &str) -> Result<Vec<(String, u16)>, ClientError> {
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let addresses: Vec<_> = entries.map(address).collect::<Result<_, _>>()?;
    if addresses.is_empty() {
        return Err(ClientError::Config("No bootstrap servers were given".into()));
    }
    Ok(addresses)
}

fn address(entry: &str) -> Result<(String, u16), ClientError> {
    let invalid = || ClientError::Config(format!("Invalid url in bootstrap.servers: {entry}"));
    let rest = match entry.split_once("://") {
        Some((scheme, rest)) if is_plain(scheme) => rest,
        Some((scheme, _)) => {
            return Err(ClientError::Config(format!(
                "{entry}: {scheme} is not supported, only PLAINTEXT is"
            )));
        }
        None => entry,
    };
    let (host, port) = rest.trim_end_matches('/').rsplit_once(':').ok_or_else(invalid)?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(invalid)?;
    if host.is_empty() {
        return Err(invalid());
    }
    Ok((host.to_owned(), port))
}

/// A scheme is the name of a listener or a protocol; those that ask for TLS or SASL are told apart by their names.
fn is_plain(scheme: &str) -> bool {
    let upper = scheme.to_ascii_uppercase();
    !upper.starts_with("SSL") && !upper.starts_with("SASL")
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn addresses_as_people_write_them() {
        for (text, expected) in [
            ("localhost:9092", vec![("localhost", 9092)]),
            ("a:1,b:2", vec![("a", 1), ("b", 2)]),
            (" a:1 , b:2/ ,", vec![("a", 1), ("b", 2)]),
            ("PLAINTEXT://a:1/", vec![("a", 1)]),
            ("PLAINTEXT_HOST://a:1", vec![("a", 1)]),
            ("[::1]:9092", vec![("::1", 9092)]),
        ] {
            let expected: Vec<_> = expected.into_iter().map(|(h, p)| (h.to_owned(), p)).collect();
            assert_eq!(parse(text).expect(text), expected, "{text}");
        }
    }

    #[test]
    fn refusals() {
        for text in ["", ",", "a", "a:", ":1", "a:0", "a:65536", "a:x", "SASL_SSL://a:1", "ssl://a:1"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
