//! From a draft to stored records to a published image.

use super::log::{AppendFailure, StorageFailure};
use super::snapshot::SinceSnapshot;
use super::{Controller, Refusal, TOO_LARGE};
use crate::metadata::topic_name::Collisions;
use crate::metadata::{Image, ReplayError};
use kafka_protocol::ResponseError;
use milena_protocol::records::{BatchBuilder, ControlType, LeaderChange, VoterId, control_batch};
use milena_protocol::stored::metadata::MetadataRecord;
use parking_lot::MutexGuard;
use std::ops::Range;
use std::sync::Arc;

/// Bytes of the largest batch (`KafkaRaftClient.MAX_BATCH_SIZE_BYTES`): Kafka reads no larger one.
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// What a record takes in a batch besides its value, and the header of the batch, generously.
pub(super) const RECORD_OVERHEAD: usize = 32;

/// What only the writer needs; whoever holds it decides.
#[derive(Debug)]
pub(crate) struct Writer {
    /// Raft epoch of what this process appends.
    pub(super) epoch: i32,
    /// The log says already that this process leads in this epoch.
    ///
    /// It is said together with the first change, not at the start: a start that changes nothing writes nothing, and
    /// does not wait for the disk.
    pub(super) announced: bool,
    /// An append has failed, and nobody knows how much of it is in the log.
    pub(super) failed: bool,
    /// What the log adds up to, while somebody waits for its end to be on the disk. The next decision builds on it.
    pub(super) head: Option<Arc<Image>>,
    /// Producer ids of the current block that were not handed out.
    pub(super) producer_ids: Range<i64>,
    /// Names that new topics may not come too close to.
    pub(super) collisions: Collisions,
    /// What the next snapshot waits for.
    pub(super) since_snapshot: SinceSnapshot,
}

/// A copy of the image with records applied that are not stored yet.
#[derive(Clone)]
pub(crate) struct Draft {
    image: Image,
    next_offset: i64,
    values: Vec<Vec<u8>>,
    size: usize,
}

impl Draft {
    /// The image with all records so far.
    pub(super) fn image(&self) -> &Image {
        &self.image
    }

    /// Adds records and applies them. On a refusal the draft may hold a part of them, and must not be stored.
    pub(super) fn add(&mut self, records: Vec<MetadataRecord>) -> Result<(), Refusal> {
        for record in records {
            let value = record.try_encode().map_err(|error| {
                Refusal::new(ResponseError::InvalidRequest, format!("the request cannot be stored: {error}"))
            })?;
            self.size += value.len() + RECORD_OVERHEAD;
            if self.size > BATCH_BYTES_MAX {
                return Err(Refusal::new(ResponseError::PolicyViolation, TOO_LARGE));
            }
            self.image.apply(self.next_offset, &record).map_err(|error| contradiction(&error))?;
            self.next_offset += 1;
            self.values.push(value);
        }
        Ok(())
    }

    /// Adds records that must not be seen without `prepare` having succeeded on the image they make. On a refusal the
    /// draft is as before.
    pub(super) fn add_if(
        &mut self,
        records: Vec<MetadataRecord>,
        prepare: impl FnOnce(&Image) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let (values, size) = (self.values.len(), self.size);
        let (image, next_offset) = (self.image.clone(), self.next_offset);
        let added = self.add(records).and_then(|()| prepare(&self.image));
        if added.is_err() {
            self.values.truncate(values);
            (self.size, self.image, self.next_offset) = (size, image, next_offset);
        }
        added
    }
}

impl Controller {
    /// A draft of the next image.
    pub(super) fn draft(&self, writer: &Writer) -> Result<Draft, Refusal> {
        if writer.failed {
            return Err(Refusal::new(
                ResponseError::KafkaStorageError,
                "The metadata log could not be written; no more changes are taken until the broker is restarted.",
            ));
        }
        let next_offset = self.log.end_offset() + i64::from(!writer.announced);
        let image = writer.head.as_deref().cloned().unwrap_or_else(|| Image::clone(&self.image.load()));
        Ok(Draft { image, next_offset, values: Vec::new(), size: 0 })
    }

    /// Stores the records of a draft as one batch and publishes its image. A draft without records is let go, after what
    /// it was decided upon is published.
    pub(super) fn commit(&self, writer: &mut Writer, draft: Draft) -> Result<(), Refusal> {
        self.append(writer, draft)?;
        let Some(head) = writer.head.clone() else { return Ok(()) };
        let synced = self.log.sync(head.offset() + 1);
        self.settle(writer, &head, synced)
    }

    /// As [`Controller::commit`]; while this one waits for the disk others decide and append, and one sync serves all who
    /// came meanwhile.
    ///
    /// **Invariant:** images are published in the order of the log, each when everything that it stands for is on the
    /// disk. Whoever decides meanwhile has seen what is not published yet, and is answered after it.
    pub(super) fn commit_together(
        &self,
        writer: &mut MutexGuard<'_, Writer>,
        draft: Draft,
    ) -> Result<(), Refusal> {
        self.append(writer, draft)?;
        let Some(head) = writer.head.clone() else { return Ok(()) };
        let synced = MutexGuard::unlocked(writer, || self.log.sync(head.offset() + 1));
        self.settle(writer, &head, synced)
    }

    /// Publishes an image that is on the disk, unless somebody behind it in the log was faster.
    fn settle(
        &self,
        writer: &mut Writer,
        head: &Arc<Image>,
        synced: Result<(), StorageFailure>,
    ) -> Result<(), Refusal> {
        // Where somebody behind it was faster, his sync was for this one, too.
        if self.image.load().offset() < head.offset() {
            synced.map_err(|error| fail(writer, &error.to_string()))?;
            if writer.failed {
                return Err(fail(writer, "a change before this one is not on the disk"));
            }
            self.image.store(Arc::clone(head));
        }
        if writer.head.as_ref().is_some_and(|newest| Arc::ptr_eq(newest, head)) {
            writer.head = None;
        }
        Ok(())
    }

    /// Appends the records of a draft as one batch; its image is the head then.
    fn append(&self, writer: &mut Writer, draft: Draft) -> Result<(), Refusal> {
        if draft.values.is_empty() {
            return Ok(());
        }
        let base_offset = self.log.end_offset();
        let now_ms = self.clock.now_ms();
        let batches = self.batches(writer, &draft.values, base_offset, now_ms).map_err(|reason| {
            Refusal::new(
                ResponseError::UnknownServerError,
                format!("metadata records cannot be batched: {reason}"),
            )
        })?;
        let reason = match self.log.append(&batches) {
            Ok(offset) if offset == base_offset => None,
            Err(AppendFailure::Undone(error)) => {
                // The announcement is a batch of its own, before the records.
                writer.announced |= self.log.end_offset() > base_offset;
                let message = format!("The metadata log has no room: {error}");
                tracing::warn!(
                    "a change of metadata is refused: {error}; free some space, no restart is needed"
                );
                return Err(Refusal::new(ResponseError::KafkaStorageError, message));
            }
            Ok(offset) => Some(format!("appended at offset {offset} instead of {base_offset}")),
            Err(AppendFailure::Unknown(error)) => Some(error.to_string()),
        };
        if let Some(reason) = reason {
            return Err(fail(writer, &reason));
        }
        writer.announced = true;
        writer.since_snapshot.bytes += batches.len() as u64;
        writer.head = Some(Arc::new(draft.image.appended(writer.epoch, now_ms)));
        Ok(())
    }

    fn batches(
        &self,
        writer: &Writer,
        values: &[Vec<u8>],
        base_offset: i64,
        now: i64,
    ) -> Result<Vec<u8>, String> {
        let mut batches = Vec::new();
        if !writer.announced {
            let node = VoterId { id: self.node_id, directory_id: None };
            let (voters, granting_voters) = (vec![node], vec![node]);
            let value = LeaderChange { leader_id: node.id, voters, granting_voters }.value();
            batches = control_batch(
                base_offset,
                writer.epoch,
                now,
                [(ControlType::LeaderChange, value.as_slice())],
            )
            .map_err(|error| error.to_string())?;
        }
        let base_offset = base_offset + i64::from(!writer.announced);
        let mut builder = BatchBuilder::new().base_offset(base_offset).leader_epoch(writer.epoch);
        for value in values {
            builder.append(now, None, Some(value), &[]);
        }
        batches.extend_from_slice(&builder.build().map_err(|error| error.to_string())?);
        Ok(batches)
    }
}

/// Nobody knows what is in the log: nothing more is appended to it.
fn fail(writer: &mut Writer, reason: &str) -> Refusal {
    writer.failed = true;
    tracing::error!("the metadata log cannot be written, no more changes are taken: {reason}");
    let message = format!("The metadata log could not be written: {reason}");
    Refusal::new(ResponseError::KafkaStorageError, message)
}

fn contradiction(error: &ReplayError) -> Refusal {
    tracing::error!("a metadata record was refused by the image: {error}");
    Refusal::new(ResponseError::UnknownServerError, error.to_string())
}
