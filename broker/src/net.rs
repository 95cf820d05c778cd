//! Sockets: listeners, connections, and how answers reach the wire.

pub(crate) mod connection;
pub(crate) mod descriptors;
pub(crate) mod listener;
pub(crate) mod registry;
pub(crate) mod sendfile;
