//! From a directory to a controller: replay, first records of a new log, taking over from Kafka.

use super::log::{LogStore, MetadataLog, StorageFailure};
use super::snapshot::{self, SinceSnapshot};
use super::writer::{Draft, Writer};
use super::{Controller, ControllerError, Refusal};
use crate::clock::Clock;
use crate::config::BrokerConfig;
use crate::metadata::features;
use crate::metadata::topic_name::Collisions;
use crate::metadata::{BROKER_RESOURCE, Image, PartitionInfo, Replay, Topic};
use arc_swap::ArcSwap;
use milena_protocol::records::{Voter, VoterEndpoint};
use milena_protocol::stored::metadata::{
    AbortTransactionRecord, BrokerRegistrationChangeRecord, ConfigRecord, FeatureLevelRecord, MetadataRecord,
    PartitionChangeRecord,
};
use milena_protocol::stored::quorum_state::{QuorumState, QuorumStateVersion};
use parking_lot::Mutex;
use std::sync::Arc;
use uuid::Uuid;

/// Bytes of the log that are replayed at once.
const READ_BYTES: usize = 1024 * 1024;
/// Partitions that are taken over in one batch.
const TAKE_OVER_MAX: usize = 10_000;

/// Features of a new cluster, as `kafka-storage format` of Kafka 4.1 finalizes them. Kafka refuses a directory without
/// the first one. What clients are told they may use is another matter, and not decided here.
const FEATURES: [(&str, i16); 4] = [
    ("metadata.version", 27),
    ("eligible.leader.replicas.version", 1),
    ("group.version", 1),
    ("transaction.version", 2),
];

/// A snapshot of the metadata log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Snapshot<'a> {
    /// The file.
    pub(crate) bytes: &'a [u8],
    /// First number of its name: it stands for all records before this offset.
    pub(crate) end_offset: i64,
    /// Second number of its name.
    pub(crate) epoch: i32,
}

/// What was found beside the metadata log.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Start<'a> {
    /// The newest snapshot, if there is one. The log must reach up to its end.
    pub(crate) snapshot: Option<Snapshot<'a>>,
    /// `bootstrap.checkpoint` of `kafka-storage format`: features of a cluster that was never started.
    pub(crate) bootstrap: Option<&'a [u8]>,
    /// `leaderEpoch` of `quorum-state`, 0 without one.
    pub(crate) quorum_epoch: i32,
    /// `directory.id` of the directory that the log is in.
    pub(crate) directory_id: Uuid,
}

impl Controller {
    /// Replays the log, writes the first records of a new one, and takes the lead of every partition that has a
    /// replica here: whatever the records of a Kafka that has stopped say, there is nobody else.
    ///
    /// Nothing is written before the whole log made sense, and nothing where nothing has to change. Partition logs are not made: those of the partitions that the
    /// image names are the caller's to open.
    ///
    /// `config` is read by the storage, too: what is set at run time is put into it, before the logs are told.
    pub(crate) fn open(
        log: Arc<dyn MetadataLog>,
        store: Arc<dyn LogStore>,
        config: Arc<ArcSwap<BrokerConfig>>,
        clock: Arc<Clock>,
        start: Start<'_>,
    ) -> Result<Self, ControllerError> {
        let formatted = format_quorum(&*log, &config.load(), &start)?;
        let formatted = formatted.as_deref().map(|bytes| Snapshot { bytes, end_offset: 0, epoch: 0 });
        let snapshot = start.snapshot.or(formatted);
        let (replay, bytes) = replay(&*log, snapshot)?;
        let removed_topics = replay.removed_topics().clone();
        let (image, in_transaction) = replay.finish();
        features::check(image.features().0).map_err(ControllerError::Feature)?;
        let mut collisions = Collisions::default();
        for topic in image.topics() {
            collisions.insert(&topic.name);
        }
        let writer = Writer {
            epoch: image.epoch().max(start.quorum_epoch) + 1,
            announced: false,
            failed: false,
            head: None,
            producer_ids: 0..0,
            collisions,
            since_snapshot: SinceSnapshot {
                covered: snapshot.map_or(0, |snapshot| snapshot.end_offset),
                bytes,
                since_ms: clock.steady_ms(),
                trim_ms: clock.steady_ms(),
            },
        };
        store.begin().map_err(ControllerError::Store)?;
        let image = ArcSwap::from_pointee(image);
        let node_id = config.load().node_id;
        let controller =
            Self { image, writer: Mutex::new(writer), log, store, config, node_id, clock, removed_topics };
        controller.prepare(in_transaction, start.bootstrap)?;
        controller.adopt_configs(&controller.image());
        Ok(controller)
    }

    /// The content of `quorum-state` (no newline): who led last, as far as the log says.
    pub(crate) fn quorum_state(&self) -> String {
        let image = self.image();
        let version = if image.kraft_version() > 0 {
            QuorumStateVersion::V1 { voted_directory_id: Uuid::nil() }
        } else {
            QuorumStateVersion::V0 {
                cluster_id: String::new(),
                applied_offset: 0,
                current_voters: Some(vec![self.node_id]),
            }
        };
        QuorumState { leader_id: self.node_id, leader_epoch: image.epoch(), voted_id: -1, version }.format()
    }

    fn prepare(&self, in_transaction: bool, bootstrap: Option<&[u8]>) -> Result<(), ControllerError> {
        if in_transaction {
            let reason = Some("the controller that began it has stopped".to_owned());
            let record = AbortTransactionRecord { reason, ..AbortTransactionRecord::default() };
            self.write(vec![record.into()])?;
        }
        if self.image().features().0.is_empty() {
            self.write(self.first_records(bootstrap)?)?;
        }
        let changes = take_over(&self.image(), self.node_id);
        if !changes.is_empty() {
            tracing::info!(
                "taking over the lead of partitions and the registration: {} records",
                changes.len()
            );
        }
        for changes in changes.chunks(TAKE_OVER_MAX) {
            self.write(changes.to_vec())?;
        }
        Ok(())
    }

    fn first_records(&self, bootstrap: Option<&[u8]>) -> Result<Vec<MetadataRecord>, ControllerError> {
        let formatted = match bootstrap {
            Some(bytes) => Replay::from_snapshot(bytes, 0, 0).map_err(ControllerError::Bootstrap)?.finish().0,
            None => Image::default(),
        };
        features::check(formatted.features().0).map_err(ControllerError::Feature)?;
        let feature = |(name, feature_level): (&str, i16)| {
            FeatureLevelRecord { name: name.to_owned(), feature_level, ..FeatureLevelRecord::default() }
                .into()
        };
        let mut records: Vec<MetadataRecord> = if formatted.features().0.is_empty() {
            FEATURES.into_iter().map(feature).collect()
        } else {
            let mut levels: Vec<_> =
                formatted.features().0.iter().map(|(name, level)| (name.as_str(), *level)).collect();
            // Kafka reads every other record in the light of this one.
            levels.sort_by_key(|(name, _)| *name != "metadata.version");
            levels.into_iter().map(feature).collect()
        };
        // Comes with eligible leader replicas: the size of the in-sync set must not depend on each broker's file.
        let record = ConfigRecord {
            resource_type: BROKER_RESOURCE,
            name: "min.insync.replicas".to_owned(),
            value: Some(self.config.load().topic_defaults.min_insync_replicas.to_string()),
            ..ConfigRecord::default()
        };
        records.push(record.into());
        Ok(records)
    }

    fn write(&self, records: Vec<MetadataRecord>) -> Result<(), ControllerError> {
        let mut writer = self.writer.lock();
        let written = self.draft(&writer).and_then(|mut draft: Draft| {
            draft.add(records)?;
            self.commit(&mut writer, draft)
        });
        written.map_err(|refusal: Refusal| ControllerError::Log {
            action: "written",
            source: refusal.message.into(),
        })
    }
}

/// Writes the snapshot before the first record of a new log that is to keep its voters, as `kafka-storage format
/// --standalone` does; returns its bytes.
fn format_quorum(
    log: &dyn MetadataLog,
    config: &BrokerConfig,
    start: &Start<'_>,
) -> Result<Option<Vec<u8>>, ControllerError> {
    let is_new = start.snapshot.is_none() && start.bootstrap.is_none() && log.end_offset() == 0;
    let Some(address) = config.metadata.standalone.as_ref().filter(|_| is_new) else { return Ok(None) };
    let failed = |source: StorageFailure| ControllerError::Log { action: "written", source };
    let image = Image::of_quorum(Voter {
        id: config.node_id,
        directory_id: start.directory_id,
        endpoints: vec![VoterEndpoint {
            name: address.listener.clone(),
            host: address.host.clone(),
            port: address.port,
        }],
        min_kraft_version: 0,
        max_kraft_version: 1,
    });
    let bytes = snapshot::encode(&image).map_err(|error| failed(error.into()))?;
    log.store_snapshot(0, 0, &bytes).map_err(failed)?;
    Ok(Some(bytes))
}

/// The whole log, and the bytes of it behind the snapshot.
fn replay(log: &dyn MetadataLog, snapshot: Option<Snapshot<'_>>) -> Result<(Replay, u64), ControllerError> {
    let mut size = 0;
    let mut replay = match snapshot {
        Some(Snapshot { bytes, end_offset, epoch }) => Replay::from_snapshot(bytes, end_offset, epoch)
            .map_err(|source| ControllerError::Snapshot { end_offset, epoch, source })?,
        None => Replay::default(),
    };
    let (start, end) = (log.start_offset(), replay.next_offset());
    if start > end {
        return Err(ControllerError::Gap { start, end });
    }
    loop {
        let from = replay.next_offset();
        let bytes =
            log.read(from, READ_BYTES).map_err(|source| ControllerError::Log { action: "read", source })?;
        if bytes.is_empty() {
            break;
        }
        size += replay.feed(&bytes)? as u64;
        if replay.next_offset() == from {
            let source = format!("{} bytes at offset {from} hold no whole batch", bytes.len()).into();
            return Err(ControllerError::Log { action: "read", source });
        }
    }
    let (read, end) = (replay.next_offset(), log.end_offset());
    if read != end {
        let source = format!("it ends at offset {end}, but what was read ends at {read}").into();
        return Err(ControllerError::Log { action: "read", source });
    }
    Ok((replay, size))
}

/// The records that make this broker the leader of its partitions. A registration that is in service is fenced: a
/// Kafka that comes back would wait for the end of its own old session.
fn take_over(image: &Image, node: i32) -> Vec<MetadataRecord> {
    let mut records = Vec::new();
    if let Some(broker) = image.registration(node).filter(|broker| !broker.fenced) {
        let (broker_id, broker_epoch, fenced) = (node, broker.broker_epoch, 1);
        let default = BrokerRegistrationChangeRecord::default();
        records.push(BrokerRegistrationChangeRecord { broker_id, broker_epoch, fenced, ..default }.into());
    }
    for topic in image.sorted_topics() {
        let led = |partition: &PartitionInfo| partition.leader == node && partition.isr.contains(&node);
        for (partition_id, partition) in (0..).zip(&topic.partitions) {
            if partition.is_on(node) && !led(partition) {
                records.push(lead(topic, partition_id, node));
            }
        }
    }
    records
}

fn lead(topic: &Topic, partition_id: i32, node: i32) -> MetadataRecord {
    let record = PartitionChangeRecord {
        partition_id,
        topic_id: topic.id,
        isr: Some(vec![node]),
        leader: Some(node),
        eligible_leader_replicas: Some(Vec::new()),
        last_known_elr: Some(Vec::new()),
        ..PartitionChangeRecord::default()
    };
    record.into()
}
