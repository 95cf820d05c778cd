//! The table of served APIs: key, versions, handler. Dispatch and the ApiVersions answer derive from it.
//!
//! A handler does four things: authorise, translate, delegate to one subsystem, assemble. Versions stop here:
//! nothing below `api/` branches on them. Adding an API is one file and one line in [`TABLE`].

mod add_offsets_to_txn;
mod add_partitions_to_txn;
mod add_raft_voter;
mod alter_client_quotas;
mod alter_configs;
mod alter_partition_reassignments;
mod alter_replica_log_dirs;
pub(crate) mod api_versions;
pub(crate) mod consumer_group_describe;
pub(crate) mod consumer_group_heartbeat;
mod create_partitions;
mod create_topics;
pub(crate) mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_client_quotas;
mod describe_cluster;
mod describe_configs;
pub(crate) mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_quorum;
mod describe_topic_partitions;
mod describe_transactions;
mod elect_leaders;
mod end_txn;
mod fetch;
pub(crate) mod find_coordinator;
pub(crate) mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
pub(crate) mod join_group;
pub(crate) mod leave_group;
mod list_config_resources;
pub(crate) mod list_groups;
mod list_offsets;
mod list_partition_reassignments;
mod list_transactions;
mod logger_levels;
mod metadata;
pub(crate) mod offset_commit;
pub(crate) mod offset_delete;
pub(crate) mod offset_fetch;
mod offset_for_leader_epoch;
mod operations;
mod produce;
mod remove_raft_voter;
pub(crate) mod sync_group;
mod txn_offset_commit;
mod unregister_broker;
mod update_features;
mod write_txn_markers;

use self::delete_topics::DeletedTopics;
use crate::broker::Broker;
use crate::controller::Refusal;
use crate::logging::REQUESTS;
use crate::metadata::advertise::Listener;
use crate::quotas::{ANONYMOUS, Meter};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::{Decodable, Encodable};
use milena_protocol::gather::Gather;
use milena_protocol::{header, request};
use std::cell::Cell;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::time::{Duration, Instant};

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
    /// For how many milliseconds the client must be silent because of the changes of metadata that it has asked for.
    pub(crate) mutation_throttle: Cell<i64>,
}

impl Context<'_> {
    /// How long a produce is to wait for the end of the transaction before its own; None if it has waited for
    /// `add.partitions.to.txn.retry.backoff.max.ms`. Clients would wait longer, and send all of it once more.
    fn wait_for_transaction(&self) -> Option<Duration> {
        let transaction = &self.broker.config.transaction;
        let now = self.broker.clock.steady_ms().max(1);
        let first = match self.connection.first_try.load(Ordering::Relaxed) {
            0 => now,
            first => first,
        };
        self.connection.first_try.store(first, Ordering::Relaxed);
        let max = i64::try_from(transaction.add_partitions_retry_max.as_millis()).unwrap_or(i64::MAX);
        (now.saturating_sub(first) < max).then_some(transaction.add_partitions_retry_backoff)
    }

    /// Takes changes of so many partitions from the client's quota (KIP-599). Before version `strict_since` of the request
    /// they are always allowed, and the client is told to be silent afterwards. From then on it is told so when it is
    /// refused, and not when it takes the last there is and more.
    ///
    /// # Errors
    /// THROTTLING_QUOTA_EXCEEDED
    pub(crate) fn may_change(&self, partitions: usize, strict_since: i16) -> Result<(), Refusal> {
        let strict = self.version >= strict_since;
        let client = (ANONYMOUS, self.client_id);
        let changed =
            self.broker.quotas.may_change(client, partitions, strict, self.broker.clock.steady_ms());
        let (Ok(throttle) | Err(throttle)) = changed;
        self.mutation_throttle.set(self.mutation_throttle.get().max(throttle));
        changed.map(|_| ()).map_err(|_| {
            let message = "The throttling quota has been exceeded.";
            Refusal::new(ResponseError::ThrottlingQuotaExceeded, message)
        })
    }

    /// Whether there is time for a change of metadata: one that may take no milliseconds is over before it has begun,
    /// as in Kafka, and nothing is done.
    ///
    /// # Errors
    /// REQUEST_TIMED_OUT, without a text
    pub(crate) fn in_time(timeout_ms: i32) -> Result<(), Refusal> {
        if timeout_ms > 0 { Ok(()) } else { Err(Refusal::new(ResponseError::RequestTimedOut, "")) }
    }

    /// Where this client is told to come back to: host, port, and the node id it finds there.
    pub(crate) fn endpoint(&self) -> (String, u16, i32) {
        let ConnectionInfo { peer, local, listener, .. } = *self.connection;
        let config = self.broker.controller.config();
        let network = &config.network;
        let mut bound = network.listeners.iter().chain(&network.controller_listeners);
        let bound = bound.nth(listener).map(|listener| &listener.endpoint);
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
    /// Index of the listener in the configuration, those of controllers behind the others.
    pub(crate) listener: usize,
    /// Whether it is a listener of controllers, which answers other requests ([`Row::is_served`]).
    pub(crate) is_controller: bool,
    /// Milliseconds for which nothing more may be read from it, because its client has used up a quota; 0 once that
    /// has begun.
    pub(crate) silence: Arc<AtomicU32>,
    /// When the request at hand was handled first, on the steady clock, if it is handled again; else 0.
    pub(crate) first_try: Arc<AtomicI64>,
    /// What it has deleted and not asked for since.
    pub(crate) deleted: Arc<DeletedTopics>,
}

/// A future that a handler leaves behind when it cannot answer at once; it must not block a thread.
pub(crate) type Pending<R> = Pin<Box<dyn Future<Output = R> + Send>>;

/// What a handler answers.
pub(crate) enum Answer<R> {
    /// The response.
    Now(R),
    /// The response comes when the future is ready; later requests of the connection are answered after it.
    Later(Pending<R>),
    /// The request has what its version cannot have: the connection is closed, with this reason in the log.
    Unreadable(String),
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
    ///
    /// An error closes the connection.
    Later(Pending<Result<Gather, String>>),
    /// There is no response (acks=0).
    Nothing,
    /// Nothing was done: the request is to be handled again after this long, and nothing else of its connection before.
    Again(Duration),
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

impl Row {
    /// Whether the API is served on a listener for clients or on one of controllers. There it is what Kafka's controllers
    /// answer to clients; what they ask each other is served nowhere.
    pub(crate) fn is_served(&self, on_controller: bool) -> bool {
        !on_controller || OF_CONTROLLERS.contains(&self.key)
    }

    /// Lowest version that clients are told. Produce is told from 0: librdkafka before 2.11.1 looks for single old
    /// versions to decide whether it may compress (KAFKA-18659).
    pub(crate) fn advertised_min(&self) -> i16 {
        if self.key == ApiKey::Produce { 0 } else { self.min }
    }
}

/// A line of the table whose messages the codec crate decodes and encodes.
macro_rules! typed {
    ($key:ident, $min:literal..=$max:literal, $module:ident) => {
        typed!($key, $min..=$max, $module::handle)
    };
    ($key:ident, $min:literal..=$max:literal, $module:ident::$function:ident) => {
        Row {
            key: ApiKey::$key,
            min: $min,
            max: $max,
            handler: |cx, body, out| typed(cx, ApiKey::$key, body, out, $module::$function),
        }
    };
}

/// Every served API with Kafka 4.1's stable versions, by key.
pub(crate) static TABLE: &[Row] = &[
    Row { key: ApiKey::Produce, min: 3, max: 13, handler: produce::handle },
    Row { key: ApiKey::Fetch, min: 4, max: 18, handler: fetch::handle },
    typed!(ListOffsets, 1..=10, list_offsets),
    typed!(Metadata, 0..=13, metadata),
    typed!(OffsetCommit, 2..=9, offset_commit),
    typed!(OffsetFetch, 1..=9, offset_fetch),
    typed!(FindCoordinator, 0..=6, find_coordinator),
    typed!(JoinGroup, 0..=9, join_group),
    typed!(Heartbeat, 0..=4, heartbeat),
    typed!(LeaveGroup, 0..=5, leave_group),
    typed!(SyncGroup, 0..=5, sync_group),
    typed!(DescribeGroups, 0..=6, describe_groups),
    typed!(ListGroups, 0..=5, list_groups),
    Row { key: ApiKey::ApiVersions, min: 0, max: 4, handler: api_versions::handle },
    typed!(CreateTopics, 2..=7, create_topics),
    typed!(DeleteTopics, 1..=6, delete_topics),
    typed!(DeleteRecords, 0..=2, delete_records),
    typed!(InitProducerId, 0..=5, init_producer_id),
    typed!(OffsetForLeaderEpoch, 2..=4, offset_for_leader_epoch),
    typed!(AddPartitionsToTxn, 0..=5, add_partitions_to_txn),
    typed!(AddOffsetsToTxn, 0..=4, add_offsets_to_txn),
    typed!(EndTxn, 0..=5, end_txn),
    typed!(WriteTxnMarkers, 1..=1, write_txn_markers),
    typed!(TxnOffsetCommit, 0..=5, txn_offset_commit),
    typed!(DescribeConfigs, 1..=4, describe_configs),
    typed!(AlterConfigs, 0..=2, alter_configs),
    typed!(AlterReplicaLogDirs, 1..=2, alter_replica_log_dirs),
    typed!(DescribeLogDirs, 1..=4, describe_log_dirs),
    typed!(CreatePartitions, 0..=3, create_partitions),
    typed!(DeleteGroups, 0..=2, delete_groups),
    typed!(ElectLeaders, 0..=2, elect_leaders),
    typed!(IncrementalAlterConfigs, 0..=1, incremental_alter_configs),
    typed!(AlterPartitionReassignments, 0..=1, alter_partition_reassignments),
    typed!(ListPartitionReassignments, 0..=0, list_partition_reassignments),
    typed!(OffsetDelete, 0..=0, offset_delete),
    typed!(DescribeClientQuotas, 0..=1, describe_client_quotas),
    typed!(AlterClientQuotas, 0..=1, alter_client_quotas),
    typed!(DescribeQuorum, 0..=2, describe_quorum),
    typed!(UpdateFeatures, 0..=2, update_features),
    typed!(DescribeCluster, 0..=2, describe_cluster),
    typed!(DescribeProducers, 0..=0, describe_producers),
    typed!(UnregisterBroker, 0..=0, unregister_broker),
    typed!(DescribeTransactions, 0..=0, describe_transactions),
    typed!(ListTransactions, 0..=2, list_transactions),
    typed!(ConsumerGroupHeartbeat, 0..=1, consumer_group_heartbeat),
    typed!(ConsumerGroupDescribe, 0..=1, consumer_group_describe),
    typed!(ListConfigResources, 0..=1, list_config_resources),
    typed!(DescribeTopicPartitions, 0..=0, describe_topic_partitions),
    typed!(AddRaftVoter, 0..=0, add_raft_voter),
    typed!(RemoveRaftVoter, 0..=0, remove_raft_voter),
];

/// What listeners of controllers answer.
const OF_CONTROLLERS: &[ApiKey] = &[
    ApiKey::ApiVersions,
    ApiKey::CreateTopics,
    ApiKey::DeleteTopics,
    ApiKey::DescribeConfigs,
    ApiKey::AlterConfigs,
    ApiKey::CreatePartitions,
    ApiKey::ElectLeaders,
    ApiKey::IncrementalAlterConfigs,
    ApiKey::AlterPartitionReassignments,
    ApiKey::ListPartitionReassignments,
    ApiKey::AlterClientQuotas,
    ApiKey::DescribeQuorum,
    ApiKey::UpdateFeatures,
    ApiKey::DescribeCluster,
    ApiKey::UnregisterBroker,
    ApiKey::AddRaftVoter,
    ApiKey::RemoveRaftVoter,
];

/// Answers one request frame (without its length prefix).
pub(crate) fn handle(
    broker: &Arc<Broker>,
    connection: &ConnectionInfo,
    frame: &[u8],
    out: &mut Gather,
) -> Outcome {
    let (key, version, correlation_id) = match header::peek(frame) {
        Ok(start) => start,
        Err(error) => return Outcome::Close(error.to_string()),
    };
    let Some(row) = TABLE.binary_search_by_key(&key, |row| row.key as i16).ok().map(|at| &TABLE[at]) else {
        return Outcome::Close(format!("API key {key} is not served"));
    };
    if !row.is_served(connection.is_controller) {
        return Outcome::Close(format!("{:?} is not served on a listener of controllers", row.key));
    }
    if !(row.min..=row.max).contains(&version) {
        if row.key == ApiKey::ApiVersions {
            let written = encode(row.key, 0, correlation_id, &api_versions::unsupported(), out);
            return written.map_or_else(Outcome::Close, |()| Outcome::Written);
        }
        return Outcome::Close(format!(
            "{:?} v{version} is not served (v{} to v{} are)",
            row.key, row.min, row.max
        ));
    }
    let (header, body) = match header::read(frame, row.key.request_header_version(version) >= 2) {
        Ok(read) => read,
        Err(error) => return Outcome::Close(error.to_string()),
    };
    let client_id = String::from_utf8_lossy(header.client_id.unwrap_or_default());
    let mutation_throttle = Cell::new(0);
    let cx =
        Context { broker, version, correlation_id, client_id: &client_id, connection, mutation_throttle };
    tracing::debug!(
        target: REQUESTS,
        "{:?} v{version} of {client_id:?} from {}, correlation id {correlation_id}, {} bytes",
        row.key,
        connection.peer,
        frame.len()
    );
    if !broker.quotas.is_active() {
        return (row.handler)(&cx, body, out);
    }
    metered(&cx, row, frame.len(), body, out)
}

/// Handles a request of a client that may have a quota.
fn metered(cx: &Context<'_>, row: &Row, frame_len: usize, body: &[u8], out: &mut Gather) -> Outcome {
    let (start, begun) = (out.bytes().len(), Instant::now());
    let outcome = (row.handler)(cx, body, out);
    let meter = Meter {
        broker: cx.broker.clone(),
        key: row.key,
        version: cx.version,
        client_id: cx.client_id.to_owned(),
        request_bytes: frame_len + 4,
        mutation_throttle: cx.mutation_throttle.get(),
        spent: begun.elapsed(),
        silence: cx.connection.silence.clone(),
    };
    match outcome {
        Outcome::Written => meter.answered(out, start),
        Outcome::Nothing => meter.unanswered(),
        Outcome::Later(pending) => {
            return Outcome::Later(Box::pin(async move {
                let mut answer = pending.await?;
                meter.answered(&mut answer, 0);
                Ok(answer)
            }));
        }
        Outcome::Again(_) | Outcome::Close(_) => {}
    }
    outcome
}

/// PRODUCER_FENCED is younger than transactions: clients that do not know it are told INVALID_PRODUCER_EPOCH.
fn fenced_as(error: ResponseError, knows_fenced: bool) -> ResponseError {
    match error {
        ResponseError::ProducerFenced if !knows_fenced => ResponseError::InvalidProducerEpoch,
        error => error,
    }
}

/// Decodes the request, calls the handler, encodes the response.
fn typed<Q: Decodable, R: Encodable + 'static>(
    cx: &Context<'_>,
    key: ApiKey,
    body: &[u8],
    out: &mut Gather,
    handler: fn(&Context<'_>, Q) -> Answer<R>,
) -> Outcome {
    let blobs = matches!(key, ApiKey::JoinGroup | ApiKey::SyncGroup);
    let request: Q = match request::decode(body, cx.version, blobs) {
        Ok(request) => request,
        Err(error) => return Outcome::Close(format!("{key:?} v{} cannot be read: {error}", cx.version)),
    };
    let (version, correlation_id) = (cx.version, cx.correlation_id);
    match handler(cx, request) {
        Answer::Now(response) => match encode(key, version, correlation_id, &response, out) {
            Ok(()) => Outcome::Written,
            Err(reason) => Outcome::Close(reason),
        },
        Answer::Unreadable(reason) => Outcome::Close(format!("{key:?} v{version} cannot be read: {reason}")),
        Answer::Later(pending) => Outcome::Later(Box::pin(async move {
            let response = pending.await;
            let mut out = Gather::default();
            encode(key, version, correlation_id, &response, &mut out).map(|()| out)
        })),
    }
}

/// Writes a whole response frame.
pub(crate) fn encode<R: Encodable>(
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
