//! `sd_notify(3)`: one datagram to the socket that `NOTIFY_SOCKET` names.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Tells the service manager, if there is one.
pub(super) fn send(state: &str) {
    if let Some(name) = env::var_os("NOTIFY_SOCKET")
        && let Err(error) = send_to(&name, state)
    {
        tracing::warn!("cannot notify the service manager at {}: {error}", name.display());
    }
}

/// A name that begins with `@` is in the abstract namespace.
fn send_to(name: &OsStr, state: &str) -> io::Result<()> {
    let address = match name.as_bytes() {
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest)?,
        _ => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.send_to_addr(state.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::send_to;
    use std::ffi::OsString;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    #[test]
    fn both_kinds_of_sockets_are_reached() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("notify");
        let name = format!("milena-{}", uuid::Uuid::new_v4());
        let abstract_name = SocketAddr::from_abstract_name(&name).expect("a name");
        for (socket, name) in [
            (UnixDatagram::bind(&path), path.clone().into_os_string()),
            (UnixDatagram::bind_addr(&abstract_name), OsString::from(format!("@{name}"))),
        ] {
            let socket = socket.expect("bound");
            send_to(&name, "READY=1\n").expect("sent");
            let mut bytes = [0; 64];
            let received = socket.recv(&mut bytes).expect("received");
            assert_eq!(&bytes[..received], b"READY=1\n");
        }
        assert!(send_to(dir.path().join("nobody").as_os_str(), "READY=1\n").is_err());
    }
}
