//! A controller over memory, for the tests of this crate.

use super::{AppendFailure, Controller, ControllerError, LogStore, MetadataLog, Start, StorageFailure};
use crate::api::{Answer, ConnectionInfo, Context};
use crate::broker::Broker;
use crate::clock::Clock;
use crate::config::{BrokerConfig, Origin, RawConfig};
use crate::metadata::{Image, Topic};
use arc_swap::ArcSwap;
use bytes::BytesMut;
use kafka_protocol::messages::TopicName;
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use milena_protocol::records::Batches;
use milena_protocol::stored::uuid_to_base64;
use parking_lot::Mutex;
use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use uuid::Uuid;

/// The directory that partitions are put in.
pub(crate) const DIRECTORY: Uuid = Uuid::from_u128(0xd1);
/// What the clock says at first.
pub(crate) const NOW_MS: i64 = 1_700_000_000_000;

/// Something that happens while somebody waits for the disk.
pub(crate) type Meanwhile = Box<dyn FnOnce() + Send>;

/// A metadata log in memory, which can be told to fail.
#[derive(Default)]
pub(crate) struct MemoryLog {
    bytes: Mutex<Vec<u8>>,
    /// The next appends fail.
    pub(crate) broken: AtomicBool,
    /// The next batches that hold records of metadata do not fit.
    pub(crate) full: AtomicBool,
    /// Appends so far: each is a wait for the disk.
    pub(crate) appends: AtomicI64,
    /// The next sync fails.
    pub(crate) sync_fails: AtomicBool,
    /// What happens during the next sync.
    pub(crate) meanwhile: Mutex<Option<Meanwhile>>,
    /// Snapshots that were stored: end offset, epoch and bytes.
    pub(crate) snapshots: Mutex<Vec<(i64, i32, Vec<u8>)>>,
}

impl MemoryLog {
    pub(crate) fn holding(bytes: &[u8]) -> Self {
        Self { bytes: Mutex::new(bytes.to_vec()), ..Self::default() }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.bytes.lock().clone()
    }

    pub(crate) fn appends(&self) -> i64 {
        self.appends.load(Ordering::Relaxed)
    }
}

impl MetadataLog for MemoryLog {
    fn append(&self, batches: &[u8]) -> Result<i64, AppendFailure> {
        if self.broken.load(Ordering::Relaxed) {
            return Err("the device is gone".into());
        }
        self.appends.fetch_add(1, Ordering::Relaxed);
        let mut end = self.end_offset();
        let base = end;
        for batch in Batches::new(batches) {
            let (header, bytes) = batch?;
            assert_eq!(header.base_offset, end, "offsets have a gap");
            if self.full.load(Ordering::Relaxed) && !header.attributes.is_control() {
                return Err(AppendFailure::Undone("no space left".into()));
            }
            end = header.next_offset();
            self.bytes.lock().extend_from_slice(bytes);
        }
        Ok(base)
    }

    fn sync(&self, upto: i64) -> Result<(), StorageFailure> {
        assert!(upto <= self.end_offset(), "what is synced was appended");
        let meanwhile = self.meanwhile.lock().take();
        if let Some(meanwhile) = meanwhile {
            meanwhile();
        }
        if self.sync_fails.load(Ordering::Relaxed) {
            return Err("the device is gone".into());
        }
        Ok(())
    }

    fn read(&self, from: i64, max_bytes: usize) -> Result<Vec<u8>, StorageFailure> {
        let bytes = self.bytes.lock();
        let mut read = Vec::new();
        for batch in Batches::new(&bytes) {
            let (header, batch) = batch?;
            let fits = read.is_empty() || read.len() + batch.len() <= max_bytes;
            if header.next_offset() > from && fits {
                read.extend_from_slice(batch);
            } else if !fits {
                break;
            }
        }
        Ok(read)
    }

    fn end_offset(&self) -> i64 {
        let bytes = self.bytes.lock();
        Batches::new(&bytes).map_while(Result::ok).last().map_or(0, |(header, _)| header.next_offset())
    }

    fn start_offset(&self) -> i64 {
        let bytes = self.bytes.lock();
        Batches::new(&bytes).map_while(Result::ok).next().map_or(0, |(header, _)| header.base_offset)
    }

    fn store_snapshot(&self, end_offset: i64, epoch: i32, bytes: &[u8]) -> Result<(), StorageFailure> {
        if self.broken.load(Ordering::Relaxed) {
            return Err("no space left".into());
        }
        self.snapshots.lock().push((end_offset, epoch, bytes.to_vec()));
        Ok(())
    }

    fn begin_segment(&self, _: i64) -> Result<(), StorageFailure> {
        Ok(())
    }

    fn trim(&self, _: Option<u64>, _: Option<i64>, _: i64) -> Result<(), StorageFailure> {
        Ok(())
    }
}

/// Partition logs that are only written down: one line per call.
#[derive(Debug, Default)]
pub(crate) struct MemoryStore {
    calls: Mutex<Vec<String>>,
    /// Logs of this topic cannot be made.
    pub(crate) refused: Mutex<Option<String>>,
}

impl MemoryStore {
    /// The calls since the last time.
    pub(crate) fn calls(&self) -> Vec<String> {
        std::mem::take(&mut *self.calls.lock())
    }
}

impl LogStore for MemoryStore {
    fn begin(&self) -> Result<(), StorageFailure> {
        Ok(())
    }

    fn create(&self, topic: &Arc<Topic>, first_partition: i32) -> Result<(), StorageFailure> {
        if self.refused.lock().as_deref() == Some(&*topic.name) {
            return Err("the disk is full".into());
        }
        let end = topic.partitions.len();
        self.calls.lock().push(format!("create {} {first_partition}..{end}", topic.name));
        Ok(())
    }

    fn delete(&self, topic: &Arc<Topic>) {
        self.calls.lock().push(format!("delete {} 0..{}", topic.name, topic.partitions.len()));
    }

    fn reconfigure(&self, topic: &Arc<Topic>) {
        self.calls.lock().push(format!("reconfigure {} {:?}", topic.name, topic.configs));
    }

    fn pick_directories(&self, _: &str, _: i32, count: usize) -> Vec<Uuid> {
        vec![DIRECTORY; count]
    }
}

/// A controller and what is below it.
pub(crate) struct Bench {
    pub(crate) controller: Arc<Controller>,
    pub(crate) log: Arc<MemoryLog>,
    pub(crate) store: Arc<MemoryStore>,
}

/// The configuration with these keys set.
pub(crate) fn config(keys: &[(&str, &str)]) -> Arc<BrokerConfig> {
    let mut raw = RawConfig::default();
    for (name, value) in keys {
        raw.set(name, value, Origin::CommandLine);
    }
    Arc::new(BrokerConfig::new(raw, Path::new("data")).unwrap())
}

impl Bench {
    /// Over an empty log.
    pub(crate) fn new() -> Self {
        Self::over(Arc::default(), Start::default()).unwrap()
    }

    /// Over a log that is there.
    pub(crate) fn over(log: Arc<MemoryLog>, start: Start<'_>) -> Result<Self, ControllerError> {
        Self::configured(&config(&[]), log, start)
    }

    pub(crate) fn configured(
        config: &Arc<BrokerConfig>,
        log: Arc<MemoryLog>,
        start: Start<'_>,
    ) -> Result<Self, ControllerError> {
        let store = Arc::new(MemoryStore::default());
        let clock = Arc::new(Clock::Manual(NOW_MS.into()));
        let controller = Controller::open(
            Arc::<MemoryLog>::clone(&log),
            Arc::<MemoryStore>::clone(&store),
            Arc::new(ArcSwap::new(Arc::clone(config))),
            clock,
            start,
        )?;
        Ok(Self { controller: Arc::new(controller), log, store })
    }

    /// What a broker finds that starts on the same log.
    pub(crate) fn restart(&self) -> Self {
        Self::over(Arc::new(MemoryLog::holding(&self.log.bytes())), Start::default()).unwrap()
    }
}

/// A broker over memory, and a client's connection to it.
pub(crate) struct TestBroker {
    pub(crate) broker: Arc<Broker>,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) log: Arc<MemoryLog>,
    pub(crate) connection: ConnectionInfo,
    _dir: tempfile::TempDir,
}

impl TestBroker {
    pub(crate) fn new(keys: &[(&str, &str)]) -> Self {
        let config = config(keys);
        let Bench { controller, log, store } =
            Bench::configured(&config, Arc::default(), Start::default()).unwrap();
        let controller = Arc::into_inner(controller).expect("nobody else has it yet");
        let cluster_id = "MkU3OEVBNTcwNTJENDM2Qk".to_owned();
        let dir = tempfile::tempdir().unwrap();
        let broker = Arc::new(Broker::around(&config, cluster_id, controller, dir.path()));
        let (peer, local) = ("10.0.0.5:40000".parse().unwrap(), "10.0.0.1:9092".parse().unwrap());
        Self {
            broker,
            store,
            log,
            _dir: dir,
            connection: ConnectionInfo {
                peer,
                local,
                listener: 0,
                is_controller: false,
                silence: Arc::default(),
                first_try: Arc::default(),
                deleted: Arc::default(),
            },
        }
    }

    /// A request of this version.
    pub(crate) fn cx(&self, version: i16) -> Context<'_> {
        Context {
            broker: &self.broker,
            version,
            correlation_id: 7,
            client_id: "test",
            connection: &self.connection,
            mutation_throttle: Cell::default(),
        }
    }
}

/// The lines that say all there is in an image, sorted.
pub(crate) fn dump(image: &Image) -> Vec<String> {
    let mut lines: Vec<String> =
        image.features().0.iter().map(|(name, level)| format!("feature {name} {level}")).collect();
    for topic in image.topics() {
        let name = &topic.name;
        lines.push(format!("topic {name} {} {}", uuid_to_base64(topic.id), topic.partitions.len()));
        lines.extend(topic.configs.iter().map(|(key, value)| format!("config topic {name} {key} {value}")));
    }
    for broker in ["", "1"] {
        let configs = image.broker_configs(broker).into_iter().flatten();
        let broker = if broker.is_empty() { "-" } else { broker };
        lines.extend(configs.map(|(key, value)| format!("config broker {broker} {key} {value}")));
    }
    for (entity, quotas) in image.quotas() {
        let entity: Vec<_> =
            entity.iter().map(|(kind, name)| format!("{kind} {}", name.as_deref().unwrap_or("-"))).collect();
        lines.extend(quotas.iter().map(|(key, value)| format!("quota {} {key} {value}", entity.join(" "))));
    }
    lines.sort();
    lines
}

/// The same with every partition.
pub(crate) fn dump_all(image: &Image) -> Vec<String> {
    let mut lines = dump(image);
    for topic in image.sorted_topics() {
        lines.extend(
            topic
                .partitions
                .iter()
                .enumerate()
                .map(|(at, partition)| format!("{}-{at} {partition:?}", topic.name)),
        );
    }
    lines.push(format!("offset {} epoch {}", image.offset(), image.epoch()));
    lines.push(format!(
        "partitions {} producer ids from {}",
        image.partition_count(),
        image.next_producer_id()
    ));
    lines
}

/// The response as a client of this version reads it. Fails where a field is set that the version does not have.
pub(crate) fn sent<R: Encodable + Decodable>(answer: Answer<R>, version: i16) -> R {
    let Answer::Now(response) = answer else { panic!("the answer comes later") };
    let mut bytes = BytesMut::new();
    response.encode(&mut bytes, version).unwrap_or_else(|error| panic!("v{version}: {error}"));
    let mut bytes = bytes.freeze();
    let read = R::decode(&mut bytes, version).unwrap_or_else(|error| panic!("v{version}: {error}"));
    assert!(bytes.is_empty(), "v{version}: bytes are left");
    read
}

/// A name in a request.
pub(crate) fn name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}
