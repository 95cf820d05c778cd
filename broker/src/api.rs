//! The table of served APIs: key, versions, handler. Dispatch and the ApiVersions answer derive from it.
//!
//! A handler does four things: authorise, translate, delegate to one subsystem, assemble. Versions stop here:
//! nothing below `api/` branches on them. Adding an API is one file and one line in [`TABLE`].

mod create_partitions;
mod create_topics;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_topic_partitions;
mod init_producer_id;
mod metadata;
mod operations;

use crate::broker::Broker;
use crate::metadata::advertise::Listener;
use bytes::Bytes;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::{Decodable, Encodable};
use milena_protocol::gather::Gather;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

/// Who asks, and in which version.
pub(crate) struct Context<'a> {
    /// The broker.
    pub(crate) broker: &'a Arc<Broker>,
    /// Version of the request; the response has the same.
    pub(crate) version: i16,
    /// Echoed in the response header.
    pub(crate) correlation_id: i32,
    /// What the client calls itself ("" if it does not say).
    pub(crate) client_id: &'a str,
    /// The connection it came by.
    pub(crate) connection: &'a ConnectionInfo,
}

impl Context<'_> {
    /// Where this client is told to come back to: host, port, and the node id it finds there.
    pub(crate) fn endpoint(&self) -> (String, u16, i32) {
        let ConnectionInfo { peer, local, listener } = *self.connection;
        let network = &self.broker.config.network;
        let bound = network.listeners.get(listener).map(|listener| &listener.endpoint);
        let advertised = bound.map(|bound| {
            let own = network.advertised_listeners.iter().find(|advertised| advertised.name == bound.name);
            own.unwrap_or(bound)
        });
        let advertised = advertised.map_or(("", 0), |endpoint| (endpoint.host.as_str(), endpoint.port));
        let listener = Listener { advertised, auto: network.advertise_auto };
        let (host, port) = self.broker.advertiser.endpoint(listener, peer, local);
        (host, port, self.broker.controller.node_id())
    }
}

/// What is known of a connection from its start.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionInfo {
    /// The client's address.
    pub(crate) peer: SocketAddr,
    /// The address it came in by.
    pub(crate) local: SocketAddr,
    /// Index of the listener in the configuration.
    pub(crate) listener: usize,
}

/// A future that a handler leaves behind when it cannot answer at once; it must not block a thread.
pub(crate) type Pending<R> = Pin<Box<dyn Future<Output = R> + Send>>;

/// What a handler answers.
pub(crate) enum Answer<R> {
    /// The response.
    Now(R),
    /// The response comes when the future is ready; later requests of the connection are answered after it.
    Later(Pending<R>),
}

impl<R> From<R> for Answer<R> {
    fn from(response: R) -> Self {
        Self::Now(response)
    }
}

/// What became of a request.
pub(crate) enum Outcome {
    /// The response was written.
    Written,
    /// The response (a whole frame) comes later.
    Later(Pending<Gather>),
    /// There is no response (acks=0).
    Nothing,
    /// The connection must be closed; the reason is for the log.
    Close(String),
}

type Handler = fn(&Context<'_>, &[u8], &mut Gather) -> Outcome;

/// One served API.
pub(crate) struct Row {
    /// Which.
    pub(crate) key: ApiKey,
    /// Lowest version that is decoded.
    pub(crate) min: i16,
    /// Highest version.
    pub(crate) max: i16,
    handler: Handler,
}

/// Decodes the request, calls the handler, encodes the response.
fn typed<Q: Decodable, R: Encodable + 'static>(
    cx: &Context<'_>,
    key: ApiKey,
    body: &[u8],
    out: &mut Gather,
    handler: fn(&Context<'_>, Q) -> Answer<R>,
) -> Outcome {
    let mut body = Bytes::copy_from_slice(body);
    let request = match Q::decode(&mut body, cx.version) {
        Ok(request) => request,
        Err(error) => return Outcome::Close(format!("{key:?} v{} cannot be read: {error}", cx.version)),
    };
    let (version, correlation_id) = (cx.version, cx.correlation_id);
    match handler(cx, request) {
        Answer::Now(response) => match encode(key, version, correlation_id, &response, out) {
            Ok(()) => Outcome::Written,
            Err(reason) => Outcome::Close(reason),
        },
        Answer::Later(pending) => Outcome::Later(Box::pin(async move {
            let response = pending.await;
            let mut out = Gather::default();
            if let Err(reason) = encode(key, version, correlation_id, &response, &mut out) {
                tracing::error!("{reason}");
            }
            out
        })),
    }
}

/// Writes a whole response frame.
fn encode<R: Encodable>(
    key: ApiKey,
    version: i16,
    correlation_id: i32,
    response: &R,
    out: &mut Gather,
) -> Result<(), String> {
    use bytes::BufMut;
    let start = out.begin_frame();
    out.bytes_mut().put_i32(correlation_id);
    if key.response_header_version(version) > 0 {
        out.bytes_mut().put_u8(0);
    }
    if let Err(error) = response.encode(out.bytes_mut(), version) {
        out.abandon_frame(start);
        return Err(format!("{key:?} v{version} response cannot be written: {error}"));
    }
    out.end_frame(start).map_err(|len| format!("{key:?} v{version} response of {len} bytes is too large"))
}

#[cfg(test)]
mod tests;
