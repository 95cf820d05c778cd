//! Producer ids, in blocks of which the log knows the end (`ProducerIdControlManager`).

use super::writer::Writer;
use super::{Controller, Refusal};
use kafka_protocol::ResponseError;
use milena_protocol::stored::metadata::ProducerIdsRecord;

/// Ids in a block (`ProducerIdsBlock.PRODUCER_ID_BLOCK_SIZE`).
const BLOCK: i64 = 1000;

impl Controller {
    /// A producer id that was never given to anybody, not even by a broker that had this directory before. Every
    /// thousandth call stores a record; what is left of a block is lost in a restart.
    pub(crate) fn next_producer_id(&self) -> Result<i64, Refusal> {
        let mut writer = self.writer.lock();
        if writer.producer_ids.is_empty() {
            let first = self.image().next_producer_id();
            self.take_block(&mut writer, first)?;
        }
        // Not empty after a block was taken.
        writer.producer_ids.next().ok_or_else(exhausted)
    }

    /// Sees to it that no id up to this one will be given out: what was found in the partition logs of a directory
    /// whose metadata log has lost count.
    pub(crate) fn skip_producer_ids(&self, seen: i64) -> Result<(), Refusal> {
        let mut writer = self.writer.lock();
        if seen < self.image().next_producer_id() {
            return Ok(());
        }
        self.take_block(&mut writer, seen.checked_add(1).ok_or_else(exhausted)?)
    }

    fn take_block(&self, writer: &mut Writer, first: i64) -> Result<(), Refusal> {
        let end = first.checked_add(BLOCK).ok_or_else(exhausted)?;
        let broker_id = self.node_id;
        let broker_epoch = self.image().registration(broker_id).map_or(-1, |broker| broker.broker_epoch);
        let record = ProducerIdsRecord {
            broker_id,
            broker_epoch,
            next_producer_id: end,
            ..ProducerIdsRecord::default()
        };
        let mut draft = self.draft(writer)?;
        draft.add(vec![record.into()])?;
        self.commit(writer, draft)?;
        writer.producer_ids = first..end;
        Ok(())
    }
}

fn exhausted() -> Refusal {
    Refusal::new(ResponseError::UnknownServerError, "Exhausted all producerIds, there is no next block.")
}
