//! A look at the features of a cluster before its directory is touched.

use super::metadata_dir::METADATA_TOPIC;
use milena_protocol::records::{Batches, HEADER_LEN, Records, crc_matches};
use milena_protocol::stored::metadata::MetadataRecord;
use milena_storage::error::Result;
use milena_storage::file::Disk;
use milena_storage::file_name::{
    BOOTSTRAP_CHECKPOINT, MetadataSnapshotFile, MetadataSnapshotStage, PartitionDir,
};
use milena_storage::log::peek;
use std::collections::BTreeMap;

/// First bytes of a FeatureLevelRecord in the metadata log: frame version 1, key 12.
const FEATURE_LEVEL: [u8; 2] = [1, 12];

/// The feature levels that the files of a metadata directory add up to; those of `bootstrap.checkpoint` where there is no
/// metadata log yet. Nothing is changed, and what cannot be read is left for the start to say.
pub(crate) fn features(disk: &Disk) -> Result<BTreeMap<String, i16>> {
    let mut levels = BTreeMap::new();
    let dir = disk.root().join(PartitionDir::live(METADATA_TOPIC, 0).to_string());
    if dir.is_dir() {
        let snapshots = disk.list(&dir)?;
        let snapshots = snapshots.iter().filter_map(|n| n.to_str()?.parse::<MetadataSnapshotFile>().ok());
        let newest = snapshots
            .filter(|s| s.stage == MetadataSnapshotStage::Live)
            .max_by_key(|s| (s.end_offset, s.epoch));
        if let Some(newest) = &newest {
            read_all(&disk.read(&dir.join(newest.to_string()))?, &mut levels);
        }
        let from = newest.map_or(0, |snapshot| snapshot.end_offset);
        peek(disk, &dir, |header, body| {
            if header.next_offset() > from && !header.attributes.is_control() {
                read(header.record_count, body, &mut levels);
            }
        })?;
    }
    if levels.is_empty()
        && let Some(bytes) = disk.read_if_there(&disk.root().join(BOOTSTRAP_CHECKPOINT))?
    {
        read_all(&bytes, &mut levels);
    }
    Ok(levels)
}

fn read_all(bytes: &[u8], levels: &mut BTreeMap<String, i16>) {
    for (header, bytes) in Batches::new(bytes).map_while(std::result::Result::ok) {
        // What is damaged is refused by its name when it is replayed.
        if !header.attributes.is_control() && crc_matches(bytes) {
            read(header.record_count, &bytes[HEADER_LEN..], levels);
        }
    }
}

fn read(record_count: i32, body: &[u8], levels: &mut BTreeMap<String, i16>) {
    for record in Records::new(body, record_count).map_while(std::result::Result::ok) {
        let Some(value) = record.value.filter(|value| value.starts_with(&FEATURE_LEVEL)) else { continue };
        if let Ok(MetadataRecord::FeatureLevel(record)) = MetadataRecord::decode(value) {
            levels.insert(record.name, record.feature_level);
        }
    }
}
