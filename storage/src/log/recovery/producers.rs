//! Producer state at the end of a log: the newest usable snapshot, and what the log says after it.

use super::batch_reader::{BatchReader, Step};
use super::{Loader, marker_of};
use crate::error::{Error, Result};
use crate::file_name::SegmentFileKind;
use crate::log::append::append_aborted;
use crate::producers::Producers;
use crate::segment::Segment;
use milena_protocol::records::HEADER_LEN;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Loader<'_> {
    /// The newest usable snapshot, and what the log says after it.
    pub(super) fn producers(&mut self, segments: &[Arc<Segment>], end: i64) -> Result<Producers> {
        self.remove_old_snapshots(segments, end)?;
        // The aborted transactions of scanned segments are found again by replaying those segments.
        let scanned_from = self.scanned.first().copied().unwrap_or(i64::MAX);
        let mut snapshots: Vec<i64> = self.snapshots.range(..=scanned_from).copied().collect();
        let mut producers = Producers::new();
        let mut from = segments[0].base_offset;
        while let Some(offset) = snapshots.pop() {
            let bytes = self.disk.read(&self.path(offset, SegmentFileKind::ProducerSnapshot))?;
            match producers.restore(&bytes, self.start.now_ms, self.config.producer_id_expiration_ms) {
                Ok(()) => {
                    from = offset;
                    break;
                }
                Err(error) => tracing::warn!(
                    "producer snapshot {offset} in {}: {error}; trying an older one",
                    self.dir.display()
                ),
            }
        }
        let all_scanned = segments
            .iter()
            .all(|s| s.published().next_offset <= from || self.scanned.contains(&s.base_offset));
        if from < end && (self.producers_seen || !all_scanned) {
            self.replay(segments, from, &mut producers)?;
        }
        producers.remove_expired(self.start.now_ms, self.config.producer_id_expiration_ms);
        producers.forget_ended_before(end);
        Ok(producers)
    }

    /// Keeps the snapshots at the beginning of a segment and the newest one behind the last beginning, as Kafka does.
    fn remove_old_snapshots(&mut self, segments: &[Arc<Segment>], end: i64) -> Result<()> {
        let newest = self.snapshots.range(..=end).next_back().copied();
        let starts: BTreeSet<i64> = segments.iter().map(|s| s.base_offset).collect();
        let kept = |offset: &i64| *offset <= end && (Some(*offset) == newest || starts.contains(offset));
        for offset in self.snapshots.iter().filter(|offset| !kept(offset)) {
            self.disk.remove(&self.path(*offset, SegmentFileKind::ProducerSnapshot))?;
        }
        self.snapshots.retain(kept);
        Ok(())
    }

    fn replay(&self, segments: &[Arc<Segment>], from: i64, producers: &mut Producers) -> Result<()> {
        let first = segments.partition_point(|s| s.base_offset <= from).saturating_sub(1);
        for segment in &segments[first..] {
            let end = segment.published();
            let Some(place) = segment.find(self.disk, from, end)? else { continue };
            let file = segment.file(self.disk)?;
            let path = segment.path(SegmentFileKind::Log);
            let mut reader = BatchReader::new(&file, u64::from(place.position), u64::from(end.position));
            loop {
                let (header, bytes) = match reader.next().map_err(|e| Error::io("read", &path, e))? {
                    Step::Batch(header, bytes) => (header, bytes),
                    Step::End => break,
                    Step::Tail(reason) => {
                        return Err(Error::Corrupt { path, position: reader.position(), reason });
                    }
                };
                if header.producer_id < 0 {
                    continue;
                }
                let marker = marker_of(&header, &bytes[HEADER_LEN..]);
                // What is in the log was accepted once: its state is taken as it comes.
                let aborted = producers.apply(&header, marker.as_ref(), header.base_offset);
                if let Some(aborted) = aborted.filter(|_| self.scanned.contains(&segment.base_offset)) {
                    append_aborted(self.disk, segment, &aborted)?;
                }
            }
        }
        Ok(())
    }
}
