//! Listeners and the addresses that clients are told.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

/// How a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecurityProtocol {
    /// Neither encrypted nor authenticated.
    Plaintext,
    /// TLS.
    Ssl,
    /// SASL in the clear.
    SaslPlaintext,
    /// SASL within TLS.
    SaslSsl,
}

impl SecurityProtocol {
    /// The protocol of a name, in any case.
    pub fn from_name(name: &str) -> Option<SecurityProtocol> {
        use SecurityProtocol::{Plaintext, SaslPlaintext, SaslSsl, Ssl};
        [Plaintext, Ssl, SaslPlaintext, SaslSsl]
            .into_iter()
            .find(|protocol| protocol.to_string().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for SecurityProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SecurityProtocol::Plaintext => "PLAINTEXT",
            SecurityProtocol::Ssl => "SSL",
            SecurityProtocol::SaslPlaintext => "SASL_PLAINTEXT",
            SecurityProtocol::SaslSsl => "SASL_SSL",
        })
    }
}

/// `NAME://host:port`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Name of the listener, in upper case.
    pub name: String,
    /// Host name or address, an IPv6 address without its brackets; empty stands for every interface.
    pub host: String,
    /// Port; 0 takes a free one.
    pub port: u16,
}

impl Endpoint {
    /// Whether the host stands for every interface, so that no client can connect to it.
    pub fn is_wildcard(&self) -> bool {
        self.host.is_empty() || self.host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified())
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Endpoint { name, host, port } = self;
        if host.contains(':') {
            write!(f, "{name}://[{host}]:{port}")
        } else {
            write!(f, "{name}://{host}:{port}")
        }
    }
}

/// A listener that the broker opens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its name and where it binds.
    pub endpoint: Endpoint,
    /// How it speaks.
    pub protocol: SecurityProtocol,
    /// Connections it may hold at once, beside the limit of the whole broker.
    pub max_connections: i32,
    /// Connections it may take in a second, beside the limit of the whole broker.
    pub max_connection_creation_rate: i32,
}

/// Endpoints that were read, and whether a comma was left over.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct EndpointList {
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) stray_comma: bool,
}

/// Reads comma-separated endpoints. Empty entries are passed over. An error is a sentence about one entry.
pub(super) fn parse_endpoints(text: &str) -> Result<EndpointList, String> {
    let entries: Vec<&str> = text.split(',').map(str::trim).collect();
    let stray_comma = entries.len() > 1 && entries.iter().any(|entry| entry.is_empty());
    let endpoints = entries
        .into_iter()
        .filter(|entry| !entry.is_empty())
        .map(parse_endpoint)
        .collect::<Result<_, _>>()?;
    Ok(EndpointList { endpoints, stray_comma })
}

fn parse_endpoint(entry: &str) -> Result<Endpoint, String> {
    let malformed = || format!("Unable to parse {entry} to a broker endpoint");
    let (name, address) = entry.split_once("://").ok_or_else(malformed)?;
    let (host, port) = address.rsplit_once(':').ok_or_else(malformed)?;
    let host =
        host.strip_prefix('[').map_or(Some(host), |inner| inner.strip_suffix(']')).ok_or_else(malformed)?;
    let is_host_char = |c: char| c.is_ascii_alphanumeric() || "-%._:".contains(c);
    if name.is_empty() || !host.chars().all(is_host_char) {
        return Err(malformed());
    }
    let port = port.parse().map_err(|_| malformed())?;
    Ok(Endpoint { name: name.to_uppercase(), host: host.to_owned(), port })
}

/// Reads `NAME:PROTOCOL` pairs. An error is a sentence.
pub(super) fn parse_protocol_map(text: &str) -> Result<BTreeMap<String, SecurityProtocol>, String> {
    let mut map = BTreeMap::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let (name, protocol) =
            pair.rsplit_once(':').ok_or_else(|| format!("{pair} is not a pair NAME:PROTOCOL"))?;
        let protocol = SecurityProtocol::from_name(protocol.trim()).ok_or_else(|| {
            format!("{pair}: the protocol must be one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL")
        })?;
        map.insert(name.trim().to_uppercase(), protocol);
    }
    Ok(map)
}

/// Two listeners that cannot both be opened, as Kafka's sentence about all of them.
pub(super) fn find_conflict(endpoints: &[Endpoint]) -> Option<String> {
    let all = || endpoints.iter().map(Endpoint::to_string).collect::<Vec<_>>().join(",");
    for (at, endpoint) in endpoints.iter().enumerate() {
        if endpoints[..at].iter().any(|other| other.name == endpoint.name) {
            return Some(format!("Each listener must have a different name, listeners: {}", all()));
        }
        let same_port: Vec<_> =
            endpoints.iter().filter(|other| other.port == endpoint.port && endpoint.port != 0).collect();
        if same_port.len() > 2 || (same_port.len() == 2 && !are_two_families(same_port[0], same_port[1])) {
            let why = "Each listener must have a different port unless exactly one listener has an IPv4 address and \
                       the other IPv6 address";
            return Some(format!("{why}, listeners: {}", all()));
        }
    }
    None
}

fn are_two_families(one: &Endpoint, other: &Endpoint) -> bool {
    match (one.host.parse::<IpAddr>(), other.host.parse::<IpAddr>()) {
        (Ok(one), Ok(other)) => one.is_ipv4() != other.is_ipv4(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{SecurityProtocol, find_conflict, parse_endpoints, parse_protocol_map};

    fn shown(text: &str) -> Result<String, String> {
        let list = parse_endpoints(text)?;
        let shown: Vec<_> = list.endpoints.iter().map(|endpoint| format!("{endpoint}")).collect();
        Ok(format!("{}{}", shown.join(" "), if list.stray_comma { " stray" } else { "" }))
    }

    #[test]
    fn endpoints() {
        for (text, expected) in [
            ("PLAINTEXT://localhost:9092", "PLAINTEXT://localhost:9092"),
            ("plaintext://:0", "PLAINTEXT://:0"),
            ("A://[::1]:1, B://10.0.0.1:2 ,", "A://[::1]:1 B://10.0.0.1:2 stray"),
            ("A://fe80::1:9", "A://[fe80::1]:9"),
            ("A_b-C://x_y.z:65535", "A_B-C://x_y.z:65535"),
            ("", ""),
        ] {
            assert_eq!(shown(text).as_deref(), Ok(expected), "{text}");
        }
        for text in
            ["localhost:9092", "A://x", "A://x:70000", "A://x:-1", "A://[::1:9", "://x:1", "A://x y:1"]
        {
            assert_eq!(shown(text), Err(format!("Unable to parse {text} to a broker endpoint")));
        }
    }

    #[test]
    fn wildcards() {
        for (text, expected) in
            [("A://:1", true), ("A://0.0.0.0:1", true), ("A://[::]:1", true), ("A://localhost:1", false)]
        {
            assert_eq!(parse_endpoints(text).unwrap().endpoints[0].is_wildcard(), expected, "{text}");
        }
    }

    #[test]
    fn protocol_maps() {
        let map = parse_protocol_map("client:plaintext,X:SASL_SSL,").unwrap();
        assert_eq!(map["CLIENT"], SecurityProtocol::Plaintext);
        assert_eq!(map["X"], SecurityProtocol::SaslSsl);
        assert!(parse_protocol_map("A:TLS").unwrap_err().starts_with("A:TLS: the protocol must be one of"));
        assert_eq!(parse_protocol_map("A").unwrap_err(), "A is not a pair NAME:PROTOCOL");
    }

    #[test]
    fn conflicts() {
        for (text, conflict) in [
            ("A://:1,B://:2", None),
            ("A://:0,B://:0", None),
            ("A://127.0.0.1:1,B://[::1]:1", None),
            ("A://:1,A://:2", Some("different name")),
            ("A://:1,B://:1", Some("different port")),
            ("A://127.0.0.1:1,B://127.0.0.2:1", Some("different port")),
            ("A://127.0.0.1:1,B://[::1]:1,C://[::2]:1", Some("different port")),
        ] {
            let found = find_conflict(&parse_endpoints(text).unwrap().endpoints);
            match conflict {
                None => assert_eq!(found, None, "{text}"),
                Some(part) => assert!(found.is_some_and(|found| found.contains(part)), "{text}"),
            }
        }
    }
}
