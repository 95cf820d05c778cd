//! Owns every part; start order, stop order.
//!
//! Start: data directories (lock, identity) → listening sockets → metadata log → partition logs → groups →
//! transactions → what shall be there from the start → accept.
//! Stop: accept no more → connections answer and close → compaction ends → logs close → sync → checkpoints →
//! clean-shutdown mark.

mod adapters;
mod maintenance;
pub(crate) mod mover;

use crate::cleaner::Cleaner;
use crate::clock::Clock;
use crate::config::{Authorizer, BrokerConfig, ConsumerGroupConfig, Value};
use crate::controller::{Controller, ControllerError, Snapshot, Start};
use crate::embedded::{self, TopicError};
use crate::fetch_sessions::FetchSessions;
use crate::group::{ConsumerSettings, GroupCoordinator, GroupSettings};
use crate::metadata::advertise::{Advertiser, Surroundings};
use crate::metadata::{Topic, alone, features, topic_name};
use crate::net::listener;
use crate::net::registry::{Limits, Registry};
use crate::panics::guard;
use crate::partition::Partition;
use crate::partitions::{MetadataDir, Partitions, Peek};
use crate::quotas::connections::CreationRates;
use crate::quotas::{Quotas, Window};
use crate::seed;
use crate::transaction::{TransactionCoordinator, TransactionSettings};
use adapters::PartitionMarkers;
use arc_swap::ArcSwap;
use kafka_protocol::ResponseError;
use milena_storage::error::Error as StorageError;
use milena_storage::file::Disk;
use milena_storage::log_dirs::{LogDirs, Survey, Wanted};
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

/// Connections get this long to send what is answered when the broker stops.
const DRAIN: Duration = Duration::from_millis(300);
/// Threads that read from the disk for connections. The runtime has 512 for all that blocks, and where it cannot have one
/// it waits.
const READERS_MAX: usize = 64;
/// Never, for a timer.
const NEVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Why a broker does not start. The text is one line: what, where, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A data directory.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A listening socket.
    #[error("cannot listen on {listener}: {source}{}", advice(source))]
    Listen {
        /// The listener, as configured.
        listener: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The metadata log.
    #[error("cannot read the cluster metadata in {dir}: {reason}")]
    Metadata {
        /// The data directory.
        dir: String,
        /// What is wrong.
        reason: String,
    },
    /// What shall be there from the start.
    #[error("cannot make what is to be there from the start: {0}")]
    Seed(String),
    /// A topic that shall be there from the start.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The configuration asks for something that this process cannot be.
    #[error("{0}")]
    Unsupported(String),
}

fn advice(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            "; stop what listens there, or set another port in listeners=PLAINTEXT://localhost:PORT"
        }
        _ => "",
    }
}

/// A running broker. Several may live in one process.
#[derive(Debug)]
pub struct Broker {
    /// What it was configured with.
    pub(crate) config: Arc<BrokerConfig>,
    /// The time.
    pub(crate) clock: Arc<Clock>,
    /// Id of the cluster, from `meta.properties`.
    pub(crate) cluster_id: String,
    /// Topics, features, configuration.
    pub(crate) controller: Arc<Controller>,
    /// Where clients are told to come back to.
    pub(crate) advertiser: Advertiser,
    /// The partition logs.
    pub(crate) partitions: Arc<Partitions>,
    /// Who remembers what consumers fetch.
    pub(crate) fetch_sessions: FetchSessions,
    /// Consumer groups and their offsets.
    pub(crate) groups: Arc<GroupCoordinator>,
    /// Transactional ids and their transactions.
    pub(crate) transactions: TransactionCoordinator,
    /// Ends transactions in partitions.
    pub(crate) markers: Arc<PartitionMarkers>,
    /// Answers that are the same for everybody.
    pub(crate) api_versions: crate::api::api_versions::Cache,
    /// What clients may use, and what they have used.
    pub(crate) quotas: Quotas,
    /// Compaction.
    cleaner: Arc<Cleaner>,
    metadata: Arc<MetadataDir>,
    connections: Arc<Registry>,
    /// Those who read from the disk at the same time.
    readers: Semaphore,
    stopping: AtomicBool,
    /// The thread that moves partitions is there.
    moving: AtomicBool,
    /// Why the broker cannot go on, once it cannot.
    failure: watch::Sender<Option<String>>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    addresses: Vec<SocketAddr>,
}

impl Broker {
    /// Whether groups of the consumer protocol (KIP-848) are served: the cluster is told so by its features, and the
    /// protocol is among `group.coordinator.rebalance.protocols`.
    pub(crate) fn serves_consumer_groups(&self) -> bool {
        let level = self.controller.image().features().0.get("group.version").copied();
        level.is_some_and(|level| level >= 1)
            && self.config.group.protocols.iter().any(|protocol| protocol == "consumer")
    }

    /// Starts a broker on the current tokio runtime, which must have several threads. It serves when this returns, and
    /// has `topics` before it serves anybody.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running then.
    pub async fn start(config: BrokerConfig, topics: &[embedded::Topic]) -> Result<Arc<Self>, StartError> {
        if config.is_controller_only {
            let reason = "process.roles=controller: milena is broker and controller in one process; leave process.roles out";
            return Err(StartError::Unsupported(reason.into()));
        }
        if let Authorizer::Acls { allow_everyone_if_no_acl_found: false, .. } = &config.authorizer {
            let reason = "authorizer.class.name is set, but milena has no access control lists yet and would let everybody in; \
                          leave it out, or set allow.everyone.if.no.acl.found=true";
            return Err(StartError::Unsupported(reason.into()));
        }
        let config = Arc::new(config);
        let clock = Arc::new(Clock::System);
        let (broker, listeners) = tokio::task::block_in_place(|| Self::open(&config, &clock))?;
        let broker = Arc::new(broker);
        // Nobody is let in before it is there: clients that ask for a topic would create it as they please.
        let made = tokio::task::block_in_place(|| seed::apply(&broker, &config.seed));
        let made = made.map_err(StartError::Seed).and_then(|()| Ok(broker.create_topics(topics)?));
        if let Err(error) = made {
            tokio::task::block_in_place(|| broker.close_logs());
            return Err(error);
        }
        broker.clone().serve(listeners);
        Ok(broker)
    }

    /// Begins all that goes on until the broker stops.
    fn serve(self: Arc<Self>, listeners: Vec<(usize, TcpListener)>) {
        let mut tasks = Vec::new();
        for (index, listener) in listeners {
            let accept = listener::accept(listener, index, self.clone());
            tasks.push(tokio::spawn(guard("a listener", self.failure.clone(), accept)));
        }
        let chores = maintenance::run(self.clone());
        tasks.push(tokio::spawn(guard("the chores", self.failure.clone(), chores)));
        let cleaner = self.cleaner.clone().run();
        tasks.push(tokio::spawn(guard("the cleaner", self.failure.clone(), cleaner)));
        mover::start(&self);
        let own = self.clone();
        let groups = async move { own.groups.keep_deadlines().await };
        tasks.push(tokio::spawn(guard("the deadlines of groups", self.failure.clone(), groups)));
        let own = self.clone();
        let regexes = async move { own.groups.keep_regexes().await };
        tasks.push(tokio::spawn(guard("the expressions of groups", self.failure.clone(), regexes)));
        let own = self.clone();
        let transactions = async move { own.transactions.keep_deadlines().await };
        tasks.push(tokio::spawn(guard("the deadlines of transactions", self.failure.clone(), transactions)));
        *self.tasks.lock() = tasks;
    }

    fn open(
        config: &Arc<BrokerConfig>,
        clock: &Arc<Clock>,
    ) -> Result<(Self, Vec<(usize, TcpListener)>), StartError> {
        let dirs = open_dirs(config, clock)?;
        let listeners = bind_all(config)?;
        let addresses = listeners.iter().filter_map(|(_, l)| l.local_addr().ok()).collect();
        let root = dirs.metadata().disk().root().to_path_buf();
        let cluster_id = dirs.metadata().identity().cluster_id.clone();
        let (metadata, snapshot) = MetadataDir::open(dirs.metadata(), &config.metadata, clock.now_ms())?;
        let metadata = Arc::new(metadata);
        let bootstrap_path = root.join(milena_storage::file_name::BOOTSTRAP_CHECKPOINT);
        let bootstrap = dirs.metadata().disk().read_if_there(&bootstrap_path)?;
        let shared = Arc::new(ArcSwap::new(config.clone()));
        let partitions = Arc::new(Partitions::new(dirs, shared.clone(), clock.clone()));
        let start = Start {
            snapshot: snapshot.as_ref().map(|s| Snapshot {
                bytes: &s.bytes,
                end_offset: s.end_offset,
                epoch: s.epoch,
            }),
            bootstrap: bootstrap.as_deref(),
            quorum_epoch: metadata.quorum_epoch(),
            directory_id: metadata.directory_id(),
        };
        let unreadable = |reason: String| StartError::Metadata { dir: root.display().to_string(), reason };
        let controller = Controller::open(metadata.clone(), partitions.clone(), shared, clock.clone(), start)
            .map_err(|error: ControllerError| unreadable(error.to_string()))?;
        let controller = Arc::new(controller);
        match metadata.save_quorum_state(&controller.quorum_state()) {
            // The metadata log says what it would say: on a full disk somebody must be able to delete.
            Err(error @ StorageError::Full(_)) => tracing::warn!("{error}; the next start writes it"),
            saved => saved?,
        }
        // With what was set at run time.
        let asked = controller.config().log.recovery_threads_per_dir;
        let asked = usize::try_from(asked).unwrap_or(1) * config.log.dirs.len();
        let threads = std::thread::available_parallelism().map_or(1, usize::from).max(asked);
        let elsewhere = partitions.open_all(&controller.image(), controller.removed_topics(), threads)?;
        controller.assign_directories(&elsewhere).map_err(|refusal| unreadable(refusal.message))?;
        skip_producer_ids(
            &controller,
            partitions.all().iter().filter_map(|p| p.log().max_producer_id()).max(),
        );
        let advertiser = Advertiser::new(Surroundings::detect());
        let mut broker =
            Self::assemble(config, clock, cluster_id, controller, partitions, metadata, advertiser);
        broker.addresses = addresses;
        Ok((broker, listeners))
    }

    fn assemble(
        config: &Arc<BrokerConfig>,
        clock: &Arc<Clock>,
        cluster_id: String,
        controller: Arc<Controller>,
        partitions: Arc<Partitions>,
        metadata: Arc<MetadataDir>,
        advertiser: Advertiser,
    ) -> Self {
        let groups = Arc::new(open_groups(config, &controller, &partitions, clock));
        let markers = Arc::new(PartitionMarkers {
            controller: controller.clone(),
            partitions: partitions.clone(),
            groups: groups.clone(),
            clock: clock.clone(),
        });
        let quotas = quotas(config);
        quotas.adopt(controller.image().quotas());
        Self {
            quotas,
            api_versions: crate::api::api_versions::Cache::default(),
            transactions: open_transactions(config, &controller, &partitions, &markers, clock),
            markers,
            groups,
            fetch_sessions: FetchSessions::new(
                usize::try_from(config.network.fetch_session_slots).unwrap_or(0),
            ),
            advertiser,
            config: config.clone(),
            clock: clock.clone(),
            cluster_id,
            controller,
            cleaner: Arc::new(Cleaner::new(partitions.clone())),
            partitions,
            metadata,
            connections: Arc::new(Registry::default()),
            readers: Semaphore::new(READERS_MAX),
            stopping: AtomicBool::new(false),
            moving: AtomicBool::new(false),
            failure: watch::Sender::new(None),
            tasks: Mutex::new(Vec::new()),
            addresses: Vec::new(),
        }
    }

    /// A broker around a controller that a test has made; its logs are in `dir` and it listens nowhere.
    #[cfg(test)]
    pub(crate) fn around(
        config: &Arc<BrokerConfig>,
        cluster_id: String,
        controller: Controller,
        dir: &std::path::Path,
    ) -> Self {
        let clock = Arc::new(Clock::System);
        let roots = [dir.to_path_buf()];
        let wanted = Wanted { roots: &roots, metadata: dir, node_id: config.node_id, cluster_id: None };
        let dirs = Survey::of(&wanted, Disk::new).and_then(|survey| survey.open(0));
        let dirs = dirs.expect("a new directory opens");
        let (metadata, _) =
            MetadataDir::open(dirs.metadata(), &config.metadata, 0).expect("an empty log opens");
        let partitions = Partitions::new(dirs, Arc::new(ArcSwap::new(config.clone())), clock.clone());
        let partitions = Arc::new(partitions);
        let (controller, metadata) = (Arc::new(controller), Arc::new(metadata));
        Self::assemble(config, &clock, cluster_id, controller, partitions, metadata, Advertiser::default())
    }

    /// Stops: answers what is in flight, closes the logs, and marks the directories as cleanly stopped.
    pub async fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        for task in self.tasks.lock().drain(..) {
            task.abort();
        }
        for partition in self.partitions.all() {
            partition.wake_all();
        }
        self.connections.stop();
        let _ = tokio::time::timeout(DRAIN, self.connections.wait_closed()).await;
        tokio::task::block_in_place(|| self.close_logs());
    }

    fn close_logs(&self) {
        self.cleaner.stop();
        if let Err(error) = self.metadata.close() {
            tracing::error!("{error}");
        }
        self.partitions.close();
        let marked = self.partitions.save_checkpoints().and_then(|()| self.partitions.mark_clean());
        if let Err(error) = marked {
            tracing::error!("{error}; the next start recovers");
        }
        // Last of all: on a full disk the others need the room.
        self.controller.keep_last_snapshot();
    }

    /// Waits until the broker cannot go on: the metadata directory or all directories have failed, or
    /// what nobody else does has panicked. Gives the reason;
    /// [`Broker::stop`] is still to be called.
    pub async fn failed(&self) -> String {
        let mut failure = self.failure.subscribe();
        let failed = failure.wait_for(Option::is_some).await;
        failed.ok().and_then(|reason| reason.clone()).unwrap_or_default()
    }

    /// The addresses that it listens on.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &BrokerConfig {
        &self.config
    }

    /// Id of the cluster.
    #[must_use]
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// A partition by the name of its topic.
    ///
    /// # Errors
    /// UNKNOWN_TOPIC_OR_PARTITION, or KAFKA_STORAGE_ERROR if its log could not be opened.
    pub(crate) fn partition(&self, topic: &str, index: i32) -> Result<Arc<Partition>, ResponseError> {
        let image = self.controller.image();
        self.partition_of(image.topic(topic).ok_or(ResponseError::UnknownTopicOrPartition)?, index)
    }

    /// A partition of a topic of the image.
    ///
    /// # Errors
    /// As [`Broker::partition`].
    pub(crate) fn partition_of(&self, topic: &Topic, index: i32) -> Result<Arc<Partition>, ResponseError> {
        let known = usize::try_from(index).is_ok_and(|at| at < topic.partitions.len());
        self.partitions.get(topic.id, index).ok_or(match known {
            true => ResponseError::KafkaStorageError,
            false => ResponseError::UnknownTopicOrPartition,
        })
    }

    /// Which partitions of a topic of the image are not served because their data directory has failed.
    pub(crate) fn offline_in(&self, topic: &Topic) -> impl Fn(i32) -> bool {
        let partitions = self.partitions.some_offline().then(|| self.partitions.clone());
        let id = topic.id;
        move |index| partitions.as_ref().is_some_and(|partitions| partitions.get(id, index).is_none())
    }

    /// `directory.id` of the directory that holds the metadata log.
    pub(crate) fn metadata_directory(&self) -> Uuid {
        self.metadata.directory_id()
    }

    /// `socket.request.max.bytes`.
    pub(crate) fn frame_max(&self) -> usize {
        usize::try_from(self.config.network.socket_request_max_bytes).unwrap_or(0)
    }

    /// `fetch.max.bytes`.
    pub(crate) fn fetch_max(&self) -> usize {
        usize::try_from(self.config.network.fetch_max_bytes).unwrap_or(0)
    }

    /// `milena.sendfile.min.bytes`.
    pub(crate) fn sendfile_min(&self) -> usize {
        usize::try_from(self.config.network.sendfile_min_bytes).unwrap_or(0)
    }

    /// `connections.max.idle.ms`.
    pub(crate) fn idle_max(&self) -> Duration {
        self.config.network.connections_max_idle.unwrap_or(NEVER)
    }

    /// Limits on connections from one address.
    pub(crate) fn connection_limits(&self, listener: usize, ip: std::net::IpAddr) -> Limits {
        let config = self.controller.config();
        let network = &config.network;
        let overrides = &network.max_connections_per_ip_overrides;
        let of_ip = overrides
            .get(&ip.to_string())
            .or_else(|| overrides.get("localhost").filter(|_| ip.is_loopback()))
            .unwrap_or(&network.max_connections_per_ip);
        let limit = |n: i32| usize::try_from(n).unwrap_or(0);
        let of_listener = network.listener(listener).map_or(i32::MAX, |listener| listener.max_connections);
        Limits {
            connections_max: limit(network.max_connections),
            per_listener_max: limit(of_listener),
            per_ip_max: limit(*of_ip),
        }
    }

    /// How fast connections may come to a listener.
    pub(crate) fn creation_rates(&self, listener: usize) -> CreationRates {
        let config = self.controller.config();
        let network = &config.network;
        let of_listener = network.listener(listener);
        CreationRates {
            broker: network.max_connection_creation_rate,
            listener: of_listener.map_or(i32::MAX, |listener| listener.max_connection_creation_rate),
        }
    }

    /// Has a thread of its own wait for the disk; after those who came before, if there are many.
    ///
    /// # Errors
    /// Why it ended before its end, for the log.
    pub(crate) async fn read_beside<R: Send + 'static>(
        &self,
        read: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, String> {
        let _place = self.readers.acquire().await.map_err(|error| error.to_string())?;
        tokio::task::spawn_blocking(read).await.map_err(|error| error.to_string())
    }

    /// The open connections.
    pub(crate) fn connections(&self) -> &Arc<Registry> {
        &self.connections
    }

    /// Whether [`Broker::stop`] was called.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

fn quotas(config: &BrokerConfig) -> Quotas {
    let int = |key| match config.value(key) {
        Some(Value::Int(value)) => i64::from(*value).max(1),
        _ => 1,
    };
    let window = |samples, seconds| Window { samples: int(samples), sample_ms: int(seconds) * 1000 };
    Quotas::new(
        window("quota.window.num", "quota.window.size.seconds"),
        window("controller.quota.window.num", "controller.quota.window.size.seconds"),
    )
}

/// A metadata log that was lost, or restored from an older copy, must not give a producer id to a second producer.
fn skip_producer_ids(controller: &Controller, seen: Option<i64>) {
    if let Some(seen) = seen
        && let Err(refusal) = controller.skip_producer_ids(seen)
    {
        tracing::error!("producer ids up to {seen} are in use, but cannot be skipped: {}", refusal.message);
    }
}

fn open_dirs(config: &BrokerConfig, clock: &Clock) -> Result<LogDirs, StartError> {
    let (roots, metadata) = (&config.log.dirs, &config.log.metadata_dir);
    let wanted = Wanted { roots, metadata, node_id: config.node_id, cluster_id: None };
    let mut survey = Survey::of(&wanted, if config.is_ephemeral { Disk::ephemeral } else { Disk::new })?;
    if let Some(wanted) = &config.cluster_id {
        if let Some(stored) = survey.cluster_id().filter(|stored| stored != wanted) {
            tracing::warn!(
                "milena.cluster.id={wanted}: the data directories are of cluster {stored} and stay so"
            );
        }
        survey = survey.or_cluster_id(wanted);
    }
    // Before anything is locked or made: what is refused stays as it is.
    let found = Peek::into(survey.metadata())?;
    let refused = |reason| StartError::Metadata { dir: metadata.display().to_string(), reason };
    features::check(found.image.features().0).map_err(refused)?;
    if let Err(reason) = alone::check(&found.image, found.quorum.as_ref(), config.node_id) {
        if config.value("milena.allow.standalone") != Some(&Value::Boolean(true)) {
            return Err(refused(format!(
                "{reason}, and this broker would serve the cluster alone as node {}, unnoticed by the others; start it \
                 with Kafka, or set milena.allow.standalone=true to take it over",
                config.node_id
            )));
        }
        tracing::warn!(
            "{}: {reason}; taking the cluster over, as milena.allow.standalone=true asks for",
            metadata.display()
        );
    }
    Ok(survey.open(clock.now_ms())?)
}

fn bind_all(config: &BrokerConfig) -> Result<Vec<(usize, TcpListener)>, StartError> {
    let mut all = Vec::new();
    let network = &config.network;
    for (index, listener) in network.listeners.iter().chain(&network.controller_listeners).enumerate() {
        let endpoint = &listener.endpoint;
        let bound = listener::bind(&endpoint.host, endpoint.port)
            .map_err(|source| StartError::Listen { listener: endpoint.to_string(), source })?;
        all.extend(bound.into_iter().map(|l| (index, l)));
    }
    Ok(all)
}

fn consumer_settings(config: &ConsumerGroupConfig) -> ConsumerSettings {
    ConsumerSettings {
        session_timeout_ms: config.session_timeout_ms.into(),
        heartbeat_interval_ms: config.heartbeat_interval_ms,
        max_size: usize::try_from(config.max_size).unwrap_or(0),
        assignors: config.assignors.clone(),
        regex_refresh_interval_ms: config.regex_refresh_interval_ms.into(),
        may_upgrade: config.may_upgrade,
        may_downgrade: config.may_downgrade,
    }
}

fn open_groups(
    config: &BrokerConfig,
    controller: &Arc<Controller>,
    partitions: &Arc<Partitions>,
    clock: &Arc<Clock>,
) -> GroupCoordinator {
    let group = &config.group;
    let settings = GroupSettings {
        min_session_timeout_ms: group.min_session_timeout_ms,
        max_session_timeout_ms: group.max_session_timeout_ms,
        max_size: usize::try_from(group.max_size).unwrap_or(0),
        initial_rebalance_delay_ms: millis(group.initial_rebalance_delay),
        offset_metadata_max_bytes: usize::try_from(group.offsets.metadata_max_bytes).unwrap_or(0),
        offsets_retention_ms: millis(group.offsets.retention),
        retention_check_interval_ms: millis(group.offsets.retention_check_interval),
        consumer: consumer_settings(&group.consumer),
    };
    let log = adapters::InternalTopic {
        name: topic_name::CONSUMER_OFFSETS,
        controller: controller.clone(),
        partitions: partitions.clone(),
        clock: clock.clone(),
    };
    let topics = adapters::ImageTopics(controller.clone());
    let groups = GroupCoordinator::new(settings, Arc::new(log), Arc::new(topics), clock.clone());
    if let Err(errors) = groups.load() {
        // The groups of those partitions answer NOT_COORDINATOR; all others serve.
        for error in errors {
            tracing::error!("__consumer_offsets: {error}");
        }
    }
    groups
}

/// After the groups: what was decided before the stop is finished in their partitions, too.
fn open_transactions(
    config: &BrokerConfig,
    controller: &Arc<Controller>,
    partitions: &Arc<Partitions>,
    markers: &Arc<PartitionMarkers>,
    clock: &Arc<Clock>,
) -> TransactionCoordinator {
    let transaction = &config.transaction;
    let settings = TransactionSettings {
        max_timeout_ms: transaction.max_timeout_ms,
        id_expiration_ms: millis(transaction.transactional_id_expiration),
        timeout_check_interval_ms: millis(transaction.abort_timed_out_interval),
        expiry_check_interval_ms: millis(transaction.remove_expired_interval),
    };
    let log = adapters::InternalTopic {
        name: topic_name::TRANSACTION_STATE,
        controller: controller.clone(),
        partitions: partitions.clone(),
        clock: clock.clone(),
    };
    let cluster = adapters::Cluster(controller.clone());
    let transactions = TransactionCoordinator::new(
        settings,
        Arc::new(log),
        markers.clone(),
        Arc::new(cluster),
        clock.clone(),
    );
    if let Err(errors) = transactions.load() {
        // The transactional ids of those partitions answer NOT_COORDINATOR; all others serve.
        for error in errors {
            tracing::error!("__transaction_state: {error}");
        }
    }
    skip_producer_ids(controller, transactions.max_producer_id());
    transactions
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod damage;
#[cfg(test)]
mod foreign;
#[cfg(test)]
mod power;
#[cfg(test)]
mod rot;
#[cfg(test)]
mod seeded;
