//! A look at the cluster's metadata before its directory is touched.

use super::metadata_dir::{METADATA_TOPIC, is_whole};
use crate::metadata::{Image, Replay};
use milena_protocol::records::{Batches, HEADER_LEN, crc_matches};
use milena_protocol::stored::quorum_state::QuorumState;
use milena_storage::error::Result;
use milena_storage::file::Disk;
use milena_storage::file_name::{
    BOOTSTRAP_CHECKPOINT, MetadataSnapshotFile, MetadataSnapshotStage, PartitionDir, QUORUM_STATE,
};
use milena_storage::log::peek;

/// What the files of a metadata directory add up to.
pub(crate) struct Peek {
    /// Of its snapshots and its log; of `bootstrap.checkpoint` where they say nothing.
    pub(crate) image: Image,
    /// `quorum-state`, if there is one.
    pub(crate) quorum: Option<QuorumState>,
}

impl Peek {
    /// Reads the files of the metadata directory. Nothing is changed, and what cannot be read is left for the start to
    /// say: whose directory it is must not depend on the rest of it.
    pub(crate) fn into(disk: &Disk) -> Result<Self> {
        let (mut replay, mut quorum) = (Replay::default(), None);
        let dir = disk.root().join(PartitionDir::live(METADATA_TOPIC, 0).to_string());
        if dir.is_dir() {
            let names = disk.list(&dir)?;
            let mut snapshots: Vec<MetadataSnapshotFile> = names
                .iter()
                .filter_map(|name| name.to_str()?.parse().ok())
                .filter(|snapshot: &MetadataSnapshotFile| snapshot.stage == MetadataSnapshotStage::Live)
                .collect();
            snapshots.sort_unstable_by_key(|snapshot| (snapshot.end_offset, snapshot.epoch));
            let (mut from, mut files) = (0, Vec::new());
            while let Some(snapshot) = snapshots.pop() {
                files.push(disk.read(&dir.join(snapshot.to_string()))?);
                if files.last().is_some_and(|bytes| is_whole(bytes)) {
                    from = snapshot.end_offset;
                    break;
                }
            }
            files.iter().rev().for_each(|bytes| glance(&mut replay, bytes));
            peek(disk, &dir, |header, body| {
                if header.next_offset() > from {
                    replay.glance(header, body);
                }
            })?;
            let state = disk.read_if_there(&dir.join(QUORUM_STATE))?;
            quorum = state.and_then(|bytes| QuorumState::parse(&bytes).ok());
        }
        if replay.image().features().0.is_empty()
            && let Some(bytes) = disk.read_if_there(&disk.root().join(BOOTSTRAP_CHECKPOINT))?
        {
            glance(&mut replay, &bytes);
        }
        Ok(Self { image: replay.finish().0, quorum })
    }
}

fn glance(replay: &mut Replay, bytes: &[u8]) {
    for (header, bytes) in Batches::new(bytes).map_while(std::result::Result::ok) {
        // What is damaged is refused by its name when it is replayed.
        if crc_matches(bytes) {
            replay.glance(&header, &bytes[HEADER_LEN..]);
        }
    }
}
