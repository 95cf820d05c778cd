//! How bytes get to a broker. Plain TCP; what encrypts or authenticates goes in here, as another [`Socket`].

use super::config::ClientConfig;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};

/// A stream of bytes in both directions.
pub(super) trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Socket for T {}

/// Connects to the first address of `host` that accepts. A name without an address is an error of the kind
/// `NotFound`, which no connection attempt gives.
pub(super) async fn open(host: &str, port: u16, config: &ClientConfig) -> io::Result<Box<dyn Socket>> {
    let connecting = async {
        let unknown = |error: io::Error| io::Error::new(io::ErrorKind::NotFound, error.to_string());
        let addresses: Vec<SocketAddr> = lookup_host((host, port)).await.map_err(unknown)?.collect();
        TcpStream::connect(addresses.as_slice()).await
    };
    let stream = tokio::time::timeout(config.request_timeout, connecting)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    stream.set_nodelay(true)?;
    Ok(Box::new(stream))
}
