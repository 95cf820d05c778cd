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
    next: u64,
    stopping: bool,
}

/// A registered connection; it is forgotten when this is dropped, which must be before its socket is closed.
#[derive(Debug)]
pub(crate) struct Registered {
    registry: Arc<Registry>,
    id: u64,
    ip: IpAddr,
}

/// Limits on the number of connections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// `max.connections`.
    pub(crate) connections_max: usize,
    /// `max.connections.per.ip`.
    pub(crate) per_ip_max: usize,
}

impl Registry {
    /// Takes a connection in, or says which limit forbids it.
    pub(crate) fn register(
        self: &Arc<Self>,
        socket: RawFd,
        ip: IpAddr,
        limits: Limits,
    ) -> Result<Registered, String> {
        let mut open = self.open.lock();
        if open.stopping {
            return Err("the broker is stopping".into());
        }
        if open.sockets.len() >= limits.connections_max {
            return Err(format!("max.connections={} are open", limits.connections_max));
        }
        let of_ip = open.by_ip.entry(ip).or_default();
        if *of_ip >= limits.per_ip_max {
            return Err(format!("max.connections.per.ip={} are open from {ip}", limits.per_ip_max));
        }
        *of_ip += 1;
        let id = open.next;
        open.next += 1;
        open.sockets.insert(id, socket);
        Ok(Registered { registry: self.clone(), id, ip })
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
        if open.sockets.is_empty() {
            self.registry.closed.notify_waiters();
        }
    }
}
