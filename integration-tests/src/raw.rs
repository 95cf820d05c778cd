//! A client that says exactly what it is told: whole frames, half frames and nonsense.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader};
use kafka_protocol::protocol::{Decodable, Encodable, Request, StrBytes};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

/// How long a test waits for bytes before it calls the broker stuck.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A request frame, length prefix included.
///
/// # Panics
/// If `version` cannot express the request.
#[must_use]
pub fn frame<R: Request>(correlation_id: i32, version: i16, request: &R) -> Vec<u8> {
    let mut body = BytesMut::new();
    request.encode(&mut body, version).expect("the request fits the version");
    frame_of(R::KEY, version, correlation_id, &body)
}

/// A request frame of an encoded body. The header has the version that the API asks for.
///
/// # Panics
/// If `key` is not an API of Kafka's.
#[must_use]
pub fn frame_of(key: i16, version: i16, correlation_id: i32, body: &[u8]) -> Vec<u8> {
    let header_version = ApiKey::try_from(key).expect("a known API").request_header_version(version);
    let mut out = BytesMut::from(&[0; 4][..]);
    RequestHeader::default()
        .with_request_api_key(key)
        .with_request_api_version(version)
        .with_correlation_id(correlation_id)
        .with_client_id(Some(StrBytes::from_static_str("raw")))
        .encode(&mut out, header_version)
        .expect("a header can be encoded");
    out.extend_from_slice(body);
    let len = u32::try_from(out.len() - 4).expect("a frame under 4 GiB");
    out[..4].copy_from_slice(&len.to_be_bytes());
    out.to_vec()
}

/// Decodes a response frame (without its length prefix): correlation id and response.
///
/// # Panics
/// If it cannot be decoded, or bytes are left over.
#[must_use]
pub fn decode<R: Request>(version: i16, frame: Vec<u8>) -> (i32, R::Response) {
    let mut body = Bytes::from(frame);
    let correlation_id = i32::from_be_bytes(body.split_to(4)[..].try_into().expect("four bytes"));
    if ApiKey::try_from(R::KEY).expect("a known API").response_header_version(version) > 0 {
        let tags = body.split_to(1);
        assert_eq!(tags[0], 0, "no tags in a response header");
    }
    let response = R::Response::decode(&mut body, version).expect("the response can be decoded");
    assert!(body.is_empty(), "{} bytes are left after the response to API {}", body.len(), R::KEY);
    (correlation_id, response)
}

/// One connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    next_id: i32,
}

impl Connection {
    /// Connects.
    ///
    /// # Panics
    /// If nobody listens at `address`.
    #[must_use]
    pub fn open(address: &str) -> Self {
        Self::try_open(address).unwrap_or_else(|error| panic!("{address}: {error}"))
    }

    /// Connects.
    ///
    /// # Errors
    /// If nobody listens at `address`.
    pub fn try_open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { stream, next_id: 1 })
    }

    /// The socket.
    #[must_use]
    pub const fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Sends a request and returns its correlation id.
    ///
    /// # Panics
    /// If the broker no longer listens.
    pub fn send<R: Request>(&mut self, version: i16, request: &R) -> i32 {
        let id = self.next_id;
        self.next_id += 1;
        self.send_bytes(&frame(id, version, request)).expect("the request can be sent");
        id
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// If the connection is closed.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// The next frame without its length prefix.
    ///
    /// # Errors
    /// `UnexpectedEof` if the broker closed the connection, `WouldBlock` after the read timeout.
    pub fn receive_frame(&mut self) -> io::Result<Vec<u8>> {
        let mut prefix = [0; 4];
        self.stream.read_exact(&mut prefix)?;
        let len = u64::from(u32::from_be_bytes(prefix));
        let mut body = Vec::new();
        let got = (&mut self.stream).take(len).read_to_end(&mut body)? as u64;
        if got < len { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(body) }
    }

    /// The next response: correlation id and body.
    ///
    /// # Panics
    /// If there is none.
    pub fn receive<R: Request>(&mut self, version: i16) -> (i32, R::Response) {
        decode::<R>(version, self.receive_frame().expect("the broker answers"))
    }

    /// Sends a request and waits for its response.
    ///
    /// # Panics
    /// If there is none, or it answers another request.
    pub fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        let id = self.send(version, request);
        let (answered, response) = self.receive::<R>(version);
        assert_eq!(answered, id, "responses come in the order of the requests");
        response
    }

    /// Whether the broker closes the connection without another byte.
    pub fn is_closed(&mut self) -> bool {
        let mut byte = [0];
        match self.stream.read(&mut byte) {
            Ok(0) => true,
            Ok(_) => false,
            Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
        }
    }

    /// Says that nothing more will be sent.
    pub fn finish(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Bounds how long the next reads wait.
    ///
    /// # Panics
    /// If `timeout` is zero.
    pub fn patience(&self, timeout: Duration) {
        self.stream.set_read_timeout(Some(timeout)).expect("a timeout over zero");
    }
}
