//! Leader epochs of a log while it is being opened.

use super::Loader;
use crate::error::Result;
use crate::file_name;
use crate::leader_epochs::LeaderEpochs;
use milena_protocol::records::BatchHeader;

impl Loader<'_> {
    /// Reads the checkpoint. One that is missing, empty (a power cut leaves that of a file that was replaced) or
    /// malformed is made again from the whole log, unless that is empty.
    pub(super) fn read_epochs(&mut self, log_is_empty: bool) -> Result<()> {
        let path = self.dir.join(file_name::LEADER_EPOCH_CHECKPOINT);
        let bytes = if self.has_epochs { self.disk.read_if_there(&path)? } else { None };
        let bytes = bytes.unwrap_or_default();
        if bytes.is_empty() && log_is_empty {
            return Ok(());
        }
        let parsed = if bytes.is_empty() {
            Err("no leader epochs, but records".to_owned())
        } else {
            milena_protocol::stored::checkpoint::parse_leader_epochs(&bytes)
                .map_err(|e| e.to_string())
                .and_then(|entries| LeaderEpochs::restore(entries).map_err(|e| e.to_string()))
        };
        match parsed {
            Ok(epochs) => self.epochs = epochs,
            Err(reason) => {
                // Not worth a start that fails: the batches carry their epochs.
                tracing::warn!("{}: {reason}; rebuilding it from the log", path.display());
                (self.repaired, self.epochs_changed) = (true, true);
            }
        }
        Ok(())
    }

    /// What the checkpoint says stays: compaction may have removed the batch that an epoch began with, and later
    /// segments may not be scanned.
    pub(super) fn note_epoch(&mut self, header: &BatchHeader) {
        let epoch = header.partition_leader_epoch;
        let newer = self.epochs.latest().is_none_or(|latest| latest.epoch < epoch);
        // Batches that Kafka wrote before KIP-101 carry no epoch.
        if newer && let Ok(changed) = self.epochs.assign(epoch, header.base_offset) {
            self.epochs_changed |= changed;
        }
    }
}
