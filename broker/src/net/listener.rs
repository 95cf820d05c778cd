//! Listening sockets: binding them, and turning what they accept into connections.

use crate::api::ConnectionInfo;
use crate::broker::Broker;
use crate::net::connection::Connection;
use crate::net::descriptors;
use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::Ipv6V6Only;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;

/// Binds every address that `host` stands for: an empty host is every address of the machine, `localhost` is both
/// 127.0.0.1 and ::1. A name that does not resolve here, or not to this machine, is bound as every address, with a
/// warning, because that is what people mean who write the name of a container.
///
/// # Errors
/// The system's, naming the address, when none could be bound.
pub(crate) fn bind(host: &str, port: u16) -> io::Result<Vec<TcpListener>> {
    if host.is_empty() || host == "0.0.0.0" || host == "::" {
        return bind_every(port);
    }
    let addresses: Vec<IpAddr> = if host == "localhost" {
        vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
    } else {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        (bare, port).to_socket_addrs().map(|all| all.map(|a| a.ip()).collect()).unwrap_or_default()
    };
    let (mut bound, mut port, mut failed) = (Vec::new(), port, None);
    for ip in addresses {
        match bind_one(SocketAddr::new(ip, port)) {
            Ok(listener) => {
                // Port 0: the other addresses of the name get the port that the first one was given.
                port = listener.local_addr()?.port();
                bound.push(listener);
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(error),
            Err(error) => failed = Some(error),
        }
    }
    if bound.is_empty() {
        let why = failed.map_or_else(|| "it does not resolve".to_owned(), |e| e.to_string());
        tracing::warn!(
            "listener host {host} is not an address of this machine ({why}); listening on every address"
        );
        return bind_every(port);
    }
    Ok(bound)
}

/// One socket for both families where there are two, `0.0.0.0` included, as in Java: a client that looks `localhost` up may find
/// `::1` first and try no other.
fn bind_every(port: u16) -> io::Result<Vec<TcpListener>> {
    let both = bind_one(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port));
    let bound = both.or_else(|_| bind_one(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port)));
    bound.map(|listener| vec![listener])
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if address.is_ipv6() && address.ip().is_unspecified() {
        // Whatever net.ipv6.bindv6only says.
        setsockopt(&socket, Ipv6V6Only, &false)?;
    }
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts connections until the task is aborted.
pub(crate) async fn accept(listener: TcpListener, index: usize, broker: Arc<Broker>) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let Some(stream) = admit(stream, peer, index, &broker).await else { continue };
                if let Err(reason) = start(stream, peer, index, &broker) {
                    tracing::warn!("refused a connection from {peer}: {reason}");
                }
            }
            Err(error) => {
                // Out of file descriptors or memory: let connections end before the next try.
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Waits if connections come too fast. One that comes too fast from its address is closed later, without holding up
/// others, so that its client does not come back at once.
async fn admit(stream: TcpStream, peer: SocketAddr, index: usize, broker: &Broker) -> Option<TcpStream> {
    let (quotas, rates) = (&broker.quotas.connections, broker.creation_rates(index));
    let wait_ms = quotas.arrived(index, rates, broker.clock.steady_ms());
    if wait_ms > 0 {
        tracing::debug!("connections come too fast: accepting waits for {wait_ms} ms");
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
    }
    let ip = peer.ip().to_canonical();
    let Some(closed_in_ms) = quotas.refused(index, rates, ip, broker.clock.steady_ms()) else {
        return Some(stream);
    };
    tracing::debug!("connections come too fast from {ip}: this one is closed in {closed_in_ms} ms");
    let held = quotas.hold()?;
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(closed_in_ms)).await;
        drop((stream, held));
    });
    None
}

fn start(stream: TcpStream, peer: SocketAddr, index: usize, broker: &Arc<Broker>) -> Result<(), String> {
    descriptors::admit(stream.as_raw_fd())?;
    let local = stream.local_addr().map_err(|e| e.to_string())?;
    stream.set_nodelay(true).map_err(|e| e.to_string())?;
    let ip = peer.ip().to_canonical();
    let registered =
        broker.connections().register(stream.as_raw_fd(), ip, index, broker.connection_limits(index, ip))?;
    let info = ConnectionInfo {
        peer: canonical(peer),
        local: canonical(local),
        listener: index,
        is_controller: index >= broker.config().network.listeners.len(),
        silence: Arc::default(),
        first_try: Arc::default(),
        deleted: Arc::default(),
    };
    tokio::spawn(Connection::new(stream, registered, info, broker.clone()).run());
    Ok(())
}

/// An IPv4 client of a dual-stack socket is shown as IPv4.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::bind;
    use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};

    #[tokio::test]
    async fn every_address_is_one_of_both_families() {
        let has_two = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
        for host in ["", "0.0.0.0", "::", "no.such.host.invalid"] {
            let bound = bind(host, 0).expect(host);
            let [listener] = &bound[..] else { panic!("{host}: {bound:?}") };
            let port = listener.local_addr().expect("an address").port();
            assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok(), "{host}");
            assert_eq!(TcpStream::connect((Ipv6Addr::LOCALHOST, port)).is_ok(), has_two, "{host}");
        }
    }
}
