//! From the bytes of the metadata log and its snapshots to an image.

use super::image::Image;
use super::replay::ReplayError;
use milena_protocol::records::{
    BatchHeader, Batches, Codec, ControlType, HEADER_LEN, KRaftVersion, KRaftVoters, Records, SnapshotHeader,
    crc_matches,
};
use milena_protocol::stored::metadata::MetadataRecord;
use std::collections::HashSet;
use std::sync::Arc;
use uuid::Uuid;

/// Replays whole batches in the order of the log.
///
/// What stands between Begin- and EndTransaction takes effect at the end of it, or not at all: the image never shows
/// half of a transaction, not even one that is spread over batches.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    image: Image,
    /// Records of the transaction that is open.
    transaction: Option<Vec<(i64, MetadataRecord)>>,
    next_offset: i64,
    epoch: i32,
    timestamp_ms: i64,
    removed: HashSet<Uuid>,
}

impl Replay {
    /// Starts from a snapshot (`%020d-%010d.checkpoint`): its bytes, the offset it ends before and its epoch, which
    /// are the two numbers of its name.
    pub(crate) fn from_snapshot(bytes: &[u8], end_offset: i64, epoch: i32) -> Result<Self, ReplayError> {
        let mut replay = Self::default();
        // Offsets in a snapshot count from 0, and have nothing to do with those of the log.
        let read = replay.feed(bytes)?;
        if read != bytes.len() {
            return Err(replay
                .damaged(format!("the snapshot ends within a batch, {} bytes behind", bytes.len() - read)));
        }
        if replay.transaction.is_some() {
            return Err(replay.damaged("the snapshot ends within a transaction".to_owned()));
        }
        replay.image.offset = end_offset - 1;
        replay.next_offset = end_offset;
        replay.epoch = epoch;
        Ok(replay)
    }

    /// Replays the whole batches of `bytes` and returns how many bytes they took. Batches below
    /// [`next_offset`](Self::next_offset) were replayed already, or are in the snapshot, and are passed over.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Result<usize, ReplayError> {
        let mut batches = Batches::new(bytes);
        for batch in batches.by_ref() {
            let (header, batch) = batch.map_err(|error| self.damaged(error.to_string()))?;
            if header.next_offset() <= self.next_offset {
                continue;
            }
            if header.base_offset != self.next_offset {
                let found = header.base_offset;
                return Err(self.damaged(format!("the next batch is at offset {found}, some are missing")));
            }
            if !crc_matches(batch) {
                return Err(self.damaged("the checksum of the batch is wrong".to_owned()));
            }
            self.feed_batch(&header, &batch[HEADER_LEN..])?;
            self.next_offset = header.next_offset();
            self.epoch = self.epoch.max(header.partition_leader_epoch);
            self.timestamp_ms = self.timestamp_ms.max(header.max_timestamp);
        }
        Ok(batches.position())
    }

    /// Takes from a good batch what can be read of it, whatever is missing before it or does not fit: enough to tell
    /// whose log it is, and not to serve it.
    pub(crate) fn glance(&mut self, header: &BatchHeader, body: &[u8]) {
        for record in Records::new(body, header.record_count).map_while(Result::ok) {
            let value = record.value.unwrap_or_default();
            if header.attributes.is_control() {
                self.feed_control(record.key.unwrap_or_default(), value).ok();
            } else if let Ok(decoded) = MetadataRecord::decode(value) {
                self.image.apply(header.base_offset + i64::from(record.offset_delta), &decoded).ok();
            }
        }
    }

    /// What was read up to here.
    pub(crate) fn image(&self) -> &Image {
        &self.image
    }

    /// Offset of the next record.
    pub(crate) fn next_offset(&self) -> i64 {
        self.next_offset
    }

    /// Ids of the topics that were deleted behind the snapshot.
    pub(crate) fn removed_topics(&self) -> &HashSet<Uuid> {
        &self.removed
    }

    /// The image, and whether a transaction was left open at the end: its records must then be declared void.
    pub(crate) fn finish(self) -> (Image, bool) {
        let mut image = self.image;
        image.epoch = self.epoch;
        image.timestamp_ms = self.timestamp_ms;
        image.offset = self.next_offset - 1;
        (image, self.transaction.is_some())
    }

    fn feed_batch(&mut self, header: &BatchHeader, body: &[u8]) -> Result<(), ReplayError> {
        if header.attributes.codec() != Ok(Codec::None) {
            return Err(self.damaged("compressed batches do not belong here".to_owned()));
        }
        for record in Records::new(body, header.record_count) {
            let record = record.map_err(|error| self.damaged(error.to_string()))?;
            let offset = header.base_offset + i64::from(record.offset_delta);
            let value = record.value.unwrap_or_default();
            if header.attributes.is_control() {
                self.feed_control(record.key.unwrap_or_default(), value)?;
            } else {
                let record =
                    MetadataRecord::decode(value).map_err(|source| ReplayError::Record { offset, source })?;
                self.feed_record(offset, record)?;
            }
        }
        Ok(())
    }

    fn feed_control(&mut self, key: &[u8], value: &[u8]) -> Result<(), ReplayError> {
        let control = ControlType::from_key(key).map_err(|error| self.damaged(error.to_string()))?;
        match control {
            ControlType::KRaftVersion => {
                let version = KRaftVersion::read(value).map_err(|error| self.damaged(error.to_string()))?;
                Arc::make_mut(&mut self.image.cluster).kraft_version = version.kraft_version;
            }
            ControlType::KRaftVoters => {
                let voters = KRaftVoters::read(value).map_err(|error| self.damaged(error.to_string()))?;
                Arc::make_mut(&mut self.image.cluster).voters = Some(voters);
            }
            ControlType::SnapshotHeader => {
                let header = SnapshotHeader::read(value).map_err(|error| self.damaged(error.to_string()))?;
                self.timestamp_ms = header.last_contained_log_timestamp;
            }
            _ => {}
        }
        Ok(())
    }

    fn feed_record(&mut self, offset: i64, record: MetadataRecord) -> Result<(), ReplayError> {
        match (record, self.transaction.as_mut()) {
            (MetadataRecord::BeginTransaction(_), None) => self.transaction = Some(Vec::new()),
            (MetadataRecord::EndTransaction(_), Some(_)) => {
                for (offset, record) in self.transaction.take().into_iter().flatten() {
                    self.apply(offset, &record)?;
                }
            }
            (MetadataRecord::AbortTransaction(_), Some(_)) => self.transaction = None,
            (
                record @ (MetadataRecord::BeginTransaction(_)
                | MetadataRecord::EndTransaction(_)
                | MetadataRecord::AbortTransaction(_)),
                _,
            ) => {
                let reason = format!("unexpected {record:?}");
                return Err(ReplayError::Contradiction { offset, reason });
            }
            (record, Some(transaction)) => transaction.push((offset, record)),
            (record, None) => self.apply(offset, &record)?,
        }
        Ok(())
    }

    fn apply(&mut self, offset: i64, record: &MetadataRecord) -> Result<(), ReplayError> {
        self.image.apply(offset, record)?;
        if let MetadataRecord::RemoveTopic(removed) = record {
            self.removed.insert(removed.topic_id);
        }
        Ok(())
    }

    fn damaged(&self, reason: String) -> ReplayError {
        ReplayError::Batch { offset: self.next_offset, reason }
    }
}
