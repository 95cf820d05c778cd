//! The open connections: counted for the limits, reached when the broker stops.

use nix::sys::socket::{Shutdown, shutdown};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::os::fd::RawFd;
use std::sync::Arc;
use tokio::sync::Notify;

/// All open connections of a broker.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    open: Mutex<Open>,
    closed: Notify,
}

#[derive(Debug, Default)]
struct Open {
    sockets: HashMap<u64, RawFd>,
    by_ip: HashMap<IpAddr, usize>,
    by_listener: HashMap<usize, usize>,
    next: u64,
    stopping: bool,
}

/// A registered connection; it is forgotten when this is dropped, which must be before its socket is closed.
#[derive(Debug)]
pub(crate) struct Registered {
    registry: Arc<Registry>,
    id: u64,
    ip: IpAddr,
    listener: usize,
}

/// Limits on the number of connections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// `max.connections`.
    pub(crate) connections_max: usize,
    /// `listener.name.x.max.connections`.
    pub(crate) per_listener_max: usize,
    /// `max.connections.per.ip`.
    pub(crate) per_ip_max: usize,
}

impl Registry {
    /// Takes a connection in, or says which limit forbids it.
    pub(crate) fn register(
        self: &Arc<Self>,
        socket: RawFd,
        ip: IpAddr,
        listener: usize,
        limits: Limits,
    ) -> Result<Registered, String> {
        let mut open = self.open.lock();
        if open.stopping {
            return Err("the broker is stopping".into());
        }
        if open.sockets.len() >= limits.connections_max {
            return Err(format!("max.connections={} are open", limits.connections_max));
        }
        if open.by_listener.get(&listener).copied().unwrap_or(0) >= limits.per_listener_max {
            return Err(format!("max.connections={} of the listener are open", limits.per_listener_max));
        }
        if open.by_ip.get(&ip).copied().unwrap_or(0) >= limits.per_ip_max {
            return Err(format!("max.connections.per.ip={} are open from {ip}", limits.per_ip_max));
        }
        *open.by_ip.entry(ip).or_default() += 1;
        *open.by_listener.entry(listener).or_default() += 1;
        let id = open.next;
        open.next += 1;
        open.sockets.insert(id, socket);
        Ok(Registered { registry: self.clone(), id, ip, listener })
    }

    /// Ends the receiving side of every connection: each answers what it has read and closes. No new one is taken.
    pub(crate) fn stop(&self) {
        let mut open = self.open.lock();
        open.stopping = true;
        for socket in open.sockets.values() {
            // A client that is gone already is what we want.
            let _ = shutdown(*socket, Shutdown::Read);
        }
    }

    /// Waits until every connection is closed.
    pub(crate) async fn wait_closed(&self) {
        loop {
            let closed = self.closed.notified();
            if self.open.lock().sockets.is_empty() {
                return;
            }
            closed.await;
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut open = self.registry.open.lock();
        open.sockets.remove(&self.id);
        if let Some(n) = open.by_ip.get_mut(&self.ip) {
            *n -= 1;
            if *n == 0 {
                open.by_ip.remove(&self.ip);
            }
        }
        if let Some(n) = open.by_listener.get_mut(&self.listener) {
            *n -= 1;
        }
        if open.sockets.is_empty() {
            self.registry.closed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Limits, Registry};
    use std::net::IpAddr;
    use std::sync::Arc;

    #[test]
    fn each_limit_refuses_and_a_place_that_is_left_is_free() {
        let free = Limits { connections_max: 9, per_listener_max: 9, per_ip_max: 9 };
        let (here, there): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        for (limits, same, other_listener, other_ip) in [
            (Limits { connections_max: 1, ..free }, false, false, false),
            (Limits { per_listener_max: 1, ..free }, false, true, false),
            (Limits { per_ip_max: 1, ..free }, false, false, true),
            (Limits { per_ip_max: 0, ..free }, false, false, false),
            (free, true, true, true),
        ] {
            let registry = Arc::new(Registry::default());
            let first = registry.register(1, here, 0, limits);
            assert_eq!(first.is_ok(), limits.per_ip_max > 0, "{limits:?}");
            let fits = |ip, listener| registry.register(2, ip, listener, limits).is_ok();
            assert_eq!(fits(here, 0), same, "{limits:?}");
            assert_eq!(fits(here, 1), other_listener, "{limits:?}");
            assert_eq!(fits(there, 0), other_ip, "{limits:?}");
            drop(first);
            assert_eq!(fits(here, 0), limits.per_ip_max > 0, "{limits:?}");
        }
    }
}
