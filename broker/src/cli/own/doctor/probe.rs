//! Who answers where no Kafka broker does.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// An ApiVersions request, version 0, correlation id 1, without a client id.
const REQUEST: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff];

/// What is wrong with an address, if that can be said.
pub(super) fn speaker(address: &str, patience: Duration) -> Option<String> {
    let address = address.rsplit("://").next().unwrap_or(address).trim_end_matches('/');
    let Ok(mut found) = address.to_socket_addrs() else {
        return Some("there is no host of that name".into());
    };
    let mut stream = match TcpStream::connect_timeout(&found.next()?, patience) {
        Ok(stream) => stream,
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            return Some(
                "nobody listens there; is the broker running, and is it the port of its listener?".into(),
            );
        }
        Err(error) if error.kind() == ErrorKind::TimedOut => {
            return Some("no answer from the host: a firewall, or another network".into());
        }
        Err(_) => return None,
    };
    stream.set_read_timeout(Some(patience)).ok()?;
    stream.write_all(&REQUEST).ok()?;
    let mut answer = [0; 8];
    let read = stream.read(&mut answer).unwrap_or(0);
    meaning(&answer[..read])
}

/// What the first bytes of an answer say of who sent them.
fn meaning(answer: &[u8]) -> Option<String> {
    let text = match answer {
        [] => {
            "whoever listens there hangs up on Kafka's requests, as a TLS listener may: see security.protocol"
        }
        [0x15 | 0x16, 3, ..] => "a TLS listener; this client speaks PLAINTEXT",
        [b'H', b'T', b'T', b'P', ..] => "an HTTP server, no Kafka broker",
        [b'S', b'S', b'H', ..] => "an SSH server, no Kafka broker",
        _ => return None,
    };
    Some(text.into())
}

#[cfg(test)]
mod tests {
    use super::{meaning, speaker};
    use std::net::TcpListener;
    use std::time::Duration;

    #[test]
    fn first_bytes() {
        for (answer, expected) in [
            (&b"HTTP/1.1"[..], Some("an HTTP server")),
            (&[0x15, 3, 3, 0, 2, 2, 80], Some("a TLS listener")),
            (&[], Some("whoever listens there hangs up")),
            (&[0, 0, 1, 0, 0, 0, 0, 1], None),
        ] {
            let found = meaning(answer);
            match expected {
                Some(expected) => {
                    assert!(found.is_some_and(|found| found.starts_with(expected)), "{expected}")
                }
                None => assert_eq!(found, None),
            }
        }
    }

    #[test]
    fn nobody_at_all() {
        // The port was free a moment ago, and nobody else knows it.
        let port =
            TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
        let text =
            speaker(&format!("PLAINTEXT://127.0.0.1:{port}/"), Duration::from_secs(5)).expect("a reason");
        assert!(text.starts_with("nobody listens there"), "{text}");
        assert!(
            speaker("no.such.host.invalid:1", Duration::from_secs(5))
                .is_some_and(|text| text.contains("no host"))
        );
    }
}
