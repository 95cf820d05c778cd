//! What one request has used, and the answer that says so.

use super::{ANONYMOUS, Resource};
use crate::broker::Broker;
use kafka_protocol::messages::ApiKey;
use milena_protocol::gather::Gather;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Percent of a thread in a nanosecond of each second.
const PERCENT_OF_NANOSECOND: f64 = 100.0 / 1e9;

/// A request of a client that may have a quota.
#[derive(Debug)]
pub(crate) struct Meter {
    /// The broker.
    pub(crate) broker: Arc<Broker>,
    /// What was asked.
    pub(crate) key: ApiKey,
    /// In which version.
    pub(crate) version: i16,
    /// By whom.
    pub(crate) client_id: String,
    /// Bytes of the request.
    pub(crate) request_bytes: usize,
    /// Milliseconds of silence for the changes of metadata that it asked for.
    pub(crate) mutation_throttle: i64,
    /// Time of the thread that handled it.
    pub(crate) spent: Duration,
    /// Where the connection learns for how many milliseconds it should not read.
    pub(crate) silence: Arc<AtomicU32>,
}

impl Meter {
    /// Counts an answered request; the answer is the frame that begins at `start` of the inline bytes. It is told the
    /// throttle time, and its connection is.
    pub(crate) fn answered(&self, out: &mut Gather, start: usize) {
        let bytes = out.bytes_mut();
        let Some(frame) = bytes.get_mut(start..) else { return };
        let Some(length) = frame.first_chunk::<4>().map(|length| i32::from_be_bytes(*length)) else { return };
        let throttle = self.own(f64::from(length)).max(self.time());
        let throttle = i32::try_from(throttle).unwrap_or(i32::MAX);
        if throttle == 0 {
            return;
        }
        if let Some(place) = throttle_place(self.key, self.version, frame)
            && let Some(field) = frame.get_mut(place..place + 4)
        {
            // The handler may have said so already, and what it said was of the moment before.
            field.copy_from_slice(&throttle.to_be_bytes());
        }
        self.silence(throttle);
    }

    /// Counts a produce that gets no answer. Its time is free, as in Kafka.
    pub(crate) fn unanswered(&self) {
        self.silence(i32::try_from(self.own(0.0)).unwrap_or(i32::MAX));
    }

    fn silence(&self, throttle: i32) {
        self.silence.fetch_max(u32::try_from(throttle).unwrap_or(0), Ordering::Relaxed);
    }

    /// Milliseconds of silence by the quota that this kind of request has of its own.
    fn own(&self, response_bytes: f64) -> i64 {
        match self.key {
            ApiKey::Produce => self.record(Resource::Produce, self.request_bytes as f64),
            ApiKey::Fetch => self.record(Resource::Fetch, response_bytes),
            ApiKey::CreateTopics | ApiKey::CreatePartitions | ApiKey::DeleteTopics => self.mutation_throttle,
            _ => 0,
        }
    }

    /// Milliseconds of silence by the quota on time, which counts for all but what brokers send.
    fn time(&self) -> i64 {
        match self.key {
            ApiKey::WriteTxnMarkers => 0,
            _ => self.record(Resource::Request, self.spent.as_nanos() as f64 * PERCENT_OF_NANOSECOND),
        }
    }

    fn record(&self, resource: Resource, used: f64) -> i64 {
        let steady_ms = self.broker.clock.steady_ms();
        self.broker.quotas.record(resource, ANONYMOUS, &self.client_id, used, steady_ms)
    }
}

/// Where the throttle time is in the inline bytes of a response frame.
fn throttle_place(key: ApiKey, version: i16, frame: &[u8]) -> Option<usize> {
    let len = frame.len();
    let flexible = key.response_header_version(version) > 0;
    let body = 8 + usize::from(flexible);
    let since = match key {
        // Behind all topics, and before the tags, of which there are none.
        ApiKey::Produce => return len.checked_sub(4 + usize::from(version >= 9)),
        ApiKey::OffsetDelete => return Some(body + 2),
        ApiKey::ApiVersions => return behind_versions(version, frame),
        ApiKey::DescribeQuorum
        | ApiKey::WriteTxnMarkers
        | ApiKey::SaslHandshake
        | ApiKey::SaslAuthenticate => return None,
        ApiKey::Metadata | ApiKey::OffsetCommit | ApiKey::OffsetFetch => 3,
        ApiKey::ListOffsets | ApiKey::JoinGroup | ApiKey::OffsetForLeaderEpoch => 2,
        ApiKey::FindCoordinator
        | ApiKey::Heartbeat
        | ApiKey::LeaveGroup
        | ApiKey::SyncGroup
        | ApiKey::DescribeGroups
        | ApiKey::ListGroups => 1,
        _ => 0,
    };
    (version >= since).then_some(body)
}

/// In ApiVersions the throttle time is behind the list of requests: the last field, and from version 3 on before tags.
fn behind_versions(version: i16, frame: &[u8]) -> Option<usize> {
    /// Length, correlation id, error code.
    const LIST: usize = 10;
    /// Key, lowest and highest version, no tags.
    const ENTRY: usize = 7;
    match version {
        0 => None,
        1 | 2 => frame.len().checked_sub(4),
        // One byte of length, plus one, is enough for 126 entries; there are no more than 94 keys.
        _ => frame.get(LIST).map(|count| LIST + 1 + usize::from(*count).saturating_sub(1) * ENTRY),
    }
}

#[cfg(test)]
mod tests {
    use super::throttle_place;
    use crate::api::{Outcome, TABLE, handle};
    use crate::controller::testing::TestBroker;
    use bytes::{Buf, BytesMut};
    use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse, RequestHeader};
    use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
    use milena_protocol::gather::Gather;

    #[test]
    fn the_place_in_api_versions_is_behind_a_list() {
        let broker = TestBroker::new(&[]);
        let row = TABLE.iter().find(|row| row.key == ApiKey::ApiVersions).unwrap();
        let name = StrBytes::from_static_str("a");
        for version in row.min..=row.max {
            let mut asked = BytesMut::new();
            let header = RequestHeader::default()
                .with_request_api_key(row.key as i16)
                .with_request_api_version(version);
            header.encode(&mut asked, row.key.request_header_version(version)).unwrap();
            let request = match version {
                0..=2 => ApiVersionsRequest::default(),
                _ => ApiVersionsRequest::default()
                    .with_client_software_name(name.clone())
                    .with_client_software_version(name.clone()),
            };
            request.encode(&mut asked, version).unwrap();
            let mut out = Gather::default();
            assert!(matches!(handle(&broker.broker, &broker.connection, &asked, &mut out), Outcome::Written));
            let mut frame = out.bytes().to_vec();
            let Some(place) = throttle_place(row.key, version, &frame) else {
                assert_eq!(version, 0);
                continue;
            };
            frame[place..place + 4].copy_from_slice(&7_i32.to_be_bytes());
            let mut frame = bytes::Bytes::from(frame);
            frame.advance(8);
            let read = ApiVersionsResponse::decode(&mut frame, version).unwrap();
            assert!(frame.is_empty());
            assert_eq!((read.throttle_time_ms, read.api_keys.len()), (7, TABLE.len()), "v{version}");
        }
    }
}
