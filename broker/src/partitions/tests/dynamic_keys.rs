//! Every key of the broker that has an effect and may change at run time: set, it changes what those go by who do the
//! work; taken back, all is as before.

use crate::clock::Clock;
use crate::config::alter::Operation;
use crate::config::{Dynamic, Effect, keys};
use crate::controller::testing::{MemoryLog, config};
use crate::controller::{ConfigChange, ConfigEdit, Controller, Start};
use crate::metadata::BROKER_RESOURCE;
use crate::partitions::Partitions;
use arc_swap::ArcSwap;
use milena_storage::file::Disk;
use milena_storage::log_dirs::{Survey, Wanted};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Key, value, and what is then found among what is in force.
const ROWS: &[(&str, &str, &str)] = &[
    (
        "advertised.listeners",
        "PLAINTEXT://kafka.example:1",
        "host: \"kafka.example\", port: 1 }], advertise_auto",
    ),
    ("compression.gzip.level", "7", "gzip: 7,"),
    ("compression.lz4.level", "5", "lz4: 5,"),
    ("compression.type", "gzip", "compression: Codec(Gzip"),
    ("compression.zstd.level", "6", "zstd: 6 }"),
    ("log.cleaner.backoff.ms", "7", "backoff: 7ms"),
    ("log.cleaner.dedupe.buffer.size", "2000000", "dedupe_buffer_bytes: 2000000"),
    ("log.cleaner.delete.retention.ms", "7", "delete_retention_ms: 7"),
    ("log.cleaner.io.buffer.load.factor", "0.25", "load_factor: 0.25"),
    ("log.cleaner.io.buffer.size", "7000", "io_buffer_bytes: 7000"),
    ("log.cleaner.io.max.bytes.per.second", "7000", "io_max_bytes_per_second: 7000.0"),
    ("log.cleaner.max.compaction.lag.ms", "7", " max_compaction_lag_ms: 7"),
    ("log.cleaner.min.cleanable.ratio", "0.25", "min_cleanable_dirty_ratio: 0.25"),
    ("log.cleaner.min.compaction.lag.ms", "7", " min_compaction_lag_ms: 7"),
    ("log.cleaner.threads", "2", "threads: 2,"),
    ("log.cleanup.policy", "compact", "delete: false, compact: true"),
    ("log.flush.interval.messages", "7", "flush_messages: 7"),
    ("log.flush.interval.ms", "7", "flush_ms: 7"),
    ("log.index.interval.bytes", "7", "index_interval_bytes: 7"),
    ("log.index.size.max.bytes", "7000", "segment_index_bytes: 7000"),
    ("log.message.timestamp.after.max.ms", "7", "after_max_ms: 7"),
    ("log.message.timestamp.before.max.ms", "7", "before_max_ms: 7"),
    ("log.message.timestamp.type", "LogAppendTime", "timestamp_type: LogAppendTime"),
    ("log.retention.bytes", "7", "retention_bytes: 7"),
    ("log.retention.ms", "7", " retention_ms: 7"),
    ("log.roll.jitter.ms", "7", "segment_jitter_ms: 7"),
    ("log.roll.ms", "7", "segment_ms: 7"),
    ("log.segment.bytes", "7000000", "segment_bytes: 7000000"),
    ("log.segment.delete.delay.ms", "7", "file_delete_delay_ms: 7"),
    ("max.connection.creation.rate", "7", "max_connection_creation_rate: 7"),
    ("max.connections", "7", "max_connections: 7"),
    ("max.connections.per.ip", "7", "max_connections_per_ip: 7"),
    ("max.connections.per.ip.overrides", "10.0.0.1:7", "overrides: {\"10.0.0.1\": 7}"),
    ("message.max.bytes", "7", "max_message_bytes: 7"),
    ("min.insync.replicas", "7", "min_insync_replicas: 7"),
    ("num.recovery.threads.per.data.dir", "4", "recovery_threads_per_dir: 4"),
    ("producer.id.expiration.ms", "7", "producer_id_expiration_ms: 7"),
    ("replica.alter.log.dirs.io.max.bytes.per.second", "7", "move_bytes_per_second: 7.0"),
    ("transaction.partition.verification.enable", "false", "partition_verification_enable: false"),
];

/// What a log, those who append to it, and the chores and connections of the broker go by.
fn in_force(partitions: &Partitions) -> String {
    let partition = partitions.all().remove(0);
    let whole = format!("{partition:?}");
    let rules = whole.split("rules: ").nth(1).and_then(|rest| rest.split("parked: ").next()).unwrap();
    let broker = partitions.config();
    let topic = &broker.topic_defaults;
    format!(
        "{:?} {rules} {:?} {:?} {:?} {:?} {}",
        partition.log().config(),
        broker.log,
        broker.network,
        broker.transaction,
        topic.compression_levels,
        // The one replica is all there is; features that are raised carry the number into the metadata log.
        format_args!("min_insync_replicas: {}", topic.min_insync_replicas),
    )
}

#[test]
fn every_dynamic_key_is_in_force_at_once_and_goes_again() {
    let temp = tempfile::tempdir().unwrap();
    let roots = [temp.path().to_path_buf()];
    let wanted = Wanted { roots: &roots, metadata: temp.path(), node_id: 1, cluster_id: None };
    let dirs = Survey::of(&wanted, Disk::new).unwrap().open(0).unwrap();
    let (cell, clock) = (Arc::new(ArcSwap::new(config(&[]))), Arc::new(Clock::System));
    let partitions = Arc::new(Partitions::new(dirs, cell.clone(), clock.clone()));
    let controller =
        Controller::open(Arc::<MemoryLog>::default(), partitions.clone(), cell, clock, Start::default())
            .unwrap();
    controller.ensure_topic("t").unwrap();
    let alter = |name: &str, key: &str, operation| {
        let edit = ConfigEdit::Keys(vec![(key.to_owned(), operation)]);
        let change = ConfigChange { resource_type: BROKER_RESOURCE, name: name.to_owned(), edit };
        controller.alter_configs(&[change], false).unwrap().remove(0)
    };
    let before = in_force(&partitions);
    let mut wrong = Vec::new();
    for (key, value, expected) in ROWS {
        if before.contains(expected) {
            wrong.push(format!("{key}: {expected} is there before"));
        }
        for name in ["1", ""] {
            let set = alter(name, key, Operation::Set((*value).to_owned()));
            // For one broker alone, or for all of them.
            let only = [("advertised.listeners", "1"), ("min.insync.replicas", "")];
            if only.iter().any(|(own, of)| own == key && *of != name) {
                assert!(set.is_err(), "{key}");
                continue;
            }
            set.unwrap();
            if !in_force(&partitions).contains(expected) {
                wrong.push(format!("{key}={value} for {name:?}: {expected} is not there"));
            }
            // With eligible leader replicas there is always a number; here it is that of the beginning.
            let back = match *key {
                "min.insync.replicas" => Operation::Set("1".to_owned()),
                _ => Operation::Delete,
            };
            alter(name, key, back).unwrap();
            if in_force(&partitions) != before {
                wrong.push(format!("{key} is taken back for {name:?}, and not all is as before"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}\n{before}", wrong.join("\n"));
    let honoured =
        keys::all().filter(|key| key.dynamic != Dynamic::ReadOnly && key.effect == Effect::Honoured);
    let honoured: BTreeSet<&str> = honoured.map(|key| key.name).collect();
    let tried: BTreeSet<&str> = ROWS.iter().map(|row| row.0).collect();
    assert_eq!(tried, honoured);
}
