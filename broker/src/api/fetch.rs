//! Fetch (1), versions 4 to 18.
//!
//! * Records leave as file ranges (`sendfile`); below `milena.sendfile.min.bytes` they are copied.
//! * The first partition with data gets at least one whole batch, whatever the limits (KIP-74); batches are never cut.
//! * Answered at once if min_bytes are there, max_wait_ms is 0, nothing is asked, or a partition has an error;
//!   else the request is parked until appends to its partitions bring enough bytes, or the time is up. A partition
//!   that is not there does not count, unless no other was asked for; one that goes while the request waits does.
//! * min_bytes is no more than max_bytes, bytes count up to the limit in the middle of a batch, and who reads an older
//!   segment waits for nothing: a consumer that has fallen behind never waits.
//! * 7: sessions (KIP-227). 12: last fetched epoch, diverging epoch. 13: topics by id, an unknown one is
//!   UNKNOWN_TOPIC_ID. An offset outside the log: OFFSET_OUT_OF_RANGE.
//! * What is not in the page cache is read by another thread: indexes and batch headers here, the records when they are
//!   sent ([`crate::net::sendfile`]).

use super::{ApiKey, Context, Outcome};
use crate::broker::Broker;
use crate::error::{is_unknown, report, response_error};
use crate::fetch_sessions::{Asked, Role, Wanted, key};
use crate::metadata::Image;
use crate::partition::{Parked, Partition};
use crate::quotas::{ANONYMOUS, Resource};
use bytes::BufMut;
use indexmap::IndexMap;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::FetchRequest;
use milena_protocol::fetch::{self, PartitionResponse, Records, TopicResponse};
use milena_protocol::gather::Gather;
use milena_protocol::request;
use milena_storage::log::{Bound, Slice};
use milena_storage::page_cache;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// First version whose clients know KAFKA_STORAGE_ERROR.
const STORAGE_ERRORS: i16 = 6;
/// First version that names topics by id.
const TOPIC_IDS: i16 = 13;

/// A request, ready to be tried as often as needed.
struct Fetch {
    broker: Arc<Broker>,
    version: i16,
    correlation_id: i32,
    role: Role,
    wanted: Vec<(Wanted, Result<Arc<Partition>, ResponseError>)>,
    min_bytes: usize,
    max_bytes: usize,
    bound: Bound,
}

/// What one try found.
struct Found {
    partitions: Vec<PartitionResponse>,
    bytes: usize,
    /// Bytes as min_bytes counts them.
    counted: usize,
    failed: bool,
    /// The device has to be asked, and this try was not to wait for it: nothing else counts.
    blocked: bool,
    /// Ranges that may have to be read from the disk, or be verified, and which of the partitions they belong to.
    cold: Vec<(usize, Slice)>,
}

/// Whether a try may wait for the device.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Looking {
    AtOnce,
    Waiting,
}

pub(crate) fn handle(cx: &Context<'_>, body: &[u8], out: &mut Gather) -> Outcome {
    let request: FetchRequest = match request::decode(body, cx.version, false) {
        Ok(request) => request,
        Err(error) => return Outcome::Close(format!("Fetch v{} cannot be read: {error}", cx.version)),
    };
    let fetch = match Fetch::new(cx, &request) {
        Ok(fetch) => fetch,
        Err(error) => {
            let start = begin(cx.version, cx.correlation_id, out);
            let _ = fetch::write(out, cx.version, error.code(), 0, &[], 0);
            return out.end_frame(start).map_or_else(|n| Outcome::Close(too_large(n)), |()| Outcome::Written);
        }
    };
    let throttled = cx.broker.quotas.is_active()
        && cx.broker.quotas.throttle(Resource::Fetch, ANONYMOUS, cx.client_id, cx.broker.clock.steady_ms())
            > 0;
    if throttled {
        // Nothing at all is the answer that says so; when the client may ask again is filled in with the rest.
        let start = begin(cx.version, cx.correlation_id, out);
        let _ = fetch::write(out, cx.version, 0, fetch.role.id(), &[], 0);
        return out.end_frame(start).map_or_else(|n| Outcome::Close(too_large(n)), |()| Outcome::Written);
    }
    let wait = u64::try_from(request.max_wait_ms).unwrap_or(0);
    let found = fetch.look(Looking::AtOnce);
    let answers = |found: &Found| wait == 0 || fetch.wanted.is_empty() || fetch.is_enough(found);
    if !found.blocked && found.cold.is_empty() && answers(&found) {
        return match fetch.write(found.partitions, out) {
            Ok(()) => Outcome::Written,
            Err(reason) => Outcome::Close(reason),
        };
    }
    let deadline = Instant::now() + Duration::from_millis(wait);
    Outcome::Later(Box::pin(Arc::new(fetch).run(found, deadline)))
}

/// The least of `fetch.max.bytes` and what the quota of the client lets through at once.
fn fetch_max(cx: &Context<'_>) -> usize {
    let max = cx.broker.fetch_max();
    match cx.broker.quotas.is_active() {
        true => max.min(cx.broker.quotas.fetch_max(ANONYMOUS, cx.client_id)),
        false => max,
    }
}

fn begin(version: i16, correlation_id: i32, out: &mut Gather) -> milena_protocol::gather::FrameStart {
    let start = out.begin_frame();
    out.bytes_mut().put_i32(correlation_id);
    if ApiKey::Fetch.response_header_version(version) > 0 {
        out.bytes_mut().put_u8(0);
    }
    start
}

fn too_large(bytes: usize) -> String {
    format!("a fetch response of {bytes} bytes is too large")
}

/// A fetch that is registered with its partitions; dropping it takes it off again.
struct Waiting {
    fetch: Arc<Fetch>,
    parked: Arc<Parked>,
}

impl Waiting {
    fn new(fetch: Arc<Fetch>) -> Self {
        let parked = Parked::new();
        for (_, partition) in &fetch.wanted {
            if let Ok(partition) = partition {
                partition.park(&parked);
            }
        }
        Self { fetch, parked }
    }

    async fn run(self, deadline: Instant) -> Result<Gather, String> {
        loop {
            self.parked.look();
            // What was appended between the first look and the registration is seen by this look.
            let found = self.fetch.find().await?;
            if self.fetch.is_enough(&found) || self.fetch.broker.is_stopping() {
                return self.fetch.finish(found).await;
            }
            if self.parked.is_enough_without(self.fetch.min_bytes - found.counted) {
                continue;
            }
            if tokio::time::timeout_at(deadline, self.parked.enough.notified()).await.is_err() {
                let found = self.fetch.find().await?;
                return self.fetch.finish(found).await;
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        for (_, partition) in &self.fetch.wanted {
            if let Ok(partition) = partition {
                partition.unpark(&self.parked);
            }
        }
    }
}

impl Fetch {
    fn new(cx: &Context<'_>, request: &FetchRequest) -> Result<Self, ResponseError> {
        let image = cx.broker.controller.image();
        let by_id = cx.version >= TOPIC_IDS;
        let named = |name: &str, id: Uuid| -> (Arc<str>, Uuid) {
            match by_id {
                true => (image.topic_by_id(id).map(|topic| topic.name.clone()).unwrap_or_default(), id),
                false => {
                    (image.topic(name).map_or_else(|| name.into(), |topic| topic.name.clone()), Uuid::nil())
                }
            }
        };
        // Asked for twice, a partition is answered once, as it was asked for last.
        let mut wanted = IndexMap::new();
        for topic in &request.topics {
            let (name, id) = named(&topic.topic, topic.topic_id);
            for partition in &topic.partitions {
                let one = Wanted {
                    topic: name.clone(),
                    topic_id: id,
                    index: partition.partition,
                    offset: partition.fetch_offset,
                    max_bytes: usize::try_from(partition.partition_max_bytes).unwrap_or(0),
                    current_epoch: partition.current_leader_epoch.max(-1),
                    last_fetched_epoch: partition.last_fetched_epoch,
                };
                wanted.insert(one.key(), one);
            }
        }
        let mut forgotten = Vec::new();
        for topic in &request.forgotten_topics_data {
            let (name, id) = named(&topic.topic, topic.topic_id);
            forgotten.extend(topic.partitions.iter().map(|p| key(&name, id, *p)));
        }
        let steady_ms = cx.broker.clock.steady_ms();
        let asked =
            Asked { id: request.session_id, epoch: request.session_epoch, uses_ids: by_id, steady_ms };
        let (role, wanted) =
            cx.broker.fetch_sessions.resolve(asked, wanted.into_values().collect(), &forgotten)?;
        let wanted = wanted.into_iter().map(|wanted| {
            let topic = if by_id { image.topic_by_id(wanted.topic_id) } else { image.topic(&wanted.topic) };
            let partition = match topic {
                None => Err(gone(&image, by_id, &wanted)),
                Some(topic) => cx.broker.partition_of(topic, wanted.index),
            };
            (wanted, partition)
        });
        // Kafka answers for what it does not know behind all the others.
        let is_known = |one: &(Wanted, Result<Arc<Partition>, ResponseError>)| {
            !one.1.as_ref().is_err_and(|e| is_unknown(*e))
        };
        let (mut wanted, unknown): (Vec<_>, Vec<_>) = wanted.partition(is_known);
        wanted.extend(unknown);
        let max_bytes = usize::try_from(request.max_bytes).unwrap_or(0).min(fetch_max(cx));
        Ok(Self {
            broker: cx.broker.clone(),
            version: cx.version,
            correlation_id: cx.correlation_id,
            role,
            wanted,
            min_bytes: usize::try_from(request.min_bytes).unwrap_or(0).min(max_bytes),
            max_bytes,
            bound: if request.isolation_level == 1 { Bound::Stable } else { Bound::End },
        })
    }

    /// Goes on where the first look was not enough.
    async fn run(self: Arc<Self>, found: Found, deadline: Instant) -> Result<Gather, String> {
        let found = if found.blocked { self.find().await? } else { found };
        if self.is_enough(&found) || self.wanted.is_empty() || deadline <= Instant::now() {
            return self.finish(found).await;
        }
        Waiting::new(self).run(deadline).await
    }

    /// Whether the answer can leave with what was found.
    fn is_enough(&self, found: &Found) -> bool {
        found.failed || found.counted >= self.min_bytes
    }

    /// Looks at every partition, on another thread if the device has to be asked.
    async fn find(self: &Arc<Self>) -> Result<Found, String> {
        let found = self.look(Looking::AtOnce);
        if !found.blocked {
            return Ok(found);
        }
        let fetch = self.clone();
        self.broker.read_beside(move || fetch.look(Looking::Waiting)).await
    }

    /// Looks at every partition in the order asked for.
    fn look(&self, looking: Looking) -> Found {
        let mut found = Found {
            partitions: Vec::with_capacity(self.wanted.len()),
            bytes: 0,
            counted: 0,
            failed: false,
            blocked: false,
            cold: Vec::new(),
        };
        for (wanted, partition) in &self.wanted {
            let response = match partition {
                Ok(partition) if partition.is_deleted() => {
                    found.failed = true;
                    PartitionResponse::error(wanted.index, ResponseError::UnknownTopicOrPartition.code())
                }
                Ok(partition) => match self.look_at(wanted, partition, looking, &mut found) {
                    Ok(Some(response)) => response,
                    Ok(None) => return Found { blocked: true, ..found },
                    Err(error) => {
                        found.failed = true;
                        PartitionResponse::error(wanted.index, error.code())
                    }
                },
                // Others may still have to wait, or a consumer of a topic that is gone would ask without a pause.
                Err(error) => unknown(wanted.index, *error),
            };
            found.partitions.push(response);
        }
        found.failed |= self.wanted.iter().all(|(_, partition)| partition.is_err());
        found
    }

    /// `None` if the device would have to be waited for.
    fn look_at(
        &self,
        wanted: &Wanted,
        partition: &Partition,
        looking: Looking,
        found: &mut Found,
    ) -> Result<Option<PartitionResponse>, ResponseError> {
        partition.check_epoch(wanted.current_epoch)?;
        if partition.is_offline() {
            return Err(ResponseError::KafkaStorageError);
        }
        let left = self.max_bytes.saturating_sub(found.bytes);
        let first = found.bytes == 0;
        // Where the logs depart from each other comes before whether the offset is there.
        let diverging_epoch = match wanted.last_fetched_epoch {
            ..0 => None,
            epoch => {
                let ours =
                    partition.log().end_offset_for_epoch(epoch).filter(|ours| ours.0 >= 0 && ours.1 >= 0);
                let ours = ours.ok_or(ResponseError::OffsetOutOfRange)?;
                (ours.0 < epoch || ours.1 < wanted.offset).then_some(ours)
            }
        };
        if diverging_epoch.is_some() {
            found.failed = true;
            return Ok(Some(PartitionResponse {
                error_code: 0,
                high_watermark: partition.log().end_offset(),
                last_stable_offset: partition.log().last_stable_offset(),
                log_start_offset: partition.log().start_offset(),
                diverging_epoch,
                ..PartitionResponse::error(wanted.index, 0)
            }));
        }
        let max = wanted.max_bytes.min(left);
        let read = partition.on_log(|log| match looking {
            Looking::AtOnce => log.read_at_once(wanted.offset, max, first, self.bound),
            Looking::Waiting => log.read(wanted.offset, max, first, self.bound).map(Some),
        });
        let read = read.map_err(|error| {
            report("cannot read", &partition.topic, partition.index, &error);
            response_error(&error)
        })?;
        let Some(slice) = read else { return Ok(None) };
        let mut response = PartitionResponse {
            index: wanted.index,
            error_code: 0,
            high_watermark: slice.high_watermark,
            last_stable_offset: slice.last_stable,
            log_start_offset: slice.log_start,
            diverging_epoch: None,
            aborted: (self.bound == Bound::Stable)
                .then(|| slice.aborted.iter().map(|a| (a.producer_id, a.first_offset)).collect()),
            records: Records::Empty,
        };
        found.bytes += slice.len;
        let counted =
            if slice.goes_on { self.min_bytes } else { slice.available.min(wanted.max_bytes.max(slice.len)) };
        found.counted = found.counted.saturating_add(counted);
        if slice.len > 0 && (!slice.is_verified() || self.is_cold_copy(&slice)) {
            found.cold.push((found.partitions.len(), slice.clone()));
        }
        response.records = records(slice);
        Ok(Some(response))
    }

    /// Whether the records would be copied into the answer, and are not in memory. Their beginning is: that is how they were
    /// found.
    fn is_cold_copy(&self, slice: &Slice) -> bool {
        slice.len < self.broker.sendfile_min()
            && slice
                .file
                .as_ref()
                .is_some_and(|file| !page_cache::holds(file, slice.position + slice.len as u64 - 1, 1))
    }

    /// Brings cold ranges into the page cache and computes the CRCs of what nobody has read since the start, without
    /// blocking this thread, and writes the answer.
    async fn finish(&self, found: Found) -> Result<Gather, String> {
        let Found { mut partitions, cold, .. } = found;
        if !cold.is_empty() {
            let prepare_all =
                move || cold.into_iter().map(|(at, slice)| (at, prepare(slice))).collect::<Vec<_>>();
            for (at, slice) in self.broker.read_beside(prepare_all).await? {
                match slice {
                    Ok(slice) => partitions[at].records = records(slice),
                    Err(error) => {
                        let (wanted, _) = &self.wanted[at];
                        report("cannot read", &wanted.topic, wanted.index, &error);
                        partitions[at] =
                            PartitionResponse::error(wanted.index, response_error(&error).code());
                    }
                }
            }
        }
        let mut out = Gather::default();
        self.write(partitions, &mut out)?;
        Ok(out)
    }

    fn write(&self, partitions: Vec<PartitionResponse>, out: &mut Gather) -> Result<(), String> {
        let mut topics: Vec<TopicResponse> = Vec::new();
        let mut places: HashMap<(Uuid, Arc<str>), usize> = HashMap::new();
        for ((wanted, _), mut response) in self.wanted.iter().zip(partitions) {
            response.error_code = known_to(self.version, response.error_code);
            if !self.role.keep(wanted, &response) {
                continue;
            }
            // The partitions of a topic mostly come one after the other; a topic must not appear twice.
            let same = |t: &TopicResponse| t.id == wanted.topic_id && t.name == wanted.topic;
            if let Some(topic) = topics.last_mut().filter(|t| same(t)) {
                topic.partitions.push(response);
                continue;
            }
            let place = *places.entry((wanted.topic_id, wanted.topic.clone())).or_insert(topics.len());
            match topics.get_mut(place) {
                Some(topic) => topic.partitions.push(response),
                None => topics.push(TopicResponse {
                    name: wanted.topic.clone(),
                    id: wanted.topic_id,
                    partitions: vec![response],
                }),
            }
        }
        self.role.kept_all();
        let start = begin(self.version, self.correlation_id, out);
        if let Err(error) =
            fetch::write(out, self.version, 0, self.role.id(), &topics, self.broker.sendfile_min())
        {
            out.abandon_frame(start);
            return Err(format!("cannot read records for a fetch response: {error}"));
        }
        out.end_frame(start).map_err(too_large)
    }
}

/// Reads a range, so that sending it does not wait for the disk.
fn prepare(mut slice: Slice) -> Result<Slice, milena_storage::error::Error> {
    if slice.is_verified() {
        // A range that cannot be read is noticed when it is copied.
        let _ = slice.file.as_ref().map(|file| page_cache::bring_in(file, slice.position, slice.len));
    } else {
        slice.verify()?;
    }
    Ok(slice)
}

/// The code of an error in a version. Clients that are older than KAFKA_STORAGE_ERROR would not try again.
fn known_to(version: i16, code: i16) -> i16 {
    if version < STORAGE_ERRORS && code == ResponseError::KafkaStorageError.code() {
        return ResponseError::NotLeaderOrFollower.code();
    }
    code
}

/// Why there is no topic to what a request or its session asks for.
fn gone(image: &Image, by_id: bool, wanted: &Wanted) -> ResponseError {
    if !by_id {
        ResponseError::UnknownTopicOrPartition
    } else if wanted.topic.is_empty() {
        ResponseError::UnknownTopicId
    } else if image.topic(&wanted.topic).is_some() {
        // The topic was made again while the session remembered the one before.
        ResponseError::InconsistentTopicId
    } else {
        ResponseError::UnknownTopicOrPartition
    }
}

/// A partition that is not there: Kafka sends an empty list of aborted transactions then, and null with other errors.
fn unknown(index: i32, error: ResponseError) -> PartitionResponse {
    let aborted = (error != ResponseError::InconsistentTopicId).then(Vec::new);
    PartitionResponse { aborted, ..PartitionResponse::error(index, error.code()) }
}

fn records(slice: Slice) -> Records {
    let Slice { file, position, len, .. } = slice;
    file.map_or(Records::Empty, |file| Records::range(file, position, len))
}

#[cfg(test)]
mod tests {
    use super::known_to;
    use kafka_protocol::ResponseError;

    #[test]
    fn old_clients_are_told_what_they_know() {
        let (storage, not_leader) =
            (ResponseError::KafkaStorageError.code(), ResponseError::NotLeaderOrFollower.code());
        for (version, code, told) in
            [(4, storage, not_leader), (5, storage, not_leader), (6, storage, storage), (5, 1, 1), (18, 0, 0)]
        {
            assert_eq!(known_to(version, code), told, "v{version}, {code}");
        }
    }
}
