//! Which address a client is told to come back to.
//!
//! Kafka tells every client `advertised.listeners`, right or wrong, and a wrong one is the error that people meet
//! first. Here an address that was not given is taken from the connection, and `localhost` is never told to somebody
//! who is elsewhere.

use parking_lot::Mutex;
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Peers that are remembered as warned; beyond it the warning is only given to the first ones.
const WARNED_MAX: usize = 1024;

/// What the configuration says of a listener.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Listener<'a> {
    /// Its `advertised.listeners` entry, or else its `listeners` entry. An empty or wildcard host, and port 0, mean
    /// that the connection decides.
    pub(crate) advertised: (&'a str, u16),
    /// `milena.advertise.auto`: whether the connection may decide at all. Without it the configured host is told
    /// as it stands, as Kafka does.
    pub(crate) auto: bool,
}

/// What is known of the network the process lives in.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Surroundings {
    /// The default gateway: whoever comes from there came through a published port of a container.
    pub(crate) gateway: Option<IpAddr>,
    /// Published ports are reached on the client's own `localhost`: containers inside a virtual machine on a desktop.
    pub(crate) published_on_localhost: bool,
}

impl Surroundings {
    /// Looks around: the routing table names the gateway, the kernel's version the desktop products.
    pub(crate) fn detect() -> Self {
        let routes = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let desktop = ["linuxkit", "orbstack", "microsoft"].iter().any(|name| kernel.contains(name));
        Self { gateway: default_gateway(&routes), published_on_localhost: desktop }
    }
}

/// An address to come back to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// Name or address.
    pub(crate) host: String,
    /// TCP port.
    pub(crate) port: u16,
    /// A configured loopback address was replaced, because the peer is elsewhere.
    pub(crate) rescued: bool,
}

/// The address for a client at `peer` that came in by `local`.
pub(crate) fn endpoint(
    listener: Listener<'_>,
    peer: SocketAddr,
    local: SocketAddr,
    around: Surroundings,
) -> Endpoint {
    let (peer_ip, local_ip) = (peer.ip().to_canonical(), local.ip().to_canonical());
    let by_connection = |rescued| Endpoint { host: local_ip.to_string(), port: local.port(), rescued };
    let here = peer_ip.is_loopback() || peer_ip == local_ip;
    let through_gateway = around.gateway.is_some_and(|gateway| gateway.to_canonical() == peer_ip);

    let (host, port) = listener.advertised;
    if !is_open(host) || !listener.auto {
        if listener.auto && is_loopback(host) && !here && !through_gateway {
            return by_connection(true);
        }
        let host = if is_open(host) { local_ip.to_string() } else { host.to_owned() };
        return Endpoint { host, port: if port == 0 { local.port() } else { port }, rescued: false };
    }
    if peer_ip.is_loopback() || (through_gateway && around.published_on_localhost) {
        return Endpoint { host: "localhost".to_owned(), port: local.port(), rescued: false };
    }
    by_connection(false)
}

/// Reads the default gateway out of Linux's `/proc/net/route`.
pub(crate) fn default_gateway(route_table: &str) -> Option<IpAddr> {
    const UP_AND_GATEWAY: u16 = 0x3;
    route_table.lines().skip(1).find_map(|line| {
        let mut fields = line.split_whitespace();
        let (destination, gateway, flags) = (fields.nth(1)?, fields.next()?, fields.next()?);
        let flags = u16::from_str_radix(flags, 16).ok()?;
        if destination != "00000000" || flags & UP_AND_GATEWAY != UP_AND_GATEWAY {
            return None;
        }
        // The kernel prints the four bytes as one number of the machine's byte order.
        let address = u32::from_str_radix(gateway, 16).ok()?;
        Some(IpAddr::V4(Ipv4Addr::from(address.to_ne_bytes())))
    })
}

/// Tells clients where to come back to, and says once per client when it corrected the configuration.
#[derive(Debug, Default)]
pub(crate) struct Advertiser {
    around: Surroundings,
    warned: Mutex<HashSet<IpAddr>>,
}

impl Advertiser {
    /// For a process in these surroundings.
    pub(crate) fn new(around: Surroundings) -> Self {
        Self { around, warned: Mutex::default() }
    }

    /// The address for a client at `peer` that came in by `local`.
    pub(crate) fn endpoint(
        &self,
        listener: Listener<'_>,
        peer: SocketAddr,
        local: SocketAddr,
    ) -> (String, u16) {
        let told = endpoint(listener, peer, local, self.around);
        if told.rescued && self.is_news(peer.ip()) {
            let (ip, (host, port)) = (peer.ip().to_canonical(), listener.advertised);
            tracing::warn!(
                "client {ip} was told {}:{} instead of {host}:{port}: {host} is not reachable from there (advertised.listeners)",
                told.host,
                told.port
            );
        }
        (told.host, told.port)
    }

    fn is_news(&self, peer: IpAddr) -> bool {
        let mut warned = self.warned.lock();
        warned.len() < WARNED_MAX && warned.insert(peer)
    }
}

/// The connection decides about such a host.
fn is_open(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.is_empty() || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified())
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::{Advertiser, Listener, Surroundings, default_gateway, endpoint};
    use std::net::IpAddr;

    const DESKTOP: Surroundings = Surroundings {
        gateway: Some(IpAddr::V4(std::net::Ipv4Addr::new(172, 17, 0, 1))),
        published_on_localhost: true,
    };
    const LINUX: Surroundings = Surroundings { published_on_localhost: false, ..DESKTOP };
    const BARE: Surroundings = Surroundings { gateway: None, published_on_localhost: false };

    #[test]
    fn the_address_a_client_is_told() {
        #[rustfmt::skip]
        let rows = [
            // advertised                auto   peer                local                  around   told               port   rescued
            // Given and reachable: as Kafka.
            (("kafka.example", 9092),    true,  "10.0.0.5:4000",    "10.0.0.1:9092",       BARE,    "kafka.example",   9092,  false),
            (("10.0.0.1", 19092),        true,  "10.0.0.5:4000",    "10.0.0.1:9092",       BARE,    "10.0.0.1",        19092, false),
            (("localhost", 9092),        true,  "127.0.0.1:4000",   "127.0.0.1:9092",      LINUX,   "localhost",       9092,  false),
            (("localhost", 9092),        true,  "[::1]:4000",       "[::1]:9092",          LINUX,   "localhost",       9092,  false),
            (("localhost", 29092),       true,  "172.17.0.1:4000",  "172.17.0.2:9092",     LINUX,   "localhost",       29092, false),
            (("localhost", 9092),        true,  "10.0.0.1:4000",    "10.0.0.1:9092",       BARE,    "localhost",       9092,  false),
            (("kafka", 0),               true,  "10.0.0.5:4000",    "10.0.0.1:41234",      BARE,    "kafka",           41234, false),
            // Given as loopback, asked from elsewhere: rescued.
            (("localhost", 9092),        true,  "172.17.0.5:4000",  "172.17.0.2:9092",     LINUX,   "172.17.0.2",      9092,  true),
            (("LOCALHOST", 9092),        true,  "172.17.0.5:4000",  "172.17.0.2:9092",     LINUX,   "172.17.0.2",      9092,  true),
            (("127.0.0.1", 29092),       true,  "172.17.0.5:4000",  "172.17.0.2:9092",     DESKTOP, "172.17.0.2",      9092,  true),
            (("[::1]", 9092),            true,  "[fd00::5]:4000",   "[fd00::2]:9092",      BARE,    "fd00::2",         9092,  true),
            (("localhost", 9092),        true,  "[::ffff:172.17.0.5]:4000", "[::ffff:172.17.0.2]:9092", LINUX, "172.17.0.2", 9092, true),
            (("localhost", 9092),        false, "172.17.0.5:4000",  "172.17.0.2:9092",     LINUX,   "localhost",       9092,  false),
            // Not given: the connection decides.
            (("", 9092),                 true,  "127.0.0.1:4000",   "127.0.0.1:9092",      BARE,    "localhost",       9092,  false),
            (("0.0.0.0", 9092),          true,  "[::1]:4000",       "[::1]:9092",          BARE,    "localhost",       9092,  false),
            (("0.0.0.0", 0),             true,  "127.0.0.1:4000",   "127.0.0.1:40001",     BARE,    "localhost",       40001, false),
            (("0.0.0.0", 9092),          true,  "172.17.0.1:4000",  "172.17.0.2:9092",     DESKTOP, "localhost",       9092,  false),
            (("0.0.0.0", 9092),          true,  "172.17.0.1:4000",  "172.17.0.2:9092",     LINUX,   "172.17.0.2",      9092,  false),
            (("[::]", 9092),             true,  "10.0.0.5:4000",    "10.0.0.1:9092",       BARE,    "10.0.0.1",        9092,  false),
            (("::", 9092),               true,  "[::ffff:127.0.0.1]:4000", "[::ffff:127.0.0.1]:9092", BARE, "localhost",  9092,  false),
            (("", 9092),                 false, "10.0.0.5:4000",    "10.0.0.1:9092",       BARE,    "10.0.0.1",        9092,  false),
        ];
        for (advertised, auto, peer, local, around, host, port, rescued) in rows {
            let told = endpoint(
                Listener { advertised, auto },
                peer.parse().unwrap(),
                local.parse().unwrap(),
                around,
            );
            let row = format!("{advertised:?} auto={auto} {peer} -> {local}");
            assert_eq!((told.host.as_str(), told.port, told.rescued), (host, port, rescued), "{row}");
        }
    }

    #[test]
    fn a_rescue_is_news_once_per_client() {
        let advertiser = Advertiser::new(LINUX);
        let peer: IpAddr = "172.17.0.5".parse().unwrap();
        assert!(advertiser.is_news(peer));
        assert!(!advertiser.is_news(peer));
        assert!(advertiser.is_news("172.17.0.6".parse().unwrap()));
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn the_gateway_is_read_from_the_route_table() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n\
                     eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\n\
                     eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\n";
        assert_eq!(default_gateway(table), Some("172.17.0.1".parse().unwrap()));
        assert_eq!(default_gateway("Iface\tDestination\n"), None);
        assert_eq!(default_gateway(""), None);
        assert_eq!(default_gateway("h\neth0\t00000000\tzz\t0003\n"), None);
    }
}
