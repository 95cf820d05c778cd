//! One connection: versions, correlation ids, frames.

use super::config::ClientConfig;
use super::error::{ClientError, api_name};
use super::transport::{Socket, open};
use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, RequestHeader, api_versions_response::ApiVersion,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Message, Request, StrBytes};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The most bytes of one answer. Fetches ask for far less.
const FRAME_MAX: usize = 512 << 20;
/// The newest versions that name topics and not their ids.
const NAMED: [(ApiKey, i16); 4] =
    [(ApiKey::Produce, 12), (ApiKey::Fetch, 12), (ApiKey::OffsetCommit, 9), (ApiKey::OffsetFetch, 9)];
/// Version of ApiVersions to begin with: brokers that do not know it say which ones they know.
const API_VERSIONS: i16 = 3;

/// A connection of which the versions are known.
pub(crate) struct Connection {
    socket: Box<dyn Socket>,
    address: String,
    client_id: StrBytes,
    timeout: Duration,
    next_id: i32,
    received: BytesMut,
    versions: ApiVersionsResponse,
}

impl Connection {
    /// Connects and asks for the versions.
    ///
    /// # Errors
    /// Nobody listens, or who does is no Kafka broker.
    pub(crate) async fn open(host: &str, port: u16, config: &ClientConfig) -> Result<Self, ClientError> {
        let address = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let socket = open(host, port, config).await.map_err(|source| ClientError::Io {
            address: address.clone(),
            api: "connect".into(),
            source,
        })?;
        let mut connection = Self {
            socket,
            address,
            client_id: super::string(&config.client_id),
            timeout: config.request_timeout,
            next_id: 0,
            received: BytesMut::new(),
            versions: ApiVersionsResponse::default(),
        };
        connection.versions = connection.ask_versions().await?;
        Ok(connection)
    }

    /// Sends a request in the newest version that both sides know, and waits for the answer.
    ///
    /// # Errors
    /// See [`ClientError`]. Error codes within the answer are for the caller to read.
    pub(crate) async fn call<R: Request>(&mut self, request: &R) -> Result<R::Response, ClientError> {
        self.call_with::<R, &R>(|_| request).await
    }

    /// Like [`Connection::call`], for requests that are put differently in different versions.
    pub(crate) async fn call_with<R: Request, B: std::borrow::Borrow<R>>(
        &mut self,
        request: impl FnOnce(i16) -> B,
    ) -> Result<R::Response, ClientError> {
        let version = self.version_of::<R>()?;
        let request = request(version);
        let body = self.exchange::<R>(request.borrow(), version).await?;
        self.decode::<R>(body, version)
    }

    /// Like [`Connection::call`], for answers that may take longer than others.
    pub(crate) async fn call_within<R: Request>(
        &mut self,
        request: &R,
        timeout: Duration,
    ) -> Result<R::Response, ClientError> {
        let usual = std::mem::replace(&mut self.timeout, timeout);
        let answer = self.call(request).await;
        self.timeout = usual;
        answer
    }

    /// Sends a request that the broker does not answer: a produce with `acks=0`.
    pub(crate) async fn send_only<R: Request>(&mut self, request: &R) -> Result<(), ClientError> {
        let version = self.version_of::<R>()?;
        let frame = self.frame::<R>(request, version)?;
        self.socket.write_all(&frame).await.map_err(|source| self.broken(R::KEY, source))
    }

    /// The version that [`Connection::call`] would use.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn version_of<R: Request>(&self) -> Result<i16, ClientError> {
        let ours = R::Response::VERSIONS.intersect(&<R as Message>::VERSIONS);
        let cap =
            NAMED.iter().find(|(api, _)| *api as i16 == R::KEY).map_or(i16::MAX, |(_, version)| *version);
        let unsupported =
            || ClientError::Unsupported { address: self.address.clone(), api: api_name(R::KEY) };
        let theirs = self.apis().iter().find(|api| api.api_key == R::KEY).ok_or_else(unsupported)?;
        let version = ours.max.min(cap).min(theirs.max_version);
        if version < ours.min.max(theirs.min_version) { Err(unsupported()) } else { Ok(version) }
    }

    /// Host and port.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The APIs and versions that the broker supports.
    pub(crate) fn apis(&self) -> &[ApiVersion] {
        &self.versions.api_keys
    }

    async fn ask_versions(&mut self) -> Result<ApiVersionsResponse, ClientError> {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(StrBytes::from_static_str("milena"))
            .with_client_software_version(StrBytes::from_static_str(env!("CARGO_PKG_VERSION")));
        let body = self.exchange::<ApiVersionsRequest>(&request, API_VERSIONS).await?;
        // An old broker answers in version 0, with error 35 in front.
        let is_old = body.starts_with(&35_i16.to_be_bytes());
        let answer = self.decode::<ApiVersionsRequest>(body, if is_old { 0 } else { API_VERSIONS })?;
        if !is_old {
            super::check(ApiKey::ApiVersions as i16, answer.error_code, None)?;
        }
        Ok(answer)
    }

    fn frame<R: Request>(&mut self, request: &R, version: i16) -> Result<BytesMut, ClientError> {
        let malformed = |error: &dyn std::fmt::Display| ClientError::Malformed {
            address: self.address.clone(),
            api: api_name(R::KEY),
            reason: format!("version {version} cannot carry this request: {error}"),
        };
        self.next_id = self.next_id.wrapping_add(1);
        let header = RequestHeader::default()
            .with_request_api_key(R::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.next_id)
            .with_client_id(Some(self.client_id.clone()));
        let mut frame = BytesMut::from(&[0; 4][..]);
        header.encode(&mut frame, R::header_version(version)).map_err(|e| malformed(&e))?;
        request.encode(&mut frame, version).map_err(|e| malformed(&e))?;
        let length = i32::try_from(frame.len() - 4).map_err(|e| malformed(&e))?;
        frame[..4].copy_from_slice(&length.to_be_bytes());
        Ok(frame)
    }

    /// Sends a request and gives the body of the answer to it.
    async fn exchange<R: Request>(&mut self, request: &R, version: i16) -> Result<Bytes, ClientError> {
        let frame = self.frame::<R>(request, version)?;
        let wanted = self.next_id;
        let timeout = self.timeout;
        let conversation = async {
            self.socket.write_all(&frame).await?;
            loop {
                let mut answer = self.receive().await?;
                if answer.remaining() < 4 {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "a frame without a correlation id",
                    ));
                }
                // What an earlier call gave up waiting for.
                if answer.get_i32() == wanted {
                    return Ok(answer);
                }
            }
        };
        let mut body = match tokio::time::timeout(timeout, conversation).await {
            Ok(outcome) => outcome.map_err(|source| self.broken(R::KEY, source))?,
            Err(_) => {
                let (address, api) = (self.address.clone(), api_name(R::KEY));
                return Err(ClientError::Timeout { address, api, ms: timeout.as_millis() });
            }
        };
        // ApiVersions has the old header in all versions, for brokers that do not know the asked one.
        if R::Response::header_version(version) > 0 && R::KEY != ApiKey::ApiVersions as i16 {
            skip_tags(&mut body).ok_or_else(|| self.malformed(R::KEY, "the header is cut off"))?;
        }
        Ok(body)
    }

    fn decode<R: Request>(&self, mut body: Bytes, version: i16) -> Result<R::Response, ClientError> {
        R::Response::decode(&mut body, version).map_err(|e| self.malformed(R::KEY, &e.to_string()))
    }

    /// The next frame without its length.
    async fn receive(&mut self) -> io::Result<Bytes> {
        loop {
            if let Some(prefix) = self.received.first_chunk::<4>() {
                let length = usize::try_from(i32::from_be_bytes(*prefix)).unwrap_or(usize::MAX);
                if length > FRAME_MAX {
                    let text = format!("{length} bytes announced: no Kafka broker answers like this");
                    return Err(io::Error::new(io::ErrorKind::InvalidData, text));
                }
                if self.received.len() - 4 >= length {
                    self.received.advance(4);
                    return Ok(self.received.split_to(length).freeze());
                }
            }
            if self.socket.read_buf(&mut self.received).await? == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the broker closed the connection"));
            }
        }
    }

    fn broken(&self, key: i16, source: io::Error) -> ClientError {
        ClientError::Io { address: self.address.clone(), api: api_name(key), source }
    }

    fn malformed(&self, key: i16, reason: &str) -> ClientError {
        let (address, api) = (self.address.clone(), api_name(key));
        ClientError::Malformed { address, api, reason: reason.to_owned() }
    }
}

/// Takes the tagged fields of a response header off the front.
fn skip_tags(body: &mut Bytes) -> Option<()> {
    for _ in 0..unsigned_varint(body)? {
        unsigned_varint(body)?;
        let length = usize::try_from(unsigned_varint(body)?).ok()?;
        if length > body.len() {
            return None;
        }
        body.advance(length);
    }
    Some(())
}

fn unsigned_varint(body: &mut Bytes) -> Option<u32> {
    let mut value = 0_u32;
    for shift in (0..35).step_by(7) {
        if body.is_empty() {
            return None;
        }
        let byte = body.get_u8();
        value |= u32::from(byte & 0x7f).checked_shl(shift)?;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::skip_tags;
    use bytes::Bytes;

    #[test]
    fn tags_of_a_header_are_skipped_and_never_believed() {
        for (bytes, left) in [
            (&[0, 7][..], Some(1)),
            (&[1, 5, 2, 9, 9, 7], Some(1)),
            (&[2, 5, 0, 6, 1, 9], Some(0)),
            (&[], None),
            (&[1], None),
            (&[1, 5, 2, 9], None),
            (&[0xff, 0xff, 0xff, 0xff, 0x0f, 0], None),
            (&[0x80, 0x80, 0x80, 0x80, 0x80, 0], None),
        ] {
            let mut body = Bytes::copy_from_slice(bytes);
            let ok = skip_tags(&mut body).is_some();
            assert_eq!(ok.then(|| body.len()), left, "{bytes:?}");
        }
    }
}
