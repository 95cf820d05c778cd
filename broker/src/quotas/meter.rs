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
        let throttle = self.throttle(length);
        if throttle == 0 {
            return;
        }
        if let Some(place) = throttle_place(self.key, self.version, frame.len())
            && let Some(field) = frame.get_mut(place..place + 4)
        {
            // The handler may have said so already, and what it said was of the moment before.
            field.copy_from_slice(&throttle.to_be_bytes());
        }
        self.silence(throttle);
    }

    /// Counts a request that gets no answer.
    pub(crate) fn unanswered(&self) {
        let throttle = self.throttle(0);
        self.silence(throttle);
    }

    fn silence(&self, throttle: i32) {
        self.silence.fetch_max(u32::try_from(throttle).unwrap_or(0), Ordering::Relaxed);
    }

    fn throttle(&self, response_bytes: i32) -> i32 {
        let quotas = &self.broker.quotas;
        let now_ms = self.broker.clock.now_ms();
        let record = |resource, used| quotas.record(resource, ANONYMOUS, &self.client_id, used, now_ms);
        let own = match self.key {
            ApiKey::Produce => record(Resource::Produce, self.request_bytes as f64),
            ApiKey::Fetch => record(Resource::Fetch, f64::from(response_bytes)),
            ApiKey::CreateTopics | ApiKey::CreatePartitions | ApiKey::DeleteTopics => self.mutation_throttle,
            // Sent by brokers and by connections that begin.
            ApiKey::WriteTxnMarkers | ApiKey::ApiVersions => return 0,
            _ => 0,
        };
        let time = record(Resource::Request, self.spent.as_nanos() as f64 * PERCENT_OF_NANOSECOND);
        i32::try_from(own.max(time)).unwrap_or(i32::MAX)
    }
}

/// Where the throttle time is in a response frame of so many inline bytes.
fn throttle_place(key: ApiKey, version: i16, len: usize) -> Option<usize> {
    let flexible = key.response_header_version(version) > 0;
    let body = 8 + usize::from(flexible);
    let since = match key {
        // Behind all topics, and before the tags, of which there are none.
        ApiKey::Produce => return len.checked_sub(4 + usize::from(version >= 9)),
        ApiKey::OffsetDelete => return Some(body + 2),
        ApiKey::DescribeQuorum
        | ApiKey::WriteTxnMarkers
        | ApiKey::ApiVersions
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
